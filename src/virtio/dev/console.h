/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console device (virtio 1.2, section 5.3): consoles (hvc0 ...) and named byte streams
 * (/dev/virtio-ports/NAME), each connected to a character back end. No byte is lost on the way: a
 * back end that takes no more holds the guest's writer, and input waits until the guest has opened
 * the port. The guest hears when the other side of a port comes and goes: a reader in it then gets
 * the end of the stream after the last byte, and poll() reports a hang-up.
 */
#ifndef VIRTIO_DEV_CONSOLE_H
#define VIRTIO_DEV_CONSOLE_H

#include "backend/char/char.h"
#include "virtio/virtio.h"

#define VIRTIO_CONSOLE_PORTS_MAX 31 /* two queues each, and two for control messages, of 64 */

struct virtio_console_port {
	const char *name; /* NULL: none; copied */
	bool is_console;
	struct char_dev
		*chr; /* on the device's loop; the device's from now on. NULL: no such port */
};

/*
 * ports[0] is the one a driver without multiple ports uses, as a console. With it alone, and a
 * console, only that is offered. nr_ports: 1 to VIRTIO_CONSOLE_PORTS_MAX. Never NULL.
 */
struct virtio_device *virtio_console_new(struct mem *mem, struct loop *loop,
					 const struct virtio_console_port *ports,
					 unsigned nr_ports);

#endif
