/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/soft/trace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "engine/engine.h"
#include "engine/soft/cache_impl.h"
#include "engine/soft/soft.h"

#define LIMIT_DEFAULT GIB

/* Enough that hot code of a kernel and a few programs is written once: 1 MiB. */
#define SEEN_SIZE 65536u

/* A block that has been written with its instructions, by a hash of their bytes and the mode. */
struct seen {
	gva_t va;
	uint64_t hash;
};

struct trace {
	pthread_mutex_t lock; /* everything below; nothing else is taken under it */
	FILE *file;
	struct buf line; /* lines being put together */
	uint64_t left;	 /* bytes that may be written */
	gva_t from;	 /* begins here, if !is_on */
	bool is_on;
	struct seen seen[SEEN_SIZE];
};

struct trace *trace_new(const struct engine_options *opt, struct error *err)
{
	struct trace *t;

	if (!opt->trace_file)
		return NULL;
	t = mem_alloc_zero(sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	t->file = fopen(opt->trace_file, "we");
	t->left = opt->trace_limit ? opt->trace_limit : LIMIT_DEFAULT;
	t->from = opt->trace_from;
	t->is_on = !t->from;
	if (t->file)
		return t;
	error_set_errno(err, -errno, "%s", opt->trace_file);
	trace_free(t);
	return NULL;
}

void trace_free(struct trace *t)
{
	if (!t)
		return;
	if (t->file)
		fclose(t->file);
	buf_free(&t->line);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* Writes what has been put together, or the last line of all. */
static void write_line(struct trace *t)
{
	static const char end[] = "limit reached\n";

	if (t->line.len + sizeof(end) <= t->left) {
		fwrite(t->line.data, 1, t->line.len, t->file);
		t->left -= t->line.len;
	} else if (t->left) {
		fputs(end, t->file);
		t->left = 0;
		fflush(t->file);
	}
	buf_drop_front(&t->line, t->line.len);
}

/* FNV-1a. */
static uint64_t hash_of(struct block *b)
{
	const uint8_t *code = block_code(b);
	uint64_t hash = 0xcbf29ce484222325ull ^ b->mode;

	for (unsigned n = 0; n < b->size; n++)
		hash = (hash ^ code[n]) * 0x100000001b3ull;
	return hash;
}

static bool is_seen(struct trace *t, gva_t va, struct block *b)
{
	struct seen *s = &t->seen[(va ^ va >> 16) % SEEN_SIZE];
	uint64_t hash = hash_of(b);

	if (s->va == va && s->hash == hash)
		return true;
	*s = (struct seen){.va = va, .hash = hash};
	return false;
}

static void add_instructions(struct trace *t, const struct cpu *c, gva_t va, struct block *b)
{
	unsigned at = 0, len;

	do {
		char text[96];

		len = disassemble(block_code(b) + at, b->size - at, cpu_code_size(c), va + at, text,
				  sizeof(text));
		buf_printf(&t->line, "\t%llx: %s\n", (unsigned long long)(va + at), text);
		at += len;
	} while (len && at < b->size);
}

void trace_block(struct cpu *c, struct block *b)
{
	struct trace *t = c->vm->trace;
	gva_t va = linear_rip(c);

	pthread_mutex_lock(&t->lock);
	t->is_on |= t->from - va < b->size;
	if (t->is_on && t->left) {
		buf_printf(&t->line, "%u %llx\n", c->id, (unsigned long long)va);
		if (!is_seen(t, va, b))
			add_instructions(t, c, va, b);
		write_line(t);
	}
	pthread_mutex_unlock(&t->lock);
}

void trace_event(struct cpu *c, unsigned vector)
{
	struct trace *t = c->vm->trace;

	pthread_mutex_lock(&t->lock);
	if (t->is_on && t->left) {
		buf_printf(&t->line, "%u event %u\n", c->id, vector);
		write_line(t);
	}
	pthread_mutex_unlock(&t->lock);
}
