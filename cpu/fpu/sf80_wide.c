/*
 * Division and power series for the transcendental instructions.
 */
#include "base/bits.h"
#include "cpu/fpu/sf80_wide.h"

struct fraction {
	u64 hi, lo;
};

static const struct fraction inverse_factorial[] = {
#define INVERSE_FACTORIAL(hi, lo) {hi, lo},
#include "cpu/fpu/sf80_trans.def"
};

static const struct fraction inverse_odd[] = {
#define INVERSE_ODD(hi, lo) {hi, lo},
#include "cpu/fpu/sf80_trans.def"
};

static const struct fraction arctan[] = {
#define ARCTAN(hi, lo) {hi, lo},
#include "cpu/fpu/sf80_trans.def"
};

static u128 fraction(const struct fraction *f)
{
	return (u128)f->hi << 64 | f->lo;
}

/* One quotient digit in base 2^64 of *rem / d, *rem < d and d normalised. */
static u64 quotient_digit(u128 *rem, u128 d)
{
	u64 dh = (u64)(d >> 64), dl = (u64)d;
	u128 q = *rem / dh;

	if (q >> 64)
		q = ~0ull;
	u128 t = *rem - q * dh;

	while (!(t >> 64) && t << 64 < q * dl) {
		q--;
		t += dh;
	}
	*rem = (t << 64) - q * dl;
	return (u64)q;
}

struct sf_wide wide_quotient(struct sf_wide a, struct sf_wide b)
{
	u128 rem = a.sig >> 1;
	u64 hi = quotient_digit(&rem, b.sig);
	u64 lo = quotient_digit(&rem, b.sig);

	return sf_normalise(a.sign ^ b.sign, a.exp - b.exp, (u128)hi << 64 | lo);
}

/* z * (c[0] +- z * (c[1] +- z * ...)) with every stride-th coefficient. */
static u128 series(u128 z, const struct fraction *c, unsigned terms, unsigned stride,
		   bool alternate)
{
	u128 sum = 0;

	for (unsigned i = terms; i-- > 0;) {
		u128 term = wide_mul_high(z, sum);

		sum = fraction(&c[i * stride]);
		sum = alternate ? sum - term : sum + term;
	}
	return wide_mul_high(z, sum);
}

u128 series_sin(u128 z)
{
	return series(z, &inverse_factorial[1], 16, 2, true);
}

u128 series_cos(u128 z)
{
	return series(z, &inverse_factorial[0], 16, 2, true);
}

u128 series_atan(u128 z)
{
	return series(z, inverse_odd, 12, 1, true);
}

u128 series_atanh(u128 z)
{
	return series(z, inverse_odd, ARRAY_SIZE(inverse_odd), 1, false);
}

u128 series_exp(u128 u, bool negative)
{
	return series(u, inverse_factorial, ARRAY_SIZE(inverse_factorial), 1, negative);
}

struct sf_wide wide_atan_table(unsigned index)
{
	return sf_normalise(false, -1, fraction(&arctan[index]));
}
