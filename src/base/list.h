/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A doubly linked list through a node embedded in the element; the head is a node too, and an
 * unlinked node points at itself. No locking.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/base.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name)          \
	{                        \
		&(name), &(name) \
	}

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

/* Links node before pos; with pos the head that is the end of the list. */
static inline void list_insert_before(struct list *pos, struct list *node)
{
	node->prev = pos->prev;
	node->next = pos;
	pos->prev->next = node;
	pos->prev = node;
}

static inline void list_append(struct list *head, struct list *node)
{
	list_insert_before(head, node);
}

/* Unlinks node; harmless when it is not linked. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#define list_entry(node, type, member) container_of(node, type, member)

/* The loop body must not unlink *it; use list_for_each_safe for that. */
#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)

#define list_for_each_safe(it, head)                                          \
	for (struct list *it = (head)->next, *_next = it->next; it != (head); \
	     it = _next, _next = it->next)

#endif
