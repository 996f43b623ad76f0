/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is to be sent to the guest is kept as flags of each connection, not as a queue of packets, and
 * data is read from the host's sockets straight into the guest's buffers. So nothing piles up here but
 * what the guest has sent and the host has not taken, which its credit bounds, and a few refusals, which
 * hold up the guest's own queue when there is no room for more. Of sockets that keep messages apart, one
 * message of the host is read ahead, because it cannot be read in pieces.
 */
#include "virtio/dev/vsock.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <linux/vm_sockets.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "virtio/dev/vsock_cid.h"

#define CREDIT	   VSOCK_MESSAGE_MAX /* bytes a guest may send ahead of the host's reader */
#define NEWS	   (CREDIT / 4)	     /* bytes taken before the guest is told without asking */
#define PACKET_MAX 65536u	     /* bytes of data in one packet to the guest */
#define PIECES	   16		     /* segments of such a packet; Linux's buffers have one */
#define REFUSALS   64
#define BUCKETS	   256
#define HOST_PORTS 0x40000000u /* ports of the host's callers are numbered from here */

#define SHUT_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

/* What is to be sent on a connection. */
#define SEND_RESET    BIT(0)
#define SEND_REQUEST  BIT(1)
#define SEND_RESPONSE BIT(2)
#define SEND_CREDIT   BIT(3)
#define SEND_DATA     BIT(4) /* the host's socket may have some */
#define SEND_SHUTDOWN BIT(5) /* after the data */

struct connection {
	struct vsock *vsock;
	struct list bucket; /* by its two ports */
	struct list work;   /* has something to send */
	uint32_t host_port, guest_port;
	uint16_t type;		     /* VIRTIO_VSOCK_TYPE_* */
	struct vsock_stream *stream; /* NULL: ended, its reset is on the way */
	bool is_asking;		     /* the guest has not answered our request */
	uint8_t to_send;
	uint8_t guest_shut,
		host_shut; /* VIRTIO_VSOCK_SHUTDOWN_*: what each side will not do any more */

	struct buf message; /* from the host, on its way to the guest */
	size_t message_at;  /* bytes of it that were sent */
	bool has_message;

	uint32_t sent, guest_took, guest_room; /* bytes to the guest; its counter and buffer */
	uint32_t received, told_taken;	       /* bytes from the guest; what it knows we took */
};

/* A packet for which there is no connection. */
struct refusal {
	uint64_t cid; /* whom it was for */
	uint32_t host_port, guest_port;
	uint16_t type;
};

struct vsock {
	struct virtio_device virtio;
	struct vsock_cid cid;
	struct vsock_host *host;
	bool is_started;
	struct list buckets[BUCKETS];
	struct list work;
	unsigned nr_connections;
	uint32_t next_host_port;
	struct refusal refusals[REFUSALS];
	unsigned nr_refusals;
};

static struct vsock *vsock_of(struct virtio_device *d)
{
	return container_of(d, struct vsock, virtio);
}

/* ---- connections ---- */

static struct list *bucket_of(struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
	return &v->buckets[(host_port * 31 + guest_port) % BUCKETS];
}

static struct connection *find(struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
	list_for_each (it, bucket_of(v, host_port, guest_port)) {
		struct connection *c = list_entry(it, struct connection, bucket);

		if (c->host_port == host_port && c->guest_port == guest_port)
			return c;
	}
	return NULL;
}

static struct connection *connect_stream(struct vsock *v, struct vsock_stream *s,
					 uint32_t host_port, uint32_t guest_port)
{
	struct connection *c = mem_alloc_zero(sizeof(*c));

	c->vsock = v;
	c->stream = s;
	c->host_port = host_port;
	c->guest_port = guest_port;
	c->type = vsock_stream_has_messages(s) ? VIRTIO_VSOCK_TYPE_SEQPACKET
					       : VIRTIO_VSOCK_TYPE_STREAM;
	list_init(&c->work);
	list_append(bucket_of(v, host_port, guest_port), &c->bucket);
	v->nr_connections++;
	vsock_stream_set_owner(s, c);
	return c;
}

static void disconnect(struct connection *c)
{
	list_remove(&c->bucket);
	list_remove(&c->work);
	c->vsock->nr_connections--;
	if (c->stream)
		vsock_stream_close(c->stream);
	buf_free(&c->message);
	free(c);
}

static void disconnect_all(struct vsock *v)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		while (!list_is_empty(&v->buckets[i]))
			disconnect(list_entry(v->buckets[i].next, struct connection, bucket));
	}
	v->nr_refusals = 0;
}

static void want(struct connection *c, uint8_t what)
{
	c->to_send |= what;
	if (list_is_empty(&c->work))
		list_append(&c->vsock->work, &c->work);
}

/* Ends a connection for both sides. What the guest has sent still reaches the host. */
static void end(struct connection *c)
{
	if (c->stream)
		vsock_stream_close(c->stream);
	c->stream = NULL;
	c->to_send = 0;
	want(c, SEND_RESET);
}

static uint32_t taken(const struct connection *c)
{
	return c->received - (c->stream ? (uint32_t)vsock_stream_unsent(c->stream) : 0);
}

/* ---- to the guest ---- */

static struct virtio_vsock_hdr header(struct connection *c, uint16_t op)
{
	c->told_taken = taken(c);
	return (struct virtio_vsock_hdr){
		.src_cid = htole64(VMADDR_CID_HOST),
		.dst_cid = htole64(c->vsock->cid.guest),
		.src_port = htole32(c->host_port),
		.dst_port = htole32(c->guest_port),
		.type = htole16(c->type),
		.op = htole16(op),
		.buf_alloc = htole32(CREDIT),
		.fwd_cnt = htole32(c->told_taken),
	};
}

static void push_header(struct virtio_chain *chain, const struct virtio_vsock_hdr *h)
{
	virtio_push(chain, (uint32_t)virtio_write_at(chain, 0, h, sizeof(*h)));
}

static void send_refusal(struct vsock *v, struct virtio_chain *chain)
{
	const struct refusal *r = &v->refusals[--v->nr_refusals];
	const struct virtio_vsock_hdr h = {
		.src_cid = htole64(r->cid),
		.dst_cid = htole64(v->cid.guest),
		.src_port = htole32(r->host_port),
		.dst_port = htole32(r->guest_port),
		.type = htole16(r->type),
		.op = htole16(VIRTIO_VSOCK_OP_RST),
	};

	push_header(chain, &h);
}

/* Bytes the guest has room for. */
static uint32_t credit(const struct connection *c)
{
	uint32_t in_flight = c->sent - c->guest_took;

	return in_flight < c->guest_room ? c->guest_room - in_flight : 0;
}

/* What the host's socket gave, or that it gave nothing: 1, or 0 when there is nothing to send. */
static int note_read(struct connection *c, ssize_t n)
{
	if (n == -EAGAIN)
		return 0;
	if (n < 0) {
		end(c);
		return 0;
	}
	if (n)
		return 1;
	c->host_shut |= VIRTIO_VSOCK_SHUTDOWN_SEND;
	c->host_shut |= vsock_stream_is_gone(c->stream) ? VIRTIO_VSOCK_SHUTDOWN_RCV : 0;
	c->to_send |= SEND_SHUTDOWN;
	return 0;
}

static void push_data(struct connection *c, struct virtio_chain *chain, uint32_t len,
		      uint32_t flags)
{
	struct virtio_vsock_hdr h = header(c, VIRTIO_VSOCK_OP_RW);

	h.len = htole32(len);
	h.flags = htole32(flags);
	c->sent += len;
	virtio_write_at(chain, 0, &h, sizeof(h));
	virtio_push(chain, (uint32_t)sizeof(h) + len);
	c->to_send |= SEND_DATA;
}

/* Reads bytes of a stream right into the chain. Returns true when that sent it. */
static bool send_bytes(struct connection *c, struct virtio_chain *chain, size_t len)
{
	const struct virtio_vsock_hdr none = {0};
	struct iovec iov[PIECES];

	if (!len)
		return false; /* the guest says when it has room again */
	virtio_write(chain, &none, sizeof(none));
	unsigned nr = virtio_borrow_write(chain, iov, PIECES, &len);
	ssize_t n = vsock_stream_read(c->stream, iov, (int)nr);
	if (!note_read(c, n))
		return false;
	push_data(c, chain, (uint32_t)n, 0);
	return true;
}

/* A message that the guest cannot hold as a whole could never be read there. */
static int next_message(struct connection *c)
{
	int rc = vsock_stream_read_message(c->stream, &c->message,
					   min(c->guest_room, VSOCK_MESSAGE_MAX));

	if (rc == -EMSGSIZE)
		log_once(LOG_WARN,
			 "virtio_vsock: port %u: a message is longer than the guest's buffer",
			 c->guest_port);
	c->has_message = note_read(c, rc);
	return c->has_message;
}

/* Sends a piece of a message, the last with its end marked. Returns whether the chain was used. */
static bool send_piece(struct connection *c, struct virtio_chain *chain, size_t len)
{
	if (!c->has_message && !next_message(c))
		return false;
	size_t left = c->message.len - c->message_at;
	if (!len && left)
		return false; /* as above */
	len = min(len, left);
	virtio_write_at(chain, sizeof(struct virtio_vsock_hdr), c->message.data + c->message_at,
			len);
	c->message_at += len;
	c->has_message = len < left;
	if (!c->has_message) {
		buf_free(&c->message);
		c->message_at = 0;
	}
	push_data(c, chain, (uint32_t)len, c->has_message ? 0 : VIRTIO_VSOCK_SEQ_EOM);
	return true;
}

/* Returns true when there was data, which took the chain. */
static bool send_data(struct connection *c, struct virtio_chain *chain)
{
	size_t len = min(min(credit(c), PACKET_MAX),
			 chain->writable - (uint32_t)sizeof(struct virtio_vsock_hdr));

	c->to_send &= ~SEND_DATA;
	return c->type == VIRTIO_VSOCK_TYPE_STREAM ? send_bytes(c, chain, len)
						   : send_piece(c, chain, len);
}

enum sent { SENT_NOTHING, SENT_PACKET, SENT_LAST /* the connection is gone */ };

/* Sends what comes first, which takes the chain, or finds that there is nothing. */
static enum sent send_first(struct connection *c, struct virtio_chain *chain)
{
	static const struct {
		uint8_t what;
		uint16_t op;
	} plain[] = {{SEND_RESET, VIRTIO_VSOCK_OP_RST},
		     {SEND_REQUEST, VIRTIO_VSOCK_OP_REQUEST},
		     {SEND_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE},
		     {SEND_CREDIT, VIRTIO_VSOCK_OP_CREDIT_UPDATE}};

	if (c->to_send & SEND_DATA && !(c->to_send & (SEND_RESET | SEND_REQUEST | SEND_RESPONSE)) &&
	    send_data(c, chain))
		return SENT_PACKET;
	for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
		if (!(c->to_send & plain[i].what))
			continue;
		struct virtio_vsock_hdr h = header(c, plain[i].op);

		c->to_send &= ~plain[i].what;
		push_header(chain, &h);
		if (plain[i].what != SEND_RESET)
			return SENT_PACKET;
		disconnect(c);
		return SENT_LAST;
	}
	if (!(c->to_send & SEND_SHUTDOWN))
		return SENT_NOTHING;
	struct virtio_vsock_hdr h = header(c, VIRTIO_VSOCK_OP_SHUTDOWN);
	h.flags = htole32(c->host_shut);
	c->to_send &= ~SEND_SHUTDOWN;
	push_header(chain, &h);
	return SENT_PACKET;
}

/* Puts a connection at the end of the line, or out of it. */
static void line_up(struct vsock *v, struct connection *c)
{
	list_remove(&c->work);
	if (c->to_send)
		list_append(&v->work, &c->work);
}

static void send_all(struct vsock *v)
{
	struct virtio_device *d = &v->virtio;
	struct virtio_chain *chain;

	virtio_begin_batch(d);
	while ((v->nr_refusals || !list_is_empty(&v->work)) &&
	       (chain = virtio_pop(d, VSOCK_QUEUE_RX))) {
		if (chain->writable < sizeof(struct virtio_vsock_hdr)) {
			log_once(LOG_WARN, "virtio_vsock: a buffer of the guest is too small");
			virtio_push(chain, 0);
			continue;
		}
		if (v->nr_refusals) {
			send_refusal(v, chain);
			continue;
		}
		struct connection *c = list_entry(v->work.next, struct connection, work);
		enum sent what = send_first(c, chain);

		if (what == SENT_NOTHING)
			virtio_unpop(chain);
		if (what != SENT_LAST)
			line_up(v, c);
	}
	virtio_end_batch(d);
}

/* ---- from the guest ---- */

static void refuse(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	if (le16toh(h->op) == VIRTIO_VSOCK_OP_RST)
		return;
	v->refusals[v->nr_refusals++] = (struct refusal){
		.cid = le64toh(h->dst_cid),
		.host_port = le32toh(h->dst_port),
		.guest_port = le32toh(h->src_port),
		.type = le16toh(h->type),
	};
}

static void take_request(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	struct vsock_stream *s = NULL;

	/* Those that have ended count until the guest takes their reset. */
	if (v->nr_connections < VSOCK_STREAMS_MAX)
		s = vsock_host_connect(v->host, le32toh(h->dst_port),
				       le16toh(h->type) == VIRTIO_VSOCK_TYPE_SEQPACKET);

	if (!s) {
		refuse(v, h);
		return;
	}
	struct connection *c = connect_stream(v, s, le32toh(h->dst_port), le32toh(h->src_port));
	c->guest_room = le32toh(h->buf_alloc);
	c->guest_took = le32toh(h->fwd_cnt);
	want(c, SEND_RESPONSE | SEND_DATA);
}

static void take_response(struct connection *c)
{
	if (!c->is_asking) {
		end(c);
		return;
	}
	c->is_asking = false;
	vsock_stream_accept(c->stream, c->host_port);
	want(c, SEND_DATA);
}

/* The guest ends its part, or all: then the reset that answers ends the connection there too. */
static void take_shutdown(struct connection *c, uint32_t flags)
{
	c->guest_shut |= flags & SHUT_BOTH;
	if (c->guest_shut == SHUT_BOTH)
		end(c);
	else if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
		vsock_stream_shutdown(c->stream);
	else if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		c->to_send &= ~SEND_DATA;
}

/*
 * Tells the guest of room it does not know of: when that is much, or, as a message needs room as a
 * whole, when what it knows of may not do for the rest of one.
 */
static void tell_taken(struct connection *c)
{
	uint32_t news = taken(c) - c->told_taken;
	bool is_short =
		c->type == VIRTIO_VSOCK_TYPE_SEQPACKET && c->received - c->told_taken >= NEWS;

	if (news >= NEWS || (news && is_short))
		want(c, SEND_CREDIT);
}

static void take_data(struct connection *c, struct virtio_chain *chain, uint32_t len,
		      uint32_t flags)
{
	bool is_message_end =
		c->type == VIRTIO_VSOCK_TYPE_SEQPACKET && flags & VIRTIO_VSOCK_SEQ_EOM;
	uint8_t bytes[16384];

	if (c->is_asking || c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	    len > virtio_left_to_read(chain) ||
	    (uint64_t)vsock_stream_unsent(c->stream) + len > CREDIT) {
		log_once(LOG_WARN, "virtio_vsock: the guest sent what it must not on port %u",
			 c->host_port);
		end(c);
		return;
	}
	c->received += len;
	while (len) {
		size_t n = virtio_read(chain, bytes, min((size_t)len, sizeof(bytes)));

		vsock_stream_write(c->stream, bytes, n);
		len -= (uint32_t)n;
	}
	if ((is_message_end && vsock_stream_end_message(c->stream)) ||
	    vsock_stream_is_broken(c->stream))
		end(c);
	else
		tell_taken(c);
}

/* Of a kind that was negotiated. */
static bool is_type_known(const struct vsock *v, uint16_t type)
{
	return type == VIRTIO_VSOCK_TYPE_STREAM ||
	       (type == VIRTIO_VSOCK_TYPE_SEQPACKET &&
		virtio_has_feature(&v->virtio, VIRTIO_VSOCK_F_SEQPACKET));
}

static void take_packet(struct vsock *v, const struct virtio_vsock_hdr *h,
			struct virtio_chain *chain)
{
	uint16_t op = le16toh(h->op);
	struct connection *c = find(v, le32toh(h->dst_port), le32toh(h->src_port));

	if (le64toh(h->dst_cid) != VMADDR_CID_HOST || !is_type_known(v, le16toh(h->type)) ||
	    (c && c->type != le16toh(h->type))) {
		refuse(v, h);
		return;
	}
	if (!c) {
		if (op == VIRTIO_VSOCK_OP_REQUEST)
			take_request(v, h);
		else
			refuse(v, h);
		return;
	}
	if (op == VIRTIO_VSOCK_OP_RST) {
		disconnect(c);
		return;
	}
	if (!c->stream)
		return; /* its reset is on the way */
	c->guest_room = le32toh(h->buf_alloc);
	c->guest_took = le32toh(h->fwd_cnt);
	switch (op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		take_response(c);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		take_shutdown(c, le32toh(h->flags));
		break;
	case VIRTIO_VSOCK_OP_RW:
		take_data(c, chain, le32toh(h->len), le32toh(h->flags));
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		want(c, SEND_CREDIT);
		break;
	default:
		end(c);
		break;
	}
}

/* Data that waited for room is tried again with every packet of its connection. */
static void go_on(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	struct connection *c = find(v, le32toh(h->dst_port), le32toh(h->src_port));

	if (c && c->stream && !c->is_asking && !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) &&
	    !(c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND))
		want(c, SEND_DATA);
}

static void receive_all(struct vsock *v)
{
	struct virtio_vsock_hdr h;
	struct virtio_chain *chain;

	while (v->nr_refusals < REFUSALS && (chain = virtio_pop(&v->virtio, VSOCK_QUEUE_TX))) {
		if (virtio_read(chain, &h, sizeof(h)) != sizeof(h) ||
		    le64toh(h.src_cid) != v->cid.guest) {
			log_once(LOG_WARN, "virtio_vsock: a packet of the guest makes no sense");
		} else {
			take_packet(v, &h, chain);
			go_on(v, &h);
		}
		virtio_push(chain, 0);
	}
}

/* ---- from the host ---- */

static void incoming(void *ctx, struct vsock_stream *s, uint32_t guest_port)
{
	struct vsock *v = ctx;

	if (!virtio_queue_is_live(&v->virtio, VSOCK_QUEUE_RX) ||
	    v->nr_connections >= VSOCK_STREAMS_MAX ||
	    (vsock_stream_has_messages(s) &&
	     !virtio_has_feature(&v->virtio, VIRTIO_VSOCK_F_SEQPACKET))) {
		vsock_stream_close(s);
		return;
	}
	do {
		v->next_host_port = HOST_PORTS | (v->next_host_port + 1);
	} while (find(v, v->next_host_port, guest_port));
	struct connection *c = connect_stream(v, s, v->next_host_port, guest_port);
	c->is_asking = true;
	want(c, SEND_REQUEST);
	send_all(v);
}

static void readable(void *ctx, struct vsock_stream *s)
{
	struct connection *c = vsock_stream_owner(s);

	if (c->is_asking) {
		end(c); /* gave up waiting */
	} else if (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) {
		c->host_shut |= VIRTIO_VSOCK_SHUTDOWN_RCV;
		want(c, SEND_SHUTDOWN);
	} else if (!(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
		want(c, SEND_DATA);
	}
	send_all(ctx);
}

static void sent(void *ctx, struct vsock_stream *s)
{
	struct connection *c = vsock_stream_owner(s);

	if (vsock_stream_is_broken(s))
		end(c);
	else
		tell_taken(c);
	send_all(ctx);
}

static const struct vsock_front front = {.incoming = incoming, .readable = readable, .sent = sent};

/* ---- the device ---- */

static void start_host(struct vsock *v)
{
	if (!v->is_started)
		vsock_host_start(v->host, &front, v);
	v->is_started = true;
}

static void start(struct virtio_device *d)
{
	start_host(vsock_of(d));
}

static void process(struct virtio_device *d, unsigned queue)
{
	struct vsock *v = vsock_of(d);

	if (queue == VSOCK_QUEUE_EVENT) {
		vsock_cid_report_reset(&v->cid, d);
		return;
	}
	send_all(v); /* first, for it makes room for refusals */
	receive_all(v);
	send_all(v);
}

static void read_config(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	vsock_cid_read_config(&vsock_of(d)->cid, offset, data, len);
}

static void reset(struct virtio_device *d)
{
	struct vsock *v = vsock_of(d);

	disconnect_all(v);
	v->cid.must_report_reset = false;
}

/* Connections end with this process, so whoever loads the state begins with none and says so. */
static void state(struct virtio_device *d, struct state *s)
{
	struct vsock *v = vsock_of(d);

	vsock_cid_state(&v->cid, s);
	if (!state_is_loading(s))
		return;
	disconnect_all(v);
	start_host(v);
}

static void vsock_free(struct virtio_device *d)
{
	struct vsock *v = vsock_of(d);

	disconnect_all(v);
	vsock_host_free(v->host);
	virtio_fini(d);
	free(v);
}

static const struct virtio_ops vsock_ops = {
	.type = "virtio_vsock",
	.device_id = VIRTIO_ID_VSOCK,
	.pci_class = 0x078000, /* communication controller, other */
	.read_config = read_config,
	.start = start,
	.process = process,
	.reset = reset,
	.state = state,
	.free = vsock_free,
};

struct virtio_device *virtio_vsock_new(struct mem *mem, struct loop *loop, uint64_t guest_cid,
				       struct vsock_host *host)
{
	struct vsock *v = mem_alloc_zero(sizeof(*v));

	v->cid.guest = guest_cid;
	v->host = host;
	v->next_host_port = HOST_PORTS;
	list_init(&v->work);
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&v->buckets[i]);
	virtio_init(&v->virtio, &vsock_ops,
		    &(struct virtio_params){.mem = mem,
					    .loop = loop,
					    .features = BIT64(VIRTIO_VSOCK_F_STREAM) |
							BIT64(VIRTIO_VSOCK_F_SEQPACKET),
					    .nr_queues = VSOCK_QUEUES,
					    .config_size = sizeof(struct virtio_vsock_config)});
	return &v->virtio;
}
