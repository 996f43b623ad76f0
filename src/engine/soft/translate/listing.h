/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What translated code can be seen by from outside: a map of names for `perf report`, and a listing
 * of guest and host instructions side by side. Called with the block cache's lock held.
 */
#ifndef ENGINE_SOFT_TRANSLATE_LISTING_H
#define ENGINE_SOFT_TRANSLATE_LISTING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct code_cache;
struct emitter;
struct engine_options;
struct listing;

/*
 * NULL without an error when opt asks for neither; NULL with a sentence in err when a file cannot be
 * made. The map is /tmp/perf-PID.map, which must not be anybody else's; the listing replaces the
 * file it names.
 */
struct listing *listing_new(const struct engine_options *opt, struct error *err);
void listing_free(struct listing *l); /* NULL is fine */

/* Names the gates, size bytes of code from their first one. */
void listing_gates(struct listing *l, const struct code_cache *cc, uint64_t size);

/* e begins a translation. This and the next two do nothing when nothing is listed. */
void listing_begin(struct emitter *e);

/*
 * The code that e writes from here on belongs to its instruction e->at; is_out: it stands out of
 * line.
 */
void listing_mark(struct emitter *e, bool is_out);

/* The records begin here, so the code has ended. */
void listing_mark_end(struct emitter *e);

/* e's translation is complete, with its instructions still there. */
void listing_add(struct emitter *e);

#endif
