/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images of every format against a model: random requests, in parallel and one by one, by each way of
 * doing input and output; the same bytes come back, also after closing, and the image checks clean.
 */
#include "unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block/block.h"
#include "base/buf.h"
#include "host/loop.h"
#include "unit/backend/block/image_folder.h"

#define DISK_SIZE (3 * MIB + 512)
#define REQUESTS  400
#define IN_FLIGHT 16
#define LEN_MAX	  (200 * KIB)

struct fixture {
	struct image_folder folder;
	uint8_t *model;
	unsigned seed;
	struct block *b;
	struct loop *loop;
};

struct slot {
	struct block_req req;
	struct fixture *f;
	uint8_t *data;
	struct iovec iov[3];
	bool is_busy;
};

static struct slot slots[IN_FLIGHT];
static unsigned nr_done, nr_wrong;

static int set_up(void **state)
{
	struct fixture *f = mem_alloc_zero(sizeof(*f));

	f->model = mem_alloc_zero(DISK_SIZE);
	*state = f;
	return image_folder_init(&f->folder);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	image_folder_fini(&f->folder);
	free(f->model);
	free(f);
	return 0;
}

static uint64_t random_below(struct fixture *f, uint64_t limit)
{
	f->seed = f->seed * 1103515245 + 12345;
	uint64_t high = f->seed >> 8;
	f->seed = f->seed * 1103515245 + 12345;
	return (high << 16 ^ f->seed >> 8) % limit;
}

/* ---- requests in parallel, none of which overlap ---- */

static bool overlaps_busy(uint64_t offset, uint64_t len)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		struct slot *s = &slots[i];

		if (s->is_busy && s->req.offset < offset + len &&
		    offset < s->req.offset + s->req.len)
			return true;
	}
	return false;
}

static void request_done(struct block_req *req, int rc)
{
	struct slot *s = container_of(req, struct slot, req);

	assert_int_equal(rc, 0);
	if (req->op == BLOCK_READ && memcmp(s->data, s->f->model + req->offset, req->len))
		nr_wrong++;
	free(s->data);
	s->is_busy = false;
	nr_done++;
}

/* Whole clusters become zeroes, what is left of others stays. */
static void model_discard(struct fixture *f, uint64_t offset, uint64_t len)
{
	uint64_t unit = block_discard_granularity(f->b), end = offset + len;

	offset = (offset + unit - 1) / unit * unit;
	if (end != DISK_SIZE)
		end = end / unit * unit;
	if (offset < end)
		memset(f->model + offset, 0, end - offset);
}

/* A request cut into three pieces of memory, at a place no other one is about. */
static bool start_random(struct fixture *f, struct slot *s, bool has_discard)
{
	static const enum block_op ops[] = {BLOCK_READ,	  BLOCK_WRITE, BLOCK_WRITE,
					    BLOCK_WRITE,  BLOCK_FLUSH, BLOCK_WRITE_ZEROES,
					    BLOCK_DISCARD};
	enum block_op op = ops[random_below(f, has_discard ? 7 : 6)];
	uint64_t len = (random_below(f, random_below(f, 4) ? 16 : LEN_MAX / 512) + 1) * 512;
	uint64_t offset = random_below(f, DISK_SIZE / 512) * 512;

	len = min(len, DISK_SIZE - offset);
	if (op == BLOCK_FLUSH)
		offset = len = 0;
	if (overlaps_busy(offset, len))
		return false;
	s->f = f;
	s->data = mem_alloc_zero(len);
	for (uint64_t i = 0; op == BLOCK_WRITE && i < len; i++)
		s->data[i] = (uint8_t)random_below(f, 256);
	if (op == BLOCK_WRITE)
		memcpy(f->model + offset, s->data, len);
	if (op == BLOCK_WRITE_ZEROES)
		memset(f->model + offset, 0, len);
	if (op == BLOCK_DISCARD)
		model_discard(f, offset, len);
	uint64_t cut = len / 1024 * 512;
	s->iov[0] = (struct iovec){s->data, cut / 2};
	s->iov[1] = (struct iovec){s->data + cut / 2, cut - cut / 2};
	s->iov[2] = (struct iovec){s->data + cut, len - cut};
	s->req = (struct block_req){.op = op,
				    .may_unmap = random_below(f, 2),
				    .offset = offset,
				    .len = len,
				    .iov = s->iov,
				    .nr_iov = 3,
				    .done = request_done};
	s->is_busy = true;
	block_submit(f->b, &s->req);
	return true;
}

static void do_requests(struct fixture *f, bool has_discard)
{
	unsigned started = 0;

	nr_done = nr_wrong = 0;
	for (unsigned tries = 0; started < REQUESTS && tries < 100 * REQUESTS; tries++) {
		unsigned burst = (unsigned)random_below(f, IN_FLIGHT) + 1;

		block_plug(f->b);
		for (unsigned i = 0; i < IN_FLIGHT && burst; i++) {
			if (!slots[i].is_busy && start_random(f, &slots[i], has_discard)) {
				started++;
				burst--;
			}
		}
		block_unplug(f->b);
		if (!random_below(f, 8))
			block_drain(f->b);
	}
	block_drain(f->b);
	assert_int_equal(nr_done, started);
	assert_int_equal(nr_wrong, 0);
}

static void expect_model(struct fixture *f, struct block *b)
{
	uint8_t *data = mem_alloc_zero(DISK_SIZE);

	assert_int_equal(block_size(b), DISK_SIZE);
	assert_int_equal(block_read(b, 0, data, DISK_SIZE), 0);
	for (uint64_t i = 0; i < DISK_SIZE; i++) {
		if (data[i] != f->model[i])
			fail_msg("byte %#llx is %02x, not %02x", (unsigned long long)i, data[i],
				 f->model[i]);
	}
	free(data);
}

static void expect_clean(struct fixture *f)
{
	struct block_params params = {
		.path = f->folder.path, .format = "qcow2", .is_read_only = true};
	struct block_check check = {0};
	struct error err;
	struct block *b = block_open(&params, &err);

	assert_non_null(b);
	assert_int_equal(block_check(b, &check), 0);
	assert_int_equal(check.corruptions, 0);
	assert_int_equal(check.leaks, 0);
	block_close(b);
}

static void use(struct fixture *f, struct block_params params, const char *qcow2)
{
	struct error err = {0};

	for (unsigned round = 0; round < 3; round++) {
		if (params.aio != AIO_SYNC)
			f->loop = params.loop = loop_new(&err);
		f->b = block_open(&params, &err);
		if (!f->b)
			fail_msg("%s", err.text);
		/* Discarded bytes are zeroes where nothing is below that shows through. */
		do_requests(f, qcow2 && strcmp(qcow2, "v2-backing"));
		assert_int_equal(block_close(f->b), 0);
		if (f->loop)
			loop_free(f->loop);
		f->loop = NULL;
		if (qcow2)
			expect_clean(f);
		params.loop = NULL;
		struct block *b = block_open(&params, &err);
		assert_non_null(b);
		expect_model(f, b);
		block_close(b);
	}
}

static void make(struct block_create_params p)
{
	struct error err = {0};

	if (block_create(&p, &err))
		fail_msg("%s", err.text);
}

static void make_base(struct fixture *f)
{
	FILE *out = fopen(f->folder.base, "w");

	for (uint64_t i = 0; i < DISK_SIZE; i++)
		f->model[i] = (uint8_t)random_below(f, 256);
	assert_int_equal(fwrite(f->model, 1, DISK_SIZE, out), DISK_SIZE);
	fclose(out);
}

static void raw_with(struct fixture *f, enum aio_kind aio, bool is_direct)
{
	make((struct block_create_params){
		.path = f->folder.path, .format = "raw", .size = DISK_SIZE});
	use(f,
	    (struct block_params){
		    .path = f->folder.path, .format = "raw", .aio = aio, .is_direct = is_direct},
	    NULL);
}

static void raw_by_system_calls(void **state)
{
	raw_with(*state, AIO_SYNC, false);
}

static void raw_by_threads(void **state)
{
	raw_with(*state, AIO_THREADS, false);
}

static void raw_by_whatever_is_best(void **state)
{
	raw_with(*state, AIO_AUTO, false);
}

static void raw_past_the_page_cache(void **state)
{
	struct fixture *f = *state;
	int fd = open(f->folder.path, O_CREAT | O_RDWR | O_DIRECT, 0644);

	if (fd < 0)
		skip(); /* tmpfs */
	close(fd);
	unlink(f->folder.path);
	raw_with(f, AIO_AUTO, true);
}

static void qcow2_with(struct fixture *f, unsigned cluster_size, unsigned version,
		       enum aio_kind aio)
{
	make((struct block_create_params){.path = f->folder.path,
					  .format = "qcow2",
					  .size = DISK_SIZE,
					  .version = version,
					  .cluster_size = cluster_size});
	use(f, (struct block_params){.path = f->folder.path, .aio = aio}, "plain");
}

static void qcow2_of_version_3(void **state)
{
	qcow2_with(*state, 64 * KIB, 3, AIO_AUTO);
}

static void qcow2_of_version_2(void **state)
{
	qcow2_with(*state, 64 * KIB, 2, AIO_THREADS);
}

/* Refcount table and L1 table grow; most requests span many L2 tables. */
static void qcow2_with_smallest_clusters(void **state)
{
	qcow2_with(*state, 512, 3, AIO_AUTO);
}

static void qcow2_with_small_clusters(void **state)
{
	qcow2_with(*state, 4096, 3, AIO_SYNC);
}

static void qcow2_with_largest_clusters(void **state)
{
	qcow2_with(*state, 2 * MIB, 3, AIO_AUTO);
}

static void qcow2_over_base(struct fixture *f, unsigned version, bool is_direct)
{
	make_base(f);
	make((struct block_create_params){.path = f->folder.path,
					  .format = "qcow2",
					  .version = version,
					  .cluster_size = 16 * KIB,
					  .backing = "base",
					  .backing_format = "raw"});
	use(f,
	    (struct block_params){.path = f->folder.path, .aio = AIO_AUTO, .is_direct = is_direct},
	    version == 2 ? "v2-backing" : "backing");
}

static void qcow2_with_backing_file(void **state)
{
	qcow2_over_base(*state, 3, false);
}

static void qcow2_of_version_2_with_backing_file(void **state)
{
	qcow2_over_base(*state, 2, false);
}

static void cow_with_backing_file(void **state)
{
	struct fixture *f = *state;

	make_base(f);
	make((struct block_create_params){
		.path = f->folder.path, .format = "cow", .backing = "base"});
	use(f, (struct block_params){.path = f->folder.path, .aio = AIO_AUTO}, NULL);
}

static void is_written(struct block_req *req, int rc)
{
	*(int *)req->iov[1].iov_base = rc;
}

static int write_and_wait(struct block *b, uint64_t offset, uint8_t *data, size_t len)
{
	int rc = 1;
	struct iovec iov[] = {{data, len}, {&rc, 0}};
	struct block_req req = {.op = BLOCK_WRITE,
				.offset = offset,
				.len = len,
				.iov = iov,
				.nr_iov = 2,
				.done = is_written};

	block_plug(b);
	block_submit(b, &req);
	block_unplug(b);
	block_drain(b);
	return rc;
}

/* Far longer than what drivers ask for: it is done piece by piece. */
static void a_long_request_is_done_whole(void **state)
{
	struct fixture *f = *state;
	struct block_params params = {.path = f->folder.path, .format = "qcow2"};
	const size_t len = 11 * MIB + 512;
	uint8_t *data = mem_alloc_zero(len), *back = mem_alloc_zero(len);
	struct error err;

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)random_below(f, 256);
	make((struct block_create_params){
		.path = f->folder.path, .format = "qcow2", .size = 12 * MIB, .cluster_size = 512});
	params.loop = loop_new(&err);
	struct block *b = block_open(&params, &err);
	assert_non_null(b);
	assert_int_equal(write_and_wait(b, 512, data, len), 0);
	assert_int_equal(block_close(b), 0);
	loop_free(params.loop);
	params.loop = NULL;
	b = block_open(&params, &err);
	assert_non_null(b);
	assert_int_equal(block_read(b, 512, back, len), 0);
	assert_memory_equal(data, back, len);
	assert_int_equal(block_close(b), 0);
	expect_clean(f);
	free(data);
	free(back);
}

/* ---- compressed clusters ---- */

static void compressed_with(struct fixture *f, bool uses_zstd)
{
	struct block_params params = {.path = f->folder.path};
	const uint64_t cluster = 64 * KIB;
	struct error err = {0};

	for (uint64_t i = 0; i < DISK_SIZE; i++)
		f->model[i] = i / 4096 % 2 ? (uint8_t)random_below(f, 256) : (uint8_t)(i / 100);
	make((struct block_create_params){.path = f->folder.path,
					  .format = "qcow2",
					  .size = DISK_SIZE,
					  .uses_zstd = uses_zstd});
	struct block *b = block_open(&params, &err);
	assert_non_null(b);
	for (uint64_t at = 0; at < DISK_SIZE; at += cluster)
		assert_int_equal(
			block_write_compressed(b, at, f->model + at, min(cluster, DISK_SIZE - at)),
			0);
	expect_model(f, b);
	assert_int_equal(block_close(b), 0);
	expect_clean(f);
	use(f, (struct block_params){.path = f->folder.path, .aio = AIO_AUTO}, "compressed");
}

static void compressed_by_zlib(void **state)
{
	compressed_with(*state, false);
}

static void compressed_by_zstd(void **state)
{
	compressed_with(*state, true);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(raw_by_system_calls),
		T(raw_by_threads),
		T(raw_by_whatever_is_best),
		T(raw_past_the_page_cache),
		T(qcow2_of_version_3),
		T(qcow2_of_version_2),
		T(qcow2_with_smallest_clusters),
		T(qcow2_with_small_clusters),
		T(qcow2_with_largest_clusters),
		T(qcow2_with_backing_file),
		T(qcow2_of_version_2_with_backing_file),
		T(cow_with_backing_file),
		T(a_long_request_is_done_whole),
		T(compressed_by_zlib),
		T(compressed_by_zstd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
