/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/test.h"

#include "backend/net/relay.h"
#include "base/base.h"
#include "host/io_thread.h"

/* A server of the host behind a relay. */
struct rig {
	struct io_thread *io;
	struct relay *relay;
	int server;
	struct sockaddr_in to;
	struct sockaddr_in6 from;
	int rc;
};

static void add_on_loop(void *ctx)
{
	struct rig *r = ctx;

	r->relay = relay_new(io_thread_loop(r->io));
	r->rc = relay_add(r->relay, &r->from, &r->to, false);
}

static void free_on_loop(void *ctx)
{
	relay_free(((struct rig *)ctx)->relay);
}

/* A port of ::1 that was free a moment ago. */
static in_port_t free_port(void)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		skip(); /* a host without IPv6 */
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	close(fd);
	return addr.sin6_port;
}

static void make(struct rig *r)
{
	struct error err;
	socklen_t len = sizeof(r->to);

	*r = (struct rig){.to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
			  .from = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback}};
	r->from.sin6_port = free_port();
	r->server = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(r->server, (struct sockaddr *)&r->to, len), 0);
	assert_int_equal(listen(r->server, SOMAXCONN), 0);
	assert_int_equal(getsockname(r->server, (struct sockaddr *)&r->to, &len), 0);
	r->io = io_thread_new("relay", &err);
	assert_non_null(r->io);
	loop_call(io_thread_loop(r->io), add_on_loop, r);
	assert_int_equal(r->rc, 0);
}

static void drop(struct rig *r)
{
	loop_call(io_thread_loop(r->io), free_on_loop, r);
	io_thread_free(r->io);
	close(r->server);
}

static int connect_to(const struct rig *r)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&r->from, sizeof(r->from)), 0);
	return fd;
}

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 3000) == 1;
}

static void bytes_and_ends_pass_both_ways(void **state)
{
	char got[8] = "";
	struct rig r;

	make(&r);
	int client = connect_to(&r), server = accept(r.server, NULL, NULL);
	assert_int_equal(write(client, "there", 5), 5);
	assert_true(is_readable(server));
	assert_int_equal(read(server, got, sizeof(got)), 5);
	assert_memory_equal(got, "there", 5);
	shutdown(client, SHUT_WR);
	assert_true(is_readable(server));
	assert_int_equal(read(server, got, sizeof(got)), 0);
	assert_int_equal(write(server, "back", 4), 4);
	assert_true(is_readable(client));
	assert_int_equal(read(client, got, sizeof(got)), 4);
	close(server);
	assert_true(is_readable(client));
	assert_int_equal(read(client, got, sizeof(got)), 0);
	close(client);
	drop(&r);
}

/* Whoever can reach the port could otherwise take all of the process's descriptors. */
static void connections_are_bounded(void **state)
{
	static int clients[RELAY_CONNECTIONS_MAX + 1];
	struct rlimit limit = {4096, 4096};
	char byte;
	struct rig r;

	if (setrlimit(RLIMIT_NOFILE, &limit))
		skip();
	make(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = connect_to(&r);
	int last = clients[RELAY_CONNECTIONS_MAX];
	assert_true(is_readable(last));
	assert_true(read(last, &byte, 1) <= 0);
	close(last);
	/* With one less there is room for another. */
	close(clients[0]);
	int server = accept(r.server, NULL, NULL);
	assert_true(is_readable(server));
	close(server);
	int another;
	for (;;) {
		struct pollfd p = {.fd = another = connect_to(&r), .events = POLLIN};

		if (poll(&p, 1, 100) == 0)
			break;
		close(another);
	}
	for (unsigned i = 0; i < RELAY_CONNECTIONS_MAX; i++)
		server = accept(r.server, NULL, NULL);
	assert_int_equal(write(server, "x", 1), 1);
	assert_true(is_readable(another));
	assert_int_equal(read(another, &byte, 1), 1);
	close(another);
	for (unsigned i = 1; i < RELAY_CONNECTIONS_MAX; i++)
		close(clients[i]);
	drop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_ends_pass_both_ways),
		cmocka_unit_test(connections_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
