/*
 * Debug console port E9h. See debugcon.h.
 */
#include "devices/debugcon.h"

#define DEBUGCON_ANSWER 0xe9

static u64 debugcon_read(void *owner, u64 offset, unsigned size)
{
	(void)owner;
	(void)offset;
	(void)size;
	return DEBUGCON_ANSWER;
}

static void debugcon_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct debugcon *c = owner;
	u8 byte = (u8)value;

	(void)offset;
	(void)size;
	if (c->host && c->host->write)
		c->host->write(c->host->owner, &byte, 1);
}

static void debugcon_init(struct device *d)
{
	struct debugcon *c = (struct debugcon *)d;

	c->io = (struct io_region){
		.name = "debugcon",
		.base = c->io.base,
		.len = 1,
		.min = 1,
		.max = 1,
		.read = debugcon_read,
		.write = debugcon_write,
		.owner = c,
	};
}

static void debugcon_reset(struct device *d)
{
	(void)d;
}

static const struct state_field debugcon_state[] = {
	STATE_END,
};

const struct device_class debugcon_class = {
	.name = "debugcon",
	.size = sizeof(struct debugcon),
	.state = debugcon_state,
	.init = debugcon_init,
	.reset = debugcon_reset,
};
