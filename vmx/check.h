/*
 * The checks of VM entry as functions of a VMCS and of the facts around it: nothing is changed and
 * no vCPU is needed. Every rule stands in entry_checks.def and the tables that it names.
 */
#ifndef VMX_CHECK_H
#define VMX_CHECK_H

#include "vmx/caps.h"
#include "vmx/vmcs.h"

enum vmx_check_group {
	VMX_GROUP_NONE,
#define G(group, title, consequence, number) VMX_GROUP_##group,
#include "vmx/rules_groups.def"
};

enum vmx_consequence {
	VMX_NO_CONSEQUENCE,
	VMX_UD,
	VMX_GP,
	VMX_FAIL_INVALID,
	VMX_FAIL_VALID,
	VMX_ENTRY_FAILURE,
	VMX_ABORT
};

/* RULE_NAME is a rule, RULES_STAGE the first rule of a stage. */
enum vmx_rule {
	RULE_NONE,
#define S(stage) RULES_##stage, RULES_##stage##_BEFORE = RULES_##stage - 1,
#define K(group, name, field, qualification, text, holds, nearest) RULE_##name,
#define R(a, relation, b) RULE_##a##_##relation##_##b,
#define M(group, name, consequence, number, subject, text) RULE_##name,
#include "vmx/entry_checks.def"
	VMX_RULES = RULES_END
};

enum vmx_check_stage {
#define S(stage) VMX_STAGE_##stage,
#define K(group, name, field, qualification, text, holds, nearest)
#define R(a, relation, b)
#define M(group, name, consequence, number, subject, text)
#include "vmx/entry_checks.def"
};

struct vmx_rule_text {
	const char *name, *text;
	const char *subject; /* what is wrong, if it is not a field */
	u16 field;
	u8 group;	  /* enum vmx_check_group */
	u8 consequence;	  /* enum vmx_consequence */
	u8 number;	  /* VM-instruction error, exit reason or abort indicator */
	u8 qualification; /* of the failed VM entry */
};

struct vmx_failure {
	u16 rule; /* enum vmx_rule; RULE_NONE: all passed */
	u32 field;
	u64 value;
	u64 nearest; /* valid value nearest to it; as `value`: none is known */
};

/* Facts outside the VMCS. */
struct vmx_check_env {
	const struct vmx_caps *caps;
	u64 current_ptr;
	/* bits that may be 1 */
	u64 efer_valid, debugctl_valid, s_cet_valid, perf_global_valid, spec_ctrl_valid;
	bool lma;					    /* IA32_EFER.LMA now */
	u64 (*read)(void *owner, u64 paddr, unsigned size); /* guest memory */
	void *owner;
};

struct vmx_check {
	const struct vmx_check_env *env;
	const struct vmcs *vmcs;
	struct vmx_controls ctl; /* effective controls of vmcs */
	struct vmx_failure fail;
};

const struct vmx_rule_text *vmx_rule_text(enum vmx_rule rule);
const char *vmx_group_title(enum vmx_check_group group);

/* Secondary controls count as 0 unless activated. */
struct vmx_controls vmx_effective_controls(const struct vmcs *vmcs);
void vmx_check_init(struct vmx_check *c, const struct vmx_check_env *env, const struct vmcs *vmcs);

/* Each returns true, or false with c->fail describing the first rule that failed. */
bool vmx_check_controls(struct vmx_check *c);	     /* C1, C2, C3 but for injection */
bool vmx_check_vtpr(struct vmx_check *c);	     /* C1: depends on memory */
bool vmx_check_injection(struct vmx_check *c);	     /* C3 */
bool vmx_check_host(struct vmx_check *c);	     /* C4, C5, C6 but for the next */
bool vmx_check_host_now(struct vmx_check *c);	     /* C6: depends on the mode now */
bool vmx_check_guest_registers(struct vmx_check *c); /* C7, C9 */
bool vmx_check_guest_segments(struct vmx_check *c);  /* C8 */
bool vmx_check_guest_state(struct vmx_check *c);     /* C10 but for the next */
bool vmx_check_link_pointer(struct vmx_check *c);    /* C10: depends on memory */
bool vmx_check_pdptes(struct vmx_check *c);	     /* C11 */

/* A rule alone. Rules that are checked where the instruction runs hold. */
bool vmx_rule_holds(const struct vmx_check *c, enum vmx_rule rule);
/* The valid value of the rule's field that is nearest to `value`; `value` itself if none is known. */
u64 vmx_rule_nearest(const struct vmx_check *c, enum vmx_rule rule, u64 value);

#endif
