/*
 * Instructions on segment registers, far transfers, software interrupts, descriptor tables, fast
 * system calls and the flags register. SDM Vol. 2, the Operation section of each.
 */
#include "cpu/insn_protos.h"
#include "cpu/seg_internal.h"
#include "vmx/vmx.h"

/* --- segment registers --- */

/* A selector to r/m: 16 bits in memory, zero-extended to the operand size in a register. */
static int store_sel(struct vcpu *v, const struct insn *i, u16 sel)
{
	if (insn_is_mem(i))
		return mem_write(v, i->seg, insn_offset(v, i), 2, sel);
	reg_write(v, i, i->rm, i->opsize, sel);
	return EXEC_NEXT;
}

int x_mov_from_sreg(struct vcpu *v, const struct insn *i)
{
	unsigned seg = i->reg & 7;

	return seg > SEG_GS ? raise_ud(v) : store_sel(v, i, v->seg[seg].sel);
}

int x_mov_to_sreg(struct vcpu *v, const struct insn *i)
{
	unsigned seg = i->reg & 7;
	u64 sel;
	int r;

	if (seg > SEG_GS || seg == SEG_CS)
		return raise_ud(v);
	r = rm_read(v, i, 2, &sel);
	if (!r)
		r = seg_load(v, seg, (u16)sel);
	if (!r && seg == SEG_SS)
		shadow_set(v, SHADOW_MOV_SS);
	return r;
}

/* Bits 5:3 of the opcode name the register in both maps. */
static unsigned opcode_sreg(const struct insn *i)
{
	return i->opcode >> 3 & 7;
}

/* A 32-bit push of a selector writes two bytes and leaves the upper two alone. */
int x_push_sreg(struct vcpu *v, const struct insn *i)
{
	u64 sp = (v->reg[RSP] - i->opsize) & stack_mask(v);
	u16 sel = v->seg[opcode_sreg(i)].sel;
	int r = mem_write(v, SEG_SS, sp, i->opsize == 4 ? 2 : i->opsize, sel);

	if (!r)
		rsp_set(v, sp);
	return r;
}

int x_pop_sreg(struct vcpu *v, const struct insn *i)
{
	unsigned seg = opcode_sreg(i);
	u64 mask = stack_mask(v), sp = v->reg[RSP], sel;
	int r = mem_read(v, SEG_SS, sp & mask, i->opsize, &sel);

	if (!r)
		r = seg_load(v, seg, (u16)sel);
	if (r)
		return r;
	/* POP SS counts RSP in the stack segment that it leaves */
	v->reg[RSP] = (mask == 0xffff ? sp & ~mask : 0) | ((sp + i->opsize) & mask);
	if (seg == SEG_SS)
		shadow_set(v, SHADOW_MOV_SS);
	return EXEC_NEXT;
}

/* The m16:16/32/64 operand: offset, then selector. */
static int read_far(struct vcpu *v, const struct insn *i, u64 *off, u16 *sel)
{
	u64 at = insn_offset(v, i), s = 0;
	int r = mem_read(v, i->seg, at, i->opsize, off);

	if (!r)
		r = mem_read(v, i->seg, (at + i->opsize) & size_mask(i->addrsize), 2, &s);
	*sel = (u16)s;
	return r;
}

static int load_far(struct vcpu *v, const struct insn *i, unsigned seg)
{
	u64 off;
	u16 sel;
	int r = read_far(v, i, &off, &sel);

	if (!r)
		r = seg_load(v, seg, sel);
	if (!r)
		reg_write(v, i, i->reg, i->opsize, off);
	return r;
}

int x_les(struct vcpu *v, const struct insn *i) { return load_far(v, i, SEG_ES); }
int x_lds(struct vcpu *v, const struct insn *i) { return load_far(v, i, SEG_DS); }
int x_lss(struct vcpu *v, const struct insn *i) { return load_far(v, i, SEG_SS); }
int x_lfs(struct vcpu *v, const struct insn *i) { return load_far(v, i, SEG_FS); }
int x_lgs(struct vcpu *v, const struct insn *i) { return load_far(v, i, SEG_GS); }

/* --- far transfers --- */

static int far_operand(struct vcpu *v, const struct insn *i, u64 *off, u16 *sel)
{
	if (i->opcode == 0xff)
		return read_far(v, i, off, sel);
	*off = i->imm;
	*sel = i->imm2;
	return 0;
}

static u64 next_rip(const struct vcpu *v, const struct insn *i)
{
	return (v->rip + i->len) & v->lin_mask;
}

int x_call_far(struct vcpu *v, const struct insn *i)
{
	u64 off;
	u16 sel;
	int r = far_operand(v, i, &off, &sel);

	return r ? r : far_call(v, sel, off, i->opsize, next_rip(v, i));
}

int x_jmp_far(struct vcpu *v, const struct insn *i)
{
	u64 off;
	u16 sel;
	int r = far_operand(v, i, &off, &sel);

	return r ? r : far_jump_from(v, sel, off, i->opsize, next_rip(v, i));
}

int x_ret_far(struct vcpu *v, const struct insn *i)
{
	return far_return(v, i->opsize, (u16)i->imm);
}

int x_iret(struct vcpu *v, const struct insn *i)
{
	return iret_from(v, i->opsize, next_rip(v, i));
}

/* --- software interrupts --- */

/* Below IOPL 3 an 8086 program may only call handlers of its own (VME). */
int x_int(struct vcpu *v, const struct insn *i)
{
	if (v->mode == MODE_VM86 && iopl(v) < 3) {
		bool own = false;
		int r = v->cr4 & CR4_VME ? vme_redirected(v, (u8)i->imm, &own) : 0;

		if (r || !own)
			return r ? r : raise_gp(v, 0);
	}
	return raise_soft(v, (u8)i->imm, EVENT_SW_INT, i->len);
}

int x_int3(struct vcpu *v, const struct insn *i)
{
	return raise_soft(v, VEC_BP, EVENT_SW_EXC, i->len);
}

int x_into(struct vcpu *v, const struct insn *i)
{
	return flag_o(v) ? raise_soft(v, VEC_OF, EVENT_SW_EXC, i->len) : EXEC_NEXT;
}

int x_int1(struct vcpu *v, const struct insn *i)
{
	return raise_soft(v, VEC_DB, EVENT_PRIV_SW_EXC, i->len);
}

int x_bound(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->opsize;
	u64 at = insn_offset(v, i), low, high;
	s64 index = (s64)sign_extend(v->reg[i->reg], 8 * n);
	int r = mem_read(v, i->seg, at, n, &low);

	if (!r)
		r = mem_read(v, i->seg, (at + n) & size_mask(i->addrsize), n, &high);
	if (r)
		return r;
	if (index < (s64)sign_extend(low, 8 * n) || index > (s64)sign_extend(high, 8 * n))
		return raise_fault(v, VEC_BR);
	return EXEC_NEXT;
}

/* --- descriptor-table registers --- */

/* User-mode instruction prevention. */
static int umip_check(struct vcpu *v)
{
	return v->cr4 & CR4_UMIP && v->cpl ? raise_gp(v, 0) : 0;
}

static int store_table(struct vcpu *v, const struct insn *i, const struct dtr *t,
		       enum vmx_intercept x)
{
	u8 buf[10];
	int r = umip_check(v);

	if (!r)
		r = vmx_intercept(v, i, x);
	if (r)
		return r;
	store_le16(buf, t->limit);
	store_le64(buf + 2, t->base);
	return mem_write_bytes(v, i->seg, insn_offset(v, i), buf, v->mode == MODE_64 ? 10 : 6);
}

int x_sgdt(struct vcpu *v, const struct insn *i) { return store_table(v, i, &v->gdtr, X_SGDT); }
int x_sidt(struct vcpu *v, const struct insn *i) { return store_table(v, i, &v->idtr, X_SIDT); }

static int load_table(struct vcpu *v, const struct insn *i, struct dtr *t, enum vmx_intercept x)
{
	u8 buf[10] = {0};
	u64 base;
	int r = vmx_intercept(v, i, x);

	if (!r)
		r = mem_read_bytes(v, i->seg, insn_offset(v, i), buf, v->mode == MODE_64 ? 10 : 6);
	if (r)
		return r;
	base = load_le64(buf + 2);
	if (v->mode == MODE_64) {
		if (!is_canonical(base, v->width_laddr))
			return raise_gp(v, 0);
	} else if (i->opsize == 2) {
		base &= 0xffffff;
	}
	t->limit = load_le16(buf);
	t->base = base;
	return EXEC_NEXT;
}

int x_lgdt(struct vcpu *v, const struct insn *i) { return load_table(v, i, &v->gdtr, X_LGDT); }
int x_lidt(struct vcpu *v, const struct insn *i) { return load_table(v, i, &v->idtr, X_LIDT); }

static int store_system_sel(struct vcpu *v, const struct insn *i, unsigned seg, enum vmx_intercept x)
{
	int r = umip_check(v);

	if (!r)
		r = vmx_intercept(v, i, x);
	return r ? r : store_sel(v, i, v->seg[seg].sel);
}

int x_sldt(struct vcpu *v, const struct insn *i) { return store_system_sel(v, i, SEG_LDTR, X_SLDT); }
int x_str(struct vcpu *v, const struct insn *i) { return store_system_sel(v, i, SEG_TR, X_STR); }

/* An LDT or an available TSS out of the GDT; 16 bytes in IA-32e mode. */
static int system_desc(struct vcpu *v, u16 sel, bool tss, struct desc *d)
{
	u32 type;
	u64 high;
	int r;

	if (sel & 4)
		return raise_sel(v, VEC_GP, sel);
	r = desc_read(v, sel, VEC_GP, d);
	if (r)
		return r;
	type = d->seg.ar & (AR_S | AR_TYPE);
	if (!(tss ? type == SYS_TSS32 || (type == SYS_TSS16 && !mode_long(v)) : type == SYS_LDT))
		return raise_sel(v, VEC_GP, sel);
	if (!(d->seg.ar & AR_P))
		return raise_sel(v, VEC_NP, sel);
	if (!mode_long(v))
		return 0;
	r = desc_read_high(v, sel, VEC_GP, d, &high);
	if (r)
		return r;
	d->seg.base |= high << 32;
	if (bits(high, 44, 40) || !is_canonical(d->seg.base, v->width_laddr))
		return raise_sel(v, VEC_GP, sel);
	return 0;
}

int x_lldt(struct vcpu *v, const struct insn *i)
{
	struct desc d;
	u64 sel;
	int r = vmx_intercept(v, i, X_LLDT);

	if (!r)
		r = rm_read(v, i, 2, &sel);
	if (r)
		return r;
	if (sel_is_null((u16)sel)) {
		seg_make_null(&v->seg[SEG_LDTR], (u16)sel, 0);
		return EXEC_NEXT;
	}
	r = system_desc(v, (u16)sel, false, &d);
	if (!r)
		v->seg[SEG_LDTR] = d.seg;
	return r;
}

int x_ltr(struct vcpu *v, const struct insn *i)
{
	struct desc d;
	u64 sel;
	int r = vmx_intercept(v, i, X_LTR);

	if (!r)
		r = rm_read(v, i, 2, &sel);
	if (!r && sel_is_null((u16)sel))
		r = raise_gp(v, 0);
	if (!r)
		r = system_desc(v, (u16)sel, true, &d);
	if (!r)
		r = desc_mark(v, &d, SYS_BUSY);
	if (!r)
		v->seg[SEG_TR] = d.seg;
	return r;
}

/* --- asking about descriptors --- */

static void zf_set(struct vcpu *v, bool z)
{
	u64 f = flags_arith(v) & ~RFLAGS_ZF;

	flags_set_arith(v, z ? f | RFLAGS_ZF : f);
}

/* Sets *d and *visible: the selector has a descriptor, and CPL and RPL may see it. */
static int look_up(struct vcpu *v, const struct insn *i, struct desc *d, bool *visible)
{
	u64 sel;
	u32 dpl;
	int r = rm_read(v, i, 2, &sel);

	*visible = false;
	if (r || sel_is_null((u16)sel))
		return r;
	r = desc_try(v, (u16)sel, d, visible);
	if (r || !*visible)
		return r;
	dpl = seg_dpl(&d->seg);
	*visible = ar_is_conforming(d->seg.ar) || (dpl >= v->cpl && dpl >= (sel & 3));
	return 0;
}

#define TYPES(a, b, c) (1u << (a) | 1u << (b) | 1u << (c))

static bool system_type_in(const struct desc *d, u32 types)
{
	return d->seg.ar & AR_S || types >> (d->seg.ar & AR_TYPE) & 1;
}

int x_lar(struct vcpu *v, const struct insn *i)
{
	u32 types = TYPES(SYS_LDT, SYS_TSS32, SYS_TSS32_BUSY) | 1u << SYS_CALL32;
	struct desc d;
	bool ok;
	int r = look_up(v, i, &d, &ok);

	if (r)
		return r;
	if (!mode_long(v))
		types |= TYPES(SYS_TSS16, SYS_TSS16_BUSY, SYS_CALL16) | 1u << SYS_TASK_GATE;
	ok = ok && system_type_in(&d, types);
	if (ok)
		reg_write(v, i, i->reg, i->opsize, (d.raw >> 32) & (i->opsize == 2 ? 0xff00 : 0xf0ff00));
	zf_set(v, ok);
	return EXEC_NEXT;
}

int x_lsl(struct vcpu *v, const struct insn *i)
{
	u32 types = TYPES(SYS_LDT, SYS_TSS32, SYS_TSS32_BUSY);
	struct desc d;
	bool ok;
	int r = look_up(v, i, &d, &ok);

	if (r)
		return r;
	if (!mode_long(v))
		types |= 1u << SYS_TSS16 | 1u << SYS_TSS16_BUSY;
	ok = ok && system_type_in(&d, types);
	if (ok)
		reg_write(v, i, i->reg, i->opsize, d.seg.limit);
	zf_set(v, ok);
	return EXEC_NEXT;
}

int x_verr(struct vcpu *v, const struct insn *i)
{
	struct desc d;
	bool ok;
	int r = look_up(v, i, &d, &ok);

	if (!r)
		zf_set(v, ok && ar_is_readable(d.seg.ar));
	return r;
}

int x_verw(struct vcpu *v, const struct insn *i)
{
	struct desc d;
	bool ok;
	int r = look_up(v, i, &d, &ok);

	if (!r)
		zf_set(v, ok && ar_is_writable_data(d.seg.ar));
	return r;
}

int x_arpl(struct vcpu *v, const struct insn *i)
{
	u64 dest = v->reg[i->rm], rpl = v->reg[i->reg] & 3;
	struct memref ref;
	bool below;
	int r = 0;

	if (insn_is_mem(i))
		r = mem_rmw(v, i->seg, insn_offset(v, i), 2, &ref, &dest);
	if (r)
		return r;
	below = (dest & 3) < rpl;
	dest = (dest & ~3ull) | rpl;
	if (below && insn_is_mem(i))
		mem_rmw_write(v, &ref, dest);
	else if (below)
		reg_write(v, i, i->rm, 2, dest);
	zf_set(v, below);
	return EXEC_NEXT;
}
