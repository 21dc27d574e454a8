/*
 * Instructions on segment registers, far transfers, software interrupts, descriptor tables, fast
 * system calls and the flags register. SDM Vol. 2, the Operation section of each.
 */
#include "cpu/cet.h"
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

int x_les(struct vcpu *v, const struct insn *i)
{
	return load_far(v, i, SEG_ES);
}
int x_lds(struct vcpu *v, const struct insn *i)
{
	return load_far(v, i, SEG_DS);
}
int x_lss(struct vcpu *v, const struct insn *i)
{
	return load_far(v, i, SEG_SS);
}
int x_lfs(struct vcpu *v, const struct insn *i)
{
	return load_far(v, i, SEG_FS);
}
int x_lgs(struct vcpu *v, const struct insn *i)
{
	return load_far(v, i, SEG_GS);
}

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

int x_sgdt(struct vcpu *v, const struct insn *i)
{
	return store_table(v, i, &v->gdtr, X_SGDT);
}
int x_sidt(struct vcpu *v, const struct insn *i)
{
	return store_table(v, i, &v->idtr, X_SIDT);
}

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
		if (!is_canonical(base, laddr_width_max(v)))
			return raise_gp(v, 0);
	} else if (i->opsize == 2) {
		base &= 0xffffff;
	}
	t->limit = load_le16(buf);
	t->base = base;
	return EXEC_NEXT;
}

int x_lgdt(struct vcpu *v, const struct insn *i)
{
	return load_table(v, i, &v->gdtr, X_LGDT);
}
int x_lidt(struct vcpu *v, const struct insn *i)
{
	return load_table(v, i, &v->idtr, X_LIDT);
}

static int store_system(struct vcpu *v, const struct insn *i, unsigned seg, enum vmx_intercept x)
{
	int r = umip_check(v);

	if (!r)
		r = vmx_intercept(v, i, x);
	return r ? r : store_sel(v, i, v->seg[seg].sel);
}

int x_sldt(struct vcpu *v, const struct insn *i)
{
	return store_system(v, i, SEG_LDTR, X_SLDT);
}
int x_str(struct vcpu *v, const struct insn *i)
{
	return store_system(v, i, SEG_TR, X_STR);
}

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
	if (bits(high, 44, 40) || !is_canonical(d->seg.base, laddr_width_max(v)))
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
		reg_write(v, i, i->reg, i->opsize, (d.raw >> 32) & 0xf0ff00);
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

/* --- fast system calls. SYSCALL is #UD in compatibility mode (the table's O64), as on every
 * GenuineIntel processor; SYSCALL and SYSRET trap by the TF they leave behind, see step(). --- */

static struct seg flat_segment(u16 sel, unsigned dpl, u32 ar)
{
	return (struct seg){.base = 0,
			    .limit = 0xffffffff,
			    .sel = sel,
			    .ar = ar | AR_P | AR_S | AR_G | dpl << AR_DPL_SHIFT};
}

#define AR_FLAT_CODE (AR_CODE | AR_RW | AR_A)
#define AR_FLAT_DATA (AR_RW | AR_A | AR_DB)

/* CS and SS of the other side without looking at descriptors. */
static void switch_level(struct vcpu *v, u16 cs, u16 ss, unsigned cpl, bool to64, u64 old_flags)
{
	u8 mode = v->mode;

	v->seg[SEG_CS] = flat_segment(cs, cpl, AR_FLAT_CODE | (to64 ? AR_L : AR_DB));
	v->seg[SEG_SS] = flat_segment(ss, cpl, AR_FLAT_DATA);
	v->cpl = (u8)cpl;
	code_loaded(v, mode, (old_flags ^ v->rflags) & (RFLAGS_TF | RFLAGS_VM), true);
}

static void flags_replace(struct vcpu *v, u64 f)
{
	v->rflags = (f & ~RFLAGS_ARITH) | RFLAGS_FIXED;
	flags_set_arith(v, f);
}

int x_syscall(struct vcpu *v, const struct insn *i)
{
	u64 f = flags_get(v), old = v->rflags;
	u8 cpl = v->cpl;
	u16 sel = (u16)(v->star >> 32) & 0xfffc;

	if (!(v->efer & EFER_SCE))
		return raise_ud(v);
	v->reg[RCX] = v->rip + i->len;
	v->reg[R11] = f;
	flags_replace(v, f & ~(v->fmask | RFLAGS_RF));
	v->rip = v->lstar;
	switch_level(v, sel, sel + 8, 0, true, old);
	shadow_fast_enter(v, cpl);
	ibt_far(v);
	return EXEC_JUMP;
}

int x_sysret(struct vcpu *v, const struct insn *i)
{
	u64 old = v->rflags;
	u16 base = (u16)(v->star >> 48);
	bool to64 = i->opsize == 8;

	if (!(v->efer & EFER_SCE))
		return raise_ud(v);
	if (v->cpl || (to64 && !is_canonical(v->reg[RCX], v->width_laddr)))
		return raise_gp(v, 0);
	v->rip = to64 ? v->reg[RCX] : (u32)v->reg[RCX];
	flags_replace(v, v->reg[R11] & 0x3c7fd7);
	switch_level(v, (u16)(base + (to64 ? 16 : 0)) | 3, (u16)(base + 8) | 3, 3, to64, old);
	shadow_fast_leave(v);
	if (flags_need_look(v, old)) {
		v->recheck = true;
		if (v->rflags & ~old & RFLAGS_TF)
			v->pending_dbg |= DR6_BS; /* traps before the first instruction there */
	}
	return EXEC_JUMP;
}

int x_sysenter(struct vcpu *v, const struct insn *i)
{
	u16 sel = (u16)v->sysenter_cs & 0xfffc;
	bool wide = mode_long(v);
	u64 old = v->rflags;
	u8 cpl = v->cpl;

	(void)i;
	if (v->mode == MODE_REAL || !sel)
		return raise_gp(v, 0);
	v->rflags &= ~(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF);
	v->reg[RSP] = wide ? v->sysenter_esp : (u32)v->sysenter_esp;
	v->rip = wide ? v->sysenter_eip : (u32)v->sysenter_eip;
	switch_level(v, sel, sel + 8, 0, wide, old);
	shadow_fast_enter(v, cpl);
	ibt_far(v);
	return EXEC_JUMP;
}

int x_sysexit(struct vcpu *v, const struct insn *i)
{
	bool to64 = i->opsize == 8;
	u64 rip = v->reg[RDX], rsp = v->reg[RCX];
	u16 sel = (u16)v->sysenter_cs & 0xfffc;

	if (v->mode == MODE_REAL || !sel)
		return raise_gp(v, 0);
	if (to64 && (!is_canonical(rip, v->width_laddr) || !is_canonical(rsp, v->width_laddr)))
		return raise_gp(v, 0);
	v->rip = to64 ? rip : (u32)rip;
	v->reg[RSP] = to64 ? rsp : (u32)rsp;
	sel += to64 ? 32 : 16;
	switch_level(v, sel | 3, (u16)(sel + 8) | 3, 3, to64, v->rflags);
	shadow_fast_leave(v);
	return EXEC_JUMP;
}

int x_swapgs(struct vcpu *v, const struct insn *i)
{
	u64 base = v->seg[SEG_GS].base;

	(void)i;
	v->seg[SEG_GS].base = v->segbase[SEG_GS] = v->kernel_gs_base;
	v->kernel_gs_base = base;
	return EXEC_NEXT;
}

/* --- interrupt flag --- */

enum if_access { IF_REAL, IF_VIRTUAL, IF_DENIED };

/* Which flag CLI and STI work on: CPL against IOPL, then the VME and PVI extensions. */
static enum if_access if_access(const struct vcpu *v)
{
	if (v->cpl <= iopl(v))
		return IF_REAL;
	if (v->mode == MODE_VM86)
		return v->cr4 & CR4_VME ? IF_VIRTUAL : IF_DENIED;
	return v->cr4 & CR4_PVI && v->cpl == 3 ? IF_VIRTUAL : IF_DENIED;
}

int x_cli(struct vcpu *v, const struct insn *i)
{
	enum if_access a = if_access(v);

	(void)i;
	if (a == IF_DENIED)
		return raise_gp(v, 0);
	v->rflags &= a == IF_REAL ? ~RFLAGS_IF : ~RFLAGS_VIF;
	return EXEC_NEXT;
}

int x_sti(struct vcpu *v, const struct insn *i)
{
	enum if_access a = if_access(v);
	u64 old = v->rflags;

	(void)i;
	if (a == IF_DENIED || (a == IF_VIRTUAL && old & RFLAGS_VIP))
		return raise_gp(v, 0);
	if (a == IF_VIRTUAL) {
		v->rflags |= RFLAGS_VIF;
		return EXEC_NEXT;
	}
	if (old & RFLAGS_IF)
		return EXEC_NEXT;
	v->rflags |= RFLAGS_IF;
	shadow_set(v, SHADOW_STI);
	return flags_need_look(v, old) ? EXEC_LEAVE : EXEC_NEXT;
}

/* --- the flags register --- */

/* Virtual-8086 mode below IOPL 3: 16-bit PUSHF and POPF see VIF as IF; nothing else is allowed. */
static bool flags_virtual(const struct vcpu *v)
{
	return v->mode == MODE_VM86 && iopl(v) < 3;
}

int x_pushf(struct vcpu *v, const struct insn *i)
{
	u64 f = flags_get(v) & 0xfcffff;

	if (unlikely(flags_virtual(v))) {
		if (i->opsize != 2 || !(v->cr4 & CR4_VME))
			return raise_gp(v, 0);
		f = (f & ~RFLAGS_IF) | RFLAGS_IOPL | (f & RFLAGS_VIF ? RFLAGS_IF : 0);
	}
	return stack_push(v, i->opsize, f);
}

static int popf_virtual(struct vcpu *v, const struct insn *i, u64 *f, u64 *mask)
{
	if (i->opsize != 2 || !(v->cr4 & CR4_VME))
		return raise_gp(v, 0);
	if (*f & RFLAGS_TF || (*f & RFLAGS_IF && v->rflags & RFLAGS_VIP))
		return raise_gp(v, 0);
	*mask = (*mask & ~RFLAGS_IF) | RFLAGS_VIF;
	*f = (*f & ~RFLAGS_VIF) | (*f & RFLAGS_IF ? RFLAGS_VIF : 0);
	return 0;
}

/* TF, AC: what is derived from them. */
static void flags_refresh(struct vcpu *v, u64 changed)
{
	if (unlikely(changed & RFLAGS_TF))
		vcpu_recompute(v);
	else if (unlikely(changed & RFLAGS_AC))
		vcpu_recompute_cpl(v);
}

int x_popf(struct vcpu *v, const struct insn *i)
{
	u64 mask = RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_RF, f, old = v->rflags;
	int r;

	if (i->opsize != 2)
		mask |= RFLAGS_AC | RFLAGS_ID;
	if (v->cpl <= iopl(v))
		mask |= RFLAGS_IF;
	if (v->cpl == 0)
		mask |= RFLAGS_IOPL;
	r = stack_peek(v, i->opsize, &f);
	if (!r && unlikely(flags_virtual(v)))
		r = popf_virtual(v, i, &f, &mask);
	if (r)
		return r;
	f &= ~RFLAGS_RF; /* cleared, never loaded */
	rsp_set(v, v->reg[RSP] + i->opsize);
	v->rflags = (old & ~mask) | (f & mask);
	flags_set_arith(v, f);
	flags_refresh(v, old ^ v->rflags);
	return flags_need_look(v, old) ? EXEC_LEAVE : EXEC_NEXT;
}

/* In 64-bit mode LAHF and SAHF came back later, with a feature bit. */
static bool ahf_missing(const struct vcpu *v)
{
	return v->mode == MODE_64 && !model_has(v->model, FEAT_LAHF);
}

int x_lahf(struct vcpu *v, const struct insn *i)
{
	(void)i;
	if (ahf_missing(v))
		return raise_ud(v);
	v->reg[RAX] = (v->reg[RAX] & ~0xff00ull) | (flags_get(v) & 0xd7) << 8;
	return EXEC_NEXT;
}

int x_sahf(struct vcpu *v, const struct insn *i)
{
	(void)i;
	if (ahf_missing(v))
		return raise_ud(v);
	flags_set_arith(v, (v->reg[RAX] >> 8 & 0xd5) | (flag_o(v) ? RFLAGS_OF : 0));
	return EXEC_NEXT;
}

/* CF turns over; OF, kept as CF xor OF, stays. */
static int flip_carry(struct vcpu *v)
{
	v->fl_aux ^= AUX_CF | AUX_PO;
	return EXEC_NEXT;
}

int x_clc(struct vcpu *v, const struct insn *i)
{
	(void)i;
	return flag_c(v) ? flip_carry(v) : EXEC_NEXT;
}

int x_stc(struct vcpu *v, const struct insn *i)
{
	(void)i;
	return flag_c(v) ? EXEC_NEXT : flip_carry(v);
}

int x_cmc(struct vcpu *v, const struct insn *i)
{
	(void)i;
	return flip_carry(v);
}

int x_cld(struct vcpu *v, const struct insn *i)
{
	(void)i;
	v->rflags &= ~RFLAGS_DF;
	return EXEC_NEXT;
}

int x_std(struct vcpu *v, const struct insn *i)
{
	(void)i;
	v->rflags |= RFLAGS_DF;
	return EXEC_NEXT;
}
