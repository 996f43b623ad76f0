/* SPDX-License-Identifier: BSD-2-Clause */
#include <zstd.h>

#include "base/base.h"
#include "boot/initramfs/unpack.h"

#define PIECE	   (256 * KIB)
#define WINDOW_LOG 27 /* what zstd itself takes without being asked for more: 128 MiB */

int unpack_zstd(const uint8_t *data, size_t len, struct buf *out)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	ZSTD_inBuffer in = {data, len, 0};
	size_t rc = 1;

	if (!ctx)
		return -ENOMEM;
	ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, WINDOW_LOG);
	while (rc && !ZSTD_isError(rc) && out->len <= UNPACK_MAX) {
		size_t used = out->len;
		ZSTD_outBuffer piece = {buf_append(out, NULL, PIECE), PIECE, 0};

		rc = ZSTD_decompressStream(ctx, &piece, &in);
		out->len = used + piece.pos;
		if (!ZSTD_isError(rc) && rc && in.pos == in.size && piece.pos < piece.size)
			break; /* it ends in the middle */
	}
	ZSTD_freeDCtx(ctx);
	if (out->len > UNPACK_MAX)
		return -E2BIG;
	return rc ? -EINVAL : 0;
}
