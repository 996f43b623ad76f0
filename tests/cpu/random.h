/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random numbers for the comparison, reproducible from a seed, and values that sit where arithmetic
 * changes its mind.
 */
#ifndef TESTS_CPU_RANDOM_H
#define TESTS_CPU_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *r);

/* 0 .. n-1; n at least 1. */
static inline unsigned rng_below(struct rng *r, unsigned n)
{
	return (unsigned)((rng_next(r) >> 32) * n >> 32);
}

/* True once in n times. */
static inline bool rng_one_in(struct rng *r, unsigned n)
{
	return rng_below(r, n) == 0;
}

/* An integer: limits of every width, small numbers, single bits, noise. */
uint64_t random_integer(struct rng *r);

uint32_t random_float32(struct rng *r);
uint64_t random_float64(struct rng *r);
/* All classes, those the FPU calls unsupported too. */
void random_float80(struct rng *r, uint8_t value[10]);

/* 16 bytes of one kind: floats, doubles, integers of some width, noise, nothing. */
void random_vector(struct rng *r, uint8_t value[16]);

#endif
