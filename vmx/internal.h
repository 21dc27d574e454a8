/*
 * What the files of vmx/ share and nobody else sees.
 */
#ifndef VMX_INTERNAL_H
#define VMX_INTERNAL_H

#include "vmx/check.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmx.h"

/* What an exit does to the RF flag that is saved. */
enum exit_rf { RF_KEEP, RF_CLEAR, RF_SET };

/* The exit-information fields of one VM exit; all not named are zero. */
struct vm_exit {
	u32 reason;
	enum exit_rf rf;
	u64 qualification, laddr, gpa;
	u32 intr_info, intr_error;
	u32 length, insn_info;
};

/* The VM exit: saves guest state, loads host state. Returns EXEC_VMEXIT. */
int vm_exit(struct vcpu *v, const struct vm_exit *x);
/* One between two instructions. Returns true. */
bool vm_exit_at_boundary(struct vcpu *v, const struct vm_exit *x);
/* An exit in place of an instruction. */
int vm_exit_insn(struct vcpu *v, const struct insn *i, u32 reason, u64 qualification);
/* VM entry with the current VMCS: VMfail, entry failure or the guest. */
int vm_enter(struct vcpu *v);
/* The facts around the current VMCS that its checks look at. */
struct vmx_check_env vmx_check_env(struct vcpu *v);
/* VMfail; both return EXEC_NEXT. */
int vm_fail_valid(struct vcpu *v, unsigned error);
int vm_fail_invalid(struct vcpu *v);
/* A VM entry that failed after it began to load guest state. Returns EXEC_VMEXIT. */
int vm_entry_failure(struct vcpu *v, u32 reason, u64 qualification);

/* report.c: a rule was broken. Each records and logs why, and does what the rule says: returns
 * EXEC_FAULT after #UD and #GP, EXEC_NEXT after VMfail, EXEC_VMEXIT else. */
#define VMX_REPORT_LINE 768
int vmx_refuse(struct vcpu *v, enum vmx_rule rule, u64 value);
int vmx_refuse_entry(struct vcpu *v, const struct vmx_failure *f, unsigned qualification);
int vmx_abort(struct vcpu *v, enum vmx_rule rule, u64 value);
/* Only records and logs. */
void vmx_report(struct vcpu *v, const struct vmx_failure *f, unsigned qualification);

/* How an MSR list ended: RULE_NONE, or the rule that its entry number `index` (from 1) broke. */
struct msr_list_end {
	enum vmx_rule rule;
	u32 index;
	u64 value;
};

/* msr_lists.c; `first` is the first rule of the list. */
struct msr_list_end msr_list_load(struct vcpu *v, u64 addr, u32 count, enum vmx_rule first);
struct msr_list_end msr_list_store(struct vcpu *v, u64 addr, u32 count);

/* exit_print.c: what the qualification of an exit with this reason says; nothing if it has none. */
void vmx_print_qualification(FILE *out, u32 reason, u64 qualification);

/* Bits of exit qualifications and interruption information. */
#define INFO_NMI_UNBLOCKING BIT(12)
#define SPP_QUALIFICATION_MISS BIT(11)
/* An IRET had removed NMI blocking before it faulted, and no event was in delivery. */
bool vmx_nmi_unblocked(const struct vcpu *v);

/* CR0 bits that VM entry and VM exit leave alone: ET, NW, CD and the reserved ones. */
#define CR0_NOT_LOADED 0x7ffaffd0ull

/* Instructions by which the count moves between a VMLAUNCH or VMRESUME and the guest's first. */
#define VMENTRY_RETIRES 1

/* Instructions retired: at a boundary and during event delivery the run loop's count is exact. */
static inline u64 vmx_icount(const struct vcpu *v)
{
	return v->vmx.at_boundary || v->delivering ? v->icount : vcpu_icount(v);
}

static inline u64 vmx_ticks(const struct vcpu *v)
{
	return vmx_icount(v) + v->skipped;
}

/* insn_info.c */
u32 insn_info_memory(const struct insn *i); /* memory or register operand, reg2 */
u32 insn_info_table(const struct insn *i, unsigned identity);
u32 insn_info_gpr(const struct insn *i);
u32 insn_info_string_io(const struct insn *i);
/* The displacement as the exit qualification gives it. */
u64 insn_displacement(const struct vcpu *v, const struct insn *i);
/* Length of the instruction at CS:RIP, for exits in the midst of a memory access; 0 in delivery. */
u32 insn_length_now(struct vcpu *v);

/* vmcs_current.c: the current and the shadow VMCS in the cache. */
void vmcs_make_current(struct vcpu *v, u64 ptr);
void vmcs_flush_current(struct vcpu *v);
struct vmcs *vmcs_shadow_get(struct vcpu *v);
void vmcs_shadow_flush(struct vcpu *v);

/* preempt_timer.c */
void preempt_timer_start(struct vcpu *v);
u32 preempt_timer_left(const struct vcpu *v);
bool preempt_timer_expired(const struct vcpu *v);

/* What APIC virtualization left for the end of an operation; a VM exit drops it. */
static inline void vapic_nothing_pending(struct vmx_state *x)
{
	x->trap_exit = 0;
	x->apic_write_pending = x->virtual_interrupt = false;
}

/* ept.c: VM entry would take the EPTP. */
bool vmx_eptp_usable(const struct vmx_caps *caps, u64 eptp);
/* Translations do not know the HLAT pointer; they go when it is another one. */
void vmx_hlat_entered(struct vcpu *v);

/* ve.c */
bool ve_convertible(struct vcpu *v, const struct walk_out *out);
int ve_raise(struct vcpu *v, const struct vm_exit *e);

/* TLB mappings of VPID 0 go at VM entry and VM exit without VPID. */
void vmx_flush_vpid0(struct vcpu *v);

#endif
