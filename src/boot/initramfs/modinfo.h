/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a kernel module says about itself: the section .modinfo of an ELF64 file, strings of the form
 * name=value. The file may hold anything. Pure functions.
 */
#ifndef BOOT_INITRAMFS_MODINFO_H
#define BOOT_INITRAMFS_MODINFO_H

#include <stddef.h>
#include <stdint.h>

/*
 * Finds the first string name=... and gives its value, which lies in the file's bytes and ends with
 * zero. Returns 0, -ENOENT (no such string) or -ENOEXEC (no module, or a damaged one).
 */
int modinfo_find(const uint8_t *file, size_t len, const char *name, const char **value);

#endif
