/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writers put bytes into the ring and try to pass them on at once; the loop's thread does the rest
 * when the descriptor takes more. Only that thread reads, watches and closes.
 */
#include "backend/char/session.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"

#define STUCK_MS 1000 /* a reader that takes nothing for so long is not waited for at the end */

static struct session *to_session(struct char_dev *c)
{
	return container_of(c, struct session, dev);
}

/* ---- output; lock held ---- */

static void put(struct session *s, const uint8_t *data, size_t len)
{
	size_t at = (s->first + s->used) % SESSION_QUEUE;
	size_t before_wrap = min(len, SESSION_QUEUE - at);

	memcpy(s->ring + at, data, before_wrap);
	memcpy(s->ring, data + before_wrap, len - before_wrap);
	s->used += len;
}

/* Keeps the end of what nobody is there to read. */
static void put_newest(struct session *s, const uint8_t *data, size_t len)
{
	size_t skip = len > SESSION_QUEUE ? len - SESSION_QUEUE : 0;
	size_t dropped;

	data += skip;
	len -= skip;
	dropped = s->used + len > SESSION_QUEUE ? s->used + len - SESSION_QUEUE : 0;
	s->first = (s->first + dropped) % SESSION_QUEUE;
	s->used -= dropped;
	put(s, data, len);
}

/* Passes on what the descriptor takes. */
static void flush(struct session *s)
{
	while (s->used && s->fd >= 0 && !s->is_broken) {
		size_t len = min(s->used, SESSION_QUEUE - s->first);
		const uint8_t *data = s->ring + s->first;
		ssize_t n = s->is_socket ? send(s->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT)
					 : write(s->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			s->is_broken = true;
			s->used = 0;
			return;
		}
		s->first = (s->first + (size_t)n) % SESSION_QUEUE;
		s->used -= (size_t)n;
	}
}

/* ---- any thread ---- */

static void on_kick(struct loop_work *w);
static void on_more(struct loop_work *w);

size_t session_write(struct char_dev *c, const void *data, size_t len)
{
	struct session *s = to_session(c);
	size_t taken = len;

	if (s->is_output_off)
		return len;
	pthread_mutex_lock(&s->lock);
	if (s->fd < 0) {
		put_newest(s, data, len);
	} else if (!s->is_broken) {
		bool was_empty = !s->used;

		taken = min(len, SESSION_QUEUE - s->used);
		put(s, data, taken);
		if (was_empty)
			flush(s);
		s->wants_room |= taken < len;
		if (s->used || s->is_broken || s->wants_room)
			loop_post(s->loop, &s->kick, on_kick);
	}
	pthread_mutex_unlock(&s->lock);
	return taken;
}

void session_read_more(struct char_dev *c)
{
	struct session *s = to_session(c);

	loop_post(s->loop, &s->more, on_more);
}

/* ---- the loop's thread ---- */

static void tell_open(struct session *s, bool is_open)
{
	if (is_open == s->is_told_open || !s->dev.front)
		return;
	s->is_told_open = is_open;
	char_deliver_opened(&s->dev, is_open);
}

/* Hands over what is kept. Returns true when nothing is left. */
static bool deliver(struct session *s)
{
	while (s->start < s->end) {
		size_t n = char_deliver(&s->dev, s->input + s->start, s->end - s->start);

		if (!n)
			return false;
		s->start += n;
	}
	s->start = s->end = 0;
	return true;
}

static void set_watch(struct session *s, uint32_t events)
{
	if (events == s->watched)
		return;
	if (!events)
		loop_fd_remove(s->loop, &s->watch);
	else if (s->watched)
		loop_fd_set_events(s->loop, &s->watch, events);
	else if (loop_fd_add(s->loop, &s->watch, events))
		events = 0;
	s->watched = events;
}

/* Watches for what there is a use for. */
static void update_watch(struct session *s)
{
	bool reads = s->dev.front && !s->is_input_off && !s->is_at_end && s->start == s->end;

	pthread_mutex_lock(&s->lock);
	bool is_there = s->fd >= 0;
	bool writes = s->used && !s->is_broken;
	pthread_mutex_unlock(&s->lock);
	set_watch(s, is_there ? (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0) : 0);
}

int session_end(struct session *s)
{
	set_watch(s, 0);
	pthread_mutex_lock(&s->lock);
	int fd = s->fd;
	s->fd = -1;
	s->is_broken = false;
	s->wants_room = false;
	pthread_mutex_unlock(&s->lock);
	if (fd >= 0)
		tell_open(s, false);
	char_deliver_writable(&s->dev);
	return fd;
}

/* All input has been handed over (one reads only when nothing is left) and no more will come. */
static void finish_input(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	int fd = s->fd;
	bool is_over = s->is_broken || !s->is_socket;
	pthread_mutex_unlock(&s->lock);
	if (fd < 0)
		return;
	if (is_over)
		session_end(s);
	else
		tell_open(s, false);
	s->ops->ended(s, fd, is_over);
}

static void read_once(struct session *s)
{
	ssize_t n = read(s->fd, s->input, sizeof(s->input));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		s->end = (size_t)n;
	else
		s->is_at_end = true;
}

/* Hands over what there is, and reads on. */
static void go_on(struct session *s)
{
	if (s->fd >= 0 && !s->is_at_end)
		tell_open(s, true);
	deliver(s);
	update_watch(s);
}

static void on_more(struct loop_work *w)
{
	struct session *s = container_of(w, struct session, more);

	if (s->ops->attached)
		s->ops->attached(s);
	go_on(s);
}

static void on_kick(struct loop_work *w)
{
	struct session *s = container_of(w, struct session, kick);

	pthread_mutex_lock(&s->lock);
	flush(s);
	bool has_room = (s->wants_room && s->used <= SESSION_QUEUE / 2) || s->is_broken;
	if (has_room)
		s->wants_room = false;
	bool is_over = s->is_broken && (s->is_at_end || s->is_input_off) && s->start == s->end;
	pthread_mutex_unlock(&s->lock);
	if (has_room)
		char_deliver_writable(&s->dev);
	if (is_over)
		finish_input(s);
	update_watch(s);
}

static void on_event(struct loop_fd *w, uint32_t events)
{
	struct session *s = container_of(w, struct session, watch);

	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		on_kick(&s->kick);
	if (s->fd < 0 || !(events & (EPOLLIN | EPOLLERR | EPOLLHUP)) || !(s->watched & EPOLLIN))
		return;
	read_once(s);
	if (s->is_at_end)
		finish_input(s);
	go_on(s);
}

void session_begin(struct session *s, int fd, bool is_socket)
{
	s->is_at_end = false;
	s->start = s->end = 0;
	s->watch.fd = fd;
	s->is_told_open = false;
	pthread_mutex_lock(&s->lock);
	BUG_ON(s->fd >= 0);
	s->fd = fd;
	s->is_socket = is_socket;
	flush(s);
	pthread_mutex_unlock(&s->lock);
	if (s->dev.front)
		go_on(s);
}

void session_drain(struct char_dev *c)
{
	struct session *s = to_session(c);

	pthread_mutex_lock(&s->lock);
	flush(s);
	while (s->used && s->fd >= 0 && !s->is_broken) {
		struct pollfd p = {.fd = s->fd, .events = POLLOUT};

		if (poll(&p, 1, STUCK_MS) <= 0)
			break;
		flush(s);
	}
	pthread_mutex_unlock(&s->lock);
}

void session_init(struct session *s, const struct char_ops *char_ops, const struct session_ops *ops,
		  struct loop *loop, bool has_input, bool has_output)
{
	s->dev.ops = char_ops;
	s->ops = ops;
	s->loop = loop;
	s->watch.fn = on_event;
	s->fd = -1;
	s->is_input_off = !has_input;
	s->is_output_off = !has_output;
	pthread_mutex_init(&s->lock, NULL);
}

int session_fini(struct session *s)
{
	int fd;

	session_drain(&s->dev);
	s->dev.front = NULL;
	fd = session_end(s);
	loop_cancel(s->loop, &s->more);
	loop_cancel(s->loop, &s->kick);
	pthread_mutex_destroy(&s->lock);
	return fd;
}
