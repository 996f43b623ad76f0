/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/init_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "boot/initramfs/initramfs.h"
#include "boot/initramfs/modules.h"
#include "boot/initramfs/protocol.h"
#include "boot/loader/image.h"
#include "boot/loader/kernel_version.h"
#include "config/config.h"

enum session { SESSION_NONE, SESSION_SERIAL, SESSION_VIRTIO };

bool init_image_is_wanted(const struct config *cfg)
{
	return config_is_set(cfg, "init.root.tag");
}

struct modules *init_image_modules(const struct config *cfg, const struct image *kernel,
				   struct error *err)
{
	const char *given = config_text(cfg, "init.modules.path");
	char version[KERNEL_VERSION_MAX];

	if (given)
		return modules_open(given, err);
	if (kernel_version(kernel, version))
		return NULL;
	char *folder = modules_find_folder(kernel->path, version);
	if (!folder) {
		log_debug("no modules of kernel %s are installed", version);
		return NULL;
	}
	struct error unused;
	struct modules *m = modules_open(folder, &unused);
	free(folder);
	return m;
}

/* ---- modules ---- */

static bool has_group(const struct config *cfg, const char *group)
{
	unsigned first = 0;

	return config_next(cfg, group, &first);
}

static bool has_card(const struct config *cfg)
{
	for (unsigned i = 0; config_next(cfg, "net", &i); i++)
		if (strcmp(config_text(cfg, "net.%u.mode", i), "none"))
			return true;
	return false;
}

/*
 * A kernel that lacks a driver may have it built in without saying so (modules.builtin is missing),
 * so only what the system cannot be started without has to be there.
 */
static int want_modules(const struct config *cfg, struct modules *m, struct error *err)
{
	const char *root = config_text(cfg, "init.root.type");
	bool is_pci = !strcmp(config_text(cfg, "virtio.transport"), "pci");
	bool has_overlay = strcmp(config_text(cfg, "init.upper"), "none");
	bool is_kept = has_overlay && strcmp(config_text(cfg, "init.upper"), "memory");
	bool has_9p = !strcmp(root, "9p"), has_virtiofs = !has_9p || is_kept;
	bool has_port = config_enum(cfg, "init.session") == SESSION_VIRTIO ||
			!strcmp(config_text(cfg, "console"), "virtio");

	for (unsigned i = 0; config_next(cfg, "init.mount", &i); i++) {
		bool is_9p = !strcmp(config_text(cfg, "init.mount.%u.type", i), "9p");

		has_9p |= is_9p;
		has_virtiofs |= !is_9p;
	}
	const struct {
		const char *name;
		bool is_wanted, is_optional;
	} table[] = {
		{is_pci ? "virtio_pci" : "virtio_mmio", true, false},
		{"virtio_console", has_port, false},
		{"9p", has_9p, false},
		{"9pnet_virtio", has_9p, false},
		{"virtiofs", has_virtiofs, false},
		{"overlay", has_overlay, false},
		{"virtio_net", has_card(cfg), false},
		{"virtio_blk", has_group(cfg, "disk"), true},
		{"virtio_rng", config_bool(cfg, "rng.enabled"), true},
		{"ptp_kvm", true, true}, /* the host's time, for system_set_clock() of the init */
	};
	int rc = 0;
	for (unsigned i = 0; !rc && i < ARRAY_SIZE(table); i++) {
		if (table[i].is_wanted)
			rc = modules_want(m, table[i].name, table[i].is_optional, err);
	}
	const char *more = config_text(cfg, "init.modules.load");
	char *copy = mem_strdup(more ? more : ""), *rest = copy, *name;
	while (!rc && (name = strsep(&rest, ",")) != NULL)
		rc = *name ? modules_want(m, name, false, err) : 0;
	free(copy);
	return rc;
}

/* ---- records ---- */

static void add_window(struct buf *records)
{
	struct winsize size;
	char rows[8], columns[8];

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		return;
	snprintf(rows, sizeof(rows), "%u", size.ws_row);
	snprintf(columns, sizeof(columns), "%u", size.ws_col);
	initramfs_record(records, "window", rows, columns, NULL);
}

static void add_environment(struct buf *records, const char *name, const char *value)
{
	struct buf text = {0};

	buf_printf(&text, "%s=%s", name, value);
	initramfs_record(records, "env", buf_text(&text), NULL);
	buf_free(&text);
}

static void add_console(const struct config *cfg, struct buf *records)
{
	const char *console = config_text(cfg, "console");

	if (strcmp(console, "none"))
		initramfs_record(records, "console",
				 strcmp(console, "serial") ? "/dev/hvc0" : "/dev/ttyS0", NULL);
	add_window(records);
	add_environment(records, "TERM", config_text(cfg, "init.term"));
}

static void add_shares(const struct config *cfg, struct buf *records)
{
	const char *upper = config_text(cfg, "init.upper");

	initramfs_record(records, "root", config_text(cfg, "init.root.type"),
			 config_text(cfg, "init.root.tag"),
			 config_bool(cfg, "init.root.ro") ? "ro" : "rw", NULL);
	if (!strcmp(upper, "memory"))
		initramfs_record(records, "upper", "memory", NULL);
	else if (strcmp(upper, "none"))
		initramfs_record(records, "upper", "virtiofs", upper, NULL);
	for (unsigned i = 0; config_next(cfg, "init.mount", &i); i++)
		initramfs_record(records, "mount", config_text(cfg, "init.mount.%u.type", i),
				 config_text(cfg, "init.mount.%u.tag", i),
				 config_text(cfg, "init.mount.%u.path", i),
				 config_bool(cfg, "init.mount.%u.ro", i) ? "ro" : "rw", NULL);
}

static void add_records(const struct config *cfg, struct buf *records)
{
	static const char *const channels[] = {
		[SESSION_SERIAL] = CHANNEL_TTY, [SESSION_VIRTIO] = CHANNEL_NAME};
	unsigned session = config_enum(cfg, "init.session");

	if (*config_text(cfg, "name"))
		initramfs_record(records, "hostname", config_text(cfg, "name"), NULL);
	add_shares(cfg, records);
	if (config_bool(cfg, "init.dhcp"))
		initramfs_record(records, "dhcp", NULL);
	if (session)
		initramfs_record(records, "channel", channels[session], NULL);
	add_console(cfg, records);
	if (config_is_set(cfg, "init.run"))
		initramfs_record(records, "run", config_text(cfg, "init.run"), NULL);
	if (config_is_set(cfg, "init.boot"))
		initramfs_record(records, "boot", config_text(cfg, "init.boot"), NULL);
}

int init_image_build(const struct config *cfg, const struct image *kernel, struct buf *out,
		     struct error *err)
{
	struct error why = {0};
	struct modules *modules = init_image_modules(cfg, kernel, &why);
	struct buf records = {0};
	int rc = 0;

	if (!modules && why.text[0])
		return error_set(err, -ENOENT, "%s", why.text);
	if (modules)
		rc = want_modules(cfg, modules, err);
	if (!rc) {
		add_records(cfg, &records);
		initramfs_build(out, modules, &records);
	}
	buf_free(&records);
	modules_close(modules);
	return rc;
}
