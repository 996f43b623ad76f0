/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operand access shared by the system instructions' files.
 */
#ifndef ENGINE_SOFT_INTERP_SYS_IMPL_H
#define ENGINE_SOFT_INTERP_SYS_IMPL_H

#include "engine/soft/cache.h"
#include "engine/soft/exec.h"
#include "engine/soft/system.h"

/* Operand size of CR, DR and other full-width registers. */
static inline unsigned native_size(const struct cpu *c)
{
	return cpu_in_64bit(c) ? 8 : 4;
}

static inline uint64_t load_sized(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	if (size == 8)
		return mmu_load64(c, i, va);
	if (size == 4)
		return mmu_load32(c, i, va);
	return size == 2 ? mmu_load16(c, i, va) : mmu_load8(c, i, va);
}

static inline void store_sized(struct cpu *c, const struct insn *i, gva_t va, unsigned size,
			       uint64_t v)
{
	if (size == 8)
		mmu_store64(c, i, va, v);
	else if (size == 4)
		mmu_store32(c, i, va, (uint32_t)v);
	else if (size == 2)
		mmu_store16(c, i, va, (uint16_t)v);
	else
		mmu_store8(c, i, va, (uint8_t)v);
}

/* A register write of 1 to 8 bytes; 32 bits clear the upper half. */
static inline void set_sized(struct cpu *c, unsigned off, unsigned size, uint64_t v)
{
	if (size == 8)
		*reg64(c, off) = v;
	else if (size == 4)
		set32(c, off, (uint32_t)v);
	else if (size == 2)
		*reg16(c, off) = (uint16_t)v;
	else
		*reg8(c, off) = (uint8_t)v;
}

/* The Ew operand of instructions that take a selector. */
static inline uint16_t load_selector(struct cpu *c, const struct insn *i)
{
	if (i->prefix & PFX_MEM)
		return mmu_load16(c, i, ea(c, i, 2, false));
	return *reg16(c, i->rm);
}

/* The Ev destination of those that store one: the whole register, but 16 bits of memory. */
static inline void store_selector(struct cpu *c, const struct insn *i, uint64_t v)
{
	if (i->prefix & PFX_MEM)
		mmu_store16(c, i, ea(c, i, 2, true), (uint16_t)v);
	else
		set_sized(c, i->rm, PFX_SIZE(i->prefix), v);
}

/*
 * The Mp operand: selector and *offset. AMD's CPUs have no offsets of 64 bits: with REX.W they read
 * 32 (APM vol. 3, JMP (far)).
 */
static inline uint16_t load_far_pointer(struct cpu *c, const struct insn *i, uint64_t *offset)
{
	unsigned operand = PFX_SIZE(i->prefix);
	unsigned size = operand == 8 && cpu_is_amd(c) ? 4 : operand;
	gva_t va = ea(c, i, size + 2, false);
	gva_t at = cpu_in_64bit(c) ? va + size : (uint32_t)(va + size);

	*offset = load_sized(c, i, va, size);
	return mmu_load16(c, i, at);
}

/* #UD outside protected mode. */
static inline void require_protected(struct cpu *c, const struct insn *i)
{
	if (cpu_is_real_or_vm86(c))
		cpu_fault(c, i, VEC_UD);
}

/* User-mode instruction prevention: these tell where kernel tables lie. */
static inline void check_umip(struct cpu *c, const struct insn *i)
{
	if (c->cr4 & CR4_UMIP && c->cpl)
		cpu_fault_code(c, i, VEC_GP, 0);
}

#endif
