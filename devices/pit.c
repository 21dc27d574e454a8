/*
 * 8254 programmable interval timer. Intel 82C54 datasheet, "Mode Definitions", "Read-Back Command".
 * Port 61h as in the 82371AB datasheet, "NMI Status and Control". A channel is never stepped: its
 * count and OUT are functions of the clock ticks since it was loaded. Left out: sound, and the
 * one-tick low pulses of modes 2 and 4 as a time of their own on OUT of channel 0 (they are driven
 * low and high in one go; registers show them exactly).
 */
#include "base/bits.h"
#include "devices/pit.h"

#define FLOOR_NS 1000u
#define REFRESH_TICKS 18u /* memory refresh request every 15.09 us */
#define MAX_COUNT 16665u  /* all BCD digits 15 */

#define PORT61_GATE2 0x01u
#define PORT61_WRITABLE 0x0fu

enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

static u64 tick_now(const struct pit *p)
{
	return clock_ns_to_ticks(clock_now(p->device.env.clock), PIT_HZ);
}

static bool reloads(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

static bool by_trigger(const struct pit_channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

/* The length of a count; 1 is not legal in modes 2 and 3 and acts as 2. */
static u32 length(const struct pit_channel *c)
{
	return reloads(c) && c->count < 2 ? 2 : c->count;
}

static u64 elapsed(const struct pit_channel *c, u64 t)
{
	if (!c->running)
		return c->held;
	return (s64)t < c->start ? 0 : t - (u64)c->start;
}

static u32 high_half(u32 n)
{
	return (n + 1) / 2;
}

static bool output(const struct pit_channel *c, u64 t)
{
	u64 e = elapsed(c, t);
	u32 n = length(c);

	if (!c->loaded)
		return c->mode != 0;
	switch (c->mode) {
	case 0:
		return e >= n;
	case 1:
		return !(c->triggered && e < n);
	case 2:
		return !c->running || e % n != n - 1;
	case 3:
		return !c->running || e % n < high_half(n);
	case 4:
		return e != n;
	default:
		return !(c->triggered && e == n);
	}
}

static u32 counter_number(const struct pit_channel *c, u64 t)
{
	u64 e = elapsed(c, t);
	u32 n = length(c), wrap = c->bcd ? 10000 : 0x10000;

	if (!c->loaded)
		return 0;
	if (c->mode == 2)
		return n - (u32)(e % n);
	if (c->mode == 3) {
		e %= n;
		return (n & ~1u) - 2 * (u32)(e < high_half(n) ? e : e - high_half(n));
	}
	return (n % wrap + wrap - (u32)(e % wrap)) % wrap;
}

static u16 to_bcd(u32 v)
{
	return (u16)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static u16 counter_bits(const struct pit_channel *c, u64 t)
{
	u32 v = counter_number(c, t);

	return c->bcd ? to_bcd(v) : (u16)v;
}

static u32 decode_count(const struct pit_channel *c, u16 v)
{
	u32 n = v;

	if (c->bcd)
		n = (v & 15u) + 10 * (v >> 4 & 15u) + 100 * (v >> 8 & 15u) + 1000 * (v >> 12 & 15u);
	if (n)
		return n;
	return c->bcd ? 10000 : 0x10000;
}

/* Taking over counts */

static void begin(struct pit_channel *c, u64 t)
{
	c->count = c->reload;
	c->pending = 0;
	c->start = (s64)t + 1; /* the next clock loads it */
	c->held = 0;
	c->running = c->gate || by_trigger(c);
}

/* First tick after t at which a mode 2 or 3 channel may take a new count: the end of the period, in
 * mode 3 also of the high half. */
static u64 next_boundary(const struct pit_channel *c, u64 t)
{
	u64 e = elapsed(c, t);
	u32 n = length(c);
	u64 into = e % n;

	if (c->mode == 3 && into < high_half(n))
		return (u64)(c->start + (s64)(e - into + high_half(n)));
	return (u64)(c->start + (s64)(e - into + n));
}

static void take_over(struct pit_channel *c)
{
	u64 before = elapsed(c, c->takeover - 1);
	bool to_low = c->mode == 3 && before % length(c) < high_half(length(c));

	c->count = c->reload;
	c->pending = 0;
	c->start = (s64)c->takeover - (to_low ? high_half(length(c)) : 0);
}

/* Whether OUT rises at a tick in (from, to]. */
static bool rises(const struct pit_channel *c, u64 from, u64 to)
{
	s64 first = c->start + (s64)length(c) + (c->mode == 4);
	s64 n = (s64)length(c), after;

	if (!c->loaded || !c->running || by_trigger(c) || (s64)to < first)
		return false;
	if (!reloads(c))
		return (s64)from < first;
	after = (s64)from < first ? first : first + ((s64)from - first) / n * n + n;
	return after <= (s64)to;
}

/* Brings a channel to tick `to`; true if OUT rose since `from`. */
static bool advance(struct pit_channel *c, u64 from, u64 to)
{
	bool rose = false;

	if (c->pending && reloads(c) && c->running && c->takeover <= to) {
		if (c->takeover > from)
			rose = rises(c, from, c->takeover);
		from = c->takeover > from ? c->takeover : from;
		take_over(c);
	}
	return rises(c, from, to) || rose;
}

/* OUT of channel 0 */

static u64 next_event(const struct pit_channel *c, u64 t)
{
	s64 first = c->start + (s64)length(c) + (c->mode == 4);

	if (!c->loaded || !c->running || by_trigger(c))
		return CLOCK_NEVER;
	if (reloads(c)) {
		u64 at = next_boundary(c, t);

		return c->pending && c->takeover < at ? c->takeover : at;
	}
	return first > (s64)t ? (u64)first : CLOCK_NEVER;
}

/* soonest keeps short periods from storming. An edge that came and went between two updates is held
 * up a moment, for its receiver to see. */
static void arm(struct pit *p, u64 t, u64 soonest)
{
	struct clock *clock = p->device.env.clock;
	u64 next = next_event(&p->ch[0], t);
	u64 at = next == CLOCK_NEVER ? CLOCK_NEVER : clock_ticks_to_ns(next, PIT_HZ);

	if (p->level0 != output(&p->ch[0], t))
		at = clock_now(clock) + FLOOR_NS;
	if (at == CLOCK_NEVER)
		timer_cancel(clock, &p->timer);
	else
		timer_set(clock, &p->timer, at > soonest ? at : soonest);
}

static void drive(struct pit *p, bool level)
{
	if (p->level0 != level) {
		p->level0 = level;
		irq_set(&p->out0, level);
	}
}

/* Brings all channels to now and OUT0 with them. */
static u64 update(struct pit *p)
{
	u64 t = tick_now(p);
	bool rose = advance(&p->ch[0], p->seen, t);

	p->seen = t;
	advance(&p->ch[1], t, t);
	advance(&p->ch[2], t, t);
	if (rose)
		drive(p, false);
	drive(p, rose || output(&p->ch[0], t));
	return t;
}

static void pit_fire(void *owner, u64 now)
{
	struct pit *p = owner;
	u64 t = update(p);

	arm(p, t, now + FLOOR_NS);
}

/* Registers */

static void write_count(struct pit_channel *c, u16 v, u64 t)
{
	c->reload = decode_count(c, v);
	c->pending = 1;
	if (by_trigger(c)) {
		if (!c->loaded)
			c->count = c->reload;
		c->loaded = 1;
	} else if (!c->loaded || !reloads(c)) {
		c->loaded = 1;
		begin(c, t);
	} else if (c->running) {
		c->takeover = next_boundary(c, t);
	}
}

static void write_counter(struct pit_channel *c, u8 v, u64 t)
{
	if (c->access == ACCESS_LOW) {
		write_count(c, v, t);
	} else if (c->access == ACCESS_HIGH) {
		write_count(c, (u16)(v << 8), t);
	} else if (!c->write_high) {
		c->write_latch = v;
		c->write_high = 1;
		if (c->mode == 0) /* the first byte stops the count and lowers OUT */
			c->loaded = 0;
	} else {
		c->write_high = 0;
		write_count(c, (u16)(c->write_latch | v << 8), t);
	}
}

static u8 read_latch(struct pit_channel *c)
{
	bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->latched == 1);

	c->latched--;
	return (u8)(high ? c->latch >> 8 : c->latch);
}

static u8 read_counter(struct pit_channel *c, u64 t)
{
	bool high = c->access == ACCESS_HIGH;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->latched)
		return read_latch(c);
	if (c->access == ACCESS_BOTH) {
		high = c->read_high;
		c->read_high = !high;
	}
	return (u8)(counter_bits(c, t) >> (high ? 8 : 0));
}

static void latch_count(struct pit_channel *c, u64 t)
{
	if (c->latched)
		return;
	c->latch = counter_bits(c, t);
	c->latched = c->access == ACCESS_BOTH ? 2 : 1;
}

static void latch_status(struct pit_channel *c, u64 t)
{
	bool null_count = !c->loaded || c->pending || (c->running && (s64)t < c->start);

	if (c->status_latched)
		return;
	c->status =
		(u8)(output(c, t) << 7 | null_count << 6 | c->access << 4 | c->mode << 1 | c->bcd);
	c->status_latched = 1;
}

static void read_back(struct pit *p, u8 v, u64 t)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(v >> (i + 1) & 1))
			continue;
		if (!(v & 0x20))
			latch_count(&p->ch[i], t);
		if (!(v & 0x10))
			latch_status(&p->ch[i], t);
	}
}

static void write_control(struct pit *p, u8 v, u64 t)
{
	struct pit_channel *c;
	u8 gate;

	if (v >> 6 == 3) {
		read_back(p, v, t);
		return;
	}
	c = &p->ch[v >> 6];
	gate = c->gate;
	if ((v >> 4 & 3) == ACCESS_LATCH) {
		latch_count(c, t);
		return;
	}
	memset(c, 0, sizeof(*c));
	c->gate = gate;
	c->count = c->reload = 0x10000;
	c->access = v >> 4 & 3;
	c->mode = v >> 1 & 7;
	if (c->mode > 5)
		c->mode &= 3;
	c->bcd = v & 1;
}

static void set_gate(struct pit_channel *c, bool level, u64 t)
{
	bool rising = level && !c->gate;

	if (level == c->gate)
		return;
	if (!level && !by_trigger(c)) {
		c->held = elapsed(c, t);
		c->running = 0;
	}
	c->gate = level;
	if (!rising || !c->loaded)
		return;
	if (by_trigger(c)) {
		c->triggered = 1;
		begin(c, t);
	} else if (reloads(c)) {
		begin(c, t);
	} else {
		c->running = 1;
		c->start = (s64)t - (s64)c->held;
	}
}

static u64 pit_read(void *owner, u64 offset, unsigned size)
{
	struct pit *p = owner;
	u64 t = update(p);

	(void)size;
	return offset < 3 ? read_counter(&p->ch[offset], t) : 0xff;
}

static void pit_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct pit *p = owner;
	u64 t = update(p);

	(void)size;
	if (offset < 3)
		write_counter(&p->ch[offset], (u8)value, t);
	else
		write_control(p, (u8)value, t);
	drive(p, output(&p->ch[0], t));
	arm(p, t, 0);
}

static u64 port61_read(void *owner, u64 offset, unsigned size)
{
	struct pit *p = owner;
	u64 t = update(p);

	(void)offset;
	(void)size;
	return (u64)(p->port61 | (t / REFRESH_TICKS & 1) << 4 | (u64)output(&p->ch[2], t) << 5);
}

static void port61_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct pit *p = owner;
	u64 t = update(p);

	(void)offset;
	(void)size;
	p->port61 = value & PORT61_WRITABLE;
	set_gate(&p->ch[2], value & PORT61_GATE2, t);
}

static void describe(struct pit *p, struct io_region *io, const char *name, u64 len,
		     u64 (*read)(void *, u64, unsigned), void (*write)(void *, u64, u64, unsigned))
{
	*io = (struct io_region){
		.name = name,
		.base = io->base,
		.len = len,
		.min = 1,
		.max = 1,
		.read = read,
		.write = write,
		.owner = p,
	};
}

static void pit_init(struct device *d)
{
	struct pit *p = (struct pit *)d;

	timer_init(&p->timer, pit_fire, p);
	describe(p, &p->io, "pit", 4, pit_read, pit_write);
	describe(p, &p->io_port61, "port61", 1, port61_read, port61_write);
}

/* The 8254 powers up undefined; here in mode 3 without a count, so that OUT is high and still. */
static void pit_reset(struct device *d)
{
	struct pit *p = (struct pit *)d;

	memset(p->ch, 0, sizeof(p->ch));
	for (unsigned i = 0; i < 3; i++) {
		p->ch[i].mode = 3;
		p->ch[i].access = ACCESS_BOTH;
		p->ch[i].gate = i < 2;
		p->ch[i].count = p->ch[i].reload = 0x10000;
	}
	p->port61 = 0;
	p->seen = tick_now(p);
	timer_cancel(p->device.env.clock, &p->timer);
	drive(p, true);
}

static bool channel_valid(const struct pit_channel *c, u64 t)
{
	u32 max = c->bcd ? MAX_COUNT : 0x10000;
	bool flags = (c->bcd | c->gate | c->loaded | c->running | c->triggered | c->pending |
		      c->write_high | c->read_high | c->status_latched) <= 1;

	return flags && c->mode <= 5 && c->access >= 1 && c->access <= 3 &&
	       c->latched <= (c->access == ACCESS_BOTH ? 2 : 1) && c->count >= 1 &&
	       (c->count <= max || c->count == 0x10000) && c->reload >= 1 &&
	       (c->reload <= max || c->reload == 0x10000) && c->start <= (s64)t + 1 &&
	       c->start >= -(s64)0x10000 && c->held <= t + 0x10000 &&
	       (!c->pending || !c->running || !reloads(c) ||
		((s64)c->takeover > c->start && c->takeover <= t + 0x10001));
}

static bool pit_post_load(struct device *d)
{
	struct pit *p = (struct pit *)d;
	u64 t = tick_now(p);

	for (unsigned i = 0; i < 3; i++)
		if (!channel_valid(&p->ch[i], t))
			return false;
	if (p->seen > t || p->port61 & ~PORT61_WRITABLE || p->level0 > 1)
		return false;
	irq_set(&p->out0, p->level0);
	arm(p, p->seen, 0);
	return true;
}

#define PIT_CHANNEL_STATE(i)                                                                       \
	STATE_FIELD(struct pit, ch[i].mode), STATE_FIELD(struct pit, ch[i].bcd),                   \
		STATE_FIELD(struct pit, ch[i].access), STATE_FIELD(struct pit, ch[i].gate),        \
		STATE_FIELD(struct pit, ch[i].loaded), STATE_FIELD(struct pit, ch[i].running),     \
		STATE_FIELD(struct pit, ch[i].triggered), STATE_FIELD(struct pit, ch[i].pending),  \
		STATE_FIELD(struct pit, ch[i].write_high),                                         \
		STATE_FIELD(struct pit, ch[i].write_latch),                                        \
		STATE_FIELD(struct pit, ch[i].read_high), STATE_FIELD(struct pit, ch[i].latched),  \
		STATE_FIELD(struct pit, ch[i].status_latched),                                     \
		STATE_FIELD(struct pit, ch[i].status), STATE_FIELD(struct pit, ch[i].latch),       \
		STATE_FIELD(struct pit, ch[i].count), STATE_FIELD(struct pit, ch[i].reload),       \
		STATE_FIELD(struct pit, ch[i].start), STATE_FIELD(struct pit, ch[i].held),         \
		STATE_FIELD(struct pit, ch[i].takeover)

static const struct state_field pit_state[] = {
	PIT_CHANNEL_STATE(0),
	PIT_CHANNEL_STATE(1),
	PIT_CHANNEL_STATE(2),
	STATE_FIELD(struct pit, port61),
	STATE_FIELD(struct pit, level0),
	STATE_FIELD(struct pit, seen),
	STATE_END,
};

const struct device_class pit_class = {
	.name = "pit",
	.size = sizeof(struct pit),
	.state = pit_state,
	.init = pit_init,
	.reset = pit_reset,
	.post_load = pit_post_load,
};
