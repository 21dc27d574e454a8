/*
 * Test device, as QEMU's machines have it under the name pc-testdev. Four ports hold what was last
 * written to them; a write of a page's address to the flush port asks a hypervisor to drop its
 * mapping, of which there is none here; each of 24 ports drives one interrupt line; 64 KiB of
 * memory lie behind device accesses. Left out: the second latch at E8h, whose range holds the debug
 * console's port.
 */
#include "base/bits.h"
#include "devices/testdev.h"

static u64 latch_read(void *owner, u64 offset, unsigned size)
{
	const struct testdev *t = owner;

	return t->latch >> (8 * offset) & size_mask(size);
}

static void latch_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct testdev *t = owner;
	u32 mask = (u32)(size_mask(size) << (8 * offset));

	t->latch = (t->latch & ~mask) | ((u32)(value << (8 * offset)) & mask);
}

static u64 flush_read(void *owner, u64 offset, unsigned size)
{
	(void)owner;
	(void)offset;
	return size_mask(size);
}

static void flush_write(void *owner, u64 offset, u64 value, unsigned size)
{
	(void)owner;
	(void)offset;
	(void)value;
	(void)size;
}

static u64 lines_read(void *owner, u64 offset, unsigned size)
{
	(void)owner;
	(void)offset;
	return size_mask(size);
}

static void lines_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct testdev *t = owner;

	(void)size;
	irq_set(&t->line[offset], value != 0);
}

static u64 memory_read(void *owner, u64 offset, unsigned size)
{
	const struct testdev *t = owner;

	return load_le(t->memory + offset, size);
}

static void memory_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct testdev *t = owner;

	store_le(t->memory + offset, value, size);
}

static void testdev_init(struct device *d)
{
	struct testdev *t = (struct testdev *)d;

	t->io_latch = (struct io_region){.name = "testdev latch",
					 .len = 4,
					 .min = 1,
					 .max = 4,
					 .read = latch_read,
					 .write = latch_write,
					 .owner = t};
	t->io_flush = (struct io_region){.name = "testdev flush",
					 .len = 4,
					 .min = 4,
					 .max = 4,
					 .read = flush_read,
					 .write = flush_write,
					 .owner = t};
	t->io_lines = (struct io_region){.name = "testdev lines",
					 .len = TESTDEV_LINES,
					 .min = 1,
					 .max = 1,
					 .read = lines_read,
					 .write = lines_write,
					 .owner = t};
	t->io_memory = (struct io_region){.name = "testdev memory",
					  .len = TESTDEV_MEMORY,
					  .min = 1,
					  .max = 8,
					  .read = memory_read,
					  .write = memory_write,
					  .owner = t};
}

/* The lines fall with the reset; the memory keeps what it holds. */
static void testdev_reset(struct device *d)
{
	struct testdev *t = (struct testdev *)d;

	t->latch = 0;
	for (unsigned n = 0; n < TESTDEV_LINES; n++)
		irq_set(&t->line[n], false);
}

static const struct state_field testdev_state[] = {
	STATE_FIELD(struct testdev, latch),
	STATE_BYTES(struct testdev, memory),
	STATE_END,
};

const struct device_class testdev_class = {
	.name = "testdev",
	.size = sizeof(struct testdev),
	.state = testdev_state,
	.init = testdev_init,
	.reset = testdev_reset,
};
