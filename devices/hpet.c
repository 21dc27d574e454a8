/*
 * HPET. IA-PC HPET specification 1.0a, "Register Model Overview" and "Theory of Operation". Edges
 * are driven low, then high, and stay high, so that an 8259A keeps the request. Left out: FSB
 * (message) delivery, which the capability bits deny.
 */
#include "base/bits.h"
#include "devices/hpet.h"

#define FLOOR_NS 1000u
#define TICK_NS (HPET_PERIOD_FS / 1000000u)
#define NEVER_TICKS (1ull << 56) /* further than virtual time goes */

#define REG_CAPABILITIES 0x000
#define REG_CONFIG 0x010
#define REG_STATUS 0x020
#define REG_COUNTER 0x0f0
#define REG_TIMERS 0x100
#define TIMER_STRIDE 0x20

#define CAPABILITIES ((u64)HPET_PERIOD_FS << 32 | 0x8086a001u | (HPET_TIMERS - 1) << 8)
#define CONFIG_ENABLE 0x1u
#define CONFIG_LEGACY 0x2u

#define TN_LEVEL 0x0002u
#define TN_ENABLE 0x0004u
#define TN_PERIODIC 0x0008u
#define TN_CAPS 0x0030u /* periodic, 64 bits */
#define TN_VAL_SET 0x0040u
#define TN_32BIT 0x0100u
#define TN_ROUTE 0x3e00u
#define TN_WRITABLE (TN_LEVEL | TN_ENABLE | TN_PERIODIC | TN_32BIT | TN_ROUTE)

static u64 hpet_now(const struct hpet *h)
{
	return clock_now(h->device.env.clock);
}

static bool enabled(const struct hpet *h)
{
	return h->config & CONFIG_ENABLE;
}

static u64 counter(const struct hpet *h)
{
	return h->counter + (enabled(h) ? (hpet_now(h) - h->base_ns) / TICK_NS : 0);
}

static u64 width_mask(const struct hpet_timer *t)
{
	return t->config & TN_32BIT ? 0xffffffff : ~0ull;
}

/* Interrupt lines */

static const struct irq_line unconnected;

static const struct irq_line *wire(const struct hpet_timer *t)
{
	const struct hpet *h = t->hpet;
	unsigned pin = (unsigned)bits(t->config, 13, 9);

	if ((h->config & CONFIG_LEGACY) && t->n < ARRAY_SIZE(h->legacy))
		return &h->legacy[t->n];
	return h->routes >> pin & 1 ? &h->route[pin] : &unconnected;
}

static void drive(struct hpet_timer *t, bool level)
{
	if (t->level != level) {
		t->level = level;
		irq_set(wire(t), level);
	}
}

/* A level interrupt follows its status bit; an edge stays up once raised. */
static void update_line(struct hpet_timer *t)
{
	if (!(t->config & TN_ENABLE))
		drive(t, false);
	else if (t->config & TN_LEVEL)
		drive(t, t->hpet->status >> t->n & 1);
}

static void interrupt(struct hpet_timer *t)
{
	if (t->config & TN_LEVEL) {
		t->hpet->status |= BIT(t->n);
		update_line(t);
	} else if (t->config & TN_ENABLE) {
		drive(t, false);
		drive(t, true);
	}
}

/* Comparators */

static void arm(struct hpet_timer *t, u64 soonest)
{
	struct hpet *h = t->hpet;
	u64 ticks = t->target - h->counter;
	u64 at = (s64)ticks < 0 ? 0 : h->base_ns + ticks * TICK_NS; /* a match can be overdue */

	if (!enabled(h) || !t->armed)
		timer_cancel(h->device.env.clock, &t->timer);
	else
		timer_set(h->device.env.clock, &t->timer, at > soonest ? at : soonest);
}

/* Waits for the next time that the counter equals the comparator, the present tick included. */
static void aim(struct hpet_timer *t)
{
	u64 now = counter(t->hpet), distance = (t->comparator - now) & width_mask(t);

	t->target = now + distance;
	t->armed = distance <= NEVER_TICKS;
	arm(t, 0);
}

/* After a match. Periods shorter than the floor merge. */
static void next_match(struct hpet_timer *t, u64 time)
{
	u64 late = counter(t->hpet) - t->target, step;

	if ((t->config & TN_PERIODIC) && t->period) {
		step = (late / t->period + 1) * t->period;
		t->comparator = (t->comparator + step) & width_mask(t);
	} else if (t->config & TN_32BIT) {
		step = (late >> 32 << 32) + BIT(32);
	} else {
		t->armed = 0;
		return;
	}
	t->target += step;
	t->armed = step <= NEVER_TICKS;
	arm(t, time + FLOOR_NS);
}

static void hpet_fire(void *owner, u64 now)
{
	struct hpet_timer *t = owner;

	if ((s64)(counter(t->hpet) - t->target) <
	    0) { /* a state file may have brought odd phases */
		arm(t, now + FLOOR_NS);
		return;
	}
	next_match(t, now);
	interrupt(t);
}

/* Registers */

static u64 timer_read(const struct hpet_timer *t, u64 reg)
{
	u64 routes = (u64)t->hpet->routes << 32;

	switch (reg) {
	case 0x00:
		return t->config | TN_CAPS | routes;
	case 0x08:
		return t->comparator;
	default:
		return 0;
	}
}

static void write_timer_config(struct hpet_timer *t, u64 v)
{
	u64 old = t->config;
	unsigned route = (unsigned)bits(v, 13, 9);

	if (!(t->hpet->routes >> route & 1)) /* a pin it cannot reach: the field stays */
		v = (v & ~(u64)TN_ROUTE) | (old & TN_ROUTE);
	if (((old ^ v) & (TN_ROUTE | TN_LEVEL)) || !(v & TN_ENABLE))
		drive(t, false);
	t->val_set = (v & TN_VAL_SET) && (v & TN_PERIODIC);
	t->config = v & TN_WRITABLE;
	t->comparator &= width_mask(t);
	t->period &= width_mask(t);
	if ((old ^ v) & (TN_PERIODIC | TN_32BIT))
		aim(t);
	update_line(t);
}

/* In periodic mode a write sets the period; after VAL_SET the comparator as well. */
static void write_comparator(struct hpet_timer *t, u64 v)
{
	bool periodic = t->config & TN_PERIODIC;

	v &= width_mask(t);
	if (periodic)
		t->period = v;
	if (periodic && !t->val_set)
		return;
	t->val_set = 0;
	t->comparator = v;
	aim(t);
}

static void aim_all(struct hpet *h)
{
	for (unsigned i = 0; i < HPET_TIMERS; i++)
		aim(&h->timer[i]);
}

static void write_counter(struct hpet *h, u64 v)
{
	h->counter = v;
	h->base_ns = hpet_now(h);
	aim_all(h);
}

static void write_config(struct hpet *h, u64 v)
{
	bool legacy = (h->config ^ v) & CONFIG_LEGACY;
	u64 now = counter(h);

	if (legacy) /* lines move: let go of the old ones */
		for (unsigned i = 0; i < HPET_TIMERS; i++)
			drive(&h->timer[i], false);
	h->config = v & (CONFIG_ENABLE | CONFIG_LEGACY);
	h->counter = now;
	h->base_ns = hpet_now(h);
	for (unsigned i = 0; i < HPET_TIMERS; i++)
		arm(&h->timer[i], 0);
	if (legacy && h->legacy_changed)
		h->legacy_changed(h->legacy_owner, v & CONFIG_LEGACY);
	for (unsigned i = 0; i < HPET_TIMERS; i++)
		update_line(&h->timer[i]);
}

static void write_status(struct hpet *h, u64 v)
{
	h->status &= ~v;
	for (unsigned i = 0; i < HPET_TIMERS; i++)
		update_line(&h->timer[i]);
}

static struct hpet_timer *timer_at(struct hpet *h, u64 reg)
{
	u64 n = (reg - REG_TIMERS) / TIMER_STRIDE;

	return reg >= REG_TIMERS && n < HPET_TIMERS ? &h->timer[n] : NULL;
}

static u64 register_read(struct hpet *h, u64 reg)
{
	const struct hpet_timer *t = timer_at(h, reg);

	if (t)
		return timer_read(t, reg % TIMER_STRIDE);
	switch (reg) {
	case REG_CAPABILITIES:
		return CAPABILITIES;
	case REG_CONFIG:
		return h->config;
	case REG_STATUS:
		return h->status;
	case REG_COUNTER:
		return counter(h);
	default:
		return 0;
	}
}

/* v: the whole register as it shall be; for the status register only written bits are set. */
static void register_write(struct hpet *h, u64 reg, u64 v)
{
	struct hpet_timer *t = timer_at(h, reg);

	if (t && reg % TIMER_STRIDE == 0)
		write_timer_config(t, v);
	else if (t && reg % TIMER_STRIDE == 8)
		write_comparator(t, v);
	else if (reg == REG_CONFIG)
		write_config(h, v);
	else if (reg == REG_STATUS)
		write_status(h, v);
	else if (reg == REG_COUNTER)
		write_counter(h, v);
}

static u64 hpet_read(void *owner, u64 offset, unsigned size)
{
	return register_read(owner, offset & ~7ull) >> (8 * (offset & 4)) & size_mask(size);
}

/* What the half of a register that is not written contributes. */
static u64 other_half(struct hpet *h, u64 reg)
{
	const struct hpet_timer *t = timer_at(h, reg);

	if (reg == REG_STATUS)
		return 0;
	if (t && reg % TIMER_STRIDE == 8 && (t->config & TN_PERIODIC) && !t->val_set)
		return t->period;
	return register_read(h, reg);
}

static void hpet_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct hpet *h = owner;
	u64 reg = offset & ~7ull;

	if (size == 4 && (offset & 4) && timer_at(h, reg) && reg % TIMER_STRIDE == 0)
		return; /* the upper half is read-only; the lower has a bit that cannot be read */
	if (size == 4 && (offset & 4))
		value = (other_half(h, reg) & 0xffffffff) | value << 32;
	else if (size == 4)
		value |= other_half(h, reg) & ~0xffffffffull;
	register_write(h, reg, value);
}

static void hpet_init(struct device *d)
{
	struct hpet *h = (struct hpet *)d;

	if (!h->routes)
		h->routes = HPET_DEFAULT_ROUTES;
	h->routes &= 0xffffff;
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		h->timer[i].hpet = h;
		h->timer[i].n = i;
		timer_init(&h->timer[i].timer, hpet_fire, &h->timer[i]);
	}
	h->io = (struct io_region){
		.name = "hpet",
		.base = h->io.base,
		.len = 0x400,
		.min = 4,
		.max = 8,
		.read = hpet_read,
		.write = hpet_write,
		.owner = h,
	};
}

static void hpet_reset(struct device *d)
{
	struct hpet *h = (struct hpet *)d;
	bool legacy = h->config & CONFIG_LEGACY;

	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		struct hpet_timer *t = &h->timer[i];

		drive(t, false);
		timer_cancel(h->device.env.clock, &t->timer);
		t->config = t->period = t->target = 0;
		t->comparator = ~0ull;
		t->val_set = t->armed = 0;
	}
	h->config = h->status = h->counter = 0;
	h->base_ns = hpet_now(h);
	if (legacy && h->legacy_changed)
		h->legacy_changed(h->legacy_owner, false);
}

static bool timer_valid(const struct hpet_timer *t)
{
	s64 distance = (s64)(t->target - t->hpet->counter);

	if (t->armed && distance > (s64)NEVER_TICKS)
		return false;
	return !(t->config & ~(u64)TN_WRITABLE) && t->comparator <= width_mask(t) &&
	       t->period <= width_mask(t) && t->val_set <= 1 && t->armed <= 1 && t->level <= 1;
}

static bool hpet_post_load(struct device *d)
{
	struct hpet *h = (struct hpet *)d;

	if (h->config & ~(u64)(CONFIG_ENABLE | CONFIG_LEGACY) || h->status >> HPET_TIMERS ||
	    h->base_ns > hpet_now(h))
		return false;
	for (unsigned i = 0; i < HPET_TIMERS; i++)
		if (!timer_valid(&h->timer[i]))
			return false;
	if (h->legacy_changed)
		h->legacy_changed(h->legacy_owner, h->config & CONFIG_LEGACY);
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		irq_set(wire(&h->timer[i]), h->timer[i].level);
		arm(&h->timer[i], 0);
	}
	return true;
}

#define HPET_TIMER_STATE(i)                                                                        \
	STATE_FIELD(struct hpet, timer[i].config), STATE_FIELD(struct hpet, timer[i].comparator),  \
		STATE_FIELD(struct hpet, timer[i].period),                                         \
		STATE_FIELD(struct hpet, timer[i].val_set),                                        \
		STATE_FIELD(struct hpet, timer[i].armed),                                          \
		STATE_FIELD(struct hpet, timer[i].target),                                         \
		STATE_FIELD(struct hpet, timer[i].level)

static const struct state_field hpet_state[] = {
	STATE_FIELD(struct hpet, config),
	STATE_FIELD(struct hpet, status),
	STATE_FIELD(struct hpet, counter),
	STATE_FIELD(struct hpet, base_ns),
	HPET_TIMER_STATE(0),
	HPET_TIMER_STATE(1),
	HPET_TIMER_STATE(2),
	STATE_END,
};

const struct device_class hpet_class = {
	.name = "hpet",
	.size = sizeof(struct hpet),
	.state = hpet_state,
	.init = hpet_init,
	.reset = hpet_reset,
	.post_load = hpet_post_load,
};
