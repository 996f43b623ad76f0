/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Draws blocks. Addresses are loaded into the registers of a memory operand right before it, because
 * nothing is known of the values there by then. Rows the translator emits code for are drawn more
 * often than the others.
 */
#include "cpu/block_impl.h"

#include <string.h>

#include "cpu/address.h"
#include "engine/soft/decode/operand.h"

#define BRANCH_ROWS (A_END | A_CPL0)

struct piece *piece_add(struct draw *d, const void *code, unsigned len)
{
	struct block_trial *b = d->b;
	struct piece *p = &b->pieces[b->nr];

	/* The last one is written over again and again: blocks are that long by chance only. */
	if (b->nr < PIECES_MAX - 1)
		b->nr++;
	*p = (struct piece){.len = (uint8_t)len, .insn_len = (uint8_t)len, .to = PIECE_NONE};
	memcpy(p->code, code, len);
	return p;
}

void load_register(struct draw *d, unsigned number, uint64_t value)
{
	struct piece *p = PIECE(d, 0x48 | number >> 3, 0xb8 | (number & 7), 0, 0, 0, 0, 0, 0, 0, 0);

	memcpy(p->code + 2, &value, 8);
}

/* ---- instructions of the table ---- */

bool row_is_undefined(const struct insn_row *row)
{
	/* AF of the logical operations is clear on every CPU there is. */
	return row->flags_undef & ~FLAG_AF || row->attr & A_NOTEST;
}

/* Parts of these may have been stored, or loaded, when they fault. */
static bool is_divisible(const struct insn_row *row)
{
	static const char *const parts[] = {"save", "rstor", "env", "maskmov", "gather"};

	for (unsigned n = 0; n < ARRAY_SIZE(parts); n++)
		if (strstr(row->name, parts[n]))
			return true;
	return IS_NAMED(row, "enter", "callf", "fbstp", "retf", "iret");
}

static bool is_possible(const struct draw *d, const struct insn_row *row)
{
	if (row_excluded(d->g, row) || row->mode == MODE_NOT64)
		return false;
	if (row->feature != FEAT_NONE &&
	    !(d->g->features[row->feature / 32] >> (row->feature % 32) & 1))
		return false;
	/* Which components XSAVE finds in use is the CPU's own business. */
	if (!strncmp(row->name, "xsave", 5))
		return false;
	/* Other descriptors than the user's are not the same here and there. */
	if (d->is_for_host && IS_NAMED(row, "lar", "lsl", "verr", "verw"))
		return false;
	if (IS_NAMED(row, "wrgsbase", "popf", "loop", "loope", "loopne", "jrcxz", "jecxz", "in",
		     "out", "ins", "outs", "clac", "stac", "cli", "sti", "ud0", "ud1", "ud2", "lss",
		     "lfs", "lgs"))
		return false;
	if (row->attr & BRANCH_ROWS || operand_info[row->op[0]].file == FILE_SEG)
		return false;
	return !d->is_for_host || !is_divisible(row);
}

const struct insn_row *draw_row(struct draw *d)
{
	bool wants_emitter = rng_below(d->r, 8);
	const struct insn_row *row;

	do
		row = &insn_rows[rng_below(d->r, nr_insn_rows)];
	while (!is_possible(d, row) || (wants_emitter && !row->emit));
	return row;
}

static bool names_rsp(const struct insn_row *row, const struct parsed *p)
{
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];

		if (row->op[n] == O_none || o->file != FILE_GPR)
			continue;
		if ((o->place == AT_REG && p->reg == RSP) ||
		    (o->place == AT_OPCODE && p->rm == RSP) ||
		    (o->place == AT_RM && !p->is_mem && p->rm == RSP))
			return true;
	}
	return false;
}

/* Which registers place_operands() has chosen a value for, or an address is made of. */
static uint32_t registers_to_load(const struct draw *d, const struct parsed *p,
				  const uint64_t before[16])
{
	uint32_t set = 0;

	for (unsigned n = 0; n < 16; n++)
		if (before[n] != d->scratch.in.gpr[n])
			set |= BIT(n);
	if (p->is_mem && p->base < 16)
		set |= BIT(p->base);
	if (p->is_mem && p->index < 16 && !(p->form->flags & FORM_VSIB))
		set |= BIT(p->index);
	return set & ~BIT(RSP);
}

/* Where the operand goes instead of where it is, now and then. */
static uint64_t other_target(struct draw *d, uint64_t address)
{
	struct rng *r = d->r;

	if (is_rw(address, 1) && rng_one_in(r, 6))
		return address + (DATA_ALIAS - DATA_RW);
	if (!d->is_for_host && rng_one_in(r, 24))
		return d->b->t.in.rip + rng_below(r, 256);
	if (!d->is_for_host && rng_one_in(r, 48))
		return CODE_ALIAS + (d->b->t.in.rip - CODE_BASE) + rng_below(r, 256);
	/* Most of the faults place_operands() likes would end the block too early. */
	if (!is_rw(address, 64) && rng_below(r, 3))
		return DATA_RW + 64 * rng_below(r, DATA_RW_SIZE / 64);
	return address;
}

/* The operand of an instruction with a base register: elsewhere by changing that. */
static void retarget(struct draw *d, const struct parsed *p)
{
	uint64_t address = operand_address(d->g, &d->scratch, p), target;

	if (!p->is_mem || p->base >= 16 || p->base == RSP || p->base == p->index ||
	    p->addr_log2 == 1)
		return;
	target = other_target(d, address);
	if (p->addr_log2 == 2)
		d->scratch.in.gpr[p->base] =
			(uint32_t)(d->scratch.in.gpr[p->base] + target - address);
	else
		d->scratch.in.gpr[p->base] += target - address;
}

/* Addresses made of RSP: a displacement that stays near it. */
static void shorten_displacement(struct draw *d, struct parsed *p)
{
	if (p->is_mem && p->base == RSP && disp_size(p) == 4)
		set_disp(&d->scratch, p, (int32_t)rng_below(d->r, 512) - 256);
}

/* Flags that are undefined are not looked at: CMP AL, imm8 defines them all. */
static void hide_undefined(struct draw *d, struct piece *p)
{
	p->code[p->len++] = 0x3c;
	p->code[p->len++] = (uint8_t)rng_next(d->r);
}

void emit_piece(struct draw *d, const struct insn_row *row, const struct parsed *p)
{
	struct trial *t = &d->scratch;
	struct piece *piece = piece_add(d, t->code, t->code_len);

	if (row_is_undefined(row))
		hide_undefined(d, piece);
	if (!p->is_mem || p->base != SLOT_RIP)
		return;
	piece->rel_size = 4;
	piece->rel_at = (uint8_t)(t->code_len - imm_size(p) - 4);
	piece->target = t->in.rip + t->code_len + (uint64_t)(int64_t)p->disp;
	/* As 32-bit addresses it would lie elsewhere when the code does. */
	piece->target = p->addr_log2 == 2 ? (uint32_t)piece->target : piece->target;
}

/* An instruction of the table and what loads its address. */
static void draw_instruction(struct draw *d)
{
	const struct insn_row *row = draw_row(d);
	struct trial *t = &d->scratch;
	uint64_t before[16];
	struct parsed p;
	uint32_t set;

	t->size = CODE_64;
	if (!encode(d->g, d->r, row, t, &p) || (names_rsp(row, &p) && rng_below(d->r, 16)))
		return;
	if (d->is_for_host && p.form->flags & FORM_VSIB)
		return;
	/* CPUs differ in what a count of zero leaves of the upper halves. */
	if (d->is_for_host && p.rep && row->attr & A_REP && p.addr_log2 == 2)
		return;
	for (unsigned n = 0; n < 16; n++)
		t->in.gpr[n] = before[n] = random_integer(d->r);
	t->in.gpr[RSP] = before[RSP] = d->rsp;
	if (!place_operands(d->g, d->r, row, t, &p))
		return;
	retarget(d, &p);
	shorten_displacement(d, &p);
	if (IS_NAMED(row, "div", "idiv") && rng_below(d->r, 4))
		PIECE(d, 0x31, 0xd2); /* xor edx, edx */
	set = registers_to_load(d, &p, before);
	for (unsigned n = 0; n < 16; n++)
		if (set & BIT(n) && (d->is_for_host || rng_below(d->r, 24)))
			load_register(d, n, t->in.gpr[n]);
	emit_piece(d, row, &p);
}

/* ---- branches ---- */

void lead_forward(struct draw *d, struct piece *p, unsigned size, unsigned most)
{
	p->rel_size = (uint8_t)size;
	p->rel_at = (uint8_t)(p->len - size);
	p->to = (uint16_t)(d->b->nr + rng_below(d->r, most));
}

static void draw_forward_branch(struct draw *d)
{
	uint8_t cc = (uint8_t)rng_below(d->r, 16);

	switch (rng_below(d->r, 8)) {
	case 0:
		lead_forward(d, PIECE(d, 0xeb, 0), 1, 4);
		break;
	case 1:
		lead_forward(d, PIECE(d, 0xe9, 0, 0, 0, 0), 4, 12);
		break;
	case 2: /* loopne, loope, loop, jrcxz */
		lead_forward(d, PIECE(d, 0xe0 | (cc & 3), 0), 1, 4);
		break;
	case 3:
	case 4:
	case 5:
		lead_forward(d, PIECE(d, 0x70 | cc, 0), 1, 4);
		break;
	default:
		lead_forward(d, PIECE(d, 0x0f, 0x80 | cc, 0, 0, 0, 0), 4, 12);
		break;
	}
}

/* As long as its counter lasts: DEC [counter]; JG to some piece before. */
static void draw_backward_branch(struct draw *d)
{
	uint32_t counter = (uint32_t)COUNTERS + 4 * d->counters;
	struct piece *p;
	unsigned nr = d->b->nr, span;

	if (d->counters == NR_COUNTERS)
		return;
	d->counters++;
	p = PIECE(d, 0xff, 0x0c, 0x25, 0, 0, 0, 0);
	memcpy(p->code + 3, &counter, 4);
	p = PIECE(d, 0x0f, 0x8f, 0, 0, 0, 0);
	span = min(nr, 24u);
	p->rel_size = 4;
	p->rel_at = 2;
	p->to = (uint16_t)(nr - (span ? rng_below(d->r, span) : 0));
}

/* By way of a register or the stack. */
static void draw_indirect_branch(struct draw *d)
{
	uint8_t reg = (uint8_t)rng_below(d->r, 8);
	struct piece *p;

	if (reg == RSP)
		reg = RAX;
	p = PIECE(d, 0x48, 0x8d, 0x05 | reg << 3, 0, 0, 0, 0); /* lea reg, [rip + ...] */
	lead_forward(d, p, 4, 12);
	p->to++;
	switch (rng_below(d->r, 5)) {
	case 0:
		PIECE(d, 0xff, 0xe0 | reg); /* jmp reg */
		break;
	case 1:
		PIECE(d, 0xff, 0xd0 | reg); /* call reg */
		break;
	case 2:
		PIECE(d, 0x50 | reg); /* push reg; ret */
		PIECE(d, 0xc3);
		p->to++;
		break;
	case 3: /* mov [rsp - 8], reg; call [rsp - 8]: its own return address goes over it */
		PIECE(d, 0x48, 0x89, 0x44 | reg << 3, 0x24, 0xf8);
		PIECE(d, 0xff, 0x54, 0x24, 0xf8);
		p->to++;
		break;
	default:
		PIECE(d, 0x50 | reg); /* push reg; jmp [rsp] */
		PIECE(d, 0xff, 0x24, 0x24);
		p->to++;
		break;
	}
}

static void draw_call_or_return(struct draw *d)
{
	/* A return that nothing has called mostly ends the block. */
	bool is_return = d->calls ? rng_below(d->r, 2) : rng_one_in(d->r, 16);

	if (!is_return) {
		d->calls++;
		lead_forward(d, PIECE(d, 0xe8, 0, 0, 0, 0), 4, 12);
		return;
	}
	d->calls -= !!d->calls;
	if (rng_below(d->r, 2))
		PIECE(d, 0xc2, 8 * rng_below(d->r, 3), 0);
	else
		PIECE(d, 0xc3);
}

/* ---- the code as data ---- */

/* A load from the code, or, where only the engine runs, a store that changes what comes next. */
static void draw_code_access(struct draw *d)
{
	uint8_t reg = (uint8_t)rng_below(d->r, 8), value = (uint8_t)rng_next(d->r);
	unsigned nr = d->b->nr, back = rng_below(d->r, min(nr, 6u) + 1);
	bool is_alias = rng_one_in(d->r, 3);
	struct piece *p;

	if (d->is_for_host) {
		p = PIECE(d, 0x48, rng_below(d->r, 2) ? 0x8b : 0x33,
			  0x05 | (reg == RSP ? RAX : reg) << 3, 0, 0, 0, 0);
		p->rel_at = 3;
	} else if (is_alias) {
		p = PIECE(d, 0xc6, 0x04, 0x25, 0, 0, 0, 0, value);
		p->rel_at = 3;
	} else {
		p = PIECE(d, 0xc6, 0x05, 0, 0, 0, 0, value);
		p->rel_at = 2;
	}
	p->is_alias = is_alias && !d->is_for_host;
	p->rel_size = 4;
	p->offset = (uint8_t)rng_below(d->r, 12);
	p->to = (uint16_t)(nr + 1 + rng_below(d->r, 6) - back);
	/* So that what is written is mostly an operand of an instruction that exists. */
	if (rng_below(d->r, 2)) {
		p->to = (uint16_t)(nr + 1);
		p->offset = 2;
		load_register(d, reg == RSP ? RAX : reg, rng_next(d->r));
	}
}

/* ---- the whole ---- */

static void place_block(struct draw *d)
{
	struct trial *t = &d->b->t;
	struct rng *r = d->r;
	uint64_t end = CODE_BASE + CODE_PAGES * PAGE;

	if (rng_one_in(r, 24))
		t->in.rip = end - 1 - rng_below(r, 200);
	else if (rng_one_in(r, 3))
		t->in.rip = CODE_BASE + 2 * PAGE - rng_below(r, 300);
	else
		t->in.rip = CODE_BASE + PAGE / 2 + rng_below(r, 64);
	d->rsp = DATA_RW + PAGE + 8 * rng_below(r, 256);
	if (rng_one_in(r, 16))
		d->rsp = DATA_RW + 8 * rng_below(r, 6);
	else if (rng_one_in(r, 32))
		d->rsp += rng_below(r, 8);
	t->in.gpr[RSP] = d->rsp;
}

static void draw_one(struct draw *d)
{
	switch (rng_below(d->r, 24)) {
	case 0:
	case 1:
		draw_forward_branch(d);
		break;
	case 2:
		draw_backward_branch(d);
		break;
	case 3:
		draw_call_or_return(d);
		break;
	case 4:
		draw_indirect_branch(d);
		break;
	case 5:
		if (rng_below(d->r, 2)) {
			PIECE(d, 0x9c); /* pushf, popf */
			PIECE(d, 0x9d);
		} else if (rng_below(d->r, 4)) {
			draw_instruction(d);
		} else {
			draw_code_access(d);
		}
		break;
	case 6:
		if (rng_one_in(d->r, 3))
			draw_loop(d);
		else
			draw_instruction(d);
		break;
	default:
		draw_instruction(d);
		break;
	}
}

void block_generate(const struct generator *g, struct rng *r, unsigned nr_insns,
		    struct block_trial *b)
{
	struct draw d = {.g = g, .r = r, .b = b, .is_for_host = rng_below(r, 2)};

	b->nr = 0;
	b->host_reason = d.is_for_host
				 ? NULL
				 : "it writes to code, or instructions that may fault half done";
	b->t.size = d.scratch.size = CODE_64;
	random_state(r, &b->t, g->fs_base);
	/* Unmasked exceptions end most blocks early. */
	if (rng_below(r, 4)) {
		b->t.in.fpu.mxcsr |= 0x1f80;
		b->t.in.fpu.fcw |= 0x3f;
	}
	place_block(&d);
	d.scratch.in = b->t.in;
	memcpy(d.scratch.data, b->t.data, DATA_RW_SIZE);
	for (unsigned n = 0; n < nr_insns; n++)
		draw_one(&d);
	memcpy(b->t.data, d.scratch.data, DATA_RW_SIZE);
	for (unsigned n = 0; n < NR_COUNTERS; n++)
		b->t.counters[n] = 1 + rng_below(r, 5);
}

/* Where a piece begins, or the one after it that is not left out, or the end. */
static uint64_t address_of(const struct block_trial *b, unsigned piece)
{
	return b->t.in.rip + b->at[min(piece, b->nr)];
}

static bool set_displacement(struct block_trial *b, unsigned n)
{
	const struct piece *p = &b->pieces[n];
	uint64_t target = p->to == PIECE_NONE ? p->target : address_of(b, p->to) + p->offset;
	int64_t disp = (int64_t)(target - b->t.in.rip - b->at[n] - p->insn_len);

	if (p->is_alias)
		disp = (int64_t)(target - CODE_BASE + CODE_ALIAS);
	memcpy(b->t.code + b->at[n] + p->rel_at, &disp, p->rel_size);
	return p->rel_size == 1 ? disp == (int8_t)disp : disp == (int32_t)disp;
}

bool block_assemble(struct block_trial *b)
{
	unsigned len = 0;
	bool is_right = true;

	for (unsigned n = 0; n < b->nr; n++) {
		const struct piece *p = &b->pieces[n];

		b->at[n] = (uint16_t)len;
		if (p->is_left_out)
			continue;
		if (len + p->len > CODE_MAX - 16)
			return false;
		memcpy(b->t.code + len, p->code, p->len);
		len += p->len;
	}
	b->at[b->nr] = (uint16_t)len;
	b->t.code_len = len;
	/* What an instruction that is cut short by a changed byte goes on with. */
	memset(b->t.code + len, 0xcc, sizeof(b->t.code) - len);
	for (unsigned n = 0; n < b->nr; n++)
		if (!b->pieces[n].is_left_out && b->pieces[n].rel_size)
			is_right &= set_displacement(b, n);
	return is_right;
}
