/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/vsock/vsock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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
	struct buf unsent;
	void *owner;
};

struct vsock_host {
	struct loop *loop;
	char *path;
	struct loop_fd listener;
	bool is_listening;
	const struct vsock_front *front;
	void *ctx;
	struct list streams;
	unsigned nr_streams;
};

static void on_event(struct loop_fd *w, uint32_t events);

/* ---- life of a stream ---- */

static struct vsock_stream *add_stream(struct vsock_host *h, int fd, enum stream_state state)
{
	struct vsock_stream *s = mem_alloc_zero(sizeof(*s));

	s->host = h;
	s->state = state;
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
	free(s);
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
	bool writes = s->unsent.len && !s->is_broken;

	if (s->state == STREAM_ASKING)
		set_watch(s, true, EPOLLIN | EPOLLRDHUP | EPOLLET);
	else
		set_watch(s, s->wants_read || writes || s->is_at_end,
			  (s->wants_read ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0));
}

/* ---- writing ---- */

static void flush(struct vsock_stream *s)
{
	while (s->unsent.len && !s->is_broken) {
		ssize_t n = send(s->watch.fd, s->unsent.data, s->unsent.len,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			s->is_broken = true;
		else
			buf_drop_front(&s->unsent, (size_t)n);
	}
	if (s->is_broken)
		buf_free(&s->unsent);
	if (!s->unsent.len && s->must_shut) {
		s->must_shut = false;
		shutdown(s->watch.fd, SHUT_WR);
	}
}

void vsock_stream_write(struct vsock_stream *s, const void *data, size_t len)
{
	if (s->is_broken)
		return;
	buf_append(&s->unsent, data, len);
	flush(s);
	update_watch(s);
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
	if (!s->unsent.len)
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

bool vsock_stream_is_gone(const struct vsock_stream *s)
{
	struct pollfd p = {.fd = s->watch.fd};

	return poll(&p, 1, 0) > 0 && p.revents & POLLHUP;
}

/* ---- asking for a port ---- */

/* Takes "CONNECT port\n" off the socket and nothing behind it. Returns 0, -EAGAIN or -EINVAL. */
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
		return n < REQUEST_MAX ? -EAGAIN : -EINVAL;
	size_t len = (size_t)(newline - line) + 1;
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
}

static void on_event(struct loop_fd *w, uint32_t events)
{
	struct vsock_stream *s = container_of(w, struct vsock_stream, watch);
	const struct vsock_host *h = s->host;

	if (s->state == STREAM_ASKING) {
		take_request(s, events & (EPOLLRDHUP | EPOLLHUP));
		return;
	}
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && s->unsent.len) {
		flush(s);
		if (s->state == STREAM_LEAVING && !s->unsent.len) {
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
	struct vsock_host *h = container_of(w, struct vsock_host, listener);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (h->nr_streams == VSOCK_STREAMS_MAX) {
		log_once(LOG_WARN, "vsock: more than %d connections at once", VSOCK_STREAMS_MAX);
		close(fd);
		return;
	}
	update_watch(add_stream(h, fd, STREAM_ASKING));
}

struct vsock_host *vsock_host_new(struct loop *loop, const char *path, struct error *err)
{
	struct sockaddr_un addr;
	int fd;

	/* Room for "_" and a port behind it. */
	if (strlen(path) + 11 >= sizeof(addr.sun_path)) {
		error_set(err, -ENAMETOOLONG, "%s: the path of a vsock has at most %zu bytes", path,
			  sizeof(addr.sun_path) - 12);
		return NULL;
	}
	fd = listen_unix(path, err);
	if (fd < 0)
		return NULL;
	struct vsock_host *h = mem_alloc_zero(sizeof(*h));
	h->loop = loop;
	h->path = mem_strdup(path);
	h->listener.fd = fd;
	h->listener.fn = on_connection;
	list_init(&h->streams);
	return h;
}

void vsock_host_start(struct vsock_host *h, const struct vsock_front *front, void *ctx)
{
	h->front = front;
	h->ctx = ctx;
	h->is_listening = !loop_fd_add(h->loop, &h->listener, EPOLLIN);
}

void vsock_host_free(struct vsock_host *h)
{
	if (!h)
		return;
	if (h->is_listening)
		loop_fd_remove(h->loop, &h->listener);
	list_for_each_safe (it, &h->streams)
		destroy(list_entry(it, struct vsock_stream, node));
	close(h->listener.fd);
	unlink(h->path);
	free(h->path);
	free(h);
}

struct vsock_stream *vsock_host_connect(struct vsock_host *h, uint32_t port)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (h->nr_streams == VSOCK_STREAMS_MAX) {
		log_once(LOG_WARN, "vsock: more than %d connections at once", VSOCK_STREAMS_MAX);
		return NULL;
	}
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", h->path, port);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return NULL;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return NULL;
	}
	return add_stream(h, fd, STREAM_OPEN);
}
