/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shifts and rotates by an immediate, by one and by CL, and the double shifts (SDM vol. 2, SAL,
 * RCL, SHLD). The host's instruction does the work; a count of zero leaves all flags alone, and
 * rotates write CF and OF only.
 */
#include "engine/soft/interp/int_impl.h"

#define COUNT_MASK(bits) ((bits) == 64 ? 63 : 31)
#define FLAGS_ROTATE	 (FLAG_CF | FLAG_OF)

#define HOST_SHIFT_AS(bits, s, op, pre)                                                      \
	static inline uint64_t host_##op##bits(uint##bits##_t *p, uint8_t count, uint64_t f) \
	{                                                                                    \
		uint##bits##_t v = *p;                                                       \
		asm(pre #op #s " %%cl, %[v]" FLAGS_TO_F                                      \
		    : [v] "+r"(v), [f] "+r"(f)                                               \
		    : "c"(count)                                                             \
		    : "cc");                                                                 \
		*p = v;                                                                      \
		return f;                                                                    \
	}
#define HOST_SHIFT(bits, s, op)	      HOST_SHIFT_AS(bits, s, op, "")
#define HOST_SHIFT_CARRY(bits, s, op) HOST_SHIFT_AS(bits, s, op, CF_FROM_F)

#define SHIFT_REG(bits, op, mask, count)                \
	uint##bits##_t v = get##bits(c, i->rm);         \
	uint8_t n = (uint8_t)(count)&COUNT_MASK(bits);  \
	uint64_t f = host_##op##bits(&v, n, c->rflags); \
	set##bits(c, i->rm, v);                         \
	if (n)                                          \
		set_flags(c, f, mask);                  \
	NEXT(c, i)

#define SHIFT_MEM(bits, op, mask, count)                   \
	gva_t va = ea(c, i, bits / 8, true);               \
	uint8_t n = (uint8_t)(count)&COUNT_MASK(bits);     \
	uint##bits##_t *p = rmw_begin(c, i, va, bits / 8); \
	uint64_t f = host_##op##bits(p, n, c->rflags);     \
	rmw_end(c, i, va, bits / 8, p);                    \
	if (n)                                             \
		set_flags(c, f, mask);                     \
	NEXT(c, i)

#define SHIFT_FORMS(bits, s, op, mask)                                  \
	void x_##op##_E_I_r##bits(struct cpu *c, const struct insn *i)  \
	{                                                               \
		SHIFT_REG(bits, op, mask, i->imm);                      \
	}                                                               \
	void x_##op##_E_I_m##bits(struct cpu *c, const struct insn *i)  \
	{                                                               \
		SHIFT_MEM(bits, op, mask, i->imm);                      \
	}                                                               \
	void x_##op##_E_1_r##bits(struct cpu *c, const struct insn *i)  \
	{                                                               \
		SHIFT_REG(bits, op, mask, 1);                           \
	}                                                               \
	void x_##op##_E_1_m##bits(struct cpu *c, const struct insn *i)  \
	{                                                               \
		SHIFT_MEM(bits, op, mask, 1);                           \
	}                                                               \
	void x_##op##_E_CL_r##bits(struct cpu *c, const struct insn *i) \
	{                                                               \
		SHIFT_REG(bits, op, mask, c->gpr[RCX]);                 \
	}                                                               \
	void x_##op##_E_CL_m##bits(struct cpu *c, const struct insn *i) \
	{                                                               \
		SHIFT_MEM(bits, op, mask, c->gpr[RCX]);                 \
	}

FOR_BV(HOST_SHIFT, rol)
FOR_BV(HOST_SHIFT, ror)
FOR_BV(HOST_SHIFT, shl)
FOR_BV(HOST_SHIFT, shr)
FOR_BV(HOST_SHIFT, sar)
FOR_BV(HOST_SHIFT_CARRY, rcl)
FOR_BV(HOST_SHIFT_CARRY, rcr)

FOR_BV(SHIFT_FORMS, rol, FLAGS_ROTATE)
FOR_BV(SHIFT_FORMS, ror, FLAGS_ROTATE)
FOR_BV(SHIFT_FORMS, rcl, FLAGS_ROTATE)
FOR_BV(SHIFT_FORMS, rcr, FLAGS_ROTATE)
FOR_BV(SHIFT_FORMS, shl, FLAGS_STATUS)
FOR_BV(SHIFT_FORMS, shr, FLAGS_STATUS)
FOR_BV(SHIFT_FORMS, sar, FLAGS_STATUS)

#define HOST_DOUBLE(bits, s, op)                                                       \
	static inline uint64_t host_##op##bits(uint##bits##_t *p, uint##bits##_t fill, \
					       uint8_t count)                          \
	{                                                                              \
		uint##bits##_t v = *p;                                                 \
		uint64_t f;                                                            \
		asm(#op #s " %%cl, %[fill], %[v]" FLAGS_TO_F                           \
		    : [v] "+r"(v), [f] "=r"(f)                                         \
		    : [fill] "r"(fill), "c"(count)                                     \
		    : "cc");                                                           \
		*p = v;                                                                \
		return f;                                                              \
	}

#define DOUBLE_REG(bits, op, count)                                \
	uint##bits##_t v = get##bits(c, i->rm);                    \
	uint8_t n = (uint8_t)(count)&COUNT_MASK(bits);             \
	uint64_t f = host_##op##bits(&v, get##bits(c, i->reg), n); \
	set##bits(c, i->rm, v);                                    \
	if (n)                                                     \
		set_flags(c, f, FLAGS_STATUS);                     \
	NEXT(c, i)

#define DOUBLE_MEM(bits, op, count)                               \
	gva_t va = ea(c, i, bits / 8, true);                      \
	uint8_t n = (uint8_t)(count)&COUNT_MASK(bits);            \
	uint##bits##_t *p = rmw_begin(c, i, va, bits / 8);        \
	uint64_t f = host_##op##bits(p, get##bits(c, i->reg), n); \
	rmw_end(c, i, va, bits / 8, p);                           \
	if (n)                                                    \
		set_flags(c, f, FLAGS_STATUS);                    \
	NEXT(c, i)

#define DOUBLE_FORMS(bits, s, op)                                     \
	HOST_DOUBLE(bits, s, op)                                      \
	void x_##op##_I_r##bits(struct cpu *c, const struct insn *i)  \
	{                                                             \
		DOUBLE_REG(bits, op, i->imm);                         \
	}                                                             \
	void x_##op##_I_m##bits(struct cpu *c, const struct insn *i)  \
	{                                                             \
		DOUBLE_MEM(bits, op, i->imm);                         \
	}                                                             \
	void x_##op##_CL_r##bits(struct cpu *c, const struct insn *i) \
	{                                                             \
		DOUBLE_REG(bits, op, c->gpr[RCX]);                    \
	}                                                             \
	void x_##op##_CL_m##bits(struct cpu *c, const struct insn *i) \
	{                                                             \
		DOUBLE_MEM(bits, op, c->gpr[RCX]);                    \
	}
FOR_V(DOUBLE_FORMS, shld)
FOR_V(DOUBLE_FORMS, shrd)
