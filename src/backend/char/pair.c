/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/char/pair.h"

#include <stdlib.h>

#include "base/base.h"
#include "base/buf.h"

struct pair {
	struct char_dev dev;
	struct loop *loop;
	struct loop_work tell;
	struct char_dev *in, *out;

	/* The loop's thread. */
	bool is_in_open, is_out_open, is_told_open;
	bool has_missed_input; /* it came and went before the output was there */
};

static void tell_opened(struct pair *p)
{
	bool is_open = p->is_in_open && p->is_out_open;

	if (!p->dev.front || is_open == p->is_told_open)
		return;
	p->is_told_open = is_open;
	char_deliver_opened(&p->dev, is_open);
}

static void on_tell(struct loop_work *w)
{
	tell_opened(container_of(w, struct pair, tell));
}

/* ---- what the two say ---- */

static size_t in_receive(void *ctx, const void *data, size_t len)
{
	return char_deliver(&((struct pair *)ctx)->dev, data, len);
}

static void in_writable(void *ctx)
{
}

static void in_receive_break(void *ctx)
{
	char_deliver_break(&((struct pair *)ctx)->dev);
}

static void in_opened(void *ctx, bool is_open)
{
	struct pair *p = ctx;

	p->is_in_open = is_open;
	p->has_missed_input = !is_open && !p->is_told_open;
	tell_opened(p);
}

static void in_resized(void *ctx, uint16_t columns, uint16_t rows)
{
	char_deliver_resized(&((struct pair *)ctx)->dev, columns, rows);
}

static const struct char_front in_front = {
	.receive = in_receive,
	.writable = in_writable,
	.receive_break = in_receive_break,
	.opened = in_opened,
	.resized = in_resized,
};

static size_t out_receive(void *ctx, const void *data, size_t len)
{
	return len;
}

static void out_writable(void *ctx)
{
	char_deliver_writable(&((struct pair *)ctx)->dev);
}

static void out_opened(void *ctx, bool is_open)
{
	struct pair *p = ctx;

	p->is_out_open = is_open;
	if (is_open && p->has_missed_input) {
		p->has_missed_input = false;
		char_deliver_opened(&p->dev, true);
		char_deliver_opened(&p->dev, false);
	}
	tell_opened(p);
}

static const struct char_front out_front = {
	.receive = out_receive, .writable = out_writable, .opened = out_opened};

/* ---- what the front end asks ---- */

static size_t pair_write(struct char_dev *c, const void *data, size_t len)
{
	return char_write(container_of(c, struct pair, dev)->out, data, len);
}

static void pair_read_more(struct char_dev *c)
{
	struct pair *p = container_of(c, struct pair, dev);

	loop_post(p->loop, &p->tell, on_tell);
	char_read_more(p->in);
}

static void pair_drain(struct char_dev *c)
{
	char_drain(container_of(c, struct pair, dev)->out);
}

static void pair_free(struct char_dev *c)
{
	struct pair *p = container_of(c, struct pair, dev);

	p->dev.front = NULL;
	char_free(p->in);
	char_free(p->out);
	loop_cancel(p->loop, &p->tell);
	free(p);
}

static const struct char_ops pair_ops = {
	.write = pair_write, .read_more = pair_read_more, .drain = pair_drain, .free = pair_free};

struct char_dev *char_pair_new(struct loop *loop, struct char_dev *in, struct char_dev *out)
{
	struct pair *p = mem_alloc_zero(sizeof(*p));

	p->dev.ops = &pair_ops;
	p->loop = loop;
	p->in = in;
	p->out = out;
	char_attach(out, &out_front, p);
	char_attach(in, &in_front, p);
	return &p->dev;
}

/* ---- nothing ---- */

struct null {
	struct char_dev dev;
	struct loop *loop;
	struct loop_work tell;
	bool is_told_open;
};

static void on_tell_null(struct loop_work *w)
{
	struct null *n = container_of(w, struct null, tell);

	if (n->is_told_open)
		return;
	n->is_told_open = true;
	char_deliver_opened(&n->dev, true);
}

static void null_read_more(struct char_dev *c)
{
	struct null *n = container_of(c, struct null, dev);

	loop_post(n->loop, &n->tell, on_tell_null);
}

static void null_free(struct char_dev *c)
{
	struct null *n = container_of(c, struct null, dev);

	loop_cancel(n->loop, &n->tell);
	free(n);
}

static const struct char_ops null_ops = {.read_more = null_read_more, .free = null_free};

struct char_dev *char_null_new(struct loop *loop)
{
	struct null *n = mem_alloc_zero(sizeof(*n));

	n->dev.ops = &null_ops;
	n->loop = loop;
	return &n->dev;
}
