/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets that keep messages apart, over vsock in a guest and over Unix sockets on the host.
 * usage: messages vsock-listen PORT | vsock-connect PORT | unix-listen PATH | unix-ask PATH PORT
 * The first and third send each message of one connection back; the others send messages of many lengths,
 * one by one and several ahead, and tell whether they came back as they were.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define LONGEST 200000

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int socket_of(int family, const struct sockaddr *addr, socklen_t len, int is_listener)
{
	int fd = socket(family, SOCK_SEQPACKET, 0);

	if (fd < 0)
		fail("socket");
	if (!is_listener) {
		if (connect(fd, addr, len))
			fail("connect");
		return fd;
	}
	if (bind(fd, addr, len) || listen(fd, 1))
		fail("listen");
	puts("listening");
	fflush(stdout);
	int connection = accept(fd, NULL, NULL);
	if (connection < 0)
		fail("accept");
	return connection;
}

static int vsock_of(const char *port, int is_listener)
{
	const struct sockaddr_vm addr = {.svm_family = AF_VSOCK,
					 .svm_cid = is_listener ? VMADDR_CID_ANY : VMADDR_CID_HOST,
					 .svm_port = (unsigned)atoi(port)};

	return socket_of(AF_VSOCK, (const struct sockaddr *)&addr, sizeof(addr), is_listener);
}

static int unix_of(const char *path, int is_listener)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	return socket_of(AF_UNIX, (const struct sockaddr *)&addr, sizeof(addr), is_listener);
}

static void ask_for(int fd, const char *port)
{
	char line[64];
	ssize_t n;

	snprintf(line, sizeof(line), "CONNECT %s\n", port);
	if (send(fd, line, strlen(line), 0) < 0 || (n = recv(fd, line, sizeof(line) - 1, 0)) < 0)
		fail("ask");
	line[n] = 0;
	printf("answer: %s", line);
}

static int echo(int fd)
{
	static char bytes[LONGEST + 1];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		if (send(fd, bytes, (size_t)n, 0) != n)
			fail("send");
	}
	return n ? 1 : 0;
}

static void send_message(int fd, size_t len)
{
	static char bytes[LONGEST];

	memset(bytes, (int)(len % 251), len);
	if (send(fd, bytes, len, 0) != (ssize_t)len)
		fail("send");
}

static int is_back(int fd, size_t len)
{
	static char bytes[LONGEST + 1];
	ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

	if (n != (ssize_t)len) {
		printf("%zd bytes instead of %zu\n", n, len);
		return 0;
	}
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != (char)(len % 251))
			return 0;
	}
	return 1;
}

static int converse(int fd)
{
	static const size_t lengths[] = {1, 7, 100, 4052, 4053, 65536, 70000, 150000, LONGEST, 3};
	int good = 1;

	for (unsigned i = 0; good && i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		send_message(fd, lengths[i]);
		good = is_back(fd, lengths[i]);
	}
	for (unsigned round = 0; good && round < 100; round++) {
		for (size_t i = 1; i <= 5; i++)
			send_message(fd, 300 * i + round);
		for (size_t i = 1; good && i <= 5; i++)
			good = is_back(fd, 300 * i + round);
	}
	puts(good ? "messages are as they were" : "messages are not as they were");
	return !good;
}

int main(int argc, char **argv)
{
	const char *role = argc > 2 ? argv[1] : "";

	if (!strcmp(role, "vsock-listen"))
		return echo(vsock_of(argv[2], 1));
	if (!strcmp(role, "vsock-connect"))
		return converse(vsock_of(argv[2], 0));
	if (!strcmp(role, "unix-listen"))
		return echo(unix_of(argv[2], 1));
	if (strcmp(role, "unix-ask") || argc < 4)
		return 2;
	int fd = unix_of(argv[2], 0);
	ask_for(fd, argv[3]);
	return converse(fd);
}
