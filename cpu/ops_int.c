/*
 * Integer arithmetic, logic, moves and stack instructions: the complete form of every row in
 * insn_int.def. fast_*.c holds specialised copies of the frequent ones.
 */
#include "cpu/alu.h"
#include "cpu/cpu.h"
#include "cpu/fast_cond.h"
#include "cpu/insn_protos.h"
#include "vmx/vmx.h"

u64 alu_op(struct vcpu *v, unsigned op, unsigned n, u64 a, u64 b)
{
	u64 mask = n == 64 ? ~0ull : BIT(n) - 1, r, aux = 0;
	u64 carry = (op == ALU_ADC || op == ALU_SBB) && flag_c(v);

	a &= mask;
	b &= mask;
	switch (op) {
	case ALU_ADD:
	case ALU_ADC:
		r = (a + b + carry) & mask;
		aux = flags_aux((a & b) | ((a | b) & ~r), n);
		break;
	case ALU_SUB:
	case ALU_SBB:
	case ALU_CMP:
		r = (a - b - carry) & mask;
		aux = flags_aux((~a & b) | (~(a ^ b) & r), n);
		break;
	case ALU_OR:
		r = a | b;
		break;
	case ALU_AND:
	case ALU_TEST:
		r = a & b;
		break;
	default:
		r = a ^ b;
		break;
	}
	v->fl_res = sign_extend(r, n);
	v->fl_aux = aux;
	return r;
}

/* r/m op= b */
static int alu_rm(struct vcpu *v, const struct insn *i, unsigned op, u64 b)
{
	unsigned size = i->opsize, n = size * 8;
	struct memref ref;
	u64 a;
	int r;

	if (!insn_is_mem(i)) {
		a = alu_op(v, op, n, reg_read(v, i, i->rm, size), b);
		if (op < ALU_CMP)
			reg_write(v, i, i->rm, size, a);
		return EXEC_NEXT;
	}
	if (op >= ALU_CMP) {
		r = mem_read(v, i->seg, insn_offset(v, i), size, &a);
		if (!r)
			alu_op(v, op, n, a, b);
		return r;
	}
	r = mem_rmw(v, i->seg, insn_offset(v, i), size, &ref, &a);
	if (!r)
		mem_rmw_write(v, &ref, alu_op(v, op, n, a, b));
	return r;
}

static int alu_reg(struct vcpu *v, const struct insn *i, unsigned op, unsigned reg, u64 b)
{
	u64 r = alu_op(v, op, i->opsize * 8u, reg_read(v, i, reg, i->opsize), b);

	if (op < ALU_CMP)
		reg_write(v, i, reg, i->opsize, r);
	return EXEC_NEXT;
}

int x_alu(struct vcpu *v, const struct insn *i)
{
	unsigned op = i->opcode >> 3, low = i->opcode & 7;
	u64 b;
	int r;

	if (low >= 4)
		return alu_reg(v, i, op, RAX, i->imm);
	if (low < 2)
		return alu_rm(v, i, op, reg_read(v, i, i->reg, i->opsize));
	r = rm_read(v, i, i->opsize, &b);
	return r ? r : alu_reg(v, i, op, i->reg, b);
}

int x_alu_imm(struct vcpu *v, const struct insn *i)
{
	return alu_rm(v, i, i->reg & 7, i->imm);
}

int x_test(struct vcpu *v, const struct insn *i)
{
	return alu_rm(v, i, ALU_TEST, reg_read(v, i, i->reg, i->opsize));
}

int x_test_imm(struct vcpu *v, const struct insn *i)
{
	return alu_rm(v, i, ALU_TEST, i->imm);
}

int x_test_acc(struct vcpu *v, const struct insn *i)
{
	return alu_reg(v, i, ALU_TEST, RAX, i->imm);
}

/* CF is kept: INC and DEC are ADD and SUB of 1 otherwise. */
static u64 inc_dec(struct vcpu *v, unsigned n, u64 a, bool dec)
{
	bool cf = flag_c(v), of;
	u64 r = alu_op(v, dec ? ALU_SUB : ALU_ADD, n, a, 1);

	of = flag_o(v);
	v->fl_aux = (v->fl_aux & AUX_AF) | (cf ? AUX_CF : 0) | (cf != of ? AUX_PO : 0);
	return r;
}

int x_inc_dec(struct vcpu *v, const struct insn *i)
{
	reg_write(v, i, i->rm, i->opsize,
		  inc_dec(v, i->opsize * 8u, v->reg[i->rm], i->opcode >= 0x48));
	return EXEC_NEXT;
}

enum unary { UN_INC, UN_DEC, UN_NOT, UN_NEG };

static u64 unary(struct vcpu *v, enum unary op, unsigned n, u64 a)
{
	switch (op) {
	case UN_NOT:
		return ~a;
	case UN_NEG:
		return alu_op(v, ALU_SUB, n, 0, a);
	default:
		return inc_dec(v, n, a, op == UN_DEC);
	}
}

static int unary_rm(struct vcpu *v, const struct insn *i, enum unary op)
{
	unsigned size = i->opsize;
	struct memref ref;
	u64 a;
	int r;

	if (!insn_is_mem(i)) {
		reg_write(v, i, i->rm, size, unary(v, op, size * 8, reg_read(v, i, i->rm, size)));
		return EXEC_NEXT;
	}
	r = mem_rmw(v, i->seg, insn_offset(v, i), size, &ref, &a);
	if (!r)
		mem_rmw_write(v, &ref, unary(v, op, size * 8, a));
	return r;
}

int x_inc_dec_rm(struct vcpu *v, const struct insn *i)
{
	return unary_rm(v, i, i->reg & 1 ? UN_DEC : UN_INC);
}

int x_not(struct vcpu *v, const struct insn *i)
{
	return unary_rm(v, i, UN_NOT);
}

int x_neg(struct vcpu *v, const struct insn *i)
{
	return unary_rm(v, i, UN_NEG);
}

/* --- moves --- */

int x_mov_eg(struct vcpu *v, const struct insn *i)
{
	return rm_write(v, i, i->opsize, reg_read(v, i, i->reg, i->opsize));
}

int x_mov_ge(struct vcpu *v, const struct insn *i)
{
	u64 b;
	int r = rm_read(v, i, i->opsize, &b);

	if (!r)
		reg_write(v, i, i->reg, i->opsize, b);
	return r;
}

int x_mov_ei(struct vcpu *v, const struct insn *i)
{
	return rm_write(v, i, i->opsize, i->imm);
}

int x_mov_zi(struct vcpu *v, const struct insn *i)
{
	reg_write(v, i, i->rm, i->opsize, i->imm);
	return EXEC_NEXT;
}

int x_mov_acc_moffs(struct vcpu *v, const struct insn *i)
{
	u64 b;
	int r = mem_read(v, i->seg, (u64)i->disp, i->opsize, &b);

	if (!r)
		reg_write(v, i, RAX, i->opsize, b);
	return r;
}

int x_mov_moffs_acc(struct vcpu *v, const struct insn *i)
{
	return mem_write(v, i->seg, (u64)i->disp, i->opsize, reg_read(v, i, RAX, i->opsize));
}

static int extend(struct vcpu *v, const struct insn *i, unsigned from, bool sign)
{
	u64 b;
	int r = rm_read(v, i, from, &b);

	if (!r)
		reg_write(v, i, i->reg, i->opsize, sign ? sign_extend(b, from * 8) : b);
	return r;
}

int x_movzx(struct vcpu *v, const struct insn *i)
{
	return extend(v, i, i->nbytes_op, false);
}

int x_movsx(struct vcpu *v, const struct insn *i)
{
	return extend(v, i, i->nbytes_op, true);
}

int x_movsxd(struct vcpu *v, const struct insn *i)
{
	return extend(v, i, i->opsize == 2 ? 2 : 4, true);
}

int x_movnti(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->prefix & P_REXW ? 8 : 4;

	return mem_write(v, i->seg, insn_offset(v, i), n, v->reg[i->reg]);
}

static u64 swap_bytes(u64 x, unsigned n)
{
	u64 r = 0;

	for (unsigned k = 0; k < n; k++)
		r |= (x >> (8 * k) & 0xff) << (8 * (n - 1 - k));
	return r;
}

int x_movbe_load(struct vcpu *v, const struct insn *i)
{
	u64 b;
	int r = mem_read(v, i->seg, insn_offset(v, i), i->opsize, &b);

	if (!r)
		reg_write(v, i, i->reg, i->opsize, swap_bytes(b, i->opsize));
	return r;
}

int x_movbe_store(struct vcpu *v, const struct insn *i)
{
	return mem_write(v, i->seg, insn_offset(v, i), i->opsize,
			 swap_bytes(reg_read(v, i, i->reg, i->opsize), i->opsize));
}

/* BSWAP of 16 bits is undefined; processors clear the register. */
int x_bswap(struct vcpu *v, const struct insn *i)
{
	u64 r = i->opsize == 2 ? 0 : swap_bytes(v->reg[i->rm], i->opsize);

	reg_write(v, i, i->rm, i->opsize, r);
	return EXEC_NEXT;
}

int x_lea(struct vcpu *v, const struct insn *i)
{
	reg_write(v, i, i->reg, i->opsize, insn_offset(v, i));
	return EXEC_NEXT;
}

int x_xchg(struct vcpu *v, const struct insn *i)
{
	u64 g = reg_read(v, i, i->reg, i->opsize), a;
	struct memref ref;
	int r;

	if (!insn_is_mem(i)) {
		a = reg_read(v, i, i->rm, i->opsize);
		reg_write(v, i, i->rm, i->opsize, g);
		reg_write(v, i, i->reg, i->opsize, a);
		return EXEC_NEXT;
	}
	r = mem_rmw(v, i->seg, insn_offset(v, i), i->opsize, &ref, &a);
	if (r)
		return r;
	mem_rmw_write(v, &ref, g);
	reg_write(v, i, i->reg, i->opsize, a);
	return EXEC_NEXT;
}

int x_xchg_ax(struct vcpu *v, const struct insn *i)
{
	u64 a = reg_read(v, i, RAX, i->opsize), b = reg_read(v, i, i->rm, i->opsize);

	reg_write(v, i, RAX, i->opsize, b);
	reg_write(v, i, i->rm, i->opsize, a);
	return EXEC_NEXT;
}

/* 90H with REX.B is XCHG R8, rAX. */
int x_nop_90(struct vcpu *v, const struct insn *i)
{
	return i->rm ? x_xchg_ax(v, i) : EXEC_NEXT;
}

int x_nop(struct vcpu *v, const struct insn *i)
{
	(void)v;
	(void)i;
	return EXEC_NEXT;
}

/* Who pauses waits for another CPU. With CPUs taking turns, it waits less if that one is next. */
int x_pause(struct vcpu *v, const struct insn *i)
{
	int r = vmx_intercept(v, i, X_PAUSE);

	if (r)
		return r;
	vcpu_charge(v, PAUSE_TICKS);
	if (!v->others_wait)
		return EXEC_NEXT;
	v->leave = true;
	return EXEC_LEAVE;
}

int x_ud(struct vcpu *v, const struct insn *i)
{
	(void)i;
	return raise_ud(v);
}

int x_cbw(struct vcpu *v, const struct insn *i)
{
	reg_write(v, i, RAX, i->opsize, sign_extend(v->reg[RAX], i->opsize * 4u));
	return EXEC_NEXT;
}

int x_cwd(struct vcpu *v, const struct insn *i)
{
	bool neg = v->reg[RAX] >> (i->opsize * 8u - 1) & 1;

	reg_write(v, i, RDX, i->opsize, neg ? ~0ull : 0);
	return EXEC_NEXT;
}

int x_salc(struct vcpu *v, const struct insn *i)
{
	reg_write(v, i, RAX, 1, flag_c(v) ? 0xff : 0);
	return EXEC_NEXT;
}

int x_xlat(struct vcpu *v, const struct insn *i)
{
	u64 off = (v->reg[RBX] + (u8)v->reg[RAX]) & size_mask(i->addrsize), b;
	int r = mem_read(v, i->seg, off, 1, &b);

	if (!r)
		reg_write(v, i, RAX, 1, b);
	return r;
}

int x_cmov(struct vcpu *v, const struct insn *i)
{
	u64 b;
	int r = rm_read(v, i, i->opsize, &b);

	if (!r)
		reg_write(v, i, i->reg, i->opsize,
			  condition(v, i->opcode & 15) ? b : v->reg[i->reg]);
	return r;
}

int x_setcc(struct vcpu *v, const struct insn *i)
{
	return rm_write(v, i, 1, condition(v, i->opcode & 15));
}

/* --- exchange and compare --- */

int x_xadd(struct vcpu *v, const struct insn *i)
{
	u64 g = reg_read(v, i, i->reg, i->opsize), a, sum;
	struct memref ref;
	int r;

	if (!insn_is_mem(i)) {
		a = reg_read(v, i, i->rm, i->opsize);
		sum = alu_op(v, ALU_ADD, i->opsize * 8u, a, g);
		reg_write(v, i, i->reg, i->opsize, a);
		reg_write(v, i, i->rm, i->opsize, sum);
		return EXEC_NEXT;
	}
	r = mem_rmw(v, i->seg, insn_offset(v, i), i->opsize, &ref, &a);
	if (r)
		return r;
	mem_rmw_write(v, &ref, alu_op(v, ALU_ADD, i->opsize * 8u, a, g));
	reg_write(v, i, i->reg, i->opsize, a);
	return EXEC_NEXT;
}

int x_cmpxchg(struct vcpu *v, const struct insn *i)
{
	u64 g = reg_read(v, i, i->reg, i->opsize), acc = reg_read(v, i, RAX, i->opsize), a;
	struct memref ref;
	int r;

	if (!insn_is_mem(i)) {
		a = reg_read(v, i, i->rm, i->opsize);
		alu_op(v, ALU_CMP, i->opsize * 8u, acc, a);
		if (flag_z(v))
			reg_write(v, i, i->rm, i->opsize, g);
		else
			reg_write(v, i, RAX, i->opsize, a);
		return EXEC_NEXT;
	}
	r = mem_rmw(v, i->seg, insn_offset(v, i), i->opsize, &ref, &a);
	if (r)
		return r;
	alu_op(v, ALU_CMP, i->opsize * 8u, acc, a);
	mem_rmw_write(v, &ref, flag_z(v) ? g : a); /* written either way, as the bus cycle is */
	if (!flag_z(v))
		reg_write(v, i, RAX, i->opsize, a);
	return EXEC_NEXT;
}

static int cmpxchg16b(struct vcpu *v, const struct insn *i)
{
	u64 off = insn_offset(v, i), laddr, m[2];
	u64 want[2] = {v->reg[RAX], v->reg[RDX]}, set[2] = {v->reg[RBX], v->reg[RCX]};
	bool same;
	int r;

	if (!cpu_has(v, FEAT_CX16))
		return raise_ud(v);
	laddr = off + (v->mode == MODE_64 && i->seg < SEG_FS ? 0 : v->seg[i->seg].base);
	if (laddr & 15)
		return raise_gp(v, 0);
	r = mem_probe_write(v, i->seg, off, 16);
	if (!r)
		r = mem_read_bytes(v, i->seg, off, m, 16);
	if (r)
		return r;
	same = m[0] == want[0] && m[1] == want[1];
	r = mem_write_bytes(v, i->seg, off, same ? set : m, 16);
	if (r)
		return r;
	if (!same) {
		v->reg[RAX] = m[0];
		v->reg[RDX] = m[1];
	}
	flags_set_arith(v, (flags_arith(v) & ~RFLAGS_ZF) | (same ? RFLAGS_ZF : 0));
	return EXEC_NEXT;
}

int x_cmpxchg8b(struct vcpu *v, const struct insn *i)
{
	u64 want = (u32)v->reg[RAX] | v->reg[RDX] << 32, set = (u32)v->reg[RBX] | v->reg[RCX] << 32;
	struct memref ref;
	u64 m;
	int r;

	if (i->prefix & P_REXW)
		return cmpxchg16b(v, i);
	r = mem_rmw(v, i->seg, insn_offset(v, i), 8, &ref, &m);
	if (r)
		return r;
	mem_rmw_write(v, &ref, m == want ? set : m);
	if (m != want) {
		v->reg[RAX] = (u32)m;
		v->reg[RDX] = m >> 32;
	}
	flags_set_arith(v, (flags_arith(v) & ~RFLAGS_ZF) | (m == want ? RFLAGS_ZF : 0));
	return EXEC_NEXT;
}

/* --- stack --- */

int x_push_reg(struct vcpu *v, const struct insn *i)
{
	return stack_push(v, i->opsize, v->reg[i->rm]);
}

int x_push_imm(struct vcpu *v, const struct insn *i)
{
	return stack_push(v, i->opsize, i->imm);
}

int x_push_rm(struct vcpu *v, const struct insn *i)
{
	u64 b;
	int r = rm_read(v, i, i->opsize, &b);

	return r ? r : stack_push(v, i->opsize, b);
}

int x_pop_reg(struct vcpu *v, const struct insn *i)
{
	u64 b;
	int r = stack_pop(v, i->opsize, &b);

	if (!r)
		reg_write(v, i, i->rm, i->opsize, b);
	return r;
}

/* An address that uses rSP is computed with rSP already incremented. */
int x_pop_rm(struct vcpu *v, const struct insn *i)
{
	u64 rsp = v->reg[RSP], b;
	int r = stack_pop(v, i->opsize, &b);

	if (!r) {
		r = rm_write(v, i, i->opsize, b);
		if (r == EXEC_FAULT)
			v->reg[RSP] = rsp;
	}
	return r;
}

int x_pusha(struct vcpu *v, const struct insn *i)
{
	u64 mask = stack_mask(v), sp = v->reg[RSP];
	unsigned n = i->opsize;
	int r = mem_probe_write(v, SEG_SS, (sp - 8 * n) & mask, 8 * n);

	for (unsigned k = 0; !r && k < 8; k++)
		r = mem_write(v, SEG_SS, (sp - (k + 1) * n) & mask, n, v->reg[k]);
	if (!r)
		rsp_set(v, sp - 8 * n);
	return r;
}

int x_popa(struct vcpu *v, const struct insn *i)
{
	u64 mask = stack_mask(v), sp = v->reg[RSP], val[8];
	unsigned n = i->opsize;

	for (unsigned k = 0; k < 8; k++) {
		int r = mem_read(v, SEG_SS, (sp + k * n) & mask, n, &val[k]);

		if (r)
			return r;
	}
	for (unsigned k = 0; k < 8; k++)
		if (k != 3)
			reg_write(v, i, 7 - k, n, val[k]);
	rsp_set(v, sp + 8 * n);
	return EXEC_NEXT;
}

/* Nested frames are written below the new RBP; nothing moves until every push succeeded. */
int x_enter(struct vcpu *v, const struct insn *i)
{
	u64 mask = stack_mask(v), sp = v->reg[RSP], bp = v->reg[RBP], frame, t;
	unsigned n = i->opsize, level = i->imm2 & 31;
	int r = mem_write(v, SEG_SS, (sp - n) & mask, n, bp);

	sp -= n;
	frame = sp;
	for (unsigned k = 1; !r && k < level; k++) {
		r = mem_read(v, SEG_SS, (bp - k * n) & mask, n, &t);
		sp -= n;
		if (!r)
			r = mem_write(v, SEG_SS, sp & mask, n, t);
	}
	if (!r && level) {
		sp -= n;
		r = mem_write(v, SEG_SS, sp & mask, n, frame);
	}
	sp -= i->imm;
	if (!r)
		r = mem_probe_write(v, SEG_SS, sp & mask, n);
	if (r)
		return r;
	reg_write(v, i, RBP, n == 2 ? 2 : mask == ~0ull ? 8 : mask == 0xffff ? 2 : 4, frame);
	rsp_set(v, sp);
	return EXEC_NEXT;
}

int x_leave(struct vcpu *v, const struct insn *i)
{
	u64 bp = v->reg[RBP] & stack_mask(v), b;
	int r = mem_read(v, SEG_SS, bp, i->opsize, &b);

	if (r)
		return r;
	rsp_set(v, bp + i->opsize);
	reg_write(v, i, RBP, i->opsize, b);
	return EXEC_NEXT;
}
