/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A FUSE client for tests: builds requests from bytes, in pieces as a guest's are, and reads responses.
 */
#ifndef TESTS_UNIT_BACKEND_FS_FUSE_CLIENT_H
#define TESTS_UNIT_BACKEND_FS_FUSE_CLIENT_H

#include <linux/fuse.h>
#include <sys/random.h>

#include "unit/backend/fs/tree.h"

#include "backend/fs/fuse.h"

struct client {
	struct tree tree;
	struct export *ex;
	struct fuse *f;
	uint64_t unique;
	uint32_t uid;
	struct fs_request request;
	bool is_done;
	uint8_t in[8192];
	uint8_t out[1 << 16] __attribute__((aligned(8)));
	size_t in_len;
	struct iovec in_iov[2], out_iov[2];
};

static inline void client_done(struct fs_request *r)
{
	container_of(r, struct client, request)->is_done = true;
}

/* Starts a request; its arguments follow with client_add(). */
static inline void client_begin(struct client *c, uint32_t opcode, uint64_t node)
{
	struct fuse_in_header h = {.opcode = opcode, .unique = ++c->unique, .nodeid = node};

	h.uid = h.gid = c->uid;
	memcpy(c->in, &h, sizeof(h));
	c->in_len = sizeof(h);
}

static inline void client_add(struct client *c, const void *data, size_t len)
{
	if (len)
		memcpy(c->in + c->in_len, data, len);
	c->in_len += len;
}

static inline void client_add_text(struct client *c, const char *text)
{
	client_add(c, text, strlen(text) + 1);
}

/* Submits; room is what the response may have. */
static inline void client_send(struct client *c, size_t room)
{
	uint32_t len = (uint32_t)c->in_len;

	memcpy(c->in, &len, sizeof(len));
	memset(c->out, 0xee, sizeof(c->out));
	c->in_iov[0] = (struct iovec){c->in, 7};
	c->in_iov[1] = (struct iovec){c->in + 7, c->in_len - 7};
	size_t first = min(room, (size_t)21);
	c->out_iov[0] = (struct iovec){c->out, first};
	c->out_iov[1] = (struct iovec){c->out + first, room - first};
	c->request = (struct fs_request){
		.in = c->in_iov, .nr_in = 2, .out = c->out_iov, .nr_out = 2, .done = client_done};
	c->is_done = false;
	fuse_submit(c->f, &c->request);
}

/* The answer: 0 or a negative errno. */
static inline int client_result(struct client *c)
{
	struct fuse_out_header h;

	assert_true(c->is_done);
	assert_true(c->request.written >= sizeof(h));
	memcpy(&h, c->out, sizeof(h));
	assert_int_equal(h.unique, c->unique);
	assert_int_equal(h.len, c->request.written);
	return h.error;
}

/* Submits and gives the answer; data after the header goes to out, len bytes at most. */
static inline int client_ask(struct client *c, void *out, size_t len)
{
	client_send(c, sizeof(c->out));
	int rc = client_result(c);
	if (out)
		memcpy(out, c->out + sizeof(struct fuse_out_header), len);
	return rc;
}

static inline void client_init(struct client *c, const struct export_options *options,
			       enum fuse_cache cache)
{
	struct fuse_init_in in = {.major = 7, .minor = 36, .flags = ~0u};
	struct error err = {0};

	memset(c, 0, sizeof(*c));
	tree_init(&c->tree);
	c->ex = export_open(c->tree.top, options, &err);
	assert_non_null(c->ex);
	c->f = fuse_new(c->ex, cache, NULL);
	client_begin(c, FUSE_INIT, 0);
	client_add(c, &in, sizeof(in));
	assert_int_equal(client_ask(c, NULL, 0), 0);
}

static inline void client_fini(struct client *c)
{
	fuse_free(c->f);
	export_close(c->ex);
	tree_fini(&c->tree);
}

static inline int client_lookup(struct client *c, uint64_t dir, const char *name,
				struct fuse_entry_out *entry)
{
	client_begin(c, FUSE_LOOKUP, dir);
	client_add_text(c, name);
	return client_ask(c, entry, sizeof(*entry));
}

/* A request that is a directory, fixed arguments and a name. */
static inline int client_named(struct client *c, uint32_t opcode, uint64_t dir, const void *args,
			       size_t args_len, const char *name)
{
	client_begin(c, opcode, dir);
	client_add(c, args, args_len);
	client_add_text(c, name);
	return client_ask(c, NULL, 0);
}

static inline int client_open(struct client *c, uint64_t node, int flags, uint64_t *fh)
{
	struct fuse_open_in in = {.flags = (uint32_t)flags};
	struct fuse_open_out out;

	client_begin(c, FUSE_OPEN, node);
	client_add(c, &in, sizeof(in));
	int rc = client_ask(c, &out, sizeof(out));
	*fh = out.fh;
	return rc;
}

static inline int client_create(struct client *c, uint64_t dir, const char *name, uint32_t mode,
				uint64_t *node, uint64_t *fh)
{
	struct fuse_create_in in = {.flags = O_RDWR | O_CREAT | O_EXCL, .mode = mode};
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;

	client_begin(c, FUSE_CREATE, dir);
	client_add(c, &in, sizeof(in));
	client_add_text(c, name);
	int rc = client_ask(c, &out, sizeof(out));
	*node = out.entry.nodeid;
	*fh = out.open.fh;
	return rc;
}

static inline int client_write(struct client *c, uint64_t node, uint64_t fh, uint64_t offset,
			       const char *text)
{
	struct fuse_write_in in = {.fh = fh, .offset = offset, .size = (uint32_t)strlen(text)};

	client_begin(c, FUSE_WRITE, node);
	client_add(c, &in, sizeof(in));
	client_add(c, text, strlen(text));
	return client_ask(c, NULL, 0);
}

static inline int client_release(struct client *c, uint64_t node, uint64_t fh)
{
	struct fuse_release_in in = {.fh = fh};

	client_begin(c, FUSE_RELEASE, node);
	client_add(c, &in, sizeof(in));
	return client_ask(c, NULL, 0);
}

static inline int client_attr(struct client *c, uint64_t node, struct fuse_attr *attr)
{
	struct fuse_getattr_in in = {0};
	struct fuse_attr_out out;

	client_begin(c, FUSE_GETATTR, node);
	client_add(c, &in, sizeof(in));
	int rc = client_ask(c, &out, sizeof(out));
	*attr = out.attr;
	return rc;
}

#endif
