/*
 * MC146818 real-time clock with 128 bytes of CMOS RAM, century in byte 32h.
 */
#ifndef DEVICES_RTC_H
#define DEVICES_RTC_H

#include "devices/device.h"

#define RTC_DEFAULT_EPOCH 1767225600ll /* 2026-01-01 00:00:00 UTC */

struct rtc {
	struct device device;
	/* Wires: the interrupt output, IRQ8. */
	struct irq_line irq;
	/* Configuration: seconds since 1970 at virtual time 0; 0 means RTC_DEFAULT_EPOCH. */
	s64 start_epoch;
	/* Ports: 70h (2). */
	struct io_region io;
	u8 index; /* last written to port 70h; bit 7 masks NMI */
	u8 cmos[128];
	s64 base_seconds; /* time of day at base_ns */
	u64 base_ns;	  /* a second began here */
	u64 seen;	  /* flags of register C account for events up to this time, ns */
	struct timer timer;
};

extern const struct device_class rtc_class;

/* NVRAM as firmware finds it (memory size, boot order): 0Eh..7Fh. reset keeps it. */
void rtc_set_nvram(struct rtc *r, unsigned index, u8 value);
bool rtc_nmi_masked(const struct rtc *r);

#endif
