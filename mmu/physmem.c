/*
 * Guest RAM and DMA into it. See physmem.h.
 */
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "mmu/physmem.h"

#define LOW_MAX 0xc0000000ull

static void *reserve(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

bool physmem_init(struct physmem *m, u64 bytes)
{
	memset(m, 0, sizeof(*m));
	bytes &= PAGE_MASK;
	m->low = bytes < LOW_MAX ? bytes : LOW_MAX;
	m->high = bytes - m->low;
	m->ram = reserve(bytes);
	m->flags = reserve(bytes >> PAGE_SHIFT);
	return m->ram && m->flags;
}

void physmem_free(struct physmem *m)
{
	u64 bytes = m->low + m->high;

	if (m->ram)
		munmap(m->ram, bytes);
	if (m->flags)
		munmap(m->flags, bytes >> PAGE_SHIFT);
	m->ram = m->flags = NULL;
}

const u8 *physmem_read_ptr(const struct physmem *m, u64 paddr)
{
	const u8 *p = physmem_ptr(m, paddr);

	for (unsigned i = 0; !p && i < m->roms; i++)
		if (paddr - m->rom[i].base < m->rom[i].len)
			p = m->rom[i].data + (paddr - m->rom[i].base);
	return p;
}

bool physmem_touched(const struct physmem *m, u64 page)
{
	unsigned char resident = 1;

	return mincore(m->ram + (page << PAGE_SHIFT), PAGE_SIZE, &resident) || resident & 1;
}

bool physmem_is_ram(const struct physmem *m, u64 paddr, u64 len)
{
	if (paddr + len < paddr)
		return false;
	return (paddr < m->low && len <= m->low - paddr) ||
	       (paddr - RAM_HIGH_BASE < m->high && len <= m->high - (paddr - RAM_HIGH_BASE));
}

/* Bytes to the end of the page or of the transfer. */
static u64 chunk(u64 paddr, u64 len)
{
	u64 n = PAGE_SIZE - (paddr & (PAGE_SIZE - 1));

	return n < len ? n : len;
}

bool dma_read(struct physmem *m, u64 paddr, void *buf, u64 len)
{
	u8 *out = buf;
	bool ok = true;

	while (len) {
		u64 n = chunk(paddr, len);
		const u8 *p = physmem_ptr(m, paddr);

		if (p)
			memcpy(out, p, n);
		else
			memset(out, 0xff, n);
		ok &= p != NULL;
		paddr += n, out += n, len -= n;
	}
	return ok;
}

bool dma_write(struct physmem *m, u64 paddr, const void *buf, u64 len)
{
	const u8 *in = buf;
	bool ok = true;

	while (len) {
		u64 n = chunk(paddr, len);
		u8 *p = physmem_ptr(m, paddr);

		if (p) {
			memcpy(p, in, n);
			if ((*physmem_flags(m, p) & PAGE_CODE) && m->code_written)
				m->code_written(m->code_owner, paddr, n);
		}
		ok &= p != NULL;
		paddr += n, in += n, len -= n;
	}
	return ok;
}
