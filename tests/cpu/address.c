/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory operands: interesting addresses, and what the registers and displacement of an encoding must
 * be for its operand to lie there.
 */
#include "cpu/address.h"

bool is_rw(uint64_t address, unsigned size)
{
	return address >= DATA_RW && address + size <= DATA_RW + DATA_RW_SIZE;
}

/* Bytes of the trial's memory at an address, or NULL when not all of them are writable data. */
uint8_t *data_at(struct trial *t, uint64_t address, unsigned size)
{
	return is_rw(address, size) ? t->data + (address - DATA_RW) : NULL;
}

void put_data(struct trial *t, uint64_t address, const void *value, unsigned size)
{
	uint8_t *at = data_at(t, address, size);

	if (at)
		memcpy(at, value, size);
}

/* An address for size bytes of data. Inside the writable pages but for one in a few. */
uint64_t data_target(struct rng *r, unsigned size)
{
	unsigned span = size ? size : 1;
	uint64_t inside = DATA_RW + rng_below(r, DATA_RW_SIZE - min(span, DATA_RW_SIZE - 1u));

	switch (rng_below(r, 32)) {
	case 0: /* into the page that is not there */
		return DATA_RW + DATA_RW_SIZE - rng_below(r, span + 1);
	case 1: /* from one that is not there */
		return DATA_RW - rng_below(r, span + 1);
	case 2:
		return DATA_RO + rng_below(r, PAGE - min(span, PAGE - 1));
	case 3: /* from one writable page into the other */
	case 4:
		return DATA_RW + PAGE - rng_below(r, span + 1);
	case 5:
	case 6:
	case 7:
	case 8:
		return inside;
	case 9:
		return ALIGN_DOWN(inside, (uint64_t)8);
	default:
		return ALIGN_DOWN(inside, (uint64_t)64) + (span <= 32 ? rng_below(r, 2) * 32 : 0);
	}
}

uint64_t segment_base(const struct generator *g, const struct trial *t, const struct parsed *p)
{
	/* In 32-bit code FS and GS are null, and the others flat. */
	if (t->size != CODE_64)
		return 0;
	if (p->segment == SEG_FS)
		return g->fs_base;
	return p->segment == SEG_GS ? t->in.gs_base : 0;
}

static uint64_t address_mask(const struct parsed *p)
{
	static const uint64_t masks[] = {[1] = 0xffff, [2] = UINT32_MAX, [3] = UINT64_MAX};

	return masks[p->addr_log2];
}

/* A register that must hold an address; what lies above the address size is noise. */
void set_address(struct rng *r, struct trial *t, const struct parsed *p, unsigned number,
		 uint64_t value)
{
	uint64_t mask = address_mask(p);

	value = (value & mask) | (rng_next(r) & ~mask);
	t->in.gpr[number] = t->size == CODE_64 ? value : (uint32_t)value;
}

unsigned disp_size(const struct parsed *p)
{
	unsigned mod = p->modrm >> 6;

	if (mod == 1)
		return 1;
	if (p->addr_log2 == 1)
		return mod == 2 || p->base == SLOT_ZERO ? 2 : 0;
	return mod == 2 || p->base == SLOT_RIP || p->base == SLOT_ZERO ? 4 : 0;
}

unsigned imm_size(const struct parsed *p)
{
	unsigned z = p->op_log2 == 1 ? 2 : 4;

	switch ((enum imm_rule)p->form->imm_rule) {
	case IMM_NONE:
		return 0;
	case IMM_8:
	case IMM_IS4:
		return 1;
	case IMM_16:
		return 2;
	case IMM_Z:
		return z;
	case IMM_V:
		return 1u << p->op_log2;
	case IMM_FAR:
		return z + 2;
	case IMM_MOFFS:
		return 1u << p->addr_log2;
	case IMM_16_8:
		return 3;
	}
	return 0;
}

void set_disp(struct trial *t, struct parsed *p, int32_t disp)
{
	unsigned at = t->code_len - imm_size(p) - disp_size(p);

	memcpy(t->code + at, &disp, disp_size(p));
	p->disp = disp;
}

uint64_t operand_address(const struct generator *g, const struct trial *t, const struct parsed *p)
{
	uint64_t sum = (uint64_t)(int64_t)p->disp;

	if (p->base == SLOT_RIP)
		sum += t->in.rip + t->code_len;
	else if (p->base != SLOT_ZERO)
		sum += t->in.gpr[p->base];
	if (p->index != SLOT_ZERO && !(p->form->flags & FORM_VSIB))
		sum += t->in.gpr[p->index] << p->scale_log2;
	return (sum & address_mask(p)) + segment_base(g, t, p);
}

/* Indexes of a gather: small, so that the elements stay near the base. */
static void place_gather(struct rng *r, struct trial *t, const struct parsed *p)
{
	for (unsigned half = 0; half < 2; half++) {
		uint8_t *at = half ? t->in.fpu.ymm_high[p->index] : t->in.fpu.xmm[p->index];
		uint32_t value[4];
		bool is_quad = rng_below(r, 2);

		for (unsigned n = 0; n < 4; n++)
			value[n] = is_quad && n & 1 ? 0 : rng_below(r, 64);
		if (rng_one_in(r, 8))
			value[rng_below(r, 4)] = rng_below(r, 1 << 13);
		memcpy(at, value, 16);
	}
	for (unsigned half = 0; half < 2; half++) {
		uint8_t *at = half ? t->in.fpu.ymm_high[p->vvvv] : t->in.fpu.xmm[p->vvvv];

		for (unsigned n = 0; p->vvvv != p->index && n < 16; n++)
			at[n] = rng_below(r, 3) ? 0xff : 0;
	}
}

/* Makes the ModRM memory operand lie at target, as far as its form allows. Returns where it is. */
uint64_t place_memory(const struct generator *g, struct rng *r, struct trial *t, struct parsed *p,
		      uint64_t target)
{
	bool has_base = p->base < 16, has_index = p->index < 16 && !(p->form->flags & FORM_VSIB);
	uint64_t offset = target - segment_base(g, t, p);

	/* All of the 64 KiB that 16 bits reach is unmapped. */
	if (p->addr_log2 == 1)
		return operand_address(g, t, p);
	if (p->form->flags & FORM_VSIB)
		place_gather(r, t, p);
	if (disp_size(p) == 4 && rng_below(r, 4))
		set_disp(t, p, (int32_t)rng_below(r, 0x10000) - 0x8000);
	if (has_base && has_index && p->base == p->index) {
		uint64_t times = 1 + (1u << p->scale_log2);

		set_address(r, t, p, p->base, (offset - (uint64_t)(int64_t)p->disp) / times);
	} else if (has_base) {
		uint64_t index = has_index ? t->in.gpr[p->index] << p->scale_log2 : 0;

		set_address(r, t, p, p->base, offset - (uint64_t)(int64_t)p->disp - index);
	} else if (has_index) {
		uint64_t value = (offset - (uint64_t)(int64_t)p->disp) >> p->scale_log2;

		if (value << p->scale_log2 != offset - (uint64_t)(int64_t)p->disp) {
			set_disp(t, p, 0);
			value = offset >> p->scale_log2;
		}
		set_address(r, t, p, p->index, value);
	} else if (p->base == SLOT_RIP) {
		set_disp(t, p, (int32_t)(offset - t->in.rip - t->code_len));
	} else {
		set_disp(t, p, (int32_t)offset);
	}
	return operand_address(g, t, p);
}

/* Data pages and what is around them, or no address at all. */
bool is_harmless(uint64_t address)
{
	bool is_canonical = (uint64_t)((int64_t)(address << 16) >> 16) == address;

	return !is_canonical || address < 60 * KIB ||
	       (address >= DATA_BASE - 64 * KIB && address < DATA_BASE + 64 * KIB);
}
