/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/fs/export.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend/fs/export_impl.h"

#define STATX_WANTED (STATX_BASIC_STATS | STATX_BTIME)

/*
 * The process's umask, which new files are subject to whatever mode is asked for. umask() can only
 * be read by setting it, under the feet of other threads.
 */
static mode_t read_umask(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	unsigned mask = 077;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Umask: %o", &mask) == 1)
			break;
	}
	if (f)
		fclose(f);
	return mask;
}

struct export *export_open(const char *path, const struct export_options *options,
			   struct error *err)
{
	int proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = -1;

	if (proc_fd < 0) {
		error_set_errno(err, -errno, "/proc/self/fd, by which shared files are opened");
		return NULL;
	}
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		error_set_errno(err, -errno, "directory '%s'", path);
		close(proc_fd);
		return NULL;
	}
	struct export *ex = mem_alloc_zero(sizeof(*ex));
	ex->options = *options;
	ex->uid = geteuid();
	ex->gid = getegid();
	ex->umask = read_umask();
	ex->proc_fd = proc_fd;
	htable_init(&ex->nodes);
	list_init(&ex->open_nodes);
	list_init(&ex->ahead);

	struct statx stx;
	int rc = place_statx(&(struct place){fd, ""}, &stx);
	if (rc) {
		error_set_errno(err, rc, "directory '%s'", path);
		close(fd);
		export_close(ex);
		return NULL;
	}
	ex->devices[ex->nr_devices++] = stx_dev(&stx);
	ex->root = node_at(ex, NULL, NULL, &stx);
	ex->root->fd = fd;
	return ex;
}

void export_close(struct export *ex)
{
	if (!ex)
		return;
	if (ex->root)
		node_put(ex, ex->root);
	BUG_ON(ex->nodes.nr);
	htable_fini(&ex->nodes);
	buf_free(&ex->free_ids);
	free(ex->by_id);
	close(ex->proc_fd);
	free(ex);
}

bool export_is_read_only(const struct export *ex)
{
	return ex->options.is_read_only;
}

struct node *export_root(struct export *ex)
{
	return ex->root;
}

int export_statvfs(struct export *ex, struct statvfs *out, uint32_t *type)
{
	struct statfs fs;

	if (fstatfs(ex->root->fd, &fs) || fstatvfs(ex->root->fd, out))
		return -errno;
	*type = (uint32_t)fs.f_type;
	return 0;
}

int export_sync(struct export *ex)
{
	int fd = reopen(ex, ex->root->fd, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return fd;
	int rc = sys(syncfs(fd));
	close(fd);
	return rc;
}

/* Files of another file system than the root's, on which the same numbers may be in use. */
uint64_t export_ino(struct export *ex, uint64_t dev, uint64_t ino)
{
	unsigned i = 0;

	while (i < ex->nr_devices && ex->devices[i] != dev)
		i++;
	if (i == ex->nr_devices && i < DEVICES_MAX)
		ex->devices[ex->nr_devices++] = dev;
	return ino ^ (uint64_t)i << 48;
}

uint64_t stx_dev(const struct statx *stx)
{
	return makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

int place_statx(const struct place *p, struct statx *stx)
{
	return sys(statx(p->fd, p->name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
			 STATX_WANTED, stx));
}

void place_path(const struct place *p, char path[PLACE_PATH_MAX])
{
	snprintf(path, PLACE_PATH_MAX, "/proc/self/fd/%d%s%s", p->fd, *p->name ? "/" : "", p->name);
}

void fd_name(int fd, char name[FD_NAME_MAX])
{
	snprintf(name, FD_NAME_MAX, "%d", fd);
}

int fs_name_check(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > NAME_MAX || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return -EINVAL;
	return 0;
}

/* ---- what root may do and this user is denied ---- */

static bool widen(struct export *ex, struct grant *g, unsigned i)
{
	struct node *n = g->nodes[i];
	int fd = n ? node_fd(ex, n) : -1;
	struct statx stx;
	char name[FD_NAME_MAX];

	if (fd < 0 || place_statx(&(struct place){fd, ""}, &stx) || stx.stx_uid != ex->uid)
		return false;
	mode_t mode = stx.stx_mode & 07777, wide = mode | (S_ISDIR(stx.stx_mode) ? 0700 : 0600);
	if (wide == mode || S_ISLNK(stx.stx_mode))
		return false;
	fd_name(fd, name);
	if (fchmodat(ex->proc_fd, name, wide, 0))
		return false;
	g->saved[i].is_widened = true;
	g->saved[i].mode = mode;
	return true;
}

static void restore(struct export *ex, struct grant *g, unsigned i)
{
	char name[FD_NAME_MAX];

	if (!g->saved[i].is_widened)
		return;
	int fd = node_fd(ex, g->nodes[i]);
	fd_name(fd, name);
	if (fd >= 0 && !fchmodat(ex->proc_fd, name, g->saved[i].mode, 0))
		g->saved[i].is_widened = false;
}

bool grant_retry(struct export *ex, struct grant *g, int rc)
{
	bool is_any = false;

	if (g->is_on) {
		for (unsigned i = 0; i < ARRAY_SIZE(g->nodes); i++)
			restore(ex, g, i);
		return g->is_on = false;
	}
	if (rc != -EACCES || ex->options.map == EXPORT_MAP_NONE || !ex->uid ||
	    ex->options.is_read_only)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(g->nodes); i++)
		is_any |= widen(ex, g, i);
	return g->is_on = is_any;
}

int statx_in(struct export *ex, struct node *dir, const struct place *p, struct statx *stx)
{
	struct grant g = {.nodes = {dir}};
	int rc;

	do
		rc = place_statx(p, stx);
	while (grant_retry(ex, &g, rc));
	return rc;
}
