/*
 * IN, OUT, INS, OUTS. SDM "Input/Output", "I/O Permission Bit Map".
 */
#include "cpu/cpu.h"
#include "cpu/insn_protos.h"
#include "vmx/vmx.h"

#define STRING_RUN 1024 /* repetitions before events are looked at */

/* CPL against IOPL, then the TSS's bitmap. */
static int io_permission(struct vcpu *v, u16 port, unsigned size)
{
	const struct seg *tr = &v->seg[SEG_TR];
	unsigned iopl = v->rflags >> 12 & 3;
	u64 base, bits;
	int r;

	if (!(v->cr0 & CR0_PE) || (v->cpl <= iopl && v->mode != MODE_VM86))
		return 0;
	if (tr->limit < 0x67 || (tr->ar & AR_TYPE) < 9)
		return raise_gp(v, 0);
	r = lin_read(v, tr->base + 0x66, 2, LIN_SUPER, &base);
	if (r)
		return r;
	base += port / 8;
	if (base + 1 > tr->limit)
		return raise_gp(v, 0);
	r = lin_read(v, tr->base + base, 2, LIN_SUPER, &bits);
	if (r)
		return r;
	return bits >> (port & 7) & ((1u << size) - 1) ? raise_gp(v, 0) : 0;
}

static u16 port_of(const struct vcpu *v, const struct insn *i)
{
	return i->opcode & 8 || i->opcode < 0x70 ? (u16)v->reg[RDX] : (u8)i->imm;
}

static unsigned io_size(const struct insn *i)
{
	return i->opsize > 4 ? 4 : i->opsize;
}

static int before_io(struct vcpu *v, const struct insn *i, u16 port, unsigned size, bool in)
{
	unsigned flags = (in ? VMX_IO_IN : 0) | (i->opcode & 8 ? 0 : VMX_IO_IMM);
	int r = io_permission(v, port, size);

	return r ? r : vmx_intercept_io(v, i, port, size, flags, 0);
}

static u64 port_read(struct vcpu *v, u16 port, unsigned size)
{
	vcpu_charge(v, PORT_TICKS);
	return bus_read(v->pio, port, size);
}

static void port_write(struct vcpu *v, u16 port, unsigned size, u64 value)
{
	vcpu_charge(v, PORT_TICKS);
	bus_write(v->pio, port, value, size);
}

int x_in(struct vcpu *v, const struct insn *i)
{
	unsigned size = io_size(i);
	u16 port = port_of(v, i);
	int r = before_io(v, i, port, size, true);

	if (!r)
		reg_write(v, i, RAX, size, port_read(v, port, size));
	return r;
}

int x_out(struct vcpu *v, const struct insn *i)
{
	unsigned size = io_size(i);
	u16 port = port_of(v, i);
	int r = before_io(v, i, port, size, false);

	if (!r)
		port_write(v, port, size, reg_read(v, i, RAX, size));
	return r;
}

static int one_ins(struct vcpu *v, u16 port, unsigned size, u64 amask)
{
	u64 off = v->reg[RDI] & amask;
	int r = mem_probe_write(v, SEG_ES, off,
				size); /* the port is read only if the store works */

	return r ? r : mem_write(v, SEG_ES, off, size, port_read(v, port, size));
}

static int one_outs(struct vcpu *v, const struct insn *i, u16 port, unsigned size, u64 amask)
{
	u64 value;
	int r = mem_read(v, i->seg, v->reg[RSI] & amask, size, &value);

	if (!r)
		port_write(v, port, size, value);
	return r;
}

static u64 operand_laddr(const struct vcpu *v, unsigned seg, u64 off)
{
	return (off + (v->mode == MODE_64 && seg < SEG_FS ? 0 : v->seg[seg].base)) & v->lin_mask;
}

static int string_io(struct vcpu *v, const struct insn *i, bool in)
{
	unsigned size = io_size(i), index = in ? RDI : RSI, seg = in ? SEG_ES : i->seg;
	u64 amask = size_mask(i->addrsize);
	bool rep = i->prefix & (P_F2 | P_F3);
	u16 port = (u16)v->reg[RDX];
	int r;

	if (rep && !(v->reg[RCX] & amask))
		return EXEC_NEXT;
	r = io_permission(v, port, size);
	if (!r)
		r = vmx_intercept_io(v, i, port, size,
				     (in ? VMX_IO_IN : 0) | VMX_IO_STRING | (rep ? VMX_IO_REP : 0),
				     operand_laddr(v, seg, v->reg[index] & amask));
	for (unsigned n = 0; !r; n++) {
		r = in ? one_ins(v, port, size, amask) : one_outs(v, i, port, size, amask);
		if (r)
			break;
		reg_write(v, i, index, i->addrsize,
			  v->reg[index] + (v->rflags & RFLAGS_DF ? -(u64)size : size));
		if (!rep)
			return EXEC_NEXT;
		reg_write(v, i, RCX, i->addrsize, v->reg[RCX] - 1);
		if (!(v->reg[RCX] & amask))
			return EXEC_NEXT;
		if (n == STRING_RUN || v->recheck || v->step_mode)
			return EXEC_RESTART;
	}
	return r;
}

int x_ins(struct vcpu *v, const struct insn *i)
{
	return string_io(v, i, true);
}

int x_outs(struct vcpu *v, const struct insn *i)
{
	return string_io(v, i, false);
}
