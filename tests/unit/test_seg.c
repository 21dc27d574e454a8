/*
 * Segment loading, rights, limits and the stack. Expected results are those of the SDM's Operation
 * sections and of "Protection".
 */
#include <stdlib.h>

#include "tests/unit/test_seg.h"

#define OK 0

struct load_case {
	u8 seg, cpl;
	u16 sel;
	u8 vector; /* OK: loads */
	u32 error;
};

static const struct load_case load_cases[] = {
	{SEG_DS, 0, KDATA, OK, 0},
	{SEG_DS, 3, KDATA, VEC_GP, KDATA},
	{SEG_DS, 3, UDATA, OK, 0},
	{SEG_DS, 0, UDATA, OK, 0},
	{SEG_DS, 0, KDATA | 3, VEC_GP, KDATA}, /* RPL above DPL */
	{SEG_ES, 3, CONFORMING, OK, 0},	       /* DPL 0, but conforming and readable */
	{SEG_ES, 0, EXEC_ONLY, VEC_GP, EXEC_ONLY},
	{SEG_ES, 0, KCODE32, OK, 0},
	{SEG_ES, 3, KCODE32, VEC_GP, KCODE32},
	{SEG_FS, 0, READ_ONLY, OK, 0},
	{SEG_FS, 0, ABSENT_DATA, VEC_NP, ABSENT_DATA},
	{SEG_FS, 3, ABSENT_DATA, VEC_GP, ABSENT_DATA}, /* rights come before presence */
	{SEG_GS, 0, SEL_TSS, VEC_GP, SEL_TSS},
	{SEG_GS, 0, BEYOND, VEC_GP, BEYOND},
	{SEG_GS, 0, BEYOND | 4 | 3, VEC_GP, BEYOND | 4}, /* no such LDT entry either */
	{SEG_GS, 0, 0, OK, 0},
	{SEG_GS, 3, 3, OK, 0}, /* null, RPL does not matter */
	{SEG_SS, 0, KDATA, OK, 0},
	{SEG_SS, 0, 0, VEC_GP, 0},
	{SEG_SS, 0, UDATA, VEC_GP, UDATA & ~3},
	{SEG_SS, 0, KDATA | 1, VEC_GP, KDATA},
	{SEG_SS, 3, UDATA, OK, 0},
	{SEG_SS, 3, UDATA & ~3, VEC_GP, UDATA & ~3},
	{SEG_SS, 0, READ_ONLY, VEC_GP, READ_ONLY},
	{SEG_SS, 0, KCODE32, VEC_GP, KCODE32},
	{SEG_SS, 0, ABSENT_DATA, VEC_SS, ABSENT_DATA},
};

START_TEST(test_load)
{
	const struct load_case *c = &load_cases[_i];
	struct env *e = env_new();
	struct frozen before;
	int r;

	env_prot(e, c->cpl);
	env_freeze(e, &before);
	r = seg_load(e->v, c->seg, c->sel);
	if (c->vector != OK) {
		ck_fault(e, r, c->vector, c->error);
		env_same(e, &before);
	} else {
		ck_assert_int_eq(r, 0);
		ck_assert_uint_eq(e->v->seg[c->seg].sel, c->sel);
		ck_assert(sel_is_null(c->sel) == !!(e->v->seg[c->seg].ar & AR_UNUSABLE));
		if (!sel_is_null(c->sel)) /* the accessed bit reached memory */
			ck_assert(env_peek(e, AT_GDT + (c->sel & 0xfff8u) + 5, 1) & AR_A);
	}
	env_free(e);
}
END_TEST

START_TEST(test_null_ss_64)
{
	struct env *e = env_new();

	env_long(e, 0);
	ck_assert_int_eq(seg_load(e->v, SEG_SS, 0), 0);
	ck_assert_uint_eq(e->v->seg[SEG_SS].ar & AR_UNUSABLE, AR_UNUSABLE);
	ck_fault(e, seg_load(e->v, SEG_SS, 1), VEC_GP, 0);
	env_long(e, 3);
	ck_fault(e, seg_load(e->v, SEG_SS, 3), VEC_GP, 0);
	env_compat(e, 0);
	ck_fault(e, seg_load(e->v, SEG_SS, 0), VEC_GP, 0);
	env_free(e);
}
END_TEST

START_TEST(test_descriptor_decode)
{
	struct seg s;

	seg_from_descriptor(&s, 0x1234, 0x12cf93345678ffffull);
	ck_assert_uint_eq(s.base, 0x12345678);
	ck_assert_uint_eq(s.limit, 0xffffffff);
	ck_assert_uint_eq(s.ar, 0xc093);
	seg_from_descriptor(&s, 8, 0x000f92000000abcdull);
	ck_assert_uint_eq(s.limit, 0xfabcd);
	ck_assert_uint_eq(s.ar, 0x92);
}
END_TEST

START_TEST(test_ldt)
{
	struct env *e = env_new();

	env_prot(e, 0);
	env_poke(e, AT_LDT + 8, 8, env_desc(0x5000, 0xfff, AR_P | AR_S | AR_RW));
	ck_assert_int_eq(seg_load(e->v, SEG_FS, 0x0c), 0);
	ck_assert_uint_eq(e->v->seg[SEG_FS].base, 0x5000);
	e->v->seg[SEG_LDTR].ar |= AR_UNUSABLE;
	ck_fault(e, seg_load(e->v, SEG_FS, 0x0c), VEC_GP, 0x0c);
	env_free(e);
}
END_TEST

static void check_access(struct env *e, unsigned seg, u64 off, unsigned n, bool write, int vector)
{
	u64 laddr;
	int r = seg_to_laddr(e->v, seg, off, n, write, &laddr);

	if (vector)
		ck_fault(e, r, vector, 0);
	else
		ck_assert_int_eq(r, 0);
}

START_TEST(test_limits)
{
	struct env *e = env_new();
	u64 laddr;

	env_prot(e, 0);
	ck_assert_int_eq(seg_load(e->v, SEG_DS, KDATA16), 0);
	check_access(e, SEG_DS, 0xfffc, 4, true, 0);
	check_access(e, SEG_DS, 0xfffd, 4, true, VEC_GP);
	check_access(e, SEG_DS, 0x10000, 1, false, VEC_GP);
	ck_assert_int_eq(seg_load(e->v, SEG_SS, EXPAND_DOWN), 0);
	check_access(e, SEG_SS, 0x1fff, 1, true, VEC_SS);
	check_access(e, SEG_SS, 0x2000, 1, true, 0);
	check_access(e, SEG_SS, 0xfffe, 2, true, 0);
	check_access(e, SEG_SS, 0xffff, 2, true, VEC_SS);
	ck_assert_int_eq(seg_load(e->v, SEG_ES, READ_ONLY), 0);
	check_access(e, SEG_ES, 0, 4, false, 0);
	check_access(e, SEG_ES, 0, 4, true, VEC_GP);
	check_access(e, SEG_CS, 0, 4, true, VEC_GP);
	check_access(e, SEG_ES, 0xfffffffe, 4, false, VEC_GP);
	ck_assert_int_eq(seg_load(e->v, SEG_ES, 0), 0);
	check_access(e, SEG_ES, 0, 1, false, VEC_GP);
	/* base and offset wrap at 4 GBytes */
	e->v->seg[SEG_FS].base = 0xfffff000;
	ck_assert_int_eq(seg_to_laddr(e->v, SEG_FS, 0x2000, 1, false, &laddr), 0);
	ck_assert_uint_eq(laddr, 0x1000);
	env_free(e);
}
END_TEST

START_TEST(test_canonical)
{
	struct env *e = env_new();
	u64 laddr;

	env_long(e, 0);
	e->v->seg[SEG_FS].base = 0x1000;
	ck_assert_int_eq(seg_to_laddr(e->v, SEG_FS, 0x20, 8, true, &laddr), 0);
	ck_assert_uint_eq(laddr, 0x1020);
	e->v->seg[SEG_DS].base = 0x1000; /* counts for nothing here */
	ck_assert_int_eq(seg_to_laddr(e->v, SEG_DS, 0x20, 8, true, &laddr), 0);
	ck_assert_uint_eq(laddr, 0x20);
	check_access(e, SEG_DS, 0x7ffffffffff8, 8, true, 0);
	check_access(e, SEG_DS, 0x7ffffffffff9, 8, true, VEC_GP);
	check_access(e, SEG_SS, 0x800000000000, 8, true, VEC_SS);
	check_access(e, SEG_DS, 0xffff800000000000, 8, true, 0);
	e->v->cr4 |= CR4_LA57;
	vcpu_recompute(e->v);
	check_access(e, SEG_SS, 0x800000000000, 8, true, 0);
	env_free(e);
}
END_TEST

START_TEST(test_real)
{
	struct env *e = env_new();

	env_real(e);
	e->v->seg[SEG_DS].limit = 0xffffffff; /* left by protected mode */
	ck_assert_int_eq(seg_load(e->v, SEG_DS, 0x1234), 0);
	ck_assert_uint_eq(e->v->seg[SEG_DS].base, 0x12340);
	ck_assert_uint_eq(e->v->seg[SEG_DS].limit, 0xffffffff);
	check_access(e, SEG_CS, 0, 2, true, 0);
	check_access(e, SEG_ES, 0xffff, 2, true, VEC_GP);
	ck_assert(!e->v->exc.has_error);
	env_vm86(e, 0);
	ck_assert_uint_eq(e->v->seg[SEG_DS].limit, 0xffff);
	ck_assert_uint_eq(e->v->seg[SEG_DS].ar, 0xf3);
	env_free(e);
}
END_TEST

START_TEST(test_stack)
{
	struct env *e = env_new();
	u64 x;

	env_real(e);
	e->v->reg[RSP] = 0xabcd0000; /* only SP counts, and wraps */
	ck_assert_int_eq(stack_push(e->v, 2, 0x1122), 0);
	ck_assert_uint_eq(e->v->reg[RSP], 0xabcdfffe);
	ck_assert_uint_eq(env_peek(e, 0xfffe, 2), 0x1122);
	ck_assert_int_eq(stack_pop(e->v, 2, &x), 0);
	ck_assert_uint_eq(x, 0x1122);
	ck_assert_uint_eq(e->v->reg[RSP], 0xabcd0000);
	e->v->reg[RSP] = 1;
	ck_fault(e, stack_push(e->v, 2, 0), VEC_SS, 0);
	ck_assert_uint_eq(e->v->reg[RSP], 1);
	env_long(e, 0);
	ck_assert_uint_eq(stack_mask(e->v), ~0ull);
	ck_assert_int_eq(stack_push(e->v, 8, 0x8877665544332211), 0);
	ck_assert_uint_eq(env_peek(e, AT_KSTACK - 8, 8), 0x8877665544332211);
	env_free(e);
}
END_TEST

Suite *seg_suite(void)
{
	Suite *s = suite_create("seg");
	TCase *t = tcase_create("segments");

	tcase_add_loop_test(t, test_load, 0, ARRAY_SIZE(load_cases));
	tcase_add_test(t, test_null_ss_64);
	tcase_add_test(t, test_descriptor_decode);
	tcase_add_test(t, test_ldt);
	tcase_add_test(t, test_limits);
	tcase_add_test(t, test_canonical);
	tcase_add_test(t, test_real);
	tcase_add_test(t, test_stack);
	suite_add_tcase(s, t);
	suite_add_tcase(s, seg_far_case());
	suite_add_tcase(s, seg_event_case());
	suite_add_tcase(s, seg_task_case());
	suite_add_tcase(s, seg_ops_case());
	return s;
}
