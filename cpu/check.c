/*
 * What an instruction's attributes ask for before it runs: #UD, #NM, #MF, #GP by mode, control
 * registers and CPL. Runs only if one of the attributes needs a look now (v->attr_trap).
 */
#include "cpu/check.h"

u32 attr_trap_now(const struct vcpu *v)
{
	u32 t = A_ALIGN | A_X87 | A_MMX;
	bool ts = v->cr0 & CR0_TS, em = v->cr0 & CR0_EM;

	if (v->pmu.count_branches)
		t |= A_FLOW;
	if (v->cpl)
		t |= A_CPL0;
	if (!mode_protected(v))
		t |= A_PROT | A_AVX;
	if (ts || em)
		t |= A_X87C | A_SSE;
	if (!(v->cr4 & CR4_OSFXSR))
		t |= A_SSE;
	if (ts || !(v->cr4 & CR4_OSXSAVE) || (v->xcr0 & 6) != 6)
		t |= A_AVX;
	return t;
}

static int check_vector(struct vcpu *v, u32 attr)
{
	if (attr & A_AVX && (!mode_protected(v) || !(v->cr4 & CR4_OSXSAVE) || (v->xcr0 & 6) != 6))
		return raise_ud(v);
	if (attr & A_SSE && (v->cr0 & CR0_EM || !(v->cr4 & CR4_OSFXSR)))
		return raise_ud(v);
	if (attr & A_MMX && v->cr0 & CR0_EM)
		return raise_ud(v);
	if (attr & (A_AVX | A_SSE | A_MMX) && v->cr0 & CR0_TS)
		return raise_nm(v);
	return 0;
}

static int check_x87(struct vcpu *v, u32 attr)
{
	if (attr & (A_X87 | A_X87C) && v->cr0 & (CR0_EM | CR0_TS))
		return raise_nm(v);
	/* With CR0.NE = 0 the error would go out on FERR#, which no board here connects. */
	if (attr & (A_X87 | A_MMX) && v->x87.fsw & 0x80 && v->cr0 & CR0_NE)
		return raise_fault(v, VEC_MF);
	return 0;
}

static int check_alignment(struct vcpu *v, const struct insn *i)
{
	u64 off, base;
	unsigned n = i->nbytes_op;

	if (!insn_is_mem(i) || n < 2)
		return 0;
	off = insn_offset(v, i);
	base = v->mode == MODE_64 && i->seg < SEG_FS ? 0 : v->seg[i->seg].base;
	return (off + base) & (n - 1) ? raise_gp(v, 0) : 0;
}

int insn_check(struct vcpu *v, const struct insn *i)
{
	u32 a = i->attr;
	int r;

	if (a & A_PROT && !mode_protected(v))
		return raise_ud(v);
	if (a & (A_AVX | A_SSE | A_MMX)) {
		r = check_vector(v, a);
		if (r)
			return r;
	}
	if (a & (A_X87 | A_X87C | A_MMX)) {
		r = check_x87(v, a);
		if (r)
			return r;
	}
	if (a & A_CPL0 && v->cpl)
		return raise_gp(v, 0);
	return a & A_ALIGN ? check_alignment(v, i) : 0;
}
