/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How translated code goes on: to the next block, to the interpreter, to the run loop. The ways out
 * stand behind the straight code of the block.
 */
#include <string.h>

#include "engine/soft/translate/emit_impl.h"
#include "engine/soft/translate/listing.h"

#define CC_AE	3
#define CC_E	4
#define CC_NE	5
#define ALU_OR	1
#define ALU_SUB 5
#define ALU_CMP 7

/* ---- gates ---- */

void emit_call_gate(struct emitter *e, enum gate gate)
{
	asm_call_to(&e->o, code_gates(e->code)->at[gate]);
}

void emit_jump_gate(struct emitter *e, enum gate gate)
{
	asm_jmp_to(&e->o, code_gates(e->code)->at[gate]);
}

/* ---- records ---- */

void record_use(struct emitter *e, const struct insn *i, uint8_t *site)
{
	unsigned n = e->nr_records;

	if (!n || e->records[n - 1].insn != (unsigned)(i - e->insns) ||
	    e->records[n - 1].nr_sites == ARRAY_SIZE(e->records[0].sites)) {
		if (n == RECORDS_MAX) {
			e->is_full = true;
			return;
		}
		e->records[n].insn = (unsigned)(i - e->insns);
		e->records[n].nr_sites = e->records[n].length = 0;
		e->nr_records = ++n;
	}
	e->records[n - 1].sites[e->records[n - 1].nr_sites++] = site;
}

void emit_records(struct emitter *e)
{
	asm_align(&e->o, 0, 8);
	for (unsigned n = 0; n < e->nr_records; n++) {
		struct record r = {.insn = e->insns[e->records[n].insn],
				   .block = e->block,
				   .at = (uint8_t)e->records[n].insn,
				   .site = (uint16_t)e->records[n].site,
				   .length = (uint16_t)e->records[n].length};

		if (e->o.is_full || (size_t)(e->o.end - e->o.at) < sizeof(r)) {
			e->is_full = true;
			return;
		}
		for (unsigned k = 0; k < e->records[n].nr_sites; k++)
			asm_patch(e->records[n].sites[k], e->o.at);
		memcpy(e->o.at, &r, sizeof(r));
		e->o.at += sizeof(r);
	}
}

static void load_record(struct emitter *e, const struct insn *i)
{
	record_use(e, i, asm_lea_rip(&e->o, H_RAX));
}

/* What stands in the record last loaded. */
static void record_site(struct emitter *e, const struct out *out)
{
	if (e->is_full)
		return;
	e->records[e->nr_records - 1].site = out->site_number;
	e->records[e->nr_records - 1].length = out->site_length;
}

/* ---- out of line ---- */

static struct out *out_new(struct emitter *e, unsigned kind, uint8_t *site)
{
	struct out *out;

	if (e->nr_outs == OUTS_MAX) {
		e->is_full = true;
		return &e->spare_out;
	}
	out = &e->outs[e->nr_outs++];
	*out = (struct out){
		.kind = kind,
		.site = site,
		.record = e->at,
		.in_host = e->flags_in_host,
		.in_frame = e->flags_in_frame,
		.recipe = e->recipe,
	};
	return out;
}

void emit_slow(struct emitter *e, const struct insn *i, uint8_t *site, unsigned how)
{
	out_new(e, how & (MEM_END | MEM_LEAVE) ? OUT_SLOW_END : OUT_SLOW, site);
}

struct out *out_for_site(struct emitter *e, uint8_t *jump, unsigned how)
{
	return out_new(e, how & (MEM_END | MEM_LEAVE) ? OUT_SLOW_END : OUT_SLOW, jump);
}

void emit_leave_unknown(struct emitter *e, uint8_t *site, int32_t target)
{
	out_new(e, OUT_UNKNOWN, site)->target = target;
}

struct out *out_for_stream(struct emitter *e, uint8_t *site)
{
	return out_new(e, OUT_STREAM, site);
}

/* A jump that is taken when the word at m is 0; what flags the guest needs stay. */
static uint8_t *jump_if_zero(struct emitter *e, struct mem_ref m)
{
	uint8_t *zero;

	if (!e->flags_in_host || e->flags_in_frame) {
		e->flags_in_host = false;
		asm_alu_mi(&e->o, 4, ALU_CMP, m, 0);
		return asm_jcc(&e->o, CC_E);
	}
	asm_load(&e->o, 4, H_RCX, m);
	zero = asm_jrcxz(&e->o);
	/* Not zero, the common case, goes around: JRCXZ reaches no further than this. */
	asm8(&e->o, 0xeb);
	asm8(&e->o, 5);
	if (!e->o.is_full)
		asm_patch8(zero, e->o.at);
	return asm_jmp(&e->o);
}

void emit_need_simd(struct emitter *e, bool with_avx)
{
	struct out *out;
	uint8_t *site;

	if (e->has_simd && (!with_avx || e->has_avx))
		return;
	site = jump_if_zero(e, FRAME(with_avx ? FRAME_AVX : FRAME_SIMD));
	out = out_new(e, with_avx ? OUT_AVX : OUT_SIMD, site);
	out->resume = e->o.at;
	e->has_simd = true;
	e->has_avx |= with_avx;
}

static void save_for_exit(struct emitter *e, const struct out *out)
{
	if (out->in_frame)
		return;
	if (!out->in_host && out->recipe.is_valid)
		recipe_run(e, &out->recipe);
	if (out->in_host || out->recipe.is_valid)
		flags_save(&e->o);
}

/* ---- jumps within the page ---- */

static bool is_in_page(int32_t target)
{
	return target >= 0 && target < 4096;
}

/* RCX = linear address of offset target. */
static void load_target(struct emitter *e, int32_t target)
{
	asm_load(&e->o, 8, H_RCX, FRAME(FRAME_PAGE));
	if (target)
		asm_lea(&e->o, 8, H_RCX, MEM_BASE(H_RCX, target));
}

/* Where a link's jump leads until its target is known: to the run loop, which finds it. */
static void write_link_stub(struct emitter *e, struct link *l, int32_t target, bool in_host)
{
	l->stub = e->o.at;
	if (!e->o.is_full)
		asm_patch(l->site, l->stub);
	if (in_host)
		flags_save(&e->o);
	load_target(e, target);
	asm_mov_imm(&e->o, H_RAX, (uintptr_t)l);
	emit_jump_gate(e, GATE_LEAVE_LINK);
}

static struct link *link_new(struct emitter *e, uint8_t *site, bool has_host_flags)
{
	struct link *l = &e->translation->links[e->translation->nr_links];

	if (e->translation->nr_links == e->max_links)
		e->is_full = true;
	else
		e->translation->nr_links++;

	*l = (struct link){.from = e->translation, .site = site, .has_host_flags = has_host_flags};
	list_init(&l->node);
	return l;
}

static uint8_t *compare_requests(struct emitter *e)
{
	asm_alu_mi(&e->o, 4, 7, FRAME(FRAME_REQUESTS), 0);
	return asm_jcc(&e->o, CC_NE);
}

/*
 * Goes to the run loop if something is asked of the vCPU. Flags that are only in the host's stay there.
 */
static void emit_poll(struct emitter *e, int32_t target, bool in_host, bool in_frame)
{
	bool host = e->flags_in_host, frame = e->flags_in_frame;
	uint8_t *nothing = NULL;
	struct out *out;

	e->flags_in_host = in_host;
	e->flags_in_frame = in_frame;
	if (in_frame) {
		out = out_new(e, OUT_LEAVE, compare_requests(e));
	} else {
		asm_load(&e->o, 4, H_RCX, FRAME(FRAME_REQUESTS));
		nothing = asm_jrcxz(&e->o);
		out = out_new(e, OUT_LEAVE, asm_jmp(&e->o));
	}
	out->target = target;
	if (nothing && !e->o.is_full)
		asm_patch8(nothing, e->o.at);
	e->flags_in_host = host && !in_frame;
	e->flags_in_frame = frame;
}

/* A jump to target of the page, patched when there is a translation of it. */
static void emit_linked_jump(struct emitter *e, int32_t target, bool in_host)
{
	uint8_t *site;

	asm_align(&e->o, 1, 4);
	site = asm_jmp(&e->o);
	write_link_stub(e, link_new(e, site, in_host), target, in_host);
}

static bool goes_back(const struct emitter *e, int32_t target)
{
	return target <= (int32_t)e->insns[e->at].off;
}

/* ---- jumps out of the page ---- */

/* A field of the jump cache's entry RAX bytes on. */
#define JUMP_ENTRY(field)                                                      \
	((struct mem_ref){.base = H_RSP,                                       \
			  .index = H_RAX,                                      \
			  .disp = (int32_t)(offsetof(struct cpu, jump_cache) + \
					    offsetof(struct jump_entry, field))})

/* Finds RCX in the jump cache. sites: displacements of the jumps taken when something is in the way,
 * first with RCX as it was, second with RCX ^ tag. */
static void emit_lookup(struct emitter *e, uint8_t *sites[2])
{
	struct asm_out *o = &e->o;

	/* Whoever is traced leaves here always. */
	sites[0] = e->cpu->is_traced ? asm_jmp(&e->o) : compare_requests(e);
	asm_mov_rr(o, 8, H_RAX, H_RCX);
	asm_shift_ri(o, 8, 5, H_RAX, 14);
	asm_rr(o, 4, 0x31, H_RCX, H_RAX);
	asm_alu_ri(o, 4, 4, H_RAX, JUMP_CACHE_SIZE - 1);
	_Static_assert(sizeof(struct jump_entry) == 16, "4 bits of shift");
	asm_shift_ri(o, 4, 4, H_RAX, 4);
	asm_rm(o, 8, 0x33, H_RCX, FRAME(FRAME_TAG));
	asm_rm(o, 8, 0x3b, H_RCX, JUMP_ENTRY(key));
	sites[1] = asm_jcc(o, CC_NE);
}

/* After it, RCX ^ tag still in RCX and the entry's place in RAX. */
static void emit_jump_found(struct emitter *e)
{
	struct asm_out *o = &e->o;

	asm_rm(o, 8, 0x33, H_RCX, FRAME(FRAME_TAG));
	asm_alu_ri(o, 8, 4, H_RCX, -4096);
	asm_store(o, 8, FRAME(FRAME_PAGE), H_RCX);
	asm_load(o, 8, H_RAX, JUMP_ENTRY(block));
	asm_rm(o, 4, 0xff, 4, MEM_BASE(H_RAX, offsetof(struct block, code))); /* jmp [] */
}

void emit_jump_rcx(struct emitter *e, const struct insn *i,
		   void (*commit)(struct emitter *e, const struct insn *i))
{
	uint8_t *sites[2];

	flags_to_frame(e);
	emit_lookup(e, sites);
	if (i) {
		emit_slow(e, i, sites[0], MEM_END);
		emit_slow(e, i, sites[1], MEM_END);
	} else {
		out_new(e, OUT_LEAVE, sites[0])->target = INT32_MIN;
		out_new(e, OUT_MISS, sites[1]);
	}
	if (commit)
		commit(e, i);
	emit_jump_found(e);
	e->is_ended = true;
}

/* ---- for emitters ---- */

void emit_goto(struct emitter *e, int32_t target)
{
	if (is_in_page(target)) {
		if (!e->flags_in_frame && e->recipe.is_valid)
			flags_need(e);
		if (goes_back(e, target))
			emit_poll(e, target, e->flags_in_host, e->flags_in_frame);
		emit_linked_jump(e, target, e->flags_in_host && !e->flags_in_frame);
	} else {
		flags_to_frame(e);
		load_target(e, target);
		emit_jump_rcx(e, NULL, NULL);
	}
	e->is_ended = true;
}

static bool is_same_recipe(const struct recipe *a, const struct recipe *b)
{
	return a->is_valid == b->is_valid && (!a->is_valid || a->insn == b->insn);
}

/*
 * Takes the displacement of a jump to the start of the block, whose flags are in the host's only.
 * False when the loop is not entered like this.
 */
static bool loop_join(struct emitter *e, uint8_t *site)
{
	bool is_first = !e->loop.top && !e->loop.nr_sites;

	if (e->cpu->is_traced || !e->loop.is_possible)
		return false;
	if (is_first) {
		e->loop.recipe = e->recipe;
		e->loop.has_simd = e->has_simd;
		e->loop.has_avx = e->has_avx;
	}
	if (!is_same_recipe(&e->recipe, &e->loop.recipe) || e->has_simd < e->loop.has_simd ||
	    e->has_avx < e->loop.has_avx)
		return false;
	if (e->loop.top || e->in_streams) {
		if (!e->o.is_full)
			asm_patch(site, e->in_streams	 ? e->loop.rounds
					: e->loop.second ? e->loop.second
							 : e->loop.top);
		return true;
	}
	if (e->loop.nr_sites == ARRAY_SIZE(e->loop.sites))
		return false;
	e->loop.last = e->at;
	e->loop.sites[e->loop.nr_sites++] = site;
	return true;
}

/* What is known at the jumps to the start. */
static void loop_state(struct emitter *e)
{
	runs_end(e);
	e->recipe = e->loop.recipe;
	e->has_simd = e->loop.has_simd;
	e->has_avx = e->loop.has_avx;
	e->flags_in_host = true;
	e->flags_in_frame = e->is_ended = false;
	e->at = 0;
}

bool emit_stream_top(struct emitter *e)
{
	uint8_t *site;

	streams_find(e);
	loop_state(e);
	/* Flags of the round before are worked out again, or not needed at all. */
	if (!e->nr_streams || !e->recipe.is_valid || !recipe_lasts(e))
		return false;
	flags_clobber(e);
	asm_align(&e->o, 0, 16);
	e->loop.second = e->o.at;
	e->loop.not_due = emit_if_due(e, CC_NE);
	e->loop.check = e->o.at;
	out_new(e, OUT_LEAVE, compare_requests(e))->target = (int32_t)e->page_off;
	emit_streams(e);
	e->loop.rounds = e->o.at;
	site = emit_if_due(e, CC_E);
	if (!e->o.is_full)
		asm_patch(site, e->loop.check);
	return true;
}

void emit_loop_top(struct emitter *e)
{
	asm_align(&e->o, 0, 16);
	for (unsigned n = 0; n < e->loop.nr_sites && !e->o.is_full; n++)
		asm_patch(e->loop.sites[n], e->o.at);
	loop_state(e);
	if (e->loop.second) {
		flags_clobber(e);
		emit_first_rounds(e);
		e->loop.top = e->o.at;
		if (!e->o.is_full)
			asm_patch(e->loop.not_due, e->loop.top);
		return;
	}
	e->loop.top = e->o.at;
	if (!e->recipe.is_valid || !recipe_lasts(e)) {
		emit_poll(e, (int32_t)e->page_off, true, false);
		return;
	}
	flags_clobber(e);
	out_new(e, OUT_LEAVE, compare_requests(e))->target = (int32_t)e->page_off;
}

void emit_branch(struct emitter *e, unsigned cc, int32_t target)
{
	struct out *out;
	bool is_direct = is_in_page(target) && !goes_back(e, target);

	uint8_t *site;

	if (is_direct)
		asm_align(&e->o, 2, 4);
	site = asm_jcc(&e->o, cc);
	if (target == (int32_t)e->page_off && !e->flags_in_frame && loop_join(e, site))
		return;
	out = out_new(e, OUT_BRANCH, site);
	out->target = target;
}

void emit_interpret(struct emitter *e, const struct insn *i)
{
	flags_to_frame(e);
	load_record(e, i);
	emit_call_gate(e, GATE_INTERPRET);
	e->flags_in_host = e->flags_in_frame = true;
	e->recipe.is_valid = false;
	runs_end(e);
	e->has_simd = e->has_avx = false;
}

void emit_interpret_end(struct emitter *e, const struct insn *i)
{
	flags_to_frame(e);
	load_record(e, i);
	emit_jump_gate(e, GATE_INTERPRET_END);
	e->is_ended = true;
}

void emit_system_call(struct emitter *e, const struct insn *i, enum gate gate)
{
	flags_to_frame(e);
	load_target(e, i->off + i->len);
	load_record(e, i);
	emit_jump_gate(e, gate);
	e->is_ended = true;
}

void emit_count(struct emitter *e)
{
	unsigned counter = (*e->next_counter)++ % RUN_COUNTERS;
	struct out *out;

	asm_alu_mi(&e->o, 4, ALU_SUB, RUNS_LEFT(counter), 1);
	out = out_new(e, OUT_HOT, asm_jcc(&e->o, CC_E));
	out->counter = counter;
	out->resume = e->o.at;
}

/* ---- what stands behind ---- */

/* The code runs on as it is until the next safe point. */
static void write_hot(struct emitter *e, const struct out *out)
{
	struct asm_out *o = &e->o;

	asm_rm(o, 4, 0xc7, 0, RUNS_LEFT(out->counter));
	asm32(o, HOT_RUNS);
	asm_mov_imm(o, H_RAX, (uintptr_t)e->translation);
	asm_store(o, 8, FRAME(offsetof(struct cpu, hot)), H_RAX);
	asm8(o, 0xf0); /* lock or */
	asm_alu_mi(o, 4, ALU_OR, FRAME(FRAME_REQUESTS), REQ_SAFE);
	asm_jmp_to(o, out->resume);
}

static void write_branch(struct emitter *e, const struct out *out)
{
	bool in_host = out->in_host && !out->in_frame;

	e->flags_in_host = out->in_host;
	e->flags_in_frame = out->in_frame;
	e->recipe = out->recipe;
	if (!is_in_page(out->target)) {
		flags_to_frame(e);
		load_target(e, out->target);
		emit_jump_rcx(e, NULL, NULL);
	} else if (goes_back(e, out->target)) {
		emit_poll(e, out->target, out->in_host, out->in_frame);
		emit_linked_jump(e, out->target, in_host);
	} else {
		write_link_stub(e, link_new(e, out->site, in_host), out->target, in_host);
	}
}

/* Looks up a site's span, moved by -delta, in the TLB. ZF: it was there. */
static void write_fill(struct emitter *e, const struct out *out, int32_t delta)
{
	asm_lea(&e->o, 8, H_RAX, MEM_BASE(out->base, out->span.lo - delta));
	asm_rm(&e->o, 4, 0xc7, 0, FRAME(FRAME_FILL));
	asm32(&e->o, out->site_number | (uint32_t)out->site_length << 16);
	emit_call_gate(e, out->span.is_write ? GATE_FILL_WRITE : GATE_FILL_READ);
}

/* The site may know another page, or none, and the TLB have this one. */
static void write_fill_before(struct emitter *e, const struct out *out)
{
	uint8_t *found;

	if (!out->has_site)
		return;
	write_fill(e, out, 0);
	found = asm_jcc(&e->o, CC_E);
	if (!e->o.is_full)
		asm_patch(found, out->retry);
}

/* After the first access of a run was interpreted: the rest counts on the site, or is not run here. */
static void write_fill_after(struct emitter *e, const struct out *out, const struct insn *i)
{
	uint8_t *found;

	if (out->base == H_RCX)
		asm_load(&e->o, 8, H_RCX, FRAME(offsetof(struct cpu, gpr) + i->base * 8));
	write_fill(e, out, out->delta);
	found = asm_jcc(&e->o, CC_E);
	flags_restore(&e->o, 0);
	asm_mov_imm(&e->o, H_RAX, (uintptr_t)e->block);
	asm_store(&e->o, 8, FRAME(offsetof(struct cpu, failed_run)), H_RAX);
	load_target(e, i->off + i->len);
	emit_jump_gate(e, GATE_LEAVE_RUN);
	if (!e->o.is_full)
		asm_patch(found, e->o.at);
	flags_restore(&e->o, 0);
}

/*
 * A run across pages goes on in the block of its first instruction, which will have no runs if this
 * happens often there; the blocks before it keep theirs.
 */
static void write_split_run(struct emitter *e, const struct out *out, const struct insn *i)
{
	uint8_t *fits;

	if (!out->has_site || !out->span.nr_more || i == e->insns)
		return;
	fits = asm_jcc(&e->o, CC_AE);
	e->flags_in_host = out->in_host;
	e->flags_in_frame = out->in_frame;
	e->recipe = out->recipe;
	flags_to_frame(e);
	load_target(e, i->off);
	emit_jump_rcx(e, NULL, NULL);
	if (!e->o.is_full)
		asm_patch(fits, e->o.at);
}

static void write_out(struct emitter *e, const struct out *out)
{
	const struct insn *i = &e->insns[out->record];

	if (!e->o.is_full)
		asm_patch(out->site, e->o.at);
	e->at = out->record;
	listing_mark(e, true);
	switch (out->kind) {
	case OUT_SLOW:
		write_fill_before(e, out);
		write_split_run(e, out, i);
		save_for_exit(e, out);
		load_record(e, i);
		emit_call_gate(e, GATE_SLOW);
		if (out->has_site && out->span.nr_more)
			write_fill_after(e, out, i);
		else if (out->has_site)
			record_site(e, out);
		asm_jmp_to(&e->o, out->resume);
		break;
	case OUT_SLOW_END:
		write_fill_before(e, out);
		save_for_exit(e, out);
		load_record(e, i);
		emit_jump_gate(e, GATE_INTERPRET_END);
		break;
	case OUT_SIMD:
	case OUT_AVX:
		save_for_exit(e, out);
		load_record(e, i);
		emit_call_gate(e, out->kind == OUT_AVX ? GATE_AVX : GATE_SIMD);
		asm_jmp_to(&e->o, out->resume);
		break;
	case OUT_BRANCH:
		write_branch(e, out);
		break;
	case OUT_MISS:
		asm_rm(&e->o, 8, 0x33, H_RCX, FRAME(FRAME_TAG));
		emit_jump_gate(e, GATE_LEAVE_MISS);
		break;
	case OUT_LEAVE:
		save_for_exit(e, out);
		if (out->target != INT32_MIN)
			load_target(e, out->target);
		emit_jump_gate(e, GATE_LEAVE);
		break;
	case OUT_STREAM:
		write_fill_before(e, out);
		emit_due_in(e, 1);
		asm_jmp_to(&e->o, e->loop.top);
		break;
	case OUT_UNKNOWN:
		save_for_exit(e, out);
		load_target(e, out->target);
		emit_jump_gate(e, GATE_LEAVE_MISS);
		break;
	case OUT_HOT:
		write_hot(e, out);
		break;
	}
}

void emit_outs(struct emitter *e)
{
	/* Side exits add some of their own at the end. */
	for (unsigned n = 0; n < e->nr_outs; n++) {
		struct out out = e->outs[n];

		write_out(e, &out);
	}
}
