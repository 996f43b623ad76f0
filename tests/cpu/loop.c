/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loops over memory, as compilers write them: some accesses off a base and an index of which one or
 * both move by a constant, until a comparison says that it is enough. They run across pages, and now
 * and then into one that is missing. In half of them stands some instruction of the table, whose operand
 * then is the loop's. Some accesses stand behind an if, with an else or without.
 */
#include <string.h>

#include "cpu/address.h"
#include "cpu/block_impl.h"

#define ROUNDS_MAX 300

#define NO_INDEX 4 /* in SIB */

struct loop {
	unsigned base, index, scale, bound; /* registers; index NO_INDEX: none */
	int step;
	bool base_moves, index_moves;
	const struct insn_row *row; /* of the instruction in d->scratch, or NULL */
	struct parsed form;
};

/* Registers that change may not be those that the loop ends by. */
static unsigned other_register(struct draw *d, const struct loop *l)
{
	unsigned reg;

	do
		reg = rng_below(d->r, 16);
	while (reg == RSP || reg == l->base || reg == l->index || reg == l->bound);
	return reg;
}

/* prefix, opcode (0x0fXX: two bytes) with register reg and the loop's operand. */
static void draw_access(struct draw *d, const struct loop *l, unsigned prefix, bool is_wide,
			unsigned opcode, unsigned reg, unsigned align)
{
	int32_t disp = (int32_t)rng_below(d->r, 96) - 32;
	uint8_t code[16];
	unsigned len = 0;

	if (rng_below(d->r, 16))
		disp &= -(int32_t)align;
	if (prefix)
		code[len++] = (uint8_t)prefix;
	code[len++] = (uint8_t)(0x40 | is_wide << 3 | reg >> 3 << 2 |
				(l->index == NO_INDEX ? 0 : l->index >> 3 << 1) | l->base >> 3);
	if (opcode > 0xff)
		code[len++] = (uint8_t)(opcode >> 8);
	code[len++] = (uint8_t)opcode;
	code[len++] = (uint8_t)(0x84 | (reg & 7) << 3);
	code[len++] = (uint8_t)(l->scale << 6 | (l->index & 7) << 3 | (l->base & 7));
	memcpy(code + len, &disp, 4);
	piece_add(d, code, len + 4);
}

static void draw_body(struct draw *d, const struct loop *l)
{
	static const struct {
		uint16_t opcode;
		uint8_t prefix, align;
		bool is_vector;
	} forms[] = {
		{0x8b, 0, 1, false},	 {0x89, 0, 1, false},	  {0x03, 0, 1, false},
		{0x01, 0, 1, false},	 {0x3b, 0, 1, false},	  {0x88, 0, 1, false},
		{0x33, 0x66, 1, false},	 {0x0fb6, 0, 1, false},	  {0x0fbf, 0, 1, false},
		{0x0f44, 0, 1, false},	 {0x0f10, 0, 1, true},	  {0x0f11, 0, 1, true},
		{0x0f28, 0, 16, true},	 {0x0f29, 0, 16, true},	  {0x0f57, 0, 16, true},
		{0x0f7e, 0xf3, 1, true}, {0x0fd6, 0x66, 1, true}, {0x0fef, 0x66, 16, true},
		{0x0fa3, 0, 1, false},
	};
	unsigned n = rng_below(d->r, ARRAY_SIZE(forms));

	draw_access(d, l, forms[n].prefix, rng_below(d->r, 2), forms[n].opcode,
		    forms[n].is_vector ? rng_below(d->r, 16) : other_register(d, l),
		    forms[n].align);
}

/* reg += step, in one of the ways there are. */
static void draw_step(struct draw *d, unsigned reg, int step)
{
	uint8_t rex = (uint8_t)(0x48 | reg >> 3), low = reg & 7;

	switch (rng_below(d->r, 3)) {
	case 0:
		PIECE(d, rex, 0x83, 0xc0 | low, (uint8_t)step);
		break;
	case 1:
		PIECE(d, rex, 0x83, 0xe8 | low, (uint8_t)-step);
		break;
	default: /* lea; as base RSP and R12 need SIB */
		if (low == RSP)
			PIECE(d, 0x48 | reg >> 3 << 2 | reg >> 3, 0x8d, 0x44 | low << 3, 0x24,
			      (uint8_t)step);
		else
			PIECE(d, 0x48 | reg >> 3 << 2 | reg >> 3, 0x8d, 0x40 | low << 3 | low,
			      (uint8_t)step);
		break;
	}
}

/* Compares what moves with its last value, and jumps to piece start. */
static void draw_end(struct draw *d, const struct loop *l, int64_t last, unsigned start)
{
	/* Not equal, and signed: the last values are never far from where they started. */
	uint8_t cc = rng_below(d->r, 3) ? 5 : l->step > 0 ? 12 : 15;
	unsigned reg = l->index_moves ? l->index : l->base;
	struct piece *p;

	if (rng_below(d->r, 2)) {
		p = PIECE(d, 0x48 | reg >> 3, 0x81, 0xf8 | (reg & 7), 0, 0, 0, 0);
		memcpy(p->code + 3, &(int32_t){(int32_t)last}, 4);
	} else {
		PIECE(d, 0x48 | l->bound >> 3 << 2 | reg >> 3, 0x39,
		      0xc0 | (l->bound & 7) << 3 | (reg & 7));
	}
	p = PIECE(d, 0x0f, 0x80 | cc, 0, 0, 0, 0);
	p->rel_size = 4;
	p->rel_at = 2;
	p->to = (uint16_t)start;
}

/* A jump by 32 bits whose place to go is set by lead_here(). */
static struct piece *draw_jump(struct draw *d, int cc)
{
	struct piece *p = cc < 0 ? PIECE(d, 0xe9, 0, 0, 0, 0)
				 : PIECE(d, 0x0f, (uint8_t)(0x80 | cc), 0, 0, 0, 0);

	p->rel_size = 4;
	p->rel_at = p->len - 4;
	return p;
}

static void lead_here(struct draw *d, struct piece *p)
{
	p->to = (uint16_t)d->b->nr;
}

static void draw_bodies(struct draw *d, const struct loop *l)
{
	unsigned nr = 1 + rng_below(d->r, 3);

	for (unsigned n = 0; n < nr; n++)
		draw_body(d, l);
}

/* The condition is of what moves, so it changes from round to round, or of the flags that are there. */
static void draw_if(struct draw *d, const struct loop *l)
{
	unsigned reg = l->index_moves ? l->index : l->base;
	struct piece *over, *out;

	if (rng_below(d->r, 3)) { /* test */
		struct piece *p = PIECE(d, 0x48 | reg >> 3, 0xf7, 0xc0 | (reg & 7), 0, 0, 0, 0);

		memcpy(p->code + 3, &(uint32_t){1u << rng_below(d->r, 10)}, 4);
	}
	over = draw_jump(d, (int)rng_below(d->r, 16));
	draw_bodies(d, l);
	if (rng_below(d->r, 3) == 0) {
		out = draw_jump(d, -1);
		lead_here(d, over);
		draw_bodies(d, l);
		over = out;
	}
	lead_here(d, over);
}

static unsigned draw_register(struct draw *d, unsigned not1, unsigned not2)
{
	unsigned reg;

	do
		reg = rng_below(d->r, 16);
	while (reg == RSP || reg == not1 || reg == not2);
	return reg;
}

static bool has_loop_operand(const struct insn_row *row, const struct parsed *p)
{
	return p->is_mem && p->addr_log2 == 3 && p->segment == SEG_NO_OVERRIDE &&
	       !(p->form->flags & FORM_VSIB) && !(row->attr & A_REP) && p->base < 16 &&
	       p->base != RSP && p->base != p->index && p->base != p->reg && p->index != p->reg;
}

/* Encodes an instruction of the table in d->scratch, whose operand is made of a base. */
static void draw_form(struct draw *d, struct loop *l)
{
	struct trial *t = &d->scratch;

	l->row = NULL;
	t->size = CODE_64;
	for (unsigned n = 0; n < 32 && !l->row; n++) {
		const struct insn_row *row = draw_row(d);

		if (row->emit && encode(d->g, d->r, row, t, &l->form) &&
		    has_loop_operand(row, &l->form))
			l->row = row;
	}
	if (l->row && disp_size(&l->form) == 4)
		set_disp(t, &l->form, (int32_t)rng_below(d->r, 8) * 16 - 32);
}

static void draw_registers(struct draw *d, struct loop *l)
{
	static const int8_t steps[] = {1, 2, 3, 4, 8, 12, 16, 16, 24, 32, 48, 64, 100};

	l->base = draw_register(d, RSP, RSP);
	l->index = rng_below(d->r, 3) ? draw_register(d, l->base, RSP) : NO_INDEX;
	if (l->row) {
		l->base = l->form.base;
		l->index = l->form.index < 16 ? l->form.index : NO_INDEX;
	}
	do
		l->bound = draw_register(d, l->base, l->index);
	while (l->row && (l->bound == l->form.reg || l->bound == l->form.vvvv));
	l->step = steps[rng_below(d->r, ARRAY_SIZE(steps))] * (rng_below(d->r, 3) ? 1 : -1);
	l->index_moves = l->index != NO_INDEX && rng_below(d->r, 4);
	l->base_moves = !l->index_moves || rng_one_in(d->r, 4);
	/* A bound of 32 bits is compared with, so an index that stands still is small. */
	l->scale = l->index == NO_INDEX ? 0 : l->row ? l->form.scale_log2 : rng_below(d->r, 4);
}

void draw_loop(struct draw *d)
{
	unsigned rounds = 1 + rng_below(d->r, rng_below(d->r, 2) ? ROUNDS_MAX : 12), start, nr;
	uint64_t address = DATA_RW + 16 * rng_below(d->r, DATA_RW_SIZE / 16), first;
	struct loop l = {.row = NULL};
	bool has_ifs = rng_below(d->r, 2);
	unsigned special;

	if (rng_below(d->r, 2))
		draw_form(d, &l);
	draw_registers(d, &l);
	first = l.index_moves ? 16 * rng_below(d->r, 4) : address;
	load_register(d, l.base, address - (l.index_moves ? first << l.scale : 0));
	if (l.index != NO_INDEX)
		load_register(d, l.index, l.index_moves ? first : 8 * rng_below(d->r, 4));
	first += (uint64_t)((int64_t)l.step * rounds);
	load_register(d, l.bound, first);
	start = d->b->nr;
	nr = 1 + rng_below(d->r, 5);
	special = rng_below(d->r, nr);
	for (unsigned n = 0; n < nr; n++) {
		if (l.row && n == special)
			emit_piece(d, l.row, &l.form);
		else if (has_ifs && rng_below(d->r, 2))
			draw_if(d, &l);
		else
			draw_body(d, &l);
		if (rng_one_in(d->r, 12)) /* jp */
			lead_forward(d, PIECE(d, 0x0f, 0x8a, 0, 0, 0, 0), 4, 8);
	}
	if (l.index_moves)
		draw_step(d, l.index, l.step);
	if (l.base_moves)
		draw_step(d, l.base, l.step);
	if (rng_one_in(d->r, 4))
		draw_body(d, &l);
	draw_end(d, &l, (int64_t)first, start);
}
