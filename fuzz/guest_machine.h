/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small guest made from the input of a fuzz target: mode of the CPU, registers, descriptors, code,
 * and devices that answer from what is left of it. Handlers of exceptions report by a port and go on.
 */
#ifndef FUZZ_GUEST_MACHINE_H
#define FUZZ_GUEST_MACHINE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "engine/engine.h"
#include "x86/regs.h"

#define AT_GDT	    0x1000
#define AT_IDT	    0x2000
#define AT_TSS	    0x3000
#define AT_HANDLERS 0x5000
#define AT_STACK    0x8000
#define AT_CODE	    0x10000
#define AT_TABLES   0x20000 /* three levels, the last maps 2 MiB pages one to one */
#define AT_PDPT32   0x23000 /* of 32-bit code */
#define RAM_SIZE    0x200000

struct guest {
	struct engine *engine;
	struct mem *mem;
	struct engine_vm *vm;
	struct engine_vcpu *vcpu;
	struct kvm_run *run;
	uint8_t *ram;
};

/* The input, handed out piece by piece; zeroes when it is used up. */
struct input {
	const uint8_t *data;
	size_t size;
};

static inline void take(struct input *in, void *dst, size_t len)
{
	size_t n = len < in->size ? len : in->size;

	memset(dst, 0, len);
	memcpy(dst, in->data, n);
	in->data += n;
	in->size -= n;
}

static inline uint64_t take64(struct input *in)
{
	uint64_t v;

	take(in, &v, sizeof(v));
	return v;
}

static inline uint8_t take8(struct input *in)
{
	uint8_t v;

	take(in, &v, sizeof(v));
	return v;
}

static inline struct guest *guest_make(const struct engine_options *options)
{
	struct cpuid_table *cpuid = calloc(1, sizeof(*cpuid));
	struct guest *g = calloc(1, sizeof(*g));
	struct engine *engine = engine_open("soft", options, NULL);

	BUG_ON(!engine || !g || !cpuid);
	g->engine = engine;
	g->mem = mem_new();
	BUG_ON(mem_add_region(g->mem, 0, RAM_SIZE, false, NULL));
	BUG_ON(cpuid_model("auto", cpuid, NULL) || engine_filter_cpuid(engine, cpuid, NULL));
	g->vm = engine_vm_new(engine, g->mem, NULL);
	g->vcpu = engine_vcpu_new(g->vm, 0, cpuid, NULL);
	BUG_ON(!g->vcpu);
	g->run = engine_vcpu_shared(g->vcpu);
	g->ram = mem_slice(g->mem, 0, RAM_SIZE, MEM_WRITE);
	free(cpuid);
	return g;
}

static inline void put64(struct guest *g, uint64_t gpa, uint64_t v)
{
	memcpy(g->ram + gpa, &v, 8);
}

static inline void build_tables(struct guest *g, struct input *in, bool is_long)
{
	static const uint64_t gdt[] = {
		0,
		0x00af9b000000ffff,
		0x00cf93000000ffff,
		0x00cf9b000000ffff,
		0x00cffb000000ffff,
		0x00cff3000000ffff,
		0x00affb000000ffff,
		0x00008b0030000fff,
	};
	uint16_t code = is_long ? 0x08 : 0x18;

	memset(g->ram, 0, 0x30000);
	memcpy(g->ram + AT_GDT, gdt, sizeof(gdt));
	/* Descriptors 10 to 31 of whatever kind the input likes. */
	take(in, g->ram + AT_GDT + 0x50, take8(in));
	put64(g, AT_TSS + 4, AT_STACK | (is_long ? 0 : 0x1000000000));
	put64(g, AT_TSS + 0x24, AT_STACK - 0x800);
	for (unsigned v = 0; v < 256; v++) {
		uint64_t at = AT_HANDLERS + v * 4;
		uint64_t gate = (at & 0xffff) | (uint64_t)code << 16 | 0x8eull << 40;
		const uint8_t report[] = {0xe6, 0xe0, 0xeb, 0xfc};

		memcpy(g->ram + at, report, sizeof(report));
		put64(g, AT_IDT + v * (is_long ? 16 : 8), gate);
		if (!is_long)
			put64(g, v * 4, at); /* real mode; the next entry fixes the rest */
	}
	put64(g, AT_TABLES, (AT_TABLES + 0x1000) | 7);
	put64(g, AT_TABLES + 0x1000, (AT_TABLES + 0x2000) | 7);
	for (unsigned n = 0; n < 512; n++)
		put64(g, AT_TABLES + 0x2000 + n * 8, (uint64_t)n << 21 | 0x87);
	take(in, g->ram + AT_TABLES + 0x2008, take8(in) & 0x38);
	put64(g, AT_PDPT32, (AT_TABLES + 0x2000) | 1);
}

static inline struct kvm_segment segment(uint16_t selector, unsigned type, bool is_long)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type & 15,
		.s = 1,
		.dpl = selector & 3,
		.present = 1,
		.l = is_long && type & 8,
		.db = !(is_long && type & 8),
		.g = 1,
	};
}

static inline void set_registers(struct guest *g, struct input *in, bool is_real, bool is_long)
{
	struct kvm_regs regs = {.rip = AT_CODE, .rsp = AT_STACK - 0x400};
	unsigned cpl = take8(in) & 1 ? 3 : 0;
	struct kvm_sregs s;
	__u64 *gpr[] = {&regs.rax, &regs.rbx, &regs.rcx, &regs.rdx, &regs.rsi,
			&regs.rdi, &regs.rbp, &regs.r8,	 &regs.r9};

	engine_vcpu_get_sregs(g->vcpu, &s);
	if (is_real) {
		regs.rip = 0x7c00;
		s.cs.base = s.cs.selector = 0;
	} else {
		uint16_t cs = is_long ? (cpl ? 0x33 : 0x08) : (cpl ? 0x23 : 0x18);

		s.cs = segment(cs, 11, is_long);
		s.ss = s.ds = s.es = s.fs = s.gs = segment(cpl ? 0x2b : 0x10, 3, is_long);
		s.tr = (struct kvm_segment){
			.base = AT_TSS, .limit = 0xfff, .selector = 0x38, .type = 11, .present = 1};
		s.ldt.unusable = 1;
		s.gdt = (struct kvm_dtable){.base = AT_GDT, .limit = 0xff};
		s.idt = (struct kvm_dtable){.base = AT_IDT, .limit = 0xfff};
		s.cr0 = CR0_PE | CR0_ET | CR0_NE;
	}
	s.cr4 = (take64(in) & ~(uint64_t)(CR4_PAE | CR4_PCIDE)) | CR4_OSFXSR;
	s.cr0 |= take8(in) & (CR0_MP | CR0_EM | CR0_TS);
	s.cr3 = AT_TABLES;
	if (!is_real && !is_long && take8(in) & 1) {
		s.cr3 = AT_PDPT32;
		s.cr0 |= CR0_PG;
		s.cr4 |= CR4_PAE;
	}
	if (is_long) {
		s.cr0 |= CR0_PG;
		s.cr4 |= CR4_PAE;
		s.efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	}
	if (engine_vcpu_set_sregs(g->vcpu, &s)) {
		s.cr4 &= CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE | CR4_FSGSBASE;
		BUG_ON(engine_vcpu_set_sregs(g->vcpu, &s));
	}
	for (unsigned n = 0; n < ARRAY_SIZE(gpr); n++)
		*gpr[n] = take64(in);
	regs.rflags = (take64(in) & 0x277fd5 & ~(uint64_t)FLAG_VM) | FLAG_FIXED;
	engine_vcpu_set_regs(g->vcpu, &regs);
}

#define CODE_SIZE 0x800

/*
 * Makes the machine that the input describes: its first byte chooses 16-, 32- or 64-bit code, the
 * rest descriptors and registers. The code, which may be what is left of the same input, is followed
 * by INT3.
 */
static inline void guest_start(struct guest *g, struct input *in, struct input *code)
{
	uint8_t mode = take8(in);
	bool is_real = (mode & 3) == 0, is_long = mode & 2;

	BUG_ON(engine_vcpu_reset(g->vcpu));
	build_tables(g, in, is_long);
	set_registers(g, in, is_real, is_long);
	memset(g->ram + (is_real ? 0x7c00 : AT_CODE), 0xcc, CODE_SIZE);
	take(code, g->ram + (is_real ? 0x7c00 : AT_CODE),
	     code->size < CODE_SIZE ? code->size : CODE_SIZE);
	mem_wrote(g->mem, 0, RAM_SIZE);
}

/* After an exception the next bytes of the code get their turn, with new registers. */
static inline void go_on(struct guest *g, struct input *in)
{
	struct kvm_regs regs;

	engine_vcpu_get_regs(g->vcpu, &regs);
	regs.rip = AT_CODE + (take8(in) << 4);
	regs.rax = take64(in);
	regs.rcx = take64(in);
	engine_vcpu_set_regs(g->vcpu, &regs);
}

/* Returns whether the guest may run on. */
static inline bool handle_exit(struct guest *g, struct input *in)
{
	struct kvm_run *run = g->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.direction == KVM_EXIT_IO_IN)
			take(in, (uint8_t *)run + run->io.data_offset,
			     (size_t)run->io.size * run->io.count);
		else if (run->io.port == 0xe0)
			go_on(g, in);
		return true;
	case KVM_EXIT_MMIO:
		if (!run->mmio.is_write)
			take(in, run->mmio.data, sizeof(run->mmio.data));
		return true;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_IOAPIC_EOI:
		return true;
	default:
		return false;
	}
}

#endif
