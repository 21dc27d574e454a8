/*
 * Hardware task switches.
 */
#include "tests/unit/test_seg.h"

#define BUSY(e, sel) (env_peek(e, AT_GDT + (sel) + 5, 1) >> 1 & 1)

/* A complete 32-bit image of a CPL 0 task in TSS2. */
static void build_tss2(struct env *e)
{
	static const u16 segs[] = {KDATA, KCODE32, KDATA, UDATA, 0, KDATA};

	for (unsigned k = 0; k < 0x68; k += 4)
		env_poke(e, AT_TSS2 + k, 4, 0);
	env_poke(e, AT_TSS2 + 0x20, 4, 0x5000);
	env_poke(e, AT_TSS2 + 0x24, 4, 0x46);
	for (unsigned k = 0; k < 8; k++)
		env_poke(e, AT_TSS2 + 0x28 + 4 * k, 4, 0xa000 + k);
	for (unsigned k = 0; k < 6; k++)
		env_poke(e, AT_TSS2 + 0x48 + 4 * k, 4, segs[k]);
	env_poke(e, AT_TSS2 + 0x60, 4, SEL_LDT);
}

START_TEST(test_call_and_back)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_prot(e, 0);
	build_tss2(e);
	for (unsigned k = 0; k < 8; k++)
		v->reg[k] = 0x100 + k;
	v->dr7 = 0x400 | 0x3ff;
	ck_assert_int_eq(far_call(v, SEL_TSS2, 0, 4, 0x7007), EXEC_JUMP);
	ck_assert_uint_eq(v->rip, 0x5000);
	ck_assert_uint_eq(v->reg[RDI], 0xa007);
	ck_assert_uint_eq(flags_get(v), 0x46 | RFLAGS_NT);
	ck_assert_uint_eq(v->seg[SEG_TR].sel, SEL_TSS2);
	ck_assert_uint_eq(v->seg[SEG_TR].ar & AR_TYPE, SYS_TSS32_BUSY);
	ck_assert_uint_eq(v->seg[SEG_DS].sel, UDATA);
	ck_assert(v->seg[SEG_FS].ar & AR_UNUSABLE);
	ck_assert_uint_eq(v->seg[SEG_LDTR].base, AT_LDT);
	ck_assert(v->cr0 & CR0_TS);
	ck_assert_uint_eq(v->dr7, 0x400 | 0x2aa);
	ck_assert_uint_eq(env_peek(e, AT_TSS2, 2), SEL_TSS);
	ck_assert(BUSY(e, SEL_TSS) && BUSY(e, SEL_TSS2));
	ck_assert_uint_eq(env_peek(e, AT_TSS + 0x20, 4), 0x7007);
	ck_assert_uint_eq(env_peek(e, AT_TSS + 0x44, 4), 0x107);
	ck_assert_uint_eq(env_peek(e, AT_TSS + 0x4c, 2), KCODE32);
	ck_assert_uint_eq(env_peek(e, AT_TSS + 0x24, 4), RFLAGS_FIXED);
	ck_assert_int_eq(iret_from(v, 4, 0x5001), EXEC_JUMP);
	ck_assert_uint_eq(v->rip, 0x7007);
	ck_assert_uint_eq(v->reg[RDI], 0x107);
	ck_assert_uint_eq(flags_get(v), RFLAGS_FIXED);
	ck_assert(BUSY(e, SEL_TSS) && !BUSY(e, SEL_TSS2));
	ck_assert_uint_eq(env_peek(e, AT_TSS2 + 0x20, 4), 0x5001);
	ck_assert_uint_eq(env_peek(e, AT_TSS2 + 0x24, 4) & RFLAGS_NT, 0);
	env_free(e);
}
END_TEST

START_TEST(test_jump_task)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_prot(e, 0);
	build_tss2(e);
	env_poke(e, AT_TSS2 + 0x64, 1, 1); /* debug trap */
	ck_assert_int_eq(far_jump_from(v, SEL_TSS2, 0, 4, 0x7007), EXEC_JUMP);
	ck_assert(!BUSY(e, SEL_TSS) && BUSY(e, SEL_TSS2));
	ck_assert_uint_eq(flags_get(v), 0x46);
	ck_assert_uint_eq(env_peek(e, AT_TSS2, 2), 0);
	ck_assert_uint_eq(v->pending_dbg, BIT(15));
	env_free(e);
}
END_TEST

START_TEST(test_task_gate)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct event ev = {.valid = true,
			   .vector = 13,
			   .type = EVENT_HW_EXC,
			   .has_error = true,
			   .error = 0x1234};

	env_prot(e, 3);
	build_tss2(e);
	env_gate(e, 13, SYS_TASK_GATE, SEL_TSS2, 0, 0);
	event_deliver(v, ev);
	ck_assert_uint_eq(v->cpl, 0);
	ck_assert_uint_eq(v->rip, 0x5000);
	ck_assert_uint_eq(v->reg[RSP], 0xa000);
	ck_assert_uint_eq(env_peek(e, 0xa000, 4), 0x1234);
	ck_assert_uint_eq(env_peek(e, AT_TSS + 0x20, 4), AT_CODE);
	ck_assert_uint_eq(env_peek(e, AT_TSS + 0x24, 4), RFLAGS_RF | RFLAGS_FIXED);
	ck_assert(flags_get(v) & RFLAGS_NT);
	/* by CALL, from CPL 3 through a gate of DPL 3 */
	env_prot(e, 3);
	env_poke(e, AT_GDT + SEL_TSS2 + 5, 1, AR_P | SYS_TSS32);
	env_set_desc(e, TASK_GATE_SEL,
		     (u64)SEL_TSS2 << 16 | (u64)(AR_P | AR_DPL | SYS_TASK_GATE) << 40);
	ck_fault(e, far_call(v, SEL_TSS2, 0, 4, 0), VEC_GP, SEL_TSS2);
	ck_assert_int_eq(far_call(v, TASK_GATE_SEL, 0, 4, 0x7007), EXEC_JUMP);
	ck_assert_uint_eq(v->cpl, 0);
	env_free(e);
}
END_TEST

struct refusal {
	unsigned at, size;
	u32 value; /* poked into TSS2 */
	u8 vector;
	u32 error;
};

/* Found after the commit: faults of the new task. */
static const struct refusal refusals[] = {
	{0x60, 2, KDATA, VEC_TS, KDATA}, /* LDT selector of something else */
	{0x60, 2, SEL_LDT | 4, VEC_TS, SEL_LDT | 4},
	{0x4c, 2, 0, VEC_TS, 0},
	{0x4c, 2, KDATA, VEC_TS, KDATA},
	{0x4c, 2, KCODE32 | 3, VEC_TS, KCODE32},
	{0x4c, 2, ABSENT_CODE, VEC_NP, ABSENT_CODE},
	{0x50, 2, 0, VEC_TS, 0},
	{0x50, 2, UDATA, VEC_TS, UDATA & ~3},
	{0x50, 2, ABSENT_DATA, VEC_SS, ABSENT_DATA},
	{0x54, 2, EXEC_ONLY, VEC_TS, EXEC_ONLY},
	{0x58, 2, ABSENT_DATA, VEC_NP, ABSENT_DATA},
	{0x5c, 2, BEYOND, VEC_TS, BEYOND},
};

START_TEST(test_refusals)
{
	const struct refusal *c = &refusals[_i];
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_prot(e, 0);
	build_tss2(e);
	env_poke(e, AT_TSS2 + c->at, c->size, c->value);
	ck_fault(e, far_jump_from(v, SEL_TSS2, 0, 4, 0x7007), c->vector, c->error);
	ck_assert_uint_eq(v->seg[SEG_TR].sel, SEL_TSS2);
	ck_assert_uint_eq(v->rip, 0x5000);
	env_free(e);
}
END_TEST

/* Found before: nothing has happened. */
START_TEST(test_early_faults)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct frozen before;

	env_prot(e, 0);
	build_tss2(e);
	env_freeze(e, &before);
	ck_fault(e, far_jump_from(v, SEL_TSS, 0, 4, 0), VEC_GP, SEL_TSS);
	env_set_desc(e, SEL_TSS2, env_desc(AT_TSS2, 0x66, AR_P | SYS_TSS32));
	ck_fault(e, far_jump_from(v, SEL_TSS2, 0, 4, 0), VEC_TS, SEL_TSS2);
	env_set_desc(e, SEL_TSS2, env_desc(AT_TSS2, 0x67, SYS_TSS32));
	ck_fault(e, far_jump_from(v, SEL_TSS2, 0, 4, 0), VEC_NP, SEL_TSS2);
	env_set_desc(e, SEL_TSS2, env_desc(AT_TSS2, 0x67, AR_P | SYS_TSS32));
	ck_fault(e, task_switch(v, SEL_TSS2, TASK_IRET, false, 0, 0), VEC_TS, SEL_TSS2);
	ck_fault(e, task_switch(v, SEL_TSS2 | 4, TASK_CALL, false, 0, 0), VEC_GP, SEL_TSS2 | 4);
	env_same(e, &before);
	ck_assert(BUSY(e, SEL_TSS) && !BUSY(e, SEL_TSS2));
	env_free(e);
}
END_TEST

START_TEST(test_tss16)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_prot(e, 0);
	v->reg[RAX] = 0x12345678;
	env_set_desc(e, SEL_TSS2, env_desc(AT_TSS2, 0x2b, AR_P | SYS_TSS16));
	for (unsigned k = 0; k < 0x2c; k += 2)
		env_poke(e, AT_TSS2 + k, 2, 0);
	env_poke(e, AT_TSS2 + 0x0e, 2, 0x5000);
	env_poke(e, AT_TSS2 + 0x10, 2, 2);
	env_poke(e, AT_TSS2 + 0x12, 2, 0x4321);
	env_poke(e, AT_TSS2 + 0x24, 2, KCODE16);
	env_poke(e, AT_TSS2 + 0x26, 2, KDATA16);
	ck_assert_int_eq(far_call(v, SEL_TSS2, 0, 4, 0x7007), EXEC_JUMP);
	ck_assert_uint_eq(v->rip, 0x5000);
	ck_assert_uint_eq(v->reg[RAX], 0x4321);
	ck_assert_uint_eq(v->seg[SEG_CS].base, 0x100);
	ck_assert_int_eq(iret_from(v, 2, 0x5001), EXEC_JUMP);
	ck_assert_uint_eq(v->reg[RAX], 0x12345678);
	ck_assert_uint_eq(env_peek(e, AT_TSS2 + 0x0e, 2), 0x5001);
	env_free(e);
}
END_TEST

START_TEST(test_vm86_task)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_prot(e, 0);
	build_tss2(e);
	env_poke(e, AT_TSS2 + 0x24, 4, RFLAGS_VM | 2);
	ck_assert_int_eq(far_call(v, SEL_TSS2, 0, 4, 0x7007), EXEC_JUMP);
	ck_assert_uint_eq(v->mode, MODE_VM86);
	ck_assert_uint_eq(v->cpl, 3);
	ck_assert_uint_eq(v->seg[SEG_CS].base, KCODE32 * 16);
	env_free(e);
}
END_TEST

TCase *seg_task_case(void)
{
	TCase *t = tcase_create("tasks");

	tcase_add_test(t, test_call_and_back);
	tcase_add_test(t, test_jump_task);
	tcase_add_test(t, test_task_gate);
	tcase_add_loop_test(t, test_refusals, 0, ARRAY_SIZE(refusals));
	tcase_add_test(t, test_early_faults);
	tcase_add_test(t, test_tss16);
	tcase_add_test(t, test_vm86_task);
	return t;
}
