/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command lines from a table of options: -x, -x VALUE, -xVALUE, --name, --name VALUE, --name=VALUE,
 * flags of one letter bundled, "--" before words that are not options. Options and bare words mix
 * in any order and take effect in that order.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

struct option_row {
	char letter;	      /* 0: none */
	const char *name;     /* without dashes; NULL: none */
	const char *arg;      /* what the value is called in the help; NULL: a flag */
	bool arg_is_optional; /* a following word that is an option, or none, stands for "" */
	const char *key;      /* configuration key it writes; NULL: see apply */
	const char *text;     /* flag: the value written */
	const char *help;
	/* Takes effect; value is NULL for a flag. Returns an enum exit_code, 0 to go on. */
	int (*apply)(void *ctx, const struct option_row *row, const char *value, struct error *err);
};

/* What users of another system write, with its dashes, and what it is here. */
struct foreign_word {
	const char *word, *instead;
};

struct foreign_words {
	const char *system;
	const struct foreign_word *words;
	unsigned nr;
};

struct option_table {
	const struct option_row *rows;
	unsigned nr;
	/* A word that is no option. Returns as apply. */
	int (*bare)(void *ctx, const char *word, struct error *err);
	const struct foreign_words *foreign; /* answered with what they are here */
	unsigned nr_foreign;
};

/* argv[0] is the first argument. Returns 0, or the exit code of the first failure with err filled.
 */
int options_parse(const struct option_table *table, int argc, char **argv, void *ctx,
		  struct error *err);

/*
 * The same, but the first word that is no option ends the options, as "--" does: *used becomes the
 * number of arguments before what follows, which is the caller's. table->bare is not called.
 */
int options_parse_leading(const struct option_table *table, int argc, char **argv, void *ctx,
			  int *used, struct error *err);

/* Appends a line or more per option. */
void options_describe(const struct option_table *table, struct buf *out);

#endif
