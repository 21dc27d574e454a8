#include <stdlib.h>

#include "cpu/decode.h"
#include "tests/unit/apicv_rig.h"

#define PML4 0x1000ull
#define PDPT 0x2000ull
#define PD 0x3000ull
#define GDT 0x4000ull
#define IDT 0x5000ull
#define OPERAND 0x8000ull
#define TRAP_GATE 0x8f00ull

static struct apicv_rig *r;

struct apicv_rig *apicv_rig(void)
{
	return r;
}

struct vcpu *apicv_cpu(void)
{
	return &r->v;
}

struct vmcs *apicv_vmcs(void)
{
	return &r->v.vmx.vmcs;
}

/* --- wires --- */

static int intr_pending(void *owner)
{
	return ((struct apicv_rig *)owner)->interrupt;
}

static int intr_acknowledge(void *owner)
{
	int vector = intr_pending(owner);

	((struct apicv_rig *)owner)->interrupt = -1;
	return vector;
}

static void apic_eoi(void *owner)
{
	((struct apicv_rig *)owner)->eois++;
}

static void apic_notify(void *owner, u32 ndst, u8 vector)
{
	((struct apicv_rig *)owner)->sent_to = ndst;
	((struct apicv_rig *)owner)->sent = vector;
}

static bool apic_read(void *owner, u32 msr, u64 *value)
{
	((struct apicv_rig *)owner)->msr = msr;
	*value = 0x5a5a;
	return true;
}

static bool apic_write(void *owner, u32 msr, u64 value)
{
	((struct apicv_rig *)owner)->msr = msr;
	((struct apicv_rig *)owner)->msr_value = value;
	return true;
}

static u64 get_cr8(void *owner)
{
	(void)owner;
	return 0;
}

static void code_written(void *owner, u64 paddr, u64 len)
{
	struct apicv_rig *rig = owner;

	if (blocks_written(rig->v.blocks, paddr, len))
		rig->v.recheck = true;
}

/* --- memory --- */

u32 apicv_read(u64 paddr)
{
	return (u32)phys_read(&r->v, paddr, 4);
}

void apicv_write(u64 paddr, u64 value, unsigned size)
{
	phys_write(&r->v, paddr, value, size);
}

void apicv_code(const void *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		apicv_write(RIG_CODE + i, ((const u8 *)bytes)[i], 1);
	apicv_vmcs()->guest.rip = RIG_CODE;
}

static void fill_tables(void)
{
	apicv_write(PML4, PDPT | 7, 8);
	apicv_write(PDPT, PD | 7, 8);
	apicv_write(PD, 0x87, 8);
	apicv_write(GDT + 8, 0x00af9b000000ffff, 8);
	apicv_write(GDT + 16, 0x00cf93000000ffff, 8);
	for (unsigned n = 0; n < 256; n++) {
		u64 at = RIG_HANDLERS + 16 * n;

		apicv_write(at, 0xfeeb, 2); /* jmp to itself */
		apicv_write(IDT + 16 * n,
			    (at & 0xffff) | 8 << 16 | TRAP_GATE << 32 | at >> 16 << 48, 8);
	}
	apicv_write(RIG_HOST, 0xfeeb, 2);
}

void apicv_ept_map(u64 gpa, u64 paddr)
{
	apicv_write(RIG_EPT + 0x3000 + (gpa >> 12) * 8, paddr | 0x37, 8);
}

static void fill_ept(void)
{
	for (unsigned level = 0; level < 3; level++)
		apicv_write(RIG_EPT + 0x1000 * level, (RIG_EPT + 0x1000 * (level + 1)) | 7, 8);
	for (u64 page = 0; page < 512; page++)
		apicv_ept_map(page << 12, page << 12);
}

/* --- the processor --- */

static void enter_long_mode(struct vcpu *v)
{
	struct seg code = {.limit = 0xffffffff, .ar = 0xa09b, .sel = 8};
	struct seg data = {.limit = 0xffffffff, .ar = 0xc093, .sel = 16};

	v->cr0 = 0x80000031;
	v->cr3 = PML4;
	v->cr4 = CR4_PAE | CR4_VMXE;
	v->efer = EFER_LME | EFER_LMA;
	for (unsigned n = 0; n < SEG_LDTR; n++)
		v->seg[n] = n == SEG_CS ? code : data;
	v->seg[SEG_TR] = (struct seg){.limit = 0x67, .ar = 0x8b, .sel = 24};
	v->gdtr = (struct dtr){GDT, 0xff};
	v->idtr = (struct dtr){IDT, 0xfff};
	v->rip = RIG_HOST;
	v->reg[RSP] = RIG_STACK;
	v->vmx.feature_control = 5;
	vcpu_recompute(v);
}

static void on_pointer(exec_fn *op, u64 ptr)
{
	struct insn i = {.len = 4,
			 .opsize = 8,
			 .addrsize = 8,
			 .base = REG_NONE,
			 .index = REG_NONE,
			 .seg = SEG_DS,
			 .disp = (s64)OPERAND};

	apicv_write(OPERAND, ptr, 8);
	ck_assert_int_eq(op(&r->v, &i), EXEC_NEXT);
	ck_assert_uint_eq(flags_arith(&r->v), 0);
}

static void fill_guest(struct vmcs_guest *g)
{
	g->cr0 = 0x80000031;
	g->cr3 = PML4;
	g->cr4 = CR4_PAE | CR4_VMXE;
	g->rip = RIG_CODE;
	g->rsp = RIG_STACK;
	g->rflags = 0x202;
	g->dr7 = 0x400;
	g->gdtr_base = GDT;
	g->idtr_base = IDT;
	g->gdtr_limit = 0xff;
	g->idtr_limit = 0xfff;
	g->link_pointer = ~0ull;
	for (unsigned n = 0; n < VMCS_SEGMENTS; n++)
		g->seg[n] =
			(struct vmcs_segment){.limit = 0xffffffff, .ar = 0xc093, .selector = 16};
	g->seg[VMCS_CS].ar = 0xa09b;
	g->seg[VMCS_CS].selector = 8;
	g->seg[VMCS_TR] = (struct vmcs_segment){.limit = 0x67, .ar = 0x8b, .selector = 24};
	g->seg[VMCS_LDTR] = (struct vmcs_segment){.ar = 0x10000};
}

static void fill_vmcs(struct vmcs *m)
{
	memset(m, 0, sizeof(*m));
	m->ctl.pin = 0x16;
	m->ctl.proc = 0x04006172 | VMX_MASK(PROC_USE_MSR_BITMAPS);
	m->ctl.exit = 0x36dff | VMX_MASK(EXIT_HOST_ADDRESS_SPACE_SIZE);
	m->ctl.entry = 0x11ff | VMX_MASK(ENTRY_IA32E_MODE_GUEST);
	m->host.cr0 = 0x80000031;
	m->host.cr3 = PML4;
	m->host.cr4 = CR4_PAE | CR4_VMXE;
	m->host.cs_selector = 8;
	m->host.tr_selector = 24;
	m->host.rip = RIG_HOST;
	m->host.rsp = RIG_STACK;
	m->host.idtr_base = IDT;
	m->host.gdtr_base = GDT;
	m->ctl.msr_bitmaps = RIG_MSR_BITMAP;
	m->ctl.virtual_apic = RIG_VAPIC;
	m->ctl.apic_access = RIG_APIC;
	m->ctl.posted_descriptor = RIG_PID;
	m->ctl.posted_vector = 0xf2;
	m->ctl.eptp = RIG_EPT | 6 | 3 << 3;
	fill_guest(&m->guest);
}

void apicv_setup(void)
{
	struct vcpu *v;

	r = calloc(1, sizeof(*r));
	ck_assert_ptr_nonnull(r);
	v = &r->v;
	ck_assert(physmem_init(&r->mem, 1 << 21));
	r->mem.code_written = code_written;
	r->mem.code_owner = r;
	bus_init(&r->mmio, "memory", &r->log);
	bus_init(&r->pio, "ports", &r->log);
	memset(r->model.features, 0xff, sizeof(r->model.features));
	r->model.features[FEAT_LA57 / 64] &= ~BIT(FEAT_LA57 % 64);
	r->model.name = "test";
	r->model.maxphyaddr = 40;
	r->interrupt = r->sent = -1;
	r->wires = (struct cpu_wires){.owner = r,
				      .intr_pending = intr_pending,
				      .intr_acknowledge = intr_acknowledge,
				      .get_cr8 = get_cr8,
				      .apic_read = apic_read,
				      .apic_write = apic_write,
				      .apic_eoi = apic_eoi,
				      .apic_notify = apic_notify};
	ck_assert(vcpu_init(v, 0, &r->model, &r->mem, &r->mmio, &r->pio, &r->log, &r->wires,
			    blocks_new(&r->mem), decoder_new(&r->model)));
	fill_tables();
	fill_ept();
	enter_long_mode(v);
	apicv_write(RIG_VMXON, VMX_REVISION, 4);
	apicv_write(RIG_REGION, VMX_REVISION, 4);
	vcpu_run(v, 1); /* the counters of a CPU that runs */
	on_pointer(op_vmxon, RIG_VMXON);
	on_pointer(op_vmclear, RIG_REGION);
	on_pointer(op_vmptrld, RIG_REGION);
	fill_vmcs(apicv_vmcs());
}

void apicv_teardown(void)
{
	vcpu_free(&r->v);
	physmem_free(&r->mem);
	free(r);
}

/* --- controls --- */

void apicv_control(enum vmx_control control)
{
	struct vmcs_control *c = &apicv_vmcs()->ctl;
	u32 *const word[VMX_WORDS] = {&c->pin, &c->proc, &c->proc2, &c->exit, &c->entry};

	if (word[control >> 6])
		*word[control >> 6] |= (u32)VMX_MASK(control);
	else if (control >> 6 == VMX_PROC3)
		c->proc3 |= VMX_MASK(control);
	if (control >> 6 == VMX_PROC2)
		c->proc |= (u32)VMX_MASK(PROC_ACTIVATE_SECONDARY_CONTROLS);
	if (control >> 6 == VMX_PROC3)
		c->proc |= (u32)VMX_MASK(PROC_ACTIVATE_TERTIARY_CONTROLS);
#define BARS(a, b)
#define NEEDS(a, b)                                                                                \
	if (control == (a))                                                                        \
		apicv_control(b);
#define R(a, relation, b) relation(a, b)
#include "vmx/control_rules.def"
#undef BARS
#undef NEEDS
}

void apicv_vid(void)
{
	apicv_control(PROC2_VIRTUAL_INTERRUPT_DELIVERY);
}

/* --- running --- */

void apicv_run(unsigned n)
{
	vcpu_run(&r->v, n);
}

void apicv_enter(unsigned n)
{
	static const struct insn plain = {.len = 3,
					  .opsize = 8,
					  .addrsize = 8,
					  .mod = 3,
					  .base = REG_NONE,
					  .index = REG_NONE};
	struct vcpu *v = &r->v;

	v->vmx.dirty = VMCS_DIRTY_ALL;
	ck_assert_int_eq((v->vmx.launched ? op_vmresume : op_vmlaunch)(v, &plain), EXEC_VMEXIT);
	ck_assert(v->vmx.non_root);
	v->icount++; /* as the run loop counts the instruction */
	apicv_run(n);
}

void apicv_exited(u32 reason, u64 qualification)
{
	const struct vmcs_info *i = &apicv_vmcs()->info;

	ck_assert(!r->v.vmx.non_root);
	ck_assert_uint_eq(i->exit_reason, reason);
	ck_assert_uint_eq(i->qualification, qualification);
}

void apicv_in_handler(unsigned vector)
{
	ck_assert(r->v.vmx.non_root);
	ck_assert_uint_eq(r->v.rip, RIG_HANDLERS + 16 * vector);
}

void apicv_at(unsigned offset)
{
	ck_assert(r->v.vmx.non_root);
	ck_assert_uint_eq(r->v.rip, RIG_CODE + offset);
}
