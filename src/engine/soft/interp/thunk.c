// SPDX-License-Identifier: BSD-2-Clause
/*
 * Keeps thunks: the table that finds them, and the memory their code lies in. The memory is one
 * memfd with a writable and an executable mapping, made once per process and never unmapped; the
 * table and the arena are process-wide, because thunks hold nothing of a VM. Any thread: lookups
 * are lock-free, making one takes the lock.
 */
#include "engine/soft/interp/thunk_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/soft/fpu.h"
#include "engine/soft/interp/simd_trap.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

/*
 * Room for every immediate of every row in every form, which a hostile guest can ask for (checked
 * by a test). Pages are taken as thunks are made; a Linux guest needs a few of them.
 */
#define ARENA_SIZE (16 * MIB)

_Atomic(struct thunk *) thunk_table[THUNK_ROWS_MAX * 8];

/* Guarded by lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	uint8_t *writable, *executable;
	size_t used;
} arena;

static int arena_map(struct error *err)
{
	int fd = memfd_create("bantam-thunks", MFD_CLOEXEC | MFD_EXEC);

	if (fd < 0 && errno == EINVAL) /* a kernel before MFD_EXEC */
		fd = memfd_create("bantam-thunks", MFD_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, -errno, "memory for generated code");

	int rc = 0;
	void *writable = MAP_FAILED, *executable = MAP_FAILED;

	if (ftruncate(fd, ARENA_SIZE) < 0) {
		rc = -errno;
	} else {
		writable = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		executable = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
		if (writable == MAP_FAILED || executable == MAP_FAILED)
			rc = -errno;
	}
	close(fd);
	if (!rc) {
		arena.writable = writable;
		arena.executable = executable;
		return 0;
	}
	if (writable != MAP_FAILED)
		munmap(writable, ARENA_SIZE);
	if (executable != MAP_FAILED)
		munmap(executable, ARENA_SIZE);
	return error_set_errno(err, rc, "memory for generated code");
}

int simd_init(struct error *err)
{
	int rc;

	BUG_ON(nr_insn_rows > THUNK_ROWS_MAX);
	pthread_mutex_lock(&lock);
	rc = simd_trap_init(err);
	if (!rc && !arena.writable)
		rc = arena_map(err);
	pthread_mutex_unlock(&lock);
	return rc;
}

static struct thunk *thunk_new(const struct thunk_form *form)
{
	struct thunk *t = calloc(1, sizeof(*t));
	struct thunk_code code;

	BUG_ON(!t);
	thunk_emit(form, t, &code);
	if (!simd_host_has(form->row->feature))
		return t;
	BUG_ON(arena.used + code.len > ARENA_SIZE);
	memcpy(arena.writable + arena.used, code.bytes, code.len);
	t->run = (thunk_fn)(uintptr_t)(arena.executable + arena.used);
	arena.used += ALIGN_UP(code.len, 16u);
	return t;
}

/* The table of a row's thunks by immediate or stack index. */
static struct thunk *directory_new(bool is_by_stack)
{
	struct thunk *t = calloc(1, sizeof(*t));

	BUG_ON(!t);
	t->is_by_stack = is_by_stack;
	t->by_sub = calloc(is_by_stack ? 8 : 256, sizeof(*t->by_sub));
	BUG_ON(!t->by_sub);
	return t;
}

const struct thunk *thunk_make(const struct insn *i)
{
	_Atomic(struct thunk *) *slot = &thunk_table[thunk_key(i)];
	const struct insn_row *row = &insn_rows[i->row];
	struct thunk_form form = {
		.row = row,
		.is_mem = i->prefix & PFX_MEM,
		.l = INSN_L(i),
		.w = PFX_SIZE(i->prefix) == 8,
	};
	bool is_by_stack = thunk_row_is_x87(row) && !form.is_mem;

	pthread_mutex_lock(&lock);
	BUG_ON(!arena.writable && arena_map(NULL));
	if (is_by_stack || thunk_row_has_imm(row)) {
		struct thunk *directory = atomic_load_explicit(slot, memory_order_relaxed);

		if (!directory) {
			directory = directory_new(is_by_stack);
			atomic_store_explicit(slot, directory, memory_order_release);
		}
		form.sub = is_by_stack ? i->rm / 8 & 7 : (uint8_t)i->imm;
		slot = &directory->by_sub[form.sub];
	}

	struct thunk *t = atomic_load_explicit(slot, memory_order_relaxed);

	if (!t) {
		t = thunk_new(&form);
		atomic_store_explicit(slot, t, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return t;
}

size_t thunk_bytes_used(void)
{
	pthread_mutex_lock(&lock);
	size_t used = arena.used;

	pthread_mutex_unlock(&lock);
	return used;
}

size_t thunk_bytes_max(void)
{
	return ARENA_SIZE;
}
