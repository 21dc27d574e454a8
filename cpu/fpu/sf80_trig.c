/*
 * FSIN, FCOS, FSINCOS, FPTAN, FPATAN. Arguments are reduced with the 66-bit pi
 * of the processor, so near multiples of pi the results are the processor's and
 * not those of mathematics.
 *
 * SDM volume 1, "Pi", "Transcendental Instruction Accuracy"; volume 2, FSIN,
 * FCOS, FSINCOS, FPTAN, FPATAN.
 */
#include "cpu/fpu/sf80_wide.h"

/* pi / 2 of 66 bits, times 2^65. */
#define HALF_PI66 ((u128)3 << 64 | 0x243f6a8885a308d3)

/* Below this exponent a processor takes x for sin, tan, arctan and 1 for cos, in every rounding. */
#define TINY_EXPONENT (-68)

/* sin and cos of |x| - quadrant * pi / 2, which is at most pi / 4 away from 0. */
struct reduced {
	struct sf_wide sin, cos;
	unsigned quadrant;
};

/* |x| < 2^63. */
static struct sf_wide reduce(struct sf_num x, unsigned *quadrant)
{
	struct sf_wide r = sf_widen(x);

	r.sign = false;
	*quadrant = 0;
	if (x.exp < -1)
		return r;
	u128 n = (u128)x.sig << (x.exp + 2), q = n / HALF_PI66, rem = n - q * HALF_PI66;
	bool past = rem > HALF_PI66 / 2;

	*quadrant = (unsigned)(q + past) & 3;
	return sf_normalise(past, 62, past ? HALF_PI66 - rem : rem);
}

static struct reduced sin_cos(struct sf_num x)
{
	struct reduced r;
	struct sf_wide a = reduce(x, &r.quadrant);
	u128 z = wide_fraction(wide_product(a, a));

	r.sin = wide_inexact(wide_adjust(a, series_sin(z), true));
	r.cos = wide_inexact(wide_adjust(WIDE_ONE, series_cos(z), true));
	return r;
}

static struct sf_wide sin_of(const struct reduced *r, bool negative)
{
	struct sf_wide w = r->quadrant & 1 ? r->cos : r->sin;

	return wide_negate(w, (r->quadrant & 2) != 0 ? !negative : negative);
}

static struct sf_wide cos_of(const struct reduced *r)
{
	struct sf_wide w = r->quadrant & 1 ? r->sin : r->cos;

	return wide_negate(w, r->quadrant == 1 || r->quadrant == 2);
}

enum trig {
	TRIG_DONE,    /* both results are there */
	TRIG_COMPUTE, /* finite and not zero */
	TRIG_RANGE,   /* C2 */
};

/* Everything but the computing: NaN, infinity, zero (sine itself, cosine one), range, DE. */
static enum trig trig_start(struct fp_env *env, struct f80 a, struct sf_num x, struct f80 *sin,
			    struct f80 *cos)
{
	if (sf80_special(env, a, a, sin)) {
		*cos = *sin;
	} else if (x.kind == SF_INF) {
		*cos = *sin = sf80_invalid(env);
	} else if (x.kind == SF_ZERO) {
		*sin = a;
		*cos = sf80_const(env, FP_CONST_ONE);
	} else if (x.exp >= 63) {
		return TRIG_RANGE;
	} else if (sf80_denormal(env, x.denormal)) {
		*cos = *sin = a;
	} else {
		return TRIG_COMPUTE;
	}
	return TRIG_DONE;
}

static struct f80 finish_sin(struct fp_env *env, struct sf_num x, const struct reduced *r)
{
	struct f80 result;

	if (x.exp >= TINY_EXPONENT)
		return sf80_finish(env, sin_of(r, x.sign), 64);
	result = sf80_finish(env, sf_widen(x), 64);
	env->flags |= FP_PE | (x.exp < SF80_EMIN ? FP_UE : 0);
	return result;
}

static struct f80 finish_tan(struct fp_env *env, struct sf_num x, const struct reduced *r)
{
	if (x.exp < TINY_EXPONENT)
		return finish_sin(env, x, r);
	return sf80_finish(env, wide_inexact(wide_quotient(sin_of(r, x.sign), cos_of(r))), 64);
}

static struct f80 finish_cos(struct fp_env *env, struct sf_num x, const struct reduced *r)
{
	if (x.exp >= TINY_EXPONENT)
		return sf80_finish(env, cos_of(r), 64);
	env->flags |= FP_PE;
	return sf80_const(env, FP_CONST_ONE);
}

bool sf80_sincos(struct fp_env *env, struct f80 x, struct f80 *sin, struct f80 *cos)
{
	struct sf_num n = sf80_unpack(x);
	enum trig start = trig_start(env, x, n, sin, cos);

	if (start == TRIG_COMPUTE) {
		struct reduced r = sin_cos(n);

		*sin = finish_sin(env, n, &r);
		*cos = finish_cos(env, n, &r);
	}
	return start == TRIG_RANGE;
}

bool sf80_sin(struct fp_env *env, struct f80 x, struct f80 *sin)
{
	struct sf_num n = sf80_unpack(x);
	struct f80 cos;
	enum trig start = trig_start(env, x, n, sin, &cos);

	if (start == TRIG_COMPUTE) {
		struct reduced r = sin_cos(n);

		*sin = finish_sin(env, n, &r);
	}
	return start == TRIG_RANGE;
}

bool sf80_cos(struct fp_env *env, struct f80 x, struct f80 *cos)
{
	struct sf_num n = sf80_unpack(x);
	struct f80 sin;
	enum trig start = trig_start(env, x, n, &sin, cos);

	if (start == TRIG_COMPUTE) {
		struct reduced r = sin_cos(n);

		*cos = finish_cos(env, n, &r);
	}
	return start == TRIG_RANGE;
}

bool sf80_tan(struct fp_env *env, struct f80 x, struct f80 *tan)
{
	struct sf_num n = sf80_unpack(x);
	struct f80 cos;
	enum trig start = trig_start(env, x, n, tan, &cos);

	if (start == TRIG_COMPUTE) {
		struct reduced r = sin_cos(n);

		*tan = finish_tan(env, n, &r);
	}
	return start == TRIG_RANGE;
}

/* arctan of 0 < q <= 1: the nearest n/32 comes from a table, the rest from the series. */
static struct sf_wide arctan_of(struct sf_wide q)
{
	unsigned index = 0;

	if (q.exp < TINY_EXPONENT)
		return q;
	if (q.exp >= -6)
		index = (unsigned)((q.sig >> (121 - q.exp)) + 1) / 2;
	struct sf_wide d = q;

	if (index) {
		struct sf_wide c = sf_normalise(false, 127 - 5, index);

		d = wide_difference(q, c);
		if (!d.sig)
			return wide_atan_table(index);
		d = wide_quotient(d, wide_sum(WIDE_ONE, wide_product(q, c)));
	}
	d = wide_adjust(d, series_atan(wide_fraction(wide_product(d, d))), true);
	return index ? wide_sum(wide_atan_table(index), d) : d;
}

/* Both finite and not zero; the angle of the point (|x|, |y|), then of (x, |y|). */
static struct sf_wide angle(struct sf_num x, struct sf_num y)
{
	struct sf_wide wx = sf_widen(x), wy = sf_widen(y), a;
	bool steep = wy.exp != wx.exp ? wy.exp > wx.exp : wy.sig > wx.sig;

	wx.sign = wy.sign = false;
	if (steep) {
		a = arctan_of(wide_quotient(wx, wy));
		a = wide_sum(wide_scale(WIDE_PI, -1), wide_negate(a, !x.sign));
	} else {
		a = arctan_of(wide_quotient(wy, wx));
		if (x.sign)
			a = wide_difference(WIDE_PI, a);
	}
	return a;
}

/* Quarter turns of pi where an operand is zero or infinite: SDM table "FPATAN Results". */
static unsigned angle_eighths(struct sf_num x, struct sf_num y)
{
	if (y.kind == SF_INF && x.kind == SF_INF)
		return x.sign ? 3 : 1;
	if (y.kind == SF_ZERO || x.kind == SF_INF)
		return x.sign ? 4 : 0;
	return 2;
}

struct f80 sf80_patan(struct fp_env *env, struct f80 x, struct f80 y)
{
	struct sf_num nx = sf80_unpack(x), ny = sf80_unpack(y);
	struct sf_wide w;
	struct f80 r;

	if (sf80_special(env, x, y, &r))
		return r;
	if (sf80_denormal(env, nx.denormal || ny.denormal))
		return y;
	if (nx.kind == SF_FINITE && ny.kind == SF_FINITE) {
		w = angle(nx, ny);
	} else {
		unsigned eighths = angle_eighths(nx, ny);

		if (!eighths)
			return sf80_zero(ny.sign);
		w = wide_scale(WIDE_PI, eighths == 1 ? -2 : eighths == 2 ? -1 : 0);
		if (eighths == 3)
			w = wide_sum(wide_scale(WIDE_PI, -1), wide_scale(WIDE_PI, -2));
	}
	if (w.exp >= TINY_EXPONENT)
		w = wide_inexact(w);
	r = sf80_finish(env, wide_negate(w, ny.sign), 64);
	env->flags |= FP_PE | (w.exp < SF80_EMIN ? FP_UE : 0);
	return r;
}
