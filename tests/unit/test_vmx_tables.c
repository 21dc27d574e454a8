/*
 * The VMX tables: VMCS fields by encoding, capability MSRs folded from the controls, VMCS regions.
 */
#include <check.h>
#include <stdlib.h>

#include "mmu/physmem.h"
#include "vmx/caps.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmcs.h"

Suite *vmx_tables_suite(void);

static struct vmx_caps caps;

static void setup(void)
{
	struct vmx_model_mask m;

	vmx_model_mask_all(&m, 0x3767ff, 46, 48);
	vmx_caps_init(&caps, &m);
}

static bool in_table(u32 enc)
{
	for (unsigned i = 0; i < vmcs_field_count(); i++)
		if (vmcs_field_encoding(i) == enc)
			return true;
	return false;
}

static u64 width_mask(u32 enc)
{
	return ~0ull >> (64 - 8 * VMCS_BYTES(enc));
}

START_TEST(every_field_round_trips_alone)
{
	static struct vmcs vmcs;
	unsigned n = vmcs_field_count();

	for (unsigned i = 0; i < n; i++)
		vmcs_write(&caps, &vmcs, vmcs_field_encoding(i), 0x0123456789abcdefull * (i + 1),
			   NULL);
	for (unsigned i = 0; i < n; i++) {
		u32 enc = vmcs_field_encoding(i);
		u64 value = 0;
		unsigned error = vmcs_read(&caps, &vmcs, enc, &value);

		ck_assert_ptr_nonnull(vmcs_field_name(enc));
		if (!caps.field_exists[i]) {
			ck_assert_uint_eq(error, VMX_ERROR_UNSUPPORTED_COMPONENT);
			continue;
		}
		ck_assert_uint_eq(error, 0);
		ck_assert_uint_eq(value, (0x0123456789abcdefull * (i + 1)) & width_mask(enc));
	}
}
END_TEST

START_TEST(high_half_exists_for_64_bit_fields_only)
{
	static struct vmcs vmcs;
	u64 value;

	for (unsigned i = 0; i < vmcs_field_count(); i++) {
		u32 enc = vmcs_field_encoding(i);

		if (!caps.field_exists[i])
			continue;
		if (VMCS_WIDTH(enc) != VMCS_WIDTH_64) {
			ck_assert_uint_eq(vmcs_read(&caps, &vmcs, enc | 1, &value), 12);
			ck_assert_uint_eq(vmcs_write(&caps, &vmcs, enc | 1, 0, NULL), 12);
			continue;
		}
		ck_assert_uint_eq(vmcs_write(&caps, &vmcs, enc, 0x1111111122222222, NULL), 0);
		ck_assert_uint_eq(vmcs_write(&caps, &vmcs, enc | 1, 0xaaaaaaaa33333333, NULL), 0);
		ck_assert_uint_eq(vmcs_read(&caps, &vmcs, enc, &value), 0);
		ck_assert_uint_eq(value, 0x3333333322222222);
		ck_assert_uint_eq(vmcs_read(&caps, &vmcs, enc | 1, &value), 0);
		ck_assert_uint_eq(value, 0x33333333);
	}
}
END_TEST

START_TEST(absent_encodings_are_refused)
{
	static struct vmcs vmcs;
	u64 value;

	for (u32 enc = 0; enc < 0x10000; enc++) {
		if (in_table(enc & ~1u))
			continue;
		ck_assert_uint_eq(vmcs_read(&caps, &vmcs, enc, &value), 12);
		ck_assert_uint_eq(vmcs_write(&caps, &vmcs, enc, 1, NULL), 12);
	}
	ck_assert_uint_eq(vmcs_read(&caps, &vmcs, VMCS_GUEST_CR0 | BIT(15), &value), 12);
	ck_assert_uint_eq(vmcs_read(&caps, &vmcs, VMCS_GUEST_CR0 | BIT(32), &value), 12);
	ck_assert_uint_eq(vmcs_read(&caps, &vmcs, VMCS_GUEST_CR0 | BIT(63), &value), 12);
	ck_assert_uint_eq(vmcs_read(&caps, &vmcs, VMCS_GUEST_CR0 | BIT(12), &value), 12);
	/* an index that differs by a multiple of the folded range */
	ck_assert_uint_eq(vmcs_read(&caps, &vmcs, VMCS_GUEST_CR0 | BIT(7), &value), 12);
}
END_TEST

START_TEST(fields_follow_the_model)
{
	struct vmx_model_mask m;
	struct vmx_caps small;
	static struct vmcs vmcs;
	u64 value;

	vmx_model_mask_all(&m, 0x3767ff, 46, 48);
	m.control[VMX_PROC] &= ~VMX_MASK(PROC_ACTIVATE_TERTIARY_CONTROLS);
	m.control[VMX_PROC2] = m.control[VMX_PROC3] = m.control[VMX_EXIT2] = 0;
	m.control[VMX_ENTRY] &= ~VMX_MASK(ENTRY_LOAD_GUEST_IA32_SPEC_CTRL);
	vmx_caps_init(&small, &m);
	ck_assert_uint_eq(vmcs_read(&small, &vmcs, VMCS_EPT_POINTER, &value), 12);
	ck_assert_uint_eq(vmcs_read(&caps, &vmcs, VMCS_EPT_POINTER, &value), 0);
	ck_assert_uint_eq(vmcs_read(&small, &vmcs, VMCS_GUEST_PHYSICAL_ADDRESS, &value), 12);
	ck_assert_uint_eq(vmcs_read(&small, &vmcs, VMCS_GUEST_CR0, &value), 0);
	ck_assert_uint_eq(small.ept_vpid, 0);
	ck_assert(!vmx_caps_read_msr(&small, 0x48c, &value));
	/* 482EH, the preemption timer's, is what remains highest */
	ck_assert_uint_eq(small.vmcs_enum, VMCS_INDEX(VMCS_VMX_PREEMPTION_TIMER_VALUE) << 1);
}
END_TEST

START_TEST(vmcs_enum_is_the_highest_index)
{
	unsigned highest = 0;

	for (unsigned i = 0; i < vmcs_field_count(); i++)
		if (caps.field_exists[i] && VMCS_INDEX(vmcs_field_encoding(i)) > highest)
			highest = VMCS_INDEX(vmcs_field_encoding(i));
	ck_assert_uint_eq(caps.vmcs_enum, highest << 1);
	ck_assert_uint_ge(highest, VMCS_INDEX(VMCS_SECONDARY_VM_EXIT_CONTROLS));
}
END_TEST

START_TEST(writes_name_their_group)
{
	static const struct {
		u32 field;
		unsigned group;
	} rows[] = {
		{VMCS_PIN_BASED_VM_EXECUTION_CONTROLS, VMCS_DIRTY_CONTROLS},
		{VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, VMCS_DIRTY_CONTROLS},
		{VMCS_VM_ENTRY_INTERRUPTION_INFORMATION, VMCS_DIRTY_INJECTION},
		{VMCS_HOST_RIP, VMCS_DIRTY_HOST},
		{VMCS_GUEST_RIP, VMCS_DIRTY_GUEST},
		{VMCS_VMCS_LINK_POINTER, VMCS_DIRTY_GUEST},
		{VMCS_GUEST_ES_SELECTOR, VMCS_DIRTY_SEGMENTS},
		{VMCS_GUEST_TR_BASE, VMCS_DIRTY_SEGMENTS},
		{VMCS_GUEST_TR_ACCESS_RIGHTS, VMCS_DIRTY_SEGMENTS},
		{VMCS_GUEST_GDTR_BASE, VMCS_DIRTY_GUEST},
		{VMCS_EXIT_REASON, 0},
	};
	static struct vmcs vmcs;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned group = 99;

		ck_assert_uint_eq(vmcs_write(&caps, &vmcs, rows[i].field, 0, &group), 0);
		ck_assert_uint_eq(group, rows[i].group);
	}
}
END_TEST

START_TEST(read_only_fields_need_misc_29)
{
	static struct vmcs vmcs;
	struct vmx_caps strict = caps;
	u64 value;

	ck_assert_uint_eq(vmcs_write(&caps, &vmcs, VMCS_EXIT_QUALIFICATION, 5, NULL), 0);
	ck_assert_uint_eq(vmcs_read(&caps, &vmcs, VMCS_EXIT_QUALIFICATION, &value), 0);
	ck_assert_uint_eq(value, 5);
	strict.misc &= ~VMX_MISC_VMWRITE_ANY;
	ck_assert_uint_eq(vmcs_write(&strict, &vmcs, VMCS_EXIT_QUALIFICATION, 6, NULL), 13);
	ck_assert_uint_eq(vmcs_read(&strict, &vmcs, VMCS_EXIT_QUALIFICATION, &value), 0);
	ck_assert_uint_eq(value, 5);
}
END_TEST

static u64 msr(u32 number)
{
	u64 value = 0;

	ck_assert(vmx_caps_read_msr(&caps, number, &value));
	return value;
}

START_TEST(capability_words_agree)
{
	static const struct {
		u32 plain, truth;
		u32 default1, fixed1;
	} words[] = {
		{0x481, 0x48d, 0x16, 0x16},
		{0x482, 0x48e, 0x0401e172, 0x04006172},
		{0x483, 0x48f, 0x36dff, 0x36dfb},
		{0x484, 0x490, 0x11ff, 0x11fb},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		u64 plain = msr(words[i].plain), truth = msr(words[i].truth);

		ck_assert_uint_eq((u32)plain, words[i].default1);
		ck_assert_uint_eq((u32)truth, words[i].fixed1);
		ck_assert_uint_eq(plain >> 32, truth >> 32);
		ck_assert_uint_eq((u32)plain & ~(plain >> 32), 0);
	}
	ck_assert_uint_eq((u32)msr(0x48b), 0);
}
END_TEST

START_TEST(each_control_against_its_capability_word)
{
	static const struct {
		const char *name;
		enum vmx_control control;
		bool built;
	} controls[] = {
#define YES true
#define NO false
#define D(word, mask)
#define C(word, bit, name, class, supported) {#word "_" #name, word##_##name, supported},
#include "vmx/controls.def"
#undef YES
#undef NO
	};
	static const u32 word_msr[VMX_WORDS] = {0x48d, 0x48e, 0x48b, 0x48f, 0x490, 0x492, 0x493};

	for (unsigned i = 0; i < ARRAY_SIZE(controls); i++) {
		unsigned n = controls[i].control;
		bool wide = n / 64 == VMX_PROC3 || n / 64 == VMX_EXIT2; /* allowed-1 only */
		u64 cap = 0;

		if (!vmx_caps_read_msr(&caps, word_msr[n / 64], &cap))
			ck_assert_msg(!controls[i].built, "%s has no MSR", controls[i].name);
		ck_assert_msg((cap >> (wide ? n % 64 : 32 + n % 64) & 1) == controls[i].built,
			      "%s may be 1", controls[i].name);
		ck_assert_msg(wide || !(cap >> (n % 64) & 1), "%s may be 0", controls[i].name);
		ck_assert_str_eq(vmx_control_name((enum vmx_word)(n / 64), n % 64),
				 strchr(controls[i].name, '_') + 1);
	}
}
END_TEST

START_TEST(a_masked_control_is_gone)
{
	struct vmx_model_mask m;
	struct vmx_caps c;

	vmx_model_mask_all(&m, 0x3767ff, 46, 48);
	m.control[VMX_PROC2] &= ~VMX_MASK(PROC2_ENABLE_RDTSCP);
	vmx_caps_init(&c, &m);
	ck_assert(!vmx_may(&c, PROC2_ENABLE_RDTSCP));
	ck_assert(vmx_may(&c, PROC2_ENABLE_EPT));
	/* no mask can take a default1 bit away */
	m.control[VMX_PROC] = 0;
	vmx_caps_init(&c, &m);
	ck_assert_uint_eq(c.may1[VMX_PROC], 0x0401e172);
}
END_TEST

START_TEST(masked_capabilities_are_gone)
{
	struct vmx_model_mask m;
	struct vmx_caps c;
	u64 value;

	vmx_model_mask_all(&m, 0x3767ff, 46, 48);
	m.misc &= ~VMX_MISC_ACTIVITY(1);
	m.flexible[VMX_PROC] &= ~VMX_MASK(PROC_CR3_LOAD_EXITING);
	vmx_caps_init(&c, &m);
	ck_assert(!(c.misc & VMX_MISC_ACTIVITY(1)));
	ck_assert(c.misc & VMX_MISC_ACTIVITY(2));
	ck_assert(c.true_must1[VMX_PROC] & VMX_MASK(PROC_CR3_LOAD_EXITING));
	ck_assert(!(c.true_must1[VMX_PROC] & VMX_MASK(PROC_CR3_STORE_EXITING)));
	/* without TRUE MSRs all default1 controls must be 1, and the facts of IA32_VMX_BASIC stay */
	m.basic = 0;
	vmx_caps_init(&c, &m);
	ck_assert_uint_eq(c.true_must1[VMX_EXIT], c.must1[VMX_EXIT]);
	ck_assert_uint_eq(bits(c.basic, 30, 0), VMX_REVISION);
	ck_assert_uint_eq(bits(c.basic, 63, 54), 0);
	ck_assert(!vmx_caps_read_msr(&c, 0x48d, &value));
}
END_TEST

START_TEST(single_capability_msrs)
{
	u64 value, basic = msr(0x480), misc = msr(0x485);

	ck_assert_uint_eq(bits(basic, 30, 0), VMX_REVISION);
	ck_assert_uint_eq(bits(basic, 31, 31), 0);
	ck_assert_uint_eq(bits(basic, 44, 32), 4096);
	ck_assert_uint_eq(bits(basic, 49, 48), 0);
	ck_assert_uint_eq(bits(basic, 53, 50), 6);
	ck_assert_uint_eq(bits(basic, 55, 54), 3);
	ck_assert_uint_eq(bits(basic, 63, 56), 0);
	ck_assert_uint_eq(bits(misc, 4, 0), VMX_PREEMPTION_TIMER_RATE);
	ck_assert_uint_eq(bits(misc, 8, 5), 15);
	ck_assert_uint_eq(bits(misc, 14, 9), 0);
	ck_assert_uint_eq(bits(misc, 24, 16), 4);
	ck_assert_uint_eq(bits(misc, 28, 25), 0);
	ck_assert_uint_eq(bits(misc, 31, 29), 3);
	ck_assert_uint_eq(msr(0x486), 0x80000021);
	ck_assert_uint_eq(msr(0x487), 0xffffffff);
	ck_assert_uint_eq(msr(0x488), 0x2000);
	ck_assert_uint_eq(msr(0x489), 0x3767ff);
	ck_assert(!vmx_caps_read_msr(&caps, 0x47f, &value));
	ck_assert(msr(0x492) & VMX_MASK(PROC3_IPI_VIRTUALIZATION));
	ck_assert(!(msr(0x492) & ~0x1dfull));		     /* what the SDM names */
	ck_assert_uint_eq(msr(0x491), 1);		     /* EPTP switching */
	ck_assert_uint_eq(msr(0x492), caps.may1[VMX_PROC3]); /* allowed 1-settings in all 64 bits */
	ck_assert_uint_eq(msr(0x492) & 14, 14);
	ck_assert_uint_eq(msr(0x493), caps.may1[VMX_EXIT2]);
	ck_assert(!vmx_caps_read_msr(&caps, 0x494, &value));
}
END_TEST

START_TEST(region_keeps_a_vmcs)
{
	struct physmem mem;
	struct vmcs a, b;
	bool launched;
	u8 head[4];

	ck_assert(physmem_init(&mem, 1 << 20));
	memset(&a, 0x5a, sizeof(a));
	store_le32(head, VMX_REVISION | VMCS_SHADOW_INDICATOR);
	dma_write(&mem, 0x3000, head, 4);
	vmcs_region_store(&mem, 0x3000, &a, true);
	ck_assert_uint_eq(vmcs_region_revision(&mem, 0x3000), VMX_REVISION | VMCS_SHADOW_INDICATOR);
	vmcs_region_load(&mem, 0x3000, &b, &launched);
	ck_assert(launched);
	ck_assert_mem_eq(&a, &b, sizeof(a));
	vmcs_region_set_clear(&mem, 0x3000);
	vmcs_region_load(&mem, 0x3000, &b, &launched);
	ck_assert(!launched);
	vmcs_region_set_abort(&mem, 0x3000, 4);
	dma_read(&mem, 0x3004, head, 4);
	ck_assert_uint_eq(load_le32(head), 4);
	/* outside RAM: ones, and nothing is written */
	vmcs_region_store(&mem, 0x40000000, &a, true);
	vmcs_region_load(&mem, 0x40000000, &b, &launched);
	ck_assert(!launched);
	ck_assert_uint_eq(b.guest.rip, ~0ull);
	physmem_free(&mem);
}
END_TEST

START_TEST(print_names_controls_and_reasons)
{
	static struct vmcs vmcs;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	vmcs.ctl.proc = VMX_MASK(PROC_HLT_EXITING) | VMX_MASK(PROC_USE_MSR_BITMAPS);
	vmcs.info.exit_reason = EXIT_REASON_EPT_VIOLATION;
	vmcs.info.instruction_error = 7;
	caps.may1[VMX_PROC2] &= ~(u64)VMX_MASK(PROC2_ENABLE_PML);
	vmcs_caps_init(&caps);
	vmcs_print(&caps, &vmcs, out);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text, "HLT_EXITING|USE_MSR_BITMAPS"));
	ck_assert_ptr_nonnull(strstr(text, "EPT_VIOLATION"));
	ck_assert_ptr_nonnull(strstr(text, "VM entry with invalid control field(s)"));
	ck_assert_ptr_null(strstr(text, "PML_INDEX"));
	free(text);
	ck_assert_ptr_null(exit_reason_name(35));
	ck_assert_ptr_null(exit_reason_name(0xffff));
	ck_assert_ptr_null(instruction_error_text(14));
}
END_TEST

Suite *vmx_tables_suite(void)
{
	Suite *s = suite_create("vmx_tables");
	TCase *t = tcase_create("tables");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, every_field_round_trips_alone);
	tcase_add_test(t, high_half_exists_for_64_bit_fields_only);
	tcase_add_test(t, absent_encodings_are_refused);
	tcase_add_test(t, fields_follow_the_model);
	tcase_add_test(t, vmcs_enum_is_the_highest_index);
	tcase_add_test(t, writes_name_their_group);
	tcase_add_test(t, read_only_fields_need_misc_29);
	tcase_add_test(t, capability_words_agree);
	tcase_add_test(t, each_control_against_its_capability_word);
	tcase_add_test(t, a_masked_control_is_gone);
	tcase_add_test(t, masked_capabilities_are_gone);
	tcase_add_test(t, single_capability_msrs);
	tcase_add_test(t, region_keeps_a_vmcs);
	tcase_add_test(t, print_names_controls_and_reasons);
	suite_add_tcase(s, t);
	return s;
}
