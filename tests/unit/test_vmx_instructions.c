/*
 * VMX instructions, VM entries, their failures and the MSR lists, on a virtual CPU. Intercepts and
 * events are in test_vmx_guest.c.
 */
#include "tests/unit/vmx_bench.h"

Suite *vmx_instructions_suite(void);

/* --- VMXON to VMXOFF --- */

START_TEST(vmxon_rules)
{
	v->cr4 &= ~CR4_VMXE;
	ck_assert_int_eq(on_pointer(op_vmxon, VMXON_REGION), EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_UD);
	v->cr4 |= CR4_VMXE;
	v->vmx.feature_control = 4;
	ck_assert_int_eq(on_pointer(op_vmxon, VMXON_REGION), EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_GP);
	v->vmx.feature_control = 5;
	v->cr0 &= ~CR0_NE;
	ck_assert_int_eq(on_pointer(op_vmxon, VMXON_REGION), EXEC_FAULT);
	v->cr0 |= CR0_NE;
	v->cpl = 3;
	ck_assert_int_eq(on_pointer(op_vmxon, VMXON_REGION), EXEC_FAULT);
	v->cpl = 0;
	on_pointer(op_vmxon, VMXON_REGION + 8);
	ck_assert_uint_eq(flags(), FAIL_INVALID);
	on_pointer(op_vmxon, 1ull << 40);
	ck_assert_uint_eq(flags(), FAIL_INVALID);
	on_pointer(op_vmxon, SHADOW_REGION);
	ck_assert_uint_eq(flags(), FAIL_INVALID);
	ck_assert(!v->vmx.vmxon);
	on_pointer(op_vmxon, VMXON_REGION);
	ck_assert_uint_eq(flags(), SUCCEED);
	ck_assert(v->vmx.vmxon);
	on_pointer(op_vmxon, VMXON_REGION); /* without a current VMCS */
	ck_assert_uint_eq(flags(), FAIL_INVALID);
	ck_assert_int_eq(op_vmxoff(v, &plain), EXEC_LEAVE);
	ck_assert(!v->vmx.vmxon);
	ck_assert_int_eq(op_vmxoff(v, &plain), EXEC_FAULT);
}
END_TEST

START_TEST(pointer_instructions)
{
	struct insn i = memory_insn(OPERAND, 0);

	vmx_on_and_current();
	op_vmptrst(v, &i);
	ck_assert_uint_eq(phys_read(v, OPERAND, 8), REGION);
	on_pointer(op_vmxon, VMXON_REGION);
	must_fail(VMX_ERROR_VMXON_IN_ROOT);
	on_pointer(op_vmptrld, REGION + 4);
	must_fail(VMX_ERROR_VMPTRLD_INVALID_ADDRESS);
	on_pointer(op_vmptrld, VMXON_REGION);
	must_fail(VMX_ERROR_VMPTRLD_VMXON_POINTER);
	on_pointer(op_vmptrld, 0x19000);
	must_fail(VMX_ERROR_VMPTRLD_WRONG_REVISION);
	on_pointer(op_vmclear, 1ull << 40);
	must_fail(VMX_ERROR_VMCLEAR_INVALID_ADDRESS);
	on_pointer(op_vmclear, VMXON_REGION);
	must_fail(VMX_ERROR_VMCLEAR_VMXON_POINTER);
	op_vmcall(v, &plain);
	must_fail(VMX_ERROR_VMCALL_IN_ROOT);
	on_pointer(op_vmclear, REGION);
	ck_assert_uint_eq(v->vmx.current_ptr, ~0ull);
	op_vmcall(v, &plain);
	ck_assert_uint_eq(flags(), FAIL_INVALID);
}
END_TEST

START_TEST(two_vmcss_keep_their_contents)
{
	struct insn write = {.len = 3, .mod = 3, .reg = RCX, .rm = RAX, .opsize = 8};

	vmx_on_and_current();
	v->reg[RCX] = VMCS_GUEST_RIP;
	v->reg[RAX] = 0x1111;
	op_vmwrite(v, &write);
	on_pointer(op_vmclear, OTHER_REGION);
	on_pointer(op_vmptrld, OTHER_REGION);
	v->reg[RAX] = 0x2222;
	op_vmwrite(v, &write);
	on_pointer(op_vmptrld, REGION);
	v->reg[RAX] = 0;
	op_vmread(v, &write);
	ck_assert_uint_eq(v->reg[RAX], 0x1111);
	on_pointer(op_vmptrld, OTHER_REGION);
	op_vmread(v, &write);
	ck_assert_uint_eq(v->reg[RAX], 0x2222);
	v->reg[RCX] = 0x6c1e;
	op_vmread(v, &write);
	must_fail(VMX_ERROR_UNSUPPORTED_COMPONENT);
}
END_TEST

START_TEST(launch_state)
{
	vmx_on_and_current();
	fill_vmcs();
	op_vmresume(v, &plain);
	must_fail(VMX_ERROR_VMRESUME_NON_LAUNCHED);
	enter();
	leave_guest();
	op_vmlaunch(v, &plain);
	must_fail(VMX_ERROR_VMLAUNCH_NON_CLEAR);
	shadow_set(v, SHADOW_MOV_SS);
	v->shadow_at = vcpu_icount(v);
	op_vmresume(v, &plain);
	must_fail(VMX_ERROR_ENTRY_MOV_SS_BLOCKING);
	v->shadow = 0;
	on_pointer(op_vmclear, REGION);
	on_pointer(op_vmptrld, REGION);
	op_vmresume(v, &plain);
	must_fail(VMX_ERROR_VMRESUME_NON_LAUNCHED);
	on_pointer(op_vmptrld, SHADOW_REGION);
	op_vmlaunch(v, &plain);
	ck_assert_uint_eq(flags(), FAIL_INVALID);
}
END_TEST

START_TEST(invalidation_operands)
{
	struct insn i = memory_insn(OPERAND, RCX);

	vmx_on_and_current();
	put64(OPERAND, 0);
	put64(OPERAND + 8, 0);
	v->reg[RCX] = 3;
	op_invept(v, &i);
	must_fail(VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	v->reg[RCX] = 2;
	op_invept(v, &i);
	ck_assert_uint_eq(flags(), SUCCEED);
	v->reg[RCX] = 1; /* EPTP 0 is not valid */
	op_invept(v, &i);
	must_fail(VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	op_invvpid(v, &i); /* VPID 0 */
	must_fail(VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	v->reg[RCX] = 2;
	op_invvpid(v, &i);
	ck_assert_uint_eq(flags(), SUCCEED);
	put64(OPERAND, 1);
	put64(OPERAND + 8, 1ull << 47);
	v->reg[RCX] = 0;
	op_invvpid(v, &i);
	must_fail(VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	v->reg[RCX] = 3;
	op_invvpid(v, &i);
	ck_assert_uint_eq(flags(), SUCCEED);
	put64(OPERAND, 0x10001);
	op_invvpid(v, &i);
	must_fail(VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
}
END_TEST

/* --- entry and exit --- */

START_TEST(round_trip)
{
	struct vmcs *m = &v->vmx.vmcs;

	start_guest();
	ck_assert_uint_eq(v->rip, GUEST_RIP);
	ck_assert_uint_eq(v->reg[RSP], 0x7000);
	ck_assert_uint_eq(flags_get(v), 0x202);
	v->reg[RAX] = 0x55;
	v->rip = GUEST_RIP + 0x10;
	flags_set(v, 0x246);
	leave_guest();
	exited(EXIT_REASON_CPUID, 0);
	ck_assert_uint_eq(m->info.instruction_length, 3);
	ck_assert_uint_eq(m->guest.rip, GUEST_RIP + 0x10);
	ck_assert_uint_eq(m->guest.rsp, 0x7000);
	ck_assert_uint_eq(m->guest.rflags, 0x246);
	ck_assert_uint_eq(m->guest.seg[VMCS_CS].ar, 0xa09b);
	ck_assert_uint_eq(v->reg[RAX], 0x55);
	ck_assert_uint_eq(v->rip, HOST_RIP);
	ck_assert_uint_eq(v->reg[RSP], 0x6800);
	ck_assert_uint_eq(flags_get(v), 2);
	ck_assert_uint_eq(v->seg[SEG_CS].ar, 0xa09b);
	ck_assert_uint_eq(v->seg[SEG_CS].sel, 8);
	ck_assert_uint_eq(v->seg[SEG_SS].ar, AR_UNUSABLE); /* null selector */
	ck_assert_uint_eq(v->seg[SEG_TR].base, 0x1234);
	ck_assert_uint_eq(v->seg[SEG_TR].limit, 0x67);
	ck_assert_uint_eq(v->seg[SEG_FS].base, 0x5678);
	ck_assert_uint_eq(v->seg[SEG_LDTR].ar, AR_UNUSABLE);
	ck_assert_uint_eq(v->gdtr.limit, 0xffff);
	ck_assert_uint_eq(v->dr7, 0x400);
	/* and again, with the checks of untouched groups skipped */
	ck_assert_uint_eq(v->vmx.dirty, 0);
	ck_assert_int_eq(op_vmresume(v, &plain), EXEC_VMEXIT);
	ck_assert_uint_eq(v->rip, GUEST_RIP + 0x10);
	ck_assert_uint_eq(flags_get(v), 0x246);
}
END_TEST

START_TEST(control_failures_do_not_enter)
{
	vmx_on_and_current();
	fill_vmcs();
	v->vmx.vmcs.ctl.pin = 0;
	ck_assert_int_eq(op_vmlaunch(v, &plain), EXEC_NEXT);
	must_fail(VMX_ERROR_ENTRY_INVALID_CONTROLS);
	fill_vmcs();
	v->vmx.vmcs.host.cr4 = 0;
	ck_assert_int_eq(op_vmlaunch(v, &plain), EXEC_NEXT);
	must_fail(VMX_ERROR_ENTRY_INVALID_HOST_STATE);
	ck_assert(!v->vmx.launched);
	ck_assert_uint_eq(v->rip, 0x7000);
}
END_TEST

START_TEST(guest_state_failure_touches_two_fields)
{
	struct vmcs_info before, *after = &v->vmx.vmcs.info;

	vmx_on_and_current();
	fill_vmcs();
	memset(after, 0x77, sizeof(*after));
	v->vmx.vmcs.guest.rflags = 0;

	before = *after;
	ck_assert_int_eq(op_vmlaunch(v, &plain), EXEC_VMEXIT);
	exited(EXIT_REASON_ENTRY_FAILURE_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE, 0);
	before.exit_reason = after->exit_reason;
	before.qualification = after->qualification;
	ck_assert_mem_eq(&before, after, sizeof(before));
	ck_assert_uint_eq(v->rip, HOST_RIP);
	ck_assert(!v->vmx.launched);
}
END_TEST

START_TEST(msr_load_failure_names_the_entry)
{
	vmx_on_and_current();
	fill_vmcs();
	put64(MSR_LIST, 0x174);
	put64(MSR_LIST + 8, 0x10);
	put64(MSR_LIST + 16, 0xc0000100); /* IA32_FS_BASE may not be loaded */
	put64(MSR_LIST + 24, 0);
	v->vmx.vmcs.ctl.entry_msr_load_count = 2;
	v->vmx.vmcs.ctl.entry_msr_load_address = MSR_LIST;
	ck_assert_int_eq(op_vmlaunch(v, &plain), EXEC_VMEXIT);
	exited(EXIT_REASON_ENTRY_FAILURE_MSR_LOADING | EXIT_REASON_ENTRY_FAILURE, 2);
	put64(MSR_LIST + 16, 0x1000000174); /* reserved bits */
	fill_vmcs();
	v->vmx.vmcs.ctl.entry_msr_load_count = 2;
	v->vmx.vmcs.ctl.entry_msr_load_address = MSR_LIST;
	ck_assert_int_eq(op_vmlaunch(v, &plain), EXEC_VMEXIT);
	exited(EXIT_REASON_ENTRY_FAILURE_MSR_LOADING | EXIT_REASON_ENTRY_FAILURE, 2);
	put64(MSR_LIST + 16, 0x175);
	put64(MSR_LIST + 24, 0x4444);
	fill_vmcs();
	v->vmx.vmcs.ctl.entry_msr_load_count = 2;
	v->vmx.vmcs.ctl.entry_msr_load_address = MSR_LIST;
	enter();
	ck_assert_uint_eq(v->sysenter_esp, 0x4444);
}
END_TEST

START_TEST(msr_store_and_abort)
{
	start_guest();
	v->sysenter_eip = 0x9999;
	put64(MSR_LIST, 0x176);
	v->vmx.vmcs.ctl.exit_msr_store_count = 1;
	v->vmx.vmcs.ctl.exit_msr_store_address = MSR_LIST;
	leave_guest();
	ck_assert_uint_eq(phys_read(v, MSR_LIST + 8, 8), 0x9999);
	restart_with(&v->vmx.vmcs.ctl.pin, 0);
	put64(MSR_LIST, 0x808);
	ck_assert_int_eq(vmx_intercept(v, &plain, X_CPUID), EXEC_VMEXIT);
	ck_assert_uint_eq(phys_read(v, REGION + 4, 4), 1);
	ck_assert_uint_eq(v->activity, ACT_SHUTDOWN);
}
END_TEST

START_TEST(injection)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;

	vmx_on_and_current();
	fill_vmcs();
	c->entry_interruption_info = 0x80000b0d;
	c->entry_error_code = 0x18;
	enter();
	ck_assert(v->inject.valid);
	ck_assert_uint_eq(v->inject.vector, VEC_GP);
	ck_assert_uint_eq(v->inject.error, 0x18);
	ck_assert(c->entry_interruption_info >> 31);
	vmx_delivery_begin(v, &v->inject);
	leave_guest();
	ck_assert_uint_eq(v->vmx.vmcs.info.idt_vectoring_info, 0x80000b0d);
	ck_assert_uint_eq(v->vmx.vmcs.info.idt_vectoring_error_code, 0x18);
	ck_assert(!(c->entry_interruption_info >> 31));
	ck_assert(!v->inject.valid);
	/* the next exit reports no vectoring */
	restart_with(&c->pin, 0);
	leave_guest();
	ck_assert_uint_eq(v->vmx.vmcs.info.idt_vectoring_info, 0);
	/* pending monitor trap flag */
	c->entry_interruption_info = 0x80000700;
	restart_with(&c->pin, 0);
	ck_assert(vmx_boundary_traps(v));
	exited(EXIT_REASON_MONITOR_TRAP_FLAG, 0);
}
END_TEST

Suite *vmx_instructions_suite(void)
{
	Suite *s = suite_create("vmx_instructions");
	TCase *t = tcase_create("instructions");

	tcase_add_checked_fixture(t, vmx_bench_setup, vmx_bench_teardown);
	tcase_add_test(t, vmxon_rules);
	tcase_add_test(t, pointer_instructions);
	tcase_add_test(t, two_vmcss_keep_their_contents);
	tcase_add_test(t, launch_state);
	tcase_add_test(t, invalidation_operands);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, control_failures_do_not_enter);
	tcase_add_test(t, guest_state_failure_touches_two_fields);
	tcase_add_test(t, msr_load_failure_names_the_entry);
	tcase_add_test(t, msr_store_and_abort);
	tcase_add_test(t, injection);
	suite_add_tcase(s, t);
	return s;
}
