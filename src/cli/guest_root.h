/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts the guest's system on the host's own files: shares for the root and for folders, and what
 * bantam's init is to do with them. Writes configuration keys only.
 */
#ifndef CLI_GUEST_ROOT_H
#define CLI_GUEST_ROOT_H

#include <stdbool.h>

#include "base/error.h"

struct config;

/* What the kernel at kernel.path can do, as far as its image and modules tell. */
struct kernel_abilities {
	bool is_linux;	  /* a kernel whose release is known */
	bool has_modules; /* its modules were found; else the rest is guessed */
	bool has_9p, has_virtiofs, has_ports;
};

int kernel_abilities_get(const struct config *cfg, struct kernel_abilities *out, struct error *err);

/*
 * The guest's root: the folder init.root.path, which it changes itself, or the host's / read-only
 * (KT-40: tags /dev/root and hostfs). Changes to the host's / are kept in the folder init.keep, or in
 * memory. Returns 0 or -EINVAL: the kernel has no file system for it.
 */
int guest_root_set(struct config *cfg, const struct kernel_abilities *kernel, struct error *err);

/*
 * guest_root_set() where nothing else says what the guest shall boot from (no initrd, disk, root share or
 * root= for the kernel, and defaults are not switched off) and the kernel can do it, with a shell for this
 * terminal and an address for each network card. Anything that is no Linux kernel is left alone.
 */
int guest_root_resolve(struct config *cfg, struct error *err);

/* A folder of the host that the guest may change, at the same place. */
int guest_root_add_folder(struct config *cfg, const struct kernel_abilities *kernel,
			  const char *folder, struct error *err);

#endif
