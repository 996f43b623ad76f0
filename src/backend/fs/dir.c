/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading directories. Offsets are the host file system's own (d_off), so they stay good while the
 * directory changes and however large it is. Entries are read ahead in pieces; one that found no
 * room in a response is there for the next. So many directories at most have such a piece.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/fs/export_impl.h"

#define ENTRIES_SIZE (32 * KIB)

/* struct linux_dirent64 of getdents64(2). */
struct host_dirent {
	uint64_t ino;
	int64_t next;
	uint16_t len;
	uint8_t type;
	char name[];
};

int dir_seek(struct file *f, uint64_t offset)
{
	if (!S_ISDIR(f->node->type))
		return -ENOTDIR;
	/* From the start means anew: what was read ahead may be out of date. */
	if (offset == f->offset && offset)
		return 0;
	if (lseek(f->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	f->offset = offset;
	f->len = f->at = 0;
	f->must_seek = false;
	return 0;
}

void dir_drop_ahead(struct export *ex, struct file *f)
{
	if (!f->entries)
		return;
	free(f->entries);
	f->entries = NULL;
	f->must_seek = f->at < f->len;
	f->at = f->len = 0;
	list_remove(&f->ahead);
	ex->nr_ahead--;
}

static void make_room(struct export *ex, struct file *f)
{
	if (f->entries)
		return;
	if (ex->nr_ahead == AHEAD_MAX)
		dir_drop_ahead(ex, list_entry(ex->ahead.next, struct file, ahead));
	f->entries = mem_alloc_zero(ENTRIES_SIZE);
	list_append(&ex->ahead, &f->ahead);
	ex->nr_ahead++;
}

static int fill(struct export *ex, struct file *f)
{
	if (f->must_seek && lseek(f->fd, (off_t)f->offset, SEEK_SET) < 0)
		return -errno;
	f->must_seek = false;
	make_room(ex, f);
	f->at = f->len = 0;
	int rc = sys(syscall(SYS_getdents64, f->fd, f->entries, ENTRIES_SIZE));
	if (rc > 0)
		f->len = (size_t)rc;
	return rc;
}

int dir_peek(struct export *ex, struct file *f, struct fs_dirent *entry)
{
	if (f->at == f->len) {
		int rc = fill(ex, f);

		if (rc <= 0)
			return rc;
	}
	const struct host_dirent *d = (const struct host_dirent *)(f->entries + f->at);
	uint64_t ino = d->ino;
	/* What lies above the export is nobody's business. */
	if (f->node == ex->root && !strcmp(d->name, ".."))
		ino = ex->root->ino;
	*entry = (struct fs_dirent){.ino = export_ino(ex, f->node->dev, ino),
				    .next = (uint64_t)d->next,
				    .type = d->type,
				    .name = d->name};
	return 1;
}

void dir_advance(struct file *f, const struct fs_dirent *entry)
{
	f->at += ((const struct host_dirent *)(f->entries + f->at))->len;
	f->offset = entry->next;
}
