/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing hash table of elements that embed a struct hnode, keyed by a number. Several elements
 * may have one key. No locking.
 */
#ifndef BACKEND_FS_HTABLE_H
#define BACKEND_FS_HTABLE_H

#include <stdint.h>

#include "base/list.h"

struct hnode {
	struct list link;
	uint64_t key;
};

struct htable {
	struct list *heads;
	unsigned nr_heads; /* a power of two */
	unsigned nr;	   /* elements */
};

void htable_init(struct htable *t);
void htable_fini(struct htable *t); /* elements are the caller's */

void htable_add(struct htable *t, struct hnode *n, uint64_t key);
void htable_remove(struct htable *t, struct hnode *n);

/* The first element with this key, or the next one after n; NULL when there is none. */
struct hnode *htable_find(const struct htable *t, uint64_t key);
struct hnode *htable_find_next(const struct htable *t, const struct hnode *n);

/*
 * Any element, NULL when empty: for taking a table apart. And the one after it in the order of the
 * table, for going through all while nothing is added or removed.
 */
struct hnode *htable_any(const struct htable *t);
struct hnode *htable_after(const struct htable *t, const struct hnode *n);

#endif
