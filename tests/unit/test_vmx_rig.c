#include <check.h>
#include <stdlib.h>

#include "cpu/decode.h"
#include "tests/unit/test_vmx_rig.h"

struct processor {
	struct cpu_wires wires;
	int interrupt;
	struct vcpu v;
};

static struct rig {
	struct physmem mem;
	struct bus mmio, pio;
	struct log log;
	struct cpu_model model;
	struct processor cpu[RIG_CPUS];
} * rig;

static int intr_pending(void *owner)
{
	return ((struct processor *)owner)->interrupt;
}

static int intr_acknowledge(void *owner)
{
	int vector = intr_pending(owner);

	((struct processor *)owner)->interrupt = -1;
	return vector;
}

static void code_written(void *owner, u64 paddr, u64 len)
{
	(void)owner;
	blocks_written(rig_cpu(0)->blocks, paddr, len);
	for (unsigned n = 0; n < RIG_CPUS; n++)
		rig_cpu(n)->recheck = true;
}

static void smi_ack(void *owner, bool in_smm)
{
	(void)owner;
	(void)in_smm;
}

/* One page directory with one large page; gates that all lead to a HLT of their own. */
static void fill_memory(void)
{
	struct vcpu *v = rig_cpu(0);

	phys_write(v, RIG_PML4, RIG_PDPT | 7, 8);
	phys_write(v, RIG_PDPT, RIG_PD | 7, 8);
	phys_write(v, RIG_PD, 0x87, 8);
	for (u64 n = 0; n < 32; n++) {
		phys_write(v, RIG_IDT + 16 * n, (RIG_HANDLERS + 16 * n) | 0x8e0000080000ull, 8);
		phys_write(v, RIG_IDT + 16 * n + 8, 0, 8);
		RIG_CODE(RIG_HANDLERS + 16 * n, "\xf4");
	}
	for (u64 n = 0; n < RIG_CPUS; n++)
		phys_write(v, RIG_VMXON + 0x1000 * n, VMX_REVISION, 4);
	for (u64 n = 0; n < 4; n++)
		phys_write(v, RIG_VMCS + 0x1000 * n, VMX_REVISION, 4);
}

/* As the run loop leaves a processor at a boundary, or calls a handler. */
static void at_boundary(struct vcpu *v)
{
	v->icount_end = v->icount + 1;
	v->budget = 0;
	v->cur_left = 0;
}

static void enter_long_mode(struct vcpu *v)
{
	struct seg code = {.limit = 0xffffffff, .ar = 0xa09b, .sel = 8};
	struct seg data = {.limit = 0xffffffff, .ar = 0xc093, .sel = 16};

	v->cr0 = 0x80000031;
	v->cr3 = RIG_PML4;
	v->cr4 = CR4_PAE | CR4_VMXE;
	v->efer = EFER_LME | EFER_LMA;
	for (unsigned n = 0; n < SEG_LDTR; n++)
		v->seg[n] = n == SEG_CS ? code : data;
	v->seg[SEG_TR] = (struct seg){.limit = 0x67, .ar = 0x8b, .sel = 24};
	v->gdtr = (struct dtr){.base = RIG_FREE, .limit = 0x7f};
	v->idtr = (struct dtr){.base = RIG_IDT, .limit = 0x1ff};
	v->smbase = RIG_SMBASE;
	v->vmx.feature_control = 5;
	v->activity = ACT_ACTIVE;
	v->reg[RSP] = 0x7000 - 0x800 * v->id;
	phys_write(v, RIG_FREE + 8, 0x00af9b000000ffffull, 8);
	phys_write(v, RIG_FREE + 16, 0x00cf93000000ffffull, 8);
	vcpu_recompute(v);
}

void rig_setup(void)
{
	struct block_cache *blocks;
	const struct decoder *decoder;

	rig = calloc(1, sizeof(*rig));
	ck_assert_ptr_nonnull(rig);
	ck_assert(physmem_init(&rig->mem, RIG_RAM));
	rig->mem.code_written = code_written;
	bus_init(&rig->mmio, "memory", &rig->log);
	bus_init(&rig->pio, "ports", &rig->log);
	memset(rig->model.features, 0xff, sizeof(rig->model.features));
	rig->model.features[FEAT_LA57 / 64] &= ~BIT(FEAT_LA57 % 64);
	rig->model.name = "test";
	rig->model.maxphyaddr = 40;
	blocks = blocks_new(&rig->mem);
	decoder = decoder_new(&rig->model);
	for (unsigned n = 0; n < RIG_CPUS; n++) {
		struct processor *p = &rig->cpu[n];

		p->interrupt = -1;
		p->wires = (struct cpu_wires){.owner = p,
					      .intr_pending = intr_pending,
					      .intr_acknowledge = intr_acknowledge,
					      .smi_ack = smi_ack};
		ck_assert(vcpu_init(&p->v, n, &rig->model, &rig->mem, &rig->mmio, &rig->pio,
				    &rig->log, &p->wires, blocks, decoder));
	}
	fill_memory();
	for (unsigned n = 0; n < RIG_CPUS; n++)
		enter_long_mode(rig_cpu(n));
}

void rig_teardown(void)
{
	for (unsigned n = 0; n < RIG_CPUS; n++)
		vcpu_free(rig_cpu(n));
	physmem_free(&rig->mem);
	free(rig);
}

struct vcpu *rig_cpu(unsigned n)
{
	return &rig->cpu[n].v;
}

void rig_interrupt(unsigned n, int vector)
{
	rig->cpu[n].interrupt = vector;
	vcpu_notify(rig_cpu(n));
}

void rig_code(u64 paddr, const char *bytes, size_t n)
{
	for (size_t k = 0; k < n; k++)
		phys_write(rig_cpu(0), paddr + k, (u8)bytes[k], 1);
}

void rig_run_at(struct vcpu *v, u64 rip, u64 count)
{
	v->rip = rip;
	v->activity = ACT_ACTIVE;
	vcpu_recompute(v);
	vcpu_run(v, count);
}

int rig_exception(const struct vcpu *v)
{
	u64 at = v->rip - RIG_HANDLERS;

	return v->activity == ACT_HLT && at < 16 * 32 ? (int)(at / 16) : -1;
}

int rig_exec(struct vcpu *v, exec_fn *op)
{
	struct insn plain = {.len = 3,
			     .opsize = 8,
			     .addrsize = 8,
			     .mod = 3,
			     .base = REG_NONE,
			     .index = REG_NONE};

	at_boundary(v);
	return op(v, &plain);
}

int rig_pointer(struct vcpu *v, exec_fn *op, u64 ptr)
{
	struct insn i = {.len = 4,
			 .opsize = 8,
			 .addrsize = 8,
			 .base = REG_NONE,
			 .index = REG_NONE,
			 .seg = SEG_DS,
			 .disp = RIG_OPERAND};

	at_boundary(v);
	phys_write(v, RIG_OPERAND, ptr, 8);
	return op(v, &i);
}

void rig_vmxon(struct vcpu *v)
{
	ck_assert_int_eq(rig_pointer(v, op_vmxon, RIG_VMXON + 0x1000 * v->id), EXEC_NEXT);
	ck_assert(v->vmx.vmxon);
}

static void fill(struct vmcs *m)
{
	memset(m, 0, sizeof(*m));
	m->ctl.pin = 0x16;
	m->ctl.proc = 0x04006172 | VMX_MASK(PROC_ACTIVATE_SECONDARY_CONTROLS);
	m->ctl.exit = 0x36dff | VMX_MASK(EXIT_HOST_ADDRESS_SPACE_SIZE);
	m->ctl.entry = 0x11ff | VMX_MASK(ENTRY_IA32E_MODE_GUEST);
	m->host.cr0 = m->guest.cr0 = 0x80000031;
	m->host.cr3 = m->guest.cr3 = RIG_PML4;
	m->host.cr4 = m->guest.cr4 = CR4_PAE | CR4_VMXE;
	m->host.cs_selector = 8;
	m->host.ss_selector = 16;
	m->host.tr_selector = 24;
	m->host.gdtr_base = m->guest.gdtr_base = RIG_FREE;
	m->host.idtr_base = m->guest.idtr_base = RIG_IDT;
	m->guest.idtr_limit = 0x1ff;
	m->guest.gdtr_limit = 0x7f;
	m->host.rip = RIG_HOST;
	m->host.rsp = 0x6000;
	m->guest.rip = RIG_GUEST;
	m->guest.rsp = 0x7000;
	m->guest.rflags = 2;
	m->guest.dr7 = 0x400;
	m->guest.link_pointer = ~0ull;
	for (unsigned n = 0; n < VMCS_SEGMENTS; n++)
		m->guest.seg[n] =
			(struct vmcs_segment){.limit = 0xffffffff, .ar = 0xc093, .selector = 16};
	m->guest.seg[VMCS_CS] =
		(struct vmcs_segment){.limit = 0xffffffff, .ar = 0xa09b, .selector = 8};
	m->guest.seg[VMCS_TR] = (struct vmcs_segment){.limit = 0x67, .ar = 0x8b, .selector = 24};
	m->guest.seg[VMCS_LDTR] = (struct vmcs_segment){.ar = 0x10000};
}

void rig_load(struct vcpu *v, u64 region)
{
	rig_pointer(v, op_vmclear, region);
	rig_pointer(v, op_vmptrld, region);
	ck_assert_uint_eq(v->vmx.current_ptr, region);
	fill(&v->vmx.vmcs);
	rig_touched(v);
}

void rig_touched(struct vcpu *v)
{
	v->vmx.dirty = VMCS_DIRTY_ALL;
}

bool rig_enter(struct vcpu *v)
{
	int r = rig_exec(v, v->vmx.launched ? op_vmresume : op_vmlaunch);

	v->icount++; /* the run loop counts it */
	at_boundary(v);
	return r == EXEC_VMEXIT && v->vmx.non_root;
}

u32 rig_reason(const struct vcpu *v)
{
	return (u16)v->vmx.vmcs.info.exit_reason;
}
