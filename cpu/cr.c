/*
 * Writing CR0, CR3, CR4, EFER and XCR0: every check and every TLB flush of the SDM's "MOV - Move
 * to/from Control Registers", "Control Registers", "Invalidation of TLBs and Paging-Structure
 * Caches". VMX masks were applied by the caller.
 */
#include "cpu/cpu.h"
#include "vmx/vmx.h"

#define CR3_NOFLUSH BIT(63)
#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)

u64 cr0_fixed_reserved(const struct vcpu *v)
{
	(void)v;
	return ~0xffffffffull;
}

u64 cr4_reserved(const struct vcpu *v)
{
	static const struct {
		u64 bit;
		enum feature feature;
	} optional[] = {
		{CR4_VME | CR4_PVI, FEAT_VME},
		{CR4_TSD, FEAT_TSC},
		{CR4_DE, FEAT_DE},
		{CR4_PSE, FEAT_PSE},
		{CR4_PAE, FEAT_PAE},
		{CR4_MCE, FEAT_MCE},
		{CR4_PGE, FEAT_PGE},
		{CR4_PCE, FEAT_ALWAYS},
		{CR4_OSFXSR, FEAT_FXSR},
		{CR4_OSXMMEXCPT, FEAT_SSE},
		{CR4_UMIP, FEAT_UMIP},
		{CR4_LA57, FEAT_LA57},
		{CR4_VMXE, FEAT_VMX},
		{CR4_FSGSBASE, FEAT_FSGSBASE},
		{CR4_PCIDE, FEAT_PCID},
		{CR4_OSXSAVE, FEAT_XSAVE},
		{CR4_SMEP, FEAT_SMEP},
		{CR4_SMAP, FEAT_SMAP},
		{CR4_PKE, FEAT_PKU},
		{CR4_PKS, FEAT_PKS},
		{CR4_CET, FEAT_SHSTK},
		{CR4_CET, FEAT_IBT},
	};
	u64 allowed = 0;

	for (unsigned k = 0; k < ARRAY_SIZE(optional); k++)
		if (model_has(v->model, optional[k].feature))
			allowed |= optional[k].bit;
	return ~allowed;
}

static void flush_own(struct vcpu *v, bool globals)
{
	tlb_flush_vpid(&v->tlb, v->vmx.vpid, globals);
}

int pdpte_load(struct vcpu *v, u64 cr3, u64 cr0, u64 cr4)
{
	u64 reserved = 0x1e6 | (~v->phys_mask & ~BIT(63)) | BIT(63), p[4];

	if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || v->efer & EFER_LMA)
		return 0;
	for (unsigned k = 0; k < 4; k++) {
		int r = guest_phys_read64(v, (cr3 & 0xffffffe0) + 8 * k, &p[k]);

		if (r)
			return r;
		if (p[k] & 1 && p[k] & reserved)
			return raise_gp(v, 0);
	}
	memcpy(v->pdpte, p, sizeof(p));
	return 0;
}

/* Entering or leaving IA-32e mode with CR0.PG. */
static int long_mode_switch(struct vcpu *v, u64 value, u64 *efer)
{
	bool on = value & CR0_PG, was = v->cr0 & CR0_PG;

	*efer = v->efer;
	if (on && !was && v->efer & EFER_LME) {
		if (!(v->cr4 & CR4_PAE) || v->seg[SEG_CS].ar & AR_L)
			return raise_gp(v, 0);
		if ((v->seg[SEG_TR].ar & AR_TYPE) <= 3) /* a 16-bit TSS */
			return raise_gp(v, 0);
		*efer |= EFER_LMA;
	} else if (!on && was && v->efer & EFER_LMA) {
		if (v->mode == MODE_64)
			return raise_gp(v, 0);
		*efer &= ~EFER_LMA;
	}
	return 0;
}

int cr0_write(struct vcpu *v, u64 value)
{
	u64 changed, efer, old_efer = v->efer;
	int r;

	if (value & ~0xffffffffull)
		return raise_gp(v, 0);
	value = (value & CR0_DEFINED) | CR0_ET;
	if ((value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
		return raise_gp(v, 0);
	if ((!(value & CR0_PG) && v->cr4 & CR4_PCIDE) || (!(value & CR0_WP) && v->cr4 & CR4_CET))
		return raise_gp(v, 0);
	if (!vmx_cr0_allowed(v, value))
		return raise_gp(v, 0);
	changed = value ^ v->cr0;
	r = long_mode_switch(v, value, &efer);
	if (r)
		return r;
	v->efer = efer;
	if (changed & (CR0_PG | CR0_CD | CR0_NW)) {
		r = pdpte_load(v, v->cr3, value, v->cr4);
		if (r) {
			v->efer = old_efer;
			return r;
		}
	}
	v->cr0 = value;
	if (changed & (CR0_PG | CR0_WP | CR0_PE))
		flush_own(v, true);
	vcpu_recompute(v);
	return 0;
}

int cr3_write(struct vcpu *v, u64 value)
{
	bool keep = value & CR3_NOFLUSH && v->cr4 & CR4_PCIDE;
	u16 pcid = v->cr4 & CR4_PCIDE ? value & 0xfff : 0;
	int r;

	if (v->cr4 & CR4_PCIDE)
		value &= ~CR3_NOFLUSH;
	if (v->efer & EFER_LMA && value & ~v->phys_mask)
		return raise_gp(v, 0);
	r = pdpte_load(v, value, v->cr0, v->cr4);
	if (r)
		return r;
	v->cr3 = value;
	if (!keep)
		tlb_flush_pcid(&v->tlb, v->vmx.vpid, pcid);
	vcpu_recompute(v);
	return 0;
}

int cr4_write(struct vcpu *v, u64 value)
{
	u64 changed = value ^ v->cr4;
	int r;

	if (value & cr4_reserved(v))
		return raise_gp(v, 0);
	if (v->efer & EFER_LMA && (!(value & CR4_PAE) || changed & CR4_LA57))
		return raise_gp(v, 0);
	if (changed & value & CR4_PCIDE && (!(v->efer & EFER_LMA) || v->cr3 & 0xfff))
		return raise_gp(v, 0);
	if ((value & CR4_CET && !(v->cr0 & CR0_WP)) || !vmx_cr4_allowed(v, value))
		return raise_gp(v, 0);
	if (changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP)) {
		r = pdpte_load(v, v->cr3, v->cr0, value);
		if (r)
			return r;
	}
	v->cr4 = value;
	if (changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS |
		       CR4_LA57 | CR4_PCIDE))
		flush_own(v, true);
	vcpu_recompute(v);
	return 0;
}

int efer_write(struct vcpu *v, u64 value)
{
	u64 allowed = EFER_LMA | (model_has(v->model, FEAT_SYSCALL) ? EFER_SCE : 0) |
		      (model_has(v->model, FEAT_LM) ? EFER_LME : 0) |
		      (model_has(v->model, FEAT_NX) ? EFER_NXE : 0);

	if (value & ~allowed)
		return raise_gp(v, 0);
	if (v->cr0 & CR0_PG && (value ^ v->efer) & EFER_LME)
		return raise_gp(v, 0);
	value = (value & ~EFER_LMA) | (v->efer & EFER_LMA);
	if ((value ^ v->efer) & EFER_NXE)
		flush_own(v, true);
	v->efer = value;
	vcpu_recompute(v);
	return 0;
}

int xcr0_write(struct vcpu *v, u64 value)
{
	u64 allowed = 3 | (model_has(v->model, FEAT_AVX) ? 4 : 0) |
		      (model_has(v->model, FEAT_PKU) ? BIT(9) : 0);

	if (value & ~allowed || !(value & 1) || (value & 6) == 4)
		return raise_gp(v, 0);
	v->xcr0 = value;
	vcpu_recompute(v);
	return 0;
}
