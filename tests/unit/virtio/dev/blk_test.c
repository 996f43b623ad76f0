/* SPDX-License-Identifier: BSD-2-Clause */
/* The block device's requests: what they do, and how those that cannot be done are answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/virtio_blk.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "unit/virtio/driver.h"
#include "virtio/dev/blk.h"

#define DISK_SIZE (4 * MIB)

struct fixture {
	struct driver_host h;
	struct driver_queue q;
	struct block *image;
	const char *format;
	unsigned delay_ms; /* of each request */
	char path[64];
	gpa_t head, data, status;
};

static void open_disk(struct fixture *f, bool is_read_only, uint64_t features)
{
	struct error err = {0};
	struct loop *loop;

	driver_host_init(&f->h);
	loop = io_thread_loop(f->h.io);
	struct block_params params = {
		.path = f->path, .format = f->format, .is_read_only = is_read_only, .loop = loop};
	params.delay_ms = f->delay_ms;
	struct block *b = f->image = block_open(&params, &err);
	if (!b)
		fail_msg("%s", err.text);
	driver_connect(&f->h, virtio_blk_new(&(struct virtio_blk_params){.mem = f->h.mem,
									 .loop = loop,
									 .image = b,
									 .serial = "SERIAL",
									 .nr_queues = 2}));
	assert_true(driver_negotiate(&f->h, features));
	driver_init(&f->q, &f->h, 0, 64);
	driver_start(&f->h);
	f->head = driver_alloc(&f->h, 16);
	f->data = driver_alloc(&f->h, 64 * KIB);
	f->status = driver_alloc(&f->h, 1);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	f->format = "raw";
	strcpy(f->path, "/tmp/bantam-blk-XXXXXX");
	int fd = mkstemp(f->path);
	if (fd < 0 || ftruncate(fd, DISK_SIZE))
		return -1;
	close(fd);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	driver_host_fini(&f->h);
	unlink(f->path);
	free(f);
	return 0;
}

/* One request; returns its status, 0xff when there was none. */
static uint8_t request(struct fixture *f, uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_blk_outhdr head = {.type = type, .sector = sector};
	bool reads = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct driver_buffer chain[] = {
		{f->head, sizeof(head), false}, {f->data, len, reads}, {f->status, 1, true}};
	uint8_t *status = driver_ptr(&f->h, f->status, 1);

	mem_write(f->h.mem, f->head, &head, sizeof(head));
	*status = 0xff;
	if (!len)
		chain[1] = chain[2];
	assert_int_not_equal(driver_request(&f->q, chain, len ? 3 : 2), UINT32_MAX);
	return *status;
}

static void what_is_written_is_read(void **state)
{
	struct fixture *f = *state;

	open_disk(f, false, BIT64(VIRTIO_BLK_F_FLUSH));
	uint8_t *data = driver_ptr(&f->h, f->data, 8192);
	memset(data, 0x5a, 8192);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 100, 8192), VIRTIO_BLK_S_OK);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	memset(data, 0, 8192);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 100, 8192), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 8192; i++)
		assert_int_equal(data[i], 0x5a);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 99, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(data[0], 0);
}

static void requests_past_the_end_are_io_errors(void **state)
{
	struct fixture *f = *state;
	uint64_t end = DISK_SIZE / 512;

	open_disk(f, false, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, end - 1, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, end - 1, 1024), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, end, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, UINT64_MAX, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, UINT64_MAX / 512, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 100), VIRTIO_BLK_S_IOERR);
}

static void a_read_only_disk_is_not_written(void **state)
{
	struct fixture *f = *state;

	open_disk(f, true, 0);
	assert_true(f->h.device->offered_features & BIT64(VIRTIO_BLK_F_RO));
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
}

static void unknown_requests_are_unsupported(void **state)
{
	struct fixture *f = *state;

	open_disk(f, false, 0);
	assert_int_equal(request(f, 2, 0, 512), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(f, 0xffffffff, 0, 0), VIRTIO_BLK_S_UNSUPP);
}

static void the_serial_number_is_told(void **state)
{
	struct fixture *f = *state;

	open_disk(f, false, 0);
	memset(driver_ptr(&f->h, f->data, 20), 0xff, 20);
	assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, 20), VIRTIO_BLK_S_OK);
	assert_string_equal(driver_ptr(&f->h, f->data, 20), "SERIAL");
}

static uint8_t unmap(struct fixture *f, uint32_t type, uint64_t sector, uint32_t nr, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = {
		.sector = sector, .num_sectors = nr, .flags = flags};

	mem_write(f->h.mem, f->data, &range, sizeof(range));
	return request(f, type, 0, sizeof(range));
}

static void zeroes_and_discards_clear(void **state)
{
	struct fixture *f = *state;

	open_disk(f, false, BIT64(VIRTIO_BLK_F_DISCARD) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES));
	uint8_t *data = driver_ptr(&f->h, f->data, 64 * KIB);
	memset(data, 0x77, 64 * KIB);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, 64 * KIB), VIRTIO_BLK_S_OK);
	assert_int_equal(unmap(f, VIRTIO_BLK_T_WRITE_ZEROES, 1, 2, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(unmap(f, VIRTIO_BLK_T_DISCARD, 64, 64, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(unmap(f, VIRTIO_BLK_T_DISCARD, 0, 1, 1), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(unmap(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(unmap(f, VIRTIO_BLK_T_WRITE_ZEROES, DISK_SIZE / 512, 1, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(unmap(f, VIRTIO_BLK_T_DISCARD, UINT64_MAX - 1, 4, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(unmap(f, VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 64 * KIB), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 64 * KIB; i++) {
		bool is_clear = (i / 512 >= 1 && i / 512 < 3) || (i / 512 >= 64 && i / 512 < 128);

		assert_int_equal(data[i], is_clear ? 0 : 0x77);
	}
}

/* ---- two vCPUs, a queue each ---- */

#define ROUNDS 500

struct vcpu {
	struct fixture *f;
	struct driver_queue q;
	gpa_t head, data, status;
	uint64_t sector;
	unsigned nr_wrong;
};

static bool is_done_by(struct vcpu *v, uint32_t type)
{
	struct virtio_blk_outhdr head = {.type = type, .sector = v->sector};
	struct driver_buffer chain[] = {{v->head, sizeof(head), false},
					{v->data, 4096, type == VIRTIO_BLK_T_IN},
					{v->status, 1, true}};

	mem_write(v->f->h.mem, v->head, &head, sizeof(head));
	return driver_request(&v->q, chain, 3) != UINT32_MAX &&
	       *(uint8_t *)driver_ptr(&v->f->h, v->status, 1) == VIRTIO_BLK_S_OK;
}

/* What a vCPU wrote it reads, whatever the other one does. */
static void *write_and_read(void *arg)
{
	struct vcpu *v = arg;
	uint8_t *data = driver_ptr(&v->f->h, v->data, 4096);

	for (unsigned i = 0; i < ROUNDS; i++) {
		if (i % 8 == 0) {
			memset(data, (int)(i / 8 + v->q.index), 4096);
			v->nr_wrong += !is_done_by(v, VIRTIO_BLK_T_OUT);
		}
		memset(data, 0xff, 4096);
		v->nr_wrong += !is_done_by(v, VIRTIO_BLK_T_IN);
		v->nr_wrong += data[0] != (uint8_t)(i / 8 + v->q.index) || data[4095] != data[0];
	}
	return NULL;
}

static void two_vcpus_use_a_queue_each(void **state)
{
	struct fixture *f = *state;
	struct vcpu vcpus[2] = {0};
	pthread_t threads[2];

	open_disk(f, false, BIT64(VIRTIO_BLK_F_FLUSH) | BIT64(VIRTIO_BLK_F_MQ));
	for (unsigned i = 0; i < 2; i++) {
		struct vcpu *v = &vcpus[i];

		*v = (struct vcpu){.f = f, .sector = i * 64};
		if (i)
			driver_init(&v->q, &f->h, i, 64);
		else
			v->q = f->q;
		v->head = driver_alloc(&f->h, 16);
		v->data = driver_alloc(&f->h, 4096);
		v->status = driver_alloc(&f->h, 1);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_and_read, &vcpus[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(vcpus[0].nr_wrong + vcpus[1].nr_wrong, 0);
}

/* ---- what may wait ---- */

static pthread_t vcpu_thread;
static atomic_uint nr_syncs_on_vcpu, nr_syncs;

/* The host's, as the program calls it. */
int fdatasync(int fd)
{
	atomic_fetch_add(&nr_syncs, 1);
	if (pthread_equal(pthread_self(), vcpu_thread))
		atomic_fetch_add(&nr_syncs_on_vcpu, 1);
	return (int)syscall(SYS_fdatasync, fd);
}

static void open_qcow2(struct fixture *f, uint64_t size, unsigned cluster_size)
{
	struct block_create_params p = {.path = f->path,
					.format = "qcow2",
					.size = size,
					.cluster_size = cluster_size,
					.may_replace = true};
	struct error err;

	assert_int_equal(block_create(&p, &err), 0);
	f->format = "qcow2";
	open_disk(f, false, BIT64(VIRTIO_BLK_F_FLUSH) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES));
}

/* The first refcount table of smallest clusters counts 8 MiB; moving it syncs the image. */
static void a_vcpu_does_not_sync_an_image(void **state)
{
	struct fixture *f = *state;
	const uint64_t size = 16 * MIB;

	vcpu_thread = pthread_self();
	open_qcow2(f, size, 512);
	nr_syncs = nr_syncs_on_vcpu = 0;
	for (uint64_t sector = 0; sector < size / 512; sector += 64)
		assert_int_equal(request(f, VIRTIO_BLK_T_OUT, sector, 32 * KIB), VIRTIO_BLK_S_OK);
	assert_true(nr_syncs > 0);
	assert_int_equal(nr_syncs_on_vcpu, 0);
}

static uint64_t count_flushes(struct fixture *f)
{
	struct block_stats stats;

	block_get_stats(f->image, &stats);
	return stats.requests[BLOCK_FLUSH];
}

static void what_a_driver_without_flushes_writes_is_flushed(void **state)
{
	struct fixture *f = *state;

	open_disk(f, false, BIT64(VIRTIO_BLK_F_DISCARD) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(unmap(f, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(count_flushes(f), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(count_flushes(f), 1);
	assert_int_equal(unmap(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(count_flushes(f), 2);
}

/* After a reset nothing touches the guest's memory any more: what was in flight has ended before. */
static void resets_wait_for_requests_in_flight(struct fixture *f, void (*reset)(struct fixture *f))
{
	struct virtio_blk_outhdr head = {.type = VIRTIO_BLK_T_IN};
	struct driver_buffer chain[] = {
		{f->head, sizeof(head), false}, {f->data, 4096, true}, {f->status, 1, true}};
	uint8_t *status = driver_ptr(&f->h, f->status, 1);

	mem_write(f->h.mem, f->head, &head, sizeof(head));
	*status = 0xff;
	driver_add(&f->q, chain, 3);
	driver_notify(&f->q);
	/* The device has it. */
	for (unsigned i = 0; i < 5000; i++) {
		struct block_stats stats;

		block_get_stats(f->image, &stats);
		if (stats.requests[BLOCK_READ])
			break;
		usleep(1000);
	}
	assert_int_equal(*status, 0xff);
	reset(f);
	assert_int_equal(*status, VIRTIO_BLK_S_OK);
}

static void reset_device(struct fixture *f)
{
	virtio_set_status(f->h.device, 0);
}

static void reset_queue(struct fixture *f)
{
	virtio_queue_reset(f->h.device, 0);
	assert_false(virtio_queue_is_enabled(f->h.device, 0));
}

static void a_device_reset_waits_for_requests_in_flight(void **state)
{
	struct fixture *f = *state;

	f->delay_ms = 300;
	open_disk(f, false, 0);
	resets_wait_for_requests_in_flight(f, reset_device);
}

static void a_queue_reset_waits_for_requests_in_flight(void **state)
{
	struct fixture *f = *state;

	f->delay_ms = 300;
	open_disk(f, false, BIT64(VIRTIO_F_RING_RESET));
	resets_wait_for_requests_in_flight(f, reset_queue);
}

static void a_request_without_status_breaks_the_device(void **state)
{
	struct fixture *f = *state;
	struct driver_buffer chain = {0, 16, false};

	open_disk(f, false, 0);
	chain.gpa = f->head;
	driver_add(&f->q, &chain, 1);
	driver_notify(&f->q);
	for (unsigned i = 0; i < 5000 && !(virtio_status(f->h.device) & 0x40); i++)
		usleep(1000);
	assert_true(virtio_status(f->h.device) & 0x40);
	virtio_set_status(f->h.device, 0);
	assert_int_equal(virtio_status(f->h.device), 0);
}

static void the_configuration_space_says_what_there_is(void **state)
{
	struct fixture *f = *state;
	struct virtio_blk_config c;

	open_disk(f, false, 0);
	for (unsigned i = 0; i < sizeof(c); i += 4)
		virtio_config_read(f->h.device, i, (char *)&c + i,
				   min(4u, (unsigned)sizeof(c) - i));
	assert_int_equal(c.capacity, DISK_SIZE / 512);
	assert_int_equal(c.num_queues, 2);
	assert_int_equal(c.seg_max, 254);
	assert_int_equal(c.blk_size, 512);
	assert_int_equal(c.physical_block_exp, 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(what_is_written_is_read),
		T(requests_past_the_end_are_io_errors),
		T(a_read_only_disk_is_not_written),
		T(unknown_requests_are_unsupported),
		T(the_serial_number_is_told),
		T(zeroes_and_discards_clear),
		T(two_vcpus_use_a_queue_each),
		T(a_vcpu_does_not_sync_an_image),
		T(what_a_driver_without_flushes_writes_is_flushed),
		T(a_device_reset_waits_for_requests_in_flight),
		T(a_queue_reset_waits_for_requests_in_flight),
		T(a_request_without_status_breaks_the_device),
		T(the_configuration_space_says_what_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
