/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a flush promises when several run at once and when the host fails one. The host's fdatasync()
 * and pwritev() are the test's own here: it holds a flush up, lets it fail, and notes the order.
 */
#include "unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/block/block.h"
#include "base/buf.h"
#include "base/log.h"
#include "host/loop.h"
#include "unit/backend/block/image_folder.h"

#define DISK_SIZE (4 * MIB)
#define UNIT	  4096

/* ---- the host ---- */

static struct {
	atomic_bool holds;    /* flushes wait while it is set */
	atomic_int fails;     /* errno of the next flush, or 0 */
	atomic_uint nr_begun; /* flushes */
	char calls[64];	      /* W: a write, F: a flush */
	atomic_uint nr_calls;
} host;

static void note(char call)
{
	unsigned i = atomic_fetch_add(&host.nr_calls, 1);

	if (i < sizeof(host.calls) - 1)
		host.calls[i] = call;
}

int fdatasync(int fd)
{
	note('F');
	atomic_fetch_add(&host.nr_begun, 1);
	while (atomic_load(&host.holds))
		usleep(1000);
	int fails = atomic_exchange(&host.fails, 0);
	if (!fails)
		return (int)syscall(SYS_fdatasync, fd);
	errno = fails;
	return -1;
}

ssize_t pwritev(int fd, const struct iovec *iov, int nr, off_t offset)
{
	note('W');
	return syscall(SYS_pwritev, fd, iov, (long)nr, offset, 0L);
}

/* ---- images ---- */

struct fixture {
	struct image_folder folder;
	struct loop *loop;
	struct block *b;
	uint8_t data[UNIT];
};

struct request {
	struct block_req req;
	struct iovec iov;
	bool is_done;
	int rc;
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc_zero(sizeof(*f));

	memset(&host, 0, sizeof(host));
	log_set_level(LOG_ERROR);
	*state = f;
	return image_folder_init(&f->folder);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	block_close(f->b);
	loop_free(f->loop);
	image_folder_fini(&f->folder);
	free(f);
	return 0;
}

static void create(const char *path, const char *format, const char *backing)
{
	struct block_create_params p = {.path = path,
					.format = format,
					.size = DISK_SIZE,
					.backing = backing,
					.backing_format = backing ? "raw" : NULL};
	struct error err;

	if (block_create(&p, &err))
		fail_msg("%s", err.text);
}

static void open_image(struct fixture *f, const char *format, enum aio_kind aio)
{
	struct block_params params = {.path = f->folder.path, .format = format, .aio = aio};
	struct error err;

	create(f->folder.base, "raw", NULL);
	create(f->folder.path, format, strcmp(format, "cow") ? NULL : "base");
	if (aio != AIO_SYNC)
		f->loop = params.loop = loop_new(&err);
	f->b = block_open(&params, &err);
	if (!f->b)
		fail_msg("%s", err.text);
}

static void is_done(struct block_req *req, int rc)
{
	struct request *r = container_of(req, struct request, req);

	r->is_done = true;
	r->rc = rc;
}

static void start(struct fixture *f, struct request *r, enum block_op op, uint64_t offset)
{
	*r = (struct request){.iov = {f->data, UNIT}};
	r->req = (struct block_req){.op = op,
				    .offset = offset,
				    .len = UNIT,
				    .iov = &r->iov,
				    .nr_iov = 1,
				    .done = is_done};
	if (op == BLOCK_WRITE_ZEROES)
		r->req.len = 64 * KIB;
	block_plug(f->b);
	block_submit(f->b, &r->req);
	block_unplug(f->b);
}

static int run(struct fixture *f, enum block_op op, uint64_t offset)
{
	struct request r;

	start(f, &r, op, offset);
	block_drain(f->b);
	assert_true(r.is_done);
	return r.rc;
}

static void wait_for_flushes(struct fixture *f, unsigned nr)
{
	while (atomic_load(&host.nr_begun) < nr) {
		block_plug(f->b);
		block_unplug(f->b);
		usleep(1000);
	}
}

/* ---- tests ---- */

/* A write is done; one flush is held up by the host; a second one must not be done before it. */
static void second_flush_waits(struct fixture *f, const char *format)
{
	struct request first, second;

	open_image(f, format, AIO_THREADS);
	assert_int_equal(run(f, BLOCK_WRITE, 0), 0);
	unsigned before = host.nr_begun;
	host.holds = true;
	start(f, &first, BLOCK_FLUSH, 0);
	wait_for_flushes(f, before + 1);
	start(f, &second, BLOCK_FLUSH, 0);
	assert_false(first.is_done);
	assert_false(second.is_done);
	host.holds = false;
	block_drain(f->b);
	assert_true(first.is_done && !first.rc);
	assert_true(second.is_done && !second.rc);
}

static void a_flush_of_raw_waits_for_the_one_before(void **state)
{
	second_flush_waits(*state, "raw");
}

static void a_flush_of_qcow2_waits_for_the_one_before(void **state)
{
	second_flush_waits(*state, "qcow2");
}

static void a_flush_of_cow_waits_for_the_one_before(void **state)
{
	second_flush_waits(*state, "cow");
}

/* The host tells of lost pages once; what follows must not claim that they are there. */
static void flushes_fail_after_a_failed_one(void **state)
{
	struct fixture *f = *state;

	open_image(f, "raw", AIO_SYNC);
	assert_int_equal(run(f, BLOCK_WRITE, 0), 0);
	host.fails = EIO;
	assert_int_equal(run(f, BLOCK_FLUSH, 0), -EIO);
	assert_int_equal(run(f, BLOCK_FLUSH, 0), -EIO);
	assert_int_equal(run(f, BLOCK_WRITE, 0), 0);
	assert_int_equal(run(f, BLOCK_FLUSH, 0), -EIO);
	assert_int_equal(run(f, BLOCK_READ, 0), 0);
}

/* Data goes into a cluster that an L2 entry kept as zeroes; that entry may not be there before it. */
static void data_is_on_disk_before_its_l2_entry(void **state)
{
	struct fixture *f = *state;

	open_image(f, "qcow2", AIO_SYNC);
	assert_int_equal(run(f, BLOCK_WRITE, 0), 0);
	assert_int_equal(run(f, BLOCK_WRITE_ZEROES, 0), 0);
	assert_int_equal(run(f, BLOCK_FLUSH, 0), 0);
	memset(host.calls, 0, sizeof(host.calls));
	host.nr_calls = 0;
	assert_int_equal(run(f, BLOCK_WRITE, 0), 0);
	assert_int_equal(run(f, BLOCK_FLUSH, 0), 0);
	assert_string_equal(host.calls, "WFWF");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_flush_of_raw_waits_for_the_one_before),
		T(a_flush_of_qcow2_waits_for_the_one_before),
		T(a_flush_of_cow_waits_for_the_one_before),
		T(flushes_fail_after_a_failed_one),
		T(data_is_on_disk_before_its_l2_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
