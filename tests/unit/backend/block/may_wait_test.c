/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What block_may_wait() says comes true: a request of which it says no reads and writes nothing while
 * everything else stands still. pread() and pwrite(), by which formats do that, are the test's own
 * here; what requests move goes by preadv() and pwritev().
 */
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/block/block.h"
#include "base/buf.h"
#include "unit/backend/block/image_folder.h"

#define DISK_SIZE \
	(16 * MIB) /* with clusters of 512 bytes, more than the first refcount table counts */
#define LEN_MAX (64 * KIB)

static unsigned nr_at_once; /* calls for which a thread waits */

ssize_t pread(int fd, void *data, size_t len, off_t offset)
{
	nr_at_once++;
	return syscall(SYS_pread64, fd, data, len, offset);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	nr_at_once++;
	return syscall(SYS_pwrite64, fd, data, len, offset);
}

struct fixture {
	struct image_folder folder;
	struct block *b;
	unsigned seed;
	unsigned nr_requests, nr_foretold, nr_waited;
	uint8_t data[LEN_MAX];
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc_zero(sizeof(*f));

	*state = f;
	return image_folder_init(&f->folder);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	block_close(f->b);
	image_folder_fini(&f->folder);
	free(f);
	return 0;
}

static void create(struct fixture *f, unsigned cluster_size)
{
	struct block_create_params p = {.path = f->folder.path,
					.format = "qcow2",
					.size = DISK_SIZE,
					.cluster_size = cluster_size,
					.may_replace = true};
	struct error err;

	block_close(f->b);
	f->b = NULL;
	assert_int_equal(block_create(&p, &err), 0);
}

static void reopen(struct fixture *f)
{
	struct error err;

	block_close(f->b);
	f->b = block_open(&(struct block_params){.path = f->folder.path}, &err);
	assert_non_null(f->b);
}

static void is_done(struct block_req *req, int rc)
{
	assert_int_equal(rc, 0);
}

/* Returns whether it was foretold that the request may wait, and holds that against what it did. */
static bool run(struct fixture *f, enum block_op op, uint64_t offset, uint64_t len)
{
	struct iovec iov = {f->data, len};
	struct block_req req = {.op = op,
				.may_unmap = true,
				.offset = offset,
				.len = len,
				.iov = &iov,
				.nr_iov = 1,
				.done = is_done};
	bool is_foretold = block_may_wait(f->b, &req);

	nr_at_once = 0;
	block_plug(f->b);
	block_submit(f->b, &req);
	block_unplug(f->b);
	assert_true(is_foretold || !nr_at_once);
	f->nr_requests++;
	f->nr_foretold += is_foretold;
	f->nr_waited += nr_at_once > 0;
	return is_foretold;
}

static unsigned random_below(struct fixture *f, unsigned limit)
{
	return (unsigned)rand_r(&f->seed) % limit;
}

static void run_random(struct fixture *f)
{
	static const enum block_op ops[] = {BLOCK_WRITE, BLOCK_WRITE,	BLOCK_WRITE,
					    BLOCK_READ,	 BLOCK_DISCARD, BLOCK_WRITE_ZEROES};
	uint64_t len = (1 + random_below(f, LEN_MAX / BLOCK_SECTOR)) * BLOCK_SECTOR;
	uint64_t offset = random_below(f, (unsigned)((DISK_SIZE - len) / BLOCK_SECTOR) + 1) *
			  (uint64_t)BLOCK_SECTOR;

	if (random_below(f, 20))
		run(f, ops[random_below(f, ARRAY_SIZE(ops))], offset, len);
	else
		run(f, BLOCK_FLUSH, 0, 0);
}

/* Refcount blocks are loaded and added, and the table of them grows. */
static void nothing_waits_that_was_not_foretold(void **state)
{
	struct fixture *f = *state;

	for (unsigned round = 0; round < 20; round++) {
		f->seed = round + 1;
		if (round % 4 == 0)
			create(f, 512);
		reopen(f);
		for (unsigned i = 0; i < 500; i++)
			run_random(f);
	}
	assert_true(f->nr_waited > 20);
	assert_true(f->nr_foretold < f->nr_requests / 2);
}

static void writes_that_take_known_clusters_do_not_wait(void **state)
{
	struct fixture *f = *state;
	unsigned nr_foretold = 0;

	create(f, 64 * KIB);
	reopen(f);
	for (uint64_t at = 0; at < DISK_SIZE; at += LEN_MAX)
		nr_foretold += run(f, BLOCK_WRITE, at, LEN_MAX);
	assert_int_equal(nr_foretold, 1); /* the first one reads the counts */
}

static void reads_and_writes_in_place_do_not_wait(void **state)
{
	struct fixture *f = *state;

	create(f, 64 * KIB);
	reopen(f);
	run(f, BLOCK_WRITE, 0, LEN_MAX);
	reopen(f);
	assert_false(run(f, BLOCK_READ, 0, LEN_MAX));
	assert_false(run(f, BLOCK_WRITE, 512, 512)); /* the L2 table was read before */
	assert_true(run(f, BLOCK_WRITE, MIB, 512));
}

static void a_request_outside_the_image_does_not_wait(void **state)
{
	struct fixture *f = *state;
	struct block_req req = {.op = BLOCK_WRITE, .offset = DISK_SIZE, .len = 512};

	create(f, 512);
	reopen(f);
	assert_false(block_may_wait(f->b, &req));
	req.offset = UINT64_MAX - 511;
	assert_false(block_may_wait(f->b, &req));
	assert_false(block_may_wait(f->b, NULL));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(nothing_waits_that_was_not_foretold),
		T(writes_that_take_known_clusters_do_not_wait),
		T(reads_and_writes_in_place_do_not_wait),
		T(a_request_outside_the_image_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
