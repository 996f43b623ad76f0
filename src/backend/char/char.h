/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A byte stream to the outside world: the host end of a serial port, a debug port or a console.
 * The back end (stdio, pty, socket, file ...) embeds a struct char_dev as its first member and
 * fills ops; the front end (a device) attaches itself with char_attach(). Neither side ever blocks
 * the other: what does not fit is left with the sender, who is called when there is room again.
 *
 * A back end belongs to the loop it was made with; "its thread" is the one that runs that loop.
 *
 * Locks: the front end may call char_write() and char_read_more() under its own lock, so a back end
 * calls the front end only from its thread and with none of its own locks held.
 */
#ifndef BACKEND_CHAR_CHAR_H
#define BACKEND_CHAR_CHAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct char_dev;

/* What a back end answers. write and read_more: any thread, at once, without waiting. */
struct char_ops {
	/*
	 * Takes up to len bytes and returns how many. After fewer than len the front end keeps the
	 * rest and the back end calls front->writable once it can take some again. Bytes taken
	 * reach the outside even when the back end is freed right after, except on a broken stream,
	 * where everything is taken and dropped.
	 */
	size_t (*write)(struct char_dev *c, const void *data, size_t len);

	/* The front end has room again: hand over what is kept, then go on reading. Never calls the
	 * front end itself; it has its thread do so. */
	void (*read_more)(struct char_dev *c);

	/*
	 * Waits until what was taken is outside, however long that takes. NULL: nothing ever waits.
	 * When the VM has ended and the loop does not run any more.
	 */
	void (*drain)(struct char_dev *c);

	/* Writes out what was taken, gives the host resource back, frees. Its thread, or after it. */
	void (*free)(struct char_dev *c);
};

/* What a front end answers; the back end's thread, no lock of the back end held. */
struct char_front {
	/*
	 * Bytes have arrived. Returns how many were taken; the back end keeps the rest (and reads
	 * no more from its source) until char_read_more().
	 */
	size_t (*receive)(void *ctx, const void *data, size_t len);

	/* There is room after a write that was cut short. May be called without need. */
	void (*writable)(void *ctx);

	/* The other side sent a break. May be NULL. */
	void (*receive_break)(void *ctx);

	/*
	 * The other side came (true), or it went (false): all it sent has been received, and it
	 * takes no more. A stream begins as closed; pipes and files are opened right after
	 * char_attach() and closed at their end or when nobody reads any more. May be NULL.
	 */
	void (*opened)(void *ctx, bool is_open);

	/* The terminal at the other side has this size now. May be NULL. */
	void (*resized)(void *ctx, uint16_t columns, uint16_t rows);
};

struct char_dev {
	const struct char_ops *ops;
	const struct char_front *front; /* NULL: nobody listens, nothing is read */
	void *front_ctx;
};

/*
 * Connects a front end and starts reading, or disconnects it (front NULL). The back end's thread, or
 * before its loop runs.
 */
static inline void char_attach(struct char_dev *c, const struct char_front *front, void *ctx)
{
	c->front_ctx = ctx;
	c->front = front;
	if (front && c->ops->read_more)
		c->ops->read_more(c);
}

/* Any thread. With no back end (NULL) everything is taken and dropped. */
static inline size_t char_write(struct char_dev *c, const void *data, size_t len)
{
	return c && c->ops->write ? c->ops->write(c, data, len) : len;
}

/* Any thread. */
static inline void char_read_more(struct char_dev *c)
{
	if (c && c->ops->read_more)
		c->ops->read_more(c);
}

static inline void char_drain(struct char_dev *c)
{
	if (c && c->ops->drain)
		c->ops->drain(c);
}

static inline void char_free(struct char_dev *c)
{
	if (c)
		c->ops->free(c);
}

/* For back ends, on their thread: hand bytes over; they stay with the caller if untaken. */
static inline size_t char_deliver(struct char_dev *c, const void *data, size_t len)
{
	return c->front ? c->front->receive(c->front_ctx, data, len) : 0;
}

static inline void char_deliver_writable(struct char_dev *c)
{
	if (c->front)
		c->front->writable(c->front_ctx);
}

static inline void char_deliver_break(struct char_dev *c)
{
	if (c->front && c->front->receive_break)
		c->front->receive_break(c->front_ctx);
}

static inline void char_deliver_resized(struct char_dev *c, uint16_t columns, uint16_t rows)
{
	if (c->front && c->front->resized)
		c->front->resized(c->front_ctx, columns, rows);
}

static inline void char_deliver_opened(struct char_dev *c, bool is_open)
{
	if (c->front && c->front->opened)
		c->front->opened(c->front_ctx, is_open);
}

#endif
