/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to physical addresses that are no memory: the local APIC's page, and devices outside the
 * engine by way of KVM_EXIT_MMIO and the replay log of cpu.h. vCPU thread.
 */
#ifndef ENGINE_SOFT_MMIO_H
#define ENGINE_SOFT_MMIO_H

#include "engine/soft/cpu.h"

/* size 1 to 8, within one page. Leave by cpu_exit() unless the log or the LAPIC has the answer. */
uint64_t mmio_read(struct cpu *c, const struct insn *i, uint64_t gpa, unsigned size);
void mmio_write(struct cpu *c, const struct insn *i, uint64_t gpa, unsigned size, uint64_t value);

/*
 * At entry: takes what the caller answered to the last exit into the log, or into the port read's
 * state. True when an instruction is in progress and must be run to its end first.
 */
bool mmio_complete(struct cpu *c);

/* The instruction in progress is over. */
void mmio_forget(struct cpu *c);

#endif
