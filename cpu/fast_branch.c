/*
 * Specialised near branches. A branch within its page links to the target block directly; one to
 * another page is guarded by the ITLB entry, so that the link survives as long as the mapping does.
 * Compare-and-branch pairs run as one: the compare's op looks at the branch's slot behind it.
 * Conditional branches dispatch at two sites (interpreter.md, point 3).
 */
#include "cpu/fast.h"
#include "cpu/fast_cond.h"
#include "cpu/fast_tables.h"

/* Branch op b_, target in this page. */
#define GO_NEAR(b_)                                                                                \
	do {                                                                                       \
		if (unlikely(!(b_)->imm))                                                          \
			DISPATCH_FN(op_link, (b_));                                                \
		GO_BLOCK((struct block *)(uintptr_t)(b_)->imm, (b_)->left);                        \
	} while (0)

/* Branch op b_, target in another page, rip_ already computed. */
#define GO_FAR(b_, rip_)                                                                           \
	do {                                                                                       \
		u64 t_ = (rip_);                                                                   \
		struct block *fb_ = (struct block *)(uintptr_t)(b_)->imm;                          \
		struct itlb_entry *ie_ = &tlb->it[(t_ >> PAGE_SHIFT) & (ITLB_SIZE - 1)];           \
		if (unlikely(!fb_ || ie_->tag != (t_ & PAGE_MASK) ||                               \
			     ie_->paddr != (fb_->paddr & PAGE_MASK))) {                            \
			c->rip = t_;                                                               \
			budget += (b_)->left;                                                      \
			DISPATCH_FN(op_lookup_link, (b_));                                         \
		}                                                                                  \
		c->ripbase = t_ & PAGE_MASK;                                                       \
		c->code_page = ie_->paddr;                                                         \
		GO_BLOCK(fb_, (b_)->left);                                                         \
	} while (0)

/* Indirect target t_. */
#define JUMP_SLOT(t_) (&tlb->jump[((t_) ^ (t_) >> 9) & (JUMP_SIZE - 1)])
#define GO_INDIRECT(t_)                                                                            \
	do {                                                                                       \
		struct jump_entry *j_ = JUMP_SLOT(t_);                                             \
		struct itlb_entry *ie_ = &tlb->it[((t_) >> PAGE_SHIFT) & (ITLB_SIZE - 1)];         \
		if (unlikely(j_->rip != (t_) || !j_->block || ie_->tag != ((t_)&PAGE_MASK) ||      \
			     ie_->paddr != (j_->block->paddr & PAGE_MASK) ||                       \
			     j_->block->mode_key != c->mode_key)) {                                \
			c->rip = (t_);                                                             \
			DISPATCH_FN(op_lookup_jump, o);                                            \
		}                                                                                  \
		c->ripbase = (t_)&PAGE_MASK;                                                       \
		c->code_page = ie_->paddr;                                                         \
		GO_BLOCK(j_->block, 0);                                                            \
	} while (0)

static inline bool canonical_target(const struct vcpu *c, u64 t)
{
	return is_canonical(t, c->width_laddr);
}

/* First execution: finds the block and patches the link; leaves if it is not decoded yet. */
static HANDLER(op_link)
{
	struct block *b = blocks_find(c->blocks, c->code_page + (u64)o->disp, c->mode_key);

	if (!b) {
		c->rip = c->ripbase + (u64)o->disp;
		budget += o->left;
		DISPATCH_FN(op_leave_lookup, o);
	}
	o->imm = (uintptr_t)b;
	GO_BLOCK(b, o->left);
}

static struct block *lookup(struct vcpu *c, struct tlb_table *tlb)
{
	u64 laddr = c->rip;
	struct itlb_entry *e = &tlb->it[(laddr >> PAGE_SHIFT) & (ITLB_SIZE - 1)];

	if (e->tag != (laddr & PAGE_MASK))
		return NULL;
	c->ripbase = laddr & PAGE_MASK;
	c->code_page = e->paddr;
	return blocks_find(c->blocks, e->paddr | (laddr & ~PAGE_MASK), c->mode_key);
}

/* c->rip is the linear target too: fast code runs with a flat CS only. */
HANDLER(op_lookup_link)
{
	struct block *b = lookup(c, tlb);

	if (!b)
		DISPATCH_FN(op_leave_lookup, o);
	o->imm = (uintptr_t)b;
	GO_BLOCK(b, 0);
}

HANDLER(op_lookup_jump)
{
	struct block *b = lookup(c, tlb);
	struct jump_entry *j = JUMP_SLOT(c->rip);

	if (!b)
		DISPATCH_FN(op_leave_lookup, o);
	j->rip = c->rip;
	j->block = b;
	GO_BLOCK(b, 0);
}

HANDLER(op_goto_near)
{
	GO_NEAR(o);
}

HANDLER(op_goto_page)
{
	GO_FAR(o, (c->ripbase + (u64)o->disp) & c->lin_mask);
}

#define JCC(cc)                                                                                    \
	static HANDLER(jcc_##cc)                                                                   \
	{                                                                                          \
		if (COND_##cc)                                                                     \
			GO_NEAR(o);                                                                \
		NEXT;                                                                              \
	}                                                                                          \
	static HANDLER(jcc_far_##cc)                                                               \
	{                                                                                          \
		if (COND_##cc)                                                                     \
			GO_FAR(o, (c->ripbase + (u64)o->disp) & c->lin_mask);                      \
		NEXT;                                                                              \
	}
FOR_ALL_COND(JCC)
#define NEAR_ROW(cc) jcc_##cc,
#define FAR_ROW(cc) jcc_far_##cc,
op_fn *const fast_jcc[16] = {FOR_ALL_COND(NEAR_ROW)};
op_fn *const fast_jcc_far[16] = {FOR_ALL_COND(FAR_ROW)};

/* --- compare fused with branch --- */
#define CC_cmp_b(n) (a < b)
#define CC_cmp_ae(n) (a >= b)
#define CC_cmp_e(n) (a == b)
#define CC_cmp_ne(n) (a != b)
#define CC_cmp_be(n) (a <= b)
#define CC_cmp_a(n) (a > b)
#define CC_cmp_s(n) ((s##n)r < 0)
#define CC_cmp_ns(n) ((s##n)r >= 0)
#define CC_cmp_l(n) ((s##n)a < (s##n)b)
#define CC_cmp_ge(n) ((s##n)a >= (s##n)b)
#define CC_cmp_le(n) ((s##n)a <= (s##n)b)
#define CC_cmp_g(n) ((s##n)a > (s##n)b)
#define CC_test_e(n) (r == 0)
#define CC_test_ne(n) (r != 0)
#define CC_test_s(n) ((s##n)r < 0)
#define CC_test_ns(n) ((s##n)r >= 0)
#define CC_test_le(n) ((s##n)r <= 0)
#define CC_test_g(n) ((s##n)r > 0)
#define RES_cmp(n)                                                                                 \
	u##n r = (u##n)(a - b);                                                                    \
	FLAGS_SET(SX(n, r), flags_aux(SUB_CARRIES((u64)a, (u64)b, (u64)r), n))
#define RES_test(n)                                                                                \
	u##n r = (u##n)(a & b);                                                                    \
	FLAGS_SET(SX(n, r), 0)
#define FUSED_END(op, cc, n)                                                                       \
	RES_##op(n);                                                                               \
	if (CC_##op##_##cc(n))                                                                     \
		GO_NEAR(o + 1);                                                                    \
	DISPATCH(o + 2)
#define FUSED_N(op, cc, n)                                                                         \
	static HANDLER(op##_##cc##_rr##n)                                                          \
	{                                                                                          \
		u##n a = GET##n(o->dst), b = GET##n(o->src);                                       \
		FUSED_END(op, cc, n);                                                              \
	}                                                                                          \
	static HANDLER(op##_##cc##_ri##n)                                                          \
	{                                                                                          \
		u##n a = GET##n(o->dst), b = (u##n)o->imm;                                         \
		FUSED_END(op, cc, n);                                                              \
	}                                                                                          \
	static HANDLER(op##_##cc##_rm##n)                                                          \
	{                                                                                          \
		FOR_LOAD(EA_A, n / 8);                                                             \
		u##n a = GET##n(o->dst), b = PEEK(n, p);                                           \
		FUSED_END(op, cc, n);                                                              \
	}                                                                                          \
	static HANDLER(op##_##cc##_mi##n)                                                          \
	{                                                                                          \
		FOR_LOAD(EA_A, n / 8);                                                             \
		u##n a = PEEK(n, p), b = (u##n)o->imm;                                             \
		FUSED_END(op, cc, n);                                                              \
	}
#define FUSED(op, cc) FUSED_N(op, cc, 8) FUSED_N(op, cc, 16) FUSED_N(op, cc, 32) FUSED_N(op, cc, 64)
FUSED(cmp, b)
FUSED(cmp, ae)
FUSED(cmp, e)
FUSED(cmp, ne)
FUSED(cmp, be)
FUSED(cmp, a)
FUSED(cmp, s)
FUSED(cmp, ns)
FUSED(cmp, l)
FUSED(cmp, ge)
FUSED(cmp, le)
FUSED(cmp, g)
FUSED(test, e)
FUSED(test, ne)
FUSED(test, s)
FUSED(test, ns)
FUSED(test, le)
FUSED(test, g)
#define FCMP(f, n)                                                                                 \
	{                                                                                          \
		[2] = cmp_b_##f##n, [3] = cmp_ae_##f##n, [4] = cmp_e_##f##n, [5] = cmp_ne_##f##n,  \
		[6] = cmp_be_##f##n, [7] = cmp_a_##f##n, [8] = cmp_s_##f##n, [9] = cmp_ns_##f##n,  \
		[12] = cmp_l_##f##n, [13] = cmp_ge_##f##n, [14] = cmp_le_##f##n,                   \
		[15] = cmp_g_##f##n                                                                \
	}
/* After TEST OF and CF are 0: L is S, GE is NS. */
#define FTEST(f, n)                                                                                \
	{                                                                                          \
		[4] = test_e_##f##n, [5] = test_ne_##f##n, [8] = test_s_##f##n,                    \
		[9] = test_ns_##f##n, [12] = test_s_##f##n, [13] = test_ns_##f##n,                 \
		[14] = test_le_##f##n, [15] = test_g_##f##n                                        \
	}
#define FFORM(X, f)                                                                                \
	{                                                                                          \
		X(f, 8), X(f, 16), X(f, 32), X(f, 64)                                              \
	}
op_fn *const fast_fused[2][4][4][16] = {
	{FFORM(FCMP, rr), FFORM(FCMP, ri), FFORM(FCMP, rm), FFORM(FCMP, mi)},
	{FFORM(FTEST, rr), FFORM(FTEST, ri), FFORM(FTEST, rm), FFORM(FTEST, mi)},
};

/* --- unconditional; 64-bit mode for everything that touches the stack --- */
#define CHECKED(t_)                                                                                \
	if (unlikely(!canonical_target(c, (t_))))                                                  \
	DISPATCH_FN(op_slow_exec, o)

HANDLER(fast_jmp_r)
{
	u64 t = REG64(o->src);

	CHECKED(t);
	GO_INDIRECT(t);
}

#define JMP_M(k)                                                                                   \
	HANDLER(fast_jmp_m##k)                                                                     \
	{                                                                                          \
		FOR_LOAD(EA_##k, 8);                                                               \
		u64 t = load_le64(p);                                                              \
		CHECKED(t);                                                                        \
		GO_INDIRECT(t);                                                                    \
	}
JMP_M(A)
JMP_M(B)

#define PUSH_RETURN                                                                                \
	FOR_STORE(c->reg[RSP] - 8, 8);                                                             \
	store_le64(p, c->ripbase + o[1].pgoff);                                                    \
	c->reg[RSP] -= 8

HANDLER(fast_call_rel)
{
	PUSH_RETURN;
	GO_NEAR(o);
}

HANDLER(fast_call_rel_far)
{
	PUSH_RETURN;
	GO_FAR(o, c->ripbase + (u64)o->disp);
}

HANDLER(fast_call_r)
{
	u64 t = REG64(o->src);

	CHECKED(t);
	PUSH_RETURN;
	GO_INDIRECT(t);
}

/* The target is read before the push, whose address may miss: both must hit to go on. */
#define CALL_M(k)                                                                                  \
	HANDLER(fast_call_m##k)                                                                    \
	{                                                                                          \
		u64 t;                                                                             \
		{                                                                                  \
			FOR_LOAD(EA_##k, 8);                                                       \
			t = load_le64(p);                                                          \
		}                                                                                  \
		CHECKED(t);                                                                        \
		PUSH_RETURN;                                                                       \
		GO_INDIRECT(t);                                                                    \
	}
CALL_M(A)
CALL_M(B)

HANDLER(fast_ret)
{
	FOR_LOAD(c->reg[RSP], 8);
	u64 t = load_le64(p);

	CHECKED(t);
	c->reg[RSP] += 8;
	GO_INDIRECT(t);
}

HANDLER(fast_ret_imm)
{
	FOR_LOAD(c->reg[RSP], 8);
	u64 t = load_le64(p);

	CHECKED(t);
	c->reg[RSP] += 8 + o->imm;
	GO_INDIRECT(t);
}
