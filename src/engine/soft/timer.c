/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The deadline of a vCPU's LAPIC timer: a POSIX timer that sends a real-time signal to the vCPU's
 * thread, whose handler sets REQ_TIMER. A later deadline leaves the timer as it is: guests move
 * their deadline far more often than they let it pass. A vCPU that sleeps in HLT does not depend on
 * it: its sleep ends at the deadline (run.c).
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/soft/vcpu.h"
#include "host/loop.h"

/* The first real-time signal that neither glibc nor the event loop uses. */
#define TIMER_SIGNAL (SIGRTMIN + 3)

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/*
 * The vCPU this thread is running. The handler takes it from here and not from the signal, which
 * may come when the vCPU is no more.
 */
static _Thread_local struct soft_vcpu *running;

static void on_signal(int number, siginfo_t *info, void *context)
{
	if (info->si_code == SI_TIMER && running)
		cpu_request(&running->cpu, REQ_TIMER);
}

int vcpu_timer_init(struct error *err)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};

	sigemptyset(&action.sa_mask);
	if (sigaction(TIMER_SIGNAL, &action, NULL) < 0)
		return error_set_errno(err, -errno, "timer signal");
	return 0;
}

static void arm(struct soft_vcpu *v, uint64_t host_ns)
{
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(host_ns / NS_PER_SEC),
					       .tv_nsec = (long)(host_ns % NS_PER_SEC)}};

	v->armed_ns = host_ns;
	timer_settime(v->timer, TIMER_ABSTIME, &when, NULL);
}

void vcpu_timer_free(struct soft_vcpu *v)
{
	if (v->has_timer)
		timer_delete(v->timer);
	v->has_timer = false;
	v->armed_ns = 0;
}

static int create(struct soft_vcpu *v)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TIMER_SIGNAL};
	sigset_t set;

	vcpu_timer_free(v);
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &v->timer) < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, TIMER_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	v->has_timer = true;
	v->thread = pthread_self();
	if (v->deadline_ns)
		arm(v, v->deadline_ns);
	return 0;
}

int vcpu_timer_enter(struct soft_vcpu *v)
{
	int rc = 0;

	running = v;
	if (!v->has_timer || !pthread_equal(v->thread, pthread_self()))
		rc = create(v);
	else if (v->armed_ns && host_now_ns() >= v->armed_ns)
		cpu_request(&v->cpu, REQ_TIMER); /* its signal may have come outside */
	if (rc < 0)
		running = NULL;
	return rc;
}

void vcpu_timer_leave(struct soft_vcpu *v)
{
	running = NULL;
}

void vcpu_timer_set(struct soft_vcpu *v, uint64_t host_ns)
{
	v->deadline_ns = host_ns;
	if (v->has_timer && host_ns && (!v->armed_ns || host_ns < v->armed_ns))
		arm(v, host_ns);
}

/*
 * After a request the timer counts as not armed, whatever the clock says: where it was armed all
 * the same it is only set once more, the other way round no deadline would ever be met again.
 */
bool vcpu_timer_is_due(struct soft_vcpu *v)
{
	v->armed_ns = 0;
	if (!v->deadline_ns)
		return false;
	if (host_now_ns() < v->deadline_ns) {
		if (v->has_timer)
			arm(v, v->deadline_ns);
		return false;
	}
	v->deadline_ns = 0;
	return true;
}
