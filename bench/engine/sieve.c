/* SPDX-License-Identifier: BSD-2-Clause */
/* Prime sieve: byte stores with growing strides, and short predictable loops. */
#include "programs.h"

#include <string.h>

enum { LIMIT = 1 << 18 };

uint64_t run_sieve(uint64_t count)
{
	static uint8_t composite[LIMIT];
	uint64_t sum = 0;

	for (uint64_t round = 0; round < count; round++) {
		memset(composite, 0, sizeof(composite));
		for (uint32_t i = 2; i * i < LIMIT; i++) {
			if (composite[i])
				continue;
			for (uint32_t k = i * i; k < LIMIT; k += i)
				composite[k] = 1;
		}
		uint64_t primes = 0;
		for (uint32_t i = 2; i < LIMIT; i++) {
			if (!composite[i])
				primes += i ^ round;
		}
		sum = mix(sum, primes);
	}
	return sum;
}
