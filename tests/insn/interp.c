/*
 * The interpreter's side: a vCPU at CPL 3 in 64-bit mode over a few MBytes, with the case's pages at
 * the same linear addresses as natively and an IDT whose handlers halt, so that every fault goes
 * through delivery. The guest's own tables lie in the upper half, for the supervisor only.
 */
#include <stdlib.h>

#include "cpu/decode.h"
#include "cpu/run.h"
#include "tests/insn/hostcmp.h"

#define RAM_BYTES (4u << 20)
#define KERNEL 0xffff800000000000ull /* linear address of physical 0 */
#define INSNS_MAX 100000

/* Physical addresses. */
enum {
	AT_PML4 = 0x1000,
	AT_PDPT = 0x2000,
	AT_PD = 0x3000,
	AT_PT_CODE = 0x4000,
	AT_PDPT_K = 0x6000,
	AT_PD_K = 0x7000,
	AT_GDT = 0x8000,
	AT_IDT = 0x9000,
	AT_TSS = 0xa000,
	AT_STACK = 0xd000,
	AT_HANDLERS = 0xe000,
	AT_CODE = 0x10000,
	AT_EXIT = 0x12000,
	AT_DATA = 0x14000
};

/* Selectors as on Linux, so that they can be compared too. */
enum { SEL_KCODE = 0x10, SEL_TSS = 0x40, SEL_USS = 0x2b, SEL_UCODE = 0x33 };

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_LARGE = 0x80 };
#define PTE_NX BIT(63)

struct interp {
	struct vcpu *v;
	struct physmem mem;
	struct bus mmio, pio;
	struct log log;
	struct cpu_wires wires;
	struct block_cache *blocks;
	struct decoder *decoder;
	struct seg user[SEGS];
	u8 blank[HC_CODE_BYTES]; /* INT3 */
};

static int no_interrupt(void *owner)
{
	(void)owner;
	return -1;
}

static void code_written(void *owner, u64 paddr, u64 len)
{
	blocks_written(owner, paddr, len);
}

static void poke(struct interp *p, u64 at, u64 value)
{
	store_le64(physmem_ptr(&p->mem, at), value);
}

static void map(struct interp *p, u64 laddr, u64 paddr, unsigned pages, u64 rights)
{
	for (unsigned k = 0; k < pages; k++)
		poke(p, AT_PT_CODE + ((laddr >> 12) + k) % 512 * 8,
		     (paddr + k * PAGE_SIZE) | rights | PTE_P | PTE_U);
}

static void build_pages(struct interp *p)
{
	poke(p, AT_PML4, AT_PDPT | PTE_P | PTE_W | PTE_U);
	poke(p, AT_PDPT, AT_PD | PTE_P | PTE_W | PTE_U);
	poke(p, AT_PD + (HC_CODE >> 21) * 8, AT_PT_CODE | PTE_P | PTE_W | PTE_U);
	map(p, HC_CODE, AT_CODE, HC_CODE_BYTES / PAGE_SIZE, PTE_W);
	map(p, HC_EXIT, AT_EXIT, 1, 0);
	map(p, HC_DATA, AT_DATA, HC_DATA_RW / PAGE_SIZE, PTE_W | PTE_NX);
	map(p, HC_DATA + HC_DATA_RW, AT_DATA + HC_DATA_RW, 1, PTE_NX);
	poke(p, AT_PML4 + 256 * 8, AT_PDPT_K | PTE_P | PTE_W);
	poke(p, AT_PDPT_K, AT_PD_K | PTE_P | PTE_W);
	poke(p, AT_PD_K, PTE_P | PTE_W | PTE_LARGE);
}

/* Vector n goes to HLT at AT_HANDLERS + 16 n, on the stack of IST 1. */
static void build_tables(struct interp *p)
{
	for (unsigned k = 0; k < 32; k++) {
		u64 at = KERNEL + AT_HANDLERS + 16 * k;

		*physmem_ptr(&p->mem, AT_HANDLERS + 16 * k) = 0xf4;
		poke(p, AT_IDT + 16 * k,
		     (at & 0xffff) | (u64)SEL_KCODE << 16 | 1ull << 32 | 0xeeull << 40 |
			     (at >> 16 & 0xffff) << 48);
		poke(p, AT_IDT + 16 * k + 8, at >> 32);
	}
	poke(p, AT_TSS + 0x24, KERNEL + AT_STACK);
	poke(p, AT_GDT + SEL_KCODE, 0x00af9b000000ffffull);
	*physmem_ptr(&p->mem, AT_EXIT) = 0xcc;
}

static void set_segments(struct interp *p)
{
	const u32 data = AR_P | AR_S | AR_DPL | AR_RW | AR_A | AR_G | AR_DB;
	struct vcpu *v = p->v;

	for (unsigned s = 0; s < SEGS; s++)
		v->seg[s] = (struct seg){.ar = AR_UNUSABLE};
	v->seg[SEG_CS] =
		(struct seg){.limit = ~0u,
			     .sel = SEL_UCODE,
			     .ar = AR_P | AR_S | AR_DPL | AR_CODE | AR_RW | AR_A | AR_G | AR_L};
	v->seg[SEG_SS] = (struct seg){.limit = ~0u, .sel = SEL_USS, .ar = data};
	v->seg[SEG_TR] = (struct seg){
		.base = KERNEL + AT_TSS, .limit = 0x67, .sel = SEL_TSS, .ar = AR_P | 11};
	v->gdtr = (struct dtr){KERNEL + AT_GDT, 0x4f};
	v->idtr = (struct dtr){KERNEL + AT_IDT, 0x1ff};
	memcpy(p->user, v->seg, sizeof(p->user));
}

static void set_mode(struct interp *p)
{
	struct vcpu *v = p->v;

	v->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	v->cr3 = AT_PML4;
	v->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
	v->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	v->xcr0 = 7;
	set_segments(p);
	v->cpl = 3;
	vcpu_recompute(v);
}

struct interp *interp_new(const struct cpu_model *model, const u8 *ro_page)
{
	struct interp *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->v = calloc(1, sizeof(*p->v));
	if (!p->v || !physmem_init(&p->mem, RAM_BYTES))
		goto fail;
	p->blocks = blocks_new(&p->mem);
	p->decoder = decoder_new(model);
	if (!p->blocks || !p->decoder)
		goto fail;
	p->mem.code_written = code_written;
	p->mem.code_owner = p->blocks;
	bus_init(&p->mmio, "memory", &p->log);
	bus_init(&p->pio, "port", &p->log);
	p->wires.intr_pending = no_interrupt;
	if (!vcpu_init(p->v, 0, model, &p->mem, &p->mmio, &p->pio, &p->log, &p->wires, p->blocks,
		       p->decoder))
		goto fail;
	memset(p->blank, 0xcc, sizeof(p->blank));
	build_pages(p);
	build_tables(p);
	memcpy(physmem_ptr(&p->mem, AT_DATA + HC_DATA_RW), ro_page, HC_DATA_RO);
	set_mode(p);
	return p;
fail:
	interp_free(p);
	return NULL;
}

void interp_free(struct interp *p)
{
	if (p->v && p->v->blocks)
		vcpu_free(p->v);
	if (p->blocks)
		blocks_free(p->blocks);
	decoder_free(p->decoder);
	physmem_free(&p->mem);
	free(p->v);
	free(p);
}

const struct decoder *interp_decoder(const struct interp *p)
{
	return p->decoder;
}

static void load(struct vcpu *v, const struct interp *p, const struct hc_case *c)
{
	const struct hc_state *s = &c->in;

	memcpy(v->seg, p->user, sizeof(v->seg));
	v->seg[SEG_FS].base = s->fs_base;
	v->seg[SEG_GS].base = s->gs_base;
	memcpy(v->reg, s->reg, sizeof(v->reg));
	v->rip = HC_CODE + c->start;
	flags_set(v, s->rflags | RFLAGS_IF);
	v->mxcsr = s->mxcsr;
	v->x87 = (struct x87){.fcw = s->fcw, .fsw = s->fsw, .tag_valid = s->tags};
	memcpy(v->x87.st, s->st, sizeof(v->x87.st));
	memcpy(v->ymm, s->ymm, sizeof(v->ymm));
	v->cpl = 3;
	v->cr2 = 0;
	v->activity = ACT_ACTIVE;
	v->shadow = 0;
	v->pending_dbg = 0;
}

static void store(const struct vcpu *v, struct hc_state *s)
{
	memcpy(s->reg, v->reg, sizeof(s->reg));
	s->mxcsr = v->mxcsr;
	s->fcw = v->x87.fcw;
	s->fsw = v->x87.fsw;
	s->tags = v->x87.tag_valid;
	memcpy(s->st, v->x87.st, sizeof(s->st));
	memcpy(s->ymm, v->ymm, sizeof(s->ymm));
	s->fs_base = v->seg[SEG_FS].base;
	s->gs_base = v->seg[SEG_GS].base;
}

/* The interrupt frame that the delivery of the last event left on the stack. */
static void read_frame(struct interp *p, struct hc_result *r)
{
	const u32 with_error = 1u << 8 | 0x1fu << 10 | 1u << 17 | 1u << 21;
	struct vcpu *v = p->v;
	const u8 *f = physmem_ptr(&p->mem, AT_STACK - 40);

	r->vector = (u8)((v->rip - 1 - KERNEL - AT_HANDLERS) / 16);
	r->error = r->vector < 32 && with_error >> r->vector & 1 ? load_le32(f - 8) : 0;
	r->cr2 = v->cr2;
	r->s.rip = load_le64(f);
	r->s.rflags = load_le64(f + 16);
	r->s.reg[RSP] = load_le64(f + 24);
	if (r->vector == VEC_BP && r->s.rip == HC_EXIT + 1) {
		r->vector = HC_NO_FAULT;
		r->s.rip = HC_EXIT;
	}
}

void interp_run(struct interp *p, const struct hc_batch *b, const struct hc_case *c, bool stepping,
		struct hc_result *out)
{
	u8 *data = physmem_ptr(&p->mem, AT_DATA);
	struct vcpu *v = p->v;

	memcpy(data, b->data, HC_DATA_RW);
	for (unsigned k = 0; k < c->patches; k++)
		memcpy(data + c->patch[k].off, c->patch[k].bytes, c->patch[k].n);
	dma_write(&p->mem, AT_CODE, p->blank, HC_CODE_BYTES);
	dma_write(&p->mem, AT_CODE + c->start, c->code, c->code_len);
	load(v, p, c);
	v->debugger = stepping;
	vcpu_recompute_cpl(v);
	vcpu_run(v, INSNS_MAX);
	memset(out, 0, offsetof(struct hc_result, data));
	store(v, &out->s);
	if (v->stop_reason == STOP_HALT) {
		read_frame(p, out);
	} else { /* endless, or a triple fault: no such vector */
		out->vector = (u8)(0xf0 + v->stop_reason);
		out->s.rip = v->rip;
		out->s.rflags = flags_get(v);
	}
	memcpy(out->data, data, HC_DATA_RW);
}
