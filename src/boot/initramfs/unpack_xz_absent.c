/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for unpack_xz.c where bantam is built without its library. */
#include "base/base.h"
#include "boot/initramfs/unpack.h"

int unpack_xz(const uint8_t *data, size_t len, struct buf *out)
{
	return -ENOTSUP;
}
