/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Near branches of 64-bit code.
 */
#include "engine/soft/translate/emit_int.h"
#include "engine/soft/translate/emitters.h"

#define GUEST_RSP H_R11
#define RSP_OFF	  (RSP * 8)

/* AMD's branches of 16 bits are the interpreter's. */
static bool is_whole(const struct insn *i)
{
	return PFX_SIZE(i->prefix) == 8;
}

/*
 * Offset in the page that a relative branch leads to; false when it is further than 2 GiB off, or
 * the instruction pointer is cut short.
 */
static bool target_of(const struct insn *i, int32_t *target)
{
	int64_t t = (int64_t)i->off + i->len + (int64_t)i->imm;

	*target = (int32_t)t;
	return t == *target && is_whole(i);
}

bool e_jcc(struct emitter *e, const struct insn *i)
{
	int32_t target;

	if (!target_of(i, &target))
		return false;
	flags_need(e);
	emit_branch(e, insn_rows[i->row].opcode & 15, target);
	return true;
}

/* JRCXZ and LOOP: the guest's flags are not in the host's when they branch, so they are saved. */
static unsigned count_size(const struct insn *i)
{
	return i->ea & EA_ADDR32 ? 4 : 8;
}

static void test_count(struct emitter *e, const struct insn *i)
{
	asm_rr(&e->o, count_size(i), 0x85, GUEST_RCX, GUEST_RCX);
}

bool e_jrcxz(struct emitter *e, const struct insn *i)
{
	int32_t target;

	if (!target_of(i, &target))
		return false;
	flags_to_frame(e);
	flags_clobber(e);
	test_count(e, i);
	emit_branch(e, CC_E, target);
	return true;
}

#define FRAME_ZF 0x40 /* in the byte that is as LAHF gives it */

/* LOOPNE, LOOPE, LOOP: E0 to E2. */
bool e_loop(struct emitter *e, const struct insn *i)
{
	unsigned kind = insn_rows[i->row].opcode - 0xe0u;
	bool has_condition = kind < 2;
	uint8_t *skip = NULL;
	int32_t target;

	if (!target_of(i, &target))
		return false;
	flags_to_frame(e);
	flags_clobber(e);
	asm_lea(&e->o, count_size(i), GUEST_RCX, MEM_BASE(GUEST_RCX, -1));
	if (has_condition) {
		asm_rm(&e->o, 1, 0xf6, 0, FRAME(FRAME_FLAGS + 1));
		asm8(&e->o, FRAME_ZF);
		asm8(&e->o, 0x70 | (kind ? CC_E : CC_NE));
		skip = e->o.at;
		asm8(&e->o, 0);
	}
	test_count(e, i);
	emit_branch(e, CC_NE, target);
	if (skip && !e->o.is_full)
		asm_patch8(skip, e->o.at);
	return true;
}

bool e_jmp(struct emitter *e, const struct insn *i)
{
	int32_t target;

	if (!target_of(i, &target))
		return false;
	emit_goto(e, target);
	return true;
}

/* Stores the address of the next instruction at the top of the stack. */
static void push_return(struct emitter *e, const struct insn *i)
{
	struct mem_ref m = mem_access_at(e, i, RSP_OFF, -8, 8, MEM_WRITE | MEM_END);

	asm_load(&e->o, 8, H_RCX, FRAME(FRAME_PAGE));
	asm_lea(&e->o, 8, H_RCX, MEM_BASE(H_RCX, i->off + i->len));
	asm_store(&e->o, 8, m, H_RCX);
}

static void commit_push(struct emitter *e, const struct insn *i)
{
	asm_lea(&e->o, 8, GUEST_RSP, MEM_BASE(GUEST_RSP, -8));
}

/* A store below the stack pointer is nothing the guest can tell from none. */
bool e_call(struct emitter *e, const struct insn *i)
{
	int32_t target;

	if (!target_of(i, &target))
		return false;
	push_return(e, i);
	commit_push(e, i);
	emit_goto(e, target);
	return true;
}

static void commit_pop(struct emitter *e, const struct insn *i)
{
	int32_t more = insn_rows[i->row].opcode == 0xc2 ? (uint16_t)i->imm : 0;

	asm_lea(&e->o, 8, GUEST_RSP, MEM_BASE(GUEST_RSP, 8 + more));
}

bool e_ret(struct emitter *e, const struct insn *i)
{
	struct mem_ref m;

	if (!is_whole(i))
		return false;
	m = mem_access_at(e, i, RSP_OFF, 0, 8, MEM_READ | MEM_END);
	asm_load(&e->o, 8, H_RCX, m);
	emit_jump_rcx(e, i, commit_pop);
	return true;
}

static void load_target(struct emitter *e, const struct insn *i)
{
	if (i->prefix & PFX_MEM) {
		struct mem_ref m = mem_access(e, i, 8, MEM_READ | MEM_END);

		asm_load(&e->o, 8, H_RCX, m);
	} else {
		flags_clobber(e);
		asm_mov_rr(&e->o, 8, H_RCX, reg_get(e, i->rm, H_RCX));
	}
}

bool e_jmp_indirect(struct emitter *e, const struct insn *i)
{
	if (!is_whole(i))
		return false;
	load_target(e, i);
	emit_jump_rcx(e, i, NULL);
	return true;
}

/* The return address may go over the operand, so it is stored when nothing can fail any more. */
static void commit_call(struct emitter *e, const struct insn *i)
{
	asm_store(&e->o, 8, FRAME(FRAME_TMP), H_RCX);
	asm_store(&e->o, 8, FRAME(FRAME_TMP2), H_RAX);
	push_return(e, i);
	asm_load(&e->o, 8, H_RCX, FRAME(FRAME_TMP));
	asm_load(&e->o, 8, H_RAX, FRAME(FRAME_TMP2));
	commit_push(e, i);
}

bool e_call_indirect(struct emitter *e, const struct insn *i)
{
	if (!is_whole(i))
		return false;
	load_target(e, i);
	emit_jump_rcx(e, i, commit_call);
	return true;
}
