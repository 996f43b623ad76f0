/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <zstd.h>

#include "backend/block/compress.h"

/* What follows the frame in the last sector is not ours to read: so by stream. */
static int zstd_unpack(const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	ZSTD_inBuffer from = {in, len, 0};
	ZSTD_outBuffer to = {out, out_len, 0};

	if (!ctx)
		return -ENOMEM;
	while (to.pos < to.size && from.pos < from.size) {
		size_t rc = ZSTD_decompressStream(ctx, &to, &from);

		if (ZSTD_isError(rc) || (!rc && to.pos < to.size))
			break;
	}
	ZSTD_freeDCtx(ctx);
	return to.pos < to.size ? -EIO : 0;
}

static int zstd_pack(const uint8_t *in, size_t len, uint8_t *out, size_t *out_len)
{
	size_t n = ZSTD_compress(out, *out_len, in, len, ZSTD_CLEVEL_DEFAULT);

	if (ZSTD_isError(n))
		return -ENOSPC;
	*out_len = n;
	return 0;
}

const struct compressor compress_zstd = {true, zstd_unpack, zstd_pack};
