/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * POSIX locks for a client's processes. The host ties such locks to a process, of which the client has
 * many and we are one; locks of an open file description serve instead (F_OFD_SETLK): each owner that
 * has locks on a file has a descriptor of its own for them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/fs/export_impl.h"

struct owner {
	struct list link; /* in node.locks */
	uint64_t id;
	int fd;
};

static void drop(struct export *ex, struct owner *o)
{
	list_remove(&o->link);
	close(o->fd);
	ex->nr_files--;
	free(o);
}

void node_drop_locks(struct export *ex, struct node *n)
{
	list_for_each_safe (it, &n->locks)
		drop(ex, list_entry(it, struct owner, link));
}

static struct owner *find(struct node *n, uint64_t id)
{
	list_for_each (it, &n->locks) {
		struct owner *o = list_entry(it, struct owner, link);

		if (o->id == id)
			return o;
	}
	return NULL;
}

/* The owner with a descriptor as good for locking as the file's, NULL with *rc. */
static struct owner *find_or_make(struct export *ex, struct file *f, uint64_t id, int *rc)
{
	struct owner *o = find(f->node, id);

	if (o)
		return o;
	*rc = file_room(ex);
	if (*rc)
		return NULL;
	struct grant g = {.nodes = {f->node}};
	int fd;
	do
		fd = reopen(ex, f->fd, ex->options.is_read_only ? O_RDONLY : O_RDWR);
	while (grant_retry(ex, &g, fd));
	if (fd == -EACCES || fd == -EROFS || fd == -EPERM || fd == -ETXTBSY)
		fd = reopen(ex, f->fd, f->flags & O_ACCMODE);
	if (fd < 0) {
		*rc = fd;
		return NULL;
	}
	o = mem_alloc_zero(sizeof(*o));
	o->id = id;
	o->fd = fd;
	ex->nr_files++;
	list_append(&f->node->locks, &o->link);
	return o;
}

static int check(const struct file *f, const struct flock *lock)
{
	if (!S_ISREG(f->node->type))
		return -EINVAL;
	if (lock->l_type != F_RDLCK && lock->l_type != F_WRLCK && lock->l_type != F_UNLCK)
		return -EINVAL;
	if (lock->l_start < 0 || lock->l_len < 0 || lock->l_len > INT64_MAX - lock->l_start)
		return -EINVAL;
	return 0;
}

static struct flock for_host(const struct flock *lock)
{
	return (struct flock){.l_type = lock->l_type,
			      .l_whence = SEEK_SET,
			      .l_start = lock->l_start,
			      .l_len = lock->l_len};
}

int file_lock(struct export *ex, struct file *f, uint64_t id, const struct flock *lock)
{
	struct flock host = for_host(lock);
	int rc = check(f, lock);

	if (rc)
		return rc;
	if (lock->l_type == F_UNLCK && !find(f->node, id))
		return 0;
	struct owner *o = find_or_make(ex, f, id, &rc);
	if (!o)
		return rc;
	if (lock->l_type == F_UNLCK && !lock->l_start && !lock->l_len) {
		drop(ex, o); /* all of them: the descriptor is not needed any more */
		return 0;
	}
	rc = sys(fcntl(o->fd, F_OFD_SETLK, &host));
	return rc == -EACCES ? -EAGAIN : rc;
}

int file_test_lock(struct export *ex, struct file *f, uint64_t id, struct flock *lock)
{
	struct flock host = for_host(lock);
	int rc = check(f, lock);

	if (rc || lock->l_type == F_UNLCK)
		return rc ? rc : -EINVAL;
	struct owner *o = find(f->node, id);
	rc = sys(fcntl(o ? o->fd : f->fd, F_OFD_GETLK, &host));
	if (rc)
		return rc;
	*lock = host;
	lock->l_pid = max(host.l_pid, 0); /* -1: another owner of ours */
	return 0;
}

void file_unlock_owner(struct export *ex, struct file *f, uint64_t id)
{
	struct owner *o = find(f->node, id);

	if (o)
		drop(ex, o);
}
