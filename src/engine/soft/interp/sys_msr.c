/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that read what the CPU is and what it counts: CPUID, RDTSC, RDPID, RDMSR, WRMSR; and
 * SERIALIZE. There are no performance counters: RDPMC always faults.
 */
#include "engine/soft/interp/exec_sys.h"

#include "engine/soft/interp/sys_impl.h"

static void set_pair(struct cpu *c, uint64_t v)
{
	c->gpr[RAX] = (uint32_t)v;
	c->gpr[RDX] = v >> 32;
}

void x_cpuid(struct cpu *c, const struct insn *i)
{
	struct cpuid_result r = cpu_cpuid(c, (uint32_t)c->gpr[RAX], (uint32_t)c->gpr[RCX]);

	c->gpr[RAX] = r.eax;
	c->gpr[RBX] = r.ebx;
	c->gpr[RCX] = r.ecx;
	c->gpr[RDX] = r.edx;
	block_cache_verify(c);
	END(c, i);
}

void x_serialize(struct cpu *c, const struct insn *i)
{
	block_cache_verify(c);
	END(c, i);
}

static void check_tsc_access(struct cpu *c, const struct insn *i)
{
	if (c->cr4 & CR4_TSD && c->cpl)
		cpu_fault_code(c, i, VEC_GP, 0);
}

void x_rdtsc(struct cpu *c, const struct insn *i)
{
	check_tsc_access(c, i);
	set_pair(c, cpu_tsc(c));
	NEXT(c, i);
}

/* It waits for what is before it. */
void x_rdtscp(struct cpu *c, const struct insn *i)
{
	check_tsc_access(c, i);
	__builtin_ia32_lfence();
	set_pair(c, cpu_tsc(c));
	c->gpr[RCX] = (uint32_t)c->tsc_aux;
	NEXT(c, i);
}

void x_rdpid(struct cpu *c, const struct insn *i)
{
	set_sized(c, i->rm, native_size(c), (uint32_t)c->tsc_aux);
	NEXT(c, i);
}

void x_rdpmc(struct cpu *c, const struct insn *i)
{
	cpu_fault_code(c, i, VEC_GP, 0);
}

static void __attribute__((noinline)) rdmsr(struct cpu *c, const struct insn *i)
{
	uint64_t v;

	require_cpl0(c, i);
	if (!msr_read(c, (uint32_t)c->gpr[RCX], &v, false))
		cpu_fault_code(c, i, VEC_GP, 0);
	set_pair(c, v);
}

void x_rdmsr(struct cpu *c, const struct insn *i)
{
	rdmsr(c, i);
	NEXT(c, i);
}

void x_wrmsr(struct cpu *c, const struct insn *i)
{
	uint64_t v = (uint32_t)c->gpr[RAX] | c->gpr[RDX] << 32;

	require_cpl0(c, i);
	if (!msr_write(c, (uint32_t)c->gpr[RCX], v, false))
		cpu_fault_code(c, i, VEC_GP, 0);
	END(c, i);
}
