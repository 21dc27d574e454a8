/*
 * MMX instructions, and the MMX forms of SSE, SSE2 and SSSE3. SDM volume 3, "Intel MMX Technology
 * System Programming": every one sets TOP to 0 and, but for EMMS, all tags valid; a write sets the
 * register's exponent and sign to ones. Numbers of MMX registers ignore REX.
 */
#include "cpu/insn_protos.h"
#include "cpu/vec_shuf.h"

static void mmx_state(struct vcpu *v)
{
	v->x87.fsw &= (u16)~0x3800;
	v->x87.tag_valid = 0xff;
}

static u64 mmx_get(const struct vcpu *v, unsigned n)
{
	return v->x87.st[n & 7].sig;
}

static void mmx_put(struct vcpu *v, unsigned n, u64 value)
{
	mmx_state(v);
	v->x87.st[n & 7] = (struct f80_reg){.sig = value, .se = 0xffff};
}

/* The mm/m64 operand; memory may be narrower. */
static int mmx_src(struct vcpu *v, const struct insn *i, u64 *b)
{
	if (insn_is_mem(i))
		return mem_read(v, i->seg, insn_offset(v, i), i->nbytes_op, b);
	*b = mmx_get(v, i->rm);
	return 0;
}

/* A lane kernel on two quadwords: `la` and `lb` say how a and b are laid out in lanes, `half` is
 * the quadword that is the result. */
#define MMX_LANE(name, kernel, la, lb, half)                                                       \
	int x_mmx_##name(struct vcpu *v, const struct insn *i)                                     \
	{                                                                                          \
		u64 a = mmx_get(v, i->reg), b;                                                     \
		int r = mmx_src(v, i, &b);                                                         \
                                                                                                   \
		if (r)                                                                             \
			return r;                                                                  \
		mmx_put(v, i->reg,                                                                 \
			k_##kernel((union lane){.q = la}, (union lane){.q = lb}, (unsigned)i->imm) \
				.q[half]);                                                         \
		return EXEC_NEXT;                                                                  \
	}
#define Q2(x, y)                                                                                   \
	{                                                                                          \
		(x), (y)                                                                           \
	}
/* element by element; both quadwords one behind the other; upper halves */
#define MMX_EACH(name) MMX_LANE(name, name, Q2(a, 0), Q2(b, 0), 0)
#define MMX_JOIN(name) MMX_LANE(name, name, Q2(a, b), Q2(a, b), 0)
#define MMX_HIGH(name) MMX_LANE(name, name, Q2(0, a), Q2(0, b), 1)

MMX_EACH(paddb)
MMX_EACH(paddw)
MMX_EACH(paddd)
MMX_EACH(paddq)
MMX_EACH(psubb)
MMX_EACH(psubw)
MMX_EACH(psubd)
MMX_EACH(psubq)
MMX_EACH(paddsb)
MMX_EACH(paddsw)
MMX_EACH(paddusb)
MMX_EACH(paddusw)
MMX_EACH(psubsb)
MMX_EACH(psubsw)
MMX_EACH(psubusb)
MMX_EACH(psubusw)
MMX_EACH(pavgb)
MMX_EACH(pavgw)
MMX_EACH(pminub)
MMX_EACH(pmaxub)
MMX_EACH(pminsw)
MMX_EACH(pmaxsw)
MMX_EACH(pcmpeqb)
MMX_EACH(pcmpeqw)
MMX_EACH(pcmpeqd)
MMX_EACH(pcmpgtb)
MMX_EACH(pcmpgtw)
MMX_EACH(pcmpgtd)
MMX_EACH(pmullw)
MMX_EACH(pmulhuw)
MMX_EACH(pmulhw)
MMX_EACH(pmulhrsw)
MMX_EACH(pmuludq)
MMX_EACH(pmaddwd)
MMX_EACH(pmaddubsw)
MMX_EACH(psadbw)
MMX_EACH(psignb)
MMX_EACH(psignw)
MMX_EACH(psignd)
MMX_EACH(pabsb)
MMX_EACH(pabsw)
MMX_EACH(pabsd)
MMX_EACH(pand)
MMX_EACH(pandn)
MMX_EACH(por)
MMX_EACH(pxor)
MMX_EACH(psrlw)
MMX_EACH(psrld)
MMX_EACH(psrlq)
MMX_EACH(psraw)
MMX_EACH(psrad)
MMX_EACH(psllw)
MMX_EACH(pslld)
MMX_EACH(psllq)
MMX_EACH(punpcklbw)
MMX_EACH(punpcklwd)
MMX_EACH(punpckldq)
MMX_HIGH(punpckhbw)
MMX_HIGH(punpckhwd)
MMX_HIGH(punpckhdq)
MMX_JOIN(packsswb)
MMX_JOIN(packuswb)
MMX_JOIN(packssdw)
MMX_JOIN(phaddw)
MMX_JOIN(phaddd)
MMX_JOIN(phaddsw)
MMX_JOIN(phsubw)
MMX_JOIN(phsubd)
MMX_JOIN(phsubsw)
/* three index bits instead of four */
MMX_LANE(pshufb, pshufb, Q2(a, 0), Q2(b & 0x8787878787878787, 0), 0)
MMX_LANE(pshufw, pshuflw, Q2(a, 0), Q2(b, 0), 0)
/* a above b, shifted right */
MMX_LANE(palignr, palignr, Q2(0, 0), Q2(b, a), 0)

#define MMX_SHIFT_IMM(name)                                                                        \
	int x_mmx_##name##_imm(struct vcpu *v, const struct insn *i)                               \
	{                                                                                          \
		union lane a = {.q = {mmx_get(v, i->rm), 0}}, b = {.q = {i->imm, 0}};              \
                                                                                                   \
		mmx_put(v, i->rm, k_##name(a, b, 0).q[0]);                                         \
		return EXEC_NEXT;                                                                  \
	}
MMX_SHIFT_IMM(psrlw)
MMX_SHIFT_IMM(psrld)
MMX_SHIFT_IMM(psrlq)
MMX_SHIFT_IMM(psraw)
MMX_SHIFT_IMM(psrad)
MMX_SHIFT_IMM(psllw)
MMX_SHIFT_IMM(pslld)
MMX_SHIFT_IMM(psllq)

/* --- moves --- */

int x_mmx_movd_load(struct vcpu *v, const struct insn *i)
{
	u64 value;
	int r = rm_read(v, i, i->nbytes_op, &value);

	if (!r)
		mmx_put(v, i->reg, value);
	return r;
}

int x_mmx_movd_store(struct vcpu *v, const struct insn *i)
{
	int r = rm_write(v, i, i->nbytes_op, mmx_get(v, i->reg));

	if (!r)
		mmx_state(v);
	return r;
}

int x_mmx_movq_load(struct vcpu *v, const struct insn *i)
{
	u64 b;
	int r = mmx_src(v, i, &b);

	if (!r)
		mmx_put(v, i->reg, b);
	return r;
}

int x_mmx_movq_store(struct vcpu *v, const struct insn *i)
{
	u64 a = mmx_get(v, i->reg);
	int r = 0;

	if (insn_is_mem(i))
		r = mem_write(v, i->seg, insn_offset(v, i), 8, a);
	else
		mmx_put(v, i->rm, a);
	if (!r)
		mmx_state(v);
	return r;
}

int x_movq2dq(struct vcpu *v, const struct insn *i)
{
	lane_put(&v->ymm[i->reg], 0, (union lane){.q = {mmx_get(v, i->rm), 0}});
	mmx_state(v);
	return EXEC_NEXT;
}

int x_movdq2q(struct vcpu *v, const struct insn *i)
{
	mmx_put(v, i->reg, v->ymm[i->rm].q[0]);
	return EXEC_NEXT;
}

static u32 mmx_signs(const struct vcpu *v, unsigned n)
{
	return lane_signs_b((union lane){.q = {mmx_get(v, n), 0}});
}

int x_mmx_pmovmskb(struct vcpu *v, const struct insn *i)
{
	v->reg[i->reg] = mmx_signs(v, i->rm);
	mmx_state(v);
	return EXEC_NEXT;
}

int x_mmx_maskmovq(struct vcpu *v, const struct insn *i)
{
	union lane l = {.q = {mmx_get(v, i->reg), 0}};
	unsigned seg = i->seg_override ? i->seg_override - 1u : SEG_DS;
	int r = vec_store_bytes(v, seg, v->reg[RDI], size_mask(i->addrsize), &l,
				mmx_signs(v, i->rm), 8);

	if (!r)
		mmx_state(v);
	return r;
}

int x_mmx_pinsrw(struct vcpu *v, const struct insn *i)
{
	unsigned shift = 16 * ((unsigned)i->imm & 3);
	u64 a = mmx_get(v, i->reg), e = v->reg[i->rm];
	int r = insn_is_mem(i) ? mem_read(v, i->seg, insn_offset(v, i), 2, &e) : 0;

	if (!r)
		mmx_put(v, i->reg, (a & ~(0xffffull << shift)) | (e & 0xffff) << shift);
	return r;
}

int x_mmx_pextrw(struct vcpu *v, const struct insn *i)
{
	v->reg[i->reg] = mmx_get(v, i->rm) >> 16 * ((unsigned)i->imm & 3) & 0xffff;
	mmx_state(v);
	return EXEC_NEXT;
}

int x_emms(struct vcpu *v, const struct insn *i)
{
	(void)i;
	mmx_state(v);
	v->x87.tag_valid = 0;
	return EXEC_NEXT;
}
