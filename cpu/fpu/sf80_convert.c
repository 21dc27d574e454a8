/*
 * What the x87 loads and stores: binary32, binary64, integers, packed BCD,
 * the constants; and FXAM's classes.
 *
 * SDM volume 2, FLD, FST, FILD, FIST, FISTTP, FBLD, FBSTP, FLD1 and the other
 * constants, FXAM; volume 1, "x87 FPU Pi".
 */
#include <string.h>

#include "cpu/fpu/sf80.h"
#include "cpu/fpu/sf_format.h"

/* Exact: every value of the narrower format is a normal f80; a NaN keeps its kind. */
static struct f80 widen(struct sf_num n)
{
	if (n.kind == SF_ZERO)
		return sf80_zero(n.sign);
	if (n.kind == SF_FINITE)
		return sf80_pack(n.sign, n.exp, n.sig);
	return sf80_make(n.sign, 0x7fff, n.sig | SF80_INTEGER);
}

static struct f80 load(struct fp_env *env, struct sf_num n)
{
	struct f80 r = widen(n);

	env->c1 = false;
	if (n.kind == SF_SNAN) {
		env->flags |= FP_IE;
		r.sig |= SF80_QUIET;
	}
	if (n.denormal)
		env->flags |= FP_DE;
	return r;
}

struct f80 sf80_from_f32(struct fp_env *env, u32 a)
{
	return load(env, sf_unpack(SF_F32, a));
}

struct f80 sf80_from_f64(struct fp_env *env, u64 a)
{
	return load(env, sf_unpack(SF_F64, a));
}

struct f80 sf80_widen_f32(struct fp_env *env, u32 a)
{
	struct sf_num n = sf_unpack(SF_F32, a);

	env->mem_de = n.denormal;
	return widen(n);
}

struct f80 sf80_widen_f64(struct fp_env *env, u64 a)
{
	struct sf_num n = sf_unpack(SF_F64, a);

	env->mem_de = n.denormal;
	return widen(n);
}

static struct f80 from_magnitude(bool sign, u64 magnitude)
{
	unsigned shift = sf_clz64(magnitude);

	if (!magnitude)
		return sf80_zero(sign);
	return sf80_pack(sign, 63 - (s32)shift, magnitude << shift);
}

struct f80 sf80_from_s64(s64 v)
{
	return from_magnitude(v < 0, sf_magnitude(v));
}

/* Unmasked, an overflow or underflow reports nothing else and nothing is stored. */
static u64 store_overflow(struct fp_env *env, struct sf_format f, bool sign)
{
	u64 result = sf_overflow(f, sign, env->round);

	env->flags |= FP_OE;
	if (env->masks & FP_OE) {
		env->flags |= FP_PE;
		env->c1 = result == sf_infinity(f, sign);
	}
	return result;
}

static u64 store_underflow(struct fp_env *env, struct sf_format f, struct sf_num n)
{
	s32 emin = 1 - sf_bias(f);
	struct sf_rounded r = sf_round_sig(sf_shift_jam((u128)n.sig << 64, (u32)(emin - n.exp)),
					   emin, n.sign, f.frac_bits + 1, env->round);

	if (!(env->masks & FP_UE)) {
		env->flags |= FP_UE;
		return 0;
	}
	if (r.inexact)
		env->flags |= FP_UE | FP_PE;
	env->c1 = r.up;
	return sf_pack(f, n.sign, r.exp, r.sig);
}

static u64 store(struct fp_env *env, struct sf_format f, struct f80 a)
{
	struct sf_num n = sf80_unpack(a);
	struct f80 nan;

	if (sf80_special(env, a, a, &nan))
		return sf_infinity(f, nan.se >> 15) |
		       (nan.sig & ~SF80_INTEGER) >> (63 - f.frac_bits);
	if (n.kind == SF_INF)
		return sf_infinity(f, n.sign);
	if (n.kind == SF_ZERO)
		return sf_sign_bit(f, n.sign);
	struct sf_rounded r =
		sf_round_sig((u128)n.sig << 64, n.exp, n.sign, f.frac_bits + 1, env->round);

	if (r.exp > sf_bias(f))
		return store_overflow(env, f, n.sign);
	if (r.exp < 1 - sf_bias(f))
		return store_underflow(env, f, n);
	if (r.inexact)
		env->flags |= FP_PE;
	env->c1 = r.up;
	return sf_pack(f, n.sign, r.exp, r.sig);
}

u32 sf80_to_f32(struct fp_env *env, struct f80 a)
{
	return (u32)store(env, SF_F32, a);
}

u64 sf80_to_f64(struct fp_env *env, struct f80 a)
{
	return store(env, SF_F64, a);
}

static u64 to_integer(struct fp_env *env, struct f80 a, u8 round, unsigned width)
{
	env->c1 = false;
	return sf_integer(env, sf80_unpack(a), round, width, true);
}

s16 sf80_to_s16(struct fp_env *env, struct f80 a, u8 round)
{
	return (s16)(u16)to_integer(env, a, round, 16);
}

s32 sf80_to_s32(struct fp_env *env, struct f80 a, u8 round)
{
	return (s32)(u32)to_integer(env, a, round, 32);
}

s64 sf80_to_s64(struct fp_env *env, struct f80 a, u8 round)
{
	return (s64)to_integer(env, a, round, 64);
}

/* Digits above 9 are undefined by the SDM; they count as what they weigh. */
struct f80 sf80_from_bcd(const u8 bcd[10])
{
	u64 v = 0;

	for (int i = 8; i >= 0; i--)
		v = v * 100 + (u64)(bcd[i] >> 4) * 10 + (bcd[i] & 15);
	return from_magnitude(bcd[9] >> 7, v);
}

void sf80_to_bcd(struct fp_env *env, struct f80 a, u8 bcd[10])
{
	static const u8 indefinite[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
	struct sf_num n = sf80_unpack(a);
	u128 value = ~(u128)0;
	struct sf_rounded r = {0};

	env->c1 = false;
	if (n.kind == SF_ZERO || n.kind == SF_FINITE)
		r = sf_to_integer(n, env->round, &value);
	if (value > 999999999999999999ull) {
		env->flags |= FP_IE;
		memcpy(bcd, indefinite, sizeof(indefinite));
		return;
	}
	if (r.inexact)
		env->flags |= FP_PE;
	env->c1 = r.up;
	u64 v = (u64)value;

	for (int i = 0; i < 9; i++, v /= 100)
		bcd[i] = (u8)(v % 100 / 10 << 4 | v % 10);
	bcd[9] = (u8)(n.sign << 7);
}

struct f80 sf80_const(const struct fp_env *env, enum fp_const which)
{
	/* Chopped to 64 bits; more: what follows is above half a unit. */
	static const struct {
		u64 sig;
		u16 se;
		bool inexact;
		bool more;
	} table[] = {
		[FP_CONST_ONE] = {0x8000000000000000, 0x3fff, false, false},
		[FP_CONST_L2T] = {0xd49a784bcd1b8afe, 0x4000, true, false},
		[FP_CONST_L2E] = {0xb8aa3b295c17f0bb, 0x3fff, true, true},
		[FP_CONST_PI] = {0xc90fdaa22168c234, 0x4000, true, true},
		[FP_CONST_LG2] = {0x9a209a84fbcff798, 0x3ffd, true, true},
		[FP_CONST_LN2] = {0xb17217f7d1cf79ab, 0x3ffe, true, true},
		[FP_CONST_ZERO] = {0, 0, false, false},
	};
	bool nearest = env->round == FP_RC_NEAREST && table[which].more;
	bool up = env->round == FP_RC_UP && table[which].inexact;

	return (struct f80){table[which].sig + (nearest || up), table[which].se};
}

enum fp_class sf80_class(struct f80 a)
{
	struct sf_num n = sf80_unpack(a);

	switch (n.kind) {
	case SF_ZERO:
		return FP_CLASS_ZERO;
	case SF_FINITE:
		return n.denormal ? FP_CLASS_DENORMAL : FP_CLASS_NORMAL;
	case SF_INF:
		return FP_CLASS_INFINITY;
	case SF_UNSUPPORTED:
		return FP_CLASS_UNSUPPORTED;
	default:
		return FP_CLASS_NAN;
	}
}
