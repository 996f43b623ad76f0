/* SPDX-License-Identifier: BSD-2-Clause */
/* Recursive Fibonacci numbers: calls, returns and the stack. */
#include "programs.h"

/* Without noipa the compiler unrolls the recursion, and few calls are left. */
__attribute__((noipa)) static uint64_t fib(uint64_t n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

uint64_t run_fib(uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t round = 0; round < count; round++)
		sum = mix(sum, fib(20 + round % 3));
	return sum;
}
