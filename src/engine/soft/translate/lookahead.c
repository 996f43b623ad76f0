/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What can be known of the rest of a block: which registers instructions change, how far flags can
 * be worked out again instead of being saved, and which accesses lie beside each other.
 */
#include "engine/soft/decode/operand.h"
#include "engine/soft/translate/emit_impl.h"
#include "engine/soft/translate/emitters.h"

static unsigned bit_of(unsigned off)
{
	return 1u << off / 8;
}

/* The registers that operand n names. */
static unsigned operand_regs(const struct insn *i, unsigned n)
{
	const struct insn_row *row = &insn_rows[i->row];
	const struct operand_info *o = &operand_info[row->op[n]];

	if (o->file != FILE_GPR)
		return 0;
	switch (o->place) {
	case AT_REG:
	case AT_OPCODE:
		return bit_of(i->reg);
	case AT_RM:
		return i->prefix & PFX_MEM ? 0 : bit_of(i->rm);
	case AT_VVVV:
		return 1u << INSN_VVVV(i);
	case AT_FIXED:
		return 1u << (o->number & 15);
	default:
		return 0;
	}
}

static bool only_compares(const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];

	if (row->emit == e_test)
		return true;
	if (row->emit != e_alu)
		return false;
	return row->opcode >= 0x80 ? row->digit == DIGIT(7) : row->opcode >> 3 == 7;
}

unsigned insn_regs_written(const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];

	if (i->row >= nr_insn_rows || !row->emit)
		return ALL_REGS;
	if (row->emit == e_jcc || row->emit == e_nop || only_compares(i))
		return 0;
	if (row->emit == e_alu || row->emit == e_unary || row->emit == e_shift ||
	    row->emit == e_mov || row->emit == e_mov_imm || row->emit == e_extend ||
	    row->emit == e_lea || row->emit == e_setcc || row->emit == e_cmov ||
	    row->emit == e_imul)
		return operand_regs(i, 0);
	if (row->emit == e_bit_imm || row->emit == e_bit_reg || row->emit == e_scan ||
	    row->emit == e_crc32 || row->emit == e_adx || row->emit == e_shift_double ||
	    row->emit == e_bswap || row->emit == e_movbe || row->emit == e_bmi ||
	    row->emit == e_bls || row->emit == e_rorx)
		return operand_regs(i, 0);
	if (row->emit == e_xchg || row->emit == e_xadd || row->emit == e_mulx)
		return operand_regs(i, 0) | operand_regs(i, 1);
	if (row->emit == e_cmpxchg)
		return operand_regs(i, 0) | bit_of(RAX * 8);
	if (row->emit == e_mul || row->emit == e_div || row->emit == e_cmpxchg_pair)
		return bit_of(RAX * 8) | bit_of(RDX * 8);
	if (row->emit == e_carry || row->emit == e_direction || row->emit == e_fence ||
	    row->emit == e_cli || row->emit == e_jrcxz)
		return 0;
	if (row->emit == e_mov_from_segment || row->emit == e_mov_from_control ||
	    row->emit == e_rdpid)
		return operand_regs(i, 0);
	if (row->emit == e_loop)
		return bit_of(RCX * 8);
	if (row->emit == e_stos || row->emit == e_movs)
		return bit_of(RCX * 8) | bit_of(RSI * 8) | bit_of(RDI * 8);
	if (row->emit == e_push || row->emit == e_pushf)
		return bit_of(RSP * 8);
	if (row->emit == e_pop)
		return bit_of(RSP * 8) | operand_regs(i, 0);
	if (row->emit == e_widen)
		return row->opcode == 0x98 ? bit_of(RAX * 8) : bit_of(RDX * 8);
	/* Vector instructions write general registers that they name. */
	if (row->attr & (A_SSE | A_AVX) && row->map != MAP_0F3A)
		return operand_regs(i, 0);
	return ALL_REGS;
}

bool insn_adds(const struct insn *i, unsigned *reg, int32_t *step)
{
	const struct insn_row *row = &insn_rows[i->row];
	bool is_acc = row->opcode < 0x40 && (row->opcode & 7) >= 4;
	unsigned n = row->opcode >= 0x80 ? row->digit - 1u : row->opcode >> 3;

	if (PFX_SIZE(i->prefix) != 8)
		return false;
	if (row->emit == e_lea) {
		*reg = i->reg / 8;
		*step = i->disp;
		return i->ea == EA_FLAT && i->base == *reg && (i->index & 31) == SLOT_ZERO;
	}
	if (i->prefix & PFX_MEM)
		return false;
	*reg = is_acc ? RAX : i->rm / 8;
	if (row->emit == e_unary && row->opcode == 0xff && n <= 1) {
		*step = n ? -1 : 1;
		return true;
	}
	*step = n ? -(int32_t)i->imm : (int32_t)i->imm;
	return row->emit == e_alu && (is_acc || row->opcode >= 0x80) && (n == 0 || n == 5) &&
	       *step != INT32_MIN;
}

bool insn_moves_rsp(const struct insn *i, int32_t *delta)
{
	const struct insn_row *row = &insn_rows[i->row];
	bool is_pop = row->emit == e_pop, is_push = row->emit == e_push || row->emit == e_pushf;

	if ((!is_push && !is_pop) || PFX_SIZE(i->prefix) != 8 || i->prefix & PFX_MEM)
		return false;
	if (is_pop && operand_regs(i, 0) & bit_of(RSP * 8))
		return false;
	*delta = is_pop ? 8 : -8;
	return true;
}

/* ---- flags ---- */

bool insn_writes_all_flags(const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];

	if (i->row >= nr_insn_rows || row->flags_written != FLAGS_STATUS || row->flags_read)
		return false;
	/* A count of 0 leaves them as they are. */
	if (row->emit == e_shift)
		return row->opcode >= 0xd0 || i->imm & (PFX_SIZE(i->prefix) == 8 ? 63 : 31);
	return row->map != MAP_0F || (row->opcode & 0xf6) != 0xa4;
}

bool insn_is_plain(const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];

	return i->row < nr_insn_rows && row->emit && row->attr & A_PLAIN &&
	       !(i->prefix & PFX_MEM) && !insn_crosses_page(i);
}

bool recipe_lasts(const struct emitter *e)
{
	for (unsigned n = e->at; n < e->nr; n++) {
		const struct insn *i = &e->insns[n];

		if (insn_writes_all_flags(i))
			return true;
		if (!(insn_regs_written(i) & e->recipe.regs))
			continue;
		/* Nothing may look at flags any more. */
		return n + 1 < e->nr && insn_is_plain(&i[1]) && insn_writes_all_flags(&i[1]);
	}
	return true;
}

bool recipe_is_wanted(const struct emitter *e, unsigned regs)
{
	for (unsigned n = e->at + 1; n < e->nr; n++) {
		const struct insn *i = &e->insns[n];
		const struct insn_row *row = &insn_rows[i->row];
		bool is_jcc = row->emit == e_jcc;

		/* A loop begins with the flags of its end. */
		if (is_jcc && i->off + i->len + (int64_t)i->imm == e->page_off)
			return true;
		if (!is_jcc && !insn_is_plain(i))
			return true;
		if (insn_writes_all_flags(i) || insn_regs_written(i) & regs)
			return false;
	}
	return false;
}

/*
 * Flags can be had again from what is in registers after a comparison, a logical operation, and an
 * addition or subtraction whose other operand is still there. RAX is all it takes.
 */
void recipe_set(struct emitter *e, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	unsigned dst = row->opcode & 2 && row->opcode < 0x40 ? i->reg : i->rm;
	unsigned n = row->opcode >= 0x80 ? row->digit - 1u : row->opcode >> 3;
	bool is_test = row->emit == e_test;
	struct recipe *r = &e->recipe;

	r->is_valid = false;
	if (i->prefix & PFX_MEM) {
		bool is_logic = !is_test && row->opcode < 0x40 && row->opcode & 2 &&
				(n == 1 || n == 4 || n == 6);

		if (is_logic && !REG_IS_HIGH(i->reg))
			*r = (struct recipe){.is_valid = true,
					     .insn = i,
					     .kind = RECIPE_LOGIC,
					     .size = (uint8_t)PFX_SIZE(i->prefix),
					     .dst = i->reg,
					     .regs = (uint16_t)bit_of(i->reg)};
		return;
	}
	*r = (struct recipe){.insn = i, .size = (uint8_t)PFX_SIZE(i->prefix), .has_imm = true};
	if (is_test) {
		bool has_imm = row->opcode >= 0xa8;

		r->dst = has_imm && row->opcode < 0xf0 ? RAX * 8 : i->rm;
		r->has_imm = has_imm;
		r->kind = RECIPE_TEST;
	} else {
		bool is_acc = row->opcode < 0x40 && (row->opcode & 7) >= 4;

		r->dst = is_acc ? RAX * 8 : dst;
		r->has_imm = row->opcode >= 0x80 || is_acc;
		r->kind = n == 7   ? RECIPE_COMPARE
			  : n == 0 ? RECIPE_ADD
			  : n == 5 ? RECIPE_SUB
				   : RECIPE_LOGIC;
		if (n == 2 || n == 3)
			return;
	}
	r->src = r->dst == i->rm ? i->reg : i->rm;
	if (r->kind == RECIPE_TEST && !r->has_imm)
		r->src = i->reg;
	r->imm = (int32_t)i->imm;
	r->regs = (uint16_t)bit_of(r->dst);
	if (!r->has_imm && r->kind != RECIPE_LOGIC)
		r->regs |= bit_of(r->src);
	/* One register of the frame would have to be loaded, and RAX holds it; no more than that. */
	bool is_sum = r->kind == RECIPE_ADD || r->kind == RECIPE_SUB;
	bool in_frame_src = !r->has_imm && r->kind != RECIPE_LOGIC && reg_is_in_frame(r->src);

	if (REG_IS_HIGH(r->dst) || (!r->has_imm && REG_IS_HIGH(r->src)))
		return;
	if (is_sum && !r->has_imm && (r->src / 8 == r->dst / 8 || in_frame_src))
		return;
	if (!is_sum && reg_is_in_frame(r->dst) && in_frame_src && r->src / 8 != r->dst / 8)
		return;
	r->is_valid = true;
}

/* ---- memory ---- */

/* Neither the ends of a span nor their distance leave 32 bits. */
static bool is_near(int32_t disp)
{
	return disp > -0x10000000 && disp < 0x10000000;
}

/* By rows whose emitter is known: how much is accessed, and whether it is stored to. */
static bool find_operand(const struct insn *i, struct access *a)
{
	const struct insn_row *row = &insn_rows[i->row];

	a->size = PFX_SIZE(i->prefix);
	if (row->emit == e_alu) {
		a->is_write = !only_compares(i) && (row->opcode >= 0x80 || !(row->opcode & 2));
	} else if (row->emit == e_test || row->emit == e_cmov || row->emit == e_imul) {
		a->is_write = false;
	} else if (row->emit == e_mov) {
		a->is_write = !(row->opcode & 2);
	} else if (row->emit == e_mov_imm || row->emit == e_unary || row->emit == e_shift) {
		a->is_write = true;
	} else if (row->emit == e_extend) {
		a->is_write = false;
		a->size = row->map == MAP_1 ? 4 : row->opcode & 1 ? 2 : 1;
	} else if (row->emit == e_setcc) {
		a->is_write = true;
		a->size = 1;
	} else if (row->attr & (A_SSE | A_AVX) && row->emit) {
		a->size = row_mem_bytes(row, i->prefix >> PFX_SIZE_SHIFT & 3, CODE_64, INSN_L(i));
		a->is_write = operand_info[row->op[0]].place == AT_RM && !row->flags_written;
		a->align = row->attr & A_ALIGN && a->size >= 16 ? a->size : 0;
		return a->size && a->size <= 32;
	} else {
		return false;
	}
	return true;
}

bool insn_access(const struct insn *i, struct access *a)
{
	int32_t delta;

	*a = (struct access){.base = i->base, .index = i->index, .disp = i->disp};
	if (insn_moves_rsp(i, &delta)) {
		*a = (struct access){.base = RSP,
				     .index = SLOT_ZERO,
				     .disp = delta < 0 ? -8 : 0,
				     .size = 8,
				     .is_write = delta < 0};
		return true;
	}
	return i->row < nr_insn_rows && i->prefix & PFX_MEM && i->ea == EA_FLAT &&
	       i->base <= SLOT_RIP && is_near(i->disp) && find_operand(i, a);
}

#define SPAN_MAX       128 /* a longer one crosses pages too often */
#define STACK_SPAN_MAX 512

struct span span_find(const struct emitter *e, unsigned base, int32_t disp, unsigned size,
		      bool is_write)
{
	struct span s = {.lo = disp, .hi = disp + (int32_t)size, .is_write = is_write};
	int32_t limit = base == RSP || base == RBP ? STACK_SPAN_MAX : SPAN_MAX, moved = 0;
	bool is_sure = true;

	if (!is_near(disp))
		return s;
	for (unsigned n = e->at; n < e->nr; n++) {
		const struct insn *i = &e->insns[n];
		struct access a;
		int32_t delta;

		if (n > e->at && insn_access(i, &a) && a.base == base && a.index == SLOT_ZERO) {
			int32_t lo = min(s.lo, a.disp + moved),
				hi = max(s.hi, a.disp + moved + (int32_t)a.size);

			/* What is behind a side exit may never be stored. */
			if (hi - lo <= limit && (!a.is_write || s.is_write || is_sure)) {
				s.lo = lo;
				s.hi = hi;
				s.is_write |= a.is_write;
				s.nr_more++;
			}
		}
		if (insn_regs_written(i) == ALL_REGS)
			break;
		if (base == RSP && insn_moves_rsp(i, &delta))
			moved += delta;
		else if (insn_regs_written(i) & 1u << base)
			break;
		if (insn_rows[i->row].attr & A_COND)
			is_sure = false;
	}
	return s;
}
