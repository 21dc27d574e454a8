/*
 * Shared by the floating-point tests: random operands biased towards the
 * edges, and the counter of differences.
 */
#ifndef TESTS_UNIT_TEST_FPU_H
#define TESTS_UNIT_TEST_FPU_H

#include <check.h>

#include "base/types.h"
#include "cpu/fpu/softfloat.h"

struct fpu_random {
	u64 state;
};

u64 fpu_random_next(struct fpu_random *random);
/* An operand of exp_bits + frac_bits + 1 bits. */
u64 fpu_random_float(struct fpu_random *random, unsigned exp_bits, unsigned frac_bits);
u64 fpu_random_integer(struct fpu_random *random);
struct f80 fpu_random_f80(struct fpu_random *random);
u64 fpu_hash(u64 hash, u64 value);
u64 fpu_hash_f80(u64 hash, struct f80 value);
/* Cases per operation: the default times environment variable FPU_TEST_SCALE. */
long fpu_test_cases(long normal);

Suite *fpu_suite(void);
TCase *fpu_sse_case(void);
TCase *fpu_x87_case(void);
TCase *fpu_transcendental_case(void);

#endif
