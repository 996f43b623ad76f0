/* SPDX-License-Identifier: BSD-2-Clause */
/* The devices that carry file servers: configuration, a request, what waits. */
#include "unit/backend/fs/tree.h"
#include "unit/virtio/driver.h"

#include <linux/fuse.h>
#include <linux/virtio_fs.h>

#include "virtio/dev/fs.h"
#include "virtio/dev/p9.h"

static struct tree tree;
static struct driver_host host;
static const struct export_options options = {.max_descriptors = 64};

static int start(void **state)
{
	tree_init(&tree);
	driver_host_init(&host);
	return 0;
}

static int stop(void **state)
{
	driver_host_fini(&host);
	tree_fini(&tree);
	return 0;
}

static void connect_fs(void)
{
	struct export *ex = export_open(tree.top, &options, NULL);

	assert_non_null(ex);
	driver_connect(&host, virtio_fs_new(host.mem, io_thread_loop(host.io), ex, FUSE_CACHE_AUTO,
					    "a tag"));
}

static void fs_has_tag_and_queues(void **state)
{
	struct virtio_fs_config config = {0};
	uint8_t past[8] = {1, 1, 1, 1, 1, 1, 1, 1};

	connect_fs();
	virtio_config_read(host.device, 0, &config, sizeof(config));
	assert_memory_equal(config.tag, "a tag\0", 6);
	assert_int_equal(config.num_request_queues, 1);
	virtio_config_read(host.device, sizeof(config), past, sizeof(past));
	assert_int_equal(past[0], 0);
}

/* Sends bytes and gives room bytes for the answer. Returns its length. */
static uint32_t request(struct driver_queue *q, const void *data, uint32_t len, gpa_t answer,
			uint32_t room)
{
	gpa_t at = driver_alloc(&host, len);
	struct driver_buffer b[] = {{at, len, false}, {answer, room, true}};

	mem_write(host.mem, at, data, len);
	return driver_request(q, b, room ? 2 : 1);
}

static void fs_answers_requests_in_both_formats(void **state)
{
	for (int is_packed = 0; is_packed < 2; is_packed++) {
		struct driver_queue high, queue;
		struct {
			struct fuse_in_header h;
			struct fuse_init_in in;
		} init = {{.len = sizeof(init), .opcode = FUSE_INIT, .unique = 7},
			  {.major = 7, .minor = 38}};
		struct fuse_out_header out;

		if (!is_packed)
			connect_fs();
		assert_true(driver_negotiate(&host, is_packed ? BIT64(VIRTIO_F_RING_PACKED) : 0));
		driver_init(&high, &host, 0, 16);
		driver_init(&queue, &host, 1, 16);
		driver_start(&host);
		gpa_t answer = driver_alloc(&host, 256);
		uint32_t len = request(&queue, &init, sizeof(init), answer, 256);
		assert_int_equal(len, sizeof(out) + sizeof(struct fuse_init_out));
		mem_read(host.mem, answer, &out, sizeof(out));
		assert_int_equal(out.unique, 7);
		assert_int_equal(out.error, 0);
		/* Garbage is given back with nothing in it. */
		assert_int_equal(request(&queue, "garbage", 7, answer, 256), 0);
		assert_int_equal(request(&high, "garbage", 7, answer, 0), 0);
	}
}

static void p9_has_tag_and_answers(void **state)
{
	static const char version[] = "\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\0"
				      "9P2000.L";
	struct driver_queue queue;
	uint8_t config[9] = {0}, reply[21];

	struct export *ex = export_open(tree.top, &options, NULL);
	assert_non_null(ex);
	driver_connect(&host, virtio_p9_new(host.mem, io_thread_loop(host.io), ex, "a tag"));
	virtio_config_read(host.device, 0, config, sizeof(config));
	assert_memory_equal(config, "\5\0a tag\0\0", 9);
	assert_true(driver_negotiate(&host, 1));
	driver_init(&queue, &host, 0, 16);
	driver_start(&host);
	gpa_t answer = driver_alloc(&host, 256);
	assert_int_equal(request(&queue, version, sizeof(version) - 1, answer, 256), 21);
	mem_read(host.mem, answer, reply, sizeof(reply));
	assert_int_equal(reply[4], 101);
	/* Room that is too small for the answer. */
	assert_int_equal(request(&queue, version, sizeof(version) - 1, answer, 6), 0);
	assert_int_equal(request(&queue, version, sizeof(version) - 1, answer, 12), 11);
}

static void state_round_trips(void **state)
{
	struct driver_queue queue;
	struct driver_host other;
	struct buf saved = {0};
	struct state s;
	static const char version[] = "\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\0"
				      "9P2000.L";
	static const char attach[] = "\x17\0\0\0\x68\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0"
				     "\0\0\0\0";

	struct export *ex = export_open(tree.top, &options, NULL);
	driver_connect(&host, virtio_p9_new(host.mem, io_thread_loop(host.io), ex, "tag"));
	assert_true(driver_negotiate(&host, 1));
	driver_init(&queue, &host, 0, 16);
	driver_start(&host);
	gpa_t answer = driver_alloc(&host, 256);
	request(&queue, version, sizeof(version) - 1, answer, 256);
	assert_int_equal(request(&queue, attach, sizeof(attach) - 1, answer, 256), 20);
	virtio_pause(host.device);
	state_init_save(&s, &saved);
	state_begin(&s, "9p", 1);
	virtio_state(host.device, &s);
	state_end(&s);
	assert_false(state_failed(&s));

	driver_host_init(&other);
	ex = export_open(tree.top, &options, NULL);
	driver_connect(&other, virtio_p9_new(other.mem, io_thread_loop(other.io), ex, "tag"));
	virtio_pause(other.device);
	state_init_load(&s, saved.data, saved.len);
	state_begin(&s, "9p", 1);
	virtio_state(other.device, &s);
	state_end(&s);
	assert_string_equal(s.error.text, "");
	struct buf again = {0};
	state_init_save(&s, &again);
	state_begin(&s, "9p", 1);
	virtio_state(other.device, &s);
	state_end(&s);
	assert_int_equal(saved.len, again.len);
	assert_memory_equal(saved.data, again.data, saved.len);
	for (size_t len = 0; len < saved.len; len++) {
		state_init_load(&s, saved.data, len);
		state_begin(&s, "9p", 1);
		virtio_state(other.device, &s);
		state_end(&s);
		assert_true(state_failed(&s));
	}
	buf_free(&again);
	buf_free(&saved);
	driver_host_fini(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fs_has_tag_and_queues),
		TEST(fs_answers_requests_in_both_formats),
		TEST(p9_has_tag_and_answers),
		TEST(state_round_trips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
