/*
 * VM functions: what a guest may ask of the processor without a VM exit (SDM Vol. 3, "VM
 * Functions", "EPTP Switching").
 */
#include "vmx/internal.h"

#define EPTP_LIST_ENTRIES 512

/* The new EPTP has mappings of its own in the TLB: nothing is flushed. */
static int eptp_switching(struct vcpu *v, const struct insn *i)
{
	struct vmx_state *x = &v->vmx;
	u32 index = (u32)v->reg[RCX];
	u64 eptp;

	if (index >= EPTP_LIST_ENTRIES)
		return vm_exit_insn(v, i, EXIT_REASON_VMFUNC, 0);
	eptp = phys_read(v, x->vmcs.ctl.eptp_list + 8 * index, 8);
	if (!vmx_eptp_usable(&x->caps, eptp))
		return vm_exit_insn(v, i, EXIT_REASON_VMFUNC, 0);
	x->vmcs.ctl.eptp = x->eptp = eptp;
	if (vmx_may(&x->caps, PROC2_EPT_VIOLATION_VE))
		x->vmcs.ctl.eptp_index = (u16)index;
	vcpu_recompute(v);
	return EXEC_NEXT;
}

int op_vmfunc(struct vcpu *v, const struct insn *i)
{
	const struct vmx_state *x = &v->vmx;
	u32 function = (u32)v->reg[RAX];

	if (!x->non_root || !vmx_on(x, PROC2_ENABLE_VM_FUNCTIONS) || function > 63)
		return raise_ud(v);
	if (!(x->vmcs.ctl.vm_functions >> function & 1))
		return vm_exit_insn(v, i, EXIT_REASON_VMFUNC, 0);
	return eptp_switching(v, i); /* the only function that VM entry lets be enabled */
}
