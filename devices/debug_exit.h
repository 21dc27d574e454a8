/*
 * Debug exit port: a guest test ends the emulator with a value.
 */
#ifndef DEVICES_DEBUG_EXIT_H
#define DEVICES_DEBUG_EXIT_H

#include "devices/device.h"

struct debug_exit {
	struct device device;
	/* A guest wrote `value`; the process is to end with (value << 1) | 1. */
	void (*exit)(void *owner, u32 value);
	void *exit_owner;
	/* Configuration: number of ports, 1..8; 0 means 4. The machine sets io.base. */
	u8 iosize;
	struct io_region io;
};

extern const struct device_class debug_exit_class;

#endif
