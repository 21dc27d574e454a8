/*
 * ACPI power management, HPET, port 92h and the reset control register.
 */
#include "devices/acpi_pm.h"
#include "devices/hpet.h"
#include "devices/port92.h"
#include "tests/unit/test_chips.h"

#define PM 0x600
#define GPE 0x620
#define HPET 0xfed00000ull

enum { LINE_SCI, LINE_A20, LINE_LEGACY0, LINE_LEGACY8, LINE_PIN }; /* LINE_PIN + n */

struct board {
	struct bench bench;
	struct acpi_pm pm, pm_copy;
	struct hpet hpet, hpet_copy;
	struct port92 port92, port92_copy;
	struct reset_control rc, rc_copy;
	unsigned sleeps, sleep_type, smis, resets, hard, cpu_resets, legacy_changes;
	u8 smi;
	bool legacy;
};

static void on_sleep(void *owner, unsigned slp_typ)
{
	struct board *b = owner;

	b->sleeps++;
	b->sleep_type = slp_typ;
}

static void on_smi(void *owner, u8 value)
{
	struct board *b = owner;

	b->smis++;
	b->smi = value;
}

static void on_cpu_reset(void *owner)
{
	((struct board *)owner)->cpu_resets++;
}

static void on_reset(void *owner, bool hard)
{
	struct board *b = owner;

	b->resets++;
	b->hard += hard;
}

static void on_legacy(void *owner, bool on)
{
	struct board *b = owner;

	b->legacy_changes++;
	b->legacy = on;
}

static struct board *setup(void)
{
	struct board *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	bench_init(&b->bench);
	b->pm.sci = bench_line(&b->bench, LINE_SCI);
	b->pm.sleep = on_sleep;
	b->pm.smi_command = on_smi;
	b->pm.sleep_owner = b->pm.smi_owner = b;
	for (unsigned i = 20; i < 24; i++)
		b->hpet.route[i] = bench_line(&b->bench, LINE_PIN + i - 20);
	b->hpet.legacy[0] = bench_line(&b->bench, LINE_LEGACY0);
	b->hpet.legacy[1] = bench_line(&b->bench, LINE_LEGACY8);
	b->hpet.legacy_changed = on_legacy;
	b->hpet.legacy_owner = b;
	b->port92.a20 = bench_line(&b->bench, LINE_A20);
	b->port92.reset_cpu = on_cpu_reset;
	b->port92.reset_owner = b;
	b->rc.reset = on_reset;
	b->rc.reset_owner = b;
	bench_add(&b->bench, &b->pm.device, &acpi_pm_class);
	bench_add(&b->bench, &b->hpet.device, &hpet_class);
	bench_add(&b->bench, &b->port92.device, &port92_class);
	bench_add(&b->bench, &b->rc.device, &reset_control_class);
	bench_add(&b->bench, &b->pm_copy.device, &acpi_pm_class);
	bench_add(&b->bench, &b->hpet_copy.device, &hpet_class);
	bench_add(&b->bench, &b->port92_copy.device, &port92_class);
	bench_add(&b->bench, &b->rc_copy.device, &reset_control_class);
	bench_attach(&b->bench.io, &b->pm.io, PM);
	bench_attach(&b->bench.io, &b->pm.io_gpe, GPE);
	bench_attach(&b->bench.io, &b->pm.io_smi, 0xb2);
	bench_attach(&b->bench.io, &b->port92.io, 0x92);
	bench_attach(&b->bench.io, &b->rc.io, 0xcf9);
	bench_attach(&b->bench.mem, &b->hpet.io, HPET);
	return b;
}

static u32 in(struct board *b, u64 port, unsigned size)
{
	return (u32)bus_read(&b->bench.io, port, size);
}

static void out(struct board *b, u64 port, u32 v, unsigned size)
{
	bus_write(&b->bench.io, port, v, size);
}

START_TEST(test_pm_timer)
{
	struct board *b = setup();

	ck_assert_uint_eq(in(b, PM + 8, 4), 0);
	for (unsigned i = 1; i < 10; i++) {
		u64 ns = i * 1234567891ull;

		bench_run_to(&b->bench, ns);
		ck_assert_uint_eq(in(b, PM + 8, 4),
				  clock_ns_to_ticks(ns, ACPI_PM_TIMER_HZ) & 0xffffff);
	}
	ck_assert_uint_eq(in(b, PM + 9, 1), in(b, PM + 8, 4) >> 8 & 0xff);
	out(b, PM + 8, 0, 4);
	ck_assert_uint_ne(in(b, PM + 8, 4), 0);
	free(b);
}
END_TEST

START_TEST(test_pm_timer_status)
{
	struct board *b = setup();
	u64 half = clock_ticks_to_ns(1 << 23, ACPI_PM_TIMER_HZ);

	bench_run_to(&b->bench, half - 1);
	ck_assert_uint_eq(in(b, PM, 2), 0);
	bench_run_to(&b->bench, half);
	ck_assert_uint_eq(in(b, PM, 2), 1);
	out(b, PM, 1, 2);
	ck_assert_uint_eq(in(b, PM, 2), 0);
	out(b, PM + 2, 1, 2);
	out(b, PM + 4, 1, 2);
	bench_run_to(&b->bench, 2 * half + 10);
	ck_assert(b->bench.level[LINE_SCI]);
	out(b, PM, 1, 2);
	ck_assert(!b->bench.level[LINE_SCI]);
	bench_run_to(&b->bench, 10 * half);
	ck_assert_uint_eq(b->bench.rises[LINE_SCI], 2);
	free(b);
}
END_TEST

START_TEST(test_pm_button_and_enable)
{
	struct board *b = setup();

	out(b, PM + 2, 0xffff, 2);
	ck_assert_uint_eq(in(b, PM + 2, 2), 0x0521);
	acpi_pm_power_button(&b->pm);
	ck_assert(!b->bench.level[LINE_SCI]); /* legacy mode */
	out(b, 0xb2, 0xf1, 1);
	ck_assert_uint_eq(in(b, PM + 4, 2), 1);
	ck_assert(b->bench.level[LINE_SCI]);
	ck_assert_uint_eq(in(b, PM, 4), 0x05210100);
	out(b, PM + 1, 1, 1); /* byte lanes */
	ck_assert_uint_eq(in(b, PM, 2), 0);
	ck_assert(!b->bench.level[LINE_SCI]);
	out(b, 0xb2, 0xf0, 1);
	ck_assert_uint_eq(in(b, PM + 4, 2), 0);
	ck_assert_uint_eq(b->smis, 0);
	out(b, 0xb2, 0x42, 1);
	ck_assert_uint_eq(b->smis, 1);
	ck_assert_uint_eq(b->smi, 0x42);
	out(b, 0xb3, 0x17, 1);
	ck_assert_uint_eq(in(b, 0xb2, 1), 0x42);
	ck_assert_uint_eq(in(b, 0xb3, 1), 0x17);
	free(b);
}
END_TEST

START_TEST(test_pm_sleep)
{
	struct board *b = setup();

	out(b, PM + 4, 0x0001, 2);
	ck_assert_uint_eq(b->sleeps, 0);
	out(b, PM + 4, 0x2001, 2);
	ck_assert_uint_eq(b->sleeps, 1);
	ck_assert_uint_eq(b->sleep_type, ACPI_PM_SLP_TYP_S5);
	ck_assert_uint_eq(in(b, PM + 4, 2), 1); /* SLP_EN is write-only */
	out(b, PM + 4, 0x3401, 2);
	ck_assert_uint_eq(b->sleep_type, 5);
	free(b);
}
END_TEST

/* S3 is left for the RTC's interrupt if PM1_EN says so, and for the power button; the registers stay. */
START_TEST(test_pm_wake)
{
	struct board *b = setup();

	acpi_pm_set_rtc(&b->pm, true); /* an old one */
	out(b, PM, 0x0400, 2);
	out(b, PM + 4, 0x2401, 2);
	ck_assert_uint_eq(b->sleep_type, ACPI_PM_SLP_TYP_S3);
	acpi_pm_suspend(&b->pm);
	acpi_pm_set_rtc(&b->pm, true); /* the level is no edge */
	acpi_pm_set_rtc(&b->pm, false);
	ck_assert(!acpi_pm_wakes(&b->pm));
	acpi_pm_set_rtc(&b->pm, true);
	ck_assert_uint_eq(in(b, PM, 2), 0x0400);
	ck_assert(!acpi_pm_wakes(&b->pm));
	out(b, PM + 2, 0x0400, 2);
	ck_assert(acpi_pm_wakes(&b->pm));
	ck_assert(!b->bench.level[LINE_SCI]);
	acpi_pm_resume(&b->pm);
	ck_assert_uint_eq(in(b, PM, 2), 0x8400);
	ck_assert_uint_eq(in(b, PM + 2, 2), 0x0400);
	ck_assert_uint_eq(in(b, PM + 4, 2), 0x0400);
	out(b, PM, 0x8400, 2);
	ck_assert(!acpi_pm_wakes(&b->pm));
	acpi_pm_power_button(&b->pm);
	ck_assert(acpi_pm_wakes(&b->pm));
	free(b);
}
END_TEST

START_TEST(test_pm_gpe)
{
	struct board *b = setup();

	out(b, PM + 4, 1, 2);
	out(b, GPE + 2, 0x0008, 2);
	acpi_pm_set_gpe(&b->pm, 3, true);
	acpi_pm_set_gpe(&b->pm, 16, true);
	ck_assert(b->bench.level[LINE_SCI]);
	out(b, GPE, 0xff, 1);
	ck_assert_uint_eq(in(b, GPE, 2), 8); /* still active */
	acpi_pm_set_gpe(&b->pm, 3, false);
	out(b, GPE, 0xff, 1);
	ck_assert_uint_eq(in(b, GPE, 4), 0x00080000);
	ck_assert(!b->bench.level[LINE_SCI]);
	free(b);
}
END_TEST

START_TEST(test_pm_state)
{
	struct board *b = setup();

	out(b, PM + 2, 1, 2);
	out(b, PM + 4, 1, 2);
	bench_run(&b->bench, 3 * SECOND);
	acpi_pm_power_button(&b->pm);
	acpi_pm_set_gpe(&b->pm, 3, true);
	bench_round_trip(&b->pm.device, &b->pm_copy.device);
	b->pm_copy.toggle = 5;
	ck_assert(!acpi_pm_class.post_load(&b->pm_copy.device));
	timer_cancel(&b->bench.clock, &b->pm_copy.timer);
	bench_fuzz(&b->bench, &b->bench.io, PM, 12, 1);
	bench_fuzz(&b->bench, &b->bench.io, GPE, 4, 1);
	bench_hostile_state(&b->bench, &b->pm.device, &b->bench.io, PM, 12);
	free(b);
}
END_TEST

/* HPET */

static u64 hr(struct board *b, u64 reg)
{
	return bus_read(&b->bench.mem, HPET + reg, 8);
}

static void hw(struct board *b, u64 reg, u64 v)
{
	bus_write(&b->bench.mem, HPET + reg, v, 8);
}

START_TEST(test_hpet_counter)
{
	struct board *b = setup();

	ck_assert_uint_eq(hr(b, 0), 0x05f5e1008086a201);
	ck_assert_uint_eq(bus_read(&b->bench.mem, HPET + 4, 4), 100000000);
	bench_run(&b->bench, MS);
	ck_assert_uint_eq(hr(b, 0xf0), 0);
	hw(b, 0xf0, 0xfffffff0);
	hw(b, 0x10, 1);
	bench_run(&b->bench, 3200);
	ck_assert_uint_eq(hr(b, 0xf0), 0x100000010);
	ck_assert_uint_eq(bus_read(&b->bench.mem, HPET + 0xf4, 4), 1);
	hw(b, 0x10, 0);
	bench_run(&b->bench, MS);
	ck_assert_uint_eq(hr(b, 0xf0), 0x100000010);
	bus_write(&b->bench.mem, HPET + 0xf4, 7, 4);
	ck_assert_uint_eq(hr(b, 0xf0), 0x700000010);
	free(b);
}
END_TEST

START_TEST(test_hpet_one_shot_level)
{
	struct board *b = setup();

	ck_assert_uint_eq(hr(b, 0x140), 0x00f0000000000030);
	hw(b, 0x140, 21 << 9 | 6); /* timer 2: level, enabled, pin 21 */
	hw(b, 0x148, 1000);
	hw(b, 0x10, 1);
	bench_run(&b->bench, 100 * US - 1);
	ck_assert(!b->bench.level[LINE_PIN + 1]);
	bench_run(&b->bench, 1);
	ck_assert(b->bench.level[LINE_PIN + 1]);
	ck_assert_uint_eq(hr(b, 0x20), 4);
	hw(b, 0x20, 3);
	ck_assert(b->bench.level[LINE_PIN + 1]);
	bus_write(&b->bench.mem, HPET + 0x20, 4, 4);
	ck_assert(!b->bench.level[LINE_PIN + 1]);
	bench_run(&b->bench, SECOND);
	ck_assert_uint_eq(b->bench.rises[LINE_PIN + 1], 1);
	ck_assert_uint_eq(clock_next(&b->bench.clock), CLOCK_NEVER);
	hw(b, 0x140, 3 << 9 | 6); /* pin 3 is not offered: the field stays */
	ck_assert_uint_eq(bits(hr(b, 0x140), 13, 9), 21);
	/* 32-bit mode: once a wrap. */
	hw(b, 0x140, 21 << 9 | 0x104);
	hw(b, 0x148, hr(b, 0xf0) + 10);
	bench_run(&b->bench, US);
	ck_assert_uint_eq(b->bench.rises[LINE_PIN + 1], 2);
	bench_run(&b->bench, BIT(32) * 100);
	ck_assert_uint_eq(b->bench.rises[LINE_PIN + 1], 3);
	free(b);
}
END_TEST

START_TEST(test_hpet_periodic_legacy)
{
	struct board *b = setup();

	hw(b, 0x10, 3);
	ck_assert(b->legacy);
	hw(b, 0x100, 0x4c); /* periodic, enabled, set the accumulator */
	hw(b, 0x108, 5000);
	hw(b, 0x108, 10000); /* period 1 ms */
	bench_run_to(&b->bench, 500 * US);
	ck_assert_uint_eq(b->bench.rises[LINE_LEGACY0], 1);
	ck_assert_uint_eq(hr(b, 0x108), 15000);
	bench_run_to(&b->bench, 1000500 * US);
	ck_assert_uint_eq(b->bench.rises[LINE_LEGACY0], 1001);
	ck_assert_uint_eq(b->bench.last_rise[LINE_LEGACY0], 1000500 * US);
	/* A stop in between keeps what is left. */
	bench_run(&b->bench, 300 * US);
	hw(b, 0x10, 2);
	bench_run(&b->bench, SECOND);
	hw(b, 0x10, 3);
	bench_run(&b->bench, 700 * US - 1);
	ck_assert_uint_eq(b->bench.rises[LINE_LEGACY0], 1001);
	bench_run(&b->bench, 1);
	ck_assert_uint_eq(b->bench.rises[LINE_LEGACY0], 1002);
	hw(b, 0x10, 1);
	ck_assert(!b->legacy);
	ck_assert(!b->bench.level[LINE_LEGACY0]);
	/* Floor, and a period of zero. */
	for (u64 period = 0; period < 12; period++) {
		hw(b, 0x10, 0);
		hw(b, 0xf0, 0);
		hw(b, 0x100, 0x4c);
		hw(b, 0x108, period);
		hw(b, 0x10, 1);
		b->bench.fired = 0;
		bench_run(&b->bench, MS);
		ck_assert_uint_le(b->bench.fired, 1001);
		ck_assert_uint_ge(b->bench.fired, period ? 900 : 1);
	}
	free(b);
}
END_TEST

START_TEST(test_hpet_overdue)
{
	struct board *b = setup();

	/* A match that is due but has not been run yet survives a rewrite of the configuration. */
	hw(b, 0x10, 1);
	hw(b, 0x100, 20 << 9 | 0x4c);
	hw(b, 0x108, 100);
	b->bench.now += 20 * US;
	hw(b, 0x10, 0);
	hw(b, 0x10, 1);
	bench_run(&b->bench, 100 * US);
	ck_assert_uint_ge(b->bench.rises[LINE_PIN], 10);
	free(b);
}
END_TEST

START_TEST(test_hpet_state)
{
	struct board *b = setup();

	b->hpet_copy.legacy_changed = on_legacy;
	b->hpet_copy.legacy_owner = b;
	hw(b, 0x10, 1);
	hw(b, 0x100, 20 << 9 | 0x4c);
	hw(b, 0x108, 10000);
	hw(b, 0x120, 22 << 9 | 6);
	hw(b, 0x128, 77777);
	bench_run(&b->bench, 12345678);
	bench_round_trip(&b->hpet.device, &b->hpet_copy.device);
	ck_assert_uint_eq(b->hpet.timer[0].timer.deadline, b->hpet_copy.timer[0].timer.deadline);
	b->hpet_copy.base_ns = b->bench.now + 1;
	ck_assert(!hpet_class.post_load(&b->hpet_copy.device));
	hpet_class.reset(&b->hpet_copy.device);
	bench_fuzz(&b->bench, &b->bench.mem, HPET, 0x160, 3);
	bench_hostile_state(&b->bench, &b->hpet.device, &b->bench.mem, HPET, 0x160);
	free(b);
}
END_TEST

START_TEST(test_port92)
{
	struct board *b = setup();

	out(b, 0x92, 2, 1);
	ck_assert(b->bench.level[LINE_A20]);
	ck_assert_uint_eq(b->cpu_resets, 0);
	out(b, 0x92, 0xff, 1);
	ck_assert_uint_eq(in(b, 0x92, 1), 3);
	out(b, 0x92, 3, 1);
	ck_assert_uint_eq(b->cpu_resets, 1); /* on the rise only */
	out(b, 0x92, 0, 1);
	ck_assert(!b->bench.level[LINE_A20]);
	bench_round_trip(&b->port92.device, &b->port92_copy.device);
	b->port92_copy.value = 4;
	ck_assert(!port92_class.post_load(&b->port92_copy.device));
	out(b, 0xcf9, 2, 1);
	ck_assert_uint_eq(b->resets, 0);
	out(b, 0xcf9, 6, 1);
	ck_assert_uint_eq(b->resets, 1);
	ck_assert_uint_eq(b->hard, 1);
	ck_assert_uint_eq(in(b, 0xcf9, 1), 6);
	out(b, 0xcf9, 0, 1);
	out(b, 0xcf9, 4, 1);
	ck_assert_uint_eq(b->resets, 2);
	ck_assert_uint_eq(b->hard, 1);
	bench_round_trip(&b->rc.device, &b->rc_copy.device);
	b->rc_copy.value = 1;
	ck_assert(!reset_control_class.post_load(&b->rc_copy.device));
	free(b);
}
END_TEST

Suite *chips_power_suite(void)
{
	Suite *s = suite_create("chips: power and timers");
	TCase *pm = tcase_create("acpi_pm"), *hpet = tcase_create("hpet");
	TCase *reset = tcase_create("reset");

	tcase_add_test(pm, test_pm_timer);
	tcase_add_test(pm, test_pm_timer_status);
	tcase_add_test(pm, test_pm_button_and_enable);
	tcase_add_test(pm, test_pm_sleep);
	tcase_add_test(pm, test_pm_wake);
	tcase_add_test(pm, test_pm_gpe);
	tcase_add_test(pm, test_pm_state);
	suite_add_tcase(s, pm);
	tcase_add_test(hpet, test_hpet_counter);
	tcase_add_test(hpet, test_hpet_one_shot_level);
	tcase_add_test(hpet, test_hpet_periodic_legacy);
	tcase_add_test(hpet, test_hpet_overdue);
	tcase_add_test(hpet, test_hpet_state);
	suite_add_tcase(s, hpet);
	tcase_add_test(reset, test_port92);
	suite_add_tcase(s, reset);
	return s;
}
