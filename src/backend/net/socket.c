/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/net/finish.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"

#define LENGTH_BYTES	4
#define HEADER_BYTES	sizeof(struct net_offload)
#define READ_BYTES	(256 * 1024)	  /* four of the longest frames */
#define OUT_BYTES_MAX	(4 * 1024 * 1024) /* what waits for a peer that does not read */
#define READS_PER_EVENT 4
#define RETRY_NS	(NS_PER_SEC / 2)

/* The frame by which two bantams find each other; padded to Ethernet's 60 bytes. */
#define GREETING_BYTES 60
#define HELLO	       "bantam-net 1 hello"
#define START	       "bantam-net 1 start"

struct net_socket {
	struct net_dev dev;
	struct loop *loop;
	char *path; /* of the switch; NULL on its own side */
	struct loop_fd watch;
	uint32_t events;
	struct loop_timer retry;
	unsigned guest_can;

	bool has_header_in, has_header_out;
	bool is_held;	   /* the front end had no room */
	bool was_refused;  /* of a send: tell when there is room */
	size_t in, in_end; /* what is to be taken of data */
	uint8_t *data;	   /* READ_BYTES */
	struct buf out;
	size_t out_at; /* of out, sent */
	uint8_t frame[NET_FRAME_MAX];
};

static void connect_again(struct net_socket *s);

static void watch(struct net_socket *s, uint32_t events)
{
	if (s->events != events && s->watch.fd >= 0)
		loop_fd_set_events(s->loop, &s->watch, events);
	s->events = events;
}

static void disconnect(struct net_socket *s, const char *why)
{
	if (s->watch.fd < 0)
		return;
	log_debug("network socket: disconnected: %s", why);
	loop_fd_remove(s->loop, &s->watch);
	close(s->watch.fd);
	s->watch.fd = -1;
	s->in = s->in_end = s->out_at = 0;
	buf_free(&s->out);
	s->is_held = false;
	if (s->path)
		loop_timer_arm(&s->retry, host_now_ns() + RETRY_NS);
	/* The last thing: a switch frees the port in answer, though not at once. */
	net_deliver_link(&s->dev, false);
}

/* ---- out ---- */

static size_t waiting(const struct net_socket *s)
{
	return s->out.len - s->out_at;
}

/* Sends what waits. Returns false after a disconnect. */
static bool flush(struct net_socket *s)
{
	while (waiting(s)) {
		ssize_t n = send(s->watch.fd, s->out.data + s->out_at, waiting(s),
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			disconnect(s, strerror(errno));
			return false;
		}
		if (n < 0)
			break;
		s->out_at += (size_t)n;
	}
	if (!waiting(s))
		s->out.len = s->out_at = 0;
	else if (s->out_at > OUT_BYTES_MAX / 4) {
		buf_drop_front(&s->out, s->out_at);
		s->out_at = 0;
	}
	watch(s, (s->events & EPOLLIN) | (waiting(s) ? EPOLLOUT : 0u));
	return true;
}

static uint8_t *append_frame(struct net_socket *s, size_t len, const struct net_offload *o)
{
	uint32_t total = (uint32_t)(len + (o ? HEADER_BYTES : 0));
	uint8_t prefix[LENGTH_BYTES] = {(uint8_t)(total >> 24), (uint8_t)(total >> 16),
					(uint8_t)(total >> 8), (uint8_t)total};

	buf_append(&s->out, prefix, sizeof(prefix));
	if (o)
		buf_append(&s->out, o, HEADER_BYTES);
	return buf_append(&s->out, NULL, len);
}

static void append_plain(void *ctx, const uint8_t *frame, size_t len)
{
	memcpy(append_frame(ctx, len, NULL), frame, len);
}

static void queue_frame(struct net_socket *s, const struct net_frame *f)
{
	if (s->has_header_out) {
		net_frame_copy(f, append_frame(s, f->len, &f->offload));
	} else if (!f->offload.gso && !(f->offload.flags & NET_NEEDS_CSUM)) {
		net_frame_copy(f, append_frame(s, f->len, NULL));
	} else {
		net_frame_copy(f, s->frame);
		if (offload_finish(s->frame, f->len, &f->offload, append_plain, s))
			s->dev.stats.dropped++;
	}
}

static unsigned socket_send(struct net_dev *n, unsigned queue, const struct net_frame *frames,
			    unsigned nr)
{
	struct net_socket *s = container_of(n, struct net_socket, dev);
	unsigned taken = 0;

	if (s->watch.fd < 0) {
		n->stats.dropped += nr;
		return nr;
	}
	for (; taken < nr && waiting(s) < OUT_BYTES_MAX; taken++) {
		queue_frame(s, &frames[taken]);
		n->stats.sent_frames++;
		n->stats.sent_bytes += frames[taken].len;
	}
	s->was_refused = taken < nr;
	flush(s);
	return taken;
}

static void greet(struct net_socket *s, const char *text)
{
	static const uint8_t to[] = {0x03, 'b', 'a', 'n', 't', 'a'};
	uint8_t frame[GREETING_BYTES] = {[6] = 0x02, [12] = 0x88, [13] = 0xb5};

	memcpy(frame, to, sizeof(to));
	strcpy((char *)frame + NET_ETH_HEADER, text);
	append_plain(s, frame, sizeof(frame));
}

/* ---- in ---- */

static bool is_greeting(const uint8_t *frame, size_t len, const char *text)
{
	return len == GREETING_BYTES && frame[0] == 0x03 && frame[12] == 0x88 &&
	       frame[13] == 0xb5 && !memcmp(frame + NET_ETH_HEADER, text, strlen(text) + 1);
}

/* Returns whether the frame was meant for us. */
static bool take_greeting(struct net_socket *s, const uint8_t *frame, size_t len)
{
	bool is_server = !s->path;

	if (s->has_header_in ||
	    !is_greeting(frame, len, is_server && !s->has_header_out ? HELLO : START))
		return false;
	/* The last frame without a header either way is a START. */
	if (!is_server || s->has_header_out)
		s->has_header_in = true;
	if (!s->has_header_out)
		greet(s, START);
	s->has_header_out = true;
	return true;
}

enum step { STEP_ON, STEP_MORE, STEP_HELD, STEP_BAD };

/* Takes the next frame of what was read. */
static enum step take_frame(struct net_socket *s)
{
	size_t left = s->in_end - s->in;
	uint8_t *at = s->data + s->in;
	struct net_offload offload = {0};
	size_t skipped = s->has_header_in ? HEADER_BYTES : 0;

	if (left < LENGTH_BYTES)
		return STEP_MORE;
	size_t len = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
	if (len < skipped || len - skipped > NET_FRAME_MAX)
		return STEP_BAD;
	if (left < LENGTH_BYTES + len)
		return STEP_MORE;
	at += LENGTH_BYTES;
	memcpy(&offload, at, skipped);
	at += skipped;
	size_t frame_len = len - skipped;
	if (frame_len < NET_FRAME_MIN || !offload_is_sane(&offload, frame_len))
		s->dev.stats.dropped++;
	else if (!take_greeting(s, at, frame_len) &&
		 !net_deliver_frame(&s->dev, s->guest_can, at, frame_len, &offload))
		return STEP_HELD;
	/* The front end may have ended the connection. */
	if (s->watch.fd >= 0)
		s->in += LENGTH_BYTES + len;
	return STEP_ON;
}

/* Takes all frames that were read. Returns false when no more is to be read now. */
static bool take_frames(struct net_socket *s)
{
	enum step step;

	do
		step = take_frame(s);
	while (step == STEP_ON);
	if (step == STEP_BAD) {
		disconnect(s, "the other end sends what is no frame");
		return false;
	}
	s->is_held = step == STEP_HELD;
	memmove(s->data, s->data + s->in, s->in_end - s->in);
	s->in_end -= s->in;
	s->in = 0;
	watch(s, (s->events & EPOLLOUT) | (s->is_held ? 0u : EPOLLIN));
	return !s->is_held;
}

static void receive(struct net_socket *s)
{
	for (unsigned i = 0; i < READS_PER_EVENT && s->watch.fd >= 0; i++) {
		size_t room = READ_BYTES - s->in_end;
		ssize_t n = recv(s->watch.fd, s->data + s->in_end, room, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			disconnect(s, n ? strerror(errno) : "the other end closed");
			return;
		}
		s->in_end += (size_t)n;
		if (!take_frames(s) || (size_t)n < room)
			break;
	}
}

static void socket_ready(struct loop_fd *w, uint32_t events)
{
	struct net_socket *s = container_of(w, struct net_socket, watch);

	if (events & EPOLLOUT && flush(s) && s->was_refused && waiting(s) < OUT_BYTES_MAX / 2) {
		s->was_refused = false;
		net_deliver_writable(&s->dev);
	}
	if (s->watch.fd >= 0 && !s->is_held && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		receive(s);
	else if (s->watch.fd >= 0 && events & (EPOLLHUP | EPOLLERR))
		disconnect(s, "the other end closed");
	if (s->watch.fd >= 0 && waiting(s))
		flush(s);
	net_deliver_done(&s->dev);
}

static void socket_receive_more(struct net_dev *n)
{
	struct net_socket *s = container_of(n, struct net_socket, dev);

	if (s->watch.fd < 0)
		return;
	take_frames(s);
	net_deliver_done(n);
}

static void socket_set_offloads(struct net_dev *n, unsigned can)
{
	container_of(n, struct net_socket, dev)->guest_can = can;
}

/* ---- life ---- */

static void socket_free(struct net_dev *n)
{
	struct net_socket *s = container_of(n, struct net_socket, dev);

	n->front = NULL;
	disconnect(s, "the end");
	loop_timer_disarm(&s->retry);
	free(s->data);
	free(s->path);
	free(s);
}

static const struct net_ops socket_ops = {
	.send = socket_send,
	.receive_more = socket_receive_more,
	.set_offloads = socket_set_offloads,
	.free = socket_free,
};

static struct net_socket *new_socket(struct loop *loop)
{
	struct net_socket *s = mem_alloc_zero(sizeof(*s));

	s->dev = (struct net_dev){
		.ops = &socket_ops, .offloads = NET_CAN_ALL, .nr_queues = 1, .is_up = true};
	s->loop = loop;
	s->watch = (struct loop_fd){-1, socket_ready};
	s->data = mem_alloc_zero(READ_BYTES);
	return s;
}

static int begin(struct net_socket *s, int fd)
{
	s->watch.fd = fd;
	s->events = EPOLLIN;
	s->has_header_in = s->has_header_out = s->is_held = false;
	return loop_fd_add(s->loop, &s->watch, EPOLLIN);
}

static int open_path(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int start_client(struct net_socket *s)
{
	int fd = open_path(s->path);

	if (fd < 0)
		return fd;
	int rc = begin(s, fd);
	greet(s, HELLO);
	flush(s);
	return rc;
}

static void retry_due(struct loop_timer *t)
{
	connect_again(container_of(t, struct net_socket, retry));
}

static void connect_again(struct net_socket *s)
{
	if (start_client(s))
		loop_timer_arm(&s->retry, host_now_ns() + RETRY_NS);
	else
		net_deliver_link(&s->dev, true);
}

struct net_dev *socket_connect(struct loop *loop, const char *path, struct error *err)
{
	struct net_socket *s = new_socket(loop);

	loop_timer_init(&s->retry, loop, retry_due);
	s->path = mem_strdup(path);
	int rc = start_client(s);
	if (!rc)
		return &s->dev;
	error_set_errno(err, rc,
			"socket %s (nobody to be a switch there; see 'bantam help switch')", path);
	socket_free(&s->dev);
	return NULL;
}

struct net_dev *socket_accept(struct loop *loop, int fd)
{
	struct net_socket *s = new_socket(loop);

	loop_timer_init(&s->retry, loop, retry_due);
	begin(s, fd);
	return &s->dev;
}
