/*
 * Bytes to struct insn. The decoder is built once from the instruction table and shared read-only.
 */
#ifndef CPU_DECODE_H
#define CPU_DECODE_H

#include "cpu/insn.h"

struct cpu_model;

#define INSN_MAX_LEN 15

enum decode_status {
	DECODE_OK,
	DECODE_SHORT, /* more bytes are needed than were given */
	DECODE_UD,    /* no such instruction in this mode or model: #UD; out->len is still set */
	DECODE_LONG,  /* more than 15 bytes: #GP(0) */
};

struct decode_mode {
	u8 bits; /* default operand and address size: 16, 32 or 64 */
};

struct decoder;

struct decoder *decoder_new(const struct cpu_model *model);
void decoder_free(struct decoder *d);
/* avail: bytes readable at p; 15 are always enough. */
enum decode_status decode(const struct decoder *d, unsigned mode_bits, const u8 *p, unsigned avail,
			  struct insn *out);

/* Operand descriptions, from operand.def. */
enum operand_kind {
	KIND_NONE,
	KIND_RM,
	KIND_M,
	KIND_R,
	KIND_G,
	KIND_B,
	KIND_Z,
	KIND_I,
	KIND_J,
	KIND_A,
	KIND_O,
	KIND_S,
	KIND_C,
	KIND_D,
	KIND_V,
	KIND_W,
	KIND_H,
	KIND_L,
	KIND_U,
	KIND_P,
	KIND_Q,
	KIND_N,
	KIND_ST,
	KIND_F,
	KIND_X,
	KIND_Y
};
enum operand_size { SZ_V = 100, SZ_Z, SZ_Y, SZ_X, SZ_H, SZ_QV, SZ_EV };

struct operand_info {
	const char *name, *text;
	u8 kind, size;
};
extern const struct operand_info operand_info[];
/* Bytes of an operand of this instruction; 0 for special ones. */
unsigned operand_bytes(const struct insn *i, unsigned operand);

#endif
