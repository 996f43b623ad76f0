/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the software engine's run loop promises beyond engine.h: requests from other threads, safe
 * points, the deadline timer, signals in a saved state.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "engine/soft/mmu.h"
#include "engine/soft/vcpu.h"
#include "host/loop.h"
#include "unit/engine/tiny_guest.h"

GUEST_CODE(spin, 64,
	   "1: incq 0x10000\n"
	   "jmp 1b\n");
GUEST_CODE(halt, 64,
	   "sti\n"
	   "1: hlt\n"
	   "jmp 1b\n");

/* Counts, and beside the counter sums up what REP has left of its count. */
GUEST_CODE(fill, 64,
	   "1: mov $0x11000, %edi\n"
	   "mov $0x8000, %ecx\n"
	   "rep stosb\n"
	   "add %rcx, 0x10008\n"
	   "incq 0x10000\n"
	   "jmp 1b\n");

struct fixture {
	struct tiny t;
	struct cpu *c;
	pthread_t thread;
	_Atomic int result;
	_Atomic int has_returned;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	tiny_open(&f->t, 2);
	tiny_long_mode(&f->t);
	f->c = soft_cpu_of(f->t.vcpu[0]);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	tiny_close(&f->t);
	free(f);
	return 0;
}

static void *run(void *arg)
{
	struct fixture *f = arg;

	f->result = engine_vcpu_run(f->t.vcpu[0]);
	f->has_returned = 1;
	return NULL;
}

static void sleep_ms(long ms)
{
	const struct timespec time = {.tv_nsec = ms * 1000000};

	nanosleep(&time, NULL);
}

static uint64_t counter(struct fixture *f)
{
	return __atomic_load_n((uint64_t *)(f->t.ram + PHYS_DATA), __ATOMIC_RELAXED);
}

/* Runs the guest that has been loaded on a thread until it counts. */
static void start(struct fixture *f)
{
	pthread_create(&f->thread, NULL, run, f);
	while (!counter(f))
		sleep_ms(1);
}

static void start_spinning(struct fixture *f)
{
	tiny_load(&f->t, PHYS_CODE, spin);
	start(f);
}

static void stop(struct fixture *f)
{
	engine_vcpu_kick(f->t.vcpu[0]);
	pthread_join(f->thread, NULL);
	assert_int_equal(f->result, -EINTR);
}

static void epoch_is_odd_outside_the_guest_and_grows_at_safe_points(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;

	assert_int_equal(f->c->epoch & 1, 1);
	start_spinning(f);
	epoch = f->c->epoch;
	assert_int_equal(epoch & 1, 0);
	cpu_request(f->c, REQ_SAFE);
	for (unsigned n = 0; n < 2000 && f->c->epoch == epoch; n++)
		sleep_ms(1);
	assert_int_equal(f->c->epoch, epoch + 2);
	stop(f);
	assert_int_equal(f->c->epoch & 1, 1);
}

static void repeated_instruction_is_finished_after_requests(void **state)
{
	struct fixture *f = *state;

	tiny_load(&f->t, PHYS_CODE, fill);
	start(f);
	/* The guest is translated soon, and most of these come in the middle of REP. */
	for (unsigned n = 0; n < 2000; n++) {
		uint64_t epoch = f->c->epoch;

		cpu_request(f->c, REQ_SAFE);
		while (f->c->epoch == epoch)
			sched_yield();
	}
	stop(f);
	assert_int_equal(tiny_get64(&f->t, PHYS_DATA + 8), 0);
}

static void sleeping_vcpu_is_outside_the_guest(void **state)
{
	struct fixture *f = *state;

	tiny_load(&f->t, PHYS_CODE, halt);
	pthread_create(&f->thread, NULL, run, f);
	for (unsigned n = 0; n < 2000 && !soft_vcpu_of(f->c)->is_sleeping; n++)
		sleep_ms(1);
	assert_true(soft_vcpu_of(f->c)->is_sleeping);
	assert_int_equal(f->c->epoch & 1, 1);
	stop(f);
	assert_false(soft_vcpu_of(f->c)->is_sleeping);
}

static void log_of_a_running_guest_loses_no_write(void **state)
{
	uint64_t bitmap[RAM_SIZE / 4096 / 64];
	struct fixture *f = *state;

	start_spinning(f);
	assert_int_equal(engine_vm_log_dirty(f->t.vm, 0, true), 0);
	for (unsigned n = 0; n < 20; n++) {
		uint64_t before;

		engine_vm_get_dirty(f->t.vm, 0, bitmap);
		before = counter(f);
		while (counter(f) == before)
			sleep_ms(1);
		engine_vm_get_dirty(f->t.vm, 0, bitmap);
		assert_true(bitmap[0] & BIT64(PHYS_DATA >> 12));
	}
	assert_int_equal(engine_vm_log_dirty(f->t.vm, 0, false), 0);
	stop(f);
}

static void watch_reaches_the_tlb_of_a_running_vcpu(void **state)
{
	struct cpu *other;
	struct fixture *f = *state;
	struct tlb_entry *e = &f->c->tlbs[TLB_KERNEL_AC]->entries[(PHYS_DATA >> 12) % TLB_SIZE];

	start_spinning(f);
	/* The other vCPU takes the counter's page for code. */
	other = soft_cpu_of(f->t.vcpu[1]);
	other->cr0 = f->c->cr0;
	other->cr4 = f->c->cr4;
	other->cr3 = f->c->cr3;
	other->efer = f->c->efer;
	memcpy(other->seg, f->c->seg, sizeof(other->seg));
	cpu_update_mode(other);
	mmu_flush_all(other);
	other->rip = PHYS_DATA + 0x100;
	if (setjmp(other->unwind))
		fail();
	for (unsigned n = 0; n < 100; n++) {
		block_find(other);
		block_cache_verify(other);
	}
	/* The counter goes on, and its stores end the watch sooner or later. */
	for (unsigned n = 0; n < 2000 && block_cache_is_watched(f->c->vm->blocks, PHYS_DATA); n++)
		sleep_ms(1);
	assert_false(block_cache_is_watched(f->c->vm->blocks, PHYS_DATA));
	sleep_ms(5);
	assert_int_equal(atomic_load(&e->tag_write), PHYS_DATA);
	stop(f);
}

static void deadline_wakes_and_a_later_one_moves_it(void **state)
{
	struct fixture *f = *state;
	struct soft_vcpu *v = soft_vcpu_of(f->c);
	uint64_t deadline = host_now_ns() + 300 * NS_PER_MS;

	assert_int_equal(vcpu_timer_enter(v), 0);
	vcpu_timer_set(v, host_now_ns() + 5 * NS_PER_MS);
	vcpu_timer_set(v, deadline);
	/* The first setting fires, finds that it is early, and sets the timer anew. */
	sleep_ms(10);
	assert_true(atomic_fetch_and(&f->c->requests, ~REQ_TIMER) & REQ_TIMER);
	assert_false(vcpu_timer_is_due(v));
	while (!(atomic_load(&f->c->requests) & REQ_TIMER))
		sleep_ms(1);
	assert_true(host_now_ns() >= deadline);
	assert_true(vcpu_timer_is_due(v));
	assert_false(vcpu_timer_is_due(v));
	vcpu_timer_leave(v);
}

static void deadline_that_passes_outside_is_not_lost(void **state)
{
	struct fixture *f = *state;
	struct soft_vcpu *v = soft_vcpu_of(f->c);

	assert_int_equal(vcpu_timer_enter(v), 0);
	vcpu_timer_leave(v);
	vcpu_timer_set(v, host_now_ns() + NS_PER_MS);
	sleep_ms(5);
	atomic_fetch_and(&f->c->requests, ~REQ_TIMER);
	assert_int_equal(vcpu_timer_enter(v), 0);
	assert_true(atomic_load(&f->c->requests) & REQ_TIMER);
	vcpu_timer_leave(v);
}

static void *enter_and_leave(void *arg)
{
	struct soft_vcpu *v = arg;
	int rc = vcpu_timer_enter(v);

	vcpu_timer_leave(v);
	return (void *)(intptr_t)rc;
}

static void vcpu_may_move_to_another_thread(void **state)
{
	struct fixture *f = *state;
	struct soft_vcpu *v = soft_vcpu_of(f->c);
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, enter_and_leave, v);
	pthread_join(thread, &result);
	assert_null(result);
	assert_int_equal(vcpu_timer_enter(v), 0);
	vcpu_timer_set(v, host_now_ns() + NS_PER_MS);
	for (unsigned n = 0; n < 2000 && !(atomic_load(&f->c->requests) & REQ_TIMER); n++)
		sleep_ms(1);
	assert_true(atomic_load(&f->c->requests) & REQ_TIMER);
	vcpu_timer_leave(v);
}

static void signals_that_come_after_the_stop_are_in_the_state(void **state)
{
	struct fixture *f = *state;
	struct cpu *ap = soft_cpu_of(f->t.vcpu[1]);
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	engine_vcpu_nmi(f->t.vcpu[0]);
	engine_vcpu_get_events(f->t.vcpu[0], &events);
	assert_int_equal(events.nmi.pending, 1);

	ap->sipi_vector = 0x9a;
	cpu_request(ap, REQ_INIT | REQ_SIPI);
	engine_vcpu_get_mp_state(f->t.vcpu[1], &mp);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	engine_vcpu_get_regs(f->t.vcpu[1], &regs);
	engine_vcpu_get_sregs(f->t.vcpu[1], &sregs);
	assert_int_equal(regs.rip, 0);
	assert_int_equal(sregs.cs.base, 0x9a000);
	assert_int_equal(sregs.cs.selector, 0x9a00);
}

static void sipi_without_init_is_ignored(void **state)
{
	struct fixture *f = *state;
	struct kvm_mp_state mp;
	struct kvm_regs regs;

	f->c->sipi_vector = 0x9a;
	cpu_request(f->c, REQ_SIPI);
	engine_vcpu_get_mp_state(f->t.vcpu[0], &mp);
	engine_vcpu_get_regs(f->t.vcpu[0], &regs);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(regs.rip, PHYS_CODE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(epoch_is_odd_outside_the_guest_and_grows_at_safe_points),
		TEST(repeated_instruction_is_finished_after_requests),
		TEST(sleeping_vcpu_is_outside_the_guest),
		TEST(log_of_a_running_guest_loses_no_write),
		TEST(watch_reaches_the_tlb_of_a_running_vcpu),
		TEST(deadline_wakes_and_a_later_one_moves_it),
		TEST(deadline_that_passes_outside_is_not_lost),
		TEST(vcpu_may_move_to_another_thread),
		TEST(signals_that_come_after_the_stop_are_in_the_state),
		TEST(sipi_without_init_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
