/*
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM and their VEX forms. SDM volume 2, "Imm8 Control Byte
 * Operation for PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM".
 */
#include "cpu/insn_protos.h"
#include "cpu/vec.h"

enum { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

/* Both strings as integers: a is the first operand (a set or a needle), b the second. */
struct strings {
	s32 a[16], b[16];
	unsigned n, la, lb; /* elements, and how many of them are valid */
};

static void unpack(s32 *to, union lane l, unsigned imm)
{
	for (unsigned j = 0; j < 16; j++) {
		switch (imm & 3) {
		case 0:
			to[j] = l.b[j];
			break;
		case 1:
			to[j] = l.w[j & 7];
			break;
		case 2:
			to[j] = l.sb[j];
			break;
		default:
			to[j] = l.sw[j & 7];
			break;
		}
	}
}

static unsigned implicit_length(const s32 *s, unsigned n)
{
	unsigned k = 0;

	while (k < n && s[k])
		k++;
	return k;
}

/* RAX or RDX: magnitude, at most n. */
static unsigned explicit_length(u64 reg, bool wide, unsigned n)
{
	s64 x = wide ? (s64)reg : (s32)reg;
	u64 mag = x < 0 ? 0 - (u64)x : (u64)x;

	return mag < n ? (unsigned)mag : n;
}

static bool match_any(const struct strings *s, unsigned j)
{
	for (unsigned k = 0; k < s->la; k++)
		if (s->a[k] == s->b[j])
			return true;
	return false;
}

static bool match_ranges(const struct strings *s, unsigned j)
{
	for (unsigned k = 0; k + 1 < s->la; k += 2)
		if (s->a[k] <= s->b[j] && s->b[j] <= s->a[k + 1])
			return true;
	return false;
}

/* Does the needle start at j, as far as the register reaches? */
static bool match_ordered(const struct strings *s, unsigned j)
{
	for (unsigned k = 0; k < s->la && j + k < s->n; k++)
		if (j + k >= s->lb || s->a[k] != s->b[j + k])
			return false;
	return true;
}

/* IntRes1. */
static u32 aggregate(const struct strings *s, unsigned mode)
{
	u32 res = 0;

	for (unsigned j = 0; j < s->n; j++) {
		bool hit = false;

		switch (mode) {
		case EQUAL_ANY:
			hit = j < s->lb && match_any(s, j);
			break;
		case RANGES:
			hit = j < s->lb && match_ranges(s, j);
			break;
		case EQUAL_EACH:
			hit = (j < s->la && j < s->lb) ? s->a[j] == s->b[j]
						       : (j < s->la) == (j < s->lb);
			break;
		default:
			hit = match_ordered(s, j);
			break;
		}
		res |= (u32)hit << j;
	}
	return res;
}

/* Compares, sets the flags, gives IntRes2 and the number of elements. */
static int compare(struct vcpu *v, const struct insn *i, bool explicit, u32 *res, unsigned *n)
{
	unsigned imm = (unsigned)i->imm;
	bool wide = i->prefix & P_REXW && v->mode == MODE_64;
	struct strings s = {.n = imm & 1 ? 8 : 16};
	union lane b;
	int r = sse_src(v, i, &b);

	if (r)
		return r;
	unpack(s.a, lane_get(&v->ymm[i->reg], 0), imm);
	unpack(s.b, b, imm);
	s.la = explicit ? explicit_length(v->reg[RAX], wide, s.n) : implicit_length(s.a, s.n);
	s.lb = explicit ? explicit_length(v->reg[RDX], wide, s.n) : implicit_length(s.b, s.n);
	*n = s.n;
	*res = aggregate(&s, imm >> 2 & 3);
	if (imm & 0x10)
		*res ^= (imm & 0x20 ? (1u << s.lb) : (1u << s.n)) - 1;
	flags_set_arith(v, (*res ? RFLAGS_CF : 0) | (s.lb < s.n ? RFLAGS_ZF : 0) |
				   (s.la < s.n ? RFLAGS_SF : 0) | (*res & 1 ? RFLAGS_OF : 0));
	return 0;
}

static int to_index(struct vcpu *v, const struct insn *i, bool explicit)
{
	unsigned n, at = 0;
	u32 res;
	int r = compare(v, i, explicit, &res, &n);

	if (r)
		return r;
	if (!res)
		at = n;
	else if (i->imm & 0x40)
		while (res >> (at + 1))
			at++;
	else
		while (!(res >> at & 1))
			at++;
	v->reg[RCX] = at;
	return EXEC_NEXT;
}

static int to_mask(struct vcpu *v, const struct insn *i, bool explicit)
{
	unsigned n;
	union lane l = lane_zero();
	u32 res;
	int r = compare(v, i, explicit, &res, &n);

	if (r)
		return r;
	if (!(i->imm & 0x40))
		l.q[0] = res;
	else
		for (unsigned j = 0; j < 16; j++)
			l.b[j] = res >> (n == 16 ? j : j / 2) & 1 ? 0xff : 0;
	lane_put(&v->ymm[0], 0, l);
	if (i->prefix & P_VEX)
		lane_put(&v->ymm[0], 1, lane_zero());
	return EXEC_NEXT;
}

int x_pcmpestri(struct vcpu *v, const struct insn *i)
{
	return to_index(v, i, true);
}

int x_pcmpestrm(struct vcpu *v, const struct insn *i)
{
	return to_mask(v, i, true);
}

int x_pcmpistri(struct vcpu *v, const struct insn *i)
{
	return to_index(v, i, false);
}

int x_pcmpistrm(struct vcpu *v, const struct insn *i)
{
	return to_mask(v, i, false);
}
