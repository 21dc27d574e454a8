/*
 * Monitoring an address and waiting: MONITOR and MWAIT, UMONITOR, UMWAIT and TPAUSE. SDM Vol. 2 of
 * each; Vol. 3, "MONITOR/MWAIT Instruction", "Performance and Power Control with UMWAIT".
 *
 * A wait may end early for any reason. MWAIT ends at once; the others let virtual time pass, but
 * never beyond the next thing that can happen, so that no store or interrupt can be missed.
 */
#include "cpu/cpu.h"
#include "cpu/insn_protos.h"
#include "vmx/vmx.h"

#define UMWAIT_CONTROL_TIME 0xfffffffcull

int x_monitor(struct vcpu *v, const struct insn *i)
{
	u64 off = v->reg[RAX] & size_mask(i->addrsize), ignored;
	int r = vmx_intercept(v, i, X_MONITOR);

	if (r)
		return r;
	if ((u32)v->reg[RCX])
		return raise_gp(v, 0);
	r = mem_read(v, i->seg, off, 1, &ignored);
	if (r)
		return r;
	v->monitor_addr = off;
	v->monitor_armed = true;
	return EXEC_NEXT;
}

int x_mwait(struct vcpu *v, const struct insn *i)
{
	int r = vmx_intercept(v, i, X_MWAIT);

	if (r)
		return r;
	if ((u32)v->reg[RCX] & ~1u)
		return raise_gp(v, 0);
	v->monitor_armed = false;
	v->leave = v->others_wait;
	return EXEC_LEAVE;
}

/* The address size, not the operand size, says how wide the register is. */
int x_umonitor(struct vcpu *v, const struct insn *i)
{
	u64 off = v->reg[i->rm] & size_mask(i->addrsize), ignored;
	unsigned seg = i->seg_override ? i->seg_override - 1u : SEG_DS;
	int r = vmx_intercept(v, i, X_UMONITOR);

	if (!r)
		r = mem_read(v, seg, off, 1, &ignored);
	if (r)
		return r;
	v->monitor_addr = off;
	v->monitor_armed = true;
	return EXEC_NEXT;
}

/* Ticks that may pass inside this instruction: the rest of the slice, but for a CPU that gives its
 * turn to others. */
static u64 spare_ticks(const struct vcpu *v)
{
	return (s64)v->budget > 0 && !v->others_wait ? v->budget : 0;
}

/* Until the TSC shows EDX:EAX, at most. CF: the limit of the operating system ended the wait. */
static void wait(struct vcpu *v)
{
	u64 until = (u32)v->reg[RAX] | v->reg[RDX] << 32, now = vmx_tsc(v);
	u64 limit = v->umwait_control & UMWAIT_CONTROL_TIME;
	u64 ticks = until > now ? vmx_host_ticks(v, until - now) : 0;
	bool cut = limit && limit < ticks;

	if (cut)
		ticks = limit;
	if (ticks > spare_ticks(v)) {
		ticks = spare_ticks(v);
		cut = false;
		v->leave = v->others_wait;
	}
	vcpu_charge(v, ticks);
	flags_set_arith(v, cut ? RFLAGS_CF : 0);
}

/* Checks that UMWAIT and TPAUSE share. */
static int wait_checks(struct vcpu *v, const struct insn *i, enum vmx_intercept x)
{
	int r = vmx_enabled(v, x) ? 0 : raise_ud(v);

	if (!r && v->cr4 & CR4_TSD && v->cpl)
		r = raise_gp(v, 0);
	if (!r)
		r = vmx_intercept(v, i, x);
	if (!r && (u32)v->reg[i->rm] & ~1u)
		r = raise_gp(v, 0);
	return r;
}

int x_tpause(struct vcpu *v, const struct insn *i)
{
	int r = wait_checks(v, i, X_TPAUSE);

	if (r)
		return r;
	wait(v);
	return EXEC_LEAVE;
}

int x_umwait(struct vcpu *v, const struct insn *i)
{
	int r = wait_checks(v, i, X_UMWAIT);

	if (r)
		return r;
	if (v->monitor_armed)
		wait(v);
	else
		flags_set_arith(v, 0);
	v->monitor_armed = false;
	return EXEC_LEAVE;
}
