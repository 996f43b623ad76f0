/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Format of a section: name (32 bytes, zero-padded), version (4 bytes), length of the body (4
 * bytes), body. All numbers little-endian.
 */
#include "core/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

#define NAME_MAX_BYTES 32

void state_init_save(struct state *s, struct buf *out)
{
	*s = (struct state){.out = out};
}

void state_init_load(struct state *s, const void *data, size_t len)
{
	*s = (struct state){.data = data, .len = len};
}

bool state_failed(const struct state *s)
{
	return s->error.text[0];
}

void state_fail(struct state *s, const char *fmt, ...)
{
	va_list ap;

	if (state_failed(s))
		return;
	va_start(ap, fmt);
	vsnprintf(s->error.text, sizeof(s->error.text), fmt, ap);
	va_end(ap);
}

/* Moves len bytes in the direction of s; limit is where reading must stop. */
static void transfer(struct state *s, void *v, size_t len, size_t limit)
{
	if (!state_is_loading(s)) {
		buf_append(s->out, v, len);
		return;
	}
	if (state_failed(s) || !range_fits(s->pos, len, limit)) {
		state_fail(s, "saved state ends early at byte %zu", s->pos);
		memset(v, 0, len);
		return;
	}
	memcpy(v, s->data + s->pos, len);
	s->pos += len;
}

uint32_t state_begin(struct state *s, const char *name, uint32_t version)
{
	char field[NAME_MAX_BYTES] = {0};
	uint32_t found = version, size = 0;

	BUG_ON(strlen(name) >= sizeof(field));
	strcpy(field, name);
	transfer(s, field, sizeof(field), s->len);
	transfer(s, &found, sizeof(found), s->len);
	s->section_at = s->out ? s->out->len : 0;
	transfer(s, &size, sizeof(size), s->len);
	if (!state_is_loading(s))
		return version;
	field[sizeof(field) - 1] = '\0';
	if (strcmp(field, name))
		state_fail(s, "saved state holds \"%s\" where \"%s\" is expected", field, name);
	else if (found > version)
		state_fail(s, "saved state of %s is version %u, newer than %u", name, found,
			   version);
	else if (!range_fits(s->pos, size, s->len))
		state_fail(s, "saved state of %s ends early", name);
	s->section_end = state_failed(s) ? s->pos : s->pos + size;
	return found;
}

void state_end(struct state *s)
{
	if (state_is_loading(s)) {
		if (s->pos != s->section_end)
			state_fail(s, "saved state has %zu bytes too many at byte %zu",
				   s->section_end - s->pos, s->pos);
		return;
	}
	uint32_t size = (uint32_t)(s->out->len - s->section_at - sizeof(size));

	memcpy(s->out->data + s->section_at, &size, sizeof(size));
}

void state_bytes(struct state *s, void *v, size_t len)
{
	transfer(s, v, len, s->section_end);
}

void state_u8(struct state *s, uint8_t *v)
{
	state_bytes(s, v, sizeof(*v));
}

void state_u16(struct state *s, uint16_t *v)
{
	state_bytes(s, v, sizeof(*v));
}

void state_u32(struct state *s, uint32_t *v)
{
	state_bytes(s, v, sizeof(*v));
}

void state_u64(struct state *s, uint64_t *v)
{
	state_bytes(s, v, sizeof(*v));
}

void state_bool(struct state *s, bool *v)
{
	/* A bool about to be loaded may never have had a value. */
	uint8_t byte = state_is_loading(s) ? 0 : *v;

	state_u8(s, &byte);
	*v = byte;
}
