/*
 * Runs single instructions, given as bytes, for the x87 and SIMD floating-point tests.
 */
#ifndef TESTS_UNIT_TEST_X87_H
#define TESTS_UNIT_TEST_X87_H

#include "cpu/decode.h"
#include "tests/unit/test_seg.h"

struct fp_env_test {
	struct env *e;
	struct decoder *decoder;
};

enum { AT_AREA = 0x4000 };

struct fp_env_test fp_test_new(void);
void fp_test_free(struct fp_env_test *t);
/* Decodes in the present mode, checks, executes: enum exec_result. */
int fp_test_run(struct fp_env_test *t, const u8 *bytes, unsigned n);
#define RUN(t, ...) fp_test_run(t, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

TCase *x87_simd_case(void);
Suite *x87_suite(void);

#endif
