/*
 * Chooses specialised handlers: struct insn to one op (two with a fused branch). Anything without a
 * fast form stays generic. Only flat code segments run fast: 64-bit mode, and 32-bit mode with
 * zero-based segments.
 */
#include "cpu/fast.h"
#include "cpu/fast_tables.h"
#include "cpu/insn_protos.h"

#define OFF_ZERO ((u8)offsetof(struct vcpu, zero))
#define OFF_RIPBASE ((u8)offsetof(struct vcpu, ripbase))
_Static_assert(offsetof(struct vcpu, ripbase) < 256, "byte offsets");

struct xlat {
	const struct vcpu *v;
	const struct insn *i;
	struct op *o;
	bool live;
	bool is64;
	u16 next_off; /* page offset behind the instruction */
	unsigned sz;  /* 0..3 for 8..64 bits */
};

static u8 reg_off(const struct insn *i, unsigned n, unsigned size)
{
	if (size == 1 && n >= 4 && n < 8 && !(i->prefix & (P_REX | P_VEX)))
		return (u8)((n - 4) * 8 + 1);
	return (u8)(n * 8);
}

static unsigned size_index(unsigned bytes)
{
	return bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
}

/* Fills the address fields; returns the kind: 0 A, 1 B, -1 none. */
static int address(const struct xlat *x, bool lea)
{
	const struct insn *i = x->i;
	struct op *o = x->o;
	bool fs_gs = i->seg >= SEG_FS && !lea;

	if (i->addrsize != (x->is64 ? 8 : 4) || (fs_gs && !x->is64))
		return -1;
	o->disp = i->disp;
	o->base = i->base == REG_NONE ? OFF_ZERO : (u8)(i->base * 8);
	if (i->base == REG_RIP) {
		o->base = OFF_RIPBASE;
		o->disp += x->next_off;
	}
	o->index = i->index == REG_NONE ? OFF_ZERO : (u8)(i->index * 8);
	o->scale = (u8)(i->scale | (fs_gs ? i->seg << 2 : 0));
	return !x->is64 || fs_gs || i->index != REG_NONE;
}

static unsigned alu_form(const struct xlat *x, unsigned op, enum fast_form form, bool mem)
{
	int kind = 0;

	if (mem) {
		kind = address(x, false);
		if (kind < 0)
			return 0;
		x->o->fn = fast_alu[op][x->sz][form][kind];
	} else {
		x->o->fn = fast_alu[op][x->sz][form][!x->live];
	}
	return 1;
}

/* 00-3F: op E,G  G,E  acc,imm; TEST 84/85, A8/A9. */
static unsigned tr_alu(const struct xlat *x, unsigned op, unsigned low)
{
	const struct insn *i = x->i;
	unsigned n = i->opsize;
	bool mem = i->mod != 3 && low < 4;

	if (low >= 4) {
		x->o->dst = 0;
		x->o->imm = i->imm;
		return alu_form(x, op, FORM_RI, false);
	}
	if (low < 2) { /* E, G */
		x->o->src = reg_off(i, i->reg, n);
		x->o->dst = reg_off(i, i->rm, n);
		return alu_form(x, op, mem ? FORM_MR : FORM_RR, mem);
	}
	x->o->dst = reg_off(i, i->reg, n);
	x->o->src = reg_off(i, i->rm, n);
	return alu_form(x, op, mem ? FORM_RM : FORM_RR, mem);
}

static unsigned tr_alu_imm(const struct xlat *x, unsigned op)
{
	const struct insn *i = x->i;

	x->o->imm = i->imm;
	x->o->dst = reg_off(i, i->rm, i->opsize);
	return alu_form(x, op, i->mod == 3 ? FORM_RI : FORM_MI, i->mod != 3);
}

static unsigned tr_unary(const struct xlat *x, unsigned op)
{
	const struct insn *i = x->i;
	int kind;

	x->o->dst = reg_off(i, i->rm, i->opsize);
	if (i->mod == 3) {
		x->o->fn = fast_unary[op][x->sz][0];
		return 1;
	}
	kind = address(x, false);
	if (kind < 0)
		return 0;
	x->o->fn = fast_unary[op][x->sz][1 + kind];
	return 1;
}

static unsigned tr_shift(const struct xlat *x)
{
	const struct insn *i = x->i;
	unsigned count = i->opcode >= 0xd2 ? 0 : i->opcode >= 0xd0 ? 1 : (unsigned)i->imm;
	bool by_cl = i->opcode >= 0xd2;
	op_fn *const *row;

	if (i->mod != 3 || i->opsize < 4)
		return 0;
	row = fast_shift[i->reg & 7][i->opsize == 8];
	count &= i->opsize * 8u - 1;
	if (!row[0] || (!by_cl && count == 0))
		return 0;
	x->o->dst = reg_off(i, i->rm, i->opsize);
	x->o->imm = count;
	x->o->fn = row[by_cl ? 2 : !x->live];
	return 1;
}

enum { MOV_RR, MOV_RI, MOV_RM, MOV_MR = 4, MOV_MI = 6 };

static unsigned tr_mov(const struct xlat *x, unsigned form)
{
	const struct insn *i = x->i;
	int kind = 0;

	if (form >= MOV_RM) {
		kind = address(x, false);
		if (kind < 0)
			return 0;
	}
	if (form == MOV_RI || form == MOV_MI)
		x->o->imm = i->imm;
	x->o->fn = fast_mov[x->sz][form + (unsigned)kind];
	return 1;
}

static unsigned tr_mov_any(const struct xlat *x)
{
	const struct insn *i = x->i;
	unsigned n = i->opsize;
	bool mem = i->mod != 3;

	if (i->exec == x_mov_zi) {
		x->o->dst = reg_off(i, i->rm, n);
		return tr_mov(x, MOV_RI);
	}
	if (i->exec == x_mov_ei) {
		x->o->dst = reg_off(i, i->rm, n);
		return tr_mov(x, mem ? MOV_MI : MOV_RI);
	}
	if (i->exec == x_mov_eg) {
		x->o->dst = reg_off(i, i->rm, n);
		x->o->src = reg_off(i, i->reg, n);
		return tr_mov(x, mem ? MOV_MR : MOV_RR);
	}
	x->o->dst = reg_off(i, i->reg, n);
	x->o->src = reg_off(i, i->rm, n);
	return tr_mov(x, mem ? MOV_RM : MOV_RR);
}

static unsigned tr_extend(const struct xlat *x, bool sign, unsigned from)
{
	const struct insn *i = x->i;
	op_fn *const *row;
	int kind = -1;

	if (i->opsize < 2)
		return 0;
	row = fast_extend[sign][size_index(from)][size_index(i->opsize) - 1];
	x->o->dst = reg_off(i, i->reg, i->opsize);
	x->o->src = reg_off(i, i->rm, from);
	if (i->mod != 3) {
		kind = address(x, false);
		if (kind < 0)
			return 0;
	}
	x->o->fn = row[1 + kind];
	return x->o->fn ? 1 : 0;
}

static unsigned tr_lea(const struct xlat *x)
{
	const struct insn *i = x->i;
	int kind = address(x, true);

	if (kind < 0 || i->opsize < 4)
		return 0;
	x->o->dst = reg_off(i, i->reg, i->opsize);
	x->o->fn = fast_lea[i->opsize == 8][kind];
	return 1;
}

static unsigned tr_imul(const struct xlat *x, bool imm)
{
	const struct insn *i = x->i;
	int kind = -1;

	if (i->opsize < 4 || (imm && i->mod != 3))
		return 0;
	x->o->dst = reg_off(i, i->reg, i->opsize);
	x->o->src = reg_off(i, i->rm, i->opsize);
	x->o->imm = i->imm;
	if (i->mod != 3) {
		kind = address(x, false);
		if (kind < 0)
			return 0;
	}
	x->o->fn = imm ? fast_imul_imm[i->opsize == 8] : fast_imul[i->opsize == 8][1 + kind];
	return 1;
}

static unsigned one(const struct xlat *x, op_fn *fn, u8 dst, u8 src)
{
	x->o->fn = fn;
	x->o->dst = dst;
	x->o->src = src;
	return 1;
}

static unsigned tr_bit(const struct xlat *x)
{
	const struct insn *i = x->i;
	u8 dst = reg_off(i, i->rm, i->opsize);

	if (i->mod != 3 || i->opsize < 4)
		return 0;
	if (i->exec == x_bt_imm && (i->reg & 7) == 4) {
		x->o->imm = i->imm & (i->opsize * 8u - 1);
		return one(x, fast_bt_imm, dst, 0);
	}
	if (i->exec == x_bt && i->opcode == 0xa3)
		return one(x, i->opsize == 8 ? fast_bt64 : fast_bt32, dst, reg_off(i, i->reg, 4));
	return 0;
}

static unsigned tr_cond(const struct xlat *x)
{
	const struct insn *i = x->i;
	unsigned cc = i->opcode & 15;

	if (i->exec == x_setcc)
		return i->mod == 3 ? one(x, fast_setcc[cc], reg_off(i, i->rm, 1), 0) : 0;
	if (i->opsize < 4)
		return 0;
	x->o->dst = (u8)(i->reg * 8);
	x->o->src = (u8)(i->rm * 8);
	if (i->mod == 3) {
		x->o->fn = fast_cmov[cc][i->opsize == 8];
		return 1;
	}
	if (address(x, false) < 0)
		return 0;
	x->o->fn = fast_cmov_m[cc][i->opsize == 8];
	return 1;
}

/* --- branches --- */

static bool near_target(const struct xlat *x, s64 *disp)
{
	*disp = (s64)x->next_off + (s64)x->i->imm;
	return *disp >= 0 && *disp < (s64)PAGE_SIZE;
}

static unsigned tr_jcc(const struct xlat *x)
{
	unsigned cc = x->i->opcode & 15;

	if (!x->is64 && x->i->opsize != 4)
		return 0;
	x->o->fn = near_target(x, &x->o->disp) ? fast_jcc[cc] : fast_jcc_far[cc];
	return 1;
}

static unsigned tr_jmp_rel(const struct xlat *x)
{
	if (!x->is64 && x->i->opsize != 4)
		return 0;
	x->o->fn = near_target(x, &x->o->disp) ? op_goto_near : op_goto_page;
	return 1;
}

static unsigned tr_indirect(const struct xlat *x, bool call)
{
	const struct insn *i = x->i;
	int kind;

	if (i->mod == 3)
		return one(x, call ? fast_call_r : fast_jmp_r, 0, (u8)(i->rm * 8));
	kind = address(x, false);
	if (kind < 0)
		return 0;
	x->o->fn = call ? (kind ? fast_call_mB : fast_call_mA) : (kind ? fast_jmp_mB : fast_jmp_mA);
	return 1;
}

static unsigned tr_flow(const struct xlat *x)
{
	const struct insn *i = x->i;

	if (i->exec == x_jcc)
		return tr_jcc(x);
	if (i->exec == x_jmp_rel)
		return tr_jmp_rel(x);
	if (!x->is64)
		return 0;
	if (i->exec == x_jmp_rm)
		return x->v->mode_key & KEY_IBT ? 0 : tr_indirect(x, false);
	if (x->v->mode_key & KEY_SHADOW)
		return 0;
	if (i->exec == x_call_rel)
		return one(x, near_target(x, &x->o->disp) ? fast_call_rel : fast_call_rel_far, 0,
			   0);
	if (i->exec == x_ret) {
		x->o->imm = i->imm;
		return one(x, i->imm ? fast_ret_imm : fast_ret, 0, 0);
	}
	if (i->exec == x_call_rm && !(x->v->mode_key & KEY_IBT))
		return tr_indirect(x, true);
	return 0;
}

/* --- stack and idioms, 64-bit operand size --- */

static unsigned tr_stack(const struct xlat *x)
{
	const struct insn *i = x->i;

	if (!x->is64 || i->opsize != 8)
		return 0;
	if (i->exec == x_push_reg)
		return one(x, fast_push_r, 0, (u8)(i->rm * 8));
	if (i->exec == x_pop_reg)
		return one(x, fast_pop_r, (u8)(i->rm * 8), 0);
	if (i->exec == x_leave)
		return one(x, fast_leave, 0, 0);
	x->o->imm = i->imm;
	return one(x, fast_push_i, 0, 0);
}

static unsigned tr_idiom(const struct xlat *x)
{
	const struct insn *i = x->i;
	u8 rm = (u8)(i->rm * 8);

	if (i->exec == x_nop || (i->exec == x_nop_90 && i->rm == 0) ||
	    (i->exec == x_endbr64 && !(x->v->mode_key & KEY_IBT)))
		return one(x, fast_nop, 0, 0);
	if (i->opsize < 4)
		return 0;
	if (i->exec == x_xchg_ax)
		return one(x, i->opsize == 8 ? fast_xchg64 : fast_xchg32, rm, 0);
	if (i->exec == x_xchg && i->mod == 3)
		return one(x, i->opsize == 8 ? fast_xchg64 : fast_xchg32, rm, (u8)(i->reg * 8));
	if (i->exec == x_cbw)
		return one(x, i->opsize == 8 ? fast_cdqe : fast_cwde, 0, 0);
	if (i->exec == x_cwd)
		return one(x, i->opsize == 8 ? fast_cqo : fast_cdq, 0, 0);
	if (i->exec == x_bswap)
		return one(x, i->opsize == 8 ? fast_bswap64 : fast_bswap32, rm, 0);
	return 0;
}

static unsigned tr_single(const struct xlat *x)
{
	const struct insn *i = x->i;
	exec_fn *e = i->exec;

	if (e == x_alu)
		return tr_alu(x, i->opcode >> 3, i->opcode & 7);
	if (e == x_alu_imm)
		return tr_alu_imm(x, i->reg & 7);
	if (e == x_test)
		return tr_alu(x, 8, i->opcode & 1);
	if (e == x_test_acc)
		return tr_alu(x, 8, 4);
	if (e == x_test_imm)
		return tr_alu_imm(x, 8);
	if (e == x_mov_eg || e == x_mov_ge || e == x_mov_ei || e == x_mov_zi)
		return tr_mov_any(x);
	if (e == x_movzx || e == x_movsx)
		return tr_extend(x, e == x_movsx, i->nbytes_op);
	if (e == x_movsxd)
		return i->opsize >= 4 ? tr_extend(x, true, 4) : 0;
	if (e == x_lea)
		return tr_lea(x);
	if (e == x_inc_dec_rm)
		return tr_unary(x, i->reg & 1);
	if (e == x_neg || e == x_not)
		return tr_unary(x, e == x_neg ? 2 : 3);
	if (e == x_shift)
		return tr_shift(x);
	if (e == x_imul2 || e == x_imul3)
		return tr_imul(x, e == x_imul3);
	if (e == x_cmov || e == x_setcc)
		return tr_cond(x);
	if (e == x_bt || e == x_bt_imm)
		return tr_bit(x);
	if (i->attr & A_FLOW)
		return tr_flow(x);
	if (i->attr & A_SSE)
		return fast_sse(i, i->mod == 3 ? 0 : address(x, false), x->o);
	if (e == x_push_reg || e == x_pop_reg || e == x_leave || e == x_push_imm)
		return tr_stack(x);
	return tr_idiom(x);
}

/* CMP or TEST in front of a conditional branch within the page. */
static void try_fuse(const struct xlat *x, const struct insn *next)
{
	const struct insn *i = x->i;
	exec_fn *e = i->exec;
	unsigned op = e == x_alu ? i->opcode >> 3 : e == x_alu_imm ? (i->reg & 7) : 8;
	unsigned form;
	s64 target = (s64)x->next_off + next->len + (s64)next->imm;
	op_fn *fn;

	if (e != x_alu && e != x_alu_imm && e != x_test && e != x_test_acc && e != x_test_imm)
		return;
	if (op < 7 || target < 0 || target >= (s64)PAGE_SIZE || next->exec != x_jcc)
		return;
	fn = x->o->fn;
	for (form = FORM_RR; form <= FORM_MI; form++)
		if (fn == fast_alu[op][x->sz][form][0])
			break;
	if (form > FORM_MI || form == FORM_MR)
		return;
	fn = fast_fused[op == 8][form == FORM_MI ? 3 : form][x->sz][next->opcode & 15];
	if (fn)
		x->o->fn = fn;
}

unsigned fast_translate(const struct vcpu *v, const struct insn *i, const struct insn *next,
			bool flags_live, u16 pgoff, struct op *o)
{
	struct xlat x = {.v = v,
			 .i = i,
			 .o = o,
			 .live = flags_live,
			 .is64 = (v->mode_key & KEY_BITS) == KEY_BITS64,
			 .next_off = (u16)(pgoff + i->len),
			 .sz = size_index(i->opsize)};
	unsigned n;

	if (!(v->mode_key & KEY_FLAT))
		return 0;
	if (v->mode_key & KEY_BRANCHES && i->attr & A_FLOW)
		return 0;
	n = tr_single(&x);
	if (n && next && !(v->mode_key & KEY_BRANCHES))
		try_fuse(&x, next);
	return n;
}

bool fast_is_pure(const struct insn *i)
{
	exec_fn *e = i->exec;

	if (e == x_lea || e == x_nop || e == x_mov_zi || e == x_xchg_ax || e == x_cbw ||
	    e == x_cwd || e == x_bswap || e == x_test_acc || e == x_nop_90)
		return true;
	if (i->mod != 3)
		return false;
	return e == x_alu || e == x_alu_imm || e == x_test || e == x_test_imm || e == x_mov_eg ||
	       e == x_mov_ge || e == x_mov_ei || e == x_movzx || e == x_movsx || e == x_movsxd ||
	       e == x_inc_dec_rm || e == x_neg || e == x_not || e == x_shift || e == x_imul2 ||
	       e == x_imul3 || e == x_cmov || e == x_setcc || e == x_bt || e == x_bt_imm ||
	       e == x_xchg;
}
