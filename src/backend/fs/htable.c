/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/fs/htable.h"

#include <stdlib.h>

#include "base/buf.h"

#define HEADS_AT_FIRST 64

static struct list *head_of(const struct htable *t, uint64_t key)
{
	uint64_t mixed = key * UINT64_C(0x9e3779b97f4a7c15);

	return &t->heads[(mixed >> 32) & (t->nr_heads - 1)];
}

static struct list *new_heads(unsigned nr)
{
	struct list *heads = mem_alloc_zero(nr * sizeof(*heads));

	for (unsigned i = 0; i < nr; i++)
		list_init(&heads[i]);
	return heads;
}

void htable_init(struct htable *t)
{
	*t = (struct htable){.heads = new_heads(HEADS_AT_FIRST), .nr_heads = HEADS_AT_FIRST};
}

void htable_fini(struct htable *t)
{
	free(t->heads);
	*t = (struct htable){0};
}

static void grow(struct htable *t)
{
	struct list *old = t->heads;
	unsigned nr_old = t->nr_heads;

	t->nr_heads = nr_old * 2;
	t->heads = new_heads(t->nr_heads);
	for (unsigned i = 0; i < nr_old; i++) {
		list_for_each_safe (it, &old[i]) {
			list_remove(it);
			list_append(head_of(t, list_entry(it, struct hnode, link)->key), it);
		}
	}
	free(old);
}

void htable_add(struct htable *t, struct hnode *n, uint64_t key)
{
	if (t->nr >= t->nr_heads && t->nr_heads < BIT(24))
		grow(t);
	n->key = key;
	list_append(head_of(t, key), &n->link);
	t->nr++;
}

void htable_remove(struct htable *t, struct hnode *n)
{
	list_remove(&n->link);
	t->nr--;
}

/* The first element from link it on that has the key. */
static struct hnode *find_from(struct list *head, struct list *it, uint64_t key)
{
	for (; it != head; it = it->next) {
		struct hnode *n = list_entry(it, struct hnode, link);

		if (n->key == key)
			return n;
	}
	return NULL;
}

struct hnode *htable_find(const struct htable *t, uint64_t key)
{
	struct list *head = head_of(t, key);

	return find_from(head, head->next, key);
}

struct hnode *htable_find_next(const struct htable *t, const struct hnode *n)
{
	return find_from(head_of(t, n->key), n->link.next, n->key);
}

/* The first element of a head or of one after it. */
static struct hnode *first_from(const struct htable *t, const struct list *head)
{
	for (; head < t->heads + t->nr_heads; head++) {
		if (!list_is_empty(head))
			return list_entry(head->next, struct hnode, link);
	}
	return NULL;
}

struct hnode *htable_any(const struct htable *t)
{
	return first_from(t, t->heads);
}

struct hnode *htable_after(const struct htable *t, const struct hnode *n)
{
	const struct list *head = head_of(t, n->key);

	if (n->link.next != head)
		return list_entry(n->link.next, struct hnode, link);
	return first_from(t, head + 1);
}
