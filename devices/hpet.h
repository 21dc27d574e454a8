/*
 * High Precision Event Timers: one block of a 64-bit counter and three comparators.
 */
#ifndef DEVICES_HPET_H
#define DEVICES_HPET_H

#include "devices/device.h"

#define HPET_TIMERS 3
#define HPET_PERIOD_FS 100000000u	/* 10 MHz */
#define HPET_DEFAULT_ROUTES 0x00f00000u /* I/O APIC pins 20..23 */

struct hpet;

struct hpet_timer {
	struct hpet *hpet;
	unsigned n;
	struct timer timer;
	u64 config; /* writable bits of the configuration register */
	u64 comparator;
	u64 period; /* accumulated in periodic mode */
	u8 val_set; /* the next comparator write sets the accumulator only */
	u8 armed;   /* waits for counter == comparator */
	u64 target; /* tick of the 64-bit counter for which it waits, while armed */
	u8 level;   /* what it drives on its pin */
};

struct hpet {
	struct device device;
	/* Wires: I/O APIC pins, and IRQ0/IRQ8 of the legacy replacement route. */
	struct irq_line route[24];
	struct irq_line legacy[2];
	/* LEG_RT_CNF changed: while on, PIT and RTC must be cut from IRQ0 and IRQ8. May be NULL. */
	void (*legacy_changed)(void *owner, bool on);
	void *legacy_owner;
	/* Configuration: pins that a comparator may be routed to; 0 means HPET_DEFAULT_ROUTES. */
	u32 routes;
	/* Memory: FED00000h (400h). */
	struct io_region io;
	u64 config; /* bits 1:0 */
	u64 status;
	u64 counter; /* value at base_ns, or the halted value */
	u64 base_ns;
	struct hpet_timer timer[HPET_TIMERS];
};

extern const struct device_class hpet_class;

#endif
