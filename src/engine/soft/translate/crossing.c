/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction that follows a block and goes on in the next page. No block of the cache holds it,
 * because what its second page is may change without notice. So it is translated with the block
 * before it, behind a check made each time: that the TLB has the next page for execution, and that
 * the bytes on both sides of the boundary are those that were translated.
 */
#include <string.h>

#include "engine/soft/cache_impl.h"
#include "engine/soft/mmu.h"
#include "engine/soft/translate/emit_impl.h"

#define ALU_AND 4
#define CC_NE	5
#define SHR	5

/* Where the bytes of the linear page at va lie, if the TLB has it for execution. */
static const uint8_t *fetch_host(const struct cpu *c, gva_t va)
{
	const struct tlb_entry *t = &c->tlb[(va >> 12) & (TLB_SIZE - 1)];

	return t->tag_fetch == va ? (const uint8_t *)(va + t->addend) : NULL;
}

void crossing_decode(struct emitter *e, struct insn *i)
{
	unsigned off = e->page_off + e->size, avail = GUEST_PAGE_SIZE - off, len;
	const struct block *b = e->block;
	const uint8_t *next;

	if (e->cpu->is_traced || e->nr == BLOCK_INSNS_MAX || off >= GUEST_PAGE_SIZE ||
	    avail >= CROSSING_MAX)
		return;
	next = fetch_host(e->cpu, ((e->cpu->gpr[SLOT_RIP] & ~0xfffull) + GUEST_PAGE_SIZE));
	if (!next)
		return;
	guest_copy(e->crossing.code, b->host + e->size, avail);
	guest_copy(e->crossing.code + avail, next, CROSSING_MAX - avail);
	len = decode(e->crossing.code, CROSSING_MAX, CODE_64, e->cpu->features, off, i);
	if (len <= avail)
		return;
	e->crossing.avail = avail;
	e->nr++;
	e->size += len;
}

/* Leaves for the run loop, before the instruction, unless the last comparison was equal. */
static void leave_unless_equal(struct emitter *e, const struct insn *i)
{
	emit_leave_unknown(e, asm_jcc(&e->o, CC_NE), i->off);
}

/* Compares the bytes at [RAX + off] with those that were translated. */
static void compare_bytes(struct emitter *e, const struct insn *i, unsigned from, unsigned to)
{
	static const uint8_t opcodes[] = {[1] = 0x80, [2] = 0x81, [4] = 0x81};

	for (unsigned n = from, size; n < to; n += size) {
		uint32_t value = 0;

		size = to - n >= 4 ? 4 : to - n >= 2 ? 2 : 1;
		memcpy(&value, &e->crossing.code[n], size);
		asm_rm(&e->o, size, opcodes[size], 7, MEM_BASE(H_RAX, n - from));
		asm_imm(&e->o, size, value);
		leave_unless_equal(e, i);
	}
}

void emit_crossing(struct emitter *e, const struct insn *i)
{
	struct asm_out *o = &e->o;
	unsigned avail = e->crossing.avail;

	flags_clobber(e);
	asm_load(o, 8, H_RCX, FRAME(FRAME_PAGE));
	asm_alu_ri(o, 8, 0, H_RCX, GUEST_PAGE_SIZE);
	asm_mov_rr(o, 4, H_RAX, H_RCX);
	_Static_assert(sizeof(struct tlb_entry) == 32, "5 bits of shift");
	asm_shift_ri(o, 4, SHR, H_RAX, 12 - 5);
	asm_alu_ri(o, 4, ALU_AND, H_RAX, (TLB_SIZE - 1) << 5);
	asm_rm(o, 8, 0x03, H_RAX, FRAME(FRAME_TLB));
	asm_rm(o, 8, 0x3b, H_RCX, MEM_BASE(H_RAX, offsetof(struct tlb_entry, tag_fetch)));
	leave_unless_equal(e, i);
	asm_load(o, 8, H_RAX, MEM_BASE(H_RAX, offsetof(struct tlb_entry, addend)));
	asm_rr(o, 8, 0x01, H_RCX, H_RAX);
	compare_bytes(e, i, avail, i->len);
	asm_mov_imm(o, H_RAX, (uintptr_t)(e->block->host + (i->off - e->page_off)));
	compare_bytes(e, i, 0, avail);
}
