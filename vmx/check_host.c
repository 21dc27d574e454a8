/*
 * VM entry: checks on the host-state area (SDM Vol. 3, "Checks on Host Control Registers, MSRs, and
 * SSP", "Checks on Host Segment and Descriptor-Table Registers", "Checks Related to Address-Space
 * Size").
 *
 * Left out: CET, PKRS, PERF_GLOBAL_CTRL and FRED state, which this CPU does not have.
 */
#include "vmx/check.h"

#define CR4_PAE BIT(5)
#define CR4_PCIDE BIT(17)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)

static bool check_host_registers(struct vmx_check *c)
{
	const struct vmx_caps *caps = c->env->caps;
	const struct vmcs_host *h = &c->vmcs->host;

	return must(c, RULE_HOST_CR0_FIXED, h->cr0,
		    !(caps->cr0_fixed0 & ~h->cr0) && !(h->cr0 & ~caps->cr0_fixed1)) &&
	       must(c, RULE_HOST_CR4_FIXED, h->cr4,
		    !(caps->cr4_fixed0 & ~h->cr4) && !(h->cr4 & ~caps->cr4_fixed1)) &&
	       must(c, RULE_HOST_CR3_WIDTH, h->cr3, check_address(c, h->cr3, 1)) &&
	       must(c, RULE_HOST_SYSENTER_ESP_CANONICAL, h->sysenter_esp,
		    check_canonical(c, h->sysenter_esp)) &&
	       must(c, RULE_HOST_SYSENTER_EIP_CANONICAL, h->sysenter_eip,
		    check_canonical(c, h->sysenter_eip)) &&
	       must(c, RULE_HOST_PAT, h->pat,
		    !check_on(c, EXIT_LOAD_IA32_PAT) || check_pat(h->pat));
}

static bool check_host_efer(struct vmx_check *c)
{
	u64 efer = c->vmcs->host.efer;
	bool size = check_on(c, EXIT_HOST_ADDRESS_SPACE_SIZE);

	if (!check_on(c, EXIT_LOAD_IA32_EFER))
		return true;
	return must(c, RULE_HOST_EFER_RESERVED, efer, !(efer & ~c->env->efer_valid)) &&
	       must(c, RULE_HOST_EFER_LMA, efer, !!(efer & EFER_LMA) == size) &&
	       must(c, RULE_HOST_EFER_LME, efer, !!(efer & EFER_LME) == size);
}

static bool check_host_selectors(struct vmx_check *c)
{
	const struct vmcs_host *h = &c->vmcs->host;
	const u16 selectors[] = {h->es_selector, h->cs_selector, h->ss_selector, h->ds_selector,
				 h->fs_selector, h->gs_selector, h->tr_selector};

	for (unsigned i = 0; i < ARRAY_SIZE(selectors); i++)
		if (!must_field(c, RULE_HOST_SELECTOR_RPL_TI, VMCS_HOST_ES_SELECTOR + 2 * i,
				selectors[i], !(selectors[i] & 7)))
			return false;
	return must(c, RULE_HOST_CS_NOT_0, h->cs_selector, h->cs_selector) &&
	       must(c, RULE_HOST_TR_NOT_0, h->tr_selector, h->tr_selector) &&
	       must(c, RULE_HOST_SS_NOT_0, h->ss_selector,
		    h->ss_selector || check_on(c, EXIT_HOST_ADDRESS_SPACE_SIZE));
}

static bool check_host_bases(struct vmx_check *c)
{
	const struct vmcs_host *h = &c->vmcs->host;
	const u64 bases[] = {h->fs_base, h->gs_base, h->tr_base, h->gdtr_base, h->idtr_base};

	for (unsigned i = 0; i < ARRAY_SIZE(bases); i++)
		if (!must_field(c, RULE_HOST_BASE_CANONICAL, VMCS_HOST_FS_BASE + 2 * i, bases[i],
				check_canonical(c, bases[i])))
			return false;
	return true;
}

static bool check_address_space_size(struct vmx_check *c)
{
	const struct vmcs_host *h = &c->vmcs->host;
	bool size = check_on(c, EXIT_HOST_ADDRESS_SPACE_SIZE);

	return must(c, RULE_GUEST_SIZE_NOW, c->vmcs->ctl.entry,
		    size || !check_on(c, ENTRY_IA32E_MODE_GUEST)) &&
	       must(c, RULE_HOST_PCIDE, h->cr4, size || !(h->cr4 & CR4_PCIDE)) &&
	       must(c, RULE_HOST_RIP_32, h->rip, size || !(h->rip >> 32)) &&
	       must(c, RULE_HOST_PAE, h->cr4, !size || (h->cr4 & CR4_PAE)) &&
	       must(c, RULE_HOST_RIP_CANONICAL, h->rip, !size || check_canonical(c, h->rip));
}

bool vmx_check_host(struct vmx_check *c)
{
	return check_host_registers(c) && check_host_efer(c) && check_host_selectors(c) &&
	       check_host_bases(c) && check_address_space_size(c);
}

bool vmx_check_host_now(struct vmx_check *c)
{
	return must(c, RULE_HOST_SIZE_NOW, c->vmcs->ctl.exit,
		    check_on(c, EXIT_HOST_ADDRESS_SPACE_SIZE) == c->env->lma);
}
