/*
 * Supervisor shadow stacks under EPT: what bit 7 of the EPTP makes of bit 60 of a leaf, and what an
 * exit qualification tells.
 */
#include <check.h>

#include "cpu/model.h"
#include "mmu/tlb.h"
#include "mmu/walk.h"
#include "vmx/vmx.h"

Suite *cet_ept_suite(void);

#define RAM (4u << 20)
#define EPT_PML4 0x2000
#define EPT_PDPT 0x3000
#define EPT_PD 0x4000
#define EPT_PT 0x5000
#define CR3 0x10000 /* four tables */
#define PAGE 0x20000
#define WB (6 << 3)
#define SSS BIT(60)
#define SHADOW_PTE (PAGE | 0x61)
#define QUAL_SHADOW BIT(13)
#define QUAL_SSS BIT(14)

static struct physmem mem;
static struct tlb tlb;
static struct walk_env env;
static struct walk_out out;

static void put(u64 at, u64 value)
{
	store_le64(mem.ram + at, value);
	tlb_flush_all(&tlb);
}

static u64 get(u64 at)
{
	return load_le64(mem.ram + at);
}

#define LEAF (EPT_PT + 8 * (PAGE >> 12))
#define PTE (CR3 + 0x3000 + 8 * (PAGE >> 12))

static void set_eptp(u64 bits_)
{
	env.eptp = EPT_PML4 | 0x1e | bits_;
	env.ept_tag = ept_tag(env.eptp, env.ept_mode);
	tlb_flush_all(&tlb);
}

static void setup(void)
{
	ck_assert(physmem_init(&mem, RAM));
	ck_assert(tlb_init(&tlb));
	env = (struct walk_env){.mem = &mem,
				.tlb = &tlb,
				.cr0 = 0x80010001,
				.cr3 = CR3,
				.cr4 = 0x20 | BIT(23),
				.efer = 0xd00,
				.nx = true,
				.page1g = true,
				.ept_mode = EPT_EXEC_ONLY | EPT_PAGE_2M | EPT_PAGE_1G,
				.reserved_phys = (BIT(52) - 1) & ~(BIT(46) - 1)};
	put(EPT_PML4, EPT_PDPT | 7);
	put(EPT_PDPT, EPT_PD | 7);
	put(EPT_PD, EPT_PT | 7);
	for (unsigned k = 0; k < 3; k++)
		put(CR3 + 0x1000 * k, (CR3 + 0x1000 * (k + 1)) | 7);
	for (u64 k = 0; k < 512; k++) {
		put(EPT_PT + 8 * k, k << 12 | WB | 7);
		put(CR3 + 0x3000 + 8 * k, k << 12 | 0x67);
	}
	put(PTE, SHADOW_PTE);
	set_eptp(EPTP_SSS);
}

static void teardown(void)
{
	tlb_free(&tlb);
	physmem_free(&mem);
}

static enum walk_status stack(u8 access, bool user)
{
	struct walk_in in = {.laddr = PAGE, .access = access, .user = user, .shadow = true};

	return paging_walk(&env, &in, &out);
}

static enum walk_status plain(u8 access)
{
	struct walk_in in = {.laddr = PAGE, .access = access};

	return paging_walk(&env, &in, &out);
}

START_TEST(off_without_the_control)
{
	set_eptp(0);
	put(LEAF, PAGE | WB | 3);
	ck_assert_int_eq(stack(ACCESS_WRITE, false), WALK_OK);
	ck_assert(out.writable);
	put(LEAF, PAGE | WB | 1 | SSS);
	ck_assert_int_eq(stack(ACCESS_READ, false), WALK_OK);
	ck_assert(!out.writable);
	ck_assert_int_eq(stack(ACCESS_WRITE, false), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification & (QUAL_SHADOW | QUAL_SSS), QUAL_SHADOW);
}
END_TEST

START_TEST(bit_60_is_the_right)
{
	put(LEAF, PAGE | WB | 1 | SSS); /* read-only for everybody else */
	ck_assert_int_eq(stack(ACCESS_WRITE, false), WALK_OK);
	ck_assert(out.writable);
	ck_assert_int_eq(stack(ACCESS_READ, false), WALK_OK);
	ck_assert(out.writable);
	put(PTE, PAGE | 0x63);
	ck_assert_int_eq(plain(ACCESS_READ), WALK_OK);
	ck_assert_int_eq(plain(ACCESS_WRITE), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification & (QUAL_SHADOW | QUAL_SSS), QUAL_SSS);
	put(PTE, SHADOW_PTE);
	put(LEAF, PAGE | WB | 3); /* writable, and no shadow stack */
	ck_assert_int_eq(stack(ACCESS_READ, false), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification & (QUAL_SHADOW | QUAL_SSS), QUAL_SHADOW);
	ck_assert_int_eq(stack(ACCESS_WRITE, false), WALK_EPT_VIOLATION);
	/* writes must be allowed above the leaf, reads everywhere */
	put(LEAF, PAGE | WB | 3 | SSS);
	put(EPT_PD, EPT_PT | 5);
	ck_assert_int_eq(stack(ACCESS_READ, false), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification & (QUAL_SHADOW | QUAL_SSS), QUAL_SHADOW | QUAL_SSS);
	put(EPT_PD, EPT_PT | 7);
	put(LEAF, PAGE | WB | 4 | SSS);
	ck_assert_int_eq(stack(ACCESS_READ, false), WALK_EPT_VIOLATION);
}
END_TEST

/* A user's shadow stack goes by the ordinary rights. */
START_TEST(users_are_not_concerned)
{
	put(PTE, SHADOW_PTE | 4);
	put(LEAF, PAGE | WB | 3);
	ck_assert_int_eq(stack(ACCESS_WRITE, true), WALK_OK);
	put(LEAF, PAGE | WB | 1 | SSS);
	ck_assert_int_eq(stack(ACCESS_WRITE, true), WALK_EPT_VIOLATION);
	ck_assert_uint_eq(out.qualification & (QUAL_SHADOW | QUAL_SSS), QUAL_SHADOW | QUAL_SSS);
}
END_TEST

START_TEST(dirty_flag)
{
	set_eptp(EPTP_SSS | EPTP_AD);
	put(LEAF, PAGE | WB | 1 | SSS);
	ck_assert_int_eq(stack(ACCESS_READ, false), WALK_OK);
	ck_assert(!out.writable);
	ck_assert_uint_eq(get(LEAF) & 0x300, 0x100);
	ck_assert_int_eq(stack(ACCESS_WRITE, false), WALK_OK);
	ck_assert(out.writable);
	ck_assert_uint_eq(get(LEAF) & 0x300, 0x300);
}
END_TEST

/* It shows in a bit that software takes for reserved: only who asks for it gets it. */
START_TEST(off_by_default)
{
	static const char name[] = "max,vmx-ept-supervisor-shadow-stack=on";
	struct vmx_model_mask mask;
	struct cpu_model m;
	char err[200];

	ck_assert(cpu_model_parse(&m, &mask, "max", err, sizeof(err)));
	ck_assert(!(mask.ept_vpid & BIT(23)));
	ck_assert(cpu_model_parse(&m, &mask, name, err, sizeof(err)));
	ck_assert(mask.ept_vpid & BIT(23));
}
END_TEST

Suite *cet_ept_suite(void)
{
	Suite *s = suite_create("cet_ept");
	TCase *t = tcase_create("supervisor shadow stacks under EPT");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, off_without_the_control);
	tcase_add_test(t, bit_60_is_the_right);
	tcase_add_test(t, users_are_not_concerned);
	tcase_add_test(t, dirty_flag);
	tcase_add_test(t, off_by_default);
	suite_add_tcase(s, t);
	return s;
}
