/*
 * MC146818A real-time clock. Motorola datasheet; century in byte 32h and NMI mask in port 70h bit 7
 * as on a PC. The running time is a function of virtual time; the registers hold it only while it
 * is stopped (SET, or a divider that does not count). Left out: square wave output, daylight
 * saving (DSE is kept but does nothing), a day of week that disagrees with the date.
 */
#include "base/bits.h"
#include "devices/rtc.h"

enum {
	SECONDS = 0x00,
	SECONDS_ALARM = 0x01,
	MINUTES = 0x02,
	MINUTES_ALARM = 0x03,
	HOURS = 0x04,
	HOURS_ALARM = 0x05,
	DAY_OF_WEEK = 0x06,
	DAY = 0x07,
	MONTH = 0x08,
	YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	CENTURY = 0x32,
};

#define A_UIP 0x80u
#define A_DIVIDER 0x70u
#define A_DIVIDER_32KHZ 0x20u
#define A_RATE 0x0fu
#define B_SET 0x80u
#define B_UIE 0x10u
#define B_SQWE 0x08u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define FLAG_PERIODIC 0x40u /* same bits in B (enable) and C (flag) */
#define FLAG_ALARM 0x20u
#define FLAG_UPDATE 0x10u
#define FLAGS (FLAG_PERIODIC | FLAG_ALARM | FLAG_UPDATE)
#define C_IRQF 0x80u
#define D_VRT 0x80u

#define NS_PER_S 1000000000ull
#define UIP_NS 2228000ull /* 244 us of warning and 1984 us of update */
#define CRYSTAL_HZ 32768u
#define DAY_S 86400

/* Calendar */

struct civil {
	int year, month, day;
};

static s64 floor_div(s64 a, s64 b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970 of a Gregorian date; years count from March so that leap days come last. */
static s64 days_of(const struct civil *c)
{
	int y = c->month > 2 ? c->year : c->year - 1;
	int m = c->month > 2 ? c->month - 3 : c->month + 9;
	s64 leap = floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400);

	return 365ll * y + leap + (153 * m + 2) / 5 + c->day - 1 - 719468;
}

static struct civil civil_of(s64 days)
{
	struct civil c = {.month = 1, .day = 1};
	s64 length;

	c.year = (int)(1970 + floor_div(days, 366)); /* never too late */
	if (days < 0)
		c.year -= (int)(-days / 365 - -days / 366) + 1;
	for (;;) { /* at most a few dozen steps from the estimate */
		struct civil next = {.year = c.year + 1, .month = 1, .day = 1};

		if (days_of(&next) > days)
			break;
		c.year++;
	}
	for (; c.month < 12; c.month++) {
		struct civil next = {.year = c.year, .month = c.month + 1, .day = 1};

		if (days_of(&next) > days)
			break;
	}
	length = days - days_of(&c);
	c.day = (int)length + 1;
	return c;
}

/* Register formats */

static u8 encode(const struct rtc *r, unsigned v)
{
	return (u8)(r->cmos[REG_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static unsigned decode(const struct rtc *r, u8 v)
{
	return r->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15u);
}

static u8 encode_hour(const struct rtc *r, unsigned h)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, h);
	return encode(r, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0);
}

static unsigned decode_hour(const struct rtc *r, u8 v)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static void store_time(struct rtc *r, s64 s)
{
	s64 days = floor_div(s, DAY_S);
	unsigned t = (unsigned)(s - days * DAY_S);
	struct civil c = civil_of(days);

	r->cmos[SECONDS] = encode(r, t % 60);
	r->cmos[MINUTES] = encode(r, t / 60 % 60);
	r->cmos[HOURS] = encode_hour(r, t / 3600);
	r->cmos[DAY_OF_WEEK] = encode(r, (unsigned)(days + 4 - floor_div(days + 4, 7) * 7) + 1);
	r->cmos[DAY] = encode(r, (unsigned)c.day);
	r->cmos[MONTH] = encode(r, (unsigned)c.month);
	r->cmos[YEAR] = encode(r, (unsigned)(c.year % 100));
	r->cmos[CENTURY] = encode(r, (unsigned)(c.year / 100 % 100));
}

static unsigned clamp(unsigned v, unsigned low, unsigned high)
{
	return v < low ? low : v > high ? high : v;
}

/* Nonsense in the registers becomes the nearest legal value. */
static s64 load_time(const struct rtc *r)
{
	struct civil c = {
		.year = (int)(clamp(decode(r, r->cmos[CENTURY]), 0, 99) * 100 +
			      clamp(decode(r, r->cmos[YEAR]), 0, 99)),
		.month = (int)clamp(decode(r, r->cmos[MONTH]), 1, 12),
		.day = (int)clamp(decode(r, r->cmos[DAY]), 1, 31),
	};

	return days_of(&c) * DAY_S + clamp(decode_hour(r, r->cmos[HOURS]), 0, 23) * 3600 +
	       clamp(decode(r, r->cmos[MINUTES]), 0, 59) * 60 +
	       clamp(decode(r, r->cmos[SECONDS]), 0, 59);
}

/* Running. base_ns is where a second began; it also is the phase of the periodic divider. */

static u64 rtc_now(const struct rtc *r)
{
	return clock_now(r->device.env.clock);
}

static bool divider_counts(const struct rtc *r)
{
	return (r->cmos[REG_A] & A_DIVIDER) == A_DIVIDER_32KHZ;
}

static bool running(const struct rtc *r)
{
	return divider_counts(r) && !(r->cmos[REG_B] & B_SET);
}

static s64 seconds_at(const struct rtc *r, u64 ns)
{
	return r->base_seconds + (s64)((ns - r->base_ns) / NS_PER_S);
}

static u64 periodic_ticks(const struct rtc *r)
{
	unsigned rate = r->cmos[REG_A] & A_RATE;

	if (!rate || !divider_counts(r))
		return 0;
	return 1ull << (rate <= 2 ? rate + 6 : rate - 1);
}

static u64 periods_at(const struct rtc *r, u64 ns)
{
	return clock_ns_to_ticks(ns - r->base_ns, CRYSTAL_HZ) / periodic_ticks(r);
}

/* True and *value, or false for an alarm byte that can never match; *any for "don't care". */
static bool alarm_byte(const struct rtc *r, unsigned reg, unsigned limit, unsigned *value,
		       bool *any)
{
	u8 v = r->cmos[reg];

	*any = v >= 0xc0;
	*value = reg == HOURS_ALARM ? decode_hour(r, v) : decode(r, v);
	return *any || *value < limit;
}

/* First second after `after` at which the alarm matches. */
static bool next_alarm(const struct rtc *r, s64 after, s64 *at)
{
	unsigned h, m, s;
	bool any_h, any_m, any_s;
	s64 start = after + 1, minute = floor_div(start, 60);

	if (!alarm_byte(r, HOURS_ALARM, 24, &h, &any_h) ||
	    !alarm_byte(r, MINUTES_ALARM, 60, &m, &any_m) ||
	    !alarm_byte(r, SECONDS_ALARM, 60, &s, &any_s))
		return false;
	for (unsigned i = 0; i <= 24 * 60; i++, minute++) {
		unsigned of_day = (unsigned)(minute - floor_div(minute, 24 * 60) * 24 * 60);
		s64 begin = minute * 60 > start ? minute * 60 : start;

		if ((!any_h && of_day / 60 != h) || (!any_m && of_day % 60 != m))
			continue;
		*at = any_s ? begin : minute * 60 + s;
		if (*at >= begin)
			return true;
	}
	return false;
}

/* Sets the flags of register C for all that happened since `seen`. */
static void catch_up(struct rtc *r)
{
	u64 now = rtc_now(r), seen = r->seen;
	s64 alarm;

	r->seen = now;
	if (periodic_ticks(r) && periods_at(r, now) != periods_at(r, seen))
		r->cmos[REG_C] |= FLAG_PERIODIC;
	if (!running(r) || seconds_at(r, now) == seconds_at(r, seen))
		return;
	r->cmos[REG_C] |= FLAG_UPDATE;
	if (next_alarm(r, seconds_at(r, seen), &alarm) && alarm <= seconds_at(r, now))
		r->cmos[REG_C] |= FLAG_ALARM;
}

static u64 second_ns(const struct rtc *r, s64 second)
{
	return r->base_ns + (u64)(second - r->base_seconds) * NS_PER_S;
}

/* When the next flag that is enabled and clear will set. */
static u64 next_event(const struct rtc *r)
{
	unsigned wanted = r->cmos[REG_B] & ~(unsigned)r->cmos[REG_C] & FLAGS;
	u64 at = CLOCK_NEVER, t;
	s64 second;

	if ((wanted & FLAG_PERIODIC) && periodic_ticks(r)) {
		t = (periods_at(r, r->seen) + 1) * periodic_ticks(r);
		at = r->base_ns + clock_ticks_to_ns(t, CRYSTAL_HZ);
	}
	if (!running(r))
		return at;
	second = seconds_at(r, r->seen);
	if (wanted & FLAG_UPDATE) {
		t = second_ns(r, second + 1);
		at = t < at ? t : at;
	}
	if ((wanted & FLAG_ALARM) && next_alarm(r, second, &second)) {
		t = second_ns(r, second);
		at = t < at ? t : at;
	}
	return at;
}

static void update(struct rtc *r)
{
	bool level = r->cmos[REG_B] & r->cmos[REG_C] & FLAGS;
	u64 at = next_event(r);

	r->cmos[REG_C] = (r->cmos[REG_C] & FLAGS) | (level ? C_IRQF : 0);
	irq_set(&r->irq, level);
	if (at == CLOCK_NEVER)
		timer_cancel(r->device.env.clock, &r->timer);
	else
		timer_set(r->device.env.clock, &r->timer, at);
}

static void rtc_fire(void *owner, u64 now)
{
	struct rtc *r = owner;

	(void)now;
	catch_up(r);
	update(r);
}

/* Registers */

static bool is_time(unsigned reg)
{
	return reg == CENTURY ||
	       (reg <= YEAR && reg != SECONDS_ALARM && reg != MINUTES_ALARM && reg != HOURS_ALARM);
}

static bool update_in_progress(const struct rtc *r)
{
	return running(r) && (rtc_now(r) - r->base_ns) % NS_PER_S >= NS_PER_S - UIP_NS;
}

static u8 read_flags(struct rtc *r)
{
	u8 v;

	catch_up(r);
	update(r);
	v = r->cmos[REG_C];
	r->cmos[REG_C] = 0;
	update(r);
	return v;
}

static u8 read_register(struct rtc *r, unsigned reg)
{
	if (is_time(reg) && running(r))
		store_time(r, seconds_at(r, rtc_now(r)));
	if (reg == REG_A)
		return r->cmos[REG_A] | (update_in_progress(r) ? A_UIP : 0);
	if (reg == REG_C)
		return read_flags(r);
	return r->cmos[reg];
}

/* The time in the registers becomes the time of day of the second that is running now. */
static void start_from_registers(struct rtc *r)
{
	u64 now = rtc_now(r);

	r->base_seconds = load_time(r);
	r->base_ns = now - (now - r->base_ns) % NS_PER_S;
}

static void write_time(struct rtc *r, unsigned reg, u8 v)
{
	bool live = running(r);

	if (live)
		store_time(r, seconds_at(r, rtc_now(r)));
	r->cmos[reg] = v;
	if (live)
		start_from_registers(r);
}

/* A or B: stopping puts the time into the registers, starting takes it from there. */
static void write_control(struct rtc *r, unsigned reg, u8 v)
{
	bool was_running = running(r), was_counting = divider_counts(r);

	if (was_running)
		store_time(r, seconds_at(r, rtc_now(r)));
	r->cmos[reg] = v;
	if (!was_counting && divider_counts(r)) /* the first update comes half a second later */
		r->base_ns = rtc_now(r) - NS_PER_S / 2;
	if (!was_running && running(r))
		start_from_registers(r);
}

static void write_register(struct rtc *r, unsigned reg, u8 v)
{
	catch_up(r);
	if (reg == REG_A)
		write_control(r, reg, v & (A_DIVIDER | A_RATE));
	else if (reg == REG_B)
		write_control(r, reg, v & B_SET ? v & (u8)~B_UIE : v);
	else if (is_time(reg))
		write_time(r, reg, v);
	else if (reg != REG_C && reg != REG_D)
		r->cmos[reg] = v;
	update(r);
}

void rtc_set_nvram(struct rtc *r, unsigned index, u8 value)
{
	if (index > REG_D && index < sizeof(r->cmos) && index != CENTURY)
		r->cmos[index] = value;
}

bool rtc_nmi_masked(const struct rtc *r)
{
	return r->index & 0x80;
}

static u64 rtc_read(void *owner, u64 offset, unsigned size)
{
	struct rtc *r = owner;

	(void)size;
	return offset ? read_register(r, r->index & 0x7f) : 0xff; /* the index is write-only */
}

static void rtc_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct rtc *r = owner;

	(void)size;
	if (offset)
		write_register(r, r->index & 0x7f, (u8)value);
	else
		r->index = (u8)value;
}

static void rtc_init(struct device *d)
{
	struct rtc *r = (struct rtc *)d;

	if (!r->start_epoch)
		r->start_epoch = RTC_DEFAULT_EPOCH;
	timer_init(&r->timer, rtc_fire, r);
	r->io = (struct io_region){
		.name = "rtc",
		.base = r->io.base,
		.len = 2,
		.min = 1,
		.max = 1,
		.read = rtc_read,
		.write = rtc_write,
		.owner = r,
	};
}

/* The battery keeps time and NVRAM over a reset; VRT clear means that there was no battery yet. */
static void rtc_reset(struct device *d)
{
	struct rtc *r = (struct rtc *)d;

	if (!(r->cmos[REG_D] & D_VRT)) {
		r->cmos[REG_A] = A_DIVIDER_32KHZ | 6;
		r->cmos[REG_B] = B_24H;
		r->cmos[REG_D] = D_VRT;
		r->base_seconds = r->start_epoch;
		r->base_ns = 0;
	}
	catch_up(r);
	r->cmos[REG_B] &= (u8) ~(FLAGS | B_SQWE);
	r->cmos[REG_C] = 0;
	r->index = 0;
	update(r);
}

static bool rtc_post_load(struct device *d)
{
	struct rtc *r = (struct rtc *)d;
	u64 now = rtc_now(r);
	s64 limit = 12000ll * 366 * DAY_S;

	if (r->seen > now || (s64)(now - r->base_ns) < 0 || (s64)(r->seen - r->base_ns) < 0 ||
	    r->base_seconds > limit || r->base_seconds < -limit || r->cmos[REG_A] & A_UIP ||
	    r->cmos[REG_D] != D_VRT || ((r->cmos[REG_B] & B_SET) && (r->cmos[REG_B] & B_UIE)))
		return false;
	update(r);
	return true;
}

static const struct state_field rtc_state[] = {
	STATE_FIELD(struct rtc, index),	       STATE_BYTES(struct rtc, cmos),
	STATE_FIELD(struct rtc, base_seconds), STATE_FIELD(struct rtc, base_ns),
	STATE_FIELD(struct rtc, seen),	       STATE_END,
};

const struct device_class rtc_class = {
	.name = "rtc",
	.size = sizeof(struct rtc),
	.state = rtc_state,
	.init = rtc_init,
	.reset = rtc_reset,
	.post_load = rtc_post_load,
};
