/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server's session as bytes, for saved states: what the client knows must mean the same after a
 * load. Files are saved by their places, so a load finds them again where the directory has
 * moved to another host; those that are not found are stale to the client. Not saved: locks, and
 * files without a name.
 *
 * Loading trusts nothing: any bytes are either understood or refused.
 */
#ifndef BACKEND_FS_SAVED_H
#define BACKEND_FS_SAVED_H

#include "backend/fs/export.h"

/* Numbers and texts, written and read back in the same order. */
void saved_put(struct buf *out, uint64_t v);
void saved_put_bytes(struct buf *out, const void *data, size_t len);

struct saved {
	const uint8_t *data;
	size_t len, at;
	bool is_bad; /* what was read last, or before, was not there */
};

uint64_t saved_get(struct saved *s);

/* A borrowed run of bytes with its length; NULL when it is bad. */
const uint8_t *saved_get_bytes(struct saved *s, size_t *len);

/* The nodes, with their ids and counts. */
void export_save(struct export *ex, struct buf *out);

/*
 * Makes the saved nodes known under their ids; the export must be fresh. Each is held until
 * export_load_end(). -EINVAL when the bytes are not understood.
 */
int export_load(struct export *ex, struct saved *s);
void export_load_end(struct export *ex);

/* An open file: flags of node_open(), 0 for none, and its node. */
void file_save(const struct file *f, struct buf *out);

/* NULL, with nothing bad, when there was none or it cannot be opened any more. */
struct file *file_load(struct export *ex, struct saved *s);

#endif
