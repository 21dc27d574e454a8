/*
 * The virtio driver of the tests. See test_virtio.h.
 */
#include <stdlib.h>

#include "tests/unit/test_virtio.h"

static void take_out(void *owner, const u8 *data, size_t len)
{
	struct drv *d = owner;

	for (size_t i = 0; i < len; i++)
		d->out[d->outs++ % sizeof(d->out)] = data[i];
}

static void fill_random(void *owner, void *buf, size_t len)
{
	(void)owner;
	memset(buf, 0x5a, len);
}

u64 vt_rd(struct drv *d, u64 addr, unsigned size)
{
	return bus_read(&d->b->memory, addr, size);
}

void vt_wr(struct drv *d, u64 addr, u64 value, unsigned size)
{
	bus_write(&d->b->memory, addr, value, size);
}

/* Finds the modern structures by their capabilities, as 4.1.4 tells a driver to. */
static void find_structures(struct drv *d)
{
	u64 bar;
	unsigned found = 0;

	for (unsigned at = cfg_find_cap(d->b, DEVFN, PCI_CAP_VENDOR, 0); at;
	     at = cfg_find_cap(d->b, DEVFN, PCI_CAP_VENDOR, at)) {
		unsigned type = cfg_read(d->b, DEVFN, at + 3, 1);
		unsigned n = cfg_read(d->b, DEVFN, at + 4, 1);
		u64 where;

		bar = cfg_read(d->b, DEVFN, 0x10 + 4 * n, 4) & ~15u;
		where = bar + cfg_read(d->b, DEVFN, at + 8, 4);
		found |= 1u << type;
		if (type == 1)
			d->common = where;
		if (type == 2) {
			d->notify = where;
			ck_assert_uint_eq(cfg_read(d->b, DEVFN, at + 16, 4), 4);
		}
		if (type == 3)
			d->isr = where;
		if (type == 4)
			d->config = where;
	}
	ck_assert_uint_eq(found, 0x3e);
}

void vt_plug(struct drv *d, const struct device_class *cls, bool modern_only)
{
	memset(d, 0, sizeof(*d));
	d->b = board_new();
	d->x = calloc(1, cls->size);
	d->blk = (struct virtio_blk *)d->x;
	d->con = (struct virtio_console *)d->x;
	d->rng = (struct virtio_rng *)d->x;
	d->netdev = (struct virtio_net *)d->x;
	d->chr = (struct host_chardev){.write = take_out, .owner = d};
	d->entropy = (struct host_entropy){fill_random, d};
	device_setup(&d->x->pci.dev, cls, &d->b->env, "virtio0");
	d->x->modern_only = modern_only;
	if (cls == &virtio_blk_class) {
		d->blk->block = &d->b->block;
		d->blk->serial = "disk-serial";
	} else if (cls == &virtio_console_class) {
		d->con->chr = &d->chr;
		d->con->multiport = true;
	} else if (cls == &virtio_net_class) {
		d->net = (struct host_net){.send = take_out, .owner = d};
		d->netdev->net = &d->net;
		memcpy(d->netdev->mac, "\x52\x02\x03\x04\x05\x06", 6);
	} else {
		d->rng->entropy = &d->entropy;
	}
	ck_assert(pci_plug(&d->b->pci, &d->x->pci, DEVFN));
	board_assign(d->b);
	cfg_write(d->b, DEVFN, 4, 7, 2);
	find_structures(d);
	d->legacy = cfg_read(d->b, DEVFN, 0x10, 4) & ~3u;
}

void vt_free(struct drv *d)
{
	board_free(d->b);
	free(d->x);
}

u8 vt_status(struct drv *d)
{
	return (u8)vt_rd(d, d->common + 0x14, 1);
}

void vt_clear_rings(struct drv *d)
{
	memset(d->avail, 0, sizeof(d->avail));
	memset(d->used, 0, sizeof(d->used));
	ram_fill(d->b, RING(0), 0, 0x10000);
}

void vt_setup_queue(struct drv *d, unsigned q)
{
	vt_wr(d, d->common + 0x16, q, 2);
	vt_wr(d, d->common + 0x18, QSIZE, 2);
	vt_wr(d, d->common + 0x20, RING(q), 8);
	vt_wr(d, d->common + 0x28, AVAIL(q), 4);
	vt_wr(d, d->common + 0x2c, 0, 4);
	vt_wr(d, d->common + 0x30, USED(q), 8);
	vt_wr(d, d->common + 0x1c, 1, 2);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x1c, 2), 1);
}

void vt_negotiate(struct drv *d, u64 features)
{
	vt_wr(d, d->common + 0x14, 0, 1);
	ck_assert_uint_eq(vt_status(d), 0);
	vt_wr(d, d->common + 0x14, 3, 1);
	vt_wr(d, d->common + 0x08, 0, 4);
	vt_wr(d, d->common + 0x0c, (u32)features, 4);
	vt_wr(d, d->common + 0x08, 1, 4);
	vt_wr(d, d->common + 0x0c, features >> 32, 4);
	vt_wr(d, d->common + 0x14, 11, 1);
}

void vt_start(struct drv *d, u64 features)
{
	vt_clear_rings(d);
	vt_negotiate(d, features | VERSION_1);
	ck_assert_uint_eq(vt_status(d), 11);
	for (unsigned q = 0; q < d->x->vdev.queues; q++)
		vt_setup_queue(d, q);
	vt_wr(d, d->common + 0x14, 15, 1);
}

void vt_put_desc(struct drv *d, u64 table, unsigned i, u64 addr, u32 len, u16 flags, u16 next)
{
	u64 e = table + 16ull * i;

	ram_put(d->b, e, addr, 8);
	ram_put(d->b, e + 8, len, 4);
	ram_put(d->b, e + 12, flags, 2);
	ram_put(d->b, e + 14, next, 2);
}

void vt_offer(struct drv *d, unsigned q, u16 head)
{
	ram_put(d->b, AVAIL(q) + 4 + 2 * (d->avail[q] % QSIZE), head, 2);
	ram_put(d->b, AVAIL(q) + 2, ++d->avail[q], 2);
}

void vt_kick(struct drv *d, unsigned q)
{
	vt_wr(d, d->notify + 4 * q, q, 2);
}

/* The length of the next used entry, which must be of chain `head`; -1 if there is none. */
s64 vt_reap(struct drv *d, unsigned q, u16 head)
{
	u64 e = USED(q) + 4 + 8ull * (d->used[q] % QSIZE);

	if ((u16)ram_get(d->b, USED(q) + 2, 2) == d->used[q])
		return -1;
	d->used[q]++;
	ck_assert_uint_eq(ram_get(d->b, e, 4), head);
	return (s64)ram_get(d->b, e + 4, 4);
}

/* A block request: header, data, status in descriptors 0..2. Returns the status byte or -1. */
int vt_request(struct drv *d, u32 type, u64 sector, u32 len, bool in)
{
	ram_put(d->b, HEADER, type, 8);
	ram_put(d->b, HEADER + 8, sector, 8);
	ram_put(d->b, STATUS, 0xee, 1);
	vt_put_desc(d, RING(0), 0, HEADER, 16, NEXT, len ? 1 : 2);
	vt_put_desc(d, RING(0), 1, DATA, len, NEXT | (in ? WRITE : 0), 2);
	vt_put_desc(d, RING(0), 2, STATUS, 1, WRITE, 0);
	vt_offer(d, 0, 0);
	vt_kick(d, 0);
	return vt_reap(d, 0, 0) < 0 ? -1 : (int)ram_get(d->b, STATUS, 1);
}
