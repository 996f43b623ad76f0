/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two devices on the cables of an i8042: an AT keyboard and a PS/2 mouse. They take command
 * bytes and put their answers and events into a queue the controller empties. No locking: the
 * controller's lock covers them.
 */
#ifndef DEVICE_PS2_H
#define DEVICE_PS2_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

/* Bytes on their way to the controller. */
#define PS2_QUEUE_SIZE 64u
struct ps2_queue {
	uint8_t bytes[PS2_QUEUE_SIZE];
	uint32_t first, count;
};

/* Room kept free of events, so that answers to commands always fit a driver that reads them. */
#define PS2_ANSWER_ROOM 16u

void ps2_push(struct ps2_queue *q, uint8_t byte); /* dropped when full */
bool ps2_pop(struct ps2_queue *q, uint8_t *byte);
void ps2_state(struct ps2_queue *q, struct state *s);

#define PS2_ACK	   0xfau
#define PS2_RESEND 0xfeu
#define PS2_PASSED 0xaau /* self-test */

struct ps2_keyboard {
	struct ps2_queue out;
	uint8_t command;  /* waiting for its parameter; 0: none */
	uint8_t scan_set; /* 1 or 2 */
	uint8_t leds, rate;
	uint8_t last_byte; /* for a resend */
	bool is_scanning;
};

void ps2_keyboard_reset(struct ps2_keyboard *k);
void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t byte);
bool ps2_keyboard_key(struct ps2_keyboard *k, unsigned code, bool is_down); /* see i8042_key() */
void ps2_keyboard_state(struct ps2_keyboard *k, struct state *s);

/* What the controller's translation makes of a set 2 code (not of 0xf0). */
uint8_t ps2_translate(uint8_t set2);

struct ps2_mouse {
	struct ps2_queue out;
	uint8_t command;
	uint8_t id; /* 0, 3 with a wheel, 4 with five buttons */
	uint8_t rate, resolution;
	uint8_t knock[2]; /* the last sample rates set: 200, 100, 80 and 200, 200, 80 change the id
			   */
	bool is_reporting, is_remote, is_double, wraps;
	int32_t dx, dy, wheel; /* not reported yet */
	uint8_t buttons, reported_buttons;
};

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte);
bool ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int wheel, unsigned buttons);
/* The queue has been read from: reports what had to wait. */
void ps2_mouse_flush(struct ps2_mouse *m);
void ps2_mouse_state(struct ps2_mouse *m, struct state *s);

#endif
