/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small machine for tests of single instructions in every mode: code at CODE, data at DATA, a
 * stack, and exception handlers that each write to a port of their own. Code ends with UD2.
 */
#ifndef UNIT_ENGINE_SOFT_CODE_MACHINE_H
#define UNIT_ENGINE_SOFT_CODE_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "x86/regs.h"

#define CODE	 0x10000
#define DATA	 0x20000
#define STACK	 0x30000
#define SP_START 0xf000	 /* above STACK, with 16-bit stacks the whole of SP */
#define MISSING	 0x40000 /* a page that is not present; long mode only */
#define READONLY 0x41000 /* and one that is read-only */
#define RAM_SIZE 0x200000

/*
 * Assembled bytes of a test: CODE_BYTES(name, 16, "text") defines name and name_end. The text ends
 * with UD2, so that the run ends there with vector 6.
 */
#define CODE_BYTES(name, bits, text)                                                    \
	asm(".pushsection .rodata\n.code" #bits "\n" #name ":\n" text "\n\tud2\n" #name \
	    "_end:\n.code64\n.popsection");                                             \
	extern const uint8_t name[], name##_end[]

enum machine_mode {
	REAL,	/* segment bases CODE, DATA and STACK */
	PROT16, /* 16-bit code and stack with those bases; handlers are 32-bit */
	PROT32, /* flat 32-bit */
	LONG,	/* 64-bit */
};

struct machine {
	struct engine *engine;
	struct mem *mem;
	struct engine_vm *vm;
	struct engine_vcpu *vcpu;
	struct kvm_run *run;
	uint8_t *ram;
	enum machine_mode mode;
	bool is_amd;	 /* the guest's vendor, which is the host's */
	bool is_stepped; /* a debugger looks after each instruction: none shares a block with others
			  */

	/* Before a run: what it starts with. After: where it ended, with rip, rsp and rflags as
	 * they were before the exception. */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	unsigned vector;
	uint32_t error;
	uint64_t cr2;
};

#define RUN(m, name) machine_run(m, name, name##_end)

/* Private places of the machine, below CODE. */
#define M_PML4	   0x1000 /* and the three tables after it */
#define M_GDT	   0x5000
#define M_IDT32	   0x6000
#define M_IDT64	   0x7000
#define M_TSS	   0x8000
#define M_HANDLERS 0x9000 /* 16 bytes each */
#define M_PORTS	   0x20

/* Numbers in guest memory. */
static inline uint64_t machine_get(const struct machine *m, uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, m->ram + gpa, size);
	return value;
}

static inline void machine_put(struct machine *m, uint64_t gpa, unsigned size, uint64_t value)
{
	memcpy(m->ram + gpa, &value, size);
}

static inline void machine_map(struct machine *m, uint64_t va, uint64_t flags)
{
	machine_put(m, M_PML4 + 0x3000 + (va >> 12) * 8, 8, va | flags);
}

static inline void machine_build_tables(struct machine *m)
{
	for (unsigned level = 0; level < 3; level++)
		machine_put(m, M_PML4 + level * 0x1000, 8,
			    (M_PML4 + (level + 1) * 0x1000) | PTE_P | PTE_W);
	for (uint64_t va = 0; va < RAM_SIZE; va += 4096)
		machine_map(m, va, PTE_P | PTE_W);
	machine_map(m, MISSING, 0);
	machine_map(m, READONLY, PTE_P);
	machine_put(m, M_GDT + 0x08, 8, 0x00cf9b000000ffff);
	machine_put(m, M_GDT + 0x10, 8, 0x00cf93000000ffff);
	machine_put(m, M_GDT + 0x18, 8, 0x00af9b000000ffff);
	for (unsigned v = 0; v < 32; v++) {
		uint64_t handler = M_HANDLERS + v * 16;

		machine_put(m, handler, 2, 0xe6 | (M_PORTS + v) << 8); /* out %al, $port */
		machine_put(m, v * 4, 4, handler);
		machine_put(m, M_IDT32 + v * 8, 8, handler | 0x08 << 16 | 0x8eull << 40);
		machine_put(m, M_IDT64 + v * 16, 8, handler | 0x18 << 16 | 0x8eull << 40);
	}
}

/* In long mode, gives the handler of a vector a stack of its own. */
static inline void machine_use_ist(struct machine *m, unsigned vector)
{
	machine_put(m, M_TSS + 0x24, 8, STACK + 0x8000);
	machine_put(m, M_IDT64 + vector * 16 + 4, 1, 1);
}

static inline struct kvm_segment machine_segment(enum machine_mode mode, uint64_t base,
						 bool is_code)
{
	return (struct kvm_segment){
		.base = mode >= PROT32 ? 0 : base,
		.limit = mode >= PROT32 ? 0xffffffff : 0xffff,
		.selector = mode == REAL   ? base >> 4
			    : !is_code	   ? 0x10
			    : mode == LONG ? 0x18
					   : 0x08,
		.type = is_code ? 11 : 3,
		.present = 1,
		.db = mode == PROT32 || (mode == LONG && !is_code),
		.l = mode == LONG && is_code,
		.s = 1,
		.g = mode >= PROT32,
	};
}

/* Clears data and registers and sets the machine up for a mode; regs and sregs may then be changed.
 */
static inline void machine_reset(struct machine *m, enum machine_mode mode)
{
	struct kvm_sregs *s = &m->sregs;

	m->mode = mode;
	memset(m->ram, 0, RAM_SIZE);
	machine_build_tables(m);
	mem_wrote(m->mem, 0, RAM_SIZE);
	assert_int_equal(engine_vcpu_reset(m->vcpu), 0);
	assert_int_equal(engine_vcpu_get_sregs(m->vcpu, s), 0);
	m->regs = (struct kvm_regs){.rflags = FLAG_FIXED};
	m->regs.rip = mode >= PROT32 ? CODE : 0;
	m->regs.rsp = mode >= PROT32 ? STACK + SP_START : SP_START;
	s->cs = machine_segment(mode, CODE, true);
	s->ds = s->es = s->fs = s->gs = machine_segment(mode, DATA, false);
	s->ss = machine_segment(mode, STACK, false);
	s->tr = (struct kvm_segment){
		.base = M_TSS, .limit = 0x67, .selector = 0x40, .type = 11, .present = 1};
	s->gdt = (struct kvm_dtable){.base = M_GDT, .limit = 0xff};
	s->cr0 = CR0_ET | CR0_NE;
	s->cr4 = CR4_PAE | CR4_OSFXSR;
	s->cr3 = M_PML4;
	s->efer = 0;
	if (mode == REAL) {
		s->idt = (struct kvm_dtable){.base = 0, .limit = 0x3ff};
		return;
	}
	s->cr0 |= CR0_PE;
	s->idt = (struct kvm_dtable){.base = mode == LONG ? M_IDT64 : M_IDT32, .limit = 0xfff};
	if (mode == LONG) {
		s->cr0 |= CR0_PG | CR0_WP;
		s->efer = EFER_LME | EFER_LMA;
	}
}

/* The frame an exception has pushed, and the registers as they were before it. */
static inline void machine_read_frame(struct machine *m)
{
	bool has_error = m->mode != REAL &&
			 (m->vector == VEC_DF || (m->vector >= VEC_TS && m->vector <= VEC_PF) ||
			  m->vector == VEC_AC);
	unsigned word = m->mode == LONG ? 8 : m->mode == REAL ? 2 : 4;
	uint64_t sp = m->regs.rsp, at;

	if (m->mode <= PROT16)
		sp &= 0xffff;
	at = m->sregs.ss.base + sp;
	m->error = has_error ? (uint32_t)machine_get(m, at, word) : 0;
	at += has_error ? word : 0;
	m->regs.rip = machine_get(m, at, word);
	m->regs.rflags = machine_get(m, at + 2 * word, word);
	m->regs.rsp = m->mode == LONG ? machine_get(m, at + 24, 8)
				      : m->regs.rsp + 3 * word + (has_error ? word : 0);
}

/* Runs from regs.rip to the next exception. */
static inline unsigned machine_continue(struct machine *m)
{
	struct kvm_guest_debug debug = {
		.control = m->is_stepped ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0};

	assert_int_equal(engine_vcpu_set_regs(m->vcpu, &m->regs), 0);
	assert_int_equal(engine_vcpu_set_sregs(m->vcpu, &m->sregs), 0);
	assert_int_equal(engine_vcpu_set_guest_debug(m->vcpu, &debug), 0);
	do
		assert_int_equal(engine_vcpu_run(m->vcpu), 0);
	while (m->is_stepped && m->run->exit_reason == KVM_EXIT_DEBUG);
	assert_int_equal(m->run->exit_reason, KVM_EXIT_IO);
	m->vector = m->run->io.port - M_PORTS;
	m->run->immediate_exit = 1;
	assert_int_equal(engine_vcpu_run(m->vcpu), -EINTR);
	m->run->immediate_exit = 0;
	assert_int_equal(engine_vcpu_get_regs(m->vcpu, &m->regs), 0);
	assert_int_equal(engine_vcpu_get_sregs(m->vcpu, &m->sregs), 0);
	m->cr2 = m->sregs.cr2;
	machine_read_frame(m);
	/* The handler is left as if by IRET, for machine_continue(). */
	m->sregs.cs = machine_segment(m->mode, CODE, true);
	return m->vector;
}

/* Runs the bytes from CODE until an exception, whose vector it returns. */
static inline unsigned machine_run(struct machine *m, const uint8_t *code, const uint8_t *end)
{
	memcpy(m->ram + CODE, code, (size_t)(end - code));
	mem_wrote(m->mem, CODE, (uint64_t)(end - code));
	return machine_continue(m);
}

static inline int machine_teardown(void **state)
{
	struct machine *m = *state;

	engine_vcpu_free(m->vcpu);
	engine_vm_free(m->vm);
	mem_free(m->mem);
	engine_close(m->engine);
	free(m);
	return 0;
}

/* cmocka setup and teardown: *state is the machine. */
static inline int machine_setup(void **state)
{
	static const struct engine_options options = {.kvm_device = "/dev/kvm"};
	struct machine *m = calloc(1, sizeof(*m));
	struct cpuid_table *cpuid = calloc(1, sizeof(*cpuid));
	struct error err;

	*state = m;
	m->engine = engine_open("soft", &options, &err);
	assert_non_null(m->engine);
	m->mem = mem_new();
	assert_int_equal(mem_add_region(m->mem, 0, RAM_SIZE, false, &err), 0);
	m->ram = mem_region_at(m->mem, 0)->host;
	assert_int_equal(cpuid_model("host", cpuid, &err), 0);
	assert_int_equal(engine_filter_cpuid(m->engine, cpuid, &err), 0);
	m->vm = engine_vm_new(m->engine, m->mem, &err);
	assert_non_null(m->vm);
	m->vcpu = engine_vcpu_new(m->vm, 0, cpuid, &err);
	assert_non_null(m->vcpu);
	m->run = engine_vcpu_shared(m->vcpu);
	m->is_amd = cpuid_has(cpuid, FEAT_AMD);
	free(cpuid);
	return 0;
}

#endif
