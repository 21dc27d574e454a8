/*
 * Local APIC. SDM volume 3, "Advanced Programmable Interrupt Controller (APIC)" and "Extended xAPIC
 * (x2APIC)". Left out: the APIC bus of the P6 (arbitration IDs, remote reads, focus processor
 * checking, send/receive checksum errors), and extended LVTs.
 */
#include "base/bits.h"
#include "devices/lapic_internal.h"

enum reg {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_CMCI = 0x2f,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_LVT_LAST = 0x37,
	REG_INITIAL = 0x38,
	REG_CURRENT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
};

#define MSR_IA32_APIC_BASE 0x1bu
#define MSR_IA32_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST 0x8ffu

#define ESR_SEND_ILLEGAL_VECTOR 0x20u
#define ESR_RECEIVED_ILLEGAL_VECTOR 0x40u
#define ESR_ILLEGAL_REGISTER 0x80u

#define SVR_FOCUS 0x200u
#define SVR_EOI_SUPPRESS 0x1000u

#define LVT_STATUS 0x1000u     /* read-only; never seen set, delivery is at once */
#define LVT_REMOTE_IRR 0x4000u /* read-only */
#define LVT_LEVEL 0x8000u
#define LVT_MASKED 0x10000u

#define ICR_STATUS 0x1000u
#define ICR_LOW_MASK 0xccfffull /* reserved: 13, 17:16, 31:20 */

#define VERSION 0x15u
#define MAX_TIMER_HZ 1000000000u

/* Bits of each LVT entry that software can write. */
static const u32 lvt_writable[LAPIC_LVTS] = {
	[LAPIC_LVT_TIMER] = 0x700ff, [LAPIC_LVT_THERMAL] = 0x107ff, [LAPIC_LVT_PERF] = 0x107ff,
	[LAPIC_LVT_LINT0] = 0x1a7ff, [LAPIC_LVT_LINT1] = 0x1a7ff,   [LAPIC_LVT_ERROR] = 0x100ff,
	[LAPIC_LVT_CMCI] = 0x107ff,
};

/* Which registers exist: read and write in xAPIC mode (R, W), in x2APIC mode (XR, XW). */
enum { R = 1, W = 2, XR = 4, XW = 8, ALL = 15 };

static const struct {
	u8 first, last, access;
} registers[] = {
	{REG_ID, REG_ID, R | W | XR},	{REG_VERSION, REG_VERSION, R | W | XR},
	{REG_TPR, REG_TPR, ALL},	{REG_APR, REG_APR, R | W},
	{REG_PPR, REG_PPR, R | W | XR}, {REG_EOI, REG_EOI, R | W | XW},
	{REG_LDR, REG_LDR, R | W | XR}, {REG_DFR, REG_DFR, R | W},
	{REG_SVR, REG_SVR, ALL},	{REG_ISR, REG_IRR + 7, R | W | XR},
	{REG_ESR, REG_ESR, ALL},	{REG_CMCI, REG_CMCI, ALL},
	{REG_ICR, REG_ICR, ALL},	{REG_ICR_HIGH, REG_ICR_HIGH, R | W},
	{REG_LVT, REG_INITIAL, ALL},	{REG_CURRENT, REG_CURRENT, R | W | XR},
	{REG_DIVIDE, REG_DIVIDE, ALL},	{REG_SELF_IPI, REG_SELF_IPI, XW},
};

static bool register_allows(const struct lapic *l, unsigned reg, unsigned access)
{
	if (reg == REG_CMCI && !l->has_cmci)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
		if (reg >= registers[i].first && reg <= registers[i].last)
			return registers[i].access & access;
	return false;
}

/* Bit vectors of 256 */

static void vector_set(u32 *v, unsigned n)
{
	v[n / 32] |= 1u << (n % 32);
}

static void vector_clear(u32 *v, unsigned n)
{
	v[n / 32] &= ~(1u << (n % 32));
}

static bool vector_test(const u32 *v, unsigned n)
{
	return v[n / 32] >> (n % 32) & 1;
}

static int vector_highest(const u32 *v)
{
	for (int i = 7; i >= 0; i--)
		if (v[i])
			for (int bit = 31; bit >= 0; bit--)
				if (v[i] >> bit & 1)
					return i * 32 + bit;
	return -1;
}

/* Interrupt acceptance and priority: "Handling Interrupts" */

u32 lapic_ppr(const struct lapic *l)
{
	int in_service = vector_highest(l->isr);
	u32 class = in_service < 0 ? 0 : (u32)in_service & 0xf0;

	return (l->tpr & 0xf0) >= class ? l->tpr : class;
}

/* The LVT error interrupt is triggered once, until a write of ESR rearms it. */
static void report_error(struct lapic *l, u32 bit)
{
	bool armed = !l->esr_pending;

	l->esr_pending |= bit;
	if (armed)
		lapic_deliver_lvt(l, LAPIC_LVT_ERROR);
}

void lapic_request(struct lapic *l, unsigned vector, bool level)
{
	if (vector < 16) {
		report_error(l, ESR_RECEIVED_ILLEGAL_VECTOR);
		return;
	}
	vector_set(l->irr, vector);
	if (level)
		vector_set(l->tmr, vector);
	else
		vector_clear(l->tmr, vector);
	l->wires.intr_changed(l->wires.owner);
}

int lapic_pending(const struct lapic *l)
{
	int v;

	if (!lapic_enabled(l))
		return -1;
	v = vector_highest(l->irr);
	return v >= 0 && ((u32)v & 0xf0) > (lapic_ppr(l) & 0xf0) ? v : -1;
}

int lapic_acknowledge(struct lapic *l)
{
	int v = lapic_pending(l);

	if (!lapic_enabled(l))
		return -1;
	if (v < 0)
		return (int)(l->svr & 0xff);
	vector_clear(l->irr, (unsigned)v);
	vector_set(l->isr, (unsigned)v);
	return v;
}

bool lapic_accepts_extint(const struct lapic *l)
{
	u32 lint0 = l->lvt[LAPIC_LVT_LINT0];

	if (!lapic_enabled(l) || l->extint)
		return true;
	return !(lint0 & LVT_MASKED) && bits(lint0, 10, 8) == MODE_EXTINT;
}

void lapic_extint_taken(struct lapic *l)
{
	l->extint = 0;
}

void lapic_eoi(struct lapic *l)
{
	int v = vector_highest(l->isr);
	u32 *lint0 = &l->lvt[LAPIC_LVT_LINT0];

	if (v < 0)
		return;
	vector_clear(l->isr, (unsigned)v);
	if (vector_test(l->tmr, (unsigned)v) && !(l->svr & SVR_EOI_SUPPRESS))
		l->wires.eoi(l->wires.owner, (u8)v);
	if ((*lint0 & LVT_REMOTE_IRR) && (*lint0 & 0xff) == (u32)v) {
		*lint0 &= ~LVT_REMOTE_IRR;
		if (l->lint & 1)
			lapic_deliver_lvt(l, LAPIC_LVT_LINT0);
	}
	l->wires.intr_changed(l->wires.owner);
}

/* Local vector table: "Handling Local Interrupts" */

static bool lvt_has_mode(enum lapic_lvt which)
{
	return which != LAPIC_LVT_TIMER && which != LAPIC_LVT_ERROR;
}

/* LINT0 alone can be level-sensitive; its remote IRR holds back further requests until EOI. */
static void deliver_lvt_fixed(struct lapic *l, enum lapic_lvt which)
{
	u32 *entry = &l->lvt[which];
	bool level = which == LAPIC_LVT_LINT0 && (*entry & LVT_LEVEL);

	if (*entry & LVT_REMOTE_IRR)
		return;
	if (level && (*entry & 0xff) >= 16)
		*entry |= LVT_REMOTE_IRR;
	lapic_request(l, *entry & 0xff, level);
}

void lapic_deliver_lvt(struct lapic *l, enum lapic_lvt which)
{
	u32 entry = l->lvt[which];
	unsigned mode = lvt_has_mode(which) ? (unsigned)bits(entry, 10, 8) : MODE_FIXED;

	if (!lapic_enabled(l) || (entry & LVT_MASKED))
		return;
	if (which == LAPIC_LVT_PERF)
		l->lvt[which] |= LVT_MASKED;
	if (mode == MODE_FIXED)
		deliver_lvt_fixed(l, which);
	else if (mode == MODE_SMI)
		l->wires.smi(l->wires.owner);
	else if (mode == MODE_NMI)
		l->wires.nmi(l->wires.owner);
	else if (mode == MODE_INIT)
		l->wires.init(l->wires.owner);
	else if (mode == MODE_EXTINT)
		l->wires.intr_changed(l->wires.owner);
}

void lapic_local_event(struct lapic *l, enum lapic_lvt which)
{
	if (which == LAPIC_LVT_THERMAL || which == LAPIC_LVT_PERF ||
	    (which == LAPIC_LVT_CMCI && l->has_cmci))
		lapic_deliver_lvt(l, which);
}

static bool lint0_level_mode(const struct lapic *l)
{
	u32 entry = l->lvt[LAPIC_LVT_LINT0];

	return (entry & LVT_LEVEL) && bits(entry, 10, 8) == MODE_FIXED;
}

void lapic_set_lint(void *lapic, unsigned n, bool level)
{
	struct lapic *l = lapic;
	bool was;

	if (n > 1)
		return;
	was = l->lint >> n & 1;
	l->lint = (u8)((l->lint & ~(1u << n)) | (unsigned)level << n);
	if (!lapic_enabled(l)) { /* the pins are INTR and NMI */
		if (n == 0)
			l->wires.intr_changed(l->wires.owner);
		else if (level && !was)
			l->wires.nmi(l->wires.owner);
		return;
	}
	if (level && (!was || (n == 0 && lint0_level_mode(l))))
		lapic_deliver_lvt(l, n ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0);
	else if (n == 0)
		l->wires.intr_changed(l->wires.owner);
}

/* Sending: "Issuing Interprocessor Interrupts" */

static void send(struct lapic *l, const struct apic_message *m)
{
	if (m->mode <= MODE_LOWEST && m->vector < 16)
		report_error(l, ESR_SEND_ILLEGAL_VECTOR);
	else
		l->wires.send(l->wires.owner, l, m);
}

static void send_icr(struct lapic *l)
{
	bool x2apic = lapic_in_x2apic(l);
	struct apic_message m = {
		.dest = (u32)(x2apic ? l->icr >> 32 : l->icr >> 56),
		.mode = (u8)bits(l->icr, 10, 8),
		.vector = (u8)l->icr,
		.logical = bits(l->icr, 11, 11),
		.assert_ = true,
		.x2apic = x2apic,
		.shorthand = (u8)bits(l->icr, 19, 18),
	};

	/* INIT level de-assert only synchronised arbitration IDs. */
	if (m.mode == MODE_INIT && bits(l->icr, 15, 14) == 2)
		return;
	send(l, &m);
}

static void send_self(struct lapic *l, u8 vector)
{
	struct apic_message m = {.vector = vector, .assert_ = true, .x2apic = true, .shorthand = 1};

	send(l, &m);
}

void lapic_notify(struct lapic *l, u32 ndst, u8 vector)
{
	if (!lapic_enabled(l))
		return;
	l->icr = vector;
	l->icr |= lapic_in_x2apic(l) ? (u64)ndst << 32 : (u64)(ndst >> 8 & 0xff) << 56;
	send_icr(l);
}

/* Registers */

u32 lapic_logical_id(const struct lapic *l)
{
	if (lapic_in_x2apic(l))
		return (l->id >> 4) << 16 | 1u << (l->id & 15);
	return l->ldr;
}

static u32 version(const struct lapic *l)
{
	u32 max_lvt = l->has_cmci ? LAPIC_LVT_CMCI : LAPIC_LVT_ERROR;

	return VERSION | max_lvt << 16 | (u32)l->has_eoi_suppress << 24;
}

static u32 register_read(const struct lapic *l, unsigned reg)
{
	if (reg >= REG_ISR && reg < REG_ISR + 8)
		return l->isr[reg - REG_ISR];
	if (reg >= REG_TMR && reg < REG_TMR + 8)
		return l->tmr[reg - REG_TMR];
	if (reg >= REG_IRR && reg < REG_IRR + 8)
		return l->irr[reg - REG_IRR];
	if (reg >= REG_LVT && reg <= REG_LVT_LAST)
		return l->lvt[reg - REG_LVT];
	switch (reg) {
	case REG_ID:
		return lapic_in_x2apic(l) ? l->id : (u32)l->xapic_id << 24;
	case REG_VERSION:
		return version(l);
	case REG_TPR:
		return l->tpr;
	case REG_PPR:
		return lapic_ppr(l);
	case REG_LDR:
		return lapic_logical_id(l);
	case REG_DFR:
		return l->dfr;
	case REG_SVR:
		return l->svr;
	case REG_ESR:
		return l->esr;
	case REG_CMCI:
		return l->lvt[LAPIC_LVT_CMCI];
	case REG_ICR:
		return (u32)l->icr;
	case REG_ICR_HIGH:
		return (u32)(l->icr >> 32);
	case REG_INITIAL:
		return l->timer_initial;
	case REG_CURRENT:
		return lapic_timer_current(l);
	case REG_DIVIDE:
		return l->timer_divide;
	default:
		return 0;
	}
}

static u32 svr_writable(const struct lapic *l)
{
	return 0xff | SVR_ENABLE | SVR_FOCUS | (l->has_eoi_suppress ? SVR_EOI_SUPPRESS : 0);
}

static u32 lvt_mask(const struct lapic *l, enum lapic_lvt which)
{
	u32 mask = lvt_writable[which];

	return which == LAPIC_LVT_TIMER && !l->has_tsc_deadline ? mask & ~0x40000u : mask;
}

static void write_svr(struct lapic *l, u32 v)
{
	l->svr = v & svr_writable(l);
	if (!lapic_software_enabled(l))
		for (unsigned i = 0; i < LAPIC_LVTS; i++)
			l->lvt[i] |= LVT_MASKED;
	l->wires.intr_changed(l->wires.owner);
}

static void write_lvt(struct lapic *l, enum lapic_lvt which, u32 v)
{
	unsigned mode = (unsigned)bits(v & lvt_mask(l, which), 18, 17);
	u32 keep = l->lvt[which] & LVT_REMOTE_IRR;

	if (which == LAPIC_LVT_TIMER && mode != lapic_timer_mode(l))
		lapic_write_timer_mode(l, mode);
	if (which == LAPIC_LVT_LINT0 && !(v & LVT_LEVEL))
		keep = 0;
	l->lvt[which] = (v & lvt_mask(l, which)) | keep;
	if (!lapic_software_enabled(l))
		l->lvt[which] |= LVT_MASKED;
	if (which == LAPIC_LVT_LINT0 && (l->lint & 1) && lint0_level_mode(l))
		lapic_deliver_lvt(l, which);
	l->wires.intr_changed(l->wires.owner);
}

static void write_esr(struct lapic *l)
{
	l->esr = l->esr_pending;
	l->esr_pending = 0;
}

static void register_write(struct lapic *l, unsigned reg, u32 v)
{
	if (reg >= REG_LVT && reg <= REG_LVT_LAST) {
		write_lvt(l, (enum lapic_lvt)(reg - REG_LVT), v);
		return;
	}
	switch (reg) {
	case REG_ID:
		l->xapic_id = (u8)(v >> 24);
		break;
	case REG_TPR:
		l->tpr = v & 0xff;
		l->wires.intr_changed(l->wires.owner);
		break;
	case REG_EOI:
		lapic_eoi(l);
		break;
	case REG_LDR:
		l->ldr = v & 0xff000000;
		break;
	case REG_DFR:
		l->dfr = v | 0x0fffffff;
		break;
	case REG_SVR:
		write_svr(l, v);
		break;
	case REG_ESR:
		write_esr(l);
		break;
	case REG_CMCI:
		write_lvt(l, LAPIC_LVT_CMCI, v);
		break;
	case REG_ICR:
		l->icr = (l->icr & ~0xffffffffull) | (v & ICR_LOW_MASK);
		send_icr(l);
		break;
	case REG_ICR_HIGH:
		l->icr = (l->icr & 0xffffffff) | (u64)(v & 0xff000000) << 32;
		break;
	case REG_INITIAL:
		if (lapic_timer_mode(l) > TIMER_PERIODIC)
			break;
		l->timer_initial = v;
		lapic_timer_start(l, v);
		break;
	case REG_DIVIDE:
		lapic_write_divide(l, v);
		break;
	default: /* read-only */
		break;
	}
}

u64 lapic_mmio_read(void *lapic, u64 offset, unsigned size)
{
	struct lapic *l = lapic;
	unsigned reg = (unsigned)(offset >> 4) & 0xff;

	if (!lapic_enabled(l) || lapic_in_x2apic(l))
		return size_mask(size);
	if (!register_allows(l, reg, R)) {
		report_error(l, ESR_ILLEGAL_REGISTER);
		return 0;
	}
	if ((offset & 15) >= 4)
		return 0;
	return register_read(l, reg) >> (8 * (offset & 3)) & size_mask(size);
}

/* Registers take whole 32-bit writes only; what else may come changes nothing. */
void lapic_mmio_write(void *lapic, u64 offset, u64 value, unsigned size)
{
	struct lapic *l = lapic;
	unsigned reg = (unsigned)(offset >> 4) & 0xff;

	if (!lapic_enabled(l) || lapic_in_x2apic(l))
		return;
	if (!register_allows(l, reg, W))
		report_error(l, ESR_ILLEGAL_REGISTER);
	else if (!(offset & 15) && size >= 4)
		register_write(l, reg, (u32)value);
}

/* MSRs: "x2APIC Register Address Space", "Reserved Bit Checking" */

/* Bits that a WRMSR may set without #GP. */
static u64 x2apic_allowed(const struct lapic *l, unsigned reg)
{
	if (reg >= REG_LVT && reg <= REG_LVT_LAST) {
		enum lapic_lvt which = (enum lapic_lvt)(reg - REG_LVT);
		bool lint = which == LAPIC_LVT_LINT0 || which == LAPIC_LVT_LINT1;

		return lvt_mask(l, which) | LVT_STATUS | (lint ? LVT_REMOTE_IRR : 0);
	}
	switch (reg) {
	case REG_TPR:
	case REG_SELF_IPI:
		return 0xff;
	case REG_SVR:
		return svr_writable(l);
	case REG_CMCI:
		return lvt_mask(l, LAPIC_LVT_CMCI) | LVT_STATUS;
	case REG_ICR:
		return ~0xffffffffull | ICR_LOW_MASK | ICR_STATUS;
	case REG_INITIAL:
		return 0xffffffff;
	case REG_DIVIDE:
		return DIVIDE_MASK;
	default: /* EOI, ESR: zero only */
		return 0;
	}
}

static enum lapic_result x2apic_read(struct lapic *l, unsigned reg, u64 *value)
{
	if (!lapic_in_x2apic(l) || !register_allows(l, reg, XR))
		return LAPIC_GP;
	*value = reg == REG_ICR ? l->icr : register_read(l, reg);
	return LAPIC_OK;
}

static enum lapic_result x2apic_write(struct lapic *l, unsigned reg, u64 value)
{
	if (!lapic_in_x2apic(l) || !register_allows(l, reg, XW))
		return LAPIC_GP;
	if (value & ~x2apic_allowed(l, reg))
		return LAPIC_GP;
	if (reg == REG_ICR) {
		l->icr = value & (~0xffffffffull | ICR_LOW_MASK);
		send_icr(l);
	} else if (reg == REG_SELF_IPI) {
		send_self(l, (u8)value);
	} else {
		register_write(l, reg, (u32)value);
	}
	return LAPIC_OK;
}

/* "x2APIC State Transitions" */
static bool transition_legal(u64 from, u64 to)
{
	bool was_on = from & LAPIC_BASE_EN, was_ext = from & LAPIC_BASE_EXTD;
	bool on = to & LAPIC_BASE_EN, ext = to & LAPIC_BASE_EXTD;

	if (ext && !on)
		return false;
	if (!was_on && ext) /* disabled to x2APIC must pass through xAPIC */
		return false;
	return !(was_ext && on && !ext); /* out of x2APIC only by disabling */
}

static void clear_registers(struct lapic *l);

static enum lapic_result write_base(struct lapic *l, u64 value)
{
	u64 address = bits(~0ull, l->phys_bits - 1u, 0) & ~0xfffull;
	u64 legal = address | LAPIC_BASE_BSP | LAPIC_BASE_EN;
	u64 old = l->base;

	if (l->has_x2apic)
		legal |= LAPIC_BASE_EXTD;
	if ((value & ~legal) || !transition_legal(old, value))
		return LAPIC_GP;
	l->base = value;
	if ((old & LAPIC_BASE_EN) && !(value & LAPIC_BASE_EN)) {
		clear_registers(l);
		l->xapic_id = (u8)l->id;
	}
	if (!(old & LAPIC_BASE_EXTD) && (value & LAPIC_BASE_EXTD)) {
		l->ldr = 0;
		l->xapic_id = (u8)l->id;
		l->icr &= 0xffffffff;
	}
	if (value != old)
		l->wires.base_changed(l->wires.owner);
	l->wires.intr_changed(l->wires.owner);
	return LAPIC_OK;
}

enum lapic_result lapic_msr_read(struct lapic *l, u32 msr, u64 *value)
{
	if (msr == MSR_IA32_APIC_BASE) {
		*value = l->base;
		return LAPIC_OK;
	}
	if (msr == MSR_IA32_TSC_DEADLINE && l->has_tsc_deadline) {
		*value = l->tsc_deadline;
		return LAPIC_OK;
	}
	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
		return x2apic_read(l, msr - MSR_X2APIC_FIRST, value);
	return LAPIC_GP;
}

enum lapic_result lapic_msr_write(struct lapic *l, u32 msr, u64 value)
{
	if (msr == MSR_IA32_APIC_BASE)
		return write_base(l, value);
	if (msr == MSR_IA32_TSC_DEADLINE && l->has_tsc_deadline) {
		lapic_write_tsc_deadline(l, value);
		return LAPIC_OK;
	}
	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
		return x2apic_write(l, msr - MSR_X2APIC_FIRST, value);
	return LAPIC_GP;
}

u64 lapic_get_tpr(const struct lapic *l)
{
	return l->tpr >> 4;
}

void lapic_set_tpr(struct lapic *l, u64 cr8)
{
	l->tpr = (u32)(cr8 & 15) << 4;
	l->wires.intr_changed(l->wires.owner);
}

/* Reset: "Local APIC State After Power-Up or Reset", "... After an INIT Reset" */

static void clear_registers(struct lapic *l)
{
	l->tpr = l->ldr = 0;
	l->dfr = 0xffffffff;
	l->svr = 0xff;
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	memset(l->irr, 0, sizeof(l->irr));
	l->esr = l->esr_pending = 0;
	l->icr = 0;
	for (unsigned i = 0; i < LAPIC_LVTS; i++)
		l->lvt[i] = LVT_MASKED;
	l->timer_initial = l->timer_divide = l->timer_first = 0;
	l->timer_start = l->timer_expiries = l->tsc_deadline = 0;
	l->extint = 0;
	timer_cancel(l->device.env.clock, &l->timer);
}

void lapic_reset(struct lapic *l, bool init)
{
	u64 old = l->base;

	clear_registers(l);
	if (!init) {
		l->xapic_id = (u8)l->id;
		l->base = LAPIC_DEFAULT_BASE | LAPIC_BASE_EN | (l->bsp ? LAPIC_BASE_BSP : 0);
	}
	if (l->base != old)
		l->wires.base_changed(l->wires.owner);
	l->wires.intr_changed(l->wires.owner);
}

void lapic_set_virtual_wire(struct lapic *l)
{
	write_svr(l, SVR_ENABLE | 0xff);
	write_lvt(l, LAPIC_LVT_LINT0, MODE_EXTINT << 8);
	write_lvt(l, LAPIC_LVT_LINT1, MODE_NMI << 8);
}

static void lapic_class_reset(struct device *d)
{
	lapic_reset((struct lapic *)d, false);
}

static void lapic_init(struct device *d)
{
	struct lapic *l = (struct lapic *)d;

	if (!l->timer_hz)
		l->timer_hz = CORE_CRYSTAL_HZ;
	if (l->timer_hz > MAX_TIMER_HZ)
		l->timer_hz = MAX_TIMER_HZ;
	if (l->phys_bits < 32 || l->phys_bits > 52)
		l->phys_bits = 46;
	timer_init(&l->timer, lapic_timer_fire, l);
	l->io = (struct io_region){
		.name = "lapic",
		.base = l->io.base,
		.len = 0x1000,
		.min = 4,
		.max = 4,
		.read = lapic_mmio_read,
		.write = lapic_mmio_write,
		.owner = l,
	};
}

static bool base_valid(const struct lapic *l)
{
	u64 address = bits(~0ull, l->phys_bits - 1u, 0) & ~0xfffull;
	u64 flags = l->base & ~address;

	if (flags & ~(LAPIC_BASE_BSP | LAPIC_BASE_EN | LAPIC_BASE_EXTD))
		return false;
	return !(flags & LAPIC_BASE_EXTD) || (l->has_x2apic && (flags & LAPIC_BASE_EN));
}

static bool lapic_post_load(struct device *d)
{
	struct lapic *l = (struct lapic *)d;

	if (!base_valid(l) || !lapic_timer_valid(l) || l->lint > 3 || l->extint > 1 ||
	    l->tpr > 0xff || (l->svr & ~svr_writable(l)) || l->isr[0] & 0xffff ||
	    l->irr[0] & 0xffff)
		return false;
	for (unsigned i = 0; i < LAPIC_LVTS; i++)
		if (l->lvt[i] & ~(lvt_mask(l, (enum lapic_lvt)i) | LVT_REMOTE_IRR))
			return false;
	lapic_timer_arm(l);
	l->wires.base_changed(l->wires.owner);
	l->wires.intr_changed(l->wires.owner);
	return true;
}

static const struct state_field lapic_state[] = {
	STATE_FIELD(struct lapic, base),	 STATE_FIELD(struct lapic, xapic_id),
	STATE_FIELD(struct lapic, tpr),		 STATE_FIELD(struct lapic, ldr),
	STATE_FIELD(struct lapic, dfr),		 STATE_FIELD(struct lapic, svr),
	STATE_ARRAY(struct lapic, isr, isr[0]),	 STATE_ARRAY(struct lapic, tmr, tmr[0]),
	STATE_ARRAY(struct lapic, irr, irr[0]),	 STATE_FIELD(struct lapic, esr),
	STATE_FIELD(struct lapic, esr_pending),	 STATE_FIELD(struct lapic, icr),
	STATE_ARRAY(struct lapic, lvt, lvt[0]),	 STATE_FIELD(struct lapic, timer_initial),
	STATE_FIELD(struct lapic, timer_divide), STATE_FIELD(struct lapic, timer_first),
	STATE_FIELD(struct lapic, timer_start),	 STATE_FIELD(struct lapic, timer_expiries),
	STATE_FIELD(struct lapic, tsc_deadline), STATE_FIELD(struct lapic, lint),
	STATE_FIELD(struct lapic, extint),	 STATE_END,
};

const struct device_class lapic_class = {
	.name = "lapic",
	.size = sizeof(struct lapic),
	.state = lapic_state,
	.init = lapic_init,
	.reset = lapic_class_reset,
	.post_load = lapic_post_load,
};
