/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults tell where and why, and leave the registers and memory as they were. The handler repairs the
 * page, the instruction runs again, and what it leaves is compared with a run that did not fault.
 * And pages that another thread takes away are gone when mprotect() or munmap() has returned.
 */
#include "smp.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, STATUS_FLAGS = 0x8d5 };

/* Order and offsets are known to faults.S. */
struct fault_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, flags;
};

#define FORMS(F)               \
	F(load, 8, false)      \
	F(store, 8, true)      \
	F(store1, 1, true)     \
	F(load_r14, 8, false)  \
	F(load_r11, 1, false)  \
	F(add_to, 8, true)     \
	F(add_from, 8, false)  \
	F(compare, 8, false)   \
	F(lock_add, 8, true)   \
	F(exchange, 8, true)   \
	F(test_bit, 4, false)  \
	F(load_xmm, 16, false) \
	F(store_xmm, 16, true) \
	F(divide, 8, false)    \
	F(fetch_add, 8, true)  \
	F(copy, 0, true)       \
	F(fill, 0, true)

#define DECLARE(name, size, writes)                 \
	void fault_##name(struct fault_regs *regs); \
	extern const char fault_##name##_at[], fault_##name##_after[];
FORMS(DECLARE)

static const struct form {
	const char *name;
	void (*run)(struct fault_regs *regs);
	const char *at, *after;
	unsigned size; /* 0: rcx bytes */
	bool writes;
} forms[] = {
#define ENTRY(name, size, writes) \
	{#name, fault_##name, fault_##name##_at, fault_##name##_after, size, writes},
	FORMS(ENTRY)};

enum { FORM_LOAD, FORM_STORE };

/* What the running instruction must bring. */
static _Thread_local struct {
	const struct form *form; /* NULL: nothing */
	bool is_probe;		 /* skip the instruction instead */
	const struct fault_regs *regs;
	uint64_t address;
	int signal;
	char *pages; /* to be made accessible */
	unsigned nr_faults;
} wanted;

static void check_reg(const char *name, uint64_t got, uint64_t right)
{
	if (got != right)
		broken("fault in %s: %s is %lx, not %lx", wanted.form->name, name, got, right);
}

static void on_fault(int number, siginfo_t *info, void *opaque)
{
	ucontext_t *uc = opaque;
	greg_t *g = uc->uc_mcontext.gregs;
	const struct form *form = wanted.form;
	const struct fault_regs *r = wanted.regs;
	const uint64_t rip = (uint64_t)g[REG_RIP];
	uint64_t done = 0;

	if (!form || rip != (uintptr_t)form->at)
		broken("signal %d at %lx, address %p", number, rip, info->si_addr);
	check_reg("the signal", (uint64_t)number, (uint64_t)wanted.signal);
	if (number == SIGSEGV) {
		check_reg("the address", (uintptr_t)info->si_addr, wanted.address);
		check_reg("the vector", (uint64_t)g[REG_TRAPNO], 14);
		check_reg("the error code's write and user bits", (uint64_t)g[REG_ERR] & 6,
			  form->writes ? 6 : 4);
		if (!form->size)
			done = wanted.address - r->rdi;
	} else {
		check_reg("the address", (uintptr_t)info->si_addr, rip);
		check_reg("the code", (uint64_t)info->si_code, FPE_INTDIV);
	}
	check_reg("rax", (uint64_t)g[REG_RAX], r->rax);
	check_reg("rbx", (uint64_t)g[REG_RBX], r->rbx);
	check_reg("rcx", (uint64_t)g[REG_RCX], r->rcx - done);
	check_reg("rdx", (uint64_t)g[REG_RDX], r->rdx);
	check_reg("rsi", (uint64_t)g[REG_RSI], r->rsi + (form->at == fault_copy_at ? done : 0));
	check_reg("rdi", (uint64_t)g[REG_RDI], r->rdi + done);
	check_reg("rbp", (uint64_t)g[REG_RBP], r->rbp);
	check_reg("r8", (uint64_t)g[REG_R8], r->r8);
	check_reg("r9", (uint64_t)g[REG_R9], r->r9);
	check_reg("r10", (uint64_t)g[REG_R10], r->r10);
	check_reg("r11", (uint64_t)g[REG_R11], r->r11);
	check_reg("r12", (uint64_t)g[REG_R12], r->r12);
	check_reg("r13", (uint64_t)g[REG_R13], r->r13);
	check_reg("r14", (uint64_t)g[REG_R14], r->r14);
	check_reg("r15", (uint64_t)g[REG_R15], r->r15);
	check_reg("the flags", (uint64_t)g[REG_EFL] & STATUS_FLAGS, r->flags & STATUS_FLAGS);
	wanted.nr_faults++;
	if (wanted.is_probe) {
		g[REG_RIP] = (greg_t)(uintptr_t)form->after;
	} else if (number == SIGSEGV) {
		need(mprotect(wanted.pages, 2 * PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
	} else {
		*(uint64_t *)r->rdi = 3;
	}
}

void setup_faults(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	need(sigaction(SIGSEGV, &action, NULL) == 0, "sigaction");
	need(sigaction(SIGFPE, &action, NULL) == 0, "sigaction");
}

static void fill_regs(struct fault_regs *r, uint32_t *seed)
{
	uint32_t *words = (uint32_t *)r;

	for (size_t i = 0; i < sizeof(*r) / 4; i++)
		words[i] = next_random(seed);
	r->flags &= STATUS_FLAGS;
}

/* One instruction, without and with a fault; both pages are accessible again afterwards. */
static void fault_once(char *pages, char *copy, uint32_t *seed)
{
	static const char source[64] = "bytes for the string instruction to copy";
	const struct form *form = &forms[next_random(seed) % ARRAY_SIZE(forms)];
	struct fault_regs first, left, right;

	fill_regs(&first, seed);
	first.rsi = (uintptr_t)source;
	if (!form->size)
		first.rcx = 1 + first.rcx % sizeof(source);
	unsigned size = form->size ? form->size : (unsigned)first.rcx;
	bool is_crossing = size > 1 && next_random(seed) % 3 == 0;
	unsigned off = is_crossing ? PAGE - 1 - next_random(seed) % (size - 1)
				   : next_random(seed) % (PAGE - 64);
	if (form->at == fault_divide_at)
		first.rdx = 0;

	for (unsigned i = 0; i < 2 * PAGE; i += 512)
		memset(pages + i, (int)(1 + next_random(seed) % 255), 512);
	memcpy(copy, pages, 2 * PAGE);
	right = left = first;
	right.rdi = (uintptr_t)copy + off;
	form->run(&right);
	right.rdi += (uintptr_t)pages - (uintptr_t)copy;

	left.rdi = first.rdi = (uintptr_t)pages + off;
	wanted.regs = &first;
	wanted.form = form;
	wanted.pages = pages;
	wanted.nr_faults = 0;
	wanted.is_probe = false;
	bool is_second = is_crossing && next_random(seed) % 2;
	char *closed = pages + (is_second ? PAGE : 0);
	int rights = form->writes && next_random(seed) % 2 ? PROT_READ : PROT_NONE;
	wanted.signal = SIGSEGV;
	wanted.address = is_second ? (uintptr_t)closed : first.rdi;
	need(mprotect(closed, PAGE, rights) == 0, "mprotect");
	form->run(&left);
	if (wanted.nr_faults != 1)
		broken("%u faults in %s, not 1", wanted.nr_faults, form->name);
	wanted.form = NULL;

	left.flags &= STATUS_FLAGS;
	right.flags &= STATUS_FLAGS;
	if (form->at == fault_divide_at)
		left.flags = right.flags; /* not defined */
	if (memcmp(&left, &right, sizeof(left)) != 0)
		for (size_t i = 0; i < sizeof(left) / 8; i++)
			if (((uint64_t *)&left)[i] != ((uint64_t *)&right)[i])
				broken("%s after a fault: register %zu is %lx, not %lx", form->name,
				       i, ((uint64_t *)&left)[i], ((uint64_t *)&right)[i]);
	if (memcmp(copy, pages, 2 * PAGE) != 0)
		broken("%s after a fault: memory differs", form->name);
}

static void divide_by_zero(char *pages, uint32_t *seed)
{
	struct fault_regs r, first;

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++)
		if (forms[i].at == fault_divide_at)
			wanted.form = &forms[i];
	fill_regs(&first, seed);
	first.rdi = (uintptr_t)pages;
	first.rdx = 0;
	memset(pages, 0, 8);
	wanted.regs = &first;
	wanted.signal = SIGFPE;
	wanted.nr_faults = 0;
	wanted.is_probe = false;
	r = first;
	wanted.form->run(&r);
	if (wanted.nr_faults != 1 || r.rax != first.rax / 3 || r.rdx != first.rax % 3)
		broken("division: %u faults, %lx %lx", wanted.nr_faults, r.rax, r.rdx);
	wanted.form = NULL;
}

void work_faults(struct worker *w)
{
	char *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *copy =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned rounds = 0;

	need(pages != MAP_FAILED && copy != MAP_FAILED, "mmap");
	do {
		fault_once(pages, copy, &w->seed);
		if (next_random(&w->seed) % 16 == 0)
			divide_by_zero(pages, &w->seed);
		if (next_random(&w->seed) % 512 == 0)
			use_cpu(next_random(&w->seed));
		tick(&w->rounds);
	} while (!is_over() || ++rounds < 100);
	munmap(pages, 2 * PAGE);
	munmap(copy, 2 * PAGE);
}

/* ---- pages taken away ---- */

enum { TAKEN_PAGES = 8 };
enum taken { IS_WRITABLE, IS_READABLE, IS_CLOSED, NR_TAKEN };

/* generation is odd while the page changes. */
static struct {
	_Alignas(64) atomic_uint generation;
	enum taken state;
	uint64_t number; /* in the page's first eight bytes */
} taken[TAKEN_PAGES];
static _Atomic(char *) taken_pages;

/* A file with a page for each number. */
static void take(char *at, unsigned page, int fd, uint32_t *seed)
{
	static const int rights[NR_TAKEN] = {PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE};
	const enum taken state = next_random(seed) % NR_TAKEN;
	const unsigned number = next_random(seed) % TAKEN_PAGES;

	atomic_fetch_add(&taken[page].generation, 1);
	switch (next_random(seed) % 3) {
	case 0:
		need(mprotect(at, PAGE, rights[state]) == 0, "mprotect");
		break;
	case 1:
		need(munmap(at, PAGE) == 0, "munmap");
		__attribute__((fallthrough));
	default:
		need(mmap(at, PAGE, rights[state], MAP_SHARED | MAP_FIXED, fd, number * PAGE) == at,
		     "mmap");
		taken[page].number = number;
	}
	taken[page].state = state;
	atomic_fetch_add(&taken[page].generation, 1);
}

void work_unmap(struct worker *w)
{
	int fd = memfd_create("taken", 0);

	need(fd >= 0 && ftruncate(fd, TAKEN_PAGES * PAGE) == 0, "memfd");
	char *pages = mmap(NULL, TAKEN_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(pages != MAP_FAILED, "mmap");
	for (uint64_t i = 0; i < TAKEN_PAGES; i++) {
		memcpy(pages + i * PAGE, &i, sizeof(i));
		taken[i].number = i;
	}
	atomic_store(&taken_pages, pages);
	while (!is_over()) {
		unsigned page = next_random(&w->seed) % TAKEN_PAGES;

		take(pages + page * PAGE, page, fd, &w->seed);
		tick(&w->rounds);
		if (next_random(&w->seed) % 256 == 0)
			use_cpu(next_random(&w->seed));
		if (next_random(&w->seed) % 4 == 0)
			usleep(next_random(&w->seed) % 500);
	}
	/* The pages stay: others may still access them. */
	close(fd);
}

/* Loads or stores a page's number and compares what happened with what the page was meanwhile. */
static void probe(char *pages, unsigned page, uint32_t *seed)
{
	struct fault_regs r, first;
	const bool is_store = next_random(seed) % 2;
	unsigned before = atomic_load(&taken[page].generation);
	const enum taken state = taken[page].state;
	const uint64_t number = taken[page].number;

	fill_regs(&first, seed);
	first.rdi = (uintptr_t)pages + page * PAGE + (is_store ? 64 : 0);
	wanted.form = &forms[is_store ? FORM_STORE : FORM_LOAD];
	wanted.regs = &first;
	wanted.address = first.rdi;
	wanted.signal = SIGSEGV;
	wanted.is_probe = true;
	wanted.nr_faults = 0;
	r = first;
	wanted.form->run(&r);
	wanted.form = NULL;
	atomic_thread_fence(memory_order_seq_cst);
	if (before & 1 || atomic_load(&taken[page].generation) != before)
		return;
	bool is_refused = state == IS_CLOSED || (is_store && state == IS_READABLE);
	if (wanted.nr_faults != is_refused)
		broken("%s of a page in state %d: %u faults", is_store ? "store" : "load", state,
		       wanted.nr_faults);
	if (!is_store && !is_refused && r.rax != number)
		broken("load from the wrong page: %lx, not %lx", r.rax, number);
}

void work_unmap_access(struct worker *w)
{
	while (!is_over()) {
		char *pages = atomic_load(&taken_pages);

		if (!pages) {
			usleep(1000);
			continue;
		}
		for (unsigned i = 0; i < 20; i++)
			probe(pages, next_random(&w->seed) % TAKEN_PAGES, &w->seed);
		tick(&w->rounds);
		if (next_random(&w->seed) % 256 == 0)
			use_cpu(next_random(&w->seed));
	}
}
