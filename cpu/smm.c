/*
 * System-management mode: SMI entry and RSM with the 64-bit state save map (revision 20064H, as
 * 64-bit processors without Intel's undocumented fields show it). SDM "System Management Mode".
 * Left out: I/O instruction restart, auto HALT restart's writable field takes 0 as "do not halt".
 */
#include "cpu/cpu.h"
#include "cpu/insn_protos.h"
#include "vmx/vmx.h"

#define SAVE_BASE 0x8000 /* SMBASE + this + field offset 7C00H-7FFFH */
#define REVISION 0x00020064u

struct field {
	u16 offset;
	u8 size;
	u16 member;
};

#define F8(o, m)                                                                                   \
	{                                                                                          \
		o, 8, offsetof(struct vcpu, m)                                                     \
	}
#define F4(o, m)                                                                                   \
	{                                                                                          \
		o, 4, offsetof(struct vcpu, m)                                                     \
	}
#define F2(o, m)                                                                                   \
	{                                                                                          \
		o, 2, offsetof(struct vcpu, m)                                                     \
	}
#define SEGMENT(o, n) F2(o, seg[n].sel), F4((o) + 4, seg[n].limit), F8((o) + 8, seg[n].base)
static const struct field fields[] = {
	SEGMENT(0x7e00, SEG_ES), SEGMENT(0x7e10, SEG_CS), SEGMENT(0x7e20, SEG_SS),
	SEGMENT(0x7e30, SEG_DS), SEGMENT(0x7e40, SEG_FS), SEGMENT(0x7e50, SEG_GS),
	F2(0x7e64, gdtr.limit),	 F8(0x7e68, gdtr.base),	  SEGMENT(0x7e70, SEG_LDTR),
	F2(0x7e84, idtr.limit),	 F8(0x7e88, idtr.base),	  SEGMENT(0x7e90, SEG_TR),
	F8(0x7f18, ssp),	 F8(0x7f48, cr4),	  F8(0x7f50, cr3),
	F8(0x7f58, cr0),	 F8(0x7f60, dr7),	  F8(0x7f68, dr6),
	F8(0x7f78, rip),	 F8(0x7ed0, efer),	  F8(0x7f80, reg[15]),
	F8(0x7f88, reg[14]),	 F8(0x7f90, reg[13]),	  F8(0x7f98, reg[12]),
	F8(0x7fa0, reg[11]),	 F8(0x7fa8, reg[10]),	  F8(0x7fb0, reg[9]),
	F8(0x7fb8, reg[8]),	 F8(0x7fc0, reg[RDI]),	  F8(0x7fc8, reg[RSI]),
	F8(0x7fd0, reg[RBP]),	 F8(0x7fd8, reg[RSP]),	  F8(0x7fe0, reg[RBX]),
	F8(0x7fe8, reg[RDX]),	 F8(0x7ff0, reg[RCX]),	  F8(0x7ff8, reg[RAX]),
};
#define AR_AT(n) (0x7e02 + 0x10 * (n))
static const u16 ar_offset[SEGS] = {AR_AT(0), AR_AT(1), AR_AT(2), AR_AT(3),
				    AR_AT(4), AR_AT(5), 0x7e72,	  0x7e92};

static u64 at(const struct vcpu *v, unsigned offset)
{
	return v->smbase + SAVE_BASE + offset;
}

static void save(struct vcpu *v, bool halted)
{
	for (unsigned k = 0; k < ARRAY_SIZE(fields); k++)
		phys_write(v, at(v, fields[k].offset),
			   load_le((u8 *)v + fields[k].member, fields[k].size), fields[k].size);
	for (unsigned n = 0; n < SEGS; n++) /* the unusable bit moves to bit 11 of the word */
		phys_write(v, at(v, ar_offset[n]),
			   (v->seg[n].ar & 0xff) | (v->seg[n].ar >> 4 & 0xf00), 2);
	phys_write(v, at(v, 0x7f70), flags_get(v), 8);
	phys_write(v, at(v, 0x7f00), v->smbase, 4);
	phys_write(v, at(v, 0x7efc), REVISION, 4);
	phys_write(v, at(v, 0x7ec9), halted, 1);
}

void smi_enter(struct vcpu *v)
{
	vmx_smi(v);
	save(v, v->activity == ACT_HLT);
	v->smi_pending = false;
	v->in_smm = true;
	v->smm_nmi = v->nmi_blocked;
	v->nmi_blocked = true;
	v->activity = ACT_ACTIVE;
	v->wires->smi_ack(v->wires->owner, true);
	v->cr0 &= ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
	v->cr4 = 0;
	v->efer = 0;
	v->dr7 = 0x400;
	flags_set(v, RFLAGS_FIXED);
	for (unsigned n = SEG_ES; n <= SEG_GS; n++)
		v->seg[n] = (struct seg){.limit = 0xffffffff, .ar = AR_P | AR_S | AR_G | 3};
	v->seg[SEG_CS].sel = (u16)(v->smbase >> 4);
	v->seg[SEG_CS].base = v->smbase;
	v->rip = 0x8000;
	v->cpl = 0;
	vcpu_recompute(v);
}

static void restore(struct vcpu *v)
{
	for (unsigned k = 0; k < ARRAY_SIZE(fields); k++)
		store_le((u8 *)v + fields[k].member,
			 phys_read(v, at(v, fields[k].offset), fields[k].size), fields[k].size);
	for (unsigned n = 0; n < SEGS; n++) {
		u32 w = (u32)phys_read(v, at(v, ar_offset[n]), 2);

		v->seg[n].ar = (w & 0xff) | (w & 0xf00) << 4 | (w & 0x80 ? 0 : AR_UNUSABLE);
	}
	flags_set(v, phys_read(v, at(v, 0x7f70), 8));
	v->smbase = phys_read(v, at(v, 0x7f00), 4);
}

/* A save area that no processor could have written makes RSM shut the processor down. */
static bool plausible(const struct vcpu *v)
{
	if (v->cr0 >> 32 || v->cr4 & cr4_reserved(v) || (v->cr0 & CR0_PG && !(v->cr0 & CR0_PE)) ||
	    (v->cr4 & CR4_CET && !(v->cr0 & CR0_WP)))
		return false;
	return !(v->efer & EFER_LMA) || (v->cr4 & CR4_PAE && v->cr0 & CR0_PG);
}

int x_rsm(struct vcpu *v, const struct insn *i)
{
	bool halted, good;

	(void)i;
	if (!v->in_smm)
		return raise_ud(v);
	halted = phys_read(v, at(v, 0x7ec9), 1) & 1;
	restore(v);
	v->in_smm = false;
	v->nmi_blocked = v->smm_nmi;
	good = vmx_rsm(v);
	v->wires->smi_ack(v->wires->owner, false);
	if (!good || !plausible(v)) {
		v->activity = ACT_SHUTDOWN;
		v->stop_reason = STOP_TRIPLE_FAULT;
		vcpu_recompute(v);
		return EXEC_VMEXIT;
	}
	v->cpl = v->rflags & RFLAGS_VM ? 3
		 : v->cr0 & CR0_PE     ? v->seg[SEG_SS].ar >> AR_DPL_SHIFT & 3
				       : 0;
	vcpu_recompute(v);
	v->recheck = true;
	if (halted)
		v->activity = ACT_HLT;
	return EXEC_VMEXIT; /* all of the state is already the new one */
}
