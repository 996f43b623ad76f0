/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

void *mem_alloc_zero(size_t size_bytes)
{
	void *p = calloc(1, size_bytes ? size_bytes : 1);

	BUG_ON(!p);
	return p;
}

char *mem_strdup(const char *text)
{
	char *copy = strdup(text);

	BUG_ON(!copy);
	return copy;
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

static void make_room(struct buf *b, size_t more)
{
	size_t room = b->room ? b->room : 64;

	while (room - b->len < more)
		room *= 2;
	if (room == b->room)
		return;
	b->data = realloc(b->data, room);
	BUG_ON(!b->data);
	b->room = room;
}

uint8_t *buf_append(struct buf *b, const void *data, size_t len)
{
	make_room(b, len + 1);
	uint8_t *at = b->data + b->len;

	if (data)
		memcpy(at, data, len);
	else
		memset(at, 0, len);
	b->len += len;
	return at;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);
	make_room(b, (size_t)n + 1);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
	va_end(again);
	b->len += (size_t)n;
}

void buf_drop_front(struct buf *b, size_t len)
{
	len = min(len, b->len);
	if (len)
		memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
}

char *buf_text(struct buf *b)
{
	make_room(b, 1);
	b->data[b->len] = '\0';
	return (char *)b->data;
}
