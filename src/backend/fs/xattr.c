/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended attributes: which names reach the host's files, and under which names there.
 */
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "backend/fs/export_impl.h"

#define OWN_PREFIX    "user.bantam."
#define MAPPED_PREFIX "user.bantam.xattr."
#define NAME_ROOM     320 /* XATTR_NAME_MAX and the prefix */

static bool starts_with(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

/* The host's name for the guest's. */
static int host_name(const struct export *ex, const char *name, char out[NAME_ROOM])
{
	bool is_privileged = starts_with(name, "security.") || starts_with(name, "trusted.");
	const char *prefix = "";

	if (strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	if (starts_with(name, OWN_PREFIX))
		return -EPERM;
	if (is_privileged && ex->options.map == EXPORT_MAP_MAPPED)
		prefix = MAPPED_PREFIX;
	else if (is_privileged && ex->options.map == EXPORT_MAP_SQUASH)
		return -EOPNOTSUPP;
	else if (!is_privileged && !starts_with(name, "user."))
		return -EOPNOTSUPP;
	snprintf(out, NAME_ROOM, "%s%s", prefix, name);
	return 0;
}

/*
 * A descriptor's path is a magic link, to be followed, to the file itself; a name's path may end in a
 * link that is the file.
 */
ssize_t place_getxattr(const struct place *p, const char *name, void *value, size_t size)
{
	char path[PLACE_PATH_MAX];

	place_path(p, path);
	ssize_t rc =
		*p->name ? lgetxattr(path, name, value, size) : getxattr(path, name, value, size);
	return rc < 0 ? -errno : rc;
}

static ssize_t place_listxattr(const struct place *p, char *names, size_t size)
{
	char path[PLACE_PATH_MAX];

	place_path(p, path);
	ssize_t rc = *p->name ? llistxattr(path, names, size) : listxattr(path, names, size);
	return rc < 0 ? -errno : rc;
}

int node_xattr_get(struct export *ex, struct node *n, const char *name, struct buf *out)
{
	char real[NAME_ROOM];
	struct place p;
	int rc = host_name(ex, name, real);

	if (rc == -EPERM || (rc == -EOPNOTSUPP && starts_with(name, "security.")))
		return -ENODATA;
	if (!rc)
		rc = node_place(ex, n, &p);
	if (rc)
		return rc;
	struct grant g = {.nodes = {n}};
	ssize_t len;
	uint8_t *value = mem_alloc_zero(XATTR_SIZE_MAX);
	do
		len = place_getxattr(&p, real, value, XATTR_SIZE_MAX);
	while (grant_retry(ex, &g, (int)len));
	if (len > 0)
		buf_append(out, value, (size_t)len);
	free(value);
	return len < 0 ? (int)len : 0;
}

/* The guest's name for the host's, NULL for those it does not see. */
static const char *guest_name(const struct export *ex, const char *name)
{
	if (starts_with(name, MAPPED_PREFIX))
		return ex->options.map == EXPORT_MAP_MAPPED ? name + strlen(MAPPED_PREFIX) : NULL;
	if (starts_with(name, OWN_PREFIX))
		return NULL;
	if (starts_with(name, "user."))
		return name;
	bool is_privileged = starts_with(name, "security.") || starts_with(name, "trusted.");
	return is_privileged && ex->options.map == EXPORT_MAP_NONE ? name : NULL;
}

int node_xattr_list(struct export *ex, struct node *n, struct buf *out)
{
	struct place p;
	int rc = node_place(ex, n, &p);

	if (rc)
		return rc;
	char *names = mem_alloc_zero(XATTR_LIST_MAX);
	ssize_t len = place_listxattr(&p, names, XATTR_LIST_MAX);
	if (len < 0 && len != -EOPNOTSUPP)
		rc = (int)len;
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1) {
		const char *name = guest_name(ex, names + at);

		if (name)
			buf_append(out, name, strlen(name) + 1);
	}
	free(names);
	return rc;
}

/* The path for changes is always a descriptor's, so that the file meant is the one changed. */
static int path_for_change(struct export *ex, struct node *n, const char *name,
			   char path[PLACE_PATH_MAX], char real[NAME_ROOM])
{
	int rc = host_name(ex, name, real);

	if (ex->options.is_read_only)
		return -EROFS;
	if (rc)
		return rc;
	int fd = node_fd(ex, n);
	if (fd < 0)
		return fd;
	place_path(&(struct place){fd, ""}, path);
	return 0;
}

int node_xattr_set(struct export *ex, struct node *n, const char *name, const void *value,
		   size_t len, int flags)
{
	char path[PLACE_PATH_MAX], real[NAME_ROOM];
	int rc = path_for_change(ex, n, name, path, real);

	if (rc)
		return rc;
	if (len > XATTR_SIZE_MAX)
		return -E2BIG;
	struct grant g = {.nodes = {n}};
	do
		rc = sys(setxattr(path, real, value, len, flags));
	while (grant_retry(ex, &g, rc));
	return rc;
}

int node_xattr_remove(struct export *ex, struct node *n, const char *name)
{
	char path[PLACE_PATH_MAX], real[NAME_ROOM];
	int rc = path_for_change(ex, n, name, path, real);

	if (rc)
		return rc;
	struct grant g = {.nodes = {n}};
	do
		rc = sys(removexattr(path, real));
	while (grant_retry(ex, &g, rc));
	return rc;
}
