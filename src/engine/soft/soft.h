/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM of the software engine, as its parts see it.
 */
#ifndef ENGINE_SOFT_SOFT_H
#define ENGINE_SOFT_SOFT_H

#include <pthread.h>

#include "core/mem.h"
#include "engine/engine_impl.h"
#include "engine/soft/cache.h"
#include "engine/soft/lapic.h"
#include "engine/soft/pvclock.h"

#define SOFT_VCPUS_MAX 64 /* one host thread each; TLB and state take about 100 KiB per vCPU */

/* Bits of a guest page, any thread. */
#define PAGE_WATCHED  BIT(0) /* holds decoded code: stores take the slow path */
#define PAGE_WRITABLE BIT(1) /* some TLB may hold it writable */

/* A memory region with what the engine knows of its pages. */
struct soft_region {
	gpa_t gpa;
	uint64_t size;
	uint8_t *host;
	bool is_rom;
	_Atomic uint8_t *page_flags;	   /* one per page: PAGE_* */
	_Atomic(_Atomic uint64_t *) dirty; /* bitmap of written pages, or NULL */
};

struct trace;

struct soft_vm {
	struct engine_vm base;
	struct mem *mem;
	unsigned nr_regions;
	struct soft_region regions[MEM_REGIONS_MAX];
	struct block_cache *blocks;
	struct code_cache *code; /* NULL: everything is interpreted */
	struct trace *trace;	 /* NULL: cpu->is_traced is false */
	struct lapic_bus *lapics;
	struct pvclock *pvclock;
	uint32_t tsc_khz;   /* of the guest */
	uint64_t start_tsc; /* soft_host_tsc() when the VM was made: the guest's 0 */
	bool has_host_tsc; /* the guest's TSC is the host's plus an offset, else the host's clock */
	unsigned nr_vcpus;
	struct cpu *vcpus[SOFT_VCPUS_MAX]; /* filled before the first runs; by order of creation */
	pthread_mutex_t
		split_lock; /* one locked access that no host instruction can make at a time */
};

/* The region that holds gpa, or NULL: a device or nothing. */
static inline struct soft_region *soft_region_find(struct soft_vm *vm, gpa_t gpa)
{
	for (unsigned i = 0; i < vm->nr_regions; i++)
		if (gpa - vm->regions[i].gpa < vm->regions[i].size)
			return &vm->regions[i];
	return NULL;
}

static inline _Atomic uint8_t *soft_page_flags(struct soft_region *r, gpa_t gpa)
{
	return &r->page_flags[(gpa - r->gpa) >> GUEST_PAGE_SHIFT];
}

/* The counter that guest TSCs follow: the host's TSC, or its clock in ns when that is not constant.
 */
uint64_t soft_host_tsc(const struct soft_vm *vm);

/* Sets request bits and wakes the vCPU if it sleeps in HLT or interrupts it if it runs. Any thread,
 * signal handlers included. */
void cpu_request(struct cpu *c, uint32_t requests);

#endif
