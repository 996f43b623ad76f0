/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network cards (virtio-net), each with a back end and an I/O thread of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/net/mac.h"
#include "backend/net/mcast.h"
#include "backend/net/publish.h"
#include "backend/net/socket.h"
#include "backend/net/tap.h"
#include "backend/net/user.h"
#include "base/base.h"
#include "base/parse.h"
#include "host/io_thread.h"
#include "machine/parts.h"
#include "machine/vm_impl.h"
#include "virtio/dev/net.h"

enum mode { MODE_USER, MODE_TAP, MODE_BRIDGE, MODE_SOCKET, MODE_MCAST, MODE_NONE };

#define HOST_PREFIX 24 /* of host_ip without one */

static const struct config_key keys[] = {
	{.name = "net.N.mode",
	 .type = CONFIG_ENUM,
	 .choices = "user tap bridge socket mcast none",
	 .fallback = "user",
	 .help = "what network card N is connected to; none: there is no such card"},
	{.name = "net.N.mac",
	 .type = CONFIG_STRING,
	 .help = "MAC address of the card; made from the name of the VM when not given"},
	{.name = "net.N.queues",
	 .type = CONFIG_UINT,
	 .min = 1,
	 .max = NET_QUEUES_MAX,
	 .fallback = "1",
	 .help = "pairs of queues the guest may use"},
	{.name = "net.N.mtu",
	 .type = CONFIG_UINT,
	 .unit = "bytes",
	 .min = 576,
	 .max = 65521,
	 .help = "longest IP packet the guest is told to send; 1500 when not given"},
	{.name = "net.N.offload",
	 .type = CONFIG_BOOL,
	 .fallback = "true",
	 .help = "leave checksums and segmentation of TCP to the host"},
	{.name = "net.N.host_ip",
	 .type = CONFIG_STRING,
	 .help = "IPv4 address of the host's end; mode user: 10.0.2.2 when not given; mode tap: "
		 "ADDR[/PREFIX], given to the interface"},
	{.name = "net.N.guest_ip",
	 .type = CONFIG_STRING,
	 .help = "mode user: IPv4 address that DHCP gives; 10.0.2.15 when not given"},
	{.name = "net.N.tap",
	 .type = CONFIG_STRING,
	 .help = "mode tap: the interface, which is made and goes with the VM if there is none; "
		 "the "
		 "kernel picks a name when not given"},
	{.name = "net.N.fd",
	 .type = CONFIG_UINT,
	 .min = 3,
	 .max = 1 << 20,
	 .help = "mode tap: an open tap interface that bantam inherited"},
	{.name = "net.N.bridge",
	 .type = CONFIG_STRING,
	 .help = "mode bridge: the bridge of the host that a new tap interface joins"},
	{.name = "net.N.host_mac",
	 .type = CONFIG_STRING,
	 .help = "MAC address of a tap interface that is made"},
	{.name = "net.N.script",
	 .type = CONFIG_PATH,
	 .help = "modes tap and bridge: program to run with the interface's name once it is up"},
	{.name = "net.N.downscript",
	 .type = CONFIG_PATH,
	 .help = "modes tap and bridge: program to run with the interface's name at the end"},
	{.name = "net.N.vhost",
	 .type = CONFIG_BOOL,
	 .fallback = "false",
	 .help = "modes tap and bridge, on KVM: frames pass in the host's kernel (vhost-net)"},
	{.name = "net.N.path",
	 .type = CONFIG_PATH,
	 .help = "mode socket: Unix socket of a switch (bantam switch)"},
	{.name = "net.N.group",
	 .type = CONFIG_STRING,
	 .fallback = MCAST_DEFAULT,
	 .help = "mode mcast: multicast address and port that the VMs of a LAN share"},
	{.name = "net.N.ttl",
	 .type = CONFIG_UINT,
	 .max = 255,
	 .fallback = "1",
	 .help = "mode mcast: hops a frame goes; 0 stays on this host"},
	{.name = "net.N.local",
	 .type = CONFIG_STRING,
	 .help = "mode mcast: address of the host's interface to use; by the host's routes when "
		 "not "
		 "given"},
	{.name = "net.N.restrict",
	 .type = CONFIG_BOOL,
	 .fallback = "false",
	 .help = "mode user: the guest reaches nothing; published ports still lead to it"},
	{.name = "net.N.ipv6",
	 .type = CONFIG_BOOL,
	 .fallback = "true",
	 .help = "mode user: IPv6 beside IPv4"},
	{.name = "net.N.host_loopback",
	 .type = CONFIG_BOOL,
	 .fallback = "true",
	 .help = "mode user: the address of the host's end leads to the host's own 127.0.0.1"},
	{.name = "publish",
	 .type = CONFIG_STRING,
	 .help = "ports of the host that lead into the guest, mode user: "
		 "[ADDR:]HOST:GUEST[/tcp|/udp], separated by commas"},
};

/* ---- checks ---- */

static int check_mac(const struct config *cfg, unsigned i, uint8_t mac[6], struct error *err)
{
	const char *text = config_text(cfg, "net.%u.mac", i);

	if (!text) {
		mac_from_name(config_is_set(cfg, "name") ? config_text(cfg, "name") : "", i, mac);
		return 0;
	}
	int rc = mac_parse(text, mac, err);
	if (rc)
		error_prefix(err, "net.%u.mac", i);
	return rc;
}

/* The address in a key, or zero when it is unset. */
static int read_ip(const struct config *cfg, unsigned i, const char *key, struct in_addr *ip,
		   struct error *err)
{
	const char *text = config_text(cfg, "net.%u.%s", i, key);

	ip->s_addr = 0;
	if (!text || inet_pton(AF_INET, text, ip) == 1)
		return 0;
	return error_set(err, -EINVAL, "net.%u.%s: '%s' is no IPv4 address", i, key, text);
}

static int read_user(const struct config *cfg, unsigned i, struct user_config *u, struct error *err)
{
	int rc = read_ip(cfg, i, "host_ip", &u->host_ip, err);

	if (!rc)
		rc = read_ip(cfg, i, "guest_ip", &u->guest_ip, err);
	if (rc)
		return rc;
	rc = user_settle_addresses(&u->host_ip, &u->guest_ip, err);
	if (rc) {
		error_prefix(err, "net.%u", i);
		return rc;
	}
	u->hostname = config_is_set(cfg, "name") ? config_text(cfg, "name") : NULL;
	if (config_is_set(cfg, "net.%u.mtu", i))
		u->mtu = (unsigned)config_uint(cfg, "net.%u.mtu", i);
	u->is_restricted = config_bool(cfg, "net.%u.restrict", i);
	u->has_ipv6 = config_bool(cfg, "net.%u.ipv6", i);
	u->reaches_host = config_bool(cfg, "net.%u.host_loopback", i);
	return 0;
}

/* The text of a key, where "none" is kvmtool's way to leave it unset. */
static const char *text_of(const struct config *cfg, unsigned i, const char *key)
{
	const char *text = config_text(cfg, "net.%u.%s", i, key);

	return text && strcmp(text, "none") ? text : NULL;
}

/* "ADDR[/PREFIX]" of a tap interface. */
static int read_host_ip(const struct config *cfg, unsigned i, struct tap_config *t,
			struct error *err)
{
	const char *text = config_text(cfg, "net.%u.host_ip", i), *slash;
	char addr[INET_ADDRSTRLEN] = "";
	uint64_t prefix = HOST_PREFIX;

	if (!text)
		return 0;
	slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	if (len < sizeof(addr))
		memcpy(addr, text, len);
	if (inet_pton(AF_INET, addr, &t->host_ip) != 1 || !t->host_ip.s_addr ||
	    (slash && parse_u64(slash + 1, &prefix)) || !prefix || prefix > 32)
		return error_set(err, -EINVAL,
				 "net.%u.host_ip: '%s' is no address of an interface (must be like "
				 "192.168.33.1/24)",
				 i, text);
	t->prefix = (unsigned)prefix;
	return 0;
}

static int read_tap(const struct config *cfg, unsigned i, struct tap_config *t, struct error *err)
{
	const char *host_mac = config_text(cfg, "net.%u.host_mac", i);
	int rc = read_host_ip(cfg, i, t, err);

	if (rc)
		return rc;
	t->name = config_text(cfg, "net.%u.tap", i);
	t->fd = config_is_set(cfg, "net.%u.fd", i) ? (int)config_uint(cfg, "net.%u.fd", i) : -1;
	t->bridge = config_text(cfg, "net.%u.bridge", i);
	t->script = text_of(cfg, i, "script");
	t->downscript = text_of(cfg, i, "downscript");
	t->nr_queues = (unsigned)config_uint(cfg, "net.%u.queues", i);
	if (config_is_set(cfg, "net.%u.mtu", i))
		t->mtu = (unsigned)config_uint(cfg, "net.%u.mtu", i);
	if (t->fd >= 0 && t->nr_queues > 1 && config_bool(cfg, "net.%u.vhost", i))
		return error_set(err, -EINVAL,
				 "net.%u.queues: an open descriptor is one queue, and vhost-net "
				 "needs one for each pair (must be 1)",
				 i);
	if (t->fd >= 0 && (t->name || t->bridge))
		return error_set(err, -EINVAL,
				 "net.%u: an open descriptor has its interface already; leave out "
				 "net.%u.%s",
				 i, i, t->name ? "tap" : "bridge");
	/* A bridge takes the lowest address of its ports: a high one keeps it as it is. */
	rc = host_mac ? mac_parse(host_mac, t->host_mac, err) : check_mac(cfg, i, t->host_mac, err);
	if (rc && host_mac)
		error_prefix(err, "net.%u.host_mac", i);
	if (!host_mac)
		t->host_mac[0] = 0xfe;
	return rc;
}

static int read_mcast(const struct config *cfg, unsigned i, struct mcast_config *m,
		      struct error *err)
{
	int rc = mcast_parse(config_text(cfg, "net.%u.group", i), &m->group, err);

	if (rc) {
		error_prefix(err, "net.%u.group", i);
		return rc;
	}
	m->ttl = (unsigned)config_uint(cfg, "net.%u.ttl", i);
	return read_ip(cfg, i, "local", &m->local, err);
}

static enum mode mode_of(const struct config *cfg, unsigned i)
{
	return (enum mode)config_enum(cfg, "net.%u.mode", i);
}

/* The card that published ports lead to. Returns false when there is none. */
static bool find_user(const struct config *cfg, unsigned *index)
{
	for (unsigned i = 0; config_next(cfg, "net", &i); i++) {
		if (mode_of(cfg, i) != MODE_USER)
			continue;
		*index = i;
		return true;
	}
	return false;
}

static int check_publish(const struct config *cfg, struct error *err)
{
	struct publish_rule rules[PUBLISH_MAX];
	unsigned i;

	if (!config_is_set(cfg, "publish"))
		return 0;
	int rc = publish_parse_list(config_text(cfg, "publish"), rules, err);
	if (rc < 0)
		return rc;
	if (!find_user(cfg, &i))
		return error_set(err, -EINVAL, "Port publishing requires \"user\" networking mode");
	return 0;
}

/* Keys of one mode have no say in another: who sets one there has something else in mind. */
static int check_keys(const struct config *cfg, unsigned i, struct error *err)
{
	static const struct {
		const char *key;
		unsigned modes; /* bits of enum mode */
	} owners[] = {
		{"host_ip", BIT(MODE_USER) | BIT(MODE_TAP)},
		{"guest_ip", BIT(MODE_USER)},
		{"restrict", BIT(MODE_USER)},
		{"ipv6", BIT(MODE_USER)},
		{"host_loopback", BIT(MODE_USER)},
		{"tap", BIT(MODE_TAP) | BIT(MODE_BRIDGE)},
		{"fd", BIT(MODE_TAP)},
		{"vhost", BIT(MODE_TAP) | BIT(MODE_BRIDGE)},
		{"bridge", BIT(MODE_BRIDGE)},
		{"host_mac", BIT(MODE_TAP) | BIT(MODE_BRIDGE)},
		{"script", BIT(MODE_TAP) | BIT(MODE_BRIDGE)},
		{"downscript", BIT(MODE_TAP) | BIT(MODE_BRIDGE)},
		{"path", BIT(MODE_SOCKET)},
		{"group", BIT(MODE_MCAST)},
		{"ttl", BIT(MODE_MCAST)},
		{"local", BIT(MODE_MCAST)},
	};

	for (unsigned k = 0; k < ARRAY_SIZE(owners); k++) {
		if (!(owners[k].modes & BIT(mode_of(cfg, i))) &&
		    config_is_set(cfg, "net.%u.%s", i, owners[k].key))
			return error_set(err, -EINVAL, "net.%u.%s means nothing in mode %s", i,
					 owners[k].key, config_text(cfg, "net.%u.mode", i));
	}
	return 0;
}

static int check_card(const struct config *cfg, unsigned i, struct error *err)
{
	struct user_config user = {0};
	struct tap_config tap = {0};
	struct mcast_config mcast = {0};
	uint8_t mac[6];
	int rc = check_keys(cfg, i, err);

	if (!rc)
		rc = check_mac(cfg, i, mac, err);
	if (rc)
		return rc;
	switch (mode_of(cfg, i)) {
	case MODE_USER:
		return read_user(cfg, i, &user, err);
	case MODE_BRIDGE:
		if (!config_is_set(cfg, "net.%u.bridge", i))
			return error_set(err, -EINVAL, "net.%u: must specify bridge name", i);
		return read_tap(cfg, i, &tap, err);
	case MODE_TAP:
		return read_tap(cfg, i, &tap, err);
	case MODE_SOCKET:
		if (!config_is_set(cfg, "net.%u.path", i))
			return error_set(err, -EINVAL,
					 "net.%u: mode socket needs path=, the socket of a switch",
					 i);
		return 0;
	case MODE_MCAST:
		return read_mcast(cfg, i, &mcast, err);
	case MODE_NONE:
		break;
	}
	return 0;
}

static int check(const struct config *cfg, struct error *err)
{
	unsigned nr_user = 0;

	for (unsigned i = 0; config_next(cfg, "net", &i); i++) {
		int rc = check_card(cfg, i, err);

		if (rc)
			return rc;
		nr_user += mode_of(cfg, i) == MODE_USER;
	}
	/* libslirp keeps state that is the process's. */
	if (nr_user > 1)
		return error_set(err, -EINVAL,
				 "Only one usermode network device allowed at a time");
	return check_publish(cfg, err);
}

/* ---- making ---- */

/* What goes to the I/O thread, on which back end and device are made. */
struct making {
	struct vm *vm;
	const struct config *cfg;
	unsigned i;
	struct loop *loop;
	struct error *err;
	struct vhost_net *vhost;
	struct virtio_device *device;
};

static struct net_dev *new_user(struct making *m)
{
	struct publish_rule rules[PUBLISH_MAX];
	struct user_config user = {.publish = rules};
	unsigned first = 0;

	if (read_user(m->cfg, m->i, &user, m->err))
		return NULL;
	if (config_is_set(m->cfg, "publish") && find_user(m->cfg, &first) && first == m->i) {
		int nr = publish_parse_list(config_text(m->cfg, "publish"), rules, m->err);

		if (nr < 0)
			return NULL;
		user.nr_publish = (unsigned)nr;
	}
	return user_new(m->loop, &user, m->err);
}

static struct net_dev *new_tap(struct making *m)
{
	struct tap_config tap = {0};

	return read_tap(m->cfg, m->i, &tap, m->err) ? NULL : tap_new(m->loop, &tap, m->err);
}

static struct net_dev *new_mcast(struct making *m)
{
	struct mcast_config mcast = {0};

	return read_mcast(m->cfg, m->i, &mcast, m->err) ? NULL : mcast_new(m->loop, &mcast, m->err);
}

/* First of all: when there is none, nothing has been changed on the host. */
static int open_vhost(struct making *m)
{
	if (!config_bool(m->cfg, "net.%u.vhost", m->i))
		return 0;
	int rc = vm_check_vhost(m->vm, m->err);
	if (!rc) {
		unsigned nr = (unsigned)config_uint(m->cfg, "net.%u.queues", m->i);

		m->vhost = vhost_net_open(m->loop, nr, m->err);
		rc = m->vhost ? 0 : -EIO;
	}
	if (rc)
		error_prefix(m->err, "vhost");
	return rc;
}

static struct net_dev *new_back(struct making *m)
{
	switch (mode_of(m->cfg, m->i)) {
	case MODE_USER:
		return new_user(m);
	case MODE_TAP:
	case MODE_BRIDGE:
		return new_tap(m);
	case MODE_SOCKET:
		return socket_connect(m->loop, config_text(m->cfg, "net.%u.path", m->i), m->err);
	case MODE_MCAST:
		return new_mcast(m);
	case MODE_NONE:
		break;
	}
	return NULL;
}

static void make_on_loop(void *ctx)
{
	struct making *m = ctx;
	unsigned i = m->i;
	struct net_dev *back = open_vhost(m) ? NULL : new_back(m);

	if (back && m->vhost && vhost_net_use(m->vhost, back, m->err)) {
		net_free(back);
		back = NULL;
	}
	if (!back) {
		vhost_net_free(m->vhost);
		return;
	}
	struct virtio_net_params p = {.mem = m->vm->mem,
				      .loop = m->loop,
				      .back = back,
				      .vhost = m->vhost,
				      .nr_pairs = (unsigned)config_uint(m->cfg, "net.%u.queues", i),
				      .offers_offloads = config_bool(m->cfg, "net.%u.offload", i)};
	if (config_is_set(m->cfg, "net.%u.mtu", i))
		p.mtu = (unsigned)config_uint(m->cfg, "net.%u.mtu", i);
	else if (back->mtu && back->mtu != NET_MTU_DEFAULT)
		p.mtu = back->mtu;
	check_mac(m->cfg, i, p.mac, NULL);
	m->device = virtio_net_new(&p);
}

static int create_card(struct vm *vm, const struct config *cfg, unsigned i, unsigned nr,
		       struct error *err)
{
	struct making m = {.vm = vm, .cfg = cfg, .i = i, .err = err};
	char name[16];

	snprintf(name, sizeof(name), "net-%u", i);
	struct io_thread *io = vm_new_io(vm, name, err);
	if (!io)
		return -EAGAIN;
	m.loop = io_thread_loop(io);
	loop_call(m.loop, make_on_loop, &m);
	if (!m.device) {
		error_prefix(err, "net.%u", i);
		return -EINVAL;
	}
	return vm_add_virtio(vm, m.device, nr, err);
}

static int create(struct vm *vm, const struct config *cfg, struct error *err)
{
	unsigned nr = 0;
	int rc = 0;

	for (unsigned i = 0; !rc && config_next(cfg, "net", &i); i++)
		if (mode_of(cfg, i) != MODE_NONE)
			rc = create_card(vm, cfg, i, nr++, err);
	return rc;
}

const struct part_type part_net = {
	.keys = keys, .nr_keys = ARRAY_SIZE(keys), .check = check, .create = create};
