/*
 * VM entry: checks on the control fields, and what all check files share (SDM Vol. 3, "Checks on
 * VMX Controls").
 *
 * Left out: the address checks of controls that are not supported (posted interrupts, PML, SPP,
 * VM functions, #VE), which the capability rule refuses.
 */
#include "vmx/check.h"

const struct vmx_rule_text *vmx_rule_text(enum vmx_rule rule)
{
	static const struct vmx_rule_text texts[VMX_RULES] = {
		[RULE_NONE] = {"NONE", "", 0, VMX_GROUP_NONE, 0},
#define G(group, title, consequence)
#define K(group, name, field, qualification, text)                                                 \
	[RULE_##name] = {#name, text, VMCS_##field, VMX_GROUP_##group, qualification},
#include "vmx/entry_checks.def"
	};

	return &texts[rule];
}

const char *vmx_group_title(enum vmx_check_group group)
{
	static const char *const titles[] = {
		[VMX_GROUP_NONE] = "",
#define G(group, title, consequence) [VMX_GROUP_##group] = title,
#define K(group, name, field, qualification, text)
#include "vmx/entry_checks.def"
	};

	return titles[group];
}

unsigned vmx_group_consequence(enum vmx_check_group group)
{
	static const u8 consequences[] = {
		[VMX_GROUP_NONE] = 0,
#define G(group, title, consequence) [VMX_GROUP_##group] = consequence,
#define K(group, name, field, qualification, text)
#include "vmx/entry_checks.def"
	};

	return consequences[group];
}

bool vmx_check_fail(struct vmx_check *c, enum vmx_rule rule, u32 field, u64 value)
{
	c->fail.rule = rule;
	c->fail.field = field ? field : vmx_rule_text(rule)->field;
	c->fail.value = value;
	c->fail.detail = NULL;
	return false;
}

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
	c->fail = (struct vmx_failure){RULE_NONE, 0, 0, NULL};
}

bool check_pat(u64 pat)
{
	/* 2 and 3 are reserved: no byte above 7, and none with bit 1 set but bit 2 clear */
	return !(pat & 0xf8f8f8f8f8f8f8f8) && !(pat & 0x0202020202020202 & ~(pat >> 1));
}

static bool check_word(struct vmx_check *c, enum vmx_word word, enum vmx_rule one,
		       enum vmx_rule zero)
{
	const struct vmx_caps *caps = c->env->caps;
	u64 value = c->ctl.word[word];

	return must(c, one, value, !(caps->true_must1[word] & ~value)) &&
	       must(c, zero, value, !(value & ~caps->may1[word]));
}

static bool check_words(struct vmx_check *c)
{
	return check_word(c, VMX_PIN, RULE_PIN_MUST_BE_1, RULE_PIN_MUST_BE_0) &&
	       check_word(c, VMX_PROC, RULE_PROC_MUST_BE_1, RULE_PROC_MUST_BE_0) &&
	       check_word(c, VMX_PROC2, RULE_PROC2_MUST_BE_1, RULE_PROC2_MUST_BE_0) &&
	       must(c, RULE_PROC3_MUST_BE_0, c->ctl.word[VMX_PROC3],
		    !(c->ctl.word[VMX_PROC3] & ~c->env->caps->may1[VMX_PROC3])) &&
	       must(c, RULE_EXIT2_MUST_BE_0, c->ctl.word[VMX_EXIT2],
		    !(c->ctl.word[VMX_EXIT2] & ~c->env->caps->may1[VMX_EXIT2])) &&
	       check_word(c, VMX_EXIT, RULE_EXIT_MUST_BE_1, RULE_EXIT_MUST_BE_0) &&
	       check_word(c, VMX_ENTRY, RULE_ENTRY_MUST_BE_1, RULE_ENTRY_MUST_BE_0);
}

enum { BARS, NEEDS };

static bool check_control_pairs(struct vmx_check *c)
{
	static const struct {
		u16 a, b;
		u8 wanted;
		const char *text;
	} pairs[] = {
#define R(a, relation, b) {a, b, relation, #a " " #relation " " #b},
#include "vmx/control_rules.def"
	};

	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
		enum vmx_control a = (enum vmx_control)pairs[i].a;
		enum vmx_control b = (enum vmx_control)pairs[i].b;

		if (!check_on(c, a) || check_on(c, b) == (pairs[i].wanted == NEEDS))
			continue;
		vmx_check_fail(c, RULE_CONTROL_PAIR, 0, c->ctl.word[a >> 6]);
		c->fail.detail = pairs[i].text;
		return false;
	}
	return true;
}

static bool check_page(struct vmx_check *c, enum vmx_control control, enum vmx_rule rule, u64 addr)
{
	return must(c, rule, addr, !check_on(c, control) || check_address(c, addr, 4096));
}

static bool check_pages(struct vmx_check *c)
{
	const struct vmcs_control *x = &c->vmcs->ctl;

	return check_page(c, PROC_USE_IO_BITMAPS, RULE_IO_BITMAP_A, x->io_bitmap_a) &&
	       check_page(c, PROC_USE_IO_BITMAPS, RULE_IO_BITMAP_B, x->io_bitmap_b) &&
	       check_page(c, PROC_USE_MSR_BITMAPS, RULE_MSR_BITMAPS, x->msr_bitmaps) &&
	       check_page(c, PROC_USE_TPR_SHADOW, RULE_VIRTUAL_APIC, x->virtual_apic) &&
	       check_page(c, PROC2_VIRTUALIZE_APIC_ACCESSES, RULE_APIC_ACCESS, x->apic_access) &&
	       check_page(c, PROC2_VMCS_SHADOWING, RULE_VMREAD_BITMAP, x->vmread_bitmap) &&
	       check_page(c, PROC2_VMCS_SHADOWING, RULE_VMWRITE_BITMAP, x->vmwrite_bitmap);
}

static bool check_eptp(struct vmx_check *c)
{
	const struct vmx_caps *caps = c->env->caps;
	u64 eptp = c->vmcs->ctl.eptp;
	u64 type = bits(eptp, 2, 0);

	if (!check_on(c, PROC2_ENABLE_EPT))
		return true;
	return must(c, RULE_EPTP_MEMORY_TYPE, eptp,
		    (type == 0 && (caps->ept_vpid & EPT_CAP_UC)) ||
			    (type == 6 && (caps->ept_vpid & EPT_CAP_WB))) &&
	       must(c, RULE_EPTP_WALK_LENGTH, eptp, bits(eptp, 5, 3) == 3) &&
	       must(c, RULE_EPTP_AD, eptp, !(eptp & BIT(6)) || (caps->ept_vpid & EPT_CAP_AD)) &&
	       must(c, RULE_EPTP_RESERVED, eptp,
		    !bits(eptp, 11, 7) && check_address(c, eptp & ~0xfffull, 1));
}

/* An MSR list of `count` entries of 16 bytes. */
static bool check_msr_area(struct vmx_check *c, enum vmx_rule rule, u32 count, u64 addr)
{
	u64 last = addr + 16ull * count - 1;

	return must(c, rule, addr,
		    !count || (check_address(c, addr, 16) && check_address(c, last, 1)));
}

bool vmx_check_controls(struct vmx_check *c)
{
	const struct vmcs_control *x = &c->vmcs->ctl;

	return check_words(c) && check_control_pairs(c) && check_pages(c) && check_eptp(c) &&
	       must(c, RULE_CR3_TARGETS, x->cr3_target_count,
		    x->cr3_target_count <= VMX_CR3_TARGETS) &&
	       must(c, RULE_TPR_THRESHOLD_RESERVED, x->tpr_threshold,
		    !check_on(c, PROC_USE_TPR_SHADOW) || !(x->tpr_threshold >> 4)) &&
	       must(c, RULE_VPID_NOT_0, x->vpid, !check_on(c, PROC2_ENABLE_VPID) || x->vpid) &&
	       must(c, RULE_TSC_MULTIPLIER_NOT_0, x->tsc_multiplier,
		    !check_on(c, PROC2_USE_TSC_SCALING) || x->tsc_multiplier) &&
	       check_msr_area(c, RULE_EXIT_MSR_STORE, x->exit_msr_store_count,
			      x->exit_msr_store_address) &&
	       check_msr_area(c, RULE_EXIT_MSR_LOAD, x->exit_msr_load_count,
			      x->exit_msr_load_address) &&
	       check_msr_area(c, RULE_ENTRY_MSR_LOAD, x->entry_msr_load_count,
			      x->entry_msr_load_address);
}

bool vmx_check_vtpr(struct vmx_check *c)
{
	const struct vmcs_control *x = &c->vmcs->ctl;
	u64 vtpr;

	if (!check_on(c, PROC_USE_TPR_SHADOW) || check_on(c, PROC2_VIRTUALIZE_APIC_ACCESSES))
		return true;
	vtpr = c->env->read(c->env->owner, x->virtual_apic + 0x80, 1);
	return must(c, RULE_TPR_THRESHOLD_VTPR, x->tpr_threshold, x->tpr_threshold <= vtpr >> 4);
}

/* Hardware exceptions that push an error code. */
static bool vector_has_error(unsigned vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static bool check_injected_vector(unsigned type, unsigned vector)
{
	switch (type) {
	case 2:
		return vector == 2;
	case 3:
		return vector <= 31;
	case 7:
		return vector == 0;
	default:
		return true;
	}
}

bool vmx_check_injection(struct vmx_check *c)
{
	const struct vmcs_control *x = &c->vmcs->ctl;
	u32 info = x->entry_interruption_info;
	unsigned vector = info & 0xff, type = info >> 8 & 7;
	bool deliver = info >> 11 & 1;
	/* PE counts only for an unrestricted guest; for others PE = 0 breaks a rule of its own */
	bool pe = !check_on(c, PROC2_UNRESTRICTED_GUEST) || (c->vmcs->guest.cr0 & 1);
	bool wanted = type == 3 && vector_has_error(vector) && pe;
	bool software = type >= 4 && type <= 6;
	u32 length = x->entry_instruction_length;

	if (!(info >> 31))
		return true;
	return must(c, RULE_INJECT_TYPE, info,
		    type != 1 && (type != 7 || vmx_may(c->env->caps, PROC_MONITOR_TRAP_FLAG))) &&
	       must(c, RULE_INJECT_VECTOR, info, check_injected_vector(type, vector)) &&
	       must(c, RULE_INJECT_DELIVER_ERROR, info, deliver == wanted) &&
	       must(c, RULE_INJECT_RESERVED, info, !bits(info, 30, 12)) &&
	       must(c, RULE_INJECT_ERROR_CODE, x->entry_error_code,
		    !deliver || !(x->entry_error_code >> 16)) &&
	       must(c, RULE_INJECT_LENGTH, length,
		    !software || (length <= 15 &&
				  (length || (c->env->caps->misc & VMX_MISC_ZERO_LENGTH))));
}
