/*
 * VMX on two processors: a VMCS that moves between them, with and without VMCLEAR, INIT and SIPI.
 */
#include <check.h>

#include "tests/unit/test_vmx_rig.h"

Suite *vmx_smp_suite(void);

static struct vcpu *a, *b;

static void setup(void)
{
	rig_setup();
	a = rig_cpu(0);
	b = rig_cpu(1);
	RIG_CODE(RIG_HOST, "\xf4");
	/* INC RAX; CPUID; and again */
	RIG_CODE(RIG_GUEST, "\x48\xff\xc0\x0f\xa2\x48\xff\xc0\x0f\xa2\x48\xff\xc0\x0f\xa2");
}

/* Enters and runs to the HLT at HOST_RIP; the guest's RIP at its exit. */
static u64 round_trip(struct vcpu *v)
{
	ck_assert(rig_enter(v));
	vcpu_run(v, 100000);
	ck_assert(!v->vmx.non_root);
	ck_assert_uint_eq(v->rip, RIG_HOST + 1);
	ck_assert_uint_eq(v->reg[RSP], 0x6000);
	ck_assert_uint_eq(v->cr3, RIG_PML4);
	v->activity = ACT_ACTIVE;
	return v->vmx.vmcs.guest.rip;
}

/* The step of a KVM that moves a virtual processor. */
START_TEST(vmcs_moves)
{
	rig_vmxon(a);
	rig_vmxon(b);
	rig_load(a, RIG_VMCS);
	ck_assert_uint_eq(round_trip(a), RIG_GUEST + 3);
	a->vmx.vmcs.guest.rip += 2;
	rig_pointer(a, op_vmclear, RIG_VMCS);
	ck_assert_uint_eq(a->vmx.current_ptr, VMX_NO_POINTER);
	rig_pointer(b, op_vmptrld, RIG_VMCS);
	rig_exec(b, op_vmresume); /* VMCLEAR made it clear */
	ck_assert_uint_eq(flags_arith(b), RFLAGS_ZF);
	ck_assert_uint_eq(round_trip(b), RIG_GUEST + 8);
	ck_assert_uint_eq(b->vmx.vmcs.host.rsp, 0x6000);
	/* and back */
	b->vmx.vmcs.guest.rip += 2;
	rig_pointer(b, op_vmclear, RIG_VMCS);
	rig_pointer(a, op_vmptrld, RIG_VMCS);
	ck_assert_uint_eq(round_trip(a), RIG_GUEST + 13);
}
END_TEST

/* What software must not do: the contents are undefined, each processor's own state is not. */
START_TEST(vmcs_active_on_two)
{
	struct vmx_state *y = &b->vmx;

	rig_vmxon(a);
	rig_vmxon(b);
	rig_load(a, RIG_VMCS);
	rig_pointer(b, op_vmptrld, RIG_VMCS);
	rig_load(b, RIG_VMCS);
	for (unsigned n = 0; n < 20; n++) {
		struct vcpu *v = n & 1 ? b : a;

		v->vmx.vmcs.guest.rip = RIG_GUEST;
		round_trip(v);
		if (n % 3 == 0)
			rig_pointer(b, op_vmclear, RIG_VMCS);
		if (n % 5 == 0)
			rig_pointer(a, op_vmptrld, RIG_VMCS + 0x1000);
		rig_pointer(a, op_vmptrld, RIG_VMCS);
		rig_pointer(b, op_vmptrld, RIG_VMCS);
	}
	/* the region written over while it is current */
	for (u64 k = 8; k < 4096; k += 8)
		phys_write(a, RIG_VMCS + k, ~0ull, 8);
	y->vmcs.guest.rip = RIG_GUEST;
	ck_assert_uint_eq(round_trip(b), RIG_GUEST + 3);
	rig_pointer(a, op_vmptrld, RIG_VMCS + 0x1000);
	phys_write(a, RIG_VMCS + 16, ~0ull, 8);
	rig_pointer(a, op_vmptrld, RIG_VMCS); /* the controls are ones */
	ck_assert(!rig_enter(a));
	ck_assert(!a->vmx.non_root);
}
END_TEST

START_TEST(init_waits_for_vmxoff)
{
	rig_vmxon(b);
	b->init_pending = true;
	rig_run_at(b, RIG_HOST, 10);
	ck_assert(b->init_pending && b->vmx.vmxon);
	ck_assert_int_eq(b->activity, ACT_HLT);
	rig_exec(b, op_vmxoff);
	ck_assert(vcpu_wakes(b));
	ck_assert(!b->init_pending && !b->vmx.vmxon);
	ck_assert_int_eq(b->activity, ACT_WAIT_SIPI);
}
END_TEST

/* A virtual processor that its hypervisor lets wait for SIPI in hardware. */
START_TEST(wait_for_sipi)
{
	struct vmcs *m = &b->vmx.vmcs;

	rig_vmxon(b);
	rig_load(b, RIG_VMCS);
	m->guest.activity = ACT_WAIT_SIPI;
	m->ctl.pin |= VMX_MASK(PIN_ACTIVATE_PREEMPTION_TIMER) |
		      VMX_MASK(PIN_EXTERNAL_INTERRUPT_EXITING) | VMX_MASK(PIN_NMI_EXITING);
	ck_assert(rig_enter(b));
	/* the timer has run out, an interrupt, an NMI and an INIT are there: it waits */
	rig_interrupt(1, 0x40);
	b->nmi_pending = b->init_pending = b->smi_pending = true;
	ck_assert_uint_eq(vmx_timer_ticks_left(b), UINT64_MAX);
	vcpu_run(b, 100);
	ck_assert_uint_eq(rig_reason(b), 0);
	ck_assert_int_eq(b->stop_reason, STOP_HALT);
	ck_assert(b->vmx.non_root);
	ck_assert_int_eq(b->activity, ACT_WAIT_SIPI);
	/* from the other processor */
	b->sipi_pending = true;
	b->sipi_vector = 0x77;
	vcpu_notify(b);
	ck_assert(vcpu_wakes(b));
	ck_assert_uint_eq(rig_reason(b), EXIT_REASON_SIPI);
	ck_assert_uint_eq(m->info.qualification, 0x77);
	ck_assert_uint_eq(m->guest.activity, ACT_WAIT_SIPI);
	/* a SIPI in another state is lost, the INIT exits once the guest runs */
	b->smi_pending = false;
	b->sipi_pending = true;
	m->guest.activity = ACT_ACTIVE;
	rig_touched(b);
	ck_assert(rig_enter(b));
	vcpu_run(b, 1);
	ck_assert_uint_eq(rig_reason(b), EXIT_REASON_INIT_SIGNAL);
	ck_assert(!b->sipi_pending && !b->init_pending);
}
END_TEST

Suite *vmx_smp_suite(void)
{
	Suite *s = suite_create("vmx_smp");
	TCase *two = tcase_create("two");

	tcase_add_checked_fixture(two, setup, rig_teardown);
	tcase_add_test(two, vmcs_moves);
	tcase_add_test(two, vmcs_active_on_two);
	tcase_add_test(two, init_waits_for_vmxoff);
	tcase_add_test(two, wait_for_sipi);
	suite_add_tcase(s, two);
	return s;
}
