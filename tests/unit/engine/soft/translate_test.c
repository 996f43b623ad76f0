/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What random programs do not reach in the translator: code that changes while it runs, joints
 * between blocks that have to be undone, code memory that is too small, interrupts and kicks in tight
 * loops. Every block is translated before its first run.
 */
#include <cpuid.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "engine/soft/cache.h"
#include "unit/engine/soft/sys_guest.h"

#define DONE   0x80
#define WRONG  0x81
#define VECTOR 0x40

static int setup(void **state)
{
	static const struct engine_options options = {
		.kvm_device = "/dev/kvm", .heat = 1, .code_cache_size = 4 * MIB};

	return sys_guest_setup_with(state, &options);
}

static int setup_sites(void **state)
{
	static const struct engine_options options = {.kvm_device = "/dev/kvm",
						      .heat = 1,
						      .has_sites_always = true,
						      .code_cache_size = 4 * MIB};

	return sys_guest_setup_with(state, &options);
}

/* Each with accesses that are looked up in the TLB, and with sites. */
#define test(f)                                                        \
	cmocka_unit_test_setup_teardown(f, setup, sys_guest_teardown), \
		cmocka_unit_test_setup_teardown(f, setup_sites, sys_guest_teardown)

static int setup_interpreter(void **state)
{
	static const struct engine_options options = {.kvm_device = "/dev/kvm",
						      .is_interpreter = true};

	return sys_guest_setup_with(state, &options);
}

static void start(struct sys_guest *g, uint64_t rip)
{
	sys_guest_long(g, rip, 0, 0);
	mem_wrote(g->mem, 0, RAM_SIZE);
}

/* With ThreadSanitizer blocks stay with the interpreter, which these programs test then. */
static void assert_translated(struct sys_guest *g)
{
	struct engine_vcpu_stats stats;

	assert_int_equal(engine_vcpu_stats(g->vcpu, &stats), 0);
	if (!HAS_TSAN)
		assert_true(stats.entries > 0);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* ---- code that changes ---- */

GUEST_CODE(patch_next, ".code64\n"
		       "mov $300, %ecx\n"
		       "1: mov %ecx, 2f + 1(%rip)\n"
		       "2: mov $0, %eax\n"
		       "cmp %ecx, %eax\n"
		       "jne 9f\n"
		       "dec %ecx\n"
		       "jnz 1b\n" REPORT(0x80) "9:" REPORT(0x81));

static void store_into_the_next_instruction_is_seen(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, patch_next));
	assert_int_equal(sys_guest_run(g), DONE);
	assert_translated(g);
}

/*
 * After some number of stores a page loses all its blocks, the running one too: here by a store
 * beside it, while the block of the RET has kept the page's count. The next one, into what is left of that block, must be seen all the same.
 */
GUEST_CODE(patch_often, ".code64\n"
			"mov $300, %ecx\n"
			"1: call 7f\n"
			"mov %cl, 8f(%rip)\n"
			"mov %ecx, 2f + 1(%rip)\n"
			"2: mov $0, %eax\n"
			"cmp %ecx, %eax\n"
			"jne 9f\n"
			"dec %ecx\n"
			"jnz 1b\n" REPORT(0x80) "9:" REPORT(0x81) "7: ret\n8: .byte 0\n");

static void store_is_seen_when_the_page_gives_up_its_blocks(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, patch_often));
	assert_int_equal(sys_guest_run(g), DONE);
}

/* The patched block is reached by a direct jump from one that has been joined to it. */
GUEST_CODE(patch_joined, ".code64\n"
			 "mov $300, %ecx\n"
			 "1: test $7, %cl\n"
			 "jnz 2f\n"
			 "mov %ecx, %edx\n"
			 "mov %ecx, 3f + 1(%rip)\n"
			 "jmp 2f\n"
			 "nop\n"
			 "2: jmp 3f\n"
			 "nop\n"
			 "3: mov $0, %eax\n"
			 "cmp %edx, %eax\n"
			 "jne 9f\n"
			 "dec %ecx\n"
			 "jnz 1b\n" REPORT(0x80) "9:" REPORT(0x81));

static void store_into_a_joined_block_is_seen(void **state)
{
	struct sys_guest *g = *state;
	struct engine_vm_stats stats;

	start(g, LOAD(g, patch_joined));
	assert_int_equal(sys_guest_run(g), DONE);
	assert_int_equal(engine_vm_stats(g->vm, &stats), 0);
	assert_true(stats.dropped_by_stores > 0);
	if (!HAS_TSAN)
		assert_true(stats.links > 0);
}

GUEST_CODE(spin, ".code64\n"
		 "1: mov $0, %eax\n"
		 "cmp $1, %eax\n"
		 "jne 1b\n" REPORT(0x80));

static void *write_code(void *ctx)
{
	const struct timespec delay = {.tv_nsec = 30 * 1000000};
	struct sys_guest *g = ctx;
	uint32_t value = 1;

	nanosleep(&delay, NULL);
	assert_int_equal(mem_write(g->mem, AT_CODE + 1, &value, sizeof(value)), 0);
	return NULL;
}

/* The loop is one block, which is left by nothing else. */
static void device_write_ends_a_loop(void **state)
{
	struct sys_guest *g = *state;
	pthread_t thread;

	start(g, LOAD(g, spin));
	assert_int_equal(pthread_create(&thread, NULL, write_code, g), 0);
	assert_int_equal(sys_guest_run(g), DONE);
	pthread_join(thread, NULL);
	assert_translated(g);
}

/* ---- mappings that change ---- */

#define AT_HIGH	 0x30000 /* two pages, of which the second is mapped to either of two others */
#define AT_FIRST 0x40000
#define AT_OTHER 0x41000

/* Falls from the end of a page into the next, and calls and jumps there, under both mappings. */
GUEST_CODE(remap, ".code64\n"
		  "mov $200, %ecx\n"
		  "1: mov %ecx, %edx\n"
		  "and $1, %edx\n"
		  "shl $12, %edx\n"
		  "add $0x40007, %edx\n"
		  "mov %rdx, 0x23000 + 0x31 * 8\n"
		  "invlpg 0x31000\n"
		  "mov %ecx, %ebx\n"
		  "and $1, %ebx\n"
		  "mov $0x30ff0, %esi\n"
		  "call *%rsi\n"
		  "cmp %ebx, %eax\n"
		  "jne 9f\n"
		  "mov $0x31000, %esi\n"
		  "call *%rsi\n"
		  "cmp %ebx, %eax\n"
		  "jne 9f\n"
		  "dec %ecx\n"
		  "jnz 1b\n" REPORT(0x80) "9:" REPORT(0x81));

GUEST_CODE(give_0, ".code64\nmov $0, %eax\nret\n");
GUEST_CODE(give_1, ".code64\nmov $1, %eax\nret\n");

static void blocks_follow_the_mapping_of_the_next_page(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, remap));
	memset(g->ram + AT_HIGH, 0x90, 0x1000);
	LOAD_AT(g, AT_FIRST, give_0);
	LOAD_AT(g, AT_OTHER, give_1);
	assert_int_equal(sys_guest_run(g), DONE);
	assert_translated(g);
}

/* ---- an instruction that begins in one page and ends in the next ---- */

/* The number of MOV $n, %eax lies in the page that is mapped anew, its first byte at 0x30fff. */
GUEST_CODE(remap_half,
	   ".code64\n"
	   "mov $0x31004, %esi\n" /* RET: the TLB knows the page when the block is translated */
	   "call *%rsi\n"
	   "mov $0x30ff0, %esi\n"
	   "call *%rsi\n"
	   "mov $200, %ecx\n"
	   "1: mov %ecx, %edx\n"
	   "and $1, %edx\n"
	   "shl $12, %edx\n"
	   "add $0x40007, %edx\n"
	   "mov %rdx, 0x23000 + 0x31 * 8\n"
	   "invlpg 0x31000\n"
	   "mov %ecx, %ebx\n"
	   "and $1, %ebx\n"
	   "mov $0x30ff0, %esi\n"
	   "call *%rsi\n"
	   "cmp %ebx, %eax\n"
	   "jne 9f\n"
	   "call *%rsi\n"
	   "cmp %ebx, %eax\n"
	   "jne 9f\n"
	   "dec %ecx\n"
	   "jnz 1b\n" REPORT(0x80) "9:" REPORT(0x81));

/* The same is changed by stores: to either page, from another block and from its own. */
GUEST_CODE(patch_half,
	   ".code64\n"
	   "mov $0x31004, %esi\n" /* RET: the TLB knows the page when the block is translated */
	   "call *%rsi\n"
	   "mov $200, %ecx\n"
	   "mov $0x30ff0, %esi\n"
	   "1: mov %cl, 0x31000\n"
	   "mov $1000, %eax\n"
	   "call *%rsi\n"
	   "movzbl %cl, %ebx\n"
	   "cmp %ebx, %eax\n"
	   "jne 9f\n"
	   "movb $0x05, 0x30fff\n" /* ADD */
	   "mov $1000, %eax\n"
	   "call *%rsi\n"
	   "add $1000, %ebx\n"
	   "cmp %ebx, %eax\n"
	   "jne 9f\n"
	   "movb $0xb8, 0x30fff\n" /* MOV */
	   "dec %ecx\n"
	   "jnz 1b\n" REPORT(0x80) "9:" REPORT(0x81));

/* Seven bytes: they end at 0x30fff if nothing is before them. */
GUEST_CODE(store_ahead, ".code64\nmov %cl, 0x31000\n");
GUEST_CODE(give_ahead, ".code64\nmov $0x12345600, %eax\nret\n");

GUEST_CODE(patch_own_half,
	   ".code64\n"
	   "mov $0x31004, %esi\n" /* RET: the TLB knows the page when the block is translated */
	   "call *%rsi\n"
	   "mov $200, %ecx\n"
	   "mov $0x30ff8, %esi\n"
	   "1: call *%rsi\n"
	   "mov %ecx, %ebx\n"
	   "or $0x12345600, %ebx\n"
	   "cmp %ebx, %eax\n"
	   "jne 9f\n"
	   "dec %ecx\n"
	   "jnz 1b\n" REPORT(0x80) "9:" REPORT(0x81));

static void assert_half_is_followed(struct sys_guest *g, uint64_t at)
{
	start(g, at);
	memset(g->ram + AT_HIGH, 0x90, 0x1000);
	LOAD_AT(g, AT_HIGH + 0xfff, give_0);
	memcpy(g->ram + AT_FIRST, give_0_start + 1, (size_t)(give_0_end - give_0_start) - 1);
	memcpy(g->ram + AT_OTHER, give_1_start + 1, (size_t)(give_1_end - give_1_start) - 1);
	assert_int_equal(sys_guest_run(g), DONE);
	assert_translated(g);
}

static void instruction_across_pages_follows_the_mapping(void **state)
{
	struct sys_guest *g = *state;

	assert_half_is_followed(g, LOAD(g, remap_half));
}

static void instruction_across_pages_follows_stores(void **state)
{
	struct sys_guest *g = *state;

	assert_half_is_followed(g, LOAD(g, patch_half));
}

static void instruction_across_pages_follows_its_own_block(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, patch_own_half));
	LOAD_AT(g, AT_HIGH + 0xff8, store_ahead);
	LOAD_AT(g, AT_HIGH + 0xfff, give_ahead);
	assert_int_equal(sys_guest_run(g), DONE);
	assert_translated(g);
}

/* ---- branches that fault ---- */

/* Often to a place that exists, then to RDI. */
GUEST_CODE(return_often, ".code64\n"
			 "mov $50, %ecx\n"
			 "lea 1f(%rip), %rax\n"
			 "0: dec %ecx\n"
			 "cmovz %rdi, %rax\n"
			 "push %rax\n"
			 "ret\n"
			 "1: jmp 0b\n");

static void return_to_no_address_faults_at_the_return(void **state)
{
	static const uint64_t targets[] = {0x800000000000, 0x7fffffffffffffff, BIT64(63),
					   UINT64_MAX ^ 1, 0xffff7fffffffffff, 0x0001000000010000};
	struct sys_guest *g = *state;
	uint64_t at = LOAD(g, return_often);

	for (unsigned n = 0; n < ARRAY_SIZE(targets); n++) {
		struct kvm_regs regs;
		uint64_t frame;

		start(g, at);
		engine_vcpu_get_regs(g->vcpu, &regs);
		regs.rdi = targets[n];
		engine_vcpu_set_regs(g->vcpu, &regs);
		/* The last number is an address, of nothing. */
		assert_int_equal(sys_guest_run(g), targets[n] == UINT64_MAX - 1 ? VEC_PF : VEC_GP);
		frame = g->regs.rsp;
		if (targets[n] == UINT64_MAX - 1) {
			assert_int_equal(get64(g, frame + 8), targets[n]);
			continue;
		}
		assert_int_equal(get64(g, frame + 8) - at,
				 return_often_end - return_often_start - 3);
		assert_int_equal(get64(g, frame + 32), AT_STACK - 8);
	}
	assert_translated(g);
}

/* The return address goes over the operand; no block is known at the target. */
GUEST_CODE(call_over_itself, ".code64\n"
			     "lea 1f(%rip), %rax\n"
			     "mov %rax, -8(%rsp)\n"
			     "call *-8(%rsp)\n" REPORT(0x81) "1:" REPORT(0x80));

static void call_reads_its_target_before_it_stores(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, call_over_itself));
	assert_int_equal(sys_guest_run(g), DONE);
}

/* Two accesses off one base that no page holds both of. */
GUEST_CODE(far_apart, ".code64\n"
		      "mov $0xb000, %eax\n"
		      "addb $1, (%rax)\n"
		      "addb $1, -0x80000000(%rax)\n" REPORT(0x81));

static void accesses_far_apart_are_each_checked(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, far_apart));
	assert_int_equal(sys_guest_run(g), VEC_PF);
	assert_int_equal(g->sregs.cr2, AT_DATA - 0x80000000ull);
	assert_int_equal(g->ram[AT_DATA], 1);
}

/* The first of two accesses off one base is not aligned: a fault, but not of AMD's SHA instructions. */
GUEST_CODE(not_aligned, ".code64\n"
			"mov %cr4, %rax\n"
			"or $0x200, %eax\n"
			"mov %rax, %cr4\n"
			"mov $0xb001, %eax\n"
			"sha1msg1 (%rax), %xmm1\n"
			"movups 7(%rax), %xmm0\n"
			"movups %xmm0, 23(%rax)\n" REPORT(0x80));

static void access_behind_one_not_aligned_is_checked(void **state)
{
	struct sys_guest *g = *state;
	uint32_t eax, ebx = 0, ecx, edx;

	__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
	if (!(ebx >> FEAT_SHA % 32 & 1))
		skip();
	put64(g, AT_DATA + 8, 0x1122334455667788);
	start(g, LOAD(g, not_aligned));
	assert_int_equal(sys_guest_run(g), g->is_amd ? DONE : VEC_GP);
	assert_int_equal(get64(g, AT_DATA + 24), g->is_amd ? 0x1122334455667788 : 0);
	assert_translated(g);
}

/* ---- code memory ---- */

#define AT_BLOCKS  0x100000
#define BLOCK_STEP 16
#define NR_BLOCKS  16384
#define ROUNDS	   3

GUEST_CODE(all_blocks, ".code64\n"
		       "mov $3, %ecx\n"
		       "xor %eax, %eax\n"
		       "1: mov $0x100000, %esi\n"
		       "call *%rsi\n"
		       "dec %ecx\n"
		       "jnz 1b\n" REPORT(0x80));

/* ADD EAX, n; XOR EAX, n << 3; JMP to the next, of which the last is RET. */
static uint32_t put_blocks(struct sys_guest *g)
{
	uint32_t sum = 0;

	for (uint32_t n = 0; n < NR_BLOCKS; n++) {
		uint8_t *at = g->ram + AT_BLOCKS + n * BLOCK_STEP;
		const uint32_t mask = n << 3;

		memcpy(at, "\x05....\x35....\xeb\x04", 12);
		memcpy(at + 1, &n, 4);
		memcpy(at + 6, &mask, 4);
	}
	g->ram[AT_BLOCKS + NR_BLOCKS * BLOCK_STEP] = 0xc3;
	for (uint32_t n = 0; n < ROUNDS * NR_BLOCKS; n++)
		sum = (sum + n % NR_BLOCKS) ^ n % NR_BLOCKS << 3;
	return sum;
}

static void code_memory_is_used_again(void **state)
{
	struct sys_guest *g = *state;
	struct engine_vm_stats stats;
	uint32_t sum;

	start(g, LOAD(g, all_blocks));
	sum = put_blocks(g);
	/* REPORT changes AL. */
	assert_int_equal(sys_guest_run(g), DONE);
	assert_int_equal(g->regs.rax >> 8, sum >> 8);
	assert_int_equal(engine_vm_stats(g->vm, &stats), 0);
	if (HAS_TSAN)
		return;
	assert_true(stats.code_bytes > 2 * 4 * MIB);
	assert_true(stats.code_parts > 0);
}

/* ---- kicks and interrupts ---- */

GUEST_CODE(jump_to_itself, ".code64\n1: jmp 1b\n");
GUEST_CODE(count_down, ".code64\n"
		       "0: mov $-1, %rcx\n"
		       "1: dec %rcx\n"
		       "jnz 1b\n"
		       "jmp 0b\n");
GUEST_CODE(return_to_itself, ".code64\n"
			     "lea 1f(%rip), %rax\n"
			     "1: push %rax\n"
			     "ret\n");

/* Of which rounds are run without a look at the requests, up to a limit. */
GUEST_CODE(sum_memory, ".code64\n"
		       "0: mov $0x100000, %esi\n"
		       "mov $0x180000, %edi\n"
		       "1: add (%rsi), %rax\n"
		       "add $8, %rsi\n"
		       "cmp %rdi, %rsi\n"
		       "jne 1b\n"
		       "jmp 0b\n");

/* For the signal handler. */
static struct {
	struct engine_vcpu *vcpu;
	bool is_nmi; /* it sends that instead */
	volatile uint64_t at_ns;
} kick;

static void on_timer(int number)
{
	kick.at_ns = now_ns();
	if (kick.is_nmi)
		engine_vcpu_nmi(kick.vcpu);
	else
		engine_vcpu_kick(kick.vcpu);
}

#define KICK_EVERY_NS 300000

static timer_t timer_begin(struct sys_guest *g, bool is_nmi)
{
	const struct itimerspec every = {.it_value.tv_nsec = KICK_EVERY_NS,
					 .it_interval.tv_nsec = KICK_EVERY_NS};
	struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_ONSTACK};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 8};
	timer_t timer;

	kick.vcpu = g->vcpu;
	kick.is_nmi = is_nmi;
	assert_int_equal(sigaction(event.sigev_signo, &action, NULL), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
	return timer;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

#define KICKS 301

/* The kick comes from a signal handler on the vCPU's own thread: no other has to be scheduled. */
static void assert_kicks_are_quick(struct sys_guest *g)
{
	uint64_t took[KICKS];
	timer_t timer = timer_begin(g, false);

	for (unsigned n = 0; n < KICKS; n++) {
		assert_int_equal(engine_vcpu_run(g->vcpu), -EINTR);
		took[n] = now_ns() - kick.at_ns;
	}
	timer_delete(timer);
	qsort(took, KICKS, sizeof(took[0]), by_value);
	assert_in_range(took[KICKS / 2], 0, 50 * NS_PER_US);
	assert_in_range(took[KICKS - 1], 0, NS_PER_SEC);
	assert_translated(g);
}

static void kick_reaches_a_jump_to_itself(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, jump_to_itself));
	assert_kicks_are_quick(g);
}

static void kick_reaches_a_counted_loop(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, count_down));
	assert_kicks_are_quick(g);
}

static void kick_reaches_a_loop_of_returns(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, return_to_itself));
	assert_kicks_are_quick(g);
}

static void kick_reaches_a_loop_over_memory(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, sum_memory));
	assert_kicks_are_quick(g);
}

GUEST_CODE(report_and_return, ".code64\n"
			      "push %rax\n" REPORT(0x80) "pop %rax\n"
							 "iretq\n");

/* The same for interrupts: one that needs no lock to be sent, delivered to the guest's handler. */
static void assert_interrupts_are_quick(struct sys_guest *g)
{
	uint64_t took[KICKS];
	timer_t timer;

	put_gate(g, VEC_NMI, KERNEL_CS64, LOAD(g, report_and_return), 0x8e, 0, true);
	timer = timer_begin(g, true);
	for (unsigned n = 0; n < KICKS; n++) {
		assert_int_equal(sys_guest_run(g), DONE);
		took[n] = now_ns() - kick.at_ns;
	}
	timer_delete(timer);
	qsort(took, KICKS, sizeof(took[0]), by_value);
	assert_in_range(took[KICKS / 2], 0, 50 * NS_PER_US);
	assert_translated(g);
}

static void interrupt_reaches_a_jump_to_itself(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, jump_to_itself));
	assert_interrupts_are_quick(g);
}

static void interrupt_reaches_a_counted_loop(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, count_down));
	assert_interrupts_are_quick(g);
}

static void interrupt_reaches_a_loop_of_returns(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, return_to_itself));
	assert_interrupts_are_quick(g);
}

static void interrupt_reaches_a_loop_over_memory(void **state)
{
	struct sys_guest *g = *state;

	start(g, LOAD(g, sum_memory));
	assert_interrupts_are_quick(g);
}

GUEST_CODE(fill_and_check, ".code64\n"
			   "mov $400, %ebx\n"
			   "1: mov $0x100000, %edi\n"
			   "mov $0x80000, %ecx\n"
			   "mov %ebx, %eax\n"
			   "rep stosb\n"
			   "cmp $0x180000, %rdi\n"
			   "jne 9f\n"
			   "test %rcx, %rcx\n"
			   "jnz 9f\n"
			   "dec %ebx\n"
			   "jnz 1b\n" REPORT(0x80) "9:" REPORT(0x81));

static void kicked_string_instruction_goes_on(void **state)
{
	struct sys_guest *g = *state;
	unsigned kicks = 0;
	timer_t timer;

	start(g, LOAD(g, fill_and_check));
	timer = timer_begin(g, false);
	while (engine_vcpu_run(g->vcpu) == -EINTR)
		kicks++;
	timer_delete(timer);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(*((uint8_t *)g->run + g->run->io.data_offset), DONE);
	assert_true(kicks > 0);
}

static void enable_lapic(struct sys_guest *g)
{
	static const uint32_t spiv = 0x1ff;
	struct kvm_lapic_state lapic;

	assert_int_equal(engine_vcpu_get_lapic(g->vcpu, &lapic), 0);
	memcpy(lapic.regs + 0xf0, &spiv, 4);
	assert_int_equal(engine_vcpu_set_lapic(g->vcpu, &lapic), 0);
}

static void *send_interrupt(void *ctx)
{
	const struct timespec delay = {.tv_nsec = 30 * 1000000};
	struct sys_guest *g = ctx;

	nanosleep(&delay, NULL);
	assert_int_equal(engine_vm_signal_msi(g->vm, 0xfee00000, VECTOR), 0);
	return NULL;
}

/* Interrupts can come behind the INC only. */
GUEST_CODE(open_and_close, ".code64\n"
			   "1: sti\n"
			   "inc %rbx\n"
			   "cli\n"
			   "jmp 1b\n");

static void interrupt_comes_one_instruction_after_sti(void **state)
{
	struct sys_guest *g = *state;
	uint64_t at = LOAD(g, open_and_close);
	pthread_t thread;

	start(g, at);
	enable_lapic(g);
	assert_int_equal(pthread_create(&thread, NULL, send_interrupt, g), 0);
	assert_int_equal(sys_guest_run(g), VECTOR);
	pthread_join(thread, NULL);
	assert_int_equal(get64(g, g->regs.rsp), at + 4);
	assert_translated(g);
}

/* One shot of the x2APIC's timer. */
GUEST_CODE(wait_for_timer, ".code64\n"
			   "mov $0x1b, %ecx\n"
			   "rdmsr\n"
			   "or $0xc00, %eax\n"
			   "wrmsr\n"
			   "xor %edx, %edx\n"
			   "mov $0x80f, %ecx\n"
			   "mov $0x1ff, %eax\n"
			   "wrmsr\n"
			   "mov $0x83e, %ecx\n"
			   "mov $0xb, %eax\n"
			   "wrmsr\n"
			   "mov $0x832, %ecx\n"
			   "mov $0x40, %eax\n"
			   "wrmsr\n"
			   "mov $0x838, %ecx\n"
			   "mov $5000000, %eax\n"
			   "wrmsr\n"
			   "sti\n"
			   "1: dec %rbx\n"
			   "jnz 1b\n"
			   "jmp 1b\n");

static void timer_reaches_a_loop(void **state)
{
	struct sys_guest *g = *state;
	uint64_t begun;

	start(g, LOAD(g, wait_for_timer));
	begun = now_ns();
	assert_int_equal(sys_guest_run(g), VECTOR);
	assert_in_range(now_ns() - begun, 0, NS_PER_SEC);
	assert_translated(g);
}

#define DEADLINES 101

/* Waits in a loop of one block for TSC deadlines. */
GUEST_CODE(wait_for_deadlines, ".code64\n"
			       "mov $0x1b, %ecx\n"
			       "rdmsr\n"
			       "or $0xc00, %eax\n"
			       "wrmsr\n"
			       "xor %edx, %edx\n"
			       "mov $0x80f, %ecx\n"
			       "mov $0x1ff, %eax\n"
			       "wrmsr\n"
			       "mov $0x832, %ecx\n"
			       "mov $0x40040, %eax\n"
			       "wrmsr\n"
			       "mov $101, %ebp\n"
			       "mov $0xb000, %edi\n"
			       "lea 1f(%rip), %r9\n"
			       "1: rdtsc\n"
			       "shl $32, %rdx\n"
			       "lea 400000(%rax, %rdx), %r8\n"
			       "mov %r8d, %eax\n"
			       "mov %r8, %rdx\n"
			       "shr $32, %rdx\n"
			       "mov $0x6e0, %ecx\n"
			       "wrmsr\n"
			       "sti\n"
			       "2: dec %rbx\n"
			       "jnz 2b\n"
			       "jmp 2b\n");
/* Stores how late it is and goes back for the next. */
GUEST_CODE(on_deadline, ".code64\n"
			"rdtsc\n"
			"shl $32, %rdx\n"
			"or %rdx, %rax\n"
			"sub %r8, %rax\n"
			"mov %rax, (%rdi)\n"
			"add $8, %rdi\n"
			"xor %eax, %eax\n"
			"xor %edx, %edx\n"
			"mov $0x80b, %ecx\n"
			"wrmsr\n"
			"mov %r9, (%rsp)\n"
			"dec %ebp\n"
			"jz 1f\n"
			"iretq\n"
			"1:" REPORT(0x80));

static atomic_uint_fast64_t alarm_ns; /* when it came; 0: not yet */

static void on_alarm(int number)
{
	atomic_store(&alarm_ns, host_now_ns());
}

/* How late a timer's signal reaches a program that spins: the host's share, 40 us on some. */
static uint64_t host_lateness_ns(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	struct sigaction action = {.sa_handler = on_alarm}, previous;
	uint64_t late[DEADLINES];
	timer_t timer;

	sigaction(SIGUSR2, &action, &previous);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	for (unsigned n = 0; n < DEADLINES; n++) {
		uint64_t when = host_now_ns() + 190 * NS_PER_US, came;
		struct itimerspec at = {.it_value = {.tv_sec = (time_t)(when / NS_PER_SEC),
						     .tv_nsec = (long)(when % NS_PER_SEC)}};

		atomic_store(&alarm_ns, 0);
		timer_settime(timer, TIMER_ABSTIME, &at, NULL);
		while (!(came = atomic_load(&alarm_ns)))
			;
		late[n] = came - when;
	}
	timer_delete(timer);
	sigaction(SIGUSR2, &previous, NULL);
	qsort(late, DEADLINES, sizeof(late[0]), by_value);
	return late[DEADLINES / 4];
}

static void deadlines_reach_a_loop(void **state)
{
	struct sys_guest *g = *state;
	uint64_t late[DEADLINES], limit_ns = host_lateness_ns() + 25 * NS_PER_US;

	start(g, LOAD(g, wait_for_deadlines));
	put_gate(g, VECTOR, KERNEL_CS64, LOAD(g, on_deadline), 0x8e, 0, true);
	assert_int_equal(sys_guest_run(g), DONE);
	memcpy(late, g->ram + AT_DATA, sizeof(late));
	qsort(late, DEADLINES, sizeof(late[0]), by_value);
	/* Where other programs have the CPU half of the time, as many deadlines pass meanwhile. */
	assert_in_range(late[DEADLINES / 4], 0,
			limit_ns * engine_vcpu_tsc_khz(g->vcpu) / (NS_PER_SEC / 1000));
	assert_translated(g);
}

/* Two pages that the TLB has one entry for, read in turn. */
GUEST_CODE(read_two_pages, ".code64\n"
			   "mov $0xb000, %esi\n"
			   "mov $0x80b000, %edi\n"
			   "mov $100000, %ecx\n"
			   "1: call 2f\n"
			   "dec %ecx\n"
			   "jnz 1b\n" REPORT(0x80) "2: mov (%rsi), %rax\n"
						   "add (%rdi), %rax\n"
						   "ret\n");

static void pages_that_share_an_entry_get_sites(void **state)
{
	struct sys_guest *g = *state;
	struct engine_vcpu_stats stats;

	_Static_assert(0x800000 % (TLB_SIZE * GUEST_PAGE_SIZE) == 0, "the entry of both");
	start(g, LOAD(g, read_two_pages));
	put64(g, AT_PD + 4 * 8, AT_PT | PTE_P | PTE_W | PTE_U);
	assert_int_equal(sys_guest_run(g), DONE);
	assert_int_equal(engine_vcpu_stats(g->vcpu, &stats), 0);
	if (!HAS_TSAN)
		assert_in_range(stats.walks[ENGINE_READ], 1, 10000);
}

/* User code that has become hot meanwhile: the sum of RSI numbers at RDI. */
GUEST_CODE(sum_often, ".code64\n"
		      "xor %ebx, %ebx\n"
		      "1: call 2f\n"
		      "dec %esi\n"
		      "jnz 1b\n"
		      "mov %rbx, 0xb800\n" REPORT(0x80) "2: mov %esi, %eax\n"
							"and $0xff, %eax\n"
							"add (%rdi,%rax,8), %rbx\n"
							"ret\n");

static uint64_t sum_of(struct sys_guest *g, uint32_t count)
{
	struct kvm_regs regs;

	sys_guest_long(g, LOAD(g, sum_often), 3, FLAG_IOPL);
	mem_wrote(g->mem, 0, RAM_SIZE);
	for (unsigned n = 0; n < 256; n++)
		put64(g, AT_DATA + n * 8, n);
	engine_vcpu_get_regs(g->vcpu, &regs);
	regs.rsi = count;
	regs.rdi = AT_DATA;
	engine_vcpu_set_regs(g->vcpu, &regs);
	assert_int_equal(sys_guest_run(g), DONE);
	return get64(g, AT_DATA + 0x800);
}

static uint64_t translations_of_sum(struct sys_guest *g, uint32_t count)
{
	struct engine_vm_stats before, after;

	assert_int_equal(engine_vm_stats(g->vm, &before), 0);
	assert_int_equal(sum_of(g, count), (uint64_t)255 * 128 * (count / 256));
	assert_int_equal(engine_vm_stats(g->vm, &after), 0);
	return after.translations - before.translations;
}

static void hot_user_code_is_translated_again(void **state)
{
	uint64_t few, many;

	translations_of_sum(*state, 256);
	few = translations_of_sum(*state, 256);
	many = translations_of_sum(*state, 256 * 256);
	if (!HAS_TSAN)
		assert_true(many > few);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(store_into_the_next_instruction_is_seen),
		test(store_into_a_joined_block_is_seen),
		test(store_is_seen_when_the_page_gives_up_its_blocks),
		cmocka_unit_test_setup_teardown(store_is_seen_when_the_page_gives_up_its_blocks,
						setup_interpreter, sys_guest_teardown),
		test(device_write_ends_a_loop),
		test(blocks_follow_the_mapping_of_the_next_page),
		test(instruction_across_pages_follows_the_mapping),
		test(instruction_across_pages_follows_stores),
		test(instruction_across_pages_follows_its_own_block),
		test(return_to_no_address_faults_at_the_return),
		test(call_reads_its_target_before_it_stores),
		test(accesses_far_apart_are_each_checked),
		test(pages_that_share_an_entry_get_sites),
		cmocka_unit_test_setup_teardown(hot_user_code_is_translated_again, setup,
						sys_guest_teardown),
		test(access_behind_one_not_aligned_is_checked),
		test(code_memory_is_used_again),
		test(kick_reaches_a_jump_to_itself),
		test(kick_reaches_a_counted_loop),
		test(kick_reaches_a_loop_of_returns),
		test(kick_reaches_a_loop_over_memory),
		test(interrupt_reaches_a_jump_to_itself),
		test(interrupt_reaches_a_counted_loop),
		test(interrupt_reaches_a_loop_of_returns),
		test(interrupt_reaches_a_loop_over_memory),
		test(kicked_string_instruction_goes_on),
		test(interrupt_comes_one_instruction_after_sti),
		test(timer_reaches_a_loop),
		test(deadlines_reach_a_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
