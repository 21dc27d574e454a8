/*
 * The APIC-access page, CR8 and the x2APIC MSRs in non-root operation: what is virtualized, what
 * exits, with guest code that makes the accesses.
 */
#include "tests/unit/apicv_rig.h"

Suite *vmx_apicv_suite(void);

#define MOV_EAX_FROM_RBX 0x8b, 0x03
#define MOV_RBX_FROM_EAX 0x89, 0x03
#define NOP 0x90

static struct vcpu *v;

static void setup(void)
{
	apicv_setup();
	v = apicv_cpu();
	for (unsigned at = 0; at < 0x400; at += 16)
		apicv_write(RIG_VAPIC + at, 0xa5000000 | at, 4);
}

/* --- one access --- */

enum outcome { VIRTUAL, ACCESS, WRITE };

static enum outcome outcome(unsigned offset, bool write)
{
	const struct vmcs_info *i = &apicv_vmcs()->info;

	if (v->vmx.non_root)
		return VIRTUAL;
	if (i->exit_reason == EXIT_REASON_APIC_WRITE) {
		ck_assert_uint_eq(i->qualification, offset);
		ck_assert_uint_eq(apicv_vmcs()->guest.rip, RIG_CODE + 2);
		return WRITE;
	}
	apicv_exited(EXIT_REASON_APIC_ACCESS, offset | (write ? 1 << 12 : 0));
	ck_assert_uint_eq(apicv_vmcs()->guest.rip, RIG_CODE);
	ck_assert_uint_eq(i->instruction_length, 2);
	return ACCESS;
}

static void leave(void)
{
	static const struct insn plain = {.len = 3, .mod = 3};

	if (v->vmx.non_root)
		ck_assert_int_eq(vmx_intercept(v, &plain, X_CPUID), EXEC_VMEXIT);
}

static enum outcome read_at(unsigned offset)
{
	enum outcome o;

	RIG_CODE(MOV_EAX_FROM_RBX, NOP, NOP);
	v->reg[RBX] = RIG_APIC + offset;
	v->reg[RAX] = 0;
	apicv_enter(1);
	o = outcome(offset, false);
	if (o == VIRTUAL)
		ck_assert_uint_eq(v->reg[RAX], apicv_read(RIG_VAPIC + offset));
	leave();
	return o;
}

static enum outcome write_at(unsigned offset, u32 value)
{
	enum outcome o;

	RIG_CODE(MOV_RBX_FROM_EAX, NOP, NOP);
	v->reg[RBX] = RIG_APIC + offset;
	v->reg[RAX] = value;
	apicv_enter(1);
	apicv_run(v->vmx.non_root); /* what follows the operation, and a NOP */
	o = outcome(offset, true);
	leave();
	return o;
}

static const u8 setups[] = {0, 1, 2, 3, 4};

static void set_up(unsigned kind)
{
	apicv_control(PROC2_VIRTUALIZE_APIC_ACCESSES);
	if (kind)
		apicv_control(PROC_USE_TPR_SHADOW);
	if (kind == 2 || kind == 4)
		apicv_vid();
	if (kind >= 3)
		apicv_control(PROC2_APIC_REGISTER_VIRTUALIZATION);
}

/* The registers that APIC-register virtualization serves. */
static bool readable(unsigned reg)
{
	return reg == 0x20 || reg == 0x30 || reg == 0x80 || reg == 0xb0 ||
	       (reg >= 0xd0 && reg <= 0x280) || reg == 0x300 || reg == 0x310 ||
	       (reg >= 0x320 && reg <= 0x380) || reg == 0x3e0;
}

static bool writable(unsigned reg)
{
	return readable(reg) && reg != 0x30 && !(reg >= 0x100 && reg <= 0x270);
}

START_TEST(reads)
{
	unsigned kind = setups[_i];

	set_up(kind);
	for (unsigned reg = 0; reg < 0x400; reg += 16) {
		bool served = kind >= 3 ? readable(reg) : kind && reg == 0x80;

		ck_assert_msg(read_at(reg) == (served ? VIRTUAL : ACCESS), "kind %u offset %x",
			      kind, reg);
	}
}
END_TEST

static enum outcome wanted_write(unsigned kind, unsigned reg)
{
	bool vid = kind == 2 || kind == 4;

	if (!kind || (kind == 1 && reg != 0x80) || (kind >= 3 && !writable(reg)))
		return ACCESS;
	if (kind == 2 && reg != 0x80 && reg != 0xb0 && reg != 0x300)
		return ACCESS;
	return reg == 0x80 || reg == 0x310 || (vid && reg == 0xb0) ? VIRTUAL : WRITE;
}

START_TEST(writes)
{
	unsigned kind = setups[_i];

	set_up(kind);
	for (unsigned reg = 0; reg < 0x400; reg += 16) {
		enum outcome want = wanted_write(kind, reg);

		apicv_write(RIG_VAPIC + reg, 0, 4);
		ck_assert_msg(write_at(reg, 0x12345678) == want, "kind %u offset %x", kind, reg);
		if (want == WRITE)
			ck_assert_uint_eq(apicv_read(RIG_VAPIC + reg), 0x12345678);
		else if (want == VIRTUAL) /* emulation clears bytes */
			ck_assert_uint_eq(apicv_read(RIG_VAPIC + reg), reg == 0x80    ? 0x78
								       : reg == 0x310 ? 0x12000000
										      : 0);
		ck_assert_uint_eq(apicv_read(RIG_APIC + reg), 0);
	}
}
END_TEST

/* --- shapes of accesses --- */

static void exits_at(u64 address, u64 qualification)
{
	v->reg[RBX] = address;
	apicv_enter(1);
	apicv_exited(EXIT_REASON_APIC_ACCESS, qualification);
}

START_TEST(sizes_and_alignment)
{
	set_up(3);
	RIG_CODE(0x66, 0x8b, 0x03); /* mov ax, [rbx] */
	v->reg[RBX] = RIG_APIC + 0x82;
	apicv_enter(1);
	apicv_at(3);
	ck_assert_uint_eq(v->reg[RAX] & 0xffff, 0xa500);
	leave();
	apicv_vmcs()->guest.rip = RIG_CODE;
	exits_at(RIG_APIC + 0x83, 0x83); /* beyond the low 4 bytes */
	apicv_vmcs()->guest.rip = RIG_CODE;
	exits_at(RIG_APIC + 0x84, 0x84);
	RIG_CODE(0x48, 0x8b, 0x03); /* 8 bytes */
	exits_at(RIG_APIC + 0x80, 0x80);
	RIG_CODE(0x0f, 0x10, 0x03); /* movups xmm0, [rbx] */
	v->cr4 |= CR4_OSFXSR;
	apicv_vmcs()->guest.cr4 |= CR4_OSFXSR;
	exits_at(RIG_APIC + 0x80, 0x80);
	RIG_CODE(0x8a, 0x03); /* one byte of a served register */
	v->reg[RBX] = RIG_APIC + 0x81;
	apicv_enter(1);
	apicv_at(2);
	leave();
	RIG_CODE(0x8a, 0x03);
	apicv_vmcs()->ctl.proc2 &= ~VMX_MASK(PROC2_APIC_REGISTER_VIRTUALIZATION);
	exits_at(RIG_APIC + 0x81, 0x81); /* without it, offset 080H and no other */
	RIG_CODE(MOV_EAX_FROM_RBX);
	exits_at(RIG_APIC - 2, 0); /* the second half is in the page */
	RIG_CODE(MOV_RBX_FROM_EAX);
	exits_at(RIG_APIC - 1, 0x1000);
}
END_TEST

START_TEST(read_modify_write)
{
	set_up(3);
	apicv_write(RIG_VAPIC + 0x80, 0x20, 4);
	RIG_CODE(0x83, 0x0b, 0x41, NOP, NOP); /* or dword [rbx], 41h */
	v->reg[RBX] = RIG_APIC + 0x80;
	apicv_enter(2);
	apicv_at(4);
	ck_assert_uint_eq(apicv_read(RIG_VAPIC + 0x80), 0x61);
	leave();
	RIG_CODE(0x83, 0x0b, 0x41);
	v->reg[RBX] = RIG_APIC + 0xf0;
	apicv_enter(2);
	apicv_exited(EXIT_REASON_APIC_WRITE, 0xf0);
	ck_assert_uint_eq(apicv_read(RIG_VAPIC + 0xf0), 0xa50000f1);
	RIG_CODE(0x83, 0x0b, 0x41);
	exits_at(RIG_APIC + 0x30, 0x1030); /* readable only */
	ck_assert_uint_eq(apicv_read(RIG_VAPIC + 0x30), 0xa5000030);
}
END_TEST

START_TEST(string_instruction_exits_between_iterations)
{
	set_up(3);
	RIG_CODE(0xf3, 0xab); /* rep stosd */
	v->reg[RDI] = RIG_APIC + 0x380;
	v->reg[RCX] = 3;
	v->reg[RAX] = 7;
	apicv_enter(1);
	apicv_run(v->vmx.non_root);
	apicv_exited(EXIT_REASON_APIC_WRITE, 0x380);
	ck_assert_uint_eq(apicv_vmcs()->guest.rip, RIG_CODE);
	ck_assert_uint_eq(v->reg[RCX], 2);
	apicv_enter(1);
	apicv_exited(EXIT_REASON_APIC_ACCESS, 0x1384);
	ck_assert_uint_eq(v->reg[RCX], 2);
}
END_TEST

/* A fault that exits after a virtualized write drops the emulation. */
START_TEST(two_writes_of_one_operation)
{
	set_up(3);
	RIG_CODE(0xff, 0x1b); /* call far [rbx]: two pushes */
	apicv_write(0x70000, RIG_CODE, 4);
	apicv_write(0x70004, 8, 2);
	v->reg[RBX] = 0x70000;
	apicv_vmcs()->guest.rsp = RIG_APIC + 0x94; /* CS at 90H exits: not served */
	apicv_enter(1);
	apicv_exited(EXIT_REASON_APIC_ACCESS, 0x1090);
	apicv_vmcs()->guest.rsp = RIG_APIC + 0x84; /* CS at 80H, then RIP at 7CH */
	apicv_vmcs()->guest.rip = RIG_CODE;
	apicv_enter(1);
	ck_assert_uint_eq(apicv_vmcs()->info.exit_reason, EXIT_REASON_APIC_ACCESS);
	ck_assert(!v->vmx.apic_write_pending);
}
END_TEST

START_TEST(kinds_of_access)
{
	set_up(3);
	/* fetch */
	apicv_vmcs()->guest.rip = RIG_APIC + 0x20;
	apicv_enter(1);
	apicv_exited(EXIT_REASON_APIC_ACCESS, 0x2020);
	/* event delivery: the stack is in the page */
	apicv_vmcs()->guest.rsp = RIG_APIC + 0x100;
	apicv_vmcs()->ctl.entry_interruption_info = 0x80000055;
	apicv_enter(1);
	ck_assert_uint_eq(apicv_vmcs()->info.exit_reason, EXIT_REASON_APIC_ACCESS);
	ck_assert_uint_eq(apicv_vmcs()->info.qualification >> 12, 3);
	ck_assert_uint_eq(apicv_vmcs()->info.idt_vectoring_info, 0x80000055);
}
END_TEST

START_TEST(guest_physical_accesses)
{
	set_up(3);
	apicv_control(PROC2_ENABLE_EPT);
	apicv_ept_map(0x2000, RIG_APIC); /* the guest's PDPT */
	RIG_CODE(NOP);
	apicv_enter(1);
	apicv_exited(EXIT_REASON_APIC_ACCESS, 15 << 12);
	/* in event delivery */
	apicv_ept_map(0x2000, 0x2000);
	tlb_flush_all(&v->tlb);
	apicv_enter(1);
	apicv_at(1);
	apicv_ept_map(0x2000, RIG_APIC);
	tlb_flush_all(&v->tlb);
	v->inject = (struct event){.valid = true, .vector = 0x55, .type = EVENT_EXT_INT};
	v->recheck = true;
	apicv_run(1);
	apicv_exited(EXIT_REASON_APIC_ACCESS, 10 << 12);
}
END_TEST

/* --- CR8 and the TPR threshold --- */

START_TEST(tpr_threshold)
{
	set_up(1);
	RIG_CODE(0x44, 0x0f, 0x22, 0xc0, NOP); /* mov cr8, rax */
	apicv_write(RIG_VAPIC + 0x80, 0x50, 4);
	apicv_vmcs()->ctl.tpr_threshold = 4;
	v->reg[RAX] = 4;
	apicv_enter(1);
	apicv_at(4);
	leave();
	RIG_CODE(0x44, 0x0f, 0x22, 0xc0, NOP);
	v->reg[RAX] = 3;
	apicv_enter(1);
	apicv_run(v->vmx.non_root);
	apicv_exited(EXIT_REASON_TPR_BELOW_THRESHOLD, 0);
	ck_assert_uint_eq(apicv_vmcs()->guest.rip, RIG_CODE + 4);
	/* right after VM entry, before INIT and before the first instruction */
	v->init_pending = true;
	apicv_enter(1);
	apicv_exited(EXIT_REASON_TPR_BELOW_THRESHOLD, 0);
	v->init_pending = false;
	/* but not into shutdown */
	apicv_vmcs()->guest.activity = ACT_SHUTDOWN;
	apicv_enter(1);
	ck_assert(v->vmx.non_root);
	leave();
	/* with virtual-interrupt delivery there is no threshold */
	apicv_vid();
	apicv_vmcs()->guest.activity = ACT_ACTIVE;
	RIG_CODE(0x44, 0x0f, 0x22, 0xc0, NOP);
	v->reg[RAX] = 0;
	apicv_enter(1);
	apicv_at(4);
}
END_TEST

/* --- x2APIC MSRs --- */

static void x2apic(bool registers, bool vid)
{
	apicv_control(PROC2_VIRTUALIZE_X2APIC_MODE);
	if (registers)
		apicv_control(PROC2_APIC_REGISTER_VIRTUALIZATION);
	if (vid)
		apicv_vid();
}

START_TEST(rdmsr)
{
	x2apic(_i, false);
	for (u32 msr = 0x800; msr < 0x900; msr++) {
		bool served = _i || msr == 0x808;

		RIG_CODE(0x0f, 0x32);
		apicv_write(RIG_VAPIC + (msr & 0xff) * 16, msr | 0x11223300000000ull, 8);
		v->reg[RCX] = msr;
		apicv_rig()->msr = 0;
		apicv_enter(1);
		apicv_at(2);
		ck_assert_uint_eq(v->reg[RAX], served ? msr : 0x5a5a);
		ck_assert_uint_eq(v->reg[RDX], served ? 0x112233 : 0);
		ck_assert_uint_eq(apicv_rig()->msr, served ? 0 : msr);
		leave();
	}
}
END_TEST

static void wrmsr(u32 msr, u64 value)
{
	RIG_CODE(0x0f, 0x30, NOP);
	v->reg[RCX] = msr;
	v->reg[RAX] = (u32)value;
	v->reg[RDX] = value >> 32;
	apicv_rig()->msr = 0;
	apicv_enter(1);
	apicv_run(v->vmx.non_root && v->rip == RIG_CODE + 2);
}

static void wrmsr_is(u32 msr, u64 value, bool virtual, bool fault)
{
	wrmsr(msr, value);
	if (fault)
		apicv_in_handler(VEC_GP);
	else
		apicv_at(3);
	ck_assert_uint_eq(apicv_rig()->msr, virtual || fault ? 0 : msr);
	if (virtual && !fault)
		ck_assert_uint_eq(phys_read(v, RIG_VAPIC + (msr & 0xff) * 16, 8), value);
	leave();
}

START_TEST(wrmsr_special)
{
	bool vid = _i;

	x2apic(true, vid);
	wrmsr_is(0x808, 0x7f, true, false);
	wrmsr_is(0x808, 0x100, true, true);
	wrmsr_is(0x808, 1ull << 32, true, true);
	wrmsr_is(0x80b, 0, vid, false);
	wrmsr_is(0x80b, 1, vid, vid);
	wrmsr_is(0x83f, 0x40, vid, false);
	wrmsr_is(0x83f, 0x140, vid, vid);
	wrmsr_is(0x830, 0x40040, false, false);
	wrmsr_is(0x80f, 0x1ff, false, false);
	wrmsr(0x83f, 0x0f);
	if (vid) {
		apicv_exited(EXIT_REASON_APIC_WRITE, 0x3f0);
		ck_assert_uint_eq(apicv_vmcs()->guest.rip, RIG_CODE + 2);
		ck_assert_uint_eq(apicv_read(RIG_VAPIC + 0x3f0), 0x0f);
	} else {
		apicv_at(3);
	}
}
END_TEST

START_TEST(msr_bitmap_comes_first)
{
	x2apic(true, true);
	apicv_write(RIG_MSR_BITMAP + 0x800 + 0x808 / 8, 1, 1);
	wrmsr(0x808, 0x100);
	apicv_exited(EXIT_REASON_WRMSR, 0);
}
END_TEST

Suite *vmx_apicv_suite(void)
{
	Suite *s = suite_create("vmx_apicv");
	TCase *t = tcase_create("apicv");

	tcase_add_checked_fixture(t, setup, apicv_teardown);
	tcase_add_loop_test(t, reads, 0, ARRAY_SIZE(setups));
	tcase_add_loop_test(t, writes, 0, ARRAY_SIZE(setups));
	tcase_add_test(t, sizes_and_alignment);
	tcase_add_test(t, read_modify_write);
	tcase_add_test(t, string_instruction_exits_between_iterations);
	tcase_add_test(t, two_writes_of_one_operation);
	tcase_add_test(t, kinds_of_access);
	tcase_add_test(t, guest_physical_accesses);
	tcase_add_test(t, tpr_threshold);
	tcase_add_loop_test(t, rdmsr, 0, 2);
	tcase_add_loop_test(t, wrmsr_special, 0, 2);
	tcase_add_test(t, msr_bitmap_comes_first);
	suite_add_tcase(s, t);
	return s;
}
