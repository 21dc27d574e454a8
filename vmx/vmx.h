/*
 * What cpu/ and machine/ call of VMX; the only header of vmx/ that they include (vmx_state.h
 * apart).
 *
 * Convention: functions called while an instruction runs return 0 (go on) or an enum exec_result to
 * return at once: EXEC_VMEXIT (the state is already that of the host), EXEC_FAULT (an exception is
 * in v->exc). v->rip is the address of the instruction. Functions called at an instruction boundary
 * by the run loop return true if a VM exit was made.
 *
 * Everything is cheap outside non-root operation: the inline wrappers test one byte.
 */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "cpu/cpu.h"
#include "vmx/vmx_state.h"

/* --- life --- */
/* Once, when the model is known: capability MSRs. */
void vmx_cpu_init(struct vcpu *v);
/* RESET and INIT. RESET also clears IA32_FEATURE_CONTROL. */
void vmx_reset(struct vcpu *v, bool init);
/* Capability MSRs 480H-493H and IA32_FEATURE_CONTROL (3AH); false: #GP. */
bool vmx_msr_read(struct vcpu *v, u32 msr, u64 *value);
bool vmx_msr_write(struct vcpu *v, u32 msr, u64 value);
/* Around a saved state: before it is taken, and after one was loaded (all but what `struct
 * vmx_state` calls derived). */
void vmx_before_save(struct vcpu *v);
void vmx_after_load(struct vcpu *v);
/* An SMI leaves VMX operation until RSM; to be called before the interrupted state is saved, and
 * after it was loaded. CR4.VMXE is not in SMRAM: false if RSM found it there. */
void vmx_smi(struct vcpu *v);
bool vmx_rsm(struct vcpu *v);
/* VMX state for `info vmx`: current VMCS, counters, the last exits. */
void vmx_print(const struct vcpu *v, FILE *out);
/* The last `count` VM exits, oldest first, with decoded qualifications; the current VMCS. */
void vmx_print_exits(const struct vcpu *v, unsigned count, FILE *out);
void vmx_print_vmcs(const struct vcpu *v, FILE *out);
/* The last refusal in words. */
void vmx_explain(const struct vcpu *v, FILE *out);

/* --- instruction handlers of the VMX rows of the instruction table --- */
exec_fn op_vmxon, op_vmxoff, op_vmclear, op_vmptrld, op_vmptrst, op_vmread, op_vmwrite;
exec_fn op_vmlaunch, op_vmresume, op_vmcall, op_vmfunc, op_invept, op_invvpid;

/* --- intercepts of instructions --- */
enum vmx_intercept {
#define X(name, exits_if, ud_unless, reason, info) X_##name,
#include "vmx/intercepts.def"
	VMX_INTERCEPTS
};
int vmx_intercept_insn(struct vcpu *v, const struct insn *i, enum vmx_intercept x);
/* Right after the #UD and CPL checks, before operands are read. Also raises the #UD that a missing
 * enabling control asks for (RDTSCP, RDPID, INVPCID, XSAVES, XRSTORS). */
static inline int vmx_intercept(struct vcpu *v, const struct insn *i, enum vmx_intercept x)
{
	return unlikely(v->vmx.non_root) ? vmx_intercept_insn(v, i, x) : 0;
}

/* The enabling control of the instruction is 1, or there is none. */
bool vmx_enabled_insn(const struct vcpu *v, enum vmx_intercept x);
static inline bool vmx_enabled(const struct vcpu *v, enum vmx_intercept x)
{
	return likely(!v->vmx.non_root) || vmx_enabled_insn(v, x);
}

/* After the IOPL and permission-bitmap checks. laddr: linear address of the memory operand of INS
 * and OUTS, else 0. */
enum { VMX_IO_IN = 8, VMX_IO_STRING = 16, VMX_IO_REP = 32, VMX_IO_IMM = 64 };
int vmx_intercept_io(struct vcpu *v, const struct insn *i, u16 port, unsigned size, unsigned flags,
		     u64 laddr);
/* After the CPL check, before the MSR is looked at. */
int vmx_intercept_rdmsr(struct vcpu *v, const struct insn *i, u32 msr);
int vmx_intercept_wrmsr(struct vcpu *v, const struct insn *i, u32 msr);
/* An entry of RDMSRLIST or WRMSRLIST, with the value that would be written. */
int vmx_intercept_msr_list(struct vcpu *v, const struct insn *i, u32 msr, bool write, u64 data);
/* x2APIC MSRs that the virtual-APIC page serves, in non-root operation. True or DONE: as if the MSR
 * had been accessed. */
bool vmx_virtual_rdmsr(struct vcpu *v, u32 msr, u64 *value);
enum vmx_msr_result { VMX_MSR_NORMAL, VMX_MSR_DONE, VMX_MSR_GP };
enum vmx_msr_result vmx_virtual_wrmsr(struct vcpu *v, u32 msr, u64 value);
int vmx_intercept_mov_dr(struct vcpu *v, const struct insn *i, unsigned dr, unsigned gpr,
			 bool read);
/* MOV to CR0, CR3, CR4, CR8: exits, or replaces *value by what the masks leave to be written. */
int vmx_mov_to_cr(struct vcpu *v, const struct insn *i, unsigned cr, unsigned gpr, u64 *value);
/* MOV from CR3, CR8: exits or not. CR0 and CR4 never exit; see vmx_cr0_view. */
int vmx_mov_from_cr(struct vcpu *v, const struct insn *i, unsigned cr, unsigned gpr);
/* CLTS and LMSW. *value enters as the CR0 that would be written, leaves as the one to write. */
int vmx_clts(struct vcpu *v, const struct insn *i, u64 *value);
int vmx_lmsw(struct vcpu *v, const struct insn *i, u16 source, u64 laddr, u64 *value);
/* Task switch of any source (0 CALL, 1 IRET, 2 JMP, 3 gate); len: instruction length, 0 if none. */
int vmx_intercept_task_switch(struct vcpu *v, u16 selector, unsigned source, unsigned len);

/* CR0 and CR4 as MOV from CR and SMSW show them. */
static inline u64 vmx_cr0_view(const struct vcpu *v)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;

	return !v->vmx.non_root ? v->cr0 : (v->cr0 & ~c->cr0_mask) | (c->cr0_shadow & c->cr0_mask);
}

static inline u64 vmx_cr4_view(const struct vcpu *v)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;

	return !v->vmx.non_root ? v->cr4 : (v->cr4 & ~c->cr4_mask) | (c->cr4_shadow & c->cr4_mask);
}

/* False: #GP, as VMX operation fixes bits of the register. */
bool vmx_cr0_allowed(const struct vcpu *v, u64 value);
bool vmx_cr4_allowed(const struct vcpu *v, u64 value);

/* CR8 with TPR shadow is bits 7:4 of VTPR. */
static inline bool vmx_tpr_shadow(const struct vcpu *v)
{
	return unlikely(v->vmx.non_root) && vmx_on(&v->vmx, PROC_USE_TPR_SHADOW);
}
u64 vmx_cr8_read(struct vcpu *v);
/* The write may make a trap-like exit pending: the caller returns EXEC_LEAVE. */
void vmx_cr8_write(struct vcpu *v, u64 value);

/* The time-stamp counter as RDTSC, RDTSCP and RDMSR of IA32_TIME_STAMP_COUNTER show it. */
u64 vmx_guest_tsc(const struct vcpu *v, u64 tsc);
static inline u64 vmx_tsc(const struct vcpu *v)
{
	u64 tsc = vcpu_tsc(v);

	return unlikely(v->vmx.non_root) ? vmx_guest_tsc(v, tsc) : tsc;
}

/* A span of the time-stamp counter as the guest sees it, in ticks. */
u64 vmx_guest_to_host_ticks(const struct vcpu *v, u64 ticks);
static inline u64 vmx_host_ticks(const struct vcpu *v, u64 ticks)
{
	return unlikely(v->vmx.non_root) ? vmx_guest_to_host_ticks(v, ticks) : ticks;
}

/* IA32_SPEC_CTRL as RDMSR shows it, and what a valid value written to it makes of it. */
u64 vmx_spec_ctrl_read(const struct vcpu *v);
u64 vmx_spec_ctrl_write(struct vcpu *v, u64 value);

/* --- memory --- */
/* What the VMCS makes of page walks; w->eptp is that of v. */
void vmx_walk_env(struct vcpu *v, struct walk_env *w);
/* What a walk met in the EPT or beside it: EXEC_VMEXIT, or EXEC_FAULT for a virtualization
 * exception. laddr: 0 if the access had no linear address (loading PDPTEs). */
int vmx_ept_fault(struct vcpu *v, const struct walk_out *out, u64 laddr);
/* No TLB entry may be made for the APIC-access page: its accesses come to vmx_apic_access. */
static inline bool vmx_is_apic_page(const struct vcpu *v, u64 paddr)
{
	return unlikely(v->vmx.non_root) && vmx_on(&v->vmx, PROC2_VIRTUALIZE_APIC_ACCESSES) &&
	       (paddr & PAGE_MASK) == (v->vmx.vmcs.ctl.apic_access & PAGE_MASK);
}
/* The page with bit 0 set, 0 if there is none: for walks, whose tables must not lie in it. */
static inline u64 vmx_apic_page(const struct vcpu *v)
{
	return vmx_is_apic_page(v, v->vmx.vmcs.ctl.apic_access) ? v->vmx.vmcs.ctl.apic_access | 1
								: 0;
}
/* access: enum access. *value is read or written if the access is virtualized (0), else
 * EXEC_VMEXIT. With READ and WRITE it is read, and vmx_apic_write must follow. */
int vmx_apic_access(struct vcpu *v, u64 laddr, unsigned offset, unsigned size, unsigned access,
		    u64 *value);
void vmx_apic_write(struct vcpu *v, unsigned offset, unsigned size, u64 value);
/* What cannot be virtualized: an access of which only a part is on the page. Always EXEC_VMEXIT. */
/* A guest-physical access to the page. Always EXEC_VMEXIT. */
int vmx_apic_guest_physical(struct vcpu *v);
int vmx_apic_access_exit(struct vcpu *v, u64 laddr, unsigned offset, unsigned access);

/* --- events --- */
/* An exception (v->exc form, #DF too) about to be delivered: true if it caused a VM exit. */
bool vmx_intercept_exception(struct vcpu *v, const struct event *e);
/* True if the triple fault caused a VM exit. */
bool vmx_triple_fault(struct vcpu *v);
/* Around each attempt to deliver an event: what IDT-vectoring information will say if an exit
 * happens in between. Call begin before event_deliver_idt, end once it is delivered. */
void vmx_delivery_begin(struct vcpu *v, const struct event *e);
static inline void vmx_delivery_end(struct vcpu *v)
{
	v->vmx.vectoring_info = v->vmx.vectoring_length = 0;
	v->vmx.event_delivered = true;
}
/* An NMI was delivered through the IDT (injected or not), and IRET is about to run: blocking. */
void vmx_nmi_delivered(struct vcpu *v);
void vmx_iret(struct vcpu *v);
/* Physical NMIs are blocked (virtual-NMI blocking does not count). */
static inline bool vmx_nmi_blocked(const struct vcpu *v)
{
	return v->nmi_blocked;
}
/* INIT is blocked in VMX root operation, and in a guest that waits for SIPI. */
static inline bool vmx_init_blocked(const struct vcpu *v)
{
	return v->vmx.vmxon && (!v->vmx.non_root || v->activity == ACT_WAIT_SIPI);
}

/*
 * At an instruction boundary in non-root operation, also while halted, in this order. Each returns
 * true if it made a VM exit; the loop then starts over. Between 2 and 3 stands the delivery of
 * pending debug exceptions. A window that is wanted but shut sets v->intr_waiting.
 */
bool vmx_boundary_vapic(struct vcpu *v); /* 0: APIC-write emulation, trap-like exits of it */
bool vmx_boundary_init(struct vcpu *v); /* 1: INIT pending: exit 3. SIPI in wait-for-SIPI: exit 4 */
/* Before a debug trap: the instruction timeout, as no instruction retired since the last one. */
bool vmx_boundary_stuck(struct vcpu *v);
bool vmx_boundary_traps(struct vcpu *v);	    /* 2: monitor trap flag */
bool vmx_boundary_windows(struct vcpu *v);	    /* 3: preemption timer, NMI window */
bool vmx_boundary_nmi(struct vcpu *v);		    /* 4: an NMI is pending and not blocked */
bool vmx_boundary_int_window(struct vcpu *v);	    /* 5: interrupt window */
int vmx_boundary_virtual_interrupt(struct vcpu *v); /* or 5: the vector to deliver now; -1: none */
/* 6: an external interrupt is pending, whatever IF. True too after posted-interrupt processing. */
bool vmx_boundary_interrupt(struct vcpu *v);
/* The monitor trap flag is on, or an exit is pending: one instruction at a time. */
static inline bool vmx_boundary_wanted(const struct vcpu *v)
{
	return unlikely(v->vmx.non_root) &&
	       (vmx_on(&v->vmx, PROC_MONITOR_TRAP_FLAG) || v->vmx.mtf_pending || v->vmx.trap_exit);
}
/* A window exit is wanted: whoever opens a window (IF set, NMI unblocked) must end its block. */
static inline bool vmx_window_waiting(const struct vcpu *v)
{
	return unlikely(v->vmx.non_root) && (vmx_on(&v->vmx, PROC_INTERRUPT_WINDOW_EXITING) ||
					     vmx_on(&v->vmx, PROC_NMI_WINDOW_EXITING));
}
/* Ticks until the VMX-preemption timer expires; UINT64_MAX: not running. */
u64 vmx_timer_ticks_left(const struct vcpu *v);

#endif
