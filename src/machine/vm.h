/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One virtual machine: made from a configuration, run, reset, stopped. The thread that calls
 * vm_run() is the main loop thread; each vCPU has a thread of its own.
 */
#ifndef MACHINE_VM_H
#define MACHINE_VM_H

#include "base/error.h"

struct config;
struct vm;

/* How a VM came to its end. */
enum vm_outcome {
	VM_RUNNING,	   /* not yet: never returned */
	VM_POWERED_OFF,	   /* the guest switched itself off */
	VM_REBOOTED,	   /* the guest asked for a reset, and reboot=false */
	VM_TRIPLE_FAULT,   /* a vCPU shut down */
	VM_ENGINE_FAILURE, /* the engine could not go on */
	VM_QUIT,	   /* the user left: Ctrl-a x */
	VM_TERMINATED,	   /* a second SIGTERM, SIGINT or SIGHUP */
	VM_TEST_EXIT,	   /* the guest wrote to the test device's exit port */
};

struct vm_result {
	enum vm_outcome outcome;
	int test_status; /* with VM_TEST_EXIT: (v << 1) | 1, cut to 8 bits */
};

/*
 * Checks the whole configuration, then builds everything up to the loaded kernel. Must be called
 * before the process has other threads: it blocks the signals the VM handles.
 * Returns NULL with one sentence in err; nothing is left behind then.
 */
struct vm *vm_new(const struct config *cfg, struct error *err);

/*
 * What SIGTERM, SIGINT and SIGHUP do from now on, instead of pressing the power button and, the second
 * time, ending the VM. fn runs on the main loop thread. Before vm_run().
 */
void vm_on_signal(struct vm *vm, void (*fn)(void *ctx, int signal), void *ctx);

/* Ends the VM, as if the user had left. Any thread, while vm_run() runs or before it. */
void vm_quit(struct vm *vm);

/* Runs until the end and says how it came. Once per VM. */
struct vm_result vm_run(struct vm *vm);

/* Gives everything back; the terminal is as it was. NULL is fine. */
void vm_free(struct vm *vm);

#endif
