/*
 * Virtual time and timers. The unit is a nanosecond of guest time since reset. `now` is supplied by
 * the machine: a function of the instruction count in deterministic mode. Timers with equal
 * deadlines fire in the order in which they were armed, so a run repeats exactly.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/types.h"

#define CLOCK_NEVER UINT64_MAX
/* The processor's core crystal clock: the APIC timer counts it, CPUID leaf 15H tells its rate. As
 * fast as the APIC timer of KVM, so that two reads of a count differ. */
#define CORE_CRYSTAL_HZ 1000000000u

struct timer {
	struct timer *next;
	u64 deadline; /* ns; meaningful while armed */
	bool armed;
	void (*fire)(void *owner, u64 now);
	void *owner;
};

struct clock {
	u64 (*now)(void *owner);
	void (*earlier)(void *owner); /* told when the first deadline moved nearer; may be NULL */
	void *owner;
	struct timer *head; /* sorted by deadline */
};

static inline u64 clock_now(const struct clock *c)
{
	return c->now(c->owner);
}

static inline void timer_init(struct timer *t, void (*fire)(void *owner, u64 now), void *owner)
{
	t->next = NULL;
	t->deadline = CLOCK_NEVER;
	t->armed = false;
	t->fire = fire;
	t->owner = owner;
}

/* Arms (or re-arms) for an absolute time; a time in the past fires at the next clock_run. */
void timer_set(struct clock *c, struct timer *t, u64 deadline);
void timer_cancel(struct clock *c, struct timer *t);
/* First deadline, or CLOCK_NEVER. */
u64 clock_next(const struct clock *c);
/* Fires everything due at clock_now. A handler may arm timers, its own included; one that re-arms
 * itself for a time not after now fires again at the next clock_run, not in this one. */
void clock_run(struct clock *c);

/* Ticks of a `hz` clock elapsed after ns, and the first ns at which `ticks` have elapsed. */
u64 clock_ns_to_ticks(u64 ns, u64 hz);
u64 clock_ticks_to_ns(u64 ticks, u64 hz);

#endif
