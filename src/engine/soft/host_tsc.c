/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frequency of the host's TSC: from CPUID where the processor tells exactly, else by comparing
 * the counter with CLOCK_MONOTONIC_RAW for a millisecond. Measured once per process. Any thread.
 * Left out: the kernel's own figure in a perf event's page, as opening the first perf event of a
 * host takes several milliseconds.
 */
#include <cpuid.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "base/base.h"
#include "engine/soft/pvclock.h"

/*
 * The two pairs are wrong by nearly the same, so a millisecond gives 3 ppm (spread of 40
 * measurements on a loaded machine).
 */
#define MEASURE_NS NS_PER_MS
#define NR_PAIRS   64

/* The counter and the clock at one moment. */
struct pair {
	uint64_t tsc, ns;
};

static uint64_t raw_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* Of several tries the one that took least time, so least uncertain. */
static struct pair read_pair(void)
{
	struct pair best = {0};
	uint64_t shortest = UINT64_MAX;

	for (unsigned n = 0; n < NR_PAIRS; n++) {
		uint64_t before = __builtin_ia32_rdtsc();
		uint64_t ns = raw_ns();
		uint64_t after = __builtin_ia32_rdtsc();

		if (after - before < shortest) {
			shortest = after - before;
			best = (struct pair){before + shortest / 2, ns};
		}
	}
	return best;
}

static uint32_t measure_khz(void)
{
	struct pair start = read_pair(), end;
	uint64_t ns, ticks;

	while (raw_ns() - start.ns < MEASURE_NS)
		__builtin_ia32_pause();
	end = read_pair();
	ns = end.ns - start.ns;
	ticks = end.tsc - start.tsc;
	return (uint32_t)((ticks * (NS_PER_SEC / 1000) + ns / 2) / ns);
}

/* Leaf 0x15: the TSC's ratio to a crystal whose frequency is known. */
static uint32_t khz_of_cpuid(void)
{
	uint32_t denominator, numerator, crystal_hz, reserved;

	if (!__get_cpuid(0x15, &denominator, &numerator, &crystal_hz, &reserved))
		return 0;
	if (!denominator || !numerator || !crystal_hz)
		return 0;
	return (uint32_t)((uint64_t)crystal_hz * numerator / denominator / 1000);
}

static bool is_invariant(void)
{
	uint32_t eax, ebx, ecx, edx;

	return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) && edx & BIT(8);
}

static uint32_t find_khz(void)
{
	uint32_t khz;

	if (!is_invariant())
		return 0;
	khz = khz_of_cpuid();
	return khz ? khz : measure_khz();
}

static uint32_t host_khz;

static void find_once(void)
{
	host_khz = find_khz();
}

uint32_t host_tsc_khz(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_once);
	return host_khz;
}
