/*
 * Random numbers, and values that lie near the edges of what instructions do.
 */
#ifndef TESTS_INSN_VALUES_H
#define TESTS_INSN_VALUES_H

#include "base/types.h"

struct rng {
	u64 s;
};

enum value_kind { VALUE_INT, VALUE_F32, VALUE_F64, VALUE_F80, VALUE_KINDS };

u64 rnd(struct rng *r);
/* 0..n-1 */
unsigned rnd_below(struct rng *r, unsigned n);
bool chance(struct rng *r, unsigned percent);
/* An integer near an edge of some width, or any. */
u64 value_int(struct rng *r);
/* Elements of a kind, sizes mixed for integers. */
void value_fill(struct rng *r, void *buf, unsigned bytes, enum value_kind kind);
/* An 80-bit value: 64-bit significand, sign and exponent. */
void value_f80(struct rng *r, u64 *sig, u16 *se);

#endif
