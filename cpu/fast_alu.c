/*
 * Specialised integer ALU handlers: eight operations by size, operand form and whether the flags
 * can be seen, stamped out from one body each. Forms: rr ri rm mr mi, memory with address kind A
 * (base+displacement) or B (everything).
 */
#include "cpu/fast.h"
#include "cpu/fast_tables.h"

#define MASKED_ADD(n, a, b, r) flags_aux(ADD_CARRIES((u64)(a), (u64)(b), (u64)(r)), n)
#define MASKED_SUB(n, a, b, r) flags_aux(SUB_CARRIES((u64)(a), (u64)(b), (u64)(r)), n)

/* Each: computes u##n r from u##n a, b; F also the flags. */
#define DO_add(n) u##n r = (u##n)(a + b)
#define DO_or(n) u##n r = (u##n)(a | b)
#define DO_adc(n) u##n r = (u##n)(a + b + (u##n)flag_c(c))
#define DO_sbb(n) u##n r = (u##n)(a - b - (u##n)flag_c(c))
#define DO_and(n) u##n r = (u##n)(a & b)
#define DO_sub(n) u##n r = (u##n)(a - b)
#define DO_xor(n) u##n r = (u##n)(a ^ b)
#define DO_cmp(n) DO_sub(n)
#define DO_test(n) DO_and(n)
#define FL_add(n) FLAGS_SET(SX(n, r), MASKED_ADD(n, a, b, r))
#define FL_or(n) FLAGS_SET(SX(n, r), 0)
#define FL_adc(n) FL_add(n)
#define FL_sbb(n) FLAGS_SET(SX(n, r), MASKED_SUB(n, a, b, r))
#define FL_and(n) FL_or(n)
#define FL_sub(n) FL_sbb(n)
#define FL_xor(n) FL_or(n)
#define FL_cmp(n) FL_sbb(n)
#define FL_test(n) FL_or(n)
#define NF(n) (void)0

/* dst op= src, n bits. */
#define ALU_RR(op, n, sfx, FL)                                                                     \
	static HANDLER(op##_rr##n##sfx)                                                            \
	{                                                                                          \
		u##n a = GET##n(o->dst), b = GET##n(o->src);                                       \
		DO_##op(n);                                                                        \
		FL;                                                                                \
		SET##n(o->dst, r);                                                                 \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(op##_ri##n##sfx)                                                            \
	{                                                                                          \
		u##n a = GET##n(o->dst), b = (u##n)o->imm;                                         \
		DO_##op(n);                                                                        \
		FL;                                                                                \
		SET##n(o->dst, r);                                                                 \
		NEXT;                                                                              \
	}
#define ALU_RM(op, n, k)                                                                           \
	static HANDLER(op##_rm##k##n)                                                              \
	{                                                                                          \
		FOR_LOAD(EA_##k, n / 8);                                                           \
		u##n a = GET##n(o->dst), b = PEEK(n, p);                                           \
		DO_##op(n);                                                                        \
		FL_##op(n);                                                                        \
		SET##n(o->dst, r);                                                                 \
		NEXT;                                                                              \
	}
#define ALU_MR(op, n, k)                                                                           \
	static HANDLER(op##_mr##k##n)                                                              \
	{                                                                                          \
		FOR_STORE(EA_##k, n / 8);                                                          \
		u##n a = PEEK(n, p), b = GET##n(o->src);                                           \
		DO_##op(n);                                                                        \
		FL_##op(n);                                                                        \
		POKE(n, p, r);                                                                     \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(op##_mi##k##n)                                                              \
	{                                                                                          \
		FOR_STORE(EA_##k, n / 8);                                                          \
		u##n a = PEEK(n, p), b = (u##n)o->imm;                                             \
		DO_##op(n);                                                                        \
		FL_##op(n);                                                                        \
		POKE(n, p, r);                                                                     \
		NEXT;                                                                              \
	}
#define ALU_N(op, n)                                                                               \
	ALU_RR(op, n, , FL_##op(n))                                                                \
	ALU_RR(op, n, _nf, NF(n))                                                                  \
	ALU_RM(op, n, A)                                                                           \
	ALU_RM(op, n, B)                                                                           \
	ALU_MR(op, n, A)                                                                           \
	ALU_MR(op, n, B)
#define ALU(op) ALU_N(op, 8) ALU_N(op, 16) ALU_N(op, 32) ALU_N(op, 64)
ALU(add)
ALU(or)
ALU(adc)
ALU(sbb)
ALU(and)
ALU(sub)
ALU(xor)

/* cmp and test write no operand. */
#define CMP_RR(op, n)                                                                              \
	static HANDLER(op##_rr##n)                                                                 \
	{                                                                                          \
		u##n a = GET##n(o->dst), b = GET##n(o->src);                                       \
		DO_##op(n);                                                                        \
		FL_##op(n);                                                                        \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(op##_ri##n)                                                                 \
	{                                                                                          \
		u##n a = GET##n(o->dst), b = (u##n)o->imm;                                         \
		DO_##op(n);                                                                        \
		FL_##op(n);                                                                        \
		NEXT;                                                                              \
	}
#define CMP_M(op, n, k)                                                                            \
	static HANDLER(op##_rm##k##n)                                                              \
	{                                                                                          \
		FOR_LOAD(EA_##k, n / 8);                                                           \
		u##n a = GET##n(o->dst), b = PEEK(n, p);                                           \
		DO_##op(n);                                                                        \
		FL_##op(n);                                                                        \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(op##_mr##k##n)                                                              \
	{                                                                                          \
		FOR_LOAD(EA_##k, n / 8);                                                           \
		u##n a = PEEK(n, p), b = GET##n(o->src);                                           \
		DO_##op(n);                                                                        \
		FL_##op(n);                                                                        \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(op##_mi##k##n)                                                              \
	{                                                                                          \
		FOR_LOAD(EA_##k, n / 8);                                                           \
		u##n a = PEEK(n, p), b = (u##n)o->imm;                                             \
		DO_##op(n);                                                                        \
		FL_##op(n);                                                                        \
		NEXT;                                                                              \
	}
#define CMP_N(op, n) CMP_RR(op, n) CMP_M(op, n, A) CMP_M(op, n, B)
#define CMP(op) CMP_N(op, 8) CMP_N(op, 16) CMP_N(op, 32) CMP_N(op, 64)
CMP(cmp)
CMP(test)

#define ROW_N(op, n)                                                                               \
	{                                                                                          \
		{op##_rr##n, op##_rr##n##_nf}, {op##_ri##n, op##_ri##n##_nf},                      \
			{op##_rmA##n, op##_rmB##n}, {op##_mrA##n, op##_mrB##n},                    \
		{                                                                                  \
			op##_miA##n, op##_miB##n                                                   \
		}                                                                                  \
	}
#define CROW_N(op, n)                                                                              \
	{                                                                                          \
		{op##_rr##n, op##_rr##n}, {op##_ri##n, op##_ri##n}, {op##_rmA##n, op##_rmB##n},    \
			{op##_mrA##n, op##_mrB##n},                                                \
		{                                                                                  \
			op##_miA##n, op##_miB##n                                                   \
		}                                                                                  \
	}
#define ROW(op)                                                                                    \
	{                                                                                          \
		ROW_N(op, 8), ROW_N(op, 16), ROW_N(op, 32), ROW_N(op, 64)                          \
	}
#define CROW(op)                                                                                   \
	{                                                                                          \
		CROW_N(op, 8), CROW_N(op, 16), CROW_N(op, 32), CROW_N(op, 64)                      \
	}

op_fn *const fast_alu[9][4][5][2] = {ROW(add), ROW(or),	 ROW(adc),  ROW(sbb),  ROW(and),
				     ROW(sub), ROW(xor), CROW(cmp), CROW(test)};

/* --- one operand: inc dec neg not --- */
static inline u64 inc_dec_aux(const struct vcpu *c, u64 carries, unsigned n)
{
	u64 cf = c->fl_aux & AUX_CF, of = ((carries >> (n - 1)) ^ (carries >> (n - 2))) & 1;

	return cf | (((cf >> 63) ^ of) << 62) | (carries & AUX_AF);
}
#define DO_inc(n) u##n r = (u##n)(a + 1)
#define DO_dec(n) u##n r = (u##n)(a - 1)
#define DO_neg(n) u##n r = (u##n)(0 - a)
#define DO_not(n) u##n r = (u##n) ~a
#define FL_inc(n) FLAGS_SET(SX(n, r), inc_dec_aux(c, ADD_CARRIES((u64)a, 1ull, (u64)r), n))
#define FL_dec(n) FLAGS_SET(SX(n, r), inc_dec_aux(c, SUB_CARRIES((u64)a, 1ull, (u64)r), n))
#define FL_neg(n) FLAGS_SET(SX(n, r), flags_aux(SUB_CARRIES(0ull, (u64)a, (u64)r), n))
#define FL_not(n) (void)0
#define UNARY_M(op, n, k)                                                                          \
	static HANDLER(op##_m##k##n)                                                               \
	{                                                                                          \
		FOR_STORE(EA_##k, n / 8);                                                          \
		u##n a = PEEK(n, p);                                                               \
		DO_##op(n);                                                                        \
		FL_##op(n);                                                                        \
		POKE(n, p, r);                                                                     \
		NEXT;                                                                              \
	}
#define UNARY_N(op, n)                                                                             \
	static HANDLER(op##_r##n)                                                                  \
	{                                                                                          \
		u##n a = GET##n(o->dst);                                                           \
		DO_##op(n);                                                                        \
		FL_##op(n);                                                                        \
		SET##n(o->dst, r);                                                                 \
		NEXT;                                                                              \
	}                                                                                          \
	UNARY_M(op, n, A)                                                                          \
	UNARY_M(op, n, B)
#define UNARY(op) UNARY_N(op, 8) UNARY_N(op, 16) UNARY_N(op, 32) UNARY_N(op, 64)
UNARY(inc)
UNARY(dec)
UNARY(neg)
UNARY(not )
#define UROW_N(op, n)                                                                              \
	{                                                                                          \
		op##_r##n, op##_mA##n, op##_mB##n                                                  \
	}
#define UROW(op)                                                                                   \
	{                                                                                          \
		UROW_N(op, 8), UROW_N(op, 16), UROW_N(op, 32), UROW_N(op, 64)                      \
	}
op_fn *const fast_unary[4][4][3] = {UROW(inc), UROW(dec), UROW(neg), UROW(not )};

/* --- shifts and rotates by a constant 1..n-1, registers of 32 and 64 bits; flags seen or not --- */
#define SHIFT_AUX(cf, po) (((u64)(cf) << 63) | ((u64)((cf) ^ (po)) << 62))
#define SH_shl(n) u##n r = (u##n)(a << s)
#define SH_shr(n) u##n r = (u##n)(a >> s)
#define SH_sar(n) u##n r = (u##n)((s##n)a >> s)
#define SH_rol(n) u##n r = (u##n)((a << s) | (a >> (n - s)))
#define SH_ror(n) u##n r = (u##n)((a >> s) | (a << (n - s)))
#define SF_shl(n)                                                                                  \
	do {                                                                                       \
		unsigned cf = (unsigned)(a >> (n - s)) & 1, of = (unsigned)(r >> (n - 1)) ^ cf;    \
		FLAGS_SET(SX(n, r), SHIFT_AUX(cf, of));                                            \
	} while (0)
#define SF_shr(n)                                                                                  \
	do {                                                                                       \
		unsigned cf = (unsigned)(a >> (s - 1)) & 1, of = (unsigned)(a >> (n - 1));         \
		FLAGS_SET(SX(n, r), SHIFT_AUX(cf, of));                                            \
	} while (0)
#define SF_sar(n)                                                                                  \
	do {                                                                                       \
		unsigned cf = (unsigned)(a >> (s - 1)) & 1;                                        \
		FLAGS_SET(SX(n, r), SHIFT_AUX(cf, 0));                                             \
	} while (0)
/* Rotates keep SF ZF AF PF: only the top two bits of fl_aux change. */
#define ROT_FLAGS(cf, of) (c->fl_aux = (c->fl_aux & ~(AUX_CF | AUX_PO)) | SHIFT_AUX(cf, of))
#define SF_rol(n)                                                                                  \
	do {                                                                                       \
		unsigned cf = (unsigned)r & 1, of = (unsigned)(r >> (n - 1)) ^ cf;                 \
		ROT_FLAGS(cf, of);                                                                 \
	} while (0)
#define SF_ror(n)                                                                                  \
	do {                                                                                       \
		unsigned cf = (unsigned)(r >> (n - 1)) & 1,                                        \
			 of = cf ^ ((unsigned)(r >> (n - 2)) & 1);                                 \
		ROT_FLAGS(cf, of);                                                                 \
	} while (0)
#define SHIFT_I(op, n, sfx, FL)                                                                    \
	static HANDLER(op##_i##n##sfx)                                                             \
	{                                                                                          \
		u##n a = GET##n(o->dst);                                                           \
		unsigned s = (unsigned)o->imm;                                                     \
		SH_##op(n);                                                                        \
		FL;                                                                                \
		SET##n(o->dst, r);                                                                 \
		NEXT;                                                                              \
	}
/* By CL: a count of 0 changes no flag. */
#define SHIFT_CL(op, n)                                                                            \
	static HANDLER(op##_c##n)                                                                  \
	{                                                                                          \
		u##n a = GET##n(o->dst);                                                           \
		unsigned s = (unsigned)c->reg[RCX] & (n - 1);                                      \
		if (s) {                                                                           \
			SH_##op(n);                                                                \
			SF_##op(n);                                                                \
			SET##n(o->dst, r);                                                         \
		} else {                                                                           \
			SET##n(o->dst, a);                                                         \
		}                                                                                  \
		NEXT;                                                                              \
	}
#define SHIFT_N(op, n) SHIFT_I(op, n, , SF_##op(n)) SHIFT_I(op, n, _nf, (void)0) SHIFT_CL(op, n)
#define SHIFT(op) SHIFT_N(op, 32) SHIFT_N(op, 64)
SHIFT(rol)
SHIFT(ror)
SHIFT(shl)
SHIFT(shr)
SHIFT(sar)
#define SROW(op)                                                                                   \
	{                                                                                          \
		{op##_i32, op##_i32_nf, op##_c32},                                                 \
		{                                                                                  \
			op##_i64, op##_i64_nf, op##_c64                                            \
		}                                                                                  \
	}
#define SNONE                                                                                      \
	{                                                                                          \
		{NULL, NULL, NULL},                                                                \
		{                                                                                  \
			NULL, NULL, NULL                                                           \
		}                                                                                  \
	}
op_fn *const fast_shift[8][2][3] = {SROW(rol), SROW(ror), SNONE,     SNONE,
				    SROW(shl), SROW(shr), SROW(shl), SROW(sar)};
