/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The i8259A pair of a PC (Intel 8259A data sheet): initialisation and operation command words,
 * automatic EOI, rotation, special mask, special fully nested mode and polling, plus the
 * edge/level registers of later chip sets. The slave's output is followed as a level, which spares
 * the master's edge latch. Left out: 8080 mode, buffered mode and other wirings of the cascade.
 * Entered by vCPU threads and by whatever thread drives an input.
 */
#include "chipset/pic.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"

#define CASCADE_PIN  2
#define SPURIOUS_PIN 7

#define ICW1	     BIT(4)
#define ICW1_ICW4    BIT(0)
#define ICW1_SINGLE  BIT(1)
#define ICW4_AEOI    BIT(1)
#define ICW4_NESTED  BIT(4)
#define OCW3	     BIT(3)
#define OCW3_READ    BIT(1)
#define OCW3_POLL    BIT(2)
#define OCW3_SPECIAL BIT(6)

/* Which word a write to the data port is. */
enum init_step { EXPECT_OCW1, EXPECT_ICW2, EXPECT_ICW3, EXPECT_ICW4 };

struct i8259 {
	struct pic *pic;
	bool is_master;
	uint8_t lines;	   /* input levels */
	uint8_t latched;   /* rising edges not yet acknowledged */
	uint8_t elcr;	   /* level-triggered inputs */
	uint8_t elcr_mask; /* inputs that may be */
	uint8_t imr, isr;
	uint8_t first_pin; /* the one with the highest priority */
	uint8_t vector_base;
	uint8_t init_step;
	bool wants_icw4, is_single;
	bool reads_isr, polls;
	bool has_special_mask, has_auto_eoi, rotates_on_auto_eoi, is_special_nested;
	struct bus_region ports, elcr_port;
};

struct pic {
	struct device dev;
	pthread_mutex_t lock; /* guards all; int_changed is called under it */
	struct pic_params params;
	struct i8259 chip[2]; /* master, slave */
	bool output;
};

/* ---- one chip; lock held ---- */

static uint8_t level_pins(const struct i8259 *c)
{
	return c->elcr | (c->is_master ? BIT(CASCADE_PIN) : 0);
}

static uint8_t irr(const struct i8259 *c)
{
	uint8_t level = level_pins(c);

	return (c->lines & level) | (c->latched & ~level);
}

/* How far the most urgent of these pins is from the highest priority: 0 first, 8 none. */
static unsigned priority_of(const struct i8259 *c, uint8_t pins)
{
	for (unsigned i = 0; i < 8; i++)
		if (pins >> ((c->first_pin + i) & 7) & 1)
			return i;
	return 8;
}

/* The pin that asks now, or -1. */
static int asking_pin(const struct i8259 *c)
{
	uint8_t served = c->isr;
	unsigned wanted = priority_of(c, irr(c) & ~c->imr);

	if (c->has_special_mask)
		served &= ~c->imr;
	if (c->is_special_nested && c->is_master)
		served &= ~BIT(CASCADE_PIN);
	if (wanted >= priority_of(c, served))
		return -1;
	return (c->first_pin + wanted) & 7;
}

static void acknowledge(struct i8259 *c, unsigned pin)
{
	c->latched &= ~BIT(pin);
	if (!c->has_auto_eoi)
		c->isr |= BIT(pin);
	else if (c->rotates_on_auto_eoi)
		c->first_pin = (pin + 1) & 7;
}

static void set_pin(struct i8259 *c, unsigned pin, bool level)
{
	if (level && !(c->lines >> pin & 1))
		c->latched |= BIT(pin);
	c->lines = (c->lines & ~BIT(pin)) | (level ? BIT(pin) : 0);
}

/* ---- the pair; lock held ---- */

static void update(struct pic *pic)
{
	bool output;

	set_pin(&pic->chip[0], CASCADE_PIN, asking_pin(&pic->chip[1]) >= 0);
	output = asking_pin(&pic->chip[0]) >= 0;
	if (output == pic->output)
		return;
	pic->output = output;
	pic->params.int_changed(pic->params.ctx, output);
}

static unsigned acknowledge_chip(struct i8259 *c)
{
	int pin = asking_pin(c);

	if (pin < 0)
		return SPURIOUS_PIN;
	acknowledge(c, pin);
	return pin;
}

unsigned pic_ack(struct pic *pic)
{
	struct i8259 *master = &pic->chip[0], *slave = &pic->chip[1];
	unsigned pin, vector;

	pthread_mutex_lock(&pic->lock);
	pin = acknowledge_chip(master);
	vector = master->vector_base + pin;
	if (pin == CASCADE_PIN)
		vector = slave->vector_base + acknowledge_chip(slave);
	update(pic);
	pthread_mutex_unlock(&pic->lock);
	return vector;
}

bool pic_is_raised(struct pic *pic)
{
	bool output;

	pthread_mutex_lock(&pic->lock);
	output = pic->output;
	pthread_mutex_unlock(&pic->lock);
	return output;
}

static void pic_set(void *ctx, unsigned pin, bool level)
{
	struct pic *pic = ctx;

	pthread_mutex_lock(&pic->lock);
	set_pin(&pic->chip[pin >> 3], pin & 7, level);
	update(pic);
	pthread_mutex_unlock(&pic->lock);
}

struct irq_line pic_line(struct pic *pic, unsigned pin)
{
	BUG_ON(pin >= PIC_PINS || pin == CASCADE_PIN);
	return (struct irq_line){.set = pic_set, .ctx = pic, .pin = pin};
}

/* ---- registers; lock held ---- */

/* ICW1: the edge latches are cleared, so that an input must fall and rise to ask again. */
static void write_icw1(struct i8259 *c, uint8_t value)
{
	c->latched = 0;
	c->imr = c->isr = 0;
	c->first_pin = 0;
	c->reads_isr = c->polls = false;
	c->has_special_mask = c->has_auto_eoi = false;
	c->rotates_on_auto_eoi = c->is_special_nested = false;
	c->wants_icw4 = value & ICW1_ICW4;
	c->is_single = value & ICW1_SINGLE;
	c->init_step = EXPECT_ICW2;
}

static void write_ocw3(struct i8259 *c, uint8_t value)
{
	if (value & OCW3_POLL)
		c->polls = true;
	if (value & OCW3_READ)
		c->reads_isr = value & 1;
	if (value & OCW3_SPECIAL)
		c->has_special_mask = value >> 5 & 1;
}

/* Bits 7-5: rotate, specific, end of interrupt. */
static void write_ocw2(struct i8259 *c, uint8_t value)
{
	bool rotates = value >> 7 & 1, is_specific = value >> 6 & 1, is_eoi = value >> 5 & 1;
	unsigned pin = value & 7;

	if (!is_specific && !is_eoi) {
		c->rotates_on_auto_eoi = rotates;
		return;
	}
	if (!is_specific) {
		unsigned priority = priority_of(c, c->isr);

		if (priority == 8)
			return;
		pin = (c->first_pin + priority) & 7;
	}
	if (is_eoi)
		c->isr &= ~BIT(pin);
	if (rotates)
		c->first_pin = (pin + 1) & 7;
}

static void write_data(struct i8259 *c, uint8_t value)
{
	switch ((enum init_step)c->init_step) {
	case EXPECT_OCW1:
		c->imr = value;
		return;
	case EXPECT_ICW2:
		c->vector_base = value & 0xf8;
		c->init_step = c->is_single ? EXPECT_ICW4 : EXPECT_ICW3;
		break;
	case EXPECT_ICW3: /* the wiring of the cascade is what it is */
		c->init_step = EXPECT_ICW4;
		break;
	case EXPECT_ICW4:
		c->has_auto_eoi = value & ICW4_AEOI;
		c->is_special_nested = value & ICW4_NESTED;
		c->init_step = EXPECT_OCW1;
		return;
	}
	if (c->init_step == EXPECT_ICW4 && !c->wants_icw4)
		c->init_step = EXPECT_OCW1;
}

static void chip_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8259 *c = dev;

	pthread_mutex_lock(&c->pic->lock);
	if (offset == 1)
		write_data(c, (uint8_t)value);
	else if (value & ICW1)
		write_icw1(c, (uint8_t)value);
	else if (value & OCW3)
		write_ocw3(c, (uint8_t)value);
	else
		write_ocw2(c, (uint8_t)value);
	update(c->pic);
	pthread_mutex_unlock(&c->pic->lock);
}

/* Reading after a poll command is an acknowledge cycle of that chip alone. */
static uint8_t poll_chip(struct i8259 *c)
{
	int pin = asking_pin(c);

	c->polls = false;
	if (pin < 0)
		return 0;
	acknowledge(c, pin);
	update(c->pic);
	return 0x80 | pin;
}

static uint64_t chip_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8259 *c = dev;
	uint8_t value;

	pthread_mutex_lock(&c->pic->lock);
	if (c->polls)
		value = poll_chip(c);
	else if (offset == 1)
		value = c->imr;
	else
		value = c->reads_isr ? c->isr : irr(c);
	pthread_mutex_unlock(&c->pic->lock);
	return value;
}

static uint64_t elcr_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8259 *c = dev;
	uint8_t value;

	pthread_mutex_lock(&c->pic->lock);
	value = c->elcr;
	pthread_mutex_unlock(&c->pic->lock);
	return value;
}

static void elcr_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8259 *c = dev;

	pthread_mutex_lock(&c->pic->lock);
	c->elcr = (uint8_t)value & c->elcr_mask;
	update(c->pic);
	pthread_mutex_unlock(&c->pic->lock);
}

static const struct bus_ops chip_ops = {.read = chip_read, .write = chip_write};
static const struct bus_ops elcr_ops = {.read = elcr_read, .write = elcr_write};

/* ---- device ---- */

/* The inputs keep their levels: they belong to whoever drives them. */
static void reset(struct device *d)
{
	struct pic *pic = container_of(d, struct pic, dev);

	pthread_mutex_lock(&pic->lock);
	for (unsigned i = 0; i < 2; i++) {
		write_icw1(&pic->chip[i], ICW1_ICW4);
		pic->chip[i].init_step = EXPECT_OCW1;
		pic->chip[i].vector_base = 0;
		pic->chip[i].elcr = 0;
	}
	update(pic);
	pthread_mutex_unlock(&pic->lock);
}

static void chip_state(struct i8259 *c, struct state *s)
{
	state_u8(s, &c->lines);
	state_u8(s, &c->latched);
	state_u8(s, &c->elcr);
	state_u8(s, &c->imr);
	state_u8(s, &c->isr);
	state_u8(s, &c->first_pin);
	state_u8(s, &c->vector_base);
	state_u8(s, &c->init_step);
	state_bool(s, &c->wants_icw4);
	state_bool(s, &c->is_single);
	state_bool(s, &c->reads_isr);
	state_bool(s, &c->polls);
	state_bool(s, &c->has_special_mask);
	state_bool(s, &c->has_auto_eoi);
	state_bool(s, &c->rotates_on_auto_eoi);
	state_bool(s, &c->is_special_nested);
	if (c->init_step > EXPECT_ICW4 || c->first_pin > 7)
		state_fail(s, "pic: impossible register values");
	c->elcr &= c->elcr_mask;
	c->vector_base &= 0xf8;
}

static void state(struct device *d, struct state *s)
{
	struct pic *pic = container_of(d, struct pic, dev);

	pthread_mutex_lock(&pic->lock);
	chip_state(&pic->chip[0], s);
	chip_state(&pic->chip[1], s);
	if (state_failed(s) && state_is_loading(s))
		pic->chip[0].init_step = pic->chip[1].init_step = EXPECT_OCW1;
	update(pic);
	pthread_mutex_unlock(&pic->lock);
}

static void pic_free(struct device *d)
{
	struct pic *pic = container_of(d, struct pic, dev);

	for (unsigned i = 0; i < 2; i++) {
		bus_remove(pic->params.pio, &pic->chip[i].ports);
		bus_remove(pic->params.pio, &pic->chip[i].elcr_port);
	}
	pthread_mutex_destroy(&pic->lock);
	free(pic);
}

static const struct device_ops device_ops = {
	.type = "pic",
	.reset = reset,
	.state = state,
	.free = pic_free,
};

static const char *const port_names[] = {"pic master", "pic slave"};
static const char *const elcr_names[] = {"pic master elcr", "pic slave elcr"};
static const uint16_t port_bases[] = {0x20, 0xa0};
static const uint8_t elcr_masks[] = {0xf8, 0xde}; /* not 0, 1, 2, 8 and 13: always edges */

static int add_chip(struct pic *pic, unsigned i, struct error *err)
{
	struct i8259 *c = &pic->chip[i];
	int ret;

	c->pic = pic;
	c->is_master = i == 0;
	c->elcr_mask = elcr_masks[i];
	c->ports = (struct bus_region){.name = port_names[i],
				       .base = port_bases[i],
				       .size = 2,
				       .ops = &chip_ops,
				       .dev = c};
	c->elcr_port = (struct bus_region){
		.name = elcr_names[i], .base = 0x4d0 + i, .size = 1, .ops = &elcr_ops, .dev = c};
	ret = bus_add(pic->params.pio, &c->ports, err);
	return ret ? ret : bus_add(pic->params.pio, &c->elcr_port, err);
}

struct pic *pic_new(const struct pic_params *params, struct error *err)
{
	struct pic *pic = mem_alloc_zero(sizeof(*pic));

	pic->dev.ops = &device_ops;
	list_init(&pic->dev.node);
	pic->params = *params;
	pthread_mutex_init(&pic->lock, NULL);
	if (add_chip(pic, 0, err) || add_chip(pic, 1, err)) {
		pic_free(&pic->dev);
		return NULL;
	}
	reset(&pic->dev);
	return pic;
}

struct device *pic_device(struct pic *pic)
{
	return &pic->dev;
}
