/*
 * Lane kernels of shuffles, unpacks, packs and blends (see vec.h), shared by MMX, SSE and AVX
 * handlers.
 */
#ifndef CPU_VEC_SHUF_H
#define CPU_VEC_SHUF_H

#include "cpu/vec_int.h"

/* Interleaves the lower or upper halves; from: first element taken. */
#define UNPACK(name, f, n, from)                                                                   \
	KERNEL(name)                                                                               \
	{                                                                                          \
		union lane r;                                                                      \
                                                                                                   \
		(void)imm;                                                                         \
		for (unsigned j = 0; j < (n) / 2; j++) {                                           \
			r.f[2 * j] = a.f[(from) + j];                                              \
			r.f[2 * j + 1] = b.f[(from) + j];                                          \
		}                                                                                  \
		return r;                                                                          \
	}

UNPACK(punpcklbw, b, 16, 0)
UNPACK(punpcklwd, w, 8, 0)
UNPACK(punpckldq, d, 4, 0)
UNPACK(punpcklqdq, q, 2, 0)
UNPACK(punpckhbw, b, 16, 8)
UNPACK(punpckhwd, w, 8, 4)
UNPACK(punpckhdq, d, 4, 2)
UNPACK(punpckhqdq, q, 2, 1)

#define PACK(name, from, to, type, n, lo, hi)                                                      \
	KERNEL(name)                                                                               \
	{                                                                                          \
		union lane r;                                                                      \
                                                                                                   \
		(void)imm;                                                                         \
		for (unsigned j = 0; j < (n); j++) {                                               \
			r.to[j] = (type)CLAMP(a.from[j], lo, hi);                                  \
			r.to[j + (n)] = (type)CLAMP(b.from[j], lo, hi);                            \
		}                                                                                  \
		return r;                                                                          \
	}

PACK(packsswb, sw, sb, s8, 8, -128, 127)
PACK(packuswb, sw, b, u8, 8, 0, 255)
PACK(packssdw, sd, sw, s16, 4, -32768, 32767)
PACK(packusdw, sd, w, u16, 4, 0, 65535)

/* Result element j is expr; the sources are copied before, so a and b may be the destination. */
#define PICK(name, f, n, expr)                                                                     \
	KERNEL(name)                                                                               \
	{                                                                                          \
		union lane r;                                                                      \
                                                                                                   \
		(void)a, (void)b, (void)imm;                                                       \
		for (unsigned j = 0; j < (n); j++)                                                 \
			r.f[j] = (expr);                                                           \
		return r;                                                                          \
	}

PICK(pshufb, b, 16, b.b[j] & 0x80 ? 0 : a.b[b.b[j] & 15])
PICK(pshufd, d, 4, b.d[imm >> 2 * j & 3])
PICK(pshuflw, w, 8, b.w[j < 4 ? imm >> 2 * j & 3 : j])
PICK(pshufhw, w, 8, b.w[j < 4 ? j : 4 + (imm >> 2 * (j - 4) & 3)])
PICK(shufps, d, 4, (j < 2 ? a : b).d[imm >> 2 * j & 3])
PICK(shufpd, q, 2, (j ? b : a).q[imm >> j & 1])
PICK(blendps, d, 4, (imm >> j & 1 ? b : a).d[j])
PICK(blendpd, q, 2, (imm >> j & 1 ? b : a).q[j])
PICK(pblendw, w, 8, (imm >> j & 1 ? b : a).w[j])
PICK(movddup, q, 2, b.q[0])
PICK(movsldup, d, 4, b.d[j & ~1u])
PICK(movshdup, d, 4, b.d[j | 1])
/* VPERMILPS and VPERMILPD: by immediate from b, by control vector b from a. */
PICK(permilps_imm, d, 4, b.d[imm >> 2 * j & 3])
PICK(permilpd_imm, q, 2, b.q[imm >> j & 1])
PICK(permilps, d, 4, a.d[b.d[j] & 3])
PICK(permilpd, q, 2, a.q[b.q[j] >> 1 & 1])

/* PALIGNR: a is the upper half of the 32 bytes that are shifted right. */
KERNEL(palignr)
{
	u8 wide[48] = {0};
	unsigned n = imm < 32 ? imm : 32;
	union lane r;

	memcpy(wide, b.b, 16);
	memcpy(wide + 16, a.b, 16);
	memcpy(r.b, wide + n, 16);
	return r;
}

/* Variable blends take the mask's sign bits: PBLENDVB, BLENDVPS, BLENDVPD. */
static inline union lane k_pblendvb(union lane a, union lane b, union lane mask)
{
	for (unsigned j = 0; j < 16; j++)
		a.b[j] = mask.sb[j] < 0 ? b.b[j] : a.b[j];
	return a;
}

static inline union lane k_blendvps(union lane a, union lane b, union lane mask)
{
	for (unsigned j = 0; j < 4; j++)
		a.d[j] = mask.sd[j] < 0 ? b.d[j] : a.d[j];
	return a;
}

static inline union lane k_blendvpd(union lane a, union lane b, union lane mask)
{
	for (unsigned j = 0; j < 2; j++)
		a.q[j] = mask.sq[j] < 0 ? b.q[j] : a.q[j];
	return a;
}

/* The sign bits of the elements, as PMOVMSKB, MOVMSKPS and MOVMSKPD give them. */
static inline u32 lane_signs_b(union lane l)
{
	u64 lo = (l.q[0] & 0x8080808080808080) * 0x0002040810204081 >> 56;
	u64 hi = (l.q[1] & 0x8080808080808080) * 0x0002040810204081 >> 56;

	return (u32)(lo | hi << 8);
}

static inline u32 lane_signs_d(union lane l)
{
	return l.d[0] >> 31 | l.d[1] >> 31 << 1 | l.d[2] >> 31 << 2 | l.d[3] >> 31 << 3;
}

static inline u32 lane_signs_q(union lane l)
{
	return (u32)(l.q[0] >> 63 | l.q[1] >> 63 << 1);
}

#endif
