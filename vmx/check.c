/*
 * VM entry: evaluates the rules of entry_checks.def, in the SDM's order (SDM Vol. 3, "Checks on VMX
 * Controls and Host-State Area", "Checks on the Guest State Area"). A stage whose rules all hold is
 * one straight line of code; which rule failed is looked for afterwards, one function a rule.
 */
#include "vmx/check_terms.h"

enum { BARS, NEEDS };

/* --- the tables --- */

static const char *const titles[] = {
	[VMX_GROUP_NONE] = "",
#define G(group, title, consequence, number) [VMX_GROUP_##group] = title,
#include "vmx/rules_groups.def"
};

enum group_facts {
#define G(group, title, consequence, number)                                                       \
	GROUP_DOES_##group = VMX_##consequence, GROUP_NUMBER_##group = (number),
#include "vmx/rules_groups.def"
};

/* The field of the word that a control is in, and the SDM's section on it. */
#define WORD_FIELD(control)                                                                        \
	((control) >> 6 == VMX_PIN     ? VMCS_PIN_BASED_VM_EXECUTION_CONTROLS                      \
	 : (control) >> 6 == VMX_PROC  ? VMCS_PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS        \
	 : (control) >> 6 == VMX_PROC3 ? VMCS_TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS       \
	 : (control) >> 6 == VMX_EXIT  ? VMCS_PRIMARY_VM_EXIT_CONTROLS                             \
				       : VMCS_SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS)
#define WORD_GROUP(control) ((control) >> 6 == VMX_EXIT ? VMX_GROUP_C2 : VMX_GROUP_C1)

static const struct vmx_rule_text texts[VMX_RULES] = {
#define S(stage)
#define K(group, name, field, qualification, text, holds, nearest)                                 \
	[RULE_##name] = {#name,                                                                    \
			 text,                                                                     \
			 NULL,                                                                     \
			 VMCS_##field,                                                             \
			 VMX_GROUP_##group,                                                        \
			 GROUP_DOES_##group,                                                       \
			 GROUP_NUMBER_##group,                                                     \
			 qualification},
#define R(a, relation, b)                                                                          \
	[RULE_##a##_##relation##_##b] = {#a "_" #relation "_" #b,                                  \
					 #a " " #relation " " #b,                                  \
					 NULL,                                                     \
					 WORD_FIELD(a),                                            \
					 WORD_GROUP(a),                                            \
					 VMX_FAIL_VALID,                                           \
					 GROUP_NUMBER_C1,                                          \
					 0},
#define M(group, name, consequence, number, subject, text)                                         \
	[RULE_##name] = {#name, text, subject, 0, VMX_GROUP_##group, VMX_##consequence, number, 0},
#include "vmx/entry_checks.def"
};

const struct vmx_rule_text *vmx_rule_text(enum vmx_rule rule)
{
	return &texts[rule];
}

const char *vmx_group_title(enum vmx_check_group group)
{
	return titles[group];
}

/* --- one function a rule, for the path on which one has failed --- */

static bool pair_holds(const struct vmx_check *c, enum vmx_control a, bool needs,
		       enum vmx_control b)
{
	return !vmx_control_on(&c->ctl, a) || vmx_control_on(&c->ctl, b) == needs;
}

#define S(stage)
#define K(group, name, field, qualification, text, holds, nearest)                                 \
	static bool holds_##name(const struct vmx_check *c, u64 x)                                 \
	{                                                                                          \
		(void)c;                                                                           \
		(void)x;                                                                           \
		return (holds);                                                                    \
	}                                                                                          \
	static u64 nearest_##name(const struct vmx_check *c, u64 x)                                \
	{                                                                                          \
		(void)c;                                                                           \
		(void)x;                                                                           \
		return (nearest);                                                                  \
	}
#define R(a, relation, b)                                                                          \
	static bool holds_##a##_##relation##_##b(const struct vmx_check *c, u64 x)                 \
	{                                                                                          \
		(void)x;                                                                           \
		return pair_holds(c, a, relation, b);                                              \
	}                                                                                          \
	static u64 nearest_##a##_##relation##_##b(const struct vmx_check *c, u64 x)                \
	{                                                                                          \
		(void)c;                                                                           \
		return x & ~(u64)VMX_MASK(a);                                                      \
	}
#define M(group, name, consequence, number, subject, text)
#include "vmx/entry_checks.def"

static const struct {
	bool (*holds)(const struct vmx_check *c, u64 x);
	u64 (*nearest)(const struct vmx_check *c, u64 x);
} rules[VMX_RULES] = {
#define S(stage)
#define K(group, name, field, qualification, text, holds, nearest)                                 \
	[RULE_##name] = {holds_##name, nearest_##name},
#define R(a, relation, b)                                                                          \
	[RULE_##a##_##relation##_##                                                                \
		b] = {holds_##a##_##relation##_##b, nearest_##a##_##relation##_##b},
#define M(group, name, consequence, number, subject, text)
#include "vmx/entry_checks.def"
};

bool vmx_rule_holds(const struct vmx_check *c, enum vmx_rule rule)
{
	return !rules[rule].holds ||
	       rules[rule].holds(c, vmcs_field_value(c->vmcs, texts[rule].field));
}

u64 vmx_rule_nearest(const struct vmx_check *c, enum vmx_rule rule, u64 value)
{
	return rules[rule].nearest ? rules[rule].nearest(c, value) : value;
}

/* False, with the first rule that fails; true if none does. */
static bool find_failure(struct vmx_check *c, enum vmx_rule first, enum vmx_rule end)
{
	for (enum vmx_rule r = first; r < end; r++) {
		if (vmx_rule_holds(c, r))
			continue;
		c->fail.rule = r;
		c->fail.field = texts[r].field;
		c->fail.value = vmcs_field_value(c->vmcs, texts[r].field);
		c->fail.nearest = vmx_rule_nearest(c, r, c->fail.value);
		return false;
	}
	return true;
}

/* --- controls in effect --- */

struct vmx_controls vmx_effective_controls(const struct vmcs *vmcs)
{
	struct vmx_controls c;

	c.word[VMX_PIN] = vmcs->ctl.pin;
	c.word[VMX_PROC] = vmcs->ctl.proc;
	c.word[VMX_EXIT] = vmcs->ctl.exit;
	c.word[VMX_ENTRY] = vmcs->ctl.entry;
	c.word[VMX_PROC2] =
		vmx_control_on(&c, PROC_ACTIVATE_SECONDARY_CONTROLS) ? vmcs->ctl.proc2 : 0;
	c.word[VMX_PROC3] =
		vmx_control_on(&c, PROC_ACTIVATE_TERTIARY_CONTROLS) ? vmcs->ctl.proc3 : 0;
	c.word[VMX_EXIT2] =
		vmx_control_on(&c, EXIT_ACTIVATE_SECONDARY_CONTROLS) ? vmcs->ctl.exit2 : 0;
	return c;
}

void vmx_check_init(struct vmx_check *c, const struct vmx_check_env *env, const struct vmcs *vmcs)
{
	c->env = env;
	c->vmcs = vmcs;
	c->ctl = vmx_effective_controls(vmcs);
	c->fail = (struct vmx_failure){RULE_NONE, 0, 0, 0};
}

/* --- stages --- */

#define RULES_FROM(stage, next) find_failure(c, RULES_##stage, RULES_##next)
#define K_IN_LINE(field, holds)                                                                    \
	{                                                                                          \
		const u64 x = V(field);                                                            \
		(void)x;                                                                           \
		ok &= !!(holds);                                                                   \
	}
#define K(group, name, field, qualification, text, holds, nearest) K_IN_LINE(field, holds)
#define R(a, relation, b) ok &= pair_holds(c, a, relation, b);

bool vmx_check_controls(struct vmx_check *c)
{
	bool ok = true;

#include "vmx/rules_controls.def"
#include "vmx/control_rules.def"
	return ok || RULES_FROM(CONTROLS, VTPR);
}

bool vmx_check_vtpr(struct vmx_check *c)
{
	return !threshold_counts(c) || RULES_FROM(VTPR, INJECTION);
}

bool vmx_check_injection(struct vmx_check *c)
{
	return !injects_any(c) || RULES_FROM(INJECTION, HOST);
}

bool vmx_check_host(struct vmx_check *c)
{
	bool ok = true;

#include "vmx/rules_host.def"
	return ok || RULES_FROM(HOST, HOST_NOW);
}

bool vmx_check_host_now(struct vmx_check *c)
{
	bool ok = true;

#include "vmx/rules_host_now.def"
	return ok || RULES_FROM(HOST_NOW, GUEST);
}

bool vmx_check_guest_registers(struct vmx_check *c)
{
	bool ok = true;

#include "vmx/rules_guest.def"
	return ok || RULES_FROM(GUEST, SEGMENTS);
}

bool vmx_check_guest_segments(struct vmx_check *c)
{
	bool ok = true;

#include "vmx/rules_segments.def"
	return ok || RULES_FROM(SEGMENTS, STATE);
}

bool vmx_check_guest_state(struct vmx_check *c)
{
	bool ok = true;

#include "vmx/rules_state.def"
	return ok || RULES_FROM(STATE, LINK);
}

bool vmx_check_link_pointer(struct vmx_check *c)
{
	return V(VMCS_LINK_POINTER) == ~0ull || RULES_FROM(LINK, PDPTE);
}

bool vmx_check_pdptes(struct vmx_check *c)
{
	return !guest_pae(c) || RULES_FROM(PDPTE, MSR_LISTS);
}
