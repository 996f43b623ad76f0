/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/exit_codes.h"
#include "cli/image.h"

/* Opens the image just made; it is ours alone. */
static struct block *open_new(const char *path, const char *format, struct error *err)
{
	struct block_params params = {.path = path, .format = format, .is_unnoted = true};

	return block_open(&params, err);
}

static int fill_new(const struct image_request *r, struct block *from,
		    const struct block_create_params *params, struct error *err)
{
	struct block *to = open_new(params->path, params->format, err);
	struct block_details d;
	struct progress p;

	if (!to)
		return IMAGE_FAILED;
	block_get_details(to, &d);
	progress_init(&p, r, block_size(from));
	int rc = image_copy(from, to, d.cluster_size, r->compresses, &p);
	int closed = block_close(to);
	if (rc || closed) {
		error_set_errno(err, rc ? rc : closed, "%s", params->path);
		return IMAGE_FAILED;
	}
	return 0;
}

static int convert(const struct image_request *r, struct error *err)
{
	const char *path = r->words[1];
	struct block_create_params params = {.path = path,
					     .format = r->out_format ? r->out_format : "qcow2",
					     .cluster_size = (unsigned)min(r->cluster_size, GIB),
					     .version = (unsigned)min(r->version, KIB),
					     .uses_lazy_refcounts = r->has_lazy_refcounts,
					     .may_replace = r->is_forced};

	params.uses_zstd = r->compression && !strcmp(r->compression, "zstd");
	if (!strcmp(params.format, "cow"))
		return error_set(
			err, EXIT_USAGE,
			"image convert: a COW file is a layer on a backing file; 'image create' "
			"makes one");
	if (r->compresses && strcmp(params.format, "qcow2"))
		return error_set(err, EXIT_USAGE,
				 "image convert: images of format %s cannot be compressed",
				 params.format);
	struct block *from = image_request_open(r, r->words[0], true, err);
	if (!from)
		return IMAGE_FAILED;
	params.size = block_size(from);
	int rc = block_create(&params, err) ? IMAGE_FAILED : 0;
	if (!rc) {
		rc = fill_new(r, from, &params, err);
		if (rc && !r->is_forced)
			unlink(path);
	}
	block_close(from);
	return rc;
}

const struct image_command image_convert = {
	.name = "convert",
	.usage = "[-f FORMAT] [-O FORMAT] [-c] FILE NEW",
	.summary = "copies an image, with all below it, into a new one",
	.options = " format output-format backing-format cluster-size compat compression "
		   "lazy-refcounts compress force progress ignore-mtime ",
	.nr_words_min = 2,
	.nr_words_max = 2,
	.run = convert};
