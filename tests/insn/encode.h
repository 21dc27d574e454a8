/*
 * From a row of the instruction table to bytes: the decoder backwards, written from the table's
 * columns and not from the decoder.
 */
#ifndef TESTS_INSN_ENCODE_H
#define TESTS_INSN_ENCODE_H

#include "cpu/decode.h"
#include "cpu/insn.h"
#include "tests/insn/values.h"

#define ENC_MAX 32 /* more than an instruction may have: over-long ones are made on purpose */

struct enc {
	const struct insn_row *row;
	unsigned bits; /* 16, 32 or 64 */
	u8 legacy[8], nlegacy;
	bool w, r, x, b, rex; /* rex: emit it though all bits are 0 */
	bool vex, vex3, l;
	u8 pp, vvvv;
	bool modrm, mem;
	u8 reg, rm;	       /* low three bits; the others are in r and b */
	u8 base, index, scale; /* full numbers, REG_RIP, REG_NONE */
	bool vsib, wide_disp, addr16;
	s32 disp;
	u8 opsize, addrsize;
	u8 imm[16], nimm;
};

/* A random legal encoding of the row in a mode; register numbers and displacements are random. */
void enc_random(struct enc *e, const struct insn_row *row, unsigned bits, struct rng *rng);
/* Sets where the memory operand is. */
void enc_set_mem(struct enc *e, u8 base, u8 index, u8 scale, s32 disp);
/* Returns the length. */
unsigned enc_bytes(const struct enc *e, u8 out[ENC_MAX]);
bool row_has_kind(const struct insn_row *r, u8 kind);
/* True if the row's encodings may have a memory operand, or must have one. */
bool row_may_mem(const struct insn_row *r);
bool row_must_mem(const struct insn_row *r);

#endif
