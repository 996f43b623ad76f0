/* SPDX-License-Identifier: BSD-2-Clause */
#include "fixture.h"

#include "boot/loader/cmdline.h"

#define QUIET_PREFIX "reboot=k panic=1 i8042.dumbkbd=1 i8042.noaux=1"
#define PREFIX	     QUIET_PREFIX " earlyprintk=serial,ttyS0"

static void expect(struct cmdline_parts parts, const char *line)
{
	struct buf b = {0};

	cmdline_compose(&b, &parts);
	assert_string_equal(buf_text(&b), line);
	buf_free(&b);
}

static void line_is_prefix_console_root_and_user(void **state)
{
	expect((struct cmdline_parts){.console = "ttyS0"},
	       PREFIX " console=ttyS0 root=/dev/vda rw");
	expect((struct cmdline_parts){.console = "hvc0", .user = "debug"},
	       PREFIX " console=hvc0 root=/dev/vda rw debug");
	expect((struct cmdline_parts){.user = "debug"}, PREFIX " root=/dev/vda rw debug");
}

static void quiet_boot_has_no_early_messages(void **state)
{
	expect((struct cmdline_parts){.console = "ttyS0", .user = "quiet"},
	       QUIET_PREFIX " console=ttyS0 root=/dev/vda rw quiet");
	expect((struct cmdline_parts){.console = "ttyS0", .user = "nolapic quiet"},
	       QUIET_PREFIX " console=ttyS0 root=/dev/vda rw nolapic quiet");
}

static void root_is_the_users_when_given(void **state)
{
	expect((struct cmdline_parts){.console = "ttyS0", .user = "root=/dev/sda1 ro"},
	       PREFIX " console=ttyS0 root=/dev/sda1 ro");
	expect((struct cmdline_parts){.console = "ttyS0", .user = "debug root=LABEL=x"},
	       PREFIX " console=ttyS0 debug root=LABEL=x");
}

static void nfsroot_is_not_root(void **state)
{
	expect((struct cmdline_parts){.console = "ttyS0", .user = "nfsroot=/x"},
	       PREFIX " console=ttyS0 root=/dev/vda rw nfsroot=/x");
}

static void no_defaults_means_exactly_the_users_line(void **state)
{
	expect((struct cmdline_parts){.console = "ttyS0", .user = "a b", .no_defaults = true},
	       "a b");
	expect((struct cmdline_parts){.console = "ttyS0", .no_defaults = true}, "");
}

static void long_line_is_not_cut(void **state)
{
	char user[5001];
	struct buf b = {0};

	memset(user, 'x', 5000);
	user[5000] = 0;
	const struct cmdline_parts parts = {.user = user};
	cmdline_compose(&b, &parts);
	assert_string_equal(buf_text(&b) + b.len - 5000, user);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_is_prefix_console_root_and_user),
		cmocka_unit_test(quiet_boot_has_no_early_messages),
		cmocka_unit_test(root_is_the_users_when_given),
		cmocka_unit_test(nfsroot_is_not_root),
		cmocka_unit_test(no_defaults_means_exactly_the_users_line),
		cmocka_unit_test(long_line_is_not_cut),
	};

	return cmocka_run_group_tests_name("boot/cmdline", tests, NULL, NULL);
}
