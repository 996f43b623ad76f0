/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The privileged half of the CPU: segments, control transfer through gates, exception and interrupt
 * delivery, tasks, MSRs. vCPU thread only.
 */
#ifndef ENGINE_SOFT_SYSTEM_H
#define ENGINE_SOFT_SYSTEM_H

#include "engine/soft/cpu.h"

/* ---- event delivery (deliver.c; SDM vol. 3, chapter 6) ---- */

enum deliver_result {
	DELIVERED,	/* rip is the handler's first instruction */
	DELIVER_AGAIN,	/* a fault during delivery is now in c->exception: call again */
	DELIVER_TRIPLE, /* triple fault: KVM_EXIT_SHUTDOWN */
};

/*
 * Delivers the exception in c->exception, merging a fault raised while delivering it into #DF and
 * triple fault. c->rip is the return address. Unwinds internally; never leaves by c->unwind except
 * to devices (a stack or table in device memory).
 */
enum deliver_result deliver_exception(struct cpu *c);

/* Delivers an external interrupt or NMI at an instruction boundary. */
enum deliver_result deliver_interrupt(struct cpu *c, unsigned vector);

/* ---- segments (segment.c; SDM vol. 3, 3.4 and 5) ---- */

/* Loads a data segment or SS with a selector, with all checks of the mode. */
void segment_load(struct cpu *c, const struct insn *i, enum x86_seg seg, uint16_t selector);

/* Real and virtual-8086 mode: base = selector * 16; the rest of the hidden part as the mode says. */
void segment_load_real(struct cpu *c, enum x86_seg seg, uint16_t selector);

/* Splits an 8-byte descriptor into s (selector untouched). */
void segment_from_descriptor(struct segment *s, uint64_t descriptor);

/* ---- MSRs (msr.c) ---- */

/*
 * Reads and writes with the checks of RDMSR and WRMSR. is_host: from the monitor, which may also set
 * read-only ones (TSC, feature control, CPU type). Return false where the instruction raises #GP(0).
 */
bool msr_read(struct cpu *c, uint32_t index, uint64_t *value, bool is_host);
bool msr_write(struct cpu *c, uint32_t index, uint64_t value, bool is_host);

/* Every MSR that belongs to a saved state, for KVM_GET_MSR_INDEX_LIST's purpose. */
extern const uint32_t msr_saved_list[];
extern const unsigned nr_msr_saved;

/* ---- control registers (control.c; SDM vol. 3, 2.5) ---- */

/* Check value and consequences as MOV to CRn does; false: #GP(0). is_host skips transition rules. */
bool cr0_write(struct cpu *c, uint64_t value, bool is_host);
bool cr3_write(struct cpu *c, uint64_t value, bool is_host);
bool cr4_write(struct cpu *c, uint64_t value, bool is_host);
bool efer_write(struct cpu *c, uint64_t value, bool is_host);
bool xcr0_write(struct cpu *c, uint64_t value);

/* Loads new values for CPL 0-3 and keeps mode and tlb right. */
void cpu_set_cpl(struct cpu *c, unsigned cpl);

/* ---- debug registers (debug.c; SDM vol. 3, chapter 17) ---- */

/* True when an enabled instruction breakpoint covers linear address va. */
bool debug_instruction_hit(struct cpu *c, gva_t va, uint64_t *dr6);

/* Whether any data or I/O breakpoint is enabled: then blocks run one instruction at a time. */
bool debug_has_watchpoints(const struct cpu *c);

/* For mmu.c's slow path and string instructions while watchpoints exist: notes hits for the trap. */
void debug_data_access(struct cpu *c, gva_t va, unsigned size, bool is_write);

/* DR6 bits noted since the last call, cleared. */
uint64_t debug_take_hits(struct cpu *c);

#endif
