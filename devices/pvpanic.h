/*
 * pvpanic: one port (505h) by which a guest tells that it has panicked or loaded a crash kernel. A
 * read answers the events that are understood. There is no datasheet; the interface is the one
 * byte described here.
 */
#ifndef DEVICES_PVPANIC_H
#define DEVICES_PVPANIC_H

#include "devices/device.h"

#define PVPANIC_PORT 0x505

enum pvpanic_event { PVPANIC_PANICKED = 1 << 0, PVPANIC_CRASH_LOADED = 1 << 1 };

struct pvpanic {
	struct device dev;
	/* Wires. */
	void (*event)(void *owner, u8 events); /* enum pvpanic_event bits; may be NULL */
	void *owner;

	struct io_region region; /* one port; the board sets base and attaches it after init */
	u8 last;		 /* events of the last write */
};

extern const struct device_class pvpanic_class;

#endif
