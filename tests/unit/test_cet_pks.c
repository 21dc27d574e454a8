/*
 * Supervisor protection keys as instructions see them: CR4.PKS, IA32_PKRS, and that what the TLB
 * holds follows a new value at once. The walk's rules are in test_mmu.c.
 */
#include "tests/unit/test_seg.h"

#define PKRS 0x6e1
#define PAGE_AT 0x180000

static struct env *e;

static void setup(void)
{
	e = env_new();
	env_long(e, 0);
	/* the first 2 MBytes as a supervisor's 4-KByte pages; PAGE_AT has key 5 */
	env_poke(e, AT_PAGES + 0x2000, 8, 0x20000 | 3);
	for (u64 k = 0; k < 512; k++)
		env_poke(e, 0x20000 + 8 * k, 8, k << 12 | 3);
	env_poke(e, 0x20000 + 8 * (PAGE_AT >> 12), 8, PAGE_AT | 3 | 5ull << 59);
}

static void teardown(void)
{
	env_free(e);
}

static int load(void)
{
	u64 value;

	return mem_read(e->v, SEG_DS, PAGE_AT, 8, &value);
}

static int store(void)
{
	return mem_write(e->v, SEG_DS, PAGE_AT, 8, 1);
}

START_TEST(msr_and_cr4)
{
	u64 value = 1;

	ck_assert(msr_read(e->v, PKRS, &value));
	ck_assert_uint_eq(value, 0);
	ck_assert(!msr_write(e->v, PKRS, BIT(32)));
	ck_assert(msr_write(e->v, PKRS, 0xffffffff));
	ck_assert(msr_read(e->v, PKRS, &value));
	ck_assert_uint_eq(value, 0xffffffff);
	ck_assert_int_eq(cr4_write(e->v, CR4_PAE | CR4_PKS), 0);
	e->model.features[FEAT_PKS / 64] &= ~BIT(FEAT_PKS % 64);
	ck_fault(e, cr4_write(e->v, CR4_PAE | CR4_PKS), VEC_GP, 0);
	ck_assert(!msr_read(e->v, PKRS, &value));
	ck_assert(!msr_write(e->v, PKRS, 0));
}
END_TEST

START_TEST(rights_change_at_once)
{
	ck_assert_int_eq(store(), 0);
	ck_assert(msr_write(e->v, PKRS, 1 << 10));
	ck_assert_int_eq(store(), 0); /* CR4.PKS = 0 */
	ck_assert_int_eq(cr4_write(e->v, CR4_PAE | CR4_PKS), 0);
	ck_fault(e, load(), VEC_PF, 0x21);
	ck_assert(msr_write(e->v, PKRS, 2 << 10));
	ck_assert_int_eq(load(), 0);
	ck_fault(e, store(), VEC_PF, 0x23);
	ck_assert(msr_write(e->v, PKRS, 0));
	ck_assert_int_eq(store(), 0);
	ck_assert(msr_write(e->v, PKRS, 2 << 10));
	ck_fault(e, store(), VEC_PF, 0x23);
	ck_assert(msr_write(e->v, PKRS, 3 << 8)); /* another key's rights */
	ck_assert_int_eq(store(), 0);
}
END_TEST

/* PKRU has no say over a supervisor-mode address. */
START_TEST(keys_are_apart)
{
	ck_assert_int_eq(cr4_write(e->v, CR4_PAE | CR4_PKE), 0);
	pkru_set(e->v, 3 << 10);
	ck_assert_int_eq(store(), 0);
	ck_assert_int_eq(cr4_write(e->v, CR4_PAE | CR4_PKE | CR4_PKS), 0);
	ck_assert_int_eq(store(), 0);
	ck_assert(msr_write(e->v, PKRS, 1 << 10));
	ck_fault(e, load(), VEC_PF, 0x21);
}
END_TEST

Suite *pks_suite(void);

Suite *pks_suite(void)
{
	Suite *s = suite_create("pks");
	TCase *t = tcase_create("supervisor protection keys");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, msr_and_cr4);
	tcase_add_test(t, rights_change_at_once);
	tcase_add_test(t, keys_are_apart);
	suite_add_tcase(s, t);
	return s;
}
