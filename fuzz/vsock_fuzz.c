/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket device with any packets in its queues. Programs of the host listen on port 1, and on port 2
 * for messages, and others keep connecting to the guest, so that some packets meet a connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "virtio.h"
#include "virtio/dev/vsock.h"

static char path[64], port_paths[2][80];

static void clean_up(void)
{
	char seq[80];

	snprintf(seq, sizeof(seq), "%s.seq", path);
	unlink(path);
	unlink(seq);
	unlink(port_paths[0]);
	unlink(port_paths[1]);
}

static int listen_on_port(unsigned port, int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
	char *port_path = port_paths[port - 1];

	snprintf(port_path, sizeof(port_paths[0]), "%s_%u", path, port);
	strcpy(addr.sun_path, port_path);
	BUG_ON(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 64));
	return fd;
}

static int connect_to_guest(int type)
{
	static const char request[] = "CONNECT 1\n", hello[] = "hello";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	/* Nobody accepts before a driver starts the device: then it is one client too many. */
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s%s", path,
		 type == SOCK_STREAM ? "" : ".seq");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0 ||
	    send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_driver f;
	static int listeners[2];

	if (!f.mem) {
		fuzz_driver_init(&f);
		snprintf(path, sizeof(path), "/tmp/bantam-fuzz-%d", (int)getpid());
		atexit(clean_up);
		struct vsock_host *host = vsock_host_new(io_thread_loop(f.io), path, NULL);
		BUG_ON(!host);
		f.device = virtio_vsock_new(f.mem, io_thread_loop(f.io), 3, host);
		virtio_attach(f.device, &f.transport, 0);
		listeners[0] = listen_on_port(1, SOCK_STREAM);
		listeners[1] = listen_on_port(2, SOCK_SEQPACKET);
	}
	const int clients[] = {connect_to_guest(SOCK_STREAM), connect_to_guest(SOCK_SEQPACKET)};
	fuzz_driver_run(&f, data, size);
	for (unsigned i = 0; i < 2; i++) {
		for (int fd; (fd = accept(listeners[i], NULL, NULL)) >= 0;)
			close(fd);
		if (clients[i] >= 0)
			close(clients[i]);
	}
	return 0;
}
