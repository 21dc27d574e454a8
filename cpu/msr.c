/*
 * Model-specific registers. SDM volume 4, "Architectural MSRs"; memory types, MTRRs and machine-check
 * banks are storage with their reserved bits checked: caches are not modelled. What is not in
 * msr.def and not one of the ranges below is #GP and logged.
 */
#include "cpu/cet.h"
#include "cpu/xsave.h"
#include "vmx/vmx.h"

enum kind { PLAIN, CANON, CONST, RAZ, CALL };

struct row {
	u32 msr;
	u8 kind;
	u16 offset;
	u64 value, reserved;
	bool (*read)(struct vcpu *v, u64 *value);
	bool (*write)(struct vcpu *v, u64 value);
};

/* An interpreter does not speculate: RDCL_NO, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO,
 * IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO,
 * ITS_NO. With IA32_SPEC_CTRL also IBRS_ALL: IBRS set once protects for ever. */
#define ARCH_CAPS                                                                                  \
	(BIT(0) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(14) | BIT(15) |       \
	 BIT(20) | BIT(24) | BIT(26) | BIT(27) | BIT(62))
#define ARCH_CAP_IBRS_ALL BIT(1)
#define SPEC_CTRL_IBRS BIT(0)
#define SPEC_CTRL_STIBP BIT(1)
#define SPEC_CTRL_SSBD BIT(2)
#define PRED_CMD_IBPB BIT(0)
#define UMWAIT_CONTROL_RESERVED 0xffffffff00000002ull
#define MC_BANKS 10
#define MTRR_FIXED 11

static bool read_TSC(struct vcpu *v, u64 *value)
{
	*value = vcpu_tsc(v);
	return true;
}

static bool write_TSC(struct vcpu *v, u64 value)
{
	u64 delta = value - vcpu_tsc(v);

	v->tsc_offset_host = (s64)((u64)v->tsc_offset_host + delta);
	v->tsc_adjust += delta;
	v->wires->tsc_changed(v->wires->owner);
	return true;
}

static bool read_TSC_ADJUST(struct vcpu *v, u64 *value)
{
	*value = v->tsc_adjust;
	return model_has(v->model, FEAT_TSCADJ);
}

static bool write_TSC_ADJUST(struct vcpu *v, u64 value)
{
	if (!model_has(v->model, FEAT_TSCADJ))
		return false;
	v->tsc_offset_host = (s64)((u64)v->tsc_offset_host + value - v->tsc_adjust);
	v->tsc_adjust = value;
	v->wires->tsc_changed(v->wires->owner);
	return true;
}

static bool read_APIC_BASE(struct vcpu *v, u64 *value)
{
	return v->wires->apic_read(v->wires->owner, 0x1b, value);
}

static bool write_APIC_BASE(struct vcpu *v, u64 value)
{
	return v->wires->apic_write(v->wires->owner, 0x1b, value);
}

static bool read_FEATURE_CONTROL(struct vcpu *v, u64 *value)
{
	return vmx_msr_read(v, 0x3a, value);
}

static bool write_FEATURE_CONTROL(struct vcpu *v, u64 value)
{
	return vmx_msr_write(v, 0x3a, value);
}

static bool read_PAT(struct vcpu *v, u64 *value)
{
	*value = v->pat;
	return true;
}

static bool write_PAT(struct vcpu *v, u64 value)
{
	for (unsigned k = 0; k < 8; k++) {
		u8 type = (u8)(value >> (8 * k));

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	v->pat = value;
	return true;
}

static bool read_PKRS(struct vcpu *v, u64 *value)
{
	*value = v->pkrs;
	return model_has(v->model, FEAT_PKS);
}

static bool write_PKRS(struct vcpu *v, u64 value)
{
	if (!model_has(v->model, FEAT_PKS) || value >> 32)
		return false;
	v->pkrs = value;
	vcpu_recompute(v);
	return true;
}

static bool cet_write(struct vcpu *v, unsigned which, u64 value)
{
	if (!has_cet(v->model) || !cet_controls_ok(v->model, value))
		return false;
	v->cet[which] = value;
	vcpu_recompute_cpl(v);
	return true;
}

static bool read_U_CET(struct vcpu *v, u64 *value)
{
	*value = v->cet[CET_U];
	return has_cet(v->model);
}

static bool write_U_CET(struct vcpu *v, u64 value)
{
	return cet_write(v, CET_U, value);
}

static bool read_S_CET(struct vcpu *v, u64 *value)
{
	*value = v->cet[CET_S];
	return has_cet(v->model);
}

static bool write_S_CET(struct vcpu *v, u64 value)
{
	return cet_write(v, CET_S, value);
}

#define PL_SSP(n)                                                                                  \
	static bool read_PL##n##_SSP(struct vcpu *v, u64 *value)                                   \
	{                                                                                          \
		*value = v->pl_ssp[n];                                                             \
		return model_has(v->model, FEAT_SHSTK);                                            \
	}                                                                                          \
	static bool write_PL##n##_SSP(struct vcpu *v, u64 value)                                   \
	{                                                                                          \
		if (!model_has(v->model, FEAT_SHSTK) || !cet_ssp_ok(v->model, value))              \
			return false;                                                              \
		v->pl_ssp[n] = value;                                                              \
		return true;                                                                       \
	}
PL_SSP(0)
PL_SSP(1)
PL_SSP(2)
PL_SSP(3)

static bool read_INTERRUPT_SSP_TABLE_ADDR(struct vcpu *v, u64 *value)
{
	*value = v->int_ssp_table;
	return model_has(v->model, FEAT_SHSTK);
}

static bool write_INTERRUPT_SSP_TABLE_ADDR(struct vcpu *v, u64 value)
{
	if (!model_has(v->model, FEAT_SHSTK) || !is_canonical(value, laddr_width_max(v)))
		return false;
	v->int_ssp_table = value;
	return true;
}

static bool read_XSS(struct vcpu *v, u64 *value)
{
	*value = v->xss;
	return model_has(v->model, FEAT_XSAVES);
}

static bool write_XSS(struct vcpu *v, u64 value)
{
	if (!model_has(v->model, FEAT_XSAVES) || value & ~xsave_supervisor(v->model))
		return false;
	v->xss = value;
	return true;
}

static bool read_EFER(struct vcpu *v, u64 *value)
{
	*value = v->efer;
	return true;
}

static bool write_EFER(struct vcpu *v, u64 value)
{
	if (efer_write(v, value) == 0)
		return true;
	v->exc.valid = false; /* the caller raises #GP */
	return false;
}

static bool base_read(struct vcpu *v, unsigned seg, u64 *value)
{
	*value = v->seg[seg].base;
	return true;
}

static bool base_write(struct vcpu *v, unsigned seg, u64 value)
{
	if (!is_canonical(value, laddr_width_max(v)))
		return false;
	v->seg[seg].base = v->segbase[seg] = value;
	return true;
}

static bool read_FS_BASE(struct vcpu *v, u64 *value)
{
	return base_read(v, SEG_FS, value);
}

static bool write_FS_BASE(struct vcpu *v, u64 value)
{
	return base_write(v, SEG_FS, value);
}

static bool read_GS_BASE(struct vcpu *v, u64 *value)
{
	return base_read(v, SEG_GS, value);
}

static bool write_GS_BASE(struct vcpu *v, u64 value)
{
	return base_write(v, SEG_GS, value);
}

/* Loads and stores are never reordered: reading it is all there is to do. */
static bool read_BARRIER(struct vcpu *v, u64 *value)
{
	*value = 0;
	return cpu_has(v, FEAT_MSRLIST);
}

static bool write_BARRIER(struct vcpu *v, u64 value)
{
	(void)v;
	(void)value;
	return false;
}

static bool read_ARCH_CAPABILITIES(struct vcpu *v, u64 *value)
{
	*value = ARCH_CAPS | (cpu_has(v, FEAT_SPEC_CTRL) ? ARCH_CAP_IBRS_ALL : 0);
	return cpu_has(v, FEAT_ARCHCAP);
}

static bool write_ARCH_CAPABILITIES(struct vcpu *v, u64 value)
{
	(void)v;
	(void)value;
	return false;
}

u64 spec_ctrl_valid(const struct vcpu *v)
{
	return (cpu_has(v, FEAT_SPEC_CTRL) ? SPEC_CTRL_IBRS : 0) |
	       (cpu_has(v, FEAT_STIBP) ? SPEC_CTRL_STIBP : 0) |
	       (cpu_has(v, FEAT_SSBD) ? SPEC_CTRL_SSBD : 0);
}

static bool read_SPEC_CTRL(struct vcpu *v, u64 *value)
{
	*value = vmx_spec_ctrl_read(v);
	return cpu_has(v, FEAT_SPEC_CTRL);
}

static bool write_SPEC_CTRL(struct vcpu *v, u64 value)
{
	if (!cpu_has(v, FEAT_SPEC_CTRL) || value & ~spec_ctrl_valid(v))
		return false;
	v->spec_ctrl = vmx_spec_ctrl_write(v, value);
	return true;
}

/* There is no predictor to flush. */
static bool read_PRED_CMD(struct vcpu *v, u64 *value)
{
	(void)v;
	(void)value;
	return false;
}

static bool write_PRED_CMD(struct vcpu *v, u64 value)
{
	return cpu_has(v, FEAT_SPEC_CTRL) && !(value & ~PRED_CMD_IBPB);
}

static bool read_UMWAIT_CONTROL(struct vcpu *v, u64 *value)
{
	*value = v->umwait_control;
	return cpu_has(v, FEAT_WAITPKG);
}

static bool write_UMWAIT_CONTROL(struct vcpu *v, u64 value)
{
	if (!cpu_has(v, FEAT_WAITPKG) || value & UMWAIT_CONTROL_RESERVED)
		return false;
	v->umwait_control = value;
	return true;
}

static bool read_DEBUGCTL(struct vcpu *v, u64 *value)
{
	*value = v->debugctl;
	return true;
}

/* LBR is stored and records nothing: IA32_PERF_CAPABILITIES tells of no format. */
u64 debugctl_valid(const struct vcpu *v)
{
	return DEBUGCTL_LBR | DEBUGCTL_BTF |
	       (cpu_has(v, FEAT_PMU) ? DEBUGCTL_FREEZE_PERFMON_ON_PMI : 0) |
	       (cpu_has(v, FEAT_PDCM) ? DEBUGCTL_FREEZE_WHILE_SMM : 0);
}

void debugctl_set(struct vcpu *v, u64 value)
{
	u64 changed = v->debugctl ^ value;

	v->debugctl = value;
	if (changed & DEBUGCTL_FREEZE_WHILE_SMM)
		pmu_update(v);
}

static bool write_DEBUGCTL(struct vcpu *v, u64 value)
{
	if (value & ~debugctl_valid(v))
		return false;
	debugctl_set(v, value);
	return true;
}

#define ROW_PLAIN(i, n, m, r)                                                                      \
	{.msr = i, .kind = PLAIN, .offset = offsetof(struct vcpu, m), .reserved = r},
#define ROW_CANON(i, n, m, r) {.msr = i, .kind = CANON, .offset = offsetof(struct vcpu, m)},
#define ROW_CONST(i, n, m, r) {.msr = i, .kind = CONST, .value = m},
#define ROW_RAZ(i, n, m, r) {.msr = i, .kind = RAZ, .value = m},
#define ROW_CALL(i, n, m, r) {.msr = i, .kind = CALL, .read = read_##n, .write = write_##n},
static const struct row rows[] = {
#define MSR(i, n, kind, m, r) ROW_##kind(i, n, m, r)
#include "cpu/msr.def"
};

static const struct row *find(u32 msr)
{
	for (unsigned k = 0; k < ARRAY_SIZE(rows); k++)
		if (rows[k].msr == msr)
			return &rows[k];
	return NULL;
}

static const u16 fixed_mtrr[MTRR_FIXED] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					   0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

/* Fixed and variable MTRRs, machine-check banks: storage, or NULL. *reserved: bits that must be 0. */
static u64 *ranged(struct vcpu *v, u32 msr, u64 *reserved)
{
	*reserved = 0;
	for (unsigned k = 0; k < MTRR_FIXED; k++)
		if (fixed_mtrr[k] == msr)
			return &v->mtrr_fixed[k];
	if (msr >= 0x200 && msr < 0x210) {
		unsigned n = (msr - 0x200) / 2;

		*reserved = ~v->phys_mask | (msr & 1 ? 0x7ff : 0xf00);
		return msr & 1 ? &v->mtrr_mask[n] : &v->mtrr_base[n];
	}
	if (msr >= 0x400 && msr < 0x400 + 4 * MC_BANKS)
		return &v->mc_bank[(msr - 0x400) / 4][msr & 3];
	return NULL;
}

static bool mtrr_types_ok(u32 msr, u64 value)
{
	unsigned n = msr >= 0x250 && msr <= 0x26f		 ? 8
		     : msr >= 0x200 && msr < 0x210 && !(msr & 1) ? 1
								 : 0;

	for (unsigned k = 0; k < n; k++) {
		u8 t = (u8)(value >> (8 * k));

		if (t == 2 || t == 3 || t > 6)
			return false;
	}
	return true;
}

static bool is_apic_msr(u32 msr)
{
	return (msr >= 0x800 && msr < 0x900) || msr == 0x6e0;
}

static bool unknown(struct vcpu *v, u32 msr, const char *what)
{
	LOG(v->log, unimplemented, "%s of MSR %x at %llx: #GP", what, msr,
	    (unsigned long long)v->rip);
	return false;
}

bool msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	const struct row *r = find(msr);
	u64 reserved, *p;

	if (r) {
		switch (r->kind) {
		case PLAIN:
		case CANON:
			*value = *(const u64 *)(const void *)((const u8 *)v + r->offset);
			return true;
		case CONST:
		case RAZ:
			*value = r->value;
			return true;
		default:
			return r->read(v, value);
		}
	}
	if (is_apic_msr(msr))
		return v->wires->apic_read(v->wires->owner, msr, value);
	if (pmu_is_msr(msr))
		return pmu_msr_read(v, msr, value);
	if (msr >= 0x480 && msr <= 0x493)
		return vmx_msr_read(v, msr, value);
	p = ranged(v, msr, &reserved);
	if (!p)
		return unknown(v, msr, "read");
	*value = *p;
	return true;
}

static bool row_write(struct vcpu *v, const struct row *r, u64 value)
{
	u64 *p = (u64 *)(void *)((u8 *)v + r->offset);

	switch (r->kind) {
	case PLAIN:
		if (value & r->reserved)
			return false;
		*p = value;
		return true;
	case CANON:
		if (!is_canonical(value, laddr_width_max(v)))
			return false;
		*p = value;
		return true;
	case CONST:
		return false;
	case RAZ:
		return true;
	default:
		return r->write(v, value);
	}
}

bool msr_write(struct vcpu *v, u32 msr, u64 value)
{
	const struct row *r = find(msr);
	u64 reserved, *p;

	if (r)
		return row_write(v, r, value);
	if (is_apic_msr(msr))
		return v->wires->apic_write(v->wires->owner, msr, value);
	if (pmu_is_msr(msr))
		return pmu_msr_write(v, msr, value);
	if (msr >= 0x480 && msr <= 0x493)
		return vmx_msr_write(v, msr, value);
	p = ranged(v, msr, &reserved);
	if (!p)
		return unknown(v, msr, "write");
	if (value & reserved || !mtrr_types_ok(msr, value))
		return false;
	/* MCi_CTL takes all zeros or all ones */
	if (msr >= 0x400 && (msr & 3) == 0 && value && value != ~0ull)
		return false;
	/* MCi_STATUS can only be cleared */
	if (msr >= 0x400 && (msr & 3) == 1 && value)
		return false;
	*p = value;
	return true;
}
