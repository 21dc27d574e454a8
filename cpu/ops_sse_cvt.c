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
 * A conversion the host does: exact, or inexact with PE set and masked before. The bound keeps
 * the cast defined.
 */
static inline bool to_integer(const struct vcpu *v, double x, double bound, unsigned round,
			      s64 *out)
{
	if (!HARDFLOAT || !(x > -bound && x < bound))
		return false;
	*out = (s64)(round == FP_RC_ZERO ? x : fp_integer(x, round));
	return (double)*out == x || fp_inexact_known(v);
}

#define TO_SI(bits, suffix)                                                                        \
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
	int x_cvt##suffix##2si(struct vcpu * v, const struct insn *i)                              \
	{                                                                                          \
		bool wide = wide_gpr(v, i);                                                        \
		unsigned round = i->opcode == 0x2c ? FP_RC_ZERO : v->mxcsr >> 13 & 3;              \
		u##bits a;                                                                         \
		s64 r;                                                                             \
		int rc = fp_src##bits(v, i, &a);                                                   \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		if (!fp##bits##_plain(a) ||                                                        \
		    !to_integer(v, fp##bits##_host(a), wide ? 0x1p51 : 0x1p30, round, &r))         \
			return to_si##bits(v, i, a, wide);                                         \
		v->reg[i->reg] = wide ? (u64)r : (u32)r;                                           \
		return EXEC_NEXT;                                                                  \
	}

TO_SI(32, ss)
TO_SI(64, sd)

/* --- between binary32 and binary64 --- */

static inline u64 to_f64(struct fp_env *env, u32 a)
{
	return HARDFLOAT && fp32_plain(a) ? fp64_guest((double)fp32_host(a)) : sf32_to_f64(env, a);
}

/* The host rounds: exponents that leave room on both sides. */
static inline bool narrows(u64 a)
{
	return (a >> 52 & 2047) - 898 < 1149 - 898;
}

static inline u32 to_f32(struct fp_env *env, bool host, u64 a)
{
	return host && narrows(a) ? fp32_guest((float)fp64_host(a)) : sf64_to_f32(env, a);
}

int x_cvtss2sd(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	u32 a;
	u64 r;
	int rc = fp_src32(v, i, &a);

	if (rc)
		return rc;
	r = to_f64(&env, a);
	rc = fp_end(v, &env);
	if (!rc)
		fp_put64(v, i, r);
	return rc;
}

int x_cvtsd2ss(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	u64 a;
	u32 r;
	int rc = fp_src64(v, i, &a);

	if (rc)
		return rc;
	r = to_f32(&env, fp_host(v), a);
	rc = fp_end(v, &env);
	if (!rc)
		fp_put32(v, i, r);
	return rc;
}

int x_cvtps2pd(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	const union vreg *b;
	union vreg buf, r;
	int rc = fp_src(v, i, i->vl / 2u, &buf, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 8u; k++)
		r.q[k] = to_f64(&env, b->d[k]);
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
	const union vreg *b;
	union vreg buf, r;
	bool host = fp_host(v);
	int rc = fp_src(v, i, i->vl, &buf, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 16u; k++)
		r.q[k] = fp_pair(to_f32(&env, host, b->q[2 * k]),
				 to_f32(&env, host, b->q[2 * k + 1]));
	return put_half(v, i, &env, &r);
}

/* --- packed integers --- */

static inline u32 from_s32(struct fp_env *env, bool host, s32 a)
{
	if (host || (HARDFLOAT && a > -(1 << 24) && a < 1 << 24))
		return fp32_guest((float)a);
	return sf32_from_s32(env, a);
}

int x_cvtdq2ps(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	const union vreg *b;
	union vreg buf, r;
	bool host = fp_host(v);
	int rc = fp_src(v, i, i->vl, &buf, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 8u; k++)
		r.q[k] = fp_pair(from_s32(&env, host, b->sd[2 * k]),
				 from_s32(&env, host, b->sd[2 * k + 1]));
	rc = fp_end(v, &env);
	if (!rc)
		fp_put(v, i, &r);
	return rc;
}

/* Exact: raises nothing. */
int x_cvtdq2pd(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	const union vreg *b;
	union vreg buf, r;
	int rc = fp_src(v, i, i->vl / 2u, &buf, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 8u; k++)
		r.q[k] = HARDFLOAT ? fp64_guest((double)b->sd[k]) : sf64_from_s32(&env, b->sd[k]);
	fp_put(v, i, &r);
	return EXEC_NEXT;
}

static inline u32 s32_from_f32(struct fp_env *env, const struct vcpu *v, u32 a, u8 round)
{
	s64 r;

	if (fp32_plain(a) && to_integer(v, fp32_host(a), 0x1p30, round, &r))
		return (u32)r;
	return (u32)sf32_to_s32(env, a, round);
}

static inline u32 s32_from_f64(struct fp_env *env, const struct vcpu *v, u64 a, u8 round)
{
	s64 r;

	if (fp64_plain(a) && to_integer(v, fp64_host(a), 0x1p30, round, &r))
		return (u32)r;
	return (u32)sf64_to_s32(env, a, round);
}

/* CVTTPS2DQ is the F3 row. */
int x_cvtps2dq(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	u8 round = i->row->pfx == PF3 ? FP_RC_ZERO : env.round;
	const union vreg *b;
	union vreg buf, r;
	int rc = fp_src(v, i, i->vl, &buf, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 8u; k++)
		r.q[k] = fp_pair(s32_from_f32(&env, v, b->d[2 * k], round),
				 s32_from_f32(&env, v, b->d[2 * k + 1], round));
	rc = fp_end(v, &env);
	if (!rc)
		fp_put(v, i, &r);
	return rc;
}

/* CVTTPD2DQ is the 66 row. */
int x_cvtpd2dq(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	u8 round = i->row->pfx == P66 ? FP_RC_ZERO : env.round;
	const union vreg *b;
	union vreg buf, r;
	int rc = fp_src(v, i, i->vl, &buf, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 16u; k++)
		r.q[k] = fp_pair(s32_from_f64(&env, v, b->q[2 * k], round),
				 s32_from_f64(&env, v, b->q[2 * k + 1], round));
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
	const union vreg *b;
	union vreg buf, r;
	int rc = fp_src(v, i, 16, &buf, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < 2; k++)
		r.sd[k] = sf64_to_s32(&env, b->q[k], round);
	return put_mmx(v, i, &env, &r);
}

/* --- binary16: no #AC (exceptions of type 11) --- */

int x_vcvtph2ps(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	const union vreg *b;
	union vreg buf, r;
	bool check = v->align_check;
	int rc;

	v->align_check = false;
	rc = fp_src(v, i, i->vl / 2u, &buf, &b);
	v->align_check = check;
	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 4u; k++)
		r.d[k] = sf16_to_f32(&env, b->w[k]);
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
	bool check = v->align_check;
	int rc;

	for (unsigned k = 0; k < i->vl / 4u; k++)
		r.w[k] = sf32_to_f16(&env, a->d[k], round);
	if (env.masks != FP_ALL_FLAGS && fp_unmasked(&env))
		return fp_raise(v, &env);
	if (insn_is_mem(i)) {
		v->align_check = false;
		rc = mem_write_bytes(v, i->seg, insn_offset(v, i), r.b, i->vl / 2u);
		v->align_check = check;
		if (rc)
			return rc;
	} else {
		v->ymm[i->rm] = r;
	}
	v->mxcsr |= env.flags;
	return EXEC_NEXT;
}
