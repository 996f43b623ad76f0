/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chooses an accelerator and passes every call of engine.h to it. Holds no state of its own, so
 * threads are those of the accelerator.
 */
#include "engine/engine_impl.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* An accelerator by the names users give it. */
struct accelerator {
	const char *name;
	const struct engine_ops *ops;
};

static const struct accelerator accelerators[] = {
	{"soft", &soft_engine_ops},
	{"tcg", &soft_engine_ops},
	{"kvm", &kvm_engine_ops},
};

static const struct accelerator *accelerator_find(const char *name, size_t len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(accelerators); i++)
		if (strlen(accelerators[i].name) == len && !memcmp(accelerators[i].name, name, len))
			return &accelerators[i];
	return NULL;
}

static int check_list(const char *list, struct error *err)
{
	const char *name = list;

	for (;;) {
		size_t len = strcspn(name, ":");

		if (!accelerator_find(name, len))
			return error_set(err, -EINVAL,
					 "accelerator \"%.*s\" is unknown (known: kvm, soft, tcg)",
					 (int)min(len, (size_t)64), name);
		if (!name[len])
			return 0;
		name += len + 1;
	}
}

static struct engine *accelerator_open(const struct accelerator *a,
				       const struct engine_options *opt, bool is_forced,
				       struct error *err)
{
	struct engine *e;

	e = a->ops->open(opt, is_forced, err);
	if (e)
		e->ops = a->ops;
	else
		error_prefix(err, "%s", a->name);
	return e;
}

struct engine *engine_open(const char *list, const struct engine_options *opt, struct error *err)
{
	static const struct engine_options defaults = {.kvm_device = "/dev/kvm"};
	bool is_forced = !strchr(list, ':');
	const char *name = list;
	struct error reason = {.text = ""};

	if (check_list(list, err) < 0)
		return NULL;
	for (;;) {
		size_t len = strcspn(name, ":");
		const struct accelerator *a = accelerator_find(name, len);
		struct engine *e;

		e = accelerator_open(a, opt ? opt : &defaults, is_forced, &reason);
		if (e)
			return e;
		if (!name[len])
			break;
		name += len + 1;
		log_info("%s; trying %s", reason.text, name);
	}
	error_set(err, -ENODEV, "%s", reason.text);
	return NULL;
}

void engine_close(struct engine *e)
{
	if (e)
		e->ops->close(e);
}

const char *engine_name(const struct engine *e)
{
	return e->ops->name;
}

unsigned engine_max_vcpus(const struct engine *e)
{
	return e->ops->max_vcpus(e);
}

bool engine_must_hear_of_writes(const struct engine *e)
{
	return e->ops->must_hear_of_writes;
}

int engine_filter_cpuid(struct engine *e, struct cpuid_table *table, struct error *err)
{
	return e->ops->filter_cpuid(e, table, err);
}

struct engine_vm *engine_vm_new(struct engine *e, struct mem *mem, struct error *err)
{
	struct engine_vm *vm = e->ops->vm_new(e, mem, err);

	if (vm)
		vm->ops = e->ops;
	return vm;
}

void engine_vm_free(struct engine_vm *vm)
{
	if (vm)
		vm->ops->vm_free(vm);
}

struct engine_vcpu *engine_vcpu_new(struct engine_vm *vm, unsigned id,
				    const struct cpuid_table *cpuid, struct error *err)
{
	struct engine_vcpu *v = vm->ops->vcpu_new(vm, id, cpuid, err);

	if (v)
		v->ops = vm->ops;
	return v;
}

void engine_vcpu_free(struct engine_vcpu *v)
{
	if (v)
		v->ops->vcpu_free(v);
}

int engine_vm_signal_msi(struct engine_vm *vm, uint64_t addr, uint32_t data)
{
	return vm->ops->vm_signal_msi(vm, addr, data);
}

int engine_vm_set_ioapic_routes(struct engine_vm *vm,
				const struct engine_route routes[IOAPIC_NR_PINS])
{
	return vm->ops->vm_set_ioapic_routes(vm, routes);
}

int engine_vm_set_doorbell(struct engine_vm *vm, gpa_t addr, int eventfd, bool on)
{
	return vm->ops->vm_set_doorbell ? vm->ops->vm_set_doorbell(vm, addr, eventfd, on)
					: -ENOTSUP;
}

int engine_vm_set_call(struct engine_vm *vm, int eventfd, const struct engine_message *message)
{
	return vm->ops->vm_set_call ? vm->ops->vm_set_call(vm, eventfd, message) : -ENOTSUP;
}

int engine_vm_get_clock(struct engine_vm *vm, struct kvm_clock_data *clock)
{
	return vm->ops->vm_get_clock(vm, clock);
}

int engine_vm_set_clock(struct engine_vm *vm, const struct kvm_clock_data *clock)
{
	return vm->ops->vm_set_clock(vm, clock);
}

int engine_vm_log_dirty(struct engine_vm *vm, unsigned region, bool on)
{
	return vm->ops->vm_log_dirty(vm, region, on);
}

int engine_vm_get_dirty(struct engine_vm *vm, unsigned region, uint64_t *bitmap)
{
	return vm->ops->vm_get_dirty(vm, region, bitmap);
}

void engine_vm_reset(struct engine_vm *vm)
{
	if (vm->ops->vm_reset)
		vm->ops->vm_reset(vm);
}

int engine_vcpu_reset(struct engine_vcpu *v)
{
	return v->ops->vcpu_reset(v);
}

struct kvm_run *engine_vcpu_shared(struct engine_vcpu *v)
{
	return v->ops->vcpu_shared(v);
}

int engine_vcpu_run(struct engine_vcpu *v)
{
	return v->ops->vcpu_run(v);
}

int engine_vcpu_settle(struct engine_vcpu *v)
{
	struct kvm_run *run = v->ops->vcpu_shared(v);

	run->request_interrupt_window = 0;
	if (v->ops->vcpu_settle)
		return v->ops->vcpu_settle(v);
	__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	return v->ops->vcpu_run(v);
}

void engine_vcpu_kick(struct engine_vcpu *v)
{
	v->ops->vcpu_kick(v);
}

int engine_vcpu_interrupt(struct engine_vcpu *v, unsigned vector)
{
	return v->ops->vcpu_interrupt(v, vector);
}

int engine_vcpu_nmi(struct engine_vcpu *v)
{
	return v->ops->vcpu_nmi(v);
}

int engine_vcpu_get_regs(struct engine_vcpu *v, struct kvm_regs *regs)
{
	return v->ops->vcpu_get_regs(v, regs);
}

int engine_vcpu_set_regs(struct engine_vcpu *v, const struct kvm_regs *regs)
{
	return v->ops->vcpu_set_regs(v, regs);
}

int engine_vcpu_get_sregs(struct engine_vcpu *v, struct kvm_sregs *sregs)
{
	return v->ops->vcpu_get_sregs(v, sregs);
}

int engine_vcpu_set_sregs(struct engine_vcpu *v, const struct kvm_sregs *sregs)
{
	return v->ops->vcpu_set_sregs(v, sregs);
}

int engine_vcpu_get_xsave(struct engine_vcpu *v, struct kvm_xsave *xsave)
{
	return v->ops->vcpu_get_xsave(v, xsave);
}

int engine_vcpu_set_xsave(struct engine_vcpu *v, const struct kvm_xsave *xsave)
{
	return v->ops->vcpu_set_xsave(v, xsave);
}

int engine_vcpu_get_xcrs(struct engine_vcpu *v, struct kvm_xcrs *xcrs)
{
	return v->ops->vcpu_get_xcrs(v, xcrs);
}

int engine_vcpu_set_xcrs(struct engine_vcpu *v, const struct kvm_xcrs *xcrs)
{
	return v->ops->vcpu_set_xcrs(v, xcrs);
}

int engine_vcpu_get_debugregs(struct engine_vcpu *v, struct kvm_debugregs *dr)
{
	return v->ops->vcpu_get_debugregs(v, dr);
}

int engine_vcpu_set_debugregs(struct engine_vcpu *v, const struct kvm_debugregs *dr)
{
	return v->ops->vcpu_set_debugregs(v, dr);
}

int engine_vcpu_get_events(struct engine_vcpu *v, struct kvm_vcpu_events *ev)
{
	return v->ops->vcpu_get_events(v, ev);
}

int engine_vcpu_set_events(struct engine_vcpu *v, const struct kvm_vcpu_events *ev)
{
	return v->ops->vcpu_set_events(v, ev);
}

int engine_vcpu_get_lapic(struct engine_vcpu *v, struct kvm_lapic_state *lapic)
{
	return v->ops->vcpu_get_lapic(v, lapic);
}

int engine_vcpu_set_lapic(struct engine_vcpu *v, const struct kvm_lapic_state *lapic)
{
	return v->ops->vcpu_set_lapic(v, lapic);
}

int engine_vcpu_get_mp_state(struct engine_vcpu *v, struct kvm_mp_state *mp)
{
	return v->ops->vcpu_get_mp_state(v, mp);
}

int engine_vcpu_set_mp_state(struct engine_vcpu *v, const struct kvm_mp_state *mp)
{
	return v->ops->vcpu_set_mp_state(v, mp);
}

int engine_vcpu_get_msrs(struct engine_vcpu *v, struct kvm_msr_entry *entries, unsigned nr)
{
	return v->ops->vcpu_get_msrs(v, entries, nr);
}

int engine_vcpu_set_msrs(struct engine_vcpu *v, const struct kvm_msr_entry *entries, unsigned nr)
{
	return v->ops->vcpu_set_msrs(v, entries, nr);
}

int engine_vcpu_set_guest_debug(struct engine_vcpu *v, const struct kvm_guest_debug *dbg)
{
	return v->ops->vcpu_set_guest_debug(v, dbg);
}

int engine_vcpu_translate(struct engine_vcpu *v, struct kvm_translation *tr)
{
	return v->ops->vcpu_translate(v, tr);
}

uint32_t engine_vcpu_tsc_khz(struct engine_vcpu *v)
{
	return v->ops->vcpu_tsc_khz(v);
}

int engine_vm_stats(struct engine_vm *vm, struct engine_vm_stats *stats)
{
	return vm->ops->vm_stats ? vm->ops->vm_stats(vm, stats) : -ENOTSUP;
}

int engine_vcpu_stats(struct engine_vcpu *v, struct engine_vcpu_stats *stats)
{
	return v->ops->vcpu_stats ? v->ops->vcpu_stats(v, stats) : -ENOTSUP;
}

const char *engine_leave_name(enum engine_leave leave)
{
	static const char *const names[NR_ENGINE_LEAVES] = {
		[ENGINE_LEAVE_LINK] = "link",	  [ENGINE_LEAVE_MISS] = "miss",
		[ENGINE_LEAVE_COLD] = "cold",	  [ENGINE_LEAVE_REQUEST] = "request",
		[ENGINE_LEAVE_STATE] = "state",	  [ENGINE_LEAVE_RUN] = "run",
		[ENGINE_LEAVE_VECTOR] = "vector", [ENGINE_LEAVE_STALE] = "stale",
		[ENGINE_LEAVE_FAULT] = "fault",	  [ENGINE_LEAVE_EXIT] = "exit",
		[ENGINE_LEAVE_ALONE] = "alone",
	};

	return names[leave];
}
