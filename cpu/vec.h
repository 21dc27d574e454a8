/*
 * What the handlers of MMX, SSE and AVX instructions are made of: 16-byte lanes passed by value,
 * operand access, and the wrappers that turn one lane operation ("kernel", k_*) into the legacy
 * SSE handler (x_*) and the VEX handler (x_v*). 256-bit operations of AVX and AVX2 are two lanes.
 * Hosts are little-endian: element n of a register is array member n.
 */
#ifndef CPU_VEC_H
#define CPU_VEC_H

#include "cpu/cpu.h"

union lane {
	u8 b[16];
	u16 w[8];
	u32 d[4];
	u64 q[2];
	s8 sb[16];
	s16 sw[8];
	s32 sd[4];
	s64 sq[2];
};

static inline union lane lane_zero(void)
{
	return (union lane){.q = {0, 0}};
}

static inline union lane lane_get(const union vreg *r, unsigned k)
{
	union lane l;

	memcpy(&l, &r->q[2 * k], sizeof(l));
	return l;
}

static inline void lane_put(union vreg *r, unsigned k, union lane l)
{
	memcpy(&r->q[2 * k], &l, sizeof(l));
}

/* A VEX result: what is above the vector length is zero. */
static inline void avx_put128(union vreg *d, union lane lo)
{
	lane_put(d, 0, lo);
	lane_put(d, 1, lane_zero());
}

static inline void avx_put(union vreg *d, const union vreg *value, unsigned vl)
{
	lane_put(d, 0, lane_get(value, 0));
	lane_put(d, 1, vl == 32 ? lane_get(value, 1) : lane_zero());
}

/* Host address of the n bytes of the memory operand if they are RAM within one page that the TLB
 * knows and nothing else is to be looked at; otherwise NULL. */
static inline u8 *vec_host(const struct vcpu *v, const struct insn *i, unsigned n, bool store)
{
	const struct tlb_entry *e;
	u64 ea = (u64)i->disp;

	if (unlikely(v->mode != MODE_64 || i->addrsize != 8 || v->watch || v->align_check))
		return NULL;
	if (i->base < 16)
		ea += v->reg[i->base];
	else if (i->base == REG_RIP)
		ea += v->rip + i->len;
	if (i->index < 16)
		ea += v->reg[i->index] << i->scale;
	if (i->seg >= SEG_FS)
		ea += v->seg[i->seg].base;
	e = &(store ? v->table->st : v->table->ld)[(ea >> PAGE_SHIFT) & (TLB_SIZE - 1)];
	if (unlikely((e->tag ^ ea) > PAGE_SIZE - n))
		return NULL;
	return (u8 *)(uintptr_t)(ea + e->addend);
}

/* The memory operand: n is 1-32. */
int vec_read(struct vcpu *v, const struct insn *i, void *buf, unsigned n);
int vec_write(struct vcpu *v, const struct insn *i, const void *buf, unsigned n);
/* Stores byte k of n to offset (off + k) & off_mask where bit k of `select` is set; all or
 * nothing. */
int vec_store_bytes(struct vcpu *v, unsigned seg, u64 off, u64 off_mask, const void *bytes,
		    u32 select, unsigned n);

/* The r/m operand of 16 bytes. */
static inline int sse_src(struct vcpu *v, const struct insn *i, union lane *b)
{
	if (insn_is_mem(i))
		return vec_read(v, i, b, 16);
	*b = lane_get(&v->ymm[i->rm], 0);
	return 0;
}

/* The r/m operand of the vector length. */
static inline int avx_src(struct vcpu *v, const struct insn *i, union vreg *b)
{
	if (insn_is_mem(i))
		return vec_read(v, i, b, i->vl);
	*b = v->ymm[i->rm];
	return 0;
}

/* The r/m operand where memory is narrower than a register (nbytes_op, zero-extended). */
static inline int narrow_src(struct vcpu *v, const struct insn *i, union vreg *b)
{
	if (!insn_is_mem(i)) {
		*b = v->ymm[i->rm];
		return 0;
	}
	memset(b, 0, sizeof(*b));
	return vec_read(v, i, b, i->nbytes_op);
}

/* Kernels are union lane k_name(union lane a, union lane b, unsigned imm). Legacy: a is the
 * destination. VEX: a is VEX.vvvv. Kernels with one source use b. */
#define SSE_OP(name)                                                                               \
	int x_##name(struct vcpu *v, const struct insn *i)                                         \
	{                                                                                          \
		union vreg *d = &v->ymm[i->reg];                                                   \
		union lane b;                                                                      \
		int r = sse_src(v, i, &b);                                                         \
                                                                                                   \
		if (r)                                                                             \
			return r;                                                                  \
		lane_put(d, 0, k_##name(lane_get(d, 0), b, (unsigned)i->imm));                     \
		return EXEC_NEXT;                                                                  \
	}

/* hi_imm: the immediate for the upper lane, an expression in imm. */
#define AVX_OP_IMM(name, hi_imm)                                                                   \
	int x_v##name(struct vcpu *v, const struct insn *i)                                        \
	{                                                                                          \
		const union vreg *a = &v->ymm[i->vvvv];                                            \
		unsigned imm = (unsigned)i->imm;                                                   \
		union lane lo, hi = lane_zero();                                                   \
		union vreg b;                                                                      \
		int r = avx_src(v, i, &b);                                                         \
                                                                                                   \
		if (r)                                                                             \
			return r;                                                                  \
		lo = k_##name(lane_get(a, 0), lane_get(&b, 0), imm);                               \
		if (i->vl == 32)                                                                   \
			hi = k_##name(lane_get(a, 1), lane_get(&b, 1), hi_imm);                    \
		lane_put(&v->ymm[i->reg], 0, lo);                                                  \
		lane_put(&v->ymm[i->reg], 1, hi);                                                  \
		return EXEC_NEXT;                                                                  \
	}
#define AVX_OP(name) AVX_OP_IMM(name, imm)
#define VEC_OP(name) SSE_OP(name) AVX_OP(name)
#define VEC_OP_IMM(name, hi_imm) SSE_OP(name) AVX_OP_IMM(name, hi_imm)

#endif
