/*
 * The cached VMCSs of a logical processor. The current VMCS lives in host memory from VMPTRLD until
 * VMCLEAR, VMPTRLD of another or VMXOFF; the shadow VMCS that its link pointer names is cached from
 * its first use in non-root operation until the VM exit. Guest memory is the truth everywhere else,
 * so that no two copies of a region can disagree (SDM Vol. 3, "Software Use of Virtual-Machine
 * Control Structures").
 */
#include "vmx/internal.h"

void vmcs_flush_current(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;

	if (x->current_ptr == VMX_NO_POINTER)
		return;
	vmcs_region_store(v->mem, x->current_ptr, &x->vmcs, x->launched);
	x->current_ptr = VMX_NO_POINTER;
}

void vmcs_make_current(struct vcpu *v, u64 ptr)
{
	struct vmx_state *x = &v->vmx;

	if (ptr == x->current_ptr)
		return;
	vmcs_flush_current(v);
	vmcs_region_load(v->mem, ptr, &x->vmcs, &x->launched);
	x->is_shadow = vmcs_region_revision(v->mem, ptr) & VMCS_SHADOW_INDICATOR;
	x->current_ptr = ptr;
	x->dirty = VMCS_DIRTY_ALL;
}

struct vmcs *vmcs_shadow_get(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;

	if (!x->shadow_cached)
		vmcs_region_load(v->mem, x->vmcs.guest.link_pointer, &x->shadow,
				 &x->shadow_launched);
	x->shadow_cached = true;
	return &x->shadow;
}

void vmcs_shadow_flush(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;

	if (x->shadow_cached && x->shadow_dirty)
		vmcs_region_store(v->mem, x->vmcs.guest.link_pointer, &x->shadow,
				  x->shadow_launched);
	x->shadow_cached = x->shadow_dirty = false;
}
