/*
 * Segment registers: descriptors, loading with all checks, segmentation of addresses, the stack.
 * SDM Vol. 3, "Protected-Mode Memory Management" (segmentation), "Protection", "8086 Emulation";
 * Vol. 2, MOV, POP, LDS.
 * Left out: addresses in a 4-GByte segment never wrap past its end, they fault.
 */
#include "cpu/seg_internal.h"

/* --- system accesses --- */

/* Compatibility mode wraps data addresses at 4 GBytes, but not those of the tables. */
static u64 widen(struct vcpu *v)
{
	u64 mask = v->lin_mask;

	if (v->mode == MODE_COMPAT)
		v->lin_mask = ~0ull;
	return mask;
}

/* After a VM exit the state is the host's and not ours to restore. */
static int unwiden(struct vcpu *v, u64 mask, int r)
{
	if (r != EXEC_VMEXIT)
		v->lin_mask = mask;
	return r;
}

static u64 sys_laddr(const struct vcpu *v, u64 laddr)
{
	return mode_long(v) ? laddr : (u32)laddr;
}

int sys_read(struct vcpu *v, u64 laddr, unsigned size, u64 *value)
{
	const u8 *host = size == 8 ? sys_hit(v, sys_laddr(v, laddr), 8) : NULL;
	u64 mask;

	if (likely(host)) {
		*value = load_le64(host);
		return 0;
	}
	mask = widen(v);
	return unwiden(v, mask,
		       lin_read(v, sys_laddr(v, laddr), size, ACCESS_READ | LIN_SUPER, value));
}

int sys_read_bytes(struct vcpu *v, u64 laddr, void *buf, unsigned n)
{
	u64 mask = widen(v);

	return unwiden(v, mask,
		       lin_read_bytes(v, sys_laddr(v, laddr), buf, n, ACCESS_READ | LIN_SUPER));
}

/* --- descriptors --- */

void seg_from_descriptor(struct seg *s, u16 sel, u64 desc)
{
	s->sel = sel;
	s->base = bits(desc, 39, 16) | bits(desc, 63, 56) << 24;
	s->limit = (u32)(bits(desc, 15, 0) | bits(desc, 51, 48) << 16);
	s->ar = (u32)(desc >> 40) & 0xf0ff;
	if (s->ar & AR_G)
		s->limit = s->limit << 12 | 0xfff;
}

static bool table_of(const struct vcpu *v, u16 sel, u64 *base, u32 *limit)
{
	const struct seg *ldt = &v->seg[SEG_LDTR];

	if (!(sel & 4)) {
		*base = v->gdtr.base;
		*limit = v->gdtr.limit;
		return true;
	}
	*base = ldt->base;
	*limit = ldt->limit;
	return !(ldt->ar & AR_UNUSABLE);
}

int desc_try(struct vcpu *v, u16 sel, struct desc *d, bool *inside)
{
	u32 limit, at = sel & 0xfff8;
	u64 base;
	int r;

	*inside = table_of(v, sel, &base, &limit) && at + 7 <= limit;
	if (!*inside)
		return 0;
	d->laddr = sys_laddr(v, base + at);
	r = sys_read(v, d->laddr, 8, &d->raw);
	if (!r)
		seg_from_descriptor(&d->seg, sel, d->raw);
	return r;
}

int desc_read(struct vcpu *v, u16 sel, u8 vector, struct desc *d)
{
	bool inside;
	int r = desc_try(v, sel, d, &inside);

	return inside ? r : raise_sel(v, vector, sel);
}

int desc_read_high(struct vcpu *v, u16 sel, u8 vector, const struct desc *d, u64 *high)
{
	u32 limit;
	u64 base;

	if (!table_of(v, sel, &base, &limit) || (sel & 0xfff8u) + 15 > limit)
		return raise_sel(v, vector, sel);
	return sys_read(v, d->laddr + 8, 8, high);
}

int desc_mark(struct vcpu *v, struct desc *d, u8 bits_)
{
	struct memref ref;
	u64 value, mask = widen(v);
	int r = unwiden(v, mask,
			lin_rmw(v, sys_laddr(v, d->laddr + 5), 1,
				ACCESS_READ | ACCESS_WRITE | LIN_SUPER, &ref, &value));

	if (r)
		return r;
	mem_rmw_write(v, &ref, value | bits_);
	d->seg.ar |= bits_;
	return 0;
}

int desc_read_stack(struct vcpu *v, u16 sel, unsigned cpl, u8 vector, struct desc *d)
{
	int r = desc_read(v, sel, vector, d);

	if (r)
		return r;
	if ((sel & 3u) != cpl || seg_dpl(&d->seg) != cpl || !ar_is_writable_data(d->seg.ar))
		return raise_sel(v, vector, sel);
	return d->seg.ar & AR_P ? 0 : raise_sel(v, VEC_SS, sel);
}

int code_check_rip(struct vcpu *v, const struct seg *cs, u64 rip)
{
	bool ok = code_is_64(v, cs) ? is_canonical(rip, v->width_laddr) : rip <= cs->limit;

	return ok ? 0 : raise_sel(v, VEC_GP, 0);
}

/* --- loading --- */

/* The limit and the attributes that say nothing about rights survive, as they do in hardware. */
void seg_make_null(struct seg *s, u16 sel, unsigned dpl)
{
	s->sel = sel;
	s->base = 0;
	s->ar = (s->ar & (AR_AVL | AR_L | AR_DB | AR_G)) | AR_UNUSABLE | dpl << AR_DPL_SHIFT;
}

void seg_loaded(struct vcpu *v, unsigned seg)
{
	if (v->mode != MODE_64)
		vcpu_recompute(v);
	else if (seg >= SEG_FS)
		v->segbase[seg] = v->seg[seg].base;
}

void code_loaded(struct vcpu *v, u8 was_mode, bool full, bool cpl_changed)
{
	if (full || was_mode != MODE_64 || !(v->seg[SEG_CS].ar & AR_L))
		vcpu_recompute(v);
	else if (cpl_changed)
		vcpu_recompute_cpl(v);
}

static int load_null(struct vcpu *v, unsigned seg, u16 sel)
{
	if (seg == SEG_SS && (v->mode != MODE_64 || v->cpl == 3 || (sel & 3) != v->cpl))
		return raise_gp(v, 0);
	seg_make_null(&v->seg[seg], sel, seg == SEG_SS ? v->cpl : 0);
	seg_loaded(v, seg);
	return 0;
}

/* Data segment registers: DPL >= CPL and RPL but for conforming code. */
static bool data_rights_ok(const struct desc *d, u16 sel, unsigned cpl)
{
	u32 dpl = seg_dpl(&d->seg);

	if (!ar_is_readable(d->seg.ar))
		return false;
	return ar_is_conforming(d->seg.ar) || (dpl >= cpl && dpl >= (sel & 3u));
}

int seg_load(struct vcpu *v, unsigned seg, u16 sel)
{
	struct desc d;
	int r;

	if (!mode_protected(v)) {
		seg_load_real(v, seg, sel);
		return 0;
	}
	if (sel_is_null(sel))
		return load_null(v, seg, sel);
	if (seg == SEG_SS) {
		r = desc_read_stack(v, sel, v->cpl, VEC_GP, &d);
	} else {
		r = desc_read(v, sel, VEC_GP, &d);
		if (!r && !data_rights_ok(&d, sel, v->cpl))
			return raise_sel(v, VEC_GP, sel);
		if (!r && !(d.seg.ar & AR_P))
			return raise_sel(v, VEC_NP, sel);
	}
	if (!r)
		r = desc_set_accessed(v, &d);
	if (r)
		return r;
	v->seg[seg] = d.seg;
	seg_loaded(v, seg);
	return 0;
}

/*
 * Real mode keeps the limit: programs rely on the big segments that protected mode left behind. CS stays
 * a code segment, which nobody looks at before CR0.PE is set; a hypervisor that emulates the next
 * instruction then does.
 */
void seg_load_real(struct vcpu *v, unsigned seg, u16 sel)
{
	struct seg *s = &v->seg[seg];

	s->sel = sel;
	s->base = (u64)sel << 4;
	if (v->rflags & RFLAGS_VM) {
		s->limit = 0xffff;
		s->ar = AR_P | AR_DPL | AR_S | AR_RW | AR_A;
	} else {
		u32 code = seg == SEG_CS ? AR_CODE : 0;

		s->ar = (s->ar & (AR_AVL | AR_L | AR_DB | AR_G | code)) | AR_P | AR_S | AR_RW |
			AR_A;
	}
	vcpu_recompute(v);
}

void seg_drop_privileged(struct vcpu *v)
{
	static const u8 segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned k = 0; k < ARRAY_SIZE(segs); k++) {
		struct seg *s = &v->seg[segs[k]];
		u64 base = s->base;

		/* a null selector can hold usable rights after a VM entry or exit */
		if (!(s->sel & ~3) || s->ar & AR_UNUSABLE || ar_is_conforming(s->ar) ||
		    seg_dpl(s) >= v->cpl)
			continue;
		seg_make_null(s, 0, 0);
		s->base = base; /* only the selector and the rights go */
		seg_loaded(v, segs[k]);
	}
}

/* --- addresses --- */

static bool limit_ok(const struct seg *s, u64 off, u64 last)
{
	bool expand_down = (s->ar & (AR_S | AR_CODE | AR_DC)) == (AR_S | AR_DC);

	if (!expand_down)
		return last <= s->limit;
	return off > s->limit && last <= (s->ar & AR_DB ? 0xffffffffu : 0xffffu);
}

bool seg_check(const struct vcpu *v, const struct seg *s, bool wide, u64 off, unsigned n,
	       bool write, u64 *laddr)
{
	if (wide) {
		*laddr = off;
		return is_canonical(off, v->width_laddr) &&
		       is_canonical(off + n - 1, v->width_laddr);
	}
	off = (u32)off;
	*laddr = (u32)(s->base + off);
	if (s->ar & AR_UNUSABLE)
		return false;
	if (v->cr0 & CR0_PE && !(write ? ar_is_writable_data(s->ar) : ar_is_readable(s->ar)))
		return false;
	return limit_ok(s, off, off + n - 1);
}

int seg_to_laddr(struct vcpu *v, unsigned seg, u64 off, unsigned size, bool write, u64 *laddr)
{
	bool wide = v->mode == MODE_64;

	if (wide && seg >= SEG_FS)
		off += v->seg[seg].base;
	if (likely(seg_check(v, &v->seg[seg], wide, off, size, write, laddr)))
		return 0;
	return raise_error(v, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
}

/* --- stack --- */

static u64 stack_mask_of(const struct seg *ss)
{
	return ss->ar & AR_DB ? 0xffffffffu : 0xffff;
}

u64 stack_mask(const struct vcpu *v)
{
	return v->mode == MODE_64 ? ~0ull : stack_mask_of(&v->seg[SEG_SS]);
}

static u64 sp_merge(u64 old, u64 value, u64 mask)
{
	return mask == 0xffff ? (old & ~mask) | (value & mask) : value & mask;
}

void rsp_set(struct vcpu *v, u64 value)
{
	v->reg[RSP] = sp_merge(v->reg[RSP], value, stack_mask(v));
}

int stack_push(struct vcpu *v, unsigned size, u64 value)
{
	u64 sp = (v->reg[RSP] - size) & stack_mask(v);
	u8 *host = size == 8 && stack_quick(v) ? tlb_hit(v->table->st, sp, 8) : NULL;
	int r = 0;

	if (likely(host))
		store_le64(host, value);
	else
		r = mem_write(v, SEG_SS, sp, size, value);
	if (!r)
		rsp_set(v, sp);
	return r;
}

int stack_peek(struct vcpu *v, unsigned size, u64 *value)
{
	u64 sp = v->reg[RSP] & stack_mask(v);
	const u8 *host = size == 8 && stack_quick(v) ? tlb_hit(v->table->ld, sp, 8) : NULL;

	if (unlikely(!host))
		return mem_read(v, SEG_SS, sp, size, value);
	*value = load_le64(host);
	return 0;
}

int stack_pop(struct vcpu *v, unsigned size, u64 *value)
{
	int r = stack_peek(v, size, value);

	if (!r)
		rsp_set(v, v->reg[RSP] + size);
	return r;
}

void stack_current(struct vcpu *v, struct stack *st)
{
	st->ss.seg = v->seg[SEG_SS];
	st->sp = v->reg[RSP];
	st->mask = stack_mask(v);
	st->wide = v->mode == MODE_64;
	st->fresh = false;
}

static int tss_stack64(struct vcpu *v, unsigned cpl, unsigned ist, struct stack *st)
{
	const struct seg *tr = &v->seg[SEG_TR];
	u32 at = ist ? 28 + 8 * ist : 4 + 8 * cpl;

	if (at + 7 > tr->limit)
		return raise_sel(v, VEC_TS, tr->sel);
	st->ss.seg = v->seg[SEG_SS];
	seg_make_null(&st->ss.seg, (u16)cpl, cpl);
	st->mask = ~0ull;
	st->wide = true;
	return sys_read(v, tr->base + at, 8, &st->sp);
}

int stack_from_tss(struct vcpu *v, unsigned cpl, unsigned ist, struct stack *st)
{
	const struct seg *tr = &v->seg[SEG_TR];
	unsigned size = tr->ar & SYS_WIDE ? 4 : 2;
	u32 at = size + 2 * size * cpl;
	u64 ss;
	int r;

	st->fresh = true;
	if (mode_long(v))
		return tss_stack64(v, cpl, ist, st);
	if (at + size + 1 > tr->limit)
		return raise_sel(v, VEC_TS, tr->sel);
	r = sys_read(v, tr->base + at, size, &st->sp);
	if (!r)
		r = sys_read(v, tr->base + at + size, 2, &ss);
	if (r)
		return r;
	if (sel_is_null((u16)ss))
		return raise_sel(v, VEC_TS, (u16)ss);
	r = desc_read_stack(v, (u16)ss, cpl, VEC_TS, &st->ss);
	if (!r)
		r = desc_set_accessed(v, &st->ss);
	st->mask = stack_mask_of(&st->ss.seg);
	st->wide = false;
	return r;
}

/* A frame that crosses a page or the end of a 16-bit stack: all probed, then all written. */
static int push_split(struct vcpu *v, const struct stack *st, const u64 *value, unsigned n,
		      unsigned size)
{
	u64 laddr, sp = st->sp;

	for (unsigned pass = 0; pass < 2; pass++, sp = st->sp) {
		for (unsigned k = 0; k < n; k++) {
			int r;

			sp = (sp - size) & st->mask;
			if (!seg_check(v, &st->ss.seg, st->wide, sp, size, true, &laddr))
				return raise_sel(v, VEC_SS, st->fresh ? st->ss.seg.sel : 0);
			r = pass ? lin_write(v, laddr, size, ACCESS_WRITE, value[k])
				 : lin_probe(v, laddr, size, ACCESS_WRITE);
			if (r)
				return r;
		}
	}
	return 0;
}

/* Within a page the first push tells whether the others will work. */
static int push_values(struct vcpu *v, const struct stack *st, const u64 *value, unsigned n,
		       unsigned size)
{
	unsigned total = n * size;
	u64 laddr, low = (st->sp - total) & st->mask;
	int r = 0;

	if (likely(st->wide && size == 8)) {
		u8 *host = tlb_hit(v->table->st, low, total);

		if (likely(host && !v->watch)) {
			for (unsigned k = 0; k < n; k++)
				store_le64(host + total - 8 * (k + 1), value[k]);
			return 0;
		}
	}
	if (unlikely(low > st->mask - (total - 1) ||
		     !seg_check(v, &st->ss.seg, st->wide, low, total, true, &laddr) ||
		     (laddr & ~PAGE_MASK) + total > PAGE_SIZE))
		return push_split(v, st, value, n, size);
	for (unsigned k = 0; !r && k < n; k++)
		r = lin_write(v, laddr + total - (u64)(k + 1) * size, size, ACCESS_WRITE, value[k]);
	return r;
}

int stack_push_frame(struct vcpu *v, struct stack *st, unsigned cpl, const u64 *value, unsigned n,
		     unsigned size)
{
	u8 old = v->cpl;
	u64 mask = v->lin_mask;
	int r;

	if (cpl != old) {
		v->cpl = (u8)cpl;
		vcpu_recompute_cpl(v);
	}
	if (st->wide)
		v->lin_mask = ~0ull;
	r = unwiden(v, mask, push_values(v, st, value, n, size));
	if (!r)
		st->sp = sp_merge(st->sp, st->sp - (u64)n * size, st->mask);
	else if (r == EXEC_FAULT && cpl != old) {
		v->cpl = old;
		vcpu_recompute_cpl(v);
	}
	return r;
}

void stack_commit(struct vcpu *v, const struct stack *st)
{
	if (st->fresh)
		v->seg[SEG_SS] = st->ss.seg;
	v->reg[RSP] = st->sp;
}
