/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The i8042 keyboard controller (IBM PS/2 technical reference, "Keyboard and auxiliary device
 * controller"): commands, translation, output port with the reset line. The A20 bit is kept without
 * effect. Each byte handed to the guest is an edge on IRQ 1 or IRQ 12. Left out: active
 * multiplexing, parity and time-out errors. Entered by vCPU threads and by displays.
 */
#include "device/i8042.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "device/ps2.h"

#define DATA_PORT    0x60
#define COMMAND_PORT 0x64

#define STATUS_FULL	BIT(0)
#define STATUS_SYSTEM	BIT(2)
#define STATUS_COMMAND	BIT(3)
#define STATUS_UNLOCKED BIT(4)
#define STATUS_MOUSE	BIT(5)

/* The controller's command byte, RAM[0]. */
#define CTR_KEYBOARD_IRQ BIT(0)
#define CTR_MOUSE_IRQ	 BIT(1)
#define CTR_SYSTEM	 BIT(2)
#define CTR_KEYBOARD_OFF BIT(4)
#define CTR_MOUSE_OFF	 BIT(5)
#define CTR_TRANSLATE	 BIT(6)
/* As a PC's firmware leaves it. */
#define CTR_DEFAULT (CTR_KEYBOARD_IRQ | CTR_MOUSE_IRQ | CTR_SYSTEM | CTR_TRANSLATE)

#define OUTPUT_RESET	BIT(0) /* low: the CPU is held in reset */
#define OUTPUT_A20	BIT(1)
#define OUTPUT_KEYBOARD BIT(4)
#define OUTPUT_MOUSE	BIT(5)
#define OUTPUT_FIXED	0xccu

#define CMD_READ_RAM	  0x20u /* 0x20-0x3f */
#define CMD_WRITE_RAM	  0x60u /* 0x60-0x7f */
#define CMD_MOUSE_OFF	  0xa7u
#define CMD_MOUSE_ON	  0xa8u
#define CMD_TEST_MOUSE	  0xa9u
#define CMD_SELF_TEST	  0xaau
#define CMD_TEST_KEYBOARD 0xabu
#define CMD_KEYBOARD_OFF  0xadu
#define CMD_KEYBOARD_ON	  0xaeu
#define CMD_READ_INPUT	  0xc0u
#define CMD_READ_OUTPUT	  0xd0u
#define CMD_WRITE_OUTPUT  0xd1u
#define CMD_LOOP_KEYBOARD 0xd2u
#define CMD_LOOP_MOUSE	  0xd3u
#define CMD_TO_MOUSE	  0xd4u
#define CMD_A20_OFF	  0xddu
#define CMD_A20_ON	  0xdfu
#define CMD_TEST_INPUTS	  0xe0u
#define CMD_PULSE	  0xf0u /* 0xf0-0xff: the low bits that are 0 are pulsed */

enum source { FROM_KEYBOARD, FROM_MOUSE };

struct i8042 {
	struct device dev;
	pthread_mutex_t lock; /* guards all, both devices included; lines are driven under it */
	struct i8042_params params;
	struct bus_region data_region, command_region;
	uint8_t ram[32];
	uint8_t status, output_port;
	uint8_t command; /* waiting for its data byte; 0: none */
	uint8_t data;	 /* output buffer, valid with STATUS_FULL */
	bool is_paused;	 /* events from outside are refused */
	bool has_break;	 /* translation has swallowed a break prefix */
	/* Answers of the controller itself go before the devices' bytes. */
	bool has_answer;
	uint8_t answer, answer_source;
	struct ps2_keyboard keyboard;
	struct ps2_mouse mouse;
};

/* ---- output buffer; lock held ---- */

static void update_irqs(struct i8042 *c)
{
	bool is_full = c->status & STATUS_FULL, is_mouse = c->status & STATUS_MOUSE;

	irq_set(&c->params.irq_keyboard, is_full && !is_mouse && c->ram[0] & CTR_KEYBOARD_IRQ);
	irq_set(&c->params.irq_mouse, is_full && is_mouse && c->ram[0] & CTR_MOUSE_IRQ);
}

static void fill(struct i8042 *c, uint8_t byte, enum source source)
{
	c->data = byte;
	c->status |= STATUS_FULL;
	c->status = source == FROM_MOUSE ? c->status | STATUS_MOUSE : c->status & ~STATUS_MOUSE;
}

/* The next byte of the keyboard as the guest is to see it; false when there is none. */
static bool next_key_byte(struct i8042 *c, uint8_t *byte)
{
	while (ps2_pop(&c->keyboard.out, byte)) {
		if (!(c->ram[0] & CTR_TRANSLATE))
			return true;
		if (*byte == 0xf0) {
			c->has_break = true;
			continue;
		}
		*byte = ps2_translate(*byte) | (c->has_break ? 0x80 : 0);
		c->has_break = false;
		return true;
	}
	return false;
}

/* Moves the next byte, if any, into an empty output buffer. */
static void refill(struct i8042 *c)
{
	uint8_t byte;

	if (c->status & STATUS_FULL)
		return;
	if (c->has_answer) {
		c->has_answer = false;
		fill(c, c->answer, c->answer_source);
	} else if (!(c->ram[0] & CTR_KEYBOARD_OFF) && next_key_byte(c, &byte)) {
		fill(c, byte, FROM_KEYBOARD);
	} else if (!(c->ram[0] & CTR_MOUSE_OFF) && ps2_pop(&c->mouse.out, &byte)) {
		fill(c, byte, FROM_MOUSE);
		ps2_mouse_flush(&c->mouse);
	}
	update_irqs(c);
}

static void reply(struct i8042 *c, uint8_t byte, enum source source)
{
	c->has_answer = true;
	c->answer = byte;
	c->answer_source = source;
}

/* ---- commands; lock held; true asks for a reset ---- */

static bool write_output_port(struct i8042 *c, uint8_t value)
{
	c->output_port = (value & OUTPUT_A20) | OUTPUT_RESET | OUTPUT_FIXED;
	return !(value & OUTPUT_RESET);
}

static uint8_t read_output_port(const struct i8042 *c)
{
	uint8_t value = c->output_port;

	if (c->status & STATUS_FULL)
		value |= c->status & STATUS_MOUSE ? OUTPUT_MOUSE : OUTPUT_KEYBOARD;
	return value;
}

static bool write_command(struct i8042 *c, uint8_t value)
{
	c->status |= STATUS_COMMAND;
	c->command = 0;
	switch (value) {
	case CMD_READ_RAM ... CMD_READ_RAM + 0x1f:
		reply(c, c->ram[value & 0x1f], FROM_KEYBOARD);
		break;
	case CMD_WRITE_RAM ... CMD_WRITE_RAM + 0x1f:
	case CMD_WRITE_OUTPUT ... CMD_TO_MOUSE:
		c->command = value;
		break;
	case CMD_MOUSE_OFF:
		c->ram[0] |= CTR_MOUSE_OFF;
		break;
	case CMD_MOUSE_ON:
		c->ram[0] &= ~CTR_MOUSE_OFF;
		break;
	case CMD_TEST_MOUSE:
	case CMD_TEST_KEYBOARD:
	case CMD_TEST_INPUTS:
		reply(c, 0x00, FROM_KEYBOARD);
		break;
	case CMD_SELF_TEST:
		c->status |= STATUS_SYSTEM;
		reply(c, 0x55, FROM_KEYBOARD);
		break;
	case CMD_KEYBOARD_OFF:
		c->ram[0] |= CTR_KEYBOARD_OFF;
		break;
	case CMD_KEYBOARD_ON:
		c->ram[0] &= ~CTR_KEYBOARD_OFF;
		break;
	case CMD_READ_INPUT:
		reply(c, 0x80, FROM_KEYBOARD); /* not locked */
		break;
	case CMD_READ_OUTPUT:
		reply(c, read_output_port(c), FROM_KEYBOARD);
		break;
	case CMD_A20_OFF:
	case CMD_A20_ON:
		write_output_port(c, OUTPUT_RESET | (value == CMD_A20_ON ? OUTPUT_A20 : 0));
		break;
	case CMD_PULSE ... CMD_PULSE + 0x0f:
		return !(value & OUTPUT_RESET);
	default:
		break;
	}
	return false;
}

/* A byte for a device also switches its cable on. */
static bool write_data(struct i8042 *c, uint8_t value)
{
	uint8_t command = c->command;

	c->status &= ~STATUS_COMMAND;
	c->command = 0;
	switch (command) {
	case 0:
		c->ram[0] &= ~CTR_KEYBOARD_OFF;
		c->has_break = false;
		ps2_keyboard_write(&c->keyboard, value);
		break;
	case CMD_WRITE_OUTPUT:
		return write_output_port(c, value);
	case CMD_LOOP_KEYBOARD:
		reply(c, value, FROM_KEYBOARD);
		break;
	case CMD_LOOP_MOUSE:
		reply(c, value, FROM_MOUSE);
		break;
	case CMD_TO_MOUSE:
		c->ram[0] &= ~CTR_MOUSE_OFF;
		ps2_mouse_write(&c->mouse, value);
		break;
	default:
		c->ram[command & 0x1f] = value;
		break;
	}
	return false;
}

/* ---- ports ---- */

static uint64_t data_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8042 *c = dev;
	uint8_t value;

	pthread_mutex_lock(&c->lock);
	value = c->data;
	if (c->status & STATUS_FULL) {
		c->status &= ~(STATUS_FULL | STATUS_MOUSE);
		update_irqs(c); /* down, so that the next byte is an edge */
		refill(c);
	}
	pthread_mutex_unlock(&c->lock);
	return value;
}

static uint64_t status_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8042 *c = dev;
	uint8_t value;

	pthread_mutex_lock(&c->lock);
	value = c->status;
	pthread_mutex_unlock(&c->lock);
	return value;
}

static void port_write(struct i8042 *c, bool (*write)(struct i8042 *c, uint8_t value),
		       uint64_t value)
{
	bool resets;

	pthread_mutex_lock(&c->lock);
	resets = write(c, (uint8_t)value);
	refill(c);
	update_irqs(c);
	pthread_mutex_unlock(&c->lock);
	if (resets)
		c->params.reset(c->params.ctx);
}

static void data_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	port_write(dev, write_data, value);
}

static void command_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	port_write(dev, write_command, value);
}

static const struct bus_ops data_ops = {.read = data_read, .write = data_write};
static const struct bus_ops command_ops = {.read = status_read, .write = command_write};

/* ---- events ---- */

bool i8042_key(struct i8042 *c, unsigned code, bool is_down)
{
	bool is_taken;

	pthread_mutex_lock(&c->lock);
	is_taken = !c->is_paused && ps2_keyboard_key(&c->keyboard, code, is_down);
	if (is_taken)
		refill(c);
	pthread_mutex_unlock(&c->lock);
	return is_taken;
}

bool i8042_mouse(struct i8042 *c, int dx, int dy, int wheel, unsigned buttons)
{
	bool is_taken;

	pthread_mutex_lock(&c->lock);
	is_taken = !c->is_paused && ps2_mouse_move(&c->mouse, dx, dy, wheel, buttons);
	if (is_taken)
		refill(c);
	pthread_mutex_unlock(&c->lock);
	return is_taken;
}

/* ---- device ---- */

static void reset(struct device *d)
{
	struct i8042 *c = container_of(d, struct i8042, dev);

	pthread_mutex_lock(&c->lock);
	memset(c->ram, 0, sizeof(c->ram));
	c->ram[0] = CTR_DEFAULT;
	c->status = STATUS_UNLOCKED | STATUS_COMMAND | STATUS_SYSTEM;
	c->output_port = OUTPUT_RESET | OUTPUT_A20 | OUTPUT_FIXED;
	c->command = c->data = 0;
	c->has_break = c->has_answer = false;
	ps2_keyboard_reset(&c->keyboard);
	ps2_mouse_reset(&c->mouse);
	update_irqs(c);
	pthread_mutex_unlock(&c->lock);
}

static void state(struct device *d, struct state *s)
{
	struct i8042 *c = container_of(d, struct i8042, dev);

	pthread_mutex_lock(&c->lock);
	state_bytes(s, c->ram, sizeof(c->ram));
	state_u8(s, &c->status);
	state_u8(s, &c->output_port);
	state_u8(s, &c->command);
	state_u8(s, &c->data);
	state_bool(s, &c->has_break);
	state_bool(s, &c->has_answer);
	state_u8(s, &c->answer);
	state_u8(s, &c->answer_source);
	ps2_keyboard_state(&c->keyboard, s);
	ps2_mouse_state(&c->mouse, s);
	if (state_is_loading(s))
		update_irqs(c);
	pthread_mutex_unlock(&c->lock);
}

static void set_paused(struct device *d, bool is_paused)
{
	struct i8042 *c = container_of(d, struct i8042, dev);

	pthread_mutex_lock(&c->lock);
	c->is_paused = is_paused;
	pthread_mutex_unlock(&c->lock);
}

static void pause_events(struct device *d)
{
	set_paused(d, true);
}

static void resume(struct device *d)
{
	set_paused(d, false);
}

static void i8042_free(struct device *d)
{
	struct i8042 *c = container_of(d, struct i8042, dev);

	bus_remove(c->params.pio, &c->data_region);
	bus_remove(c->params.pio, &c->command_region);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static const struct device_ops device_ops = {
	.type = "i8042",
	.reset = reset,
	.state = state,
	.pause = pause_events,
	.resume = resume,
	.free = i8042_free,
};

struct i8042 *i8042_new(const struct i8042_params *params, struct error *err)
{
	struct i8042 *c = mem_alloc_zero(sizeof(*c));

	c->dev.ops = &device_ops;
	list_init(&c->dev.node);
	c->params = *params;
	pthread_mutex_init(&c->lock, NULL);
	c->data_region = (struct bus_region){
		.name = "i8042 data", .base = DATA_PORT, .size = 1, .ops = &data_ops, .dev = c};
	c->command_region = (struct bus_region){.name = "i8042 command",
						.base = COMMAND_PORT,
						.size = 1,
						.ops = &command_ops,
						.dev = c};
	if (bus_add(params->pio, &c->data_region, err) ||
	    bus_add(params->pio, &c->command_region, err)) {
		i8042_free(&c->dev);
		return NULL;
	}
	reset(&c->dev);
	return c;
}

struct device *i8042_device(struct i8042 *c)
{
	return &c->dev;
}
