/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's end of a command that bantam's init runs in the guest: a thread that carries the
 * request in, stdin in, stdout and stderr out, signals and window sizes in, and the status out.
 */
#ifndef CLI_GUEST_COMMAND_H
#define CLI_GUEST_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "boot/initramfs/protocol.h"

struct guest_command;

struct guest_command_params {
	int channel;		 /* a connected socket; borrowed */
	int console;		 /* what the guest's kernel prints comes from here; borrowed */
	struct buf request;	 /* payload of FRAME_REQUEST; becomes the command's */
	bool is_terminal;	 /* stdin is a terminal that becomes raw; stdout is one too */
	unsigned stdin_window;	 /* bytes sent ahead of the command, at most STDIN_WINDOW */
	uint64_t timeout_ns;	 /* from now on; 0: none */
	void (*over)(void *ctx); /* the VM is not needed any more; on the command's thread */
	void *ctx;
};

enum guest_command_outcome {
	COMMAND_LOST,	/* the guest ended, or its end of the channel, without a status */
	COMMAND_ENDED,	/* with a status */
	COMMAND_FAILED, /* it could not be run: text says why */
	COMMAND_TIMED_OUT,
	COMMAND_SIGNALLED, /* by a signal before it ran, or a second one */
	COMMAND_QUIT,	   /* the user typed the escape */
};

struct guest_command_result {
	enum guest_command_outcome outcome;
	int status;	    /* COMMAND_ENDED: 0 to 255; COMMAND_SIGNALLED: the signal */
	char text[256];	    /* COMMAND_FAILED */
	struct buf console; /* the end of what the guest's kernel printed; the caller's to free */
};

/*
 * Starts the thread. SIGWINCH must be blocked in all threads when is_terminal. Returns NULL with
 * err.
 */
struct guest_command *guest_command_start(const struct guest_command_params *params,
					  struct error *err);

/* Passes a signal on to the command; one more ends it all. Any thread. */
void guest_command_signal(struct guest_command *c, int signal);

/*
 * Waits for the end: the status has come, or the guest's side of the channel is closed and all that
 * was sent before is passed on. Frees.
 */
struct guest_command_result guest_command_finish(struct guest_command *c);

#endif
