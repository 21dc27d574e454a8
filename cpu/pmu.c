/*
 * Performance counters: what runs, what it shows, when it overflows, and the MSRs. SDM Vol. 3,
 * "Architectural Performance Monitoring Version 5" and the versions it includes, "Freezing LBR and
 * Performance Counters on PMI", "Full-Width Writes to Performance Counter Registers".
 *
 * A core cycle is a tick that this processor spent, and so is a reference cycle: the core runs at the
 * frequency of the TSC. While it is halted, or other processors take their turns, it counts none. One
 * instruction retires in a cycle at most, none while a VM exit or the body of a repeated string
 * instruction takes time.
 *
 * Left out: last-level-cache events, mispredicted branches and top-down slots, as no cache and no
 * predictor is modelled; PEBS, LBR, AnyThread and performance metrics.
 */
#include "cpu/cpu.h"
#include "cpu/pmu.h"

#define COUNT_MASK (BIT(PMU_WIDTH) - 1)
#define GLOBAL_FIXED 32 /* bit of fixed counter 0 in the global registers */

#define SEL_USR BIT(16)
#define SEL_OS BIT(17)
#define SEL_EDGE BIT(18)
#define SEL_INT BIT(20)
#define SEL_EN BIT(22)
#define SEL_INV BIT(23)
#define SEL_VALID 0xffdfffffull /* all but AnyThread, which CPUID calls deprecated */

#define FIXED_OS 1
#define FIXED_USR 2
#define FIXED_PMI 8
#define FIXED_VALID 0xbbbull

#define STATUS_LBR_FRZ BIT(58)
#define STATUS_CTR_FRZ BIT(59)
#define STATUS_OVF_UNCORE BIT(61)
#define STATUS_OVF_BUF BIT(62)
#define STATUS_COND_CHGD BIT(63)
#define INUSE_PMI BIT(63)

/* FREEZE_WHILE_SMM and full-width writes. */
#define PERF_CAPABILITIES (BIT(12) | BIT(13))

enum source { NOTHING, CYCLES, RETIRED, BRANCHES };

/* --- what a counter is set to --- */

/* Event select and unit mask. */
static enum source selected(u64 sel)
{
	switch (sel & 0xffff) {
	case 0x003c: /* UnHalted Core Cycles */
	case 0x013c: /* UnHalted Reference Cycles */
		return CYCLES;
	case 0x00c0: /* Instruction Retired */
		return RETIRED;
	case 0x00c4: /* Branch Instruction Retired */
		return BRANCHES;
	default:
		return NOTHING;
	}
}

static unsigned fixed_field(const struct pmu *p, unsigned n)
{
	return p->fixed_ctrl >> (4 * (n - PMU_GENERAL)) & 15;
}

static enum source source_of(const struct pmu *p, unsigned n)
{
	if (n < PMU_GENERAL)
		return selected(p->evtsel[n]);
	return n == PMU_GENERAL ? RETIRED : CYCLES;
}

static u64 global_bit(unsigned n)
{
	return BIT(n < PMU_GENERAL ? n : GLOBAL_FIXED + n - PMU_GENERAL);
}

static bool os_bit(const struct pmu *p, unsigned n)
{
	return n < PMU_GENERAL ? p->evtsel[n] & SEL_OS : fixed_field(p, n) & FIXED_OS;
}

static bool usr_bit(const struct pmu *p, unsigned n)
{
	return n < PMU_GENERAL ? p->evtsel[n] & SEL_USR : fixed_field(p, n) & FIXED_USR;
}

static bool pmi_bit(const struct pmu *p, unsigned n)
{
	return n < PMU_GENERAL ? p->evtsel[n] & SEL_INT : fixed_field(p, n) & FIXED_PMI;
}

/* Counts at some CPL. */
static bool enabled(const struct pmu *p, unsigned n)
{
	return p->global_ctrl & global_bit(n) && (n >= PMU_GENERAL || p->evtsel[n] & SEL_EN) &&
	       (os_bit(p, n) || usr_bit(p, n)) && source_of(p, n) != NOTHING;
}

/* --- what it shows --- */

/* Times that the condition "at least one" became true. */
static u64 rises(const struct pmu *p, enum source s)
{
	switch (s) {
	case CYCLES:
		return p->halts;
	case RETIRED:
		return p->halts + p->gaps;
	default:
		return p->branch_rises;
	}
}

static u64 source_now(const struct vcpu *v, enum source s)
{
	const struct pmu *p = &v->pmu;
	u64 now = vcpu_icount(v);

	return s == CYCLES ? now : s == RETIRED ? now - p->unretired : p->branches;
}

/* One event a cycle at most: no cycle reaches a counter mask above 1. */
static u64 reading(const struct vcpu *v, unsigned n)
{
	const struct pmu *p = &v->pmu;
	enum source s = source_of(p, n);
	u64 sel = n < PMU_GENERAL ? p->evtsel[n] : 0, events, cycles;
	u8 mask = (u8)(sel >> 24);

	if (sel & SEL_EDGE)
		return mask > 1 ? 0 : rises(p, s);
	events = source_now(v, s);
	if (!mask)
		return events;
	cycles = mask == 1 ? events : 0;
	return sel & SEL_INV ? vcpu_icount(v) - cycles : cycles;
}

static u64 counter_read(const struct vcpu *v, unsigned n)
{
	const struct pmu *p = &v->pmu;
	u64 grown = p->running & BIT(n) ? reading(v, n) - p->base[n] : 0;

	return (p->count[n] + grown) & COUNT_MASK;
}

/* --- bringing up to date --- */

static void overflowed(struct vcpu *v, u64 status, bool pmi)
{
	struct pmu *p = &v->pmu;

	p->global_status |= status;
	if (!pmi)
		return;
	if (v->debugctl & DEBUGCTL_FREEZE_PERFMON_ON_PMI)
		p->global_status |= STATUS_CTR_FRZ;
	v->wires->pmi(v->wires->owner);
}

static void fold(struct vcpu *v)
{
	struct pmu *p = &v->pmu;
	u64 status = 0;
	bool pmi = false;

	for (unsigned n = 0; n < PMU_COUNTERS; n++) {
		u64 now, sum;

		if (!(p->running & BIT(n)))
			continue;
		now = reading(v, n);
		sum = p->count[n] + (now - p->base[n]);
		p->base[n] = now;
		p->count[n] = sum & COUNT_MASK;
		if (sum > COUNT_MASK) {
			status |= global_bit(n);
			pmi |= pmi_bit(p, n);
		}
	}
	if (status)
		overflowed(v, status, pmi);
}

static bool frozen(const struct vcpu *v)
{
	return v->pmu.global_status & STATUS_CTR_FRZ ||
	       (v->in_smm && v->debugctl & DEBUGCTL_FREEZE_WHILE_SMM);
}

/* What runs at this CPL; every source but a gap grows by one a tick at most. */
static void choose(struct vcpu *v)
{
	struct pmu *p = &v->pmu;
	bool stopped = frozen(v), branches = false;
	u64 room = UINT64_MAX;
	u32 running = 0;

	p->by_cpl = v->debugctl & DEBUGCTL_FREEZE_WHILE_SMM;
	for (unsigned n = 0; n < PMU_COUNTERS; n++) {
		if (!enabled(p, n))
			continue;
		p->by_cpl |= os_bit(p, n) != usr_bit(p, n);
		branches |= source_of(p, n) == BRANCHES;
		if (stopped || !(v->cpl ? usr_bit(p, n) : os_bit(p, n)))
			continue;
		running |= 1u << n;
		if (!(p->running & BIT(n)))
			p->base[n] = reading(v, n);
		if (COUNT_MASK + 1 - p->count[n] < room)
			room = COUNT_MASK + 1 - p->count[n];
	}
	p->running = running;
	p->next_at = running ? vcpu_icount(v) + room : UINT64_MAX;
	v->recheck = true; /* the run loop bounds what it runs by next_at */
	if (p->count_branches != branches) {
		p->count_branches = branches;
		vcpu_recompute_cpl(v);
	}
}

void pmu_update(struct vcpu *v)
{
	fold(v);
	choose(v);
}

void pmu_after_load(struct vcpu *v)
{
	choose(v);
}

void pmu_reset(struct vcpu *v)
{
	struct pmu *p = &v->pmu;

	memset(p, 0, sizeof(*p));
	p->next_at = UINT64_MAX;
	p->global_ctrl = BIT(PMU_GENERAL) - 1;
}

void pmu_branch(struct vcpu *v)
{
	struct pmu *p = &v->pmu;
	u64 now = vcpu_icount(v);

	p->branches++;
	p->branch_rises += p->branch_at != now;
	p->branch_at = now + 1;
}

/* --- registers --- */

enum reg {
	MSR_NO,
	MSR_PMC,
	MSR_A_PMC,
	MSR_EVTSEL,
	MSR_FIXED,
	MSR_CAPABILITIES,
	MSR_FIXED_CTRL,
	MSR_STATUS,
	MSR_GLOBAL_CTRL,
	MSR_STATUS_RESET,
	MSR_STATUS_SET,
	MSR_INUSE
};

static const struct {
	u16 first, count;
	u8 reg;
} registers[] = {
	{0xc1, PMU_GENERAL, MSR_PMC},	 {0x186, PMU_GENERAL, MSR_EVTSEL},
	{0x309, PMU_FIXED, MSR_FIXED},	 {0x345, 1, MSR_CAPABILITIES},
	{0x38d, 1, MSR_FIXED_CTRL},	 {0x38e, 1, MSR_STATUS},
	{0x38f, 1, MSR_GLOBAL_CTRL},	 {0x390, 1, MSR_STATUS_RESET},
	{0x391, 1, MSR_STATUS_SET},	 {0x392, 1, MSR_INUSE},
	{0x4c1, PMU_GENERAL, MSR_A_PMC},
};

/* *n: index of the counter. */
static enum reg find(u32 msr, unsigned *n)
{
	for (unsigned k = 0; k < ARRAY_SIZE(registers); k++)
		if (msr - registers[k].first < registers[k].count) {
			*n = msr - registers[k].first +
			     (registers[k].reg == MSR_FIXED ? PMU_GENERAL : 0);
			return (enum reg)registers[k].reg;
		}
	return MSR_NO;
}

bool pmu_is_msr(u32 msr)
{
	unsigned n;

	return find(msr, &n) != MSR_NO;
}

static u64 in_use(const struct pmu *p)
{
	u64 value = 0;

	for (unsigned n = 0; n < PMU_COUNTERS; n++) {
		bool used = n < PMU_GENERAL ? p->evtsel[n] & 0xff
					    : fixed_field(p, n) & (FIXED_OS | FIXED_USR);

		value |= used ? global_bit(n) : 0;
		value |= pmi_bit(p, n) ? INUSE_PMI : 0;
	}
	return value;
}

bool pmu_msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	const struct pmu *p = &v->pmu;
	unsigned n = 0;
	enum reg r = find(msr, &n);

	if (!cpu_has(v, r == MSR_CAPABILITIES ? FEAT_PDCM : FEAT_PMU))
		return false;
	if (p->running)
		pmu_update(v); /* an overflow may be due */
	switch (r) {
	case MSR_PMC:
	case MSR_A_PMC:
	case MSR_FIXED:
		*value = counter_read(v, n);
		return true;
	case MSR_EVTSEL:
		*value = p->evtsel[n];
		return true;
	case MSR_CAPABILITIES:
		*value = PERF_CAPABILITIES;
		return true;
	case MSR_FIXED_CTRL:
		*value = p->fixed_ctrl;
		return true;
	case MSR_STATUS:
		*value = p->global_status;
		return true;
	case MSR_GLOBAL_CTRL:
		*value = p->global_ctrl;
		return true;
	case MSR_INUSE:
		*value = in_use(p);
		return true;
	default: /* IA32_PERF_GLOBAL_STATUS_RESET and _SET */
		*value = 0;
		return true;
	}
}

#define ALL_COUNTERS ((BIT(PMU_GENERAL) - 1) | (BIT(PMU_FIXED) - 1) << GLOBAL_FIXED)
#define STATUS_RESET_VALID                                                                         \
	(ALL_COUNTERS | STATUS_LBR_FRZ | STATUS_CTR_FRZ | STATUS_OVF_UNCORE | STATUS_OVF_BUF |     \
	 STATUS_COND_CHGD)
#define STATUS_SET_VALID (ALL_COUNTERS | STATUS_CTR_FRZ)

/* Bits that must be 0; all of them: the register is read-only. */
static u64 reserved(const struct vcpu *v, enum reg r)
{
	switch (r) {
	case MSR_PMC:
		return 0;
	case MSR_A_PMC:
		return cpu_has(v, FEAT_PDCM) ? ~COUNT_MASK : ~0ull;
	case MSR_FIXED:
		return ~COUNT_MASK;
	case MSR_EVTSEL:
		return ~SEL_VALID;
	case MSR_FIXED_CTRL:
		return ~FIXED_VALID;
	case MSR_GLOBAL_CTRL:
		return ~ALL_COUNTERS;
	case MSR_STATUS_RESET:
		return ~STATUS_RESET_VALID;
	case MSR_STATUS_SET:
		return ~STATUS_SET_VALID;
	default:
		return ~0ull;
	}
}

static bool is_read_only(enum reg r)
{
	return r == MSR_CAPABILITIES || r == MSR_STATUS || r == MSR_INUSE;
}

/* Counters are up to date. What a counter counts starts anew where its setting changes. */
static void store(struct pmu *p, enum reg r, unsigned n, u64 value)
{
	switch (r) {
	case MSR_PMC: /* bits 31:0, sign-extended */
		p->count[n] = (u64)(s64)(s32)value & COUNT_MASK;
		break;
	case MSR_A_PMC:
	case MSR_FIXED:
		p->count[n] = value;
		break;
	case MSR_EVTSEL:
		p->evtsel[n] = value;
		p->running &= ~(1u << n);
		break;
	case MSR_FIXED_CTRL:
		p->fixed_ctrl = value;
		break;
	case MSR_GLOBAL_CTRL:
		p->global_ctrl = value;
		break;
	case MSR_STATUS_RESET:
		p->global_status &= ~value;
		break;
	default:
		p->global_status |= value;
		break;
	}
}

bool pmu_msr_write(struct vcpu *v, u32 msr, u64 value)
{
	unsigned n = 0;
	enum reg r = find(msr, &n);

	if (!cpu_has(v, FEAT_PMU) || is_read_only(r) || value & reserved(v, r))
		return false;
	fold(v);
	store(&v->pmu, r, n, value);
	choose(v);
	return true;
}

u64 pmu_global_ctrl_valid(const struct vcpu *v)
{
	return cpu_has(v, FEAT_PMU) ? ALL_COUNTERS : 0;
}

void pmu_global_ctrl_set(struct vcpu *v, u64 value)
{
	if (v->pmu.global_ctrl == value)
		return;
	fold(v);
	v->pmu.global_ctrl = value;
	choose(v);
}

#define RDPMC_FIXED 0x4000 /* type in bits 31:16 */

bool pmu_rdpmc(const struct vcpu *v, u32 index, u64 *value)
{
	u32 type = index >> 16, n = index & 0xffff;

	if (!cpu_has(v, FEAT_PMU) || (type && type != RDPMC_FIXED) ||
	    n >= (type ? PMU_FIXED : PMU_GENERAL))
		return false;
	*value = counter_read(v, type ? PMU_GENERAL + n : n);
	return true;
}

/* EBX names what does not count: LLC references and misses, mispredicted branches, slots. */
void pmu_cpuid(u32 out[4])
{
	out[0] = 5 | PMU_GENERAL << 8 | PMU_WIDTH << 16 | 8u << 24;
	out[1] = 0xd8;
	out[2] = (1u << PMU_FIXED) - 1;
	out[3] = PMU_FIXED | PMU_WIDTH << 5 | 1u << 15;
}
