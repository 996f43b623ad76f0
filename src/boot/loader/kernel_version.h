/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The release of a Linux kernel, as uname -r says it, read from its image. The file may hold
 * anything.
 */
#ifndef BOOT_LOADER_KERNEL_VERSION_H
#define BOOT_LOADER_KERNEL_VERSION_H

#include "boot/loader/image.h"

#define KERNEL_VERSION_MAX 65 /* as in struct utsname */

/*
 * A bzImage names it in its setup header, an ELF file in the text it greets with. Returns 0, or
 * -ENOENT when none is found; out is empty then.
 */
int kernel_version(const struct image *img, char out[KERNEL_VERSION_MAX]);

#endif
