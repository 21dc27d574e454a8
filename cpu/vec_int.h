/*
 * Lane kernels of the packed integer instructions (see vec.h), shared by MMX, SSE and AVX handlers.
 */
#ifndef CPU_VEC_INT_H
#define CPU_VEC_INT_H

#include "cpu/vec.h"

#define KERNEL(name) static inline union lane k_##name(union lane a, union lane b, unsigned imm)

/* Element by element: r = expr of x (from a) and y (from b). */
#define EACH(name, type, f, expr)                                                                  \
	KERNEL(name)                                                                               \
	{                                                                                          \
		union lane r;                                                                      \
                                                                                                   \
		(void)imm;                                                                         \
		for (unsigned j = 0; j < 16 / sizeof(type); j++) {                                 \
			type x = a.f[j], y = b.f[j];                                               \
                                                                                                   \
			(void)x;                                                                   \
			r.f[j] = (type)(expr);                                                     \
		}                                                                                  \
		return r;                                                                          \
	}

#define CLAMP(t, lo, hi) ((t) < (lo) ? (lo) : (t) > (hi) ? (hi) : (t))

EACH(paddb, u8, b, x + y)
EACH(paddw, u16, w, x + y)
EACH(paddd, u32, d, x + y)
EACH(paddq, u64, q, x + y)
EACH(psubb, u8, b, x - y)
EACH(psubw, u16, w, x - y)
EACH(psubd, u32, d, x - y)
EACH(psubq, u64, q, x - y)
EACH(paddusb, u8, b, x + y > 255 ? 255 : x + y)
EACH(paddusw, u16, w, x + y > 65535 ? 65535 : x + y)
EACH(psubusb, u8, b, x > y ? x - y : 0)
EACH(psubusw, u16, w, x > y ? x - y : 0)
EACH(paddsb, s8, sb, CLAMP(x + y, -128, 127))
EACH(paddsw, s16, sw, CLAMP(x + y, -32768, 32767))
EACH(psubsb, s8, sb, CLAMP(x - y, -128, 127))
EACH(psubsw, s16, sw, CLAMP(x - y, -32768, 32767))
EACH(pavgb, u8, b, (x + y + 1) >> 1)
EACH(pavgw, u16, w, (x + y + 1) >> 1)
EACH(pminub, u8, b, x < y ? x : y)
EACH(pminuw, u16, w, x < y ? x : y)
EACH(pminud, u32, d, x < y ? x : y)
EACH(pminsb, s8, sb, x < y ? x : y)
EACH(pminsw, s16, sw, x < y ? x : y)
EACH(pminsd, s32, sd, x < y ? x : y)
EACH(pmaxub, u8, b, x > y ? x : y)
EACH(pmaxuw, u16, w, x > y ? x : y)
EACH(pmaxud, u32, d, x > y ? x : y)
EACH(pmaxsb, s8, sb, x > y ? x : y)
EACH(pmaxsw, s16, sw, x > y ? x : y)
EACH(pmaxsd, s32, sd, x > y ? x : y)
EACH(pcmpeqb, u8, b, x == y ? 0xff : 0)
EACH(pcmpeqw, u16, w, x == y ? 0xffff : 0)
EACH(pcmpeqd, u32, d, x == y ? ~0u : 0)
EACH(pcmpeqq, u64, q, x == y ? ~0ull : 0)
EACH(pcmpgtb, s8, sb, x > y ? -1 : 0)
EACH(pcmpgtw, s16, sw, x > y ? -1 : 0)
EACH(pcmpgtd, s32, sd, x > y ? -1 : 0)
EACH(pcmpgtq, s64, sq, x > y ? -1 : 0)
EACH(pand, u64, q, x &y)
EACH(pandn, u64, q, ~x &y)
EACH(por, u64, q, x | y)
EACH(pxor, u64, q, x ^ y)
EACH(pmullw, u16, w, (u32)x *y)
EACH(pmulhuw, u16, w, (u32)x *y >> 16)
EACH(pmulhw, s16, sw, (s32)x *y >> 16)
EACH(pmulhrsw, s16, sw, (((s32)x * y >> 14) + 1) >> 1)
EACH(pmulld, u32, d, x *y)
EACH(psignb, u8, b, (s8)y < 0 ? -x : y ? x : 0)
EACH(psignw, u16, w, (s16)y < 0 ? -x : y ? x : 0)
EACH(psignd, u32, d, (s32)y < 0 ? -x : y ? x : 0)
EACH(pabsb, u8, b, (s8)y < 0 ? -y : y)
EACH(pabsw, u16, w, (s16)y < 0 ? -y : y)
EACH(pabsd, u32, d, (s32)y < 0 ? -y : y)

/* Shifts: the count is the low quadword of b, immediates included. */
#define SHIFT(name, type, f, n, expr, beyond)                                                      \
	KERNEL(name)                                                                               \
	{                                                                                          \
		bool in = b.q[0] < (n);                                                            \
		unsigned count = in ? (unsigned)b.q[0] : (n)-1;                                    \
		union lane r;                                                                      \
                                                                                                   \
		(void)imm;                                                                         \
		for (unsigned j = 0; j < 16 / sizeof(type); j++) {                                 \
			type x = a.f[j];                                                           \
                                                                                                   \
			r.f[j] = (type)(expr);                                                     \
		}                                                                                  \
		return in || (beyond) ? r : lane_zero();                                           \
	}

SHIFT(psrlw, u16, w, 16u, x >> count, false)
SHIFT(psrld, u32, d, 32u, x >> count, false)
SHIFT(psrlq, u64, q, 64u, x >> count, false)
SHIFT(psraw, s16, sw, 16u, x >> count, true)
SHIFT(psrad, s32, sd, 32u, x >> count, true)
SHIFT(psllw, u16, w, 16u, x << count, false)
SHIFT(pslld, u32, d, 32u, x << count, false)
SHIFT(psllq, u64, q, 64u, x << count, false)

KERNEL(psrldq)
{
	unsigned n = b.q[0] < 16 ? (unsigned)b.q[0] : 16;
	u8 wide[32] = {0};
	union lane r;

	(void)imm;
	memcpy(wide, a.b, 16);
	memcpy(r.b, wide + n, 16);
	return r;
}

KERNEL(pslldq)
{
	unsigned n = b.q[0] < 16 ? (unsigned)b.q[0] : 16;
	u8 wide[32] = {0};
	union lane r;

	(void)imm;
	memcpy(wide + 16, a.b, 16);
	memcpy(r.b, wide + 16 - n, 16);
	return r;
}

/* Counts of their own for each element (AVX2). */
EACH(psrlvd, u32, d, y < 32 ? x >> (y & 31) : 0)
EACH(psrlvq, u64, q, y < 64 ? x >> (y & 63) : 0)
EACH(psllvd, u32, d, y < 32 ? x << (y & 31) : 0)
EACH(psllvq, u64, q, y < 64 ? x << (y & 63) : 0)
EACH(psravd, s32, sd, x >> ((u32)y < 32 ? y : 31))

/* Sums and products across elements: one result element j from the pair 2j, 2j + 1. */
#define PAIRS(name, f, n, expr)                                                                    \
	KERNEL(name)                                                                               \
	{                                                                                          \
		union lane r;                                                                      \
                                                                                                   \
		(void)imm;                                                                         \
		for (unsigned j = 0; j < (n); j++)                                                 \
			r.f[j] = (expr);                                                           \
		return r;                                                                          \
	}

PAIRS(pmuludq, q, 2, (u64)a.d[2 * j] * b.d[2 * j])
PAIRS(pmuldq, sq, 2, (s64)a.sd[2 * j] * b.sd[2 * j])
PAIRS(pmaddwd, d, 4, (u32)(a.sw[2 * j] * b.sw[2 * j]) + (u32)(a.sw[2 * j + 1] * b.sw[2 * j + 1]))
PAIRS(pmaddubsw, sw, 8,
      (s16)CLAMP(a.b[2 * j] * b.sb[2 * j] + a.b[2 * j + 1] * b.sb[2 * j + 1], -32768, 32767))

/* Horizontal: pairs of a, then pairs of b. */
#define HORIZONTAL(name, type, f, half, expr)                                                      \
	KERNEL(name)                                                                               \
	{                                                                                          \
		union lane r;                                                                      \
                                                                                                   \
		(void)imm;                                                                         \
		for (unsigned j = 0; j < 2 * (half); j++) {                                        \
			const union lane *s = j < (half) ? &a : &b;                                \
			unsigned k = 2 * (j % (half));                                             \
			type x = s->f[k], y = s->f[k + 1];                                         \
                                                                                                   \
			r.f[j] = (type)(expr);                                                     \
		}                                                                                  \
		return r;                                                                          \
	}

HORIZONTAL(phaddw, u16, w, 4, x + y)
HORIZONTAL(phaddd, u32, d, 2, x + y)
HORIZONTAL(phaddsw, s16, sw, 4, CLAMP(x + y, -32768, 32767))
HORIZONTAL(phsubw, u16, w, 4, x - y)
HORIZONTAL(phsubd, u32, d, 2, x - y)
HORIZONTAL(phsubsw, s16, sw, 4, CLAMP(x - y, -32768, 32767))

static inline unsigned abs_diff(u8 x, u8 y)
{
	return x > y ? x - y : y - x;
}

KERNEL(psadbw)
{
	union lane r = lane_zero();

	(void)imm;
	for (unsigned j = 0; j < 16; j++)
		r.q[j / 8] += abs_diff(a.b[j], b.b[j]);
	return r;
}

KERNEL(mpsadbw)
{
	unsigned ao = imm & 4, bo = (imm & 3) * 4;
	union lane r;

	for (unsigned j = 0; j < 8; j++) {
		unsigned sum = 0;

		for (unsigned k = 0; k < 4; k++)
			sum += abs_diff(a.b[ao + j + k], b.b[bo + k]);
		r.w[j] = (u16)sum;
	}
	return r;
}

KERNEL(phminposuw)
{
	union lane r = lane_zero();
	unsigned at = 0;

	(void)a, (void)imm;
	for (unsigned j = 1; j < 8; j++)
		if (b.w[j] < b.w[at])
			at = j;
	r.w[0] = b.w[at];
	r.w[1] = (u16)at;
	return r;
}

#endif
