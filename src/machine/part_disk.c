/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks (virtio-blk), each with an image and an I/O thread of its own. The guest finds them in the
 * order of their numbers. Images that do not exist yet and have a size are made.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block/block.h"
#include "base/base.h"
#include "base/log.h"
#include "host/io_thread.h"
#include "machine/parts.h"
#include "machine/vm_impl.h"
#include "virtio/dev/blk.h"

static const struct config_key keys[] = {
	{.name = "disk.N.path",
	 .type = CONFIG_PATH,
	 .help = "disk image or block device of disk N"},
	{.name = "disk.N.format",
	 .type = CONFIG_ENUM,
	 .choices = "auto raw qcow2 cow",
	 .fallback = "auto",
	 .help = "format of the image; auto goes by its first bytes; cow is User Mode Linux's"},
	{.name = "disk.N.backing",
	 .type = CONFIG_PATH,
	 .help = "an image that does not exist is made as a layer on top of this file"},
	{.name = "disk.N.backing_format",
	 .type = CONFIG_ENUM,
	 .choices = "auto raw qcow2 cow",
	 .fallback = "auto",
	 .help = "format of a backing file whose format the image does not tell"},
	{.name = "disk.N.size",
	 .type = CONFIG_SIZE,
	 .unit = "G",
	 .min = BLOCK_SECTOR,
	 .help = "an image that does not exist is made with this size; qcow2 unless told "
		 "otherwise"},
	{.name = "disk.N.readonly",
	 .type = CONFIG_BOOL,
	 .fallback = "false",
	 .help = "the guest cannot write the disk; several VMs may share its image then"},
	{.name = "disk.N.direct",
	 .type = CONFIG_BOOL,
	 .fallback = "false",
	 .help = "pass the host's page cache by (O_DIRECT)"},
	{.name = "disk.N.aio",
	 .type = CONFIG_ENUM,
	 .choices = "auto io_uring threads",
	 .fallback = "auto",
	 .help = "how input and output are done; auto is io_uring where the host has it"},
	{.name = "disk.N.serial",
	 .type = CONFIG_STRING,
	 .help = "serial number the guest sees, at most 20 bytes"},
	{.name = "disk.N.queues",
	 .type = CONFIG_UINT,
	 .min = 1,
	 .max = VIRTIO_QUEUES_MAX,
	 .fallback = "1",
	 .help = "queues of requests the guest may use"},
	{.name = "debug.iodelay",
	 .type = CONFIG_UINT,
	 .unit = "ms",
	 .max = 3600000,
	 .fallback = "0",
	 .help = "each request to a disk takes this much longer"},
};

/* The word of an enum key, NULL for auto. */
static const char *word_of(const struct config *cfg, unsigned i, const char *key)
{
	const char *word = config_text(cfg, "disk.%u.%s", i, key);

	return strcmp(word, "auto") ? word : NULL;
}

static int check_one(const struct config *cfg, unsigned i, struct error *err)
{
	const char *path = config_text(cfg, "disk.%u.path", i);
	const char *serial = config_text(cfg, "disk.%u.serial", i);
	bool is_made =
		config_is_set(cfg, "disk.%u.size", i) || config_is_set(cfg, "disk.%u.backing", i);

	if (!path)
		return error_set(err, -EINVAL, "disk.%u.path is needed for disk %u", i, i);
	if (serial && strlen(serial) > VIRTIO_BLK_SERIAL_MAX)
		return error_set(err, -EINVAL, "disk.%u.serial: '%s' is longer than %u bytes", i,
				 serial, VIRTIO_BLK_SERIAL_MAX);
	if (!access(path, F_OK))
		return 0;
	if (errno != ENOENT || !is_made)
		return error_set_errno(err, -errno, "disk %u: %s", i, path);
	const char *format = word_of(cfg, i, "format");
	if (format && !strcmp(format, "cow") && !config_is_set(cfg, "disk.%u.backing", i))
		return error_set(
			err, -EINVAL,
			"disk %u: %s does not exist; say backing=FILE to make it on top of "
			"FILE",
			i, path);
	if (config_bool(cfg, "disk.%u.readonly", i))
		return error_set(
			err, -EINVAL,
			"disk %u: %s does not exist, and a new image that is read-only is of "
			"no use",
			i, path);
	return 0;
}

static int check(const struct config *cfg, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && config_next(cfg, "disk", &i); i++)
		rc = check_one(cfg, i, err);
	return rc;
}

/* As an image would be taken for another format by what a guest wrote, only raw needs no word. */
static int make_layer(const struct config *cfg, unsigned i, const char *backing,
		      struct block_create_params *params, struct error *err)
{
	params->backing = backing;
	params->backing_format = word_of(cfg, i, "backing_format");
	if (params->backing_format)
		return block_create(params, err);
	params->backing_format = block_probe(backing, err);
	if (!params->backing_format)
		return -EINVAL;
	if (strcmp(params->backing_format, "raw"))
		return error_set(err, -EINVAL,
				 "%s looks like a %s image; say backing-format=%s, or "
				 "backing-format=raw if it is none",
				 backing, params->backing_format, params->backing_format);
	return block_create(params, err);
}

static int make_image(const struct config *cfg, unsigned i, const char *path, struct error *err)
{
	const char *format = word_of(cfg, i, "format"), *backing;
	struct block_create_params params = {.path = path,
					     .format = format ? format : "qcow2",
					     .size = config_is_set(cfg, "disk.%u.size", i)
							     ? config_uint(cfg, "disk.%u.size", i)
							     : 0};
	int rc = 0;

	backing = config_text(cfg, "disk.%u.backing", i);
	if (backing) {
		char *absolute = realpath(backing, NULL);

		rc = absolute ? make_layer(cfg, i, absolute, &params, err)
			      : error_set_errno(err, -errno, "%s", backing);
		free(absolute);
	} else {
		rc = block_create(&params, err);
	}
	if (!rc)
		return 0;
	error_prefix(err, "Error creating disk [%s] format %s", path, params.format);
	return -EINVAL;
}

static struct block *open_image(const struct config *cfg, unsigned i, struct loop *loop,
				struct error *err)
{
	const char *path = config_text(cfg, "disk.%u.path", i);

	if (config_is_set(cfg, "disk.%u.size", i) || config_is_set(cfg, "disk.%u.backing", i)) {
		if (!access(path, F_OK))
			log_info("Using existing disk %s", path);
		else if (make_image(cfg, i, path, err))
			return NULL;
	}
	struct block_params params = {
		.path = path,
		.format = word_of(cfg, i, "format"),
		.backing_format = word_of(cfg, i, "backing_format"),
		.is_read_only = config_bool(cfg, "disk.%u.readonly", i),
		.is_direct = config_bool(cfg, "disk.%u.direct", i),
		.delay_ms = (unsigned)config_uint(cfg, "debug.iodelay"),
		.aio = (enum aio_kind)config_enum(cfg, "disk.%u.aio", i),
		.loop = loop,
	};
	struct block *image = block_open(&params, err);
	if (!image)
		error_prefix(err, "disk %u", i);
	else
		log_debug("disk %u: %s, %s, %llu bytes, by %s", i, path, block_format(image),
			  (unsigned long long)block_size(image), block_aio_name(image));
	return image;
}

static int create(struct vm *vm, const struct config *cfg, struct error *err)
{
	unsigned number = 0;
	char name[16];

	for (unsigned i = 0; config_next(cfg, "disk", &i); i++) {
		snprintf(name, sizeof(name), "disk-%u", i);
		struct io_thread *io = vm_new_io(vm, name, err);
		if (!io)
			return -EAGAIN;
		struct block *image = open_image(cfg, i, io_thread_loop(io), err);
		if (!image)
			return -EINVAL;
		struct virtio_blk_params params = {
			.mem = vm->mem,
			.loop = io_thread_loop(io),
			.image = image,
			.serial = config_text(cfg, "disk.%u.serial", i),
			.nr_queues = (unsigned)config_uint(cfg, "disk.%u.queues", i),
		};
		int rc = vm_add_virtio(vm, virtio_blk_new(&params), number++, err);
		if (rc)
			return rc;
	}
	return 0;
}

const struct part_type part_disk = {
	.keys = keys, .nr_keys = ARRAY_SIZE(keys), .check = check, .create = create};
