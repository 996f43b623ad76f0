/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "cli/image.h"
#include "cli/verb.h"

static void say(void *ctx, const char *text)
{
	log_warn("%s", text);
}

static void print(const struct image_request *r, const struct block_check *c, struct buf *out)
{
	unsigned long long corrupt = c->corruptions - c->corruptions_fixed;
	unsigned long long leaks = c->leaks - c->leaks_fixed;

	if (r->is_json) {
		buf_printf(out, "{\n  \"filename\": ");
		image_print_string(out, r->words[0]);
		buf_printf(out,
			   ",\n  \"corruptions\": %llu,\n  \"corruptions-fixed\": %llu,\n"
			   "  \"leaks\": %llu,\n  \"leaks-fixed\": %llu,\n  \"total-clusters\": "
			   "%llu,\n"
			   "  \"allocated-clusters\": %llu,\n  \"compressed-clusters\": %llu\n}\n",
			   corrupt, (unsigned long long)c->corruptions_fixed, leaks,
			   (unsigned long long)c->leaks_fixed, (unsigned long long)c->clusters,
			   (unsigned long long)c->allocated, (unsigned long long)c->compressed);
		return;
	}
	if (c->corruptions_fixed || c->leaks_fixed)
		buf_printf(out, "repaired: %llu errors, %llu leaks\n",
			   (unsigned long long)c->corruptions_fixed,
			   (unsigned long long)c->leaks_fixed);
	if (corrupt || leaks)
		buf_printf(out, "%llu errors, %llu leaked clusters\n", corrupt, leaks);
	else
		buf_printf(out, "no errors\n");
	buf_printf(out, "%llu of %llu clusters allocated, %llu of them compressed\n",
		   (unsigned long long)c->allocated, (unsigned long long)c->clusters,
		   (unsigned long long)c->compressed);
}

static int check(const struct image_request *r, struct error *err)
{
	struct block_params params = {.path = r->words[0],
				      .format = r->format,
				      .is_read_only = !r->repairs,
				      .without_backing = true,
				      .for_check = true};
	struct block_check c = {.repairs = r->repairs, .say = r->is_json ? NULL : say};
	struct block *b = block_open(&params, err);
	struct buf out = {0};

	if (!b)
		return IMAGE_FAILED;
	int rc = block_check(b, &c);
	if (rc == -ENOTSUP)
		error_set(err, 0, "%s: images of format %s have nothing that could be checked",
			  r->words[0], block_format(b));
	else if (rc)
		error_set_errno(err, rc, "%s", r->words[0]);
	int closed = block_close(b);
	if (!rc && closed)
		rc = error_set_errno(err, closed, "%s", r->words[0]);
	if (rc)
		return IMAGE_FAILED;
	print(r, &c, &out);
	rc = verb_print(&out);
	buf_free(&out);
	if (rc)
		return rc;
	if (c.corruptions > c.corruptions_fixed)
		return IMAGE_CORRUPT;
	return c.leaks > c.leaks_fixed ? IMAGE_LEAKS : 0;
}

const struct image_command image_check = {.name = "check",
					  .usage = "[-f FORMAT] [--repair] [--json] FILE",
					  .summary = "looks for damage of a qcow2 image",
					  .options = " format repair json ",
					  .nr_words_min = 1,
					  .nr_words_max = 1,
					  .run = check};
