/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deflating needs nothing of the device: a page that was given up comes back when it is touched.
 */
#include "virtio/dev/balloon.h"

#include <endian.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"

#define QUEUE_INFLATE 0
#define QUEUE_DEFLATE 1
#define NR_QUEUES     5

#define PAGES_PER_STEP 256  /* numbers of pages read at a time: what Linux sends at once */
#define PAGES_MAX      4096 /* of a request that are looked at: each costs a system call */
#define PIECES	       32   /* of reported memory borrowed at a time: what Linux reports at once */
#define STATS_MAX      32   /* statistics looked at: three times as many as there are */

struct balloon {
	struct virtio_device virtio;
	struct virtio_balloon_params params;
	uint32_t target, actual; /* pages */
	struct balloon_stats stats;
	struct virtio_chain *stats_chain; /* the driver's, until we want new numbers */
	struct loop_timer stats_timer;
	uint64_t given, reported;
};

static struct balloon *balloon_of(const struct virtio_device *d)
{
	return container_of(d, struct balloon, virtio);
}

enum role { ROLE_INFLATE, ROLE_DEFLATE, ROLE_STATS, ROLE_REPORT, ROLE_NONE };

/*
 * Section 5.5.2 numbers the queues whether or not there is a use for them; Linux leaves out those of
 * features it did not accept.
 */
static enum role role_of(const struct virtio_device *d, unsigned queue)
{
	bool has_stats = virtio_has_feature(d, VIRTIO_BALLOON_F_STATS_VQ);
	bool has_reports = virtio_has_feature(d, VIRTIO_BALLOON_F_REPORTING);

	if (queue <= QUEUE_DEFLATE)
		return queue == QUEUE_INFLATE ? ROLE_INFLATE : ROLE_DEFLATE;
	if (queue == 2 && has_stats)
		return ROLE_STATS;
	return has_reports && queue >= (has_stats ? 3 : 2) ? ROLE_REPORT : ROLE_NONE;
}

/* ---- giving back ---- */

/* Gives back pages [first, last). */
static void give_back(struct balloon *b, uint64_t first, uint64_t last)
{
	uint64_t len = (last - first) << VIRTIO_BALLOON_PFN_SHIFT;
	void *host = mem_slice(b->virtio.mem, first << VIRTIO_BALLOON_PFN_SHIFT, len, MEM_WRITE);

	if (host)
		b->given += mem_discard(b->virtio.mem, host, len);
	else
		log_once(LOG_WARN, "virtio_balloon: the guest gave pages that are no memory");
}

/* Neighbours go together, whichever way they are counted. */
static void give_pages(struct balloon *b, const uint32_t *pages, unsigned nr)
{
	uint64_t first = 0, last = 0;

	for (unsigned i = 0; i < nr; i++) {
		uint64_t page = le32toh(pages[i]);

		if (first < last && page == last) {
			last++;
		} else if (first < last && page + 1 == first) {
			first--;
		} else {
			if (first < last)
				give_back(b, first, last);
			first = page;
			last = page + 1;
		}
	}
	if (first < last)
		give_back(b, first, last);
}

static void inflate(struct balloon *b, struct virtio_chain *c)
{
	uint32_t pages[PAGES_PER_STEP];
	size_t n, nr = 0;

	for (; nr < PAGES_MAX && (n = virtio_read(c, pages, sizeof(pages)) / sizeof(pages[0])) > 0;
	     nr += n)
		give_pages(b, pages, (unsigned)n);
	virtio_push(c, 0);
}

/* The buffers themselves are the free pages. */
static void take_report(struct balloon *b, struct virtio_chain *c)
{
	struct iovec iov[PIECES];
	size_t total = 0, len = SIZE_MAX;
	unsigned n;

	while ((n = virtio_borrow_write(c, iov, PIECES, &len)) > 0) {
		for (unsigned i = 0; i < n; i++)
			b->reported += mem_discard(b->virtio.mem, iov[i].iov_base, iov[i].iov_len);
		total += len;
		len = SIZE_MAX;
	}
	virtio_push(c, (uint32_t)total);
}

/* ---- statistics ---- */

static void take_stats(struct balloon *b, struct virtio_chain *c)
{
	struct balloon_stats *s = &b->stats;
	uint64_t *const where[VIRTIO_BALLOON_S_NR] = {
		[VIRTIO_BALLOON_S_SWAP_IN] = &s->swapped_in,
		[VIRTIO_BALLOON_S_SWAP_OUT] = &s->swapped_out,
		[VIRTIO_BALLOON_S_MAJFLT] = &s->major_faults,
		[VIRTIO_BALLOON_S_MINFLT] = &s->minor_faults,
		[VIRTIO_BALLOON_S_MEMFREE] = &s->free,
		[VIRTIO_BALLOON_S_MEMTOT] = &s->total,
		[VIRTIO_BALLOON_S_AVAIL] = &s->available,
		[VIRTIO_BALLOON_S_CACHES] = &s->caches,
	};
	struct virtio_balloon_stat stat;

	memset(s, 0xff, sizeof(*s));
	for (unsigned i = 0; i < STATS_MAX && virtio_read(c, &stat, sizeof(stat)) == sizeof(stat);
	     i++) {
		uint16_t tag = le16toh(stat.tag);

		if (tag < ARRAY_SIZE(where) && where[tag])
			*where[tag] = le64toh(stat.val);
	}
	log_debug(
		"balloon: %llu MiB of %llu free in the guest, %llu in the balloon, %llu given back",
		(unsigned long long)(s->free / MIB), (unsigned long long)(s->total / MIB),
		(unsigned long long)(virtio_balloon_actual(&b->virtio) / MIB),
		(unsigned long long)((b->given + b->reported) / MIB));
}

/* The buffer stays here until new numbers are wanted; giving it back asks for them. */
static void keep_stats(struct balloon *b, struct virtio_chain *c)
{
	if (b->stats_chain)
		virtio_push(b->stats_chain, 0); /* the driver has one buffer; this one has more */
	take_stats(b, c);
	b->stats_chain = c;
	if (b->params.stats_ns)
		loop_timer_arm(&b->stats_timer, host_now_ns() + b->params.stats_ns);
}

static void return_stats(struct balloon *b)
{
	if (b->stats_chain)
		virtio_push(b->stats_chain, 0);
	b->stats_chain = NULL;
	loop_timer_disarm(&b->stats_timer);
}

static void on_stats_timer(struct loop_timer *t)
{
	return_stats(container_of(t, struct balloon, stats_timer));
}

const struct balloon_stats *virtio_balloon_stats(const struct virtio_device *d)
{
	return &balloon_of(d)->stats;
}

/* ---- the device ---- */

void virtio_balloon_set_target(struct virtio_device *d, uint64_t bytes)
{
	struct balloon *b = balloon_of(d);

	b->target = (uint32_t)min(bytes >> VIRTIO_BALLOON_PFN_SHIFT, (uint64_t)UINT32_MAX);
	virtio_config_changed(d);
}

uint64_t virtio_balloon_actual(const struct virtio_device *d)
{
	return (uint64_t)balloon_of(d)->actual << VIRTIO_BALLOON_PFN_SHIFT;
}

uint64_t virtio_balloon_given(const struct virtio_device *d)
{
	return balloon_of(d)->given;
}

uint64_t virtio_balloon_reported(const struct virtio_device *d)
{
	return balloon_of(d)->reported;
}

static void process(struct virtio_device *d, unsigned queue)
{
	struct balloon *b = balloon_of(d);
	enum role role = role_of(d, queue);
	struct virtio_chain *c;

	while (role != ROLE_NONE && (c = virtio_pop(d, queue))) {
		if (role == ROLE_INFLATE)
			inflate(b, c);
		else if (role == ROLE_STATS)
			keep_stats(b, c);
		else if (role == ROLE_REPORT)
			take_report(b, c);
		else
			virtio_push(c, 0);
	}
}

static void drain(struct virtio_device *d, unsigned queue)
{
	if (role_of(d, queue) == ROLE_STATS)
		return_stats(balloon_of(d));
}

static void read_config(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	const struct balloon *b = balloon_of(d);
	const struct virtio_balloon_config config = {.num_pages = htole32(b->target),
						     .actual = htole32(b->actual)};

	if (offset < sizeof(config))
		memcpy(data, (const uint8_t *)&config + offset,
		       min(len, (unsigned)sizeof(config) - offset));
}

static void write_config(struct virtio_device *d, unsigned offset, const void *data, unsigned len)
{
	uint32_t actual;

	if (offset != offsetof(struct virtio_balloon_config, actual) || len != sizeof(actual))
		return;
	memcpy(&actual, data, sizeof(actual));
	balloon_of(d)->actual = le32toh(actual);
}

static void reset(struct virtio_device *d)
{
	struct balloon *b = balloon_of(d);

	b->actual = 0;
	memset(&b->stats, 0xff, sizeof(b->stats));
}

static void state(struct virtio_device *d, struct state *s)
{
	struct balloon *b = balloon_of(d);

	state_u32(s, &b->target);
	state_u32(s, &b->actual);
}

static void balloon_free(struct virtio_device *d)
{
	struct balloon *b = balloon_of(d);

	loop_timer_disarm(&b->stats_timer);
	virtio_fini(d);
	free(b);
}

static const struct virtio_ops balloon_ops = {
	.type = "virtio_balloon",
	.device_id = VIRTIO_ID_BALLOON,
	.pci_class = 0x00ff00, /* unclassified */
	.read_config = read_config,
	.write_config = write_config,
	.process = process,
	.drain = drain,
	.reset = reset,
	.state = state,
	.free = balloon_free,
};

struct virtio_device *virtio_balloon_new(struct mem *mem, struct loop *loop,
					 const struct virtio_balloon_params *params)
{
	struct balloon *b = mem_alloc_zero(sizeof(*b));
	uint64_t features = BIT(VIRTIO_BALLOON_F_STATS_VQ);

	features |= params->can_deflate ? BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) : 0;
	features |= params->reports_free ? BIT(VIRTIO_BALLOON_F_REPORTING) : 0;
	b->params = *params;
	b->target = (uint32_t)min(params->target >> VIRTIO_BALLOON_PFN_SHIFT, (uint64_t)UINT32_MAX);
	memset(&b->stats, 0xff, sizeof(b->stats));
	loop_timer_init(&b->stats_timer, loop, on_stats_timer);
	virtio_init(&b->virtio, &balloon_ops,
		    &(struct virtio_params){.mem = mem,
					    .loop = loop,
					    .features = features,
					    .nr_queues = NR_QUEUES,
					    .config_size = sizeof(struct virtio_balloon_config)});
	return &b->virtio;
}
