/*
 * Sub-page write permissions: 32 bits for the 128-byte pieces of a 4-KByte guest-physical page.
 * SDM "Sub-Page Write Permissions": which writes are eligible is decided in ept.c; here is the walk
 * through the sub-page-permission table, with its misses and misconfigurations.
 */
#include "mmu/walk.h"

#define SPPT_VALID BIT(0)
#define SPPT_ADDRESS 0x000ffffffffff000ull
#define SPPT_RESERVED (0xfffull << 52 | 0xffe)
#define SUB_PAGE_SHIFT 7
#define ODD_BITS 0xaaaaaaaaaaaaaaaaull

static u64 entry_read(const struct walk_env *e, u64 paddr)
{
	const u8 *p = physmem_read_ptr(e->mem, paddr);

	return p ? load_le64(p) : ~0ull;
}

static u64 entry_address(u64 table, u64 gpa, unsigned level)
{
	return (table & SPPT_ADDRESS) + (gpa >> (12 + 9 * level) & 511) * 8;
}

enum walk_status spp_walk(const struct walk_env *e, u64 gpa, unsigned bytes)
{
	unsigned first = (gpa & ~PAGE_MASK) >> SUB_PAGE_SHIFT;
	unsigned last = (unsigned)((gpa & ~PAGE_MASK) + bytes - 1) >> SUB_PAGE_SHIFT;
	u64 table = e->sppt, vector;

	for (unsigned level = 3; level; level--) {
		u64 entry = entry_read(e, entry_address(table, gpa, level));

		if (!(entry & SPPT_VALID))
			return WALK_SPP_MISS;
		if (entry & (SPPT_RESERVED | e->reserved_phys))
			return WALK_SPP_MISCONFIG;
		table = entry;
	}
	vector = entry_read(e, entry_address(table, gpa, 0));
	if (vector & ODD_BITS)
		return WALK_SPP_MISCONFIG;
	for (unsigned k = first; k <= last && k < 32; k++)
		if (!(vector >> (2 * k) & 1))
			return WALK_EPT_VIOLATION;
	return WALK_OK;
}
