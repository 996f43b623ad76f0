/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `bantam switch`: an Ethernet switch on a Unix socket for VMs with -n mode=socket,path=PATH.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/net/socket.h"
#include "backend/net/switch.h"
#include "backend/net/tap.h"
#include "base/base.h"
#include "base/log.h"
#include "cli/exit_codes.h"
#include "cli/options.h"
#include "cli/verb.h"

#define USAGE "usage: bantam switch [OPTION...] PATH\n"

struct request {
	const char *path;
	const char *tap;
	bool is_hub, wants_help;
};

struct server {
	struct loop *loop;
	struct net_switch *net;
	struct loop_fd listener, signals;
};

/* ---- options ---- */

static int apply_hub(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	((struct request *)ctx)->is_hub = true;
	return 0;
}

static int apply_tap(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	((struct request *)ctx)->tap = value;
	return 0;
}

static int apply_help(void *ctx, const struct option_row *row, const char *value, struct error *err)
{
	((struct request *)ctx)->wants_help = true;
	return 0;
}

static int take_path(void *ctx, const char *word, struct error *err)
{
	struct request *r = ctx;

	if (r->path)
		return error_set(err, EXIT_USAGE, "Cannot handle parameter: %s", word);
	r->path = word;
	return 0;
}

static const struct option_row rows[] = {
	{.name = "hub",
	 .apply = apply_hub,
	 .help = "give every frame to every other port, instead of learning who is where"},
	{.name = "tap",
	 .arg = "NAME",
	 .apply = apply_tap,
	 .help = "a port to the host: this tap interface, made if there is none of that name"},
	{.letter = 'h', .name = "help", .apply = apply_help, .help = "print this"},
};

static const struct option_table table = {.rows = rows, .nr = ARRAY_SIZE(rows), .bare = take_path};

/* ---- running ---- */

static void accept_port(struct loop_fd *w, uint32_t events)
{
	struct server *s = container_of(w, struct server, listener);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0 && switch_add(s->net, socket_accept(s->loop, fd), false))
		log_warn("switch: more than %d ports; one was turned away", SWITCH_PORTS_MAX);
}

static void on_signal(struct loop_fd *w, uint32_t events)
{
	loop_stop(container_of(w, struct server, signals)->loop);
}

/* A socket that nobody listens on any more is in the way and nothing else. */
static void remove_stale(const struct sockaddr_un *a)
{
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (!lstat(a->sun_path, &st) && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)a, sizeof(*a)) && errno == ECONNREFUSED)
		unlink(a->sun_path);
	close(fd);
}

static int listen_at(const char *path, struct error *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return error_set_errno(err, -errno, "socket");
	if (strlen(path) >= sizeof(a.sun_path)) {
		close(fd);
		return error_set(err, -ENAMETOOLONG, "%s: longer than a socket's path may be (%zu)",
				 path, sizeof(a.sun_path) - 1);
	}
	strcpy(a.sun_path, path);
	remove_stale(&a);
	/* Whoever can connect is on the network: that is for the owner alone. */
	mode_t mask = umask(0077);
	int rc = bind(fd, (struct sockaddr *)&a, sizeof(a)) ? -errno : 0;
	umask(mask);
	if (!rc && listen(fd, SOMAXCONN))
		rc = -errno;
	if (!rc)
		return fd;
	close(fd);
	return error_set_errno(err, rc, "%s", path);
}

static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int add_tap(struct server *s, const char *name, struct error *err)
{
	const struct tap_config cfg = {.name = name, .fd = -1, .nr_queues = 1};
	struct net_dev *tap = tap_new(s->loop, &cfg, err);

	return tap ? switch_add(s->net, tap, true) : -EINVAL;
}

static int run(const struct request *r, struct error *err)
{
	struct server s = {.loop = loop_new(err)};
	int rc;

	if (!s.loop)
		return -EINVAL;
	s.net = switch_new(s.loop, r->is_hub);
	s.signals = (struct loop_fd){watch_signals(), on_signal};
	loop_fd_add(s.loop, &s.signals, EPOLLIN);
	rc = r->tap ? add_tap(&s, r->tap, err) : 0;
	if (!rc)
		rc = listen_at(r->path, err);
	if (rc >= 0) {
		s.listener = (struct loop_fd){rc, accept_port};
		loop_fd_add(s.loop, &s.listener, EPOLLIN);
		log_info("switch: ready at %s", r->path);
		loop_run(s.loop);
		unlink(r->path);
		close(rc);
		rc = 0;
	}
	switch_free(s.net);
	close(s.signals.fd);
	loop_free(s.loop);
	return rc;
}

static void switch_describe(struct buf *out)
{
	buf_printf(out,
		   USAGE "\nConnects VMs that run with -n mode=socket,path=PATH to each other, "
			 "until it is interrupted.\n\n");
	options_describe(&table, out);
	buf_printf(out, "\nQEMU connects to the same socket with "
			"-netdev stream,id=n,addr.type=unix,addr.path=PATH\n"
			"\nExamples:\n"
			"  bantam switch /run/user/1000/lan &\n"
			"  bantam run -n mode=socket,path=/run/user/1000/lan -d a.qcow2\n"
			"  bantam run -n mode=socket,path=/run/user/1000/lan -d b.qcow2\n");
}

static int print_help(void)
{
	struct buf text = {0};

	switch_describe(&text);
	int rc = verb_print(&text);
	buf_free(&text);
	return rc;
}

static int switch_main(int argc, char **argv)
{
	struct request r = {0};
	struct error err = {0};
	int rc = options_parse(&table, argc, argv, &r, &err);

	if (!rc && r.wants_help)
		return print_help();
	if (!rc && !r.path)
		rc = error_set(&err, EXIT_USAGE, "the path of a socket is missing");
	if (rc) {
		verb_fail(rc, &err);
		fprintf(stderr, USAGE);
		return rc;
	}
	return run(&r, &err) ? verb_fail(EXIT_CONFIG, &err) : 0;
}

const struct verb verb_switch = {"switch", "connect VMs to each other by a switch", switch_main,
				 switch_describe};
