/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tells a KVM that runs guest code on the processor from one that emulates it: a /dev/kvm may
 * belong to a hypervisor that has no hardware to offer and interprets 64-bit code, a thousand times
 * slower. A VM of its own counts in 64-bit mode for at most a few milliseconds.
 */
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/kvm/kvm_impl.h"
#include "x86/regs.h"

/*
 * Hardware counts a thousand million times a second; a real KVM inside an emulated machine some
 * hundred million, less what entering the guest takes; an emulator of single instructions less than
 * two million. The limit lies far from all three. The time counted is what the thread spent, so
 * that a loaded host does not matter.
 */
#define LOOPS	 1000000
#define START_NS (100 * NS_PER_MS)
#define ROUND_NS (1500 * NS_PER_US)
#define ROUNDS \
	4 /* the best counts: time stolen from an emulated machine is no fault of its KVM \
	   */
#define ENTRIES_MAX   20 /* ends a probe that is given hardly any time */
#define LOOPS_PER_SEC 5000000

/* Guest memory of the probe: tables, then code. */
#define PROBE_PML4 0x0000
#define PROBE_PDPT 0x1000
#define PROBE_PD   0x2000
#define PROBE_CODE 0x3000
#define PROBE_SIZE 0x4000

/*
 * out %al, $0x80; 1: dec %rcx; jnz 1b; hlt: by the first exit all pages the guest needs are mapped,
 * which takes long where page tables are nested.
 */
static const uint8_t count_down[] = {0xe6, 0x80, 0x48, 0xff, 0xc9, 0x75, 0xfb, 0xf4};

struct probe {
	int vm, vcpu;
	uint8_t *mem;
	struct kvm_run *run;
	size_t run_size;
};

static void probe_fini(struct probe *p)
{
	if (p->run != MAP_FAILED)
		munmap(p->run, p->run_size);
	if (p->mem != MAP_FAILED)
		munmap(p->mem, PROBE_SIZE);
	if (p->vcpu >= 0)
		close(p->vcpu);
	if (p->vm >= 0)
		close(p->vm);
}

static int probe_make(struct probe *p, int kvm_fd)
{
	p->mem = mmap(NULL, PROBE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->mem == MAP_FAILED)
		return -errno;
	p->vm = kvm_ioctl_value(kvm_fd, KVM_CREATE_VM, 0);
	if (p->vm < 0)
		return p->vm;
	struct kvm_userspace_memory_region slot = {
		.memory_size = PROBE_SIZE,
		.userspace_addr = (uintptr_t)p->mem,
	};
	int ret = kvm_ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &slot);
	if (!ret)
		ret = kvm_ioctl_value(p->vm, KVM_SET_TSS_ADDR, KVM_TSS_GPA);
	if (ret)
		return ret;
	p->vcpu = kvm_ioctl_value(p->vm, KVM_CREATE_VCPU, 0);
	if (p->vcpu < 0)
		return p->vcpu;
	p->run = mmap(NULL, p->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
	return p->run == MAP_FAILED ? -errno : 0;
}

/* 64-bit mode with the first 2 MiB mapped one to one, about to count. */
static int probe_set_state(struct probe *p)
{
	const uint64_t flags = PTE_P | PTE_W | PTE_A;
	const uint64_t pml4 = PROBE_PDPT | flags, pdpt = PROBE_PD | flags,
		       pd = flags | PTE_D | PTE_PS;
	const struct kvm_segment flat = {
		.limit = 0xffffffff, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
	struct kvm_regs regs = {.rip = PROBE_CODE, .rcx = LOOPS, .rflags = FLAG_FIXED};
	struct kvm_sregs s;

	memcpy(p->mem + PROBE_PML4, &pml4, sizeof(pml4));
	memcpy(p->mem + PROBE_PDPT, &pdpt, sizeof(pdpt));
	memcpy(p->mem + PROBE_PD, &pd, sizeof(pd));
	memcpy(p->mem + PROBE_CODE, count_down, sizeof(count_down));
	int ret = kvm_ioctl(p->vcpu, KVM_GET_SREGS, &s);
	if (ret)
		return ret;
	s.ds = s.es = s.fs = s.gs = s.ss = s.cs = flat;
	s.cs.type = 0xb;
	s.cs.db = 0;
	s.cs.l = 1;
	s.cs.selector = 8;
	s.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE;
	s.cr3 = PROBE_PML4;
	s.cr4 = CR4_PAE;
	s.efer = EFER_LME | EFER_LMA;
	ret = kvm_ioctl(p->vcpu, KVM_SET_SREGS, &s);
	return ret ? ret : kvm_ioctl(p->vcpu, KVM_SET_REGS, &regs);
}

static uint64_t thread_time_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

/* Enters the guest, again when it was kicked, until it exits or has spent limit_ns. */
static int enter_until(struct probe *p, uint64_t limit_ns, uint64_t *spent_ns)
{
	uint64_t start = thread_time_ns();

	*spent_ns = 0;
	for (unsigned i = 0; i < ENTRIES_MAX && *spent_ns < limit_ns; i++) {
		int ret = ioctl(p->vcpu, KVM_RUN, 0) < 0 ? -errno : 0;

		*spent_ns = thread_time_ns() - start;
		if (ret != -EINTR)
			return ret;
	}
	return 0;
}

static void set_kicks(timer_t timer, uint64_t every_ns)
{
	const struct itimerspec kicks = {
		.it_value.tv_nsec = every_ns,
		.it_interval.tv_nsec = every_ns,
	};

	timer_settime(timer, 0, &kicks, NULL);
}

/* Counts for one round. */
static int measure_round(struct probe *p, uint64_t *loops_per_sec)
{
	struct kvm_regs before, after;
	uint64_t spent_ns;
	int ret = kvm_ioctl(p->vcpu, KVM_GET_REGS, &before);

	if (!ret)
		ret = enter_until(p, ROUND_NS, &spent_ns);
	if (!ret)
		ret = kvm_ioctl(p->vcpu, KVM_GET_REGS, &after);
	if (!ret && after.rcx <= before.rcx)
		*loops_per_sec = (before.rcx - after.rcx) * NS_PER_SEC / max(spent_ns, (uint64_t)1);
	return ret;
}

/* Two slow rounds of one speed: that is what it does, and no stolen time. */
static bool is_steady(uint64_t a, uint64_t b)
{
	return a && b && a < LOOPS_PER_SEC / 2 && a / 5 * 4 < b && b / 5 * 4 < a;
}

/* To the first exit with patience, then rounds until one is fast enough. */
static int measure(struct probe *p, timer_t timer, uint64_t *loops_per_sec)
{
	uint64_t spent_ns, last = 0;

	set_kicks(timer, START_NS);
	int ret = enter_until(p, UINT64_MAX, &spent_ns);
	set_kicks(timer, ROUND_NS);
	for (unsigned i = 0; !ret && i < ROUNDS && *loops_per_sec < LOOPS_PER_SEC; i++) {
		uint64_t now = 0;

		ret = measure_round(p, &now);
		*loops_per_sec = max(*loops_per_sec, now);
		if (is_steady(last, now))
			break;
		last = now;
	}
	return ret;
}

static int measure_with_timer(struct probe *p, uint64_t *loops_per_sec)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = kvm_kick_signal(),
	};
	timer_t timer;

	event._sigev_un._tid = syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		return -errno;
	int ret = measure(p, timer, loops_per_sec);
	timer_delete(timer);
	return ret;
}

int kvm_probe(int kvm_fd, size_t run_size, const char *device, struct error *err)
{
	struct probe p = {
		.vm = -1, .vcpu = -1, .mem = MAP_FAILED, .run = MAP_FAILED, .run_size = run_size};
	uint64_t loops_per_sec = 0;

	int ret = probe_make(&p, kvm_fd);
	if (!ret)
		ret = probe_set_state(&p);
	if (!ret)
		ret = measure_with_timer(&p, &loops_per_sec);
	probe_fini(&p);
	if (ret)
		return error_set_errno(err, ret, "%s does not run a test guest", device);
	if (loops_per_sec < LOOPS_PER_SEC)
		return error_set(err, -ENODEV,
				 "%s emulates guest code instead of running it (%llu thousand "
				 "loops a second; "
				 "hardware makes a million thousand)",
				 device, (unsigned long long)(loops_per_sec / 1000));
	return 0;
}
