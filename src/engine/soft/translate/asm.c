/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encodings: SDM vol. 2, chapter 2. Any thread.
 */
#include "engine/soft/translate/asm.h"

#include <string.h>

#include "base/base.h"

void asm8(struct asm_out *o, unsigned byte)
{
	if (o->at == o->end) {
		o->is_full = true;
		return;
	}
	*o->at++ = (uint8_t)byte;
}

static void put(struct asm_out *o, uint64_t value, unsigned bytes)
{
	if ((size_t)(o->end - o->at) < bytes) {
		o->is_full = true;
		return;
	}
	memcpy(o->at, &value, bytes);
	o->at += bytes;
}

void asm32(struct asm_out *o, uint32_t value)
{
	put(o, value, 4);
}

void asm64(struct asm_out *o, uint64_t value)
{
	put(o, value, 8);
}

/* ---- ModRM ---- */

static bool is_int8(int32_t v)
{
	return v == (int8_t)v;
}

static void put_mem(struct asm_out *o, unsigned reg, struct mem_ref m)
{
	unsigned r = (reg & 7) << 3, mod;

	if (m.base == H_NONE) {
		asm8(o, 0x04 | r);
		asm8(o, m.scale << 6 | (m.index == H_NONE ? 4u : m.index & 7u) << 3 | 5);
		asm32(o, (uint32_t)m.disp);
		return;
	}
	/* RBP and R13 as a base without displacement would mean none. */
	mod = !m.disp && (m.base & 7) != H_RBP ? 0 : is_int8(m.disp) ? 0x40 : 0x80;
	if (m.index != H_NONE || (m.base & 7) == H_RSP) {
		asm8(o, mod | r | 4);
		asm8(o,
		     m.scale << 6 | (m.index == H_NONE ? 4u : m.index & 7u) << 3 | (m.base & 7u));
	} else {
		asm8(o, mod | r | (m.base & 7u));
	}
	if (mod == 0x40)
		asm8(o, (uint8_t)m.disp);
	else if (mod == 0x80)
		asm32(o, (uint32_t)m.disp);
}

static unsigned bit3(unsigned reg)
{
	return reg != H_NONE && reg & 8 ? 1 : 0;
}

static void put_vex(struct asm_out *o, const struct host_insn *h, unsigned x, unsigned b)
{
	static const uint8_t pp[] = {[P_ANY] = 0, [P_NONE] = 0, [P_66] = 1, [P_F3] = 2, [P_F2] = 3};
	unsigned last = (~h->vvvv & 15u) << 3 | (h->l ? 4 : 0) | pp[h->prefix];

	if (h->map == MAP_0F && !x && !b && !h->w) {
		asm8(o, 0xc5);
		asm8(o, (bit3(h->reg) ? 0 : 0x80) | last);
		return;
	}
	asm8(o, 0xc4);
	asm8(o, (bit3(h->reg) ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | h->map);
	asm8(o, (h->w ? 0x80 : 0) | last);
}

static void put_legacy(struct asm_out *o, const struct host_insn *h, unsigned x, unsigned b)
{
	static const uint8_t bytes[] = {[P_66] = 0x66, [P_F3] = 0xf3, [P_F2] = 0xf2};
	unsigned rex = (h->w ? 8 : 0) | bit3(h->reg) << 2 | x << 1 | b;

	if (h->has_lock)
		asm8(o, 0xf0);
	if (h->has_66 && h->prefix != P_66)
		asm8(o, 0x66);
	if (h->prefix > P_NONE)
		asm8(o, bytes[h->prefix]);
	if (rex || h->needs_rex)
		asm8(o, 0x40 | rex);
	if (h->map != MAP_1)
		asm8(o, 0x0f);
	if (h->map == MAP_0F38)
		asm8(o, 0x38);
	if (h->map == MAP_0F3A)
		asm8(o, 0x3a);
}

void asm_insn(struct asm_out *o, const struct host_insn *h)
{
	bool is_mem = h->rm == H_NONE;
	unsigned x = is_mem ? bit3(h->mem.index) : 0;
	unsigned b = is_mem ? bit3(h->mem.base) : bit3(h->rm);

	if (h->is_vex)
		put_vex(o, h, x, b);
	else
		put_legacy(o, h, x, b);
	asm8(o, h->opcode);
	if (is_mem)
		put_mem(o, h->reg, h->mem);
	else
		asm8(o, 0xc0 | (h->reg & 7u) << 3 | (h->rm & 7u));
	if (h->has_imm8)
		asm8(o, h->imm8);
}

/* SPL to DIL need a REX prefix. */
static bool is_new_byte(unsigned reg)
{
	return reg >= 4 && reg < 8;
}

static struct host_insn plain(unsigned size, unsigned opcode, unsigned reg)
{
	bool is_byte = size == 1, is_extension = opcode == 0x0fb6 || opcode == 0x0fbe;

	return (struct host_insn){
		.map = opcode >> 8 == 0x0f ? MAP_0F : MAP_1,
		.opcode = (uint8_t)opcode,
		.has_66 = size == 2,
		.w = size == 8,
		.reg = (uint8_t)reg,
		.needs_rex = is_byte && !is_extension && is_new_byte(reg),
	};
}

void asm_rr(struct asm_out *o, unsigned size, unsigned opcode, unsigned reg, unsigned rm)
{
	struct host_insn h = plain(size, opcode, reg);

	h.rm = (uint8_t)rm;
	if ((size == 1 || opcode == 0x0fb6 || opcode == 0x0fbe) && is_new_byte(rm))
		h.needs_rex = true;
	asm_insn(o, &h);
}

void asm_rm(struct asm_out *o, unsigned size, unsigned opcode, unsigned reg, struct mem_ref m)
{
	struct host_insn h = plain(size, opcode, reg);

	h.rm = H_NONE;
	h.mem = m;
	asm_insn(o, &h);
}

void asm_imm(struct asm_out *o, unsigned size, uint64_t imm)
{
	put(o, imm, size == 8 ? 4 : size);
}

/* ---- the common ones ---- */

void asm_mov_rr(struct asm_out *o, unsigned size, unsigned dst, unsigned src)
{
	asm_rr(o, size, size == 1 ? 0x88 : 0x89, src, dst);
}

void asm_load(struct asm_out *o, unsigned size, unsigned dst, struct mem_ref m)
{
	asm_rm(o, size, 0x8b, dst, m);
}

void asm_store(struct asm_out *o, unsigned size, struct mem_ref m, unsigned src)
{
	asm_rm(o, size, size == 1 ? 0x88 : 0x89, src, m);
}

void asm_lea(struct asm_out *o, unsigned size, unsigned dst, struct mem_ref m)
{
	asm_rm(o, size, 0x8d, dst, m);
}

void asm_mov_imm(struct asm_out *o, unsigned dst, uint64_t imm)
{
	if (imm == (uint32_t)imm) {
		if (dst & 8)
			asm8(o, 0x41);
		asm8(o, 0xb8 | (dst & 7));
		asm32(o, (uint32_t)imm);
	} else if (imm == (uint64_t)(int32_t)imm) {
		asm_rr(o, 8, 0xc7, 0, dst);
		asm32(o, (uint32_t)imm);
	} else {
		asm8(o, 0x48 | (dst >> 3 & 1));
		asm8(o, 0xb8 | (dst & 7));
		asm64(o, imm);
	}
}

void asm_alu_ri(struct asm_out *o, unsigned size, unsigned n, unsigned rm, int32_t imm)
{
	if (size == 1) {
		asm_rr(o, 1, 0x80, n, rm);
		asm8(o, (uint8_t)imm);
	} else if (is_int8(imm)) {
		asm_rr(o, size, 0x83, n, rm);
		asm8(o, (uint8_t)imm);
	} else {
		asm_rr(o, size, 0x81, n, rm);
		asm_imm(o, size, (uint32_t)imm);
	}
}

void asm_alu_mi(struct asm_out *o, unsigned size, unsigned n, struct mem_ref m, int32_t imm)
{
	if (size == 1) {
		asm_rm(o, 1, 0x80, n, m);
		asm8(o, (uint8_t)imm);
	} else if (is_int8(imm)) {
		asm_rm(o, size, 0x83, n, m);
		asm8(o, (uint8_t)imm);
	} else {
		asm_rm(o, size, 0x81, n, m);
		asm_imm(o, size, (uint32_t)imm);
	}
}

void asm_shift_ri(struct asm_out *o, unsigned size, unsigned n, unsigned rm, unsigned count)
{
	asm_rr(o, size, size == 1 ? 0xc0 : 0xc1, n, rm);
	asm8(o, count);
}

/* ---- jumps ---- */

static uint8_t *displacement(struct asm_out *o)
{
	asm32(o, 0);
	return o->at - 4;
}

uint8_t *asm_jcc(struct asm_out *o, unsigned cc)
{
	asm8(o, 0x0f);
	asm8(o, 0x80 | cc);
	return displacement(o);
}

uint8_t *asm_jmp(struct asm_out *o)
{
	asm8(o, 0xe9);
	return displacement(o);
}

uint8_t *asm_call(struct asm_out *o)
{
	asm8(o, 0xe8);
	return displacement(o);
}

uint8_t *asm_lea_rip(struct asm_out *o, unsigned reg)
{
	asm8(o, 0x48 | (reg >> 3) << 2);
	asm8(o, 0x8d);
	asm8(o, 0x05 | (reg & 7) << 3);
	return displacement(o);
}

void asm_patch(uint8_t *site, const uint8_t *target)
{
	int32_t distance = (int32_t)(target - (site + 4));

	/* Code that is being run may be patched: aligned sites change at once. */
	__atomic_store_n((int32_t *)(void *)site, distance, __ATOMIC_RELAXED);
}

void asm_jmp_to(struct asm_out *o, const uint8_t *writable_target)
{
	uint8_t *site = asm_jmp(o);

	if (!o->is_full)
		asm_patch(site, writable_target);
}

void asm_call_to(struct asm_out *o, const uint8_t *writable_target)
{
	uint8_t *site = asm_call(o);

	if (!o->is_full)
		asm_patch(site, writable_target);
}

uint8_t *asm_jrcxz(struct asm_out *o)
{
	asm8(o, 0xe3);
	asm8(o, 0);
	return o->at - 1;
}

void asm_patch8(uint8_t *site, const uint8_t *target)
{
	int64_t distance = target - (site + 1);

	BUG_ON(distance != (int8_t)distance);
	*site = (uint8_t)distance;
}

void asm_align(struct asm_out *o, unsigned ahead, unsigned align)
{
	static const uint8_t nops[8][7] = {
		{0},
		{0x90},
		{0x66, 0x90},
		{0x0f, 0x1f, 0x00},
		{0x0f, 0x1f, 0x40, 0x00},
		{0x0f, 0x1f, 0x44, 0x00, 0x00},
		{0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
		{0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
	};
	unsigned gap = -(unsigned)((uintptr_t)o->at + ahead) % align;

	while (gap) {
		unsigned n = min(gap, 7u);

		for (unsigned k = 0; k < n; k++)
			asm8(o, nops[n][k]);
		gap -= n;
	}
}
