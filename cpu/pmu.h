/*
 * Architectural performance monitoring, version 5. SDM Vol. 3, "Performance Monitoring".
 *
 * Nothing is counted per instruction: a counter is what it was at a known point and what its source
 * has grown by since. The sources are functions of the instruction count and of totals that change
 * only where the run loop is left anyway.
 */
#ifndef CPU_PMU_H
#define CPU_PMU_H

#include "base/compiler.h"
#include "base/types.h"

#define PMU_GENERAL 8 /* IA32_PMCx */
#define PMU_FIXED 3   /* instructions retired, core cycles, reference cycles */
#define PMU_COUNTERS (PMU_GENERAL + PMU_FIXED)
#define PMU_WIDTH 48

struct vcpu;

struct pmu {
	u64 evtsel[PMU_GENERAL], fixed_ctrl, global_ctrl, global_status;
	u64 count[PMU_COUNTERS]; /* general, then fixed: as of base */
	u64 base[PMU_COUNTERS];	 /* what the source of a running counter showed then */
	u32 running;		 /* bit per counter that counts now */

	/* --- totals --- */
	u64 unretired;		    /* ticks on which no instruction retired */
	u64 gaps;		    /* times that such ticks followed retired instructions */
	u64 halts;		    /* HLTs */
	u64 branches, branch_rises; /* while one of them is counted */
	u64 branch_at;		    /* instruction count behind the last branch */

	/* --- derived --- */
	u64 next_at;	     /* instruction count before which no counter overflows */
	bool by_cpl;	     /* what runs depends on CPL or SMM */
	bool count_branches; /* branches take the way through exec_looked_at in run.c */
};

void pmu_reset(struct vcpu *v);
/* Brings all counters up to date and looks again at what runs, and when one may overflow: after
 * CPL, SMM, IA32_DEBUGCTL or IA32_PERF_GLOBAL_CTRL changed, and at next_at. */
void pmu_update(struct vcpu *v);
/* As pmu_update, but nothing has passed since the state was saved. */
void pmu_after_load(struct vcpu *v);
/* A branch retires; the count of instructions does not include it yet. */
void pmu_branch(struct vcpu *v);

bool pmu_is_msr(u32 msr);
bool pmu_msr_read(struct vcpu *v, u32 msr, u64 *value);
bool pmu_msr_write(struct vcpu *v, u32 msr, u64 value);
/* Bits of IA32_PERF_GLOBAL_CTRL that may be 1; 0: there is none. */
u64 pmu_global_ctrl_valid(const struct vcpu *v);
void pmu_global_ctrl_set(struct vcpu *v, u64 value);
bool pmu_rdpmc(const struct vcpu *v, u32 index, u64 *value);
/* CPUID leaf 0AH. */
void pmu_cpuid(u32 out[4]);

#endif
