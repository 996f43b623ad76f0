/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/switch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"

/* Learnt addresses: each has two places it can be at, and the older one there goes. */
#define TABLE_SIZE 4096

struct port {
	struct net_switch *owner;
	struct net_dev *dev;
	struct list node;
	bool is_to_stay, is_gone;
};

struct learnt {
	uint8_t mac[6];
	bool is_used;
	struct port *port;
	uint64_t seen_ns;
};

struct net_switch {
	struct loop *loop;
	bool is_hub;
	struct list ports;
	unsigned nr_ports;
	struct loop_work clean_up;
	struct learnt table[TABLE_SIZE];
};

/* ---- learning ---- */

static unsigned place_of(const uint8_t mac[6])
{
	uint64_t h = 0;

	memcpy(&h, mac, 6);
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(h >> 52); /* TABLE_SIZE is 2^12 */
}

static struct learnt *find(struct net_switch *s, const uint8_t mac[6])
{
	for (unsigned i = 0; i < 2; i++) {
		struct learnt *l = &s->table[place_of(mac) ^ i];

		if (l->is_used && !memcmp(l->mac, mac, 6))
			return l;
	}
	return NULL;
}

static void learn(struct net_switch *s, struct port *port, const uint8_t mac[6])
{
	struct learnt *l = find(s, mac);

	if (mac[0] & 1)
		return;
	if (!l) {
		struct learnt *a = &s->table[place_of(mac)], *b = &s->table[place_of(mac) ^ 1];

		l = !a->is_used || (b->is_used && a->seen_ns < b->seen_ns) ? a : b;
		memcpy(l->mac, mac, 6);
		l->is_used = true;
	}
	l->port = port;
	l->seen_ns = host_now_ns();
}

/* The port an address is behind, or NULL: not known. */
static struct port *port_of(struct net_switch *s, const uint8_t mac[6])
{
	struct learnt *l = mac[0] & 1 ? NULL : find(s, mac);

	if (!l || host_now_ns() - l->seen_ns > SWITCH_AGE_NS)
		return NULL;
	return l->port;
}

static void forget(struct net_switch *s, const struct port *port)
{
	for (unsigned i = 0; i < TABLE_SIZE; i++)
		if (s->table[i].port == port)
			s->table[i] = (struct learnt){0};
}

/* ---- frames ---- */

static void give(struct port *to, const struct net_frame *f, unsigned nr)
{
	unsigned taken = to->is_gone ? nr : net_send(to->dev, 0, f, nr);

	to->dev->stats.dropped += nr - taken;
}

/* Where the frame goes; NULL: everywhere. */
static struct port *destination(struct port *from, const struct net_frame *f)
{
	struct net_switch *s = from->owner;
	uint8_t head[12];

	if (s->is_hub || f->iov[0].iov_len < sizeof(head))
		return NULL;
	memcpy(head, f->iov[0].iov_base, sizeof(head));
	learn(s, from, head + 6);
	return port_of(s, head);
}

/* Frames for one port in a row are sent in one go. */
static unsigned receive(void *ctx, const struct net_frame *frames, unsigned nr)
{
	struct port *from = ctx;
	unsigned i = 0;

	while (i < nr) {
		struct port *to = destination(from, &frames[i]);
		unsigned run = 1;

		while (to && i + run < nr && destination(from, &frames[i + run]) == to)
			run++;
		if (to && to != from)
			give(to, &frames[i], run);
		for (struct list *it = from->owner->ports.next; !to && it != &from->owner->ports;
		     it = it->next)
			if (list_entry(it, struct port, node) != from)
				give(list_entry(it, struct port, node), &frames[i], 1);
		i += run;
	}
	return nr;
}

static void receive_done(void *ctx)
{
}

static void writable(void *ctx)
{
}

/* Not here, for the port is in the middle of something. */
static void free_gone(struct loop_work *w)
{
	struct net_switch *s = container_of(w, struct net_switch, clean_up);

	list_for_each_safe (it, &s->ports) {
		struct port *p = list_entry(it, struct port, node);

		if (!p->is_gone)
			continue;
		forget(s, p);
		list_remove(it);
		s->nr_ports--;
		net_free(p->dev);
		free(p);
	}
}

static void link_changed(void *ctx, bool is_up)
{
	struct port *p = ctx;

	if (is_up || p->is_to_stay)
		return;
	p->is_gone = true;
	loop_post(p->owner->loop, &p->owner->clean_up, free_gone);
}

static const struct net_front front = {receive, receive_done, writable, link_changed};

/* ---- life ---- */

struct net_switch *switch_new(struct loop *loop, bool is_hub)
{
	struct net_switch *s = mem_alloc_zero(sizeof(*s));

	s->loop = loop;
	s->is_hub = is_hub;
	list_init(&s->ports);
	list_init(&s->clean_up.node);
	return s;
}

int switch_add(struct net_switch *s, struct net_dev *dev, bool is_to_stay)
{
	if (s->nr_ports == SWITCH_PORTS_MAX) {
		net_free(dev);
		return -ENOSPC;
	}
	struct port *p = mem_alloc_zero(sizeof(*p));
	p->owner = s;
	p->dev = dev;
	p->is_to_stay = is_to_stay;
	list_append(&s->ports, &p->node);
	s->nr_ports++;
	/* Every port takes frames as they are, or finishes them itself. */
	net_set_offloads(dev, NET_CAN_ALL);
	net_attach(dev, &front, p);
	return 0;
}

unsigned switch_nr_ports(const struct net_switch *s)
{
	return s->nr_ports;
}

void switch_free(struct net_switch *s)
{
	if (!s)
		return;
	loop_cancel(s->loop, &s->clean_up);
	list_for_each_safe (it, &s->ports) {
		struct port *p = list_entry(it, struct port, node);

		net_free(p->dev);
		free(p);
	}
	free(s);
}
