/*
 * A VMCS that passes all checks of VM entry and the world around it, and edits of both; the cases
 * stand in vmx_flips.def.
 */
#ifndef TESTS_UNIT_VMX_CASE_H
#define TESTS_UNIT_VMX_CASE_H

#include "vmx/check_terms.h"

#define CURRENT 0x11000ull
#define LINKED 0x12000ull
#define VAPIC 0x17000ull
#define GUEST_CR3_PAGE 0x19000ull
#define CASE_WIDTH 46
#define CASE_EDITS 12

/* What is not in the VMCS. Controls that are not built may be 1 here. */
struct world {
	struct vmcs vmcs;
	struct vmx_caps caps;
	u64 pdpte[4];
	u32 link_revision;
	u8 vtpr;
	bool lma;
};

enum edit_op {
	OP_NONE,
	OP_SET,
	OP_OR,
	OP_CLR,
	OP_USE,
	OP_NOT,
	OP_WORLD,
	OP_PAE32,
	OP_V86,
	OP_LONG
};

enum world_item {
	WORLD_VTPR,
	WORLD_LMA,
	WORLD_LINK_REVISION,
	WORLD_PDPTE0,
	WORLD_PDPTE1,
	WORLD_PDPTE2,
	WORLD_PDPTE3,
	WORLD_NO_MTF,
	WORLD_BASIC, /* bits set */
	WORLD_MISC_OFF,
	WORLD_EPT_CAP_OFF,
	WORLD_CR4_FIXED1, /* bits set */
	WORLD_PROC2_MUST_1,
	WORLD_EXIT_MAY_NOT,
};

struct edit {
	enum edit_op op;
	u32 where; /* field, control or enum world_item */
	u64 value;
};

struct vmx_case {
	enum vmx_rule rule; /* RULE_NONE: all hold */
	enum vmx_rule
		too; /* fails as well, in a later stage or behind `rule`; RULE_NONE: nothing */
	struct edit edit[CASE_EDITS];
	int line;
};

unsigned vmx_case_count(void);
const struct vmx_case *vmx_case(unsigned n);
void world_init(struct world *w);
void world_apply(struct world *w, const struct vmx_case *c);
/* Facts and memory of a world for the checks. */
struct vmx_check_env world_env(struct world *w);
/* The fields of the control words, the word that a control is in, and a change of it. */
extern const u32 word_fields[VMX_WORDS];
u64 control_word(const struct vmcs *vmcs, enum vmx_control control);
void set_control(struct world *w, enum vmx_control control, bool on);

/* Turns a control on, with all that it needs. */
void world_use(struct world *w, enum vmx_control control);
/* Breaks "a needs b", or "a bars b" where `needs` is false, and no other rule. */
void world_break_pair(struct world *w, enum vmx_control a, enum vmx_control b, bool needs);

/* Runs all stages in order; the failure found. */
struct vmx_failure run_checks(struct vmx_check *c);

#endif
