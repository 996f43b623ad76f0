/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MC146818 real-time clock (Motorola data sheet) with the CMOS memory of a PC. The time shown
 * is the host's wall clock plus an offset that moves when the guest sets its clock, so it goes on
 * over pauses and restores. Nothing ticks: flags are brought up to date whenever somebody looks,
 * and a timer runs only for enabled interrupts. Left out: the square wave output and daylight
 * saving. Entered by vCPU threads and the main loop.
 */
#include "chipset/rtc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"

#define CMOS_SIZE  128
#define INDEX_PORT 0

#define REG_SECONDS	  0x00
#define REG_SECONDS_ALARM 0x01
#define REG_MINUTES	  0x02
#define REG_MINUTES_ALARM 0x03
#define REG_HOURS	  0x04
#define REG_HOURS_ALARM	  0x05
#define REG_WEEKDAY	  0x06
#define REG_DAY		  0x07
#define REG_MONTH	  0x08
#define REG_YEAR	  0x09
#define REG_A		  0x0a
#define REG_B		  0x0b
#define REG_C		  0x0c
#define REG_D		  0x0d

#define A_UPDATING BIT(7)
#define A_DIVIDER  0x70u
#define A_RATE	   0x0fu
#define A_DEFAULT  0x26u /* 32.768 kHz crystal, 1024 Hz */

#define B_HALT	    BIT(7)
#define B_DAYLIGHT  BIT(0)
#define B_24_HOURS  BIT(1)
#define B_BINARY    BIT(2)
#define B_INTERRUPT (IRQ_PERIODIC | IRQ_ALARM | IRQ_UPDATE)
#define B_SQUARE    BIT(3)

/* The same bits in B (enable) and C (flag). */
#define IRQ_UPDATE   BIT(4)
#define IRQ_ALARM    BIT(5)
#define IRQ_PERIODIC BIT(6)
#define C_ASKS	     BIT(7)

#define D_POWER_GOOD BIT(7)
#define ALARM_ANY    0xc0u /* an alarm byte with both bits set matches everything */
#define HOURS_PM     BIT(7)

#define UPDATE_WARNING_NS 244141u /* UIP rises this long before the time changes */
#define SECONDS_PER_DAY	  86400

/* Further than any date the registers can hold, in seconds: some thirty thousand years. */
#define OFFSET_MAX_S INT64_C(1000000000000)

/* Bytes firmware keeps the machine's shape in. */
#define CMOS_EQUIPMENT	   0x14
#define CMOS_BASE_KIB	   0x15
#define CMOS_EXTENDED_KIB  0x17
#define CMOS_EXTENDED2_KIB 0x30
#define CMOS_ABOVE_16M	   0x34
#define CMOS_ABOVE_4G	   0x5b

struct rtc {
	struct device dev;
	pthread_mutex_t lock; /* guards all; the line is driven under it */
	struct rtc_params params;
	struct bus_region region;
	uint8_t index;
	uint8_t cmos[CMOS_SIZE]; /* time registers are valid in it only while halted */
	int64_t offset_s;	 /* guest time = wall clock + phase_ns + this */
	uint64_t phase_ns;	 /* below a second */
	uint64_t halted_ns;	 /* halted: position within the second to go on from */
	int64_t seen_s;		 /* flags are right up to this second of guest time */
	uint64_t ticks_done;	 /* periodic ticks since guest clock 0 that were dealt with */
	struct clock_timer timer;
};

/* ---- time ---- */

static uint64_t host_wall_ns(void *ctx)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

/* Seconds since 1970 as the guest sees it, and how far the current one has gone. */
static int64_t guest_seconds(const struct rtc *rtc)
{
	uint64_t ns = rtc->params.wall_ns(rtc->params.ctx) + rtc->phase_ns;

	return (int64_t)(ns / NS_PER_SEC) + rtc->offset_s;
}

static uint64_t guest_fraction_ns(const struct rtc *rtc)
{
	return (rtc->params.wall_ns(rtc->params.ctx) + rtc->phase_ns) % NS_PER_SEC;
}

/* SET, or a divider chain held in reset. */
static bool is_halted(const struct rtc *rtc)
{
	return rtc->cmos[REG_B] & B_HALT || (rtc->cmos[REG_A] & 0x60) == 0x60;
}

static uint8_t encode(const struct rtc *rtc, unsigned n)
{
	return rtc->cmos[REG_B] & B_BINARY ? n : (n / 10 % 10) << 4 | n % 10;
}

static unsigned decode(const struct rtc *rtc, uint8_t v)
{
	return rtc->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static uint8_t encode_hour(const struct rtc *rtc, unsigned hour)
{
	if (rtc->cmos[REG_B] & B_24_HOURS)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOURS_PM : 0);
}

static unsigned decode_hour(const struct rtc *rtc, uint8_t v)
{
	if (rtc->cmos[REG_B] & B_24_HOURS)
		return decode(rtc, v);
	return decode(rtc, v & ~HOURS_PM) % 12 + (v & HOURS_PM ? 12 : 0);
}

/* Writes a time into the registers, in the format register B asks for. */
static void store_time(struct rtc *rtc, int64_t seconds)
{
	time_t t = seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		return;
	rtc->cmos[REG_SECONDS] = encode(rtc, tm.tm_sec);
	rtc->cmos[REG_MINUTES] = encode(rtc, tm.tm_min);
	rtc->cmos[REG_HOURS] = encode_hour(rtc, tm.tm_hour);
	rtc->cmos[REG_WEEKDAY] = encode(rtc, tm.tm_wday + 1);
	rtc->cmos[REG_DAY] = encode(rtc, tm.tm_mday);
	rtc->cmos[REG_MONTH] = encode(rtc, tm.tm_mon + 1);
	rtc->cmos[REG_YEAR] = encode(rtc, (tm.tm_year + 1900) % 100);
	rtc->cmos[RTC_CENTURY] = encode(rtc, (tm.tm_year + 1900) / 100);
}

/* What the registers say; impossible dates come out as some other one. */
static int64_t load_time(const struct rtc *rtc)
{
	unsigned year =
		decode(rtc, rtc->cmos[REG_YEAR]) + decode(rtc, rtc->cmos[RTC_CENTURY]) * 100;
	struct tm tm = {
		.tm_sec = decode(rtc, rtc->cmos[REG_SECONDS]),
		.tm_min = decode(rtc, rtc->cmos[REG_MINUTES]),
		.tm_hour = decode_hour(rtc, rtc->cmos[REG_HOURS]),
		.tm_mday = decode(rtc, rtc->cmos[REG_DAY]),
		.tm_mon = (int)decode(rtc, rtc->cmos[REG_MONTH]) - 1,
		.tm_year = (int)year - 1900,
	};

	return timegm(&tm);
}

/* The time goes on from the registers, at_ns into the second they show. */
static void start_time(struct rtc *rtc, uint64_t at_ns)
{
	uint64_t wall = rtc->params.wall_ns(rtc->params.ctx);

	rtc->phase_ns = (at_ns + NS_PER_SEC - wall % NS_PER_SEC) % NS_PER_SEC;
	rtc->seen_s = load_time(rtc);
	rtc->offset_s = rtc->seen_s - (int64_t)((wall + rtc->phase_ns) / NS_PER_SEC);
}

/* ---- flags; lock held ---- */

/* One field of the alarm time; -1 matches everything. */
static int alarm_field(uint8_t alarm, unsigned value)
{
	return (alarm & ALARM_ANY) == ALARM_ANY ? -1 : (int)value;
}

static bool field_matches(int field, int64_t now)
{
	return field < 0 || field == now;
}

/*
 * The next second after from at which the alarm strikes; false when no time of day matches. Takes
 * hours and minutes that do not match in one step each: every access of the guest comes here.
 */
static bool next_alarm(const struct rtc *rtc, int64_t from, int64_t *second)
{
	const uint8_t *c = rtc->cmos;
	int seconds = alarm_field(c[REG_SECONDS_ALARM], decode(rtc, c[REG_SECONDS_ALARM]));
	int minutes = alarm_field(c[REG_MINUTES_ALARM], decode(rtc, c[REG_MINUTES_ALARM]));
	int hours = alarm_field(c[REG_HOURS_ALARM], decode_hour(rtc, c[REG_HOURS_ALARM]));
	int64_t s = from + 1;

	if (seconds >= 60 || minutes >= 60 || hours >= 24)
		return false;
	while (s <= from + SECONDS_PER_DAY) {
		int64_t of_day = (s % SECONDS_PER_DAY + SECONDS_PER_DAY) % SECONDS_PER_DAY;

		if (!field_matches(hours, of_day / 3600)) {
			s += 3600 - of_day % 3600;
		} else if (!field_matches(minutes, of_day / 60 % 60)) {
			s += 60 - of_day % 60;
		} else if (!field_matches(seconds, of_day % 60)) {
			s++;
		} else {
			*second = s;
			return true;
		}
	}
	return false;
}

/* Ticks per second of the periodic interrupt; 0: off. */
static unsigned periodic_hz(const struct rtc *rtc)
{
	unsigned rate = rtc->cmos[REG_A] & A_RATE;

	if (!rate || (rtc->cmos[REG_A] & 0x60) == 0x60)
		return 0;
	return 32768u >> ((rate <= 2 ? rate + 7 : rate) - 1);
}

static uint64_t periodic_ticks(const struct rtc *rtc)
{
	return mul_div_u64(clock_now_ns(rtc->params.clock), periodic_hz(rtc), NS_PER_SEC);
}

/* With the delaying policy a tick nobody has acknowledged keeps the later ones waiting. */
static void take_periodic(struct rtc *rtc)
{
	uint64_t due = periodic_ticks(rtc);
	bool is_enabled = rtc->cmos[REG_B] & IRQ_PERIODIC;

	if (due <= rtc->ticks_done)
		return;
	if (!is_enabled) {
		rtc->ticks_done = due;
		rtc->cmos[REG_C] |= IRQ_PERIODIC;
		return;
	}
	if (rtc->params.missed == TICK_DELAY && rtc->cmos[REG_C] & IRQ_PERIODIC)
		return;
	if (tick_take(rtc->params.missed, &rtc->ticks_done, due))
		rtc->cmos[REG_C] |= IRQ_PERIODIC;
}

static void take_updates(struct rtc *rtc)
{
	int64_t now, alarm;

	if (is_halted(rtc))
		return;
	now = guest_seconds(rtc);
	if (now > rtc->seen_s) {
		rtc->cmos[REG_C] |= IRQ_UPDATE;
		if (!(rtc->cmos[REG_C] & IRQ_ALARM) && next_alarm(rtc, rtc->seen_s, &alarm) &&
		    alarm <= now)
			rtc->cmos[REG_C] |= IRQ_ALARM;
	}
	rtc->seen_s = now; /* also when the host's clock was set back */
}

static uint64_t next_second_deadline(const struct rtc *rtc, int64_t second)
{
	int64_t left = (second - guest_seconds(rtc)) * (int64_t)NS_PER_SEC -
		       (int64_t)guest_fraction_ns(rtc);

	return clock_now_ns(rtc->params.clock) + (uint64_t)max(left, (int64_t)1);
}

static uint64_t next_tick_deadline(const struct rtc *rtc)
{
	uint64_t now = clock_now_ns(rtc->params.clock);
	uint64_t at = mul_div_u64(rtc->ticks_done + 1, NS_PER_SEC, periodic_hz(rtc)) + 1;

	return at > now ? at : now + NS_PER_SEC / periodic_hz(rtc) / 2;
}

/* Arms the timer for the first enabled interrupt to come. One that is pending needs no timer. */
static void arm(struct rtc *rtc)
{
	uint8_t wanted = rtc->cmos[REG_B] & ~rtc->cmos[REG_C] & B_INTERRUPT;
	uint64_t deadline = UINT64_MAX;
	int64_t alarm;

	if (wanted & IRQ_PERIODIC && periodic_hz(rtc))
		deadline = next_tick_deadline(rtc);
	if (wanted & IRQ_UPDATE && !is_halted(rtc))
		deadline = min(deadline, next_second_deadline(rtc, rtc->seen_s + 1));
	if (wanted & IRQ_ALARM && !is_halted(rtc) && next_alarm(rtc, rtc->seen_s, &alarm))
		deadline = min(deadline, next_second_deadline(rtc, alarm));
	if (deadline == UINT64_MAX)
		clock_timer_disarm(&rtc->timer);
	else
		clock_timer_arm(&rtc->timer, deadline);
}

static void update_line(struct rtc *rtc)
{
	bool asks = rtc->cmos[REG_B] & rtc->cmos[REG_C] & B_INTERRUPT;

	rtc->cmos[REG_C] = (rtc->cmos[REG_C] & ~C_ASKS) | (asks ? C_ASKS : 0);
	irq_set(&rtc->params.irq, asks);
}

static void catch_up(struct rtc *rtc)
{
	take_periodic(rtc);
	take_updates(rtc);
}

static void settle(struct rtc *rtc)
{
	update_line(rtc);
	arm(rtc);
}

static void expired(struct clock_timer *t)
{
	struct rtc *rtc = container_of(t, struct rtc, timer);

	pthread_mutex_lock(&rtc->lock);
	catch_up(rtc);
	settle(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

/* ---- registers; lock held ---- */

static bool is_time_register(unsigned reg)
{
	return reg == REG_SECONDS || reg == REG_MINUTES || reg == REG_HOURS ||
	       (reg >= REG_WEEKDAY && reg <= REG_YEAR) || reg == RTC_CENTURY;
}

static uint8_t read_reg(struct rtc *rtc, unsigned reg)
{
	uint8_t value;

	switch (reg) {
	case REG_A:
		value = rtc->cmos[REG_A];
		if (!is_halted(rtc) && guest_fraction_ns(rtc) >= NS_PER_SEC - UPDATE_WARNING_NS)
			value |= A_UPDATING;
		return value;
	case REG_C: /* reading acknowledges */
		update_line(rtc);
		value = rtc->cmos[REG_C];
		rtc->cmos[REG_C] = 0;
		return value;
	default:
		if (is_time_register(reg) && !is_halted(rtc))
			store_time(rtc, guest_seconds(rtc));
		return rtc->cmos[reg];
	}
}

/*
 * Stopping keeps the time in the registers; starting takes it from there. Leaving the divider's
 * reset, the first update comes after half a second (data sheet, "Divider control bits").
 */
static void write_control(struct rtc *rtc, unsigned reg, uint8_t value)
{
	bool was_halted = is_halted(rtc), was_reset = (rtc->cmos[REG_A] & 0x60) == 0x60;
	uint64_t at_ns = guest_fraction_ns(rtc);

	if (!was_halted)
		store_time(rtc, guest_seconds(rtc));
	rtc->cmos[reg] = value;
	if (!was_halted && is_halted(rtc))
		rtc->halted_ns = at_ns;
	if (was_reset && (rtc->cmos[REG_A] & 0x60) != 0x60)
		rtc->halted_ns = NS_PER_SEC / 2;
	if (was_halted && !is_halted(rtc))
		start_time(rtc, rtc->halted_ns);
}

static void write_reg(struct rtc *rtc, unsigned reg, uint8_t value)
{
	uint64_t at_ns;

	switch (reg) {
	case REG_A:
		write_control(rtc, reg, value & ~A_UPDATING);
		rtc->ticks_done = periodic_ticks(rtc);
		break;
	case REG_B:
		if (value & ~rtc->cmos[REG_B] & IRQ_PERIODIC)
			rtc->ticks_done = periodic_ticks(rtc);
		/* Halting also turns the update interrupt off. */
		write_control(rtc, reg, value & B_HALT ? value & ~IRQ_UPDATE : value);
		break;
	case REG_C:
	case REG_D:
		break;
	default:
		at_ns = guest_fraction_ns(rtc);
		if (is_time_register(reg) && !is_halted(rtc)) {
			store_time(rtc, guest_seconds(rtc));
			rtc->cmos[reg] = value;
			start_time(rtc, at_ns);
		} else {
			rtc->cmos[reg] = value;
		}
		break;
	}
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *rtc = dev;

	pthread_mutex_lock(&rtc->lock);
	if (offset == INDEX_PORT) {
		rtc->index = (uint8_t)value; /* bit 7 masks NMIs, of which a PC has none here */
	} else {
		catch_up(rtc);
		write_reg(rtc, rtc->index % CMOS_SIZE, (uint8_t)value);
		settle(rtc);
	}
	pthread_mutex_unlock(&rtc->lock);
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	struct rtc *rtc = dev;
	uint8_t value;

	if (offset == INDEX_PORT)
		return UINT64_MAX; /* write-only */
	pthread_mutex_lock(&rtc->lock);
	catch_up(rtc);
	value = read_reg(rtc, rtc->index % CMOS_SIZE);
	settle(rtc);
	pthread_mutex_unlock(&rtc->lock);
	return value;
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write};

/* ---- device ---- */

void rtc_set_cmos(struct rtc *rtc, unsigned index, uint8_t value)
{
	BUG_ON(index <= REG_D || index >= CMOS_SIZE);
	pthread_mutex_lock(&rtc->lock);
	rtc->cmos[index] = value;
	pthread_mutex_unlock(&rtc->lock);
}

/* A number of units, at most what two bytes hold, low byte first. */
static void store_size(struct rtc *rtc, unsigned index, uint64_t units)
{
	units = min(units, (uint64_t)0xffff);
	rtc->cmos[index] = units & 0xff;
	rtc->cmos[index + 1] = units >> 8;
}

static uint64_t above(uint64_t size, uint64_t start)
{
	return size > start ? size - start : 0;
}

static void store_shape(struct rtc *rtc)
{
	uint64_t below = rtc->params.ram_below_4g;
	uint64_t high = min(rtc->params.ram_above_4g / (64 * KIB), (uint64_t)0xffffff);

	rtc->cmos[CMOS_EQUIPMENT] = 0x06; /* coprocessor, PS/2 mouse */
	store_size(rtc, CMOS_BASE_KIB, min(below / KIB, (uint64_t)640));
	store_size(rtc, CMOS_EXTENDED_KIB, above(below, MIB) / KIB);
	store_size(rtc, CMOS_EXTENDED2_KIB, above(below, MIB) / KIB);
	store_size(rtc, CMOS_ABOVE_16M, above(below, 16 * MIB) / (64 * KIB));
	store_size(rtc, CMOS_ABOVE_4G, high & 0xffff);
	rtc->cmos[CMOS_ABOVE_4G + 2] = high >> 16;
}

/* The battery keeps time and memory; only interrupts are turned off. */
static void reset(struct device *d)
{
	struct rtc *rtc = container_of(d, struct rtc, dev);

	pthread_mutex_lock(&rtc->lock);
	rtc->index = 0;
	rtc->cmos[REG_B] &= ~(B_INTERRUPT | B_SQUARE);
	rtc->cmos[REG_C] = 0;
	settle(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

static void state(struct device *d, struct state *s)
{
	struct rtc *rtc = container_of(d, struct rtc, dev);

	pthread_mutex_lock(&rtc->lock);
	if (!state_is_loading(s))
		catch_up(rtc);
	state_u8(s, &rtc->index);
	state_bytes(s, rtc->cmos, sizeof(rtc->cmos));
	state_u64(s, (uint64_t *)&rtc->offset_s);
	state_u64(s, &rtc->phase_ns);
	state_u64(s, &rtc->halted_ns);
	state_u64(s, (uint64_t *)&rtc->seen_s);
	state_u64(s, &rtc->ticks_done);
	if (state_is_loading(s)) {
		int64_t now;

		if (rtc->offset_s > OFFSET_MAX_S || rtc->offset_s < -OFFSET_MAX_S ||
		    rtc->phase_ns >= NS_PER_SEC || rtc->halted_ns >= NS_PER_SEC) {
			state_fail(s, "rtc: impossible time");
			rtc->offset_s = 0;
			rtc->phase_ns = rtc->halted_ns = 0;
		}
		now = guest_seconds(rtc);
		rtc->cmos[REG_A] &= ~A_UPDATING;
		rtc->cmos[REG_D] = D_POWER_GOOD;
		rtc->seen_s = max(min(rtc->seen_s, now), now - SECONDS_PER_DAY);
		rtc->ticks_done = min(rtc->ticks_done, periodic_ticks(rtc));
		settle(rtc);
	}
	pthread_mutex_unlock(&rtc->lock);
}

static void rtc_free(struct device *d)
{
	struct rtc *rtc = container_of(d, struct rtc, dev);

	clock_timer_disarm(&rtc->timer);
	bus_remove(rtc->params.pio, &rtc->region);
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}

static const struct device_ops device_ops = {
	.type = "rtc",
	.reset = reset,
	.state = state,
	.free = rtc_free,
};

static int64_t local_offset_s(uint64_t wall_ns)
{
	time_t t = wall_ns / NS_PER_SEC;
	struct tm tm;

	return localtime_r(&t, &tm) ? tm.tm_gmtoff : 0;
}

struct rtc *rtc_new(const struct rtc_params *params, struct error *err)
{
	struct rtc *rtc = mem_alloc_zero(sizeof(*rtc));

	rtc->dev.ops = &device_ops;
	list_init(&rtc->dev.node);
	rtc->params = *params;
	if (!params->wall_ns)
		rtc->params.wall_ns = host_wall_ns;
	pthread_mutex_init(&rtc->lock, NULL);
	clock_timer_init(&rtc->timer, params->clock, expired);
	rtc->region = (struct bus_region){
		.name = "rtc", .base = 0x70, .size = 2, .ops = &port_ops, .dev = rtc};
	if (bus_add(params->pio, &rtc->region, err)) {
		rtc_free(&rtc->dev);
		return NULL;
	}
	if (params->is_local_time)
		rtc->offset_s = local_offset_s(rtc->params.wall_ns(params->ctx));
	rtc->cmos[REG_A] = A_DEFAULT;
	rtc->cmos[REG_B] = B_24_HOURS;
	rtc->cmos[REG_D] = D_POWER_GOOD;
	rtc->seen_s = guest_seconds(rtc);
	store_shape(rtc);
	return rtc;
}

struct device *rtc_device(struct rtc *rtc)
{
	return &rtc->dev;
}
