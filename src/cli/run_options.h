/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The options of `bantam run`, kvmtool's grammar with additions. All but a few that are about the
 * command itself write configuration keys and nothing else.
 */
#ifndef CLI_RUN_OPTIONS_H
#define CLI_RUN_OPTIONS_H

#include <stdbool.h>

#include "cli/options.h"

struct config;

struct run_request {
	struct config *cfg;
	bool wants_dump; /* --dump-config */
	bool wants_help;
	bool has_kernel;    /* by option or as a word */
	bool has_disk_word; /* a word that is a disk image */
};

extern const struct option_table run_option_table; /* ctx is a struct run_request */

/* -m: base-10 size with a letter, megabytes without. Returns an enum exit_code. */
int run_set_memory(struct config *cfg, const char *text, struct error *err);

/* -c: N, or a list of [cpus=]N, sockets=N, cores=N, threads=N. Returns an enum exit_code. */
int run_set_topology(struct config *cfg, const char *text, struct error *err);

/* --pin VCPU:HOSTCPU, adding to the vCPU's set. Returns an enum exit_code. */
int run_add_pin(struct config *cfg, const char *text, struct error *err);

#endif
