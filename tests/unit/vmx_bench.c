/*
 * The bench of the VMX tests; see vmx_bench.h.
 */
#include <stdlib.h>

#include "tests/unit/vmx_bench.h"

struct fixture *f;
struct vcpu *v;

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

void put64(u64 paddr, u64 value)
{
	phys_write(v, paddr, value, 8);
}

void put_revision(u64 region, u32 revision)
{
	phys_write(v, region, revision, 4);
}

/* 64-bit mode, 2-MByte page at 0, ready for VMXON. */
void enter_long_mode(void)
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

void vmx_bench_setup(void)
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

void vmx_bench_teardown(void)
{
	vcpu_free(v);
	physmem_free(&f->mem);
	free(f);
}

/* --- instructions --- */

/* With a memory operand at `addr` and register operand r. */
struct insn memory_insn(u64 addr, u8 reg)
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

const struct insn plain = {
	.len = 3, .opsize = 8, .addrsize = 8, .mod = 3, .base = REG_NONE, .index = REG_NONE};

int on_pointer(exec_fn *op, u64 ptr)
{
	struct insn i = memory_insn(OPERAND, 0);

	put64(OPERAND, ptr);
	return op(v, &i);
}

u64 flags(void)
{
	return flags_arith(v);
}

void must_fail(unsigned error)
{
	ck_assert_uint_eq(flags(), FAIL_VALID);
	ck_assert_uint_eq(v->vmx.vmcs.info.instruction_error, error);
}

void vmx_on_and_current(void)
{
	ck_assert_int_eq(on_pointer(op_vmxon, VMXON_REGION), EXEC_NEXT);
	ck_assert_uint_eq(flags(), SUCCEED);
	on_pointer(op_vmclear, REGION);
	on_pointer(op_vmptrld, REGION);
	ck_assert_uint_eq(flags(), SUCCEED);
}

void set_segments(struct vmcs_guest *g)
{
	for (unsigned n = 0; n < VMCS_SEGMENTS; n++)
		g->seg[n] =
			(struct vmcs_segment){.limit = 0xffffffff, .ar = 0xc093, .selector = 16};
	g->seg[VMCS_CS].ar = 0xa09b;
	g->seg[VMCS_TR] = (struct vmcs_segment){.limit = 0x67, .ar = 0x8b, .selector = 24};
	g->seg[VMCS_LDTR] = (struct vmcs_segment){.ar = 0x10000};
}

void fill_vmcs(void)
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

void enter(void)
{
	ck_assert_int_eq(op_vmlaunch(v, &plain), EXEC_VMEXIT);
	ck_assert(v->vmx.non_root);
	v->icount = 1000; /* the run loop counts the VMLAUNCH */
	v->icount_end = 1001;
}

void start_guest(void)
{
	vmx_on_and_current();
	fill_vmcs();
	enter();
}

/* Control changes that take effect at the next entry, as VMWRITE would make them. */
void restart_with(u32 *word, u32 set)
{
	*word |= set;
	v->vmx.dirty = VMCS_DIRTY_ALL;
	ck_assert_int_eq(op_vmresume(v, &plain), EXEC_VMEXIT);
	ck_assert(v->vmx.non_root);
}

void leave_guest(void)
{
	ck_assert_int_eq(vmx_intercept(v, &plain, X_CPUID), EXEC_VMEXIT);
	ck_assert(!v->vmx.non_root);
}

void exited(u32 reason, u64 qualification)
{
	const struct vmcs_info *i = &v->vmx.vmcs.info;

	ck_assert(!v->vmx.non_root);
	ck_assert_uint_eq(i->exit_reason, reason);
	ck_assert_uint_eq(i->qualification, qualification);
}
