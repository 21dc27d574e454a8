/*
 * What segment.c, far.c, task.c, event.c and ops_seg.c share: descriptors, candidate stacks and
 * frames that are checked and written before any register changes.
 */
#ifndef CPU_SEG_INTERNAL_H
#define CPU_SEG_INTERNAL_H

#include "cpu/cpu.h"

/* System descriptor types (S = 0). In IA-32e mode TSS, gates and LDT are the 64-bit ones. */
enum {
	SYS_TSS16 = 1,
	SYS_LDT = 2,
	SYS_TSS16_BUSY = 3,
	SYS_CALL16 = 4,
	SYS_TASK_GATE = 5,
	SYS_INT16 = 6,
	SYS_TRAP16 = 7,
	SYS_TSS32 = 9,
	SYS_TSS32_BUSY = 11,
	SYS_CALL32 = 12,
	SYS_INT32 = 14,
	SYS_TRAP32 = 15,
	SYS_BUSY = 2, /* the busy bit of the TSS types */
	SYS_WIDE = 8, /* set in the 32-bit forms */
};

/* Sources of a task switch, numbered as in the exit qualification. */
enum { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

struct desc {
	struct seg seg; /* decoded; for gates only .ar means something */
	u64 raw;
	u64 laddr; /* linear address of the descriptor */
};

static inline u32 seg_dpl(const struct seg *s)
{
	return (s->ar & AR_DPL) >> AR_DPL_SHIFT;
}

static inline bool ar_is_code(u32 ar)
{
	return (ar & (AR_S | AR_CODE)) == (AR_S | AR_CODE);
}

static inline bool ar_is_conforming(u32 ar)
{
	return (ar & (AR_S | AR_CODE | AR_DC)) == (AR_S | AR_CODE | AR_DC);
}

static inline bool ar_is_writable_data(u32 ar)
{
	return (ar & (AR_S | AR_CODE | AR_RW)) == (AR_S | AR_RW);
}

static inline bool ar_is_readable(u32 ar)
{
	return ar & AR_S && (ar & (AR_CODE | AR_RW)) != AR_CODE;
}

static inline bool sel_is_null(u16 sel)
{
	return !(sel & 0xfffc);
}

static inline unsigned iopl(const struct vcpu *v)
{
	return v->rflags >> 12 & 3;
}

/* The hit test of mmu/tlb.h for n bytes: their host address, or NULL for the long way round. A
 * non-canonical address never hits. */
static inline u8 *tlb_hit(const struct tlb_entry *half, u64 laddr, unsigned n)
{
	const struct tlb_entry *e = &half[(laddr >> PAGE_SHIFT) & (TLB_SIZE - 1)];

	return likely((e->tag ^ laddr) <= PAGE_SIZE - n) ? (u8 *)(uintptr_t)(laddr + e->addend)
							 : NULL;
}

/* Short cuts through the TLB are off while data breakpoints want to see every access. */
static inline const u8 *sys_hit(const struct vcpu *v, u64 laddr, unsigned n)
{
	const struct tlb_table *t = v->tlb.cur->way[TLB_SUPER];

	return likely(t && !v->watch) ? tlb_hit(t->ld, laddr, n) : NULL;
}

static inline bool stack_quick(const struct vcpu *v)
{
	return v->mode == MODE_64 && !v->watch && !v->align_check;
}

/* --- event.c --- */
/* A fault whose error code is a selector (0 for none); EXT is added while an event is delivered. */
int raise_sel(struct vcpu *v, u8 vector, u16 sel);
/* Virtual-8086 mode with CR4.VME: does INT n go to the 8086 program's own handler? The bitmap lies
 * in the TSS. 0 or a fault. */
int vme_redirected(struct vcpu *v, u8 vector, bool *redirected);

/* TF or IF became set since rflags was `before`: must the run loop look before going on? */
bool flags_need_look(const struct vcpu *v, u64 before);

/* --- segment.c --- */
/* Implicit supervisor accesses to descriptor tables and TSS; 32-bit wrap outside IA-32e mode. */
int sys_read(struct vcpu *v, u64 laddr, unsigned size, u64 *value);
int sys_read_bytes(struct vcpu *v, u64 laddr, void *buf, unsigned n);
/* Reads a descriptor if the table has one at that selector (*inside); a fault is one of paging. */
int desc_try(struct vcpu *v, u16 sel, struct desc *d, bool *inside);
/* Reads a descriptor out of the GDT or LDT; `vector` with the selector if it lies outside. */
int desc_read(struct vcpu *v, u16 sel, u8 vector, struct desc *d);
/* The upper half of a 16-byte system descriptor. */
int desc_read_high(struct vcpu *v, u16 sel, u8 vector, const struct desc *d, u64 *high);
/* Sets bits in the access byte (accessed, busy) in memory and in d. */
int desc_mark(struct vcpu *v, struct desc *d, u8 bits_);
static inline int desc_set_accessed(struct vcpu *v, struct desc *d)
{
	return likely(d->seg.ar & AR_A) ? 0 : desc_mark(v, d, AR_A);
}
/* A stack segment for privilege level `cpl`: `vector` if it is none, #SS if not present. */
int desc_read_stack(struct vcpu *v, u16 sel, unsigned cpl, u8 vector, struct desc *d);
/* Offset limit or canonical check of a branch target; #GP(0). */
int code_check_rip(struct vcpu *v, const struct seg *cs, u64 rip);
/* IA-32e mode: L and D both set means nothing. */
static inline bool code_is_bad_long(const struct vcpu *v, const struct seg *cs)
{
	return mode_long(v) && (cs->ar & (AR_L | AR_DB)) == (AR_L | AR_DB);
}
static inline bool code_is_64(const struct vcpu *v, const struct seg *cs)
{
	return mode_long(v) && cs->ar & AR_L;
}
void seg_make_null(struct seg *s, u16 sel, unsigned dpl);
/* What privilege-lowering returns do to ES, DS, FS and GS. */
void seg_drop_privileged(struct vcpu *v);
/* After ES, SS, DS, FS or GS was loaded: derived values. */
void seg_loaded(struct vcpu *v, unsigned seg);
/* After a new CS: the cheapest refresh that is enough. was_mode: the mode before; full: TF or VM
 * changed; cpl_changed: CPL or AC changed and nobody has looked yet. */
void code_loaded(struct vcpu *v, u8 was_mode, bool full, bool cpl_changed);
/* Is [off, off + n) inside s and of the right kind? wide: 64-bit mode rules. */
bool seg_check(const struct vcpu *v, const struct seg *s, bool wide, u64 off, unsigned n,
	       bool write, u64 *laddr);

/* What stack_pop would pop. */
int stack_peek(struct vcpu *v, unsigned size, u64 *value);

/* A stack that is not yet, or perhaps is, the current one. */
struct stack {
	struct desc ss;
	u64 sp;	    /* whole register */
	u64 mask;   /* which part of it counts */
	bool wide;  /* 64-bit addressing */
	bool fresh; /* came from the TSS: ss is to be loaded */
};

void stack_current(struct vcpu *v, struct stack *st);
/* The stack of an inner privilege level out of the TSS; ist 1-7: from the IST (IA-32e mode). */
int stack_from_tss(struct vcpu *v, unsigned cpl, unsigned ist, struct stack *st);
/* Pushes n values of `size` bytes, the first at the highest address, with the rights of `cpl`. On
 * success st->sp is what RSP must become, and v->cpl is `cpl` with the TLB way switched. */
int stack_push_frame(struct vcpu *v, struct stack *st, unsigned cpl, const u64 *value, unsigned n,
		     unsigned size);
/* Loads SS:RSP from st, CPL is already right. */
void stack_commit(struct vcpu *v, const struct stack *st);

/* --- far.c --- */
/* next_rip: behind the instruction, for the TSS of a task that is left. */
int far_jump_from(struct vcpu *v, u16 sel, u64 off, unsigned opsize, u64 next_rip);
int iret_from(struct vcpu *v, unsigned opsize, u64 next_rip);

/* --- task.c --- */
struct task_source {
	u16 sel;
	u8 source; /* TASK_x */
	bool has_error;
	u32 error;
	u64 next_rip, flags; /* what the old TSS is to hold */
};
int task_switch_from(struct vcpu *v, const struct task_source *t);

#endif
