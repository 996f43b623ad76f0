/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/parse.h"
#include "cli/exit_codes.h"
#include "cli/verb.h"
#include "host/loop.h"

static const struct image_command *const commands[] = {
	&image_create, &image_info,   &image_check, &image_convert,
	&image_resize, &image_commit, &image_map,
};

/* ---- options ---- */

static const char *choose(const char *value, const char *const *choices, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		if (!strcmp(value, choices[i]))
			return choices[i];
	}
	return NULL;
}

static int set_format(const char **to, const char *option, const char *value, struct error *err)
{
	static const char *const formats[] = {"raw", "qcow2", "cow"};

	*to = choose(value, formats, ARRAY_SIZE(formats));
	if (*to)
		return 0;
	return error_set(err, EXIT_USAGE, "%s %s: the formats are raw, qcow2 and cow", option,
			 value);
}

static int apply(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	static const char *const compressions[] = {"zlib", "zstd"};
	struct image_request *r = ctx;
	const char *name = row->name;

	if (!strcmp(name, "format"))
		return set_format(&r->format, "--format", value, err);
	if (!strcmp(name, "output-format"))
		return set_format(&r->out_format, "--output-format", value, err);
	if (!strcmp(name, "backing-format"))
		return set_format(&r->backing_format, "--backing-format", value, err);
	if (!strcmp(name, "backing"))
		r->backing = value;
	else if (!strcmp(name, "cluster-size"))
		return image_parse_size(value, &r->cluster_size, err);
	else if (!strcmp(name, "compat"))
		return parse_u64(value, &r->version)
			       ? error_set(err, EXIT_USAGE, "--compat %s: 2 or 3 is meant", value)
			       : 0;
	else if (!strcmp(name, "compression")) {
		r->compression = choose(value, compressions, ARRAY_SIZE(compressions));
		if (!r->compression)
			return error_set(err, EXIT_USAGE, "--compression %s: zlib or zstd is meant",
					 value);
	}
	r->is_json |= !strcmp(name, "json");
	r->repairs |= !strcmp(name, "repair");
	r->compresses |= !strcmp(name, "compress");
	r->is_forced |= !strcmp(name, "force");
	r->may_shrink |= !strcmp(name, "shrink");
	r->is_destructive |= !strcmp(name, "destructive");
	r->has_lazy_refcounts |= !strcmp(name, "lazy-refcounts");
	r->shows_progress |= !strcmp(name, "progress");
	r->ignores_mtime |= !strcmp(name, "ignore-mtime");
	r->wants_help |= !strcmp(name, "help");
	return 0;
}

static int take_word(void *ctx, const char *word, struct error *err)
{
	struct image_request *r = ctx;

	if (r->nr_words > IMAGE_WORDS_MAX)
		return error_set(err, EXIT_USAGE, "Cannot handle parameter: %s", word);
	r->words[r->nr_words++] = word;
	return 0;
}

static const struct option_row rows[] = {
	{.letter = 'f',
	 .name = "format",
	 .arg = "FORMAT",
	 .apply = apply,
	 .help = "format of the image: raw, qcow2, cow (User Mode Linux); by its first bytes when "
		 "not "
		 "given, and qcow2 for a new one"},
	{.letter = 'O',
	 .name = "output-format",
	 .arg = "FORMAT",
	 .apply = apply,
	 .help = "format of the new image; qcow2 when not given"},
	{.letter = 'b',
	 .name = "backing",
	 .arg = "FILE",
	 .apply = apply,
	 .help = "the new image is a layer on top of FILE, named relative to the image"},
	{.letter = 'F',
	 .name = "backing-format",
	 .arg = "FORMAT",
	 .apply = apply,
	 .help = "format of the backing file"},
	{.name = "cluster-size",
	 .arg = "SIZE",
	 .apply = apply,
	 .help = "unit of allocation of a new qcow2 image, 512 to 2M; 64K when not given"},
	{.name = "compat", .arg = "2|3", .apply = apply, .help = "version of a new qcow2 image"},
	{.name = "compression",
	 .arg = "zlib|zstd",
	 .apply = apply,
	 .help = "how clusters of a new qcow2 image are compressed"},
	{.name = "lazy-refcounts",
	 .apply = apply,
	 .help = "mark a new qcow2 image for lazy refcounts, which other programs may use"},
	{.letter = 'c', .name = "compress", .apply = apply, .help = "compress clusters"},
	{.letter = 'd',
	 .name = "destructive",
	 .apply = apply,
	 .help = "merge into the backing file itself; other layers on it become invalid"},
	{.name = "shrink", .apply = apply, .help = "allow the loss of what is behind the new end"},
	{.name = "repair", .apply = apply, .help = "make right what can be made right"},
	{.name = "force", .apply = apply, .help = "replace a file that exists"},
	{.name = "ignore-mtime",
	 .apply = apply,
	 .help = "use a COW file although its backing file has changed"},
	{.name = "json", .apply = apply, .help = "print JSON"},
	{.name = "progress",
	 .apply = apply,
	 .help = "show progress also when stderr is no terminal"},
	{.letter = 'h', .name = "help", .apply = apply, .help = "print this"},
};

static const struct option_table table = {.rows = rows, .nr = ARRAY_SIZE(rows), .bare = take_word};

/* Options given that the subcommand does not take: the first one's name, or NULL. */
static const char *misplaced_option(const struct image_command *c, const struct image_request *r)
{
	const struct {
		const char *name;
		bool is_given;
	} given[] = {
		{"format", r->format},
		{"output-format", r->out_format},
		{"backing", r->backing},
		{"backing-format", r->backing_format},
		{"cluster-size", r->cluster_size},
		{"compat", r->version},
		{"compression", r->compression},
		{"lazy-refcounts", r->has_lazy_refcounts},
		{"compress", r->compresses},
		{"destructive", r->is_destructive},
		{"shrink", r->may_shrink},
		{"repair", r->repairs},
		{"force", r->is_forced},
		{"ignore-mtime", r->ignores_mtime},
		{"json", r->is_json},
		{"progress", r->shows_progress},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(given); i++) {
		char word[32];

		snprintf(word, sizeof(word), " %s ", given[i].name);
		if (given[i].is_given && !strstr(c->options, word))
			return given[i].name;
	}
	return NULL;
}

/* ---- shared ---- */

struct block *image_request_open(const struct image_request *r, const char *path, bool is_read_only,
				 struct error *err)
{
	struct block_params params = {.path = path,
				      .format = r->format,
				      .backing_format = r->backing_format,
				      .is_read_only = is_read_only,
				      .ignores_mtime = r->ignores_mtime};

	return block_open(&params, err);
}

int image_parse_size(const char *text, uint64_t *bytes, struct error *err)
{
	int rc = parse_size(text, 1, bytes, NULL);

	if (!rc)
		return 0;
	return error_set(err, EXIT_USAGE,
			 "Invalid size: %s (bytes, or a number and one of K, M, G, T or P)", text);
}

void image_print_size(struct buf *out, uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	unsigned i = 0;

	for (; value >= 1024 && i < ARRAY_SIZE(units) - 1; i++)
		value /= 1024;
	if (i)
		buf_printf(out, "%.3g %s (%llu bytes)", value, units[i], (unsigned long long)bytes);
	else
		buf_printf(out, "%llu bytes", (unsigned long long)bytes);
}

void image_print_string(struct buf *out, const char *text)
{
	if (!text) {
		buf_printf(out, "null");
		return;
	}
	buf_printf(out, "\"");
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			buf_printf(out, "\\u%04x", c);
		else
			buf_append(out, text, 1);
	}
	buf_printf(out, "\"");
}

void progress_init(struct progress *p, const struct image_request *r, uint64_t total)
{
	*p = (struct progress){.is_on = r->shows_progress || isatty(STDERR_FILENO), .total = total};
}

void progress_add(struct progress *p, uint64_t done)
{
	p->done += done;
	if (!p->is_on || host_now_ns() < p->next_ns)
		return;
	p->next_ns = host_now_ns() + 200 * NS_PER_MS;
	fprintf(stderr, "\r%5.1f %%",
		p->total ? 100.0 * (double)p->done / (double)p->total : 100.0);
}

void progress_end(struct progress *p)
{
	if (p->is_on)
		fprintf(stderr, "\r%5.1f %%\n", 100.0);
}

/* ---- the verb ---- */

static void image_describe(struct buf *out)
{
	buf_printf(out, "usage: bantam image COMMAND [OPTION...] FILE...\n\n"
			"Makes, examines and changes disk images.\n\n");
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		buf_printf(out, "  %-8s %s\n           %s\n", commands[i]->name, commands[i]->usage,
			   commands[i]->summary);
	buf_printf(out, "\n");
	options_describe(&table, out);
	buf_printf(out, "\nExit status: 0 success, 1 failure, 64 usage; check: 2 damaged, 3 leaks "
			"only\n"
			"\nExamples:\n"
			"  bantam image create disk.qcow2 20G\n"
			"  bantam image create -b debian.raw -F raw layer.qcow2\n"
			"  bantam image convert -O raw disk.qcow2 disk.raw\n"
			"  bantam image commit layer.qcow2 merged.raw\n");
}

static const struct image_command *find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	}
	return NULL;
}

static int print_help(void)
{
	struct buf text = {0};

	image_describe(&text);
	int rc = verb_print(&text);
	buf_free(&text);
	return rc;
}

static int run_command(const struct image_command *c, int argc, char **argv)
{
	struct image_request r = {0};
	struct error err = {0};
	int rc = options_parse(&table, argc, argv, &r, &err);

	if (!rc && r.wants_help)
		return print_help();
	if (!rc) {
		const char *option = misplaced_option(c, &r);

		if (option)
			rc = error_set(&err, EXIT_USAGE, "image %s has no option --%s", c->name,
				       option);
		else if (r.nr_words < c->nr_words_min || r.nr_words > c->nr_words_max)
			rc = error_set(&err, EXIT_USAGE, "usage: bantam image %s %s", c->name,
				       c->usage);
	}
	if (!rc)
		rc = c->run(&r, &err);
	return rc && err.text[0] ? verb_fail(rc, &err) : rc;
}

static int image_main(int argc, char **argv)
{
	struct error err;

	if (argc && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")))
		return print_help();
	const struct image_command *c = argc ? find(argv[0]) : NULL;
	if (c)
		return run_command(c, argc - 1, argv + 1);
	error_set(&err, 0,
		  argc ? "image: unknown command '%s'; 'bantam help image' lists them"
		       : "image: a command is missing; 'bantam help image' lists them%s",
		  argc ? argv[0] : "");
	return verb_fail(EXIT_USAGE, &err);
}

const struct verb verb_image = {"image", "make, examine and change disk images", image_main,
				image_describe};
