/*
 * The checks of VM entry. A VMCS that passes them all is broken in one place at a time; the rule
 * that fails must be the one named, and its group must give the SDM's consequence. Every rule of
 * entry_checks.def and every pair of control_rules.def has at least one row here or is named as
 * unreachable.
 */
#include <check.h>

#include "vmx/check.h"

Suite *vmx_entry_suite(void);

#define CURRENT 0x5000ull
#define LINKED 0x6000ull
#define VAPIC 0x8000ull
#define GUEST_CR3 0x9000ull

static struct vmx_caps caps;
static u32 linked_revision;
static u8 vtpr;
static u64 pdpte_in_memory;

static u64 read_memory(void *owner, u64 paddr, unsigned size)
{
	(void)owner;
	(void)size;
	if (paddr == LINKED)
		return linked_revision;
	if (paddr == CURRENT)
		return VMX_REVISION;
	if (paddr == VAPIC + 0x80)
		return vtpr;
	return paddr == GUEST_CR3 + 16 ? pdpte_in_memory : 0;
}

static const struct vmx_check_env env = {
	.caps = &caps,
	.current_ptr = CURRENT,
	.efer_valid = 0xd01,
	.debugctl_valid = 3,
	.lma = true,
	.read = read_memory,
};

/* --- the VMCS that passes --- */

enum op { NONE, SET, OR, CLR };

struct edit {
	u32 field;
	enum op op;
	u64 value;
};

#define PIN_F VMCS_PIN_BASED_VM_EXECUTION_CONTROLS
#define PROC_F VMCS_PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS
#define PROC2_F VMCS_SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS
#define PROC3_F VMCS_TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS
#define EXIT2_F VMCS_SECONDARY_VM_EXIT_CONTROLS
#define EXIT_F VMCS_PRIMARY_VM_EXIT_CONTROLS
#define ENTRY_F VMCS_VM_ENTRY_CONTROLS
#define INJECT_F VMCS_VM_ENTRY_INTERRUPTION_INFORMATION
#define M(control) VMX_MASK(control)

static const struct edit base[] = {
	{PIN_F, SET, 0x16},
	{PROC_F, SET, 0x04006172 | M(PROC_ACTIVATE_SECONDARY_CONTROLS)},
	{EXIT_F, SET,
	 0x36dff | M(EXIT_HOST_ADDRESS_SPACE_SIZE) | M(EXIT_LOAD_IA32_EFER) |
		 M(EXIT_LOAD_IA32_PAT)},
	{ENTRY_F, SET,
	 0x11ff | M(ENTRY_IA32E_MODE_GUEST) | M(ENTRY_LOAD_IA32_EFER) | M(ENTRY_LOAD_IA32_PAT)},
	{VMCS_VMCS_LINK_POINTER, SET, ~0ull},
	{VMCS_VIRTUAL_APIC_ADDRESS, SET, VAPIC},
	{VMCS_EPT_POINTER, SET, 0x4000 | 6 | 3 << 3},
	{VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, SET, 1},
	{VMCS_TSC_MULTIPLIER, SET, 1ull << 48},
	{VMCS_HOST_CR0, SET, 0x80000031},
	{VMCS_HOST_CR3, SET, 0x1000},
	{VMCS_HOST_CR4, SET, 0x2020},
	{VMCS_HOST_CS_SELECTOR, SET, 8},
	{VMCS_HOST_SS_SELECTOR, SET, 16},
	{VMCS_HOST_TR_SELECTOR, SET, 24},
	{VMCS_HOST_IA32_EFER, SET, 0x500},
	{VMCS_HOST_IA32_PAT, SET, 0x0007040600070406},
	{VMCS_GUEST_CR0, SET, 0x80000031},
	{VMCS_GUEST_CR3, SET, GUEST_CR3},
	{VMCS_GUEST_CR4, SET, 0x2020},
	{VMCS_GUEST_IA32_EFER, SET, 0x500},
	{VMCS_GUEST_IA32_PAT, SET, 0x0007040600070406},
	{VMCS_GUEST_DR7, SET, 0x400},
	{VMCS_GUEST_RFLAGS, SET, 0x202},
	{VMCS_GUEST_CS_ACCESS_RIGHTS, SET, 0xa09b},
	{VMCS_GUEST_CS_LIMIT, SET, 0xffffffff},
	{VMCS_GUEST_SS_ACCESS_RIGHTS, SET, 0xc093},
	{VMCS_GUEST_SS_LIMIT, SET, 0xffffffff},
	{VMCS_GUEST_DS_ACCESS_RIGHTS, SET, 0xc093},
	{VMCS_GUEST_DS_LIMIT, SET, 0xffffffff},
	{VMCS_GUEST_ES_ACCESS_RIGHTS, SET, 0xc093},
	{VMCS_GUEST_ES_LIMIT, SET, 0xffffffff},
	{VMCS_GUEST_FS_ACCESS_RIGHTS, SET, 0xc093},
	{VMCS_GUEST_FS_LIMIT, SET, 0xffffffff},
	{VMCS_GUEST_GS_ACCESS_RIGHTS, SET, 0xc093},
	{VMCS_GUEST_GS_LIMIT, SET, 0xffffffff},
	{VMCS_GUEST_TR_ACCESS_RIGHTS, SET, 0x8b},
	{VMCS_GUEST_TR_LIMIT, SET, 0x67},
	{VMCS_GUEST_LDTR_ACCESS_RIGHTS, SET, 0x82},
	{VMCS_GUEST_LDTR_LIMIT, SET, 0xffff},
};

/* Edits of the base that make another kind of valid guest. */
#define USE2(control)                                                                              \
	{                                                                                          \
		PROC2_F, OR, M(control)                                                            \
	}
#define USE(control)                                                                               \
	{                                                                                          \
		PROC_F, OR, M(control)                                                             \
	}
#define EPT_UG                                                                                     \
	{                                                                                          \
		PROC2_F, OR, M(PROC2_ENABLE_EPT) | M(PROC2_UNRESTRICTED_GUEST)                     \
	}
/* 32-bit protected mode, PAE paging */
#define PAE32                                                                                      \
	{ENTRY_F, CLR, M(ENTRY_IA32E_MODE_GUEST)}, {VMCS_GUEST_IA32_EFER, SET, 0},                 \
	{                                                                                          \
		VMCS_GUEST_CS_ACCESS_RIGHTS, SET, 0xc09b                                           \
	}
#define INJECT(type, vector, more)                                                                 \
	{                                                                                          \
		INJECT_F, SET, 0x80000000u | (type) << 8 | (vector) | (more)                       \
	}

static void apply(struct vmcs *vmcs, const struct edit *e)
{
	u64 old;

	if (e->op == NONE)
		return;
	ck_assert_uint_eq(vmcs_read(&caps, vmcs, e->field, &old), 0);
	ck_assert_uint_eq(vmcs_write(&caps, vmcs, e->field,
				     e->op == SET  ? e->value
				     : e->op == OR ? old | e->value
						   : old & ~e->value,
				     NULL),
			  0);
}

static void make_valid(struct vmcs *vmcs)
{
	memset(vmcs, 0, sizeof(*vmcs));
	for (unsigned i = 0; i < ARRAY_SIZE(base); i++)
		apply(vmcs, &base[i]);
}

static void setup(void)
{
	struct vmx_model_mask m;

	vmx_model_mask_all(&m, 0x3767ff, 46, 48);
	vmx_caps_init(&caps, &m);
	linked_revision = VMX_REVISION | VMCS_SHADOW_INDICATOR;
	vtpr = 0x20;
	pdpte_in_memory = 0;
	/* the words that need another one to be activated */
	caps.may1[VMX_PROC] |= VMX_MASK(PROC_ACTIVATE_TERTIARY_CONTROLS);
	caps.may1[VMX_EXIT] |= VMX_MASK(EXIT_ACTIVATE_SECONDARY_CONTROLS);
	vmcs_caps_init(&caps);
}

static struct vmx_failure run_checks(const struct vmcs *vmcs)
{
	struct vmx_check c;

	vmx_check_init(&c, &env, vmcs);
	(void)(vmx_check_controls(&c) && vmx_check_vtpr(&c) && vmx_check_injection(&c) &&
	       vmx_check_host(&c) && vmx_check_host_now(&c) && vmx_check_guest_registers(&c) &&
	       vmx_check_guest_segments(&c) && vmx_check_guest_state(&c) &&
	       vmx_check_link_pointer(&c) && vmx_check_pdptes(&c));
	return c.fail;
}

/* --- one row per way to break a rule --- */

struct row {
	enum vmx_rule rule; /* RULE_NONE: still valid */
	struct edit edit[6];
};

static const struct row rows[] = {
	{RULE_NONE, {{0, NONE, 0}}},
	/* control words */
	{RULE_PIN_MUST_BE_1, {{PIN_F, CLR, 2}}},
	{RULE_PIN_MUST_BE_0, {{PIN_F, OR, 0x200}}},
	{RULE_PIN_MUST_BE_0, {{PIN_F, OR, M(PIN_PROCESS_POSTED_INTERRUPTS)}}},
	{RULE_PROC_MUST_BE_1, {{PROC_F, CLR, 2}}},
	{RULE_NONE, {{PROC_F, CLR, M(PROC_CR3_LOAD_EXITING) | M(PROC_CR3_STORE_EXITING)}}},
	{RULE_PROC_MUST_BE_0, {{PROC_F, OR, BIT(18)}}},
	{RULE_PROC2_MUST_BE_0, {USE2(PROC2_ENABLE_PML)}},
	{RULE_NONE, {USE2(PROC2_ENABLE_PML), {PROC_F, CLR, M(PROC_ACTIVATE_SECONDARY_CONTROLS)}}},
	{RULE_EXIT_MUST_BE_1, {{EXIT_F, CLR, 1}}},
	{RULE_NONE, {{EXIT_F, CLR, M(EXIT_SAVE_DEBUG_CONTROLS)}}},
	{RULE_EXIT_MUST_BE_0, {{EXIT_F, OR, M(EXIT_LOAD_IA32_PERF_GLOBAL_CTRL)}}},
	{RULE_PROC3_MUST_BE_0, {USE(PROC_ACTIVATE_TERTIARY_CONTROLS), {PROC3_F, OR, BIT(63)}}},
	{RULE_EXIT2_MUST_BE_0,
	 {{EXIT_F, OR, M(EXIT_ACTIVATE_SECONDARY_CONTROLS)}, {EXIT2_F, OR, BIT(63)}}},
	{RULE_ENTRY_MUST_BE_1, {{ENTRY_F, CLR, 1}}},
	{RULE_ENTRY_MUST_BE_0, {{ENTRY_F, OR, M(ENTRY_ENTRY_TO_SMM)}}},
	/* controls that depend on each other */
	{RULE_CONTROL_PAIR, {USE2(PROC2_VIRTUALIZE_X2APIC_MODE)}},
	{RULE_NONE, {USE2(PROC2_VIRTUALIZE_X2APIC_MODE), USE(PROC_USE_TPR_SHADOW)}},
	{RULE_CONTROL_PAIR,
	 {USE2(PROC2_VIRTUALIZE_X2APIC_MODE), USE(PROC_USE_TPR_SHADOW),
	  USE2(PROC2_VIRTUALIZE_APIC_ACCESSES)}},
	{RULE_CONTROL_PAIR, {{PIN_F, OR, M(PIN_VIRTUAL_NMIS)}}},
	{RULE_NONE, {{PIN_F, OR, M(PIN_VIRTUAL_NMIS) | M(PIN_NMI_EXITING)}}},
	{RULE_CONTROL_PAIR, {USE(PROC_NMI_WINDOW_EXITING)}},
	{RULE_CONTROL_PAIR, {{PROC2_F, OR, M(PROC2_UNRESTRICTED_GUEST)}}},
	{RULE_NONE, {EPT_UG}},
	{RULE_CONTROL_PAIR, {{EXIT_F, OR, M(EXIT_SAVE_PREEMPTION_TIMER_VALUE)}}},
	/* what single controls ask for */
	{RULE_CR3_TARGETS, {{VMCS_CR3_TARGET_COUNT, SET, 5}}},
	{RULE_NONE, {{VMCS_CR3_TARGET_COUNT, SET, 4}}},
	{RULE_IO_BITMAP_A, {USE(PROC_USE_IO_BITMAPS), {VMCS_ADDRESS_OF_IO_BITMAP_A, SET, 0x1800}}},
	{RULE_IO_BITMAP_A,
	 {USE(PROC_USE_IO_BITMAPS), {VMCS_ADDRESS_OF_IO_BITMAP_A, SET, 1ull << 46}}},
	{RULE_NONE, {{VMCS_ADDRESS_OF_IO_BITMAP_A, SET, 0x1800}}},
	{RULE_IO_BITMAP_B, {USE(PROC_USE_IO_BITMAPS), {VMCS_ADDRESS_OF_IO_BITMAP_B, SET, 1}}},
	{RULE_MSR_BITMAPS, {USE(PROC_USE_MSR_BITMAPS), {VMCS_ADDRESS_OF_MSR_BITMAPS, SET, 8}}},
	{RULE_VIRTUAL_APIC, {USE(PROC_USE_TPR_SHADOW), {VMCS_VIRTUAL_APIC_ADDRESS, SET, 4}}},
	{RULE_TPR_THRESHOLD_RESERVED, {USE(PROC_USE_TPR_SHADOW), {VMCS_TPR_THRESHOLD, SET, 16}}},
	{RULE_TPR_THRESHOLD_VTPR, {USE(PROC_USE_TPR_SHADOW), {VMCS_TPR_THRESHOLD, SET, 3}}},
	{RULE_NONE, {USE(PROC_USE_TPR_SHADOW), {VMCS_TPR_THRESHOLD, SET, 2}}},
	{RULE_NONE,
	 {USE(PROC_USE_TPR_SHADOW),
	  {VMCS_TPR_THRESHOLD, SET, 3},
	  USE2(PROC2_VIRTUALIZE_APIC_ACCESSES)}},
	{RULE_APIC_ACCESS,
	 {USE2(PROC2_VIRTUALIZE_APIC_ACCESSES), {VMCS_APIC_ACCESS_ADDRESS, SET, 0x80}}},
	{RULE_VPID_NOT_0, {USE2(PROC2_ENABLE_VPID), {VMCS_VIRTUAL_PROCESSOR_IDENTIFIER, SET, 0}}},
	{RULE_EPTP_MEMORY_TYPE, {USE2(PROC2_ENABLE_EPT), {VMCS_EPT_POINTER, CLR, 2}}},
	{RULE_NONE, {USE2(PROC2_ENABLE_EPT), {VMCS_EPT_POINTER, CLR, 6}}},
	{RULE_EPTP_WALK_LENGTH, {USE2(PROC2_ENABLE_EPT), {VMCS_EPT_POINTER, OR, 4 << 3}}},
	{RULE_NONE, {USE2(PROC2_ENABLE_EPT), {VMCS_EPT_POINTER, OR, 1 << 6}}},
	{RULE_EPTP_RESERVED, {USE2(PROC2_ENABLE_EPT), {VMCS_EPT_POINTER, OR, 1 << 7}}},
	{RULE_EPTP_RESERVED, {USE2(PROC2_ENABLE_EPT), {VMCS_EPT_POINTER, OR, 1 << 11}}},
	{RULE_EPTP_RESERVED, {USE2(PROC2_ENABLE_EPT), {VMCS_EPT_POINTER, OR, 1ull << 46}}},
	{RULE_VMREAD_BITMAP, {USE2(PROC2_VMCS_SHADOWING), {VMCS_VMREAD_BITMAP_ADDRESS, SET, 1}}},
	{RULE_VMWRITE_BITMAP,
	 {USE2(PROC2_VMCS_SHADOWING), {VMCS_VMWRITE_BITMAP_ADDRESS, SET, 1ull << 50}}},
	{RULE_TSC_MULTIPLIER_NOT_0, {USE2(PROC2_USE_TSC_SCALING), {VMCS_TSC_MULTIPLIER, SET, 0}}},
	{RULE_EXIT_MSR_STORE,
	 {{VMCS_VM_EXIT_MSR_STORE_COUNT, SET, 1}, {VMCS_VM_EXIT_MSR_STORE_ADDRESS, SET, 8}}},
	{RULE_EXIT_MSR_LOAD,
	 {{VMCS_VM_EXIT_MSR_LOAD_COUNT, SET, 1}, {VMCS_VM_EXIT_MSR_LOAD_ADDRESS, SET, 1ull << 46}}},
	/* the last byte is outside */
	{RULE_ENTRY_MSR_LOAD,
	 {{VMCS_VM_ENTRY_MSR_LOAD_COUNT, SET, 2},
	  {VMCS_VM_ENTRY_MSR_LOAD_ADDRESS, SET, (1ull << 46) - 16}}},
	{RULE_NONE,
	 {{VMCS_VM_ENTRY_MSR_LOAD_COUNT, SET, 1},
	  {VMCS_VM_ENTRY_MSR_LOAD_ADDRESS, SET, (1ull << 46) - 16}}},
	/* injection */
	{RULE_INJECT_TYPE, {INJECT(1, 0, 0)}},
	{RULE_INJECT_VECTOR, {INJECT(2, 3, 0)}},
	{RULE_INJECT_VECTOR, {INJECT(3, 32, 0)}},
	{RULE_INJECT_VECTOR, {INJECT(7, 1, 0)}},
	{RULE_NONE, {INJECT(7, 0, 0)}},
	{RULE_NONE, {INJECT(0, 255, 0)}},
	{RULE_INJECT_DELIVER_ERROR, {INJECT(3, 14, 0)}},
	{RULE_NONE, {INJECT(3, 14, 0x800)}},
	{RULE_INJECT_DELIVER_ERROR, {INJECT(3, 6, 0x800)}},
	{RULE_INJECT_DELIVER_ERROR, {INJECT(0, 14, 0x800)}},
	{RULE_INJECT_DELIVER_ERROR,
	 {EPT_UG, PAE32, {VMCS_GUEST_CR0, SET, 0x30}, INJECT(3, 13, 0x800)}},
	{RULE_GUEST_CR0_FIXED, {PAE32, {VMCS_GUEST_CR0, SET, 0x30}, INJECT(3, 13, 0x800)}},
	{RULE_INJECT_RESERVED, {INJECT(3, 6, 0x1000)}},
	{RULE_INJECT_RESERVED, {INJECT(3, 6, 0x40000000)}},
	{RULE_INJECT_ERROR_CODE,
	 {INJECT(3, 13, 0x800), {VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, SET, 0x10000}}},
	{RULE_NONE, {INJECT(3, 6, 0), {VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, SET, 0x10000}}},
	{RULE_INJECT_LENGTH, {INJECT(4, 0x80, 0), {VMCS_VM_ENTRY_INSTRUCTION_LENGTH, SET, 16}}},
	{RULE_NONE, {INJECT(6, 3, 0), {VMCS_VM_ENTRY_INSTRUCTION_LENGTH, SET, 0}}},
	/* host state */
	{RULE_HOST_CR0_FIXED, {{VMCS_HOST_CR0, CLR, 0x20}}},
	{RULE_HOST_CR0_FIXED, {{VMCS_HOST_CR0, OR, 1ull << 32}}},
	{RULE_HOST_CR4_FIXED, {{VMCS_HOST_CR4, CLR, 0x2000}}},
	{RULE_HOST_CR4_FIXED, {{VMCS_HOST_CR4, OR, 1ull << 31}}},
	{RULE_HOST_CR3_WIDTH, {{VMCS_HOST_CR3, OR, 1ull << 46}}},
	{RULE_HOST_SYSENTER_ESP_CANONICAL, {{VMCS_HOST_IA32_SYSENTER_ESP, SET, 1ull << 47}}},
	{RULE_HOST_SYSENTER_EIP_CANONICAL, {{VMCS_HOST_IA32_SYSENTER_EIP, SET, 1ull << 63}}},
	{RULE_HOST_PAT, {{VMCS_HOST_IA32_PAT, SET, 2ull << 56}}},
	{RULE_HOST_PAT, {{VMCS_HOST_IA32_PAT, SET, 3}}},
	{RULE_HOST_PAT, {{VMCS_HOST_IA32_PAT, SET, 8 << 8}}},
	{RULE_NONE, {{VMCS_HOST_IA32_PAT, SET, 0x0706050401000706}}},
	{RULE_HOST_EFER_RESERVED, {{VMCS_HOST_IA32_EFER, OR, 2}}},
	{RULE_HOST_EFER_LMA, {{VMCS_HOST_IA32_EFER, CLR, 0x400}}},
	{RULE_HOST_EFER_LME, {{VMCS_HOST_IA32_EFER, CLR, 0x100}}},
	{RULE_HOST_SELECTOR_RPL_TI, {{VMCS_HOST_ES_SELECTOR, SET, 1}}},
	{RULE_HOST_SELECTOR_RPL_TI, {{VMCS_HOST_GS_SELECTOR, SET, 4}}},
	{RULE_HOST_SELECTOR_RPL_TI, {{VMCS_HOST_TR_SELECTOR, OR, 2}}},
	{RULE_HOST_CS_NOT_0, {{VMCS_HOST_CS_SELECTOR, SET, 0}}},
	{RULE_HOST_TR_NOT_0, {{VMCS_HOST_TR_SELECTOR, SET, 0}}},
	{RULE_NONE, {{VMCS_HOST_SS_SELECTOR, SET, 0}}},
	{RULE_HOST_SS_NOT_0,
	 {{EXIT_F, CLR, M(EXIT_HOST_ADDRESS_SPACE_SIZE)},
	  {VMCS_HOST_IA32_EFER, SET, 0},
	  {VMCS_HOST_SS_SELECTOR, SET, 0}}},
	{RULE_HOST_BASE_CANONICAL, {{VMCS_HOST_FS_BASE, SET, 1ull << 48}}},
	{RULE_HOST_BASE_CANONICAL, {{VMCS_HOST_IDTR_BASE, SET, 1ull << 47}}},
	{RULE_HOST_SIZE_NOW,
	 {{EXIT_F, CLR, M(EXIT_HOST_ADDRESS_SPACE_SIZE)}, {VMCS_HOST_IA32_EFER, SET, 0}, PAE32}},
	{RULE_GUEST_SIZE_NOW,
	 {{EXIT_F, CLR, M(EXIT_HOST_ADDRESS_SPACE_SIZE)}, {VMCS_HOST_IA32_EFER, SET, 0}}},
	{RULE_HOST_PCIDE,
	 {{EXIT_F, CLR, M(EXIT_HOST_ADDRESS_SPACE_SIZE)},
	  {VMCS_HOST_IA32_EFER, SET, 0},
	  {ENTRY_F, CLR, M(ENTRY_IA32E_MODE_GUEST)},
	  {VMCS_HOST_CR4, OR, 1 << 17}}},
	{RULE_HOST_RIP_32,
	 {{EXIT_F, CLR, M(EXIT_HOST_ADDRESS_SPACE_SIZE)},
	  {VMCS_HOST_IA32_EFER, SET, 0},
	  {ENTRY_F, CLR, M(ENTRY_IA32E_MODE_GUEST)},
	  {VMCS_HOST_RIP, SET, 1ull << 32}}},
	{RULE_HOST_PAE, {{VMCS_HOST_CR4, CLR, 0x20}}},
	{RULE_HOST_RIP_CANONICAL, {{VMCS_HOST_RIP, SET, 1ull << 47}}},
	/* guest control registers and MSRs */
	{RULE_GUEST_CR0_FIXED, {{VMCS_GUEST_CR0, CLR, 0x20}}},
	{RULE_GUEST_CR0_FIXED, {PAE32, {VMCS_GUEST_CR0, CLR, 0x80000000}}},
	{RULE_NONE, {EPT_UG, PAE32, {VMCS_GUEST_CR0, CLR, 0x80000000}}},
	{RULE_GUEST_CR0_PG_PE, {EPT_UG, PAE32, {VMCS_GUEST_CR0, CLR, 1}}},
	{RULE_GUEST_CR4_FIXED, {{VMCS_GUEST_CR4, CLR, 0x2000}}},
	{RULE_GUEST_DEBUGCTL, {{VMCS_GUEST_IA32_DEBUGCTL, SET, 4}}},
	{RULE_NONE,
	 {{VMCS_GUEST_IA32_DEBUGCTL, SET, 4}, {ENTRY_F, CLR, M(ENTRY_LOAD_DEBUG_CONTROLS)}}},
	{RULE_GUEST_IA32E_PG, {EPT_UG, {VMCS_GUEST_CR0, CLR, 0x80000000}}},
	{RULE_GUEST_IA32E_PAE, {{VMCS_GUEST_CR4, CLR, 0x20}}},
	{RULE_GUEST_PCIDE, {PAE32, {VMCS_GUEST_CR4, OR, 1 << 17}}},
	{RULE_GUEST_CR3_WIDTH, {{VMCS_GUEST_CR3, OR, 1ull << 46}}},
	{RULE_GUEST_DR7_32, {{VMCS_GUEST_DR7, OR, 1ull << 32}}},
	{RULE_GUEST_SYSENTER_ESP_CANONICAL, {{VMCS_GUEST_IA32_SYSENTER_ESP, SET, 1ull << 47}}},
	{RULE_GUEST_SYSENTER_EIP_CANONICAL, {{VMCS_GUEST_IA32_SYSENTER_EIP, SET, 1ull << 47}}},
	{RULE_GUEST_PAT, {{VMCS_GUEST_IA32_PAT, SET, 2 << 16}}},
	{RULE_GUEST_EFER_RESERVED, {{VMCS_GUEST_IA32_EFER, OR, 1 << 12}}},
	{RULE_GUEST_EFER_LMA, {{VMCS_GUEST_IA32_EFER, CLR, 0x400}}},
	{RULE_GUEST_EFER_LME, {{VMCS_GUEST_IA32_EFER, CLR, 0x100}}},
	/* guest segments */
	{RULE_TR_TI, {{VMCS_GUEST_TR_SELECTOR, OR, 4}}},
	{RULE_LDTR_TI, {{VMCS_GUEST_LDTR_SELECTOR, OR, 4}}},
	{RULE_NONE,
	 {{VMCS_GUEST_LDTR_SELECTOR, OR, 4}, {VMCS_GUEST_LDTR_ACCESS_RIGHTS, SET, 0x10000}}},
	{RULE_SS_RPL, {{VMCS_GUEST_SS_SELECTOR, SET, 3}}},
	{RULE_BASE_CANONICAL, {{VMCS_GUEST_TR_BASE, SET, 1ull << 47}}},
	{RULE_BASE_CANONICAL, {{VMCS_GUEST_FS_BASE, SET, 1ull << 47}}},
	{RULE_BASE_CANONICAL, {{VMCS_GUEST_GS_BASE, SET, 1ull << 47}}},
	{RULE_BASE_CANONICAL, {{VMCS_GUEST_LDTR_BASE, SET, 1ull << 47}}},
	{RULE_BASE_32, {{VMCS_GUEST_CS_BASE, SET, 1ull << 32}}},
	{RULE_BASE_32, {{VMCS_GUEST_DS_BASE, SET, 1ull << 32}}},
	{RULE_NONE,
	 {{VMCS_GUEST_DS_BASE, SET, 1ull << 32}, {VMCS_GUEST_DS_ACCESS_RIGHTS, OR, 0x10000}}},
	{RULE_CS_TYPE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, SET, 0xa093}}},
	{RULE_CS_TYPE, {{VMCS_GUEST_CS_ACCESS_RIGHTS, CLR, 1}}},
	{RULE_NONE, {EPT_UG, {VMCS_GUEST_CS_ACCESS_RIGHTS, SET, 0xa093}}},
	{RULE_SS_TYPE, {{VMCS_GUEST_SS_ACCESS_RIGHTS, CLR, 2}}},
	{RULE_NONE, {{VMCS_GUEST_SS_ACCESS_RIGHTS, SET, 0x10000}}},
	{RULE_DATA_TYPE, {{VMCS_GUEST_ES_ACCESS_RIGHTS, CLR, 1}}},
	{RULE_DATA_TYPE, {{VMCS_GUEST_GS_ACCESS_RIGHTS, SET, 0xc099}}},
	{RULE_SEG_S, {{VMCS_GUEST_CS_ACCESS_RIGHTS, CLR, 0x10}}},
	{RULE_SEG_S, {{VMCS_GUEST_FS_ACCESS_RIGHTS, CLR, 0x10}}},
	{RULE_CS_DPL, {{VMCS_GUEST_CS_ACCESS_RIGHTS, OR, 0x60}}},
	{RULE_CS_DPL, {EPT_UG, {VMCS_GUEST_CS_ACCESS_RIGHTS, SET, 0xa0b3}}},
	{RULE_CS_DPL, {{VMCS_GUEST_CS_ACCESS_RIGHTS, SET, 0xa0ff}}},
	{RULE_SS_DPL,
	 {{VMCS_GUEST_SS_ACCESS_RIGHTS, OR, 0x60}, {VMCS_GUEST_CS_ACCESS_RIGHTS, OR, 0x60}}},
	{RULE_SS_DPL_0,
	 {EPT_UG,
	  {VMCS_GUEST_SS_ACCESS_RIGHTS, OR, 0x60},
	  {VMCS_GUEST_CS_ACCESS_RIGHTS, SET, 0xa093}}},
	{RULE_DATA_DPL, {{VMCS_GUEST_DS_SELECTOR, SET, 3}}},
	{RULE_NONE, {EPT_UG, {VMCS_GUEST_DS_SELECTOR, SET, 3}}},
	{RULE_SEG_P, {{VMCS_GUEST_CS_ACCESS_RIGHTS, CLR, 0x80}}},
	{RULE_SEG_P, {{VMCS_GUEST_TR_ACCESS_RIGHTS, CLR, 0x80}}},
	{RULE_SEG_RESERVED_11_8, {{VMCS_GUEST_SS_ACCESS_RIGHTS, OR, 0x100}}},
	{RULE_SEG_RESERVED_11_8, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, OR, 0x800}}},
	{RULE_CS_L_D, {{VMCS_GUEST_CS_ACCESS_RIGHTS, OR, 0x4000}}},
	{RULE_SEG_G_LOW, {{VMCS_GUEST_DS_LIMIT, SET, 0xfffff000}}},
	{RULE_SEG_G_HIGH, {{VMCS_GUEST_TR_LIMIT, SET, 0x100067}}},
	{RULE_SEG_RESERVED_31_17, {{VMCS_GUEST_ES_ACCESS_RIGHTS, OR, 1 << 17}}},
	{RULE_TR_TYPE, {{VMCS_GUEST_TR_ACCESS_RIGHTS, SET, 0x83}}},
	{RULE_NONE, {PAE32, {VMCS_GUEST_TR_ACCESS_RIGHTS, SET, 0x83}}},
	{RULE_TR_USABLE, {{VMCS_GUEST_TR_ACCESS_RIGHTS, OR, 0x10000}}},
	{RULE_LDTR_TYPE, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, SET, 0x8b}}},
	{RULE_SYSTEM_S, {{VMCS_GUEST_TR_ACCESS_RIGHTS, OR, 0x10}}},
	{RULE_SYSTEM_S, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, OR, 0x10}}},
	/* descriptor tables, RIP, RFLAGS */
	{RULE_GDTR_CANONICAL, {{VMCS_GUEST_GDTR_BASE, SET, 1ull << 47}}},
	{RULE_IDTR_CANONICAL, {{VMCS_GUEST_IDTR_BASE, SET, 1ull << 47}}},
	{RULE_GDTR_LIMIT, {{VMCS_GUEST_GDTR_LIMIT, SET, 0x10000}}},
	{RULE_IDTR_LIMIT, {{VMCS_GUEST_IDTR_LIMIT, SET, 0x80000000}}},
	{RULE_RIP_32, {PAE32, {VMCS_GUEST_RIP, SET, 1ull << 32}}},
	{RULE_RIP_IDENTICAL, {{VMCS_GUEST_RIP, SET, 1ull << 48}}},
	{RULE_NONE, {{VMCS_GUEST_RIP, SET, 1ull << 47}}},
	{RULE_RFLAGS_RESERVED, {{VMCS_GUEST_RFLAGS, CLR, 2}}},
	{RULE_RFLAGS_RESERVED, {{VMCS_GUEST_RFLAGS, OR, 8}}},
	{RULE_RFLAGS_RESERVED, {{VMCS_GUEST_RFLAGS, OR, 1 << 22}}},
	{RULE_RFLAGS_VM, {{VMCS_GUEST_RFLAGS, OR, 1 << 17}}},
	{RULE_RFLAGS_IF, {INJECT(0, 32, 0), {VMCS_GUEST_RFLAGS, CLR, 0x200}}},
	/* non-register state */
	{RULE_ACTIVITY, {{VMCS_GUEST_ACTIVITY_STATE, SET, 4}}},
	{RULE_NONE, {{VMCS_GUEST_ACTIVITY_STATE, SET, 3}}},
	{RULE_ACTIVITY_HLT_DPL,
	 {EPT_UG,
	  {VMCS_GUEST_ACTIVITY_STATE, SET, 1},
	  {VMCS_GUEST_SS_ACCESS_RIGHTS, OR, 0x60},
	  {VMCS_GUEST_CS_ACCESS_RIGHTS, OR, 0x60}}},
	{RULE_ACTIVITY_BLOCKING,
	 {{VMCS_GUEST_ACTIVITY_STATE, SET, 1}, {VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 1}}},
	{RULE_ACTIVITY_INJECT, {{VMCS_GUEST_ACTIVITY_STATE, SET, 1}, INJECT(3, 6, 0)}},
	{RULE_NONE, {{VMCS_GUEST_ACTIVITY_STATE, SET, 1}, INJECT(3, 1, 0)}},
	{RULE_ACTIVITY_INJECT, {{VMCS_GUEST_ACTIVITY_STATE, SET, 2}, INJECT(0, 32, 0)}},
	{RULE_NONE, {{VMCS_GUEST_ACTIVITY_STATE, SET, 2}, INJECT(2, 2, 0)}},
	{RULE_ACTIVITY_INJECT, {{VMCS_GUEST_ACTIVITY_STATE, SET, 3}, INJECT(2, 2, 0)}},
	{RULE_INTERRUPTIBILITY_RESERVED, {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 16}}},
	{RULE_INTERRUPTIBILITY_BOTH, {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 3}}},
	{RULE_INTERRUPTIBILITY_STI_IF,
	 {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 1}, {VMCS_GUEST_RFLAGS, CLR, 0x200}}},
	{RULE_INTERRUPTIBILITY_EXT_INT,
	 {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 1}, INJECT(0, 32, 0)}},
	{RULE_INTERRUPTIBILITY_NMI, {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 2}, INJECT(2, 2, 0)}},
	{RULE_NONE, {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 1}, INJECT(2, 2, 0)}},
	{RULE_INTERRUPTIBILITY_SMI, {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 4}}},
	{RULE_INTERRUPTIBILITY_VNMI,
	 {{PIN_F, OR, M(PIN_VIRTUAL_NMIS) | M(PIN_NMI_EXITING)},
	  {VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 8},
	  INJECT(2, 2, 0)}},
	{RULE_NONE, {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 8}, INJECT(2, 2, 0)}},
	{RULE_PENDING_DEBUG_RESERVED, {{VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, SET, 0x10}}},
	{RULE_PENDING_DEBUG_RESERVED, {{VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, SET, 1ull << 32}}},
	{RULE_PENDING_DEBUG_RESERVED, {{VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, SET, 1 << 16}}},
	{RULE_PENDING_DEBUG_BS,
	 {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 2}, {VMCS_GUEST_RFLAGS, OR, 0x100}}},
	{RULE_PENDING_DEBUG_BS,
	 {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 2},
	  {VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, SET, 0x4000}}},
	{RULE_NONE,
	 {{VMCS_GUEST_INTERRUPTIBILITY_STATE, SET, 2},
	  {VMCS_GUEST_RFLAGS, OR, 0x100},
	  {VMCS_GUEST_IA32_DEBUGCTL, SET, 2}}},
	{RULE_LINK_ADDRESS, {{VMCS_VMCS_LINK_POINTER, SET, 0x6800}}},
	{RULE_LINK_ADDRESS, {{VMCS_VMCS_LINK_POINTER, SET, 1ull << 46}}},
	{RULE_LINK_REVISION, {{VMCS_VMCS_LINK_POINTER, SET, 0x7000}}},
	{RULE_LINK_SHADOW, {{VMCS_VMCS_LINK_POINTER, SET, LINKED}}},
	{RULE_NONE, {{VMCS_VMCS_LINK_POINTER, SET, LINKED}, USE2(PROC2_VMCS_SHADOWING)}},
	{RULE_LINK_NOT_CURRENT, {{VMCS_VMCS_LINK_POINTER, SET, CURRENT}}},
	/* PDPTEs */
	{RULE_NONE, {PAE32}},
	{RULE_PDPTE_RESERVED, {PAE32, USE2(PROC2_ENABLE_EPT), {VMCS_GUEST_PDPTE3, SET, 3}}},
	{RULE_NONE, {PAE32, USE2(PROC2_ENABLE_EPT), {VMCS_GUEST_PDPTE3, SET, 2}}},
};

/* Never first to fail: unsupported features, or words without bits that must be 1. */
static bool unreachable(enum vmx_rule rule)
{
	return rule == RULE_PROC2_MUST_BE_1 || rule == RULE_EPTP_AD;
}

START_TEST(each_rule_fails_alone)
{
	const struct row *row = &rows[_i];
	static struct vmcs vmcs;
	struct vmx_failure f;

	make_valid(&vmcs);
	for (unsigned i = 0; i < ARRAY_SIZE(row->edit); i++)
		apply(&vmcs, &row->edit[i]);
	f = run_checks(&vmcs);
	ck_assert_msg(f.rule == row->rule, "row %d: %s wanted, %s failed (value %llx)", _i,
		      vmx_rule_text(row->rule)->name, vmx_rule_text((enum vmx_rule)f.rule)->name,
		      (unsigned long long)f.value);
	if (f.rule != RULE_NONE)
		ck_assert_ptr_nonnull(vmcs_field_name(f.field));
}
END_TEST

START_TEST(every_rule_has_a_row)
{
	/* of virtual-8086 mode and of PDPTEs in memory: tests of their own below */
	bool seen[VMX_RULES] = {
		[RULE_V86_BASE] = true, [RULE_V86_LIMIT] = true, [RULE_V86_AR] = true};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		seen[rows[i].rule] = true;
	for (unsigned r = 1; r < VMX_RULES; r++)
		ck_assert_msg(seen[r] != unreachable((enum vmx_rule)r), "rule %s",
			      vmx_rule_text((enum vmx_rule)r)->name);
}
END_TEST

START_TEST(groups_have_their_consequence)
{
	for (unsigned r = 1; r < VMX_RULES; r++) {
		const struct vmx_rule_text *t = vmx_rule_text((enum vmx_rule)r);
		unsigned wanted = t->group <= VMX_GROUP_C3 ? 7 : t->group <= VMX_GROUP_C6 ? 8 : 33;
		u8 qualification = r >= RULE_LINK_ADDRESS && r <= RULE_LINK_NOT_CURRENT ? 4
				   : r == RULE_PDPTE_RESERVED				? 2
											: 0;

		ck_assert_uint_eq(vmx_group_consequence((enum vmx_check_group)t->group), wanted);
		ck_assert_uint_eq(t->qualification, qualification);
		ck_assert(vmx_group_title((enum vmx_check_group)t->group)[0]);
	}
}
END_TEST

static void make_v86(struct vmcs *vmcs)
{
	static const struct edit edits[] = {PAE32, {VMCS_GUEST_RFLAGS, SET, 0x20202}};

	make_valid(vmcs);
	for (unsigned i = 0; i < ARRAY_SIZE(edits); i++)
		apply(vmcs, &edits[i]);
	for (unsigned n = VMCS_ES; n <= VMCS_GS; n++)
		vmcs->guest.seg[n] = (struct vmcs_segment){
			.base = 0x1230, .limit = 0xffff, .ar = 0xf3, .selector = 0x123};
}

START_TEST(virtual_8086_segments)
{
	static struct vmcs vmcs;

	for (unsigned n = VMCS_ES; n <= VMCS_GS; n++) {
		make_v86(&vmcs);
		ck_assert_uint_eq(run_checks(&vmcs).rule, RULE_NONE);
		vmcs.guest.seg[n].base++;
		ck_assert_uint_eq(run_checks(&vmcs).rule, RULE_V86_BASE);
		ck_assert_uint_eq(run_checks(&vmcs).field, VMCS_GUEST_ES_BASE + 2 * n);
		vmcs.guest.seg[n].base--;
		vmcs.guest.seg[n].limit = 0xfffff;
		ck_assert_uint_eq(run_checks(&vmcs).rule, RULE_V86_LIMIT);
		vmcs.guest.seg[n].limit = 0xffff;
		vmcs.guest.seg[n].ar = 0x93;
		ck_assert_uint_eq(run_checks(&vmcs).rule, RULE_V86_AR);
	}
}
END_TEST

START_TEST(pdptes_in_memory_without_ept)
{
	static const struct edit edits[] = {PAE32};
	static struct vmcs vmcs;

	make_valid(&vmcs);
	for (unsigned i = 0; i < ARRAY_SIZE(edits); i++)
		apply(&vmcs, &edits[i]);
	pdpte_in_memory = 0x1001;
	ck_assert_uint_eq(run_checks(&vmcs).rule, RULE_NONE);
	pdpte_in_memory = 0x1003;
	ck_assert_uint_eq(run_checks(&vmcs).rule, RULE_PDPTE_RESERVED);
	ck_assert_uint_eq(run_checks(&vmcs).field, VMCS_GUEST_PDPTE2);
	pdpte_in_memory = 0x1000000000001001 << 2 | 1;
	ck_assert_uint_eq(run_checks(&vmcs).rule, RULE_PDPTE_RESERVED);
}
END_TEST

/* Pairs of controls that can both be set: the rule fails, and its text names them. */
/* Every word, where the CPU has it. */
static const u32 word_field[VMX_WORDS] = {
	[VMX_PIN] = VMCS_PIN_BASED_VM_EXECUTION_CONTROLS,
	[VMX_PROC] = VMCS_PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
	[VMX_PROC2] = VMCS_SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
	[VMX_EXIT] = VMCS_PRIMARY_VM_EXIT_CONTROLS,
	[VMX_ENTRY] = VMCS_VM_ENTRY_CONTROLS,
	[VMX_PROC3] = VMCS_TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
	[VMX_EXIT2] = VMCS_SECONDARY_VM_EXIT_CONTROLS,
};

/* Flips bits of a control word; returns what it holds then. */
static u64 flip_word(struct vmcs *vmcs, unsigned word, u64 flip)
{
	u64 value = 0;

	ck_assert_uint_eq(vmcs_read(&caps, vmcs, word_field[word], &value), 0);
	ck_assert_uint_eq(vmcs_write(&caps, vmcs, word_field[word], value ^ flip, NULL), 0);
	return value ^ flip;
}

static void set_control(struct vmcs *vmcs, enum vmx_control control, bool on)
{
	u64 value = flip_word(vmcs, control >> 6, 0);

	if (!(value & VMX_MASK(control)) == on)
		flip_word(vmcs, control >> 6, VMX_MASK(control));
}

START_TEST(each_pair_of_controls)
{
	static const struct {
		enum vmx_control a, b;
		bool needs;
		const char *text;
	} pairs[] = {
#define NEEDS true
#define BARS false
#define R(a, relation, b) {a, b, relation, #a " " #relation " " #b},
#include "vmx/control_rules.def"
#undef NEEDS
#undef BARS
	};
	static struct vmcs vmcs;

	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct vmx_failure f;

		if (!vmx_may(&caps, pairs[i].a) || !vmx_may(&caps, pairs[i].b))
			continue;
		make_valid(&vmcs);
		set_control(&vmcs, pairs[i].a, true);
		set_control(&vmcs, pairs[i].b, !pairs[i].needs);
		/* keep the other rules of a satisfied */
		if (pairs[i].a == PROC2_VIRTUALIZE_X2APIC_MODE && !pairs[i].needs)
			vmcs.ctl.proc |= M(PROC_USE_TPR_SHADOW);
		f = run_checks(&vmcs);
		ck_assert_uint_eq(f.rule, RULE_CONTROL_PAIR);
		ck_assert_str_eq(f.detail, pairs[i].text);
	}
}
END_TEST

/* Each bit of each control word, flipped alone, against the TRUE capability MSRs. */
START_TEST(each_bit_of_each_word)
{
	static const struct {
		enum vmx_rule one, zero;
	} rules[VMX_WORDS] = {
		{RULE_PIN_MUST_BE_1, RULE_PIN_MUST_BE_0},
		{RULE_PROC_MUST_BE_1, RULE_PROC_MUST_BE_0},
		{RULE_PROC2_MUST_BE_1, RULE_PROC2_MUST_BE_0},
		{RULE_EXIT_MUST_BE_1, RULE_EXIT_MUST_BE_0},
		{RULE_ENTRY_MUST_BE_1, RULE_ENTRY_MUST_BE_0},
		{RULE_NONE, RULE_PROC3_MUST_BE_0},
		{RULE_NONE, RULE_EXIT2_MUST_BE_0},
	};
	static struct vmcs vmcs;

	for (unsigned w = 0; w < VMX_WORDS; w++)
		for (unsigned bit = 0; bit < 8u * VMCS_BYTES(word_field[w]); bit++) {
			u64 value;
			u16 rule;

			make_valid(&vmcs);
			if (vmcs_read(&caps, &vmcs, word_field[w], &value))
				continue;
			set_control(&vmcs, PROC_ACTIVATE_TERTIARY_CONTROLS, true);
			set_control(&vmcs, EXIT_ACTIVATE_SECONDARY_CONTROLS, true);
			value = flip_word(&vmcs, w, BIT(bit));
			rule = run_checks(&vmcs).rule;
			ck_assert_msg((rule == rules[w].one) == (caps.true_must1[w] >> bit & 1 &&
								 !(value >> bit & 1)),
				      "word %u bit %u must be 1: rule %u", w, bit, rule);
			ck_assert_msg((rule == rules[w].zero) == !(caps.may1[w] >> bit & 1),
				      "word %u bit %u must be 0: rule %u", w, bit, rule);
		}
}
END_TEST

Suite *vmx_entry_suite(void)
{
	Suite *s = suite_create("vmx_entry");
	TCase *t = tcase_create("checks");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_loop_test(t, each_rule_fails_alone, 0, (int)ARRAY_SIZE(rows));
	tcase_add_test(t, every_rule_has_a_row);
	tcase_add_test(t, groups_have_their_consequence);
	tcase_add_test(t, virtual_8086_segments);
	tcase_add_test(t, pdptes_in_memory_without_ept);
	tcase_add_test(t, each_pair_of_controls);
	tcase_add_test(t, each_bit_of_each_word);
	suite_add_tcase(s, t);
	return s;
}
