/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/exit_codes.h"
#include "cli/verb.h"

static int version_main(int argc, char **argv)
{
	struct buf text = {0};
	struct error err;

	if (argc) {
		error_set(&err, 0, "Cannot handle parameter: %s", argv[0]);
		return verb_fail(EXIT_USAGE, &err);
	}
	buf_printf(&text, "bantam %s\n", BANTAM_VERSION);
	int rc = verb_print(&text);
	buf_free(&text);
	return rc;
}

static void version_describe(struct buf *out)
{
	buf_printf(out, "usage: bantam version\n\nPrints the version.\n");
}

const struct verb verb_version = {"version", "print the version", version_main, version_describe};
