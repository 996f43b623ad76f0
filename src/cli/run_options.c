/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/run_options.h"

#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/exit_codes.h"
#include "cli/foreign_words.h"
#include "cli/options_disk.h"
#include "cli/options_net.h"
#include "cli/options_root.h"
#include "cli/options_share.h"
#include "config/config.h"

static int set(struct config *cfg, const char *key, const char *value, struct error *err)
{
	return config_set(cfg, key, value, err) ? EXIT_CONFIG : 0;
}

/* ---- values with a grammar of their own ---- */

int run_set_memory(struct config *cfg, const char *text, struct error *err)
{
	const char *rest = text;
	char canonical[32];
	uint64_t bytes;
	int rc = parse_size(text, MIB, &bytes, &rest);

	if (rc == -ERANGE)
		return error_set(err, EXIT_USAGE, "Memory too large: %s", text);
	if (rc || *rest)
		return error_set(err, EXIT_USAGE, "Invalid memory specifier: %s", text);
	if (!bytes)
		return error_set(err, EXIT_USAGE, "Invalid RAM size: %s", text);
	format_size(bytes, canonical, sizeof(canonical));
	return set(cfg, "memory.size", canonical, err);
}

static const char *const topology_keys[] = {"cpus", "sockets", "cores", "threads"};

/* One setting of the list; whole is the list, for the message. */
static int set_topology_item(struct config *cfg, const char *item, const char *whole,
			     struct error *err)
{
	const char *equals = strchr(item, '=');

	if (!equals && !strcmp(item, "0")) { /* kvmtool: as many as the host has */
		config_unset(cfg, "cpus");
		return 0;
	}
	if (!equals)
		return set(cfg, "cpus", item, err);
	for (unsigned i = 0; i < ARRAY_SIZE(topology_keys); i++) {
		const char *key = topology_keys[i];

		if (strlen(key) == (size_t)(equals - item) && !strncmp(item, key, strlen(key)))
			return set(cfg, key, equals + 1, err);
	}
	return error_set(err, EXIT_USAGE, "invalid cpu topology '%s'", whole);
}

int run_set_topology(struct config *cfg, const char *text, struct error *err)
{
	if (!*text) {
		for (unsigned i = 0; i < ARRAY_SIZE(topology_keys); i++)
			set(cfg, topology_keys[i], "1", NULL);
		return 0;
	}
	char *copy = mem_strdup(text), *rest = copy, *item;
	int rc = 0;

	while (!rc && (item = strsep(&rest, ",")) != NULL)
		rc = set_topology_item(cfg, item, text, err);
	free(copy);
	return rc;
}

/* Reads "VCPU:HOSTCPU". Returns 0 or -EINVAL. */
static int read_pin(const char *text, unsigned long *vcpu, unsigned long *host, struct error *err)
{
	char *end;

	errno = 0;
	*vcpu = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end != ':' || !isdigit((unsigned char)end[1]))
		return error_set(err, -EINVAL, "invalid format: %s", text);
	if (errno || *vcpu > CONFIG_INDEX_MAX)
		return error_set(err, -EINVAL, "invalid vcpu '%.*s'", (int)(end - text), text);
	const char *second = end + 1;
	*host = strtoul(second, &end, 10);
	if (*end)
		return error_set(err, -EINVAL, "invalid format: %s", text);
	if (errno || *host >= CPU_SETSIZE)
		return error_set(err, -EINVAL, "hostcpu '%s' outside valid range from 0 to %d",
				 second, CPU_SETSIZE - 1);
	return 0;
}

int run_add_pin(struct config *cfg, const char *text, struct error *err)
{
	unsigned long vcpu = 0, host = 0;
	char name[CONFIG_NAME_MAX];
	struct buf set_text = {0};

	if (read_pin(text, &vcpu, &host, err)) {
		error_prefix(err, "invalid vcpu pinning configuration '%s'", text);
		return EXIT_USAGE;
	}
	snprintf(name, sizeof(name), "vcpu.%lu.cpuset", vcpu);
	const char *already = config_text(cfg, "%s", name);
	if (already)
		buf_printf(&set_text, "%s,", already);
	buf_printf(&set_text, "%lu", host);
	int rc = set(cfg, name, buf_text(&set_text), err);
	buf_free(&set_text);
	return rc;
}

/* ---- what the rows of the table do ---- */

static struct config *cfg_of(void *ctx)
{
	return ((struct run_request *)ctx)->cfg;
}

static int apply_key(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	return set(cfg_of(ctx), row->key, value, err);
}

static int apply_flag(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	return set(cfg_of(ctx), row->key, row->text, err);
}

static int apply_memory(void *ctx, const struct option_row *row, const char *value,
			struct error *err)
{
	return run_set_memory(cfg_of(ctx), value, err);
}

static int apply_topology(void *ctx, const struct option_row *row, const char *value,
			  struct error *err)
{
	return run_set_topology(cfg_of(ctx), value, err);
}

static int apply_pin(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	return run_add_pin(cfg_of(ctx), value, err);
}

static int apply_9p(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	return run_add_9p(cfg_of(ctx), value, err);
}

static int apply_share(void *ctx, const struct option_row *row, const char *value,
		       struct error *err)
{
	return run_add_share(cfg_of(ctx), value, err);
}

static int apply_kernel(void *ctx, const struct option_row *row, const char *value,
			struct error *err)
{
	((struct run_request *)ctx)->has_kernel = true;
	return set(cfg_of(ctx), "kernel.path", value, err);
}

/* An empty value takes back what a file or an earlier option gave. */
static int apply_params(void *ctx, const struct option_row *row, const char *value,
			struct error *err)
{
	if (*value)
		return set(cfg_of(ctx), "kernel.params", value, err);
	config_unset(cfg_of(ctx), "kernel.params");
	return 0;
}

/* The word may go on after the name, as in kvmtool: "serial0" is the serial console. */
static int apply_console(void *ctx, const struct option_row *row, const char *value,
			 struct error *err)
{
	if (!strncmp(value, "serial", 6))
		return set(cfg_of(ctx), "console", "serial", err);
	if (!strncmp(value, "virtio", 6) || !strncmp(value, "hv", 2))
		return set(cfg_of(ctx), "console", "virtio", err);
	log_warn("No console!");
	return set(cfg_of(ctx), "console", "none", err);
}

/* A new pseudo-terminal for one of kvmtool's four terminals. */
static int apply_tty(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	char name[CONFIG_NAME_MAX];
	uint64_t number;

	if (parse_u64(value, &number) || number > 3)
		return error_set(err, EXIT_USAGE, "Invalid terminal '%s': there are 0 to 3", value);
	snprintf(name, sizeof(name), "tty.%u", (unsigned)number);
	return set(cfg_of(ctx), name, "pts", err);
}

/*
 * "N=CHANNEL" for one of the serial ports or consoles, "CHANNEL" for all without one of their own.
 * row->text is the group of keys.
 */
static int apply_channel(void *ctx, const struct option_row *row, const char *value,
			 struct error *err)
{
	char name[CONFIG_NAME_MAX];
	char *end;
	unsigned long number = strtoul(value, &end, 10);

	if (!isdigit((unsigned char)*value) || *end != '=') {
		snprintf(name, sizeof(name), "%s.channel", row->text);
		return set(cfg_of(ctx), name, value, err);
	}
	if (number > CONFIG_INDEX_MAX)
		return error_set(err, EXIT_USAGE, "Invalid number in '%s'", value);
	snprintf(name, sizeof(name), "%s.%lu.channel", row->text, number);
	return set(cfg_of(ctx), name, end + 1, err);
}

/* "CID[,PATH|,vhost]" */
static int apply_vsock(void *ctx, const struct option_row *row, const char *value,
		       struct error *err)
{
	const char *comma = strchr(value, ',');
	char *cid = mem_strdup(value);

	if (comma)
		cid[comma - value] = '\0';
	int rc = set(cfg_of(ctx), "vsock.cid", cid, err);
	free(cid);
	if (rc || !comma)
		return rc;
	bool is_vhost = !strcmp(comma + 1, "vhost");
	return set(cfg_of(ctx), is_vhost ? "vsock.vhost" : "vsock.path",
		   is_vhost ? "true" : comma + 1, err);
}

/* "NAME=CHANNEL" is the next port that is not configured yet. */
static int apply_port(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	const char *equals = strchr(value, '=');
	char key[CONFIG_NAME_MAX];
	unsigned next = 0;

	if (!equals || equals == value)
		return error_set(err, EXIT_USAGE, "Invalid port '%s': NAME=CHANNEL is wanted",
				 value);
	for (unsigned i = 0; config_next(cfg_of(ctx), "port", &i); i++)
		next = i + 1;
	char *name = mem_strdup(value);
	name[equals - value] = '\0';
	snprintf(key, sizeof(key), "port.%u.name", next);
	int rc = set(cfg_of(ctx), key, name, err);
	free(name);
	if (rc)
		return rc;
	snprintf(key, sizeof(key), "port.%u.channel", next);
	return set(cfg_of(ctx), key, equals + 1, err);
}

static int apply_disk(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	bool is_root;

	if (!strncmp(value, "scsi:", 5)) /* kvmtool's word for a target of vhost-scsi */
		return error_set(
			err, EXIT_USAGE,
			"disk '%s': vhost-scsi is not offered; a disk is an image or a block "
			"device",
			value);
	int rc = root_option_take(cfg_of(ctx), value, &is_root, err);

	return rc || is_root ? rc : disk_option_add(cfg_of(ctx), value, err);
}

static int apply_script(void *ctx, const struct option_row *row, const char *value,
			struct error *err)
{
	return root_option_script(cfg_of(ctx), value, err);
}

static int apply_network(void *ctx, const struct option_row *row, const char *value,
			 struct error *err)
{
	return net_option_add(cfg_of(ctx), value, err);
}

static int apply_networking(void *ctx, const struct option_row *row, const char *value,
			    struct error *err)
{
	return net_option_mode(cfg_of(ctx), value, err);
}

static int apply_publish(void *ctx, const struct option_row *row, const char *value,
			 struct error *err)
{
	return net_option_publish(cfg_of(ctx), value, err);
}

static int apply_config(void *ctx, const struct option_row *row, const char *value,
			struct error *err)
{
	return config_load(cfg_of(ctx), value, err) ? EXIT_CONFIG : 0;
}

/* What is no name=value at all is a mistake of the command line, a wrong value one of the VM. */
static int apply_option(void *ctx, const struct option_row *row, const char *value,
			struct error *err)
{
	const char *equals = strchr(value, '=');

	if (!config_set_option(cfg_of(ctx), value, err))
		return 0;
	return equals && equals != value && equals[1] ? EXIT_CONFIG : EXIT_USAGE;
}

static int apply_dump(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	((struct run_request *)ctx)->wants_dump = true;
	return 0;
}

static int apply_help(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	((struct run_request *)ctx)->wants_help = true;
	return 0;
}

static int take_word(void *ctx, const char *word, struct error *err)
{
	struct run_request *r = ctx;

	if (!r->has_disk_word && disk_option_is_image(word)) {
		r->has_disk_word = true;
		return disk_option_prepend(r->cfg, word, err);
	}
	if (r->has_kernel)
		return error_set(err, EXIT_USAGE, "Cannot handle parameter: %s", word);
	return apply_kernel(ctx, NULL, word, err);
}

static const struct option_row rows[] = {
	{.letter = 'k',
	 .name = "kernel",
	 .arg = "FILE",
	 .key = "kernel.path",
	 .apply = apply_kernel,
	 .help = "kernel image; the word without a dash means the same"},
	{.letter = 'i',
	 .name = "initrd",
	 .arg = "FILE",
	 .key = "kernel.initrd",
	 .apply = apply_key,
	 .help = "initial RAM disk"},
	{.letter = 'p',
	 .name = "params",
	 .arg = "TEXT",
	 .key = "kernel.params",
	 .apply = apply_params,
	 .help = "appended to the kernel's command line"},
	{.letter = 'c',
	 .name = "cpus",
	 .arg = "N[,sockets=N][,cores=N][,threads=N]",
	 .key = "cpus",
	 .apply = apply_topology,
	 .help = "virtual CPUs and their topology; 0: as many as the host has online"},
	{.letter = 'm',
	 .name = "mem",
	 .arg = "SIZE[BKMGTP]",
	 .key = "memory.size",
	 .apply = apply_memory,
	 .help = "guest memory, in megabytes without a letter"},
	{.name = "name",
	 .arg = "NAME",
	 .key = "name",
	 .apply = apply_key,
	 .help = "name of the VM"},
	{.name = "accel",
	 .arg = "LIST",
	 .key = "accel",
	 .apply = apply_key,
	 .help = "accelerators to try in order: kvm, soft (or tcg), separated by colons"},
	{.name = "dev",
	 .arg = "FILE",
	 .key = "kvm.device",
	 .apply = apply_key,
	 .help = "device node of KVM"},
	{.name = "pin",
	 .arg = "VCPU:HOSTCPU",
	 .key = "vcpu.N.cpuset",
	 .apply = apply_pin,
	 .help = "add a host CPU to those a virtual CPU may run on; may be repeated"},
	{.name = "console",
	 .arg = "serial|virtio",
	 .key = "console",
	 .apply = apply_console,
	 .help = "guest device that stdin and stdout are connected to"},
	{.name = "share",
	 .arg = "DIR,TAG[,ro][,type=T][,map=M][,cache=C]",
	 .key = "share.N.path",
	 .apply = apply_share,
	 .help = "let the guest mount a directory: type virtiofs or 9p; map none, squash or "
		 "mapped; cache none, auto or always; may be repeated"},
	{.name = "9p",
	 .arg = "DIR[,TAG]",
	 .key = "share.N.path",
	 .apply = apply_9p,
	 .help = "let the guest mount a directory over 9P; may be repeated"},
	{.name = "rng",
	 .key = "rng.enabled",
	 .text = "true",
	 .apply = apply_flag,
	 .help = "give the guest a random number generator"},
	{.name = "serial",
	 .arg = "[N=]CHANNEL",
	 .key = "serial.N.channel",
	 .text = "serial",
	 .apply = apply_channel,
	 .help = "what serial port N, or every one without a channel of its own, is connected to: "
		 "stdio, fd:N, pts, tty:PATH, port:[ADDR:]N, unix:PATH, file:PATH, null, none, or "
		 "IN,OUT"},
	{.name = "con",
	 .arg = "[N=]CHANNEL",
	 .key = "console.N.channel",
	 .text = "console",
	 .apply = apply_channel,
	 .help = "the same for virtio console N, hvcN in the guest"},
	{.name = "port",
	 .arg = "NAME=CHANNEL",
	 .key = "port.N.channel",
	 .apply = apply_port,
	 .help = "a byte stream of the guest, /dev/virtio-ports/NAME there, and what it is "
		 "connected to; may be repeated"},
	{.name = "balloon",
	 .key = "balloon.enabled",
	 .text = "true",
	 .apply = apply_flag,
	 .help = "give the guest a memory balloon; free memory of the guest goes back to the host"},
	{.name = "vsock",
	 .arg = "CID[,PATH|,vhost]",
	 .key = "vsock.cid",
	 .apply = apply_vsock,
	 .help = "a virtio socket device; the host reaches the guest through the Unix socket PATH, "
		 "and the guest port N of the host at PATH_N; vhost: by the host kernel's "
		 "AF_VSOCK"},
	{.name = "tty",
	 .arg = "N",
	 .key = "tty.N",
	 .apply = apply_tty,
	 .help = "connect terminal N, serial port N or the virtio console, to a new "
		 "pseudo-terminal"},
	{.letter = 'd',
	 .name = "disk",
	 .arg = "FILE[,ro][,direct][,size=SIZE]...",
	 .key = "disk.N.path",
	 .apply = apply_disk,
	 .help = "add a disk; also format=, serial=, queues=, aio=, backing=, backing-format=. A "
		 "folder, or a name of 'bantam setup', is the guest's root instead"},
	{.name = "sandbox",
	 .arg = "SCRIPT",
	 .key = "init.run",
	 .apply = apply_script,
	 .help = "run this program of the host in the guest instead of a shell, then end; see "
		 "also 'bantam sandbox'"},
	{.letter = 'n',
	 .name = "network",
	 .arg = "[MODE|KEY=VALUE,...]",
	 .arg_is_optional = true,
	 .apply = apply_network,
	 .help = "add a network card; mode: user, tap (when none is given), bridge, socket, mcast "
		 "or "
		 "none; keys as net.N.KEY has them, or kvmtool's names"},
	{.name = "networking",
	 .arg = "MODE[,NAME]",
	 .apply = apply_networking,
	 .help = "add a network card: user (also default), tap,NAME, bridge,NAME or none"},
	{.name = "publish",
	 .arg = "[ADDR:]HOST:GUEST[/PROTO]",
	 .apply = apply_publish,
	 .help = "a port of the host, of its loopback addresses unless ADDR is given, leads to a "
		 "port of the guest; tcp or udp; ranges A-B; may be repeated"},
	{.name = "no-dhcp",
	 .key = "init.dhcp",
	 .text = "false",
	 .apply = apply_flag,
	 .help = "bantam's own init in the guest does not ask for addresses"},
	{.name = "nodefaults",
	 .key = "nodefaults",
	 .text = "true",
	 .apply = apply_flag,
	 .help = "the kernel's command line is that of --params and nothing else"},
	{.name = "no-reboot",
	 .key = "reboot",
	 .text = "false",
	 .apply = apply_flag,
	 .help = "end with status 2 when the guest reboots, instead of starting again"},
	{.name = "config",
	 .arg = "FILE",
	 .apply = apply_config,
	 .help = "read keys from a file, one key=value per line"},
	{.letter = 'o',
	 .arg = "KEY=VALUE",
	 .apply = apply_option,
	 .help = "set a key; later options and files win over earlier ones"},
	{.name = "dump-config",
	 .apply = apply_dump,
	 .help = "print the configuration as a file for --config and end"},
	{.letter = 'v',
	 .name = "debug",
	 .key = "log.level",
	 .text = "debug",
	 .apply = apply_flag,
	 .help = "say more on stderr"},
	{.name = "debug-single-step",
	 .key = "debug.singlestep",
	 .text = "true",
	 .apply = apply_flag,
	 .help = "print the registers after each guest instruction"},
	{.name = "debug-ioport",
	 .key = "debug.ioport",
	 .text = "true",
	 .apply = apply_flag,
	 .help = "log every port access"},
	{.name = "stats",
	 .key = "stats",
	 .text = "true",
	 .apply = apply_flag,
	 .help = "print counters at the end"},
	{.name = "trace",
	 .arg = "FILE",
	 .key = "trace.file",
	 .apply = apply_key,
	 .help = "write every executed block of guest code to FILE; blocks are not joined then, "
		 "which is slow"},
	{.name = "debug-iodelay",
	 .arg = "MS",
	 .key = "debug.iodelay",
	 .apply = apply_key,
	 .help = "delay each request to a disk by milliseconds"},
	{.name = "debug-mmio",
	 .key = "debug.mmio",
	 .text = "true",
	 .apply = apply_flag,
	 .help = "log every access to memory-mapped registers"},
	{.letter = 'h', .name = "help", .apply = apply_help, .help = "print this"},
};

const struct option_table run_option_table = {.rows = rows,
					      .nr = ARRAY_SIZE(rows),
					      .foreign = foreign_words,
					      .nr_foreign = FOREIGN_SYSTEMS,
					      .bare = take_word};
