/*
 * Specialised SSE handlers for what compilers and C libraries use most: 16-byte moves and the
 * common packed integer operations of registers and aligned memory. The kernels are those of the
 * complete handlers (vec_int.h, vec_shuf.h). A handler that may not run now (CR0.EM, TS,
 * CR4.OSFXSR) goes the complete way, which raises what is due.
 */
#include "cpu/fast.h"
#include "cpu/fast_tables.h"
#include "cpu/insn_protos.h"
#include "cpu/vec.h"
#include "cpu/vec_int.h"
#include "cpu/vec_shuf.h"

#define GUARD                                                                                      \
	if (unlikely(c->attr_trap & A_SSE))                                                        \
	DISPATCH_FN(op_slow_exec, o)
#define XMM(n) (&c->ymm[(n)])
#define ALIGNED                                                                                    \
	if (unlikely(ea_ & 15))                                                                    \
	DISPATCH_FN(op_slow_exec, o)
#define LOAD16(ea) TLB_ACCESS(ld, op_slow_load16, ea, 16)
#define STORE16(ea) TLB_ACCESS(st, op_slow_store16, ea, 16)

static inline union lane peek16(const u8 *p)
{
	union lane l;

	memcpy(&l, p, 16);
	return l;
}

/* --- packed operations: reg op= reg or aligned memory --- */
#define PACKED(name)                                                                               \
	static HANDLER(name##_rr)                                                                  \
	{                                                                                          \
		GUARD;                                                                             \
		lane_put(XMM(o->dst), 0,                                                           \
			 k_##name(lane_get(XMM(o->dst), 0), lane_get(XMM(o->src), 0),              \
				  (unsigned)o->imm));                                              \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(name##_m)                                                                   \
	{                                                                                          \
		GUARD;                                                                             \
		LOAD16(EA_B);                                                                      \
		ALIGNED;                                                                           \
		lane_put(XMM(o->dst), 0,                                                           \
			 k_##name(lane_get(XMM(o->dst), 0), peek16(p), (unsigned)o->imm));         \
		NEXT;                                                                              \
	}
/* clang-format off */
#define FOR_PACKED(X)                                                                              \
	X(pxor) X(por) X(pand) X(pandn) X(paddb) X(paddw) X(paddd) X(paddq) X(psubb) X(psubw)      \
	X(psubd) X(psubq) X(pcmpeqb) X(pcmpeqw) X(pcmpeqd) X(pminub) X(pmaxub) X(punpcklbw)        \
	X(punpcklwd) X(punpckldq) X(punpcklqdq) X(punpckhbw) X(punpckhwd) X(punpckhdq)             \
	X(punpckhqdq) X(pshufd) X(pshufb) X(palignr) X(shufps) X(pmuludq) X(pmulld)
/* clang-format on */
FOR_PACKED(PACKED)

/* --- shifts by an immediate: the count is in a lane, as the kernels want it --- */
#define SHIFT_BY_IMM(name)                                                                         \
	static HANDLER(name##_i)                                                                   \
	{                                                                                          \
		union lane n = {.q = {o->imm, 0}};                                                 \
		GUARD;                                                                             \
		lane_put(XMM(o->dst), 0, k_##name(lane_get(XMM(o->dst), 0), n, 0));                \
		NEXT;                                                                              \
	}
#define FOR_SHIFTS(X) X(psrld) X(psrlq) X(pslld) X(psllq) X(psrad) X(psrldq) X(pslldq)
FOR_SHIFTS(SHIFT_BY_IMM)

/* --- moves --- */
static HANDLER(mov16_rr)
{
	GUARD;
	lane_put(XMM(o->dst), 0, lane_get(XMM(o->src), 0));
	NEXT;
}

#define MOVES(k, sfx, CHECK)                                                                       \
	static HANDLER(load16##sfx##k)                                                             \
	{                                                                                          \
		GUARD;                                                                             \
		LOAD16(EA_##k);                                                                    \
		CHECK;                                                                             \
		lane_put(XMM(o->dst), 0, peek16(p));                                               \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(store16##sfx##k)                                                            \
	{                                                                                          \
		GUARD;                                                                             \
		STORE16(EA_##k);                                                                   \
		CHECK;                                                                             \
		memcpy(p, &XMM(o->src)->q[0], 16);                                                 \
		NEXT;                                                                              \
	}
MOVES(A, a, ALIGNED)
MOVES(B, a, ALIGNED)
MOVES(A, u, (void)0)
MOVES(B, u, (void)0)

/* MOVQ, MOVSD, MOVD, MOVSS between memory and the low element; loads clear the rest. */
#define LOW(n, k)                                                                                  \
	static HANDLER(loadlow##n##k)                                                              \
	{                                                                                          \
		GUARD;                                                                             \
		FOR_LOAD(EA_##k, n / 8);                                                           \
		XMM(o->dst)->q[0] = PEEK(n, p);                                                    \
		XMM(o->dst)->q[1] = 0;                                                             \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(storelow##n##k)                                                             \
	{                                                                                          \
		GUARD;                                                                             \
		FOR_STORE(EA_##k, n / 8);                                                          \
		POKE(n, p, XMM(o->src)->q[0]);                                                     \
		NEXT;                                                                              \
	}
LOW(32, A)
LOW(32, B)
LOW(64, A)
LOW(64, B)

#define GPR(n)                                                                                     \
	static HANDLER(fromgpr##n)                                                                 \
	{                                                                                          \
		GUARD;                                                                             \
		XMM(o->dst)->q[0] = GET##n(o->src);                                                \
		XMM(o->dst)->q[1] = 0;                                                             \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(togpr##n)                                                                   \
	{                                                                                          \
		GUARD;                                                                             \
		SET##n(o->dst, XMM(o->src)->q[0]);                                                 \
		NEXT;                                                                              \
	}
GPR(32)
GPR(64)

static HANDLER(movmask)
{
	const union vreg *s = XMM(o->src);
	u32 mask = 0;

	GUARD;
	for (unsigned k = 0; k < 16; k++)
		mask |= (u32)(s->b[k] >> 7) << k;
	SET32(o->dst, mask);
	NEXT;
}

/* --- tables --- */
static const struct {
	exec_fn *exec;
	op_fn *rr, *m;
} packed[] = {
#define PACKED_ROW(name) {x_##name, name##_rr, name##_m},
	FOR_PACKED(PACKED_ROW)};

static const struct {
	exec_fn *exec;
	op_fn *fn;
} shifts[] = {
#define SHIFT_ROW(name) {x_##name##_imm, name##_i},
	FOR_SHIFTS(SHIFT_ROW)};

static unsigned put(struct op *o, op_fn *fn, unsigned dst, unsigned src)
{
	o->fn = fn;
	o->dst = (u8)dst;
	o->src = (u8)src;
	return 1;
}

static unsigned move16(const struct insn *i, int kind, bool store, struct op *o)
{
	static op_fn *const fn[2][2][2] = {{{load16uA, load16uB}, {store16uA, store16uB}},
					   {{load16aA, load16aB}, {store16aA, store16aB}}};

	if (i->mod == 3)
		return put(o, mov16_rr, store ? i->rm : i->reg, store ? i->reg : i->rm);
	return put(o, fn[i->row->attr & A_ALIGN ? 1 : 0][store][kind], i->reg, i->reg);
}

static unsigned move_low(const struct insn *i, int kind, bool store, struct op *o)
{
	static op_fn *const fn[2][2][2] = {{{loadlow32A, loadlow32B}, {storelow32A, storelow32B}},
					   {{loadlow64A, loadlow64B}, {storelow64A, storelow64B}}};

	if (i->mod == 3 || (i->nbytes_op != 4 && i->nbytes_op != 8))
		return 0;
	return put(o, fn[i->nbytes_op == 8][store][kind], i->reg, i->reg);
}

static unsigned move_gpr(const struct insn *i, int kind, bool store, struct op *o)
{
	bool wide = i->nbytes_op == 8;

	if (i->mod != 3)
		return move_low(i, kind, store, o);
	if (store)
		return put(o, wide ? togpr64 : togpr32, i->rm * 8u, i->reg);
	return put(o, wide ? fromgpr64 : fromgpr32, i->reg, i->rm * 8u);
}

unsigned fast_sse(const struct insn *i, int kind, struct op *o)
{
	exec_fn *e = i->exec;

	if (kind < 0)
		return 0;
	o->imm = i->imm;
	if (e == x_mov_load || e == x_mov_store)
		return move16(i, kind, e == x_mov_store, o);
	if (e == x_movq_load || e == x_movlow_store || (e == x_movq_store && i->mod != 3))
		return move_low(i, kind, e != x_movq_load, o);
	if (e == x_movd_load || e == x_movd_store)
		return move_gpr(i, kind, e == x_movd_store, o);
	if (e == x_pmovmskb)
		return put(o, movmask, i->reg * 8u, i->rm);
	for (unsigned k = 0; k < ARRAY_SIZE(packed); k++)
		if (packed[k].exec == e)
			return put(o, i->mod == 3 ? packed[k].rr : packed[k].m, i->reg, i->rm);
	for (unsigned k = 0; k < ARRAY_SIZE(shifts); k++)
		if (shifts[k].exec == e)
			return put(o, shifts[k].fn, i->rm, 0);
	return 0;
}
