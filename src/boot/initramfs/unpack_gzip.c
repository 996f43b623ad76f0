/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <zlib.h>

#include "base/base.h"
#include "boot/initramfs/unpack.h"

#define PIECE (256 * KIB)

int unpack_gzip(const uint8_t *data, size_t len, struct buf *out)
{
	z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)min(len, (size_t)UINT_MAX)};
	int rc = inflateInit2(&z, 16 + MAX_WBITS); /* gzip's header, not zlib's */

	while (rc == Z_OK) {
		size_t used = out->len;

		z.next_out = buf_append(out, NULL, PIECE);
		z.avail_out = PIECE;
		rc = inflate(&z, Z_NO_FLUSH);
		out->len = used + PIECE - z.avail_out;
		if (out->len > UNPACK_MAX)
			break;
	}
	inflateEnd(&z);
	if (out->len > UNPACK_MAX)
		return -E2BIG;
	return rc == Z_STREAM_END ? 0 : -EINVAL;
}
