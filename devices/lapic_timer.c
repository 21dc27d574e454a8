/*
 * The timer of the local APIC: one-shot, periodic and TSC-deadline. SDM volume 3, "APIC Timer".
 * Counts are in units of the divided clock. Expiries are computed from the start of the count, so
 * that rounding to nanoseconds never adds up.
 */
#include "base/bits.h"
#include "devices/lapic_internal.h"

#define TIMER_FLOOR_NS 1000u

unsigned lapic_timer_mode(const struct lapic *l)
{
	return (unsigned)bits(l->lvt[LAPIC_LVT_TIMER], 18, 17);
}

static unsigned timer_shift(const struct lapic *l)
{
	u32 d = l->timer_divide;

	return (((d & 3) | (d >> 1 & 4)) + 1) & 7;
}

static u64 timer_elapsed(const struct lapic *l)
{
	return clock_ns_to_ticks(lapic_now(l) - l->timer_start, l->timer_hz) >> timer_shift(l);
}

u32 lapic_timer_current(const struct lapic *l)
{
	u64 e;

	if (!l->timer_first)
		return 0;
	e = timer_elapsed(l);
	if (e < l->timer_first)
		return (u32)(l->timer_first - e);
	if (lapic_timer_mode(l) != TIMER_PERIODIC || !l->timer_initial)
		return 0;
	return (u32)(l->timer_initial - (e - l->timer_first) % l->timer_initial);
}

static void timer_arm_count(struct lapic *l)
{
	u64 counts = l->timer_first + l->timer_expiries * l->timer_initial;
	u64 at = l->timer_start + clock_ticks_to_ns(counts << timer_shift(l), l->timer_hz);

	timer_set(l->device.env.clock, &l->timer, at);
}

void lapic_timer_arm(struct lapic *l)
{
	u64 at;

	timer_cancel(l->device.env.clock, &l->timer);
	if (l->timer_first) {
		timer_arm_count(l);
	} else if (l->tsc_deadline) {
		at = lapic_now(l);
		if (l->tsc_deadline > l->wires.tsc_now(l->wires.owner))
			at = l->wires.tsc_to_ns(l->wires.owner, l->tsc_deadline);
		timer_set(l->device.env.clock, &l->timer, at);
	}
}

void lapic_timer_start(struct lapic *l, u32 count)
{
	l->timer_first = count;
	l->timer_start = lapic_now(l);
	l->timer_expiries = 0;
	lapic_timer_arm(l);
}

/* A periodic timer shorter than the floor interrupts at the floor; missed periods merge. */
static void timer_next_period(struct lapic *l, u64 time)
{
	l->timer_expiries = (timer_elapsed(l) - l->timer_first) / l->timer_initial + 1;
	timer_arm_count(l);
	if (l->timer.deadline < time + TIMER_FLOOR_NS)
		timer_set(l->device.env.clock, &l->timer, time + TIMER_FLOOR_NS);
}

void lapic_timer_fire(void *owner, u64 time)
{
	struct lapic *l = owner;

	if (!l->timer_first && l->tsc_deadline > l->wires.tsc_now(l->wires.owner) &&
	    l->wires.tsc_to_ns(l->wires.owner, l->tsc_deadline) > time) {
		lapic_timer_arm(l); /* the TSC was moved back */
		return;
	}
	l->tsc_deadline = 0;
	if (l->timer_first && lapic_timer_mode(l) == TIMER_PERIODIC && l->timer_initial &&
	    timer_elapsed(l) >= l->timer_first)
		timer_next_period(l, time);
	else
		l->timer_first = 0;
	lapic_deliver_lvt(l, LAPIC_LVT_TIMER);
}

/* Before a change of rate or mode: what is due happens. */
static void timer_settle(struct lapic *l)
{
	if (l->timer_first && l->timer.armed && l->timer.deadline <= lapic_now(l)) {
		timer_cancel(l->device.env.clock, &l->timer);
		lapic_timer_fire(l, lapic_now(l));
	}
}

/* What remains counts on from here at the new rate. */
void lapic_write_divide(struct lapic *l, u32 v)
{
	bool counting = l->timer_first != 0;
	u32 left;

	timer_settle(l);
	left = lapic_timer_current(l);
	l->timer_divide = v & DIVIDE_MASK;
	if (counting)
		lapic_timer_start(l, left);
}

/* A periodic count as the one period it is in, so that it can go on in another mode. */
static void timer_drop_periods(struct lapic *l)
{
	u64 e = timer_elapsed(l), passed;

	if (e < l->timer_first || !l->timer_initial)
		return;
	passed = e - (e - l->timer_first) % l->timer_initial;
	l->timer_start += clock_ticks_to_ns(passed << timer_shift(l), l->timer_hz);
	l->timer_first = l->timer_initial;
	l->timer_expiries = 0;
}

/* "Transitioning between TSC-deadline mode and other timer modes also disarms the timer." */
void lapic_write_timer_mode(struct lapic *l, unsigned mode)
{
	timer_settle(l);
	if (l->timer_first && lapic_timer_mode(l) == TIMER_PERIODIC)
		timer_drop_periods(l);
	l->lvt[LAPIC_LVT_TIMER] = (l->lvt[LAPIC_LVT_TIMER] & ~0x60000u) | mode << 17;
	l->tsc_deadline = 0;
	if (mode > TIMER_PERIODIC)
		l->timer_first = 0;
	lapic_timer_arm(l);
}

void lapic_write_tsc_deadline(struct lapic *l, u64 v)
{
	if (lapic_timer_mode(l) != TIMER_TSC_DEADLINE)
		return;
	l->tsc_deadline = v;
	lapic_timer_arm(l);
}

void lapic_tsc_changed(struct lapic *l)
{
	if (l->tsc_deadline)
		lapic_timer_arm(l);
}

bool lapic_timer_valid(const struct lapic *l)
{
	u64 e;

	if ((l->timer_divide & ~DIVIDE_MASK) || (l->tsc_deadline && l->timer_first))
		return false;
	if (l->tsc_deadline && lapic_timer_mode(l) != TIMER_TSC_DEADLINE)
		return false;
	if (!l->timer_first)
		return true;
	if (lapic_timer_mode(l) > TIMER_PERIODIC || l->timer_start > lapic_now(l))
		return false;
	e = timer_elapsed(l);
	return l->timer_expiries == 0 ||
	       (l->timer_initial && l->timer_expiries <= e / l->timer_initial + 1);
}
