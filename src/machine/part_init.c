/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bantam's own init (docs/guest-init.md): the keys that say what it does, checked here and carried
 * out by the initramfs that init_image.c builds. No device belongs to it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "machine/parts.h"

static const struct config_key keys[] = {
	{.name = "init.root.tag",
	 .type = CONFIG_STRING,
	 .help = "share the guest's system is on; set, bantam's own init starts it, from an "
		 "initramfs made for this kernel"},
	{.name = "init.root.path",
	 .type = CONFIG_PATH,
	 .help = "folder of the host that becomes that share when none is named; / when not "
		 "given"},
	{.name = "init.keep",
	 .type = CONFIG_PATH,
	 .help = "folder of the host that becomes the share of init.upper when none is named"},
	{.name = "init.root.ro",
	 .type = CONFIG_BOOL,
	 .fallback = "true",
	 .help = "mount the root share read-only"},
	{.name = "init.root.type",
	 .type = CONFIG_ENUM,
	 .choices = "9p virtiofs",
	 .fallback = "9p",
	 .help = "file system that share is"},
	{.name = "init.upper",
	 .type = CONFIG_STRING,
	 .fallback = "memory",
	 .help = "where the guest's changes to it go: memory, none (it is read-only), or the tag "
		 "of a "
		 "virtiofs share that keeps them"},
	{.name = "init.mount.N.tag", .type = CONFIG_STRING, .help = "share that the init mounts"},
	{.name = "init.mount.N.type",
	 .type = CONFIG_ENUM,
	 .choices = "9p virtiofs",
	 .fallback = "9p",
	 .help = "file system that share is"},
	{.name = "init.mount.N.path",
	 .type = CONFIG_PATH,
	 .help = "folder of the guest it is mounted on"},
	{.name = "init.mount.N.ro",
	 .type = CONFIG_BOOL,
	 .fallback = "false",
	 .help = "mount it read-only"},
	{.name = "init.dhcp",
	 .type = CONFIG_BOOL,
	 .fallback = "false",
	 .help = "the init asks for an address on every network card"},
	{.name = "init.run",
	 .type = CONFIG_PATH,
	 .help = "program of the guest that runs on the console instead of a shell"},
	{.name = "init.boot",
	 .type = CONFIG_PATH,
	 .help = "init of the guest's own system, which takes over"},
	{.name = "init.term",
	 .type = CONFIG_STRING,
	 .fallback = "linux",
	 .help = "kind of the terminal behind the console"},
	{.name = "init.session",
	 .type = CONFIG_ENUM,
	 .choices = "none serial virtio",
	 .fallback = "none",
	 .help = "the init takes a command from the second serial line, or from the console port "
		 "bantam.session, instead of running a shell"},
	{.name = "init.modules.path",
	 .type = CONFIG_PATH,
	 .help = "folder of the kernel's modules; lib/modules/VERSION beside the kernel's folder, "
		 "or "
		 "in /, when not given"},
	{.name = "init.modules.load",
	 .type = CONFIG_STRING,
	 .help = "modules to load besides those of the configured devices, separated by commas"},
};

/* A field of the init's configuration is never empty. */
static int check_text(const struct config *cfg, const char *name, unsigned i, struct error *err)
{
	char key[CONFIG_NAME_MAX];

	snprintf(key, sizeof(key), "init.mount.%u.%s", i, name);
	const char *text = config_text(cfg, "%s", key);
	if (!text || !*text)
		return error_set(err, -EINVAL, "%s is not set", key);
	return 0;
}

static int check(const struct config *cfg, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && config_next(cfg, "init.mount", &i); i++) {
		rc = check_text(cfg, "tag", i, err);
		if (!rc)
			rc = check_text(cfg, "path", i, err);
		if (!rc && config_text(cfg, "init.mount.%u.path", i)[0] != '/')
			rc = error_set(err, -EINVAL, "init.mount.%u.path '%s' must begin with /", i,
				       config_text(cfg, "init.mount.%u.path", i));
	}
	if (!rc && config_is_set(cfg, "init.root.tag") && config_is_set(cfg, "kernel.initrd"))
		rc = error_set(err, -EINVAL,
			       "kernel.initrd and init.root.tag exclude each other: there is one "
			       "initramfs, the user's or bantam's");
	return rc;
}

static int create(struct vm *vm, const struct config *cfg, struct error *err)
{
	return 0;
}

const struct part_type part_init = {
	.keys = keys, .nr_keys = ARRAY_SIZE(keys), .check = check, .create = create};
