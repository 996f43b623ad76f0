/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every chip and legacy device of the pc at once, as a hostile guest reaches them: random accesses
 * to the addresses they answer at, time that passes in jumps, host input, resets, and saved states
 * with bytes changed. The clock is the fuzzer's own: it fires timers as the main loop would, and a
 * timer that keeps rearming itself in the past is a failure.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "chipset/acpi_pm.h"
#include "chipset/hpet.h"
#include "chipset/ioapic.h"
#include "chipset/pic.h"
#include "chipset/pit.h"
#include "chipset/reset.h"
#include "chipset/rtc.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "device/i8042.h"
#include "device/serial.h"
#include "device/test_device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct clock {
	uint64_t now_ns;
	struct list timers;
};

uint64_t clock_now_ns(struct clock *c)
{
	return c->now_ns;
}

void clock_timer_init(struct clock_timer *t, struct clock *c, void (*fn)(struct clock_timer *t))
{
	*t = (struct clock_timer){.clock = c, .fn = fn};
	list_init(&t->node);
}

void clock_timer_arm(struct clock_timer *t, uint64_t deadline_ns)
{
	list_remove(&t->node);
	list_append(&t->clock->timers, &t->node);
	t->deadline_ns = deadline_ns;
	t->is_armed = true;
}

void clock_timer_disarm(struct clock_timer *t)
{
	list_remove(&t->node);
	t->is_armed = false;
}

static struct clock_timer *first_timer(struct clock *c)
{
	struct clock_timer *first = NULL;

	list_for_each (it, &c->timers) {
		struct clock_timer *t = list_entry(it, struct clock_timer, node);

		if (!first || t->deadline_ns < first->deadline_ns)
			first = t;
	}
	return first;
}

/* More firings than this in one millisecond, of all timers together, would starve the main loop. */
#define FIRINGS_PER_MS_MAX 200

static void advance(struct clock *c, uint64_t ns)
{
	uint64_t end = c->now_ns + ns;
	uint64_t allowed = (ns / NS_PER_MS + 2) * FIRINGS_PER_MS_MAX;

	for (;;) {
		struct clock_timer *t = first_timer(c);

		if (!t || t->deadline_ns > end)
			break;
		BUG_ON(!allowed--);
		c->now_ns = max(c->now_ns, t->deadline_ns);
		clock_timer_disarm(t);
		t->fn(t);
	}
	c->now_ns = end;
}

/* A back end that takes what it is told to and always has something to say. */
struct fuzz_char {
	struct char_dev dev;
	size_t room;
};

static size_t take_output(struct char_dev *c, const void *data, size_t len)
{
	struct fuzz_char *f = container_of(c, struct fuzz_char, dev);
	size_t taken = min(len, f->room);

	f->room -= taken;
	return taken;
}

static const struct char_ops fuzz_char_ops = {.write = take_output};

struct fuzz_machine {
	struct clock clock;
	struct bus *pio, *mmio;
	struct list devices;
	struct fuzz_char chr;
	struct pic *pic;
	struct ioapic *ioapic;
	struct hpet *hpet;
	struct acpi_pm *pm;
	struct i8042 *i8042;
};

static void ignore_level(void *ctx, bool level)
{
}

static void ignore(void *ctx)
{
}

static void ignore_exit(void *ctx, int status)
{
}

/* The IOAPIC's messages must lie in the interrupt window, whatever was programmed. */
static void check_message(void *ctx, uint64_t addr, uint32_t data)
{
	BUG_ON(addr >> 20 != 0xfee);
}

static void ignore_message(void *ctx, uint64_t addr, uint32_t data)
{
}

/* As the wiring of the pc: to the PIC and the IOAPIC. */
static void set_gsi(void *ctx, unsigned pin, bool level)
{
	struct fuzz_machine *m = ctx;
	struct irq_line line = ioapic_line(m->ioapic, pin ? pin : 2);

	irq_set(&line, level);
	if (pin >= PIC_PINS || pin == 2)
		return;
	line = pic_line(m->pic, pin);
	irq_set(&line, level);
}

static struct irq_line gsi(struct fuzz_machine *m, unsigned pin)
{
	return (struct irq_line){.set = set_gsi, .ctx = m, .pin = pin};
}

static uint64_t wall_ns(void *ctx)
{
	return ((struct fuzz_machine *)ctx)->clock.now_ns + 1700000000 * NS_PER_SEC;
}

static void build(struct fuzz_machine *m)
{
	struct hpet_params hpet = {.clock = &m->clock,
				   .routable = 0x00f00000,
				   .irq0 = gsi(m, 0),
				   .irq8 = gsi(m, 8),
				   .msi = {.send = ignore_message}};
	struct test_device_params test = {.exit = ignore_exit};

	memset(m, 0, sizeof(*m));
	list_init(&m->clock.timers);
	list_init(&m->devices);
	m->chr.dev.ops = &fuzz_char_ops;
	m->pio = test.pio = bus_new(BUS_PIO);
	m->mmio = test.mmio = hpet.mmio = bus_new(BUS_MMIO);
	m->pic = pic_new(&(struct pic_params){.pio = m->pio, .int_changed = ignore_level}, NULL);
	device_add(&m->devices, pic_device(m->pic));
	m->ioapic = ioapic_new(
		&(struct ioapic_params){.mmio = m->mmio, .msi = {.send = check_message}}, NULL);
	device_add(&m->devices, ioapic_device(m->ioapic));
	for (unsigned pin = 0; pin < HPET_NR_PINS; pin++)
		hpet.pins[pin] = gsi(m, pin);
	m->hpet = hpet_new(&hpet, NULL);
	device_add(&m->devices, hpet_device(m->hpet));
	device_add(&m->devices,
		   pit_device(pit_new(&(struct pit_params){.pio = m->pio,
							   .clock = &m->clock,
							   .irq = hpet_pit_line(m->hpet)},
				      NULL)));
	device_add(&m->devices,
		   rtc_device(rtc_new(&(struct rtc_params){.pio = m->pio,
							   .clock = &m->clock,
							   .irq = hpet_rtc_line(m->hpet),
							   .wall_ns = wall_ns,
							   .ctx = m},
				      NULL)));
	m->pm = acpi_pm_new(&(struct acpi_pm_params){.pio = m->pio,
						     .clock = &m->clock,
						     .is_32bit_timer = true,
						     .sci = gsi(m, ACPI_SCI_IRQ),
						     .power_off = ignore},
			    NULL);
	device_add(&m->devices, acpi_pm_device(m->pm));
	device_add(&m->devices,
		   reset_device(reset_new(&(struct reset_params){.pio = m->pio, .reset = ignore},
					  NULL)));
	m->i8042 = i8042_new(&(struct i8042_params){.pio = m->pio,
						    .irq_keyboard = gsi(m, 1),
						    .irq_mouse = gsi(m, 12),
						    .reset = ignore},
			     NULL);
	device_add(&m->devices, i8042_device(m->i8042));
	device_add(&m->devices,
		   serial_device(serial_new(&(struct serial_params){.pio = m->pio,
								    .clock = &m->clock,
								    .base = 0x3f8,
								    .irq = gsi(m, 4),
								    .chr = &m->chr.dev},
					    NULL)));
	device_add(&m->devices, test_device_device(test_device_new(&test, NULL)));
}

static void tear_down(struct fuzz_machine *m)
{
	devices_free(&m->devices);
	BUG_ON(!list_is_empty(&m->clock.timers));
	bus_free(m->pio);
	bus_free(m->mmio);
}

/* ---- what an input says ---- */

struct input {
	const uint8_t *data;
	size_t len;
};

static uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t value = 0;
	unsigned n = (unsigned)min((size_t)bytes, in->len);

	memcpy(&value, in->data, n);
	in->data += n;
	in->len -= n;
	return value;
}

/* Where accesses go: every window of a device, a little more on either side. */
static const struct {
	uint16_t base, size;
} ports[] = {{0x20, 2},	   {0xa0, 2},  {0x4d0, 2}, {0x40, 4},  {0x61, 1},  {0x60, 1},
	     {0x64, 1},	   {0x70, 2},  {0x92, 1},  {0xcf8, 4}, {0x3f8, 8}, {0x600, 64},
	     {0x2000, 24}, {0xe0, 12}, {0xf4, 4},  {0x3f0, 16}};

static void access_port(struct fuzz_machine *m, struct input *in, bool is_write)
{
	unsigned which = (unsigned)take(in, 1) % ARRAY_SIZE(ports);
	unsigned size = 1u << take(in, 1) % 3;
	uint64_t addr = ports[which].base + take(in, 1) % ports[which].size;
	uint64_t value = is_write ? take(in, size) : 0;

	if (is_write)
		bus_write(m->pio, addr, &value, size);
	else
		bus_read(m->pio, addr, &value, size);
}

static void access_mmio(struct fuzz_machine *m, struct input *in, bool is_write)
{
	static const uint64_t bases[] = {IOAPIC_ADDRESS, HPET_ADDRESS, 0xff000000};
	uint64_t base = bases[take(in, 1) % ARRAY_SIZE(bases)];
	unsigned size = 1u << take(in, 1) % 4;
	uint64_t offset = take(in, 2) % (base == HPET_ADDRESS ? 0x180 : 0x60);
	uint64_t value = is_write ? take(in, size) : 0;

	if (is_write)
		bus_write(m->mmio, base + offset, &value, size);
	else
		bus_read(m->mmio, base + offset, &value, size);
}

static void host_event(struct fuzz_machine *m, struct input *in)
{
	uint8_t bytes[32];
	unsigned n = (unsigned)take(in, 1) % sizeof(bytes);

	switch (take(in, 1) % 8) {
	case 0:
		for (unsigned i = 0; i < n; i++)
			bytes[i] = (uint8_t)take(in, 1);
		char_deliver(&m->chr.dev, bytes, n);
		break;
	case 1:
		m->chr.room = n;
		char_deliver_writable(&m->chr.dev);
		break;
	case 2:
		char_deliver_break(&m->chr.dev);
		break;
	case 3:
		i8042_key(m->i8042, (unsigned)take(in, 2), n & 1);
		break;
	case 4:
		i8042_mouse(m->i8042, (int)take(in, 4), (int)take(in, 4), (int)take(in, 4), n);
		break;
	case 5:
		acpi_pm_power_button(m->pm);
		acpi_pm_raise_gpe(m->pm, n % ACPI_NR_GPES);
		break;
	case 6:
		pic_ack(m->pic);
		break;
	default:
		ioapic_eoi(m->ioapic, (unsigned)take(in, 1));
		break;
	}
}

/* Saves everything, changes some bytes, loads it. */
static void load_damaged(struct fuzz_machine *m, struct input *in)
{
	struct buf saved = {0};
	struct state s;
	unsigned nr_changes = (unsigned)take(in, 1) % 16;

	devices_pause(&m->devices);
	state_init_save(&s, &saved);
	devices_state(&m->devices, &s);
	BUG_ON(state_failed(&s));
	for (unsigned i = 0; i < nr_changes; i++) {
		size_t at = take(in, 3) % saved.len;

		saved.data[at] = (uint8_t)take(in, 1);
	}
	state_init_load(&s, saved.data, saved.len);
	devices_state(&m->devices, &s);
	BUG_ON(!nr_changes && state_failed(&s));
	/* A state that was refused is never run. */
	if (state_failed(&s))
		devices_reset(&m->devices);
	devices_resume(&m->devices);
	buf_free(&saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct fuzz_machine m;
	struct input in = {data, len};

	build(&m);
	while (in.len) {
		switch (take(&in, 1) % 16) {
		case 0 ... 5:
			access_port(&m, &in, true);
			break;
		case 6 ... 7:
			access_port(&m, &in, false);
			break;
		case 8 ... 9:
			access_mmio(&m, &in, true);
			break;
		case 10:
			access_mmio(&m, &in, false);
			break;
		case 11:
			advance(&m.clock, take(&in, 3));
			break;
		case 12:
			m.clock.now_ns += take(&in, 4); /* the monitor did not run */
			advance(&m.clock, 0);
			break;
		case 13:
			host_event(&m, &in);
			break;
		case 14:
			load_damaged(&m, &in);
			break;
		default:
			if (take(&in, 1) == 0)
				devices_reset(&m.devices);
			break;
		}
	}
	tear_down(&m);
	return 0;
}
