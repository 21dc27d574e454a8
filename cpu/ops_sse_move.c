/*
 * Moves between vector registers, memory and general registers, legacy and VEX forms; MASKMOVDQU.
 * SDM volume 1, "SSE Data Movement Instructions" and the chapters on later extensions. Non-temporal
 * hints have no effect: there is no cache to go past.
 */
#include "cpu/insn_protos.h"
#include "cpu/vec_shuf.h"

/* --- whole registers --- */

int x_mov_load(struct vcpu *v, const struct insn *i)
{
	const u8 *p = insn_is_mem(i) ? vec_host(v, i, 16, false) : v->ymm[i->rm].b;
	union lane b;
	int r = 0;

	if (likely(p != NULL))
		memcpy(&b, p, 16);
	else
		r = vec_read(v, i, &b, 16);
	if (likely(!r))
		lane_put(&v->ymm[i->reg], 0, b);
	return r;
}

int x_mov_store(struct vcpu *v, const struct insn *i)
{
	u8 *p = insn_is_mem(i) ? vec_host(v, i, 16, true) : v->ymm[i->rm].b;
	union lane l = lane_get(&v->ymm[i->reg], 0);

	if (unlikely(!p))
		return vec_write(v, i, &l, 16);
	memcpy(p, &l, 16);
	return EXEC_NEXT;
}

int x_vmov_load(struct vcpu *v, const struct insn *i)
{
	union vreg b;
	int r = avx_src(v, i, &b);

	if (!r)
		avx_put(&v->ymm[i->reg], &b, i->vl);
	return r;
}

int x_vmov_store(struct vcpu *v, const struct insn *i)
{
	const union vreg *s = &v->ymm[i->reg];

	if (insn_is_mem(i))
		return vec_write(v, i, s, i->vl);
	avx_put(&v->ymm[i->rm], s, i->vl);
	return EXEC_NEXT;
}

/* --- scalars and halves. Sizes are the memory operand's --- */

/* MOVSS, MOVSD, MOVD, MOVQ from memory, MOVQ xmm, xmm: the rest of the low lane is zeroed. */
static int load_zero(struct vcpu *v, const struct insn *i, union lane *l)
{
	*l = lane_zero();
	if (insn_is_mem(i))
		return vec_read(v, i, l, i->nbytes_op);
	l->q[0] = v->ymm[i->rm].q[0];
	return 0;
}

int x_movq_load(struct vcpu *v, const struct insn *i)
{
	union lane l;
	int r = load_zero(v, i, &l);

	if (!r)
		lane_put(&v->ymm[i->reg], 0, l);
	return r;
}

int x_vmovq_load(struct vcpu *v, const struct insn *i)
{
	union lane l;
	int r = load_zero(v, i, &l);

	if (!r)
		avx_put128(&v->ymm[i->reg], l);
	return r;
}

/* Low elements to memory: MOVSS, MOVSD, MOVQ, MOVLPS, MOVLPD. */
int x_movlow_store(struct vcpu *v, const struct insn *i)
{
	return vec_write(v, i, &v->ymm[i->reg], i->nbytes_op);
}

int x_movhigh_store(struct vcpu *v, const struct insn *i)
{
	return vec_write(v, i, &v->ymm[i->reg].q[1], 8);
}

/* MOVQ xmm/m64, xmm */
int x_movq_store(struct vcpu *v, const struct insn *i)
{
	union lane l = {.q = {v->ymm[i->reg].q[0], 0}};

	if (insn_is_mem(i))
		return vec_write(v, i, &l, 8);
	lane_put(&v->ymm[i->rm], 0, l);
	return EXEC_NEXT;
}

int x_vmovq_store(struct vcpu *v, const struct insn *i)
{
	union lane l = {.q = {v->ymm[i->reg].q[0], 0}};

	if (insn_is_mem(i))
		return vec_write(v, i, &l, 8);
	avx_put128(&v->ymm[i->rm], l);
	return EXEC_NEXT;
}

/* Register forms of MOVSS and MOVSD: opcode 10 has the destination in reg, 11 in r/m. */
int x_movss_reg(struct vcpu *v, const struct insn *i)
{
	bool load = !(i->opcode & 1);

	v->ymm[load ? i->reg : i->rm].d[0] = v->ymm[load ? i->rm : i->reg].d[0];
	return EXEC_NEXT;
}

int x_movsd_reg(struct vcpu *v, const struct insn *i)
{
	bool load = !(i->opcode & 1);

	v->ymm[load ? i->reg : i->rm].q[0] = v->ymm[load ? i->rm : i->reg].q[0];
	return EXEC_NEXT;
}

int x_vmovss_reg(struct vcpu *v, const struct insn *i)
{
	bool load = !(i->opcode & 1);
	union lane l = lane_get(&v->ymm[i->vvvv], 0);

	l.d[0] = v->ymm[load ? i->rm : i->reg].d[0];
	avx_put128(&v->ymm[load ? i->reg : i->rm], l);
	return EXEC_NEXT;
}

int x_vmovsd_reg(struct vcpu *v, const struct insn *i)
{
	bool load = !(i->opcode & 1);
	union lane l = lane_get(&v->ymm[i->vvvv], 0);

	l.q[0] = v->ymm[load ? i->rm : i->reg].q[0];
	avx_put128(&v->ymm[load ? i->reg : i->rm], l);
	return EXEC_NEXT;
}

/* MOVLPS, MOVLPD, MOVHPS, MOVHPD from memory; MOVHLPS and MOVLHPS between registers. `half` is the
 * quadword of the result that comes from r/m, from its other half if that is a register. */
static int merge_half(struct vcpu *v, const struct insn *i, unsigned half, unsigned from,
		      union lane *l)
{
	u64 q;

	*l = lane_get(&v->ymm[from], 0);
	if (insn_is_mem(i)) {
		int r = vec_read(v, i, &q, 8);

		if (r)
			return r;
	} else {
		q = v->ymm[i->rm].q[half ^ 1];
	}
	l->q[half] = q;
	return 0;
}

#define HALF(name, half)                                                                           \
	int x_##name(struct vcpu *v, const struct insn *i)                                         \
	{                                                                                          \
		union lane l;                                                                      \
		int r = merge_half(v, i, half, i->reg, &l);                                        \
                                                                                                   \
		if (!r)                                                                            \
			lane_put(&v->ymm[i->reg], 0, l);                                           \
		return r;                                                                          \
	}                                                                                          \
	int x_v##name(struct vcpu *v, const struct insn *i)                                        \
	{                                                                                          \
		union lane l;                                                                      \
		int r = merge_half(v, i, half, i->vvvv, &l);                                       \
                                                                                                   \
		if (!r)                                                                            \
			avx_put128(&v->ymm[i->reg], l);                                            \
		return r;                                                                          \
	}
HALF(movlow, 0)
HALF(movhigh, 1)

/* --- general registers: MOVD and MOVQ by the operand's size --- */

static int load_gpr(struct vcpu *v, const struct insn *i, union lane *l)
{
	*l = lane_zero();
	return rm_read(v, i, i->nbytes_op, &l->q[0]);
}

int x_movd_load(struct vcpu *v, const struct insn *i)
{
	union lane l;
	int r = load_gpr(v, i, &l);

	if (!r)
		lane_put(&v->ymm[i->reg], 0, l);
	return r;
}

int x_vmovd_load(struct vcpu *v, const struct insn *i)
{
	union lane l;
	int r = load_gpr(v, i, &l);

	if (!r)
		avx_put128(&v->ymm[i->reg], l);
	return r;
}

int x_movd_store(struct vcpu *v, const struct insn *i)
{
	return rm_write(v, i, i->nbytes_op, v->ymm[i->reg].q[0]);
}

/* --- sign masks --- */

int x_pmovmskb(struct vcpu *v, const struct insn *i)
{
	u32 mask = lane_signs_b(lane_get(&v->ymm[i->rm], 0));

	if (i->vl == 32)
		mask |= lane_signs_b(lane_get(&v->ymm[i->rm], 1)) << 16;
	v->reg[i->reg] = mask;
	return EXEC_NEXT;
}

int x_movmskps(struct vcpu *v, const struct insn *i)
{
	u32 mask = lane_signs_d(lane_get(&v->ymm[i->rm], 0));

	if (i->vl == 32)
		mask |= lane_signs_d(lane_get(&v->ymm[i->rm], 1)) << 4;
	v->reg[i->reg] = mask;
	return EXEC_NEXT;
}

int x_movmskpd(struct vcpu *v, const struct insn *i)
{
	u32 mask = lane_signs_q(lane_get(&v->ymm[i->rm], 0));

	if (i->vl == 32)
		mask |= lane_signs_q(lane_get(&v->ymm[i->rm], 1)) << 2;
	v->reg[i->reg] = mask;
	return EXEC_NEXT;
}

/* --- MASKMOVDQU: bytes whose mask bit is clear are not touched and cannot fault --- */

int x_maskmovdqu(struct vcpu *v, const struct insn *i)
{
	unsigned seg = i->seg_override ? i->seg_override - 1u : SEG_DS;

	return vec_store_bytes(v, seg, v->reg[RDI], size_mask(i->addrsize), &v->ymm[i->reg],
			       lane_signs_b(lane_get(&v->ymm[i->rm], 0)), 16);
}
