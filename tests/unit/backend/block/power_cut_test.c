/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process that writes an image is killed at any moment. What was flushed is there, nothing is
 * there that was never written, and the image has no faults but clusters in use for nothing.
 * CUTS: how often it is killed (25 times when it is not set).
 *
 * The writer tells a memory it shares with the test, unit by unit, which version it has begun to
 * write, which is written and which is flushed. A unit that was being written may be torn: each of its
 * sectors is as one version or another, so the test remembers sectors.
 */
#include "unit/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/block/block.h"
#include "base/buf.h"
#include "host/loop.h"

#define UNIT	  4096
#define NR_UNITS  2048 /* 8 MiB */
#define SECTORS	  (UNIT / BLOCK_SECTOR)
#define IN_FLIGHT 16

/* Versions count on over all lives: odd ones are data, even ones zeroes. */
struct ledger {
	_Atomic uint32_t begun[NR_UNITS], written[NR_UNITS];
	_Atomic uint32_t begun_zeroes[NR_UNITS]; /* the last even version begun */
	_Atomic uint32_t flushed[NR_UNITS];	 /* in this life; 0: nothing */
	_Atomic uint32_t nr_flushes;
};

/* What a life began with: the version of each sector, 0 for zeroes, and what was begun before. */
struct birth {
	uint32_t sectors[NR_UNITS][SECTORS], begun[NR_UNITS];
};

struct slot {
	struct block_req req;
	struct iovec iov;
	uint64_t data[UNIT / 8];
	unsigned unit;
	uint32_t version;
	bool is_busy;
	uint32_t snapshot[NR_UNITS]; /* flush: what was written when it began */
};

static struct ledger *ledger;
static struct birth birth;
static struct slot slots[IN_FLIGHT];

/* ---- the writer ---- */

static void is_done(struct block_req *req, int rc)
{
	struct slot *s = container_of(req, struct slot, req);

	if (rc)
		_exit(3);
	if (req->op == BLOCK_FLUSH) {
		for (unsigned i = 0; i < NR_UNITS; i++) {
			if (s->snapshot[i] > ledger->flushed[i])
				ledger->flushed[i] = s->snapshot[i];
		}
		ledger->nr_flushes++;
	} else {
		ledger->written[s->unit] = s->version;
	}
	s->is_busy = false;
}

static bool is_in_flight(unsigned unit)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		if (slots[i].is_busy && slots[i].req.op != BLOCK_FLUSH && slots[i].unit == unit)
			return true;
	}
	return false;
}

static void start_one(struct block *b, struct slot *s, unsigned *seed)
{
	unsigned unit = (unsigned)rand_r(seed) % NR_UNITS, kind = (unsigned)rand_r(seed) % 40;

	if (is_in_flight(unit))
		return;
	*s = (struct slot){.unit = unit, .is_busy = true};
	s->req = (struct block_req){.op = BLOCK_WRITE,
				    .offset = (uint64_t)unit * UNIT,
				    .len = UNIT,
				    .iov = &s->iov,
				    .nr_iov = 1,
				    .done = is_done};
	s->iov = (struct iovec){s->data, UNIT};
	if (kind == 0) {
		s->req.op = BLOCK_FLUSH;
		for (unsigned i = 0; i < NR_UNITS; i++)
			s->snapshot[i] = ledger->written[i];
		block_submit(b, &s->req);
		return;
	}
	s->version = ledger->begun[unit] + 1;
	if (kind == 1) {
		s->version += s->version % 2;
		ledger->begun_zeroes[unit] = s->version;
		s->req.op = BLOCK_WRITE_ZEROES;
		s->req.may_unmap = rand_r(seed) % 2;
	} else {
		s->version += !(s->version % 2);
		for (unsigned i = 0; i < UNIT / 8; i++)
			s->data[i] = (uint64_t)s->version << 32 | unit;
	}
	ledger->begun[unit] = s->version;
	block_submit(b, &s->req);
}

/* Whole clusters become free and are used again: zeroes over many units that nobody else writes. */
static void zero_many(struct block *b, unsigned *seed)
{
	unsigned first = (unsigned)rand_r(seed) % (NR_UNITS / 64) * 64;

	block_drain(b);
	struct slot *s = &slots[0];
	*s = (struct slot){.is_busy = true};
	for (unsigned i = first; i < first + 64; i++) {
		ledger->begun_zeroes[i] = ledger->begun[i] + 2 - ledger->begun[i] % 2;
		ledger->begun[i] = ledger->begun_zeroes[i];
	}
	s->req = (struct block_req){.op = BLOCK_WRITE_ZEROES,
				    .may_unmap = true,
				    .offset = (uint64_t)first * UNIT,
				    .len = 64 * UNIT,
				    .done = is_done};
	s->unit = first;
	s->version = ledger->begun[first];
	block_plug(b);
	block_submit(b, &s->req);
	block_unplug(b);
	block_drain(b);
	for (unsigned i = first; i < first + 64; i++)
		ledger->written[i] = ledger->begun[i];
}

static void write_for_ever(const char *path, unsigned seed, bool is_direct)
{
	struct block_params params = {.path = path, .is_direct = is_direct};
	struct error err;

	params.loop = loop_new(&err);
	struct block *b = block_open(&params, &err);
	if (!b) {
		fprintf(stderr, "%s\n", err.text);
		_exit(2);
	}
	for (;;) {
		block_plug(b);
		for (unsigned i = 0; i < IN_FLIGHT; i++) {
			if (!slots[i].is_busy)
				start_one(b, &slots[i], &seed);
		}
		block_unplug(b);
		if (rand_r(&seed) % 4 == 0)
			block_drain(b);
		if (rand_r(&seed) % 64 == 0)
			zero_many(b, &seed);
	}
}

/* ---- the test ---- */

static void expect_no_corruption(const char *path)
{
	struct block_params params = {.path = path, .is_read_only = true};
	struct block_check check = {0};
	struct error err;
	struct block *b = block_open(&params, &err);

	if (!b)
		fail_msg("%s", err.text);
	assert_int_equal(block_check(b, &check), 0);
	assert_int_equal(check.corruptions, 0);
	block_close(b);
}

/* The version of a sector, which must be of this unit; 0 for zeroes. */
static uint32_t version_of(const uint64_t *sector, unsigned unit)
{
	for (unsigned i = 1; i < BLOCK_SECTOR / 8; i++)
		assert_int_equal(sector[i], sector[0]);
	if (sector[0])
		assert_int_equal((uint32_t)sector[0], unit);
	return (uint32_t)(sector[0] >> 32);
}

/*
 * A sector may be as any version from the one flushed in this life on; where none was, also as this
 * life found it. Zeroes are any even version.
 */
static bool fits(unsigned unit, unsigned sector, uint32_t version)
{
	uint32_t flushed = ledger->flushed[unit], least = flushed ? flushed : birth.begun[unit] + 1;

	if (!flushed && version == birth.sectors[unit][sector])
		return true;
	if (!version)
		return ledger->begun_zeroes[unit] >= least;
	return version >= least && version <= ledger->begun[unit];
}

/* Looks at every sector, and remembers it as what the next life begins with. */
static void expect_contents(const char *path)
{
	struct block_params params = {.path = path, .is_read_only = true};
	struct error err;
	struct block *b = block_open(&params, &err);
	uint64_t data[UNIT / 8];

	if (!b)
		fail_msg("%s", err.text);
	for (unsigned u = 0; u < NR_UNITS; u++) {
		assert_int_equal(block_read(b, (uint64_t)u * UNIT, data, UNIT), 0);
		for (unsigned s = 0; s < SECTORS; s++) {
			uint32_t version = version_of(data + s * (BLOCK_SECTOR / 8), u);

			if (!fits(u, s, version))
				fail_msg("unit %u, sector %u: version %u; flushed %u, begun %u and "
					 "zeroes %u; this life found %u and began after %u",
					 u, s, version, ledger->flushed[u], ledger->begun[u],
					 ledger->begun_zeroes[u], birth.sectors[u][s],
					 birth.begun[u]);
			birth.sectors[u][s] = version;
		}
		birth.begun[u] = ledger->begun[u];
		ledger->written[u] = ledger->flushed[u] = 0;
	}
	block_close(b);
}

/* Until the writer has flushed nr times in this life, then somewhat longer; 2 s at most. */
static void let_it_write(unsigned nr, unsigned extra_us)
{
	uint32_t until = ledger->nr_flushes + nr;

	for (unsigned ms = 0; ms < 2000 && ledger->nr_flushes < until; ms++)
		usleep(1000);
	usleep(extra_us);
}

static unsigned nr_cuts(void)
{
	const char *text = getenv("CUTS");

	return text ? (unsigned)atoi(text) : 25;
}

static void cut(unsigned cluster_size, bool is_direct)
{
	char dir[] = "/tmp/bantam-cut-XXXXXX", path[64];
	struct block_create_params p = {
		.format = "qcow2", .size = NR_UNITS * UNIT, .cluster_size = cluster_size};
	struct error err;

	memset(&birth, 0, sizeof(birth));
	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_ptr_not_equal(ledger, MAP_FAILED);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/disk", dir);
	p.path = path;
	assert_int_equal(block_create(&p, &err), 0);
	for (unsigned i = 0; i < nr_cuts(); i++) {
		pid_t child = fork();
		int status;

		if (!child)
			write_for_ever(path, i + 1, is_direct);
		let_it_write(i % 4, (i * 7919) % 60000);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		expect_no_corruption(path);
		expect_contents(path);
	}
	assert_true(ledger->nr_flushes > 0);
	munmap(ledger, sizeof(*ledger));
	unlink(path);
	rmdir(dir);
}

static void qcow2_survives_being_cut(void **state)
{
	cut(64 * KIB, false);
}

static void qcow2_with_small_clusters_survives_being_cut(void **state)
{
	cut(512, false);
}

static void qcow2_survives_being_cut_with_direct_io(void **state)
{
	cut(4096, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qcow2_survives_being_cut),
		cmocka_unit_test(qcow2_with_small_clusters_survives_being_cut),
		cmocka_unit_test(qcow2_survives_being_cut_with_direct_io),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
