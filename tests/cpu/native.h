/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a trial on the host CPU, in this very process: the state is loaded, the code entered, and
 * the trap or fault that follows is caught with all registers. One thread only.
 */
#ifndef TESTS_CPU_NATIVE_H
#define TESTS_CPU_NATIVE_H

#include "cpu/state.h"

/* Maps code and data, installs the signal handlers. Returns 0 or a negative errno. */
int native_init(void);

/* The FS base of this thread: both sides use it, since the C library needs it here. */
uint64_t native_fs_base(void);

/* Bits of the AVX state the kernel lets programs use; 7 with AVX. */
uint64_t native_xcr0(void);

/* Whether programs may run 32-bit code: kernels without compatibility mode exist. */
bool native_has_code_32(void);

/* Whether the kernel knows that programs write the base of GS, and keeps what they have written. */
bool native_keeps_gs_base(void);

/* For each n of 256 whether INT n does anything but #GP(n * 8 + 2) here. */
const bool *native_answers_int(void);

/*
 * Whether programs run on something that answers INT n as Linux does not. Such a host may, when it is
 * interrupted in the middle of a trial, report a #UD where there is none, lose NT, or bring back the
 * base of FS or GS. What it says is then asked for once more before it counts.
 */
bool native_is_paravirtual(void);

/*
 * Whether the x87 pointers (FOP, FIP, FDP) are kept when no exception is pending. AMD's CPUs, and kernels
 * on them, do not (APM vol. 2, 11.4.4.2).
 */
bool native_keeps_fpu_pointers(void);

void native_run(const struct trial *t, struct outcome *out);

/* Calls fn in every tick from a signal handler, for the other side to see that it hangs. */
/*
 * Ticks of CPU time; so many of them in a trial of microseconds mean a loop, although a busy machine
 * may charge some too many. Five seconds of real time count as half of that: nothing may sleep either,
 * but a busy machine may leave a trial without CPU for a second or two.
 */
#define NATIVE_TICK_US	4000
#define NATIVE_PATIENCE 50
void native_on_tick(void (*fn)(void *ctx), void *ctx);

#endif
