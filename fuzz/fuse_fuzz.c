/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: FUSE requests with anything in them, many to a session. Each is a byte for the
 * opcode, one for the node, one for the length, one for the room of the answer, and its bytes; opcode
 * 255 makes those the whole request, header included. With the first bit of all set the input is a
 * saved session instead.
 */
#include <linux/fuse.h>

#include "backend/fs/fuse.h"
#include "export_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define MESSAGES_MAX 64

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_tree_init();
	return 0;
}

static void init(struct fuse *f)
{
	struct {
		struct fuse_in_header h;
		struct fuse_init_in in;
	} m = {.h = {.len = sizeof(m), .opcode = FUSE_INIT},
	       .in = {.major = 7, .minor = 38, .flags = ~0u}};
	static struct fuzz_message first;

	fuzz_message_init(&first, &m, sizeof(m), NULL, 0, sizeof(first.out));
	fuse_submit(f, &first.request);
	free(first.in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_message messages[MESSAGES_MAX];
	unsigned nr = 0;

	if (!size)
		return 0;
	struct export *ex = fuzz_export(*data);
	struct fuse *f = fuse_new(ex, (enum fuse_cache)(*data >> 5 & 1), NULL);
	bool is_saved = *data & 0x80;
	data++, size--;
	if (is_saved && fuse_load(f, data, size) == 0) {
		struct buf again = {0};

		fuse_save(f, &again);
		buf_free(&again);
	}
	if (is_saved)
		size = 0;
	else
		init(f);
	while (size >= 4 && nr < MESSAGES_MAX) {
		size_t len = min((size_t)data[2], size - 4), room = (size_t)data[3] * 32;
		struct fuse_in_header h = {.len = (uint32_t)(sizeof(h) + len),
					   .opcode = data[0],
					   .unique = nr,
					   .nodeid = data[1] % 8u,
					   .uid = data[1] & 1};

		fuzz_message_init(&messages[nr], &h, data[0] == 255 ? 0 : sizeof(h), data + 4, len,
				  room);
		fuse_submit(f, &messages[nr++].request);
		data += 4 + len;
		size -= 4 + len;
	}
	fuse_retry(f);
	fuse_free(f);
	fuzz_export_end(ex);
	for (unsigned i = 0; i < nr; i++) {
		BUG_ON(!messages[i].is_done ||
		       messages[i].request.written > sizeof(messages[i].out));
		free(messages[i].in);
	}
	return 0;
}
