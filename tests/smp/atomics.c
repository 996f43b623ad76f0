/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Atomic accesses to one place by all CPUs: locked ones lose nothing, wherever the operand lies,
 * and plain ones within a cache line are never torn (SDM volume 3, 9.1).
 */
#include "smp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { THREADS_MAX = 4, PAGE = 4096 };

/* What the threads of a test share. word lies somewhere in two pages of its own. */
struct shared {
	char *pages;
	char *word;
	unsigned nr_threads;
	const char *name, *where;
	_Atomic uint64_t total;
	atomic_bool is_over;
	pthread_barrier_t barrier;
};

struct part {
	struct shared *s;
	unsigned number;
	void (*run)(struct part *p);
};

/*
 * Between looks at the clock. Hosts that dislike locked accesses across lines take most of a millisecond
 * for each.
 */
enum { ROUNDS = 100 };

static bool is_done(const struct part *p)
{
	return atomic_load_explicit(&p->s->is_over, memory_order_relaxed);
}

/* ---- counting ---- */

static inline void add8(void *p)
{
	__asm__ volatile("lock addq $1, %0" : "+m"(*(uint64_t *)p) : : "memory", "cc");
}
static inline void inc8(void *p)
{
	__asm__ volatile("lock incq %0" : "+m"(*(uint64_t *)p) : : "memory", "cc");
}
static inline void sub8(void *p)
{
	__asm__ volatile("lock subq $-1, %0" : "+m"(*(uint64_t *)p) : : "memory", "cc");
}
static inline void xadd8(void *p)
{
	uint64_t one = 1;

	__asm__ volatile("lock xaddq %1, %0" : "+m"(*(uint64_t *)p), "+r"(one) : : "memory", "cc");
}
static inline void cmpxchg8(void *p)
{
	uint64_t *word = p, old, seen;

	do {
		old = seen = *(volatile uint64_t *)word;
		__asm__ volatile("lock cmpxchgq %2, %0"
				 : "+m"(*word), "+a"(seen)
				 : "r"(old + 1)
				 : "memory", "cc");
	} while (seen != old);
}
static inline void cmpxchg8b(void *p)
{
	uint32_t *word = p, low = word[0], high = word[1];
	uint8_t done;

	do {
		uint64_t next = ((uint64_t)high << 32 | low) + 1;
		__asm__ volatile("lock cmpxchg8b %0\n\tsetz %3"
				 : "+m"(*(uint64_t *)p), "+a"(low), "+d"(high), "=q"(done)
				 : "b"((uint32_t)next), "c"((uint32_t)(next >> 32))
				 : "memory", "cc");
	} while (!done);
}

/* Each thread counts in its own way; every thousandth round it does all of them. */
static void count(struct part *p)
{
	static void (*const ways[])(void *) = {add8, xadd8, cmpxchg8, inc8, cmpxchg8b, sub8};
	char *word = p->s->word;
	uint64_t done = 0;

	while (!is_done(p)) {
		switch (p->number) {
		case 0:
			for (unsigned i = 0; i < ROUNDS; i++)
				add8(word);
			break;
		case 1:
			for (unsigned i = 0; i < ROUNDS; i++)
				xadd8(word);
			break;
		case 2:
			for (unsigned i = 0; i < ROUNDS; i++)
				cmpxchg8(word);
			break;
		default:
			for (unsigned i = 0; i < ROUNDS; i++)
				inc8(word);
		}
		for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
			ways[i](word);
		done += ROUNDS + ARRAY_SIZE(ways);
	}
	atomic_fetch_add(&p->s->total, done);
}

static void check_count(struct shared *s)
{
	uint64_t got;

	memcpy(&got, s->word, sizeof(got));
	if (got != s->total)
		broken("counter (%s): %lu, not %lu", s->where, got, s->total);
}

/* ---- a bit, a byte and a word of its own for each thread, within one locked operand ---- */

static void own_bit(struct part *p)
{
	uint64_t *word = (uint64_t *)p->s->word, bit = p->number * 13;
	uint8_t was;

	while (!is_done(p)) {
		for (unsigned i = 0; i < ROUNDS; i++) {
			__asm__ volatile("lock btsq %2, %0\n\tsetc %1"
					 : "+m"(*word), "=q"(was)
					 : "r"(bit)
					 : "memory", "cc");
			if (was)
				broken("LOCK BTS (%s): bit %lu was set", p->s->where, bit);
			__asm__ volatile("lock btrq %2, %0\n\tsetc %1"
					 : "+m"(*word), "=q"(was)
					 : "r"(bit)
					 : "memory", "cc");
			if (!was)
				broken("LOCK BTR (%s): bit %lu was clear", p->s->where, bit);
		}
		atomic_fetch_add(&p->s->total, ROUNDS);
	}
}

/*
 * Thread 0 counts in the lower half with locked additions to the whole; the others store to bytes of
 * the upper half with plain stores, which no addition may undo.
 */
static void beside(struct part *p)
{
	volatile uint8_t *own = (uint8_t *)p->s->word + 3 + p->number;
	uint64_t done = 0;

	while (!is_done(p)) {
		for (unsigned i = 0; i < ROUNDS; i++, done++) {
			if (p->number == 0) {
				add8(p->s->word);
				continue;
			}
			*own = (uint8_t)i;
			for (unsigned k = 0; k < 4; k++) {
				uint8_t got = *own;
				if (got != (uint8_t)i)
					broken("store beside LOCK ADD (%s): %u, not %u",
					       p->s->where, got, (uint8_t)i);
			}
		}
	}
	if (p->number == 0)
		p->s->total = done;
}

static void check_beside(struct shared *s)
{
	uint32_t got;

	memcpy(&got, s->word, sizeof(got));
	if (got != (uint32_t)s->total)
		broken("LOCK ADD beside stores (%s): %u, not %u", s->where, got,
		       (uint32_t)s->total);
}

/* Thread 1 owns the lower half, in the first page; thread 0 counts in the upper half. */
static void beside_low(struct part *p)
{
	volatile uint16_t *own = (uint16_t *)p->s->word + (p->number & 1);
	uint64_t done = 0;

	if (p->number > 2)
		return;
	while (!is_done(p)) {
		for (unsigned i = 0; i < ROUNDS; i++, done++) {
			if (p->number == 0) {
				__asm__ volatile("lock addq %1, %0"
						 : "+m"(*(uint64_t *)p->s->word)
						 : "r"(1ul << 32)
						 : "memory", "cc");
				continue;
			}
			*own = (uint16_t)i;
			for (unsigned k = 0; k < 4; k++) {
				uint16_t got = *own;
				if (got != (uint16_t)i)
					broken("store below LOCK ADD (%s): %u, not %u", p->s->where,
					       got, (uint16_t)i);
			}
		}
	}
	if (p->number == 0)
		p->s->total = done;
}

static void check_beside_low(struct shared *s)
{
	uint32_t got;

	memcpy(&got, s->word + 4, sizeof(got));
	if (got != (uint32_t)s->total)
		broken("LOCK ADD above stores (%s): %u, not %u", s->where, got, (uint32_t)s->total);
}

/* ---- plain accesses ---- */

/* All ones or all zeros, never a mixture: within a line every access up to 8 bytes is atomic. */
static void not_torn(struct part *p)
{
	uint64_t *word = (uint64_t *)p->s->word, v;

	while (!is_done(p)) {
		for (unsigned i = 0; i < ROUNDS; i++) {
			if (p->number % 2 == 0) {
				__asm__ volatile("mov %1, %0"
						 : "=m"(*word)
						 : "r"(-(uint64_t)(i & 1))
						 : "memory");
				continue;
			}
			__asm__ volatile("mov %1, %0" : "=r"(v) : "m"(*word) : "memory");
			if (v + 1 > 1)
				broken("8 bytes (%s) torn: %lx", p->s->where, v);
		}
		atomic_fetch_add(&p->s->total, ROUNDS);
	}
}

/* Stores across a boundary change their own bytes only; the bytes before and after are another's. */
static void neighbours(struct part *p)
{
	char *word = p->s->word;
	volatile uint8_t *own = (uint8_t *)word + (p->number == 1 ? -1 : 8);

	while (!is_done(p)) {
		for (unsigned i = 0; i < ROUNDS; i++) {
			if (p->number == 0) {
				*(volatile uint64_t *)word = 0x1111111111111111u * (i % 16);
				uint64_t got = *(volatile uint64_t *)word;
				if (got != 0x1111111111111111u * (i % 16))
					broken("store (%s) not read back: %lx", p->s->where, got);
			} else if (p->number < 3) {
				*own = (uint8_t)i;
				uint8_t got = *own;
				if (got != (uint8_t)i)
					broken("store beside a store (%s): %u, not %u", p->s->where,
					       got, (uint8_t)i);
			} else {
				uint64_t got = *(volatile uint64_t *)word;
				for (unsigned k = 0; k < 8; k++, got >>= 8)
					if ((got & 15) != (got >> 4 & 15))
						broken("a byte (%s) is torn: %lx", p->s->where,
						       got & 255);
			}
		}
		atomic_fetch_add(&p->s->total, ROUNDS);
	}
}

/* ---- 16 bytes ---- */

struct pair {
	uint64_t a, b;
};

/* Exchanges if *seen is there; seen becomes what was there. */
static inline bool cmpxchg16b(void *p, struct pair *seen, struct pair next)
{
	uint8_t done;

	__asm__ volatile("lock cmpxchg16b %0\n\tsetz %3"
			 : "+m"(*(struct pair *)p), "+a"(seen->a), "+d"(seen->b), "=q"(done)
			 : "b"(next.a), "c"(next.b)
			 : "memory", "cc");
	return done;
}

static void check_pair(struct pair v, const char *how)
{
	if (v.b != v.a * 3)
		broken("%s: the pair is torn: %lx %lx", how, v.a, v.b);
}

static void pairs(struct part *p)
{
	const bool with_avx = has_avx();
	uint64_t done = 0;

	while (!is_done(p)) {
		for (unsigned i = 0; i < ROUNDS; i++, done++) {
			struct pair seen = {0};
			while (!cmpxchg16b(p->s->word, &seen,
					   (struct pair){seen.a + 1, (seen.a + 1) * 3}))
				check_pair(seen, "CMPXCHG16B");
			/* CPUs with AVX promise that these are atomic, too. */
			if (!with_avx)
				continue;
			__asm__ volatile("movdqa %1, %%xmm0\n\tmovdqu %%xmm0, %0"
					 : "=m"(seen)
					 : "m"(*(struct pair *)p->s->word)
					 : "xmm0", "memory");
			check_pair(seen, "MOVDQA");
		}
	}
	atomic_fetch_add(&p->s->total, done);
}

static void check_pairs(struct shared *s)
{
	struct pair v;

	memcpy(&v, s->word, sizeof(v));
	if (v.a != s->total || v.b != v.a * 3)
		broken("CMPXCHG16B: %lu, %lu, not %lu", v.a, v.b, s->total);
}

/* ---- the table ---- */

static const struct {
	const char *name, *where;
	unsigned offset;
	void (*run)(struct part *p);
	void (*check)(struct shared *s);
} tests[] = {
	{"counter", "aligned", 64, count, check_count},
	{"counter", "unaligned", 67, count, check_count},
	{"counter", "across lines", 128 - 4, count, check_count},
	{"counter", "across pages", PAGE - 4, count, check_count},
	{"counter", "7 bytes in the next page", PAGE - 1, count, check_count},
	{"own bits", "aligned", 64, own_bit, NULL},
	{"own bits", "across lines", 128 - 3, own_bit, NULL},
	{"own bits", "across pages", PAGE - 3, own_bit, NULL},
	{"stores in a locked word", "aligned", 64, beside, check_beside},
	{"stores in a locked word", "across lines", 128 - 4, beside, check_beside},
	{"stores in a locked word", "across pages", PAGE - 4, beside, check_beside},
	{"stores below", "across lines", 128 - 4, beside_low, check_beside_low},
	{"stores below", "across pages", PAGE - 4, beside_low, check_beside_low},
	{"plain 8 bytes", "aligned", 64, not_torn, NULL},
	{"plain 8 bytes", "unaligned within a line", 64 + 3, not_torn, NULL},
	{"neighbours of a store", "across lines", 128 - 3, neighbours, NULL},
	{"neighbours of a store", "across pages", PAGE - 3, neighbours, NULL},
	{"cmpxchg16b", "aligned", 64, pairs, check_pairs},
};

static void *run_part(void *opaque)
{
	struct part *p = opaque;

	use_cpu(p->number);
	pthread_barrier_wait(&p->s->barrier);
	p->run(p);
	return NULL;
}

void run_atomics(unsigned milliseconds)
{
	struct shared s = {.nr_threads = count_cpus() > 2 ? THREADS_MAX : 3};
	struct part parts[THREADS_MAX];
	pthread_t ids[THREADS_MAX];
	const unsigned each = milliseconds / ARRAY_SIZE(tests);

	s.pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(s.pages != MAP_FAILED, "mmap");
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		const uint64_t end_ns = now_ns() + each * 1000000ul;

		memset(s.pages, 0, 2 * PAGE);
		s.word = s.pages + tests[i].offset;
		s.name = tests[i].name;
		s.where = tests[i].where;
		s.total = 0;
		s.is_over = false;
		need(pthread_barrier_init(&s.barrier, NULL, s.nr_threads) == 0, "barrier");
		for (unsigned t = 0; t < s.nr_threads; t++) {
			parts[t] = (struct part){&s, t, tests[i].run};
			need(pthread_create(&ids[t], NULL, run_part, &parts[t]) == 0,
			     "pthread_create");
		}
		while (now_ns() < end_ns)
			usleep(10000);
		atomic_store(&s.is_over, true);
		for (unsigned t = 0; t < s.nr_threads; t++)
			need(pthread_join(ids[t], NULL) == 0, "pthread_join");
		pthread_barrier_destroy(&s.barrier);
		if (tests[i].check)
			tests[i].check(&s);
		printf("%-24s %-26s %10lu rounds\n", s.name, s.where, s.total);
	}
	munmap(s.pages, 2 * PAGE);
}
