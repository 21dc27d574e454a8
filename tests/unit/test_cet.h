/*
 * Code that runs with control-flow enforcement on: see test_cet_env.c.
 */
#ifndef TESTS_UNIT_TEST_CET_H
#define TESTS_UNIT_TEST_CET_H

#include "cpu/cet.h"
#include "tests/unit/test_seg.h"

/* Every vector's handler is ENDBR64, HLT at its own address; the frame is on the stack of level 0. */
#define AT_HANDLER(vector) (AT_CODE + 0x800 + 16 * (vector))
#define AT_TARGET (AT_CODE + 0x200)

struct cet_run {
	struct env *e;
	struct vcpu *v;
	struct decoder *decoder;
	struct block_cache *blocks;
};

/* 64-bit mode at `cpl` with CR4.CET; steps: one instruction at a time, else in blocks. */
struct cet_run cet_run_new(unsigned cpl, bool steps);
void cet_run_free(struct cet_run *r);
void cet_code(struct cet_run *r, u64 at, const void *code, unsigned n);
/* Controls of the current level. */
void cet_set(struct cet_run *r, u64 controls);
/* Runs until a HLT. */
void cet_go(struct cet_run *r);
/* The run ended in the handler of the vector (with this error code). */
void cet_ended_in(const struct cet_run *r, u8 vector);
void cet_ended_cp(const struct cet_run *r, u64 error);

#endif
