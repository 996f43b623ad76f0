/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/test.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/exit_codes.h"
#include "cli/options_share.h"
#include "config/config.h"
#include "machine/keys.h"
#include "machine/parts.h"

static struct config *cfg;

static int start(void **state)
{
	cfg = config_new();
	machine_register_keys(cfg);
	return 0;
}

static int stop(void **state)
{
	config_free(cfg);
	return 0;
}

static void assert_text(const char *key, const char *value)
{
	const char *text = config_text(cfg, "%s", key);

	assert_non_null(text);
	assert_string_equal(text, value);
}

static void shares_take_the_next_index(void **state)
{
	struct error err = {0};
	char cwd[PATH_MAX];

	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(run_add_9p(cfg, "/usr,one", &err), 0);
	assert_int_equal(run_add_share(cfg, ".,two,ro,type=9p,map=squash,cache=always", &err), 0);
	assert_int_equal(run_add_9p(cfg, "/usr/.", &err), 0);
	assert_text("share.0.path", "/usr");
	assert_text("share.0.tag", "one");
	assert_text("share.0.type", "9p");
	assert_text("share.1.path", cwd);
	assert_text("share.1.tag", "two");
	assert_text("share.1.readonly", "true");
	assert_text("share.1.map", "squash");
	assert_text("share.1.cache", "always");
	assert_text("share.2.path", "/usr");
	assert_text("share.2.tag", "kvm_9p");
	assert_text("share.2.readonly", "false");
}

static void assert_refused(int (*add)(struct config *, const char *, struct error *),
			   const char *text, int code, const char *sentence)
{
	struct error err = {0};

	assert_int_equal(add(cfg, text, &err), code);
	assert_string_equal(err.text, sentence);
}

static void mistakes_are_named(void **state)
{
	assert_refused(run_add_9p, "/none,tag", EXIT_CONFIG,
		       "--9p: Failed resolving 9p path '/none': No such file or directory");
	assert_refused(run_add_9p, ",tag", EXIT_USAGE, "--9p needs a directory: DIR,TAG");
	assert_refused(run_add_share, "/usr", EXIT_USAGE,
		       "--share '/usr' names no tag: DIR,TAG, and the guest mounts TAG");
	assert_refused(run_add_share, "/usr,", EXIT_USAGE,
		       "--share '/usr,' names no tag: DIR,TAG, and the guest mounts TAG");
	assert_refused(run_add_share, "/usr,tag,readonly", EXIT_USAGE,
		       "--share: 'readonly' is none of ro, rw, type=, map=, cache=; the form is "
		       "DIR,TAG[,ro][,type=virtiofs|9p][,map=auto|none|squash|mapped]"
		       "[,cache=none|auto|always]");
	struct error err = {0};
	assert_int_equal(run_add_share(cfg, "/usr,tag,type=nfs", &err), EXIT_CONFIG);
	assert_int_equal(run_add_share(cfg, "/usr,tag,map=", &err), EXIT_CONFIG);
}

static void assert_check(const char *path, const char *tag, const char *sentence)
{
	struct error err = {0};

	assert_int_equal(config_set(cfg, "share.3.path", path, &err), 0);
	assert_int_equal(config_set(cfg, "share.3.tag", tag, &err), 0);
	assert_true(part_share.check(cfg, &err) < 0);
	assert_string_equal(err.text, sentence);
}

static void checks_come_before_anything_is_made(void **state)
{
	struct error err = {0};

	assert_check("/none", "tag", "share 3: directory '/none': No such file or directory");
	assert_check("/etc/passwd", "tag", "share 3: '/etc/passwd' is no directory");
	assert_check(
		"/usr", "123456789012345678901234567890123456789",
		"share 3: tag '123456789012345678901234567890123456789' must have 1 to 36 bytes");
	assert_int_equal(run_add_share(cfg, "/usr,tag", &err), 0);
	assert_int_equal(config_set(cfg, "share.3.tag", "tag", &err), 0);
	assert_true(part_share.check(cfg, &err) < 0);
	assert_string_equal(err.text,
			    "share 4: tag 'tag' is that of share 3 as well; give each a tag "
			    "of its own");
	assert_int_equal(config_set(cfg, "share.3.type", "9p", &err), 0);
	assert_int_equal(part_share.check(cfg, &err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shares_take_the_next_index),
		TEST(mistakes_are_named),
		TEST(checks_come_before_anything_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
