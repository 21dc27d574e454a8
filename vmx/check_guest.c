/*
 * VM entry: checks on the guest-state area (SDM Vol. 3, "Checks on the Guest State Area").
 *
 * Left out: CET, PKRS, BNDCFGS, RTIT, LBR, UINV and FRED state, enclaves, RTM, and VM entry in SMM,
 * none of which this CPU has. The processor may, but need not, refuse blocking by STI with an
 * injected NMI; this one accepts it.
 */
#include "vmx/check.h"

#define CR0_PE BIT(0)
#define CR0_PG BIT(31)
#define CR4_PAE BIT(5)
#define CR4_PCIDE BIT(17)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_VM BIT(17)
#define RFLAGS_RESERVED 0xffffffffffc08028ull
#define DEBUGCTL_BTF BIT(1)
#define AR_UNUSABLE BIT(16)
#define PENDING_BS BIT(14)
#define PENDING_RESERVED 0xffffffffffffaff0ull
enum { BLOCKING_STI = 1, BLOCKING_MOV_SS = 2, BLOCKING_SMI = 4, BLOCKING_NMI = 8 };
enum { HLT = 1, SHUTDOWN, WAIT_FOR_SIPI };

static bool guest_pe(const struct vmx_check *c)
{
	return c->vmcs->guest.cr0 & CR0_PE;
}

static bool guest_v86(const struct vmx_check *c)
{
	return c->vmcs->guest.rflags & RFLAGS_VM;
}

static bool usable(const struct vmcs_segment *s)
{
	return !(s->ar & AR_UNUSABLE);
}

static unsigned ar_type(const struct vmcs_segment *s)
{
	return s->ar & 15;
}

static unsigned ar_dpl(const struct vmcs_segment *s)
{
	return s->ar >> 5 & 3;
}

/* Valid injected event of this type. */
static bool injects(const struct vmx_check *c, unsigned type)
{
	u32 info = c->vmcs->ctl.entry_interruption_info;

	return info >> 31 && (info >> 8 & 7) == type;
}

/* --- control registers, debug registers, MSRs --- */

static bool check_guest_cr(struct vmx_check *c)
{
	const struct vmx_caps *caps = c->env->caps;
	const struct vmcs_guest *g = &c->vmcs->guest;
	bool ia32e = check_on(c, ENTRY_IA32E_MODE_GUEST);
	u64 cr0_fixed0 = caps->cr0_fixed0;

	if (check_on(c, PROC2_UNRESTRICTED_GUEST))
		cr0_fixed0 &= ~(CR0_PE | CR0_PG);
	return must(c, RULE_GUEST_CR0_FIXED, g->cr0,
		    !(cr0_fixed0 & ~g->cr0) && !(g->cr0 & ~caps->cr0_fixed1)) &&
	       must(c, RULE_GUEST_CR0_PG_PE, g->cr0, !(g->cr0 & CR0_PG) || guest_pe(c)) &&
	       must(c, RULE_GUEST_CR4_FIXED, g->cr4,
		    !(caps->cr4_fixed0 & ~g->cr4) && !(g->cr4 & ~caps->cr4_fixed1)) &&
	       must(c, RULE_GUEST_IA32E_PG, g->cr0, !ia32e || (g->cr0 & CR0_PG)) &&
	       must(c, RULE_GUEST_IA32E_PAE, g->cr4, !ia32e || (g->cr4 & CR4_PAE)) &&
	       must(c, RULE_GUEST_PCIDE, g->cr4, ia32e || !(g->cr4 & CR4_PCIDE)) &&
	       must(c, RULE_GUEST_CR3_WIDTH, g->cr3, check_address(c, g->cr3, 1));
}

static bool check_guest_msrs(struct vmx_check *c)
{
	const struct vmcs_guest *g = &c->vmcs->guest;
	bool debug = check_on(c, ENTRY_LOAD_DEBUG_CONTROLS);

	return must(c, RULE_GUEST_DEBUGCTL, g->debugctl,
		    !debug || !(g->debugctl & ~c->env->debugctl_valid)) &&
	       must(c, RULE_GUEST_DR7_32, g->dr7, !debug || !(g->dr7 >> 32)) &&
	       must(c, RULE_GUEST_SYSENTER_ESP_CANONICAL, g->sysenter_esp,
		    check_canonical(c, g->sysenter_esp)) &&
	       must(c, RULE_GUEST_SYSENTER_EIP_CANONICAL, g->sysenter_eip,
		    check_canonical(c, g->sysenter_eip)) &&
	       must(c, RULE_GUEST_PAT, g->pat,
		    !check_on(c, ENTRY_LOAD_IA32_PAT) || check_pat(g->pat));
}

static bool check_guest_efer(struct vmx_check *c)
{
	const struct vmcs_guest *g = &c->vmcs->guest;
	bool lma = g->efer & EFER_LMA, lme = g->efer & EFER_LME;

	if (!check_on(c, ENTRY_LOAD_IA32_EFER))
		return true;
	return must(c, RULE_GUEST_EFER_RESERVED, g->efer, !(g->efer & ~c->env->efer_valid)) &&
	       must(c, RULE_GUEST_EFER_LMA, g->efer, lma == check_on(c, ENTRY_IA32E_MODE_GUEST)) &&
	       must(c, RULE_GUEST_EFER_LME, g->efer, !(g->cr0 & CR0_PG) || lma == lme);
}

/* --- descriptor-table registers, RIP, RFLAGS --- */

static bool check_guest_rip(struct vmx_check *c)
{
	const struct vmcs_guest *g = &c->vmcs->guest;
	bool mode64 = check_on(c, ENTRY_IA32E_MODE_GUEST) && (g->seg[VMCS_CS].ar & BIT(13));
	unsigned width = c->env->caps->laddr_width;
	u64 beyond = g->rip >> width;

	return must(c, RULE_RIP_32, g->rip, mode64 || !(g->rip >> 32)) &&
	       must(c, RULE_RIP_IDENTICAL, g->rip, !mode64 || !beyond || beyond == ~0ull >> width);
}

static bool check_guest_tables(struct vmx_check *c)
{
	const struct vmcs_guest *g = &c->vmcs->guest;

	return must(c, RULE_GDTR_CANONICAL, g->gdtr_base, check_canonical(c, g->gdtr_base)) &&
	       must(c, RULE_IDTR_CANONICAL, g->idtr_base, check_canonical(c, g->idtr_base)) &&
	       must(c, RULE_GDTR_LIMIT, g->gdtr_limit, !(g->gdtr_limit >> 16)) &&
	       must(c, RULE_IDTR_LIMIT, g->idtr_limit, !(g->idtr_limit >> 16));
}

static bool check_guest_rflags(struct vmx_check *c)
{
	u64 f = c->vmcs->guest.rflags;

	return must(c, RULE_RFLAGS_RESERVED, f, !(f & RFLAGS_RESERVED) && (f & BIT(1))) &&
	       must(c, RULE_RFLAGS_VM, f,
		    !(f & RFLAGS_VM) || (guest_pe(c) && !check_on(c, ENTRY_IA32E_MODE_GUEST))) &&
	       must(c, RULE_RFLAGS_IF, f, !injects(c, 0) || (f & RFLAGS_IF));
}

bool vmx_check_guest_registers(struct vmx_check *c)
{
	return check_guest_cr(c) && check_guest_msrs(c) && check_guest_efer(c) &&
	       check_guest_rip(c) && check_guest_tables(c) && check_guest_rflags(c);
}

/* --- segment registers --- */

static bool must_ar(struct vmx_check *c, enum vmx_rule rule, unsigned seg, bool ok)
{
	return must_field(c, rule, VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * seg,
			  c->vmcs->guest.seg[seg].ar, ok);
}

static bool must_base(struct vmx_check *c, enum vmx_rule rule, unsigned seg, bool ok)
{
	return must_field(c, rule, VMCS_GUEST_ES_BASE + 2 * seg, c->vmcs->guest.seg[seg].base, ok);
}

static bool check_selectors(struct vmx_check *c)
{
	const struct vmcs_segment *s = c->vmcs->guest.seg;
	bool free_rpl = guest_v86(c) || check_on(c, PROC2_UNRESTRICTED_GUEST);

	return must(c, RULE_TR_TI, s[VMCS_TR].selector, !(s[VMCS_TR].selector & 4)) &&
	       must(c, RULE_LDTR_TI, s[VMCS_LDTR].selector,
		    !usable(&s[VMCS_LDTR]) || !(s[VMCS_LDTR].selector & 4)) &&
	       must(c, RULE_SS_RPL, s[VMCS_SS].selector,
		    free_rpl || !((s[VMCS_SS].selector ^ s[VMCS_CS].selector) & 3));
}

static bool check_bases(struct vmx_check *c)
{
	static const u8 canonical[] = {VMCS_TR, VMCS_FS, VMCS_GS, VMCS_LDTR};
	static const u8 low[] = {VMCS_CS, VMCS_SS, VMCS_DS, VMCS_ES};
	const struct vmcs_segment *s = c->vmcs->guest.seg;

	for (unsigned i = 0; i < ARRAY_SIZE(canonical); i++) {
		unsigned n = canonical[i];
		bool checked = n != VMCS_LDTR || usable(&s[n]);

		if (!must_base(c, RULE_BASE_CANONICAL, n,
			       !checked || check_canonical(c, s[n].base)))
			return false;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(low); i++) {
		unsigned n = low[i];
		bool checked = n == VMCS_CS || usable(&s[n]);

		if (!must_base(c, RULE_BASE_32, n, !checked || !(s[n].base >> 32)))
			return false;
	}
	return true;
}

static bool check_v86_segment(struct vmx_check *c, unsigned n)
{
	const struct vmcs_segment *s = &c->vmcs->guest.seg[n];

	return must_base(c, RULE_V86_BASE, n, s->base == (u64)s->selector << 4) &&
	       must_field(c, RULE_V86_LIMIT, VMCS_GUEST_ES_LIMIT + 2 * n, s->limit,
			  s->limit == 0xffff) &&
	       must_ar(c, RULE_V86_AR, n, s->ar == 0xf3);
}

/* What all usable segments share: present, limit against granularity, reserved bits. */
static bool check_segment_form(struct vmx_check *c, unsigned n)
{
	const struct vmcs_segment *s = &c->vmcs->guest.seg[n];
	bool g = s->ar & BIT(15);

	return must_ar(c, RULE_SEG_P, n, s->ar & BIT(7)) &&
	       must_ar(c, RULE_SEG_RESERVED_11_8, n, !(s->ar & 0xf00)) &&
	       must_ar(c, RULE_SEG_G_LOW, n, !g || (s->limit & 0xfff) == 0xfff) &&
	       must_ar(c, RULE_SEG_G_HIGH, n, g || !(s->limit >> 20)) &&
	       must_ar(c, RULE_SEG_RESERVED_31_17, n, !(s->ar >> 17));
}

static bool check_cs(struct vmx_check *c)
{
	const struct vmcs_segment *cs = &c->vmcs->guest.seg[VMCS_CS];
	unsigned type = ar_type(cs), dpl = ar_dpl(cs);
	unsigned ss_dpl = ar_dpl(&c->vmcs->guest.seg[VMCS_SS]);
	bool ia32e = check_on(c, ENTRY_IA32E_MODE_GUEST);

	return must_ar(c, RULE_CS_TYPE, VMCS_CS,
		       (type & 9) == 9 || (type == 3 && check_on(c, PROC2_UNRESTRICTED_GUEST))) &&
	       must_ar(c, RULE_SEG_S, VMCS_CS, cs->ar & BIT(4)) &&
	       must_ar(c, RULE_CS_DPL, VMCS_CS,
		       type == 3   ? dpl == 0
		       : type < 12 ? dpl == ss_dpl
				   : dpl <= ss_dpl) &&
	       must_ar(c, RULE_CS_L_D, VMCS_CS,
		       !ia32e || !(cs->ar & BIT(13)) || !(cs->ar & BIT(14))) &&
	       check_segment_form(c, VMCS_CS);
}

static bool check_ss(struct vmx_check *c)
{
	const struct vmcs_segment *ss = &c->vmcs->guest.seg[VMCS_SS];
	bool cs_is_data = ar_type(&c->vmcs->guest.seg[VMCS_CS]) == 3;

	if (!must_ar(c, RULE_SS_DPL, VMCS_SS,
		     check_on(c, PROC2_UNRESTRICTED_GUEST) || ar_dpl(ss) == (ss->selector & 3u)) ||
	    !must_ar(c, RULE_SS_DPL_0, VMCS_SS, (!cs_is_data && guest_pe(c)) || ar_dpl(ss) == 0))
		return false;
	return !usable(ss) ||
	       (must_ar(c, RULE_SS_TYPE, VMCS_SS, ar_type(ss) == 3 || ar_type(ss) == 7) &&
		must_ar(c, RULE_SEG_S, VMCS_SS, ss->ar & BIT(4)) && check_segment_form(c, VMCS_SS));
}

static bool check_data_segment(struct vmx_check *c, unsigned n)
{
	const struct vmcs_segment *s = &c->vmcs->guest.seg[n];
	unsigned type = ar_type(s);

	if (!usable(s))
		return true;
	return must_ar(c, RULE_DATA_TYPE, n, (type & 1) && (!(type & 8) || (type & 2))) &&
	       must_ar(c, RULE_SEG_S, n, s->ar & BIT(4)) &&
	       must_ar(c, RULE_DATA_DPL, n,
		       type > 11 || check_on(c, PROC2_UNRESTRICTED_GUEST) ||
			       ar_dpl(s) >= (s->selector & 3u)) &&
	       check_segment_form(c, n);
}

static bool check_system_segments(struct vmx_check *c)
{
	const struct vmcs_segment *tr = &c->vmcs->guest.seg[VMCS_TR];
	const struct vmcs_segment *ldtr = &c->vmcs->guest.seg[VMCS_LDTR];
	bool ia32e = check_on(c, ENTRY_IA32E_MODE_GUEST);

	return must_ar(c, RULE_TR_USABLE, VMCS_TR, usable(tr)) &&
	       must_ar(c, RULE_TR_TYPE, VMCS_TR,
		       ar_type(tr) == 11 || (ar_type(tr) == 3 && !ia32e)) &&
	       must_ar(c, RULE_SYSTEM_S, VMCS_TR, !(tr->ar & BIT(4))) &&
	       check_segment_form(c, VMCS_TR) &&
	       (!usable(ldtr) || (must_ar(c, RULE_LDTR_TYPE, VMCS_LDTR, ar_type(ldtr) == 2) &&
				  must_ar(c, RULE_SYSTEM_S, VMCS_LDTR, !(ldtr->ar & BIT(4))) &&
				  check_segment_form(c, VMCS_LDTR)));
}

static bool check_code_and_data(struct vmx_check *c)
{
	static const u8 data[] = {VMCS_DS, VMCS_ES, VMCS_FS, VMCS_GS};

	if (!check_cs(c) || !check_ss(c))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		if (!check_data_segment(c, data[i]))
			return false;
	return true;
}

bool vmx_check_guest_segments(struct vmx_check *c)
{
	if (!check_selectors(c) || !check_bases(c))
		return false;
	if (!guest_v86(c))
		return check_code_and_data(c) && check_system_segments(c);
	for (unsigned n = VMCS_ES; n <= VMCS_GS; n++)
		if (!check_v86_segment(c, n))
			return false;
	return check_system_segments(c);
}

/* --- non-register state --- */

/* May the injected event, if any, arrive in this activity state? */
static bool injection_allowed(const struct vmx_check *c, u32 activity)
{
	u32 info = c->vmcs->ctl.entry_interruption_info;
	unsigned vector = info & 0xff;

	if (!(info >> 31))
		return true;
	switch (activity) {
	case HLT:
		return injects(c, 0) || injects(c, 2) ||
		       (injects(c, 3) && (vector == 1 || vector == 18)) ||
		       (injects(c, 7) && vector == 0);
	case SHUTDOWN:
		return injects(c, 2) || (injects(c, 3) && vector == 18);
	case WAIT_FOR_SIPI:
		return false;
	default:
		return true;
	}
}

static bool check_activity(struct vmx_check *c)
{
	const struct vmcs_guest *g = &c->vmcs->guest;
	u32 a = g->activity;
	bool blocked = g->interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS);

	return must(c, RULE_ACTIVITY, a,
		    !a || (a <= 3 && (c->env->caps->misc & VMX_MISC_ACTIVITY(a)))) &&
	       must(c, RULE_ACTIVITY_HLT_DPL, a, a != HLT || !ar_dpl(&g->seg[VMCS_SS])) &&
	       must(c, RULE_ACTIVITY_BLOCKING, a, !blocked || !a) &&
	       must(c, RULE_ACTIVITY_INJECT, a, injection_allowed(c, a));
}

static bool check_interruptibility(struct vmx_check *c)
{
	u32 i = c->vmcs->guest.interruptibility;
	u32 both = BLOCKING_STI | BLOCKING_MOV_SS;
	bool vnmi = check_on(c, PIN_VIRTUAL_NMIS);

	return must(c, RULE_INTERRUPTIBILITY_RESERVED, i, !(i >> 4)) &&
	       must(c, RULE_INTERRUPTIBILITY_BOTH, i, (i & both) != both) &&
	       must(c, RULE_INTERRUPTIBILITY_STI_IF, i,
		    !(i & BLOCKING_STI) || (c->vmcs->guest.rflags & RFLAGS_IF)) &&
	       must(c, RULE_INTERRUPTIBILITY_EXT_INT, i, !injects(c, 0) || !(i & both)) &&
	       must(c, RULE_INTERRUPTIBILITY_NMI, i, !injects(c, 2) || !(i & BLOCKING_MOV_SS)) &&
	       must(c, RULE_INTERRUPTIBILITY_SMI, i, !(i & BLOCKING_SMI)) &&
	       must(c, RULE_INTERRUPTIBILITY_VNMI, i,
		    !vnmi || !injects(c, 2) || !(i & BLOCKING_NMI));
}

static bool check_pending_debug(struct vmx_check *c)
{
	const struct vmcs_guest *g = &c->vmcs->guest;
	u64 p = g->pending_debug;
	bool held = (g->interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS)) || g->activity == HLT;
	bool steps = (g->rflags & RFLAGS_TF) && !(g->debugctl & DEBUGCTL_BTF);

	return must(c, RULE_PENDING_DEBUG_RESERVED, p, !(p & PENDING_RESERVED)) &&
	       must(c, RULE_PENDING_DEBUG_BS, p, !held || !!(p & PENDING_BS) == steps);
}

bool vmx_check_guest_state(struct vmx_check *c)
{
	return check_activity(c) && check_interruptibility(c) && check_pending_debug(c);
}

bool vmx_check_link_pointer(struct vmx_check *c)
{
	u64 link = c->vmcs->guest.link_pointer;
	u32 revision;

	if (link == UINT64_MAX)
		return true;
	if (!must(c, RULE_LINK_ADDRESS, link, check_address(c, link, 4096)))
		return false;
	revision = (u32)c->env->read(c->env->owner, link, 4);
	return must(c, RULE_LINK_REVISION, link,
		    (revision & ~VMCS_SHADOW_INDICATOR) == VMX_REVISION) &&
	       must(c, RULE_LINK_SHADOW, link,
		    !!(revision & VMCS_SHADOW_INDICATOR) == check_on(c, PROC2_VMCS_SHADOWING)) &&
	       must(c, RULE_LINK_NOT_CURRENT, link, link != c->env->current_ptr);
}

/* --- page-directory-pointer-table entries of a guest with PAE paging --- */

bool vmx_check_pdptes(struct vmx_check *c)
{
	const struct vmcs_guest *g = &c->vmcs->guest;
	u64 reserved = 0x1e6 | ~0ull << c->env->caps->maxphyaddr;

	if (!(g->cr0 & CR0_PG) || !(g->cr4 & CR4_PAE) || check_on(c, ENTRY_IA32E_MODE_GUEST))
		return true;
	for (unsigned i = 0; i < 4; i++) {
		u64 table = g->cr3 & 0xffffffe0;
		u64 e = check_on(c, PROC2_ENABLE_EPT)
				? g->pdpte[i]
				: c->env->read(c->env->owner, table + 8 * i, 8);

		if (!must_field(c, RULE_PDPTE_RESERVED, VMCS_GUEST_PDPTE0 + 2 * i, e,
				!(e & 1) || !(e & reserved)))
			return false;
	}
	return true;
}
