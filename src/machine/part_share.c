/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Directories of the host in the guest, over virtiofs or 9P (virtio-fs, virtio-9p).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "host/io_thread.h"
#include "machine/parts.h"
#include "machine/vm_impl.h"
#include "virtio/dev/fs.h"
#include "virtio/dev/p9.h"

enum { TYPE_VIRTIOFS, TYPE_9P };
enum { MAP_AUTO, MAP_NONE, MAP_SQUASH, MAP_MAPPED };

static const struct config_key keys[] = {
	{.name = "share.N.path",
	 .type = CONFIG_PATH,
	 .help = "directory of the host the guest may mount"},
	{.name = "share.N.tag",
	 .type = CONFIG_STRING,
	 .fallback = "kvm_9p",
	 .help = "name by which the guest mounts it"},
	{.name = "share.N.type",
	 .type = CONFIG_ENUM,
	 .choices = "virtiofs 9p",
	 .fallback = "virtiofs",
	 .help = "file system the guest mounts it as"},
	{.name = "share.N.readonly",
	 .type = CONFIG_BOOL,
	 .fallback = "false",
	 .help = "the guest may change nothing"},
	{.name = "share.N.map",
	 .type = CONFIG_ENUM,
	 .choices = "auto none squash mapped",
	 .fallback = "auto",
	 .help = "owners and modes in the guest: the host's; this user's files as root's; those "
		 "and "
		 "what root sets kept in attributes; auto is none for root, mapped for others"},
	{.name = "share.N.cache",
	 .type = CONFIG_ENUM,
	 .choices = "none auto always",
	 .fallback = "auto",
	 .help = "virtiofs: whether the guest relies on what it knows of files: never, for a "
		 "second, always"},
};

/* ---- descriptors ---- */

#define DESCRIPTORS_OTHERS 256u	  /* for the rest of the process */
#define DESCRIPTORS_MAX	   16384u /* per share and use; each costs the host's kernel memory */

/* Each share needs some for files it knows and as many for those that are open. */
static unsigned descriptors_each(unsigned nr_shares)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 16;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit))
			getrlimit(RLIMIT_NOFILE, &limit);
	}
	rlim_t spare =
		limit.rlim_cur > DESCRIPTORS_OTHERS ? limit.rlim_cur - DESCRIPTORS_OTHERS : 0;
	rlim_t each = min(spare / (2 * nr_shares), (rlim_t)DESCRIPTORS_MAX);
	return max((unsigned)each, 16u);
}

/* ---- checks ---- */

static int check_tag(const struct config *cfg, unsigned index, struct error *err)
{
	const char *tag = config_text(cfg, "share.%u.tag", index);
	unsigned type = config_enum(cfg, "share.%u.type", index);
	size_t most = type == TYPE_9P ? VIRTIO_P9_TAG_MAX : VIRTIO_FS_TAG_MAX;

	if (!*tag || strlen(tag) > most)
		return error_set(err, -EINVAL, "share %u: tag '%s' must have 1 to %zu bytes", index,
				 tag, most);
	for (unsigned i = 0; config_next(cfg, "share", &i) && i < index; i++) {
		if (config_enum(cfg, "share.%u.type", i) == type &&
		    !strcmp(config_text(cfg, "share.%u.tag", i), tag))
			return error_set(
				err, -EINVAL,
				"share %u: tag '%s' is that of share %u as well; give each a "
				"tag of its own",
				index, tag, i);
	}
	return 0;
}

static int check_share(const struct config *cfg, unsigned index, struct error *err)
{
	const char *path = config_text(cfg, "share.%u.path", index);
	struct stat st;

	if (!path)
		return error_set(err, -EINVAL, "share %u: share.%u.path is not set", index, index);
	if (stat(path, &st))
		return error_set_errno(err, -errno, "share %u: directory '%s'", index, path);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, -ENOTDIR, "share %u: '%s' is no directory", index, path);
	return check_tag(cfg, index, err);
}

static int check(const struct config *cfg, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && config_next(cfg, "share", &i); i++)
		rc = check_share(cfg, i, err);
	return rc;
}

/* ---- making ---- */

static enum export_map map_of(const struct config *cfg, unsigned index)
{
	switch (config_enum(cfg, "share.%u.map", index)) {
	case MAP_NONE:
		return EXPORT_MAP_NONE;
	case MAP_SQUASH:
		return EXPORT_MAP_SQUASH;
	case MAP_MAPPED:
		return EXPORT_MAP_MAPPED;
	}
	return geteuid() ? EXPORT_MAP_MAPPED : EXPORT_MAP_NONE;
}

static int create_share(struct vm *vm, const struct config *cfg, unsigned index,
			unsigned descriptors, struct error *err)
{
	struct export_options options = {
		.is_read_only = config_bool(cfg, "share.%u.readonly", index),
		.map = map_of(cfg, index),
		.max_descriptors = descriptors,
	};
	const char *tag = config_text(cfg, "share.%u.tag", index);
	char name[16];

	snprintf(name, sizeof(name), "share-%u", index);
	struct io_thread *io = vm_new_io(vm, name, err);
	if (!io)
		return -EAGAIN;
	struct export *ex = export_open(config_text(cfg, "share.%u.path", index), &options, err);
	if (!ex) {
		error_prefix(err, "share %u", index);
		return -EINVAL;
	}
	struct loop *loop = io_thread_loop(io);
	struct virtio_device *d;
	if (config_enum(cfg, "share.%u.type", index) == TYPE_9P)
		d = virtio_p9_new(vm->mem, loop, ex, tag);
	else
		d = virtio_fs_new(vm->mem, loop, ex,
				  (enum fuse_cache)config_enum(cfg, "share.%u.cache", index), tag);
	return vm_add_virtio(vm, d, index, err);
}

static int create(struct vm *vm, const struct config *cfg, struct error *err)
{
	unsigned nr = 0;
	int rc = 0;

	for (unsigned i = 0; config_next(cfg, "share", &i); i++)
		nr++;
	unsigned descriptors = nr ? descriptors_each(nr) : 0;
	for (unsigned i = 0; !rc && config_next(cfg, "share", &i); i++)
		rc = create_share(vm, cfg, i, descriptors, err);
	return rc;
}

const struct part_type part_share = {
	.keys = keys, .nr_keys = ARRAY_SIZE(keys), .check = check, .create = create};
