/*
 * Debug console, port E9h: bytes written go to a host stream; a read answers E9h, which is how a
 * guest finds it.
 */
#ifndef DEVICES_DEBUGCON_H
#define DEVICES_DEBUGCON_H

#include "devices/device.h"
#include "devices/host.h"

struct debugcon {
	struct device device;
	struct host_chardev *host; /* may be NULL */
	/* Ports: E9h (1). */
	struct io_region io;
};

extern const struct device_class debugcon_class;

#endif
