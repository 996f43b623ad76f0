/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/stats.h"

#include "base/buf.h"
#include "base/log.h"
#include "machine/vm_impl.h"

#define COUNT(n) ((unsigned long long)(n))

static void print_vm_stats(const struct vm *vm)
{
	struct engine_vm_stats s;

	if (engine_vm_stats(vm->engine_vm, &s))
		return;
	log_info("stats vm: blocks=%llu block_parts=%llu translations=%llu code_bytes=%llu "
		 "code_parts=%llu links=%llu",
		 COUNT(s.blocks), COUNT(s.block_parts), COUNT(s.translations), COUNT(s.code_bytes),
		 COUNT(s.code_parts), COUNT(s.links));
	log_info("stats vm dropped: stores=%llu devices=%llu late=%llu room=%llu",
		 COUNT(s.dropped_by_stores), COUNT(s.dropped_by_devices), COUNT(s.dropped_late),
		 COUNT(s.dropped_for_room));
}

static void print_leaves(unsigned vcpu, const struct engine_vcpu_stats *s)
{
	struct buf line = {0};

	for (unsigned n = 0; n < NR_ENGINE_LEAVES; n++)
		buf_printf(&line, " %s=%llu", engine_leave_name((enum engine_leave)n),
			   COUNT(s->left[n]));
	log_info("stats vcpu %u left:%s", vcpu, buf_text(&line));
	buf_free(&line);
}

static void print_singles(unsigned vcpu, const struct engine_vcpu_stats *s)
{
	struct buf line = {0};

	for (unsigned n = 0; n < s->nr_top; n++)
		buf_printf(&line, " %s=%llu", s->top[n].name, COUNT(s->top[n].count));
	log_info("stats vcpu %u singles:%s", vcpu, buf_text(&line));
	buf_free(&line);
}

static void print_vcpu_stats(const struct vcpu *v, unsigned number)
{
	struct engine_vcpu_stats s;

	if (engine_vcpu_stats(v->engine, &s)) {
		log_info("stats vcpu %u: exits=%llu", number, COUNT(v->nr_exits));
		return;
	}
	log_info("stats vcpu %u: exits=%llu interpreted=%llu entries=%llu singles=%llu "
		 "slow_singles=%llu",
		 number, COUNT(v->nr_exits), COUNT(s.interpreted), COUNT(s.entries),
		 COUNT(s.singles), COUNT(s.slow_singles));
	log_info("stats vcpu %u memory: slow=%llu walks_read=%llu walks_write=%llu "
		 "walks_fetch=%llu",
		 number, COUNT(s.slow_accesses), COUNT(s.walks[ENGINE_READ]),
		 COUNT(s.walks[ENGINE_WRITE]), COUNT(s.walks[ENGINE_FETCH]));
	print_leaves(number, &s);
	print_singles(number, &s);
}

void vm_print_stats(const struct vm *vm)
{
	print_vm_stats(vm);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		print_vcpu_stats(&vm->vcpus[i], i);
}
