/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 16550A UART (National Semiconductor data sheet): FIFOs of sixteen, interrupt identification,
 * loopback, modem lines, break, receive time-out. The line has no speed: a byte written has left as
 * soon as the back end took it. Differences from the chip, all so that nothing is lost: clearing the
 * transmit FIFO keeps bytes the back end has not taken yet, and so does a reset; what a driver writes
 * without waiting for the transmitter (Linux's console does after ten milliseconds) is queued; input
 * waits until the driver wants it, and while it lowers RTS; turning the FIFOs on keeps the character
 * that is there. OUT2 does not gate the interrupt. Entered by vCPU threads and the main loop.
 */
#include "device/serial.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "device/uart_fifo.h"

/* Bytes written while the back end is full; a driver that waits never gets beyond sixteen. */
#define TX_MAX 65536u

/* Looks at the line status in a row: more than Linux takes while it finds and opens a port. */
#define POLLS_FOR_INPUT 32u

#define REG_DATA 0 /* RBR, THR; divisor low with DLAB */
#define REG_IER	 1 /* divisor high with DLAB */
#define REG_IIR	 2 /* FCR when written */
#define REG_LCR	 3
#define REG_MCR	 4
#define REG_LSR	 5
#define REG_MSR	 6
#define REG_SCR	 7

#define IER_RECEIVE  BIT(0)
#define IER_TRANSMIT BIT(1)
#define IER_LINE     BIT(2)
#define IER_MODEM    BIT(3)
#define IER_ALL	     0x0fu

#define IIR_NONE     0x01u
#define IIR_MODEM    0x00u
#define IIR_TRANSMIT 0x02u
#define IIR_RECEIVE  0x04u
#define IIR_LINE     0x06u
#define IIR_TIMEOUT  0x0cu
#define IIR_FIFOS    0xc0u

#define FCR_ENABLE	  BIT(0)
#define FCR_CLEAR_RECEIVE BIT(1)

#define LCR_DLAB  BIT(7)
#define LCR_BREAK BIT(6)

#define MCR_DTR	 BIT(0)
#define MCR_RTS	 BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)

#define LSR_READY      BIT(0)
#define LSR_OVERRUN    BIT(1)
#define LSR_BREAK      BIT(4)
#define LSR_TX_EMPTY   (BIT(5) | BIT(6)) /* holding register and shifter */
#define LSR_FIFO_ERROR BIT(7)
#define LSR_ERRORS     0x1eu

#define MSR_CTS	      BIT(4)
#define MSR_DSR	      BIT(5)
#define MSR_RI	      BIT(6)
#define MSR_DCD	      BIT(7)
#define MSR_LINES     0xf0u
#define MSR_CONNECTED (MSR_CTS | MSR_DSR | MSR_DCD)

/* Bounds of the time-out of four characters, against divisors of 0 and of hours. */
#define TIMEOUT_MIN_NS (100 * NS_PER_US)
#define TIMEOUT_MAX_NS (20 * NS_PER_MS)

struct serial {
	struct device dev;
	pthread_mutex_t lock; /* guards all; the back end's and the line's locks are inside it */
	struct serial_params params;
	struct bus_region region;
	struct clock_timer timeout; /* four character times without a byte in or out of the FIFO */

	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t overrun;     /* LSR_OVERRUN or 0 */
	uint8_t modem_lines; /* upper half of MSR */
	uint8_t modem_delta; /* lower half */
	uint16_t divisor;

	struct uart_fifo rx;
	struct buf tx; /* not taken by the back end yet */

	bool tx_interrupt; /* the transmitter ran empty and nobody has looked yet */
	bool has_timed_out;
	bool is_input_held; /* the back end has bytes we refused */
	bool has_used_rts;  /* RTS was up since the last reset: the driver knows of it */
	uint32_t nr_polls;  /* looks at an idle line in a row, up to POLLS_FOR_INPUT */
	bool is_paused;
};

/* ---- interrupts; lock held ---- */

static unsigned rx_room(const struct serial *s)
{
	return (s->fcr & FCR_ENABLE ? UART_FIFO_SIZE : 1) - s->rx.count;
}

static unsigned rx_trigger(const struct serial *s)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

static uint8_t line_status(const struct serial *s)
{
	uint8_t lsr = s->overrun;

	if (s->rx.count)
		lsr |= LSR_READY | uart_fifo_errors(&s->rx);
	if (s->fcr & FCR_ENABLE && uart_fifo_has_errors(&s->rx))
		lsr |= LSR_FIFO_ERROR;
	if (!s->tx.len)
		lsr |= LSR_TX_EMPTY;
	return lsr;
}

static unsigned interrupt_id(const struct serial *s)
{
	if (s->ier & IER_LINE && line_status(s) & LSR_ERRORS)
		return IIR_LINE;
	if (s->ier & IER_RECEIVE && s->rx.count >= rx_trigger(s))
		return IIR_RECEIVE;
	if (s->ier & IER_RECEIVE && s->rx.count && s->has_timed_out)
		return IIR_TIMEOUT;
	if (s->ier & IER_TRANSMIT && s->tx_interrupt)
		return IIR_TRANSMIT;
	if (s->ier & IER_MODEM && s->modem_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(struct serial *s)
{
	irq_set(&s->params.irq, interrupt_id(s) != IIR_NONE);
}

/* ---- receiver; lock held ---- */

/* Start bit, data, parity and stop bits of four characters; the divisor counts 16ths of a bit. */
static uint64_t timeout_ns(const struct serial *s)
{
	uint64_t bits = 1 + 5 + (s->lcr & 3) + (s->lcr >> 2 & 1) + 1 + (s->lcr >> 3 & 1);
	uint64_t ns = 4 * bits * s->divisor * NS_PER_SEC / 115200;

	return min(max(ns, TIMEOUT_MIN_NS), TIMEOUT_MAX_NS);
}

/* The FIFO changed: the time-out starts anew, or stops when there is nothing to wait for. */
static void restart_timeout(struct serial *s)
{
	s->has_timed_out = false;
	if (s->rx.count && s->rx.count < rx_trigger(s))
		clock_timer_arm(&s->timeout, clock_now_ns(s->params.clock) + timeout_ns(s));
	else
		clock_timer_disarm(&s->timeout);
}

static void push_rx(struct serial *s, uint8_t data, uint8_t errors)
{
	if (rx_room(s))
		uart_fifo_push(&s->rx, data, errors);
	else
		s->overrun = LSR_OVERRUN;
}

/*
 * Whether the driver is there for input. What came earlier would go when it clears the FIFO as it
 * opens the port. One without interrupts gives itself away by looking for a character again and again.
 */
static bool wants_input(const struct serial *s)
{
	if (s->mcr & MCR_LOOP)
		return false;
	if (!(s->ier & IER_RECEIVE))
		return s->nr_polls == POLLS_FOR_INPUT;
	/* All interrupts at once and no RTS ever: not in use, Linux looks whether this is a UART. */
	return s->mcr & MCR_RTS || (!s->has_used_rts && s->ier != IER_ALL);
}

static void ask_for_input(struct serial *s)
{
	if (!s->is_input_held || s->rx.count || !wants_input(s))
		return;
	s->is_input_held = false;
	char_read_more(s->params.chr);
}

static void clear_rx(struct serial *s)
{
	uart_fifo_clear(&s->rx);
	restart_timeout(s);
	ask_for_input(s);
}

static uint8_t pop_rx(struct serial *s)
{
	uint8_t data;

	if (!uart_fifo_pop(&s->rx, &data))
		return 0;
	restart_timeout(s);
	ask_for_input(s);
	return data;
}

static void rx_timed_out(struct clock_timer *t)
{
	struct serial *s = container_of(t, struct serial, timeout);

	pthread_mutex_lock(&s->lock);
	/* A callback that raced with a change of the FIFO must not count for the new content. */
	if (!s->timeout.is_armed && s->rx.count) {
		s->has_timed_out = true;
		update_irq(s);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- transmitter; lock held ---- */

static void flush_tx(struct serial *s)
{
	if (!s->tx.len || s->is_paused)
		return;
	buf_drop_front(&s->tx, char_write(s->params.chr, s->tx.data, s->tx.len));
	if (!s->tx.len)
		s->tx_interrupt = true;
}

static void transmit(struct serial *s, uint8_t data)
{
	s->tx_interrupt = false;
	if (s->nr_polls < POLLS_FOR_INPUT)
		s->nr_polls = 0;
	if (s->mcr & MCR_LOOP) {
		push_rx(s, data, 0);
		restart_timeout(s);
		s->tx_interrupt = true;
		return;
	}
	if (s->tx.len == TX_MAX)
		s->tx.len--;
	buf_append(&s->tx, &data, 1);
	flush_tx(s);
}

/* ---- registers; lock held ---- */

/* Loopback connects the four outputs to the four inputs. */
static void update_modem(struct serial *s)
{
	uint8_t lines = MSR_CONNECTED;
	uint8_t changed;

	if (s->mcr & MCR_LOOP)
		lines = (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
			(s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
	changed = lines ^ s->modem_lines;
	/* The ring indicator only reports its trailing edge. */
	if (lines & MSR_RI)
		changed &= ~MSR_RI;
	s->modem_delta |= changed >> 4;
	s->modem_lines = lines;
}

static void write_ier(struct serial *s, uint8_t value)
{
	uint8_t before = s->ier;

	s->ier = value & IER_ALL;
	if (s->ier & ~before & IER_TRANSMIT && !s->tx.len)
		s->tx_interrupt = true;
	s->nr_polls = 0;
	ask_for_input(s);
}

static void write_fcr(struct serial *s, uint8_t value)
{
	bool is_turned_off = ~value & s->fcr & FCR_ENABLE;

	s->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
	if (is_turned_off || value & FCR_CLEAR_RECEIVE)
		clear_rx(s);
	else
		restart_timeout(s);
}

static void write_lcr(struct serial *s, uint8_t value)
{
	bool starts_break = value & ~s->lcr & LCR_BREAK;

	s->lcr = value;
	if (!starts_break || !(s->mcr & MCR_LOOP))
		return;
	push_rx(s, 0, LSR_BREAK);
	restart_timeout(s);
}

static void write_reg(struct serial *s, unsigned reg, uint8_t value)
{
	switch (reg) {
	case REG_DATA:
		if (s->lcr & LCR_DLAB)
			s->divisor = (s->divisor & 0xff00) | value;
		else
			transmit(s, value);
		break;
	case REG_IER:
		if (s->lcr & LCR_DLAB)
			s->divisor = (s->divisor & 0x00ff) | value << 8;
		else
			write_ier(s, value);
		break;
	case REG_IIR:
		write_fcr(s, value);
		break;
	case REG_LCR:
		write_lcr(s, value);
		break;
	case REG_MCR:
		s->mcr = value & 0x1f;
		s->has_used_rts |= (value & (MCR_LOOP | MCR_RTS)) == MCR_RTS;
		update_modem(s);
		ask_for_input(s);
		break;
	case REG_SCR:
		s->scr = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

static uint8_t read_iir(struct serial *s)
{
	unsigned id = interrupt_id(s);

	if (id == IIR_TRANSMIT)
		s->tx_interrupt = false;
	return id | (s->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct serial *s)
{
	uint8_t lsr = line_status(s);

	s->overrun = 0;
	uart_fifo_clear_errors(&s->rx);
	if ((lsr & (LSR_READY | LSR_TX_EMPTY)) == LSR_TX_EMPTY && s->nr_polls < POLLS_FOR_INPUT) {
		s->nr_polls++;
		ask_for_input(s);
	}
	return lsr;
}

static uint8_t read_msr(struct serial *s)
{
	uint8_t msr = s->modem_lines | s->modem_delta;

	s->modem_delta = 0;
	return msr;
}

static uint8_t read_reg(struct serial *s, unsigned reg)
{
	switch (reg) {
	case REG_DATA:
		return s->lcr & LCR_DLAB ? (uint8_t)s->divisor : pop_rx(s);
	case REG_IER:
		return s->lcr & LCR_DLAB ? s->divisor >> 8 : s->ier;
	case REG_IIR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr(s);
	case REG_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct serial *s = dev;

	pthread_mutex_lock(&s->lock);
	write_reg(s, (unsigned)offset, (uint8_t)value);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	struct serial *s = dev;
	uint8_t value;

	pthread_mutex_lock(&s->lock);
	value = read_reg(s, (unsigned)offset);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return value;
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write};

/* ---- back end ---- */

static size_t receive(void *ctx, const void *data, size_t len)
{
	struct serial *s = ctx;
	const uint8_t *bytes = data;
	size_t taken = 0;

	pthread_mutex_lock(&s->lock);
	if (!s->is_paused && wants_input(s)) {
		taken = min(len, (size_t)rx_room(s));
		for (size_t i = 0; i < taken; i++)
			push_rx(s, bytes[i], 0);
	}
	if (taken < len)
		s->is_input_held = true;
	if (taken) {
		restart_timeout(s);
		update_irq(s);
	}
	pthread_mutex_unlock(&s->lock);
	return taken;
}

static void receive_break(void *ctx)
{
	struct serial *s = ctx;

	pthread_mutex_lock(&s->lock);
	if (!s->is_paused && !(s->mcr & MCR_LOOP)) {
		push_rx(s, 0, LSR_BREAK);
		restart_timeout(s);
		update_irq(s);
	}
	pthread_mutex_unlock(&s->lock);
}

static void writable(void *ctx)
{
	struct serial *s = ctx;

	pthread_mutex_lock(&s->lock);
	if (s->tx.len && !s->is_paused) {
		flush_tx(s);
		update_irq(s);
	}
	pthread_mutex_unlock(&s->lock);
}

static const struct char_front front = {
	.receive = receive,
	.writable = writable,
	.receive_break = receive_break,
};

/* ---- device ---- */

static void reset(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	pthread_mutex_lock(&s->lock);
	s->ier = s->fcr = s->lcr = s->scr = 0;
	s->mcr = 0;
	s->has_used_rts = false;
	s->nr_polls = 0;
	s->overrun = 0;
	s->divisor = 12;
	s->modem_lines = MSR_CONNECTED;
	s->modem_delta = 0;
	s->tx_interrupt = false;
	clear_rx(s);
	flush_tx(s);
	s->tx_interrupt = false;
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static void state_transmitter(struct serial *s, struct state *st)
{
	uint32_t len = (uint32_t)s->tx.len;

	state_bool(st, &s->tx_interrupt);
	state_u32(st, &len);
	if (len > TX_MAX) {
		state_fail(st, "serial: more bytes waiting than there can be");
		len = 0;
	}
	if (state_is_loading(st)) {
		buf_free(&s->tx);
		for (uint32_t i = 0; i < len && !state_failed(st); i++) {
			uint8_t byte;

			state_u8(st, &byte);
			buf_append(&s->tx, &byte, 1);
		}
	} else if (len) {
		state_bytes(st, s->tx.data, len);
	}
}

static void state(struct device *d, struct state *st)
{
	struct serial *s = container_of(d, struct serial, dev);
	bool has_timed_out;

	pthread_mutex_lock(&s->lock);
	state_u8(st, &s->ier);
	state_u8(st, &s->fcr);
	state_u8(st, &s->lcr);
	state_u8(st, &s->mcr);
	state_u8(st, &s->scr);
	state_u8(st, &s->overrun);
	state_u8(st, &s->modem_lines);
	state_u8(st, &s->modem_delta);
	state_u16(st, &s->divisor);
	uart_fifo_state(&s->rx, st);
	if (!(s->fcr & FCR_ENABLE))
		s->rx.count = min(s->rx.count, 1u);
	state_transmitter(s, st);
	has_timed_out = s->has_timed_out;
	state_bool(st, &has_timed_out);
	state_bool(st, &s->has_used_rts);
	state_u32(st, &s->nr_polls);
	s->nr_polls = min(s->nr_polls, POLLS_FOR_INPUT);
	if (state_is_loading(st)) {
		restart_timeout(s);
		s->has_timed_out = has_timed_out;
		update_irq(s);
	}
	pthread_mutex_unlock(&s->lock);
}

static void pause_port(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	pthread_mutex_lock(&s->lock);
	s->is_paused = true;
	pthread_mutex_unlock(&s->lock);
}

static void resume(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	pthread_mutex_lock(&s->lock);
	s->is_paused = false;
	flush_tx(s);
	update_irq(s);
	ask_for_input(s);
	pthread_mutex_unlock(&s->lock);
}

static void serial_free(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	if (s->params.chr) {
		s->is_paused = false;
		flush_tx(s);
		if (s->tx.len) {
			char_drain(s->params.chr);
			flush_tx(s);
		}
		char_attach(s->params.chr, NULL, NULL);
	}
	buf_free(&s->tx);
	clock_timer_disarm(&s->timeout);
	bus_remove(s->params.pio, &s->region);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static const struct device_ops device_ops = {
	.type = "serial",
	.reset = reset,
	.state = state,
	.pause = pause_port,
	.resume = resume,
	.free = serial_free,
};

struct serial *serial_new(const struct serial_params *params, struct error *err)
{
	struct serial *s = mem_alloc_zero(sizeof(*s));

	s->dev.ops = &device_ops;
	list_init(&s->dev.node);
	s->params = *params;
	pthread_mutex_init(&s->lock, NULL);
	clock_timer_init(&s->timeout, params->clock, rx_timed_out);
	s->region = (struct bus_region){.name = params->name ? params->name : "serial",
					.base = params->base,
					.size = SERIAL_NR_PORTS,
					.ops = &port_ops,
					.dev = s};
	if (bus_add(params->pio, &s->region, err)) {
		s->params.chr = NULL;
		serial_free(&s->dev);
		return NULL;
	}
	reset(&s->dev);
	if (params->chr)
		char_attach(params->chr, &front, s);
	return s;
}

struct device *serial_device(struct serial *s)
{
	return &s->dev;
}
