/*
 * Guests made to be entered: a routine that fills a VMCS from a valid base with controls that the
 * capability MSRs allow, and many short pieces that change a few fields, mostly by little, and enter.
 * Every VM exit and every fault goes on at another piece. The guest's code is random, as is much of what
 * it has: mode, EPT, bitmaps, MSR lists, a shadow VMCS.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

/* Places in the image, from its load address; between the stack and the pieces, and behind them. */
enum {
	AT_POINTERS = 0x600,
	AT_SETUP = 0xb000,
	SETUP_SIZE = 0x5000,
	AT_TABLES = 0x20000, /* EPT: PML4, PDPT, PD; then pages for whatever a field points to */
	TABLE_PAGES = 16,
	AT_GUEST = 0x30000,
	GUEST_SIZE = 0x8000,
};

enum page {
	PAGE_PML4,
	PAGE_PDPT,
	PAGE_PD,
	PAGE_ZEROS, /* bitmaps */
	PAGE_ONES,
	PAGE_RANDOM,
	PAGE_LIST, /* MSR list */
	PAGE_SHADOW,
	PAGE_APIC,
};

struct vmcs_guest_state {
	struct image *im;
	size_t at, end;
	u32 base;
	struct rng *r;
	struct vmx_caps caps;
	struct vmcs vmcs;
};

static void put(struct vmcs_guest_state *g, u64 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes && g->at < g->end; i++)
		g->im->byte[g->at++] = (u8)(value >> 8 * i);
}

static u64 page(const struct vmcs_guest_state *g, unsigned n)
{
	return g->base + AT_TABLES + 0x1000 * n;
}

/* mov $enc, %eax; movabs $value, %rbx; vmwrite %rbx, %rax */
static void emit_write(struct vmcs_guest_state *g, u32 enc, u64 value)
{
	if (g->at + 18 > g->end)
		return;
	put(g, 0xb8, 1);
	put(g, enc, 4);
	put(g, 0xbb48, 2);
	put(g, value, 8);
	put(g, 0xc3790f, 3);
}

/* --- the base --- */

static u64 random_controls(struct vmcs_guest_state *g, enum vmx_word word, u64 wanted)
{
	u64 some = rng_next(g->r) & rng_next(g->r) & rng_next(g->r);

	if (rng_chance(g->r, 3))
		some = 0;
	return ((wanted | some) & g->caps.may1[word]) | g->caps.true_must1[word];
}

/* Most random words would fail because one control asks something of another: it goes. */
static void satisfy(u64 *word)
{
	static const struct {
		u16 a, b;
		bool needs;
	} pairs[] = {
#define NEEDS true
#define BARS false
#define R(a, relation, b) {a, b, relation},
#include "vmx/control_rules.def"
#undef NEEDS
#undef BARS
	};

	for (unsigned n = 0; n < 2 * ARRAY_SIZE(pairs); n++) {
		enum vmx_control x = (enum vmx_control)pairs[n % ARRAY_SIZE(pairs)].a;
		enum vmx_control y = (enum vmx_control)pairs[n % ARRAY_SIZE(pairs)].b;
		bool on = word[y >> 6] >> (y & 63) & 1;

		if (on != pairs[n % ARRAY_SIZE(pairs)].needs)
			word[x >> 6] &= ~VMX_MASK(x);
	}
}

static void base_controls(struct vmcs_guest_state *g, bool ia32e)
{
	static const u64 ept = VMX_MASK(PROC2_ENABLE_EPT) | VMX_MASK(PROC2_UNRESTRICTED_GUEST);
	struct vmcs_control *c = &g->vmcs.ctl;
	u64 word[VMX_WORDS] = {0};

	word[VMX_PIN] = random_controls(g, VMX_PIN, VMX_MASK(PIN_ACTIVATE_PREEMPTION_TIMER));
	word[VMX_PROC] = random_controls(g, VMX_PROC, VMX_MASK(PROC_ACTIVATE_SECONDARY_CONTROLS));
	word[VMX_PROC2] = random_controls(g, VMX_PROC2, rng_chance(g->r, 4) ? 0 : ept);
	word[VMX_EXIT] = random_controls(g, VMX_EXIT, VMX_MASK(EXIT_HOST_ADDRESS_SPACE_SIZE));
	word[VMX_ENTRY] = random_controls(g, VMX_ENTRY, 0) & ~VMX_MASK(ENTRY_IA32E_MODE_GUEST);
	word[VMX_ENTRY] |= ia32e ? VMX_MASK(ENTRY_IA32E_MODE_GUEST) : 0;
	satisfy(word);
	c->pin = (u32)word[VMX_PIN];
	c->proc = (u32)word[VMX_PROC];
	c->proc2 = (u32)word[VMX_PROC2];
	c->exit = (u32)word[VMX_EXIT];
	c->entry = (u32)word[VMX_ENTRY];
	c->proc3 = random_controls(g, VMX_PROC3, 0);
	c->exit2 = random_controls(g, VMX_EXIT2, 0);
	c->exception_bitmap = (u32)rng_next(g->r);
	c->eptp = page(g, PAGE_PML4) | 3 << 3 | (rng_chance(g->r, 2) ? 0x46 : 6);
	c->vpid = (u16)rng_below(g->r, 4);
	if (!c->vpid)
		c->vpid = 1;
	c->io_bitmap_a = page(g, PAGE_ZEROS + rng_below(g->r, 3));
	c->io_bitmap_b = page(g, PAGE_ZEROS + rng_below(g->r, 3));
	c->msr_bitmaps = page(g, PAGE_ZEROS + rng_below(g->r, 3));
	c->vmread_bitmap = page(g, PAGE_ZEROS + rng_below(g->r, 3));
	c->vmwrite_bitmap = page(g, PAGE_ZEROS + rng_below(g->r, 3));
	c->virtual_apic = page(g, PAGE_APIC);
	c->apic_access = rng_chance(g->r, 2) ? 0xfee00000 : page(g, PAGE_RANDOM);
	c->tsc_multiplier = 1ull << 48;
	c->entry_msr_load_address = c->exit_msr_load_address = c->exit_msr_store_address =
		page(g, PAGE_LIST);
	c->exit_msr_store_count = rng_chance(g->r, 4) ? 2 : 0;
}

static void base_host(struct vmcs_guest_state *g, u32 handler, u32 stack)
{
	struct vmcs_host *h = &g->vmcs.host;

	h->cr0 = 0x80010031;
	h->cr3 = g->base + 0x2000;
	h->cr4 = 0x426b0;
	h->cs_selector = 0x18;
	h->ss_selector = h->ds_selector = h->es_selector = 0x10;
	h->tr_selector = 0x30;
	h->tr_base = g->base + 0x1800;
	h->gdtr_base = g->base + 0x400;
	h->idtr_base = g->base + 0x800;
	h->efer = 0xd01;
	h->pat = 0x0007040600070406;
	h->rip = handler;
	h->rsp = stack;
}

enum guest_mode { GUEST_64, GUEST_PROTECTED, GUEST_REAL, GUEST_V86, GUEST_MODES };

static void base_segments(struct vmcs_guest *s, enum guest_mode mode)
{
	bool v86 = mode == GUEST_V86, real = mode == GUEST_REAL;
	u16 selector = v86 ? 0x1000 : real ? 0 : 0x10;
	u32 ar = v86 ? 0xf3 : real ? 0x93 : 0xc093;

	for (unsigned n = 0; n < VMCS_SEGMENTS; n++)
		s->seg[n] = (struct vmcs_segment){.base = v86 ? 0x10000 : 0,
						  .limit = v86 || real ? 0xffff : 0xffffffff,
						  .ar = ar,
						  .selector = selector};
	if (!v86)
		s->seg[VMCS_CS].ar = mode == GUEST_64 ? 0xa09b : real ? 0x9b : 0xc09b;
	s->seg[VMCS_TR] = (struct vmcs_segment){.limit = 0x67, .ar = 0x8b, .selector = 0x30};
	s->seg[VMCS_LDTR] = (struct vmcs_segment){.ar = 0x10000};
}

static void base_guest(struct vmcs_guest_state *g, enum guest_mode mode)
{
	struct vmcs_guest *s = &g->vmcs.guest;

	base_segments(s, mode);
	s->cr0 = mode == GUEST_REAL ? 0x30 : 0x80010031;
	s->cr3 = g->base + 0x2000;
	s->cr4 = mode == GUEST_64 ? 0x426b0 : 0x42690;
	s->efer = mode == GUEST_64 ? 0xd01 : 1;
	if (mode == GUEST_PROTECTED || mode == GUEST_V86)
		s->cr0 = rng_chance(g->r, 2) ? 0x80000031 : 0x31;
	if (!(s->cr0 & 0x80000000) && !(g->vmcs.ctl.proc2 & VMX_MASK(PROC2_UNRESTRICTED_GUEST)))
		s->cr0 |= 0x80000001;
	s->rip = g->base + AT_GUEST + rng_below(g->r, GUEST_SIZE);
	if (mode == GUEST_REAL || mode == GUEST_V86)
		s->rip &= 0xffff;
	s->rsp = g->base + 0xa000;
	s->rflags = mode == GUEST_V86 ? 0x23002 : 2;
	s->dr7 = 0x400;
	s->pat = 0x0007040600070406;
	s->gdtr_base = g->base + 0x400;
	s->gdtr_limit = 0x3f;
	s->idtr_base = g->base + 0x800;
	s->idtr_limit = 0xfff;
	s->link_pointer =
		g->vmcs.ctl.proc2 & VMX_MASK(PROC2_VMCS_SHADOWING) ? page(g, PAGE_SHADOW) : ~0ull;
	s->preemption_timer = rng_below(g->r, 2000);
	for (unsigned n = 0; n < 4; n++)
		s->pdpte[n] = page(g, PAGE_RANDOM + n) | 1;
}

/* --- changes --- */

static u64 edge(struct vmcs_guest_state *g)
{
	static const u64 values[] = {0,
				     1,
				     7,
				     0x7f,
				     0x80,
				     0xff,
				     0xffff,
				     0x10000,
				     0x7fffffff,
				     0x80000000,
				     0xffffffff,
				     1ull << 39,
				     1ull << 46,
				     1ull << 52,
				     0x7fffffffffff,
				     0x800000000000,
				     0xffff800000000000,
				     0x7fffffffffffffff,
				     0x8000000000000000,
				     ~0ull};

	return values[rng_below(g->r, ARRAY_SIZE(values))];
}

static u64 address(struct vmcs_guest_state *g)
{
	static const u64 odd[] = {0xfee00000, 0xfec00000, 0xe0000000,	 0xa0000,
				  0xfffff000, 0x40000000, 0xfffffffff000};

	if (rng_chance(g->r, 3))
		return odd[rng_below(g->r, ARRAY_SIZE(odd))];
	return page(g, rng_below(g->r, TABLE_PAGES)) | (rng_chance(g->r, 8) ? 8 : 0);
}

static u64 changed(struct vmcs_guest_state *g, u64 old)
{
	switch (rng_below(g->r, 6)) {
	case 0:
		return edge(g);
	case 1:
		return address(g);
	case 2:
		return rng_next(g->r);
	case 3:
		return old + 1 - 2 * rng_below(g->r, 2);
	default:
		return old ^ 1ull << rng_below(g->r, 64);
	}
}

static u64 event_to_inject(struct vmcs_guest_state *g)
{
	static const u32 valid[] = {0x80000306, 0x80000b0d, 0x80000b0e, 0x80000b08, 0x80000202,
				    0x80000030, 0x80000301, 0x80000430, 0x80000603};
	u64 vector = rng_below(g->r, 33), type = rng_below(g->r, 8);

	if (rng_chance(g->r, 2))
		return valid[rng_below(g->r, ARRAY_SIZE(valid))];
	return 0x80000000 | vector | type << 8 | (rng_chance(g->r, 2) ? 0x800 : 0);
}

static void change(struct vmcs_guest_state *g)
{
	u32 enc = vmcs_field_encoding(rng_below(g->r, vmcs_field_count()));
	u64 old = 0;

	/* broken host state soon ends everything */
	if (VMCS_TYPE(enc) == VMCS_HOST && !rng_chance(g->r, 8))
		return;
	if (rng_chance(g->r, 6)) {
		emit_write(g, VMCS_VM_ENTRY_INTERRUPTION_INFORMATION, event_to_inject(g));
		return;
	}
	if (rng_chance(g->r, 6)) { /* any mode, any state */
		emit_write(g, VMCS_GUEST_ACTIVITY_STATE, rng_below(g->r, 5));
		emit_write(g, VMCS_GUEST_INTERRUPTIBILITY_STATE, rng_below(g->r, 32));
		emit_write(g, VMCS_GUEST_RFLAGS, 2 | rng_below(g->r, 4) << 8);
		return;
	}
	vmcs_read(&g->caps, &g->vmcs, enc, &old);
	emit_write(g, enc, changed(g, old));
}

/* --- code --- */

static void call_or_jump(struct vmcs_guest_state *g, u8 opcode, u32 to)
{
	put(g, opcode, 1);
	put(g, to - (u32)(g->at + 4), 4);
}

/* VMXON, should it be off, VMCLEAR, VMPTRLD, and a VMWRITE for every field that is not as VMCLEAR left it. */
static void emit_setup(struct vmcs_guest_state *g)
{
	g->at = AT_SETUP;
	g->end = AT_SETUP + SETUP_SIZE;
	put(g, 0x2534c70ff3, 5);
	put(g, g->base + AT_POINTERS + 32, 4);
	put(g, 0x2534c70f66, 5);
	put(g, g->base + AT_POINTERS + 40, 4);
	put(g, 0x2534c70f, 4);
	put(g, g->base + AT_POINTERS + 40, 4);
	for (unsigned n = 0; n < vmcs_field_count(); n++) {
		u32 enc = vmcs_field_encoding(n);
		u64 value = 0;

		if (VMCS_TYPE(enc) != VMCS_READ_ONLY && !vmcs_read(&g->caps, &g->vmcs, enc, &value))
			emit_write(g, enc, value);
	}
	put(g, 0xc3, 1);
}

static void emit_piece(struct vmcs_guest_state *g, u32 handler)
{
	bool fresh = rng_chance(g->r, 2);

	if (fresh)
		call_or_jump(g, 0xe8, AT_SETUP);
	emit_write(g, VMCS_GUEST_RIP, g->vmcs.guest.rip ^ rng_below(g->r, 0x1000));
	for (unsigned n = rng_below(g->r, 5); n; n--)
		change(g);
	if (rng_chance(g->r, 4)) {
		size_t some = 1 + rng_below(g->r, 16);

		code_fill(g->im->byte + g->at, some, FUZZ_VMX, g->r);
		g->at += some;
	}
	put(g, fresh ? 0xc2010f : 0xc3010f, 3);
	put(g, fresh ? 0xc3010f : 0xc2010f, 3);
	call_or_jump(g, 0xe9, handler);
}

/* --- tables --- */

static void put_page(struct vmcs_guest_state *g, enum page n, unsigned entry, u64 value)
{
	g->at = AT_TABLES + 0x1000u * n + 8 * entry;
	g->end = g->at + 8;
	put(g, value, 8);
}

/* Guest-physical memory as it is, with a few entries that are not. */
static void ept_tables(struct vmcs_guest_state *g)
{
	u64 rights = rng_chance(g->r, 4) ? rng_below(g->r, 8) : 7;

	put_page(g, PAGE_PML4, 0, page(g, PAGE_PDPT) | 7);
	put_page(g, PAGE_PDPT, 0, page(g, PAGE_PD) | 7);
	put_page(g, PAGE_PDPT, 3, 0xc0000000 | 0xb0 | rights);
	for (unsigned n = 0; n < 512; n++)
		put_page(g, PAGE_PD, n, (u64)n << 21 | 0xb0 | rights);
	for (unsigned n = rng_below(g->r, 4); n; n--)
		put_page(g, (enum page)rng_below(g->r, 3), rng_below(g->r, 4),
			 rng_chance(g->r, 2) ? page(g, rng_below(g->r, 3)) | 7 : rng_next(g->r));
}

static void other_tables(struct vmcs_guest_state *g)
{
	static const u32 msr[] = {0x10,	      0x174, 0x175, 0x277, 0xc0000080, 0xc0000100,
				  0xc0000102, 0x1d9, 0x38f, 0x830, 0x480};

	memset(g->im->byte + AT_TABLES + 0x1000 * PAGE_ONES, 0xff, 0x1000);
	for (unsigned n = 0; n < 512; n++)
		put_page(g, PAGE_RANDOM, n, rng_next(g->r) & rng_next(g->r) & rng_next(g->r));
	for (unsigned n = 0; n < 512; n += 2) {
		put_page(g, PAGE_LIST, n, msr[rng_below(g->r, ARRAY_SIZE(msr))]);
		put_page(g, PAGE_LIST, n + 1, rng_chance(g->r, 4) ? edge(g) : 0);
	}
	put_page(g, PAGE_SHADOW, 0, VMX_REVISION | VMCS_SHADOW_INDICATOR);
}

void vmcs_fill(struct image *im, u32 base, u32 handler, u32 stack, size_t pieces_at,
	       size_t pieces_size, struct rng *r)
{
	static const enum fuzz_kind code[GUEST_MODES] = {FUZZ_CODE64, FUZZ_CODE32, FUZZ_CODE16,
							 FUZZ_V86};
	struct vmcs_guest_state g = {.im = im, .base = base, .r = r};
	struct vmx_model_mask mask;
	enum guest_mode mode = (enum guest_mode)rng_below(r, GUEST_MODES);

	vmx_model_mask_all(&mask, 0xffffffff, 46, 48);
	vmx_caps_init(&g.caps, &mask);
	base_controls(&g, mode == GUEST_64);
	base_host(&g, base + handler, base + stack);
	base_guest(&g, mode);
	emit_setup(&g);
	for (size_t at = pieces_at; at < pieces_at + pieces_size; at += FUZZ_PIECE) {
		g.at = at;
		g.end = at + FUZZ_PIECE;
		emit_piece(&g, handler);
	}
	ept_tables(&g);
	other_tables(&g);
	code_fill(im->byte + AT_GUEST, GUEST_SIZE, rng_chance(r, 4) ? FUZZ_VMX : code[mode], r);
	im->size = AT_GUEST + GUEST_SIZE;
}
