/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-vsock: connections from both sides, credit, ends, and what a driver must not send. */
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit/test.h"

#include "base/buf.h"
#include "unit/virtio/driver.h"
#include "virtio/dev/vsock.h"

#define CID    42
#define BUFFER 1024 /* bytes of each buffer the guest gives, header included */
#define ROOM   65536
#define HEADER sizeof(struct virtio_vsock_hdr)

struct rig {
	struct driver_host h;
	struct driver_queue rx, tx, event;
	char path[64];
	gpa_t buffers[64]; /* by descriptor of the rx queue */
	gpa_t out;	   /* where packets of the guest are put together */
};

/* What the guest received last. */
struct packet {
	struct virtio_vsock_hdr h;
	uint8_t data[BUFFER];
	uint32_t len; /* of the data */
};

static void make(struct rig *r)
{
	static unsigned number;
	struct error err = {0};

	memset(r, 0, sizeof(*r));
	driver_host_init(&r->h);
	snprintf(r->path, sizeof(r->path), "/tmp/bantam-vsock-%d-%u", (int)getpid(), number++);
	struct vsock_host *host = vsock_host_new(io_thread_loop(r->h.io), r->path, &err);
	assert_non_null(host);
	driver_connect(&r->h, virtio_vsock_new(r->h.mem, io_thread_loop(r->h.io), CID, host));
	r->out = driver_alloc(&r->h, 300000);
}

static void give_buffer(struct rig *r)
{
	struct driver_buffer b = {
		.gpa = driver_alloc(&r->h, BUFFER), .len = BUFFER, .is_writable = true};

	r->buffers[driver_add(&r->rx, &b, 1)] = b.gpa;
	driver_notify(&r->rx);
}

static void start_with(struct rig *r, unsigned nr_buffers, uint64_t features)
{
	assert_true(driver_negotiate(&r->h, features));
	driver_init(&r->rx, &r->h, 0, 64);
	driver_init(&r->tx, &r->h, 1, 256);
	driver_init(&r->event, &r->h, 2, 4);
	driver_start(&r->h);
	for (unsigned i = 0; i < nr_buffers; i++)
		give_buffer(r);
}

static void start(struct rig *r, unsigned nr_buffers)
{
	start_with(r, nr_buffers, 0);
}

static void finish(struct rig *r)
{
	driver_host_fini(&r->h);
	assert_int_not_equal(access(r->path, F_OK), 0);
	strcat(r->path, ".seq");
	assert_int_not_equal(access(r->path, F_OK), 0);
}

/* ---- the guest ---- */

static void guest_receives(struct rig *r, struct packet *p)
{
	uint16_t id = 0;
	uint32_t len = 0;

	assert_true(driver_wait(&r->rx, &id, &len));
	assert_true(len >= HEADER);
	mem_read(r->h.mem, r->buffers[id], &p->h, HEADER);
	p->len = len - (uint32_t)HEADER;
	mem_read(r->h.mem, r->buffers[id] + HEADER, p->data, p->len);
	assert_int_equal(p->h.len, p->len);
	assert_int_equal(p->h.dst_cid, CID);
}

static void guest_expects(struct rig *r, struct packet *p, uint16_t op)
{
	guest_receives(r, p);
	assert_int_equal(p->h.op, op);
	assert_int_equal(p->h.src_cid, 2);
}

static struct virtio_vsock_hdr packet(uint32_t host_port, uint32_t guest_port, uint16_t op)
{
	return (struct virtio_vsock_hdr){
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = ROOM,
	};
}

static void guest_sends(struct rig *r, const struct virtio_vsock_hdr *h, const void *data,
			uint32_t len)
{
	struct driver_buffer b[2] = {{.gpa = r->out, .len = HEADER},
				     {.gpa = r->out + 64, .len = len}};

	mem_write(r->h.mem, r->out, h, HEADER);
	mem_write(r->h.mem, r->out + 64, data, len);
	assert_int_equal(driver_request(&r->tx, b, len ? 2 : 1), 0);
}

static void guest_sends_op(struct rig *r, uint32_t host_port, uint32_t guest_port, uint16_t op)
{
	struct virtio_vsock_hdr h = packet(host_port, guest_port, op);

	guest_sends(r, &h, NULL, 0);
}

static void guest_sends_data(struct rig *r, uint32_t host_port, uint32_t guest_port,
			     const void *data, uint32_t len)
{
	struct virtio_vsock_hdr h = packet(host_port, guest_port, VIRTIO_VSOCK_OP_RW);

	h.len = len;
	guest_sends(r, &h, data, len);
}

static void expect_silence(struct rig *r)
{
	uint16_t id = 0;
	uint32_t len = 0;

	usleep(20000);
	assert_false(driver_used(&r->rx, &id, &len));
}

/* ---- the host ---- */

static int host_connects_to(struct rig *r, int type, const char *suffix)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s%s", r->path, suffix);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static int host_connects(struct rig *r)
{
	return host_connects_to(r, SOCK_STREAM, "");
}

static int host_listens_for(struct rig *r, int type, uint32_t port, char path[80])
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	snprintf(path, 80, "%s_%u", r->path, port);
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int host_listens(struct rig *r, uint32_t port, char path[80])
{
	return host_listens_for(r, SOCK_STREAM, port, path);
}

static void host_sends(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void host_expects(int fd, const char *text)
{
	char got[64] = "";
	size_t n = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (n < strlen(text) && poll(&p, 1, 3000) > 0) {
		ssize_t k = read(fd, got + n, strlen(text) - n);
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	assert_string_equal(got, text);
}

static void host_expects_end(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&p, 1, 3000), 1);
	assert_true(read(fd, &byte, 1) <= 0);
}

/* A connection of the host to port 1000 of the guest. Returns its socket; *port is the host's. */
static int open_from_host(struct rig *r, uint32_t *port)
{
	char answer[32];
	struct packet p;
	int fd = host_connects(r);

	host_sends(fd, "CONNECT 1000\n");
	guest_expects(r, &p, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(p.h.dst_port, 1000);
	*port = p.h.src_port;
	guest_sends_op(r, *port, 1000, VIRTIO_VSOCK_OP_RESPONSE);
	snprintf(answer, sizeof(answer), "OK %u\n", *port);
	host_expects(fd, answer);
	return fd;
}

/* ---- connections ---- */

static void a_program_of_the_host_reaches_the_guest(void **state)
{
	struct packet p;
	struct rig r;
	uint32_t port;

	make(&r);
	start(&r, 16);
	int fd = open_from_host(&r, &port);
	host_sends(fd, "to the guest");
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(p.len, 12);
	assert_memory_equal(p.data, "to the guest", 12);
	guest_sends_data(&r, port, 1000, "to the host", 11);
	host_expects(fd, "to the host");

	shutdown(fd, SHUT_WR);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(p.h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	guest_sends_data(&r, port, 1000, "after the end", 13);
	host_expects(fd, "after the end");
	struct virtio_vsock_hdr h = packet(port, 1000, VIRTIO_VSOCK_OP_SHUTDOWN);
	h.flags = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
	guest_sends(&r, &h, NULL, 0);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	host_expects_end(fd);
	close(fd);
	finish(&r);
}

static void a_request_may_come_in_pieces_with_data_behind_it(void **state)
{
	struct packet p;
	struct rig r;

	make(&r);
	start(&r, 16);
	int fd = host_connects(&r);
	host_sends(fd, "CONN");
	expect_silence(&r);
	host_sends(fd, "ECT 7\nearly");
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(p.h.dst_port, 7);
	expect_silence(&r); /* nothing is sent before the answer */
	guest_sends_op(&r, p.h.src_port, 7, VIRTIO_VSOCK_OP_RESPONSE);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(p.len, 5);
	assert_memory_equal(p.data, "early", 5);
	close(fd);
	finish(&r);
}

static void requests_that_are_none_are_closed(void **state)
{
	static const char *const wrong[] = {
		"CONNECT\n",	    "CONNECT x\n",
		"CONNECT -1\n",	    "CONNECT 4294967295\n",
		"GET / HTTP/1.1\n", "CONNECT 00000000000000000000000000000000007\n"};
	struct rig r;

	make(&r);
	start(&r, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		int fd = host_connects(&r);

		host_sends(fd, wrong[i]);
		host_expects_end(fd);
		close(fd);
	}
	int fd = host_connects(&r);
	host_sends(fd, "CONNECT 1"); /* and no more */
	shutdown(fd, SHUT_WR);
	host_expects_end(fd);
	close(fd);
	expect_silence(&r);
	finish(&r);
}

static void a_refused_or_abandoned_request_ends(void **state)
{
	struct packet p;
	struct rig r;

	make(&r);
	start(&r, 16);
	int fd = host_connects(&r);
	host_sends(fd, "CONNECT 9\n");
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_REQUEST);
	guest_sends_op(&r, p.h.src_port, 9, VIRTIO_VSOCK_OP_RST);
	host_expects_end(fd);
	close(fd);

	fd = host_connects(&r);
	host_sends(fd, "CONNECT 9\n");
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	finish(&r);
}

static void the_guest_reaches_a_listening_program(void **state)
{
	struct packet p;
	struct rig r;
	char path[80];

	make(&r);
	start(&r, 16);
	int listener = host_listens(&r, 7, path);
	guest_sends_op(&r, 7, 500, VIRTIO_VSOCK_OP_REQUEST);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(p.h.src_port, 7);
	assert_int_equal(p.h.dst_port, 500);
	assert_true(p.h.buf_alloc > 0);
	int fd = accept(listener, NULL, NULL);
	guest_sends_data(&r, 7, 500, "hello", 5);
	host_expects(fd, "hello");
	close(fd);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(p.h.flags, VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
	guest_sends_op(&r, 7, 500, VIRTIO_VSOCK_OP_RST);

	guest_sends_op(&r, 8, 500, VIRTIO_VSOCK_OP_REQUEST); /* nobody there */
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(p.h.src_port, 8);
	close(listener);
	unlink(path);
	finish(&r);
}

/* ---- credit ---- */

static void no_more_is_sent_than_the_guest_has_room_for(void **state)
{
	struct packet p;
	struct rig r;
	uint32_t port;

	make(&r);
	start(&r, 16);
	int fd = open_from_host(&r, &port);
	struct virtio_vsock_hdr h = packet(port, 1000, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	h.buf_alloc = 10;
	guest_sends(&r, &h, NULL, 0);
	host_sends(fd, "0123456789abcdef");
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(p.len, 10);
	expect_silence(&r);
	h.fwd_cnt = 4;
	guest_sends(&r, &h, NULL, 0);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(p.len, 4);
	assert_memory_equal(p.data, "abcd", 4);
	h.fwd_cnt = 1000; /* more than it ever got: no credit, and no harm */
	guest_sends(&r, &h, NULL, 0);
	expect_silence(&r);
	close(fd);
	finish(&r);
}

static void the_guest_hears_what_was_taken_and_may_not_send_more(void **state)
{
	static uint8_t data[65536];
	struct packet p;
	struct rig r;
	uint32_t port, taken = 0, sent = 0;

	make(&r);
	start(&r, 32);
	int fd = open_from_host(&r, &port);
	guest_sends_op(&r, port, 1000, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	const uint32_t room = p.h.buf_alloc;
	assert_int_equal(p.h.fwd_cnt, 0);
	for (; sent < room; sent += sizeof(data))
		guest_sends_data(&r, port, 1000, data, sizeof(data));
	/* A reader makes room, which the guest is told. */
	while (taken < sent) {
		ssize_t n = read(fd, data, sizeof(data));
		assert_true(n > 0);
		taken += (uint32_t)n;
	}
	guest_sends_op(&r, port, 1000, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	do {
		guest_expects(&r, &p, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	} while (p.h.fwd_cnt < sent);
	assert_int_equal(p.h.fwd_cnt, sent);

	/* Without a reader the socket takes some and the device the rest, but only so much. */
	unsigned nr = 0;
	uint16_t id = 0;
	uint32_t len = 0;
	while (nr++ < 64 && !driver_used(&r.rx, &id, &len))
		guest_sends_data(&r, port, 1000, data, sizeof(data));
	assert_true(nr < 64);
	mem_read(r.h.mem, r.buffers[id], &p.h, HEADER);
	while (p.h.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE && nr++ < 64) {
		guest_sends_data(&r, port, 1000, data, sizeof(data));
		if (driver_used(&r.rx, &id, &len))
			mem_read(r.h.mem, r.buffers[id], &p.h, HEADER);
	}
	assert_int_equal(p.h.op, VIRTIO_VSOCK_OP_RST);
	close(fd);
	finish(&r);
}

/* ---- messages ---- */

#define HOST_PORT  7
#define GUEST_PORT 500

static struct virtio_vsock_hdr message(uint16_t op, uint32_t flags)
{
	struct virtio_vsock_hdr h = packet(HOST_PORT, GUEST_PORT, op);

	h.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	h.flags = flags;
	return h;
}

static void guest_sends_piece(struct rig *r, const void *data, uint32_t len, uint32_t flags)
{
	struct virtio_vsock_hdr h = message(VIRTIO_VSOCK_OP_RW, flags);

	h.len = len;
	guest_sends(r, &h, data, len);
}

static void guest_expects_piece(struct rig *r, const void *data, uint32_t len, uint32_t flags)
{
	struct packet p;

	guest_expects(r, &p, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(p.h.type, VIRTIO_VSOCK_TYPE_SEQPACKET);
	assert_int_equal(p.h.flags, flags);
	assert_int_equal(p.len, len);
	assert_memory_equal(p.data, data, len);
}

static void host_expects_message(int fd, const void *data, size_t len)
{
	static uint8_t got[300000];
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 3000), 1);
	assert_int_equal(recv(fd, got, sizeof(got), 0), len);
	assert_memory_equal(got, data, len);
}

/* The guest connects to a program of the host that keeps messages apart; returns the latter's end. */
static int open_from_guest(struct rig *r, unsigned nr_buffers)
{
	const struct virtio_vsock_hdr h = message(VIRTIO_VSOCK_OP_REQUEST, 0);
	struct packet p;
	char path[80];

	make(r);
	start_with(r, nr_buffers, BIT64(VIRTIO_VSOCK_F_SEQPACKET));
	int listener = host_listens_for(r, SOCK_SEQPACKET, HOST_PORT, path);
	guest_sends(r, &h, NULL, 0);
	guest_expects(r, &p, VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(p.h.type, VIRTIO_VSOCK_TYPE_SEQPACKET);
	int fd = accept(listener, NULL, NULL);
	close(listener);
	unlink(path);
	return fd;
}

static void messages_are_kept_apart_both_ways(void **state)
{
	struct packet p;
	struct rig r;
	int fd = open_from_guest(&r, 16);

	guest_sends_piece(&r, "one", 3, VIRTIO_VSOCK_SEQ_EOM);
	guest_sends_piece(&r, "tw", 2, 0);
	guest_sends_piece(&r, "o", 1, VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR);
	guest_sends_piece(&r, "", 0, VIRTIO_VSOCK_SEQ_EOM);
	guest_sends_piece(&r, "four", 4, VIRTIO_VSOCK_SEQ_EOM);
	host_expects_message(fd, "one", 3);
	host_expects_message(fd, "two", 3);
	host_expects_message(fd, "", 0);
	host_expects_message(fd, "four", 4);

	host_sends(fd, "first");
	assert_int_equal(send(fd, "", 0, 0), 0);
	host_sends(fd, "third");
	shutdown(fd, SHUT_WR);
	guest_expects_piece(&r, "first", 5, VIRTIO_VSOCK_SEQ_EOM);
	guest_expects_piece(&r, "", 0, VIRTIO_VSOCK_SEQ_EOM);
	guest_expects_piece(&r, "third", 5, VIRTIO_VSOCK_SEQ_EOM);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(p.h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	close(fd);
	finish(&r);
}

static void a_program_of_the_host_sends_messages_to_the_guest(void **state)
{
	char answer[32];
	struct packet p;
	struct rig r;

	make(&r);
	start_with(&r, 16, BIT64(VIRTIO_VSOCK_F_SEQPACKET));
	int fd = host_connects_to(&r, SOCK_SEQPACKET, ".seq");
	host_sends(fd, "CONNECT 1000\n");
	host_sends(fd, "early");
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(p.h.type, VIRTIO_VSOCK_TYPE_SEQPACKET);
	struct virtio_vsock_hdr h = packet(p.h.src_port, 1000, VIRTIO_VSOCK_OP_RESPONSE);
	h.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	guest_sends(&r, &h, NULL, 0);
	snprintf(answer, sizeof(answer), "OK %u\n", p.h.src_port);
	host_expects_message(fd, answer, strlen(answer));
	guest_expects_piece(&r, "early", 5, VIRTIO_VSOCK_SEQ_EOM);
	close(fd);

	static const char *const wrong[] = {"CONNECT 1", "CONNECT 1\nmore", "CONNECT x\n"};
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		fd = host_connects_to(&r, SOCK_SEQPACKET, ".seq");
		host_sends(fd, wrong[i]);
		host_expects_end(fd);
		close(fd);
	}
	finish(&r);
}

static void a_long_message_is_cut_to_buffers_and_credit(void **state)
{
	static uint8_t data[5000];
	const uint32_t room = BUFFER - HEADER;
	struct packet p;
	struct rig r;
	int fd = open_from_guest(&r, 16);

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 / 5);
	assert_int_equal(send(fd, data, 2500, 0), 2500);
	guest_expects_piece(&r, data, room, 0);
	guest_expects_piece(&r, data + room, room, 0);
	guest_expects_piece(&r, data + 2 * room, 2500 - 2 * room, VIRTIO_VSOCK_SEQ_EOM);

	struct virtio_vsock_hdr h = message(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	h.buf_alloc = 3000; /* of which 2500 are taken */
	guest_sends(&r, &h, NULL, 0);
	assert_int_equal(send(fd, data, 700, 0), 700);
	guest_expects_piece(&r, data, 500, 0);
	expect_silence(&r);
	h.fwd_cnt = 2500;
	guest_sends(&r, &h, NULL, 0);
	guest_expects_piece(&r, data + 500, 200, VIRTIO_VSOCK_SEQ_EOM);

	/* What the guest can never hold ends the connection. */
	assert_int_equal(send(fd, data, 3001, 0), 3001);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	host_expects_end(fd);
	close(fd);
	finish(&r);
}

static void a_message_may_be_as_long_as_the_room(void **state)
{
	static uint8_t data[VSOCK_MESSAGE_MAX];
	const uint32_t half = VSOCK_MESSAGE_MAX / 2, small = 60000;
	struct packet p;
	struct rig r;
	int fd = open_from_guest(&r, 16);

	memset(data, 'm', sizeof(data));
	guest_sends_piece(&r, data, small, VIRTIO_VSOCK_SEQ_EOM);
	host_expects_message(fd, data, small);
	expect_silence(&r); /* not worth a packet of its own */
	guest_sends_piece(&r, data, half, 0);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_CREDIT_UPDATE); /* but now it counts */
	assert_int_equal(p.h.fwd_cnt, small);
	guest_sends_piece(&r, data, half, VIRTIO_VSOCK_SEQ_EOM);
	host_expects_message(fd, data, sizeof(data));
	close(fd);
	finish(&r);
}

static void a_message_without_end_is_bounded(void **state)
{
	static const uint8_t data[VSOCK_MESSAGE_MAX / 2];
	struct packet p;
	struct rig r;
	int fd = open_from_guest(&r, 16);

	guest_sends_piece(&r, data, sizeof(data), 0);
	guest_sends_piece(&r, data, sizeof(data), 0);
	expect_silence(&r);
	guest_sends_piece(&r, data, 1, 0);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	host_expects_end(fd);
	close(fd);
	finish(&r);
}

static void empty_messages_nobody_reads_are_bounded(void **state)
{
	const struct virtio_vsock_hdr h = message(VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_SEQ_EOM);
	struct rig r;
	int fd = open_from_guest(&r, 16);
	struct driver_buffer b = {.gpa = r.out, .len = HEADER};
	uint16_t id = 0, op = 0;
	uint32_t len = 0;

	mem_write(r.h.mem, r.out, &h, HEADER);
	for (unsigned sent = 0; !op && sent < 2 * VSOCK_MESSAGES_MAX; sent += 256) {
		for (unsigned i = 0; i < 256; i++)
			driver_add(&r.tx, &b, 1);
		driver_notify(&r.tx);
		for (unsigned i = 0; i < 256; i++)
			assert_true(driver_wait(&r.tx, &id, &len));
		if (driver_used(&r.rx, &id, &len))
			op = ((struct virtio_vsock_hdr *)driver_ptr(&r.h, r.buffers[id], HEADER))
				     ->op;
	}
	assert_int_equal(op, VIRTIO_VSOCK_OP_RST);
	close(fd);
	finish(&r);
}

static void kinds_of_sockets_are_not_mixed(void **state)
{
	const struct virtio_vsock_hdr h = message(VIRTIO_VSOCK_OP_REQUEST, 0);
	struct packet p;
	struct rig r;
	char path[80];
	int fd = open_from_guest(&r, 16);

	/* A packet of the other kind on this connection. */
	guest_sends_data(&r, HOST_PORT, GUEST_PORT, "bytes", 5);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(p.h.type, VIRTIO_VSOCK_TYPE_STREAM);
	guest_sends_piece(&r, "still", 5, VIRTIO_VSOCK_SEQ_EOM);
	host_expects_message(fd, "still", 5);
	close(fd);
	finish(&r);

	/* Who listens decides, and a guest that does not know messages gets none. */
	make(&r);
	start(&r, 16);
	int listener = host_listens_for(&r, SOCK_SEQPACKET, HOST_PORT, path);
	guest_sends_op(&r, HOST_PORT, GUEST_PORT, VIRTIO_VSOCK_OP_REQUEST);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	guest_sends(&r, &h, NULL, 0);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	fd = host_connects_to(&r, SOCK_SEQPACKET, ".seq");
	host_sends(fd, "CONNECT 1000\n");
	host_expects_end(fd);
	close(fd);
	close(listener);
	unlink(path);
	finish(&r);
}

/* ---- mistakes ---- */

static void packets_that_make_no_sense_are_refused_or_ignored(void **state)
{
	struct virtio_vsock_hdr h;
	struct packet p;
	struct rig r;
	uint32_t port;

	make(&r);
	start(&r, 32);
	h = packet(1, 2, VIRTIO_VSOCK_OP_REQUEST);
	h.dst_cid = 77; /* not the host */
	guest_sends(&r, &h, NULL, 0);
	guest_receives(&r, &p);
	assert_int_equal(p.h.op, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(p.h.src_cid, 77);
	h = packet(1, 2, VIRTIO_VSOCK_OP_REQUEST);
	h.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	guest_sends(&r, &h, NULL, 0);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(p.h.type, VIRTIO_VSOCK_TYPE_SEQPACKET);
	guest_sends_op(&r, 1, 2, VIRTIO_VSOCK_OP_RW); /* no such connection */
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	guest_sends_op(&r, 1, 2, VIRTIO_VSOCK_OP_RST);
	h = packet(1, 2, VIRTIO_VSOCK_OP_REQUEST);
	h.src_cid = 43; /* somebody else */
	guest_sends(&r, &h, NULL, 0);
	struct driver_buffer half = {.gpa = r.out, .len = HEADER - 1};
	assert_int_equal(driver_request(&r.tx, &half, 1), 0);
	expect_silence(&r);

	static const uint16_t ops[] = {VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RESPONSE,
				       VIRTIO_VSOCK_OP_INVALID, 99};
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		int fd = open_from_host(&r, &port);

		guest_sends_op(&r, port, 1000, ops[i]);
		guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
		host_expects_end(fd);
		close(fd);
	}
	int fd = open_from_host(&r, &port);
	h = packet(port, 1000, VIRTIO_VSOCK_OP_RW);
	h.len = 100; /* of which there are five */
	guest_sends(&r, &h, "short", 5);
	guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	close(fd);
	assert_false(virtio_status(r.h.device) & VIRTIO_CONFIG_S_NEEDS_RESET);
	finish(&r);
}

static void refusals_wait_for_buffers(void **state)
{
	const struct virtio_vsock_hdr h = packet(1, 2, VIRTIO_VSOCK_OP_RW);
	struct driver_buffer b;
	struct packet p;
	struct rig r;
	uint16_t id = 0;
	uint32_t len = 0;
	unsigned used = 0;

	make(&r);
	start(&r, 0);
	b = (struct driver_buffer){.gpa = r.out, .len = HEADER};
	mem_write(r.h.mem, r.out, &h, HEADER);
	for (unsigned i = 0; i < 100; i++)
		driver_add(&r.tx, &b, 1);
	driver_notify(&r.tx);
	usleep(20000);
	while (driver_used(&r.tx, &id, &len))
		used++;
	assert_int_equal(used, 64); /* the others stay in the ring */
	for (unsigned i = 0; i < 100; i++) {
		give_buffer(&r);
		guest_expects(&r, &p, VIRTIO_VSOCK_OP_RST);
	}
	usleep(20000);
	while (driver_used(&r.tx, &id, &len))
		used++;
	assert_int_equal(used, 100);
	finish(&r);
}

static void connections_that_wait_for_buffers_are_bounded(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	unsigned nr = 0;
	char path[80];
	struct rig r;
	int fd;

	make(&r);
	start(&r, 0);
	snprintf(path, sizeof(path), "%s_7", r.path);
	strcpy(addr.sun_path, path);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 4), 0);
	/* Each ends at once, and its reset waits. */
	do {
		guest_sends_op(&r, 7, nr, VIRTIO_VSOCK_OP_REQUEST);
		fd = accept(listener, NULL, NULL);
		if (fd >= 0) {
			guest_sends_op(&r, 7, nr, VIRTIO_VSOCK_OP_INVALID);
			host_expects_end(fd);
			close(fd);
		}
	} while (fd >= 0 && ++nr <= VSOCK_STREAMS_MAX);
	assert_int_equal(nr, VSOCK_STREAMS_MAX);
	close(listener);
	unlink(path);
	finish(&r);
}

/* ---- reset and saving ---- */

static void a_reset_ends_all_connections(void **state)
{
	struct rig r;
	uint32_t port;

	make(&r);
	start(&r, 16);
	int fd = open_from_host(&r, &port);
	virtio_set_status(r.h.device, 0);
	host_expects_end(fd);
	close(fd);
	fd = host_connects(&r);
	host_sends(fd, "CONNECT 1\n"); /* there is no driver */
	host_expects_end(fd);
	close(fd);
	start(&r, 16);
	fd = open_from_host(&r, &port);
	close(fd);
	finish(&r);
}

static void a_loaded_guest_is_told_that_its_connections_are_gone(void **state)
{
	struct virtio_vsock_event event = {.id = 99};
	struct buf saved = {0}, again = {0};
	struct rig r, other;
	struct state s;
	uint32_t port;

	make(&r);
	start(&r, 16);
	struct driver_buffer b = {.gpa = driver_alloc(&r.h, 4), .len = 4, .is_writable = true};
	mem_write(r.h.mem, b.gpa, &event, 4);
	driver_add(&r.event, &b, 1);
	int fd = open_from_host(&r, &port);
	virtio_pause(r.h.device);
	state_init_save(&s, &saved);
	state_begin(&s, "virtio", 1);
	virtio_state(r.h.device, &s);
	state_end(&s);

	make(&other);
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
	for (unsigned i = 0; i < 1000 && event.id; i++) {
		usleep(1000);
		mem_read(other.h.mem, b.gpa, &event, 4);
	}
	assert_int_equal(event.id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
	close(fd);
	buf_free(&saved);
	buf_free(&again);
	finish(&other);
	finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_of_the_host_reaches_the_guest),
		cmocka_unit_test(a_request_may_come_in_pieces_with_data_behind_it),
		cmocka_unit_test(requests_that_are_none_are_closed),
		cmocka_unit_test(a_refused_or_abandoned_request_ends),
		cmocka_unit_test(the_guest_reaches_a_listening_program),
		cmocka_unit_test(no_more_is_sent_than_the_guest_has_room_for),
		cmocka_unit_test(the_guest_hears_what_was_taken_and_may_not_send_more),
		cmocka_unit_test(messages_are_kept_apart_both_ways),
		cmocka_unit_test(a_program_of_the_host_sends_messages_to_the_guest),
		cmocka_unit_test(a_long_message_is_cut_to_buffers_and_credit),
		cmocka_unit_test(a_message_may_be_as_long_as_the_room),
		cmocka_unit_test(a_message_without_end_is_bounded),
		cmocka_unit_test(empty_messages_nobody_reads_are_bounded),
		cmocka_unit_test(kinds_of_sockets_are_not_mixed),
		cmocka_unit_test(packets_that_make_no_sense_are_refused_or_ignored),
		cmocka_unit_test(refusals_wait_for_buffers),
		cmocka_unit_test(connections_that_wait_for_buffers_are_bounded),
		cmocka_unit_test(a_reset_ends_all_connections),
		cmocka_unit_test(a_loaded_guest_is_told_that_its_connections_are_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
