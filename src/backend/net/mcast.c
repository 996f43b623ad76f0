/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two sockets: one is bound to the group, which every member on this host receives by; the other has
 * an address of its own, by which a member knows its own datagrams when they come back.
 */
#include "backend/net/mcast.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/net/finish.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/parse.h"

#define FRAMES_PER_EVENT 64
#define RECEIVE_BUFFER	 (1024 * 1024) /* a guest's bursts, while it does not run */

struct mcast {
	struct net_dev dev;
	struct loop *loop;
	struct loop_fd watch; /* bound to the group */
	uint32_t events;
	int send_fd;
	struct sockaddr_in self; /* of send_fd */
	unsigned guest_can;
	size_t pending; /* bytes of a frame the front end had no room for */
	uint8_t frame[NET_FRAME_MAX], out[NET_FRAME_MAX];
};

int mcast_parse(const char *text, struct sockaddr_in *group, struct error *err)
{
	const char *colon = strrchr(text, ':');
	char addr[INET_ADDRSTRLEN] = "";
	uint64_t port;

	*group = (struct sockaddr_in){.sin_family = AF_INET};
	if (colon && colon - text < (ptrdiff_t)sizeof(addr))
		memcpy(addr, text, (size_t)(colon - text));
	if (inet_pton(AF_INET, addr, &group->sin_addr) != 1 || parse_u64(colon + 1, &port) ||
	    !port || port > UINT16_MAX)
		return error_set(err, -EINVAL, "'%s' is no multicast group (must be like %s)", text,
				 MCAST_DEFAULT);
	group->sin_port = htons((uint16_t)port);
	if (!IN_MULTICAST(ntohl(group->sin_addr.s_addr)))
		return error_set(
			err, -EINVAL,
			"%s is no multicast address (must be 224.0.0.0 to 239.255.255.255)", addr);
	return 0;
}

/* ---- frames ---- */

static void send_datagram(void *ctx, const uint8_t *frame, size_t len)
{
	struct mcast *m = ctx;

	/* A full socket buffer is a lost frame, as it would be with a switch's. */
	if (send(m->send_fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		m->dev.stats.dropped++;
		return;
	}
	m->dev.stats.sent_frames++;
	m->dev.stats.sent_bytes += len;
}

static unsigned mcast_send(struct net_dev *n, unsigned queue, const struct net_frame *frames,
			   unsigned nr)
{
	struct mcast *m = container_of(n, struct mcast, dev);

	for (unsigned i = 0; i < nr; i++) {
		net_frame_copy(&frames[i], m->out);
		if (offload_finish(m->out, frames[i].len, &frames[i].offload, send_datagram, m))
			n->stats.dropped++;
	}
	return nr;
}

static bool deliver_pending(struct mcast *m)
{
	const struct net_offload none = {0};

	if (!net_deliver_frame(&m->dev, m->guest_can, m->frame, m->pending, &none))
		return false;
	m->pending = 0;
	return true;
}

/* Returns false when there is nothing more; what is not to be had leaves pending 0. */
static bool read_datagram(struct mcast *m)
{
	struct sockaddr_in from = {0};
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(m->watch.fd, m->frame, sizeof(m->frame), MSG_DONTWAIT,
			     (struct sockaddr *)&from, &len);

	if (n < 0)
		return false;
	bool is_own = from.sin_port == m->self.sin_port &&
		      from.sin_addr.s_addr == m->self.sin_addr.s_addr;
	m->pending = is_own || n < NET_FRAME_MIN ? 0 : (size_t)n;
	return true;
}

static void watch(struct mcast *m, uint32_t events)
{
	if (m->events != events)
		loop_fd_set_events(m->loop, &m->watch, events);
	m->events = events;
}

static void mcast_ready(struct loop_fd *w, uint32_t events)
{
	struct mcast *m = container_of(w, struct mcast, watch);

	for (unsigned i = 0; i < FRAMES_PER_EVENT && m->events; i++) {
		if (!m->pending && !read_datagram(m))
			break;
		if (m->pending && !deliver_pending(m))
			watch(m, 0);
	}
	net_deliver_done(&m->dev);
}

static void mcast_receive_more(struct net_dev *n)
{
	struct mcast *m = container_of(n, struct mcast, dev);

	if (m->pending && !deliver_pending(m))
		return;
	net_deliver_done(n);
	watch(m, EPOLLIN);
}

static void mcast_set_offloads(struct net_dev *n, unsigned can)
{
	container_of(n, struct mcast, dev)->guest_can = can;
}

/* ---- life ---- */

static void mcast_free(struct net_dev *n)
{
	struct mcast *m = container_of(n, struct mcast, dev);

	if (m->watch.fd >= 0) {
		loop_fd_remove(m->loop, &m->watch);
		close(m->watch.fd);
	}
	if (m->send_fd >= 0)
		close(m->send_fd);
	free(m);
}

static const struct net_ops mcast_ops = {
	.send = mcast_send,
	.receive_more = mcast_receive_more,
	.set_offloads = mcast_set_offloads,
	.free = mcast_free,
};

static int join(struct mcast *m, const struct mcast_config *cfg)
{
	struct ip_mreqn group = {.imr_multiaddr = cfg->group.sin_addr, .imr_address = cfg->local};
	int one = 1, size = RECEIVE_BUFFER, fd = m->watch.fd;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (const struct sockaddr *)&cfg->group, sizeof(cfg->group)) ||
	    setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)))
		return -errno;
	return 0;
}

static int open_sender(struct mcast *m, const struct mcast_config *cfg)
{
	struct ip_mreqn from = {.imr_address = cfg->local};
	int one = 1, ttl = (int)cfg->ttl, size = RECEIVE_BUFFER, fd = m->send_fd;
	socklen_t len = sizeof(m->self);

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl)) ||
	    (cfg->local.s_addr &&
	     setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from))) ||
	    connect(fd, (const struct sockaddr *)&cfg->group, sizeof(cfg->group)) ||
	    getsockname(fd, (struct sockaddr *)&m->self, &len))
		return -errno;
	return 0;
}

struct net_dev *mcast_new(struct loop *loop, const struct mcast_config *cfg, struct error *err)
{
	struct mcast *m = mem_alloc_zero(sizeof(*m));
	int type = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

	m->dev = (struct net_dev){
		.ops = &mcast_ops, .offloads = NET_CAN_ALL, .nr_queues = 1, .is_up = true};
	m->loop = loop;
	m->watch = (struct loop_fd){socket(AF_INET, type, 0), mcast_ready};
	m->send_fd = socket(AF_INET, type, 0);
	int rc = m->watch.fd < 0 || m->send_fd < 0 ? -errno : loop_fd_add(loop, &m->watch, 0);
	if (!rc)
		rc = join(m, cfg);
	if (!rc)
		rc = open_sender(m, cfg);
	if (!rc)
		return &m->dev;
	if (rc == -ENODEV || rc == -ENETUNREACH)
		error_set(err, rc,
			  "multicast: no interface of the host has a route to the group (ip route "
			  "add 224.0.0.0/4 dev IFACE, or local=ADDR)");
	else
		error_set_errno(err, rc, "multicast");
	mcast_free(&m->dev);
	return NULL;
}
