/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the targets about disk images share: an image of any bytes in memory, opened and used.
 */
#ifndef FUZZ_IMAGE_FUZZ_H
#define FUZZ_IMAGE_FUZZ_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/block/block.h"
#include "base/base.h"
#include "base/log.h"

/* Far less than an image of a few bytes can claim to have; the ends and some places between. */
#define FUZZ_IMAGE_STEPS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void ignore_text(void *ctx, const char *text)
{
	BUG_ON(!text[0]);
}

static inline void ignore_snapshot(void *ctx, const struct block_snapshot *s)
{
	BUG_ON(!s->id || !s->name);
}

static inline void use_image(struct block *b, bool writes)
{
	static uint8_t buf[70000];
	uint64_t size = block_size(b);
	struct block_extent e;

	for (unsigned i = 0; i <= FUZZ_IMAGE_STEPS; i++) {
		uint64_t at = size / FUZZ_IMAGE_STEPS * i;
		size_t len = (size_t)min((uint64_t)sizeof(buf), size - at);

		if (!len)
			continue;
		if (!block_map(b, at, size - at, &e))
			BUG_ON(e.offset != at || !e.len || e.len > size - at);
		block_read(b, at, buf, len);
		if (!writes)
			continue;
		block_write(b, at, buf, len / 2);
		block_write_zeroes(b, at + len / 3, len / 3);
		block_discard(b, at, len);
	}
	if (writes)
		block_flush(b);
}

/* Opens the bytes as an image of a format, for reading, checking and writing. */
static inline void fuzz_image(const char *format, const uint8_t *data, size_t size)
{
	struct block_check check = {.say = ignore_text};
	struct error err = {0};
	char path[64];
	int fd = memfd_create("image", MFD_CLOEXEC);

	log_set_level(LOG_ERROR - 1);
	BUG_ON(fd < 0 || write(fd, data, size) != (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct block_params params = {.path = path,
				      .format = format,
				      .is_read_only = true,
				      .without_backing = true,
				      .for_check = true};
	struct block *b = block_open(&params, &err);
	if (b) {
		use_image(b, false);
		block_snapshots(b, ignore_snapshot, NULL);
		block_check(b, &check);
		block_close(b);
	} else {
		BUG_ON(!err.text[0]);
	}
	params.is_read_only = false;
	for (unsigned round = 0; round < 2; round++) {
		params.for_check = round;
		b = block_open(&params, &err);
		if (!b)
			continue;
		use_image(b, true);
		block_close(b);
	}
	close(fd);
}

#endif
