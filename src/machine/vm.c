/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a VM: built once from the settings, booted, reset as often as the guest likes, ended
 * once. Everything here runs on the main loop thread, except vm_end(), vm_request_reset() and
 * vm_crash(), which vCPU threads call.
 */
#include "machine/vm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "backend/char/channel.h"
#include "base/buf.h"
#include "base/log.h"
#include "debug/dump.h"
#include "debug/symbols.h"
#include "machine/kernel.h"
#include "machine/memory_map.h"
#include "machine/move.h"
#include "machine/part_serial.h"
#include "machine/parts.h"
#include "machine/pc.h"
#include "machine/stats.h"
#include "machine/virtio_bus.h"
#include "machine/vm_impl.h"

/* ---- events from other threads ---- */

static void take_events(struct loop_work *work);

static void post_event(struct vm *vm, uint32_t event)
{
	atomic_fetch_or(&vm->events, event);
	loop_post(vm->loop, &vm->events_work, take_events);
}

void vm_end(struct vm *vm, enum vm_outcome outcome)
{
	int expected = VM_RUNNING;

	if (atomic_compare_exchange_strong(&vm->outcome, &expected, (int)outcome))
		post_event(vm, VM_EVENT_END);
}

void vm_request_reset(struct vm *vm)
{
	if (vm->settings.can_reboot)
		post_event(vm, VM_EVENT_RESET);
	else
		vm_end(vm, VM_REBOOTED);
}

void vm_crash(struct vcpu *v, enum vm_outcome outcome, const char *why)
{
	struct vm *vm = v->vm;

	if (vm_is_over(vm))
		return;
	log_error("vCPU %u: %s", v->number, why);
	vcpu_dump(v, DUMP_REGISTERS | DUMP_CODE | DUMP_PAGE_WALK);
	vm_end(vm, outcome);
}

/* ---- pausing ---- */

void vm_pause(struct vm *vm)
{
	pthread_mutex_lock(&vm->park_lock);
	vm->is_paused = true;
	pthread_mutex_unlock(&vm->park_lock);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_request(&vm->vcpus[i], VCPU_REQ_PAUSE);
	pthread_mutex_lock(&vm->park_lock);
	while (vm->nr_parked < vm->nr_vcpus)
		pthread_cond_wait(&vm->park_cond, &vm->park_lock);
	pthread_mutex_unlock(&vm->park_lock);
}

void vm_resume(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		atomic_fetch_and(&vm->vcpus[i].requests, ~VCPU_REQ_PAUSE);
	pthread_mutex_lock(&vm->park_lock);
	vm->is_paused = false;
	pthread_cond_broadcast(&vm->park_cond);
	pthread_mutex_unlock(&vm->park_lock);
}

static void stop_vcpus(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i].has_thread)
			vcpu_request(&vm->vcpus[i], VCPU_REQ_STOP);
	}
	pthread_mutex_lock(&vm->park_lock);
	pthread_cond_broadcast(&vm->park_cond);
	pthread_mutex_unlock(&vm->park_lock);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_join(&vm->vcpus[i]);
}

/* ---- boot and reset ---- */

static void reset(struct vm *vm)
{
	struct error err = {0};

	vm_pause(vm);
	devices_pause(&vm->devices);
	mem_clear_ram(vm->mem);
	engine_vm_reset(vm->engine_vm);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		engine_vcpu_reset(vm->vcpus[i].engine);
	pc_reset(vm->pc);
	devices_reset(&vm->devices);
	if (kernel_boot(vm->kernel, vm, &err)) {
		log_error("reboot: %s", err.text);
		vm_end(vm, VM_ENGINE_FAILURE);
	}
	devices_resume(&vm->devices);
	vm_resume(vm);
}

static void take_events(struct loop_work *work)
{
	struct vm *vm = container_of(work, struct vm, events_work);
	uint32_t events = atomic_exchange(&vm->events, 0);

	if (events & VM_EVENT_END)
		loop_stop(vm->loop);
	else if (events & VM_EVENT_RESET)
		reset(vm);
}

/* Every so often the whole state goes to another engine and back; see move.h. */
static void move_now(struct loop_timer *t)
{
	struct vm *vm = container_of(t, struct vm, move_timer);
	const struct settings *s = &vm->settings;
	struct error err = {0};

	if (vm_is_over(vm))
		return;
	if (vm_move(vm, vm->nr_moves++ % 2 ? s->accel : s->move_to, &err)) {
		log_error("moving the VM: %s", err.text);
		vm_end(vm, VM_ENGINE_FAILURE);
		return;
	}
	loop_timer_arm(t, host_now_ns() + s->move_every_ms * NS_PER_MS);
}

/* ---- signals ---- */

/* The first request presses the power button; the second ends the VM. */
static void on_signal(struct loop_fd *w, uint32_t events)
{
	struct vm *vm = container_of(w, struct vm, signal_watch);
	struct signalfd_siginfo info;

	if (read(w->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (vm->on_signal) {
		vm->on_signal(vm->on_signal_ctx, (int)info.ssi_signo);
		return;
	}
	if (vm->was_asked_to_stop || !vm->pc) {
		vm_end(vm, VM_TERMINATED);
		return;
	}
	vm->was_asked_to_stop = true;
	log_info("asked the guest to power off; a second signal ends it");
	pc_press_power_button(vm->pc);
}

static int watch_signals(struct vm *vm, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, &vm->old_signals);
	vm->signal_watch.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	vm->signal_watch.fn = on_signal;
	if (vm->signal_watch.fd < 0)
		return error_set_errno(err, -errno, "signalfd");
	return loop_fd_add(vm->loop, &vm->signal_watch, EPOLLIN);
}

/* ---- construction ---- */

static int add_vcpus(struct vm *vm, struct error *err)
{
	const struct settings *s = &vm->settings;
	struct cpuid_table model;
	int rc;

	if (s->nr_vcpus > engine_max_vcpus(vm->engine))
		return error_set(err, -EINVAL, "%u vCPUs requested but only %u available",
				 s->nr_vcpus, engine_max_vcpus(vm->engine));
	rc = cpuid_model(s->cpu_model, &model, err);
	if (!rc)
		rc = engine_filter_cpuid(vm->engine, &model, err);
	if (rc)
		return rc;
	vm->vcpus = mem_alloc_zero(s->nr_vcpus * sizeof(vm->vcpus[0]));
	for (unsigned i = 0; i < s->nr_vcpus; i++) {
		struct cpuid_table mine = model;

		cpuid_set_topology(&mine, &s->topology, i);
		rc = vcpu_init(&vm->vcpus[i], vm, i, topology_apic_id(&s->topology, i), &mine, err);
		if (rc)
			return rc;
		vm->nr_vcpus++;
		vm->vcpus[i].pinned = settings_take_cpuset(&vm->settings, i);
		if (s->debug_single_step) {
			struct kvm_guest_debug dbg = {.control = KVM_GUESTDBG_ENABLE |
								 KVM_GUESTDBG_SINGLESTEP};

			engine_vcpu_set_guest_debug(vm->vcpus[i].engine, &dbg);
		}
	}
	return 0;
}

static void user_quits(void *ctx)
{
	vm_end(ctx, VM_QUIT);
}

static int build(struct vm *vm, const struct config *cfg, struct error *err)
{
	const struct settings *s = &vm->settings;
	struct engine_options opt = settings_engine_options(s);
	int rc;

	if (s->symbols_path) {
		vm->symbols = symbols_load(s->symbols_path, err);
		if (!vm->symbols)
			return -EINVAL;
	}
	vm->kernel = kernel_open(vm, cfg, err);
	if (!vm->kernel)
		return -ENOENT;
	vm->loop = loop_new(err);
	if (!vm->loop)
		return -errno;
	rc = watch_signals(vm, err);
	if (rc)
		return rc;
	vm->channels = channels_new(user_quits, vm);
	vm->clock = clock_new(vm->loop);
	vm->mem = mem_new();
	vm->pio = bus_new(BUS_PIO);
	vm->mmio = bus_new(BUS_MMIO);
	bus_set_trace(vm->pio, s->debug_ioport);
	bus_set_trace(vm->mmio, s->debug_mmio);
	rc = memory_map_add_ram(vm->mem, s->memory_size, err);
	if (rc)
		return rc;
	vm->engine = engine_open(s->accel, &opt, err);
	if (!vm->engine)
		return -ENODEV;
	vm->engine_vm = engine_vm_new(vm->engine, vm->mem, err);
	if (!vm->engine_vm)
		return -ENODEV;
	rc = add_vcpus(vm, err);
	if (!rc)
		rc = pc_new(vm, err);
	if (!rc)
		rc = parts_create(vm, cfg, err);
	if (rc)
		return rc;
	return kernel_boot(vm->kernel, vm, err);
}

struct vm *vm_new(const struct config *cfg, struct error *err)
{
	struct vm *vm = mem_alloc_zero(sizeof(*vm));

	list_init(&vm->devices);
	pthread_mutex_init(&vm->park_lock, NULL);
	pthread_cond_init(&vm->park_cond, NULL);
	vm->signal_watch.fd = -1;
	if (settings_read(&vm->settings, cfg, err) || parts_check(cfg, err) ||
	    build(vm, cfg, err)) {
		vm_free(vm);
		return NULL;
	}
	return vm;
}

void vm_on_signal(struct vm *vm, void (*fn)(void *ctx, int signal), void *ctx)
{
	vm->on_signal = fn;
	vm->on_signal_ctx = ctx;
}

void vm_quit(struct vm *vm)
{
	vm_end(vm, VM_QUIT);
}

struct vm_result vm_run(struct vm *vm)
{
	struct error err = {0};

	loop_timer_init(&vm->move_timer, vm->loop, move_now);
	if (vm->settings.move_every_ms)
		loop_timer_arm(&vm->move_timer,
			       host_now_ns() + vm->settings.move_every_ms * NS_PER_MS);
	log_debug("starting vCPUs");
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		if (vcpu_start(&vm->vcpus[i], &err)) {
			log_error("%s", err.text);
			vm_end(vm, VM_ENGINE_FAILURE);
			break;
		}
	}
	loop_run(vm->loop);
	loop_timer_disarm(&vm->move_timer);
	stop_vcpus(vm);
	if (vm->settings.prints_stats)
		vm_print_stats(vm);
	if (vm->nr_moves)
		log_info("moved the VM %u times", vm->nr_moves);
	return (struct vm_result){
		.outcome = (enum vm_outcome)atomic_load(&vm->outcome),
		.test_status = atomic_load(&vm->test_status),
	};
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	/* From here on signals end the process: the console may wait for whoever reads it. */
	if (vm->signal_watch.fd >= 0) {
		close(vm->signal_watch.fd);
		pthread_sigmask(SIG_SETMASK, &vm->old_signals, NULL);
	}
	kernel_close(vm->kernel);
	devices_free(&vm->devices);
	virtio_bus_free(vm->virtio_bus);
	serial_ports_free(vm->serial_ports);
	channels_free(vm->channels);
	pc_free(vm->pc);
	for (unsigned i = vm->nr_vcpus; i-- > 0;)
		vcpu_fini(&vm->vcpus[i]);
	free(vm->vcpus);
	engine_vm_free(vm->engine_vm);
	engine_close(vm->engine);
	bus_free(vm->mmio);
	bus_free(vm->pio);
	mem_free(vm->mem);
	clock_free(vm->clock);
	loop_free(vm->loop);
	symbols_free(vm->symbols);
	settings_free(&vm->settings);
	pthread_cond_destroy(&vm->park_cond);
	pthread_mutex_destroy(&vm->park_lock);
	free(vm);
}
