/*
 * VM exits: the only way out of the guest. Saves guest state, fills the exit-information fields,
 * has MSRs stored and loaded, loads host state (SDM Vol. 3, chapter "VM Exits"); also the host-state
 * load of a failed VM entry ("VM-Entry Failures During or After Loading Guest State").
 *
 * Left out: I/O RCX, RSI, RDI and RIP fields (written for SMM VM exits only), bus-lock and enclave
 * bits of the exit reason, machine checks during the exit.
 */
#include "cpu/cet.h"
#include "vmx/internal.h"

#define INFO_VALID BIT(31)
#define PENDING_ENABLED_BREAKPOINT BIT(12)
#define PENDING_BS BIT(14)

/* --- saving guest state --- */

static void save_segments(const struct vcpu *v, struct vmcs_guest *g)
{
	for (unsigned n = 0; n < SEGS; n++) {
		g->seg[n].base = v->seg[n].base;
		g->seg[n].limit = v->seg[n].limit;
		g->seg[n].ar = v->seg[n].ar;
		g->seg[n].selector = v->seg[n].sel;
	}
	g->gdtr_base = v->gdtr.base;
	g->gdtr_limit = v->gdtr.limit;
	g->idtr_base = v->idtr.base;
	g->idtr_limit = v->idtr.limit;
}

static u64 saved_rflags(const struct vcpu *v, enum exit_rf rf)
{
	u64 f = flags_get(v);

	if (rf == RF_KEEP)
		return f;
	return rf == RF_SET ? f | RFLAGS_RF : f & ~RFLAGS_RF;
}

static void save_registers(struct vcpu *v, struct vmcs_guest *g, enum exit_rf rf)
{
	const struct vmx_state *x = &v->vmx;

	g->cr0 = v->cr0;
	g->cr3 = v->cr3;
	g->cr4 = v->cr4;
	g->rip = v->rip;
	g->rsp = v->reg[RSP];
	g->rflags = saved_rflags(v, rf);
	g->sysenter_cs = (u32)v->sysenter_cs;
	g->sysenter_esp = v->sysenter_esp;
	g->sysenter_eip = v->sysenter_eip;
	g->smbase = (u32)v->smbase;
	if (vmx_on(x, EXIT_SAVE_DEBUG_CONTROLS)) {
		g->dr7 = v->dr7;
		g->debugctl = v->debugctl;
	}
	if (vmx_on(x, EXIT_SAVE_IA32_PERF_GLOBAL_CTRL))
		g->perf_global_ctrl = v->pmu.global_ctrl;
	if (vmx_may(&x->caps, ENTRY_LOAD_GUEST_IA32_SPEC_CTRL))
		g->spec_ctrl = v->spec_ctrl;
	if (vmx_on(x, EXIT_SAVE_IA32_PAT))
		g->pat = v->pat;
	if (vmx_on(x, EXIT_SAVE_IA32_EFER))
		g->efer = v->efer;
	/* these follow the processor's capability and not a control */
	if (vmx_may(&x->caps, ENTRY_LOAD_PKRS))
		g->pkrs = v->pkrs;
	if (vmx_may(&x->caps, ENTRY_LOAD_CET_STATE)) {
		g->s_cet = v->cet[CET_S];
		g->ssp = v->ssp;
		g->interrupt_ssp_table = v->int_ssp_table;
	}
}

static u8 shadow_now(const struct vcpu *v)
{
	return v->shadow && v->shadow_at == vmx_icount(v) ? v->shadow : 0;
}

/* Debug exceptions that were pending and not yet delivered stay so across the exit. */
static u64 saved_pending_debug(const struct vcpu *v, u8 shadow)
{
	u64 p = v->pending_dbg & (PENDING_ENABLED_BREAKPOINT | PENDING_BS | 15);
	bool held = shadow || v->activity == ACT_HLT;

	if (p & 15)
		p |= PENDING_ENABLED_BREAKPOINT;
	if (held && (v->rflags & RFLAGS_TF) && !(v->debugctl & DEBUGCTL_BTF))
		p |= PENDING_BS;
	return p;
}

static void save_non_register(struct vcpu *v, struct vmcs_guest *g)
{
	struct vmx_state *x = &v->vmx;
	u8 shadow = shadow_now(v);
	bool nmi = vmx_on(x, PIN_VIRTUAL_NMIS) ? x->virtual_nmi_blocking : v->nmi_blocked;

	g->interruptibility = shadow | (nmi ? BIT(3) : 0);
	g->activity = v->activity <= ACT_WAIT_SIPI ? v->activity : ACT_ACTIVE;
	g->pending_debug = saved_pending_debug(v, shadow);
	if (vmx_on(x, PROC2_VIRTUAL_INTERRUPT_DELIVERY))
		g->interrupt_status = (u16)(x->rvi | x->svi << 8);
	if (vmx_on(x, PROC2_ENABLE_EPT))
		memcpy(g->pdpte, v->pdpte, sizeof(g->pdpte));
	if (vmx_on(x, EXIT_SAVE_PREEMPTION_TIMER_VALUE))
		g->preemption_timer = preempt_timer_left(v);
}

static void save_guest(struct vcpu *v, enum exit_rf rf)
{
	struct vmcs *m = &v->vmx.vmcs;

	save_registers(v, &m->guest, rf);
	save_segments(v, &m->guest);
	save_non_register(v, &m->guest);
	/* IA32_VMX_MISC[5]: the control follows the mode that the guest left in */
	m->ctl.entry &= ~VMX_MASK(ENTRY_IA32E_MODE_GUEST);
	if (v->efer & EFER_LMA)
		m->ctl.entry |= VMX_MASK(ENTRY_IA32E_MODE_GUEST);
}

/* --- exit information --- */

bool vmx_nmi_unblocked(const struct vcpu *v)
{
	return v->vmx.iret_unblocked_at == vmx_icount(v) && !v->vmx.vectoring_info;
}

static void record(struct vcpu *v, const struct vm_exit *e)
{
	struct vmx_state *x = &v->vmx;
	struct vmcs_info *info = &x->vmcs.info;

	info->exit_reason = e->reason;
	info->qualification = e->qualification;
	info->guest_linear_address = e->laddr;
	info->guest_physical_address = e->gpa;
	info->interruption_info = e->intr_info;
	info->interruption_error_code = e->intr_error;
	info->idt_vectoring_info = x->vectoring_info;
	info->idt_vectoring_error_code = x->vectoring_error;
	info->instruction_length = x->vectoring_length ? x->vectoring_length : e->length;
	info->instruction_info = e->insn_info;
	if (!vmx_nmi_unblocked(v))
		return;
	if (e->reason == EXIT_REASON_EXCEPTION_OR_NMI)
		info->interruption_info |= INFO_NMI_UNBLOCKING;
	else if (e->reason == EXIT_REASON_EPT_VIOLATION || e->reason == EXIT_REASON_PML_FULL ||
		 e->reason == EXIT_REASON_SPP_EVENT)
		info->qualification |= INFO_NMI_UNBLOCKING;
}

static void log_exit(struct vcpu *v, u32 reason, u64 qualification)
{
	struct vmx_state *x = &v->vmx;
	struct vmx_exit_record *r = &x->ring[x->ring_at++ % VMX_EXIT_RING];
	const char *name = exit_reason_name(reason);

	r->icount = vmx_icount(v);
	r->rip = x->vmcs.guest.rip;
	r->qualification = qualification;
	r->reason = reason;
	r->interruption_info =
		reason & EXIT_REASON_ENTRY_FAILURE ? 0 : x->vmcs.info.interruption_info;
	if ((u16)reason < ARRAY_SIZE(x->exits))
		x->exits[(u16)reason]++;
	LOG(v->log, exits, "vm exit %u %s%s rip %016llx qualification %llx info %08x",
	    reason & 0xffff, name ? name : "?",
	    reason & EXIT_REASON_ENTRY_FAILURE ? " (entry failure)" : "",
	    (unsigned long long)r->rip, (unsigned long long)qualification,
	    x->vmcs.info.interruption_info);
}

/* --- loading host state --- */

static void load_host_segment(struct vcpu *v, unsigned n, u16 selector, u64 base, u32 ar)
{
	struct seg *s = &v->seg[n];

	s->sel = selector;
	s->base = base;
	s->limit = 0xffffffff;
	s->ar = selector ? ar : AR_UNUSABLE;
}

static void load_host_segments(struct vcpu *v, const struct vmcs_host *h)
{
	bool size = vmx_on(&v->vmx, EXIT_HOST_ADDRESS_SPACE_SIZE);
	u32 data = AR_G | AR_DB | AR_P | AR_S | AR_RW | AR_A;
	u32 code = AR_G | AR_P | AR_S | AR_CODE | AR_RW | AR_A | (size ? AR_L : AR_DB);

	load_host_segment(v, SEG_CS, h->cs_selector, 0, code);
	load_host_segment(v, SEG_SS, h->ss_selector, 0, data);
	load_host_segment(v, SEG_DS, h->ds_selector, 0, data);
	load_host_segment(v, SEG_ES, h->es_selector, 0, data);
	load_host_segment(v, SEG_FS, h->fs_selector, h->fs_base, data);
	load_host_segment(v, SEG_GS, h->gs_selector, h->gs_base, data);
	load_host_segment(v, SEG_TR, h->tr_selector, h->tr_base, AR_P | 11);
	v->seg[SEG_TR].limit = 0x67;
	load_host_segment(v, SEG_LDTR, 0, 0, 0);
	v->gdtr = (struct dtr){h->gdtr_base, 0xffff};
	v->idtr = (struct dtr){h->idtr_base, 0xffff};
}

static void load_host_control(struct vcpu *v, const struct vmcs_host *h)
{
	const struct vmx_state *x = &v->vmx;
	bool size = vmx_on(x, EXIT_HOST_ADDRESS_SPACE_SIZE);

	v->cr0 = (h->cr0 & ~CR0_NOT_LOADED) | (v->cr0 & CR0_NOT_LOADED);
	v->cr3 = h->cr3 & v->phys_mask;
	v->cr4 = size ? h->cr4 | CR4_PAE : h->cr4 & ~CR4_PCIDE;
	v->dr7 = 0x400;
	debugctl_set(v, 0);
	v->sysenter_cs = h->sysenter_cs;
	v->sysenter_esp = h->sysenter_esp;
	v->sysenter_eip = h->sysenter_eip;
	if (vmx_on(x, EXIT_LOAD_IA32_EFER))
		v->efer = h->efer;
	v->efer &= ~(EFER_LME | EFER_LMA);
	v->efer |= size ? EFER_LME | EFER_LMA : 0;
	if (vmx_on(x, EXIT_LOAD_IA32_PERF_GLOBAL_CTRL))
		pmu_global_ctrl_set(v, h->perf_global_ctrl);
	if (vmx_on(x, EXIT2_LOAD_HOST_IA32_SPEC_CTRL))
		v->spec_ctrl = h->spec_ctrl;
	if (vmx_on(x, EXIT_LOAD_IA32_PAT))
		v->pat = h->pat;
	if (vmx_on(x, EXIT_LOAD_PKRS))
		v->pkrs = h->pkrs;
	if (vmx_on(x, EXIT_LOAD_CET_STATE)) {
		v->cet[CET_S] = h->s_cet;
		v->ssp = h->ssp;
		v->int_ssp_table = h->interrupt_ssp_table;
	}
}

static void load_host(struct vcpu *v)
{
	const struct vmcs_host *h = &v->vmx.vmcs.host;

	load_host_control(v, h);
	load_host_segments(v, h);
	v->reg[RSP] = h->rsp;
	v->rip = h->rip;
	flags_set(v, RFLAGS_FIXED);
	v->cpl = 0;
	v->activity = ACT_ACTIVE;
	v->shadow = SHADOW_NONE;
	v->pending_dbg = 0;
	v->hit_dr6 = 0;
	v->inject.valid = false;
	v->exc.valid = false;
	v->monitor_armed = false;
}

/* PAE host paging: the PDPTEs that CR3 points to. The one that is not valid, or 0. */
static u64 load_host_pdptes(struct vcpu *v)
{
	u64 reserved = 0x1e6 | ~v->phys_mask;

	if (!(v->cr0 & CR0_PG) || !(v->cr4 & CR4_PAE) || (v->efer & EFER_LMA))
		return 0;
	for (unsigned i = 0; i < 4; i++) {
		u64 e = phys_read(v, (v->cr3 & 0xffffffe0) + 8 * i, 8);

		if ((e & 1) && (e & reserved))
			return e;
		v->pdpte[i] = e;
	}
	return 0;
}

/* Host state, its MSRs, and the translation that goes with it. */
static int enter_host(struct vcpu *v, bool was_ia32e)
{
	struct vmx_state *x = &v->vmx;
	const struct vmcs_control *c = &x->vmcs.ctl;
	struct msr_list_end end;
	u64 pdpte;

	x->vpid = 0;
	x->eptp = 0;
	x->timer_armed = false;
	x->vectoring_info = x->vectoring_length = x->vectoring_error = 0;
	x->mtf_pending = x->event_delivered = false;
	vapic_nothing_pending(x);
	v->recheck = true;
	if (was_ia32e && !vmx_on(x, EXIT_HOST_ADDRESS_SPACE_SIZE))
		return vmx_abort(v, RULE_HOST_MODE, 0);
	load_host(v);
	if (!vmx_on(x, PROC2_ENABLE_VPID))
		vmx_flush_vpid0(v);
	pdpte = load_host_pdptes(v);
	if (pdpte)
		return vmx_abort(v, RULE_HOST_PDPTES, pdpte);
	vcpu_recompute(v);
	end = msr_list_load(v, c->exit_msr_load_address, c->exit_msr_load_count,
			    RULE_EXIT_LOAD_COUNT);
	return end.rule ? vmx_abort(v, end.rule, end.value) : EXEC_VMEXIT;
}

int vm_exit(struct vcpu *v, const struct vm_exit *e)
{
	struct vmx_state *x = &v->vmx;
	struct vmcs_control *c = &x->vmcs.ctl;
	bool was_ia32e = v->efer & EFER_LMA;
	struct msr_list_end end;

	save_guest(v, e->rf);
	record(v, e);
	log_exit(v, e->reason, e->qualification);
	c->entry_interruption_info &= ~(u32)INFO_VALID;
	vmcs_shadow_flush(v);
	x->non_root = false;
	end = msr_list_store(v, c->exit_msr_store_address, c->exit_msr_store_count);
	if (end.rule)
		return vmx_abort(v, end.rule, end.value);
	vcpu_charge(v, VMX_EXIT_TICKS);
	return enter_host(v, was_ia32e);
}

int vm_exit_insn(struct vcpu *v, const struct insn *i, u32 reason, u64 qualification)
{
	struct vm_exit e = {
		.reason = reason, .rf = RF_CLEAR, .qualification = qualification, .length = i->len};

	return vm_exit(v, &e);
}

int vm_entry_failure(struct vcpu *v, u32 reason, u64 qualification)
{
	struct vmx_state *x = &v->vmx;

	x->vmcs.info.exit_reason = reason | EXIT_REASON_ENTRY_FAILURE;
	x->vmcs.info.qualification = qualification;
	log_exit(v, x->vmcs.info.exit_reason, qualification);
	x->non_root = false;
	return enter_host(v, false);
}
