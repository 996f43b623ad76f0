/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "cli/image.h"

#define CHUNK  (2 * MIB) /* a multiple of every cluster size */
#define RUN_OF 4096	 /* shorter runs of zeroes are copied: as file systems' blocks */

static bool is_zero(const uint8_t *data, size_t len)
{
	return !len || (!data[0] && !memcmp(data, data + 1, len - 1));
}

/* Writes runs that are not zero. */
static int write_data(struct block *to, uint64_t offset, const uint8_t *data, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		size_t unit = min(len - at, (size_t)RUN_OF);
		bool zero = is_zero(data + at, unit);

		for (n = unit; at + n < len; n += unit) {
			unit = min(len - at - n, (size_t)RUN_OF);
			if (is_zero(data + at + n, unit) != zero)
				break;
		}
		int rc = zero ? 0 : block_write(to, offset + at, data + at, n);
		if (rc)
			return rc;
	}
	return 0;
}

static int write_packed(struct block *to, uint64_t offset, const uint8_t *data, size_t len,
			uint64_t cluster)
{
	for (size_t at = 0; at < len; at += cluster) {
		size_t n = min(len - at, (size_t)cluster);
		int rc = is_zero(data + at, n)
				 ? 0
				 : block_write_compressed(to, offset + at, data + at, n);

		if (rc)
			return rc;
	}
	return 0;
}

/* Bytes from offset on that need no reading, at most len; 0: they do. */
static int zero_run(struct block *from, uint64_t offset, uint64_t len, uint64_t *zeroes)
{
	struct block_extent e;

	*zeroes = 0;
	while (*zeroes < len) {
		int rc = block_map(from, offset + *zeroes, len - *zeroes, &e);

		if (rc)
			return rc;
		if (!e.is_zero)
			return 0;
		*zeroes += e.len;
	}
	return 0;
}

int image_copy(struct block *from, struct block *to, uint64_t cluster, bool compresses,
	       struct progress *p)
{
	uint64_t size = block_size(from), zeroes;
	uint8_t *data = mem_alloc_zero(CHUNK);
	int rc = 0;

	for (uint64_t at = 0, n; at < size && !rc; at += n) {
		n = min(size - at, CHUNK);
		rc = zero_run(from, at, n, &zeroes);
		if (!rc && zeroes < n)
			rc = block_read(from, at, data, n);
		if (!rc && zeroes < n)
			rc = compresses ? write_packed(to, at, data, n, cluster)
					: write_data(to, at, data, n);
		progress_add(p, n);
	}
	free(data);
	if (!rc)
		rc = block_flush(to);
	progress_end(p);
	return rc;
}
