/*
 * Bit and byte-order helpers. Guest memory is little-endian whatever the host is: load_le/store_le
 * are the only way bytes become numbers; compilers turn them into single moves where they can.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <string.h>

#include "base/types.h"

#define BIT(n) (1ull << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Bits hi..lo of x, right-aligned. 0 <= lo <= hi <= 63. */
static inline u64 bits(u64 x, unsigned hi, unsigned lo)
{
	return (x >> lo) & (~0ull >> (63 - (hi - lo)));
}

/* All-ones in the low `bytes` bytes, 1..8. */
static inline u64 size_mask(unsigned bytes)
{
	return ~0ull >> (64 - 8 * bytes);
}

static inline u64 sign_extend(u64 x, unsigned nbits)
{
	return (u64)((s64)(x << (64 - nbits)) >> (64 - nbits));
}

/* True if `laddr` is canonical for a linear-address width of 48 or 57 bits. */
static inline bool is_canonical(u64 laddr, unsigned width)
{
	return sign_extend(laddr, width) == laddr;
}

static inline u64 load_le_bytes(const void *p, unsigned bytes)
{
	const u8 *b = p;
	u64 v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (u64)b[i] << (8 * i);
	return v;
}

static inline void store_le_bytes(void *p, u64 v, unsigned bytes)
{
	u8 *b = p;

	for (unsigned i = 0; i < bytes; i++)
		b[i] = (u8)(v >> (8 * i));
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define DEFINE_LE(n)                                                                               \
	static inline u##n load_le##n(const void *p)                                               \
	{                                                                                          \
		u##n v;                                                                            \
		memcpy(&v, p, sizeof(v));                                                          \
		return v;                                                                          \
	}                                                                                          \
	static inline void store_le##n(void *p, u##n v)                                            \
	{                                                                                          \
		memcpy(p, &v, sizeof(v));                                                          \
	}
#else
#define DEFINE_LE(n)                                                                               \
	static inline u##n load_le##n(const void *p)                                               \
	{                                                                                          \
		return (u##n)load_le_bytes(p, n / 8);                                              \
	}                                                                                          \
	static inline void store_le##n(void *p, u##n v)                                            \
	{                                                                                          \
		store_le_bytes(p, v, n / 8);                                                       \
	}
#endif
DEFINE_LE(16)
DEFINE_LE(32)
DEFINE_LE(64)
#undef DEFINE_LE

/* Any size from 0 to 8; the natural ones are single moves. */
static inline u64 load_le(const void *p, unsigned bytes)
{
	switch (bytes) {
	case 1:
		return *(const u8 *)p;
	case 2:
		return load_le16(p);
	case 4:
		return load_le32(p);
	case 8:
		return load_le64(p);
	default:
		return load_le_bytes(p, bytes);
	}
}

static inline void store_le(void *p, u64 v, unsigned bytes)
{
	switch (bytes) {
	case 1:
		*(u8 *)p = (u8)v;
		break;
	case 2:
		store_le16(p, (u16)v);
		break;
	case 4:
		store_le32(p, (u32)v);
		break;
	case 8:
		store_le64(p, v);
		break;
	default:
		store_le_bytes(p, v, bytes);
	}
}

/* a * b / c with a 128-bit intermediate, rounded down. c != 0; the result must fit. */
static inline u64 muldiv64(u64 a, u64 b, u64 c)
{
	return (u64)((u128)a * b / c);
}

#endif
