/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/block/cow_format.h"

#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backend/block/block_impl.h"
#include "base/buf.h"

#define COW_MAGIC     0x4f4f4f4du
#define PATH_V1	      256
#define SECTOR_MAX    (64 * KIB)
#define ALIGNMENT_MAX MIB
#define NEW_ALIGNMENT 4096 /* UML's page size */

/* Version 1 is in the byte order of the machine that made it, the others are big-endian. */
struct header_v1 {
	uint32_t magic, version;
	char backing[PATH_V1];
	uint32_t mtime;
	uint64_t size;
	uint32_t sector_size;
} __attribute__((packed));

struct header_v2 {
	uint32_t magic, version;
	char backing[COW_PATH_MAX];
	uint32_t mtime;
	uint64_t size;
	uint32_t sector_size;
} __attribute__((packed));

struct header_v3 {
	uint32_t magic, version, mtime;
	uint64_t size;
	uint32_t sector_size, alignment, format;
	char backing[COW_PATH_MAX];
} __attribute__((packed));

/* Written by 64-bit UML for some years, as its compiler laid it out. */
struct header_v3_padded {
	uint32_t magic, version;
	uint64_t mtime, size;
	uint32_t sector_size, alignment, format;
	char backing[COW_PATH_MAX];
	uint32_t padding;
} __attribute__((packed));

union header {
	struct header_v1 v1;
	struct header_v2 v2;
	struct header_v3 v3;
	struct header_v3_padded padded;
};

/* ---- reading ---- */

static bool is_power_of_2(uint64_t x, uint64_t least, uint64_t most)
{
	return x >= least && x <= most && !(x & (x - 1));
}

static void take_v3(const union header *h, struct cow_facts *f)
{
	f->mtime = be32toh(h->v3.mtime);
	f->size = be64toh(h->v3.size);
	f->sector_size = be32toh(h->v3.sector_size);
	f->alignment = be32toh(h->v3.alignment);
	f->header_len = sizeof(h->v3);
	memcpy(f->backing, h->v3.backing, COW_PATH_MAX);
	if (is_power_of_2(f->sector_size, BLOCK_SECTOR, SECTOR_MAX) && !h->v3.format &&
	    is_power_of_2(f->alignment, 1, ALIGNMENT_MAX))
		return;
	f->mtime = be64toh(h->padded.mtime);
	f->size = be64toh(h->padded.size);
	f->sector_size = be32toh(h->padded.sector_size);
	f->alignment = be32toh(h->padded.alignment);
	f->header_len = sizeof(h->padded);
	memcpy(f->backing, h->padded.backing, COW_PATH_MAX);
}

static int take_header(const union header *h, struct cow_facts *f)
{
	bool is_native = h->v1.magic == COW_MAGIC;

	memset(f, 0, sizeof(*f));
	if (!is_native && be32toh(h->v1.magic) != COW_MAGIC)
		return -EINVAL;
	f->version = is_native ? h->v1.version : be32toh(h->v1.version);
	switch (f->version) {
	case 1:
		f->mtime = h->v1.mtime;
		f->size = h->v1.size;
		f->alignment = f->sector_size = h->v1.sector_size;
		f->header_len = sizeof(h->v1);
		memcpy(f->backing, h->v1.backing, PATH_V1);
		break;
	case 2:
		f->mtime = be32toh(h->v2.mtime);
		f->size = be64toh(h->v2.size);
		f->alignment = f->sector_size = be32toh(h->v2.sector_size);
		f->header_len = sizeof(h->v2);
		memcpy(f->backing, h->v2.backing, COW_PATH_MAX);
		break;
	case 3:
		take_v3(h, f);
		break;
	default:
		return -ENOTSUP;
	}
	if (!is_power_of_2(f->sector_size, BLOCK_SECTOR, SECTOR_MAX) ||
	    !is_power_of_2(f->alignment, 1, ALIGNMENT_MAX) || !f->backing[0] ||
	    f->size > (uint64_t)INT64_MAX / 2)
		return -EINVAL;
	return 0;
}

static void lay_out(struct cow_facts *f)
{
	uint64_t sectors = f->size / f->sector_size + (f->size % f->sector_size != 0);

	f->bitmap_offset = f->version < 3 ? f->header_len : ALIGN_UP(f->header_len, f->alignment);
	/* Old versions round down: their last sectors may have no bit, and are then never copied. */
	f->bitmap_len = f->version < 3 ? (f->size + f->sector_size - 1) / (8 * f->sector_size)
				       : sectors / 8 + (sectors % 8 != 0);
	f->data_offset = ALIGN_UP(f->bitmap_offset + f->bitmap_len,
				  f->version < 3 ? f->sector_size : f->alignment);
}

int cow_facts_read(struct block *file, struct cow_facts *facts, struct error *err)
{
	union header h;
	int rc = raw_read_now(file, 0, &h, sizeof(h));

	if (rc)
		return error_set_errno(err, rc, "%s", file->path);
	rc = take_header(&h, facts);
	if (rc == -ENOTSUP)
		return error_set(err, rc, "%s: version %u of COW files is not known, only 1 to 3",
				 file->path, facts->version);
	if (rc)
		return error_set(err, rc, "%s: not a valid COW file", file->path);
	lay_out(facts);
	return 0;
}

/* ---- making one ---- */

static int compose(const struct block_create_params *p, struct cow_facts *facts,
		   struct header_v3 *h, struct error *err)
{
	char *beside = block_path_beside(p->path, p->backing), *path = realpath(beside, NULL);
	struct stat st;
	int rc = 0;

	if (!path || stat(path, &st))
		rc = error_set_errno(err, -errno, "%s: backing file %s", p->path, beside);
	else if (!S_ISREG(st.st_mode))
		rc = error_set(err, -EINVAL, "%s: backing file %s is no regular file", p->path,
			       path);
	else if (strlen(path) >= COW_PATH_MAX)
		rc = error_set(err, -ENAMETOOLONG, "%s: backing file %s", p->path, path);
	else if (p->size && p->size != (uint64_t)st.st_size)
		rc = error_set(err, -EINVAL, "%s: a COW file has the size of its backing file",
			       p->path);
	if (!rc) {
		*h = (struct header_v3){.magic = htobe32(COW_MAGIC),
					.version = htobe32(3),
					.mtime = htobe32((uint32_t)st.st_mtime),
					.size = htobe64((uint64_t)st.st_size),
					.sector_size = htobe32(BLOCK_SECTOR),
					.alignment = htobe32(NEW_ALIGNMENT)};
		memcpy(h->backing, path, strlen(path));
		take_header((const union header *)(const void *)h, facts);
		lay_out(facts);
	}
	free(beside);
	free(path);
	return rc;
}

int cow_create(const struct block_create_params *p, struct error *err)
{
	union header h = {0};
	struct cow_facts facts = {0};

	if (!p->backing)
		return error_set(err, -EINVAL, "%s: a COW file needs a backing file", p->path);
	int rc = compose(p, &facts, &h.v3, err);
	if (rc)
		return rc;
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | (p->may_replace ? 0 : O_EXCL);
	int fd = open(p->path, flags, 0644);
	if (fd < 0)
		return error_set_errno(err, -errno, "%s", p->path);
	rc = block_lock(fd, p->path, false, err);
	off_t size = (off_t)(facts.data_offset + facts.size);
	if (!rc && (ftruncate(fd, 0) || ftruncate(fd, size) ||
		    pwrite(fd, &h.v3, sizeof(h.v3), 0) != sizeof(h.v3))) {
		rc = error_set_errno(err, errno ? -errno : -EIO, "%s", p->path);
		if (!p->may_replace)
			unlink(p->path);
	}
	if (!rc)
		fremovexattr(fd, BLOCK_FORMAT_NOTE);
	close(fd);
	return rc;
}
