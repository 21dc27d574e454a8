/*
 * The environment of the segmentation tests: see test_seg.h.
 */
#include <stdlib.h>

#include "cpu/run.h"
#include "tests/unit/test_seg.h"
#include "vmx/vmx.h"

#define G_FLAT (AR_G | AR_P | AR_S)

static int no_interrupt(void *owner)
{
	(void)owner;
	return -1;
}

u64 env_peek(struct env *e, u64 at, unsigned size)
{
	return load_le(physmem_ptr(&e->mem, at), size);
}

void env_poke(struct env *e, u64 at, unsigned size, u64 value)
{
	store_le(physmem_ptr(&e->mem, at), value, size);
}

/* limit in bytes; with AR_G its low 12 bits do not count. */
u64 env_desc(u32 base, u32 limit, u32 ar)
{
	u64 raw = ar & AR_G ? limit >> 12 : limit;

	return (raw & 0xffff) | (raw >> 16 & 15) << 48 | (u64)(base & 0xffffff) << 16 |
	       (u64)(base >> 24) << 56 | (u64)(ar & 0xf0ff) << 40;
}

void env_set_desc(struct env *e, u16 sel, u64 desc)
{
	env_poke(e, AT_GDT + (sel & 0xfff8u), 8, desc);
}

static void build_gdt(struct env *e)
{
	static const struct {
		u16 sel;
		u32 base, limit, ar;
	} d[] = {
		{KCODE32, 0, ~0u, G_FLAT | AR_DB | AR_CODE | AR_RW},
		{KDATA, 0, ~0u, G_FLAT | AR_DB | AR_RW},
		{UCODE32, 0, ~0u, G_FLAT | AR_DB | AR_DPL | AR_CODE | AR_RW},
		{UDATA, 0, ~0u, G_FLAT | AR_DB | AR_DPL | AR_RW},
		{KCODE64, 0, ~0u, G_FLAT | AR_L | AR_CODE | AR_RW},
		{UCODE64, 0, ~0u, G_FLAT | AR_L | AR_DPL | AR_CODE | AR_RW},
		{SEL_LDT, AT_LDT, 0xff, AR_P | SYS_LDT},
		{SEL_TSS, AT_TSS, 0x1ff, AR_P | SYS_TSS32},
		{CONFORMING, 0, ~0u, G_FLAT | AR_DB | AR_CODE | AR_RW | AR_DC},
		{ABSENT_DATA, 0, ~0u, AR_G | AR_S | AR_DB | AR_RW},
		{KCODE16, 0x100, 0xffff, AR_P | AR_S | AR_CODE | AR_RW},
		{KDATA16, 0, 0xffff, AR_P | AR_S | AR_RW},
		{SEL_TSS2, AT_TSS2, 0x67, AR_P | SYS_TSS32},
		{EXPAND_DOWN, 0, 0x1fff, AR_P | AR_S | AR_RW | AR_DC},
		{EXEC_ONLY, 0, ~0u, G_FLAT | AR_DB | AR_CODE},
		{READ_ONLY, 0, ~0u, G_FLAT | AR_DB},
		{ABSENT_CODE, 0, ~0u, AR_G | AR_S | AR_DB | AR_CODE | AR_RW},
	};

	for (unsigned k = 0; k < ARRAY_SIZE(d); k++)
		env_set_desc(e, d[k].sel, env_desc(d[k].base, d[k].limit, d[k].ar));
}

/* Identity map of the low 4 MBytes by 2-MByte pages, open to CPL 3. */
static void build_pages(struct env *e)
{
	env_poke(e, AT_PAGES, 8, (AT_PAGES + 0x1000) | 7);
	env_poke(e, AT_PAGES + 0x1000, 8, (AT_PAGES + 0x2000) | 7);
	env_poke(e, AT_PAGES + 0x2000, 8, 0x87);
	env_poke(e, AT_PAGES + 0x2008, 8, AT_HOLE | 0x87);
}

void env_hole(struct env *e)
{
	env_poke(e, AT_PAGES + 0x2008, 8, 0);
	tlb_flush_all(&e->v->tlb);
}

struct env *env_new(void)
{
	struct env *e = calloc(1, sizeof(*e));

	ck_assert_ptr_nonnull(e);
	e->v = calloc(1, sizeof(*e->v));
	ck_assert(e->v && physmem_init(&e->mem, 4 << 20));
	e->log.mask = 0;
	bus_init(&e->mmio, "memory", &e->log);
	bus_init(&e->pio, "port", &e->log);
	e->model.name = "test";
	e->model.maxphyaddr = 40;
	memset(e->model.features, 0xff, sizeof(e->model.features));
	e->wires.intr_pending = no_interrupt;
	e->v->model = &e->model;
	e->v->mem = &e->mem;
	e->v->mmio = &e->mmio;
	e->v->pio = &e->pio;
	e->v->log = &e->log;
	e->v->wires = &e->wires;
	e->v->phys_mask = BIT(40) - 1;
	ck_assert(tlb_init(&e->v->tlb));
	vmx_cpu_init(e->v);
	vcpu_reset(e->v, false);
	build_gdt(e);
	build_pages(e);
	return e;
}

void env_free(struct env *e)
{
	tlb_free(&e->v->tlb);
	physmem_free(&e->mem);
	free(e->v);
	free(e);
}

static void set_seg(struct env *e, unsigned seg, u16 sel)
{
	u64 d = env_peek(e, AT_GDT + (sel & 0xfff8u), 8);

	seg_from_descriptor(&e->v->seg[seg], sel, d);
	if (e->v->seg[seg].ar & AR_S)
		e->v->seg[seg].ar |= AR_A;
}

static void set_tables(struct env *e, bool wide)
{
	struct vcpu *v = e->v;

	v->gdtr = (struct dtr){AT_GDT, BEYOND - 1};
	v->idtr = (struct dtr){AT_IDT, 0xfff};
	set_seg(e, SEG_TR, SEL_TSS);
	v->seg[SEG_TR].ar |= SYS_BUSY;
	env_poke(e, AT_GDT + SEL_TSS + 5, 1, AR_P | SYS_TSS32_BUSY);
	set_seg(e, SEG_LDTR, SEL_LDT);
	if (wide) {
		env_poke(e, AT_TSS + 4, 8, AT_KSTACK);
		env_poke(e, AT_TSS + 0x24, 8, AT_IST);
	} else {
		env_poke(e, AT_TSS + 4, 4, AT_KSTACK);
		env_poke(e, AT_TSS + 8, 4, KDATA);
	}
}

static void set_level(struct env *e, unsigned cpl, u16 code, u16 data)
{
	struct vcpu *v = e->v;

	set_seg(e, SEG_CS, code);
	set_seg(e, SEG_SS, data);
	set_seg(e, SEG_DS, data);
	set_seg(e, SEG_ES, data);
	set_seg(e, SEG_FS, data);
	set_seg(e, SEG_GS, data);
	v->cpl = (u8)cpl;
	v->rip = AT_CODE;
	v->reg[RSP] = cpl ? AT_USTACK : AT_KSTACK;
	vcpu_recompute(v);
}

void env_real(struct env *e)
{
	vcpu_reset(e->v, false);
	e->v->seg[SEG_CS].ar = AR_P | AR_S | AR_RW | AR_A;
	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		e->v->seg[s].base = e->v->seg[s].sel = 0;
	e->v->rip = AT_CODE;
	e->v->reg[RSP] = 0x8000;
	vcpu_recompute(e->v);
}

static void leave_real(struct env *e)
{
	vcpu_reset(e->v, false);
	e->v->cr0 = CR0_PE | CR0_ET | CR0_NE;
}

void env_prot(struct env *e, unsigned cpl)
{
	leave_real(e);
	set_tables(e, false);
	set_level(e, cpl, cpl ? UCODE32 : KCODE32, cpl ? UDATA : KDATA);
}

static void long_mode(struct env *e)
{
	leave_real(e);
	e->v->cr0 |= CR0_PG | CR0_WP;
	e->v->cr4 = CR4_PAE;
	e->v->cr3 = AT_PAGES;
	e->v->efer = EFER_LME | EFER_LMA | EFER_SCE;
	set_tables(e, true);
}

void env_long(struct env *e, unsigned cpl)
{
	long_mode(e);
	set_level(e, cpl, cpl ? UCODE64 : KCODE64, cpl ? UDATA : KDATA);
}

void env_compat(struct env *e, unsigned cpl)
{
	long_mode(e);
	set_level(e, cpl, cpl ? UCODE32 : KCODE32, cpl ? UDATA : KDATA);
}

void env_vm86(struct env *e, unsigned iopl_)
{
	struct vcpu *v = e->v;

	env_prot(e, 0);
	v->rflags |= RFLAGS_VM | (u64)iopl_ << 12;
	v->cpl = 3;
	vcpu_recompute(v);
	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		seg_load_real(v, s, (u16)(0x100 + s));
	v->rip = 0x50;
	v->reg[RSP] = 0x800;
}

void env_gate(struct env *e, u8 vector, u32 ar, u16 sel, u64 rip, u8 ist)
{
	bool wide = mode_long(e->v);
	u64 at = AT_IDT + vector * (wide ? 16u : 8u);

	env_poke(e, at, 8,
		 (rip & 0xffff) | (u64)sel << 16 | (u64)ist << 32 | (u64)(ar | AR_P) << 40 |
			 (rip >> 16 & 0xffff) << 48);
	if (wide)
		env_poke(e, at + 8, 8, rip >> 32);
}

void env_push(struct env *e, unsigned size, u64 value)
{
	ck_assert_int_eq(stack_push(e->v, size, value), 0);
}

void env_freeze(const struct env *e, struct frozen *f)
{
	const struct vcpu *v = e->v;

	memset(f, 0, sizeof(*f));
	memcpy(f->reg, v->reg, sizeof(f->reg));
	for (unsigned s = 0; s < SEGS; s++) {
		f->seg[s].base = v->seg[s].base;
		f->seg[s].limit = v->seg[s].limit;
		f->seg[s].ar = v->seg[s].ar;
		f->seg[s].sel = v->seg[s].sel;
	}
	f->rip = v->rip;
	f->flags = flags_get(v);
	f->cr2 = v->cr2;
	f->cpl = v->cpl;
	f->mode = v->mode;
	f->lin_mask = v->lin_mask;
	f->table = v->table;
}

void env_same(const struct env *e, const struct frozen *f)
{
	struct frozen now;

	env_freeze(e, &now);
	ck_assert_mem_eq(&now, f, sizeof(now));
}
