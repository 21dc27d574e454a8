/*
 * Nothing that a guest does in VMX operation aborts, hangs or reaches what is not the guest's: VMX
 * structures where no memory is, lists without end, EPT tables that point to themselves, VMX aborts,
 * SMIs, instructions of features that are not there.
 */
#include <check.h>

#include "cpu/insn_protos.h"
#include "tests/unit/test_vmx_rig.h"

Suite *vmx_bounds_suite(void);

static struct vcpu *v;

static void setup(void)
{
	rig_setup();
	v = rig_cpu(0);
}

static u64 flags(void)
{
	return flags_arith(v);
}

static void must_fail(unsigned error)
{
	ck_assert_uint_eq(flags(), RFLAGS_ZF);
	ck_assert_uint_eq(v->vmx.vmcs.info.instruction_error, error);
}

static void ready(void)
{
	rig_vmxon(v);
	rig_load(v, RIG_VMCS);
	RIG_CODE(RIG_HOST, "\xf4");	 /* HLT */
	RIG_CODE(RIG_GUEST, "\x0f\xa2"); /* CPUID: exits */
}

/* Enters and runs until the host halts. The exit reason. */
static u32 round_trip(void)
{
	rig_touched(v);
	ck_assert(rig_enter(v));
	vcpu_run(v, 100000);
	ck_assert(!v->vmx.non_root);
	ck_assert_int_eq(v->activity, ACT_HLT);
	ck_assert_uint_eq(v->rip, RIG_HOST + 1);
	return rig_reason(v);
}

/* --- exceptions in delivery --- */

START_TEST(second_fault_exits_before_it_doubles)
{
	struct vmcs *m = &v->vmx.vmcs;

	ready();
	m->guest.idtr_base = RIG_RAM; /* not mapped */
	m->ctl.entry_interruption_info = 0x80000b0e;
	m->ctl.exception_bitmap = 1u << VEC_PF;
	ck_assert_uint_eq(round_trip(), EXIT_REASON_EXCEPTION_OR_NMI);
	ck_assert_uint_eq(m->info.interruption_info, 0x80000b0e);
	ck_assert_uint_eq(m->info.idt_vectoring_info, 0x80000b0e);
	ck_assert_uint_eq(m->info.qualification, RIG_RAM + 16 * VEC_PF);
	/* a #DF that exits is none of delivery */
	m->ctl.entry_interruption_info = 0x80000b0e;
	m->ctl.exception_bitmap = 1u << VEC_DF;
	ck_assert_uint_eq(round_trip(), EXIT_REASON_EXCEPTION_OR_NMI);
	ck_assert_uint_eq(m->info.interruption_info, 0x80000b08);
	ck_assert_uint_eq(m->info.idt_vectoring_info, 0);
	/* a fault while #DF is delivered exits by its own bit too */
	m->ctl.entry_interruption_info = 0x80000b08;
	m->ctl.exception_bitmap = 1u << VEC_PF;
	ck_assert_uint_eq(round_trip(), EXIT_REASON_EXCEPTION_OR_NMI);
	ck_assert_uint_eq(m->info.idt_vectoring_info, 0x80000b08);
	m->ctl.entry_interruption_info = 0x80000b0e;
	m->ctl.exception_bitmap = 0;
	ck_assert_uint_eq(round_trip(), EXIT_REASON_TRIPLE_FAULT);
}
END_TEST

/* A data breakpoint on the stack of the #DB handler's own frame: no instruction runs any more. */
START_TEST(debug_exceptions_without_end_take_time)
{
	u64 before = v->icount;

	phys_write(v, RIG_IDT + 16 * VEC_DB, (RIG_HANDLERS + 16) | 0x8e0100080000ull,
		   8); /* IST 1 */
	v->seg[SEG_TR].base = RIG_FREE + 0x100;
	phys_write(v, RIG_FREE + 0x100 + 36, 0x6000, 8);
	v->dr[0] = 0x6000 - 8;
	v->dr7 = 0x400 | 1 | 3 << 18 | 1 << 16; /* 8 bytes would be 2; 4 do */
	vcpu_recompute(v);
	RIG_CODE(RIG_GUEST, "\x0f\x0b"); /* UD2 */
	phys_write(v, RIG_IDT + 16 * VEC_UD, (RIG_HANDLERS + 96) | 0x8e0100080000ull, 8);
	rig_run_at(v, RIG_GUEST, 1000);
	ck_assert_uint_ge(v->icount, before + 2);
	ck_assert_uint_le(v->icount, before + 1002);
}
END_TEST

/* --- instructions --- */

START_TEST(getsec_is_undefined)
{
	u64 value = v->cr4 | CR4_SMXE;

	RIG_CODE(RIG_FREE + 0x1000, "\x0f\x37");
	rig_run_at(v, RIG_FREE + 0x1000, 10);
	ck_assert_int_eq(rig_exception(v), VEC_UD);
	/* CR4.SMXE cannot be set: MOV RAX, CR4 */
	v->reg[RAX] = value;
	RIG_CODE(RIG_FREE + 0x1000, "\x0f\x22\xe0");
	rig_run_at(v, RIG_FREE + 0x1000, 1000);
	ck_assert_int_eq(rig_exception(v), VEC_GP);
	ready();
	RIG_CODE(RIG_GUEST, "\x0f\x37");
	v->vmx.vmcs.ctl.exception_bitmap = 1u << VEC_UD;
	ck_assert_uint_eq(round_trip(), EXIT_REASON_EXCEPTION_OR_NMI);
	ck_assert_uint_eq(v->vmx.vmcs.info.interruption_info & 0xff, VEC_UD);
}
END_TEST

START_TEST(vmcall_in_root)
{
	rig_exec(v, op_vmcall);
	ck_assert_uint_eq(v->exc.vector, VEC_UD);
	rig_vmxon(v);
	ck_assert_int_eq(rig_exec(v, op_vmcall), EXEC_NEXT);
	ck_assert_uint_eq(flags(), RFLAGS_CF);
	rig_load(v, RIG_VMCS);
	ck_assert_int_eq(rig_exec(v, op_vmcall), EXEC_NEXT);
	must_fail(1);
	v->cpl = 3;
	ck_assert_int_eq(rig_exec(v, op_vmcall), EXEC_FAULT);
	ck_assert_uint_eq(v->exc.vector, VEC_GP);
}
END_TEST

START_TEST(smm_controls_do_not_enter)
{
	ready();
	v->vmx.vmcs.ctl.entry |= VMX_MASK(ENTRY_ENTRY_TO_SMM);
	ck_assert(!rig_enter(v));
	must_fail(VMX_ERROR_ENTRY_INVALID_CONTROLS);
	v->vmx.vmcs.ctl.entry ^=
		VMX_MASK(ENTRY_ENTRY_TO_SMM) | VMX_MASK(ENTRY_DEACTIVATE_DUAL_MONITOR_TREATMENT);
	rig_touched(v);
	ck_assert(!rig_enter(v));
	must_fail(VMX_ERROR_ENTRY_INVALID_CONTROLS);
}
END_TEST

START_TEST(vmxon_and_vmxoff_in_any_order)
{
	ck_assert_int_eq(rig_exec(v, op_vmxoff), EXEC_FAULT);
	ck_assert_int_eq(rig_exec(v, op_vmresume), EXEC_FAULT);
	ready();
	rig_pointer(v, op_vmxon, RIG_VMCS + 0x1000);
	must_fail(VMX_ERROR_VMXON_IN_ROOT);
	ck_assert_uint_eq(round_trip(), EXIT_REASON_CPUID);
	/* a launched VMCS outlives VMXOFF */
	ck_assert_int_eq(rig_exec(v, op_vmxoff), EXEC_LEAVE);
	ck_assert_int_eq(rig_exec(v, op_vmxoff), EXEC_FAULT);
	rig_pointer(v, op_vmxon, RIG_VMCS + 0x1000);
	ck_assert(v->vmx.vmxon);
	rig_exec(v, op_vmresume);
	ck_assert_uint_eq(flags(), RFLAGS_CF);
	rig_pointer(v, op_vmptrld, RIG_VMCS + 0x1000);
	ck_assert_uint_eq(flags(),
			  RFLAGS_CF); /* VMfailInvalid: the VMXON region, and none current */
	rig_pointer(v, op_vmptrld, RIG_VMCS);
	rig_pointer(v, op_vmptrld, RIG_VMCS + 0x1000);
	must_fail(VMX_ERROR_VMPTRLD_VMXON_POINTER);
	rig_pointer(v, op_vmclear, RIG_VMCS + 0x1000);
	must_fail(VMX_ERROR_VMCLEAR_VMXON_POINTER);
	rig_pointer(v, op_vmptrld, RIG_VMXON); /* no longer a VMXON region */
	ck_assert_uint_eq(flags(), 0);
	rig_pointer(v, op_vmptrld, RIG_VMCS);
	ck_assert(v->vmx.launched);
	ck_assert_uint_eq(round_trip(), EXIT_REASON_CPUID);
}
END_TEST

/* INVEPT and INVVPID by their handlers, type in RAX. */
static void invalidate(exec_fn *op, u64 type, u64 low, u64 high)
{
	phys_write(v, RIG_OPERAND + 8, high, 8);
	v->reg[RAX] = type;
	rig_pointer(v, op, low);
}

START_TEST(odd_invalidations)
{
	static const u64 odd[] = {0, 3, 4, 0xff, 0x100000001, ~0ull};
	static const u64 bad_eptp[] = {0, 7 | 3 << 3, 6, 0x1e | BIT(8), 0x1e | BIT(40), ~0ull};

	ready();
	for (unsigned n = 0; n < ARRAY_SIZE(odd); n++) {
		invalidate(op_invept, odd[n], 0x1e, 0);
		must_fail(VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	}
	for (unsigned n = 0; n < ARRAY_SIZE(bad_eptp); n++) {
		invalidate(op_invept, 1, bad_eptp[n], 0);
		must_fail(VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	}
	invalidate(op_invept, 1, 0xffffffe01e, 0); /* no memory there */
	ck_assert_uint_eq(flags(), 0);
	for (unsigned n = 2; n < ARRAY_SIZE(odd); n++) {
		invalidate(op_invvpid, odd[n], 1, 0);
		must_fail(VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
	}
	for (u64 type = 0; type < 4; type++) {
		invalidate(op_invvpid, type, 0x10001, 0);
		must_fail(VMX_ERROR_INVALID_INVEPT_INVVPID_OPERAND);
		invalidate(op_invvpid, type, 0, 0);
		ck_assert_uint_eq(flags(), type == 2 ? 0 : RFLAGS_ZF);
		invalidate(op_invvpid, type, 0xffff, ~0ull >> 1);
		ck_assert_uint_eq(flags(), type ? 0 : RFLAGS_ZF);
		invalidate(op_invvpid, type, 0xffff, ~0ull);
		ck_assert_uint_eq(flags(), 0);
	}
}
END_TEST

/* --- structures where nothing is --- */

START_TEST(regions_where_no_memory_is)
{
	ck_assert_int_eq(rig_pointer(v, op_vmxon, RIG_BEYOND), EXEC_NEXT);
	ck_assert(!v->vmx.vmxon);
	ready();
	rig_pointer(v, op_vmptrld, RIG_BEYOND);
	must_fail(VMX_ERROR_VMPTRLD_WRONG_REVISION);
	rig_pointer(v, op_vmclear, RIG_BEYOND);
	ck_assert_uint_eq(flags(), 0);
	rig_pointer(v, op_vmclear, 1ull << 40);
	must_fail(VMX_ERROR_VMCLEAR_INVALID_ADDRESS);
	ck_assert_uint_eq(round_trip(), EXIT_REASON_CPUID);
}
END_TEST

START_TEST(bitmaps_where_no_memory_is)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;

	ready();
	c->proc |= VMX_MASK(PROC_USE_IO_BITMAPS) | VMX_MASK(PROC_USE_MSR_BITMAPS) |
		   VMX_MASK(PROC_USE_TPR_SHADOW);
	c->proc2 = VMX_MASK(PROC2_VMCS_SHADOWING) | VMX_MASK(PROC2_VIRTUALIZE_APIC_ACCESSES);
	c->io_bitmap_a = c->io_bitmap_b = c->msr_bitmaps = c->virtual_apic = RIG_BEYOND;
	c->vmread_bitmap = c->vmwrite_bitmap = c->apic_access = RIG_BEYOND;
	RIG_CODE(RIG_GUEST, "\xe4\x10"); /* reads of nothing are ones: all of them exit */
	ck_assert_uint_eq(round_trip(), EXIT_REASON_IO_INSTRUCTION);
	RIG_CODE(RIG_GUEST, "\xb9\x10\x00\x00\x00\x0f\x32");
	v->vmx.vmcs.guest.rip = RIG_GUEST;
	ck_assert_uint_eq(round_trip(), EXIT_REASON_RDMSR);
	RIG_CODE(RIG_GUEST, "\x0f\x78\xc1"); /* VMREAD RAX, RCX */
	v->vmx.vmcs.guest.rip = RIG_GUEST;
	ck_assert_uint_eq(round_trip(), EXIT_REASON_VMREAD);
	RIG_CODE(RIG_GUEST, "\x44\x0f\x20\xc0\x44\x0f\x22\xc0\x0f\xa2"); /* CR8 to RAX and back */
	v->vmx.vmcs.guest.rip = RIG_GUEST;
	ck_assert_uint_eq(round_trip(), EXIT_REASON_CPUID);
	ck_assert_uint_eq(v->vmx.vmcs.guest.rip, RIG_GUEST + 8);
}
END_TEST

/* --- lists without end --- */

#define ENDLESS 0xffffffffu

static void fill_list(u64 addr, u32 msr)
{
	for (u64 n = 0; n < 2 * VMX_MSR_LIST_MAX; n++) {
		phys_write(v, addr + 16 * n, msr, 8);
		phys_write(v, addr + 16 * n + 8, 0, 8);
	}
}

START_TEST(endless_msr_lists)
{
	struct vmcs *m = &v->vmx.vmcs;

	ready();
	fill_list(RIG_FREE + 0x1000, 0x175); /* IA32_SYSENTER_ESP */
	m->ctl.entry_msr_load_address = RIG_FREE + 0x1000;
	m->ctl.entry_msr_load_count = ENDLESS;
	rig_touched(v);
	ck_assert(!rig_enter(v));
	ck_assert_uint_eq(m->info.exit_reason,
			  EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_ENTRY_FAILURE_MSR_LOADING);
	ck_assert_uint_eq(m->info.qualification, VMX_MSR_LIST_MAX + 1);
	m->ctl.entry_msr_load_count = 0;
	/* addresses that leave the physical-address width are refused */
	m->ctl.exit_msr_store_address = (1ull << 40) - 0x1000;
	m->ctl.exit_msr_store_count = ENDLESS;
	rig_touched(v);
	ck_assert(!rig_enter(v));
	must_fail(VMX_ERROR_ENTRY_INVALID_CONTROLS);
}
END_TEST

/* 0: the store list, 1: the load list, 2: the load list where there is no memory. */
START_TEST(endless_list_at_exit_aborts)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;
	u64 at = _i == 2 ? RIG_BEYOND : RIG_FREE + 0x1000;

	ready();
	fill_list(RIG_FREE + 0x1000, 0x175);
	if (_i) {
		c->exit_msr_load_address = at;
		c->exit_msr_load_count = ENDLESS;
	} else {
		c->exit_msr_store_address = at;
		c->exit_msr_store_count = ENDLESS;
	}
	rig_touched(v);
	ck_assert(rig_enter(v));
	vcpu_run(v, 100);
	ck_assert_uint_eq(phys_read(v, RIG_VMCS + 4, 4), _i ? 4 : 1);
	/* shutdown: nothing but a reset goes on from here, and the board hears of it */
	ck_assert_int_eq(v->activity, ACT_SHUTDOWN);
	ck_assert_int_eq(v->stop_reason, STOP_TRIPLE_FAULT);
	rig_interrupt(0, 0x40);
	v->init_pending = true;
	vcpu_run(v, 100);
	ck_assert_int_eq(v->activity, ACT_SHUTDOWN);
	vmx_reset(v, false);
	ck_assert(!v->vmx.vmxon);
}
END_TEST

/* --- EPT --- */

/* Every entry of every table is the table itself, with rights and type that make it a page too. */
START_TEST(ept_tables_that_are_themselves)
{
	struct vmcs *m = &v->vmx.vmcs;
	u64 table = _i ? RIG_BEYOND : RIG_FREE + 0x10000;

	ready();
	for (unsigned n = 0; n < 512; n++)
		phys_write(v, table + 8 * n, table | 7, 8);
	m->ctl.eptp = table | 6 | 3 << 3;
	m->ctl.proc2 = VMX_MASK(PROC2_ENABLE_EPT);
	rig_touched(v);
	if (!rig_enter(v))
		ck_abort_msg("does not enter");
	vcpu_run(v, 100000);
	ck_assert(!v->vmx.non_root);
	/* through the first the guest sees the table wherever it looks, and not one gate */
	ck_assert_uint_eq(rig_reason(v),
			  _i ? EXIT_REASON_EPT_MISCONFIGURATION : EXIT_REASON_TRIPLE_FAULT);
}
END_TEST

/* --- shadow VMCS --- */

START_TEST(odd_link_pointers)
{
	struct vmcs *m = &v->vmx.vmcs;
	static const u64 bad[] = {RIG_VMCS + 1,	     1ull << 40, RIG_BEYOND, RIG_VMCS,
				  RIG_VMCS + 0x1000, 0,		 RIG_FREE};

	ready();
	m->ctl.proc2 = VMX_MASK(PROC2_VMCS_SHADOWING);
	m->ctl.vmread_bitmap = m->ctl.vmwrite_bitmap = RIG_FREE + 0x2000; /* zeros */
	for (unsigned n = 0; n < ARRAY_SIZE(bad); n++) {
		m->guest.link_pointer = bad[n];
		rig_touched(v);
		ck_assert(!rig_enter(v));
		ck_assert_uint_eq(m->info.exit_reason,
				  EXIT_REASON_ENTRY_FAILURE |
					  EXIT_REASON_ENTRY_FAILURE_GUEST_STATE);
		ck_assert_uint_eq(m->info.qualification, 4);
	}
	/* a shadow VMCS full of ones */
	for (unsigned n = 8; n < 4096; n += 8)
		phys_write(v, RIG_VMCS + 0x1000 + n, ~0ull, 8);
	phys_write(v, RIG_VMCS + 0x1000, VMX_REVISION | VMCS_SHADOW_INDICATOR, 4);
	m->guest.link_pointer = RIG_VMCS + 0x1000;
	v->reg[RCX] = VMCS_GUEST_CR3;
	/* VMREAD RAX, RCX; VMWRITE RCX, RAX; CPUID */
	RIG_CODE(RIG_GUEST, "\x0f\x78\xc8\x0f\x79\xc8\x0f\xa2");
	ck_assert_uint_eq(round_trip(), EXIT_REASON_CPUID);
	ck_assert_uint_eq(v->reg[RAX], ~0ull);
	/* it cannot be entered */
	rig_pointer(v, op_vmptrld, RIG_VMCS + 0x1000);
	rig_exec(v, op_vmlaunch);
	ck_assert_uint_eq(flags(), RFLAGS_CF);
}
END_TEST

/* A thousand VMREADs and VMWRITEs of shadowed fields, and one exit: the CPUID behind them. */
START_TEST(shadowed_fields_do_not_exit)
{
	struct vmcs *m = &v->vmx.vmcs;
	struct vmx_state *x = &v->vmx;
	u64 vmread, vmwrite;

	ready();
	phys_write(v, RIG_VMCS + 0x1000, VMX_REVISION | VMCS_SHADOW_INDICATOR, 4);
	m->ctl.proc2 = VMX_MASK(PROC2_VMCS_SHADOWING);
	m->ctl.vmread_bitmap = m->ctl.vmwrite_bitmap = RIG_FREE + 0x2000;
	m->guest.link_pointer = RIG_VMCS + 0x1000;
	v->reg[RCX] = VMCS_GUEST_RIP;
	v->reg[RBX] = 1000;
	v->reg[RAX] = 0;
	/* 1: VMWRITE RCX, RAX; VMREAD RDX, RCX; LEA RAX, [RDX+1]; DEC RBX; JNZ 1b; CPUID */
	RIG_CODE(RIG_GUEST, "\x0f\x79\xc8\x0f\x78\xca\x48\x8d\x42\x01\x48\xff\xcb\x75\xf1\x0f\xa2");
	vmread = x->exits[EXIT_REASON_VMREAD];
	vmwrite = x->exits[EXIT_REASON_VMWRITE];
	ck_assert_uint_eq(round_trip(), EXIT_REASON_CPUID);
	ck_assert_uint_eq(x->exits[EXIT_REASON_VMREAD], vmread);
	ck_assert_uint_eq(x->exits[EXIT_REASON_VMWRITE], vmwrite);
	ck_assert_uint_eq(x->exits[EXIT_REASON_CPUID], 1);
	ck_assert_uint_eq(v->reg[RAX], 1000);
	/* the bitmap's bit makes each of them exit */
	phys_write(v, RIG_FREE + 0x2000 + VMCS_GUEST_RIP / 8, 0xff, 1);
	m->guest.rip = RIG_GUEST;
	ck_assert_uint_eq(round_trip(), EXIT_REASON_VMWRITE);
}
END_TEST

/* --- system-management mode --- */

#define RSM "\x0f\xaa"
#define SMI_HANDLER (RIG_SMBASE + 0x8000)
#define SMRAM_CR4 (RIG_SMBASE + 0x8000 + 0x7f48)

START_TEST(smi_in_non_root_operation)
{
	struct vmcs *m = &v->vmx.vmcs;

	ready();
	RIG_CODE(SMI_HANDLER, RSM);
	m->guest.interruptibility = 1; /* STI */
	m->guest.rflags = 0x202;
	m->ctl.proc |= VMX_MASK(PROC_INTERRUPT_WINDOW_EXITING);
	RIG_CODE(RIG_GUEST, "\x90\x90\x0f\xa2");
	ck_assert(rig_enter(v));
	v->smi_pending = true;
	vcpu_run(v, 1); /* RSM only: the SMI itself is no instruction */
	ck_assert(!v->in_smm);
	ck_assert(v->vmx.non_root);
	ck_assert_uint_eq(v->rip, RIG_GUEST);
	ck_assert_uint_eq(phys_read(v, SMRAM_CR4, 8), CR4_PAE); /* no VMXE */
	ck_assert_uint_eq(v->cr4, CR4_PAE | CR4_VMXE);
	/* blocking by STI goes on for one instruction */
	vcpu_run(v, 100);
	ck_assert_uint_eq(rig_reason(v), EXIT_REASON_INTERRUPT_WINDOW);
	ck_assert_uint_eq(m->guest.rip, RIG_GUEST + 1);
}
END_TEST

START_TEST(smm_has_no_vmx)
{
	ready();
	/* in the handler: MOV EAX, CR4; OR AH, 20H; MOV CR4, EAX: #GP through the IVT, which is zeros
	 * and leads to address 0: RSM there */
	RIG_CODE(SMI_HANDLER, "\x0f\x20\xe0\x80\xcc\x20\x0f\x22\xe0\xf4");
	RIG_CODE(0, "\x0f\x01\xc1"); /* VMCALL: #UD, and so on for ever */
	v->idtr = (struct dtr){.base = RIG_FREE + 0x8000, .limit = 0x3ff}; /* zeros */
	v->smi_pending = true;
	vcpu_run(v, 50);
	ck_assert(v->in_smm);
	ck_assert(!(v->cr4 & CR4_VMXE));
	ck_assert(!v->vmx.vmxon);
	ck_assert_int_eq(v->activity, ACT_ACTIVE);
	/* INIT waits for RSM, and then for VMXOFF */
	v->init_pending = true;
	vcpu_run(v, 50);
	ck_assert(v->in_smm);
	RIG_CODE(0, RSM);
	vcpu_run(v, 50);
	ck_assert(!v->in_smm && v->vmx.vmxon && v->init_pending);
	ck_assert_int_ne(v->activity, ACT_WAIT_SIPI);
}
END_TEST

START_TEST(rsm_does_not_choose_privilege)
{
	ready();
	v->reg[RAX] = 0;
	/* CS: MOV [7E22H + 8000H] (SS attributes), DPL 3; and CR4.VMXE when _i */
	RIG_CODE(SMI_HANDLER, "\x2e\xc6\x06\x22\xfe\xf3\x0f\xaa");
	if (_i)
		RIG_CODE(SMI_HANDLER, "\x2e\xc6\x06\x49\xff\x20\x0f\xaa");
	v->smi_pending = true;
	RIG_CODE(RIG_GUEST, "\xf4");
	rig_run_at(v, RIG_GUEST, 10);
	if (_i) {
		ck_assert_int_eq(v->stop_reason, STOP_TRIPLE_FAULT);
		return;
	}
	ck_assert(v->vmx.vmxon && !v->in_smm);
	ck_assert_uint_eq(v->cpl, 0);
	ck_assert_uint_eq(v->seg[SEG_CS].sel & 3, 0);
	ck_assert_int_eq(v->activity, ACT_HLT);
}
END_TEST

Suite *vmx_bounds_suite(void)
{
	Suite *s = suite_create("vmx_bounds");
	TCase *t = tcase_create("bounds");

	tcase_add_checked_fixture(t, setup, rig_teardown);
	tcase_add_test(t, second_fault_exits_before_it_doubles);
	tcase_add_test(t, debug_exceptions_without_end_take_time);
	tcase_add_test(t, getsec_is_undefined);
	tcase_add_test(t, vmcall_in_root);
	tcase_add_test(t, smm_controls_do_not_enter);
	tcase_add_test(t, vmxon_and_vmxoff_in_any_order);
	tcase_add_test(t, odd_invalidations);
	tcase_add_test(t, regions_where_no_memory_is);
	tcase_add_test(t, bitmaps_where_no_memory_is);
	tcase_add_test(t, endless_msr_lists);
	tcase_add_loop_test(t, endless_list_at_exit_aborts, 0, 3);
	tcase_add_loop_test(t, ept_tables_that_are_themselves, 0, 2);
	tcase_add_test(t, odd_link_pointers);
	tcase_add_test(t, shadowed_fields_do_not_exit);
	tcase_add_test(t, smi_in_non_root_operation);
	tcase_add_test(t, smm_has_no_vmx);
	tcase_add_loop_test(t, rsm_does_not_choose_privilege, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
