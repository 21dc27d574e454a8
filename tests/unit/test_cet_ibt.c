/*
 * Indirect branch tracking: what sets the tracker, what an arrival without ENDBRANCH gets, the
 * legacy bitmap, NOTRACK, and the MSRs. Each case runs stepped and in blocks.
 */
#include "cpu/run.h"
#include "cpu/xsave.h"
#include "tests/unit/test_cet.h"

#define U_CET 0x6a0
#define S_CET 0x6a2
#define BITMAP 0x190000

static const u8 jmp_rax[] = {0xff, 0xe0};
static const u8 notrack_jmp_rax[] = {0x3e, 0xff, 0xe0};
static const u8 call_rax[] = {0xff, 0xd0};
static const u8 endbr_hlt[] = {0xf3, 0x0f, 0x1e, 0xfa, 0xf4};
static const u8 nop_hlt[] = {0x90, 0xf4};

/* `code` at AT_CODE, `target` at AT_TARGET, RAX names it. */
static struct cet_run begin(int steps, const u8 *code, unsigned n, const u8 *target, unsigned m)
{
	struct cet_run r = cet_run_new(0, steps);

	cet_code(&r, AT_CODE, code, n);
	cet_code(&r, AT_TARGET, target, m);
	r.v->reg[RAX] = AT_TARGET;
	cet_set(&r, CET_ENDBR_EN);
	return r;
}

START_TEST(indirect_branches_want_endbranch)
{
	struct cet_run r = begin(_i, jmp_rax, 2, endbr_hlt, 5);

	cet_go(&r);
	ck_assert_uint_eq(r.v->rip, AT_TARGET + 5);
	ck_assert_uint_eq(r.v->cet[CET_S], CET_ENDBR_EN);
	cet_run_free(&r);
	r = begin(_i, jmp_rax, 2, nop_hlt, 2);
	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH);
	ck_assert_uint_eq(env_peek(r.e, r.v->reg[RSP] + 8, 8), AT_TARGET);
	cet_run_free(&r);
	r = begin(_i, call_rax, 2, nop_hlt, 2);
	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH);
	cet_run_free(&r);
	/* ENDBR32 is no landing place of 64-bit code */
	r = begin(_i, jmp_rax, 2, (const u8[]){0xf3, 0x0f, 0x1e, 0xfb, 0xf4}, 5);
	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH);
	cet_run_free(&r);
}
END_TEST

START_TEST(direct_branches_and_returns_do_not)
{
	/* call +3; hlt ... target: ret -- through CALL and RET */
	static const u8 code[] = {0xe8, 0x01, 0, 0, 0, 0xf4, 0xc3};
	struct cet_run r = begin(_i, code, sizeof(code), nop_hlt, 2);

	cet_go(&r);
	ck_assert_uint_eq(r.v->rip, AT_CODE + 6);
	cet_run_free(&r);
}
END_TEST

START_TEST(notrack)
{
	struct cet_run r = begin(_i, notrack_jmp_rax, 3, nop_hlt, 2);

	cet_go(&r); /* not enabled: tracked */
	cet_ended_cp(&r, CP_ENDBRANCH);
	cet_run_free(&r);
	r = begin(_i, notrack_jmp_rax, 3, nop_hlt, 2);
	cet_set(&r, CET_ENDBR_EN | CET_NO_TRACK_EN);
	cet_go(&r);
	ck_assert_uint_eq(r.v->rip, AT_TARGET + 2);
	cet_run_free(&r);
	r = begin(_i, jmp_rax, 2, nop_hlt, 2); /* enabled, but no prefix */
	cet_set(&r, CET_ENDBR_EN | CET_NO_TRACK_EN);
	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH);
	cet_run_free(&r);
}
END_TEST

START_TEST(off_without_the_controls)
{
	struct cet_run r = begin(_i, jmp_rax, 2, nop_hlt, 2);

	cet_set(&r, CET_NO_TRACK_EN);
	cet_go(&r);
	ck_assert_uint_eq(r.v->rip, AT_TARGET + 2);
	cet_run_free(&r);
	r = begin(_i, jmp_rax, 2, nop_hlt, 2);
	r.v->cr4 &= ~CR4_CET;
	vcpu_recompute(r.v);
	cet_go(&r);
	ck_assert_uint_eq(r.v->rip, AT_TARGET + 2);
	cet_run_free(&r);
}
END_TEST

/* A page of old code: one indirect branch is let in, and suppresses tracking up to an ENDBRANCH. */
START_TEST(legacy_bitmap)
{
	struct cet_run r = begin(_i, jmp_rax, 2, nop_hlt, 2);

	env_poke(r.e, BITMAP + (AT_TARGET >> 15), 1, 1u << (AT_TARGET >> 12 & 7));
	cet_set(&r, BITMAP | CET_ENDBR_EN | CET_LEG_IW_EN);
	cet_go(&r);
	ck_assert_uint_eq(r.v->rip, AT_TARGET + 2);
	ck_assert_uint_eq(r.v->cet[CET_S], BITMAP | CET_ENDBR_EN | CET_LEG_IW_EN | CET_SUPPRESS);
	cet_run_free(&r);

	r = begin(_i, jmp_rax, 2, nop_hlt, 2);
	env_poke(r.e, BITMAP + (AT_TARGET >> 15), 1, 1u << (AT_TARGET >> 12 & 7));
	cet_set(&r, BITMAP | CET_ENDBR_EN | CET_LEG_IW_EN | CET_SUPPRESS_DIS);
	cet_go(&r);
	ck_assert_uint_eq(r.v->cet[CET_S],
			  BITMAP | CET_ENDBR_EN | CET_LEG_IW_EN | CET_SUPPRESS_DIS);
	cet_run_free(&r);

	r = begin(_i, jmp_rax, 2, nop_hlt, 2); /* no bit */
	cet_set(&r, BITMAP | CET_ENDBR_EN | CET_LEG_IW_EN);
	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH);
	cet_run_free(&r);

	r = begin(_i, jmp_rax, 2, nop_hlt, 2); /* no bitmap */
	env_hole(r.e);
	cet_set(&r, (AT_HOLE + 0x1000) | CET_ENDBR_EN | CET_LEG_IW_EN);
	cet_go(&r);
	cet_ended_in(&r, VEC_PF);
	ck_assert_uint_eq(r.v->cr2, AT_HOLE + 0x1000);
	cet_run_free(&r);

	r = begin(_i, jmp_rax, 2, nop_hlt, 2); /* suppressed: not tracked */
	cet_set(&r, CET_ENDBR_EN | CET_SUPPRESS);
	cet_go(&r);
	ck_assert_uint_eq(r.v->rip, AT_TARGET + 2);
	cet_run_free(&r);

	r = begin(_i, endbr_hlt, 5, nop_hlt, 2); /* any ENDBRANCH ends it */
	cet_set(&r, CET_ENDBR_EN | CET_SUPPRESS);
	cet_go(&r);
	ck_assert_uint_eq(r.v->cet[CET_S], CET_ENDBR_EN);
	cet_run_free(&r);
}
END_TEST

/* Faults of the fetch come first, those of decoding later; INT3 stands for what it replaced. */
START_TEST(order_of_faults)
{
	struct cet_run r = begin(_i, jmp_rax, 2, (const u8[]){0x0f, 0x0b}, 2);

	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH); /* not #UD */
	cet_run_free(&r);
	r = begin(_i, jmp_rax, 2, nop_hlt, 2);
	env_hole(r.e);
	r.v->reg[RAX] = AT_HOLE;
	cet_go(&r);
	cet_ended_in(&r, VEC_PF);
	cet_run_free(&r);
	r = begin(_i, jmp_rax, 2, (const u8[]){0xcc}, 1);
	cet_go(&r);
	cet_ended_in(&r, VEC_BP);
	cet_run_free(&r);
	/* an ENDBR64 whose last bytes are on a page that is not there */
	r = begin(_i, jmp_rax, 2, nop_hlt, 2);
	env_hole(r.e);
	cet_code(&r, AT_HOLE - 2, endbr_hlt, 2);
	r.v->reg[RAX] = AT_HOLE - 2;
	cet_go(&r);
	cet_ended_in(&r, VEC_PF);
	cet_run_free(&r);
}
END_TEST

/* A user's tracker waits in IA32_U_CET while a handler runs, and goes on after IRET. */
START_TEST(tracker_survives_events)
{
	struct cet_run r = cet_run_new(3, _i);
	static const u8 code[] = {0xff, 0xe0};
	struct event e = {.valid = true, .vector = 0x1f, .type = EVENT_EXT_INT};

	cet_code(&r, AT_CODE, code, sizeof(code));
	cet_code(&r, AT_TARGET, nop_hlt, 2);
	cet_code(&r, AT_HANDLER(0x1f), (const u8[]){0x48, 0xcf}, 2); /* IRETQ */
	cet_set(&r, CET_ENDBR_EN);
	r.v->reg[RAX] = AT_TARGET;
	vcpu_run(r.v, 1);
	ck_assert_uint_eq(r.v->rip, AT_TARGET);
	ck_assert_uint_eq(r.v->cet[CET_U], CET_ENDBR_EN | CET_TRACKER);
	event_deliver(r.v, e);
	ck_assert_uint_eq(r.v->cpl, 0);
	ck_assert_uint_eq(r.v->cet[CET_U], CET_ENDBR_EN | CET_TRACKER);
	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH);
	cet_run_free(&r);
}
END_TEST

/* Events, SYSCALL, SYSENTER and far branches want one too. */
START_TEST(far_transfers)
{
	struct cet_run r = cet_run_new(0, _i);
	u64 far_ptr = AT_TARGET | (u64)KCODE64 << 32;

	cet_code(&r, AT_TARGET, nop_hlt, 2);
	env_poke(r.e, 0x6000, 8, far_ptr);
	cet_code(&r, AT_CODE, (const u8[]){0xff, 0x28}, 2); /* JMP FAR [RAX] */
	r.v->reg[RAX] = 0x6000;
	cet_set(&r, CET_ENDBR_EN | CET_SUPPRESS);
	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH);
	cet_run_free(&r);

	r = cet_run_new(3, _i);
	cet_code(&r, AT_TARGET, nop_hlt, 2);
	cet_code(&r, AT_CODE, (const u8[]){0x0f, 0x05}, 2); /* SYSCALL */
	r.v->lstar = AT_TARGET;
	r.v->star = (u64)KCODE64 << 32;
	r.v->reg[RSP] = AT_KSTACK;
	r.v->cet[CET_S] = CET_ENDBR_EN;
	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH);
	cet_run_free(&r);

	r = cet_run_new(3, _i);
	cet_code(&r, AT_TARGET, nop_hlt, 2);
	cet_code(&r, AT_CODE, (const u8[]){0x0f, 0x34}, 2); /* SYSENTER */
	r.v->sysenter_cs = KCODE64;
	r.v->sysenter_eip = AT_TARGET;
	r.v->sysenter_esp = AT_KSTACK;
	r.v->cet[CET_S] = CET_ENDBR_EN;
	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH);
	cet_run_free(&r);

	r = cet_run_new(0, _i);
	cet_code(&r, AT_CODE, (const u8[]){0xcd, 0x1e}, 2); /* INT 1EH to a handler without one */
	cet_code(&r, AT_HANDLER(0x1e), nop_hlt, 2);
	cet_set(&r, CET_ENDBR_EN);
	cet_go(&r);
	cet_ended_cp(&r, CP_ENDBRANCH);
	cet_run_free(&r);
}
END_TEST

START_TEST(msrs_and_control_registers)
{
	struct cet_run r = cet_run_new(0, true);
	struct vcpu *v = r.v;
	u64 value;

	for (unsigned k = 6; k <= 9; k++)
		ck_assert(!msr_write(v, U_CET, BIT(k)));
	ck_assert(!msr_write(v, S_CET, CET_SUPPRESS | CET_TRACKER));
	ck_assert(!msr_write(v, S_CET, BIT(62)));
	ck_assert(msr_write(v, U_CET, 0xffff800000000000 | CET_SUPPRESS | 0x3c));
	ck_assert(msr_read(v, U_CET, &value));
	ck_assert_uint_eq(value, 0xffff800000000000 | CET_SUPPRESS | 0x3c);
	ck_fault(r.e, cr0_write(v, v->cr0 & ~CR0_WP), VEC_GP, 0);
	ck_assert_int_eq(cr4_write(v, CR4_PAE), 0);
	ck_assert_int_eq(cr0_write(v, v->cr0 & ~CR0_WP), 0);
	ck_fault(r.e, cr4_write(v, CR4_PAE | CR4_CET), VEC_GP, 0);
	cet_run_free(&r);
}
END_TEST

/* CET_U goes through XSAVES and XRSTORS when IA32_XSS has it; what WRMSR refuses is refused. */
START_TEST(xsave_components)
{
	struct cet_run r = cet_run_new(0, true);
	struct vcpu *v = r.v;
	static const u8 xsaves[] = {0x0f, 0xc7, 0x28}, xrstors[] = {0x0f, 0xc7, 0x18};
	const u64 area = 0x30000 | XSTATE_CET_U;
	u32 out[4];

	v->cr4 |= CR4_OSXSAVE | CR4_OSFXSR;
	vcpu_recompute(v);
	ck_assert(msr_write(v, 0xda0, XSTATE_CET_U | XSTATE_CET_S));
	ck_assert(!msr_write(v, 0xda0, BIT(8)));
	cpuid_query(v, 0xd, 1, out);
	ck_assert_uint_eq(out[2], XSTATE_CET_U | XSTATE_CET_S);
	ck_assert_uint_eq(out[1], 576 + 16 + 24);
	cpuid_query(v, 0xd, 11, out);
	ck_assert(out[0] == 16 && out[1] == 0 && out[2] == 1);
	cpuid_query(v, 0xd, 12, out);
	ck_assert(out[0] == 24 && out[1] == 0 && out[2] == 1);
	cet_code(&r, AT_CODE, xsaves, 3);
	cet_code(&r, AT_CODE + 3, (const u8[]){0xf4}, 1);
	cet_code(&r, AT_CODE + 4, xrstors, 3);
	cet_code(&r, AT_CODE + 7, (const u8[]){0xf4}, 1);
	v->reg[RAX] = area; /* as a mask: CET_U, and components that are off */
	v->reg[RDX] = 0;
	v->cet[CET_U] = CET_ENDBR_EN | 0x5000;
	v->pl_ssp[3] = 0x1238;
	cet_go(&r);
	ck_assert_uint_eq(env_peek(r.e, area + 512, 8), XSTATE_CET_U);
	ck_assert_uint_eq(env_peek(r.e, area + 520, 8), BIT(63) | XSTATE_CET_U);
	ck_assert_uint_eq(env_peek(r.e, area + 576, 8), CET_ENDBR_EN | 0x5000);
	ck_assert_uint_eq(env_peek(r.e, area + 584, 8), 0x1238);
	v->cet[CET_U] = v->pl_ssp[3] = 0;
	v->activity = ACT_ACTIVE;
	v->rip = AT_CODE + 4;
	cet_go(&r);
	ck_assert_uint_eq(v->cet[CET_U], CET_ENDBR_EN | 0x5000);
	ck_assert_uint_eq(v->pl_ssp[3], 0x1238);
	env_poke(r.e, area + 576, 8, BIT(7)); /* reserved */
	v->activity = ACT_ACTIVE;
	v->rip = AT_CODE + 4;
	cet_go(&r);
	cet_ended_in(&r, VEC_GP);
	cet_run_free(&r);
}
END_TEST

Suite *cet_ibt_suite(void);

Suite *cet_ibt_suite(void)
{
	Suite *s = suite_create("cet_ibt");
	TCase *t = tcase_create("indirect branch tracking");

	tcase_add_loop_test(t, indirect_branches_want_endbranch, 0, 2);
	tcase_add_loop_test(t, direct_branches_and_returns_do_not, 0, 2);
	tcase_add_loop_test(t, notrack, 0, 2);
	tcase_add_loop_test(t, off_without_the_controls, 0, 2);
	tcase_add_loop_test(t, legacy_bitmap, 0, 2);
	tcase_add_loop_test(t, order_of_faults, 0, 2);
	tcase_add_loop_test(t, tracker_survives_events, 0, 2);
	tcase_add_loop_test(t, far_transfers, 0, 2);
	tcase_add_test(t, msrs_and_control_registers);
	tcase_add_test(t, xsave_components);
	suite_add_tcase(s, t);
	return s;
}
