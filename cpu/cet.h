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

static inline bool shadow_on(const struct vcpu *v, unsigned cpl)
{
	return cet_has(v, cpl, CET_SH_STK_EN);
}

static inline int raise_cp(struct vcpu *v, u32 error)
{
	return raise_error(v, VEC_CP, error);
}

static inline bool has_cet(const struct cpu_model *m)
{
	return model_has(m, FEAT_IBT) || model_has(m, FEAT_SHSTK);
}

/* What the MSRs, XRSTORS and VM entry accept. */
u64 cet_controls_valid(const struct cpu_model *m); /* bits that may be 1 */
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

/* --- shadow stacks (shstk.c) --- */
#define SHADOW_BUSY 1ull /* in the token of a supervisor's shadow stack */

/* Accesses of privilege level cpl; 3 is WRUSS's too. size: 4 or 8. */
int shadow_read(struct vcpu *v, unsigned cpl, u64 laddr, unsigned size, u64 *value);
int shadow_write(struct vcpu *v, unsigned cpl, u64 laddr, unsigned size, u64 value);
int shadow_probe(struct vcpu *v, unsigned cpl, u64 laddr, unsigned n);
/* Compares and exchanges 8 bytes; *done: they were as expected. */
int shadow_swap(struct vcpu *v, unsigned cpl, u64 laddr, u64 expected, u64 value, bool *done);

/* Near CALL and RET, at the current level. The probe tells whether the push will work. */
int shadow_push_probe(struct vcpu *v, unsigned size);
int shadow_push(struct vcpu *v, unsigned size, u64 value);
int shadow_pop_check(struct vcpu *v, unsigned size, u64 rip); /* #CP if they differ; SSP stays */

/* A far transfer inwards, or at the same level: all that can fail first, then the writes. */
struct shadow_enter {
	u64 cs, lip;	  /* what is returned to */
	unsigned cpl;	  /* of the target */
	bool on;	  /* the target's level has a shadow stack */
	bool save;	  /* SSP goes to IA32_PL3_SSP */
	bool token;	  /* another shadow stack: its token becomes busy */
	bool frame, hole; /* CS, LIP and SSP are pushed, over 4 bytes of alignment */
	u64 at;		  /* SSP before the frame */
};
/* The caller sets cs, lip, cpl and frame (at the same level, and from a supervisor's). same: the current shadow stack goes on. at: the new one's address, else. to64: the target's mode. */
int shadow_enter_check(struct vcpu *v, struct shadow_enter *s, bool same, u64 at, bool to64);
int shadow_enter_commit(struct vcpu *v, const struct shadow_enter *s);
/* Linear address of the instruction at rip of a code segment. */
u64 shadow_lip(const struct vcpu *v, const struct seg *cs, u64 rip);

/* RET FAR and IRET. */
struct shadow_leave {
	bool on, set; /* SSP is loaded */
	bool clear;   /* the token at `token` is no longer busy */
	u64 ssp, token;
	unsigned cpl; /* that is left */
};
int shadow_leave_check(struct vcpu *v, struct shadow_leave *s, u16 cs, const struct seg *seg,
		       u64 rip, bool iret);
int shadow_leave_commit(struct vcpu *v, const struct shadow_leave *s);

/* SYSCALL and SYSENTER, from level cpl; SYSRET and SYSEXIT. */
void shadow_fast_enter(struct vcpu *v, unsigned cpl);
void shadow_fast_leave(struct vcpu *v);

#endif
