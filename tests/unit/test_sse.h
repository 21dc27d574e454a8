/*
 * Shared by the tests of MMX, SSE and AVX instructions: runs encoded instructions on a vCPU in
 * 64-bit mode.
 */
#ifndef TESTS_UNIT_TEST_SSE_H
#define TESTS_UNIT_TEST_SSE_H

#include "cpu/decode.h"
#include "tests/unit/test_seg.h"

struct sse_env {
	struct env *env;
	struct vcpu *v;
	struct decoder *decoder;
};

struct sse_env sse_env_new(void);
void sse_env_free(struct sse_env *s);
/* Decodes, checks and executes one instruction: enum exec_result; #UD where it does not decode. */
int sse_step(struct sse_env *s, const u8 *bytes, unsigned n);

Suite *sse_suite(void);
TCase *sse_digest_case(void);

#endif
