/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Output that a back end does not take stays where it is, in its chain or, across a pause, in
 * port->kept. Control messages to the driver are not queued but derived from what it has been told,
 * so a driver that takes none cannot make them pile up.
 */
#include "virtio/dev/console.h"

#include <endian.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"

#define QUEUE_CONTROL_RX 2 /* to the driver */
#define QUEUE_CONTROL_TX 3

#define STEP	 4096	   /* bytes copied out of a chain at a time */
#define KEPT_MAX (1 * MIB) /* of a chain given back half written; Linux's are of 32 KiB at most */

/* What the driver is to be told of a port, in this order. */
#define TELL_ADD     BIT(0)
#define TELL_CONSOLE BIT(1)
#define TELL_NAME    BIT(2)
#define TELL_SIZE    BIT(3)
#define TELL_ALL     (TELL_ADD | TELL_CONSOLE | TELL_NAME | TELL_SIZE)

struct port {
	struct console *console;
	unsigned id;
	char *name;
	bool is_console;
	struct char_dev *chr; /* NULL: there is no such port */

	bool is_host_open; /* what the back end says */
	uint16_t columns, rows;
	bool is_input_held; /* the back end has bytes we refused */

	/* What driver and device have told each other; saved. */
	uint8_t to_tell;
	bool is_ready, is_guest_open;
	bool is_told_open;
	bool must_close; /* the other side went, and the driver has not heard of it yet */

	struct virtio_chain *chain; /* being written; NULL: none */
	struct buf kept;	    /* goes before the chain */
};

struct console {
	struct virtio_device virtio;
	bool is_attached; /* to the back ends */
	unsigned nr_ports;
	struct port ports[VIRTIO_CONSOLE_PORTS_MAX];
};

static struct console *console_of(struct virtio_device *d)
{
	return container_of(d, struct console, virtio);
}

static bool has_multiport(const struct console *c)
{
	return virtio_has_feature(&c->virtio, VIRTIO_CONSOLE_F_MULTIPORT);
}

static unsigned rx_queue(const struct port *p)
{
	return p->id ? 2 * p->id + 2 : 0;
}

/* The port of a data queue, or NULL. */
static struct port *port_of(struct console *c, unsigned queue)
{
	unsigned id = queue < 2 ? 0 : queue / 2 - 1;

	if (queue == QUEUE_CONTROL_RX || queue == QUEUE_CONTROL_TX || (id && !has_multiport(c)))
		return NULL;
	return id < c->nr_ports && c->ports[id].chr ? &c->ports[id] : NULL;
}

/* ---- control messages to the driver ---- */

/* Returns false when the driver has no buffer for it. */
static bool send_control(struct port *p, uint16_t event, uint16_t value, const void *more,
			 size_t len)
{
	const struct virtio_console_control message = {
		.id = htole32(p->id), .event = htole16(event), .value = htole16(value)};
	struct virtio_chain *c = virtio_pop(&p->console->virtio, QUEUE_CONTROL_RX);

	if (!c)
		return false;
	size_t written = virtio_write(c, &message, sizeof(message));
	written += virtio_write(c, more, len);
	virtio_push(c, (uint32_t)written);
	return true;
}

/*
 * The order of the two numbers is that of Linux, which was there first; section 5.3.6.2 has them the
 * other way round.
 */
static bool send_size(struct port *p)
{
	const uint16_t size[2] = {htole16(p->rows), htole16(p->columns)};

	return send_control(p, VIRTIO_CONSOLE_RESIZE, 0, size, sizeof(size));
}

static bool tell(struct port *p, uint8_t what)
{
	switch (what) {
	case TELL_ADD:
		return send_control(p, VIRTIO_CONSOLE_PORT_ADD, 1, NULL, 0);
	case TELL_CONSOLE:
		return send_control(p, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL, 0);
	case TELL_NAME:
		return send_control(p, VIRTIO_CONSOLE_PORT_NAME, 1, p->name, strlen(p->name));
	default:
		return send_size(p);
	}
}

static void ask_for_input(struct port *p)
{
	if (!p->is_input_held)
		return;
	p->is_input_held = false;
	char_read_more(p->chr);
}

/* Brings what the driver knows of the other side up to date. Returns false when it cannot yet. */
static bool tell_opened(struct port *p)
{
	if (p->is_told_open && (p->must_close || !p->is_host_open)) {
		if (!send_control(p, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL, 0))
			return false;
		p->is_told_open = false;
	}
	p->must_close = false;
	if (p->is_host_open && !p->is_told_open) {
		if (!send_control(p, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL, 0))
			return false;
		p->is_told_open = true;
		ask_for_input(p);
	}
	return true;
}

static bool tell_port(struct port *p)
{
	for (uint8_t what = TELL_ADD; what & TELL_ALL; what <<= 1) {
		if (!(p->to_tell & what))
			continue;
		if (!tell(p, what))
			return false;
		p->to_tell &= ~what;
	}
	return !p->is_ready || tell_opened(p);
}

static void tell_driver(struct console *c)
{
	if (!has_multiport(c))
		return;
	virtio_begin_batch(&c->virtio);
	for (unsigned i = 0; i < c->nr_ports; i++) {
		if (c->ports[i].chr && !tell_port(&c->ports[i]))
			break;
	}
	virtio_end_batch(&c->virtio);
}

/* ---- control messages from the driver ---- */

static void take_device_ready(struct console *c)
{
	for (unsigned i = 0; i < c->nr_ports; i++) {
		if (c->ports[i].chr)
			c->ports[i].to_tell |= TELL_ADD;
	}
}

static void take_port_ready(struct port *p)
{
	p->is_ready = true;
	p->is_told_open = false;
	p->must_close = false;
	if (p->is_console)
		p->to_tell |= TELL_CONSOLE;
	if (p->is_console && p->rows)
		p->to_tell |= TELL_SIZE;
	if (p->name)
		p->to_tell |= TELL_NAME;
}

static void take_control(struct console *c, const struct virtio_console_control *message)
{
	uint32_t id = le32toh(message->id);
	uint16_t event = le16toh(message->event), value = le16toh(message->value);
	struct port *p = id < c->nr_ports && c->ports[id].chr ? &c->ports[id] : NULL;

	if (event == VIRTIO_CONSOLE_DEVICE_READY) {
		if (value)
			take_device_ready(c);
	} else if (p && event == VIRTIO_CONSOLE_PORT_READY) {
		if (value)
			take_port_ready(p);
	} else if (p && event == VIRTIO_CONSOLE_PORT_OPEN) {
		p->is_guest_open = value;
		if (value)
			ask_for_input(p);
	} else {
		log_once(LOG_WARN, "virtio_console: the guest sent event %u for port %u", event,
			 id);
	}
}

static void process_control(struct console *c)
{
	struct virtio_console_control message;
	struct virtio_chain *chain;

	while ((chain = virtio_pop(&c->virtio, QUEUE_CONTROL_TX))) {
		bool is_whole = virtio_read(chain, &message, sizeof(message)) == sizeof(message);

		virtio_push(chain, 0);
		if (is_whole && has_multiport(c))
			take_control(c, &message);
	}
	tell_driver(c);
}

/* ---- output of the guest ---- */

/* Passes on what is kept. Returns true when nothing is left. */
static bool flush_kept(struct port *p)
{
	if (p->kept.len)
		buf_drop_front(&p->kept, char_write(p->chr, p->kept.data, p->kept.len));
	return !p->kept.len;
}

/* Passes on the chain in hand. Returns true when all of it is through. */
static bool write_chain(struct port *p)
{
	uint8_t bytes[STEP];
	size_t n;

	while ((n = virtio_read(p->chain, bytes, sizeof(bytes))) > 0) {
		size_t taken = char_write(p->chr, bytes, n);

		if (taken == n)
			continue;
		buf_append(&p->kept, bytes + taken, n - taken);
		return false;
	}
	virtio_push(p->chain, 0);
	p->chain = NULL;
	return true;
}

static void transmit(struct port *p)
{
	if (virtio_is_stopped(&p->console->virtio) || !flush_kept(p))
		return;
	virtio_begin_batch(&p->console->virtio);
	while (p->chain || (p->chain = virtio_pop(&p->console->virtio, rx_queue(p) + 1))) {
		if (!write_chain(p))
			break;
	}
	virtio_end_batch(&p->console->virtio);
}

static void drain(struct virtio_device *d, unsigned queue)
{
	struct port *p = port_of(console_of(d), queue);
	uint8_t bytes[STEP];
	size_t n;

	if (!p || !p->chain || queue != rx_queue(p) + 1)
		return;
	while ((n = virtio_read(p->chain, bytes, sizeof(bytes))) > 0) {
		if (p->kept.len + n > KEPT_MAX) {
			log_once(
				LOG_WARN,
				"virtio_console: more than 1 MiB of output in one request is lost");
			break;
		}
		buf_append(&p->kept, bytes, n);
	}
	virtio_push(p->chain, 0);
	p->chain = NULL;
}

/* ---- input of the guest ---- */

/* Whether the driver wants input now: it has opened the port and knows that there is somebody. */
static bool can_receive(const struct port *p)
{
	const struct console *c = p->console;

	if (!virtio_queue_is_live(&c->virtio, rx_queue(p)) || virtio_is_stopped(&c->virtio))
		return false;
	if (!has_multiport(c))
		return !p->id;
	return p->is_guest_open && (p->is_console || (p->is_told_open && !p->must_close));
}

static size_t receive(void *ctx, const void *data, size_t len)
{
	struct port *p = ctx;
	struct virtio_device *d = &p->console->virtio;
	const uint8_t *bytes = data;
	struct virtio_chain *c;
	size_t taken = 0;

	virtio_begin_batch(d);
	while (taken < len && can_receive(p) && (c = virtio_pop(d, rx_queue(p)))) {
		size_t n = virtio_write(c, bytes + taken, len - taken);

		taken += n;
		virtio_push(c, (uint32_t)n);
	}
	virtio_end_batch(d);
	if (taken < len)
		p->is_input_held = true;
	return taken;
}

static void writable(void *ctx)
{
	transmit(ctx);
}

static void opened(void *ctx, bool is_open)
{
	struct port *p = ctx;

	p->is_host_open = is_open;
	if (!is_open)
		p->must_close = p->is_told_open;
	tell_driver(p->console);
}

static void resized(void *ctx, uint16_t columns, uint16_t rows)
{
	struct port *p = ctx;

	p->columns = columns;
	p->rows = rows;
	if (p->is_console && p->is_ready)
		p->to_tell |= TELL_SIZE;
	tell_driver(p->console);
	if (!p->id)
		virtio_config_changed(&p->console->virtio);
}

static const struct char_front front = {
	.receive = receive,
	.writable = writable,
	.opened = opened,
	.resized = resized,
};

/* The back ends speak on the loop's thread, so they are attached there. */
static void attach(struct console *c)
{
	if (c->is_attached)
		return;
	c->is_attached = true;
	for (unsigned i = 0; i < c->nr_ports; i++) {
		if (c->ports[i].chr)
			char_attach(c->ports[i].chr, &front, &c->ports[i]);
	}
}

/* ---- the device ---- */

static void start(struct virtio_device *d)
{
	attach(console_of(d));
}

static void process(struct virtio_device *d, unsigned queue)
{
	struct console *c = console_of(d);
	struct port *p = port_of(c, queue);

	if (queue == QUEUE_CONTROL_RX)
		tell_driver(c);
	else if (queue == QUEUE_CONTROL_TX)
		process_control(c);
	else if (p && queue == rx_queue(p))
		ask_for_input(p);
	else if (p)
		transmit(p);
}

static void read_config(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	const struct console *c = console_of(d);
	const struct virtio_console_config config = {
		.cols = htole16(c->ports[0].columns),
		.rows = htole16(c->ports[0].rows),
		.max_nr_ports = htole32(c->nr_ports),
	};

	if (offset < sizeof(config))
		memcpy(data, (const uint8_t *)&config + offset,
		       min(len, (unsigned)sizeof(config) - offset));
}

/* Emergency output: a byte at a time, without queues, at any moment. */
static void write_config(struct virtio_device *d, unsigned offset, const void *data, unsigned len)
{
	struct port *p = &console_of(d)->ports[0];

	if (offset != offsetof(struct virtio_console_config, emerg_wr) || !len || !p->chr)
		return;
	if (p->kept.len < KEPT_MAX)
		buf_append(&p->kept, data, 1);
	flush_kept(p);
}

static void reset(struct virtio_device *d)
{
	struct console *c = console_of(d);

	for (unsigned i = 0; i < c->nr_ports; i++) {
		struct port *p = &c->ports[i];

		p->to_tell = 0;
		p->is_ready = p->is_guest_open = p->is_told_open = p->must_close = false;
	}
}

static void port_state(struct port *p, struct state *s)
{
	uint32_t len = (uint32_t)p->kept.len;

	state_u8(s, &p->to_tell);
	state_bool(s, &p->is_ready);
	state_bool(s, &p->is_guest_open);
	state_bool(s, &p->is_told_open);
	state_bool(s, &p->must_close);
	state_u32(s, &len);
	if (len > KEPT_MAX + STEP || p->to_tell & ~TELL_ALL) {
		state_fail(s, "virtio_console: port %u: values out of range", p->id);
		return;
	}
	if (state_is_loading(s)) {
		buf_free(&p->kept);
		p->to_tell &= p->name ? TELL_ALL : TELL_ALL & ~TELL_NAME;
		for (uint32_t i = 0; i < len && !state_failed(s); i++) {
			uint8_t byte;

			state_u8(s, &byte);
			buf_append(&p->kept, &byte, 1);
		}
	} else if (len) {
		state_bytes(s, p->kept.data, len);
	}
}

static void state(struct virtio_device *d, struct state *s)
{
	struct console *c = console_of(d);
	uint32_t nr_ports = c->nr_ports;

	state_u32(s, &nr_ports);
	if (nr_ports != c->nr_ports) {
		state_fail(s, "virtio_console: %u ports were saved, there are %u", nr_ports,
			   c->nr_ports);
		return;
	}
	for (unsigned i = 0; i < c->nr_ports && !state_failed(s); i++)
		port_state(&c->ports[i], s);
	if (state_is_loading(s))
		attach(c);
}

/* What the guest was told is written will be, unless nobody takes it. */
static void flush_at_end(struct port *p)
{
	size_t before;

	do {
		before = p->kept.len;
		if (before)
			char_drain(p->chr);
		flush_kept(p);
	} while (p->kept.len && p->kept.len < before);
}

static void console_free(struct virtio_device *d)
{
	struct console *c = console_of(d);

	for (unsigned i = 0; i < c->nr_ports; i++) {
		struct port *p = &c->ports[i];

		flush_at_end(p);
		char_free(p->chr);
		buf_free(&p->kept);
		free(p->name);
	}
	virtio_fini(d);
	free(c);
}

static const struct virtio_ops console_ops = {
	.type = "virtio_console",
	.device_id = VIRTIO_ID_CONSOLE,
	.pci_class = 0x078000, /* communication controller, other */
	.read_config = read_config,
	.write_config = write_config,
	.start = start,
	.process = process,
	.drain = drain,
	.reset = reset,
	.state = state,
	.free = console_free,
};

struct virtio_device *virtio_console_new(struct mem *mem, struct loop *loop,
					 const struct virtio_console_port *ports, unsigned nr_ports)
{
	struct console *c = mem_alloc_zero(sizeof(*c));
	bool is_single = nr_ports == 1 && ports[0].is_console;
	uint64_t features = BIT(VIRTIO_CONSOLE_F_SIZE) | BIT(VIRTIO_CONSOLE_F_EMERG_WRITE);

	BUG_ON(!nr_ports || nr_ports > VIRTIO_CONSOLE_PORTS_MAX);
	c->nr_ports = nr_ports;
	for (unsigned i = 0; i < nr_ports; i++) {
		struct port *p = &c->ports[i];

		p->console = c;
		p->id = i;
		p->is_console = ports[i].is_console;
		p->chr = ports[i].chr;
		p->name = ports[i].name ? mem_strdup(ports[i].name) : NULL;
	}
	virtio_init(&c->virtio, &console_ops,
		    &(struct virtio_params){
			    .mem = mem,
			    .loop = loop,
			    .features = is_single ? features
						  : features | BIT(VIRTIO_CONSOLE_F_MULTIPORT),
			    .nr_queues = is_single ? 2 : 2 * nr_ports + 2,
			    .config_size = sizeof(struct virtio_console_config),
		    });
	return &c->virtio;
}
