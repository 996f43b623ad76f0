/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues of both formats against a device that echoes: what it reads it writes back, inverted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "core/state.h"
#include "unit/virtio/driver.h"

struct echo {
	struct virtio_device virtio;
	unsigned nr_starts, nr_resets;
	struct virtio_chain *held; /* the last chain, when it asked to be held */
};

static void echo_process(struct virtio_device *d, unsigned queue)
{
	struct echo *e = container_of(d, struct echo, virtio);
	struct virtio_chain *c;

	while ((c = virtio_pop(d, queue))) {
		uint8_t bytes[64];
		size_t n, total = 0;

		while ((n = virtio_read(c, bytes, sizeof(bytes)))) {
			if (!total && bytes[0] == 'H' && !e->held) {
				e->held = c;
				break;
			}
			for (size_t i = 0; i < n; i++)
				bytes[i] = (uint8_t)~bytes[i];
			total += virtio_write(c, bytes, n);
		}
		if (e->held != c)
			virtio_push(c, (uint32_t)total);
	}
}

static void echo_drain(struct virtio_device *d, unsigned queue)
{
	struct echo *e = container_of(d, struct echo, virtio);

	if (e->held)
		virtio_push(e->held, 0);
	e->held = NULL;
}

static void echo_start(struct virtio_device *d)
{
	container_of(d, struct echo, virtio)->nr_starts++;
}

static void echo_reset(struct virtio_device *d)
{
	container_of(d, struct echo, virtio)->nr_resets++;
}

static void echo_free(struct virtio_device *d)
{
	virtio_fini(d);
	free(container_of(d, struct echo, virtio));
}

static const struct virtio_ops echo_ops = {.type = "echo",
					   .device_id = 42,
					   .start = echo_start,
					   .process = echo_process,
					   .drain = echo_drain,
					   .reset = echo_reset,
					   .free = echo_free};

static struct echo *setup(struct driver_host *h)
{
	driver_host_init(h);
	struct echo *e = calloc(1, sizeof(*e));
	virtio_init(&e->virtio, &echo_ops,
		    &(struct virtio_params){
			    .mem = h->mem, .loop = io_thread_loop(h->io), .nr_queues = 2});
	driver_connect(h, &e->virtio);
	return e;
}

/* All combinations of the ring's features; bit 0 packed, bit 1 event index. */
static uint64_t features_of(unsigned n)
{
	return (n & 1 ? BIT64(VIRTIO_F_RING_PACKED) : 0) |
	       (n & 2 ? BIT64(VIRTIO_RING_F_EVENT_IDX) : 0) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) |
	       BIT64(VIRTIO_F_RING_RESET);
}

static void echoes_chains_of_all_shapes(void **state)
{
	for (unsigned n = 0; n < 4; n++) {
		struct driver_host h;
		struct driver_queue r;
		struct echo *e = setup(&h);

		assert_true(driver_negotiate(&h, features_of(n)));
		driver_init(&r, &h, 0, 16);
		driver_start(&h);
		assert_int_equal(e->nr_starts, 1);
		gpa_t in = driver_alloc(&h, 4096), out = driver_alloc(&h, 4096);
		/* More rounds than the ring is long, so that everything wraps. */
		for (unsigned round = 0; round < 100; round++) {
			unsigned cut = round % 7 + 1, len = 100 + round;
			uint8_t *bytes = driver_ptr(&h, in, len);
			struct driver_buffer b[] = {{in, cut, false},
						    {in + cut, len - cut, false},
						    {out, 3, true},
						    {out + 3, len - 3, true}};

			for (unsigned i = 0; i < len; i++)
				bytes[i] = (uint8_t)(i * 3 + round) == 'H' && !i
						   ? 'x'
						   : (uint8_t)(i * 3 + round);
			assert_int_equal(driver_request(&r, b, 4), len);
			const uint8_t *answer = driver_ptr(&h, out, len);
			for (unsigned i = 0; i < len; i++)
				assert_int_equal(answer[i], (uint8_t)~bytes[i]);
		}
		driver_host_fini(&h);
	}
}

/* Reports of writes to the device's part of a queue, a flag per byte. */
struct reports {
	gpa_t base;
	bool is_reported[256];
};

static void note_write(void *ctx, gpa_t gpa, uint64_t len)
{
	struct reports *n = ctx;

	for (uint64_t i = 0; i < len; i++) {
		if (gpa + i >= n->base && gpa + i - n->base < sizeof(n->is_reported))
			n->is_reported[gpa + i - n->base] = true;
	}
}

static void reports_all_it_writes_to_the_ring(void **state)
{
	for (unsigned n = 0; n < 4; n++) {
		struct driver_host h;
		struct driver_queue r;
		struct reports reports = {0};

		setup(&h);
		mem_set_write_hook(h.mem, note_write, &reports);
		assert_true(driver_negotiate(&h, features_of(n)));
		driver_init(&r, &h, 0, 16);
		reports.base = r.device;
		driver_start(&h);
		const struct driver_buffer b[] = {{driver_alloc(&h, 8), 8, false},
						  {driver_alloc(&h, 8), 8, true}};
		for (unsigned round = 0; round < 20; round++)
			assert_int_equal(driver_request(&r, b, 2), 8);
		virtio_pause(h.device);
		size_t len = r.is_packed ? 4 : 6 + 8 * 16;
		const uint8_t *bytes = driver_ptr(&h, r.device, len);
		for (size_t i = 0; i < len; i++)
			assert_true(!bytes[i] || reports.is_reported[i]);
		mem_set_write_hook(h.mem, NULL, NULL);
		driver_host_fini(&h);
	}
}

static void follows_indirect_tables(void **state)
{
	for (unsigned n = 0; n < 4; n++) {
		struct driver_host h;
		struct driver_queue r;

		setup(&h);
		assert_true(driver_negotiate(&h, features_of(n)));
		driver_init(&r, &h, 1, 4);
		driver_start(&h);
		gpa_t table = driver_alloc(&h, 64), in = driver_alloc(&h, 8),
		      out = driver_alloc(&h, 8);
		*(uint8_t *)driver_ptr(&h, in, 1) = 5;
		for (unsigned round = 0; round < 10; round++) {
			struct driver_buffer inner[] = {{in, 1, false}, {out, 1, true}};

			driver_put(&r, table, 0, &inner[0], VRING_DESC_F_NEXT, 1);
			driver_put(&r, table, 1, &inner[1], 0, 0);
			struct driver_buffer outer = {table, 32, false};
			r.next_flags = VRING_DESC_F_INDIRECT;
			driver_add(&r, &outer, 1);
			driver_notify(&r);
			uint16_t id;
			uint32_t len;
			assert_true(driver_wait(&r, &id, &len));
			assert_int_equal(len, 1);
			assert_int_equal(*(uint8_t *)driver_ptr(&h, out, 1), (uint8_t)~5);
		}
		driver_host_fini(&h);
	}
}

/* Interrupts: none while the driver suppresses them, one for each request it waits for else. */
static void interrupts_as_the_driver_asks(void **state)
{
	for (unsigned n = 0; n < 4; n++) {
		struct driver_host h;
		struct driver_queue r;

		setup(&h);
		assert_true(driver_negotiate(&h, features_of(n)));
		driver_init(&r, &h, 0, 8);
		driver_start(&h);
		gpa_t in = driver_alloc(&h, 8);
		struct driver_buffer b = {in, 1, false};
		uint16_t *event = n & 1	  ? driver_ptr(&h, r.driver, 4)
				  : n & 2 ? driver_ptr(&h, r.driver + 4 + 2 * 8, 2)
					  : driver_ptr(&h, r.driver, 2);
		/* Suppressed, or (event index) only for the sixth request. */
		if (n == 0)
			event[0] = VRING_AVAIL_F_NO_INTERRUPT;
		else if (n == 1)
			event[1] = VRING_PACKED_EVENT_FLAG_DISABLE;
		else if (n == 2)
			event[0] = 5;
		else
			event[0] = 5 | BIT(VRING_PACKED_EVENT_F_WRAP_CTR),
			event[1] = VRING_PACKED_EVENT_FLAG_DESC;
		for (unsigned i = 0; i < 5; i++)
			driver_request(&r, &b, 1);
		assert_int_equal(atomic_load(&h.nr_queue_interrupts[0]), 0);
		if (n < 2)
			__atomic_store_n(&event[n], 0, __ATOMIC_RELEASE);
		driver_request(&r, &b, 1);
		for (unsigned i = 0; i < 1000 && !atomic_load(&h.nr_queue_interrupts[0]); i++)
			nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
		assert_int_equal(atomic_load(&h.nr_queue_interrupts[0]), 1);
		driver_host_fini(&h);
	}
}

static void is_broken(struct driver_host *h, struct driver_queue *r)
{
	uint16_t id;
	uint32_t len;

	driver_notify(r);
	for (unsigned i = 0; i < 10000 && !(virtio_status(h->device) & VIRTIO_CONFIG_S_NEEDS_RESET);
	     i++)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	assert_true(virtio_status(h->device) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(atomic_load(&h->nr_config_interrupts), 1);
	assert_false(driver_used(r, &id, &len));

	/* A reset mends it. */
	r->host->free_at = 0x1000;
	assert_true(driver_negotiate(h, 0));
	assert_int_equal(virtio_status(h->device) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

static void breaks_on_bad_rings(void **state)
{
	enum { OUTSIDE, ORDER, LOOP, INDIRECT_SIZE, INDIRECT_NESTED, TOO_MANY, NR_MISTAKES };

	log_set_level(LOG_ERROR);
	for (unsigned n = 0; n < 2 * NR_MISTAKES; n++) {
		unsigned mistake = n / 2;
		struct driver_host h;
		struct driver_queue r;

		setup(&h);
		assert_true(driver_negotiate(&h, features_of(n & 1)));
		driver_init(&r, &h, 0, 8);
		driver_start(&h);
		gpa_t at = driver_alloc(&h, 4096);
		struct driver_buffer good = {at, 8, false}, out = {at, 8, true};
		struct driver_buffer outside = {DRIVER_MEMORY - 4, 8, true};
		uint16_t *flags = driver_ptr(&h, r.desc + (r.is_packed ? 14 : 12), 2);
		switch (mistake) {
		case OUTSIDE:
			driver_add(&r, &outside, 1);
			break;
		case ORDER:
			driver_add(&r, (struct driver_buffer[]){out, good}, 2);
			break;
		case LOOP: /* every descriptor has a next one */
			for (unsigned i = 0; i < 8; i++)
				driver_put(&r, r.desc, i, &good,
					   VRING_DESC_F_NEXT | BIT(VRING_PACKED_DESC_F_AVAIL),
					   (uint16_t)((i + 1) % 8));
			if (!r.is_packed) {
				uint16_t *avail = driver_ptr(&h, r.driver, 4);
				avail[1] = 1;
			}
			break;
		case INDIRECT_SIZE:
			driver_add(&r, &good, 1);
			*flags |= VRING_DESC_F_INDIRECT;
			break;
		case INDIRECT_NESTED: {
			struct driver_buffer table = {at, 16, false};
			driver_put(&r, at, 0, &table, VRING_DESC_F_INDIRECT, 0);
			driver_add(&r, &table, 1);
			*flags |= VRING_DESC_F_INDIRECT;
			/* In a packed table the flag is reserved; there the buffer is just read. */
			if (r.is_packed)
				table = outside, driver_put(&r, at, 0, &table, 0, 0);
			break;
		}
		case TOO_MANY:
			if (r.is_packed) { /* an id the ring does not have */
				driver_add(&r, &good, 1);
				*(uint16_t *)driver_ptr(&h, r.desc + 12, 2) = 99;
			} else {
				((uint16_t *)driver_ptr(&h, r.driver, 4))[1] = 9;
			}
			break;
		}
		is_broken(&h, &r);
		driver_host_fini(&h);
	}
}

static void refuses_bad_setups(void **state)
{
	static const struct virtio_queue_setup bad[] = {
		{.size = 0, .desc = 0x1000, .driver = 0x2000, .device = 0x3000},
		{.size = 512, .desc = 0x1000, .driver = 0x2000, .device = 0x3000},
		{.size = 12, .desc = 0x1000, .driver = 0x2000, .device = 0x3000},
		{.size = 8, .desc = 0x1008, .driver = 0x2000, .device = 0x3000},
		{.size = 8, .desc = 0x1000, .driver = 0x2001, .device = 0x3000},
		{.size = 8, .desc = 0x1000, .driver = 0x2000, .device = 0x3002},
		{.size = 8, .desc = DRIVER_MEMORY - 16, .driver = 0x2000, .device = 0x3000},
		{.size = 8, .desc = 0x1000, .driver = UINT64_MAX - 1, .device = 0x3000},
	};

	log_set_level(LOG_ERROR);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct driver_host h;

		setup(&h);
		assert_true(driver_negotiate(&h, 0));
		*virtio_queue_setup(h.device, 0) = bad[i];
		virtio_queue_enable(h.device, 0);
		driver_start(&h);
		assert_true(virtio_status(h.device) & VIRTIO_CONFIG_S_NEEDS_RESET);
		driver_host_fini(&h);
	}
}

static void negotiates(void **state)
{
	struct driver_host h;

	setup(&h);
	assert_false(driver_negotiate(&h, BIT64(63))); /* not offered */
	virtio_set_status(h.device, 0);
	virtio_accept(h.device, 0, 0);
	virtio_set_status(h.device, VIRTIO_CONFIG_S_FEATURES_OK); /* without VERSION_1 */
	assert_int_equal(virtio_status(h.device) & VIRTIO_CONFIG_S_FEATURES_OK, 0);
	assert_true(driver_negotiate(&h, 0));
	virtio_accept(h.device, 0, UINT32_MAX); /* too late */
	assert_int_equal(virtio_accepted(h.device, 0), 0);
	assert_null(virtio_queue_setup(h.device, 2));
	virtio_notify(h.device, 0);   /* before DRIVER_OK */
	virtio_notify(h.device, 999); /* no such queue */
	driver_host_fini(&h);
}

/* Held chains come back when the queue is reset, the device paused or reset. */
static void drains(void **state)
{
	for (unsigned n = 0; n < 3; n++) {
		struct driver_host h;
		struct driver_queue r;
		struct echo *e = setup(&h);
		uint16_t id;
		uint32_t len;

		assert_true(driver_negotiate(&h, features_of(2)));
		driver_init(&r, &h, 0, 8);
		driver_start(&h);
		gpa_t in = driver_alloc(&h, 8);
		*(uint8_t *)driver_ptr(&h, in, 1) = 'H';
		struct driver_buffer b = {in, 1, false};
		driver_add(&r, &b, 1);
		driver_notify(&r);
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
		assert_false(driver_used(&r, &id, &len));
		if (n == 0) {
			virtio_queue_reset(h.device, 0);
			assert_false(virtio_queue_is_enabled(h.device, 0));
		} else if (n == 1) {
			virtio_pause(h.device);
		} else {
			virtio_set_status(h.device, 0);
			assert_int_equal(e->nr_resets, 2); /* one by driver_negotiate() */
		}
		assert_true(driver_used(&r, &id, &len));
		if (n == 1) {
			/* Nothing happens while paused, and nothing is lost. */
			*(uint8_t *)driver_ptr(&h, in, 1) = 'y';
			driver_add(&r, &b, 1);
			driver_notify(&r);
			nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
			assert_false(driver_used(&r, &id, &len));
			virtio_resume(h.device);
			assert_true(driver_wait(&r, &id, &len));
		}
		if (n == 0) { /* the queue can be set up again */
			driver_init(&r, &h, 0, 4);
			*(uint8_t *)driver_ptr(&h, in, 1) = 'y';
			assert_int_equal(driver_request(&r, &b, 1), 0);
		}
		driver_host_fini(&h);
	}
}

static void state_goes_round(void **state)
{
	for (unsigned n = 0; n < 4; n++) {
		struct driver_host h;
		struct driver_queue r;
		struct buf out = {0}, again = {0};
		struct state s;

		struct echo *e = setup(&h);
		assert_true(driver_negotiate(&h, features_of(n)));
		driver_init(&r, &h, 0, 8);
		driver_start(&h);
		gpa_t in = driver_alloc(&h, 8);
		struct driver_buffer b = {in, 1, false};
		for (unsigned i = 0; i < 13; i++)
			driver_request(&r, &b, 1);
		virtio_pause(h.device);
		state_init_save(&s, &out);
		state_begin(&s, "echo", 1);
		virtio_state(h.device, &s);
		state_end(&s);

		/* Another device over the same memory goes on where this one stopped. */
		struct echo *second = calloc(1, sizeof(*second));
		virtio_init(&second->virtio, &echo_ops,
			    &(struct virtio_params){
				    .mem = h.mem, .loop = io_thread_loop(h.io), .nr_queues = 2});
		virtio_attach(&second->virtio, &h.transport, 0);
		state_init_load(&s, out.data, out.len);
		state_begin(&s, "echo", 1);
		virtio_state(&second->virtio, &s);
		state_end(&s);
		assert_false(state_failed(&s));
		state_init_save(&s, &again);
		state_begin(&s, "echo", 1);
		virtio_state(&second->virtio, &s);
		state_end(&s);
		assert_int_equal(out.len, again.len);
		assert_memory_equal(out.data, again.data, out.len);
		virtio_free(&e->virtio);
		h.device = &second->virtio;
		virtio_resume(h.device);
		for (unsigned i = 0; i < 13; i++)
			assert_int_equal(driver_request(&r, &b, 1), 0);
		driver_host_fini(&h);
		buf_free(&out);
		buf_free(&again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echoes_chains_of_all_shapes),
		cmocka_unit_test(reports_all_it_writes_to_the_ring),
		cmocka_unit_test(follows_indirect_tables),
		cmocka_unit_test(interrupts_as_the_driver_asks),
		cmocka_unit_test(breaks_on_bad_rings),
		cmocka_unit_test(refuses_bad_setups),
		cmocka_unit_test(negotiates),
		cmocka_unit_test(drains),
		cmocka_unit_test(state_goes_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
