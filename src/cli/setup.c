/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `bantam setup`: makes a folder that keeps what a guest changes of the host's files.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/log.h"
#include "cli/exit_codes.h"
#include "cli/options_root.h"
#include "cli/verb.h"

#define USAGE "usage: bantam setup NAME\n"

static void setup_describe(struct buf *out)
{
	buf_printf(out, USAGE
		   "\nMakes a root called NAME: the guest of 'bantam run -d NAME' sees this host's "
		   "files, and what\nit changes of them is kept, for it alone, in\n"
		   "${XDG_DATA_HOME:-~/.local/share}/bantam/NAME. Removing that folder undoes "
		   "everything.\n"
		   "\nExamples:\n"
		   "  bantam setup trial\n"
		   "  bantam run -d trial\n"
		   "  bantam sandbox -d trial -- apt-get install -y hello\n");
}

static int make_with_parents(char *path)
{
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		int rc = mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
		*at = '/';
		if (rc)
			return rc;
	}
	return mkdir(path, 0700) ? -errno : 0;
}

static int setup_main(int argc, char **argv)
{
	struct error err = {0};

	if (argc != 1 || argv[0][0] == '-') {
		error_set(&err, EXIT_USAGE, "setup needs one name");
		verb_fail(EXIT_USAGE, &err);
		fprintf(stderr, USAGE);
		return EXIT_USAGE;
	}
	char *path = kept_root_path(argv[0], &err);
	if (!path)
		return verb_fail(EXIT_CONFIG, &err);
	int rc = make_with_parents(path);
	if (rc)
		error_set_errno(&err, rc, "setup: %s", path);
	else
		log_info("made %s; 'bantam run -d %s' uses it", path, argv[0]);
	free(path);
	return rc ? verb_fail(EXIT_CONFIG, &err) : 0;
}

const struct verb verb_setup = {"setup", "make a root that keeps a guest's changes", setup_main,
				setup_describe};
