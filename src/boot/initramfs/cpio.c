/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/initramfs/cpio.h"

#include <string.h>
#include <sys/stat.h>

#include "base/base.h"

struct entry {
	const char *path;
	unsigned mode, major, minor;
	const void *data;
	size_t len;
};

static void pad(struct buf *out)
{
	while (out->len % 4)
		buf_append(out, "", 1);
}

/*
 * Inode numbers only tell hard links apart, of which there are none; the offset serves as one. The
 * link count of a folder is not looked at.
 */
static void add(struct buf *out, const struct entry *e)
{
	size_t name_len = strlen(e->path) + 1;

	BUG_ON(e->len > UINT32_MAX);
	buf_printf(out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		   (unsigned)out->len, e->mode, 0, 0, 1, 0, (unsigned)e->len, 0, 0, e->major,
		   e->minor, (unsigned)name_len, 0);
	buf_append(out, e->path, name_len);
	pad(out);
	buf_append(out, e->data, e->len);
	pad(out);
}

void cpio_add_folder(struct buf *out, const char *path, unsigned mode)
{
	add(out, &(struct entry){.path = path, .mode = S_IFDIR | mode});
}

void cpio_add_file(struct buf *out, const char *path, unsigned mode, const void *data, size_t len)
{
	add(out, &(struct entry){.path = path, .mode = S_IFREG | mode, .data = data, .len = len});
}

void cpio_add_char_device(struct buf *out, const char *path, unsigned mode, unsigned major,
			  unsigned minor)
{
	add(out,
	    &(struct entry){.path = path, .mode = S_IFCHR | mode, .major = major, .minor = minor});
}

void cpio_end(struct buf *out)
{
	add(out, &(struct entry){.path = "TRAILER!!!"});
}
