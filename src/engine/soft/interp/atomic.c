/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XCHG, XADD, CMPXCHG and its 8- and 16-byte forms (SDM vol. 2). On memory they are the host's own
 * instructions, with its lock prefix where the guest's has one; XCHG is always locked.
 */
#include "engine/soft/interp/int_impl.h"

#define XCHG_FORMS(bits, s)                                                         \
	void x_xchg_r##bits(struct cpu *c, const struct insn *i)                    \
	{                                                                           \
		uint##bits##_t a = get##bits(c, i->rm), b = get##bits(c, i->reg);   \
                                                                                    \
		set##bits(c, i->rm, b);                                             \
		set##bits(c, i->reg, a);                                            \
		NEXT(c, i);                                                         \
	}                                                                           \
	void x_xchg_m##bits(struct cpu *c, const struct insn *i)                    \
	{                                                                           \
		gva_t va = ea(c, i, bits / 8, true);                                \
		uint##bits##_t *p = rmw_begin(c, i, va, bits / 8);                  \
		uint##bits##_t v = get##bits(c, i->reg);                            \
                                                                                    \
		asm volatile("xchg" #s " %0, %1" : "+r"(v), "+m"(*p) : : "memory"); \
		rmw_end(c, i, va, bits / 8, p);                                     \
		set##bits(c, i->reg, v);                                            \
		NEXT(c, i);                                                         \
	}
FOR_BV(XCHG_FORMS)

/* With rAX itself this is NOP, which clears no upper half. */
#define XCHG_A_FORM(bits, s)                                          \
	void x_xchg_A_Z_##bits(struct cpu *c, const struct insn *i)   \
	{                                                             \
		if (i->reg != GPR(RAX)) {                             \
			uint##bits##_t a = get##bits(c, GPR(RAX));    \
                                                                      \
			set##bits(c, GPR(RAX), get##bits(c, i->reg)); \
			set##bits(c, i->reg, a);                      \
		}                                                     \
		NEXT(c, i);                                           \
	}
FOR_V(XCHG_A_FORM)

/* v: the register operand, afterwards the old value of *p. */
#define HOST_XADD(bits, s, name, pre)                                           \
	static inline uint64_t name##bits(uint##bits##_t *p, uint##bits##_t *v) \
	{                                                                       \
		uint64_t f;                                                     \
		asm volatile(pre "xadd" #s " %[v], %[p]" FLAGS_TO_F             \
			     : [p] "+m"(*p), [v] "+r"(*v), [f] "=r"(f)          \
			     :                                                  \
			     : "cc", "memory");                                 \
		return f;                                                       \
	}
#define XADD_FORMS(bits, s)                                                         \
	HOST_XADD(bits, s, host_xadd, "")                                           \
	HOST_XADD(bits, s, lock_xadd, "lock ")                                      \
	void x_xadd_r##bits(struct cpu *c, const struct insn *i)                    \
	{                                                                           \
		uint##bits##_t dst = get##bits(c, i->rm), v = get##bits(c, i->reg); \
		uint64_t f;                                                         \
                                                                                    \
		asm("xadd" #s " %[v], %[dst]" FLAGS_TO_F                            \
		    : [dst] "+r"(dst), [v] "+r"(v), [f] "=r"(f)                     \
		    :                                                               \
		    : "cc");                                                        \
		set##bits(c, i->reg, v);                                            \
		set##bits(c, i->rm, dst);                                           \
		set_flags(c, f, FLAGS_STATUS);                                      \
		NEXT(c, i);                                                         \
	}                                                                           \
	void x_xadd_m##bits(struct cpu *c, const struct insn *i)                    \
	{                                                                           \
		gva_t va = ea(c, i, bits / 8, true);                                \
		uint##bits##_t *p = rmw_begin(c, i, va, bits / 8);                  \
		uint##bits##_t v = get##bits(c, i->reg);                            \
		uint64_t f;                                                         \
                                                                                    \
		if (i->prefix & PFX_LOCK)                                           \
			f = lock_xadd##bits(p, &v);                                 \
		else                                                                \
			f = host_xadd##bits(p, &v);                                 \
		rmw_end(c, i, va, bits / 8, p);                                     \
		set##bits(c, i->reg, v);                                            \
		set_flags(c, f, FLAGS_STATUS);                                      \
		NEXT(c, i);                                                         \
	}
FOR_BV(XADD_FORMS)

/*
 * CMPXCHG. On a mismatch the accumulator receives the destination, on a match the destination is
 * written; the other register keeps its upper half. Memory is written in both cases.
 */
#define HOST_CMPXCHG(bits, s, name, pre)                                                          \
	static inline uint64_t name##bits(uint##bits##_t *p, uint##bits##_t *a, uint##bits##_t v) \
	{                                                                                         \
		uint64_t f;                                                                       \
		asm volatile(pre "cmpxchg" #s " %[v], %[p]" FLAGS_TO_F                            \
			     : [p] "+m"(*p), "+a"(*a), [f] "=r"(f)                                \
			     : [v] "r"(v)                                                         \
			     : "cc", "memory");                                                   \
		return f;                                                                         \
	}
#define CMPXCHG_FORMS(bits, s)                                                        \
	HOST_CMPXCHG(bits, s, host_cmpxchg, "")                                       \
	HOST_CMPXCHG(bits, s, lock_cmpxchg, "lock ")                                  \
	void x_cmpxchg_r##bits(struct cpu *c, const struct insn *i)                   \
	{                                                                             \
		uint##bits##_t a = get##bits(c, GPR(RAX)), dst = get##bits(c, i->rm); \
		uint64_t f;                                                           \
                                                                                      \
		asm("cmpxchg" #s " %[v], %[dst]" FLAGS_TO_F                           \
		    : [dst] "+r"(dst), "+a"(a), [f] "=r"(f)                           \
		    : [v] "r"(get##bits(c, i->reg))                                   \
		    : "cc");                                                          \
		if (f & FLAG_ZF)                                                      \
			set##bits(c, i->rm, dst);                                     \
		else                                                                  \
			set##bits(c, GPR(RAX), a);                                    \
		set_flags(c, f, FLAGS_STATUS);                                        \
		NEXT(c, i);                                                           \
	}                                                                             \
	void x_cmpxchg_m##bits(struct cpu *c, const struct insn *i)                   \
	{                                                                             \
		gva_t va = ea(c, i, bits / 8, true);                                  \
		uint##bits##_t *p = rmw_begin(c, i, va, bits / 8);                    \
		uint##bits##_t a = get##bits(c, GPR(RAX));                            \
		uint64_t f;                                                           \
                                                                                      \
		if (i->prefix & PFX_LOCK)                                             \
			f = lock_cmpxchg##bits(p, &a, get##bits(c, i->reg));          \
		else                                                                  \
			f = host_cmpxchg##bits(p, &a, get##bits(c, i->reg));          \
		rmw_end(c, i, va, bits / 8, p);                                       \
		if (!(f & FLAG_ZF))                                                   \
			set##bits(c, GPR(RAX), a);                                    \
		set_flags(c, f, FLAGS_STATUS);                                        \
		NEXT(c, i);                                                           \
	}
FOR_BV(CMPXCHG_FORMS)

void x_cmpxchg8b(struct cpu *c, const struct insn *i)
{
	gva_t va = ea(c, i, 8, true);
	uint64_t *p = rmw_begin(c, i, va, 8);
	uint32_t low = get32(c, GPR(RAX)), high = get32(c, GPR(RDX));
	bool is_equal;

	asm volatile("lock cmpxchg8b %[p]"
		     : [p] "+m"(*p), "+a"(low), "+d"(high), "=@ccz"(is_equal)
		     : "b"(get32(c, GPR(RBX))), "c"(get32(c, GPR(RCX)))
		     : "memory");
	rmw_end(c, i, va, 8, p);
	if (!is_equal) {
		set32(c, GPR(RAX), low);
		set32(c, GPR(RDX), high);
	}
	set_flags(c, is_equal ? FLAG_ZF : 0, FLAG_ZF);
	NEXT(c, i);
}

/* An operand in a device: two halves under the split lock. */
static bool cmpxchg16b_split(struct cpu *c, const struct insn *i, gva_t va, uint64_t *low,
			     uint64_t *high)
{
	uint64_t old_low, old_high;
	bool is_equal;

	mmu_split_lock(c);
	old_low = mmu_load_for_write(c, i, va, 8);
	old_high = mmu_load_for_write(c, i, va + 8, 8);
	is_equal = old_low == *low && old_high == *high;
	mmu_store_slow(c, i, va, 8, is_equal ? c->gpr[RBX] : old_low);
	mmu_store_slow(c, i, va + 8, 8, is_equal ? c->gpr[RCX] : old_high);
	mmu_split_unlock(c);
	*low = old_low;
	*high = old_high;
	return is_equal;
}

void x_cmpxchg16b(struct cpu *c, const struct insn *i)
{
	gva_t va = ea(c, i, 16, true);
	uint64_t low = c->gpr[RAX], high = c->gpr[RDX];
	unsigned __int128 *p;
	bool is_equal;

	if (va & 15)
		cpu_fault_code(c, i, VEC_GP, 0);
	p = mmu_rmw_fast(c, i, va, 16);
	if (p)
		asm volatile("lock cmpxchg16b %[p]"
			     : [p] "+m"(*p), "+a"(low), "+d"(high), "=@ccz"(is_equal)
			     : "b"(c->gpr[RBX]), "c"(c->gpr[RCX])
			     : "memory");
	else
		is_equal = cmpxchg16b_split(c, i, va, &low, &high);
	if (!is_equal) {
		c->gpr[RAX] = low;
		c->gpr[RDX] = high;
	}
	set_flags(c, is_equal ? FLAG_ZF : 0, FLAG_ZF);
	NEXT(c, i);
}
