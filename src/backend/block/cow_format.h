/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The format of User Mode Linux's copy-on-write files (Linux, arch/um/drivers/cow_user.c): a header, a
 * bitmap with a bit per sector, and the sectors that were written, at the places they have on the disk.
 * Versions 1 to 3 are read, version 3 is made (cow_create() in block_impl.h).
 */
#ifndef BACKEND_BLOCK_COW_FORMAT_H
#define BACKEND_BLOCK_COW_FORMAT_H

#include <stdint.h>

#include "backend/block/block.h"

#define COW_PATH_MAX 4096

/* What a header of any version says, in bytes, and where in the file the parts lie. */
struct cow_facts {
	unsigned version;
	char backing[COW_PATH_MAX +
		     1]; /* as the file has it: relative to the file's folder, or not */
	uint64_t mtime, size, sector_size, alignment, header_len;
	uint64_t bitmap_offset, bitmap_len, data_offset;
};

/*
 * Reads and checks the header at the start of a raw file. That the parts are within the file is not checked.
 * Returns 0, -EINVAL (no COW file), -ENOTSUP (another version) or what the host said. Loop thread.
 */
int cow_facts_read(struct block *file, struct cow_facts *facts, struct error *err);

#endif
