/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Short requests to the page cache are done by the thread that borrowed the loop, but for writes while
 * one of them took long not long ago. pwritev() and pwritev2() are the test's own: of a file system that
 * cannot say that a write would wait, and whose writes take as long as the test wants.
 */
#include "unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/block/block.h"
#include "base/buf.h"
#include "host/io_thread.h"
#include "unit/backend/block/image_folder.h"

#define LEN 4096

static atomic_uint write_us; /* how long a write takes */
static pthread_t writer;     /* who did the last one */

ssize_t pwritev2(int fd, const struct iovec *iov, int nr, off_t offset, int flags)
{
	errno = EOPNOTSUPP;
	return -1;
}

ssize_t pwritev(int fd, const struct iovec *iov, int nr, off_t offset)
{
	writer = pthread_self();
	usleep(write_us);
	return syscall(SYS_pwritev, fd, iov, nr, offset, 0);
}

struct fixture {
	struct image_folder folder;
	struct io_thread *io;
	struct block *b;
	sem_t done;
	uint8_t data[LEN];
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc_zero(sizeof(*f));
	struct error err;

	*state = f;
	sem_init(&f->done, 0, 0);
	f->io = io_thread_new("test", &err);
	if (!f->io || image_folder_init(&f->folder) ||
	    block_create(&(struct block_create_params){.path = f->folder.path,
						       .format = "raw",
						       .size = MIB},
			 &err))
		return -1;
	f->b = block_open(&(struct block_params){.path = f->folder.path,
						 .format = "raw",
						 .loop = io_thread_loop(f->io)},
			  &err);
	return f->b ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	block_close(f->b);
	io_thread_free(f->io);
	image_folder_fini(&f->folder);
	sem_destroy(&f->done);
	free(f);
	return 0;
}

static sem_t *done_sem;

static void is_done(struct block_req *req, int rc)
{
	assert_int_equal(rc, 0);
	sem_post(done_sem);
}

/* Writes on a borrowed loop. Returns whether this thread did it. */
static bool write_borrowed(struct fixture *f)
{
	struct iovec iov = {f->data, LEN};
	struct block_req req = {
		.op = BLOCK_WRITE, .len = LEN, .iov = &iov, .nr_iov = 1, .done = is_done};
	struct loop *loop = io_thread_loop(f->io);

	done_sem = &f->done;
	while (!loop_borrow(loop))
		usleep(100);
	block_plug(f->b);
	block_submit(f->b, &req);
	block_unplug(f->b);
	loop_give_back(loop);
	sem_wait(&f->done);
	return pthread_equal(writer, pthread_self());
}

static void short_writes_are_done_by_who_borrowed_the_loop(void **state)
{
	struct fixture *f = *state;

	write_us = 0;
	for (unsigned tries = 0; tries < 100; tries++) {
		/* This thread may have had to wait for a CPU. */
		if (write_borrowed(f))
			return;
		usleep(10000);
	}
	fail();
}

static void after_a_slow_write_they_are_left_to_the_loop(void **state)
{
	struct fixture *f = *state;

	write_us = 3000;
	while (!write_borrowed(f))
		usleep(10000);
	write_us = 0;
	assert_false(write_borrowed(f));
	uint64_t begin = host_now_ns();
	while (!write_borrowed(f))
		usleep(1000);
	assert_in_range(host_now_ns() - begin, 10 * NS_PER_MS, 10 * NS_PER_SEC);
}

static void the_more_slow_ones_the_longer(void **state)
{
	struct fixture *f = *state;
	uint64_t begin;

	write_us = 3000;
	for (unsigned n = 0; n < 3; n++)
		while (!write_borrowed(f))
			usleep(10000);
	begin = host_now_ns();
	while (!write_borrowed(f))
		usleep(10000);
	assert_true(host_now_ns() - begin > 300 * NS_PER_MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(short_writes_are_done_by_who_borrowed_the_loop),
		TEST(after_a_slow_write_they_are_left_to_the_loop),
		TEST(the_more_slow_ones_the_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
