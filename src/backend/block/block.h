/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disk images: an array of bytes that can be read and written, in a file of one of several formats
 * (raw files and block devices, qcow2, UML's COW files), perhaps with a chain of backing files.
 *
 * Requests are asynchronous. Everything runs on the thread of the loop given to block_open(); without
 * a loop everything is done on the calling thread by the time block_unplug() returns, which suits
 * tools. Images are opened and closed on any thread while no request is in flight. No locks.
 */
#ifndef BACKEND_BLOCK_BLOCK_H
#define BACKEND_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "backend/block/aio.h"
#include "base/error.h"

#define BLOCK_SECTOR	512
#define BLOCK_IOV_MAX	1022 /* pieces of a request: the system's IOV_MAX, and two of our own */
#define BLOCK_CHAIN_MAX 64   /* images in a chain of backing files; ends loops */

struct block;
struct block_req;

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES };
#define BLOCK_NR_OPS 5

/*
 * A request, embedded in its owner, who fills the first fields; offset and len in bytes. It is the
 * image's until done is called, which is never from within block_submit(). rc: 0 or a negative
 * errno; -EIO and -ENOSPC come from the host, -EINVAL: not inside the image, -EROFS: read-only.
 */
struct block_req {
	enum block_op op;
	bool may_unmap;		 /* WRITE_ZEROES: the space may be given back */
	uint64_t offset, len;	 /* any for FLUSH */
	const struct iovec *iov; /* READ, WRITE: len bytes in all; stays valid until done */
	unsigned nr_iov;	 /* at most BLOCK_IOV_MAX */
	void (*done)(struct block_req *req, int rc);

	/* The image's. */
	struct block *block;
	struct aio_req aio;
	struct list node;
	uint64_t deadline_ns;
	void *scratch;
};

struct block_params {
	const char *path;
	const char *format; /* "raw", "qcow2", "cow"; NULL: by the first bytes of the file */
	const char *backing_format; /* of a backing file, where the image does not tell; or NULL */
	bool is_read_only;
	bool is_direct;	      /* O_DIRECT: past the host's page cache */
	bool is_unlocked;     /* takes no lock: for looking at images in use */
	bool without_backing; /* leaves the backing file alone: reads there give zeroes */
	bool ignores_mtime;   /* COW: a backing file that changed is no error */
	bool is_unnoted;      /* raw: what is written is ours, not a guest's (see block_probe) */
	bool for_check;	      /* an image that is marked as damaged may be opened for writing */
	unsigned delay_ms;    /* each request takes this much longer */
	enum aio_kind aio;
	struct loop *loop; /* NULL: synchronous */
};

/*
 * Opens an image with its backing files, which are read-only and keep their own locks. Returns NULL
 * with a sentence that names the file: it does not exist, is in use, is damaged, has features this
 * program does not know.
 */
struct block *block_open(const struct block_params *params, struct error *err);

/*
 * Writes out what is cached and closes. No request is in flight. Returns 0 or the negative errno of
 * a write that failed. NULL is fine.
 */
int block_close(struct block *b);

/* Facts. */
uint64_t block_size(const struct block *b); /* bytes; a multiple of BLOCK_SECTOR */
bool block_is_read_only(const struct block *b);
const char *block_format(const struct block *b);
const char *block_path(const struct block *b);
const char *block_aio_name(const struct block *b);
unsigned block_physical_size(const struct block *b);	   /* best unit of access, in bytes */
unsigned block_discard_granularity(const struct block *b); /* in bytes */

/*
 * Queues a request; between block_plug() and block_unplug(), or from a done callback. The outermost
 * block_unplug() sends what was queued, with one system call where the host can do that, and calls
 * done of all that is complete by then. Alignment is the image's business.
 */
void block_submit(struct block *b, struct block_req *req);
void block_plug(struct block *b);
void block_unplug(struct block *b);

/*
 * Whether submitting and completing this request may make the thread wait for the host's disk, because
 * a format has to read or write tables of its own before it can go on. For threads that borrowed the
 * loop, which leave such a request to the loop's own. The owner's fields of req are filled, and the
 * answer holds until the next request is submitted. req NULL: the same of block_unplug() alone, for
 * what was submitted before. Not foreseen is what is said once of an image: that it is damaged.
 */
bool block_may_wait(const struct block *b, const struct block_req *req);

/* Waits until no request is in flight; done has been called for all. Not from done. */
void block_drain(struct block *b);

/*
 * begin and end are called around each run of done callbacks, for devices that answer a guest once
 * for many. NULL takes them back.
 */
void block_on_completions(struct block *b, void (*begin)(void *ctx), void (*end)(void *ctx),
			  void *ctx);

/* What was asked of an image since it was opened, and what it cost. */
struct block_stats {
	uint64_t requests[BLOCK_NR_OPS];
	uint64_t bytes[BLOCK_NR_OPS];
	uint64_t errors;
	uint64_t calls; /* system calls on the loop's thread */
};
void block_get_stats(const struct block *b, struct block_stats *stats);

/* ---- for tools: images opened without a loop ---- */

int block_read(struct block *b, uint64_t offset, void *data, size_t len);
int block_write(struct block *b, uint64_t offset, const void *data, size_t len);
int block_flush(struct block *b);
int block_write_zeroes(struct block *b, uint64_t offset, uint64_t len);
int block_discard(struct block *b, uint64_t offset, uint64_t len);

/* Where the bytes of an image are. */
struct block_extent {
	uint64_t offset, len; /* of the image */
	unsigned depth;	      /* how many backing files down they are */
	bool is_allocated;    /* in that file; else in none, and they read as zeroes */
	bool is_zero;	      /* they read as zeroes */
	bool is_compressed;
	bool has_host_offset;
	uint64_t host_offset; /* in the file at that depth */
};

/* The run that begins at offset, at most len bytes. Returns 0 or a negative errno. */
int block_map(struct block *b, uint64_t offset, uint64_t len, struct block_extent *extent);

/* The same of this image alone: neither allocated nor zero means that its backing file counts. */
int block_map_layer(struct block *b, uint64_t offset, uint64_t len, struct block_extent *extent);

/* Changes the size; growing gives zeroes. Returns 0 or a negative errno with err. */
int block_resize(struct block *b, uint64_t size, struct error *err);

/*
 * Looks for what is wrong with an image that has counters of its own (qcow2). say is called for each
 * thing found, at most 100 times, and may be NULL.
 */
struct block_check {
	bool repairs; /* makes right what can be */
	void (*say)(void *ctx, const char *text);
	void *ctx;
	uint64_t corruptions, corruptions_fixed;  /* data is or may get lost */
	uint64_t leaks, leaks_fixed;		  /* clusters that are in use for nothing */
	uint64_t clusters, allocated, compressed; /* of the guest's */
};

/* Returns 0, -ENOTSUP for formats without counters, or a negative errno. */
int block_check(struct block *b, struct block_check *check);

/* Snapshots inside an image: calls for each. Returns 0 or a negative errno. */
struct block_snapshot {
	const char *id, *name;
	uint64_t seconds; /* since 1970 */
	uint64_t disk_size, vm_state_size;
};
int block_snapshots(struct block *b, void (*each)(void *ctx, const struct block_snapshot *snapshot),
		    void *ctx);

/* Facts of a format beyond those above. */
struct block_details {
	unsigned cluster_size, version, refcount_bits; /* qcow2; 0: none */
	const char *compression;		       /* or NULL */
	bool has_lazy_refcounts, is_dirty, is_corrupt;
	const char *backing_name, *backing_format; /* or NULL */
	uint64_t backing_mtime;			   /* cow */
};
void block_get_details(const struct block *b, struct block_details *details);

/* The backing file, or NULL. */
struct block *block_backing(struct block *b);

/* Cluster c of a compressed image: compresses and stores. -ENOTSUP where the format cannot. */
int block_write_compressed(struct block *b, uint64_t offset, const void *data, size_t len);

/* ---- formats ---- */

struct block_create_params {
	const char *path;
	const char *format;	    /* "raw", "qcow2" or "cow" */
	uint64_t size;		    /* 0: that of the backing file */
	const char *backing;	    /* or NULL; as the image will name it, relative to the image */
	const char *backing_format; /* raw or qcow2; required with backing for qcow2 */
	unsigned cluster_size;	    /* qcow2; 0: 64 KiB */
	unsigned version;	    /* qcow2: 2 or 3; 0: 3 */
	bool uses_zstd;		    /* qcow2: compressed clusters by zstd */
	bool uses_lazy_refcounts;   /* qcow2 */
	bool may_replace;	    /* an existing file is overwritten */
};

/* Makes an image. Leaves nothing behind when it fails. Returns 0 or a negative errno with err. */
int block_create(const struct block_create_params *params, struct error *err);

/*
 * The format by the first bytes of a file: "raw", "qcow2", "cow", or the name of a format that is
 * known but not supported. A file that was once opened as raw and written stays raw where the host's
 * file system can hold that note. Returns NULL with err when the file cannot be read.
 */
const char *block_probe(const char *path, struct error *err);

/* Whether a word names a format that block_open() takes. */
bool block_format_is_known(const char *format);

#endif
