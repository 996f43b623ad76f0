/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <zlib.h>

#include "backend/block/compress.h"

#define WINDOW_BITS 12 /* of what is written; any window is read */

static int zlib_unpack(const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
		      .avail_in = (uInt)len,
		      .next_out = out,
		      .avail_out = (uInt)out_len};

	if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
		return -ENOMEM;
	inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return z.avail_out ? -EIO : 0;
}

static int zlib_pack(const uint8_t *in, size_t len, uint8_t *out, size_t *out_len)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
		      .avail_in = (uInt)len,
		      .next_out = out,
		      .avail_out = (uInt)*out_len};

	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW_BITS, 9,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	int rc = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	if (rc != Z_STREAM_END)
		return -ENOSPC;
	*out_len -= z.avail_out;
	return 0;
}

const struct compressor compress_zlib = {true, zlib_unpack, zlib_pack};
