/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header of qcow2 images: opening, with everything in it checked, and creating. Not supported
 * are encryption, external data files, extended L2 entries and bitmaps.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backend/block/qcow2_impl.h"
#include "base/log.h"

#define HEADER_V2	 72
#define HEADER_V3	 104  /* at least */
#define HEADER_ROOM	 112  /* what is understood of it */
#define BACKING_NAME_MAX 1023 /* of the format */
#define CLUSTER_BITS_MIN 9
#define CLUSTER_BITS_MAX 21
#define L2_CACHE_MAX	 (32 * MIB) /* covers 256 GiB with clusters of 64 KiB */

#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_FEATURE_NAMES	 0x6803f857u

struct header {
	uint32_t magic, version;
	uint64_t backing_offset;
	uint32_t backing_len, cluster_bits;
	uint64_t size;
	uint32_t crypt_method, l1_size;
	uint64_t l1_offset, reftable_offset;
	uint32_t reftable_clusters, nr_snapshots;
	uint64_t snapshots_offset;
	/* version 3 */
	uint64_t incompatible, compatible, autoclear;
	uint32_t refcount_order, header_length;
	uint8_t compression_type, padding[7];
} __attribute__((packed));
_Static_assert(sizeof(struct header) == HEADER_ROOM, "the header as it is in the file");

/* ---- damage ---- */

int qcow2_damaged(struct qcow2 *q, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (q->is_corrupt)
		return -EIO;
	q->is_corrupt = true;
	log_error("%s is damaged: %s; it is not written any more. 'bantam image check' tells more",
		  q->block.path, why);
	if (!q->block.is_read_only && q->version >= 3)
		qcow2_write_incompatible(q, q->incompatible | QCOW2_INCOMPATIBLE_CORRUPT);
	return -EIO;
}

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a_len && b_len && a < b + b_len && b < a + a_len;
}

bool qcow2_is_metadata(const struct qcow2 *q, uint64_t offset, uint64_t len)
{
	return overlaps(offset, len, 0, q->cluster_size) ||
	       overlaps(offset, len, q->l1_offset, q->l1_size * 8ull) ||
	       overlaps(offset, len, q->reftable_offset,
			(uint64_t)q->reftable_clusters << q->cluster_bits);
}

int qcow2_write_header(struct qcow2 *q, unsigned offset, const void *data, size_t len)
{
	return raw_write_now(q->file, offset, data, len);
}

int qcow2_write_incompatible(struct qcow2 *q, uint64_t incompatible)
{
	uint64_t field = htobe64(incompatible);

	q->incompatible = incompatible;
	return qcow2_write_header(q, offsetof(struct header, incompatible), &field, sizeof(field));
}

/* ---- reading the header ---- */

static int refuse(const struct qcow2 *q, struct error *err, const char *what)
{
	return error_set(err, -EINVAL, "%s: not a valid qcow2 image: %s", q->file->path, what);
}

/* The name of an incompatible feature: ours, else by the table in the image. */
static void name_feature(const uint8_t *names, size_t len, unsigned bit, char out[64])
{
	static const char *const known[] = {"dirty", "corrupt", "external data file",
					    "compression type", "extended L2 entries"};

	snprintf(out, 64, "bit %u", bit);
	if (bit < ARRAY_SIZE(known))
		snprintf(out, 64, "%s", known[bit]);
	for (size_t at = 0; bit >= ARRAY_SIZE(known) && at + 48 <= len; at += 48) {
		if (names[at] == 0 && names[at + 1] == bit)
			snprintf(out, 64, "%.46s", (const char *)names + at + 2);
	}
	for (char *c = out; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

static int check_features(const struct qcow2 *q, const uint8_t *names, size_t len,
			  struct error *err)
{
	uint64_t unknown =
		q->incompatible & ~(QCOW2_INCOMPATIBLE_DIRTY | QCOW2_INCOMPATIBLE_CORRUPT |
				    QCOW2_INCOMPATIBLE_COMPRESSION);
	struct buf list = {0};
	char name[64];

	if (!unknown)
		return 0;
	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(unknown >> bit & 1))
			continue;
		name_feature(names, len, bit, name);
		buf_printf(&list, "%s%s", list.len ? ", " : "", name);
	}
	int rc = error_set(err, -ENOTSUP, "%s: the image uses features that are not supported: %s",
			   q->file->path, buf_text(&list));
	buf_free(&list);
	return rc;
}

static int take_header(struct qcow2 *q, const struct header *h, struct error *err)
{
	q->version = be32toh(h->version);
	if (memcmp(&h->magic, "QFI\xfb", 4))
		return refuse(q, err, "it does not begin like one");
	if (q->version != 2 && q->version != 3)
		return error_set(err, -ENOTSUP,
				 "%s: qcow version %u is not supported, only 2 and 3",
				 q->file->path, q->version);
	q->cluster_bits = be32toh(h->cluster_bits);
	q->block.size = be64toh(h->size);
	q->l1_size = be32toh(h->l1_size);
	q->l1_offset = be64toh(h->l1_offset);
	q->reftable_offset = be64toh(h->reftable_offset);
	q->reftable_clusters = be32toh(h->reftable_clusters);
	q->nr_snapshots = be32toh(h->nr_snapshots);
	q->snapshots_offset = be64toh(h->snapshots_offset);
	q->refcount_order = 4;
	q->header_length = HEADER_V2;
	if (q->version == 2)
		return 0;
	q->incompatible = be64toh(h->incompatible);
	q->compatible = be64toh(h->compatible);
	q->autoclear = be64toh(h->autoclear);
	q->refcount_order = be32toh(h->refcount_order);
	q->header_length = be32toh(h->header_length);
	if (q->incompatible & QCOW2_INCOMPATIBLE_COMPRESSION) {
		if (q->header_length <= HEADER_V3 || h->compression_type > 1)
			return error_set(
				err, -ENOTSUP,
				"%s: compression type %u is not supported, only zlib and zstd",
				q->file->path, h->compression_type);
		q->uses_zstd = h->compression_type == 1;
	}
	return 0;
}

static int check_header(struct qcow2 *q, const struct header *h, struct error *err)
{
	if (q->cluster_bits < CLUSTER_BITS_MIN || q->cluster_bits > CLUSTER_BITS_MAX)
		return refuse(q, err, "its cluster size is impossible");
	q->cluster_size = BIT64(q->cluster_bits);
	uint64_t mask = q->cluster_size - 1;
	if (h->crypt_method)
		return error_set(err, -ENOTSUP, "%s: encrypted images are not supported",
				 q->file->path);
	if (q->version == 3 && (q->header_length < HEADER_V3 || q->header_length > q->cluster_size))
		return refuse(q, err, "the length of its header is impossible");
	if (q->refcount_order > 6)
		return refuse(q, err, "its refcounts have an impossible width");
	q->l2_bits = q->cluster_bits - 3;
	q->ref_bits = q->cluster_bits + 3 - q->refcount_order;
	if (q->block.size > (uint64_t)INT64_MAX - MIB)
		return refuse(q, err, "its size is impossible");
	q->block.size = ALIGN_UP(q->block.size, BLOCK_SECTOR);
	if (q->l1_size * 8ull > QCOW2_L1_MAX || q->l1_offset & mask ||
	    q->l1_offset > INT64_MAX - QCOW2_L1_MAX)
		return refuse(q, err, "its L1 table is impossible");
	if (qcow2_clusters(q, q->block.size) > (uint64_t)q->l1_size << q->l2_bits)
		return refuse(q, err, "its L1 table is too small");
	if (!q->reftable_clusters || q->reftable_offset & mask || !q->reftable_offset ||
	    (uint64_t)q->reftable_clusters << q->cluster_bits > QCOW2_REFTABLE_MAX ||
	    q->reftable_offset > INT64_MAX - QCOW2_REFTABLE_MAX)
		return refuse(q, err, "its refcount table is impossible");
	if (q->nr_snapshots > QCOW2_SNAPSHOTS_MAX || q->snapshots_offset & mask ||
	    q->snapshots_offset > INT64_MAX / 2)
		return refuse(q, err, "its table of snapshots is impossible");
	return 0;
}

/* The extensions between the header and the end of the first cluster. */
static int read_extensions(struct qcow2 *q, const uint8_t *cluster, uint64_t end, struct error *err)
{
	uint64_t at = q->header_length;
	const uint8_t *names = NULL;
	size_t names_len = 0;

	while (at + 8 <= end) {
		uint32_t type, len;

		memcpy(&type, cluster + at, 4);
		memcpy(&len, cluster + at + 4, 4);
		type = be32toh(type);
		len = be32toh(len);
		if (!type)
			break;
		at += 8;
		if (len > end - at)
			return refuse(q, err, "a header extension is too long");
		if (type == EXTENSION_FEATURE_NAMES) {
			names = cluster + at;
			names_len = len;
		} else if (type == EXTENSION_BACKING_FORMAT && len < 32) {
			free(q->backing_format);
			q->backing_format = mem_alloc_zero(len + 1);
			memcpy(q->backing_format, cluster + at, len);
		}
		at += ALIGN_UP((uint64_t)len, 8);
	}
	return check_features(q, names, names_len, err);
}

static int read_backing_name(struct qcow2 *q, const struct header *h, const uint8_t *cluster,
			     struct error *err)
{
	uint64_t offset = be64toh(h->backing_offset);
	uint32_t len = be32toh(h->backing_len);

	if (!offset || !len)
		return 0;
	if (len > BACKING_NAME_MAX || !range_fits(offset, len, q->cluster_size))
		return refuse(q, err, "the name of its backing file is impossible");
	q->backing_name = mem_alloc_zero(len + 1);
	memcpy(q->backing_name, cluster + offset, len);
	return 0;
}

static int read_header(struct qcow2 *q, struct error *err)
{
	struct header h;
	int rc = raw_read_now(q->file, 0, &h, sizeof(h));

	if (rc)
		return error_set_errno(err, rc, "%s", q->file->path);
	rc = take_header(q, &h, err);
	if (!rc)
		rc = check_header(q, &h, err);
	if (rc)
		return rc;
	uint8_t *cluster = mem_alloc_zero(q->cluster_size);
	rc = raw_read_now(q->file, 0, cluster, q->cluster_size);
	if (rc)
		error_set_errno(err, rc, "%s", q->file->path);
	uint64_t backing = be64toh(h.backing_offset);
	uint64_t end = backing && backing < q->cluster_size ? backing : q->cluster_size;
	if (!rc)
		rc = read_extensions(q, cluster, end, err);
	if (!rc)
		rc = read_backing_name(q, &h, cluster, err);
	free(cluster);
	return rc;
}

/* Reads nr big-endian numbers. */
static int read_numbers(struct qcow2 *q, uint64_t offset, uint64_t *numbers, size_t nr)
{
	int rc = nr ? raw_read_now(q->file, offset, numbers, nr * 8) : 0;

	for (size_t i = 0; i < nr; i++)
		numbers[i] = be64toh(numbers[i]);
	return rc;
}

int qcow2_read_tables(struct qcow2 *q)
{
	q->nr_reftable = q->reftable_clusters << (q->cluster_bits - 3);
	q->l1 = mem_alloc_zero(q->l1_size * 8ull);
	q->l2 = mem_alloc_zero(q->l1_size * sizeof(*q->l2));
	q->reftable = mem_alloc_zero(q->nr_reftable * 8ull);
	q->refs = mem_alloc_zero(q->nr_reftable * sizeof(*q->refs));
	q->free_hint = 0;
	int rc = read_numbers(q, q->l1_offset, q->l1, q->l1_size);
	if (!rc)
		rc = read_numbers(q, q->reftable_offset, q->reftable, q->nr_reftable);
	for (unsigned i = 0; i < q->nr_reftable; i++)
		q->reftable[i] &= ~(uint64_t)511;
	return rc;
}

void qcow2_drop_tables(struct qcow2 *q)
{
	for (unsigned i = 0; q->l2 && i < q->l1_size; i++)
		qcow2_table_free(q->l2[i]);
	for (unsigned i = 0; q->refs && i < q->nr_reftable; i++)
		qcow2_table_free(q->refs[i]);
	free(q->l1);
	free(q->l2);
	free(q->reftable);
	free(q->refs);
	q->l1 = q->reftable = NULL;
	q->l2 = q->refs = NULL;
	q->nr_l2 = 0;
}

/* ---- opening ---- */

static void qcow2_free(struct block *b)
{
	struct qcow2 *q = qcow2_of(b);

	qcow2_drop_tables(q);
	block_close(q->file);
	free(q->frees.runs);
	free(q->frees_writing.runs);
	free(q->frees_ready.runs);
	free(q->zeroes);
	free(q->unpacked);
	free(q->backing_name);
	free(q->backing_format);
	free(q);
}

static const struct block_ops qcow2_ops = {.name = "qcow2",
					   .submit = qcow2_submit,
					   .may_wait = qcow2_may_wait,
					   .finish = qcow2_finish,
					   .free = qcow2_free,
					   .map = qcow2_map,
					   .resize = qcow2_resize,
					   .write_compressed = qcow2_write_packed,
					   .check = qcow2_check,
					   .snapshots = qcow2_snapshots,
					   .details = qcow2_details};

static int open_backing(struct qcow2 *q, const struct block_params *params, unsigned depth,
			struct error *err)
{
	struct block_params below = *params;
	const char *format = params->backing_format ? params->backing_format : q->backing_format;

	if (!q->backing_name || params->without_backing)
		return 0;
	if (!format)
		return error_set(
			err, -EINVAL,
			"%s: the image does not tell the format of its backing file %s; say "
			"backing-format=raw or backing-format=qcow2",
			q->block.path, q->backing_name);
	char *path = block_path_beside(q->block.path, q->backing_name);
	below.path = path;
	below.format = format;
	below.backing_format = NULL;
	below.is_read_only = true;
	below.for_check = false;
	q->block.backing = block_open_below(&below, q->block.aio, depth + 1, err);
	free(path);
	if (q->block.backing)
		return 0;
	error_prefix(err, "%s: backing file", q->block.path);
	return -EINVAL;
}

/* What has to be so before the first write. */
static int make_writable(struct qcow2 *q, struct error *err)
{
	const char *path = q->block.path;

	if (q->incompatible & QCOW2_INCOMPATIBLE_CORRUPT)
		return error_set(err, -EUCLEAN,
				 "%s is marked as damaged; 'bantam image check --repair %s' may "
				 "repair it, or open it read-only",
				 path, path);
	if (q->incompatible & QCOW2_INCOMPATIBLE_DIRTY) {
		struct block_check check = {.repairs = true};

		log_info("%s was not closed properly: counting its clusters", path);
		int rc = qcow2_check(&q->block, &check);
		if (rc)
			return error_set_errno(err, rc, "%s: counting its clusters", path);
		if (check.corruptions > check.corruptions_fixed)
			return error_set(err, -EUCLEAN,
					 "%s is damaged; 'bantam image check %s' tells how", path,
					 path);
	}
	if (q->autoclear) { /* things that would not be kept current */
		uint64_t none = 0;

		q->autoclear = 0;
		int rc = qcow2_write_header(q, offsetof(struct header, autoclear), &none,
					    sizeof(none));
		if (rc)
			return error_set_errno(err, rc, "%s", path);
	}
	return 0;
}

struct block *qcow2_open(const struct block_params *params, struct aio *aio, unsigned depth,
			 struct error *err)
{
	struct block *file = raw_open(params, aio, RAW_INSIDE, err);

	if (!file)
		return NULL;
	struct qcow2 *q = mem_alloc_zero(sizeof(*q));
	block_init(&q->block, &qcow2_ops, params, aio);
	q->block.is_read_only =
		true; /* until all is well: nothing is to be written on the way out */
	q->file = file;
	list_init(&q->l2_used);
	list_init(&q->active);
	list_init(&q->allocs);
	list_init(&q->flushes);
	if (read_header(q, err))
		goto fail;
	/* Else what is written at once could undo a neighbour's write in flight. */
	if (!params->is_read_only && q->cluster_size < raw_align(file)) {
		error_set(
			err, -EINVAL,
			"%s: its clusters of %llu bytes are too small for direct I/O on this host, "
			"which writes %u bytes at a time; leave 'direct' out",
			params->path, (unsigned long long)q->cluster_size, raw_align(file));
		goto fail;
	}
	int rc = qcow2_read_tables(q);
	if (rc) {
		error_set_errno(err, rc, "%s", params->path);
		goto fail;
	}
	q->nr_l2_max = (unsigned)max(L2_CACHE_MAX >> q->cluster_bits, (uint64_t)8);
	q->unpacked = mem_alloc_zero(q->cluster_size);
	q->fresh_from = ALIGN_UP(raw_file_size(file), q->cluster_size);
	q->block.physical_size = (unsigned)min(q->cluster_size, (uint64_t)4096);
	q->block.discard_granularity = (unsigned)q->cluster_size;
	/* Allocation goes past the end of the file, and reads there give zeroes. */
	if (!raw_is_device(file))
		file->size = ALIGN_DOWN((uint64_t)INT64_MAX - MIB, BLOCK_SECTOR);
	if (open_backing(q, params, depth, err))
		goto fail;
	if (!params->is_read_only && !params->for_check && make_writable(q, err))
		goto fail;
	q->block.is_read_only = params->is_read_only;
	return &q->block;
fail:
	block_close(&q->block);
	return NULL;
}

/* ---- creating ---- */

static void add_extension(struct buf *out, uint32_t type, const char *text)
{
	uint32_t head[2] = {htobe32(type), htobe32((uint32_t)strlen(text))};

	buf_append(out, head, sizeof(head));
	buf_append(out, text, strlen(text));
	while (out->len % 8)
		buf_append(out, "", 1);
}

/* The first cluster of an empty image: header, extensions, name of the backing file. */
static void compose_header(const struct block_create_params *p, unsigned bits, struct buf *out)
{
	struct header h = {
		.version = htobe32(p->version == 2 ? 2 : 3),
		.cluster_bits = htobe32(bits),
		.l1_offset = htobe64(3ull << bits),
		.reftable_offset = htobe64(1ull << bits),
		.reftable_clusters = htobe32(1),
		.incompatible = htobe64(p->uses_zstd ? QCOW2_INCOMPATIBLE_COMPRESSION : 0),
		.compatible = htobe64(p->uses_lazy_refcounts ? QCOW2_COMPATIBLE_LAZY : 0),
		.refcount_order = htobe32(4),
		.header_length = htobe32(HEADER_ROOM),
		.compression_type = p->uses_zstd,
	};

	memcpy(&h.magic, "QFI\xfb", 4);
	buf_append(out, &h, p->version == 2 ? HEADER_V2 : HEADER_ROOM);
	if (p->backing)
		add_extension(out, EXTENSION_BACKING_FORMAT, p->backing_format);
	buf_append(out, "\0\0\0\0\0\0\0", 8); /* no more extensions */
	if (p->backing) {
		struct header *at = (struct header *)out->data;

		at->backing_offset = htobe64(out->len);
		at->backing_len = htobe32((uint32_t)strlen(p->backing));
		buf_printf(out, "%s", p->backing);
	}
}

/* An image of size 0: header, refcount table, one refcount block. */
static int write_empty(int fd, const struct block_create_params *p, unsigned bits)
{
	uint64_t cluster = 1ull << bits, block_at = htobe64(2 * cluster);
	uint16_t counts[3] = {htobe16(1), htobe16(1), htobe16(1)};
	struct buf head = {0};
	int rc = 0;

	compose_header(p, bits, &head);
	if (head.len > cluster)
		rc = -ENAMETOOLONG;
	else if (ftruncate(fd, 0) || ftruncate(fd, (off_t)(3 * cluster)) ||
		 pwrite(fd, head.data, head.len, 0) != (ssize_t)head.len ||
		 pwrite(fd, &block_at, 8, (off_t)cluster) != 8 ||
		 pwrite(fd, counts, sizeof(counts), (off_t)(2 * cluster)) != sizeof(counts))
		rc = errno ? -errno : -EIO;
	buf_free(&head);
	return rc;
}

/* The size of the backing file, which has to exist unless a size is given. */
static int find_backing_size(const struct block_create_params *p, uint64_t *size, struct error *err)
{
	char *path = block_path_beside(p->path, p->backing);
	struct block_params below = {.path = path,
				     .format = p->backing_format,
				     .is_read_only = true,
				     .is_unlocked = true};
	struct block *b = block_open(&below, err);

	free(path);
	if (!b) {
		error_prefix(err, "%s: backing file", p->path);
		return -EINVAL;
	}
	*size = block_size(b);
	block_close(b);
	return 0;
}

static int check_create(const struct block_create_params *p, unsigned *bits, struct error *err)
{
	uint64_t cluster = p->cluster_size ? p->cluster_size : 64 * KIB;

	if (cluster & (cluster - 1) || cluster < BIT64(CLUSTER_BITS_MIN) ||
	    cluster > BIT64(CLUSTER_BITS_MAX))
		return error_set(err, -EINVAL,
				 "%s: cluster size %llu: a power of two from 512 to 2M is needed",
				 p->path, (unsigned long long)cluster);
	*bits = (unsigned)__builtin_ctzll(cluster);
	if (p->version && p->version != 2 && p->version != 3)
		return error_set(err, -EINVAL, "%s: qcow2 has versions 2 and 3, not %u", p->path,
				 p->version);
	if (p->version == 2 && (p->uses_zstd || p->uses_lazy_refcounts))
		return error_set(err, -EINVAL,
				 "%s: zstd and lazy refcounts need version 3 of the format",
				 p->path);
	if (p->uses_zstd && !qcow2_has_zstd())
		return error_set(err, -ENOTSUP, "%s: this build of bantam was made without libzstd",
				 p->path);
	if (p->backing && !p->backing_format)
		return error_set(
			err, -EINVAL,
			"%s: the format of the backing file %s has to be said: raw, qcow2 or cow",
			p->path, p->backing);
	if (p->backing &&
	    (strlen(p->backing) > BACKING_NAME_MAX || !block_format_is_known(p->backing_format)))
		return error_set(err, -EINVAL, "%s: backing file %s of format '%s' is not possible",
				 p->path, p->backing, p->backing_format);
	return 0;
}

/* Gives the empty image its size; it is our own, so nobody else may get between. */
static int give_size(const struct block_create_params *p, uint64_t size, struct error *err)
{
	struct block_params params = {.path = p->path, .format = "qcow2", .without_backing = true};
	struct block *b = block_open(&params, err);

	if (!b)
		return -EINVAL;
	int rc = block_resize(b, ALIGN_UP(size, BLOCK_SECTOR), err);
	int closed = block_close(b);
	return rc ? rc : closed ? error_set_errno(err, closed, "%s", p->path) : 0;
}

int qcow2_create(const struct block_create_params *p, struct error *err)
{
	uint64_t size = p->size;
	unsigned bits = 0;
	struct stat st;
	int rc = check_create(p, &bits, err);

	if (!rc && p->backing && (!size || stat(p->path, &st)))
		rc = find_backing_size(p, size ? &(uint64_t){0} : &size, err);
	if (rc)
		return rc;
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | (p->may_replace ? 0 : O_EXCL);
	int fd = open(p->path, flags, 0644);
	if (fd < 0)
		return error_set_errno(err, -errno, "%s", p->path);
	rc = block_lock(fd, p->path, false, err);
	if (!rc && (rc = write_empty(fd, p, bits)))
		error_set_errno(err, rc, "%s", p->path);
	if (!rc)
		fremovexattr(fd, BLOCK_FORMAT_NOTE);
	close(fd);
	if (!rc)
		rc = give_size(p, size, err);
	if (rc && rc != -EBUSY && !p->may_replace)
		unlink(p->path);
	return rc;
}
