/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The switch with ports of its own kind, which keep the work on frames undone, and with ports that
 * speak QEMU's plain format; and what becomes of those that break it.
 */
#include "unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/net/socket.h"
#include "backend/net/switch.h"
#include "unit/backend/net/frames.h"
#include "unit/backend/net/net_front.h"

struct lab {
	struct loop *loop;
	struct net_switch *net;
	struct loop_fd listener;
	char folder[32], path[64];
	struct front fronts[3];
	struct loop_timer timer;
};

static void accept_port(struct loop_fd *w, uint32_t events)
{
	struct lab *lab = container_of(w, struct lab, listener);
	int fd = accept(w->fd, NULL, NULL);

	assert_int_equal(switch_add(lab->net, socket_accept(lab->loop, fd), false), 0);
}

static void stop(struct loop_timer *t)
{
	loop_stop(t->loop);
}

/* Lets everything happen that is about to. */
static void settle(struct lab *lab, unsigned ms)
{
	loop_timer_arm(&lab->timer, host_now_ns() + ms * NS_PER_MS);
	loop_run(lab->loop);
}

static void open_switch(struct lab *lab, bool is_hub)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	lab->net = switch_new(lab->loop, is_hub);
	strcpy(a.sun_path, lab->path);
	lab->listener = (struct loop_fd){socket(AF_UNIX, SOCK_STREAM, 0), accept_port};
	assert_int_equal(bind(lab->listener.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	listen(lab->listener.fd, 8);
	loop_fd_add(lab->loop, &lab->listener, EPOLLIN);
}

static void close_switch(struct lab *lab)
{
	loop_fd_remove(lab->loop, &lab->listener);
	close(lab->listener.fd);
	unlink(lab->path);
	switch_free(lab->net);
	lab->net = NULL;
}

static void open_lab(struct lab *lab, bool is_hub, unsigned nr_clients)
{
	struct error err;

	memset(lab, 0, sizeof(*lab));
	strcpy(lab->folder, "/tmp/switch_test.XXXXXX");
	assert_non_null(mkdtemp(lab->folder));
	snprintf(lab->path, sizeof(lab->path), "%s/s", lab->folder);
	lab->loop = loop_new(&err);
	loop_timer_init(&lab->timer, lab->loop, stop);
	open_switch(lab, is_hub);
	for (unsigned i = 0; i < nr_clients; i++) {
		struct net_dev *n = socket_connect(lab->loop, lab->path, &err);

		assert_non_null(n);
		front_init(&lab->fronts[i], lab->loop, n);
		net_set_offloads(n, NET_CAN_ALL);
	}
	settle(lab, 30);
	assert_int_equal(switch_nr_ports(lab->net), nr_clients);
}

static void close_lab(struct lab *lab)
{
	for (unsigned i = 0; i < ARRAY_SIZE(lab->fronts); i++) {
		if (lab->fronts[i].dev)
			net_free(lab->fronts[i].dev);
		buf_free(&lab->fronts[i].bytes);
	}
	if (lab->net)
		close_switch(lab);
	loop_free(lab->loop);
	rmdir(lab->folder);
}

/* A TCP frame from member number from to number to; 9 is one nobody has. Returns its length. */
static size_t build(uint8_t *frame, unsigned from, unsigned to, size_t payload)
{
	struct segment_spec spec = {.src = from, .dst = to, .flags = 0x10};

	for (size_t i = 0; i < payload; i++)
		frame[54 + i] = (uint8_t)(i * 5);
	memset(frame, 2, 12);
	frame[5] = (uint8_t)to;
	frame[11] = (uint8_t)from;
	return build_tcp(frame, &spec, payload);
}

static const struct net_offload long_frame = {.flags = NET_NEEDS_CSUM,
					      .gso = NET_GSO_TCP4,
					      .gso_size = 1000,
					      .csum_start = 34,
					      .csum_offset = 16};

static void switch_learns_and_keeps_work_undone(void **state)
{
	static uint8_t frame[NET_FRAME_MAX];
	struct lab lab;

	open_lab(&lab, false, 3);
	size_t len = build(frame, 0, 9, 10);
	front_send(&lab.fronts[0], frame, len, NULL);
	settle(&lab, 30);
	assert_int_equal(lab.fronts[0].nr, 0);
	assert_int_equal(lab.fronts[1].nr, 1); /* unknown: everywhere */
	assert_int_equal(lab.fronts[2].nr, 1);
	len = build(frame, 1, 0, 50000);
	front_send(&lab.fronts[1], frame, len, &long_frame);
	settle(&lab, 30);
	assert_int_equal(lab.fronts[0].nr, 1); /* known: there only */
	assert_int_equal(lab.fronts[2].nr, 1);
	assert_int_equal(lab.fronts[0].len[0], len);
	assert_memory_equal(front_frame(&lab.fronts[0], 0), frame, len);
	assert_memory_equal(&lab.fronts[0].offloads[0], &long_frame, sizeof(long_frame));
	close_lab(&lab);
}

static void a_hub_gives_everything_to_everybody(void **state)
{
	uint8_t frame[100];
	struct lab lab;

	open_lab(&lab, true, 3);
	for (unsigned i = 0; i < 2; i++) {
		front_send(&lab.fronts[i], frame, build(frame, i, !i, 10), NULL);
		settle(&lab, 30);
	}
	assert_int_equal(lab.fronts[2].nr, 2);
	close_lab(&lab);
}

static void work_is_done_for_a_guest_that_cannot(void **state)
{
	static uint8_t frame[NET_FRAME_MAX];
	struct lab lab;

	open_lab(&lab, false, 2);
	net_set_offloads(lab.fronts[1].dev, 0);
	front_send(&lab.fronts[0], frame, build(frame, 0, 1, 2500), &long_frame);
	settle(&lab, 30);
	struct front *f = &lab.fronts[1];
	assert_int_equal(f->nr, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(f->len[i], 54 + (i < 2 ? 1000 : 500));
		assert_int_equal(check_l4(front_frame(f, i), f->len[i]), 0xffff);
		assert_int_equal(f->offloads[i].flags, 0);
	}
	close_lab(&lab);
}

/* A port of somebody who knows only the plain format. */
static int connect_plain(struct lab *lab)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, lab->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	settle(lab, 30);
	return fd;
}

static void switch_speaks_the_plain_format(void **state)
{
	static uint8_t frame[NET_FRAME_MAX], got[8192];
	struct lab lab;

	open_lab(&lab, false, 1);
	int fd = connect_plain(&lab);
	size_t len = build(frame + 4, 7, 0, 100);
	set32(frame, (uint32_t)len);
	/* In two pieces, as a stream may come. */
	assert_int_equal(send(fd, frame, 50, 0), 50);
	settle(&lab, 10);
	assert_int_equal(send(fd, frame + 50, len - 46, 0), len - 46);
	settle(&lab, 30);
	assert_int_equal(lab.fronts[0].nr, 1);
	assert_memory_equal(front_frame(&lab.fronts[0], 0), frame + 4, len);
	assert_int_equal(lab.fronts[0].offloads[0].flags, NET_CSUM_VALID);

	front_send(&lab.fronts[0], frame, build(frame, 0, 7, 2500), &long_frame);
	settle(&lab, 30);
	ssize_t n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	assert_int_equal(n, 3 * 4 + 3 * 54 + 2500);
	assert_int_equal(read32(got), 1054);
	assert_int_equal(check_l4(got + 4, 1054), 0xffff);
	assert_int_equal(read32(got + 1058), 1054);
	close(fd);
	settle(&lab, 30);
	assert_int_equal(switch_nr_ports(lab.net), 1);
	close_lab(&lab);
}

static void switch_disconnects_who_breaks_the_format(void **state)
{
	static const uint8_t bad[][4] = {{0xff, 0xff, 0xff, 0xff}, {0, 1, 0, 0x21}};
	struct lab lab;

	open_lab(&lab, false, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd = connect_plain(&lab);
		char c;

		assert_int_equal(switch_nr_ports(lab.net), 2);
		assert_int_equal(send(fd, bad[i], 4, 0), 4);
		settle(&lab, 30);
		assert_int_equal(switch_nr_ports(lab.net), 1);
		assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
		close(fd);
	}
	/* Too short to be a frame, but well-formed: just dropped. */
	int fd = connect_plain(&lab);
	assert_int_equal(send(fd, "\0\0\0\3abc", 7, 0), 7);
	settle(&lab, 30);
	assert_int_equal(switch_nr_ports(lab.net), 2);
	assert_int_equal(lab.fronts[0].nr, 0);
	close(fd);
	close_lab(&lab);
}

static void a_client_comes_back_with_the_switch(void **state)
{
	uint8_t frame[100];
	struct lab lab;

	open_lab(&lab, false, 2);
	close_switch(&lab);
	front_run(&lab.fronts[0], 0, 1000);
	settle(&lab, 30);
	assert_false(lab.fronts[0].dev->is_up);
	assert_false(lab.fronts[1].dev->is_up);
	open_switch(&lab, false);
	settle(&lab, 1200);
	settle(&lab, 200);
	assert_true(lab.fronts[0].dev->is_up);
	front_send(&lab.fronts[0], frame, build(frame, 0, 1, 10), NULL);
	settle(&lab, 30);
	assert_int_equal(lab.fronts[1].nr, 1);
	close_lab(&lab);
}

static void who_has_no_room_gets_the_frames_later(void **state)
{
	static uint8_t frame[NET_FRAME_MAX];
	struct lab lab;

	open_lab(&lab, false, 2);
	lab.fronts[1].room = 1;
	for (int i = 0; i < 4; i++)
		front_send(&lab.fronts[0], frame, build(frame, 0, 1, 30000), &long_frame);
	settle(&lab, 30);
	assert_int_equal(lab.fronts[1].nr, 1);
	lab.fronts[1].room = 100;
	net_receive_more(lab.fronts[1].dev);
	settle(&lab, 30);
	assert_int_equal(lab.fronts[1].nr, 4);
	close_lab(&lab);
}

static void nobody_at_the_path_is_an_error(void **state)
{
	struct loop *loop = loop_new(NULL);
	struct error err = {0};

	assert_null(socket_connect(loop, "/nonexistent/s", &err));
	assert_string_equal(err.text,
			    "socket /nonexistent/s (nobody to be a switch there; see 'bantam help "
			    "switch'): No such file or directory");
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(switch_learns_and_keeps_work_undone),
		cmocka_unit_test(a_hub_gives_everything_to_everybody),
		cmocka_unit_test(work_is_done_for_a_guest_that_cannot),
		cmocka_unit_test(switch_speaks_the_plain_format),
		cmocka_unit_test(switch_disconnects_who_breaks_the_format),
		cmocka_unit_test(a_client_comes_back_with_the_switch),
		cmocka_unit_test(who_has_no_room_gets_the_frames_later),
		cmocka_unit_test(nobody_at_the_path_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
