/*
 * What the SSE and AVX floating-point handlers share: operands, MXCSR, writing results.
 * SDM volume 1, "SIMD Floating-Point Exceptions"; volume 2, "Exception Specifications of SSE
 * Instructions".
 */
#ifndef CPU_FP_VEC_H
#define CPU_FP_VEC_H

#include "cpu/cpu.h"
#include "cpu/fpu/hardfloat.h"

typedef u32 fp32_unary(struct fp_env *env, u32 a);
typedef u64 fp64_unary(struct fp_env *env, u64 a);
typedef u32 fp32_binary(struct fp_env *env, u32 a, u32 b);
typedef u64 fp64_binary(struct fp_env *env, u64 a, u64 b);

#define MXCSR_RC 0x6000u
#define MXCSR_PM 0x1000u

/* With an exception unmasked the flags start clear: only those of this instruction can fault. */
static inline struct fp_env fp_begin(const struct vcpu *v)
{
	struct fp_env env = fp_env_sse(v->mxcsr);

	if (unlikely(env.masks != FP_ALL_FLAGS))
		env.flags = 0;
	return env;
}

/* Leaves the flags in MXCSR and raises #XM (or #UD without CR4.OSXMMEXCPT). */
int fp_raise(struct vcpu *v, const struct fp_env *env);

/* 0: the result may be written. */
static inline int fp_end(struct vcpu *v, const struct fp_env *env)
{
	if (unlikely(env->masks != FP_ALL_FLAGS && fp_unmasked(env)))
		return fp_raise(v, env);
	v->mxcsr |= env->flags;
	return 0;
}

/* hardfloat_usable() straight from MXCSR: the fast paths build no environment. */
static inline bool fp_host(const struct vcpu *v)
{
	return HARDFLOAT && (v->mxcsr & (MXCSR_RC | MXCSR_PM | FP_PE)) == (MXCSR_PM | FP_PE);
}

/* An inexact result changes nothing: PE is set already and masked. */
static inline bool fp_inexact_known(const struct vcpu *v)
{
	return (v->mxcsr & (MXCSR_PM | FP_PE)) == (MXCSR_PM | FP_PE);
}

/*
 * x rounded to an integer on a host that rounds to nearest; |x| < 2^51. Adding 1.5 * 2^52 leaves no
 * fraction bits.
 */
static inline double fp_integer(double x, unsigned round)
{
	double r = (x + 0x1.8p52) - 0x1.8p52;

	if (round == FP_RC_DOWN || (round == FP_RC_ZERO && x > 0))
		r -= r > x;
	else if (round != FP_RC_NEAREST)
		r += r < x;
	return copysign(r, x);
}

/* The first source: the destination in legacy forms. */
static inline const union vreg *fp_first(const struct vcpu *v, const struct insn *i)
{
	return &v->ymm[i->prefix & P_VEX ? i->vvvv : i->reg];
}

/*
 * The r/m operand: n bytes of memory, read into buf, or the register itself. Vectors are passed by
 * reference and handled 64 bits at a time: copies of another width than that of the last store stall
 * the host.
 */
static inline int fp_src(struct vcpu *v, const struct insn *i, unsigned n, union vreg *buf,
			 const union vreg **src)
{
	if (!insn_is_mem(i)) {
		*src = &v->ymm[i->rm];
		return 0;
	}
	*src = buf;
	return mem_read_bytes(v, i->seg, insn_offset(v, i), buf->b, n);
}

static inline u64 fp_pair(u32 low, u32 high)
{
	return low | (u64)high << 32;
}

static inline int fp_src32(struct vcpu *v, const struct insn *i, u32 *out)
{
	u64 value = 0;
	int r = 0;

	if (insn_is_mem(i))
		r = mem_read(v, i->seg, insn_offset(v, i), 4, &value);
	else
		value = v->ymm[i->rm].d[0];
	*out = (u32)value;
	return r;
}

static inline int fp_src64(struct vcpu *v, const struct insn *i, u64 *out)
{
	if (insn_is_mem(i))
		return mem_read(v, i->seg, insn_offset(v, i), 8, out);
	*out = v->ymm[i->rm].q[0];
	return 0;
}

/* A whole vector of i->vl bytes: VEX clears what lies above, legacy forms keep it. */
static inline void fp_put(struct vcpu *v, const struct insn *i, const union vreg *r)
{
	union vreg *d = &v->ymm[i->reg];

	d->q[0] = r->q[0];
	d->q[1] = r->q[1];
	if (i->prefix & P_VEX) {
		d->q[2] = i->vl == 32 ? r->q[2] : 0;
		d->q[3] = i->vl == 32 ? r->q[3] : 0;
	}
}

/* 128 bits whatever the vector length. */
static inline void fp_put128(struct vcpu *v, const struct insn *i, u64 low, u64 high)
{
	union vreg *d = &v->ymm[i->reg];

	d->q[0] = low;
	d->q[1] = high;
	if (i->prefix & P_VEX)
		d->q[2] = d->q[3] = 0;
}

/* Scalars: the rest of the 128 bits comes from the first source. */
static inline void fp_put64(struct vcpu *v, const struct insn *i, u64 x)
{
	if (i->prefix & P_VEX)
		fp_put128(v, i, x, v->ymm[i->vvvv].q[1]);
	else
		v->ymm[i->reg].q[0] = x;
}

static inline void fp_put32(struct vcpu *v, const struct insn *i, u32 x)
{
	const union vreg *a = &v->ymm[i->vvvv];

	if (i->prefix & P_VEX)
		fp_put128(v, i, (a->q[0] & ~0xffffffffull) | x, a->q[1]);
	else
		v->ymm[i->reg].d[0] = x;
}

/* The rounding of an instruction with its own control bits: ROUNDPS, VCVTPS2PH. */
static inline u8 fp_imm_round(const struct insn *i, const struct fp_env *env)
{
	return i->imm & 4 ? env->round : i->imm & 3;
}

#endif
