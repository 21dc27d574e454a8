/*
 * virtio devices over PCI, driven through their registers and rings in RAM as a driver would.
 */
#include <stdlib.h>

#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_rng.h"
#include "tests/unit/test_pci_board.h"

#define DEVFN PCI_DEVFN(4, 0)
#define QSIZE 8
#define RING(q) (0x10000ull + 0x4000ull * (q)) /* descriptors, then avail at 1000h, used at 2000h  \
						*/
#define AVAIL(q) (RING(q) + 0x1000)
#define USED(q) (RING(q) + 0x2000)
#define HEADER 0x80000ull
#define STATUS 0x80020ull
#define DATA 0x100000ull
#define TABLE 0x90000ull

#define NEXT 1
#define WRITE 2
#define INDIRECT 4

#define VERSION_1 BIT(VIRTIO_F_VERSION_1)
#define EVENT_IDX BIT(VIRTIO_F_EVENT_IDX)
#define INDIRECT_DESC BIT(VIRTIO_F_INDIRECT_DESC)

struct drv {
	struct board *b;
	struct virtio_pci *x;
	struct virtio_blk *blk;
	struct virtio_console *con;
	struct virtio_rng *rng;
	u64 common, isr, config, notify;
	u64 legacy;
	u16 avail[4], used[4];
	struct host_chardev chr;
	u8 out[4096];
	size_t outs;
	struct host_entropy entropy;
};

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

static u64 rd(struct drv *d, u64 addr, unsigned size)
{
	return bus_read(&d->b->memory, addr, size);
}

static void wr(struct drv *d, u64 addr, u64 value, unsigned size)
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

static void drv_plug(struct drv *d, const struct device_class *cls, bool modern_only)
{
	memset(d, 0, sizeof(*d));
	d->b = board_new();
	d->x = calloc(1, cls->size);
	d->blk = (struct virtio_blk *)d->x;
	d->con = (struct virtio_console *)d->x;
	d->rng = (struct virtio_rng *)d->x;
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
	} else {
		d->rng->entropy = &d->entropy;
	}
	ck_assert(pci_plug(&d->b->pci, &d->x->pci, DEVFN));
	board_assign(d->b);
	cfg_write(d->b, DEVFN, 4, 7, 2);
	find_structures(d);
	d->legacy = cfg_read(d->b, DEVFN, 0x10, 4) & ~3u;
}

static void drv_free(struct drv *d)
{
	board_free(d->b);
	free(d->x);
}

static u8 status(struct drv *d)
{
	return (u8)rd(d, d->common + 0x14, 1);
}

static void clear_rings(struct drv *d)
{
	memset(d->avail, 0, sizeof(d->avail));
	memset(d->used, 0, sizeof(d->used));
	ram_fill(d->b, RING(0), 0, 0x10000);
}

static void setup_queue(struct drv *d, unsigned q)
{
	wr(d, d->common + 0x16, q, 2);
	wr(d, d->common + 0x18, QSIZE, 2);
	wr(d, d->common + 0x20, RING(q), 8);
	wr(d, d->common + 0x28, AVAIL(q), 4);
	wr(d, d->common + 0x2c, 0, 4);
	wr(d, d->common + 0x30, USED(q), 8);
	wr(d, d->common + 0x1c, 1, 2);
	ck_assert_uint_eq(rd(d, d->common + 0x1c, 2), 1);
}

static void negotiate(struct drv *d, u64 features)
{
	wr(d, d->common + 0x14, 0, 1);
	ck_assert_uint_eq(status(d), 0);
	wr(d, d->common + 0x14, 3, 1);
	wr(d, d->common + 0x08, 0, 4);
	wr(d, d->common + 0x0c, (u32)features, 4);
	wr(d, d->common + 0x08, 1, 4);
	wr(d, d->common + 0x0c, features >> 32, 4);
	wr(d, d->common + 0x14, 11, 1);
}

static void drv_start(struct drv *d, u64 features)
{
	clear_rings(d);
	negotiate(d, features | VERSION_1);
	ck_assert_uint_eq(status(d), 11);
	for (unsigned q = 0; q < d->x->vdev.queues; q++)
		setup_queue(d, q);
	wr(d, d->common + 0x14, 15, 1);
}

static void put_desc(struct drv *d, u64 table, unsigned i, u64 addr, u32 len, u16 flags, u16 next)
{
	u64 e = table + 16ull * i;

	ram_put(d->b, e, addr, 8);
	ram_put(d->b, e + 8, len, 4);
	ram_put(d->b, e + 12, flags, 2);
	ram_put(d->b, e + 14, next, 2);
}

static void offer(struct drv *d, unsigned q, u16 head)
{
	ram_put(d->b, AVAIL(q) + 4 + 2 * (d->avail[q] % QSIZE), head, 2);
	ram_put(d->b, AVAIL(q) + 2, ++d->avail[q], 2);
}

static void kick(struct drv *d, unsigned q)
{
	wr(d, d->notify + 4 * q, q, 2);
}

/* The length of the next used entry, which must be of chain `head`; -1 if there is none. */
static s64 reap(struct drv *d, unsigned q, u16 head)
{
	u64 e = USED(q) + 4 + 8ull * (d->used[q] % QSIZE);

	if ((u16)ram_get(d->b, USED(q) + 2, 2) == d->used[q])
		return -1;
	d->used[q]++;
	ck_assert_uint_eq(ram_get(d->b, e, 4), head);
	return (s64)ram_get(d->b, e + 4, 4);
}

/* A block request: header, data, status in descriptors 0..2. Returns the status byte or -1. */
static int request(struct drv *d, u32 type, u64 sector, u32 len, bool in)
{
	ram_put(d->b, HEADER, type, 8);
	ram_put(d->b, HEADER + 8, sector, 8);
	ram_put(d->b, STATUS, 0xee, 1);
	put_desc(d, RING(0), 0, HEADER, 16, NEXT, len ? 1 : 2);
	put_desc(d, RING(0), 1, DATA, len, NEXT | (in ? WRITE : 0), 2);
	put_desc(d, RING(0), 2, STATUS, 1, WRITE, 0);
	offer(d, 0, 0);
	kick(d, 0);
	return reap(d, 0, 0) < 0 ? -1 : (int)ram_get(d->b, STATUS, 1);
}

START_TEST(configuration)
{
	struct drv x, *d = &x;

	drv_plug(d, &virtio_blk_class, false);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0, 4), 0x10011af4);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 8, 1), 0);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0x2e, 2), 2);
	ck_assert_uint_eq(rd(d, d->common + 0x12, 2), 1);
	ck_assert_uint_eq(rd(d, d->common + 0x18, 2), 256);
	ck_assert_uint_eq(rd(d, d->config, 8), BOARD_DISK / 512);
	ck_assert_uint_eq(rd(d, d->config + 60, 4), 0);
	wr(d, d->common, 1, 4);
	ck_assert_uint_eq(rd(d, d->common + 4, 4), 1);
	wr(d, d->common, 2, 4);
	ck_assert_uint_eq(rd(d, d->common + 4, 4), 0);
	/* Features that are not offered, or VERSION_1 missing: no FEATURES_OK. */
	negotiate(d, VERSION_1 | BIT(60));
	ck_assert_uint_eq(status(d), 3);
	negotiate(d, BIT(9));
	ck_assert_uint_eq(status(d), 3);
	/* After FEATURES_OK they stand. */
	negotiate(d, VERSION_1 | BIT(9));
	ck_assert_uint_eq(status(d), 11);
	wr(d, d->common + 8, 0, 4);
	wr(d, d->common + 0xc, 0, 4);
	ck_assert_uint_eq(rd(d, d->common + 0xc, 4), BIT(9));
	/* Sizes that are no power of two, vectors that are not there. */
	wr(d, d->common + 0x18, 100, 2);
	wr(d, d->common + 0x18, 512, 2);
	ck_assert_uint_eq(rd(d, d->common + 0x18, 2), 256);
	wr(d, d->common + 0x1a, 2, 2);
	ck_assert_uint_eq(rd(d, d->common + 0x1a, 2), 0xffff);
	wr(d, d->common + 0x1a, 1, 2);
	ck_assert_uint_eq(rd(d, d->common + 0x1a, 2), 1);
	wr(d, d->common + 0x10, 0, 2);
	ck_assert_uint_eq(rd(d, d->common + 0x10, 2), 0);
	/* Queue 1 does not exist. */
	wr(d, d->common + 0x16, 1, 2);
	ck_assert_uint_eq(rd(d, d->common + 0x18, 2), 0);
	wr(d, d->common + 0x1c, 1, 2);
	ck_assert_uint_eq(rd(d, d->common + 0x1c, 2), 0);
	/* A write that fits no field changes nothing. */
	wr(d, d->common + 0x14, 0, 2);
	ck_assert_uint_eq(status(d), 11);
	drv_free(d);
	drv_plug(d, &virtio_blk_class, true);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0, 4), 0x10421af4);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 8, 1), 1);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0x10, 4), 0);
	drv_free(d);
}
END_TEST

START_TEST(blk_requests)
{
	struct drv x, *d = &x;
	u8 *ram;

	drv_plug(d, &virtio_blk_class, false);
	drv_start(d, BIT(9) | BIT(13) | BIT(14));
	ram = physmem_ptr(&d->b->mem, DATA);
	for (unsigned i = 0; i < 0x41000; i++)
		ram[i] = (u8)(i * 7 + (i >> 9));
	/* More than one piece of the bounce buffer. */
	ck_assert_int_eq(request(d, 1, 5, 0x41000, false), 0);
	ck_assert_int_eq(memcmp(d->b->disk + 5 * 512, ram, 0x41000), 0);
	ck_assert_uint_eq(d->b->flushes, 0);
	ram_fill(d->b, DATA, 0, 0x41000);
	ck_assert_int_eq(request(d, 0, 5, 0x41000, true), 0);
	ck_assert_uint_eq(ram_get(d->b, USED(0) + 4 + 8 * 1 + 4, 4), 0x41001);
	ck_assert_int_eq(memcmp(d->b->disk + 5 * 512, ram, 0x41000), 0);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(d->b->flushes, 1);
	ck_assert_int_eq(request(d, 8, 0, 20, true), 0);
	ck_assert_int_eq(memcmp(ram, "disk-serial\0\0\0\0\0\0\0\0\0", 20), 0);
	/* Discard and write zeroes */
	ram_put(d->b, DATA, 3, 8);
	ram_put(d->b, DATA + 8, 16, 8);
	ck_assert_int_eq(request(d, 11, 0, 16, false), 0);
	ck_assert_uint_eq(d->b->discarded, 16 * 512);
	ck_assert_int_eq(request(d, 13, 0, 16, false), 0);
	ck_assert_uint_eq(d->b->disk[18 * 512], 0);
	ck_assert_uint_ne(d->b->disk[19 * 512 + 1], 0);
	ram_put(d->b, DATA + 12, 1, 4); /* unmap */
	ck_assert_int_eq(request(d, 13, 0, 16, false), 0);
	ck_assert_int_eq(request(d, 11, 0, 16, false), 2);
	ram_put(d->b, DATA + 12, 0, 4);
	ck_assert_int_eq(request(d, 13, 0, 32, false), 1);
	ck_assert_int_eq(request(d, 11, 0, 15, false), 1);
	ram_put(d->b, DATA, BOARD_DISK / 512 - 15, 8);
	ck_assert_int_eq(request(d, 11, 0, 16, false), 1);
	drv_free(d);
}
END_TEST

START_TEST(blk_errors)
{
	struct drv x, *d = &x;
	u64 last = BOARD_DISK / 512 - 1;

	drv_plug(d, &virtio_blk_class, false);
	drv_start(d, BIT(9));
	ck_assert_int_eq(request(d, 0, last, 512, true), 0);
	ck_assert_int_eq(request(d, 0, last, 1024, true), 1);
	ck_assert_int_eq(request(d, 0, ~0ull, 512, true), 1);
	ck_assert_int_eq(request(d, 1, 1ull << 55, 512, false), 1);
	ck_assert_int_eq(request(d, 0, 0, 100, true), 1);
	ck_assert_int_eq(request(d, 0, 0, 0xffffffff, true), 1);
	ck_assert_int_eq(request(d, 0, 0, 0xfffffe00, true), 1);
	ck_assert_int_eq(request(d, 99, 0, 512, true), 2);
	ck_assert_int_eq(request(d, 11, 0, 16, false), 2); /* not negotiated */
	d->b->block_fails = true;
	ck_assert_int_eq(request(d, 0, 0, 512, true), 1);
	ck_assert_int_eq(request(d, 1, 0, 512, false), 1);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 1);
	d->b->block_fails = false;
	d->b->block.read_only = true;
	ck_assert_int_eq(request(d, 1, 0, 512, false), 1);
	d->b->block.read_only = false;
	ck_assert_uint_eq(status(d), 15);
	/* Without FLUSH every write goes through. */
	drv_start(d, 0);
	d->b->flushes = 0;
	ck_assert_int_eq(request(d, 1, 0, 512, false), 0);
	ck_assert_uint_eq(d->b->flushes, 1);
	/* So it does when the driver chose it. */
	drv_start(d, BIT(9) | BIT(11));
	ck_assert_uint_eq(rd(d, d->config + 32, 1), 1);
	ck_assert_int_eq(request(d, 1, 0, 512, false), 0);
	ck_assert_uint_eq(d->b->flushes, 1);
	wr(d, d->config + 32, 0, 1);
	ck_assert_uint_eq(d->b->flushes, 2);
	ck_assert_int_eq(request(d, 1, 0, 512, false), 0);
	ck_assert_uint_eq(d->b->flushes, 3);
	drv_free(d);
}
END_TEST

static void expect_broken(struct drv *d)
{
	ck_assert_uint_eq(status(d), 15 | 64);
	ck_assert_uint_eq(rd(d, d->isr, 1) & 2, 2);
	/* Only a reset heals. */
	wr(d, d->common + 0x14, 15, 1);
	ck_assert_uint_eq(status(d), 15 | 64);
	d->b->flushes = 0;
	kick(d, 0);
	ck_assert_uint_eq(d->b->flushes, 0);
	drv_start(d, INDIRECT_DESC);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0);
}

START_TEST(broken_rings)
{
	struct drv x, *d = &x;

	drv_plug(d, &virtio_blk_class, false);
	drv_start(d, INDIRECT_DESC);
	/* A loop */
	put_desc(d, RING(0), 0, HEADER, 16, NEXT, 1);
	put_desc(d, RING(0), 1, HEADER, 16, NEXT, 0);
	offer(d, 0, 0);
	kick(d, 0);
	expect_broken(d);
	/* Indices beyond the table, as head and as next */
	offer(d, 0, QSIZE);
	kick(d, 0);
	expect_broken(d);
	put_desc(d, RING(0), 0, HEADER, 16, NEXT, 0xffff);
	offer(d, 0, 0);
	kick(d, 0);
	expect_broken(d);
	/* The available index jumps */
	ram_put(d->b, AVAIL(0) + 2, (u16)(d->avail[0] + QSIZE + 1), 2);
	kick(d, 0);
	expect_broken(d);
	/* Readable behind writable */
	put_desc(d, RING(0), 0, STATUS, 1, NEXT | WRITE, 1);
	put_desc(d, RING(0), 1, HEADER, 16, 0, 0);
	offer(d, 0, 0);
	kick(d, 0);
	expect_broken(d);
	/* No header, no status */
	put_desc(d, RING(0), 0, HEADER, 15, NEXT, 1);
	put_desc(d, RING(0), 1, STATUS, 1, WRITE, 0);
	offer(d, 0, 0);
	kick(d, 0);
	expect_broken(d);
	put_desc(d, RING(0), 0, HEADER, 16, 0, 0);
	offer(d, 0, 0);
	kick(d, 0);
	expect_broken(d);
	/* A buffer around the end of the address space; a status outside RAM */
	put_desc(d, RING(0), 0, ~0ull - 3, 16, NEXT, 1);
	put_desc(d, RING(0), 1, STATUS, 1, WRITE, 0);
	offer(d, 0, 0);
	kick(d, 0);
	expect_broken(d);
	put_desc(d, RING(0), 0, HEADER, 16, NEXT, 1);
	put_desc(d, RING(0), 1, d->common, 1, WRITE, 0);
	offer(d, 0, 0);
	kick(d, 0);
	expect_broken(d);
	drv_free(d);
}
END_TEST

START_TEST(broken_addresses)
{
	struct drv x, *d = &x;

	drv_plug(d, &virtio_blk_class, false);
	/* Rings outside RAM, then misaligned ones */
	for (unsigned i = 0; i < 3; i++) {
		drv_start(d, 0);
		wr(d, d->common + 0x14, 0, 1);
		negotiate(d, VERSION_1);
		setup_queue(d, 0);
		d->x->vdev.q_desc[0] = i == 0 ? 0xfee00000 : RING(0);
		d->x->vdev.q_avail[0] = i == 1 ? BOARD_RAM : AVAIL(0);
		d->x->vdev.q_used[0] = i == 2 ? d->common : USED(0);
		wr(d, d->common + 0x14, 15, 1);
		clear_rings(d);
		ck_assert_int_eq(request(d, 4, 0, 0, false), -1);
		ck_assert_uint_eq(status(d), 15 | 64);
	}
	negotiate(d, VERSION_1);
	wr(d, d->common + 0x16, 0, 2);
	wr(d, d->common + 0x20, RING(0) + 8, 4);
	wr(d, d->common + 0x1c, 1, 2);
	ck_assert_uint_eq(rd(d, d->common + 0x1c, 2), 0);
	ck_assert_uint_eq(status(d), 11 | 64);
	/* Without bus mastering nothing can be fetched. */
	drv_start(d, 0);
	cfg_write(d->b, DEVFN, 4, 3, 2);
	ck_assert_int_eq(request(d, 4, 0, 0, false), -1);
	ck_assert_uint_eq(status(d), 15 | 64);
	drv_free(d);
}
END_TEST

START_TEST(indirect)
{
	struct drv x, *d = &x;
	unsigned n = 20; /* more than the ring has */

	drv_plug(d, &virtio_blk_class, false);
	drv_start(d, INDIRECT_DESC | BIT(9));
	ram_put(d->b, HEADER, 0, 8);
	ram_put(d->b, HEADER + 8, 0, 8);
	for (unsigned i = 0; i < BOARD_DISK; i++)
		d->b->disk[i] = (u8)(i / 512 + 1);
	put_desc(d, TABLE, 0, HEADER, 16, NEXT, 1);
	for (unsigned i = 1; i <= n; i++)
		put_desc(d, TABLE, i, DATA + 0x1000 * (n - i), 512, NEXT | WRITE, (u16)(i + 1));
	put_desc(d, TABLE, n + 1, STATUS, 1, WRITE, 0);
	put_desc(d, RING(0), 3, TABLE, 16 * (n + 2), INDIRECT, 0);
	offer(d, 0, 3);
	kick(d, 0);
	ck_assert_int_eq(reap(d, 0, 3), 512 * n + 1);
	for (unsigned i = 1; i <= n; i++)
		ck_assert_uint_eq(ram_get(d->b, DATA + 0x1000 * (n - i) + 511, 1), i);
	/* Nested, of odd size, empty, with NEXT, not negotiated */
	put_desc(d, TABLE, 0, TABLE, 32, INDIRECT, 0);
	offer(d, 0, 3);
	kick(d, 0);
	expect_broken(d);
	put_desc(d, RING(0), 3, TABLE, 24, INDIRECT, 0);
	offer(d, 0, 3);
	kick(d, 0);
	expect_broken(d);
	put_desc(d, RING(0), 3, TABLE, 0, INDIRECT, 0);
	offer(d, 0, 3);
	kick(d, 0);
	expect_broken(d);
	put_desc(d, RING(0), 3, TABLE, 32, INDIRECT | NEXT, 0);
	offer(d, 0, 3);
	kick(d, 0);
	expect_broken(d);
	/* Longer than any chain may be */
	for (unsigned i = 0; i < 300; i++)
		put_desc(d, TABLE, i, HEADER, 16, NEXT, (u16)(i + 1));
	put_desc(d, RING(0), 3, TABLE, 16 * 300, INDIRECT, 0);
	offer(d, 0, 3);
	kick(d, 0);
	expect_broken(d);
	drv_start(d, 0);
	put_desc(d, RING(0), 3, TABLE, 16 * (n + 2), INDIRECT, 0);
	offer(d, 0, 3);
	kick(d, 0);
	expect_broken(d);
	drv_free(d);
}
END_TEST

START_TEST(notification_suppression)
{
	struct drv x, *d = &x;

	drv_plug(d, &virtio_blk_class, false);
	drv_start(d, 0);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0);
	ck_assert(d->b->pin[3]);
	ck_assert_uint_eq(rd(d, d->isr, 1), 1);
	ck_assert_uint_eq(rd(d, d->isr, 1), 0);
	ck_assert(!d->b->pin[3]);
	ram_put(d->b, AVAIL(0), 1, 2); /* VIRTQ_AVAIL_F_NO_INTERRUPT */
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0);
	ck_assert(!d->b->pin[3]);
	/* used_event: wake me after the third. */
	drv_start(d, EVENT_IDX);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(rd(d, d->isr, 1), 1);
	ck_assert_uint_eq(ram_get(d->b, USED(0) + 4 + 8 * QSIZE, 2), 1); /* avail_event */
	ram_put(d->b, AVAIL(0) + 4 + 2 * QSIZE, 2, 2);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(rd(d, d->isr, 1), 0);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(rd(d, d->isr, 1), 1);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(rd(d, d->isr, 1), 0);
	ck_assert_uint_eq(ram_get(d->b, USED(0) + 4 + 8 * QSIZE, 2), 4);
	drv_free(d);
}
END_TEST

START_TEST(vectors)
{
	struct drv x, *d = &x;
	unsigned cap;
	u64 table;

	drv_plug(d, &virtio_blk_class, false);
	cap = cfg_find_cap(d->b, DEVFN, PCI_CAP_MSIX, 0);
	table = cfg_read(d->b, DEVFN, 0x14, 4) & ~15u;
	cfg_write(d->b, DEVFN, cap + 2, 0x8000, 2);
	for (unsigned n = 0; n < 2; n++) {
		wr(d, table + 16 * n, 0xfee00000, 8);
		wr(d, table + 16 * n + 8, 0x30 + n, 8);
	}
	drv_start(d, 0);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0); /* no vector: no message */
	ck_assert_uint_eq(d->b->msis, 0);
	wr(d, d->common + 0x1a, 1, 2);
	wr(d, d->common + 0x10, 0, 2);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(d->b->msis, 1);
	ck_assert_uint_eq(d->b->msi[0].data, 0x31);
	ck_assert(!d->b->pin[3]);
	virtio_config_changed(&d->x->vdev);
	ck_assert_uint_eq(d->b->msi[1].data, 0x30);
	ck_assert_uint_eq(rd(d, d->common + 0x15, 1), 1);
	check_round_trip(&d->x->pci.dev);
	ck_assert_int_eq(request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(d->b->msis, 3);
	drv_free(d);
}
END_TEST

static u64 in(struct drv *d, unsigned port, unsigned size)
{
	return bus_read(&d->b->ports, d->legacy + port, size);
}

static void out(struct drv *d, unsigned port, u64 value, unsigned size)
{
	bus_write(&d->b->ports, d->legacy + port, value, size);
}

/* The legacy layout: 256 descriptors at 40000h, avail behind them, used on the next page. */
START_TEST(legacy)
{
	struct drv x, *d = &x;
	u64 desc = 0x40000, avail = desc + 4096, used = avail + 4096;

	drv_plug(d, &virtio_blk_class, false);
	out(d, 0x12, 0, 1);
	out(d, 0x12, 3, 1);
	ck_assert_uint_eq(in(d, 0, 4) & BIT(9), BIT(9));
	out(d, 4, BIT(9), 4);
	ck_assert_uint_eq(in(d, 4, 4), BIT(9));
	out(d, 0x0e, 0, 2);
	ck_assert_uint_eq(in(d, 0x0c, 2), 256);
	ck_assert_uint_eq(in(d, 8, 4), 0);
	out(d, 8, desc >> 12, 4);
	ck_assert_uint_eq(in(d, 8, 4), desc >> 12);
	out(d, 0x0e, 1, 2);
	ck_assert_uint_eq(in(d, 0x0c, 2), 0);
	out(d, 0x0e, 0, 2);
	ck_assert_uint_eq(in(d, 0x14, 8), BOARD_DISK / 512);
	d->b->disk[1000] = 0x42;
	ram_put(d->b, HEADER, 0, 8);
	ram_put(d->b, HEADER + 8, 0, 8);
	put_desc(d, desc, 255, HEADER, 16, NEXT, 7);
	put_desc(d, desc, 7, DATA, 1024, NEXT | WRITE, 9);
	put_desc(d, desc, 9, STATUS, 1, WRITE, 0);
	ram_put(d->b, avail + 4, 255, 2);
	ram_put(d->b, avail + 2, 1, 2);
	out(d, 0x10, 0, 2); /* before DRIVER_OK, as old drivers do */
	ck_assert_uint_eq(ram_get(d->b, used + 2, 2), 1);
	ck_assert_uint_eq(ram_get(d->b, used + 4, 4), 255);
	ck_assert_uint_eq(ram_get(d->b, used + 8, 4), 1025);
	ck_assert_uint_eq(ram_get(d->b, DATA + 1000, 1), 0x42);
	out(d, 0x12, 7, 1);
	ck_assert(d->b->pin[3]);
	ck_assert_uint_eq(in(d, 0x13, 1), 1);
	ck_assert(!d->b->pin[3]);
	/* With MSI-X two vector registers come in front of the configuration. */
	cfg_write(d->b, DEVFN, cfg_find_cap(d->b, DEVFN, PCI_CAP_MSIX, 0) + 2, 0x8000, 2);
	ck_assert_uint_eq(in(d, 0x14, 2), 0xffff);
	out(d, 0x14, 1, 2);
	out(d, 0x16, 5, 2);
	ck_assert_uint_eq(in(d, 0x14, 4), 1); /* the field alone; wider reads see no neighbour */
	ck_assert_uint_eq(in(d, 0x16, 2), 0xffff);
	ck_assert_uint_eq(in(d, 0x18, 8), BOARD_DISK / 512);
	out(d, 8, 0, 4);
	ck_assert_uint_eq(in(d, 8, 4), 0);
	out(d, 0x10, 0, 2);
	check_round_trip(&d->x->pci.dev);
	out(d, 0x12, 0, 1);
	ck_assert_uint_eq(in(d, 0x12, 1), 0);
	drv_free(d);
}
END_TEST

START_TEST(pci_access_capability)
{
	struct drv x, *d = &x;
	unsigned cap;

	drv_plug(d, &virtio_blk_class, false);
	cap = cfg_find_cap(d->b, DEVFN, PCI_CAP_VENDOR, 0);
	while (cfg_read(d->b, DEVFN, cap + 3, 1) != 5)
		cap = cfg_find_cap(d->b, DEVFN, PCI_CAP_VENDOR, cap);
	cfg_write(d->b, DEVFN, cap + 4, 4, 1);
	cfg_write(d->b, DEVFN, cap + 8, 0x2000, 4);
	cfg_write(d->b, DEVFN, cap + 12, 4, 4);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, cap + 16, 4), BOARD_DISK / 512);
	cfg_write(d->b, DEVFN, cap + 8, 0x14, 4);
	cfg_write(d->b, DEVFN, cap + 12, 1, 4);
	cfg_write(d->b, DEVFN, cap + 16, 3, 4);
	ck_assert_uint_eq(status(d), 3);
	/* Nonsense windows do nothing. */
	cfg_write(d->b, DEVFN, cap + 8, 0xffffffff, 4);
	cfg_write(d->b, DEVFN, cap + 16, 0, 4);
	cfg_write(d->b, DEVFN, cap + 8, 0x3fff, 4);
	cfg_write(d->b, DEVFN, cap + 12, 4, 4);
	cfg_write(d->b, DEVFN, cap + 16, 0, 4);
	cfg_write(d->b, DEVFN, cap + 12, 0, 4);
	cfg_write(d->b, DEVFN, cap + 16, 0, 4);
	cfg_write(d->b, DEVFN, cap + 4, 0xff, 1);
	cfg_write(d->b, DEVFN, cap + 12, 1, 4);
	cfg_write(d->b, DEVFN, cap + 16, 0, 4);
	cfg_read(d->b, DEVFN, cap + 16, 4);
	ck_assert_uint_eq(status(d), 3);
	drv_free(d);
}
END_TEST

START_TEST(blk_budget)
{
	struct drv x, *d = &x;

	drv_plug(d, &virtio_blk_class, false);
	drv_start(d, BIT(9));
	ram_put(d->b, HEADER, 0, 8);
	ram_put(d->b, HEADER + 8, 0, 8);
	put_desc(d, RING(0), 0, HEADER, 16, NEXT, 1);
	put_desc(d, RING(0), 1, DATA, BOARD_DISK, NEXT | WRITE, 2);
	put_desc(d, RING(0), 2, STATUS, 1, WRITE, 0);
	for (unsigned i = 0; i < QSIZE; i++)
		offer(d, 0, 0);
	kick(d, 0);
	ck_assert_uint_eq(ram_get(d->b, USED(0) + 2, 2), 4); /* 8 MiB of 16 */
	check_round_trip(&d->x->pci.dev);
	board_run_timers(d->b);
	ck_assert_uint_eq(ram_get(d->b, USED(0) + 2, 2), 8);
	/* A reset forgets what was left. */
	for (unsigned i = 0; i < QSIZE; i++)
		offer(d, 0, 0);
	kick(d, 0);
	wr(d, d->common + 0x14, 0, 1);
	ck_assert_uint_eq(clock_next(&d->b->clock), CLOCK_NEVER);
	drv_free(d);
}
END_TEST

START_TEST(console)
{
	struct drv x, *d = &x;

	drv_plug(d, &virtio_console_class, false);
	drv_start(d, BIT(0) | BIT(2));
	put_desc(d, RING(1), 0, DATA, 5, NEXT, 1);
	put_desc(d, RING(1), 1, DATA + 0x100, 3, 0, 0);
	memcpy(physmem_ptr(&d->b->mem, DATA), "hello", 5);
	memcpy(physmem_ptr(&d->b->mem, DATA + 0x100), "abc", 3);
	offer(d, 1, 0);
	kick(d, 1);
	ck_assert_int_eq(reap(d, 1, 0), 0);
	ck_assert_uint_eq(d->outs, 8);
	ck_assert_int_eq(memcmp(d->out, "helloabc", 8), 0);
	/* Input spreads over the buffers that are there. */
	ck_assert_uint_eq(d->chr.can_receive(d->chr.chip), 0);
	put_desc(d, RING(0), 0, DATA, 4, WRITE, 0);
	put_desc(d, RING(0), 1, DATA + 0x10, 100, WRITE, 0);
	offer(d, 0, 0);
	offer(d, 0, 1);
	ck_assert_uint_eq(d->chr.can_receive(d->chr.chip), 4);
	d->chr.receive(d->chr.chip, (const u8 *)"0123456", 7);
	ck_assert_int_eq(reap(d, 0, 0), 4);
	ck_assert_int_eq(reap(d, 0, 1), 3);
	ck_assert_int_eq(memcmp(physmem_ptr(&d->b->mem, DATA + 0x10), "456", 3), 0);
	ck_assert_uint_eq(d->chr.can_receive(d->chr.chip), 0);
	ck_assert(d->b->pin[3]);
	/* Size by configuration change; emergency write */
	rd(d, d->isr, 1);
	virtio_console_resize(d->con, 132, 50);
	ck_assert_uint_eq(rd(d, d->isr, 1), 2);
	ck_assert_uint_eq(rd(d, d->config, 4), 50 << 16 | 132);
	wr(d, d->config + 8, '!', 4);
	ck_assert_uint_eq(d->outs, 9);
	ck_assert_uint_eq(d->out[8], '!');
	check_round_trip(&d->x->pci.dev);
	check_hostile_state(&d->x->pci.dev);
	/* More than a console can be told at once */
	put_desc(d, RING(1), 0, DATA, 0xfff00000, 0, 0);
	offer(d, 1, 0);
	kick(d, 1);
	ck_assert_uint_eq(status(d), 15 | 64);
	drv_free(d);
}
END_TEST

static void send_control(struct drv *d, u16 event, u16 value)
{
	ram_put(d->b, HEADER, 0, 4);
	ram_put(d->b, HEADER + 4, event, 2);
	ram_put(d->b, HEADER + 6, value, 2);
	put_desc(d, RING(3), 0, HEADER, 8, 0, 0);
	offer(d, 3, 0);
	kick(d, 3);
	ck_assert_int_eq(reap(d, 3, 0), 0);
}

START_TEST(console_multiport)
{
	struct drv x, *d = &x;

	drv_plug(d, &virtio_console_class, false);
	drv_start(d, BIT(0) | BIT(1));
	ck_assert_uint_eq(rd(d, d->config + 4, 4), 1);
	virtio_console_resize(d->con, 80, 25);
	send_control(d, 0, 1); /* DEVICE_READY; no buffers for an answer yet */
	check_round_trip(&d->x->pci.dev);
	for (u16 i = 0; i < 4; i++) {
		put_desc(d, RING(2), i, DATA + 0x100 * i, 32, WRITE, 0);
		offer(d, 2, i);
	}
	kick(d, 2);
	ck_assert_int_eq(reap(d, 2, 0), 8);
	ck_assert_uint_eq(ram_get(d->b, DATA + 4, 2), 1); /* DEVICE_ADD */
	ck_assert_int_eq(reap(d, 2, 1), 12);
	ck_assert_uint_eq(ram_get(d->b, DATA + 0x104, 2), 5); /* RESIZE */
	ck_assert_uint_eq(ram_get(d->b, DATA + 0x108, 4), 25 << 16 | 80);
	send_control(d, 3, 1); /* PORT_READY */
	ck_assert_int_eq(reap(d, 2, 2), 8);
	ck_assert_uint_eq(ram_get(d->b, DATA + 0x204, 2), 4); /* CONSOLE_PORT */
	ck_assert_int_eq(reap(d, 2, 3), 12);
	offer(d, 2, 0);
	kick(d, 2);
	ck_assert_int_eq(reap(d, 2, 0), 8);
	ck_assert_uint_eq(ram_get(d->b, DATA + 4, 4), 0x10006); /* PORT_OPEN */
	/* Input only while the guest has the port open. */
	put_desc(d, RING(0), 0, DATA, 64, WRITE, 0);
	offer(d, 0, 0);
	ck_assert_uint_eq(d->chr.can_receive(d->chr.chip), 0);
	send_control(d, 6, 1);
	ck_assert_uint_eq(d->chr.can_receive(d->chr.chip), 64);
	drv_free(d);
}
END_TEST

START_TEST(rng)
{
	struct drv x, *d = &x;

	drv_plug(d, &virtio_rng_class, false);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0, 4), 0x10051af4);
	drv_start(d, 0);
	ram_fill(d->b, DATA, 0, 0x100);
	put_desc(d, RING(0), 2, DATA, 100, WRITE | NEXT, 3);
	put_desc(d, RING(0), 3, DATA + 0x1000, 300, WRITE, 0);
	offer(d, 0, 2);
	kick(d, 0);
	ck_assert_int_eq(reap(d, 0, 2), 400);
	ck_assert_uint_eq(ram_get(d->b, DATA + 99, 2), 0x5a);
	ck_assert_uint_eq(ram_get(d->b, DATA + 0x1000 + 299, 1), 0x5a);
	/* A huge buffer is answered in part, one outside RAM breaks. */
	put_desc(d, RING(0), 2, DATA, 0x100000, WRITE, 0);
	offer(d, 0, 2);
	kick(d, 0);
	ck_assert_int_eq(reap(d, 0, 2), 0x4000);
	put_desc(d, RING(0), 2, 0xfee00000, 16, WRITE, 0);
	offer(d, 0, 2);
	kick(d, 0);
	ck_assert_uint_eq(status(d), 15 | 64);
	check_round_trip(&d->x->pci.dev);
	drv_free(d);
}
END_TEST

START_TEST(blk_state)
{
	struct drv x, *d = &x;

	drv_plug(d, &virtio_blk_class, false);
	drv_start(d, EVENT_IDX | BIT(9));
	ck_assert_int_eq(request(d, 1, 0, 512, false), 0);
	check_round_trip(&d->x->pci.dev);
	check_hostile_state(&d->x->pci.dev);
	ck_assert_int_eq(request(d, 0, 0, 512, true), 0);
	drv_free(d);
}
END_TEST

static void fuzz_ring(struct drv *d, u64 *seed)
{
	static const u64 places[] = {DATA,	     HEADER,	 RING(0), USED(0),
				     BOARD_RAM - 64, 0xe0000000, ~0ull};
	u32 r = test_random(seed);
	unsigned q = r % 4;

	ram_put(d->b, HEADER, r >> 8 & 15, 8);
	ram_put(d->b, HEADER + 8, r >> 12 & 0x7f, 8);
	for (unsigned i = 0; i < QSIZE; i++) {
		u32 v = test_random(seed);
		u16 flags = i < 3 ? (u16)((i < 2) | (i ? WRITE : 0)) : v & 7;

		put_desc(d, RING(q), i, v & 0x70000 ? DATA : places[(v >> 8) % 7],
			 v & 0x80000 ? v
			 : i	     ? 512u
				     : 16u,
			 flags, (u16)(v & 0x300000 ? i + 1 : v % (QSIZE + 1)));
	}
	d->avail[q] = (u16)(ram_get(d->b, AVAIL(q) + 2, 2) + (r >> 20 & 3));
	ram_put(d->b, AVAIL(q) + 4 + 2 * (r >> 24 & 7), r >> 28, 2);
	ram_put(d->b, AVAIL(q) + 2, d->avail[q], 2);
	kick(d, q);
}

static void fuzz(const struct device_class *cls)
{
	struct drv x, *d = &x;
	u64 seed = 3;

	drv_plug(d, cls, false);
	drv_start(d, EVENT_IDX | INDIRECT_DESC);
	for (unsigned i = 0; i < 50000; i++) {
		u32 r = test_random(&seed), v = test_random(&seed);

		switch (r % 8) {
		case 0:
			wr(d, d->common + (r >> 8 & 0x3f), v & 0x1ff, 1u << (r >> 4 & 3));
			break;
		case 1:
			out(d, r >> 8 & 0x7f, r & 0x100000 ? v : v & 0x1f, 1u << (r >> 4 & 3));
			break;
		case 2:
			rd(d, d->common + (r >> 8 & 0x3fff), 1u << (r >> 4 & 3));
			in(d, r >> 8 & 0x7f, 1u << (r >> 4 & 3));
			break;
		case 3:
			wr(d, d->config + (r >> 8 & 0x3f), v, 1u << (r >> 4 & 3));
			if (r & 0x10000)
				board_run_timers(d->b);
			if ((r >> 17 & 31) == 0)
				damage_state(&d->x->pci.dev, &seed);
			break;
		case 4:
			if (cls == &virtio_console_class) {
				d->chr.can_receive(d->chr.chip);
				d->chr.receive(d->chr.chip, (const u8 *)&v, 4);
			}
			kick(d, r >> 8 & 7);
			break;
		default:
			fuzz_ring(d, &seed);
		}
		if (i % 64 == 0) {
			virtio_pci_reset(d->x);
			board_assign(d->b);
			cfg_write(d->b, DEVFN, 4, 7, 2);
			drv_start(d, (v & 1 ? EVENT_IDX : 0) | (v & 2 ? INDIRECT_DESC : 0) |
					     (v & 4 && cls == &virtio_console_class ? BIT(1) : 0));
		}
	}
	check_round_trip(&d->x->pci.dev);
	drv_free(d);
}

START_TEST(fuzz_blk)
{
	fuzz(&virtio_blk_class);
}
END_TEST

START_TEST(fuzz_console)
{
	fuzz(&virtio_console_class);
}
END_TEST

START_TEST(fuzz_rng)
{
	fuzz(&virtio_rng_class);
}
END_TEST

Suite *virtio_suite(void)
{
	Suite *s = suite_create("virtio");
	TCase *t = tcase_create("virtio");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, configuration);
	tcase_add_test(t, blk_requests);
	tcase_add_test(t, blk_errors);
	tcase_add_test(t, broken_rings);
	tcase_add_test(t, broken_addresses);
	tcase_add_test(t, indirect);
	tcase_add_test(t, notification_suppression);
	tcase_add_test(t, vectors);
	tcase_add_test(t, legacy);
	tcase_add_test(t, pci_access_capability);
	tcase_add_test(t, blk_budget);
	tcase_add_test(t, blk_state);
	tcase_add_test(t, console);
	tcase_add_test(t, console_multiport);
	tcase_add_test(t, rng);
	tcase_add_test(t, fuzz_blk);
	tcase_add_test(t, fuzz_console);
	tcase_add_test(t, fuzz_rng);
	suite_add_tcase(s, t);
	return s;
}
