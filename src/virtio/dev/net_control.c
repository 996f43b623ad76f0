/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control queue of virtio-net (5.1.6.5): which frames the guest wants, its MAC address, how many
 * queues it uses, which offloads it takes. VLAN filtering is not offered.
 */
#include <linux/virtio_config.h>
#include <string.h>

#include "base/base.h"
#include "virtio/dev/net_impl.h"

#define MAC_BYTES 6

/* Entries a table may have: far more than a driver has, few enough to be read at once. */
#define MACS_SENT_MAX 8192

/* ---- the filter ---- */

static bool is_in(const struct net_mac_list *list, const uint8_t mac[6])
{
	for (unsigned i = 0; i < list->nr; i++)
		if (!memcmp(list->macs[i], mac, MAC_BYTES))
			return true;
	return list->has_overflown;
}

bool net_wants(const struct virtio_net *n, const uint8_t mac[6])
{
	static const uint8_t broadcast[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct net_filter *f = &n->filter;

	if (f->promisc)
		return true;
	if (!memcmp(mac, broadcast, MAC_BYTES))
		return !f->nobcast;
	if (mac[0] & 1)
		return !f->nomulti && (f->allmulti || is_in(&f->multicast, mac));
	return !f->nouni &&
	       (f->alluni || !memcmp(mac, n->mac, MAC_BYTES) || is_in(&f->unicast, mac));
}

/* ---- commands; each returns whether it was right ---- */

static bool set_rx_mode(struct virtio_net *n, uint8_t cmd, struct virtio_chain *c)
{
	struct net_filter *f = &n->filter;
	bool *const modes[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &f->promisc,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &f->allmulti,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &f->alluni,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &f->nomulti,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &f->nouni,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &f->nobcast,
	};
	uint8_t on;

	if (cmd >= ARRAY_SIZE(modes) || virtio_read(c, &on, 1) != 1)
		return false;
	*modes[cmd] = on;
	return true;
}

/* Reads one table; one that is longer than ours lets every address through. */
static bool read_macs(struct virtio_chain *c, struct net_mac_list *list)
{
	uint32_t nr;
	uint8_t mac[MAC_BYTES];

	*list = (struct net_mac_list){0};
	if (virtio_read(c, &nr, sizeof(nr)) != sizeof(nr) ||
	    nr > min(virtio_left_to_read(c) / MAC_BYTES, (size_t)MACS_SENT_MAX))
		return false;
	for (uint32_t i = 0; i < nr; i++) {
		virtio_read(c, mac, sizeof(mac));
		if (list->nr < NET_MACS_MAX)
			memcpy(list->macs[list->nr++], mac, sizeof(mac));
		else
			list->has_overflown = true;
	}
	return true;
}

static bool set_mac(struct virtio_net *n, uint8_t cmd, struct virtio_chain *c)
{
	struct net_mac_list unicast, multicast;

	if (cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET) {
		uint8_t mac[MAC_BYTES];

		if (virtio_left_to_read(c) != sizeof(mac) ||
		    virtio_read(c, mac, sizeof(mac)) != sizeof(mac) || mac[0] & 1)
			return false;
		memcpy(n->mac, mac, sizeof(mac));
		return true;
	}
	if (cmd != VIRTIO_NET_CTRL_MAC_TABLE_SET || !read_macs(c, &unicast) ||
	    !read_macs(c, &multicast) || virtio_left_to_read(c))
		return false;
	n->filter.unicast = unicast;
	n->filter.multicast = multicast;
	return true;
}

static bool announce(struct virtio_net *n, uint8_t cmd)
{
	if (cmd != VIRTIO_NET_CTRL_ANNOUNCE_ACK || !n->announces)
		return false;
	n->announces = false;
	return true;
}

static bool set_pairs(struct virtio_net *n, uint8_t cmd, struct virtio_chain *c)
{
	uint16_t pairs;

	if (cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
	    !virtio_has_feature(&n->virtio, VIRTIO_NET_F_MQ) ||
	    virtio_read(c, &pairs, sizeof(pairs)) != sizeof(pairs) || !pairs || pairs > n->nr_pairs)
		return false;
	net_set_pairs(n, pairs);
	return true;
}

static bool set_offloads(struct virtio_net *n, uint8_t cmd, struct virtio_chain *c)
{
	uint64_t wanted;

	if (cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
	    !virtio_has_feature(&n->virtio, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    virtio_read(c, &wanted, sizeof(wanted)) != sizeof(wanted) ||
	    wanted & ~n->virtio.features)
		return false;
	n->guest_offloads = wanted;
	net_apply_offloads(n);
	return true;
}

static bool run(struct virtio_net *n, struct virtio_chain *c)
{
	struct virtio_net_ctrl_hdr h;

	if (virtio_read(c, &h, sizeof(h)) != sizeof(h))
		return false;
	switch (h.class) {
	case VIRTIO_NET_CTRL_RX:
		return set_rx_mode(n, h.cmd, c);
	case VIRTIO_NET_CTRL_MAC:
		return set_mac(n, h.cmd, c);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return announce(n, h.cmd);
	case VIRTIO_NET_CTRL_MQ:
		return set_pairs(n, h.cmd, c);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return set_offloads(n, h.cmd, c);
	default:
		return false;
	}
}

void net_process_control(struct virtio_net *n)
{
	struct virtio_chain *c;

	while ((c = virtio_pop(&n->virtio, net_control_queue(n)))) {
		uint8_t ack = run(n, c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;

		virtio_push(c, (uint32_t)virtio_write(c, &ack, 1));
	}
}

/* ---- what it has set ---- */

void net_apply_offloads(struct virtio_net *n)
{
	uint64_t on = n->guest_offloads;
	unsigned can = on >> VIRTIO_NET_F_GUEST_CSUM & 1 ? NET_CAN_CSUM : 0;

	if (can && on >> VIRTIO_NET_F_GUEST_TSO4 & 1)
		can |= NET_CAN_TSO4;
	if (can && on >> VIRTIO_NET_F_GUEST_TSO6 & 1)
		can |= NET_CAN_TSO6;
	net_set_offloads(n->back, can);
}

void net_reset_control(struct virtio_net *n)
{
	memcpy(n->mac, n->factory_mac, sizeof(n->mac));
	n->announces = false;
	n->active_pairs = 1;
	/* Until the driver says what it wants it gets everything. */
	n->filter = (struct net_filter){.promisc = true};
	net_set_queues(n->back, 1);
}

static void mac_list_state(struct net_mac_list *list, struct state *s)
{
	state_u16(s, &list->nr);
	state_bool(s, &list->has_overflown);
	if (list->nr > NET_MACS_MAX)
		state_fail(s, "virtio_net: a list of %u addresses", list->nr);
	else
		state_bytes(s, list->macs, list->nr * sizeof(list->macs[0]));
}

void net_control_state(struct virtio_net *n, struct state *s)
{
	struct net_filter *f = &n->filter;
	uint16_t pairs = (uint16_t)n->active_pairs;

	state_bytes(s, n->mac, sizeof(n->mac));
	state_u16(s, &pairs);
	state_bool(s, &f->promisc);
	state_bool(s, &f->allmulti);
	state_bool(s, &f->alluni);
	state_bool(s, &f->nomulti);
	state_bool(s, &f->nouni);
	state_bool(s, &f->nobcast);
	mac_list_state(&f->unicast, s);
	mac_list_state(&f->multicast, s);
	if (!pairs || pairs > n->nr_pairs) {
		state_fail(s, "virtio_net: %u queue pairs of %u", pairs, n->nr_pairs);
		return;
	}
	n->active_pairs = pairs;
	if (state_is_loading(s))
		net_set_queues(n->back, min(pairs, n->back->nr_queues));
}
