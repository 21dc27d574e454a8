/*
 * TLB contexts. Combined translations (linear address to host address) live in tables that belong
 * to one (VPID, EPTP, PCID); MOV CR3, VM entry and VM exit swap a pointer. A context has one table
 * for each way of accessing memory, so that an entry's presence is the whole permission check:
 * a store entry exists only where a store needs no further action (writable, dirty bits set, RAM,
 * no decoded code, no watchpoint). SDM "Caching Translation Information".
 */
#ifndef MMU_TLB_H
#define MMU_TLB_H

#include "base/types.h"
#include "mmu/physmem.h"

#define TLB_BITS 10
#define TLB_SIZE (1u << TLB_BITS)
#define ITLB_BITS 10
#define ITLB_SIZE (1u << ITLB_BITS)
#define JUMP_BITS 10
#define JUMP_SIZE (1u << JUMP_BITS)

struct block;

/* Hit test: (tag ^ laddr) <= PAGE_SIZE - size, one comparison that also refuses page crossings. An
 * empty slot holds a tag whose index bits are those of another slot, so that it never hits. */
struct tlb_entry {
	u64 tag;    /* linear address of the page */
	u64 addend; /* host address = laddr + addend */
};

struct itlb_entry {
	u64 tag;
	u64 paddr; /* physical page in RAM */
};

/* Recent targets of indirect branches; users check the ITLB entry and the block's page and mode. */
struct jump_entry {
	u64 rip;
	struct block *block;
};

enum tlb_info {
	TLB_USED = 1,
	TLB_GLOBAL = 2,
	TLB_LARGE_2M = 4,
	TLB_LARGE_1G = 8,
};

struct tlb_table {
	struct tlb_entry ld[TLB_SIZE]; /* must be first: handlers index from the table pointer */
	struct tlb_entry st[TLB_SIZE];
	struct itlb_entry it[ITLB_SIZE];
	struct jump_entry jump[JUMP_SIZE];
	u8 ld_info[TLB_SIZE], st_info[TLB_SIZE], it_info[ITLB_SIZE];
	u16 ld_used[TLB_SIZE], st_used[TLB_SIZE], it_used[ITLB_SIZE]; /* slots filled */
	u16 ld_n, st_n, it_n;
	u64 large_2m, large_1g; /* regions with entries of large pages, as bits of a hash */
};

enum tlb_way {
	TLB_USER,	  /* CPL 3 */
	TLB_SUPER,	  /* CPL < 3, and implicit supervisor accesses */
	TLB_SUPER_AC,	  /* explicit supervisor accesses with SMAP on and RFLAGS.AC = 1 */
	TLB_SHADOW_USER,  /* shadow-stack accesses of CPL 3, and of WRUSS */
	TLB_SHADOW_SUPER, /* other shadow-stack accesses */
	TLB_WAYS
};

struct tlb_ctx {
	u16 vpid, pcid;
	u32 rights;  /* CR0, CR4 and EFER bits that the entries were checked with */
	u64 ept_tag; /* of walk.h; 0: no EPT */
	u64 keys;    /* PKRU and IA32_PKRS that the entries were checked with */
	bool valid;
	u64 last_use;
	struct tlb_table *way[TLB_WAYS]; /* allocated on first use */
};

#define TLB_CONTEXTS 64

/* Guest-physical pages already walked through an EPT: used by page walks and fills. */
#define EPT_CACHE_SIZE 1024
struct ept_cache_entry {
	u64 gpa; /* page; ~0 empty */
	u64 ept_tag;
	u64 paddr; /* page */
	u32 epoch; /* counts only in that of struct tlb */
	u8 rights; /* enum ept_right; W only if the dirty flag needs no update */
	u8 large;  /* enum tlb_info large bits */
};

struct tlb {
	struct tlb_ctx ctx[TLB_CONTEXTS];
	struct tlb_ctx *cur;
	u64 tick;
	struct ept_cache_entry ept[EPT_CACHE_SIZE];
	u32 ept_epoch;
	u64 flushes, fills; /* counted for `info` and the benches */
};

bool tlb_init(struct tlb *t);
void tlb_free(struct tlb *t);
/* Makes (vpid, ept_tag, pcid) current; finds it or takes over the least recently used context. A
 * processor caches translations and asks for rights anew, so software changes rights (protection
 * keys; CR0.WP of a guest by its hypervisor) without a flush: other rights are another context. */
void tlb_switch(struct tlb *t, u16 vpid, u64 ept_tag, u16 pcid, u32 rights, u64 keys);
/* The current context's table for a way of access. */
struct tlb_table *tlb_table(struct tlb *t, enum tlb_way way);

void tlb_fill_load(struct tlb_table *t, u64 laddr, const u8 *host_page, u8 info);
void tlb_fill_store(struct tlb_table *t, u64 laddr, u8 *host_page, u8 info);
void tlb_fill_fetch(struct tlb_table *t, u64 laddr, u64 paddr, u8 info);

/* Invalidations, each exactly what the SDM asks for. Those that guests cause by themselves are for
 * one VPID and, as the SDM has it, for combined mappings of every EPTP. */
void tlb_flush_all(struct tlb *t);
/* Everything of one VPID: MOV CR0/CR4, INVPCID types 2 and 3, INVVPID types 1 and 3. */
void tlb_flush_vpid(struct tlb *t, u16 vpid, bool globals);
/* One PCID of a VPID but for global pages: MOV CR3, INVPCID type 1. */
void tlb_flush_pcid(struct tlb *t, u16 vpid, u16 pcid);
/* INVLPG (and INVPCID type 0 with globals = false): one address; global pages in every PCID. */
void tlb_flush_laddr(struct tlb *t, u16 vpid, u16 pcid, u64 laddr, bool globals);
/* INVVPID type 0. */
void tlb_flush_vpid_laddr(struct tlb *t, u16 vpid, u64 laddr);
/* INVVPID type 2: all VPIDs but 0. */
void tlb_flush_all_vpids(struct tlb *t);
/* INVEPT types 1 and 2: every context that used the EPTP (bits 51:12), or any EPTP. */
void tlb_flush_eptp(struct tlb *t, u64 eptp);
void tlb_flush_all_eptps(struct tlb *t);
/* An EPT violation: what is held of the address for this VPID, PCID and EPTP goes. large: the translation may
 * have been that of a large page. */
void tlb_drop_current(struct tlb *t, u64 laddr, bool large);
/* Guest-physical pages of every EPTP. */
void tlb_forget_ept(struct tlb *t);
/* A physical page got decoded code in it: no store entry to it may remain. */
void tlb_drop_stores(struct tlb *t, const u8 *host_page);

#endif
