/* SPDX-License-Identifier: BSD-2-Clause */
#include "../test.h"

#include "cli/exit_codes.h"
#include "cli/sandbox_options.h"
#include "config/config.h"
#include "machine/keys.h"

struct fixture {
	struct sandbox_request r;
	struct error err;
};

static int parse(struct fixture *f, int argc, char **argv)
{
	*f = (struct fixture){.r = {.run = {.cfg = config_new()}}};
	machine_register_keys(f->r.run.cfg);
	return sandbox_options_parse(&f->r, argc, argv, &f->err);
}

static void done(struct fixture *f)
{
	sandbox_request_fini(&f->r);
	config_free(f->r.run.cfg);
}

#define PARSE(f, ...)                                     \
	({                                                \
		static char *argv[] = {__VA_ARGS__};      \
		parse(&(f), (int)ARRAY_SIZE(argv), argv); \
	})

static void first_word_begins_the_command(void **state)
{
	struct fixture f;

	assert_int_equal(PARSE(f, "-c", "2", "ls", "-c", "--", "--rw"), 0);
	assert_int_equal(f.r.argc, 4);
	assert_string_equal(f.r.argv[0], "ls");
	assert_string_equal(f.r.argv[1], "-c");
	assert_string_equal(f.r.argv[2], "--");
	assert_string_equal(f.r.argv[3], "--rw");
	assert_int_equal(config_uint(f.r.run.cfg, "cpus"), 2);
	done(&f);
}

static void double_dash_ends_the_options(void **state)
{
	struct fixture f;

	assert_int_equal(PARSE(f, "--net", "--", "--net", ""), 0);
	assert_int_equal(f.r.argc, 2);
	assert_string_equal(f.r.argv[0], "--net");
	assert_string_equal(f.r.argv[1], "");
	assert_true(f.r.has_net);
	done(&f);
}

static void options_of_the_command_are_taken(void **state)
{
	struct fixture f;

	assert_int_equal(PARSE(f, "--rw", "a", "--rw=b", "--env", "A=1", "--env", "B", "--cwd",
			       "/x", "--user", "7:8", "--timeout", "1.5m", "true"),
			 0);
	assert_int_equal(f.r.nr_folders, 2);
	assert_string_equal(f.r.folders[1], "b");
	assert_int_equal(f.r.nr_env, 2);
	assert_string_equal(f.r.env[0], "A=1");
	assert_string_equal(f.r.cwd, "/x");
	assert_int_equal(f.r.uid, 7);
	assert_int_equal(f.r.gid, 8);
	assert_int_equal(f.r.timeout_ns, 90 * NS_PER_SEC);
	done(&f);
}

static void refuse(const char *option, const char *value, const char *sentence)
{
	char *argv[] = {(char *)option, (char *)value, (char *)"true"};
	struct fixture f;

	assert_int_equal(parse(&f, 3, argv), EXIT_USAGE);
	assert_string_equal(f.err.text, sentence);
	done(&f);
}

static void wrong_values_are_refused(void **state)
{
	refuse("--cwd", "x", "option '--cwd' needs a path from /, not 'x'");
	refuse("--env", "=x", "option '--env' needs NAME or NAME=VALUE, not '=x'");
	refuse("--env", "", "option '--env' needs NAME or NAME=VALUE, not ''");
	refuse("--user", "joe", "option '--user' needs UID or UID:GID, not 'joe'");
	refuse("--user", "1:", "option '--user' needs UID or UID:GID, not '1:'");
	refuse("--user", "4294967295", "option '--user' needs UID or UID:GID, not '4294967295'");
	refuse("--timeout", "5y",
	       "option '--timeout' needs seconds, or a number with s, m, h or d, not '5y'");
}

static void durations_are_those_of_timeout(void **state)
{
	uint64_t ns;

	assert_int_equal(sandbox_parse_duration("2", &ns), 0);
	assert_int_equal(ns, 2 * NS_PER_SEC);
	assert_int_equal(sandbox_parse_duration("0.25s", &ns), 0);
	assert_int_equal(ns, NS_PER_SEC / 4);
	assert_int_equal(sandbox_parse_duration("1d", &ns), 0);
	assert_int_equal(ns, 86400 * NS_PER_SEC);
	assert_int_equal(sandbox_parse_duration("", &ns), -EINVAL);
	assert_int_equal(sandbox_parse_duration("-1", &ns), -EINVAL);
	assert_int_equal(sandbox_parse_duration("0x10", &ns), -EINVAL);
	assert_int_equal(sandbox_parse_duration("inf", &ns), -EINVAL);
	assert_int_equal(sandbox_parse_duration("1e9", &ns), -EINVAL);
	assert_int_equal(sandbox_parse_duration("99999999999", &ns), -EINVAL);
	assert_int_equal(sandbox_parse_duration("1 s", &ns), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_word_begins_the_command),
		cmocka_unit_test(double_dash_ends_the_options),
		cmocka_unit_test(options_of_the_command_are_taken),
		cmocka_unit_test(wrong_values_are_refused),
		cmocka_unit_test(durations_are_those_of_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
