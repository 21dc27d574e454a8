/*
 * EPT as a guest meets it: exits of EPT violations and of the features beside EPT, virtualization
 * exceptions, EPTP switching, and which translations survive what.
 */
#include "cpu/mem.h"
#include "tests/unit/vmx_bench.h"

Suite *vmx_ept_suite(void);

#define EPT_A 0x40000ull /* four tables each */
#define EPT_B 0x44000ull
#define INFO 0x48000ull
#define LIST 0x49000ull
#define PML_LOG 0x4a000ull
#define SPPT 0x4b000ull /* four tables */
#define PAGE 0x60000ull /* A: itself; B: OTHER */
#define OTHER 0x70000ull
#define WB (6 << 3)
#define EPTP(root) ((root) | 0x5e) /* write-back, 4 levels, accessed and dirty flags */

static u64 leaf(u64 root, u64 gpa)
{
	return root + 0x3000 + 8 * (gpa >> 12);
}

static void build(u64 root)
{
	for (u64 k = 0; k < 3; k++)
		put64(root + 0x1000 * k, (root + 0x1000 * (k + 1)) | 0x407);
	for (u64 k = 0; k < 512; k++)
		put64(leaf(root, k << 12), k << 12 | WB | 7);
}

static struct vmcs_control *ctl(void)
{
	return &v->vmx.vmcs.ctl;
}

/* A VMCS for a guest with EPT A and these secondary controls, not entered. */
static void prepare(u64 proc2)
{
	build(EPT_A);
	build(EPT_B);
	put64(leaf(EPT_B, PAGE), OTHER | WB | 7);
	put64(PAGE, 0xaaaa);
	put64(OTHER, 0xbbbb);
	put64(LIST, EPTP(EPT_A));
	put64(LIST + 8, EPTP(EPT_B));
	put64(LIST + 16, EPTP(EPT_B) | BIT(11));
	vmx_on_and_current();
	fill_vmcs();
	ctl()->proc2 = (u32)(VMX_MASK(PROC2_ENABLE_EPT) | VMX_MASK(PROC2_ENABLE_VPID) | proc2);
	ctl()->vpid = 5;
	ctl()->eptp = EPTP(EPT_A);
	ctl()->eptp_list = LIST;
	ctl()->vm_functions = VMFUNC_EPTP_SWITCHING;
	ctl()->ve_information = INFO;
	ctl()->pml_address = PML_LOG;
	ctl()->spptp = SPPT;
	v->vmx.vmcs.guest.pml_index = 511;
}

static void start_with(u64 proc2)
{
	prepare(proc2);
	enter();
}

static int load(u64 laddr)
{
	u64 value;

	return lin_read(v, laddr, 8, 0, &value);
}

static u64 loaded(u64 laddr)
{
	u64 value = 0;

	ck_assert_int_eq(lin_read(v, laddr, 8, 0, &value), 0);
	return value;
}

static void info_is(u64 laddr, u64 gpa)
{
	ck_assert_uint_eq(v->vmx.vmcs.info.guest_linear_address, laddr);
	ck_assert_uint_eq(v->vmx.vmcs.info.guest_physical_address, gpa);
}

START_TEST(violations_and_misconfigurations_exit)
{
	start_with(0);
	put64(leaf(EPT_A, PAGE), 0);
	ck_assert_int_eq(load(PAGE + 8), EXEC_VMEXIT);
	/* read, translation of a linear address that is user-mode and writable */
	exited(EXIT_REASON_EPT_VIOLATION, 1 | BIT(7) | BIT(8) | BIT(9) | BIT(10));
	info_is(PAGE + 8, PAGE + 8);
	ck_assert(v->vmx.vmcs.guest.rflags & RFLAGS_RF);
	restart_with(&ctl()->proc2, 0);
	put64(leaf(EPT_A, PAGE), PAGE | WB | 2);
	ck_assert_int_eq(load(PAGE), EXEC_VMEXIT);
	exited(EXIT_REASON_EPT_MISCONFIGURATION, 0);
	ck_assert_uint_eq(v->vmx.vmcs.info.guest_physical_address, PAGE);
}
END_TEST

/* An IRET removed NMI blocking and then met the violation. */
START_TEST(nmi_unblocking_is_told)
{
	start_with(VMX_MASK(PROC2_ENABLE_PML));
	put64(leaf(EPT_A, PAGE), 0);
	v->vmx.iret_unblocked_at = vcpu_icount(v);
	ck_assert_int_eq(load(PAGE), EXEC_VMEXIT);
	ck_assert_uint_eq(v->vmx.vmcs.info.qualification & BIT(12), BIT(12));
	put64(leaf(EPT_A, PAGE), PAGE | WB | 7);
	v->vmx.vmcs.guest.pml_index = 512;
	restart_with(&ctl()->proc2, 0);
	v->vmx.iret_unblocked_at = vcpu_icount(v);
	ck_assert_int_eq(lin_write(v, PAGE, 8, 0, 1), EXEC_VMEXIT);
	ck_assert_uint_eq(v->vmx.vmcs.info.exit_reason, EXIT_REASON_PML_FULL);
}
END_TEST

START_TEST(page_modification_logging)
{
	start_with(VMX_MASK(PROC2_ENABLE_PML));
	ck_assert_uint_eq(loaded(PAGE), 0xaaaa);
	put64(leaf(EPT_A, PAGE), PAGE | WB | 7);
	tlb_flush_all(&v->tlb);
	v->vmx.vmcs.guest.pml_index = 3;
	ck_assert_int_eq(lin_write(v, PAGE + 0x10, 8, 0, 1), 0);
	ck_assert_uint_eq(v->vmx.vmcs.guest.pml_index, 2);
	ck_assert_uint_eq(phys_read(v, PML_LOG + 24, 8), PAGE);
	/* the second store finds the dirty flag in the TLB */
	ck_assert_int_eq(lin_write(v, PAGE + 0x18, 8, 0, 1), 0);
	ck_assert_uint_eq(v->vmx.vmcs.guest.pml_index, 2);
	v->vmx.vmcs.guest.pml_index = 0xffff;
	ck_assert_int_eq(lin_write(v, PAGE + 0x1000, 8, 0, 1), EXEC_VMEXIT);
	exited(EXIT_REASON_PML_FULL, 0);
	ck_assert_uint_eq(phys_read(v, PAGE + 0x1000, 8), 0);
	ck_assert_uint_eq(phys_read(v, leaf(EPT_A, PAGE + 0x1000), 8) & BIT(9), 0);
}
END_TEST

START_TEST(sub_page_events_exit)
{
	start_with(VMX_MASK(PROC2_SUB_PAGE_WRITE_PERMISSIONS));
	put64(leaf(EPT_A, PAGE), PAGE | WB | 5 | BIT(61));
	ck_assert_int_eq(lin_write(v, PAGE + 8, 8, 0, 1), EXEC_VMEXIT);
	exited(EXIT_REASON_SPP_EVENT, BIT(11));
	info_is(PAGE + 8, PAGE + 8);
	put64(SPPT, 3);
	restart_with(&ctl()->proc2, 0);
	ck_assert_int_eq(lin_write(v, PAGE, 8, 0, 1), EXEC_VMEXIT);
	exited(EXIT_REASON_SPP_EVENT, 0);
	for (u64 k = 0; k < 3; k++)
		put64(SPPT + 0x1000 * k, (SPPT + 0x1000 * (k + 1)) | 1);
	put64(SPPT + 0x3000 + 8 * (PAGE >> 12), 1);
	restart_with(&ctl()->proc2, 0);
	ck_assert_int_eq(lin_write(v, PAGE + 0x78, 8, 0, 0x1234), 0);
	ck_assert_uint_eq(phys_read(v, PAGE + 0x78, 8), 0x1234);
	ck_assert(!mem_host(v, PAGE, ACCESS_WRITE)); /* no store entry: each store asks */
	ck_assert_int_eq(lin_write(v, PAGE + 0x7c, 8, 0, 0x5678), EXEC_VMEXIT);
	ck_assert_uint_eq(v->vmx.vmcs.info.exit_reason, EXIT_REASON_EPT_VIOLATION);
	ck_assert_uint_eq(phys_read(v, PAGE + 0x78, 8), 0x1234);
}
END_TEST

START_TEST(mode_based_execute_control)
{
	u64 paddr;

	start_with(VMX_MASK(PROC2_MODE_BASED_EXECUTE_CONTROL));
	put64(leaf(EPT_A, PAGE), PAGE | WB | 1 | BIT(10));
	/* the guest's only page is a user-mode one, whoever runs there */
	ck_assert_int_eq(mem_fetch_page(v, PAGE, &paddr), 0);
	put64(leaf(EPT_A, PAGE), PAGE | WB | 5);
	tlb_flush_all(&v->tlb);
	ck_assert_int_eq(mem_fetch_page(v, PAGE, &paddr), EXEC_VMEXIT);
	ck_assert_uint_eq(v->vmx.vmcs.info.qualification & 0x7f, 4 | 5 << 3);
	/* the same tables without the control: other translations, not these */
	ctl()->proc2 &= ~(u32)VMX_MASK(PROC2_MODE_BASED_EXECUTE_CONTROL);
	restart_with(&ctl()->proc2, 0);
	ck_assert_int_eq(mem_fetch_page(v, PAGE, &paddr), 0);
}
END_TEST

START_TEST(loading_pdptes)
{
	u64 value;

	start_with(0);
	put64(leaf(EPT_A, PAGE), PAGE | WB | 1);
	ck_assert_int_eq(guest_phys_read64(v, PAGE, &value), 0);
	put64(leaf(EPT_A, PAGE), 0);
	tlb_flush_all(&v->tlb);
	ck_assert_int_eq(guest_phys_read64(v, PAGE, &value), EXEC_VMEXIT);
	exited(EXIT_REASON_EPT_VIOLATION, 1);
	info_is(0, PAGE);
}
END_TEST

/* --- virtualization exceptions --- */

static u64 ve(unsigned offset, unsigned size)
{
	return phys_read(v, INFO + offset, size);
}

START_TEST(convertible_violations)
{
	start_with(VMX_MASK(PROC2_EPT_VIOLATION_VE));
	put64(leaf(EPT_A, PAGE), 0);
	ctl()->eptp_index = 7;
	v->vmx.iret_unblocked_at = vcpu_icount(v);
	ck_assert_int_eq(load(PAGE + 8), EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_VE);
	ck_assert(!v->exc.has_error);
	ck_assert(v->vmx.non_root);
	ck_assert_uint_eq(ve(0, 4), EXIT_REASON_EPT_VIOLATION);
	ck_assert_uint_eq(ve(4, 4), 0xffffffff);
	ck_assert_uint_eq(ve(8, 8), 1 | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(12));
	ck_assert_uint_eq(ve(16, 8), PAGE + 8);
	ck_assert_uint_eq(ve(24, 8), PAGE + 8);
	ck_assert_uint_eq(ve(32, 2), 7);
	/* the guest has not cleared the area */
	ck_assert_int_eq(load(PAGE), EXEC_VMEXIT);
	ck_assert_uint_eq(v->vmx.vmcs.info.exit_reason, EXIT_REASON_EPT_VIOLATION);
	ck_assert_uint_eq(ve(16, 8), PAGE + 8);
}
END_TEST

START_TEST(violations_that_are_not_converted)
{
	start_with(VMX_MASK(PROC2_EPT_VIOLATION_VE));
	put64(leaf(EPT_A, PAGE), BIT(63));
	ck_assert_int_eq(load(PAGE), EXEC_VMEXIT);
	put64(leaf(EPT_A, PAGE), 0);
	restart_with(&ctl()->proc2, 0);
	v->delivering = true;
	ck_assert_int_eq(load(PAGE), EXEC_VMEXIT);
	v->delivering = false;
	restart_with(&ctl()->proc2, 0);
	v->cr0 &= ~CR0_PE;
	ck_assert_int_eq(load(PAGE), EXEC_VMEXIT);
	v->vmx.vmcs.guest.cr0 |= CR0_PE;
	put64(leaf(EPT_A, PAGE), PAGE | WB | 2); /* misconfigurations never are */
	restart_with(&ctl()->proc2, 0);
	ck_assert_int_eq(load(PAGE), EXEC_VMEXIT);
	ck_assert_uint_eq(ve(0, 4), 0);
}
END_TEST

START_TEST(the_exception_bitmap_counts)
{
	struct event e;

	start_with(VMX_MASK(PROC2_EPT_VIOLATION_VE));
	put64(leaf(EPT_A, PAGE), 0);
	ck_assert_int_eq(load(PAGE), EXEC_FAULT);
	e = v->exc;
	ctl()->exception_bitmap = BIT(VEC_VE);
	event_deliver(v, e);
	exited(EXIT_REASON_EXCEPTION_OR_NMI, 0);
	ck_assert_uint_eq(v->vmx.vmcs.info.interruption_info, BIT(31) | 3 << 8 | VEC_VE);
}
END_TEST

/* --- VM functions --- */

static int vmfunc(u64 rax, u64 rcx)
{
	v->reg[RAX] = rax;
	v->reg[RCX] = rcx;
	return op_vmfunc(v, &plain);
}

static void must_exit_59(u64 rax, u64 rcx)
{
	ck_assert_int_eq(vmfunc(rax, rcx), EXEC_VMEXIT);
	exited(EXIT_REASON_VMFUNC, 0);
	ck_assert_uint_eq(v->vmx.vmcs.info.instruction_length, 3);
	ck_assert_uint_eq(ctl()->eptp, EPTP(EPT_A));
	restart_with(&ctl()->proc2, 0);
}

START_TEST(vmfunc_rules)
{
	ck_assert_int_eq(vmfunc(0, 1), EXEC_FAULT);
	prepare(0);
	ck_assert_int_eq(vmfunc(0, 1), EXEC_FAULT);
	enter();
	ck_assert_int_eq(vmfunc(0, 1), EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_UD);
	leave_guest();
	restart_with(&ctl()->proc2, VMX_MASK(PROC2_ENABLE_VM_FUNCTIONS));
	ck_assert_int_eq(vmfunc(64, 1), EXEC_FAULT);
	must_exit_59(1, 1);
	must_exit_59(0, 512);
	must_exit_59(0, 2); /* an EPTP that VM entry would refuse */
	must_exit_59(0, 3);
	ctl()->vm_functions = 0;
	must_exit_59(0, 1);
	ctl()->vm_functions = 1;
	v->cpl = 3;
	ck_assert_int_eq(vmfunc(0xffffffff00000000, 0xffffffff00000001), EXEC_NEXT);
	ck_assert_uint_eq(ctl()->eptp, EPTP(EPT_B));
}
END_TEST

START_TEST(eptp_switching_keeps_translations)
{
	start_with(VMX_MASK(PROC2_ENABLE_VM_FUNCTIONS) | VMX_MASK(PROC2_EPT_VIOLATION_VE));
	ck_assert_uint_eq(loaded(PAGE), 0xaaaa);
	ck_assert_int_eq(vmfunc(0, 1), EXEC_NEXT);
	ck_assert_uint_eq(ctl()->eptp_index, 1);
	ck_assert_uint_eq(loaded(PAGE), 0xbbbb);
	put64(leaf(EPT_A, PAGE), OTHER | WB | 7); /* not seen while the old translation is kept */
	ck_assert_int_eq(vmfunc(0, 0), EXEC_NEXT);
	ck_assert_uint_eq(ctl()->eptp_index, 0);
	ck_assert_uint_eq(loaded(PAGE), 0xaaaa);
	/* MOV CR3 drops the combined mappings of this VPID for every EPTP */
	put64(leaf(EPT_B, PAGE), PAGE | WB | 7);
	ck_assert_int_eq(cr3_write(v, PML4), 0);
	tlb_forget_ept(&v->tlb);
	ck_assert_uint_eq(loaded(PAGE), 0xbbbb);
	ck_assert_int_eq(vmfunc(0, 1), EXEC_NEXT);
	ck_assert_uint_eq(loaded(PAGE), 0xaaaa);
}
END_TEST

/* INVEPT drops what was made with the EPTP that it names, whatever its low bits, and no more. */
START_TEST(invept_is_exact)
{
	struct insn i = memory_insn(OPERAND, RCX);

	start_with(VMX_MASK(PROC2_ENABLE_VM_FUNCTIONS));
	ck_assert_uint_eq(loaded(PAGE), 0xaaaa);
	ck_assert_int_eq(vmfunc(0, 1), EXEC_NEXT);
	ck_assert_uint_eq(loaded(PAGE), 0xbbbb);
	leave_guest();
	put64(leaf(EPT_A, PAGE), OTHER | WB | 7);
	put64(leaf(EPT_B, PAGE), PAGE | WB | 7);
	v->reg[RCX] = 1;
	put64(OPERAND, EPT_A | 0x1e); /* without the flags */
	put64(OPERAND + 8, 0);
	ck_assert_int_eq(op_invept(v, &i), EXEC_NEXT);
	restart_with(&ctl()->proc2, 0);
	ck_assert_uint_eq(loaded(PAGE), 0xbbbb); /* EPT B is as it was */
	ck_assert_int_eq(vmfunc(0, 0), EXEC_NEXT);
	ck_assert_uint_eq(loaded(PAGE), 0xbbbb); /* EPT A was walked again */
}
END_TEST

/* More rights need no INVEPT: the violation drops what is held of the page. */
START_TEST(violations_drop_the_translation)
{
	start_with(0);
	put64(leaf(EPT_A, PAGE), PAGE | WB | 1);
	ck_assert_uint_eq(loaded(PAGE), 0xaaaa);
	ck_assert_int_eq(lin_write(v, PAGE, 8, 0, 1), EXEC_VMEXIT);
	put64(leaf(EPT_A, PAGE), OTHER | WB | 7);
	restart_with(&ctl()->proc2, 0);
	ck_assert_uint_eq(loaded(PAGE), 0xbbbb);
}
END_TEST

/* Another HLAT pointer: nothing that was translated through the old one is left. */
START_TEST(hlat_pointer_of_an_entry)
{
	prepare(0);
	put64(0x50000, 0x51000 | 7);
	put64(0x51000, 0x52000 | 7);
	put64(0x52000, 0x80 | 7); /* as ordinary paging: the first 2 MBytes */
	put64(0x54000, 0x51000 | 7);
	ctl()->proc |= (u32)VMX_MASK(PROC_ACTIVATE_TERTIARY_CONTROLS);
	ctl()->proc3 = VMX_MASK(PROC3_ENABLE_HLAT);
	ctl()->hlatp = 0x50000;
	enter();
	ck_assert_uint_eq(loaded(PAGE), 0xaaaa);
	ck_assert_uint_eq(phys_read(v, 0x50000, 8) & 0x20, 0x20);
	leave_guest();
	ctl()->hlatp = 0x54000;
	restart_with(&ctl()->proc2, 0);
	ck_assert_uint_eq(loaded(PAGE), 0xaaaa);
	ck_assert_uint_eq(phys_read(v, 0x54000, 8) & 0x20, 0x20);
}
END_TEST

Suite *vmx_ept_suite(void)
{
	Suite *s = suite_create("vmx_ept");
	TCase *t = tcase_create("guests with EPT");

	tcase_add_checked_fixture(t, vmx_bench_setup, vmx_bench_teardown);
	tcase_add_test(t, violations_and_misconfigurations_exit);
	tcase_add_test(t, nmi_unblocking_is_told);
	tcase_add_test(t, page_modification_logging);
	tcase_add_test(t, sub_page_events_exit);
	tcase_add_test(t, mode_based_execute_control);
	tcase_add_test(t, loading_pdptes);
	tcase_add_test(t, convertible_violations);
	tcase_add_test(t, violations_that_are_not_converted);
	tcase_add_test(t, the_exception_bitmap_counts);
	tcase_add_test(t, vmfunc_rules);
	tcase_add_test(t, eptp_switching_keeps_translations);
	tcase_add_test(t, invept_is_exact);
	tcase_add_test(t, violations_drop_the_translation);
	tcase_add_test(t, hlat_pointer_of_an_entry);
	suite_add_tcase(s, t);
	return s;
}
