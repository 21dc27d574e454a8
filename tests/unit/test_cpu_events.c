/*
 * Debug exceptions around interrupt shadows, HLT and system calls, on code that really runs.
 * SDM "Masking Exceptions and Interrupts When Switching Stacks", "Debug Exceptions".
 */
#include "cpu/decode.h"
#include "cpu/run.h"
#include "tests/unit/test_seg.h"

Suite *cpu_events_suite(void);

#define AT_DB (AT_CODE + 0x400)
#define AT_BP (AT_CODE + 0x500)
#define AT_SELECTOR 0x6000
#define DR6_INIT 0xffff0ff0ull
#define DR7_WATCH_DR0 0xf0401ull /* 4 bytes, read or write, local */

struct run {
	struct env *e;
	struct vcpu *v;
	struct decoder *decoder;
};

/* 64-bit code at AT_CODE; the handlers of #DB and #BP stop. */
static struct run run_new(const u8 *code, unsigned n)
{
	struct run r = {.e = env_new()};

	r.v = r.e->v;
	r.decoder = decoder_new(&r.e->model);
	ck_assert_ptr_nonnull(r.decoder);
	r.v->decoder = r.decoder;
	env_long(r.e, 0);
	env_gate(r.e, VEC_DB, SYS_INT32, KCODE64, AT_DB, 0);
	env_gate(r.e, VEC_BP, SYS_INT32, KCODE64, AT_BP, 0);
	for (unsigned k = 0; k < n; k++)
		env_poke(r.e, AT_CODE + k, 1, code[k]);
	env_poke(r.e, AT_DB, 1, 0xf4);
	env_poke(r.e, AT_BP, 1, 0xf4);
	env_poke(r.e, AT_SELECTOR, 2, KDATA);
	r.v->reg[RAX] = AT_SELECTOR;
	r.v->debugger = true; /* one instruction at a time */
	vcpu_recompute(r.v);
	return r;
}

static void run_free(struct run *r)
{
	decoder_free(r->decoder);
	env_free(r->e);
}

static void watch_selector(struct vcpu *v)
{
	v->dr[0] = AT_SELECTOR;
	v->dr7 = DR7_WATCH_DR0;
	vcpu_recompute(v);
}

static void trap_flag(struct vcpu *v)
{
	v->rflags |= RFLAGS_TF;
	vcpu_recompute(v);
}

/* The #DB handler was entered, with this RIP to return to. */
static void ck_debug(struct run *r, u64 rip, u64 dr6)
{
	ck_assert_uint_eq(r->v->rip, AT_DB + 1);
	ck_assert_uint_eq(env_peek(r->e, r->v->reg[RSP], 8), rip);
	ck_assert_uint_eq(r->v->dr6, DR6_INIT | dr6);
	ck_assert_uint_eq(r->v->pending_dbg, 0);
}

/* MOV SS with a data breakpoint, then INT1: one exception for both. */
START_TEST(test_watch_int1)
{
	struct run r = run_new((const u8[]){0x8e, 0x10, 0xf1}, 3);

	watch_selector(r.v);
	vcpu_run(r.v, 10);
	ck_debug(&r, AT_CODE + 3, 1);
	ck_assert_uint_eq(r.v->reg[RSP], AT_KSTACK - 40);
	run_free(&r);
}
END_TEST

/* ... then INT3: the breakpoint is due at the first instruction of the #BP handler. */
START_TEST(test_watch_int3)
{
	struct run r = run_new((const u8[]){0x8e, 0x10, 0xcc}, 3);

	watch_selector(r.v);
	vcpu_run(r.v, 10);
	ck_debug(&r, AT_BP, 1);
	ck_assert_uint_eq(env_peek(r.e, AT_KSTACK - 40, 8), AT_CODE + 3);
	run_free(&r);
}
END_TEST

/* ... then a plain instruction: behind that one. */
START_TEST(test_watch_nop)
{
	struct run r = run_new((const u8[]){0x8e, 0x10, 0x90, 0x90}, 4);

	watch_selector(r.v);
	vcpu_run(r.v, 10);
	ck_debug(&r, AT_CODE + 3, 1);
	run_free(&r);
}
END_TEST

/* The single step of MOV SS is lost, be it to INT1, to INT3 or to the general detect fault. */
START_TEST(test_step_lost)
{
	static const u8 code[3][5] = {
		{0x8e, 0x10, 0xf1}, {0x8e, 0x10, 0xcc}, {0x8e, 0x10, 0x0f, 0x21, 0xf0}};
	static const u64 dr6[] = {0, 0, DR6_BD};
	struct run r = run_new(code[_i], sizeof(code[_i]));

	trap_flag(r.v);
	r.v->dr7 |= _i == 2 ? BIT(13) : 0;
	vcpu_run(r.v, 10);
	if (_i == 1) {
		ck_assert_uint_eq(r.v->rip, AT_BP + 1);
		ck_assert_uint_eq(r.v->dr6, DR6_INIT);
	} else {
		ck_debug(&r, _i ? AT_CODE + 2 : AT_CODE + 3, dr6[_i]);
	}
	run_free(&r);
}
END_TEST

/* An instruction breakpoint behind MOV SS is not seen. */
START_TEST(test_code_breakpoint_behind_mov_ss)
{
	struct run r = run_new((const u8[]){0x8e, 0x10, 0x90, 0xf4}, 4);

	r.v->dr[0] = AT_CODE + 2;
	r.v->dr7 = 0x401;
	vcpu_recompute(r.v);
	vcpu_run(r.v, 10);
	ck_assert_uint_eq(r.v->rip, AT_CODE + 4);
	ck_assert_uint_eq(r.v->dr6, DR6_INIT);
	run_free(&r);
}
END_TEST

/* The trap behind HLT ends the halt. */
START_TEST(test_step_hlt)
{
	struct run r = run_new((const u8[]){0xf4}, 1);

	trap_flag(r.v);
	vcpu_run(r.v, 10);
	ck_assert_int_eq(r.v->stop_reason, STOP_HALT);
	ck_assert(vcpu_wakes(r.v));
	ck_assert_int_eq(r.v->activity, ACT_ACTIVE);
	vcpu_run(r.v, 10);
	ck_debug(&r, AT_CODE + 1, DR6_BS);
	run_free(&r);
}
END_TEST

/* SYSRET to a set TF traps before the first instruction there. */
START_TEST(test_step_sysret)
{
	struct run r = run_new((const u8[]){0x48, 0x0f, 0x07, 0x90, 0x90}, 5);

	r.v->star = 0x20ull << 48;
	r.v->reg[RCX] = AT_CODE + 3;
	r.v->reg[R11] = RFLAGS_FIXED | RFLAGS_TF;
	vcpu_run(r.v, 10);
	ck_debug(&r, AT_CODE + 3, DR6_BS);
	ck_assert_uint_eq(env_peek(r.e, r.v->reg[RSP] + 8, 8), UCODE64);
	run_free(&r);
}
END_TEST

/* SYSCALL that masks TF does not trap. */
START_TEST(test_step_syscall)
{
	struct run r = run_new((const u8[]){0x0f, 0x05, 0x90, 0xf4}, 4);

	r.v->star = (u64)KCODE64 << 32;
	r.v->lstar = AT_CODE + 2;
	r.v->fmask = RFLAGS_TF;
	trap_flag(r.v);
	vcpu_run(r.v, 10);
	ck_assert_uint_eq(r.v->rip, AT_CODE + 4);
	ck_assert_uint_eq(r.v->dr6, DR6_INIT);
	run_free(&r);
}
END_TEST

/* IA32_DEBUGCTL.BTF: only branches step. */
START_TEST(test_branch_step)
{
	struct run r = run_new((const u8[]){0x90, 0x90, 0xeb, 0x00, 0x90}, 5);

	r.v->debugctl = 2;
	trap_flag(r.v);
	vcpu_run(r.v, 10);
	ck_debug(&r, AT_CODE + 4, DR6_BS);
	ck_assert_uint_eq(r.v->debugctl, 0);
	run_free(&r);
}
END_TEST

/* The pushes of #DB hit a data breakpoint, on the same stack every time: it is delivered for ever, and
 * that takes time. */
START_TEST(test_endless_debug)
{
	struct run r = run_new((const u8[]){0x90}, 1);

	env_gate(r.e, VEC_DB, SYS_INT32, KCODE64, AT_DB, 1);
	r.v->dr[0] = AT_IST - 8;
	r.v->dr7 = 0x90401; /* 8 bytes, write, local */
	r.v->pending_dbg = 1;
	vcpu_recompute(r.v);
	vcpu_run(r.v, 100000);
	ck_assert_int_eq(r.v->stop_reason, STOP_BUDGET);
	ck_assert_uint_eq(r.v->rip, AT_DB);
	ck_assert_uint_eq(r.v->icount, r.v->pmu.unretired);
	run_free(&r);
}
END_TEST

static void port_write(void *owner, u64 offset, u64 value, unsigned size)
{
	(void)offset;
	*(u64 *)owner = value << 8 | size;
}

/* The port is the first operand: its width is not the transfer's. */
START_TEST(test_outsb)
{
	struct run r = run_new((const u8[]){0x6e, 0xf4}, 2);
	u64 seen = 0;
	struct io_region port = {.name = "port",
				 .base = 0xe0,
				 .len = 4,
				 .min = 1,
				 .max = 4,
				 .write = port_write,
				 .owner = &seen};

	ck_assert(bus_attach(&r.e->pio, &port));
	env_poke(r.e, AT_SELECTOR, 4, 0x11223344);
	r.v->reg[RSI] = AT_SELECTOR;
	r.v->reg[RDX] = 0xe0;
	vcpu_run(r.v, 10);
	ck_assert_uint_eq(seen, 0x4401);
	ck_assert_uint_eq(r.v->reg[RSI], AT_SELECTOR + 1);
	run_free(&r);
}
END_TEST

static void on_code_written(void *owner, u64 paddr, u64 len)
{
	struct vcpu *v = owner;

	if (blocks_written(v->blocks, paddr, len))
		v->recheck = true;
}

static struct block_cache *run_in_blocks(struct run *r)
{
	r->v->blocks = blocks_new(r->v->mem);
	ck_assert_ptr_nonnull(r->v->blocks);
	blocks_add_vcpu(r->v->blocks, r->v);
	r->v->mem->code_written = on_code_written;
	r->v->mem->code_owner = r->v;
	r->v->debugger = false;
	vcpu_recompute(r->v);
	return r->v->blocks;
}

/* PAUSE takes time, in blocks and stepped; it ends the turn only if there is somebody to pass it to. */
START_TEST(test_pause_passes_the_turn)
{
	static const u8 code[] = {0xf3, 0x90, 0xf3, 0x90, 0x90, 0xf4};

	for (unsigned step = 0; step < 2; step++) {
		struct run r = run_new(code, sizeof(code));
		struct block_cache *blocks = step ? NULL : run_in_blocks(&r);
		u64 start = r.v->icount, ticks;

		r.v->others_wait = true;
		vcpu_run(r.v, 1000);
		ck_assert_uint_eq(r.v->rip, AT_CODE + 2);
		ticks = r.v->icount - start;
		ck_assert_uint_ge(ticks, 40);
		r.v->others_wait = false;
		vcpu_run(r.v, 1000);
		ck_assert_uint_eq(r.v->rip, AT_CODE + 6);
		ck_assert_uint_eq(r.v->icount - start, 2 * ticks + 2);
		if (blocks)
			blocks_free(blocks);
		run_free(&r);
	}
}
END_TEST

/* ... and comes out of the turn it is in. */
START_TEST(test_pause_uses_the_turn_up)
{
	struct run r = run_new((const u8[]){0xf3, 0x90, 0xeb, 0xfc}, 4);
	struct block_cache *blocks = run_in_blocks(&r);
	u64 start = r.v->icount;

	vcpu_run(r.v, 10000);
	ck_assert_uint_ge(r.v->icount - start, 10000);
	ck_assert_uint_le(r.v->icount - start, 10500);
	blocks_free(blocks);
	run_free(&r);
}
END_TEST

/* IN, CPUID and MOV to CR3 take more time than one instruction. */
START_TEST(test_slow_instructions)
{
	struct run r = run_new((const u8[]){0xe4, 0x80, 0x0f, 0xa2, 0x0f, 0x22, 0xd8, 0xf4}, 8);
	u64 start = r.v->icount, in;

	vcpu_run(r.v, 1);
	in = r.v->icount - start;
	ck_assert_uint_eq(r.v->rip, AT_CODE + 2);
	ck_assert_uint_ge(in, 500);
	vcpu_run(r.v, 1);
	ck_assert_uint_eq(r.v->rip, AT_CODE + 4);
	ck_assert_uint_ge(r.v->icount - start - in, 50);
	r.v->reg[RAX] = r.v->cr3;
	start = r.v->icount;
	vcpu_run(r.v, 1);
	ck_assert_uint_eq(r.v->rip, AT_CODE + 7);
	ck_assert_uint_ge(r.v->icount - start, 50);
	run_free(&r);
}
END_TEST

/* MOV AL, 1; HLT, and what writes that 1 again or a 2 in its place and goes there. */
START_TEST(test_written_code)
{
	static const u8 code[] = {0xb0, 1,    0xf4, 0xc6, 0x05, 0xf7, 0xff, 0xff, 0xff, 1,   0xeb,
				  0xf4, 0xc6, 0x05, 0xee, 0xff, 0xff, 0xff, 2,	  0xeb, 0xeb};
	static const struct {
		u8 from, al;
	} runs[] = {{0, 1}, {3, 1}, {12, 2}, {12, 2}, {3, 1}, {0, 1}};
	struct run r = run_new(code, sizeof(code));
	struct block_cache *blocks = run_in_blocks(&r);

	for (unsigned n = 0; n < ARRAY_SIZE(runs); n++) {
		r.v->rip = AT_CODE + runs[n].from;
		r.v->reg[RAX] = 0;
		r.v->activity = ACT_ACTIVE;
		vcpu_run(r.v, 100);
		ck_assert_uint_eq(r.v->rip, AT_CODE + 3);
		ck_assert_uint_eq(r.v->reg[RAX], runs[n].al);
	}
	blocks_free(blocks);
	run_free(&r);
}
END_TEST

Suite *cpu_events_suite(void)
{
	Suite *s = suite_create("cpu_events");
	TCase *t = tcase_create("debug");

	tcase_add_test(t, test_watch_int1);
	tcase_add_test(t, test_watch_int3);
	tcase_add_test(t, test_watch_nop);
	tcase_add_loop_test(t, test_step_lost, 0, 3);
	tcase_add_test(t, test_code_breakpoint_behind_mov_ss);
	tcase_add_test(t, test_step_hlt);
	tcase_add_test(t, test_step_sysret);
	tcase_add_test(t, test_step_syscall);
	tcase_add_test(t, test_branch_step);
	tcase_add_test(t, test_endless_debug);
	tcase_add_test(t, test_outsb);
	tcase_add_test(t, test_pause_passes_the_turn);
	tcase_add_test(t, test_pause_uses_the_turn_up);
	tcase_add_test(t, test_slow_instructions);
	tcase_add_test(t, test_written_code);
	suite_add_tcase(s, t);
	return s;
}
