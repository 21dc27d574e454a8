/*
 * The block cache: an arena of blocks, a hash by physical address and mode, and per code page the
 * list of its blocks with a map of decoded granules. See block.h.
 */
#include <stdlib.h>

#include "cpu/block.h"
#include "cpu/decode.h"
#include "cpu/fast_tables.h"

#define ARENA_BYTES (64u << 20)
#define HASH_BITS 16
#define HASH_SIZE (1u << HASH_BITS)
#define PAGE_HASH_SIZE 4096u
#define MAX_PAGES 65536u
#define MAX_VCPUS 64

struct code_page {
	u64 paddr; /* page */
	struct code_page *next;
	struct block *blocks;
	u64 granules; /* bit per 64 bytes that hold decoded instructions */
};

struct block_cache {
	struct physmem *mem;
	u8 *arena;
	size_t used;
	struct block *hash[HASH_SIZE];
	struct code_page *pages[PAGE_HASH_SIZE];
	struct code_page *page_pool;
	unsigned pages_used;
	u64 epoch;
	struct vcpu *vcpus[MAX_VCPUS];
	unsigned nvcpus;
};

static unsigned hash_of(u64 paddr, u16 key)
{
	u64 h = (paddr ^ (u64)key << 56) * 0x9e3779b97f4a7c15ull;

	return (unsigned)(h >> (64 - HASH_BITS));
}

struct block_cache *blocks_new(struct physmem *mem)
{
	struct block_cache *bc = calloc(1, sizeof(*bc));

	if (!bc)
		return NULL;
	bc->mem = mem;
	bc->arena = malloc(ARENA_BYTES);
	bc->page_pool = calloc(MAX_PAGES, sizeof(*bc->page_pool));
	if (bc->arena && bc->page_pool)
		return bc;
	blocks_free(bc);
	return NULL;
}

void blocks_free(struct block_cache *bc)
{
	free(bc->arena);
	free(bc->page_pool);
	free(bc);
}

void blocks_add_vcpu(struct block_cache *bc, struct vcpu *v)
{
	if (bc->nvcpus < MAX_VCPUS)
		bc->vcpus[bc->nvcpus++] = v;
}

struct block *blocks_find(struct block_cache *bc, u64 paddr, u16 key)
{
	struct block *b = bc->hash[hash_of(paddr, key)];

	while (b && (b->paddr != paddr || b->mode_key != key))
		b = b->hash_next;
	return b;
}

static struct code_page *page_find(struct block_cache *bc, u64 page)
{
	struct code_page *p = bc->pages[(page >> PAGE_SHIFT) % PAGE_HASH_SIZE];

	while (p && p->paddr != page)
		p = p->next;
	return p;
}

static void clear_jumps(struct vcpu *v)
{
	for (unsigned i = 0; i < TLB_CONTEXTS; i++)
		for (unsigned w = 0; w < TLB_WAYS; w++)
			if (v->tlb.ctx[i].way[w])
				memset(v->tlb.ctx[i].way[w]->jump, 0,
				       sizeof(v->tlb.ctx[i].way[w]->jump));
}

void blocks_flush(struct block_cache *bc)
{
	for (unsigned i = 0; i < bc->pages_used; i++) {
		u8 *host = physmem_ptr(bc->mem, bc->page_pool[i].paddr);

		if (host)
			*physmem_flags(bc->mem, host) &= (u8)~PAGE_CODE;
	}
	memset(bc->hash, 0, sizeof(bc->hash));
	memset(bc->pages, 0, sizeof(bc->pages));
	bc->pages_used = 0;
	bc->used = 0;
	bc->epoch++;
	for (unsigned i = 0; i < bc->nvcpus; i++)
		clear_jumps(bc->vcpus[i]);
}

u64 blocks_epoch(const struct block_cache *bc)
{
	return bc->epoch;
}

static struct code_page *page_get(struct block_cache *bc, u64 page)
{
	struct code_page *p = page_find(bc, page), **head;
	u8 *host = physmem_ptr(bc->mem, page);

	if (!p) {
		p = &bc->page_pool[bc->pages_used++];
		head = &bc->pages[(page >> PAGE_SHIFT) % PAGE_HASH_SIZE];
		*p = (struct code_page){.paddr = page, .next = *head};
		*head = p;
	}
	if (!(*physmem_flags(bc->mem, host) & PAGE_CODE)) {
		*physmem_flags(bc->mem, host) |= PAGE_CODE;
		for (unsigned i = 0; i < bc->nvcpus; i++)
			tlb_drop_stores(&bc->vcpus[i]->tlb, host);
	}
	return p;
}

static u64 granule_mask(u64 off, u64 len)
{
	unsigned lo = (unsigned)(off >> 6), hi = (unsigned)((off + len - 1) >> 6);

	return (~0ull << lo) & (~0ull >> (63 - (hi > 63 ? 63 : hi)));
}

static void unhash(struct block_cache *bc, struct block *b)
{
	struct block **p = &bc->hash[hash_of(b->paddr, b->mode_key)];

	while (*p && *p != b)
		p = &(*p)->hash_next;
	if (*p)
		*p = b->hash_next;
	b->stale = true;
	b->op[0].fn = op_stale;
}

bool blocks_written(struct block_cache *bc, u64 paddr, u64 len)
{
	struct code_page *p = page_find(bc, paddr & PAGE_MASK);
	u64 off = paddr & ~PAGE_MASK;
	struct block **link;
	bool dropped = false;
	u8 *host;

	if (!p || !(p->granules & granule_mask(off, len)))
		return false;
	p->granules = 0;
	for (link = &p->blocks; *link;) {
		struct block *b = *link;
		u64 at = b->paddr & ~PAGE_MASK;

		if (at < off + len && off < at + b->bytes) {
			unhash(bc, b);
			*link = b->page_next;
			dropped = true;
		} else {
			p->granules |= granule_mask(at, b->bytes);
			link = &b->page_next;
		}
	}
	host = physmem_ptr(bc->mem, p->paddr);
	if (!p->granules && host)
		*physmem_flags(bc->mem, host) &= (u8)~PAGE_CODE;
	return dropped;
}

/* --- translation --- */

struct draft {
	struct insn insn[BLOCK_MAX_INSNS];
	u16 pgoff[BLOCK_MAX_INSNS + 1];
	unsigned n;
	bool cut;  /* the next instruction crosses the page or cannot be decoded: it is stepped */
	bool ends; /* the last instruction ends the block by itself */
};

static unsigned key_bits(u16 key)
{
	return (key & KEY_BITS) == KEY_BITS64 ? 64 : (key & KEY_BITS) == KEY_BITS32 ? 32 : 16;
}

static void draft_block(struct vcpu *v, struct draft *d, const u8 *page, unsigned off)
{
	d->n = 0;
	d->cut = d->ends = false;
	while (d->n < BLOCK_MAX_INSNS && off < PAGE_SIZE) {
		struct insn *i = &d->insn[d->n];

		if (decode(v->decoder, key_bits(v->mode_key), page + off,
			   (unsigned)(PAGE_SIZE - off), i) != DECODE_OK) {
			d->cut = true;
			break;
		}
		d->pgoff[d->n++] = (u16)off;
		off += i->len;
		if (i->attr & A_END) {
			d->ends = true;
			break;
		}
	}
	d->pgoff[d->n] = (u16)off;
}

/* For each instruction: can anyone see the flags it writes? Anything that can leave the block
 * (fault, exit, branch) sees all of them, so only runs of pure register operations drop flags. */
static void flag_liveness(const struct draft *d, bool *live)
{
	unsigned after = FL_ALL;

	for (unsigned k = d->n; k-- > 0;) {
		const struct insn *i = &d->insn[k];
		const struct insn_flags *f = &i->row->flags;

		live[k] = (f->w & after) != 0;
		after = fast_is_pure(i) ? (after & ~(unsigned)f->w) | f->r : FL_ALL;
	}
}

static unsigned put_generic(struct op *o, const struct insn *i, u16 pgoff, u8 left)
{
	struct insn *copy = (struct insn *)(void *)(o + 1);

	memset(o, 0, sizeof(*o));
	o->fn = i->attr & A_END ? op_generic_end : op_generic;
	o->pgoff = pgoff;
	o->left = left;
	*copy = *i;
	copy->left = left;
	return 3;
}

static unsigned emit(struct vcpu *v, const struct draft *d, struct op *o)
{
	bool live[BLOCK_MAX_INSNS];
	struct op *start = o;

	flag_liveness(d, live);
	for (unsigned k = 0; k < d->n; k++) {
		const struct insn *next = k + 1 < d->n ? &d->insn[k + 1] : NULL;
		u8 left = (u8)(d->n - 1 - k);
		unsigned slots;

		memset(o, 0, sizeof(*o));
		slots = fast_translate(v, &d->insn[k], next, live[k], d->pgoff[k], o);
		if (slots) {
			o->pgoff = d->pgoff[k];
			o->left = left;
		} else {
			slots = put_generic(o, &d->insn[k], d->pgoff[k], left);
		}
		o += slots;
	}
	/* What runs behind the last instruction; its pgoff is read by calls either way. */
	memset(o, 0, sizeof(*o));
	o->pgoff = d->pgoff[d->n];
	o->disp = o->pgoff;
	o->fn = d->cut ? op_step : o->pgoff >= PAGE_SIZE ? op_goto_page : op_goto_near;
	return (unsigned)(o + 1 - start);
}

/* Three slots for each instruction and one at the end. */
#define BLOCK_WORST (sizeof(struct block) + (BLOCK_MAX_INSNS * 3 + 1) * sizeof(struct op))

struct block *blocks_translate(struct vcpu *v, u64 paddr)
{
	struct block_cache *bc = v->blocks;
	u8 *page = physmem_ptr(v->mem, paddr & PAGE_MASK);
	struct draft d;
	struct block *b;
	struct code_page *cp;
	unsigned h;

	if (!page)
		return NULL;
	draft_block(v, &d, page, (unsigned)(paddr & ~PAGE_MASK));
	if (d.n == 0)
		return NULL;
	if (bc->used + BLOCK_WORST > ARENA_BYTES || bc->pages_used == MAX_PAGES)
		blocks_flush(bc);
	b = (struct block *)(void *)(bc->arena + bc->used);
	*b = (struct block){.paddr = paddr,
			    .mode_key = v->mode_key,
			    .n = (u16)d.n,
			    .bytes = (u16)(d.pgoff[d.n] - d.pgoff[0])};
	bc->used += (sizeof(*b) + emit(v, &d, b->op) * sizeof(struct op) + 63) & ~(size_t)63;
	cp = page_get(bc, paddr & PAGE_MASK);
	cp->granules |= granule_mask(paddr & ~PAGE_MASK, b->bytes);
	b->page_next = cp->blocks;
	cp->blocks = b;
	h = hash_of(paddr, b->mode_key);
	b->hash_next = bc->hash[h];
	bc->hash[h] = b;
	return b;
}
