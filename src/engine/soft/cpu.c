/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The doors out of an instruction, and the changes of a vCPU's state that have consequences: mode
 * of execution, RFLAGS, reset. vCPU thread, or any thread while it is stopped.
 */
#include "engine/soft/cpu.h"

#include <string.h>

#include "engine/soft/cache.h"
#include "engine/soft/exec.h"
#include "engine/soft/fpu.h"
#include "engine/soft/mmu.h"
#include "engine/soft/soft.h"
#include "engine/soft/system.h"
#include "host/loop.h"

/* ---- doors ---- */

void cpu_unwind(struct cpu *c, enum unwind why)
{
	if (c->has_split_lock)
		mmu_split_unlock(c);
	c->mmio.next = 0;
	if (why == UNWIND_FAULT) {
		c->mmio.nr = 0;
		c->pio.state = PIO_NONE;
	}
	longjmp(c->unwind, why);
}

static void set_rip_to(struct cpu *c, const struct insn *i)
{
	if (i)
		c->rip = ip_mask(c, insn_rip(c, i));
}

static void raise(struct cpu *c, const struct insn *i, struct cpu_event event)
	__attribute__((noreturn));
static void raise(struct cpu *c, const struct insn *i, struct cpu_event event)
{
	set_rip_to(c, i);
	event.is_pending = true;
	c->exception = event;
	cpu_unwind(c, UNWIND_FAULT);
}

void cpu_fault(struct cpu *c, const struct insn *i, unsigned vector)
{
	raise(c, i, (struct cpu_event){.vector = (uint8_t)vector});
}

void cpu_fault_code(struct cpu *c, const struct insn *i, unsigned vector, uint32_t error)
{
	raise(c, i,
	      (struct cpu_event){.vector = (uint8_t)vector, .has_error = true, .error = error});
}

void cpu_page_fault(struct cpu *c, const struct insn *i, gva_t va, uint32_t error)
{
	raise(c, i,
	      (struct cpu_event){
		      .vector = VEC_PF, .has_error = true, .error = error, .payload = va});
}

void cpu_debug_trap(struct cpu *c, uint64_t next_rip, uint64_t dr6)
{
	c->rip = next_rip;
	raise(c, NULL, (struct cpu_event){.vector = VEC_DB, .payload = dr6});
}

void cpu_restart_alone(struct cpu *c, const struct insn *i)
{
	set_rip_to(c, i);
	cpu_unwind(c, UNWIND_ALONE);
}

void cpu_exit(struct cpu *c, const struct insn *i)
{
	set_rip_to(c, i);
	cpu_unwind(c, UNWIND_EXIT);
}

/* ---- mode ---- */

static bool segment_is_flat(const struct segment *s, uint32_t need)
{
	uint32_t kind = SEG_TYPE_CODE | SEG_ATTR_S | SEG_ATTR_P | SEG_TYPE_RW;

	/* Expand-down data segments have the limit at the other end; conforming code is harmless.
	 */
	if (!(s->attr & SEG_TYPE_CODE))
		kind |= SEG_TYPE_CONFORM;
	return !s->base && s->limit == UINT32_MAX && (s->attr & kind) == need &&
	       !(s->attr & SEG_ATTR_UNUSABLE);
}

static bool is_flat(const struct cpu *c)
{
	const uint32_t data = SEG_ATTR_S | SEG_ATTR_P | SEG_TYPE_RW;

	return segment_is_flat(&c->seg[SEG_CS], data | SEG_TYPE_CODE) &&
	       segment_is_flat(&c->seg[SEG_DS], data) && segment_is_flat(&c->seg[SEG_ES], data) &&
	       segment_is_flat(&c->seg[SEG_SS], data);
}

static uint32_t mode_of_segments(const struct cpu *c)
{
	enum code_size code = c->seg[SEG_CS].attr & SEG_ATTR_DB ? CODE_32 : CODE_16;
	enum code_size stack = c->seg[SEG_SS].attr & SEG_ATTR_DB ? CODE_32 : CODE_16;

	if (!(c->cr0 & CR0_PE))
		return MODE_REAL | code | stack << MODE_STACK_SHIFT;
	if (c->efer & EFER_LMA && c->seg[SEG_CS].attr & SEG_ATTR_L)
		return MODE_LONG | MODE_FLAT | CODE_64 | CODE_64 << MODE_STACK_SHIFT;
	if (c->rflags & FLAG_VM)
		return MODE_VM86 | CODE_16 | CODE_16 << MODE_STACK_SHIFT;
	return (c->efer & EFER_LMA ? MODE_LONG : 0) | (is_flat(c) ? MODE_FLAT : 0) | code |
	       stack << MODE_STACK_SHIFT;
}

static bool needs_step(const struct cpu *c)
{
	return c->rflags & FLAG_TF || c->dr7 & 0xff ||
	       c->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP);
}

static enum tlb_mode tlb_mode_of(const struct cpu *c)
{
	if (c->cpl == 3)
		return TLB_USER;
	if (c->cr4 & CR4_SMAP && !(c->rflags & FLAG_AC))
		return TLB_KERNEL;
	return TLB_KERNEL_AC;
}

/* Every user access is checked for alignment, or every access for a watchpoint. */
static bool needs_slow_access(const struct cpu *c)
{
	return (c->cpl == 3 && c->rflags & FLAG_AC && c->cr0 & CR0_AM) ||
	       (needs_step(c) && debug_has_watchpoints(c));
}

void cpu_update_mode(struct cpu *c)
{
	uint32_t old = c->mode;

	bool is_slow = needs_slow_access(c);

	c->mode = mode_of_segments(c) | (needs_step(c) ? MODE_STEP : 0);
	c->tlb_mode = tlb_mode_of(c);
	c->tlb = is_slow ? c->tlb_slow : c->tlbs[c->tlb_mode]->entries;
	if (cpu_in_64bit(c))
		c->mode |= (is_slow ? MODE_RIGHTS_SLOW : c->tlb_mode) << MODE_RIGHTS_SHIFT;
	c->fetch_base = cpu_in_64bit(c) ? 0 : c->seg[SEG_CS].base;
	c->fetch_mask = cpu_in_64bit(c) ? UINT64_MAX : UINT32_MAX;
	jump_cache_retag(c);
	/* The run loop for steps is another one. */
	if (c->mode & ~old & MODE_STEP)
		cpu_request(c, REQ_SAFE);
}

void cpu_set_rflags(struct cpu *c, uint64_t rflags)
{
	uint64_t changed = c->rflags ^ rflags;

	c->rflags = rflags | FLAG_FIXED;
	if (changed & (FLAG_TF | FLAG_VM | FLAG_AC))
		cpu_update_mode(c);
}

/* ---- reset ---- */

static void reset_segments(struct cpu *c)
{
	const uint16_t data = SEG_ATTR_P | SEG_ATTR_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED;

	for (unsigned s = 0; s < NR_SEGS; s++)
		c->seg[s] = (struct segment){.limit = 0xffff, .attr = data};
	c->seg[SEG_CS] = (struct segment){.base = 0xffff0000,
					  .limit = 0xffff,
					  .selector = 0xf000,
					  .attr = data | SEG_TYPE_CODE};
	c->seg[SEG_LDTR].attr = SEG_ATTR_P | 2; /* LDT */
	c->seg[SEG_TR].attr = SEG_ATTR_P | 0xb; /* busy 32-bit TSS */
	c->gdtr.base = c->idtr.base = 0;
	c->gdtr.limit = c->idtr.limit = 0xffff;
}

/* What power-on sets and INIT leaves alone. */
static void reset_persistent(struct cpu *c)
{
	fpu_reset(c);
	c->xcr0 = XCR0_X87;
	c->star = c->lstar = c->cstar = c->sfmask = c->kernel_gs_base = 0;
	c->sysenter_cs = c->sysenter_esp = c->sysenter_eip = 0;
	c->tsc_aux = c->tsc_adjust = c->spec_ctrl = c->xss = c->mcg_status = 0;
	c->pat = 0x0007040600070406ull;
	c->misc_enable = BIT(0); /* fast strings */
	/*
	 * The flaws this CPU does not have. No guest value is ever used speculatively by an
	 * interpreter, so a kernel needs neither page-table isolation nor retpolines.
	 */
	c->arch_capabilities = ARCH_CAP_IMMUNE;
	if (!cpuid_has(&c->cpuid, FEAT_SPEC_CTRL))
		c->arch_capabilities &= ~ARCH_CAP_IBRS_ALL;
	c->mtrr_def_type = 0;
	memset(c->mtrr_fixed, 0, sizeof(c->mtrr_fixed));
	memset(c->mtrr_var, 0, sizeof(c->mtrr_var));
	memset(c->mce_banks, 0, sizeof(c->mce_banks));
	for (unsigned i = 0; i < ARRAY_SIZE(c->mce_banks); i += 4)
		c->mce_banks[i] = UINT64_MAX; /* MCi_CTL */
	c->tsc_offset = -c->vm->start_tsc;    /* the same on all: a guest checks that they agree */
}

void cpu_reset(struct cpu *c, bool is_init)
{
	uint64_t kept_cr0 = is_init ? c->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;

	memset(c->gpr, 0, sizeof(c->gpr));
	c->gpr[RDX] = cpuid_lookup(&c->cpuid, 1, 0).eax;
	c->rip = 0xfff0;
	c->rflags = FLAG_FIXED;
	c->cpl = 0;
	c->in_shadow = c->is_halted = false;
	c->cr0 = CR0_ET | kept_cr0;
	c->cr2 = c->cr3 = c->cr4 = c->efer = 0;
	memset(c->dr, 0, sizeof(c->dr));
	c->dr6 = 0xffff0ff0;
	c->dr7 = 0x400;
	c->exception = c->interrupt = (struct cpu_event){.is_pending = false};
	c->nmi_pending = 0;
	c->nmi_masked = false;
	c->mmio.nr = c->mmio.next = 0;
	c->mmio.is_pending = false;
	c->pio.state = PIO_NONE;
	reset_segments(c);
	if (!is_init)
		reset_persistent(c);
	cpu_update_mode(c);
	mmu_flush_all(c);
}

/* Where the host's TSC does not run at a constant rate the guest gets one of 1 GHz from the clock.
 */
uint64_t soft_host_tsc(const struct soft_vm *vm)
{
	return vm->has_host_tsc ? __builtin_ia32_rdtsc() : host_now_ns();
}

uint64_t cpu_tsc(const struct cpu *c)
{
	return soft_host_tsc(c->vm) + c->tsc_offset;
}
