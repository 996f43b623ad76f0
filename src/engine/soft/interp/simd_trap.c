// SPDX-License-Identifier: BSD-2-Clause
/*
 * The SIGFPE handler of simd_trap.h. The kernel leaves SIGFPE unblocked and gives the handler a
 * clean MXCSR; the interrupted one is in the frame.
 */
#include "engine/soft/interp/simd_trap.h"

#include <signal.h>
#include <stddef.h>
#include <ucontext.h>

#include "base/base.h"
#include "base/error.h"

/* Of this thread; NULL while a SIGFPE would be a mistake of ours. */
static _Thread_local struct simd_trap *armed;

/* What SIGFPE did before; written while no trap is armed. */
static struct sigaction previous;

/* Not ours: what would have happened without us. By default the instruction runs again and ends. */
static void pass_on(int signal_number, siginfo_t *info, void *context)
{
	if (previous.sa_flags & SA_SIGINFO)
		previous.sa_sigaction(signal_number, info, context);
	else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN)
		signal(signal_number, SIG_DFL);
	else
		previous.sa_handler(signal_number);
}

static void on_sigfpe(int signal_number, siginfo_t *info, void *context)
{
	const ucontext_t *u = context;
	struct simd_trap *trap = armed;

	if (!trap || !u->uc_mcontext.fpregs) {
		pass_on(signal_number, info, context);
		return;
	}
	trap->mxcsr = u->uc_mcontext.fpregs->mxcsr;
	/* Whatever wraps handlers, as ThreadSanitizer does, may have blocked more than was asked. */
	pthread_sigmask(SIG_SETMASK, &u->uc_sigmask, NULL);
	siglongjmp(trap->back, 1);
}

void simd_trap_arm(struct simd_trap *trap)
{
	trap->mxcsr = 0;
	armed = trap;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

uint32_t simd_trap_disarm(void)
{
	struct simd_trap *trap = armed;

	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	armed = NULL;
	return trap->mxcsr;
}

int simd_trap_init(struct error *err)
{
	struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK}, now;

	if (sigaction(SIGFPE, NULL, &now) < 0)
		return error_set_errno(err, -errno, "signal SIGFPE");
	if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_sigfpe)
		return 0;
	previous = now;
	action.sa_sigaction = on_sigfpe;
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGFPE, &action, NULL) < 0)
		return error_set_errno(err, -errno, "signal SIGFPE");
	return 0;
}
