/*
 * Shadow stacks: near and far calls, events, tokens, the instructions that manage them, and which
 * pages are shadow stacks. What runs as code runs stepped and in blocks.
 */
#include "cpu/run.h"
#include "tests/unit/test_cet.h"

#define PT 0x20000
#define SHADOW 0x140000	     /* a supervisor's shadow stack, one page */
#define USER_SHADOW 0x150000 /* a user's */
#define TOP (SHADOW + 0xf00)
#define USER_TOP (USER_SHADOW + 0xf00)
#define PLAIN 0x160000
#define PTE_SHADOW 0x61 /* P, A, D */
#define ON (CET_SH_STK_EN | CET_WR_SHSTK_EN)
#define HLT 0xf4

static void map(struct cet_run *r, u64 laddr, u64 entry)
{
	env_poke(r->e, PT + 8 * (laddr >> 12), 8, entry);
	tlb_flush_all(&r->v->tlb);
}

/* The first 2 MBytes by 4-KByte pages for everybody, but for the two shadow stacks. */
static struct cet_run begin(unsigned cpl, int steps)
{
	struct cet_run r = cet_run_new(cpl, steps);

	for (u64 k = 0; k < 512; k++)
		env_poke(r.e, PT + 8 * k, 8, k << 12 | 7);
	env_poke(r.e, AT_PAGES + 0x2000, 8, PT | 7);
	map(&r, SHADOW, SHADOW | PTE_SHADOW);
	map(&r, USER_SHADOW, USER_SHADOW | PTE_SHADOW | 4);
	r.v->pl_ssp[0] = TOP;
	env_poke(r.e, TOP, 8, TOP);
	r.v->ssp = cpl == 3 ? USER_TOP : TOP;
	cet_set(&r, ON);
	return r;
}

static u64 shadow(struct cet_run *r, u64 at)
{
	return env_peek(r->e, at, 8);
}

#define CODE(r, ...)                                                                               \
	cet_code(r, AT_CODE, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

START_TEST(near_call_and_return)
{
	/* call +1; hlt; ret */
	struct cet_run r = begin(3, _i);

	CODE(&r, 0xe8, 1, 0, 0, 0, 0xcc, 0xc3);
	cet_go(&r);
	cet_ended_in(&r, VEC_BP);
	ck_assert_uint_eq(env_peek(r.e, r.v->reg[RSP], 8), AT_CODE + 6);
	ck_assert_uint_eq(r.v->ssp, USER_TOP);
	ck_assert_uint_eq(shadow(&r, USER_TOP - 8), AT_CODE + 5);
	cet_run_free(&r);
	/* call +1; hlt; incq [rsp]; ret */
	r = begin(3, _i);
	CODE(&r, 0xe8, 1, 0, 0, 0, HLT, 0x48, 0xff, 0x04, 0x24, 0xc3);
	r.v->cet[CET_S] = 0;
	cet_go(&r);
	cet_ended_cp(&r, CP_NEAR_RET);
	ck_assert_uint_eq(env_peek(r.e, r.v->reg[RSP] + 8, 8), AT_CODE + 10);
	ck_assert_uint_eq(r.v->ssp, USER_TOP - 8);
	cet_run_free(&r);
	/* call +0 (pushes nothing there); int3 */
	r = begin(3, _i);
	CODE(&r, 0xe8, 0, 0, 0, 0, 0xcc);
	cet_go(&r);
	ck_assert_uint_eq(r.v->ssp, USER_TOP);
	cet_run_free(&r);
	/* call rax; through a register */
	r = begin(0, _i);
	CODE(&r, 0xff, 0xd0);
	cet_code(&r, AT_TARGET, (const u8[]){HLT}, 1);
	r.v->reg[RAX] = AT_TARGET;
	cet_go(&r);
	ck_assert_uint_eq(r.v->ssp, TOP - 8);
	ck_assert_uint_eq(shadow(&r, TOP - 8), AT_CODE + 2);
	cet_run_free(&r);
}
END_TEST

/* A fault on the shadow stack leaves the stack alone. */
START_TEST(call_is_all_or_nothing)
{
	struct cet_run r = begin(3, _i);

	CODE(&r, 0xe8, 1, 0, 0, 0, HLT, 0xc3);
	r.v->ssp = PLAIN;
	env_poke(r.e, AT_USTACK - 8, 8, 0x1122);
	cet_go(&r);
	cet_ended_in(&r, VEC_PF);
	ck_assert_uint_eq(env_peek(r.e, r.v->reg[RSP], 8), 0x47); /* SS, U, W, P */
	ck_assert_uint_eq(r.v->cr2, PLAIN - 8);
	ck_assert_uint_eq(env_peek(r.e, AT_USTACK - 8, 8), 0x1122);
	ck_assert_uint_eq(env_peek(r.e, r.v->reg[RSP] + 32, 8), AT_USTACK);
	cet_run_free(&r);
}
END_TEST

static int wrss(struct cet_run *r, u64 at)
{
	struct insn i = {.exec = x_wrss, .reg = RCX, .base = RAX, .index = REG_NONE, .seg = SEG_DS};

	i.addrsize = 8;
	i.prefix = P_REXW;
	r->v->reg[RAX] = at;
	r->v->reg[RCX] = 0x5555;
	return x_wrss(r->v, &i);
}

static int wruss(struct cet_run *r, u64 at)
{
	struct insn i = {
		.exec = x_wruss, .reg = RCX, .base = RAX, .index = REG_NONE, .seg = SEG_DS};

	i.addrsize = 8;
	i.prefix = P_REXW;
	r->v->reg[RAX] = at;
	r->v->reg[RCX] = 0x6666;
	return x_wruss(r->v, &i);
}

START_TEST(pages)
{
	struct cet_run r = begin(0, true);
	u64 value;

	ck_assert_int_eq(wrss(&r, SHADOW), 0);
	ck_assert_uint_eq(shadow(&r, SHADOW), 0x5555);
	ck_fault(r.e, wrss(&r, PLAIN), VEC_PF, 0x43);
	ck_fault(r.e, wrss(&r, USER_SHADOW), VEC_PF, 0x43);
	map(&r, SHADOW, SHADOW | 0x21); /* not dirty */
	ck_fault(r.e, wrss(&r, SHADOW), VEC_PF, 0x43);
	map(&r, SHADOW, SHADOW | 0x60); /* not present */
	ck_fault(r.e, wrss(&r, SHADOW), VEC_PF, 0x42);
	map(&r, SHADOW, SHADOW | PTE_SHADOW);
	env_poke(r.e, AT_PAGES + 0x2000, 8, PT | 5); /* read-only above */
	tlb_flush_all(&r.v->tlb);
	ck_fault(r.e, wrss(&r, SHADOW), VEC_PF, 0x43);
	env_poke(r.e, AT_PAGES + 0x2000, 8, PT | 7);
	tlb_flush_all(&r.v->tlb);
	ck_fault(r.e, wrss(&r, SHADOW + 4), VEC_GP, 0); /* alignment */
	/* others may read it and not write it */
	ck_assert_int_eq(mem_read(r.v, SEG_DS, SHADOW, 8, &value), 0);
	ck_fault(r.e, mem_write(r.v, SEG_DS, SHADOW, 8, 0), VEC_PF, 0x3);
	/* and what a shadow-stack access left in the TLB is no right of theirs */
	ck_assert_int_eq(wrss(&r, SHADOW), 0);
	ck_fault(r.e, mem_write(r.v, SEG_DS, SHADOW, 8, 0), VEC_PF, 0x3);
	/* WRUSS: a user's access from level 0 */
	ck_assert_int_eq(wruss(&r, USER_SHADOW), 0);
	ck_assert_uint_eq(shadow(&r, USER_SHADOW), 0x6666);
	ck_fault(r.e, wruss(&r, SHADOW), VEC_PF, 0x47);
	ck_fault(r.e, wruss(&r, PLAIN), VEC_PF, 0x47);
	/* CET_WR_SHSTK_EN */
	cet_set(&r, CET_SH_STK_EN);
	ck_fault(r.e, wrss(&r, SHADOW), VEC_UD, 0);
	ck_assert_int_eq(wruss(&r, USER_SHADOW), 0);
	r.v->cr4 &= ~CR4_CET;
	vcpu_recompute(r.v);
	ck_fault(r.e, wruss(&r, USER_SHADOW), VEC_UD, 0);
	cet_run_free(&r);
	r = begin(3, true);
	ck_fault(r.e, wruss(&r, USER_SHADOW), VEC_GP, 0);
	cet_run_free(&r);
}
END_TEST

START_TEST(far_call_and_return)
{
	/* call far [rax]; target: retf */
	struct cet_run r = begin(0, _i);

	CODE(&r, 0x48, 0xff, 0x18, HLT);
	cet_code(&r, AT_TARGET, (const u8[]){0x48, 0xcb}, 2);
	env_poke(r.e, 0x6000, 8, AT_TARGET);
	env_poke(r.e, 0x6008, 2, KCODE64);
	r.v->reg[RAX] = 0x6000;
	r.v->ssp = TOP - 4;
	env_poke(r.e, TOP - 8, 8, ~0ull);
	cet_go(&r);
	ck_assert_uint_eq(r.v->rip, AT_CODE + 4);
	ck_assert_uint_eq(r.v->ssp, TOP - 4);
	ck_assert_uint_eq(env_peek(r.e, TOP - 8, 4), 0); /* the hole */
	ck_assert_uint_eq(shadow(&r, TOP - 16), KCODE64);
	ck_assert_uint_eq(shadow(&r, TOP - 24), AT_CODE + 3);
	ck_assert_uint_eq(shadow(&r, TOP - 32), TOP - 4);
	cet_run_free(&r);
	/* another CS on the shadow stack */
	r = begin(0, _i);
	CODE(&r, 0x48, 0xff, 0x18, HLT);
	/* push rcx; mov ecx, KCODE32; wrssd [rdx], ecx; pop rcx; retf */
	cet_code(&r, AT_TARGET,
		 (const u8[]){0x51, 0xb9, KCODE32, 0, 0, 0, 0x0f, 0x38, 0xf6, 0x0a, 0x59, 0x48,
			      0xcb},
		 13);
	env_poke(r.e, 0x6000, 8, AT_TARGET);
	env_poke(r.e, 0x6008, 2, KCODE64);
	r.v->reg[RAX] = 0x6000;
	r.v->reg[RDX] = TOP - 8;
	cet_go(&r);
	cet_ended_cp(&r, CP_FAR_RET);
	cet_run_free(&r);
}
END_TEST

/* INT3 at level 3 to level 0 and back. */
START_TEST(event_inwards)
{
	struct cet_run r = begin(3, _i);

	r.v->cet[CET_S] = ON;
	CODE(&r, 0xcc, 0x0f, 0x0b); /* int3; ud2 */
	cet_code(&r, AT_HANDLER(VEC_BP), (const u8[]){0x90, 0x48, 0xcf}, 3);
	cet_go(&r);
	cet_ended_in(&r, VEC_UD); /* IRET came back, or the second entry would find a busy token */
	ck_assert_uint_eq(shadow(&r, TOP), TOP | SHADOW_BUSY);
	ck_assert_uint_eq(r.v->ssp, TOP);
	ck_assert_uint_eq(r.v->pl_ssp[3], USER_TOP);
	cet_run_free(&r);
}
END_TEST

/* A token that is busy or another's, or a shadow stack that is not there: nothing has changed. */
START_TEST(event_refused)
{
	struct event e = {.valid = true, .vector = VEC_BP, .type = EVENT_EXT_INT};
	struct cet_run r = begin(3, true);
	struct frozen f;

	r.v->cet[CET_S] = ON;
	env_freeze(r.e, &f);
	env_poke(r.e, TOP, 8, TOP | SHADOW_BUSY);
	ck_fault(r.e, event_deliver_idt(r.v, &e), VEC_GP, 1);
	env_same(r.e, &f);
	ck_assert_uint_eq(r.v->ssp, USER_TOP);
	env_poke(r.e, TOP, 8, TOP);
	r.v->pl_ssp[0] = TOP + 4;
	ck_fault(r.e, event_deliver_idt(r.v, &e), VEC_GP, 1);
	r.v->pl_ssp[0] = PLAIN;
	ck_fault(r.e, event_deliver_idt(r.v, &e), VEC_PF, 0x43);
	env_same(r.e, &f);
	r.v->pl_ssp[0] = TOP;
	ck_assert_int_eq(event_deliver_idt(r.v, &e), 0);
	ck_assert_uint_eq(shadow(&r, TOP), TOP | SHADOW_BUSY);
	cet_run_free(&r);
	/* at the same level, where the frame crosses into a page that is none */
	r = begin(0, true);
	r.v->ssp = SHADOW + 16;
	env_freeze(r.e, &f);
	ck_fault(r.e, event_deliver_idt(r.v, &e), VEC_PF, 0x43);
	env_same(r.e, &f);
	ck_assert_uint_eq(r.v->ssp, SHADOW + 16);
	cet_run_free(&r);
}
END_TEST

/* At the same level: a frame on the current shadow stack, or on the IST's with its token. */
START_TEST(event_at_the_same_level)
{
	struct cet_run r = begin(0, _i);
	static const u8 iretq[] = {0x48, 0xcf};

	CODE(&r, 0xcc, HLT);
	cet_code(&r, AT_HANDLER(VEC_BP), iretq, 2);
	cet_go(&r);
	ck_assert_uint_eq(r.v->rip, AT_CODE + 2);
	ck_assert_uint_eq(r.v->ssp, TOP);
	ck_assert_uint_eq(shadow(&r, TOP - 8), KCODE64);
	ck_assert_uint_eq(shadow(&r, TOP - 16), AT_CODE + 1);
	ck_assert_uint_eq(shadow(&r, TOP - 24), TOP);
	cet_run_free(&r);

	r = begin(0, _i);
	env_gate(r.e, VEC_BP, SYS_INT32, KCODE64, AT_HANDLER(VEC_BP), 1);
	r.v->int_ssp_table = 0x6000;
	env_poke(r.e, 0x6008, 8, SHADOW + 0x400);
	env_poke(r.e, SHADOW + 0x400, 8, SHADOW + 0x400);
	CODE(&r, 0xcc, HLT);
	cet_code(&r, AT_HANDLER(VEC_BP), (const u8[]){HLT, 0x48, 0xcf}, 3);
	cet_go(&r);
	ck_assert_uint_eq(r.v->ssp, SHADOW + 0x400 - 24);
	ck_assert_uint_eq(shadow(&r, SHADOW + 0x400), (SHADOW + 0x400) | SHADOW_BUSY);
	ck_assert_uint_eq(shadow(&r, SHADOW + 0x400 - 24), TOP);
	r.v->activity = ACT_ACTIVE;
	cet_go(&r);
	ck_assert_uint_eq(r.v->rip, AT_CODE + 2);
	ck_assert_uint_eq(r.v->ssp, TOP);
	ck_assert_uint_eq(shadow(&r, SHADOW + 0x400), SHADOW + 0x400);
	cet_run_free(&r);

	r = begin(0, _i); /* an IRET to elsewhere */
	CODE(&r, 0xcc, HLT);
	cet_code(&r, AT_HANDLER(VEC_BP), (const u8[]){0x48, 0xff, 0x04, 0x24, 0x48, 0xcf}, 6);
	cet_go(&r);
	cet_ended_cp(&r, CP_FAR_RET);
	cet_run_free(&r);
}
END_TEST

START_TEST(syscall_and_sysret)
{
	struct cet_run r = begin(3, _i);

	r.v->cet[CET_S] = ON;
	r.v->lstar = AT_TARGET;
	r.v->star = (u64)KCODE64 << 32 | (u64)(UDATA - 8) << 48;
	CODE(&r, 0x0f, 0x05, 0xcc); /* syscall */
	/* setssbsy; clrssbsy [rbx]; sysretq */
	cet_code(&r, AT_TARGET,
		 (const u8[]){0xf3, 0x0f, 0x01, 0xe8, 0xf3, 0x0f, 0xae, 0x33, 0x48, 0x0f, 0x07},
		 11);
	r.v->reg[RBX] = TOP;
	vcpu_run(r.v, 1);
	ck_assert_uint_eq(r.v->ssp, 0);
	ck_assert_uint_eq(r.v->pl_ssp[3], USER_TOP);
	vcpu_run(r.v, 1);
	ck_assert_uint_eq(r.v->ssp, TOP);
	ck_assert_uint_eq(shadow(&r, TOP), TOP | SHADOW_BUSY);
	vcpu_run(r.v, 1);
	ck_assert_uint_eq(r.v->ssp, 0);
	ck_assert_uint_eq(shadow(&r, TOP), TOP);
	ck_assert(!flag_c(r.v));
	vcpu_run(r.v, 1);
	ck_assert_uint_eq(r.v->cpl, 3);
	ck_assert_uint_eq(r.v->ssp, USER_TOP);
	cet_run_free(&r);
	/* the token is busy already: #CP; and CLRSSBSY of none: CF */
	r = begin(0, _i);
	env_poke(r.e, TOP, 8, TOP | SHADOW_BUSY);
	CODE(&r, 0xf3, 0x0f, 0x01, 0xe8);
	r.v->ssp = SHADOW + 0x800;
	cet_go(&r);
	cet_ended_cp(&r, CP_SETSSBSY);
	cet_run_free(&r);
	r = begin(0, _i);
	CODE(&r, 0xf3, 0x0f, 0xae, 0x33, HLT);
	r.v->reg[RBX] = TOP;
	cet_go(&r);
	ck_assert(flag_c(r.v) && r.v->ssp == 0);
	ck_assert_uint_eq(shadow(&r, TOP), TOP);
	cet_run_free(&r);
}
END_TEST

/* RSTORSSP to another shadow stack, SAVEPREVSSP leaves the way back. */
START_TEST(switch_by_tokens)
{
	struct cet_run r = begin(3, _i);
	u64 other = USER_SHADOW + 0x400;

	env_poke(r.e, other, 8, (other + 8) | 1);
	CODE(&r, 0xf3, 0x0f, 0x01, 0x28, 0xf3, 0x0f, 0x01, 0xea, 0xcc);
	r.v->reg[RAX] = other;
	vcpu_run(r.v, 1);
	ck_assert_uint_eq(r.v->ssp, other);
	ck_assert_uint_eq(shadow(&r, other), USER_TOP | 3);
	ck_assert(!flag_c(r.v));
	vcpu_run(r.v, 1);
	ck_assert_uint_eq(r.v->ssp, other + 8);
	ck_assert_uint_eq(shadow(&r, USER_TOP - 8), USER_TOP | 1);
	cet_run_free(&r);
	for (unsigned k = 0; k < 3; k++) {
		const u64 bad[] = {(other + 8), (other + 16) | 1, (other + 8) | 3};

		r = begin(3, _i);
		env_poke(r.e, other, 8, bad[k]); /* mode, address, kind of token */
		CODE(&r, 0xf3, 0x0f, 0x01, 0x28);
		r.v->reg[RAX] = other;
		cet_go(&r);
		cet_ended_cp(&r, CP_RSTORSSP);
		ck_assert_uint_eq(shadow(&r, other), bad[k]);
		cet_run_free(&r);
	}
	r = begin(3, _i); /* no previous-SSP token */
	CODE(&r, 0xf3, 0x0f, 0x01, 0xea);
	cet_go(&r);
	cet_ended_in(&r, VEC_GP);
	cet_run_free(&r);
}
END_TEST

START_TEST(incssp_and_rdssp)
{
	struct cet_run r = begin(0, _i);

	r.v->ssp = SHADOW + 0x100;
	r.v->reg[RAX] = 0x303; /* bits 7:0 count */
	/* incsspq rax; rdsspq rcx; incsspd eax; hlt */
	CODE(&r, 0xf3, 0x48, 0x0f, 0xae, 0xe8, 0xf3, 0x48, 0x0f, 0x1e, 0xc9, 0xf3, 0x0f, 0xae, 0xe8,
	     HLT);
	cet_go(&r);
	ck_assert_uint_eq(r.v->reg[RCX], SHADOW + 0x118);
	ck_assert_uint_eq(r.v->ssp, SHADOW + 0x118 + 12);
	cet_run_free(&r);
	r = begin(0, _i); /* the last element is read */
	r.v->ssp = SHADOW + 0xff8;
	r.v->reg[RAX] = 2;
	CODE(&r, 0xf3, 0x48, 0x0f, 0xae, 0xe8);
	cet_go(&r);
	cet_ended_in(&r, VEC_PF);
	ck_assert_uint_eq(r.v->cr2, SHADOW + 0x1000);
	ck_assert_uint_eq(env_peek(r.e, r.v->reg[RSP], 8), 0x41);
	cet_run_free(&r);
	r = begin(0, _i); /* off: RDSSP is a NOP, INCSSP is not there */
	cet_set(&r, 0);
	r.v->reg[RCX] = 77;
	CODE(&r, 0xf3, 0x48, 0x0f, 0x1e, 0xc9, 0xf3, 0x48, 0x0f, 0xae, 0xe8);
	cet_go(&r);
	cet_ended_in(&r, VEC_UD);
	ck_assert_uint_eq(r.v->reg[RCX], 77);
	cet_run_free(&r);
}
END_TEST

START_TEST(msrs)
{
	struct cet_run r = begin(0, true);
	u64 value;

	for (u32 m = 0x6a4; m <= 0x6a7; m++) {
		ck_assert(!msr_write(r.v, m, 0x1002));
		ck_assert(!msr_write(r.v, m, BIT(60)));
		ck_assert(msr_write(r.v, m, 0x1004 + 16 * m));
		ck_assert(msr_read(r.v, m, &value));
		ck_assert_uint_eq(value, 0x1004 + 16 * m);
		ck_assert_uint_eq(r.v->pl_ssp[m - 0x6a4], value);
	}
	ck_assert(!msr_write(r.v, 0x6a8, BIT(60)));
	ck_assert(msr_write(r.v, 0x6a8, 0x1003));
	r.e->model.features[FEAT_SHSTK / 64] &= ~BIT(FEAT_SHSTK % 64);
	ck_assert(!msr_read(r.v, 0x6a8, &value));
	ck_assert(!msr_read(r.v, 0x6a4, &value));
	ck_assert(!msr_write(r.v, 0x6a2, 1));
	ck_assert(msr_write(r.v, 0x6a2, CET_ENDBR_EN));
	cet_run_free(&r);
}
END_TEST

Suite *cet_shstk_suite(void);

Suite *cet_shstk_suite(void)
{
	Suite *s = suite_create("cet_shstk");
	TCase *t = tcase_create("shadow stacks");

	tcase_add_loop_test(t, near_call_and_return, 0, 2);
	tcase_add_loop_test(t, call_is_all_or_nothing, 0, 2);
	tcase_add_test(t, pages);
	tcase_add_loop_test(t, far_call_and_return, 0, 2);
	tcase_add_loop_test(t, event_inwards, 0, 2);
	tcase_add_test(t, event_refused);
	tcase_add_loop_test(t, event_at_the_same_level, 0, 2);
	tcase_add_loop_test(t, syscall_and_sysret, 0, 2);
	tcase_add_loop_test(t, switch_by_tokens, 0, 2);
	tcase_add_loop_test(t, incssp_and_rdssp, 0, 2);
	tcase_add_test(t, msrs);
	suite_add_tcase(s, t);
	return s;
}
