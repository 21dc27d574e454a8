/*
 * Random numbers and edge values. See values.h.
 */
#include "base/bits.h"
#include "tests/insn/values.h"

u64 rnd(struct rng *r)
{
	u64 z = r->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

unsigned rnd_below(struct rng *r, unsigned n)
{
	return (unsigned)((rnd(r) >> 32) * n >> 32);
}

bool chance(struct rng *r, unsigned percent)
{
	return rnd_below(r, 100) < percent;
}

u64 value_int(struct rng *r)
{
	static const u64 edge[] = {0,
				   1,
				   2,
				   ~0ull,
				   0x7f,
				   0x80,
				   0xff,
				   0x100,
				   0x7fff,
				   0x8000,
				   0xffff,
				   0x10000,
				   0x7fffffff,
				   0x80000000,
				   0xffffffff,
				   0x100000000,
				   0x7fffffffffffffff,
				   0x8000000000000000,
				   0xffffffff80000000,
				   0xffffffffffff8000,
				   0xffffffffffffff80,
				   0x0f,
				   0x10,
				   0x3f,
				   0x40};

	switch (rnd_below(r, 8)) {
	case 0:
	case 1:
		return edge[rnd_below(r, ARRAY_SIZE(edge))];
	case 2:
		return rnd_below(r, 64);
	case 3:
		return BIT(rnd_below(r, 64)) - rnd_below(r, 2);
	case 4:
		return (u64)(s64)(s32)rnd(r);
	case 5: /* the edges of narrow elements, repeated */
		return (edge[rnd_below(r, ARRAY_SIZE(edge))] & 0xffff) * 0x0001000100010001ull;
	default:
		return rnd(r);
	}
}

/* Sign, exponent and fraction chosen apart, so that every class of number comes up. */
static u64 value_float(struct rng *r, unsigned exp_bits, unsigned frac_bits)
{
	u64 top = BIT(exp_bits) - 1, bias = top >> 1, all = BIT(frac_bits) - 1, e, f;

	switch (rnd_below(r, 8)) {
	case 0:
		e = 0;
		break;
	case 1:
		e = top;
		break;
	case 2:
		e = rnd_below(r, 3);
		break;
	case 3:
		e = top - rnd_below(r, 3);
		break;
	case 4:
		e = rnd(r) & top;
		break;
	default:
		e = bias - frac_bits - 4 + rnd_below(r, 2 * frac_bits + 20);
		break;
	}
	switch (rnd_below(r, 6)) {
	case 0:
		f = 0;
		break;
	case 1:
		f = all;
		break;
	case 2:
		f = BIT(rnd_below(r, frac_bits));
		break;
	case 3:
		f = BIT(frac_bits - 1) | rnd_below(r, 2);
		break;
	case 4:
		f = all << rnd_below(r, frac_bits) & all;
		break;
	default:
		f = rnd(r) & all;
		break;
	}
	return (rnd(r) & 1) << (exp_bits + frac_bits) | (e & top) << frac_bits | f;
}

void value_f80(struct rng *r, u64 *sig, u16 *se)
{
	u64 x = value_float(r, 1, 62);

	*se = (u16)((rnd(r) & 0x8000) | (value_float(r, 15, 40) >> 40 & 0x7fff));
	*sig = (x << 1 & 0x7fffffffffffffffull) | (*se & 0x7fff ? BIT(63) : 0) | (x & 1);
	if (chance(r, 4)) /* pseudo-denormals, unnormals, pseudo-infinities */
		*sig ^= BIT(63);
}

static void fill_f80(struct rng *r, u8 *p, unsigned bytes)
{
	for (unsigned k = 0; k + 10 <= bytes; k += 10) {
		u64 sig;
		u16 se;

		value_f80(r, &sig, &se);
		store_le64(p + k, sig);
		store_le16(p + k + 8, se);
	}
}

void value_fill(struct rng *r, void *buf, unsigned bytes, enum value_kind kind)
{
	unsigned size = kind == VALUE_F32 ? 4 : kind == VALUE_F64 ? 8 : 1u << rnd_below(r, 4);
	u8 *p = buf;

	for (unsigned k = bytes & ~7u; k < bytes; k++)
		p[k] = (u8)rnd(r);
	bytes &= ~7u;
	for (unsigned k = 0; k < bytes; k += size) {
		u64 x = kind == VALUE_F32   ? value_float(r, 8, 23)
			: kind == VALUE_F64 ? value_float(r, 11, 52)
					    : value_int(r);

		store_le(p + k, x, size);
	}
	if (kind == VALUE_F80)
		fill_f80(r, p, bytes);
}
