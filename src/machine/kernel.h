/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts the guest's kernel into memory and the boot processor at its entry: for the first boot and
 * for every reset after it. Main loop thread, vCPUs standing still.
 */
#ifndef MACHINE_KERNEL_H
#define MACHINE_KERNEL_H

#include "boot/boot.h"

struct config;
struct kernel;
struct vm;

/*
 * Opens kernel and initrd, which stay open for later boots, so that files replaced meanwhile do
 * not matter. Where bantam's own init starts the guest, its initramfs is built here.
 */
struct kernel *kernel_open(const struct vm *vm, const struct config *cfg, struct error *err);
void kernel_close(struct kernel *k); /* NULL is fine */

/* Loads into zeroed guest RAM and sets the registers of vCPU 0, which must be freshly reset. */
int kernel_boot(struct kernel *k, struct vm *vm, struct error *err);

#endif
