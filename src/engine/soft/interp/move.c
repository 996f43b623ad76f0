/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves, extensions, LEA, byte swaps and XLAT; then the instructions that only order or hint:
 * fences are the host's own, since vCPUs are host threads on the same memory model, prefetches and
 * multi-byte NOPs do nothing, and cache-line flushes only check that the line can be read.
 */
#include <sched.h>

#include "engine/soft/interp/int_impl.h"

#define MOV_FORMS(bits, s)                                                               \
	void x_mov_E_G_r##bits(struct cpu *c, const struct insn *i)                      \
	{                                                                                \
		set##bits(c, i->rm, get##bits(c, i->reg));                               \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_mov_E_G_m##bits(struct cpu *c, const struct insn *i)                      \
	{                                                                                \
		gva_t va = ea(c, i, bits / 8, true);                                     \
                                                                                         \
		mmu_store##bits(c, i, va, get##bits(c, i->reg));                         \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_mov_G_E_r##bits(struct cpu *c, const struct insn *i)                      \
	{                                                                                \
		set##bits(c, i->reg, get##bits(c, i->rm));                               \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_mov_G_E_m##bits(struct cpu *c, const struct insn *i)                      \
	{                                                                                \
		set##bits(c, i->reg, LOAD(bits));                                        \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_mov_E_I_r##bits(struct cpu *c, const struct insn *i)                      \
	{                                                                                \
		set##bits(c, i->rm, (uint##bits##_t)i->imm);                             \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_mov_E_I_m##bits(struct cpu *c, const struct insn *i)                      \
	{                                                                                \
		mmu_store##bits(c, i, ea(c, i, bits / 8, true), (uint##bits##_t)i->imm); \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_mov_Z_I_##bits(struct cpu *c, const struct insn *i)                       \
	{                                                                                \
		set##bits(c, i->reg, (uint##bits##_t)i->imm);                            \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_mov_A_O_##bits(struct cpu *c, const struct insn *i)                       \
	{                                                                                \
		gva_t va = ea_at(c, i, i->imm, bits / 8, false);                         \
                                                                                         \
		set##bits(c, GPR(RAX), mmu_load##bits(c, i, va));                        \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_mov_O_A_##bits(struct cpu *c, const struct insn *i)                       \
	{                                                                                \
		gva_t va = ea_at(c, i, i->imm, bits / 8, true);                          \
                                                                                         \
		mmu_store##bits(c, i, va, get##bits(c, GPR(RAX)));                       \
		NEXT(c, i);                                                              \
	}
FOR_BV(MOV_FORMS)

/* The source is narrower than the destination, whose width is the operand size. */
#define EXTEND_FORMS(bits, s, op, letter, from, type)                            \
	void x_##op##_##letter##_r##bits(struct cpu *c, const struct insn *i)    \
	{                                                                        \
		set##bits(c, i->reg, (uint##bits##_t)(type)get##from(c, i->rm)); \
		NEXT(c, i);                                                      \
	}                                                                        \
	void x_##op##_##letter##_m##bits(struct cpu *c, const struct insn *i)    \
	{                                                                        \
		set##bits(c, i->reg, (uint##bits##_t)(type)LOAD(from));          \
		NEXT(c, i);                                                      \
	}
FOR_V(EXTEND_FORMS, movzx, b, 8, uint8_t)
FOR_V(EXTEND_FORMS, movzx, w, 16, uint16_t)
FOR_V(EXTEND_FORMS, movsx, b, 8, int8_t)
FOR_V(EXTEND_FORMS, movsx, w, 16, int16_t)
EXTEND_FORMS(32, l, movsx, d, 32, int32_t)
EXTEND_FORMS(64, q, movsx, d, 32, int32_t)
/* MOVSXD with 16 bits is a plain move, and Intel's CPUs read no more; but AMD's do. */
EXTEND_FORMS(16, w, movsx, d, 32, int32_t)

#define LEA_FORM(bits, s)                                                                          \
	void x_lea_m##bits(struct cpu *c, const struct insn *i)                                    \
	{                                                                                          \
		uint64_t offset = likely(i->ea == EA_FLAT) ? ea(c, i, 1, false) : ea_offset(c, i); \
                                                                                                   \
		set##bits(c, i->reg, (uint##bits##_t)offset);                                      \
		NEXT(c, i);                                                                        \
	}
FOR_V(LEA_FORM)

/* CBW, CWDE, CDQE and CWD, CDQ, CQO. */
#define SIGN_FORMS(bits, half)                                                                 \
	void x_cbw_##bits(struct cpu *c, const struct insn *i)                                 \
	{                                                                                      \
		set##bits(c, GPR(RAX), (uint##bits##_t)(int##half##_t)get##half(c, GPR(RAX))); \
		NEXT(c, i);                                                                    \
	}                                                                                      \
	void x_cwd_##bits(struct cpu *c, const struct insn *i)                                 \
	{                                                                                      \
		bool is_minus = get##bits(c, GPR(RAX)) >> (bits - 1);                          \
                                                                                               \
		set##bits(c, GPR(RDX), is_minus ? UINT##bits##_MAX : 0);                       \
		NEXT(c, i);                                                                    \
	}
SIGN_FORMS(16, 8)
SIGN_FORMS(32, 16)
SIGN_FORMS(64, 32)

/* With 16 bits BSWAP is undefined; CPUs give zero. */
void x_bswap_16(struct cpu *c, const struct insn *i)
{
	set16(c, i->reg, 0);
	NEXT(c, i);
}

void x_bswap_32(struct cpu *c, const struct insn *i)
{
	set32(c, i->reg, __builtin_bswap32(get32(c, i->reg)));
	NEXT(c, i);
}

void x_bswap_64(struct cpu *c, const struct insn *i)
{
	set64(c, i->reg, __builtin_bswap64(get64(c, i->reg)));
	NEXT(c, i);
}

#define MOVBE_FORMS(bits, s)                                                            \
	void x_movbe_G_M_m##bits(struct cpu *c, const struct insn *i)                   \
	{                                                                               \
		set##bits(c, i->reg, __builtin_bswap##bits(LOAD(bits)));                \
		NEXT(c, i);                                                             \
	}                                                                               \
	void x_movbe_M_G_m##bits(struct cpu *c, const struct insn *i)                   \
	{                                                                               \
		gva_t va = ea(c, i, bits / 8, true);                                    \
                                                                                        \
		mmu_store##bits(c, i, va, __builtin_bswap##bits(get##bits(c, i->reg))); \
		NEXT(c, i);                                                             \
	}
FOR_V(MOVBE_FORMS)

void x_xlat(struct cpu *c, const struct insn *i)
{
	gva_t va = ea_at(c, i, c->gpr[RBX] + get8(c, GPR(RAX)), 1, false);

	set8(c, GPR(RAX), mmu_load8(c, i, va));
	NEXT(c, i);
}

void x_nop(struct cpu *c, const struct insn *i)
{
	NEXT(c, i);
}

void x_prefetch(struct cpu *c, const struct insn *i)
{
	NEXT(c, i);
}

/* One function for LFENCE, SFENCE and MFENCE; LFENCE also holds up a RDTSC that follows. */
void x_fence(struct cpu *c, const struct insn *i)
{
	asm volatile("mfence\n\tlfence" ::: "memory");
	NEXT(c, i);
}

/*
 * What a guest spins for may wait for this host CPU: another vCPU, or the main loop. So after some
 * microseconds of spinning other threads get their turn. Ends the block: a guest that spins should
 * see interrupts soon.
 */
#define PAUSES_MAX 128

void x_pause(struct cpu *c, const struct insn *i)
{
	if (c->pauses) {
		c->pauses--;
		asm volatile("pause");
	} else {
		c->pauses = PAUSES_MAX;
		sched_yield();
	}
	END(c, i);
}

void x_clflush(struct cpu *c, const struct insn *i)
{
	LOAD(8);
	NEXT(c, i);
}

/* RDRAND and RDSEED clear all status flags but CF, which tells whether a number was ready. */
#define RANDOM_FORM(op)                                                   \
	void x_##op(struct cpu *c, const struct insn *i)                  \
	{                                                                 \
		uint64_t value;                                           \
		bool is_ready;                                            \
                                                                          \
		asm volatile(#op " %0" : "=r"(value), "=@ccc"(is_ready)); \
		switch (PFX_SIZE(i->prefix)) {                            \
		case 2:                                                   \
			set16(c, i->rm, (uint16_t)value);                 \
			break;                                            \
		case 4:                                                   \
			set32(c, i->rm, (uint32_t)value);                 \
			break;                                            \
		default:                                                  \
			set64(c, i->rm, value);                           \
			break;                                            \
		}                                                         \
		set_flags(c, is_ready ? FLAG_CF : 0, FLAGS_STATUS);       \
		NEXT(c, i);                                               \
	}
RANDOM_FORM(rdrand)
RANDOM_FORM(rdseed)
