/*
 * The root side: what a hypervisor does once. Looks at the capability MSRs, enters VMX operation,
 * builds the VMCS of its guest (vmcs01) and launches it.
 * SDM vol. 3, "Introduction to Virtual Machine Extensions", "Virtual-Machine Control Structures",
 * appendix "VMX Capability Reporting Facility".
 *
 * The guest is the same program at the same addresses of its own memory, so most of its first state
 * is simply ours: control registers, selectors, descriptor tables, CR3 (the page tables are
 * copied). Only RIP, RSP and three arguments differ.
 */
#include "level.h"

#define CODE_ACCESS_RIGHTS 0xa09b
#define DATA_ACCESS_RIGHTS 0xc093
#define TSS_ACCESS_RIGHTS 0x8b
#define FLAT_LIMIT 0xffffffffu
#define DR7_FIXED 0x400
#define HAS(l, bit) (((l)->has.ept_vpid & (bit)) != 0)

void vmcs_field_failed(struct level *l, u64 field, const char *instruction)
{
	u64 error = 0;

	vmread(VM_INSTRUCTION_ERROR, &error);
	fatal(l, "%s of field 0x%lx, instruction error %lu", instruction, field, error);
}

void vmcs_load(struct level *l, u64 region)
{
	if (l->loaded == region)
		return;
	if (!vmptrld(region))
		fatal(l, "VMPTRLD 0x%lx", region);
	l->loaded = region;
}

/* A VMCS region, cleared; the indicator is 0 or SHADOW_VMCS_INDICATOR. */
u64 vmcs_region_create(struct level *l, u64 indicator)
{
	u64 region = page_alloc(l);

	*(u32 *)region = (u32)((l->has.basic & 0x7fffffff) | indicator);
	if (!vmclear(region))
		fatal(l, "VMCLEAR 0x%lx", region);
	return region;
}

void vmx_capabilities_read(struct level *l)
{
	struct vmx_capabilities *has = &l->has;
	u32 exact;

	has->basic = rdmsr(IA32_VMX_BASIC);
	/* the TRUE_ MSRs follow in the same order as the plain ones */
	exact = has->basic & BASIC_TRUE_CONTROLS ? IA32_VMX_TRUE_PINBASED_CTLS
						 : IA32_VMX_PINBASED_CTLS;
	has->pin = rdmsr(exact);
	has->primary = rdmsr(exact + 1);
	has->exit = rdmsr(exact + 2);
	has->entry = rdmsr(exact + 3);
	has->misc = rdmsr(IA32_VMX_MISC);
	has->cr0_fixed0 = rdmsr(IA32_VMX_CR0_FIXED0);
	has->cr0_fixed1 = rdmsr(IA32_VMX_CR0_FIXED1);
	has->cr4_fixed0 = rdmsr(IA32_VMX_CR4_FIXED0);
	has->cr4_fixed1 = rdmsr(IA32_VMX_CR4_FIXED1);
	if (!(has->primary >> 32 & PRIMARY_ACTIVATE_SECONDARY_CONTROLS))
		fatal(l, "the processor has no secondary controls, so no EPT");
	has->secondary = rdmsr(IA32_VMX_PROCBASED_CTLS2);
	if (!(has->secondary >> 32 & SECONDARY_ENABLE_EPT))
		fatal(l, "the processor has no EPT");
	has->ept_vpid = rdmsr(IA32_VMX_EPT_VPID_CAP);
}

/* A control word: what we need, what we would like, and what the processor insists on. */
static u64 controls(struct level *l, u64 capability, u64 need, u64 like)
{
	u64 may = capability >> 32, must = capability & 0xffffffff;

	if (need & ~may)
		fatal(l, "the processor lacks controls 0x%lx", need & ~may);
	return must | need | (like & may);
}

static void controls_choose(struct level *l)
{
	struct vmx_capabilities *has = &l->has;
	u64 like = SECONDARY_ENABLE_VPID;

	/* exit information goes into shadow VMCSs: not without "VMWRITE to any field" */
	if (has->misc & MISC_VMWRITE_ANY_FIELD && !(l->options & OPTION_NO_SHADOWING))
		like |= SECONDARY_VMCS_SHADOWING;
	l->pin = controls(l, has->pin, 0, 0);
	l->primary = controls(l, has->primary,
			      PRIMARY_HLT_EXITING | PRIMARY_UNCONDITIONAL_IO_EXITING |
				      PRIMARY_ACTIVATE_SECONDARY_CONTROLS,
			      0);
	l->secondary = controls(l, has->secondary, SECONDARY_ENABLE_EPT, like);
	l->exit = controls(l, has->exit, EXIT_HOST_ADDRESS_SPACE_SIZE, 0);
	l->entry = controls(l, has->entry, ENTRY_IA32E_MODE_GUEST, 0);
	l->shadowing = l->secondary & SECONDARY_VMCS_SHADOWING;
	/* on only while somebody has a shadow VMCS to use */
	l->secondary &= ~SECONDARY_VMCS_SHADOWING;
}

static void vmx_on(struct level *l)
{
	u64 lock = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
	u64 region = page_alloc(l);

	if (!(rdmsr(IA32_FEATURE_CONTROL) & FEATURE_CONTROL_LOCK))
		wrmsr(IA32_FEATURE_CONTROL, lock);
	if ((rdmsr(IA32_FEATURE_CONTROL) & lock) != lock)
		fatal(l, "IA32_FEATURE_CONTROL forbids VMX");
	write_cr4(read_cr4() | CR4_VMXE);
	*(u32 *)region = (u32)(l->has.basic & 0x7fffffff);
	if (!vmxon(region))
		fatal(l, "VMXON 0x%lx", region);
}

/* What every VMCS of ours has in common: the way back to us, and our controls. */
void vmcs_set_host_and_controls(struct level *l)
{
	vmcs_set(l, PIN_BASED_CONTROLS, l->pin);
	vmcs_set(l, PRIMARY_CONTROLS, l->primary);
	vmcs_set(l, SECONDARY_CONTROLS, l->secondary);
	vmcs_set(l, EXIT_CONTROLS, l->exit);
	vmcs_set(l, VMCS_LINK_POINTER, NO_VMCS);
	if (l->secondary & SECONDARY_ENABLE_VPID)
		vmcs_set(l, VPID, ++l->vpids);
	if (l->shadowing) {
		vmcs_set(l, VMREAD_BITMAP, l->shadow_bitmap);
		vmcs_set(l, VMWRITE_BITMAP, l->shadow_bitmap);
	}
	vmcs_set(l, HOST_CR0, read_cr0());
	vmcs_set(l, HOST_CR3, read_cr3());
	vmcs_set(l, HOST_CR4, read_cr4());
	vmcs_set(l, HOST_CS_SELECTOR, CODE_SELECTOR);
	vmcs_set(l, HOST_SS_SELECTOR, DATA_SELECTOR);
	vmcs_set(l, HOST_DS_SELECTOR, DATA_SELECTOR);
	vmcs_set(l, HOST_ES_SELECTOR, DATA_SELECTOR);
	vmcs_set(l, HOST_FS_SELECTOR, DATA_SELECTOR);
	vmcs_set(l, HOST_GS_SELECTOR, DATA_SELECTOR);
	vmcs_set(l, HOST_TR_SELECTOR, TSS_SELECTOR);
	vmcs_set(l, HOST_FS_BASE, 0);
	vmcs_set(l, HOST_GS_BASE, 0);
	vmcs_set(l, HOST_TR_BASE, (u64)l->tss);
	vmcs_set(l, HOST_GDTR_BASE, (u64)l->gdt);
	vmcs_set(l, HOST_IDTR_BASE, (u64)l->idt);
	vmcs_set(l, HOST_IA32_SYSENTER_CS, 0);
	vmcs_set(l, HOST_IA32_SYSENTER_ESP, 0);
	vmcs_set(l, HOST_IA32_SYSENTER_EIP, 0);
	vmcs_set(l, HOST_RSP, (u64)(l->gpr + 16));
	vmcs_set(l, HOST_RIP, (u64)vm_exit);
}

/* Segment registers of a flat 64-bit guest; the caller sets the base of TR. */
void vmcs_set_flat_segments(struct level *l, u64 cs, u64 data, u64 tr)
{
	/* distance of the ES, SS, DS, FS and GS fields from those of ES */
	static const u16 data_segments[] = {0, 4, 6, 8, 10};

	for (u32 i = 0; i < sizeof(data_segments) / sizeof(data_segments[0]); i++) {
		u32 step = data_segments[i];

		vmcs_set(l, GUEST_ES_SELECTOR + step, data);
		vmcs_set(l, GUEST_ES_BASE + step, 0);
		vmcs_set(l, GUEST_ES_LIMIT + step, FLAT_LIMIT);
		vmcs_set(l, GUEST_ES_ACCESS_RIGHTS + step, DATA_ACCESS_RIGHTS);
	}
	vmcs_set(l, GUEST_CS_SELECTOR, cs);
	vmcs_set(l, GUEST_CS_BASE, 0);
	vmcs_set(l, GUEST_CS_LIMIT, FLAT_LIMIT);
	vmcs_set(l, GUEST_CS_ACCESS_RIGHTS, CODE_ACCESS_RIGHTS);
	vmcs_set(l, GUEST_LDTR_SELECTOR, 0);
	vmcs_set(l, GUEST_LDTR_BASE, 0);
	vmcs_set(l, GUEST_LDTR_LIMIT, 0);
	vmcs_set(l, GUEST_LDTR_ACCESS_RIGHTS, ACCESS_RIGHTS_UNUSABLE);
	vmcs_set(l, GUEST_TR_SELECTOR, tr);
	vmcs_set(l, GUEST_TR_LIMIT, 0x67);
	vmcs_set(l, GUEST_TR_ACCESS_RIGHTS, TSS_ACCESS_RIGHTS);
}

/* Guest state that is the same for a guest that starts and for one that gets a VM exit. */
void vmcs_set_quiet_state(struct level *l)
{
	vmcs_set(l, GUEST_DR7, DR7_FIXED);
	vmcs_set(l, GUEST_IA32_DEBUGCTL, 0);
	vmcs_set(l, GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vmcs_set(l, GUEST_INTERRUPTIBILITY_STATE, 0);
	vmcs_set(l, GUEST_ACTIVITY_STATE, 0);
	vmcs_set(l, GUEST_RFLAGS, RFLAGS_FIXED);
}

static void vmcs01_set_guest(struct level *l)
{
	l->guest_cr4 = read_cr4() & ~CR4_VMXE;
	vmcs_set(l, GUEST_CR0, read_cr0());
	vmcs_set(l, GUEST_CR3, read_cr3());
	vmcs_set(l, GUEST_CR4, read_cr4());
	/* bits that VMX operation fixes to 1: the guest sees and writes its own copy */
	vmcs_set(l, CR0_GUEST_HOST_MASK, l->has.cr0_fixed0);
	vmcs_set(l, CR0_READ_SHADOW, read_cr0());
	vmcs_set(l, CR4_GUEST_HOST_MASK, l->has.cr4_fixed0);
	vmcs_set(l, CR4_READ_SHADOW, l->guest_cr4);
	vmcs_set_flat_segments(l, CODE_SELECTOR, DATA_SELECTOR, TSS_SELECTOR);
	vmcs_set(l, GUEST_TR_BASE, (u64)l->tss);
	vmcs_set(l, GUEST_GDTR_BASE, (u64)l->gdt);
	vmcs_set(l, GUEST_GDTR_LIMIT, sizeof(l->gdt) - 1);
	vmcs_set(l, GUEST_IDTR_BASE, 0);
	vmcs_set(l, GUEST_IDTR_LIMIT, 0);
	vmcs_set(l, GUEST_IA32_SYSENTER_CS, 0);
	vmcs_set(l, GUEST_IA32_SYSENTER_ESP, 0);
	vmcs_set(l, GUEST_IA32_SYSENTER_EIP, 0);
	vmcs_set_quiet_state(l);
	vmcs_set(l, GUEST_RSP, 0);
	vmcs_set(l, GUEST_RIP, (u64)guest_start);
}

static void vmcs01_set_controls(struct level *l)
{
	vmcs_set_host_and_controls(l);
	vmcs_set(l, ENTRY_CONTROLS, l->entry);
	vmcs_set(l, EPT_POINTER, ept_pointer(l, l->ept01));
	vmcs_set(l, EXCEPTION_BITMAP, 0);
	vmcs_set(l, PAGE_FAULT_MASK, 0);
	vmcs_set(l, PAGE_FAULT_MATCH, 0);
	vmcs_set(l, CR3_TARGET_COUNT, 0);
	vmcs_set(l, EXIT_MSR_STORE_COUNT, 0);
	vmcs_set(l, EXIT_MSR_LOAD_COUNT, 0);
	vmcs_set(l, ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_set(l, ENTRY_INTERRUPTION_INFORMATION, 0);
}

void vmx_invalidate_ept(struct level *l, u64 eptp)
{
	if (!HAS(l, EPT_CAP_INVEPT))
		return;
	if (!(HAS(l, EPT_CAP_INVEPT_SINGLE) ? invept(INVALIDATE_SINGLE, eptp)
					    : invept(INVALIDATE_ALL, 0)))
		fatal(l, "INVEPT");
}

void vmx_invalidate_vpids(struct level *l)
{
	if (HAS(l, EPT_CAP_INVVPID) && HAS(l, EPT_CAP_INVVPID_ALL) && !invvpid(INVALIDATE_ALL, 0))
		fatal(l, "INVVPID");
}

/* Put ourselves into the guest's memory: the image as it was loaded, and the page tables. */
static void guest_load(struct level *l)
{
	memcpy((u8 *)GUEST_BASE + (u64)image_start, image_start, (u64)(image_end - image_start));
	memcpy((u8 *)GUEST_BASE + (u64)page_tables_start, page_tables_start,
	       (u64)(page_tables_end - page_tables_start));
	l->gpr[7] = l->number + 1;		 /* RDI */
	l->gpr[6] = l->depth | l->options << 32; /* RSI */
	l->gpr[2] = l->memory_end - GUEST_BASE;	 /* RDX */
}

void vmx_start(struct level *l)
{
	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_VMX))
		fatal(l, "the processor has no VMX");
	if (l->memory_end < 2 * GUEST_BASE)
		fatal(l, "too little memory for a guest");
	vmx_capabilities_read(l);
	controls_choose(l);
	capabilities_offer(l);
	vmx_on(l);
	if (l->shadowing)
		vmcs12_shadow_bitmap_build(l);
	l->vmxon_region = NO_VMCS;
	l->ept01 = page_alloc(l);
	vmx_invalidate_ept(l, ept_pointer(l, l->ept01));
	vmx_invalidate_vpids(l);
	l->vmcs01 = vmcs_region_create(l, 0);
	vmcs_load(l, l->vmcs01);
	vmcs01_set_controls(l);
	vmcs01_set_guest(l);
	guest_load(l);
	print(l, "level %u: VMX on, VMCS shadowing %s, EPT ", l->number,
	      l->shadowing ? "on" : "off");
	if (l->number == 1)
		print(l, "straight to memory\n");
	else
		print(l, "composed with level %u's\n", l->number - 1);
	vm_launch(l);
}

void vmx_stop(struct level *l)
{
	if (!vmclear(l->vmcs01))
		fatal(l, "VMCLEAR of vmcs01");
	vmxoff();
	write_cr4(read_cr4() & ~CR4_VMXE);
}
