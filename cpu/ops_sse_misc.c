/*
 * Shuffles, unpacks, packs, blends, insertions and extractions of SSE to SSE4.1, with their VEX
 * forms. The lane operations are in vec_shuf.h.
 */
#include "cpu/insn_protos.h"
#include "cpu/vec_shuf.h"

VEC_OP(punpcklbw)
VEC_OP(punpcklwd)
VEC_OP(punpckldq)
VEC_OP(punpcklqdq)
VEC_OP(punpckhbw)
VEC_OP(punpckhwd)
VEC_OP(punpckhdq)
VEC_OP(punpckhqdq)
VEC_OP(packsswb)
VEC_OP(packuswb)
VEC_OP(packssdw)
VEC_OP(packusdw)
VEC_OP(pshufb)
VEC_OP(pshufd)
VEC_OP(pshuflw)
VEC_OP(pshufhw)
VEC_OP(palignr)
VEC_OP(shufps)
VEC_OP_IMM(shufpd, imm >> 2)
VEC_OP_IMM(blendps, imm >> 4)
VEC_OP_IMM(blendpd, imm >> 2)
VEC_OP(pblendw)
VEC_OP(movsldup)
VEC_OP(movshdup)
AVX_OP(permilps_imm)
AVX_OP_IMM(permilpd_imm, imm >> 2)
AVX_OP(permilps)
AVX_OP(permilpd)

AVX_OP(movddup)

/* The legacy form and VEX.128 read 8 bytes only; so VMOVDDUP is two rows. */
int x_movddup(struct vcpu *v, const struct insn *i)
{
	union vreg b;
	int r = narrow_src(v, i, &b);

	if (r)
		return r;
	v->ymm[i->reg].q[0] = v->ymm[i->reg].q[1] = b.q[0];
	return EXEC_NEXT;
}

int x_vmovddup128(struct vcpu *v, const struct insn *i)
{
	int r = x_movddup(v, i);

	if (!r)
		lane_put(&v->ymm[i->reg], 1, lane_zero());
	return r;
}

/* --- variable blends: the mask is XMM0, or the fourth register of the VEX form --- */

#define VARIABLE_BLEND(name)                                                                       \
	int x_##name(struct vcpu *v, const struct insn *i)                                         \
	{                                                                                          \
		union vreg *d = &v->ymm[i->reg];                                                   \
		union lane b;                                                                      \
		int r = sse_src(v, i, &b);                                                         \
                                                                                                   \
		if (r)                                                                             \
			return r;                                                                  \
		lane_put(d, 0, k_##name(lane_get(d, 0), b, lane_get(&v->ymm[0], 0)));              \
		return EXEC_NEXT;                                                                  \
	}                                                                                          \
	int x_v##name(struct vcpu *v, const struct insn *i)                                        \
	{                                                                                          \
		const union vreg *a = &v->ymm[i->vvvv], *m = &v->ymm[i->imm2];                     \
		union vreg b, t = {0};                                                             \
		int r = avx_src(v, i, &b);                                                         \
                                                                                                   \
		if (r)                                                                             \
			return r;                                                                  \
		for (unsigned k = 0; k < i->vl / 16u; k++)                                         \
			lane_put(&t, k,                                                            \
				 k_##name(lane_get(a, k), lane_get(&b, k), lane_get(m, k)));       \
		v->ymm[i->reg] = t;                                                                \
		return EXEC_NEXT;                                                                  \
	}
VARIABLE_BLEND(pblendvb)
VARIABLE_BLEND(blendvps)
VARIABLE_BLEND(blendvpd)

/* --- one element to a general register or memory --- */

static u64 element(const union vreg *r, unsigned size, unsigned index)
{
	index &= 16 / size - 1;
	switch (size) {
	case 1:
		return r->b[index];
	case 2:
		return r->w[index];
	case 4:
		return r->d[index];
	default:
		return r->q[index];
	}
}

/* PEXTRB, PEXTRW, PEXTRD, PEXTRQ, EXTRACTPS: registers get all of it, zero-extended. */
int x_pextr(struct vcpu *v, const struct insn *i)
{
	u64 e = element(&v->ymm[i->reg], i->nbytes_op, (unsigned)i->imm);

	if (insn_is_mem(i))
		return mem_write(v, i->seg, insn_offset(v, i), i->nbytes_op, e);
	v->reg[i->rm] = e;
	return EXEC_NEXT;
}

/* PEXTRW r32, xmm (the SSE2 form: source in r/m) */
int x_pextrw_reg(struct vcpu *v, const struct insn *i)
{
	v->reg[i->reg] = element(&v->ymm[i->rm], 2, (unsigned)i->imm);
	return EXEC_NEXT;
}

/* --- one element from a general register or memory --- */

static int pinsr(struct vcpu *v, const struct insn *i, unsigned from, union lane *l)
{
	unsigned size = i->nbytes_op, at = (unsigned)i->imm & (16 / size - 1);
	u64 e;
	int r = 0;

	*l = lane_get(&v->ymm[from], 0);
	if (insn_is_mem(i))
		r = mem_read(v, i->seg, insn_offset(v, i), size, &e);
	else
		e = v->reg[i->rm];
	if (r)
		return r;
	switch (size) {
	case 1:
		l->b[at] = (u8)e;
		break;
	case 2:
		l->w[at] = (u16)e;
		break;
	case 4:
		l->d[at] = (u32)e;
		break;
	default:
		l->q[at] = e;
		break;
	}
	return 0;
}

int x_pinsr(struct vcpu *v, const struct insn *i)
{
	union lane l;
	int r = pinsr(v, i, i->reg, &l);

	if (!r)
		lane_put(&v->ymm[i->reg], 0, l);
	return r;
}

int x_vpinsr(struct vcpu *v, const struct insn *i)
{
	union lane l;
	int r = pinsr(v, i, i->vvvv, &l);

	if (!r)
		avx_put128(&v->ymm[i->reg], l);
	return r;
}

/* INSERTPS: imm8[7:6] source element (registers only), [5:4] destination, [3:0] zeroed ones. */
static int insertps(struct vcpu *v, const struct insn *i, unsigned from, union lane *l)
{
	unsigned imm = (unsigned)i->imm;
	u64 e;
	int r = 0;

	*l = lane_get(&v->ymm[from], 0);
	if (insn_is_mem(i))
		r = mem_read(v, i->seg, insn_offset(v, i), 4, &e);
	else
		e = v->ymm[i->rm].d[imm >> 6 & 3];
	if (r)
		return r;
	l->d[imm >> 4 & 3] = (u32)e;
	for (unsigned j = 0; j < 4; j++)
		if (imm >> j & 1)
			l->d[j] = 0;
	return 0;
}

int x_insertps(struct vcpu *v, const struct insn *i)
{
	union lane l;
	int r = insertps(v, i, i->reg, &l);

	if (!r)
		lane_put(&v->ymm[i->reg], 0, l);
	return r;
}

int x_vinsertps(struct vcpu *v, const struct insn *i)
{
	union lane l;
	int r = insertps(v, i, i->vvvv, &l);

	if (!r)
		avx_put128(&v->ymm[i->reg], l);
	return r;
}
