/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Floating-point exceptions of the host as results: a vCPU thread arms a trap, runs an instruction
 * with exceptions unmasked in MXCSR, and SIGFPE brings it back to where it armed it. Only for
 * guests that unmask exceptions. A SIGFPE of any other code does what it would without us.
 */
#ifndef ENGINE_SOFT_INTERP_SIMD_TRAP_H
#define ENGINE_SOFT_INTERP_SIMD_TRAP_H

#include <setjmp.h>
#include <stdint.h>

struct error;

struct simd_trap {
	sigjmp_buf back; /* set by the caller with sigsetjmp(trap.back, 0) after arming */
	uint32_t mxcsr;	 /* at the exception */
};

/* For the calling thread; one at a time. trap must live until it is disarmed. */
void simd_trap_arm(struct simd_trap *trap);

/* Returns MXCSR as it was at the exception, 0 when there was none. */
uint32_t simd_trap_disarm(void);

/*
 * Installs the handler if it is not there: somebody else may have taken the signal since. Returns 0
 * or a negative errno with a sentence in err.
 */
int simd_trap_init(struct error *err);

#endif
