/*
 * Shadow stacks in the rarer far transfers: task switches, call gates with a return outwards,
 * compatibility mode, virtual-8086 mode, SMM, and faults in the middle of an event's delivery. No
 * guest code runs; in protected mode without paging every address is a shadow stack.
 */
#include "tests/unit/test_cet.h"

#define TOP 0x30000
#define USER_TOP 0x31000
#define TASK_TOP 0x32000
#define ON CET_SH_STK_EN

static struct env *e;
static struct vcpu *v;

static void setup(void)
{
	e = env_new();
	v = e->v;
}

static void teardown(void)
{
	env_free(e);
}

static void on(u64 ssp)
{
	v->cr0 |= CR0_WP;
	v->cr4 |= CR4_CET;
	v->cet[CET_S] = v->cet[CET_U] = ON;
	v->pl_ssp[0] = TOP;
	env_poke(e, TOP, 8, TOP);
	v->ssp = ssp;
	vcpu_recompute(v);
}

static u64 at(u64 addr)
{
	return env_peek(e, addr, 8);
}

/* A 32-bit task at level 0 whose TSS ends with an SSP. */
static void build_task(u32 ssp)
{
	static const u16 segs[] = {KDATA, KCODE32, KDATA, KDATA, 0, 0};

	env_set_desc(e, SEL_TSS2, env_desc(AT_TSS2, 0x6b, AR_P | SYS_TSS32));
	for (unsigned k = 0; k < 0x6c; k += 4)
		env_poke(e, AT_TSS2 + k, 4, 0);
	env_poke(e, AT_TSS2 + 0x20, 4, 0x5000);
	env_poke(e, AT_TSS2 + 0x24, 4, 2);
	for (unsigned k = 0; k < 6; k++)
		env_poke(e, AT_TSS2 + 0x48 + 4 * k, 4, segs[k]);
	env_poke(e, AT_TSS2 + 0x68, 4, ssp);
	env_poke(e, TASK_TOP, 8, TASK_TOP);
}

START_TEST(task_call_and_iret)
{
	env_prot(e, 0);
	on(TOP - 0x100);
	build_task(TASK_TOP);
	ck_assert_int_eq(far_call(v, SEL_TSS2, 0, 4, 0x7007), EXEC_JUMP);
	ck_assert_uint_eq(v->ssp, TASK_TOP - 24);
	ck_assert_uint_eq(at(TASK_TOP), TASK_TOP | SHADOW_BUSY);
	ck_assert_uint_eq(at(TASK_TOP - 8), KCODE32);
	ck_assert_uint_eq(at(TASK_TOP - 16), 0x7007);
	ck_assert_uint_eq(at(TASK_TOP - 24), TOP - 0x100);
	ck_assert_int_eq(iret_from(v, 4, 0x5001), EXEC_JUMP);
	ck_assert_uint_eq(v->rip, 0x7007);
	ck_assert_uint_eq(v->ssp, TOP - 0x100);
	ck_assert_uint_eq(at(TASK_TOP), TASK_TOP);
}
END_TEST

START_TEST(task_refused)
{
	env_prot(e, 0);
	on(TOP - 0x100);
	build_task(TASK_TOP + 4);
	ck_fault(e, far_call(v, SEL_TSS2, 0, 4, 0x7007), VEC_TS, SEL_TSS2);
	env_prot(e, 0);
	on(TOP - 0x100);
	build_task(TASK_TOP);
	env_poke(e, TASK_TOP, 8, TASK_TOP | SHADOW_BUSY);
	ck_fault(e, far_jump_from(v, SEL_TSS2, 0, 4, 0x7007), VEC_GP, 0);
	/* another place to return to than the frame says */
	env_prot(e, 0);
	on(TOP - 0x100);
	build_task(TASK_TOP);
	ck_assert_int_eq(far_call(v, SEL_TSS2, 0, 4, 0x7007), EXEC_JUMP);
	env_poke(e, AT_TSS + 0x20, 4, 0x7008);
	ck_fault(e, iret_from(v, 4, 0x5001), VEC_CP, CP_FAR_RET);
}
END_TEST

/* A call gate from level 3 to level 0 and the RETF that comes back. */
START_TEST(gate_in_and_out)
{
	env_long(e, 3);
	env_poke(e, AT_GDT + SEL_GATE, 8,
		 AT_TARGET | (u64)KCODE64 << 16 | (u64)(AR_P | AR_DPL | SYS_CALL32) << 40);
	env_poke(e, AT_GDT + SEL_GATE + 8, 8, 0);
	for (u64 k = 0; k < 512; k++)
		env_poke(e, 0x20000 + 8 * k, 8, k << 12 | 7);
	env_poke(e, AT_PAGES + 0x2000, 8, 0x20000 | 7);
	env_poke(e, 0x20000 + 8 * (TOP >> 12), 8, TOP | 0x61);
	env_poke(e, 0x20000 + 8 * ((TOP >> 12) - 1), 8, (TOP - 0x1000) | 0x61);
	on(USER_TOP);
	ck_assert_int_eq(far_call(v, SEL_GATE | 3, 0, 8, 0x7007), EXEC_JUMP);
	ck_assert_uint_eq(v->cpl, 0);
	ck_assert_uint_eq(v->ssp, TOP);
	ck_assert_uint_eq(v->pl_ssp[3], USER_TOP);
	ck_assert_uint_eq(at(TOP), TOP | SHADOW_BUSY);
	ck_assert_int_eq(far_return(v, 8, 0), EXEC_JUMP);
	ck_assert_uint_eq(v->cpl, 3);
	ck_assert_uint_eq(v->rip, 0x7007);
	ck_assert_uint_eq(v->ssp, USER_TOP);
	ck_assert_uint_eq(at(TOP), TOP);
	/* the inner shadow stack must have come back to its token's alignment */
	ck_assert_int_eq(far_call(v, SEL_GATE | 3, 0, 8, 0x7007), EXEC_JUMP);
	v->ssp = TOP - 4;
	ck_fault(e, far_return(v, 8, 0), VEC_CP, CP_FAR_RET);
	/* and where the stack of an event is not there, the token stays free */
	env_long(e, 3);
	on(USER_TOP);
	env_gate(e, 0x20, SYS_INT32, KCODE64, AT_TARGET, 0);
	env_poke(e, AT_TSS + 4, 8, AT_HOLE + 0x1000);
	env_hole(e);
	ck_fault(e, event_deliver_idt(v, &(struct event){.valid = true, .vector = 0x20, .type = 0}),
		 VEC_PF, 2);
	ck_assert_uint_eq(at(TOP), TOP);
	ck_assert_uint_eq(v->ssp, USER_TOP);
	ck_assert_uint_eq(v->pl_ssp[3], 0);
}
END_TEST

/* Code that is not of 64 bits has no shadow stack above 4 GBytes. */
START_TEST(high_shadow_stacks)
{
	env_long(e, 0);
	on(BIT(32));
	ck_fault(e, far_jump_from(v, KCODE32, 0x5000, 4, 0x7007), VEC_GP, 0);
	ck_fault(e, far_call(v, KCODE32, 0x5000, 4, 0x7007), VEC_GP, 0);
	ck_assert_int_eq(far_jump_from(v, KCODE64, 0x5000, 4, 0x7007), EXEC_JUMP);
}
END_TEST

/* Near calls of 32-bit and 16-bit operands take 4 bytes each; tokens have 8 and a hole below. */
START_TEST(narrow_shadow_stacks)
{
	struct insn call = {.exec = x_call_rm, .opsize = 4, .len = 2, .mod = 3, .rm = RAX};
	struct insn ret = {.exec = x_ret, .opsize = 4, .len = 1};
	struct insn restore = {.opsize = 4, .addrsize = 4, .base = RBX, .index = REG_NONE};
	struct insn save = {.opsize = 4};

	env_prot(e, 0);
	on(USER_TOP);
	v->reg[RAX] = 0x5000;
	v->reg[RBX] = TASK_TOP;
	restore.seg = SEG_DS;
	ck_assert_int_eq(x_call_rm(v, &call), EXEC_JUMP);
	ck_assert_uint_eq(v->ssp, USER_TOP - 4);
	ck_assert_uint_eq(env_peek(e, USER_TOP - 4, 4), AT_CODE + 2);
	/* over to a shadow stack whose token says that 4 bytes above it are a hole */
	env_poke(e, TASK_TOP, 8, TASK_TOP + 12);
	env_poke(e, TASK_TOP + 8, 4, 0);
	ck_assert_int_eq(x_rstorssp(v, &restore), EXEC_NEXT);
	ck_assert_uint_eq(v->ssp, TASK_TOP);
	ck_assert(flag_c(v));
	ck_assert_uint_eq(at(TASK_TOP), (USER_TOP - 4) | 2);
	env_poke(e, USER_TOP - 8, 4, ~0u);
	ck_assert_int_eq(x_saveprevssp(v, &save), EXEC_NEXT);
	ck_assert_uint_eq(v->ssp, TASK_TOP + 12);
	ck_assert_uint_eq(env_peek(e, USER_TOP - 8, 4), 0);
	ck_assert_uint_eq(at(USER_TOP - 16), USER_TOP - 4);
	/* and back to the call */
	v->reg[RBX] = USER_TOP - 16;
	ck_assert_int_eq(x_rstorssp(v, &restore), EXEC_NEXT);
	ck_assert(flag_c(v));
	ck_assert_int_eq(x_saveprevssp(v, &save), EXEC_NEXT);
	ck_assert_uint_eq(v->ssp, USER_TOP - 4);
	ck_assert_int_eq(x_ret(v, &ret), EXEC_JUMP);
	ck_assert_uint_eq(v->rip, AT_CODE + 2);
	ck_assert_uint_eq(v->ssp, USER_TOP);
	v->ssp = USER_TOP - 4;
	env_push(e, 4, AT_CODE + 3);
	ck_fault(e, x_ret(v, &ret), VEC_CP, CP_NEAR_RET);
	ck_assert_uint_eq(v->ssp, USER_TOP - 4);
}
END_TEST

START_TEST(no_cet_in_vm86)
{
	env_prot(e, 0);
	on(TOP);
	for (unsigned k = 0; k < 6; k++)
		env_push(e, 4, 0x100);
	env_push(e, 4, RFLAGS_VM | 2);
	env_push(e, 4, 0x100);
	env_push(e, 4, 0x50);
	ck_fault(e, iret_from(v, 4, 0), VEC_GP, 0);
	v->cet[CET_U] = CET_ENDBR_EN;
	ck_fault(e, iret_from(v, 4, 0), VEC_GP, 0);
	v->cet[CET_U] = 0;
	env_poke(e, TOP, 8, TOP | SHADOW_BUSY);
	ck_assert_int_eq(iret_from(v, 4, 0), EXEC_JUMP);
	ck_assert_uint_eq(v->mode, MODE_VM86);
	ck_assert_uint_eq(at(TOP), TOP); /* the supervisor's is free again */
	/* and an event takes it */
	env_gate(e, 0x20, SYS_INT32, KCODE32, AT_TARGET, 0);
	ck_assert_int_eq(event_deliver_idt(v, &(struct event){.valid = true, .vector = 0x20}), 0);
	ck_assert_uint_eq(v->ssp, TOP);
	ck_assert_uint_eq(at(TOP), TOP | SHADOW_BUSY);
}
END_TEST

static void smi_ack(void *owner, bool in_smm)
{
	(void)owner;
	(void)in_smm;
}

START_TEST(ssp_across_smm)
{
	struct insn rsm = {.exec = x_rsm};

	env_long(e, 0);
	on(TOP - 8);
	e->wires.smi_ack = smi_ack;
	smi_enter(v);
	ck_assert(!(v->cr4 & CR4_CET));
	ck_assert_uint_eq(at(v->smbase + 0x8000 + 0x7f18), TOP - 8);
	v->ssp = 0;
	ck_assert_int_eq(x_rsm(v, &rsm), EXEC_VMEXIT);
	ck_assert_uint_eq(v->ssp, TOP - 8);
	ck_assert(v->cr4 & CR4_CET);
	ck_assert_uint_eq(v->cet[CET_S], ON);
	/* a save area with CET and without CR0.WP is nobody's */
	smi_enter(v);
	env_poke(e, v->smbase + 0x8000 + 0x7f58, 8, CR0_PE | CR0_PG | CR0_NE);
	x_rsm(v, &rsm);
	ck_assert_int_eq(v->activity, ACT_SHUTDOWN);
}
END_TEST

Suite *cet_far_suite(void);

Suite *cet_far_suite(void)
{
	Suite *s = suite_create("cet_far");
	TCase *t = tcase_create("far transfers with shadow stacks");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, task_call_and_iret);
	tcase_add_test(t, task_refused);
	tcase_add_test(t, gate_in_and_out);
	tcase_add_test(t, high_shadow_stacks);
	tcase_add_test(t, narrow_shadow_stacks);
	tcase_add_test(t, no_cet_in_vm86);
	tcase_add_test(t, ssp_across_smm);
	suite_add_tcase(s, t);
	return s;
}
