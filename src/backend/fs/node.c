/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files of an export that a client knows (export.h). A node is its device and inode number; its
 * place, directory and name, is only how to find it again. Children hold references on their parent,
 * so that a place always leads up to the root, unless files were moved on the host: then the chain
 * may end early, and what hangs there is lost until it is looked up again (-ESTALE).
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/fs/export_impl.h"
#include "base/log.h"

static uint64_t hash_of(uint64_t dev, uint64_t ino)
{
	return ino ^ dev * UINT64_C(0xff51afd7ed558ccd);
}

static uint64_t birth_of(const struct statx *stx)
{
	if (!(stx->stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)stx->stx_btime.tv_sec * NS_PER_SEC + stx->stx_btime.tv_nsec;
}

bool node_is_same(const struct node *n, const struct statx *stx)
{
	return n->ino == stx->stx_ino && n->dev == stx_dev(stx) && n->birth_ns == birth_of(stx) &&
	       n->type == (stx->stx_mode & S_IFMT);
}

static struct node *find(const struct export *ex, const struct statx *stx)
{
	uint64_t key = hash_of(stx_dev(stx), stx->stx_ino);

	for (struct hnode *h = htable_find(&ex->nodes, key); h;
	     h = htable_find_next(&ex->nodes, h)) {
		struct node *n = container_of(h, struct node, hash);

		if (node_is_same(n, stx))
			return n;
	}
	return NULL;
}

/* ---- ids ---- */

static void grow_ids(struct export *ex)
{
	ex->room_ids = ex->room_ids ? ex->room_ids * 2 : 64;
	ex->by_id = realloc(ex->by_id, ex->room_ids * sizeof(*ex->by_id));
	BUG_ON(!ex->by_id);
}

/* An id that was given back; some have been taken again by node_set_id(). */
static bool reuse_id(struct export *ex, uint32_t *id)
{
	while (ex->free_ids.len) {
		ex->free_ids.len -= sizeof(*id);
		memcpy(id, ex->free_ids.data + ex->free_ids.len, sizeof(*id));
		if (!ex->by_id[*id])
			return true;
	}
	return false;
}

static void take_id(struct export *ex, struct node *n)
{
	if (!reuse_id(ex, &n->id)) {
		if (ex->nr_ids == ex->room_ids)
			grow_ids(ex);
		n->id = ex->nr_ids++;
	}
	ex->by_id[n->id] = n;
	n->generation = ++ex->generation;
}

static void release_id(struct export *ex, struct node *n)
{
	ex->by_id[n->id] = NULL;
	buf_append(&ex->free_ids, &n->id, sizeof(n->id));
}

bool node_set_id(struct export *ex, struct node *n, uint32_t id)
{
	if (id == n->id)
		return true;
	if (id < ex->nr_ids && ex->by_id[id])
		return false;
	while (ex->nr_ids <= id) {
		if (ex->nr_ids == ex->room_ids)
			grow_ids(ex);
		ex->by_id[ex->nr_ids++] = NULL;
	}
	ex->by_id[n->id] = NULL;
	n->id = id;
	ex->by_id[id] = n;
	return true;
}

void node_settle_ids(struct export *ex)
{
	ex->free_ids.len = 0;
	for (uint32_t i = 0; i < ex->nr_ids; i++) {
		if (!ex->by_id[i])
			buf_append(&ex->free_ids, &i, sizeof(i));
	}
}

struct node *export_node(struct export *ex, uint64_t id)
{
	return id - 1 < ex->nr_ids ? ex->by_id[id - 1] : NULL;
}

uint64_t node_id(const struct node *n)
{
	return (uint64_t)n->id + 1;
}

uint64_t node_generation(const struct node *n)
{
	return n->generation;
}

uint32_t node_type(const struct node *n)
{
	return n->type;
}

struct node *node_parent(struct export *ex, const struct node *n)
{
	return n == ex->root ? ex->root : n->parent;
}

const char *node_name(const struct node *n)
{
	return n->name;
}

/* ---- life ---- */

static void drop_fd(struct export *ex, struct node *n)
{
	if (n->fd < 0)
		return;
	close(n->fd);
	n->fd = -1;
	if (!list_is_empty(&n->lru)) {
		list_remove(&n->lru);
		ex->nr_open_nodes--;
	}
}

void node_get(struct node *n)
{
	n->refs++;
}

void node_put(struct export *ex, struct node *n)
{
	/* A loop, because a client can make directories as deep as it likes. */
	while (n && !--n->refs) {
		struct node *parent = n->parent;

		BUG_ON(!list_is_empty(&n->files));
		node_drop_locks(ex, n);
		drop_fd(ex, n);
		htable_remove(&ex->nodes, &n->hash);
		release_id(ex, n);
		free(n->name);
		free(n);
		n = parent;
	}
}

void node_count(struct export *ex, struct node *n)
{
	if (!n->count++)
		node_get(n);
}

void node_uncount(struct export *ex, struct node *n, uint64_t nr)
{
	if (!n->count)
		return;
	n->count -= min(nr, n->count);
	if (!n->count)
		node_put(ex, n);
}

bool node_is_counted(const struct node *n)
{
	return n->count;
}

void export_uncount_all(struct export *ex)
{
	for (uint32_t i = 0; i < ex->nr_ids; i++) {
		if (ex->by_id[i])
			node_uncount(ex, ex->by_id[i], UINT64_MAX);
	}
}

/* ---- places ---- */

static bool is_below(const struct node *n, const struct node *top)
{
	for (; n; n = n->parent) {
		if (n == top)
			return true;
	}
	return false;
}

/* Takes n away from its place; the caller knows another, or nobody does. */
static void leave_place(struct export *ex, struct node *n)
{
	struct node *parent = n->parent;

	free(n->name);
	n->name = NULL;
	n->parent = NULL;
	node_put(ex, parent);
}

void node_move(struct export *ex, struct node *n, struct node *dir, const char *name)
{
	if (n == ex->root || (dir && n->parent == dir && !strcmp(n->name, name)))
		return;
	if (!dir) {
		leave_place(ex, n);
		return;
	}
	/*
	 * A directory can be found below what we believe to be its own descendant after moves on
	 * the host. What we believe of the descendant is then out of date.
	 */
	if (S_ISDIR(n->type) && is_below(dir, n)) {
		struct node *top = dir;

		if (top == n)
			return;
		while (top->parent != n)
			top = top->parent;
		leave_place(ex, top);
	}
	node_get(dir);
	leave_place(ex, n);
	n->parent = dir;
	n->name = mem_strdup(name);
}

struct node *node_at(struct export *ex, struct node *dir, const char *name, const struct statx *stx)
{
	struct node *n = find(ex, stx);

	if (n) {
		node_get(n);
		node_move(ex, n, dir, name);
		return n;
	}
	if (ex->nodes.nr >= NODES_MAX) {
		log_once(LOG_WARN, "A guest looks at more than %u files of a share at once",
			 NODES_MAX);
		return NULL;
	}
	n = mem_alloc_zero(sizeof(*n));
	n->dev = stx_dev(stx);
	n->ino = stx->stx_ino;
	n->birth_ns = birth_of(stx);
	n->type = stx->stx_mode & S_IFMT;
	n->refs = 1;
	n->fd = -1;
	list_init(&n->lru);
	list_init(&n->files);
	list_init(&n->locks);
	if (dir) {
		node_get(dir);
		n->parent = dir;
		n->name = mem_strdup(name);
	}
	take_id(ex, n);
	htable_add(&ex->nodes, &n->hash, hash_of(n->dev, n->ino));
	return n;
}

struct node *node_known_at(struct export *ex, struct node *dir, int dir_fd, const char *name)
{
	struct statx stx;
	int rc = statx_in(ex, dir, &(struct place){dir_fd, name}, &stx);
	struct node *n = rc ? NULL : find(ex, &stx);

	if (n)
		node_get(n);
	return n;
}

/* ---- descriptors ---- */

/* A name below a directory, as O_PATH; never through a link. */
static int open_child(struct export *ex, struct node *dir, int dir_fd, const char *name)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	struct grant g = {.nodes = {dir}};
	int rc;

	do {
		rc = sys(syscall(SYS_openat2, dir_fd, name, &how, sizeof(how)));
		/* Where openat2() is not to be had: name is one component, O_NOFOLLOW does it. */
		if (rc == -ENOSYS || rc == -EPERM)
			rc = sys(openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
	} while (grant_retry(ex, &g, rc));
	return rc;
}

/* A descriptor the node has already, or -1. */
static int present_fd(struct export *ex, struct node *n)
{
	if (n->fd >= 0) {
		if (n != ex->root) {
			list_remove(&n->lru);
			list_append(&ex->open_nodes, &n->lru);
		}
		return n->fd;
	}
	if (!list_is_empty(&n->files))
		return list_entry(n->files.next, struct file, link)->fd;
	return -1;
}

/* Opens a node whose directory has dir_fd. */
static int open_node(struct export *ex, struct node *n, int dir_fd)
{
	int fd = open_child(ex, n->parent, dir_fd, n->name);
	struct statx stx;

	if (fd < 0)
		return fd == -ENOENT ? -ESTALE : fd;
	int rc = place_statx(&(struct place){fd, ""}, &stx);
	if (!rc && !node_is_same(n, &stx))
		rc = -ESTALE;
	if (rc) {
		close(fd);
		return rc;
	}
	n->fd = fd;
	list_append(&ex->open_nodes, &n->lru);
	ex->nr_open_nodes++;
	return fd;
}

int node_fd(struct export *ex, struct node *n)
{
	int fd = present_fd(ex, n);

	if (fd >= 0)
		return fd;
	/* The nodes from n upward that have none, for opening them downward. */
	struct buf chain = {0};
	struct node *top = n;
	for (; top && (fd = present_fd(ex, top)) < 0; top = top->parent)
		buf_append(&chain, &top, sizeof(top));
	if (!top)
		fd = -ESTALE;
	struct node *opened = NULL;
	while (fd >= 0 && chain.len) {
		struct node *next;

		chain.len -= sizeof(next);
		memcpy(&next, chain.data + chain.len, sizeof(next));
		fd = open_node(ex, next, fd);
		/* However deep the tree: what was opened on the way only is not kept. */
		if (opened && ex->nr_open_nodes > ex->options.max_descriptors)
			drop_fd(ex, opened);
		opened = next;
	}
	buf_free(&chain);
	return fd;
}

int node_place(struct export *ex, struct node *n, struct place *p)
{
	int fd = present_fd(ex, n);

	*p = (struct place){fd, ""};
	if (fd >= 0)
		return 0;
	if (!n->parent)
		return -ESTALE;
	*p = (struct place){node_fd(ex, n->parent), n->name};
	return p->fd < 0 ? p->fd : 0;
}

void export_trim(struct export *ex)
{
	struct list *it = ex->open_nodes.next;

	while (ex->nr_open_nodes > ex->options.max_descriptors && it != &ex->open_nodes) {
		struct node *n = list_entry(it, struct node, lru);

		it = it->next;
		/* A file without a name can be reached in no other way. */
		if (n->parent)
			drop_fd(ex, n);
	}
}
