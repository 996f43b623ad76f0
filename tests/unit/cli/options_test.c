/* SPDX-License-Identifier: BSD-2-Clause */
/* From `bantam run` arguments to configuration keys, and what is said when they are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/exit_codes.h"
#include "cli/run_options.h"
#include "config/config.h"
#include "machine/keys.h"

#define ARGS_MAX 16

static struct config *new_tree(void)
{
	struct config *cfg = config_new();

	machine_register_keys(cfg);
	return cfg;
}

/* Splits line at single blanks; a lone '~' stands for an empty word. */
static int parse(struct run_request *r, const char *line, struct error *err)
{
	char *copy = mem_strdup(line), *rest = copy, *word, *argv[ARGS_MAX];
	int argc = 0;

	while (*line && (word = strsep(&rest, " ")) != NULL) {
		assert_true(argc < ARGS_MAX);
		argv[argc++] = strcmp(word, "~") ? word : word + 1;
	}
	int rc = options_parse(&run_option_table, argc, argv, r, err);
	free(copy);
	return rc;
}

static void assert_dump(const char *line, const char *dump)
{
	struct run_request r = {.cfg = new_tree()};
	struct error err = {0};
	struct buf out = {0};

	if (parse(&r, line, &err))
		fail_msg("%s: %s", line, err.text);
	config_dump(r.cfg, &out);
	assert_string_equal(buf_text(&out), dump);
	buf_free(&out);
	config_free(r.cfg);
}

static void assert_refused(const char *line, int code, const char *sentence)
{
	struct run_request r = {.cfg = new_tree()};
	struct error err = {0};

	assert_int_equal(parse(&r, line, &err), code);
	assert_string_equal(err.text, sentence);
	config_free(r.cfg);
}

static void values_may_be_attached_or_follow(void **state)
{
	assert_dump("--mem 512 --name=a=b", "name=a=b\nmemory.size=512M\n");
	assert_dump("-m512 -c 3", "cpus=3\nmemory.size=512M\n");
	assert_dump("-vm 1G", "memory.size=1G\nlog.level=debug\n");
	assert_dump("-p quiet --params=", "");
	assert_dump("-p -x", "kernel.params=-x\n");
}

static void every_simple_option_writes_its_key(void **state)
{
	assert_dump("-k /k -i /i --name n --accel soft --dev /d --nodefaults --no-reboot "
		    "--debug-single-step --debug-ioport --debug-mmio",
		    "name=n\naccel=soft\nkvm.device=/d\nkernel.path=/k\nkernel.initrd=/i\n"
		    "nodefaults=true\nreboot=false\ndebug.singlestep=true\ndebug.ioport=true\n"
		    "debug.mmio=true\n");
}

static void a_bare_word_is_the_kernel(void **state)
{
	assert_dump("-m 64M bzImage --debug",
		    "memory.size=64M\nkernel.path=bzImage\nlog.level=debug\n");
	assert_dump("-- -odd", "kernel.path=-odd\n");
	assert_dump("-", "kernel.path=-\n");
	assert_refused("a b", EXIT_USAGE, "Cannot handle parameter: b");
	assert_refused("-k a b", EXIT_USAGE, "Cannot handle parameter: b");
	assert_dump("-o kernel.path=a b", "kernel.path=b\n");
}

static void memory_sizes(void **state)
{
	assert_dump("-m 320", "memory.size=320M\n");
	assert_dump("-m 1048576b", "memory.size=1M\n");
	assert_dump("-m 1025k", "memory.size=1025K\n");
	assert_dump("-m 1t", "memory.size=1T\n");
	assert_refused("-m x", EXIT_USAGE, "Invalid memory specifier: x");
	assert_refused("-m ~", EXIT_USAGE, "Invalid memory specifier: ");
	assert_refused("-m -1", EXIT_USAGE, "Invalid memory specifier: -1");
	assert_refused("-m 64MB", EXIT_USAGE, "Invalid memory specifier: 64MB");
	assert_refused("-m 64M@1G", EXIT_USAGE, "Invalid memory specifier: 64M@1G");
	assert_refused("-m 0", EXIT_USAGE, "Invalid RAM size: 0");
	assert_refused("-m 0G", EXIT_USAGE, "Invalid RAM size: 0G");
	assert_refused("-m 18446744073709551616B", EXIT_USAGE,
		       "Memory too large: 18446744073709551616B");
	assert_refused("-m 17592186044416", EXIT_USAGE, "Memory too large: 17592186044416");
	assert_refused("-m 16384P", EXIT_USAGE, "Memory too large: 16384P");
	assert_refused("-m 16383P", EXIT_CONFIG,
		       "Invalid value for memory.size: '16383P' (must be a size from 1M to 1T)");
	assert_refused("-m 4K", EXIT_CONFIG,
		       "Invalid value for memory.size: '4K' (must be a size from 1M to 1T)");
}

static void topologies(void **state)
{
	assert_dump("-c 4", "cpus=4\n");
	assert_dump("-c cpus=4,sockets=1,cores=2,threads=2",
		    "cpus=4\nsockets=1\ncores=2\nthreads=2\n");
	assert_dump("-c 8,threads=0x2,cpus=4", "cpus=4\nthreads=2\n");
	assert_dump("-c 2 -c 0", "");
	assert_dump("-c ~", "cpus=1\nsockets=1\ncores=1\nthreads=1\n");
	assert_refused("-c dies=2", EXIT_USAGE, "invalid cpu topology 'dies=2'");
	assert_refused("-c 2,=2", EXIT_USAGE, "invalid cpu topology '2,=2'");
	assert_refused("-c two", EXIT_CONFIG, "Invalid value for cpus: 'two' (must be 1 to 65535)");
	assert_refused("-c cpus=0", EXIT_CONFIG,
		       "Invalid value for cpus: '0' (must be 1 to 65535)");
	assert_refused("-c cores=65536", EXIT_CONFIG,
		       "Invalid value for cores: '65536' (must be 1 to 65535)");
	assert_refused("-c threads=", EXIT_CONFIG, "the value of threads is empty");
}

static void pins_add_up(void **state)
{
	char sentence[160];

	assert_dump("--pin 0:1 --pin 1:0 --pin 0:3", "vcpu.0.cpuset=1,3\nvcpu.1.cpuset=0\n");
	assert_refused("--pin 0", EXIT_USAGE,
		       "invalid vcpu pinning configuration '0': invalid format: 0");
	assert_refused("--pin 0:1x", EXIT_USAGE,
		       "invalid vcpu pinning configuration '0:1x': invalid format: 0:1x");
	assert_refused("--pin :1", EXIT_USAGE,
		       "invalid vcpu pinning configuration ':1': invalid format: :1");
	assert_refused("--pin 65536:1", EXIT_USAGE,
		       "invalid vcpu pinning configuration '65536:1': invalid vcpu '65536'");
	snprintf(sentence, sizeof(sentence),
		 "invalid vcpu pinning configuration '0:9999': hostcpu '9999' outside valid range "
		 "from 0 to %d",
		 CPU_SETSIZE - 1);
	assert_refused("--pin 0:9999", EXIT_USAGE, sentence);
}

static void serial_ports_and_terminals_have_channels(void **state)
{
	assert_dump("--serial 1=unix:/a=b --serial pts --tty 2",
		    "serial.1.channel=unix:/a=b\nserial.channel=pts\ntty.2=pts\n");
	assert_dump("--vsock 3", "vsock.cid=3\n");
	assert_dump("--vsock 3,/run/v", "vsock.cid=3\nvsock.path=/run/v\n");
	assert_dump("--vsock 3,vhost", "vsock.cid=3\nvsock.vhost=true\n");
	assert_dump("--vsock 3,./vhost", "vsock.cid=3\nvsock.path=./vhost\n");
	assert_dump("--con 0=fd:0,fd:1 --con=pts",
		    "console.0.channel=fd:0,fd:1\nconsole.channel=pts\n");
	assert_dump("--port a=null --port=b.c=unix:/x=y",
		    "port.0.channel=null\nport.1.channel=unix:/x=y\nport.0.name=a\n"
		    "port.1.name=b.c\n");
	assert_refused("--port null", EXIT_USAGE, "Invalid port 'null': NAME=CHANNEL is wanted");
	assert_refused("--port =null", EXIT_USAGE, "Invalid port '=null': NAME=CHANNEL is wanted");
	assert_refused("--serial 99999=pts", EXIT_USAGE, "Invalid number in '99999=pts'");
	assert_refused("--tty 4", EXIT_USAGE, "Invalid terminal '4': there are 0 to 3");
	assert_refused("--tty x", EXIT_USAGE, "Invalid terminal 'x': there are 0 to 3");
}

static void consoles_match_by_their_beginning(void **state)
{
	assert_dump("--console serial8250", "console=serial\n");
	assert_dump("--console none", "console=none\n"); /* with the warning "No console!" */
	assert_dump("--console virtio", "console=virtio\n");
	assert_dump("--console hvc0", "console=virtio\n");
}

static void keys_by_option(void **state)
{
	assert_dump("-o name=a=b -oname=c", "name=c\n");
	assert_refused("-o name", EXIT_USAGE, "invalid configuration option 'name'");
	assert_refused("-o name=", EXIT_USAGE, "invalid configuration option 'name='");
	assert_refused("-o =x", EXIT_USAGE, "invalid configuration option '=x'");
	assert_refused("-o nmae=x", EXIT_CONFIG,
		       "unknown key 'nmae'; the nearest known one is 'name'");
}

static void options_and_files_apply_in_order(void **state)
{
	char path[] = "/tmp/bantam-test-XXXXXX", line[128];
	static const char text[] = "name=file\ncpus=2\n";
	int fd = mkstemp(path);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	snprintf(line, sizeof(line), "--name before -c 4 --config %s -o cpus=3", path);
	assert_dump(line, "name=file\ncpus=3\n");
	unlink(path);
	assert_refused("--config /nonexistent", EXIT_CONFIG,
		       "Failed to open configuration file /nonexistent: No such file or directory");
}

static void unknown_options_name_the_nearest(void **state)
{
	assert_refused("--memm=3", EXIT_USAGE,
		       "unknown option '--memm'; the nearest known one is '--mem'");
	assert_refused("--=3", EXIT_USAGE, "unknown option '--'; the nearest known one is '--9p'");
}

static void flags_and_values_are_told_apart(void **state)
{
	assert_refused("--mem", EXIT_USAGE, "option '--mem' needs a value: SIZE[BKMGTP]");
	assert_refused("-m", EXIT_USAGE, "option '-m' needs a value: SIZE[BKMGTP]");
	assert_refused("--nodefaults=1", EXIT_USAGE, "option '--nodefaults' takes no value");
	assert_refused("-z", EXIT_USAGE, "unknown option '-z'; see 'bantam help run'");
	assert_refused("-vz", EXIT_USAGE, "unknown option '-z'; see 'bantam help run'");
	assert_refused("-zzz", EXIT_USAGE,
		       "unknown option '-zzz'; the nearest known one is '--mem'");
}

static char *read_file(const char *path)
{
	struct buf text = {0};
	char chunk[4096];
	size_t n;
	FILE *f = fopen(path, "r");

	if (!f)
		fail_msg("%s is missing (tests run from the top of the tree)", path);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_append(&text, chunk, n);
	fclose(f);
	return buf_text(&text);
}

/* A name as roff spells it: dashes escaped. */
static void assert_in_manual(const char *manual, const char *before, const char *name)
{
	struct buf escaped = {0};

	buf_printf(&escaped, "%s", before);
	for (; *name; name++)
		buf_printf(&escaped, *name == '-' ? "\\-" : "%c", *name);
	if (!strstr(manual, buf_text(&escaped)))
		fail_msg("the manual lacks %s", buf_text(&escaped));
	buf_free(&escaped);
}

static void manual_has_every_option_key_and_status(void **state)
{
	char *manual = read_file("docs/bantam-run.1"), *keys = read_file("docs/bantam-config.5");
	struct config *cfg = new_tree();
	const struct config_key *key;
	char letter[3] = "-";

	for (unsigned i = 0; i < run_option_table.nr; i++) {
		const struct option_row *row = &run_option_table.rows[i];

		letter[1] = row->letter;
		if (row->letter)
			assert_in_manual(manual, "", letter);
		if (row->name)
			assert_in_manual(manual, "\\-\\-", row->name);
	}
	for (unsigned i = 0; (key = config_key_at(cfg, i)) != NULL; i++)
		assert_in_manual(keys, ".B ", key->name);
	for (const struct exit_text *t = exit_texts; t->meaning; t++) {
		char number[16];

		snprintf(number, sizeof(number), ".B %d\n", t->code);
		assert_in_manual(manual, "", number);
	}
	config_free(cfg);
	free(keys);
	free(manual);
}

static void network_cards_are_added_in_order(void **state)
{
	assert_dump("-n mode=user,guest_mac=02:00:00:00:00:01 -n none",
		    "net.0.mode=user\nnet.1.mode=none\nnet.0.mac=02:00:00:00:00:01\n");
	assert_dump("-n user,trans=virtio,mq=4,restrict=on,guest_ip=10.1.1.2",
		    "net.0.mode=user\nnet.0.queues=4\nnet.0.guest_ip=10.1.1.2\n"
		    "net.0.restrict=true\n");
	assert_dump("--networking default --networking none", "net.0.mode=user\nnet.1.mode=none\n");
	assert_dump("--networking ~", "net.0.mode=user\n");
	assert_refused(
		"-n mode=x", EXIT_USAGE,
		"Unknown network mode x, please use user, tap, bridge, socket, mcast or none");
	assert_refused("-n user,trans=e1000", EXIT_USAGE,
		       "Unknown network transport e1000, please use virtio");
	assert_refused("-n user,x=1", EXIT_USAGE, "Unknown network parameter x");
	assert_refused("-n user,mq=17", EXIT_CONFIG,
		       "Invalid value for net.0.queues: '17' (must be 1 to 16)");
	assert_refused("--networking tap,", EXIT_USAGE,
		       "Not enough arguments for \"tap\" networking mode");
	assert_refused("--networking wifi", EXIT_USAGE, "Invalid networking mode: wifi");
}

static void ports_are_published_one_after_another(void **state)
{
	assert_dump("--publish 80:8080 --publish [::1]:53:53/udp",
		    "publish=80:8080,[::1]:53:53/udp\n");
	assert_dump("-n user,publish=80:8080", "net.0.mode=user\npublish=80:8080\n");
	assert_refused("--publish 80:1 --publish 127.0.0.1:80:2", EXIT_USAGE,
		       "publish '127.0.0.1:80:2': '80:1/tcp' already takes that host port");
	assert_refused(
		"--publish x", EXIT_USAGE,
		"publish 'x': Unable to parse the ports to be published, should be in format "
		"<host>:<guest> or <host>:<guest>/<tcp|udp>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_may_be_attached_or_follow),
		cmocka_unit_test(every_simple_option_writes_its_key),
		cmocka_unit_test(a_bare_word_is_the_kernel),
		cmocka_unit_test(memory_sizes),
		cmocka_unit_test(topologies),
		cmocka_unit_test(pins_add_up),
		cmocka_unit_test(serial_ports_and_terminals_have_channels),
		cmocka_unit_test(consoles_match_by_their_beginning),
		cmocka_unit_test(keys_by_option),
		cmocka_unit_test(options_and_files_apply_in_order),
		cmocka_unit_test(unknown_options_name_the_nearest),
		cmocka_unit_test(flags_and_values_are_told_apart),
		cmocka_unit_test(manual_has_every_option_key_and_status),
		cmocka_unit_test(network_cards_are_added_in_order),
		cmocka_unit_test(ports_are_published_one_after_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
