/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An image as its format sees it. Private to backend/block/.
 */
#ifndef BACKEND_BLOCK_BLOCK_IMPL_H
#define BACKEND_BLOCK_BLOCK_IMPL_H

#include "backend/block/block.h"
#include "host/loop.h"

/* A format. NULL functions: the documented default. */
struct block_ops {
	const char *name;

	/* A request inside the image and allowed. FLUSH and all else complete asynchronously. */
	void (*submit)(struct block *b, struct block_req *req);

	/*
	 * block_may_wait() of a request that submit would be given. BLOCK_READ with len 0: of what is
	 * in flight. NULL: never.
	 */
	bool (*may_wait)(const struct block *b, enum block_op op, uint64_t offset, uint64_t len);

	/* Writes out what is cached; nothing is in flight. NULL: nothing is cached. */
	int (*finish)(struct block *b);

	/* Frees the format's own state. */
	void (*free)(struct block *b);

	/* As block_map() but for this file alone: depth 0, or not allocated. NULL: all is data. */
	int (*map)(struct block *b, uint64_t offset, uint64_t len, struct block_extent *extent);

	/* NULL: -ENOTSUP. */
	int (*resize)(struct block *b, uint64_t size, struct error *err);
	int (*write_compressed)(struct block *b, uint64_t offset, const void *data, size_t len);
	int (*check)(struct block *b, struct block_check *check);

	/* NULL: none. */
	int (*snapshots)(struct block *b,
			 void (*each)(void *ctx, const struct block_snapshot *snapshot), void *ctx);
	void (*details)(const struct block *b, struct block_details *details);
};

/* Embedded as the first member of a format's struct. */
struct block {
	const struct block_ops *ops;
	char *path;
	struct aio *aio;
	bool owns_aio; /* the image block_open() made, not one below it */
	bool is_read_only;
	uint64_t size;
	unsigned physical_size, discard_granularity;
	struct block *backing; /* or NULL */
	struct block_stats stats;

	/* Delay of requests. */
	struct loop *loop;
	unsigned delay_ms;
	struct list delayed;
	struct loop_timer delay_timer;
};

/* Fills what all formats share; for constructors of formats. */
void block_init(struct block *b, const struct block_ops *ops, const struct block_params *params,
		struct aio *aio);

/* What a raw file is opened for. */
enum raw_use {
	RAW_TOLD,   /* as an image the user called raw: noted, so that it is never probed again */
	RAW_PROBED, /* as an image that looks like no other format, and must not begin to */
	RAW_INSIDE, /* as the file of an image of another format, or of a tool that may do all */
};

/* The extended attribute with that note. */
#define BLOCK_FORMAT_NOTE "user.bantam.format"

/* Each opens one format. The context is that of the whole chain. */
struct block *raw_open(const struct block_params *params, struct aio *aio, enum raw_use use,
		       struct error *err);
struct block *qcow2_open(const struct block_params *params, struct aio *aio, unsigned depth,
			 struct error *err);
struct block *cow_open(const struct block_params *params, struct aio *aio, unsigned depth,
		       struct error *err);

/* Opens an image below another one, depth images down, in the same context. */
struct block *block_open_below(const struct block_params *params, struct aio *aio, unsigned depth,
			       struct error *err);

int raw_create(const struct block_create_params *params, struct error *err);
int qcow2_create(const struct block_create_params *params, struct error *err);
int cow_create(const struct block_create_params *params, struct error *err);

/* ---- raw files, as the other formats use them ---- */

int raw_fd(const struct block *b);
uint64_t raw_file_size(const struct block *b); /* as the host has it now */
bool raw_is_device(const struct block *b);
unsigned raw_align(const struct block *b); /* bytes that are only written together: O_DIRECT's */
int raw_truncate(struct block *b, uint64_t size);

/* At once, on this thread, whole or not at all; for small and rare things. Past the end: zeroes. */
int raw_read_now(struct block *b, uint64_t offset, void *data, size_t len);
int raw_write_now(struct block *b, uint64_t offset, const void *data, size_t len);
int raw_flush_now(struct block *b);

/* ---- pieces ---- */

/* The end of a request: counts and calls its done. For done callbacks of the files below. */
void block_done(struct block_req *req, int rc);

/* Completes a request without more ado, later: with rc. */
void block_complete(struct block *b, struct block_req *req, int rc);

/* Copies the description of [skip, skip + len) of iov to out. Returns the number of pieces. */
unsigned iov_slice(const struct iovec *iov, unsigned nr, uint64_t skip, uint64_t len,
		   struct iovec *out);
void iov_fill_zero(const struct iovec *iov, unsigned nr, uint64_t skip, uint64_t len);
void iov_copy_to(const struct iovec *iov, unsigned nr, uint64_t skip, const void *data,
		 uint64_t len);
void iov_copy_from(const struct iovec *iov, unsigned nr, uint64_t skip, void *data, uint64_t len);

/*
 * Lays the image's lock on a descriptor: many may read, or one may write; QEMU keeps to the same
 * rules. Held until the descriptor is closed. Returns 0 or -EBUSY with err.
 */
int block_lock(int fd, const char *path, bool is_read_only, struct error *err);

/* The format that the first bytes of a file look like; NULL when they look like none. */
const char *block_magic(const uint8_t *data, size_t len);

/* base's folder with relative, unless that is absolute. To be freed. */
char *block_path_beside(const char *base, const char *relative);

#endif
