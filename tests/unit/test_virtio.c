/*
 * virtio core and its PCI transport: configuration, rings, interrupts, the legacy interface, and
 * nonsense of every kind.
 */
#include "tests/unit/test_virtio.h"

START_TEST(configuration)
{
	struct drv x, *d = &x;

	vt_plug(d, &virtio_blk_class, false);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0, 4), 0x10011af4);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 8, 1), 0);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0x2e, 2), 2);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x12, 2), 1);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x18, 2), 256);
	ck_assert_uint_eq(vt_rd(d, d->config, 8), BOARD_DISK / 512);
	ck_assert_uint_eq(vt_rd(d, d->config + 60, 4), 0);
	vt_wr(d, d->common, 1, 4);
	ck_assert_uint_eq(vt_rd(d, d->common + 4, 4), 1);
	vt_wr(d, d->common, 2, 4);
	ck_assert_uint_eq(vt_rd(d, d->common + 4, 4), 0);
	/* Features that are not offered, or VERSION_1 missing: no FEATURES_OK. */
	vt_negotiate(d, VERSION_1 | BIT(60));
	ck_assert_uint_eq(vt_status(d), 3);
	vt_negotiate(d, BIT(9));
	ck_assert_uint_eq(vt_status(d), 3);
	/* After FEATURES_OK they stand. */
	vt_negotiate(d, VERSION_1 | BIT(9));
	ck_assert_uint_eq(vt_status(d), 11);
	vt_wr(d, d->common + 8, 0, 4);
	vt_wr(d, d->common + 0xc, 0, 4);
	ck_assert_uint_eq(vt_rd(d, d->common + 0xc, 4), BIT(9));
	/* Sizes that are no power of two, vectors that are not there. */
	vt_wr(d, d->common + 0x18, 100, 2);
	vt_wr(d, d->common + 0x18, 512, 2);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x18, 2), 256);
	vt_wr(d, d->common + 0x1a, 2, 2);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x1a, 2), 0xffff);
	vt_wr(d, d->common + 0x1a, 1, 2);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x1a, 2), 1);
	vt_wr(d, d->common + 0x10, 0, 2);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x10, 2), 0);
	/* Queue 1 does not exist. */
	vt_wr(d, d->common + 0x16, 1, 2);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x18, 2), 0);
	vt_wr(d, d->common + 0x1c, 1, 2);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x1c, 2), 0);
	/* A write that fits no field changes nothing. */
	vt_wr(d, d->common + 0x14, 0, 2);
	ck_assert_uint_eq(vt_status(d), 11);
	vt_free(d);
	vt_plug(d, &virtio_blk_class, true);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0, 4), 0x10421af4);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 8, 1), 1);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0x10, 4), 0);
	vt_free(d);
}
END_TEST

static void expect_broken(struct drv *d)
{
	ck_assert_uint_eq(vt_status(d), 15 | 64);
	ck_assert_uint_eq(vt_rd(d, d->isr, 1) & 2, 2);
	/* Only a reset heals. */
	vt_wr(d, d->common + 0x14, 15, 1);
	ck_assert_uint_eq(vt_status(d), 15 | 64);
	d->b->flushes = 0;
	vt_kick(d, 0);
	ck_assert_uint_eq(d->b->flushes, 0);
	vt_start(d, INDIRECT_DESC);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0);
}

START_TEST(broken_rings)
{
	struct drv x, *d = &x;

	vt_plug(d, &virtio_blk_class, false);
	vt_start(d, INDIRECT_DESC);
	/* A loop */
	vt_put_desc(d, RING(0), 0, HEADER, 16, NEXT, 1);
	vt_put_desc(d, RING(0), 1, HEADER, 16, NEXT, 0);
	vt_offer(d, 0, 0);
	vt_kick(d, 0);
	expect_broken(d);
	/* Indices beyond the table, as head and as next */
	vt_offer(d, 0, QSIZE);
	vt_kick(d, 0);
	expect_broken(d);
	vt_put_desc(d, RING(0), 0, HEADER, 16, NEXT, 0xffff);
	vt_offer(d, 0, 0);
	vt_kick(d, 0);
	expect_broken(d);
	/* The available index jumps */
	ram_put(d->b, AVAIL(0) + 2, (u16)(d->avail[0] + QSIZE + 1), 2);
	vt_kick(d, 0);
	expect_broken(d);
	/* Readable behind writable */
	vt_put_desc(d, RING(0), 0, STATUS, 1, NEXT | WRITE, 1);
	vt_put_desc(d, RING(0), 1, HEADER, 16, 0, 0);
	vt_offer(d, 0, 0);
	vt_kick(d, 0);
	expect_broken(d);
	/* No header, no status */
	vt_put_desc(d, RING(0), 0, HEADER, 15, NEXT, 1);
	vt_put_desc(d, RING(0), 1, STATUS, 1, WRITE, 0);
	vt_offer(d, 0, 0);
	vt_kick(d, 0);
	expect_broken(d);
	vt_put_desc(d, RING(0), 0, HEADER, 16, 0, 0);
	vt_offer(d, 0, 0);
	vt_kick(d, 0);
	expect_broken(d);
	/* A buffer around the end of the address space; a status outside RAM */
	vt_put_desc(d, RING(0), 0, ~0ull - 3, 16, NEXT, 1);
	vt_put_desc(d, RING(0), 1, STATUS, 1, WRITE, 0);
	vt_offer(d, 0, 0);
	vt_kick(d, 0);
	expect_broken(d);
	vt_put_desc(d, RING(0), 0, HEADER, 16, NEXT, 1);
	vt_put_desc(d, RING(0), 1, d->common, 1, WRITE, 0);
	vt_offer(d, 0, 0);
	vt_kick(d, 0);
	expect_broken(d);
	vt_free(d);
}
END_TEST

START_TEST(broken_addresses)
{
	struct drv x, *d = &x;

	vt_plug(d, &virtio_blk_class, false);
	/* Rings outside RAM, then misaligned ones */
	for (unsigned i = 0; i < 3; i++) {
		vt_start(d, 0);
		vt_wr(d, d->common + 0x14, 0, 1);
		vt_negotiate(d, VERSION_1);
		vt_setup_queue(d, 0);
		d->x->vdev.q_desc[0] = i == 0 ? 0xfee00000 : RING(0);
		d->x->vdev.q_avail[0] = i == 1 ? BOARD_RAM : AVAIL(0);
		d->x->vdev.q_used[0] = i == 2 ? d->common : USED(0);
		vt_wr(d, d->common + 0x14, 15, 1);
		vt_clear_rings(d);
		ck_assert_int_eq(vt_request(d, 4, 0, 0, false), -1);
		ck_assert_uint_eq(vt_status(d), 15 | 64);
	}
	vt_negotiate(d, VERSION_1);
	vt_wr(d, d->common + 0x16, 0, 2);
	vt_wr(d, d->common + 0x20, RING(0) + 8, 4);
	vt_wr(d, d->common + 0x1c, 1, 2);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x1c, 2), 0);
	ck_assert_uint_eq(vt_status(d), 11 | 64);
	/* Without bus mastering nothing can be fetched. */
	vt_start(d, 0);
	cfg_write(d->b, DEVFN, 4, 3, 2);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), -1);
	ck_assert_uint_eq(vt_status(d), 15 | 64);
	vt_free(d);
}
END_TEST

START_TEST(indirect)
{
	struct drv x, *d = &x;
	unsigned n = 20; /* more than the ring has */

	vt_plug(d, &virtio_blk_class, false);
	vt_start(d, INDIRECT_DESC | BIT(9));
	ram_put(d->b, HEADER, 0, 8);
	ram_put(d->b, HEADER + 8, 0, 8);
	for (unsigned i = 0; i < BOARD_DISK; i++)
		d->b->disk[i] = (u8)(i / 512 + 1);
	vt_put_desc(d, TABLE, 0, HEADER, 16, NEXT, 1);
	for (unsigned i = 1; i <= n; i++)
		vt_put_desc(d, TABLE, i, DATA + 0x1000 * (n - i), 512, NEXT | WRITE, (u16)(i + 1));
	vt_put_desc(d, TABLE, n + 1, STATUS, 1, WRITE, 0);
	vt_put_desc(d, RING(0), 3, TABLE, 16 * (n + 2), INDIRECT, 0);
	vt_offer(d, 0, 3);
	vt_kick(d, 0);
	ck_assert_int_eq(vt_reap(d, 0, 3), 512 * n + 1);
	for (unsigned i = 1; i <= n; i++)
		ck_assert_uint_eq(ram_get(d->b, DATA + 0x1000 * (n - i) + 511, 1), i);
	/* Nested, of odd size, empty, with NEXT, not negotiated */
	vt_put_desc(d, TABLE, 0, TABLE, 32, INDIRECT, 0);
	vt_offer(d, 0, 3);
	vt_kick(d, 0);
	expect_broken(d);
	vt_put_desc(d, RING(0), 3, TABLE, 24, INDIRECT, 0);
	vt_offer(d, 0, 3);
	vt_kick(d, 0);
	expect_broken(d);
	vt_put_desc(d, RING(0), 3, TABLE, 0, INDIRECT, 0);
	vt_offer(d, 0, 3);
	vt_kick(d, 0);
	expect_broken(d);
	vt_put_desc(d, RING(0), 3, TABLE, 32, INDIRECT | NEXT, 0);
	vt_offer(d, 0, 3);
	vt_kick(d, 0);
	expect_broken(d);
	/* Longer than any chain may be */
	for (unsigned i = 0; i < 300; i++)
		vt_put_desc(d, TABLE, i, HEADER, 16, NEXT, (u16)(i + 1));
	vt_put_desc(d, RING(0), 3, TABLE, 16 * 300, INDIRECT, 0);
	vt_offer(d, 0, 3);
	vt_kick(d, 0);
	expect_broken(d);
	vt_start(d, 0);
	vt_put_desc(d, RING(0), 3, TABLE, 16 * (n + 2), INDIRECT, 0);
	vt_offer(d, 0, 3);
	vt_kick(d, 0);
	expect_broken(d);
	vt_free(d);
}
END_TEST

START_TEST(notification_suppression)
{
	struct drv x, *d = &x;

	vt_plug(d, &virtio_blk_class, false);
	vt_start(d, 0);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0);
	ck_assert(d->b->pin[3]);
	ck_assert_uint_eq(vt_rd(d, d->isr, 1), 1);
	ck_assert_uint_eq(vt_rd(d, d->isr, 1), 0);
	ck_assert(!d->b->pin[3]);
	ram_put(d->b, AVAIL(0), 1, 2); /* VIRTQ_AVAIL_F_NO_INTERRUPT */
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0);
	ck_assert(!d->b->pin[3]);
	/* used_event: wake me after the third. */
	vt_start(d, EVENT_IDX);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(vt_rd(d, d->isr, 1), 1);
	ck_assert_uint_eq(ram_get(d->b, USED(0) + 4 + 8 * QSIZE, 2), 1); /* avail_event */
	ram_put(d->b, AVAIL(0) + 4 + 2 * QSIZE, 2, 2);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(vt_rd(d, d->isr, 1), 0);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(vt_rd(d, d->isr, 1), 1);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(vt_rd(d, d->isr, 1), 0);
	ck_assert_uint_eq(ram_get(d->b, USED(0) + 4 + 8 * QSIZE, 2), 4);
	vt_free(d);
}
END_TEST

START_TEST(vectors)
{
	struct drv x, *d = &x;
	unsigned cap;
	u64 table;

	vt_plug(d, &virtio_blk_class, false);
	cap = cfg_find_cap(d->b, DEVFN, PCI_CAP_MSIX, 0);
	table = cfg_read(d->b, DEVFN, 0x14, 4) & ~15u;
	cfg_write(d->b, DEVFN, cap + 2, 0x8000, 2);
	for (unsigned n = 0; n < 2; n++) {
		vt_wr(d, table + 16 * n, 0xfee00000, 8);
		vt_wr(d, table + 16 * n + 8, 0x30 + n, 8);
	}
	vt_start(d, 0);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0); /* no vector: no message */
	ck_assert_uint_eq(d->b->msis, 0);
	vt_wr(d, d->common + 0x1a, 1, 2);
	vt_wr(d, d->common + 0x10, 0, 2);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(d->b->msis, 1);
	ck_assert_uint_eq(d->b->msi[0].data, 0x31);
	ck_assert(!d->b->pin[3]);
	virtio_config_changed(&d->x->vdev);
	ck_assert_uint_eq(d->b->msi[1].data, 0x30);
	ck_assert_uint_eq(vt_rd(d, d->common + 0x15, 1), 1);
	check_round_trip(&d->x->pci.dev);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(d->b->msis, 3);
	vt_free(d);
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

	vt_plug(d, &virtio_blk_class, false);
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
	vt_put_desc(d, desc, 255, HEADER, 16, NEXT, 7);
	vt_put_desc(d, desc, 7, DATA, 1024, NEXT | WRITE, 9);
	vt_put_desc(d, desc, 9, STATUS, 1, WRITE, 0);
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
	vt_free(d);
}
END_TEST

START_TEST(pci_access_capability)
{
	struct drv x, *d = &x;
	unsigned cap;

	vt_plug(d, &virtio_blk_class, false);
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
	ck_assert_uint_eq(vt_status(d), 3);
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
	ck_assert_uint_eq(vt_status(d), 3);
	vt_free(d);
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

		vt_put_desc(d, RING(q), i, v & 0x70000 ? DATA : places[(v >> 8) % 7],
			    v & 0x80000 ? v
			    : i		? 512u
					: 16u,
			    flags, (u16)(v & 0x300000 ? i + 1 : v % (QSIZE + 1)));
	}
	d->avail[q] = (u16)(ram_get(d->b, AVAIL(q) + 2, 2) + (r >> 20 & 3));
	ram_put(d->b, AVAIL(q) + 4 + 2 * (r >> 24 & 7), r >> 28, 2);
	ram_put(d->b, AVAIL(q) + 2, d->avail[q], 2);
	vt_kick(d, q);
}

static void fuzz(const struct device_class *cls)
{
	struct drv x, *d = &x;
	u64 seed = 3;

	vt_plug(d, cls, false);
	vt_start(d, EVENT_IDX | INDIRECT_DESC);
	for (unsigned i = 0; i < 50000; i++) {
		u32 r = test_random(&seed), v = test_random(&seed);

		switch (r % 8) {
		case 0:
			vt_wr(d, d->common + (r >> 8 & 0x3f), v & 0x1ff, 1u << (r >> 4 & 3));
			break;
		case 1:
			out(d, r >> 8 & 0x7f, r & 0x100000 ? v : v & 0x1f, 1u << (r >> 4 & 3));
			break;
		case 2:
			vt_rd(d, d->common + (r >> 8 & 0x3fff), 1u << (r >> 4 & 3));
			in(d, r >> 8 & 0x7f, 1u << (r >> 4 & 3));
			break;
		case 3:
			vt_wr(d, d->config + (r >> 8 & 0x3f), v, 1u << (r >> 4 & 3));
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
			if (cls == &virtio_net_class) {
				d->net.receive(d->net.chip, d->out, r >> 8 & 0x7ff);
				virtio_net_set_link(d->netdev, r & 0x700000);
			}
			vt_kick(d, r >> 8 & 7);
			break;
		default:
			fuzz_ring(d, &seed);
		}
		if (i % 64 == 0) {
			virtio_pci_reset(d->x);
			board_assign(d->b);
			cfg_write(d->b, DEVFN, 4, 7, 2);
			vt_start(d, (v & 1 ? EVENT_IDX : 0) | (v & 2 ? INDIRECT_DESC : 0) |
					    (v & 4 && cls == &virtio_console_class ? BIT(1) : 0));
		}
	}
	check_round_trip(&d->x->pci.dev);
	vt_free(d);
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

START_TEST(fuzz_net)
{
	fuzz(&virtio_net_class);
}
END_TEST

Suite *virtio_suite(void)
{
	Suite *s = suite_create("virtio");
	TCase *t = tcase_create("virtio");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, configuration);
	tcase_add_test(t, broken_rings);
	tcase_add_test(t, broken_addresses);
	tcase_add_test(t, indirect);
	tcase_add_test(t, notification_suppression);
	tcase_add_test(t, vectors);
	tcase_add_test(t, legacy);
	tcase_add_test(t, pci_access_capability);
	tcase_add_test(t, fuzz_blk);
	tcase_add_test(t, fuzz_console);
	tcase_add_test(t, fuzz_rng);
	tcase_add_test(t, fuzz_net);
	virtio_add_device_tests(t);
	suite_add_tcase(s, t);
	return s;
}
