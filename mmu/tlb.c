/*
 * TLB contexts: lookup, fill and the SDM's invalidations. See tlb.h.
 */
#include <stdlib.h>
#include <string.h>

#include "mmu/tlb.h"
#include "mmu/walk.h"

static unsigned slot_of(u64 laddr)
{
	return (laddr >> PAGE_SHIFT) & (TLB_SIZE - 1);
}

static unsigned islot_of(u64 laddr)
{
	return (laddr >> PAGE_SHIFT) & (ITLB_SIZE - 1);
}

static u64 empty_tag(unsigned slot)
{
	return (u64)(slot ^ 1) << PAGE_SHIFT;
}

static struct tlb_table *table_new(void)
{
	struct tlb_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	for (unsigned i = 0; i < TLB_SIZE; i++)
		t->ld[i].tag = t->st[i].tag = empty_tag(i);
	for (unsigned i = 0; i < ITLB_SIZE; i++)
		t->it[i].tag = empty_tag(i);
	return t;
}

bool tlb_init(struct tlb *t)
{
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < EPT_CACHE_SIZE; i++)
		t->ept[i].gpa = ~0ull;
	t->cur = &t->ctx[0];
	t->cur->valid = true;
	return tlb_table(t, TLB_SUPER) != NULL;
}

void tlb_free(struct tlb *t)
{
	for (unsigned i = 0; i < TLB_CONTEXTS; i++)
		for (unsigned w = 0; w < TLB_WAYS; w++)
			free(t->ctx[i].way[w]);
}

struct tlb_table *tlb_table(struct tlb *t, enum tlb_way way)
{
	if (!t->cur->way[way])
		t->cur->way[way] = table_new();
	return t->cur->way[way];
}

/* Whether a slot's entry goes in a flush. */
struct victim {
	bool keep_global; /* global entries stay */
	bool one;	  /* only the page(s) that translate laddr */
	u64 laddr;
};

static u64 region_mask(u8 info)
{
	return info & TLB_LARGE_1G   ? ~0x3fffffffull
	       : info & TLB_LARGE_2M ? ~0x1fffffull
				     : PAGE_MASK;
}

static bool goes(const struct victim *w, u64 tag, u8 info)
{
	if (w->keep_global && info & TLB_GLOBAL)
		return false;
	return !w->one || ((tag ^ w->laddr) & region_mask(info)) == 0;
}

static u64 region_bit(u64 laddr, unsigned shift)
{
	return 1ull << ((laddr >> shift) * 0x9e3779b97f4a7c15ull >> 58);
}

static void note_large(struct tlb_table *t, u64 laddr, u8 info)
{
	if (info & TLB_LARGE_2M)
		t->large_2m |= region_bit(laddr, 21);
	if (info & TLB_LARGE_1G)
		t->large_1g |= region_bit(laddr, 30);
}

/* A large page that covers laddr may have entries at other addresses too. */
static bool may_be_large(const struct tlb_table *t, u64 laddr)
{
	return t->large_2m & region_bit(laddr, 21) || t->large_1g & region_bit(laddr, 30);
}

static void sweep(struct tlb_table *t, struct tlb_entry *e, u8 *info, u16 *used, u16 *n,
		  const struct victim *w)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < *n; i++) {
		unsigned s = used[i];

		if (goes(w, e[s].tag, info[s])) {
			e[s].tag = empty_tag(s);
			info[s] = 0;
		} else {
			used[kept++] = (u16)s;
			note_large(t, e[s].tag, info[s]);
		}
	}
	*n = (u16)kept;
}

static void isweep(struct tlb_table *t, const struct victim *w)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < t->it_n; i++) {
		unsigned s = t->it_used[i];

		if (goes(w, t->it[s].tag, t->it_info[s])) {
			t->it[s].tag = empty_tag(s);
			t->it_info[s] = 0;
		} else {
			t->it_used[kept++] = (u16)s;
			note_large(t, t->it[s].tag, t->it_info[s]);
		}
	}
	t->it_n = (u16)kept;
}

static void flush_table(struct tlb_table *t, const struct victim *w)
{
	if (!t)
		return;
	t->large_2m = t->large_1g = 0; /* as those say that stay */
	sweep(t, t->ld, t->ld_info, t->ld_used, &t->ld_n, w);
	sweep(t, t->st, t->st_info, t->st_used, &t->st_n, w);
	isweep(t, w);
}

static void drop_one(struct tlb_entry *e, u8 *info, unsigned s, const struct victim *w)
{
	if (info[s] && goes(w, e[s].tag, info[s]))
		e[s].tag = empty_tag(s); /* stays in the used list: harmless, refilled in place */
}

/* INVLPG of a page that no large page covers touches one slot of each array. */
static void flush_small(struct tlb_table *t, const struct victim *w)
{
	unsigned is = islot_of(w->laddr);

	drop_one(t->ld, t->ld_info, slot_of(w->laddr), w);
	drop_one(t->st, t->st_info, slot_of(w->laddr), w);
	if (t->it_info[is] && goes(w, t->it[is].tag, t->it_info[is]))
		t->it[is].tag = empty_tag(is);
}

static void flush_ctx(struct tlb_ctx *c, const struct victim *w)
{
	for (unsigned i = 0; i < TLB_WAYS; i++) {
		if (!c->way[i])
			continue;
		if (w->one && !may_be_large(c->way[i], w->laddr))
			flush_small(c->way[i], w);
		else
			flush_table(c->way[i], w);
	}
}

static struct tlb_ctx *take_over(struct tlb *t)
{
	const struct victim all = {0};
	struct tlb_ctx *best = NULL;

	for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
		struct tlb_ctx *c = &t->ctx[i];

		if (!c->valid) {
			best = c;
			break;
		}
		if (c != t->cur && (!best || c->last_use < best->last_use))
			best = c;
	}
	flush_ctx(best, &all);
	best->valid = true;
	return best;
}

void tlb_switch(struct tlb *t, u16 vpid, u64 ept_tag, u16 pcid, u32 rights, u64 keys)
{
	struct tlb_ctx *c = t->cur;

	if (c->vpid == vpid && c->ept_tag == ept_tag && c->pcid == pcid && c->rights == rights &&
	    c->keys == keys)
		return;
	c->last_use = ++t->tick;
	for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
		c = &t->ctx[i];
		if (c->valid && c->pcid == pcid && c->vpid == vpid && c->ept_tag == ept_tag &&
		    c->rights == rights && c->keys == keys) {
			t->cur = c;
			return;
		}
	}
	c = take_over(t);
	c->vpid = vpid;
	c->ept_tag = ept_tag;
	c->pcid = pcid;
	c->rights = rights;
	c->keys = keys;
	t->cur = c;
}

static void fill(struct tlb_entry *e, u8 *info, u16 *used, u16 *n, u64 laddr, const u8 *host,
		 u8 bits)
{
	unsigned s = slot_of(laddr);

	if (!info[s])
		used[(*n)++] = (u16)s;
	info[s] = bits | TLB_USED;
	e[s].tag = laddr & PAGE_MASK;
	e[s].addend = (u64)(uintptr_t)host - (laddr & PAGE_MASK);
}

void tlb_fill_load(struct tlb_table *t, u64 laddr, const u8 *host_page, u8 info)
{
	note_large(t, laddr, info);
	fill(t->ld, t->ld_info, t->ld_used, &t->ld_n, laddr, host_page, info);
}

void tlb_fill_store(struct tlb_table *t, u64 laddr, u8 *host_page, u8 info)
{
	note_large(t, laddr, info);
	fill(t->st, t->st_info, t->st_used, &t->st_n, laddr, host_page, info);
}

void tlb_fill_fetch(struct tlb_table *t, u64 laddr, u64 paddr, u8 info)
{
	unsigned s = islot_of(laddr);

	note_large(t, laddr, info);
	if (!t->it_info[s])
		t->it_used[t->it_n++] = (u16)s;
	t->it_info[s] = info | TLB_USED;
	t->it[s].tag = laddr & PAGE_MASK;
	t->it[s].paddr = paddr & PAGE_MASK;
}

static bool same_ept(u64 tag, u64 eptp)
{
	return tag && ((tag ^ eptp) & EPTP_ADDRESS) == 0;
}

static void ept_cache_clear(struct tlb *t, u64 eptp)
{
	for (unsigned i = 0; i < EPT_CACHE_SIZE; i++)
		if (same_ept(t->ept[i].ept_tag, eptp))
			t->ept[i].gpa = ~0ull;
}

void tlb_forget_ept(struct tlb *t)
{
	if (++t->ept_epoch)
		return;
	for (unsigned i = 0; i < EPT_CACHE_SIZE; i++) /* the old epochs would come again */
		t->ept[i].gpa = ~0ull;
}

void tlb_flush_all(struct tlb *t)
{
	const struct victim all = {0};

	t->flushes++;
	for (unsigned i = 0; i < TLB_CONTEXTS; i++)
		if (t->ctx[i].valid)
			flush_ctx(&t->ctx[i], &all);
	tlb_forget_ept(t);
}

void tlb_flush_pcid(struct tlb *t, u16 vpid, u16 pcid)
{
	const struct victim w = {.keep_global = true};

	t->flushes++;
	for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
		struct tlb_ctx *c = &t->ctx[i];

		if (c->valid && c->vpid == vpid && c->pcid == pcid)
			flush_ctx(c, &w);
	}
}

void tlb_flush_laddr(struct tlb *t, u16 vpid, u16 pcid, u64 laddr, bool globals)
{
	struct victim w = {.keep_global = !globals, .one = true, .laddr = laddr};

	for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
		struct tlb_ctx *c = &t->ctx[i];

		/* In another PCID only a global page's entries go; dropping a few more is allowed. */
		if (c->valid && c->vpid == vpid && (c->pcid == pcid || globals))
			flush_ctx(c, &w);
	}
}

void tlb_flush_vpid(struct tlb *t, u16 vpid, bool globals)
{
	const struct victim w = {.keep_global = !globals};

	t->flushes++;
	for (unsigned i = 0; i < TLB_CONTEXTS; i++)
		if (t->ctx[i].valid && t->ctx[i].vpid == vpid)
			flush_ctx(&t->ctx[i], &w);
}

void tlb_flush_vpid_laddr(struct tlb *t, u16 vpid, u64 laddr)
{
	const struct victim w = {.one = true, .laddr = laddr};

	for (unsigned i = 0; i < TLB_CONTEXTS; i++)
		if (t->ctx[i].valid && t->ctx[i].vpid == vpid)
			flush_ctx(&t->ctx[i], &w);
}

void tlb_flush_all_vpids(struct tlb *t)
{
	const struct victim all = {0};

	t->flushes++;
	for (unsigned i = 0; i < TLB_CONTEXTS; i++)
		if (t->ctx[i].valid && t->ctx[i].vpid)
			flush_ctx(&t->ctx[i], &all);
}

void tlb_flush_eptp(struct tlb *t, u64 eptp)
{
	const struct victim all = {0};

	t->flushes++;
	for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
		struct tlb_ctx *c = &t->ctx[i];

		if (c->valid && same_ept(c->ept_tag, eptp))
			flush_ctx(c, &all);
	}
	ept_cache_clear(t, eptp);
}

void tlb_flush_all_eptps(struct tlb *t)
{
	const struct victim all = {0};

	t->flushes++;
	for (unsigned i = 0; i < TLB_CONTEXTS; i++)
		if (t->ctx[i].valid && t->ctx[i].ept_tag)
			flush_ctx(&t->ctx[i], &all);
	tlb_forget_ept(t);
}

static void drop_in(struct tlb_ctx *c, const struct victim *w, bool large)
{
	for (unsigned i = 0; i < TLB_WAYS; i++) {
		if (c->way[i] && large)
			flush_table(c->way[i], w);
		else if (c->way[i])
			flush_small(c->way[i], w);
	}
}

void tlb_drop_current(struct tlb *t, u64 laddr, bool large)
{
	const struct victim w = {.one = true, .laddr = laddr};
	const struct tlb_ctx *cur = t->cur;

	for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
		struct tlb_ctx *c = &t->ctx[i];

		if (c->valid && c->vpid == cur->vpid && c->pcid == cur->pcid &&
		    c->ept_tag == cur->ept_tag)
			drop_in(c, &w, large);
	}
}

static void drop_stores(struct tlb_table *t, u64 host)
{
	for (unsigned i = 0; i < t->st_n; i++) {
		unsigned s = t->st_used[i];

		if (t->st[s].tag + t->st[s].addend == host)
			t->st[s].tag = empty_tag(s);
	}
}

void tlb_drop_stores(struct tlb *t, const u8 *host_page)
{
	for (unsigned i = 0; i < TLB_CONTEXTS; i++)
		for (unsigned w = 0; t->ctx[i].valid && w < TLB_WAYS; w++)
			if (t->ctx[i].way[w])
				drop_stores(t->ctx[i].way[w], (u64)(uintptr_t)host_page);
}
