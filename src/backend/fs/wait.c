/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/fs/wait.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* Long enough to cost nothing, short enough for people. */
#define RETRY_NS (20 * NS_PER_MS)

/* More than a queue of requests has; bounds what each retry costs. */
#define WAITS_MAX 1024

static void on_timer(struct loop_timer *t)
{
	fs_waits_retry(container_of(t, struct fs_waits, timer));
}

static void arm(struct fs_waits *waits)
{
	if (waits->timer.loop && !list_is_empty(&waits->waiting))
		loop_timer_arm(&waits->timer, host_now_ns() + RETRY_NS);
}

void fs_waits_init(struct fs_waits *waits, struct export *ex, struct loop *loop,
		   void (*finish)(struct fs_waits *, struct fs_request *, uint64_t, int))
{
	*waits = (struct fs_waits){.ex = ex, .finish = finish};
	list_init(&waits->waiting);
	if (loop)
		loop_timer_init(&waits->timer, loop, on_timer);
}

void fs_waits_fini(struct fs_waits *waits)
{
	BUG_ON(!list_is_empty(&waits->waiting));
	if (waits->timer.loop)
		loop_timer_disarm(&waits->timer);
}

int fs_wait_try(struct export *ex, const struct fs_wait *wait)
{
	if (wait->flock_operation)
		return file_flock(wait->file, wait->flock_operation);
	return file_lock(ex, wait->file, wait->owner, &wait->lock);
}

int fs_waits_add(struct fs_waits *waits, const struct fs_wait *wait)
{
	if (waits->nr == WAITS_MAX)
		return -ENOLCK;
	struct fs_wait *w = mem_alloc_zero(sizeof(*w));

	*w = *wait;
	list_append(&waits->waiting, &w->link);
	waits->nr++;
	arm(waits);
	return 0;
}

static void finish(struct fs_waits *waits, struct fs_wait *w, int rc)
{
	list_remove(&w->link);
	waits->nr--;
	waits->finish(waits, w->request, w->id, rc);
	free(w);
}

void fs_waits_retry(struct fs_waits *waits)
{
	list_for_each_safe (it, &waits->waiting) {
		struct fs_wait *w = list_entry(it, struct fs_wait, link);
		int rc = fs_wait_try(waits->ex, w);

		if (rc != -EAGAIN)
			finish(waits, w, rc);
	}
	arm(waits);
}

bool fs_waits_cancel(struct fs_waits *waits, uint64_t id)
{
	list_for_each_safe (it, &waits->waiting) {
		struct fs_wait *w = list_entry(it, struct fs_wait, link);

		if (w->id == id) {
			finish(waits, w, -EINTR);
			return true;
		}
	}
	return false;
}

void fs_waits_cancel_file(struct fs_waits *waits, const struct file *f)
{
	list_for_each_safe (it, &waits->waiting) {
		struct fs_wait *w = list_entry(it, struct fs_wait, link);

		if (w->file == f)
			finish(waits, w, -EINTR);
	}
}

void fs_waits_cancel_all(struct fs_waits *waits)
{
	while (!list_is_empty(&waits->waiting))
		finish(waits, list_entry(waits->waiting.next, struct fs_wait, link), -EINTR);
}
