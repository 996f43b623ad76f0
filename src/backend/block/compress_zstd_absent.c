/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for compress_zstd.c in a build without zstd. */
#include <errno.h>

#include "backend/block/compress.h"

static int absent_unpack(const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
	return -ENOTSUP;
}

static int absent_pack(const uint8_t *in, size_t len, uint8_t *out, size_t *out_len)
{
	return -ENOTSUP;
}

const struct compressor compress_zstd = {false, absent_unpack, absent_pack};
