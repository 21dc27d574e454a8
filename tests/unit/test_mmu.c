/*
 * Page walks and TLB contexts as tables of cases: every right of an EPT entry against every kind of
 * access, misconfigurations, accessed and dirty flags, the guest's own paging in front of EPT, and
 * what each invalidation drops and keeps.
 */
#include <check.h>
#include <string.h>

#include "base/bits.h"
#include "mmu/tlb.h"
#include "mmu/walk.h"

#define RAM (4u << 20)
#define EPT_ROOT 0x1000
#define EPT_PDPT 0x2000
#define EPT_PD 0x3000
#define EPT_PT 0x4000
#define CR3 0x10000
#define PDPT 0x11000
#define PD 0x12000
#define PT 0x13000
#define PAGE_GPA 0x20000
#define PAGE_HPA 0x80000

static struct physmem mem;
static struct tlb tlb;
static struct walk_env env;

static void put(u64 at, u64 value)
{
	store_le64(mem.ram + at, value);
}

static u64 get(u64 at)
{
	return load_le64(mem.ram + at);
}

/* EPT: the first 2 MiB by 4-KByte pages, identity but for PAGE_GPA. */
static void build_ept(void)
{
	put(EPT_ROOT, EPT_PDPT | 7);
	put(EPT_PDPT, EPT_PD | 7);
	put(EPT_PD, EPT_PT | 7);
	for (u64 k = 0; k < 512; k++)
		put(EPT_PT + 8 * k, k << 12 | 6 << 3 | 7);
	put(EPT_PT + 8 * (PAGE_GPA >> 12), PAGE_HPA | 6 << 3 | 7);
}

/* Paging: the first 2 MiB, user and writable, identity. */
static void build_paging(void)
{
	put(CR3, PDPT | 7);
	put(PDPT, PD | 7);
	put(PD, PT | 7);
	for (u64 k = 0; k < 512; k++)
		put(PT + 8 * k, k << 12 | 7);
}

static void setup(void)
{
	ck_assert(physmem_init(&mem, RAM));
	ck_assert(tlb_init(&tlb));
	env = (struct walk_env){.mem = &mem,
				.tlb = &tlb,
				.cr0 = 0x80010001,
				.cr3 = CR3,
				.cr4 = 0x20,
				.efer = 0xd00,
				.nx = true,
				.page1g = true,
				.ept_mode = EPT_EXEC_ONLY | EPT_PAGE_2M | EPT_PAGE_1G,
				.reserved_phys = (BIT(52) - 1) & ~(BIT(46) - 1)};
	build_ept();
	build_paging();
}

static void teardown(void)
{
	tlb_free(&tlb);
	physmem_free(&mem);
}

static void use_ept(bool ad)
{
	env.eptp = EPT_ROOT | 0x1e | (ad ? EPTP_AD : 0);
	env.ept_tag = ept_tag(env.eptp, env.ept_mode);
}

static void forget(void)
{
	tlb_flush_all(&tlb);
}

static enum walk_status data(u64 gpa, u8 access, struct walk_out *out)
{
	struct ept_in in = {.gpa = gpa, .access = access, .use = EPT_DATA};

	return ept_walk(&env, &in, out);
}

static u64 *ept_leaf(void)
{
	return (u64 *)(void *)(mem.ram + EPT_PT + 8 * (PAGE_GPA >> 12));
}

START_TEST(ept_rights)
{
	static const u8 access[] = {ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH,
				    ACCESS_READ | ACCESS_WRITE};
	struct walk_out out;

	use_ept(false);
	for (unsigned rights = 0; rights < 8; rights++)
		for (unsigned a = 0; a < ARRAY_SIZE(access); a++) {
			bool bad = rights == 2 || rights == 6; /* writable but not readable */
			enum walk_status want = bad ? WALK_EPT_MISCONFIG
						: (access[a] & rights) == access[a]
							? WALK_OK
							: WALK_EPT_VIOLATION;

			*ept_leaf() = PAGE_HPA | 6 << 3 | rights;
			forget();
			ck_assert_int_eq(data(PAGE_GPA + 5, access[a], &out), want);
			if (want == WALK_OK)
				ck_assert_uint_eq(out.paddr, PAGE_HPA + 5);
			if (want == WALK_EPT_VIOLATION) {
				ck_assert_uint_eq(out.gpa, PAGE_GPA + 5);
				ck_assert_uint_eq(out.qualification,
						  access[a] | rights << 3 | BIT(8) | BIT(7));
			}
		}
}
END_TEST

/* The rights of the levels above are combined into the leaf's. */
START_TEST(ept_rights_of_upper_levels)
{
	static const u64 at[] = {EPT_ROOT, EPT_PDPT, EPT_PD};
	struct walk_out out;

	use_ept(false);
	for (unsigned k = 0; k < ARRAY_SIZE(at); k++) {
		put(at[k], get(at[k]) & ~2ull);
		forget();
		ck_assert_int_eq(data(PAGE_GPA, ACCESS_READ, &out), WALK_OK);
		ck_assert_int_eq(data(PAGE_GPA, ACCESS_WRITE, &out), WALK_EPT_VIOLATION);
		ck_assert_uint_eq(out.qualification >> 3 & 7, 5);
		put(at[k], get(at[k]) | 2);
	}
}
END_TEST

START_TEST(ept_misconfigurations)
{
	static const struct {
		u64 at, entry;
		bool bad;
	} cases[] = {
		{EPT_PT + 8 * (PAGE_GPA >> 12), PAGE_HPA | 2 << 3 | 7, true},
		{EPT_PT + 8 * (PAGE_GPA >> 12), PAGE_HPA | 3 << 3 | 7, true},
		{EPT_PT + 8 * (PAGE_GPA >> 12), PAGE_HPA | 7 << 3 | 7, true},
		{EPT_PT + 8 * (PAGE_GPA >> 12), PAGE_HPA | 0 << 3 | 7, false},
		{EPT_PT + 8 * (PAGE_GPA >> 12), PAGE_HPA | 6 << 3 | 7 | BIT(46), true},
		{EPT_PT + 8 * (PAGE_GPA >> 12), PAGE_HPA | 6 << 3 | 7 | BIT(52), false},
		{EPT_PD, EPT_PT | 7 | 8, true},
		{EPT_PDPT, EPT_PD | 7 | 0x40, true},
		{EPT_ROOT, EPT_PDPT | 7 | 0x80, true},
		{EPT_PD, 0x00100000 | 6 << 3 | 0x87, true}, /* a 2-MByte page that is not aligned */
	};
	struct walk_out out;

	use_ept(false);
	for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
		u64 old = get(cases[k].at);

		put(cases[k].at, cases[k].entry);
		forget();
		ck_assert_int_eq(data(PAGE_GPA, ACCESS_READ, &out),
				 cases[k].bad ? WALK_EPT_MISCONFIG : WALK_OK);
		put(cases[k].at, old);
	}
	env.ept_mode &= ~(u32)EPT_EXEC_ONLY;
	*ept_leaf() = PAGE_HPA | 6 << 3 | 4;
	forget();
	ck_assert_int_eq(data(PAGE_GPA, ACCESS_FETCH, &out), WALK_EPT_MISCONFIG);
}
END_TEST

START_TEST(ept_accessed_dirty)
{
	struct walk_out out;

	use_ept(true);
	ck_assert_int_eq(data(PAGE_GPA, ACCESS_READ, &out), WALK_OK);
	ck_assert_uint_eq(*ept_leaf() & 0x300, 0x100);
	ck_assert(!out.writable);
	ck_assert_uint_eq(get(EPT_ROOT) & 0x100, 0x100);
	ck_assert_int_eq(data(PAGE_GPA, ACCESS_WRITE, &out), WALK_OK);
	ck_assert_uint_eq(*ept_leaf() & 0x300, 0x300);
	ck_assert(out.writable);
}
END_TEST

/* A loop in the tables just ends: the depth is fixed. */
START_TEST(ept_loop)
{
	struct walk_out out;

	use_ept(false);
	put(EPT_ROOT, EPT_ROOT | 7);
	forget();
	data(0, ACCESS_READ, &out);
	ck_assert_int_ne(out.status, WALK_PAGE_FAULT);
}
END_TEST

static enum walk_status page(u64 laddr, u8 access, bool user, struct walk_out *out)
{
	struct walk_in in = {.laddr = laddr, .access = access, .user = user};

	return paging_walk(&env, &in, out);
}

START_TEST(paging_through_ept)
{
	struct walk_out out;

	use_ept(false);
	ck_assert_int_eq(page(PAGE_GPA + 8, ACCESS_READ, true, &out), WALK_OK);
	ck_assert_uint_eq(out.paddr, PAGE_HPA + 8);
	ck_assert_uint_eq(out.gpa, PAGE_GPA + 8);
	/* the guest's accessed flag cannot be set through a read-only mapping */
	put(PT + 8 * (PAGE_GPA >> 12), PAGE_GPA | 7);
	put(EPT_PT + 8 * (PT >> 12), PT | 6 << 3 | 5);
	forget();
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_READ, true, &out), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.gpa & PAGE_MASK, PT);
	ck_assert_uint_eq(out.qualification & BIT(8), 0);
	/* with EPT accessed and dirty flags every access to a paging structure is a write */
	use_ept(true);
	put(EPT_PT + 8 * (PD >> 12), PD | 6 << 3 | 5);
	forget();
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_READ, true, &out), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification & 3, 3);
}
END_TEST

START_TEST(page_faults)
{
	static const struct {
		u64 clear, set; /* bits of the leaf */
		u8 access;
		bool user;
		u64 cr4;
		u32 error;
	} cases[] = {
		{1, 0, ACCESS_READ, false, 0, 0},
		{1, 0, ACCESS_WRITE, true, 0, 6},
		{2, 0, ACCESS_WRITE, true, 0, 7},
		{2, 0, ACCESS_WRITE, false, 0, 3},
		{4, 0, ACCESS_READ, true, 0, 5},
		{0, BIT(63), ACCESS_FETCH, true, 0, 0x15},
		{0, BIT(47), ACCESS_READ, true, 0, 13},
		{0, 0, ACCESS_FETCH, false, BIT(20), 0x11}, /* SMEP */
		{0, 0, ACCESS_READ, false, BIT(21), 1},	    /* SMAP */
	};
	struct walk_out out;
	u64 leaf = PT + 8 * (PAGE_GPA >> 12);

	for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
		put(leaf, ((PAGE_GPA | 7) & ~cases[k].clear) | cases[k].set);
		env.cr4 = 0x20 | cases[k].cr4;
		ck_assert_int_eq(page(PAGE_GPA, cases[k].access, cases[k].user, &out),
				 WALK_PAGE_FAULT);
		ck_assert_uint_eq(out.error_code, cases[k].error);
	}
	/* CR0.WP = 0: a supervisor writes read-only pages */
	env.cr4 = 0x20;
	env.cr0 &= ~BIT(16);
	put(leaf, PAGE_GPA | 5);
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_WRITE, false, &out), WALK_OK);
	ck_assert_uint_eq(get(leaf) & 0x60, 0x60);
}
END_TEST

START_TEST(protection_keys)
{
	struct walk_out out;
	u64 leaf = PT + 8 * (PAGE_GPA >> 12);

	env.cr4 = 0x20 | BIT(22);
	put(leaf, PAGE_GPA | 7 | 3ull << 59);
	env.pkru = 2 << 6; /* key 3: no writes */
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_READ, true, &out), WALK_OK);
	ck_assert(!out.writable);
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_WRITE, true, &out), WALK_PAGE_FAULT);
	ck_assert_uint_eq(out.error_code, 0x27);
	env.pkru = 1 << 6; /* no access */
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_READ, false, &out), WALK_PAGE_FAULT);
	ck_assert_uint_eq(out.error_code, 0x21);
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_FETCH, true, &out), WALK_OK);
}
END_TEST

/* IA32_PKRS rules supervisor-mode addresses and them only. */
START_TEST(supervisor_protection_keys)
{
	struct walk_out out;
	u64 leaf = PT + 8 * (PAGE_GPA >> 12);

	env.cr4 = 0x20 | BIT(24);
	put(leaf, PAGE_GPA | 3 | 3ull << 59);
	env.pkru = 1 << 6;
	env.pkrs = 2 << 6; /* key 3: no writes */
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_READ, false, &out), WALK_OK);
	ck_assert(!out.writable);
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_WRITE, false, &out), WALK_PAGE_FAULT);
	ck_assert_uint_eq(out.error_code, 0x23);
	env.cr0 &= ~BIT(16); /* CR0.WP = 0: write-disable says nothing */
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_WRITE, false, &out), WALK_OK);
	env.cr0 |= BIT(16);
	env.pkrs = 1 << 6; /* no access */
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_READ, false, &out), WALK_PAGE_FAULT);
	ck_assert_uint_eq(out.error_code, 0x21);
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_FETCH, false, &out), WALK_OK);
	put(leaf, PAGE_GPA | 7 | 3ull << 59); /* a user-mode address: PKRU's, which is off */
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_READ, false, &out), WALK_OK);
	put(leaf, PAGE_GPA | 3 | 3ull << 59);
	env.cr4 = 0x20; /* CR4.PKS = 0 */
	ck_assert_int_eq(page(PAGE_GPA, ACCESS_READ, false, &out), WALK_OK);
}
END_TEST

/* --- TLB contexts --- */

static void fill(u64 laddr, u8 info)
{
	tlb_fill_load(tlb_table(&tlb, TLB_SUPER), laddr, mem.ram, info);
}

static bool hit(u64 laddr)
{
	struct tlb_table *t = tlb_table(&tlb, TLB_SUPER);

	return (t->ld[(laddr >> PAGE_SHIFT) & (TLB_SIZE - 1)].tag ^ laddr) < PAGE_SIZE;
}

START_TEST(contexts_keep_their_entries)
{
	tlb_switch(&tlb, 0, 0, 0, 0, 0);
	fill(0x5000, 0);
	tlb_switch(&tlb, 1, EPT_ROOT | 0x1e, 0, 0, 0);
	ck_assert(!hit(0x5000));
	fill(0x6000, 0);
	tlb_switch(&tlb, 0, 0, 0, 0, 0);
	ck_assert(hit(0x5000) && !hit(0x6000));
	tlb_switch(&tlb, 1, EPT_ROOT | 0x1e, 0, 0, 0);
	ck_assert(hit(0x6000));
	/* every empty slot refuses every address of its own index */
	for (u64 k = 0; k < TLB_SIZE; k++)
		ck_assert(k == 6 || !hit(k << PAGE_SHIFT));
}
END_TEST

/* Other rights find none of the entries; an invalidation finds them whatever the rights. */
START_TEST(rights_are_contexts)
{
	tlb_switch(&tlb, 3, 0, 5, 0, 0);
	fill(0x5000, 0);
	tlb_switch(&tlb, 3, 0, 5, 0, 1);
	ck_assert(!hit(0x5000));
	tlb_switch(&tlb, 3, 0, 5, 1, 0);
	ck_assert(!hit(0x5000));
	tlb_switch(&tlb, 3, 0, 5, 0, 0);
	ck_assert(hit(0x5000));
	tlb_switch(&tlb, 3, 0, 5, 0, 1);
	tlb_flush_pcid(&tlb, 3, 5);
	tlb_switch(&tlb, 3, 0, 5, 0, 0);
	ck_assert(!hit(0x5000));
}
END_TEST

START_TEST(invalidations)
{
	u64 eptp = EPT_ROOT | 0x1e;

	tlb_switch(&tlb, 0, 0, 1, 0, 0);
	fill(0x5000, TLB_GLOBAL);
	fill(0x7000, 0);
	tlb_flush_pcid(&tlb, 0, 1);
	ck_assert(hit(0x5000) && !hit(0x7000));
	fill(0x7000, 0);
	tlb_flush_laddr(&tlb, 0, 1, 0x7000, true);
	ck_assert(hit(0x5000) && !hit(0x7000));
	tlb_flush_laddr(&tlb, 0, 1, 0x5000, false);
	ck_assert(hit(0x5000));
	tlb_flush_laddr(&tlb, 0, 1, 0x5000, true);
	ck_assert(!hit(0x5000));
	/* one address drops every 4-KByte piece of the large page around it */
	fill(0x200000, TLB_LARGE_2M);
	fill(0x3ff000, TLB_LARGE_2M);
	fill(0x400000, TLB_LARGE_2M);
	tlb_flush_laddr(&tlb, 0, 1, 0x2a5000, true);
	ck_assert(!hit(0x200000) && !hit(0x3ff000) && hit(0x400000));
	/* ... of each of many large pages, and of no other */
	for (u64 shift = 21; shift <= 30; shift += 9) {
		for (u64 n = 16; n < 116; n++)
			fill(n << shift | n << 12, shift == 21 ? TLB_LARGE_2M : TLB_LARGE_1G);
		for (u64 n = 16; n < 116; n++) {
			tlb_flush_laddr(&tlb, 0, 1, n << shift | 0x1ff123, true);
			ck_assert(!hit(n << shift | n << 12));
			ck_assert(n == 115 || hit((n + 1) << shift | (n + 1) << 12));
		}
	}
	fill(0x400000, TLB_LARGE_2M);
	/* VPIDs and EPTPs: only what was named */
	tlb_switch(&tlb, 7, eptp, 0, 0, 0);
	fill(0x9000, 0);
	tlb_flush_all_eptps(&tlb);
	ck_assert(!hit(0x9000));
	fill(0x9000, TLB_GLOBAL);
	tlb_flush_vpid(&tlb, 6, true);
	ck_assert(hit(0x9000));
	tlb_flush_vpid(&tlb, 7, false);
	ck_assert(hit(0x9000));
	tlb_flush_vpid(&tlb, 7, true);
	ck_assert(!hit(0x9000));
	tlb_switch(&tlb, 0, 0, 1, 0, 0);
	ck_assert(hit(0x400000));
}
END_TEST

Suite *mmu_suite(void);

Suite *mmu_suite(void)
{
	Suite *s = suite_create("mmu");
	TCase *t = tcase_create("walks and contexts");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, ept_rights);
	tcase_add_test(t, ept_rights_of_upper_levels);
	tcase_add_test(t, ept_misconfigurations);
	tcase_add_test(t, ept_accessed_dirty);
	tcase_add_test(t, ept_loop);
	tcase_add_test(t, paging_through_ept);
	tcase_add_test(t, page_faults);
	tcase_add_test(t, protection_keys);
	tcase_add_test(t, supervisor_protection_keys);
	tcase_add_test(t, contexts_keep_their_entries);
	tcase_add_test(t, rights_are_contexts);
	tcase_add_test(t, invalidations);
	suite_add_tcase(s, t);
	return s;
}
