/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/char/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/char/session.h"
#include "base/base.h"
#include "base/buf.h"

#define BACKLOG 16 /* sessions that wait for a free device */

struct listener {
	struct session session;
	struct loop_fd accept;
	bool is_accepting;
	char *unlink_path;
};

static struct listener *to_listener(struct session *s)
{
	return container_of(s, struct listener, session);
}

static void set_accepting(struct listener *l, bool on)
{
	if (on == l->is_accepting)
		return;
	if (on)
		on = !loop_fd_add(l->session.loop, &l->accept, EPOLLIN);
	else
		loop_fd_remove(l->session.loop, &l->accept);
	l->is_accepting = on;
}

static void on_connection(struct loop_fd *w, uint32_t events)
{
	struct listener *l = container_of(w, struct listener, accept);
	int one = 1;
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return; /* another device was faster, or the client is gone again */
	int last = session_end(&l->session); /* one that had finished sending */
	if (last >= 0)
		close(last);
	set_accepting(l, false);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	session_begin(&l->session, fd, true);
}

static void on_ended(struct session *s, int fd, bool is_over)
{
	if (is_over)
		close(fd);
	set_accepting(to_listener(s), true);
}

static const struct session_ops session_ops = {.ended = on_ended};

static void listener_free(struct char_dev *c)
{
	struct listener *l = container_of(c, struct listener, session.dev);
	int fd = session_fini(&l->session);

	if (fd >= 0)
		close(fd);
	set_accepting(l, false);
	close(l->accept.fd);
	if (l->unlink_path)
		unlink(l->unlink_path);
	free(l->unlink_path);
	free(l);
}

static const struct char_ops listener_ops = {
	.write = session_write,
	.read_more = session_read_more,
	.drain = session_drain,
	.free = listener_free,
};

struct char_dev *char_listen_new(struct loop *loop, int fd, const char *unlink_path, bool has_input,
				 bool has_output)
{
	struct listener *l = mem_alloc_zero(sizeof(*l));

	session_init(&l->session, &listener_ops, &session_ops, loop, has_input, has_output);
	l->accept.fd = fd;
	l->accept.fn = on_connection;
	if (unlink_path)
		l->unlink_path = mem_strdup(unlink_path);
	set_accepting(l, true);
	return &l->session.dev;
}

/* ---- sockets ---- */

static int listen_on(int family, int type, const struct sockaddr *addr, socklen_t len)
{
	int one = 1;
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (family == AF_UNIX)
		fchmod(fd, 0600); /* becomes the mode of the file */
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, addr, len) && !listen(fd, BACKLOG))
		return fd;
	int rc = -errno;
	close(fd);
	return rc;
}

int listen_tcp(const char *addr, uint16_t port, struct error *err)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	size_t len = addr ? strlen(addr) : 0;
	int fd;

	if (!addr)
		addr = "127.0.0.1";
	if (len > 2 && len < 64 && addr[0] == '[' && addr[len - 1] == ']') {
		char bare[64] = "";

		memcpy(bare, addr + 1, len - 2);
		if (inet_pton(AF_INET6, bare, &in6.sin6_addr) != 1)
			return error_set(err, -EINVAL, "'%s' is no IPv6 address", bare);
		fd = listen_on(AF_INET6, SOCK_STREAM, (struct sockaddr *)&in6, sizeof(in6));
	} else if (inet_pton(AF_INET, addr, &in4.sin_addr) == 1) {
		fd = listen_on(AF_INET, SOCK_STREAM, (struct sockaddr *)&in4, sizeof(in4));
	} else {
		return error_set(err, -EINVAL, "'%s' is no address (127.0.0.1, or [::1] for IPv6)",
				 addr);
	}
	return fd < 0 ? error_set_errno(err, fd, "unable to listen on port %u of %s", port, addr)
		      : fd;
}

/* Whether the path is a socket that refuses connections: left over by a process that was killed. */
static bool is_stale(const struct sockaddr_un *addr)
{
	struct stat st;

	if (lstat(addr->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	bool is_refused =
		connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) && errno == ECONNREFUSED;
	close(fd);
	return is_refused;
}

int listen_unix(const char *path, int type, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(err, -ENAMETOOLONG,
				 "%s: the path of a socket has at most %zu bytes", path,
				 sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path));
	if (is_stale(&addr))
		unlink(path);
	fd = listen_on(AF_UNIX, type, (struct sockaddr *)&addr, sizeof(addr));
	return fd < 0 ? error_set_errno(err, fd, "unable to listen on %s", path) : fd;
}
