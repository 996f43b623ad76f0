/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/base.h"
#include "cli/exit_codes.h"
#include "cli/image.h"

static int create(const struct image_request *r, struct error *err)
{
	struct block_create_params params = {.path = r->words[0],
					     .format = r->format ? r->format : "qcow2",
					     .backing = r->backing,
					     .backing_format = r->backing_format,
					     .cluster_size = (unsigned)min(r->cluster_size, GIB),
					     .version = (unsigned)min(r->version, KIB),
					     .uses_lazy_refcounts = r->has_lazy_refcounts,
					     .may_replace = r->is_forced};

	params.uses_zstd = r->compression && !strcmp(r->compression, "zstd");
	if (r->nr_words < 2 && !r->backing)
		return error_set(err, EXIT_USAGE, "image create: a size is missing for %s",
				 r->words[0]);
	if (r->nr_words == 2) {
		int rc = image_parse_size(r->words[1], &params.size, err);

		if (rc)
			return rc;
	}
	return block_create(&params, err) ? IMAGE_FAILED : 0;
}

const struct image_command image_create = {
	.name = "create",
	.usage = "[-f FORMAT] [-b FILE -F FORMAT] FILE [SIZE]",
	.summary =
		"makes an image; with -b a layer, of the size of its backing file if none is given",
	.options = " format backing backing-format cluster-size compat compression lazy-refcounts "
		   "force ",
	.nr_words_min = 1,
	.nr_words_max = 2,
	.run = create};
