/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options of `bantam sandbox`: those of `bantam run`, and its own about the command.
 */
#ifndef CLI_SANDBOX_OPTIONS_H
#define CLI_SANDBOX_OPTIONS_H

#include "cli/options.h"
#include "cli/run_options.h"

struct sandbox_request {
	struct run_request run; /* first: the options of run are applied to it */
	int argc;
	char **argv; /* the command, borrowed from the command line */

	char **folders; /* --rw, borrowed */
	unsigned nr_folders;
	char **env; /* --env: NAME or NAME=VALUE, borrowed */
	unsigned nr_env;
	bool keeps_env;	 /* --keep-env */
	const char *cwd; /* NULL: the current one */
	uint32_t uid, gid;
	uint64_t timeout_ns; /* 0: none */
	bool has_net;
	enum { TERMINAL_AUTO, TERMINAL_ALWAYS, TERMINAL_NEVER } terminal;
};

/*
 * Parses up to the command, with the options of both; of two of one name it is sandbox's. Returns an
 * enum exit_code, 0 to go on.
 */
int sandbox_options_parse(struct sandbox_request *r, int argc, char **argv, struct error *err);

/* Only the rows that are not run's, for the help. */
extern const struct option_table sandbox_option_table;

/* Gives back the lists. */
void sandbox_request_fini(struct sandbox_request *r);

/* A number of seconds with an optional s, m, h or d, as timeout(1) takes. Returns 0 or -EINVAL. */
int sandbox_parse_duration(const char *text, uint64_t *ns);

#endif
