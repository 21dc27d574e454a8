/*
 * What only AVX and AVX2 have: masked moves, broadcasts, 128-bit lanes, permutations across lanes,
 * gathers, VZEROUPPER and VZEROALL. SDM volume 1, "Programming with AVX, FMA, and Intel AVX2".
 */
#include "cpu/insn_protos.h"
#include "cpu/vec_shuf.h"

int x_vzeroupper(struct vcpu *v, const struct insn *i)
{
	unsigned n = v->mode == MODE_64 ? 16 : 8;

	(void)i;
	for (unsigned k = 0; k < n; k++)
		lane_put(&v->ymm[k], 1, lane_zero());
	return EXEC_NEXT;
}

int x_vzeroall(struct vcpu *v, const struct insn *i)
{
	unsigned n = v->mode == MODE_64 ? 16 : 8;

	(void)i;
	for (unsigned k = 0; k < n; k++)
		avx_put128(&v->ymm[k], lane_zero());
	return EXEC_NEXT;
}

/* --- masked moves: elements whose mask sign is clear are not accessed --- */

static bool sign_of(const union vreg *r, unsigned size, unsigned k)
{
	return r->b[size * k + size - 1] & 0x80;
}

static int mask_load(struct vcpu *v, const struct insn *i, unsigned size)
{
	const union vreg *mask = &v->ymm[i->vvvv];
	u64 off = insn_offset(v, i), off_mask = size_mask(i->addrsize);
	union vreg t = {0};

	for (unsigned k = 0; k < i->vl / size; k++) {
		u64 e = 0;
		int r = 0;

		if (sign_of(mask, size, k))
			r = mem_read(v, i->seg, (off + size * k) & off_mask, size, &e);
		if (r)
			return r;
		memcpy(t.b + size * k, &e, size);
	}
	v->ymm[i->reg] = t;
	return EXEC_NEXT;
}

static int mask_store(struct vcpu *v, const struct insn *i, unsigned size)
{
	const union vreg *mask = &v->ymm[i->vvvv], *s = &v->ymm[i->reg];
	u64 off = insn_offset(v, i), off_mask = size_mask(i->addrsize);
	unsigned n = i->vl / size;
	int r = 0;

	for (unsigned k = 0; k < n && !r; k++)
		if (sign_of(mask, size, k))
			r = mem_probe_write(v, i->seg, (off + size * k) & off_mask, size);
	for (unsigned k = 0; k < n && !r; k++)
		if (sign_of(mask, size, k))
			r = mem_write(v, i->seg, (off + size * k) & off_mask, size,
				      size == 4 ? s->d[k] : s->q[k]);
	return r;
}

/* Masked moves and gathers raise no #AC. */
static int unaligned(struct vcpu *v, const struct insn *i, unsigned size,
		     int (*body)(struct vcpu *, const struct insn *, unsigned))
{
	bool check = v->align_check;
	int r;

	v->align_check = false;
	r = body(v, i, size);
	v->align_check = check;
	return r;
}

int x_vmaskmov_load(struct vcpu *v, const struct insn *i)
{
	return unaligned(v, i, 4, mask_load);
}

int x_vmaskmovpd_load(struct vcpu *v, const struct insn *i)
{
	return unaligned(v, i, 8, mask_load);
}

int x_vmaskmov_store(struct vcpu *v, const struct insn *i)
{
	return unaligned(v, i, 4, mask_store);
}

int x_vmaskmovpd_store(struct vcpu *v, const struct insn *i)
{
	return unaligned(v, i, 8, mask_store);
}

/* --- broadcasts and 128-bit lanes --- */

/* The element is as long as the memory operand. */
int x_vbroadcast(struct vcpu *v, const struct insn *i)
{
	unsigned size = i->nbytes_op;
	union vreg b, t = {0};
	int r = narrow_src(v, i, &b);

	if (r)
		return r;
	for (unsigned at = 0; at < i->vl; at += size)
		memcpy(t.b + at, b.b, size);
	v->ymm[i->reg] = t;
	return EXEC_NEXT;
}

int x_vinsert128(struct vcpu *v, const struct insn *i)
{
	union vreg t = v->ymm[i->vvvv];
	union lane b;
	int r = sse_src(v, i, &b);

	if (r)
		return r;
	lane_put(&t, i->imm & 1, b);
	v->ymm[i->reg] = t;
	return EXEC_NEXT;
}

int x_vextract128(struct vcpu *v, const struct insn *i)
{
	union lane l = lane_get(&v->ymm[i->reg], i->imm & 1);

	if (insn_is_mem(i))
		return vec_write(v, i, &l, 16);
	avx_put128(&v->ymm[i->rm], l);
	return EXEC_NEXT;
}

/* Each nibble of imm8: bits 1:0 one of four source lanes, bit 3 zero. */
static union lane choose_lane(const union vreg *a, const union vreg *b, unsigned nibble)
{
	if (nibble & 8)
		return lane_zero();
	return lane_get(nibble & 2 ? b : a, nibble & 1);
}

int x_vperm2x128(struct vcpu *v, const struct insn *i)
{
	const union vreg *a = &v->ymm[i->vvvv];
	union vreg b, t;
	int r = avx_src(v, i, &b);

	if (r)
		return r;
	lane_put(&t, 0, choose_lane(a, &b, (unsigned)i->imm & 15));
	lane_put(&t, 1, choose_lane(a, &b, (unsigned)i->imm >> 4 & 15));
	v->ymm[i->reg] = t;
	return EXEC_NEXT;
}

/* VPERMD, VPERMPS: indices in VEX.vvvv, elements from r/m. */
int x_vpermd(struct vcpu *v, const struct insn *i)
{
	const union vreg *index = &v->ymm[i->vvvv];
	union vreg b, t;
	int r = avx_src(v, i, &b);

	if (r)
		return r;
	for (unsigned k = 0; k < 8; k++)
		t.d[k] = b.d[index->d[k] & 7];
	v->ymm[i->reg] = t;
	return EXEC_NEXT;
}

int x_vpermq(struct vcpu *v, const struct insn *i)
{
	union vreg b, t;
	int r = avx_src(v, i, &b);

	if (r)
		return r;
	for (unsigned k = 0; k < 4; k++)
		t.q[k] = b.q[i->imm >> 2 * k & 3];
	v->ymm[i->reg] = t;
	return EXEC_NEXT;
}

/* --- gathers --- */

struct gather {
	unsigned elem, index; /* bytes of an element and of an index */
	unsigned count;
	u8 xreg; /* the index register */
};

static u64 gather_offset(const struct vcpu *v, const struct insn *i, const struct gather *g,
			 unsigned k)
{
	const union vreg *x = &v->ymm[g->xreg];
	u64 index = g->index == 4 ? (u64)(s64)x->sd[k] : x->q[k];
	u64 base = i->base == REG_NONE ? 0 : i->base == REG_RIP ? v->rip + i->len : v->reg[i->base];

	return (base + (index << i->scale) + (u64)i->disp) & size_mask(i->addrsize);
}

/* What is left of a register once it holds `bytes` of result. */
static void clear_above(union vreg *r, unsigned bytes)
{
	memset(r->b + bytes, 0, sizeof(*r) - bytes);
}

/* Elements are read from the lowest up. Each one that is done is in the destination and out of the
 * mask before the next is tried, so that a fault in between can be restarted. */
static int gather_run(struct vcpu *v, const struct insn *i, const struct gather *g)
{
	union vreg *d = &v->ymm[i->reg], *mask = &v->ymm[i->vvvv];

	for (unsigned k = 0; k < i->vl / g->elem; k++)
		memset(mask->b + k * g->elem, sign_of(mask, g->elem, k) ? 0xff : 0, g->elem);
	clear_above(mask, i->vl);
	for (unsigned k = 0; k < g->count; k++) {
		u64 e;
		int r;

		if (!sign_of(mask, g->elem, k))
			continue;
		r = mem_read(v, i->seg, gather_offset(v, i, g, k), g->elem, &e);
		if (r)
			return r;
		memcpy(d->b + k * g->elem, &e, g->elem);
		clear_above(d, i->vl);
		memset(mask->b + k * g->elem, 0, g->elem);
	}
	clear_above(d, g->count * g->elem);
	clear_above(mask, g->count * g->elem);
	return EXEC_NEXT;
}

static int gather(struct vcpu *v, const struct insn *i, unsigned elem)
{
	struct gather g = {
		.elem = elem,
		.index = i->opcode & 1 ? 8 : 4,
		/* the SIB byte's "no index" is register 4 here */
		.xreg = i->index == REG_NONE ? 4 : i->index,
	};

	g.count = i->vl / (g.elem > g.index ? g.elem : g.index);
	if (i->addrsize == 2 || (i->modrm & 7) != 4)
		return raise_ud(v);
	if (i->reg == i->vvvv || i->reg == g.xreg || i->vvvv == g.xreg)
		return raise_ud(v);
	return gather_run(v, i, &g);
}

int x_vgather(struct vcpu *v, const struct insn *i)
{
	return unaligned(v, i, i->row->attr & A_W1 ? 8 : 4, gather);
}
