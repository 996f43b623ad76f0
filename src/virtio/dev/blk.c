/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/dev/blk.h"

#include <endian.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"

#define QUEUE_SIZE	     256
#define SEGMENTS_MAX	     (QUEUE_SIZE - 2) /* beside header and status */
#define RANGES_MAX	     16		      /* of one discard */
#define DISCARD_SECTORS	     (1u << 21)	      /* 1 GiB at a time */
#define WRITE_ZEROES_SECTORS (1u << 16)	      /* 32 MiB: some images have to write them */
#define FEATURE(name)	     BIT64(VIRTIO_BLK_F_##name)

struct virtio_blk {
	struct virtio_device virtio;
	struct block *image;
	char serial[VIRTIO_BLK_SERIAL_MAX];
	struct virtio_blk_config config;

	/* For the loop's own thread: requests, and the work that submits them. */
	struct list left;
	struct loop_work go_on_work;
};

/* A chain being worked on. */
struct request {
	struct block_req req;
	struct virtio_blk *blk;
	struct virtio_chain *chain;
	struct list left;
	unsigned nr_ranges, next_range; /* discards and zeroes go one by one */
	struct virtio_blk_discard_write_zeroes ranges[RANGES_MAX];
	struct iovec iov[];
};

static struct virtio_blk *blk_of(struct virtio_device *d)
{
	return container_of(d, struct virtio_blk, virtio);
}

/* The status is the last byte the driver made writable. */
static void answer(struct request *r, uint8_t status)
{
	struct virtio_chain *c = r->chain;
	uint32_t len = c->writable;

	virtio_write_at(c, len - 1, &status, 1);
	free(r);
	virtio_push(c, len);
}

/* ---- what may wait ---- */

static void go_on(struct loop_work *w);

static bool must_leave(const struct virtio_blk *blk, const struct block_req *req)
{
	return loop_is_borrowed(blk->virtio.loop) && block_may_wait(blk->image, req);
}

static void leave(struct virtio_blk *blk)
{
	loop_post(blk->virtio.loop, &blk->go_on_work, go_on);
}

/* Submits the request now, or on the loop's own thread when that may have to wait. */
static void submit(struct request *r)
{
	struct virtio_blk *blk = r->blk;

	if (!must_leave(blk, &r->req)) {
		block_submit(blk->image, &r->req);
		return;
	}
	list_append(&blk->left, &r->left);
	leave(blk);
}

static void submit_left(struct virtio_blk *blk)
{
	block_plug(blk->image);
	while (!list_is_empty(&blk->left)) {
		struct request *r = list_entry(blk->left.next, struct request, left);

		list_remove(&r->left);
		block_submit(blk->image, &r->req);
	}
	block_unplug(blk->image);
}

/* ---- reads, writes, flushes ---- */

static void is_done(struct block_req *req, int rc);

static void flush(struct request *r)
{
	r->req = (struct block_req){.op = BLOCK_FLUSH, .done = is_done};
	submit(r);
}

static void is_done(struct block_req *req, int rc)
{
	struct request *r = container_of(req, struct request, req);
	struct virtio_blk *blk = r->blk;

	if (rc) {
		log_once(LOG_WARN, "%s: %s: reported to the guest as an I/O error",
			 block_path(blk->image), strerror(-rc));
		answer(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	/* A driver that never flushes counts on what is written being there. */
	if ((req->op == BLOCK_WRITE || req->op == BLOCK_WRITE_ZEROES) &&
	    !virtio_has_feature(&blk->virtio, VIRTIO_BLK_F_FLUSH)) {
		flush(r);
		return;
	}
	answer(r, VIRTIO_BLK_S_OK);
}

static void transfer(struct request *r, enum block_op op, uint64_t sector, unsigned nr_pieces)
{
	struct virtio_chain *c = r->chain;
	size_t len = op == BLOCK_READ ? c->writable - 1 : virtio_left_to_read(c), got = len;
	unsigned n;

	if (len % BLOCK_SECTOR || sector > UINT64_MAX / BLOCK_SECTOR) {
		answer(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (op == BLOCK_READ)
		n = virtio_borrow_write(c, r->iov, min(nr_pieces, (unsigned)BLOCK_IOV_MAX), &got);
	else
		n = virtio_borrow_read(c, r->iov, min(nr_pieces, (unsigned)BLOCK_IOV_MAX), &got);
	if (got != len) { /* more pieces than were offered */
		answer(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	r->req = (struct block_req){.op = op,
				    .offset = sector * BLOCK_SECTOR,
				    .len = len,
				    .iov = r->iov,
				    .nr_iov = n,
				    .done = is_done};
	submit(r);
}

/* ---- discards and zeroes ---- */

static void range_is_done(struct block_req *req, int rc);

static void next_range(struct request *r)
{
	const struct virtio_blk_discard_write_zeroes *range = &r->ranges[r->next_range++];

	r->req = (struct block_req){.op = r->req.op,
				    .may_unmap = le32toh(range->flags) &
						 VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
				    .offset = le64toh(range->sector) * BLOCK_SECTOR,
				    .len = le32toh(range->num_sectors) * (uint64_t)BLOCK_SECTOR,
				    .done = range_is_done};
	submit(r);
}

static void range_is_done(struct block_req *req, int rc)
{
	struct request *r = container_of(req, struct request, req);

	if (!rc && r->next_range < r->nr_ranges)
		next_range(r);
	else
		is_done(req, rc);
}

/* The status for ranges that cannot be done, or OK. */
static uint8_t check_range(const struct virtio_blk_discard_write_zeroes *range, enum block_op op)
{
	uint32_t flags = le32toh(range->flags), sectors = le32toh(range->num_sectors);
	uint32_t known = op == BLOCK_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	if (flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (sectors > (op == BLOCK_DISCARD ? DISCARD_SECTORS : WRITE_ZEROES_SECTORS) ||
	    le64toh(range->sector) > UINT64_MAX / BLOCK_SECTOR - sectors)
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static void unmap(struct request *r, enum block_op op)
{
	size_t len = virtio_left_to_read(r->chain);
	uint8_t status = VIRTIO_BLK_S_OK;

	r->req.op = op;
	r->nr_ranges = (unsigned)(len / sizeof(r->ranges[0]));
	if (!len || len % sizeof(r->ranges[0]) || r->nr_ranges > RANGES_MAX) {
		answer(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	virtio_read(r->chain, r->ranges, len);
	for (unsigned i = 0; i < r->nr_ranges && status == VIRTIO_BLK_S_OK; i++)
		status = check_range(&r->ranges[i], op);
	if (status != VIRTIO_BLK_S_OK)
		answer(r, status);
	else
		next_range(r);
}

/* ---- requests ---- */

static void get_id(struct request *r)
{
	size_t room = r->chain->writable - 1;

	virtio_write(r->chain, r->blk->serial, min(room, sizeof(r->blk->serial)));
	answer(r, VIRTIO_BLK_S_OK);
}

static void start_request(struct virtio_blk *blk, struct virtio_chain *c)
{
	struct virtio_blk_outhdr head;

	if (!c->writable || virtio_read(c, &head, sizeof(head)) != sizeof(head)) {
		virtio_break(&blk->virtio, "a request without %s",
			     c->writable ? "a whole header" : "room for a status");
		virtio_push(c, 0);
		return;
	}
	unsigned nr_pieces = c->nr_segments;
	struct request *r = mem_alloc_zero(sizeof(*r) + nr_pieces * sizeof(struct iovec));
	r->blk = blk;
	r->chain = c;
	switch (le32toh(head.type)) {
	case VIRTIO_BLK_T_IN:
		transfer(r, BLOCK_READ, le64toh(head.sector), nr_pieces);
		break;
	case VIRTIO_BLK_T_OUT:
		transfer(r, BLOCK_WRITE, le64toh(head.sector), nr_pieces);
		break;
	case VIRTIO_BLK_T_FLUSH:
		flush(r);
		break;
	case VIRTIO_BLK_T_DISCARD:
		unmap(r, BLOCK_DISCARD);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		unmap(r, BLOCK_WRITE_ZEROES);
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(r);
		break;
	default:
		answer(r, VIRTIO_BLK_S_UNSUPP);
	}
}

/* ---- the device ---- */

static void process(struct virtio_device *d, unsigned queue)
{
	struct virtio_blk *blk = blk_of(d);
	struct virtio_chain *c;

	if (must_leave(blk, NULL)) {
		leave(blk);
		return;
	}
	block_plug(blk->image);
	while ((c = virtio_pop(d, queue)))
		start_request(blk, c);
	block_unplug(blk->image);
}

/* Goes on with what a thread that borrowed the loop left. */
static void go_on(struct loop_work *w)
{
	struct virtio_blk *blk = container_of(w, struct virtio_blk, go_on_work);
	struct virtio_device *d = &blk->virtio;

	virtio_begin_batch(d);
	submit_left(blk);
	for (unsigned i = 0; i < d->nr_queues; i++) {
		if (virtio_queue_is_live(d, i))
			process(d, i);
	}
	virtio_end_batch(d);
}

/* Requests of the other queues end as well, which does no harm. */
static void drain(struct virtio_device *d, unsigned queue)
{
	submit_left(blk_of(d));
	block_drain(blk_of(d)->image);
}

static void read_config(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	const struct virtio_blk_config *config = &blk_of(d)->config;

	if (offset < sizeof(*config))
		memcpy(data, (const char *)config + offset,
		       min((size_t)len, sizeof(*config) - offset));
}

static void completions_begin(void *ctx)
{
	virtio_begin_batch(ctx);
}

static void completions_end(void *ctx)
{
	virtio_end_batch(ctx);
}

static void blk_free(struct virtio_device *d)
{
	struct virtio_blk *blk = blk_of(d);
	int rc;

	loop_cancel(d->loop, &blk->go_on_work);
	block_on_completions(blk->image, NULL, NULL, NULL);
	rc = block_close(blk->image);
	if (rc)
		log_error("closing a disk image: %s", strerror(-rc));
	virtio_fini(d);
	free(blk);
}

static const struct virtio_ops blk_ops = {
	.type = "virtio_blk",
	.device_id = VIRTIO_ID_BLOCK,
	.pci_class = 0x018000, /* mass storage, other */
	.read_config = read_config,
	.process = process,
	.is_prompt = true,
	.drain = drain,
	.free = blk_free,
};

static void fill_config(struct virtio_blk *blk, unsigned nr_queues)
{
	unsigned physical = block_physical_size(blk->image);
	uint32_t granularity = block_discard_granularity(blk->image) / BLOCK_SECTOR;
	unsigned exponent =
		(unsigned)__builtin_ctz(max(physical, (unsigned)BLOCK_SECTOR) / BLOCK_SECTOR);

	blk->config = (struct virtio_blk_config){
		.capacity = htole64(block_size(blk->image) / BLOCK_SECTOR),
		.seg_max = htole32(SEGMENTS_MAX),
		.blk_size = htole32(BLOCK_SECTOR),
		.physical_block_exp = (uint8_t)exponent,
		.min_io_size = htole16((uint16_t)(1u << exponent)),
		.num_queues = htole16((uint16_t)nr_queues),
		.max_discard_sectors = htole32(DISCARD_SECTORS),
		.max_discard_seg = htole32(RANGES_MAX),
		.discard_sector_alignment = htole32(granularity),
		.max_write_zeroes_sectors = htole32(WRITE_ZEROES_SECTORS),
		.max_write_zeroes_seg = htole32(RANGES_MAX),
		.write_zeroes_may_unmap = 1,
	};
}

struct virtio_device *virtio_blk_new(const struct virtio_blk_params *p)
{
	struct virtio_blk *blk = mem_alloc_zero(sizeof(*blk));
	uint64_t features = FEATURE(SEG_MAX) | FEATURE(BLK_SIZE) | FEATURE(FLUSH) |
			    FEATURE(TOPOLOGY) | FEATURE(MQ);

	if (block_is_read_only(p->image))
		features |= FEATURE(RO);
	else
		features |= FEATURE(DISCARD) | FEATURE(WRITE_ZEROES);
	virtio_init(&blk->virtio, &blk_ops,
		    &(struct virtio_params){.mem = p->mem,
					    .loop = p->loop,
					    .features = features,
					    .nr_queues = p->nr_queues,
					    .queue_size = QUEUE_SIZE,
					    .config_size = sizeof(blk->config)});
	blk->image = p->image;
	list_init(&blk->left);
	list_init(&blk->go_on_work.node);
	if (p->serial)
		memcpy(blk->serial, p->serial, strnlen(p->serial, sizeof(blk->serial)));
	fill_config(blk, p->nr_queues);
	block_on_completions(blk->image, completions_begin, completions_end, &blk->virtio);
	return &blk->virtio;
}
