/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What only tools ask of a qcow2 image; synchronous, nothing else in flight.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/qcow2_impl.h"

/* ---- where things are ---- */

int qcow2_map(struct block *b, uint64_t offset, uint64_t len, struct block_extent *e)
{
	struct qcow2 *q = qcow2_of(b);
	struct qcow2_run run;
	int rc = qcow2_lookup(q, offset, len, &run, NULL);

	if (rc)
		return rc;
	*e = (struct block_extent){.offset = offset, .len = run.len};
	e->is_allocated = run.kind == QCOW2_NORMAL || run.kind == QCOW2_COMPRESSED;
	e->is_zero = run.kind == QCOW2_ZERO;
	e->is_compressed = run.kind == QCOW2_COMPRESSED;
	e->has_host_offset = run.kind == QCOW2_NORMAL;
	e->host_offset = run.host;
	return 0;
}

void qcow2_details(const struct block *b, struct block_details *d)
{
	const struct qcow2 *q = container_of(b, const struct qcow2, block);

	d->cluster_size = (unsigned)q->cluster_size;
	d->version = q->version;
	d->refcount_bits = 1u << q->refcount_order;
	d->compression = q->uses_zstd ? "zstd" : "zlib";
	d->has_lazy_refcounts = q->compatible & QCOW2_COMPATIBLE_LAZY;
	d->is_dirty = q->incompatible & QCOW2_INCOMPATIBLE_DIRTY;
	d->is_corrupt = q->incompatible & QCOW2_INCOMPATIBLE_CORRUPT;
	d->backing_name = q->backing_name;
	d->backing_format = q->backing_format;
}

/* ---- snapshots ---- */

struct snapshot_head {
	uint64_t l1_offset;
	uint32_t l1_size;
	uint16_t id_len, name_len;
	uint32_t seconds, nanoseconds;
	uint64_t vm_clock_ns;
	uint32_t vm_state_size, extra_len;
} __attribute__((packed));

int qcow2_read_snapshot(struct qcow2 *q, uint64_t *at, struct qcow2_snapshot *s)
{
	struct snapshot_head h;
	uint64_t extra[2] = {0};
	int rc = raw_read_now(q->file, *at, &h, sizeof(h));

	if (rc)
		return rc;
	uint32_t extra_len = be32toh(h.extra_len);
	uint16_t id_len = be16toh(h.id_len), name_len = be16toh(h.name_len);
	if (extra_len > 1024)
		return -EUCLEAN;
	*s = (struct qcow2_snapshot){.l1_offset = be64toh(h.l1_offset),
				     .l1_size = be32toh(h.l1_size),
				     .seconds = be32toh(h.seconds),
				     .vm_state_size = be32toh(h.vm_state_size),
				     .disk_size = q->block.size};
	rc = raw_read_now(q->file, *at + sizeof(h), extra, min((size_t)extra_len, sizeof(extra)));
	if (extra_len >= 8)
		s->vm_state_size = be64toh(extra[0]);
	if (extra_len >= 16)
		s->disk_size = be64toh(extra[1]);
	uint64_t text = *at + sizeof(h) + extra_len;
	if (!rc)
		rc = raw_read_now(q->file, text, s->id, min((size_t)id_len, sizeof(s->id) - 1));
	if (!rc)
		rc = raw_read_now(q->file, text + id_len, s->name,
				  min((size_t)name_len, sizeof(s->name) - 1));
	*at = ALIGN_UP(text + id_len + name_len, 8);
	if (s->l1_offset & (q->cluster_size - 1) || s->l1_size * 8ull > QCOW2_L1_MAX ||
	    s->l1_offset > INT64_MAX / 2)
		return -EUCLEAN;
	return rc;
}

int qcow2_snapshots(struct block *b, void (*each)(void *ctx, const struct block_snapshot *snapshot),
		    void *ctx)
{
	struct qcow2 *q = qcow2_of(b);
	uint64_t at = q->snapshots_offset;
	struct qcow2_snapshot s;

	for (uint32_t i = 0; i < q->nr_snapshots; i++) {
		int rc = qcow2_read_snapshot(q, &at, &s);

		if (rc)
			return rc;
		each(ctx, &(struct block_snapshot){.id = s.id,
						   .name = s.name,
						   .seconds = s.seconds,
						   .disk_size = s.disk_size,
						   .vm_state_size = s.vm_state_size});
	}
	return 0;
}

/* ---- size ---- */

static int write_size(struct qcow2 *q, uint64_t size)
{
	uint64_t field = htobe64(size);
	int rc = raw_flush_now(q->file);

	if (!rc)
		rc = qcow2_write_header(q, 24, &field, sizeof(field));
	if (!rc)
		q->block.size = size;
	return rc;
}

/* A longer L1 table in a new place; the header names it when it and its counts are on disk. */
static int grow_l1(struct qcow2 *q, uint32_t nr)
{
	uint64_t clusters = qcow2_clusters(q, nr * 8ull), bytes = clusters << q->cluster_bits;
	uint64_t old_offset = q->l1_offset, offset;
	uint64_t old_clusters = qcow2_clusters(q, q->l1_size * 8ull);
	int rc = qcow2_alloc_row(q, clusters, &offset);

	if (!rc)
		rc = qcow2_finish(&q->block);
	if (rc)
		return rc;
	uint64_t *copy = mem_alloc_zero(bytes);
	for (uint32_t i = 0; i < q->l1_size; i++)
		copy[i] = htobe64(q->l1[i]);
	rc = raw_write_now(q->file, offset, copy, bytes);
	free(copy);
	if (!rc)
		rc = raw_flush_now(q->file);
	struct {
		uint32_t size;
		uint64_t offset;
	} __attribute__((packed)) field = {htobe32(nr), htobe64(offset)};
	if (!rc)
		rc = qcow2_write_header(q, 36, &field, sizeof(field));
	if (!rc)
		rc = raw_flush_now(q->file);
	if (rc)
		return rc;
	q->l1 = realloc(q->l1, max(nr, 1u) * sizeof(*q->l1));
	q->l2 = realloc(q->l2, max(nr, 1u) * sizeof(*q->l2));
	BUG_ON(!q->l1 || !q->l2);
	for (uint32_t i = q->l1_size; i < nr; i++) {
		q->l1[i] = 0;
		q->l2[i] = NULL;
	}
	q->l1_size = nr;
	q->l1_offset = offset;
	qcow2_free_later(q, old_offset, old_clusters);
	return qcow2_finish(&q->block);
}

static int grow(struct qcow2 *q, uint64_t size, struct error *err)
{
	const char *path = q->block.path;
	uint64_t old = q->block.size, entries = qcow2_clusters(q, size), per_l2 = BIT64(q->l2_bits);
	uint64_t nr = entries / per_l2 + (entries % per_l2 != 0);
	int rc = 0;

	if (nr * 8 > QCOW2_L1_MAX)
		return error_set(
			err, -EFBIG,
			"%s: clusters of %llu bytes are too small for a disk of %llu bytes", path,
			(unsigned long long)q->cluster_size, (unsigned long long)size);
	if (nr > q->l1_size)
		rc = grow_l1(q, (uint32_t)nr);
	if (!rc)
		rc = write_size(q, size);
	/* A longer backing file must not show through. */
	if (!rc && q->block.backing && q->block.backing->size > old)
		rc = block_write_zeroes(&q->block, old, min(size, q->block.backing->size) - old);
	return rc ? error_set_errno(err, rc, "%s", path) : 0;
}

static int shrink(struct qcow2 *q, uint64_t size, struct error *err)
{
	uint64_t old = q->block.size, aligned = min(ALIGN_UP(size, q->cluster_size), old);
	int rc = 0;

	if (q->nr_snapshots)
		return error_set(err, -ENOTSUP, "%s has snapshots, which would not fit any more",
				 q->block.path);
	if (aligned > size)
		rc = block_write_zeroes(&q->block, size, aligned - size);
	if (!rc)
		rc = block_discard(&q->block, aligned, old - aligned);
	if (!rc)
		rc = qcow2_finish(&q->block);
	if (!rc)
		rc = write_size(q, size);
	return rc ? error_set_errno(err, rc, "%s", q->block.path) : 0;
}

int qcow2_resize(struct block *b, uint64_t size, struct error *err)
{
	struct qcow2 *q = qcow2_of(b);

	size = ALIGN_UP(size, BLOCK_SECTOR);
	if (size > b->size || !q->l1_size)
		return grow(q, size, err);
	return size < b->size ? shrink(q, size, err) : 0;
}

/* ---- compressed clusters ---- */

/*
 * Room for len bytes: behind the last compressed cluster if they fit into what is left of its host
 * cluster, else in a new one. Each compressed cluster counts for the host cluster it is in.
 */
static int room_for_packed(struct qcow2 *q, size_t len, uint64_t *at)
{
	uint64_t mask = q->cluster_size - 1, nr = 1;
	bool is_fresh;

	if (q->compressed_at & mask && (q->compressed_at & mask) + len <= q->cluster_size) {
		int rc = qcow2_refcount_add(q, q->compressed_at >> q->cluster_bits, 1);

		if (rc)
			return rc;
	} else {
		int rc = qcow2_alloc(q, &nr, &q->compressed_at, &is_fresh);

		if (rc)
			return rc;
	}
	*at = q->compressed_at;
	q->compressed_at += len;
	return 0;
}

int qcow2_write_packed(struct block *b, uint64_t offset, const void *data, size_t len)
{
	struct qcow2 *q = qcow2_of(b);
	uint8_t *whole = mem_alloc_zero(2 * q->cluster_size), *packed = whole + q->cluster_size;
	size_t packed_len = q->cluster_size - 1;
	struct qcow2_table *t;
	uint64_t at;
	int rc = -EINVAL;

	if (offset & (q->cluster_size - 1) || len > q->cluster_size)
		goto out;
	memcpy(whole, data, len);
	rc = qcow2_pack(q->uses_zstd, whole, q->cluster_size, packed, &packed_len);
	if (rc == -ENOSPC) {
		rc = block_write(b, offset, data, len);
		goto out;
	}
	block_plug(b);
	if (!rc)
		rc = qcow2_l2_for_change(q, offset, &t, NULL);
	if (!rc)
		rc = room_for_packed(q, packed_len, &at);
	if (!rc)
		rc = raw_write_now(q->file, at, packed, packed_len);
	if (!rc) {
		unsigned shift = 62 - (q->cluster_bits - 8), i = qcow2_l2_index(q, offset);
		uint64_t sectors = ((at & (BLOCK_SECTOR - 1)) + packed_len - 1) / BLOCK_SECTOR;

		qcow2_free_entry_later(q, qcow2_entry(t, i));
		qcow2_set_entry(t, i, ENTRY_COMPRESSED | sectors << shift | at);
	}
	block_unplug(b);
out:
	free(whole);
	return rc;
}
