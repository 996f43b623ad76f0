/* SPDX-License-Identifier: BSD-2-Clause */
#include <lzma.h>

#include "base/base.h"
#include "boot/initramfs/unpack.h"

#define PIECE	    (256 * KIB)
#define MEMORY_MOST (64 * MIB) /* for the dictionary; modules are packed with at most 2 MiB */

int unpack_xz(const uint8_t *data, size_t len, struct buf *out)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_ret rc = lzma_stream_decoder(&s, MEMORY_MOST, 0);

	s.next_in = data;
	s.avail_in = len;
	while (rc == LZMA_OK) {
		size_t used = out->len;

		s.next_out = buf_append(out, NULL, PIECE);
		s.avail_out = PIECE;
		rc = lzma_code(&s, LZMA_FINISH);
		out->len = used + PIECE - s.avail_out;
		if (out->len > UNPACK_MAX)
			break;
	}
	lzma_end(&s);
	if (out->len > UNPACK_MAX)
		return -E2BIG;
	return rc == LZMA_STREAM_END ? 0 : -EINVAL;
}
