/*
 * What makes VM exits: intercepted instructions, events at boundaries, the features that change what an
 * instruction does in non-root operation, on a virtual CPU.
 */
#include "tests/unit/vmx_bench.h"

Suite *vmx_guest_suite(void);

/* --- intercepts --- */

enum { ALWAYS = 0x1000, NEVER, CUSTOM };

START_TEST(instructions_exit_by_their_control)
{
	static const struct {
		enum vmx_intercept x;
		unsigned exits_if, ud_unless;
		u32 reason;
	} rows[] = {
#define X(name, exits_if, ud_unless, reason, info)                                                 \
	{X_##name, exits_if, ud_unless, EXIT_REASON_##reason},
#include "vmx/intercepts.def"
	};
	u32 *word[] = {&v->vmx.vmcs.ctl.pin, &v->vmx.vmcs.ctl.proc, &v->vmx.vmcs.ctl.proc2};

	start_guest();
	v->vmx.vmcs.ctl.proc2 = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bool needs = rows[i].ud_unless != ALWAYS;

		if (!v->vmx.non_root)
			restart_with(word[0], 0);
		if (needs) {
			ck_assert_int_eq(vmx_intercept(v, &plain, rows[i].x), EXEC_FAULT);
			ck_assert_uint_eq(v->exc.vector, VEC_UD);
			leave_guest();
			if (rows[i].ud_unless >> 6 == VMX_PROC3) {
				v->vmx.vmcs.ctl.proc3 = VMX_MASK(rows[i].ud_unless);
				restart_with(word[1], VMX_MASK(PROC_ACTIVATE_TERTIARY_CONTROLS));
			} else {
				restart_with(word[2], VMX_MASK(rows[i].ud_unless));
			}
		}
		if (rows[i].exits_if < ALWAYS) {
			ck_assert_int_eq(vmx_intercept(v, &plain, rows[i].x), 0);
			leave_guest();
			restart_with(word[rows[i].exits_if >> 6], VMX_MASK(rows[i].exits_if));
		}
		if (rows[i].exits_if == NEVER || rows[i].exits_if == CUSTOM) {
			ck_assert_int_eq(vmx_intercept(v, &plain, rows[i].x), 0);
			leave_guest();
		} else {
			ck_assert_int_eq(vmx_intercept(v, &plain, rows[i].x), EXEC_VMEXIT);
			ck_assert_uint_eq(v->vmx.vmcs.info.exit_reason, rows[i].reason);
		}
		if (rows[i].exits_if < ALWAYS)
			*word[rows[i].exits_if >> 6] &= ~VMX_MASK(rows[i].exits_if);
		v->vmx.vmcs.ctl.proc3 = 0;
		if (needs)
			*word[2] = 0;
	}
}
END_TEST

START_TEST(io_bitmaps)
{
	u32 *proc = &v->vmx.vmcs.ctl.proc;

	start_guest();
	ck_assert_int_eq(vmx_intercept_io(v, &plain, 0x3f8, 1, VMX_IO_IN, 0), 0);
	leave_guest();
	restart_with(proc, VMX_MASK(PROC_UNCONDITIONAL_IO_EXITING));
	ck_assert_int_eq(vmx_intercept_io(v, &plain, 0x3f8, 1, VMX_IO_IN, 0), EXEC_VMEXIT);
	exited(EXIT_REASON_IO_INSTRUCTION, 0x03f80008);
	restart_with(proc, VMX_MASK(PROC_USE_IO_BITMAPS));
	ck_assert_int_eq(vmx_intercept_io(v, &plain, 0x3f8, 1, VMX_IO_IN, 0), 0);
	phys_write(v, BITMAP_A + 0x3f8 / 8, 1 << (0x3f9 & 7), 1);
	ck_assert_int_eq(vmx_intercept_io(v, &plain, 0x3f8, 1, 0, 0), 0);
	ck_assert_int_eq(vmx_intercept_io(v, &plain, 0x3f8, 2, VMX_IO_IMM, 0), EXEC_VMEXIT);
	exited(EXIT_REASON_IO_INSTRUCTION, 0x03f80041);
	restart_with(proc, 0);
	phys_write(v, BITMAP_B + 0xfff, 0x80, 1);
	ck_assert_int_eq(vmx_intercept_io(v, &plain, 0xffff, 1, 0, 0), EXEC_VMEXIT);
	restart_with(proc, 0);
	phys_write(v, BITMAP_B + 0xfff, 0, 1);
	ck_assert_int_eq(vmx_intercept_io(v, &plain, 0xffff, 1, 0, 0), 0);
	/* wraps around: exits whatever the bitmaps say */
	ck_assert_int_eq(vmx_intercept_io(v, &plain, 0xffff, 2, VMX_IO_STRING | VMX_IO_REP, 0x123),
			 EXEC_VMEXIT);
	exited(EXIT_REASON_IO_INSTRUCTION, 0xffff0031);
	ck_assert_uint_eq(v->vmx.vmcs.info.guest_linear_address, 0x123);
}
END_TEST

START_TEST(msr_bitmaps)
{
	u32 *proc = &v->vmx.vmcs.ctl.proc;

	start_guest();
	ck_assert_int_eq(vmx_intercept_rdmsr(v, &plain, 0x10), EXEC_VMEXIT);
	exited(EXIT_REASON_RDMSR, 0);
	restart_with(proc, VMX_MASK(PROC_USE_MSR_BITMAPS));
	ck_assert_int_eq(vmx_intercept_rdmsr(v, &plain, 0x10), 0);
	ck_assert_int_eq(vmx_intercept_wrmsr(v, &plain, 0xc0000080), 0);
	phys_write(v, MSR_BITMAP + 3072 + 0x80 / 8, 1, 1);
	ck_assert_int_eq(vmx_intercept_rdmsr(v, &plain, 0xc0000080), 0);
	ck_assert_int_eq(vmx_intercept_wrmsr(v, &plain, 0xc0000080), EXEC_VMEXIT);
	exited(EXIT_REASON_WRMSR, 0);
	restart_with(proc, 0);
	ck_assert_int_eq(vmx_intercept_rdmsr(v, &plain, 0x2000), EXEC_VMEXIT);
	restart_with(proc, 0);
	ck_assert_int_eq(vmx_intercept_rdmsr(v, &plain, 0xc0002000), EXEC_VMEXIT);
}
END_TEST

START_TEST(control_register_masks)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;
	u64 value;

	start_guest();
	c->cr0_mask = CR0_TS | CR0_NE;
	c->cr0_shadow = CR0_NE;
	ck_assert_uint_eq(vmx_cr0_view(v), v->cr0);
	v->cr0 |= CR0_TS;
	ck_assert_uint_eq(vmx_cr0_view(v), v->cr0 & ~CR0_TS);
	value = 0x80000031; /* TS as in the shadow: no exit, and TS stays */
	ck_assert_int_eq(vmx_mov_to_cr(v, &plain, 0, RBX, &value), 0);
	ck_assert_uint_eq(value, 0x80000039);
	value = v->cr0 & ~CR0_TS; /* CLTS with TS masked and 0 in the shadow */
	ck_assert_int_eq(vmx_clts(v, &plain, &value), 0);
	ck_assert_uint_eq(value, v->cr0);
	value = 0x80000039;
	ck_assert_int_eq(vmx_mov_to_cr(v, &plain, 0, RBX, &value), EXEC_VMEXIT);
	exited(EXIT_REASON_CR_ACCESS, RBX << 8);
	c->cr0_shadow |= CR0_TS;
	restart_with(&c->pin, 0);
	ck_assert_int_eq(vmx_clts(v, &plain, &value), EXEC_VMEXIT);
	exited(EXIT_REASON_CR_ACCESS, 2 << 4);
	restart_with(&c->pin, 0);
	value = v->cr0;
	ck_assert_int_eq(vmx_lmsw(v, &plain, 8, 0, &value), 0); /* as the shadow: no exit */
	ck_assert_int_eq(vmx_lmsw(v, &plain, 1, 0, &value), EXEC_VMEXIT);
	exited(EXIT_REASON_CR_ACCESS, 3 << 4 | 1 << 16);
}
END_TEST

START_TEST(cr3_targets)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;
	u64 value = 0x5000;

	start_guest();
	ck_assert_int_eq(vmx_mov_to_cr(v, &plain, 3, RAX, &value), 0);
	leave_guest();
	restart_with(&c->proc, VMX_MASK(PROC_CR3_LOAD_EXITING) | VMX_MASK(PROC_CR3_STORE_EXITING));
	ck_assert_int_eq(vmx_mov_to_cr(v, &plain, 3, RAX, &value), EXEC_VMEXIT);
	exited(EXIT_REASON_CR_ACCESS, 3);
	c->cr3_target[1] = 0x5000;
	c->cr3_target_count = 1;
	restart_with(&c->pin, 0);
	ck_assert_int_eq(vmx_mov_to_cr(v, &plain, 3, RAX, &value), EXEC_VMEXIT);
	c->cr3_target_count = 2;
	restart_with(&c->pin, 0);
	ck_assert_int_eq(vmx_mov_to_cr(v, &plain, 3, RAX, &value), 0);
	ck_assert_int_eq(vmx_mov_from_cr(v, &plain, 3, RDX), EXEC_VMEXIT);
	exited(EXIT_REASON_CR_ACCESS, 3 | 1 << 4 | RDX << 8);
}
END_TEST

START_TEST(exception_bitmap)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;
	struct event ud = {.valid = true, .vector = VEC_UD, .type = EVENT_HW_EXC};
	struct event pf = {.valid = true,
			   .vector = VEC_PF,
			   .type = EVENT_HW_EXC,
			   .has_error = true,
			   .error = 2,
			   .cr2 = 0xabc};
	struct event soft = {.valid = true, .vector = 6, .type = EVENT_SW_INT, .len = 2};

	start_guest();
	c->exception_bitmap = 1 << VEC_UD;
	ck_assert(!vmx_intercept_exception(v, &soft));
	ck_assert(!vmx_intercept_exception(v, &pf));
	ck_assert(vmx_intercept_exception(v, &ud));
	exited(EXIT_REASON_EXCEPTION_OR_NMI, 0);
	ck_assert_uint_eq(v->vmx.vmcs.info.interruption_info, 0x80000306);
	ck_assert(v->vmx.vmcs.guest.rflags & RFLAGS_RF);
	/* with bit 14 clear, a #PF exits when mask and match do not agree */
	c->pf_mask = 2;
	c->pf_match = 0;
	restart_with(&c->pin, 0);
	ck_assert(vmx_intercept_exception(v, &pf));
	exited(EXIT_REASON_EXCEPTION_OR_NMI, 0xabc);
	ck_assert_uint_eq(v->vmx.vmcs.info.interruption_info, 0x80000b0e);
	ck_assert_uint_eq(v->vmx.vmcs.info.interruption_error_code, 2);
	c->exception_bitmap = 1 << VEC_PF;
	restart_with(&c->pin, 0);
	ck_assert(!vmx_intercept_exception(v, &pf));
	c->pf_match = 2;
	ck_assert(vmx_intercept_exception(v, &pf));
}
END_TEST

/* --- boundaries --- */

START_TEST(interrupts_and_windows)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;

	start_guest();
	f->interrupt = 0x41;
	ck_assert(!vmx_boundary_interrupt(v));
	leave_guest();
	restart_with(&c->pin, VMX_MASK(PIN_EXTERNAL_INTERRUPT_EXITING));
	ck_assert(vmx_boundary_interrupt(v));
	exited(EXIT_REASON_EXTERNAL_INTERRUPT, 0);
	ck_assert_uint_eq(v->vmx.vmcs.info.interruption_info, 0);
	ck_assert_int_eq(f->interrupt, 0x41);
	restart_with(&c->exit, VMX_MASK(EXIT_ACKNOWLEDGE_INTERRUPT_ON_EXIT));
	ck_assert(vmx_boundary_interrupt(v));
	ck_assert_uint_eq(v->vmx.vmcs.info.interruption_info, 0x80000041);
	ck_assert_int_eq(f->interrupt, -1);
	restart_with(&c->proc, VMX_MASK(PROC_INTERRUPT_WINDOW_EXITING));
	v->rflags &= ~RFLAGS_IF;
	v->intr_waiting = false;
	ck_assert(!vmx_boundary_int_window(v));
	ck_assert(v->intr_waiting);
	v->rflags |= RFLAGS_IF;
	v->activity = ACT_HLT;
	ck_assert(vmx_boundary_int_window(v));
	exited(EXIT_REASON_INTERRUPT_WINDOW, 0);
	ck_assert_uint_eq(v->vmx.vmcs.guest.activity, ACT_HLT);
	ck_assert_uint_eq(v->activity, ACT_ACTIVE);
}
END_TEST

START_TEST(nmis)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;

	start_guest();
	v->nmi_pending = true;
	ck_assert(!vmx_boundary_nmi(v));
	leave_guest();
	restart_with(&c->pin, VMX_MASK(PIN_NMI_EXITING) | VMX_MASK(PIN_VIRTUAL_NMIS));
	ck_assert(vmx_boundary_nmi(v));
	exited(EXIT_REASON_EXCEPTION_OR_NMI, 0);
	ck_assert_uint_eq(v->vmx.vmcs.info.interruption_info, 0x80000202);
	ck_assert(v->nmi_blocked);
	ck_assert_uint_eq(v->vmx.vmcs.guest.interruptibility, 0);
	/* virtual-NMI blocking is saved and loaded, and shuts the window until IRET */
	v->vmx.vmcs.guest.interruptibility = 8;
	restart_with(&c->proc, VMX_MASK(PROC_NMI_WINDOW_EXITING));
	ck_assert(!v->nmi_blocked);
	ck_assert(!vmx_boundary_windows(v));
	vmx_iret(v);
	ck_assert(vmx_boundary_windows(v));
	exited(EXIT_REASON_NMI_WINDOW, 0);
	ck_assert_uint_eq(v->vmx.vmcs.guest.interruptibility, 0);
}
END_TEST

START_TEST(preemption_timer)
{
	struct vmcs *m = &v->vmx.vmcs;
	u64 left;

	start_guest();
	ck_assert_uint_eq(vmx_timer_ticks_left(v), UINT64_MAX);
	leave_guest();
	m->guest.preemption_timer = 100;
	m->ctl.exit |= VMX_MASK(EXIT_SAVE_PREEMPTION_TIMER_VALUE);
	restart_with(&m->ctl.pin, VMX_MASK(PIN_ACTIVATE_PREEMPTION_TIMER));
	left = vmx_timer_ticks_left(v);
	ck_assert_uint_gt(left + VMX_ENTRY_TICKS, 99 << VMX_PREEMPTION_TIMER_RATE);
	ck_assert_uint_le(left + VMX_ENTRY_TICKS, 100 << VMX_PREEMPTION_TIMER_RATE);
	v->skipped += left - 1;
	ck_assert(!vmx_boundary_windows(v));
	leave_guest();
	ck_assert_uint_eq(m->guest.preemption_timer, 1);
	restart_with(&m->ctl.pin, 0);
	v->skipped += 2 << VMX_PREEMPTION_TIMER_RATE;
	ck_assert_uint_eq(vmx_timer_ticks_left(v), 0);
	ck_assert(vmx_boundary_windows(v));
	exited(EXIT_REASON_PREEMPTION_TIMER, 0);
	ck_assert_uint_eq(m->guest.preemption_timer, 0);
	/* zero expires before the first instruction */
	restart_with(&m->ctl.pin, 0);
	ck_assert(vmx_boundary_windows(v));
}
END_TEST

START_TEST(monitor_trap_flag)
{
	start_guest();
	leave_guest();
	v->icount = 1001;
	restart_with(&v->vmx.vmcs.ctl.proc, VMX_MASK(PROC_MONITOR_TRAP_FLAG));
	v->icount = v->vmx.mtf_icount;
	ck_assert(vmx_boundary_wanted(v));
	ck_assert(!vmx_boundary_traps(v)); /* before the first instruction */
	v->icount++;
	ck_assert(vmx_boundary_traps(v));
	exited(EXIT_REASON_MONITOR_TRAP_FLAG, 0);
	/* a delivered event counts as an instruction */
	restart_with(&v->vmx.vmcs.ctl.pin, 0);
	v->icount = v->vmx.mtf_icount;
	vmx_delivery_end(v);
	ck_assert(vmx_boundary_traps(v));
}
END_TEST

START_TEST(tpr_shadow)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;
	u64 value = 0;

	start_guest();
	leave_guest();
	c->tpr_threshold = 3;
	put64(VAPIC + 0x80, 0x50);
	restart_with(&c->proc, VMX_MASK(PROC_USE_TPR_SHADOW));
	ck_assert(vmx_tpr_shadow(v));
	ck_assert_uint_eq(vmx_cr8_read(v), 5);
	vmx_cr8_write(v, 3);
	ck_assert_uint_eq(phys_read(v, VAPIC + 0x80, 4), 0x30);
	ck_assert(!vmx_boundary_vapic(v));
	vmx_cr8_write(v, 2);
	ck_assert(vmx_boundary_vapic(v));
	exited(EXIT_REASON_TPR_BELOW_THRESHOLD, 0);
	/* the APIC-access page: TPR served, the rest exits */
	c->tpr_threshold = 0;
	c->apic_access = 0x50000;
	restart_with(&c->proc2, VMX_MASK(PROC2_VIRTUALIZE_APIC_ACCESSES));
	ck_assert(vmx_is_apic_page(v, 0x50080));
	ck_assert(!vmx_is_apic_page(v, 0x51080));
	ck_assert_int_eq(vmx_apic_access(v, 0x50080, 0x80, 4, ACCESS_READ, &value), 0);
	ck_assert_uint_eq(value, 0x20);
	value = 0xffffff70;
	ck_assert_int_eq(vmx_apic_access(v, 0x50080, 0x80, 4, ACCESS_WRITE, &value), 0);
	ck_assert(!vmx_boundary_vapic(v)); /* emulation clears bytes 3:1 */
	ck_assert_uint_eq(phys_read(v, VAPIC + 0x80, 4), 0x70);
	ck_assert_int_eq(vmx_apic_access(v, 0x500b0, 0xb0, 4, ACCESS_WRITE, &value), EXEC_VMEXIT);
	exited(EXIT_REASON_APIC_ACCESS, 0x10b0);
	ck_assert_uint_eq(v->vmx.vmcs.info.guest_linear_address, 0x500b0);
}
END_TEST

START_TEST(tsc_offset_and_scaling)
{
	struct vmcs_control *c = &v->vmx.vmcs.ctl;

	start_guest();
	ck_assert_uint_eq(vmx_guest_tsc(v, 1000), 1000);
	leave_guest();
	c->tsc_offset = 50;
	restart_with(&c->proc, VMX_MASK(PROC_USE_TSC_OFFSETTING));
	ck_assert_uint_eq(vmx_guest_tsc(v, 1000), 1050);
	leave_guest();
	c->tsc_multiplier = 3ull << 47; /* 1.5 */
	restart_with(&c->proc2, VMX_MASK(PROC2_USE_TSC_SCALING));
	ck_assert_uint_eq(vmx_guest_tsc(v, 1000), 1550);
}
END_TEST

START_TEST(shadow_vmcs)
{
	struct insn i = {.len = 3, .mod = 3, .reg = RCX, .rm = RAX, .opsize = 8};
	struct vmcs_control *c = &v->vmx.vmcs.ctl;

	start_guest();
	v->reg[RCX] = VMCS_GUEST_RIP;
	ck_assert_int_eq(op_vmread(v, &i), EXEC_VMEXIT); /* no shadowing */
	exited(EXIT_REASON_VMREAD, 0);
	ck_assert_uint_eq(v->vmx.vmcs.info.instruction_info, (RCX << 28) | 1 << 10 | RAX << 3);
	restart_with(&c->proc2, VMX_MASK(PROC2_VMCS_SHADOWING));
	op_vmread(v, &i); /* no link pointer */
	ck_assert_uint_eq(flags(), FAIL_INVALID);
	leave_guest();
	v->vmx.vmcs.guest.link_pointer = SHADOW_REGION;
	restart_with(&c->pin, 0);
	v->reg[RAX] = 0xfeed;
	ck_assert_int_eq(op_vmwrite(v, &i), EXEC_NEXT);
	v->reg[RAX] = 0;
	ck_assert_int_eq(op_vmread(v, &i), EXEC_NEXT);
	ck_assert_uint_eq(v->reg[RAX], 0xfeed);
	phys_write(v, BITMAP_B + VMCS_GUEST_RIP / 8, 0xff, 1);
	ck_assert_int_eq(op_vmwrite(v, &i), EXEC_VMEXIT);
	exited(EXIT_REASON_VMWRITE, 0);
	ck_assert_uint_ne(v->vmx.vmcs.guest.rip, 0xfeed);
	/* what the guest wrote is in the region */
	on_pointer(op_vmptrld, SHADOW_REGION);
	ck_assert_uint_eq(v->vmx.vmcs.guest.rip, 0xfeed);
}
END_TEST

START_TEST(instruction_information)
{
	struct insn i = memory_insn(0x40, RDX);

	start_guest();
	i.base = RBX;
	i.index = RSI;
	i.scale = 2;
	i.disp = -8;
	vmx_intercept(v, &i, X_INVEPT);
	exited(EXIT_REASON_INVEPT, (u64)-8);
	ck_assert_uint_eq(v->vmx.vmcs.info.instruction_info,
			  2 | 2 << 7 | SEG_DS << 15 | RSI << 18 | RBX << 23 | RDX << 28);
	restart_with(&v->vmx.vmcs.ctl.pin, 0);
	v->rip = GUEST_RIP;
	i.base = REG_RIP;
	i.index = REG_NONE;
	vmx_intercept(v, &i, X_INVEPT);
	exited(EXIT_REASON_INVEPT, GUEST_RIP + 4 - 8);
	ck_assert_uint_eq(v->vmx.vmcs.info.instruction_info >> 22 & 1, 1);
	ck_assert_uint_eq(v->vmx.vmcs.info.instruction_info >> 27 & 1, 1);
}
END_TEST

START_TEST(pending_debug_exceptions)
{
	struct vmcs_guest *g = &v->vmx.vmcs.guest;

	vmx_on_and_current();
	fill_vmcs();
	g->pending_debug = 0x1002;
	enter();
	ck_assert_uint_eq(v->pending_dbg, 0x1002);
	leave_guest();
	ck_assert_uint_eq(g->pending_debug, 0x1002);
	ck_assert_uint_eq(v->pending_dbg, 0);
	/* breakpoints that were not enabled are forgotten */
	g->pending_debug = 2;
	restart_with(&v->vmx.vmcs.ctl.pin, 0);
	ck_assert_uint_eq(v->pending_dbg, 0);
	/* blocking by STI with TF: BS is pending */
	v->shadow = SHADOW_STI;
	v->shadow_at = vcpu_icount(v);
	v->rflags |= RFLAGS_TF;
	leave_guest();
	ck_assert_uint_eq(g->pending_debug, 0x4000);
	ck_assert_uint_eq(g->interruptibility, 1);
}
END_TEST

START_TEST(init_and_sipi)
{
	start_guest();
	v->init_pending = true;
	ck_assert(vmx_boundary_init(v));
	exited(EXIT_REASON_INIT_SIGNAL, 0);
	ck_assert(vmx_init_blocked(v));
	v->vmx.vmcs.guest.activity = ACT_WAIT_SIPI;
	restart_with(&v->vmx.vmcs.ctl.pin, 0);
	ck_assert_uint_eq(v->activity, ACT_WAIT_SIPI);
	v->init_pending = true; /* blocked in wait-for-SIPI */
	ck_assert(!vmx_boundary_init(v));
	v->sipi_pending = true;
	v->sipi_vector = 0x9a;
	ck_assert(vmx_boundary_init(v));
	exited(EXIT_REASON_SIPI, 0x9a);
}
END_TEST

START_TEST(smm_leaves_vmx_operation)
{
	start_guest();
	leave_guest();
	v->vmx.vmcs.ctl.vpid = 7;
	restart_with(&v->vmx.vmcs.ctl.proc2, VMX_MASK(PROC2_ENABLE_VPID));
	ck_assert_uint_eq(v->vmx.vpid, 7);
	vmx_smi(v);
	ck_assert(!v->vmx.vmxon && !v->vmx.non_root);
	ck_assert_uint_eq(v->vmx.vpid, 0);
	ck_assert_int_eq(op_vmxoff(v, &plain), EXEC_FAULT);
	ck_assert(vmx_rsm(v));
	ck_assert(v->vmx.vmxon && v->vmx.non_root);
	ck_assert_uint_eq(v->vmx.vpid, 7);
	leave_guest();
	exited(EXIT_REASON_CPUID, 0);
}
END_TEST

START_TEST(derived_state_after_a_load)
{
	struct vmx_state saved;

	start_guest();
	leave_guest();
	v->vmx.vmcs.ctl.vpid = 7;
	v->vmx.vmcs.guest.preemption_timer = 5;
	v->vmx.vmcs.ctl.pin |= VMX_MASK(PIN_ACTIVATE_PREEMPTION_TIMER);
	restart_with(&v->vmx.vmcs.ctl.proc2, VMX_MASK(PROC2_ENABLE_VPID));
	vmx_before_save(v);
	saved = v->vmx;
	memset(&v->vmx.ctl, 0, sizeof(v->vmx.ctl));
	v->vmx.vpid = 0;
	v->vmx.timer_armed = false;
	vmx_after_load(v);
	ck_assert_mem_eq(&saved.ctl, &v->vmx.ctl, sizeof(saved.ctl));
	ck_assert_uint_eq(v->vmx.vpid, 7);
	ck_assert(v->vmx.timer_armed);
	ck_assert_uint_eq(v->vmx.dirty, VMCS_DIRTY_ALL);
}
END_TEST

START_TEST(feature_control_locks)
{
	u64 value;

	v->vmx.feature_control = 0;
	ck_assert(!vmx_msr_write(v, 0x3a, 2)); /* SMX is not there */
	ck_assert(vmx_msr_write(v, 0x3a, 4));
	ck_assert(vmx_msr_write(v, 0x3a, 5));
	ck_assert(!vmx_msr_write(v, 0x3a, 5));
	ck_assert(vmx_msr_read(v, 0x3a, &value));
	ck_assert_uint_eq(value, 5);
	ck_assert(!vmx_msr_write(v, 0x480, 0));
	vmx_reset(v, true);
	ck_assert_uint_eq(v->vmx.feature_control, 5);
	vmx_reset(v, false);
	ck_assert_uint_eq(v->vmx.feature_control, 0);
}
END_TEST

Suite *vmx_guest_suite(void)
{
	Suite *s = suite_create("vmx_guest");
	TCase *t = tcase_create("guest");

	tcase_add_checked_fixture(t, vmx_bench_setup, vmx_bench_teardown);
	tcase_add_test(t, instructions_exit_by_their_control);
	tcase_add_test(t, io_bitmaps);
	tcase_add_test(t, msr_bitmaps);
	tcase_add_test(t, control_register_masks);
	tcase_add_test(t, cr3_targets);
	tcase_add_test(t, exception_bitmap);
	tcase_add_test(t, interrupts_and_windows);
	tcase_add_test(t, nmis);
	tcase_add_test(t, preemption_timer);
	tcase_add_test(t, monitor_trap_flag);
	tcase_add_test(t, tpr_shadow);
	tcase_add_test(t, tsc_offset_and_scaling);
	tcase_add_test(t, shadow_vmcs);
	tcase_add_test(t, instruction_information);
	tcase_add_test(t, pending_debug_exceptions);
	tcase_add_test(t, init_and_sipi);
	tcase_add_test(t, smm_leaves_vmx_operation);
	tcase_add_test(t, derived_state_after_a_load);
	tcase_add_test(t, feature_control_locks);
	suite_add_tcase(s, t);
	return s;
}
