/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/options.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/exit_codes.h"

#define HELP_COLUMN 28 /* where the sentence of an option begins */

struct arguments {
	int nr;
	char **words;
	int next;
};

static const struct option_row *find_letter(const struct option_table *t, char letter)
{
	for (unsigned i = 0; i < t->nr; i++)
		if (t->rows[i].letter == letter)
			return &t->rows[i];
	return NULL;
}

static const struct option_row *find_name(const struct option_table *t, const char *name,
					  size_t len)
{
	for (unsigned i = 0; i < t->nr; i++) {
		const char *candidate = t->rows[i].name;

		if (candidate && strlen(candidate) == len && !memcmp(candidate, name, len))
			return &t->rows[i];
	}
	return NULL;
}

static const char *nearest(const struct option_table *t, const char *name)
{
	unsigned best_distance = UINT_MAX;
	const char *best = "help";

	for (unsigned i = 0; i < t->nr; i++) {
		if (!t->rows[i].name)
			continue;
		unsigned distance = word_distance(name, t->rows[i].name);

		if (distance < best_distance) {
			best_distance = distance;
			best = t->rows[i].name;
		}
	}
	return best;
}

/* As the user wrote it, for messages: "--mem" or "-m". */
static void spell(const struct option_row *row, bool is_long, char out[32])
{
	if (is_long)
		snprintf(out, 32, "--%s", row->name);
	else
		snprintf(out, 32, "-%c", row->letter);
}

static int apply(const struct option_row *row, bool is_long, const char *attached,
		 struct arguments *args, void *ctx, struct error *err)
{
	const char *value = attached;
	char spelt[32];

	spell(row, is_long, spelt);
	bool has_word = args->next < args->nr && args->words[args->next][0] != '-';
	if (row->arg && !value && row->arg_is_optional && !has_word) {
		value = "";
	} else if (row->arg && !value) {
		if (args->next == args->nr)
			return error_set(err, EXIT_USAGE, "option '%s' needs a value: %s", spelt,
					 row->arg);
		value = args->words[args->next++];
	}
	return row->apply(ctx, row, value, err);
}

static int parse_long(const struct option_table *t, const char *name, struct arguments *args,
		      void *ctx, struct error *err)
{
	const char *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_row *row = find_name(t, name, len);

	if (!row) {
		char asked[64];

		snprintf(asked, sizeof(asked), "%.*s", (int)(len < 63 ? len : 63), name);
		return error_set(err, EXIT_USAGE,
				 "unknown option '--%s'; the nearest known one is '--%s'", asked,
				 nearest(t, asked));
	}
	if (equals && !row->arg)
		return error_set(err, EXIT_USAGE, "option '--%s' takes no value", row->name);
	return apply(row, true, equals ? equals + 1 : NULL, args, ctx, err);
}

/* One or more letters; the first that takes a value takes the rest of the word as it. */
static int parse_letters(const struct option_table *t, const char *letters, struct arguments *args,
			 void *ctx, struct error *err)
{
	for (const char *p = letters; *p; p++) {
		const struct option_row *row = find_letter(t, *p);
		int rc;

		if (!row && p == letters && p[1])
			return error_set(err, EXIT_USAGE,
					 "unknown option '-%s'; the nearest known one is '--%s'",
					 letters, nearest(t, letters));
		if (!row)
			return error_set(err, EXIT_USAGE,
					 "unknown option '-%c'; see 'bantam help run'", *p);
		if (row->arg)
			return apply(row, false, p[1] ? p + 1 : NULL, args, ctx, err);
		rc = apply(row, false, NULL, args, ctx, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* Whether an option is that word, with a value behind '=' or not. Two dashes do for one. */
static bool is_foreign(const char *option, const char *word)
{
	size_t len = strcspn(option, "=");

	if (option[1] == '-' && word[1] != '-') {
		option++;
		len--;
	}
	return len == strlen(word) && !memcmp(option, word, len);
}

/* Fills err for a word of another system. Returns 0 when it is none. */
static int refuse_foreign(const struct option_table *t, const char *option, struct error *err)
{
	for (unsigned i = 0; i < t->nr_foreign; i++) {
		const struct foreign_words *f = &t->foreign[i];

		for (unsigned j = 0; j < f->nr; j++) {
			if (is_foreign(option, f->words[j].word))
				return error_set(err, EXIT_USAGE,
						 "'%.*s' is an option of %s; here it is %s",
						 (int)strcspn(option, "="), option, f->system,
						 f->words[j].instead);
		}
	}
	return 0;
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1];
}

/* One option, which has a letter or name behind its dashes. */
static int parse_option(const struct option_table *t, const char *word, struct arguments *args,
			void *ctx, struct error *err)
{
	bool is_long = word[1] == '-';
	bool is_ours = is_long && find_name(t, word + 2, strcspn(word + 2, "="));
	int rc = is_ours ? 0 : refuse_foreign(t, word, err);

	if (rc)
		return rc;
	return is_long ? parse_long(t, word + 2, args, ctx, err)
		       : parse_letters(t, word + 1, args, ctx, err);
}

int options_parse(const struct option_table *table, int argc, char **argv, void *ctx,
		  struct error *err)
{
	struct arguments args = {.nr = argc, .words = argv};
	bool only_words = false;
	int rc = 0;

	while (!rc && args.next < args.nr) {
		const char *word = args.words[args.next++];

		if (only_words || !is_option(word))
			rc = table->bare(ctx, word, err);
		else if (strcmp(word, "--"))
			rc = parse_option(table, word, &args, ctx, err);
		else
			only_words = true;
	}
	return rc;
}

int options_parse_leading(const struct option_table *table, int argc, char **argv, void *ctx,
			  int *used, struct error *err)
{
	struct arguments args = {.nr = argc, .words = argv};
	int rc = 0;

	while (!rc && args.next < args.nr && is_option(args.words[args.next])) {
		const char *word = args.words[args.next++];

		if (!strcmp(word, "--"))
			break;
		rc = parse_option(table, word, &args, ctx, err);
	}
	*used = args.next;
	return rc;
}

void options_describe(const struct option_table *table, struct buf *out)
{
	for (unsigned i = 0; i < table->nr; i++) {
		const struct option_row *row = &table->rows[i];
		char left[64];
		int n = 0;

		n += snprintf(left, sizeof(left), row->letter ? "  -%c" : "    ", row->letter);
		if (row->name)
			n += snprintf(left + n, sizeof(left) - (size_t)n, "%s--%s",
				      row->letter ? ", " : "  ", row->name);
		if (row->arg)
			n += snprintf(left + n, sizeof(left) - (size_t)n, " %s", row->arg);
		if (n > HELP_COLUMN - 2)
			buf_printf(out, "%s\n%*s%s\n", left, HELP_COLUMN, "", row->help);
		else
			buf_printf(out, "%-*s%s\n", HELP_COLUMN, left, row->help);
	}
}
