/*
 * The decoder: instruction-table rows linked into per-opcode lists, most specific first.
 * SDM volume 2, "Instruction Format" and "Opcode Map".
 */
#include <stdlib.h>

#include "base/bits.h"
#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/insn_protos.h"

const struct insn_row insn_rows[] = {
#define I(map, op, pfx, mrm, name, ops, flags, attr, feat, exec)                                   \
	{map, op, pfx, FEAT_##feat, mrm, name, ops, flags, attr, exec},
#include "cpu/insn.def"
};
const unsigned insn_row_count = ARRAY_SIZE(insn_rows);

const struct operand_info operand_info[] = {
#define O(name, kind, size, text) {#name, text, KIND_##kind, size},
#include "cpu/operand.def"
};

struct opcode_list {
	u16 first, count;
	bool modrm;
};

struct decoder {
	struct opcode_list list[INSN_MAPS][256];
	u16 order[ARRAY_SIZE(insn_rows)];
	bool byte_form[ARRAY_SIZE(insn_rows)];
};

/* Higher is tried first. */
static unsigned specificity(const struct insn_row *r)
{
	static const u8 by_kind[] = {0, 0, 2, 2, 1, 3, 3, 4};

	return (r->pfx != ANY ? 8 : 0) + by_kind[r->modrm >> 8];
}

static bool is_byte_form(const struct insn_row *r)
{
	const struct operand_info *o = &operand_info[r->operand[0]];

	if (r->operand[0] == OP_AL || r->operand[1] == OP_AL || r->operand[1] == OP_Xb)
		return true;
	return o->size == 1 && (o->kind == KIND_RM || o->kind == KIND_G || o->kind == KIND_Z ||
				o->kind == KIND_X || o->kind == KIND_Y || o->kind == KIND_O);
}

static unsigned list_rows(struct decoder *d, const struct cpu_model *m, unsigned map, unsigned op,
			  unsigned at)
{
	struct opcode_list *l = &d->list[map][op];

	l->first = (u16)at;
	for (unsigned i = 0; i < insn_row_count; i++) {
		const struct insn_row *r = &insn_rows[i];
		unsigned pos = at;

		if (r->map != map || r->opcode != op)
			continue;
		l->modrm |= r->modrm != NOM;
		if (!model_has(m, r->feature))
			continue;
		while (pos > l->first &&
		       specificity(&insn_rows[d->order[pos - 1]]) < specificity(r)) {
			d->order[pos] = d->order[pos - 1];
			pos--;
		}
		d->order[pos] = (u16)i;
		at++;
		l->count++;
	}
	return at;
}

struct decoder *decoder_new(const struct cpu_model *model)
{
	struct decoder *d = calloc(1, sizeof(*d));
	unsigned at = 0;

	if (!d)
		return NULL;
	for (unsigned map = 0; map < INSN_MAPS; map++)
		for (unsigned op = 0; op < 256; op++)
			at = list_rows(d, model, map, op, at);
	for (unsigned i = 0; i < insn_row_count; i++)
		d->byte_form[i] = is_byte_form(&insn_rows[i]);
	return d;
}

void decoder_free(struct decoder *d)
{
	free(d);
}

/* What is known while the bytes go by. */
struct parse {
	const u8 *p;
	unsigned at, avail, bits;
	bool short_;
	u8 rex;			    /* low 4 bits W R X B, from REX or VEX */
	u8 vex_pp, vex_l, vex_vvvv; /* vvvv whole: its top bit is no register bit in 32-bit code */
	unsigned map;
	struct insn *o;
};

static u8 next(struct parse *s)
{
	if (s->at >= s->avail) {
		s->short_ = true;
		return 0;
	}
	return s->p[s->at++];
}

static u64 next_n(struct parse *s, unsigned n)
{
	u64 v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (u64)next(s) << (8 * i);
	return v;
}

static s64 next_signed(struct parse *s, unsigned n)
{
	return (s64)sign_extend(next_n(s, n), 8 * n);
}

/* Legacy and REX prefixes; returns the first opcode byte. */
static u8 prefixes(struct parse *s)
{
	struct insn *o = s->o;

	for (;;) {
		u8 b = next(s);
		u8 seg = 0;

		if (s->bits == 64 && (b & 0xf0) == 0x40) {
			s->rex = 0x40 | (b & 15);
			if (s->short_)
				return b;
			continue;
		}
		switch (b) {
		case 0x26:
			seg = SEG_ES + 1;
			break;
		case 0x2e:
			seg = SEG_CS + 1;
			break;
		case 0x36:
			seg = SEG_SS + 1;
			break;
		case 0x3e:
			seg = SEG_DS + 1;
			break;
		case 0x64:
			seg = SEG_FS + 1;
			break;
		case 0x65:
			seg = SEG_GS + 1;
			break;
		case 0x66:
			o->prefix |= P_66;
			break;
		case 0x67:
			o->prefix |= P_67;
			break;
		case 0xf0:
			o->prefix |= P_LOCK;
			break;
		case 0xf2:
			o->prefix = (o->prefix & ~P_F3) | P_F2;
			break;
		case 0xf3:
			o->prefix = (o->prefix & ~P_F2) | P_F3;
			break;
		default:
			return b;
		}
		s->rex = 0; /* REX counts only right before the opcode */
		if (seg)
			o->notrack = seg == SEG_DS + 1;
		if (seg && (s->bits != 64 || seg > SEG_DS + 1))
			o->seg_override = seg;
		if (s->short_)
			return 0;
	}
}

/* C4/C5: returns the opcode byte, or sets map to INSN_MAPS where the prefix is malformed. */
static u8 vex(struct parse *s, u8 first)
{
	static const u8 maps[] = {INSN_MAPS, V_0F, V_0F38, V_0F3A};
	struct insn *o = s->o;
	u8 b1 = next(s), b2 = b1, m = 1;
	bool bad = o->prefix & (P_66 | P_F2 | P_F3 | P_LOCK) || s->rex;

	s->rex = 0x40 | (b1 & 0x80 ? 0 : 4);
	if (first == 0xc4) {
		b2 = next(s);
		m = b1 & 31;
		s->rex |= (b1 & 0x40 ? 0 : 2) | (b1 & 0x20 ? 0 : 1) | (b2 & 0x80 ? 8 : 0);
	}
	if (s->bits != 64)
		s->rex &= 0x48;
	s->vex_vvvv = ~b2 >> 3 & 15;
	o->vvvv = s->vex_vvvv & (s->bits == 64 ? 15 : 7);
	s->vex_l = b2 >> 2 & 1;
	s->vex_pp = b2 & 3;
	o->prefix |= P_VEX;
	s->map = bad || m > 3 ? (unsigned)INSN_MAPS : maps[m];
	return next(s);
}

/* Finds the map and the opcode byte. */
static u8 opcode(struct parse *s)
{
	u8 b = prefixes(s);

	s->map = M_1B;
	if ((b == 0xc4 || b == 0xc5) && s->at < s->avail &&
	    (s->bits == 64 || (s->p[s->at] & 0xc0) == 0xc0))
		return vex(s, b);
	if (b != 0x0f)
		return b;
	b = next(s);
	s->map = M_0F;
	if (b != 0x38 && b != 0x3a)
		return b;
	s->map = b == 0x38 ? M_0F38 : M_0F3A;
	return next(s);
}

static u8 prefix_class(const struct parse *s)
{
	static const u8 pp[] = {NP, P66, PF3, PF2};

	if (s->o->prefix & P_VEX)
		return pp[s->vex_pp];
	return s->o->prefix & P_F3   ? PF3
	       : s->o->prefix & P_F2 ? PF2
	       : s->o->prefix & P_66 ? P66
				     : NP;
}

static bool modrm_matches(u16 want, u8 modrm)
{
	bool reg_form = modrm >= 0xc0;
	u8 n = modrm >> 3 & 7;

	switch (want & 0xf00) {
	case MEM:
		return !reg_form;
	case REG:
		return reg_form;
	case SL(0):
		return n == (want & 0xff);
	case SM(0):
		return !reg_form && n == (want & 0xff);
	case SR(0):
		return reg_form && n == (want & 0xff);
	case XB(0):
		return modrm == (want & 0xff);
	default:
		return true;
	}
}

static bool row_matches(const struct parse *s, const struct insn_row *r, u8 cls, u8 modrm)
{
	bool w = s->rex & 8, w_known = s->bits == 64 || !(s->o->prefix & P_VEX);

	if (r->pfx != ANY && r->pfx != cls)
		return false;
	if (!modrm_matches(r->modrm, modrm))
		return false;
	if (r->attr & (s->bits == 64 ? A_I64 : A_O64))
		return false;
	if (s->o->prefix & P_VEX) {
		if ((r->attr & A_L0 && s->vex_l) || (r->attr & A_L1 && !s->vex_l))
			return false;
		w_known = true;
	}
	return !(w_known && ((r->attr & A_W0 && w) || (r->attr & A_W1 && !w)));
}

static const struct insn_row *find_row(const struct decoder *d, const struct parse *s, u8 op,
				       u8 modrm)
{
	const struct opcode_list *l = &d->list[s->map][op];
	u8 cls = prefix_class(s);

	for (unsigned k = 0; k < l->count; k++) {
		const struct insn_row *r = &insn_rows[d->order[l->first + k]];

		if (row_matches(s, r, cls, modrm))
			return r;
	}
	return NULL;
}

static void memory16(struct parse *s)
{
	static const u8 base[] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
	static const u8 index[] = {RSI, RDI, RSI, RDI, REG_NONE, REG_NONE, REG_NONE, REG_NONE};
	struct insn *o = s->o;
	u8 rm = o->modrm & 7;

	o->base = base[rm];
	o->index = index[rm];
	if (o->mod == 0 && rm == 6) {
		o->base = REG_NONE;
		o->disp = (s64)next_n(s, 2);
	} else if (o->mod == 1) {
		o->disp = next_signed(s, 1);
	} else if (o->mod == 2) {
		o->disp = next_signed(s, 2);
	}
	o->seg = o->base == RBP ? SEG_SS : SEG_DS;
}

static void memory32(struct parse *s)
{
	struct insn *o = s->o;
	u8 rm = o->modrm & 7, b = rm;

	if (rm == 4) {
		u8 sib = next(s);

		o->scale = sib >> 6;
		o->index = (sib >> 3 & 7) | (s->rex & 2 ? 8 : 0);
		if (o->index == RSP)
			o->index = REG_NONE;
		b = sib & 7;
	}
	o->base = b | (s->rex & 1 ? 8 : 0);
	if (o->mod == 0 && b == 5) {
		o->base = s->bits == 64 && rm == 5 ? REG_RIP : REG_NONE;
		o->disp = next_signed(s, 4);
	} else if (o->mod == 1) {
		o->disp = next_signed(s, 1);
	} else if (o->mod == 2) {
		o->disp = next_signed(s, 4);
	}
	o->seg = o->base == RSP || o->base == RBP ? SEG_SS : SEG_DS;
}

static void modrm_fields(struct parse *s)
{
	struct insn *o = s->o;

	/* MOV to and from control and debug registers ignores the mod field */
	o->mod = o->row->attr & A_REGONLY ? 3 : o->modrm >> 6;
	o->reg = (o->modrm >> 3 & 7) | (s->rex & 4 ? 8 : 0);
	o->rm = (o->modrm & 7) | (s->rex & 1 ? 8 : 0);
	if (o->mod == 3)
		return;
	if (o->addrsize == 2)
		memory16(s);
	else
		memory32(s);
	if (o->seg_override)
		o->seg = o->seg_override - 1;
}

static void operand_sizes(struct parse *s, const struct insn_row *r, bool byte_form)
{
	struct insn *o = s->o;
	bool w = s->rex & 8;

	if (s->bits == 64)
		o->opsize = w || r->attr & A_F64 ? 8
			    : o->prefix & P_66	 ? 2
			    : r->attr & A_D64	 ? 8
						 : 4;
	else
		o->opsize = (s->bits == 32) == !(o->prefix & P_66) ? 4 : 2;
	if (byte_form)
		o->opsize = 1;
	/* outside 64-bit mode VEX.W says nothing about general registers */
	if (w && (s->bits == 64 || r->attr & A_AVX))
		o->prefix |= P_REXW;
	if (s->rex & 0x40 && !(o->prefix & P_VEX))
		o->prefix |= P_REX;
	o->vl = s->vex_l ? 32 : 16;
}

unsigned operand_bytes(const struct insn *i, unsigned operand)
{
	unsigned sz = operand_info[operand].size;

	switch (sz) {
	case SZ_V:
		return i->opsize;
	case SZ_Z:
		return i->opsize > 4 ? 4 : i->opsize;
	case SZ_Y:
		return i->prefix & P_REXW ? 8 : 4;
	case SZ_X:
		return i->vl;
	case SZ_H:
		return i->vl / 2;
	case SZ_QV:
		return i->vl / 4;
	case SZ_EV:
		return i->vl / 8;
	default:
		return sz;
	}
}

static void immediate(struct parse *s, unsigned operand, bool *have_imm)
{
	struct insn *o = s->o;
	const struct operand_info *info = &operand_info[operand];
	unsigned n = operand_bytes(o, operand);

	switch (info->kind) {
	case KIND_I:
		if (*have_imm)
			o->imm2 = (u16)next_n(s, n);
		else
			o->imm = operand == OP_sIb || operand == OP_Iz ? (u64)next_signed(s, n)
								       : next_n(s, n);
		*have_imm = true;
		break;
	case KIND_J:
		o->imm = (u64)next_signed(s, n);
		break;
	case KIND_A:
		o->imm = next_n(s, o->opsize);
		o->imm2 = (u16)next_n(s, 2);
		break;
	case KIND_O:
		o->disp = (s64)next_n(s, o->addrsize);
		o->mod = 0;
		o->seg = o->seg_override ? o->seg_override - 1 : SEG_DS;
		break;
	case KIND_L:
		o->imm = next(s);
		o->imm2 = (u16)(o->imm >> 4 & (s->bits == 64 ? 15 : 7));
		break;
	default:
		break;
	}
}

/* Operands behind ModRM, and what rows without ModRM imply. */
static void operands(struct parse *s, const struct insn_row *r)
{
	struct insn *o = s->o;
	bool have_imm = false;

	if (r->modrm == NOM) {
		o->mod = 3;
		o->rm = o->reg = (o->opcode & 7) | (s->rex & 1 ? 8 : 0);
		o->seg = o->seg_override ? o->seg_override - 1 : SEG_DS;
	}
	for (unsigned k = 0; k < 4 && r->operand[k]; k++) {
		unsigned op = r->operand[k];
		u8 kind = operand_info[op].kind;

		if (kind == KIND_RM || kind == KIND_M || kind == KIND_W || kind == KIND_Q)
			o->nbytes_op = (u8)operand_bytes(o, op);
		immediate(s, op, &have_imm);
	}
}

static enum decode_status finish(struct parse *s, enum decode_status st)
{
	s->o->len = (u8)s->at;
	if (!s->short_)
		return st;
	return s->avail >= INSN_MAX_LEN ? DECODE_LONG : DECODE_SHORT;
}

enum decode_status decode(const struct decoder *d, unsigned mode_bits, const u8 *p, unsigned avail,
			  struct insn *o)
{
	struct parse s = {.p = p,
			  .avail = avail < INSN_MAX_LEN ? avail : INSN_MAX_LEN,
			  .bits = mode_bits,
			  .o = o};
	const struct insn_row *r;
	u8 op;

	memset(o, 0, sizeof(*o));
	o->base = o->index = REG_NONE;
	op = opcode(&s);
	o->opcode = op;
	if (s.short_ || s.map == INSN_MAPS)
		return finish(&s, DECODE_UD);
	if (mode_bits == 64)
		o->addrsize = o->prefix & P_67 ? 4 : 8;
	else
		o->addrsize = (mode_bits == 32) == !(o->prefix & P_67) ? 4 : 2;
	if (d->list[s.map][op].modrm) {
		if (s.at >= s.avail)
			s.short_ = true;
		else
			o->modrm = s.p[s.at++];
	}
	r = s.short_ ? NULL : find_row(d, &s, op, o->modrm);
	if (!r)
		return finish(&s, DECODE_UD);
	o->row = r;
	o->exec = r->exec;
	o->attr = r->attr;
	operand_sizes(&s, r, d->byte_form[r - insn_rows]);
	if (r->modrm != NOM)
		modrm_fields(&s);
	operands(&s, r);
	if (o->mod == 3)
		o->attr &= ~(u32)A_ALIGN;
	if (o->prefix & P_LOCK && (!(r->attr & A_LOCK) || o->mod == 3))
		return finish(&s, DECODE_UD);
	if (o->prefix & P_VEX && r->attr & A_NOVVVV && s.vex_vvvv)
		return finish(&s, DECODE_UD);
	return finish(&s, DECODE_OK);
}
