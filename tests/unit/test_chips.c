/*
 * 8259A pair, 8254 and MC146818, driven through their ports.
 */
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "tests/unit/test_chips.h"

struct board {
	struct bench bench;
	struct pic pic, pic_copy;
	struct pit pit, pit_copy;
	struct rtc rtc, rtc_copy;
};

enum { LINE_INTR, LINE_PIT, LINE_RTC, LINE_SPARE };

static struct board *setup(void)
{
	struct board *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	bench_init(&b->bench);
	b->pic.intr = bench_line(&b->bench, LINE_INTR);
	b->pit.out0 = bench_line(&b->bench, LINE_PIT);
	b->rtc.irq = bench_line(&b->bench, LINE_RTC);
	bench_add(&b->bench, &b->pic.device, &pic_class);
	bench_add(&b->bench, &b->pit.device, &pit_class);
	bench_add(&b->bench, &b->rtc.device, &rtc_class);
	bench_add(&b->bench, &b->pic_copy.device, &pic_class);
	bench_add(&b->bench, &b->pit_copy.device, &pit_class);
	bench_add(&b->bench, &b->rtc_copy.device, &rtc_class);
	bench_attach(&b->bench.io, &b->pic.io_master, 0x20);
	bench_attach(&b->bench.io, &b->pic.io_slave, 0xa0);
	bench_attach(&b->bench.io, &b->pic.io_elcr, 0x4d0);
	bench_attach(&b->bench.io, &b->pit.io, 0x40);
	bench_attach(&b->bench.io, &b->pit.io_port61, 0x61);
	bench_attach(&b->bench.io, &b->rtc.io, 0x70);
	return b;
}

static u8 in(struct board *b, u64 port)
{
	return bench_in(&b->bench, port);
}

static void out(struct board *b, u64 port, u8 v)
{
	bench_out(&b->bench, port, v);
}

/* PIC */

static void pic_program(struct board *b, u8 icw4)
{
	out(b, 0x20, 0x11);
	out(b, 0x21, 0x20);
	out(b, 0x21, 0x04);
	out(b, 0x21, icw4);
	out(b, 0xa0, 0x11);
	out(b, 0xa1, 0x28);
	out(b, 0xa1, 0x02);
	out(b, 0xa1, 0x01);
}

static void line(struct board *b, unsigned n, bool level)
{
	pic_set_irq(&b->pic, n, level);
}

START_TEST(test_pic_basic)
{
	struct board *b = setup();

	line(b, 3, true);
	ck_assert(!pic_pending(&b->pic)); /* not programmed */
	line(b, 3, false);
	pic_program(b, 0x01);
	ck_assert_uint_eq(in(b, 0x21), 0);
	out(b, 0x21, 0xf0);
	ck_assert_uint_eq(in(b, 0x21), 0xf0);
	line(b, 5, true);
	ck_assert(!pic_pending(&b->pic));
	ck_assert_uint_eq(in(b, 0x20), 0x20);
	line(b, 3, true);
	line(b, 1, true);
	ck_assert(b->bench.level[LINE_INTR]);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x21);
	ck_assert(!b->bench.level[LINE_INTR]); /* 3 is lower than 1 in service */
	out(b, 0x20, 0x0b);
	ck_assert_uint_eq(in(b, 0x20), 0x02);
	out(b, 0x20, 0x0a);
	ck_assert_uint_eq(in(b, 0x20), 0x28);
	line(b, 0, true); /* nests */
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x20);
	out(b, 0x20, 0x20); /* non-specific: the highest */
	out(b, 0x20, 0x0b);
	ck_assert_uint_eq(in(b, 0x20), 0x02);
	out(b, 0x20, 0x61); /* specific */
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x23);
	out(b, 0x20, 0x20);
	out(b, 0x21, 0xd0);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x25);
	free(b);
}
END_TEST

START_TEST(test_pic_cascade_and_spurious)
{
	struct board *b = setup();

	pic_program(b, 0x01);
	line(b, 12, true);
	ck_assert(pic_pending(&b->pic));
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x2c);
	out(b, 0xa0, 0x0b);
	out(b, 0x20, 0x0b);
	ck_assert_uint_eq(in(b, 0xa0), 0x10);
	ck_assert_uint_eq(in(b, 0x20), 0x04);
	line(b, 8, true); /* higher in the slave, but the master is busy with 2 */
	ck_assert(!pic_pending(&b->pic));
	out(b, 0xa0, 0x20);
	out(b, 0x20, 0x20);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x28);
	out(b, 0xa0, 0x20);
	out(b, 0x20, 0x20);
	/* The line falls before the acknowledge. */
	line(b, 4, true);
	ck_assert(pic_pending(&b->pic));
	line(b, 4, false);
	ck_assert(!pic_pending(&b->pic));
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x27);
	ck_assert_uint_eq(in(b, 0x20), 0); /* ISR: not set by a spurious one */
	/* Lost in the slave between the two INTA cycles. */
	b->pic.chip[0].irr |= 4;
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x2f);
	ck_assert_uint_eq(in(b, 0x20), 0x04);
	ck_assert_uint_eq(in(b, 0xa0), 0);
	out(b, 0x20, 0x20);
	line(b, 2, true);
	line(b, 16, true);
	line(b, ~0u, true);
	ck_assert(!pic_pending(&b->pic));
	free(b);
}
END_TEST

START_TEST(test_pic_sfnm)
{
	struct board *b = setup();

	pic_program(b, 0x11); /* special fully nested */
	line(b, 12, true);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x2c);
	line(b, 8, true);
	ck_assert(pic_pending(&b->pic));
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x28);
	line(b, 13, true);
	ck_assert(!pic_pending(&b->pic));
	free(b);
}
END_TEST

START_TEST(test_pic_level)
{
	struct board *b = setup();

	pic_program(b, 0x01);
	out(b, 0x4d0, 0xff);
	out(b, 0x4d1, 0xff);
	ck_assert_uint_eq(in(b, 0x4d0), 0xf8);
	ck_assert_uint_eq(in(b, 0x4d1), 0xde);
	line(b, 11, true);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x2b);
	out(b, 0xa0, 0x20);
	out(b, 0x20, 0x20);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x2b); /* still up */
	line(b, 11, false);
	out(b, 0xa0, 0x20);
	out(b, 0x20, 0x20);
	ck_assert(!pic_pending(&b->pic));
	/* An edge input does not repeat. */
	line(b, 1, true);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x21);
	out(b, 0x20, 0x20);
	ck_assert(!pic_pending(&b->pic));
	free(b);
}
END_TEST

START_TEST(test_pic_rotation)
{
	struct board *b = setup();

	pic_program(b, 0x01);
	out(b, 0x20, 0xc3); /* 3 lowest: 4 highest */
	line(b, 3, true);
	line(b, 5, true);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x25);
	out(b, 0x20, 0xa0); /* rotate on non-specific EOI: 5 lowest */
	line(b, 6, true);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x26);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x27); /* none above: spurious */
	out(b, 0x20, 0xe6);				  /* rotate on specific EOI */
	ck_assert_uint_eq(b->pic.chip[0].lowest, 6);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x23);
	/* Automatic EOI with rotation. */
	pic_program(b, 0x03);
	out(b, 0x20, 0x80);
	line(b, 0, true);
	line(b, 1, true);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x20);
	ck_assert_uint_eq(b->pic.chip[0].isr, 0);
	ck_assert_uint_eq(b->pic.chip[0].lowest, 0);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x21);
	out(b, 0x20, 0x00);
	line(b, 0, false);
	line(b, 0, true);
	pic_acknowledge(&b->pic);
	ck_assert_uint_eq(b->pic.chip[0].lowest, 1);
	free(b);
}
END_TEST

START_TEST(test_pic_special_mask_and_poll)
{
	struct board *b = setup();

	pic_program(b, 0x01);
	line(b, 1, true);
	pic_acknowledge(&b->pic);
	line(b, 6, true);
	ck_assert(!pic_pending(&b->pic));
	out(b, 0x21, 0x02);
	ck_assert(!pic_pending(&b->pic)); /* masking the one in service is not enough */
	out(b, 0x20, 0x68);		  /* special mask mode */
	ck_assert(pic_pending(&b->pic));
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x26);
	out(b, 0x20, 0x20); /* leaves the masked bit 1 */
	out(b, 0x20, 0x0b);
	ck_assert_uint_eq(in(b, 0x20), 0x02);
	out(b, 0x20, 0x48);
	out(b, 0x20, 0x20);
	out(b, 0x21, 0x00);
	/* Poll. */
	out(b, 0x20, 0x0c);
	ck_assert_uint_eq(in(b, 0x20) & 0x80, 0);
	line(b, 4, true);
	out(b, 0x20, 0x0c);
	ck_assert_uint_eq(in(b, 0x20), 0x84);
	out(b, 0x20, 0x0b);
	ck_assert_uint_eq(in(b, 0x20), 0x10);
	free(b);
}
END_TEST

START_TEST(test_pic_single_and_short_init)
{
	struct board *b = setup();

	out(b, 0x20, 0x12); /* single, no ICW4 */
	out(b, 0x21, 0x47); /* low bits of ICW2 are ignored */
	out(b, 0x21, 0xfe); /* already OCW1 */
	ck_assert_uint_eq(in(b, 0x21), 0xfe);
	line(b, 0, true);
	ck_assert_int_eq(pic_acknowledge(&b->pic), 0x40);
	free(b);
}
END_TEST

START_TEST(test_pic_state)
{
	struct board *b = setup();

	pic_program(b, 0x01);
	line(b, 12, true);
	line(b, 1, true);
	pic_acknowledge(&b->pic);
	bench_round_trip(&b->pic.device, &b->pic_copy.device);
	b->pic_copy.chip[1].lowest = 8;
	ck_assert(!pic_class.post_load(&b->pic_copy.device));
	bench_fuzz(&b->bench, &b->bench.io, 0x20, 2, 1);
	bench_fuzz(&b->bench, &b->bench.io, 0xa0, 2, 1);
	for (unsigned i = 0; i < 10000; i++) {
		u64 r = bench_random(&b->bench);

		line(b, r & 15, r >> 4 & 1);
		out(b, (r >> 5 & 1 ? 0x20 : 0xa0) + (r >> 6 & 1), (u8)(r >> 8));
		ck_assert_int_le(pic_acknowledge(&b->pic), 0xff);
		ck_assert(pic_pending(&b->pic) == b->bench.level[LINE_INTR]);
	}
	bench_hostile_state(&b->bench, &b->pic.device, &b->bench.io, 0x20, 2);
	free(b);
}
END_TEST

/* PIT */

static u64 ns_of(u64 ticks)
{
	return clock_ticks_to_ns(ticks, PIT_HZ);
}

/* Moves to the tick, counted from the tick of `start` ns. */
static void to_tick(struct board *b, u64 start, u64 ticks)
{
	bench_run_to(&b->bench, ns_of(clock_ns_to_ticks(start, PIT_HZ) + ticks));
}

static void program(struct board *b, u8 channel, u8 mode, u16 count)
{
	out(b, 0x43, (u8)(channel << 6 | 0x30 | mode << 1));
	out(b, 0x40u + channel, (u8)count);
	out(b, 0x40u + channel, (u8)(count >> 8));
}

static u16 read_latched(struct board *b, u8 channel)
{
	u8 low;

	out(b, 0x43, (u8)(channel << 6));
	low = in(b, 0x40u + channel);
	return (u16)(low | in(b, 0x40u + channel) << 8);
}

static u8 status(struct board *b, u8 channel)
{
	out(b, 0x43, (u8)(0xe0 | 2 << channel));
	return in(b, 0x40u + channel);
}

START_TEST(test_pit_mode0)
{
	struct board *b = setup();
	u64 start;

	bench_run_to(&b->bench, 1000003);
	out(b, 0x43, 0x30);
	ck_assert(!b->bench.level[LINE_PIT]);
	ck_assert_uint_eq(status(b, 0), 0x70); /* null count */
	start = b->bench.now;
	out(b, 0x40, 100);
	out(b, 0x40, 0);
	to_tick(b, start, 1);
	ck_assert_uint_eq(status(b, 0), 0x30);
	ck_assert_uint_eq(read_latched(b, 0), 100);
	to_tick(b, start, 100);
	ck_assert(!b->bench.level[LINE_PIT]);
	ck_assert_uint_eq(read_latched(b, 0), 1);
	to_tick(b, start, 101); /* N + 1 clocks after the write */
	ck_assert(b->bench.level[LINE_PIT]);
	ck_assert_uint_eq(status(b, 0), 0xb0);
	to_tick(b, start, 103);
	ck_assert_uint_eq(read_latched(b, 0), 0xfffe);
	ck_assert_uint_eq(b->bench.rises[LINE_PIT], 1 + 1); /* reset's high, and this */
	/* The first byte of a new count stops it and lowers OUT. */
	out(b, 0x40, 5);
	ck_assert(!b->bench.level[LINE_PIT]);
	bench_run(&b->bench, SECOND);
	ck_assert(!b->bench.level[LINE_PIT]);
	free(b);
}
END_TEST

START_TEST(test_pit_mode2_no_drift)
{
	struct board *b = setup();
	unsigned before;

	program(b, 0, 2, 1193);
	before = b->bench.rises[LINE_PIT];
	bench_run_to(&b->bench, ns_of(1193000 + 1));
	ck_assert_uint_eq(b->bench.rises[LINE_PIT] - before, 1000);
	ck_assert_uint_eq(b->bench.last_rise[LINE_PIT], ns_of(1193001));
	ck_assert(b->bench.level[LINE_PIT]);
	bench_run_to(&b->bench, ns_of(1193001 + 1192)); /* last clock: OUT low, count 1 */
	ck_assert_uint_eq(read_latched(b, 0), 1);
	ck_assert_uint_eq(status(b, 0) & 0x80, 0);
	/* A new count takes effect at the end of the period. */
	bench_run_to(&b->bench, ns_of(1193001 + 1193 + 10));
	out(b, 0x40, 0xe8);
	out(b, 0x40, 0x03);
	ck_assert_uint_eq(status(b, 0) & 0x40, 0x40);
	ck_assert_uint_eq(read_latched(b, 0), 1183);
	bench_run_to(&b->bench, ns_of(1193001 + 2 * 1193));
	ck_assert_uint_eq(read_latched(b, 0), 1000);
	ck_assert_uint_eq(status(b, 0) & 0x40, 0);
	before = b->bench.rises[LINE_PIT];
	bench_run(&b->bench, ns_of(10000));
	ck_assert_uint_eq(b->bench.rises[LINE_PIT] - before, 10);
	free(b);
}
END_TEST

START_TEST(test_pit_mode3)
{
	struct board *b = setup();
	u64 start = b->bench.now;

	program(b, 0, 3, 101);
	to_tick(b, start, 1 + 50);
	ck_assert(b->bench.level[LINE_PIT]); /* high (N + 1) / 2 */
	to_tick(b, start, 1 + 51);
	ck_assert(!b->bench.level[LINE_PIT]);
	ck_assert_uint_eq(read_latched(b, 0), 100);
	to_tick(b, start, 1 + 53);
	ck_assert_uint_eq(read_latched(b, 0), 96);
	to_tick(b, start, 1 + 100);
	ck_assert(!b->bench.level[LINE_PIT]);
	to_tick(b, start, 1 + 101);
	ck_assert(b->bench.level[LINE_PIT]);
	/* A count written in the high half rules from the low half on. */
	out(b, 0x40, 20);
	out(b, 0x40, 0);
	to_tick(b, start, 1 + 101 + 51);
	ck_assert(!b->bench.level[LINE_PIT]);
	to_tick(b, start, 1 + 101 + 51 + 10);
	ck_assert(b->bench.level[LINE_PIT]);
	to_tick(b, start, 1 + 101 + 51 + 20);
	ck_assert(!b->bench.level[LINE_PIT]);
	free(b);
}
END_TEST

START_TEST(test_pit_mode4)
{
	struct board *b = setup();
	u64 start = b->bench.now;
	unsigned before;

	program(b, 0, 4, 100);
	before = b->bench.rises[LINE_PIT];
	to_tick(b, start, 101);
	ck_assert_uint_eq(status(b, 0) & 0x80, 0);
	to_tick(b, start, 102);
	ck_assert_uint_eq(status(b, 0) & 0x80, 0x80);
	ck_assert_uint_eq(b->bench.rises[LINE_PIT] - before, 1);
	bench_run(&b->bench, SECOND);
	ck_assert_uint_eq(b->bench.rises[LINE_PIT] - before, 1);
	free(b);
}
END_TEST

START_TEST(test_pit_gate)
{
	struct board *b = setup();
	u64 start;

	/* Mode 1: a pulse per rising gate, retriggerable. */
	out(b, 0x61, 0);
	program(b, 2, 1, 50);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0x20);
	bench_run(&b->bench, MS);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0x20);
	start = b->bench.now;
	out(b, 0x61, 1);
	to_tick(b, start, 50);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0);
	to_tick(b, start, 51);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0x20);
	/* Mode 0: a low gate holds the count. */
	start = b->bench.now;
	program(b, 2, 0, 50);
	to_tick(b, start, 21);
	out(b, 0x61, 0);
	bench_run(&b->bench, MS);
	ck_assert_uint_eq(read_latched(b, 2), 30);
	start = b->bench.now;
	out(b, 0x61, 1);
	to_tick(b, start, 29);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0);
	to_tick(b, start, 30);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0x20);
	/* Mode 2: a low gate raises OUT; its rise starts the period anew. */
	program(b, 2, 2, 50);
	bench_run(&b->bench, MS);
	out(b, 0x61, 0);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0x20);
	start = b->bench.now;
	out(b, 0x61, 1);
	to_tick(b, start, 1 + 49);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0);
	/* Mode 5: strobe after the trigger. */
	program(b, 2, 5, 50);
	out(b, 0x61, 0);
	start = b->bench.now;
	out(b, 0x61, 1);
	to_tick(b, start, 50);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0x20);
	to_tick(b, start, 51);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0);
	to_tick(b, start, 52);
	ck_assert_uint_eq(in(b, 0x61) & 0x20, 0x20);
	free(b);
}
END_TEST

START_TEST(test_pit_access)
{
	struct board *b = setup();
	u64 start;

	out(b, 0x43, 0xb1); /* channel 2, BCD, mode 0 */
	out(b, 0x61, 1);
	start = b->bench.now;
	out(b, 0x42, 0x00);
	out(b, 0x42, 0x10); /* 1000 */
	to_tick(b, start, 2);
	ck_assert_uint_eq(read_latched(b, 2), 0x0999);
	to_tick(b, start, 1002);
	ck_assert_uint_eq(read_latched(b, 2), 0x9999);
	out(b, 0x43, 0x94); /* low byte only, mode 2 */
	out(b, 0x42, 200);
	bench_run(&b->bench, ns_of(11));
	ck_assert_uint_le(in(b, 0x42), 200);
	out(b, 0x43, 0xa4); /* high byte only */
	start = b->bench.now;
	out(b, 0x42, 2);
	to_tick(b, start, 2);
	ck_assert_uint_eq(in(b, 0x42), 1);
	/* A latched count waits for its reader; a second latch does not disturb it. */
	program(b, 2, 2, 1000);
	start = b->bench.now;
	to_tick(b, start, 11);
	out(b, 0x43, 0xd8); /* read-back: count of channel 2 */
	to_tick(b, start, 101);
	out(b, 0x43, 0x80);
	out(b, 0x43, 0xc8); /* count again (held), and status: status first */
	ck_assert_uint_eq(in(b, 0x42) & 0x3f, 0x34);
	ck_assert_uint_eq(in(b, 0x42), 990 & 0xff);
	ck_assert_uint_eq(in(b, 0x42), 990 >> 8);
	ck_assert_uint_eq(in(b, 0x43), 0xff);
	/* Refresh toggles every 15 us. */
	unsigned changes = 0;
	u8 last = in(b, 0x61) & 0x10;
	for (unsigned i = 0; i < 1000; i++) {
		bench_run(&b->bench, US);
		changes += (in(b, 0x61) & 0x10) != last;
		last = in(b, 0x61) & 0x10;
	}
	ck_assert_uint_ge(changes, 65);
	ck_assert_uint_le(changes, 67);
	free(b);
}
END_TEST

START_TEST(test_pit_floor)
{
	struct board *b = setup();

	for (u16 count = 1; count < 4; count++) {
		for (u8 mode = 2; mode < 4; mode++) {
			program(b, 0, mode, count);
			b->bench.fired = 0;
			bench_run(&b->bench, MS);
			ck_assert_uint_le(b->bench.fired, 1001);
			ck_assert_uint_ge(b->bench.fired, 300);
		}
	}
	free(b);
}
END_TEST

START_TEST(test_pit_state)
{
	struct board *b = setup();

	program(b, 0, 3, 1234);
	program(b, 2, 2, 77);
	out(b, 0x61, 1);
	bench_run(&b->bench, 12345678);
	out(b, 0x40, 9);
	in(b, 0x42);
	bench_round_trip(&b->pit.device, &b->pit_copy.device);
	ck_assert_uint_eq(b->pit.timer.deadline, b->pit_copy.timer.deadline);
	b->pit_copy.ch[1].mode = 6;
	ck_assert(!pit_class.post_load(&b->pit_copy.device));
	timer_cancel(&b->bench.clock, &b->pit_copy.timer);
	bench_fuzz(&b->bench, &b->bench.io, 0x40, 4, 1);
	bench_hostile_state(&b->bench, &b->pit.device, &b->bench.io, 0x40, 4);
	free(b);
}
END_TEST

/* RTC */

static u8 cmos(struct board *b, u8 reg)
{
	out(b, 0x70, reg);
	return in(b, 0x71);
}

static void set_cmos(struct board *b, u8 reg, u8 v)
{
	out(b, 0x70, reg);
	out(b, 0x71, v);
}

static void expect_time(struct board *b, const char *text)
{
	char s[64];

	snprintf(s, sizeof(s), "%02x%02x-%02x-%02x %02x:%02x:%02x %x", cmos(b, 0x32), cmos(b, 9),
		 cmos(b, 8), cmos(b, 7), cmos(b, 4), cmos(b, 2), cmos(b, 0), cmos(b, 6));
	ck_assert_str_eq(s, text);
}

START_TEST(test_rtc_time)
{
	struct board *b = setup();

	expect_time(b, "2026-01-01 00:00:00 5"); /* a Thursday */
	bench_run(&b->bench, 59 * SECOND + 999 * MS);
	expect_time(b, "2026-01-01 00:00:59 5");
	bench_run(&b->bench, MS);
	expect_time(b, "2026-01-01 00:01:00 5");
	bench_run(&b->bench, (31ull + 28) * 86400 * SECOND);
	expect_time(b, "2026-03-01 00:01:00 1");
	set_cmos(b, 0x0b, 0x82); /* SET: stands still */
	set_cmos(b, 0x32, 0x20);
	set_cmos(b, 9, 0x28);
	set_cmos(b, 8, 0x02);
	set_cmos(b, 7, 0x28);
	set_cmos(b, 4, 0x23);
	set_cmos(b, 2, 0x59);
	set_cmos(b, 0, 0x58);
	bench_run(&b->bench, 5 * SECOND);
	ck_assert_uint_eq(cmos(b, 0), 0x58);
	set_cmos(b, 0x0b, 0x02);
	bench_run(&b->bench, 3 * SECOND);
	expect_time(b, "2028-02-29 00:00:01 3");
	set_cmos(b, 0x0b, 0x04); /* binary, 12 hours */
	ck_assert_uint_eq(cmos(b, 4), 12);
	set_cmos(b, 4, 0x83); /* 3 pm, written while running */
	set_cmos(b, 0x0b, 0x02);
	expect_time(b, "2028-02-29 15:00:01 3");
	set_cmos(b, 8, 0xff); /* nonsense becomes legal */
	ck_assert_uint_eq(cmos(b, 8), 0x12);
	free(b);
}
END_TEST

START_TEST(test_rtc_calendar)
{
	static const struct {
		s64 epoch;
		const char *text;
	} at[] = {
		{-1, "1969-12-31 23:59:59 4"},		 {951782400, "2000-02-29 00:00:00 3"},
		{4107542399, "2100-02-28 23:59:59 1"},	 {4107542400, "2100-03-01 00:00:00 2"},
		{253402300799, "9999-12-31 23:59:59 6"}, {-11644473600, "1601-01-01 00:00:00 2"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		struct board *b = setup();

		b->rtc.base_seconds = at[i].epoch;
		expect_time(b, at[i].text);
		free(b);
	}
}
END_TEST

START_TEST(test_rtc_uip_and_update)
{
	struct board *b = setup();

	ck_assert_uint_eq(cmos(b, 0x0a), 0x26);
	ck_assert_uint_eq(cmos(b, 0x0d), 0x80);
	cmos(b, 0x0c);
	bench_run(&b->bench, 998 * MS);
	ck_assert_uint_eq(cmos(b, 0x0a), 0xa6);
	ck_assert_uint_eq(cmos(b, 0x0c), 0x40); /* PF runs anyway */
	set_cmos(b, 0x0b, 0x12);
	bench_run(&b->bench, 2 * MS - 1);
	ck_assert(!b->bench.level[LINE_RTC]);
	bench_run(&b->bench, 1);
	ck_assert(b->bench.level[LINE_RTC]);
	ck_assert_uint_eq(cmos(b, 0x0a), 0x26);
	ck_assert_uint_eq(cmos(b, 0x0c) & 0x90, 0x90);
	ck_assert(!b->bench.level[LINE_RTC]);
	ck_assert_uint_eq(cmos(b, 0x0c), 0);
	bench_run(&b->bench, SECOND);
	ck_assert(b->bench.level[LINE_RTC]);
	set_cmos(b, 0x0b, 0x92); /* SET clears UIE */
	ck_assert_uint_eq(cmos(b, 0x0b), 0x82);
	cmos(b, 0x0c);
	bench_run(&b->bench, 3 * SECOND);
	ck_assert_uint_eq(cmos(b, 0x0c) & 0x10, 0);
	/* Divider reset: the first update comes half a second after its release. */
	set_cmos(b, 0x0b, 0x12);
	set_cmos(b, 0x0a, 0x76);
	bench_run(&b->bench, 3 * SECOND);
	cmos(b, 0x0c);
	set_cmos(b, 0x0a, 0x26);
	bench_run(&b->bench, 500 * MS - 1);
	ck_assert(!b->bench.level[LINE_RTC]);
	bench_run(&b->bench, 1);
	ck_assert(b->bench.level[LINE_RTC]);
	free(b);
}
END_TEST

START_TEST(test_rtc_periodic)
{
	struct board *b = setup();
	unsigned before;

	set_cmos(b, 0x0b, 0x42);
	for (unsigned rate = 1; rate < 16; rate++) {
		unsigned hz = rate < 3 ? 256 >> (rate - 1) : 32768 >> (rate - 1);

		set_cmos(b, 0x0a, 0x20 | (u8)rate);
		cmos(b, 0x0c);
		before = b->bench.rises[LINE_RTC];
		for (unsigned i = 0; i < hz; i++) {
			bench_run_to(&b->bench, clock_next(&b->bench.clock));
			ck_assert_uint_eq(cmos(b, 0x0c) & 0xc0, 0xc0);
		}
		ck_assert_uint_eq(b->bench.rises[LINE_RTC] - before, hz);
		ck_assert_uint_eq(b->bench.now % SECOND, 0);
	}
	set_cmos(b, 0x0a, 0x20);
	cmos(b, 0x0c);
	ck_assert_uint_eq(clock_next(&b->bench.clock), CLOCK_NEVER);
	free(b);
}
END_TEST

START_TEST(test_rtc_alarm)
{
	struct board *b = setup();

	set_cmos(b, 1, 0x05);
	set_cmos(b, 3, 0x30);
	set_cmos(b, 5, 0x07);
	cmos(b, 0x0c);
	set_cmos(b, 0x0b, 0x22);
	ck_assert_uint_eq(clock_next(&b->bench.clock), (7ull * 3600 + 30 * 60 + 5) * SECOND);
	bench_run_to(&b->bench, clock_next(&b->bench.clock));
	ck_assert(b->bench.level[LINE_RTC]);
	ck_assert_uint_eq(cmos(b, 0x0c) & 0xb0, 0xb0);
	ck_assert_uint_eq(clock_next(&b->bench.clock), (31ull * 3600 + 30 * 60 + 5) * SECOND);
	set_cmos(b, 5, 0xff);
	set_cmos(b, 3, 0xc0); /* every minute at :05 */
	ck_assert_uint_eq(clock_next(&b->bench.clock), (7ull * 3600 + 31 * 60 + 5) * SECOND);
	set_cmos(b, 1, 0xff); /* every second */
	ck_assert_uint_eq(clock_next(&b->bench.clock), (7ull * 3600 + 30 * 60 + 6) * SECOND);
	set_cmos(b, 1, 0x77); /* never */
	ck_assert_uint_eq(clock_next(&b->bench.clock), CLOCK_NEVER);
	/* The flag also without the interrupt. */
	set_cmos(b, 1, 0x10);
	set_cmos(b, 0x0b, 0x02);
	cmos(b, 0x0c);
	bench_run(&b->bench, 4 * SECOND);
	ck_assert_uint_eq(cmos(b, 0x0c) & 0x20, 0);
	bench_run(&b->bench, 1 * SECOND);
	ck_assert_uint_eq(cmos(b, 0x0c) & 0x20, 0x20);
	free(b);
}
END_TEST

START_TEST(test_rtc_nvram_and_state)
{
	struct board *b = setup();

	rtc_set_nvram(&b->rtc, 0x34, 0x5a);
	rtc_set_nvram(&b->rtc, 0x0d, 0);
	rtc_set_nvram(&b->rtc, 128, 1);
	ck_assert_uint_eq(cmos(b, 0x34), 0x5a);
	ck_assert_uint_eq(cmos(b, 0x0d), 0x80);
	set_cmos(b, 0x7f, 0x77);
	ck_assert(!rtc_nmi_masked(&b->rtc));
	ck_assert_uint_eq(cmos(b, 0xff), 0x77);
	ck_assert(rtc_nmi_masked(&b->rtc));
	ck_assert_uint_eq(in(b, 0x70), 0xff);
	bench_run(&b->bench, 100 * SECOND);
	set_cmos(b, 0x0b, 0x72);
	rtc_class.reset(&b->rtc.device);
	expect_time(b, "2026-01-01 00:01:40 5");
	ck_assert_uint_eq(cmos(b, 0x34), 0x5a);
	ck_assert_uint_eq(cmos(b, 0x0b), 0x02);
	set_cmos(b, 0x0b, 0x72);
	bench_run(&b->bench, 12345);
	bench_round_trip(&b->rtc.device, &b->rtc_copy.device);
	ck_assert_uint_eq(b->rtc.timer.deadline, b->rtc_copy.timer.deadline);
	b->rtc_copy.seen = b->bench.now + 1;
	ck_assert(!rtc_class.post_load(&b->rtc_copy.device));
	timer_cancel(&b->bench.clock, &b->rtc_copy.timer);
	bench_fuzz(&b->bench, &b->bench.io, 0x70, 2, 1);
	bench_hostile_state(&b->bench, &b->rtc.device, &b->bench.io, 0x70, 2);
	free(b);
}
END_TEST

Suite *chips_suite(void)
{
	Suite *s = suite_create("chips: legacy");
	TCase *pic = tcase_create("pic"), *pit = tcase_create("pit"), *rtc = tcase_create("rtc");

	tcase_add_test(pic, test_pic_basic);
	tcase_add_test(pic, test_pic_cascade_and_spurious);
	tcase_add_test(pic, test_pic_sfnm);
	tcase_add_test(pic, test_pic_level);
	tcase_add_test(pic, test_pic_rotation);
	tcase_add_test(pic, test_pic_special_mask_and_poll);
	tcase_add_test(pic, test_pic_single_and_short_init);
	tcase_add_test(pic, test_pic_state);
	suite_add_tcase(s, pic);
	tcase_add_test(pit, test_pit_mode0);
	tcase_add_test(pit, test_pit_mode2_no_drift);
	tcase_add_test(pit, test_pit_mode3);
	tcase_add_test(pit, test_pit_mode4);
	tcase_add_test(pit, test_pit_gate);
	tcase_add_test(pit, test_pit_access);
	tcase_add_test(pit, test_pit_floor);
	tcase_add_test(pit, test_pit_state);
	suite_add_tcase(s, pit);
	tcase_add_test(rtc, test_rtc_time);
	tcase_add_test(rtc, test_rtc_calendar);
	tcase_add_test(rtc, test_rtc_uip_and_update);
	tcase_add_test(rtc, test_rtc_periodic);
	tcase_add_test(rtc, test_rtc_alarm);
	tcase_add_test(rtc, test_rtc_nvram_and_state);
	suite_add_tcase(s, rtc);
	return s;
}
