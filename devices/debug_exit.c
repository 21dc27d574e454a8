/*
 * Debug exit port. See debug_exit.h. Reads answer zero.
 */
#include "devices/debug_exit.h"

static u64 debug_exit_read(void *owner, u64 offset, unsigned size)
{
	(void)owner;
	(void)offset;
	(void)size;
	return 0;
}

/* Only the first port counts; the others pad the range. */
static void debug_exit_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct debug_exit *e = owner;

	(void)size;
	if (offset == 0 && e->exit)
		e->exit(e->exit_owner, (u32)value);
}

static void debug_exit_init(struct device *d)
{
	struct debug_exit *e = (struct debug_exit *)d;

	if (e->iosize < 1 || e->iosize > 8)
		e->iosize = 4;
	e->io = (struct io_region){
		.name = "debug-exit",
		.base = e->io.base,
		.len = e->iosize,
		.min = 1,
		.max = 4,
		.read = debug_exit_read,
		.write = debug_exit_write,
		.owner = e,
	};
}

static void debug_exit_reset(struct device *d)
{
	(void)d;
}

static const struct state_field debug_exit_state[] = {
	STATE_END,
};

const struct device_class debug_exit_class = {
	.name = "debug-exit",
	.size = sizeof(struct debug_exit),
	.state = debug_exit_state,
	.init = debug_exit_init,
	.reset = debug_exit_reset,
};
