/*
 * EPT, ours and our guest's. SDM vol. 3, "The Extended Page Table Mechanism (EPT)".
 *
 * Our guest runs on ept01: its memory is ours from GUEST_BASE on. The guest's guest runs on ept02,
 * which goes from the innermost addresses to ours in one step: the guest's own EPT (EPT12) followed
 * by ept01. Both start empty and are filled page by page, by the EPT violations. Left out: accessed
 * and dirty flags, execute-only pages, memory types other than write-back in our own tables,
 * 5-level walks; none of them is offered to the guest.
 */
#include "level.h"

#define RIGHTS 7ull
#define MEMORY_TYPE_WRITE_BACK 6ull
#define MEMORY_TYPE_SHIFT 3
#define PAGE_SIZE_FLAG BIT(7)
#define EPT_ADDRESS 0x000ffffffffff000ull
#define EPTP_WALK_LENGTH_4 (3ull << 3)
#define RESERVED_IN_TABLE 0xf8ull

u64 ept_pointer(struct level *l, u64 root)
{
	u64 type = l->has.ept_vpid & EPT_CAP_WRITE_BACK ? MEMORY_TYPE_WRITE_BACK : 0;

	return root | EPTP_WALK_LENGTH_4 | type;
}

static bool ept_entry_valid(u64 entry, bool leaf, int shift)
{
	u64 type = entry >> MEMORY_TYPE_SHIFT & 7;

	if (!(entry & BIT(0)))
		return false; /* writable or executable, but not readable */
	if (!leaf)
		return !(entry & RESERVED_IN_TABLE);
	return !(entry & EPT_ADDRESS & (BIT(shift) - 1)) && type != 2 && type != 3 && type != 7;
}

/* Where our guest's EPT takes an address of its guest. */
struct ept_walk ept_walk_guest(struct level *l, u64 eptp, u64 address)
{
	struct ept_walk walk = {.rights = RIGHTS, .valid = true};
	u64 table = eptp & EPT_ADDRESS;

	for (int shift = 39;; shift -= 9) {
		u64 *entry = guest_pointer(l, table + (address >> shift & 511) * 8, 8);
		bool leaf;

		if (!entry || !(*entry & RIGHTS)) {
			walk.rights = 0;
			return walk;
		}
		leaf = shift == 12 || (shift <= 30 && *entry & PAGE_SIZE_FLAG);
		walk.rights &= *entry;
		walk.valid = ept_entry_valid(*entry, leaf, shift);
		table = *entry & EPT_ADDRESS;
		if (!walk.valid || leaf) {
			walk.present = walk.valid;
			walk.size = BIT(shift);
			walk.address = table | (address & (walk.size - 1));
			return walk;
		}
	}
}

/* Map the page of that size around from to the one around to. */
void ept_map(struct level *l, u64 root, u64 from, u64 to, u64 size, u64 rights)
{
	u64 *entry = (u64 *)root + (from >> 39 & 511);

	for (int shift = 39; BIT(shift) > size; shift -= 9) {
		if (!(*entry & RIGHTS) || *entry & PAGE_SIZE_FLAG)
			*entry = page_alloc(l) | RIGHTS;
		entry = (u64 *)(*entry & EPT_ADDRESS) + (from >> (shift - 9) & 511);
	}
	*entry = (to & ~(size - 1)) | MEMORY_TYPE_WRITE_BACK << MEMORY_TYPE_SHIFT | rights;
	if (size != PAGE_SIZE)
		*entry |= PAGE_SIZE_FLAG;
}

/* Forget all translations, keep the tables. */
void ept_clear(u64 table, int shift)
{
	u64 *entry = (u64 *)table;

	for (u32 i = 0; i < 512; i++) {
		bool leaf = shift == 12 || entry[i] & PAGE_SIZE_FLAG;

		if (!(entry[i] & RIGHTS))
			continue;
		if (leaf)
			entry[i] = 0;
		else
			ept_clear(entry[i] & EPT_ADDRESS, shift - 9);
	}
}

/* The largest page that our processor can map. */
u64 ept_page_size(struct level *l)
{
	return l->has.ept_vpid & EPT_CAP_2M_PAGES ? PAGE_2M : PAGE_SIZE;
}

/* EPT violation of our guest itself. False: not its memory. */
bool ept_fill(struct level *l, u64 address)
{
	u64 size = ept_page_size(l);
	u64 page = address & ~(size - 1);

	if (!guest_pointer(l, page, size))
		return false;
	ept_map(l, l->ept01, page, page + GUEST_BASE, size, RIGHTS);
	return true;
}

/*
 * EPT violation of the guest's guest, at an address that EPT12 translates. The page is the largest
 * that EPT12 and ours both allow. False: EPT12 leads out of the guest's memory.
 */
bool ept_compose(struct level *l, u64 ept02, u64 address, const struct ept_walk *walk)
{
	u64 size = ept_page_size(l) < walk->size ? ept_page_size(l) : walk->size;
	u64 page = (u64)guest_pointer(l, walk->address & ~(size - 1), size);

	if (!page)
		return false;
	ept_map(l, ept02, address & ~(size - 1), page, size, walk->rights);
	return true;
}
