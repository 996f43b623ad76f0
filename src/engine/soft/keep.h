/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls of slow paths that cost the fast path nothing. A function called through here keeps all
 * general registers but RAX, so that an exec function whose common case calls nobody needs no stack
 * frame and saves no register. The thunks are in keep.c.
 */
#ifndef ENGINE_SOFT_KEEP_H
#define ENGINE_SOFT_KEEP_H

#include <stdint.h>

#define KEEP_CLOBBERS                                                                           \
	"memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
		"xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

/* The caller may be a leaf function with data below its stack pointer: the red zone is skipped. */
#define KEEP_CALL(fn) "leaq -128(%%rsp), %%rsp\n\tcall " #fn "_keep\n\tleaq 128(%%rsp), %%rsp"

/* fn(a, b, c, d) as a uint64_t; arguments are integers or pointers. */
#define keep_call4(fn, a, b, c, d)                                                    \
	({                                                                            \
		uint64_t _result;                                                     \
		asm volatile(KEEP_CALL(fn)                                            \
			     : "=a"(_result)                                          \
			     : "D"(a), "S"(b), "d"((uint64_t)(c)), "c"((uint64_t)(d)) \
			     : KEEP_CLOBBERS);                                        \
		_result;                                                              \
	})

/* fn(a, b, c, d, e) for its effects. */
#define keep_call5(fn, a, b, c, d, e)                                                          \
	do {                                                                                   \
		register uint64_t _e asm("r8") = (uint64_t)(e);                                \
		uint64_t _result;                                                              \
		asm volatile(KEEP_CALL(fn)                                                     \
			     : "=a"(_result)                                                   \
			     : "D"(a), "S"(b), "d"((uint64_t)(c)), "c"((uint64_t)(d)), "r"(_e) \
			     : KEEP_CLOBBERS);                                                 \
	} while (0)

#endif
