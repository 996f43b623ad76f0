/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What --stats prints: lines of name=value pairs, each begun by "stats" and whom it is about. Names
 * are those of engine.h's counters; they stay as they are, and new ones go to the end of a line.
 */
#ifndef MACHINE_STATS_H
#define MACHINE_STATS_H

struct vm;

/* Main loop thread, with no vCPU running. */
void vm_print_stats(const struct vm *vm);

#endif
