/*
 * Conversions between binary16, binary32 and binary64 under SSE and F16C rules.
 *
 * SDM volume 2, CVTSS2SD, CVTSD2SS, VCVTPH2PS, VCVTPS2PH.
 */
#include "cpu/fpu/sf_format.h"

/* A NaN keeps the top of its payload and becomes quiet. */
static u64 convert_nan(struct fp_env *env, struct sf_format to, struct sf_num n)
{
	if (n.kind == SF_SNAN)
		env->flags |= FP_IE;
	return sf_infinity(to, n.sign) | sf_quiet_bit(to) | n.sig >> (63 - to.frac_bits);
}

static u64 convert(struct fp_env *env, struct sf_format to, struct sf_num n)
{
	if (sf_is_nan(n))
		return convert_nan(env, to, n);
	if (n.denormal)
		env->flags |= FP_DE;
	if (n.kind == SF_INF)
		return sf_infinity(to, n.sign);
	return sf_finish(env, to, sf_widen(n));
}

u64 sf32_to_f64(struct fp_env *env, u32 a)
{
	return convert(env, SF_F64, sf_operand(env, SF_F32, a));
}

u32 sf64_to_f32(struct fp_env *env, u64 a)
{
	return (u32)convert(env, SF_F32, sf_operand(env, SF_F64, a));
}

/* FTZ does not reach half precision: a denormal result is delivered. */
u16 sf32_to_f16(struct fp_env *env, u32 a, u8 round)
{
	struct sf_num n = sf_operand(env, SF_F32, a);
	struct fp_env half = *env;
	u16 r;

	half.round = round;
	half.ftz = false;
	r = (u16)convert(&half, SF_F16, n);
	/* Processors report PE for a denormal source even when UE is unmasked. */
	env->flags = half.flags | (n.denormal ? FP_PE : 0);
	return r;
}

/* Neither DAZ nor DE applies to a binary16 operand, which is normal as a binary32. */
u32 sf16_to_f32(struct fp_env *env, u16 a)
{
	struct sf_num n = sf_unpack(SF_F16, a);

	n.denormal = false;
	return (u32)convert(env, SF_F32, n);
}
