/*
 * Floating point of the guest: IEEE 754 binary32/64 with SSE rules, binary16
 * conversions, and the x87 80-bit format, computed with integers only so that
 * every host gives the same bits and the same flags.
 *
 * SDM volume 1, "Programming with the x87 FPU", "Programming with Intel
 * Streaming SIMD Extensions", "SIMD Floating-Point Exceptions", "FMA
 * Instruction Operand Order and Arithmetic Behavior".
 *
 * Left to the caller: x87 stack faults, tag word, FIP/FDP, ES/B, raising #XM
 * and #MF, RCPPS/RSQRTPS tables.
 *
 * How exceptions are reported. Operations OR SDM-numbered bits into env->flags
 * and never clear any. A caller that runs with an exception unmasked clears
 * flags first, looks at fp_unmasked() afterwards, and then
 *  - SSE: no element is written; MXCSR gets fp_sse_flags() of the flags of all
 *    the elements ORed together;
 *  - x87: an unmasked IE, DE or ZE leaves the destination and the stack unchanged,
 *    except that DE does not stop FLD; an unmasked OE or UE writes a register
 *    destination (the result is already biased by 24576) but not a memory
 *    destination; an unmasked PE alone always writes. Comparisons set the
 *    condition code in every case.
 * Other values returned under an unmasked IE, DE or ZE mean nothing.
 */
#ifndef CPU_FPU_SOFTFLOAT_H
#define CPU_FPU_SOFTFLOAT_H

#include "base/types.h"

/* RC field of MXCSR and of the x87 control word. */
enum fp_round {
	FP_RC_NEAREST = 0,
	FP_RC_DOWN = 1,
	FP_RC_UP = 2,
	FP_RC_ZERO = 3,
};

/* Exception bits, as in MXCSR, the x87 status word, and (as masks) the control word. */
enum fp_flag {
	FP_IE = 0x01,
	FP_DE = 0x02,
	FP_ZE = 0x04,
	FP_OE = 0x08,
	FP_UE = 0x10,
	FP_PE = 0x20,
	FP_PRE_FLAGS = FP_IE | FP_DE | FP_ZE,
	FP_ALL_FLAGS = 0x3f,
};

enum fp_order {
	FP_LESS = -1,
	FP_EQUAL = 0,
	FP_GREATER = 1,
	FP_UNORDERED = 2,
};

struct f80 {
	u64 sig;
	u16 se; /* bit 15 sign, bits 14:0 biased exponent */
};

struct fp_env {
	u8 round; /* enum fp_round */
	u8 prec;  /* x87 precision control: 24, 53 or 64 bits; SSE ignores it */
	u8 masks; /* IM..PM at bits 0..5, 1 = masked: (MXCSR >> 7) & 0x3f, or FCW & 0x3f */
	u8 flags; /* sticky, enum fp_flag */
	bool daz; /* SSE only */
	bool ftz; /* SSE only; takes effect only while underflow is masked */
	bool c1;  /* x87: set by every sf80_ operation, true = the magnitude was rounded up */
	/*
	 * x87: set by sf80_widen_f32/f64 when the memory operand was denormal; the
	 * next sf80_ arithmetic or compare raises DE for it in its turn of priority
	 * and clears it. Leave it false otherwise.
	 */
	bool mem_de;
};

/* Environment of SSE and AVX, from MXCSR. */
static inline struct fp_env fp_env_sse(u32 mxcsr)
{
	return (struct fp_env){
		.round = (mxcsr >> 13) & 3,
		.prec = 64,
		.masks = (mxcsr >> 7) & 0x3f,
		.flags = mxcsr & 0x3f,
		.daz = mxcsr >> 6 & 1,
		.ftz = mxcsr >> 15 & 1,
	};
}

/* Environment of the x87, from the control word; flags start clear. */
static inline struct fp_env fp_env_x87(u16 fcw)
{
	static const u8 significand[4] = {24, 64, 53, 64};

	return (struct fp_env){
		.round = (fcw >> 10) & 3,
		.prec = significand[(fcw >> 8) & 3],
		.masks = fcw & 0x3f,
	};
}

static inline u8 fp_unmasked(const struct fp_env *env)
{
	return env->flags & ~env->masks & FP_ALL_FLAGS;
}

/*
 * The flags an SSE instruction leaves in MXCSR: once a pre-computation exception
 * is unmasked, nothing was computed and OE, UE, PE are not reported.
 */
static inline u8 fp_sse_flags(const struct fp_env *env)
{
	return fp_unmasked(env) & FP_PRE_FLAGS ? env->flags & FP_PRE_FLAGS : env->flags;
}

/* Negations inside a fused multiply-add; they do not touch a NaN that is passed through. */
enum fp_fma {
	FP_FMA_NEG_PRODUCT = 1, /* VFNMADD, VFNMSUB */
	FP_FMA_NEG_ADDEND = 2,	/* VFMSUB, VFNMSUB */
};

/* binary32. "round" arguments are enum fp_round and override env->round. */
u32 sf32_add(struct fp_env *env, u32 a, u32 b);
u32 sf32_sub(struct fp_env *env, u32 a, u32 b);
u32 sf32_mul(struct fp_env *env, u32 a, u32 b);
u32 sf32_div(struct fp_env *env, u32 a, u32 b);
u32 sf32_sqrt(struct fp_env *env, u32 a);
/*
 * a * b + c. For the right NaN, with SDM operands o1, o2, o3: 132 is (o1, o3, o2),
 * 213 is (o2, o1, o3), 231 is (o2, o3, o1).
 */
u32 sf32_fma(struct fp_env *env, u32 a, u32 b, u32 c, unsigned negate);
/* MINSS, MAXSS as the SDM has them: second operand if either is NaN or both are zero. */
u32 sf32_min(struct fp_env *env, u32 a, u32 b);
u32 sf32_max(struct fp_env *env, u32 a, u32 b);
/* signal_qnan: IE for a quiet NaN too (COMISS, CMPLTSS...); otherwise for an SNaN only. */
enum fp_order sf32_compare(struct fp_env *env, u32 a, u32 b, bool signal_qnan);
/* ROUNDSS; quiet suppresses PE. */
u32 sf32_round(struct fp_env *env, u32 a, u8 round, bool quiet);
u64 sf32_to_f64(struct fp_env *env, u32 a);
u16 sf32_to_f16(struct fp_env *env, u32 a, u8 round);
s32 sf32_to_s32(struct fp_env *env, u32 a, u8 round);
s64 sf32_to_s64(struct fp_env *env, u32 a, u8 round);
u32 sf32_to_u32(struct fp_env *env, u32 a, u8 round);
u64 sf32_to_u64(struct fp_env *env, u32 a, u8 round);
u32 sf32_from_s32(struct fp_env *env, s32 v);
u32 sf32_from_s64(struct fp_env *env, s64 v);
u32 sf32_from_u32(struct fp_env *env, u32 v);
u32 sf32_from_u64(struct fp_env *env, u64 v);
u32 sf16_to_f32(struct fp_env *env, u16 a);

/* binary64 */
u64 sf64_add(struct fp_env *env, u64 a, u64 b);
u64 sf64_sub(struct fp_env *env, u64 a, u64 b);
u64 sf64_mul(struct fp_env *env, u64 a, u64 b);
u64 sf64_div(struct fp_env *env, u64 a, u64 b);
u64 sf64_sqrt(struct fp_env *env, u64 a);
u64 sf64_fma(struct fp_env *env, u64 a, u64 b, u64 c, unsigned negate);
u64 sf64_min(struct fp_env *env, u64 a, u64 b);
u64 sf64_max(struct fp_env *env, u64 a, u64 b);
enum fp_order sf64_compare(struct fp_env *env, u64 a, u64 b, bool signal_qnan);
u64 sf64_round(struct fp_env *env, u64 a, u8 round, bool quiet);
u32 sf64_to_f32(struct fp_env *env, u64 a);
s32 sf64_to_s32(struct fp_env *env, u64 a, u8 round);
s64 sf64_to_s64(struct fp_env *env, u64 a, u8 round);
u32 sf64_to_u32(struct fp_env *env, u64 a, u8 round);
u64 sf64_to_u64(struct fp_env *env, u64 a, u8 round);
u64 sf64_from_s32(struct fp_env *env, s32 v);
u64 sf64_from_s64(struct fp_env *env, s64 v);
u64 sf64_from_u32(struct fp_env *env, u32 v);
u64 sf64_from_u64(struct fp_env *env, u64 v);

/* x87. All obey RC; add, sub, mul, div, sqrt obey PC. sub is a - b, div is a / b. */
struct f80 sf80_add(struct fp_env *env, struct f80 a, struct f80 b);
struct f80 sf80_sub(struct fp_env *env, struct f80 a, struct f80 b);
struct f80 sf80_mul(struct fp_env *env, struct f80 a, struct f80 b);
struct f80 sf80_div(struct fp_env *env, struct f80 a, struct f80 b);
struct f80 sf80_sqrt(struct fp_env *env, struct f80 a);
/*
 * FPREM, or FPREM1 with ieee. *quotient gets the low three bits (Q2 -> C0,
 * Q1 -> C3, Q0 -> C1) and *c2 true when the reduction is incomplete (quotient 0).
 */
struct f80 sf80_rem(struct fp_env *env, struct f80 a, struct f80 b, bool ieee, u8 *quotient,
		    bool *c2);
/* FCOM, FCOMI signal any NaN; FUCOM, FUCOMI (signal_qnan false) SNaN only. */
enum fp_order sf80_compare(struct fp_env *env, struct f80 a, struct f80 b, bool signal_qnan);
struct f80 sf80_rndint(struct fp_env *env, struct f80 a);
struct f80 sf80_scale(struct fp_env *env, struct f80 a, struct f80 b);
/* FXTRACT: returns the significand (new ST(0)), *exponent is the new ST(1). */
struct f80 sf80_extract(struct fp_env *env, struct f80 a, struct f80 *exponent);

/* FLD m32fp, m64fp: may raise IE (SNaN) and DE. */
struct f80 sf80_from_f32(struct fp_env *env, u32 a);
struct f80 sf80_from_f64(struct fp_env *env, u64 a);
/* Memory operand of FADD m32fp, FCOM m64fp...: raises nothing by itself, see mem_de. */
struct f80 sf80_widen_f32(struct fp_env *env, u32 a);
struct f80 sf80_widen_f64(struct fp_env *env, u64 a);
struct f80 sf80_from_s64(s64 v); /* FILD, exact; m16 and m32 likewise */
/* FST m32fp, m64fp. */
u32 sf80_to_f32(struct fp_env *env, struct f80 a);
u64 sf80_to_f64(struct fp_env *env, struct f80 a);
/* FIST with env->round, FISTTP with FP_RC_ZERO; integer indefinite and IE when out of range. */
s16 sf80_to_s16(struct fp_env *env, struct f80 a, u8 round);
s32 sf80_to_s32(struct fp_env *env, struct f80 a, u8 round);
s64 sf80_to_s64(struct fp_env *env, struct f80 a, u8 round);
/* FBLD, FBSTP: 10 bytes, little-endian. */
struct f80 sf80_from_bcd(const u8 bcd[10]);
void sf80_to_bcd(struct fp_env *env, struct f80 a, u8 bcd[10]);

enum fp_const {
	FP_CONST_ONE,
	FP_CONST_L2T,
	FP_CONST_L2E,
	FP_CONST_PI,
	FP_CONST_LG2,
	FP_CONST_LN2,
	FP_CONST_ZERO,
}; /* in opcode order: D9 E8 + n */
struct f80 sf80_const(const struct fp_env *env, enum fp_const which);

enum fp_class {
	FP_CLASS_UNSUPPORTED,
	FP_CLASS_NAN,
	FP_CLASS_NORMAL,
	FP_CLASS_INFINITY,
	FP_CLASS_ZERO,
	FP_CLASS_DENORMAL,
};
enum fp_class sf80_class(struct f80 a); /* FXAM without sign and empty */

/* The transcendental instructions. */
struct f80 sf80_2xm1(struct fp_env *env, struct f80 x);
struct f80 sf80_yl2x(struct fp_env *env, struct f80 x, struct f80 y);
struct f80 sf80_yl2xp1(struct fp_env *env, struct f80 x, struct f80 y);
/* FPATAN: x = ST(0), y = ST(1); arctan(y / x). */
struct f80 sf80_patan(struct fp_env *env, struct f80 x, struct f80 y);
/*
 * True is C2: |x| >= 2^63, nothing is computed and the results are not written.
 * Over the tangent FPTAN pushes 1.0, or the result once more when it is a NaN.
 */
bool sf80_sin(struct fp_env *env, struct f80 x, struct f80 *sin);
bool sf80_cos(struct fp_env *env, struct f80 x, struct f80 *cos);
bool sf80_sincos(struct fp_env *env, struct f80 x, struct f80 *sin, struct f80 *cos);
bool sf80_tan(struct fp_env *env, struct f80 x, struct f80 *tan);

#endif
