/*
 * 16550A, i8042 with keyboard and mouse, debug console and debug exit.
 */
#include "devices/debug_exit.h"
#include "devices/debugcon.h"
#include "devices/i8042.h"
#include "devices/uart.h"
#include "tests/unit/test_chips.h"

#define COM1 0x3f8

enum { LINE_UART, LINE_KEYBOARD, LINE_MOUSE, LINE_A20 };

struct board {
	struct bench bench;
	struct uart uart, uart_copy;
	struct host_chardev host, debug_host;
	u8 sent[256];
	size_t sent_len;
	struct i8042 kbd, kbd_copy;
	unsigned resets;
	struct debugcon debugcon;
	struct debug_exit debug_exit;
	unsigned exits;
	u32 exit_value;
};

static void on_write(void *owner, const u8 *data, size_t len)
{
	struct board *b = owner;

	for (size_t i = 0; i < len && b->sent_len < sizeof(b->sent); i++)
		b->sent[b->sent_len++] = data[i];
}

static void on_reset(void *owner)
{
	((struct board *)owner)->resets++;
}

static void on_exit_port(void *owner, u32 value)
{
	struct board *b = owner;

	b->exits++;
	b->exit_value = value;
}

static struct board *setup(void)
{
	struct board *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	bench_init(&b->bench);
	b->host = b->debug_host = (struct host_chardev){.write = on_write, .owner = b};
	b->uart_copy.host = b->uart.host = &b->host;
	b->debugcon.host = &b->debug_host;
	b->uart.irq = bench_line(&b->bench, LINE_UART);
	b->kbd.irq_keyboard = bench_line(&b->bench, LINE_KEYBOARD);
	b->kbd.irq_mouse = bench_line(&b->bench, LINE_MOUSE);
	b->kbd.a20 = bench_line(&b->bench, LINE_A20);
	b->kbd.reset_cpu = on_reset;
	b->kbd.reset_owner = b;
	b->debug_exit.exit = on_exit_port;
	b->debug_exit.exit_owner = b;
	bench_add(&b->bench, &b->uart_copy.device, &uart_class);
	bench_add(&b->bench, &b->uart.device, &uart_class);
	bench_add(&b->bench, &b->kbd.device, &i8042_class);
	bench_add(&b->bench, &b->kbd_copy.device, &i8042_class);
	bench_add(&b->bench, &b->debugcon.device, &debugcon_class);
	bench_add(&b->bench, &b->debug_exit.device, &debug_exit_class);
	bench_attach(&b->bench.io, &b->uart.io, COM1);
	bench_attach(&b->bench.io, &b->kbd.io_data, 0x60);
	bench_attach(&b->bench.io, &b->kbd.io_command, 0x64);
	bench_attach(&b->bench.io, &b->debugcon.io, 0xe9);
	bench_attach(&b->bench.io, &b->debug_exit.io, 0xf4);
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

static u8 ur(struct board *b, unsigned reg)
{
	return in(b, COM1 + reg);
}

static void uw(struct board *b, unsigned reg, u8 v)
{
	out(b, COM1 + reg, v);
}

static void arrive(struct board *b, const char *text)
{
	b->host.receive(b->host.chip, (const u8 *)text, strlen(text));
}

START_TEST(test_uart_registers)
{
	struct board *b = setup();

	ck_assert_uint_eq(ur(b, 2), 0x01);
	ck_assert_uint_eq(ur(b, 5), 0x60);
	ck_assert_uint_eq(ur(b, 6), 0xb0);
	uw(b, 7, 0x5a);
	ck_assert_uint_eq(ur(b, 7), 0x5a);
	uw(b, 1, 0xff);
	ck_assert_uint_eq(ur(b, 1), 0x0f);
	uw(b, 4, 0xff);
	ck_assert_uint_eq(ur(b, 4), 0x1f);
	uw(b, 3, 0x83);
	uw(b, 0, 0x01);
	uw(b, 1, 0x02);
	ck_assert_uint_eq(ur(b, 0), 1);
	ck_assert_uint_eq(ur(b, 1), 2);
	uw(b, 3, 0x03);
	ck_assert_uint_eq(ur(b, 1), 0x0f);
	uw(b, 2, 0xc1);
	ck_assert_uint_eq(ur(b, 2) & 0xc0, 0xc0);
	uw(b, 2, 0xc0); /* bit 0 clear: FIFOs off, the rest is ignored */
	ck_assert_uint_eq(ur(b, 2) & 0xc0, 0);
	free(b);
}
END_TEST

START_TEST(test_uart_transmit)
{
	struct board *b = setup();
	unsigned rises;

	uw(b, 3, 0x03);
	uw(b, 4, 0x0b);
	uw(b, 1, 0x02); /* THRE interrupt at once: the holding register is empty */
	ck_assert(b->bench.level[LINE_UART]);
	ck_assert_uint_eq(ur(b, 2), 0x02);
	ck_assert(!b->bench.level[LINE_UART]); /* reading IIR clears it */
	ck_assert_uint_eq(ur(b, 2), 0x01);
	rises = b->bench.rises[LINE_UART];
	uw(b, 0, 'h');
	uw(b, 0, 'i');
	ck_assert_uint_eq(b->bench.rises[LINE_UART] - rises, 2);
	ck_assert_uint_eq(ur(b, 5), 0x60);
	ck_assert_uint_eq(b->sent_len, 2);
	ck_assert_mem_eq(b->sent, "hi", 2);
	uw(b, 3, 0x02); /* 7 data bits */
	uw(b, 0, 0xc1);
	ck_assert_uint_eq(b->sent[2], 0x41);
	uw(b, 4, 0x03); /* OUT2 gates the interrupt */
	ck_assert(!b->bench.level[LINE_UART]);
	ck_assert_uint_eq(ur(b, 2), 0x02);
	free(b);
}
END_TEST

START_TEST(test_uart_receive_plain)
{
	struct board *b = setup();

	uw(b, 4, 0x08);
	uw(b, 1, 0x05);
	ck_assert_uint_eq(b->host.can_receive(b->host.chip), 1);
	arrive(b, "a");
	ck_assert_uint_eq(b->host.can_receive(b->host.chip), 0);
	ck_assert(b->bench.level[LINE_UART]);
	ck_assert_uint_eq(ur(b, 2), 0x04);
	arrive(b, "b"); /* overrun: the new byte wins */
	ck_assert_uint_eq(ur(b, 2), 0x06);
	ck_assert_uint_eq(ur(b, 5), 0x63);
	ck_assert_uint_eq(ur(b, 5), 0x61);
	ck_assert_uint_eq(ur(b, 0), 'b');
	ck_assert(!b->bench.level[LINE_UART]);
	ck_assert_uint_eq(ur(b, 5), 0x60);
	free(b);
}
END_TEST

START_TEST(test_uart_receive_fifo)
{
	struct board *b = setup();

	uw(b, 3, 0x83);
	uw(b, 0, 1); /* 115200 */
	uw(b, 1, 0);
	uw(b, 3, 0x03);
	uw(b, 4, 0x08);
	uw(b, 2, 0x87); /* trigger 8 */
	uw(b, 1, 0x05);
	arrive(b, "1234567");
	ck_assert(!b->bench.level[LINE_UART]);
	bench_run(&b->bench, 347 * US); /* four characters of ten bits: 347.2 us */
	ck_assert(!b->bench.level[LINE_UART]);
	bench_run(&b->bench, US);
	ck_assert_uint_eq(ur(b, 2), 0xcc);
	ck_assert_uint_eq(ur(b, 0), '1');
	ck_assert_uint_eq(ur(b, 2), 0xc1);
	arrive(b, "89");
	ck_assert_uint_eq(ur(b, 2), 0xc4);
	ck_assert_uint_eq(b->host.can_receive(b->host.chip), 8);
	arrive(b, "abcdefghX");
	ck_assert_uint_eq(ur(b, 5), 0x63);
	for (const char *c = "23456789abcdefgh"; *c; c++)
		ck_assert_uint_eq(ur(b, 0), (u8)*c);
	ck_assert_uint_eq(ur(b, 5), 0x60);
	ck_assert_uint_eq(clock_next(&b->bench.clock), CLOCK_NEVER);
	arrive(b, "z");
	uw(b, 2, 0x83); /* clear the receiver */
	ck_assert_uint_eq(ur(b, 5), 0x60);
	free(b);
}
END_TEST

START_TEST(test_uart_loopback)
{
	struct board *b = setup();

	uw(b, 3, 0x03);
	uw(b, 4, 0x10);
	ck_assert_uint_eq(ur(b, 6), 0x0b); /* all went away */
	uw(b, 4, 0x1f);
	ck_assert_uint_eq(ur(b, 6), 0xfb); /* RI counts on its fall only */
	uw(b, 4, 0x1b);
	ck_assert_uint_eq(ur(b, 6), 0xb4);
	uw(b, 0, 0x99);
	ck_assert_uint_eq(b->sent_len, 0);
	ck_assert_uint_eq(ur(b, 5), 0x61);
	ck_assert_uint_eq(ur(b, 0), 0x99);
	ck_assert_uint_eq(b->host.can_receive(b->host.chip), 0);
	arrive(b, "x");
	ck_assert_uint_eq(ur(b, 5), 0x60);
	uw(b, 2, 0x01);
	uw(b, 0, 0x11);
	uw(b, 3, 0x43); /* break */
	uw(b, 1, 0x0c);
	ck_assert_uint_eq(ur(b, 5), 0xe1); /* an error hides behind the head */
	ck_assert_uint_eq(ur(b, 0), 0x11);
	ck_assert_uint_eq(ur(b, 2), 0xc6);
	ck_assert_uint_eq(ur(b, 5), 0xf1);
	ck_assert_uint_eq(ur(b, 5), 0x61);
	ck_assert_uint_eq(ur(b, 0), 0);
	uw(b, 4, 0x10);
	ck_assert_uint_eq(ur(b, 2), 0xc0); /* modem status */
	ur(b, 6);
	ck_assert_uint_eq(ur(b, 2), 0xc1);
	free(b);
}
END_TEST

START_TEST(test_uart_state)
{
	struct board *b = setup();

	uw(b, 2, 0x87);
	uw(b, 4, 0x0b);
	uw(b, 1, 0x07);
	arrive(b, "abc");
	ur(b, 0);
	bench_round_trip(&b->uart.device, &b->uart_copy.device);
	ck_assert_uint_eq(b->uart.timer.deadline, b->uart_copy.timer.deadline);
	b->uart_copy.rx_head = 16;
	ck_assert(!uart_class.post_load(&b->uart_copy.device));
	timer_cancel(&b->bench.clock, &b->uart_copy.timer);
	for (unsigned i = 0; i < 50; i++) {
		u64 r = bench_random(&b->bench);

		b->host.receive(&b->uart, (const u8 *)"0123456789012345678901234567890", r & 31);
		for (unsigned k = 0; k < 200; k++) {
			r = bench_random(&b->bench);
			if (r & 8)
				uw(b, r & 7, (u8)(r >> 8));
			else
				ur(b, r & 7);
			bench_run(&b->bench, r >> 16 & 0xffff);
		}
		ck_assert_uint_le(b->uart.rx_count, 16);
	}
	bench_hostile_state(&b->bench, &b->uart.device, &b->bench.io, COM1, 8);
	free(b);
}
END_TEST

/* i8042 */

static void expect(struct board *b, u8 status, u8 byte)
{
	ck_assert_uint_eq(in(b, 0x64) & 0x21, status);
	ck_assert_uint_eq(in(b, 0x60), byte);
}

static void expect_empty(struct board *b)
{
	ck_assert_uint_eq(in(b, 0x64) & 1, 0);
}

static u8 config(struct board *b)
{
	out(b, 0x64, 0x20);
	return in(b, 0x60);
}

static void set_config(struct board *b, u8 v)
{
	out(b, 0x64, 0x60);
	out(b, 0x60, v);
}

START_TEST(test_i8042_controller)
{
	struct board *b = setup();

	expect_empty(b);
	out(b, 0x64, 0xaa);
	ck_assert_uint_eq(in(b, 0x64), 0x1d); /* OBF, system, command, not locked */
	expect(b, 1, 0x55);
	out(b, 0x64, 0xab);
	expect(b, 1, 0x00);
	out(b, 0x64, 0xa9);
	expect(b, 1, 0x00);
	set_config(b, 0x65);
	ck_assert_uint_eq(config(b), 0x65);
	out(b, 0x64, 0xad);
	ck_assert_uint_eq(config(b), 0x75);
	out(b, 0x64, 0xae);
	out(b, 0x64, 0xa8);
	ck_assert_uint_eq(config(b), 0x45);
	out(b, 0x64, 0xa7);
	ck_assert_uint_eq(config(b), 0x65);
	out(b, 0x64, 0x7f); /* RAM */
	out(b, 0x60, 0x99);
	out(b, 0x64, 0x3f);
	expect(b, 1, 0x99);
	out(b, 0x64, 0xd3);
	out(b, 0x60, 0x77);
	expect(b, 0x21, 0x77);
	out(b, 0x64, 0xd2);
	out(b, 0x60, 0x78);
	expect(b, 1, 0x78);
	expect_empty(b);
	out(b, 0x64, 0x99); /* nothing */
	expect_empty(b);
	free(b);
}
END_TEST

START_TEST(test_i8042_output_port)
{
	struct board *b = setup();

	ck_assert(b->bench.level[LINE_A20]);
	out(b, 0x64, 0xdd);
	ck_assert(!b->bench.level[LINE_A20]);
	out(b, 0x64, 0xd0);
	expect(b, 1, 0xc1);
	out(b, 0x64, 0xdf);
	ck_assert(b->bench.level[LINE_A20]);
	out(b, 0x64, 0xd1);
	out(b, 0x60, 0x01);
	ck_assert(!b->bench.level[LINE_A20]);
	ck_assert_uint_eq(b->resets, 0);
	out(b, 0x64, 0xd1);
	out(b, 0x60, 0x02);
	ck_assert_uint_eq(b->resets, 1);
	out(b, 0x64, 0xfe);
	ck_assert_uint_eq(b->resets, 2);
	out(b, 0x64, 0xff);
	ck_assert_uint_eq(b->resets, 2);
	free(b);
}
END_TEST

START_TEST(test_i8042_keyboard)
{
	static const u8 a_down[] = {0x1c}, a_up[] = {0xf0, 0x1c}, right_up[] = {0xe0, 0xf0, 0x74};
	struct board *b = setup();
	unsigned rises = b->bench.rises[LINE_KEYBOARD];

	out(b, 0x60, 0xff);
	ck_assert(b->bench.level[LINE_KEYBOARD]);
	expect(b, 1, 0xfa);
	expect(b, 1, 0xaa);
	ck_assert_uint_eq(b->bench.rises[LINE_KEYBOARD] - rises, 2); /* an edge per byte */
	ck_assert(!b->bench.level[LINE_KEYBOARD]);
	ck_assert(i8042_inject_key(&b->kbd, a_down, 1));
	ck_assert(i8042_inject_key(&b->kbd, a_up, 2));
	ck_assert(i8042_inject_key(&b->kbd, right_up, 3));
	expect(b, 1, 0x1e);
	expect(b, 1, 0x9e);
	expect(b, 1, 0xe0);
	expect(b, 1, 0xcd);
	expect_empty(b);
	out(b, 0x60, 0xf2);
	expect(b, 1, 0xfa);
	expect(b, 1, 0xab);
	expect(b, 1, 0x41);  /* 83h, translated */
	set_config(b, 0x05); /* no translation */
	out(b, 0x60, 0xf2);
	expect(b, 1, 0xfa);
	expect(b, 1, 0xab);
	expect(b, 1, 0x83);
	i8042_inject_key(&b->kbd, a_up, 2);
	expect(b, 1, 0xf0);
	expect(b, 1, 0x1c);
	out(b, 0x60, 0xf0);
	expect(b, 1, 0xfa);
	out(b, 0x60, 0x01);
	expect(b, 1, 0xfa);
	i8042_inject_key(&b->kbd, right_up, 3);
	expect(b, 1, 0xe0);
	expect(b, 1, 0xcd);
	out(b, 0x60, 0xf0);
	in(b, 0x60);
	out(b, 0x60, 0x00);
	expect(b, 1, 0xfa);
	expect(b, 1, 0x01);
	out(b, 0x60, 0xf0);
	in(b, 0x60);
	out(b, 0x60, 0x03); /* set 3: refused */
	expect(b, 1, 0xfe);
	out(b, 0x60, 0xed);
	expect(b, 1, 0xfa);
	out(b, 0x60, 0x05);
	expect(b, 1, 0xfa);
	ck_assert_uint_eq(b->kbd.keyboard.leds, 5);
	out(b, 0x60, 0xee);
	expect(b, 1, 0xee);
	out(b, 0x60, 0x55);
	expect(b, 1, 0xfe);
	out(b, 0x60, 0xf5);
	expect(b, 1, 0xfa);
	ck_assert(!i8042_inject_key(&b->kbd, a_down, 1)); /* not scanning */
	out(b, 0x60, 0xf4);
	expect(b, 1, 0xfa);
	/* Disabled interface: keys wait. */
	out(b, 0x64, 0xad);
	ck_assert(i8042_inject_key(&b->kbd, a_down, 1));
	expect_empty(b);
	out(b, 0x64, 0xae);
	expect(b, 1, 0x1c);
	/* A full queue refuses whole keys. */
	unsigned taken = 0;
	while (i8042_inject_key(&b->kbd, right_up, 3))
		ck_assert_uint_lt(taken++, 100);
	ck_assert_uint_gt(taken, 10);
	free(b);
}
END_TEST

static void mouse(struct board *b, u8 v)
{
	out(b, 0x64, 0xd4);
	out(b, 0x60, v);
	expect(b, 0x21, 0xfa);
}

START_TEST(test_i8042_mouse)
{
	struct board *b = setup();

	set_config(b, 0x47);
	mouse(b, 0xff);
	expect(b, 0x21, 0xaa);
	expect(b, 0x21, 0x00);
	mouse(b, 0xf2);
	expect(b, 0x21, 0x00);
	i8042_inject_mouse(&b->kbd, 5, 5, 0, 1);
	expect_empty(b); /* not enabled yet */
	mouse(b, 0xf6);
	mouse(b, 0xf4);
	i8042_inject_mouse(&b->kbd, 10, -20, 0, 5);
	ck_assert(b->bench.level[LINE_MOUSE]);
	expect(b, 0x21, 0x2d);
	expect(b, 0x21, 10);
	expect(b, 0x21, 0xec);
	expect_empty(b);
	i8042_inject_mouse(&b->kbd, 300, 0, 0, 0); /* two packets */
	expect(b, 0x21, 0x08);
	expect(b, 0x21, 255);
	expect(b, 0x21, 0);
	expect(b, 0x21, 0x08);
	expect(b, 0x21, 45);
	expect(b, 0x21, 0);
	expect_empty(b);
	mouse(b, 0xe9);
	expect(b, 0x21, 0x20);
	expect(b, 0x21, 2);
	expect(b, 0x21, 100);
	mouse(b, 0xf3);
	mouse(b, 200);
	mouse(b, 0xf3);
	mouse(b, 100);
	mouse(b, 0xf3);
	mouse(b, 80);
	mouse(b, 0xf2);
	expect(b, 0x21, 3);
	i8042_inject_mouse(&b->kbd, 0, 0, 1, 0);
	expect(b, 0x21, 0x08);
	expect(b, 0x21, 0);
	expect(b, 0x21, 0);
	expect(b, 0x21, 0xff);
	mouse(b, 0xf0); /* remote: only when asked */
	i8042_inject_mouse(&b->kbd, 1, 0, 0, 0);
	expect_empty(b);
	mouse(b, 0xeb);
	expect(b, 0x21, 0x08);
	expect(b, 0x21, 1);
	expect(b, 0x21, 0);
	expect(b, 0x21, 0);
	mouse(b, 0xee); /* wrap: echoes */
	out(b, 0x64, 0xd4);
	out(b, 0x60, 0x42);
	expect(b, 0x21, 0x42);
	mouse(b, 0xec);
	i8042_inject_mouse(&b->kbd, 1 << 30, -(1 << 30), 1 << 30, 0xff);
	free(b);
}
END_TEST

START_TEST(test_i8042_state)
{
	static const u8 key[] = {0xe0, 0xf0, 0x74};
	struct board *b = setup();

	out(b, 0x60, 0xf2);
	i8042_inject_key(&b->kbd, key, 3);
	out(b, 0x64, 0xaa);
	bench_round_trip(&b->kbd.device, &b->kbd_copy.device);
	b->kbd_copy.mouse.count = PS2_QUEUE + 1;
	ck_assert(!i8042_class.post_load(&b->kbd_copy.device));
	bench_fuzz(&b->bench, &b->bench.io, 0x60, 5, 1);
	for (unsigned i = 0; i < 20000; i++) {
		u64 r = bench_random(&b->bench);

		if (r & 0x100)
			i8042_inject_mouse(&b->kbd, (int)(r >> 9), (int)(r >> 20), 1, (u8)r);
		if (r & 0x200)
			out(b, 0x64, 0xd4);
		if (r & 0x400)
			i8042_inject_key(&b->kbd, key, 3);
		out(b, 0x60, (u8)r);
		if (r & 0x800)
			in(b, 0x60);
		ck_assert_uint_le(b->kbd.keyboard.count, PS2_QUEUE);
		ck_assert_uint_le(b->kbd.mouse.count, PS2_QUEUE);
	}
	bench_hostile_state(&b->bench, &b->kbd.device, &b->bench.io, 0x60, 5);
	free(b);
}
END_TEST

START_TEST(test_debug_ports)
{
	struct board *b = setup();

	ck_assert_uint_eq(in(b, 0xe9), 0xe9);
	out(b, 0xe9, 'o');
	out(b, 0xe9, 'k');
	ck_assert_uint_eq(b->sent_len, 2);
	ck_assert_mem_eq(b->sent, "ok", 2);
	out(b, 0xf4, 0x10);
	ck_assert_uint_eq(b->exits, 1);
	ck_assert_uint_eq(b->exit_value, 0x10);
	bus_write(&b->bench.io, 0xf4, 0x12345678, 4);
	ck_assert_uint_eq(b->exit_value, 0x12345678);
	out(b, 0xf6, 1);
	ck_assert_uint_eq(b->exits, 2);
	ck_assert_uint_eq(in(b, 0xf4), 0);
	bench_round_trip(&b->debugcon.device, &b->debugcon.device);
	bench_round_trip(&b->debug_exit.device, &b->debug_exit.device);
	free(b);
}
END_TEST

Suite *chips_serial_suite(void)
{
	Suite *s = suite_create("chips: serial and keyboard");
	TCase *uart = tcase_create("uart"), *kbd = tcase_create("i8042");
	TCase *debug = tcase_create("debug");

	tcase_add_test(uart, test_uart_registers);
	tcase_add_test(uart, test_uart_transmit);
	tcase_add_test(uart, test_uart_receive_plain);
	tcase_add_test(uart, test_uart_receive_fifo);
	tcase_add_test(uart, test_uart_loopback);
	tcase_add_test(uart, test_uart_state);
	suite_add_tcase(s, uart);
	tcase_add_test(kbd, test_i8042_controller);
	tcase_add_test(kbd, test_i8042_output_port);
	tcase_add_test(kbd, test_i8042_keyboard);
	tcase_add_test(kbd, test_i8042_mouse);
	tcase_add_test(kbd, test_i8042_state);
	suite_add_tcase(s, kbd);
	tcase_add_test(debug, test_debug_ports);
	suite_add_tcase(s, debug);
	return s;
}
