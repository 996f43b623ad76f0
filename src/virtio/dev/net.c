/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames, configuration space and life of virtio-net. Queue 2i receives, queue 2i+1 sends.
 */
#include "virtio/dev/net.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "backend/net/offload.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "virtio/dev/net_impl.h"

#define QUEUE_SIZE	 256
#define BATCHES_PER_TURN 4   /* then others on the loop get theirs */
#define HEADERS_SEEN	 128 /* bytes of a frame that steering looks at */

_Static_assert(sizeof(struct net_offload) == 10 && offsetof(struct net_offload, csum_offset) == 8,
	       "net_offload is the head of virtio_net_hdr");

/* ---- steering ---- */

/* A number for the flow of a frame, the same for both directions. */
static unsigned flow_of(const struct net_frame *f)
{
	uint8_t head[HEADERS_SEEN];
	struct frame_layout l;
	size_t len = 0;

	for (unsigned i = 0; i < f->nr_iov && len < sizeof(head); i++) {
		size_t n = min(f->iov[i].iov_len, sizeof(head) - len);

		guest_copy(head + len, f->iov[i].iov_base, n);
		len += n;
	}
	/* The IP length covers more than the head: say that the packet ends here. */
	if (len >= NET_ETH_HEADER + 20 && head[12] == 0x08 && head[13] == 0) {
		head[16] = (uint8_t)((len - NET_ETH_HEADER) >> 8);
		head[17] = (uint8_t)(len - NET_ETH_HEADER);
	} else if (len >= NET_ETH_HEADER + 40 && head[12] == 0x86 && head[13] == 0xdd) {
		head[18] = (uint8_t)((len - NET_ETH_HEADER - 40) >> 8);
		head[19] = (uint8_t)(len - NET_ETH_HEADER - 40);
	}
	if (frame_parse(head, len, &l))
		return 0;
	uint32_t hash = l.proto;
	const uint8_t *addresses = head + l.l3 + (l.is_ipv6 ? 8 : 12);
	for (unsigned i = 0; i < (l.is_ipv6 ? 32u : 8u); i += 2)
		hash += (uint32_t)addresses[i] << 8 | addresses[i + 1];
	bool has_ports = l.proto == IP_PROTO_TCP || l.proto == IP_PROTO_UDP;
	for (unsigned i = 0; has_ports && !l.is_fragment && i < 4 && l.l4 + i + 1u < len; i += 2)
		hash += (uint32_t)head[l.l4 + i] << 8 | head[l.l4 + i + 1];
	hash *= 0x9e3779b1;
	return hash >> 24;
}

/* ---- guest to back end ---- */

/* What the driver may ask for, going by what it accepted. */
static bool is_header_good(const struct virtio_net *n, const struct net_offload *o)
{
	const struct virtio_device *d = &n->virtio;
	unsigned kind = o->gso & ~(unsigned)NET_GSO_ECN;

	if (o->flags & ~NET_NEEDS_CSUM || (o->flags && !virtio_has_feature(d, VIRTIO_NET_F_CSUM)))
		return false;
	if (kind == NET_GSO_NONE)
		return !o->gso;
	if (o->gso & NET_GSO_ECN && !virtio_has_feature(d, VIRTIO_NET_F_HOST_ECN))
		return false;
	return o->gso_size >= NET_GSO_SIZE_MIN && o->flags & NET_NEEDS_CSUM &&
	       ((kind == NET_GSO_TCP4 && virtio_has_feature(d, VIRTIO_NET_F_HOST_TSO4)) ||
		(kind == NET_GSO_TCP6 && virtio_has_feature(d, VIRTIO_NET_F_HOST_TSO6)));
}

/* Turns a chain into a frame whose pieces go to iov, at most NET_IOVECS_FRAME of them. */
static bool make_frame(struct virtio_net *n, struct virtio_chain *c, struct net_frame *f,
		       struct iovec *iov)
{
	uint8_t header[NET_HEADER_BYTES];

	if (virtio_read(c, header, sizeof(header)) < sizeof(header))
		return false;
	size_t left = virtio_left_to_read(c), len = left;
	memcpy(&f->offload, header, sizeof(f->offload));
	f->offload.hdr_len = 0; /* a hint nobody needs and a driver may get wrong */
	if (left < NET_FRAME_MIN || left > NET_FRAME_MAX || !is_header_good(n, &f->offload))
		return false;
	f->iov = iov;
	f->nr_iov = virtio_borrow_read(c, iov, NET_IOVECS_FRAME, &len);
	f->len = (uint32_t)len;
	return len == left;
}

/* Fills the batch from the ring. Returns false when it has nothing. */
static bool gather(struct virtio_net *n, unsigned pair)
{
	struct net_tx *tx = &n->tx[pair];
	unsigned nr_iov = 0;
	struct virtio_chain *c;

	tx->first = tx->nr = 0;
	while (tx->nr < NET_FRAMES_BATCH && nr_iov + NET_IOVECS_FRAME <= NET_IOVECS &&
	       (c = virtio_pop(&n->virtio, 2 * pair + 1))) {
		struct net_frame *f = &tx->frames[tx->nr];

		if (!make_frame(n, c, f, tx->iovecs + nr_iov)) {
			log_once(LOG_WARN, "virtio_net: the guest sends frames that make no sense; "
					   "they are dropped");
			n->bad_frames++;
			virtio_push(c, 0);
			continue;
		}
		nr_iov += f->nr_iov;
		if (n->active_pairs > 1)
			n->flows[flow_of(f)] = (uint8_t)pair;
		tx->chains[tx->nr++] = c;
	}
	return tx->nr;
}

/* Sends what is held. Returns false when the back end had no room for all of it. */
static bool send_held(struct virtio_net *n, unsigned pair)
{
	struct net_tx *tx = &n->tx[pair];
	unsigned taken = 0;

	if (tx->first < tx->nr)
		taken = net_send(n->back, pair % n->back->nr_queues, tx->frames + tx->first,
				 tx->nr - tx->first);
	for (; taken; taken--)
		virtio_push(tx->chains[tx->first++], 0);
	return tx->first == tx->nr;
}

static void transmit_more(struct loop_work *w);

static void transmit(struct virtio_net *n, unsigned pair)
{
	if (pair >= n->active_pairs)
		return;
	for (unsigned i = 0; i < BATCHES_PER_TURN; i++)
		if (!send_held(n, pair) || !gather(n, pair))
			return;
	if (send_held(n, pair)) {
		n->more_queues |= BIT64(pair);
		loop_post(n->virtio.loop, &n->more_work, transmit_more);
	}
}

static void transmit_all(struct virtio_net *n, uint64_t pairs)
{
	virtio_begin_batch(&n->virtio);
	for (unsigned i = 0; i < n->active_pairs; i++)
		if (pairs >> i & 1 && virtio_queue_is_live(&n->virtio, 2 * i + 1))
			transmit(n, i);
	virtio_end_batch(&n->virtio);
}

static void transmit_more(struct loop_work *w)
{
	struct virtio_net *n = container_of(w, struct virtio_net, more_work);
	uint64_t pairs = n->more_queues;

	n->more_queues = 0;
	transmit_all(n, pairs);
}

static void on_writable(void *ctx)
{
	transmit_all(ctx, UINT64_MAX);
}

/* ---- back end to guest ---- */

/* Holds buffers for bytes. Returns false, keeping what there is, when the guest has too few. */
static bool have_room(struct virtio_net *n, unsigned pair, uint32_t bytes)
{
	struct net_rx *rx = &n->rx[pair];
	bool can_merge = virtio_has_feature(&n->virtio, VIRTIO_NET_F_MRG_RXBUF);

	while (rx->room < bytes && rx->nr < (can_merge ? NET_CHAINS_FRAME : 1u)) {
		struct virtio_chain *c = virtio_pop(&n->virtio, 2 * pair);

		if (!c)
			return false;
		/* Without room even for a header it could only ever be in the way. */
		if (c->writable < NET_HEADER_BYTES) {
			n->no_room++;
			virtio_push(c, 0);
			continue;
		}
		rx->chains[rx->nr++] = c;
		rx->room += c->writable;
	}
	return true;
}

/* Gives the first nr held buffers back; len bytes were written over them in order. */
static void push_held(struct net_rx *rx, unsigned nr, uint32_t len)
{
	for (unsigned i = 0; i < nr; i++) {
		uint32_t here = min(len, rx->chains[i]->writable);

		rx->room -= rx->chains[i]->writable;
		virtio_push(rx->chains[i], here);
		len -= here;
	}
	memmove(rx->chains, rx->chains + nr, (rx->nr - nr) * sizeof(rx->chains[0]));
	rx->nr -= nr;
}

/* Copies len bytes to where the running offset into the held buffers points. */
static void write_held(struct net_rx *rx, unsigned *chain, uint32_t *offset, const uint8_t *data,
		       size_t len)
{
	while (len) {
		if (*offset == rx->chains[*chain]->writable) {
			++*chain;
			*offset = 0;
		}
		size_t n = virtio_write_at(rx->chains[*chain], *offset, data, len);

		BUG_ON(!n);
		data += n;
		len -= n;
		*offset += (uint32_t)n;
	}
}

static void receive_into(struct net_rx *rx, const struct net_frame *f)
{
	uint8_t header[NET_HEADER_BYTES] = {0};
	unsigned chain = 0;
	uint32_t offset = 0;

	memcpy(header, &f->offload, sizeof(f->offload));
	write_held(rx, &chain, &offset, header, sizeof(header));
	for (unsigned i = 0; i < f->nr_iov; i++)
		write_held(rx, &chain, &offset, f->iov[i].iov_base, f->iov[i].iov_len);
	uint16_t nr_buffers = (uint16_t)(chain + 1);
	virtio_write_at(rx->chains[0], 10, &nr_buffers, sizeof(nr_buffers));
	push_held(rx, nr_buffers, NET_HEADER_BYTES + f->len);
}

enum verdict { TAKEN, DROPPED, NO_ROOM };

static enum verdict receive_one(struct virtio_net *n, const struct net_frame *f)
{
	unsigned pair = n->active_pairs > 1 ? n->flows[flow_of(f)] : 0;
	uint8_t mac[6];

	if (pair >= n->active_pairs)
		pair = 0;
	if (!virtio_queue_is_live(&n->virtio, 2 * pair) || f->iov[0].iov_len < sizeof(mac))
		return DROPPED;
	guest_copy(mac, f->iov[0].iov_base, sizeof(mac));
	if (!net_wants(n, mac))
		return DROPPED;
	struct net_rx *rx = &n->rx[pair];
	uint32_t bytes = NET_HEADER_BYTES + f->len;
	if (!have_room(n, pair, bytes))
		return NO_ROOM;
	if (rx->room < bytes) { /* the one buffer there may be, or 128 of them, are too small */
		n->no_room++;
		return DROPPED;
	}
	receive_into(rx, f);
	return TAKEN;
}

static bool is_running(const struct virtio_device *d)
{
	return atomic_load(&d->status) & VIRTIO_CONFIG_S_DRIVER_OK &&
	       !(atomic_load(&d->status) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static unsigned on_receive(void *ctx, const struct net_frame *frames, unsigned nr)
{
	struct virtio_net *n = ctx;
	unsigned taken = 0;

	/* As with a cable to a card nobody has set up. In a stop frames wait instead. */
	if (!is_running(&n->virtio))
		return nr;
	if (!n->is_delivering && !virtio_is_stopped(&n->virtio)) {
		virtio_begin_batch(&n->virtio);
		n->is_delivering = true;
	}
	while (taken < nr && !virtio_is_stopped(&n->virtio) &&
	       receive_one(n, &frames[taken]) != NO_ROOM)
		taken++;
	n->is_back_waiting |= taken < nr;
	return taken;
}

static void on_receive_done(void *ctx)
{
	struct virtio_net *n = ctx;

	if (!n->is_delivering)
		return;
	n->is_delivering = false;
	virtio_end_batch(&n->virtio);
}

/* There are new buffers, or there is nobody to want any. */
static void receive_more(struct virtio_net *n)
{
	if (!n->is_back_waiting)
		return;
	n->is_back_waiting = false;
	net_receive_more(n->back);
}

static void on_link(void *ctx, bool is_up)
{
	virtio_config_changed(&((struct virtio_net *)ctx)->virtio);
}

static const struct net_front front = {on_receive, on_receive_done, on_writable, on_link};

/* ---- configuration space ---- */

static void read_config(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	struct virtio_net *n = net_of(d);
	struct virtio_net_config c = {.max_virtqueue_pairs = (uint16_t)n->nr_pairs, .mtu = n->mtu};

	memcpy(c.mac, n->mac, sizeof(c.mac));
	c.status = (uint16_t)((n->back->is_up ? VIRTIO_NET_S_LINK_UP : 0) |
			      (n->announces ? VIRTIO_NET_S_ANNOUNCE : 0));
	if (offset < d->config_size)
		memcpy(data, (uint8_t *)&c + offset, min(len, d->config_size - offset));
}

/* ---- life ---- */

/* The queues of pairs that the driver does not use are idle: their ends of the interface are, too. */
static void process_in_kernel(struct virtio_net *n, unsigned queue)
{
	if (queue / 2 < n->active_pairs)
		vhost_net_process(n->vhost, queue);
}

/* The kernel lets go of a queue before the interface does, and comes to it after. */
void net_set_pairs(struct virtio_net *n, unsigned pairs)
{
	for (unsigned i = 2 * pairs; n->vhost && i < 2 * n->active_pairs; i++)
		vhost_net_drain(n->vhost, i);
	n->active_pairs = pairs;
	net_set_queues(n->back, min(pairs, n->back->nr_queues));
	for (unsigned i = 0; n->vhost && i < 2 * pairs; i++)
		if (virtio_queue_is_live(&n->virtio, i))
			vhost_net_process(n->vhost, i);
}

static void process(struct virtio_device *d, unsigned queue)
{
	struct virtio_net *n = net_of(d);

	if (queue == net_control_queue(n))
		net_process_control(n);
	else if (n->vhost)
		process_in_kernel(n, queue);
	else if (queue & 1)
		transmit(n, queue / 2);
	else
		receive_more(n);
}

static void start(struct virtio_device *d)
{
	struct virtio_net *n = net_of(d);

	n->guest_offloads =
		d->features & (BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4) |
			       BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_ECN));
	net_apply_offloads(n);
}

/* What is on its way is lost, as on any network. */
static void drain(struct virtio_device *d, unsigned queue)
{
	struct virtio_net *n = net_of(d);

	if (queue >= 2 * n->nr_pairs)
		return;
	if (n->vhost) {
		vhost_net_drain(n->vhost, queue);
		return;
	}
	struct net_tx *tx = &n->tx[queue / 2];
	struct net_rx *rx = &n->rx[queue / 2];
	if (!(queue & 1)) {
		push_held(rx, rx->nr, 0);
		return;
	}
	while (tx->first < tx->nr)
		virtio_push(tx->chains[tx->first++], 0);
}

static void reset(struct virtio_device *d)
{
	struct virtio_net *n = net_of(d);

	n->more_queues = 0;
	n->guest_offloads = 0;
	memset(n->flows, 0, sizeof(n->flows));
	net_reset_control(n);
	net_apply_offloads(n);
}

static void net_state(struct virtio_device *d, struct state *s)
{
	struct virtio_net *n = net_of(d);

	state_u64(s, &n->guest_offloads);
	state_bytes(s, n->flows, sizeof(n->flows));
	net_control_state(n, s);
	if (!state_is_loading(s) || state_failed(s))
		return;
	/* The network has to learn where the guest is now. */
	n->announces = virtio_has_feature(d, VIRTIO_NET_F_GUEST_ANNOUNCE);
	net_apply_offloads(n);
}

static void net_dev_free(struct virtio_device *d)
{
	struct virtio_net *n = net_of(d);

	loop_cancel(d->loop, &n->more_work);
	if (n->bad_frames || n->no_room)
		log_debug("virtio_net: %llu bad frames sent, %llu frames that fitted no buffer",
			  (unsigned long long)n->bad_frames, (unsigned long long)n->no_room);
	vhost_net_free(n->vhost);
	net_free(n->back);
	virtio_fini(d);
	free(n->tx);
	free(n->rx);
	free(n);
}

static const struct virtio_ops net_ops = {
	.type = "virtio_net",
	.device_id = VIRTIO_ID_NET,
	.pci_class = 0x020000, /* Ethernet controller */
	.read_config = read_config,
	.start = start,
	.process = process,
	.drain = drain,
	.reset = reset,
	.state = net_state,
	.free = net_dev_free,
};

static uint64_t features_of(const struct virtio_net_params *p)
{
	uint64_t f = BIT64(VIRTIO_NET_F_MAC) | BIT64(VIRTIO_NET_F_STATUS) |
		     BIT64(VIRTIO_NET_F_MRG_RXBUF) | BIT64(VIRTIO_NET_F_CTRL_VQ) |
		     BIT64(VIRTIO_NET_F_CTRL_RX) | BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) |
		     BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT64(VIRTIO_NET_F_GUEST_ANNOUNCE);
	unsigned can = p->offers_offloads ? p->back->offloads : 0;

	f |= p->mtu ? BIT64(VIRTIO_NET_F_MTU) : 0;
	f |= p->nr_pairs > 1 ? BIT64(VIRTIO_NET_F_MQ) : 0;
	f |= can & NET_CAN_CSUM ? BIT64(VIRTIO_NET_F_CSUM) : 0;
	f |= can & NET_CAN_TSO4 ? BIT64(VIRTIO_NET_F_HOST_TSO4) : 0;
	f |= can & NET_CAN_TSO6 ? BIT64(VIRTIO_NET_F_HOST_TSO6) : 0;
	f |= can & (NET_CAN_TSO4 | NET_CAN_TSO6) ? BIT64(VIRTIO_NET_F_HOST_ECN) : 0;
	if (p->offers_offloads)
		f |= BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4) |
		     BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_ECN) |
		     BIT64(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	return f;
}

struct virtio_device *virtio_net_new(const struct virtio_net_params *p)
{
	struct virtio_net *n = mem_alloc_zero(sizeof(*n));

	BUG_ON(!p->nr_pairs || p->nr_pairs > NET_QUEUES_MAX);
	virtio_init(&n->virtio, &net_ops,
		    &(struct virtio_params){
			    .mem = p->mem,
			    .loop = p->loop,
			    .features = features_of(p),
			    .without = p->vhost ? vhost_net_missing_features(p->vhost) : 0,
			    .nr_queues = 2 * p->nr_pairs + 1,
			    .queue_size = QUEUE_SIZE,
			    .config_size = offsetof(struct virtio_net_config, speed)});
	n->back = p->back;
	n->vhost = p->vhost;
	if (n->vhost)
		vhost_net_attach(n->vhost, &n->virtio);
	n->nr_pairs = p->nr_pairs;
	n->mtu = (uint16_t)p->mtu;
	memcpy(n->factory_mac, p->mac, sizeof(n->factory_mac));
	n->tx = mem_alloc_zero(n->nr_pairs * sizeof(n->tx[0]));
	n->rx = mem_alloc_zero(n->nr_pairs * sizeof(n->rx[0]));
	list_init(&n->more_work.node);
	net_reset_control(n);
	net_attach(n->back, &front, n);
	return &n->virtio;
}
