/*
 * The VMX state of one logical processor: data only, embedded in struct vcpu. Which VMCS is
 * current, its cached copy, and what VM entry derived from it for quick tests.
 */
#ifndef VMX_VMX_STATE_H
#define VMX_VMX_STATE_H

#include "base/types.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

#define VMX_NO_POINTER UINT64_MAX
#define VMX_EXIT_RING 64

/* One VM exit, for the exit log and `info vmx`. */
struct vmx_exit_record {
	u64 icount, rip, qualification;
	u32 reason, interruption_info;
};

/* Why an instruction, a VM entry or a VM exit was refused last: a broken rule. */
struct vmx_refusal {
	u64 icount, rip, value, nearest;
	u32 field, qualification;
	u16 rule; /* enum vmx_rule; 0: nothing was refused yet */
	u16 cpu;
	bool non_root, resume;
};

struct vmx_state {
	/* --- architectural --- */
	bool vmxon;	/* in VMX operation */
	bool non_root;	/* in VMX non-root operation */
	bool launched;	/* launch state of the current VMCS */
	bool is_shadow; /* the current VMCS is a shadow VMCS */
	bool virtual_nmi_blocking;
	bool mtf_pending; /* injected: exits before the next instruction */
	u8 trap_exit; /* reason of a trap-like exit of APIC virtualization, due before anything else */
	u16 trap_qualification;
	bool apic_write_pending; /* the operation wrote to the APIC-access page: emulation is due */
	u16 apic_write_offset;
	u8 apic_write_size;
	u8 rvi, svi;		/* requesting and servicing virtual interrupt */
	bool virtual_interrupt; /* one is recognized */
	/* What RSM returns to; the last four are the VMX-critical state that is not SMRAM's. */
	bool smm_vmxe, smm_vmxon, smm_non_root;
	bool smm_v86;
	u8 smm_cpl, smm_shadow;
	bool at_boundary; /* a boundary function runs: v->icount counts */
	u64 vmxon_ptr;
	u64 current_ptr; /* VMX_NO_POINTER: no current VMCS */
	u64 feature_control;
	struct vmcs vmcs; /* cached from VMPTRLD until another VMPTRLD, VMCLEAR or VMXOFF */

	/* --- valid in non-root operation, set at VM entry --- */
	struct vmx_controls ctl;
	u16 vpid;		 /* 0 in root operation or without VPID: what tags the TLB */
	u64 eptp;		 /* 0 in root operation or without EPT */
	bool timer_armed;	 /* VMX-preemption timer runs */
	bool event_delivered;	 /* an event was delivered since the last look at the MTF */
	u64 timer_start;	 /* ticks >> rate when the timer was loaded */
	u64 progress;		 /* instructions retired at the first of a run of debug traps */
	u64 progress_at;	 /* and when that was */
	u64 mtf_icount;		 /* when the monitor trap flag was last looked at */
	u64 ple_first, ple_last; /* PAUSE-loop exiting: icount of the loop's first and last PAUSE */

	/* --- the shadow VMCS that the link pointer names, while one is used --- */
	bool shadow_cached, shadow_dirty, shadow_launched;
	struct vmcs shadow;

	/* --- event being delivered, for IDT-vectoring information --- */
	u32 vectoring_info, vectoring_error, vectoring_length;
	u64 iret_unblocked_at; /* instruction count of the last IRET that removed NMI blocking */

	/* --- derived --- */
	u8 dirty;		     /* enum vmcs_group: written since the last successful entry */
	struct vmx_controls checked; /* controls that the skipped checks were made with */
	u64 hlat_entered; /* HLAT pointer and prefix size of the last entry that had them */
	struct vmx_caps caps;

	/* --- statistics --- */
	u32 ring_at;
	struct vmx_exit_record ring[VMX_EXIT_RING];
	u64 exits[80]; /* by basic exit reason */
	u64 entries;
	struct vmx_refusal refusal;
	bool resuming; /* the last VM entry was tried by VMRESUME */
};

static inline bool vmx_on(const struct vmx_state *x, enum vmx_control control)
{
	return vmx_control_on(&x->ctl, control);
}

#endif
