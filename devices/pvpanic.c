/*
 * pvpanic. See pvpanic.h.
 */
#include "devices/pvpanic.h"

#define UNDERSTOOD (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)

static u64 pvpanic_read(void *owner, u64 offset, unsigned size)
{
	(void)owner, (void)offset, (void)size;
	return UNDERSTOOD;
}

static void pvpanic_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct pvpanic *x = owner;

	(void)offset, (void)size;
	x->last = value & UNDERSTOOD;
	if (value & ~(u64)UNDERSTOOD)
		LOG(x->dev.env.log, guest_error, "%s: unknown events %x", x->dev.id,
		    (unsigned)value);
	if (x->last && x->event)
		x->event(x->owner, x->last);
}

static void pvpanic_init(struct device *d)
{
	struct pvpanic *x = (struct pvpanic *)d;

	x->region = (struct io_region){.name = "pvpanic",
				       .base = PVPANIC_PORT,
				       .len = 1,
				       .min = 1,
				       .max = 1,
				       .read = pvpanic_read,
				       .write = pvpanic_write,
				       .owner = x};
}

static void pvpanic_reset(struct device *d)
{
	((struct pvpanic *)d)->last = 0;
}

static bool pvpanic_post_load(struct device *d)
{
	return (((struct pvpanic *)d)->last & ~UNDERSTOOD) == 0;
}

static const struct state_field pvpanic_state[] = {
	STATE_FIELD(struct pvpanic, last),
	STATE_END,
};

const struct device_class pvpanic_class = {
	.name = "pvpanic",
	.size = sizeof(struct pvpanic),
	.state = pvpanic_state,
	.init = pvpanic_init,
	.reset = pvpanic_reset,
	.post_load = pvpanic_post_load,
};
