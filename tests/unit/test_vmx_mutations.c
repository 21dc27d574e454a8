/*
 * Random VMCSs near the line between valid and invalid. A valid one (a PASS of vmx_flips.def) is changed
 * in one to four fields to values at boundaries; then
 *
 *   - the checks in stages must give the first rule that fails when each is asked alone;
 *   - on a virtual CPU, where the fields are written by VMWRITE and groups that nobody touched are not
 *     checked again, VMRESUME must be refused by the same rule with what it says, or enter;
 *   - what entered and left at once must leave the guest-state area as it was, and enter again.
 *
 * VMX_MUTATIONS is how many, VMX_SEED where to begin.
 */
#include <stdlib.h>

#include "vmx/internal.h"

#include "tests/unit/vmx_bench.h"
#include "tests/unit/vmx_case.h"

Suite *vmx_mutations_suite(void);

#define PER_BENCH 8192 /* mutations before memory is made new */

static u64 random_state;
static struct world w;

static u64 random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned below(unsigned n)
{
	return (unsigned)(random64() >> 33) % n;
}

static u64 option(const char *name, u64 otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

static const char *name_of(unsigned rule)
{
	return vmx_rule_text((enum vmx_rule)rule)->name;
}

/* --- mutations --- */

static u64 boundary(u64 old)
{
	static const u64 edges[] = {0,
				    1,
				    2,
				    7,
				    0xf,
				    0xff,
				    0xfff,
				    0x1000,
				    0xffff,
				    0x10000,
				    0xfffff,
				    0x100000,
				    0xffffffff,
				    1ull << 32,
				    (1ull << 40) - 16,
				    1ull << 40,
				    1ull << 46,
				    (1ull << 47) - 1,
				    1ull << 47,
				    ~0ull << 47,
				    1ull << 48,
				    1ull << 63,
				    ~0ull,
				    CURRENT,
				    LINKED,
				    SHADOW_REGION,
				    0x80000b0e,
				    0x80000202,
				    0x80000020,
				    0x80000700};

	switch (below(8)) {
	case 0:
		return edges[below(ARRAY_SIZE(edges))];
	case 1:
		return old + 1;
	case 2:
		return old - 1;
	case 3:
		return old ^ BIT(below(64)) ^ BIT(below(32));
	case 4:
		return random64() >> below(64);
	default:
		return old ^ BIT(below(8) ? below(32) : below(64));
	}
}

static u32 some_field(const struct vmx_caps *caps)
{
	u64 value;
	u32 enc;
	static const struct vmcs none;

	do
		enc = vmcs_field_encoding(below(vmcs_field_count()));
	while (vmcs_read(caps, &none, enc, &value) || VMCS_TYPE(enc) == VMCS_READ_ONLY);
	return enc;
}

static const struct vmx_case *some_valid_case(void)
{
	const struct vmx_case *x;

	do
		x = vmx_case(below(vmx_case_count()));
	while (x->rule != RULE_NONE);
	return x;
}

/* --- verdicts --- */

/* The first rule that fails when each is asked alone. */
static enum vmx_rule first_broken(const struct vmx_check *c)
{
	for (unsigned r = 1; r < VMX_RULES; r++)
		if (!vmx_rule_holds(c, (enum vmx_rule)r))
			return (enum vmx_rule)r;
	return RULE_NONE;
}

static enum vmx_rule verdict(const struct vmx_check_env *env, const struct vmcs *vmcs, u64 seed)
{
	struct vmx_check c;
	enum vmx_rule wanted;

	vmx_check_init(&c, env, vmcs);
	wanted = first_broken(&c);
	run_checks(&c);
	ck_assert_msg(c.fail.rule == wanted, "seed %llx: %s alone, %s in stages",
		      (unsigned long long)seed, name_of(wanted), name_of(c.fail.rule));
	if (wanted == RULE_NONE || c.fail.nearest == c.fail.value)
		return wanted;
	ck_assert_msg(!vmx_rule_holds(&c, wanted), "seed %llx: %s", (unsigned long long)seed,
		      name_of(wanted));
	return wanted;
}

/* --- without a CPU, with every control that has a name --- */

static void mutate_alone(u64 seed)
{
	struct vmx_check_env env;

	world_init(&w);
	world_apply(&w, some_valid_case());
	for (unsigned n = below(4) + 1; n; n--) {
		u32 enc = some_field(&w.caps);

		vmcs_write(&w.caps, &w.vmcs, enc, boundary(vmcs_field_value(&w.vmcs, enc)), NULL);
	}
	env = world_env(&w);
	verdict(&env, &w.vmcs, seed);
}

/* --- on a CPU, with what is built --- */

/* In VMX root operation with a launched, valid VMCS whose groups all have passed. */
static bool start_valid(const struct vmx_case *x)
{
	struct vmx_check_env env;
	struct vmx_check c;

	flags_set(v, 2);
	enter_long_mode();
	v->activity = ACT_ACTIVE;
	v->shadow = SHADOW_NONE;
	v->cpl = 0;
	v->vmx.non_root = false;
	world_init(&w);
	world_apply(&w, x);
	v->vmx.vmcs = w.vmcs;
	v->vmx.vmcs.host.rip = HOST_RIP;
	v->vmx.launched = false;
	v->vmx.dirty = VMCS_DIRTY_ALL;
	put_revision(LINKED, w.link_revision);
	env = vmx_check_env(v);
	vmx_check_init(&c, &env, &v->vmx.vmcs);
	if (first_broken(&c) || v->vmx.vmcs.ctl.entry_interruption_info >> 31)
		return false;
	ck_assert_msg(op_vmlaunch(v, &plain) == EXEC_VMEXIT, "line %d: %s", x->line,
		      name_of(v->vmx.refusal.rule));
	vmx_intercept(v, &plain, X_CPUID);
	enter_long_mode();
	return v->activity == ACT_ACTIVE && v->vmx.launched;
}

static void vmwrite(u32 enc, u64 value)
{
	struct insn i = {.len = 3, .mod = 3, .reg = RCX, .rm = RAX, .opsize = 8};

	v->reg[RCX] = enc;
	v->reg[RAX] = value;
	ck_assert_int_eq(op_vmwrite(v, &i), EXEC_NEXT);
	ck_assert_uint_eq(flags(), SUCCEED);
}

static void refused(const struct vmx_rule_text *t, int result, u64 seed)
{
	const struct vmcs_info *info = &v->vmx.vmcs.info;

	if (t->consequence == VMX_FAIL_VALID)
		ck_assert_msg(result == EXEC_NEXT && flags() == FAIL_VALID &&
				      info->instruction_error == t->number,
			      "seed %llx", (unsigned long long)seed);
	else
		ck_assert_msg(result == EXEC_VMEXIT && !v->vmx.non_root &&
				      info->exit_reason == (t->number | EXIT_REASON_ENTRY_FAILURE),
			      "seed %llx", (unsigned long long)seed);
}

/* Fields that a VM entry only loads with a control; a VM exit may save what was there instead. */
static bool not_loaded(u32 enc, const struct vmcs *vmcs)
{
	static const struct {
		u32 enc;
		enum vmx_control control;
	} loads[] = {
		{VMCS_GUEST_DR7, ENTRY_LOAD_DEBUG_CONTROLS},
		{VMCS_GUEST_IA32_DEBUGCTL, ENTRY_LOAD_DEBUG_CONTROLS},
		{VMCS_GUEST_IA32_PAT, ENTRY_LOAD_IA32_PAT},
		{VMCS_GUEST_IA32_EFER, ENTRY_LOAD_IA32_EFER},
		{VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL},
		{VMCS_GUEST_IA32_PKRS, ENTRY_LOAD_PKRS},
		{VMCS_GUEST_IA32_SPEC_CTRL, ENTRY_LOAD_GUEST_IA32_SPEC_CTRL},
		{VMCS_GUEST_IA32_S_CET, ENTRY_LOAD_CET_STATE},
		{VMCS_GUEST_SSP, ENTRY_LOAD_CET_STATE},
		{VMCS_GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR, ENTRY_LOAD_CET_STATE},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(loads); i++)
		if (loads[i].enc == enc)
			return !(control_word(vmcs, loads[i].control) & VMX_MASK(loads[i].control));
	return false;
}

/* What a VM entry followed by a VM exit may change of the guest-state area. */
static bool changes_on_the_way(u32 enc, u64 then, u64 now)
{
	switch (enc) {
	case VMCS_GUEST_CR0: /* ET, NW and CD are not loaded */
		return !((then ^ now) & ~CR0_NOT_LOADED);
	case VMCS_GUEST_RFLAGS: /* the instruction that exits clears RF */
		return now == (then & ~RFLAGS_RF);
	case VMCS_GUEST_DR7: /* reserved bits are loaded as they are read */
		return now == ((then & ~0xd800ull) | 0x400);
	case VMCS_GUEST_PDPTE0: /* undefined without PAE paging */
	case VMCS_GUEST_PDPTE1:
	case VMCS_GUEST_PDPTE2:
	case VMCS_GUEST_PDPTE3:
		return true;
	case VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS: /* nothing is pending without one of these */
		return !(then & (BIT(14) | PENDING_DBG_ENABLED))
			       ? !now
			       : now == (then | (then & 15 ? BIT(12) : 0));
	default:
		return false;
	}
}

/* The guest left without having run: its state must be as it entered. */
static void must_round_trip(const struct vmcs *before, u64 seed)
{
	u64 now, then;

	for (unsigned n = 0; n < vmcs_field_count(); n++) {
		u32 enc = vmcs_field_encoding(n);

		if (VMCS_TYPE(enc) != VMCS_GUEST || vmcs_read(&v->vmx.caps, before, enc, &then) ||
		    enc == VMCS_VMX_PREEMPTION_TIMER_VALUE || enc == VMCS_GUEST_SMBASE)
			continue;
		vmcs_read(&v->vmx.caps, &v->vmx.vmcs, enc, &now);
		ck_assert_msg(now == then || not_loaded(enc, before) ||
				      changes_on_the_way(enc, then, now),
			      "seed %llx: %s was %llx, is %llx", (unsigned long long)seed,
			      vmcs_field_name(enc), (unsigned long long)then,
			      (unsigned long long)now);
	}
}

static void leave_and_enter_again(u64 seed)
{
	struct vmcs before = v->vmx.vmcs;

	v->icount++; /* the run loop counts the VMRESUME */
	v->icount_end++;
	vmx_intercept(v, &plain, X_CPUID);
	if (v->activity == ACT_SHUTDOWN) /* an MSR list or the host's mode: a VMX abort */
		return;
	must_round_trip(&before, seed);
	enter_long_mode();
	v->vmx.dirty = VMCS_DIRTY_ALL;
	v->vmx.vmcs.ctl.entry_msr_load_count = 0;
	ck_assert_msg(op_vmresume(v, &plain) == EXEC_VMEXIT && v->vmx.non_root,
		      "seed %llx: does not enter again: %s", (unsigned long long)seed,
		      name_of(v->vmx.refusal.rule));
}

static void mutate_on_cpu(u64 seed)
{
	struct vmx_check_env env;
	enum vmx_rule wanted;
	int result;

	if (!start_valid(some_valid_case()))
		return;
	for (unsigned n = below(4) + 1; n; n--) {
		u32 enc = some_field(&v->vmx.caps);

		vmwrite(enc, boundary(vmcs_field_value(&v->vmx.vmcs, enc)));
	}
	env = vmx_check_env(v);
	wanted = verdict(&env, &v->vmx.vmcs, seed);
	v->vmx.refusal.rule = RULE_NONE;
	result = op_vmresume(v, &plain);
	if (v->vmx.refusal.rule >= RULES_MSR_LISTS) /* a list, or the way out */
		return;
	ck_assert_msg(v->vmx.refusal.rule == wanted, "seed %llx: %s by all checks, %s at VMRESUME",
		      (unsigned long long)seed, name_of(wanted), name_of(v->vmx.refusal.rule));
	if (wanted)
		refused(vmx_rule_text(wanted), result, seed);
	else if (!v->inject.valid && !v->vmx.mtf_pending)
		leave_and_enter_again(seed);
}

START_TEST(verdicts_agree)
{
	u64 count = option("VMX_MUTATIONS", 50000), first = option("VMX_SEED", 1);

	for (u64 n = 0; n < count; n++) {
		u64 seed = first + n;

		if (n % PER_BENCH == 0) {
			if (n)
				vmx_bench_teardown();
			vmx_bench_setup();
			vmx_on_and_current();
		}
		random_state = (seed + 1) * 0x9e3779b97f4a7c15ull;
		if (n & 1)
			mutate_alone(seed);
		else
			mutate_on_cpu(seed);
	}
	vmx_bench_teardown();
}
END_TEST

Suite *vmx_mutations_suite(void)
{
	Suite *s = suite_create("vmx_mutations");
	TCase *t = tcase_create("mutations");

	tcase_set_timeout(t, 3600);
	tcase_add_test(t, verdicts_agree);
	suite_add_tcase(s, t);
	return s;
}
