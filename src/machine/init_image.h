/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The initramfs for a guest that bantam's own init starts: what init.* says, and the modules that the
 * configured devices need from this kernel. Set-up code, one thread.
 */
#ifndef MACHINE_INIT_IMAGE_H
#define MACHINE_INIT_IMAGE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

struct config;
struct image;
struct modules;

/* Whether the guest is started by bantam's init. */
bool init_image_is_wanted(const struct config *cfg);

/*
 * Opens the modules of a kernel. NULL without err: there are none, so everything must be built in.
 * NULL with err: init.modules.path is no such folder.
 */
struct modules *init_image_modules(const struct config *cfg, const struct image *kernel,
				   struct error *err);

/* Appends the initramfs to out. Returns 0 or a negative errno with err filled. */
int init_image_build(const struct config *cfg, const struct image *kernel, struct buf *out,
		     struct error *err);

#endif
