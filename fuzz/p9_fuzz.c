/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: 9P messages with anything in them, many to a session, after a version and a fid for
 * the root. Each is a byte for the type, one for the length, one for the room of the answer, and
 * its bytes; type 255 makes those the whole message, header included. With the first bit of all set
 * the input is a saved session instead.
 */
#include "backend/fs/p9.h"
#include "export_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define MESSAGES_MAX 64

struct header {
	uint32_t size;
	uint8_t type;
	uint16_t tag;
} __attribute__((packed));

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_tree_init();
	return 0;
}

/* Messages every session begins with: Tversion, and Tattach of fid 0. */
static void begin(struct p9 *p)
{
	static const char version[] = "\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\0"
				      "9P2000.L";
	static const char attach[] = "\x17\0\0\0\x68\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0";
	static struct fuzz_message m;

	fuzz_message_init(&m, version, sizeof(version) - 1, NULL, 0, sizeof(m.out));
	p9_submit(p, &m.request);
	BUG_ON(m.out[4] != 101);
	free(m.in);
	fuzz_message_init(&m, attach, sizeof(attach) - 1, NULL, 0, sizeof(m.out));
	p9_submit(p, &m.request);
	BUG_ON(m.out[4] != 105);
	free(m.in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_message messages[MESSAGES_MAX];
	unsigned nr = 0;

	if (!size)
		return 0;
	struct export *ex = fuzz_export(*data);
	struct p9 *p = p9_new(ex, NULL);
	bool is_saved = *data & 0x80;
	data++, size--;
	if (is_saved && p9_load(p, data, size) == 0) {
		struct buf again = {0};

		p9_save(p, &again);
		buf_free(&again);
	}
	if (is_saved)
		size = 0;
	else
		begin(p);
	while (size >= 3 && nr < MESSAGES_MAX) {
		size_t len = min((size_t)data[1], size - 3), room = (size_t)data[2] * 32;
		struct header h = {
			.size = (uint32_t)(sizeof(h) + len), .type = data[0], .tag = (uint16_t)nr};

		fuzz_message_init(&messages[nr], &h, data[0] == 255 ? 0 : sizeof(h), data + 3, len,
				  room);
		p9_submit(p, &messages[nr++].request);
		data += 3 + len;
		size -= 3 + len;
	}
	p9_retry(p);
	p9_free(p);
	fuzz_export_end(ex);
	for (unsigned i = 0; i < nr; i++) {
		BUG_ON(!messages[i].is_done ||
		       messages[i].request.written > sizeof(messages[i].out));
		free(messages[i].in);
	}
	return 0;
}
