/*
 * The VMX-preemption timer (SDM Vol. 3, "VMX-Preemption Timer"). It counts down by one each time
 * bit VMX_PREEMPTION_TIMER_RATE of the tick counter changes, in every activity state; nothing is
 * stored while it runs. In wait-for-SIPI state it expires without a VM exit.
 */
#include "vmx/internal.h"

void preempt_timer_start(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;

	x->timer_armed = vmx_on(x, PIN_ACTIVATE_PREEMPTION_TIMER);
	x->timer_start = (vmx_ticks(v) - VMX_ENTRY_TICKS) >> VMX_PREEMPTION_TIMER_RATE;
}

u32 preempt_timer_left(const struct vcpu *v)
{
	u64 elapsed = (vmx_ticks(v) >> VMX_PREEMPTION_TIMER_RATE) - v->vmx.timer_start;
	u32 value = v->vmx.vmcs.guest.preemption_timer;

	return elapsed < value ? value - (u32)elapsed : 0;
}

bool preempt_timer_expired(const struct vcpu *v)
{
	return v->vmx.timer_armed && !preempt_timer_left(v);
}

u64 vmx_timer_ticks_left(const struct vcpu *v)
{
	u64 end = (v->vmx.timer_start + v->vmx.vmcs.guest.preemption_timer)
		  << VMX_PREEMPTION_TIMER_RATE;
	u64 now = v->icount + v->skipped; /* asked for by the run loop only */

	if (!v->vmx.non_root || !v->vmx.timer_armed || v->activity == ACT_WAIT_SIPI)
		return UINT64_MAX;
	return end > now ? end - now : 0;
}
