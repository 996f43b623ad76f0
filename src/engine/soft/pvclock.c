/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's clock and wall clock (Documentation/virt/kvm/x86/msr.rst, "MSR_KVM_SYSTEM_TIME_NEW"). One
 * pair of TSC and time serves all vCPUs, so the shared pages carry the flag for a stable TSC and
 * agree to the nanosecond. vCPU thread, except for reading and setting the VM's clock.
 */
#include "engine/soft/pvclock.h"

#include <linux/kvm_para.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/mem.h"
#include "engine/soft/cpu.h"
#include "engine/soft/mmu_impl.h"
#include "engine/soft/soft.h"
#include "host/loop.h"

#define MSR_ENABLE 1ull

#define FLAG_TSC_STABLE BIT(0)

/* The page a vCPU shares with its guest. */
struct time_page {
	uint32_t version; /* odd while it is being written */
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time; /* ns at tsc_timestamp */
	uint32_t mul;	      /* ns = (ticks << shift) * mul >> 32 */
	int8_t shift;
	uint8_t flags;
	uint8_t pad[2];
};
_Static_assert(sizeof(struct time_page) == 32, "the guest reads 32 bytes");

struct wall_page {
	uint32_t version;
	uint32_t sec, nsec; /* of the host's calendar time when the clock was 0 */
};

struct pvclock {
	pthread_mutex_t lock; /* guards start_* */
	bool has_host_tsc;
	uint32_t mul;
	int8_t shift;
	uint64_t start_tsc; /* host ticks when the clock was at start_ns */
	uint64_t start_ns;
};

struct pvclock_vcpu {
	struct pvclock *clock;
	uint64_t system_time, wall_clock; /* the MSRs */
	uint32_t version;
};

static uint64_t host_ticks(const struct pvclock *p)
{
	return p->has_host_tsc ? __builtin_ia32_rdtsc() : host_now_ns();
}

/* mul in [2^31, 2^32), so that the scale is as fine as the format allows. */
static void set_scale(struct pvclock *p, uint32_t tsc_khz)
{
	uint64_t hz = (uint64_t)tsc_khz * 1000, scaled = NS_PER_SEC;
	int shift = 0;

	while (scaled >= hz) {
		hz <<= 1;
		shift++;
	}
	while (scaled * 2 < hz) {
		scaled <<= 1;
		shift--;
	}
	p->mul = (uint32_t)(((unsigned __int128)scaled << 32) / hz);
	p->shift = (int8_t)shift;
}

static uint64_t ticks_to_ns(const struct pvclock *p, uint64_t ticks)
{
	ticks = p->shift >= 0 ? ticks << p->shift : ticks >> -p->shift;
	return (uint64_t)((unsigned __int128)ticks * p->mul >> 32);
}

struct pvclock *pvclock_new(uint32_t tsc_khz, bool has_host_tsc)
{
	struct pvclock *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	p->has_host_tsc = has_host_tsc;
	set_scale(p, tsc_khz);
	p->start_tsc = host_ticks(p);
	return p;
}

void pvclock_free(struct pvclock *p)
{
	if (!p)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}

uint64_t pvclock_now_ns(struct pvclock *p)
{
	uint64_t now;

	pthread_mutex_lock(&p->lock);
	now = p->start_ns + ticks_to_ns(p, host_ticks(p) - p->start_tsc);
	pthread_mutex_unlock(&p->lock);
	return now;
}

void pvclock_set_ns(struct pvclock *p, uint64_t ns)
{
	pthread_mutex_lock(&p->lock);
	p->start_ns = ns;
	p->start_tsc = host_ticks(p);
	pthread_mutex_unlock(&p->lock);
}

struct pvclock_vcpu *pvclock_vcpu_new(struct pvclock *p)
{
	struct pvclock_vcpu *v = calloc(1, sizeof(*v));

	if (v)
		v->clock = p;
	return v;
}

void pvclock_vcpu_free(struct pvclock_vcpu *v)
{
	free(v);
}

void pvclock_vcpu_reset(struct pvclock_vcpu *v)
{
	v->system_time = v->wall_clock = 0;
}

/* ---- shared pages ---- */

static void *page_at(struct cpu *c, uint64_t gpa, uint64_t size)
{
	return mem_slice(c->vm->mem, gpa, size, MEM_WRITE);
}

/* After a store to what page_at() gave, which may lie across two pages. */
static void wrote(struct cpu *c, uint64_t gpa, unsigned len)
{
	struct soft_region *r = soft_region_find(c->vm, gpa);
	unsigned first = min(len, (unsigned)(GUEST_PAGE_SIZE - (gpa & 0xfff)));

	mmu_wrote(c->vm, r, gpa, first);
	if (first < len)
		mmu_wrote(c->vm, r, gpa + first, len - first);
}

/* The same order as a seqlock: odd version, contents, even version. */
static void write_time(struct cpu *c, uint64_t gpa, struct time_page *t)
{
	struct time_page *page = page_at(c, gpa, sizeof(*page));

	if (!page)
		return;
	c->pvclock->version += 2;
	__atomic_store_n(&page->version, c->pvclock->version - 1, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_release);
	memcpy(&page->tsc_timestamp, &t->tsc_timestamp,
	       sizeof(*t) - offsetof(struct time_page, tsc_timestamp));
	__atomic_store_n(&page->version, c->pvclock->version, __ATOMIC_RELEASE);
	wrote(c, gpa, sizeof(*page));
}

void pvclock_refresh(struct cpu *c)
{
	struct pvclock *p = c->pvclock->clock;
	struct time_page t = {.mul = p->mul, .shift = p->shift, .flags = FLAG_TSC_STABLE};

	if (!(c->pvclock->system_time & MSR_ENABLE))
		return;
	pthread_mutex_lock(&p->lock);
	t.tsc_timestamp = p->start_tsc + c->tsc_offset;
	t.system_time = p->start_ns;
	pthread_mutex_unlock(&p->lock);
	write_time(c, c->pvclock->system_time & ~MSR_ENABLE, &t);
}

static void write_wall(struct cpu *c, uint64_t gpa)
{
	struct wall_page *page = page_at(c, gpa, sizeof(*page));
	struct timespec now;
	uint64_t start;

	if (!page)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	start = (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec -
		pvclock_now_ns(c->pvclock->clock);
	c->pvclock->version += 2;
	__atomic_store_n(&page->version, c->pvclock->version - 1, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_release);
	page->sec = (uint32_t)(start / NS_PER_SEC);
	page->nsec = (uint32_t)(start % NS_PER_SEC);
	__atomic_store_n(&page->version, c->pvclock->version, __ATOMIC_RELEASE);
	wrote(c, gpa, sizeof(*page));
}

int pvclock_pair(struct cpu *c, uint64_t gpa, uint32_t clock_type)
{
	struct kvm_clock_pairing *page = page_at(c, gpa, sizeof(*page)), pair = {0};
	struct timespec now;

	if (clock_type != KVM_CLOCK_PAIRING_WALLCLOCK)
		return -KVM_EOPNOTSUPP;
	if (!page)
		return -KVM_EFAULT;
	pair.tsc = host_ticks(c->pvclock->clock) + c->tsc_offset;
	clock_gettime(CLOCK_REALTIME, &now);
	pair.sec = now.tv_sec;
	pair.nsec = now.tv_nsec;
	memcpy(page, &pair, sizeof(pair));
	wrote(c, gpa, sizeof(pair));
	return 0;
}

/* ---- MSRs ---- */

static bool is_system_time(uint32_t msr)
{
	return msr == MSR_KVM_SYSTEM_TIME || msr == MSR_KVM_SYSTEM_TIME_NEW;
}

bool pvclock_msr_read(struct cpu *c, uint32_t msr, uint64_t *value)
{
	*value = is_system_time(msr) ? c->pvclock->system_time : c->pvclock->wall_clock;
	return true;
}

bool pvclock_msr_write(struct cpu *c, uint32_t msr, uint64_t value)
{
	if (!is_system_time(msr)) {
		if (value & 3 || (value && !page_at(c, value, sizeof(struct wall_page))))
			return false;
		c->pvclock->wall_clock = value;
		if (value)
			write_wall(c, value);
		return true;
	}
	if (value & MSR_ENABLE &&
	    (value & 2 || !page_at(c, value & ~MSR_ENABLE, sizeof(struct time_page))))
		return false;
	c->pvclock->system_time = value;
	pvclock_refresh(c);
	return true;
}
