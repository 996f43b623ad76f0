/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM as the files of machine/ see it.
 */
#ifndef MACHINE_VM_IMPL_H
#define MACHINE_VM_IMPL_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/mem.h"
#include "host/loop.h"
#include "machine/settings.h"
#include "machine/vcpu.h"
#include "machine/vm.h"

struct channels;
struct kernel;
struct pc;
struct serial_ports;
struct symbols;
struct virtio_bus;

struct vm {
	struct settings settings;

	struct loop *loop;
	struct clock *clock;
	struct mem *mem;
	struct bus *pio, *mmio;
	struct list devices;
	struct pc *pc;
	struct virtio_bus *virtio_bus;
	struct channels *channels; /* shared by serial ports and consoles */
	struct serial_ports *serial_ports;
	struct kernel *kernel;
	struct symbols *symbols; /* of the guest kernel, or NULL */

	struct engine *engine;
	struct engine_vm *engine_vm;
	unsigned nr_vcpus;
	struct vcpu *vcpus;

	/* Parking of vCPUs. lock guards the two counters; order: innermost. */
	pthread_mutex_t park_lock;
	pthread_cond_t park_cond;
	unsigned nr_parked; /* vCPU threads that stand still or have ended */
	bool is_paused;

	/* What the main loop is asked to do: any thread sets bits, the loop takes them. */
	_Atomic uint32_t events;
	struct loop_work events_work;
	_Atomic int test_status;
	_Atomic int outcome; /* enum vm_outcome; the first one reported stays */

	struct loop_timer move_timer; /* debug.move_every */
	unsigned nr_moves;

	struct loop_fd signal_watch;
	bool was_asked_to_stop;			  /* one SIGTERM has been seen */
	void (*on_signal)(void *ctx, int signal); /* vm_on_signal(); NULL: the power button */
	void *on_signal_ctx;
	sigset_t old_signals;
};

/* vm.events */
#define VM_EVENT_END   BIT(0) /* outcome is set */
#define VM_EVENT_RESET BIT(1) /* the guest asked for a reset */

static inline bool vm_is_over(struct vm *vm)
{
	return atomic_load_explicit(&vm->outcome, memory_order_acquire) != VM_RUNNING;
}

/* The VM is over; the first caller's outcome counts. Any thread. */
void vm_end(struct vm *vm, enum vm_outcome outcome);

/* The guest asked to be reset. Any thread, on a vCPU thread as well. */
void vm_request_reset(struct vm *vm);

/* All vCPUs parked, and going on. Main loop thread; not nested. */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);

/* A vCPU cannot go on: prints what KT-47 asks for, then ends the VM. vCPU thread. */
void vm_crash(struct vcpu *v, enum vm_outcome outcome, const char *why);

#endif
