/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/char/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/char/listen.h"
#include "backend/char/pair.h"
#include "backend/char/pts.h"
#include "backend/char/stdio.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/parse.h"

#define FD_MAX 1048576 /* above any descriptor limit of a distribution */

/* Which directions of a channel are used. */
#define USE_INPUT  BIT(0)
#define USE_OUTPUT BIT(1)

struct tcp_listener {
	struct list node;
	char *text; /* "[ADDR:]PORT" */
	int fd;
};

struct channels {
	void (*quit)(void *ctx);
	void *ctx;
	char *console_owner[2];		    /* what stdin and stdout are connected to, or NULL */
	struct char_dev *_Atomic stdio_out; /* the channel that has stdout, or NULL */
	struct list tcp_listeners;
};

struct channels *channels_new(void (*quit)(void *ctx), void *ctx)
{
	struct channels *set = mem_alloc_zero(sizeof(*set));

	set->quit = quit;
	set->ctx = ctx;
	list_init(&set->tcp_listeners);
	return set;
}

void channels_free(struct channels *set)
{
	if (!set)
		return;
	list_for_each_safe (it, &set->tcp_listeners) {
		struct tcp_listener *l = list_entry(it, struct tcp_listener, node);

		list_remove(&l->node);
		close(l->fd);
		free(l->text);
		free(l);
	}
	free(set->console_owner[0]);
	free(set->console_owner[1]);
	free(set);
}

/* ---- what a word says ---- */

/* What is needed to open one side. */
struct opening {
	struct channels *set;
	struct loop *loop;
	const char *what;
	unsigned use;
	const char *arg; /* after the colon; NULL: none */
};

static int check_path(const char *arg, struct error *err)
{
	return *arg ? 0 : error_set(err, -EINVAL, "a path is missing");
}

static int check_fd(const char *arg, struct error *err)
{
	uint64_t fd;

	if (parse_u64(arg, &fd) || fd > FD_MAX)
		return error_set(err, -EINVAL, "'%s' is no descriptor number", arg);
	return 0;
}

static int check_port(const char *arg, struct error *err)
{
	const char *colon = strrchr(arg, ':');
	uint64_t port;

	if (parse_u64(colon ? colon + 1 : arg, &port) || !port || port > 65535)
		return error_set(err, -EINVAL, "the port must be 1 to 65535");
	return 0;
}

/* ---- opening ---- */

/* Gives stdin or stdout (0 or 1) to one device only; other descriptors are the user's business. */
static int claim(const struct opening *o, int fd, struct error *err)
{
	if (fd > 1)
		return 0;
	if (o->set->console_owner[fd])
		return error_set(err, -EBUSY, "%s is already connected to %s",
				 fd ? "stdout" : "stdin", o->set->console_owner[fd]);
	o->set->console_owner[fd] = mem_strdup(o->what);
	return 0;
}

static struct char_dev *open_stdio(const struct opening *o, struct error *err)
{
	struct char_stdio_config cfg = {
		.in_fd = o->use & USE_INPUT ? STDIN_FILENO : -1,
		.out_fd = o->use & USE_OUTPUT ? STDOUT_FILENO : -1,
		.quit = o->set->quit,
		.ctx = o->set->ctx,
	};

	if ((o->use & USE_INPUT && claim(o, STDIN_FILENO, err)) ||
	    (o->use & USE_OUTPUT && claim(o, STDOUT_FILENO, err)))
		return NULL;
	struct char_dev *c = char_stdio_new(o->loop, &cfg, err);
	if (o->use & USE_OUTPUT)
		atomic_store(&o->set->stdio_out, c);
	return c;
}

static struct char_dev *open_fd(const struct opening *o, struct error *err)
{
	uint64_t number = 0;
	int flags;

	parse_u64(o->arg, &number);
	flags = fcntl((int)number, F_GETFL);
	if (flags < 0) {
		error_set(err, -EBADF, "descriptor %s is not open", o->arg);
		return NULL;
	}
	if (o->use & USE_INPUT && (flags & O_ACCMODE) == O_WRONLY) {
		error_set(err, -EBADF, "descriptor %s is not open for reading", o->arg);
		return NULL;
	}
	if (o->use & USE_OUTPUT && (flags & O_ACCMODE) == O_RDONLY) {
		error_set(err, -EBADF, "descriptor %s is not open for writing", o->arg);
		return NULL;
	}
	if (claim(o, (int)number, err))
		return NULL;
	struct char_stdio_config cfg = {
		.in_fd = o->use & USE_INPUT ? (int)number : -1,
		.out_fd = o->use & USE_OUTPUT ? (int)number : -1,
		.is_plain = true,
	};
	return char_stdio_new(o->loop, &cfg, err);
}

/* A file alone is for output; O_NONBLOCK so that a FIFO without another end does not hold us up. */
static struct char_dev *open_file(const struct opening *o, struct error *err)
{
	bool is_output = o->use & USE_OUTPUT;
	int flags = is_output ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY;
	int fd = open(o->arg, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);

	if (fd < 0) {
		error_set_errno(err, -errno, "%s", o->arg);
		return NULL;
	}
	struct char_stdio_config cfg = {
		.in_fd = is_output ? -1 : fd,
		.out_fd = is_output ? fd : -1,
		.is_plain = true,
		.owns_fds = true,
	};
	struct char_dev *c = char_stdio_new(o->loop, &cfg, err);
	if (!c)
		close(fd);
	return c;
}

static struct char_dev *open_pts(const struct opening *o, struct error *err)
{
	char path[PTS_PATH_MAX];
	struct char_dev *c =
		char_pts_new(o->loop, path, o->use & USE_INPUT, o->use & USE_OUTPUT, err);

	if (c)
		log_info("Assigned %s to pty %s", o->what, path);
	return c;
}

static struct char_dev *open_tty(const struct opening *o, struct error *err)
{
	return char_tty_new(o->loop, o->arg, o->use & USE_INPUT, o->use & USE_OUTPUT, err);
}

static struct char_dev *open_unix(const struct opening *o, struct error *err)
{
	int fd = listen_unix(o->arg, SOCK_STREAM, err);

	return fd < 0 ? NULL
		      : char_listen_new(o->loop, fd, o->arg, o->use & USE_INPUT,
					o->use & USE_OUTPUT);
}

/* The socket of "[ADDR:]PORT", made when the first channel names it. Negative errno: err is filled. */
static int tcp_socket(struct channels *set, const char *text, struct error *err)
{
	const char *colon = strrchr(text, ':');
	uint64_t port = 0;

	list_for_each (it, &set->tcp_listeners) {
		struct tcp_listener *l = list_entry(it, struct tcp_listener, node);

		if (!strcmp(l->text, text))
			return l->fd;
	}
	char *addr = colon ? mem_strdup(text) : NULL;
	if (addr)
		addr[colon - text] = '\0';
	parse_u64(colon ? colon + 1 : text, &port);
	int fd = listen_tcp(addr, (uint16_t)port, err);
	free(addr);
	if (fd < 0)
		return fd;
	struct tcp_listener *l = mem_alloc_zero(sizeof(*l));
	l->text = mem_strdup(text);
	l->fd = fd;
	list_append(&set->tcp_listeners, &l->node);
	return fd;
}

static struct char_dev *open_port(const struct opening *o, struct error *err)
{
	int fd = tcp_socket(o->set, o->arg, err);

	if (fd < 0)
		return NULL;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		error_set_errno(err, -errno, "port %s", o->arg);
		return NULL;
	}
	return char_listen_new(o->loop, fd, NULL, o->use & USE_INPUT, o->use & USE_OUTPUT);
}

static struct char_dev *open_null(const struct opening *o, struct error *err)
{
	return char_null_new(o->loop);
}

/* ---- a second voice on stdout ---- */

struct extra_output {
	struct char_dev dev;
	struct channels *set;
};

static size_t extra_write(struct char_dev *c, const void *data, size_t len)
{
	struct extra_output *e = container_of(c, struct extra_output, dev);
	struct char_dev *out = atomic_load(&e->set->stdio_out);

	if (out)
		char_write(out, data, len);
	return len;
}

static void extra_free(struct char_dev *c)
{
	free(container_of(c, struct extra_output, dev));
}

static const struct char_ops extra_ops = {.write = extra_write, .free = extra_free};

struct char_dev *channel_stdout(struct channels *set)
{
	struct extra_output *e = mem_alloc_zero(sizeof(*e));

	e->dev.ops = &extra_ops;
	e->set = set;
	return &e->dev;
}

/* ---- words ---- */

struct kind {
	const char *name;
	int (*check)(const char *arg, struct error *err); /* NULL: takes no argument */
	struct char_dev *(*open)(const struct opening *o, struct error *err);
};

static const struct kind kinds[] = {
	{"stdio", NULL, open_stdio},	 {"fd", check_fd, open_fd},
	{"pts", NULL, open_pts},	 {"pty", NULL, open_pts},
	{"tty", check_path, open_tty},	 {"port", check_port, open_port},
	{"unix", check_path, open_unix}, {"file", check_path, open_file},
	{"null", NULL, open_null},
};

/* Finds the kind of one side and its argument; NULL: err is filled. */
static const struct kind *parse(const char *text, const char **arg, struct error *err)
{
	size_t len = strcspn(text, ":");

	*arg = text[len] ? text + len + 1 : NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];

		if (strlen(k->name) != len || strncmp(k->name, text, len))
			continue;
		if (k->check && !*arg) {
			error_set(err, -EINVAL, "channel '%s' needs a value after a colon", text);
			return NULL;
		}
		if (!k->check && *arg) {
			error_set(err, -EINVAL, "channel '%s': %s takes no value", text, k->name);
			return NULL;
		}
		if (k->check && k->check(*arg, err)) {
			error_prefix(err, "channel '%s'", text);
			return NULL;
		}
		return k;
	}
	if (!strcmp(text, "xterm")) { /* User Mode Linux starts one */
		error_set(err, -EINVAL,
			  "channel 'xterm' is not offered; pts is a pseudo-terminal, to which a "
			  "terminal such as screen is attached");
		return NULL;
	}
	error_set(err, -EINVAL,
		  "channel '%s' is unknown; it may be stdio, fd:N, pts, tty:PATH, port:[ADDR:]N, "
		  "unix:PATH, file:PATH, null or, as input and output, two of these with a comma "
		  "between",
		  text);
	return NULL;
}

bool channel_is_none(const char *text)
{
	return !strcmp(text, "none");
}

/* Splits a copy of "IN,OUT"; *out is NULL when there is one side. Returns the copy. */
static char *split(const char *text, char **out)
{
	char *copy = mem_strdup(text);
	char *comma = strchr(copy, ',');

	if (comma)
		*comma = '\0';
	*out = comma ? comma + 1 : NULL;
	return copy;
}

int channel_check(const char *text, struct error *err)
{
	const char *arg;
	char *out;

	if (channel_is_none(text))
		return 0;
	char *in = split(text, &out);
	int rc = 0;
	if (out && strchr(out, ','))
		rc = error_set(err, -EINVAL, "channel '%s' has more than two parts", text);
	else if (!parse(in, &arg, err) || (out && !parse(out, &arg, err)))
		rc = -EINVAL;
	free(in);
	return rc;
}

static struct char_dev *open_side(const struct opening *common, const char *text, unsigned use,
				  struct error *err)
{
	struct opening o = *common;
	const struct kind *kind = parse(text, &o.arg, err);

	o.use = use;
	struct char_dev *c = kind ? kind->open(&o, err) : NULL;
	if (kind && !c)
		error_prefix(err, "channel '%s'", text);
	return c;
}

struct char_dev *channel_open(struct channels *set, struct loop *loop, const char *text,
			      const char *what, struct error *err)
{
	const struct opening common = {.set = set, .loop = loop, .what = what};
	struct char_dev *c;
	char *out_text;
	char *in_text = split(text, &out_text);

	if (out_text) {
		struct char_dev *in = open_side(&common, in_text, USE_INPUT, err);
		struct char_dev *out = in ? open_side(&common, out_text, USE_OUTPUT, err) : NULL;

		c = out ? char_pair_new(loop, in, out) : NULL;
		if (!out)
			char_free(in);
	} else {
		c = open_side(&common, in_text, USE_INPUT | USE_OUTPUT, err);
	}
	free(in_text);
	return c;
}
