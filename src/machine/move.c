/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/move.h"

#include <stdlib.h>

#include "base/buf.h"
#include "engine/state.h"
#include "machine/pc.h"
#include "machine/virtio_bus.h"
#include "machine/vm_impl.h"

/* What replaces the VM's engine parts. */
struct destination {
	struct engine *engine;
	struct engine_vm *vm;
	struct engine_vcpu **vcpus;
};

static int make(struct vm *vm, const char *accel, struct destination *to, struct error *err)
{
	struct engine_options opt = settings_engine_options(&vm->settings);

	to->engine = engine_open(accel, &opt, err);
	if (!to->engine)
		return -ENODEV;
	to->vm = engine_vm_new(to->engine, vm->mem, err);
	if (!to->vm)
		return -ENODEV;
	to->vcpus = mem_alloc_zero(vm->nr_vcpus * sizeof(to->vcpus[0]));
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		to->vcpus[i] = engine_vcpu_new(to->vm, topology_apic_id(&vm->settings.topology, i),
					       &vm->vcpus[i].cpuid, err);
		if (!to->vcpus[i])
			return -ENODEV;
	}
	return 0;
}

static void discard(struct vm *vm, struct destination *to)
{
	for (unsigned i = 0; to->vcpus && i < vm->nr_vcpus; i++)
		engine_vcpu_free(to->vcpus[i]);
	free(to->vcpus);
	engine_vm_free(to->vm);
	engine_close(to->engine);
}

static int transfer(struct vm *vm, struct destination *to, struct error *err)
{
	struct vcpu_state *states = mem_alloc_zero(vm->nr_vcpus * sizeof(*states));
	struct kvm_clock_data clock;
	uint64_t read_ns = host_now_ns();
	int rc = engine_vm_get_clock(vm->engine_vm, &clock);

	clock.flags = 0;
	for (unsigned i = 0; !rc && i < vm->nr_vcpus; i++) {
		rc = vcpu_state_get(vm->vcpus[i].engine, &states[i], err);
	}
	if (!rc) {
		/* The clock goes on like the TSCs, as if the guest had not stopped. */
		clock.clock += host_now_ns() - read_ns;
		rc = engine_vm_set_clock(to->vm, &clock);
	}
	for (unsigned i = 0; !rc && i < vm->nr_vcpus; i++)
		rc = vcpu_state_set(to->vcpus[i], &states[i], err);
	free(states);
	return rc;
}

int vm_move(struct vm *vm, const char *accel, struct error *err)
{
	struct destination to = {0};
	int rc;

	vm_pause(vm);
	devices_pause(&vm->devices);
	rc = make(vm, accel, &to, err);
	if (!rc)
		rc = transfer(vm, &to, err);
	if (rc) {
		discard(vm, &to);
		return rc;
	}

	struct destination from = {.engine = vm->engine, .vm = vm->engine_vm};
	from.vcpus = mem_alloc_zero(vm->nr_vcpus * sizeof(from.vcpus[0]));
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		from.vcpus[i] = vm->vcpus[i].engine;
		vm->vcpus[i].engine = to.vcpus[i];
		vm->vcpus[i].run = engine_vcpu_shared(to.vcpus[i]);
	}
	vm->engine = to.engine;
	vm->engine_vm = to.vm;
	free(to.vcpus);
	pc_engine_changed(vm->pc);
	virtio_bus_engine_changed(vm->virtio_bus);
	discard(vm, &from);
	devices_resume(&vm->devices);
	vm_resume(vm);
	return 0;
}
