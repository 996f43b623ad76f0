/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A directory of its own per test, with the export of its folder "top"; "outside" lies beside that.
 */
#ifndef TESTS_UNIT_BACKEND_FS_TREE_H
#define TESTS_UNIT_BACKEND_FS_TREE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/test.h"

#include "backend/fs/export.h"

struct tree {
	char path[64];
	char top[80];
};

static inline void tree_file(const struct tree *t, const char *name, const char *text)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", t->path, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* What a file of the host holds, at most 255 bytes of it. */
static inline const char *tree_text(const struct tree *t, const char *name)
{
	static char text[256];
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", t->path, name);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return "(none)";
	ssize_t len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = 0;
	return text;
}

static inline void tree_init(struct tree *t)
{
	snprintf(t->path, sizeof(t->path), "%s/bantam-fs-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(t->path));
	snprintf(t->top, sizeof(t->top), "%s/top", t->path);
	assert_int_equal(mkdir(t->top, 0755), 0);
	tree_file(t, "outside", "secret");
	tree_file(t, "top/file", "hello");
}

static inline int tree_remove_one(const char *path, const struct stat *st, int flag,
				  struct FTW *ftw)
{
	return remove(path);
}

static inline void tree_fini(struct tree *t)
{
	nftw(t->path, tree_remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

/* A path below the tree's own folder. */
static inline const char *tree_path(const struct tree *t, const char *name)
{
	static char paths[4][400];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", t->path, name);
	return path;
}

#endif
