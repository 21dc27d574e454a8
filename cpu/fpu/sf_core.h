/*
 * The arithmetic all formats share: an operand is unpacked into struct sf_num,
 * an operation makes a struct sf_wide (128 bits, the lowest sticky), and the
 * format's own file rounds and packs it.
 *
 * SDM volume 1, "Real Numbers and Floating-Point Formats", "Rounding".
 */
#ifndef CPU_FPU_SF_CORE_H
#define CPU_FPU_SF_CORE_H

#include "base/types.h"
#include "cpu/fpu/softfloat.h"

enum sf_kind {
	SF_ZERO,
	SF_FINITE,
	SF_INF,
	SF_QNAN,
	SF_SNAN,
	SF_UNSUPPORTED, /* x87 only */
};

/* SF_FINITE: sig / 2^63 * 2^exp, bit 63 of sig set. NaN: sig holds the payload, top-aligned. */
struct sf_num {
	enum sf_kind kind;
	bool sign;
	bool denormal;
	s32 exp;
	u64 sig;
};

/* sig / 2^127 * 2^exp; bit 127 of sig set, or sig zero. */
struct sf_wide {
	bool sign;
	s32 exp;
	u128 sig;
};

/* What rounding made: sig has bit 63 set unless it was given a denormal. */
struct sf_rounded {
	u64 sig;
	s32 exp;
	bool inexact;
	bool up;
};

static inline bool sf_is_nan(struct sf_num a)
{
	return a.kind == SF_QNAN || a.kind == SF_SNAN;
}

/* Without branches: the argument of a normalisation is not predictable. */
static inline unsigned sf_clz64(u64 v)
{
	unsigned n = 0;

	if (!v)
		return 64;
	for (unsigned step = 32; step; step >>= 1) {
		unsigned shift = v >> (64 - step) ? 0 : step;

		v <<= shift;
		n += shift;
	}
	return n;
}

static inline unsigned sf_clz128(u128 v)
{
	u64 hi = (u64)(v >> 64);

	return hi ? sf_clz64(hi) : 64 + sf_clz64((u64)v);
}

/* Right shift that keeps what falls out as a sticky lowest bit. */
static ATTR_ALWAYS_INLINE u128 sf_shift_jam(u128 v, u32 n)
{
	if (n == 0)
		return v;
	if (n > 127)
		return v != 0;
	return v >> n | ((v << (128 - n)) != 0);
}

static ATTR_ALWAYS_INLINE struct sf_wide sf_normalise(bool sign, s32 exp, u128 sig)
{
	unsigned n = 0;

	/* A shift by one or none is by far the most common. */
	if (!(sig >> 127))
		n = sig >> 126 ? 1 : sig ? sf_clz128(sig) : 0;
	return (struct sf_wide){sign, exp - (s32)n, sig << n};
}

static inline struct sf_wide sf_widen(struct sf_num a)
{
	return (struct sf_wide){a.sign, a.exp, a.kind == SF_FINITE ? (u128)a.sig << 64 : 0};
}

/* rem is the discarded fraction of a unit in the last place, top-aligned and sticky. */
static ATTR_ALWAYS_INLINE bool sf_round_up(u8 round, bool sign, bool odd, u64 rem)
{
	const u64 half = 1ull << 63;

	switch (round) {
	case FP_RC_NEAREST:
		return rem > half || (rem == half && odd);
	case FP_RC_DOWN:
		return sign && rem;
	case FP_RC_UP:
		return !sign && rem;
	default:
		return false;
	}
}

/* Round to prec (1..64) significant bits counted from bit 127. */
static ATTR_ALWAYS_INLINE struct sf_rounded sf_round_sig(u128 sig, s32 exp, bool sign,
							 unsigned prec, u8 round)
{
	u64 hi = (u64)(sig >> 64), lo = (u64)sig;
	u64 unit = 1ull << (64 - prec);
	u64 rem = prec == 64 ? lo : hi << prec | (lo != 0);
	struct sf_rounded r = {hi & ~(unit - 1), exp, rem != 0, false};

	r.up = sf_round_up(round, sign, hi & unit, rem);
	if (r.up) {
		r.sig += unit;
		if (r.sig < unit) {
			r.sig = 1ull << 63;
			r.exp++;
		}
	}
	return r;
}

/* round only chooses the sign of an exact zero. */
static ATTR_ALWAYS_INLINE struct sf_wide sf_wide_add(struct sf_wide a, struct sf_wide b, u8 round)
{
	if (!b.sig && !a.sig)
		return (struct sf_wide){a.sign == b.sign ? a.sign : round == FP_RC_DOWN, 0, 0};
	if (!b.sig)
		return a;
	if (!a.sig)
		return b;
	if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
		struct sf_wide t = a;

		a = b;
		b = t;
	}
	/* One bit of head-room; operands have enough zeros below for it to be exact. */
	u128 x = sf_shift_jam(a.sig, 1);
	u128 y = sf_shift_jam(b.sig, (u32)(a.exp - b.exp) + 1);

	if (a.sign == b.sign)
		return sf_normalise(a.sign, a.exp + 1, x + y);
	if (x == y)
		return (struct sf_wide){round == FP_RC_DOWN, 0, 0};
	return sf_normalise(a.sign, a.exp + 1, x - y);
}

static ATTR_ALWAYS_INLINE struct sf_wide sf_wide_mul(struct sf_num a, struct sf_num b)
{
	if (a.kind == SF_ZERO || b.kind == SF_ZERO)
		return (struct sf_wide){a.sign ^ b.sign, 0, 0};
	u128 p = (u128)a.sig * b.sig;
	s32 exp = a.exp + b.exp + 1;

	if (!(p >> 127)) {
		p <<= 1;
		exp--;
	}
	return (struct sf_wide){a.sign ^ b.sign, exp, p};
}

/* b is not zero. 64 quotient bits and a sticky; with all_bits 128 and a sticky. */
static inline struct sf_wide sf_wide_div(struct sf_num a, struct sf_num b, bool all_bits)
{
	if (a.kind == SF_ZERO)
		return (struct sf_wide){a.sign ^ b.sign, 0, 0};
	bool less = a.sig < b.sig;
	u128 n = less ? (u128)a.sig << 64 : (u128)a.sig << 63;
	u128 q = n / b.sig, rem = n - q * b.sig;

	q <<= 64;
	if (all_bits && rem) {
		u128 low = (rem << 64) / b.sig;

		q |= low;
		rem = (rem << 64) - low * b.sig;
	}
	return (struct sf_wide){a.sign ^ b.sign, a.exp - b.exp - less, q | (rem != 0)};
}

/* Integer square root, one bit a step; v has one of its two top bits set. */
static inline u32 sf_isqrt32(u32 v, u32 *rem)
{
	u32 root = 0, r = 0;

	for (int i = 15; i >= 0; i--) {
		r = r << 2 | (v >> (2 * i) & 3);
		u32 bit = r > 4 * root;

		r -= (0 - bit) & (4 * root + 1);
		root = 2 * root + bit;
	}
	*rem = r;
	return root;
}

/* Square root of v >= 2^62 by one Karatsuba step over the 32-bit root. */
static inline u64 sf_isqrt64(u64 v, u64 *rem)
{
	u32 r1, s1 = sf_isqrt32((u32)(v >> 32), &r1);
	u64 t = (u64)r1 << 16 | (v >> 16 & 0xffff);
	u64 q = t / (2 * s1), u = t - q * (2 * s1);
	u64 s = ((u64)s1 << 16) + q;
	s64 r = (s64)(u << 16 | (v & 0xffff)) - (s64)(q * q);

	while (r < 0) {
		s--;
		r += (s64)(2 * s + 1);
	}
	*rem = (u64)r;
	return s;
}

/* Square root of n >= 2^126: one Karatsuba step over the 64-bit root; *rem may need 65 bits. */
static inline u64 sf_isqrt128(u128 n, u128 *rem)
{
	u64 r1, s1 = sf_isqrt64((u64)(n >> 64), &r1);
	u128 t = (u128)r1 << 32 | (u32)(n >> 32);
	u128 q = t / (2 * s1), u = t - q * (2 * s1);
	u128 s = ((u128)s1 << 32) + q;
	s128 r = (s128)(u << 32 | (u32)n) - (s128)(q * q);

	while (r < 0) {
		s--;
		r += (s128)(2 * s + 1);
	}
	*rem = (u128)r;
	return (u64)s;
}

static inline struct sf_wide sf_wide_sqrt(struct sf_num a)
{
	bool odd = a.exp & 1;
	s32 exp = (a.exp - odd) / 2;
	u128 n = odd ? (u128)a.sig << 64 : (u128)a.sig << 63;
	u128 rem;
	u64 root = sf_isqrt128(n, &rem);
	/* (root + 1/2)^2 = root^2 + root + 1/4, so the next bit is set when rem > root. */
	u128 sig = (u128)root << 64 | (u128)(rem > root) << 63 | (rem != 0);

	return (struct sf_wide){false, exp, sig};
}

/* A zero or finite value rounded to an integer, as a magnitude; all ones when 2^64 or more. */
static inline struct sf_rounded sf_to_integer(struct sf_num a, u8 round, u128 *value)
{
	struct sf_rounded r = {0};

	if (a.kind == SF_ZERO || a.exp > 63) {
		*value = a.kind == SF_ZERO ? 0 : ~(u128)0;
		return r;
	}
	/* Integer part in the top half, fraction in the bottom. */
	u128 v = a.exp >= -1 ? (u128)a.sig << (a.exp + 1) : sf_shift_jam(a.sig, (u32)(-a.exp - 1));
	u64 whole = (u64)(v >> 64), fraction = (u64)v;

	r.inexact = fraction != 0;
	r.up = sf_round_up(round, a.sign, whole & 1, fraction);
	*value = (u128)whole + r.up;
	return r;
}

/* Neither is a NaN. */
static inline enum fp_order sf_order(struct sf_num a, struct sf_num b)
{
	enum fp_order larger = a.sign ? FP_LESS : FP_GREATER;

	if (a.kind == SF_ZERO && b.kind == SF_ZERO)
		return FP_EQUAL;
	if (a.kind == SF_ZERO)
		return b.sign ? FP_GREATER : FP_LESS;
	if (b.kind == SF_ZERO || a.sign != b.sign)
		return larger;
	if (a.kind != b.kind)
		return a.kind == SF_INF ? larger : (enum fp_order) - larger;
	if (a.kind == SF_INF || (a.exp == b.exp && a.sig == b.sig))
		return FP_EQUAL;
	if (a.exp != b.exp ? a.exp > b.exp : a.sig > b.sig)
		return larger;
	return (enum fp_order) - larger;
}

static inline u64 sf_magnitude(s64 v)
{
	return v < 0 ? 0 - (u64)v : (u64)v;
}

#endif
