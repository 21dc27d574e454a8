/*
 * Memory operands of vector instructions.
 */
#include "cpu/vec.h"

int vec_read(struct vcpu *v, const struct insn *i, void *buf, unsigned n)
{
	const u8 *p = vec_host(v, i, n, false);

	if (unlikely(!p))
		return mem_read_bytes(v, i->seg, insn_offset(v, i), buf, n);
	if (n == 16)
		memcpy(buf, p, 16);
	else if (n == 32)
		memcpy(buf, p, 32);
	else if (n == 8)
		memcpy(buf, p, 8);
	else
		memcpy(buf, p, n);
	return 0;
}

int vec_write(struct vcpu *v, const struct insn *i, const void *buf, unsigned n)
{
	u8 *p = vec_host(v, i, n, true);

	if (unlikely(!p))
		return mem_write_bytes(v, i->seg, insn_offset(v, i), buf, n);
	if (n == 16)
		memcpy(p, buf, 16);
	else if (n == 32)
		memcpy(p, buf, 32);
	else if (n == 8)
		memcpy(p, buf, 8);
	else
		memcpy(p, buf, n);
	return 0;
}

int vec_store_bytes(struct vcpu *v, unsigned seg, u64 off, u64 off_mask, const void *bytes,
		    u32 select, unsigned n)
{
	const u8 *b = bytes;
	int r = 0;

	for (unsigned k = 0; k < n && !r; k++)
		if (select >> k & 1)
			r = mem_probe_write(v, seg, (off + k) & off_mask, 1);
	for (unsigned k = 0; k < n && !r; k++)
		if (select >> k & 1)
			r = mem_write(v, seg, (off + k) & off_mask, 1, b[k]);
	return r;
}
