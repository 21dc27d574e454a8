/*
 * Linear to physical addresses. SDM "Paging": 32-bit, PAE, 4-level and 5-level paging, access
 * rights, protection keys, accessed and dirty flags, page-fault error codes; HLAT paging ("HLAT
 * Paging") in front of ordinary paging. One level loop.
 */
#include "base/bits.h"
#include "mmu/tlb.h"
#include "mmu/walk.h"

#define PTE_P 1
#define PTE_W 2
#define PTE_U 4
#define PTE_A 0x20
#define PTE_D 0x40
#define PTE_PS 0x80
#define PTE_G 0x100
#define PTE_RESTART BIT(11) /* HLAT paging goes on as ordinary paging */
#define PTE_XD BIT(63)
#define PTE_ADDR 0x000ffffffffff000ull

#define PF_P 1
#define PF_W 2
#define PF_U 4
#define PF_RSVD 8
#define PF_I 16
#define PF_PK 32
#define PF_SS 64
#define PF_HLAT 128

#define C0_WP BIT(16)
#define C0_PG BIT(31)
#define C4_PSE BIT(4)
#define C4_PAE BIT(5)
#define C4_PGE BIT(7)
#define C4_LA57 BIT(12)
#define C4_SMEP BIT(20)
#define C4_SMAP BIT(21)
#define C4_PKE BIT(22)
#define C4_PKS BIT(24)
#define EFER_LMA_BIT BIT(10)

enum format { FORMAT_32, FORMAT_PAE, FORMAT_LONG };

/* One walk under way. */
struct walk {
	const struct walk_env *e;
	const struct walk_in *in;
	struct walk_out *out;
	enum format format;
	unsigned level; /* 0: the entry maps a 4 KiB page */
	unsigned n;	/* entries read */
	u64 gpa[5], paddr[5], entry[5];
	bool user, write, nx; /* combined rights */
	bool upper_write;     /* R/W of all entries but the last */
	bool paging_write;    /* all entries lie in pages that allow paging writes */
	bool hlat;	      /* HLAT paging, not (yet) restarted */
	u8 pkey;
};

static unsigned entry_bytes(const struct walk *w)
{
	return w->format == FORMAT_32 ? 4 : 8;
}

static unsigned level_shift(const struct walk *w)
{
	return 12 + w->level * (w->format == FORMAT_32 ? 10 : 9);
}

static bool fault(struct walk *w, u32 bits)
{
	const struct walk_in *in = w->in;
	bool show_fetch = w->e->nx || w->e->cr4 & C4_SMEP;

	if (w->hlat && (!(bits & PF_P) || bits & PF_RSVD))
		bits |= PF_HLAT;
	w->out->error_code = bits | (in->access & ACCESS_WRITE ? PF_W : 0) | (in->user ? PF_U : 0) |
			     (in->access & ACCESS_FETCH && show_fetch ? PF_I : 0) |
			     (in->shadow ? PF_SS : 0);
	w->out->status = WALK_PAGE_FAULT;
	return false;
}

/* Guest-physical address of a paging-structure entry to a physical one. */
static bool table_paddr(struct walk *w, u64 gpa, u8 access, u64 *paddr)
{
	const struct ept_in in = {.gpa = gpa, .access = access, .use = EPT_WALK};

	*paddr = gpa;
	if (!w->e->eptp)
		return true;
	if (ept_walk(w->e, &in, w->out) != WALK_OK)
		return false;
	*paddr = w->out->paddr;
	w->paging_write &= (w->out->rights & EPT_PW) != 0;
	if (unlikely((*paddr & PAGE_MASK) + 1 == w->e->apic_access)) {
		w->out->status = WALK_APIC_ACCESS;
		return false;
	}
	return true;
}

static bool read_entry(struct walk *w, u64 table)
{
	unsigned mask = w->format == FORMAT_32 ? 1023 : 511, n = w->n;
	const u8 *p;

	w->gpa[n] = table + (w->in->laddr >> level_shift(w) & mask) * entry_bytes(w);
	if (!table_paddr(w, w->gpa[n], ACCESS_READ, &w->paddr[n]))
		return false;
	p = physmem_read_ptr(w->e->mem, w->paddr[n]);
	w->entry[n] = p ? load_le(p, entry_bytes(w)) : size_mask(entry_bytes(w));
	w->n++;
	return true;
}

static bool is_leaf(const struct walk *w, u64 entry)
{
	if (w->level == 0)
		return true;
	if (!(entry & PTE_PS))
		return false;
	switch (w->format) {
	case FORMAT_32:
		return w->e->cr4 & C4_PSE;
	case FORMAT_PAE:
		return w->level == 1;
	default:
		return w->level == 1 || (w->level == 2 && w->e->page1g);
	}
}

static bool reserved_set(const struct walk *w, u64 entry)
{
	u64 r;

	if (w->format == FORMAT_32)
		return is_leaf(w, entry) && w->level && entry & BIT(21);
	r = w->e->reserved_phys;
	if (w->format == FORMAT_PAE)
		r |= 0x7ff0000000000000ull;
	if (!w->e->nx)
		r |= PTE_XD;
	if (is_leaf(w, entry)) {
		if (w->level)
			r |= BIT(level_shift(w)) - BIT(13);
	} else if (w->level >= 2) {
		r |= PTE_PS;
	}
	return entry & r;
}

static bool use_entry(struct walk *w)
{
	u64 entry = w->entry[w->n - 1];

	if (!(entry & PTE_P))
		return fault(w, 0);
	if (reserved_set(w, entry))
		return fault(w, PF_P | PF_RSVD);
	w->user &= (entry & PTE_U) != 0;
	w->upper_write = w->write;
	w->write &= (entry & PTE_W) != 0;
	w->nx |= w->format != FORMAT_32 && entry & PTE_XD;
	return true;
}

/* User-mode addresses have their rights in PKRU, supervisor-mode addresses in IA32_PKRS. */
static bool key_forbids(const struct walk *w, bool write)
{
	u32 bits = (w->user ? w->e->pkru : w->e->pkrs) >> (2 * w->pkey);

	if (!(w->e->cr4 & (w->user ? C4_PKE : C4_PKS)) || w->format != FORMAT_LONG)
		return false;
	return bits & 1 || (bits & 2 && write && (w->in->user || w->e->cr0 & C0_WP));
}

static bool may_write(const struct walk *w)
{
	if (w->in->shadow)
		return !key_forbids(w, true);
	return (w->write || (!w->in->user && !(w->e->cr0 & C0_WP))) && !key_forbids(w, true);
}

/* A denial of the rights; PK is told whenever the key forbids the access too. */
static bool denied(struct walk *w)
{
	bool data = !(w->in->access & ACCESS_FETCH);

	return fault(w, PF_P | (data && key_forbids(w, w->in->access & ACCESS_WRITE) ? PF_PK : 0));
}

/* A shadow-stack page is read-only and dirty, below entries that allow writes; a user's is for user
 * accesses only, a supervisor's for the others. */
static bool check_shadow(struct walk *w)
{
	bool page = w->upper_write && (w->entry[w->n - 1] & (PTE_W | PTE_D)) == PTE_D;

	if (!page || w->in->user != w->user || key_forbids(w, w->in->access & ACCESS_WRITE))
		return denied(w);
	return true;
}

static bool check_rights(struct walk *w)
{
	const struct walk_in *in = w->in;
	bool fetch = in->access & ACCESS_FETCH, write = in->access & ACCESS_WRITE;

	if (in->shadow)
		return check_shadow(w);
	if (in->user && !w->user)
		return denied(w);
	if (!in->user && w->user) {
		if (fetch && w->e->cr4 & C4_SMEP)
			return denied(w);
		if (!fetch && w->e->cr4 & C4_SMAP && (in->implicit || !in->ac))
			return denied(w);
	}
	if (fetch)
		return w->nx ? denied(w) : true;
	if (write && !w->write && (in->user || w->e->cr0 & C0_WP))
		return denied(w);
	return key_forbids(w, write) ? denied(w) : true;
}

static bool set_bits(struct walk *w, unsigned i, u64 want)
{
	u64 paddr;
	u8 *p;

	if ((w->entry[i] & want) == want)
		return true;
	if (!table_paddr(w, w->gpa[i], ACCESS_READ | ACCESS_WRITE, &paddr))
		return false;
	p = physmem_ptr(w->e->mem, paddr);
	w->entry[i] |= want;
	if (p)
		store_le(p, load_le(p, entry_bytes(w)) | want, entry_bytes(w));
	return true;
}

static bool set_accessed_dirty(struct walk *w)
{
	bool write = w->in->access & ACCESS_WRITE;

	for (unsigned i = 0; i < w->n; i++)
		if (!set_bits(w, i, PTE_A | (i == w->n - 1 && write ? PTE_D : 0)))
			return false;
	return true;
}

static u64 leaf_address(const struct walk *w)
{
	u64 entry = w->entry[w->n - 1], mask = BIT(level_shift(w)) - 1;

	if (w->format != FORMAT_32)
		return (entry & PTE_ADDR & ~mask) | (w->in->laddr & mask);
	if (w->level == 0)
		return (entry & 0xfffff000) | (w->in->laddr & mask);
	/* 4-MByte page: PSE-36 keeps address bits 39:32 in bits 20:13 */
	return (entry & 0xffc00000) | bits(entry, 20, 13) << 32 | (w->in->laddr & mask);
}

/* The top of the 4-level or 5-level structure at `root`, with nothing translated yet. */
static u64 begin_long(struct walk *w, u64 root)
{
	w->format = FORMAT_LONG;
	w->level = w->e->cr4 & C4_LA57 ? 4 : 3;
	w->user = w->write = w->upper_write = w->paging_write = true;
	w->nx = false;
	w->n = 0;
	return root & PTE_ADDR;
}

static bool levels(struct walk *w, u64 table)
{
	for (;;) {
		u64 entry;

		if (!read_entry(w, table) || !use_entry(w))
			return false;
		entry = w->entry[w->n - 1];
		if (unlikely(w->hlat) && entry & PTE_RESTART) {
			w->hlat = false;
			table = begin_long(w, w->e->cr3);
			continue;
		}
		if (is_leaf(w, entry))
			break;
		table = entry & (w->format == FORMAT_32 ? 0xfffff000 : PTE_ADDR);
		w->level--;
	}
	w->pkey = w->format == FORMAT_LONG ? bits(w->entry[w->n - 1], 62, 59) : 0;
	return check_rights(w) && set_accessed_dirty(w);
}

/* The protected linear range: addresses whose upper bits, as many as the prefix size, are 1. */
static bool hlat_applies(const struct walk_env *e, u64 laddr)
{
	u64 prefix = e->hlat_prefix ? ~0ull << (64 - (e->hlat_prefix & 63)) : 0;

	return e->hlat && (laddr & prefix) == prefix;
}

static bool start(struct walk *w, u64 *table)
{
	const struct walk_env *e = w->e;

	if (e->efer & EFER_LMA_BIT) {
		w->hlat = hlat_applies(e, w->in->laddr);
		*table = begin_long(w, w->hlat ? e->hlatp : e->cr3);
	} else if (e->cr4 & C4_PAE) {
		u64 pdpte = e->pdpte[w->in->laddr >> 30 & 3];

		w->format = FORMAT_PAE;
		w->level = 1;
		*table = pdpte & PTE_ADDR;
		if (!(pdpte & PTE_P))
			return fault(w, 0);
	} else {
		w->format = FORMAT_32;
		w->level = 1;
		*table = e->cr3 & 0xfffff000;
	}
	return true;
}

/* The final guest-physical address, through EPT where there is one. */
static enum walk_status finish(const struct walk *w, u64 gpa, bool writable, u8 info)
{
	const struct walk_env *e = w->e;
	struct walk_out *out = w->out;
	const struct ept_in in = {.gpa = gpa,
				  .access = w->in->access,
				  .use = EPT_DATA,
				  .user = w->user,
				  .shadow = w->in->shadow,
				  .verified = w->paging_write,
				  .bytes = w->in->bytes};

	out->gpa = out->paddr = gpa;
	out->status = WALK_OK;
	out->writable = writable;
	out->info = info;
	if (!e->eptp)
		return WALK_OK;
	if (ept_walk(e, &in, out) != WALK_OK) {
		out->qualification |= w->in->shadow ? BIT(13) : 0;
		out->large &= (info & (TLB_LARGE_2M | TLB_LARGE_1G)) != 0;
		if (out->status == WALK_EPT_VIOLATION && e->ept_mode & EPT_ADVANCED)
			out->qualification |= (w->user ? BIT(9) : 0) | (w->write ? BIT(10) : 0) |
					      (w->nx ? BIT(11) : 0);
		return out->status;
	}
	out->writable &= writable;
	/* the smaller of the two page sizes is what INVLPG has to find */
	out->info = info;
	return WALK_OK;
}

enum walk_status paging_walk(const struct walk_env *e, const struct walk_in *in,
			     struct walk_out *out)
{
	struct walk w = {
		.e = e, .in = in, .out = out, .user = true, .write = true, .paging_write = true};
	u64 table;
	u8 info;

	out->status = WALK_OK;
	if (!(e->cr0 & C0_PG))
		return finish(&w, in->laddr, true, 0);
	if (!start(&w, &table) || !levels(&w, table))
		return out->status;
	info = (w.entry[w.n - 1] & PTE_G && e->cr4 & C4_PGE ? TLB_GLOBAL : 0) |
	       (w.level == 2		? TLB_LARGE_1G
		: w.level == 0		? 0
		: w.format == FORMAT_32 ? TLB_LARGE_1G /* 4 MiB: swept as the larger region */
					: TLB_LARGE_2M);
	return finish(&w, leaf_address(&w), may_write(&w) && w.entry[w.n - 1] & PTE_D, info);
}
