/*
 * Handlers of insn_seg.def, called with instructions made by hand.
 */
#include "tests/unit/test_seg.h"

/* A register form. */
static struct insn reg_form(unsigned opsize, unsigned reg, unsigned rm)
{
	return (struct insn){.opsize = (u8)opsize,
			     .addrsize = 4,
			     .mod = 3,
			     .reg = (u8)reg,
			     .rm = (u8)rm,
			     .len = 3,
			     .base = REG_NONE,
			     .index = REG_NONE};
}

static struct insn mem_form(unsigned opsize, unsigned reg, u64 disp)
{
	return (struct insn){.opsize = (u8)opsize,
			     .addrsize = 4,
			     .mod = 0,
			     .reg = (u8)reg,
			     .len = 3,
			     .base = REG_NONE,
			     .index = REG_NONE,
			     .disp = (s64)disp,
			     .seg = SEG_DS};
}

static bool zf_after(struct env *e, exec_fn *op, unsigned opsize, u16 sel, u64 *result)
{
	struct insn i = reg_form(opsize, RAX, RCX);

	e->v->reg[RCX] = sel;
	e->v->reg[RAX] = ~0ull;
	flags_set_arith(e->v, RFLAGS_CF | RFLAGS_OF);
	ck_assert_int_eq(op(e->v, &i), 0);
	ck_assert_uint_eq(flags_arith(e->v) & ~RFLAGS_ZF, RFLAGS_CF | RFLAGS_OF);
	if (result)
		*result = e->v->reg[RAX];
	return flag_z(e->v);
}

START_TEST(test_lar_lsl)
{
	struct env *e = env_new();
	u64 x;

	env_prot(e, 0);
	ck_assert(zf_after(e, x_lar, 4, KCODE32, &x));
	ck_assert_uint_eq(x, 0xc09a00);
	ck_assert(zf_after(e, x_lar, 2, KDATA16, &x));
	ck_assert_uint_eq(x, 0xffffffffffff9200);
	ck_assert(zf_after(e, x_lsl, 4, KDATA, &x));
	ck_assert_uint_eq(x, 0xffffffff);
	ck_assert(zf_after(e, x_lsl, 4, SEL_LDT, &x));
	ck_assert_uint_eq(x, 0xff);
	ck_assert(!zf_after(e, x_lar, 4, 0, &x));
	ck_assert_uint_eq(x, ~0ull);
	ck_assert(!zf_after(e, x_lar, 4, BEYOND, NULL));
	env_set_desc(e, SEL_GATE, (u64)(AR_P | SYS_INT32) << 40);
	ck_assert(!zf_after(e, x_lar, 4, SEL_GATE, NULL));
	env_set_desc(e, SEL_GATE, (u64)(AR_P | SYS_CALL32) << 40);
	ck_assert(zf_after(e, x_lar, 4, SEL_GATE, NULL));
	ck_assert(!zf_after(e, x_lsl, 4, SEL_GATE, NULL));
	env_set_desc(e, SEL_GATE, (u64)(AR_P | SYS_TASK_GATE) << 40);
	ck_assert(zf_after(e, x_lar, 4, SEL_GATE, NULL));
	env_long(e, 0);
	ck_assert(!zf_after(e, x_lar, 4, SEL_GATE, NULL));
	ck_assert(!zf_after(e, x_lar, 4, KDATA | 3, NULL)); /* RPL counts */
	env_prot(e, 3);
	ck_assert(!zf_after(e, x_lar, 4, KDATA, NULL));
	ck_assert(zf_after(e, x_lar, 4, CONFORMING, NULL));
	ck_assert(!zf_after(e, x_lsl, 4, SEL_TSS, NULL));
	env_free(e);
}
END_TEST

START_TEST(test_verr_verw)
{
	struct env *e = env_new();

	env_prot(e, 3);
	ck_assert(zf_after(e, x_verr, 2, UDATA, NULL));
	ck_assert(zf_after(e, x_verw, 2, UDATA, NULL));
	ck_assert(!zf_after(e, x_verr, 2, KDATA, NULL));
	ck_assert(zf_after(e, x_verr, 2, CONFORMING, NULL));
	ck_assert(!zf_after(e, x_verw, 2, CONFORMING, NULL));
	ck_assert(!zf_after(e, x_verr, 2, SEL_TSS, NULL));
	env_prot(e, 0);
	ck_assert(zf_after(e, x_verr, 2, READ_ONLY, NULL));
	ck_assert(!zf_after(e, x_verw, 2, READ_ONLY, NULL));
	ck_assert(!zf_after(e, x_verr, 2, EXEC_ONLY, NULL));
	env_free(e);
}
END_TEST

START_TEST(test_arpl)
{
	struct env *e = env_new();
	struct insn i = mem_form(2, RAX, 0x6000);

	env_prot(e, 0);
	env_poke(e, 0x6000, 2, 0x1231);
	e->v->reg[RAX] = 3;
	ck_assert_int_eq(x_arpl(e->v, &i), 0);
	ck_assert_uint_eq(env_peek(e, 0x6000, 2), 0x1233);
	ck_assert(flag_z(e->v));
	e->v->reg[RAX] = 2;
	ck_assert_int_eq(x_arpl(e->v, &i), 0);
	ck_assert_uint_eq(env_peek(e, 0x6000, 2), 0x1233);
	ck_assert(!flag_z(e->v));
	env_free(e);
}
END_TEST

START_TEST(test_sreg_moves)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = reg_form(8, SEG_DS, RAX);

	env_long(e, 3);
	v->reg[RAX] = ~0ull;
	ck_assert_int_eq(x_mov_from_sreg(v, &i), 0);
	ck_assert_uint_eq(v->reg[RAX], UDATA);
	i = reg_form(2, SEG_SS, RCX);
	v->reg[RCX] = UDATA;
	ck_assert_int_eq(x_mov_to_sreg(v, &i), 0);
	ck_assert_uint_eq(v->shadow, SHADOW_MOV_SS);
	i.reg = SEG_CS;
	ck_fault(e, x_mov_to_sreg(v, &i), VEC_UD, 0);
	i.reg = 6;
	ck_fault(e, x_mov_from_sreg(v, &i), VEC_UD, 0);
	env_prot(e, 0);
	env_poke(e, AT_KSTACK - 4, 4, 0xeeeeeeee);
	i = (struct insn){.opcode = 0x1e, .opsize = 4, .len = 1};
	ck_assert_int_eq(x_push_sreg(v, &i), 0);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 4, 4), 0xeeee0000 | KDATA);
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK - 4);
	i.opcode = 0x17; /* POP SS to a 16-bit stack: ESP moved as a whole */
	env_poke(e, AT_KSTACK - 4, 4, KDATA16);
	ck_assert_int_eq(x_pop_sreg(v, &i), 0);
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, KDATA16);
	env_poke(e, 0x6000, 4, 0x11223344);
	env_poke(e, 0x6004, 2, READ_ONLY);
	i = mem_form(4, RBX, 0x6000);
	ck_assert_int_eq(x_les(v, &i), 0);
	ck_assert_uint_eq(v->reg[RBX], 0x11223344);
	ck_assert_uint_eq(v->seg[SEG_ES].sel, READ_ONLY);
	env_poke(e, 0x6004, 2, EXEC_ONLY);
	v->reg[RBX] = 5;
	ck_fault(e, x_les(v, &i), VEC_GP, EXEC_ONLY);
	ck_assert_uint_eq(v->reg[RBX], 5);
	env_free(e);
}
END_TEST

/* CALL m16:16, then RET 4 in real mode; JMP ptr16:32. */
START_TEST(test_far_forms)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = mem_form(2, 3, 0x6000);

	env_real(e);
	i.opcode = 0xff;
	i.addrsize = 2;
	i.len = 4;
	env_poke(e, 0x6000, 4, 0x12345678);
	ck_assert_int_eq(x_call_far(v, &i), EXEC_JUMP);
	ck_assert_uint_eq(v->seg[SEG_CS].base, 0x12340);
	ck_assert_uint_eq(v->rip, 0x5678);
	ck_assert_uint_eq(v->reg[RSP], 0x8000 - 4);
	ck_assert_uint_eq(env_peek(e, 0x8000 - 4, 2), AT_CODE + 4);
	i = (struct insn){.opcode = 0xca, .opsize = 2, .imm = 4, .len = 3};
	ck_assert_int_eq(x_ret_far(v, &i), EXEC_JUMP);
	ck_assert_uint_eq(v->rip, AT_CODE + 4);
	ck_assert_uint_eq(v->seg[SEG_CS].base, 0);
	ck_assert_uint_eq(v->reg[RSP], 0x8004);
	i = (struct insn){.opcode = 0xea, .opsize = 4, .imm = 0x8765, .imm2 = 0x200, .len = 7};
	ck_assert_int_eq(x_jmp_far(v, &i), EXEC_JUMP);
	ck_assert_uint_eq(v->seg[SEG_CS].base, 0x2000);
	ck_assert_uint_eq(v->rip, 0x8765);
	env_prot(e, 0);
	i = (struct insn){.opcode = 0xcf, .opsize = 4, .len = 1};
	env_push(e, 4, 0x202);
	env_push(e, 4, KCODE32);
	env_push(e, 4, 0x1111);
	v->intr_waiting = true;
	v->recheck = false;
	ck_assert_int_eq(x_iret(v, &i), EXEC_JUMP);
	ck_assert(v->recheck); /* IF rose with an interrupt waiting */
	env_free(e);
}
END_TEST

START_TEST(test_far_loads)
{
	static const struct {
		exec_fn *op;
		u8 seg;
	} c[] = {{x_les, SEG_ES},
		 {x_lds, SEG_DS},
		 {x_lss, SEG_SS},
		 {x_lfs, SEG_FS},
		 {x_lgs, SEG_GS}};
	struct env *e = env_new();
	struct insn i = mem_form(4, RBX, 0x6000);

	env_poke(e, 0x6000, 4, 0x55667788);
	env_poke(e, 0x6004, 2, KDATA16);
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) {
		env_prot(e, 0);
		ck_assert_int_eq(c[k].op(e->v, &i), 0);
		ck_assert_uint_eq(e->v->seg[c[k].seg].sel, KDATA16);
		ck_assert_uint_eq(e->v->reg[RBX], 0x55667788);
	}
	env_free(e);
}
END_TEST

START_TEST(test_tables)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = mem_form(4, 0, 0x6000);

	env_prot(e, 0);
	ck_assert_int_eq(x_sgdt(v, &i), 0);
	ck_assert_uint_eq(env_peek(e, 0x6000, 2), BEYOND - 1);
	ck_assert_uint_eq(env_peek(e, 0x6002, 4), AT_GDT);
	env_poke(e, 0x6000, 2, 0x123);
	env_poke(e, 0x6002, 8, 0xffff800011223344);
	ck_assert_int_eq(x_lidt(v, &i), 0);
	ck_assert_uint_eq(v->idtr.base, 0x11223344);
	i.opsize = 2;
	ck_assert_int_eq(x_lidt(v, &i), 0);
	ck_assert_uint_eq(v->idtr.base, 0x223344);
	env_long(e, 0);
	i.opsize = 8;
	ck_assert_int_eq(x_lidt(v, &i), 0);
	ck_assert_uint_eq(v->idtr.base, 0xffff800011223344);
	env_poke(e, 0x6002, 8, 0x800011223344); /* the processor's width counts, not CR4.LA57 */
	ck_assert_int_eq(x_lidt(v, &i), 0);
	env_poke(e, 0x6002, 8, 0x100000011223344);
	ck_fault(e, x_lidt(v, &i), VEC_GP, 0);
	env_long(e, 3);
	ck_assert_int_eq(x_sidt(v, &i), 0);
	v->cr4 |= CR4_UMIP;
	ck_fault(e, x_sidt(v, &i), VEC_GP, 0);
	i = reg_form(4, 0, RAX);
	ck_fault(e, x_str(v, &i), VEC_GP, 0);
	env_free(e);
}
END_TEST

START_TEST(test_lldt_ltr)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = reg_form(2, 0, RAX);

	env_long(e, 0);
	v->reg[RAX] = SEL_LDT;
	env_poke(e, AT_GDT + SEL_LDT + 8, 8, 0xffff8000);
	ck_assert_int_eq(x_lldt(v, &i), 0);
	ck_assert_uint_eq(v->seg[SEG_LDTR].base, 0xffff800000000000 | AT_LDT);
	v->reg[RAX] = 0;
	ck_assert_int_eq(x_lldt(v, &i), 0);
	ck_assert(v->seg[SEG_LDTR].ar & AR_UNUSABLE);
	ck_fault(e, x_ltr(v, &i), VEC_GP, 0);
	v->reg[RAX] = SEL_TSS;
	env_poke(e, AT_GDT + SEL_TSS + 8, 8, 0);
	ck_fault(e, x_ltr(v, &i), VEC_GP, SEL_TSS); /* busy */
	env_poke(e, AT_GDT + SEL_TSS + 5, 1, AR_P | SYS_TSS32);
	ck_assert_int_eq(x_ltr(v, &i), 0);
	ck_assert_uint_eq(v->seg[SEG_TR].ar & AR_TYPE, SYS_TSS32_BUSY);
	ck_assert_uint_eq(env_peek(e, AT_GDT + SEL_TSS + 5, 1), AR_P | SYS_TSS32_BUSY);
	v->reg[RAX] = SEL_TSS | 4;
	ck_fault(e, x_ltr(v, &i), VEC_GP, SEL_TSS | 4);
	v->reg[RAX] = KDATA;
	ck_fault(e, x_lldt(v, &i), VEC_GP, KDATA);
	env_free(e);
}
END_TEST

START_TEST(test_syscall)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = {.len = 2, .opsize = 8};

	env_long(e, 3);
	v->star = (u64)0x23 << 48 | (u64)0x10 << 32;
	v->lstar = 0xffff800000001000;
	v->fmask = RFLAGS_IF | RFLAGS_AC | RFLAGS_CF;
	flags_set(v, RFLAGS_IF | RFLAGS_AC | RFLAGS_CF | RFLAGS_ZF | RFLAGS_FIXED);
	ck_assert_int_eq(x_syscall(v, &i), EXEC_JUMP);
	ck_assert_uint_eq(v->rip, 0xffff800000001000);
	ck_assert_uint_eq(v->reg[RCX], AT_CODE + 2);
	ck_assert_uint_eq(v->reg[R11], 0x40243);
	ck_assert_uint_eq(flags_get(v), RFLAGS_ZF | RFLAGS_FIXED);
	ck_assert_uint_eq(v->cpl, 0);
	ck_assert_uint_eq(v->seg[SEG_CS].sel, 0x10);
	ck_assert_uint_eq(v->seg[SEG_CS].ar, 0xa09b);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, 0x18);
	ck_assert_uint_eq(v->seg[SEG_SS].ar, 0xc093);
	ck_assert_int_eq(x_sysret(v, &i), EXEC_JUMP);
	ck_assert_uint_eq(v->rip, AT_CODE + 2);
	ck_assert_uint_eq(flags_get(v), 0x40243);
	ck_assert_uint_eq(v->cpl, 3);
	ck_assert_uint_eq(v->seg[SEG_CS].sel, 0x33);
	ck_assert_uint_eq(v->seg[SEG_CS].ar, 0xa0fb);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, 0x2b);
	ck_assert_uint_eq(v->seg[SEG_SS].ar, 0xc0f3);
	ck_fault(e, x_sysret(v, &i), VEC_GP, 0);
	env_long(e, 0);
	v->reg[RCX] = 0x800000000000;
	ck_fault(e, x_sysret(v, &i), VEC_GP, 0);
	i.opsize = 4; /* to compatibility mode */
	v->reg[RCX] = 0x1234567890;
	ck_assert_int_eq(x_sysret(v, &i), EXEC_JUMP);
	ck_assert_uint_eq(v->mode, MODE_COMPAT);
	ck_assert_uint_eq(v->rip, 0x34567890);
	ck_assert_uint_eq(v->seg[SEG_CS].ar, 0xc0fb);
	env_long(e, 3);
	v->efer &= ~EFER_SCE;
	ck_fault(e, x_syscall(v, &i), VEC_UD, 0);
	env_free(e);
}
END_TEST

START_TEST(test_sysenter)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = {.len = 2, .opsize = 4};

	env_prot(e, 3);
	v->rflags |= RFLAGS_IF;
	ck_fault(e, x_sysenter(v, &i), VEC_GP, 0);
	v->sysenter_cs = KCODE32;
	v->sysenter_eip = 0x12345;
	v->sysenter_esp = 0x8765;
	ck_assert_int_eq(x_sysenter(v, &i), EXEC_JUMP);
	ck_assert_uint_eq(v->cpl, 0);
	ck_assert_uint_eq(v->rip, 0x12345);
	ck_assert_uint_eq(v->reg[RSP], 0x8765);
	ck_assert_uint_eq(v->seg[SEG_CS].ar, 0xc09b);
	ck_assert(!(v->rflags & RFLAGS_IF));
	v->reg[RDX] = 0x1000;
	v->reg[RCX] = 0x2000;
	ck_assert_int_eq(x_sysexit(v, &i), EXEC_JUMP);
	ck_assert_uint_eq(v->cpl, 3);
	ck_assert_uint_eq(v->seg[SEG_CS].sel, (KCODE32 + 16) | 3);
	ck_assert_uint_eq(v->seg[SEG_SS].sel, (KCODE32 + 24) | 3);
	ck_assert_uint_eq(v->rip, 0x1000);
	env_long(e, 0);
	v->sysenter_cs = KCODE32;
	i.opsize = 8;
	v->reg[RDX] = 0x800000000000;
	ck_fault(e, x_sysexit(v, &i), VEC_GP, 0);
	v->reg[RDX] = 0x7fffffffffff;
	ck_assert_int_eq(x_sysexit(v, &i), EXEC_JUMP);
	ck_assert_uint_eq(v->seg[SEG_CS].sel, (KCODE32 + 32) | 3);
	ck_assert_uint_eq(v->mode, MODE_64);
	env_free(e);
}
END_TEST

START_TEST(test_swapgs)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = {.len = 3};

	env_long(e, 0);
	v->kernel_gs_base = 0xffff800000001000;
	v->seg[SEG_GS].base = 0x1234;
	ck_assert_int_eq(x_swapgs(v, &i), 0);
	ck_assert_uint_eq(v->seg[SEG_GS].base, 0xffff800000001000);
	ck_assert_uint_eq(v->segbase[SEG_GS], 0xffff800000001000);
	ck_assert_uint_eq(v->kernel_gs_base, 0x1234);
	env_free(e);
}
END_TEST

/* CPL, IOPL, VM86, the control bit; what CLI and STI then do. */
START_TEST(test_cli_sti)
{
	static const struct {
		u8 cpl, iopl;
		bool vm86;
		u64 cr4, changes; /* 0: #GP */
	} c[] = {
		{0, 0, false, 0, RFLAGS_IF}, {3, 3, false, 0, RFLAGS_IF},
		{3, 0, false, 0, 0},	     {3, 0, false, CR4_PVI, RFLAGS_VIF},
		{3, 0, false, CR4_VME, 0},   {3, 3, true, 0, RFLAGS_IF},
		{3, 0, true, 0, 0},	     {3, 0, true, CR4_VME, RFLAGS_VIF},
		{3, 0, true, CR4_PVI, 0},
	};
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = {.len = 1};
	int r;

	if (c[_i].vm86)
		env_vm86(e, c[_i].iopl);
	else
		env_prot(e, c[_i].cpl);
	v->rflags = (v->rflags & RFLAGS_VM) | (u64)c[_i].iopl << 12 | RFLAGS_FIXED;
	v->cr4 |= c[_i].cr4;
	r = x_sti(v, &i);
	if (!c[_i].changes) {
		ck_fault(e, r, VEC_GP, 0);
		ck_fault(e, x_cli(v, &i), VEC_GP, 0);
	} else {
		ck_assert_uint_eq(v->rflags & (RFLAGS_IF | RFLAGS_VIF), c[_i].changes);
		ck_assert_uint_eq(v->shadow, c[_i].changes == RFLAGS_IF ? SHADOW_STI : 0);
		v->rflags |= RFLAGS_IF | RFLAGS_VIF;
		ck_assert_int_eq(x_cli(v, &i), 0);
		ck_assert_uint_eq(v->rflags & (RFLAGS_IF | RFLAGS_VIF),
				  (RFLAGS_IF | RFLAGS_VIF) & ~c[_i].changes);
		v->rflags |= RFLAGS_VIP;
		if (c[_i].changes == RFLAGS_VIF)
			ck_fault(e, x_sti(v, &i), VEC_GP, 0);
	}
	env_free(e);
}
END_TEST

START_TEST(test_sti_shadow)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = {.len = 1};

	env_long(e, 0);
	v->rflags |= RFLAGS_IF;
	ck_assert_int_eq(x_sti(v, &i), EXEC_NEXT);
	ck_assert_uint_eq(v->shadow, 0); /* IF was set already */
	v->rflags &= ~RFLAGS_IF;
	v->recheck = false;
	v->intr_waiting = true;
	ck_assert_int_eq(x_sti(v, &i), EXEC_LEAVE);
	ck_assert_uint_eq(v->shadow, SHADOW_STI);
	env_free(e);
}
END_TEST

static int popf(struct env *e, unsigned opsize, u64 image)
{
	struct insn i = {.opsize = (u8)opsize, .len = 1};

	env_push(e, opsize, image);
	return x_popf(e->v, &i);
}

START_TEST(test_popf)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	const u64 all = 0x3f7fd7;

	env_long(e, 0);
	v->recheck = false;
	ck_assert_int_eq(popf(e, 8, all), EXEC_LEAVE); /* TF */
	ck_assert_uint_eq(flags_get(v), 0x247fd7);
	ck_assert_uint_eq(v->reg[RSP], AT_KSTACK);
	env_long(e, 3);
	ck_assert_int_eq(popf(e, 8, all & ~RFLAGS_TF), EXEC_NEXT);
	ck_assert_uint_eq(flags_get(v), 0x244cd7); /* no IF, no IOPL */
	env_prot(e, 3);
	v->rflags |= RFLAGS_IOPL;
	v->recheck = false;
	v->intr_waiting = true;
	ck_assert_int_eq(popf(e, 2, 0x0202), EXEC_LEAVE);
	ck_assert_uint_eq(flags_get(v), 0x3202);
	env_vm86(e, 0);
	ck_assert_int_eq(popf(e, 2, 0x202), EXEC_FAULT);
	v->cr4 |= CR4_VME;
	ck_assert_int_eq(popf(e, 2, 0x202), EXEC_NEXT);
	ck_assert_uint_eq(flags_get(v), RFLAGS_VM | RFLAGS_VIF | 2);
	ck_fault(e, popf(e, 2, RFLAGS_TF), VEC_GP, 0);
	ck_fault(e, popf(e, 4, 2), VEC_GP, 0);
	v->rflags |= RFLAGS_VIP;
	ck_fault(e, popf(e, 2, RFLAGS_IF), VEC_GP, 0);
	env_free(e);
}
END_TEST

START_TEST(test_pushf)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = {.opsize = 8, .len = 1};

	env_long(e, 0);
	flags_set(v, 0x3d7fd7);
	ck_assert_int_eq(x_pushf(v, &i), 0);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 8, 8), 0x3c7fd7); /* RF reads as 0 */
	env_vm86(e, 0);
	i.opsize = 2;
	v->rflags |= RFLAGS_VIF;
	ck_fault(e, x_pushf(v, &i), VEC_GP, 0);
	v->cr4 |= CR4_VME;
	ck_assert_int_eq(x_pushf(v, &i), 0);
	ck_assert_uint_eq(env_peek(e, 0x1020 + 0x7fe, 2), 0x3202);
	env_free(e);
}
END_TEST

/* All 64 states of the arithmetic flags. */
START_TEST(test_flag_ops)
{
	static const u64 bit[] = {RFLAGS_CF, RFLAGS_PF, RFLAGS_AF, RFLAGS_ZF, RFLAGS_SF, RFLAGS_OF};
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = {.len = 1};

	env_long(e, 0);
	for (unsigned k = 0; k < 64; k++) {
		u64 f = 0;

		for (unsigned b = 0; b < 6; b++)
			f |= k >> b & 1 ? bit[b] : 0;
		flags_set_arith(v, f);
		ck_assert_int_eq(x_cmc(v, &i), 0);
		ck_assert_uint_eq(flags_arith(v), f ^ RFLAGS_CF);
		x_stc(v, &i);
		ck_assert_uint_eq(flags_arith(v), f | RFLAGS_CF);
		x_clc(v, &i);
		ck_assert_uint_eq(flags_arith(v), f & ~RFLAGS_CF);
		flags_set_arith(v, f);
		v->reg[RAX] = 0x1234;
		x_lahf(v, &i);
		ck_assert_uint_eq(v->reg[RAX], 0x34 | ((f & 0xd5) | 2) << 8);
		flags_set_arith(v, f & RFLAGS_OF);
		x_sahf(v, &i);
		ck_assert_uint_eq(flags_arith(v), f);
	}
	x_std(v, &i);
	ck_assert(v->rflags & RFLAGS_DF);
	x_cld(v, &i);
	ck_assert(!(v->rflags & RFLAGS_DF));
	env_free(e);
}
END_TEST

START_TEST(test_soft_interrupts)
{
	struct env *e = env_new();
	struct vcpu *v = e->v;
	struct insn i = mem_form(4, RAX, 0x6000);

	env_prot(e, 0);
	flags_set_arith(v, 0);
	ck_assert_int_eq(x_into(v, &i), EXEC_NEXT);
	flags_set_arith(v, RFLAGS_OF);
	ck_fault(e, x_into(v, &i), VEC_OF, 0);
	ck_assert_uint_eq(v->exc.type, EVENT_SW_EXC);
	ck_assert_uint_eq(v->exc.len, 3);
	ck_fault(e, x_int3(v, &i), VEC_BP, 0);
	ck_fault(e, x_int1(v, &i), VEC_DB, 0);
	ck_assert_uint_eq(v->exc.type, EVENT_PRIV_SW_EXC);
	env_poke(e, 0x6000, 4, (u32)-5);
	env_poke(e, 0x6004, 4, 5);
	v->reg[RAX] = (u32)-5;
	ck_assert_int_eq(x_bound(v, &i), EXEC_NEXT);
	v->reg[RAX] = (u32)-6;
	ck_fault(e, x_bound(v, &i), VEC_BR, 0);
	v->reg[RAX] = 6;
	ck_fault(e, x_bound(v, &i), VEC_BR, 0);
	env_free(e);
}
END_TEST

TCase *seg_ops_case(void)
{
	TCase *t = tcase_create("instructions");

	tcase_add_test(t, test_lar_lsl);
	tcase_add_test(t, test_verr_verw);
	tcase_add_test(t, test_arpl);
	tcase_add_test(t, test_sreg_moves);
	tcase_add_test(t, test_far_forms);
	tcase_add_test(t, test_far_loads);
	tcase_add_test(t, test_tables);
	tcase_add_test(t, test_lldt_ltr);
	tcase_add_test(t, test_syscall);
	tcase_add_test(t, test_sysenter);
	tcase_add_test(t, test_swapgs);
	tcase_add_loop_test(t, test_cli_sti, 0, 9);
	tcase_add_test(t, test_sti_shadow);
	tcase_add_test(t, test_popf);
	tcase_add_test(t, test_pushf);
	tcase_add_test(t, test_flag_ops);
	tcase_add_test(t, test_soft_interrupts);
	return t;
}
