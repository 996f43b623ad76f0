/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code that is written while programs run. A function returns a number known to its caller; in front of
 * that stands a random number of instructions that do nothing lasting.
 *
 * Where one thread writes what another executes, the other executes CPUID in between, as SDM volume 3,
 * 9.1.3 asks. A thread that changes its own code need not.
 */
#include "smp.h"

#include <cpuid.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 64, SLOT_SIZE = 128, PAGE = 4096, BULK_PAGES = 256 };

typedef uint32_t function(void);

/*
 * A function of the shared code. state counts callers in its low half; while the writer has it, the
 * upper half is odd.
 */
static struct slot {
	_Alignas(64) atomic_uint state;
	uint32_t wanted;
	uint8_t *written, *executed;
} slots[SLOTS];

static void serialise(void)
{
	unsigned a, b, c, d;

	__cpuid(0, a, b, c, d);
}

/* Writes a function that returns the number into at most SLOT_SIZE bytes; returns how many. */
static unsigned write_function(uint8_t *at, uint32_t number, uint32_t *seed)
{
	static const struct {
		uint8_t size, bytes[7];
	} fillers[] = {
		{1, {0x90}},					 /* nop */
		{3, {0x0f, 0x1f, 0x00}},			 /* nop (%rax) */
		{2, {0x31, 0xc9}},				 /* xor %ecx, %ecx */
		{4, {0x48, 0x8d, 0x49, 0x01}},			 /* lea 1(%rcx), %rcx */
		{3, {0x48, 0x01, 0xca}},			 /* add %rcx, %rdx */
		{2, {0x50, 0x59}},				 /* push %rax; pop %rcx */
		{7, {0x48, 0xc7, 0xc2, 0x11, 0x22, 0x33, 0x44}}, /* mov $0x44332211, %rdx */
		{4, {0x39, 0xd1, 0x74, 0x00}},			 /* cmp %edx, %ecx; je .+2 */
		{2, {0xeb, 0x00}},				 /* jmp .+2 */
		{5, {0x31, 0xc9, 0xe3, 0x01, 0xcc}}, /* xor %ecx, %ecx; jrcxz .+3; int3 */
	};
	uint8_t *p = at;

	for (unsigned nr = next_random(seed) % 14; nr; nr--) {
		unsigned k = next_random(seed) % ARRAY_SIZE(fillers);
		memcpy(p, fillers[k].bytes, fillers[k].size);
		p += fillers[k].size;
	}
	/* mov $(number - 1), %eax; add $1, %eax; ret */
	*p++ = 0xb8;
	number--;
	memcpy(p, &number, 4);
	p += 4;
	memcpy(p, "\x83\xc0\x01\xc3", 4);
	return (unsigned)(p + 4 - at);
}

static uint32_t call(const void *code)
{
	function *f;

	memcpy(&f, &code, sizeof(f));
	return f();
}

void setup_jit(void)
{
	int fd = memfd_create("code", 0);
	uint32_t seed = 12345;
	const size_t size = SLOTS * SLOT_SIZE;

	/* The first half of the slots is written where it is executed, the others through an alias. */
	need(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "memfd");
	uint8_t *both = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0);
	uint8_t *written = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(both != MAP_FAILED && written != MAP_FAILED, "mmap");
	close(fd);
	for (unsigned i = 0; i < SLOTS; i++) {
		slots[i].executed = both + i * SLOT_SIZE;
		slots[i].written = (i < SLOTS / 2 ? both : written) + i * SLOT_SIZE;
		slots[i].wanted = i;
		write_function(slots[i].written, i, &seed);
	}
}

/* Takes a slot for writing when nobody calls it. */
static void rewrite(struct slot *s, uint32_t *seed)
{
	unsigned state = atomic_load(&s->state);

	if (state & 0xffff || !atomic_compare_exchange_strong(&s->state, &state, state + 0x10000))
		return;
	s->wanted = next_random(seed);
	if (next_random(seed) % 4 == 0) {
		/* Only the number changes: the four bytes before the last four. */
		uint8_t *p = s->written;
		while (memcmp(p, "\x83\xc0\x01\xc3", 4) != 0)
			p++;
		memcpy(p - 4, &(uint32_t){s->wanted - 1}, 4);
	} else {
		write_function(s->written, s->wanted, seed);
	}
	atomic_fetch_add(&s->state, 0x10000);
}

void work_jit_write(struct worker *w)
{
	while (!is_over()) {
		for (unsigned i = 0; i < 100; i++)
			rewrite(&slots[next_random(&w->seed) % SLOTS], &w->seed);
		tick(&w->rounds);
		if (next_random(&w->seed) % 64 == 0)
			use_cpu(next_random(&w->seed));
		if (next_random(&w->seed) % 4 == 0)
			usleep(next_random(&w->seed) % 3000);
	}
}

void work_jit_call(struct worker *w)
{
	while (!is_over()) {
		struct slot *s = &slots[next_random(&w->seed) % SLOTS];
		unsigned state = atomic_fetch_add(&s->state, 1);

		if (!(state & 0x10000)) {
			serialise();
			for (unsigned i = next_random(&w->seed) % 40; i; i--) {
				uint32_t got = call(s->executed);
				if (got != s->wanted)
					broken("code written by another thread gives %x, not %x "
					       "(slot %td)",
					       got, s->wanted, s - slots);
			}
			tick(&w->rounds);
		}
		atomic_fetch_sub(&s->state, 1);
		if (next_random(&w->seed) % 1024 == 0)
			use_cpu(next_random(&w->seed));
	}
}

/*
 * Changes the code it has just run, without any of the above: the function's number, and, from within
 * the function, the instruction behind the store.
 */
void work_jit_own(struct worker *w)
{
	/* mov %edi, 1(%rip); then mov $number, %eax, whose number that was; ret */
	static const uint8_t self[] = {0x89, 0x3d, 0x01, 0, 0, 0, 0xb8, 0, 0, 0, 0, 0xc3};
	uint8_t *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t (*store)(uint32_t number);
	unsigned rounds = 0;

	need(page != MAP_FAILED, "mmap");
	do {
		/* Sometimes across the two pages. */
		uint8_t *at =
			page + (next_random(&w->seed) % 4 ? next_random(&w->seed) % 2048
							  : PAGE - 1 - next_random(&w->seed) % 40);
		uint32_t number = next_random(&w->seed);
		unsigned size = write_function(at, number, &w->seed);

		for (unsigned i = 0; i < 40; i++) {
			uint32_t got = call(at);
			if (got != number)
				broken("own code gives %x, not %x", got, number);
			if (i % 8 == 7) {
				number = next_random(&w->seed);
				memcpy(at + size - 8, &(uint32_t){number - 1}, 4);
			}
		}
		memcpy(at, self, sizeof(self));
		memcpy(&store, &(void *){at}, sizeof(store));
		for (unsigned i = 0; i < 20; i++) {
			number = next_random(&w->seed);
			uint32_t got = store(number);
			if (got != number)
				broken("code that changes itself gives %x, not %x", got, number);
		}
		/* The same address with another page behind it. */
		if (++rounds % 64 == 0) {
			need(mmap(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page,
			     "mmap");
			if (rounds % 1024 == 0)
				use_cpu(next_random(&w->seed));
		}
		tick(&w->rounds);
	} while (!is_over() || rounds < 200);
	munmap(page, 2 * PAGE);
}

/* Fills page after page with functions and calls each often: more code than a small cache holds. */
void work_jit_bulk(struct worker *w)
{
	static uint32_t wanted[BULK_PAGES][PAGE / SLOT_SIZE];
	uint8_t *pages = mmap(NULL, BULK_PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool is_written[BULK_PAGES] = {0};

	need(pages != MAP_FAILED, "mmap");
	while (!is_over()) {
		unsigned n = next_random(&w->seed) % BULK_PAGES;
		uint8_t *page = pages + n * PAGE;

		if (!is_written[n] || next_random(&w->seed) % 8 == 0) {
			for (unsigned k = 0; k < PAGE / SLOT_SIZE; k++) {
				wanted[n][k] = next_random(&w->seed);
				write_function(page + k * SLOT_SIZE, wanted[n][k], &w->seed);
			}
			is_written[n] = true;
		}
		for (unsigned i = 0; i < 100 && !is_over(); i++) {
			for (unsigned k = 0; k < PAGE / SLOT_SIZE; k++) {
				uint32_t got = call(page + k * SLOT_SIZE);
				if (got != wanted[n][k])
					broken("function %u of page %u gives %x, not %x", k, n, got,
					       wanted[n][k]);
			}
		}
		if (next_random(&w->seed) % 32 == 0)
			use_cpu(next_random(&w->seed));
		tick(&w->rounds);
	}
	munmap(pages, BULK_PAGES * PAGE);
}
