/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the initramfs to the system on the shares.
 */
#ifndef INIT_SYSTEM_H
#define INIT_SYSTEM_H

#include "conf.h"

/* /proc, /sys and /dev of the initramfs, and descriptors 0 to 2. */
void system_mount_kernel(void);

/*
 * Loads the modules in the order of their records; a failure is said and passed over, other than that
 * there is nothing for it to drive.
 */
void system_load_modules(const struct conf *c);

/*
 * Sets the calendar time to the host's, where KVM tells it (ptp_kvm). The kernel had it from the RTC, to
 * half a second: files that the host stamps on a share would seem to be of the future.
 */
void system_set_clock(void);

/*
 * Mounts root, overlay and shares, and makes the new root this process's own. Returns 0 or a
 * negative errno, said on the console.
 */
long system_enter(const struct conf *c);

/* Ends every other process and writes everything to the shares. */
void system_leave(void);

#endif
