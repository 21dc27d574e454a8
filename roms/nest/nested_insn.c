/*
 * The VMX instructions of our guest, each of which is a VM exit. SDM vol. 3, "VMX Instruction
 * Reference" (the order of the checks), "Format of the VM-Exit Instruction-Information Field", "VM
 * Instruction Error Numbers".
 *
 * Left out: #GP for CPL > 0 and #UD in other modes than 64-bit (our guest is always at CPL 0 in
 * 64-bit mode), the dual-monitor treatment.
 */
#include "level.h"

#define RFLAGS_CF BIT(0)
#define RFLAGS_ARITHMETIC 0x8d5ull /* CF, PF, AF, ZF, SF, OF */
#define RFLAGS_ZF BIT(6)
#define VECTOR_UD 6
#define VECTOR_GP 13

/* Fields of the instruction information. */
#define INFO_SCALE(i) ((i)&3)
#define INFO_REG1(i) ((i) >> 3 & 15)
#define INFO_IS_REGISTER(i) ((i) >> 10 & 1)
#define INFO_SEGMENT(i) ((i) >> 15 & 7)
#define INFO_INDEX(i) ((i) >> 18 & 15)
#define INFO_NO_INDEX(i) ((i) >> 22 & 1)
#define INFO_BASE(i) ((i) >> 23 & 15)
#define INFO_NO_BASE(i) ((i) >> 27 & 1)
#define INFO_REG2(i) ((i) >> 28 & 15)
#define SEGMENT_FS 4

static void set_flags(struct level *l, u64 flags)
{
	vmcs_set(l, GUEST_RFLAGS, (vmcs_get(l, GUEST_RFLAGS) & ~RFLAGS_ARITHMETIC) | flags);
}

void vm_succeed(struct level *l)
{
	set_flags(l, 0);
}

/* VMfailValid if the guest has a current VMCS, else VMfailInvalid. */
void vm_fail(struct level *l, u64 error)
{
	set_flags(l, l->current ? RFLAGS_ZF : RFLAGS_CF);
	if (l->current && !l->current->is_shadow)
		l->current->field[SLOT_VM_INSTRUCTION_ERROR] = error;
}

/* Linear address of the memory operand. The qualification is the displacement. */
static u64 operand_address(struct level *l)
{
	u64 information = vmcs_get(l, EXIT_INSTRUCTION_INFORMATION);
	u64 address = vmcs_get(l, EXIT_QUALIFICATION);

	if (!INFO_NO_BASE(information))
		address += guest_register(l, INFO_BASE(information));
	if (!INFO_NO_INDEX(information))
		address += guest_register(l, INFO_INDEX(information)) << INFO_SCALE(information);
	if (INFO_SEGMENT(information) >= SEGMENT_FS)
		address += vmcs_get(l, GUEST_ES_BASE + 2 * INFO_SEGMENT(information));
	return address;
}

static void page_fault(struct level *l)
{
	fatal(l, "page fault at an operand of a VMX instruction, RIP 0x%lx",
	      vmcs_get(l, GUEST_RIP));
}

static u64 region_operand(struct level *l)
{
	u64 region;

	if (!guest_read_linear(l, operand_address(l), &region, sizeof(region)))
		page_fault(l);
	return region;
}

static u32 *region_pointer(struct level *l, u64 region)
{
	return region % PAGE_SIZE ? NULL : guest_pointer(l, region, PAGE_SIZE);
}

/* With VMCS shadowing, the guest's VMREAD and VMWRITE act on what stands for its current VMCS. */
static void current_set(struct level *l, struct vmcs12 *v)
{
	l->current = v;
	if (l->shadowing)
		vmcs_set(l, VMCS_LINK_POINTER, v ? v->shadow_region : NO_VMCS);
}

static void insn_vmxon(struct level *l)
{
	u64 lock = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
	u64 region;
	u32 *revision;

	if (!(l->guest_cr4 & CR4_VMXE))
		return inject_exception(l, VECTOR_UD, false);
	if ((l->feature_control & lock) != lock)
		return inject_exception(l, VECTOR_GP, true);
	if (l->vmxon_region != NO_VMCS) {
		vm_fail(l, ERROR_VMXON_IN_ROOT);
		return skip_instruction(l);
	}
	region = region_operand(l);
	revision = region_pointer(l, region);
	if (!revision || *revision != VMCS_REVISION) {
		set_flags(l, RFLAGS_CF);
		return skip_instruction(l);
	}
	l->vmxon_region = region;
	current_set(l, NULL);
	if (l->shadowing)
		vmcs_set(l, SECONDARY_CONTROLS, l->secondary | SECONDARY_VMCS_SHADOWING);
	vm_succeed(l);
	skip_instruction(l);
}

static void insn_vmxoff(struct level *l)
{
	l->vmxon_region = NO_VMCS;
	current_set(l, NULL);
	if (l->shadowing)
		vmcs_set(l, SECONDARY_CONTROLS, l->secondary);
	vm_succeed(l);
}

static void insn_vmclear(struct level *l)
{
	u64 region = region_operand(l);
	struct vmcs12 *v;

	if (!region_pointer(l, region))
		return vm_fail(l, ERROR_VMCLEAR_ADDRESS);
	if (region == l->vmxon_region)
		return vm_fail(l, ERROR_VMCLEAR_VMXON_POINTER);
	v = vmcs12_find(l, region);
	v->launched = false;
	if (l->current == v)
		current_set(l, NULL);
	vm_succeed(l);
}

static void insn_vmptrld(struct level *l)
{
	u64 region = region_operand(l);
	u32 *revision = region_pointer(l, region);
	u32 indicator = l->shadowing ? SHADOW_VMCS_INDICATOR : 0;
	struct vmcs12 *v;

	if (!revision)
		return vm_fail(l, ERROR_VMPTRLD_ADDRESS);
	if (region == l->vmxon_region)
		return vm_fail(l, ERROR_VMPTRLD_VMXON_POINTER);
	if ((*revision & ~indicator) != VMCS_REVISION)
		return vm_fail(l, ERROR_VMPTRLD_REVISION);
	v = vmcs12_find(l, region);
	v->is_shadow = *revision & SHADOW_VMCS_INDICATOR;
	current_set(l, v);
	vm_succeed(l);
}

static void insn_vmptrst(struct level *l)
{
	u64 region = l->current ? l->current->region : NO_VMCS;

	if (!guest_write_linear(l, operand_address(l), &region, sizeof(region)))
		page_fault(l);
	vm_succeed(l);
}

/* VMREAD and VMWRITE come here for the fields that no shadow VMCS serves. */
static void insn_vmread(struct level *l)
{
	u64 information = vmcs_get(l, EXIT_INSTRUCTION_INFORMATION);
	u64 field = guest_register(l, INFO_REG2(information));
	int slot = vmcs_slot(field);
	u64 value;

	if (!l->current || slot < 0)
		return vm_fail(l, ERROR_UNSUPPORTED_FIELD);
	value = vmcs12_read(l, l->current, slot);
	if (field & 1)
		value >>= 32;
	if (INFO_IS_REGISTER(information))
		guest_register_set(l, INFO_REG1(information), value);
	else if (!guest_write_linear(l, operand_address(l), &value, sizeof(value)))
		page_fault(l);
	vm_succeed(l);
}

static void insn_vmwrite(struct level *l)
{
	u64 information = vmcs_get(l, EXIT_INSTRUCTION_INFORMATION);
	u64 field = guest_register(l, INFO_REG2(information));
	int slot = vmcs_slot(field);
	u64 value;

	if (!l->current || slot < 0)
		return vm_fail(l, ERROR_UNSUPPORTED_FIELD);
	if (INFO_IS_REGISTER(information))
		value = guest_register(l, INFO_REG1(information));
	else if (!guest_read_linear(l, operand_address(l), &value, sizeof(value)))
		page_fault(l);
	if (field & 1)
		value = (u32)vmcs12_read(l, l->current, slot) | value << 32;
	vmcs12_write(l, l->current, slot, value);
	vm_succeed(l);
}

/* The checks that our processor cannot make for us: it sees VMCS02, with our controls. */
static bool entry_controls_valid(struct level *l, struct vmcs12 *v)
{
	const struct vmx_capabilities *offered = &l->offered;
	const u64 *field = v->field;

	return controls_allowed(offered->pin, field[SLOT_PIN_BASED_CONTROLS]) &&
	       controls_allowed(offered->primary, field[SLOT_PRIMARY_CONTROLS]) &&
	       controls_allowed(offered->secondary, field[SLOT_SECONDARY_CONTROLS]) &&
	       controls_allowed(offered->exit, field[SLOT_EXIT_CONTROLS]) &&
	       controls_allowed(offered->entry, field[SLOT_ENTRY_CONTROLS]) &&
	       field[SLOT_PRIMARY_CONTROLS] & PRIMARY_ACTIVATE_SECONDARY_CONTROLS &&
	       field[SLOT_SECONDARY_CONTROLS] & SECONDARY_ENABLE_EPT &&
	       guest_pointer(l, field[SLOT_EPT_POINTER] & ~(PAGE_SIZE - 1), PAGE_SIZE) &&
	       !field[SLOT_EXIT_MSR_STORE_COUNT] && !field[SLOT_EXIT_MSR_LOAD_COUNT] &&
	       !field[SLOT_ENTRY_MSR_LOAD_COUNT];
}

static bool canonical(u64 address)
{
	return address + BIT(47) < BIT(48);
}

static bool entry_host_state_valid(struct level *l, struct vmcs12 *v)
{
	static const u8 selectors[] = {SLOT_HOST_ES_SELECTOR, SLOT_HOST_CS_SELECTOR,
				       SLOT_HOST_SS_SELECTOR, SLOT_HOST_DS_SELECTOR,
				       SLOT_HOST_FS_SELECTOR, SLOT_HOST_GS_SELECTOR,
				       SLOT_HOST_TR_SELECTOR};
	static const u8 addresses[] = {SLOT_HOST_FS_BASE,	    SLOT_HOST_GS_BASE,
				       SLOT_HOST_TR_BASE,	    SLOT_HOST_GDTR_BASE,
				       SLOT_HOST_IDTR_BASE,	    SLOT_HOST_RIP,
				       SLOT_HOST_IA32_SYSENTER_ESP, SLOT_HOST_IA32_SYSENTER_EIP};
	const u64 *field = v->field;

	for (u32 i = 0; i < sizeof(selectors); i++)
		if (field[selectors[i]] & 7)
			return false;
	for (u32 i = 0; i < sizeof(addresses); i++)
		if (!canonical(field[addresses[i]]))
			return false;
	return !(l->offered.cr0_fixed0 & ~field[SLOT_HOST_CR0]) &&
	       !(l->offered.cr4_fixed0 & ~field[SLOT_HOST_CR4]) && field[SLOT_HOST_CR4] & CR4_PAE &&
	       field[SLOT_EXIT_CONTROLS] & EXIT_HOST_ADDRESS_SPACE_SIZE &&
	       field[SLOT_HOST_CS_SELECTOR] && field[SLOT_HOST_TR_SELECTOR];
}

/* VMLAUNCH and VMRESUME. On success the next thing to run is not our guest but its guest. */
static void insn_enter(struct level *l, bool launch)
{
	struct vmcs12 *v = l->current;
	u64 error = 0;

	if (!v || v->is_shadow) {
		set_flags(l, RFLAGS_CF);
		return skip_instruction(l);
	}
	if (v->launched == launch)
		error = launch ? ERROR_VMLAUNCH_NOT_CLEAR : ERROR_VMRESUME_NOT_LAUNCHED;
	else if (!v->checked && !entry_controls_valid(l, v))
		error = ERROR_ENTRY_CONTROLS;
	else if (!v->checked && !entry_host_state_valid(l, v))
		error = ERROR_ENTRY_HOST_STATE;
	if (!error) {
		v->checked = true;
		return nested_enter(l, v);
	}
	vm_fail(l, error);
	skip_instruction(l);
}

/* Our ept02 is made of our guest's EPT: forget it, and what the processor remembers of it. */
static void insn_invept(struct level *l)
{
	u64 type = guest_register(l, INFO_REG2(vmcs_get(l, EXIT_INSTRUCTION_INFORMATION)));
	u64 descriptor[2];

	if (type != INVALIDATE_SINGLE && type != INVALIDATE_ALL)
		return vm_fail(l, ERROR_INVALIDATION_OPERAND);
	if (!guest_read_linear(l, operand_address(l), descriptor, sizeof(descriptor)))
		page_fault(l);
	for (u32 i = 0; i < MAX_REGIONS; i++) {
		struct vmcs12 *v = &l->region[i];

		if (!v->ept02 ||
		    (type == INVALIDATE_SINGLE && v->field[SLOT_EPT_POINTER] != descriptor[0]))
			continue;
		ept_clear(v->ept02, 39);
		vmx_invalidate_ept(l, ept_pointer(l, v->ept02));
	}
	vm_succeed(l);
}

/* Each VMCS02 has a VPID of its own, whatever the guest's is: forgetting all of them is always
 * enough. */
static void insn_invvpid(struct level *l)
{
	u64 type = guest_register(l, INFO_REG2(vmcs_get(l, EXIT_INSTRUCTION_INFORMATION)));

	if (!(l->offered.ept_vpid & EPT_CAP_INVVPID))
		return inject_exception(l, VECTOR_UD, false);
	if (type != INVALIDATE_SINGLE && type != INVALIDATE_ALL)
		return vm_fail(l, ERROR_INVALIDATION_OPERAND);
	vmx_invalidate_vpids(l);
	vm_succeed(l);
}

void nested_instruction(struct level *l, u64 reason)
{
	if (reason == EXIT_VMXON)
		return insn_vmxon(l);
	if (l->vmxon_region == NO_VMCS)
		return inject_exception(l, VECTOR_UD, false);
	switch (reason) {
	case EXIT_VMLAUNCH:
	case EXIT_VMRESUME:
		return insn_enter(l, reason == EXIT_VMLAUNCH);
	case EXIT_VMXOFF:
		insn_vmxoff(l);
		break;
	case EXIT_VMCLEAR:
		insn_vmclear(l);
		break;
	case EXIT_VMPTRLD:
		insn_vmptrld(l);
		break;
	case EXIT_VMPTRST:
		insn_vmptrst(l);
		break;
	case EXIT_VMREAD:
		insn_vmread(l);
		break;
	case EXIT_VMWRITE:
		insn_vmwrite(l);
		break;
	case EXIT_INVEPT:
		insn_invept(l);
		break;
	case EXIT_INVVPID:
		insn_invvpid(l);
		break;
	}
	skip_instruction(l);
}
