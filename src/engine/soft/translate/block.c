/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The translation of one block: its instructions in turn, each by its row's emitter or a call of
 * the interpreter, with two ways in.
 */
#include "engine/soft/cache_impl.h"
#include "engine/soft/exec.h"
#include "engine/soft/translate/emit_impl.h"
#include "engine/soft/translate/listing.h"

/* What a block does first to the status flags it is entered with. */
enum flags_use {
	FLAGS_SAVED, /* it needs them in the frame, or may show them to a handler of a fault */
	FLAGS_READ,  /* it needs them in the host's flags */
	FLAGS_OVERWRITTEN, /* nothing */
};

static enum flags_use find_flags_use(const struct insn *insns, unsigned nr)
{
	for (unsigned n = 0; n < nr; n++) {
		const struct insn_row *row = &insn_rows[insns[n].row];
		bool is_jcc = insns[n].row < nr_insn_rows && row->attr & A_COND && row->flags_read;

		if (is_jcc)
			return FLAGS_READ;
		if (!insn_is_plain(&insns[n]))
			return FLAGS_SAVED;
		if (row->flags_read || (row->flags_written && row->flags_written != FLAGS_STATUS))
			return FLAGS_READ;
		/* A count of 0 would leave the flags as they are. */
		if (row->flags_written && (row->opcode == 0xc0 || row->opcode == 0xc1 ||
					   (row->map == MAP_0F && (row->opcode & 0xf7) == 0xa4)))
			return FLAGS_READ;
		if (row->flags_written)
			return FLAGS_OVERWRITTEN;
	}
	return FLAGS_SAVED;
}

/* Kernel code is entered in too many ways, and its sites flushed too often, to be worth them. */
static void count(struct emitter *e)
{
	if (e->rights == TLB_USER && !e->has_sites)
		emit_count(e);
}

static void emit_entries(struct emitter *e)
{
	struct translation *t = e->translation;

	asm_align(&e->o, 0, 16);
	listing_begin(e);
	switch (find_flags_use(e->insns, e->nr)) {
	case FLAGS_SAVED:
		t->entry_host = e->o.at;
		flags_save(&e->o);
		t->entry = e->o.at;
		e->flags_in_frame = true;
		count(e);
		break;
	case FLAGS_READ:
		t->entry = e->o.at;
		count(e);
		flags_restore(&e->o, 0);
		t->entry_host = e->o.at;
		e->flags_in_host = true;
		break;
	case FLAGS_OVERWRITTEN:
		t->entry = t->entry_host = e->o.at;
		count(e);
		break;
	}
}

static bool ends(const struct insn *i)
{
	return i->row >= nr_insn_rows || (insn_rows[i->row].attr & (A_END | A_COND)) == A_END;
}

static void emit_one(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	unsigned nr_outs = e->nr_outs;
	bool is_possible = i->row < nr_insn_rows && row->emit &&
			   (!(i->prefix & PFX_MEM) || mem_is_possible(i));

	listing_mark(e, false);
	if (insn_crosses_page(i))
		emit_crossing(e, i);
	if (!is_possible || !row->emit(e, i)) {
		if (ends(i) || row->attr & A_COND)
			emit_interpret_end(e, i);
		else
			emit_interpret(e, i);
	}
	if (e->recipe.is_valid && e->recipe.insn != i && insn_regs_written(i) & e->recipe.regs)
		e->recipe.is_valid = false;
	runs_update(e, i);
	for (unsigned n = nr_outs; n < e->nr_outs; n++)
		if (!e->outs[n].resume)
			e->outs[n].resume = e->o.at;
}

/* The block's own instructions may have been refined: they are decoded anew. */
static void decode_all(struct emitter *e, struct insn *insns)
{
	struct block *b = e->block;
	unsigned len;

	e->nr = e->size = 0;
	while (e->size < b->size && e->nr < b->nr) {
		len = decode(block_code(b) + e->size, b->size - e->size, CODE_64, e->cpu->features,
			     e->page_off + e->size, &insns[e->nr]);
		/* Bytes that are no instruction, of which the decoder would see more. */
		if (!len)
			break;
		e->nr++;
		e->size += len;
	}
}

/* Links of the block lie between its header and its code. */
static void reserve_links(struct emitter *e)
{
	unsigned nr_branches = 0;

	for (unsigned n = 0; n < e->nr; n++) {
		const struct insn *i = &e->insns[n];

		if (i->row >= nr_insn_rows || !(insn_rows[i->row].attr & A_COND))
			continue;
		nr_branches++;
		e->loop.is_possible |= i->off + i->len + (int64_t)i->imm == e->page_off;
	}
	/* A loop is written up to three times. One more than there can be spares a check of the last. */
	e->max_links = (e->loop.is_possible ? 3 : 1) * (nr_branches + 1);
	e->o.at += (e->max_links + 1) * sizeof(struct link);
}

static void emit_body(struct emitter *e)
{
	for (e->at = 0; e->at < e->nr && !e->is_ended; e->at++)
		emit_one(e, &e->insns[e->at]);
	if (e->is_ended)
		return;
	e->at = e->nr - 1;
	emit_goto(e, (int32_t)(e->page_off + e->size));
}

/* The loop's body once more, up to the jump. */
static void emit_stream_body(struct emitter *e)
{
	e->in_streams = true;
	for (e->at = 0; e->at <= e->loop.last; e->at++)
		emit_one(e, &e->insns[e->at]);
	e->in_streams = false;
	e->at = e->loop.last;
	emit_goto(e, e->insns[e->at].off + e->insns[e->at].len);
}

bool translate_block(struct emitter *e)
{
	struct insn insns[BLOCK_INSNS_MAX + 1];
	struct block *b = e->block;

	e->page_off = b->gpa & 4095;
	decode_all(e, insns);
	if (!e->nr)
		return false;
	if (!ends(&insns[e->nr - 1]))
		crossing_decode(e, &insns[e->nr]);
	e->insns = insns;
	reserve_links(e);
	e->has_sites |= e->rights == TLB_USER && (b->is_hot || e->loop.is_possible);
	emit_entries(e);
	emit_body(e);
	if (e->loop.nr_sites) {
		e->translation->is_loop = true;
		if (emit_stream_top(e))
			emit_stream_body(e);
		emit_loop_top(e);
		emit_body(e);
	}
	emit_outs(e);
	listing_mark_end(e);
	emit_records(e);
	if (e->is_full || e->o.is_full)
		return false;
	listing_add(e);
	e->insns = NULL;
	return true;
}
