/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encodings: draws prefixes, opcode, ModRM and immediates that fit a row's fields, and lets the
 * decoder judge whether the result is that row. What it refuses is drawn again.
 */
#include "cpu/generate_impl.h"

#include <string.h>

#include "engine/soft/decode/operand.h"

#define DRAWS_MAX 200

static bool row_has_place(const struct insn_row *row, enum operand_place place)
{
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++)
		if (row->op[n] != O_none && operand_info[row->op[n]].place == place)
			return true;
	return false;
}

static bool row_has_modrm(const struct insn_row *row)
{
	return opcode_forms(row->map, row->opcode)->has_modrm;
}

static void put(struct trial *t, uint8_t byte)
{
	t->code[t->code_len++] = byte;
}

/* 66, F2, F3, LOCK, segment and address size, in any order. */
static void put_prefixes(struct rng *r, const struct insn_row *row, struct trial *t)
{
	uint8_t list[6], nr = 0;
	bool is_vex = row->vex != VEX_NO;

	if (!is_vex) {
		if (row->prefix == P_66)
			list[nr++] = 0x66;
		else if (row->prefix != P_NONE && rng_one_in(r, 3))
			list[nr++] = 0x66;
		if (row->prefix == P_F3)
			list[nr++] = 0xf3;
		else if (row->prefix == P_F2)
			list[nr++] = 0xf2;
		else if (row->attr & A_REP && rng_below(r, 3))
			list[nr++] = rng_below(r, 2) ? 0xf2 : 0xf3;
		/* Mostly where it is allowed; elsewhere it must raise #UD. */
		if (row->attr & A_LOCK ? rng_one_in(r, 3) : rng_one_in(r, 100))
			list[nr++] = 0xf0;
	}
	if (rng_one_in(r, 8)) {
		static const uint8_t segments[] = {0x64, 0x64, 0x65, 0x65, 0x26, 0x2e, 0x36, 0x3e};

		list[nr++] = segments[rng_below(r, ARRAY_SIZE(segments))];
	}
	/* FS points far beyond 4 GiB, at the C library's data: nothing of ours is near it. */
	if (rng_one_in(r, 8) && !(nr && list[nr - 1] == 0x64))
		list[nr++] = 0x67;
	while (nr) {
		unsigned n = rng_below(r, nr);

		put(t, list[n]);
		list[n] = list[--nr];
	}
}

static void put_vex(struct rng *r, const struct insn_row *row, struct trial *t, uint8_t rxb)
{
	bool w = row->w == W_ANY ? rng_below(r, 2) : row->w == W_1;
	bool l = row->vex == VEX_LIG ? rng_below(r, 2) : row->vex == VEX_256;
	unsigned nr = t->size == CODE_64 ? 16 : 8;
	uint8_t vvvv = row_has_place(row, AT_VVVV) ? rng_below(r, nr) : 0;

	/* Once in a while a vvvv that has no business there: #UD. */
	if (!vvvv && rng_one_in(r, 200))
		vvvv = rng_below(r, nr);

	static const uint8_t pp_of[] = {
		[P_ANY] = 0, [P_NONE] = 0, [P_66] = 1, [P_F3] = 2, [P_F2] = 3};
	uint8_t last = (uint8_t)((~vvvv & 15) << 3 | l << 2 | pp_of[row->prefix]);

	if (row->map == MAP_0F && !w && !(rxb & 3) && rng_below(r, 2)) {
		put(t, 0xc5);
		put(t, (uint8_t)((rxb & 4 ? 0 : 0x80) | last));
		return;
	}
	put(t, 0xc4);
	put(t, (uint8_t)((~rxb & 7) << 5 | row->map));
	put(t, (uint8_t)(w << 7 | last));
}

static void put_modrm(struct rng *r, const struct insn_row *row, struct trial *t)
{
	uint8_t mod = row->mod == MOD_REG   ? 3
		      : row->mod == MOD_MEM ? rng_below(r, 3)
					    : (rng_below(r, 2) ? 3 : rng_below(r, 3));
	uint8_t reg = row->digit ? row->digit - 1u : rng_below(r, 8);
	uint8_t rm = row->rm ? row->rm - 1u : rng_below(r, 8);

	if (row_has_place(row, AT_RM))
		for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++)
			if (operand_info[row->op[n]].is_vsib)
				rm = 4;
	put(t, (uint8_t)(mod << 6 | reg << 3 | rm));
	if (mod != 3 && rm == 4)
		put(t, (uint8_t)rng_next(r));
}

static void draw(struct rng *r, const struct insn_row *row, struct trial *t)
{
	bool is_64 = t->size == CODE_64;
	uint8_t rxb = is_64 && rng_below(r, 2) ? rng_below(r, 8) : 0;
	bool w = row->w == W_ANY ? rng_one_in(r, 3) : row->w == W_1;
	uint8_t opcode = row->opcode;

	t->code_len = 0;
	put_prefixes(r, row, t);
	if (row->vex != VEX_NO) {
		put_vex(r, row, t, rxb);
	} else {
		if (is_64 && (w || rxb || rng_one_in(r, 3)))
			put(t, (uint8_t)(0x40 | w << 3 | rxb));
		if (row->map != MAP_1)
			put(t, 0x0f);
		if (row->map == MAP_0F38 || row->map == MAP_0F3A)
			put(t, row->map == MAP_0F38 ? 0x38 : 0x3a);
	}
	if (row_has_place(row, AT_OPCODE))
		opcode += rng_below(r, 8);
	put(t, opcode);
	if (row_has_modrm(row))
		put_modrm(r, row, t);
	/* Displacement and immediate: the decoder says how much of it belongs to the instruction.
	 */
	while (t->code_len < 15) {
		uint64_t noise = random_integer(r);

		for (unsigned n = 0; n < 8 && t->code_len < 15; n++)
			put(t, (uint8_t)(noise >> n * 8));
	}
}

bool encode(const struct generator *g, struct rng *r, const struct insn_row *row, struct trial *t,
	    struct parsed *p)
{
	for (unsigned n = 0; n < DRAWS_MAX; n++) {
		enum parse_result result;

		draw(r, row, t);
		result = parse(p, t->code, t->code_len, t->size, g->features);
		if (!p->form || p->form->row != row - insn_rows)
			continue;
		/* A LOCK or vvvv that is not allowed makes a trial too, but rarely. */
		if (result != PARSE_OK && (result != PARSE_BAD || rng_below(r, 8)))
			continue;
		t->code_len = p->pos;
		return true;
	}
	return false;
}
