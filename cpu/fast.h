/*
 * What specialised handlers are made of. They are tail calls with (cpu, op, tlb, budget) in
 * registers; a slow path ends in a tail call too. The plain-loop dispatcher (sanitizers, -O0) is the
 * same bodies with DISPATCH storing instead of jumping: chosen by the build define LOOP_DISPATCH.
 */
#ifndef CPU_FAST_H
#define CPU_FAST_H

#include "cpu/block.h"

#define HANDLER(name) void name(struct vcpu *c, struct op *o, struct tlb_table *tlb, s64 budget)

#ifdef LOOP_DISPATCH
#define DISPATCH_FN(f, op_)                                                                        \
	do {                                                                                       \
		(void)tlb;                                                                         \
		c->next_op = (op_);                                                                \
		c->next_fn = (f);                                                                  \
		c->budget = (u64)budget;                                                           \
		return;                                                                            \
	} while (0)
#else
#define DISPATCH_FN(f, op_) MUSTTAIL return (f)(c, (op_), tlb, budget)
#endif
#define DISPATCH(op_) DISPATCH_FN((op_)->fn, op_)
#define NEXT DISPATCH(o + 1)

/* Operands by byte offset. */
#define REG64(off) (*(u64 *)((u8 *)c + (off)))
#define REG32(off) (*(u32 *)((u8 *)c + (off)))
#define REG16(off) (*(u16 *)((u8 *)c + (off)))
#define REG8(off) (*(u8 *)((u8 *)c + (off)))
/* Reading a register of n bits, writing it with x86 rules. */
#define GET8(off) REG8(off)
#define GET16(off) REG16(off)
#define GET32(off) REG32(off)
#define GET64(off) REG64(off)
#define SET8(off, x) (REG8(off) = (u8)(x))
#define SET16(off, x) (REG16(off) = (u16)(x))
#define SET32(off, x) (REG64(off) = (u32)(x))
#define SET64(off, x) (REG64(off) = (u64)(x))

/* Effective linear addresses: A base+displacement, B everything. */
#define EA_A (REG64(o->base) + (u64)o->disp)
#define EA_B                                                                                       \
	((REG64(o->base) + (REG64(o->index) << (o->scale & 3)) + (u64)o->disp +                    \
	  c->segbase[o->scale >> 2]) &                                                             \
	 c->lin_mask)

op_fn op_slow_load, op_slow_store, op_slow_load16, op_slow_store16, op_slow_exec, op_no_budget,
	op_lookup_link, op_lookup_jump, op_leave_lookup;

/* Declares `u8 *p`, the host address, or leaves by the slow path. */
#define TLB_ACCESS(arr, slow, ea, bytes)                                                           \
	u64 ea_ = (ea);                                                                            \
	struct tlb_entry *e_ = &tlb->arr[(ea_ >> PAGE_SHIFT) & (TLB_SIZE - 1)];                    \
	if (unlikely((e_->tag ^ ea_) > PAGE_SIZE - (bytes))) {                                     \
		c->slow_ea = ea_;                                                                  \
		DISPATCH_FN(slow, o);                                                              \
	}                                                                                          \
	u8 *p = (u8 *)(uintptr_t)(ea_ + e_->addend)
#define FOR_LOAD(ea, bytes) TLB_ACCESS(ld, op_slow_load, ea, bytes)
#define FOR_STORE(ea, bytes) TLB_ACCESS(st, op_slow_store, ea, bytes)

#define PEEK(n, p_) ((u##n)load_le##n##_(p_))
static inline u8 load_le8_(const void *p)
{
	return *(const u8 *)p;
}
static inline u16 load_le16_(const void *p)
{
	return load_le16(p);
}
static inline u32 load_le32_(const void *p)
{
	return load_le32(p);
}
static inline u64 load_le64_(const void *p)
{
	return load_le64(p);
}
#define POKE(n, p_, x) store_le##n##_(p_, (u##n)(x))
static inline void store_le8_(void *p, u8 x)
{
	*(u8 *)p = x;
}
static inline void store_le16_(void *p, u16 x)
{
	store_le16(p, x);
}
static inline void store_le32_(void *p, u32 x)
{
	store_le32(p, x);
}
static inline void store_le64_(void *p, u64 x)
{
	store_le64(p, x);
}

/* Goes to a block whose code page is already the current one. `refund`: instructions of this block
 * that are skipped. */
#define GO_BLOCK(b_, refund)                                                                       \
	do {                                                                                       \
		struct block *bb_ = (b_);                                                          \
		budget += (s64)(refund)-bb_->n;                                                    \
		if (unlikely(budget < 0))                                                          \
			DISPATCH_FN(op_no_budget, bb_->op);                                        \
		DISPATCH(bb_->op);                                                                 \
	} while (0)

/* Results of n-bit operations into the lazy flags. */
#define SX(n, r) ((u64)(s64)(s##n)(r))
#define FLAGS_SET(res, aux)                                                                        \
	do {                                                                                       \
		c->fl_res = (res);                                                                 \
		c->fl_aux = (aux);                                                                 \
	} while (0)
#define ADD_CARRIES(a, b, r) (((a) & (b)) | (((a) | (b)) & ~(r)))
#define SUB_CARRIES(a, b, r) ((~(a) & (b)) | (~((a) ^ (b)) & (r)))

#endif
