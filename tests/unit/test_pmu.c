/*
 * Performance counters on code that really runs, in blocks and one instruction at a time: exact
 * counts, privilege filters, overflow at the right instruction, and the rules of the MSRs.
 */
#include <stdlib.h>

#include "cpu/block.h"
#include "cpu/decode.h"
#include "cpu/run.h"
#include "tests/unit/test_seg.h"

Suite *pmu_suite(void);

#define PMC(n) (0xc1u + (n))
#define EVTSEL(n) (0x186u + (n))
#define FIXED(n) (0x309u + (n))
#define A_PMC(n) (0x4c1u + (n))
#define FIXED_CTRL 0x38d
#define STATUS 0x38e
#define GLOBAL_CTRL 0x38f
#define STATUS_RESET 0x390
#define STATUS_SET 0x391
#define INUSE 0x392
#define USR 0x10000u
#define OS 0x20000u
#define EDGE 0x40000u
#define INT 0x100000u
#define EN 0x400000u
#define INV 0x800000u
#define CMASK(n) ((u64)(n) << 24)
#define CYCLES 0x3cu
#define REFERENCE 0x13cu
#define RETIRED 0xc0u
#define BRANCHES 0xc4u
#define TOP BIT(PMU_WIDTH)

struct bench {
	struct env *e;
	struct vcpu *v;
	struct decoder *decoder;
	struct block_cache *blocks;
	unsigned pmis;
	u64 rcx; /* when the last one came */
};

static void take_pmi(void *owner)
{
	struct bench *b = owner;

	b->pmis++;
	b->rcx = b->v->reg[RCX];
}

/* MOV ECX, 10; again: DEC ECX; JNZ again; HLT: 22 instructions, 10 of them branches. */
static const u8 loop10[] = {0xb9, 10, 0, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xf4};
#define LOOP_INSNS 22
#define LOOP_BRANCHES 10

static void code_at(struct bench *b, u64 at, const u8 *code, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		env_poke(b->e, at + k, 1, code[k]);
}

static struct bench *bench_new(unsigned cpl, const u8 *code, unsigned n, bool step)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->e = env_new();
	b->v = b->e->v;
	b->decoder = decoder_new(&b->e->model);
	b->blocks = blocks_new(&b->e->mem);
	b->v->decoder = b->decoder;
	b->v->blocks = b->blocks;
	blocks_add_vcpu(b->blocks, b->v);
	b->e->wires.owner = b;
	b->e->wires.pmi = take_pmi;
	env_long(b->e, cpl);
	code_at(b, AT_CODE, code, n);
	b->v->debugger = step;
	b->v->icount_end = b->v->icount + 1; /* as the run loop leaves it */
	vcpu_recompute(b->v);
	return b;
}

static void bench_free(struct bench *b)
{
	blocks_free(b->blocks);
	decoder_free(b->decoder);
	env_free(b->e);
	free(b);
}

static void set(struct bench *b, u32 msr, u64 value)
{
	ck_assert_msg(msr_write(b->v, msr, value), "MSR %x", msr);
}

static u64 get(struct bench *b, u32 msr)
{
	u64 value = 0;

	ck_assert_msg(msr_read(b->v, msr, &value), "MSR %x", msr);
	return value;
}

static void refused(struct bench *b, u32 msr, u64 value)
{
	ck_assert_msg(!msr_write(b->v, msr, value), "MSR %x", msr);
}

/* Every event at once. */
START_TEST(test_exact)
{
	struct bench *b = bench_new(0, loop10, sizeof(loop10), _i);

	set(b, GLOBAL_CTRL, 0xff | 7ull << 32);
	set(b, EVTSEL(0), RETIRED | OS | USR | EN);
	set(b, EVTSEL(1), BRANCHES | OS | USR | EN);
	set(b, EVTSEL(2), CYCLES | OS | EN);
	set(b, EVTSEL(3), REFERENCE | OS | EN);
	set(b, EVTSEL(4), RETIRED | USR | EN);
	set(b, EVTSEL(5), RETIRED | OS | USR);
	set(b, EVTSEL(6), 0x412e | OS | USR | EN); /* a cache event: counts nothing */
	set(b, FIXED_CTRL, 0x213);
	vcpu_run(b->v, 1000);
	ck_assert_uint_eq(b->v->activity, ACT_HLT);
	ck_assert_uint_eq(get(b, PMC(0)), LOOP_INSNS);
	ck_assert_uint_eq(get(b, PMC(1)), LOOP_BRANCHES);
	ck_assert_uint_eq(get(b, PMC(2)), LOOP_INSNS);
	ck_assert_uint_eq(get(b, PMC(3)), LOOP_INSNS);
	ck_assert_uint_eq(get(b, PMC(4)), 0);
	ck_assert_uint_eq(get(b, PMC(5)), 0);
	ck_assert_uint_eq(get(b, PMC(6)), 0);
	ck_assert_uint_eq(get(b, FIXED(0)), LOOP_INSNS);
	ck_assert_uint_eq(get(b, FIXED(1)), LOOP_INSNS);
	ck_assert_uint_eq(get(b, FIXED(2)), 0); /* CPL above 0 only */
	bench_free(b);
}
END_TEST

/* The counter that is to overflow says after how many instructions the interrupt comes. */
START_TEST(test_overflow)
{
	struct bench *b = bench_new(0, loop10, sizeof(loop10), _i & 1);
	u64 rcx = _i & 2 ? 6 : 7; /* at the fourth branch, or after seven instructions */

	set(b, GLOBAL_CTRL, 1);
	set(b, EVTSEL(0), (_i & 2 ? BRANCHES : RETIRED) | OS | INT | EN);
	set(b, A_PMC(0), TOP - (_i & 2 ? 4 : 7));
	vcpu_run(b->v, 1000);
	ck_assert_uint_eq(b->rcx, rcx);
	ck_assert_uint_eq(b->pmis, 1);
	ck_assert_uint_eq(get(b, STATUS), 1);
	ck_assert_uint_eq(get(b, PMC(0)), _i & 2 ? LOOP_BRANCHES - 4 : LOOP_INSNS - 7);
	bench_free(b);
}
END_TEST

/* In one run, the slice is bounded by the overflow; frozen counters stay. */
START_TEST(test_freeze)
{
	struct bench *b = bench_new(0, loop10, sizeof(loop10), false);

	set(b, 0x1d9, DEBUGCTL_FREEZE_PERFMON_ON_PMI);
	set(b, GLOBAL_CTRL, 3);
	set(b, EVTSEL(0), RETIRED | OS | INT | EN);
	set(b, EVTSEL(1), CYCLES | OS | EN);
	set(b, PMC(0), (u32)-5);
	vcpu_run(b->v, 1000);
	ck_assert_uint_eq(b->pmis, 1);
	ck_assert_uint_eq(get(b, STATUS), 1 | BIT(59));
	ck_assert_uint_eq(get(b, PMC(0)), 0);
	ck_assert_uint_eq(get(b, PMC(1)), 5);
	set(b, STATUS_RESET, 1 | BIT(59));
	ck_assert_uint_eq(get(b, STATUS), 0);
	b->v->activity = ACT_ACTIVE;
	b->v->rip = AT_CODE;
	vcpu_run(b->v, 1000);
	ck_assert_uint_eq(get(b, PMC(1)), 5 + LOOP_INSNS);
	bench_free(b);
}
END_TEST

/* SYSCALL retires at CPL 0, what comes before it at CPL 3. */
START_TEST(test_privilege)
{
	static const u8 user[] = {0x90, 0x90, 0x90, 0x0f, 0x05};
	static const u8 kernel[] = {0x90, 0x90, 0xf4};
	struct bench *b = bench_new(3, user, sizeof(user), _i);

	code_at(b, AT_CODE + 0x800, kernel, sizeof(kernel));
	b->v->lstar = AT_CODE + 0x800;
	b->v->star = (u64)KCODE64 << 32;
	set(b, GLOBAL_CTRL, 7);
	set(b, EVTSEL(0), RETIRED | USR | EN);
	set(b, EVTSEL(1), RETIRED | OS | EN);
	set(b, EVTSEL(2), RETIRED | OS | USR | EN);
	vcpu_run(b->v, 1000);
	ck_assert_uint_eq(get(b, PMC(0)), 3);
	ck_assert_uint_eq(get(b, PMC(1)), 4);
	ck_assert_uint_eq(get(b, PMC(2)), 7);
	bench_free(b);
}
END_TEST

/* A faulting instruction takes a cycle and does not retire; a REP MOVSB retires once. */
START_TEST(test_no_retirement)
{
	static const u8 code[] = {0xb9, 100, 0, 0, 0, 0xf3, 0xa4, 0x0f, 0x0b};
	static const u8 handler[] = {0xf4};
	struct bench *b = bench_new(0, code, sizeof(code), _i);

	code_at(b, AT_CODE + 0x800, handler, sizeof(handler));
	env_gate(b->e, VEC_UD, SYS_INT32, KCODE64, AT_CODE + 0x800, 0);
	b->v->reg[RSI] = b->v->reg[RDI] = 0x100000;
	set(b, GLOBAL_CTRL, 0xff);
	set(b, EVTSEL(0), RETIRED | OS | EN);
	set(b, EVTSEL(1), CYCLES | OS | EN);
	set(b, EVTSEL(2), RETIRED | OS | EN | INV | CMASK(1));
	vcpu_run(b->v, 10000);
	ck_assert_uint_eq(get(b, PMC(0)), 3); /* MOV, REP MOVSB, HLT */
	ck_assert_uint_gt(get(b, PMC(1)), 4);
	ck_assert_uint_eq(get(b, PMC(2)), get(b, PMC(1)) - 3);
	bench_free(b);
}
END_TEST

START_TEST(test_masks_and_edges)
{
	struct bench *b = bench_new(0, loop10, sizeof(loop10), _i);

	set(b, GLOBAL_CTRL, 0xff);
	set(b, EVTSEL(0), RETIRED | OS | EN | CMASK(1));
	set(b, EVTSEL(1), RETIRED | OS | EN | CMASK(2));
	set(b, EVTSEL(2), RETIRED | OS | EN | CMASK(2) | INV);
	set(b, EVTSEL(3), BRANCHES | OS | EN | CMASK(1) | EDGE);
	set(b, EVTSEL(4), BRANCHES | OS | EN | CMASK(1) | INV);
	set(b, EVTSEL(5), RETIRED | OS | EN | INV); /* INV without a mask is ignored */
	vcpu_run(b->v, 1000);
	ck_assert_uint_eq(get(b, PMC(0)), LOOP_INSNS);
	ck_assert_uint_eq(get(b, PMC(1)), 0);
	ck_assert_uint_eq(get(b, PMC(2)), LOOP_INSNS);
	ck_assert_uint_eq(get(b, PMC(3)), LOOP_BRANCHES);
	ck_assert_uint_eq(get(b, PMC(4)), LOOP_INSNS - LOOP_BRANCHES);
	ck_assert_uint_eq(get(b, PMC(5)), LOOP_INSNS);
	bench_free(b);
}
END_TEST

START_TEST(test_registers)
{
	struct bench *b = bench_new(0, loop10, sizeof(loop10), true);

	set(b, PMC(7), 0xff0123456789);
	ck_assert_uint_eq(get(b, A_PMC(7)), 0x23456789);
	set(b, PMC(7), 0xfffffff0);
	ck_assert_uint_eq(get(b, A_PMC(7)), 0xfffffffffff0);
	set(b, A_PMC(7), 0xf00123456789);
	ck_assert_uint_eq(get(b, PMC(7)), 0xf00123456789);
	refused(b, A_PMC(0), TOP);
	refused(b, FIXED(2), TOP);
	refused(b, FIXED(3), 0);
	refused(b, PMC(8), 0);
	refused(b, EVTSEL(0), 0x200000); /* AnyThread */
	refused(b, EVTSEL(0), BIT(32));
	refused(b, FIXED_CTRL, 4);
	refused(b, FIXED_CTRL, 0x1000);
	refused(b, GLOBAL_CTRL, 0x100);
	refused(b, GLOBAL_CTRL, BIT(35));
	refused(b, STATUS, 0);
	refused(b, INUSE, 0);
	refused(b, STATUS_SET, BIT(58));
	refused(b, STATUS_RESET, BIT(8));
	refused(b, 0x345, 0x3000);
	ck_assert_uint_eq(get(b, 0x345), 0x3000);
	set(b, STATUS_SET, 0x81 | BIT(34));
	set(b, STATUS_RESET, 0x80);
	ck_assert_uint_eq(get(b, STATUS), 1 | BIT(34));
	set(b, EVTSEL(3), RETIRED);
	set(b, FIXED_CTRL, 0xb0);
	ck_assert_uint_eq(get(b, INUSE), 8 | BIT(33) | BIT(63));
	ck_assert_uint_eq(b->pmis, 0);
	refused(b, 0x1d9, BIT(11));
	bench_free(b);
}
END_TEST

START_TEST(test_absent)
{
	struct bench *b = bench_new(0, loop10, sizeof(loop10), true);
	u64 value;
	u32 out[4] = {0};

	ck_assert(pmu_rdpmc(b->v, 0, &value));
	pmu_cpuid(out);
	ck_assert_uint_eq(out[0], 0x08300805);
	ck_assert_uint_eq(out[1], 0xd8);
	ck_assert_uint_eq(out[2], 7);
	ck_assert_uint_eq(out[3], 0x8603);
	b->e->model.features[FEAT_PDCM / 64] &= ~BIT(FEAT_PDCM % 64);
	ck_assert(!msr_read(b->v, 0x345, &value));
	refused(b, A_PMC(0), 1);
	refused(b, 0x1d9, BIT(14));
	set(b, PMC(0), 1);
	b->e->model.features[FEAT_PMU / 64] &= ~BIT(FEAT_PMU % 64);
	refused(b, PMC(0), 1);
	refused(b, 0x1d9, BIT(12));
	ck_assert(!msr_read(b->v, STATUS, &value) && !pmu_rdpmc(b->v, 0, &value));
	bench_free(b);
}
END_TEST

static int rdpmc(struct bench *b, u32 index)
{
	static const struct insn i = {.len = 2};

	b->v->reg[RCX] = index;
	return x_rdpmc(b->v, &i);
}

START_TEST(test_rdpmc)
{
	struct bench *b = bench_new(3, loop10, sizeof(loop10), true);

	set(b, A_PMC(2), 0x123456789abc);
	set(b, FIXED(1), 0x4321);
	ck_fault(b->e, rdpmc(b, 2), VEC_GP, 0);
	b->v->cr4 |= CR4_PCE;
	ck_assert_int_eq(rdpmc(b, 2), EXEC_NEXT);
	ck_assert_uint_eq(b->v->reg[RAX], 0x56789abc);
	ck_assert_uint_eq(b->v->reg[RDX], 0x1234);
	ck_assert_int_eq(rdpmc(b, 0x40000001), EXEC_NEXT);
	ck_assert_uint_eq(b->v->reg[RAX], 0x4321);
	ck_fault(b->e, rdpmc(b, 8), VEC_GP, 0);
	ck_fault(b->e, rdpmc(b, 0x40000003), VEC_GP, 0);
	ck_fault(b->e, rdpmc(b, 0x20000000), VEC_GP, 0);
	ck_fault(b->e, rdpmc(b, 0x80000000), VEC_GP, 0);
	bench_free(b);
}
END_TEST

/* FREEZE_WHILE_SMM. */
START_TEST(test_smm)
{
	struct bench *b = bench_new(0, loop10, sizeof(loop10), true);

	set(b, 0x1d9, DEBUGCTL_FREEZE_WHILE_SMM);
	set(b, GLOBAL_CTRL, 1);
	set(b, EVTSEL(0), RETIRED | OS | EN);
	vcpu_run(b->v, 3);
	b->v->in_smm = true;
	vcpu_recompute(b->v);
	vcpu_run(b->v, 4);
	b->v->in_smm = false;
	vcpu_recompute(b->v);
	vcpu_run(b->v, 5);
	ck_assert_uint_eq(get(b, PMC(0)), 8);
	bench_free(b);
}
END_TEST

Suite *pmu_suite(void)
{
	Suite *s = suite_create("pmu");
	TCase *t = tcase_create("counters");

	tcase_add_loop_test(t, test_exact, 0, 2);
	tcase_add_loop_test(t, test_overflow, 0, 4);
	tcase_add_test(t, test_freeze);
	tcase_add_loop_test(t, test_privilege, 0, 2);
	tcase_add_loop_test(t, test_no_retirement, 0, 2);
	tcase_add_loop_test(t, test_masks_and_edges, 0, 2);
	tcase_add_test(t, test_registers);
	tcase_add_test(t, test_absent);
	tcase_add_test(t, test_rdpmc);
	tcase_add_test(t, test_smm);
	suite_add_tcase(s, t);
	return s;
}
