/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unpacks compressed kernel modules and kernels. Each form needs a library of its own that bantam may have been
 * built without; the file that stands in for it then says so. Input may be anything. Any thread.
 */
#ifndef BOOT_INITRAMFS_UNPACK_H
#define BOOT_INITRAMFS_UNPACK_H

#include "base/buf.h"

#define UNPACK_MAX (256u << 20) /* bytes; the largest known are a quarter of this */

/*
 * Unpacks what is compressed with gzip, xz or zstd, known by its first bytes; anything else is
 * copied. Returns 0, -EINVAL (damaged), -E2BIG (above UNPACK_MAX) or -ENOTSUP (built without the
 * library); out is empty on failure.
 */
int unpack(const uint8_t *data, size_t len, struct buf *out);

/* The single forms, with the same answers. out is empty before. */
int unpack_gzip(const uint8_t *data, size_t len, struct buf *out);
int unpack_xz(const uint8_t *data, size_t len, struct buf *out);
int unpack_zstd(const uint8_t *data, size_t len, struct buf *out);

#endif
