/*
 * APIC virtualization as far as the TPR: TPR shadow, CR8, the APIC-access page, the x2APIC TPR MSR
 * (SDM Vol. 3, "APIC Virtualization and Virtual Interrupts").
 *
 * Left out: APIC-register virtualization, virtual-interrupt delivery, posted interrupts; accesses
 * that they would serve exit.
 */
#include "vmx/internal.h"

#define APIC_TPR 0x80
#define MSR_X2APIC_TPR 0x808

static u8 vtpr_read(struct vcpu *v)
{
	return (u8)phys_read(v, v->vmx.vmcs.ctl.virtual_apic + APIC_TPR, 1);
}

bool vapic_below_threshold(struct vcpu *v)
{
	return (u32)(vtpr_read(v) >> 4) < (v->vmx.vmcs.ctl.tpr_threshold & 15);
}

/* "TPR Virtualization": after every write to VTPR. */
static void tpr_virtualization(struct vcpu *v)
{
	if (!vapic_below_threshold(v))
		return;
	v->vmx.tpr_exit_pending = true;
	v->recheck = true;
}

static void vtpr_write(struct vcpu *v, u32 value)
{
	phys_write(v, v->vmx.vmcs.ctl.virtual_apic + APIC_TPR, value, 4);
	tpr_virtualization(v);
}

u64 vmx_cr8_read(struct vcpu *v)
{
	return vtpr_read(v) >> 4;
}

void vmx_cr8_write(struct vcpu *v, u64 value)
{
	vtpr_write(v, (u32)(value & 15) << 4);
}

/* --- x2APIC mode --- */

bool vmx_virtual_rdmsr(struct vcpu *v, u32 msr, u64 *value)
{
	if (likely(!v->vmx.non_root) || msr != MSR_X2APIC_TPR ||
	    !vmx_on(&v->vmx, PROC2_VIRTUALIZE_X2APIC_MODE))
		return false;
	*value = phys_read(v, v->vmx.vmcs.ctl.virtual_apic + APIC_TPR, 8);
	return true;
}

bool vmx_virtual_wrmsr(struct vcpu *v, u32 msr, u64 value)
{
	if (likely(!v->vmx.non_root) || msr != MSR_X2APIC_TPR ||
	    !vmx_on(&v->vmx, PROC2_VIRTUALIZE_X2APIC_MODE) || value >> 8)
		return false; /* bits 63:8 set: #GP, as the real MSR gives */
	phys_write(v, v->vmx.vmcs.ctl.virtual_apic + APIC_TPR, value, 8);
	tpr_virtualization(v);
	return true;
}

/* --- the APIC-access page --- */

enum { TYPE_READ, TYPE_WRITE, TYPE_FETCH, TYPE_DELIVERY };

static int apic_access_exit(struct vcpu *v, u64 laddr, unsigned offset, unsigned access)
{
	struct vm_exit e = {.reason = EXIT_REASON_APIC_ACCESS, .laddr = laddr};
	unsigned type = v->delivering		? TYPE_DELIVERY
			: access & ACCESS_FETCH ? TYPE_FETCH
			: access & ACCESS_WRITE ? TYPE_WRITE
						: TYPE_READ;

	e.rf = v->delivering ? RF_KEEP : RF_SET;
	e.qualification = offset | type << 12;
	e.length = insn_length_now(v);
	return vm_exit(v, &e);
}

int vmx_apic_access(struct vcpu *v, u64 laddr, unsigned offset, unsigned size, unsigned access,
		    u64 *value)
{
	u64 vtpr = v->vmx.vmcs.ctl.virtual_apic + APIC_TPR;
	unsigned at = offset - APIC_TPR; /* only accesses within the 4 bytes of the TPR */

	if (!vmx_on(&v->vmx, PROC_USE_TPR_SHADOW) || offset < APIC_TPR || at + size > 4 ||
	    (access != ACCESS_READ && access != ACCESS_WRITE))
		return apic_access_exit(v, laddr, offset, access);
	if (access == ACCESS_READ) {
		*value = phys_read(v, vtpr + at, size);
		return 0;
	}
	phys_write(v, vtpr + at, *value, size);
	/* bytes 3:1 of VTPR are cleared by the virtualization */
	vtpr_write(v, vtpr_read(v));
	return 0;
}
