/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiplication and division (SDM vol. 2, MUL, IMUL, DIV, IDIV). Products come from the host's
 * instruction with its flags. Quotients are checked first, so that #DE is the guest's and never
 * the host's; division leaves the flags, which are undefined after it, as they were.
 */
#include "engine/soft/interp/int_impl.h"

/* ---- products ---- */

/* rDX:rAX = rAX * src; AX = AL * src for bytes. */
#define WIDE_PRODUCT(bits, s, op)                                             \
	static inline void op##_wide##bits(struct cpu *c, uint##bits##_t src) \
	{                                                                     \
		uint##bits##_t low = get##bits(c, GPR(RAX)), high;            \
		uint64_t f;                                                   \
		asm(#op #s " %[src]" FLAGS_TO_F                               \
		    : "+a"(low), "=d"(high), [f] "=r"(f)                      \
		    : [src] "r"(src)                                          \
		    : "cc");                                                  \
		set##bits(c, GPR(RAX), low);                                  \
		set##bits(c, GPR(RDX), high);                                 \
		set_flags(c, f, FLAGS_STATUS);                                \
	}
#define BYTE_PRODUCT(op)                                                                        \
	static inline void op##_wide8(struct cpu *c, uint8_t src)                               \
	{                                                                                       \
		uint16_t ax = get8(c, GPR(RAX));                                                \
		uint64_t f;                                                                     \
		asm(#op "b %[src]" FLAGS_TO_F : "+a"(ax), [f] "=r"(f) : [src] "r"(src) : "cc"); \
		set16(c, GPR(RAX), ax);                                                         \
		set_flags(c, f, FLAGS_STATUS);                                                  \
	}
#define WIDE_FORMS(bits, s, op)                                    \
	void x_##op##_r##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		op##_wide##bits(c, get##bits(c, i->rm));           \
		NEXT(c, i);                                        \
	}                                                          \
	void x_##op##_m##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		op##_wide##bits(c, LOAD(bits));                    \
		NEXT(c, i);                                        \
	}
BYTE_PRODUCT(mul)
BYTE_PRODUCT(imul)
FOR_V(WIDE_PRODUCT, mul)
FOR_V(WIDE_PRODUCT, imul)
FOR_BV(WIDE_FORMS, mul)
FOR_BV(WIDE_FORMS, imul)

/* reg = a * b, signed, cut to the width. */
#define CUT_PRODUCT(bits, s)                                                             \
	static inline void imul_cut##bits(struct cpu *c, unsigned reg, uint##bits##_t a, \
					  uint##bits##_t b)                              \
	{                                                                                \
		uint64_t f;                                                              \
		asm("imul" #s " %[b], %[a]" FLAGS_TO_F                                   \
		    : [a] "+r"(a), [f] "=r"(f)                                           \
		    : [b] "r"(b)                                                         \
		    : "cc");                                                             \
		set##bits(c, reg, a);                                                    \
		set_flags(c, f, FLAGS_STATUS);                                           \
	}                                                                                \
	void x_imul_G_E_r##bits(struct cpu *c, const struct insn *i)                     \
	{                                                                                \
		imul_cut##bits(c, i->reg, get##bits(c, i->reg), get##bits(c, i->rm));    \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_imul_G_E_m##bits(struct cpu *c, const struct insn *i)                     \
	{                                                                                \
		uint##bits##_t b = LOAD(bits);                                           \
                                                                                         \
		imul_cut##bits(c, i->reg, get##bits(c, i->reg), b);                      \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_imul_G_E_I_r##bits(struct cpu *c, const struct insn *i)                   \
	{                                                                                \
		imul_cut##bits(c, i->reg, get##bits(c, i->rm), (uint##bits##_t)i->imm);  \
		NEXT(c, i);                                                              \
	}                                                                                \
	void x_imul_G_E_I_m##bits(struct cpu *c, const struct insn *i)                   \
	{                                                                                \
		imul_cut##bits(c, i->reg, LOAD(bits), (uint##bits##_t)i->imm);           \
		NEXT(c, i);                                                              \
	}
FOR_V(CUT_PRODUCT)

/* ---- quotients ---- */

/* high:low / d with high < d, so that the quotient fits. */
#define HOST_DIV(bits, s)                                                                         \
	static inline void host_div##bits(uint##bits##_t high, uint##bits##_t low,                \
					  uint##bits##_t d, uint##bits##_t *q, uint##bits##_t *r) \
	{                                                                                         \
		asm("div" #s " %[d]"                                                              \
		    : "=a"(*q), "=d"(*r)                                                          \
		    : "0"(low), "1"(high), [d] "r"(d)                                             \
		    : "cc");                                                                      \
	}
FOR_V(HOST_DIV)

static inline void host_div8(uint8_t high, uint8_t low, uint8_t d, uint8_t *q, uint8_t *r)
{
	unsigned n = (unsigned)high << 8 | low;

	*q = (uint8_t)(n / d);
	*r = (uint8_t)(n % d);
}

/* The register that holds the upper half of the dividend, and then the remainder. */
#define HIGH_8	(GPR(RAX) + 1)
#define HIGH_16 GPR(RDX)
#define HIGH_32 GPR(RDX)
#define HIGH_64 GPR(RDX)

/*
 * IDIV works on magnitudes: the quotient of magnitudes must fit, with one more on the negative
 * side; the remainder has the sign of the dividend.
 */
#define DIVIDE(bits, s)                                                                         \
	static inline void div_by##bits(struct cpu *c, const struct insn *i, uint##bits##_t d)  \
	{                                                                                       \
		uint##bits##_t high = get##bits(c, HIGH_##bits);                                \
		uint##bits##_t low = get##bits(c, GPR(RAX)), q, r;                              \
                                                                                                \
		if (unlikely(high >= d))                                                        \
			cpu_fault(c, i, VEC_DE);                                                \
		host_div##bits(high, low, d, &q, &r);                                           \
		set##bits(c, GPR(RAX), q);                                                      \
		set##bits(c, HIGH_##bits, r);                                                   \
	}                                                                                       \
	static inline void idiv_by##bits(struct cpu *c, const struct insn *i, uint##bits##_t d) \
	{                                                                                       \
		uint##bits##_t high = get##bits(c, HIGH_##bits);                                \
		uint##bits##_t low = get##bits(c, GPR(RAX)), q, r;                              \
		bool is_minus = high >> (bits - 1), is_minus_q = is_minus != d >> (bits - 1);   \
                                                                                                \
		if (is_minus) {                                                                 \
			low = (uint##bits##_t) - low;                                           \
			high = (uint##bits##_t)(~high + !low);                                  \
		}                                                                               \
		if (d >> (bits - 1))                                                            \
			d = (uint##bits##_t) - d;                                               \
		if (unlikely(high >= d))                                                        \
			cpu_fault(c, i, VEC_DE);                                                \
		host_div##bits(high, low, d, &q, &r);                                           \
		if (unlikely(q > INT##bits##_MAX + (uint##bits##_t)is_minus_q))                 \
			cpu_fault(c, i, VEC_DE);                                                \
		set##bits(c, GPR(RAX), (uint##bits##_t)(is_minus_q ? -q : q));                  \
		set##bits(c, HIGH_##bits, (uint##bits##_t)(is_minus ? -r : r));                 \
	}                                                                                       \
	void x_div_r##bits(struct cpu *c, const struct insn *i)                                 \
	{                                                                                       \
		div_by##bits(c, i, get##bits(c, i->rm));                                        \
		NEXT(c, i);                                                                     \
	}                                                                                       \
	void x_div_m##bits(struct cpu *c, const struct insn *i)                                 \
	{                                                                                       \
		div_by##bits(c, i, LOAD(bits));                                                 \
		NEXT(c, i);                                                                     \
	}                                                                                       \
	void x_idiv_r##bits(struct cpu *c, const struct insn *i)                                \
	{                                                                                       \
		idiv_by##bits(c, i, get##bits(c, i->rm));                                       \
		NEXT(c, i);                                                                     \
	}                                                                                       \
	void x_idiv_m##bits(struct cpu *c, const struct insn *i)                                \
	{                                                                                       \
		idiv_by##bits(c, i, LOAD(bits));                                                \
		NEXT(c, i);                                                                     \
	}
FOR_BV(DIVIDE)
