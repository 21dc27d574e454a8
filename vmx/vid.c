/*
 * Virtual-interrupt delivery: RVI and SVI, PPR, EOI and self-IPI virtualization, evaluation and
 * delivery of pending virtual interrupts (SDM Vol. 3, "APIC Virtualization and Virtual Interrupts").
 *
 * Left out: user interrupts, which a delivered virtual interrupt could become.
 */
#include "vmx/vapic.h"

/* --- VIRR and VISR: 256 bits, in 32-bit fields 16 bytes apart --- */

static unsigned field_of(unsigned base, unsigned vector)
{
	return base + (vector >> 5) * 16;
}

static void bit_set(struct vcpu *v, unsigned base, u8 vector)
{
	unsigned at = field_of(base, vector);

	vapic_write(v, at, vapic_read(v, at, 4) | BIT(vector & 31), 4);
}

static void bit_clear(struct vcpu *v, unsigned base, u8 vector)
{
	unsigned at = field_of(base, vector);

	vapic_write(v, at, vapic_read(v, at, 4) & ~BIT(vector & 31), 4);
}

/* 0 if no bit is set. */
static u8 highest(struct vcpu *v, unsigned base)
{
	for (unsigned n = 8; n--;) {
		u32 field = (u32)vapic_read(v, base + 16 * n, 4);

		if (field)
			return (u8)(32 * n + 31 - (unsigned)__builtin_clz(field));
	}
	return 0;
}

void vid_request(struct vcpu *v, unsigned first, u64 vectors)
{
	for (unsigned half = 0; half < 2; half++, first += 32, vectors >>= 32) {
		unsigned at = field_of(VAPIC_IRR, first);

		if ((u32)vectors)
			vapic_write(v, at, vapic_read(v, at, 4) | (u32)vectors, 4);
	}
}

/* --- the virtualizations --- */

void vid_evaluate(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	unsigned ppr = (unsigned)vapic_read(v, VAPIC_PPR, 1);

	x->virtual_interrupt = !vmx_on(x, PROC_INTERRUPT_WINDOW_EXITING) && x->rvi >> 4 > ppr >> 4;
	v->recheck |= x->virtual_interrupt;
}

void vid_ppr_virtualization(struct vcpu *v)
{
	unsigned tpr = (unsigned)vapic_read(v, VAPIC_TPR, 1), svi = v->vmx.svi;

	vapic_write(v, VAPIC_PPR, tpr >> 4 >= svi >> 4 ? tpr : svi & 0xf0, 4);
}

void vid_eoi_virtualization(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	u8 vector = x->svi;

	bit_clear(v, VAPIC_ISR, vector);
	x->svi = highest(v, VAPIC_ISR);
	vid_ppr_virtualization(v);
	if (x->vmcs.ctl.eoi_exit_bitmap[vector >> 6] >> (vector & 63) & 1)
		vapic_trap_exit(v, EXIT_REASON_VIRTUALIZED_EOI, vector);
	else
		vid_evaluate(v);
}

void vid_self_ipi_virtualization(struct vcpu *v, u8 vector)
{
	struct vmx_state *x = &v->vmx;

	bit_set(v, VAPIC_IRR, vector);
	if (vector > x->rvi)
		x->rvi = vector;
	vid_evaluate(v);
}

void vid_vm_entry(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;

	x->virtual_interrupt = false;
	if (!vmx_on(x, PROC2_VIRTUAL_INTERRUPT_DELIVERY))
		return;
	x->rvi = (u8)x->vmcs.guest.interrupt_status;
	x->svi = (u8)(x->vmcs.guest.interrupt_status >> 8);
	vid_ppr_virtualization(v);
	vid_evaluate(v);
}

/* --- "Virtual-Interrupt Delivery" --- */

static u8 deliver(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	u8 vector = x->rvi;

	bit_set(v, VAPIC_ISR, vector);
	x->svi = vector;
	vapic_write(v, VAPIC_PPR, vector & 0xf0, 4);
	bit_clear(v, VAPIC_IRR, vector);
	x->rvi = highest(v, VAPIC_IRR);
	x->virtual_interrupt = false;
	return vector;
}

int vmx_boundary_virtual_interrupt(struct vcpu *v)
{
	if (likely(!v->vmx.virtual_interrupt) || v->activity == ACT_SHUTDOWN ||
	    v->activity == ACT_WAIT_SIPI)
		return -1;
	if (!(v->rflags & RFLAGS_IF) || shadow_at_boundary(v)) {
		v->intr_waiting = true;
		return -1;
	}
	return deliver(v);
}
