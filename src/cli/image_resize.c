/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base.h"
#include "cli/exit_codes.h"
#include "cli/image.h"

/* SIZE, +SIZE or -SIZE. */
static int new_size(const char *text, uint64_t old, uint64_t *size, struct error *err)
{
	bool is_relative = *text == '+' || *text == '-';
	int rc = image_parse_size(text + is_relative, size, err);

	if (rc || !is_relative)
		return rc;
	if (*text == '-' ? *size > old : *size > (uint64_t)INT64_MAX - old)
		return error_set(err, EXIT_USAGE, "Invalid size: %s: the image has %llu bytes",
				 text, (unsigned long long)old);
	*size = *text == '-' ? old - *size : old + *size;
	return 0;
}

static int resize(const struct image_request *r, struct error *err)
{
	struct block *b = image_request_open(r, r->words[0], false, err);
	uint64_t size;

	if (!b)
		return IMAGE_FAILED;
	int rc = new_size(r->words[1], block_size(b), &size, err);
	if (!rc && size < block_size(b) && !r->may_shrink)
		rc = error_set(err, IMAGE_FAILED,
			       "%s has %llu bytes; what is behind the new end would be lost: "
			       "--shrink allows that",
			       r->words[0], (unsigned long long)block_size(b));
	if (!rc && size > (uint64_t)INT64_MAX - MIB)
		rc = error_set(err, EXIT_USAGE, "Invalid size: %s: too large", r->words[1]);
	if (!rc && block_resize(b, size, err))
		rc = IMAGE_FAILED;
	int closed = block_close(b);
	if (!rc && closed) {
		error_set_errno(err, closed, "%s", r->words[0]);
		rc = IMAGE_FAILED;
	}
	return rc;
}

const struct image_command image_resize = {
	.name = "resize",
	.usage = "[-f FORMAT] [--shrink] FILE [+|-]SIZE",
	.summary = "changes the size of an image, not of what is in it",
	.options = " format backing-format shrink ",
	.nr_words_min = 2,
	.nr_words_max = 2,
	.run = resize};
