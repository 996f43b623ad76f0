/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BMI1 and BMI2: the VEX-encoded general-register instructions (SDM vol. 2). The host has them
 * whenever the guest's CPUID does, and executes them.
 */
#include "engine/soft/interp/int_impl.h"

#define VVVV (GPR(INSN_VVVV(i)))

/* reg = op(vvvv, E), with flags: ANDN. */
#define ANDN_FORMS(bits, s)                                                                    \
	static inline void andn##bits(struct cpu *c, const struct insn *i, uint##bits##_t src) \
	{                                                                                      \
		uint##bits##_t v;                                                              \
		uint64_t f;                                                                    \
		asm("andn" #s " %[src], %[a], %[v]" FLAGS_TO_F                                 \
		    : [v] "=r"(v), [f] "=r"(f)                                                 \
		    : [a] "r"(get##bits(c, VVVV)), [src] "r"(src)                              \
		    : "cc");                                                                   \
		set##bits(c, i->reg, v);                                                       \
		set_flags(c, f, FLAGS_STATUS);                                                 \
	}
FOR_Y(ANDN_FORMS)

/* vvvv = op(E), with flags: BLSR, BLSMSK, BLSI. */
#define BLS(bits, s, op)                                                                     \
	static inline void op##bits(struct cpu *c, const struct insn *i, uint##bits##_t src) \
	{                                                                                    \
		uint##bits##_t v;                                                            \
		uint64_t f;                                                                  \
		asm(#op #s " %[src], %[v]" FLAGS_TO_F                                        \
		    : [v] "=r"(v), [f] "=r"(f)                                               \
		    : [src] "r"(src)                                                         \
		    : "cc");                                                                 \
		set##bits(c, VVVV, v);                                                       \
		set_flags(c, f, FLAGS_STATUS);                                               \
	}
FOR_Y(BLS, blsr)
FOR_Y(BLS, blsmsk)
FOR_Y(BLS, blsi)

/* reg = op(E, vvvv), with flags: BEXTR, BZHI. */
#define FIELD(bits, s, op)                                                                   \
	static inline void op##bits(struct cpu *c, const struct insn *i, uint##bits##_t src) \
	{                                                                                    \
		uint##bits##_t v;                                                            \
		uint64_t f;                                                                  \
		asm(#op #s " %[by], %[src], %[v]" FLAGS_TO_F                                 \
		    : [v] "=r"(v), [f] "=r"(f)                                               \
		    : [by] "r"(get##bits(c, VVVV)), [src] "r"(src)                           \
		    : "cc");                                                                 \
		set##bits(c, i->reg, v);                                                     \
		set_flags(c, f, FLAGS_STATUS);                                               \
	}
FOR_Y(FIELD, bextr)
FOR_Y(FIELD, bzhi)

/* reg = op(vvvv, E), no flags: PEXT, PDEP take their mask from E. */
#define DEPOSIT(bits, s, op)                                                                 \
	static inline void op##bits(struct cpu *c, const struct insn *i, uint##bits##_t src) \
	{                                                                                    \
		uint##bits##_t v;                                                            \
		asm(#op #s " %[mask], %[a], %[v]"                                            \
		    : [v] "=r"(v)                                                            \
		    : [a] "r"(get##bits(c, VVVV)), [mask] "r"(src));                         \
		set##bits(c, i->reg, v);                                                     \
	}
FOR_Y(DEPOSIT, pext)
FOR_Y(DEPOSIT, pdep)

/* reg = E shifted, no flags. */
#define SHIFTX(bits, s, op, expression)                                                      \
	static inline void op##bits(struct cpu *c, const struct insn *i, uint##bits##_t src) \
	{                                                                                    \
		unsigned n = (unsigned)get##bits(c, VVVV) & (bits - 1);                      \
                                                                                             \
		set##bits(c, i->reg, (uint##bits##_t)(expression));                          \
	}
FOR_Y(SHIFTX, shlx, src << n)
FOR_Y(SHIFTX, shrx, src >> n)
SHIFTX(32, l, sarx, (int32_t)src >> n)
SHIFTX(64, q, sarx, (int64_t)src >> n)

#define RORX(bits, s)                                                                          \
	static inline void rorx##bits(struct cpu *c, const struct insn *i, uint##bits##_t src) \
	{                                                                                      \
		unsigned n = (unsigned)i->imm & (bits - 1);                                    \
                                                                                               \
		set##bits(c, i->reg, src >> n | src << (-n & (bits - 1)));                     \
	}
FOR_Y(RORX)

/* vvvv receives the low half first: when both are one register, the high half stays. */
static inline void mulx32(struct cpu *c, const struct insn *i, uint32_t src)
{
	uint64_t product = (uint64_t)get32(c, GPR(RDX)) * src;

	set32(c, VVVV, (uint32_t)product);
	set32(c, i->reg, (uint32_t)(product >> 32));
}

static inline void mulx64(struct cpu *c, const struct insn *i, uint64_t src)
{
	unsigned __int128 product = (unsigned __int128)get64(c, GPR(RDX)) * src;

	set64(c, VVVV, (uint64_t)product);
	set64(c, i->reg, (uint64_t)(product >> 64));
}

#define BMI_FORMS(bits, s, op)                                     \
	void x_##op##_r##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		op##bits(c, i, get##bits(c, i->rm));               \
		NEXT(c, i);                                        \
	}                                                          \
	void x_##op##_m##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		op##bits(c, i, LOAD(bits));                        \
		NEXT(c, i);                                        \
	}
FOR_Y(BMI_FORMS, andn)
FOR_Y(BMI_FORMS, blsr)
FOR_Y(BMI_FORMS, blsmsk)
FOR_Y(BMI_FORMS, blsi)
FOR_Y(BMI_FORMS, bextr)
FOR_Y(BMI_FORMS, bzhi)
FOR_Y(BMI_FORMS, pext)
FOR_Y(BMI_FORMS, pdep)
FOR_Y(BMI_FORMS, shlx)
FOR_Y(BMI_FORMS, shrx)
FOR_Y(BMI_FORMS, sarx)
FOR_Y(BMI_FORMS, rorx)
FOR_Y(BMI_FORMS, mulx)
