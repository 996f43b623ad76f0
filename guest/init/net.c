/* SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "dhcp_packet.h"
#include "lib.h"
#include "sys.h"

#define CARDS_MAX 8
#define WAIT_MS \
	4000 /* for the first lease; a card without a server must not hold up the start long */
#define FIRST_TRY_MS	300 /* doubled with each try */
#define RETRY_S		60  /* while a lease is not renewed */
#define LEASE_DEFAULT_S 86400

struct card {
	char name[IFNAMSIZ];
	uint8_t mac[6];
	int fd; /* its UDP socket */
	const char *hostname;
	struct dhcp_lease lease;
};

static struct ifreq request_for(const char *name)
{
	struct ifreq r = {0};

	join(r.ifr_name, IFNAMSIZ, name, NULL);
	return r;
}

static long set_up(int fd, const char *name)
{
	struct ifreq r = request_for(name);
	long rc = sys(__NR_ioctl, fd, SIOCGIFFLAGS, &r);

	r.ifr_flags |= IFF_UP;
	return rc ? rc : sys(__NR_ioctl, fd, SIOCSIFFLAGS, &r);
}

void net_start_loopback(void)
{
	int fd = (int)sys(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return; /* a kernel without IPv4 */
	set_up(fd, "lo");
	sys(__NR_close, fd);
}

/* ---- talking to the server ---- */

static struct sockaddr_in any_at_port(uint16_t port, uint32_t address)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = address};
}

static long open_socket(struct card *card)
{
	struct sockaddr_in here = any_at_port(DHCP_CLIENT_PORT, 0);
	int one = 1;
	long fd = sys(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return fd;
	card->fd = (int)fd;
	sys(__NR_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	sys(__NR_setsockopt, fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	rc = sys(__NR_setsockopt, fd, SOL_SOCKET, SO_BINDTODEVICE, card->name,
		 strlen(card->name) + 1);
	if (!rc)
		rc = sys(__NR_bind, fd, &here, sizeof(here));
	return rc ? rc : set_up((int)fd, card->name);
}

/* Waits for the answer to id until the deadline. Returns its type or -ETIMEDOUT. */
static int wait_answer(struct card *card, uint32_t id, uint64_t deadline, struct dhcp_lease *lease)
{
	for (;;) {
		struct pollfd p = {.fd = card->fd, .events = POLLIN};
		uint64_t now = now_ms();
		uint8_t packet[1500];

		if (now >= deadline || sys(__NR_poll, &p, 1, (int)(deadline - now)) == 0)
			return -ETIMEDOUT;
		long n = sys(__NR_recvfrom, card->fd, packet, sizeof(packet), MSG_DONTWAIT, NULL,
			     NULL);
		if (n <= 0)
			continue;
		int type = dhcp_read(packet, (size_t)n, id, card->mac, lease);
		if (type > 0)
			return type;
	}
}

static int ask(struct card *card, enum dhcp_type type, uint32_t id, const struct dhcp_lease *wanted,
	       int wait_ms, struct dhcp_lease *answer)
{
	struct sockaddr_in everybody = any_at_port(DHCP_SERVER_PORT, 0xffffffff);
	struct dhcp_query q = {
		.type = type, .id = id, .hostname = card->hostname, .wanted = wanted};
	uint8_t packet[DHCP_PACKET_MAX];

	memcpy(q.mac, card->mac, 6);
	long rc = sys(__NR_sendto, card->fd, packet, dhcp_write(packet, &q), 0, &everybody,
		      sizeof(everybody));
	if (rc < 0)
		return (int)rc;
	return wait_answer(card, id, now_ms() + (uint64_t)wait_ms, answer);
}

/* The whole exchange, or with is_renewal its second half. Returns 0 or a negative errno. */
static int get_lease(struct card *card, bool is_renewal, int wait_ms)
{
	struct dhcp_lease offer = card->lease, answer;
	uint32_t id = (uint32_t)now_ms();
	int type = DHCP_OFFER;

	sys(__NR_getrandom, &id, sizeof(id), GRND_NONBLOCK);
	if (!is_renewal)
		type = ask(card, DHCP_DISCOVER, id, NULL, wait_ms, &offer);
	if (type == DHCP_OFFER)
		type = ask(card, DHCP_REQUEST, id, &offer, wait_ms, &answer);
	if (type < 0)
		return type;
	if (type != DHCP_ACK)
		return -EACCES;
	card->lease = answer;
	return 0;
}

/* ---- using the lease ---- */

static long set_address(int fd, const char *name, unsigned long what, uint32_t address)
{
	struct ifreq r = request_for(name);
	struct sockaddr_in in = any_at_port(0, address);

	memcpy(&r.ifr_addr, &in, sizeof(in));
	return sys(__NR_ioctl, fd, what, &r);
}

static void set_mtu(int fd, const char *name, int mtu)
{
	struct ifreq r = request_for(name);

	r.ifr_mtu = mtu;
	sys(__NR_ioctl, fd, SIOCSIFMTU, &r);
}

static void add_default_route(int fd, char *name, uint32_t router)
{
	struct sockaddr_in any = any_at_port(0, 0), gateway = any_at_port(0, router);
	struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = name};

	memcpy(&route.rt_dst, &any, sizeof(any));
	memcpy(&route.rt_genmask, &any, sizeof(any));
	memcpy(&route.rt_gateway, &gateway, sizeof(gateway));
	sys(__NR_ioctl, fd, SIOCADDRT, &route);
}

static char *dotted(char out[64], uint32_t address)
{
	const uint8_t *b = (const uint8_t *)&address;
	char d[4][24];

	return join(out, 64, decimal(d[0], b[0]), ".", decimal(d[1], b[1]), ".",
		    decimal(d[2], b[2]), ".", decimal(d[3], b[3]), NULL);
}

/* A link to a file of some service that does not run here is replaced. */
static void write_resolv_conf(const struct dhcp_lease *lease)
{
	char text[1024], part[512], address[64];

	text[0] = '\0';
	if (lease->domain[0])
		join(text, sizeof(text), "search ", lease->domain, "\n", NULL);
	for (unsigned i = 0; i < lease->nr_dns; i++) {
		join(part, sizeof(part), text, NULL);
		join(text, sizeof(text), part, "nameserver ", dotted(address, lease->dns[i]), "\n",
		     NULL);
	}
	sys(__NR_unlink, "/etc/resolv.conf");
	write_file("/etc/resolv.conf", text);
}

static void use_lease(struct card *card)
{
	const struct dhcp_lease *l = &card->lease;
	long rc = set_address(card->fd, card->name, SIOCSIFADDR, l->address);

	if (!rc && l->mask)
		rc = set_address(card->fd, card->name, SIOCSIFNETMASK, l->mask);
	if (rc)
		say_errno(rc, "setting the address of ", card->name, NULL);
	if (l->mtu)
		set_mtu(card->fd, card->name, l->mtu);
	if (l->router)
		add_default_route(card->fd, card->name, l->router);
	if (l->nr_dns)
		write_resolv_conf(l);
}

/* Renews at half the lease's time, and asks anew when it has run out (RFC 2131, section 4.4.5). */
static void keep_lease(struct card *card) __attribute__((noreturn));
static void keep_lease(struct card *card)
{
	uint64_t got = now_ms() / 1000;

	for (;;) {
		uint32_t seconds = card->lease.seconds ? card->lease.seconds : LEASE_DEFAULT_S;
		uint64_t age = now_ms() / 1000 - got;
		struct timespec nap = {.tv_sec = age < seconds / 2 ? seconds / 2 : RETRY_S};

		if (seconds == UINT32_MAX) /* for ever */
			sys(__NR_exit_group, 0);
		sys(__NR_nanosleep, &nap, NULL);
		age = now_ms() / 1000 - got;
		if (!get_lease(card, age < seconds, 5000)) {
			got = now_ms() / 1000;
			use_lease(card);
		}
	}
}

static int get_first_lease(struct card *card)
{
	uint64_t end = now_ms() + WAIT_MS;
	int rc = -ETIMEDOUT;

	for (int wait = FIRST_TRY_MS; rc && now_ms() < end; wait *= 2)
		rc = get_lease(card, false, wait);
	return rc;
}

/* In a process of its own: says with a byte on done that the card is ready or given up for now. */
static void run_card(struct card *card, int done)
{
	long rc = open_socket(card);

	if (!rc)
		rc = get_first_lease(card);
	if (rc)
		say_errno(rc == -ETIMEDOUT ? -EIO : rc, "no address for ", card->name,
			  rc == -ETIMEDOUT ? ": no DHCP server answers" : "", NULL);
	else
		use_lease(card);
	sys(__NR_write, done, "", 1);
	sys(__NR_close, done);
	if (rc)
		sys(__NR_exit_group, 1);
	keep_lease(card);
}

struct cards {
	unsigned nr;
	struct card all[CARDS_MAX];
};

static bool add_card(void *ctx, const char *name)
{
	struct cards *cards = ctx;
	struct ifreq r = request_for(name);
	int fd = (int)sys(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!sys(__NR_ioctl, fd, SIOCGIFHWADDR, &r) && r.ifr_hwaddr.sa_family == ARPHRD_ETHER) {
		struct card *card = &cards->all[cards->nr++];

		join(card->name, sizeof(card->name), name, NULL);
		memcpy(card->mac, r.ifr_hwaddr.sa_data, 6);
	}
	sys(__NR_close, fd);
	return cards->nr < CARDS_MAX;
}

void net_start_dhcp(const char *hostname)
{
	struct cards cards = {.nr = 0};
	int done[2];
	char byte;

	each_name("/sys/class/net", add_card, &cards);
	if (!cards.nr) {
		say("there is no network card: is the driver missing from the kernel?", NULL);
		return;
	}
	if (sys(__NR_pipe2, done, O_CLOEXEC))
		return;
	for (unsigned i = 0; i < cards.nr; i++) {
		cards.all[i].hostname = hostname;
		if (!sys(__NR_fork))
			run_card(&cards.all[i], done[1]);
	}
	sys(__NR_close, done[1]);
	for (unsigned i = 0; i < cards.nr && sys(__NR_read, done[0], &byte, 1) == 1; i++)
		;
	sys(__NR_close, done[0]);
}
