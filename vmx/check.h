/*
 * The checks of VM entry as functions of a VMCS and of the facts around it: nothing is changed and
 * no vCPU is needed. The rules stand in entry_checks.def and control_rules.def.
 */
#ifndef VMX_CHECK_H
#define VMX_CHECK_H

#include "vmx/caps.h"
#include "vmx/vmcs.h"

enum vmx_check_group {
	VMX_GROUP_NONE,
#define G(group, title, consequence) VMX_GROUP_##group,
#define K(group, name, field, qualification, text)
#include "vmx/entry_checks.def"
};

enum vmx_rule {
	RULE_NONE,
#define G(group, title, consequence)
#define K(group, name, field, qualification, text) RULE_##name,
#include "vmx/entry_checks.def"
	VMX_RULES
};

struct vmx_rule_text {
	const char *name, *text;
	u32 field;
	u8 group; /* enum vmx_check_group */
	u8 qualification;
};

struct vmx_failure {
	u16 rule; /* enum vmx_rule; RULE_NONE: all passed */
	u32 field;
	u64 value;
	const char *detail; /* the two controls of RULE_CONTROL_PAIR, else NULL */
};

/* Facts outside the VMCS. */
struct vmx_check_env {
	const struct vmx_caps *caps;
	u64 current_ptr;
	u64 efer_valid, debugctl_valid;			    /* bits that may be 1 */
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
/* 7, 8 or 33. */
unsigned vmx_group_consequence(enum vmx_check_group group);

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

/* --- for the check_*.c files --- */
bool vmx_check_fail(struct vmx_check *c, enum vmx_rule rule, u32 field, u64 value);

static inline bool must(struct vmx_check *c, enum vmx_rule rule, u64 value, bool ok)
{
	return likely(ok) || vmx_check_fail(c, rule, 0, value);
}

/* For rules about several fields: names the one that is wrong. */
static inline bool must_field(struct vmx_check *c, enum vmx_rule rule, u32 field, u64 value,
			      bool ok)
{
	return likely(ok) || vmx_check_fail(c, rule, field, value);
}

static inline bool check_on(const struct vmx_check *c, enum vmx_control control)
{
	return vmx_control_on(&c->ctl, control);
}

/* Aligned to `align` bytes and below the physical-address width. */
static inline bool check_address(const struct vmx_check *c, u64 addr, u64 align)
{
	return !(addr & (align - 1)) && !(addr >> c->env->caps->maxphyaddr);
}

static inline bool check_canonical(const struct vmx_check *c, u64 laddr)
{
	return is_canonical(laddr, c->env->caps->laddr_width);
}

/* A legal IA32_PAT: every byte 0, 1, 4, 5, 6 or 7. */
bool check_pat(u64 pat);

#endif
