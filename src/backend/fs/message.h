/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests and responses of the file system protocols as streams of bytes over memory in pieces,
 * which is the guest's: it may change at any time, so each field is copied out once and the copy is
 * used. Numbers are little-endian, as the host's are. Any thread; no locking.
 */
#ifndef BACKEND_FS_MESSAGE_H
#define BACKEND_FS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* A position in memory in pieces. */
struct fs_stream {
	const struct iovec *iov;
	size_t skipped; /* of iov[0] */
	size_t left;	/* bytes from here to the end */
};

void fs_stream_init(struct fs_stream *s, const struct iovec *iov, unsigned nr);

/* Leaves out all but the next len bytes. */
void fs_stream_limit(struct fs_stream *s, size_t len);

/* Moves the next len bytes. False, with nothing moved, when fewer are left. */
bool fs_stream_get(struct fs_stream *s, void *dst, size_t len);
bool fs_stream_put(struct fs_stream *s, const void *src, size_t len);
bool fs_stream_skip(struct fs_stream *s, size_t len);

/*
 * Moves past a text and the zero byte that ends it, and copies both to dst. False when there is none
 * of at most size - 1 bytes.
 */
bool fs_stream_get_text(struct fs_stream *s, char *dst, size_t size);

/*
 * The next bytes as pieces of memory, for preadv() and pwritev(): at most len bytes in at most max
 * pieces. Returns the number of pieces; *got becomes the bytes in them. The position stays.
 */
unsigned fs_stream_pieces(const struct fs_stream *s, size_t len, struct iovec *iov, unsigned max,
			  size_t *got);

/*
 * A request on its way: embedded by whoever submits it, who keeps it and the memory it names until
 * done() is called, once, on the server's thread, possibly before the submitting call returns.
 */
struct fs_request {
	const struct iovec *in, *out; /* the request's bytes; room for the response */
	unsigned nr_in, nr_out;
	size_t written; /* bytes of the response; 0 when there is none */
	void (*done)(struct fs_request *r);
};

#endif
