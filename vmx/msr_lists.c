/*
 * The MSR lists of VM entry and VM exit (SDM Vol. 3, "Loading MSRs", "Saving MSRs"). The rules stand
 * in rules_msr.def; those of one list follow each other in the order of enum list_rule.
 *
 * Left out: MSRs that a processor may refuse for reasons of its own.
 */
#include "vmx/internal.h"

#define MSR_BIOS_UPDT_TRIG 0x79
#define MSR_SMM_MONITOR_CTL 0x9b
#define MSR_SMBASE 0x9e
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101

enum list_rule {
	LIST_COUNT,
	LIST_RESERVED,
	LIST_X2APIC,
	LOAD_FS_BASE,
	LOAD_GS_BASE,
	LOAD_SMM,
	LOAD_MICROCODE,
	LOAD_WRMSR,
	STORE_SMBASE = LIST_X2APIC + 1,
	STORE_RDMSR,
	KEPT = LOAD_WRMSR + 1
};

#define LIST_RULES(list, last)                                                                     \
	_Static_assert(RULE_##list##_##last == (unsigned)RULE_##list##_COUNT + (last##_IN_LIST),   \
		       "the rules of a list follow each other")
#define WRMSR_IN_LIST LOAD_WRMSR
#define RDMSR_IN_LIST STORE_RDMSR
LIST_RULES(ENTRY_LOAD, WRMSR);
LIST_RULES(EXIT_LOAD, WRMSR);
LIST_RULES(EXIT_STORE, RDMSR);

static enum list_rule entry_refused(u32 i, u32 msr, u32 reserved)
{
	if (i == VMX_MSR_LIST_MAX)
		return LIST_COUNT;
	if (reserved)
		return LIST_RESERVED;
	return msr >> 8 == 8 ? LIST_X2APIC : KEPT;
}

static enum list_rule load_refused(u32 i, u32 msr, u32 reserved)
{
	switch (msr) {
	case MSR_FS_BASE:
		return LOAD_FS_BASE;
	case MSR_GS_BASE:
		return LOAD_GS_BASE;
	case MSR_SMM_MONITOR_CTL:
		return LOAD_SMM;
	case MSR_BIOS_UPDT_TRIG:
		return LOAD_MICROCODE;
	default:
		return entry_refused(i, msr, reserved);
	}
}

static struct msr_list_end refused(enum vmx_rule first, enum list_rule rule, u32 i, u64 value)
{
	return (struct msr_list_end){(enum vmx_rule)(first + rule), i + 1, value};
}

struct msr_list_end msr_list_store(struct vcpu *v, u64 addr, u32 count)
{
	const enum vmx_rule first = RULE_EXIT_STORE_COUNT;

	for (u32 i = 0; i < count; i++, addr += 16) {
		u32 msr = (u32)phys_read(v, addr, 4);
		enum list_rule rule = entry_refused(i, msr, (u32)phys_read(v, addr + 4, 4));
		u64 value = 0;

		if (rule == KEPT && msr == MSR_SMBASE)
			rule = STORE_SMBASE;
		if (rule == KEPT && !msr_read(v, msr, &value))
			rule = STORE_RDMSR;
		if (rule != KEPT)
			return refused(first, rule, i, msr);
		phys_write(v, addr + 8, value, 8);
	}
	return (struct msr_list_end){RULE_NONE, 0, 0};
}

struct msr_list_end msr_list_load(struct vcpu *v, u64 addr, u32 count, enum vmx_rule first)
{
	for (u32 i = 0; i < count; i++, addr += 16) {
		u32 msr = (u32)phys_read(v, addr, 4);
		enum list_rule rule = load_refused(i, msr, (u32)phys_read(v, addr + 4, 4));
		u64 value = phys_read(v, addr + 8, 8);

		if (rule != KEPT)
			return refused(first, rule, i, msr);
		if (!msr_write(v, msr, value))
			return refused(first, LOAD_WRMSR, i, value);
	}
	return (struct msr_list_end){RULE_NONE, 0, 0};
}
