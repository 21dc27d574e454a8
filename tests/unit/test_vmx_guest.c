/*
 * VMX instructions, VM entries and VM exits on a virtual CPU: handlers are called as the run loop
 * calls them, with hand-made instructions. No guest code runs.
 */
#include <check.h>
#include <stdlib.h>

#include "cpu/decode.h"
#include "cpu/run.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmx.h"

Suite *vmx_guest_suite(void);

#define PML4 0x1000ull
#define PDPT 0x2000ull
#define PD 0x3000ull
#define OPERAND 0x8000ull
#define VMXON_REGION 0x10000ull
#define REGION 0x11000ull
#define OTHER_REGION 0x12000ull
#define SHADOW_REGION 0x13000ull
#define BITMAP_A 0x14000ull
#define BITMAP_B 0x15000ull
#define MSR_BITMAP 0x16000ull
#define VAPIC 0x17000ull
#define MSR_LIST 0x18000ull
#define GUEST_RIP 0x20000ull
#define HOST_RIP 0x30000ull

struct fixture {
	struct physmem mem;
	struct bus mmio, pio;
	struct log log;
	struct cpu_wires wires;
	struct cpu_model model;
	struct vcpu v;
	int interrupt; /* pending vector, -1 none */
};

static struct fixture *f;
static struct vcpu *v;

/* --- the machine around the CPU --- */

static int intr_pending(void *owner)
{
	return ((struct fixture *)owner)->interrupt;
}

static int intr_acknowledge(void *owner)
{
	int vector = intr_pending(owner);

	((struct fixture *)owner)->interrupt = -1;
	return vector;
}

static void put64(u64 paddr, u64 value)
{
	phys_write(v, paddr, value, 8);
}

static void put_revision(u64 region, u32 revision)
{
	phys_write(v, region, revision, 4);
}

/* 64-bit mode, 2-MByte page at 0, ready for VMXON. */
static void enter_long_mode(void)
{
	struct seg code = {.limit = 0xffffffff, .ar = 0xa09b, .sel = 8};
	struct seg data = {.limit = 0xffffffff, .ar = 0xc093, .sel = 16};

	put64(PML4, PDPT | 7);
	put64(PDPT, PD | 7);
	put64(PD, 0x87);
	v->cr0 = 0x80000031;
	v->cr3 = PML4;
	v->cr4 = CR4_PAE | CR4_VMXE;
	v->efer = EFER_LME | EFER_LMA;
	for (unsigned n = 0; n < SEG_LDTR; n++)
		v->seg[n] = n == SEG_CS ? code : data;
	v->seg[SEG_TR] = (struct seg){.limit = 0x67, .ar = 0x8b, .sel = 24};
	v->rip = 0x7000;
	v->reg[RSP] = 0x6000;
	v->icount_end = 1000;
	v->budget = 0;
	v->cur_left = 0;
	v->icount = 999;
	v->vmx.feature_control = 5;
	vcpu_recompute(v);
}

static void setup(void)
{
	f = calloc(1, sizeof(*f));
	ck_assert_ptr_nonnull(f);
	v = &f->v;
	ck_assert(physmem_init(&f->mem, 1 << 21));
	bus_init(&f->mmio, "memory", &f->log);
	bus_init(&f->pio, "ports", &f->log);
	memset(f->model.features, 0xff, sizeof(f->model.features));
	f->model.features[FEAT_LA57 / 64] &= ~BIT(FEAT_LA57 % 64);
	f->model.name = "test";
	f->model.maxphyaddr = 40;
	f->interrupt = -1;
	f->wires = (struct cpu_wires){
		.owner = f, .intr_pending = intr_pending, .intr_acknowledge = intr_acknowledge};
	ck_assert(vcpu_init(v, 0, &f->model, &f->mem, &f->mmio, &f->pio, &f->log, &f->wires,
			    blocks_new(&f->mem), decoder_new(&f->model)));
	enter_long_mode();
	put_revision(VMXON_REGION, VMX_REVISION);
	put_revision(REGION, VMX_REVISION);
	put_revision(OTHER_REGION, VMX_REVISION);
	put_revision(SHADOW_REGION, VMX_REVISION | VMCS_SHADOW_INDICATOR);
}

static void teardown(void)
{
	vcpu_free(v);
	physmem_free(&f->mem);
	free(f);
}

/* --- instructions --- */

/* With a memory operand at `addr` and register operand r. */
static struct insn memory_insn(u64 addr, u8 reg)
{
	return (struct insn){.len = 4,
			     .opsize = 8,
			     .addrsize = 8,
			     .mod = 0,
			     .reg = reg,
			     .base = REG_NONE,
			     .index = REG_NONE,
			     .seg = SEG_DS,
			     .disp = (s64)addr};
}

static const struct insn plain = {
	.len = 3, .opsize = 8, .addrsize = 8, .mod = 3, .base = REG_NONE, .index = REG_NONE};

static int on_pointer(exec_fn *op, u64 ptr)
{
	struct insn i = memory_insn(OPERAND, 0);

	put64(OPERAND, ptr);
	return op(v, &i);
}

static u64 flags(void)
{
	return flags_arith(v);
}

#define SUCCEED 0ull
#define FAIL_INVALID RFLAGS_CF
#define FAIL_VALID RFLAGS_ZF

static void must_fail(unsigned error)
{
	ck_assert_uint_eq(flags(), FAIL_VALID);
	ck_assert_uint_eq(v->vmx.vmcs.info.instruction_error, error);
}

static void vmx_on_and_current(void)
{
	ck_assert_int_eq(on_pointer(op_vmxon, VMXON_REGION), EXEC_NEXT);
	ck_assert_uint_eq(flags(), SUCCEED);
	on_pointer(op_vmclear, REGION);
	on_pointer(op_vmptrld, REGION);
	ck_assert_uint_eq(flags(), SUCCEED);
}

static void set_segments(struct vmcs_guest *g)
{
	for (unsigned n = 0; n < VMCS_SEGMENTS; n++)
		g->seg[n] =
			(struct vmcs_segment){.limit = 0xffffffff, .ar = 0xc093, .selector = 16};
	g->seg[VMCS_CS].ar = 0xa09b;
	g->seg[VMCS_TR] = (struct vmcs_segment){.limit = 0x67, .ar = 0x8b, .selector = 24};
	g->seg[VMCS_LDTR] = (struct vmcs_segment){.ar = 0x10000};
}

static void fill_vmcs(void)
{
	struct vmcs *m = &v->vmx.vmcs;

	memset(m, 0, sizeof(*m));
	m->ctl.pin = 0x16;
	m->ctl.proc = 0x04006172 | VMX_MASK(PROC_ACTIVATE_SECONDARY_CONTROLS);
	m->ctl.exit = 0x36dff | VMX_MASK(EXIT_HOST_ADDRESS_SPACE_SIZE);
	m->ctl.entry = 0x11ff | VMX_MASK(ENTRY_IA32E_MODE_GUEST);
	m->host.cr0 = 0x80000031;
	m->host.cr3 = PML4;
	m->host.cr4 = CR4_PAE | CR4_VMXE;
	m->host.cs_selector = 8;
	m->host.tr_selector = 24;
	m->host.tr_base = 0x1234;
	m->host.fs_base = 0x5678;
	m->host.rip = HOST_RIP;
	m->host.rsp = 0x6800;
	m->guest.cr0 = 0x80000031;
	m->guest.cr3 = PML4;
	m->guest.cr4 = CR4_PAE | CR4_VMXE;
	m->guest.rip = GUEST_RIP;
	m->guest.rsp = 0x7000;
	m->guest.rflags = 0x202;
	m->guest.dr7 = 0x400;
	m->guest.link_pointer = ~0ull;
	m->ctl.msr_bitmaps = MSR_BITMAP;
	m->ctl.io_bitmap_a = BITMAP_A;
	m->ctl.io_bitmap_b = BITMAP_B;
	m->ctl.virtual_apic = VAPIC;
	m->ctl.vmread_bitmap = BITMAP_A;
	m->ctl.vmwrite_bitmap = BITMAP_B;
	set_segments(&m->guest);
	v->vmx.dirty = VMCS_DIRTY_ALL;
}

static void enter(void)
{
	ck_assert_int_eq(op_vmlaunch(v, &plain), EXEC_VMEXIT);
	ck_assert(v->vmx.non_root);
	v->icount = 1000; /* the run loop counts the VMLAUNCH */
	v->icount_end = 1001;
}

static void start_guest(void)
{
	vmx_on_and_current();
	fill_vmcs();
	enter();
}

/* Control changes that take effect at the next entry, as VMWRITE would make them. */
static void restart_with(u32 *word, u32 set)
{
	*word |= set;
	v->vmx.dirty = VMCS_DIRTY_ALL;
	ck_assert_int_eq(op_vmresume(v, &plain), EXEC_VMEXIT);
	ck_assert(v->vmx.non_root);
}

static void leave_guest(void)
{
	ck_assert_int_eq(vmx_intercept(v, &plain, X_CPUID), EXEC_VMEXIT);
	ck_assert(!v->vmx.non_root);
}

static void exited(u32 reason, u64 qualification)
{
	const struct vmcs_info *i = &v->vmx.vmcs.info;

	ck_assert(!v->vmx.non_root);
	ck_assert_uint_eq(i->exit_reason, reason);
	ck_assert_uint_eq(i->qualification, qualification);
}

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
			restart_with(word[2], VMX_MASK(rows[i].ud_unless));
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
		if (needs)
			*word[2] &= ~VMX_MASK(rows[i].ud_unless);
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
	m->guest.preemption_timer = 10;
	m->ctl.exit |= VMX_MASK(EXIT_SAVE_PREEMPTION_TIMER_VALUE);
	restart_with(&m->ctl.pin, VMX_MASK(PIN_ACTIVATE_PREEMPTION_TIMER));
	left = vmx_timer_ticks_left(v);
	ck_assert_uint_gt(left + VMX_ENTRY_TICKS, 9 << VMX_PREEMPTION_TIMER_RATE);
	ck_assert_uint_le(left + VMX_ENTRY_TICKS, 10 << VMX_PREEMPTION_TIMER_RATE);
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
	ck_assert(!vmx_boundary_traps(v));
	vmx_cr8_write(v, 2);
	ck_assert(vmx_boundary_traps(v));
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
	ck_assert_uint_eq(v->pending_dbg, 2);
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
	vmx_rsm(v);
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

	tcase_add_checked_fixture(t, setup, teardown);
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
