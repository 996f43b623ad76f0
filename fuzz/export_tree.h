/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fuzz targets of file servers share: an export of a folder in a directory of its own, made
 * anew for each input, with a file beside the folder that nothing may touch; and messages cut from the
 * input.
 */
#ifndef FUZZ_EXPORT_TREE_H
#define FUZZ_EXPORT_TREE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/fs/export.h"
#include "base/base.h"

static char fuzz_dir[] = "/dev/shm/bantam-fuzz-XXXXXX"; /* memory is faster than a disk */
static char fuzz_top[64], fuzz_canary[64];

static inline int fuzz_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	if (!S_ISLNK(st->st_mode)) /* which would be followed, out of the tree */
		chmod(path, 0700);
	return remove(path);
}

static inline void fuzz_tree_remove(void)
{
	nftw(fuzz_dir, fuzz_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fuzz_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	BUG_ON(fd < 0 || write(fd, text, strlen(text)) < 0);
	close(fd);
}

static inline void fuzz_tree_init(void)
{
	BUG_ON(!mkdtemp(fuzz_dir));
	snprintf(fuzz_top, sizeof(fuzz_top), "%s/top", fuzz_dir);
	snprintf(fuzz_canary, sizeof(fuzz_canary), "%s/canary", fuzz_dir);
	fuzz_write(fuzz_canary, "alive");
	atexit(fuzz_tree_remove);
}

/* A fresh folder with a file, a directory and links that lead out of it. */
static inline struct export *fuzz_export(uint8_t options_byte)
{
	static const enum export_map maps[] = {EXPORT_MAP_NONE, EXPORT_MAP_SQUASH,
					       EXPORT_MAP_MAPPED, EXPORT_MAP_MAPPED};
	struct export_options options = {.is_read_only = !(options_byte & 7),
					 .map = maps[options_byte >> 3 & 3],
					 .max_descriptors = 16};
	char path[80];

	BUG_ON(mkdir(fuzz_top, 0700));
	snprintf(path, sizeof(path), "%s/f", fuzz_top);
	fuzz_write(path, "file");
	snprintf(path, sizeof(path), "%s/d", fuzz_top);
	BUG_ON(mkdir(path, 0700));
	snprintf(path, sizeof(path), "%s/l", fuzz_top);
	BUG_ON(symlink("../canary", path));
	snprintf(path, sizeof(path), "%s/u", fuzz_top);
	BUG_ON(symlink("..", path));
	struct export *ex = export_open(fuzz_top, &options, NULL);
	BUG_ON(!ex);
	return ex;
}

/* Everything as it was beside the folder, and the folder gone. */
static inline void fuzz_export_end(struct export *ex)
{
	char text[8] = "";

	export_close(ex);
	int fd = open(fuzz_canary, O_RDONLY);
	BUG_ON(fd < 0 || read(fd, text, sizeof(text) - 1) != 5 || strcmp(text, "alive"));
	close(fd);
	nftw(fuzz_top, fuzz_remove, 16, FTW_DEPTH | FTW_PHYS);
	/* Nothing was made beside it: the directory has the entries ".", "..", canary. */
	struct stat st;
	BUG_ON(stat(fuzz_dir, &st) || st.st_nlink != 2);
}

/* A message's bytes in memory of their exact size, in two pieces, and the room for its answer. */
struct fuzz_message {
	struct fs_request request;
	uint8_t *in;
	uint8_t out[8192];
	struct iovec in_iov[2], out_iov[2];
	bool is_done;
};

static inline void fuzz_done(struct fs_request *r)
{
	container_of(r, struct fuzz_message, request)->is_done = true;
}

static inline void fuzz_message_init(struct fuzz_message *m, const void *head, size_t head_len,
				     const uint8_t *data, size_t len, size_t room)
{
	m->in = malloc(head_len + len + 1);
	memcpy(m->in, head, head_len);
	if (len)
		memcpy(m->in + head_len, data, len);
	size_t first = (head_len + len) / 3;
	m->in_iov[0] = (struct iovec){m->in, first};
	m->in_iov[1] = (struct iovec){m->in + first, head_len + len - first};
	m->out_iov[0] = (struct iovec){m->out, room / 3};
	m->out_iov[1] = (struct iovec){m->out + room / 3, room - room / 3};
	m->request = (struct fs_request){.in = m->in_iov,
					 .nr_in = 2,
					 .out = m->out_iov,
					 .nr_out = 2,
					 .done = fuzz_done};
	m->is_done = false;
}

#endif
