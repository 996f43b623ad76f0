/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's file system is full: the write that finds no room is answered with ENOSPC, what was
 * flushed stays, and when there is room again writing goes on. The file system is a tmpfs in a mount
 * namespace of the test's own, which is enlarged in small steps, so that every kind of write meets its
 * end once.
 */
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "backend/block/block.h"
#include "base/buf.h"
#include "base/log.h"
#include "host/loop.h"
#include "unit/backend/block/image_folder.h"

#define DISK_SIZE  (12 * MIB)
#define ROOM	   (1 * MIB) /* at first */
#define UNIT	   (16 * KIB)
#define NR_UNITS   (DISK_SIZE / UNIT)
#define ROOM_LIMIT (3 * DISK_SIZE)

struct fixture {
	struct image_folder folder;
	char copy[128]; /* beside it, where there is room */
	bool is_mounted;
	struct loop *loop;
	struct block *b;
	uint8_t version[NR_UNITS], flushed[NR_UNITS];
	unsigned nr_full, nr_flushes_full;
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc_zero(sizeof(*f));

	log_set_level(LOG_ERROR);
	if (image_folder_init(&f->folder))
		return -1;
	snprintf(f->copy, sizeof(f->copy), "%s.copy", f->folder.dir);
	f->is_mounted = !mount("tmpfs", f->folder.dir, "tmpfs", 0, "size=1M");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	block_close(f->b);
	loop_free(f->loop);
	umount(f->folder.dir);
	image_folder_fini(&f->folder);
	unlink(f->copy);
	free(f);
	return 0;
}

static void give_room(struct fixture *f, uint64_t bytes)
{
	char options[64];

	snprintf(options, sizeof(options), "size=%llu", (unsigned long long)bytes);
	assert_int_equal(mount("tmpfs", f->folder.dir, "tmpfs", MS_REMOUNT, options), 0);
}

/* ---- requests ---- */

struct request {
	struct block_req req;
	struct iovec iov;
	int rc;
};

static void is_done(struct block_req *req, int rc)
{
	container_of(req, struct request, req)->rc = rc;
}

static int run(struct fixture *f, enum block_op op, unsigned unit, uint8_t *data)
{
	struct request r = {.iov = {data, UNIT}, .rc = 1};

	r.req = (struct block_req){.op = op,
				   .offset = (uint64_t)unit * UNIT,
				   .len = UNIT,
				   .iov = &r.iov,
				   .nr_iov = 1,
				   .done = is_done};
	block_plug(f->b);
	block_submit(f->b, &r.req);
	block_unplug(f->b);
	block_drain(f->b);
	assert_true(r.rc <= 0);
	return r.rc;
}

/* Versions are never 0, which is what was never written. */
static int write_unit(struct fixture *f, unsigned unit)
{
	uint8_t data[UNIT], version = (uint8_t)(f->version[unit] % 255 + 1);

	memset(data, version, UNIT);
	int rc = run(f, BLOCK_WRITE, unit, data);
	if (!rc)
		f->version[unit] = version;
	else
		f->nr_full++;
	return rc;
}

static int flush(struct fixture *f)
{
	int rc = run(f, BLOCK_FLUSH, 0, NULL);

	if (!rc)
		memcpy(f->flushed, f->version, sizeof(f->flushed));
	else
		f->nr_flushes_full++;
	return rc;
}

/* The first nr units are as they were written last; what was not flushed may be missing. */
static void expect_units(struct fixture *f, struct block *b, unsigned nr)
{
	uint8_t data[UNIT];

	for (unsigned u = 0; u < nr; u++) {
		assert_int_equal(block_read(b, (uint64_t)u * UNIT, data, UNIT), 0);
		for (unsigned i = 0; i < UNIT; i++) {
			if (data[i] != f->version[u] && (data[i] || f->flushed[u]))
				fail_msg("unit %u is %u; written %u, flushed %u", u, data[i],
					 f->version[u], f->flushed[u]);
		}
	}
}

/* ---- the file as another program would find it, if this one died now ---- */

static void copy_file(struct fixture *f)
{
	uint8_t data[64 * KIB];
	int from = open(f->folder.path, O_RDONLY | O_CLOEXEC);
	int to = open(f->copy, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	assert_true(from >= 0 && to >= 0);
	while ((n = read(from, data, sizeof(data))) > 0)
		assert_int_equal(write(to, data, (size_t)n), n);
	close(from);
	close(to);
}

static void expect_copy(struct fixture *f, const char *format, unsigned nr)
{
	struct block_params params = {.path = f->copy, .format = format, .is_read_only = true};
	struct block_check check = {0};
	struct error err;

	copy_file(f);
	struct block *b = block_open(&params, &err);
	if (!b)
		fail_msg("%s", err.text);
	int rc = block_check(b, &check);
	assert_true(!rc || rc == -ENOTSUP);
	assert_int_equal(check.corruptions, 0);
	expect_units(f, b, nr);
	block_close(b);
}

/* ---- the test ---- */

static void fill(struct fixture *f, const char *format, unsigned cluster_size, enum aio_kind aio,
		 unsigned step)
{
	struct block_create_params create = {.path = f->folder.path,
					     .format = format,
					     .size = DISK_SIZE,
					     .cluster_size = cluster_size};
	struct block_params params = {.path = f->folder.path, .format = format, .aio = aio};
	uint64_t room = ROOM;
	unsigned done = 0;
	struct error err;

	if (!f->is_mounted) {
		print_message("mounting a tmpfs is not allowed here\n");
		skip();
	}
	if (block_create(&create, &err))
		fail_msg("%s", err.text);
	if (aio != AIO_SYNC)
		f->loop = params.loop = loop_new(&err);
	f->b = block_open(&params, &err);
	assert_non_null(f->b);
	while (done < NR_UNITS) {
		int rc = write_unit(f, done);

		if (!rc) {
			done++;
			continue;
		}
		assert_int_equal(rc, -ENOSPC);
		rc = flush(f);
		assert_true(!rc || rc == -ENOSPC);
		if (room % MIB < step)
			expect_copy(f, format, done);
		room += step;
		assert_true(room < ROOM_LIMIT);
		give_room(f, room);
	}
	give_room(f, ROOM_LIMIT);
	assert_int_equal(flush(f), 0);
	/* What is there already is written again, all of it. */
	for (unsigned u = 0; u < NR_UNITS; u += 3)
		assert_int_equal(write_unit(f, u), 0);
	assert_int_equal(flush(f), 0);
	assert_true(f->nr_full > 10);
	expect_copy(f, format, NR_UNITS);
	struct block *b = f->b;
	f->b = NULL;
	assert_int_equal(block_close(b), 0);
}

static void a_raw_image_goes_on(void **state)
{
	fill(*state, "raw", 0, AIO_AUTO, 44 * KIB);
}

static void a_raw_image_goes_on_by_threads(void **state)
{
	fill(*state, "raw", 0, AIO_THREADS, 44 * KIB);
}

static void a_qcow2_image_goes_on(void **state)
{
	fill(*state, "qcow2", 0, AIO_AUTO, 44 * KIB);
}

/* Here the refcount table has to grow as well, when there is no room for a larger one. */
static void a_qcow2_image_with_small_clusters_goes_on(void **state)
{
	struct fixture *f = *state;

	fill(f, "qcow2", 512, AIO_AUTO, 4 * KIB);
	assert_true(f->nr_flushes_full > 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_raw_image_goes_on),
		T(a_raw_image_goes_on_by_threads),
		T(a_qcow2_image_goes_on),
		T(a_qcow2_image_with_small_clusters_goes_on),
	};

	/* Mounts of our own, which end with this process. */
	if (!unshare(CLONE_NEWNS) || !unshare(CLONE_NEWUSER | CLONE_NEWNS))
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
