/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/fs/fuse.h"

#include <stdlib.h>
#include <string.h>

#include "backend/fs/fuse_impl.h"
#include "base/log.h"

#define MINOR_OLDEST 31 /* the first with virtiofs */
#define MINOR_SPOKEN 38 /* what is answered; the kernel takes the older of both */

/* A request or response with its headers: bounds for how long one keeps others, or a pause, waiting. */
#define MESSAGE_MAX (FUSE_TRANSFER_MAX + 4096)

/* Requests the kernel keeps on their way at once; a queue holds more. */
#define BACKGROUND_MAX 64

#define FLAGS_WANTED                                                                       \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |      \
	 FUSE_FLOCK_LOCKS | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | \
	 FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT)

int fuse_reply(struct fuse_call *c, const void *data, size_t len)
{
	if (!fs_stream_put(&c->out, data, len))
		return -ERANGE;
	c->reply_len += len;
	return 0;
}

int fuse_name(struct fuse_call *c, char name[NAME_MAX + 2])
{
	if (!fs_stream_get_text(&c->in, name, NAME_MAX + 2))
		return -EINVAL;
	return strlen(name) > NAME_MAX ? -ENAMETOOLONG : fs_name_check(name);
}

struct node *fuse_node(struct fuse *f, uint64_t id)
{
	struct node *n = export_node(f->ex, id);

	return n && (n == export_root(f->ex) || node_is_counted(n)) ? n : NULL;
}

/* ---- handles ---- */

struct file *fuse_file(struct fuse *f, uint64_t fh, const struct node *n)
{
	struct hnode *h = htable_find(&f->handles, fh);
	struct file *file = h ? container_of(h, struct fuse_handle, hash)->file : NULL;

	return file && file_node(file) == n ? file : NULL;
}

void fuse_set_handle(struct fuse *f, struct file *file, uint64_t fh)
{
	struct fuse_handle *h = mem_alloc_zero(sizeof(*h));

	h->file = file;
	htable_add(&f->handles, &h->hash, fh);
}

uint64_t fuse_add_handle(struct fuse *f, struct file *file)
{
	fuse_set_handle(f, file, ++f->last_fh);
	return f->last_fh;
}

static void close_handle(struct fuse *f, struct fuse_handle *h)
{
	fs_waits_cancel_file(&f->waits, h->file);
	htable_remove(&f->handles, &h->hash);
	file_close(f->ex, h->file);
	free(h);
}

int fuse_close_handle(struct fuse *f, uint64_t fh, uint64_t id)
{
	struct hnode *n = htable_find(&f->handles, fh);
	struct fuse_handle *h = n ? container_of(n, struct fuse_handle, hash) : NULL;

	if (!h || node_id(file_node(h->file)) != id)
		return -EBADF;
	close_handle(f, h);
	return 0;
}

/* ---- the session ---- */

static int init(struct fuse_call *c)
{
	struct fuse *f = c->f;
	struct fuse_init_in in = {0};
	size_t len = min(sizeof(in), c->in.left);

	/* The first four fields are in all versions, the others in some. */
	if (len < 16)
		return -EINVAL;
	fs_stream_get(&c->in, &in, len);
	fuse_reset(f);
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = MINOR_SPOKEN};
	if (in.major > FUSE_KERNEL_VERSION)
		return fuse_reply(c, &out, sizeof(out)); /* it asks again, with ours */
	if (in.major < FUSE_KERNEL_VERSION || in.minor < MINOR_OLDEST) {
		log_once(LOG_WARN, "The guest speaks FUSE %u.%u; virtiofs needs %u.%u", in.major,
			 in.minor, FUSE_KERNEL_VERSION, MINOR_OLDEST);
		return -EPROTO;
	}
	uint32_t flags = FLAGS_WANTED;
	if (f->cache != FUSE_CACHE_ALWAYS)
		flags |= FUSE_AUTO_INVAL_DATA;
	else
		flags |= FUSE_CACHE_SYMLINKS;
	out.flags = in.flags & flags;
	out.max_readahead = in.max_readahead;
	out.max_write = FUSE_TRANSFER_MAX;
	out.max_pages = FUSE_TRANSFER_MAX / 4096;
	out.max_background = BACKGROUND_MAX;
	out.congestion_threshold = BACKGROUND_MAX * 3 / 4;
	out.time_gran = 1;
	f->has_long_setxattr = out.flags & FUSE_SETXATTR_EXT;
	f->is_ready = true;
	return fuse_reply(c, &out, sizeof(out));
}

static int destroy(struct fuse_call *c)
{
	fuse_reset(c->f);
	return 0;
}

static int interrupt(struct fuse_call *c)
{
	struct fuse_interrupt_in in;

	/* Only what waits can be interrupted; all else is done by the time this is read. */
	if (fs_stream_get(&c->in, &in, sizeof(in)))
		fs_waits_cancel(&c->f->waits, in.unique);
	return FUSE_NO_REPLY;
}

static const struct fuse_operation *session_operation(uint32_t opcode)
{
	static const struct fuse_operation of_init = {init, 0, false},
					   of_destroy = {destroy, 0, false},
					   of_interrupt = {interrupt, 0, false};

	switch (opcode) {
	case FUSE_INIT:
		return &of_init;
	case FUSE_DESTROY:
		return &of_destroy;
	case FUSE_INTERRUPT:
		return &of_interrupt;
	}
	return NULL;
}

/* ---- requests ---- */

static void answer(struct fs_request *r, uint64_t unique, int rc, size_t len)
{
	struct fuse_out_header h = {.unique = unique, .error = min(rc, 0)};
	struct fs_stream out;

	h.len = (uint32_t)(sizeof(h) + (rc < 0 ? 0 : len));
	fs_stream_init(&out, r->out, r->nr_out);
	r->written = fs_stream_put(&out, &h, sizeof(h)) ? h.len : 0;
	r->done(r);
}

static void finish_wait(struct fs_waits *waits, struct fs_request *r, uint64_t unique, int rc)
{
	answer(r, unique, rc, 0);
}

static int serve(struct fuse_call *c)
{
	uint32_t opcode = c->h.opcode;
	const struct fuse_operation *op = session_operation(opcode);

	if (c->h.len > MESSAGE_MAX)
		return -EINVAL;
	if (!op)
		op = fuse_tree_operation(opcode);
	if (!op)
		op = fuse_file_operation(opcode);
	if (!op)
		return -ENOSYS;
	if (!c->f->is_ready && opcode != FUSE_INIT)
		return -EIO;
	if (c->in.left < op->args)
		return -EINVAL;
	if (op->has_node) {
		c->node = fuse_node(c->f, c->h.nodeid);
		if (!c->node)
			return -ESTALE;
	}
	return op->fn(c);
}

void fuse_submit(struct fuse *f, struct fs_request *r)
{
	struct fuse_call c = {.f = f, .request = r};

	fs_stream_init(&c.in, r->in, r->nr_in);
	fs_stream_init(&c.out, r->out, r->nr_out);
	r->written = 0;
	if (!fs_stream_get(&c.in, &c.h, sizeof(c.h)) || c.h.len < sizeof(c.h) ||
	    c.h.len - sizeof(c.h) > c.in.left) {
		log_once(LOG_WARN, "The guest sent a FUSE request that is too short");
		r->done(r);
		return;
	}
	fs_stream_limit(&c.in, c.h.len - sizeof(c.h));
	bool has_room = fs_stream_skip(&c.out, sizeof(struct fuse_out_header));
	fs_stream_limit(&c.out, MESSAGE_MAX);
	bool forgets = c.h.opcode == FUSE_FORGET || c.h.opcode == FUSE_BATCH_FORGET ||
		       c.h.opcode == FUSE_INTERRUPT;
	if (!has_room && !forgets) {
		r->done(r);
		return;
	}
	c.caller = (struct fs_caller){c.h.uid, c.h.gid};
	export_trim(f->ex);
	int rc = serve(&c);
	if (forgets || rc == FUSE_NO_REPLY)
		r->done(r);
	else if (rc != FUSE_WAITS)
		answer(r, c.h.unique, rc, c.reply_len);
}

/* ---- life ---- */

struct fuse *fuse_new(struct export *ex, enum fuse_cache cache, struct loop *loop)
{
	struct fuse *f = mem_alloc_zero(sizeof(*f));

	f->ex = ex;
	f->cache = cache;
	htable_init(&f->handles);
	fs_waits_init(&f->waits, ex, loop, finish_wait);
	return f;
}

void fuse_free(struct fuse *f)
{
	if (!f)
		return;
	fuse_reset(f);
	fs_waits_fini(&f->waits);
	htable_fini(&f->handles);
	free(f);
}

void fuse_drain(struct fuse *f)
{
	fs_waits_cancel_all(&f->waits);
}

void fuse_reset(struct fuse *f)
{
	struct hnode *h;

	fuse_drain(f);
	while ((h = htable_any(&f->handles)) != NULL)
		close_handle(f, container_of(h, struct fuse_handle, hash));
	export_uncount_all(f->ex);
	f->is_ready = false;
}

void fuse_retry(struct fuse *f)
{
	fs_waits_retry(&f->waits);
}
