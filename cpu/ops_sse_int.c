/*
 * Packed integer arithmetic, logic, compares and shifts of SSE2 to SSE4.2, with their VEX forms.
 * The arithmetic is in vec_int.h. SDM volume 1, "Programming with Intel Streaming SIMD Extensions
 * 2 (Intel SSE2)" and the chapters on later extensions.
 */
#include "cpu/insn_protos.h"
#include "cpu/vec_int.h"

VEC_OP(paddb)
VEC_OP(paddw)
VEC_OP(paddd)
VEC_OP(paddq)
VEC_OP(psubb)
VEC_OP(psubw)
VEC_OP(psubd)
VEC_OP(psubq)
VEC_OP(paddusb)
VEC_OP(paddusw)
VEC_OP(psubusb)
VEC_OP(psubusw)
VEC_OP(paddsb)
VEC_OP(paddsw)
VEC_OP(psubsb)
VEC_OP(psubsw)
VEC_OP(pavgb)
VEC_OP(pavgw)
VEC_OP(pminub)
VEC_OP(pminuw)
VEC_OP(pminud)
VEC_OP(pminsb)
VEC_OP(pminsw)
VEC_OP(pminsd)
VEC_OP(pmaxub)
VEC_OP(pmaxuw)
VEC_OP(pmaxud)
VEC_OP(pmaxsb)
VEC_OP(pmaxsw)
VEC_OP(pmaxsd)
VEC_OP(pcmpeqb)
VEC_OP(pcmpeqw)
VEC_OP(pcmpeqd)
VEC_OP(pcmpeqq)
VEC_OP(pcmpgtb)
VEC_OP(pcmpgtw)
VEC_OP(pcmpgtd)
VEC_OP(pcmpgtq)
VEC_OP(pand)
VEC_OP(pandn)
VEC_OP(por)
VEC_OP(pxor)
VEC_OP(pmullw)
VEC_OP(pmulhuw)
VEC_OP(pmulhw)
VEC_OP(pmulhrsw)
VEC_OP(pmulld)
VEC_OP(psignb)
VEC_OP(psignw)
VEC_OP(psignd)
VEC_OP(pabsb)
VEC_OP(pabsw)
VEC_OP(pabsd)
VEC_OP(pmuludq)
VEC_OP(pmuldq)
VEC_OP(pmaddwd)
VEC_OP(pmaddubsw)
VEC_OP(phaddw)
VEC_OP(phaddd)
VEC_OP(phaddsw)
VEC_OP(phsubw)
VEC_OP(phsubd)
VEC_OP(phsubsw)
VEC_OP(psadbw)
VEC_OP_IMM(mpsadbw, imm >> 3)
VEC_OP(phminposuw)
AVX_OP(psrlvd)
AVX_OP(psrlvq)
AVX_OP(psllvd)
AVX_OP(psllvq)
AVX_OP(psravd)

/* By a count in a register or memory, always 128 bits of it. */
#define SHIFT_OP(name)                                                                             \
	SSE_OP(name)                                                                               \
	int x_v##name(struct vcpu *v, const struct insn *i)                                        \
	{                                                                                          \
		const union vreg *a = &v->ymm[i->vvvv];                                            \
		union lane lo, hi = lane_zero(), b;                                                \
		int r = sse_src(v, i, &b);                                                         \
                                                                                                   \
		if (r)                                                                             \
			return r;                                                                  \
		lo = k_##name(lane_get(a, 0), b, 0);                                               \
		if (i->vl == 32)                                                                   \
			hi = k_##name(lane_get(a, 1), b, 0);                                       \
		lane_put(&v->ymm[i->reg], 0, lo);                                                  \
		lane_put(&v->ymm[i->reg], 1, hi);                                                  \
		return EXEC_NEXT;                                                                  \
	}

/* By an immediate. Legacy: r/m is the destination; VEX: VEX.vvvv is. */
#define SHIFT_IMM(name)                                                                            \
	int x_##name##_imm(struct vcpu *v, const struct insn *i)                                   \
	{                                                                                          \
		union vreg *d = &v->ymm[i->rm];                                                    \
		union lane b = {.q = {i->imm, 0}};                                                 \
                                                                                                   \
		lane_put(d, 0, k_##name(lane_get(d, 0), b, 0));                                    \
		return EXEC_NEXT;                                                                  \
	}                                                                                          \
	int x_v##name##_imm(struct vcpu *v, const struct insn *i)                                  \
	{                                                                                          \
		const union vreg *a = &v->ymm[i->rm];                                              \
		union lane b = {.q = {i->imm, 0}}, lo, hi = lane_zero();                           \
                                                                                                   \
		lo = k_##name(lane_get(a, 0), b, 0);                                               \
		if (i->vl == 32)                                                                   \
			hi = k_##name(lane_get(a, 1), b, 0);                                       \
		lane_put(&v->ymm[i->vvvv], 0, lo);                                                 \
		lane_put(&v->ymm[i->vvvv], 1, hi);                                                 \
		return EXEC_NEXT;                                                                  \
	}

SHIFT_OP(psrlw)
SHIFT_OP(psrld)
SHIFT_OP(psrlq)
SHIFT_OP(psraw)
SHIFT_OP(psrad)
SHIFT_OP(psllw)
SHIFT_OP(pslld)
SHIFT_OP(psllq)
SHIFT_IMM(psrlw)
SHIFT_IMM(psrld)
SHIFT_IMM(psrlq)
SHIFT_IMM(psraw)
SHIFT_IMM(psrad)
SHIFT_IMM(psllw)
SHIFT_IMM(pslld)
SHIFT_IMM(psllq)
SHIFT_IMM(psrldq)
SHIFT_IMM(pslldq)

/* PTEST: ZF if a AND b is zero, CF if b without a is. `mask` selects the bits that count. */
static int test_bits(struct vcpu *v, const struct insn *i, u64 mask)
{
	const union vreg *a = &v->ymm[i->reg];
	u64 both = 0, only_b = 0;
	union vreg b;
	int r = avx_src(v, i, &b);

	if (r)
		return r;
	for (unsigned j = 0; j < i->vl / 8u; j++) {
		both |= a->q[j] & b.q[j] & mask;
		only_b |= ~a->q[j] & b.q[j] & mask;
	}
	flags_set_arith(v, (both ? 0 : RFLAGS_ZF) | (only_b ? 0 : RFLAGS_CF));
	return EXEC_NEXT;
}

int x_ptest(struct vcpu *v, const struct insn *i)
{
	return test_bits(v, i, ~0ull);
}

int x_vtestps(struct vcpu *v, const struct insn *i)
{
	return test_bits(v, i, 0x8000000080000000);
}

int x_vtestpd(struct vcpu *v, const struct insn *i)
{
	return test_bits(v, i, 0x8000000000000000);
}

/* PMOVSX and PMOVZX: elements of type `from` widened to type `to`. */
#define WIDEN(name, from, to)                                                                      \
	static int widen_##name(struct vcpu *v, const struct insn *i, union vreg *d)               \
	{                                                                                          \
		union vreg b;                                                                      \
		int r = narrow_src(v, i, &b);                                                      \
                                                                                                   \
		if (r)                                                                             \
			return r;                                                                  \
		for (unsigned j = 0; j < i->vl / sizeof(to); j++) {                                \
			from x;                                                                    \
			to y;                                                                      \
                                                                                                   \
			memcpy(&x, b.b + j * sizeof(x), sizeof(x));                                \
			y = (to)x;                                                                 \
			memcpy(d->b + j * sizeof(y), &y, sizeof(y));                               \
		}                                                                                  \
		return 0;                                                                          \
	}                                                                                          \
	int x_##name(struct vcpu *v, const struct insn *i)                                         \
	{                                                                                          \
		union vreg t = {0};                                                                \
		int r = widen_##name(v, i, &t);                                                    \
                                                                                                   \
		if (!r)                                                                            \
			lane_put(&v->ymm[i->reg], 0, lane_get(&t, 0));                             \
		return r;                                                                          \
	}                                                                                          \
	int x_v##name(struct vcpu *v, const struct insn *i)                                        \
	{                                                                                          \
		union vreg t = {0};                                                                \
		int r = widen_##name(v, i, &t);                                                    \
                                                                                                   \
		if (!r)                                                                            \
			v->ymm[i->reg] = t;                                                        \
		return r;                                                                          \
	}

WIDEN(pmovsxbw, s8, s16)
WIDEN(pmovsxbd, s8, s32)
WIDEN(pmovsxbq, s8, s64)
WIDEN(pmovsxwd, s16, s32)
WIDEN(pmovsxwq, s16, s64)
WIDEN(pmovsxdq, s32, s64)
WIDEN(pmovzxbw, u8, u16)
WIDEN(pmovzxbd, u8, u32)
WIDEN(pmovzxbq, u8, u64)
WIDEN(pmovzxwd, u16, u32)
WIDEN(pmovzxwq, u16, u64)
WIDEN(pmovzxdq, u32, u64)
