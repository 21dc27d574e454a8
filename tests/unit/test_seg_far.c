/*
 * Far JMP, CALL, RET and IRET: checks, frames, privilege changes.
 */
#include "tests/unit/test_seg.h"

struct jump_case {
	u8 cpl;
	u16 sel;
	u8 vector; /* 0: goes there */
	u32 error;
};

static const struct jump_case jump_cases[] = {
	{0, KCODE32, 0, 0},
	{0, KCODE32 | 3, VEC_GP, KCODE32}, /* RPL above CPL */
	{0, UCODE32, VEC_GP, UCODE32 & ~3},
	{3, KCODE32, VEC_GP, KCODE32},
	{3, UCODE32, 0, 0},
	{3, UCODE32 & ~3, 0, 0},
	{3, CONFORMING, 0, 0},
	{0, CONFORMING | 3, 0, 0},
	{0, ABSENT_CODE, VEC_NP, ABSENT_CODE},
	{0, KDATA, VEC_GP, KDATA},
	{0, 0, VEC_GP, 0},
	{0, 3, VEC_GP, 0},
	{0, BEYOND, VEC_GP, BEYOND},
	{0, SEL_LDT, VEC_GP, SEL_LDT},
	{0, SEL_TSS, VEC_GP, SEL_TSS}, /* busy */
};

START_TEST(test_jump)
{
	const struct jump_case *c = &jump_cases[_i];
	struct env *e = env_new();
	struct frozen before;
	int r;

	env_prot(e, c->cpl);
	env_freeze(e, &before);
	r = far_jump_from(e->v, c->sel, 0x12340, 4, 0);
	if (c->vector) {
		ck_fault(e, r, c->vector, c->error);
		env_same(e, &before);
	} else {
		ck_assert_int_eq(r, EXEC_JUMP);
		ck_assert_uint_eq(e->v->rip, 0x12340);
		ck_assert_uint_eq(e->v->seg[SEG_CS].sel, (c->sel & ~3u) | c->cpl);
		ck_assert_uint_eq(e->v->cpl, c->cpl);
	}
	env_free(e);
}
END_TEST

START_TEST(test_jump_limits)
{
	struct env *e = env_new();

	env_prot(e, 0);
	ck_fault(e, far_jump_from(e->v, KCODE16, 0x10000, 4, 0), VEC_GP, 0);
	ck_assert_int_eq(far_jump_from(e->v, KCODE16, 0x1ffff, 2, 0), EXEC_JUMP);
	ck_assert_uint_eq(e->v->rip, 0xffff);
	env_long(e, 0);
	ck_fault(e, far_jump_from(e->v, KCODE64, 0x800000000000, 8, 0), VEC_GP, 0);
	/* into compatibility mode, and back */
	ck_assert_int_eq(far_jump_from(e->v, KCODE32, 0x5000, 8, 0), EXEC_JUMP);
	ck_assert_uint_eq(e->v->mode, MODE_COMPAT);
	ck_assert_int_eq(far_jump_from(e->v, KCODE64, 0x6000, 4, 0), EXEC_JUMP);
	ck_assert_uint_eq(e->v->mode, MODE_64);
	/* L and D together */
	env_set_desc(e, KCODE16, env_desc(0, ~0u, 0xe09a));
	ck_fault(e, far_jump_from(e->v, KCODE16, 0, 4, 0), VEC_GP, KCODE16);
	env_real(e);
	ck_assert_int_eq(far_jump_from(e->v, 0x1234, 0x5678, 2, 0), EXEC_JUMP);
	ck_assert_uint_eq(e->v->seg[SEG_CS].base, 0x12340);
	ck_fault(e, far_jump_from(e->v, 0x1234, 0x10000, 4, 0), VEC_GP, 0);
	/* a code segment of protected mode remains one, as in the BIOS after it was there */
	e->v->seg[SEG_CS].ar = 0x9f;
	ck_assert_int_eq(far_jump_from(e->v, 0x2000, 0, 2, 0), EXEC_JUMP);
	ck_assert_uint_eq(e->v->seg[SEG_CS].ar, 0x9b);
	env_free(e);
}
END_TEST

static void call_gate(struct env *e, u16 sel, u32 rip, unsigned params, u32 ar)
{
	env_set_desc(e, SEL_GATE,
		     (rip & 0xffff) | (u64)sel << 16 | (u64)params << 32 | (u64)ar << 40 |
			     (u64)(rip >> 16) << 48);
}

START_TEST(test_call_same)
{
	struct env *e = env_new();

	env_prot(e, 0);
	ck_assert_int_eq(far_call(e->v, CONFORMING, 0x4000, 4, 0x7005), EXEC_JUMP);
	ck_assert_uint_eq(e->v->reg[RSP], AT_KSTACK - 8);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 8, 4), 0x7005);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 4, 4), KCODE32);
	ck_assert_int_eq(far_return(e->v, 4, 0), EXEC_JUMP);
	ck_assert_uint_eq(e->v->rip, 0x7005);
	ck_assert_uint_eq(e->v->seg[SEG_CS].sel, KCODE32);
	ck_assert_uint_eq(e->v->reg[RSP], AT_KSTACK);
	env_long(e, 0);
	ck_assert_int_eq(far_call(e->v, KCODE64, 0x4000, 8, 0x7007), EXEC_JUMP);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 16, 8), 0x7007);
	env_free(e);
}
END_TEST

/* Through a 32-bit gate with two parameters from CPL 3 to 0, and back with RET 8. */
START_TEST(test_call_inner)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_prot(e, 3);
	call_gate(e, KCODE32, 0x654321, 2, AR_P | AR_DPL | SYS_CALL32);
	env_push(e, 4, 0x11111111);
	env_push(e, 4, 0x22222222);
	ck_assert_int_eq(far_call(v, SEL_GATE | 3, 0xdead, 4, 0x7007), EXEC_JUMP);
	ck_assert_uint_eq(v->cpl, 0);
	ck_assert_uint_eq(v->rip, 0x654321);
	ck_assert_uint_eq(v->seg[SEG_CS].sel, KCODE32);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, KDATA);
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK - 24);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 4, 4), UDATA);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 8, 4), AT_USTACK - 8);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 12, 4), 0x11111111);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 16, 4), 0x22222222);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 20, 4), UCODE32);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 24, 4), 0x7007);
	ck_assert_int_eq(seg_load(v, SEG_ES, KDATA), 0);
	ck_assert_int_eq(seg_load(v, SEG_FS, CONFORMING), 0);
	ck_assert_int_eq(far_return(v, 4, 8), EXEC_JUMP);
	ck_assert_uint_eq(v->cpl, 3);
	ck_assert_uint_eq(v->rip, 0x7007);
	ck_assert_uint_eq(v->reg[RSP], AT_USTACK);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, UDATA);
	ck_assert(v->seg[SEG_ES].ar & AR_UNUSABLE); /* was the kernel's */
	ck_assert_uint_eq(v->seg[SEG_ES].sel, 0);
	ck_assert(!(v->seg[SEG_FS].ar & AR_UNUSABLE)); /* conforming code stays */
	ck_assert(!(v->seg[SEG_DS].ar & AR_UNUSABLE));
	env_free(e);
}
END_TEST

START_TEST(test_call_gate_faults)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct frozen before;

	env_prot(e, 3);
	env_freeze(e, &before);
	call_gate(e, KCODE32, 0x4000, 0, AR_P | SYS_CALL32); /* gate DPL 0 */
	ck_fault(e, far_call(v, SEL_GATE, 0, 4, 0), VEC_GP, SEL_GATE);
	call_gate(e, KCODE32, 0x4000, 0, AR_DPL | SYS_CALL32);
	ck_fault(e, far_call(v, SEL_GATE, 0, 4, 0), VEC_NP, SEL_GATE);
	call_gate(e, 0, 0x4000, 0, AR_P | AR_DPL | SYS_CALL32);
	ck_fault(e, far_call(v, SEL_GATE, 0, 4, 0), VEC_GP, 0);
	call_gate(e, KDATA, 0x4000, 0, AR_P | AR_DPL | SYS_CALL32);
	ck_fault(e, far_call(v, SEL_GATE, 0, 4, 0), VEC_GP, KDATA);
	call_gate(e, KCODE32, 0x4000, 0, AR_P | AR_DPL | SYS_CALL32);
	/* JMP goes not inwards */
	ck_fault(e, far_jump_from(v, SEL_GATE, 0, 4, 0), VEC_GP, KCODE32);
	env_poke(e, AT_TSS + 8, 4, 0);
	ck_fault(e, far_call(v, SEL_GATE, 0, 4, 0), VEC_TS, 0);
	env_poke(e, AT_TSS + 8, 4, UDATA);
	ck_fault(e, far_call(v, SEL_GATE, 0, 4, 0), VEC_TS, UDATA & ~3);
	env_poke(e, AT_TSS + 8, 4, ABSENT_DATA);
	ck_fault(e, far_call(v, SEL_GATE, 0, 4, 0), VEC_SS, ABSENT_DATA);
	env_poke(e, AT_TSS + 8, 4, KDATA16);
	env_poke(e, AT_TSS + 4, 4, 6); /* no room: the frame wraps inside an entry */
	ck_fault(e, far_call(v, SEL_GATE, 0, 4, 0), VEC_SS, KDATA16);
	env_same(e, &before);
	v->seg[SEG_TR].limit = 8;
	ck_fault(e, far_call(v, SEL_GATE, 0, 4, 0), VEC_TS, SEL_TSS);
	env_free(e);
}
END_TEST

START_TEST(test_call_gate_64)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_long(e, 3);
	call_gate(e, KCODE64, 0x654321, 5, AR_P | AR_DPL | SYS_CALL32);
	env_poke(e, AT_GDT + SEL_GATE + 8, 8, 0xffff8000);
	ck_assert_int_eq(far_call(v, SEL_GATE | 3, 0, 4, 0x7007), EXEC_JUMP);
	ck_assert_uint_eq(v->rip, 0xffff800000654321);
	ck_assert_uint_eq(v->cpl, 0);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, 0);
	ck_assert(v->seg[SEG_SS].ar & AR_UNUSABLE);
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK - 32); /* no parameters */
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 8, 8), UDATA);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 16, 8), AT_USTACK);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 32, 8), 0x7007);
	ck_assert_int_eq(far_return(v, 8, 0), EXEC_JUMP);
	ck_assert_uint_eq(v->cpl, 3);
	ck_assert_uint_eq(v->reg[RSP], AT_USTACK);
	env_poke(e, AT_GDT + SEL_GATE + 8, 8, 0x100ffff8000); /* type bits of the upper half */
	ck_fault(e, far_call(v, SEL_GATE | 3, 0, 4, 0), VEC_GP, SEL_GATE);
	env_poke(e, AT_GDT + SEL_GATE + 8, 8, 0x8000);
	ck_fault(e, far_call(v, SEL_GATE | 3, 0, 4, 0), VEC_GP, 0);
	call_gate(e, KCODE32, 0, 0, AR_P | AR_DPL | SYS_CALL32);
	ck_fault(e, far_call(v, SEL_GATE | 3, 0, 4, 0), VEC_GP, KCODE32);
	call_gate(e, KCODE64, 0, 0, AR_P | AR_DPL | SYS_CALL16);
	ck_fault(e, far_call(v, SEL_GATE | 3, 0, 4, 0), VEC_GP, SEL_GATE);
	env_free(e);
}
END_TEST

struct ret_case {
	u16 cs, ss;
	u8 vector; /* 0: returns */
	u32 error;
};

/* IRETQ from CPL 0. */
static const struct ret_case iret_cases[] = {
	{UCODE64, UDATA, 0, 0},
	{UCODE32, UDATA, 0, 0},
	{KCODE64, KDATA, 0, 0},
	{KCODE64, 0, 0, 0},
	{UCODE64, 0, VEC_GP, 0},
	{UCODE64, 3, VEC_GP, 0},
	{KCODE32, 0, VEC_GP, 0}, /* null SS is 64-bit mode's */
	{UCODE64, KDATA, VEC_GP, KDATA},
	{UCODE64, UDATA & ~3, VEC_GP, UDATA & ~3},
	{UCODE64, ABSENT_DATA, VEC_GP, ABSENT_DATA},
	{KCODE64, ABSENT_DATA, VEC_SS, ABSENT_DATA},
	{UCODE64 & ~3, UDATA, VEC_GP, UCODE64 & ~3},
	{KCODE64 | 3, UDATA, VEC_GP, KCODE64},
	{0, UDATA, VEC_GP, 0},
	{KDATA, UDATA, VEC_GP, KDATA},
	{ABSENT_CODE, KDATA, VEC_NP, ABSENT_CODE},
	{BEYOND, KDATA, VEC_GP, BEYOND},
};

START_TEST(test_iretq)
{
	const struct ret_case *c = &iret_cases[_i];
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct frozen before;
	int r;

	env_long(e, 0);
	env_push(e, 8, c->ss);
	env_push(e, 8, AT_USTACK);
	env_push(e, 8, 0x3246 | RFLAGS_RF | RFLAGS_VM);
	env_push(e, 8, c->cs);
	env_push(e, 8, 0x400123);
	env_freeze(e, &before);
	r = iret_from(v, 8, 0);
	if (c->vector) {
		ck_fault(e, r, c->vector, c->error);
		env_same(e, &before);
	} else {
		ck_assert_int_eq(r, EXEC_JUMP);
		ck_assert_uint_eq(v->rip, 0x400123);
		ck_assert_uint_eq(v->reg[RSP], AT_USTACK);
		ck_assert_uint_eq(v->cpl, c->cs & 3u);
		ck_assert_uint_eq(v->seg[SEG_CS].sel, c->cs);
		ck_assert_uint_eq(v->seg[SEG_SS].sel, c->ss);
		ck_assert_uint_eq(flags_get(v) & ~RFLAGS_RF, 0x3246);
		ck_assert_uint_eq(v->mode, c->cs == UCODE32 ? MODE_COMPAT : MODE_64);
	}
	env_free(e);
}
END_TEST

START_TEST(test_iret_flags)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	/* CPL 3, IOPL 0: IF and IOPL stay; AC, ID change */
	env_prot(e, 3);
	v->rflags |= RFLAGS_IF;
	env_push(e, 4, 0x243003 | RFLAGS_VIP);
	env_push(e, 4, UCODE32);
	env_push(e, 4, 0x1000);
	ck_assert_int_eq(iret_from(v, 4, 0), EXEC_JUMP);
	ck_assert_uint_eq(flags_get(v), 0x240203);
	/* IOPL 3: IF too; 16-bit forms keep the upper half */
	env_prot(e, 3);
	v->rflags |= RFLAGS_IF | RFLAGS_IOPL | RFLAGS_ID;
	env_push(e, 2, 0x0003);
	env_push(e, 2, UCODE32);
	env_push(e, 2, 0x1000);
	ck_assert_int_eq(iret_from(v, 2, 0), EXEC_JUMP);
	ck_assert_uint_eq(flags_get(v), 0x203003);
	/* outer return with a 16-bit stack segment changes SP only */
	env_prot(e, 0);
	env_set_desc(e, KDATA16, env_desc(0, 0xffff, AR_P | AR_S | AR_DPL | AR_RW));
	v->reg[RSP] = AT_KSTACK;
	env_push(e, 4, KDATA16 | 3);
	env_push(e, 4, 0x22228000);
	env_push(e, 4, 0x202);
	env_push(e, 4, UCODE32);
	env_push(e, 4, 0x1000);
	v->seg[SEG_SS].base = 0xeeee0000; /* so that ESP has an upper half to keep */
	v->reg[RSP] += 0x11120000;
	ck_assert_int_eq(iret_from(v, 4, 0), EXEC_JUMP);
	ck_assert_uint_eq(v->reg[RSP], 0x11128000);
	env_free(e);
}
END_TEST

START_TEST(test_iret_misc)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	/* NMIs are unblocked even if the IRET faults */
	env_long(e, 0);
	v->nmi_blocked = true;
	v->rflags |= RFLAGS_NT;
	ck_fault(e, iret_from(v, 8, 0), VEC_GP, 0);
	ck_assert(!v->nmi_blocked);
	/* non-canonical target and stack */
	v->rflags &= ~RFLAGS_NT;
	env_push(e, 8, KDATA);
	env_push(e, 8, AT_USTACK);
	env_push(e, 8, 2);
	env_push(e, 8, KCODE64);
	env_push(e, 8, 0x800000000000);
	ck_fault(e, iret_from(v, 8, 0), VEC_GP, 0);
	v->reg[RSP] = 0x800000000000;
	ck_fault(e, iret_from(v, 8, 0), VEC_SS, 0);
	/* real mode */
	env_real(e);
	env_push(e, 2, 0x3202);
	env_push(e, 2, 0x1234);
	env_push(e, 2, 0x5678);
	ck_assert_int_eq(iret_from(v, 2, 0), EXEC_JUMP);
	ck_assert_uint_eq(v->seg[SEG_CS].base, 0x12340);
	ck_assert_uint_eq(v->rip, 0x5678);
	ck_assert_uint_eq(flags_get(v), 0x3202);
	env_free(e);
}
END_TEST

START_TEST(test_iretd_64)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_long(e, 0); /* 64-bit mode pops SS:RSP whatever the size and level */
	env_push(e, 4, KDATA);
	env_push(e, 4, 0x8000);
	env_push(e, 4, 0x246);
	env_push(e, 4, KCODE64);
	env_push(e, 4, 0x123456);
	ck_assert_int_eq(iret_from(v, 4, 0), EXEC_JUMP);
	ck_assert_uint_eq(v->reg[RSP], 0x8000);
	ck_assert_uint_eq(v->rip, 0x123456);
	env_compat(e, 3); /* compatibility mode does not */
	env_push(e, 4, 0x246);
	env_push(e, 4, UCODE32);
	env_push(e, 4, 0x123456);
	ck_assert_int_eq(iret_from(v, 4, 0), EXEC_JUMP);
	ck_assert_uint_eq(v->reg[RSP], AT_USTACK);
	ck_assert_uint_eq(flags_get(v), 0x46);
	env_free(e);
}
END_TEST

/* A conforming 64-bit handler called from compatibility mode pushes on RSP without segmentation. */
START_TEST(test_call_gate_64_same)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_compat(e, 3);
	env_set_desc(e, CONFORMING, env_desc(0, 0, AR_P | AR_S | AR_L | AR_CODE | AR_DC));
	call_gate(e, CONFORMING, 0x4000, 0, AR_P | AR_DPL | SYS_CALL32);
	env_poke(e, AT_GDT + SEL_GATE + 8, 8, 0);
	v->seg[SEG_SS].base = 0x100;
	ck_assert_int_eq(far_call(v, SEL_GATE, 0, 4, 0x7007), EXEC_JUMP);
	ck_assert_uint_eq(v->mode, MODE_64);
	ck_assert_uint_eq(v->cpl, 3);
	ck_assert_uint_eq(v->seg[SEG_CS].sel, CONFORMING | 3);
	ck_assert_uint_eq(env_peek(e, AT_USTACK - 16, 8), 0x7007);
	ck_assert_uint_eq(env_peek(e, AT_USTACK - 8, 8), UCODE32);
	env_free(e);
}
END_TEST

/* To virtual-8086 mode by IRET, and back by an interrupt. */
START_TEST(test_vm86_round)
{
	static const u16 sels[] = {0x106, 0x105, 0x104, 0x103, 0x102};
	static const u8 segs[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES, SEG_SS};
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct event ev = {.valid = true, .vector = 0x20, .type = EVENT_EXT_INT};

	env_prot(e, 0);
	env_gate(e, 0x20, SYS_INT32, KCODE32, 0x4444, 0);
	for (unsigned k = 0; k < 5; k++)
		env_push(e, 4, sels[k]);
	env_push(e, 4, 0x800);
	env_push(e, 4, RFLAGS_VM | RFLAGS_IF | RFLAGS_FIXED);
	env_push(e, 4, 0x101);
	env_push(e, 4, 0x50);
	ck_assert_int_eq(iret_from(v, 4, 0), EXEC_JUMP);
	ck_assert_uint_eq(v->mode, MODE_VM86);
	ck_assert_uint_eq(v->cpl, 3);
	for (unsigned k = 0; k < 5; k++)
		ck_assert_uint_eq(v->seg[segs[k]].base, sels[k] * 16u);
	ck_assert_uint_eq(v->seg[SEG_CS].ar, 0xf3);
	event_deliver(v, ev);
	ck_assert_uint_eq(v->mode, MODE_PROT);
	ck_assert_uint_eq(v->cpl, 0);
	ck_assert_uint_eq(v->rip, 0x4444);
	ck_assert(!(v->rflags & (RFLAGS_VM | RFLAGS_IF)));
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK - 36);
	for (unsigned k = 0; k < 5; k++)
		ck_assert_uint_eq(env_peek(e, AT_KSTACK - 4 - 4 * k, 4), sels[k]);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 24, 4), 0x800);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 28, 4), RFLAGS_VM | RFLAGS_IF | RFLAGS_FIXED);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 36, 4), 0x50);
	ck_assert(v->seg[SEG_DS].ar & AR_UNUSABLE);
	ck_assert_uint_eq(v->seg[SEG_DS].sel, 0);
	env_free(e);
}
END_TEST

START_TEST(test_iret_vm86)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;

	env_vm86(e, 0);
	ck_fault(e, iret_from(v, 2, 0), VEC_GP, 0);
	v->cr4 |= CR4_VME;
	env_push(e, 2, 0x3202);
	env_push(e, 2, 0x200);
	env_push(e, 2, 0x77);
	ck_assert_int_eq(iret_from(v, 2, 0), EXEC_JUMP);
	ck_assert_uint_eq(v->seg[SEG_CS].base, 0x2000);
	ck_assert_uint_eq(flags_get(v), RFLAGS_VM | RFLAGS_VIF | 2);
	v->rflags |= RFLAGS_VIP;
	v->reg[RSP] -= 6;
	ck_fault(e, iret_from(v, 2, 0), VEC_GP, 0);
	env_vm86(e, 3);
	env_push(e, 2, 0x0202);
	env_push(e, 2, 0x200);
	env_push(e, 2, 0x77);
	ck_assert_int_eq(iret_from(v, 2, 0), EXEC_JUMP);
	ck_assert_uint_eq(flags_get(v), RFLAGS_VM | RFLAGS_IOPL | RFLAGS_IF | 2);
	env_free(e);
}
END_TEST

TCase *seg_far_case(void)
{
	TCase *t = tcase_create("far transfers");

	tcase_add_loop_test(t, test_jump, 0, ARRAY_SIZE(jump_cases));
	tcase_add_test(t, test_jump_limits);
	tcase_add_test(t, test_call_same);
	tcase_add_test(t, test_call_inner);
	tcase_add_test(t, test_call_gate_faults);
	tcase_add_test(t, test_call_gate_64);
	tcase_add_loop_test(t, test_iretq, 0, ARRAY_SIZE(iret_cases));
	tcase_add_test(t, test_iret_flags);
	tcase_add_test(t, test_iret_misc);
	tcase_add_test(t, test_iretd_64);
	tcase_add_test(t, test_call_gate_64_same);
	tcase_add_test(t, test_vm86_round);
	tcase_add_test(t, test_iret_vm86);
	return t;
}
