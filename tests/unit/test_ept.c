/*
 * What controls and flags make of EPT walks: mode-based execute control, information about the
 * linear address, 5 levels, large pages that are not supported, page-modification logging, sub-page
 * permissions, paging writes and the verification of guest paging, HLAT paging.
 */
#include <check.h>

#include "mmu/tlb.h"
#include "mmu/walk.h"

Suite *ept_suite(void);

#define RAM (4u << 20)
#define EPT_PML5 0x1000
#define EPT_PML4 0x2000
#define EPT_PDPT 0x3000
#define EPT_PD 0x4000
#define EPT_PT 0x5000
#define SPPT 0x6000 /* four tables */
#define LOG 0xa000
#define CR3 0x10000 /* four tables */
#define HLATP 0x14000
#define HLAT_PDPT 0x15000
#define PAGE 0x20000
#define MAPPED 0x80000
#define WB (6 << 3)

static struct physmem mem;
static struct tlb tlb;
static struct walk_env env;
static struct walk_out out;
static u16 pml_index;
static u64 code_written_at;

static void put(u64 at, u64 value)
{
	store_le64(mem.ram + at, value);
}

static u64 get(u64 at)
{
	return load_le64(mem.ram + at);
}

/* The leaf of a page, in the EPT and in the guest's paging. */
static u64 leaf(u64 gpa)
{
	return EPT_PT + 8 * (gpa >> 12);
}

static u64 pte(u64 laddr)
{
	return CR3 + 0x3000 + 8 * (laddr >> 12);
}

static void apply_modes(u64 eptp, u32 mode)
{
	env.eptp = eptp;
	env.ept_mode = EPT_EXEC_ONLY | EPT_PAGE_2M | EPT_PAGE_1G | mode;
	env.ept_tag = ept_tag(eptp, env.ept_mode);
	tlb_flush_all(&tlb);
}

#define EPTP_4 (EPT_PML4 | 0x1e)
#define EPTP_5 (EPT_PML5 | 0x26)

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
				.reserved_phys = (BIT(52) - 1) & ~(BIT(46) - 1)};
	put(EPT_PML5, EPT_PML4 | 0x407);
	put(EPT_PML4, EPT_PDPT | 0x407);
	put(EPT_PDPT, EPT_PD | 0x407);
	put(EPT_PD, EPT_PT | 0x407);
	for (unsigned k = 0; k < 3; k++)
		put(CR3 + 0x1000 * k, (CR3 + 0x1000 * (k + 1)) | 7);
	for (u64 k = 0; k < 512; k++) {
		put(leaf(k << 12), k << 12 | WB | 0x407);
		put(pte(k << 12), k << 12 | 0x67);
	}
	put(leaf(PAGE), MAPPED | WB | 0x407);
	pml_index = 511;
	apply_modes(EPTP_4, 0);
}

static void teardown(void)
{
	tlb_free(&tlb);
	physmem_free(&mem);
}

static enum walk_status physical(u64 gpa, u8 access, bool user)
{
	struct ept_in in = {.gpa = gpa, .access = access, .use = EPT_DATA, .user = user};

	return ept_walk(&env, &in, &out);
}

static enum walk_status linear(u64 laddr, u8 access)
{
	struct walk_in in = {.laddr = laddr, .access = access};

	return paging_walk(&env, &in, &out);
}

static enum walk_status write_bytes(u64 laddr, u16 bytes)
{
	struct walk_in in = {.laddr = laddr, .access = ACCESS_WRITE, .bytes = bytes};

	return paging_walk(&env, &in, &out);
}

/* Every set of R, W, XS, XU against every access; the expectation is the SDM's, not the code's. */
START_TEST(mode_based_execute_control)
{
	apply_modes(EPTP_4, EPT_USER_EXECUTE);
	for (unsigned bits = 0; bits < 16; bits++)
		for (unsigned a = 0; a < 4; a++) {
			static const u8 access[] = {ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH,
						    ACCESS_FETCH};
			bool user = a == 3, allowed = bits & 1u << a;
			enum walk_status want = !bits		  ? WALK_EPT_VIOLATION
						: (bits & 3) == 2 ? WALK_EPT_MISCONFIG
						: allowed	  ? WALK_OK
								  : WALK_EPT_VIOLATION;

			put(leaf(PAGE), MAPPED | WB | (bits & 7) | (bits & 8 ? BIT(10) : 0));
			tlb_flush_all(&tlb);
			ck_assert_int_eq(physical(PAGE, access[a], user), want);
			if (want == WALK_EPT_VIOLATION)
				ck_assert_uint_eq(out.qualification,
						  access[a] | bits << 3 | BIT(7) | BIT(8));
		}
	/* execute-only for user mode is as much execute-only as for supervisor mode */
	env.ept_mode &= ~(u32)EPT_EXEC_ONLY;
	put(leaf(PAGE), MAPPED | WB | BIT(10));
	tlb_flush_all(&tlb);
	ck_assert_int_eq(physical(PAGE, ACCESS_FETCH, true), WALK_EPT_MISCONFIG);
	/* without the control bit 10 is ignored, and an entry with nothing else is not present */
	apply_modes(EPTP_4, 0);
	ck_assert_int_eq(physical(PAGE, ACCESS_FETCH, true), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification >> 3 & 15, 0);
}
END_TEST

/* Which execute bit counts is decided by the linear address, not by who fetches. */
START_TEST(user_mode_linear_addresses)
{
	apply_modes(EPTP_4, EPT_USER_EXECUTE);
	put(leaf(PAGE), MAPPED | WB | 1 | BIT(10));
	ck_assert_int_eq(linear(PAGE, ACCESS_FETCH), WALK_OK);
	put(pte(PAGE), PAGE | 0x63); /* supervisor-mode */
	ck_assert_int_eq(linear(PAGE, ACCESS_FETCH), WALK_EPT_VIOLATION);
	put(leaf(PAGE), MAPPED | WB | 5);
	tlb_flush_all(&tlb);
	ck_assert_int_eq(linear(PAGE, ACCESS_FETCH), WALK_OK);
	/* without paging every linear address is user-mode */
	env.cr0 &= ~BIT(31);
	ck_assert_int_eq(linear(PAGE, ACCESS_FETCH), WALK_EPT_VIOLATION);
}
END_TEST

/* What was walked with one setting of a control is not found with another. */
START_TEST(cached_pages_belong_to_the_controls)
{
	put(leaf(PAGE), MAPPED | WB | 5);
	ck_assert_int_eq(physical(PAGE, ACCESS_FETCH, true), WALK_OK);
	env.ept_mode |= EPT_USER_EXECUTE;
	env.ept_tag = ept_tag(env.eptp, env.ept_mode);
	ck_assert_int_eq(physical(PAGE, ACCESS_FETCH, true), WALK_EPT_VIOLATION);
	/* a violation forgets the page: more rights need no invalidation */
	put(leaf(PAGE), (MAPPED + 0x1000) | WB | 0x407);
	ck_assert_int_eq(physical(PAGE, ACCESS_READ, true), WALK_OK);
	ck_assert_uint_eq(out.paddr, MAPPED + 0x1000);
	put(leaf(PAGE), MAPPED | WB | 1);
	tlb_forget_ept(&tlb);
	ck_assert_int_eq(physical(PAGE, ACCESS_READ, true), WALK_OK);
	ck_assert_int_eq(physical(PAGE, ACCESS_WRITE, true), WALK_EPT_VIOLATION);
	put(leaf(PAGE), (MAPPED + 0x1000) | WB | 3);
	ck_assert_int_eq(physical(PAGE, ACCESS_READ, true), WALK_OK);
	ck_assert_uint_eq(out.paddr, MAPPED + 0x1000);
}
END_TEST

START_TEST(advanced_information)
{
	static const struct {
		u64 pte;
		u64 bits;
	} cases[] = {
		{0x67, BIT(9) | BIT(10)},
		{0x63, BIT(10)},
		{0x65, BIT(9)},
		{0x67 | BIT(63), BIT(9) | BIT(10) | BIT(11)},
	};

	put(leaf(PAGE), MAPPED | WB);
	for (unsigned k = 0; k < 2 * ARRAY_SIZE(cases); k++) {
		bool on = k & 1;

		apply_modes(EPTP_4, on ? EPT_ADVANCED : 0);
		put(pte(PAGE), PAGE | cases[k / 2].pte);
		ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_EPT_VIOLATION);
		ck_assert_uint_eq(out.qualification,
				  ACCESS_READ | BIT(7) | BIT(8) | (on ? cases[k / 2].bits : 0));
	}
	/* not for a paging structure */
	put(leaf(CR3), 0);
	tlb_flush_all(&tlb);
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification, ACCESS_READ | BIT(7));
}
END_TEST

START_TEST(loading_pdptes_is_a_read)
{
	struct ept_in in = {.gpa = PAGE, .access = ACCESS_READ, .use = EPT_PDPTES};

	apply_modes(EPTP_4 | EPTP_AD, 0);
	put(leaf(PAGE), MAPPED | WB | 1);
	ck_assert_int_eq(ept_walk(&env, &in, &out), WALK_OK);
	ck_assert_uint_eq(get(leaf(PAGE)) & 0x300, 0x100);
	put(leaf(PAGE), 0);
	tlb_flush_all(&tlb);
	ck_assert_int_eq(ept_walk(&env, &in, &out), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification, ACCESS_READ);
}
END_TEST

START_TEST(five_levels)
{
	apply_modes(EPTP_5 | EPTP_AD, 0);
	ck_assert_int_eq(physical(PAGE + 7, ACCESS_READ, false), WALK_OK);
	ck_assert_uint_eq(out.paddr, MAPPED + 7);
	ck_assert_uint_eq(get(EPT_PML5) & 0x100, 0x100);
	ck_assert_int_eq(physical(BIT(48) | PAGE, ACCESS_READ, false), WALK_EPT_VIOLATION);
	put(EPT_PML5 + 8, EPT_PML4 | 7);
	ck_assert_int_eq(physical(BIT(48) | PAGE, ACCESS_READ, false), WALK_OK);
	put(EPT_PML5, EPT_PML4 | 0x87); /* bit 7 is reserved there */
	tlb_flush_all(&tlb);
	ck_assert_int_eq(physical(PAGE, ACCESS_READ, false), WALK_EPT_MISCONFIG);
	/* 4 levels translate 48 bits */
	apply_modes(EPTP_4, 0);
	ck_assert_int_eq(physical(BIT(48) | PAGE, ACCESS_READ, false), WALK_EPT_VIOLATION);
}
END_TEST

START_TEST(large_pages_of_the_processor)
{
	static const u32 mode[] = {EPT_PAGE_2M, EPT_PAGE_1G};
	static const u64 at[] = {EPT_PD, EPT_PDPT};

	for (unsigned k = 0; k < 2; k++) {
		u64 old = get(at[k]);

		put(at[k], WB | 0x87);
		apply_modes(EPTP_4, 0);
		ck_assert_int_eq(physical(PAGE, ACCESS_READ, false), WALK_OK);
		ck_assert_uint_eq(out.paddr, PAGE);
		env.ept_mode &= ~mode[k];
		tlb_flush_all(&tlb);
		ck_assert_int_eq(physical(PAGE, ACCESS_READ, false), WALK_EPT_MISCONFIG);
		put(at[k], old);
	}
}
END_TEST

static void log_to_ram(void)
{
	env.pml_address = LOG;
	env.pml_index = &pml_index;
}

START_TEST(page_modification_log)
{
	log_to_ram();
	apply_modes(EPTP_4 | EPTP_AD, 0);
	ck_assert_int_eq(physical(PAGE + 0x123, ACCESS_READ, false), WALK_OK);
	ck_assert_uint_eq(pml_index, 511);
	ck_assert_int_eq(physical(PAGE + 0x123, ACCESS_WRITE, false), WALK_OK);
	ck_assert_uint_eq(pml_index, 510);
	ck_assert_uint_eq(get(LOG + 8 * 511), PAGE);
	/* dirty already: nothing to log, whatever the index */
	pml_index = 0xffff;
	tlb_flush_all(&tlb);
	ck_assert_int_eq(physical(PAGE, ACCESS_WRITE, false), WALK_OK);
	ck_assert_uint_eq(pml_index, 0xffff);
	/* full: no flag changes, and the access does not happen */
	put(leaf(PAGE), MAPPED | WB | 7);
	put(EPT_PML4, EPT_PDPT | 7);
	tlb_flush_all(&tlb);
	ck_assert_int_eq(physical(PAGE, ACCESS_WRITE, false), WALK_PML_FULL);
	ck_assert_uint_eq(get(leaf(PAGE)) & 0x300, 0);
	ck_assert_uint_eq(get(EPT_PML4) & 0x100, 0);
	ck_assert_int_eq(physical(PAGE, ACCESS_READ, false), WALK_OK);
	pml_index = 0;
	ck_assert_int_eq(physical(PAGE, ACCESS_WRITE, false), WALK_OK);
	ck_assert_uint_eq(pml_index, 0xffff);
	ck_assert_uint_eq(get(LOG), PAGE);
}
END_TEST

static void note_code_written(void *owner, u64 paddr, u64 len)
{
	(void)owner;
	(void)len;
	code_written_at = paddr;
}

START_TEST(page_modification_log_of_paging_structures)
{
	log_to_ram();
	apply_modes(EPTP_4 | EPTP_AD, 0);
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_OK);
	ck_assert_uint_eq(pml_index, 511 - 4);
	for (u64 k = 0; k < 4; k++)
		ck_assert_uint_eq(get(LOG + 8 * (511 - k)), CR3 + 0x1000 * k);
	/* without accessed and dirty flags there is nothing to log */
	apply_modes(EPTP_4, 0);
	ck_assert_int_eq(physical(PAGE, ACCESS_WRITE, false), WALK_OK);
	ck_assert_uint_eq(pml_index, 511 - 4);
	/* a log outside RAM takes nothing; one in a page with code is a store to code */
	apply_modes(EPTP_4 | EPTP_AD, 0);
	env.pml_address = 1ull << 40;
	ck_assert_int_eq(physical(PAGE, ACCESS_WRITE, false), WALK_OK);
	ck_assert_uint_eq(pml_index, 511 - 5);
	log_to_ram();
	*physmem_flags(&mem, mem.ram + LOG) |= PAGE_CODE;
	mem.code_written = note_code_written;
	ck_assert_int_eq(physical(PAGE + 0x1000, ACCESS_WRITE, false), WALK_OK);
	ck_assert_uint_eq(code_written_at, LOG + 8 * (511 - 5));
}
END_TEST

static void use_sub_pages(u64 vector)
{
	env.sppt = SPPT;
	for (unsigned k = 0; k < 3; k++)
		put(SPPT + 0x1000 * k, (SPPT + 0x1000 * (k + 1)) | 1);
	put(SPPT + 0x3000 + 8 * (PAGE >> 12), vector);
	put(leaf(PAGE), MAPPED | WB | 5 | BIT(61));
	apply_modes(EPTP_4 | EPTP_AD, EPT_SUB_PAGE);
}

START_TEST(sub_page_permissions)
{
	use_sub_pages(1 | 1 << 2 | 1ull << 62); /* pieces 0, 1 and 31 */
	ck_assert_int_eq(write_bytes(PAGE, 8), WALK_OK);
	ck_assert_uint_eq(out.paddr, MAPPED);
	ck_assert(!out.writable); /* the next store asks again */
	ck_assert_uint_eq(get(leaf(PAGE)) & 0x300, 0x300);
	ck_assert_int_eq(write_bytes(PAGE + 0x7e, 4), WALK_OK);
	ck_assert_int_eq(write_bytes(PAGE + 0xfe, 2), WALK_OK);
	ck_assert_int_eq(write_bytes(PAGE + 0xfe, 3), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification & 0x1ff, ACCESS_WRITE | 5 << 3 | BIT(7) | BIT(8));
	ck_assert_int_eq(write_bytes(PAGE + 0x100, 1), WALK_EPT_VIOLATION);
	ck_assert_int_eq(write_bytes(PAGE + 0xfff, 1), WALK_OK);
	/* a read or a fetch has no use for it */
	put(leaf(PAGE), MAPPED | WB | 4 | BIT(61));
	tlb_flush_all(&tlb);
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_EPT_VIOLATION);
	ck_assert_int_eq(write_bytes(PAGE, 1), WALK_EPT_VIOLATION); /* not readable */
	/* nor has a paging structure, nor anything without the control */
	use_sub_pages(~0ull / 3);
	put(leaf(CR3), CR3 | WB | 5 | BIT(61));
	put(CR3, (CR3 + 0x1000) | 7);
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_EPT_VIOLATION);
	put(leaf(CR3), CR3 | WB | 7);
	apply_modes(EPTP_4, 0);
	ck_assert_int_eq(write_bytes(PAGE, 1), WALK_EPT_VIOLATION);
}
END_TEST

START_TEST(sub_page_events)
{
	use_sub_pages(1);
	for (unsigned k = 0; k < 3; k++) {
		u64 at = SPPT + 0x1000 * k, old = get(at);

		put(at, old & ~1ull);
		ck_assert_int_eq(write_bytes(PAGE + 5, 1), WALK_SPP_MISS);
		ck_assert_uint_eq(out.gpa, PAGE + 5);
		put(at, old | 2);
		ck_assert_int_eq(write_bytes(PAGE, 1), WALK_SPP_MISCONFIG);
		put(at, old | BIT(46));
		ck_assert_int_eq(write_bytes(PAGE, 1), WALK_SPP_MISCONFIG);
		put(at, old);
	}
	put(SPPT + 0x3000 + 8 * (PAGE >> 12), 3);
	ck_assert_int_eq(write_bytes(PAGE, 1), WALK_SPP_MISCONFIG);
	env.sppt = 1ull << 40; /* outside RAM: all ones */
	ck_assert_int_eq(write_bytes(PAGE, 1), WALK_SPP_MISCONFIG);
}
END_TEST

START_TEST(paging_writes)
{
	put(leaf(CR3), CR3 | WB | 5 | BIT(58));
	apply_modes(EPTP_4 | EPTP_AD, 0);
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_EPT_VIOLATION);
	apply_modes(EPTP_4 | EPTP_AD, EPT_PAGING_WRITE);
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_OK);
	ck_assert_uint_eq(get(leaf(CR3)) & 0x200, 0x200);
	/* no right of the guest's own stores */
	put(leaf(PAGE), MAPPED | WB | 5 | BIT(58));
	ck_assert_int_eq(write_bytes(PAGE, 1), WALK_EPT_VIOLATION);
	/* nor where an upper level forbids writing, nor without reading */
	put(EPT_PD, EPT_PT | 5);
	tlb_flush_all(&tlb);
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_EPT_VIOLATION);
	put(EPT_PD, EPT_PT | 7);
	put(leaf(PAGE), MAPPED | WB | 4 | BIT(58));
	tlb_flush_all(&tlb);
	ck_assert_int_eq(physical(PAGE, ACCESS_FETCH, false), WALK_EPT_MISCONFIG);
}
END_TEST

START_TEST(guest_paging_verification)
{
	put(leaf(PAGE), MAPPED | WB | 7 | BIT(57));
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_OK);
	apply_modes(EPTP_4 | EPTP_AD, EPT_PAGING_WRITE | EPT_VERIFY_PAGING);
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification & 0x81ff,
			  ACCESS_READ | 7 << 3 | BIT(7) | BIT(8) | BIT(15));
	ck_assert_uint_eq(get(leaf(PAGE)) & 0x300, 0);
	for (unsigned k = 0; k < 4; k++)
		put(leaf(CR3 + 0x1000 * k), (CR3 + 0x1000 * k) | WB | 7 | BIT(58));
	tlb_flush_all(&tlb);
	for (unsigned n = 0; n < 2; n++) { /* found in the cache the second time */
		ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_OK);
		ck_assert_int_eq(linear(PAGE, ACCESS_WRITE), WALK_OK);
	}
	put(leaf(CR3 + 0x2000), (CR3 + 0x2000) | WB | 7);
	tlb_flush_all(&tlb);
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_EPT_VIOLATION);
	/* other pages are as they were */
	ck_assert_int_eq(linear(PAGE + 0x1000, ACCESS_READ), WALK_OK);
}
END_TEST

START_TEST(suppressed_exceptions)
{
	put(leaf(PAGE), 0);
	physical(PAGE, ACCESS_READ, false);
	ck_assert(!out.suppress_ve);
	put(leaf(PAGE), BIT(63));
	physical(PAGE, ACCESS_READ, false);
	ck_assert(out.suppress_ve);
	put(leaf(PAGE), MAPPED | WB | 1 | BIT(63));
	ck_assert_int_eq(physical(PAGE, ACCESS_WRITE, false), WALK_EPT_VIOLATION);
	ck_assert(out.suppress_ve);
	put(leaf(PAGE), MAPPED | WB | 1);
	put(EPT_PD, EPT_PT | 7 | BIT(63)); /* ignored in an entry that is present and no leaf */
	ck_assert_int_eq(physical(PAGE, ACCESS_WRITE, false), WALK_EPT_VIOLATION);
	ck_assert(!out.suppress_ve);
}
END_TEST

START_TEST(hlat_paging)
{
	const u64 high = 0xffff800000000000ull | PAGE;

	put(CR3 + 8 * 256, (CR3 + 0x1000) | 7);
	put(HLATP, HLAT_PDPT | 7);
	put(HLATP + 8 * 256, HLAT_PDPT | 7);
	put(HLAT_PDPT, (CR3 + 0x2000) | 3); /* supervisor only; ordinary paging allows users */
	env.hlatp = HLATP | 0x18;
	env.hlat = true;
	apply_modes(EPTP_4, EPT_ADVANCED);
	ck_assert_int_eq(linear(PAGE + 5, ACCESS_READ), WALK_OK);
	ck_assert_uint_eq(out.paddr, MAPPED + 5);
	ck_assert_uint_eq(get(CR3) & 0x20, 0);
	ck_assert_uint_eq(get(HLATP) & 0x20, 0x20);
	/* outside of the protected range */
	env.hlat_prefix = 1;
	put(HLATP, 0);
	ck_assert_int_eq(linear(PAGE, ACCESS_READ), WALK_OK);
	ck_assert_uint_eq(get(CR3) & 0x20, 0x20);
	/* faults tell it, but for faults of rights */
	ck_assert_int_eq(linear(high, ACCESS_READ), WALK_OK);
	put(HLAT_PDPT, (CR3 + 0x2000) | 2);
	ck_assert_int_eq(linear(high, ACCESS_READ), WALK_PAGE_FAULT);
	ck_assert_uint_eq(out.error_code, 0x80);
	put(HLAT_PDPT, (CR3 + 0x2000) | 3 | BIT(47));
	ck_assert_int_eq(linear(high, ACCESS_READ), WALK_PAGE_FAULT);
	ck_assert_uint_eq(out.error_code, 0x89);
	put(HLAT_PDPT, (CR3 + 0x2000) | 1);
	ck_assert_int_eq(linear(high, ACCESS_WRITE), WALK_PAGE_FAULT);
	ck_assert_uint_eq(out.error_code, 3);
	/* restart: ordinary paging from the top, with nothing kept of the rights */
	put(HLAT_PDPT, 1 | BIT(11));
	ck_assert_int_eq(linear(high, ACCESS_WRITE), WALK_OK);
	ck_assert_uint_eq(out.paddr, MAPPED);
	put(pte(PAGE), PAGE);
	ck_assert_int_eq(linear(high, ACCESS_WRITE), WALK_PAGE_FAULT);
	ck_assert_uint_eq(out.error_code, 2);
}
END_TEST

Suite *ept_suite(void)
{
	Suite *s = suite_create("ept");
	TCase *t = tcase_create("controls of EPT walks");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, mode_based_execute_control);
	tcase_add_test(t, user_mode_linear_addresses);
	tcase_add_test(t, cached_pages_belong_to_the_controls);
	tcase_add_test(t, advanced_information);
	tcase_add_test(t, loading_pdptes_is_a_read);
	tcase_add_test(t, five_levels);
	tcase_add_test(t, large_pages_of_the_processor);
	tcase_add_test(t, page_modification_log);
	tcase_add_test(t, page_modification_log_of_paging_structures);
	tcase_add_test(t, sub_page_permissions);
	tcase_add_test(t, sub_page_events);
	tcase_add_test(t, paging_writes);
	tcase_add_test(t, guest_paging_verification);
	tcase_add_test(t, suppressed_exceptions);
	tcase_add_test(t, hlat_paging);
	suite_add_tcase(s, t);
	return s;
}
