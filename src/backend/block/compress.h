/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compression of single clusters; a file per library, chosen by the Makefile. Any thread.
 */
#ifndef BACKEND_BLOCK_COMPRESS_H
#define BACKEND_BLOCK_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct compressor {
	bool is_there; /* in this build */

	/* Fills out wholly from the first bytes of in. Returns 0, -EIO (damaged) or -ENOTSUP. */
	int (*unpack)(const uint8_t *in, size_t len, uint8_t *out, size_t out_len);

	/* *out_len: room, then bytes. Returns 0, -ENOSPC (more than the room) or -ENOTSUP. */
	int (*pack)(const uint8_t *in, size_t len, uint8_t *out, size_t *out_len);
};

extern const struct compressor compress_zlib; /* raw deflate, window of 4 KiB */
extern const struct compressor compress_zstd;

#endif
