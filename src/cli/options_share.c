/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/options_share.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "cli/exit_codes.h"
#include "config/config.h"

static unsigned next_index(const struct config *cfg)
{
	unsigned next = 0;

	for (unsigned i = 0; config_next(cfg, "share", &i); i++)
		next = i + 1;
	return next;
}

static int set(struct config *cfg, unsigned index, const char *key, const char *value,
	       struct error *err)
{
	char name[CONFIG_NAME_MAX];

	snprintf(name, sizeof(name), "share.%u.%s", index, key);
	return config_set(cfg, name, value, err) ? EXIT_CONFIG : 0;
}

static int set_dir(struct config *cfg, unsigned index, const char *option, const char *dir,
		   struct error *err)
{
	char path[PATH_MAX];

	if (!*dir)
		return error_set(err, EXIT_USAGE, "%s needs a directory: DIR,TAG", option);
	/* The file a dump makes of this names the same directory from anywhere. */
	if (!realpath(dir, path)) {
		error_set_errno(err, -errno, "%s: Failed resolving 9p path '%s'", option, dir);
		return EXIT_CONFIG;
	}
	return set(cfg, index, "path", path, err);
}

int run_add_9p(struct config *cfg, const char *text, struct error *err)
{
	unsigned index = next_index(cfg);
	char *dir = mem_strdup(text), *tag = strchr(dir, ',');

	if (tag)
		*tag++ = 0;
	int rc = set_dir(cfg, index, "--9p", dir, err);
	if (!rc)
		rc = set(cfg, index, "type", "9p", err);
	if (!rc && tag)
		rc = set(cfg, index, "tag", tag, err);
	free(dir);
	return rc;
}

/* One word after the tag. */
static int set_word(struct config *cfg, unsigned index, const char *word, struct error *err)
{
	static const char *const words[] = {"type", "map", "cache"};
	const char *equals = strchr(word, '=');

	if (!strcmp(word, "ro") || !strcmp(word, "rw"))
		return set(cfg, index, "readonly", strcmp(word, "ro") ? "false" : "true", err);
	for (unsigned i = 0; equals && i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i]) == (size_t)(equals - word) &&
		    !strncmp(word, words[i], strlen(words[i])))
			return set(cfg, index, words[i], equals + 1, err);
	}
	return error_set(err, EXIT_USAGE,
			 "--share: '%s' is none of ro, rw, type=, map=, cache=; the form is "
			 "DIR,TAG[,ro][,type=virtiofs|9p][,map=auto|none|squash|mapped]"
			 "[,cache=none|auto|always]",
			 word);
}

int run_add_share(struct config *cfg, const char *text, struct error *err)
{
	unsigned index = next_index(cfg);
	char *copy = mem_strdup(text), *rest = copy, *word;
	const char *dir = strsep(&rest, ","), *tag = strsep(&rest, ",");
	int rc;

	if (!tag || !*tag)
		rc = error_set(err, EXIT_USAGE,
			       "--share '%s' names no tag: DIR,TAG, and the guest mounts TAG",
			       text);
	else
		rc = set_dir(cfg, index, "--share", dir, err);
	if (!rc)
		rc = set(cfg, index, "tag", tag, err);
	while (!rc && (word = strsep(&rest, ",")) != NULL)
		rc = set_word(cfg, index, word, err);
	free(copy);
	return rc;
}
