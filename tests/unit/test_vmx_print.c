/*
 * VM exits, the current VMCS and refusals in words, as the monitor prints them.
 */
#include "vmx/internal.h"

#include "tests/unit/vmx_bench.h"

Suite *vmx_print_suite(void);

static char text[65536];

static FILE *begin(void)
{
	FILE *out = tmpfile();

	ck_assert_ptr_nonnull(out);
	return out;
}

static void end(FILE *out)
{
	size_t n;

	rewind(out);
	n = fread(text, 1, sizeof(text) - 1, out);
	text[n] = 0;
	fclose(out);
}

static const struct {
	u32 reason;
	u64 qualification;
	const char *words;
} rows[] = {
	{EXIT_REASON_CPUID, 0, ""},
	{EXIT_REASON_SIPI, 0x9a, "vector 9a"},
	{EXIT_REASON_TASK_SWITCH, 0xc0000028, "selector 28, source task gate"},
	{EXIT_REASON_CR_ACCESS, 3 | 1 << 4 | 9 << 8,
	 "CR 3, access MOV from CR, register R9, LMSW source 0"},
	{EXIT_REASON_CR_ACCESS, 3 << 4 | 1 << 6 | 0xf << 16,
	 "CR 0, access LMSW, memory operand, register RAX, LMSW source f"},
	{EXIT_REASON_MOV_DR, 7 | 1 << 4 | 3 << 8, "DR 7, access MOV from DR, register RBX"},
	{EXIT_REASON_IO_INSTRUCTION, 0x03f80000 | 1 | 8 | 16 | 32,
	 "port 3f8, size 2 bytes, direction IN, string, REP"},
	{EXIT_REASON_IO_INSTRUCTION, 0x00800040,
	 "port 80, size 1 byte, direction OUT, immediate operand"},
	{EXIT_REASON_ENTRY_FAILURE_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE, 4,
	 "cause VMCS link pointer"},
	{EXIT_REASON_APIC_ACCESS, 0x20b0, "offset b0, access fetch"},
	{EXIT_REASON_APIC_ACCESS, 0xf000, "offset 0, access physical"},
	{EXIT_REASON_EPT_VIOLATION, 0x182,
	 "write, linear address valid, at the translated address"},
	{EXIT_REASON_EPT_VIOLATION, 0x8b,
	 "read, write, page is readable, linear address valid, at a paging structure"},
	{0xffff, 5, ""},
};

START_TEST(qualifications_in_words)
{
	FILE *out = begin();

	vmx_print_qualification(out, rows[_i].reason, rows[_i].qualification);
	end(out);
	ck_assert_str_eq(text, rows[_i].words);
}
END_TEST

START_TEST(the_last_exits)
{
	FILE *out = begin();

	start_guest();
	vmx_intercept(v, &plain, X_CPUID);
	restart_with(&v->vmx.vmcs.ctl.proc, VMX_MASK(PROC_UNCONDITIONAL_IO_EXITING));
	vmx_intercept_io(v, &plain, 0x3f8, 1, VMX_IO_IN, 0);
	vmx_print_exits(v, 1, out);
	end(out);
	ck_assert_str_eq(text, "  icount 1128 rip 0000000000020000 exit 30 IO_INSTRUCTION "
			       "qualification 3f80008: port 3f8, size 1 byte, direction IN\n");
	out = begin();
	vmx_print_exits(v, 10, out);
	end(out);
	ck_assert_ptr_nonnull(strstr(text, "exit 10 CPUID qualification 0: \n"));
	out = begin();
	for (unsigned n = 0; n < VMX_EXIT_RING + 5; n++) {
		restart_with(&v->vmx.vmcs.ctl.pin, 0);
		vmx_intercept(v, &plain, X_CPUID);
	}
	vmx_print_exits(v, UINT32_MAX, out);
	end(out);
	ck_assert_ptr_null(strstr(text, "IO_INSTRUCTION"));
}
END_TEST

START_TEST(the_current_vmcs)
{
	FILE *out = begin();

	vmx_print_vmcs(v, out);
	end(out);
	ck_assert_str_eq(text, "  no current VMCS\n");
	out = begin();
	vmx_on_and_current();
	fill_vmcs();
	vmx_print_vmcs(v, out);
	vmx_print(v, out);
	end(out);
	ck_assert_ptr_nonnull(strstr(text, "GUEST_RFLAGS"));
	ck_assert_ptr_nonnull(strstr(text, "VMX operation: root"));
	ck_assert_ptr_nonnull(strstr(text, "ACTIVATE_SECONDARY_CONTROLS"));
	ck_assert_ptr_nonnull(strstr(text, " unusable"));
}
END_TEST

START_TEST(nothing_and_something_to_explain)
{
	FILE *out = begin();

	vmx_explain(v, out);
	end(out);
	ck_assert_str_eq(text, "CPU 0: nothing was refused\n");
	out = begin();
	vmx_on_and_current();
	on_pointer(op_vmptrld, REGION + 4);
	vmx_explain(v, out);
	op_vmresume(v, &plain);
	vmx_explain(v, out);
	fill_vmcs();
	enter();
	v->vmx.ctl.word[VMX_EXIT] &= ~VMX_MASK(EXIT_HOST_ADDRESS_SPACE_SIZE);
	vmx_intercept(v, &plain, X_CPUID);
	vmx_explain(v, out);
	end(out);
	ck_assert_ptr_nonnull(strstr(text, "VMPTRLD in L1"));
	ck_assert_ptr_nonnull(strstr(text, "VMfailValid(9): rule VMPTRLD_ALIGNED: operand = "));
	ck_assert_ptr_nonnull(strstr(text, "VMRESUME in L1"));
	ck_assert_ptr_nonnull(strstr(text, "VM exit in L2"));
	ck_assert_ptr_nonnull(strstr(text, "VMX abort(6): rule HOST_MODE"));
}
END_TEST

Suite *vmx_print_suite(void)
{
	Suite *s = suite_create("vmx_print");
	TCase *t = tcase_create("print");

	tcase_add_checked_fixture(t, vmx_bench_setup, vmx_bench_teardown);
	tcase_add_loop_test(t, qualifications_in_words, 0, (int)ARRAY_SIZE(rows));
	tcase_add_test(t, the_last_exits);
	tcase_add_test(t, the_current_vmcs);
	tcase_add_test(t, nothing_and_something_to_explain);
	suite_add_tcase(s, t);
	return s;
}
