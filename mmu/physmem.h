/*
 * Guest RAM: reserved sparsely, so that it costs what the guest touches. RAM lies at 0..low and at
 * 4 GiB..4 GiB+high; everything else belongs to the memory bus. Each page has flags; a write to a
 * page that holds decoded code is reported to the block cache before the writer goes on.
 */
#ifndef MMU_PHYSMEM_H
#define MMU_PHYSMEM_H

#include "base/types.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ull
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define RAM_HIGH_BASE 0x100000000ull

enum page_flag {
	PAGE_CODE = 1,	/* decoded blocks lie in this page */
	PAGE_DIRTY = 2, /* written since the last state hash */
};

struct rom_window {
	u64 base, len; /* bytes, page-aligned */
	u8 *data;
};

struct physmem {
	u8 *ram;       /* low RAM at offset 0, high RAM behind it */
	u64 low, high; /* bytes */
	u8 *flags;     /* enum page_flag per RAM page */
	struct rom_window rom[4];
	unsigned roms;
	/* Called after bytes in a PAGE_CODE page were changed, by a store or by DMA. */
	void (*code_written)(void *owner, u64 paddr, u64 len);
	void *code_owner;
};

/* Reserves `bytes` of RAM, split at 3 GiB. False if the host refuses. */
bool physmem_init(struct physmem *m, u64 bytes);
void physmem_free(struct physmem *m);

/* Host address of the byte at paddr, or NULL if no RAM is there. */
static inline u8 *physmem_ptr(const struct physmem *m, u64 paddr)
{
	if (likely(paddr < m->low))
		return m->ram + paddr;
	if (paddr - RAM_HIGH_BASE < m->high)
		return m->ram + m->low + (paddr - RAM_HIGH_BASE);
	return NULL;
}

static inline u8 *physmem_flags(const struct physmem *m, const u8 *host)
{
	return &m->flags[(u64)(host - m->ram) >> PAGE_SHIFT];
}

/* Host address for reading only: RAM or ROM, else NULL. */
const u8 *physmem_read_ptr(const struct physmem *m, u64 paddr);
/* False: the RAM page (counted from the start of the reservation) was never touched, so is zero. */
bool physmem_touched(const struct physmem *m, u64 page);
/* True if [paddr, paddr+len) is all RAM. */
bool physmem_is_ram(const struct physmem *m, u64 paddr, u64 len);

/*
 * DMA and loaders. They reach RAM only, never MMIO: what lies outside RAM reads as all-ones and is
 * dropped on write, as after a PCI master abort. They return false if any byte was outside.
 */
bool dma_read(struct physmem *m, u64 paddr, void *buf, u64 len);
bool dma_write(struct physmem *m, u64 paddr, const void *buf, u64 len);

#endif
