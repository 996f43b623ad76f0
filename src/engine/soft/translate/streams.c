/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams: accesses of a loop whose address moves by the same number of bytes each round. Each is
 * checked once, and so is how many rounds stay in the pages found: so many then run without checks,
 * in a third copy of the loop's body. What the check cannot allow, an access across pages for one, is
 * left to the second copy, a round of which comes before the next check. So are the first rounds of a
 * loop that may be short: the check costs as much as some rounds.
 *
 * An address is known to move like this when its registers are changed by nothing in the body, or by
 * one addition of a constant. One such register tells the rounds: FRAME_PACE is its value when the
 * next check is due.
 */
#include "engine/soft/translate/emit_impl.h"
#include "engine/soft/translate/emitters.h"

#define ALU_CMP	   7
#define CC_AE	   3
#define OPCODE_ADD 0x03
#define SHR	   5

#define STEP_MAX     256  /* bytes each round; with more, pages change too often */
#define SPAN_MAX     512  /* bytes of one round */
#define ROUNDS_LONG  6	  /* so many are left of a loop that is checked at once */
#define ROUNDS_FIRST 4	  /* and so many of another come before its check */
#define ROUNDS_INSNS 2048 /* instructions between two looks at the requests, about a microsecond */

/* How the loop's body changes registers. */
struct steps {
	int32_t step[16];
	bool varies[16];
	uint8_t at[16]; /* the instruction that adds step */
};

/* ---- which there are ---- */

static void find_steps(const struct emitter *e, struct steps *s)
{
	*s = (struct steps){0};
	for (unsigned n = 0; n <= e->loop.last; n++) {
		unsigned written = insn_regs_written(&e->insns[n]), reg;
		int32_t step;

		for (unsigned r = 0; r < 16; r++)
			s->varies[r] |= written >> r & 1 && s->step[r];
		if (insn_adds(&e->insns[n], &reg, &step)) {
			s->varies[reg] |=
				s->step[reg] || !step || step > STEP_MAX || step < -STEP_MAX;
			s->step[reg] = step;
			s->at[reg] = (uint8_t)n;
			written &= ~(1u << reg);
		}
		for (unsigned r = 0; r < 16; r++)
			s->varies[r] |= written >> r & 1;
	}
}

/* Of a register that an address is made of, which may be none: what it has moved before insn, 0 .. */
static int32_t moved(const struct steps *s, unsigned reg, unsigned insn)
{
	return reg < 16 && s->at[reg] < insn ? s->step[reg] : 0;
}

static int32_t step_of(const struct steps *s, unsigned reg)
{
	return reg < 16 ? s->step[reg] : 0;
}

static bool varies(const struct steps *s, unsigned reg)
{
	return reg < 16 && s->varies[reg];
}

static struct stream *stream_for(struct emitter *e, const struct access *a, int32_t disp)
{
	for (unsigned n = 0; n < e->nr_streams; n++) {
		struct stream *t = &e->streams[n];

		if (t->base == a->base && t->index == a->index &&
		    max(t->span.hi, disp + (int32_t)a->size) - min(t->span.lo, disp) <= SPAN_MAX)
			return t;
	}
	if (e->nr_streams == STREAMS_MAX)
		return NULL;
	e->streams[e->nr_streams] = (struct stream){0};
	return &e->streams[e->nr_streams];
}

static void add_access(struct emitter *e, const struct steps *s, unsigned n, const struct access *a)
{
	unsigned index = a->index & 31, scale = a->index >> 6;
	int32_t step = step_of(s, a->base) + step_of(s, index) * (1 << scale), disp;
	struct stream *t;

	if (varies(s, a->base) || varies(s, index) || step > STEP_MAX || step < -STEP_MAX)
		return;
	/* The round before, in another copy, has found the access aligned: so it is in all others. */
	if (a->align && step % (int32_t)a->align)
		return;
	disp = a->disp + moved(s, a->base, n) + moved(s, index, n) * (1 << scale);
	t = stream_for(e, a, disp);
	if (!t)
		return;
	if (t == &e->streams[e->nr_streams]) {
		*t = (struct stream){.base = a->base,
				     .index = a->index,
				     .first = (uint8_t)n,
				     .step = step,
				     .has_base_step = step_of(s, a->base),
				     .has_index_step = step_of(s, index),
				     .span = {.lo = disp, .hi = disp + (int32_t)a->size}};
		e->nr_streams++;
	}
	t->span.lo = min(t->span.lo, disp);
	t->span.hi = max(t->span.hi, disp + (int32_t)a->size);
	t->span.is_write |= a->is_write;
	e->stream_of[n] = (uint8_t)(t - e->streams + 1);
}

/*
 * A loop that has no other end than a comparison of registers of which one moves: by how much they
 * come closer each round.
 */
static void find_distance(struct emitter *e, const struct steps *s)
{
	const struct recipe *r = &e->loop.recipe;
	unsigned dst = r->dst / 8, src = r->src / 8;
	bool is_compare = r->kind == RECIPE_COMPARE;

	e->loop.distance_step = 0;
	for (unsigned n = 0; n < e->loop.last; n++)
		if (insn_rows[e->insns[n].row].attr & A_COND)
			return;
	if (r->size != 8 || r->has_value ||
	    !(is_compare || (r->kind == RECIPE_SUB && r->has_imm)) || s->varies[dst] ||
	    (!r->has_imm && s->varies[src]))
		return;
	e->loop.distance_step = s->step[dst] - (r->has_imm ? 0 : s->step[src]);
}

/* The register that tells the rounds; one of the host's, if there is. */
static bool find_pace(struct emitter *e, const struct steps *s)
{
	e->loop.pace_step = 0;
	for (unsigned r = 0; r < 16; r++) {
		if (s->varies[r] || !s->step[r] || (e->loop.pace_step && reg_is_in_frame(r * 8)))
			continue;
		e->loop.pace = r;
		e->loop.pace_step = s->step[r];
	}
	return e->loop.pace_step;
}

void streams_find(struct emitter *e)
{
	struct steps s;
	struct access a;

	e->nr_streams = 0;
	if (e->loop.nr_sites != 1 || insn_rows[e->insns[e->loop.last].row].emit != e_jcc)
		return;
	for (unsigned n = 0; n <= e->loop.last; n++)
		if (insn_regs_written(&e->insns[n]) == ALL_REGS)
			return;
	find_steps(e, &s);
	if (!find_pace(e, &s))
		return;
	find_distance(e, &s);
	for (unsigned n = 0; n <= e->loop.last; n++) {
		e->stream_of[n] = 0;
		if (insn_access(&e->insns[n], &a))
			add_access(e, &s, n, &a);
	}
}

/* ---- the check before the loop ---- */

static unsigned shift_of(int32_t step)
{
	unsigned shift = 0, bytes = (unsigned)(step < 0 ? -step : step);

	while (1u << shift < bytes)
		shift++;
	return shift;
}

/* RAX, the place in the page, to rounds that may be run before the span leaves it. */
static void limit_rounds(struct emitter *e, const struct stream *t, unsigned length)
{
	struct asm_out *o = &e->o;
	uint8_t *skip;

	if (!t->step)
		return;
	if (t->step > 0) {
		asm_rr(o, 4, 0xf7, 3, H_RAX); /* neg */
		asm_alu_ri(o, 4, 0, H_RAX, 4096 - (int32_t)length);
	}
	if (shift_of(t->step))
		asm_shift_ri(o, 4, SHR, H_RAX, shift_of(t->step));
	asm_alu_ri(o, 4, 0, H_RAX, 1);
	asm_rm(o, 4, 0x3b, H_RAX, FRAME(FRAME_ROUNDS));
	asm8(o, 0x70 | CC_AE);
	skip = o->at;
	asm8(o, 0);
	asm_store(o, 4, FRAME(FRAME_ROUNDS), H_RAX);
	if (!o->is_full)
		asm_patch8(skip, o->at);
}

/* What the host address has beside the registers that move, to the frame. */
static void store_origin(struct emitter *e, const struct stream *t, unsigned n, size_t addend)
{
	struct asm_out *o = &e->o;
	unsigned index = t->index & 31, reg;

	asm_load(o, 8, H_RAX, FRAME(addend));
	if (t->base == SLOT_RIP) {
		asm_rm(o, 8, OPCODE_ADD, H_RAX, FRAME(FRAME_PAGE));
	} else if (t->base < 16 && !t->has_base_step) {
		reg = reg_get(e, t->base * 8u, H_RCX);
		asm_rr(o, 8, 0x01, reg, H_RAX);
	}
	if (index < 16 && !t->has_index_step) {
		reg = reg_get(e, index * 8, H_RCX);
		asm_lea(o, 8, H_RAX,
			(struct mem_ref){
				.base = H_RAX, .index = (uint8_t)reg, .scale = t->index >> 6});
	}
	asm_store(o, 8, FRAME(FRAME_STREAMS + n * 8), H_RAX);
}

static void check_stream(struct emitter *e, unsigned n)
{
	const struct stream *t = &e->streams[n];
	struct insn at_top = e->insns[t->first];
	unsigned length;
	size_t addend;

	e->at = t->first;
	at_top.disp = t->span.lo;
	emit_linear(e, &at_top);
	addend = emit_stream_check(e, &t->span, &length);
	limit_rounds(e, t, length);
	store_origin(e, t, n, addend);
}

void emit_streams(struct emitter *e)
{
	struct asm_out *o = &e->o;

	asm_rm(o, 4, 0xc7, 0, FRAME(FRAME_ROUNDS));
	asm32(o, ROUNDS_INSNS / (e->loop.last + 1));
	for (unsigned n = 0; n < e->nr_streams; n++)
		check_stream(e, n);
	e->at = 0;
	asm_load(o, 4, H_RAX, FRAME(FRAME_ROUNDS));
	asm_rr(o, 8, 0x69, H_RAX, H_RAX); /* imul */
	asm32(o, (uint32_t)e->loop.pace_step);
	asm_rr(o, 8, 0x01, reg_get(e, e->loop.pace * 8, H_RCX), H_RAX);
	asm_store(o, 8, FRAME(FRAME_PACE), H_RAX);
	asm_align(o, 0, 16);
}

/* ---- when it is made ---- */

uint8_t *emit_if_due(struct emitter *e, unsigned cc)
{
	asm_rm(&e->o, 8, 0x3b, reg_get(e, e->loop.pace * 8, H_RAX), FRAME(FRAME_PACE));
	return asm_jcc(&e->o, cc);
}

void emit_due_in(struct emitter *e, unsigned rounds)
{
	asm_lea(&e->o, 8, H_RAX,
		MEM_BASE(reg_get(e, e->loop.pace * 8, H_RAX), e->loop.pace_step * (int32_t)rounds));
	asm_store(&e->o, 8, FRAME(FRAME_PACE), H_RAX);
}

/* RAX = how far what the loop compares is apart. */
static void load_distance(struct emitter *e)
{
	const struct recipe *r = &e->loop.recipe;
	bool is_falling = e->loop.distance_step < 0;
	struct asm_out *o = &e->o;

	if (r->has_imm) {
		asm_lea(o, 8, H_RAX,
			MEM_BASE(reg_get(e, r->dst, H_RAX),
				 r->kind == RECIPE_COMPARE ? -(int64_t)r->imm : 0));
		if (!is_falling)
			asm_rr(o, 8, 0xf7, 3, H_RAX); /* neg */
		return;
	}
	asm_mov_rr(o, 8, H_RAX, reg_get(e, is_falling ? r->dst : r->src, H_RAX));
	asm_rr(o, 8, 0x29, reg_get(e, is_falling ? r->src : r->dst, H_RCX), H_RAX);
}

void emit_first_rounds(struct emitter *e)
{
	int32_t step = e->loop.distance_step;
	uint8_t *site;

	if (step) {
		load_distance(e);
		asm_alu_ri(&e->o, 8, ALU_CMP, H_RAX, ROUNDS_LONG * (step < 0 ? -step : step));
		site = asm_jcc(&e->o, CC_AE);
		if (!e->o.is_full)
			asm_patch(site, e->loop.check);
	}
	emit_due_in(e, ROUNDS_FIRST);
}

/* ---- accesses in the loop ---- */

const struct stream *stream_of_access(const struct emitter *e, const struct insn *i, unsigned how)
{
	const struct stream *t;

	if (!e->in_streams || !e->stream_of[e->at] || i != &e->insns[e->at])
		return NULL;
	t = &e->streams[e->stream_of[e->at] - 1];
	/* What insn_access() has told of the instruction holds for its emitter. */
	BUG_ON(how & MEM_WRITE && !t->span.is_write);
	return t;
}

struct mem_ref stream_access(struct emitter *e, const struct insn *i, const struct stream *t)
{
	struct asm_out *o = &e->o;
	unsigned index = t->index & 31, reg;
	struct mem_ref m = MEM_BASE(H_RAX, i->disp);

	asm_load(o, 8, H_RAX, FRAME(FRAME_STREAMS + (size_t)(t - e->streams) * 8));
	if (t->has_base_step) {
		reg = reg_get(e, t->base * 8u, H_RCX);
		if (t->has_index_step || reg == H_RCX)
			asm_lea(o, 8, H_RAX,
				(struct mem_ref){.base = H_RAX, .index = (uint8_t)reg});
		else
			m.index = (uint8_t)reg;
	}
	if (t->has_index_step) {
		reg = reg_get(e, index * 8, H_RCX);
		m.index = (uint8_t)reg;
		m.scale = t->index >> 6;
		if (reg == H_RCX) {
			asm_lea(o, 8, H_RAX, m);
			m = MEM_BASE(H_RAX, 0);
		}
	}
	e->scratch = H_RCX;
	return m;
}
