/*
 * The single virtio devices: block, console, entropy, network.
 */
#include "tests/unit/test_virtio.h"

START_TEST(blk_requests)
{
	struct drv x, *d = &x;
	u8 *ram;

	vt_plug(d, &virtio_blk_class, false);
	vt_start(d, BIT(9) | BIT(13) | BIT(14));
	ram = physmem_ptr(&d->b->mem, DATA);
	for (unsigned i = 0; i < 0x41000; i++)
		ram[i] = (u8)(i * 7 + (i >> 9));
	/* More than one piece of the bounce buffer. */
	ck_assert_int_eq(vt_request(d, 1, 5, 0x41000, false), 0);
	ck_assert_int_eq(memcmp(d->b->disk + 5 * 512, ram, 0x41000), 0);
	ck_assert_uint_eq(d->b->flushes, 0);
	ram_fill(d->b, DATA, 0, 0x41000);
	ck_assert_int_eq(vt_request(d, 0, 5, 0x41000, true), 0);
	ck_assert_uint_eq(ram_get(d->b, USED(0) + 4 + 8 * 1 + 4, 4), 0x41001);
	ck_assert_int_eq(memcmp(d->b->disk + 5 * 512, ram, 0x41000), 0);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 0);
	ck_assert_uint_eq(d->b->flushes, 1);
	ck_assert_int_eq(vt_request(d, 8, 0, 20, true), 0);
	ck_assert_int_eq(memcmp(ram, "disk-serial\0\0\0\0\0\0\0\0\0", 20), 0);
	/* Discard and write zeroes */
	ram_put(d->b, DATA, 3, 8);
	ram_put(d->b, DATA + 8, 16, 8);
	ck_assert_int_eq(vt_request(d, 11, 0, 16, false), 0);
	ck_assert_uint_eq(d->b->discarded, 16 * 512);
	ck_assert_int_eq(vt_request(d, 13, 0, 16, false), 0);
	ck_assert_uint_eq(d->b->disk[18 * 512], 0);
	ck_assert_uint_ne(d->b->disk[19 * 512 + 1], 0);
	ram_put(d->b, DATA + 12, 1, 4); /* unmap */
	ck_assert_int_eq(vt_request(d, 13, 0, 16, false), 0);
	ck_assert_int_eq(vt_request(d, 11, 0, 16, false), 2);
	ram_put(d->b, DATA + 12, 0, 4);
	ck_assert_int_eq(vt_request(d, 13, 0, 32, false), 1);
	ck_assert_int_eq(vt_request(d, 11, 0, 15, false), 1);
	ram_put(d->b, DATA, BOARD_DISK / 512 - 15, 8);
	ck_assert_int_eq(vt_request(d, 11, 0, 16, false), 1);
	vt_free(d);
}
END_TEST

START_TEST(blk_errors)
{
	struct drv x, *d = &x;
	u64 last = BOARD_DISK / 512 - 1;

	vt_plug(d, &virtio_blk_class, false);
	vt_start(d, BIT(9));
	ck_assert_int_eq(vt_request(d, 0, last, 512, true), 0);
	ck_assert_int_eq(vt_request(d, 0, last, 1024, true), 1);
	ck_assert_int_eq(vt_request(d, 0, ~0ull, 512, true), 1);
	ck_assert_int_eq(vt_request(d, 1, 1ull << 55, 512, false), 1);
	ck_assert_int_eq(vt_request(d, 0, 0, 100, true), 1);
	ck_assert_int_eq(vt_request(d, 0, 0, 0xffffffff, true), 1);
	ck_assert_int_eq(vt_request(d, 0, 0, 0xfffffe00, true), 1);
	ck_assert_int_eq(vt_request(d, 99, 0, 512, true), 2);
	ck_assert_int_eq(vt_request(d, 11, 0, 16, false), 2); /* not negotiated */
	d->b->block_fails = true;
	ck_assert_int_eq(vt_request(d, 0, 0, 512, true), 1);
	ck_assert_int_eq(vt_request(d, 1, 0, 512, false), 1);
	ck_assert_int_eq(vt_request(d, 4, 0, 0, false), 1);
	d->b->block_fails = false;
	d->b->block.read_only = true;
	ck_assert_int_eq(vt_request(d, 1, 0, 512, false), 1);
	d->b->block.read_only = false;
	ck_assert_uint_eq(vt_status(d), 15);
	/* Without FLUSH every write goes through. */
	vt_start(d, 0);
	d->b->flushes = 0;
	ck_assert_int_eq(vt_request(d, 1, 0, 512, false), 0);
	ck_assert_uint_eq(d->b->flushes, 1);
	/* So it does when the driver chose it. */
	vt_start(d, BIT(9) | BIT(11));
	ck_assert_uint_eq(vt_rd(d, d->config + 32, 1), 1);
	ck_assert_int_eq(vt_request(d, 1, 0, 512, false), 0);
	ck_assert_uint_eq(d->b->flushes, 1);
	vt_wr(d, d->config + 32, 0, 1);
	ck_assert_uint_eq(d->b->flushes, 2);
	ck_assert_int_eq(vt_request(d, 1, 0, 512, false), 0);
	ck_assert_uint_eq(d->b->flushes, 3);
	vt_free(d);
}
END_TEST

START_TEST(blk_budget)
{
	struct drv x, *d = &x;

	vt_plug(d, &virtio_blk_class, false);
	vt_start(d, BIT(9));
	ram_put(d->b, HEADER, 0, 8);
	ram_put(d->b, HEADER + 8, 0, 8);
	vt_put_desc(d, RING(0), 0, HEADER, 16, NEXT, 1);
	vt_put_desc(d, RING(0), 1, DATA, BOARD_DISK, NEXT | WRITE, 2);
	vt_put_desc(d, RING(0), 2, STATUS, 1, WRITE, 0);
	for (unsigned i = 0; i < QSIZE; i++)
		vt_offer(d, 0, 0);
	vt_kick(d, 0);
	ck_assert_uint_eq(ram_get(d->b, USED(0) + 2, 2), 4); /* 8 MiB of 16 */
	check_round_trip(&d->x->pci.dev);
	board_run_timers(d->b);
	ck_assert_uint_eq(ram_get(d->b, USED(0) + 2, 2), 8);
	/* A reset forgets what was left. */
	for (unsigned i = 0; i < QSIZE; i++)
		vt_offer(d, 0, 0);
	vt_kick(d, 0);
	vt_wr(d, d->common + 0x14, 0, 1);
	ck_assert_uint_eq(clock_next(&d->b->clock), CLOCK_NEVER);
	vt_free(d);
}
END_TEST

START_TEST(blk_state)
{
	struct drv x, *d = &x;

	vt_plug(d, &virtio_blk_class, false);
	vt_start(d, EVENT_IDX | BIT(9));
	ck_assert_int_eq(vt_request(d, 1, 0, 512, false), 0);
	check_round_trip(&d->x->pci.dev);
	check_hostile_state(&d->x->pci.dev);
	ck_assert_int_eq(vt_request(d, 0, 0, 512, true), 0);
	vt_free(d);
}
END_TEST

START_TEST(console)
{
	struct drv x, *d = &x;

	vt_plug(d, &virtio_console_class, false);
	vt_start(d, BIT(0) | BIT(2));
	vt_put_desc(d, RING(1), 0, DATA, 5, NEXT, 1);
	vt_put_desc(d, RING(1), 1, DATA + 0x100, 3, 0, 0);
	memcpy(physmem_ptr(&d->b->mem, DATA), "hello", 5);
	memcpy(physmem_ptr(&d->b->mem, DATA + 0x100), "abc", 3);
	vt_offer(d, 1, 0);
	vt_kick(d, 1);
	ck_assert_int_eq(vt_reap(d, 1, 0), 0);
	ck_assert_uint_eq(d->outs, 8);
	ck_assert_int_eq(memcmp(d->out, "helloabc", 8), 0);
	/* Input spreads over the buffers that are there. */
	ck_assert_uint_eq(d->chr.can_receive(d->chr.chip), 0);
	vt_put_desc(d, RING(0), 0, DATA, 4, WRITE, 0);
	vt_put_desc(d, RING(0), 1, DATA + 0x10, 100, WRITE, 0);
	vt_offer(d, 0, 0);
	vt_offer(d, 0, 1);
	ck_assert_uint_eq(d->chr.can_receive(d->chr.chip), 4);
	d->chr.receive(d->chr.chip, (const u8 *)"0123456", 7);
	ck_assert_int_eq(vt_reap(d, 0, 0), 4);
	ck_assert_int_eq(vt_reap(d, 0, 1), 3);
	ck_assert_int_eq(memcmp(physmem_ptr(&d->b->mem, DATA + 0x10), "456", 3), 0);
	ck_assert_uint_eq(d->chr.can_receive(d->chr.chip), 0);
	ck_assert(d->b->pin[3]);
	/* Size by configuration change; emergency write */
	vt_rd(d, d->isr, 1);
	virtio_console_resize(d->con, 132, 50);
	ck_assert_uint_eq(vt_rd(d, d->isr, 1), 2);
	ck_assert_uint_eq(vt_rd(d, d->config, 4), 50 << 16 | 132);
	vt_wr(d, d->config + 8, '!', 4);
	ck_assert_uint_eq(d->outs, 9);
	ck_assert_uint_eq(d->out[8], '!');
	check_round_trip(&d->x->pci.dev);
	check_hostile_state(&d->x->pci.dev);
	/* More than a console can be told at once */
	vt_put_desc(d, RING(1), 0, DATA, 0xfff00000, 0, 0);
	vt_offer(d, 1, 0);
	vt_kick(d, 1);
	ck_assert_uint_eq(vt_status(d), 15 | 64);
	vt_free(d);
}
END_TEST

static void send_control(struct drv *d, u16 event, u16 value)
{
	ram_put(d->b, HEADER, 0, 4);
	ram_put(d->b, HEADER + 4, event, 2);
	ram_put(d->b, HEADER + 6, value, 2);
	vt_put_desc(d, RING(3), 0, HEADER, 8, 0, 0);
	vt_offer(d, 3, 0);
	vt_kick(d, 3);
	ck_assert_int_eq(vt_reap(d, 3, 0), 0);
}

START_TEST(console_multiport)
{
	struct drv x, *d = &x;

	vt_plug(d, &virtio_console_class, false);
	vt_start(d, BIT(0) | BIT(1));
	ck_assert_uint_eq(vt_rd(d, d->config + 4, 4), 1);
	virtio_console_resize(d->con, 80, 25);
	send_control(d, 0, 1); /* DEVICE_READY; no buffers for an answer yet */
	check_round_trip(&d->x->pci.dev);
	for (u16 i = 0; i < 4; i++) {
		vt_put_desc(d, RING(2), i, DATA + 0x100 * i, 32, WRITE, 0);
		vt_offer(d, 2, i);
	}
	vt_kick(d, 2);
	ck_assert_int_eq(vt_reap(d, 2, 0), 8);
	ck_assert_uint_eq(ram_get(d->b, DATA + 4, 2), 1); /* DEVICE_ADD */
	ck_assert_int_eq(vt_reap(d, 2, 1), 12);
	ck_assert_uint_eq(ram_get(d->b, DATA + 0x104, 2), 5); /* RESIZE */
	ck_assert_uint_eq(ram_get(d->b, DATA + 0x108, 4), 25 << 16 | 80);
	send_control(d, 3, 1); /* PORT_READY */
	ck_assert_int_eq(vt_reap(d, 2, 2), 8);
	ck_assert_uint_eq(ram_get(d->b, DATA + 0x204, 2), 4); /* CONSOLE_PORT */
	ck_assert_int_eq(vt_reap(d, 2, 3), 12);
	vt_offer(d, 2, 0);
	vt_kick(d, 2);
	ck_assert_int_eq(vt_reap(d, 2, 0), 8);
	ck_assert_uint_eq(ram_get(d->b, DATA + 4, 4), 0x10006); /* PORT_OPEN */
	/* Input only while the guest has the port open. */
	vt_put_desc(d, RING(0), 0, DATA, 64, WRITE, 0);
	vt_offer(d, 0, 0);
	ck_assert_uint_eq(d->chr.can_receive(d->chr.chip), 0);
	send_control(d, 6, 1);
	ck_assert_uint_eq(d->chr.can_receive(d->chr.chip), 64);
	vt_free(d);
}
END_TEST

START_TEST(rng)
{
	struct drv x, *d = &x;

	vt_plug(d, &virtio_rng_class, false);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0, 4), 0x10051af4);
	vt_start(d, 0);
	ram_fill(d->b, DATA, 0, 0x100);
	vt_put_desc(d, RING(0), 2, DATA, 100, WRITE | NEXT, 3);
	vt_put_desc(d, RING(0), 3, DATA + 0x1000, 300, WRITE, 0);
	vt_offer(d, 0, 2);
	vt_kick(d, 0);
	ck_assert_int_eq(vt_reap(d, 0, 2), 400);
	ck_assert_uint_eq(ram_get(d->b, DATA + 99, 2), 0x5a);
	ck_assert_uint_eq(ram_get(d->b, DATA + 0x1000 + 299, 1), 0x5a);
	/* A huge buffer is answered in part, one outside RAM breaks. */
	vt_put_desc(d, RING(0), 2, DATA, 0x100000, WRITE, 0);
	vt_offer(d, 0, 2);
	vt_kick(d, 0);
	ck_assert_int_eq(vt_reap(d, 0, 2), 0x4000);
	vt_put_desc(d, RING(0), 2, 0xfee00000, 16, WRITE, 0);
	vt_offer(d, 0, 2);
	vt_kick(d, 0);
	ck_assert_uint_eq(vt_status(d), 15 | 64);
	check_round_trip(&d->x->pci.dev);
	vt_free(d);
}
END_TEST

START_TEST(net)
{
	struct drv x, *d = &x;
	u8 frame[1518];

	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (u8)(i * 3);
	vt_plug(d, &virtio_net_class, false);
	ck_assert_uint_eq(cfg_read(d->b, DEVFN, 0, 4), 0x10001af4);
	vt_start(d, BIT(5) | BIT(16));
	ck_assert_uint_eq(vt_rd(d, d->config, 8), 0x0001060504030252ull);
	/* Out: the header in a buffer of its own, then the frame in two. */
	ram_fill(d->b, HEADER, 0, 12);
	memcpy(physmem_ptr(&d->b->mem, DATA), frame, 1500);
	vt_put_desc(d, RING(1), 0, HEADER, 12, NEXT, 1);
	vt_put_desc(d, RING(1), 1, DATA, 1000, NEXT, 2);
	vt_put_desc(d, RING(1), 2, DATA + 1000, 500, 0, 0);
	vt_offer(d, 1, 0);
	vt_kick(d, 1);
	ck_assert_int_eq(vt_reap(d, 1, 0), 0);
	ck_assert_uint_eq(d->outs, 1500);
	ck_assert_int_eq(memcmp(d->out, frame, 1500), 0);
	/* Too long, too short, with an offload: dropped, but given back. */
	vt_put_desc(d, RING(1), 2, DATA + 1000, 519, 0, 0);
	vt_offer(d, 1, 0);
	vt_put_desc(d, RING(1), 3, HEADER, 25, 0, 0);
	vt_offer(d, 1, 3);
	vt_put_desc(d, RING(1), 4, HEADER, 11, 0, 0);
	vt_offer(d, 1, 4);
	ram_put(d->b, HEADER + 0x100, 1, 2);
	vt_put_desc(d, RING(1), 5, HEADER + 0x100, 100, 0, 0);
	vt_offer(d, 1, 5);
	vt_kick(d, 1);
	ck_assert_uint_eq(ram_get(d->b, USED(1) + 2, 2), 5);
	ck_assert_uint_eq(d->outs, 1500);
	ck_assert_uint_eq(d->netdev->dropped, 4);
	/* In: no buffer, a small one, a good one. */
	ck_assert(!d->net.receive(d->net.chip, frame, 60));
	vt_put_desc(d, RING(0), 0, DATA, 70, WRITE, 0);
	vt_offer(d, 0, 0);
	ck_assert(d->net.receive(d->net.chip, frame, 60));
	ck_assert_int_eq(vt_reap(d, 0, 0), -1);
	ck_assert(d->net.receive(d->net.chip, frame, 58));
	ck_assert_int_eq(vt_reap(d, 0, 0), 70);
	ck_assert_uint_eq(ram_get(d->b, DATA + 10, 2), 1);
	ck_assert_int_eq(memcmp(physmem_ptr(&d->b->mem, DATA + 12), frame, 58), 0);
	ck_assert(d->net.receive(d->net.chip, frame, 1519));
	check_round_trip(&d->x->pci.dev);
	/* The cable */
	vt_rd(d, d->isr, 1);
	virtio_net_set_link(d->netdev, false);
	ck_assert_uint_eq(vt_rd(d, d->isr, 1), 2);
	ck_assert_uint_eq(vt_rd(d, d->config + 6, 2), 0);
	virtio_net_set_link(d->netdev, true);
	vt_put_desc(d, RING(0), 0, 0xfee00000, 2000, WRITE, 0);
	vt_offer(d, 0, 0);
	ck_assert(d->net.receive(d->net.chip, frame, 60));
	ck_assert_uint_eq(vt_status(d), 15 | 64);
	vt_free(d);
}
END_TEST

void virtio_add_device_tests(TCase *t)
{
	tcase_add_test(t, blk_requests);
	tcase_add_test(t, blk_errors);
	tcase_add_test(t, blk_budget);
	tcase_add_test(t, blk_state);
	tcase_add_test(t, console);
	tcase_add_test(t, console_multiport);
	tcase_add_test(t, rng);
	tcase_add_test(t, net);
}
