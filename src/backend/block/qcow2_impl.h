/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A qcow2 image in memory (docs/interop/qcow2 of QEMU describes the format). Private to the files
 * qcow2*.c.
 *
 * Guest clusters are found through an L1 table and L2 tables; each host cluster has a reference count
 * in refcount blocks, which the refcount table lists. All four are cached, changed in memory and
 * written out together (qcow2_writeback.c) in an order that leaves the file consistent wherever it is
 * interrupted:
 *
 *     refcount blocks, refcount table, L2 tables, L1 table
 *
 * with data written before its L2 entry is even set in memory. Counts only grow before that; clusters
 * that became free are given up after the tables without them are on disk, and not reused before.
 */
#ifndef BACKEND_BLOCK_QCOW2_IMPL_H
#define BACKEND_BLOCK_QCOW2_IMPL_H

#include "backend/block/block_impl.h"
#include "base/buf.h"

#define QCOW2_INCOMPATIBLE_DIRTY       BIT64(0)
#define QCOW2_INCOMPATIBLE_CORRUPT     BIT64(1)
#define QCOW2_INCOMPATIBLE_COMPRESSION BIT64(3)
#define QCOW2_COMPATIBLE_LAZY	       BIT64(0)

#define QCOW2_L1_MAX	    (32 * MIB) /* bytes; QEMU's limit: 2 EiB with 2 MiB clusters */
#define QCOW2_REFTABLE_MAX  (8 * MIB)  /* bytes; QEMU's limit */
#define QCOW2_SNAPSHOTS_MAX 65536      /* QEMU's limit */

/* Bits of L1 and L2 entries. */
#define ENTRY_COPIED	 BIT64(63) /* the cluster's count is exactly 1 */
#define ENTRY_COMPRESSED BIT64(62)
#define ENTRY_ZERO	 BIT64(0)
#define ENTRY_OFFSET	 UINT64_C(0x00fffffffffffe00)

struct qcow2;

/* A cluster of metadata as it is in the file: big-endian. */
struct qcow2_table {
	struct qcow2 *owner;
	uint64_t offset; /* in the file */
	uint8_t *data;
	uint32_t dirty_from, dirty_to; /* bytes that differ from the file; equal: none */
	unsigned index;		       /* in the L1 or refcount table */
	unsigned nr_pins;	       /* users that keep a pointer across callbacks */
	bool is_loading;
	struct list node;    /* L2 tables: least recently used first */
	struct list waiters; /* requests, while it loads */
	struct block_req load;
	struct iovec load_iov;
};

/* A run of host clusters whose counts will go down by one. */
struct qcow2_free {
	uint64_t cluster, nr;
};

struct qcow2_frees {
	struct qcow2_free *runs;
	unsigned nr, room;
};

struct qcow2_writeback;

struct qcow2 {
	struct block block;
	struct block *file; /* a raw image */

	/* The header. */
	unsigned version, cluster_bits, refcount_order, header_length;
	uint64_t incompatible, compatible, autoclear;
	uint64_t l1_offset, reftable_offset, snapshots_offset;
	uint32_t l1_size, reftable_clusters, nr_snapshots; /* l1_size: entries */
	bool uses_zstd;
	char *backing_name, *backing_format; /* or NULL */

	/* Derived from it. */
	uint64_t cluster_size;
	unsigned l2_bits;  /* an L2 table has 1 << l2_bits entries */
	unsigned ref_bits; /* a refcount block has 1 << ref_bits counts */

	/* L1 and refcount table: whole, in the host's byte order. */
	uint64_t *l1, *reftable;
	unsigned nr_reftable;							     /* entries */
	uint32_t l1_dirty_from, l1_dirty_to, reftable_dirty_from, reftable_dirty_to; /* entries */

	/* Caches, by index in those tables. */
	struct qcow2_table **l2, **refs;
	struct list l2_used;
	unsigned nr_l2, nr_l2_max;

	/* Allocation. */
	uint64_t free_hint;  /* no cluster below is free */
	uint64_t fresh_from; /* offset in the file from which on nothing was ever written */

	/* Clusters on their way to being free: since the last writeback, in the running one, and
	 * those that only wait for requests older than free_seq to end. */
	struct qcow2_frees frees, frees_writing, frees_ready;
	uint64_t free_seq;

	struct list active; /* requests, oldest first */
	uint64_t seq;
	unsigned nr_late;   /* of them, changes that have not been handed out whole */
	struct list allocs; /* guest clusters being allocated */

	struct qcow2_writeback *writeback; /* the running one, or NULL */
	struct list flushes;		   /* requests for the next one */
	unsigned nr_discards;		   /* of freed clusters, in flight */

	bool is_corrupt;	/* found while running: nothing is written any more */
	uint64_t compressed_at; /* where the next compressed cluster may go; 0: in a new cluster */

	uint8_t *zeroes; /* a cluster of them to write, or NULL */

	/* The compressed cluster read last. */
	uint8_t *unpacked;
	uint64_t unpacked_entry; /* its L2 entry; 0: none */
};

static inline struct qcow2 *qcow2_of(struct block *b)
{
	return container_of(b, struct qcow2, block);
}

static inline uint64_t qcow2_clusters(const struct qcow2 *q, uint64_t bytes)
{
	return (bytes >> q->cluster_bits) + ((bytes & (q->cluster_size - 1)) != 0);
}

/* The image is damaged: says so once, marks it, and stops writing. Returns -EIO. */
int qcow2_damaged(struct qcow2 *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whether [offset, offset + len) of the file is where header, L1 or refcount table are. */
bool qcow2_is_metadata(const struct qcow2 *q, uint64_t offset, uint64_t len);

/* Writes a field of the header at once. */
int qcow2_write_header(struct qcow2 *q, unsigned offset, const void *data, size_t len);
int qcow2_write_incompatible(struct qcow2 *q, uint64_t incompatible);

/* L1 and refcount table from the file, which the header names; and all caches gone. */
int qcow2_read_tables(struct qcow2 *q);
void qcow2_drop_tables(struct qcow2 *q);

/* ---- tables ---- */

struct qcow2_table *qcow2_table_new(struct qcow2 *q, uint64_t offset, unsigned index);
void qcow2_table_free(struct qcow2_table *t);
void qcow2_table_dirty(struct qcow2_table *t, uint32_t from, uint32_t to);

/* ---- refcounts: qcow2_refcount.c; read from the file at once when they are not cached ---- */

int qcow2_refcount(struct qcow2 *q, uint64_t cluster, uint64_t *count);
int qcow2_refcount_add(struct qcow2 *q, uint64_t cluster, int64_t delta);
uint64_t qcow2_count_at(const struct qcow2 *q, const uint8_t *block, unsigned i);
void qcow2_count_set(const struct qcow2 *q, uint8_t *block, unsigned i, uint64_t count);
static inline uint64_t qcow2_count_max(const struct qcow2 *q)
{
	return q->refcount_order == 6 ? UINT64_MAX : BIT64(1u << q->refcount_order) - 1;
}

/*
 * Takes up to *nr free clusters in a row (at least one), each with a count of 1. *offset is where
 * they are in the file, *is_fresh whether they read as zeroes. Returns 0 or a negative errno.
 */
int qcow2_alloc(struct qcow2 *q, uint64_t *nr, uint64_t *offset, bool *is_fresh);

/* Takes exactly nr clusters in a row. */
int qcow2_alloc_row(struct qcow2 *q, uint64_t nr, uint64_t *offset);

/* Whether taking nr clusters, in however many calls, may read, write or flush the file. */
bool qcow2_alloc_may_wait(const struct qcow2 *q, uint64_t nr);

/* Nobody ever referred to these: free again at once. */
void qcow2_unalloc(struct qcow2 *q, uint64_t offset, uint64_t nr);

/* What the tables referred to until now: its count goes down after they are on disk. */
void qcow2_free_later(struct qcow2 *q, uint64_t offset, uint64_t nr);
void qcow2_free_entry_later(struct qcow2 *q, uint64_t entry); /* an L2 entry's */

/* Frees what is ready and not in use by older requests. */
void qcow2_apply_frees(struct qcow2 *q);
void qcow2_frees_move(struct qcow2_frees *to, struct qcow2_frees *from);

/* ---- L2 tables: qcow2_l2.c ---- */

enum qcow2_kind { QCOW2_NOWHERE, QCOW2_ZERO, QCOW2_NORMAL, QCOW2_COMPRESSED };

/* A run of guest clusters of one kind. */
struct qcow2_run {
	enum qcow2_kind kind;
	bool is_ours;	/* NORMAL: may be written in place. ZERO: host may be used for data */
	uint64_t entry; /* the first cluster's */
	uint64_t host;	/* of the first byte asked for; ZERO: of the cluster, or 0 */
	uint64_t len;	/* bytes from the one asked for */
};

struct qcow2_req;

/*
 * The run at guest offset, at most len bytes and within one L2 table. Returns 0, -EIO, or
 * -EINPROGRESS: the table is being loaded, and waiter is run when it is there (or not).
 * waiter NULL: loads at once.
 */
int qcow2_lookup(struct qcow2 *q, uint64_t offset, uint64_t len, struct qcow2_run *run,
		 struct qcow2_req *waiter);

/* The L2 table of an offset as one that may be changed: made or copied if need be. Likewise. */
int qcow2_l2_for_change(struct qcow2 *q, uint64_t offset, struct qcow2_table **t,
			struct qcow2_req *waiter);

static inline unsigned qcow2_l2_index(const struct qcow2 *q, uint64_t offset)
{
	return (unsigned)(offset >> q->cluster_bits) & (unsigned)(BIT64(q->l2_bits) - 1);
}
static inline unsigned qcow2_l1_index(const struct qcow2 *q, uint64_t offset)
{
	return (unsigned)(offset >> (q->cluster_bits + q->l2_bits));
}
uint64_t qcow2_entry(const struct qcow2_table *t, unsigned i);
void qcow2_set_entry(struct qcow2_table *t, unsigned i, uint64_t entry);

/* The bytes of the file a compressed entry refers to. */
void qcow2_compressed_range(const struct qcow2 *q, uint64_t entry, uint64_t *offset, uint64_t *len);

/* Whether the L2 tables of a range, as far as there are some, are in memory. */
bool qcow2_l2_is_loaded(const struct qcow2 *q, uint64_t offset, uint64_t len);

/* Whether a write there changes nothing but data. The tables are loaded. */
bool qcow2_is_in_place(const struct qcow2 *q, uint64_t offset, uint64_t len);

/* Makes room in the cache when there is too much in it. */
void qcow2_l2_trim(struct qcow2 *q);

/* ---- requests: qcow2_io.c ---- */

void qcow2_submit(struct block *b, struct block_req *req);
bool qcow2_may_wait(const struct block *b, enum block_op op, uint64_t offset, uint64_t len);
void qcow2_wait(struct qcow2_req *r, struct list *waiters);
void qcow2_wake(struct list *waiters);
void qcow2_fail_all(struct list *waiters, int rc);
uint64_t qcow2_oldest_seq(const struct qcow2 *q); /* of the requests in q->active, which has some */

/* ---- writing out: qcow2_writeback.c ---- */

/* A request to flush; it is done when all that was completed before is on disk. */
void qcow2_flush(struct qcow2 *q, struct block_req *req);

/* Starts writing what is dirty, for the room in the cache. */
void qcow2_write_some(struct qcow2 *q);

/* Everything on disk and freed; nothing is in flight. */
int qcow2_finish(struct block *b);

/* All dirty refcount blocks, at once. They stay dirty: a writeback in flight may have older ones. */
int qcow2_write_refcounts_now(struct qcow2 *q);

/* ---- compression: qcow2_compress.c ---- */

/* Both return 0 or a negative errno; *out_len: in: room, out: bytes. -ENOSPC: does not shrink. */
int qcow2_unpack(bool is_zstd, const uint8_t *in, size_t len, uint8_t *out, size_t out_len);
int qcow2_pack(bool is_zstd, const uint8_t *in, size_t len, uint8_t *out, size_t *out_len);
bool qcow2_has_zstd(void);

/* ---- for tools: qcow2_tool.c, qcow2_check.c ---- */

int qcow2_check(struct block *b, struct block_check *check);
int qcow2_snapshots(struct block *b, void (*each)(void *ctx, const struct block_snapshot *snapshot),
		    void *ctx);
void qcow2_details(const struct block *b, struct block_details *details);

/* One entry of the snapshot table; *at is moved to the next. */
struct qcow2_snapshot {
	uint64_t l1_offset;
	uint32_t l1_size;
	char id[64], name[256];
	uint64_t seconds, disk_size, vm_state_size;
};
int qcow2_read_snapshot(struct qcow2 *q, uint64_t *at, struct qcow2_snapshot *s);

int qcow2_map(struct block *b, uint64_t offset, uint64_t len, struct block_extent *e);
int qcow2_resize(struct block *b, uint64_t size, struct error *err);
int qcow2_write_packed(struct block *b, uint64_t offset, const void *data, size_t len);

#endif
