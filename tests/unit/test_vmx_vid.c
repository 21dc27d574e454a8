/*
 * Virtual-interrupt delivery and posted interrupts: guest code runs, and RIP, the virtual-APIC page
 * and the guest interrupt status say what was delivered, and when.
 */
#include "tests/unit/apicv_rig.h"

Suite *vmx_vid_suite(void);

#define NOP 0x90
#define STI 0xfb
#define HLT 0xf4

enum { IRR = RIG_VAPIC + 0x200, ISR = RIG_VAPIC + 0x100, TPR = RIG_VAPIC + 0x80 };
enum { PPR = RIG_VAPIC + 0xa0 };

static struct vcpu *v;
static struct vmcs *m;

static void setup(void)
{
	apicv_setup();
	v = apicv_cpu();
	m = apicv_vmcs();
	apicv_vid();
	apicv_control(PROC2_VIRTUALIZE_X2APIC_MODE);
	RIG_CODE(NOP, NOP, NOP, NOP, NOP, NOP);
}

static bool bit(u64 base, unsigned vector)
{
	return apicv_read(base + vector / 32 * 16) >> (vector & 31) & 1;
}

static void set_bit(u64 base, unsigned vector)
{
	u64 at = base + vector / 32 * 16;

	apicv_write(at, apicv_read(at) | BIT(vector & 31), 4);
}

static void request(unsigned vector)
{
	set_bit(IRR, vector);
	if (vector > (m->guest.interrupt_status & 0xff))
		m->guest.interrupt_status = (u16)((m->guest.interrupt_status & 0xff00) | vector);
}

static void leave(void)
{
	static const struct insn plain = {.len = 3, .mod = 3};

	if (v->vmx.non_root)
		ck_assert_int_eq(vmx_intercept(v, &plain, X_CPUID), EXEC_VMEXIT);
}

/* --- VM entry --- */

START_TEST(delivered_at_entry)
{
	request(0x31);
	request(0x85);
	set_bit(ISR, 0x30);
	m->guest.interrupt_status |= 0x3000;
	apicv_enter(1);
	apicv_in_handler(0x85);
	ck_assert(!bit(IRR, 0x85) && bit(IRR, 0x31));
	ck_assert(bit(ISR, 0x85) && bit(ISR, 0x30));
	ck_assert_uint_eq(apicv_read(PPR), 0x80);
	ck_assert_uint_eq(apicv_read(v->reg[RSP]), RIG_CODE); /* no instruction ran */
	leave();
	ck_assert_uint_eq(m->guest.interrupt_status, 0x8531);
	/* of the same class as what is in service: waits */
	request(0x8f);
	apicv_enter(3);
	apicv_in_handler(0x85);
	leave();
	ck_assert_uint_eq(m->guest.interrupt_status, 0x858f);
}
END_TEST

START_TEST(priority_of_entry)
{
	apicv_write(TPR, 0x5c, 4);
	request(0x5f);
	apicv_enter(1);
	apicv_at(1);
	ck_assert_uint_eq(apicv_read(PPR), 0x5c);
	leave();
	m->guest.rip = RIG_CODE;
	request(0x60);
	apicv_enter(1);
	apicv_in_handler(0x60);
	leave();
	m->guest.rip = RIG_CODE;
	m->guest.interrupt_status = 0x6860;
	apicv_enter(1);
	ck_assert_uint_eq(apicv_read(PPR), 0x60); /* SVI's class is above VTPR's */
	apicv_at(1);
}
END_TEST

START_TEST(not_loaded_without_the_control)
{
	m->ctl.proc2 &= ~VMX_MASK(PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	request(0x85);
	apicv_enter(1);
	apicv_at(1);
	leave();
	ck_assert_uint_eq(m->guest.interrupt_status, 0x85);
}
END_TEST

/* --- blocking --- */

START_TEST(waits_for_if_and_sti)
{
	RIG_CODE(NOP, STI, NOP, NOP);
	request(0x85);
	m->guest.rflags = 2;
	apicv_enter(1);
	apicv_at(1);
	apicv_run(1);
	apicv_at(2);
	apicv_run(1);
	apicv_at(3); /* the shadow of STI covers one instruction */
	apicv_run(1);
	apicv_in_handler(0x85);
	ck_assert_uint_eq(apicv_read(v->reg[RSP]), RIG_CODE + 3);
}
END_TEST

START_TEST(popf_and_mov_ss)
{
	RIG_CODE(0x9d, NOP, NOP); /* popf */
	apicv_write(0x61000, 0x202, 8);
	m->guest.rsp = 0x61000;
	m->guest.rflags = 2;
	request(0x85);
	apicv_enter(5);
	apicv_in_handler(0x85);
	ck_assert_uint_eq(apicv_read(v->reg[RSP]), RIG_CODE + 1);
	leave();
	RIG_CODE(NOP, NOP);
	m->guest.interrupt_status = 0x85;
	apicv_write(PPR, 0, 4);
	m->guest.rflags = 0x202;
	m->guest.interruptibility = 2;
	apicv_enter(5);
	apicv_in_handler(0x85);
	ck_assert_uint_eq(apicv_read(v->reg[RSP]), RIG_CODE + 1);
}
END_TEST

START_TEST(window_exiting_takes_its_place)
{
	request(0x85);
	apicv_control(PROC_INTERRUPT_WINDOW_EXITING);
	apicv_enter(1);
	apicv_exited(EXIT_REASON_INTERRUPT_WINDOW, 0);
	ck_assert_uint_eq(m->guest.interrupt_status, 0x85);
	m->guest.rflags = 2;
	apicv_enter(2);
	apicv_at(2);
}
END_TEST

START_TEST(activity_states)
{
	request(0x85);
	m->guest.activity = ACT_HLT;
	apicv_enter(1);
	apicv_in_handler(0x85);
	ck_assert_uint_eq(v->activity, ACT_ACTIVE);
	leave();
	/* IF = 0: sleeps on */
	m->guest.rip = RIG_CODE;
	m->guest.activity = ACT_HLT;
	m->guest.interrupt_status = 0x85;
	m->guest.rflags = 2;
	apicv_enter(1);
	apicv_at(0);
	ck_assert_uint_eq(v->activity, ACT_HLT);
	leave();
	m->guest.rflags = 0x202;
	m->guest.activity = ACT_SHUTDOWN;
	apicv_enter(1);
	ck_assert_uint_eq(v->activity, ACT_SHUTDOWN);
	leave();
	/* HLT with a virtual interrupt recognized in its shadow */
	RIG_CODE(STI, HLT, NOP);
	m->guest.activity = ACT_ACTIVE;
	m->guest.rflags = 2;
	apicv_enter(2);
	ck_assert_uint_eq(v->activity, ACT_HLT);
	apicv_run(1);
	apicv_in_handler(0x85);
	ck_assert_uint_eq(apicv_read(v->reg[RSP]), RIG_CODE + 2);
}
END_TEST

/* --- priority among events --- */

START_TEST(nmi_first)
{
	request(0x85);
	v->nmi_pending = true;
	apicv_enter(4);
	apicv_in_handler(0x85); /* from the NMI's handler: its gate leaves IF alone */
	ck_assert_uint_eq(apicv_read(v->reg[RSP]), RIG_HANDLERS + 16 * VEC_NMI);
}
END_TEST

START_TEST(nmi_window_first)
{
	request(0x85);
	apicv_control(PROC_NMI_WINDOW_EXITING);
	apicv_enter(1);
	apicv_exited(EXIT_REASON_NMI_WINDOW, 0);
	ck_assert_uint_eq(m->guest.interrupt_status, 0x85);
}
END_TEST

START_TEST(before_external_interrupts)
{
	request(0x85);
	apicv_rig()->interrupt = 0x40;
	apicv_enter(1);
	apicv_exited(EXIT_REASON_EXTERNAL_INTERRUPT, 0);
	ck_assert_uint_eq(m->guest.rip, RIG_HANDLERS + 16 * 0x85);
	ck_assert_uint_eq(m->guest.interrupt_status, 0x8500);
}
END_TEST

START_TEST(behind_the_injected_event)
{
	request(0x85);
	m->ctl.entry_interruption_info = 0x80000040;
	apicv_enter(1);
	apicv_in_handler(0x85);
	ck_assert_uint_eq(apicv_read(v->reg[RSP]), RIG_HANDLERS + 16 * 0x40);
}
END_TEST

START_TEST(monitor_trap_flag_after_delivery)
{
	request(0x85);
	apicv_control(PROC_MONITOR_TRAP_FLAG);
	apicv_enter(1);
	apicv_exited(EXIT_REASON_MONITOR_TRAP_FLAG, 0);
	ck_assert_uint_eq(m->guest.rip, RIG_HANDLERS + 16 * 0x85);
}
END_TEST

START_TEST(exit_in_delivery)
{
	request(0x85);
	m->guest.idtr_limit = 0x7f;
	m->ctl.exception_bitmap = 1 << VEC_GP;
	apicv_enter(1);
	apicv_exited(EXIT_REASON_EXCEPTION_OR_NMI, 0);
	ck_assert_uint_eq(m->info.idt_vectoring_info, 0x80000085);
	ck_assert_uint_eq(m->guest.interrupt_status, 0x8500); /* it was delivered */
}
END_TEST

/* --- CR8, EOI, self-IPI --- */

START_TEST(cr8_lets_it_in)
{
	RIG_CODE(0x44, 0x0f, 0x22, 0xc0, NOP); /* mov cr8, rax */
	apicv_write(TPR, 0xf0, 4);
	request(0x85);
	v->reg[RAX] = 8;
	apicv_enter(1);
	apicv_at(4);
	leave();
	m->guest.rip = RIG_CODE;
	v->reg[RAX] = 7;
	apicv_enter(2);
	apicv_in_handler(0x85);
	ck_assert_uint_eq(apicv_read(v->reg[RSP]), RIG_CODE + 4);
	ck_assert_uint_eq(apicv_read(TPR), 0x70);
}
END_TEST

static void wrmsr(u32 msr, u32 value)
{
	RIG_CODE(0x0f, 0x30, NOP, NOP, NOP);
	v->reg[RCX] = msr;
	v->reg[RAX] = value;
	v->reg[RDX] = 0;
}

START_TEST(eoi)
{
	wrmsr(0x80b, 0);
	set_bit(ISR, 0x85);
	set_bit(ISR, 0x44);
	request(0x51);
	m->guest.interrupt_status |= 0x8500;
	apicv_enter(2);
	apicv_in_handler(0x51);
	ck_assert(!bit(ISR, 0x85) && bit(ISR, 0x44) && bit(ISR, 0x51));
	leave();
	ck_assert_uint_eq(m->guest.interrupt_status, 0x5100);
	/* nothing in service: vector 0 */
	m->guest.rip = RIG_CODE;
	m->guest.interrupt_status = 0;
	apicv_write(ISR + 32, 0, 4);
	apicv_write(ISR + 0x40, 0, 4);
	apicv_enter(1);
	apicv_at(2);
	ck_assert_uint_eq(apicv_read(PPR), apicv_read(TPR));
}
END_TEST

START_TEST(eoi_exit)
{
	wrmsr(0x80b, 0);
	set_bit(ISR, 0x85);
	request(0x51);
	m->guest.interrupt_status |= 0x8500;
	m->ctl.eoi_exit_bitmap[2] = 1 << 5;
	m->guest.rflags = 0x302; /* the single step's trap is pending */
	apicv_enter(1);
	v->init_pending = true; /* has to wait */
	apicv_run(1);
	apicv_exited(EXIT_REASON_VIRTUALIZED_EOI, 0x85);
	v->init_pending = false;
	ck_assert_uint_eq(m->guest.rip, RIG_CODE + 2);
	ck_assert_uint_eq(m->guest.pending_debug & 0x4000, 0x4000);
	ck_assert_uint_eq(m->guest.interrupt_status, 0x51);
	ck_assert(!bit(ISR, 0x85));
	/* entry evaluates */
	m->guest.rflags = 0x202;
	m->guest.pending_debug = 0;
	apicv_enter(1);
	apicv_in_handler(0x51);
}
END_TEST

START_TEST(self_ipi)
{
	wrmsr(0x83f, 0x61);
	apicv_enter(2);
	apicv_in_handler(0x61);
	leave();
	ck_assert_uint_eq(m->guest.interrupt_status, 0x6100);
	wrmsr(0x83f, 0x51); /* lower than what is in service */
	apicv_enter(1);
	apicv_at(2);
	leave();
	ck_assert_uint_eq(m->guest.interrupt_status, 0x6151);
	ck_assert(bit(IRR, 0x51));
}
END_TEST

static void icr_low(u32 value, bool self)
{
	RIG_CODE(0x89, 0x03, NOP, NOP);
	m->guest.interrupt_status = 0;
	v->reg[RBX] = RIG_APIC + 0x300;
	v->reg[RAX] = value;
	apicv_enter(1);
	apicv_run(v->vmx.non_root);
	ck_assert_uint_eq(apicv_read(RIG_VAPIC + 0x300), value);
	if (self) {
		apicv_in_handler(value & 0xff);
	} else {
		apicv_exited(EXIT_REASON_APIC_WRITE, 0x300);
		ck_assert_uint_eq(m->guest.rip, RIG_CODE + 2);
	}
	leave();
}

START_TEST(self_ipi_by_icr)
{
	static const u32 no[] = {0x61,	  0x4000f, 0x80061, 0xc0061, 0x48061,  0x40161,
				 0x41061, 0x42061, 0x50061, 0x60061, 0x140061, 0x80040061};

	m->ctl.proc2 &= ~VMX_MASK(PROC2_VIRTUALIZE_X2APIC_MODE);
	apicv_control(PROC2_VIRTUALIZE_APIC_ACCESSES);
	icr_low(0x40061, true);
	icr_low(0x44861, true); /* level and destination mode do not count */
	for (unsigned i = 0; i < ARRAY_SIZE(no); i++)
		icr_low(no[i], false);
	apicv_control(PROC2_APIC_REGISTER_VIRTUALIZATION);
	icr_low(0x40061, true);
	m->ctl.proc2 &= ~VMX_MASK(PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	icr_low(0x40061, false);
}
END_TEST

/* --- posted interrupts --- */

static void post(unsigned vector)
{
	u64 at = RIG_PID + vector / 8;

	apicv_write(at, (apicv_read(at) & 0xff) | BIT(vector & 7), 1);
	apicv_write(RIG_PID + 32, 0x00aa00bb12f20003, 8); /* ON and SN */
}

static void posted_setup(void)
{
	setup();
	apicv_control(PIN_PROCESS_POSTED_INTERRUPTS);
}

static void notify(void)
{
	apicv_rig()->interrupt = 0xf2;
	v->recheck = true;
}

START_TEST(posted)
{
	apicv_enter(1);
	post(0x21);
	post(0x7f);
	post(0x80);
	post(0xfe);
	request(0x33); /* not seen: RVI is in the processor */
	notify();
	apicv_run(1);
	apicv_in_handler(0xfe);
	ck_assert_uint_eq(apicv_read(v->reg[RSP]), RIG_CODE + 1);
	ck_assert(bit(IRR, 0x21) && bit(IRR, 0x7f) && bit(IRR, 0x80) && !bit(IRR, 0xfe));
	for (unsigned at = 0; at < 32; at += 4)
		ck_assert_uint_eq(apicv_read(RIG_PID + at), 0);
	ck_assert_uint_eq(phys_read(v, RIG_PID + 32, 8), 0x00aa00bb12f20002);
	ck_assert_uint_eq(apicv_rig()->eois, 1);
	ck_assert_int_eq(apicv_rig()->interrupt, -1);
	leave();
	ck_assert_uint_eq(m->guest.interrupt_status, 0xfe80);
}
END_TEST

START_TEST(posted_nothing_new)
{
	request(0x90);
	apicv_write(TPR, 0xf0, 4);
	apicv_enter(1);
	notify();
	apicv_run(1);
	apicv_at(2);
	ck_assert_uint_eq(apicv_rig()->eois, 1);
	post(0x85); /* below RVI */
	notify();
	apicv_run(1);
	apicv_at(3);
	leave();
	ck_assert_uint_eq(m->guest.interrupt_status, 0x90);
	ck_assert(bit(IRR, 0x85));
}
END_TEST

START_TEST(other_vectors_exit)
{
	apicv_enter(1);
	post(0x85);
	apicv_rig()->interrupt = 0xf3;
	v->recheck = true;
	apicv_run(1);
	apicv_exited(EXIT_REASON_EXTERNAL_INTERRUPT, 0);
	ck_assert_uint_eq(m->info.interruption_info, 0x800000f3);
	ck_assert_uint_eq(apicv_rig()->eois, 0);
	ck_assert_uint_eq(apicv_read(RIG_PID + 32), 0x12f20003);
	/* in root operation the notification vector is an interrupt like others */
	notify();
	v->rflags |= RFLAGS_IF;
	apicv_run(1);
	ck_assert_uint_eq(v->rip, RIG_HANDLERS + 16 * 0xf2);
}
END_TEST

START_TEST(posted_in_hlt)
{
	m->guest.activity = ACT_HLT;
	apicv_write(TPR, 0x80, 4);
	apicv_enter(1);
	post(0x85);
	notify();
	ck_assert(vcpu_wakes(v)); /* to look again */
	apicv_run(1);
	apicv_at(0);
	ck_assert_uint_eq(v->activity, ACT_HLT);
	post(0x95);
	notify();
	ck_assert(vcpu_wakes(v));
	apicv_run(1);
	apicv_in_handler(0x95);
	ck_assert_uint_eq(apicv_read(v->reg[RSP]), RIG_CODE);
	leave();
	/* whatever IF says, the interrupt is taken in */
	m->guest.activity = ACT_HLT;
	m->guest.rflags = 2;
	m->guest.rip = RIG_CODE;
	apicv_enter(1);
	post(0xa5);
	notify();
	apicv_run(1);
	apicv_at(0);
	ck_assert(bit(IRR, 0xa5));
	ck_assert_uint_eq(v->vmx.rvi, 0xa5);
}
END_TEST

START_TEST(posted_out_of_mwait)
{
	apicv_enter(1);
	v->activity = ACT_MWAIT;
	notify();
	apicv_run(1);
	apicv_at(2);
	ck_assert_uint_eq(v->activity, ACT_ACTIVE);
}
END_TEST

/* --- IPI virtualization --- */

static void ipiv_setup(void)
{
	setup();
	apicv_control(PROC3_IPI_VIRTUALIZATION);
	m->ctl.pid_table = RIG_PID_TABLE;
	m->ctl.last_pid_index = 3;
	apicv_write(RIG_PID_TABLE + 2 * 8, RIG_PID | 1, 8);
	apicv_write(RIG_PID_TABLE + 4 * 8, RIG_PID | 1, 8);
	apicv_write(RIG_PID + 32, 0x0000070000f20000, 8);
}

static void send_x2apic(u32 low, u32 id)
{
	wrmsr(0x830, low);
	v->reg[RDX] = id;
	apicv_rig()->sent = -1;
	apicv_enter(1);
	apicv_run(v->vmx.non_root && v->rip == RIG_CODE + 2);
}

static void sent(int vector)
{
	apicv_at(3);
	ck_assert_int_eq(apicv_rig()->sent, vector);
	ck_assert(apicv_read(RIG_PID + 32) & 1);
	ck_assert_uint_eq(apicv_rig()->msr, 0);
	leave();
}

static void not_sent(void)
{
	apicv_exited(EXIT_REASON_APIC_WRITE, 0x300);
	ck_assert_uint_eq(m->guest.rip, RIG_CODE + 2);
	ck_assert_int_eq(apicv_rig()->sent, -1);
}

START_TEST(ipi_by_msr)
{
	send_x2apic(0x61, 2);
	sent(0xf2);
	ck_assert_uint_eq(apicv_rig()->sent_to, 0x700);
	ck_assert_uint_eq(apicv_read(RIG_PID + 12), 2);
	ck_assert_uint_eq(phys_read(v, RIG_VAPIC + 0x300, 8), 0x200000061);
	send_x2apic(0xff, 2); /* a notification is outstanding */
	sent(-1);
	ck_assert_uint_eq(apicv_read(RIG_PID + 28), 0x80000000);
	apicv_write(RIG_PID + 32, 2, 1); /* suppressed */
	send_x2apic(0x10, 2);
	apicv_at(3);
	ck_assert_int_eq(apicv_rig()->sent, -1);
	ck_assert_uint_eq(apicv_read(RIG_PID + 32) & 3, 2);
	ck_assert_uint_eq(apicv_read(RIG_PID), 1 << 16);
}
END_TEST

START_TEST(ipi_exits)
{
	static const u32 low[] = {0x0f, 0x40061, 0x80061, 0xc0061, 0x8061, 0x1061, 0x861, 0x161};

	for (unsigned i = 0; i < ARRAY_SIZE(low); i++) {
		send_x2apic(low[i], 2);
		not_sent();
	}
	send_x2apic(0x61, 1); /* no such processor */
	not_sent();
	send_x2apic(0x61, 4); /* beyond the last index */
	not_sent();
	apicv_write(RIG_PID_TABLE + 2 * 8, RIG_PID | 3, 8);
	send_x2apic(0x61, 2); /* a reserved bit */
	not_sent();
	apicv_write(RIG_PID_TABLE + 2 * 8, RIG_PID | 1ull << 40 | 1, 8);
	send_x2apic(0x61, 2);
	not_sent();
	for (unsigned n = 0; n < 8; n++)
		ck_assert_uint_eq(apicv_read(RIG_PID + 4 * n), 0);
}
END_TEST

START_TEST(ipi_reserved_bits_fault)
{
	static const u32 low[] = {0x2061, 0x10061, 0x20061, 0x100061, 0x80000061};

	for (unsigned i = 0; i < ARRAY_SIZE(low); i++) {
		send_x2apic(low[i], 2);
		apicv_in_handler(VEC_GP);
		leave();
	}
	ck_assert_uint_eq(apicv_read(RIG_VAPIC + 0x300), 0);
	m->ctl.proc3 = 0; /* the MSR as ever */
	send_x2apic(0x61, 2);
	apicv_at(3);
	ck_assert_uint_eq(apicv_rig()->msr, 0x830);
}
END_TEST

START_TEST(ipi_by_page)
{
	m->ctl.proc2 &= ~(u32)VMX_MASK(PROC2_VIRTUALIZE_X2APIC_MODE);
	apicv_control(PROC2_VIRTUALIZE_APIC_ACCESSES);
	RIG_CODE(0x89, 0x03, NOP);
	v->reg[RBX] = RIG_APIC + 0x300;
	v->reg[RAX] = 0x61;
	apicv_write(RIG_VAPIC + 0x310, 0x02ffffff, 4);
	apicv_enter(2);
	sent(0xf2);
	ck_assert_uint_eq(apicv_read(RIG_PID + 12), 2);
	/* a self-IPI stays one */
	RIG_CODE(0x89, 0x03, NOP);
	v->reg[RAX] = 0x40071;
	apicv_enter(2);
	apicv_in_handler(0x71);
	leave();
	/* and without virtual-interrupt delivery the control alone serves the register */
	m->ctl.proc2 &= ~(u32)VMX_MASK(PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	RIG_CODE(0x89, 0x03, NOP);
	apicv_rig()->sent = -1;
	apicv_enter(1);
	apicv_run(v->vmx.non_root);
	not_sent();
}
END_TEST

Suite *vmx_vid_suite(void)
{
	Suite *s = suite_create("vmx_vid");
	TCase *t = tcase_create("delivery"), *p = tcase_create("posted"), *i = tcase_create("ipi");

	tcase_add_checked_fixture(t, setup, apicv_teardown);
	tcase_add_test(t, delivered_at_entry);
	tcase_add_test(t, priority_of_entry);
	tcase_add_test(t, not_loaded_without_the_control);
	tcase_add_test(t, waits_for_if_and_sti);
	tcase_add_test(t, popf_and_mov_ss);
	tcase_add_test(t, window_exiting_takes_its_place);
	tcase_add_test(t, activity_states);
	tcase_add_test(t, nmi_first);
	tcase_add_test(t, nmi_window_first);
	tcase_add_test(t, before_external_interrupts);
	tcase_add_test(t, behind_the_injected_event);
	tcase_add_test(t, monitor_trap_flag_after_delivery);
	tcase_add_test(t, exit_in_delivery);
	tcase_add_test(t, cr8_lets_it_in);
	tcase_add_test(t, eoi);
	tcase_add_test(t, eoi_exit);
	tcase_add_test(t, self_ipi);
	tcase_add_test(t, self_ipi_by_icr);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(p, posted_setup, apicv_teardown);
	tcase_add_test(p, posted);
	tcase_add_test(p, posted_nothing_new);
	tcase_add_test(p, other_vectors_exit);
	tcase_add_test(p, posted_in_hlt);
	tcase_add_test(p, posted_out_of_mwait);
	suite_add_tcase(s, p);
	tcase_add_checked_fixture(i, ipiv_setup, apicv_teardown);
	tcase_add_test(i, ipi_by_msr);
	tcase_add_test(i, ipi_exits);
	tcase_add_test(i, ipi_reserved_bits_fault);
	tcase_add_test(i, ipi_by_page);
	suite_add_tcase(s, i);
	return s;
}
