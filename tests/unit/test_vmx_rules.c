/*
 * Every rule of entry_checks.def on a virtual CPU: each is broken alone, by a VMCS of vmx_flips.def, a
 * pair of controls or an operand, and what happens must be what the rule's row says: #UD, #GP(0),
 * VMfailInvalid, VMfailValid with its number, VM entry failing with its exit reason and qualification,
 * or the VMX abort; and the rule that is reported must be that one. Prints how many there are and how
 * many were broken.
 */
#include "vmx/internal.h"

#include "tests/unit/vmx_bench.h"
#include "tests/unit/vmx_case.h"

Suite *vmx_rules_suite(void);

static bool flipped[VMX_RULES];
static struct world w;

static const char *name_of(unsigned rule)
{
	return vmx_rule_text((enum vmx_rule)rule)->name;
}

/* --- what must happen --- */

static void must_be_refused(enum vmx_rule rule, int result, unsigned qualification)
{
	const struct vmx_rule_text *t = vmx_rule_text(rule);

	ck_assert_msg(v->vmx.refusal.rule == rule, "%s wanted, %s reported", t->name,
		      name_of(v->vmx.refusal.rule));
	ck_assert_uint_eq(v->vmx.refusal.qualification, qualification);
	switch (t->consequence) {
	case VMX_UD:
	case VMX_GP:
		ck_assert_int_eq(result, EXEC_FAULT);
		ck_assert_uint_eq(v->exc.vector, t->consequence == VMX_UD ? VEC_UD : VEC_GP);
		ck_assert_uint_eq(v->exc.error, 0);
		break;
	case VMX_FAIL_INVALID:
		ck_assert_int_eq(result, EXEC_NEXT);
		ck_assert_uint_eq(flags(), FAIL_INVALID);
		break;
	case VMX_FAIL_VALID:
		ck_assert_int_eq(result, EXEC_NEXT);
		must_fail(t->number);
		break;
	case VMX_ENTRY_FAILURE:
		ck_assert_int_eq(result, EXEC_VMEXIT);
		exited(t->number | EXIT_REASON_ENTRY_FAILURE, qualification);
		ck_assert_uint_eq(v->rip, HOST_RIP);
		break;
	default:
		ck_assert_int_eq(result, EXEC_VMEXIT);
		ck_assert_uint_eq(phys_read(v, v->vmx.current_ptr + 4, 4), t->number);
		ck_assert_uint_eq(v->activity, ACT_SHUTDOWN);
	}
	flipped[rule] = true;
}

/* --- VMCSs --- */

static void put_world(void)
{
	struct seg code = {.limit = 0xffffffff, .ar = 0xc09b, .sel = 8};

	v->vmx.vmcs = w.vmcs;
	v->vmx.vmcs.host.rip = HOST_RIP;
	v->vmx.caps = w.caps;
	v->vmx.dirty = VMCS_DIRTY_ALL;
	put_revision(LINKED, w.link_revision);
	phys_write(v, VAPIC + 0x80, w.vtpr, 1);
	for (unsigned n = 0; n < ARRAY_SIZE(w.pdpte); n++)
		put64(GUEST_CR3_PAGE + 8 * n, w.pdpte[n]);
	if (w.lma)
		return;
	v->efer = 0;
	v->cr0 &= ~CR0_PG;
	v->seg[SEG_CS] = code;
	vcpu_recompute(v);
}

static void launch_world(enum vmx_rule rule, bool exact_host_rip)
{
	int result;

	put_world();
	if (exact_host_rip)
		v->vmx.vmcs.host.rip = w.vmcs.host.rip;
	result = op_vmlaunch(v, &plain);
	must_be_refused(rule, result, vmx_rule_text(rule)->qualification);
	ck_assert(!v->vmx.launched);
	ck_assert(!v->vmx.non_root);
	if (v->vmx.refusal.field != VMCS_HOST_RIP)
		ck_assert_uint_eq(v->vmx.refusal.value,
				  vmcs_field_value(&w.vmcs, v->vmx.refusal.field));
}

static void each_case(void)
{
	for (unsigned n = 0; n < vmx_case_count(); n++) {
		const struct vmx_case *x = vmx_case(n);

		if (x->rule == RULE_NONE)
			continue;
		vmx_bench_setup();
		vmx_on_and_current();
		world_init(&w);
		world_apply(&w, x);
		launch_world(x->rule, w.vmcs.host.rip);
		vmx_bench_teardown();
	}
}

static void each_pair(void)
{
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

	for (unsigned n = 0; n < ARRAY_SIZE(pairs); n++) {
		vmx_bench_setup();
		vmx_on_and_current();
		world_init(&w);
		world_break_pair(&w, pairs[n].a, pairs[n].b, pairs[n].needs);
		launch_world(pairs[n].rule, false);
		vmx_bench_teardown();
	}
}

/* --- operands and modes --- */

static void outside_vmx(void)
{
	v->vmx.vmxon = false;
}

static void compatibility(void)
{
	v->mode = MODE_COMPAT;
}

static void virtual_8086(void)
{
	v->mode = MODE_VM86;
}

static void cpl_3(void)
{
	v->cpl = 3;
}

/* Bit of the operand, or value of what the row is about. */
struct operand_case {
	enum vmx_rule rule;
	exec_fn *op;
	u64 reg;     /* type of INVEPT and INVVPID, field of VMREAD and VMWRITE */
	u64 desc[2]; /* pointer or descriptor */
	void (*before)(void);
};

static void no_vmxe(void)
{
	v->vmx.vmxon = false;
	v->cr4 &= ~CR4_VMXE;
}

static void a20_masked(void)
{
	v->vmx.vmxon = false;
	v->a20_masked = true;
}

static void no_ne(void)
{
	v->vmx.vmxon = false;
	v->cr0 &= ~CR0_NE;
}

static void strange_cr4(void)
{
	v->vmx.vmxon = false;
	v->vmx.caps.cr4_fixed1 &= ~CR4_PAE;
}

static void unlocked(void)
{
	v->vmx.vmxon = false;
	v->vmx.feature_control = 4;
}

static void locked_off(void)
{
	v->vmx.vmxon = false;
	v->vmx.feature_control = 1;
}

static void user_outside_vmx(void)
{
	v->vmx.vmxon = false;
	v->cpl = 3;
}

static void no_shadowing(void)
{
	v->vmx.caps.may1[VMX_PROC2] &= ~VMX_MASK(PROC2_VMCS_SHADOWING);
}

static void no_current(void)
{
	v->vmx.current_ptr = VMX_NO_POINTER;
}

static void shadow_current(void)
{
	v->vmx.is_shadow = true;
}

static void after_mov_ss(void)
{
	v->shadow = SHADOW_MOV_SS;
	v->shadow_at = vcpu_icount(v);
}

static void launched(void)
{
	v->vmx.launched = true;
}

static void no_write_any(void)
{
	v->vmx.caps.misc &= ~VMX_MISC_VMWRITE_ANY;
}

static void no_invalidation(void)
{
	v->vmx.caps.ept_vpid = 0;
}

static void one_type_only(void)
{
	v->vmx.caps.ept_vpid &= ~(EPT_CAP_INVEPT_TYPE(1) | BIT(41));
}

#define EPTP 0x401eull
static const struct operand_case operands[] = {
	{RULE_VMXON_MODE, op_vmxon, 0, {VMXON_REGION}, compatibility},
	{RULE_VMXON_MODE, op_vmxon, 0, {VMXON_REGION}, virtual_8086},
	{RULE_VMXON_VMXE, op_vmxon, 0, {VMXON_REGION}, no_vmxe},
	{RULE_VMXON_CPL, op_vmxon, 0, {VMXON_REGION}, user_outside_vmx},
	{RULE_VMXON_A20M, op_vmxon, 0, {VMXON_REGION}, a20_masked},
	{RULE_VMXON_CR0, op_vmxon, 0, {VMXON_REGION}, no_ne},
	{RULE_VMXON_CR4, op_vmxon, 0, {VMXON_REGION}, strange_cr4},
	{RULE_VMXON_LOCK, op_vmxon, 0, {VMXON_REGION}, unlocked},
	{RULE_VMXON_ENABLE, op_vmxon, 0, {VMXON_REGION}, locked_off},
	{RULE_VMXON_ALIGNED, op_vmxon, 0, {VMXON_REGION + 8}, outside_vmx},
	{RULE_VMXON_WIDTH, op_vmxon, 0, {1ull << 40}, outside_vmx},
	{RULE_VMXON_REVISION, op_vmxon, 0, {0x1f000}, outside_vmx},
	{RULE_VMXON_SHADOW, op_vmxon, 0, {SHADOW_REGION}, outside_vmx},
	{RULE_VMXON_ROOT_CPL, op_vmxon, 0, {VMXON_REGION}, cpl_3},
	{RULE_VMXON_IN_ROOT, op_vmxon, 0, {VMXON_REGION}, NULL},
#define COMMON(I, op)                                                                              \
	{RULE_##I##_VMX_OPERATION, op, 0, {0}, outside_vmx},                                       \
		{RULE_##I##_MODE, op, 0, {0}, compatibility},                                      \
		{RULE_##I##_MODE, op, 0, {0}, virtual_8086}, {RULE_##I##_CPL, op, 0, {0}, cpl_3},
	COMMON(VMXOFF, op_vmxoff) COMMON(VMPTRLD, op_vmptrld) COMMON(VMPTRST, op_vmptrst) COMMON(
		VMCLEAR, op_vmclear) COMMON(VMREAD, op_vmread) COMMON(VMWRITE, op_vmwrite)
		COMMON(VMCALL, op_vmcall) COMMON(INVEPT, op_invept) COMMON(INVVPID, op_invvpid)
			COMMON(ENTRY, op_vmlaunch) COMMON(ENTRY, op_vmresume)
#undef COMMON
				{RULE_VMPTRLD_ALIGNED, op_vmptrld, 0, {REGION + 4}, NULL},
	{RULE_VMPTRLD_WIDTH, op_vmptrld, 0, {1ull << 40}, NULL},
	{RULE_VMPTRLD_NOT_VMXON, op_vmptrld, 0, {VMXON_REGION}, NULL},
	{RULE_VMPTRLD_REVISION, op_vmptrld, 0, {0x1f000}, NULL},
	{RULE_VMPTRLD_SHADOW, op_vmptrld, 0, {SHADOW_REGION}, no_shadowing},
	{RULE_VMCLEAR_ALIGNED, op_vmclear, 0, {REGION + 0x800}, NULL},
	{RULE_VMCLEAR_WIDTH, op_vmclear, 0, {1ull << 63}, NULL},
	{RULE_VMCLEAR_NOT_VMXON, op_vmclear, 0, {VMXON_REGION}, NULL},
	{RULE_VMREAD_CURRENT, op_vmread, VMCS_GUEST_RIP, {0}, no_current},
	{RULE_VMREAD_FIELD, op_vmread, 0x6c1f, {0}, NULL},
	{RULE_VMREAD_FIELD, op_vmread, 1ull << 32 | VMCS_GUEST_RIP, {0}, NULL},
	{RULE_VMWRITE_CURRENT, op_vmwrite, VMCS_GUEST_RIP, {0}, no_current},
	{RULE_VMWRITE_FIELD, op_vmwrite, VMCS_GUEST_RIP + 1, {0}, NULL},
	{RULE_VMWRITE_READ_ONLY, op_vmwrite, VMCS_EXIT_REASON, {0}, no_write_any},
	{RULE_VMCALL_IN_ROOT, op_vmcall, 0, {0}, NULL},
	{RULE_INVEPT_SUPPORTED, op_invept, 2, {0}, no_invalidation},
	{RULE_INVEPT_TYPE, op_invept, 0, {EPTP}, NULL},
	{RULE_INVEPT_TYPE, op_invept, 3, {EPTP}, NULL},
	{RULE_INVEPT_TYPE, op_invept, 1, {EPTP}, one_type_only},
	{RULE_INVEPT_TYPE, op_invept, 1ull << 32 | 1, {EPTP}, NULL},
	{RULE_INVEPT_EPTP, op_invept, 1, {EPTP | BIT(11)}, NULL},
	{RULE_INVEPT_EPTP, op_invept, 1, {EPTP - 5}, NULL},
	{RULE_INVVPID_SUPPORTED, op_invvpid, 2, {0}, no_invalidation},
	{RULE_INVVPID_TYPE, op_invvpid, 4, {1}, NULL},
	{RULE_INVVPID_TYPE, op_invvpid, 1, {1}, one_type_only},
	{RULE_INVVPID_RESERVED, op_invvpid, 1, {1 << 16 | 1}, NULL},
	{RULE_INVVPID_VPID, op_invvpid, 0, {0}, NULL},
	{RULE_INVVPID_VPID, op_invvpid, 1, {0}, NULL},
	{RULE_INVVPID_VPID, op_invvpid, 3, {0}, NULL},
	{RULE_INVVPID_CANONICAL, op_invvpid, 0, {1, 1ull << 47}, NULL},
	{RULE_ENTRY_CURRENT, op_vmlaunch, 0, {0}, no_current},
	{RULE_ENTRY_NOT_SHADOW, op_vmlaunch, 0, {0}, shadow_current},
	{RULE_ENTRY_MOV_SS, op_vmlaunch, 0, {0}, after_mov_ss},
	{RULE_ENTRY_CLEAR, op_vmlaunch, 0, {0}, launched},
	{RULE_ENTRY_LAUNCHED, op_vmresume, 0, {0}, NULL},
};

static void each_operand(void)
{
	for (unsigned n = 0; n < ARRAY_SIZE(operands); n++) {
		const struct operand_case *x = &operands[n];
		struct insn i = memory_insn(OPERAND, RCX);

		vmx_bench_setup();
		vmx_on_and_current();
		put64(OPERAND, x->desc[0]);
		put64(OPERAND + 8, x->desc[1]);
		v->reg[RCX] = x->reg;
		if (x->before)
			x->before();
		must_be_refused(x->rule, x->op(v, &i), 0);
		vmx_bench_teardown();
	}
}

/* --- MSR lists and aborts --- */

static const struct {
	unsigned rule; /* behind the first one of the list */
	u32 msr, reserved;
	u64 value;
} entries[] = {
	{1, 0x174, 1, 0}, /* reserved */
	{2, 0x800, 0, 0}, /* x2APIC */
	{2, 0x8ff, 0, 0},
	{3, 0xc0000100, 0, 0},	    /* FS base */
	{4, 0xc0000101, 0, 0},	    /* GS base */
	{5, 0x9b, 0, 0},	    /* SMM monitor */
	{6, 0x79, 0, 0},	    /* microcode update */
	{7, 0x175, 0, 1ull << 47},  /* not canonical */
	{7, 0xc0000080, 0, 1 << 1}, /* reserved bit of EFER */
	{7, 0xc0000080, 0, 0},	    /* LME changes while paging is on */
};

static void put_entry(unsigned n, u32 msr, u32 reserved, u64 value)
{
	put64(MSR_LIST + 16 * n, (u64)reserved << 32 | msr);
	put64(MSR_LIST + 16 * n + 8, value);
}

static void start_list(unsigned count)
{
	vmx_bench_setup();
	vmx_on_and_current();
	fill_vmcs();
	for (unsigned n = 0; n < count; n++)
		put_entry(n, 0x174, 0, 8);
}

static void entry_list(enum vmx_rule rule, u32 count, unsigned index)
{
	v->vmx.vmcs.ctl.entry_msr_load_count = count;
	v->vmx.vmcs.ctl.entry_msr_load_address = MSR_LIST;
	must_be_refused(rule, op_vmlaunch(v, &plain), index);
	vmx_bench_teardown();
}

static void exit_load_list(enum vmx_rule rule, u32 count)
{
	v->vmx.vmcs.ctl.exit_msr_load_count = count;
	v->vmx.vmcs.ctl.exit_msr_load_address = MSR_LIST;
	enter();
	must_be_refused(rule, vmx_intercept(v, &plain, X_CPUID), 0);
	vmx_bench_teardown();
}

static void exit_store_list(enum vmx_rule rule, u32 count)
{
	v->vmx.vmcs.ctl.exit_msr_store_count = count;
	v->vmx.vmcs.ctl.exit_msr_store_address = MSR_LIST;
	enter();
	must_be_refused(rule, vmx_intercept(v, &plain, X_CPUID), 0);
	vmx_bench_teardown();
}

static void each_entry_of_lists(void)
{
	for (unsigned n = 0; n < ARRAY_SIZE(entries); n++) {
		start_list(2);
		put_entry(1, entries[n].msr, entries[n].reserved, entries[n].value);
		entry_list((enum vmx_rule)(RULE_ENTRY_LOAD_COUNT + entries[n].rule), 2, 2);
		start_list(2);
		put_entry(1, entries[n].msr, entries[n].reserved, entries[n].value);
		exit_load_list((enum vmx_rule)(RULE_EXIT_LOAD_COUNT + entries[n].rule), 2);
	}
	start_list(513);
	entry_list(RULE_ENTRY_LOAD_COUNT, 513, 513);
	start_list(513);
	exit_load_list(RULE_EXIT_LOAD_COUNT, 513);
	start_list(513);
	exit_store_list(RULE_EXIT_STORE_COUNT, 513);
	start_list(1);
	put_entry(0, 0x174, 1, 0);
	exit_store_list(RULE_EXIT_STORE_RESERVED, 1);
	start_list(1);
	put_entry(0, 0x808, 0, 0);
	exit_store_list(RULE_EXIT_STORE_X2APIC, 1);
	start_list(1);
	put_entry(0, 0x9e, 0, 0);
	exit_store_list(RULE_EXIT_STORE_SMBASE, 1);
	start_list(1);
	put_entry(0, 0x40000000, 0, 0);
	exit_store_list(RULE_EXIT_STORE_RDMSR, 1);
}

/* A 32-bit host with PAE paging, whose third entry has a reserved bit. */
static void host_pdptes(void)
{
	vmx_bench_setup();
	vmx_on_and_current();
	fill_vmcs();
	enter();
	v->efer = 0; /* the guest left IA-32e mode */
	v->vmx.vmcs.ctl.exit &= ~VMX_MASK(EXIT_HOST_ADDRESS_SPACE_SIZE);
	v->vmx.ctl.word[VMX_EXIT] = v->vmx.vmcs.ctl.exit;
	v->vmx.vmcs.host.cr3 = MSR_LIST;
	put64(MSR_LIST + 16, 3);
	must_be_refused(RULE_HOST_PDPTES, vmx_intercept(v, &plain, X_CPUID), 0);
	ck_assert_uint_eq(v->vmx.refusal.value, 3);
	vmx_bench_teardown();
}

static void host_mode(void)
{
	vmx_bench_setup();
	vmx_on_and_current();
	fill_vmcs();
	enter();
	v->vmx.ctl.word[VMX_EXIT] &= ~VMX_MASK(EXIT_HOST_ADDRESS_SPACE_SIZE);
	must_be_refused(RULE_HOST_MODE, vmx_intercept(v, &plain, X_CPUID), 0);
	vmx_bench_teardown();
}

START_TEST(each_rule_does_what_its_row_says)
{
	unsigned count = 0;

	each_case();
	each_pair();
	each_operand();
	each_entry_of_lists();
	host_pdptes();
	host_mode();
	for (unsigned r = 1; r < VMX_RULES; r++)
		count += flipped[r];
	printf("rules: %u, flipped: %u\n", VMX_RULES - 1, count);
	fflush(stdout);
	for (unsigned r = 1; r < VMX_RULES; r++)
		ck_assert_msg(flipped[r], "rule %s is broken by no test", name_of(r));
}
END_TEST

START_TEST(there_are_as_many_as_the_issue_asks)
{
	ck_assert_uint_ge(VMX_RULES - 1, 330);
}
END_TEST

/* The text and the JSON object of one refusal. */
START_TEST(it_is_said_why)
{
	char line[2048] = "";
	FILE *out = tmpfile();

	ck_assert_ptr_nonnull(out);
	f->log.out = out;
	f->log.mask = 1u << LOG_vmx | 1u << LOG_vmx_json;
	vmx_on_and_current();
	fill_vmcs();
	v->vmx.vmcs.guest.rflags = 0x202 | 1 << 15;
	op_vmlaunch(v, &plain);
	vmx_explain(v, out);
	rewind(out);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), out));
	ck_assert_str_eq(line, "vmx: VMLAUNCH in L1, cpu 0, icount 999, rip 0000000000007000: "
			       "VM-entry failure(33): rule RFLAGS_RESERVED: GUEST_RFLAGS (6820H) = "
			       "0000000000008202, must be: bits 63:22, 15, 5 and 3 are 0, nearest "
			       "valid 0000000000000202, qualification 0 [SDM \"Checks on Guest "
			       "Descriptor-Table Registers, RIP, RFLAGS, and SSP\"]\n");
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), out));
	ck_assert_str_eq(
		line, "{\"level\":\"L1\",\"cpu\":0,\"icount\":999,\"rip\":\"0x7000\","
		      "\"instruction\":\"VMLAUNCH\",\"consequence\":\"VM-entry failure\","
		      "\"number\":33,\"rule\":\"RFLAGS_RESERVED\",\"text\":\"bits 63:22, 15, 5 "
		      "and 3 are 0\",\"section\":\"Checks on Guest Descriptor-Table Registers, "
		      "RIP, RFLAGS, and SSP\",\"field\":\"GUEST_RFLAGS\",\"encoding\":\"0x6820\","
		      "\"value\":\"0x8202\",\"nearest\":\"0x202\",\"qualification\":0}\n");
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), out));
	ck_assert_int_eq(strncmp(line, "VMLAUNCH in L1", 14), 0);
	f->log.out = NULL;
	fclose(out);
}
END_TEST

Suite *vmx_rules_suite(void)
{
	Suite *s = suite_create("vmx_rules");
	TCase *t = tcase_create("rules"), *said = tcase_create("said");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, each_rule_does_what_its_row_says);
	tcase_add_test(t, there_are_as_many_as_the_issue_asks);
	tcase_add_checked_fixture(said, vmx_bench_setup, vmx_bench_teardown);
	tcase_add_test(said, it_is_said_why);
	suite_add_tcase(s, t);
	suite_add_tcase(s, said);
	return s;
}
