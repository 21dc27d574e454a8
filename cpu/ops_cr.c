/*
 * MOV to and from control and debug registers, SMSW, LMSW, CLTS, INVLPG, INVPCID, XGETBV, XSETBV.
 */
#include "cpu/cpu.h"
#include "cpu/insn_protos.h"
#include "vmx/vmx.h"

static unsigned reg_bytes(const struct vcpu *v)
{
	return v->mode == MODE_64 ? 8 : 4;
}

static bool cr_exists(const struct vcpu *v, unsigned cr)
{
	return cr == 0 || cr == 2 || cr == 3 || cr == 4 || (cr == 8 && v->mode == MODE_64);
}

int x_mov_from_cr(struct vcpu *v, const struct insn *i)
{
	u64 value;
	int r;

	if (!cr_exists(v, i->reg))
		return raise_ud(v);
	r = vmx_mov_from_cr(v, i, i->reg, i->rm);
	if (r)
		return r;
	switch (i->reg) {
	case 0:
		value = vmx_cr0_view(v);
		break;
	case 2:
		value = v->cr2;
		break;
	case 3:
		value = v->cr3;
		break;
	case 4:
		value = vmx_cr4_view(v);
		break;
	default:
		value = vmx_tpr_shadow(v) ? vmx_cr8_read(v) : v->wires->get_cr8(v->wires->owner);
		break;
	}
	reg_write(v, i, i->rm, reg_bytes(v), value);
	return EXEC_NEXT;
}

static int cr8_write(struct vcpu *v, u64 value)
{
	if (value & ~15ull)
		return raise_gp(v, 0);
	if (vmx_tpr_shadow(v))
		vmx_cr8_write(v, value);
	else
		v->wires->set_cr8(v->wires->owner, value);
	return EXEC_LEAVE;
}

int x_mov_to_cr(struct vcpu *v, const struct insn *i)
{
	u64 value = reg_read(v, i, i->rm, reg_bytes(v));
	int r;

	if (!cr_exists(v, i->reg))
		return raise_ud(v);
	if (i->reg == 8 && value & ~15ull)
		return raise_gp(v, 0);
	if (i->reg != 2) {
		r = vmx_mov_to_cr(v, i, i->reg, i->rm, &value);
		if (r)
			return r;
	}
	if (i->reg < 8)
		vcpu_charge(v, SERIAL_TICKS);
	switch (i->reg) {
	case 0:
		return cr0_write(v, value);
	case 2:
		v->cr2 = value;
		return EXEC_NEXT;
	case 3:
		return cr3_write(v, value);
	case 4:
		return cr4_write(v, value);
	default:
		return cr8_write(v, value);
	}
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE; any access faults while DR7.GD is set. */
static int dr_check(struct vcpu *v, const struct insn *i, unsigned *dr)
{
	*dr = i->reg;
	if (i->reg > 7)
		return raise_ud(v);
	if (*dr == 4 || *dr == 5) {
		if (v->cr4 & CR4_DE)
			return raise_ud(v);
		*dr += 2;
	}
	return 0;
}

static int dr_detect(struct vcpu *v)
{
	return v->dr7 & BIT(13) ? raise_db(v, BIT(13)) : 0;
}

int x_mov_from_dr(struct vcpu *v, const struct insn *i)
{
	unsigned dr;
	int r = dr_check(v, i, &dr);

	if (!r)
		r = vmx_intercept_mov_dr(v, i, i->reg, i->rm, true);
	if (!r)
		r = dr_detect(v);
	if (r)
		return r;
	reg_write(v, i, i->rm, reg_bytes(v), dr < 4 ? v->dr[dr] : dr == 6 ? v->dr6 : v->dr7);
	return EXEC_NEXT;
}

int x_mov_to_dr(struct vcpu *v, const struct insn *i)
{
	u64 value = reg_read(v, i, i->rm, reg_bytes(v));
	unsigned dr;
	int r = dr_check(v, i, &dr);

	if (!r)
		r = vmx_intercept_mov_dr(v, i, i->reg, i->rm, false);
	if (!r)
		r = dr_detect(v);
	if (r)
		return r;
	if (dr >= 6 && value >> 32)
		return raise_gp(v, 0);
	if (dr < 4)
		v->dr[dr] = value;
	else if (dr == 6)
		v->dr6 = (value & 0xe00f) | 0xffff0ff0;
	else
		v->dr7 = (value & 0xffff2bff) | 0x400;
	vcpu_recompute_cpl(v);
	return EXEC_LEAVE;
}

int x_smsw(struct vcpu *v, const struct insn *i)
{
	u64 value = vmx_cr0_view(v);

	if (v->cpl && v->cr4 & CR4_UMIP)
		return raise_gp(v, 0);
	if (insn_is_mem(i))
		return mem_write(v, i->seg, insn_offset(v, i), 2, value & 0xffff);
	reg_write(v, i, i->rm, i->opsize, value);
	return EXEC_NEXT;
}

int x_lmsw(struct vcpu *v, const struct insn *i)
{
	u64 src, value, laddr = 0;
	int r = rm_read(v, i, 2, &src);

	if (r)
		return r;
	value = (v->cr0 & ~0xeull) | (src & 0xf); /* PE can be set, not cleared */
	if (insn_is_mem(i))
		laddr = insn_offset(v, i) +
			(v->mode == MODE_64 && i->seg < SEG_FS ? 0 : v->seg[i->seg].base);
	r = vmx_lmsw(v, i, (u16)src, laddr, &value);
	return r ? r : cr0_write(v, value);
}

int x_clts(struct vcpu *v, const struct insn *i)
{
	u64 value = v->cr0 & ~CR0_TS;
	int r = vmx_clts(v, i, &value);

	if (r)
		return r;
	v->cr0 = value;
	vcpu_recompute_cpl(v);
	return EXEC_NEXT;
}

int x_invlpg(struct vcpu *v, const struct insn *i)
{
	u64 laddr;
	int r = vmx_intercept(v, i, X_INVLPG);

	if (r)
		return r;
	vcpu_charge(v, SERIAL_TICKS);
	laddr = (insn_offset(v, i) +
		 (v->mode == MODE_64 && i->seg < SEG_FS ? 0 : v->seg[i->seg].base)) &
		v->lin_mask;
	tlb_flush_laddr(&v->tlb, v->vmx.vpid, v->tlb.cur->pcid, laddr, true);
	return EXEC_NEXT;
}

int x_invpcid(struct vcpu *v, const struct insn *i)
{
	u64 type = v->reg[i->reg] & (v->mode == MODE_64 ? ~0ull : 0xffffffff), d[2];
	u16 vpid = v->vmx.vpid, pcid;
	int r;

	r = vmx_intercept(v, i, X_INVPCID);
	if (!r)
		r = mem_read_bytes(v, i->seg, insn_offset(v, i), d, 16);
	if (r)
		return r;
	pcid = (u16)d[0];
	if (type > 3 || d[0] & ~0xfffull)
		return raise_gp(v, 0);
	if (!(v->cr4 & CR4_PCIDE) && type < 2 && pcid)
		return raise_gp(v, 0);
	if (type == 0 && !is_canonical(d[1], laddr_width_max(v)))
		return raise_gp(v, 0);
	if (type == 0)
		tlb_flush_laddr(&v->tlb, vpid, pcid, d[1], false);
	else if (type == 1)
		tlb_flush_pcid(&v->tlb, vpid, pcid);
	else
		tlb_flush_vpid(&v->tlb, vpid, type == 2);
	return EXEC_NEXT;
}

int x_xgetbv(struct vcpu *v, const struct insn *i)
{
	u32 which = (u32)v->reg[RCX];
	u64 value = v->xcr0;

	(void)i;
	if (!(v->cr4 & CR4_OSXSAVE))
		return raise_ud(v);
	if (which > 1 || (which == 1 && !model_has(v->model, FEAT_XGETBV1)))
		return raise_gp(v, 0);
	v->reg[RAX] = (u32)value;
	v->reg[RDX] = value >> 32;
	return EXEC_NEXT;
}

int x_xsetbv(struct vcpu *v, const struct insn *i)
{
	int r;

	if (!(v->cr4 & CR4_OSXSAVE))
		return raise_ud(v);
	r = vmx_intercept(v, i, X_XSETBV);
	if (r)
		return r;
	if ((u32)v->reg[RCX] != 0)
		return raise_gp(v, 0);
	return xcr0_write(v, (u32)v->reg[RAX] | v->reg[RDX] << 32);
}
