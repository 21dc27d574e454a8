/*
 * Local APIC and I/O APIC, driven through their registers. Rules quoted from the SDM volume 3
 * chapter on the APIC where a test violates them.
 */
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "tests/unit/test_chips.h"

#define CPUS 3
#define IOAPIC_BASE 0xfec00000ull
#define TSC_HZ 2000000000ull

struct cpu {
	struct machine *m;
	unsigned n;
	unsigned inits, nmis, smis, sipis, changes, bases;
	u8 sipi_vector;
};

struct machine {
	struct bench bench;
	struct lapic lapic[CPUS + 1]; /* the last one for round trips */
	struct lapic *all[CPUS];
	struct cpu cpu[CPUS + 1];
	struct ioapic ioapic, copy;
	unsigned eois;
	u8 eoi_vector;
	unsigned sent;
};

static void on_changed(void *owner)
{
	((struct cpu *)owner)->changes++;
}

static void on_init(void *owner)
{
	struct cpu *c = owner;

	c->inits++;
	lapic_reset(&c->m->lapic[c->n], true);
}

static void on_sipi(void *owner, u8 vector)
{
	struct cpu *c = owner;

	c->sipis++;
	c->sipi_vector = vector;
}

static void on_nmi(void *owner)
{
	((struct cpu *)owner)->nmis++;
}

static void on_smi(void *owner)
{
	((struct cpu *)owner)->smis++;
}

static bool on_send(void *owner, const struct lapic *from, const struct apic_message *m)
{
	struct cpu *c = owner;

	c->m->sent++;
	return lapic_bus_send(c->m->all, CPUS, m, from);
}

static bool on_ioapic_send(void *owner, const struct apic_message *m)
{
	struct machine *mach = owner;

	mach->sent++;
	return lapic_bus_send(mach->all, CPUS, m, NULL);
}

static void on_eoi(void *owner, u8 vector)
{
	struct cpu *c = owner;

	c->m->eois++;
	c->m->eoi_vector = vector;
	ioapic_eoi(&c->m->ioapic, vector);
}

static void on_base(void *owner)
{
	((struct cpu *)owner)->bases++;
}

static u64 on_tsc(void *owner)
{
	return muldiv64(((struct cpu *)owner)->m->bench.now, TSC_HZ, SECOND);
}

static u64 on_tsc_to_ns(void *owner, u64 tsc)
{
	(void)owner;
	if (tsc > UINT64_MAX / 4)
		return CLOCK_NEVER - 1;
	return (tsc + 1) / 2; /* 2 GHz */
}

static void add_lapic(struct machine *m, unsigned n, u32 id)
{
	struct lapic *l = &m->lapic[n];

	m->cpu[n] = (struct cpu){.m = m, .n = n};
	l->wires = (struct lapic_wires){
		.owner = &m->cpu[n],
		.intr_changed = on_changed,
		.init = on_init,
		.sipi = on_sipi,
		.nmi = on_nmi,
		.smi = on_smi,
		.send = on_send,
		.eoi = on_eoi,
		.base_changed = on_base,
		.tsc_now = on_tsc,
		.tsc_to_ns = on_tsc_to_ns,
	};
	l->id = id;
	l->bsp = n == 0;
	l->has_x2apic = l->has_tsc_deadline = l->has_eoi_suppress = true;
	bench_add(&m->bench, &l->device, &lapic_class);
}

static struct machine *setup(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	ck_assert_ptr_nonnull(m);
	bench_init(&m->bench);
	for (unsigned i = 0; i < CPUS; i++) {
		add_lapic(m, i, i);
		m->all[i] = &m->lapic[i];
	}
	add_lapic(m, CPUS, 0);
	m->ioapic.send = on_ioapic_send;
	m->ioapic.send_owner = m;
	bench_add(&m->bench, &m->ioapic.device, &ioapic_class);
	bench_attach(&m->bench.mem, &m->ioapic.io, IOAPIC_BASE);
	bench_attach(&m->bench.mem, &m->lapic[0].io, LAPIC_DEFAULT_BASE);
	return m;
}

static u32 rd(struct machine *m, unsigned cpu, u32 off)
{
	if (cpu == 0)
		return (u32)bus_read(&m->bench.mem, LAPIC_DEFAULT_BASE + off, 4);
	return (u32)lapic_mmio_read(&m->lapic[cpu], off, 4);
}

static void wr(struct machine *m, unsigned cpu, u32 off, u32 v)
{
	if (cpu == 0)
		bus_write(&m->bench.mem, LAPIC_DEFAULT_BASE + off, v, 4);
	else
		lapic_mmio_write(&m->lapic[cpu], off, v, 4);
}

static void enable_all(struct machine *m)
{
	for (unsigned i = 0; i < CPUS; i++)
		wr(m, i, 0xf0, 0x1ff);
}

static void to_x2apic(struct machine *m, unsigned cpu)
{
	u64 base;

	ck_assert_int_eq(lapic_msr_read(&m->lapic[cpu], 0x1b, &base), LAPIC_OK);
	ck_assert_int_eq(lapic_msr_write(&m->lapic[cpu], 0x1b, base | 0x400), LAPIC_OK);
}

START_TEST(test_lapic_reset_values)
{
	struct machine *m = setup();
	u64 base;

	ck_assert_uint_eq(rd(m, 0, 0x20), 0);
	ck_assert_uint_eq(rd(m, 2, 0x20), 2u << 24);
	ck_assert_uint_eq(rd(m, 0, 0x30), 0x01050015);
	ck_assert_uint_eq(rd(m, 0, 0xf0), 0xff);
	ck_assert_uint_eq(rd(m, 0, 0xe0), 0xffffffff);
	for (u32 off = 0x320; off <= 0x370; off += 0x10)
		ck_assert_uint_eq(rd(m, 0, off), 0x10000);
	lapic_msr_read(&m->lapic[0], 0x1b, &base);
	ck_assert_uint_eq(base, 0xfee00900);
	lapic_msr_read(&m->lapic[1], 0x1b, &base);
	ck_assert_uint_eq(base, 0xfee00800);
	/* Software-disabled: LVT mask bits cannot be cleared. */
	wr(m, 0, 0x320, 0x30);
	ck_assert_uint_eq(rd(m, 0, 0x320), 0x10030);
	free(m);
}
END_TEST

START_TEST(test_lapic_priority)
{
	struct machine *m = setup();
	struct lapic *l = &m->lapic[0];

	enable_all(m);
	ck_assert_int_eq(lapic_pending(l), -1);
	wr(m, 0, 0x310, 0);
	wr(m, 0, 0x300, 0x31); /* to itself, physical */
	wr(m, 0, 0x300, 0x82);
	ck_assert_int_eq(lapic_pending(l), 0x82);
	wr(m, 0, 0x80, 0x80); /* same class: inhibited */
	ck_assert_int_eq(lapic_pending(l), -1);
	ck_assert_int_eq(lapic_acknowledge(l), 0xff); /* spurious */
	ck_assert_uint_eq(rd(m, 0, 0x140), 0);
	wr(m, 0, 0x80, 0x7f);
	ck_assert_int_eq(lapic_acknowledge(l), 0x82);
	ck_assert_uint_eq(rd(m, 0, 0xa0), 0x80);
	ck_assert_uint_eq(rd(m, 0, 0x140), 4);
	ck_assert_uint_eq(rd(m, 0, 0x240), 0);
	ck_assert_int_eq(lapic_pending(l), -1);
	lapic_set_tpr(l, 0);
	wr(m, 0, 0xb0, 0);
	ck_assert_int_eq(lapic_acknowledge(l), 0x31);
	lapic_set_tpr(l, 5);
	ck_assert_uint_eq(rd(m, 0, 0xa0), 0x50);
	ck_assert_uint_eq(lapic_get_tpr(l), 5);
	lapic_set_tpr(l, 0);
	ck_assert_uint_eq(rd(m, 0, 0xa0), 0x30);
	wr(m, 0, 0xb0, 0);
	ck_assert_uint_eq(m->eois, 0); /* edges are not broadcast */
	free(m);
}
END_TEST

START_TEST(test_lapic_errors)
{
	struct machine *m = setup();
	struct lapic *l = &m->lapic[0];

	enable_all(m);
	wr(m, 0, 0x370, 0xfe);
	wr(m, 0, 0x300, 0x4000f);	       /* vector 15 to self */
	ck_assert_uint_eq(rd(m, 0, 0x280), 0); /* shows after a write only */
	ck_assert_int_eq(lapic_acknowledge(l), 0xfe);
	wr(m, 0, 0x280, 0);
	ck_assert_uint_eq(rd(m, 0, 0x280), 0x20);
	rd(m, 0, 0x50);
	rd(m, 0, 0x3d0);
	wr(m, 0, 0x280, 0);
	ck_assert_uint_eq(rd(m, 0, 0x280), 0x80);
	wr(m, 0, 0x280, 0);
	ck_assert_uint_eq(rd(m, 0, 0x280), 0);
	struct apic_message bad = {.vector = 3, .assert_ = true};
	lapic_accept(l, &bad);
	wr(m, 0, 0x280, 0);
	ck_assert_uint_eq(rd(m, 0, 0x280), 0x40);
	/* An error interrupt with an illegal vector itself: ends. */
	wr(m, 0, 0x370, 0x05);
	wr(m, 0, 0x300, 0x4000f);
	wr(m, 0, 0x280, 0);
	ck_assert_uint_eq(rd(m, 0, 0x280), 0x60);
	wr(m, 0, 0x370, 0xfe);
	/* Unimplemented without CMCI. */
	rd(m, 0, 0x2f0);
	wr(m, 0, 0x280, 0);
	ck_assert_uint_eq(rd(m, 0, 0x280), 0x80);
	free(m);
}
END_TEST

START_TEST(test_lapic_timer_one_shot)
{
	struct machine *m = setup();

	enable_all(m);
	m->bench.now = 12345;
	wr(m, 0, 0x320, 0x40);
	wr(m, 0, 0x3e0, 0xb);	/* by 1 */
	wr(m, 0, 0x380, 40000); /* 40 us */
	ck_assert_uint_eq(rd(m, 0, 0x390), 40000);
	bench_run(&m->bench, 20 * US);
	ck_assert_uint_eq(rd(m, 0, 0x390), 20000);
	wr(m, 0, 0x3e0, 0x0); /* by 2: the rest takes twice as long */
	bench_run(&m->bench, 40 * US - 1);
	ck_assert_int_eq(lapic_pending(&m->lapic[0]), -1);
	bench_run(&m->bench, 1);
	ck_assert_int_eq(lapic_acknowledge(&m->lapic[0]), 0x40);
	ck_assert_uint_eq(rd(m, 0, 0x390), 0);
	ck_assert_uint_eq(rd(m, 0, 0x380), 40000);
	bench_run(&m->bench, SECOND);
	ck_assert_int_eq(lapic_pending(&m->lapic[0]), -1);
	wr(m, 0, 0x380, 100);
	wr(m, 0, 0x380, 0); /* stops */
	ck_assert_uint_eq(clock_next(&m->bench.clock), CLOCK_NEVER);
	for (unsigned d = 0; d < 16; d++) {
		static const u8 by[16] = {2, 4, 8, 16, 2, 4, 8, 16, 32, 64, 128, 1, 32, 64, 128, 1};
		u64 start = m->bench.now;

		wr(m, 0, 0x3e0, d);
		wr(m, 0, 0x380, 10);
		ck_assert_uint_eq(clock_next(&m->bench.clock) - start, 10 * by[d]);
	}
	free(m);
}
END_TEST

START_TEST(test_lapic_timer_periodic)
{
	struct machine *m = setup();
	struct lapic *l = &m->lapic[0];
	unsigned count = 0;

	enable_all(m);
	l->timer_hz = 24000000; /* 41.66 ns: rounding must not add up */
	wr(m, 0, 0x320, 0x20040);
	wr(m, 0, 0x3e0, 0xb);
	wr(m, 0, 0x380, 24007);
	for (unsigned i = 0; i < 1000; i++) {
		bench_run_to(&m->bench, clock_next(&m->bench.clock));
		if (lapic_pending(l) == 0x40 && lapic_acknowledge(l) == 0x40)
			count++;
		wr(m, 0, 0xb0, 0);
	}
	ck_assert_uint_eq(count, 1000);
	ck_assert_uint_eq(m->bench.now, clock_ticks_to_ns(24007000ull, 24000000));
	ck_assert_uint_eq(rd(m, 0, 0x390), 24007);
	/* Floor: one tick periods interrupt at most once a microsecond. */
	wr(m, 0, 0x380, 1);
	m->bench.fired = 0;
	bench_run(&m->bench, MS);
	ck_assert_uint_le(m->bench.fired, 1001);
	ck_assert_uint_ge(m->bench.fired, 990);
	/* To one-shot: the running period ends it. */
	wr(m, 0, 0x380, 1000);
	bench_run(&m->bench, 100 * US);
	wr(m, 0, 0x320, 0x40);
	ck_assert_uint_gt(rd(m, 0, 0x390), 0);
	bench_run(&m->bench, 100 * US);
	ck_assert_uint_eq(rd(m, 0, 0x390), 0);
	ck_assert_uint_eq(clock_next(&m->bench.clock), CLOCK_NEVER);
	free(m);
}
END_TEST

START_TEST(test_lapic_tsc_deadline)
{
	struct machine *m = setup();
	struct lapic *l = &m->lapic[0];
	u64 v;

	enable_all(m);
	/* "In other timer modes, IA32_TSC_DEADLINE reads zero and writes are ignored." */
	ck_assert_int_eq(lapic_msr_write(l, 0x6e0, 5000), LAPIC_OK);
	lapic_msr_read(l, 0x6e0, &v);
	ck_assert_uint_eq(v, 0);
	wr(m, 0, 0x320, 0x400ec);
	wr(m, 0, 0x380, 1000); /* ignored in this mode */
	ck_assert_uint_eq(rd(m, 0, 0x380), 0);
	lapic_msr_write(l, 0x6e0, 200001);
	lapic_msr_read(l, 0x6e0, &v);
	ck_assert_uint_eq(v, 200001);
	bench_run_to(&m->bench, 100000);
	ck_assert_int_eq(lapic_pending(l), -1);
	bench_run_to(&m->bench, 100001);
	ck_assert_int_eq(lapic_acknowledge(l), 0xec);
	wr(m, 0, 0xb0, 0);
	lapic_msr_read(l, 0x6e0, &v);
	ck_assert_uint_eq(v, 0);
	/* In the past: at once. */
	lapic_msr_write(l, 0x6e0, 1);
	bench_run(&m->bench, 0);
	ck_assert_int_eq(lapic_acknowledge(l), 0xec);
	wr(m, 0, 0xb0, 0);
	/* Far away, then a mode change disarms. */
	lapic_msr_write(l, 0x6e0, ~0ull);
	bench_run(&m->bench, 10 * SECOND);
	ck_assert_int_eq(lapic_pending(l), -1);
	wr(m, 0, 0x320, 0xec);
	ck_assert_uint_eq(clock_next(&m->bench.clock), CLOCK_NEVER);
	l->has_tsc_deadline = false;
	ck_assert_int_eq(lapic_msr_write(l, 0x6e0, 1), LAPIC_GP);
	ck_assert_int_eq(lapic_msr_read(l, 0x6e0, &v), LAPIC_GP);
	free(m);
}
END_TEST

START_TEST(test_lapic_base_transitions)
{
	struct machine *m = setup();
	struct lapic *l = &m->lapic[0];

	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00901), LAPIC_GP);
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00b00), LAPIC_GP);
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 1ull << 46 | 0xfee00900), LAPIC_GP);
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00500), LAPIC_GP); /* EXTD without EN */
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00100), LAPIC_OK); /* disabled */
	ck_assert_uint_eq(rd(m, 0, 0x30), 0xffffffff);
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00d00), LAPIC_GP); /* not directly */
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00900), LAPIC_OK);
	wr(m, 0, 0xd0, 0x0f000000);
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00d00), LAPIC_OK);
	ck_assert_uint_eq(rd(m, 0, 0x30), 0xffffffff); /* no MMIO in x2APIC mode */
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00900), LAPIC_GP); /* not back */
	lapic_reset(l, true);						  /* INIT keeps the mode */
	ck_assert(lapic_in_x2apic(l));
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00100), LAPIC_OK);
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00900), LAPIC_OK);
	ck_assert_uint_eq(rd(m, 0, 0xd0), 0);
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0x12345900), LAPIC_OK);
	ck_assert_uint_eq(l->base & ~0xfffull, 0x12345000);
	ck_assert_uint_eq(m->cpu[0].bases, 7); /* power-up counts */
	lapic_reset(l, false);
	ck_assert_uint_eq(l->base, 0xfee00900);
	l->has_x2apic = false;
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00d00), LAPIC_GP);
	free(m);
}
END_TEST

START_TEST(test_lapic_x2apic_registers)
{
	static const u16 readable[] = {0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f, 0x828,
				       0x830, 0x832, 0x837, 0x838, 0x839, 0x83e};
	static const u16 no_write[] = {0x802, 0x803, 0x80a, 0x80d, 0x810, 0x818, 0x820, 0x839};
	static const u16 absent[] = {0x800, 0x809, 0x80c, 0x80e, 0x82f, 0x831, 0x83a, 0x840, 0x8ff};
	static const struct {
		u16 msr;
		u64 bad, good;
	} reserved[] = {
		{0x808, 0x100, 0xff},	   {0x80b, 1, 0},
		{0x80f, 0x400, 0x1ff},	   {0x828, 1, 0},
		{0x832, 0x80040, 0x710ff}, {0x833, 0x2000, 0x117ff},
		{0x835, 0x20000, 0x1f7ff}, {0x837, 0x700, 0x110ff},
		{0x838, 1ull << 32, 10},   {0x83e, 4, 0xb},
		{0x83f, 0x100, 0x41},	   {0x830, 0x2000, 0x1041},
		{0x830, 0x30041, 0x4c841}, {0x830, 0x100041, 0xffffffff00000041},
	};
	struct machine *m = setup();
	struct lapic *l = &m->lapic[2];
	u64 v;

	l->id = 0x27;
	ck_assert_int_eq(lapic_msr_read(l, 0x802, &v), LAPIC_GP); /* not in xAPIC mode */
	to_x2apic(m, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(readable); i++)
		ck_assert_int_eq(lapic_msr_read(l, readable[i], &v), LAPIC_OK);
	for (unsigned i = 0; i < ARRAY_SIZE(no_write); i++)
		ck_assert_int_eq(lapic_msr_write(l, no_write[i], 0), LAPIC_GP);
	for (unsigned i = 0; i < ARRAY_SIZE(absent); i++) {
		ck_assert_int_eq(lapic_msr_read(l, absent[i], &v), LAPIC_GP);
		ck_assert_int_eq(lapic_msr_write(l, absent[i], 0), LAPIC_GP);
	}
	ck_assert_int_eq(lapic_msr_read(l, 0x80b, &v), LAPIC_GP);
	ck_assert_int_eq(lapic_msr_read(l, 0x83f, &v), LAPIC_GP);
	ck_assert_int_eq(lapic_msr_write(l, 0x80f, 0x1ff), LAPIC_OK);
	for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++) {
		ck_assert_int_eq(lapic_msr_write(l, reserved[i].msr, reserved[i].bad), LAPIC_GP);
		ck_assert_int_eq(lapic_msr_write(l, reserved[i].msr, reserved[i].good), LAPIC_OK);
	}
	lapic_msr_read(l, 0x802, &v);
	ck_assert_uint_eq(v, 0x27);
	lapic_msr_read(l, 0x80d, &v);
	ck_assert_uint_eq(v, 0x20080);
	lapic_msr_read(l, 0x830, &v);
	ck_assert_uint_eq(v, 0xffffffff00000041);
	lapic_msr_write(l, 0x808, 0);
	lapic_msr_write(l, 0x83f, 0x99);
	ck_assert_int_eq(lapic_acknowledge(l), 0x99);
	lapic_msr_write(l, 0x80f, 0);
	lapic_msr_read(l, 0x832, &v);
	ck_assert_uint_eq(v & 0x10000, 0x10000);
	free(m);
}
END_TEST

static unsigned matching(struct machine *m, struct apic_message msg, const struct lapic *from)
{
	unsigned set = 0;

	for (unsigned i = 0; i < CPUS; i++)
		if (lapic_matches(m->all[i], &msg, from))
			set |= 1u << i;
	return set;
}

START_TEST(test_lapic_destinations)
{
	struct machine *m = setup();
	struct apic_message msg = {.vector = 0x50, .dest = 1};

	ck_assert_uint_eq(matching(m, msg, NULL), 2);
	msg.dest = 0xff;
	ck_assert_uint_eq(matching(m, msg, NULL), 7);
	msg.logical = true;
	for (unsigned i = 0; i < CPUS; i++)
		wr(m, i, 0xd0, 1u << (24 + i));
	msg.dest = 5;
	ck_assert_uint_eq(matching(m, msg, NULL), 5);
	for (unsigned i = 0; i < CPUS; i++) {
		wr(m, i, 0xe0, 0);
		wr(m, i, 0xd0, (i / 2 << 4 | 1u << (i & 1)) << 24);
	}
	ck_assert_uint_eq(rd(m, 0, 0xe0), 0x0fffffff);
	msg.dest = 0x03;
	ck_assert_uint_eq(matching(m, msg, NULL), 3);
	msg.dest = 0x13;
	ck_assert_uint_eq(matching(m, msg, NULL), 4);
	msg.logical = false;
	msg.shorthand = 1;
	ck_assert_uint_eq(matching(m, msg, &m->lapic[1]), 2);
	msg.shorthand = 2;
	ck_assert_uint_eq(matching(m, msg, &m->lapic[1]), 7);
	msg.shorthand = 3;
	ck_assert_uint_eq(matching(m, msg, &m->lapic[1]), 5);
	msg.shorthand = 0;
	m->lapic[1].id = 0x101; /* x2APIC IDs beyond 8 bits */
	for (unsigned i = 0; i < CPUS; i++)
		to_x2apic(m, i);
	msg.x2apic = true;
	msg.dest = 0x101;
	ck_assert_uint_eq(matching(m, msg, NULL), 2);
	msg.dest = 0xffffffff;
	ck_assert_uint_eq(matching(m, msg, NULL), 7);
	msg.logical = true;
	msg.dest = 0x00100002; /* cluster 10h, member 1 */
	ck_assert_uint_eq(matching(m, msg, NULL), 2);
	msg.dest = 0x00000005;
	ck_assert_uint_eq(matching(m, msg, NULL), 5);
	m->lapic[2].base = 0xfee00000; /* disabled: hears nothing */
	ck_assert_uint_eq(matching(m, msg, NULL), 1);
	free(m);
}
END_TEST

START_TEST(test_lapic_ipis)
{
	struct machine *m = setup();
	struct apic_message lowest = {.mode = 1, .vector = 0x61, .dest = 0xff, .assert_ = true};

	enable_all(m);
	wr(m, 0, 0x310, 1u << 24);
	wr(m, 0, 0x300, 0xc500); /* INIT, level, assert */
	ck_assert_uint_eq(m->cpu[1].inits, 1);
	ck_assert_uint_eq(rd(m, 1, 0xf0), 0xff);
	wr(m, 0, 0x300, 0x8500); /* INIT de-assert: nothing */
	ck_assert_uint_eq(m->cpu[1].inits, 1);
	wr(m, 0, 0x300, 0x4612);
	ck_assert_uint_eq(m->cpu[1].sipis, 1);
	ck_assert_uint_eq(m->cpu[1].sipi_vector, 0x12);
	wr(m, 0, 0x300, 0xc4400); /* NMI, all but self */
	ck_assert_uint_eq(m->cpu[0].nmis, 0);
	ck_assert_uint_eq(m->cpu[1].nmis + m->cpu[2].nmis, 2);
	wr(m, 0, 0x300, 0x80200); /* SMI, all */
	ck_assert_uint_eq(m->cpu[0].smis, 1);
	/* Fixed: cpu 1 is software-disabled after its INIT and takes nothing. */
	wr(m, 0, 0x300, 0x80051);
	ck_assert_int_eq(lapic_pending(&m->lapic[0]), 0x51);
	ck_assert_int_eq(lapic_pending(&m->lapic[1]), -1);
	ck_assert_int_eq(lapic_pending(&m->lapic[2]), 0x51);
	/* Lowest priority goes to the lowest PPR. */
	lapic_set_tpr(&m->lapic[0], 4);
	ck_assert_ptr_eq(lapic_arbitrate(m->all, CPUS, &lowest, NULL), &m->lapic[2]);
	lapic_set_tpr(&m->lapic[2], 6);
	ck_assert_ptr_eq(lapic_arbitrate(m->all, CPUS, &lowest, NULL), &m->lapic[0]);
	ck_assert(lapic_bus_send(m->all, CPUS, &lowest, NULL));
	ck_assert_int_eq(lapic_pending(&m->lapic[0]), 0x61);
	free(m);
}
END_TEST

/* Two local APICs may be given one ID; both take what is sent to it. */
START_TEST(test_lapic_written_id)
{
	struct machine *m = setup();
	struct lapic *l = &m->lapic[2];

	enable_all(m);
	wr(m, 1, 0x20, 0x5a000000);
	wr(m, 2, 0x20, 0x5affffff);
	ck_assert_uint_eq(rd(m, 2, 0x20), 0x5a000000);
	wr(m, 0, 0x310, 0x5a000000);
	wr(m, 0, 0x300, 0x51);
	ck_assert_int_eq(lapic_pending(&m->lapic[0]), -1);
	ck_assert_int_eq(lapic_pending(&m->lapic[1]), 0x51);
	ck_assert_int_eq(lapic_pending(l), 0x51);
	lapic_reset(l, true); /* INIT keeps it */
	ck_assert_uint_eq(rd(m, 2, 0x20), 0x5a000000);
	to_x2apic(m, 2);
	ck_assert_int_eq(lapic_msr_write(l, 0x802, 0x5a), LAPIC_GP);
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00000), LAPIC_OK);
	ck_assert_int_eq(lapic_msr_write(l, 0x1b, 0xfee00800), LAPIC_OK);
	ck_assert_uint_eq(rd(m, 2, 0x20), 2u << 24);
	lapic_reset(&m->lapic[1], false);
	ck_assert_uint_eq(rd(m, 1, 0x20), 1u << 24);
	free(m);
}
END_TEST

START_TEST(test_lapic_lint)
{
	struct machine *m = setup();
	struct lapic *l = &m->lapic[0];
	unsigned changes;

	ck_assert(!lapic_accepts_extint(l));
	lapic_set_virtual_wire(l);
	ck_assert(lapic_accepts_extint(l));
	changes = m->cpu[0].changes;
	lapic_set_lint(l, 0, true);
	ck_assert_uint_gt(m->cpu[0].changes, changes);
	lapic_set_lint(l, 1, true);
	lapic_set_lint(l, 1, true);
	ck_assert_uint_eq(m->cpu[0].nmis, 1);
	lapic_set_lint(l, 0, false);
	/* Level-sensitive fixed LINT0: remote IRR until EOI, again while the line stays up. */
	wr(m, 0, 0x350, 0x8044);
	lapic_set_lint(l, 0, true);
	ck_assert_uint_eq(rd(m, 0, 0x350), 0xc044);
	ck_assert_int_eq(lapic_acknowledge(l), 0x44);
	ck_assert_int_eq(lapic_pending(l), -1);
	wr(m, 0, 0xb0, 0);
	ck_assert_int_eq(lapic_acknowledge(l), 0x44);
	lapic_set_lint(l, 0, false);
	wr(m, 0, 0xb0, 0);
	ck_assert_uint_eq(rd(m, 0, 0x350), 0x8044);
	ck_assert_int_eq(lapic_pending(l), -1);
	/* A performance interrupt masks its entry. */
	wr(m, 0, 0x340, 0x400);
	lapic_local_event(l, LAPIC_LVT_PERF);
	ck_assert_uint_eq(m->cpu[0].nmis, 2);
	ck_assert_uint_eq(rd(m, 0, 0x340), 0x10400);
	lapic_local_event(l, LAPIC_LVT_PERF);
	ck_assert_uint_eq(m->cpu[0].nmis, 2);
	/* ExtINT as a message. */
	wr(m, 0, 0x350, 0x10000);
	ck_assert(!lapic_accepts_extint(l));
	struct apic_message ext = {.mode = 7, .assert_ = true};
	lapic_accept(l, &ext);
	ck_assert(lapic_accepts_extint(l));
	lapic_extint_taken(l);
	ck_assert(!lapic_accepts_extint(l));
	/* Disabled: the pins are INTR and NMI. */
	lapic_msr_write(l, 0x1b, 0xfee00100);
	ck_assert(lapic_accepts_extint(l));
	lapic_set_lint(l, 1, false);
	lapic_set_lint(l, 1, true);
	ck_assert_uint_eq(m->cpu[0].nmis, 3);
	free(m);
}
END_TEST

START_TEST(test_lapic_cmci)
{
	struct machine *m = setup();
	struct lapic *l = &m->lapic[0];

	l->has_cmci = true;
	enable_all(m);
	ck_assert_uint_eq(rd(m, 0, 0x30), 0x01060015);
	wr(m, 0, 0x2f0, 0x77);
	ck_assert_uint_eq(rd(m, 0, 0x2f0), 0x77);
	lapic_local_event(l, LAPIC_LVT_CMCI);
	ck_assert_int_eq(lapic_pending(l), 0x77);
	free(m);
}
END_TEST

START_TEST(test_lapic_state)
{
	struct machine *m = setup();
	struct lapic *copy = &m->lapic[CPUS];

	copy->bsp = true;
	enable_all(m);
	wr(m, 0, 0x320, 0x20040);
	wr(m, 0, 0x380, 100000);
	wr(m, 0, 0x300, 0x40055);
	lapic_acknowledge(&m->lapic[0]);
	bench_run(&m->bench, 30 * MS);
	bench_round_trip(&m->lapic[0].device, &copy->device);
	ck_assert(copy->timer.armed);
	ck_assert_uint_eq(copy->timer.deadline, m->lapic[0].timer.deadline);
	wr(m, 0, 0x320, 0x40040);
	lapic_msr_write(&m->lapic[0], 0x6e0, 1ull << 40);
	bench_round_trip(&m->lapic[0].device, &copy->device);
	ck_assert_uint_eq(copy->timer.deadline, m->lapic[0].timer.deadline);
	copy->base |= 1;
	ck_assert(!lapic_class.post_load(&copy->device));
	bench_hostile_state(&m->bench, &m->lapic[0].device, &m->bench.mem, LAPIC_DEFAULT_BASE,
			    0x400);
	free(m);
}
END_TEST

START_TEST(test_lapic_fuzz)
{
	struct machine *m = setup();

	enable_all(m);
	bench_fuzz(&m->bench, &m->bench.mem, LAPIC_DEFAULT_BASE, 0x1000, 1);
	for (unsigned i = 0; i < 50000; i++) {
		u64 r = bench_random(&m->bench), v;
		u32 msr = r & 3 ? 0x800 + (r >> 8 & 0x3f) : r & 4 ? 0x1b : 0x6e0;

		if (msr == 0x1b)
			r = (r & ~0xfull << 8) | (r & 0xd00);
		lapic_msr_write(&m->lapic[0], msr, r >> 16 & (r & 0x80 ? ~0ull : 0x507ff));
		lapic_msr_read(&m->lapic[0], msr, &v);
		lapic_acknowledge(&m->lapic[0]);
		bench_run(&m->bench, r & 1023);
	}
	free(m);
}
END_TEST

/* I/O APIC */

static u32 io_rd(struct machine *m, u8 reg)
{
	bus_write(&m->bench.mem, IOAPIC_BASE, reg, 4);
	return (u32)bus_read(&m->bench.mem, IOAPIC_BASE + 0x10, 4);
}

static void io_wr(struct machine *m, u8 reg, u32 v)
{
	bus_write(&m->bench.mem, IOAPIC_BASE, reg, 4);
	bus_write(&m->bench.mem, IOAPIC_BASE + 0x10, v, 4);
}

START_TEST(test_ioapic_registers)
{
	struct machine *m = setup();

	ck_assert_uint_eq(io_rd(m, 1), 0x00170020);
	io_wr(m, 0, 0xffffffff);
	ck_assert_uint_eq(io_rd(m, 0), 0x0f000000);
	ck_assert_uint_eq(io_rd(m, 2), 0x0f000000);
	for (u8 n = 0; n < 24; n++)
		ck_assert_uint_eq(io_rd(m, (u8)(0x10 + 2 * n)), 0x10000);
	io_wr(m, 0x10, 0xffffffff);
	io_wr(m, 0x11, 0xffffffff);
	ck_assert_uint_eq(io_rd(m, 0x10), 0x1afff);
	ck_assert_uint_eq(io_rd(m, 0x11), 0xff000000);
	ck_assert_uint_eq(io_rd(m, 0x40), 0xffffffff);
	ck_assert_uint_eq(bus_read(&m->bench.mem, IOAPIC_BASE + 0x30, 4), 0);
	free(m);
}
END_TEST

START_TEST(test_ioapic_edge)
{
	struct machine *m = setup();

	enable_all(m);
	io_wr(m, 0x15, 1u << 24);
	ioapic_set_irq(&m->ioapic, 2, true); /* masked edges are lost */
	io_wr(m, 0x14, 0x31);
	ck_assert_int_eq(lapic_pending(&m->lapic[1]), -1);
	ioapic_set_irq(&m->ioapic, 2, true);
	ck_assert_int_eq(lapic_pending(&m->lapic[1]), -1);
	ioapic_set_irq(&m->ioapic, 2, false);
	ioapic_set_irq(&m->ioapic, 2, true);
	ck_assert_int_eq(lapic_acknowledge(&m->lapic[1]), 0x31);
	ck_assert_uint_eq(io_rd(m, 0x14), 0x31);
	ioapic_set_irq(&m->ioapic, 24, true);
	ioapic_set_irq(&m->ioapic, ~0u, true);
	io_wr(m, 0x14, 0x400); /* NMI */
	ioapic_set_irq(&m->ioapic, 2, false);
	ioapic_set_irq(&m->ioapic, 2, true);
	ck_assert_uint_eq(m->cpu[1].nmis, 1);
	free(m);
}
END_TEST

START_TEST(test_ioapic_level)
{
	struct machine *m = setup();
	struct lapic *l = &m->lapic[0];

	enable_all(m);
	io_wr(m, 0x30, 0x8045);
	ioapic_set_irq(&m->ioapic, 16, true);
	ck_assert_uint_eq(io_rd(m, 0x30), 0xc045);
	ck_assert_int_eq(lapic_acknowledge(l), 0x45);
	ck_assert_uint_eq(rd(m, 0, 0x1a0), 1u << 5); /* TMR */
	m->sent = 0;
	ioapic_set_irq(&m->ioapic, 16, false);
	ioapic_set_irq(&m->ioapic, 16, true);
	ck_assert_uint_eq(m->sent, 0);
	wr(m, 0, 0xb0, 0); /* broadcast: line is still up, comes again */
	ck_assert_uint_eq(m->eois, 1);
	ck_assert_uint_eq(m->eoi_vector, 0x45);
	ck_assert_int_eq(lapic_acknowledge(l), 0x45);
	ioapic_set_irq(&m->ioapic, 16, false);
	/* SVR bit 12: no broadcast; software uses the EOI register. */
	wr(m, 0, 0xf0, 0x11ff);
	wr(m, 0, 0xb0, 0);
	ck_assert_uint_eq(m->eois, 1);
	ck_assert_uint_eq(io_rd(m, 0x30), 0xc045);
	bus_write(&m->bench.mem, IOAPIC_BASE + 0x40, 0x45, 4);
	ck_assert_uint_eq(io_rd(m, 0x30), 0x8045);
	/* Remote IRR goes when the pin turns to edge. */
	ioapic_set_irq(&m->ioapic, 16, true);
	ck_assert_uint_eq(io_rd(m, 0x30), 0xc045);
	io_wr(m, 0x30, 0x45);
	ck_assert_uint_eq(io_rd(m, 0x30), 0x45);
	/* Nobody there: keeps asking without remote IRR. */
	io_wr(m, 0x31, 9u << 24);
	io_wr(m, 0x30, 0x8045);
	ck_assert_uint_eq(io_rd(m, 0x30), 0x8045);
	io_wr(m, 0x31, 0);
	ck_assert_uint_eq(io_rd(m, 0x30), 0xc045);
	free(m);
}
END_TEST

START_TEST(test_ioapic_state)
{
	struct machine *m = setup();

	m->copy.send = on_ioapic_send;
	m->copy.send_owner = m;
	bench_add(&m->bench, &m->copy.device, &ioapic_class);
	enable_all(m);
	io_wr(m, 0x30, 0x8045);
	io_wr(m, 0x12, 0x21);
	io_wr(m, 0, 0x03000000);
	ioapic_set_irq(&m->ioapic, 16, true);
	bench_round_trip(&m->ioapic.device, &m->copy.device);
	m->copy.redirection[3] |= 0x4000; /* remote IRR at an edge pin */
	ck_assert(!ioapic_class.post_load(&m->copy.device));
	bench_fuzz(&m->bench, &m->bench.mem, IOAPIC_BASE, 0x50, 1);
	bench_hostile_state(&m->bench, &m->ioapic.device, &m->bench.mem, IOAPIC_BASE, 0x50);
	free(m);
}
END_TEST

START_TEST(test_msi_message)
{
	struct apic_message m = lapic_msi_message(0xfee05000, 0x4041);

	ck_assert_uint_eq(m.dest, 5);
	ck_assert_uint_eq(m.vector, 0x41);
	ck_assert(!m.logical && !m.level && m.assert_ && m.mode == 0);
	m = lapic_msi_message(0xfee0300c, 0x0132);
	ck_assert(m.logical && m.mode == 1 && m.dest == 3);
	m = lapic_msi_message(0xfee0100c, 0x0032);
	ck_assert(m.mode == 1);
}
END_TEST

Suite *chips_apic_suite(void)
{
	Suite *s = suite_create("chips: apic");
	TCase *t = tcase_create("lapic"), *io = tcase_create("ioapic");

	tcase_add_test(t, test_lapic_reset_values);
	tcase_add_test(t, test_lapic_priority);
	tcase_add_test(t, test_lapic_errors);
	tcase_add_test(t, test_lapic_timer_one_shot);
	tcase_add_test(t, test_lapic_timer_periodic);
	tcase_add_test(t, test_lapic_tsc_deadline);
	tcase_add_test(t, test_lapic_base_transitions);
	tcase_add_test(t, test_lapic_x2apic_registers);
	tcase_add_test(t, test_lapic_destinations);
	tcase_add_test(t, test_lapic_ipis);
	tcase_add_test(t, test_lapic_written_id);
	tcase_add_test(t, test_lapic_lint);
	tcase_add_test(t, test_lapic_cmci);
	tcase_add_test(t, test_lapic_state);
	tcase_add_test(t, test_lapic_fuzz);
	suite_add_tcase(s, t);
	tcase_add_test(io, test_ioapic_registers);
	tcase_add_test(io, test_ioapic_edge);
	tcase_add_test(io, test_ioapic_level);
	tcase_add_test(io, test_ioapic_state);
	tcase_add_test(io, test_msi_message);
	suite_add_tcase(s, io);
	return s;
}
