/*
 * Guest-physical to physical addresses. SDM "The Extended Page Table Mechanism (EPT)": format with
 * 4 and 5 levels, EPT violations and misconfigurations, accessed and dirty flags, mode-based execute
 * control, paging-write control, supervisor shadow stacks. One level loop. Left out: memory types.
 */
#include "mmu/tlb.h"
#include "mmu/walk.h"

#define EPT_RWX (EPT_R | EPT_W | EPT_X)
#define ENTRY_PS BIT(7)
#define ENTRY_A BIT(8)
#define ENTRY_D BIT(9)
#define ENTRY_XU BIT(10)
#define ENTRY_VGP BIT(57)
#define ENTRY_PW BIT(58)
#define ENTRY_SSS BIT(60)
#define ENTRY_SPP BIT(61)
#define ENTRY_SUPPRESS_VE BIT(63)

/* Exit qualification for EPT violations. */
#define QUAL_RIGHTS 3
#define QUAL_LINEAR BIT(7)
#define QUAL_TRANSLATION BIT(8)
#define QUAL_SHADOW BIT(13)
#define QUAL_SSS BIT(14)
#define QUAL_VERIFICATION BIT(15)

/* The entries of one walk, outermost first. */
struct path {
	unsigned level, n;
	u64 at[5], entry[5];
};

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
	return level == 0 || (level <= 2 && entry & ENTRY_PS);
}

/* What one entry allows; 0: it is not present. */
static u8 entry_rights(const struct walk_env *e, u64 entry)
{
	u8 xu = e->ept_mode & EPT_USER_EXECUTE && entry & ENTRY_XU ? EPT_XU : 0;

	return (entry & EPT_RWX) | xu;
}

static u8 leaf_rights(const struct walk_env *e, u64 entry)
{
	return (e->ept_mode & EPT_PAGING_WRITE && entry & ENTRY_PW ? EPT_PW : 0) |
	       (e->ept_mode & EPT_VERIFY_PAGING && entry & ENTRY_VGP ? EPT_VGP : 0);
}

static u64 reserved_low(const struct walk_env *e, u64 entry, unsigned level)
{
	bool large = entry & ENTRY_PS;

	if ((level == 2 && large && !(e->ept_mode & EPT_PAGE_1G)) ||
	    (level == 1 && large && !(e->ept_mode & EPT_PAGE_2M)))
		return ENTRY_PS;
	return leaf_at(entry, level) ? BIT(12 + 9 * level) - BIT(12) : 0xf8;
}

static bool misconfigured(const struct walk_env *e, u64 entry, unsigned level)
{
	u8 rights = entry_rights(e, entry);
	bool leaf = leaf_at(entry, level);
	unsigned type = entry >> 3 & 7;

	if (!(rights & EPT_R)) {
		if (rights & EPT_W || !(e->ept_mode & EPT_EXEC_ONLY))
			return true;
		if (leaf && leaf_rights(e, entry) & EPT_PW)
			return true;
	}
	if (entry & (e->reserved_phys | reserved_low(e, entry, level)))
		return true;
	return leaf && (type == 2 || type == 3 || type == 7);
}

/* Bits 9-11 are put in by who knows the translation of the linear address. */
static enum walk_status violation(const struct ept_in *in, u8 access, u8 rights, bool suppress_ve,
				  struct walk_out *out)
{
	u64 kind = in->use == EPT_DATA	 ? QUAL_LINEAR | QUAL_TRANSLATION
		   : in->use == EPT_WALK ? QUAL_LINEAR
					 : 0;

	out->gpa = in->gpa;
	out->suppress_ve = suppress_ve;
	out->large = false;
	out->qualification = access | (u64)(rights & (EPT_RWX | EPT_XU)) << QUAL_RIGHTS | kind |
			     (in->shadow ? QUAL_SHADOW : 0);
	return out->status = WALK_EPT_VIOLATION;
}

static struct ept_cache_entry *cache_slot(const struct walk_env *e, u64 gpa)
{
	return &e->tlb->ept[(gpa >> PAGE_SHIFT) & (EPT_CACHE_SIZE - 1)];
}

static bool ept_ad(const struct walk_env *e)
{
	return e->eptp & EPTP_AD;
}

/* Pages that need a look at each access are not kept. */
static void cache_fill(const struct walk_env *e, u64 gpa, u64 paddr, u8 rights, u8 info)
{
	struct ept_cache_entry *c = cache_slot(e, gpa);

	if (rights & EPT_VGP)
		return;
	c->gpa = gpa & PAGE_MASK;
	c->ept_tag = e->ept_tag;
	c->paddr = paddr & PAGE_MASK;
	c->rights = rights;
	c->large = info;
	c->epoch = e->tlb->ept_epoch;
}

/* Supervisor shadow stacks have a right of their own. */
static bool needs_sss(const struct walk_env *e, const struct ept_in *in)
{
	return in->shadow && !in->user && e->eptp & EPTP_SSS;
}

static void hit(struct walk_out *out, u64 gpa, u64 paddr, u8 rights, u8 info)
{
	out->gpa = gpa;
	out->paddr = paddr;
	out->writable = rights & EPT_W;
	out->rights = rights;
	out->info = info;
	out->status = WALK_OK;
}

static void set_accessed(const struct walk_env *e, const struct path *p, bool write)
{
	for (unsigned i = 0; i < p->n; i++) {
		u64 want = ENTRY_A | (i == p->n - 1 && write ? ENTRY_D : 0);

		if ((p->entry[i] & want) != want)
			table_or(e, p->at[i], want);
	}
}

static u8 needed(const struct walk_env *e, const struct ept_in *in, u8 access)
{
	u8 fetch = in->user && e->ept_mode & EPT_USER_EXECUTE ? EPT_XU : EPT_X;

	if (unlikely(needs_sss(e, in)))
		return EPT_R | EPT_SSS;
	return (access & (EPT_R | EPT_W)) | (access & ACCESS_FETCH ? fetch : 0);
}

/* The entries down to the leaf. *rights is what they allow together. */
static enum walk_status descend(const struct walk_env *e, const struct ept_in *in, u8 access,
				struct path *p, u8 *rights, struct walk_out *out)
{
	u64 table = e->eptp & EPTP_ADDRESS;

	*rights = EPT_RWX | EPT_XU;
	p->n = 0;
	p->level = EPTP_LEVELS(e->eptp) - 1;
	if (p->level == 3 && in->gpa >> 48) /* beyond what 4 levels translate */
		return violation(in, access, 0, true, out);
	for (;; p->level--) {
		u64 entry;

		p->at[p->n] = table + (in->gpa >> (12 + 9 * p->level) & 511) * 8;
		entry = p->entry[p->n] = table_read(e, p->at[p->n]);
		p->n++;
		if (!entry_rights(e, entry))
			return violation(in, access, 0, entry & ENTRY_SUPPRESS_VE, out);
		if (misconfigured(e, entry, p->level)) {
			out->gpa = in->gpa;
			return out->status = WALK_EPT_MISCONFIG;
		}
		if (leaf_at(entry, p->level))
			return WALK_OK;
		*rights &= entry_rights(e, entry);
		table = entry & EPTP_ADDRESS;
	}
}

static u8 sss_right(const struct walk_env *e, u8 rights, u8 above, u64 leaf)
{
	bool stack = rights & EPT_R && above & EPT_W && leaf & ENTRY_SSS;

	return e->eptp & EPTP_SSS && stack ? EPT_SSS : 0;
}

/* Guest-paging verification: the translation used paging structures that others may write. */
static bool unverified(const struct ept_in *in, u8 rights)
{
	return in->use == EPT_DATA && rights & EPT_VGP && !in->verified;
}

/* A write that the leaf alone forbids may be allowed by its sub-pages or its paging-write bit. */
static enum walk_status allowed(const struct walk_env *e, const struct ept_in *in, u8 missing,
				u8 above, const struct path *p, u8 rights)
{
	u64 leaf = p->entry[p->n - 1];

	if (!missing)
		return unverified(in, rights) ? WALK_EPT_VIOLATION : WALK_OK;
	if (missing != EPT_W || !(rights & EPT_R))
		return WALK_EPT_VIOLATION;
	if (in->use == EPT_WALK && rights & EPT_PW && above & EPT_W)
		return WALK_OK;
	if (in->use == EPT_DATA && e->ept_mode & EPT_SUB_PAGE && p->level == 0 &&
	    leaf & ENTRY_SPP && !unverified(in, rights))
		return spp_walk(e, in->gpa, in->bytes ? in->bytes : 1);
	return WALK_EPT_VIOLATION;
}

/* The access is allowed: flags, log, and what may be cached of it. */
static enum walk_status complete(const struct walk_env *e, const struct ept_in *in, bool write,
				 const struct path *p, u8 rights, struct walk_out *out)
{
	u64 leaf = p->entry[p->n - 1], mask = BIT(12 + 9 * p->level) - 1;
	u64 paddr = (leaf & EPTP_ADDRESS & ~mask) | (in->gpa & mask);
	u8 info = p->level == 2 ? TLB_LARGE_1G : p->level == 1 ? TLB_LARGE_2M : 0;
	bool dirties = ept_ad(e) && write && !(leaf & ENTRY_D);

	if (dirties && e->pml_index && pml_full(e)) {
		out->gpa = in->gpa;
		return out->status = WALK_PML_FULL;
	}
	if (ept_ad(e)) {
		set_accessed(e, p, write);
		if (dirties && e->pml_index)
			pml_log(e, in->gpa);
		if (!write && !(leaf & ENTRY_D))
			rights &= (u8) ~(EPT_W | EPT_SSS);
	}
	cache_fill(e, in->gpa, paddr, rights, info);
	hit(out, in->gpa, paddr, rights, info);
	if (unlikely(needs_sss(e, in)))
		out->writable = rights & EPT_SSS;
	out->suppress_ve = leaf & ENTRY_SUPPRESS_VE;
	return WALK_OK;
}

enum walk_status ept_walk(const struct walk_env *e, const struct ept_in *in, struct walk_out *out)
{
	struct ept_cache_entry *c = cache_slot(e, in->gpa);
	bool cached = c->gpa == (in->gpa & PAGE_MASK) && c->ept_tag == e->ept_tag &&
		      c->epoch == e->tlb->ept_epoch;
	u8 access = in->access, need, above, rights;
	enum walk_status s;
	struct path p;

	if (in->use == EPT_WALK && ept_ad(e))
		access |= ACCESS_READ | ACCESS_WRITE;
	need = needed(e, in, access);
	if (cached && (c->rights & need) == need) {
		hit(out, in->gpa, c->paddr | (in->gpa & ~PAGE_MASK), c->rights, c->large);
		if (unlikely(needs_sss(e, in)))
			out->writable = true;
		return WALK_OK;
	}
	if (descend(e, in, access, &p, &above, out) != WALK_OK) {
		if (cached)
			c->gpa = ~0ull;
		return out->status;
	}
	rights = (above & entry_rights(e, p.entry[p.n - 1])) | leaf_rights(e, p.entry[p.n - 1]);
	rights |= sss_right(e, rights, above, p.entry[p.n - 1]);
	s = allowed(e, in, need & (u8)~rights, above, &p, rights);
	if (s == WALK_OK)
		return complete(e, in, access & ACCESS_WRITE, &p, rights, out);
	if (cached)
		c->gpa = ~0ull;
	out->gpa = in->gpa;
	if (s != WALK_EPT_VIOLATION)
		return out->status = s;
	violation(in, access, rights, p.entry[p.n - 1] & ENTRY_SUPPRESS_VE, out);
	out->large = p.level > 0;
	if (e->eptp & EPTP_SSS && p.entry[p.n - 1] & ENTRY_SSS)
		out->qualification |= QUAL_SSS;
	if (unverified(in, rights) && !(need & (u8)~rights))
		out->qualification |= QUAL_VERIFICATION;
	return s;
}
