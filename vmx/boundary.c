/*
 * VM exits at instruction boundaries and of events on their way to the guest (SDM Vol. 3, "Other
 * Causes of VM Exits", "Event Blocking", "Monitor Trap Flag", "Information for VM Exits That Occur
 * During Event Delivery").
 *
 * Left out: SMM VM exits, the monitor trap flag within repeated string instructions.
 */
#include "vmx/vapic.h"

#define INFO_VALID BIT(31)
#define INFO_ERROR BIT(11)

bool vm_exit_at_boundary(struct vcpu *v, const struct vm_exit *e)
{
	v->vmx.at_boundary = true;
	vm_exit(v, e);
	v->vmx.at_boundary = false;
	return true;
}

static bool exit_plain(struct vcpu *v, u32 reason)
{
	return vm_exit_at_boundary(v, &(struct vm_exit){.reason = reason});
}

static bool halted_deeply(const struct vcpu *v)
{
	return v->activity == ACT_SHUTDOWN || v->activity == ACT_WAIT_SIPI;
}

/* --- events --- */

static u32 event_info(const struct event *e)
{
	return e->vector | (u32)e->type << 8 | (e->has_error ? INFO_ERROR : 0) | INFO_VALID;
}

static bool is_software(const struct event *e)
{
	return e->type == EVENT_SW_INT || e->type == EVENT_PRIV_SW_EXC || e->type == EVENT_SW_EXC;
}

void vmx_delivery_begin(struct vcpu *v, const struct event *e)
{
	struct vmx_state *x = &v->vmx;

	if (likely(!x->non_root))
		return;
	x->vectoring_info = event_info(e);
	x->vectoring_error = e->has_error ? e->error : 0;
	x->vectoring_length = is_software(e) ? e->len : 0;
}

static bool exception_intercepted(const struct vcpu *v, const struct event *e)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;
	bool bit = c->exception_bitmap >> (e->vector & 31) & 1;

	if (e->vector != VEC_PF)
		return bit;
	return (e->error & c->pf_mask) == c->pf_match ? bit : !bit;
}

static u64 exception_qualification(const struct event *e)
{
	if (e->vector == VEC_PF)
		return e->cr2;
	return e->vector == VEC_DB ? e->dr6 & 0x1e00f : 0;
}

/* RF as the exception would push it: 1 for faults, unchanged for traps. */
static enum exit_rf exception_rf(const struct event *e)
{
	if (e->type != EVENT_HW_EXC || e->vector == VEC_DB || e->vector == VEC_DF)
		return RF_KEEP;
	return RF_SET;
}

bool vmx_intercept_exception(struct vcpu *v, const struct event *e)
{
	struct vm_exit x = {.reason = EXIT_REASON_EXCEPTION_OR_NMI};

	if (likely(!v->vmx.non_root) || e->type == EVENT_EXT_INT || e->type == EVENT_NMI ||
	    e->type == EVENT_SW_INT || !exception_intercepted(v, e))
		return false;
	/* a fault's instruction has not completed: a shadow that covers it is still there */
	if (v->exc.valid && v->shadow && v->shadow_at + 1 == v->icount)
		v->shadow_at = v->icount;
	x.rf = exception_rf(e);
	x.qualification = exception_qualification(e);
	x.intr_info = event_info(e);
	x.intr_error = e->has_error ? e->error : 0;
	x.length = is_software(e) ? e->len : 0;
	return vm_exit_at_boundary(v, &x);
}

bool vmx_triple_fault(struct vcpu *v)
{
	return v->vmx.non_root && exit_plain(v, EXIT_REASON_TRIPLE_FAULT);
}

void vmx_nmi_delivered(struct vcpu *v)
{
	if (v->vmx.non_root && vmx_on(&v->vmx, PIN_VIRTUAL_NMIS))
		v->vmx.virtual_nmi_blocking = true;
	else
		v->nmi_blocked = true;
}

void vmx_iret(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	bool *blocked = &v->nmi_blocked;

	if (x->non_root && vmx_on(x, PIN_NMI_EXITING)) {
		if (!vmx_on(x, PIN_VIRTUAL_NMIS))
			return; /* IRET does not touch NMI blocking */
		blocked = &x->virtual_nmi_blocking;
	}
	if (!*blocked)
		return;
	*blocked = false;
	v->recheck = true;
	x->iret_unblocked_at = vcpu_icount(v);
}

/* --- boundary functions, in the order of their priority --- */

bool vmx_boundary_init(struct vcpu *v)
{
	struct vm_exit e = {.reason = EXIT_REASON_SIPI, .qualification = v->sipi_vector};

	if (!v->vmx.non_root)
		return false;
	if (v->activity == ACT_WAIT_SIPI) {
		if (!v->sipi_pending)
			return false;
		v->sipi_pending = false;
		return vm_exit_at_boundary(v, &e);
	}
	v->sipi_pending = false; /* discarded in every other state */
	if (!v->init_pending)
		return false;
	v->init_pending = false;
	return exit_plain(v, EXIT_REASON_INIT_SIGNAL);
}

bool vmx_boundary_traps(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	bool mtf;

	if (likely(!x->non_root))
		return false;
	mtf = x->mtf_pending || (vmx_on(x, PROC_MONITOR_TRAP_FLAG) &&
				 (x->event_delivered || v->icount != x->mtf_icount));
	x->event_delivered = false;
	x->mtf_icount = v->icount;
	return mtf && exit_plain(v, EXIT_REASON_MONITOR_TRAP_FLAG);
}

bool vmx_boundary_stuck(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	u64 window = (u64)x->vmcs.ctl.notify_window * CRYSTAL_TICKS;
	u64 retired = v->icount - v->pmu.unretired;

	if (!vmx_on(x, PROC2_INSTRUCTION_TIMEOUT))
		return false;
	if (retired != x->progress) {
		x->progress = retired;
		x->progress_at = v->icount;
	}
	return v->icount - x->progress_at > window && exit_plain(v, EXIT_REASON_NOTIFY);
}

/* Wanted but shut: to be looked at whenever a blocked interrupt would be. */
static bool window(struct vcpu *v, enum vmx_control control, bool open, u32 reason)
{
	if (!vmx_on(&v->vmx, control))
		return false;
	if (open)
		return exit_plain(v, reason);
	v->intr_waiting = true;
	return false;
}

bool vmx_boundary_windows(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	bool expired;

	if (likely(!x->non_root))
		return false;
	x->at_boundary = true;
	expired = v->activity != ACT_WAIT_SIPI && preempt_timer_expired(v);
	x->at_boundary = false;
	if (expired)
		return exit_plain(v, EXIT_REASON_PREEMPTION_TIMER);
	return window(v, PROC_NMI_WINDOW_EXITING,
		      !x->virtual_nmi_blocking && !shadow_at_boundary(v) &&
			      v->activity != ACT_WAIT_SIPI,
		      EXIT_REASON_NMI_WINDOW);
}

bool vmx_boundary_nmi(struct vcpu *v)
{
	struct vm_exit e = {.reason = EXIT_REASON_EXCEPTION_OR_NMI,
			    .intr_info = VEC_NMI | EVENT_NMI << 8 | INFO_VALID};

	if (likely(!v->vmx.non_root) || !v->nmi_pending || v->nmi_blocked ||
	    v->activity == ACT_WAIT_SIPI || !vmx_on(&v->vmx, PIN_NMI_EXITING) ||
	    shadow_at_boundary(v) == SHADOW_MOV_SS)
		return false;
	v->nmi_pending = false;
	vm_exit_at_boundary(v, &e);
	v->nmi_blocked = true; /* after the exit: the saved state shows none */
	return true;
}

bool vmx_boundary_int_window(struct vcpu *v)
{
	return unlikely(v->vmx.non_root) &&
	       window(v, PROC_INTERRUPT_WINDOW_EXITING,
		      (v->rflags & RFLAGS_IF) && !shadow_at_boundary(v) && !halted_deeply(v),
		      EXIT_REASON_INTERRUPT_WINDOW);
}

/* HLT stays HLT, and a virtual interrupt that is recognized may end it. */
static void posted_arrived(struct vcpu *v)
{
	if (v->activity == ACT_MWAIT)
		v->activity = ACT_ACTIVE;
	posted_process(v);
	v->recheck = true;
}

bool vmx_boundary_interrupt(struct vcpu *v)
{
	struct vm_exit e = {.reason = EXIT_REASON_EXTERNAL_INTERRUPT};
	struct cpu_wires *w = v->wires;
	int vector;

	if (likely(!v->vmx.non_root) || !vmx_on(&v->vmx, PIN_EXTERNAL_INTERRUPT_EXITING) ||
	    halted_deeply(v) || w->intr_pending(w->owner) < 0)
		return false;
	if (vmx_on(&v->vmx, EXIT_ACKNOWLEDGE_INTERRUPT_ON_EXIT)) {
		vector = w->intr_acknowledge(w->owner);
		if (posted_notification(v, vector)) {
			posted_arrived(v);
			return true;
		}
		if (vector >= 0)
			e.intr_info = (u32)(u8)vector | EVENT_EXT_INT << 8 | INFO_VALID;
	}
	return vm_exit_at_boundary(v, &e);
}
