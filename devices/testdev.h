/*
 * Test device "pc-testdev": the ports and memory that kvm-unit-tests drive the board with.
 */
#ifndef DEVICES_TESTDEV_H
#define DEVICES_TESTDEV_H

#include "devices/device.h"

#define TESTDEV_LINES 24
#define TESTDEV_MEMORY 0x10000

struct testdev {
	struct device device;
	struct irq_line line[TESTDEV_LINES];
	/* Ports: E0h (4) latch, E4h (4) flush, 2000h (24) lines. Memory: FF000000h (64 KiB). */
	struct io_region io_latch, io_flush, io_lines, io_memory;

	/* State */
	u32 latch;
	u8 memory[TESTDEV_MEMORY];
};

extern const struct device_class testdev_class;

#endif
