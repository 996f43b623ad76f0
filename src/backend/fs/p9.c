/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/fs/p9.h"

#include <stdlib.h>
#include <string.h>

#include "backend/fs/p9_impl.h"
#include "base/log.h"

#define VERSION "9P2000.L"

/* ---- fields ---- */

static void get(struct p9_call *c, void *dst, size_t len)
{
	if (!fs_stream_get(&c->in, dst, len))
		c->is_bad = true;
}

uint8_t p9_get8(struct p9_call *c)
{
	uint8_t v = 0;

	get(c, &v, sizeof(v));
	return v;
}

uint16_t p9_get16(struct p9_call *c)
{
	uint16_t v = 0;

	get(c, &v, sizeof(v));
	return v;
}

uint32_t p9_get32(struct p9_call *c)
{
	uint32_t v = 0;

	get(c, &v, sizeof(v));
	return v;
}

uint64_t p9_get64(struct p9_call *c)
{
	uint64_t v = 0;

	get(c, &v, sizeof(v));
	return v;
}

void p9_get_text(struct p9_call *c, char *dst, size_t size)
{
	size_t len = p9_get16(c);

	dst[0] = 0;
	if (len >= size) {
		c->is_bad = true;
		return;
	}
	get(c, dst, len);
	dst[c->is_bad ? 0 : len] = 0;
	if (strlen(dst) != len)
		c->is_bad = true;
}

static void put(struct p9_call *c, const void *src, size_t len)
{
	if (fs_stream_put(&c->out, src, len))
		c->reply_len += len;
	else
		c->is_bad = true;
}

void p9_put8(struct p9_call *c, uint8_t v)
{
	put(c, &v, sizeof(v));
}

void p9_put16(struct p9_call *c, uint16_t v)
{
	put(c, &v, sizeof(v));
}

void p9_put32(struct p9_call *c, uint32_t v)
{
	put(c, &v, sizeof(v));
}

void p9_put64(struct p9_call *c, uint64_t v)
{
	put(c, &v, sizeof(v));
}

void p9_put_text(struct p9_call *c, const char *text, size_t len)
{
	p9_put16(c, (uint16_t)len);
	put(c, text, len);
}

void p9_put_qid(struct p9_call *c, const struct statx *a)
{
	uint8_t type = S_ISDIR(a->stx_mode) ? 0x80 : S_ISLNK(a->stx_mode) ? 0x02 : 0;
	uint64_t version = (uint64_t)a->stx_mtime.tv_sec ^ a->stx_mtime.tv_nsec ^ a->stx_size << 8;

	p9_put8(c, type);
	p9_put32(c, (uint32_t)(version ^ version >> 32));
	p9_put64(c, a->stx_ino);
}

/* ---- fids ---- */

struct p9_fid *p9_fid_find(struct p9 *p, uint32_t number)
{
	struct hnode *h = htable_find(&p->fids, number);

	return h ? container_of(h, struct p9_fid, hash) : NULL;
}

struct p9_fid *p9_get_fid(struct p9_call *c)
{
	struct p9_fid *fid = p9_fid_find(c->p, p9_get32(c));

	return fid && fid->kind == P9_FID_FILE ? fid : NULL;
}

struct p9_fid *p9_fid_new(struct p9 *p, uint32_t number, struct node *n, uint32_t uid, int *rc)
{
	*rc = number == P9_NO_FID || p9_fid_find(p, number) ? -EINVAL
	      : p->fids.nr >= P9_FIDS_MAX		    ? -ENFILE
							    : 0;
	if (*rc)
		return NULL;
	struct p9_fid *fid = mem_alloc_zero(sizeof(*fid));
	node_get(n);
	fid->node = n;
	fid->uid = uid;
	htable_add(&p->fids, &fid->hash, number);
	return fid;
}

void p9_fid_free(struct p9 *p, struct p9_fid *fid)
{
	htable_remove(&p->fids, &fid->hash);
	if (fid->file)
		fs_waits_cancel_file(&p->waits, fid->file);
	file_close(p->ex, fid->file);
	node_put(p->ex, fid->node);
	p->xattr_bytes -= fid->xattr_room;
	buf_free(&fid->xattr);
	free(fid->xattr_name);
	free(fid);
}

int p9_fid_take_room(struct p9 *p, struct p9_fid *fid, uint64_t size)
{
	if (size > P9_XATTRS_MAX - p->xattr_bytes)
		return -ENOSPC;
	p->xattr_bytes += size;
	fid->xattr_room += size;
	return 0;
}

/* ---- the session ---- */

static int version(struct p9_call *c)
{
	uint32_t msize = p9_get32(c);
	char text[32];

	p9_get_text(c, text, sizeof(text));
	if (c->is_bad)
		return -EINVAL;
	if (msize < P9_MSIZE_MIN)
		return -EMSGSIZE;
	p9_reset(c->p);
	bool is_known = !strcmp(text, VERSION);
	c->p->msize = is_known ? min(msize, P9_MSIZE_MAX) : 0;
	p9_put32(c, min(msize, P9_MSIZE_MAX));
	p9_put_text(c, is_known ? VERSION : "unknown", strlen(is_known ? VERSION : "unknown"));
	return 0;
}

static int auth(struct p9_call *c)
{
	return -EOPNOTSUPP; /* says that none is needed */
}

static int attach(struct p9_call *c)
{
	uint32_t number = p9_get32(c);
	char text[PATH_MAX];
	struct statx attr;
	int rc;

	p9_get32(c);			    /* afid */
	p9_get_text(c, text, sizeof(text)); /* uname */
	p9_get_text(c, text, sizeof(text)); /* aname */
	uint32_t uid = p9_get32(c);
	if (c->is_bad)
		return -EINVAL;
	struct node *root = export_root(c->p->ex);
	rc = node_stat(c->p->ex, root, &attr);
	/* A client that names no user is the guest's kernel itself. */
	if (!rc)
		p9_fid_new(c->p, number, root, uid == UINT32_MAX ? 0 : uid, &rc);
	if (!rc)
		p9_put_qid(c, &attr);
	return rc;
}

static int flush(struct p9_call *c)
{
	uint16_t old = p9_get16(c);

	if (c->is_bad)
		return -EINVAL;
	/* Only what waits can be flushed; it is answered first, with EINTR. */
	fs_waits_cancel(&c->p->waits, old);
	return 0;
}

static p9_fn session_operation(uint8_t type)
{
	switch (type) {
	case P9_TVERSION:
		return version;
	case P9_TAUTH:
		return auth;
	case P9_TATTACH:
		return attach;
	case P9_TFLUSH:
		return flush;
	}
	return NULL;
}

/* ---- messages ---- */

struct header {
	uint32_t size;
	uint8_t type;
	uint16_t tag;
} __attribute__((packed));

/* Writes the header, or the message that tells an error, and ends the request. */
static void answer(struct fs_request *r, uint8_t type, uint16_t tag, int rc, size_t len)
{
	struct header h = {
		.size = (uint32_t)(sizeof(h) + len), .type = (uint8_t)(type + 1), .tag = tag};
	uint32_t code = (uint32_t)-rc;
	struct fs_stream out;

	if (rc < 0) {
		h.type = P9_RLERROR;
		h.size = sizeof(h) + sizeof(code);
	}
	fs_stream_init(&out, r->out, r->nr_out);
	bool fits = h.size <= out.left && fs_stream_put(&out, &h, sizeof(h)) &&
		    (rc >= 0 || fs_stream_put(&out, &code, sizeof(code)));
	r->written = fits ? h.size : 0;
	r->done(r);
}

/* Tlock is the one that waits: it ends with its status, or because it was interrupted. */
static void finish_wait(struct fs_waits *waits, struct fs_request *r, uint64_t tag, int rc)
{
	struct fs_stream out;
	uint8_t status = 0;

	fs_stream_init(&out, r->out, r->nr_out);
	if (!rc && fs_stream_skip(&out, P9_HEADER_SIZE))
		fs_stream_put(&out, &status, sizeof(status));
	answer(r, P9_TLOCK, (uint16_t)tag, rc, sizeof(status));
}

static int serve(struct p9_call *c)
{
	p9_fn fn = session_operation(c->type);

	if (!c->p->msize && fn != version)
		return -EPROTO;
	/* Also bounds how long one message keeps others, or a pause, waiting. */
	if (c->size > (c->p->msize ? c->p->msize : P9_MSIZE_MAX))
		return -EMSGSIZE;
	if (!fn)
		fn = p9_tree_operation(c->type);
	if (!fn)
		fn = p9_file_operation(c->type);
	if (!fn)
		return -EOPNOTSUPP;
	int rc = fn(c);
	return !rc && c->is_bad ? -EMSGSIZE : rc;
}

void p9_submit(struct p9 *p, struct fs_request *r)
{
	struct p9_call c = {.p = p, .request = r};
	struct header h;

	fs_stream_init(&c.in, r->in, r->nr_in);
	fs_stream_init(&c.out, r->out, r->nr_out);
	r->written = 0;
	if (!fs_stream_get(&c.in, &h, sizeof(h)) || h.size < sizeof(h) ||
	    h.size - sizeof(h) > c.in.left || !fs_stream_skip(&c.out, sizeof(h))) {
		log_once(LOG_WARN, "The guest sent a 9P message that is too short");
		r->done(r);
		return;
	}
	fs_stream_limit(&c.in, h.size - sizeof(h));
	c.size = h.size;
	c.type = h.type;
	c.tag = h.tag;
	export_trim(p->ex);
	int rc = serve(&c);
	if (rc != P9_WAITS)
		answer(r, h.type, h.tag, rc, c.reply_len);
}

/* ---- life ---- */

struct p9 *p9_new(struct export *ex, struct loop *loop)
{
	struct p9 *p = mem_alloc_zero(sizeof(*p));

	p->ex = ex;
	htable_init(&p->fids);
	fs_waits_init(&p->waits, ex, loop, finish_wait);
	return p;
}

void p9_free(struct p9 *p)
{
	if (!p)
		return;
	p9_reset(p);
	fs_waits_fini(&p->waits);
	htable_fini(&p->fids);
	free(p);
}

void p9_drain(struct p9 *p)
{
	fs_waits_cancel_all(&p->waits);
}

void p9_reset(struct p9 *p)
{
	struct hnode *h;

	p9_drain(p);
	while ((h = htable_any(&p->fids)) != NULL)
		p9_fid_free(p, container_of(h, struct p9_fid, hash));
	p->msize = 0;
}

void p9_retry(struct p9 *p)
{
	fs_waits_retry(&p->waits);
}
