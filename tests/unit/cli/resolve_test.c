/* SPDX-License-Identifier: BSD-2-Clause */
/* What is filled in from the host, and the banner that says what runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/banner.h"
#include "cli/resolve.h"
#include "config/config.h"
#include "machine/keys.h"

static const struct host_facts big_host = {
	.online_cpus = 8, .ram_bytes = 64 * GIB, .release = "1.2.3-none", .pid = 77};

static struct config *tree(const char *const *options)
{
	struct config *cfg = config_new();
	struct error err;

	machine_register_keys(cfg);
	for (; *options; options++)
		if (config_set_option(cfg, *options, &err))
			fail_msg("%s", err.text);
	return cfg;
}
#define TREE(...) tree((const char *const[]){__VA_ARGS__, NULL})

static void resolve(struct config *cfg, const struct host_facts *host)
{
	struct error err = {0};

	if (resolve_config(cfg, host, &err))
		fail_msg("%s", err.text);
}

static void nothing_given_takes_the_hosts_cpus(void **state)
{
	struct config *cfg = TREE("kernel.path=/k");

	resolve(cfg, &big_host);
	assert_int_equal(config_uint(cfg, "cpus"), 8);
	assert_int_equal(config_uint(cfg, "memory.size"), (8 + 3) * 64 * MIB);
	assert_string_equal(config_text(cfg, "name"), "guest-77");
	config_free(cfg);
}

static void default_memory_is_at_most_80_percent(void **state)
{
	const struct host_facts small = {.online_cpus = 2, .ram_bytes = 256 * MIB},
				unknown = {.online_cpus = 2};
	struct config *cfg = TREE("cpus=2"), *other = TREE("cpus=2");

	resolve(cfg, &small);
	assert_int_equal(config_uint(cfg, "memory.size"), 204 * MIB);
	resolve(other, &unknown);
	assert_int_equal(config_uint(other, "memory.size"), 64 * MIB);
	config_free(cfg);
	config_free(other);
}

static void cpus_follow_from_the_topology(void **state)
{
	struct config *cfg = TREE("cores=2", "threads=2");

	resolve(cfg, &big_host);
	assert_int_equal(config_uint(cfg, "cpus"), 4);
	assert_int_equal(config_uint(cfg, "sockets"), 1);
	resolve(cfg, &big_host); /* as after loading a dump of it */
	config_free(cfg);
}

static void assert_refused(struct config *cfg, const char *sentence)
{
	struct error err = {0};

	assert_int_equal(resolve_config(cfg, &big_host, &err), -EINVAL);
	assert_string_equal(err.text, sentence);
	config_free(cfg);
}

static void topology_must_match(void **state)
{
	assert_refused(TREE("cpus=4", "cores=2"),
		       "Topology (4 sockets, 2 cores, 1 threads) does not match 4 vCPUs");
	assert_refused(TREE("cpus=4", "sockets=1"),
		       "Topology (1 sockets, 1 cores, 1 threads) does not match 4 vCPUs");
	assert_refused(TREE("cores=65535", "threads=2"),
		       "Computed number of vCPUs too high: 131070");
	assert_refused(TREE("sockets=65535", "cores=65535", "threads=65535"),
		       "Computed number of vCPUs too high: 281462092005375");
}

static void no_kernel_lists_the_places(void **state)
{
	char dir[] = "/tmp/bantam-test-XXXXXX", before[4096];
	struct config *cfg = TREE("cpus=1"), *off = TREE("kernel.search=false");
	struct error err = {0};

	assert_non_null(getcwd(before, sizeof(before)));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(resolve_kernel(cfg, &big_host, &err), -EINVAL);
	assert_string_equal(err.text, "Fatal: could not find default kernel image in: ./bzImage "
				      "arch/x86/boot/bzImage ../../arch/x86/boot/bzImage "
				      "/boot/vmlinuz-1.2.3-none /boot/bzImage-1.2.3-none; install "
				      "linux-image-cloud-amd64 or name one with --kernel FILE");
	assert_int_equal(mkdir("bzImage", 0700), 0); /* a folder does not count */
	assert_int_equal(resolve_kernel(cfg, &big_host, &err), -EINVAL);
	assert_int_equal(resolve_kernel(off, &big_host, &err), -EINVAL);
	assert_string_equal(err.text, "kernel.path is not set and kernel.search is off");

	assert_int_equal(rmdir("bzImage"), 0);

	/* Kernels of other releases: the newest, and no folder. */
	struct host_facts more = big_host;
	snprintf(more.kernels[0], sizeof(more.kernels[0]), "%s/none-*", dir);
	snprintf(more.kernels[1], sizeof(more.kernels[1]), "%s/vmlinuz-*", dir);
	close(open("vmlinuz-6.9", O_CREAT | O_WRONLY, 0600));
	close(open("vmlinuz-6.10", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(mkdir("vmlinuz-6.11", 0700), 0);
	assert_int_equal(resolve_kernel(cfg, &more, &err), 0);
	assert_string_equal(strrchr(config_text(cfg, "kernel.path"), '/'), "/vmlinuz-6.10");
	config_unset(cfg, "kernel.path");
	assert_int_equal(rmdir("vmlinuz-6.11"), 0);
	unlink("vmlinuz-6.9");
	unlink("vmlinuz-6.10");

	close(open("bzImage", O_CREAT | O_WRONLY, 0600));
	close(open("vmlinux", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(resolve_kernel(cfg, &big_host, &err), 0);
	assert_string_equal(config_text(cfg, "kernel.path"), "./bzImage");
	assert_false(config_is_set(cfg, "kernel.symbols")); /* it has no symbols */
	unlink("vmlinux");
	assert_int_equal(symlink("/proc/self/exe", "vmlinux"), 0); /* this has */
	assert_int_equal(resolve_kernel(cfg, &big_host, &err), 0);
	assert_string_equal(config_text(cfg, "kernel.symbols"), "vmlinux");
	unlink("bzImage");
	unlink("vmlinux");
	assert_int_equal(chdir(before), 0);
	rmdir(dir);
	config_free(cfg);
	config_free(off);
}

static void banner_is_a_command(void **state)
{
	struct config *cfg =
		TREE("kernel.path=/boot/my kernel's", "memory.size=1025K", "cpus=2", "name=a");
	struct buf out = {0};

	banner_compose(cfg, &out);
	assert_string_equal(buf_text(&out),
			    "  # bantam run -k '/boot/my kernel'\\''s' -m 1025K -c 2 --name a");
	buf_free(&out);
	config_free(cfg);
	cfg = TREE("kernel.path=/k", "memory.size=512M", "cpus=2", "name=a");
	banner_compose(cfg, &out);
	assert_string_equal(buf_text(&out), "  # bantam run -k /k -m 512 -c 2 --name a");
	buf_free(&out);
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_takes_the_hosts_cpus),
		cmocka_unit_test(default_memory_is_at_most_80_percent),
		cmocka_unit_test(cpus_follow_from_the_topology),
		cmocka_unit_test(topology_must_match),
		cmocka_unit_test(no_kernel_lists_the_places),
		cmocka_unit_test(banner_is_a_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
