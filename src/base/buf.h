/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing run of bytes. Running out of host memory ends the process, as everywhere in bantam.
 * No locking.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* NULL while empty */
	size_t len;    /* bytes in use */
	size_t room;   /* bytes allocated */
};

/* malloc(), calloc() and strdup() that never return NULL. */
void *mem_alloc_zero(size_t size_bytes);
char *mem_strdup(const char *text);

void buf_free(struct buf *b);

/* Appends len bytes and returns where they went; data may be NULL for zero bytes. */
uint8_t *buf_append(struct buf *b, const void *data, size_t len);

/* Appends formatted text, without its terminating zero. */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first len bytes (at most all). */
void buf_drop_front(struct buf *b, size_t len);

/*
 * Ends the text with a zero byte that is not counted in len, and returns it. Valid until the next
 * change of b.
 */
char *buf_text(struct buf *b);

#endif
