/*
 * 8254 interval timer, and port 61h (NMI status and control: speaker gate, refresh toggle, OUT2).
 */
#ifndef DEVICES_PIT_H
#define DEVICES_PIT_H

#include "devices/device.h"

#define PIT_HZ 1193182u

struct pit_channel {
	u8 mode; /* 0..5 */
	u8 bcd;
	u8 access; /* 1 low byte, 2 high byte, 3 low then high */
	u8 gate;
	u8 loaded;     /* a count has been loaded since the control word */
	u8 running;    /* clocks count; else `held` has elapsed already */
	u8 triggered;  /* modes 1, 5: a trigger has started a pulse */
	u8 pending;    /* reload holds a count not yet taken over */
	u8 write_high; /* the low byte is in write_latch, the high byte comes next */
	u8 write_latch;
	u8 read_high; /* next unlatched read gives the high byte */
	u8 latched;   /* bytes of the latched count still to be read */
	u8 status_latched;
	u8 status;
	u16 latch;
	u32 count;    /* in counting now, 1..10000h (1..10000 BCD) */
	u32 reload;   /* last written */
	s64 start;    /* clock tick at which `count` began; may lie one ahead, or before tick 0 */
	u64 held;     /* ticks elapsed when the gate stopped counting */
	u64 takeover; /* modes 2, 3: tick at which a pending count is taken over */
};

struct pit {
	struct device device;
	/* Wires: OUT of channel 0. */
	struct irq_line out0;
	/* Ports: 40h (4), 61h (1). */
	struct io_region io, io_port61;
	struct pit_channel ch[3];
	u8 port61; /* bits 3:0 as written */
	u8 level0; /* level last driven on out0 */
	u64 seen;  /* tick up to which out0 has been driven */
	struct timer timer;
};

extern const struct device_class pit_class;

#endif
