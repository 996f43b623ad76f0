/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saving and loading of device state. One function per device describes its fields once and works
 * in both directions: state_u32(s, &d->count) writes the field or reads it back. Little-endian,
 * sections with name, version and length, so that a damaged or foreign stream is refused, never
 * misread. No locking: everything is paused.
 */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct state {
	struct buf *out;     /* saving: grows; NULL while loading */
	const uint8_t *data; /* loading: the stream */
	size_t len, pos;
	size_t section_end; /* loading: first byte past the open section */
	size_t section_at;  /* saving: where the open section's length goes */
	struct error error; /* the first failure; text empty while all is well */
};

void state_init_save(struct state *s, struct buf *out);
void state_init_load(struct state *s, const void *data, size_t len);

static inline bool state_is_loading(const struct state *s)
{
	return !s->out;
}

/* True once anything failed; later loads then give zeroes. */
bool state_failed(const struct state *s);

/* Records a failure found by the device itself: a value out of its range. */
void state_fail(struct state *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Opens a section. Saving writes name (at most 31 bytes) and version. Loading checks both: another
 * name or a newer version than this one is a failure. Returns the version in the stream.
 * Sections do not nest. state_end() while loading checks that everything was read.
 */
uint32_t state_begin(struct state *s, const char *name, uint32_t version);
void state_end(struct state *s);

void state_u8(struct state *s, uint8_t *v);
void state_u16(struct state *s, uint16_t *v);
void state_u32(struct state *s, uint32_t *v);
void state_u64(struct state *s, uint64_t *v);
void state_bool(struct state *s, bool *v);
void state_bytes(struct state *s, void *v, size_t len);

#endif
