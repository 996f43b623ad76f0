/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `bantam image`: disk images without a VM. A file per subcommand; here is what they share.
 */
#ifndef CLI_IMAGE_H
#define CLI_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/block/block.h"
#include "base/buf.h"
#include "base/error.h"
#include "cli/options.h"

#define IMAGE_WORDS_MAX 2 /* files and sizes given without an option */

/* Statuses beside 0 and EXIT_USAGE. Those of check are qemu-img's. */
enum image_status { IMAGE_FAILED = 1, IMAGE_CORRUPT = 2, IMAGE_LEAKS = 3 };

/* All options of all subcommands. */
struct image_request {
	const char *format, *out_format, *backing, *backing_format, *compression;
	uint64_t cluster_size, version;
	bool is_json, repairs, compresses, is_forced, may_shrink, is_destructive,
		has_lazy_refcounts;
	bool shows_progress, ignores_mtime, wants_help;
	const char *words[IMAGE_WORDS_MAX + 1];
	unsigned nr_words;
};

/* Returns an exit status; err is filled when it is not 0 and nothing was printed yet. */
struct image_command {
	const char *name, *usage, *summary;
	const char *options; /* names of those it takes, separated by blanks */
	unsigned nr_words_min, nr_words_max;
	int (*run)(const struct image_request *r, struct error *err);
};

extern const struct image_command image_create, image_info, image_check, image_convert,
	image_resize, image_commit, image_map;

/* Opens what the request's first options say of an image. NULL with err. */
struct block *image_request_open(const struct image_request *r, const char *path, bool is_read_only,
				 struct error *err);

/* A size such as 10G; bytes without a letter. Returns 0 or EXIT_USAGE with err. */
int image_parse_size(const char *text, uint64_t *bytes, struct error *err);

/* "1.5 GiB (1610612736 bytes)". */
void image_print_size(struct buf *out, uint64_t bytes);

/* Text as a JSON string; NULL as null. */
void image_print_string(struct buf *out, const char *text);

/* How far a long work is, on stderr: on a terminal, or when asked for. */
struct progress {
	bool is_on;
	uint64_t total, done;
	uint64_t next_ns;
};
void progress_init(struct progress *p, const struct image_request *r, uint64_t total);
void progress_add(struct progress *p, uint64_t done);
void progress_end(struct progress *p);

/*
 * Copies what reads as anything but zeroes from one image to another of the same size or larger,
 * which reads as zeroes. compresses: as compressed clusters. Returns 0 or a negative errno.
 */
int image_copy(struct block *from, struct block *to, uint64_t cluster, bool compresses,
	       struct progress *p);

#endif
