/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace of what guest code is executed: a line per block and event, in a file.
 *
 *   N ADDRESS		vCPU N enters the block at this linear address; its instructions follow, each
 *			in a line that begins with a tab, unless the line before the last of this
 *			address had the same ones
 *   N event VECTOR	an interrupt or exception goes to the guest
 *
 * Interpreter and translated code are both seen: cpu.is_traced keeps them from going on to another
 * block by themselves. A block may be left in its middle, by a branch, a fault or an interrupt; the
 * next line then tells where to. vCPU threads; lines of one block stay together.
 */
#ifndef ENGINE_SOFT_TRACE_H
#define ENGINE_SOFT_TRACE_H

#include "base/error.h"

struct block;
struct cpu;
struct engine_options;
struct trace;

/* NULL without an error when opt asks for none; NULL with err filled: no such file can be made. */
struct trace *trace_new(const struct engine_options *opt, struct error *err);
void trace_free(struct trace *t); /* NULL is fine */

/* c is about to run b, at c->rip; an event with this vector is delivered. */
void trace_block(struct cpu *c, struct block *b);
void trace_event(struct cpu *c, unsigned vector);

#endif
