/*
 * The interchange formats (binary16, 32, 64) under SSE rules: unpacking with
 * DAZ, rounding with FTZ, NaN rules, default responses. The stamped operations
 * of sf_float.inc and the conversions are written over these.
 *
 * SDM volume 1, "SIMD Floating-Point Exceptions", "Denormals-Are-Zeros",
 * "Flush-To-Zero", "Operating on SNaNs and QNaNs".
 */
#ifndef CPU_FPU_SF_FORMAT_H
#define CPU_FPU_SF_FORMAT_H

#include "cpu/fpu/sf_core.h"

struct sf_format {
	unsigned exp_bits;
	unsigned frac_bits;
};

#define SF_F16 ((struct sf_format){5, 10})
#define SF_F32 ((struct sf_format){8, 23})
#define SF_F64 ((struct sf_format){11, 52})

static inline s32 sf_bias(struct sf_format f)
{
	return (s32)(1u << (f.exp_bits - 1)) - 1;
}

static inline u64 sf_exp_ones(struct sf_format f)
{
	return ((1ull << f.exp_bits) - 1) << f.frac_bits;
}

static inline u64 sf_sign_bit(struct sf_format f, bool sign)
{
	return (u64)sign << (f.exp_bits + f.frac_bits);
}

static inline u64 sf_quiet_bit(struct sf_format f)
{
	return 1ull << (f.frac_bits - 1);
}

static inline u64 sf_infinity(struct sf_format f, bool sign)
{
	return sf_sign_bit(f, sign) | sf_exp_ones(f);
}

static ATTR_ALWAYS_INLINE struct sf_num sf_unpack(struct sf_format f, u64 v)
{
	u64 frac = v & ((1ull << f.frac_bits) - 1);
	u64 top = frac << (63 - f.frac_bits);
	u32 exp = (u32)((v & sf_exp_ones(f)) >> f.frac_bits);
	struct sf_num n = {SF_FINITE, (v & sf_sign_bit(f, true)) != 0, false, 0, 0};

	if (exp == (1u << f.exp_bits) - 1) {
		n.kind = !frac ? SF_INF : v & sf_quiet_bit(f) ? SF_QNAN : SF_SNAN;
		n.sig = top;
	} else if (exp) {
		n.exp = (s32)exp - sf_bias(f);
		n.sig = top | 1ull << 63;
	} else if (frac) {
		unsigned shift = sf_clz64(top);

		n.denormal = true;
		n.exp = 1 - sf_bias(f) - (s32)shift;
		n.sig = top << shift;
	} else {
		n.kind = SF_ZERO;
	}
	return n;
}

/* sig as sf_round_sig left it; bit 63 clear makes a denormal. */
static ATTR_ALWAYS_INLINE u64 sf_pack(struct sf_format f, bool sign, s32 exp, u64 sig)
{
	u64 biased = sig >> 63 ? (u64)(u32)(exp + sf_bias(f)) : 0;
	u64 frac = (sig & ~(1ull << 63)) >> (63 - f.frac_bits);

	return sf_sign_bit(f, sign) | biased << f.frac_bits | frac;
}

static ATTR_ALWAYS_INLINE struct sf_num sf_operand(const struct fp_env *env, struct sf_format f,
						   u64 v)
{
	struct sf_num n = sf_unpack(f, v);

	if (n.denormal && env->daz)
		n = (struct sf_num){SF_ZERO, n.sign, false, 0, 0};
	return n;
}

static inline u64 sf_invalid(struct fp_env *env, struct sf_format f)
{
	env->flags |= FP_IE;
	return sf_infinity(f, true) | sf_quiet_bit(f);
}

/* The first operand that is a NaN, made quiet. */
static inline u64 sf_propagate(struct fp_env *env, struct sf_format f, u64 a, u64 b)
{
	struct sf_num x = sf_unpack(f, a), y = sf_unpack(f, b);

	if (x.kind == SF_SNAN || y.kind == SF_SNAN)
		env->flags |= FP_IE;
	return (sf_is_nan(x) ? a : b) | sf_quiet_bit(f);
}

/* Infinity, or the largest finite number when rounding is away from the infinity. */
static inline u64 sf_overflow(struct sf_format f, bool sign, u8 round)
{
	bool finite = round == FP_RC_ZERO || (round == FP_RC_DOWN && !sign) ||
		      (round == FP_RC_UP && sign);

	return sf_infinity(f, sign) - finite;
}

/* The result is tiny after rounding with an unbounded exponent; r is that rounding. */
static inline u64 sf_underflow(struct fp_env *env, struct sf_format f, struct sf_wide w,
			       struct sf_rounded r)
{
	s32 emin = 1 - sf_bias(f);

	if (!(env->masks & FP_UE)) {
		/* Nothing will be stored: PE tells of the rounding that was not bounded. */
		env->flags |= FP_UE | (r.inexact ? FP_PE : 0);
		return 0;
	}
	if (env->ftz) {
		env->flags |= FP_UE | FP_PE;
		return sf_sign_bit(f, w.sign);
	}
	r = sf_round_sig(sf_shift_jam(w.sig, (u32)(emin - w.exp)), emin, w.sign, f.frac_bits + 1,
			 env->round);
	if (r.inexact)
		env->flags |= FP_UE | FP_PE;
	return sf_pack(f, w.sign, r.exp, r.sig);
}

/* Round to the format and raise the post-computation exceptions. */
static ATTR_ALWAYS_INLINE u64 sf_finish(struct fp_env *env, struct sf_format f, struct sf_wide w)
{
	if (!w.sig)
		return sf_sign_bit(f, w.sign);
	struct sf_rounded r = sf_round_sig(w.sig, w.exp, w.sign, f.frac_bits + 1, env->round);

	if (r.exp > sf_bias(f)) {
		/* Unmasked, the result is the exact rounding scaled, so PE tells of that. */
		env->flags |= FP_OE | (r.inexact || (env->masks & FP_OE) ? FP_PE : 0);
		return sf_overflow(f, w.sign, env->round);
	}
	if (r.exp < 1 - sf_bias(f))
		return sf_underflow(env, f, w, r);
	if (r.inexact)
		env->flags |= FP_PE;
	return sf_pack(f, w.sign, r.exp, r.sig);
}

/*
 * To an integer of the given width. Out of range, infinite or NaN: IE and the
 * integer indefinite (signed) or all ones (unsigned).
 */
static inline u64 sf_integer(struct fp_env *env, struct sf_num n, u8 round, unsigned width,
			     bool is_signed)
{
	u64 top = 1ull << (width - 1);
	u64 limit = is_signed ? top - !n.sign : n.sign ? 0 : top + (top - 1);
	u128 value = ~(u128)0;
	struct sf_rounded r = {0};

	if (n.kind == SF_ZERO || n.kind == SF_FINITE)
		r = sf_to_integer(n, round, &value);
	if (value > limit) {
		env->flags |= FP_IE;
		return is_signed ? top : top + (top - 1);
	}
	if (r.inexact)
		env->flags |= FP_PE;
	env->c1 = r.up;
	return n.sign ? 0 - (u64)value : (u64)value;
}

static inline struct sf_wide sf_from_integer(bool sign, u64 magnitude)
{
	return sf_normalise(sign, 127, magnitude);
}

#endif
