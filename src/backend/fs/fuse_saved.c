/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The FUSE session in saved states: nodes by their ids, open files by their handles.
 */
#include "backend/fs/fuse_impl.h"
#include "backend/fs/saved.h"

void fuse_save(struct fuse *f, struct buf *out)
{
	saved_put(out, f->is_ready);
	saved_put(out, f->has_long_setxattr);
	saved_put(out, f->last_fh);
	export_save(f->ex, out);
	saved_put(out, f->handles.nr);
	for (struct hnode *n = htable_any(&f->handles); n; n = htable_after(&f->handles, n)) {
		saved_put(out, n->key);
		file_save(container_of(n, struct fuse_handle, hash)->file, out);
	}
}

static int load_handles(struct fuse *f, struct saved *s)
{
	uint64_t nr = saved_get(s);

	for (uint64_t i = 0; i < nr && !s->is_bad; i++) {
		uint64_t fh = saved_get(s);
		struct file *file = file_load(f->ex, s);

		if (file && !htable_find(&f->handles, fh))
			fuse_set_handle(f, file, fh);
		else
			file_close(f->ex, file);
	}
	return s->is_bad ? -EINVAL : 0;
}

int fuse_load(struct fuse *f, const void *data, size_t len)
{
	struct saved s = {.data = data, .len = len};

	fuse_reset(f);
	f->is_ready = saved_get(&s);
	f->has_long_setxattr = saved_get(&s);
	f->last_fh = saved_get(&s);
	int rc = export_load(f->ex, &s);
	if (!rc)
		rc = load_handles(f, &s);
	export_load_end(f->ex);
	if (!rc && s.at != len)
		rc = -EINVAL;
	if (rc)
		fuse_reset(f);
	return rc;
}
