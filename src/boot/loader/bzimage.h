/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux bzImage files, by the 64-bit boot protocol, or the 32-bit one for kernels that have no
 * 64-bit entry (Documentation/x86/boot.rst). The real-mode part of the image is not run.
 */
#ifndef BOOT_LOADER_BZIMAGE_H
#define BOOT_LOADER_BZIMAGE_H

#include "boot/boot.h"

/* True when the image's content says so: a boot sector's signature and "HdrS". */
bool bzimage_matches(const struct image *img);

/* See boot_load(). */
int bzimage_load(struct mem *m, const struct boot_config *cfg, struct boot_entry *entry,
		 struct error *err);

#endif
