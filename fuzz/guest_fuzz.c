/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: a hostile guest. The input chooses the mode of the CPU, registers, descriptors and
 * code, which runs on the soft engine for at most a few milliseconds, with devices that answer from
 * the input. Whatever it does, the engine must not crash, and must come back when it is kicked.
 */
#include <signal.h>
#include <time.h>

#include "guest_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __lsan_is_turned_off(void);

/* A vCPU lives in mapped memory, where the leak checker does not look for pointers. */
int __lsan_is_turned_off(void)
{
	return 1;
}

#define EXITS_MAX 64 /* per input: exceptions included, each of which is reported by a port */
#define RUN_NS	  2000000

/* Written once before the timer runs. */
static struct engine_vcpu *kicked;

static void on_timer(int number)
{
	engine_vcpu_kick(kicked);
}

static struct guest *guest_with_timer(timer_t *timer)
{
	const struct engine_options options = {.kvm_device = "/dev/kvm"};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 8};
	struct sigaction action = {.sa_handler = on_timer};
	struct guest *g = guest_make(&options);

	kicked = g->vcpu;
	BUG_ON(sigaction(event.sigev_signo, &action, NULL));
	BUG_ON(timer_create(CLOCK_MONOTONIC, &event, timer));
	return g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct itimerspec after = {.it_value.tv_nsec = RUN_NS, .it_interval.tv_nsec = RUN_NS};
	const struct itimerspec never = {0};
	static struct guest *g;
	static timer_t timer;
	struct input in = {data, size};

	if (!g)
		g = guest_with_timer(&timer);
	guest_start(g, &in, &in);
	timer_settime(timer, 0, &after, NULL);
	for (unsigned n = 0; n < EXITS_MAX; n++) {
		int ret = engine_vcpu_run(g->vcpu);

		BUG_ON(ret && ret != -EINTR);
		if (ret || !handle_exit(g, &in))
			break;
	}
	timer_settime(timer, 0, &never, NULL);
	return 0;
}
