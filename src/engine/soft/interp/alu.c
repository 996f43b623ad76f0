/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two-operand arithmetic and logic, and INC, DEC, NEG, NOT (SDM vol. 2). Each function performs the
 * guest's instruction with the host's instruction of the same width, and takes its flags, defined
 * or not, from the host. LOCK is the host's own lock prefix on guest memory.
 */
#include "engine/soft/interp/int_impl.h"

#define BINARY_ASM(pre, op, s, where)                        \
	asm volatile(pre #op #s " %[src], %[dst]" FLAGS_TO_F \
		     : [dst] where, [f] "+r"(f)              \
		     : [src] "r"(src)                        \
		     : "cc")
#define UNARY_ASM(pre, op, s, where) \
	asm volatile(pre #op #s " %[dst]" FLAGS_TO_F : [dst] where, [f] "+r"(f) : : "cc")

/*
 * host_add64() and so on: *p = *p op src, and the flags it leaves. f: the flags before. The second
 * function does it on memory with a lock.
 */
#define HOST_BINARY_AS(bits, s, op, pre)                                                          \
	static inline uint64_t host_##op##bits(uint##bits##_t *p, uint##bits##_t src, uint64_t f) \
	{                                                                                         \
		uint##bits##_t dst = *p;                                                          \
		BINARY_ASM(pre, op, s, "+r"(dst));                                                \
		*p = dst;                                                                         \
		return f;                                                                         \
	}                                                                                         \
	static inline uint64_t lock_##op##bits(uint##bits##_t *p, uint##bits##_t src, uint64_t f) \
	{                                                                                         \
		BINARY_ASM(pre "lock ", op, s, "+m"(*p));                                         \
		return f;                                                                         \
	}
#define HOST_BINARY(bits, s, op)       HOST_BINARY_AS(bits, s, op, "")
#define HOST_BINARY_CARRY(bits, s, op) HOST_BINARY_AS(bits, s, op, CF_FROM_F)

/* Only the flags, as CMP and TEST leave them. */
#define HOST_COMPARE(bits, s, op)                                                       \
	static inline uint64_t flags_##op##bits(uint##bits##_t dst, uint##bits##_t src) \
	{                                                                               \
		uint64_t f;                                                             \
		asm(#op #s " %[src], %[dst]" FLAGS_TO_F                                 \
		    : [f] "=r"(f)                                                       \
		    : [dst] "r"(dst), [src] "r"(src)                                    \
		    : "cc");                                                            \
		return f;                                                               \
	}

#define HOST_UNARY(bits, s, op)                                               \
	static inline uint64_t host_##op##bits(uint##bits##_t *p, uint64_t f) \
	{                                                                     \
		uint##bits##_t dst = *p;                                      \
		UNARY_ASM("", op, s, "+r"(dst));                              \
		*p = dst;                                                     \
		return f;                                                     \
	}                                                                     \
	static inline uint64_t lock_##op##bits(uint##bits##_t *p, uint64_t f) \
	{                                                                     \
		UNARY_ASM("lock ", op, s, "+m"(*p));                          \
		return f;                                                     \
	}

/* dst = dst op src with dst a register. */
#define ALU_REG(bits, op, dst, src)                                         \
	uint##bits##_t v = get##bits(c, dst);                               \
	uint64_t f = host_##op##bits(&v, (uint##bits##_t)(src), c->rflags); \
	set##bits(c, dst, v);                                               \
	set_flags(c, f, FLAGS_STATUS);                                      \
	NEXT(c, i)

/* The same with dst the memory operand. */
#define ALU_MEM(bits, op, src)                             \
	uint##bits##_t b = (uint##bits##_t)(src);          \
	gva_t va = ea(c, i, bits / 8, true);               \
	uint##bits##_t *p = rmw_begin(c, i, va, bits / 8); \
	uint64_t f;                                        \
	if (i->prefix & PFX_LOCK)                          \
		f = lock_##op##bits(p, b, c->rflags);      \
	else                                               \
		f = host_##op##bits(p, b, c->rflags);      \
	rmw_end(c, i, va, bits / 8, p);                    \
	set_flags(c, f, FLAGS_STATUS);                     \
	NEXT(c, i)

#define ALU_FORMS(bits, s, op)                                         \
	void x_##op##_E_G_r##bits(struct cpu *c, const struct insn *i) \
	{                                                              \
		ALU_REG(bits, op, i->rm, get##bits(c, i->reg));        \
	}                                                              \
	void x_##op##_E_G_m##bits(struct cpu *c, const struct insn *i) \
	{                                                              \
		ALU_MEM(bits, op, get##bits(c, i->reg));               \
	}                                                              \
	void x_##op##_G_E_r##bits(struct cpu *c, const struct insn *i) \
	{                                                              \
		ALU_REG(bits, op, i->reg, get##bits(c, i->rm));        \
	}                                                              \
	void x_##op##_G_E_m##bits(struct cpu *c, const struct insn *i) \
	{                                                              \
		ALU_REG(bits, op, i->reg, LOAD(bits));                 \
	}                                                              \
	void x_##op##_E_I_r##bits(struct cpu *c, const struct insn *i) \
	{                                                              \
		ALU_REG(bits, op, i->rm, i->imm);                      \
	}                                                              \
	void x_##op##_E_I_m##bits(struct cpu *c, const struct insn *i) \
	{                                                              \
		ALU_MEM(bits, op, i->imm);                             \
	}                                                              \
	void x_##op##_A_I_##bits(struct cpu *c, const struct insn *i)  \
	{                                                              \
		ALU_REG(bits, op, GPR(RAX), i->imm);                   \
	}

#define COMPARE(bits, op, a, b)                                                  \
	uint64_t f = flags_##op##bits((uint##bits##_t)(a), (uint##bits##_t)(b)); \
	set_flags(c, f, FLAGS_STATUS);                                           \
	NEXT(c, i)

#define COMPARE_FORMS(bits, s, op)                                            \
	void x_##op##_E_G_r##bits(struct cpu *c, const struct insn *i)        \
	{                                                                     \
		COMPARE(bits, op, get##bits(c, i->rm), get##bits(c, i->reg)); \
	}                                                                     \
	void x_##op##_E_G_m##bits(struct cpu *c, const struct insn *i)        \
	{                                                                     \
		COMPARE(bits, op, LOAD(bits), get##bits(c, i->reg));          \
	}                                                                     \
	void x_##op##_E_I_r##bits(struct cpu *c, const struct insn *i)        \
	{                                                                     \
		COMPARE(bits, op, get##bits(c, i->rm), i->imm);               \
	}                                                                     \
	void x_##op##_E_I_m##bits(struct cpu *c, const struct insn *i)        \
	{                                                                     \
		COMPARE(bits, op, LOAD(bits), i->imm);                        \
	}                                                                     \
	void x_##op##_A_I_##bits(struct cpu *c, const struct insn *i)         \
	{                                                                     \
		COMPARE(bits, op, get##bits(c, GPR(RAX)), i->imm);            \
	}

/* CMP has one form more than TEST. */
#define CMP_G_E(bits, s)                                                       \
	void x_cmp_G_E_r##bits(struct cpu *c, const struct insn *i)            \
	{                                                                      \
		COMPARE(bits, cmp, get##bits(c, i->reg), get##bits(c, i->rm)); \
	}                                                                      \
	void x_cmp_G_E_m##bits(struct cpu *c, const struct insn *i)            \
	{                                                                      \
		COMPARE(bits, cmp, get##bits(c, i->reg), LOAD(bits));          \
	}

/* mask: the flags it writes, none for NOT, all but CF for INC and DEC. */
#define UNARY_FORMS(bits, s, op, mask)                             \
	HOST_UNARY(bits, s, op)                                    \
	void x_##op##_r##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		uint##bits##_t v = get##bits(c, i->rm);            \
		uint64_t f = host_##op##bits(&v, c->rflags);       \
                                                                   \
		set##bits(c, i->rm, v);                            \
		set_flags(c, f, mask);                             \
		NEXT(c, i);                                        \
	}                                                          \
	void x_##op##_m##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		gva_t va = ea(c, i, bits / 8, true);               \
		uint##bits##_t *p = rmw_begin(c, i, va, bits / 8); \
		uint64_t f;                                        \
                                                                   \
		if (i->prefix & PFX_LOCK)                          \
			f = lock_##op##bits(p, c->rflags);         \
		else                                               \
			f = host_##op##bits(p, c->rflags);         \
		rmw_end(c, i, va, bits / 8, p);                    \
		set_flags(c, f, mask);                             \
		NEXT(c, i);                                        \
	}

FOR_BV(HOST_BINARY, add)
FOR_BV(HOST_BINARY, or)
FOR_BV(HOST_BINARY, and)
FOR_BV(HOST_BINARY, sub)
FOR_BV(HOST_BINARY, xor)
FOR_BV(HOST_BINARY_CARRY, adc)
FOR_BV(HOST_BINARY_CARRY, sbb)
FOR_BV(HOST_COMPARE, cmp)
FOR_BV(HOST_COMPARE, test)

FOR_BV(ALU_FORMS, add)
FOR_BV(ALU_FORMS, or)
FOR_BV(ALU_FORMS, adc)
FOR_BV(ALU_FORMS, sbb)
FOR_BV(ALU_FORMS, and)
FOR_BV(ALU_FORMS, sub)
FOR_BV(ALU_FORMS, xor)
FOR_BV(COMPARE_FORMS, cmp)
FOR_BV(COMPARE_FORMS, test)
FOR_BV(CMP_G_E)

FOR_BV(UNARY_FORMS, inc, FLAGS_STATUS & ~FLAG_CF)
FOR_BV(UNARY_FORMS, dec, FLAGS_STATUS & ~FLAG_CF)
FOR_BV(UNARY_FORMS, neg, FLAGS_STATUS)
FOR_BV(UNARY_FORMS, not, 0)

/* The one-byte forms of modes other than 64-bit. */
#define UNARY_Z_FORM(bits, s, op)                                   \
	void x_##op##_Z_##bits(struct cpu *c, const struct insn *i) \
	{                                                           \
		uint##bits##_t v = get##bits(c, i->reg);            \
		uint64_t f = host_##op##bits(&v, c->rflags);        \
                                                                    \
		set##bits(c, i->reg, v);                            \
		set_flags(c, f, FLAGS_STATUS & ~FLAG_CF);           \
		NEXT(c, i);                                         \
	}
FOR_V(UNARY_Z_FORM, inc)
FOR_V(UNARY_Z_FORM, dec)

/* ADCX adds with CF and ADOX with OF; each writes that flag alone. */
#define ADX_FORMS(bits, s, op, flag)                                                             \
	static inline void op##_add##bits(struct cpu *c, const struct insn *i, uint##bits##_t b) \
	{                                                                                        \
		uint##bits##_t a = get##bits(c, i->reg), sum;                                    \
		bool carry = __builtin_add_overflow(a, b, &sum);                                 \
                                                                                                 \
		carry |= __builtin_add_overflow(sum, (uint##bits##_t) !!(c->rflags & (flag)),    \
						&sum);                                           \
		set##bits(c, i->reg, sum);                                                       \
		set_flags(c, carry ? (flag) : 0, flag);                                          \
	}                                                                                        \
	void x_##op##_r##bits(struct cpu *c, const struct insn *i)                               \
	{                                                                                        \
		op##_add##bits(c, i, get##bits(c, i->rm));                                       \
		NEXT(c, i);                                                                      \
	}                                                                                        \
	void x_##op##_m##bits(struct cpu *c, const struct insn *i)                               \
	{                                                                                        \
		op##_add##bits(c, i, LOAD(bits));                                                \
		NEXT(c, i);                                                                      \
	}
FOR_Y(ADX_FORMS, adcx, FLAG_CF)
FOR_Y(ADX_FORMS, adox, FLAG_OF)
