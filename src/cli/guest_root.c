/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/guest_root.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "boot/initramfs/modules.h"
#include "boot/loader/image.h"
#include "boot/loader/kernel_version.h"
#include "config/config.h"
#include "machine/init_image.h"

#define HOST_TAG "hostfs"    /* the host's / */
#define ROOT_TAG "/dev/root" /* the folder that is the guest's own */

static int set(struct config *cfg, const char *group, unsigned i, const char *key,
	       const char *value, struct error *err)
{
	char name[CONFIG_NAME_MAX];

	snprintf(name, sizeof(name), "%s.%u.%s", group, i, key);
	return config_set(cfg, name, value, err);
}

static unsigned next_of(const struct config *cfg, const char *group)
{
	unsigned i = 0;

	while (config_next(cfg, group, &i))
		i++;
	return i;
}

/* ---- what the kernel can do ---- */

static bool has_module(const struct modules *m, const char *name)
{
	return modules_look_up(m, name) != MODULE_ABSENT;
}

int kernel_abilities_get(const struct config *cfg, struct kernel_abilities *out, struct error *err)
{
	char version[KERNEL_VERSION_MAX];
	struct error why = {0};
	struct image image;
	int rc = image_open(&image, "kernel", config_text(cfg, "kernel.path"), err);

	if (rc)
		return rc;
	*out = (struct kernel_abilities){
		.is_linux = !kernel_version(&image, version), .has_9p = true, .has_ports = true};
	struct modules *m = init_image_modules(cfg, &image, &why);
	image_close(&image);
	if (why.text[0])
		return error_set(err, -ENOENT, "%s", why.text);
	if (!m)
		return 0;
	out->has_modules = true;
	out->has_9p = has_module(m, "9p") && has_module(m, "9pnet_virtio");
	out->has_virtiofs = has_module(m, "virtiofs");
	out->has_ports = has_module(m, "virtio_console");
	modules_close(m);
	return 0;
}

/* ---- shares ---- */

static const char *share_type(const struct kernel_abilities *kernel, struct error *err)
{
	if (kernel->has_virtiofs)
		return "virtiofs";
	if (kernel->has_9p)
		return "9p";
	error_set(err, -EINVAL,
		  "this kernel has neither virtiofs nor 9p, so it cannot use the "
		  "host's files; give it a disk or an initrd");
	return NULL;
}

static int add_share(struct config *cfg, const char *type, const char *path, const char *tag,
		     bool is_read_only, struct error *err)
{
	unsigned i = next_of(cfg, "share");
	int rc = set(cfg, "share", i, "path", path, err);

	if (!rc)
		rc = set(cfg, "share", i, "tag", tag, err);
	if (!rc)
		rc = set(cfg, "share", i, "type", type, err);
	if (!rc && is_read_only)
		rc = set(cfg, "share", i, "readonly", "true", err);
	return rc;
}

/*
 * Whether nothing says what the guest shall boot from, so that it gets the host's /: no initrd, disk
 * or root share, no root= for the kernel, defaults not switched off. A folder given as root wins over
 * disks.
 */
static bool is_wanted(const struct config *cfg)
{
	const char *params = config_text(cfg, "kernel.params");

	if (config_is_set(cfg, "init.root.tag"))
		return false;
	if (config_is_set(cfg, "init.root.path") || config_is_set(cfg, "init.keep"))
		return true;
	return !config_bool(cfg, "nodefaults") && !(params && strstr(params, "root=")) &&
	       !config_is_set(cfg, "kernel.initrd") && !next_of(cfg, "disk");
}

/* Links of the folder lead to places in the guest, so they are not followed. */
static bool has_init(const char *folder)
{
	struct buf path = {0};
	struct stat st;

	buf_printf(&path, "%s/sbin/init", folder);
	bool is_there = !lstat(buf_text(&path), &st);
	buf_free(&path);
	return is_there;
}

/* A folder with a system of its own, which boots itself. */
static int set_own_root(struct config *cfg, const char *type, struct error *err)
{
	const char *folder = config_text(cfg, "init.root.path");
	bool is_ro = config_bool(cfg, "init.root.ro");
	int rc = add_share(cfg, type, folder, ROOT_TAG, is_ro, err);

	if (!rc && !config_is_set(cfg, "init.upper"))
		rc = config_set(cfg, "init.upper", "none", err);
	if (!rc && has_init(folder) && !config_is_set(cfg, "init.boot") &&
	    !config_is_set(cfg, "init.run"))
		rc = config_set(cfg, "init.boot", "/sbin/init", err);
	return rc ? rc : config_set(cfg, "init.root.tag", ROOT_TAG, err);
}

static int set_host_root(struct config *cfg, const struct kernel_abilities *kernel,
			 const char *type, struct error *err)
{
	const char *keep = config_text(cfg, "init.keep");
	int rc = add_share(cfg, type, "/", HOST_TAG, true, err);

	if (!rc)
		rc = config_set(cfg, "init.root.tag", HOST_TAG, err);
	if (rc || !keep)
		return rc;
	if (!kernel->has_virtiofs)
		return error_set(err, -EINVAL,
				 "changes can be kept in '%s' by virtiofs only, which this kernel "
				 "does not have",
				 keep);
	rc = add_share(cfg, "virtiofs", keep, ROOT_TAG, false, err);
	return rc ? rc : config_set(cfg, "init.upper", ROOT_TAG, err);
}

int guest_root_set(struct config *cfg, const struct kernel_abilities *kernel, struct error *err)
{
	const char *type = share_type(kernel, err);

	if (!type)
		return -EINVAL;
	int rc = config_is_set(cfg, "init.root.path") ? set_own_root(cfg, type, err)
						      : set_host_root(cfg, kernel, type, err);
	return rc ? rc : config_set(cfg, "init.root.type", type, err);
}

static bool has_card(const struct config *cfg)
{
	for (unsigned i = 0; config_next(cfg, "net", &i); i++)
		if (strcmp(config_text(cfg, "net.%u.mode", i), "none"))
			return true;
	return false;
}

int guest_root_resolve(struct config *cfg, struct error *err)
{
	struct kernel_abilities kernel;
	const char *term = getenv("TERM");

	if (!is_wanted(cfg))
		return 0;
	/* What is wrong with the kernel's file is said by those who load it. */
	if (kernel_abilities_get(cfg, &kernel, NULL) || !kernel.is_linux)
		return 0;
	bool is_asked_for = config_is_set(cfg, "init.root.path") || config_is_set(cfg, "init.keep");
	if (!is_asked_for && !share_type(&kernel, NULL)) {
		log_debug("the kernel has neither virtiofs nor 9p: no root file system");
		return 0;
	}
	int rc = guest_root_set(cfg, &kernel, err);
	if (!rc && has_card(cfg))
		rc = config_set(cfg, "init.dhcp", "true", err);
	if (!rc && term && *term && isatty(STDIN_FILENO))
		rc = config_set(cfg, "init.term", term, err);
	return rc;
}

int guest_root_add_folder(struct config *cfg, const struct kernel_abilities *kernel,
			  const char *folder, struct error *err)
{
	const char *type = share_type(kernel, err);
	unsigned i = next_of(cfg, "init.mount");
	char tag[32];
	struct stat st;

	if (!type)
		return -EINVAL;
	char *path = realpath(folder, NULL);
	if (!path)
		return error_set_errno(err, -errno, "folder '%s'", folder);
	int rc = stat(path, &st) ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	if (rc) {
		error_set_errno(err, rc, "folder '%s'", folder);
		goto out;
	}
	snprintf(tag, sizeof(tag), "folder%u", i);
	rc = add_share(cfg, type, path, tag, false, err);
	if (!rc)
		rc = set(cfg, "init.mount", i, "tag", tag, err);
	if (!rc)
		rc = set(cfg, "init.mount", i, "type", type, err);
	if (!rc)
		rc = set(cfg, "init.mount", i, "path", path, err);
out:
	free(path);
	return rc;
}
