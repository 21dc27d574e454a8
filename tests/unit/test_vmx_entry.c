/*
 * The checks of VM entry without a CPU. A VMCS that passes them all is broken in one place at a time
 * (vmx_flips.def): that rule and no other must fail, it must be the one that is reported, and the
 * value that is called the nearest valid one must mend it.
 */
#include <check.h>

#include "tests/unit/vmx_case.h"

Suite *vmx_entry_suite(void);

static struct world w;
static struct vmx_check_env env;
static struct vmx_check c;

static const char *name_of(unsigned rule)
{
	return vmx_rule_text((enum vmx_rule)rule)->name;
}

static struct vmx_failure run(void)
{
	env = world_env(&w);
	vmx_check_init(&c, &env, &w.vmcs);
	return run_checks(&c);
}

START_TEST(each_rule_fails_alone)
{
	const struct vmx_case *x = vmx_case((unsigned)_i);
	struct vmx_failure f;

	world_init(&w);
	world_apply(&w, x);
	f = run();
	ck_assert_msg(f.rule == x->rule, "line %d: %s wanted, %s failed (value %llx)", x->line,
		      name_of(x->rule), name_of(f.rule), (unsigned long long)f.value);
	for (unsigned r = 1; r < VMX_RULES; r++)
		ck_assert_msg(
			vmx_rule_holds(&c, (enum vmx_rule)r) != (r == x->rule || r == x->too) || !r,
			"line %d: rule %s beside %s", x->line, name_of(r), name_of(x->rule));
	if (f.rule == RULE_NONE)
		return;
	ck_assert_ptr_nonnull(vmcs_field_name(f.field));
	ck_assert_uint_eq(f.value, vmcs_field_value(&w.vmcs, f.field));
}
END_TEST

/* Rules of entries in memory, which no value of a field mends. */
static bool mended_elsewhere(unsigned rule)
{
	return rule == RULE_PDPTE0_IN_MEMORY || rule == RULE_PDPTE1_IN_MEMORY ||
	       rule == RULE_PDPTE2_IN_MEMORY || rule == RULE_PDPTE3_IN_MEMORY;
}

START_TEST(the_nearest_value_mends_it)
{
	const struct vmx_case *x = vmx_case((unsigned)_i);
	struct vmx_failure f;

	world_init(&w);
	world_apply(&w, x);
	f = run();
	if (f.rule == RULE_NONE)
		return;
	if (mended_elsewhere(f.rule)) {
		ck_assert_uint_eq(f.nearest, f.value);
		return;
	}
	ck_assert_msg(f.nearest != f.value, "line %d: %s", x->line, name_of(f.rule));
	ck_assert_uint_eq(vmcs_write(&w.caps, &w.vmcs, f.field, f.nearest, NULL), 0);
	ck_assert_uint_eq(vmcs_field_value(&w.vmcs, f.field), f.nearest);
	run();
	ck_assert_msg(vmx_rule_holds(&c, (enum vmx_rule)f.rule), "line %d: %s with %llx", x->line,
		      name_of(f.rule), (unsigned long long)f.nearest);
}
END_TEST

/* Pairs of controls: the rule fails, whether the controls are built or not. */
static const struct {
	enum vmx_control a, b;
	bool needs;
	enum vmx_rule rule;
} pairs[] = {
#define NEEDS true
#define BARS false
#define R(a, relation, b) {a, b, relation, RULE_##a##_##relation##_##b},
#include "vmx/control_rules.def"
#undef NEEDS
#undef BARS
};

START_TEST(each_pair_of_controls)
{
	struct vmx_failure f;

	world_init(&w);
	world_use(&w, pairs[_i].a);
	ck_assert_uint_eq(run().rule, RULE_NONE);
	world_break_pair(&w, pairs[_i].a, pairs[_i].b, pairs[_i].needs);
	f = run();
	ck_assert_msg(f.rule == pairs[_i].rule, "%s wanted, %s failed", name_of(pairs[_i].rule),
		      name_of(f.rule));
	ck_assert_uint_eq(f.nearest, f.value & ~VMX_MASK(pairs[_i].a));
	ck_assert_uint_eq(f.value, control_word(&w.vmcs, pairs[_i].a));
}
END_TEST

/* Each bit of each control word, flipped alone, against the TRUE capability MSRs. */
START_TEST(each_bit_of_each_word)
{
	static const struct {
		enum vmx_rule one, zero;
	} rules[VMX_WORDS] = {
		[VMX_PIN] = {RULE_PIN_MUST_BE_1, RULE_PIN_MUST_BE_0},
		[VMX_PROC] = {RULE_PROC_MUST_BE_1, RULE_PROC_MUST_BE_0},
		[VMX_PROC2] = {RULE_PROC2_MUST_BE_1, RULE_PROC2_MUST_BE_0},
		[VMX_EXIT] = {RULE_EXIT_MUST_BE_1, RULE_EXIT_MUST_BE_0},
		[VMX_ENTRY] = {RULE_ENTRY_MUST_BE_1, RULE_ENTRY_MUST_BE_0},
		[VMX_PROC3] = {RULE_NONE, RULE_PROC3_MUST_BE_0},
		[VMX_EXIT2] = {RULE_NONE, RULE_EXIT2_MUST_BE_0},
	};

	for (unsigned n = 0; n < VMX_WORDS * 64; n++) {
		u64 word, bit = BIT(n & 63);
		unsigned i = n >> 6;
		u16 rule;

		world_init(&w);
		if (VMCS_BYTES(word_fields[i]) * 8 <= (n & 63))
			continue;
		set_control(&w, PROC_ACTIVATE_TERTIARY_CONTROLS, true);
		set_control(&w, EXIT_ACTIVATE_SECONDARY_CONTROLS, true);
		set_control(&w, (enum vmx_control)n, !(control_word(&w.vmcs, n) & bit));
		word = control_word(&w.vmcs, n);
		rule = run().rule;
		ck_assert_msg((rule && rule == rules[i].one) ==
				      ((w.caps.true_must1[i] & bit) && !(word & bit)),
			      "word %u bit %llx must be 1: rule %u", i, (unsigned long long)bit,
			      rule);
		ck_assert_msg((rule == rules[i].zero) == !(w.caps.may1[i] & bit),
			      "word %u bit %llx must be 0: rule %u", i, (unsigned long long)bit,
			      rule);
	}
}
END_TEST

START_TEST(groups_have_their_consequence)
{
	for (unsigned r = 1; r < VMX_RULES; r++) {
		const struct vmx_rule_text *t = vmx_rule_text((enum vmx_rule)r);
		unsigned wanted = t->group <= VMX_GROUP_C3    ? 7
				  : t->group <= VMX_GROUP_C6  ? 8
				  : t->group <= VMX_GROUP_C11 ? 33
							      : 34;
		u8 qualification = r >= RULES_LINK && r < RULES_PDPTE	     ? 4
				   : r >= RULES_PDPTE && r < RULES_MSR_LISTS ? 2
									     : 0;

		if (t->group >= VMX_GROUP_C1 && t->group <= VMX_GROUP_C12)
			ck_assert_uint_eq(t->number, wanted);
		ck_assert_uint_eq(t->qualification, qualification);
		ck_assert_uint_ne(t->consequence, VMX_NO_CONSEQUENCE);
		ck_assert(vmx_group_title((enum vmx_check_group)t->group)[0]);
		ck_assert_ptr_null(strpbrk(t->text, "\"\\\n"));
	}
}
END_TEST

Suite *vmx_entry_suite(void)
{
	Suite *s = suite_create("vmx_entry");
	TCase *t = tcase_create("checks");

	tcase_add_loop_test(t, each_rule_fails_alone, 0, (int)vmx_case_count());
	tcase_add_loop_test(t, the_nearest_value_mends_it, 0, (int)vmx_case_count());
	tcase_add_loop_test(t, each_pair_of_controls, 0, (int)ARRAY_SIZE(pairs));
	tcase_add_test(t, each_bit_of_each_word);
	tcase_add_test(t, groups_have_their_consequence);
	suite_add_tcase(s, t);
	return s;
}
