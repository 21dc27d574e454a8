/*
 * Memory: our page pool, and our guest's memory seen from here.
 *
 * The guest's physical address a is our address a + GUEST_BASE, up to the end of our memory. The
 * guest's linear addresses go through its page tables (SDM vol. 3, "4-Level Paging"). Left out:
 * access rights (the guest runs at CPL 0), accessed flags, paging modes other than 4-level.
 */
#include "level.h"

#define ENTRY_PRESENT BIT(0)
#define ENTRY_PAGE_SIZE BIT(7)
#define ENTRY_ADDRESS 0x000ffffffffff000ull

/* There is no library: the compiler wants these two by name. */
void *memcpy(void *to, const void *from, size_t size)
{
	void *result = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return result;
}

void *memset(void *to, int byte, size_t size)
{
	void *result = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
	return result;
}

/* A page of zeros. Nothing is ever given back. */
u64 page_alloc(struct level *l)
{
	if (l->pool_used == POOL_PAGES)
		fatal(l, "out of pages");
	return (u64)l->pool[l->pool_used++];
}

void *guest_pointer(struct level *l, u64 address, u64 size)
{
	u64 end = l->memory_end - GUEST_BASE;

	if (size > end || address > end - size)
		return NULL;
	return (u8 *)GUEST_BASE + address;
}

/* Linear to physical address of the guest whose CR3 is in the current VMCS. */
static bool guest_translate(struct level *l, u64 linear, u64 *address)
{
	u64 table = vmcs_get(l, GUEST_CR3) & ENTRY_ADDRESS;

	for (int shift = 39;; shift -= 9) {
		u64 *entry = guest_pointer(l, table + (linear >> shift & 511) * 8, 8);

		if (!entry || !(*entry & ENTRY_PRESENT))
			return false;
		table = *entry & ENTRY_ADDRESS;
		if (shift == 12 || (shift <= 30 && *entry & ENTRY_PAGE_SIZE)) {
			u64 offset = BIT(shift) - 1;

			*address = (table & ~offset) | (linear & offset);
			return true;
		}
	}
}

static void *guest_linear_pointer(struct level *l, u64 linear, u64 size)
{
	u64 address;

	return guest_translate(l, linear, &address) ? guest_pointer(l, address, size) : NULL;
}

/* Up to 16 bytes, so two pages at most. False: the guest gets no data, and should get a page fault.
 */
static bool guest_copy_linear(struct level *l, u64 linear, u8 *data, u64 size, bool write)
{
	while (size) {
		u64 piece = PAGE_SIZE - linear % PAGE_SIZE;
		u8 *memory;

		if (piece > size)
			piece = size;
		memory = guest_linear_pointer(l, linear, piece);
		if (!memory)
			return false;
		memcpy(write ? memory : data, write ? data : memory, piece);
		linear += piece;
		data += piece;
		size -= piece;
	}
	return true;
}

bool guest_read_linear(struct level *l, u64 linear, void *to, u64 size)
{
	return guest_copy_linear(l, linear, to, size, false);
}

bool guest_write_linear(struct level *l, u64 linear, const void *from, u64 size)
{
	return guest_copy_linear(l, linear, (u8 *)(u64)from, size, true);
}
