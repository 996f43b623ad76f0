/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Builds, in memory, the initramfs of a guest whose system is on shares: bantam's own init, what it
 * is to do (protocol.h), and the modules the configured devices need. Set-up code, one thread.
 */
#ifndef BOOT_INITRAMFS_INITRAMFS_H
#define BOOT_INITRAMFS_INITRAMFS_H

#include "base/buf.h"
#include "base/error.h"

struct modules;

/* Appends a record of the strings up to a NULL; none may be empty. */
void initramfs_record(struct buf *records, const char *first, ...) __attribute__((sentinel));

/*
 * Appends the archive to out. modules are those wanted, in load order; NULL: none, everything is
 * built into the kernel. records come after those of the modules.
 */
void initramfs_build(struct buf *out, const struct modules *modules, const struct buf *records);

#endif
