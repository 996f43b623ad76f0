/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Input: watched by the main loop while the front end takes all it is given. What it leaves stays
 * in a small buffer and reading stops, so a paste of any length waits in the kernel, not here. A
 * descriptor that cannot be watched (regular file, /dev/null) is always ready and read directly.
 * Output: a ring between any thread that writes and the thread that waits for the descriptor.
 */
#include "backend/char/stdio.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "host/tty.h"

#define ESCAPE	      0x01		/* Ctrl-a */
#define INPUT_MAX     16384		/* bytes read ahead of the guest */
#define WRITE_MAX     16384		/* bytes per write, so that room appears in steps */
#define BACKGROUND_NS (250 * NS_PER_MS) /* between looks whether the job is back in front */

struct input {
	struct loop_fd watch;
	bool is_terminal;   /* reading it from the background would stop the process */
	bool is_raw;	    /* it is made raw while the device lives */
	bool is_watched;    /* in the loop's set */
	bool is_unpollable; /* a regular file or the like */
	bool is_at_end;
	bool has_escape; /* the last byte was Ctrl-a */
	size_t start, end;
	uint8_t data[INPUT_MAX];
	struct loop_work more;		    /* deliver what is kept, go on reading */
	struct loop_timer background_timer; /* the terminal belongs to another job */
	struct loop_fd resize_watch;	    /* SIGWINCH; fd -1: not a terminal of ours */
	bool is_size_told;
};

struct output {
	int fd;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t changed;
	bool is_ending;	 /* the thread ends once the ring is empty */
	bool is_broken;	 /* nobody reads any more: take and drop */
	bool wants_room; /* a write was cut short */
	size_t first, used;
	uint8_t ring[CHAR_STDIO_QUEUE];
	struct loop_work room; /* tells the front end */
};

struct stdio {
	struct char_dev dev;
	struct loop *loop;
	struct char_stdio_config cfg;
	bool is_told_open; /* what the front end knows of the other side */
	struct input in;
	struct output out;
};

static struct stdio *to_stdio(struct char_dev *c)
{
	return container_of(c, struct stdio, dev);
}

/* ---- output ---- */

static size_t stdio_write(struct char_dev *c, const void *data, size_t len)
{
	struct output *o = &to_stdio(c)->out;
	size_t taken = len;

	pthread_mutex_lock(&o->lock);
	if (!o->is_broken && o->fd >= 0) {
		taken = min(len, sizeof(o->ring) - o->used);
		size_t at = (o->first + o->used) % sizeof(o->ring);
		size_t before_wrap = min(taken, sizeof(o->ring) - at);

		memcpy(o->ring + at, data, before_wrap);
		memcpy(o->ring, (const uint8_t *)data + before_wrap, taken - before_wrap);
		o->used += taken;
		if (taken < len)
			o->wants_room = true;
		pthread_cond_broadcast(&o->changed);
	}
	pthread_mutex_unlock(&o->lock);
	return taken;
}

static void stdio_drain(struct char_dev *c)
{
	struct output *o = &to_stdio(c)->out;

	pthread_mutex_lock(&o->lock);
	while (o->used && !o->is_broken)
		pthread_cond_wait(&o->changed, &o->lock);
	pthread_mutex_unlock(&o->lock);
}

/* Waits as long as it takes. Returns how many bytes went out, or a negative errno. */
static ssize_t write_some(int fd, const void *data, size_t len)
{
	for (;;) {
		ssize_t n = write(fd, data, len);

		if (n >= 0)
			return n;
		if (errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			poll(&p, 1, -1);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

/* Tells the front end whether there is another side, when that has changed. */
static void tell_opened(struct stdio *s)
{
	bool is_drained = s->in.is_at_end && s->in.start == s->in.end;

	pthread_mutex_lock(&s->out.lock);
	bool is_open = !(s->cfg.in_fd >= 0 && is_drained) && !s->out.is_broken;
	pthread_mutex_unlock(&s->out.lock);
	if (is_open == s->is_told_open || !s->dev.front)
		return;
	s->is_told_open = is_open;
	char_deliver_opened(&s->dev, is_open);
}

static void tell_room(struct loop_work *w)
{
	struct stdio *s = container_of(w, struct stdio, out.room);

	char_deliver_writable(&s->dev);
	if (s->is_told_open)
		tell_opened(s);
}

/* Takes n written bytes out of the ring, or all when the stream is broken. Lock held. */
static void finish_write(struct stdio *s, ssize_t n)
{
	struct output *o = &s->out;

	if (n < 0) {
		o->is_broken = true;
		o->used = 0;
		if (n != -EPIPE)
			log_warn("console output is lost from here on: %s", strerror((int)-n));
	} else {
		o->first = (o->first + (size_t)n) % sizeof(o->ring);
		o->used -= (size_t)n;
	}
	if (!o->used)
		pthread_cond_broadcast(&o->changed); /* stdio_drain() may wait for that */
	if (o->is_broken || (o->wants_room && o->used <= sizeof(o->ring) / 2)) {
		o->wants_room = false;
		loop_post(s->loop, &o->room, tell_room);
	}
}

static void *write_loop(void *arg)
{
	struct stdio *s = arg;
	struct output *o = &s->out;

	pthread_setname_np(pthread_self(), "console");
	pthread_mutex_lock(&o->lock);
	for (;;) {
		while (!o->used && !o->is_ending)
			pthread_cond_wait(&o->changed, &o->lock);
		if (!o->used)
			break;
		size_t len = min(min(o->used, sizeof(o->ring) - o->first), (size_t)WRITE_MAX);
		const uint8_t *data =
			o->ring + o->first; /* stays put: only this thread frees room */

		pthread_mutex_unlock(&o->lock);
		ssize_t n = write_some(o->fd, data, len);
		pthread_mutex_lock(&o->lock);
		finish_write(s, n);
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

/*
 * Every signal but those of a crash stays with the other threads; a broken pipe is an error here,
 * not a signal.
 */
static int start_writer(struct stdio *s, struct error *err)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
	sigset_t set, old;

	if (s->out.fd < 0)
		return 0;
	sigfillset(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(crashes); i++)
		sigdelset(&set, crashes[i]);
	pthread_sigmask(SIG_SETMASK, &set, &old);
	int rc = pthread_create(&s->out.thread, NULL, write_loop, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc ? error_set_errno(err, -rc, "unable to create the console thread") : 0;
}

/* ---- input ---- */

/* Stores what a byte stands for; the commands are carried out at once. */
static void take_byte(struct stdio *s, uint8_t byte)
{
	struct input *in = &s->in;

	if (in->has_escape) {
		in->has_escape = false;
		if (byte == 'x') {
			if (s->cfg.quit)
				s->cfg.quit(s->cfg.ctx);
			return;
		}
		if (byte == 'b') {
			char_deliver_break(&s->dev);
			return;
		}
	} else if (byte == ESCAPE) {
		in->has_escape = true;
		return;
	}
	in->data[in->end++] = byte;
}

/* Hands over what is kept. Returns true when nothing is left. */
static bool deliver(struct stdio *s)
{
	struct input *in = &s->in;

	while (in->start < in->end) {
		size_t n = char_deliver(&s->dev, in->data + in->start, in->end - in->start);

		if (!n)
			return false;
		in->start += n;
	}
	in->start = in->end = 0;
	return true;
}

static void end_of_input(struct stdio *s)
{
	s->in.is_at_end = true;
	if (s->in.is_watched)
		loop_fd_remove(s->loop, &s->in.watch);
	s->in.is_watched = false;
}

/* Reads once; the buffer is empty. Returns false when there is nothing more for now. */
static bool read_once(struct stdio *s)
{
	uint8_t bytes[INPUT_MAX];
	void *to = s->cfg.is_plain ? s->in.data : bytes;
	ssize_t n = read(s->in.watch.fd, to, INPUT_MAX);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		end_of_input(s);
		return false;
	}
	if (s->cfg.is_plain)
		s->in.end = (size_t)n;
	for (ssize_t i = 0; i < n && !s->cfg.is_plain; i++)
		take_byte(s, bytes[i]);
	return true;
}

static void set_watched(struct stdio *s, bool on)
{
	struct input *in = &s->in;

	if (in->is_watched == on || in->is_at_end || in->is_unpollable)
		return;
	if (!on) {
		loop_fd_remove(s->loop, &in->watch);
		in->is_watched = false;
		return;
	}
	int rc = loop_fd_add(s->loop, &in->watch, EPOLLIN);
	if (rc == -EPERM)
		in->is_unpollable = true;
	else if (rc)
		end_of_input(s); /* stdin is closed */
	else
		in->is_watched = true;
}

/* Reading a terminal from the background would stop the process. */
static bool is_in_background(struct stdio *s)
{
	if (!s->in.is_terminal)
		return false;
	if (tty_is_foreground(s->in.watch.fd)) {
		tty_resume_raw();
		return false;
	}
	set_watched(s, false);
	loop_timer_arm(&s->in.background_timer, host_now_ns() + BACKGROUND_NS);
	return true;
}

/* Brings the buffer, the watch and the front end in step again. */
static void read_on(struct stdio *s)
{
	struct input *in = &s->in;

	if (!s->dev.front || !deliver(s)) {
		set_watched(s, false);
		return;
	}
	if (is_in_background(s))
		return;
	set_watched(s, true);
	while (in->is_unpollable && !in->is_at_end && read_once(s))
		if (!deliver(s))
			return;
}

static void tell_size(struct stdio *s)
{
	struct winsize size;

	if (s->dev.front && !ioctl(s->cfg.in_fd, TIOCGWINSZ, &size))
		char_deliver_resized(&s->dev, size.ws_col, size.ws_row);
}

static void on_resize(struct loop_fd *w, uint32_t events)
{
	struct signalfd_siginfo info;

	while (read(w->fd, &info, sizeof(info)) > 0)
		;
	tell_size(container_of(w, struct stdio, in.resize_watch));
}

/*
 * The signal is blocked from here on, in this thread and those it starts; the others of the process
 * block every signal. Without it the guest keeps the first size.
 */
static void watch_size(struct stdio *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	s->in.resize_watch.fn = on_resize;
	s->in.resize_watch.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->in.resize_watch.fd >= 0)
		loop_fd_add(s->loop, &s->in.resize_watch, EPOLLIN);
}

static void go_on(struct stdio *s)
{
	if (s->in.is_raw && s->dev.front && !s->in.is_size_told) {
		s->in.is_size_told = true;
		tell_size(s);
	}
	if (!s->is_told_open && (!s->in.is_at_end || s->cfg.in_fd < 0))
		tell_opened(s);
	read_on(s);
	if (s->is_told_open)
		tell_opened(s);
}

static void on_readable(struct loop_fd *w, uint32_t events)
{
	struct stdio *s = container_of(w, struct stdio, in.watch);

	if (is_in_background(s))
		return;
	if (read_once(s) && !deliver(s))
		set_watched(s, false);
	if (s->in.is_at_end)
		tell_opened(s);
}

static void on_more(struct loop_work *w)
{
	go_on(container_of(w, struct stdio, in.more));
}

static void on_background_timer(struct loop_timer *t)
{
	go_on(container_of(t, struct stdio, in.background_timer));
}

static void stdio_read_more(struct char_dev *c)
{
	struct stdio *s = to_stdio(c);

	loop_post(s->loop, &s->in.more, on_more);
}

/* ---- life ---- */

static void close_fds(const struct char_stdio_config *cfg)
{
	if (cfg->in_fd >= 0)
		close(cfg->in_fd);
	if (cfg->out_fd >= 0 && cfg->out_fd != cfg->in_fd)
		close(cfg->out_fd);
}

static void stdio_free(struct char_dev *c)
{
	struct stdio *s = to_stdio(c);

	/* If the reader of a pipe is stuck, Ctrl-C must work while we wait for it. */
	if (s->in.is_raw && !isatty(s->out.fd))
		tty_leave_raw();
	pthread_mutex_lock(&s->out.lock);
	s->out.is_ending = true;
	pthread_cond_signal(&s->out.changed);
	pthread_mutex_unlock(&s->out.lock);
	if (s->out.fd >= 0)
		pthread_join(s->out.thread, NULL);

	set_watched(s, false);
	if (s->in.resize_watch.fd >= 0) {
		loop_fd_remove(s->loop, &s->in.resize_watch);
		close(s->in.resize_watch.fd);
	}
	loop_cancel(s->loop, &s->in.more);
	loop_cancel(s->loop, &s->out.room);
	loop_timer_disarm(&s->in.background_timer);
	if (s->in.is_raw)
		tty_leave_raw();
	if (s->cfg.owns_fds)
		close_fds(&s->cfg);
	pthread_cond_destroy(&s->out.changed);
	pthread_mutex_destroy(&s->out.lock);
	free(s);
}

static const struct char_ops stdio_ops = {
	.write = stdio_write,
	.read_more = stdio_read_more,
	.drain = stdio_drain,
	.free = stdio_free,
};

struct char_dev *char_stdio_new(struct loop *loop, const struct char_stdio_config *cfg,
				struct error *err)
{
	struct stdio *s = mem_alloc_zero(sizeof(*s));

	s->dev.ops = &stdio_ops;
	s->loop = loop;
	s->cfg = *cfg;
	s->in.watch.fd = cfg->in_fd;
	s->in.watch.fn = on_readable;
	s->in.is_at_end = cfg->in_fd < 0;
	s->in.is_terminal = cfg->in_fd >= 0 && isatty(cfg->in_fd);
	s->in.is_raw = s->in.is_terminal && !cfg->is_plain;
	s->in.resize_watch.fd = -1;
	s->out.fd = cfg->out_fd;
	pthread_mutex_init(&s->out.lock, NULL);
	pthread_cond_init(&s->out.changed, NULL);
	loop_timer_init(&s->in.background_timer, loop, on_background_timer);

	int rc = s->in.is_raw ? tty_enter_raw(cfg->in_fd, err) : 0;
	if (!rc) {
		rc = start_writer(s, err);
		if (rc && s->in.is_raw)
			tty_leave_raw();
	}
	if (!rc) {
		if (s->in.is_raw)
			watch_size(s);
		return &s->dev;
	}
	pthread_cond_destroy(&s->out.changed);
	pthread_mutex_destroy(&s->out.lock);
	free(s);
	return NULL;
}
