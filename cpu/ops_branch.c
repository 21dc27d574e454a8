/*
 * Near branches: the complete form; fast_branch.c holds the specialised one.
 */
#include "cpu/cet.h"
#include "cpu/fast_cond.h"
#include "cpu/insn_protos.h"

/* Checks and takes a near branch to offset t of CS. */
static int branch_to(struct vcpu *v, const struct insn *i, u64 t)
{
	if (i->opsize == 2)
		t &= 0xffff;
	if (v->mode == MODE_64) {
		if (!is_canonical(t, v->width_laddr))
			return raise_gp(v, 0);
	} else {
		t &= 0xffffffff;
		if (t > v->seg[SEG_CS].limit)
			return raise_gp(v, 0);
	}
	v->rip = t;
	return EXEC_JUMP;
}

static u64 relative(const struct vcpu *v, const struct insn *i)
{
	return v->rip + i->len + i->imm;
}

int x_jcc(struct vcpu *v, const struct insn *i)
{
	return condition(v, i->opcode & 15) ? branch_to(v, i, relative(v, i)) : EXEC_NEXT;
}

int x_jmp_rel(struct vcpu *v, const struct insn *i)
{
	return branch_to(v, i, relative(v, i));
}

int x_jmp_rm(struct vcpu *v, const struct insn *i)
{
	u64 t;
	int r = rm_read(v, i, i->opsize, &t);

	if (!r)
		r = branch_to(v, i, t);
	if (r == EXEC_JUMP)
		ibt_near(v, i);
	return r;
}

/* A CALL to the next instruction only asks for its address: nothing for the shadow stack. */
static int push_both(struct vcpu *v, const struct insn *i, u64 next)
{
	unsigned wide = i->opsize == 8 ? 8 : 4;
	bool shadowed = i->exec != x_call_rel || i->imm;
	int r = mem_probe_write(v, SEG_SS, (v->reg[RSP] - i->opsize) & stack_mask(v), i->opsize);

	if (!r && shadowed)
		r = shadow_push_probe(v, wide);
	if (!r)
		r = stack_push(v, i->opsize, next);
	return r || !shadowed ? r : shadow_push(v, wide, next & size_mask(i->opsize));
}

/* The target is checked before the push becomes visible. */
static int call_to(struct vcpu *v, const struct insn *i, u64 t)
{
	u64 from = v->rip, to;
	int r = branch_to(v, i, t);

	if (r != EXEC_JUMP)
		return r;
	to = v->rip;
	v->rip = from;
	r = shadow_on(v, v->cpl) ? push_both(v, i, from + i->len)
				 : stack_push(v, i->opsize, from + i->len);
	if (r)
		return r;
	v->rip = to;
	return EXEC_JUMP;
}

int x_call_rel(struct vcpu *v, const struct insn *i)
{
	return call_to(v, i, relative(v, i));
}

int x_call_rm(struct vcpu *v, const struct insn *i)
{
	u64 t;
	int r = rm_read(v, i, i->opsize, &t);

	if (!r)
		r = call_to(v, i, t);
	if (r == EXEC_JUMP)
		ibt_near(v, i);
	return r;
}

int x_ret(struct vcpu *v, const struct insn *i)
{
	unsigned wide = i->opsize == 8 ? 8 : 4;
	bool shadow = shadow_on(v, v->cpl);
	u64 sp = v->reg[RSP], t;
	int r = mem_read(v, SEG_SS, sp & stack_mask(v), i->opsize, &t);

	if (!r && shadow)
		r = shadow_pop_check(v, wide, t);
	if (r)
		return r;
	r = branch_to(v, i, t);
	if (r != EXEC_JUMP)
		return r;
	rsp_set(v, sp + i->opsize + i->imm);
	if (shadow)
		v->ssp += wide;
	return r;
}

static u64 count_reg(const struct vcpu *v, const struct insn *i)
{
	return v->reg[RCX] & size_mask(i->addrsize);
}

int x_loop(struct vcpu *v, const struct insn *i)
{
	u64 n = (count_reg(v, i) - 1) & size_mask(i->addrsize);
	bool take = n != 0 && (i->opcode == 0xe2 || flag_z(v) == (i->opcode & 1));
	int r = take ? branch_to(v, i, relative(v, i)) : EXEC_NEXT;

	if (r != EXEC_FAULT)
		reg_write(v, i, RCX, i->addrsize, n);
	return r;
}

int x_jcxz(struct vcpu *v, const struct insn *i)
{
	return count_reg(v, i) == 0 ? branch_to(v, i, relative(v, i)) : EXEC_NEXT;
}
