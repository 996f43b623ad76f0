/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/vcpu.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "debug/dump.h"
#include "machine/pc.h"
#include "machine/vm_impl.h"

void vcpu_request(struct vcpu *v, uint32_t bits)
{
	atomic_fetch_or_explicit(&v->requests, bits, memory_order_seq_cst);
	engine_vcpu_kick(v->engine);
}

void vcpu_dump(struct vcpu *v, unsigned what)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	BUG_ON(!out);
	dump_vcpu(out, v->engine, v->vm->mem, v->vm->symbols, what);
	BUG_ON(fclose(out));
	log_text(text);
	free(text);
}

/* Stands still while the VM is paused or over; vm_pause() waits for nr_parked. */
static void park(struct vcpu *v)
{
	struct vm *vm = v->vm;

	pthread_mutex_lock(&vm->park_lock);
	vm->nr_parked++;
	pthread_cond_broadcast(&vm->park_cond);
	while ((vm->is_paused || vm_is_over(vm)) && !(atomic_load(&v->requests) & VCPU_REQ_STOP))
		pthread_cond_wait(&vm->park_cond, &vm->park_lock);
	vm->nr_parked--;
	pthread_mutex_unlock(&vm->park_lock);
}

/*
 * Hands the boot processor the PIC's interrupt when it can take one, or asks to be told when it can
 * (KVM_INTERRUPT, request_interrupt_window).
 */
static int inject_from_pic(struct vcpu *v)
{
	struct pc *pc = v->vm->pc;
	int rc = 0;

	if (v->number || !pc)
		return 0;
	v->run->request_interrupt_window = 0;
	if (!pc_pic_is_pending(pc))
		return 0;
	if (v->run->ready_for_interrupt_injection) {
		rc = engine_vcpu_interrupt(v->engine, pc_pic_acknowledge(pc));
		v->run->ready_for_interrupt_injection = 0;
	}
	v->run->request_interrupt_window = pc_pic_is_pending(pc);
	return rc;
}

static void do_pio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(v->vm->pio, run->io.port, data, run->io.size);
		else
			bus_read(v->vm->pio, run->io.port, data, run->io.size);
	}
}

static void do_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	if (run->mmio.is_write)
		bus_write(v->vm->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	else
		bus_read(v->vm->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

/* Acts on one exit of the engine. */
static void handle_exit(struct vcpu *v)
{
	struct vm *vm = v->vm;
	char why[96];

	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		do_pio(v);
		break;
	case KVM_EXIT_MMIO:
		do_mmio(v);
		break;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_IOAPIC_EOI:
		pc_end_of_interrupt(vm->pc, v->run->eoi.vector);
		break;
	case KVM_EXIT_DEBUG:
		vcpu_dump(v, DUMP_REGISTERS | DUMP_CODE);
		break;
	case KVM_EXIT_SHUTDOWN:
		vm_crash(v, VM_TRIPLE_FAULT, "triple fault");
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		if (v->run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN)
			vm_end(vm, VM_POWERED_OFF);
		else if (v->run->system_event.type == KVM_SYSTEM_EVENT_RESET)
			vm_request_reset(vm);
		else
			vm_crash(v, VM_ENGINE_FAILURE, "the guest crashed");
		break;
	default:
		snprintf(why, sizeof(why), "KVM exit reason: %u (\"%s\")", v->run->exit_reason,
			 dump_exit_name(v->run->exit_reason));
		vm_crash(v, VM_ENGINE_FAILURE, why);
		break;
	}
}

/*
 * Makes the vCPU's state whole before it parks (KV-48). What that needs of the caller is done: an
 * instruction may have several accesses, and each is made.
 */
static void settle(struct vcpu *v)
{
	while (!vm_is_over(v->vm) && !engine_vcpu_settle(v->engine))
		handle_exit(v);
}

/*
 * The order matters: immediate_exit is cleared before the requests are read, and a requester sets
 * its bit before it sets immediate_exit, so no request is slept through.
 */
static void run_loop(struct vcpu *v)
{
	for (;;) {
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		uint32_t requests = atomic_fetch_and_explicit(&v->requests, ~VCPU_REQ_PIC,
							      memory_order_seq_cst);

		if (requests & VCPU_REQ_STOP)
			return;
		if ((requests & VCPU_REQ_PAUSE) || vm_is_over(v->vm)) {
			settle(v);
			park(v);
			continue;
		}
		int rc = inject_from_pic(v);
		if (!rc)
			rc = engine_vcpu_run(v->engine);
		v->nr_exits++;
		if (!rc) {
			handle_exit(v);
		} else if (rc != -EINTR && rc != -EAGAIN) {
			char why[96];

			snprintf(why, sizeof(why), "running vCPU %u: %s", v->number, strerror(-rc));
			vm_crash(v, VM_ENGINE_FAILURE, why);
		}
	}
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;
	struct vm *vm = v->vm;

	if (v->pinned && pthread_setaffinity_np(pthread_self(), sizeof(*v->pinned), v->pinned))
		log_warn("vCPU %u cannot be pinned: the host lacks those CPUs", v->number);
	run_loop(v);

	pthread_mutex_lock(&vm->park_lock);
	vm->nr_parked++; /* for good: nobody waits for an ended thread */
	pthread_cond_broadcast(&vm->park_cond);
	pthread_mutex_unlock(&vm->park_lock);
	return NULL;
}

int vcpu_init(struct vcpu *v, struct vm *vm, unsigned number, unsigned apic_id,
	      const struct cpuid_table *cpuid, struct error *err)
{
	v->vm = vm;
	v->number = number;
	v->cpuid = *cpuid;
	v->engine = engine_vcpu_new(vm->engine_vm, apic_id, cpuid, err);
	if (!v->engine) {
		error_prefix(err, "vCPU %u", number);
		return -ENOMEM;
	}
	v->run = engine_vcpu_shared(v->engine);
	return 0;
}

void vcpu_fini(struct vcpu *v)
{
	BUG_ON(v->has_thread);
	engine_vcpu_free(v->engine);
	free(v->pinned);
	*v = (struct vcpu){0};
}

int vcpu_start(struct vcpu *v, struct error *err)
{
	char name[16];
	int rc = pthread_create(&v->thread, NULL, vcpu_main, v);

	if (rc)
		return error_set_errno(err, -rc, "unable to create the thread of vCPU %u",
				       v->number);
	v->has_thread = true;
	snprintf(name, sizeof(name), "kvm-vcpu-%u", v->number);
	pthread_setname_np(v->thread, name);
	return 0;
}

void vcpu_join(struct vcpu *v)
{
	if (!v->has_thread)
		return;
	pthread_join(v->thread, NULL);
	v->has_thread = false;
}
