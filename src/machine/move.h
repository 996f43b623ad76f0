/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves a running VM to a fresh engine VM, of the same accelerator or another one, over the same
 * guest memory: every vCPU's state is taken out and put in again. The guest must not notice. A tool
 * for testing that nothing of the state is missing (debug.move_every), and the kernel of snapshots.
 */
#ifndef MACHINE_MOVE_H
#define MACHINE_MOVE_H

#include "base/error.h"

struct vm;

/*
 * Main loop thread; the vCPUs are paused and resumed inside. accel: as engine_open().
 * On failure the VM is in no defined state and must be ended.
 */
int vm_move(struct vm *vm, const char *accel, struct error *err);

#endif
