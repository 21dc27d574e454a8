/*
 * VM entry: the checks in the SDM's order, the load of guest state, the MSR list, event injection
 * and what holds right after entry (SDM Vol. 3, chapter "VM Entries"). Checks of groups of fields
 * that no VMWRITE touched since they last passed are skipped: a VM exit saves only state that
 * passes, and what depends on memory or on the mode now is always checked.
 *
 * Left out: VM entry in SMM, and MSRs and state of features that this CPU does not have.
 */
#include "cpu/cet.h"
#include "vmx/vapic.h"

#define PENDING_BS BIT(14)
#define PENDING_ENABLED_BREAKPOINT BIT(12)
#define DR7_FIXED0 0xd800ull
#define DR7_FIXED1 0x400ull

/* --- checks --- */

static u64 check_read(void *owner, u64 paddr, unsigned size)
{
	return phys_read(owner, paddr, size);
}

struct vmx_check_env vmx_check_env(struct vcpu *v)
{
	struct vmx_check_env env = {
		.caps = &v->vmx.caps,
		.current_ptr = v->vmx.current_ptr,
		.efer_valid = EFER_SCE | EFER_LME | EFER_LMA,
		.debugctl_valid = debugctl_valid(v),
		.spec_ctrl_valid = spec_ctrl_valid(v),
		.perf_global_valid = pmu_global_ctrl_valid(v),
		.lma = v->efer & EFER_LMA,
		.read = check_read,
		.owner = v,
	};

	if (cpu_has(v, FEAT_NX))
		env.efer_valid |= EFER_NXE;
	env.s_cet_valid = cet_controls_valid(v->model);
	return env;
}

static bool dirty(const struct vmx_state *x, unsigned groups)
{
	return x->dirty & groups;
}

/* C1 to C6. */
static bool check_controls_and_host(struct vcpu *v, struct vmx_check *c)
{
	struct vmx_state *x = &v->vmx;

	return (!dirty(x, VMCS_DIRTY_CONTROLS) || vmx_check_controls(c)) && vmx_check_vtpr(c) &&
	       (!(x->vmcs.ctl.entry_interruption_info >> 31) || vmx_check_injection(c)) &&
	       (!dirty(x, VMCS_DIRTY_CONTROLS | VMCS_DIRTY_HOST) || vmx_check_host(c)) &&
	       vmx_check_host_now(c);
}

/* C7 to C11. `changed`: the controls are not those that the last checks were made with. */
static bool check_guest(struct vcpu *v, struct vmx_check *c, bool changed)
{
	struct vmx_state *x = &v->vmx;
	bool injects = x->vmcs.ctl.entry_interruption_info >> 31;
	bool state = changed || injects || dirty(x, VMCS_DIRTY_GUEST | VMCS_DIRTY_SEGMENTS);

	if (state && !vmx_check_guest_registers(c))
		return false;
	if ((changed || dirty(x, VMCS_DIRTY_GUEST | VMCS_DIRTY_SEGMENTS)) &&
	    !vmx_check_guest_segments(c))
		return false;
	return (!state || vmx_check_guest_state(c)) && vmx_check_link_pointer(c) &&
	       vmx_check_pdptes(c);
}

/* --- loading guest state --- */

static void load_segments(struct vcpu *v, const struct vmcs_guest *g)
{
	for (unsigned n = 0; n < SEGS; n++) {
		v->seg[n].base = g->seg[n].base;
		v->seg[n].limit = g->seg[n].limit;
		v->seg[n].ar = g->seg[n].ar;
		v->seg[n].sel = g->seg[n].selector;
	}
	v->gdtr = (struct dtr){g->gdtr_base, (u16)g->gdtr_limit};
	v->idtr = (struct dtr){g->idtr_base, (u16)g->idtr_limit};
	v->cpl = g->seg[VMCS_SS].ar >> AR_DPL_SHIFT & 3;
}

static void load_efer(struct vcpu *v, const struct vmcs_guest *g)
{
	bool ia32e = vmx_on(&v->vmx, ENTRY_IA32E_MODE_GUEST);

	if (vmx_on(&v->vmx, ENTRY_LOAD_IA32_EFER)) {
		v->efer = g->efer;
		return;
	}
	v->efer &= ~EFER_LMA;
	if (g->cr0 & CR0_PG)
		v->efer &= ~EFER_LME;
	v->efer |= ia32e ? EFER_LMA | EFER_LME : 0;
}

static void load_control(struct vcpu *v, const struct vmcs_guest *g)
{
	const struct vmx_state *x = &v->vmx;

	v->cr0 = (g->cr0 & ~CR0_NOT_LOADED) | (v->cr0 & CR0_NOT_LOADED);
	v->cr3 = g->cr3;
	v->cr4 = g->cr4;
	v->sysenter_cs = g->sysenter_cs;
	v->sysenter_esp = g->sysenter_esp;
	v->sysenter_eip = g->sysenter_eip;
	if (vmx_on(x, ENTRY_LOAD_DEBUG_CONTROLS)) {
		v->dr7 = (g->dr7 & ~DR7_FIXED0) | DR7_FIXED1;
		debugctl_set(v, g->debugctl);
	}
	if (vmx_on(x, ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL))
		pmu_global_ctrl_set(v, g->perf_global_ctrl);
	if (vmx_on(x, ENTRY_LOAD_GUEST_IA32_SPEC_CTRL))
		v->spec_ctrl = g->spec_ctrl;
	if (vmx_on(x, ENTRY_LOAD_IA32_PAT))
		v->pat = g->pat;
	if (vmx_on(x, ENTRY_LOAD_PKRS))
		v->pkrs = g->pkrs;
	if (vmx_on(x, ENTRY_LOAD_CET_STATE)) {
		v->cet[CET_S] = g->s_cet;
		v->ssp = g->ssp;
		v->int_ssp_table = g->interrupt_ssp_table;
	}
	load_efer(v, g);
}

static void load_pdptes(struct vcpu *v, const struct vmcs_guest *g)
{
	if (!(g->cr0 & CR0_PG) || !(g->cr4 & CR4_PAE) || (v->efer & EFER_LMA))
		return;
	if (vmx_on(&v->vmx, PROC2_ENABLE_EPT)) {
		memcpy(v->pdpte, g->pdpte, sizeof(v->pdpte));
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		v->pdpte[i] = phys_read(v, (g->cr3 & 0xffffffe0) + 8 * i, 8);
}

static void load_non_register(struct vcpu *v, const struct vmcs_guest *g)
{
	struct vmx_state *x = &v->vmx;
	u64 pending = g->pending_debug;
	bool nmi = g->interruptibility & BIT(3);

	v->shadow = g->interruptibility & 3;
	v->shadow_at = vcpu_icount(v) + VMENTRY_RETIRES;
	x->virtual_nmi_blocking = nmi && vmx_on(x, PIN_VIRTUAL_NMIS);
	v->nmi_blocked = nmi && !vmx_on(x, PIN_VIRTUAL_NMIS);
	v->activity = (u8)g->activity;
	v->pending_dbg = pending & (PENDING_ENABLED_BREAKPOINT | PENDING_BS)
				 ? pending & (PENDING_ENABLED_BREAKPOINT | PENDING_BS | 15)
				 : 0;
	v->hit_dr6 = 0;
	v->exc.valid = false;
	v->monitor_armed = false;
}

static void load_guest(struct vcpu *v)
{
	const struct vmcs_guest *g = &v->vmx.vmcs.guest;

	load_control(v, g);
	load_segments(v, g);
	load_pdptes(v, g);
	v->rip = g->rip;
	v->reg[RSP] = g->rsp;
	flags_set(v, g->rflags);
	load_non_register(v, g);
}

/* The event that VM entry injects; delivered by the run loop before anything else. */
static void inject(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	const struct vmcs_control *c = &x->vmcs.ctl;
	u32 info = c->entry_interruption_info;
	unsigned type = info >> 8 & 7;

	v->inject.valid = false;
	if (!(info >> 31))
		return;
	v->activity = ACT_ACTIVE;
	if (type == EVENT_OTHER) {
		x->mtf_pending = true;
		return;
	}
	v->inject = (struct event){.valid = true,
				   .vector = (u8)info,
				   .type = (u8)type,
				   .has_error = info >> 11 & 1,
				   .error = c->entry_error_code};
	if (type >= EVENT_SW_INT)
		v->inject.len = (u8)c->entry_instruction_length;
	v->shadow = SHADOW_NONE;
}

/* Processors keep no guest-physical mappings of pages beside the combined ones, and there is software
 * that clears dirty flags of EPT without INVEPT between VM entries without VPID. */
void vmx_flush_vpid0(struct vcpu *v)
{
	tlb_flush_vpid(&v->tlb, 0, true);
	tlb_forget_ept(&v->tlb);
}

/* Non-root operation begins: what vcpu_recompute and the walks look at. */
static void begin_non_root(struct vcpu *v, const struct vmx_controls *ctl)
{
	struct vmx_state *x = &v->vmx;
	const struct vmcs_control *c = &x->vmcs.ctl;

	x->ctl = *ctl;
	x->vpid = vmx_on(x, PROC2_ENABLE_VPID) ? c->vpid : 0;
	x->eptp = vmx_on(x, PROC2_ENABLE_EPT) ? c->eptp : 0;
	x->mtf_pending = x->event_delivered = false;
	vapic_nothing_pending(x);
	x->shadow_cached = x->shadow_dirty = false;
	x->ple_first = x->ple_last = 0;
	x->mtf_icount = vcpu_icount(v) + VMENTRY_RETIRES;
	if (!x->vpid)
		vmx_flush_vpid0(v);
	vmx_hlat_entered(v);
}

static int enter_guest(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;

	x->non_root = true;
	x->launched = true;
	x->entries++;
	inject(v);
	preempt_timer_start(v);
	vcpu_recompute(v);
	vapic_entered(v);
	v->recheck = true;
	LOG(v->log, exits, "vm entry rip %016llx%s", (unsigned long long)v->rip,
	    v->inject.valid ? " with injection" : "");
	return EXEC_VMEXIT;
}

/* The MSR list belongs to root operation still: no virtualization of APIC MSRs or of the TSC. */
static int load_and_enter(struct vcpu *v, const struct vmx_controls *ctl)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;
	struct msr_list_end end;

	begin_non_root(v, ctl);
	load_guest(v);
	vid_vm_entry(v);
	if (c->entry_msr_load_count) {
		vcpu_recompute(v); /* WRMSR checks look at the new mode */
		end = msr_list_load(v, c->entry_msr_load_address, c->entry_msr_load_count,
				    RULE_ENTRY_LOAD_COUNT);
		if (end.rule)
			return vmx_refuse_entry(v,
						&(struct vmx_failure){.rule = end.rule,
								      .value = end.value,
								      .nearest = end.value},
						end.index);
	}
	return enter_guest(v);
}

int vm_enter(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	struct vmx_check_env env = vmx_check_env(v);
	struct vmx_check c;
	bool changed;

	vmx_check_init(&c, &env, &x->vmcs);
	if (!check_controls_and_host(v, &c))
		return vmx_refuse_entry(v, &c.fail, 0);
	changed = memcmp(&x->checked, &c.ctl, sizeof(c.ctl));
	if (!check_guest(v, &c, changed)) {
		x->ctl = c.ctl;
		x->eptp = x->vpid = 0;
		return vmx_refuse_entry(v, &c.fail,
					vmx_rule_text((enum vmx_rule)c.fail.rule)->qualification);
	}
	x->dirty = 0;
	x->checked = c.ctl;
	return load_and_enter(v, &c.ctl);
}
