/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One trial of the comparison with the host CPU: instructions, the state before it, and the state
 * after it as each side reports it. Both sides see the same linear addresses.
 */
#ifndef TESTS_CPU_STATE_H
#define TESTS_CPU_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/soft/cpu.h"

/*
 * Code is filled with INT3, so that whatever an instruction jumps to traps at once. Its last page
 * is followed by nothing. The data pages: nothing, two writable, nothing, one read-only, nothing,
 * the two writable ones again, nothing, one for the counters of loops, nothing.
 */
#define PAGE	     4096u
#define CODE_BASE    0x10000000ull
#define CODE_PAGES   4
#define DATA_BASE    0x20000000ull
#define DATA_PAGES   4
#define DATA_RW	     (DATA_BASE + PAGE)
#define DATA_RW_SIZE (2 * PAGE)
#define DATA_RO	     (DATA_BASE + 4 * PAGE)
#define DATA_ALIAS   (DATA_BASE + 6 * PAGE)
#define COUNTERS     (DATA_BASE + 9 * PAGE)
#define NR_COUNTERS  4
#define CODE_ALIAS   0x3b600000ull /* the code pages, writable; the engine's side only */
#define CODE_MAX     1024	   /* bytes of a trial */

/* Selectors of user code on Linux, so that both sides agree on them too. */
#define USER_CS32 0x23
#define USER_SS	  0x2b
#define USER_CS	  0x33

struct cpu_state {
	uint64_t gpr[16];
	uint64_t rip, rflags;
	uint64_t fs_base, gs_base;
	uint16_t selector[6]; /* by enum x86_seg */
	struct xsave_area fpu;
};

struct outcome {
	struct cpu_state state;
	unsigned vector; /* of the exception that ended the trial; VEC_BP when it ran through */
	uint32_t error;
	uint64_t cr2; /* with VEC_PF */
	uint8_t data[DATA_RW_SIZE];
	uint8_t code[CODE_MAX]; /* from the trial's on, as it left it */
	char failure[80];	/* not empty: the side could not run it, and why */
};

struct trial {
	uint8_t code[CODE_MAX];
	unsigned code_len;
	enum code_size size; /* CODE_64, or CODE_32: compatibility mode */
	struct cpu_state in; /* fs_base is the thread's, selectors of CODE_64 or CODE_32 */
	uint8_t data[DATA_RW_SIZE];
	uint32_t counters[NR_COUNTERS];
};

/* Contents of the read-only page, the same in every trial. */
void read_only_fill(uint8_t page[PAGE]);

#endif
