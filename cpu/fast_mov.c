/*
 * Specialised data movement: MOV, MOVZX/MOVSX, LEA, PUSH/POP (64-bit mode), CMOVcc, SETcc and a few
 * one-instruction idioms that compilers use everywhere.
 */
#include "cpu/fast.h"
#include "cpu/fast_cond.h"
#include "cpu/fast_tables.h"

#define MOV_M(n, k)                                                                                \
	static HANDLER(mov_rm##k##n)                                                               \
	{                                                                                          \
		FOR_LOAD(EA_##k, n / 8);                                                           \
		SET##n(o->dst, PEEK(n, p));                                                        \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(mov_mr##k##n)                                                               \
	{                                                                                          \
		FOR_STORE(EA_##k, n / 8);                                                          \
		POKE(n, p, GET##n(o->src));                                                        \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(mov_mi##k##n)                                                               \
	{                                                                                          \
		FOR_STORE(EA_##k, n / 8);                                                          \
		POKE(n, p, o->imm);                                                                \
		NEXT;                                                                              \
	}
#define MOV(n)                                                                                     \
	static HANDLER(mov_rr##n)                                                                  \
	{                                                                                          \
		SET##n(o->dst, GET##n(o->src));                                                    \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(mov_ri##n)                                                                  \
	{                                                                                          \
		SET##n(o->dst, o->imm);                                                            \
		NEXT;                                                                              \
	}                                                                                          \
	MOV_M(n, A)                                                                                \
	MOV_M(n, B)
MOV(8)
MOV(16)
MOV(32)
MOV(64)
#define MOV_ROW(n)                                                                                 \
	{                                                                                          \
		mov_rr##n, mov_ri##n, mov_rmA##n, mov_rmB##n, mov_mrA##n, mov_mrB##n, mov_miA##n,  \
			mov_miB##n                                                                 \
	}
op_fn *const fast_mov[4][8] = {MOV_ROW(8), MOV_ROW(16), MOV_ROW(32), MOV_ROW(64)};

#define EXT_M(sign, cast, from, to, k)                                                             \
	static HANDLER(ext_##sign##from##_##to##m##k)                                              \
	{                                                                                          \
		FOR_LOAD(EA_##k, from / 8);                                                        \
		SET##to(o->dst, (cast##from)PEEK(from, p));                                        \
		NEXT;                                                                              \
	}
#define EXT(sign, cast, from, to)                                                                  \
	static HANDLER(ext_##sign##from##_##to##r)                                                 \
	{                                                                                          \
		SET##to(o->dst, (cast##from)GET##from(o->src));                                    \
		NEXT;                                                                              \
	}                                                                                          \
	EXT_M(sign, cast, from, to, A)                                                             \
	EXT_M(sign, cast, from, to, B)
EXT(z, u, 8, 16)
EXT(z, u, 8, 32)
EXT(z, u, 8, 64)
EXT(z, u, 16, 16)
EXT(z, u, 16, 32)
EXT(z, u, 16, 64)
EXT(s, s, 8, 16)
EXT(s, s, 8, 32)
EXT(s, s, 8, 64)
EXT(s, s, 16, 16)
EXT(s, s, 16, 32)
EXT(s, s, 16, 64)
EXT(s, s, 32, 32)
EXT(s, s, 32, 64)
#define EXT3(sign, from, to)                                                                       \
	{                                                                                          \
		ext_##sign##from##_##to##r, ext_##sign##from##_##to##mA,                           \
			ext_##sign##from##_##to##mB                                                \
	}
#define EXT_NONE                                                                                   \
	{                                                                                          \
		NULL, NULL, NULL                                                                   \
	}
op_fn *const fast_extend[2][3][3][3] = {
	{{EXT3(z, 8, 16), EXT3(z, 8, 32), EXT3(z, 8, 64)},
	 {EXT3(z, 16, 16), EXT3(z, 16, 32), EXT3(z, 16, 64)},
	 {EXT_NONE, EXT_NONE, EXT_NONE}},
	{{EXT3(s, 8, 16), EXT3(s, 8, 32), EXT3(s, 8, 64)},
	 {EXT3(s, 16, 16), EXT3(s, 16, 32), EXT3(s, 16, 64)},
	 {EXT_NONE, EXT3(s, 32, 32), EXT3(s, 32, 64)}},
};

/* LEA has no segment base: the translator gives it the zero one. */
#define LEA(n, k)                                                                                  \
	static HANDLER(lea##n##k)                                                                  \
	{                                                                                          \
		SET##n(o->dst, EA_##k);                                                            \
		NEXT;                                                                              \
	}
LEA(32, A)
LEA(32, B)
LEA(64, A)
LEA(64, B)
op_fn *const fast_lea[2][2] = {{lea32A, lea32B}, {lea64A, lea64B}};

/* IMUL: CF = OF = the product does not fit; the others are undefined. */
#define IMUL_BODY(n, wide)                                                                         \
	wide t = (wide)(s##n)a * (s##n)b;                                                          \
	u##n r = (u##n)t;                                                                          \
	FLAGS_SET(SX(n, r), (wide)(s##n)r != t ? AUX_CF : 0);                                      \
	SET##n(o->dst, r);                                                                         \
	NEXT
#define IMUL_M(n, wide, k)                                                                         \
	static HANDLER(imul_rm##k##n)                                                              \
	{                                                                                          \
		FOR_LOAD(EA_##k, n / 8);                                                           \
		u##n a = GET##n(o->dst), b = PEEK(n, p);                                           \
		IMUL_BODY(n, wide);                                                                \
	}
#define IMUL(n, wide)                                                                              \
	static HANDLER(imul_rr##n)                                                                 \
	{                                                                                          \
		u##n a = GET##n(o->dst), b = GET##n(o->src);                                       \
		IMUL_BODY(n, wide);                                                                \
	}                                                                                          \
	static HANDLER(imul_rri##n)                                                                \
	{                                                                                          \
		u##n a = GET##n(o->src), b = (u##n)o->imm;                                         \
		IMUL_BODY(n, wide);                                                                \
	}                                                                                          \
	IMUL_M(n, wide, A)                                                                         \
	IMUL_M(n, wide, B)
IMUL(32, s64)
IMUL(64, s128)
op_fn *const fast_imul[2][3] = {{imul_rr32, imul_rmA32, imul_rmB32},
				{imul_rr64, imul_rmA64, imul_rmB64}};
op_fn *const fast_imul_imm[2] = {imul_rri32, imul_rri64};

HANDLER(fast_push_r)
{
	FOR_STORE(c->reg[RSP] - 8, 8);
	store_le64(p, REG64(o->src));
	c->reg[RSP] -= 8;
	NEXT;
}

HANDLER(fast_push_i)
{
	FOR_STORE(c->reg[RSP] - 8, 8);
	store_le64(p, o->imm);
	c->reg[RSP] -= 8;
	NEXT;
}

HANDLER(fast_pop_r)
{
	FOR_LOAD(c->reg[RSP], 8);
	c->reg[RSP] += 8;
	REG64(o->dst) = load_le64(p);
	NEXT;
}

HANDLER(fast_leave)
{
	FOR_LOAD(c->reg[RBP], 8);
	c->reg[RSP] = c->reg[RBP] + 8;
	c->reg[RBP] = load_le64(p);
	NEXT;
}

HANDLER(fast_nop)
{
	NEXT;
}

HANDLER(fast_xchg32)
{
	u32 a = GET32(o->dst), b = GET32(o->src);

	SET32(o->dst, b);
	SET32(o->src, a);
	NEXT;
}

HANDLER(fast_xchg64)
{
	u64 a = GET64(o->dst), b = GET64(o->src);

	SET64(o->dst, b);
	SET64(o->src, a);
	NEXT;
}

HANDLER(fast_cwde)
{
	c->reg[RAX] = (u32)(s32)(s16)c->reg[RAX];
	NEXT;
}

HANDLER(fast_cdqe)
{
	c->reg[RAX] = (u64)(s64)(s32)c->reg[RAX];
	NEXT;
}

HANDLER(fast_cdq)
{
	c->reg[RDX] = (u32)((s32)c->reg[RAX] >> 31);
	NEXT;
}

HANDLER(fast_cqo)
{
	c->reg[RDX] = (u64)((s64)c->reg[RAX] >> 63);
	NEXT;
}

HANDLER(fast_bswap32)
{
	SET32(o->dst, __builtin_bswap32(GET32(o->dst)));
	NEXT;
}

HANDLER(fast_bswap64)
{
	SET64(o->dst, __builtin_bswap64(GET64(o->dst)));
	NEXT;
}

/* BT: only CF is defined to change; ZF must not, SF OF PF AF are undefined and kept. */
static inline void bt_flag(struct vcpu *c, u64 bit)
{
	u64 of = (c->fl_aux ^ c->fl_aux << 1) & AUX_CF;
	u64 cf = bit << 63;

	c->fl_aux = (c->fl_aux & ~(AUX_CF | AUX_PO)) | cf | (cf ^ of) >> 1;
}

HANDLER(fast_bt32)
{
	bt_flag(c, GET32(o->dst) >> (GET32(o->src) & 31) & 1);
	NEXT;
}

HANDLER(fast_bt64)
{
	bt_flag(c, GET64(o->dst) >> (GET64(o->src) & 63) & 1);
	NEXT;
}

HANDLER(fast_bt_imm)
{
	bt_flag(c, GET64(o->dst) >> o->imm & 1);
	NEXT;
}

#define CMOV(cc)                                                                                   \
	static HANDLER(cmov_##cc##_32)                                                             \
	{                                                                                          \
		SET32(o->dst, COND_##cc ? GET32(o->src) : GET32(o->dst));                          \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(cmov_##cc##_64)                                                             \
	{                                                                                          \
		SET64(o->dst, COND_##cc ? GET64(o->src) : GET64(o->dst));                          \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(cmov_##cc##_m32)                                                            \
	{                                                                                          \
		FOR_LOAD(EA_B, 4);                                                                 \
		SET32(o->dst, COND_##cc ? PEEK(32, p) : GET32(o->dst));                            \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(cmov_##cc##_m64)                                                            \
	{                                                                                          \
		FOR_LOAD(EA_B, 8);                                                                 \
		SET64(o->dst, COND_##cc ? PEEK(64, p) : GET64(o->dst));                            \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(set_##cc)                                                                   \
	{                                                                                          \
		SET8(o->dst, COND_##cc ? 1 : 0);                                                   \
		NEXT;                                                                              \
	}
FOR_ALL_COND(CMOV)
#define CMOV_ROW(cc) {cmov_##cc##_32, cmov_##cc##_64},
#define CMOVM_ROW(cc) {cmov_##cc##_m32, cmov_##cc##_m64},
#define SET_ROW(cc) set_##cc,
op_fn *const fast_cmov[16][2] = {FOR_ALL_COND(CMOV_ROW)};
op_fn *const fast_cmov_m[16][2] = {FOR_ALL_COND(CMOVM_ROW)};
op_fn *const fast_setcc[16] = {FOR_ALL_COND(SET_ROW)};
