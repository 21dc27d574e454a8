/*
 * APIC virtualization: what vapic.c, vapic_access.c, vid.c, posted.c and ipiv.c share.
 */
#ifndef VMX_VAPIC_H
#define VMX_VAPIC_H

#include "vmx/internal.h"

/* Page offsets of the virtual-APIC page ("Virtualized APIC Registers"). */
enum {
	VAPIC_TPR = 0x80,
	VAPIC_PPR = 0xa0,
	VAPIC_EOI = 0xb0,
	VAPIC_ISR = 0x100,
	VAPIC_IRR = 0x200,
	VAPIC_ICR_LO = 0x300,
	VAPIC_ICR_HI = 0x310,
	VAPIC_SELF_IPI = 0x3f0,
};

static inline u64 vapic_read(struct vcpu *v, unsigned offset, unsigned size)
{
	return phys_read(v, v->vmx.vmcs.ctl.virtual_apic + offset, size);
}

static inline void vapic_write(struct vcpu *v, unsigned offset, u64 value, unsigned size)
{
	phys_write(v, v->vmx.vmcs.ctl.virtual_apic + offset, value, size);
}

/* vapic.c */
/* A trap-like VM exit: before the next instruction, SMIs and INIT. */
void vapic_trap_exit(struct vcpu *v, u8 reason, u16 qualification);
void vapic_tpr_virtualization(struct vcpu *v);
/* VM entry is complete: "VM Exits Induced by the TPR Threshold". */
void vapic_entered(struct vcpu *v);

/* vapic_access.c: "APIC-Write Emulation", after the operation that wrote. */
void vapic_write_emulation(struct vcpu *v);
/* The interrupt-command register was written: IPI virtualization, or an APIC-write exit. */
void vapic_icr_written(struct vcpu *v, u32 low, u32 destination);

/* vid.c: "Virtual-Interrupt Delivery" and what leads to it. */
void vid_vm_entry(struct vcpu *v);
void vid_ppr_virtualization(struct vcpu *v);
void vid_eoi_virtualization(struct vcpu *v);
void vid_self_ipi_virtualization(struct vcpu *v, u8 vector);
void vid_evaluate(struct vcpu *v);
/* VIRR gains the bits of the 64 vectors from `first` on. */
void vid_request(struct vcpu *v, unsigned first, u64 vectors);

/* The posted-interrupt descriptor: 256 bits of requests (PIR), then outstanding notification (ON),
 * suppress notification (SN), at bit 16 the notification vector, at bit 32 its destination. */
#define PID_CONTROL 32
#define PID_ON BIT(0)
#define PID_SN BIT(1)

/* ipiv.c: false: it takes an APIC-write VM exit. */
bool ipi_virtualization(struct vcpu *v, u8 vector, u32 id);

/* posted.c: an external interrupt with the notification vector arrived. */
bool posted_notification(const struct vcpu *v, int vector);
void posted_process(struct vcpu *v);

#endif
