/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pseudo-terminal whose other end nobody has open says so (POLLHUP) for as long as that lasts, which
 * a watch would report over and over: a timer looks instead.
 */
#include "backend/char/pts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "backend/char/session.h"
#include "base/base.h"
#include "base/buf.h"

#define LOOK_NS	  (250 * NS_PER_MS) /* a person does not notice; costs nothing */
#define UNREAD_MS 1000		    /* time for the other end to read what is left, at the end */

struct pts {
	struct session session;
	struct loop_timer look;
	int master;
	char path[PTS_PATH_MAX];
};

static struct pts *to_pts(struct session *s)
{
	return container_of(s, struct pts, session);
}

static bool is_open(int master)
{
	struct pollfd p = {.fd = master};

	return poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP);
}

static void look(struct pts *p)
{
	if (p->session.fd >= 0)
		return;
	if (is_open(p->master))
		session_begin(&p->session, p->master, false);
	else
		loop_timer_arm(&p->look, host_now_ns() + LOOK_NS);
}

static void on_look(struct loop_timer *t)
{
	look(container_of(t, struct pts, look));
}

static void pts_attached(struct session *s)
{
	look(to_pts(s));
}

static void pts_ended(struct session *s, int fd, bool is_over)
{
	look(to_pts(s));
}

static const struct session_ops pts_session_ops = {.attached = pts_attached, .ended = pts_ended};

/* What is in the pseudo-terminal is lost with it: gives whoever is there time to read it. */
static void pts_drain(struct char_dev *c)
{
	struct pts *p = container_of(c, struct pts, session.dev);
	int unread = 0;

	session_drain(c);
	if (!is_open(p->master))
		return;
	int slave = open(p->path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	for (unsigned ms = 0; slave >= 0 && ms < UNREAD_MS; ms += 10) {
		if (ioctl(slave, FIONREAD, &unread) || !unread)
			break;
		usleep(10000);
	}
	if (slave >= 0)
		close(slave);
}

static void pts_free(struct char_dev *c)
{
	struct pts *p = container_of(c, struct pts, session.dev);

	pts_drain(c);
	session_fini(&p->session);
	loop_timer_disarm(&p->look);
	close(p->master);
	free(p);
}

static const struct char_ops pts_ops = {
	.write = session_write,
	.read_more = session_read_more,
	.drain = pts_drain,
	.free = pts_free,
};

static void make_raw(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t))
		return;
	cfmakeraw(&t);
	tcsetattr(fd, TCSANOW, &t);
}

/* Returns the master, or a negative errno. */
static int open_pts(char path[PTS_PATH_MAX])
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (master < 0)
		return -errno;
	int rc = grantpt(master) || unlockpt(master) ? -errno
						     : -ptsname_r(master, path, PTS_PATH_MAX);
	if (rc) {
		close(master);
		return rc;
	}
	make_raw(master); /* of the other end, which would echo to us what we write */
	int slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave >= 0)
		close(slave); /* from now on "nobody is there" shows */
	return master;
}

struct char_dev *char_pts_new(struct loop *loop, char path[PTS_PATH_MAX], bool has_input,
			      bool has_output, struct error *err)
{
	int master = open_pts(path);

	if (master < 0) {
		error_set_errno(err, master, "unable to get a pseudo-terminal");
		return NULL;
	}
	struct pts *p = mem_alloc_zero(sizeof(*p));
	p->master = master;
	memcpy(p->path, path, PTS_PATH_MAX);
	loop_timer_init(&p->look, loop, on_look);
	session_init(&p->session, &pts_ops, &pts_session_ops, loop, has_input, has_output);
	return &p->session.dev;
}

/* ---- terminal lines of the host ---- */

struct tty_line {
	struct session session;
	int fd;
	struct termios saved;
};

static void tty_ended(struct session *s, int fd, bool is_over)
{
}

static const struct session_ops tty_session_ops = {.ended = tty_ended};

static void tty_free(struct char_dev *c)
{
	struct tty_line *t = container_of(c, struct tty_line, session.dev);

	session_fini(&t->session);
	tcsetattr(t->fd, TCSANOW, &t->saved);
	close(t->fd);
	free(t);
}

static const struct char_ops tty_ops = {
	.write = session_write,
	.read_more = session_read_more,
	.drain = session_drain,
	.free = tty_free,
};

struct char_dev *char_tty_new(struct loop *loop, const char *path, bool has_input, bool has_output,
			      struct error *err)
{
	struct termios saved, raw;
	int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		error_set_errno(err, -errno, "%s", path);
		return NULL;
	}
	if (tcgetattr(fd, &saved)) {
		error_set(err, -ENOTTY, "%s is no terminal", path);
		close(fd);
		return NULL;
	}
	raw = saved;
	cfmakeraw(&raw);
	raw.c_cflag |= CLOCAL; /* a line without a modem has no carrier */
	tcsetattr(fd, TCSANOW, &raw);
	struct tty_line *t = mem_alloc_zero(sizeof(*t));
	t->fd = fd;
	t->saved = saved;
	session_init(&t->session, &tty_ops, &tty_session_ops, loop, has_input, has_output);
	session_begin(&t->session, fd, false);
	return &t->session.dev;
}
