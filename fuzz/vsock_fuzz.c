/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket device with any packets in its queues. A program of the host listens on port 1 and another
 * keeps connecting to the guest, so that some packets meet a connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "virtio.h"
#include "virtio/dev/vsock.h"

static char path[64], port_path[80];

static void clean_up(void)
{
	unlink(path);
	unlink(port_path);
}

static int listen_on_port(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(port_path, sizeof(port_path), "%s_1", path);
	strcpy(addr.sun_path, port_path);
	BUG_ON(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 64));
	return fd;
}

static int connect_to_guest(void)
{
	static const char request[] = "CONNECT 1\nhello";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	/* Nobody accepts before a driver starts the device: then it is one client too many. */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_driver f;
	static int listener;

	if (!f.mem) {
		fuzz_driver_init(&f);
		snprintf(path, sizeof(path), "/tmp/bantam-fuzz-%d", (int)getpid());
		atexit(clean_up);
		struct vsock_host *host = vsock_host_new(io_thread_loop(f.io), path, NULL);
		BUG_ON(!host);
		f.device = virtio_vsock_new(f.mem, io_thread_loop(f.io), 3, host);
		virtio_attach(f.device, &f.transport, 0);
		listener = listen_on_port();
	}
	int client = connect_to_guest();
	fuzz_driver_run(&f, data, size);
	for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;)
		close(fd);
	if (client >= 0)
		close(client);
	return 0;
}
