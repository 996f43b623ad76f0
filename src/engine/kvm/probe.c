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
 * hundred million; an emulator of single instructions less than two million. The limit lies far
 * from all three. The time counted is what the thread spent, so that a loaded host does not matter.
 */
#define LOOPS	      1000000
#define KICK_NS	      (2 * NS_PER_MS)
#define SPENT_NS      (2 * NS_PER_MS)
#define KICKS_MAX     50 /* when the host gives this thread hardly any time */
#define LOOPS_PER_SEC 10000000

/* Guest memory of the probe: tables, then code. */
#define PROBE_PML4 0x0000
#define PROBE_PDPT 0x1000
#define PROBE_PD   0x2000
#define PROBE_CODE 0x3000
#define PROBE_SIZE 0x4000

/* 1: dec %rcx; jnz 1b; hlt */
static const uint8_t count_down[] = {0x48, 0xff, 0xc9, 0x75, 0xfb, 0xf4};

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

/* Runs the guest until it halts, has had enough time, or never gets any. */
static int probe_run(struct probe *p, uint64_t *spent_ns)
{
	uint64_t start = thread_time_ns();

	*spent_ns = 0;
	for (unsigned i = 0; i < KICKS_MAX && *spent_ns < SPENT_NS; i++) {
		int ret = ioctl(p->vcpu, KVM_RUN, 0) < 0 ? -errno : 0;

		*spent_ns = thread_time_ns() - start;
		if (ret != -EINTR)
			return ret;
	}
	return 0;
}

static int probe_run_timed(struct probe *p, uint64_t *spent_ns)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = kvm_kick_signal(),
	};
	const struct itimerspec kicks = {
		.it_value.tv_nsec = KICK_NS,
		.it_interval.tv_nsec = KICK_NS,
	};
	timer_t timer;

	event._sigev_un._tid = syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		return -errno;
	timer_settime(timer, 0, &kicks, NULL);
	int ret = probe_run(p, spent_ns);
	timer_delete(timer);
	return ret;
}

/* Counts and measures. */
static int measure(struct probe *p, uint64_t *loops_per_sec)
{
	struct kvm_regs regs;
	uint64_t spent_ns = 0;
	int ret = probe_set_state(p);

	if (!ret)
		ret = probe_run_timed(p, &spent_ns);
	if (!ret)
		ret = kvm_ioctl(p->vcpu, KVM_GET_REGS, &regs);
	if (ret)
		return ret;
	uint64_t done = regs.rcx <= LOOPS ? LOOPS - regs.rcx : 0;
	*loops_per_sec = done * NS_PER_SEC / max(spent_ns, (uint64_t)1);
	return 0;
}

int kvm_probe(int kvm_fd, size_t run_size, const char *device, struct error *err)
{
	struct probe p = {
		.vm = -1, .vcpu = -1, .mem = MAP_FAILED, .run = MAP_FAILED, .run_size = run_size};
	uint64_t loops_per_sec = 0;

	int ret = probe_make(&p, kvm_fd);
	if (!ret)
		ret = measure(&p, &loops_per_sec);
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
