/*
 * Inside of the 80-bit format, shared by sf80*.c: unpacking, rounding with
 * precision control and the x87's exception responses, NaN selection.
 *
 * SDM volume 1, "x87 FPU Floating-Point Exception Conditions", "Unsupported
 * Double Extended-Precision Floating-Point Encodings and Pseudo-Denormals".
 */
#ifndef CPU_FPU_SF80_H
#define CPU_FPU_SF80_H

#include "cpu/fpu/sf_core.h"

#define SF80_BIAS 16383
#define SF80_EMIN (1 - SF80_BIAS)
#define SF80_EMAX SF80_BIAS
#define SF80_UNMASKED_BIAS 24576
#define SF80_INTEGER (1ull << 63)
#define SF80_QUIET (1ull << 62)

static inline struct f80 sf80_make(bool sign, u32 biased, u64 sig)
{
	return (struct f80){sig, (u16)((u32)sign << 15 | biased)};
}

static inline struct f80 sf80_zero(bool sign)
{
	return sf80_make(sign, 0, 0);
}

static inline struct f80 sf80_infinity(bool sign)
{
	return sf80_make(sign, 0x7fff, SF80_INTEGER);
}

/* The real indefinite. */
static inline struct f80 sf80_indefinite(void)
{
	return sf80_make(true, 0x7fff, SF80_INTEGER | SF80_QUIET);
}

static inline struct f80 sf80_invalid(struct fp_env *env)
{
	env->flags |= FP_IE;
	return sf80_indefinite();
}

static ATTR_ALWAYS_INLINE struct sf_num sf80_unpack(struct f80 a)
{
	struct sf_num n = {SF_FINITE, a.se >> 15, false, (a.se & 0x7fff) - SF80_BIAS, a.sig};
	bool integer = a.sig & SF80_INTEGER;

	if (!(a.se & 0x7fff)) {
		unsigned shift = sf_clz64(a.sig);

		n.kind = a.sig ? SF_FINITE : SF_ZERO;
		n.denormal = a.sig != 0;
		n.exp = SF80_EMIN - (s32)shift;
		n.sig = a.sig ? a.sig << shift : 0;
	} else if (!integer) {
		n.kind = SF_UNSUPPORTED;
	} else if (n.exp > SF80_EMAX) {
		n.kind = !(a.sig & ~SF80_INTEGER) ? SF_INF : a.sig & SF80_QUIET ? SF_QNAN : SF_SNAN;
	}
	return n;
}

static inline struct f80 sf80_pack(bool sign, s32 exp, u64 sig)
{
	return sf80_make(sign, sig >> 63 ? (u32)(exp + SF80_BIAS) : 0, sig);
}

/*
 * DE, if an operand or the memory operand before it is denormal. True when that
 * is unmasked, and the operation stops there with no other exception.
 */
static inline bool sf80_denormal(struct fp_env *env, bool denormal)
{
	bool raise = denormal || env->mem_de;

	env->mem_de = false;
	if (raise)
		env->flags |= FP_DE;
	return raise && !(env->masks & FP_DE);
}

/* Unsupported and NaN operands: true and the response in *r when there is one. */
bool sf80_not_a_number(struct fp_env *env, struct f80 a, struct f80 b, struct f80 *r);

/* Neither NaN, infinity nor unsupported. */
static inline bool sf80_is_finite(struct f80 a)
{
	u32 exp = a.se & 0x7fff;

	return exp != 0x7fff && (!exp || a.sig & SF80_INTEGER);
}

/* Starts an operation with what comes before anything else: sf80_not_a_number. Clears C1. */
static inline bool sf80_special(struct fp_env *env, struct f80 a, struct f80 b, struct f80 *r)
{
	env->c1 = false;
	if (sf80_is_finite(a) && sf80_is_finite(b))
		return false;
	return sf80_not_a_number(env, a, b, r);
}

/* Round to prec bits and to the exponent range, raise OE, UE, PE, set C1. */
struct f80 sf80_finish(struct fp_env *env, struct sf_wide w, unsigned prec);

#endif
