/*
 * What can happen at an instruction boundary, in the order of the SDM's "Priority Among
 * Simultaneous Exceptions and Interrupts" and, in VMX non-root operation, "Relative Priority of
 * Faults and VM Exits" and "Other Causes of VM Exits".
 */
#include "cpu/run.h"
#include "vmx/vmx.h"

static void wake(struct vcpu *v)
{
	if (v->activity == ACT_HLT || v->activity == ACT_MWAIT)
		v->activity = ACT_ACTIVE;
}

/* Takes a tick, so that a guest that is interrupted before each instruction uses up its budget. */
static void deliver(struct vcpu *v, const struct event *e)
{
	event_deliver(v, *e);
	vcpu_charge(v, 1);
}

static bool take_reset_signals(struct vcpu *v)
{
	if (v->vmx.non_root && vmx_boundary_init(v))
		return true;
	if (v->smi_pending && !v->in_smm && v->activity != ACT_WAIT_SIPI) {
		wake(v);
		smi_enter(v);
		return true;
	}
	if (v->init_pending && !v->in_smm && !vmx_init_blocked(v)) {
		v->init_pending = false;
		LOG(v->log, cpu, "CPU %u: INIT", v->id);
		vcpu_reset(v, true);
		return true;
	}
	if (v->sipi_pending && v->activity == ACT_WAIT_SIPI && !v->vmx.non_root) {
		v->sipi_pending = false;
		v->seg[SEG_CS].sel = (u16)(v->sipi_vector << 8);
		v->seg[SEG_CS].base = (u64)v->sipi_vector << 12;
		v->rip = 0;
		v->activity = ACT_ACTIVE;
		LOG(v->log, cpu, "CPU %u: SIPI %02x", v->id, v->sipi_vector);
		vcpu_recompute(v);
		return true;
	}
	return false;
}

static bool take_debug_trap(struct vcpu *v)
{
	struct event e = {.valid = true,
			  .vector = VEC_DB,
			  .type = EVENT_HW_EXC,
			  .dr6 = v->pending_dbg & ~PENDING_DBG_ENABLED};

	if (!v->pending_dbg || shadow_at_boundary(v) == SHADOW_MOV_SS)
		return false;
	if (v->vmx.non_root && vmx_boundary_stuck(v))
		return true;
	v->pending_dbg = 0;
	wake(v);
	deliver(v, &e);
	return true;
}

static bool take_nmi(struct vcpu *v)
{
	struct event e = {.valid = true, .vector = VEC_NMI, .type = EVENT_NMI};

	if (!v->nmi_pending)
		return false;
	if (v->vmx.non_root) {
		if (vmx_boundary_nmi(v))
			return true;
		if (!v->nmi_pending)
			return false;
	}
	if (vmx_nmi_blocked(v) || shadow_at_boundary(v))
		return false;
	v->nmi_pending = false;
	wake(v);
	if (v->activity == ACT_SHUTDOWN)
		v->activity = ACT_ACTIVE;
	deliver(v, &e);
	return true;
}

static bool take_interrupt(struct vcpu *v)
{
	struct event e = {.valid = true, .type = EVENT_EXT_INT};
	int vector;

	if (v->vmx.non_root && vmx_boundary_interrupt(v))
		return true;
	if (v->wires->intr_pending(v->wires->owner) < 0)
		return false;
	v->intr_waiting = true;
	if (!(v->rflags & RFLAGS_IF) || shadow_at_boundary(v) || v->activity == ACT_SHUTDOWN ||
	    v->activity == ACT_WAIT_SIPI)
		return false;
	vector = v->wires->intr_acknowledge(v->wires->owner);
	v->recheck = true;
	if (vector < 0)
		return false;
	wake(v);
	e.vector = (u8)vector;
	deliver(v, &e);
	return true;
}

static bool take_virtual_interrupt(struct vcpu *v)
{
	struct event e = {.valid = true, .type = EVENT_EXT_INT};
	int vector = vmx_boundary_virtual_interrupt(v);

	if (likely(vector < 0))
		return false;
	wake(v);
	e.vector = (u8)vector;
	event_deliver(v, e);
	return true;
}

/* Something is pending behind an interrupt shadow: one instruction, then look again. */
static void step_through_shadow(struct vcpu *v)
{
	if (shadow_at_boundary(v) && (v->intr_waiting || v->nmi_pending || v->pending_dbg ||
				      (v->vmx.non_root && vmx_boundary_wanted(v))))
		v->one_step = true;
}

bool vcpu_events(struct vcpu *v)
{
	bool guest = v->vmx.non_root;

	v->intr_waiting = false;
	if (v->inject.valid) {
		v->recheck = true;
		event_inject(v);
		return true;
	}
	if (guest && vmx_boundary_vapic(v))
		return true;
	if (take_reset_signals(v))
		return true;
	if (guest && vmx_boundary_traps(v))
		return true;
	if (v->activity != ACT_WAIT_SIPI && take_debug_trap(v))
		return true;
	if (guest && vmx_boundary_windows(v))
		return true;
	if (v->activity != ACT_WAIT_SIPI && take_nmi(v))
		return true;
	if (guest && (vmx_boundary_int_window(v) || take_virtual_interrupt(v)))
		return true;
	if (take_interrupt(v))
		return true;
	step_through_shadow(v);
	if (guest && vmx_boundary_wanted(v))
		v->one_step = true;
	return false;
}

bool vcpu_wakes(struct vcpu *v)
{
	if (v->activity == ACT_ACTIVE)
		return true;
	return vcpu_events(v) || v->activity == ACT_ACTIVE;
}
