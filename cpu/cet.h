/*
 * Control-flow enforcement: indirect branch tracking and shadow stacks. SDM Vol. 1, "Control-flow
 * Enforcement Technology (CET)". A level's controls are in v->cet: IA32_U_CET for CPL 3, IA32_S_CET
 * for the others.
 */
#ifndef CPU_CET_H
#define CPU_CET_H

#include "cpu/cpu.h"

/* IA32_U_CET and IA32_S_CET. */
#define CET_SH_STK_EN BIT(0)
#define CET_WR_SHSTK_EN BIT(1)
#define CET_ENDBR_EN BIT(2)
#define CET_LEG_IW_EN BIT(3)
#define CET_NO_TRACK_EN BIT(4)
#define CET_SUPPRESS_DIS BIT(5)
#define CET_SUPPRESS BIT(10)
#define CET_TRACKER BIT(11) /* WAIT_FOR_ENDBRANCH */

/* Error codes of #CP. */
enum { CP_NEAR_RET = 1, CP_FAR_RET = 2, CP_ENDBRANCH = 3, CP_RSTORSSP = 4, CP_SETSSBSY = 5 };

enum { CET_S, CET_U };
static inline u64 *cet_controls(struct vcpu *v, unsigned cpl)
{
	return &v->cet[cpl == 3 ? CET_U : CET_S];
}

static inline bool cet_has(const struct vcpu *v, unsigned cpl, u64 controls)
{
	return v->cr4 & CR4_CET && mode_protected(v) &&
	       (v->cet[cpl == 3 ? CET_U : CET_S] & controls) == controls;
}

static inline bool endbranch_on(const struct vcpu *v, unsigned cpl)
{
	return cet_has(v, cpl, CET_ENDBR_EN);
}

static inline int raise_cp(struct vcpu *v, u32 error)
{
	return raise_error(v, VEC_CP, error);
}

static inline bool has_cet(const struct cpu_model *m)
{
	return model_has(m, FEAT_IBT);
}

/* What the MSRs, XRSTORS and VM entry accept. */
bool cet_controls_ok(const struct cpu_model *m, u64 value);
bool cet_ssp_ok(const struct cpu_model *m, u64 value);

/* --- indirect branch tracking --- */
/* Mode-key bits of the current level, and whether an ENDBRANCH is due; part of vcpu_recompute_cpl. */
u16 cet_recompute(struct vcpu *v);
/* A near indirect CALL or JMP was taken. */
void ibt_near(struct vcpu *v, const struct insn *i);
/* A far transfer, an event or SYSCALL arrived at the current level. */
void ibt_far(struct vcpu *v);
/* Before the instruction at RIP, while v->ibt_wait: 0, or the #CP or page fault that is due. */
int ibt_arrive(struct vcpu *v);

#endif
