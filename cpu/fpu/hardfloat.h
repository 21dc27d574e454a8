/*
 * The host's own binary32/64 arithmetic where it cannot be told from softfloat:
 * rounding to nearest, operands zero or normal, the result exact zero or well
 * inside the normal range, and PE already set and masked so that exactness need
 * not be known. Everything else goes to softfloat.
 *
 * The host thread must be in round-to-nearest without flush-to-zero (the C
 * default), and the including file must be compiled with -ffp-contract=off and
 * without -ffast-math: gcc knows no pragma for it. -fno-math-errno makes the
 * square roots single instructions; otherwise link with -lm.
 */
#ifndef CPU_FPU_HARDFLOAT_H
#define CPU_FPU_HARDFLOAT_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "cpu/fpu/softfloat.h"

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
#define HARDFLOAT 1
#else
#define HARDFLOAT 0
#endif

/* Without the instruction the library's fma() is slower than softfloat. */
#if defined(FP_FAST_FMA) && defined(FP_FAST_FMAF)
#define HARDFLOAT_FMA HARDFLOAT
#else
#define HARDFLOAT_FMA 0
#endif

static inline bool hardfloat_usable(const struct fp_env *env)
{
	return HARDFLOAT && env->round == FP_RC_NEAREST && (env->flags & env->masks & FP_PE);
}

/* A result of exactly the smallest normal may have been tiny before rounding: excluded. */
#define HARDFLOAT_TYPE(bits, type, exp_bits, frac_bits)                                            \
	static inline type fp##bits##_host(u##bits v)                                              \
	{                                                                                          \
		type f;                                                                            \
                                                                                                   \
		memcpy(&f, &v, sizeof(f));                                                         \
		return f;                                                                          \
	}                                                                                          \
	static inline u##bits fp##bits##_guest(type f)                                             \
	{                                                                                          \
		u##bits v;                                                                         \
                                                                                                   \
		memcpy(&v, &f, sizeof(v));                                                         \
		return v;                                                                          \
	}                                                                                          \
	static inline bool fp##bits##_zero(u##bits v)                                              \
	{                                                                                          \
		return (u##bits)(v << 1) == 0;                                                     \
	}                                                                                          \
	static inline bool fp##bits##_normal(u##bits v)                                            \
	{                                                                                          \
		u##bits e = v >> frac_bits & ((1u << exp_bits) - 1);                               \
                                                                                                   \
		return e - 1 < (1u << exp_bits) - 2;                                               \
	}                                                                                          \
	static inline bool fp##bits##_plain(u##bits v)                                             \
	{                                                                                          \
		return fp##bits##_normal(v) || fp##bits##_zero(v);                                 \
	}                                                                                          \
	static inline bool fp##bits##_safe(u##bits v)                                              \
	{                                                                                          \
		return fp##bits##_normal(v) && (u##bits)(v << 1) != (u##bits)1 << (frac_bits + 1); \
	}

HARDFLOAT_TYPE(32, float, 8, 23)
HARDFLOAT_TYPE(64, double, 11, 52)
#undef HARDFLOAT_TYPE

/* exact_zero: when a zero result cannot come from underflow. */
#define HARDFLOAT_BINARY(bits, name, op, operands, exact_zero)                                     \
	static inline u##bits fp##bits##_##name(struct fp_env *env, u##bits a, u##bits b)          \
	{                                                                                          \
		if (hardfloat_usable(env) && (operands)) {                                         \
			u##bits r = fp##bits##_guest(fp##bits##_host(a) op fp##bits##_host(b));    \
                                                                                                   \
			if (fp##bits##_safe(r) || (fp##bits##_zero(r) && (exact_zero)))            \
				return r;                                                          \
		}                                                                                  \
		return sf##bits##_##name(env, a, b);                                               \
	}

#define HARDFLOAT_SQRT(bits, function)                                                             \
	static inline u##bits fp##bits##_sqrt(struct fp_env *env, u##bits a)                       \
	{                                                                                          \
		if (hardfloat_usable(env) && fp##bits##_normal(a) && !(a >> (bits - 1)))           \
			return fp##bits##_guest(function(fp##bits##_host(a)));                     \
		return sf##bits##_sqrt(env, a);                                                    \
	}

/* Negating the factors as values is safe here: no operand is a NaN. */
#define HARDFLOAT_FUSED(bits, function)                                                            \
	static inline u##bits fp##bits##_fma(struct fp_env *env, u##bits a, u##bits b, u##bits c,  \
					     unsigned negate)                                      \
	{                                                                                          \
		if (HARDFLOAT_FMA && hardfloat_usable(env) && fp##bits##_plain(a) &&               \
		    fp##bits##_plain(b) && fp##bits##_plain(c)) {                                  \
			u##bits sign = (u##bits)1 << (bits - 1);                                   \
			u##bits p = negate & FP_FMA_NEG_PRODUCT ? a ^ sign : a;                    \
			u##bits z = negate & FP_FMA_NEG_ADDEND ? c ^ sign : c;                     \
			u##bits r = fp##bits##_guest(function(                                     \
				fp##bits##_host(p), fp##bits##_host(b), fp##bits##_host(z)));      \
                                                                                                   \
			if (fp##bits##_safe(r))                                                    \
				return r;                                                          \
		}                                                                                  \
		return sf##bits##_fma(env, a, b, c, negate);                                       \
	}

#define HARDFLOAT_OPERATIONS(bits, sqrt_function, fma_function)                                    \
	HARDFLOAT_BINARY(bits, add, +, fp##bits##_plain(a) && fp##bits##_plain(b), true)           \
	HARDFLOAT_BINARY(bits, sub, -, fp##bits##_plain(a) && fp##bits##_plain(b), true)           \
	HARDFLOAT_BINARY(bits, mul, *, fp##bits##_plain(a) && fp##bits##_plain(b),                 \
			 fp##bits##_zero(a) || fp##bits##_zero(b))                                 \
	HARDFLOAT_BINARY(bits, div, /, fp##bits##_plain(a) && fp##bits##_normal(b),                \
			 fp##bits##_zero(a))                                                       \
	HARDFLOAT_SQRT(bits, sqrt_function)                                                        \
	HARDFLOAT_FUSED(bits, fma_function)

HARDFLOAT_OPERATIONS(32, sqrtf, fmaf)
HARDFLOAT_OPERATIONS(64, sqrt, fma)

#undef HARDFLOAT_BINARY
#undef HARDFLOAT_SQRT
#undef HARDFLOAT_FUSED
#undef HARDFLOAT_OPERATIONS

#endif
