/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes a cpio archive in the "newc" form, the one the kernel unpacks its initramfs from. Entries
 * appear in the order they are added; a folder comes before what is in it. Owners are root, times
 * are 0, so the same content gives the same bytes. Pure functions.
 */
#ifndef BOOT_INITRAMFS_CPIO_H
#define BOOT_INITRAMFS_CPIO_H

#include "base/buf.h"

/* Paths have no leading slash. mode has the permission bits only. */
void cpio_add_folder(struct buf *out, const char *path, unsigned mode);
void cpio_add_file(struct buf *out, const char *path, unsigned mode, const void *data, size_t len);
void cpio_add_char_device(struct buf *out, const char *path, unsigned mode, unsigned major,
			  unsigned minor);

/* Nothing may be added after it. */
void cpio_end(struct buf *out);

#endif
