/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if_arp.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/net/offload.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"

#define TUN_DEVICE	 "/dev/net/tun"
#define FRAMES_PER_EVENT 64  /* then others on the loop get theirs */
#define PIECES_MAX	 512 /* of a frame; more is refused by no sender we have */

extern char **environ;

struct tap;

struct tap_queue {
	struct tap *tap;
	struct loop_fd watch;
	uint32_t events;
	bool is_watched;
	bool is_attached; /* to the interface; others are idle */
	bool is_lent;	  /* frames are not read here */
	/* A frame the front end had no room for. */
	struct net_offload pending_offload;
	size_t pending; /* its bytes; 0: none */
	uint8_t frame[NET_FRAME_MAX];
};

struct tap {
	struct net_dev dev;
	struct loop *loop;
	char name[IFNAMSIZ];
	char *downscript;
	bool has_header; /* frames carry a struct net_offload */
	unsigned guest_can;
	unsigned nr_queues;
	struct tap_queue *queues;
};

const char *tap_name(const struct net_dev *n)
{
	return container_of(n, struct tap, dev)->name;
}

/* ---- frames ---- */

static void watch(struct tap_queue *q, uint32_t events)
{
	if (q->events != events && q->is_watched)
		loop_fd_set_events(q->tap->loop, &q->watch, events);
	q->events = events;
}

/* Returns 0 or a negative errno. */
static int write_frame(struct tap *t, int fd, const struct net_frame *f)
{
	struct net_offload header = f->offload;
	struct iovec iov[PIECES_MAX];
	int nr = 0;

	if (f->nr_iov >= PIECES_MAX)
		return -EINVAL;
	if (t->has_header)
		iov[nr++] = (struct iovec){&header, sizeof(header)};
	memcpy(iov + nr, f->iov, f->nr_iov * sizeof(iov[0]));
	nr += (int)f->nr_iov;
	return writev(fd, iov, nr) < 0 ? -errno : 0;
}

static unsigned tap_send(struct net_dev *n, unsigned queue, const struct net_frame *frames,
			 unsigned nr)
{
	struct tap *t = container_of(n, struct tap, dev);
	struct tap_queue *q = &t->queues[queue < t->nr_queues ? queue : 0];

	for (unsigned i = 0; i < nr; i++) {
		int rc = write_frame(t, q->watch.fd, &frames[i]);

		if (rc == -EAGAIN) {
			watch(q, q->events | EPOLLOUT);
			return i;
		}
		/* -EIO: the interface is down. -EINVAL: the kernel wants no such frame. */
		if (rc) {
			n->stats.dropped++;
			continue;
		}
		n->stats.sent_frames++;
		n->stats.sent_bytes += frames[i].len;
	}
	return nr;
}

/* Reads into the queue's pending frame. Returns false when there is none. */
static bool read_frame(struct tap_queue *q)
{
	struct net_offload header = {0};
	struct iovec iov[] = {{&header, sizeof(header)}, {q->frame, sizeof(q->frame)}};
	size_t skipped = q->tap->has_header ? sizeof(header) : 0;
	ssize_t n = skipped ? readv(q->watch.fd, iov, 2) : readv(q->watch.fd, iov + 1, 1);

	if (n < (ssize_t)(skipped + NET_FRAME_MIN))
		return false;
	/* What the kernel has checked is of no use to a guest that checks all by itself. */
	if (header.flags == NET_CSUM_VALID && !(q->tap->guest_can & NET_CAN_CSUM))
		header.flags = 0;
	q->pending_offload = header;
	q->pending = (size_t)n - skipped;
	return true;
}

static bool deliver_pending(struct tap_queue *q)
{
	struct iovec iov = {q->frame, q->pending};
	struct net_frame f = {.offload = q->pending_offload,
			      .iov = &iov,
			      .nr_iov = 1,
			      .len = (uint32_t)q->pending};

	if (!net_deliver(&q->tap->dev, &f, 1))
		return false;
	q->pending = 0;
	return true;
}

static void receive(struct tap_queue *q)
{
	bool has_delivered = false;

	for (unsigned i = 0; i < FRAMES_PER_EVENT; i++) {
		if (!q->pending && !read_frame(q))
			break;
		if (!deliver_pending(q)) {
			watch(q, q->events & ~(uint32_t)EPOLLIN);
			break;
		}
		has_delivered = true;
	}
	if (has_delivered)
		net_deliver_done(&q->tap->dev);
}

/* A queue that is not attached, or whose interface was deleted, reports an error without end. */
static void unwatch(struct tap_queue *q)
{
	if (q->is_watched)
		loop_fd_remove(q->tap->loop, &q->watch);
	q->is_watched = false;
}

static void tap_ready(struct loop_fd *w, uint32_t events)
{
	struct tap_queue *q = container_of(w, struct tap_queue, watch);

	if (events & EPOLLERR) {
		unwatch(q);
		if (q->is_attached) {
			log_warn("tap %s: the interface is gone", q->tap->name);
			net_deliver_link(&q->tap->dev, false);
		}
		return;
	}
	if (events & EPOLLOUT) {
		watch(q, q->events & ~(uint32_t)EPOLLOUT);
		net_deliver_writable(&q->tap->dev);
	}
	if (events & EPOLLIN && q->events & EPOLLIN)
		receive(q);
}

static void tap_receive_more(struct net_dev *n)
{
	struct tap *t = container_of(n, struct tap, dev);
	bool has_delivered = false;

	for (unsigned i = 0; i < t->nr_queues; i++) {
		struct tap_queue *q = &t->queues[i];

		if (q->is_lent || (q->pending && !deliver_pending(q)))
			continue;
		has_delivered = true;
		watch(q, q->events | EPOLLIN);
	}
	if (has_delivered)
		net_deliver_done(n);
}

static void tap_set_offloads(struct net_dev *n, unsigned can)
{
	struct tap *t = container_of(n, struct tap, dev);
	unsigned flags = (can & NET_CAN_CSUM ? TUN_F_CSUM : 0u) |
			 (can & NET_CAN_TSO4 ? TUN_F_TSO4 : 0u) |
			 (can & NET_CAN_TSO6 ? TUN_F_TSO6 : 0u);

	t->guest_can = can;
	for (unsigned i = 0; t->has_header && i < t->nr_queues; i++)
		if (ioctl(t->queues[i].watch.fd, TUNSETOFFLOAD, flags))
			log_warn("tap %s: offloads: %s", t->name, strerror(errno));
}

static void tap_set_queues(struct net_dev *n, unsigned nr)
{
	struct tap *t = container_of(n, struct tap, dev);

	for (unsigned i = 0; t->nr_queues > 1 && i < t->nr_queues; i++) {
		struct tap_queue *q = &t->queues[i];
		struct ifreq r = {.ifr_flags = i < nr ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

		if (q->is_attached == (i < nr) || ioctl(q->watch.fd, TUNSETQUEUE, &r))
			continue;
		q->is_attached = i < nr;
		if (!q->is_attached)
			unwatch(q);
		else
			q->is_watched = !loop_fd_add(t->loop, &q->watch, q->events);
	}
}

/* Only the end of the interface is watched for from here on. */
static int tap_lend(struct net_dev *n, unsigned queue)
{
	struct tap *t = container_of(n, struct tap, dev);
	int header = sizeof(struct virtio_net_hdr_v1);

	if (queue >= t->nr_queues)
		return -EINVAL;
	struct tap_queue *q = &t->queues[queue];
	if (t->has_header && ioctl(q->watch.fd, TUNSETVNETHDRSZ, &header))
		return -errno;
	q->is_lent = true;
	watch(q, 0);
	return q->watch.fd;
}

/* ---- the interface ---- */

static void set_name(struct ifreq *r, const char *name)
{
	memset(r, 0, sizeof(*r));
	memcpy(r->ifr_name, name, strnlen(name, IFNAMSIZ - 1));
}

static bool exists(const char *name)
{
	struct ifreq r;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	set_name(&r, name);
	bool yes = s >= 0 && !ioctl(s, SIOCGIFINDEX, &r);
	if (s >= 0)
		close(s);
	return yes;
}

static int fail(const struct tap *t, const char *what, struct error *err)
{
	int rc = -errno;

	return error_set(err, rc, "tap %s: %s: %s%s", t->name, what, strerror(-rc),
			 rc == -EPERM ? " (this needs CAP_NET_ADMIN)" : "");
}

static int set_address(struct tap *t, int s, const struct tap_config *cfg, struct error *err)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = cfg->host_ip};
	struct ifreq r;

	set_name(&r, t->name);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	if (ioctl(s, SIOCSIFADDR, &r))
		return fail(t, "address", err);
	a.sin_addr.s_addr = htonl(~UINT32_C(0) << (32 - cfg->prefix));
	memcpy(&r.ifr_netmask, &a, sizeof(a));
	return ioctl(s, SIOCSIFNETMASK, &r) ? fail(t, "netmask", err) : 0;
}

static int join_bridge(struct tap *t, int s, const char *bridge, struct error *err)
{
	struct ifreq r;

	set_name(&r, t->name);
	if (ioctl(s, SIOCGIFINDEX, &r))
		return fail(t, "index", err);
	int index = r.ifr_ifindex;
	set_name(&r, bridge);
	r.ifr_ifindex = index;
	if (!ioctl(s, SIOCBRADDIF, &r))
		return 0;
	int rc = -errno;
	if (rc == -ENODEV)
		return error_set(err, rc, "interface %s does not exist!", bridge);
	return error_set_errno(err, rc, "can't add %s to bridge %s", t->name, bridge);
}

static int set_mtu(struct tap *t, int s, const struct tap_config *cfg, struct error *err)
{
	struct ifreq r;

	set_name(&r, t->name);
	r.ifr_mtu = (int)cfg->mtu;
	if (cfg->mtu && ioctl(s, SIOCSIFMTU, &r))
		return fail(t, "MTU", err);
	if (ioctl(s, SIOCGIFMTU, &r))
		return fail(t, "MTU", err);
	t->dev.mtu = (unsigned)r.ifr_mtu;
	return 0;
}

static int bring_up(struct tap *t, int s, struct error *err)
{
	struct ifreq r;

	set_name(&r, t->name);
	if (ioctl(s, SIOCGIFFLAGS, &r))
		return fail(t, "flags", err);
	if (r.ifr_flags & IFF_UP)
		return 0;
	r.ifr_flags |= IFF_UP;
	return ioctl(s, SIOCSIFFLAGS, &r) ? fail(t, "bringing it up", err) : 0;
}

static int set_mac(struct tap *t, int s, const uint8_t mac[6], struct error *err)
{
	static const uint8_t zero[6];
	struct ifreq r;

	if (!memcmp(mac, zero, sizeof(zero)))
		return 0;
	set_name(&r, t->name);
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, mac, 6);
	return ioctl(s, SIOCSIFHWADDR, &r) ? fail(t, "MAC address", err) : 0;
}

/* An interface that was there is left as it is, but for what the user names. */
static int configure(struct tap *t, const struct tap_config *cfg, bool is_new, struct error *err)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (s < 0)
		return fail(t, "socket", err);
	if (is_new)
		rc = set_mac(t, s, cfg->host_mac, err);
	if (!rc)
		rc = set_mtu(t, s, cfg, err);
	if (!rc && cfg->host_ip.s_addr)
		rc = set_address(t, s, cfg, err);
	if (!rc && cfg->bridge)
		rc = join_bridge(t, s, cfg->bridge, err);
	if (!rc && (is_new || cfg->host_ip.s_addr || cfg->bridge))
		rc = bring_up(t, s, err);
	close(s);
	return rc;
}

static int run_script(struct tap *t, const char *script, struct error *err)
{
	char *argv[] = {(char *)script, t->name, NULL};
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int status = 0;

	/* The thread this runs on blocks signals, which a program must not inherit. */
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	int rc = posix_spawnp(&pid, script, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (rc)
		return error_set_errno(err, -rc, "network script %s", script);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return error_set(err, -EINVAL, "network script %s %s failed with status %d", script,
			 t->name, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* ---- opening ---- */

static int set_interface(struct tap *t, int fd, bool has_queues, struct error *err)
{
	struct ifreq r;

	set_name(&r, t->name);
	r.ifr_flags =
		(short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (has_queues ? IFF_MULTI_QUEUE : 0));
	if (!ioctl(fd, TUNSETIFF, &r)) {
		memcpy(t->name, r.ifr_name, IFNAMSIZ);
		return 0;
	}
	int rc = -errno;
	if (rc == -EPERM)
		return error_set(err, rc,
				 "tap %s: making it needs CAP_NET_ADMIN; or make one that is yours "
				 "beforehand: ip tuntap add %s mode tap user $USER%s",
				 t->name, strchr(t->name, '%') ? "tap0" : t->name,
				 has_queues ? " multi_queue" : "");
	if (rc == -EBUSY)
		return error_set(err, rc, "tap %s is in use by another program", t->name);
	if (rc == -EINVAL)
		return error_set(err, rc, "%s is no tap interface%s", t->name,
				 has_queues ? ", or not one with several queues" : "");
	return error_set_errno(err, rc, "tap %s", t->name);
}

static int open_queue(struct tap *t, bool has_queues, struct error *err)
{
	int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK), rc;

	if (fd < 0)
		return error_set_errno(err, -errno, "tap %s: " TUN_DEVICE, t->name);
	rc = set_interface(t, fd, has_queues, err);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

/* Takes over a descriptor somebody else opened. */
static int adopt(struct tap *t, int fd, struct error *err)
{
	struct ifreq r;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || ioctl(fd, TUNGETIFF, &r) || !(r.ifr_flags & IFF_TAP))
		return error_set(err, -EINVAL, "descriptor %d is no open tap interface", fd);
	if (!(r.ifr_flags & IFF_NO_PI))
		return error_set(err, -EINVAL, "descriptor %d was opened without IFF_NO_PI", fd);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	memcpy(t->name, r.ifr_name, IFNAMSIZ);
	t->has_header = r.ifr_flags & IFF_VNET_HDR;
	t->dev.offloads = t->has_header ? NET_CAN_ALL : 0;
	return fd;
}

static int add_queue(struct tap *t, int fd, struct error *err)
{
	struct tap_queue *q = &t->queues[t->nr_queues];
	int header = sizeof(struct net_offload);

	if (t->has_header && ioctl(fd, TUNSETVNETHDRSZ, &header)) {
		int rc = fail(t, "header size", err);

		close(fd);
		return rc;
	}
	q->tap = t;
	q->is_attached = true;
	q->watch = (struct loop_fd){fd, tap_ready};
	t->nr_queues++;
	int rc = loop_fd_add(t->loop, &q->watch, 0);
	q->is_watched = !rc;
	return rc ? error_set_errno(err, rc, "tap %s", t->name) : 0;
}

static int open_all(struct tap *t, const struct tap_config *cfg, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < t->dev.nr_queues; i++) {
		int fd = cfg->fd >= 0 ? adopt(t, cfg->fd, err)
				      : open_queue(t, t->dev.nr_queues > 1, err);

		rc = fd < 0 ? fd : add_queue(t, fd, err);
	}
	return rc;
}

static void tap_free(struct net_dev *n)
{
	struct tap *t = container_of(n, struct tap, dev);
	struct error err;

	if (t->downscript && run_script(t, t->downscript, &err))
		log_warn("%s", err.text);
	for (unsigned i = 0; i < t->nr_queues; i++) {
		unwatch(&t->queues[i]);
		close(t->queues[i].watch.fd);
	}
	free(t->downscript);
	free(t->queues);
	free(t);
}

static const struct net_ops tap_ops = {
	.send = tap_send,
	.receive_more = tap_receive_more,
	.set_offloads = tap_set_offloads,
	.set_queues = tap_set_queues,
	.lend = tap_lend,
	.free = tap_free,
};

struct net_dev *tap_new(struct loop *loop, const struct tap_config *cfg, struct error *err)
{
	struct tap *t = mem_alloc_zero(sizeof(*t));
	unsigned nr = cfg->fd >= 0 || !cfg->nr_queues ? 1 : cfg->nr_queues;
	bool is_new = cfg->fd < 0 && !(cfg->name && exists(cfg->name));

	t->dev = (struct net_dev){
		.ops = &tap_ops, .offloads = NET_CAN_ALL, .nr_queues = nr, .is_up = true};
	t->loop = loop;
	t->has_header = true;
	t->queues = mem_alloc_zero(nr * sizeof(t->queues[0]));
	const char *name = cfg->name ? cfg->name : "tap%d";
	memcpy(t->name, name, strnlen(name, IFNAMSIZ - 1));
	int rc = 0;
	if (cfg->name && strlen(cfg->name) >= IFNAMSIZ)
		rc = error_set(err, -EINVAL, "tap %s: the name has more than %d letters", cfg->name,
			       IFNAMSIZ - 1);
	if (!rc)
		rc = open_all(t, cfg, err);
	if (!rc)
		rc = configure(t, cfg, is_new, err);
	if (!rc && cfg->script)
		rc = run_script(t, cfg->script, err);
	if (rc) {
		tap_free(&t->dev);
		return NULL;
	}
	t->downscript = cfg->downscript ? mem_strdup(cfg->downscript) : NULL;
	return &t->dev;
}
