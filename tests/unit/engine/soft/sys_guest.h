/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small guest for tests of the privileged half of the CPU, run through engine.h: descriptor
 * tables with one entry of every kind, handlers that report their vector, and entry into each mode.
 * Guest code is assembled with the test program and reports by OUT to PORT_REPORT; the value is
 * what sys_guest_run() returns.
 */
#ifndef TESTS_UNIT_ENGINE_SOFT_SYS_GUEST_H
#define TESTS_UNIT_ENGINE_SOFT_SYS_GUEST_H

#include "unit/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"
#include "engine/engine.h"
#include "x86/regs.h"

#define PORT_REPORT 0xe0

/* What sys_guest_run() returns besides a reported byte. */
#define RAN_SHUTDOWN 0x1000
#define RAN_DEBUG    0x1001
#define RAN_OTHER    0x2000

/* Guest physical memory, mapped one to one where there is paging. */
#define AT_GDT	      0x1000
#define AT_IDT	      0x2000
#define AT_TSS	      0x3000 /* with its I/O bitmap, up to AT_TSS2 */
#define AT_TSS2	      0x4400
#define AT_LDT	      0x4800
#define AT_HANDLERS   0x5000
#define AT_STACK      0x8000 /* first byte above CPL 0's stack */
#define AT_IST	      0x9000
#define AT_USER_STACK 0xa000
#define AT_DATA	      0xb000
#define AT_CODE	      0x10000
#define AT_PML4	      0x20000
#define AT_PDPT	      0x21000
#define AT_PD	      0x22000
#define AT_PT	      0x23000
#define RAM_SIZE      0x200000

/* Selectors of the GDT. */
enum selector {
	KERNEL_CS64 = 0x08,
	KERNEL_DS = 0x10,
	KERNEL_CS32 = 0x18,
	USER_CS32 = 0x23,
	USER_DS = 0x2b,
	USER_CS64 = 0x33,
	SEL_TSS = 0x38,	 /* 16 bytes */
	SEL_LDT = 0x48,	 /* 16 bytes */
	SEL_GATE = 0x58, /* 16 bytes, written by tests */
	SEL_TSS2 = 0x68,
	SEL_ABSENT = 0x70,     /* data, not present */
	SEL_READ_ONLY = 0x78,  /* data */
	SEL_CONFORMING = 0x80, /* 32-bit code, DPL 0 */
	SEL_EXEC_ONLY = 0x88,  /* 32-bit code, not readable */
	SEL_DS16 = 0x90,       /* 64 KiB of data */
	SEL_SMALL = 0x98,      /* data of 16 bytes at AT_DATA */
	SEL_CS16 = 0xa0,
	GDT_SIZE = 0xa8,
};

struct sys_guest {
	struct engine *engine;
	struct mem *mem;
	struct engine_vm *vm;
	struct engine_vcpu *vcpu;
	struct kvm_run *run;
	uint8_t *ram;
	struct kvm_regs regs;	/* after each run */
	struct kvm_sregs sregs; /* likewise */
	uint32_t in_value;	/* what IN reads */
	uint64_t next_code;
	bool is_amd; /* the guest's vendor, which is the host's */
};

/* Assembles guest code: .code16, .code32 or .code64 first. Not relocated: jumps must be relative.
 */
#define GUEST_CODE(name, text)                                             \
	extern const uint8_t name##_start[], name##_end[];                 \
	__asm__(".pushsection .rodata\n" #name "_start:\n" text "\n" #name \
		"_end:\n.code64\n.popsection\n")

/* The report of a guest's own: not one of the vectors below 0x20. */
#define REPORT(n) "movb $" #n ", %al\n outb %al, $0xe0\n"

static inline void put16(struct sys_guest *g, uint64_t gpa, uint16_t v)
{
	memcpy(g->ram + gpa, &v, 2);
}

static inline void put32(struct sys_guest *g, uint64_t gpa, uint32_t v)
{
	memcpy(g->ram + gpa, &v, 4);
}

static inline void put64(struct sys_guest *g, uint64_t gpa, uint64_t v)
{
	memcpy(g->ram + gpa, &v, 8);
}

static inline uint16_t get16(struct sys_guest *g, uint64_t gpa)
{
	uint16_t v;

	memcpy(&v, g->ram + gpa, 2);
	return v;
}

static inline uint32_t get_u32(struct sys_guest *g, uint64_t gpa)
{
	uint32_t v;

	memcpy(&v, g->ram + gpa, 4);
	return v;
}

static inline uint64_t get64(struct sys_guest *g, uint64_t gpa)
{
	uint64_t v;

	memcpy(&v, g->ram + gpa, 8);
	return v;
}

static inline int sys_guest_setup_with(void **state, const struct engine_options *options)
{
	struct sys_guest *g = calloc(1, sizeof(*g));
	struct cpuid_table *cpuid = calloc(1, sizeof(*cpuid));
	struct error err = {0};

	g->engine = engine_open("soft", options, &err);
	g->mem = mem_new();
	if (!g->engine || mem_add_region(g->mem, 0, RAM_SIZE, false, &err) ||
	    cpuid_model("auto", cpuid, &err) || engine_filter_cpuid(g->engine, cpuid, &err))
		goto fail;
	g->vm = engine_vm_new(g->engine, g->mem, &err);
	g->vcpu = g->vm ? engine_vcpu_new(g->vm, 0, cpuid, &err) : NULL;
	if (!g->vcpu)
		goto fail;
	g->run = engine_vcpu_shared(g->vcpu);
	g->ram = mem_slice(g->mem, 0, RAM_SIZE, MEM_WRITE);
	g->next_code = AT_CODE;
	g->is_amd = cpuid_has(cpuid, FEAT_AMD);
	free(cpuid);
	/* A guest that never reports is a failure, not a test that never ends. */
	alarm(20);
	*state = g;
	return 0;
fail:
	print_error("%s\n", err.text);
	free(cpuid);
	return -1;
}

static inline int sys_guest_setup(void **state)
{
	static const struct engine_options options = {.kvm_device = "/dev/kvm"};

	return sys_guest_setup_with(state, &options);
}

static inline int sys_guest_teardown(void **state)
{
	struct sys_guest *g = *state;

	engine_vcpu_free(g->vcpu);
	engine_vm_free(g->vm);
	mem_free(g->mem);
	engine_close(g->engine);
	free(g);
	return 0;
}

#define sys_test(f) cmocka_unit_test_setup_teardown(f, sys_guest_setup, sys_guest_teardown)

/* Copies guest code to memory; returns where it is. */
static inline uint64_t sys_guest_load_at(struct sys_guest *g, uint64_t gpa, const uint8_t *start,
					 const uint8_t *end)
{
	memcpy(g->ram + gpa, start, (size_t)(end - start));
	mem_wrote(g->mem, gpa, (uint64_t)(end - start));
	return gpa;
}
#define LOAD_AT(g, gpa, name) sys_guest_load_at(g, gpa, name##_start, name##_end)

static inline uint64_t sys_guest_load(struct sys_guest *g, const uint8_t *start, const uint8_t *end)
{
	uint64_t gpa = g->next_code;

	g->next_code += 0x400;
	return sys_guest_load_at(g, gpa, start, end);
}
#define LOAD(g, name) sys_guest_load(g, name##_start, name##_end)

static inline void put_gate(struct sys_guest *g, unsigned vector, uint16_t selector,
			    uint64_t offset, unsigned type_dpl_p, unsigned ist, bool is_long)
{
	uint64_t low = (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)ist << 32 |
		       (uint64_t)type_dpl_p << 40 | (offset >> 16 & 0xffff) << 48;

	if (is_long) {
		put64(g, AT_IDT + vector * 16, low);
		put64(g, AT_IDT + vector * 16 + 8, offset >> 32);
	} else {
		put64(g, AT_IDT + vector * 8, low);
	}
}

static inline uint64_t handler_of(unsigned vector)
{
	return AT_HANDLERS + vector * 4;
}

static inline void sys_guest_tables(struct sys_guest *g, bool is_long)
{
	put64(g, AT_GDT + KERNEL_CS64, 0x00af9b000000ffff);
	put64(g, AT_GDT + KERNEL_DS, 0x00cf93000000ffff);
	put64(g, AT_GDT + KERNEL_CS32, 0x00cf9b000000ffff);
	put64(g, AT_GDT + (USER_CS32 & ~7), 0x00cffb000000ffff);
	put64(g, AT_GDT + (USER_DS & ~7), 0x00cff3000000ffff);
	put64(g, AT_GDT + (USER_CS64 & ~7), 0x00affb000000ffff);
	put64(g, AT_GDT + SEL_TSS, 0x0000890000000000 | (uint64_t)AT_TSS << 16 | 0x13ff);
	put64(g, AT_GDT + SEL_LDT, 0x0000820000000000 | (uint64_t)AT_LDT << 16 | 0x1f);
	put64(g, AT_GDT + SEL_TSS2, 0x0000890000000067 | (uint64_t)AT_TSS2 << 16);
	put64(g, AT_GDT + SEL_ABSENT, 0x00cf13000000ffff);
	put64(g, AT_GDT + SEL_READ_ONLY, 0x00cf91000000ffff);
	put64(g, AT_GDT + SEL_CONFORMING, 0x00cf9f000000ffff);
	put64(g, AT_GDT + SEL_EXEC_ONLY, 0x00cf99000000ffff);
	put64(g, AT_GDT + SEL_DS16, 0x000093000000ffff);
	put64(g, AT_GDT + SEL_SMALL, 0x0000920000000000 | (uint64_t)AT_DATA << 16 | 0x0f);
	put64(g, AT_GDT + SEL_CS16, 0x00009b000000ffff);

	if (is_long) {
		put64(g, AT_TSS + 4, AT_STACK);
		put64(g, AT_TSS + 0x24, AT_IST);
	} else {
		put32(g, AT_TSS + 4, AT_STACK);
		put16(g, AT_TSS + 8, KERNEL_DS);
	}
	put16(g, AT_TSS + 0x66, 0x2000); /* no bitmap inside the limit */
	for (unsigned v = 0; v < 256; v++) {
		const uint8_t code[] = {0xb0, (uint8_t)v, 0xe6, PORT_REPORT};

		memcpy(g->ram + handler_of(v), code, sizeof(code));
		put_gate(g, v, is_long ? KERNEL_CS64 : KERNEL_CS32, handler_of(v), 0x8e, 0,
			 is_long);
	}
	mem_wrote(g->mem, 0, RAM_SIZE);
}

static inline struct kvm_segment segment_of(struct sys_guest *g, uint16_t selector)
{
	uint64_t d = get64(g, AT_GDT + (selector & ~7));
	bool is_big = d >> 55 & 1;
	uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));

	return (struct kvm_segment){
		.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
		.limit = is_big ? limit << 12 | 0xfff : limit,
		.selector = selector,
		.type = d >> 40 & 15,
		.s = d >> 44 & 1,
		.dpl = d >> 45 & 3,
		.present = d >> 47 & 1,
		.avl = d >> 52 & 1,
		.l = d >> 53 & 1,
		.db = d >> 54 & 1,
		.g = is_big,
	};
}

static inline void sys_guest_start(struct sys_guest *g, uint64_t rip, uint64_t rsp, uint64_t rflags)
{
	struct kvm_regs regs = {.rip = rip, .rsp = rsp, .rflags = rflags | FLAG_FIXED};

	assert_int_equal(engine_vcpu_set_regs(g->vcpu, &regs), 0);
}

static inline void sys_guest_system(struct sys_guest *g, uint16_t cs, uint16_t ds, bool is_long)
{
	struct kvm_sregs *s = &g->sregs;

	assert_int_equal(engine_vcpu_get_sregs(g->vcpu, s), 0);
	sys_guest_tables(g, is_long);
	s->cs = segment_of(g, cs);
	s->ss = s->ds = s->es = s->fs = s->gs = segment_of(g, ds);
	s->tr = segment_of(g, SEL_TSS);
	s->tr.type = 11;
	put64(g, AT_GDT + SEL_TSS, get64(g, AT_GDT + SEL_TSS) | BIT64(41));
	s->ldt = segment_of(g, SEL_LDT);
	s->gdt = (struct kvm_dtable){.base = AT_GDT, .limit = GDT_SIZE - 1};
	s->idt = (struct kvm_dtable){.base = AT_IDT, .limit = 256 * (is_long ? 16 : 8) - 1};
	s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP;
	s->cr4 = CR4_OSFXSR;
}

/* 32-bit protected mode without paging at CPL 0 or 3. */
static inline void sys_guest_protected(struct sys_guest *g, uint64_t rip, unsigned cpl,
				       uint64_t rflags)
{
	sys_guest_system(g, cpl ? USER_CS32 : KERNEL_CS32, cpl ? USER_DS : KERNEL_DS, false);
	assert_int_equal(engine_vcpu_set_sregs(g->vcpu, &g->sregs), 0);
	sys_guest_start(g, rip, cpl ? AT_USER_STACK : AT_STACK, rflags);
}

/* 64-bit mode, everything mapped for everyone, the lowest 2 MiB by small pages. */
static inline void sys_guest_long(struct sys_guest *g, uint64_t rip, unsigned cpl, uint64_t rflags)
{
	const uint64_t rights = PTE_P | PTE_W | PTE_U;

	sys_guest_system(g, cpl ? USER_CS64 : KERNEL_CS64, cpl ? USER_DS : KERNEL_DS, true);
	put64(g, AT_PML4, AT_PDPT | rights);
	put64(g, AT_PDPT, AT_PD | rights);
	put64(g, AT_PD, AT_PT | rights);
	for (unsigned n = 0; n < 512; n++)
		put64(g, AT_PT + n * 8, n * 4096 | rights);
	g->sregs.cr0 |= CR0_PG;
	g->sregs.cr3 = AT_PML4;
	g->sregs.cr4 |= CR4_PAE;
	g->sregs.efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	assert_int_equal(engine_vcpu_set_sregs(g->vcpu, &g->sregs), 0);
	sys_guest_start(g, rip, cpl ? AT_USER_STACK : AT_STACK, rflags);
}

/* Real mode at 0:rip, the vector table at 0 full of the reporting handlers. */
static inline void sys_guest_real(struct sys_guest *g, uint64_t rip, uint64_t rflags)
{
	struct kvm_sregs *s = &g->sregs;

	sys_guest_tables(g, false);
	assert_int_equal(engine_vcpu_get_sregs(g->vcpu, s), 0);
	s->cs.selector = 0;
	s->cs.base = 0;
	assert_int_equal(engine_vcpu_set_sregs(g->vcpu, s), 0);
	for (unsigned v = 0; v < 256; v++)
		put32(g, v * 4, (uint32_t)handler_of(v));
	mem_wrote(g->mem, 0, 0x400);
	sys_guest_start(g, rip, AT_STACK, rflags);
}

/* Runs until the guest reports. */
static inline unsigned sys_guest_run(struct sys_guest *g)
{
	for (;;) {
		struct kvm_run *run = g->run;
		uint8_t *data = (uint8_t *)run + run->io.data_offset;

		assert_int_equal(engine_vcpu_run(g->vcpu), 0);
		data = (uint8_t *)run + run->io.data_offset;
		if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN) {
			memcpy(data, &g->in_value, run->io.size);
			continue;
		}
		engine_vcpu_get_regs(g->vcpu, &g->regs);
		engine_vcpu_get_sregs(g->vcpu, &g->sregs);
		if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_REPORT)
			return *data;
		if (run->exit_reason == KVM_EXIT_IO)
			continue;
		if (run->exit_reason == KVM_EXIT_SHUTDOWN)
			return RAN_SHUTDOWN;
		if (run->exit_reason == KVM_EXIT_DEBUG)
			return RAN_DEBUG;
		return RAN_OTHER + run->exit_reason;
	}
}

#endif
