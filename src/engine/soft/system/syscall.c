/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fast ways into and out of a kernel: SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM vol. 3, 5.8.7 and
 * 5.8.8; APM vol. 2, 6.1). Segments are set to fixed flat ones without a look at the tables. An
 * Intel CPU knows SYSCALL in 64-bit mode only, an AMD CPU SYSENTER outside long mode only; AMD's
 * SYSCALL of legacy and compatibility mode is here too. Runs on the vCPU's thread.
 */
#include "engine/soft/system.h"

enum flat_code { FLAT_CODE32, FLAT_CODE64 };

static void set_flat_code(struct cpu *c, uint16_t selector, unsigned cpl, enum flat_code kind)
{
	c->seg[SEG_CS] = (struct segment){
		.limit = 0xffffffff,
		.selector = selector,
		.attr = (uint16_t)(SEG_ATTR_P | SEG_ATTR_S | SEG_TYPE_CODE | SEG_TYPE_RW |
				   SEG_TYPE_ACCESSED | SEG_ATTR_G | cpl << 5 |
				   (kind == FLAT_CODE64 ? SEG_ATTR_L : SEG_ATTR_DB))};
	c->cpl = (uint8_t)cpl;
}

static void set_flat_stack(struct cpu *c, uint16_t selector, unsigned cpl)
{
	c->seg[SEG_SS] = (struct segment){.limit = 0xffffffff,
					  .selector = selector,
					  .attr = (uint16_t)(SEG_ATTR_P | SEG_ATTR_S | SEG_TYPE_RW |
							     SEG_TYPE_ACCESSED | SEG_ATTR_G |
							     SEG_ATTR_DB | cpl << 5)};
}

void fast_syscall(struct cpu *c, const struct insn *i)
{
	uint16_t selector = (uint16_t)(c->star >> 32 & ~3ull);
	uint64_t next = insn_next_rip(c, i);
	bool is_long = c->mode & MODE_LONG;

	if (!(c->efer & EFER_SCE) || c->mode & MODE_REAL)
		cpu_fault(c, i, VEC_UD);
	if (!cpu_in_64bit(c) && !cpu_is_amd(c))
		cpu_fault(c, i, VEC_UD);
	c->gpr[RCX] = is_long ? next : (uint32_t)next;
	if (is_long) {
		c->gpr[R11] = c->rflags & ~(uint64_t)FLAG_RF;
		c->rip = cpu_in_64bit(c) ? c->lstar : c->cstar;
		c->rflags &= ~(c->sfmask | FLAG_RF);
	} else {
		c->rip = (uint32_t)c->star;
		c->rflags &= ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF);
	}
	c->rflags |= FLAG_FIXED;
	set_flat_code(c, selector, 0, is_long ? FLAT_CODE64 : FLAT_CODE32);
	set_flat_stack(c, (uint16_t)(selector + 8), 0);
	cpu_update_mode(c);
}

void fast_sysret(struct cpu *c, const struct insn *i, unsigned size)
{
	const uint64_t writable = 0x3c7fd7; /* all but RF and VM */
	uint16_t selector = (uint16_t)(c->star >> 48 | 3);

	if (!(c->efer & EFER_SCE) || cpu_is_real_or_vm86(c) || (!cpu_in_64bit(c) && !cpu_is_amd(c)))
		cpu_fault(c, i, VEC_UD);
	if (c->cpl)
		cpu_fault_code(c, i, VEC_GP, 0);
	if (size == 8 && !is_canonical(c->gpr[RCX]))
		cpu_fault_code(c, i, VEC_GP, 0);
	if (c->mode & MODE_LONG)
		c->rflags = (c->gpr[R11] & writable) | FLAG_FIXED;
	else
		c->rflags |= FLAG_IF;
	if (size == 8) {
		c->rip = c->gpr[RCX];
		set_flat_code(c, (uint16_t)(selector + 16), 3, FLAT_CODE64);
	} else {
		c->rip = (uint32_t)c->gpr[RCX];
		set_flat_code(c, selector, 3, FLAT_CODE32);
	}
	set_flat_stack(c, (uint16_t)(selector + 8), 3);
	cpu_update_mode(c);
	/* Unlike IRET's, a TF that SYSRET sets traps before the next instruction. */
	if (c->rflags & FLAG_TF)
		cpu_debug_trap(c, c->rip, DR6_BS);
}

void fast_sysenter(struct cpu *c, const struct insn *i)
{
	uint16_t selector = (uint16_t)(c->sysenter_cs & ~3ull);
	bool is_long = c->mode & MODE_LONG;

	if (is_long && cpu_is_amd(c))
		cpu_fault(c, i, VEC_UD);
	if (c->mode & MODE_REAL || !selector)
		cpu_fault_code(c, i, VEC_GP, 0);
	c->rflags &= ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF);
	c->rip = is_long ? c->sysenter_eip : (uint32_t)c->sysenter_eip;
	c->gpr[RSP] = is_long ? c->sysenter_esp : (uint32_t)c->sysenter_esp;
	set_flat_code(c, selector, 0, is_long ? FLAT_CODE64 : FLAT_CODE32);
	set_flat_stack(c, (uint16_t)(selector + 8), 0);
	cpu_update_mode(c);
}

void fast_sysexit(struct cpu *c, const struct insn *i, unsigned size)
{
	uint16_t selector = (uint16_t)(c->sysenter_cs & ~3ull);
	uint64_t rip = c->gpr[RDX], rsp = c->gpr[RCX];

	if (c->mode & MODE_LONG && cpu_is_amd(c))
		cpu_fault(c, i, VEC_UD);
	if (c->mode & MODE_REAL || c->cpl || !selector)
		cpu_fault_code(c, i, VEC_GP, 0);
	if (size == 8) {
		if (!is_canonical(rip) || !is_canonical(rsp))
			cpu_fault_code(c, i, VEC_GP, 0);
		set_flat_code(c, (uint16_t)((selector + 32) | 3), 3, FLAT_CODE64);
		set_flat_stack(c, (uint16_t)((selector + 40) | 3), 3);
	} else {
		rip = (uint32_t)rip;
		rsp = (uint32_t)rsp;
		set_flat_code(c, (uint16_t)((selector + 16) | 3), 3, FLAT_CODE32);
		set_flat_stack(c, (uint16_t)((selector + 24) | 3), 3);
	}
	c->rip = rip;
	c->gpr[RSP] = rsp;
	cpu_update_mode(c);
}
