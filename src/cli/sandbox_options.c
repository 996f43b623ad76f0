/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/sandbox_options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "cli/exit_codes.h"
#include "config/config.h"

#define TIMEOUT_MAX_S (366 * 86400.0) /* what is longer is a mistake, and would overflow */

int sandbox_parse_duration(const char *text, uint64_t *ns)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
	char *end;

	if (!isdigit((unsigned char)*text) || strpbrk(text, "xXeEpP"))
		return -EINVAL;
	double value = strtod(text, &end);
	for (unsigned i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].unit))
			continue;
		value *= units[i].seconds;
		if (value > TIMEOUT_MAX_S)
			return -EINVAL;
		*ns = (uint64_t)(value * (double)NS_PER_SEC);
		return 0;
	}
	return -EINVAL;
}

static void add_word(char ***list, unsigned *nr, const char *word)
{
	*list = realloc(*list, (*nr + 1) * sizeof(**list));
	BUG_ON(!*list);
	(*list)[(*nr)++] = (char *)word;
}

static int apply_rw(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	struct sandbox_request *r = ctx;

	add_word(&r->folders, &r->nr_folders, value);
	return 0;
}

static int apply_env(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	struct sandbox_request *r = ctx;

	if (!*value || *value == '=')
		return error_set(err, EXIT_USAGE,
				 "option '--env' needs NAME or NAME=VALUE, not '%s'", value);
	add_word(&r->env, &r->nr_env, value);
	return 0;
}

static int apply_keep_env(void *ctx, const struct option_row *row, const char *value,
			  struct error *err)
{
	((struct sandbox_request *)ctx)->keeps_env = true;
	return 0;
}

static int apply_cwd(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	if (*value != '/')
		return error_set(err, EXIT_USAGE, "option '--cwd' needs a path from /, not '%s'",
				 value);
	((struct sandbox_request *)ctx)->cwd = value;
	return 0;
}

/* Reads a number up to the stop; NULL when there is none. */
static const char *read_id(const char *text, uint32_t *id)
{
	char *end;

	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || errno || value >= UINT32_MAX)
		return NULL;
	*id = (uint32_t)value;
	return end;
}

static int apply_user(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	struct sandbox_request *r = ctx;
	const char *rest = read_id(value, &r->uid);

	if (rest && *rest == ':')
		rest = read_id(rest + 1, &r->gid);
	else
		r->gid = r->uid;
	if (!rest || *rest)
		return error_set(err, EXIT_USAGE, "option '--user' needs UID or UID:GID, not '%s'",
				 value);
	return 0;
}

static int apply_timeout(void *ctx, const struct option_row *row, const char *value,
			 struct error *err)
{
	if (sandbox_parse_duration(value, &((struct sandbox_request *)ctx)->timeout_ns))
		return error_set(err, EXIT_USAGE,
				 "option '--timeout' needs seconds, or a number with s, m, h or d, "
				 "not '%s'",
				 value);
	return 0;
}

static int apply_net(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	((struct sandbox_request *)ctx)->has_net = true;
	return 0;
}

static int apply_terminal(void *ctx, const struct option_row *row, const char *value,
			  struct error *err)
{
	struct sandbox_request *r = ctx;

	r->terminal = row->letter == 't' ? TERMINAL_ALWAYS : TERMINAL_NEVER;
	return 0;
}

static const struct option_row rows[] = {
	{.name = "rw",
	 .arg = "DIR",
	 .apply = apply_rw,
	 .help = "let the command change this folder of the host; may be repeated"},
	{.name = "cwd",
	 .arg = "DIR",
	 .apply = apply_cwd,
	 .help = "folder the command starts in; the current one when not given"},
	{.name = "env",
	 .arg = "NAME[=VALUE]",
	 .apply = apply_env,
	 .help = "set a variable, or pass one on; may be repeated"},
	{.name = "keep-env", .apply = apply_keep_env, .help = "pass all variables on"},
	{.name = "user",
	 .arg = "UID[:GID]",
	 .apply = apply_user,
	 .help = "run the command as this user of the guest instead of root"},
	{.name = "net",
	 .apply = apply_net,
	 .help = "give the command a network; without it there is none"},
	{.name = "timeout",
	 .arg = "TIME",
	 .apply = apply_timeout,
	 .help = "end the guest after so many seconds (or with s, m, h, d) with status 124"},
	{.letter = 't',
	 .name = "tty",
	 .apply = apply_terminal,
	 .help = "give the command a terminal; so it is anyway when stdin and stdout are one"},
	{.name = "no-tty", .apply = apply_terminal, .help = "give it pipes in any case"},
};

const struct option_table sandbox_option_table = {.rows = rows, .nr = ARRAY_SIZE(rows)};

int sandbox_options_parse(struct sandbox_request *r, int argc, char **argv, struct error *err)
{
	unsigned nr = ARRAY_SIZE(rows) + run_option_table.nr;
	struct option_row *all = mem_alloc_zero(nr * sizeof(*all));
	const struct option_table both = {.rows = all,
					  .nr = nr,
					  .foreign = run_option_table.foreign,
					  .nr_foreign = run_option_table.nr_foreign};
	int used;

	memcpy(all, rows, sizeof(rows));
	memcpy(all + ARRAY_SIZE(rows), run_option_table.rows, run_option_table.nr * sizeof(*all));
	int rc = options_parse_leading(&both, argc, argv, r, &used, err);
	free(all);
	r->argc = argc - used;
	r->argv = argv + used;
	return rc;
}

void sandbox_request_fini(struct sandbox_request *r)
{
	free(r->folders);
	free(r->env);
}
