/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine side of the comparison. The guest is in 64-bit mode with four levels of page tables;
 * the handler of vector v is OUT to port PORT_BASE + v, then IRETQ, by which the next trial starts.
 */
#include "cpu/guest.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "cpu/native.h"
#include "engine/engine.h"

#define PORT_BASE 0x20

/* Guest physical memory, a page each unless noted. All of it is mapped at KERNEL_BASE. */
#define KERNEL_BASE 0xffffffff80000000

#define PHYS_PML4	 0x1000
#define PHYS_PDPT	 0x2000
#define PHYS_PD		 0x3000
#define PHYS_PT_ALIAS	 0x4000
#define PHYS_PT_CODE	 0x5000
#define PHYS_PT_DATA	 0x6000
#define PHYS_GDT	 0x7000
#define PHYS_IDT	 0x8000
#define PHYS_TSS	 0x9000
#define PHYS_HANDLERS	 0xa000
#define PHYS_STACK_TOP	 0xc000
#define PHYS_KERNEL_PDPT 0xc000
#define PHYS_KERNEL_PD	 0xd000
#define PHYS_KERNEL_PT	 0xe000
#define PHYS_CODE	 0x10000
#define PHYS_DATA	 0x20000 /* the writable pages, then the read-only one */
#define PHYS_COUNTERS	 0x30000
#define PHYS_SIZE	 0x40000

#define HANDLER_SIZE 16
#define KERNEL_CS    0x10
#define KERNEL_SS    0x18
#define TSS_SELECTOR 0x40
#define FRAME_RSP    (PHYS_STACK_TOP - 40) /* of an IRETQ frame without error code */

struct guest {
	struct engine *engine;
	struct mem *mem;
	struct engine_vm *vm;
	struct engine_vcpu *vcpu;
	struct kvm_run *run;
	uint8_t *ram;
	uint64_t xcr0;
	uint32_t features[NR_CPUID_WORDS];
	struct kvm_sregs sregs;	     /* as the next trial of 64-bit code wants them */
	volatile sig_atomic_t ticks; /* in the trial in progress */
	int patience;		     /* so many end it */
	bool has_other_segments;     /* the last trial has loaded segment registers */
};

struct iret_frame {
	uint64_t rip, cs, rflags, rsp, ss;
};

static void put64(struct guest *g, uint64_t gpa, uint64_t value)
{
	memcpy(g->ram + gpa, &value, 8);
}

static void map(struct guest *g, uint64_t table, uint64_t va, unsigned pages, uint64_t gpa,
		uint64_t flags)
{
	for (unsigned n = 0; n < pages; n++)
		put64(g, table + ((va >> 12) + n) % 512 * 8, (gpa + n * PAGE) | flags);
}

static void build_tables(struct guest *g)
{
	uint64_t user = PTE_P | PTE_W | PTE_U, kernel = PTE_P | PTE_W;

	put64(g, PHYS_PML4, PHYS_PDPT | user);
	put64(g, PHYS_PDPT, PHYS_PD | user);
	put64(g, PHYS_PML4 + (KERNEL_BASE >> 39) % 512 * 8, PHYS_KERNEL_PDPT | kernel);
	put64(g, PHYS_KERNEL_PDPT + (KERNEL_BASE >> 30) % 512 * 8, PHYS_KERNEL_PD | kernel);
	put64(g, PHYS_KERNEL_PD, PHYS_KERNEL_PT | kernel);
	put64(g, PHYS_PD + (CODE_BASE >> 21) * 8, PHYS_PT_CODE | user);
	put64(g, PHYS_PD + (DATA_BASE >> 21) * 8, PHYS_PT_DATA | user);
	put64(g, PHYS_PD + (CODE_ALIAS >> 21) * 8, PHYS_PT_ALIAS | user);
	map(g, PHYS_KERNEL_PT, KERNEL_BASE, PHYS_SIZE / PAGE, 0, kernel);
	map(g, PHYS_PT_CODE, CODE_BASE, CODE_PAGES, PHYS_CODE, user);
	map(g, PHYS_PT_DATA, DATA_RW, DATA_RW_SIZE / PAGE, PHYS_DATA, user | PTE_NX);
	map(g, PHYS_PT_DATA, DATA_RO, 1, PHYS_DATA + DATA_RW_SIZE, PTE_P | PTE_U | PTE_NX);
	map(g, PHYS_PT_DATA, DATA_ALIAS, DATA_RW_SIZE / PAGE, PHYS_DATA, user | PTE_NX);
	map(g, PHYS_PT_DATA, COUNTERS, 1, PHYS_COUNTERS, user | PTE_NX);
	map(g, PHYS_PT_ALIAS, CODE_ALIAS, CODE_PAGES, PHYS_CODE, user | PTE_NX);

	put64(g, PHYS_GDT + KERNEL_CS, 0x00af9b000000ffff);
	put64(g, PHYS_GDT + KERNEL_SS, 0x00cf93000000ffff);
	put64(g, PHYS_GDT + (USER_CS32 & ~7), 0x00cffb000000ffff);
	put64(g, PHYS_GDT + (USER_SS & ~7), 0x00cff3000000ffff);
	put64(g, PHYS_GDT + (USER_CS & ~7), 0x00affb000000ffff);
	put64(g, PHYS_GDT + TSS_SELECTOR, 0x8000890000000067 | (uint64_t)PHYS_TSS << 16);
	put64(g, PHYS_GDT + TSS_SELECTOR + 8, KERNEL_BASE >> 32);
	put64(g, PHYS_TSS + 4, KERNEL_BASE + PHYS_STACK_TOP);
	/* No I/O bitmap. */
	g->ram[PHYS_TSS + 102] = 0x68;

	for (unsigned v = 0; v < 32; v++) {
		uint64_t at = PHYS_HANDLERS + v * HANDLER_SIZE, handler = KERNEL_BASE + at;
		uint64_t dpl = v == VEC_BP || v == VEC_OF ? 3 : 0;
		const uint8_t code[] = {0xe6, PORT_BASE + v, 0x48, 0xcf};

		memcpy(g->ram + at, code, sizeof(code));
		put64(g, PHYS_IDT + v * 16,
		      (handler & 0xffff) | KERNEL_CS << 16 | (0x8eull | dpl << 5) << 40 |
			      (handler >> 16 & 0xffff) << 48);
		put64(g, PHYS_IDT + v * 16 + 8, handler >> 32);
	}
	memset(g->ram + PHYS_CODE, 0xcc, CODE_PAGES * PAGE);
	read_only_fill(g->ram + PHYS_DATA + DATA_RW_SIZE);
	mem_wrote(g->mem, 0, PHYS_SIZE);
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
	bool is_code = type & 8;

	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.dpl = selector & 3,
		.db = !is_code,
		.s = 1,
		.l = is_code,
		.g = 1,
	};
}

/* What Linux has in DS, ES, FS and GS of a 64-bit program: the null selector. */
static struct kvm_segment null_segment(uint64_t base)
{
	return (struct kvm_segment){.base = base, .unusable = 1, .type = 1, .s = 1, .g = 1};
}

static int set_system_state(struct guest *g, uint64_t fs_base)
{
	struct kvm_sregs s;
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0] = {.xcr = 0, .value = g->xcr0}};
	int r = engine_vcpu_get_sregs(g->vcpu, &s);

	if (r)
		return r;
	s.cs = flat_segment(KERNEL_CS, 11);
	s.ss = flat_segment(KERNEL_SS, 3);
	s.ds = s.es = s.gs = null_segment(0);
	s.fs = null_segment(fs_base);
	s.tr = (struct kvm_segment){.base = KERNEL_BASE + PHYS_TSS,
				    .limit = 0x67,
				    .selector = TSS_SELECTOR,
				    .type = 11,
				    .present = 1};
	s.ldt = (struct kvm_segment){.unusable = 1, .type = 2};
	s.gdt = (struct kvm_dtable){.base = KERNEL_BASE + PHYS_GDT, .limit = TSS_SELECTOR + 15};
	s.idt = (struct kvm_dtable){.base = KERNEL_BASE + PHYS_IDT, .limit = 32 * 16 - 1};
	s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s.cr3 = PHYS_PML4;
	s.cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
	/* SYSCALL, which changed code may be, has nowhere to go. */
	s.efer = EFER_LME | EFER_LMA | EFER_NXE;
	g->sregs = s;
	r = engine_vcpu_set_sregs(g->vcpu, &s);
	return r ? r : engine_vcpu_set_xcrs(g->vcpu, &xcrs);
}

struct guest *guest_new(const char *accel, bool is_translated, bool has_sites, uint64_t fs_base,
			uint64_t xcr0, struct error *err)
{
	struct engine_options options = {.kvm_device = "/dev/kvm",
					 .is_interpreter = !is_translated,
					 .heat = 1,
					 .has_sites_always = has_sites};
	struct guest *g = calloc(1, sizeof(*g));
	struct cpuid_table *cpuid = calloc(1, sizeof(*cpuid));
	int r;

	if (!g || !cpuid)
		goto fail;
	g->patience = NATIVE_PATIENCE;
	g->xcr0 = xcr0 & (XCR0_X87 | XCR0_SSE | XCR0_AVX);
	g->engine = engine_open(accel, &options, err);
	g->mem = mem_new();
	if (!g->engine || !g->mem || mem_add_region(g->mem, 0, PHYS_SIZE, false, err))
		goto fail;
	g->ram = mem_region_at(g->mem, 0)->host;
	if (cpuid_model("host", cpuid, err) || engine_filter_cpuid(g->engine, cpuid, err))
		goto fail;
	cpuid_feature_words(cpuid, g->features);
	g->vm = engine_vm_new(g->engine, g->mem, err);
	if (!g->vm)
		goto fail;
	g->vcpu = engine_vcpu_new(g->vm, 0, cpuid, err);
	if (!g->vcpu)
		goto fail;
	g->run = engine_vcpu_shared(g->vcpu);
	build_tables(g);
	r = set_system_state(g, fs_base);
	if (r) {
		error_set(err, r, "the guest's system registers are refused: error %d", r);
		goto fail;
	}
	free(cpuid);
	return g;
fail:
	free(cpuid);
	guest_free(g);
	return NULL;
}

void guest_free(struct guest *g)
{
	if (!g)
		return;
	engine_vcpu_free(g->vcpu);
	engine_vm_free(g->vm);
	mem_free(g->mem);
	engine_close(g->engine);
	free(g);
}

const uint32_t *guest_features(const struct guest *g)
{
	return g->features;
}

static uint64_t *kvm_gpr(struct kvm_regs *regs, unsigned number)
{
	uint64_t *const order[16] = {
		(uint64_t *)&regs->rax, (uint64_t *)&regs->rcx, (uint64_t *)&regs->rdx,
		(uint64_t *)&regs->rbx, (uint64_t *)&regs->rsp, (uint64_t *)&regs->rbp,
		(uint64_t *)&regs->rsi, (uint64_t *)&regs->rdi, (uint64_t *)&regs->r8,
		(uint64_t *)&regs->r9,	(uint64_t *)&regs->r10, (uint64_t *)&regs->r11,
		(uint64_t *)&regs->r12, (uint64_t *)&regs->r13, (uint64_t *)&regs->r14,
		(uint64_t *)&regs->r15};

	return order[number];
}

/* DS and ES as the trial wants them; everything else back to what it was. */
static int set_segments(struct guest *g, const struct trial *t)
{
	struct kvm_sregs s = g->sregs;

	if (t->in.selector[SEG_DS])
		s.ds = flat_segment(t->in.selector[SEG_DS], 3);
	if (t->in.selector[SEG_ES])
		s.es = flat_segment(t->in.selector[SEG_ES], 3);
	g->has_other_segments = false;
	return engine_vcpu_set_sregs(g->vcpu, &s);
}

static int set_gs_base(struct guest *g, uint64_t base)
{
	struct kvm_msr_entry entry = {.index = MSR_GS_BASE, .data = base};

	return engine_vcpu_set_msrs(g->vcpu, &entry, 1) == 1 ? 0 : -EINVAL;
}

/* Puts the trial's state into the vCPU, which stands before the IRETQ of a handler. */
static int load_state(struct guest *g, const struct trial *t)
{
	struct iret_frame frame = {t->in.rip, t->in.selector[SEG_CS], t->in.rflags, t->in.gpr[RSP],
				   t->in.selector[SEG_SS]};
	struct kvm_regs regs = {.rip = KERNEL_BASE + PHYS_HANDLERS + 2, .rflags = FLAG_FIXED};
	struct kvm_xsave xsave __attribute__((aligned(64)));
	struct xsave_area *area = (struct xsave_area *)xsave.region;
	int r;

	for (unsigned n = 0; n < 16; n++)
		*kvm_gpr(&regs, n) = t->in.gpr[n];
	regs.rsp = KERNEL_BASE + FRAME_RSP;
	memset(&xsave, 0, sizeof(xsave));
	*area = t->in.fpu;
	area->xstate_bv = g->xcr0;
	mem_write(g->mem, FRAME_RSP, &frame, sizeof(frame));
	r = engine_vcpu_set_regs(g->vcpu, &regs);
	if (!r && (g->has_other_segments || t->in.selector[SEG_DS] || t->in.selector[SEG_ES]))
		r = set_segments(g, t);
	if (!r)
		r = engine_vcpu_set_xsave(g->vcpu, &xsave);
	return r ? r : set_gs_base(g, t->in.gs_base);
}

static bool has_error_code(unsigned vector)
{
	return vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
}

/* The vCPU stands behind the OUT of a handler: reads the state before the exception. */
static int save_state(struct guest *g, struct outcome *out)
{
	struct iret_frame frame;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave __attribute__((aligned(64)));
	uint64_t error = 0;
	int r = engine_vcpu_get_regs(g->vcpu, &regs);

	if (!r)
		r = engine_vcpu_get_xsave(g->vcpu, &xsave);
	if (!r)
		r = engine_vcpu_get_sregs(g->vcpu, &sregs);
	if (r)
		return r;
	if (has_error_code(out->vector))
		mem_read(g->mem, FRAME_RSP - 8, &error, 8);
	mem_read(g->mem, FRAME_RSP, &frame, 40);
	for (unsigned n = 0; n < 16; n++)
		out->state.gpr[n] = *kvm_gpr(&regs, n);
	out->state.gpr[RSP] = frame.rsp;
	out->state.rip = frame.rip;
	out->state.rflags = frame.rflags;
	out->state.fs_base = sregs.fs.base;
	out->state.gs_base = sregs.gs.base;
	out->state.selector[SEG_CS] = (uint16_t)frame.cs;
	out->state.selector[SEG_SS] = (uint16_t)frame.ss;
	out->state.selector[SEG_ES] = sregs.es.selector;
	out->state.selector[SEG_DS] = sregs.ds.selector;
	out->state.selector[SEG_FS] = sregs.fs.selector;
	out->state.selector[SEG_GS] = sregs.gs.selector;
	g->has_other_segments = sregs.es.selector || sregs.ds.selector || sregs.fs.selector ||
				sregs.gs.selector || sregs.fs.base != g->sregs.fs.base ||
				!sregs.fs.unusable;
	memcpy(&out->state.fpu, xsave.region, sizeof(out->state.fpu));
	out->error = (uint32_t)error;
	out->cr2 = sregs.cr2;
	return 0;
}

void guest_set_patience(struct guest *g, int ticks)
{
	g->patience = ticks;
}

void guest_tick(void *guest)
{
	struct guest *g = guest;

	g->ticks++;
	engine_vcpu_kick(g->vcpu);
}

/* Runs up to the port write of a handler and completes it. */
static void run_to_handler(struct guest *g, struct outcome *out)
{
	int r;

	g->ticks = 0;
	do
		r = engine_vcpu_run(g->vcpu);
	while (r == -EINTR && g->ticks < g->patience);
	if (r == -EINTR) {
		snprintf(out->failure, sizeof(out->failure), "does not end");
		return;
	}
	if (r) {
		snprintf(out->failure, sizeof(out->failure), "engine error %d", r);
		return;
	}
	if (g->run->exit_reason != KVM_EXIT_IO || g->run->io.port < PORT_BASE ||
	    g->run->io.port >= PORT_BASE + 32) {
		snprintf(out->failure, sizeof(out->failure), "exit reason %u", g->run->exit_reason);
		return;
	}
	out->vector = g->run->io.port - PORT_BASE;
	g->run->immediate_exit = 1;
	r = engine_vcpu_run(g->vcpu);
	g->run->immediate_exit = 0;
	if (r != -EINTR)
		snprintf(out->failure, sizeof(out->failure), "port write ends with %d", r);
}

/* Bytes that reach past the code pages do not exist. */
static unsigned code_room(const struct trial *t)
{
	uint64_t room = CODE_BASE + CODE_PAGES * PAGE - t->in.rip;

	return (unsigned)min((uint64_t)t->code_len, room);
}

static uint64_t code_gpa(const struct trial *t)
{
	return PHYS_CODE + (t->in.rip - CODE_BASE);
}

void guest_put_code(struct guest *g, const struct trial *t)
{
	mem_write(g->mem, code_gpa(t), t->code, code_room(t));
}

static bool is_empty(const uint8_t *code, size_t len)
{
	return !len || (code[0] == 0xcc && !memcmp(code, code + 1, len - 1));
}

void guest_remove_code(struct guest *g, const struct trial *t)
{
	static const uint8_t nothing[PAGE] = {[0 ... PAGE - 1] = 0xcc};
	_Static_assert(sizeof(nothing) >= CODE_MAX, "a page holds a trial");

	mem_write(g->mem, code_gpa(t), nothing, code_room(t));
	/* Stores may have gone beyond it. */
	for (unsigned n = 0; n < CODE_PAGES; n++)
		if (!is_empty(g->ram + PHYS_CODE + n * PAGE, PAGE))
			mem_write(g->mem, PHYS_CODE + n * PAGE, nothing, PAGE);
}

bool guest_code_is_intact(struct guest *g, const struct trial *t)
{
	const uint8_t *code = g->ram + PHYS_CODE;
	size_t at = code_gpa(t) - PHYS_CODE, room = code_room(t);

	return is_empty(code, at) && !memcmp(code + at, t->code, room) &&
	       is_empty(code + at + room, CODE_PAGES * PAGE - at - room);
}

void guest_poke_code(struct guest *g, const struct trial *t, unsigned at, uint8_t value)
{
	if (at < code_room(t))
		mem_write(g->mem, code_gpa(t) + at, &value, 1);
}

void guest_start(struct guest *g, const struct trial *t, struct outcome *out)
{
	int r;

	out->failure[0] = 0;
	mem_write(g->mem, PHYS_DATA, t->data, DATA_RW_SIZE);
	memset(g->ram + PHYS_COUNTERS, 0, PAGE);
	mem_write(g->mem, PHYS_COUNTERS, t->counters, sizeof(t->counters));
	r = load_state(g, t);
	if (r)
		snprintf(out->failure, sizeof(out->failure), "state refused: error %d", r);
	if (!out->failure[0])
		run_to_handler(g, out);
	if (!out->failure[0]) {
		r = save_state(g, out);
		if (r)
			snprintf(out->failure, sizeof(out->failure), "no state: error %d", r);
	}
	/* Wherever it stands, the next trial starts in the kernel. */
	if (out->failure[0])
		g->has_other_segments = true;
	mem_read(g->mem, PHYS_DATA, out->data, DATA_RW_SIZE);
	mem_read(g->mem, code_gpa(t), out->code,
		 min((uint64_t)CODE_MAX, CODE_BASE + CODE_PAGES * PAGE - t->in.rip));
}

void guest_run(struct guest *g, const struct trial *t, struct outcome *out)
{
	guest_put_code(g, t);
	guest_start(g, t, out);
	guest_remove_code(g, t);
}
