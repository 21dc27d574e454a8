/*
 * Virtualization exceptions: EPT violations that the guest handles by itself (SDM Vol. 3,
 * "Virtualization Exceptions"). Which page suppresses them is known by the walk.
 */
#include "vmx/internal.h"

/* "Virtualization-Exception Information". */
enum {
	VE_REASON = 0,
	VE_BUSY = 4, /* nothing is converted before software has cleared it */
	VE_QUALIFICATION = 8,
	VE_LINEAR = 16,
	VE_PHYSICAL = 24,
	VE_EPTP_INDEX = 32
};

bool ve_convertible(struct vcpu *v, const struct walk_out *out)
{
	return vmx_on(&v->vmx, PROC2_EPT_VIOLATION_VE) && !out->suppress_ve && v->cr0 & CR0_PE &&
	       !v->delivering && !phys_read(v, v->vmx.vmcs.ctl.ve_information + VE_BUSY, 4);
}

int ve_raise(struct vcpu *v, const struct vm_exit *e)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;
	u64 area = c->ve_information;

	phys_write(v, area + VE_REASON, EXIT_REASON_EPT_VIOLATION, 4);
	phys_write(v, area + VE_BUSY, 0xffffffff, 4);
	phys_write(v, area + VE_QUALIFICATION,
		   e->qualification | (vmx_nmi_unblocked(v) ? INFO_NMI_UNBLOCKING : 0), 8);
	phys_write(v, area + VE_LINEAR, e->laddr, 8);
	phys_write(v, area + VE_PHYSICAL, e->gpa, 8);
	phys_write(v, area + VE_EPTP_INDEX, c->eptp_index, 2);
	return raise_fault(v, VEC_VE);
}
