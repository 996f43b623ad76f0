/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a person needs to see of a vCPU that cannot go on: registers, the code around the
 * instruction pointer, and how it is mapped. Written through engine.h, so that it works on every
 * engine. The vCPU must not be running; its own thread or any thread while it stands still.
 */
#ifndef DEBUG_DUMP_H
#define DEBUG_DUMP_H

#include <stdio.h>

#include "core/mem.h"
#include "engine/engine.h"

#define DUMP_REGISTERS BIT(0)
#define DUMP_CODE      BIT(1) /* bytes and instructions from rip on */
#define DUMP_PAGE_WALK BIT(2) /* every table entry on the way from CR3 to rip */

struct symbols;

/* symbols may be NULL. */
void dump_vcpu(FILE *out, struct engine_vcpu *v, struct mem *mem, const struct symbols *symbols,
	       unsigned what);

/* The name of a KVM exit reason, or "unknown". */
const char *dump_exit_name(uint32_t reason);

#endif
