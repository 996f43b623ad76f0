/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places the initial RAM disk: any bytes, page aligned, as high in RAM as the kernel allows, so
 * that it is in nobody's way.
 */
#ifndef BOOT_LOADER_INITRD_H
#define BOOT_LOADER_INITRD_H

#include "boot/boot.h"

struct initrd {
	gpa_t addr;    /* 0 when there is none */
	uint64_t size; /* 0 when there is none */
};

/* Where it may go. */
struct initrd_rules {
	uint64_t limit;			   /* first address it must not reach */
	bool can_be_above;		   /* when it does not fit there: anywhere */
	uint64_t kernel_start, kernel_end; /* never over this */
	bool after_kernel;		   /* on the page after kernel_end, if there is room */
};

/*
 * Loads cfg->initrd by these rules; without one *out is all zero. Returns 0, -E2BIG when it does
 * not fit (err names its size and the room), -EINVAL for an empty file, or an error of reading.
 */
int initrd_load(struct mem *m, const struct boot_config *cfg, const struct initrd_rules *rules,
		struct initrd *out, struct error *err);

#endif
