/*
 * EPT as VMX sees it: what the controls make of the walks, EPTPs, and the exits of accesses by
 * guest-physical address (SDM Vol. 3, "The Extended Page Table Mechanism (EPT)", "EPT Violations",
 * "Page-Modification Logging", "Sub-Page Write Permissions").
 */
#include "vmx/internal.h"

void vmx_walk_env(struct vcpu *v, struct walk_env *w)
{
	static const struct {
		u64 cap;
		u8 mode;
	} caps[] = {
		{EPT_CAP_EXECUTE_ONLY, EPT_EXEC_ONLY},
		{EPT_CAP_2M, EPT_PAGE_2M},
		{EPT_CAP_1G, EPT_PAGE_1G},
		{EPT_CAP_ADVANCED_INFO, EPT_ADVANCED},
	};
	static const struct {
		enum vmx_control control;
		u8 mode;
	} controls[] = {
		{PROC2_MODE_BASED_EXECUTE_CONTROL, EPT_USER_EXECUTE},
		{PROC2_SUB_PAGE_WRITE_PERMISSIONS, EPT_SUB_PAGE},
		{PROC3_EPT_PAGING_WRITE_CONTROL, EPT_PAGING_WRITE},
		{PROC3_GUEST_PAGING_VERIFICATION, EPT_VERIFY_PAGING},
	};
	const struct vmx_state *x = &v->vmx;

	w->ept_mode = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(caps); i++)
		w->ept_mode |= x->caps.ept_vpid & caps[i].cap ? caps[i].mode : 0;
	for (unsigned i = 0; i < ARRAY_SIZE(controls); i++)
		w->ept_mode |= vmx_on(x, controls[i].control) ? controls[i].mode : 0;
	w->hlat = vmx_on(x, PROC3_ENABLE_HLAT);
	w->ept_tag = ept_tag(x->eptp, w->ept_mode | (w->hlat ? EPT_HLAT : 0));
	w->sppt = x->vmcs.ctl.spptp;
	w->pml_address = x->vmcs.ctl.pml_address;
	w->hlatp = x->vmcs.ctl.hlatp;
	w->hlat_prefix = (u8)x->vmcs.ctl.hlat_prefix_size;
	w->pml_index = vmx_on(x, PROC2_ENABLE_PML) ? &v->vmx.vmcs.guest.pml_index : NULL;
}

bool vmx_eptp_usable(const struct vmx_caps *caps, u64 eptp)
{
	const struct vmx_check_env env = {.caps = caps};
	const struct vmcs vmcs = {.ctl.eptp = eptp};
	struct vmx_check c = {.env = &env, .vmcs = &vmcs};

	c.ctl.word[VMX_PROC2] = VMX_MASK(PROC2_ENABLE_EPT);
	for (unsigned rule = RULE_EPTP_MEMORY_TYPE; rule <= RULE_EPTP_WIDTH; rule++)
		if (!vmx_rule_holds(&c, (enum vmx_rule)rule))
			return false;
	return true;
}

void vmx_hlat_entered(struct vcpu *v)
{
	struct vmx_state *x = &v->vmx;
	u64 now = x->vmcs.ctl.hlatp | (u64)x->vmcs.ctl.hlat_prefix_size << 56;

	if (!vmx_on(x, PROC3_ENABLE_HLAT) || x->hlat_entered == now)
		return;
	x->hlat_entered = now;
	tlb_flush_all_eptps(&v->tlb);
}

static int misconfiguration(struct vcpu *v, struct vm_exit *e)
{
	e->reason = EXIT_REASON_EPT_MISCONFIGURATION;
	e->length = insn_length_now(v);
	return vm_exit(v, e);
}

/* A violation drops what the TLB has of the page: the next access looks at the tables again. */
static int violation(struct vcpu *v, const struct walk_out *out, struct vm_exit *e)
{
	tlb_drop_current(&v->tlb, e->laddr, out->large);
	if (ve_convertible(v, out))
		return ve_raise(v, e);
	e->reason = EXIT_REASON_EPT_VIOLATION;
	return vm_exit(v, e);
}

int vmx_ept_fault(struct vcpu *v, const struct walk_out *out, u64 laddr)
{
	struct vm_exit e = {
		.gpa = out->gpa, .laddr = laddr, .rf = v->delivering ? RF_KEEP : RF_SET};

	switch (out->status) {
	case WALK_EPT_MISCONFIG:
		e.laddr = 0;
		return misconfiguration(v, &e);
	case WALK_APIC_ACCESS:
		return vmx_apic_guest_physical(v);
	case WALK_PML_FULL:
		e.gpa = e.laddr = 0;
		e.reason = EXIT_REASON_PML_FULL;
		return vm_exit(v, &e);
	case WALK_SPP_MISS:
	case WALK_SPP_MISCONFIG:
		e.reason = EXIT_REASON_SPP_EVENT;
		e.qualification = out->status == WALK_SPP_MISS ? SPP_QUALIFICATION_MISS : 0;
		return vm_exit(v, &e);
	default:
		e.qualification = out->qualification;
		return violation(v, out, &e);
	}
}
