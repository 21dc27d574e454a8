/*
 * CET state and IA32_PKRS across VM entries and VM exits: loaded as the controls say, saved as the
 * processor's capabilities say; injected #CP; and which controls a model has.
 */
#include "tests/unit/test_cet.h"
#include "vmx/exit_reasons.h"
#include "vmx/internal.h"

#define G_S_CET (0x7000 | CET_ENDBR_EN)
#define G_SSP 0x1238
#define G_TABLE 0x2000
#define H_S_CET (0x9000 | CET_NO_TRACK_EN)
#define H_SSP 0x5554
#define H_TABLE 0x6000
#define ALL_CET VMX_MASK(ENTRY_LOAD_CET_STATE)

static struct cet_run run;
static struct vcpu *v;
static struct vmcs *m;

static void segment(unsigned n, u16 sel, u32 ar)
{
	m->guest.seg[n] = (struct vmcs_segment){.selector = sel, .ar = ar, .limit = 0xffffffff};
}

/* A VMCS that passes all checks, for a guest in 64-bit mode as its host is. */
static void setup(void)
{
	run = cet_run_new(0, true);
	v = run.v;
	m = &v->vmx.vmcs;
	v->cr4 |= CR4_VMXE;
	vcpu_recompute(v);
	v->vmx.vmxon = true;
	v->vmx.current_ptr = 0x100000;
	v->vmx.dirty = VMCS_DIRTY_ALL;
	m->ctl.pin = (u32)v->vmx.caps.true_must1[VMX_PIN];
	m->ctl.proc = (u32)v->vmx.caps.true_must1[VMX_PROC];
	m->ctl.exit =
		(u32)(v->vmx.caps.true_must1[VMX_EXIT] | VMX_MASK(EXIT_HOST_ADDRESS_SPACE_SIZE));
	m->ctl.entry = (u32)(v->vmx.caps.true_must1[VMX_ENTRY] | VMX_MASK(ENTRY_IA32E_MODE_GUEST));
	m->guest.cr0 = m->host.cr0 = v->cr0;
	m->guest.cr3 = m->host.cr3 = v->cr3;
	m->guest.cr4 = m->host.cr4 = v->cr4;
	m->guest.dr7 = 0x400;
	m->guest.rflags = 2;
	m->guest.rip = AT_CODE;
	m->guest.rsp = AT_KSTACK;
	m->guest.link_pointer = ~0ull;
	segment(VMCS_CS, KCODE64, 0xa09b);
	for (unsigned n = VMCS_ES; n <= VMCS_GS; n++)
		if (n != VMCS_CS)
			segment(n, KDATA, 0xc093);
	segment(VMCS_TR, SEL_TSS, 0x808b);
	segment(VMCS_LDTR, 0, 0x10082);
	m->guest.gdtr_base = AT_GDT;
	m->guest.gdtr_limit = BEYOND - 1;
	m->guest.idtr_base = AT_IDT;
	m->guest.idtr_limit = 0xfff;
	m->host.cs_selector = KCODE64;
	m->host.ss_selector = KDATA;
	m->host.tr_selector = SEL_TSS;
	m->host.rip = AT_TARGET;
	m->host.rsp = AT_KSTACK;
	m->guest.s_cet = G_S_CET;
	m->guest.ssp = G_SSP;
	m->guest.interrupt_ssp_table = G_TABLE;
	m->guest.pkrs = 0x11;
	m->host.s_cet = H_S_CET;
	m->host.ssp = H_SSP;
	m->host.interrupt_ssp_table = H_TABLE;
	m->host.pkrs = 0x22;
}

static void teardown(void)
{
	cet_run_free(&run);
}

static void enter(void)
{
	ck_assert_int_eq(vm_enter(v), EXEC_VMEXIT);
	ck_assert(v->vmx.non_root);
}

static void leave(void)
{
	struct vm_exit e = {.reason = EXIT_REASON_CPUID, .length = 2};

	ck_assert_int_eq(vm_exit(v, &e), EXEC_VMEXIT);
	ck_assert(!v->vmx.non_root);
}

static void current(u64 s_cet, u64 ssp, u64 table, u64 pkrs)
{
	v->cet[CET_S] = s_cet;
	v->ssp = ssp;
	v->int_ssp_table = table;
	v->pkrs = pkrs;
	vcpu_recompute(v);
}

#define ck_state(s_cet, ssp_, table, pkrs_)                                                        \
	do {                                                                                       \
		ck_assert_uint_eq(v->cet[CET_S], s_cet);                                           \
		ck_assert_uint_eq(v->ssp, ssp_);                                                   \
		ck_assert_uint_eq(v->int_ssp_table, table);                                        \
		ck_assert_uint_eq(v->pkrs, pkrs_);                                                 \
	} while (0)

START_TEST(loaded_and_saved)
{
	m->ctl.entry |= (u32)(VMX_MASK(ENTRY_LOAD_CET_STATE) | VMX_MASK(ENTRY_LOAD_PKRS));
	m->ctl.exit |= (u32)(VMX_MASK(EXIT_LOAD_CET_STATE) | VMX_MASK(EXIT_LOAD_PKRS));
	enter();
	ck_state(G_S_CET, G_SSP, G_TABLE, 0x11);
	ck_assert(v->mode_key & 8); /* the derived state follows: KEY_IBT */
	current(CET_ENDBR_EN, 0x40, 0x48, 0x33);
	leave();
	ck_state(H_S_CET, H_SSP, H_TABLE, 0x22);
	ck_assert(!(v->mode_key & 8));
	ck_assert_uint_eq(m->guest.s_cet, CET_ENDBR_EN);
	ck_assert_uint_eq(m->guest.ssp, 0x40);
	ck_assert_uint_eq(m->guest.interrupt_ssp_table, 0x48);
	ck_assert_uint_eq(m->guest.pkrs, 0x33);
}
END_TEST

/* Without the controls nothing is loaded, and all the same everything is saved. */
START_TEST(saved_without_controls)
{
	current(CET_NO_TRACK_EN, 0x10, 0x18, 0x44);
	enter();
	ck_state(CET_NO_TRACK_EN, 0x10, 0x18, 0x44);
	leave();
	ck_state(CET_NO_TRACK_EN, 0x10, 0x18, 0x44);
	ck_assert_uint_eq(m->guest.s_cet, CET_NO_TRACK_EN);
	ck_assert_uint_eq(m->guest.ssp, 0x10);
	ck_assert_uint_eq(m->guest.interrupt_ssp_table, 0x18);
	ck_assert_uint_eq(m->guest.pkrs, 0x44);
}
END_TEST

/* A tracker that waits in the guest waits again after the next entry. */
START_TEST(tracker_across_exits)
{
	m->ctl.entry |= (u32)VMX_MASK(ENTRY_LOAD_CET_STATE);
	m->ctl.exit |= (u32)VMX_MASK(EXIT_LOAD_CET_STATE);
	m->guest.s_cet = CET_ENDBR_EN | CET_TRACKER;
	enter();
	ck_assert(v->ibt_wait);
	leave();
	ck_assert(!v->ibt_wait);
	ck_assert_uint_eq(m->guest.s_cet, CET_ENDBR_EN | CET_TRACKER);
}
END_TEST

/* Keys of the host and of the guest do not see each other's translations. */
START_TEST(pkrs_and_tlb)
{
	struct tlb_table *host;

	v->cr4 |= CR4_PKS;
	vcpu_recompute(v);
	m->guest.cr4 = m->host.cr4 = v->cr4;
	m->ctl.entry |= (u32)VMX_MASK(ENTRY_LOAD_PKRS);
	m->ctl.exit |= (u32)VMX_MASK(EXIT_LOAD_PKRS);
	host = v->table;
	enter();
	ck_assert_ptr_ne(v->table, host);
	leave();
	ck_assert_uint_eq(v->tlb.cur->keys, 0x22ull << 32);
}
END_TEST

static bool fails(u32 info, u32 error)
{
	m->ctl.entry_interruption_info = info;
	m->ctl.entry_error_code = error;
	v->vmx.dirty = VMCS_DIRTY_ALL;
	vm_enter(v);
	if (!v->vmx.non_root)
		return true;
	v->inject.valid = false;
	leave();
	return false;
}

/* IA32_VMX_BASIC[56]: with or without an error code, whatever the vector. */
START_TEST(injected_control_protection)
{
	ck_assert(v->vmx.caps.basic & BIT(56));
	ck_assert(!fails(0x80000b15, CP_NEAR_RET));
	ck_assert(!fails(0x80000315, 0));
	ck_assert(!fails(0x80000306, 0));
	ck_assert(!fails(0x80000b06, 0));
	ck_assert(fails(0x80000815, 0)); /* an error code, and no hardware exception */
	v->vmx.caps.basic &= ~BIT(56);
	ck_assert(!fails(0x80000b15, CP_NEAR_RET));
	ck_assert(fails(0x80000315, 0));
	ck_assert(fails(0x80000b06, 0));
	v->vmx.caps.cr4_fixed1 &= ~CR4_CET; /* no CET: vector 21 has no error code */
	m->guest.cr4 &= ~CR4_CET;
	m->host.cr4 &= ~CR4_CET;
	ck_assert(fails(0x80000b15, CP_NEAR_RET));
	ck_assert(!fails(0x80000315, 0));
}
END_TEST

START_TEST(controls_follow_the_model)
{
	u64 value;

	ck_assert(vmx_may(&v->vmx.caps, ENTRY_LOAD_CET_STATE));
	ck_assert(vmx_msr_read(v, 0x493, &value));
	ck_assert_uint_eq(value & BIT(3), BIT(3));
	run.e->model.features[FEAT_SHSTK / 64] &= ~BIT(FEAT_SHSTK % 64);
	vmx_cpu_init(v);
	ck_assert(vmx_may(&v->vmx.caps, ENTRY_LOAD_CET_STATE));
	ck_assert(!vmx_may(&v->vmx.caps, EXIT2_PREMATURELY_BUSY_SHADOW_STACK));
	run.e->model.features[FEAT_IBT / 64] &= ~BIT(FEAT_IBT % 64);
	run.e->model.features[FEAT_PKS / 64] &= ~BIT(FEAT_PKS % 64);
	vmx_cpu_init(v);
	ck_assert(!vmx_may(&v->vmx.caps, ENTRY_LOAD_CET_STATE));
	ck_assert(!vmx_may(&v->vmx.caps, EXIT_LOAD_CET_STATE));
	ck_assert(!vmx_may(&v->vmx.caps, ENTRY_LOAD_PKRS));
	ck_assert(!vmx_may(&v->vmx.caps, EXIT_LOAD_PKRS));
	ck_assert(!(v->vmx.caps.basic & BIT(56)));
}
END_TEST

Suite *cet_vmx_suite(void);

Suite *cet_vmx_suite(void)
{
	Suite *s = suite_create("cet_vmx");
	TCase *t = tcase_create("CET and PKRS in VMX");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, loaded_and_saved);
	tcase_add_test(t, saved_without_controls);
	tcase_add_test(t, tracker_across_exits);
	tcase_add_test(t, pkrs_and_tlb);
	tcase_add_test(t, injected_control_protection);
	tcase_add_test(t, controls_follow_the_model);
	suite_add_tcase(s, t);
	return s;
}
