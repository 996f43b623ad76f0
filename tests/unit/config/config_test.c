/* SPDX-License-Identifier: BSD-2-Clause */
/* The tree of keys: types, ranges, names, files, the dump, and the sentence for each mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "config/config.h"
#include "config/cpuset.h"

static const struct config_key keys[] = {
	{.name = "name", .type = CONFIG_STRING, .help = "a name"},
	{.name = "cpus", .type = CONFIG_UINT, .min = 1, .max = 65535, .help = "CPUs"},
	{.name = "memory.size",
	 .type = CONFIG_SIZE,
	 .unit = "M",
	 .min = MIB,
	 .max = TIB,
	 .fallback = "64M",
	 .help = "memory"},
	{.name = "console",
	 .type = CONFIG_ENUM,
	 .choices = "serial virtio none",
	 .fallback = "serial",
	 .help = "console"},
	{.name = "reboot", .type = CONFIG_BOOL, .fallback = "true", .help = "reboot"},
	{.name = "kernel.path", .type = CONFIG_PATH, .help = "kernel"},
	{.name = "vcpu.N.cpuset", .type = CONFIG_CPUSET, .help = "pinning"},
	{.name = "disk.N.path", .type = CONFIG_PATH, .help = "disk"},
	{.name = "limit", .type = CONFIG_UINT, .min = 3, .help = "a number without a largest"},
};

static struct config *new_tree(void)
{
	struct config *cfg = config_new();

	config_register(cfg, keys, ARRAY_SIZE(keys));
	return cfg;
}

static void assert_refused(struct config *cfg, const char *name, const char *value,
			   const char *sentence)
{
	struct error err = {0};

	assert_int_equal(config_set(cfg, name, value, &err), -EINVAL);
	assert_string_equal(err.text, sentence);
}

static void set(struct config *cfg, const char *name, const char *value)
{
	struct error err = {0};

	if (config_set(cfg, name, value, &err))
		fail_msg("%s", err.text);
}

static void assert_dump(const struct config *cfg, const char *expected)
{
	struct buf out = {0};

	config_dump(cfg, &out);
	assert_string_equal(buf_text(&out), expected);
	buf_free(&out);
}

static void values_come_back_in_their_type(void **state)
{
	struct config *cfg = new_tree();

	set(cfg, "cpus", "0x10");
	set(cfg, "memory.size", "1536");
	set(cfg, "console", "none");
	set(cfg, "reboot", "off");
	set(cfg, "vcpu.3.cpuset", "0,2-3");
	assert_int_equal(config_uint(cfg, "cpus"), 16);
	assert_int_equal(config_uint(cfg, "memory.size"), 1536 * MIB);
	assert_int_equal(config_enum(cfg, "console"), 2);
	assert_false(config_bool(cfg, "reboot"));
	assert_string_equal(config_text(cfg, "vcpu.%u.cpuset", 3), "0,2-3");
	assert_null(config_text(cfg, "vcpu.%u.cpuset", 2));
	config_free(cfg);
}

static void unset_keys_give_their_fallback(void **state)
{
	struct config *cfg = new_tree();

	assert_int_equal(config_uint(cfg, "memory.size"), 64 * MIB);
	assert_int_equal(config_enum(cfg, "console"), 0);
	assert_true(config_bool(cfg, "reboot"));
	assert_null(config_text(cfg, "kernel.path"));
	assert_false(config_is_set(cfg, "reboot"));
	set(cfg, "reboot", "true");
	assert_true(config_is_set(cfg, "reboot"));
	config_unset(cfg, "reboot");
	assert_false(config_is_set(cfg, "reboot"));
	config_free(cfg);
}

static void unknown_key_names_the_nearest(void **state)
{
	struct config *cfg = new_tree();

	assert_refused(cfg, "memory.siez", "1",
		       "unknown key 'memory.siez'; the nearest known one is 'memory.size'");
	assert_refused(cfg, "vcpu.12.cpuse", "1",
		       "unknown key 'vcpu.12.cpuse'; the nearest known one is 'vcpu.N.cpuset'");
	assert_refused(cfg, "", "1", "unknown key ''; the nearest known one is 'name'");
	config_free(cfg);
}

static void indices_are_plain_numbers(void **state)
{
	static const char *const bad[] = {"vcpu.N.cpuset",
					  "vcpu..cpuset",
					  "vcpu.01.cpuset",
					  "vcpu.-1.cpuset",
					  "vcpu.65536.cpuset",
					  "vcpu.1x.cpuset",
					  "vcpu.99999999999999999999.cpuset"};
	struct config *cfg = new_tree();
	struct error err;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(config_set(cfg, bad[i], "0", &err), -EINVAL);
	set(cfg, "vcpu.0.cpuset", "0");
	set(cfg, "vcpu.65535.cpuset", "0");
	config_free(cfg);
}

static void each_type_refuses_with_what_would_be_right(void **state)
{
	struct config *cfg = new_tree();

	assert_refused(cfg, "cpus", "0", "Invalid value for cpus: '0' (must be 1 to 65535)");
	assert_refused(cfg, "cpus", "65536",
		       "Invalid value for cpus: '65536' (must be 1 to 65535)");
	assert_refused(cfg, "cpus", "2x", "Invalid value for cpus: '2x' (must be 1 to 65535)");
	assert_refused(cfg, "cpus", "-1", "Invalid value for cpus: '-1' (must be 1 to 65535)");
	assert_refused(cfg, "cpus", "99999999999999999999999",
		       "Invalid value for cpus: '99999999999999999999999' (must be 1 to 65535)");
	assert_refused(cfg, "limit", "2", "Invalid value for limit: '2' (must be 3 or more)");
	assert_refused(cfg, "memory.size", "1X",
		       "Invalid value for memory.size: '1X' (must be a size from 1M to 1T)");
	assert_refused(cfg, "memory.size", "2T",
		       "Invalid value for memory.size: '2T' (must be a size from 1M to 1T)");
	assert_refused(cfg, "memory.size", "4K",
		       "Invalid value for memory.size: '4K' (must be a size from 1M to 1T)");
	assert_refused(cfg, "console", "seria",
		       "Invalid value for console: 'seria' (must be serial, virtio or none)");
	assert_refused(
		cfg, "console", "serial virtio",
		"Invalid value for console: 'serial virtio' (must be serial, virtio or none)");
	assert_refused(cfg, "reboot", "maybe",
		       "Invalid value for reboot: 'maybe' (must be true or false)");
	assert_refused(cfg, "name", "", "the value of name is empty");
	assert_refused(cfg, "name", "a\nb", "the value of name holds a control character");
	assert_dump(cfg, "");
	config_free(cfg);
}

static void cpusets_are_checked(void **state)
{
	struct config *cfg = new_tree();
	char sentence[128];

	assert_refused(cfg, "vcpu.2.cpuset", "3-1",
		       "invalid cpuset for vcpu 2: '3-1': Invalid hostcpu range 3-1");
	assert_refused(cfg, "vcpu.2.cpuset", "1,",
		       "invalid cpuset for vcpu 2: '1,': a host CPU number is missing at ''");
	assert_refused(cfg, "vcpu.2.cpuset", "1 2",
		       "invalid cpuset for vcpu 2: '1 2': ' 2' where a comma is expected");
	snprintf(sentence, sizeof(sentence),
		 "invalid cpuset for vcpu 0: '99999': hostcpu '99999' outside valid range from 0 "
		 "to %d",
		 CPU_SETSIZE - 1);
	assert_refused(cfg, "vcpu.0.cpuset", "99999", sentence);
	config_free(cfg);
}

static void cpuset_takes_ranges_in_any_base(void **state)
{
	cpu_set_t s;

	assert_int_equal(cpuset_parse("0x2,010-9,63", &s, NULL), 0);
	assert_int_equal(CPU_COUNT(&s), 4);
	assert_true(CPU_ISSET(2, &s) && CPU_ISSET(8, &s) && CPU_ISSET(9, &s) && CPU_ISSET(63, &s));
}

static void later_values_win(void **state)
{
	struct config *cfg = new_tree();
	struct error err;

	set(cfg, "cpus", "2");
	assert_int_equal(config_set_option(cfg, "cpus=3", &err), 0);
	assert_int_equal(config_uint(cfg, "cpus"), 3);
	assert_refused(cfg, "cpus", "no", "Invalid value for cpus: 'no' (must be 1 to 65535)");
	assert_int_equal(config_uint(cfg, "cpus"), 3);
	config_free(cfg);
}

static void option_needs_name_and_value(void **state)
{
	static const char *const bad[] = {"cpus", "cpus=", "=2", "", "="};
	struct config *cfg = new_tree();
	char sentence[80];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {0};

		snprintf(sentence, sizeof(sentence), "invalid configuration option '%s'", bad[i]);
		assert_int_equal(config_set_option(cfg, bad[i], &err), -EINVAL);
		assert_string_equal(err.text, sentence);
	}
	struct error err;
	assert_int_equal(config_set_option(cfg, "name=a=b", &err), 0);
	assert_string_equal(config_text(cfg, "name"), "a=b");
	config_free(cfg);
}

static int parse(struct config *cfg, const char *text, size_t len, struct error *err)
{
	return config_parse(cfg, text, len, "vm.conf", err);
}

static void file_lines_are_keys_comments_or_empty(void **state)
{
	static const char text[] = "# a comment\n\ncpus=2\nname= with blanks \nreboot=no";
	struct config *cfg = new_tree();
	struct error err;

	assert_int_equal(parse(cfg, text, sizeof(text) - 1, &err), 0);
	assert_string_equal(config_text(cfg, "name"), " with blanks ");
	assert_dump(cfg, "name= with blanks \ncpus=2\nreboot=false\n");
	config_free(cfg);
}

static void file_errors_name_the_line(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{"cpus=1\n\nfoo\n", "vm.conf line 3: invalid config option 'foo'"},
		{"cpus=\n", "vm.conf line 1: invalid config option 'cpus='"},
		{"cpuss=1\n",
		 "vm.conf line 1: unknown key 'cpuss'; the nearest known one is 'cpus'"},
		{"#\ncpus=0\n", "vm.conf line 2: Invalid value for cpus: '0' (must be 1 to 65535)"},
		{"cpus=2\r\n", "vm.conf line 1: the value of cpus holds a control character"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config *cfg = new_tree();
		struct error err = {0};

		assert_int_equal(parse(cfg, cases[i].text, strlen(cases[i].text), &err), -EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
		config_free(cfg);
	}
}

static void zero_byte_in_a_file_is_an_error(void **state)
{
	struct config *cfg = new_tree();
	struct error err = {0};

	assert_int_equal(parse(cfg, "cpus=2\0junk\n", 12, &err), -EINVAL);
	assert_string_equal(err.text, "vm.conf line 1: invalid config option 'cpus=2'");
	assert_false(config_is_set(cfg, "cpus"));
	config_free(cfg);
}

static void missing_file_is_named(void **state)
{
	struct config *cfg = new_tree();
	struct error err = {0};

	assert_int_equal(config_load(cfg, "/nonexistent/vm.conf", &err), -ENOENT);
	assert_string_equal(err.text, "Failed to open configuration file /nonexistent/vm.conf: "
				      "No such file or directory");
	assert_int_equal(config_load(cfg, "/", &err), -EISDIR);
	config_free(cfg);
}

static void dump_loads_back_to_the_same_dump(void **state)
{
	struct config *cfg = new_tree(), *again = new_tree();
	struct buf first = {0}, second = {0};
	char path[] = "/tmp/bantam-test-XXXXXX";
	struct error err = {0};
	int fd = mkstemp(path);

	set(cfg, "disk.10.path", "/ten");
	set(cfg, "vcpu.0.cpuset", "1");
	set(cfg, "disk.9.path", "/nine=9 #");
	set(cfg, "memory.size", "1025K");
	set(cfg, "cpus", "010");
	set(cfg, "name", " # x");
	config_dump(cfg, &first);
	assert_string_equal(buf_text(&first),
			    "name= # x\ncpus=8\nmemory.size=1025K\nvcpu.0.cpuset=1\n"
			    "disk.9.path=/nine=9 #\ndisk.10.path=/ten\n");
	assert_int_equal(write(fd, first.data, first.len), (ssize_t)first.len);
	assert_int_equal(config_load(again, path, &err), 0);
	config_dump(again, &second);
	assert_string_equal(buf_text(&first), buf_text(&second));
	unlink(path);
	close(fd);
	buf_free(&first);
	buf_free(&second);
	config_free(cfg);
	config_free(again);
}

static void groups_are_walked_in_order(void **state)
{
	struct config *cfg = new_tree();
	unsigned i = 0;

	assert_false(config_next(cfg, "disk", &i));
	set(cfg, "disk.7.path", "/a");
	set(cfg, "disk.2.path", "/b");
	assert_true(config_next(cfg, "disk", &i));
	assert_int_equal(i, 2);
	i++;
	assert_true(config_next(cfg, "disk", &i));
	assert_int_equal(i, 7);
	i++;
	assert_false(config_next(cfg, "disk", &i));
	i = 0;
	assert_false(config_next(cfg, "vcpu", &i));
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_back_in_their_type),
		cmocka_unit_test(unset_keys_give_their_fallback),
		cmocka_unit_test(unknown_key_names_the_nearest),
		cmocka_unit_test(indices_are_plain_numbers),
		cmocka_unit_test(each_type_refuses_with_what_would_be_right),
		cmocka_unit_test(cpusets_are_checked),
		cmocka_unit_test(cpuset_takes_ranges_in_any_base),
		cmocka_unit_test(later_values_win),
		cmocka_unit_test(option_needs_name_and_value),
		cmocka_unit_test(file_lines_are_keys_comments_or_empty),
		cmocka_unit_test(file_errors_name_the_line),
		cmocka_unit_test(zero_byte_in_a_file_is_an_error),
		cmocka_unit_test(missing_file_is_named),
		cmocka_unit_test(dump_loads_back_to_the_same_dump),
		cmocka_unit_test(groups_are_walked_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
