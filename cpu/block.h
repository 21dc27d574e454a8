/*
 * Pre-decoded blocks. A block is straight-line code of one page, keyed by physical address and mode
 * (never by linear address, CR3, VPID, EPTP or root/non-root: the same kernel page is decoded once
 * for every level). It is an array of 32-byte ops. A fast op has its operand form and size compiled
 * into its handler; any other instruction is three slots: an op whose handler calls the row's exec
 * function, and the struct insn. Conditional branches that are not taken go on in the block.
 *
 * Invalidation is exact: the cache knows which 64-byte granules of a page were decoded. An
 * invalidated block stays in memory until the whole cache is emptied, its first op replaced by
 * op_stale, so that links to it need no back pointers.
 */
#ifndef CPU_BLOCK_H
#define CPU_BLOCK_H

#include "cpu/cpu.h"

struct op;
typedef void op_fn(struct vcpu *c, struct op *o, struct tlb_table *tlb, s64 budget);

struct op {
	op_fn *fn;
	u64 imm;	/* immediate; branches: struct block * of the target, or 0 */
	s64 disp;	/* displacement; branches: target as an offset from ripbase */
	u8 dst, src;	/* byte offsets of registers in struct vcpu */
	u8 base, index; /* byte offsets; the zero slot where absent */
	u8 scale;	/* bits 1:0 scale, 7:2 index of segbase[] */
	u8 left;	/* instructions of the block behind this one */
	u16 pgoff;	/* offset of the instruction in its page */
};
_Static_assert(sizeof(struct op) == 32, "op slots");

#define BLOCK_MAX_INSNS 64

struct block {
	u64 paddr; /* of the first byte */
	struct block *hash_next, *page_next;
	u16 mode_key;
	u16 n; /* instructions */
	u16 bytes;
	bool stale;
	struct op op[];
};

/* mode_key bits. At this privilege level: KEY_IBT, indirect branches are tracked; KEY_SHADOW, there
 * is a shadow stack. */
enum {
	KEY_BITS16 = 0,
	KEY_BITS32 = 1,
	KEY_BITS64 = 2,
	KEY_BITS = 3,
	KEY_FLAT = 4,
	KEY_IBT = 8,
	KEY_BRANCHES = 16, /* branches are counted: they have no fast handlers */
	KEY_SHADOW = 32,
};

enum leave_code {
	LEAVE_LOOKUP, /* rip is set; no block was found for it */
	LEAVE_STEP,   /* rip is at an instruction that must be stepped (it crosses a page) */
	LEAVE_BUDGET, /* rip is set; the next block is longer than the budget */
	LEAVE_EVENT,  /* an instruction ended with something other than EXEC_NEXT, see exec_code */
};

struct block_cache;

struct block_cache *blocks_new(struct physmem *mem);
void blocks_free(struct block_cache *bc);
/* Finds a block; NULL if there is none yet. */
struct block *blocks_find(struct block_cache *bc, u64 paddr, u16 mode_key);
/* Decodes a block at v->rip, whose code page is at paddr. NULL: the instruction there must be
 * stepped (it crosses the page). May empty the whole cache. */
struct block *blocks_translate(struct vcpu *v, u64 paddr);
/* Bytes changed: drops the blocks made from them. True if any was dropped. */
bool blocks_written(struct block_cache *bc, u64 paddr, u64 len);
void blocks_flush(struct block_cache *bc);
/* Counts up with every flush: pointers to blocks of another epoch are dead. */
u64 blocks_epoch(const struct block_cache *bc);
/* A machine's vCPUs register so that a flush can clear their jump caches. */
void blocks_add_vcpu(struct block_cache *bc, struct vcpu *v);

/* fast.c: replaces a generic op by a specialised one. Returns the slots written at `o`, 0 if there is
 * no fast form. flags_live: the instruction's flag results can be seen. next: the following
 * instruction of the block, or NULL: a compare looks whether it can be fused with it. */
unsigned fast_translate(const struct vcpu *v, const struct insn *i, const struct insn *next,
			bool flags_live, u16 pgoff, struct op *o);
/* Register-only, cannot fault or leave: flags that such a run overwrites are never seen. */
bool fast_is_pure(const struct insn *i);
/* run.c: handlers that the translator places itself. */
op_fn op_generic, op_generic_end, op_stale, op_goto_page, op_goto_near, op_step;

#endif
