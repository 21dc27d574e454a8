/*
 * Arithmetic in struct sf_wide, good to some 120 bits, and the power series the
 * transcendental instructions are made of. Results are not correctly rounded:
 * wide_inexact() marks one before it is rounded to 64 bits.
 */
#ifndef CPU_FPU_SF80_WIDE_H
#define CPU_FPU_SF80_WIDE_H

#include "cpu/fpu/sf80.h"

#define WIDE_ONE ((struct sf_wide){false, 0, (u128)1 << 127})
#define WIDE_LN2 wide_constant(-1, 0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af)
#define WIDE_LOG2E wide_constant(0, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e89)
#define WIDE_PI wide_constant(1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)

static inline struct sf_wide wide_constant(s32 exp, u64 hi, u64 lo)
{
	return (struct sf_wide){false, exp, (u128)hi << 64 | lo};
}

static inline struct sf_wide wide_scale(struct sf_wide a, s32 by)
{
	a.exp += by;
	return a;
}

static inline struct sf_wide wide_negate(struct sf_wide a, bool negate)
{
	a.sign ^= negate;
	return a;
}

static inline struct sf_wide wide_inexact(struct sf_wide a)
{
	a.sig |= 1;
	return a;
}

static inline struct sf_wide wide_sum(struct sf_wide a, struct sf_wide b)
{
	return sf_wide_add(a, b, FP_RC_NEAREST);
}

static inline struct sf_wide wide_difference(struct sf_wide a, struct sf_wide b)
{
	return wide_sum(a, wide_negate(b, true));
}

/* The upper half of the product, up to 2 too small. */
static inline u128 wide_mul_high(u128 a, u128 b)
{
	u64 ah = (u64)(a >> 64), al = (u64)a, bh = (u64)(b >> 64), bl = (u64)b;
	u128 p = (u128)ah * bl, q = (u128)al * bh;

	return (u128)ah * bh + (p >> 64) + (q >> 64) + (((u128)(u64)p + (u64)q) >> 64);
}

static inline struct sf_wide wide_product(struct sf_wide a, struct sf_wide b)
{
	return sf_normalise(a.sign ^ b.sign, a.exp + b.exp + 1, wide_mul_high(a.sig, b.sig));
}

/* b is not zero. */
struct sf_wide wide_quotient(struct sf_wide a, struct sf_wide b);

/* a as a fraction of 2^128; |a| < 1, the sign is dropped. */
static inline u128 wide_fraction(struct sf_wide a)
{
	u32 shift = (u32)(-1 - a.exp);

	return shift > 127 ? 0 : a.sig >> shift;
}

/* The series, each without its leading 1 or x; z, u and the results fractions of 2^128. */
u128 series_sin(u128 z);		/* 1 - sin(x)/x, z = x^2 */
u128 series_cos(u128 z);		/* 1 - cos(x), z = x^2 */
u128 series_atan(u128 z);		/* 1 - arctan(x)/x, z = x^2 <= 2^-12 */
u128 series_atanh(u128 z);		/* artanh(x)/x - 1, z = x^2 <= 0.03 */
u128 series_exp(u128 u, bool negative); /* |(e^x - 1)/x - 1|, u = |x| < 0.7 */

/* x * (1 + f), or x * (1 - f); a fraction lost in rounding still tells its direction. */
static inline struct sf_wide wide_adjust(struct sf_wide x, u128 f, bool subtract)
{
	struct sf_wide d = wide_product(x, sf_normalise(subtract, -1, f | 1));

	return wide_sum(x, d);
}

/* Index 0..32: arctan(index / 32). */
struct sf_wide wide_atan_table(unsigned index);

#endif
