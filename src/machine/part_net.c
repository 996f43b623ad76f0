/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network cards (virtio-net), each with a back end and an I/O thread of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/net/mac.h"
#include "backend/net/publish.h"
#include "backend/net/user.h"
#include "base/base.h"
#include "host/io_thread.h"
#include "machine/parts.h"
#include "machine/vm_impl.h"
#include "virtio/dev/net.h"

enum mode { MODE_USER, MODE_NONE };

static const struct config_key keys[] = {
	{.name = "net.N.mode",
	 .type = CONFIG_ENUM,
	 .choices = "user none",
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
	 .help = "IPv4 address of the host's end; 10.0.2.2 in mode user when not given"},
	{.name = "net.N.guest_ip",
	 .type = CONFIG_STRING,
	 .help = "mode user: IPv4 address that DHCP gives; 10.0.2.15 when not given"},
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
		{"host_ip", BIT(MODE_USER)},	   {"guest_ip", BIT(MODE_USER)},
		{"restrict", BIT(MODE_USER)},	   {"ipv6", BIT(MODE_USER)},
		{"host_loopback", BIT(MODE_USER)},
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
	uint8_t mac[6];
	int rc = check_keys(cfg, i, err);

	if (!rc)
		rc = check_mac(cfg, i, mac, err);
	if (!rc && mode_of(cfg, i) == MODE_USER)
		rc = read_user(cfg, i, &user, err);
	return rc;
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

static void make_on_loop(void *ctx)
{
	struct making *m = ctx;
	unsigned i = m->i;
	struct net_dev *back = NULL;

	switch (mode_of(m->cfg, i)) {
	case MODE_USER:
		back = new_user(m);
		break;
	case MODE_NONE:
		break;
	}
	if (!back)
		return;
	struct virtio_net_params p = {.mem = m->vm->mem,
				      .loop = m->loop,
				      .back = back,
				      .nr_pairs = (unsigned)config_uint(m->cfg, "net.%u.queues", i),
				      .offers_offloads = config_bool(m->cfg, "net.%u.offload", i)};
	if (config_is_set(m->cfg, "net.%u.mtu", i))
		p.mtu = (unsigned)config_uint(m->cfg, "net.%u.mtu", i);
	else if (back->mtu != NET_MTU_DEFAULT)
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
