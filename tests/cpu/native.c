/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host side of the comparison. The stack pointer belongs to the trial, so signals come in on a
 * stack of their own; the handler copies the state out of the signal frame and lets the kernel
 * return to native_return. Needs XSAVE; segment bases are set by the kernel, as not every host lets
 * programs do that.
 */
#include "cpu/native.h"

#include <asm/hwcap2.h>
#include <asm/prctl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

/* Read and written by the assembly below. The frame is IRETQ's: rip, cs, rflags, rsp, ss. */
uint64_t native_stack, native_frame[5], native_gpr[16];
uint32_t native_ds, native_es;
struct xsave_area native_fpu;
void native_enter(void);
extern const char native_return[];

asm(".text\n"
    ".globl native_enter, native_return\n"
    "native_enter:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; pushfq\n"
    "	mov %rsp, native_stack(%rip)\n"
    "	mov native_ds(%rip), %ds\n"
    "	mov native_es(%rip), %es\n"
    "	mov $7, %eax\n"
    "	xor %edx, %edx\n"
    "	xrstor64 native_fpu(%rip)\n"
    "	lea native_frame(%rip), %rsp\n"
    "	mov native_gpr+0(%rip), %rax\n"
    "	mov native_gpr+8(%rip), %rcx\n"
    "	mov native_gpr+16(%rip), %rdx\n"
    "	mov native_gpr+24(%rip), %rbx\n"
    "	mov native_gpr+40(%rip), %rbp\n"
    "	mov native_gpr+48(%rip), %rsi\n"
    "	mov native_gpr+56(%rip), %rdi\n"
    "	mov native_gpr+64(%rip), %r8\n"
    "	mov native_gpr+72(%rip), %r9\n"
    "	mov native_gpr+80(%rip), %r10\n"
    "	mov native_gpr+88(%rip), %r11\n"
    "	mov native_gpr+96(%rip), %r12\n"
    "	mov native_gpr+104(%rip), %r13\n"
    "	mov native_gpr+112(%rip), %r14\n"
    "	mov native_gpr+120(%rip), %r15\n"
    "	iretq\n"
    "native_return:\n"
    "	popfq; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n");

static struct {
	uint8_t *code, *data;
	uint32_t *counters;
	uint64_t fs_base;
	bool has_code_32, keeps_fpu_pointers, answers_int[256];
	struct outcome *out; /* of the trial in progress, or NULL */
	unsigned ticks;	     /* in the trial in progress */
	void (*on_tick)(void *ctx);
	void *on_tick_ctx;
	uint8_t signal_stack[64 * 1024] __attribute__((aligned(64)));
} native;

/* Made here because the thread's own data, errno among it, are at the FS base. */
static void arch_prctl(int code, uint64_t argument)
{
	long result;

	asm volatile("syscall"
		     : "=a"(result)
		     : "a"(SYS_arch_prctl), "D"((long)code), "S"(argument)
		     : "rcx", "r11", "memory");
}

static uint64_t read_base(int code)
{
	uint64_t base = 0;

	arch_prctl(code, (uintptr_t)&base);
	return base;
}

uint64_t native_fs_base(void)
{
	return native.fs_base;
}

bool native_has_code_32(void)
{
	return native.has_code_32;
}

bool native_keeps_fpu_pointers(void)
{
	return native.keeps_fpu_pointers;
}

bool native_keeps_gs_base(void)
{
	return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
}

const bool *native_answers_int(void)
{
	return native.answers_int;
}

bool native_is_paravirtual(void)
{
	for (unsigned n = 0; n < 256; n++)
		if (n != 0x80 && native.answers_int[n])
			return true;
	return false;
}

uint64_t native_xcr0(void)
{
	uint32_t low, high;

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | (uint64_t)high << 32;
}

void read_only_fill(uint8_t page[PAGE])
{
	for (unsigned n = 0; n < PAGE; n++)
		page[n] = (uint8_t)(n * 37 + (n >> 8) * 11 + 5);
}

/* Order of general registers in a signal frame, by encoding. */
static const uint8_t greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				    REG_RSI, REG_RDI, REG_R8,  REG_R9,	REG_R10, REG_R11,
				    REG_R12, REG_R13, REG_R14, REG_R15};

/* The saved FPU state, with components in their initial state spelt out. */
static void copy_fpu(struct xsave_area *to, const void *frame)
{
	memcpy(to, frame, sizeof(*to));
	if (!(to->xstate_bv & XCR0_X87)) {
		to->fcw = 0x37f;
		to->fsw = to->ftw = to->fop = 0;
		to->fip = to->fdp = 0;
		memset(to->st, 0, sizeof(to->st));
	}
	if (!(to->xstate_bv & XCR0_SSE))
		memset(to->xmm, 0, sizeof(to->xmm));
	if (!(to->xstate_bv & XCR0_AVX))
		memset(to->ymm_high, 0, sizeof(to->ymm_high));
}

/* What C code expects of the FPU when the frame is restored. */
static void clean_fpu(struct xsave_area *frame)
{
	frame->fcw = 0x37f;
	frame->fsw = frame->ftw = 0;
	frame->mxcsr = 0x1f80;
	frame->xstate_bv |= XCR0_X87 | XCR0_SSE;
}

static uint16_t read_selector(enum x86_seg seg)
{
	uint16_t selector;

	switch (seg) {
	case SEG_ES:
		asm volatile("mov %%es, %0" : "=r"(selector));
		return selector;
	case SEG_DS:
		asm volatile("mov %%ds, %0" : "=r"(selector));
		return selector;
	case SEG_FS:
		asm volatile("mov %%fs, %0" : "=r"(selector));
		return selector;
	default:
		asm volatile("mov %%gs, %0" : "=r"(selector));
		return selector;
	}
}

/* Segment registers as C code wants them; the trial may have loaded others. */
static void clean_segments(void)
{
	asm volatile("mov %0, %%ds\n\t"
		     "mov %0, %%es\n\t"
		     "mov %0, %%fs\n\t"
		     "mov %0, %%gs"
		     :
		     : "r"(0));
	arch_prctl(ARCH_SET_FS, native.fs_base);
}

static void copy_segments(struct cpu_state *to, const greg_t *gregs)
{
	to->selector[SEG_CS] = (uint16_t)gregs[REG_CSGSFS];
	to->selector[SEG_SS] = (uint16_t)(gregs[REG_CSGSFS] >> 48);
	to->selector[SEG_ES] = read_selector(SEG_ES);
	to->selector[SEG_DS] = read_selector(SEG_DS);
	to->selector[SEG_FS] = read_selector(SEG_FS);
	to->selector[SEG_GS] = read_selector(SEG_GS);
	to->fs_base = read_base(ARCH_GET_FS);
	to->gs_base = read_base(ARCH_GET_GS);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *gregs = uc->uc_mcontext.gregs;
	struct outcome *out = native.out;

	/* The trial may have set AC, and this code is not aligned for that. */
	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "pushfq\n\t"
		     "andl $~0x40000, (%%rsp)\n\t"
		     "popfq\n\t"
		     "lea 128(%%rsp), %%rsp"
		     :
		     :
		     : "memory", "cc");
	if (number == SIGPROF || number == SIGALRM) {
		unsigned ticks = number == SIGALRM ? NATIVE_PATIENCE / 2 : 1;

		for (unsigned n = 0; !out && native.on_tick && n < ticks; n++)
			native.on_tick(native.on_tick_ctx);
		native.ticks += ticks;
		if (!out || native.ticks < NATIVE_PATIENCE)
			return;
		strcpy(out->failure, "does not end");
	} else if (!out) {
		/* A fault of the test itself: take it again without a handler. */
		signal(number, SIG_DFL);
		return;
	}

	for (unsigned n = 0; n < 16; n++)
		out->state.gpr[n] = (uint64_t)gregs[greg_of[n]];
	out->state.rip = (uint64_t)gregs[REG_RIP];
	out->state.rflags = (uint64_t)gregs[REG_EFL];
	copy_segments(&out->state, gregs);
	clean_segments();
	out->vector = (unsigned)gregs[REG_TRAPNO];
	out->error = (uint32_t)gregs[REG_ERR];
	out->cr2 = (uint64_t)gregs[REG_CR2];
	copy_fpu(&out->state.fpu, uc->uc_mcontext.fpregs);

	clean_fpu((struct xsave_area *)uc->uc_mcontext.fpregs);
	native.out = NULL;
	gregs[REG_RIP] = (greg_t)(uintptr_t)native_return;
	gregs[REG_RSP] = (greg_t)native_stack;
	gregs[REG_EFL] = 0x202;
	gregs[REG_CSGSFS] = (greg_t)((uint64_t)USER_SS << 48 | USER_CS);
}

static void *map_file_at(uint64_t address, size_t size, int protection, int flags, int fd)
{
	void *p = mmap((void *)address, size, protection,
		       flags | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, 0);

	return p == (void *)address ? p : NULL;
}

static void *map_at(uint64_t address, size_t size, int protection)
{
	return map_file_at(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* The writable pages at both their addresses. */
static uint8_t *map_data(void)
{
	int fd = memfd_create("data", MFD_CLOEXEC);
	uint8_t *data = NULL;

	if (fd >= 0 && !ftruncate(fd, DATA_RW_SIZE) &&
	    map_file_at(DATA_ALIAS, DATA_RW_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd))
		data = map_file_at(DATA_RW, DATA_RW_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	if (fd >= 0)
		close(fd);
	return data;
}

void native_on_tick(void (*fn)(void *ctx), void *ctx)
{
	native.on_tick_ctx = ctx;
	native.on_tick = fn;
}

/* INT n for every n but the system call: which of them a kernel answers. */
static void probe_int(struct trial *t, struct outcome *out)
{
	t->code[0] = 0xcd;
	t->code_len = 2;
	for (unsigned n = 0; n < 256; n++) {
		native.answers_int[n] = true;
		t->code[1] = (uint8_t)n;
		if (n == 0x80)
			continue;
		native_run(t, out);
		native.answers_int[n] = n != VEC_BP && n != VEC_OF &&
					(out->vector != VEC_GP || out->error != n * 8 + 2);
	}
}

/* Finds out with trials of a single INT what this host is like. */
static void probe(void)
{
	static struct trial t;
	static struct outcome out;

	t.code[0] = 0xcc;
	t.code_len = 1;
	t.size = CODE_64;
	t.in.rip = CODE_BASE;
	t.in.rflags = FLAG_FIXED | FLAG_IF;
	t.in.selector[SEG_CS] = USER_CS;
	t.in.selector[SEG_SS] = USER_SS;
	t.in.fpu.fcw = 0x37f;
	t.in.fpu.mxcsr = 0x1f80;
	t.in.fpu.fop = 0x123;
	t.in.fpu.xstate_bv = XCR0_X87 | XCR0_SSE;
	native_run(&t, &out);
	native.keeps_fpu_pointers = out.state.fpu.fop == t.in.fpu.fop;
	probe_int(&t, &out);
	t.code[0] = 0xcc;
	t.code_len = 1;
	t.size = CODE_32;
	t.in.selector[SEG_CS] = USER_CS32;
	t.in.selector[SEG_DS] = t.in.selector[SEG_ES] = USER_SS;
	native_run(&t, &out);
	native.has_code_32 = out.vector == VEC_BP;
}

int native_init(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF, SIGALRM};
	stack_t stack = {.ss_sp = native.signal_stack, .ss_size = sizeof(native.signal_stack)};
	struct sigaction action = {.sa_sigaction = on_signal,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	struct itimerval tick = {.it_interval.tv_usec = NATIVE_TICK_US,
				 .it_value.tv_usec = NATIVE_TICK_US};
	struct itimerval seconds = {.it_interval.tv_sec = 5, .it_value.tv_sec = 5};
	uint8_t *read_only;

	if ((native_xcr0() & 3) != 3)
		return -ENOTSUP;
	native.fs_base = read_base(ARCH_GET_FS);
	native.code = map_at(CODE_BASE, CODE_PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	native.data = map_data();
	native.counters = map_at(COUNTERS, PAGE, PROT_READ | PROT_WRITE);
	read_only = map_at(DATA_RO, PAGE, PROT_READ | PROT_WRITE);
	if (!native.code || !native.data || !native.counters || !read_only)
		return -ENOMEM;
	memset(native.code, 0xcc, CODE_PAGES * PAGE);
	read_only_fill(read_only);
	if (mprotect(read_only, PAGE, PROT_READ))
		return -errno;
	sigfillset(&action.sa_mask);
	if (sigaltstack(&stack, NULL))
		return -errno;
	for (unsigned n = 0; n < ARRAY_SIZE(signals); n++)
		if (sigaction(signals[n], &action, NULL))
			return -errno;
	if (setitimer(ITIMER_PROF, &tick, NULL) || setitimer(ITIMER_REAL, &seconds, NULL))
		return -errno;
	probe();
	return 0;
}

/* Bytes that reach past the code pages do not exist. */
static size_t code_room(const struct trial *t)
{
	return min((uint64_t)t->code_len, CODE_BASE + CODE_PAGES * PAGE - t->in.rip);
}

static uint8_t *code_of(const struct trial *t)
{
	return native.code + (t->in.rip - CODE_BASE);
}

void native_run(const struct trial *t, struct outcome *out)
{
	out->failure[0] = 0;
	memcpy(native.data, t->data, DATA_RW_SIZE);
	memset(native.counters, 0, PAGE);
	memcpy(native.counters, t->counters, sizeof(t->counters));
	memcpy(code_of(t), t->code, code_room(t));
	memcpy(native_gpr, t->in.gpr, sizeof(native_gpr));
	native_frame[0] = t->in.rip;
	native_frame[1] = t->in.selector[SEG_CS];
	native_frame[2] = t->in.rflags;
	native_frame[3] = t->in.gpr[RSP];
	native_frame[4] = t->in.selector[SEG_SS];
	native_ds = t->in.selector[SEG_DS];
	native_es = t->in.selector[SEG_ES];
	native_fpu = t->in.fpu;
	arch_prctl(ARCH_SET_GS, t->in.gs_base);
	native.ticks = 0;
	native.out = out;
	native_enter();
	memcpy(out->data, native.data, DATA_RW_SIZE);
	memcpy(out->code, code_of(t), code_room(t));
	memset(code_of(t), 0xcc, code_room(t));
	/* Stores may have gone beyond it. */
	if (memcmp(native.code, native.code + 1, CODE_PAGES * PAGE - 1) != 0)
		memset(native.code, 0xcc, CODE_PAGES * PAGE);
}
