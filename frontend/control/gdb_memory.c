/*
 * Memory for the debugger: linear addresses through the current paging and EPT, as a supervisor who
 * ignores write protection; or physical addresses. RAM and ROM only: reading a device register may
 * change the device.
 */
#include "frontend/control/gdb_internal.h"

static bool translate(const struct gdbstub *g, struct vcpu *v, u64 addr, bool write, u64 *paddr)
{
	struct walk_in in = {.laddr = addr, .access = ACCESS_READ, .implicit = true};
	struct walk_env env = v->walk;
	struct walk_out out;

	*paddr = addr;
	if (g->physical)
		return true;
	if (write)
		in.access |= ACCESS_WRITE;
	env.cr0 &= ~CR0_WP;
	env.cr4 &= ~(CR4_SMAP | CR4_SMEP | CR4_PKE);
	if ((v->cr0 & CR0_PG) && v->mode == MODE_64 && !is_canonical(addr, v->width_laddr))
		return false;
	if (v->mode != MODE_64)
		in.laddr = (u32)addr;
	if (paging_walk(&env, &in, &out) != WALK_OK)
		return false;
	*paddr = out.paddr;
	return true;
}

/* The part of len that stays in the page. */
static size_t piece(u64 addr, size_t len)
{
	u64 left = PAGE_SIZE - (addr & ~PAGE_MASK);

	return len < left ? len : (size_t)left;
}

bool gdb_memory_read(const struct gdbstub *g, struct vcpu *v, u64 addr, void *buf, size_t len)
{
	u8 *to = buf;

	while (len) {
		size_t n = piece(addr, len);
		const u8 *p;
		u64 paddr;

		if (!translate(g, v, addr, false, &paddr))
			return false;
		p = physmem_read_ptr(v->mem, paddr);
		if (!p)
			return false;
		memcpy(to, p, n);
		to += n;
		addr += n;
		len -= n;
	}
	return true;
}

bool gdb_memory_write(const struct gdbstub *g, struct vcpu *v, u64 addr, const void *buf,
		      size_t len)
{
	const u8 *from = buf;

	while (len) {
		size_t n = piece(addr, len);
		u64 paddr;

		if (!translate(g, v, addr, true, &paddr) || !dma_write(v->mem, paddr, from, n))
			return false;
		from += n;
		addr += n;
		len -= n;
	}
	return true;
}
