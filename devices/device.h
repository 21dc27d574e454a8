/*
 * What every chip is. The first member of a chip's struct is `struct device`. A chip is written
 * against offset 0, makes no host calls, never sleeps, holds no globals, and lists its state in a
 * table (base/state.h): saving it needs no code in the chip. It reaches time, memory and the log
 * only through device_env, the host only through devices/host.h.
 */
#ifndef DEVICES_DEVICE_H
#define DEVICES_DEVICE_H

#include "base/clock.h"
#include "base/log.h"
#include "base/state.h"
#include "devices/irq.h"
#include "mmu/bus.h"
#include "mmu/physmem.h"

struct device;

struct device_class {
	const char *name;
	size_t size;			 /* sizeof the chip's struct */
	const struct state_field *state; /* architectural state */
	void (*init)(struct device *d);	 /* once, after env and wires are set; no guest state */
	void (*reset)(struct device *d); /* power-on or platform reset */
	/* After a load: validate every field as if a guest had written it, re-arm timers.
	 * False refuses the state. May be NULL. */
	bool (*post_load)(struct device *d);
};

struct device_env {
	struct clock *clock;
	struct log *log;
	struct physmem *mem; /* for DMA: dma_read, dma_write */
};

struct device {
	const struct device_class *cls;
	struct device_env env;
	const char *id; /* instance name, unique on the board, e.g. "serial0" */
};

static inline void device_setup(struct device *d, const struct device_class *cls,
				const struct device_env *env, const char *id)
{
	d->cls = cls;
	d->env = *env;
	d->id = id;
}

#endif
