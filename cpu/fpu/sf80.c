/*
 * x87 arithmetic: the basic operations, partial remainder, comparison, scaling.
 *
 * SDM volume 1, "Programming with the x87 FPU"; volume 2, FADD to FXTRACT.
 */
#include "cpu/fpu/sf80.h"

/* SDM "Rules for Generating QNaNs": a QNaN before an SNaN, then the larger significand. */
static struct f80 choose_nan(struct f80 a, struct sf_num x, struct f80 b, struct sf_num y)
{
	bool take_a;

	if (!sf_is_nan(x) || !sf_is_nan(y))
		take_a = sf_is_nan(x);
	else if (x.kind != y.kind)
		take_a = x.kind == SF_QNAN;
	else if (x.sig != y.sig)
		take_a = x.sig > y.sig;
	else
		take_a = !x.sign;
	struct f80 r = take_a ? a : b;

	r.sig |= SF80_QUIET;
	return r;
}

bool sf80_not_a_number(struct fp_env *env, struct f80 a, struct f80 b, struct f80 *r)
{
	struct sf_num x = sf80_unpack(a), y = sf80_unpack(b);

	if (x.kind == SF_UNSUPPORTED || y.kind == SF_UNSUPPORTED) {
		*r = sf80_invalid(env);
	} else if (sf_is_nan(x) || sf_is_nan(y)) {
		if (x.kind == SF_SNAN || y.kind == SF_SNAN)
			env->flags |= FP_IE;
		*r = choose_nan(a, x, b, y);
	} else {
		return false;
	}
	env->mem_de = false;
	return true;
}

static struct f80 overflow(struct fp_env *env, bool sign, struct sf_rounded r, unsigned prec)
{
	u64 largest = ~0ull << (64 - prec);
	bool infinite = env->round == FP_RC_NEAREST || env->round == (sign ? FP_RC_DOWN : FP_RC_UP);

	env->flags |= FP_OE;
	if (!(env->masks & FP_OE)) {
		if (r.inexact)
			env->flags |= FP_PE;
		env->c1 = r.up;
		return sf80_pack(sign, r.exp - SF80_UNMASKED_BIAS, r.sig);
	}
	env->flags |= FP_PE;
	env->c1 = infinite;
	return infinite ? sf80_infinity(sign) : sf80_pack(sign, SF80_EMAX, largest);
}

static struct f80 underflow(struct fp_env *env, struct sf_wide w, struct sf_rounded r,
			    unsigned prec)
{
	if (!(env->masks & FP_UE)) {
		env->flags |= FP_UE | (r.inexact ? FP_PE : 0);
		env->c1 = r.up;
		return sf80_pack(w.sign, r.exp + SF80_UNMASKED_BIAS, r.sig);
	}
	r = sf_round_sig(sf_shift_jam(w.sig, (u32)(SF80_EMIN - w.exp)), SF80_EMIN, w.sign, prec,
			 env->round);
	if (r.inexact)
		env->flags |= FP_UE | FP_PE;
	env->c1 = r.up;
	return sf80_pack(w.sign, r.exp, r.sig);
}

struct f80 sf80_finish(struct fp_env *env, struct sf_wide w, unsigned prec)
{
	if (!w.sig)
		return sf80_zero(w.sign);
	struct sf_rounded r = sf_round_sig(w.sig, w.exp, w.sign, prec, env->round);

	if (r.exp > SF80_EMAX)
		return overflow(env, w.sign, r, prec);
	if (r.exp < SF80_EMIN)
		return underflow(env, w, r, prec);
	if (r.inexact)
		env->flags |= FP_PE;
	env->c1 = r.up;
	return sf80_pack(w.sign, r.exp, r.sig);
}

static struct f80 sum(struct fp_env *env, struct f80 a, struct f80 b, bool subtract)
{
	struct sf_num x = sf80_unpack(a), y = sf80_unpack(b);
	struct f80 r;

	if (sf80_special(env, a, b, &r))
		return r;
	y.sign ^= subtract;
	if (x.kind == SF_INF && y.kind == SF_INF && x.sign != y.sign)
		return sf80_invalid(env);
	if (sf80_denormal(env, x.denormal || y.denormal))
		return a;
	if (x.kind == SF_INF || y.kind == SF_INF)
		return sf80_infinity(x.kind == SF_INF ? x.sign : y.sign);
	return sf80_finish(env, sf_wide_add(sf_widen(x), sf_widen(y), env->round), env->prec);
}

struct f80 sf80_add(struct fp_env *env, struct f80 a, struct f80 b)
{
	return sum(env, a, b, false);
}

struct f80 sf80_sub(struct fp_env *env, struct f80 a, struct f80 b)
{
	return sum(env, a, b, true);
}

struct f80 sf80_mul(struct fp_env *env, struct f80 a, struct f80 b)
{
	struct sf_num x = sf80_unpack(a), y = sf80_unpack(b);
	struct f80 r;

	if (sf80_special(env, a, b, &r))
		return r;
	if ((x.kind == SF_INF && y.kind == SF_ZERO) || (x.kind == SF_ZERO && y.kind == SF_INF))
		return sf80_invalid(env);
	if (sf80_denormal(env, x.denormal || y.denormal))
		return a;
	if (x.kind == SF_INF || y.kind == SF_INF)
		return sf80_infinity(x.sign ^ y.sign);
	return sf80_finish(env, sf_wide_mul(x, y), env->prec);
}

struct f80 sf80_div(struct fp_env *env, struct f80 a, struct f80 b)
{
	struct sf_num x = sf80_unpack(a), y = sf80_unpack(b);
	bool sign = x.sign ^ y.sign;
	struct f80 r;

	if (sf80_special(env, a, b, &r))
		return r;
	if (x.kind == y.kind && (x.kind == SF_INF || x.kind == SF_ZERO))
		return sf80_invalid(env);
	if (x.kind == SF_FINITE && y.kind == SF_ZERO) {
		env->flags |= FP_ZE;
		env->mem_de = false;
		return sf80_infinity(sign);
	}
	if (sf80_denormal(env, x.denormal || y.denormal))
		return a;
	if (x.kind == SF_INF)
		return sf80_infinity(sign);
	if (y.kind == SF_INF)
		return sf80_zero(sign);
	return sf80_finish(env, sf_wide_div(x, y, true), env->prec);
}

struct f80 sf80_sqrt(struct fp_env *env, struct f80 a)
{
	struct sf_num x = sf80_unpack(a);
	struct f80 r;

	if (sf80_special(env, a, a, &r))
		return r;
	if (x.kind == SF_ZERO)
		return a;
	if (x.sign)
		return sf80_invalid(env);
	if (sf80_denormal(env, x.denormal))
		return a;
	if (x.kind == SF_INF)
		return a;
	return sf80_finish(env, sf_wide_sqrt(x), env->prec);
}

/*
 * (x mod y) when the exponents differ by 0..63, quotient rounded down or to
 * nearest even. y is taken as |y|; the sign of the result is x's, turned round
 * when the quotient was rounded up.
 */
static struct sf_wide remainder_of(struct sf_num x, struct sf_num y, bool ieee, u64 *quotient)
{
	s32 diff = x.exp - y.exp;
	/* Both as integers in units of y's last place, or half of it when x is the smaller. */
	u128 n = diff < 0 ? x.sig : (u128)x.sig << diff;
	u128 d = diff < 0 ? (u128)y.sig << -diff : y.sig;
	u128 q = n / d, rem = n - q * d;
	bool sign = x.sign;

	if (ieee && (rem > d - rem || (rem == d - rem && (q & 1)))) {
		q++;
		rem = d - rem;
		sign = !sign;
	}
	*quotient = (u64)q;
	if (!rem)
		return (struct sf_wide){x.sign, 0, 0};
	return sf_normalise(sign, 64 + (diff < 0 ? x.exp : y.exp), rem);
}

/* a itself: no UE for a denormal, though a pseudo-denormal is normalised. */
static struct f80 unchanged(struct f80 a, struct sf_num x)
{
	return a.sig & SF80_INTEGER ? sf80_pack(x.sign, x.exp, x.sig) : a;
}

/* One step of a long reduction: the exponents come closer by 32..63. */
static struct sf_wide remainder_step(struct sf_num x, struct sf_num y)
{
	s32 diff = x.exp - y.exp;
	s32 step = 32 + diff % 32;
	u128 rem = ((u128)x.sig << step) % y.sig;

	return sf_normalise(x.sign, 64 + y.exp + diff - step, rem);
}

struct f80 sf80_rem(struct fp_env *env, struct f80 a, struct f80 b, bool ieee, u8 *quotient,
		    bool *c2)
{
	struct sf_num x = sf80_unpack(a), y = sf80_unpack(b);
	u64 q = 0;
	struct f80 r;
	struct sf_wide w;

	*quotient = 0;
	*c2 = false;
	if (sf80_special(env, a, b, &r))
		return r;
	if (x.kind == SF_INF || y.kind == SF_ZERO)
		return sf80_invalid(env);
	if (sf80_denormal(env, x.denormal || y.denormal))
		return a;
	if (x.kind == SF_ZERO)
		return a;
	if (y.kind == SF_INF)
		return unchanged(a, x);
	if (x.exp - y.exp < -1) {
		w = sf_widen(x);
	} else if (x.exp - y.exp < 64) {
		w = remainder_of(x, y, ieee, &q);
	} else {
		*c2 = true;
		w = remainder_step(x, y);
	}
	*quotient = q & 7;
	return sf80_finish(env, w, 64);
}

enum fp_order sf80_compare(struct fp_env *env, struct f80 a, struct f80 b, bool signal_qnan)
{
	struct sf_num x = sf80_unpack(a), y = sf80_unpack(b);
	struct f80 r;

	if (sf80_special(env, a, b, &r)) {
		if (signal_qnan)
			env->flags |= FP_IE;
		return FP_UNORDERED;
	}
	/* The condition code is set even under an unmasked DE. */
	sf80_denormal(env, x.denormal || y.denormal);
	return sf_order(x, y);
}

struct f80 sf80_rndint(struct fp_env *env, struct f80 a)
{
	struct sf_num x = sf80_unpack(a);
	struct f80 result;
	u128 value;

	if (sf80_special(env, a, a, &result))
		return result;
	if (sf80_denormal(env, x.denormal))
		return a;
	if (x.kind == SF_ZERO || x.kind == SF_INF || x.exp >= 63)
		return a;
	struct sf_rounded r = sf_to_integer(x, env->round, &value);

	result = sf80_finish(env, sf_normalise(x.sign, 127, value), 64);
	if (r.inexact)
		env->flags |= FP_PE;
	env->c1 = r.up;
	return result;
}

/* The exponent FSCALE adds: b chopped, and held where the outcome no longer changes. */
static s32 scale_exponent(struct sf_num b)
{
	s32 magnitude = 0x10000;

	if (b.kind == SF_ZERO || b.exp < 0)
		return 0;
	if (b.exp < 16)
		magnitude = (s32)(b.sig >> (63 - b.exp));
	return b.sign ? -magnitude : magnitude;
}

/*
 * Beyond what the unmasked bias brings back into range, the response is infinity
 * or zero whatever the rounding.
 */
static struct f80 scale_finish(struct fp_env *env, struct sf_wide w)
{
	if (!(env->masks & FP_OE) && w.exp > SF80_EMAX + SF80_UNMASKED_BIAS) {
		env->flags |= FP_OE | FP_PE;
		env->c1 = true;
		return sf80_infinity(w.sign);
	}
	if (!(env->masks & FP_UE) && w.exp < SF80_EMIN - SF80_UNMASKED_BIAS) {
		env->flags |= FP_UE | FP_PE;
		return sf80_zero(w.sign);
	}
	return sf80_finish(env, w, 64);
}

struct f80 sf80_scale(struct fp_env *env, struct f80 a, struct f80 b)
{
	struct sf_num x = sf80_unpack(a), y = sf80_unpack(b);
	struct sf_wide w;
	struct f80 r;

	if (sf80_special(env, a, b, &r))
		return r;
	if (y.kind == SF_INF && x.kind == (y.sign ? SF_INF : SF_ZERO))
		return sf80_invalid(env);
	if (sf80_denormal(env, x.denormal || y.denormal))
		return a;
	if (x.kind == SF_ZERO || x.kind == SF_INF)
		return a;
	if (y.kind == SF_INF)
		return y.sign ? sf80_zero(x.sign) : sf80_infinity(x.sign);
	if (y.kind == SF_ZERO)
		return unchanged(a, x);
	w = sf_widen(x);
	w.exp += scale_exponent(y);
	return scale_finish(env, w);
}

struct f80 sf80_extract(struct fp_env *env, struct f80 a, struct f80 *exponent)
{
	struct sf_num x = sf80_unpack(a);
	struct f80 r;

	if (sf80_special(env, a, a, &r)) {
		*exponent = r;
		return r;
	}
	if (x.kind == SF_ZERO) {
		env->flags |= FP_ZE;
		*exponent = sf80_infinity(true);
		return a;
	}
	*exponent = a;
	if (sf80_denormal(env, x.denormal))
		return a;
	if (x.kind == SF_INF) {
		*exponent = sf80_infinity(false);
		return a;
	}
	*exponent = sf80_from_s64(x.exp);
	return sf80_pack(x.sign, 0, x.sig);
}
