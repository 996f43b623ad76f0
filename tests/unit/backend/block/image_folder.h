/* SPDX-License-Identifier: BSD-2-Clause */
/* A folder of its own for the images of a test: a disk, and what the disk may be a layer of. */
#ifndef TESTS_UNIT_BACKEND_BLOCK_IMAGE_FOLDER_H
#define TESTS_UNIT_BACKEND_BLOCK_IMAGE_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct image_folder {
	char dir[64], path[128], base[128];
};

/* Returns 0 or -1. The images do not exist yet. */
static inline int image_folder_init(struct image_folder *f)
{
	strcpy(f->dir, "/tmp/bantam-images-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/disk", f->dir);
	snprintf(f->base, sizeof(f->base), "%s/base", f->dir);
	return 0;
}

static inline void image_folder_fini(struct image_folder *f)
{
	unlink(f->path);
	unlink(f->base);
	rmdir(f->dir);
}

#endif
