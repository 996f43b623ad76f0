/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * String instructions: single ones, and REP MOVS and REP STOS within a page, by the host's own
 * instruction on host addresses. Backward direction, segments, 32-bit addresses, longer runs and
 * repeated comparisons are the interpreter's.
 */
#include "engine/soft/mmu.h"
#include "engine/soft/translate/emit_int.h"
#include "engine/soft/translate/emitters.h"

#define ALU_AND	   4
#define ALU_CMP	   7
#define OPCODE_ADD 0x03
#define OPCODE_SUB 0x2b
#define SHR	   5

static bool is_plain_form(const struct insn *i)
{
	return i->ea == EA_FLAT;
}

static bool is_repeated(const struct insn *i)
{
	return i->prefix & (PFX_REPE | PFX_REPNE);
}

/* The opcode of the instruction's size: those of bytes are even. */
static unsigned sized(unsigned opcode, unsigned size)
{
	return opcode | (size > 1);
}

/* Forward only, from here on. RCX is used; the guest's flags are not in the host's afterwards. */
static void require_forward(struct emitter *e, const struct insn *i)
{
	flags_clobber(e);
	load_cpu(e);
	asm_rm(&e->o, 1, 0xf6, 0, MEM_BASE(H_RCX, offsetof(struct cpu, rflags) + 1));
	asm8(&e->o, FLAG_DF >> 8);
	slow_if(e, i, CC_NE);
}

static void advance(struct emitter *e, unsigned reg, unsigned size)
{
	asm_lea(&e->o, 8, reg, MEM_BASE(reg, size));
}

static void load_sized(struct emitter *e, unsigned size, unsigned reg, struct mem_ref m)
{
	asm_rm(&e->o, size, sized(0x8a, size), reg, m);
}

/* ---- runs ---- */

/*
 * RAX = what to add to register reg for its host address, if as many bytes as RCX counts elements
 * for lie in one page that may be accessed. Not more than a page, so that the page of the last byte
 * tells.
 */
static void check_run(struct emitter *e, const struct insn *i, unsigned reg, bool is_write)
{
	struct asm_out *o = &e->o;
	unsigned scale = i->prefix >> PFX_SIZE_SHIFT & 3;
	struct mem_ref last = {
		.base = (uint8_t)reg, .index = GUEST_RCX, .scale = (uint8_t)scale, .disp = -1};

	asm_mov_rr(o, 4, H_RAX, reg);
	asm_shift_ri(o, 4, SHR, H_RAX, 12 - 5);
	asm_alu_ri(o, 4, ALU_AND, H_RAX, (TLB_SIZE - 1) << 5);
	asm_rm(o, 8, OPCODE_ADD, H_RAX, FRAME(FRAME_TLB));
	asm_lea(o, 8, H_RCX, last);
	asm_alu_ri(o, 8, ALU_AND, H_RCX, -4096);
	asm_rm(o, 8, 0x3b, H_RCX,
	       MEM_BASE(H_RAX, is_write ? offsetof(struct tlb_entry, tag_write)
					: offsetof(struct tlb_entry, tag_read)));
	slow_if(e, i, CC_NE);
	asm_load(o, 8, H_RAX, MEM_BASE(H_RAX, offsetof(struct tlb_entry, addend)));
}

static void check_count(struct emitter *e, const struct insn *i)
{
	asm_alu_ri(&e->o, 8, ALU_CMP, GUEST_RCX, (int32_t)(4096 / size_of(i)));
	slow_if(e, i, CC_A);
}

static void host_string(struct emitter *e, const struct insn *i, unsigned opcode)
{
	asm8(&e->o, 0xf3);
	if (size_of(i) == 2)
		asm8(&e->o, 0x66);
	if (size_of(i) == 8)
		asm8(&e->o, 0x48);
	asm8(&e->o, sized(opcode, size_of(i)));
}

static void store_run(struct emitter *e, const struct insn *i)
{
	struct asm_out *o = &e->o;

	require_forward(e, i);
	check_count(e, i);
	check_run(e, i, H_RDI, true);
	asm_store(o, 8, FRAME(FRAME_TMP), H_RAX);
	asm_rr(o, 8, OPCODE_ADD, H_RDI, H_RAX);
	asm_mov_rr(o, 8, H_RCX, GUEST_RCX);
	load_rax(e);
	host_string(e, i, 0xaa);
	asm_mov_rr(o, 8, GUEST_RCX, H_RCX);
	asm_rm(o, 8, OPCODE_SUB, H_RDI, FRAME(FRAME_TMP));
}

/* Bytes that overlap in the guest's memory overlap in the host's by as much. */
static void move_run(struct emitter *e, const struct insn *i)
{
	struct asm_out *o = &e->o;

	require_forward(e, i);
	check_count(e, i);
	check_run(e, i, H_RSI, false);
	asm_store(o, 8, FRAME(FRAME_TMP), H_RAX);
	check_run(e, i, H_RDI, true);
	asm_rm(o, 8, OPCODE_ADD, H_RSI, FRAME(FRAME_TMP));
	asm_rr(o, 8, OPCODE_ADD, H_RDI, H_RAX);
	asm_mov_rr(o, 8, H_RCX, GUEST_RCX);
	host_string(e, i, 0xa4);
	asm_mov_rr(o, 8, GUEST_RCX, H_RCX);
	asm_rm(o, 8, OPCODE_SUB, H_RSI, FRAME(FRAME_TMP));
	asm_rr(o, 8, OPCODE_SUB, H_RDI, H_RAX);
}

/* ---- the instructions ---- */

bool e_stos(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i);
	struct mem_ref m;

	if (!is_plain_form(i))
		return false;
	if (is_repeated(i)) {
		store_run(e, i);
		return true;
	}
	require_forward(e, i);
	m = mem_access_at(e, i, RDI * 8, 0, size, MEM_WRITE);
	asm_store(&e->o, size, m, GUEST_RAX);
	advance(e, H_RDI, size);
	return true;
}

bool e_movs(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i);
	struct mem_ref m;

	if (!is_plain_form(i))
		return false;
	if (is_repeated(i)) {
		move_run(e, i);
		return true;
	}
	require_forward(e, i);
	m = mem_access_at(e, i, RSI * 8, 0, size, MEM_READ);
	load_sized(e, size, e->scratch, m);
	asm_store(&e->o, size, FRAME(FRAME_TMP), e->scratch);
	m = mem_access_at(e, i, RDI * 8, 0, size, MEM_WRITE);
	load_sized(e, size, e->scratch, FRAME(FRAME_TMP));
	asm_store(&e->o, size, m, e->scratch);
	advance(e, H_RSI, size);
	advance(e, H_RDI, size);
	return true;
}

bool e_lods(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i);
	struct mem_ref m;

	if (!is_plain_form(i) || is_repeated(i))
		return false;
	require_forward(e, i);
	m = mem_access_at(e, i, RSI * 8, 0, size, MEM_READ);
	load_sized(e, size, GUEST_RAX, m);
	advance(e, H_RSI, size);
	return true;
}

bool e_scas(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i);
	struct mem_ref m;

	if (!is_plain_form(i) || is_repeated(i))
		return false;
	require_forward(e, i);
	m = mem_access_at(e, i, RDI * 8, 0, size, MEM_READ);
	asm_rm(&e->o, size, sized(0x3a, size), GUEST_RAX, m);
	advance(e, H_RDI, size);
	flags_written(e);
	return true;
}

bool e_cmps(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i);
	struct mem_ref m;

	if (!is_plain_form(i) || is_repeated(i))
		return false;
	require_forward(e, i);
	m = mem_access_at(e, i, RDI * 8, 0, size, MEM_READ);
	load_sized(e, size, e->scratch, m);
	asm_store(&e->o, size, FRAME(FRAME_TMP), e->scratch);
	m = mem_access_at(e, i, RSI * 8, 0, size, MEM_READ);
	load_sized(e, size, e->scratch, m);
	asm_rm(&e->o, size, sized(0x3a, size), e->scratch, FRAME(FRAME_TMP));
	advance(e, H_RSI, size);
	advance(e, H_RDI, size);
	flags_written(e);
	return true;
}
