/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The programs of the engine benchmark. Each does `count` equal rounds of one kind of work and returns
 * a checksum that depends on the count and on nothing else: natively and in every guest it is the same.
 * A program that cannot do its work ends the process with a sentence on stderr.
 */
#ifndef BENCH_PROGRAMS_H
#define BENCH_PROGRAMS_H

#include <stddef.h>
#include <stdint.h>

/* Integer work: instructions of user mode, hardly any kernel. */
uint64_t run_sieve(uint64_t count);
uint64_t run_fib(uint64_t count);
uint64_t run_crc(uint64_t count);
uint64_t run_bytecode(uint64_t count);
uint64_t run_tree(uint64_t count);
uint64_t run_sort(uint64_t count);
uint64_t run_sha256(uint64_t count);
uint64_t run_deflate(uint64_t count);
uint64_t run_scan(uint64_t count);
uint64_t run_chain(uint64_t count);
uint64_t run_copy(uint64_t count);

/* Floating point. */
uint64_t run_nbody(uint64_t count);
uint64_t run_matrix(uint64_t count);

/* System calls, page tables, processes. */
uint64_t run_getppid(uint64_t count);
uint64_t run_fault(uint64_t count);
uint64_t run_mmap(uint64_t count);
uint64_t run_fork(uint64_t count);
uint64_t run_exec(uint64_t count);
uint64_t run_pipe(uint64_t count);
uint64_t run_shell(uint64_t count);

/* Two at once. */
uint64_t run_lock(uint64_t count);
uint64_t run_pair(uint64_t count);

/* Bytes that look random and are the same everywhere. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Folds a value into a checksum. */
static inline uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 0x9e3779b97f4a7c15 + (sum >> 29);
}

/* Fills a buffer with words of text, separated by spaces and newlines. */
void fill_text(char *text, size_t size);

/* Ends the process unless `ok`; `what` and errno say why. */
void need(int ok, const char *what);

#endif
