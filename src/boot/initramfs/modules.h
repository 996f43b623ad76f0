/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The modules of one kernel, /lib/modules/VERSION: which there are, which are built in, and in which
 * order those that are wanted have to be loaded. Reads the lists that every kernel package has
 * (modules.order, modules.builtin) and, where depmod has run, modules.dep; without it modules say
 * themselves what they need. Names match whether written with dashes or underscores. One thread.
 */
#ifndef BOOT_INITRAMFS_MODULES_H
#define BOOT_INITRAMFS_MODULES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

struct modules;

/*
 * Opens a folder. Returns NULL with err filled when it has no list of modules; -ENOENT of the folder
 * itself is told by modules_find_folder().
 */
struct modules *modules_open(const char *folder, struct error *err);
void modules_close(struct modules *m); /* NULL is fine */

/*
 * Where the modules of a kernel image lie: lib/modules/VERSION beside the folder of the image, as in
 * an unpacked package, or /lib/modules/VERSION. Returns a new string, or NULL when there are none.
 */
char *modules_find_folder(const char *kernel_path, const char *version);

enum module_place {
	MODULE_ABSENT,
	MODULE_FILE,
	MODULE_BUILT_IN,
};

enum module_place modules_look_up(const struct modules *m, const char *name);

/*
 * Wants a module and, before it, all it depends on. One that is built in or wanted already is fine,
 * and one that is absent too when is_optional: a kernel without it may do without.
 * Returns 0 or a negative errno with err filled.
 */
int modules_want(struct modules *m, const char *name, bool is_optional, struct error *err);

/* A module that is to be loaded. */
struct module {
	char *name; /* of the file, without the folder: "virtio.ko" */
	struct buf
		bytes; /* unpacked, or as in the file when only the guest's kernel can unpack it */
};

/* The i-th in load order; NULL past the last. */
const struct module *modules_at(const struct modules *m, unsigned i);

#endif
