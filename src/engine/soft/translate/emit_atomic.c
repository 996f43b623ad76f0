/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XCHG, XADD, CMPXCHG and its 8- and 16-byte forms: the host's own instructions on guest memory,
 * locked where the guest's are. What the TLB does not allow, operands across pages among it, is the
 * interpreter's.
 */
#include "engine/soft/translate/emit_int.h"
#include "engine/soft/translate/emitters.h"

bool e_xchg(struct emitter *e, const struct insn *i)
{
	bool is_short = insn_rows[i->row].opcode == 0x90;
	unsigned size = size_of(i), opcode = size == 1 ? 0x86 : 0x87;
	unsigned other = is_short ? RAX * 8 : i->rm, a, b;

	if (REG_IS_HIGH(i->reg) || (!is_mem(i) && REG_IS_HIGH(other)))
		return false;
	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, size, MEM_WRITE);

		b = reg_get(e, i->reg, e->scratch);
		asm_rm(&e->o, size, opcode, b, m);
		reg_put(e, i->reg, b);
		return true;
	}
	/* RAX with itself is NOP and clears nothing. */
	if (is_short && i->reg == RAX * 8)
		return true;
	a = reg_get(e, other, H_RCX);
	b = reg_get(e, i->reg, H_RAX);
	asm_rr(&e->o, size, opcode, b, a);
	reg_put(e, other, a);
	reg_put(e, i->reg, b);
	return true;
}

bool e_xadd(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i), opcode = size == 1 ? 0x0fc0 : 0x0fc1, a, b;

	if (REG_IS_HIGH(i->reg) || (!is_mem(i) && REG_IS_HIGH(i->rm)))
		return false;
	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, size, MEM_WRITE);

		b = reg_get(e, i->reg, e->scratch);
		emit_lock(e, i);
		asm_rm(&e->o, size, opcode, b, m);
		reg_put(e, i->reg, b);
	} else {
		a = reg_get(e, i->rm, H_RCX);
		b = reg_get(e, i->reg, H_RAX);
		asm_rr(&e->o, size, opcode, b, a);
		/* When both are one register the sum stays. */
		reg_put(e, i->reg, b);
		reg_put(e, i->rm, a);
	}
	flags_written(e);
	return true;
}

/*
 * RAX is compared with, and holds guest RAX whole, so that the host's instruction leaves in it what
 * the guest's would. The home of guest RAX is free meanwhile.
 */
static bool cmpxchg_mem(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i), src = reg_dst(e, i->reg, GUEST_RAX);
	struct mem_ref m = mem_access(e, i, size, MEM_WRITE | MEM_FREE_RAX);

	if (reg_is_in_frame(i->reg)) {
		asm_lea(&e->o, 8, H_RCX, m);
		m = MEM_BASE(H_RCX, 0);
	}
	load_rax(e);
	reg_get(e, i->reg, src);
	emit_lock(e, i);
	asm_rm(&e->o, size, size == 1 ? 0x0fb0 : 0x0fb1, src, m);
	asm_mov_rr(&e->o, 8, GUEST_RAX, H_RAX);
	flags_written(e);
	return true;
}

bool e_cmpxchg(struct emitter *e, const struct insn *i)
{
	unsigned size = size_of(i), dst, src;

	if (REG_IS_HIGH(i->reg))
		return false;
	if (is_mem(i))
		return cmpxchg_mem(e, i);
	if (REG_IS_HIGH(i->rm) || i->rm == RAX * 8)
		return false;
	load_rax(e);
	src = reg_get(e, i->reg, GUEST_RAX);
	dst = reg_get(e, i->rm, H_RCX);
	asm_rr(&e->o, size, size == 1 ? 0x0fb0 : 0x0fb1, src, dst);
	reg_put(e, i->rm, dst);
	asm_mov_rr(&e->o, 8, GUEST_RAX, H_RAX);
	flags_written(e);
	return true;
}

/* RAX, RDX, RBX and RCX are all taken: the address goes to the home of guest RAX. */
bool e_cmpxchg_pair(struct emitter *e, const struct insn *i)
{
	unsigned half = insn_rows[i->row].w == W_1 ? 8 : 4;
	unsigned how = MEM_WRITE | MEM_FLAGS | (half == 8 ? MEM_ALIGNED : 0);
	struct mem_ref m = mem_access(e, i, half * 2, how);

	load_rax(e);
	asm_lea(&e->o, 8, GUEST_RAX, m);
	asm_mov_rr(&e->o, 8, H_RCX, GUEST_RCX);
	emit_lock(e, i);
	asm_rm(&e->o, half, 0x0fc7, 1, MEM_BASE(GUEST_RAX, 0));
	asm_mov_rr(&e->o, 8, GUEST_RAX, H_RAX);
	flags_written(e);
	return true;
}
