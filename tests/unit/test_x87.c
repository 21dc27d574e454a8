/*
 * The x87 instructions around the arithmetic, which tests/insn compares with the host: images of the
 * environment in every mode, #NM and #MF, pointers, faulting stores, stack faults. SDM volume 1,
 * "x87 FPU Control Instructions", "x87 FPU Exception Handling".
 */
#include <stdlib.h>

#include "cpu/check.h"
#include "cpu/x87_internal.h"
#include "tests/unit/test_x87.h"

struct fp_env_test fp_test_new(void)
{
	struct fp_env_test t = {.e = env_new()};

	t.decoder = decoder_new(&t.e->model);
	ck_assert_ptr_nonnull(t.decoder);
	return t;
}

void fp_test_free(struct fp_env_test *t)
{
	decoder_free(t->decoder);
	env_free(t->e);
}

int fp_test_run(struct fp_env_test *t, const u8 *bytes, unsigned n)
{
	struct vcpu *v = t->e->v;
	unsigned bits = v->mode == MODE_64 ? 64 : v->seg[SEG_CS].ar & AR_DB ? 32 : 16;
	u8 code[INSN_MAX_LEN] = {0};
	struct insn i;
	int r;

	memcpy(code, bytes, n);
	ck_assert_int_eq(decode(t->decoder, bits, code, INSN_MAX_LEN, &i), DECODE_OK);
	ck_assert_uint_eq(i.len, n);
	v->exc = (struct event){0};
	r = insn_check(v, &i);
	return r ? r : i.exec(v, &i);
}

static void set_mode(struct env *e, unsigned mode)
{
	switch (mode) {
	case MODE_REAL:
		env_real(e);
		break;
	case MODE_VM86:
		env_vm86(e, 0);
		e->v->seg[SEG_DS].base = 0;
		break;
	case MODE_PROT:
		env_prot(e, 0);
		break;
	default:
		env_long(e, 0);
	}
	e->v->reg[RBX] = AT_AREA;
}

static void known_state(struct vcpu *v)
{
	v->x87 = (struct x87){.fcw = 0x137f,
			      .fsw = 0x1a05,
			      .tag_valid = 0x9c,
			      .fop = 0x5a5,
			      .fip = 0x12345678,
			      .fdp = 0x9abcdef0};
	for (unsigned k = 0; k < 8; k++)
		v->x87.st[k] = (struct f80_reg){.sig = BIT(63) | k, .se = (u16)(0x3fff + k)};
	v->x87.st[3] = (struct f80_reg){0};			       /* zero */
	v->x87.st[7] = (struct f80_reg){.sig = BIT(63), .se = 0xffff}; /* special */
}

/* Tags of physical registers 7 to 0: special, empty, empty, valid, zero, valid, empty, empty. */
#define TAGS 0xbc4fu

static const struct {
	u8 mode, opsize;
	u32 word[7];
} images[] = {
	{MODE_PROT,
	 4,
	 {0xffff137f, 0xffff1a05, 0xffff0000 | TAGS, 0x12345678, 0x05a50000, 0x9abcdef0,
	  0xffff0000}},
	{MODE_64,
	 4,
	 {0xffff137f, 0xffff1a05, 0xffff0000 | TAGS, 0x12345678, 0x05a50000, 0x9abcdef0,
	  0xffff0000}},
	{MODE_PROT, 2, {0x137f, 0x1a05, TAGS, 0x5678, 0, 0xdef0, 0}},
	{MODE_64, 2, {0x137f, 0x1a05, TAGS, 0x5678, 0, 0xdef0, 0}},
	{MODE_REAL,
	 4,
	 {0xffff137f, 0xffff1a05, 0xffff0000 | TAGS, 0x5678, 0x012345a5, 0xdef0, 0x09abc000}},
	{MODE_REAL, 2, {0x137f, 0x1a05, TAGS, 0x5678, 0x45a5, 0xdef0, 0xc000}},
	{MODE_VM86, 2, {0x137f, 0x1a05, TAGS, 0x5678, 0x45a5, 0xdef0, 0xc000}},
};

/* op /6 of D9 or DD at [BX], [EBX] or [RBX] with the operand size asked for; reg: 4 loads. */
static int run_env(struct fp_env_test *t, unsigned opsize, u8 op, u8 reg)
{
	bool sixteen = t->e->v->mode == MODE_REAL || t->e->v->mode == MODE_VM86;
	u8 modrm = (u8)(reg << 3 | (sixteen ? 7 : 3));

	if (sixteen == (opsize == 2))
		return RUN(t, op, modrm);
	return RUN(t, 0x66, op, modrm);
}

START_TEST(environment_image)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;
	unsigned w = images[_i].opsize;

	set_mode(t.e, images[_i].mode);
	known_state(v);
	ck_assert_int_eq(run_env(&t, w, 0xd9, 6), EXEC_NEXT);
	for (unsigned k = 0; k < 7; k++)
		ck_assert_msg(env_peek(t.e, AT_AREA + k * w, w) == images[_i].word[k],
			      "word %u is %08llx", k,
			      (unsigned long long)env_peek(t.e, AT_AREA + k * w, w));
	ck_assert_uint_eq(v->x87.fcw, 0x137f | 0x3f);
	fp_test_free(&t);
}
END_TEST

START_TEST(save_and_restore)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;
	unsigned w = images[_i].opsize;
	struct x87 before;

	set_mode(t.e, images[_i].mode);
	known_state(v);
	before = v->x87;
	ck_assert_int_eq(run_env(&t, w, 0xdd, 6), EXEC_NEXT);
	ck_assert_uint_eq(v->x87.fcw, 0x37f);
	ck_assert_uint_eq(v->x87.fsw, 0);
	ck_assert_uint_eq(v->x87.tag_valid, 0);
	/* ST(0) is physical register 3 */
	ck_assert_uint_eq(env_peek(t.e, AT_AREA + 7 * w + 10, 8), before.st[4].sig);
	memset(v->x87.st, 0, sizeof(v->x87.st));
	ck_assert_int_eq(run_env(&t, w, 0xdd, 4), EXEC_NEXT);
	ck_assert_uint_eq(v->x87.fcw, before.fcw);
	ck_assert_uint_eq(v->x87.fsw, before.fsw);
	ck_assert_uint_eq(v->x87.tag_valid, before.tag_valid);
	for (unsigned k = 0; k < 8; k++) {
		ck_assert_uint_eq(v->x87.st[k].sig, before.st[k].sig);
		ck_assert_uint_eq(v->x87.st[k].se, before.st[k].se);
	}
	fp_test_free(&t);
}
END_TEST

/* Which of waiting, control and WAIT instructions fault; 0: none. */
static const struct {
	u32 cr0;
	bool pending;
	u8 fld1, fnstsw, fwait;
} traps[] = {
	{CR0_NE, false, 0, 0, 0},
	{CR0_NE | CR0_EM, false, VEC_NM, VEC_NM, 0},
	{CR0_NE | CR0_TS, false, VEC_NM, VEC_NM, 0},
	{CR0_NE | CR0_MP, false, 0, 0, 0},
	{CR0_NE | CR0_TS | CR0_MP, false, VEC_NM, VEC_NM, VEC_NM},
	{CR0_NE, true, VEC_MF, 0, VEC_MF},
	{CR0_NE | CR0_TS | CR0_MP, true, VEC_NM, VEC_NM, VEC_NM},
	{CR0_NE | CR0_EM, true, VEC_NM, VEC_NM, VEC_MF},
};

static void expect_trap(struct fp_env_test *t, int r, u8 vector)
{
	ck_assert_int_eq(r, vector ? EXEC_FAULT : EXEC_NEXT);
	ck_assert_uint_eq(t->e->v->exc.vector, vector);
}

START_TEST(device_not_available_and_pending)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;

	env_prot(t.e, 0);
	for (unsigned k = 0; k < ARRAY_SIZE(traps); k++) {
		RUN(&t, 0xdb, 0xe3); /* FNINIT; it may fault, hence the state below */
		v->x87 = (struct x87){.fcw = 0x37e, .fsw = traps[k].pending ? 0x8081 : 0};
		v->cr0 = CR0_PE | CR0_ET | traps[k].cr0;
		vcpu_recompute(v);
		expect_trap(&t, RUN(&t, 0x9b), traps[k].fwait);
		expect_trap(&t, RUN(&t, 0xdf, 0xe0), traps[k].fnstsw);
		expect_trap(&t, RUN(&t, 0xd9, 0xe8), traps[k].fld1);
	}
	fp_test_free(&t);
}
END_TEST

START_TEST(summary_follows_masks)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;

	set_mode(t.e, MODE_64);
	RUN(&t, 0xdb, 0xe3);
	RUN(&t, 0xd9, 0xe8);				  /* FLD1 */
	RUN(&t, 0xd9, 0xee);				  /* FLDZ */
	ck_assert_int_eq(RUN(&t, 0xde, 0xf9), EXEC_NEXT); /* FDIVP: 1 / 0 masked */
	ck_assert_uint_eq(v->x87.fsw & 0xff, FP_ZE);
	env_poke(t.e, AT_AREA, 2, 0x37b);
	ck_assert_int_eq(RUN(&t, 0xd9, 0x2b), EXEC_NEXT); /* FLDCW with ZM = 0 */
	ck_assert_uint_eq(v->x87.fsw & 0x80ff, FSW_B | FSW_ES | FP_ZE);
	ck_fault(t.e, RUN(&t, 0xd9, 0xe8), VEC_MF, 0);
	ck_assert_int_eq(RUN(&t, 0xdb, 0xe2), EXEC_NEXT); /* FNCLEX */
	ck_assert_uint_eq(v->x87.fsw & 0x80ff, 0);
	env_poke(t.e, AT_AREA, 2, 0xffff);
	RUN(&t, 0xd9, 0x2b);
	ck_assert_uint_eq(v->x87.fcw, 0x1f7f); /* reserved bits do not stick */
	fp_test_free(&t);
}
END_TEST

START_TEST(last_instruction_pointers)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;

	set_mode(t.e, MODE_64);
	RUN(&t, 0xdb, 0xe3);
	v->rip = 0x7123;
	RUN(&t, 0xd9, 0xe8);
	ck_assert_uint_eq(v->x87.fip, 0x7123);
	v->rip = 0x7200;
	env_poke(t.e, AT_AREA, 4, 0x7f800001); /* an SNaN */
	RUN(&t, 0xd8, 0x03);		       /* FADD m32, masked */
	ck_assert_uint_eq(v->x87.fip, 0x7200);
	ck_assert_uint_eq(v->x87.fdp, 0);
	ck_assert_uint_eq(v->x87.fop, 0);
	RUN(&t, 0xdb, 0xe2);
	v->x87.fcw &= (u16)~FP_IE;
	v->rip = 0x7300;
	RUN(&t, 0xd8, 0x03);
	ck_assert_uint_eq(v->x87.fip, 0x7300);
	ck_assert_uint_eq(v->x87.fdp, AT_AREA);
	ck_assert_uint_eq(v->x87.fop, 0x003);
	v->rip = 0x7400;
	RUN(&t, 0xdb, 0xe2); /* a control instruction */
	ck_assert_uint_eq(v->x87.fip, 0x7300);
	fp_test_free(&t);
}
END_TEST

static const struct {
	u8 op, modrm;
} stores[] = {
	{0xd9, 0x1b}, {0xdd, 0x1b}, {0xdb, 0x3b}, {0xdf, 0x1b}, {0xdb, 0x1b}, {0xdf, 0x3b},
	{0xdf, 0x0b}, {0xdd, 0x0b}, {0xdf, 0x33}, {0xd9, 0x33}, {0xdd, 0x33}, {0xd9, 0x23},
	{0xdd, 0x23}, {0xd9, 0x03}, {0xdb, 0x2b}, {0xd8, 0x03}, {0xdd, 0x3b}, {0xd9, 0x3b},
};

/* Loads and stores that fault change nothing, even when ST(0) makes them inexact. */
START_TEST(faulting_accesses_change_nothing)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;
	struct x87 before;

	set_mode(t.e, MODE_64);
	env_hole(t.e);
	v->reg[RBX] = AT_HOLE;
	known_state(v);
	v->x87.tag_valid = 0x7c; /* ST(7) is empty: room for a load */
	v->x87.st[3] = (struct f80_reg){.sig = BIT(63) | 1, .se = 0x4001};
	before = v->x87;
	ck_assert_int_eq(RUN(&t, stores[_i].op, stores[_i].modrm), EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_PF);
	ck_assert_uint_eq(v->exc.cr2, AT_HOLE);
	ck_assert_mem_eq(&v->x87, &before, sizeof(before));
	fp_test_free(&t);
}
END_TEST

START_TEST(stack_faults)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;
	struct f80 top;

	set_mode(t.e, MODE_64);
	RUN(&t, 0xdb, 0xe3);
	RUN(&t, 0xd9, 0xe0); /* FCHS of an empty register */
	top = x87_get(v, 0);
	ck_assert_uint_eq(top.se, 0xffff);
	ck_assert_uint_eq(top.sig, 0xc000000000000000ull);
	ck_assert_uint_eq(v->x87.fsw, FSW_SF | FP_IE); /* C1 = 0: underflow */
	RUN(&t, 0xdb, 0xe3);
	for (unsigned k = 0; k < 8; k++)
		RUN(&t, 0xd9, 0xe8);
	ck_assert_uint_eq(v->x87.fsw & 0x7f, 0);
	RUN(&t, 0xd9, 0xe8); /* a ninth */
	ck_assert_uint_eq(v->x87.fsw & (FSW_C1 | 0x7f), FSW_C1 | FSW_SF | FP_IE);
	ck_assert_uint_eq(v->x87.fsw & FSW_TOP, 7u << 11);
	ck_assert_uint_eq(x87_get(v, 0).sig, 0xc000000000000000ull);
	RUN(&t, 0xdb, 0xe2);
	v->x87.fcw &= (u16)~FP_IE;
	RUN(&t, 0xd9, 0xe8); /* unmasked: nothing is pushed */
	ck_assert_uint_eq(v->x87.fsw & FSW_TOP, 7u << 11);
	ck_assert_uint_eq(v->x87.fsw & FSW_ES, FSW_ES);
	fp_test_free(&t);
}
END_TEST

static TCase *x87_case(void)
{
	TCase *tc = tcase_create("x87");

	tcase_add_loop_test(tc, environment_image, 0, (int)ARRAY_SIZE(images));
	tcase_add_loop_test(tc, save_and_restore, 0, (int)ARRAY_SIZE(images));
	tcase_add_test(tc, device_not_available_and_pending);
	tcase_add_test(tc, summary_follows_masks);
	tcase_add_test(tc, last_instruction_pointers);
	tcase_add_loop_test(tc, faulting_accesses_change_nothing, 0, (int)ARRAY_SIZE(stores));
	tcase_add_test(tc, stack_faults);
	return tc;
}

Suite *x87_suite(void)
{
	Suite *suite = suite_create("x87");

	suite_add_tcase(suite, x87_case());
	suite_add_tcase(suite, x87_simd_case());
	return suite;
}
