/*
 * F2XM1, FYL2X, FYL2XP1.
 *
 * SDM volume 1, "Transcendental Instruction Accuracy"; volume 2, F2XM1, FYL2X,
 * FYL2XP1. Outside the ranges the SDM defines, F2XM1 returns its operand and
 * FYL2XP1 goes on being y * log2(x + 1).
 */
#include "cpu/fpu/sf80_wide.h"

struct f80 sf80_2xm1(struct fp_env *env, struct f80 x)
{
	struct sf_num n = sf80_unpack(x);
	struct f80 r;

	if (sf80_special(env, x, x, &r))
		return r;
	if (n.kind == SF_ZERO)
		return x;
	if (n.kind == SF_INF)
		return n.sign ? sf80_pack(true, 0, SF80_INTEGER) : x;
	if (sf80_denormal(env, n.denormal))
		return x;
	if (n.exp >= 0) {
		env->flags |= FP_PE;
		return n.sign && !n.exp && n.sig == SF80_INTEGER ? sf80_pack(true, -1, n.sig) : x;
	}
	struct sf_wide u = wide_product(sf_widen(n), WIDE_LN2);
	struct sf_wide w = wide_adjust(u, series_exp(wide_fraction(u), n.sign), n.sign);

	return sf80_finish(env, wide_inexact(w), 64);
}

/* log2 of (1 + f) / 1 from s = f / (2 + f), |s| < 0.172: 2 artanh(s) / ln 2. */
static struct sf_wide log2_series(struct sf_wide s)
{
	u128 t = series_atanh(wide_fraction(wide_product(s, s)));

	return wide_scale(wide_product(wide_adjust(s, t, false), WIDE_LOG2E), 1);
}

/* a > 0. The significand is taken within sqrt(1/2)..sqrt(2), where the series is quick. */
static struct sf_wide log2_of(struct sf_wide a)
{
	bool high = (u64)(a.sig >> 64) >= 0xb504f333f9de6484;
	s32 exp = a.exp + high;
	struct sf_wide m = {false, high ? -1 : 0, a.sig}, log = {0};
	struct sf_wide f = wide_difference(m, WIDE_ONE);

	if (f.sig)
		log = log2_series(wide_quotient(f, wide_sum(m, WIDE_ONE)));
	return wide_sum(log, sf_normalise(exp < 0, 127, (u128)sf_magnitude(exp)));
}

/*
 * y * l where x's logarithm l is zero or infinite, or y is: the product's own
 * rules. A finite y times the logarithm of zero is a division by zero.
 */
static struct f80 log_special(struct fp_env *env, struct sf_num y, bool log_sign, bool log_zero,
			      bool log_infinite, bool divide)
{
	bool sign = y.sign ^ log_sign;

	if ((y.kind == SF_ZERO && log_infinite) || (y.kind == SF_INF && log_zero))
		return sf80_invalid(env);
	if (divide && y.kind == SF_FINITE)
		env->flags |= FP_ZE;
	if (log_infinite || y.kind == SF_INF)
		return sf80_infinity(sign);
	return sf80_zero(sign);
}

struct f80 sf80_yl2x(struct fp_env *env, struct f80 x, struct f80 y)
{
	struct sf_num nx = sf80_unpack(x), ny = sf80_unpack(y);
	bool one = nx.kind == SF_FINITE && !nx.exp && nx.sig == SF80_INTEGER;
	struct f80 r;

	if (sf80_special(env, x, y, &r))
		return r;
	if (nx.sign && nx.kind != SF_ZERO)
		return sf80_invalid(env);
	if (nx.kind == SF_ZERO)
		return log_special(env, ny, true, false, true, true);
	if ((ny.kind == SF_INF && one) || (ny.kind == SF_ZERO && nx.kind == SF_INF))
		return sf80_invalid(env);
	if (sf80_denormal(env, nx.denormal || ny.denormal))
		return y;
	if (nx.kind == SF_INF || one || ny.kind != SF_FINITE)
		return log_special(env, ny, nx.kind == SF_FINITE && nx.exp < 0, one,
				   nx.kind == SF_INF, false);
	struct sf_wide w = wide_product(log2_of(sf_widen(nx)), sf_widen(ny));

	/* The logarithm of a power of two is exact, though not to the processor's flags. */
	if (nx.sig != SF80_INTEGER)
		w = wide_inexact(w);
	r = sf80_finish(env, w, 64);
	env->flags |= FP_PE | (w.exp < SF80_EMIN ? FP_UE : 0);
	return r;
}

/* log2(1 + x), x > -1 and not zero. */
static struct sf_wide log2_plus_one(struct sf_num x)
{
	struct sf_wide w = sf_widen(x);

	if (x.exp >= -2)
		return log2_of(wide_sum(w, WIDE_ONE));
	return log2_series(wide_quotient(w, wide_sum(w, wide_scale(WIDE_ONE, 1))));
}

struct f80 sf80_yl2xp1(struct fp_env *env, struct f80 x, struct f80 y)
{
	struct sf_num nx = sf80_unpack(x), ny = sf80_unpack(y);
	bool zero = nx.kind == SF_ZERO;
	struct f80 r;

	if (sf80_special(env, x, y, &r))
		return r;
	if (nx.sign && (nx.kind == SF_INF || (!zero && nx.exp >= 0)))
		return sf80_invalid(env);
	if ((zero && ny.kind == SF_INF) || (nx.kind == SF_INF && ny.kind == SF_ZERO))
		return sf80_invalid(env);
	if (sf80_denormal(env, nx.denormal || ny.denormal))
		return y;
	if (nx.kind != SF_FINITE || ny.kind != SF_FINITE)
		return log_special(env, ny, nx.sign, zero, nx.kind == SF_INF, false);
	return sf80_finish(env, wide_inexact(wide_product(log2_plus_one(nx), sf_widen(ny))), 64);
}
