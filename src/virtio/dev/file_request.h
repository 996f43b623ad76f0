/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chains of a queue as requests of a file server (backend/fs/message.h): what 9P and virtiofs devices
 * share. On the device's loop thread.
 */
#ifndef VIRTIO_DEV_FILE_REQUEST_H
#define VIRTIO_DEV_FILE_REQUEST_H

#include "backend/fs/message.h"
#include "virtio/virtio.h"

/* The requests of a device; those that are done are used again. */
struct file_requests {
	struct list free;
};

void file_requests_init(struct file_requests *pool);
void file_requests_fini(struct file_requests *pool); /* all must be done */

/* The chain as a request, which its done() pushes and gives back to the pool. */
struct fs_request *file_request_new(struct file_requests *pool, struct virtio_chain *c);

/* A server's session in a saved state; type is for the message when it cannot be loaded. */
void file_session_state(struct state *s, const char *type, void *server,
			void (*save)(void *server, struct buf *out),
			int (*load)(void *server, const void *data, size_t len));

#endif
