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

/*
 * Delivers an external interrupt, or the NMI (vector 2, which masks further ones until IRET), at an
 * instruction boundary. When the handler's stack is in device memory this leaves by c->unwind, and
 * the event waits in c->interrupt or c->nmi_pending for the next entry.
 */
enum deliver_result deliver_interrupt(struct cpu *c, unsigned vector);

/* Where an event comes from: decides privilege checks, error codes and the pushed RF. */
enum event_kind {
	EVENT_EXTERNAL,	  /* interrupts and NMI */
	EVENT_FAULT,	  /* exceptions raised by the CPU */
	EVENT_SOFT,	  /* INT n, INT3, INTO: gate DPL is checked, EXT stays clear */
	EVENT_PRIVILEGED, /* INT1: as a software interrupt, without the check */
};

/*
 * INT n, INT3, INTO and INT1: enters the handler with next_rip as return address. Faults leave by
 * the unwind door with nothing changed. is_int_n: vm86 rules of INT n (IOPL, redirection) apply.
 */
void deliver_soft(struct cpu *c, const struct insn *i, unsigned vector, enum event_kind kind,
		  bool is_int_n);

/* ---- hypercalls (hypercall.c) ---- */

/* What VMCALL or VMMCALL leaves in RAX, with its effect done; -KVM_ENOSYS for an unknown one. */
uint64_t hypercall(struct cpu *c);

/* ---- segments (segment.c; SDM vol. 3, 3.4 and 5) ---- */

/* Loads a data segment or SS with a selector, with all checks of the mode. */
void segment_load(struct cpu *c, const struct insn *i, enum x86_seg seg, uint16_t selector);

/* Real and virtual-8086 mode: base = selector * 16; the rest of the hidden part as the mode says.
 */
void segment_load_real(struct cpu *c, enum x86_seg seg, uint16_t selector);

/* Splits an 8-byte descriptor into s (selector untouched). */
void segment_from_descriptor(struct segment *s, uint64_t descriptor);

/* Fields of an 8-byte descriptor. */
static inline unsigned descriptor_dpl(uint64_t d)
{
	return d >> 45 & 3;
}
static inline unsigned descriptor_type(uint64_t d)
{
	return d >> 40 & 15;
}
static inline bool descriptor_is_present(uint64_t d)
{
	return d >> 47 & 1;
}
/* Code or data, not a system segment or gate. */
static inline bool descriptor_is_memory(uint64_t d)
{
	return d >> 44 & 1;
}
static inline bool descriptor_is_code(uint64_t d)
{
	return descriptor_is_memory(d) && (d >> 43 & 1);
}
static inline bool descriptor_is_conforming(uint64_t d)
{
	return d >> 42 & 1;
}
static inline bool descriptor_is_writable_data(uint64_t d)
{
	return descriptor_is_memory(d) && (d >> 41 & 5) == 1;
}
static inline bool descriptor_is_long_code(uint64_t d)
{
	return d >> 53 & 1;
}

/*
 * The descriptor of a selector in GDT or LDT. Returns false when it lies outside its table. i may
 * be NULL during event delivery. descriptor_read_high: the upper half of a 16-byte one.
 */
bool descriptor_read(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t *d);
bool descriptor_read_high(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t *high);

/* Sets type bits (accessed, busy) in memory and in *d with one locked access, or clears them. */
void descriptor_set_type_bits(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t *d,
			      unsigned bits);
void descriptor_clear_type_bits(struct cpu *c, const struct insn *i, uint16_t selector,
				unsigned bits);

/* Puts a descriptor into the hidden part; the caller updates the mode. */
void segment_set(struct cpu *c, enum x86_seg seg, uint16_t selector, uint64_t d);

/* A null selector: the segment can be loaded but not used. */
void segment_set_null(struct cpu *c, enum x86_seg seg, uint16_t selector);

/* Whether [offset, offset + size) lies inside a segment by its limit and direction. */
bool segment_covers(const struct segment *s, uint64_t offset, unsigned size);

/*
 * Checks a stack segment for an inner or outer privilege level (SDM vol. 3, 5.8.5): vector #TS or
 * #GP for a wrong one, #SS when not present. Returns its descriptor.
 */
uint64_t segment_check_stack(struct cpu *c, const struct insn *i, uint16_t selector, unsigned cpl,
			     unsigned vector, unsigned ext);

/* LLDT and LTR, as well as the TSS of a task switch. */
void segment_load_ldt(struct cpu *c, const struct insn *i, uint16_t selector);
void segment_load_tr(struct cpu *c, const struct insn *i, uint16_t selector);

/* After a return to an outer level: data segments it may not use become null. */
void segment_drop_inner(struct cpu *c);

/* True for linear addresses with 48 significant bits. */
static inline bool is_canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

/*
 * ---- a stack that may not be the current one yet (frame.c) ---- sp moves only here; the caller
 * commits it to RSP at the end.
 */
struct frame {
	struct segment ss;
	uint64_t sp;
	uint64_t mask;	   /* the part of sp that is the stack pointer */
	bool is_64;	   /* canonical check instead of a limit */
	bool is_system;	   /* an inner stack: supervisor rights whatever the CPL */
	uint32_t ss_error; /* error code of #SS */
};

void frame_current(const struct cpu *c, struct frame *f);
void frame_push(struct cpu *c, const struct insn *i, struct frame *f, unsigned size, uint64_t v);
uint64_t frame_pop(struct cpu *c, const struct insn *i, struct frame *f, unsigned size);
void frame_commit(struct cpu *c, const struct frame *f);

/*
 * ---- far control transfer (gate.c, iret.c, syscall.c; SDM vol. 3, 5.8) ----
 * Each sets rip; size is the operand size in bytes. The block is over afterwards.
 */
void far_jump(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t offset,
	      unsigned size);
void far_call(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t offset,
	      unsigned size);
void far_return(struct cpu *c, const struct insn *i, unsigned size, unsigned extra);
void interrupt_return(struct cpu *c, const struct insn *i, unsigned size);

/* What far returns and IRET popped and checked, before anything is loaded. */
struct far_return_state {
	uint64_t rip, sp;
	uint64_t cs_desc, ss_desc; /* ss_desc 0: a null SS */
	uint16_t cs, ss;
	bool has_stack; /* SS:SP were popped too; else sp is the current stack's */
};
/* rip is cut to the width of the code it leads to. */
void return_check_code(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t *rip,
		       uint64_t *desc);
uint64_t return_check_stack(struct cpu *c, const struct insn *i, uint16_t ss, uint64_t code,
			    unsigned cpl);
void return_commit(struct cpu *c, const struct insn *i, const struct far_return_state *r);

/* SYSCALL, SYSRET, SYSENTER, SYSEXIT (syscall.c); size is that of the return: 4 or 8. */
void fast_syscall(struct cpu *c, const struct insn *i);
void fast_sysret(struct cpu *c, const struct insn *i, unsigned size);
void fast_sysenter(struct cpu *c, const struct insn *i);
void fast_sysexit(struct cpu *c, const struct insn *i, unsigned size);

/* Task switches (task.c; SDM vol. 3, chapter 8). */
enum task_cause { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_EVENT };
struct task_switch {
	enum task_cause cause;
	uint16_t selector; /* of the new TSS */
	uint64_t next_rip; /* saved in the old TSS */
	unsigned ext;	   /* EXT bit of error codes */
	bool has_error;	   /* TASK_EVENT: push this on the new stack */
	uint32_t error;
};
void task_switch(struct cpu *c, const struct insn *i, const struct task_switch *t);

/* SS:ESP or RSP for an inner level, and IST entries, from the current TSS. */
void tss_read_stack(struct cpu *c, const struct insn *i, unsigned cpl, unsigned ext, uint16_t *ss,
		    uint64_t *sp);
uint64_t tss_read_long_stack(struct cpu *c, const struct insn *i, unsigned cpl, unsigned ist,
			     unsigned ext);

/* The I/O permission bitmap: whether CPL and IOPL or the bitmap allow ports [port, port + size). */
bool tss_allows_io(struct cpu *c, const struct insn *i, uint16_t port, unsigned size);

/* The interrupt redirection bitmap of vm86 (CR4.VME): true when INT vector goes to the IDT. */
bool tss_redirects_to_idt(struct cpu *c, const struct insn *i, unsigned vector);

/* ---- MSRs (msr.c) ---- */

/*
 * Reads and writes with the checks of RDMSR and WRMSR. is_host: from the monitor, which may also
 * set read-only ones (TSC, feature control, CPU type). Return false where the instruction raises
 * #GP(0).
 */
bool msr_read(struct cpu *c, uint32_t index, uint64_t *value, bool is_host);
bool msr_write(struct cpu *c, uint32_t index, uint64_t value, bool is_host);

/* Every MSR that belongs to a saved state, for KVM_GET_MSR_INDEX_LIST's purpose. */
extern const uint32_t msr_saved_list[];
extern const unsigned nr_msr_saved;

/* ---- control registers (control.c; SDM vol. 3, 2.5) ---- */

/* Check value and consequences as MOV to CRn does; false: #GP(0). is_host skips transition rules.
 */
bool cr0_write(struct cpu *c, uint64_t value, bool is_host);
bool cr3_write(struct cpu *c, uint64_t value, bool is_host);
bool cr4_write(struct cpu *c, uint64_t value, bool is_host);
bool efer_write(struct cpu *c, uint64_t value, bool is_host);
bool xcr0_write(struct cpu *c, uint64_t value);

/* CPUID as this vCPU answers it: with the bits that follow CR4, XCR0 and APICBASE. */
struct cpuid_result cpu_cpuid(struct cpu *c, uint32_t leaf, uint32_t subleaf);

/* Width of physical addresses, from CPUID. */
unsigned cpu_phys_bits(const struct cpu *c);

/* Whether the guest's vendor is AMD, where the two architectures differ. */
bool cpu_is_amd(const struct cpu *c);

/* Loads new values for CPL 0-3 and keeps mode and tlb right. */
void cpu_set_cpl(struct cpu *c, unsigned cpl);

/* ---- debug registers (debug.c; SDM vol. 3, chapter 17) ---- */

/* MOV to DR7 and what follows from it: the mode of execution. */
void debug_write_dr7(struct cpu *c, uint64_t value);

/* True when an enabled instruction breakpoint covers linear address va. */
bool debug_instruction_hit(struct cpu *c, gva_t va, uint64_t *dr6);

/* Whether any data or I/O breakpoint is enabled: then blocks run one instruction at a time. */
bool debug_has_watchpoints(const struct cpu *c);

/* For mmu.c's slow path and string instructions while watchpoints exist: notes hits for the trap.
 */
void debug_data_access(struct cpu *c, gva_t va, unsigned size, bool is_write);

/* The same for IN, OUT, INS and OUTS: I/O breakpoints, while CR4.DE is set. */
void debug_io_access(struct cpu *c, uint16_t port, unsigned size);

/* DR6 bits noted since the last call, cleared. */
uint64_t debug_take_hits(struct cpu *c);

#endif
