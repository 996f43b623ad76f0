/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/fs/saved.h"

#include <stdlib.h>
#include <string.h>

#include "backend/fs/export_impl.h"

void saved_put(struct buf *out, uint64_t v)
{
	buf_append(out, &v, sizeof(v));
}

void saved_put_bytes(struct buf *out, const void *data, size_t len)
{
	saved_put(out, len);
	buf_append(out, data, len);
}

uint64_t saved_get(struct saved *s)
{
	uint64_t v = 0;

	if (s->is_bad || s->len - s->at < sizeof(v)) {
		s->is_bad = true;
		return 0;
	}
	memcpy(&v, s->data + s->at, sizeof(v));
	s->at += sizeof(v);
	return v;
}

const uint8_t *saved_get_bytes(struct saved *s, size_t *len)
{
	uint64_t n = saved_get(s);

	*len = 0;
	if (s->is_bad || n > s->len - s->at) {
		s->is_bad = true;
		return NULL;
	}
	*len = (size_t)n;
	s->at += (size_t)n;
	return s->data + s->at - n;
}

/* ---- nodes ---- */

#define NO_ID UINT32_MAX

static void save_node(const struct node *n, struct buf *out)
{
	saved_put(out, n->id);
	saved_put(out, n->parent->id);
	saved_put_bytes(out, n->name, strlen(n->name));
	saved_put(out, n->type);
	saved_put(out, n->count);
	saved_put(out, n->generation);
}

/* Saves a node after all that are above it, unless it was or is not to be found. */
static void save_chain(const struct export *ex, const struct node *n, uint8_t *is_saved,
		       struct buf *out)
{
	struct buf chain = {0};

	for (; n && n != ex->root && !is_saved[n->id]; n = n->parent)
		buf_append(&chain, &n, sizeof(n));
	/* A chain that ends elsewhere than at the root leads nowhere. */
	bool is_found = n != NULL;
	while (chain.len) {
		chain.len -= sizeof(n);
		memcpy(&n, chain.data + chain.len, sizeof(n));
		if (is_found) {
			is_saved[n->id] = 1;
			save_node(n, out);
		}
	}
	buf_free(&chain);
}

void export_save(struct export *ex, struct buf *out)
{
	uint8_t *is_saved = mem_alloc_zero(ex->nr_ids + 1u);

	saved_put(out, ex->generation);
	saved_put(out, ex->root->count);
	for (uint32_t i = 0; i < ex->nr_ids; i++) {
		if (ex->by_id[i])
			save_chain(ex, ex->by_id[i], is_saved, out);
	}
	saved_put(out, NO_ID);
	free(is_saved);
}

/* Finds a saved node at its place; what is not there, or is of another type now, is left out. */
static void load_node(struct export *ex, uint32_t id, struct node *dir, const char *name,
		      uint32_t type, uint64_t count, uint64_t generation)
{
	struct place p = {dir ? node_fd(ex, dir) : -1, name};
	struct statx stx;

	if (p.fd < 0 || statx_in(ex, dir, &p, &stx) || (stx.stx_mode & S_IFMT) != type)
		return;
	struct node *n = node_at(ex, dir, name, &stx);
	if (!n)
		return;
	/* One file under two ids, by another link: the first has it. */
	if (n == ex->root || n->is_loaded || !node_set_id(ex, n, id)) {
		node_put(ex, n);
		return;
	}
	n->is_loaded = true;
	n->generation = generation;
	if (count) {
		node_count(ex, n);
		n->count = count;
	}
}

int export_load(struct export *ex, struct saved *s)
{
	char name[NAME_MAX + 1];
	size_t len;

	ex->generation = saved_get(s);
	ex->root->count = 0;
	uint64_t root_count = saved_get(s);
	if (root_count) {
		node_count(ex, ex->root);
		ex->root->count = root_count;
	}
	for (;;) {
		uint64_t id = saved_get(s);

		if (s->is_bad || id == NO_ID)
			break;
		uint64_t parent = saved_get(s);
		const uint8_t *text = saved_get_bytes(s, &len);
		uint64_t type = saved_get(s), count = saved_get(s), generation = saved_get(s);
		if (s->is_bad || id >= NODES_MAX || len > NAME_MAX)
			return -EINVAL;
		memcpy(name, text, len);
		name[len] = 0;
		if (strlen(name) != len || fs_name_check(name))
			return -EINVAL;
		export_trim(ex);
		load_node(ex, (uint32_t)id, export_node(ex, parent + 1), name, (uint32_t)type,
			  count, generation);
	}
	return s->is_bad ? -EINVAL : 0;
}

void export_load_end(struct export *ex)
{
	for (uint32_t i = 0; i < ex->nr_ids; i++) {
		struct node *n = ex->by_id[i];

		if (n && n->is_loaded) {
			n->is_loaded = false;
			node_put(ex, n);
		}
	}
	node_settle_ids(ex);
}

/* ---- open files ---- */

void file_save(const struct file *f, struct buf *out)
{
	saved_put(out, f ? node_id(f->node) : 0);
	saved_put(out, f ? (uint64_t)f->flags : 0);
}

struct file *file_load(struct export *ex, struct saved *s)
{
	uint64_t id = saved_get(s), flags = saved_get(s);
	struct node *n = s->is_bad ? NULL : export_node(ex, id);
	struct file *f = NULL;

	export_trim(ex);
	if (!n || node_open(ex, n, (int)flags & ~O_TRUNC, &f))
		return NULL;
	return f;
}
