/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counters of engine.h, collected from where they are kept. Threads as engine.h says.
 */
#include <string.h>

#include "engine/soft/vcpu.h"

int soft_vm_stats(struct engine_vm *vm, struct engine_vm_stats *stats)
{
	block_cache_stats(soft_vm_of(vm)->blocks, stats);
	return 0;
}

/* Puts a name where its count belongs, if that is among the first. */
static void top_insert(struct engine_vcpu_stats *s, const char *name, uint64_t count)
{
	unsigned n = s->nr_top;

	if (n == ENGINE_STATS_TOP && s->top[n - 1].count >= count)
		return;
	if (n < ENGINE_STATS_TOP)
		s->nr_top++;
	else
		n--;
	for (; n && s->top[n - 1].count < count; n--)
		s->top[n] = s->top[n - 1];
	s->top[n].name = name;
	s->top[n].count = count;
}

static const char *name_of(unsigned row)
{
	return row < nr_insn_rows ? insn_rows[row].name : "(bad)";
}

/* The sum of all rows of row's name, 0 unless it is the first of them. */
static uint64_t sum_of_name(const uint64_t *singles, unsigned row)
{
	uint64_t sum = 0;

	for (unsigned n = 0; n <= nr_insn_rows; n++) {
		if (strcmp(name_of(n), name_of(row)) != 0)
			continue;
		if (n < row)
			return 0;
		sum += singles[n];
	}
	return sum;
}

int soft_vcpu_stats(struct engine_vcpu *v, struct engine_vcpu_stats *stats)
{
	const struct cpu *c = soft_cpu_of(v);

	*stats = (struct engine_vcpu_stats){
		.interpreted = c->stats.interpreted,
		.entries = c->stats.entries,
		.slow_accesses = c->stats.slow_accesses,
		.slow_singles = c->stats.slow_singles,
	};
	memcpy(stats->left, c->stats.left, sizeof(stats->left));
	memcpy(stats->walks, c->stats.walks, sizeof(stats->walks));
	for (unsigned n = 0; n <= nr_insn_rows; n++) {
		uint64_t sum = sum_of_name(c->singles, n);

		stats->singles += c->singles[n];
		if (sum)
			top_insert(stats, name_of(n), sum);
	}
	return 0;
}
