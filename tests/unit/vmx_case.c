/*
 * The valid VMCS and its edits.
 */
#include <check.h>

#include "tests/unit/vmx_case.h"

/* --- the cases --- */

#define KEEP                                                                                       \
	{                                                                                          \
		OP_NONE, 0, 0                                                                      \
	}
#define SET(field, value)                                                                          \
	{                                                                                          \
		OP_SET, VMCS_##field, value                                                        \
	}
#define OR(field, value)                                                                           \
	{                                                                                          \
		OP_OR, VMCS_##field, value                                                         \
	}
#define CLR(field, value)                                                                          \
	{                                                                                          \
		OP_CLR, VMCS_##field, value                                                        \
	}
#define USE(control)                                                                               \
	{                                                                                          \
		OP_USE, control, 0                                                                 \
	}
#define NOT(control)                                                                               \
	{                                                                                          \
		OP_NOT, control, 0                                                                 \
	}
#define WORLD(what, value)                                                                         \
	{                                                                                          \
		OP_WORLD, WORLD_##what, value                                                      \
	}
/* 32-bit protected mode with PAE paging; virtual-8086 mode; IA-32e mode again */
#define PAE32                                                                                      \
	{                                                                                          \
		OP_PAE32, 0, 0                                                                     \
	}
#define V86_MODE                                                                                   \
	{                                                                                          \
		OP_V86, 0, 0                                                                       \
	}
#define LONG_MODE                                                                                  \
	{                                                                                          \
		OP_LONG, 0, 0                                                                      \
	}

static const struct vmx_case cases[] = {
#define FLIP(rule, ...) {RULE_##rule, RULE_NONE, {__VA_ARGS__}, __LINE__},
#define FLIP_TOO(rule, too, ...) {RULE_##rule, RULE_##too, {__VA_ARGS__}, __LINE__},
#define PASS(...) {RULE_NONE, RULE_NONE, {__VA_ARGS__}, __LINE__},
#include "tests/unit/vmx_flips.def"
};

unsigned vmx_case_count(void)
{
	return ARRAY_SIZE(cases);
}

const struct vmx_case *vmx_case(unsigned n)
{
	return &cases[n];
}

/* --- the valid VMCS --- */

static const struct edit base[] = {
	SET(PIN_BASED_VM_EXECUTION_CONTROLS, 0x16),
	SET(PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, 0x0401e172),
	USE(PROC_ACTIVATE_SECONDARY_CONTROLS),
	SET(PRIMARY_VM_EXIT_CONTROLS, 0x36dff),
	USE(EXIT_HOST_ADDRESS_SPACE_SIZE),
	USE(EXIT_LOAD_IA32_EFER),
	USE(EXIT_LOAD_IA32_PAT),
	SET(VM_ENTRY_CONTROLS, 0x11ff),
	USE(ENTRY_IA32E_MODE_GUEST),
	USE(ENTRY_LOAD_IA32_EFER),
	USE(ENTRY_LOAD_IA32_PAT),
	SET(VMCS_LINK_POINTER, ~0ull),
	SET(VIRTUAL_APIC_ADDRESS, VAPIC),
	SET(EPT_POINTER, 0x4000 | 6 | 3 << 3),
	SET(VIRTUAL_PROCESSOR_IDENTIFIER, 1),
	SET(TSC_MULTIPLIER, 1ull << 48),
	SET(HOST_CR0, 0x80000031),
	SET(HOST_CR3, 0x1000),
	SET(HOST_CR4, 0x2020),
	SET(HOST_CS_SELECTOR, 8),
	SET(HOST_SS_SELECTOR, 16),
	SET(HOST_TR_SELECTOR, 24),
	SET(HOST_IA32_EFER, 0x500),
	SET(HOST_IA32_PAT, 0x0007040600070406),
	SET(GUEST_CR0, 0x80000031),
	SET(GUEST_CR3, GUEST_CR3_PAGE),
	SET(GUEST_CR4, 0x2020),
	SET(GUEST_IA32_EFER, 0x500),
	SET(GUEST_IA32_PAT, 0x0007040600070406),
	SET(GUEST_DR7, 0x400),
	SET(GUEST_RFLAGS, 0x202),
	SET(GUEST_TR_SELECTOR, 24),
	SET(GUEST_TR_ACCESS_RIGHTS, 0x8b),
	SET(GUEST_TR_LIMIT, 0x67),
	SET(GUEST_LDTR_ACCESS_RIGHTS, 0x82),
	SET(GUEST_LDTR_LIMIT, 0xffff),
};

const u32 word_fields[VMX_WORDS] = {
	[VMX_PIN] = VMCS_PIN_BASED_VM_EXECUTION_CONTROLS,
	[VMX_PROC] = VMCS_PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
	[VMX_PROC2] = VMCS_SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
	[VMX_EXIT] = VMCS_PRIMARY_VM_EXIT_CONTROLS,
	[VMX_ENTRY] = VMCS_VM_ENTRY_CONTROLS,
	[VMX_PROC3] = VMCS_TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
	[VMX_EXIT2] = VMCS_SECONDARY_VM_EXIT_CONTROLS,
};

u64 control_word(const struct vmcs *vmcs, enum vmx_control control)
{
	return vmcs_field_value(vmcs, word_fields[control >> 6]);
}

void set_control(struct world *w, enum vmx_control control, bool on)
{
	u64 word = control_word(&w->vmcs, control), bit = VMX_MASK(control);

	word = on ? word | bit : word & ~bit;
	ck_assert_uint_eq(vmcs_write(&w->caps, &w->vmcs, word_fields[control >> 6], word, NULL), 0);
}

static void apply_world(struct world *w, enum world_item item, u64 value)
{
	switch (item) {
	case WORLD_VTPR:
		w->vtpr = (u8)value;
		break;
	case WORLD_LMA:
		w->lma = value;
		break;
	case WORLD_LINK_REVISION:
		w->link_revision = (u32)value;
		break;
	case WORLD_NO_MTF:
		w->caps.may1[VMX_PROC] &= ~VMX_MASK(PROC_MONITOR_TRAP_FLAG);
		break;
	case WORLD_BASIC:
		w->caps.basic |= value;
		break;
	case WORLD_MISC_OFF:
		w->caps.misc &= ~value;
		break;
	case WORLD_EPT_CAP_OFF:
		w->caps.ept_vpid &= ~value;
		break;
	case WORLD_CR4_FIXED1:
		w->caps.cr4_fixed1 |= value;
		break;
	case WORLD_PROC2_MUST_1:
		w->caps.true_must1[VMX_PROC2] |= value;
		break;
	case WORLD_EXIT_MAY_NOT:
		w->caps.may1[VMX_EXIT] &= ~value;
		break;
	default:
		w->pdpte[item - WORLD_PDPTE0] = value;
	}
}

static void make_v86(struct vmcs_guest *g)
{
	g->rflags |= CHECK_RFLAGS_VM;
	for (unsigned n = VMCS_ES; n <= VMCS_GS; n++)
		g->seg[n] = (struct vmcs_segment){
			.base = 0x1230, .limit = 0xffff, .ar = 0xf3, .selector = 0x123};
}

static void apply_mode(struct world *w, enum edit_op op)
{
	struct vmcs *m = &w->vmcs;

	if (op == OP_LONG) {
		m->ctl.entry |= VMX_MASK(ENTRY_IA32E_MODE_GUEST);
		m->guest.efer = 0x500;
		return;
	}
	m->ctl.entry &= ~VMX_MASK(ENTRY_IA32E_MODE_GUEST);
	m->guest.efer = 0;
	m->guest.seg[VMCS_CS].ar = 0xc09b;
	if (op == OP_V86)
		make_v86(&m->guest);
}

static void apply(struct world *w, const struct edit *e)
{
	struct vmcs *m = &w->vmcs;
	u64 old = 0;

	switch (e->op) {
	case OP_NONE:
		return;
	case OP_USE:
		set_control(w, e->where, true);
		return;
	case OP_NOT:
		set_control(w, e->where, false);
		return;
	case OP_WORLD:
		apply_world(w, e->where, e->value);
		return;
	case OP_SET:
	case OP_OR:
	case OP_CLR:
		ck_assert_uint_eq(vmcs_read(&w->caps, m, e->where, &old), 0);
		old = e->op == OP_SET  ? e->value
		      : e->op == OP_OR ? old | e->value
				       : old & ~e->value;
		ck_assert_uint_eq(vmcs_write(&w->caps, m, e->where, old, NULL), 0);
		return;
	default:
		apply_mode(w, e->op);
	}
}

/* Everything that has a name may be 1. */
static void permit_all(struct vmx_caps *caps)
{
#define D(word, mask)
#define C(word, bit, name, class, supported) caps->may1[VMX_##word] |= 1ull << (bit);
#include "vmx/controls.def"
	caps->ept_vpid |= EPT_CAP_WALK_5 | EPT_CAP_SHADOW_STACK;
	vmcs_caps_init(caps);
}

void world_init(struct world *w)
{
	struct vmx_model_mask m;

	memset(w, 0, sizeof(*w));
	vmx_model_mask_all(&m, 0x3767ff, CASE_WIDTH, 48);
	vmx_caps_init(&w->caps, &m);
	permit_all(&w->caps);
	w->link_revision = VMX_REVISION;
	w->lma = true;
	for (unsigned n = VMCS_ES; n <= VMCS_GS; n++)
		w->vmcs.guest.seg[n] = (struct vmcs_segment){.limit = 0xffffffff, .ar = 0xc093};
	w->vmcs.guest.seg[VMCS_CS].ar = 0xa09b;
	for (unsigned i = 0; i < ARRAY_SIZE(base); i++)
		apply(w, &base[i]);
}

void world_apply(struct world *w, const struct vmx_case *c)
{
	for (unsigned i = 0; i < ARRAY_SIZE(c->edit); i++)
		apply(w, &c->edit[i]);
}

/* --- the checks --- */

static u64 read_memory(void *owner, u64 paddr, unsigned size)
{
	const struct world *w = owner;

	(void)size;
	if (paddr == LINKED)
		return w->link_revision;
	if (paddr == CURRENT)
		return VMX_REVISION;
	if (paddr == VAPIC + 0x80)
		return w->vtpr;
	return paddr >= GUEST_CR3_PAGE && paddr < GUEST_CR3_PAGE + sizeof(w->pdpte)
		       ? w->pdpte[(paddr - GUEST_CR3_PAGE) / 8]
		       : 0;
}

struct vmx_check_env world_env(struct world *w)
{
	return (struct vmx_check_env){
		.caps = &w->caps,
		.current_ptr = CURRENT,
		.efer_valid = 0xd01,
		.debugctl_valid = 3,
		.s_cet_valid = ~0x3c0ull,
		.perf_global_valid = 0x7000000ff,
		.spec_ctrl_valid = 7,
		.lma = w->lma,
		.read = read_memory,
		.owner = w,
	};
}

struct vmx_failure run_checks(struct vmx_check *c)
{
	(void)(vmx_check_controls(c) && vmx_check_vtpr(c) && vmx_check_injection(c) &&
	       vmx_check_host(c) && vmx_check_host_now(c) && vmx_check_guest_registers(c) &&
	       vmx_check_guest_segments(c) && vmx_check_guest_state(c) &&
	       vmx_check_link_pointer(c) && vmx_check_pdptes(c));
	return c->fail;
}

/* --- pairs of controls --- */

static const struct {
	enum vmx_control a, b;
	bool needs;
} pairs[] = {
#define NEEDS true
#define BARS false
#define R(a, relation, b) {a, b, relation},
#include "vmx/control_rules.def"
#undef NEEDS
#undef BARS
};

/* All that `control` needs, and what that needs in turn. */
static void satisfy(struct world *w, enum vmx_control control, unsigned depth)
{
	for (unsigned i = 0; i < ARRAY_SIZE(pairs) && depth; i++)
		if (pairs[i].a == control) {
			set_control(w, pairs[i].b, pairs[i].needs);
			if (pairs[i].needs)
				satisfy(w, pairs[i].b, depth - 1);
		}
}

static void activate(struct world *w, enum vmx_control control)
{
	set_control(w, control, true);
	if (control >> 6 == VMX_PROC3)
		set_control(w, PROC_ACTIVATE_TERTIARY_CONTROLS, true);
	if (control >> 6 == VMX_EXIT2)
		set_control(w, EXIT_ACTIVATE_SECONDARY_CONTROLS, true);
}

void world_use(struct world *w, enum vmx_control control)
{
	activate(w, control);
	satisfy(w, control, 4);
}

void world_break_pair(struct world *w, enum vmx_control a, enum vmx_control b, bool needs)
{
	world_use(w, a);
	set_control(w, b, !needs);
	if (!needs)
		satisfy(w, b, 4);
	activate(w, a);
}
