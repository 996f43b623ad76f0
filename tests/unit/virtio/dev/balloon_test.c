/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-balloon: pages given up or reported go back to the host, and only those. */
#include <linux/virtio_balloon.h>
#include <unistd.h>

#include "unit/test.h"

#include "base/buf.h"
#include "unit/virtio/driver.h"
#include "virtio/dev/balloon.h"

#define STATS  BIT(VIRTIO_BALLOON_F_STATS_VQ)
#define REPORT BIT(VIRTIO_BALLOON_F_REPORTING)

struct rig {
	struct driver_host h;
	struct driver_queue queues[5];
};

static void make(struct rig *r, uint64_t stats_ns)
{
	const struct virtio_balloon_params params = {
		.target = 5 * MIB, .can_deflate = true, .reports_free = true, .stats_ns = stats_ns};

	memset(r, 0, sizeof(*r));
	driver_host_init(&r->h);
	driver_connect(&r->h, virtio_balloon_new(r->h.mem, io_thread_loop(r->h.io), &params));
}

static void start(struct rig *r, uint64_t features, unsigned nr_queues)
{
	assert_true(driver_negotiate(&r->h, features));
	for (unsigned i = 0; i < nr_queues; i++)
		driver_init(&r->queues[i], &r->h, i, 16);
	driver_start(&r->h);
}

/* Pages of memory with something in them; the address of the first. */
static gpa_t fill(struct rig *r, unsigned nr)
{
	gpa_t gpa = ALIGN_UP(driver_alloc(&r->h, (nr + 1) * 4096ull), (gpa_t)4096);

	memset(driver_ptr(&r->h, gpa, nr * 4096ull), 0x5a, nr * 4096ull);
	return gpa;
}

static bool is_empty(struct rig *r, gpa_t page)
{
	const uint8_t *p = driver_ptr(&r->h, page, 4096);

	for (unsigned i = 0; i < 4096; i++) {
		if (p[i])
			return false;
	}
	return true;
}

static void inflate(struct rig *r, const uint32_t *pages, unsigned nr)
{
	struct driver_buffer b = {.gpa = driver_alloc(&r->h, nr * 4), .len = nr * 4};

	mem_write(r->h.mem, b.gpa, pages, nr * 4);
	assert_int_equal(driver_request(&r->queues[0], &b, 1), 0);
}

static void get_given(void *ctx)
{
	struct rig *r = ctx;

	r->queues[0].lens[0] = (uint16_t)(virtio_balloon_given(r->h.device) / 4096);
	r->queues[0].lens[1] = (uint16_t)(virtio_balloon_reported(r->h.device) / 4096);
}

static void expect_given(struct rig *r, unsigned given, unsigned reported)
{
	loop_call(io_thread_loop(r->h.io), get_given, r);
	assert_int_equal(r->queues[0].lens[0], given);
	assert_int_equal(r->queues[0].lens[1], reported);
}

static void pages_in_the_balloon_go_back(void **state)
{
	struct rig r;

	make(&r, 0);
	start(&r, 0, 2);
	gpa_t gpa = fill(&r, 8);
	uint32_t page = (uint32_t)(gpa >> 12);
	const uint32_t pages[] = {page + 1, page + 2, page + 6, page + 5, page + 3};
	inflate(&r, pages, ARRAY_SIZE(pages));
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(is_empty(&r, gpa + i * 4096), i != 0 && i != 4 && i != 7);
	expect_given(&r, 5, 0);
	/* It takes them back by using them. */
	memset(driver_ptr(&r.h, gpa + 4096, 1), 1, 1);
	struct driver_buffer b = {.gpa = driver_alloc(&r.h, 4), .len = 4};
	mem_write(r.h.mem, b.gpa, pages, 4);
	assert_int_equal(driver_request(&r.queues[1], &b, 1), 0);
	assert_false(is_empty(&r, gpa + 4096));
	driver_host_fini(&r.h);
}

static void pages_that_are_no_memory_are_ignored(void **state)
{
	const uint32_t pages[] = {UINT32_MAX, UINT32_MAX, 0, DRIVER_MEMORY >> 12,
				  (DRIVER_MEMORY >> 12) + 1};
	struct rig r;

	make(&r, 0);
	start(&r, 0, 2);
	inflate(&r, pages, ARRAY_SIZE(pages));
	expect_given(&r, 1, 0); /* page 0 */
	struct driver_buffer half = {.gpa = driver_alloc(&r.h, 4), .len = 3};
	assert_int_equal(driver_request(&r.queues[0], &half, 1), 0);
	assert_false(virtio_status(r.h.device) & VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_host_fini(&r.h);
}

/* The queue for reports has another number when there is none for statistics. */
/* So that the thread is there for others, a pause among them, whatever a driver asks of it. */
static void one_request_gives_so_many_pages_at_most(void **state)
{
	static uint32_t pages[5000];
	struct rig r;

	make(&r, 0);
	start(&r, 0, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = 2 * (i & 1); /* no two are neighbours */
	inflate(&r, pages, ARRAY_SIZE(pages));
	expect_given(&r, 4096, 0);
	driver_host_fini(&r.h);
}

static void reported_pages_go_back_and_parts_of_pages_stay(void **state)
{
	static const struct {
		uint64_t features;
		unsigned queue;
	} ways[] = {{STATS | REPORT, 3}, {REPORT, 2}, {STATS | REPORT, 4}};

	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		struct rig r;

		make(&r, 0);
		start(&r, ways[i].features, 5);
		gpa_t gpa = fill(&r, 6);
		struct driver_buffer b[2] = {
			{.gpa = gpa, .len = 8192, .is_writable = true},
			{.gpa = gpa + 3 * 4096 + 1, .len = 8192, .is_writable = true}};
		assert_int_equal(driver_request(&r.queues[ways[i].queue], b, 2), 16384);
		for (unsigned k = 0; k < 6; k++)
			assert_int_equal(is_empty(&r, gpa + k * 4096), k < 2 || k == 4);
		expect_given(&r, 0, 3);
		driver_host_fini(&r.h);
	}
}

static void the_configuration_has_target_and_size(void **state)
{
	struct virtio_balloon_config config;
	uint32_t actual = 7;
	struct rig r;

	make(&r, 0);
	start(&r, 0, 2);
	virtio_config_read(r.h.device, 0, &config, 8);
	assert_int_equal(config.num_pages, 5 * MIB / 4096);
	assert_int_equal(config.actual, 0);
	virtio_config_write(r.h.device, 4, &actual, 4);
	virtio_config_write(r.h.device, 0, &actual, 4); /* read-only */
	virtio_config_read(r.h.device, 0, &config, 8);
	assert_int_equal(config.num_pages, 5 * MIB / 4096);
	assert_int_equal(config.actual, 7);
	driver_host_fini(&r.h);
}

static void get_stats(void *ctx)
{
	struct rig *r = ctx;
	const struct balloon_stats *s = virtio_balloon_stats(r->h.device);

	assert_int_equal(s->free, 1234);
	assert_int_equal(s->total, 5678);
	assert_true(s->caches == UINT64_MAX);
}

static void statistics_are_asked_for_again(void **state)
{
	const struct virtio_balloon_stat stats[] = {{.tag = VIRTIO_BALLOON_S_MEMFREE, .val = 1234},
						    {.tag = 999, .val = 1},
						    {.tag = VIRTIO_BALLOON_S_MEMTOT, .val = 5678}};
	struct rig r;
	uint16_t id = 0;
	uint32_t len = 0;

	make(&r, 50 * NS_PER_MS);
	start(&r, STATS, 3);
	struct driver_buffer b = {.gpa = driver_alloc(&r.h, 64), .len = sizeof(stats)};
	mem_write(r.h.mem, b.gpa, stats, sizeof(stats));
	uint64_t before = host_now_ns();
	driver_add(&r.queues[2], &b, 1);
	driver_notify(&r.queues[2]);
	assert_true(driver_wait(&r.queues[2], &id, &len));
	assert_true(host_now_ns() - before >= 50 * NS_PER_MS);
	loop_call(io_thread_loop(r.h.io), get_stats, &r);
	driver_add(&r.queues[2], &b, 1);
	driver_notify(&r.queues[2]);
	virtio_pause(r.h.device); /* the buffer is given back */
	assert_true(driver_used(&r.queues[2], &id, &len));
	driver_host_fini(&r.h);
}

static void a_saved_balloon_is_the_same(void **state)
{
	struct buf saved = {0}, again = {0};
	uint32_t actual = 7;
	struct rig r, other;
	struct state s;

	make(&r, 0);
	start(&r, STATS | REPORT, 0);
	virtio_config_write(r.h.device, 4, &actual, 4);
	virtio_pause(r.h.device);
	state_init_save(&s, &saved);
	state_begin(&s, "virtio", 1);
	virtio_state(r.h.device, &s);
	state_end(&s);
	make(&other, 0);
	virtio_pause(other.h.device);
	state_init_load(&s, saved.data, saved.len);
	state_begin(&s, "virtio", 1);
	virtio_state(other.h.device, &s);
	state_end(&s);
	if (state_failed(&s))
		fail_msg("%s", s.error.text);
	state_init_save(&s, &again);
	state_begin(&s, "virtio", 1);
	virtio_state(other.h.device, &s);
	state_end(&s);
	assert_int_equal(again.len, saved.len);
	assert_memory_equal(again.data, saved.data, saved.len);
	virtio_config_read(other.h.device, 4, &actual, 4);
	assert_int_equal(actual, 7);
	buf_free(&saved);
	buf_free(&again);
	driver_host_fini(&other.h);
	driver_host_fini(&r.h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_in_the_balloon_go_back),
		cmocka_unit_test(pages_that_are_no_memory_are_ignored),
		cmocka_unit_test(one_request_gives_so_many_pages_at_most),
		cmocka_unit_test(reported_pages_go_back_and_parts_of_pages_stay),
		cmocka_unit_test(the_configuration_has_target_and_size),
		cmocka_unit_test(statistics_are_asked_for_again),
		cmocka_unit_test(a_saved_balloon_is_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
