/*
 * MSRs that VM entry and VM exit switch, that are virtualized or read in lists, and the user wait
 * instructions, in VMX operation and outside of it.
 */
#include "cpu/insn_protos.h"
#include "tests/unit/vmx_bench.h"

Suite *vmx_msrs_suite(void);

#define SPEC_CTRL 0x48
#define GLOBAL_CTRL 0x38f
#define LIST_MSRS 0x9000ull
#define LIST_VALUES 0x9200ull

static const struct insn reg_rcx = {.len = 4,
				    .opsize = 4,
				    .addrsize = 8,
				    .mod = 3,
				    .rm = RCX,
				    .base = REG_NONE,
				    .index = REG_NONE};

static u64 rdmsr(u32 msr)
{
	v->reg[RCX] = msr;
	ck_assert_int_eq(x_rdmsr(v, &plain), EXEC_NEXT);
	return v->reg[RAX] | v->reg[RDX] << 32;
}

static int wrmsr(u32 msr, u64 value)
{
	v->reg[RCX] = msr;
	v->reg[RAX] = (u32)value;
	v->reg[RDX] = value >> 32;
	return x_wrmsr(v, &plain);
}

/* A guest whose MSR bitmaps let everything through. */
static void prepare(void)
{
	vmx_on_and_current();
	fill_vmcs();
	v->vmx.vmcs.ctl.proc |= VMX_MASK(PROC_USE_MSR_BITMAPS);
}

START_TEST(perf_global_ctrl)
{
	struct vmcs *m = &v->vmx.vmcs;

	prepare();
	m->ctl.entry |= (u32)VMX_MASK(ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL);
	m->ctl.exit |= (u32)VMX_MASK(EXIT_LOAD_IA32_PERF_GLOBAL_CTRL);
	m->guest.perf_global_ctrl = 1;
	m->host.perf_global_ctrl = 2;
	ck_assert(msr_write(v, 0x186, 0x4300c0));
	ck_assert(msr_write(v, GLOBAL_CTRL, 4));
	enter();
	ck_assert_uint_eq(rdmsr(GLOBAL_CTRL), 1);
	v->icount += 20;
	v->icount_end += 20;
	ck_assert_int_eq(wrmsr(GLOBAL_CTRL, 0x11), EXEC_NEXT);
	leave_guest();
	ck_assert_uint_eq(v->pmu.global_ctrl, 2);
	ck_assert_uint_eq(m->guest.perf_global_ctrl, 1); /* not saved */
	ck_assert_uint_eq(v->pmu.count[0], 21);		 /* VMLAUNCH and what followed */
	v->icount += 100;
	v->icount_end += 100;
	ck_assert(v->pmu.running == 0);
	restart_with(&m->ctl.exit, (u32)VMX_MASK(EXIT_SAVE_IA32_PERF_GLOBAL_CTRL));
	ck_assert_int_eq(wrmsr(GLOBAL_CTRL, 0x10), EXEC_NEXT);
	leave_guest();
	ck_assert_uint_eq(m->guest.perf_global_ctrl, 0x10);
	ck_assert_uint_eq(v->pmu.count[0], 21);
}
END_TEST

START_TEST(spec_ctrl_is_switched)
{
	struct vmcs *m = &v->vmx.vmcs;

	prepare();
	m->ctl.entry |= (u32)VMX_MASK(ENTRY_LOAD_GUEST_IA32_SPEC_CTRL);
	m->ctl.exit |= (u32)VMX_MASK(EXIT_ACTIVATE_SECONDARY_CONTROLS);
	m->ctl.exit2 = VMX_MASK(EXIT2_LOAD_HOST_IA32_SPEC_CTRL);
	m->guest.spec_ctrl = 2;
	m->host.spec_ctrl = 1;
	enter();
	ck_assert_uint_eq(rdmsr(SPEC_CTRL), 2);
	ck_assert_int_eq(wrmsr(SPEC_CTRL, 4), EXEC_NEXT);
	leave_guest();
	ck_assert_uint_eq(m->guest.spec_ctrl, 4);
	ck_assert_uint_eq(v->spec_ctrl, 1);
}
END_TEST

START_TEST(spec_ctrl_is_virtualized)
{
	struct vmcs *m = &v->vmx.vmcs;

	prepare();
	m->ctl.proc |= (u32)VMX_MASK(PROC_ACTIVATE_TERTIARY_CONTROLS);
	m->ctl.proc3 = VMX_MASK(PROC3_VIRTUALIZE_IA32_SPEC_CTRL);
	m->ctl.spec_ctrl_mask = 1;
	m->ctl.spec_ctrl_shadow = 4;
	ck_assert_int_eq(wrmsr(SPEC_CTRL, 1), EXEC_NEXT);
	enter();
	ck_assert_uint_eq(rdmsr(SPEC_CTRL), 4);
	ck_assert_int_eq(wrmsr(SPEC_CTRL, 2), EXEC_NEXT);
	ck_assert_uint_eq(v->spec_ctrl, 3);
	ck_assert_uint_eq(rdmsr(SPEC_CTRL), 2);
	ck_assert_int_eq(wrmsr(SPEC_CTRL, 8), EXEC_FAULT);
	ck_assert_uint_eq(m->ctl.spec_ctrl_shadow, 2);
	leave_guest();
	ck_assert_uint_eq(rdmsr(SPEC_CTRL), 3);
}
END_TEST

START_TEST(speculation_msrs)
{
	u64 value;

	ck_assert(msr_write(v, 0x49, 1) && !msr_write(v, 0x49, 2) && !msr_read(v, 0x49, &value));
	ck_assert(!msr_write(v, SPEC_CTRL, 8));
	ck_assert(msr_read(v, 0x10a, &value) && value & BIT(1));
	f->model.features[FEAT_SSBD / 64] &= ~BIT(FEAT_SSBD % 64);
	ck_assert(!msr_write(v, SPEC_CTRL, 4) && msr_write(v, SPEC_CTRL, 3));
	f->model.features[FEAT_SPEC_CTRL / 64] &= ~BIT(FEAT_SPEC_CTRL % 64);
	ck_assert(!msr_write(v, SPEC_CTRL, 0) && !msr_read(v, SPEC_CTRL, &value));
	ck_assert(!msr_write(v, 0x49, 1));
	ck_assert(msr_read(v, 0x10a, &value) && !(value & BIT(1)));
}
END_TEST

/* --- lists --- */

static void put_list(unsigned n, u64 msr, u64 value)
{
	put64(LIST_MSRS + 8 * n, msr);
	put64(LIST_VALUES + 8 * n, value);
	v->reg[RCX] |= BIT(n);
	v->reg[RSI] = LIST_MSRS;
	v->reg[RDI] = LIST_VALUES;
	v->recheck = false;
}

START_TEST(lists)
{
	v->reg[RCX] = 0;
	put_list(1, SPEC_CTRL, 3);
	put_list(63, 0x174, 0x77);
	ck_assert_int_eq(x_wrmsrlist(v, &plain), EXEC_NEXT);
	ck_assert_uint_eq(v->spec_ctrl, 3);
	ck_assert_uint_eq(v->sysenter_cs, 0x77);
	ck_assert_uint_eq(v->reg[RCX], 0);
	put_list(0, 0x174, 0);
	put_list(2, 0x2f, 9);
	ck_assert_int_eq(x_rdmsrlist(v, &plain), EXEC_NEXT);
	ck_assert_uint_eq(phys_read(v, LIST_VALUES, 8), 0x77);
	ck_assert_uint_eq(phys_read(v, LIST_VALUES + 16, 8), 0);
	/* what was done before a fault stays done */
	put_list(0, SPEC_CTRL, 1);
	put_list(1, 0x2f, 0);
	ck_assert_int_eq(x_wrmsrlist(v, &plain), EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_GP);
	ck_assert_uint_eq(v->spec_ctrl, 1);
	ck_assert_uint_eq(v->reg[RCX], 2);
	put_list(1, BIT(32) | SPEC_CTRL, 0);
	ck_assert_int_eq(x_rdmsrlist(v, &plain), EXEC_FAULT);
	v->reg[RDI] = LIST_VALUES + 4;
	v->reg[RCX] = 0;
	ck_assert_int_eq(x_rdmsrlist(v, &plain), EXEC_FAULT);
	/* an event that waits is looked at between two entries */
	put_list(3, SPEC_CTRL, 2);
	put_list(4, SPEC_CTRL, 1);
	v->recheck = true;
	ck_assert_int_eq(x_wrmsrlist(v, &plain), EXEC_RESTART);
	ck_assert_uint_eq(v->spec_ctrl, 2);
	ck_assert_uint_eq(v->reg[RCX], 16);
}
END_TEST

START_TEST(lists_exit)
{
	struct vmcs *m = &v->vmx.vmcs;

	prepare();
	phys_write(v, MSR_BITMAP + 2048 + 0x174 / 8, 1 << (0x174 & 7), 1); /* writes */
	enter();
	v->reg[RCX] = 0;
	ck_assert_int_eq(x_rdmsrlist(v, &plain), EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_UD);
	v->exc.valid = false;
	leave_guest();
	m->ctl.proc3 = VMX_MASK(PROC3_ENABLE_MSR_LIST_INSTRUCTIONS);
	restart_with(&m->ctl.proc, (u32)VMX_MASK(PROC_ACTIVATE_TERTIARY_CONTROLS));
	v->reg[RCX] = 0;
	put_list(0, SPEC_CTRL, 1);
	put_list(5, 0x174, 0x1234567890);
	ck_assert_int_eq(x_rdmsrlist(v, &plain), EXEC_NEXT);
	put_list(0, SPEC_CTRL, 1);
	put_list(5, 0x174, 0x1234567890);
	ck_assert_int_eq(x_wrmsrlist(v, &plain), EXEC_VMEXIT);
	exited(EXIT_REASON_WRMSRLIST, 0x174);
	ck_assert_uint_eq(m->info.msr_data, 0x1234567890);
	ck_assert_uint_eq(m->info.instruction_length, plain.len);
	ck_assert_uint_eq(v->reg[RCX], 0x20);
	phys_write(v, MSR_BITMAP + 0x174 / 8, 1 << (0x174 & 7), 1); /* reads */
	restart_with(&m->ctl.proc, 0);
	ck_assert_int_eq(x_rdmsrlist(v, &plain), EXEC_VMEXIT);
	exited(EXIT_REASON_RDMSRLIST, 0x174);
}
END_TEST

/* --- waiting --- */

/* A wait of `ticks` with `budget` instructions left in the slice; the ticks that passed. */
static u64 waits(exec_fn *op, u64 ticks, u64 budget, int result)
{
	u64 before, until;

	v->budget = budget;
	v->icount_end = v->icount + budget + 1;
	before = vcpu_tsc(v);
	until = vmx_tsc(v) + ticks;
	v->reg[RAX] = (u32)until;
	v->reg[RDX] = until >> 32;
	v->reg[RCX] = 1;
	ck_assert_int_eq(op(v, &reg_rcx), result);
	before = vcpu_tsc(v) - before;
	v->budget = 0;
	v->icount_end = v->icount + 1;
	return before;
}

START_TEST(pauses)
{
	flags_set(v, 0x8d7);
	ck_assert_uint_eq(waits(x_tpause, 1000, 5000, EXEC_LEAVE), 1000);
	ck_assert_uint_eq(flags_arith(v), 0);
	ck_assert_uint_eq(waits(x_tpause, 1000, 700, EXEC_LEAVE), 700);
	ck_assert_uint_eq(waits(x_tpause, -500, 700, EXEC_LEAVE), 0);
	ck_assert(msr_write(v, 0xe1, 400 | 1));
	ck_assert_uint_eq(waits(x_tpause, 1000, 5000, EXEC_LEAVE), 400);
	ck_assert_uint_eq(flags_arith(v), RFLAGS_CF);
	ck_assert_uint_eq(waits(x_tpause, 300, 5000, EXEC_LEAVE), 300);
	ck_assert_uint_eq(flags_arith(v), 0);
	ck_assert(!msr_write(v, 0xe1, 2) && !msr_write(v, 0xe1, BIT(32)));
	v->reg[RCX] = 2;
	ck_assert_int_eq(x_tpause(v, &reg_rcx), EXEC_FAULT);
	v->cr4 |= CR4_TSD;
	ck_assert_uint_eq(waits(x_tpause, 300, 5000, EXEC_LEAVE), 300);
	v->cpl = 3;
	waits(x_tpause, 300, 5000, EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_GP);
}
END_TEST

START_TEST(monitored_waits)
{
	ck_assert_uint_eq(waits(x_umwait, 1000, 5000, EXEC_LEAVE), 0); /* nothing is monitored */
	v->reg[RCX] = OPERAND;
	ck_assert_int_eq(x_umonitor(v, &reg_rcx), EXEC_NEXT);
	ck_assert_uint_eq(waits(x_umwait, 1000, 5000, EXEC_LEAVE), 1000);
	ck_assert_uint_eq(waits(x_umwait, 1000, 5000, EXEC_LEAVE), 0);
	v->reg[RCX] = 1ull << 47;
	ck_assert_int_eq(x_umonitor(v, &reg_rcx), EXEC_FAULT);
}
END_TEST

START_TEST(waits_in_a_guest)
{
	struct vmcs *m = &v->vmx.vmcs;

	prepare();
	enter();
	waits(x_tpause, 100, 500, EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_UD);
	waits(x_umwait, 100, 500, EXEC_FAULT);
	ck_assert_int_eq(x_umonitor(v, &reg_rcx), EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_UD);
	v->exc.valid = false;
	leave_guest();
	/* the guest's TSC runs at half the speed */
	m->ctl.tsc_multiplier = 1ull << 47;
	m->ctl.tsc_offset = 12345;
	m->ctl.proc |= (u32)VMX_MASK(PROC_USE_TSC_OFFSETTING);
	restart_with(&m->ctl.proc2, (u32)(VMX_MASK(PROC2_ENABLE_USER_WAIT_AND_PAUSE) |
					  VMX_MASK(PROC2_USE_TSC_SCALING)));
	ck_assert_uint_eq(waits(x_tpause, 100, 500, EXEC_LEAVE), 200);
	leave_guest();
	restart_with(&m->ctl.proc, (u32)VMX_MASK(PROC_RDTSC_EXITING));
	waits(x_tpause, 100, 500, EXEC_VMEXIT);
	exited(EXIT_REASON_TPAUSE, 0);
	ck_assert_uint_eq(bits(m->info.instruction_info, 6, 3), RCX);
	restart_with(&m->ctl.proc, 0);
	v->reg[RCX] = OPERAND;
	ck_assert_int_eq(x_umonitor(v, &reg_rcx), EXEC_NEXT);
	waits(x_umwait, 100, 500, EXEC_VMEXIT);
	exited(EXIT_REASON_UMWAIT, 0);
}
END_TEST

/* Debug traps without an instruction between them, until the notify window closes. */
START_TEST(instruction_timeout)
{
	struct vmcs *m = &v->vmx.vmcs;

	prepare();
	enter();
	ck_assert(!vmx_boundary_stuck(v));
	leave_guest();
	m->ctl.notify_window = 10;
	restart_with(&m->ctl.proc2, (u32)VMX_MASK(PROC2_INSTRUCTION_TIMEOUT));
	v->icount++;
	v->pending_dbg = 3;
	ck_assert(!vmx_boundary_stuck(v));
	vcpu_charge(v, 9 * CRYSTAL_TICKS);
	v->icount++; /* one retires */
	ck_assert(!vmx_boundary_stuck(v));
	vcpu_charge(v, 10 * CRYSTAL_TICKS);
	ck_assert(!vmx_boundary_stuck(v));
	vcpu_charge(v, 1);
	ck_assert(vmx_boundary_stuck(v));
	exited(EXIT_REASON_NOTIFY, 0);
	ck_assert_uint_eq(m->guest.pending_debug, 3 | BIT(12));
}
END_TEST

Suite *vmx_msrs_suite(void)
{
	Suite *s = suite_create("vmx_msrs");
	TCase *t = tcase_create("msrs");

	tcase_add_checked_fixture(t, vmx_bench_setup, vmx_bench_teardown);
	tcase_add_test(t, perf_global_ctrl);
	tcase_add_test(t, spec_ctrl_is_switched);
	tcase_add_test(t, spec_ctrl_is_virtualized);
	tcase_add_test(t, speculation_msrs);
	tcase_add_test(t, lists);
	tcase_add_test(t, lists_exit);
	tcase_add_test(t, pauses);
	tcase_add_test(t, monitored_waits);
	tcase_add_test(t, waits_in_a_guest);
	tcase_add_test(t, instruction_timeout);
	suite_add_tcase(s, t);
	return s;
}
