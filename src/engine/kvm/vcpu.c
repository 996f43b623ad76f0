/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU of KVM: creation, reset, running and kicking. The state calls are in state.c.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/kvm/kvm_impl.h"

#define KERNEL_SIGSET_SIZE 8 /* bytes of its sigset_t, the first ones of glibc's */

struct kvm_initial_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	struct kvm_vcpu_events events;
	unsigned nr_msrs;
	struct kvm_msr_entry msrs[KVM_MSRS_MAX];
};

static struct kvm_vcpu *vcpu_of(struct engine_vcpu *v)
{
	return container_of(v, struct kvm_vcpu, base);
}

/* KVM lists MSRs it may refuse to read with this CPUID; those are no state of this vCPU. */
static void remember_msrs(struct kvm_vcpu *v)
{
	const struct kvm_engine *e = v->vm->engine;
	struct kvm_initial_state *s = v->initial;

	for (unsigned i = 0; i < e->nr_msrs; i++) {
		s->msrs[s->nr_msrs].index = e->msrs[i];
		if (kvm_vcpu_get_msrs(&v->base, &s->msrs[s->nr_msrs], 1) == 1)
			s->nr_msrs++;
	}
}

static int remember_initial_state(struct kvm_vcpu *v)
{
	struct engine_vcpu *base = &v->base;
	struct kvm_initial_state *s = mem_alloc_zero(sizeof(*s));

	v->initial = s;
	int ret = kvm_vcpu_get_mp_state(base, &s->mp_state);
	if (!ret)
		ret = kvm_vcpu_get_regs(base, &s->regs);
	if (!ret)
		ret = kvm_vcpu_get_sregs(base, &s->sregs);
	if (!ret)
		ret = kvm_vcpu_get_xsave(base, &s->xsave);
	if (!ret)
		ret = kvm_vcpu_get_xcrs(base, &s->xcrs);
	if (!ret)
		ret = kvm_vcpu_get_debugregs(base, &s->debugregs);
	if (!ret)
		ret = kvm_vcpu_get_lapic(base, &s->lapic);
	if (!ret)
		ret = kvm_vcpu_get_events(base, &s->events);
	if (!ret)
		remember_msrs(v);
	return ret;
}

int kvm_vcpu_reset(struct engine_vcpu *base)
{
	struct kvm_vcpu *v = vcpu_of(base);
	const struct kvm_initial_state *s = v->initial;

	atomic_store(&v->is_nmi_pending, false);
	int ret = kvm_vcpu_set_sregs(base, &s->sregs);
	if (!ret)
		ret = kvm_vcpu_set_regs(base, &s->regs);
	if (!ret)
		ret = kvm_vcpu_set_xcrs(base, &s->xcrs);
	if (!ret)
		ret = kvm_vcpu_set_xsave(base, &s->xsave);
	if (!ret)
		ret = kvm_vcpu_set_debugregs(base, &s->debugregs);
	if (!ret)
		ret = kvm_vcpu_set_lapic(base, &s->lapic);
	/* One by one: a read-only one must not keep the others from being set. */
	for (unsigned i = 0; !ret && i < s->nr_msrs; i++)
		kvm_vcpu_set_msrs(base, &s->msrs[i], 1);
	if (!ret)
		ret = kvm_vcpu_set_mp_state(base, &s->mp_state);
	if (!ret)
		ret = kvm_vcpu_set_events(base, &s->events);
	return ret;
}

void kvm_vcpu_free(struct engine_vcpu *base)
{
	struct kvm_vcpu *v = vcpu_of(base);

	if (v->run)
		munmap(v->run, v->vm->engine->run_size);
	if (v->fd >= 0)
		close(v->fd);
	free(v->initial);
	free(v);
}

static int set_up(struct kvm_vcpu *v, const struct cpuid_table *cpuid, struct error *err)
{
	void *run =
		mmap(NULL, v->vm->engine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);

	if (run == MAP_FAILED)
		return error_set_errno(err, -errno, "mapping the vCPU's shared page");
	v->run = run;
	int ret = kvm_set_cpuid(v->fd, cpuid);
	if (ret)
		return error_set_errno(err, ret, "KVM_SET_CPUID2");
	ret = remember_initial_state(v);
	if (ret)
		return error_set_errno(err, ret, "reading the vCPU's first state");
	v->tsc_khz = max(kvm_ioctl_value(v->fd, KVM_GET_TSC_KHZ, 0), 0);
	return 0;
}

struct engine_vcpu *kvm_vcpu_new(struct engine_vm *base, unsigned id,
				 const struct cpuid_table *cpuid, struct error *err)
{
	struct kvm_vm *vm = container_of(base, struct kvm_vm, base);

	if (id >= vm->engine->max_vcpu_id) {
		error_set(err, -EINVAL, "APIC id %u is too large for KVM, which takes up to %u", id,
			  vm->engine->max_vcpu_id - 1);
		return NULL;
	}
	struct kvm_vcpu *v = mem_alloc_zero(sizeof(*v));
	v->vm = vm;
	v->fd = kvm_ioctl_value(vm->fd, KVM_CREATE_VCPU, id);
	if (v->fd < 0)
		error_set_errno(err, v->fd, "KVM_CREATE_VCPU");
	if (v->fd < 0 || set_up(v, cpuid, err)) {
		kvm_vcpu_free(&v->base);
		return NULL;
	}
	return &v->base;
}

struct kvm_run *kvm_vcpu_shared(struct engine_vcpu *v)
{
	return vcpu_of(v)->run;
}

/*
 * runner is set before the kernel looks at immediate_exit, and the kicker sets immediate_exit
 * before it looks at runner: one of the two always sees the other.
 */
int kvm_vcpu_run(struct engine_vcpu *base)
{
	struct kvm_vcpu *v = vcpu_of(base);

	atomic_store(&v->runner, (pid_t)syscall(SYS_gettid));
	if (atomic_exchange(&v->is_nmi_pending, false))
		kvm_ioctl(v->fd, KVM_NMI, NULL);
	int ret;
	do {
		/* EAGAIN: the vCPU waited for INIT or SIPI, and one came. */
		ret = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
	} while (ret == -EAGAIN);
	atomic_store(&v->runner, 0);
	return ret;
}

/* Which signals wait while the vCPU runs; NULL for those of the thread. */
static int set_signal_mask(struct kvm_vcpu *v, const sigset_t *waiting)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t bits[KERNEL_SIGSET_SIZE];
	} mask = {.head.len = KERNEL_SIGSET_SIZE};

	if (waiting)
		memcpy(mask.bits, waiting, sizeof(mask.bits));
	return kvm_ioctl(v->fd, KVM_SET_SIGNAL_MASK, waiting ? &mask : NULL);
}

/* A kick sets immediate_exit, and then nothing is done: the exit reason tells. */
static int run_with_signal_waiting(struct kvm_vcpu *v)
{
	int ret;

	do {
		v->run->exit_reason = KVM_EXIT_UNKNOWN;
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		ret = kvm_vcpu_run(&v->base);
	} while (ret == -EINTR && __atomic_load_n(&v->run->immediate_exit, __ATOMIC_SEQ_CST) &&
		 v->run->exit_reason != KVM_EXIT_INTR);
	return ret;
}

/*
 * KVM obeys immediate_exit as soon as an access is complete. A waiting signal it meets later, just
 * before the guest: what has come to the vCPU is in its state by then.
 */
int kvm_vcpu_settle(struct engine_vcpu *base)
{
	struct kvm_vcpu *v = vcpu_of(base);
	const struct timespec now = {0};
	sigset_t kick, old;

	sigemptyset(&kick);
	sigaddset(&kick, kvm_kick_signal());
	pthread_sigmask(SIG_BLOCK, &kick, &old);
	sigdelset(&old, kvm_kick_signal());
	int ret = set_signal_mask(v, &old);
	if (!ret) {
		syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), kvm_kick_signal());
		ret = run_with_signal_waiting(v);
		set_signal_mask(v, NULL);
	}
	while (sigtimedwait(&kick, NULL, &now) > 0)
		;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

void kvm_vcpu_kick(struct engine_vcpu *base)
{
	struct kvm_vcpu *v = vcpu_of(base);

	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pid_t runner = atomic_load(&v->runner);
	if (runner) {
		int saved = errno; /* this may be a signal handler */

		syscall(SYS_tgkill, getpid(), runner, kvm_kick_signal());
		errno = saved;
	}
}

int kvm_vcpu_interrupt(struct engine_vcpu *v, unsigned vector)
{
	struct kvm_interrupt irq = {.irq = vector};

	return kvm_ioctl(vcpu_of(v)->fd, KVM_INTERRUPT, &irq);
}

/*
 * KVM_NMI from another thread would wait until the vCPU leaves the guest, so a running one is made
 * to leave and takes the NMI along when it enters again.
 */
int kvm_vcpu_nmi(struct engine_vcpu *v)
{
	atomic_store(&vcpu_of(v)->is_nmi_pending, true);
	if (atomic_load(&vcpu_of(v)->runner))
		kvm_vcpu_kick(v);
	return 0;
}
