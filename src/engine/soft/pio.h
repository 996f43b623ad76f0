/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port accesses: how IN, OUT, INS and OUTS reach the caller of the engine (KVM_EXIT_IO). vCPU
 *thread only.
 *
 * Input: the first pio_in() leaves the engine; when it is entered again the instruction runs a
 * second time and pio_in() returns the data. So an input instruction makes all its checks (port
 * permission, mmu_check_write() of the destination) before pio_in(), stores after it, then calls
 * pio_in_done() and only then changes registers:
 *
 *	data = pio_in(c, i, port, size, count);
 *	... store ...
 *	pio_in_done(c);
 *	... RDI, RCX, END or BRANCH to itself while elements are left ...
 *
 * Output: everything else of the instruction is done first, registers included; pio_out() then sets
 * rip and leaves. A repeated OUTS with elements left gives its own rip, so that it goes on there.
 */
#ifndef ENGINE_SOFT_PIO_H
#define ENGINE_SOFT_PIO_H

#include "engine/soft/cpu.h"

#define PIO_DATA_OFFSET 4096 /* io.data_offset: the data's place behind kvm_run */
#define PIO_DATA_SIZE	4096 /* bytes there: size * count of one exit */

/* size is 1, 2 or 4; count * size at most PIO_DATA_SIZE, count at least 1. */
const void *pio_in(struct cpu *c, const struct insn *i, uint16_t port, unsigned size,
		   unsigned count);
void pio_in_done(struct cpu *c);

void pio_out(struct cpu *c, uint64_t next_rip, uint16_t port, unsigned size, unsigned count,
	     const void *data) __attribute__((noreturn));

#endif
