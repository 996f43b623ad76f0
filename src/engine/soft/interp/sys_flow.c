/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System instructions that transfer control or decide when interrupts come: far transfers, software
 * interrupts, system calls, HLT, CLI, STI, CLAC, STAC, hypercalls. The work is in system/.
 */
#include "engine/soft/interp/exec_sys.h"

#include "engine/soft/interp/sys_impl.h"

/* ---- far transfers ---- */

void x_call_far_A(struct cpu *c, const struct insn *i)
{
	far_call(c, i, (uint16_t)(i->imm >> 32), (uint32_t)i->imm, PFX_SIZE(i->prefix));
}

void x_jmp_far_A(struct cpu *c, const struct insn *i)
{
	far_jump(c, i, (uint16_t)(i->imm >> 32), (uint32_t)i->imm, PFX_SIZE(i->prefix));
}

void x_call_far_M(struct cpu *c, const struct insn *i)
{
	uint64_t offset;
	uint16_t selector = load_far_pointer(c, i, &offset);

	far_call(c, i, selector, offset, PFX_SIZE(i->prefix));
}

void x_jmp_far_M(struct cpu *c, const struct insn *i)
{
	uint64_t offset;
	uint16_t selector = load_far_pointer(c, i, &offset);

	far_jump(c, i, selector, offset, PFX_SIZE(i->prefix));
}

void x_ret_far(struct cpu *c, const struct insn *i)
{
	far_return(c, i, PFX_SIZE(i->prefix), 0);
}

void x_ret_far_I(struct cpu *c, const struct insn *i)
{
	far_return(c, i, PFX_SIZE(i->prefix), (uint16_t)i->imm);
}

void x_iret(struct cpu *c, const struct insn *i)
{
	interrupt_return(c, i, PFX_SIZE(i->prefix));
}

/* ---- software interrupts and system calls ---- */

void x_int(struct cpu *c, const struct insn *i)
{
	deliver_soft(c, i, (uint8_t)i->imm, EVENT_SOFT, true);
}

void x_int1(struct cpu *c, const struct insn *i)
{
	deliver_soft(c, i, VEC_DB, EVENT_PRIVILEGED, false);
	/* The trap of a breakpoint met under MOV SS is part of this one. */
	c->dr6 |= debug_take_hits(c);
}

/* A debugger's software breakpoint goes to the debugger; at the next entry it is met again. */
void x_int3(struct cpu *c, const struct insn *i)
{
	if (c->guest_debug & KVM_GUESTDBG_ENABLE && c->guest_debug & KVM_GUESTDBG_USE_SW_BP) {
		c->run->exit_reason = KVM_EXIT_DEBUG;
		c->run->debug.arch = (struct kvm_debug_exit_arch){
			.exception = VEC_BP,
			.pc = c->seg[SEG_CS].base + insn_rip(c, i),
			.dr6 = DR6_FIXED,
			.dr7 = c->dr7,
		};
		cpu_exit(c, i);
	}
	deliver_soft(c, i, VEC_BP, EVENT_SOFT, false);
}

void x_into(struct cpu *c, const struct insn *i)
{
	if (!(c->rflags & FLAG_OF))
		END(c, i);
	deliver_soft(c, i, VEC_OF, EVENT_SOFT, false);
}

void x_syscall(struct cpu *c, const struct insn *i)
{
	fast_syscall(c, i);
}

void x_sysret(struct cpu *c, const struct insn *i)
{
	fast_sysret(c, i, i->prefix & PFX_W ? 8 : 4);
}

void x_sysenter(struct cpu *c, const struct insn *i)
{
	fast_sysenter(c, i);
}

void x_sysexit(struct cpu *c, const struct insn *i)
{
	fast_sysexit(c, i, i->prefix & PFX_W ? 8 : 4);
}

/* KVM's hypercalls by either vendor's instruction. */
void x_vmcall(struct cpu *c, const struct insn *i)
{
	c->gpr[RAX] = hypercall(c);
	NEXT(c, i);
}

/* ---- interrupt flag ---- */

void x_hlt(struct cpu *c, const struct insn *i)
{
	require_cpl0(c, i);
	c->is_halted = true;
	END(c, i);
}

/* Whether CLI and STI act on IF (1), on VIF (2), or fault (0). SDM vol. 2, CLI and STI. */
enum interrupt_flag { FLAG_FORBIDDEN, FLAG_IS_IF, FLAG_IS_VIF };

static enum interrupt_flag interrupt_flag(const struct cpu *c)
{
	unsigned iopl = (unsigned)(c->rflags & FLAG_IOPL) >> 12;

	if (c->mode & MODE_REAL || c->cpl <= iopl)
		return FLAG_IS_IF;
	if (c->cpl == 3 && c->cr4 & (c->mode & MODE_VM86 ? CR4_VME : CR4_PVI))
		return FLAG_IS_VIF;
	return FLAG_FORBIDDEN;
}

void x_cli(struct cpu *c, const struct insn *i)
{
	switch (interrupt_flag(c)) {
	case FLAG_FORBIDDEN:
		cpu_fault_code(c, i, VEC_GP, 0);
		break;
	case FLAG_IS_IF:
		c->rflags &= ~(uint64_t)FLAG_IF;
		break;
	case FLAG_IS_VIF:
		c->rflags &= ~(uint64_t)FLAG_VIF;
		break;
	}
	NEXT(c, i);
}

void x_sti(struct cpu *c, const struct insn *i)
{
	switch (interrupt_flag(c)) {
	case FLAG_FORBIDDEN:
		cpu_fault_code(c, i, VEC_GP, 0);
		break;
	case FLAG_IS_IF:
		c->in_shadow = !(c->rflags & FLAG_IF);
		c->rflags |= FLAG_IF;
		break;
	case FLAG_IS_VIF:
		if (c->rflags & FLAG_VIP)
			cpu_fault_code(c, i, VEC_GP, 0);
		c->rflags |= FLAG_VIF;
		break;
	}
	END(c, i);
}

void x_clac(struct cpu *c, const struct insn *i)
{
	if (c->cpl)
		cpu_fault(c, i, VEC_UD);
	cpu_set_rflags(c, c->rflags & ~(uint64_t)FLAG_AC);
	NEXT(c, i);
}

void x_stac(struct cpu *c, const struct insn *i)
{
	if (c->cpl)
		cpu_fault(c, i, VEC_UD);
	cpu_set_rflags(c, c->rflags | FLAG_AC);
	NEXT(c, i);
}
