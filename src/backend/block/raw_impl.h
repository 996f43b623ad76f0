/* SPDX-License-Identifier: BSD-2-Clause */
/* What raw.c and raw_direct.c share. Threads as in block.h. */
#ifndef BACKEND_BLOCK_RAW_IMPL_H
#define BACKEND_BLOCK_RAW_IMPL_H

#include "backend/block/block_impl.h"

#define RAW_DIRECT_ALIGN 4096 /* of our own buffers: enough for every host */

struct raw {
	struct block block;
	int fd;
	enum raw_use use;
	bool is_direct, is_device;
	bool cannot_punch, cannot_zero; /* the host's file system said so */
	bool is_dirty;			/* something was written since the last flush began */
	unsigned nr_flushes;		/* in flight */
	int lost;			/* negative errno: the host lost what it was to write out */
	unsigned align, align_memory;	/* with O_DIRECT, of offsets and addresses */
	struct list writes;		/* with O_DIRECT: in flight */
	struct list waiting;		/* with O_DIRECT: for a write in flight to end */
};

/* What a request needs beyond its own fields. */
struct raw_progress {
	uint64_t moved;	 /* bytes done in earlier steps */
	uint64_t span;	 /* WRITE_ZEROES: bytes of this step */
	uint64_t start;	 /* bounced: of the aligned range */
	uint8_t *bounce; /* bounced: its bytes */
	size_t bounce_len;
	bool reads_first; /* bounced write that is still reading */
	struct iovec one;
	unsigned nr_room;
	struct iovec rest[]; /* what is left of the vector */
};

static inline struct raw *raw_of(const struct block *b)
{
	return container_of(b, struct raw, block);
}

/* ---- raw.c ---- */

/* What req->scratch becomes, with room for nr_iov pieces. */
struct raw_progress *raw_progress_new(struct block_req *req, unsigned nr_iov);

/* Frees what the request needed, and ends it. */
void raw_finish(struct block_req *req, int rc);

/* Reads or writes, and goes on until all of the request is moved. */
void raw_move(struct block_req *req, const struct iovec *iov, unsigned nr, uint64_t offset);

/* On this thread, whole or not at all; past the end: zeroes. Returns 0 or a negative errno. */
int raw_transfer_now(int fd, uint64_t offset, uint8_t *data, size_t len, bool writes);

/* ---- raw_direct.c: files that are open with O_DIRECT ---- */

/* Fills align and align_memory; safe values for a file open without O_DIRECT. */
void raw_direct_find_alignment(struct raw *r);

/* A read or a write. */
void raw_direct_submit(struct raw *r, struct block_req *req);

/* A write is over: those that waited for it go on. */
void raw_direct_end_write(struct raw *r, struct block_req *req);

/* As raw_transfer_now(), with any alignment. */
int raw_direct_now(struct raw *r, uint64_t offset, uint8_t *data, size_t len, bool writes);

#endif
