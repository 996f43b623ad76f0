/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a trial on the soft engine, as user code of a small guest whose exception handlers do one
 * port write each: through engine.h only, so that fetch, paging and delivery take part as well.
 */
#ifndef TESTS_CPU_GUEST_H
#define TESTS_CPU_GUEST_H

#include "base/error.h"
#include "cpu/state.h"

struct guest;

/* fs_base: see native_fs_base(). xcr0: what the guest's operating system would enable.
 * is_translated: on the soft engine every block is translated before its first run;
 * has_sites: all its accesses with sites. */
struct guest *guest_new(const char *accel, bool is_translated, bool has_sites, uint64_t fs_base,
			uint64_t xcr0, struct error *err);
void guest_free(struct guest *g);

/* The feature words of its CPUID, as decode() wants them. */
const uint32_t *guest_features(const struct guest *g);

/* Any time, from signal handlers too: NATIVE_PATIENCE of them in a trial end it. */
void guest_tick(void *guest);

/* Another number of ticks. */
void guest_set_patience(struct guest *g, int ticks);

/* Puts the code there, runs it, and takes it away again. */
void guest_run(struct guest *g, const struct trial *t, struct outcome *out);

/* The same in steps: guest_start() any number of times, from the same state each time. */
void guest_put_code(struct guest *g, const struct trial *t);
void guest_start(struct guest *g, const struct trial *t, struct outcome *out);
void guest_remove_code(struct guest *g, const struct trial *t);

/* Whether the code and all that is around it is as guest_put_code() has left it. */
bool guest_code_is_intact(struct guest *g, const struct trial *t);

/* As a device would: changes one byte of the code. */
void guest_poke_code(struct guest *g, const struct trial *t, unsigned at, uint8_t value);

#endif
