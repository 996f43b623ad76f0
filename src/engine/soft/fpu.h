/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The floating-point and vector state of a software vCPU as a whole: reset, and exchange with the
 * formats of the KVM interface. cpu->fpu always holds valid register contents, whatever xstate_bv
 * says; xstate_bv only tracks which components were touched since they were initial (XINUSE, SDM
 * vol. 1, 13.6): a clear bit means initial contents, MXCSR aside. FCW, FSW and MXCSR in it never
 * have reserved bits set, and FSW's ES and B bits always match FSW and FCW. vCPU thread, or any
 * thread while the vCPU does not run.
 */
#ifndef ENGINE_SOFT_FPU_H
#define ENGINE_SOFT_FPU_H

#include "engine/soft/cpu.h"

#define MXCSR_RESET 0x1f80u
#define MXCSR_MASK  0xffffu /* bits a guest may set */

/* Power-on state (SDM vol. 3, table 10-1). INIT changes nothing here. */
void fpu_reset(struct cpu *c);

/* The 4096-byte area of KVM_GET_XSAVE: standard format, every supported component present. */
void fpu_get_xsave(const struct cpu *c, struct kvm_xsave *xsave);

/*
 * KVM_SET_XSAVE. Components whose bit in XSTATE_BV is clear become initial.
 * Returns 0, or -EINVAL (unknown components, reserved MXCSR bits, compacted format) with nothing
 * changed.
 */
int fpu_set_xsave(struct cpu *c, const struct kvm_xsave *xsave);

/*
 * Maps the memory that holds generated code and takes SIGFPE, which tells of vector exceptions that
 * a guest has unmasked. Called whenever the engine is opened, before any vCPU runs. Returns 0 or a
 * negative errno with a sentence in err.
 */
int simd_init(struct error *err);

/*
 * Whether this host can run the instructions of a vector feature natively: a guest may only be
 * given such features if so. True for every feature that is no vector extension.
 */
bool simd_host_has(enum cpuid_feature feature);

#endif
