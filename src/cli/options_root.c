/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/options_root.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "cli/exit_codes.h"
#include "config/config.h"

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

char *kept_root_path(const char *name, struct error *err)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	struct buf path = {0};

	if (!*name || name[0] == '.' || strpbrk(name, "/,")) {
		error_set(err, -EINVAL,
			  "'%s' cannot be the name of a root: no '/', no ',', no '.' first", name);
		return NULL;
	}
	if (data && *data == '/')
		buf_printf(&path, "%s", data);
	else if (home && *home == '/')
		buf_printf(&path, "%s/.local/share", home);
	else {
		error_set(err, -ENOENT, "neither XDG_DATA_HOME nor HOME is set");
		return NULL;
	}
	buf_printf(&path, "/bantam/%s", name);
	return buf_text(&path);
}

static int set(struct config *cfg, const char *key, const char *value, struct error *err)
{
	return config_set(cfg, key, value, err) ? EXIT_CONFIG : 0;
}

static int set_once(struct config *cfg, const char *key, const char *path, struct error *err)
{
	if (config_is_set(cfg, "init.root.path") || config_is_set(cfg, "init.keep"))
		return error_set(err, EXIT_USAGE, "Please use only one rootfs directory atmost");
	char *full = realpath(path, NULL);
	if (!full) {
		error_set_errno(err, -errno, "folder '%s'", path);
		return EXIT_CONFIG;
	}
	int rc = set(cfg, key, full, err);
	free(full);
	return rc;
}

/* A named root gives the guest its name, unless it has one (KT-02). */
static int take_kept(struct config *cfg, const char *name, const char *path, struct error *err)
{
	int rc = set_once(cfg, "init.keep", path, err);

	if (!rc && !config_is_set(cfg, "name"))
		rc = set(cfg, "name", name, err);
	return rc;
}

int root_option_take(struct config *cfg, const char *text, bool *is_root, struct error *err)
{
	char *copy = mem_strdup(text), *comma = strchr(copy, ',');
	bool is_ro = comma && !strcmp(comma, ",ro");
	int rc = 0;

	if (is_ro)
		*comma = '\0';
	char *kept = comma ? NULL : kept_root_path(copy, NULL);
	*is_root = true;
	if (is_folder(copy)) {
		rc = set_once(cfg, "init.root.path", copy, err);
		if (!rc)
			rc = set(cfg, "init.root.ro", is_ro ? "true" : "false", err);
	} else if (kept && is_folder(kept)) {
		rc = take_kept(cfg, copy, kept, err);
	} else {
		*is_root = false;
	}
	free(kept);
	free(copy);
	return rc;
}

int root_option_script(struct config *cfg, const char *path, struct error *err)
{
	char *full = realpath(path, NULL);
	struct stat st;
	int rc;

	if (!full) {
		error_set_errno(err, -errno, "--sandbox '%s'", path);
		return EXIT_CONFIG;
	}
	if (stat(full, &st) || !S_ISREG(st.st_mode) || access(full, X_OK))
		rc = error_set(err, EXIT_CONFIG, "--sandbox '%s': not an executable file", path);
	else
		rc = set(cfg, "init.run", full, err);
	free(full);
	return rc;
}
