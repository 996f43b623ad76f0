/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PS/2 mouse (IBM PS/2 technical reference, "Mouse") with the wheel and five-button extensions
 * drivers knock for by sample rates. Movement the queue has no room for is kept and reported in one
 * packet later. Left out: the sample rate as a limit.
 */
#include <string.h>

#include "base/base.h"
#include "device/ps2.h"

#define CMD_SCALE_1    0xe6u
#define CMD_SCALE_2    0xe7u
#define CMD_RESOLUTION 0xe8u
#define CMD_STATUS     0xe9u
#define CMD_STREAM     0xeau
#define CMD_READ       0xebu
#define CMD_UNWRAP     0xecu
#define CMD_WRAP       0xeeu
#define CMD_REMOTE     0xf0u
#define CMD_IDENTIFY   0xf2u
#define CMD_RATE       0xf3u
#define CMD_ENABLE     0xf4u
#define CMD_DISABLE    0xf5u
#define CMD_DEFAULTS   0xf6u
#define CMD_RESET      0xffu

#define ID_PLAIN 0
#define ID_WHEEL 3
#define ID_FIVE	 4

#define DELTA_MAX   255
#define BACKLOG_MAX (DELTA_MAX * 16) /* movement kept for later; the rest is lost */

static void set_defaults(struct ps2_mouse *m)
{
	m->rate = 100;
	m->resolution = 2; /* four counts per millimetre */
	m->is_double = m->is_reporting = m->is_remote = m->wraps = false;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
	memset(m, 0, sizeof(*m));
	set_defaults(m);
}

static void answer(struct ps2_mouse *m, uint8_t byte)
{
	ps2_push(&m->out, byte);
}

/* ---- movement packets ---- */

static int clamp(int v, int low, int high)
{
	return max(low, min(v, high));
}

/* Byte 0: overflow and sign bits, a fixed one, the buttons. */
static void push_packet(struct ps2_mouse *m)
{
	int dx = clamp(m->dx, -DELTA_MAX, DELTA_MAX), dy = clamp(m->dy, -DELTA_MAX, DELTA_MAX);
	int wheel = clamp(m->wheel, -8, 7);

	m->dx -= dx;
	m->dy -= dy;
	m->wheel -= wheel;
	m->reported_buttons = m->buttons;
	answer(m, (dy < 0 ? BIT(5) : 0) | (dx < 0 ? BIT(4) : 0) | BIT(3) | (m->buttons & 7));
	answer(m, (uint8_t)dx);
	answer(m, (uint8_t)dy);
	if (m->id == ID_WHEEL)
		answer(m, (uint8_t)-wheel);
	else if (m->id == ID_FIVE)
		answer(m, -wheel & 0x0f);
	else
		m->wheel = 0;
}

static bool has_news(const struct ps2_mouse *m)
{
	return m->dx || m->dy || (m->wheel && m->id != ID_PLAIN) ||
	       m->buttons != m->reported_buttons;
}

void ps2_mouse_flush(struct ps2_mouse *m)
{
	if (!m->is_reporting || m->is_remote)
		return;
	while (has_news(m) && m->out.count + 4 <= PS2_QUEUE_SIZE - PS2_ANSWER_ROOM)
		push_packet(m);
}

bool ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int wheel, unsigned buttons)
{
	if (!m->is_reporting && !m->is_remote)
		return false;
	m->dx = clamp(m->dx + clamp(dx, -BACKLOG_MAX, BACKLOG_MAX), -BACKLOG_MAX, BACKLOG_MAX);
	m->dy = clamp(m->dy + clamp(dy, -BACKLOG_MAX, BACKLOG_MAX), -BACKLOG_MAX, BACKLOG_MAX);
	m->wheel = clamp(m->wheel + clamp(wheel, -64, 64), -64, 64);
	m->buttons = buttons & 7;
	ps2_mouse_flush(m);
	return true;
}

/* ---- commands ---- */

static void set_rate(struct ps2_mouse *m, uint8_t rate)
{
	if (m->knock[0] == 200 && m->knock[1] == 100 && rate == 80)
		m->id = ID_WHEEL;
	else if (m->knock[0] == 200 && m->knock[1] == 200 && rate == 80 && m->id == ID_WHEEL)
		m->id = ID_FIVE;
	m->knock[0] = m->knock[1];
	m->knock[1] = rate;
	m->rate = rate;
}

static void send_status(struct ps2_mouse *m)
{
	uint8_t buttons = (m->buttons & 1) << 2 | (m->buttons & 4) >> 1 | (m->buttons & 2) >> 1;

	answer(m, (m->is_remote ? BIT(6) : 0) | (m->is_reporting ? BIT(5) : 0) |
			  (m->is_double ? BIT(4) : 0) | buttons);
	answer(m, m->resolution);
	answer(m, m->rate);
}

static void write_parameter(struct ps2_mouse *m, uint8_t byte)
{
	if (m->command == CMD_RATE)
		set_rate(m, byte);
	else
		m->resolution = byte & 3;
	m->command = 0;
	answer(m, PS2_ACK);
}

/* Commands that set something and answer with nothing but the acknowledgement. */
static bool set_mode(struct ps2_mouse *m, uint8_t byte)
{
	switch (byte) {
	case CMD_SCALE_1:
	case CMD_SCALE_2:
		m->is_double = byte == CMD_SCALE_2;
		return true;
	case CMD_RESOLUTION:
	case CMD_RATE:
		m->command = byte;
		return true;
	case CMD_STREAM:
	case CMD_REMOTE:
		m->is_remote = byte == CMD_REMOTE;
		return true;
	case CMD_WRAP:
	case CMD_UNWRAP:
		m->wraps = byte == CMD_WRAP;
		return true;
	case CMD_ENABLE:
	case CMD_DISABLE:
		m->is_reporting = byte == CMD_ENABLE;
		m->dx = m->dy = m->wheel = 0;
		return true;
	case CMD_DEFAULTS:
		set_defaults(m);
		return true;
	default:
		return false;
	}
}

void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte)
{
	if (m->wraps && byte != CMD_UNWRAP && byte != CMD_RESET) {
		answer(m, byte);
		return;
	}
	if (m->command) {
		write_parameter(m, byte);
		return;
	}
	m->out.count = 0;
	if (byte == CMD_RESET)
		ps2_mouse_reset(m);
	if (!set_mode(m, byte) && byte != CMD_STATUS && byte != CMD_READ && byte != CMD_IDENTIFY &&
	    byte != CMD_RESET) {
		answer(m, PS2_RESEND);
		return;
	}
	answer(m, PS2_ACK);
	if (byte == CMD_STATUS)
		send_status(m);
	else if (byte == CMD_READ)
		push_packet(m);
	else if (byte == CMD_IDENTIFY)
		answer(m, m->id);
	else if (byte == CMD_RESET) {
		answer(m, PS2_PASSED);
		answer(m, ID_PLAIN);
	}
}

void ps2_mouse_state(struct ps2_mouse *m, struct state *s)
{
	ps2_state(&m->out, s);
	state_u8(s, &m->command);
	state_u8(s, &m->id);
	state_u8(s, &m->rate);
	state_u8(s, &m->resolution);
	state_bytes(s, m->knock, sizeof(m->knock));
	state_bool(s, &m->is_reporting);
	state_bool(s, &m->is_remote);
	state_bool(s, &m->is_double);
	state_bool(s, &m->wraps);
	state_u32(s, (uint32_t *)&m->dx);
	state_u32(s, (uint32_t *)&m->dy);
	state_u32(s, (uint32_t *)&m->wheel);
	state_u8(s, &m->buttons);
	state_u8(s, &m->reported_buttons);
	m->dx = clamp(m->dx, -BACKLOG_MAX, BACKLOG_MAX);
	m->dy = clamp(m->dy, -BACKLOG_MAX, BACKLOG_MAX);
	m->wheel = clamp(m->wheel, -64, 64);
	m->buttons &= 7;
}
