/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software engine behind engine.h: life cycle of VMs and vCPUs, and what concerns a whole VM.
 * Threads as engine.h says.
 */
#include "engine/soft/soft.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "engine/soft/fpu.h"
#include "engine/soft/mmu.h"
#include "engine/soft/pio.h"
#include "engine/soft/trace.h"
#include "engine/soft/translate/code.h"
#include "engine/soft/vcpu.h"
#include "host/loop.h"

#define FALLBACK_TSC_KHZ 1000000 /* cpu_tsc() counts nanoseconds then */
#define RUN_SIZE	 (PIO_DATA_OFFSET + PIO_DATA_SIZE)

struct soft_engine {
	struct engine base;
	struct engine_options options;
};

/* ---- engine ---- */

static struct engine *soft_open(const struct engine_options *opt, bool is_forced, struct error *err)
{
	struct soft_engine *e;

	if (vcpu_timer_init(err) < 0 || simd_init(err) < 0)
		return NULL;
	e = calloc(1, sizeof(*e));
	if (!e) {
		error_set_errno(err, -ENOMEM, "engine");
		return NULL;
	}
	e->options = *opt;
	return &e->base;
}

static void soft_close(struct engine *e)
{
	free(container_of(e, struct soft_engine, base));
}

static unsigned soft_max_vcpus(const struct engine *e)
{
	return SOFT_VCPUS_MAX;
}

/* ---- VM ---- */

static void *map_zeroed(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool take_regions(struct soft_vm *vm)
{
	vm->nr_regions = mem_nr_regions(vm->mem);
	for (unsigned n = 0; n < vm->nr_regions; n++) {
		const struct mem_region *m = mem_region_at(vm->mem, n);
		struct soft_region *r = &vm->regions[n];

		r->gpa = m->gpa;
		r->size = m->size;
		r->host = m->host;
		r->is_rom = m->is_rom;
		r->page_flags = map_zeroed(m->size >> GUEST_PAGE_SHIFT);
		if (!r->page_flags)
			return false;
	}
	return true;
}

static void on_memory_written(void *ctx, gpa_t gpa, uint64_t len)
{
	struct soft_vm *vm = ctx;

	block_cache_invalidate(vm->blocks, gpa, len);
}

static void free_regions(struct soft_vm *vm)
{
	for (unsigned n = 0; n < vm->nr_regions; n++) {
		struct soft_region *r = &vm->regions[n];

		if (r->page_flags)
			munmap(r->page_flags, r->size >> GUEST_PAGE_SHIFT);
		free(atomic_load(&r->dirty));
	}
}

static void soft_vm_free(struct engine_vm *base)
{
	struct soft_vm *vm = soft_vm_of(base);

	mem_set_write_hook(vm->mem, NULL, NULL);
	block_cache_free(vm->blocks);
	code_cache_free(vm->code);
	trace_free(vm->trace);
	lapic_bus_free(vm->lapics);
	pvclock_free(vm->pvclock);
	free_regions(vm);
	pthread_mutex_destroy(&vm->split_lock);
	free(vm);
}

/* A block that is dropped takes its translation with it; decoding it again alone costs little. */
static uint64_t block_cache_size(const struct engine_options *opt)
{
	if (opt->block_cache_size)
		return opt->block_cache_size;
	return opt->is_interpreter ? 8 * MIB : 24 * MIB;
}

static struct engine_vm *soft_vm_new(struct engine *base, struct mem *mem, struct error *err)
{
	const struct soft_engine *e = container_of(base, struct soft_engine, base);
	struct soft_vm *vm = calloc(1, sizeof(*vm));
	uint32_t host_khz = host_tsc_khz();

	if (!vm)
		goto no_memory;
	vm->mem = mem;
	vm->has_host_tsc = host_khz;
	vm->tsc_khz = host_khz ? host_khz : FALLBACK_TSC_KHZ;
	pthread_mutex_init(&vm->split_lock, NULL);
	vm->blocks = block_cache_new(vm, block_cache_size(&e->options));
	vm->start_tsc = soft_host_tsc(vm);
	vm->lapics = lapic_bus_new(vm->tsc_khz);
	vm->pvclock = pvclock_new(vm->tsc_khz, vm->has_host_tsc);
	if (!take_regions(vm) || !vm->blocks || !vm->lapics || !vm->pvclock) {
		soft_vm_free(&vm->base);
		goto no_memory;
	}
	if (!e->options.is_interpreter) {
		vm->code = code_cache_new(vm, &e->options, err);
		if (!vm->code) {
			soft_vm_free(&vm->base);
			return NULL;
		}
	}
	vm->trace = trace_new(&e->options, err);
	if (!vm->trace && e->options.trace_file) {
		soft_vm_free(&vm->base);
		return NULL;
	}
	mem_set_write_hook(mem, on_memory_written, vm);
	return &vm->base;
no_memory:
	error_set_errno(err, -ENOMEM, "virtual machine");
	return NULL;
}

static int soft_vm_signal_msi(struct engine_vm *vm, uint64_t addr, uint32_t data)
{
	return lapic_bus_msi(soft_vm_of(vm)->lapics, addr, data);
}

static int soft_vm_set_ioapic_routes(struct engine_vm *vm,
				     const struct engine_route routes[IOAPIC_NR_PINS])
{
	uint64_t vectors[4] = {0};

	for (unsigned n = 0; n < IOAPIC_NR_PINS; n++) {
		bool is_level = routes[n].data & BIT(15);
		unsigned vector = routes[n].data & 0xff;

		if (is_level && !routes[n].is_masked)
			vectors[vector / 64] |= BIT64(vector % 64);
	}
	lapic_bus_set_eoi_exits(soft_vm_of(vm)->lapics, vectors);
	return 0;
}

static int soft_vm_get_clock(struct engine_vm *vm, struct kvm_clock_data *clock)
{
	memset(clock, 0, sizeof(*clock));
	clock->clock = pvclock_now_ns(soft_vm_of(vm)->pvclock);
	clock->flags = KVM_CLOCK_TSC_STABLE;
	return 0;
}

static int soft_vm_set_clock(struct engine_vm *base, const struct kvm_clock_data *clock)
{
	struct soft_vm *vm = soft_vm_of(base);

	pvclock_set_ns(vm->pvclock, clock->clock);
	for (unsigned n = 0; n < vm->nr_vcpus; n++)
		pvclock_refresh(vm->vcpus[n]);
	return 0;
}

/* ---- log of written pages ---- */

static size_t bitmap_words(const struct soft_region *r)
{
	return (r->size / GUEST_PAGE_SIZE + 63) / 64;
}

/* Makes every vCPU forget which pages it may write unseen, and waits until it has. */
static void revoke_writes(struct soft_vm *vm)
{
	uint64_t epochs[SOFT_VCPUS_MAX];

	for (unsigned n = 0; n < vm->nr_vcpus; n++) {
		cpu_request(vm->vcpus[n], REQ_TLB_FLUSH);
		epochs[n] = atomic_load(&vm->vcpus[n]->epoch);
	}
	for (unsigned n = 0; n < vm->nr_vcpus; n++) {
		const struct timespec pause = {.tv_nsec = 20000};

		/*
		 * Odd: outside the guest, and the request is seen before it comes back. It is made
		 * again because it may have been taken before the epoch was noted.
		 */
		while (!(epochs[n] & 1) && atomic_load(&vm->vcpus[n]->epoch) == epochs[n]) {
			cpu_request(vm->vcpus[n], REQ_TLB_FLUSH);
			nanosleep(&pause, NULL);
		}
	}
}

static int soft_vm_log_dirty(struct engine_vm *base, unsigned region, bool on)
{
	struct soft_vm *vm = soft_vm_of(base);
	struct soft_region *r;
	_Atomic uint64_t *bitmap;

	if (region >= vm->nr_regions)
		return -EINVAL;
	r = &vm->regions[region];
	bitmap = atomic_load(&r->dirty);
	if (on == !!bitmap)
		return 0;
	if (on) {
		bitmap = calloc(bitmap_words(r), sizeof(*bitmap));
		if (!bitmap)
			return -ENOMEM;
		atomic_store(&r->dirty, bitmap);
		revoke_writes(vm);
		return 0;
	}
	atomic_store(&r->dirty, NULL);
	revoke_writes(vm);
	free(bitmap);
	return 0;
}

static int soft_vm_get_dirty(struct engine_vm *base, unsigned region, uint64_t *out)
{
	struct soft_vm *vm = soft_vm_of(base);
	_Atomic uint64_t *bitmap;

	if (region >= vm->nr_regions)
		return -EINVAL;
	bitmap = atomic_load(&vm->regions[region].dirty);
	if (!bitmap)
		return -ENOENT;
	for (size_t n = 0; n < bitmap_words(&vm->regions[region]); n++)
		out[n] = atomic_exchange(&bitmap[n], 0);
	revoke_writes(vm);
	return 0;
}

static void soft_vm_reset(struct engine_vm *vm)
{
	block_cache_reset(soft_vm_of(vm)->blocks);
}

/* ---- vCPU ---- */

static void on_interrupt(void *cpu)
{
	cpu_request(cpu, REQ_INTERRUPT);
}

static void on_nmi(void *cpu)
{
	struct cpu *c = cpu;

	atomic_fetch_add(&c->nmi_queued, 1);
	cpu_request(c, REQ_NMI);
}

static void on_init(void *cpu)
{
	cpu_request(cpu, REQ_INIT);
}

static void on_sipi(void *cpu, uint8_t vector)
{
	struct cpu *c = cpu;

	/* Of two at once either may win; the request orders it before the look at it. */
	atomic_store_explicit(&c->sipi_vector, vector, memory_order_relaxed);
	cpu_request(c, REQ_SIPI);
}

static uint64_t tsc_of(void *cpu)
{
	return cpu_tsc(cpu);
}

static void on_deadline(void *cpu, uint64_t host_ns)
{
	vcpu_timer_set(soft_vcpu_of(cpu), host_ns);
}

static const struct lapic_cpu_ops lapic_ops = {
	.notify = on_interrupt,
	.nmi = on_nmi,
	.init = on_init,
	.sipi = on_sipi,
	.tsc = tsc_of,
	.set_deadline = on_deadline,
};

static void soft_vcpu_free(struct engine_vcpu *base)
{
	struct soft_vcpu *v = container_of(base, struct soft_vcpu, base);
	struct cpu *c = &v->cpu;
	struct soft_vm *vm = c->vm;

	for (unsigned n = 0; n < vm->nr_vcpus; n++)
		if (vm->vcpus[n] == c)
			vm->vcpus[n] = vm->vcpus[--vm->nr_vcpus];
	vcpu_timer_free(v);
	lapic_free(c->lapic);
	pvclock_vcpu_free(c->pvclock);
	free(c->alone_blocks);
	free(c->singles);
	if (c->run)
		munmap(c->run, RUN_SIZE);
	munmap(v, sizeof(*v));
}

static int soft_vcpu_reset(struct engine_vcpu *v)
{
	struct cpu *c = soft_cpu_of(v);

	cpu_reset(c, false);
	lapic_reset(c->lapic, false);
	pvclock_vcpu_reset(c->pvclock);
	c->mp_state = c->is_bsp ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
	c->is_delivering = false;
	/* Those that are not about the guest stay: a timer that has fired is set anew only on its
	 * request. */
	atomic_fetch_and(&c->requests, REQ_TIMER | REQ_SAFE | REQ_TLB_FLUSH);
	memset(c->run, 0, RUN_SIZE);
	return 0;
}

static uint64_t reserved_address_bits(const struct cpuid_table *cpuid)
{
	unsigned bits = cpuid_lookup(cpuid, 0x80000008, 0).eax & 0xff;

	if (bits < 32 || bits > 52)
		bits = 36;
	return PTE_ADDR & ~(BIT64(bits) - 1);
}

static struct engine_vcpu *soft_vcpu_new(struct engine_vm *base, unsigned id,
					 const struct cpuid_table *cpuid, struct error *err)
{
	struct soft_vm *vm = soft_vm_of(base);
	struct soft_vcpu *v;
	struct cpu *c;

	if (vm->nr_vcpus == SOFT_VCPUS_MAX) {
		error_set(err, -ENOSPC, "more than %d vCPUs", SOFT_VCPUS_MAX);
		return NULL;
	}
	v = map_zeroed(sizeof(*v));
	if (!v)
		goto no_memory;
	c = &v->cpu;
	c->vm = vm;
	c->id = id;
	c->is_bsp = !vm->nr_vcpus;
	c->is_traced = vm->trace;
	c->cpuid = *cpuid;
	cpuid_feature_words(cpuid, c->features);
	c->pte_reserved = reserved_address_bits(cpuid);
	atomic_store(&c->epoch, 1);
	c->run = map_zeroed(RUN_SIZE);
	c->lapic = lapic_new(vm->lapics, id, c->is_bsp, &lapic_ops, c);
	c->pvclock = pvclock_vcpu_new(vm->pvclock);
	c->alone_blocks = block_alone_new();
	c->translated.self = c;
	mprotect(v->stack, GUEST_PAGE_SIZE,
		 PROT_NONE); /* a guard; without it nothing else is wrong */
	c->singles = calloc(nr_insn_rows + 1, sizeof(*c->singles));
	if (!c->run || !c->lapic || !c->pvclock || !c->alone_blocks || !c->singles) {
		soft_vcpu_free(&v->base);
		goto no_memory;
	}
	tlb_init(c);
	vm->vcpus[vm->nr_vcpus++] = c;
	soft_vcpu_reset(&v->base);
	return &v->base;
no_memory:
	error_set_errno(err, -ENOMEM, "vCPU");
	return NULL;
}

static struct kvm_run *soft_vcpu_shared(struct engine_vcpu *v)
{
	return soft_cpu_of(v)->run;
}

static void soft_vcpu_kick(struct engine_vcpu *v)
{
	struct cpu *c = soft_cpu_of(v);

	__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_RELAXED);
	cpu_request(c, REQ_KICK);
}

static int soft_vcpu_interrupt(struct engine_vcpu *v, unsigned vector)
{
	struct cpu *c = soft_cpu_of(v);

	if (vector > 255)
		return -EINVAL;
	if (c->interrupt.is_pending)
		return -EEXIST;
	c->interrupt = (struct cpu_event){.is_pending = true, .vector = (uint8_t)vector};
	return 0;
}

static int soft_vcpu_nmi(struct engine_vcpu *v)
{
	on_nmi(soft_cpu_of(v));
	return 0;
}

static uint32_t soft_vcpu_tsc_khz(struct engine_vcpu *v)
{
	return soft_cpu_of(v)->vm->tsc_khz;
}

const struct engine_ops soft_engine_ops = {
	.name = "soft",
	.must_hear_of_writes = true,
	.open = soft_open,
	.close = soft_close,
	.max_vcpus = soft_max_vcpus,
	.filter_cpuid = soft_filter_cpuid,
	.vm_new = soft_vm_new,
	.vm_free = soft_vm_free,
	.vm_signal_msi = soft_vm_signal_msi,
	.vm_set_ioapic_routes = soft_vm_set_ioapic_routes,
	.vm_get_clock = soft_vm_get_clock,
	.vm_set_clock = soft_vm_set_clock,
	.vm_log_dirty = soft_vm_log_dirty,
	.vm_get_dirty = soft_vm_get_dirty,
	.vm_reset = soft_vm_reset,
	.vcpu_new = soft_vcpu_new,
	.vcpu_free = soft_vcpu_free,
	.vcpu_reset = soft_vcpu_reset,
	.vcpu_shared = soft_vcpu_shared,
	.vcpu_run = soft_vcpu_run,
	.vcpu_kick = soft_vcpu_kick,
	.vcpu_interrupt = soft_vcpu_interrupt,
	.vcpu_nmi = soft_vcpu_nmi,
	.vcpu_get_regs = soft_get_regs,
	.vcpu_set_regs = soft_set_regs,
	.vcpu_get_sregs = soft_get_sregs,
	.vcpu_set_sregs = soft_set_sregs,
	.vcpu_get_xsave = soft_get_xsave,
	.vcpu_set_xsave = soft_set_xsave,
	.vcpu_get_xcrs = soft_get_xcrs,
	.vcpu_set_xcrs = soft_set_xcrs,
	.vcpu_get_debugregs = soft_get_debugregs,
	.vcpu_set_debugregs = soft_set_debugregs,
	.vcpu_get_events = soft_get_events,
	.vcpu_set_events = soft_set_events,
	.vcpu_get_lapic = soft_get_lapic,
	.vcpu_set_lapic = soft_set_lapic,
	.vcpu_get_mp_state = soft_get_mp_state,
	.vcpu_set_mp_state = soft_set_mp_state,
	.vcpu_get_msrs = soft_get_msrs,
	.vcpu_set_msrs = soft_set_msrs,
	.vcpu_set_guest_debug = soft_set_guest_debug,
	.vcpu_translate = soft_translate,
	.vcpu_tsc_khz = soft_vcpu_tsc_khz,
	.vm_stats = soft_vm_stats,
	.vcpu_stats = soft_vcpu_stats,
};
