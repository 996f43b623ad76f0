/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Merging a layer with what is below it: into a new image, which leaves everything as it is, or with
 * -d into the backing file itself.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "cli/exit_codes.h"
#include "cli/image.h"

#define CHUNK (2 * MIB)

/* Copies what the layer itself holds, zeroes that hide data included. */
static int merge(struct block *layer, struct block *backing, struct progress *p)
{
	uint64_t size = block_size(layer);
	uint8_t *data = mem_alloc_zero(CHUNK);
	struct block_extent e;
	int rc = 0;

	for (uint64_t at = 0; at < size && !rc; at += e.len) {
		rc = block_map_layer(layer, at, min(size - at, CHUNK), &e);
		if (rc)
			break;
		if (e.is_allocated && !e.is_zero) {
			rc = block_read(layer, at, data, e.len);
			if (!rc)
				rc = block_write(backing, at, data, e.len);
		} else if (e.is_zero) {
			rc = block_write_zeroes(backing, at, e.len);
		}
		progress_add(p, e.len);
	}
	free(data);
	if (!rc)
		rc = block_flush(backing);
	progress_end(p);
	return rc;
}

static char *backing_path(const char *layer, const char *name)
{
	const char *slash = strrchr(layer, '/');
	struct buf path = {0};

	if (name[0] != '/' && slash)
		buf_append(&path, layer, (size_t)(slash - layer) + 1);
	buf_printf(&path, "%s", name);
	return buf_text(&path);
}

/* A COW file is only right with a backing file that is as it was. */
static int check_mtime(const struct image_request *r, const char *path,
		       const struct block_details *d, struct error *err)
{
	struct stat st;

	if (!d->backing_mtime || r->ignores_mtime || stat(path, &st) ||
	    (uint32_t)st.st_mtime == (uint32_t)d->backing_mtime)
		return 0;
	return error_set(err, IMAGE_FAILED,
			 "%s was changed since %s was made; --ignore-mtime merges all the same",
			 path, r->words[0]);
}

static int merge_down(const struct image_request *r, struct block *layer, const char *path,
		      const char *format, struct error *err)
{
	struct block_params params = {.path = path, .format = format, .is_unnoted = true};
	struct block *backing = block_open(&params, err);
	struct progress p;
	int rc = 0;

	if (!backing) {
		error_prefix(err, "%s: backing file", r->words[0]);
		return IMAGE_FAILED;
	}
	log_warn("other images on top of %s become invalid", path);
	if (block_size(layer) > block_size(backing))
		rc = block_resize(backing, block_size(layer), err) ? IMAGE_FAILED : 0;
	progress_init(&p, r, block_size(layer));
	if (!rc) {
		rc = merge(layer, backing, &p);
		if (rc)
			rc = error_set_errno(err, rc, "%s into %s", r->words[0], path)
				     ? IMAGE_FAILED
				     : 0;
	}
	int closed = block_close(backing);
	if (!rc && closed) {
		error_set_errno(err, closed, "%s", path);
		rc = IMAGE_FAILED;
	}
	return rc;
}

static int commit_down(const struct image_request *r, struct error *err)
{
	struct block_params params = {.path = r->words[0],
				      .format = r->format,
				      .is_read_only = true,
				      .without_backing = true};
	struct block *layer = block_open(&params, err);
	struct block_details d;

	if (!layer)
		return IMAGE_FAILED;
	block_get_details(layer, &d);
	const char *format = r->backing_format ? r->backing_format : d.backing_format;
	int rc;
	if (!d.backing_name) {
		rc = error_set(err, IMAGE_FAILED, "%s has no backing file", r->words[0]);
	} else if (!format) {
		rc = error_set(err, IMAGE_FAILED,
			       "%s does not tell the format of %s; say --backing-format",
			       r->words[0], d.backing_name);
	} else {
		char *path = backing_path(r->words[0], d.backing_name);

		rc = check_mtime(r, path, &d, err);
		if (!rc)
			rc = merge_down(r, layer, path, format, err);
		free(path);
	}
	block_close(layer);
	return rc;
}

static int commit(const struct image_request *r, struct error *err)
{
	struct image_request copy = *r;

	if (r->is_destructive && r->nr_words == 2)
		return error_set(err, EXIT_USAGE,
				 "image commit: -d merges into the backing file, not into %s",
				 r->words[1]);
	if (r->is_destructive)
		return commit_down(r, err);
	if (r->nr_words < 2)
		return error_set(err, EXIT_USAGE,
				 "image commit: give a new file to merge into, or -d to change the "
				 "backing file of %s",
				 r->words[0]);
	if (!copy.out_format)
		copy.out_format = "raw";
	return image_convert.run(&copy, err);
}

const struct image_command image_commit = {
	.name = "commit",
	.usage = "[-O FORMAT] LAYER NEW, or -d LAYER",
	.summary = "merges a layer and its backing file into a new image (raw), or into the latter",
	.options = " format output-format backing-format destructive force progress ignore-mtime ",
	.nr_words_min = 1,
	.nr_words_max = 2,
	.run = commit};
