/*
 * Tables of specialised handlers, by operation, size (0..3 for 8..64 bits) and form.
 */
#ifndef CPU_FAST_TABLES_H
#define CPU_FAST_TABLES_H

#include "cpu/block.h"

enum fast_form { FORM_RR, FORM_RI, FORM_RM, FORM_MR, FORM_MI };

/* [add or adc sbb and sub xor cmp test][size][form][RR, RI: 1 = flags dead; memory: address kind] */
extern op_fn *const fast_alu[9][4][5][2];
/* [inc dec neg not][size][register, memory A, memory B] */
extern op_fn *const fast_unary[4][4][3];
/* [ModRM.reg of group 2][32, 64 bits][constant, constant with flags dead, CL] */
extern op_fn *const fast_shift[8][2][3];
/* mov: [size][rr, ri, rm A, rm B, mr A, mr B, mi A, mi B] */
extern op_fn *const fast_mov[4][8];
/* movzx, movsx: [signed][source 8, 16, 32][destination 16, 32, 64][register, memory A, B] */
extern op_fn *const fast_extend[2][3][3][3];
/* lea: [32, 64][A, B] */
extern op_fn *const fast_lea[2][2];
/* imul r, r/m: [32, 64][rr, rm A, rm B], and with an immediate [32, 64][rr] */
extern op_fn *const fast_imul[2][3], *const fast_imul_imm[2];
extern op_fn fast_push_r, fast_push_i, fast_pop_r, fast_leave, fast_nop, fast_xchg32, fast_xchg64;
extern op_fn fast_cdqe, fast_cwde, fast_cdq, fast_cqo, fast_bswap32, fast_bswap64;
extern op_fn fast_bt32, fast_bt64, fast_bt_imm;
/* [condition][32, 64] */
extern op_fn *const fast_cmov[16][2];
extern op_fn *const fast_cmov_m[16][2];
extern op_fn *const fast_setcc[16];
/* Branches: [condition]; and compare fused with branch: [cmp 0, test 1][form RR RI RM MI][size][condition]
 * with address kind A only; NULL where there is none. */
extern op_fn *const fast_jcc[16], *const fast_jcc_far[16];
extern op_fn *const fast_fused[2][4][4][16];
extern op_fn fast_jmp_r, fast_jmp_mA, fast_jmp_mB, fast_call_rel, fast_call_rel_far, fast_call_r,
	fast_call_mA, fast_call_mB, fast_ret, fast_ret_imm;

/* Legacy SSE instructions; kind: of the memory operand (0 for register forms), -1 no fast address.
 * The address fields of o are filled. Returns the slots written. */
unsigned fast_sse(const struct insn *i, int kind, struct op *o);

#endif
