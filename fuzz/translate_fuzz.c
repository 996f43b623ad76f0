/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: the translator against the interpreter. The same hostile guest runs in two VMs, one of
 * them with every block translated before its first run. At each exit, and there is one for each
 * exception, both must be in the same state. Neither may crash or ignore a kick.
 *
 * Results that are undefined, or that tell the time, may differ: before a difference is believed, the
 * guest runs once more, step by step, in search of instructions that have such results.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "engine/soft/insn.h"
#include "guest_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __lsan_is_turned_off(void);

/* A vCPU lives in mapped memory, where the leak checker does not look for pointers. */
int __lsan_is_turned_off(void)
{
	return 1;
}

#define EXITS_MAX 32 /* per input */
#define STEPS_MAX 200000
#define RUN_NS	  1500000
#define KICKS_MAX 1000 /* without coming back: it hangs */

enum { INTERPRETER, TRANSLATOR, STEPPER, NR_GUESTS };

/* Written before the timer runs; the signal handler reads it. */
static struct engine_vcpu *kicked;
static volatile sig_atomic_t kicks;

static void on_timer(int number)
{
	if (++kicks > KICKS_MAX)
		abort();
	engine_vcpu_kick(kicked);
}

static timer_t timer_make(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 8};
	struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_ONSTACK};
	timer_t timer;

	BUG_ON(sigaction(event.sigev_signo, &action, NULL));
	BUG_ON(timer_create(CLOCK_MONOTONIC, &event, &timer));
	return timer;
}

/* Runs to the next exit; false when it had to be kicked. */
static bool run(struct guest *g, timer_t timer)
{
	const struct itimerspec after = {.it_value.tv_nsec = RUN_NS, .it_interval.tv_nsec = RUN_NS};
	const struct itimerspec never = {0};
	int ret;

	kicked = g->vcpu;
	kicks = 0;
	timer_settime(timer, 0, &after, NULL);
	ret = engine_vcpu_run(g->vcpu);
	timer_settime(timer, 0, &never, NULL);
	BUG_ON(ret && ret != -EINTR);
	return !ret;
}

/* ---- state ---- */

struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave;
};

static struct state *state_of(struct guest *g, struct state *s)
{
	memset(s, 0, sizeof(*s));
	BUG_ON(engine_vcpu_get_regs(g->vcpu, &s->regs));
	BUG_ON(engine_vcpu_get_sregs(g->vcpu, &s->sregs));
	BUG_ON(engine_vcpu_get_xsave(g->vcpu, &s->xsave));
	/* Which components are in use is the engine's to say: header, and bytes it leaves alone. */
	memset((uint8_t *)s->xsave.region + 416, 0, 160);
	return s;
}

static bool is_same_exit(const struct kvm_run *a, const struct kvm_run *b)
{
	if (a->exit_reason != b->exit_reason)
		return false;
	if (a->exit_reason == KVM_EXIT_MMIO)
		return !memcmp(&a->mmio, &b->mmio, offsetof(__typeof__(a->mmio), data)) &&
		       a->mmio.len == b->mmio.len && a->mmio.is_write == b->mmio.is_write &&
		       (!a->mmio.is_write || !memcmp(a->mmio.data, b->mmio.data, a->mmio.len));
	if (a->exit_reason == KVM_EXIT_IO)
		return a->io.port == b->io.port && a->io.size == b->io.size &&
		       a->io.count == b->io.count && a->io.direction == b->io.direction;
	return true;
}

/* NULL, or what differs. */
static const char *difference(struct guest *a, struct guest *b)
{
	static struct state of_a, of_b;

	if (!is_same_exit(a->run, b->run))
		return "exit";
	state_of(a, &of_a);
	state_of(b, &of_b);
	if (memcmp(&of_a.regs, &of_b.regs, sizeof(of_a.regs)) != 0)
		return "registers";
	if (memcmp(&of_a.sregs, &of_b.sregs, sizeof(of_a.sregs)) != 0)
		return "system registers";
	if (memcmp(&of_a.xsave, &of_b.xsave, sizeof(of_a.xsave)) != 0)
		return "FPU";
	return memcmp(a->ram, b->ram, RAM_SIZE) != 0 ? "memory" : NULL;
}

static void print_difference(struct guest *a, struct guest *b, const char *what)
{
	static const char *const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi",
					    "rsp", "rbp", "r8",	 "r9",	"r10", "r11",
					    "r12", "r13", "r14", "r15", "rip", "rflags"};
	static struct state of_a, of_b;
	const uint64_t *regs_a, *regs_b;

	regs_a = (const uint64_t *)&state_of(a, &of_a)->regs;
	regs_b = (const uint64_t *)&state_of(b, &of_b)->regs;
	fprintf(stderr, "interpreter and translator differ: %s; exits %u and %u\n", what,
		a->run->exit_reason, b->run->exit_reason);
	for (unsigned n = 0; n < ARRAY_SIZE(names); n++)
		fprintf(stderr, "  %s %llx %llx%s\n", names[n], (unsigned long long)regs_a[n],
			(unsigned long long)regs_b[n], regs_a[n] != regs_b[n] ? " !" : "");
	for (unsigned at = 0, n = 0; at < RAM_SIZE && n < 16; at++)
		if (a->ram[at] != b->ram[at])
			fprintf(stderr, "  memory %x: %02x %02x%c", at, a->ram[at], b->ram[at],
				++n % 4 ? ' ' : '\n');
	fprintf(stderr, "\n");
}

/* ---- machines ---- */

/*
 * The first byte chooses the mode, the next four are the seed of everything else, so that the rest can
 * be code: no input has to get hundreds of bytes right before it runs at all.
 */
struct source {
	uint8_t machine[1024];
	struct input in, code;
};

static void source_make(struct source *s, const uint8_t *data, size_t size)
{
	uint32_t seed;

	s->code = (struct input){data, size};
	s->machine[0] = take8(&s->code);
	take(&s->code, &seed, sizeof(seed));
	for (unsigned n = 1; n < sizeof(s->machine); n++) {
		seed = seed * 1664525 + 1013904223;
		s->machine[n] = (uint8_t)(seed >> 24);
	}
	s->in = (struct input){s->machine, sizeof(s->machine)};
}

#define MODE_TRAPS BIT(7) /* of the first byte: TF stays as it is drawn */
#define MODE_WILD  BIT(6) /* and so do pointers */

static void start(struct guest *g, struct source *s)
{
	struct kvm_regs regs;

	guest_start(g, &s->in, &s->code);
	engine_vcpu_get_regs(g->vcpu, &regs);
	if (!(s->machine[0] & MODE_TRAPS))
		regs.rflags &= ~(uint64_t)FLAG_TF;
	if (!(s->machine[0] & MODE_WILD)) {
		regs.rbx &= RAM_SIZE - 1;
		regs.rsi &= RAM_SIZE - 1;
		regs.rdi &= RAM_SIZE - 1;
		regs.rbp &= RAM_SIZE - 1;
		regs.r8 &= RAM_SIZE - 1;
	}
	engine_vcpu_set_regs(g->vcpu, &regs);
}

/* ---- instructions with results of their own ---- */

static enum code_size size_of(const struct kvm_sregs *s)
{
	return s->cs.l ? CODE_64 : s->cs.db ? CODE_32 : CODE_16;
}

/* Whether the next instruction has undefined results, or any that differ from run to run. */
static bool is_open(struct guest *g)
{
	static const uint32_t features[NR_CPUID_WORDS] = {[0 ... NR_CPUID_WORDS - 1] = UINT32_MAX};
	struct kvm_sregs s;
	struct kvm_regs regs;
	struct insn i;
	uint64_t at;

	engine_vcpu_get_sregs(g->vcpu, &s);
	engine_vcpu_get_regs(g->vcpu, &regs);
	at = s.cs.base + regs.rip;
	if (at >= RAM_SIZE - 16 || !decode(g->ram + at, 15, size_of(&s), features, 0, &i) ||
	    i.row >= nr_insn_rows)
		return false;
	/* AF of the logical operations is clear everywhere. */
	return insn_rows[i.row].flags_undef & ~FLAG_AF || insn_rows[i.row].attr & A_NOTEST;
}

static bool meets_open(struct guest *g, const uint8_t *data, size_t size)
{
	static struct source source;
	struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	bool result = false;

	source_make(&source, data, size);
	memset(g->ram, 0, RAM_SIZE);
	start(g, &source);
	engine_vcpu_set_guest_debug(g->vcpu, &debug);
	for (unsigned exits = 0, steps = 0; exits < EXITS_MAX && !result;) {
		if (steps++ == STEPS_MAX || is_open(g)) {
			result = true;
			break;
		}
		if (engine_vcpu_run(g->vcpu))
			continue;
		if (g->run->exit_reason == KVM_EXIT_DEBUG)
			continue;
		exits++;
		if (!handle_exit(g, &source.in))
			break;
	}
	debug.control = 0;
	engine_vcpu_set_guest_debug(g->vcpu, &debug);
	return result;
}

/* ---- one input ---- */

/* Returns whether both have come to the same end. */
static bool run_both(struct guest **g, const uint8_t *data, size_t size, timer_t timer)
{
	static struct source s[2];

	for (unsigned n = INTERPRETER; n <= TRANSLATOR; n++) {
		source_make(&s[n], data, size);
		start(g[n], &s[n]);
	}
	for (unsigned n = 0; n < EXITS_MAX; n++) {
		const char *what;
		bool goes_on;

		/* Where time is up is anybody's guess. */
		if (!run(g[INTERPRETER], timer) || !run(g[TRANSLATOR], timer))
			return false;
		what = difference(g[INTERPRETER], g[TRANSLATOR]);
		if (what && meets_open(g[STEPPER], data, size))
			return false;
		if (what) {
			print_difference(g[INTERPRETER], g[TRANSLATOR], what);
			abort();
		}
		goes_on = handle_exit(g[INTERPRETER], &s[INTERPRETER].in);
		if (handle_exit(g[TRANSLATOR], &s[TRANSLATOR].in) != goes_on)
			abort();
		if (!goes_on)
			return true;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest *g[NR_GUESTS];
	static timer_t timer;
	static bool is_clean;

	for (unsigned n = 0; n < NR_GUESTS && !g[NR_GUESTS - 1]; n++) {
		const struct engine_options options = {
			.kvm_device = "/dev/kvm",
			.is_interpreter = n != TRANSLATOR,
			.heat = 1,
			.code_cache_size = 4 * MIB,
		};

		g[n] = guest_make(&options);
		if (!n)
			timer = timer_make();
	}
	for (unsigned n = INTERPRETER; n <= TRANSLATOR && !is_clean; n++)
		memset(g[n]->ram, 0, RAM_SIZE);
	is_clean = run_both(g, data, size, timer);
	return 0;
}
