/*
 * Posted-interrupt processing (SDM Vol. 3, "Posted-Interrupt Processing").
 */
#include "vmx/vapic.h"

bool posted_notification(const struct vcpu *v, int vector)
{
	return vmx_on(&v->vmx, PIN_PROCESS_POSTED_INTERRUPTS) &&
	       vector == v->vmx.vmcs.ctl.posted_vector;
}

void posted_process(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	u64 pid = x->vmcs.ctl.posted_descriptor;

	phys_write(v, pid + PID_CONTROL, phys_read(v, pid + PID_CONTROL, 8) & ~PID_ON, 8);
	v->wires->apic_eoi(v->wires->owner);
	for (unsigned n = 0; n < 4; n++) {
		u64 pir = phys_read(v, pid + 8 * n, 8);
		unsigned top;

		if (!pir)
			continue;
		phys_write(v, pid + 8 * n, 0, 8);
		vid_request(v, 64 * n, pir);
		top = 64 * n + 63 - (unsigned)__builtin_clzll(pir);
		if (top > x->rvi)
			x->rvi = (u8)top;
	}
	vid_evaluate(v);
}
