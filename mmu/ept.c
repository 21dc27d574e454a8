/*
 * Guest-physical to physical addresses. SDM "The Extended Page Table Mechanism (EPT)": format,
 * EPT violations and misconfigurations, accessed and dirty flags. One level loop. Left out (not
 * advertised): mode-based execute control, sub-page permissions, 5-level walks.
 */
#include "base/bits.h"
#include "mmu/tlb.h"
#include "mmu/walk.h"

#define EPT_R 1
#define EPT_W 2
#define EPT_X 4
#define EPT_RWX 7
#define EPT_PS 0x80
#define EPT_A 0x100
#define EPT_D 0x200
#define EPT_ADDR 0x000ffffffffff000ull

static u64 table_read(const struct walk_env *e, u64 paddr)
{
	const u8 *p = physmem_read_ptr(e->mem, paddr);

	return p ? load_le64(p) : ~0ull;
}

static void table_or(const struct walk_env *e, u64 paddr, u64 set)
{
	u8 *p = physmem_ptr(e->mem, paddr);

	if (p)
		store_le64(p, load_le64(p) | set);
}

static bool leaf_at(u64 entry, unsigned level)
{
	return level == 0 || (level <= 2 && entry & EPT_PS);
}

static bool misconfigured(const struct walk_env *e, u64 entry, unsigned level)
{
	u64 low = leaf_at(entry, level) ? BIT(12 + 9 * level) - BIT(12) : 0xf8;
	unsigned type = entry >> 3 & 7;

	if ((entry & EPT_RWX) == EPT_W || (entry & EPT_RWX) == (EPT_W | EPT_X))
		return true;
	if ((entry & EPT_RWX) == EPT_X && !e->ept_exec_only)
		return true;
	if (entry & e->reserved_phys || entry & low)
		return true;
	return leaf_at(entry, level) && (type == 2 || type == 3 || type == 7);
}

static enum walk_status violation(struct walk_out *out, u64 gpa, u8 access, u8 rights,
				  bool for_walk)
{
	out->gpa = gpa;
	out->qualification = access | (u64)rights << 3 | (for_walk ? 0 : BIT(8));
	return out->status = WALK_EPT_VIOLATION;
}

static struct ept_cache_entry *cache_slot(const struct walk_env *e, u64 gpa)
{
	return &e->tlb->ept[(gpa >> PAGE_SHIFT) & (EPT_CACHE_SIZE - 1)];
}

static void cache_fill(const struct walk_env *e, u64 gpa, u64 paddr, u8 rights, bool dirty, u8 info)
{
	struct ept_cache_entry *c = cache_slot(e, gpa);

	c->gpa = gpa & PAGE_MASK;
	c->eptp = e->eptp;
	c->paddr = paddr & PAGE_MASK;
	c->rights = rights & (e->ept_ad && !dirty ? EPT_R | EPT_X : EPT_RWX);
	c->large = info;
}

static void hit(struct walk_out *out, u64 gpa, u64 paddr, u8 rights, u8 info)
{
	out->gpa = gpa;
	out->paddr = paddr;
	out->writable = rights & EPT_W;
	out->info = info;
	out->status = WALK_OK;
}

static void set_accessed(const struct walk_env *e, const u64 *at, const u64 *entry, unsigned n,
			 bool write)
{
	for (unsigned i = 0; i < n; i++) {
		u64 want = EPT_A | (i == n - 1 && write ? EPT_D : 0);

		if ((entry[i] & want) != want)
			table_or(e, at[i], want);
	}
}

enum walk_status ept_walk(const struct walk_env *e, u64 gpa, u8 access, bool for_walk,
			  struct walk_out *out)
{
	struct ept_cache_entry *c = cache_slot(e, gpa);
	u64 table = e->eptp & EPT_ADDR, at[4], entry[4];
	u8 need, rights = EPT_RWX;
	unsigned level = 3, n = 0;

	if (for_walk && e->ept_ad)
		access |= ACCESS_READ | ACCESS_WRITE;
	need = (access & ACCESS_READ ? EPT_R : 0) | (access & ACCESS_WRITE ? EPT_W : 0) |
	       (access & ACCESS_FETCH ? EPT_X : 0);
	if (c->gpa == (gpa & PAGE_MASK) && c->eptp == e->eptp && (c->rights & need) == need) {
		hit(out, gpa, c->paddr | (gpa & ~PAGE_MASK), c->rights, c->large);
		return WALK_OK;
	}
	for (;; level--) {
		at[n] = table + (gpa >> (12 + 9 * level) & 511) * 8;
		entry[n] = table_read(e, at[n]);
		if (!(entry[n] & EPT_RWX))
			return violation(out, gpa, access, 0, for_walk);
		if (misconfigured(e, entry[n], level)) {
			out->gpa = gpa;
			return out->status = WALK_EPT_MISCONFIG;
		}
		rights &= entry[n] & EPT_RWX;
		if (leaf_at(entry[n++], level))
			break;
		table = entry[n - 1] & EPT_ADDR;
	}
	if ((rights & need) != need)
		return violation(out, gpa, access, rights, for_walk);
	if (e->ept_ad)
		set_accessed(e, at, entry, n, access & ACCESS_WRITE);
	{
		u64 mask = BIT(12 + 9 * level) - 1;
		u64 paddr = (entry[n - 1] & EPT_ADDR & ~mask) | (gpa & mask);
		bool dirty = access & ACCESS_WRITE || entry[n - 1] & EPT_D;
		u8 info = level == 2 ? TLB_LARGE_1G : level == 1 ? TLB_LARGE_2M : 0;

		cache_fill(e, gpa, paddr, rights, dirty, info);
		hit(out, gpa, paddr, e->ept_ad && !dirty ? rights & ~EPT_W : rights, info);
	}
	return WALK_OK;
}
