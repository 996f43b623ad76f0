/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions on control and debug registers, on the TLB and on XCR0. Which values are allowed is
 * decided in system/control.c and system/debug.c.
 */
#include "engine/soft/interp/exec_sys.h"

#include "engine/soft/interp/sys_impl.h"
#include "engine/soft/lapic.h"

static void general_protection(struct cpu *c, const struct insn *i) __attribute__((noreturn));
static void general_protection(struct cpu *c, const struct insn *i)
{
	cpu_fault_code(c, i, VEC_GP, 0);
}

static uint64_t load_full(struct cpu *c, const struct insn *i)
{
	return cpu_in_64bit(c) ? *reg64(c, i->rm) : get32(c, i->rm);
}

static void store_full(struct cpu *c, const struct insn *i, uint64_t v)
{
	set_sized(c, i->rm, native_size(c), v);
}

/* ---- control registers ---- */

void x_mov_R_C(struct cpu *c, const struct insn *i)
{
	uint64_t v = 0;

	switch (i->reg / 8) {
	case 0:
		v = c->cr0;
		break;
	case 2:
		v = c->cr2;
		break;
	case 3:
		v = c->cr3;
		break;
	case 4:
		v = c->cr4;
		break;
	case 8:
		v = lapic_cr8(c->lapic);
		break;
	default:
		cpu_fault(c, i, VEC_UD);
	}
	require_cpl0(c, i);
	store_full(c, i, v);
	NEXT(c, i);
}

void x_mov_C_R(struct cpu *c, const struct insn *i)
{
	uint64_t v = load_full(c, i);
	unsigned n = i->reg / 8;
	bool is_valid = true;

	if (n != 0 && n != 2 && n != 3 && n != 4 && n != 8)
		cpu_fault(c, i, VEC_UD);
	require_cpl0(c, i);
	switch (n) {
	case 0:
		is_valid = cr0_write(c, v, false);
		break;
	case 2:
		c->cr2 = v;
		break;
	case 3:
		is_valid = cr3_write(c, v, false);
		break;
	case 4:
		is_valid = cr4_write(c, v, false);
		break;
	case 8:
		is_valid = v < 16;
		if (is_valid)
			lapic_set_cr8(c->lapic, (unsigned)v);
		break;
	}
	if (!is_valid)
		general_protection(c, i);
	block_cache_verify(c);
	END(c, i);
}

/* SMSW stores the whole of CR0 into a register, its low half into memory. */
void x_smsw(struct cpu *c, const struct insn *i)
{
	check_umip(c, i);
	store_selector(c, i, c->cr0);
	NEXT(c, i);
}

/* LMSW changes the low four bits and cannot leave protected mode. */
void x_lmsw(struct cpu *c, const struct insn *i)
{
	const uint64_t bits = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
	uint64_t v;

	require_cpl0(c, i);
	v = load_selector(c, i) & bits;
	v |= c->cr0 & ~(bits & ~(uint64_t)CR0_PE);
	if (!cr0_write(c, v, false))
		general_protection(c, i);
	END(c, i);
}

void x_clts(struct cpu *c, const struct insn *i)
{
	require_cpl0(c, i);
	c->cr0 &= ~(uint64_t)CR0_TS;
	cpu_update_mode(c);
	END(c, i);
}

/* ---- debug registers ---- */

/* DR4 and DR5 are other names of DR6 and DR7, unless CR4.DE makes them invalid. */
static unsigned debug_register(struct cpu *c, const struct insn *i)
{
	unsigned n = i->reg / 8;

	if (n > 7 || ((n == 4 || n == 5) && c->cr4 & CR4_DE))
		cpu_fault(c, i, VEC_UD);
	require_cpl0(c, i);
	if (c->dr7 & DR7_GD)
		cpu_debug_trap(c, insn_rip(c, i), DR6_BD);
	return n == 4 || n == 5 ? n + 2 : n;
}

void x_mov_R_D(struct cpu *c, const struct insn *i)
{
	unsigned n = debug_register(c, i);

	store_full(c, i, n == 6 ? c->dr6 : n == 7 ? c->dr7 : c->dr[n]);
	NEXT(c, i);
}

void x_mov_D_R(struct cpu *c, const struct insn *i)
{
	unsigned n = debug_register(c, i);
	uint64_t v = load_full(c, i);

	if (n >= 6 && v >> 32)
		general_protection(c, i);
	if (n == 6) {
		c->dr6 = (v & DR6_CAUSES) | DR6_FIXED;
	} else if (n == 7) {
		debug_write_dr7(c, v);
	} else {
		c->dr[n] = v;
		cpu_update_mode(c);
	}
	END(c, i);
}

/* ---- caches ---- */

/* A linear address that is not accessed: no checks. */
static gva_t unchecked_address(struct cpu *c, const struct insn *i)
{
	uint64_t offset = ea_offset(c, i);

	if (cpu_in_64bit(c))
		return i->ea & EA_SEGMENTED && EA_SEG(i->ea) >= SEG_FS
			       ? c->seg[EA_SEG(i->ea)].base + offset
			       : offset;
	return (uint32_t)(c->seg[EA_SEG(i->ea)].base + offset);
}

void x_invlpg(struct cpu *c, const struct insn *i)
{
	gva_t va;

	require_cpl0(c, i);
	va = unchecked_address(c, i);
	if (is_canonical(va))
		mmu_flush_page(c, va);
	END(c, i);
}

void x_invpcid(struct cpu *c, const struct insn *i)
{
	uint64_t type = cpu_in_64bit(c) ? *reg64(c, i->reg) : get32(c, i->reg);
	uint64_t descriptor[2];
	bool is_one_pcid = type <= 1;

	require_cpl0(c, i);
	mmu_load_bytes(c, i, ea(c, i, 16, false), descriptor, sizeof(descriptor));
	if (type > 3 || descriptor[0] & ~(uint64_t)CR3_PCID_MASK)
		general_protection(c, i);
	if (is_one_pcid && descriptor[0] && !(c->cr4 & CR4_PCIDE))
		general_protection(c, i);
	switch (type) {
	case 0:
		if (!is_canonical(descriptor[1]))
			general_protection(c, i);
		mmu_flush_page(c, descriptor[1]);
		break;
	case 1:
		mmu_flush_pcid(c, (unsigned)descriptor[0]);
		break;
	case 2:
		mmu_flush_all(c);
		break;
	case 3:
		mmu_flush_nonglobal(c);
		break;
	}
	END(c, i);
}

/* INVD, WBINVD, WBNOINVD: guest memory is always coherent. */
void x_wbinvd(struct cpu *c, const struct insn *i)
{
	require_cpl0(c, i);
	NEXT(c, i);
}

/* ---- extended control registers ---- */

void x_xgetbv(struct cpu *c, const struct insn *i)
{
	uint32_t index = (uint32_t)c->gpr[RCX];
	uint64_t v = c->xcr0;

	if (!(c->cr4 & CR4_OSXSAVE))
		cpu_fault(c, i, VEC_UD);
	if (index > 1 || (index == 1 && !cpu_has(c, FEAT_XGETBV1)))
		general_protection(c, i);
	if (index == 1)
		v &= c->fpu.xstate_bv;
	c->gpr[RAX] = (uint32_t)v;
	c->gpr[RDX] = v >> 32;
	NEXT(c, i);
}

void x_xsetbv(struct cpu *c, const struct insn *i)
{
	uint64_t v = (uint32_t)c->gpr[RAX] | c->gpr[RDX] << 32;

	if (!(c->cr4 & CR4_OSXSAVE))
		cpu_fault(c, i, VEC_UD);
	require_cpl0(c, i);
	if ((uint32_t)c->gpr[RCX] || !xcr0_write(c, v))
		general_protection(c, i);
	cpu_update_mode(c);
	END(c, i);
}
