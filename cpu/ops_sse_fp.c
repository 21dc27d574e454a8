/*
 * SSE to SSE4.1 floating-point arithmetic and comparison, legacy and VEX forms.
 * SDM volume 2, ADDPS and its neighbours; volume 1, "Programming with Intel Streaming SIMD
 * Extensions". Conversions are in ops_sse_cvt.c, fused multiply-add in ops_avx_fp.c.
 */
#include "cpu/fp_vec.h"
#include "cpu/insn_protos.h"

#define F32_SIGN 0x80000000u
#define F32_INF 0x7f800000u
#define F32_QUIET 0x00400000u
#define F32_INDEFINITE 0xffc00000u

int fp_raise(struct vcpu *v, const struct fp_env *env)
{
	v->mxcsr |= fp_sse_flags(env);
	return raise_fault(v, v->cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD);
}

/* --- any operation, all lanes, every exception: where the fast paths give up --- */

#define SLOW(bits, lane)                                                                           \
	static ATTR_NOINLINE int vector##bits(struct vcpu *v, const struct insn *i,                \
					      const union vreg *a, const union vreg *b,            \
					      fp##bits##_binary *op)                               \
	{                                                                                          \
		struct fp_env env = fp_begin(v);                                                   \
		union vreg r;                                                                      \
		int rc;                                                                            \
                                                                                                   \
		for (unsigned k = 0; k < i->vl * 8u / bits; k++)                                   \
			r.lane[k] = op(&env, a->lane[k], b->lane[k]);                              \
		rc = fp_end(v, &env);                                                              \
		if (!rc)                                                                           \
			fp_put(v, i, &r);                                                          \
		return rc;                                                                         \
	}                                                                                          \
	static ATTR_NOINLINE int scalar##bits(struct vcpu *v, const struct insn *i, u##bits a,     \
					      u##bits b, fp##bits##_binary *op)                    \
	{                                                                                          \
		struct fp_env env = fp_begin(v);                                                   \
		u##bits r = op(&env, a, b);                                                        \
		int rc = fp_end(v, &env);                                                          \
                                                                                                   \
		if (!rc)                                                                           \
			fp_put##bits(v, i, r);                                                     \
		return rc;                                                                         \
	}

SLOW(32, d)
SLOW(64, q)

/*
 * The fast path of one lane; false: softfloat must do it. A result that came out by rounding needs
 * host = fp_host(); choosing an operand does not.
 */
#define TRY_ARITH(bits, name, op, operands, exact_zero)                                            \
	static inline bool try##bits##_##name(bool host, u##bits a, u##bits b, u##bits *r)         \
	{                                                                                          \
		if (!host || !(operands))                                                          \
			return false;                                                              \
		*r = fp##bits##_guest(fp##bits##_host(a) op fp##bits##_host(b));                   \
		return fp##bits##_safe(*r) || (fp##bits##_zero(*r) && (exact_zero));               \
	}

#define TRY_CHOICE(bits, name, op)                                                                 \
	static inline bool try##bits##_##name(bool host, u##bits a, u##bits b, u##bits *r)         \
	{                                                                                          \
		(void)host;                                                                        \
		if (!HARDFLOAT || !fp##bits##_plain(a) || !fp##bits##_plain(b))                    \
			return false;                                                              \
		*r = fp##bits##_host(a) op fp##bits##_host(b) ? a : b;                             \
		return true;                                                                       \
	}

/* Square roots have one operand, b. */
#define TRY_SQRT(bits, function)                                                                   \
	static u##bits root##bits(struct fp_env *env, u##bits a, u##bits b)                        \
	{                                                                                          \
		(void)a;                                                                           \
		return sf##bits##_sqrt(env, b);                                                    \
	}                                                                                          \
	static inline bool try##bits##_sqrt(bool host, u##bits a, u##bits b, u##bits *r)           \
	{                                                                                          \
		(void)a;                                                                           \
		if (!host || !fp##bits##_normal(b) || b >> (bits - 1))                             \
			return false;                                                              \
		*r = fp##bits##_guest(function(fp##bits##_host(b)));                               \
		return true;                                                                       \
	}

#define VECTOR_BEGIN(name)                                                                         \
	int x_##name(struct vcpu *v, const struct insn *i)                                         \
	{                                                                                          \
		const union vreg *a = fp_first(v, i), *b;                                          \
		union vreg buf, r;                                                                 \
		bool host = fp_host(v);                                                            \
		int rc = fp_src(v, i, i->vl, &buf, &b);                                            \
                                                                                                   \
		if (rc)                                                                            \
			return rc;

#define VECTOR_END                                                                                 \
	fp_put(v, i, &r);                                                                          \
	return EXEC_NEXT;                                                                          \
	}

#define VECTORS(name, slow)                                                                        \
	VECTOR_BEGIN(name##ps)                                                                     \
	for (unsigned k = 0; k < i->vl / 8u; k++) {                                                \
		u64 x = a->q[k], y = b->q[k];                                                      \
		u32 low, high;                                                                     \
                                                                                                   \
		if (!try32_##name(host, (u32)x, (u32)y, &low) ||                                   \
		    !try32_##name(host, (u32)(x >> 32), (u32)(y >> 32), &high))                    \
			return vector32(v, i, a, b, slow(32));                                     \
		r.q[k] = fp_pair(low, high);                                                       \
	}                                                                                          \
	VECTOR_END                                                                                 \
	VECTOR_BEGIN(name##pd)                                                                     \
	for (unsigned k = 0; k < i->vl / 8u; k++)                                                  \
		if (!try64_##name(host, a->q[k], b->q[k], &r.q[k]))                                \
			return vector64(v, i, a, b, slow(64));                                     \
	VECTOR_END

#define SCALAR(bits, lane, suffix, name, slow)                                                     \
	int x_##name##suffix(struct vcpu *v, const struct insn *i)                                 \
	{                                                                                          \
		u##bits a = fp_first(v, i)->lane[0], b, r;                                         \
		int rc = fp_src##bits(v, i, &b);                                                   \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		if (unlikely(!try##bits##_##name(fp_host(v), a, b, &r)))                           \
			return scalar##bits(v, i, a, b, slow(bits));                               \
		fp_put##bits(v, i, r);                                                             \
		return EXEC_NEXT;                                                                  \
	}

#define FOUR(name, slow)                                                                           \
	VECTORS(name, slow)                                                                        \
	SCALAR(32, d, ss, name, slow)                                                              \
	SCALAR(64, q, sd, name, slow)

#define ARITH(name, op, operands, exact_zero)                                                      \
	TRY_ARITH(32, name, op, fp32_plain(a) && operands(32), exact_zero(32))                     \
	TRY_ARITH(64, name, op, fp64_plain(a) && operands(64), exact_zero(64))                     \
	FOUR(name, SLOW_##name)

#define CHOICE(name, op)                                                                           \
	TRY_CHOICE(32, name, op)                                                                   \
	TRY_CHOICE(64, name, op)                                                                   \
	FOUR(name, SLOW_##name)

#define SLOW_add(bits) sf##bits##_add
#define SLOW_sub(bits) sf##bits##_sub
#define SLOW_mul(bits) sf##bits##_mul
#define SLOW_div(bits) sf##bits##_div
#define SLOW_min(bits) sf##bits##_min
#define SLOW_max(bits) sf##bits##_max
#define SLOW_sqrt(bits) root##bits
#define PLAIN_B(bits) fp##bits##_plain(b)
#define NORMAL_B(bits) fp##bits##_normal(b)
#define ANY_ZERO(bits) true
#define ZERO_A(bits) fp##bits##_zero(a)
#define ZERO_AB(bits) (fp##bits##_zero(a) || fp##bits##_zero(b))

ARITH(add, +, PLAIN_B, ANY_ZERO)
ARITH(sub, -, PLAIN_B, ANY_ZERO)
ARITH(mul, *, PLAIN_B, ZERO_AB)
ARITH(div, /, NORMAL_B, ZERO_A)
CHOICE(min, <)
CHOICE(max, >)
TRY_SQRT(32, sqrtf)
TRY_SQRT(64, sqrt)
FOUR(sqrt, SLOW_sqrt)

/* --- comparisons --- */

/* Bit order + 1 of an entry: is predicate true for less, equal, greater, unordered (bit 3)? */
static const u8 cmp_truth[16] = {0x2, 0x1, 0x3, 0x8, 0xd, 0xe, 0xc, 0x7,
				 0xa, 0x9, 0xb, 0x0, 0x5, 0x6, 0x4, 0xf};

/* Legacy forms have the first eight predicates only. */
static inline unsigned cmp_predicate(const struct insn *i)
{
	return i->imm & (i->prefix & P_VEX ? 31 : 7);
}

/* Predicates 1, 2 of each four signal a QNaN; 16-31 are the opposite in that. */
static inline bool cmp_signals(unsigned predicate)
{
	unsigned low = predicate & 3;

	return (low == 1 || low == 2) != (predicate >= 16);
}

/* By order + 1. */
static const u8 comi_flags[4] = {RFLAGS_CF, RFLAGS_ZF, 0, RFLAGS_CF | RFLAGS_PF | RFLAGS_ZF};

#define COMPARE(bits, lane, p, s)                                                                  \
	static inline bool try_order##bits(u##bits a, u##bits b, enum fp_order *o)                 \
	{                                                                                          \
		if (!HARDFLOAT || !fp##bits##_plain(a) || !fp##bits##_plain(b))                    \
			return false;                                                              \
		*o = fp##bits##_host(a) < fp##bits##_host(b)   ? FP_LESS                           \
		     : fp##bits##_host(a) > fp##bits##_host(b) ? FP_GREATER                        \
							       : FP_EQUAL;                         \
		return true;                                                                       \
	}                                                                                          \
	static inline u##bits cmp_mask##bits(enum fp_order o, unsigned predicate)                  \
	{                                                                                          \
		return cmp_truth[predicate & 15] >> (o + 1) & 1 ? (u##bits) ~0ull : 0;             \
	}                                                                                          \
	static ATTR_NOINLINE int order##bits(struct vcpu *v, u##bits a, u##bits b, bool signal,    \
					     enum fp_order *o)                                     \
	{                                                                                          \
		struct fp_env env = fp_begin(v);                                                   \
                                                                                                   \
		*o = sf##bits##_compare(&env, a, b, signal);                                       \
		return fp_end(v, &env);                                                            \
	}                                                                                          \
	int x_cmp##p(struct vcpu *v, const struct insn *i)                                         \
	{                                                                                          \
		struct fp_env env = fp_begin(v);                                                   \
		const union vreg *a = fp_first(v, i), *b;                                          \
		unsigned predicate = cmp_predicate(i);                                             \
		enum fp_order o;                                                                   \
		union vreg buf, r;                                                                 \
		int rc = fp_src(v, i, i->vl, &buf, &b);                                            \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		for (unsigned k = 0; k < i->vl * 8u / bits; k++) {                                 \
			if (!try_order##bits(a->lane[k], b->lane[k], &o))                          \
				o = sf##bits##_compare(&env, a->lane[k], b->lane[k],               \
						       cmp_signals(predicate));                    \
			r.lane[k] = cmp_mask##bits(o, predicate);                                  \
		}                                                                                  \
		rc = fp_end(v, &env);                                                              \
		if (!rc)                                                                           \
			fp_put(v, i, &r);                                                          \
		return rc;                                                                         \
	}                                                                                          \
	int x_cmp##s(struct vcpu *v, const struct insn *i)                                         \
	{                                                                                          \
		u##bits a = fp_first(v, i)->lane[0], b;                                            \
		unsigned predicate = cmp_predicate(i);                                             \
		enum fp_order o;                                                                   \
		int rc = fp_src##bits(v, i, &b);                                                   \
                                                                                                   \
		if (!rc && !try_order##bits(a, b, &o))                                             \
			rc = order##bits(v, a, b, cmp_signals(predicate), &o);                     \
		if (!rc)                                                                           \
			fp_put##bits(v, i, cmp_mask##bits(o, predicate));                          \
		return rc;                                                                         \
	}                                                                                          \
	/* COMISS (opcode 2FH) signals a QNaN, UCOMISS does not. */                                \
	int x_comi##s(struct vcpu *v, const struct insn *i)                                        \
	{                                                                                          \
		u##bits a = v->ymm[i->reg].lane[0], b;                                             \
		enum fp_order o;                                                                   \
		int rc = fp_src##bits(v, i, &b);                                                   \
                                                                                                   \
		if (!rc && !try_order##bits(a, b, &o))                                             \
			rc = order##bits(v, a, b, i->opcode == 0x2f, &o);                          \
		if (!rc)                                                                           \
			flags_set_arith(v, comi_flags[o + 1]);                                     \
		return rc;                                                                         \
	}

COMPARE(32, d, ps, ss)
COMPARE(64, q, pd, sd)

/* --- horizontal and alternating --- */

/* b of the lane's pair is combined with its neighbour: results fill a lane of 16 bytes from the
 * first source's pairs, then from the second's. */
#define HORIZONTAL(bits, lane, suffix, name, op)                                                   \
	int x_##name##suffix(struct vcpu *v, const struct insn *i)                                 \
	{                                                                                          \
		enum { LANE = 128 / bits, HALF = LANE / 2 };                                       \
		struct fp_env env = fp_begin(v);                                                   \
		const union vreg *a = fp_first(v, i), *b;                                          \
		union vreg buf, r;                                                                 \
		int rc = fp_src(v, i, i->vl, &buf, &b);                                            \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		for (unsigned k = 0; k < i->vl * 8u / bits; k++) {                                 \
			const union vreg *s = k % LANE < HALF ? a : b;                             \
			unsigned at = k / LANE * LANE + k % HALF * 2;                              \
                                                                                                   \
			r.lane[k] = op(&env, s->lane[at], s->lane[at + 1]);                        \
		}                                                                                  \
		rc = fp_end(v, &env);                                                              \
		if (!rc)                                                                           \
			fp_put(v, i, &r);                                                          \
		return rc;                                                                         \
	}

HORIZONTAL(32, d, ps, hadd, fp32_add)
HORIZONTAL(64, q, pd, hadd, fp64_add)
HORIZONTAL(32, d, ps, hsub, fp32_sub)
HORIZONTAL(64, q, pd, hsub, fp64_sub)

#define ADDSUB(bits, lane, suffix)                                                                 \
	int x_addsub##suffix(struct vcpu *v, const struct insn *i)                                 \
	{                                                                                          \
		struct fp_env env = fp_begin(v);                                                   \
		const union vreg *a = fp_first(v, i), *b;                                          \
		union vreg buf, r;                                                                 \
		int rc = fp_src(v, i, i->vl, &buf, &b);                                            \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		for (unsigned k = 0; k < i->vl * 8u / bits; k += 2) {                              \
			r.lane[k] = fp##bits##_sub(&env, a->lane[k], b->lane[k]);                  \
			r.lane[k + 1] = fp##bits##_add(&env, a->lane[k + 1], b->lane[k + 1]);      \
		}                                                                                  \
		rc = fp_end(v, &env);                                                              \
		if (!rc)                                                                           \
			fp_put(v, i, &r);                                                          \
		return rc;                                                                         \
	}

ADDSUB(32, d, ps)
ADDSUB(64, q, pd)

/* --- dot products --- */

/* Every step counts as an instruction of its own: true if an exception ends it here. */
static bool step_ends(struct vcpu *v, struct fp_env *env)
{
	if (env->masks == FP_ALL_FLAGS)
		return false;
	if (fp_unmasked(env))
		return true;
	v->mxcsr |= env->flags;
	env->flags = 0;
	return false;
}

/* The order of the additions differs from element to element: seen in the NaN that comes out. */
static u32 dot_sum(struct fp_env *env, const u32 *p, unsigned k)
{
	return fp32_add(env, fp32_add(env, p[k ^ 1], p[k]), fp32_add(env, p[k ^ 3], p[k ^ 2]));
}

/* r: the products of n elements in, the results out. */
static void dot_sums(struct vcpu *v, struct fp_env *env, unsigned n, unsigned imm, u32 *r)
{
	u32 pair[4];

	for (unsigned k = 0; k < n; k += 2)
		pair[k / 2] = fp32_add(env, r[k], r[k + 1]);
	if (step_ends(v, env))
		return;
	for (unsigned k = 0; k < n; k += 4) {
		u32 sum = fp32_add(env, pair[k / 2], pair[k / 2 + 1]), nan[4];

		for (unsigned j = 0; j < 4; j++)
			nan[j] = sum << 1 > F32_INF << 1 ? dot_sum(env, r + k, j) : sum;
		for (unsigned j = 0; j < 4; j++)
			r[k + j] = imm >> j & 1 ? nan[j] : 0;
	}
}

int x_dpps(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	const union vreg *a = fp_first(v, i), *b;
	union vreg buf, r;
	unsigned n = i->vl / 4u;
	int rc = fp_src(v, i, i->vl, &buf, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < n; k++)
		r.d[k] = i->imm >> (4 + k % 4) & 1 ? fp32_mul(&env, a->d[k], b->d[k]) : 0;
	if (!step_ends(v, &env))
		dot_sums(v, &env, n, (unsigned)i->imm, r.d);
	rc = fp_end(v, &env);
	if (!rc)
		fp_put(v, i, &r);
	return rc;
}

int x_dppd(struct vcpu *v, const struct insn *i)
{
	struct fp_env env = fp_begin(v);
	const union vreg *a = fp_first(v, i), *b;
	u64 p[2], sum[2] = {0};
	union vreg buf;
	int rc = fp_src(v, i, 16, &buf, &b);

	if (rc)
		return rc;
	for (unsigned k = 0; k < 2; k++)
		p[k] = i->imm >> (4 + k) & 1 ? fp64_mul(&env, a->q[k], b->q[k]) : 0;
	if (!step_ends(v, &env))
		for (unsigned k = 0; k < 2; k++)
			sum[k] = fp64_add(&env, p[k], p[k ^ 1]);
	rc = fp_end(v, &env);
	if (!rc)
		fp_put128(v, i, i->imm & 1 ? sum[0] : 0, i->imm & 2 ? sum[1] : 0);
	return rc;
}

/* --- rounding to an integer --- */

#define ROUND(bits, lane, p, s)                                                                    \
	static u##bits round##bits(struct fp_env *env, const struct vcpu *v, const struct insn *i, \
				   u##bits a)                                                      \
	{                                                                                          \
		u8 round = fp_imm_round(i, env);                                                   \
		double x, r;                                                                       \
                                                                                                   \
		if (HARDFLOAT && fp##bits##_plain(a)) {                                            \
			x = fp##bits##_host(a);                                                    \
			if (x > -0x1p51 && x < 0x1p51) {                                           \
				r = fp_integer(x, round);                                          \
				if (r == x || i->imm & 8 || fp_inexact_known(v))                   \
					return fp##bits##_guest(FLOAT##bits(r));                   \
			}                                                                          \
		}                                                                                  \
		return sf##bits##_round(env, a, round, i->imm & 8);                                \
	}                                                                                          \
	int x_round##p(struct vcpu *v, const struct insn *i)                                       \
	{                                                                                          \
		struct fp_env env = fp_begin(v);                                                   \
		const union vreg *b;                                                               \
		union vreg buf, r;                                                                 \
		int rc = fp_src(v, i, i->vl, &buf, &b);                                            \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		for (unsigned k = 0; k < i->vl * 8u / bits; k++)                                   \
			r.lane[k] = round##bits(&env, v, i, b->lane[k]);                           \
		rc = fp_end(v, &env);                                                              \
		if (!rc)                                                                           \
			fp_put(v, i, &r);                                                          \
		return rc;                                                                         \
	}                                                                                          \
	int x_round##s(struct vcpu *v, const struct insn *i)                                       \
	{                                                                                          \
		struct fp_env env = fp_begin(v);                                                   \
		u##bits b, r;                                                                      \
		int rc = fp_src##bits(v, i, &b);                                                   \
                                                                                                   \
		if (rc)                                                                            \
			return rc;                                                                 \
		r = round##bits(&env, v, i, b);                                                    \
		rc = fp_end(v, &env);                                                              \
		if (!rc)                                                                           \
			fp_put##bits(v, i, r);                                                     \
		return rc;                                                                         \
	}

#define FLOAT32(x) (float)(x)
#define FLOAT64(x) (x)
ROUND(32, d, ps, ss)
ROUND(64, q, pd, sd)

/* --- approximations --- */

/*
 * RCPPS and RSQRTPS raise nothing and ignore MXCSR. The bits are those of Intel's CPUs (compared
 * with one for all significands): the function at the middle of one of 2048 (RSQRT: 1024) intervals
 * of the significand, rounded to nearest with 13 significant bits. Denormals count as zero, tiny
 * results become zero.
 */
static u32 rcp32(u32 a)
{
	u32 sign = a & F32_SIGN, exp = a >> 23 & 255;
	u32 k = a >> 12 & 2047, d = 4097 + 2 * k, sig;

	if ((a & ~F32_SIGN) > F32_INF)
		return a | F32_QUIET;
	if (exp == 0)
		return sign | F32_INF;
	if (exp >= 253)
		return sign;
	sig = ((2u << 25) + d) / (2 * d);
	return sign | (253 - exp) << 23 | (sig & 0xfff) << 11;
}

/* Largest r with (r - 1/2)^2 <= 2^37 / d; d is twice the middle, of x in [1, 4) times 1024. */
static u32 rsqrt_significand(u32 d)
{
	u32 r = 0;

	for (u32 step = 4096; step; step >>= 1) {
		u64 t = 2 * (r + step) - 1;

		if (t * t * d <= BIT(39))
			r += step;
	}
	return r;
}

static u32 rsqrt32(u32 a)
{
	u32 sign = a & F32_SIGN, exp = a >> 23 & 255;
	u32 k = a >> 13 & 1023, odd = !(exp & 1);

	if ((a & ~F32_SIGN) > F32_INF)
		return a | F32_QUIET;
	if (exp == 0)
		return sign | F32_INF;
	if (sign)
		return F32_INDEFINITE;
	if (exp == 255)
		return 0;
	/* a = x * 2^(exp - odd - 127), x in [1, 4), the exponent even: 126 less half of it */
	return (189 - ((exp - odd) >> 1)) << 23 | (rsqrt_significand((2049 + 2 * k) << odd) & 0xfff)
							  << 11;
}

static int approx(struct vcpu *v, const struct insn *i, u32 (*f)(u32))
{
	const union vreg *b;
	union vreg buf, r;
	u32 x;
	int rc;

	if (i->row->pfx == PF3) {
		rc = fp_src32(v, i, &x);
		if (!rc)
			fp_put32(v, i, f(x));
		return rc;
	}
	rc = fp_src(v, i, i->vl, &buf, &b);
	if (rc)
		return rc;
	for (unsigned k = 0; k < i->vl / 8u; k++)
		r.q[k] = fp_pair(f(b->d[2 * k]), f(b->d[2 * k + 1]));
	fp_put(v, i, &r);
	return EXEC_NEXT;
}

int x_rcp(struct vcpu *v, const struct insn *i)
{
	return approx(v, i, rcp32);
}

int x_rsqrt(struct vcpu *v, const struct insn *i)
{
	return approx(v, i, rsqrt32);
}
