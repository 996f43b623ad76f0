/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread that runs an event loop of its own: what devices and their back ends live on, away from
 * the vCPU threads.
 */
#ifndef HOST_IO_THREAD_H
#define HOST_IO_THREAD_H

#include "base/error.h"
#include "host/loop.h"

struct io_thread;

/* Starts the thread, which blocks all signals. name: at most 15 bytes. Returns NULL with err. */
struct io_thread *io_thread_new(const char *name, struct error *err);

/* Ends the loop and joins. Everything on the loop must be gone. NULL is fine. */
void io_thread_free(struct io_thread *t);

struct loop *io_thread_loop(struct io_thread *t);

#endif
