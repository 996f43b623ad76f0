/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-console: ports are announced, bytes pass both ways, and ends are reported after the last one. */
#include <linux/virtio_console.h>
#include <stdlib.h>

#include "unit/test.h"

#include "base/buf.h"
#include "unit/virtio/driver.h"
#include "virtio/dev/console.h"

/* A back end that takes what it is told to; the loop's thread. */
struct fake_char {
	struct char_dev dev;
	struct buf written;
	size_t room; /* bytes it still takes */
	bool is_freed;
	_Atomic unsigned nr_asked;
};

static size_t fake_write(struct char_dev *c, const void *data, size_t len)
{
	struct fake_char *f = container_of(c, struct fake_char, dev);
	size_t n = min(len, f->room);

	buf_append(&f->written, data, n);
	f->room -= n;
	return n;
}

static void fake_read_more(struct char_dev *c)
{
	container_of(c, struct fake_char, dev)->nr_asked++;
}

static void fake_free(struct char_dev *c)
{
	struct fake_char *f = container_of(c, struct fake_char, dev);

	f->is_freed = true;
	buf_free(&f->written);
}

static const struct char_ops fake_ops = {
	.write = fake_write, .read_more = fake_read_more, .free = fake_free};

#define PORTS 3

struct rig {
	struct driver_host h;
	struct fake_char chars[PORTS];
	struct driver_queue rx[PORTS], tx[PORTS], control_rx, control_tx;
	gpa_t control_buffers[16];
};

static void call_nothing(void *ctx)
{
}

/* Everything posted or notified before is done when this returns. */
static void settle(struct rig *r)
{
	loop_call(io_thread_loop(r->h.io), call_nothing, NULL);
}

/* What a back end does, on the loop's thread. */
struct action {
	struct fake_char *chr;
	const char *text; /* to receive */
	size_t taken;
	bool is_open;
	uint16_t columns, rows;
	size_t room;
};

static void do_receive(void *ctx)
{
	struct action *a = ctx;

	a->taken = char_deliver(&a->chr->dev, a->text, strlen(a->text));
}

static void do_opened(void *ctx)
{
	struct action *a = ctx;

	char_deliver_opened(&a->chr->dev, a->is_open);
}

static void do_resize(void *ctx)
{
	struct action *a = ctx;

	char_deliver_resized(&a->chr->dev, a->columns, a->rows);
}

static void do_make_room(void *ctx)
{
	struct action *a = ctx;

	a->chr->room = a->room;
	char_deliver_writable(&a->chr->dev);
}

static size_t host_sends(struct rig *r, unsigned port, const char *text)
{
	struct action a = {.chr = &r->chars[port], .text = text};

	loop_call(io_thread_loop(r->h.io), do_receive, &a);
	return a.taken;
}

static void host_opens(struct rig *r, unsigned port, bool is_open)
{
	struct action a = {.chr = &r->chars[port], .is_open = is_open};

	loop_call(io_thread_loop(r->h.io), do_opened, &a);
}

static void host_resizes(struct rig *r, unsigned port, uint16_t columns, uint16_t rows)
{
	struct action a = {.chr = &r->chars[port], .columns = columns, .rows = rows};

	loop_call(io_thread_loop(r->h.io), do_resize, &a);
}

static void host_makes_room(struct rig *r, unsigned port, size_t room)
{
	struct action a = {.chr = &r->chars[port], .room = room};

	loop_call(io_thread_loop(r->h.io), do_make_room, &a);
}

static void make(struct rig *r, unsigned nr_ports)
{
	static const char *const names[PORTS] = {NULL, "bantam.stdin", "bantam.stdout"};
	struct virtio_console_port ports[PORTS];

	memset(r, 0, sizeof(*r));
	driver_host_init(&r->h);
	for (unsigned i = 0; i < nr_ports; i++) {
		r->chars[i].dev.ops = &fake_ops;
		r->chars[i].room = SIZE_MAX;
		ports[i] = (struct virtio_console_port){
			.name = names[i], .is_console = !i, .chr = &r->chars[i].dev};
	}
	driver_connect(&r->h,
		       virtio_console_new(r->h.mem, io_thread_loop(r->h.io), ports, nr_ports));
}

static void start(struct rig *r, unsigned nr_ports, uint64_t features)
{
	assert_true(driver_negotiate(&r->h, features));
	for (unsigned i = 0; i < nr_ports; i++) {
		unsigned queue = i ? 2 * i + 2 : 0;

		driver_init(&r->rx[i], &r->h, queue, 16);
		driver_init(&r->tx[i], &r->h, queue + 1, 16);
	}
	if (nr_ports > 1) {
		driver_init(&r->control_rx, &r->h, 2, 16);
		driver_init(&r->control_tx, &r->h, 3, 16);
	}
	driver_start(&r->h);
}

static void finish(struct rig *r)
{
	driver_host_fini(&r->h);
	for (unsigned i = 0; i < PORTS; i++)
		assert_true(!r->chars[i].dev.ops || r->chars[i].is_freed);
}

/* ---- the guest's side ---- */

static gpa_t guest_gives_buffer(struct rig *r, struct driver_queue *q, uint32_t len)
{
	struct driver_buffer b = {.gpa = driver_alloc(&r->h, len), .len = len, .is_writable = true};

	driver_add(q, &b, 1);
	driver_notify(q);
	return b.gpa;
}

static void guest_sends_control(struct rig *r, uint32_t id, uint16_t event, uint16_t value)
{
	struct virtio_console_control message = {.id = id, .event = event, .value = value};
	struct driver_buffer b = {.gpa = driver_alloc(&r->h, 8), .len = 8};

	mem_write(r->h.mem, b.gpa, &message, sizeof(message));
	assert_int_equal(driver_request(&r->control_tx, &b, 1), 0);
}

/* Expects the next control message; its text goes to more. */
static void expect_control(struct rig *r, gpa_t buffer, uint32_t id, uint16_t event, uint16_t value,
			   const void *more, size_t more_len)
{
	struct virtio_console_control message;
	uint8_t rest[64];
	uint16_t chain;
	uint32_t len;

	assert_true(driver_wait(&r->control_rx, &chain, &len));
	assert_int_equal(len, sizeof(message) + more_len);
	mem_read(r->h.mem, buffer, &message, sizeof(message));
	assert_int_equal(message.id, id);
	assert_int_equal(message.event, event);
	assert_int_equal(message.value, value);
	mem_read(r->h.mem, buffer + sizeof(message), rest, more_len);
	if (more_len)
		assert_memory_equal(rest, more, more_len);
}

static void expect_bytes(struct rig *r, struct driver_queue *q, gpa_t buffer, const char *text)
{
	uint8_t got[64];
	uint16_t chain;
	uint32_t len;

	assert_true(driver_wait(q, &chain, &len));
	assert_int_equal(len, strlen(text));
	mem_read(r->h.mem, buffer, got, len);
	assert_memory_equal(got, text, len);
}

static void expect_nothing(struct rig *r, struct driver_queue *q)
{
	uint16_t chain;
	uint32_t len;

	settle(r);
	assert_false(driver_used(q, &chain, &len));
}

static void guest_writes(struct rig *r, unsigned port, const char *text)
{
	struct driver_buffer b = {.gpa = driver_alloc(&r->h, 64), .len = (uint32_t)strlen(text)};

	mem_write(r->h.mem, b.gpa, text, strlen(text));
	driver_add(&r->tx[port], &b, 1);
	driver_notify(&r->tx[port]);
	settle(r);
}

static void expect_written(struct rig *r, unsigned port, const char *text)
{
	settle(r);
	assert_int_equal(r->chars[port].written.len, strlen(text));
	assert_memory_equal(r->chars[port].written.data, text, strlen(text));
}

/* ---- one console ---- */

static void one_console_needs_no_control_messages(void **state)
{
	struct rig r;

	make(&r, 1);
	assert_false(virtio_offered(r.h.device, 0) & BIT(VIRTIO_CONSOLE_F_MULTIPORT));
	start(&r, 1, BIT(VIRTIO_CONSOLE_F_SIZE));
	assert_int_equal(host_sends(&r, 0, "early"), 0); /* no buffer yet */
	unsigned asked = r.chars[0].nr_asked;
	gpa_t buffer = guest_gives_buffer(&r, &r.rx[0], 64);
	settle(&r);
	assert_int_equal(r.chars[0].nr_asked, asked + 1);
	assert_int_equal(host_sends(&r, 0, "typed"), 5);
	expect_bytes(&r, &r.rx[0], buffer, "typed");
	guest_writes(&r, 0, "printed");
	expect_written(&r, 0, "printed");
	finish(&r);
}

static void input_longer_than_a_buffer_is_split(void **state)
{
	struct rig r;

	make(&r, 1);
	start(&r, 1, 0);
	gpa_t first = guest_gives_buffer(&r, &r.rx[0], 4);
	gpa_t second = guest_gives_buffer(&r, &r.rx[0], 4);
	settle(&r);
	assert_int_equal(host_sends(&r, 0, "0123456789"), 8);
	expect_bytes(&r, &r.rx[0], first, "0123");
	expect_bytes(&r, &r.rx[0], second, "4567");
	finish(&r);
}

static void size_of_the_terminal_is_in_the_configuration(void **state)
{
	struct virtio_console_config config;
	struct rig r;

	make(&r, 1);
	start(&r, 1, BIT(VIRTIO_CONSOLE_F_SIZE));
	host_resizes(&r, 0, 132, 43);
	assert_int_equal(atomic_load(&r.h.nr_config_interrupts), 1);
	virtio_config_read(r.h.device, 0, &config, 8);
	assert_int_equal(config.cols, 132);
	assert_int_equal(config.rows, 43);
	assert_int_equal(config.max_nr_ports, 1);
	finish(&r);
}

static void emergency_output_works_before_the_driver(void **state)
{
	struct rig r;

	make(&r, 1);
	for (const char *p = "panic"; *p; p++) {
		uint32_t value = (uint32_t)*p;

		virtio_config_write(r.h.device, 8, &value, 4);
	}
	uint32_t value = 'x';
	virtio_config_write(r.h.device, 0, &value, 4); /* read-only */
	expect_written(&r, 0, "panic");
	finish(&r);
}

/* ---- several ports ---- */

static const uint64_t multiport[2] = {BIT(VIRTIO_CONSOLE_F_MULTIPORT),
				      BIT(VIRTIO_CONSOLE_F_MULTIPORT) |
					      BIT64(VIRTIO_F_RING_PACKED)};

static void ports_are_announced_and_opened(void **state)
{
	for (unsigned format = 0; format < 2; format++) {
		struct rig r;
		gpa_t b[12];

		make(&r, PORTS);
		start(&r, PORTS, multiport[format]);
		host_opens(&r, 1, true);
		host_resizes(&r, 0, 80, 25);
		for (unsigned i = 0; i < ARRAY_SIZE(b); i++)
			b[i] = guest_gives_buffer(&r, &r.control_rx, 64);
		expect_nothing(&r, &r.control_rx);
		guest_sends_control(&r, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
		for (unsigned i = 0; i < PORTS; i++)
			expect_control(&r, b[i], i, VIRTIO_CONSOLE_PORT_ADD, 1, NULL, 0);
		guest_sends_control(&r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
		expect_control(&r, b[3], 1, VIRTIO_CONSOLE_PORT_NAME, 1, "bantam.stdin", 12);
		expect_control(&r, b[4], 1, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL, 0);
		guest_sends_control(&r, 0, VIRTIO_CONSOLE_PORT_READY, 1);
		expect_control(&r, b[5], 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL, 0);
		uint16_t size[2] = {25, 80};
		expect_control(&r, b[6], 0, VIRTIO_CONSOLE_RESIZE, 0, size, 4);
		expect_nothing(&r, &r.control_rx);

		gpa_t input = guest_gives_buffer(&r, &r.rx[1], 64);
		settle(&r);
		assert_int_equal(host_sends(&r, 1, "too early"), 0);
		unsigned asked = r.chars[1].nr_asked;
		guest_sends_control(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
		assert_int_equal(r.chars[1].nr_asked, asked + 1);
		assert_int_equal(host_sends(&r, 1, "now"), 3);
		expect_bytes(&r, &r.rx[1], input, "now");

		host_opens(&r, 1, false);
		expect_control(&r, b[7], 1, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL, 0);
		guest_writes(&r, 2, "out of port two");
		expect_written(&r, 2, "out of port two");
		finish(&r);
	}
}

static void one_who_comes_after_another_is_told_as_two(void **state)
{
	struct rig r;
	gpa_t b[12];

	make(&r, PORTS);
	start(&r, PORTS, multiport[0]);
	for (unsigned i = 0; i < 4; i++)
		b[i] = guest_gives_buffer(&r, &r.control_rx, 64);
	host_opens(&r, 2, true);
	guest_sends_control(&r, 2, VIRTIO_CONSOLE_PORT_READY, 1);
	expect_control(&r, b[0], 2, VIRTIO_CONSOLE_PORT_NAME, 1, "bantam.stdout", 13);
	expect_control(&r, b[1], 2, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL, 0);
	guest_sends_control(&r, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	guest_gives_buffer(&r, &r.rx[2], 64);
	settle(&r);
	for (unsigned i = 2; i < 4; i++) { /* takes the two left, so that the driver has none */
		host_opens(&r, 2, i % 2);
		expect_control(&r, b[i], 2, VIRTIO_CONSOLE_PORT_OPEN, i % 2, NULL, 0);
	}
	host_opens(&r, 2, false);
	host_opens(&r, 2, true);
	assert_int_equal(host_sends(&r, 2, "of the second"), 0); /* not before the end is told */
	b[4] = guest_gives_buffer(&r, &r.control_rx, 64);
	b[5] = guest_gives_buffer(&r, &r.control_rx, 64);
	expect_control(&r, b[4], 2, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL, 0);
	expect_control(&r, b[5], 2, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL, 0);
	assert_int_equal(host_sends(&r, 2, "of the second"), 13);
	finish(&r);
}

static void control_messages_that_make_no_sense_are_ignored(void **state)
{
	static const struct {
		uint32_t id;
		uint16_t event;
	} strange[] = {{7, VIRTIO_CONSOLE_PORT_READY},
		       {UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN},
		       {0, 99},
		       {31, VIRTIO_CONSOLE_PORT_OPEN},
		       {1, VIRTIO_CONSOLE_PORT_ADD}};
	struct rig r;

	make(&r, PORTS);
	start(&r, PORTS, multiport[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(strange); i++)
		guest_sends_control(&r, strange[i].id, strange[i].event, 1);
	struct driver_buffer half = {.gpa = driver_alloc(&r.h, 8), .len = 7};
	assert_int_equal(driver_request(&r.control_tx, &half, 1), 0);
	/* A driver that takes no messages does not make them pile up, and gets each once. */
	for (unsigned i = 0; i < 1000; i++)
		guest_sends_control(&r, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	gpa_t b[4];
	for (unsigned i = 0; i < ARRAY_SIZE(b); i++)
		b[i] = guest_gives_buffer(&r, &r.control_rx, 64);
	for (unsigned i = 0; i < PORTS; i++)
		expect_control(&r, b[i], i, VIRTIO_CONSOLE_PORT_ADD, 1, NULL, 0);
	expect_nothing(&r, &r.control_rx);
	assert_false(virtio_status(r.h.device) & VIRTIO_CONFIG_S_NEEDS_RESET);
	finish(&r);
}

/* ---- a back end that is full ---- */

static void a_full_back_end_holds_the_guest(void **state)
{
	struct rig r;
	uint16_t chain;
	uint32_t len;

	make(&r, 1);
	start(&r, 1, 0);
	r.chars[0].room = 4;
	guest_writes(&r, 0, "0123456789");
	guest_writes(&r, 0, "abc");
	expect_written(&r, 0, "0123");
	assert_false(driver_used(&r.tx[0], &chain, &len));
	host_makes_room(&r, 0, 3);
	expect_written(&r, 0, "0123456");
	host_makes_room(&r, 0, 100);
	expect_written(&r, 0, "0123456789abc");
	assert_true(driver_wait(&r.tx[0], &chain, &len));
	assert_true(driver_wait(&r.tx[0], &chain, &len));
	finish(&r);
}

static void a_reset_keeps_what_the_guest_wrote(void **state)
{
	struct rig r;

	make(&r, 1);
	start(&r, 1, 0);
	r.chars[0].room = 4;
	guest_writes(&r, 0, "0123456789");
	virtio_set_status(r.h.device, 0);
	host_makes_room(&r, 0, 100);
	start(&r, 1, 0);
	expect_written(&r, 0, "0123456789");
	finish(&r);
}

static void a_saved_device_goes_on_where_it_was(void **state)
{
	struct rig r, other;
	struct buf saved = {0}, again = {0};
	struct state s;
	gpa_t b[12];

	make(&r, PORTS);
	start(&r, PORTS, multiport[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(b); i++)
		b[i] = guest_gives_buffer(&r, &r.control_rx, 64);
	host_opens(&r, 1, true);
	guest_sends_control(&r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	expect_control(&r, b[0], 1, VIRTIO_CONSOLE_PORT_NAME, 1, "bantam.stdin", 12);
	expect_control(&r, b[1], 1, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL, 0);
	guest_sends_control(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	r.chars[1].room = 2;
	guest_writes(&r, 1, "kept for later");
	virtio_pause(r.h.device);
	assert_int_equal(host_sends(&r, 1, "while paused"), 0);
	state_init_save(&s, &saved);
	state_begin(&s, "virtio", 1);
	virtio_state(r.h.device, &s);
	state_end(&s);
	assert_false(state_failed(&s));

	make(&other, PORTS);
	for (unsigned i = 0; i < DRIVER_MEMORY; i += MIB)
		mem_write(other.h.mem, i, driver_ptr(&r.h, i, MIB), MIB);
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

	virtio_resume(other.h.device);
	expect_written(&other, 1, "pt for later");
	/* Nobody is at the port there, which the driver hears. */
	other.control_rx = r.control_rx;
	other.control_rx.host = &other.h;
	expect_control(&other, b[2], 1, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL, 0);
	buf_free(&saved);
	buf_free(&again);
	finish(&other);
	finish(&r);
}

static void a_damaged_state_is_refused(void **state)
{
	struct buf saved = {0};
	struct state s;
	struct rig r;

	make(&r, 1);
	state_init_save(&s, &saved);
	state_begin(&s, "virtio", 1);
	virtio_state(r.h.device, &s);
	state_end(&s);
	/* The length of the kept output is the last number of one port's state. */
	memset(saved.data + saved.len - 4, 0xff, 4);
	state_init_load(&s, saved.data, saved.len);
	state_begin(&s, "virtio", 1);
	virtio_state(r.h.device, &s);
	assert_true(state_failed(&s));
	assert_string_equal(s.error.text, "virtio_console: port 0: values out of range");
	buf_free(&saved);
	finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_console_needs_no_control_messages),
		cmocka_unit_test(input_longer_than_a_buffer_is_split),
		cmocka_unit_test(size_of_the_terminal_is_in_the_configuration),
		cmocka_unit_test(emergency_output_works_before_the_driver),
		cmocka_unit_test(ports_are_announced_and_opened),
		cmocka_unit_test(one_who_comes_after_another_is_told_as_two),
		cmocka_unit_test(control_messages_that_make_no_sense_are_ignored),
		cmocka_unit_test(a_full_back_end_holds_the_guest),
		cmocka_unit_test(a_reset_keeps_what_the_guest_wrote),
		cmocka_unit_test(a_saved_device_goes_on_where_it_was),
		cmocka_unit_test(a_damaged_state_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
