/*
 * What a VM exit says of the instruction that caused it: the VM-exit instruction-information field
 * and the displacement in the exit qualification (SDM Vol. 3, "Information for VM Exits Due to
 * Instruction Execution").
 */
#include "cpu/decode.h"
#include "vmx/internal.h"

/* 0: 16-bit, 1: 32-bit, 2: 64-bit. */
static u32 size_code(unsigned bytes)
{
	return bytes == 2 ? 0 : bytes == 4 ? 1 : 2;
}

static u32 address_part(const struct insn *i)
{
	bool base = i->base != REG_NONE && i->base != REG_RIP;
	bool index = i->index != REG_NONE;

	return (index ? i->scale : 0) | size_code(i->addrsize) << 7 | (u32)i->seg << 15 |
	       (index ? (u32)i->index << 18 : BIT(22)) | (base ? (u32)i->base << 23 : BIT(27));
}

u32 insn_info_memory(const struct insn *i)
{
	u32 info = (u32)i->reg << 28;

	return info | (insn_is_mem(i) ? address_part(i) : BIT(10) | (u32)i->rm << 3);
}

u32 insn_info_table(const struct insn *i, unsigned identity)
{
	u32 info = insn_is_mem(i) ? address_part(i) : BIT(10) | (u32)i->rm << 3;

	return info | (i->opsize == 2 ? 0 : BIT(11)) | identity << 28;
}

u32 insn_info_gpr(const struct insn *i)
{
	return (u32)i->rm << 3 | size_code(i->opsize) << 11;
}

u32 insn_info_string_io(const struct insn *i)
{
	return size_code(i->addrsize) << 7 | (u32)i->seg << 15;
}

u64 insn_displacement(const struct vcpu *v, const struct insn *i)
{
	u64 disp = (u64)i->disp;

	if (!insn_is_mem(i))
		return 0;
	if (i->base == REG_RIP)
		disp += v->rip + i->len;
	return i->addrsize == 8 ? disp : disp & size_mask(i->addrsize);
}

/* Bytes of code at laddr in its page, at most n; 0 if the page cannot be fetched from RAM or ROM.
 * */
static unsigned peek_code(struct vcpu *v, u64 laddr, u8 *buf, unsigned n)
{
	struct walk_in in = {.laddr = laddr, .access = ACCESS_FETCH, .user = v->cpl == 3};
	u64 room = PAGE_SIZE - (laddr & ~PAGE_MASK);
	struct walk_out out;
	const u8 *p;

	if (paging_walk(&v->walk, &in, &out) != WALK_OK)
		return 0;
	p = physmem_read_ptr(v->mem, out.paddr);
	if (!p)
		return 0;
	n = room < n ? (unsigned)room : n;
	memcpy(buf, p, n);
	return n;
}

u32 insn_length_now(struct vcpu *v)
{
	unsigned mode_bits = v->mode == MODE_64 ? 64 : v->seg[SEG_CS].ar & AR_DB ? 32 : 16;
	u64 laddr = v->mode == MODE_64 ? v->rip : (u32)(v->rip + v->seg[SEG_CS].base);
	u8 bytes[INSN_MAX_LEN];
	struct insn insn;
	unsigned n;

	if (v->delivering)
		return 0;
	n = peek_code(v, laddr, bytes, sizeof(bytes));
	if (n && n < sizeof(bytes))
		n += peek_code(v, laddr + n, bytes + n, sizeof(bytes) - n);
	return n && decode(v->decoder, mode_bits, bytes, n, &insn) == DECODE_OK ? insn.len : 0;
}
