/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AT keyboard (IBM PS/2 technical reference, "Keyboards (101- and 102-key)"): commands, scan
 * code sets 1 and 2. Left out: set 3 and its per-key modes, which no current system asks for, and
 * typematic repeat, which displays do themselves.
 */
#include <string.h>

#include "base/base.h"
#include "device/ps2.h"

#define CMD_SET_LEDS   0xedu
#define CMD_ECHO       0xeeu
#define CMD_SCAN_SET   0xf0u
#define CMD_IDENTIFY   0xf2u
#define CMD_RATE       0xf3u
#define CMD_ENABLE     0xf4u
#define CMD_DISABLE    0xf5u
#define CMD_DEFAULTS   0xf6u
#define CMD_SET3_FIRST 0xf7u
#define CMD_SET3_LAST  0xfdu
#define CMD_RESEND     0xfeu
#define CMD_RESET      0xffu

#define DEFAULT_RATE 0x2bu /* 10.9 characters per second after half a second */
#define BREAK_PREFIX 0xf0u /* set 2 */
#define BREAK_BIT    0x80u /* set 1 */

/* The controller's translation from set 2 to set 1, by set 2 code. */
static const uint8_t set1_of[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

/* The two codes of set 2 above 0x7f: F7, and Alt-SysRq. */
#define SET2_F7	   0x83u
#define SET1_F7	   0x41u
#define SET2_SYSRQ 0x84u
#define SET1_SYSRQ 0x54u

uint8_t ps2_translate(uint8_t set2)
{
	if (set2 < 128)
		return set1_of[set2];
	if (set2 == SET2_F7)
		return SET1_F7;
	return set2 == SET2_SYSRQ ? SET1_SYSRQ : set2;
}

/* 0 for a code no key has. */
static uint8_t set2_of(uint8_t set1)
{
	if (set1 == SET1_F7)
		return SET2_F7;
	if (set1 == SET1_SYSRQ)
		return SET2_SYSRQ;
	for (unsigned i = 1; i < 128; i++)
		if (set1_of[i] == set1)
			return i;
	return 0;
}

/* ---- the queue ---- */

void ps2_push(struct ps2_queue *q, uint8_t byte)
{
	if (q->count < PS2_QUEUE_SIZE)
		q->bytes[(q->first + q->count++) % PS2_QUEUE_SIZE] = byte;
}

bool ps2_pop(struct ps2_queue *q, uint8_t *byte)
{
	if (!q->count)
		return false;
	*byte = q->bytes[q->first];
	q->first = (q->first + 1) % PS2_QUEUE_SIZE;
	q->count--;
	return true;
}

void ps2_state(struct ps2_queue *q, struct state *s)
{
	state_bytes(s, q->bytes, sizeof(q->bytes));
	state_u32(s, &q->first);
	state_u32(s, &q->count);
	if (q->first >= PS2_QUEUE_SIZE || q->count > PS2_QUEUE_SIZE) {
		state_fail(s, "ps2: impossible queue position");
		q->first = q->count = 0;
	}
}

/* ---- commands ---- */

static void set_defaults(struct ps2_keyboard *k)
{
	k->scan_set = 2;
	k->rate = DEFAULT_RATE;
	k->leds = 0;
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
	memset(k, 0, sizeof(*k));
	set_defaults(k);
	k->is_scanning = true;
}

static void answer(struct ps2_keyboard *k, uint8_t byte)
{
	k->last_byte = byte;
	ps2_push(&k->out, byte);
}

static void write_parameter(struct ps2_keyboard *k, uint8_t byte)
{
	uint8_t command = k->command;

	k->command = 0;
	if (command == CMD_SCAN_SET && byte > 2) {
		answer(k, PS2_RESEND);
		return;
	}
	answer(k, PS2_ACK);
	if (command == CMD_SET_LEDS)
		k->leds = byte & 7;
	else if (command == CMD_RATE)
		k->rate = byte & 0x7f;
	else if (byte)
		k->scan_set = byte;
	else
		answer(k, k->scan_set);
}

void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t byte)
{
	if (k->command && byte < CMD_SET_LEDS) {
		write_parameter(k, byte);
		return;
	}
	k->command = 0;
	switch (byte) {
	case CMD_SET_LEDS:
	case CMD_SCAN_SET:
	case CMD_RATE:
		k->command = byte;
		answer(k, PS2_ACK);
		break;
	case CMD_ECHO:
		answer(k, CMD_ECHO);
		break;
	case CMD_IDENTIFY:
		answer(k, PS2_ACK);
		answer(k, 0xab);
		answer(k, 0x83);
		break;
	case CMD_ENABLE:
		k->out.count = 0;
		k->is_scanning = true;
		answer(k, PS2_ACK);
		break;
	case CMD_DISABLE:
	case CMD_DEFAULTS:
		k->out.count = 0;
		set_defaults(k);
		k->is_scanning = byte == CMD_DEFAULTS;
		answer(k, PS2_ACK);
		break;
	case CMD_SET3_FIRST ... CMD_SET3_LAST:
		answer(k, PS2_ACK);
		break;
	case CMD_RESEND:
		ps2_push(&k->out, k->last_byte);
		break;
	case CMD_RESET:
		ps2_keyboard_reset(k);
		answer(k, PS2_ACK);
		answer(k, PS2_PASSED);
		break;
	default:
		answer(k, PS2_RESEND);
		break;
	}
}

/* ---- keys ---- */

static bool push_event(struct ps2_keyboard *k, const uint8_t *bytes, unsigned len)
{
	if (k->out.count + len > PS2_QUEUE_SIZE - PS2_ANSWER_ROOM)
		return false;
	for (unsigned i = 0; i < len; i++)
		answer(k, bytes[i]);
	return true;
}

/* Pause sends its make and break codes at once, and nothing when let go. */
static bool push_pause(struct ps2_keyboard *k, bool is_down)
{
	static const uint8_t set1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
	static const uint8_t set2[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};

	if (!is_down)
		return true;
	if (k->scan_set == 1)
		return push_event(k, set1, sizeof(set1));
	return push_event(k, set2, sizeof(set2));
}

bool ps2_keyboard_key(struct ps2_keyboard *k, unsigned code, bool is_down)
{
	uint8_t bytes[3], key = code & 0x7f;
	unsigned len = 0;

	if (!k->is_scanning)
		return false;
	if (code == 0xe11d)
		return push_pause(k, is_down);
	if ((code != key && code != (0xe000u | key)) || !set2_of(key))
		return true;
	if (code & 0xff00)
		bytes[len++] = 0xe0;
	if (k->scan_set == 1) {
		bytes[len++] = key | (is_down ? 0 : BREAK_BIT);
	} else {
		if (!is_down)
			bytes[len++] = BREAK_PREFIX;
		bytes[len++] = set2_of(key);
	}
	return push_event(k, bytes, len);
}

void ps2_keyboard_state(struct ps2_keyboard *k, struct state *s)
{
	ps2_state(&k->out, s);
	state_u8(s, &k->command);
	state_u8(s, &k->scan_set);
	state_u8(s, &k->leds);
	state_u8(s, &k->rate);
	state_u8(s, &k->last_byte);
	state_bool(s, &k->is_scanning);
	if (k->scan_set < 1 || k->scan_set > 2) {
		state_fail(s, "ps2: impossible scan code set");
		k->scan_set = 2;
	}
}
