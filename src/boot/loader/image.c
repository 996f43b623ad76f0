/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading of kernel and initrd files. Uses pread, not mmap: a file truncated by someone else while
 * it is mapped would raise SIGBUS. Not for pipes and devices: their size is not known in advance.
 */
#include "boot/loader/image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"

/* Guest memory is filled in pieces of this size, so that one read never blocks for long. */
#define LOAD_PIECE (4 * MIB)
#define BOUNCE	   (64 * KIB)

int image_error(const struct image *img, struct error *err, int code, const char *fmt, ...)
{
	char sentence[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	return error_set(err, code, "%s %s: %s", img->role, img->path, sentence);
}

int image_open(struct image *img, const char *role, const char *path, struct error *err)
{
	struct stat st;

	*img = (struct image){.role = role, .fd = -1};
	/* Without O_NONBLOCK opening a FIFO would wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == EACCES)
		return error_set(err, -EACCES,
				 "%s %s: Permission denied; use a copy that this user may read, or "
				 "run 'sudo chmod a+r' on it",
				 role, path);
	if (fd < 0)
		return error_set_errno(err, -errno, "%s %s", role, path);
	if (fstat(fd, &st) < 0) {
		int code = -errno;

		close(fd);
		return error_set_errno(err, code, "%s %s", role, path);
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, -EINVAL, "%s %s: %s, not a regular file", role, path,
				 S_ISDIR(st.st_mode) ? "a directory" : "a device or pipe");
	}
	img->fd = fd;
	img->path = mem_strdup(path);
	img->size = st.st_size;
	return 0;
}

void image_from_bytes(struct image *img, const char *role, const char *path, const void *bytes,
		      uint64_t size)
{
	*img = (struct image){
		.role = role,
		.path = mem_strdup(path),
		.fd = -1,
		.bytes = bytes,
		.size = size,
	};
}

void image_close(struct image *img)
{
	if (img->path && img->fd >= 0)
		close(img->fd);
	free(img->path);
	*img = (struct image){.fd = -1};
}

static int check_range(const struct image *img, uint64_t offset, uint64_t len, const char *what,
		       struct error *err)
{
	if (range_fits(offset, len, img->size))
		return 0;
	return image_error(img, err, -EINVAL,
			   "%s: %" PRIu64 " bytes expected at offset 0x%" PRIx64
			   ", but the file has only %" PRIu64 " bytes",
			   what, len, offset, img->size);
}

/* The range was checked against the size at opening. */
static int read_piece(const struct image *img, uint64_t offset, void *dst, size_t len,
		      const char *what, struct error *err)
{
	uint8_t *to = dst;

	if (!len)
		return 0;
	if (img->fd < 0) {
		memcpy(dst, img->bytes + offset, len);
		return 0;
	}
	while (len) {
		ssize_t n = pread(img->fd, to, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int code = -errno;

			return image_error(img, err, code, "reading %s at offset 0x%" PRIx64 ": %s",
					   what, offset, strerror(-code));
		}
		if (!n)
			return image_error(img, err, -EIO,
					   "reading %s: the file has shrunk to %" PRIu64 " bytes",
					   what, offset);
		to += n;
		offset += n;
		len -= n;
	}
	return 0;
}

int image_read(const struct image *img, uint64_t offset, void *dst, size_t len, const char *what,
	       struct error *err)
{
	int ret = check_range(img, offset, len, what, err);

	return ret ? ret : read_piece(img, offset, dst, len, what, err);
}

static int no_ram(const struct image *img, gpa_t gpa, uint64_t len, const char *what,
		  struct error *err)
{
	return image_error(img, err, -EFAULT,
			   "%s: 0x%" PRIx64 "-0x%" PRIx64 " is not all guest RAM", what, gpa,
			   gpa + len - 1);
}

/* Where a piece lies across two regions it goes through a buffer of our own. */
static int load_bounced(const struct image *img, uint64_t offset, uint64_t len, struct mem *m,
			gpa_t gpa, const char *what, struct error *err)
{
	uint8_t *bounce = mem_alloc_zero(BOUNCE);
	int ret = 0;

	while (len && !ret) {
		size_t piece = min(len, (uint64_t)BOUNCE);

		ret = read_piece(img, offset, bounce, piece, what, err);
		if (!ret && mem_load(m, gpa, bounce, piece) < 0)
			ret = no_ram(img, gpa, piece, what, err);
		offset += piece;
		gpa += piece;
		len -= piece;
	}
	free(bounce);
	return ret;
}

int image_load(const struct image *img, uint64_t offset, uint64_t len, struct mem *m, gpa_t gpa,
	       const char *what, struct error *err)
{
	uint64_t end;
	int ret = check_range(img, offset, len, what, err);

	if (ret)
		return ret;
	if (add_overflows(gpa, len, &end))
		return image_error(img, err, -EFAULT,
				   "%s: goes beyond the end of the address space", what);
	while (len) {
		uint64_t piece = min(len, (uint64_t)LOAD_PIECE);
		void *host = mem_slice(m, gpa, piece, MEM_WRITE);

		if (!host) {
			ret = load_bounced(img, offset, piece, m, gpa, what, err);
		} else {
			mem_prepare(host, piece);
			ret = read_piece(img, offset, host, piece, what, err);
			mem_wrote(m, gpa, piece);
		}
		if (ret)
			return ret;
		offset += piece;
		gpa += piece;
		len -= piece;
	}
	return 0;
}

int image_put(const struct image *img, struct mem *m, gpa_t gpa, const void *data, size_t len,
	      const char *what, struct error *err)
{
	if (len && mem_load(m, gpa, data, len) < 0)
		return no_ram(img, gpa, len, what, err);
	return 0;
}
