/*
 * Memory as instructions see it: TLB, page walks, RAM, ROM and MMIO, pieces of accesses that cross
 * pages, data breakpoints, alignment checks, the APIC-access page. The fast handlers reach RAM
 * through the TLB by themselves; everything else comes here.
 */
#include "cpu/mem.h"
#include "cpu/run.h"
#include "vmx/vmx.h"

/* One access within a page, translated. */
struct piece {
	u8 *host; /* RAM or ROM; NULL: MMIO at paddr */
	u64 paddr;
	bool rom;
	bool vapic; /* the APIC-access page: VMX decides */
};

enum tlb_way mem_way(const struct vcpu *v)
{
	if (v->cpl == 3)
		return TLB_USER;
	return v->cr4 & CR4_SMAP && v->rflags & RFLAGS_AC ? TLB_SUPER_AC : TLB_SUPER;
}

static struct tlb_table *table_for(struct vcpu *v, unsigned flags)
{
	if (unlikely(flags & LIN_SHADOW))
		return tlb_table(&v->tlb, flags & LIN_USER ? TLB_SHADOW_USER : TLB_SHADOW_SUPER);
	if (flags & LIN_SUPER && v->table != v->tlb.cur->way[TLB_SUPER])
		return tlb_table(&v->tlb, TLB_SUPER);
	return v->table;
}

static int walk_failed(struct vcpu *v, const struct walk_in *in, const struct walk_out *out)
{
	if (out->status == WALK_PAGE_FAULT) {
		LOG(v->log, mmu, "#PF laddr %016llx error %02x rip %016llx",
		    (unsigned long long)in->laddr, out->error_code, (unsigned long long)v->rip);
		return raise_pf(v, in->laddr, out->error_code);
	}
	return vmx_ept_fault(v, out, in->laddr);
}

static void fill(struct vcpu *v, struct tlb_table *t, u64 laddr, unsigned access,
		 const struct walk_out *out)
{
	u8 *host = physmem_ptr(v->mem, out->paddr & PAGE_MASK);
	unsigned s = (laddr >> PAGE_SHIFT) & (TLB_SIZE - 1);

	if (!host) {
		const u8 *rom = physmem_read_ptr(v->mem, out->paddr & PAGE_MASK);

		if (rom && access & ACCESS_READ)
			tlb_fill_load(t, laddr, rom, out->info);
		return;
	}
	v->tlb.fills++;
	if (access & ACCESS_FETCH) {
		tlb_fill_fetch(t, laddr, out->paddr, out->info);
		return;
	}
	/* The other kind is filled only into a free slot: an instruction that loads and stores through
	 * conflicting slots must not evict one with the other for ever. */
	if (!(access & ACCESS_WRITE) || !t->ld_info[s])
		tlb_fill_load(t, laddr, host, out->info);
	if (out->writable && !(*physmem_flags(v->mem, host) & PAGE_CODE) &&
	    (access & ACCESS_WRITE || !t->st_info[s]))
		tlb_fill_store(t, laddr, host, out->info);
}

static void watch(struct vcpu *v, u64 laddr, unsigned n, unsigned access)
{
	static const u8 len_mask[] = {0, 1, 7, 3};

	for (unsigned k = 0; k < 4; k++) {
		unsigned rw = v->dr7 >> (16 + 4 * k) & 3, len = v->dr7 >> (18 + 4 * k) & 3;
		u64 mask = len_mask[len], lo = v->dr[k] & ~mask;

		if (!(v->dr7 >> (2 * k) & 3) || rw == 0 || rw == 2)
			continue;
		if (rw == 1 && !(access & ACCESS_WRITE))
			continue;
		if (laddr <= lo + mask && lo <= laddr + n - 1)
			v->hit_dr6 |= BIT(k);
	}
}

static int walk(struct vcpu *v, u64 laddr, unsigned n, unsigned flags, struct walk_out *out)
{
	struct walk_in in = {.laddr = laddr,
			     .access = flags & 7,
			     .user = v->cpl == 3 && !(flags & LIN_SUPER),
			     .implicit = flags & LIN_SUPER,
			     .ac = v->rflags & RFLAGS_AC,
			     .bytes = (u16)n};

	if (unlikely(flags & LIN_SHADOW)) {
		in.shadow = true;
		in.user = flags & LIN_USER;
	}
	return paging_walk(&v->walk, &in, out) == WALK_OK ? 0 : walk_failed(v, &in, out);
}

static int resolve_slow(struct vcpu *v, u64 laddr, unsigned n, unsigned flags, struct piece *p)
{
	struct walk_out out;
	int r = walk(v, laddr, n, flags, &out);

	if (r)
		return r;
	p->paddr = out.paddr;
	p->vapic = false;
	if (vmx_is_apic_page(v, out.paddr)) {
		p->host = NULL;
		p->vapic = true;
		return 0;
	}
	fill(v, table_for(v, flags), laddr, flags & 7, &out);
	p->host = physmem_ptr(v->mem, p->paddr);
	p->rom = !p->host && physmem_read_ptr(v->mem, p->paddr);
	if (p->rom && !(flags & ACCESS_WRITE))
		p->host = (u8 *)(uintptr_t)physmem_read_ptr(v->mem, p->paddr);
	return 0;
}

/* n bytes within a page. */
static int resolve(struct vcpu *v, u64 laddr, unsigned n, unsigned flags, struct piece *p)
{
	struct tlb_table *t = table_for(v, flags);
	unsigned s = (laddr >> PAGE_SHIFT) & (TLB_SIZE - 1);
	struct tlb_entry *e = flags & ACCESS_WRITE ? &t->st[s] : &t->ld[s];

	if (likely((e->tag ^ laddr) < PAGE_SIZE)) {
		p->host = (u8 *)(uintptr_t)(laddr + e->addend);
		p->rom = p->vapic = false;
		p->paddr = ~0ull; /* a store entry's page holds no code: nobody asks */
		return 0;
	}
	return resolve_slow(v, laddr, n, flags, p);
}

static u64 piece_read(struct vcpu *v, const struct piece *p, unsigned n)
{
	u64 value = 0;

	if (p->host)
		return load_le(p->host, n);
	for (unsigned done = 0; done < n;) { /* MMIO in powers of two */
		unsigned k = n - done >= 8 ? 8 : n - done >= 4 ? 4 : n - done >= 2 ? 2 : 1;

		value |= bus_read(v->mmio, p->paddr + done, k) << (8 * done);
		done += k;
	}
	return value;
}

static void ram_written(struct vcpu *v, u64 paddr, const u8 *host, unsigned n)
{
	if (paddr != ~0ull && *physmem_flags(v->mem, host) & PAGE_CODE)
		v->mem->code_written(v->mem->code_owner, paddr, n);
}

/* Code that is written as it was needs no new translation. */
static bool code_unchanged(struct vcpu *v, const struct piece *p, unsigned n, u64 value)
{
	return p->paddr != ~0ull && *physmem_flags(v->mem, p->host) & PAGE_CODE &&
	       load_le(p->host, n) == (value & size_mask(n));
}

static void piece_write(struct vcpu *v, const struct piece *p, unsigned n, u64 value)
{
	if (p->host) {
		if (code_unchanged(v, p, n, value))
			return;
		store_le(p->host, value, n);
		ram_written(v, p->paddr, p->host, n);
	} else {
		for (unsigned done = 0; done < n;) {
			unsigned k = n - done >= 8 ? 8 : n - done >= 4 ? 4 : n - done >= 2 ? 2 : 1;

			bus_write(v->mmio, p->paddr + done, value >> (8 * done), k);
			done += k;
		}
	}
}

static unsigned first_part(u64 laddr, unsigned n)
{
	u64 room = PAGE_SIZE - (laddr & ~PAGE_MASK);

	return room < n ? (unsigned)room : n;
}

static u64 second_addr(const struct vcpu *v, u64 laddr, unsigned first)
{
	return (laddr + first) & v->lin_mask;
}

static int apic_access(struct vcpu *v, u64 laddr, unsigned n, unsigned access, u64 *value)
{
	return vmx_apic_access(v, laddr, (unsigned)(laddr & ~PAGE_MASK), n, access, value);
}

/* An access whose second part is at the start of the APIC-access page. */
static int apic_access_second(struct vcpu *v, u64 laddr, unsigned access)
{
	return vmx_apic_access_exit(v, laddr, 0, access);
}

/* The rest of a long access; what is too long for a register exits. */
static int apic_read_bytes(struct vcpu *v, u64 laddr, u8 *out, unsigned n)
{
	u64 value = 0;
	int r = apic_access(v, laddr, n, ACCESS_READ, &value);

	if (!r)
		store_le(out, value, n);
	return r;
}

static int apic_write_bytes(struct vcpu *v, u64 laddr, const u8 *in, unsigned n)
{
	u64 value = n <= 8 ? load_le(in, n) : 0;

	return apic_access(v, laddr, n, ACCESS_WRITE, &value);
}

int lin_read(struct vcpu *v, u64 laddr, unsigned size, unsigned flags, u64 *value)
{
	unsigned a = first_part(laddr, size);
	struct piece p, q;
	int r = resolve(v, laddr, a, flags | ACCESS_READ, &p);

	if (r)
		return r;
	if (unlikely(a < size)) {
		r = resolve(v, second_addr(v, laddr, a), size - a, flags | ACCESS_READ, &q);
		if (r)
			return r;
	}
	if (unlikely(v->watch))
		watch(v, laddr, size, ACCESS_READ);
	if (unlikely(p.vapic))
		return apic_access(v, laddr, size, ACCESS_READ, value);
	if (unlikely(a < size && q.vapic))
		return apic_access_second(v, second_addr(v, laddr, a), ACCESS_READ);
	*value = piece_read(v, &p, a);
	if (unlikely(a < size))
		*value |= piece_read(v, &q, size - a) << (8 * a);
	return 0;
}

int lin_write(struct vcpu *v, u64 laddr, unsigned size, unsigned flags, u64 value)
{
	unsigned a = first_part(laddr, size);
	struct piece p, q;
	int r = resolve(v, laddr, a, flags | ACCESS_WRITE, &p);

	if (r)
		return r;
	if (unlikely(a < size)) {
		r = resolve(v, second_addr(v, laddr, a), size - a, flags | ACCESS_WRITE, &q);
		if (r)
			return r;
	}
	if (unlikely(v->watch))
		watch(v, laddr, size, ACCESS_WRITE);
	if (unlikely(p.vapic))
		return apic_access(v, laddr, size, ACCESS_WRITE, &value);
	if (unlikely(a < size && q.vapic))
		return apic_access_second(v, second_addr(v, laddr, a), ACCESS_WRITE);
	piece_write(v, &p, a, value);
	if (unlikely(a < size))
		piece_write(v, &q, size - a, value >> (8 * a));
	return 0;
}

int lin_probe(struct vcpu *v, u64 laddr, unsigned n, unsigned flags)
{
	while (n) {
		unsigned a = first_part(laddr, n);
		struct piece p;
		int r = resolve(v, laddr, a, flags, &p);

		if (r)
			return r;
		laddr = second_addr(v, laddr, a);
		n -= a;
	}
	return 0;
}

int lin_read_bytes(struct vcpu *v, u64 laddr, void *buf, unsigned n, unsigned flags)
{
	u8 *out = buf;
	u64 at = laddr;

	for (unsigned left = n; left;) {
		unsigned a = first_part(at, left);
		struct piece p;
		int r = resolve(v, at, a, flags | ACCESS_READ, &p);

		if (r)
			return r;
		if (unlikely(p.vapic))
			return left < n ? apic_access_second(v, at, ACCESS_READ)
					: apic_read_bytes(v, at, out, n);
		if (p.host)
			memcpy(out, p.host, a);
		else
			for (unsigned k = 0; k < a;) {
				unsigned s = a - k < 8 ? a - k : 8;

				store_le(out + k, piece_read(v, &p, s), s);
				p.paddr += s, k += s;
			}
		out += a;
		left -= a;
		at = second_addr(v, at, a);
	}
	if (unlikely(v->watch))
		watch(v, laddr, n, ACCESS_READ);
	return 0;
}

int lin_write_bytes(struct vcpu *v, u64 laddr, const void *buf, unsigned n, unsigned flags)
{
	const u8 *in = buf;
	int r = first_part(laddr, n) < n ? lin_probe(v, laddr, n, flags | ACCESS_WRITE) : 0;

	if (r)
		return r;
	if (unlikely(v->watch))
		watch(v, laddr, n, ACCESS_WRITE);
	for (unsigned left = n; left;) {
		unsigned a = first_part(laddr, left);
		struct piece p;

		r = resolve(v, laddr, a, flags | ACCESS_WRITE, &p);
		if (r)
			return r;
		if (unlikely(p.vapic))
			return left < n ? apic_access_second(v, laddr, ACCESS_WRITE)
					: apic_write_bytes(v, laddr, in, n);
		if (p.host) {
			memcpy(p.host, in, a);
			ram_written(v, p.paddr, p.host, a);
		} else {
			for (unsigned k = 0; k < a;) {
				unsigned s = a - k < 8 ? a - k : 8;

				piece_write(v, &p, s, load_le(in + k, s));
				p.paddr += s, k += s;
			}
		}
		in += a;
		left -= a;
		laddr = second_addr(v, laddr, a);
	}
	return 0;
}

int lin_rmw(struct vcpu *v, u64 laddr, unsigned size, unsigned flags, struct memref *ref,
	    u64 *value)
{
	unsigned a = first_part(laddr, size);
	struct piece p, q = {0};
	int r = resolve(v, laddr, a, flags | ACCESS_READ | ACCESS_WRITE, &p);

	if (!r && a < size)
		r = resolve(v, second_addr(v, laddr, a), size - a,
			    flags | ACCESS_READ | ACCESS_WRITE, &q);
	if (r)
		return r;
	if (unlikely(v->watch))
		watch(v, laddr, size, ACCESS_WRITE);
	if (unlikely(q.vapic))
		return apic_access_second(v, second_addr(v, laddr, a), ACCESS_READ | ACCESS_WRITE);
	*ref = (struct memref){.laddr = laddr,
			       .host = {p.host, q.host},
			       .paddr = {p.paddr, q.paddr},
			       .size = (u8)size,
			       .first = (u8)a,
			       .vapic = p.vapic};
	if (unlikely(p.vapic))
		return apic_access(v, laddr, size, ACCESS_READ | ACCESS_WRITE, value);
	*value = piece_read(v, &p, a);
	if (a < size)
		*value |= piece_read(v, &q, size - a) << (8 * a);
	return 0;
}

void mem_rmw_write(struct vcpu *v, const struct memref *ref, u64 value)
{
	struct piece p = {.host = ref->host[0], .paddr = ref->paddr[0]};
	struct piece q = {.host = ref->host[1], .paddr = ref->paddr[1]};

	if (unlikely(ref->vapic)) {
		vmx_apic_write(v, (unsigned)(ref->laddr & ~PAGE_MASK), ref->size, value);
		return;
	}
	piece_write(v, &p, ref->first, value);
	if (ref->first < ref->size)
		piece_write(v, &q, ref->size - ref->first, value >> (8 * ref->first));
}

/* --- by segment and offset --- */

u64 insn_offset(const struct vcpu *v, const struct insn *i)
{
	u64 off = (u64)i->disp;

	if (i->base == REG_RIP)
		off += v->rip + i->len;
	else if (i->base != REG_NONE)
		off += v->reg[i->base];
	if (i->index != REG_NONE)
		off += v->reg[i->index] << i->scale;
	return i->addrsize == 8 ? off : off & size_mask(i->addrsize);
}

/* What #AC asks of an operand of n bytes. SDM Vol. 3, "Alignment Requirements by Data Type". */
static unsigned ac_alignment(unsigned n)
{
	switch (n) {
	case 2:
	case 4:
	case 8:
		return n;
	case 10: /* m80 */
		return 8;
	case 14: /* x87 environment and state, by operand size */
	case 94:
		return 2;
	case 28:
	case 108:
		return 4;
	default:
		return 1;
	}
}

static int to_laddr(struct vcpu *v, unsigned seg, u64 off, unsigned n, bool write, u64 *laddr)
{
	int r;

	if (likely(v->mode == MODE_64)) {
		*laddr = off + (seg >= SEG_FS ? v->seg[seg].base : 0);
		if (unlikely(!is_canonical(*laddr, v->width_laddr) ||
			     !is_canonical(*laddr + n - 1, v->width_laddr)))
			return raise_error(v, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
	} else {
		r = seg_to_laddr(v, seg, off, n, write, laddr);
		if (r)
			return r;
	}
	if (unlikely(v->align_check) && *laddr & (ac_alignment(n) - 1))
		return raise_error(v, VEC_AC, 0);
	return 0;
}

int mem_read(struct vcpu *v, unsigned seg, u64 off, unsigned size, u64 *value)
{
	u64 laddr;
	int r = to_laddr(v, seg, off, size, false, &laddr);

	return r ? r : lin_read(v, laddr, size, 0, value);
}

int mem_write(struct vcpu *v, unsigned seg, u64 off, unsigned size, u64 value)
{
	u64 laddr;
	int r = to_laddr(v, seg, off, size, true, &laddr);

	return r ? r : lin_write(v, laddr, size, 0, value);
}

int mem_read_bytes(struct vcpu *v, unsigned seg, u64 off, void *buf, unsigned n)
{
	u64 laddr;
	int r = to_laddr(v, seg, off, n, false, &laddr);

	return r ? r : lin_read_bytes(v, laddr, buf, n, 0);
}

int mem_write_bytes(struct vcpu *v, unsigned seg, u64 off, const void *buf, unsigned n)
{
	u64 laddr;
	int r = to_laddr(v, seg, off, n, true, &laddr);

	return r ? r : lin_write_bytes(v, laddr, buf, n, 0);
}

int mem_probe_write(struct vcpu *v, unsigned seg, u64 off, unsigned n)
{
	u64 laddr;
	int r = to_laddr(v, seg, off, n, true, &laddr);

	return r ? r : lin_probe(v, laddr, n, ACCESS_WRITE);
}

int mem_rmw(struct vcpu *v, unsigned seg, u64 off, unsigned size, struct memref *ref, u64 *value)
{
	u64 laddr;
	int r = to_laddr(v, seg, off, size, true, &laddr);

	return r ? r : lin_rmw(v, laddr, size, 0, ref, value);
}

/* --- physical --- */

u64 phys_read(struct vcpu *v, u64 paddr, unsigned size)
{
	const u8 *p = physmem_read_ptr(v->mem, paddr);

	return p && (paddr & ~PAGE_MASK) + size <= PAGE_SIZE ? load_le(p, size)
							     : bus_read(v->mmio, paddr, size);
}

void phys_write(struct vcpu *v, u64 paddr, u64 value, unsigned size)
{
	u8 *p = physmem_ptr(v->mem, paddr);

	if (p && (paddr & ~PAGE_MASK) + size <= PAGE_SIZE) {
		store_le(p, value, size);
		ram_written(v, paddr, p, size);
	} else {
		bus_write(v->mmio, paddr, value, size);
	}
}

int guest_phys_read64(struct vcpu *v, u64 gpa, u64 *value)
{
	struct ept_in in = {.gpa = gpa, .access = ACCESS_READ, .use = EPT_PDPTES};
	struct walk_out out;

	if (v->walk.eptp) {
		if (ept_walk(&v->walk, &in, &out) != WALK_OK)
			return vmx_ept_fault(v, &out, 0);
		gpa = out.paddr;
		if (vmx_is_apic_page(v, gpa))
			return vmx_apic_guest_physical(v);
	}
	*value = phys_read(v, gpa, 8);
	return 0;
}

int mem_fetch_page(struct vcpu *v, u64 laddr, u64 *paddr)
{
	struct tlb_table *t = v->table;
	struct itlb_entry *e = &t->it[(laddr >> PAGE_SHIFT) & (ITLB_SIZE - 1)];
	struct walk_out out;
	int r;

	if (e->tag == (laddr & PAGE_MASK)) {
		*paddr = e->paddr | (laddr & ~PAGE_MASK);
		return 0;
	}
	r = walk(v, laddr, 1, ACCESS_FETCH, &out);
	if (r)
		return r;
	if (vmx_is_apic_page(v, out.paddr)) {
		return vmx_apic_access_exit(v, laddr, (unsigned)(laddr & ~PAGE_MASK), ACCESS_FETCH);
	}
	fill(v, t, laddr, ACCESS_FETCH, &out);
	*paddr = out.paddr;
	return 0;
}

bool mem_refill(struct vcpu *v, u64 laddr, unsigned access)
{
	unsigned s = (laddr >> PAGE_SHIFT) & (TLB_SIZE - 1);
	struct walk_in in = {.laddr = laddr,
			     .access = (u8)access,
			     .user = v->cpl == 3,
			     .ac = v->rflags & RFLAGS_AC};
	struct walk_out out;

	if (access & ACCESS_WRITE && v->walk.ept_mode & EPT_SUB_PAGE)
		return false; /* how many bytes matters */
	if (v->watch || v->align_check || paging_walk(&v->walk, &in, &out) != WALK_OK ||
	    vmx_is_apic_page(v, out.paddr))
		return false;
	fill(v, v->table, laddr, access, &out);
	return ((access & ACCESS_WRITE ? v->table->st[s].tag : v->table->ld[s].tag) ^ laddr) <
	       PAGE_SIZE;
}

u8 *mem_host(struct vcpu *v, u64 laddr, unsigned access)
{
	unsigned s = (laddr >> PAGE_SHIFT) & (TLB_SIZE - 1);
	struct tlb_entry *e = access & ACCESS_WRITE ? &v->table->st[s] : &v->table->ld[s];

	if ((e->tag ^ laddr) >= PAGE_SIZE &&
	    (!is_canonical(laddr, v->width_laddr) || !mem_refill(v, laddr, access)))
		return NULL;
	return (u8 *)(uintptr_t)(laddr + e->addend);
}
