/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM of the software engine, as its parts see it.
 */
#ifndef ENGINE_SOFT_SOFT_H
#define ENGINE_SOFT_SOFT_H

#include <pthread.h>

#include "core/mem.h"
#include "engine/soft/cache.h"
#include "engine/soft/lapic.h"
#include "engine/soft/pvclock.h"

#define SOFT_VCPUS_MAX 64 /* one host thread each; TLB and state take about 100 KiB per vCPU */

struct soft_vm {
	struct mem *mem;
	struct block_cache *blocks;
	struct lapic_bus *lapics;
	struct pvclock *pvclock;
	uint32_t tsc_khz;
	unsigned nr_vcpus;
	struct cpu *vcpus[SOFT_VCPUS_MAX]; /* filled before the first runs; by order of creation */
	pthread_mutex_t split_lock;	   /* one locked access that no host instruction can make at a time */
	_Atomic(uint64_t *) dirty[MEM_REGIONS_MAX]; /* per region: bitmap of written pages, or NULL */
};

/* Sets request bits and wakes the vCPU if it sleeps in HLT or interrupts it if it runs. Any thread,
 * signal handlers included. */
void cpu_request(struct cpu *c, uint32_t requests);

#endif
