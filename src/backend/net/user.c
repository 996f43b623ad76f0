/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libslirp between a guest and the host's sockets.
 *
 * Speed comes from long frames. libslirp handles IP packets up to 64 KiB, while the guest's interface
 * stays at its usual MTU: what the guest sends may be a TSO frame as it is, and its SYNs are told
 * to offer the longest segment, so that libslirp answers with long segments, which go to the guest
 * as frames with offload. Whatever else is longer than the guest's MTU is cut or fragmented here.
 *
 * libslirp wants poll(). Its descriptors are kept in an epoll set of their own, which is watched
 * by the loop; after everything that may have changed what libslirp waits for, refresh() asks it
 * and changes the set where it differs.
 */
#include "backend/net/user.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/net/offload.h"
#include "backend/net/relay.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"

#define SLIRP_MTU	  65520u	   /* just below its IF_MTU_MAX, and a multiple of 16 */
#define SLIRP_MSS	  (SLIRP_MTU - 60) /* fits behind IPv6 and TCP headers too */
#define EVENTS_PER_POLL	  64
#define IDLE_TIMEOUT_MS	  1000	    /* libslirp's answer when it has no timer running */
#define BACKLOG_BYTES_MAX (4 * MIB) /* some 60 connections' windows */

/* A descriptor libslirp waits for. */
struct wanted {
	int fd;
	int events; /* SLIRP_POLL_* */
	int revents;
};

/* What the epoll set knows of a descriptor; indexed by its number. */
struct watched {
	int events; /* SLIRP_POLL_*; 0: not in the set */
	bool is_wanted;
	unsigned wanted; /* its place in user_net.wanted */
};

/* A frame the guest had no room for. */
struct held {
	struct list node;
	struct net_frame frame;
	struct iovec iov;
	uint8_t data[];
};

struct user_net {
	struct net_dev dev;
	struct loop *loop;
	Slirp *slirp;
	struct relay *relay; /* IPv6 to published ports */
	struct loop_timer timer;

	int epoll_fd;
	struct loop_fd watch; /* of epoll_fd */
	struct wanted *wanted;
	unsigned nr_wanted, room_wanted;
	int *before; /* the descriptors of the time before; refresh()'s own */
	unsigned room_before;
	struct watched *watched;
	unsigned nr_watched;

	struct list backlog;
	size_t backlog_bytes;
	bool is_reading;    /* the loop watches epoll_fd */
	bool has_delivered; /* since the last net_deliver_done() */

	unsigned mtu;
	unsigned guest_can; /* NET_CAN_* */
	uint32_t ident;	    /* of IPv6 packets that are fragmented */
	uint8_t frame[NET_FRAME_MAX];
};

struct user_timer {
	struct loop_timer timer;
	struct user_net *user;
	SlirpTimerCb fn;
	void *ctx;
};

bool user_is_available(void)
{
	return true;
}

/* ---- what libslirp waits for ---- */

static uint32_t to_epoll(int events)
{
	return (events & SLIRP_POLL_IN ? EPOLLIN : 0u) | (events & SLIRP_POLL_OUT ? EPOLLOUT : 0u) |
	       (events & SLIRP_POLL_PRI ? EPOLLPRI : 0u);
}

static int from_epoll(uint32_t events)
{
	return (events & EPOLLIN ? SLIRP_POLL_IN : 0) | (events & EPOLLOUT ? SLIRP_POLL_OUT : 0) |
	       (events & EPOLLPRI ? SLIRP_POLL_PRI : 0) | (events & EPOLLERR ? SLIRP_POLL_ERR : 0) |
	       (events & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

static struct watched *watched_of(struct user_net *u, int fd)
{
	if ((unsigned)fd >= u->nr_watched) {
		unsigned nr = max(64u, 2 * (unsigned)fd);

		u->watched = realloc(u->watched, nr * sizeof(*u->watched));
		BUG_ON(!u->watched);
		memset(u->watched + u->nr_watched, 0, (nr - u->nr_watched) * sizeof(*u->watched));
		u->nr_watched = nr;
	}
	return &u->watched[fd];
}

static int add_poll(int fd, int events, void *opaque)
{
	struct user_net *u = opaque;

	if (u->nr_wanted == u->room_wanted) {
		u->room_wanted = max(16u, 2 * u->room_wanted);
		u->wanted = realloc(u->wanted, u->room_wanted * sizeof(*u->wanted));
		BUG_ON(!u->wanted);
	}
	struct watched *w = watched_of(u, fd);
	w->is_wanted = true;
	w->wanted = u->nr_wanted;
	u->wanted[u->nr_wanted] = (struct wanted){fd, events, 0};
	return (int)u->nr_wanted++;
}

static int get_revents(int idx, void *opaque)
{
	struct user_net *u = opaque;

	return (unsigned)idx < u->nr_wanted ? u->wanted[idx].revents : 0;
}

static void set_watch(struct user_net *u, int fd, int events)
{
	struct epoll_event ev = {.events = to_epoll(events), .data.fd = fd};
	struct watched *w = watched_of(u, fd);

	if (w->events == events)
		return;
	/* A number can be used again for another descriptor, which the set then does not know. */
	if (!events)
		epoll_ctl(u->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(u->epoll_fd, w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev))
		epoll_ctl(u->epoll_fd, errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
	w->events = events;
}

/* Brings epoll set and timer up to date with what libslirp waits for. */
static void refresh(struct user_net *u)
{
	uint32_t timeout_ms = UINT32_MAX;
	unsigned nr_before = u->nr_wanted;

	if (u->room_before < nr_before) {
		u->room_before = u->room_wanted;
		u->before = realloc(u->before, u->room_before * sizeof(*u->before));
		BUG_ON(!u->before);
	}
	for (unsigned i = 0; i < nr_before; i++)
		u->before[i] = u->wanted[i].fd;
	u->nr_wanted = 0;
	slirp_pollfds_fill(u->slirp, &timeout_ms, add_poll, u);
	for (unsigned i = 0; i < u->nr_wanted; i++)
		set_watch(u, u->wanted[i].fd, u->wanted[i].events);
	for (unsigned i = 0; i < nr_before; i++)
		if (!u->watched[u->before[i]].is_wanted)
			set_watch(u, u->before[i], 0);
	for (unsigned i = 0; i < u->nr_wanted; i++)
		u->watched[u->wanted[i].fd].is_wanted = false;
	if (timeout_ms < IDLE_TIMEOUT_MS)
		loop_timer_arm(&u->timer, host_now_ns() + timeout_ms * NS_PER_MS);
	else
		loop_timer_disarm(&u->timer);
}

/* While the guest is behind, the host's sockets wait. */
static void set_reading(struct user_net *u, bool on)
{
	if (u->is_reading != on)
		loop_fd_set_events(u->loop, &u->watch, on ? EPOLLIN : 0);
	u->is_reading = on;
}

/* After every way into libslirp. */
static void finish_burst(struct user_net *u)
{
	if (u->has_delivered)
		net_deliver_done(&u->dev);
	u->has_delivered = false;
	refresh(u);
	set_reading(u, list_is_empty(&u->backlog));
}

static void run(struct user_net *u)
{
	struct epoll_event events[EVENTS_PER_POLL];
	int nr = u->is_reading ? epoll_wait(u->epoll_fd, events, EVENTS_PER_POLL, 0) : 0;

	for (unsigned i = 0; i < u->nr_wanted; i++)
		u->wanted[i].revents = 0;
	for (int i = 0; i < nr; i++) {
		struct watched *w = watched_of(u, events[i].data.fd);

		if (w->wanted < u->nr_wanted && u->wanted[w->wanted].fd == events[i].data.fd)
			u->wanted[w->wanted].revents = from_epoll(events[i].events);
	}
	slirp_pollfds_poll(u->slirp, nr < 0, get_revents, u);
	finish_burst(u);
}

static void sockets_ready(struct loop_fd *w, uint32_t events)
{
	run(container_of(w, struct user_net, watch));
}

static void timer_due(struct loop_timer *t)
{
	run(container_of(t, struct user_net, timer));
}

/* ---- host to guest ---- */

static void hold(struct user_net *u, const struct net_frame *f)
{
	if (u->backlog_bytes + f->len > BACKLOG_BYTES_MAX) {
		u->dev.stats.dropped++;
		return;
	}
	struct held *h = mem_alloc_zero(sizeof(*h) + f->len);
	net_frame_copy(f, h->data);
	h->iov = (struct iovec){h->data, f->len};
	h->frame = (struct net_frame){f->offload, &h->iov, 1, f->len};
	list_append(&u->backlog, &h->node);
	u->backlog_bytes += f->len;
}

static void give(struct user_net *u, const struct net_frame *f)
{
	if (!u->dev.front)
		return;
	if (!list_is_empty(&u->backlog) || !net_deliver(&u->dev, f, 1))
		hold(u, f);
	else
		u->has_delivered = true;
}

static void give_plain(void *ctx, const uint8_t *data, size_t len)
{
	struct user_net *u = ctx;
	struct iovec iov = {(void *)data, len};
	struct net_frame f = {.iov = &iov, .nr_iov = 1, .len = (uint32_t)len};

	/* libslirp has just computed the sums, and so has offload.c. */
	if (u->guest_can & NET_CAN_CSUM)
		f.offload.flags = NET_CSUM_VALID;
	give(u, &f);
}

/* A segment longer than the guest's MTU, with the sum of the pseudo header alone in its field. */
static void give_long_segment(struct user_net *u, const uint8_t *data, size_t len,
			      const struct frame_layout *l)
{
	size_t sum_at = l->l4 + 16u;
	uint16_t sum = (uint16_t)~checksum_finish(checksum_pseudo(data, l, l->end - l->l4));
	struct iovec iov[] = {
		{(void *)data, sum_at},
		{&sum, sizeof(sum)},
		{(void *)(data + sum_at + 2), len - sum_at - 2},
	};
	struct net_frame f = {.iov = iov, .nr_iov = ARRAY_SIZE(iov), .len = (uint32_t)len};

	f.offload = (struct net_offload){
		.flags = NET_NEEDS_CSUM,
		.gso = l->is_ipv6 ? NET_GSO_TCP6 : NET_GSO_TCP4,
		.hdr_len = l->payload,
		.gso_size = (uint16_t)(u->mtu - (unsigned)(l->payload - l->l3)),
		.csum_start = l->l4,
		.csum_offset = 16,
	};
	give(u, &f);
}

static void give_long(struct user_net *u, const uint8_t *data, size_t len)
{
	struct frame_layout l;

	if (frame_parse(data, len, &l))
		return;
	bool is_tcp = l.proto == IP_PROTO_TCP && !l.is_fragment;
	if (is_tcp && u->guest_can & (l.is_ipv6 ? NET_CAN_TSO6 : NET_CAN_TSO4)) {
		give_long_segment(u, data, len, &l);
		return;
	}
	memcpy(u->frame, data, len);
	if (!is_tcp) {
		offload_fragment(u->frame, len, u->mtu, ++u->ident, give_plain, u);
		return;
	}
	struct net_offload o = {.gso = l.is_ipv6 ? NET_GSO_TCP6 : NET_GSO_TCP4};
	o.gso_size = (uint16_t)(u->mtu - (unsigned)(l.payload - l.l3));
	offload_finish(u->frame, len, &o, give_plain, u);
}

static ssize_t send_packet(const void *data, size_t len, void *opaque)
{
	struct user_net *u = opaque;

	if (len < NET_FRAME_MIN || len > NET_FRAME_MAX)
		return (ssize_t)len;
	if (len > u->mtu + NET_ETH_HEADER)
		give_long(u, data, len);
	else
		give_plain(u, data, len);
	return (ssize_t)len;
}

static void user_receive_more(struct net_dev *n)
{
	struct user_net *u = container_of(n, struct user_net, dev);
	bool has_given = false;

	while (!list_is_empty(&u->backlog)) {
		struct held *h = list_entry(u->backlog.next, struct held, node);

		if (!net_deliver(n, &h->frame, 1))
			break;
		has_given = true;
		list_remove(&h->node);
		u->backlog_bytes -= h->frame.len;
		free(h);
	}
	if (has_given)
		net_deliver_done(n);
	set_reading(u, list_is_empty(&u->backlog));
}

/* ---- guest to host ---- */

static void finish_tcp_sum(uint8_t *frame, const struct frame_layout *l)
{
	size_t len = l->end - l->l4;
	uint8_t *tcp = frame + l->l4;

	memset(tcp + 16, 0, 2);
	uint16_t sum = checksum_finish(checksum_add(checksum_pseudo(frame, l, len), tcp, len));
	memcpy(tcp + 16, &sum, sizeof(sum));
}

/*
 * Completes a frame in place but leaves it long. A SYN of a guest that takes long frames offers
 * long segments from here on. A SYN with a wrong sum would be made right by this; the sum is only
 * renewed where it was right or still to be made.
 */
static int prepare(struct user_net *u, size_t len, const struct net_offload *o)
{
	struct frame_layout l;
	bool is_tcp = !frame_parse(u->frame, len, &l) && l.proto == IP_PROTO_TCP && !l.is_fragment;
	unsigned needed = l.is_ipv6 ? NET_CAN_TSO6 : NET_CAN_TSO4;
	uint8_t *mss = is_tcp && u->guest_can & needed ? frame_find_mss(u->frame, &l) : NULL;

	if (!mss && !(is_tcp && o->gso))
		return offload_finish_checksum(u->frame, len, o);
	if (!(o->flags & NET_NEEDS_CSUM)) {
		size_t n = l.end - l.l4;
		uint64_t sum = checksum_pseudo(u->frame, &l, n);

		if (checksum_finish(checksum_add(sum, u->frame + l.l4, n)))
			return -EINVAL;
	}
	if (mss) {
		mss[0] = SLIRP_MSS >> 8;
		mss[1] = SLIRP_MSS & 0xff;
	}
	finish_tcp_sum(u->frame, &l);
	return 0;
}

static unsigned user_send(struct net_dev *n, unsigned queue, const struct net_frame *frames,
			  unsigned nr)
{
	struct user_net *u = container_of(n, struct user_net, dev);

	for (unsigned i = 0; i < nr; i++) {
		size_t len = frames[i].len;

		net_frame_copy(&frames[i], u->frame);
		if (prepare(u, len, &frames[i].offload)) {
			n->stats.dropped++;
			continue;
		}
		n->stats.sent_frames++;
		n->stats.sent_bytes += len;
		slirp_input(u->slirp, u->frame, (int)len);
	}
	finish_burst(u);
	return nr;
}

static void user_set_offloads(struct net_dev *n, unsigned offloads)
{
	container_of(n, struct user_net, dev)->guest_can = offloads;
}

/* ---- the rest of what libslirp asks for ---- */

static void guest_error(const char *msg, void *opaque)
{
	log_once(LOG_WARN, "network: the guest sent what user-mode networking cannot use: %s", msg);
}

static int64_t clock_ns(void *opaque)
{
	return (int64_t)host_now_ns();
}

static void slirp_timer_due(struct loop_timer *t)
{
	struct user_timer *timer = container_of(t, struct user_timer, timer);

	timer->fn(timer->ctx);
	finish_burst(timer->user);
}

static void *timer_new(SlirpTimerCb fn, void *ctx, void *opaque)
{
	struct user_net *u = opaque;
	struct user_timer *t = mem_alloc_zero(sizeof(*t));

	t->user = u;
	t->fn = fn;
	t->ctx = ctx;
	loop_timer_init(&t->timer, u->loop, slirp_timer_due);
	return t;
}

static void timer_free(void *timer, void *opaque)
{
	struct user_timer *t = timer;

	loop_timer_disarm(&t->timer);
	free(t);
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	loop_timer_arm(&((struct user_timer *)timer)->timer, (uint64_t)expire_ms * NS_PER_MS);
}

static void register_fd(int fd, void *opaque)
{
	watched_of(opaque, fd)->events = 0;
}

static void unregister_fd(int fd, void *opaque)
{
	set_watch(opaque, fd, 0);
}

/* Nothing to do: every way into libslirp ends in refresh(). */
static void notify(void *opaque)
{
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = register_fd,
	.unregister_poll_fd = unregister_fd,
	.notify = notify,
};

/* ---- life ---- */

static void user_free(struct net_dev *n)
{
	struct user_net *u = container_of(n, struct user_net, dev);

	relay_free(u->relay);
	n->front = NULL;
	if (u->slirp)
		slirp_cleanup(u->slirp);
	loop_timer_disarm(&u->timer);
	if (u->epoll_fd >= 0) {
		loop_fd_remove(u->loop, &u->watch);
		close(u->epoll_fd);
	}
	list_for_each_safe (it, &u->backlog)
		free(list_entry(it, struct held, node));
	free(u->wanted);
	free(u->before);
	free(u->watched);
	free(u);
}

static const struct net_ops user_ops = {
	.send = user_send,
	.receive_more = user_receive_more,
	.set_offloads = user_set_offloads,
	.free = user_free,
};

/* The name server's address: one of the network that is neither the host's nor the guest's. */
static struct in_addr choose_dns(struct in_addr host, struct in_addr guest)
{
	uint32_t network = ntohl(host.s_addr) & 0xffffff00, last = 3;

	while (htonl(network | last) == host.s_addr || htonl(network | last) == guest.s_addr)
		last++;
	return (struct in_addr){htonl(network | last)};
}

static Slirp *start_slirp(struct user_net *u, const struct user_config *cfg, struct in_addr host_ip,
			  struct in_addr guest_ip)
{
	SlirpConfig c = {
		.version = 4,
		.restricted = cfg->is_restricted,
		.in_enabled = true,
		.vnetwork.s_addr = host_ip.s_addr & htonl(0xffffff00),
		.vnetmask.s_addr = htonl(0xffffff00),
		.vhost = host_ip,
		.vdhcp_start = guest_ip,
		.vnameserver = choose_dns(host_ip, guest_ip),
		.in6_enabled = cfg->has_ipv6,
		.vprefix_len = 64,
		.vhostname = cfg->hostname,
		.if_mtu = SLIRP_MTU,
		.if_mru = SLIRP_MTU,
		.disable_host_loopback = !cfg->reaches_host,
	};
	inet_pton(AF_INET6, "fec0::", &c.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &c.vhost6);
	inet_pton(AF_INET6, "fec0::3", &c.vnameserver6);
	return slirp_new(&c, &callbacks, u);
}

/* libslirp's UDP sockets would share a port with anybody who lets them; this one would not. */
static int check_port(const struct sockaddr *addr, socklen_t len, bool is_udp)
{
	int fd = socket(addr->sa_family, (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	int one = 1, rc = 0;

	if (fd < 0)
		return -errno;
	if (!is_udp)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, addr, len) || (!is_udp && listen(fd, 1)))
		rc = -errno;
	close(fd);
	return rc;
}

/* Listens on an IPv4 port. */
static int open_ipv4(struct user_net *u, struct sockaddr_in host, uint16_t guest_port, bool is_udp)
{
	struct sockaddr_in guest = {.sin_family = AF_INET, .sin_port = htons(guest_port)};
	int rc = check_port((struct sockaddr *)&host, sizeof(host), is_udp);

	if (rc)
		return rc;
	errno = 0;
	if (slirp_add_hostxfwd(u->slirp, (struct sockaddr *)&host, sizeof(host),
			       (struct sockaddr *)&guest, sizeof(guest),
			       is_udp ? SLIRP_HOSTFWD_UDP : 0) < 0)
		return errno ? -errno : -EADDRINUSE;
	return 0;
}

/* A port of 127.0.0.1 that nobody has, for connections that come in by IPv6. */
static int find_free_port(bool is_udp, struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	int rc = 0;

	*addr = (struct sockaddr_in){.sin_family = AF_INET};
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)addr, len) ||
	    getsockname(fd, (struct sockaddr *)addr, &len))
		rc = -errno;
	close(fd);
	return rc;
}

/*
 * IPv6 on the host leads to the guest's IPv4 address, by way of an IPv4 port of the host: a service
 * in the guest need not know IPv6, and the guest's IPv6 address is its own choice anyway.
 */
static int publish_port(struct user_net *u, const struct publish_rule *r, unsigned index)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(r->host + index)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(r->host + index)};
	int rc = 0;

	if (r->family == AF_INET)
		memcpy(&v4.sin_addr, &r->addr, sizeof(v4.sin_addr));
	else
		v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v6.sin6_addr = r->family == AF_INET6 ? r->addr : in6addr_loopback;
	if (r->family == AF_INET6)
		rc = find_free_port(r->is_udp, &v4);
	if (!rc)
		rc = open_ipv4(u, v4, (uint16_t)(r->guest + index), r->is_udp);
	if (rc || r->family == AF_INET)
		return rc;
	rc = relay_add(u->relay, &v6, &v4, r->is_udp);
	/* A host without IPv6 has no ::1 to listen on. */
	if (r->family == AF_UNSPEC && (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT))
		rc = 0;
	return rc;
}

static int publish_all(struct user_net *u, const struct user_config *cfg, struct error *err)
{
	for (unsigned i = 0; i < cfg->nr_publish; i++) {
		const struct publish_rule *r = &cfg->publish[i];
		char text[PUBLISH_TEXT_MAX];

		publish_format(r, text);
		for (unsigned k = 0; k < r->count; k++) {
			int rc = publish_port(u, r, k);

			if (rc)
				return error_set_errno(err, rc, "publish '%s': host port %u", text,
						       r->host + k);
		}
	}
	return 0;
}

struct net_dev *user_new(struct loop *loop, const struct user_config *cfg, struct error *err)
{
	struct in_addr host_ip = cfg->host_ip, guest_ip = cfg->guest_ip;
	int rc = user_settle_addresses(&host_ip, &guest_ip, err);

	if (rc)
		return NULL;
	struct user_net *u = mem_alloc_zero(sizeof(*u));
	u->dev = (struct net_dev){
		.ops = &user_ops, .offloads = NET_CAN_ALL, .nr_queues = 1, .is_up = true};
	u->loop = loop;
	u->mtu = cfg->mtu ? cfg->mtu : NET_MTU_DEFAULT;
	u->dev.mtu = u->mtu;
	list_init(&u->backlog);
	loop_timer_init(&u->timer, loop, timer_due);
	u->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	u->watch = (struct loop_fd){u->epoll_fd, sockets_ready};
	if (u->epoll_fd < 0) {
		error_set_errno(err, -errno, "user-mode network");
		goto fail;
	}
	rc = loop_fd_add(loop, &u->watch, EPOLLIN);
	u->is_reading = true;
	u->slirp = start_slirp(u, cfg, host_ip, guest_ip);
	u->relay = relay_new(loop);
	if (rc || !u->slirp) {
		error_set(err, -EINVAL, "user-mode network: libslirp does not start");
		goto fail;
	}
	if (publish_all(u, cfg, err))
		goto fail;
	refresh(u);
	return &u->dev;
fail:
	user_free(&u->dev);
	return NULL;
}
