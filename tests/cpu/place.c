/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places the operands of an encoded instruction: where the code stands, what its address registers
 * hold so that the memory operand falls where it should, and what particular instructions need to
 * do more than fault.
 */
#include <string.h>

#include "cpu/address.h"
#include "engine/soft/decode/operand.h"

static bool has_place(const struct insn_row *row, enum operand_place place)
{
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++)
		if (row->op[n] != O_none && operand_info[row->op[n]].place == place)
			return true;
	return false;
}

/* Mostly the middle of a page or its end, sometimes where code or its successor does not exist. */
static void place_code(struct rng *r, struct trial *t)
{
	uint64_t end = CODE_BASE + CODE_PAGES * PAGE;

	if (rng_one_in(r, 12))
		t->in.rip = end - 1 - rng_below(r, t->code_len);
	else if (rng_one_in(r, 5))
		t->in.rip = CODE_BASE + 2 * PAGE - rng_below(r, t->code_len + 1);
	else
		t->in.rip = CODE_BASE + PAGE / 2 + rng_below(r, 64);
}

/* Where a branch may go: code, mostly. */
static uint64_t code_target(struct rng *r)
{
	if (rng_one_in(r, 16))
		return 0x800000000000 + rng_below(r, 4096); /* not canonical */
	if (rng_one_in(r, 16))
		return DATA_RW + rng_below(r, PAGE); /* not executable */
	return CODE_BASE + rng_below(r, CODE_PAGES * PAGE);
}

/* Bytes the instruction touches at its memory operand; those without a size have large images. */
static unsigned memory_size(const struct insn_row *row, const struct parsed *p)
{
	unsigned size = row_mem_bytes(row, p->op_log2, CODE_64, p->l);

	return size ? size : 832;
}

/* Strings: both pointers, and a count that mostly ends before the data does. */
static void place_strings(const struct generator *g, struct rng *r, struct trial *t,
			  const struct parsed *p)
{
	uint64_t count = rng_below(r, 20);
	uint64_t target = data_target(r, 64), from = target - segment_base(g, t, p);

	if (rng_one_in(r, 4))
		count = rng_below(r, 1200);
	set_address(r, t, p, RSI, from);
	set_address(r, t, p, RDI,
		    rng_one_in(r, 4) ? target + rng_below(r, 16) : data_target(r, 64));
	/* Noise in the upper half is not for REP: CPUs differ in what a count of zero leaves of it.
	 */
	if (p->rep) {
		t->in.gpr[RCX] = count;
		if (p->addr_log2 == 2) {
			t->in.gpr[RSI] = (uint32_t)t->in.gpr[RSI];
			t->in.gpr[RDI] = (uint32_t)t->in.gpr[RDI];
		}
	}
	/* SCAS and CMPS with equal bytes ahead. */
	if (rng_below(r, 2)) {
		uint64_t fill = random_integer(r) * 0x0101010101010101;

		memset(t->data, (uint8_t)fill, PAGE + PAGE / 2);
		t->in.gpr[RAX] = fill;
	}
	if (rng_one_in(r, 3))
		t->in.rflags ^= FLAG_DF;
}

static void place_bit_offset(struct rng *r, struct trial *t, const struct parsed *p)
{
	uint64_t low = p->op_log2 == 3 ? UINT64_MAX : BIT64(8u << p->op_log2) - 1;
	uint64_t offset = (uint64_t)((int64_t)rng_below(r, 4096) - 2048);

	t->in.gpr[p->reg] = (t->in.gpr[p->reg] & ~low) | (offset & low);
}

/* A dividend whose quotient fits more often than noise would. */
static void place_division(struct rng *r, struct trial *t, const struct parsed *p)
{
	unsigned bits = 8u << p->op_log2;

	switch (rng_below(r, 3)) {
	case 0:
		if (bits == 8)
			t->in.gpr[RAX] &= ~0xff00ull;
		else
			t->in.gpr[RDX] = rng_below(r, 4);
		break;
	case 1:
		if (bits == 8)
			t->in.gpr[RAX] = (uint64_t)(int64_t)(int8_t)t->in.gpr[RAX];
		else
			t->in.gpr[RDX] = t->in.gpr[RAX] >> (bits - 1) & 1 ? UINT64_MAX : 0;
		break;
	default:
		break;
	}
}

/* Comparands that match half of the time. */
static void place_cmpxchg(struct rng *r, struct trial *t, const struct parsed *p, uint64_t address,
			  unsigned size)
{
	uint8_t *at = p->is_mem ? data_at(t, address, size) : NULL;

	if (rng_below(r, 2))
		return;
	if (!p->is_mem) {
		t->in.gpr[RAX] = t->in.gpr[p->rm];
	} else if (at && size <= 8 && p->base != RAX && p->index != RAX) {
		memcpy(&t->in.gpr[RAX], at, size);
	}
}

static void place_cmpxchg_wide(struct rng *r, struct trial *t, const struct parsed *p,
			       uint64_t address, unsigned size)
{
	uint64_t old[2] = {t->in.gpr[RAX], t->in.gpr[RDX]};
	uint32_t old32[2] = {(uint32_t)old[0], (uint32_t)old[1]};

	if (rng_below(r, 2))
		put_data(t, address, size == 16 ? (void *)old : (void *)old32, size);
}

/* An FXSAVE or XSAVE image that may be restored, most of the time. */
static void place_image(struct rng *r, struct trial *t, uint64_t address, bool is_xsave)
{
	struct xsave_area image = t->in.fpu;

	for (unsigned n = 0; n < 16; n++) {
		random_vector(r, image.xmm[n]);
		random_vector(r, image.ymm_high[n]);
	}
	for (unsigned n = 0; n < 8; n++)
		random_float80(r, image.st[n]);
	image.fcw = 0x37f & ~rng_below(r, 64);
	image.fsw = rng_below(r, 8) << 11;
	image.ftw = (uint8_t)rng_next(r);
	image.mxcsr = rng_one_in(r, 16) ? (uint32_t)rng_next(r) : 0x1f80 | rng_below(r, 64);
	image.xstate_bv = rng_below(r, 8);
	if (is_xsave && rng_one_in(r, 16))
		image.xstate_bv |= BIT64(62);
	put_data(t, address, &image, sizeof(image));
}

/* Relative branches: a target in the code pages, but not in the instruction itself. */
static void place_relative(struct rng *r, struct trial *t, struct parsed *p)
{
	unsigned size = imm_size(p);
	uint64_t next = t->in.rip + t->code_len;
	int64_t disp;

	do {
		uint64_t target = CODE_BASE + rng_below(r, CODE_PAGES * PAGE);

		if (rng_one_in(r, 8))
			target = rng_below(r, 2) ? DATA_RW + rng_below(r, 6 * PAGE)
						 : -(uint64_t)rng_below(r, 0x40000000);
		disp = size == 1 ? (int8_t)rng_next(r) : (int64_t)(target - next);
	} while (disp < 0 && disp >= -(int64_t)t->code_len);
	memcpy(t->code + t->code_len - size, &disp, size);
}

static uint64_t random_flags(struct rng *r)
{
	/* A set TF would trap where the two sides need not agree on what is next. */
	return rng_next(r) & ~(uint64_t)(FLAG_TF | FLAG_VM);
}

/* Null, user code and data, kernel segments, what the tables do not have. */
/* The segment of 32-bit code exists where the host's kernel runs such code. */
static uint16_t random_selector(const struct generator *g, struct rng *r)
{
	static const uint16_t selectors[] = {0,
					     1,
					     3,
					     USER_SS,
					     USER_SS,
					     USER_SS,
					     USER_SS & ~3,
					     USER_CS,
					     USER_CS & ~3,
					     USER_CS32,
					     0x10,
					     0x13,
					     0x18,
					     0x1b,
					     0xfff0,
					     0xfff3,
					     0x07};

	uint16_t selector = selectors[rng_below(r, ARRAY_SIZE(selectors))];

	return selector == USER_CS32 && !g->has_code_32 ? USER_CS : selector;
}

static uint16_t random_code_selector(const struct generator *g, struct rng *r)
{
	if (rng_one_in(r, 4))
		return random_selector(g, r);
	return rng_below(r, 3) || !g->has_code_32 ? USER_CS : USER_CS32;
}

static void place_stack(struct rng *r, struct trial *t)
{
	uint64_t middle = DATA_RW + PAGE + 8 * ((uint64_t)rng_below(r, 256)) - 1024;

	switch (rng_below(r, 16)) {
	case 0:
		t->in.gpr[RSP] = data_target(r, 8);
		break;
	case 1:
		t->in.gpr[RSP] = middle + rng_below(r, 8);
		break;
	default:
		t->in.gpr[RSP] = middle;
		break;
	}
}

/* Return addresses and flags on the stack. */
static void place_stack_contents(const struct generator *g, struct rng *r,
				 const struct insn_row *row, struct trial *t)
{
	uint64_t value;

	if (IS_NAMED(row, "ret")) {
		value = code_target(r);
	} else if (IS_NAMED(row, "popf")) {
		value = random_flags(r);
	} else if (IS_NAMED(row, "pop") && operand_info[row->op[0]].file == FILE_SEG) {
		value = random_selector(g, r) | (rng_next(r) << 16);
	} else {
		return;
	}
	put_data(t, t->in.gpr[RSP], &value, 8);
}

/* Frames of RETF and IRET in units of the operand size: rip, cs, rflags, rsp, ss. */
static void place_far_frame(const struct generator *g, struct rng *r, const struct insn_row *row,
			    struct trial *t, const struct parsed *p)
{
	unsigned size = 1u << p->op_log2;
	bool is_iret = !strcmp(row->name, "iret");
	uint64_t frame[5] = {code_target(r), random_code_selector(g, r), random_flags(r),
			     t->in.gpr[RSP] + 8 * rng_below(r, 8), USER_SS};

	/* One thing wrong at a time: which fault comes first is open. */
	if (rng_one_in(r, 8)) {
		frame[0] = CODE_BASE;
		frame[4] = random_selector(g, r);
	}
	for (unsigned n = 0; n < (is_iret ? 5 : 2); n++)
		put_data(t, t->in.gpr[RSP] + n * size, &frame[n], size);
}

/* Far pointers in the instruction or in memory. */
static void place_far_pointer(const struct generator *g, struct rng *r, const struct insn_row *row,
			      struct trial *t, const struct parsed *p, uint64_t address)
{
	bool is_amd = g->features[FEAT_AMD / 32] >> (FEAT_AMD % 32) & 1;
	unsigned size = p->op_log2 == 3 && is_amd ? 4 : 1u << p->op_log2;
	bool is_load = row->op[0] != O_Mp && row->op[0] != O_Ap;
	uint64_t offset = is_load ? random_integer(r) : code_target(r);
	uint16_t selector = is_load ? random_selector(g, r) : random_code_selector(g, r);

	/* A CALL to no canonical address may find its stack missing first. */
	if (!strcmp(row->name, "callf") && offset >> 47)
		offset = CODE_BASE;
	if (has_place(row, AT_FAR)) {
		memcpy(t->code + t->code_len - 2, &selector, 2);
		memcpy(t->code + t->code_len - 2 - size, &offset, size);
		return;
	}
	put_data(t, address, &offset, size);
	put_data(t, address + size, &selector, 2);
}

/* A selector for a register or memory operand of 16 bits. */
static void place_selector(const struct generator *g, struct rng *r, struct trial *t,
			   const struct parsed *p, uint64_t address)
{
	uint16_t selector = random_selector(g, r);

	if (p->is_mem)
		put_data(t, address, &selector, 2);
	else
		t->in.gpr[p->rm] = (t->in.gpr[p->rm] & ~0xffffull) | selector;
}

/* A bit offset in a register that also makes the address would be anywhere. */
static bool has_wild_bit_offset(const struct insn_row *row, const struct parsed *p)
{
	return IS_NAMED(row, "bt", "bts", "btr", "btc") && p->is_mem && has_place(row, AT_REG) &&
	       (p->reg == p->base || p->reg == p->index);
}

static bool is_xsave(const struct insn_row *row)
{
	return !strncmp(row->name, "xsave", 5) || !strncmp(row->name, "xrstor", 6);
}

/* The mask of components must not become an address. */
static bool has_wild_components(const struct insn_row *row, const struct parsed *p)
{
	return is_xsave(row) &&
	       (p->base == RAX || p->base == RDX || p->index == RAX || p->index == RDX);
}

bool place_operands(const struct generator *g, struct rng *r, const struct insn_row *row,
		    struct trial *t, struct parsed *p)
{
	uint64_t address = 0, target;
	unsigned size = memory_size(row, p);

	if (has_wild_bit_offset(row, p) || has_wild_components(row, p))
		return false;
	place_stack(r, t);
	place_code(r, t);
	if (has_place(row, AT_SRC) || has_place(row, AT_DST))
		place_strings(g, r, t, p);
	if (has_place(row, AT_SRC_DI)) {
		/* Whether bytes that are masked off can fault is the CPU's own business. */
		set_address(r, t, p, RDI, DATA_RW + rng_below(r, PAGE) - segment_base(g, t, p));
	}
	if (IS_NAMED(row, "xlat", "xlatb"))
		set_address(r, t, p, RBX,
			    data_target(r, 1) - segment_base(g, t, p) - (uint8_t)t->in.gpr[RAX]);
	/* Frames of ENTER, far enough from the stack for no overlap. */
	if (IS_NAMED(row, "enter", "leave"))
		t->in.gpr[RBP] = rng_one_in(r, 8) ? DATA_RW + rng_below(r, 256)
						  : DATA_RW + PAGE / 4 + rng_below(r, PAGE / 8);
	/* POPA may have loaded some registers when it faults. */
	if (IS_NAMED(row, "popa"))
		t->in.gpr[RSP] = DATA_RW + PAGE + rng_below(r, 256);
	if (IS_NAMED(row, "enter") && rng_below(r, 8))
		t->code[t->code_len - 2] = 0;
	if (IS_NAMED(row, "div", "idiv"))
		place_division(r, t, p);
	if (IS_NAMED(row, "loop", "loope", "loopne", "jrcxz", "jecxz", "jcxz") && rng_below(r, 2))
		set_address(r, t, p, RCX, rng_below(r, 3));
	if (IS_NAMED(row, "pcmpestri", "pcmpestrm", "vpcmpestri", "vpcmpestrm") &&
	    rng_below(r, 4)) {
		t->in.gpr[RAX] = (uint64_t)((int64_t)rng_below(r, 40) - 20);
		t->in.gpr[RDX] = (uint64_t)((int64_t)rng_below(r, 40) - 20);
	}
	/* INT 80h is a system call; a kernel may have others. */
	if (IS_NAMED(row, "int") && g->answers_int[t->code[t->code_len - 1]])
		return false;
	if (IS_NAMED(row, "wrgsbase"))
		t->in.gpr[p->rm] &= rng_one_in(r, 4) ? UINT64_MAX : 0x7fffffffffff;
	if (has_place(row, AT_REL))
		place_relative(r, t, p);

	if (p->is_mem) {
		if (is_xsave(row)) {
			/* The components both sides have. */
			t->in.gpr[RAX] = rng_below(r, 8);
			t->in.gpr[RDX] = 0;
		}
		target = data_target(r, size);
		/* The parts of an image are read in an order of the CPU's own. */
		if (row->op[0] == O_M && !is_rw(target, size))
			target = DATA_BASE;
		address = place_memory(g, r, t, p, target);
		if (!is_harmless(address))
			return false;
		if (IS_NAMED(row, "callf") && t->in.gpr[RSP] >> 32)
			return false;
		/* Images have to be aligned as well: which of two faults comes first is open. */
		if (p->addr_log2 == 3 && p->base < 16 && row->op[0] != O_M && rng_one_in(r, 40))
			t->in.gpr[p->base] ^= BIT64(47 + rng_below(r, 16)); /* not canonical */
		if (!is_harmless(operand_address(g, t, p)))
			return false;
		if (IS_NAMED(row, "fxrstor", "fxrstor64", "xrstor", "xrstor64"))
			place_image(r, t, address, row->name[0] == 'x');
	}
	if (IS_NAMED(row, "bt", "bts", "btr", "btc") && p->is_mem && has_place(row, AT_REG))
		place_bit_offset(r, t, p);
	if (IS_NAMED(row, "cmpxchg"))
		place_cmpxchg(r, t, p, address, size);
	if (IS_NAMED(row, "cmpxchg8b", "cmpxchg16b"))
		place_cmpxchg_wide(r, t, p, address, size);
	if (IS_NAMED(row, "jmp", "call") && has_place(row, AT_RM)) {
		target = code_target(r);
		/* A CALL to no canonical address may have stored its return address or not. */
		if (target >> 47)
			target = DATA_RW;
		if (p->is_mem)
			put_data(t, address, &target, 8);
		else
			t->in.gpr[p->rm] = target;
	}
	if (has_place(row, AT_MOFFS)) {
		uint64_t offset = data_target(r, 1u << p->op_log2) - segment_base(g, t, p);

		memcpy(t->code + t->code_len - imm_size(p), &offset, imm_size(p));
	}
	/* What has to be aligned in instructions that touch single elements, too. */
	if (has_place(row, AT_SRC_DI) || strstr(row->name, "maskmov") || row->op[0] == O_M ||
	    p->form->flags & FORM_VSIB)
		t->in.rflags &= ~(uint64_t)FLAG_AC;
	place_stack_contents(g, r, row, t);
	if (IS_NAMED(row, "retf", "iret")) {
		/* The frame is there or it is not: its parts are read in an order of the CPU's own.
		 */
		if (!is_rw(t->in.gpr[RSP], 40))
			t->in.gpr[RSP] = DATA_BASE;
		place_far_frame(g, r, row, t, p);
	}
	if (IS_NAMED(row, "callf", "jmpf", "lss", "lds", "les", "lfs", "lgs"))
		place_far_pointer(g, r, row, t, p, address);
	if (IS_NAMED(row, "lar", "lsl", "verr", "verw", "arpl") ||
	    (operand_info[row->op[0]].file == FILE_SEG && row->op[1] == O_Ew))
		place_selector(g, r, t, p, address);
	return true;
}
