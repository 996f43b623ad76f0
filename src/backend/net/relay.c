/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"

#define CHUNK	      (64 * 1024)
#define DATAGRAM_MAX  65536
#define UDP_IDLE_NS   (60 * NS_PER_SEC) /* as NAT routers keep a mapping (RFC 4787 allows 120) */
#define UDP_PEERS_MAX 256		/* per port; beyond, the longest idle one goes */

struct listener {
	struct relay *relay;
	struct loop_fd watch;
	struct list node;
	struct sockaddr_in to;
	bool is_udp;
	struct list peers; /* UDP */
	unsigned nr_peers;
};

/* One end of a TCP connection and the bytes read from it that the other end has yet to take. */
struct end {
	struct connection *connection;
	struct loop_fd watch;
	uint32_t events; /* watched for */
	bool has_ended;	 /* nothing more to read */
	bool is_shut;	 /* the other end has been told so */
	size_t at, len;	 /* what is left in data */
	uint8_t data[CHUNK];
};

struct connection {
	struct relay *relay;
	struct list node;
	struct end ends[2];
};

/* Somebody who sends datagrams to a listener. */
struct peer {
	struct listener *listener;
	struct list node; /* longest idle first */
	struct loop_fd watch;
	struct sockaddr_in6 addr;
	uint64_t used_ns;
};

struct relay {
	struct loop *loop;
	struct list listeners, connections;
	unsigned nr_connections;
	uint8_t datagram[DATAGRAM_MAX];
};

/* ---- TCP ---- */

static void close_connection(struct connection *c)
{
	for (unsigned i = 0; i < 2; i++) {
		loop_fd_remove(c->relay->loop, &c->ends[i].watch);
		close(c->ends[i].watch.fd);
	}
	list_remove(&c->node);
	c->relay->nr_connections--;
	free(c);
}

/* Moves bytes from one end to the other until one of them has to wait. Returns false on an error. */
static bool move(struct end *from, struct end *to)
{
	for (;;) {
		if (!from->len && !from->has_ended) {
			ssize_t n = recv(from->watch.fd, from->data, sizeof(from->data), 0);

			if (n < 0)
				return errno == EAGAIN || errno == EINTR;
			from->has_ended = !n;
			from->at = 0;
			from->len = (size_t)n;
		}
		if (!from->len)
			break;
		ssize_t n = send(to->watch.fd, from->data + from->at, from->len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
		from->at += (size_t)n;
		from->len -= (size_t)n;
	}
	if (from->has_ended && !from->is_shut) {
		shutdown(to->watch.fd, SHUT_WR);
		from->is_shut = true;
	}
	return true;
}

static void watch_end(struct end *e, const struct end *other)
{
	uint32_t events = (!e->has_ended && !e->len ? EPOLLIN : 0u) | (other->len ? EPOLLOUT : 0u);

	if (events != e->events)
		loop_fd_set_events(e->connection->relay->loop, &e->watch, events);
	e->events = events;
}

static void end_ready(struct loop_fd *w, uint32_t events)
{
	struct connection *c = container_of(w, struct end, watch)->connection;
	struct end *a = &c->ends[0], *b = &c->ends[1];

	if (events & EPOLLERR || !move(a, b) || !move(b, a) || (a->is_shut && b->is_shut)) {
		close_connection(c);
		return;
	}
	watch_end(a, b);
	watch_end(b, a);
}

static void add_end(struct connection *c, unsigned i, int fd, uint32_t events)
{
	struct end *e = &c->ends[i];

	e->connection = c;
	e->watch = (struct loop_fd){fd, end_ready};
	e->events = events;
	loop_fd_add(c->relay->loop, &e->watch, events);
}

static void accept_one(struct listener *l)
{
	int in = accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	bool has_room = l->relay->nr_connections < RELAY_CONNECTIONS_MAX;
	int out = in < 0 || !has_room
			  ? -1
			  : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (in < 0)
		return;
	if (!has_room)
		log_once(LOG_WARN, "published ports: more than %d connections by IPv6 at once",
			 RELAY_CONNECTIONS_MAX);
	if (out < 0 ||
	    (connect(out, (struct sockaddr *)&l->to, sizeof(l->to)) && errno != EINPROGRESS)) {
		if (out >= 0)
			close(out);
		close(in);
		return;
	}
	struct connection *c = mem_alloc_zero(sizeof(*c));
	c->relay = l->relay;
	l->relay->nr_connections++;
	list_append(&l->relay->connections, &c->node);
	add_end(c, 0, in, EPOLLIN);
	add_end(c, 1, out, EPOLLIN);
}

/* ---- UDP ---- */

static void close_peer(struct peer *p)
{
	loop_fd_remove(p->listener->relay->loop, &p->watch);
	close(p->watch.fd);
	list_remove(&p->node);
	p->listener->nr_peers--;
	free(p);
}

static void answer_ready(struct loop_fd *w, uint32_t events)
{
	struct peer *p = container_of(w, struct peer, watch);
	struct listener *l = p->listener;
	ssize_t n = recv(w->fd, l->relay->datagram, DATAGRAM_MAX, 0);

	/* An error is an ICMP answer: nobody listens in the guest. The sender just hears nothing. */
	if (n >= 0)
		sendto(l->watch.fd, l->relay->datagram, (size_t)n, 0, (struct sockaddr *)&p->addr,
		       sizeof(p->addr));
}

static struct peer *new_peer(struct listener *l, const struct sockaddr_in6 *addr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return NULL;
	if (connect(fd, (struct sockaddr *)&l->to, sizeof(l->to))) {
		close(fd);
		return NULL;
	}
	struct peer *p = mem_alloc_zero(sizeof(*p));
	p->listener = l;
	p->addr = *addr;
	p->watch = (struct loop_fd){fd, answer_ready};
	loop_fd_add(l->relay->loop, &p->watch, EPOLLIN);
	l->nr_peers++;
	return p;
}

/* Finds or makes the peer, as the last used one of its list. Closes those that have gone quiet. */
static struct peer *find_peer(struct listener *l, const struct sockaddr_in6 *addr)
{
	uint64_t now = host_now_ns();
	struct peer *found = NULL;

	list_for_each_safe (it, &l->peers) {
		struct peer *p = list_entry(it, struct peer, node);

		if (p->addr.sin6_port == addr->sin6_port &&
		    !memcmp(&p->addr.sin6_addr, &addr->sin6_addr, sizeof(addr->sin6_addr)))
			found = p;
		else if (now - p->used_ns > UDP_IDLE_NS)
			close_peer(p);
	}
	if (!found && l->nr_peers == UDP_PEERS_MAX)
		close_peer(list_entry(l->peers.next, struct peer, node));
	if (!found)
		found = new_peer(l, addr);
	else
		list_remove(&found->node);
	if (found) {
		found->used_ns = now;
		list_append(&l->peers, &found->node);
	}
	return found;
}

static void pass_datagram(struct listener *l)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);
	ssize_t n = recvfrom(l->watch.fd, l->relay->datagram, DATAGRAM_MAX, 0,
			     (struct sockaddr *)&addr, &len);
	struct peer *p = n < 0 ? NULL : find_peer(l, &addr);

	if (p)
		send(p->watch.fd, l->relay->datagram, (size_t)n, MSG_NOSIGNAL);
}

/* ---- life ---- */

static void listener_ready(struct loop_fd *w, uint32_t events)
{
	struct listener *l = container_of(w, struct listener, watch);

	if (l->is_udp)
		pass_datagram(l);
	else
		accept_one(l);
}

int relay_add(struct relay *r, const struct sockaddr_in6 *from, const struct sockaddr_in *to,
	      bool is_udp)
{
	int type = (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
	int fd = socket(AF_INET6, type, 0), one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (!is_udp)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)from, sizeof(*from)) ||
	    (!is_udp && listen(fd, SOMAXCONN))) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	struct listener *l = mem_alloc_zero(sizeof(*l));
	l->relay = r;
	l->to = *to;
	l->is_udp = is_udp;
	l->watch = (struct loop_fd){fd, listener_ready};
	list_init(&l->peers);
	list_append(&r->listeners, &l->node);
	return loop_fd_add(r->loop, &l->watch, EPOLLIN);
}

struct relay *relay_new(struct loop *loop)
{
	struct relay *r = mem_alloc_zero(sizeof(*r));

	r->loop = loop;
	list_init(&r->listeners);
	list_init(&r->connections);
	return r;
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	list_for_each_safe (it, &r->connections)
		close_connection(list_entry(it, struct connection, node));
	list_for_each_safe (it, &r->listeners) {
		struct listener *l = list_entry(it, struct listener, node);

		while (!list_is_empty(&l->peers))
			close_peer(list_entry(l->peers.next, struct peer, node));
		loop_fd_remove(r->loop, &l->watch);
		close(l->watch.fd);
		free(l);
	}
	free(r);
}
