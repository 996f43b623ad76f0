/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port instructions: IN, OUT, INS, OUTS with REP (SDM vol. 1, chapter 19). A repeated one handles
 * one element at a time and then meets itself again, so that interrupts come in between. Permission
 * is IOPL's or the TSS bitmap's (system/task.c).
 */
#include "engine/soft/interp/exec_sys.h"

#include "engine/soft/interp/sys_impl.h"
#include "engine/soft/pio.h"

static unsigned port_size(const struct insn *i)
{
	unsigned size = PFX_SIZE(i->prefix);

	return size > 4 ? 4 : size;
}

static void check_port(struct cpu *c, const struct insn *i, uint16_t port, unsigned size)
{
	if (!tss_allows_io(c, i, port, size))
		cpu_fault_code(c, i, VEC_GP, 0);
}

static void port_in(struct cpu *c, const struct insn *i, uint16_t port)
{
	unsigned size = port_size(i);
	uint32_t v = 0;

	check_port(c, i, port, size);
	memcpy(&v, pio_in(c, i, port, size, 1), size);
	pio_in_done(c);
	debug_io_access(c, port, size);
	set_sized(c, RAX * 8, size, v);
}

/* An output leaves the engine in the middle of a step: its debug trap comes at the next entry. */
static void note_trap(struct cpu *c)
{
	uint64_t dr6 = debug_take_hits(c) | (c->rflags & FLAG_TF ? DR6_BS : 0);

	c->rflags &= ~(uint64_t)FLAG_RF;
	if (dr6)
		c->exception =
			(struct cpu_event){.is_pending = true, .vector = VEC_DB, .payload = dr6};
}

static void port_out(struct cpu *c, const struct insn *i, uint16_t port) __attribute__((noreturn));
static void port_out(struct cpu *c, const struct insn *i, uint16_t port)
{
	unsigned size = port_size(i);

	check_port(c, i, port, size);
	debug_io_access(c, port, size);
	note_trap(c);
	pio_out(c, ip_mask(c, insn_next_rip(c, i)), port, size, 1, &c->gpr[RAX]);
}

void x_in_I(struct cpu *c, const struct insn *i)
{
	port_in(c, i, (uint8_t)i->imm);
	END(c, i);
}

void x_in_DX(struct cpu *c, const struct insn *i)
{
	port_in(c, i, (uint16_t)c->gpr[RDX]);
	END(c, i);
}

void x_out_I(struct cpu *c, const struct insn *i)
{
	port_out(c, i, (uint8_t)i->imm);
}

void x_out_DX(struct cpu *c, const struct insn *i)
{
	port_out(c, i, (uint16_t)c->gpr[RDX]);
}

/* ---- strings ---- */

static bool is_repeated(const struct insn *i)
{
	return i->prefix & (PFX_REPE | PFX_REPNE);
}

/* Bits of rCX, rSI and rDI that count, by address size; as bytes for set_sized(). */
static unsigned address_size(const struct cpu *c, const struct insn *i)
{
	if (i->ea & EA_ADDR16)
		return 2;
	return i->ea & EA_ADDR32 || !cpu_in_64bit(c) ? 4 : 8;
}

static uint64_t address_register(const struct cpu *c, enum x86_gpr reg, unsigned size)
{
	uint64_t v = c->gpr[reg];

	return size == 8 ? v : size == 4 ? (uint32_t)v : (uint16_t)v;
}

/* One element is done. Returns where execution goes on: here while elements are left. */
static uint64_t advance(struct cpu *c, const struct insn *i, enum x86_gpr pointer, unsigned size)
{
	unsigned width = address_size(c, i);
	uint64_t step = c->rflags & FLAG_DF ? -(uint64_t)size : size;
	uint64_t next = ip_mask(c, insn_next_rip(c, i));

	set_sized(c, pointer * 8, width, c->gpr[pointer] + step);
	if (!is_repeated(i))
		return next;
	set_sized(c, RCX * 8, width, c->gpr[RCX] - 1);
	return address_register(c, RCX, width) ? ip_mask(c, insn_rip(c, i)) : next;
}

void x_ins(struct cpu *c, const struct insn *i)
{
	unsigned size = port_size(i), width = address_size(c, i);
	uint16_t port = (uint16_t)c->gpr[RDX];
	uint32_t v = 0;
	gva_t va;

	check_port(c, i, port, size);
	if (is_repeated(i) && !address_register(c, RCX, width))
		END(c, i);
	va = seg_linear(c, i, SEG_ES, address_register(c, RDI, width), size, true);
	mmu_check_write(c, i, va, size);
	memcpy(&v, pio_in(c, i, port, size, 1), size);
	store_sized(c, i, va, size, v);
	pio_in_done(c);
	debug_io_access(c, port, size);
	BRANCH(c, advance(c, i, RDI, size));
}

void x_outs(struct cpu *c, const struct insn *i)
{
	unsigned size = port_size(i), width = address_size(c, i);
	enum x86_seg seg = i->ea & EA_SEGMENTED ? EA_SEG(i->ea) : SEG_DS;
	uint16_t port = (uint16_t)c->gpr[RDX];
	uint64_t rip;
	uint32_t v;
	gva_t va;

	check_port(c, i, port, size);
	if (is_repeated(i) && !address_register(c, RCX, width))
		END(c, i);
	va = seg_linear(c, i, seg, address_register(c, RSI, width), size, false);
	v = (uint32_t)load_sized(c, i, va, size);
	debug_io_access(c, port, size);
	rip = advance(c, i, RSI, size);
	note_trap(c);
	pio_out(c, rip, port, size, 1, &v);
}
