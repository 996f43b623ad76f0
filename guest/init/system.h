/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the initramfs to the system on the shares.
 */
#ifndef INIT_SYSTEM_H
#define INIT_SYSTEM_H

#include "conf.h"

/* /proc, /sys and /dev of the initramfs, and descriptors 0 to 2. */
void system_mount_kernel(void);

/* Loads the modules in the order of their records; a failure is said and passed over. */
void system_load_modules(const struct conf *c);

/*
 * Mounts root, overlay and shares, and makes the new root this process's own. Returns 0 or a
 * negative errno, said on the console.
 */
long system_enter(const struct conf *c);

/* Ends every other process and writes everything to the shares. */
void system_leave(void);

#endif
