/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"
#include "cli/image.h"
#include "cli/verb.h"

struct facts {
	struct block *b;
	struct block_details d;
	uint64_t file_len, disk_use;
};

struct listing {
	struct buf *out;
	bool is_json;
	unsigned nr;
};

static void print_snapshot(void *ctx, const struct block_snapshot *s)
{
	struct listing *l = ctx;
	time_t when = (time_t)s->seconds;
	struct tm tm;
	char date[32] = "";

	if (l->is_json) {
		buf_printf(l->out, "%s\n    {\"id\": ", l->nr++ ? "," : "");
		image_print_string(l->out, s->id);
		buf_printf(l->out, ", \"name\": ");
		image_print_string(l->out, s->name);
		buf_printf(l->out,
			   ", \"date-sec\": %llu, \"disk-size\": %llu, \"vm-state-size\": %llu}",
			   (unsigned long long)s->seconds, (unsigned long long)s->disk_size,
			   (unsigned long long)s->vm_state_size);
		return;
	}
	if (gmtime_r(&when, &tm))
		strftime(date, sizeof(date), "%F %T UTC", &tm);
	if (!l->nr++)
		buf_printf(l->out, "snapshots:\n");
	buf_printf(l->out, "  %-4s %-24s %s\n", s->id, s->name, date);
}

static void print_text(const struct facts *f, const char *path, struct buf *out)
{
	struct listing l = {out, false, 0};

	buf_printf(out, "image: %s\nformat: %s\nvirtual size: ", path, block_format(f->b));
	image_print_size(out, block_size(f->b));
	buf_printf(out, "\nfile length: ");
	image_print_size(out, f->file_len);
	buf_printf(out, "\ndisk use: ");
	image_print_size(out, f->disk_use);
	buf_printf(out, "\n");
	if (f->d.version)
		buf_printf(out, "version: %u\n", f->d.version);
	if (f->d.cluster_size)
		buf_printf(out, "cluster size: %u\n", f->d.cluster_size);
	if (f->d.compression)
		buf_printf(out, "compression: %s\nrefcount bits: %u\nlazy refcounts: %s\n",
			   f->d.compression, f->d.refcount_bits,
			   f->d.has_lazy_refcounts ? "yes" : "no");
	if (f->d.is_dirty)
		buf_printf(out, "was not closed properly\n");
	if (f->d.is_corrupt)
		buf_printf(out, "is marked as damaged\n");
	if (f->d.backing_name)
		buf_printf(out, "backing file: %s\nbacking format: %s\n", f->d.backing_name,
			   f->d.backing_format ? f->d.backing_format : "not told");
	if (f->d.backing_mtime)
		buf_printf(out, "backing file's time of change: %llu\n",
			   (unsigned long long)f->d.backing_mtime);
	block_snapshots(f->b, print_snapshot, &l);
}

static void print_json(const struct facts *f, const char *path, struct buf *out)
{
	struct listing l = {out, true, 0};

	buf_printf(out, "{\n  \"filename\": ");
	image_print_string(out, path);
	buf_printf(out,
		   ",\n  \"format\": \"%s\",\n  \"virtual-size\": %llu,\n  \"file-length\": %llu,\n"
		   "  \"actual-size\": %llu",
		   block_format(f->b), (unsigned long long)block_size(f->b),
		   (unsigned long long)f->file_len, (unsigned long long)f->disk_use);
	if (f->d.version)
		buf_printf(out, ",\n  \"version\": %u", f->d.version);
	if (f->d.cluster_size)
		buf_printf(out, ",\n  \"cluster-size\": %u", f->d.cluster_size);
	if (f->d.compression)
		buf_printf(out,
			   ",\n  \"compression-type\": \"%s\",\n  \"refcount-bits\": %u,\n"
			   "  \"lazy-refcounts\": %s,\n  \"dirty\": %s,\n  \"corrupt\": %s",
			   f->d.compression, f->d.refcount_bits,
			   f->d.has_lazy_refcounts ? "true" : "false",
			   f->d.is_dirty ? "true" : "false", f->d.is_corrupt ? "true" : "false");
	if (f->d.backing_name) {
		buf_printf(out, ",\n  \"backing-filename\": ");
		image_print_string(out, f->d.backing_name);
		buf_printf(out, ",\n  \"backing-format\": ");
		image_print_string(out, f->d.backing_format);
	}
	buf_printf(out, ",\n  \"snapshots\": [");
	block_snapshots(f->b, print_snapshot, &l);
	buf_printf(out, "%s]\n}\n", l.nr ? "\n  " : "");
}

static int info(const struct image_request *r, struct error *err)
{
	/* Only looks, also at an image in use or one whose backing file is gone. */
	struct block_params params = {.path = r->words[0],
				      .format = r->format,
				      .is_read_only = true,
				      .is_unlocked = true,
				      .without_backing = true};
	struct facts f = {.b = block_open(&params, err)};
	struct buf out = {0};
	struct stat st;

	if (!f.b)
		return IMAGE_FAILED;
	block_get_details(f.b, &f.d);
	if (!stat(r->words[0], &st)) {
		f.file_len = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : block_size(f.b);
		f.disk_use = (uint64_t)st.st_blocks * 512;
	}
	if (r->is_json)
		print_json(&f, r->words[0], &out);
	else
		print_text(&f, r->words[0], &out);
	block_close(f.b);
	int rc = verb_print(&out);
	buf_free(&out);
	return rc;
}

const struct image_command image_info = {.name = "info",
					 .usage = "[-f FORMAT] [--json] FILE",
					 .summary = "prints what is known of an image",
					 .options = " format json ",
					 .nr_words_min = 1,
					 .nr_words_max = 1,
					 .run = info};
