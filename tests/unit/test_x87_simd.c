/*
 * SIMD floating point around the arithmetic, which tests/insn compares with the host: #XM and #UD,
 * what an unmasked exception leaves alone, alignment, upper halves, MMX transitions, and the bits of
 * RCPPS and RSQRTPS. SDM volume 1, "SIMD Floating-Point Exceptions".
 */
#include "cpu/fpu/softfloat.h"
#include "tests/unit/test_x87.h"

static void start(struct fp_env_test *t)
{
	struct vcpu *v = t->e->v;

	env_long(t->e, 0);
	v->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	v->xcr0 = 7;
	vcpu_recompute(v);
	v->mxcsr = 0x1f80;
	v->reg[RBX] = AT_AREA;
	for (unsigned k = 0; k < 16; k++)
		for (unsigned q = 0; q < 4; q++)
			v->ymm[k].q[q] = 0x3ff0000000000000ull + 16 * k + q;
}

static const struct {
	u32 mxcsr, cr4;
	u8 vector;
	u32 flags;
} divisions[] = {
	{0x1f80, CR4_OSXMMEXCPT, 0, FP_ZE | FP_PE},
	{0x1d80, CR4_OSXMMEXCPT, VEC_XM,
	 FP_ZE}, /* before computation: the other lane's PE is not seen */
	{0x1d80, 0, VEC_UD, FP_ZE},
	{0x0f80, CR4_OSXMMEXCPT, VEC_XM, FP_ZE | FP_PE},
	{0x1d84, CR4_OSXMMEXCPT, VEC_XM, FP_ZE}, /* sticky already: raised again */
};

START_TEST(unmasked_exceptions)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;
	union vreg before;
	int r;

	start(&t);
	v->cr4 = (v->cr4 & ~CR4_OSXMMEXCPT) | divisions[_i].cr4;
	v->mxcsr = divisions[_i].mxcsr;
	v->ymm[2].q[0] = 0;			/* 1 / 0 */
	v->ymm[2].q[1] = 0x401c000000000000ull; /* by 7 */
	before = v->ymm[1];
	r = RUN(&t, 0x66, 0x0f, 0x5e, 0xca); /* DIVPD xmm1, xmm2 */
	ck_assert_uint_eq(v->mxcsr & 0x3f, divisions[_i].flags);
	ck_assert_uint_eq(v->exc.vector, divisions[_i].vector);
	ck_assert_int_eq(r, divisions[_i].vector ? EXEC_FAULT : EXEC_NEXT);
	if (r)
		ck_assert_mem_eq(&v->ymm[1], &before, sizeof(before));
	else
		ck_assert_uint_eq(v->ymm[1].q[0], 0x7ff0000000000000ull);
	fp_test_free(&t);
}
END_TEST

/* A sticky flag whose mask was cleared later is no exception by itself. */
START_TEST(old_flags_do_not_fault)
{
	struct fp_env_test t = fp_test_new();

	start(&t);
	t.e->v->mxcsr = 0x0fa0;
	ck_assert_int_eq(RUN(&t, 0xf2, 0x0f, 0x58, 0xc9), EXEC_NEXT);  /* ADDSD xmm1, xmm1: exact */
	ck_assert_int_eq(RUN(&t, 0xf2, 0x0f, 0x5e, 0xca), EXEC_FAULT); /* DIVSD: inexact */
	ck_assert_uint_eq(t.e->v->exc.vector, VEC_XM);
	fp_test_free(&t);
}
END_TEST

START_TEST(comparison_that_faults_keeps_flags)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;
	u64 before;

	start(&t);
	flags_set(v, RFLAGS_FIXED | RFLAGS_ARITH);
	before = flags_get(v);
	v->ymm[2].q[0] = 0x7ff8000000000000ull;
	ck_assert_int_eq(RUN(&t, 0x66, 0x0f, 0x2e, 0xca), EXEC_NEXT); /* UCOMISD: quiet */
	ck_assert_uint_eq(flags_get(v) & RFLAGS_ARITH, RFLAGS_ZF | RFLAGS_PF | RFLAGS_CF);
	flags_set(v, before);
	v->mxcsr = 0x1f00;
	ck_assert_int_eq(RUN(&t, 0x66, 0x0f, 0x2f, 0xca), EXEC_FAULT); /* COMISD signals */
	ck_assert_uint_eq(flags_get(v), before);
	fp_test_free(&t);
}
END_TEST

START_TEST(alignment_and_upper_halves)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;
	u64 high;

	start(&t);
	high = v->ymm[1].q[3];
	v->reg[RBX] = AT_AREA + 8;
	ck_fault(t.e, RUN(&t, 0x0f, 0x58, 0x0b), VEC_GP, 0);	      /* ADDPS xmm1, [rbx] */
	ck_assert_int_eq(RUN(&t, 0xf3, 0x0f, 0x58, 0x0b), EXEC_NEXT); /* ADDSS */
	ck_assert_uint_eq(v->ymm[1].q[3], high);
	ck_assert_int_eq(RUN(&t, 0xc5, 0xf0, 0x58, 0x0b), EXEC_NEXT); /* VADDPS xmm1 */
	ck_assert_uint_eq(v->ymm[1].q[2] | v->ymm[1].q[3], 0);
	v->ymm[1].q[3] = high;
	ck_assert_int_eq(RUN(&t, 0xc5, 0xeb, 0x58, 0xcb), EXEC_NEXT); /* VADDSD xmm1, xmm2, xmm3 */
	ck_assert_uint_eq(v->ymm[1].q[1], v->ymm[2].q[1]);
	ck_assert_uint_eq(v->ymm[1].q[3], 0);
	fp_test_free(&t);
}
END_TEST

/* CVTPI2PS leaves x87 for MMX with a register source only, CVTPS2PI always. */
START_TEST(mmx_transitions)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;

	start(&t);
	v->x87 = (struct x87){.fcw = 0x37f, .fsw = 0x2800};
	env_poke(t.e, AT_AREA, 8, 0xfffffffe00000003ull);
	ck_assert_int_eq(RUN(&t, 0x0f, 0x2a, 0x0b), EXEC_NEXT);
	ck_assert_uint_eq(v->ymm[1].q[0], 0xc000000040400000ull);
	ck_assert_uint_eq(v->x87.fsw, 0x2800);
	ck_assert_int_eq(RUN(&t, 0x0f, 0x2d, 0xd9), EXEC_NEXT); /* CVTPS2PI mm3, xmm1 */
	ck_assert_uint_eq(v->x87.st[3].sig, 0xfffffffe00000003ull);
	ck_assert_uint_eq(v->x87.st[3].se, 0xffff);
	ck_assert_uint_eq(v->x87.fsw, 0);
	ck_assert_uint_eq(v->x87.tag_valid, 0xff);
	v->x87 = (struct x87){.fcw = 0x37e, .fsw = 0x8081};
	ck_fault(t.e, RUN(&t, 0x0f, 0x2a, 0xcb), VEC_MF, 0);
	ck_assert_int_eq(RUN(&t, 0x0f, 0x2a, 0x0b), EXEC_NEXT);
	fp_test_free(&t);
}
END_TEST

/* Measured on an Intel Xeon (family 6, Sapphire Rapids). */
static const struct {
	u32 x, rcp, rsqrt;
} approximations[] = {
	{0x00000000, 0x7f800000, 0x7f800000}, {0x80000001, 0xff800000, 0xff800000},
	{0x007fffff, 0x7f800000, 0x7f800000}, {0x00800000, 0x7e7ff000, 0x5efff000},
	{0x3f800000, 0x3f7ff000, 0x3f7ff000}, {0x3f80a000, 0x3f7eb000, 0x3f7f5000},
	{0x3f810000, 0x3f7df800, 0x3f7ef000}, {0x7e7fffff, 0x00800800, 0x20000800},
	{0x7e800000, 0x00000000, 0x1ffff000}, {0x7f000000, 0x00000000, 0x1fb4f800},
	{0x7f7fffff, 0x00000000, 0x1f800800}, {0x7f800000, 0x00000000, 0x00000000},
	{0xff800000, 0x80000000, 0xffc00000}, {0x7f800001, 0x7fc00001, 0x7fc00001},
	{0xbf800000, 0xbf7ff000, 0xffc00000},
};

START_TEST(reciprocals)
{
	struct fp_env_test t = fp_test_new();
	struct vcpu *v = t.e->v;

	start(&t);
	v->mxcsr = 0; /* raises nothing, whatever is unmasked */
	v->ymm[2].d[0] = approximations[_i].x;
	ck_assert_int_eq(RUN(&t, 0xf3, 0x0f, 0x53, 0xca), EXEC_NEXT);
	ck_assert_uint_eq(v->ymm[1].d[0], approximations[_i].rcp);
	ck_assert_int_eq(RUN(&t, 0xf3, 0x0f, 0x52, 0xca), EXEC_NEXT);
	ck_assert_uint_eq(v->ymm[1].d[0], approximations[_i].rsqrt);
	ck_assert_uint_eq(v->mxcsr, 0);
	fp_test_free(&t);
}
END_TEST

TCase *x87_simd_case(void)
{
	TCase *tc = tcase_create("simd");

	tcase_add_loop_test(tc, unmasked_exceptions, 0, (int)ARRAY_SIZE(divisions));
	tcase_add_test(tc, old_flags_do_not_fault);
	tcase_add_test(tc, comparison_that_faults_keeps_flags);
	tcase_add_test(tc, alignment_and_upper_halves);
	tcase_add_test(tc, mmx_transitions);
	tcase_add_loop_test(tc, reciprocals, 0, (int)ARRAY_SIZE(approximations));
	return tc;
}
