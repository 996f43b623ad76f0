/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Anything as what comes over a connection to the switch, in pieces: the first byte says how long
 * they are, whether the switch is a hub (bit 0), and whether frames come with headers (bit 1). Another
 * port hears what is passed on.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/net/socket.h"
#include "backend/net/switch.h"
#include "base/base.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;

static void stop(struct loop_work *w)
{
	loop_stop(loop);
}

/* One turn of the loop: the work is done before the events it waits for, so twice. */
static void turn(void)
{
	struct loop_work w;

	for (unsigned i = 0; i < 2; i++) {
		w = (struct loop_work){0};
		list_init(&w.node);
		loop_post(loop, &w, stop);
		loop_run(loop);
	}
}

/* The greeting of a bantam, as backend/net/socket.h describes it. */
static void greet(int fd, const char *text)
{
	uint8_t frame[4 + 60] = {[3] = 60, [4] = 3, [16] = 0x88, [17] = 0xb5};

	memcpy(frame + 18, text, strlen(text) + 1);
	BUG_ON(send(fd, frame, sizeof(frame), 0) != sizeof(frame));
	turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int hostile[2], quiet[2];
	uint8_t heard[65536];

	if (!size)
		return 0;
	log_set_level(LOG_ERROR);
	if (!loop)
		loop = loop_new(NULL);
	BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, hostile) ||
	       socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, quiet));
	struct net_switch *s = switch_new(loop, data[0] & 1);
	switch_add(s, socket_accept(loop, hostile[0]), false);
	switch_add(s, socket_accept(loop, quiet[0]), false);
	if (data[0] & 2) {
		greet(hostile[1], "bantam-net 1 hello");
		greet(hostile[1], "bantam-net 1 start");
	}
	size_t step = 1u + data[0] * 64u;
	for (size_t at = 1; at < size; at += step) {
		if (send(hostile[1], data + at, min(step, size - at), MSG_NOSIGNAL) < 0)
			break;
		turn();
		while (recv(quiet[1], heard, sizeof(heard), 0) > 0)
			continue;
	}
	turn();
	switch_free(s);
	close(hostile[1]);
	close(quiet[1]);
	return 0;
}
