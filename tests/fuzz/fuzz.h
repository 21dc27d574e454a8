/*
 * Random guests: what image.c makes and guests.c runs. Everything follows from the seed.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>

#include "base/types.h"

/* KIND(id, name): what a guest is made of. */
#define FUZZ_KINDS(KIND)                                                                           \
	KIND(RAW, "random bytes as a flat image")                                                  \
	KIND(CODE32, "random 32-bit code that goes on after faults")                               \
	KIND(CODE16, "random 16-bit protected-mode code")                                          \
	KIND(V86, "random virtual-8086 code")                                                      \
	KIND(CODE64, "random 64-bit code")                                                         \
	KIND(VMX, "random 64-bit code in VMX operation")                                           \
	KIND(VMCS, "VM entries with a VMCS that is nearly valid")                                  \
	KIND(LINUX, "a bzImage with a random header")                                              \
	KIND(NEST_BITS, "nest with a few bits changed")                                            \
	KIND(NEST_BYTES, "nest with a few bytes changed")                                          \
	KIND(NEST_BLOCKS, "nest with blocks moved about")                                          \
	KIND(NEST_HEAD, "nest with changed ELF and multiboot headers")

enum fuzz_kind {
#define KIND(id, name) FUZZ_##id,
	FUZZ_KINDS(KIND)
#undef KIND
		FUZZ_KIND_COUNT
};

struct rng {
	u64 state;
};

static inline u64 rng_next(struct rng *r)
{
	u64 z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 to n - 1. */
static inline u32 rng_below(struct rng *r, u32 n)
{
	return (u32)((rng_next(r) >> 32) * n >> 32);
}

static inline bool rng_chance(struct rng *r, u32 one_in)
{
	return rng_below(r, one_in) == 0;
}

#define FUZZ_IMAGE_MAX (256 * 1024)
#define FUZZ_PIECE 512 /* bytes from one piece of code to the next in a guest of kind VMCS */

struct image {
	u8 byte[FUZZ_IMAGE_MAX];
	size_t size;
};

void image_make(struct image *im, enum fuzz_kind kind, struct rng *r);
/* Fills with instructions, or what looks like some, for the mode that kind runs in. */
void code_fill(u8 *to, size_t size, enum fuzz_kind kind, struct rng *r);

/* Makes the guest of kind VMCS inside a frame whose handler and stack are at these offsets. */
void vmcs_fill(struct image *im, u32 base, u32 handler, u32 stack, size_t pieces_at,
	       size_t pieces_size, struct rng *r);

/* The program ends with status 2 unless this is called again in time. */
void watchdog_restart(unsigned seconds);

#endif
