/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An input file of the loader: a regular file or bytes in memory, read in checked pieces. The file
 * may shrink or change at any time; that gives an error sentence, never a fault or stale bytes past
 * its end. Reads do not change the object, so it may be kept open and used for every reboot.
 */
#ifndef BOOT_LOADER_IMAGE_H
#define BOOT_LOADER_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/mem.h"

struct image {
	const char *role;     /* "kernel", "initrd": begins every sentence */
	char *path;	      /* owned */
	int fd;		      /* -1 when bytes is used */
	const uint8_t *bytes; /* borrowed */
	uint64_t size;	      /* when it was opened */
};

/* Opens a regular file. role is a literal. Returns 0 or a negative errno with err filled. */
int image_open(struct image *img, const char *role, const char *path, struct error *err);

/* Wraps bytes that outlive img; path only serves the sentences. */
void image_from_bytes(struct image *img, const char *role, const char *path, const void *bytes,
		      uint64_t size);

/* A zeroed or closed image is fine. */
void image_close(struct image *img);

/* As error_set(), with "kernel /path: " put before the sentence. */
int image_error(const struct image *img, struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Reads exactly len bytes at offset. what names them: "setup header".
 * Returns 0, -EINVAL when the file ends before, or -EIO and others from the host.
 */
int image_read(const struct image *img, uint64_t offset, void *dst, size_t len, const char *what,
	       struct error *err);

/*
 * As image_read(), into guest memory at gpa.
 * Also -EFAULT when part of the destination is no guest RAM.
 */
int image_load(const struct image *img, uint64_t offset, uint64_t len, struct mem *m, gpa_t gpa,
	       const char *what, struct error *err);

/* Puts bytes made by the loader itself into guest memory; the image only names the sentence. */
int image_put(const struct image *img, struct mem *m, gpa_t gpa, const void *data, size_t len,
	      const char *what, struct error *err);

#endif
