/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests of a few instructions, written in assembly inside the test and run through engine.h. The
 * engine is the one named by the environment variable ACCEL, "soft" when it is not set, so that the
 * same program tests every engine.
 *
 * Memory: 2 MiB of RAM at 0. Long mode maps the first 4 GiB one to one with 2-MiB pages at
 * PHYS_TABLES.
 */
#ifndef TESTS_UNIT_ENGINE_TINY_GUEST_H
#define TESTS_UNIT_ENGINE_TINY_GUEST_H

#include <stdlib.h>

#include "core/mem.h"
#include "engine/engine.h"
#include "unit/test.h"
#include "x86/regs.h"

#define RAM_SIZE    (2 * MIB)
#define PHYS_GDT    0x800
#define PHYS_IDT    0x1000
#define PHYS_CODE   0x8000 /* where guests are put and start */
#define PHYS_STACK  0x7000
#define PHYS_DATA   0x10000
#define PHYS_TABLES 0x20000 /* 6 pages: PML4, PDPT, 4 page directories */
#define PHYS_MMIO   0xd0000000

#define CS64 0x08
#define DS   0x10
#define CS32 0x18

#define STOP_PORT 0xf0

/* Assembly between name and name_end; bits is 16, 32 or 64. */
#define GUEST_CODE(name, bits, text)                                                        \
	extern const uint8_t name[], name##_end[];                                          \
	__asm__(".pushsection .rodata\n.globl " #name "\n.globl " #name "_end\n.code" #bits \
		"\n" #name ":\n" text "\n" #name "_end:\n.code64\n.popsection\n")

struct tiny {
	struct engine *engine;
	struct mem *mem;
	struct engine_vm *vm;
	struct engine_vcpu *vcpu[2];
	struct kvm_run *run; /* of vcpu[0] */
	uint8_t *ram;
};

static inline const char *tiny_accel(void)
{
	const char *accel = getenv("ACCEL");

	return accel ? accel : "soft";
}

static inline void tiny_open_with(struct tiny *t, unsigned nr_vcpus,
				  const struct engine_options *opt)
{
	struct cpuid_table *cpuid = calloc(1, sizeof(*cpuid));
	struct error err = {.text = ""};

	memset(t, 0, sizeof(*t));
	t->engine = engine_open(tiny_accel(), opt, &err);
	if (!t->engine)
		fail_msg("%s", err.text);
	t->mem = mem_new();
	assert_int_equal(mem_add_region(t->mem, 0, RAM_SIZE, false, &err), 0);
	t->ram = mem_region_at(t->mem, 0)->host;
	assert_int_equal(cpuid_model("auto", cpuid, &err), 0);
	assert_int_equal(engine_filter_cpuid(t->engine, cpuid, &err), 0);
	t->vm = engine_vm_new(t->engine, t->mem, &err);
	assert_non_null(t->vm);
	for (unsigned n = 0; n < nr_vcpus; n++) {
		struct cpu_topology topology = {.sockets = nr_vcpus, .cores = 1, .threads = 1};

		cpuid_set_topology(cpuid, &topology, n);
		t->vcpu[n] = engine_vcpu_new(t->vm, n, cpuid, &err);
		assert_non_null(t->vcpu[n]);
	}
	t->run = engine_vcpu_shared(t->vcpu[0]);
	free(cpuid);
}

static inline void tiny_open(struct tiny *t, unsigned nr_vcpus)
{
	tiny_open_with(t, nr_vcpus, NULL);
}

static inline void tiny_close(struct tiny *t)
{
	engine_vcpu_free(t->vcpu[1]);
	engine_vcpu_free(t->vcpu[0]);
	engine_vm_free(t->vm);
	mem_free(t->mem);
	engine_close(t->engine);
}

/* Skips a test of what a KVM that emulates guest code leaves out; before the test opens a guest. */
static inline void tiny_needs_silicon(const char *what)
{
	if (strcmp(tiny_accel(), "kvm"))
		return;
	struct engine *e = engine_open("kvm:soft", NULL, NULL);
	bool is_emulated = !e || strcmp(engine_name(e), "kvm");

	engine_close(e);
	if (is_emulated) {
		print_message("SKIP: this KVM emulates guest code and knows no %s\n", what);
		skip();
	}
}

#define tiny_load(t, gpa, name) \
	assert_int_equal(mem_write((t)->mem, gpa, name, (size_t)(name##_end - name)), 0)

static inline void tiny_put64(struct tiny *t, uint64_t gpa, uint64_t value)
{
	assert_int_equal(mem_write(t->mem, gpa, &value, 8), 0);
}

static inline uint64_t tiny_get64(struct tiny *t, uint64_t gpa)
{
	uint64_t value;

	assert_int_equal(mem_read(t->mem, gpa, &value, 8), 0);
	return value;
}

static inline void tiny_set_ip(struct engine_vcpu *v, uint64_t rip)
{
	struct kvm_regs regs;

	engine_vcpu_get_regs(v, &regs);
	regs.rip = rip;
	regs.rsp = PHYS_STACK;
	assert_int_equal(engine_vcpu_set_regs(v, &regs), 0);
}

/* Real mode with CS base 0. */
static inline void tiny_real_mode(struct tiny *t)
{
	struct kvm_sregs s;

	engine_vcpu_get_sregs(t->vcpu[0], &s);
	s.cs.base = s.cs.selector = 0;
	assert_int_equal(engine_vcpu_set_sregs(t->vcpu[0], &s), 0);
	tiny_set_ip(t->vcpu[0], PHYS_CODE);
}

static inline struct kvm_segment tiny_segment(uint16_t selector, bool is_code, bool is_long)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = is_code ? 11 : 3,
		.present = 1,
		.db = !is_long,
		.s = 1,
		.l = is_long,
		.g = 1,
	};
}

static inline void tiny_fill_gdt(struct tiny *t)
{
	tiny_put64(t, PHYS_GDT + CS64, 0x00af9b000000ffff);
	tiny_put64(t, PHYS_GDT + DS, 0x00cf93000000ffff);
	tiny_put64(t, PHYS_GDT + CS32, 0x00cf9b000000ffff);
}

static inline void tiny_flat_segments(struct kvm_sregs *s)
{
	s->ds = s->es = s->fs = s->gs = s->ss = tiny_segment(DS, false, false);
	s->gdt = (struct kvm_dtable){.base = PHYS_GDT, .limit = 0x1f};
	s->idt = (struct kvm_dtable){.base = PHYS_IDT, .limit = 0xfff};
	s->tr = (struct kvm_segment){.limit = 0x67, .selector = 0x20, .type = 11, .present = 1};
}

/* 32-bit protected mode without paging. */
static inline void tiny_protected_mode(struct tiny *t)
{
	struct kvm_sregs s;

	tiny_fill_gdt(t);
	engine_vcpu_get_sregs(t->vcpu[0], &s);
	tiny_flat_segments(&s);
	s.cs = tiny_segment(CS32, true, false);
	s.cr0 = CR0_PE | CR0_ET | CR0_NE;
	assert_int_equal(engine_vcpu_set_sregs(t->vcpu[0], &s), 0);
	tiny_set_ip(t->vcpu[0], PHYS_CODE);
}

static inline void tiny_long_mode(struct tiny *t)
{
	struct kvm_sregs s;

	tiny_fill_gdt(t);
	tiny_put64(t, PHYS_TABLES, (PHYS_TABLES + 0x1000) | PTE_P | PTE_W | PTE_U);
	for (uint64_t n = 0; n < 4; n++)
		tiny_put64(t, PHYS_TABLES + 0x1000 + n * 8,
			   (PHYS_TABLES + 0x2000 + n * 0x1000) | PTE_P | PTE_W | PTE_U);
	for (uint64_t n = 0; n < 2048; n++)
		tiny_put64(t, PHYS_TABLES + 0x2000 + n * 8, n * 2 * MIB | PTE_P | PTE_W | PTE_PS);
	engine_vcpu_get_sregs(t->vcpu[0], &s);
	tiny_flat_segments(&s);
	s.cs = tiny_segment(CS64, true, true);
	s.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	s.cr3 = PHYS_TABLES;
	s.cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	s.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	assert_int_equal(engine_vcpu_set_sregs(t->vcpu[0], &s), 0);
	tiny_set_ip(t->vcpu[0], PHYS_CODE);
}

/* A 64-bit interrupt gate. */
static inline void tiny_gate64(struct tiny *t, unsigned vector, uint64_t handler)
{
	tiny_put64(t, PHYS_IDT + vector * 16,
		   (handler & 0xffff) | CS64 << 16 | 0x8e0000000000ull |
			   (handler >> 16 & 0xffff) << 48);
	tiny_put64(t, PHYS_IDT + vector * 16 + 8, handler >> 32);
}

/* Runs vcpu 0 to its next exit, which must be this one. */
static inline void tiny_expect(struct tiny *t, uint32_t reason)
{
	assert_int_equal(engine_vcpu_run(t->vcpu[0]), 0);
	if (t->run->exit_reason == KVM_EXIT_MMIO && reason != KVM_EXIT_MMIO)
		print_message("unexpected access to %#llx\n",
			      (unsigned long long)t->run->mmio.phys_addr);
	assert_int_equal(t->run->exit_reason, reason);
}

static inline uint8_t *tiny_io_data(struct tiny *t)
{
	return (uint8_t *)t->run + t->run->io.data_offset;
}

/* The next exit is an OUT to this port. Returns the value. */
static inline uint32_t tiny_expect_out(struct tiny *t, uint16_t port)
{
	uint32_t value = 0;

	tiny_expect(t, KVM_EXIT_IO);
	assert_int_equal(t->run->io.direction, KVM_EXIT_IO_OUT);
	assert_int_equal(t->run->io.port, port);
	assert_int_equal(t->run->io.count, 1);
	memcpy(&value, tiny_io_data(t), t->run->io.size);
	return value;
}

#endif
