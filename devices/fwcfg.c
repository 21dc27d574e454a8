/*
 * fw_cfg, port interface. See fwcfg.h; the interface follows QEMU's fw_cfg specification.
 */
#include "base/bits.h"
#include "devices/fwcfg.h"

static const struct fwcfg_item *selected(const struct fwcfg *f)
{
	for (unsigned k = 0; k < f->items; k++)
		if (f->item[k].key == (f->selected & 0x3fff))
			return &f->item[k];
	return NULL;
}

/* Past the end and for unknown keys the data port reads zero. */
static u64 read_port(void *owner, u64 offset, unsigned size)
{
	struct fwcfg *f = owner;
	const struct fwcfg_item *it = selected(f);

	if (size != 1 || offset != 1)
		return 0;
	if (!it || f->offset >= it->len)
		return 0;
	return it->data[f->offset++];
}

static void write_port(void *owner, u64 offset, u64 value, unsigned size)
{
	struct fwcfg *f = owner;

	if (size != 2 || offset != 0)
		return;
	f->selected = (u16)value;
	f->offset = 0;
}

void fwcfg_add(struct fwcfg *f, u16 key, u64 value, unsigned bytes)
{
	struct fwcfg_item *it = &f->item[f->items];

	if (f->items == FWCFG_ITEMS || bytes > 8)
		return;
	it->key = key;
	it->len = (u16)bytes;
	store_le(it->data, value, bytes);
	f->items++;
}

static void init(struct device *d)
{
	struct fwcfg *f = (struct fwcfg *)(void *)d;

	f->io = (struct io_region){.name = "fw_cfg",
				   .base = f->io.base,
				   .len = 2,
				   .min = 1,
				   .max = 2,
				   .read = read_port,
				   .write = write_port,
				   .owner = f};
	fwcfg_add(f, FWCFG_SIGNATURE, load_le32("QEMU"), 4);
	fwcfg_add(f, FWCFG_ID, 1, 4);
	fwcfg_add(f, FWCFG_FILE_DIR, 0, 4);
}

static void reset(struct device *d)
{
	struct fwcfg *f = (struct fwcfg *)(void *)d;

	f->selected = 0;
	f->offset = 0;
}

static const struct state_field state[] = {
	STATE_FIELD(struct fwcfg, selected),
	STATE_FIELD(struct fwcfg, offset),
	STATE_END,
};

const struct device_class fwcfg_class = {.name = "fw_cfg",
					 .size = sizeof(struct fwcfg),
					 .state = state,
					 .init = init,
					 .reset = reset};
