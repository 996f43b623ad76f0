/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 9P session in saved states: fids with the nodes they stand for.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/fs/p9_impl.h"
#include "backend/fs/saved.h"

void p9_save(struct p9 *p, struct buf *out)
{
	saved_put(out, p->msize);
	export_save(p->ex, out);
	saved_put(out, p->fids.nr);
	for (struct hnode *n = htable_any(&p->fids); n; n = htable_after(&p->fids, n)) {
		const struct p9_fid *fid = container_of(n, struct p9_fid, hash);
		const char *name = fid->xattr_name ? fid->xattr_name : "";

		saved_put(out, n->key);
		saved_put(out, node_id(fid->node));
		saved_put(out, fid->uid);
		saved_put(out, fid->kind);
		saved_put_bytes(out, fid->xattr.data, fid->xattr.len);
		saved_put_bytes(out, name, strlen(name));
		saved_put(out, fid->xattr_size);
		saved_put(out, fid->xattr_flags);
		file_save(fid->file, out);
	}
}

/* A fid as it was saved; none when its file is not to be found. */
static int load_fid(struct p9 *p, struct saved *s)
{
	uint64_t number = saved_get(s);
	struct node *n = export_node(p->ex, saved_get(s));
	uint64_t uid = saved_get(s), kind = saved_get(s);
	size_t value_len, name_len;
	const uint8_t *value = saved_get_bytes(s, &value_len);
	const uint8_t *name = saved_get_bytes(s, &name_len);
	uint64_t size = saved_get(s), flags = saved_get(s);
	struct file *file = file_load(p->ex, s);
	struct p9_fid *fid = NULL;
	int rc = 0;

	if (s->is_bad || kind > P9_FID_XATTR_WRITE || value_len > size + XATTR_LIST_MAX ||
	    size > XATTR_SIZE_MAX || (kind == P9_FID_XATTR_WRITE && value_len > size) ||
	    name_len > XATTR_NAME_MAX || (name_len && memchr(name, 0, name_len)))
		rc = -EINVAL;
	if (!rc && n)
		fid = p9_fid_new(p, (uint32_t)number, n, (uint32_t)uid, &rc);
	if (!fid || kind != P9_FID_FILE) {
		file_close(p->ex, file);
		file = NULL;
	}
	if (!fid)
		return rc;
	fid->file = file;
	if (p9_fid_take_room(p, fid, kind == P9_FID_XATTR_WRITE ? size : value_len))
		return -EINVAL;
	fid->kind = (enum p9_fid_kind)kind;
	buf_append(&fid->xattr, value, value_len);
	if (kind == P9_FID_XATTR_WRITE) {
		fid->xattr_name = mem_alloc_zero(name_len + 1);
		memcpy(fid->xattr_name, name, name_len);
	}
	fid->xattr_size = size;
	fid->xattr_flags = (uint32_t)flags;
	return 0;
}

int p9_load(struct p9 *p, const void *data, size_t len)
{
	struct saved s = {.data = data, .len = len};

	p9_reset(p);
	uint64_t msize = saved_get(&s);
	int rc = export_load(p->ex, &s);
	uint64_t nr = saved_get(&s);
	for (uint64_t i = 0; !rc && i < nr; i++)
		rc = s.is_bad ? -EINVAL : load_fid(p, &s);
	export_load_end(p->ex);
	export_uncount_all(p->ex); /* fids hold what they need; 9P counts nothing */
	if (!rc &&
	    (s.is_bad || s.at != len || (msize && msize < P9_MSIZE_MIN) || msize > P9_MSIZE_MAX))
		rc = -EINVAL;
	if (rc)
		p9_reset(p);
	else
		p->msize = (uint32_t)msize;
	return rc;
}
