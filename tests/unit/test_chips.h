/*
 * A bench for chips: a clock that stands still until moved, two buses, interrupt wires that count.
 */
#ifndef TESTS_UNIT_TEST_CHIPS_H
#define TESTS_UNIT_TEST_CHIPS_H

#include <check.h>
#include <stdlib.h>

#include "base/bits.h"
#include "devices/device.h"

#define BENCH_LINES 32
#define US 1000ull
#define MS 1000000ull
#define SECOND 1000000000ull

struct bench {
	struct clock clock;
	u64 now;
	struct log log;
	struct bus io, mem;
	struct device_env env;
	bool level[BENCH_LINES];
	unsigned rises[BENCH_LINES];
	u64 last_rise[BENCH_LINES];
	unsigned fired; /* clock_run calls that bench_run_to needed */
	u64 random;
};

static inline u64 bench_now(void *owner)
{
	return ((struct bench *)owner)->now;
}

static inline void bench_set_line(void *owner, unsigned n, bool level)
{
	struct bench *b = owner;

	ck_assert_uint_lt(n, BENCH_LINES);
	if (level && !b->level[n]) {
		b->rises[n]++;
		b->last_rise[n] = b->now;
	}
	b->level[n] = level;
}

static inline void bench_init(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	b->clock.now = bench_now;
	b->clock.owner = b;
	bus_init(&b->io, "io", &b->log);
	bus_init(&b->mem, "mem", &b->log);
	b->env = (struct device_env){.clock = &b->clock, .log = &b->log};
	b->random = 88172645463325252ull;
}

static inline struct irq_line bench_line(struct bench *b, unsigned n)
{
	return (struct irq_line){.set = bench_set_line, .owner = b, .n = n};
}

/* Moves time on, stopping at every timer on the way. */
static inline void bench_run_to(struct bench *b, u64 ns)
{
	while (clock_next(&b->clock) <= ns) {
		if (clock_next(&b->clock) > b->now)
			b->now = clock_next(&b->clock);
		clock_run(&b->clock);
		b->fired++;
	}
	b->now = ns;
}

static inline void bench_run(struct bench *b, u64 ns)
{
	bench_run_to(b, b->now + ns);
}

static inline void bench_add(struct bench *b, struct device *d, const struct device_class *cls)
{
	device_setup(d, cls, &b->env, cls->name);
	cls->init(d);
	cls->reset(d);
}

static inline void bench_attach(struct bus *bus, struct io_region *r, u64 base)
{
	r->base = base;
	ck_assert(bus_attach(bus, r));
}

static inline u8 bench_in(struct bench *b, u64 port)
{
	return (u8)bus_read(&b->io, port, 1);
}

static inline void bench_out(struct bench *b, u64 port, u8 v)
{
	bus_write(&b->io, port, v, 1);
}

static inline u64 bench_random(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

/* Saves `from`, loads it into `to` (set up on the same bench with the same configuration), lets it
 * post_load, and demands that both are equal then. A state cut short must be refused. */
static inline void bench_round_trip(const struct device *from, struct device *to)
{
	const struct state_field *table = from->cls->state;
	size_t size = state_size(table);
	u8 *first = malloc(size + 1), *second = malloc(size + 1);

	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(second);
	state_save(table, from, first);
	if (size)
		ck_assert(!state_load(table, to, first, size - 1));
	ck_assert(state_load(table, to, first, size));
	if (to->cls->post_load)
		ck_assert(to->cls->post_load(to));
	ck_assert_ptr_null(state_compare(table, from, to));
	state_save(table, to, second);
	ck_assert_mem_eq(first, second, size);
	ck_assert_uint_eq(state_hash(table, from, 1), state_hash(table, to, 1));
	free(first);
	free(second);
}

/* Random accesses of all sizes to a range, with time passing: nothing may crash, and timers may not
 * storm (one event a microsecond, for at most `timers` timers). */
static inline void bench_fuzz(struct bench *b, struct bus *bus, u64 base, u64 len, unsigned timers)
{
	for (unsigned i = 0; i < 20000; i++) {
		u64 r = bench_random(b), v = bench_random(b);
		u64 addr = base + (r >> 8) % len;
		unsigned size = 1u << (r & 3), before = b->fired;
		u64 step = r >> 40 & 1 ? 1ull << (r >> 41 & 15) : 0;

		if (r >> 50 & 1)
			v &= 0xff;
		if (r & 4)
			bus_write(bus, addr, v, size);
		else
			bus_read(bus, addr, size);
		bench_run(b, step);
		ck_assert_uint_le(b->fired - before, timers * (4 + 2 * step / US));
	}
}

/* Random bytes as a saved state: post_load refuses them or the chip lives on with them. */
static inline void bench_hostile_state(struct bench *b, struct device *d, struct bus *bus, u64 base,
				       u64 len)
{
	size_t size = state_size(d->cls->state);
	u8 *bytes = malloc(size + 1);

	ck_assert_ptr_nonnull(bytes);
	for (unsigned i = 0; i < 2000; i++) {
		state_save(d->cls->state, d, bytes);
		for (unsigned k = 0; k < 1 + i % 8; k++)
			bytes[bench_random(b) % size] = (u8)bench_random(b);
		ck_assert(state_load(d->cls->state, d, bytes, size));
		if (d->cls->post_load && !d->cls->post_load(d)) {
			d->cls->reset(d);
			continue;
		}
		for (unsigned k = 0; k < 8; k++) {
			u64 addr = base + bench_random(b) % len;

			bus_read(bus, addr, 1);
			bus_write(bus, addr, bench_random(b), 4);
		}
		bench_run(b, US);
	}
	free(bytes);
}

Suite *chips_suite(void);	 /* PIC, PIT, RTC */
Suite *chips_apic_suite(void);	 /* local APIC, I/O APIC */
Suite *chips_serial_suite(void); /* UART, i8042, debug ports */
Suite *chips_power_suite(void);	 /* ACPI PM, HPET, port 92h, CF9h */

#endif
