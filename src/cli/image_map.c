/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base.h"
#include "cli/image.h"
#include "cli/verb.h"

/* Whether b goes on where a ends, in every respect. */
static bool continues(const struct block_extent *a, const struct block_extent *b)
{
	return a->depth == b->depth && a->is_allocated == b->is_allocated &&
	       a->is_zero == b->is_zero && a->is_compressed == b->is_compressed &&
	       a->has_host_offset == b->has_host_offset &&
	       (!a->has_host_offset || a->host_offset + a->len == b->host_offset);
}

static void print(struct buf *out, const struct block_extent *e, const struct image_request *r,
		  bool is_first)
{
	if (r->is_json) {
		buf_printf(out,
			   "%s{\"start\": %llu, \"length\": %llu, \"depth\": %u, \"present\": %s, "
			   "\"zero\": %s, \"compressed\": %s",
			   is_first ? "[" : ",\n", (unsigned long long)e->offset,
			   (unsigned long long)e->len, e->depth, e->is_allocated ? "true" : "false",
			   e->is_zero ? "true" : "false", e->is_compressed ? "true" : "false");
		if (e->has_host_offset)
			buf_printf(out, ", \"offset\": %llu", (unsigned long long)e->host_offset);
		buf_printf(out, "}");
		return;
	}
	if (is_first)
		buf_printf(out, "%-18s %-18s %-18s %s\n", "offset", "length", "in file", "layer");
	if (e->is_zero)
		return;
	buf_printf(out, "%#-18llx %#-18llx ", (unsigned long long)e->offset,
		   (unsigned long long)e->len);
	if (e->has_host_offset)
		buf_printf(out, "%#-18llx ", (unsigned long long)e->host_offset);
	else
		buf_printf(out, "%-18s ", "compressed");
	buf_printf(out, "%u\n", e->depth);
}

static int map(const struct image_request *r, struct error *err)
{
	struct block *b = image_request_open(r, r->words[0], true, err);
	struct block_extent run = {0}, e;
	struct buf out = {0};
	bool is_first = true;
	int rc = 0;

	if (!b)
		return IMAGE_FAILED;
	uint64_t size = block_size(b);
	for (uint64_t at = 0; at < size && !rc; at += e.len) {
		rc = block_map(b, at, size - at, &e);
		if (rc)
			break;
		if (run.len && continues(&run, &e)) {
			run.len += e.len;
			continue;
		}
		if (run.len) {
			print(&out, &run, r, is_first);
			is_first = false;
		}
		run = e;
	}
	if (run.len)
		print(&out, &run, r, is_first);
	if (r->is_json)
		buf_printf(&out, run.len ? "]\n" : "[]\n");
	block_close(b);
	if (rc) {
		error_set_errno(err, rc, "%s", r->words[0]);
		rc = IMAGE_FAILED;
	} else {
		rc = verb_print(&out);
	}
	buf_free(&out);
	return rc;
}

const struct image_command image_map = {
	.name = "map",
	.usage = "[-f FORMAT] [--json] FILE",
	.summary = "prints where the data of an image lies; layer 0 is the image itself",
	.options = " format backing-format json ignore-mtime ",
	.nr_words_min = 1,
	.nr_words_max = 1,
	.run = map};
