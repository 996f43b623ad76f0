/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The verbs: `bantam VERB ...`, one file each, and what they share.
 */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include "base/buf.h"
#include "base/error.h"

struct verb {
	const char *name;
	const char *summary; /* one line */
	/* argv[0] is the first argument after the verb. Returns the exit status. */
	int (*main)(int argc, char **argv);
	/* Appends the whole help text. */
	void (*describe)(struct buf *out);
};

extern const struct verb verb_run, verb_image, verb_sandbox, verb_setup, verb_switch, verb_help,
	verb_version;

/* The verb of that name or NULL; the i-th verb or NULL. */
const struct verb *verb_find(const char *name);
const struct verb *verb_at(unsigned i);

/* "unknown verb 'X'; the nearest known one is 'Y'" on stderr. Returns EXIT_USAGE. */
int verb_unknown(const char *name);

/* Prints the sentence on stderr, control characters made harmless. Returns code. */
int verb_fail(int code, const struct error *err);

/* Writes a text to stdout. Returns 0, or EXIT_ENGINE_FAILURE with a message. */
int verb_print(struct buf *text);

#endif
