/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks on images in use: open file description locks, which end with the descriptor, on single bytes
 * far inside the file (the file may be shorter). The bytes are those QEMU locks: byte 100 + P says
 * that the holder does P, byte 200 + P that nobody else may. All locks are shared ones; whether
 * somebody holds a byte is asked for by testing an exclusive lock.
 */
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/block/block_impl.h"
#include "base/base.h"
#include "base/log.h"

/*
 * The kernel closes the files of a killed process a moment after its death, when the last of its
 * requests has ended. So a lock is asked for more than once.
 */
#define PATIENCE_MS 1000
#define RETRY_MS    10

enum { DOES = 100, FORBIDS = 200 };
enum { CONSISTENT_READ = 0, WRITE = 1, RESIZE = 3 };

static const uint8_t reader_holds[] = {DOES + CONSISTENT_READ, FORBIDS + WRITE, FORBIDS + RESIZE};
static const uint8_t writer_holds[] = {DOES + CONSISTENT_READ, DOES + WRITE, DOES + RESIZE,
				       FORBIDS + WRITE, FORBIDS + RESIZE};
static const uint8_t reader_minds[] = {FORBIDS + CONSISTENT_READ, DOES + WRITE, DOES + RESIZE};
static const uint8_t writer_minds[] = {FORBIDS + CONSISTENT_READ, FORBIDS + WRITE, FORBIDS + RESIZE,
				       DOES + WRITE, DOES + RESIZE};

static struct flock byte_lock(short type, uint8_t byte)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

static void unlock(int fd)
{
	struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = DOES, .l_len = 200};

	fcntl(fd, F_OFD_SETLK, &all);
}

static int refuse(const char *path, bool is_read_only, struct error *err)
{
	if (is_read_only)
		return error_set(err, -EBUSY,
				 "%s is in use: another program has it open for writing", path);
	return error_set(err, -EBUSY,
			 "%s is in use by another program; end that first, or open it read-only if "
			 "that does not write",
			 path);
}

/* One attempt; a failed one may leave locks behind. */
static int try_lock(int fd, const char *path, bool is_read_only, struct error *err)
{
	const uint8_t *holds = is_read_only ? reader_holds : writer_holds;
	const uint8_t *minds = is_read_only ? reader_minds : writer_minds;
	size_t nr_holds = is_read_only ? sizeof(reader_holds) : sizeof(writer_holds);
	size_t nr_minds = is_read_only ? sizeof(reader_minds) : sizeof(writer_minds);

	for (size_t i = 0; i < nr_holds; i++) {
		struct flock lock = byte_lock(F_RDLCK, holds[i]);

		if (!fcntl(fd, F_OFD_SETLK, &lock))
			continue;
		if (errno == EAGAIN || errno == EACCES)
			return refuse(path, is_read_only, err);
		/* A file system without locks: users of it cannot be told apart. */
		log_debug("%s: locks are not available: %s", path, strerror(errno));
		return 0;
	}
	/* Own locks come first, so that of two that start at once at least one sees the other. */
	for (size_t i = 0; i < nr_minds; i++) {
		struct flock lock = byte_lock(F_WRLCK, minds[i]);

		if (!fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK)
			return refuse(path, is_read_only, err);
	}
	return 0;
}

int block_lock(int fd, const char *path, bool is_read_only, struct error *err)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * (long)NS_PER_MS};
	int rc = try_lock(fd, path, is_read_only, err);

	for (unsigned waited = 0; rc && waited < PATIENCE_MS; waited += RETRY_MS) {
		unlock(fd);
		nanosleep(&pause, NULL);
		rc = try_lock(fd, path, is_read_only, err);
	}
	return rc;
}
