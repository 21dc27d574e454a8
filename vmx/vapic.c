/*
 * APIC virtualization through registers: the TPR shadow, CR8 and the x2APIC MSRs; TPR
 * virtualization (SDM Vol. 3, "APIC Virtualization and Virtual Interrupts").
 */
#include "vmx/vapic.h"

#define MSR_X2APIC_TPR 0x808
#define MSR_X2APIC_EOI 0x80b
#define MSR_X2APIC_ICR 0x830
#define MSR_X2APIC_SELF_IPI 0x83f

#define X2APIC_ICR_RESERVED 0xfff32000ull /* bits 31:20, 17:16 and 13 */

void vapic_trap_exit(struct vcpu *v, u8 reason, u16 qualification)
{
	v->vmx.trap_exit = reason;
	v->vmx.trap_qualification = qualification;
	v->recheck = true;
}

static bool below_threshold(struct vcpu *v)
{
	return vapic_read(v, VAPIC_TPR, 1) >> 4 < (v->vmx.vmcs.ctl.tpr_threshold & 15);
}

void vapic_tpr_virtualization(struct vcpu *v)
{
	if (vmx_on(&v->vmx, PROC2_VIRTUAL_INTERRUPT_DELIVERY)) {
		vid_ppr_virtualization(v);
		vid_evaluate(v);
	} else if (below_threshold(v)) {
		vapic_trap_exit(v, EXIT_REASON_TPR_BELOW_THRESHOLD, 0);
	}
}

void vapic_entered(struct vcpu *v)
{
	const struct vmx_state *x = &v->vmx;

	if (vmx_on(x, PROC_USE_TPR_SHADOW) && vmx_on(x, PROC2_VIRTUALIZE_APIC_ACCESSES) &&
	    !vmx_on(x, PROC2_VIRTUAL_INTERRUPT_DELIVERY) && v->activity != ACT_SHUTDOWN &&
	    v->activity != ACT_WAIT_SIPI && below_threshold(v))
		vapic_trap_exit(v, EXIT_REASON_TPR_BELOW_THRESHOLD, 0);
}

u64 vmx_cr8_read(struct vcpu *v)
{
	return vapic_read(v, VAPIC_TPR, 1) >> 4;
}

void vmx_cr8_write(struct vcpu *v, u64 value)
{
	vapic_write(v, VAPIC_TPR, (value & 15) << 4, 4);
	vapic_tpr_virtualization(v);
}

bool vmx_boundary_vapic(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	struct vm_exit e = {0};

	if (x->apic_write_pending)
		vapic_write_emulation(v);
	if (likely(!x->trap_exit))
		return false;
	e.reason = x->trap_exit;
	e.qualification = x->trap_qualification;
	return vm_exit_at_boundary(v, &e);
}

/* --- "Virtualizing MSR-Based APIC Accesses" --- */

static unsigned page_offset(u32 msr)
{
	return (msr & 0xff) << 4;
}

bool vmx_virtual_rdmsr(struct vcpu *v, u32 msr, u64 *value)
{
	if (msr >> 8 != 8 || !vmx_on(&v->vmx, PROC2_VIRTUALIZE_X2APIC_MODE))
		return false;
	if (msr != MSR_X2APIC_TPR && !vmx_on(&v->vmx, PROC2_APIC_REGISTER_VIRTUALIZATION))
		return false;
	*value = vapic_read(v, page_offset(msr), 8);
	return true;
}

/* The bits that raise #GP if set; false: the MSR is written as ever. */
static bool special_wrmsr(const struct vmx_state *x, u32 msr, u64 *reserved)
{
	switch (msr) {
	case MSR_X2APIC_TPR:
		*reserved = ~0xffull;
		return true;
	case MSR_X2APIC_EOI:
		*reserved = ~0ull;
		return vmx_on(x, PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	case MSR_X2APIC_SELF_IPI:
		*reserved = ~0xffull;
		return vmx_on(x, PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	case MSR_X2APIC_ICR:
		*reserved = X2APIC_ICR_RESERVED;
		return vmx_on(x, PROC3_IPI_VIRTUALIZATION);
	default:
		return false;
	}
}

static void self_ipi_written(struct vcpu *v, u8 vector)
{
	if (vector >> 4)
		vid_self_ipi_virtualization(v, vector);
	else
		vapic_trap_exit(v, EXIT_REASON_APIC_WRITE, VAPIC_SELF_IPI);
}

enum vmx_msr_result vmx_virtual_wrmsr(struct vcpu *v, u32 msr, u64 value)
{
	u64 reserved;

	if (msr >> 8 != 8 || !vmx_on(&v->vmx, PROC2_VIRTUALIZE_X2APIC_MODE) ||
	    !special_wrmsr(&v->vmx, msr, &reserved))
		return VMX_MSR_NORMAL;
	if (value & reserved)
		return VMX_MSR_GP;
	vapic_write(v, page_offset(msr), value, 8);
	if (msr == MSR_X2APIC_TPR)
		vapic_tpr_virtualization(v);
	else if (msr == MSR_X2APIC_EOI)
		vid_eoi_virtualization(v);
	else if (msr == MSR_X2APIC_SELF_IPI)
		self_ipi_written(v, (u8)value);
	else
		vapic_icr_written(v, (u32)value, (u32)(value >> 32));
	return VMX_MSR_DONE;
}
