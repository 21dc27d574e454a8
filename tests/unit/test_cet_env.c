/*
 * The environment of the CET tests: a vCPU with handlers for every vector.
 */
#include "tests/unit/test_cet.h"
#include "cpu/block.h"
#include "cpu/decode.h"
#include "cpu/run.h"

struct cet_run cet_run_new(unsigned cpl, bool steps)
{
	static const u8 handler[] = {0xf3, 0x0f, 0x1e, 0xfa, 0xf4};
	struct cet_run r = {.e = env_new()};

	r.v = r.e->v;
	r.decoder = decoder_new(&r.e->model);
	r.blocks = blocks_new(&r.e->mem);
	ck_assert(r.decoder && r.blocks);
	r.v->decoder = r.decoder;
	r.v->blocks = r.blocks;
	blocks_add_vcpu(r.blocks, r.v);
	env_long(r.e, cpl);
	r.v->cr4 |= CR4_CET;
	r.v->debugger = steps;
	for (unsigned n = 0; n < 32; n++) {
		env_gate(r.e, (u8)n, SYS_INT32 | AR_DPL, KCODE64, AT_HANDLER(n), 0);
		cet_code(&r, AT_HANDLER(n), handler, sizeof(handler));
	}
	vcpu_recompute(r.v);
	return r;
}

void cet_run_free(struct cet_run *r)
{
	decoder_free(r->decoder);
	blocks_free(r->blocks);
	env_free(r->e);
}

void cet_code(struct cet_run *r, u64 at, const void *code, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		env_poke(r->e, at + k, 1, ((const u8 *)code)[k]);
}

void cet_set(struct cet_run *r, u64 controls)
{
	*cet_controls(r->v, r->v->cpl) = controls;
	vcpu_recompute(r->v);
}

void cet_go(struct cet_run *r)
{
	vcpu_run(r->v, 200);
	ck_assert_int_eq(r->v->activity, ACT_HLT);
}

void cet_ended_in(const struct cet_run *r, u8 vector)
{
	ck_assert_uint_eq(r->v->rip, AT_HANDLER(vector) + 5);
}

void cet_ended_cp(const struct cet_run *r, u64 error)
{
	cet_ended_in(r, VEC_CP);
	ck_assert_uint_eq(env_peek(r->e, r->v->reg[RSP], 8), error);
}
