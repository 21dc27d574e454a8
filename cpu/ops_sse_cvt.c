/*
 * Conversions of SSE, SSE2 and F16C between integers, binary16, binary32 and binary64, legacy, VEX
 * and MMX forms. SDM volume 2, CVTxx2yy, VCVTPH2PS, VCVTPS2PH.
 */
#include "cpu/fp_vec.h"
#include "cpu/insn_protos.h"

/* VEX.W says nothing outside 64-bit mode. */
static inline bool wide_gpr(const struct vcpu *v, const struct insn *i)
{
	return i->prefix & P_REXW && v->mode == MODE_64;
}

/* CVTTxx truncates: opcode 2CH of the pairs 2CH/2DH. */
static inline u8 si_round(const struct insn *i, const struct fp_env *env)
{
	return i->opcode == 0x2c ? FP_RC_ZERO : env->round;
}

/* --- integer register to scalar --- */

static int si_src(struct vcpu *v, const struct insn *i, s64 *out)
{
	unsigned size = wide_gpr(v, i) ? 8 : 4;
	u64 value;
	int r = rm_read(v, i, size, &value);

	if (!r)
		*out = (s64)sign_extend(value, size * 8);
	return r;
}

/* limit: magnitudes below it are exact. */
#define FROM_SI(bits, type, limit, suffix)                                                         \
	int x_cvtsi2##suffix(struct vcpu *v, const struct insn *i)                                 \
	{                                                                                          \
		struct fp_env env;                                                                 \
		u##bits r;                                                                         \
		s64 a;                                                                             \
		int rc = si_src(v, i, &a);                                                         \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		if ((HARDFLOAT && a > -(limit) && a < (limit)) || fp_host(v)) {                    \
			fp_put##bits(v, i, fp##bits##_guest((type)a));                             \
			return EXEC_NEXT;                                                          \
		}                                                                                  \
		env = fp_begin(v);                                                                 \
		r = sf##bits##_from_s64(&env, a);                                                  \
		rc = fp_end(v, &env);                                                              \
		if (!rc)                                                                           \
			fp_put##bits(v, i, r);                                                     \
		return rc;                                                                         \
	}

FROM_SI(32, float, 1ll << 24, ss)
FROM_SI(64, double, 1ll << 53, sd)

/* --- scalar to integer register --- */

/*
 * A truncation that the host's cast does exactly, or inexactly with PE set and masked before. The
 * bound keeps the cast defined; a denormal with DAZ is left to softfloat, since it is exact then.
 */
#define TO_SI(bits, type, suffix)                                                                  \
	static inline bool truncate##bits(const struct vcpu *v, u##bits a, bool wide, s64 *out)    \
	{                                                                                          \
		type x = fp##bits##_host(a), bound = wide ? (type)0x1p62 : (type)0x1p30;           \
                                                                                                   \
		if (!HARDFLOAT || !(x > -bound && x < bound))                                      \
			return false;                                                              \
		*out = (s64)x;                                                                     \
		return (type)*out == x || (v->mxcsr & (MXCSR_PM | FP_PE)) == (MXCSR_PM | FP_PE);   \
	}                                                                                          \
	static ATTR_NOINLINE int to_si##bits(struct vcpu *v, const struct insn *i, u##bits a,      \
					     bool wide)                                            \
	{                                                                                          \
		struct fp_env env = fp_begin(v);                                                   \
		u8 round = si_round(i, &env);                                                      \
		u64 r = wide ? (u64)sf##bits##_to_s64(&env, a, round)                              \
			     : (u32)sf##bits##_to_s32(&env, a, round);                             \
		int rc = fp_end(v, &env);                                                          \
                                                                                                   \
		if (!rc)                                                                           \
			v->reg[i->reg] = r;                                                        \
		return rc;                                                                         \
	}                                                                                          \
	int x_cvt##suffix##2si(struct vcpu *v, const struct insn *i)                               \
	{                                                                                          \
		bool wide = wide_gpr(v, i);                                                        \
		u##bits a;                                                                         \
		s64 r;                                                                             \
		int rc = fp_src##bits(v, i, &a);                                                   \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		if (i->opcode != 0x2c || !truncate##bits(v, a, wide, &r))                          \
			return to_si##bits(v, i, a, wide);                                         \
		v->reg[i->reg] = wide ? (u64)r : (u32)r;                                           \
		return EXEC_NEXT;                                                                  \
	}

TO_SI(32, float, ss)
TO_SI(64, double, sd)

/* --- between binary32 and binary64 --- */

int x_cvtss2sd(struct vcpu *v, const struct insn *i)
{
	struct fp_env env;
	u32 a;
	u64 r;
	int rc = fp_src32(v, i, &a);

	if (rc)
		return rc;
	if (HARDFLOAT && fp32_plain(a)) {
		fp_put64(v, i, fp64_guest((double)fp32_host(a)));
		return EXEC_NEXT;
	}
	env = fp_begin(v);
	r = sf32_to_f64(&env, a);
	rc = fp_end(v, &env);
	if (!rc)
		fp_put64(v, i, r);
	return rc;
}

int x_cvtsd2ss(struct vcpu *v, const struct insn *i)
{
	struct fp_env env;
	u64 a;
	u32 r;
	int rc = fp_src64(v, i, &a);

	if (rc)
		return rc;
	/* exponents that leave room for rounding on both sides */
	if (fp_host(v) && (a >> 52 & 2047) - 898 < 1149 - 898) {
		fp_put32(v, i, fp32_guest((float)fp64_host(a)));
		return EXEC_NEXT;
	}
	env = fp_begin(v);
	r = sf64_to_f32(&env, a);
	rc = fp_end(v, &env);
	if (!rc)
		fp_put32(v, i, r);
	return rc;
}

int x_cvtps2pd(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	union vreg b, r;
	int rc = fp_src(v, i, i->vl / 2u, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 8u; k++)
		r.q[k] = sf32_to_f64(&env, b.d[k]);
	rc = fp_end(v, &env);
	if (!rc)
		fp_put(v, i, &r);
	return rc;
}

/* The result is half as long as the source; the half above it is cleared in 128-bit forms. */
static int put_half(struct vcpu *v, const struct insn *i, const struct fp_env *env,
		    const union vreg *r)
{
	int rc = fp_end(v, env);

	if (!rc)
		fp_put128(v, i, r->q[0], i->vl == 32 ? r->q[1] : 0);
	return rc;
}

int x_cvtpd2ps(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	union vreg b, r;
	int rc = fp_src(v, i, i->vl, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 8u; k++)
		r.d[k] = sf64_to_f32(&env, b.q[k]);
	return put_half(v, i, &env, &r);
}

/* --- packed integers --- */

int x_cvtdq2ps(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	union vreg b;
	int rc = fp_src(v, i, i->vl, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 4u; k++)
		b.d[k] = sf32_from_s32(&env, b.sd[k]);
	rc = fp_end(v, &env);
	if (!rc)
		fp_put(v, i, &b);
	return rc;
}

/* Exact: raises nothing. */
int x_cvtdq2pd(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	union vreg b, r;
	int rc = fp_src(v, i, i->vl / 2u, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 8u; k++)
		r.q[k] = sf64_from_s32(&env, b.sd[k]);
	fp_put(v, i, &r);
	return EXEC_NEXT;
}

/* CVTTPS2DQ is the F3 row. */
int x_cvtps2dq(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	u8 round = i->row->pfx == PF3 ? FP_RC_ZERO : env.round;
	union vreg b;
	int rc = fp_src(v, i, i->vl, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 4u; k++)
		b.sd[k] = sf32_to_s32(&env, b.d[k], round);
	rc = fp_end(v, &env);
	if (!rc)
		fp_put(v, i, &b);
	return rc;
}

/* CVTTPD2DQ is the 66 row. */
int x_cvtpd2dq(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	u8 round = i->row->pfx == P66 ? FP_RC_ZERO : env.round;
	union vreg b, r;
	int rc = fp_src(v, i, i->vl, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 8u; k++)
		r.sd[k] = sf64_to_s32(&env, b.q[k], round);
	return put_half(v, i, &env, &r);
}

/* --- MMX operands: the switch to MMX state comes before a SIMD exception --- */

static void enter_mmx(struct vcpu *v)
{
	v->x87.fsw &= 0xc7ff;
	v->x87.tag_valid = 0xff;
}

static int mmx_src(struct vcpu *v, const struct insn *i, union vreg *b)
{
	if (insn_is_mem(i))
		return mem_read(v, i->seg, insn_offset(v, i), 8, &b->q[0]);
	b->q[0] = v->x87.st[i->rm & 7].sig;
	return 0;
}

/* Only the rows with an MMX source have A_MMX: the memory forms touch no MMX state. */
int x_cvtpi2ps(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	union vreg b, r;
	int rc = mmx_src(v, i, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < 2; k++)
		r.d[k] = sf32_from_s32(&env, b.sd[k]);
	if (i->attr & A_MMX)
		enter_mmx(v);
	rc = fp_end(v, &env);
	if (!rc)
		v->ymm[i->reg].q[0] = r.q[0];
	return rc;
}

int x_cvtpi2pd(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	union vreg b;
	int rc = mmx_src(v, i, &b);

	if (rc)
		return rc;
	if (i->attr & A_MMX)
		enter_mmx(v);
	for (unsigned k = 0; k < 2; k++)
		v->ymm[i->reg].q[k] = sf64_from_s32(&env, b.sd[k]);
	return EXEC_NEXT;
}

static int put_mmx(struct vcpu *v, const struct insn *i, const struct fp_env *env,
		   const union vreg *r)
{
	int rc;

	enter_mmx(v);
	rc = fp_end(v, env);
	if (!rc)
		v->x87.st[i->reg & 7] = (struct f80_reg){.sig = r->q[0], .se = 0xffff};
	return rc;
}

int x_cvtps2pi(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	u8 round = si_round(i, &env);
	union vreg b, r;
	int rc = fp_src64(v, i, &b.q[0]);

	if (rc)
		return rc;
	for (unsigned k = 0; k < 2; k++)
		r.sd[k] = sf32_to_s32(&env, b.d[k], round);
	return put_mmx(v, i, &env, &r);
}

int x_cvtpd2pi(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	u8 round = si_round(i, &env);
	union vreg b, r;
	int rc = fp_src(v, i, 16, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < 2; k++)
		r.sd[k] = sf64_to_s32(&env, b.q[k], round);
	return put_mmx(v, i, &env, &r);
}

/* --- binary16 --- */

int x_vcvtph2ps(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	union vreg b, r;
	int rc = fp_src(v, i, i->vl / 2u, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 4u; k++)
		r.d[k] = sf16_to_f32(&env, b.w[k]);
	rc = fp_end(v, &env);
	if (!rc)
		fp_put(v, i, &r);
	return rc;
}

/* The r/m operand is the destination. */
int x_vcvtps2ph(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	u8 round = fp_imm_round(i, &env);
	const union vreg *a = &v->ymm[i->reg];
	union vreg r = {0};
	int rc;

	for (unsigned k = 0; k < i->vl / 4u; k++)
		r.w[k] = sf32_to_f16(&env, a->d[k], round);
	if (env.masks != FP_ALL_FLAGS && fp_unmasked(&env))
		return fp_raise(v, &env);
	if (insn_is_mem(i)) {
		rc = mem_write_bytes(v, i->seg, insn_offset(v, i), r.b, i->vl / 2u);
		if (rc)
			return rc;
	} else {
		v->ymm[i->rm] = r;
	}
	v->mxcsr |= env.flags;
	return EXEC_NEXT;
}
