/*
 * Encodings of instruction-table rows. SDM volume 2, "Instruction Format"; VEX: "Intel Advanced
 * Vector Extensions", figure "VEX bit fields".
 */
#include "base/bits.h"
#include "cpu/vcpu.h"
#include "tests/insn/encode.h"

bool row_has_kind(const struct insn_row *r, u8 kind)
{
	for (unsigned k = 0; k < 4 && r->operand[k]; k++)
		if (operand_info[r->operand[k]].kind == kind)
			return true;
	return false;
}

static bool has_size(const struct insn_row *r, u8 size)
{
	for (unsigned k = 0; k < 4 && r->operand[k]; k++)
		if (operand_info[r->operand[k]].size == size)
			return true;
	return false;
}

bool row_must_mem(const struct insn_row *r)
{
	unsigned form = r->modrm & 0xf00;

	return form == MEM || form == SM(0) || (form != NOM && row_has_kind(r, KIND_M));
}

bool row_may_mem(const struct insn_row *r)
{
	unsigned form = r->modrm & 0xf00;

	if (form == NOM || form == REG || form == SR(0) || form == XB(0) || r->attr & A_REGONLY)
		return false;
	return !row_has_kind(r, KIND_R) && !row_has_kind(r, KIND_U) && !row_has_kind(r, KIND_N);
}

static void add_prefix(struct enc *e, u8 b)
{
	if (e->nlegacy < ARRAY_SIZE(e->legacy))
		e->legacy[e->nlegacy++] = b;
}

static bool size_matters(const struct insn_row *r)
{
	return has_size(r, SZ_V) || has_size(r, SZ_Z);
}

static void choose_mandatory(struct enc *e, struct rng *g)
{
	static const u8 byte[] = {0, 0, 0x66, 0xf3, 0xf2};
	const struct insn_row *r = e->row;

	e->pp = r->pfx == ANY || r->pfx == NP ? 0 : (u8)(r->pfx - NP);
	if (e->vex)
		return;
	if (r->pfx >= P66)
		add_prefix(e, byte[r->pfx]);
	if (r->pfx != NP && r->pfx != P66 && chance(g, size_matters(r) ? 30 : 3))
		add_prefix(e, 0x66);
	if (r->pfx == ANY && chance(g, row_has_kind(r, KIND_X) || row_has_kind(r, KIND_Y) ? 60 : 3))
		add_prefix(e, chance(g, 50) ? 0xf3 : 0xf2);
}

static void choose_prefixes(struct enc *e, struct rng *g)
{
	static const u8 segs[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

	choose_mandatory(e, g);
	if (chance(g, e->mem || row_has_kind(e->row, KIND_X) ? 8 : 1))
		add_prefix(e, segs[rnd_below(g, 6)]);
	if (chance(g, e->mem || row_has_kind(e->row, KIND_X) ? 8 : 1))
		add_prefix(e, 0x67);
	if (e->mem && e->row->attr & A_LOCK && !e->vex && chance(g, 25))
		add_prefix(e, 0xf0);
	for (unsigned k = e->nlegacy; k > 1; k--) { /* shuffled */
		unsigned j = rnd_below(g, k);
		u8 t = e->legacy[k - 1];

		e->legacy[k - 1] = e->legacy[j];
		e->legacy[j] = t;
	}
}

static void choose_rex(struct enc *e, struct rng *g)
{
	const struct insn_row *r = e->row;
	bool wide = size_matters(r) || has_size(r, SZ_Y);

	e->l = e->vex && !(r->attr & A_L0) && (r->attr & A_L1 || chance(g, 50));
	if (e->bits == 64 || e->vex)
		e->w = r->attr & A_W1 || (!(r->attr & A_W0) && chance(g, wide ? 40 : 8));
	e->vvvv = r->attr & A_NOVVVV || !e->vex ? 0 : (u8)rnd_below(g, e->bits == 64 ? 16 : 8);
	if (e->bits != 64)
		return;
	e->r = chance(g, e->modrm && r->modrm >= SL(0) ? 3 : 40);
	e->x = chance(g, 10);
	e->b = chance(g, r->modrm == NOM ? 30 : r->modrm >= XB(0) ? 3 : 40);
	if (!e->modrm && !row_has_kind(r, KIND_Z) && chance(g, 90))
		e->r = e->x = e->b = false;
	e->rex = chance(g, 10);
}

static void choose_sizes(struct enc *e)
{
	bool p66 = false, p67 = false;

	for (unsigned k = 0; k < e->nlegacy; k++) {
		p66 |= e->legacy[k] == 0x66;
		p67 |= e->legacy[k] == 0x67;
	}
	if (e->bits == 64) {
		e->opsize = e->w || e->row->attr & A_F64 ? 8
			    : p66			 ? 2
			    : e->row->attr & A_D64	 ? 8
							 : 4;
		e->addrsize = p67 ? 4 : 8;
	} else {
		e->opsize = (e->bits == 32) != p66 ? 4 : 2;
		e->addrsize = (e->bits == 32) != p67 ? 4 : 2;
	}
	e->addr16 = e->addrsize == 2;
}

static void choose_modrm(struct enc *e, struct rng *g)
{
	const struct insn_row *r = e->row;

	e->reg = (u8)rnd_below(g, 8);
	e->rm = (u8)rnd_below(g, 8);
	if (r->modrm >= XB(0)) {
		e->reg = r->modrm >> 3 & 7;
		e->rm = r->modrm & 7;
	} else if (r->modrm >= SL(0)) {
		e->reg = r->modrm & 7;
	}
}

static void choose_mem(struct enc *e, struct rng *g)
{
	unsigned regs = e->bits == 64 ? 16 : 8;
	u8 base = (u8)rnd_below(g, regs), index = (u8)rnd_below(g, regs);

	e->vsib = row_has_kind(e->row, KIND_M) && e->row->operand[0] &&
		  (e->row->operand[0] == OP_VMx || e->row->operand[1] == OP_VMx ||
		   e->row->operand[2] == OP_VMx);
	if (!e->vsib) {
		if (chance(g, 60) || index == RSP)
			index = REG_NONE;
		if (chance(g, 12)) {
			base = e->bits == 64 && chance(g, 60) ? REG_RIP : REG_NONE;
			index = base == REG_RIP ? REG_NONE : index;
		}
	}
	enc_set_mem(e, base, index, (u8)rnd_below(g, 4),
		    chance(g, 50) ? (s32)(s8)rnd(g) : (s32)rnd(g));
	e->wide_disp = chance(g, 10);
}

void enc_set_mem(struct enc *e, u8 base, u8 index, u8 scale, s32 disp)
{
	e->base = base;
	e->index = index;
	e->scale = scale;
	e->disp = disp;
}

static unsigned imm_bytes(const struct enc *e, unsigned operand)
{
	const struct operand_info *o = &operand_info[operand];
	unsigned n = o->size == SZ_V ? e->opsize : o->size == SZ_Z ? e->opsize : o->size;

	switch (o->kind) {
	case KIND_I:
	case KIND_J:
		return o->size == SZ_Z && n > 4 ? 4 : n;
	case KIND_L:
		return 1;
	case KIND_O:
		return e->addrsize;
	case KIND_A:
		return e->opsize + 2u;
	default:
		return 0;
	}
}

static void choose_imm(struct enc *e, struct rng *g)
{
	for (unsigned k = 0; k < 4 && e->row->operand[k]; k++) {
		unsigned n = imm_bytes(e, e->row->operand[k]);
		u64 v = value_int(g);

		if (e->nimm + n > sizeof(e->imm))
			return;
		for (unsigned b = 0; b < n; b++)
			e->imm[e->nimm++] = (u8)(b < 8 ? v >> (8 * b) : rnd(g));
	}
}

void enc_random(struct enc *e, const struct insn_row *row, unsigned bits, struct rng *g)
{
	memset(e, 0, sizeof(*e));
	e->row = row;
	e->bits = bits;
	e->vex = row->map >= V_0F;
	e->modrm = row->modrm != NOM;
	if (e->modrm)
		choose_modrm(e, g);
	e->mem = e->modrm && row_may_mem(row) && (row_must_mem(row) || chance(g, 50));
	choose_prefixes(e, g);
	choose_rex(e, g);
	choose_sizes(e);
	if (e->mem)
		choose_mem(e, g);
	e->vex3 = row->map != V_0F || chance(g, 30);
	choose_imm(e, g);
}

/* --- bytes --- */

static u8 *put_rex(const struct enc *e, u8 *p, bool x, bool b)
{
	u8 bits = (u8)(e->w << 3 | e->r << 2 | x << 1 | b);

	if (e->bits == 64 && (bits || e->rex))
		*p++ = 0x40 | bits;
	return p;
}

static u8 *put_vex(const struct enc *e, u8 *p, bool x, bool b)
{
	static const u8 map[] = {[V_0F] = 1, [V_0F38] = 2, [V_0F3A] = 3};
	u8 last = (u8)((~e->vvvv & 15) << 3 | e->l << 2 | e->pp);

	if (!e->vex3 && !e->w && !x && !b) {
		*p++ = 0xc5;
		*p++ = (u8)(!e->r << 7 | last);
		return p;
	}
	*p++ = 0xc4;
	*p++ = (u8)(!e->r << 7 | !x << 6 | !b << 5 | map[e->row->map]);
	*p++ = (u8)(e->w << 7 | last);
	return p;
}

static u8 *put_opcode(const struct enc *e, u8 *p)
{
	if (e->row->map >= M_0F && !e->vex)
		*p++ = 0x0f;
	if (e->row->map == M_0F38)
		*p++ = 0x38;
	if (e->row->map == M_0F3A)
		*p++ = 0x3a;
	*p++ = e->row->opcode;
	return p;
}

static u8 *put_n(u8 *p, u32 v, unsigned n)
{
	store_le(p, v, n);
	return p + n;
}

/* 16-bit forms: base and index fields only choose among the eight. */
static u8 *put_mem16(const struct enc *e, u8 *p)
{
	u8 mod = e->wide_disp ? 2 : e->base & 1;

	if (e->base == REG_NONE) {
		*p++ = (u8)(e->reg << 3 | 6);
		return put_n(p, (u32)e->disp, 2);
	}
	if (mod == 0 && e->rm == 6)
		mod = 1;
	*p++ = (u8)(mod << 6 | e->reg << 3 | e->rm);
	return put_n(p, (u32)e->disp, mod);
}

static u8 *put_mem(const struct enc *e, u8 *p)
{
	bool sib = e->index != REG_NONE || e->vsib || (e->base < 16 && (e->base & 7) == 4) ||
		   (e->base == REG_NONE && e->bits == 64);
	u8 reg = (u8)(e->reg << 3), index = e->index == REG_NONE ? 4 : e->index & 7, mod;

	if (e->base == REG_RIP || (e->base == REG_NONE && !sib)) {
		*p++ = reg | 5;
		return put_n(p, (u32)e->disp, 4);
	}
	mod = e->base == REG_NONE		       ? 0
	      : e->wide_disp || e->disp != (s8)e->disp ? 2
	      : e->disp || (e->base & 7) == 5	       ? 1
						       : 0;
	*p++ = (u8)(mod << 6 | reg | (sib ? 4 : e->base & 7));
	if (sib)
		*p++ = (u8)(e->scale << 6 | index << 3 | (e->base == REG_NONE ? 5 : e->base & 7));
	if (e->base == REG_NONE)
		return put_n(p, (u32)e->disp, 4);
	return put_n(p, (u32)e->disp, mod == 2 ? 4 : mod);
}

unsigned enc_bytes(const struct enc *e, u8 out[ENC_MAX])
{
	bool x = e->x, b = e->b;
	u8 *p = out;

	memcpy(p, e->legacy, e->nlegacy);
	p += e->nlegacy;
	if (e->mem && e->bits == 64) {
		x = e->index != REG_NONE && e->index & 8;
		b = e->base < 16 && e->base & 8;
	}
	p = e->vex ? put_vex(e, p, x, b) : put_rex(e, p, x, b);
	p = put_opcode(e, p);
	if (e->modrm && !e->mem)
		*p++ = (u8)(0xc0 | e->reg << 3 | e->rm);
	else if (e->modrm)
		p = e->addr16 ? put_mem16(e, p) : put_mem(e, p);
	memcpy(p, e->imm, e->nimm);
	p += e->nimm;
	return (unsigned)(p - out);
}
