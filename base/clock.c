/*
 * Virtual timers in one sorted list: a PC has about a dozen armed at a time.
 */
#include "base/bits.h"
#include "base/clock.h"

static void unlink_timer(struct clock *c, struct timer *t)
{
	struct timer **p = &c->head;

	while (*p && *p != t)
		p = &(*p)->next;
	if (*p)
		*p = t->next;
	t->armed = false;
	t->next = NULL;
}

void timer_set(struct clock *c, struct timer *t, u64 deadline)
{
	struct timer **p = &c->head;

	if (t->armed)
		unlink_timer(c, t);
	while (*p && (*p)->deadline <= deadline)
		p = &(*p)->next;
	t->next = *p;
	t->deadline = deadline;
	t->armed = true;
	*p = t;
	if (c->head == t && c->earlier)
		c->earlier(c->owner);
}

void timer_cancel(struct clock *c, struct timer *t)
{
	if (t->armed)
		unlink_timer(c, t);
}

u64 clock_next(const struct clock *c)
{
	return c->head ? c->head->deadline : CLOCK_NEVER;
}

static unsigned count_due(const struct clock *c, u64 now)
{
	unsigned n = 0;

	for (const struct timer *t = c->head; t && t->deadline <= now; t = t->next)
		n++;
	return n;
}

void clock_run(struct clock *c)
{
	u64 now = clock_now(c);

	/* Bounded by what was due at the start: a handler may re-arm itself for the past. */
	for (unsigned n = count_due(c, now); n && c->head && c->head->deadline <= now; n--) {
		struct timer *t = c->head;

		c->head = t->next;
		t->next = NULL;
		t->armed = false;
		t->fire(t->owner, now);
	}
}

u64 clock_ns_to_ticks(u64 ns, u64 hz)
{
	return muldiv64(ns, hz, 1000000000);
}

u64 clock_ticks_to_ns(u64 ticks, u64 hz)
{
	return (u64)(((u128)ticks * 1000000000 + hz - 1) / hz);
}
