/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/exit_codes.h"
#include "cli/verb.h"

static void describe_all(struct buf *out)
{
	const struct verb *v;

	buf_printf(out, "bantam runs virtual machines, on KVM or on its own software engine.\n\n"
			"usage: bantam VERB [ARGUMENT...]\n\n");
	for (unsigned i = 0; (v = verb_at(i)) != NULL; i++)
		buf_printf(out, "  %-10s%s\n", v->name, v->summary);
	buf_printf(out, "\n'bantam help VERB' tells more about one of them.\n");
}

static int help_main(int argc, char **argv)
{
	const struct verb *v = argc ? verb_find(argv[0]) : NULL;
	struct buf text = {0};
	struct error err;

	if (argc && !v)
		return verb_unknown(argv[0]);
	if (argc > 1) {
		error_set(&err, 0, "Cannot handle parameter: %s", argv[1]);
		return verb_fail(EXIT_USAGE, &err);
	}
	if (v)
		v->describe(&text);
	else
		describe_all(&text);
	int rc = verb_print(&text);
	buf_free(&text);
	return rc;
}

static void help_describe(struct buf *out)
{
	buf_printf(out,
		   "usage: bantam help [VERB]\n\nPrints what bantam, or one verb of it, does.\n"
		   "\nExamples:\n  bantam help\n  bantam help run\n");
}

const struct verb verb_help = {"help", "explain a verb", help_main, help_describe};
