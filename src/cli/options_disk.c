/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/options_disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/parse.h"
#include "cli/exit_codes.h"

/* Words of the grammar that are the names of keys, some spelled otherwise. */
static const struct {
	const char *word, *key;
} settings[] = {
	{"file", "path"},	{"format", "format"}, {"serial", "serial"},
	{"queues", "queues"},	{"aio", "aio"},	      {"backing-format", "backing_format"},
	{"backing", "backing"},
};

static int set(struct config *cfg, unsigned disk, const char *key, const char *value,
	       struct error *err)
{
	char name[CONFIG_NAME_MAX];

	snprintf(name, sizeof(name), "disk.%u.%s", disk, key);
	return config_set(cfg, name, value, err) ? EXIT_CONFIG : 0;
}

/* The number behind the last disk. */
static unsigned next_number(const struct config *cfg)
{
	unsigned next = 0;

	for (unsigned i = 0; config_next(cfg, "disk", &i); i++)
		next = i + 1;
	return next;
}

static int set_size(struct config *cfg, unsigned disk, const char *value, struct error *err)
{
	uint64_t bytes;
	char canonical[32];

	if (parse_size(value, GIB, &bytes, NULL) || !bytes)
		return error_set(
			err, EXIT_USAGE,
			"Invalid disk size: %s (a number and one of K, M, G or T; gigabytes "
			"without a letter)",
			value);
	format_size(bytes, canonical, sizeof(canonical));
	return set(cfg, disk, "size", canonical, err);
}

/* One setting name=value. Returns -ENOENT for a name that is not known. */
static int set_named(struct config *cfg, unsigned disk, const char *item, const char *equals,
		     struct error *err)
{
	size_t len = (size_t)(equals - item);

	if (len == 4 && !strncmp(item, "size", 4))
		return set_size(cfg, disk, equals + 1, err);
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++) {
		if (strlen(settings[i].word) == len && !strncmp(item, settings[i].word, len))
			return set(cfg, disk, settings[i].key, equals + 1, err);
	}
	return -ENOENT;
}

static int set_item(struct config *cfg, unsigned disk, const char *item, bool is_first,
		    struct error *err)
{
	const char *equals = strchr(item, '=');
	int rc = equals ? set_named(cfg, disk, item, equals, err) : -ENOENT;

	if (rc != -ENOENT)
		return rc;
	/* A path may have an equals sign in it. */
	if (is_first && (!equals || !access(item, F_OK)))
		return *item ? set(cfg, disk, "path", item, err) : 0;
	if (!equals && !strcmp(item, "ro"))
		return set(cfg, disk, "readonly", "true", err);
	if (!equals && !strcmp(item, "direct"))
		return set(cfg, disk, "direct", "true", err);
	return error_set(err, EXIT_USAGE, "Unknown disk config: %.*s",
			 equals ? (int)(equals - item) : (int)strlen(item), item);
}

/* A disk without a file is a new one. */
static int settle_path(struct config *cfg, unsigned disk, struct error *err)
{
	char path[32];

	if (config_is_set(cfg, "disk.%u.path", disk))
		return 0;
	if (!config_is_set(cfg, "disk.%u.size", disk))
		return error_set(err, EXIT_USAGE, "disk specified with no size or name");
	snprintf(path, sizeof(path), disk ? "disk%u.img" : "disk.img", disk);
	return set(cfg, disk, "path", path, err);
}

int disk_option_add(struct config *cfg, const char *text, struct error *err)
{
	unsigned disk = next_number(cfg);
	char *copy = mem_strdup(text), *rest = copy, *item;
	bool is_first = true;
	int rc = 0;

	while (!rc && (item = strsep(&rest, ",")) != NULL) {
		rc = set_item(cfg, disk, item, is_first, err);
		is_first = false;
	}
	free(copy);
	return rc ? rc : settle_path(cfg, disk, err);
}

/* Takes what is set of disk i over to disk i + 1. */
static int move_up(struct config *cfg, unsigned i, struct error *err)
{
	static const char *const names[] = {"path",   "format",	  "backing", "backing_format",
					    "size",   "readonly", "direct",  "aio",
					    "serial", "queues"};
	int rc = 0;

	for (unsigned n = 0; !rc && n < ARRAY_SIZE(names); n++) {
		char name[CONFIG_NAME_MAX];

		if (!config_is_set(cfg, "disk.%u.%s", i, names[n]))
			continue;
		rc = set(cfg, i + 1, names[n], config_text(cfg, "disk.%u.%s", i, names[n]), err);
		snprintf(name, sizeof(name), "disk.%u.%s", i, names[n]);
		config_unset(cfg, name);
	}
	return rc;
}

int disk_option_prepend(struct config *cfg, const char *path, struct error *err)
{
	int rc = 0;

	for (unsigned i = next_number(cfg); !rc && i > 0; i--)
		rc = move_up(cfg, i - 1, err);
	return rc ? rc : set(cfg, 0, "path", path, err);
}

bool disk_option_is_image(const char *path)
{
	uint8_t head[1024] = {0};
	struct stat st;

	if (stat(path, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return false;
	if (S_ISBLK(st.st_mode))
		return true;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = pread(fd, head, sizeof(head), 0);
	close(fd);
	if (n < 512)
		return false;
	/* A boot sector ends like a kernel's first one, which has its name behind. */
	bool is_bootable = head[510] == 0x55 && head[511] == 0xaa;
	return !memcmp(head, "QFI\xfb", 4) || !memcmp(head, "OOOM", 4) ||
	       (is_bootable && memcmp(head + 0x202, "HdrS", 4));
}
