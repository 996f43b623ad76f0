/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/vsock/vsock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/char/listen.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/parse.h"

#define REQUEST_MAX 32 /* bytes of "CONNECT 4294967295\n", and some */

enum stream_state {
	STREAM_ASKING,	/* has not said yet which port it wants */
	STREAM_WAITING, /* has, and waits for the answer */
	STREAM_OPEN,
	STREAM_LEAVING, /* closed by the device; only what is unsent keeps it */
};

struct vsock_stream {
	struct vsock_host *host;
	struct list node;
	enum stream_state state;
	struct loop_fd watch;
	uint32_t watched; /* events in the loop's set */
	bool is_watched;
	bool wants_read; /* the front end waits for bytes */
	bool is_at_end;	 /* it has seen the end, and waits for the hang-up */
	bool must_shut;	 /* the end of the stream follows what is unsent */
	bool is_broken;
	bool has_messages;
	struct buf unsent;
	struct buf lengths; /* uint32_t each: of the messages in unsent that are complete */
	size_t open_len;    /* bytes behind them, of the one that is not */
	void *owner;
};

/* Where programs of the host ask for ports of the guest. */
struct listener {
	struct loop_fd watch;
	struct vsock_host *host;
	char *path;
	bool has_messages;
	bool is_on;
};

struct vsock_host {
	struct loop *loop;
	const char *path; /* of the first listener */
	struct listener listeners[2];
	const struct vsock_front *front;
	void *ctx;
	struct list streams;
	unsigned nr_streams;
};

static void on_event(struct loop_fd *w, uint32_t events);

/* ---- life of a stream ---- */

static struct vsock_stream *add_stream(struct vsock_host *h, int fd, enum stream_state state,
				       bool has_messages)
{
	struct vsock_stream *s = mem_alloc_zero(sizeof(*s));
	const int room = 2 * VSOCK_MESSAGE_MAX; /* as much of that as the host allows */

	s->host = h;
	s->state = state;
	s->has_messages = has_messages;
	if (has_messages)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	s->watch.fd = fd;
	s->watch.fn = on_event;
	list_append(&h->streams, &s->node);
	h->nr_streams++;
	return s;
}

static void destroy(struct vsock_stream *s)
{
	if (s->is_watched)
		loop_fd_remove(s->host->loop, &s->watch);
	close(s->watch.fd);
	list_remove(&s->node);
	s->host->nr_streams--;
	buf_free(&s->unsent);
	buf_free(&s->lengths);
	free(s);
}

/* Whether there is something that can leave: of a message that has no end yet, nothing can. */
static bool has_output(const struct vsock_stream *s)
{
	return s->has_messages ? s->lengths.len : s->unsent.len;
}

static void set_watch(struct vsock_stream *s, bool on, uint32_t events)
{
	if (!on && s->is_watched)
		loop_fd_remove(s->host->loop, &s->watch);
	else if (on && !s->is_watched)
		on = !loop_fd_add(s->host->loop, &s->watch, events);
	else if (on && events != s->watched)
		loop_fd_set_events(s->host->loop, &s->watch, events);
	s->is_watched = on;
	s->watched = events;
}

/*
 * A watch for nothing still reports the hang-up, which is what one at the end waits for. A request is
 * left in the socket until it is whole, so only news of it count.
 */
static void update_watch(struct vsock_stream *s)
{
	bool writes = has_output(s) && !s->is_broken;

	if (s->state == STREAM_ASKING)
		set_watch(s, true, EPOLLIN | EPOLLRDHUP | EPOLLET);
	else
		set_watch(s, s->wants_read || writes || s->is_at_end,
			  (s->wants_read ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0));
}

/* ---- writing ---- */

/* Sends the next message, or as many bytes as the socket takes. Returns their number, or -errno. */
static ssize_t send_next(struct vsock_stream *s, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	do {
		n = send(s->watch.fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void flush(struct vsock_stream *s)
{
	size_t sent = 0, ended = 0; /* bytes of unsent and of lengths that are done with */
	ssize_t n = 0;

	while (n >= 0 && (s->has_messages ? ended < s->lengths.len : sent < s->unsent.len)) {
		uint32_t len = 0;

		if (s->has_messages)
			memcpy(&len, s->lengths.data + ended, sizeof(len));
		n = send_next(s, s->unsent.data + sent,
			      s->has_messages ? len : s->unsent.len - sent);
		if (n >= 0) {
			sent += (size_t)n;
			ended += s->has_messages ? sizeof(len) : 0;
		}
	}
	s->is_broken |= n < 0 && n != -EAGAIN;
	buf_drop_front(&s->unsent, sent);
	buf_drop_front(&s->lengths, ended);
	if (s->is_broken) {
		buf_free(&s->unsent);
		buf_free(&s->lengths);
	}
	if (!has_output(s) && s->must_shut) {
		s->must_shut = false;
		shutdown(s->watch.fd, SHUT_WR);
	}
}

void vsock_stream_write(struct vsock_stream *s, const void *data, size_t len)
{
	if (s->is_broken)
		return;
	buf_append(&s->unsent, data, len);
	if (s->has_messages)
		s->open_len += len;
	else
		flush(s);
	update_watch(s);
}

int vsock_stream_end_message(struct vsock_stream *s)
{
	uint32_t len = (uint32_t)s->open_len;

	if (s->is_broken)
		return 0;
	if (s->lengths.len / sizeof(len) >= VSOCK_MESSAGES_MAX)
		return -ENOBUFS;
	buf_append(&s->lengths, &len, sizeof(len));
	s->open_len = 0;
	flush(s);
	update_watch(s);
	return 0;
}

bool vsock_stream_has_messages(const struct vsock_stream *s)
{
	return s->has_messages;
}

size_t vsock_stream_unsent(const struct vsock_stream *s)
{
	return s->unsent.len;
}

bool vsock_stream_is_broken(const struct vsock_stream *s)
{
	return s->is_broken;
}

void vsock_stream_shutdown(struct vsock_stream *s)
{
	s->must_shut = true;
	flush(s);
}

void vsock_stream_close(struct vsock_stream *s)
{
	s->owner = NULL;
	s->wants_read = s->is_at_end = false;
	s->state = STREAM_LEAVING;
	if (!has_output(s))
		destroy(s);
	else
		update_watch(s);
}

/* ---- reading ---- */

ssize_t vsock_stream_read(struct vsock_stream *s, const struct iovec *iov, int nr)
{
	ssize_t n;

	do {
		n = readv(s->watch.fd, iov, nr);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		n = -errno;
	s->wants_read = n == -EAGAIN;
	s->is_at_end = !n && !vsock_stream_is_gone(s);
	update_watch(s);
	return n;
}

/* An empty message reads like the end. What is behind it, or that no end was sent, tells them apart. */
static bool is_at_end(const struct vsock_stream *s)
{
	struct pollfd p = {.fd = s->watch.fd, .events = POLLRDHUP};
	int behind = 0;

	return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP) &&
	       !(ioctl(s->watch.fd, FIONREAD, &behind) == 0 && behind > 0);
}

static int read_message(struct vsock_stream *s, struct buf *message, size_t max)
{
	ssize_t len = recv(s->watch.fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

	if (len < 0)
		return -errno;
	if ((size_t)len > max)
		return -EMSGSIZE;
	size_t before = message->len;
	uint8_t *at = buf_append(message, NULL, (size_t)len);
	ssize_t n = recv(s->watch.fd, at, (size_t)len, MSG_DONTWAIT);
	if (n == len)
		return n || !is_at_end(s);
	message->len = before;
	return n < 0 ? -errno : -EIO;
}

int vsock_stream_read_message(struct vsock_stream *s, struct buf *message, size_t max)
{
	int rc;

	do {
		rc = read_message(s, message, max);
	} while (rc == -EINTR);
	s->wants_read = rc == -EAGAIN;
	s->is_at_end = !rc && !vsock_stream_is_gone(s);
	update_watch(s);
	return rc;
}

bool vsock_stream_is_gone(const struct vsock_stream *s)
{
	struct pollfd p = {.fd = s->watch.fd};

	return poll(&p, 1, 0) > 0 && p.revents & POLLHUP;
}

/* ---- asking for a port ---- */

/*
 * Takes "CONNECT port\n" off the socket and nothing behind it, or a message that is nothing else. Returns
 * 0, -EAGAIN or -EINVAL.
 */
static int read_request(struct vsock_stream *s, uint32_t *port)
{
	char line[REQUEST_MAX + 1] = "";
	uint64_t number;
	ssize_t n = recv(s->watch.fd, line, REQUEST_MAX, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0)
		return -EINVAL;
	char *newline = memchr(line, '\n', (size_t)n);
	if (!newline)
		return n < REQUEST_MAX && !s->has_messages ? -EAGAIN : -EINVAL;
	size_t len = (size_t)(newline - line) + 1;
	if (s->has_messages && len != (size_t)n)
		return -EINVAL;
	if (recv(s->watch.fd, line, len, MSG_DONTWAIT) != (ssize_t)len)
		return -EINVAL;
	*newline = '\0';
	if (strncasecmp(line, "CONNECT ", 8) || parse_u64(line + 8, &number) ||
	    number >= UINT32_MAX)
		return -EINVAL;
	*port = (uint32_t)number;
	return 0;
}

static void take_request(struct vsock_stream *s, bool is_last)
{
	uint32_t port = 0;
	int rc = read_request(s, &port);

	if (rc == -EAGAIN && !is_last)
		return;
	if (rc) {
		destroy(s);
		return;
	}
	s->state = STREAM_WAITING;
	s->is_at_end = true; /* hears of a client that gives up */
	update_watch(s);
	s->host->front->incoming(s->host->ctx, s, port);
}

void vsock_stream_accept(struct vsock_stream *s, uint32_t number)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "OK %u\n", number);

	s->state = STREAM_OPEN;
	s->is_at_end = false;
	vsock_stream_write(s, line, (size_t)len);
	if (s->has_messages)
		vsock_stream_end_message(s);
}

static void on_event(struct loop_fd *w, uint32_t events)
{
	struct vsock_stream *s = container_of(w, struct vsock_stream, watch);
	const struct vsock_host *h = s->host;

	if (s->state == STREAM_ASKING) {
		take_request(s, events & (EPOLLRDHUP | EPOLLHUP));
		return;
	}
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && has_output(s)) {
		flush(s);
		if (s->state == STREAM_LEAVING && !has_output(s)) {
			destroy(s);
			return;
		}
		update_watch(s);
		if (s->state == STREAM_OPEN) {
			/* May close the stream; what else there is comes back by itself. */
			h->front->sent(h->ctx, s);
			return;
		}
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP) && s->state != STREAM_LEAVING) {
		s->wants_read = s->is_at_end = false;
		update_watch(s);
		h->front->readable(h->ctx, s);
	}
}

void vsock_stream_set_owner(struct vsock_stream *s, void *owner)
{
	s->owner = owner;
}

void *vsock_stream_owner(const struct vsock_stream *s)
{
	return s->owner;
}

/* ---- the host ---- */

static void on_connection(struct loop_fd *w, uint32_t events)
{
	const struct listener *l = container_of(w, struct listener, watch);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (l->host->nr_streams == VSOCK_STREAMS_MAX) {
		log_once(LOG_WARN, "vsock: more than %d connections at once", VSOCK_STREAMS_MAX);
		close(fd);
		return;
	}
	update_watch(add_stream(l->host, fd, STREAM_ASKING, l->has_messages));
}

static int add_listener(struct vsock_host *h, unsigned i, const char *suffix, struct error *err)
{
	struct buf path = {0};

	buf_printf(&path, "%s%s", h->listeners[0].path ? h->listeners[0].path : "", suffix);
	bool has_messages = i;
	int fd = listen_unix(buf_text(&path), has_messages ? SOCK_SEQPACKET : SOCK_STREAM, err);
	if (fd < 0) {
		buf_free(&path);
		return fd;
	}
	h->listeners[i] = (struct listener){.watch = {.fd = fd, .fn = on_connection},
					    .host = h,
					    .path = mem_strdup(buf_text(&path)),
					    .has_messages = has_messages};
	buf_free(&path);
	return 0;
}

struct vsock_host *vsock_host_new(struct loop *loop, const char *path, struct error *err)
{
	struct sockaddr_un addr;

	/* Room for "_" and a port behind it. */
	if (strlen(path) + 11 >= sizeof(addr.sun_path)) {
		error_set(err, -ENAMETOOLONG, "%s: the path of a vsock has at most %zu bytes", path,
			  sizeof(addr.sun_path) - 12);
		return NULL;
	}
	struct vsock_host *h = mem_alloc_zero(sizeof(*h));
	h->loop = loop;
	list_init(&h->streams);
	if (add_listener(h, 0, path, err) || add_listener(h, 1, ".seq", err)) {
		vsock_host_free(h);
		return NULL;
	}
	h->path = h->listeners[0].path;
	return h;
}

void vsock_host_start(struct vsock_host *h, const struct vsock_front *front, void *ctx)
{
	h->front = front;
	h->ctx = ctx;
	for (unsigned i = 0; i < ARRAY_SIZE(h->listeners); i++)
		h->listeners[i].is_on = !loop_fd_add(h->loop, &h->listeners[i].watch, EPOLLIN);
}

static void remove_listener(struct vsock_host *h, struct listener *l)
{
	if (!l->path)
		return;
	if (l->is_on)
		loop_fd_remove(h->loop, &l->watch);
	close(l->watch.fd);
	unlink(l->path);
	free(l->path);
}

void vsock_host_free(struct vsock_host *h)
{
	if (!h)
		return;
	list_for_each_safe (it, &h->streams)
		destroy(list_entry(it, struct vsock_stream, node));
	for (unsigned i = 0; i < ARRAY_SIZE(h->listeners); i++)
		remove_listener(h, &h->listeners[i]);
	free(h);
}

struct vsock_stream *vsock_host_connect(struct vsock_host *h, uint32_t port, bool has_messages)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int type = has_messages ? SOCK_SEQPACKET : SOCK_STREAM;

	if (h->nr_streams == VSOCK_STREAMS_MAX) {
		log_once(LOG_WARN, "vsock: more than %d connections at once", VSOCK_STREAMS_MAX);
		return NULL;
	}
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", h->path, port);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return NULL;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return NULL;
	}
	return add_stream(h, fd, STREAM_OPEN, has_messages);
}
