/*
 * Makes cases: 1-4 random encodings of table rows, and a state in which most of them succeed and
 * some fault in every way that user mode can. Registers that address memory are solved for a chosen
 * target; registers that an earlier instruction may have changed are not used for that.
 */
#include "base/bits.h"
#include "tests/insn/encode.h"
#include "tests/insn/hostcmp.h"

enum recipe {
	WANT_EXTRA = 1,
	WANT_DIV = 2,
	WANT_BIT = 4,
	WANT_XLAT = 8,
	WANT_ALIGNED = 16,
	WANT_EQUAL = 32,
	WANT_STACK = 64,
	WANT_FRAME = 128,
	WANT_RETURN = 256,
	WANT_TARGET = 512,
	WANT_COUNT = 1024,
	WANT_MXCSR = 2048,
	WANT_DI = 4096,
	WANT_LENGTHS = 8192
};

static const struct {
	const char *name;
	unsigned wanted;
} recipes[] = {
#define RECIPE(name, wanted) {name, wanted},
#include "tests/insn/recipes.def"
};

/* A case under construction. */
struct seq {
	struct gen *g;
	struct rng *r;
	struct hc_case *c;
	u32 set;   /* registers whose initial value is chosen */
	u32 dirty; /* registers that an earlier instruction may have changed */
	u16 undef;
	bool flow; /* a branch came: later instructions may not run */
	bool fp;
	bool compared;	   /* the last instruction only set flags */
	s8 jump[HC_INSNS]; /* bytes of a relative target to be filled in, 0 none */
};

static unsigned recipe(const struct insn_row *r)
{
	for (unsigned k = 0; k < ARRAY_SIZE(recipes); k++)
		if (!strcmp(recipes[k].name, r->name))
			return recipes[k].wanted;
	return row_has_kind(r, KIND_J) ? WANT_EXTRA : 0;
}

static bool has_operand(const struct insn_row *r, unsigned op)
{
	return r->operand[0] == op || r->operand[1] == op || r->operand[2] == op;
}

bool gen_row_usable(const struct insn_row *r)
{
	static const u8 no[] = {OP_ES, OP_CS, OP_SS, OP_DS, OP_FS, OP_GS, OP_Mp, OP_Ap};

	if (r->attr & (A_I64 | A_CPL0))
		return false;
	for (unsigned k = 0; k < ARRAY_SIZE(no); k++)
		if (has_operand(r, no[k]))
			return false;
	return r->attr & A_USER || recipe(r) & WANT_EXTRA;
}

/* --- registers and targets --- */

static bool is_free(const struct seq *s, unsigned reg)
{
	return !((s->set | s->dirty) >> reg & 1);
}

static bool set_reg(struct seq *s, unsigned reg, u64 value)
{
	if (!is_free(s, reg))
		return false;
	s->c->in.reg[reg] = value;
	s->set |= 1u << reg;
	return true;
}

static unsigned free_reg(struct seq *s)
{
	unsigned start = rnd_below(s->r, 16);

	for (unsigned k = 0; k < 16; k++)
		if (is_free(s, (start + k) & 15))
			return (start + k) & 15;
	return REG_NONE;
}

static u64 inside(struct seq *s, unsigned n, unsigned align)
{
	return HC_DATA + (rnd_below(s->r, HC_DATA_RW - n - align) & ~(align - 1));
}

/* An address for n bytes: mostly in the writable pages, sometimes over each of their edges. */
static u64 target(struct seq *s, unsigned n, unsigned align, bool strict)
{
	unsigned back = n > 1 ? 1 + rnd_below(s->r, n - 1) : 0, pick = rnd_below(s->r, 100);
	u64 at;

	if (pick < 60 || (align > 1 && !strict && pick < 80))
		return inside(s, n, align);
	if (pick < 76)
		return strict ? inside(s, n, align) : inside(s, n, 1);
	if (pick < 84)
		at = HC_DATA + PAGE_SIZE - back;
	else if (pick < 86)
		at = HC_DATA + HC_DATA_RW - back;
	else if (pick < 89)
		at = HC_DATA + HC_DATA_RW + rnd_below(s->r, HC_DATA_RO - n);
	else if (pick < 91)
		at = HC_HOLE - back;
	else if (pick < 93)
		at = HC_DATA - back;
	else if (pick < 95)
		at = HC_HOLE + rnd_below(s->r, 0x2000);
	else if (pick < 96)
		at = 0xffff900000000000ull + rnd_below(s->r, 0x10000);
	else if (pick < 97)
		at = 0x8000000000000000ull ^ inside(s, n, 1);
	else
		at = inside(s, 128, 64) + 64 - back;
	return strict ? at & ~(u64)(align - 1) : at;
}

static bool writable(u64 at, unsigned n)
{
	return at >= HC_DATA && at + n <= HC_DATA + HC_DATA_RW;
}

static u8 *patch(struct seq *s, u64 at, unsigned n)
{
	struct hc_patch *p = &s->c->patch[s->c->patches];

	if (!writable(at, n) || n > sizeof(p->bytes) || s->c->patches == HC_PATCHES)
		return NULL;
	s->c->patches++;
	p->off = (u16)(at - HC_DATA);
	p->n = (u8)n;
	return p->bytes;
}

static enum value_kind kind_for(struct seq *s, const struct insn_row *r)
{
	static const u8 fp[] = {VALUE_F32, VALUE_F64, VALUE_F32, VALUE_F64, VALUE_F32, VALUE_INT};

	if (r->attr & (A_X87 | A_X87C))
		return rnd_below(s->r, VALUE_KINDS);
	return r->attr & A_SIMDFP ? fp[rnd_below(s->r, ARRAY_SIZE(fp))] : VALUE_INT;
}

/* --- memory operands --- */

static unsigned mem_bytes(const struct enc *e)
{
	const struct insn i = {
		.opsize = e->opsize, .prefix = e->w ? P_REXW : 0, .vl = e->l ? 32 : 16};

	for (unsigned k = 0; k < 4 && e->row->operand[k]; k++) {
		unsigned op = e->row->operand[k];
		u8 kind = operand_info[op].kind;
		unsigned n = operand_bytes(&i, op);

		if (kind == KIND_RM || kind == KIND_M || kind == KIND_W || kind == KIND_Q)
			return n ? n : e->row->attr & A_X87 ? 32 : e->w ? 16 : 8;
	}
	return 8;
}

static u64 segment_base(const struct seq *s, const struct enc *e)
{
	u64 base = 0;

	for (unsigned k = 0; k < e->nlegacy; k++)
		if (e->legacy[k] == 0x64 || e->legacy[k] == 0x65)
			base = e->legacy[k] == 0x64 ? s->c->in.fs_base : s->c->in.gs_base;
	return base;
}

static bool locked(const struct enc *e)
{
	for (unsigned k = 0; k < e->nlegacy; k++)
		if (e->legacy[k] == 0xf0)
			return true;
	return recipe(e->row) & WANT_ALIGNED;
}

static void pick_registers(struct seq *s, struct enc *e)
{
	u8 base = e->base, index = e->index;

	if (base < 16 && !is_free(s, base))
		base = (u8)free_reg(s);
	if (base == REG_NONE && e->base != REG_NONE)
		base = e->vsib ? REG_NONE : REG_RIP;
	if (!e->vsib &&
	    (base == REG_RIP || index == base || (index != REG_NONE && !is_free(s, index))))
		index = REG_NONE;
	enc_set_mem(e, base, index, e->scale, e->disp);
}

static void vsib_indices(struct seq *s, const struct enc *e)
{
	union vreg *x = &s->c->in.ymm[e->index];

	for (unsigned k = 0; k < 8; k++)
		x->d[k] = chance(s->r, 95) ? rnd_below(s->r, 64) - 32 : (u32)value_int(s->r);
	if (e->w) /* 64-bit indices, perhaps */
		for (unsigned k = 0; k < 4; k++)
			x->sq[k] = (s64)rnd_below(s->r, 64) - 32;
}

/* Makes the operand's linear address `at`, as far as its form can. Returns the address to patch. */
static void solve(struct seq *s, struct enc *e, u64 at, unsigned code_off)
{
	u64 off = at - segment_base(s, e), index = 0;
	u8 bytes[ENC_MAX];

	if (e->index != REG_NONE && !e->vsib) {
		u64 v = e->base == REG_NONE || chance(s->r, 50) ? rnd_below(s->r, 256)
								: value_int(s->r);

		set_reg(s, e->index, v);
		index = v << e->scale;
	}
	if (e->vsib)
		vsib_indices(s, e);
	if (e->base < 16) {
		u64 v = off - index - (u64)(s64)e->disp;

		if (e->addrsize == 4)
			v = (u32)v | (chance(s->r, 30) ? value_int(s->r) << 32 : 0);
		set_reg(s, e->base, v);
	} else if (e->base == REG_NONE) {
		e->disp = (s32)(off - index);
	} else {
		e->disp = (s32)(off - (HC_CODE + code_off + enc_bytes(e, bytes)));
	}
}

static void place_memory(struct seq *s, struct enc *e, unsigned code_off)
{
	unsigned n = mem_bytes(e), want = recipe(e->row), align;
	bool strict = locked(e);
	u64 at;
	u8 *p;

	align = n == 2 || n == 4 || n == 8 || n == 16 || n == 32 ? n : n == 10 ? 16 : 1;
	at = target(s, n, align, strict);
	if (strict && want & WANT_BIT && e->opsize > 1)
		at &= ~7ull;
	pick_registers(s, e);
	solve(s, e, at, code_off);
	p = patch(s, at, n);
	if (!p)
		return;
	value_fill(s->r, p, n, kind_for(s, e->row));
	if (want & WANT_MXCSR && chance(s->r, 85))
		store_le32(p, load_le32(p) & 0xffff);
	if (want & WANT_TARGET)
		store_le64(p, HC_EXIT);
	if (want & WANT_EQUAL && chance(s->r, 60)) {
		bool two = e->row->name[7] == '8';

		set_reg(s, RAX, load_le(p, two ? n / 2 : n));
		if (two)
			set_reg(s, RDX, load_le(p + n / 2, n / 2));
	}
}

/* --- registers that instructions use by themselves --- */

static void prepare_string(struct seq *s, const struct enc *e)
{
	unsigned n = e->opsize, count = rnd_below(s->r, 12);

	if (chance(s->r, 8))
		count = rnd_below(s->r, 3000);
	set_reg(s, RSI, target(s, n, n, false));
	set_reg(s, RDI,
		chance(s->r, 25) && s->set >> RSI & 1 ? s->c->in.reg[RSI] + rnd_below(s->r, 32) - 16
						      : target(s, n, n, false));
	/* comparisons of many elements are interrupted, and may fault with newer flags then */
	set_reg(s, RCX, chance(s->r, 96) || e->row->flags.w ? count : value_int(s->r));
}

static void prepare_stack(struct seq *s, unsigned want)
{
	unsigned reg = want & WANT_FRAME ? RBP : RSP;
	u64 at = target(s, 8, 8, false);
	u8 *p;

	if (!set_reg(s, reg, at) || !(want & WANT_RETURN))
		return;
	p = patch(s, at, 8);
	if (p)
		store_le64(p, chance(s->r, 95) ? HC_EXIT : value_int(s->r));
}

static void prepare(struct seq *s, struct enc *e)
{
	unsigned want = recipe(e->row), reg = e->reg | e->r << 3, rm = e->rm | e->b << 3;

	if (want & (WANT_STACK | WANT_FRAME | WANT_RETURN))
		prepare_stack(s, want);
	if (row_has_kind(e->row, KIND_X) || row_has_kind(e->row, KIND_Y))
		prepare_string(s, e);
	if (want & WANT_DIV && chance(s->r, 70)) {
		u64 a = value_int(s->r);

		if (set_reg(s, RAX, a))
			set_reg(s, RDX,
				chance(s->r, 40)   ? 0
				: chance(s->r, 60) ? 0 - (a >> 63)
						   : value_int(s->r) & 15);
	}
	if (want & WANT_BIT && e->mem && has_operand(e->row, OP_Gv))
		set_reg(s, reg, (u64)((s64)rnd_below(s->r, 2048) - 1024));
	if (want & WANT_XLAT)
		set_reg(s, RBX, target(s, 1, 1, false) - rnd_below(s->r, 256));
	if (want & WANT_TARGET && e->modrm && !e->mem)
		set_reg(s, rm, chance(s->r, 90) ? HC_EXIT : value_int(s->r));
	if (want & WANT_EQUAL && !e->mem && chance(s->r, 50)) {
		u64 a = value_int(s->r);

		if (set_reg(s, RAX, a))
			set_reg(s, rm, a);
	}
	if (want & WANT_COUNT)
		set_reg(s, RCX, chance(s->r, 60) ? rnd_below(s->r, 3) : value_int(s->r));
	if (want & WANT_DI)
		set_reg(s, RDI, target(s, 16, 1, false));
	if (want & WANT_LENGTHS) {
		set_reg(s, RAX, (u64)((s64)rnd_below(s->r, 40) - 20));
		set_reg(s, RDX, (u64)((s64)rnd_below(s->r, 40) - 20));
	}
	if (has_operand(e->row, OP_CL) && chance(s->r, 50))
		set_reg(s, RCX, rnd_below(s->r, 70));
}

/* Everything that the instruction may write, and more. */
static void mark_dirty(struct seq *s, const struct enc *e)
{
	s->dirty |= 1u << RAX | 1u << RDX | 1u << RCX;
	if (row_has_kind(e->row, KIND_X) || row_has_kind(e->row, KIND_Y))
		s->dirty |= 1u << RSI | 1u << RDI;
	if (recipe(e->row) & (WANT_STACK | WANT_FRAME | WANT_RETURN))
		s->dirty |= 1u << RSP | 1u << RBP;
	if (e->modrm)
		s->dirty |= 1u << (e->reg | e->r << 3);
	if (e->modrm && !e->mem)
		s->dirty |= 1u << (e->rm | e->b << 3) | 1u << e->rm;
	if (e->modrm && !e->rex)
		s->dirty |= 1u << (e->reg & 3) | 1u << (e->rm & 3);
	if (row_has_kind(e->row, KIND_Z))
		s->dirty |= 1u << ((e->row->opcode & 7) | e->b << 3) | 1u << (e->row->opcode & 3);
	if (e->vex)
		s->dirty |= 1u << e->vvvv;
}

/* --- flags --- */

/* Count 1 defines OF; the columns speak of every count. */
static u16 undefined_by(const struct insn *i)
{
	u16 u = i->row->flags.u;
	bool shift = i->row->flags.u & FL_O && i->row->flags.r == FL_ALL && i->row->flags.w & FL_C;

	if (shift && has_operand(i->row, OP_I1))
		u &= (u16)~FL_O;
	if (shift && has_operand(i->row, OP_Ib) && (i->imm & (i->opsize == 8 ? 63 : 31)) == 1 &&
	    strncmp(i->row->name, "bt", 2))
		u &= (u16)~FL_O;
	return u;
}

static void follow_flags(struct seq *s, const struct insn *i)
{
	u16 u = undefined_by(i), sure = i->row->flags.w & (u16)~u;

	if (i->row->flags.r == FL_ALL || row_has_kind(i->row, KIND_Y)) /* may leave all of them */
		sure = 0;
	if (!s->flow)
		s->undef &= (u16)~sure;
	s->undef |= u;
}

/* --- instructions --- */

/* Illegal on purpose: LOCK where it is not allowed, a wrong VEX.vvvv, too many prefixes. */
static void spoil(struct seq *s, struct enc *e)
{
	unsigned pick = rnd_below(s->r, 300);

	if (pick == 0 && !e->vex && e->nlegacy < sizeof(e->legacy) &&
	    !(e->row->attr & A_LOCK && e->mem))
		e->legacy[e->nlegacy++] = 0xf0;
	if (pick == 1 && e->vex)
		e->vvvv = (u8)rnd_below(s->r, 16);
	if (pick == 2 && !e->vex)
		while (e->nlegacy < sizeof(e->legacy))
			e->legacy[e->nlegacy++] = 0x3e;
}

/* Repeated strings run over chosen places only: a count or an address left by another instruction
 * may lead through the code itself, or be interrupted. And whether 32-bit addressing clears the upper
 * halves of rCX, rSI and rDI when nothing is moved depends on the processor. */
static bool tame_string(const struct seq *s, const struct insn *i)
{
	const u32 regs = 1u << RCX | 1u << RSI | 1u << RDI;
	const u64 *reg = s->c->in.reg;

	if (!row_has_kind(i->row, KIND_X) && !row_has_kind(i->row, KIND_Y))
		return true;
	if (i->prefix & (P_F2 | P_F3) && ((s->set & regs) != regs || s->dirty & regs))
		return false;
	return i->addrsize == 8 || !((reg[RCX] | reg[RSI] | reg[RDI]) >> 32);
}

/* What this processor can be asked: not all makers' agree on 16-bit near branches in 64-bit mode, on
 * LOOPcc with a repeat prefix, on shifts by more than the operand's size, on MOVSXD to 16 bits. */
static bool askable(const struct seq *s, const struct insn *i)
{
	bool word = i->opsize == 2 || i->prefix & P_66;
	bool loop = !strncmp(i->row->name, "loop", 4) && i->prefix & (P_F2 | P_F3);

	if (s->g->intel || !(word || loop))
		return true;
	return !loop && !(i->attr & A_FLOW) && strcmp(i->row->name, "shld") &&
	       strcmp(i->row->name, "shrd") && strcmp(i->row->name, "movsxd");
}

/* The processor runs what the bytes say: that must be an instruction that may run here. */
static bool acceptable(const struct seq *s, const struct insn *i, enum decode_status st)
{
	if (st == DECODE_UD)
		return true;
	if (st != DECODE_OK || !s->g->can_run[i->row - insn_rows])
		return false;
	if (row_has_kind(i->row, KIND_J) && i->prefix & P_66) /* not the same on all processors */
		return false;
	return tame_string(s, i) && askable(s, i) && !(i->row->flags.r & s->undef);
}

/* Any row; integer rows and a branch behind a comparison more often than their number says, because
 * they have fast forms of many kinds. */
static const struct insn_row *pick_row(struct seq *s)
{
	bool integer = chance(s->r, 30), branch = s->compared && chance(s->r, 40);
	const struct insn_row *r = NULL;

	for (unsigned k = 0; k < 60; k++) {
		r = &insn_rows[s->g->rows[rnd_below(s->r, s->g->nrows)]];
		if (branch ? row_has_kind(r, KIND_J) && r->flags.r
			   : !integer || (r->feature == FEAT_ALWAYS && r->map < V_0F))
			break;
	}
	return r;
}

static bool overrides_fs_gs(const struct enc *e)
{
	for (unsigned k = 0; k < e->nlegacy; k++)
		if (e->legacy[k] == 0x64 || e->legacy[k] == 0x65)
			return true;
	return false;
}

static bool add_insn(struct seq *s)
{
	struct hc_case *c = s->c;
	const struct insn_row *row = pick_row(s);
	struct hc_insn *h = &c->insn[c->n];
	enum decode_status st;
	u8 bytes[ENC_MAX + INSN_BYTES] = {0};
	struct insn i;
	struct enc e;
	unsigned len;

	enc_random(&e, row, 64, s->r);
	spoil(s, &e);
	if (!s->g->fsgs && overrides_fs_gs(&e))
		return false;
	prepare(s, &e);
	if (e.mem)
		place_memory(s, &e, c->start + c->code_len);
	if (row_has_kind(row, KIND_O) && e.nimm >= 4)
		store_le(e.imm, target(s, 8, 8, false), e.nimm < 8 ? e.nimm : 8);
	len = enc_bytes(&e, bytes);
	if (len > INSN_BYTES)
		return false;
	st = decode(s->g->decoder, 64, bytes, INSN_BYTES, &i);
	if (!acceptable(s, &i, st))
		return false;
	memcpy(c->code + c->code_len, bytes, len);
	*h = (struct hc_insn){.off = c->code_len, .len = (u8)len, .row = (u16)(row - insn_rows)};
	c->code_len += (u8)len;
	mark_dirty(s, &e);
	if (st == DECODE_OK) {
		follow_flags(s, &i);
		s->jump[c->n] = row_has_kind(i.row, KIND_J) ? (s8)e.nimm : 0;
		s->flow |= i.attr & A_FLOW;
		s->compared = !strcmp(i.row->name, "cmp") || !strcmp(i.row->name, "test");
		h->row = (u16)(i.row - insn_rows);
	}
	s->fp |= !!(row->attr & A_SIMDFP);
	c->undef[++c->n] = s->undef;
	return true;
}

/* Forwards only: to a later instruction, the end, or now and then a page that is not there. */
static void fill_jumps(struct seq *s)
{
	struct hc_case *c = s->c;

	for (unsigned k = 0; k < c->n; k++) {
		const struct hc_insn *h = &c->insn[k];
		unsigned to = k + 1 + rnd_below(s->r, c->n - k);
		s64 rel = (to < c->n ? c->insn[to].off : c->code_len) - (h->off + h->len);

		if (s->jump[k] == 4 && chance(s->r, 3))
			rel = (s64)HC_HOLE - (HC_CODE + c->start + h->off + h->len);
		if (s->jump[k] > 0)
			store_le(c->code + h->off + h->len - s->jump[k], (u64)rel,
				 (unsigned)s->jump[k]);
	}
}

static void end_code(struct hc_case *c)
{
	u8 *p = c->code + c->code_len;

	*p = 0xe9;
	store_le32(p + 1, (u32)(HC_EXIT - (HC_CODE + c->start + c->code_len + HC_JUMP_BYTES)));
	c->code_len += HC_JUMP_BYTES;
}

/* --- the rest of the state --- */

static void fill_vectors(struct seq *s)
{
	struct hc_state *in = &s->c->in;
	enum value_kind kind = s->fp ? 1 + rnd_below(s->r, 2) : VALUE_INT;

	for (unsigned k = 0; k < 16; k++)
		value_fill(s->r, &in->ymm[k], 32, chance(s->r, 85) ? kind : rnd_below(s->r, 3));
	in->mxcsr = 0x1f80;
	if (chance(s->r, 40))
		in->mxcsr = (u32)(rnd(s->r) & 0xe07f) |
			    (chance(s->r, 80) ? 0x1f80 : rnd(s->r) & 0x1f80);
}

static void fill_x87(struct seq *s)
{
	struct hc_state *in = &s->c->in;

	in->fcw = 0x37f;
	if (chance(s->r, 50))
		in->fcw = (u16)(0x40 | (rnd(s->r) & 0xf00) |
				(chance(s->r, 80) ? 0x3f : rnd(s->r) & 0x3f));
	in->fsw = (u16)(rnd(s->r) & 0x7f7f);
	if (chance(s->r, 60))
		in->fsw &= 0x7f00;
	if (in->fsw & ~in->fcw & 0x3f) {
		if (chance(s->r, 90))
			in->fsw &= (u16)(0x7f00 | in->fcw);
		else
			in->fsw |= 0x8080;
	}
	in->tags = chance(s->r, 70) ? 0xff : (u8)rnd(s->r);
	for (unsigned k = 0; k < 8; k++)
		value_f80(s->r, &in->st[k].sig, &in->st[k].se);
}

/* Some makers' processors check the alignment of operands of 16 and 32 bytes, too. */
static bool any_vector(const struct hc_case *c)
{
	for (unsigned k = 0; k < c->n; k++)
		if (insn_rows[c->insn[k].row].map != M_1B)
			return true;
	return false;
}

static void fill_state(struct seq *s)
{
	struct hc_state *in = &s->c->in;

	for (unsigned k = 0; k < 16; k++)
		if (!(s->set >> k & 1))
			in->reg[k] = value_int(s->r);
	in->rflags = (rnd(s->r) & RFLAGS_ARITH) | RFLAGS_FIXED | RFLAGS_IF;
	if (chance(s->r, 25))
		in->rflags |= RFLAGS_DF;
	if (chance(s->r, 10))
		in->rflags |= RFLAGS_ID;
	if (chance(s->r, 3) && (s->g->intel || !any_vector(s->c)))
		in->rflags |= RFLAGS_AC;
	fill_x87(s);
}

/* Gathers keep the index vectors that were chosen with the instruction: vectors come first. */
void gen_case(struct gen *g, struct hc_case *c)
{
	struct seq s = {.g = g, .r = &g->rng, .c = c};
	unsigned want = chance(s.r, 50) ? 1 : 2 + rnd_below(s.r, HC_INSNS - 1), tries = 0;

	memset(c, 0, sizeof(*c));
	s.fp = chance(s.r, 50);
	fill_vectors(&s);
	c->in.fs_base = HC_DATA + PAGE_SIZE + 16 * rnd_below(s.r, 16);
	c->in.gs_base = chance(s.r, 50) ? HC_DATA : rnd(s.r) & 0x7fffffffffff;
	c->start = (u16)(chance(s.r, 10)  ? PAGE_SIZE - 1 - rnd_below(s.r, 24)
			 : chance(s.r, 3) ? HC_CODE_BYTES - 1 - rnd_below(s.r, 8)
					  : rnd_below(s.r, 64) * 61);
	while (c->n < want && tries++ < 200) {
		u32 set = s.set;
		u8 patches = c->patches;

		if (!add_insn(&s)) {
			s.set = set;
			c->patches = patches;
		}
	}
	fill_jumps(&s);
	end_code(c);
	if (c->start + c->code_len > HC_CODE_BYTES)
		c->code_len = (u8)(HC_CODE_BYTES - c->start);
	fill_state(&s);
}
