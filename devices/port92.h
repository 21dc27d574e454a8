/*
 * System control port A (92h: fast A20, fast reset) and the reset control register (CF9h).
 */
#ifndef DEVICES_PORT92_H
#define DEVICES_PORT92_H

#include "devices/device.h"

struct port92 {
	struct device device;
	/* Wires. a20: level of this port's A20 output. */
	struct irq_line a20;
	void (*reset_cpu)(void *owner); /* INIT# pulse */
	void *reset_owner;
	/* Ports: 92h (1). */
	struct io_region io;
	u8 value;
};

extern const struct device_class port92_class;

struct reset_control {
	struct device device;
	/* hard: the whole platform; else INIT# to the processors only. */
	void (*reset)(void *owner, bool hard);
	void *reset_owner;
	/* Ports: CF9h (1). It lies inside CF8h..CFBh, so the owner of that region may have to pass
	 * single-byte accesses on: reset_control_read/_write with offset 0. */
	struct io_region io;
	u8 value;
};

extern const struct device_class reset_control_class;

u64 reset_control_read(void *reset_control, u64 offset, unsigned size);
void reset_control_write(void *reset_control, u64 offset, u64 value, unsigned size);

#endif
