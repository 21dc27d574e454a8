/*
 * The life of a processor's VMX state, its MSRs, and `info vmx`.
 */
#include <inttypes.h>

#include "cpu/cet.h"
#include "vmx/internal.h"

#define MSR_FEATURE_CONTROL 0x3a
#define FEATURE_CONTROL_LOCK BIT(0)
#define FEATURE_CONTROL_VALID 0x5ull /* lock, VMXON outside SMX operation */

/* Controls that the CPU model lacks the instruction or feature for. */
static void mask_by_features(const struct vcpu *v, struct vmx_model_mask *m)
{
	static const struct {
		enum vmx_control control;
		enum feature feature;
	} needs[] = {
		{EXIT_LOAD_IA32_PERF_GLOBAL_CTRL, FEAT_PMU},
		{EXIT_SAVE_IA32_PERF_GLOBAL_CTRL, FEAT_PMU},
		{ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL, FEAT_PMU},
		{PROC3_ENABLE_MSR_LIST_INSTRUCTIONS, FEAT_MSRLIST},
		{PROC3_VIRTUALIZE_IA32_SPEC_CTRL, FEAT_SPEC_CTRL},
		{EXIT2_LOAD_HOST_IA32_SPEC_CTRL, FEAT_SPEC_CTRL},
		{ENTRY_LOAD_GUEST_IA32_SPEC_CTRL, FEAT_SPEC_CTRL},
		{PROC2_ENABLE_USER_WAIT_AND_PAUSE, FEAT_WAITPKG},
		{PROC2_ENABLE_RDTSCP, FEAT_RDTSCP},
		{PROC2_ENABLE_INVPCID, FEAT_INVPCID},
		{PROC2_ENABLE_XSAVES_XRSTORS, FEAT_XSAVES},
		{PROC2_RDRAND_EXITING, FEAT_RDRAND},
		{PROC2_RDSEED_EXITING, FEAT_RDSEED},
		{PROC2_VIRTUALIZE_X2APIC_MODE, FEAT_X2APIC},
		{EXIT_LOAD_PKRS, FEAT_PKS},
		{ENTRY_LOAD_PKRS, FEAT_PKS},
		{EXIT2_PREMATURELY_BUSY_SHADOW_STACK, FEAT_SHSTK},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
		if (!cpu_has(v, needs[i].feature))
			m->control[needs[i].control >> 6] &= ~VMX_MASK(needs[i].control);
	if (!cpu_has(v, FEAT_SHSTK))
		m->ept_vpid &= ~EPT_CAP_SHADOW_STACK;
	if (!has_cet(v->model)) {
		m->control[VMX_EXIT] &= ~VMX_MASK(EXIT_LOAD_CET_STATE);
		m->control[VMX_ENTRY] &= ~VMX_MASK(ENTRY_LOAD_CET_STATE);
	}
}

void vmx_cpu_init(struct vcpu *v)
{
	struct vmx_model_mask m;
	const struct vmx_model_mask *model = v->model->vmx_mask;

	vmx_model_mask_all(&m, ~cr4_reserved(v) & 0xffffffff, v->model->maxphyaddr,
			   cpu_has(v, FEAT_LA57) ? 57 : 48);
	mask_by_features(v, &m);
	for (unsigned w = 0; model && w < VMX_WORDS; w++) {
		m.control[w] &= model->control[w];
		m.flexible[w] &= model->flexible[w];
	}
	if (model) {
		m.ept_vpid &= model->ept_vpid;
		m.basic &= model->basic;
		m.misc &= model->misc;
		m.vmfunc &= model->vmfunc;
	}
	vmx_caps_init(&v->vmx.caps, &m);
	v->vmx.vmxon_ptr = v->vmx.current_ptr = VMX_NO_POINTER;
}

void vmx_reset(struct vcpu *v, bool init)
{
	struct vmx_state *x = &v->vmx;

	x->vmxon = x->non_root = x->launched = x->is_shadow = false;
	x->smm_vmxe = x->smm_vmxon = x->smm_non_root = x->smm_v86 = false;
	x->smm_cpl = x->smm_shadow = 0;
	x->virtual_nmi_blocking = x->mtf_pending = false;
	vapic_nothing_pending(x);
	x->timer_armed = x->event_delivered = x->shadow_cached = x->shadow_dirty = false;
	x->vmxon_ptr = x->current_ptr = VMX_NO_POINTER;
	x->vectoring_info = x->vectoring_length = x->vectoring_error = 0;
	x->iret_unblocked_at = UINT64_MAX;
	x->vpid = 0;
	x->eptp = 0;
	if (!init)
		x->feature_control = 0;
}

/* Effective controls and TLB tags, as VM entry sets them. */
static void recompute(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;

	x->ctl = vmx_effective_controls(&x->vmcs);
	x->vpid = x->non_root && vmx_on(x, PROC2_ENABLE_VPID) ? x->vmcs.ctl.vpid : 0;
	x->eptp = x->non_root && vmx_on(x, PROC2_ENABLE_EPT) ? x->vmcs.ctl.eptp : 0;
}

void vmx_before_save(struct vcpu *v)
{
	vmcs_shadow_flush(v);
}

void vmx_after_load(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;

	x->dirty = VMCS_DIRTY_ALL;
	x->shadow_cached = x->shadow_dirty = x->at_boundary = false;
	x->timer_armed = x->non_root && vmx_control_on(&(struct vmx_controls){{x->vmcs.ctl.pin}},
						       PIN_ACTIVATE_PREEMPTION_TIMER);
	recompute(v);
}

void vmx_smi(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;

	x->smm_vmxe = v->cr4 & CR4_VMXE;
	x->smm_vmxon = x->vmxon;
	x->smm_non_root = x->non_root;
	x->smm_v86 = v->rflags & RFLAGS_VM;
	x->smm_cpl = v->cpl;
	x->smm_shadow = shadow_at_boundary(v);
	v->cr4 &= ~CR4_VMXE;
	x->vmxon = x->non_root = false;
	recompute(v);
	vmx_flush_vpid0(v);
}

/* Bits of CR0 and CR4 that VMX operation fixes. */
static void fix_control_registers(struct vcpu *v)
{
	const struct vmx_caps *c = &v->vmx.caps;
	u64 fixed0 = c->cr0_fixed0;

	if (v->vmx.non_root && vmx_on(&v->vmx, PROC2_UNRESTRICTED_GUEST))
		fixed0 &= ~(CR0_PE | CR0_PG);
	v->cr0 = (v->cr0 | fixed0) & c->cr0_fixed1;
	v->cr4 = (v->cr4 | c->cr4_fixed0) & c->cr4_fixed1;
}

/* "Default Treatment of RSM": privilege level, RFLAGS.VM and blocking are not SMRAM's to choose. */
static void restore_critical(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	struct seg *ss = &v->seg[SEG_SS], *cs = &v->seg[SEG_CS];

	v->rflags = (v->rflags & ~RFLAGS_VM) | (x->smm_v86 ? RFLAGS_VM : 0);
	ss->ar = (ss->ar & ~(u32)AR_DPL) | (u32)x->smm_cpl << AR_DPL_SHIFT;
	if (!x->smm_v86 && (!x->non_root || !vmx_on(x, PROC2_UNRESTRICTED_GUEST))) {
		cs->sel = (u16)((cs->sel & ~3u) | x->smm_cpl);
		ss->sel = (u16)((ss->sel & ~3u) | x->smm_cpl);
	}
	shadow_set(v, x->smm_shadow);
}

bool vmx_rsm(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;

	if (v->cr4 & CR4_VMXE)
		return false;
	v->cr4 |= x->smm_vmxe ? CR4_VMXE : 0;
	x->vmxon = x->smm_vmxon;
	x->non_root = x->smm_non_root;
	recompute(v);
	if (x->vmxon) {
		fix_control_registers(v);
		restore_critical(v);
	}
	x->smm_vmxe = x->smm_vmxon = x->smm_non_root = x->smm_v86 = false;
	x->smm_cpl = x->smm_shadow = 0;
	tlb_flush_all_vpids(&v->tlb);
	vmx_flush_vpid0(v);
	return true;
}

bool vmx_msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	if (!cpu_has(v, FEAT_VMX))
		return false;
	if (msr != MSR_FEATURE_CONTROL)
		return vmx_caps_read_msr(&v->vmx.caps, msr, value);
	*value = v->vmx.feature_control;
	return true;
}

bool vmx_msr_write(struct vcpu *v, u32 msr, u64 value)
{
	if (!cpu_has(v, FEAT_VMX) || msr != MSR_FEATURE_CONTROL ||
	    (v->vmx.feature_control & FEATURE_CONTROL_LOCK) || (value & ~FEATURE_CONTROL_VALID))
		return false;
	v->vmx.feature_control = value;
	return true;
}

static void print_counts(const struct vmx_state *x, FILE *out)
{
	fprintf(out, "entries %" PRIu64 "\n", x->entries);
	for (unsigned n = 0; n < ARRAY_SIZE(x->exits); n++)
		if (x->exits[n])
			fprintf(out, "  exit %2u %-28s %" PRIu64 "\n", n,
				exit_reason_name(n) ? exit_reason_name(n) : "?", x->exits[n]);
}

void vmx_print(const struct vcpu *v, FILE *out)
{
	const struct vmx_state *x = &v->vmx;

	fprintf(out, "VMX operation: %s\n", !x->vmxon ? "none" : x->non_root ? "non-root" : "root");
	fprintf(out, "VMXON pointer %016" PRIx64 " current VMCS %016" PRIx64 "%s%s\n", x->vmxon_ptr,
		x->current_ptr, x->launched ? " launched" : "", x->is_shadow ? " shadow" : "");
	print_counts(x, out);
	vmx_print_exits(v, VMX_EXIT_RING, out);
	if (x->current_ptr != VMX_NO_POINTER)
		vmx_print_vmcs(v, out);
}
