/*
 * The processor that our guest sees: the capability MSRs that we answer. We offer what this file's
 * sums say and nothing else, so a guest's VMCS never asks for more than the rest of nest can do.
 * SDM vol. 3, appendix "VMX Capability Reporting Facility".
 *
 * HLT exiting and unconditional I/O exiting are reported as bits that must be 1, and there are no
 * MSR bitmaps and no CR3-target values: hence every exit of our guest's guest is one that our guest
 * wants, except an EPT violation that its own EPT has an answer to.
 */
#include "level.h"

static u64 must_and_may(u64 must, u64 may)
{
	return must | (must | may) << 32;
}

static u64 highest_field_index(void)
{
	static const u16 encoding[] = {
#define VMCS_FIELD(name, field, role) (field),
#include "vmcs.def"
	};
	u64 highest = 0;

	for (u32 i = 0; i < SLOT_COUNT; i++) {
		u64 index = encoding[i] >> 1 & 0x1ff;

		highest = index > highest ? index : highest;
	}
	return highest << 1;
}

void capabilities_offer(struct level *l)
{
	struct vmx_capabilities *offered = &l->offered;
	u64 always = PRIMARY_HLT_EXITING | PRIMARY_UNCONDITIONAL_IO_EXITING;
	u64 secondary = SECONDARY_ENABLE_EPT | (l->secondary & SECONDARY_ENABLE_VPID);

	if (l->shadowing)
		secondary |= SECONDARY_VMCS_SHADOWING;
	offered->basic = VMCS_REVISION | PAGE_SIZE << BASIC_REGION_SIZE_SHIFT |
			 6ull << BASIC_MEMORY_TYPE_SHIFT | BASIC_TRUE_CONTROLS;
	offered->pin = must_and_may(DEFAULT1_PIN, 0);
	offered->primary = must_and_may(TRUE_DEFAULT1_PRIMARY | always,
					DEFAULT1_PRIMARY | PRIMARY_ACTIVATE_SECONDARY_CONTROLS);
	offered->secondary = must_and_may(0, secondary);
	offered->exit =
		must_and_may(TRUE_DEFAULT1_EXIT, DEFAULT1_EXIT | EXIT_HOST_ADDRESS_SPACE_SIZE);
	offered->entry = must_and_may(TRUE_DEFAULT1_ENTRY, DEFAULT1_ENTRY | ENTRY_IA32E_MODE_GUEST);
	offered->misc = l->shadowing ? MISC_VMWRITE_ANY_FIELD : 0;
	offered->cr0_fixed0 = l->has.cr0_fixed0;
	offered->cr0_fixed1 = l->has.cr0_fixed1;
	offered->cr4_fixed0 = l->has.cr4_fixed0;
	offered->cr4_fixed1 = l->has.cr4_fixed1;
	offered->vmcs_enum = highest_field_index();
	/* large pages even when ours are small: composing cuts them up */
	offered->ept_vpid = EPT_CAP_4_LEVELS | EPT_CAP_WRITE_BACK | EPT_CAP_2M_PAGES |
			    EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL;
	if (secondary & SECONDARY_ENABLE_VPID)
		offered->ept_vpid |= EPT_CAP_INVVPID | EPT_CAP_INVVPID_SINGLE | EPT_CAP_INVVPID_ALL;
}

/* RDMSR of our guest. False: no such MSR. */
bool capabilities_msr(struct level *l, u32 msr, u64 *value)
{
	const struct vmx_capabilities *offered = &l->offered;
	const u64 values[] = {
		[IA32_VMX_BASIC - IA32_VMX_BASIC] = offered->basic,
		[IA32_VMX_PINBASED_CTLS - IA32_VMX_BASIC] = offered->pin | DEFAULT1_PIN,
		[IA32_VMX_PROCBASED_CTLS - IA32_VMX_BASIC] = offered->primary | DEFAULT1_PRIMARY,
		[IA32_VMX_EXIT_CTLS - IA32_VMX_BASIC] = offered->exit | DEFAULT1_EXIT,
		[IA32_VMX_ENTRY_CTLS - IA32_VMX_BASIC] = offered->entry | DEFAULT1_ENTRY,
		[IA32_VMX_MISC - IA32_VMX_BASIC] = offered->misc,
		[IA32_VMX_CR0_FIXED0 - IA32_VMX_BASIC] = offered->cr0_fixed0,
		[IA32_VMX_CR0_FIXED1 - IA32_VMX_BASIC] = offered->cr0_fixed1,
		[IA32_VMX_CR4_FIXED0 - IA32_VMX_BASIC] = offered->cr4_fixed0,
		[IA32_VMX_CR4_FIXED1 - IA32_VMX_BASIC] = offered->cr4_fixed1,
		[IA32_VMX_VMCS_ENUM - IA32_VMX_BASIC] = offered->vmcs_enum,
		[IA32_VMX_PROCBASED_CTLS2 - IA32_VMX_BASIC] = offered->secondary,
		[IA32_VMX_EPT_VPID_CAP - IA32_VMX_BASIC] = offered->ept_vpid,
		[IA32_VMX_TRUE_PINBASED_CTLS - IA32_VMX_BASIC] = offered->pin,
		[IA32_VMX_TRUE_PROCBASED_CTLS - IA32_VMX_BASIC] = offered->primary,
		[IA32_VMX_TRUE_EXIT_CTLS - IA32_VMX_BASIC] = offered->exit,
		[IA32_VMX_TRUE_ENTRY_CTLS - IA32_VMX_BASIC] = offered->entry,
	};

	if (msr - IA32_VMX_BASIC >= sizeof(values) / sizeof(values[0]))
		return false;
	*value = values[msr - IA32_VMX_BASIC];
	return true;
}

/* Is a control word one that the capability MSR allows? */
bool controls_allowed(u64 capability, u64 value)
{
	u64 must = capability & 0xffffffff, may = capability >> 32;

	return (value & must) == must && !(value & ~may);
}
