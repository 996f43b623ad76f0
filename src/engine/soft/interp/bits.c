/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bit tests, scans, counts and CRC32 (SDM vol. 2, BT, BSF, TZCNT, POPCNT, CRC32). A bit number in
 * a register reaches beyond a memory operand, in both directions.
 */
#include "engine/soft/interp/int_impl.h"

/* BT leaves all flags but CF alone. */
#define HOST_BIT_OP(bits, s, op)                                                            \
	static inline bool host_##op##bits(uint##bits##_t *p, uint##bits##_t bit)           \
	{                                                                                   \
		uint##bits##_t v = *p;                                                      \
		bool carry;                                                                 \
		asm(#op #s " %[bit], %[v]" : [v] "+r"(v), "=@ccc"(carry) : [bit] "r"(bit)); \
		*p = v;                                                                     \
		return carry;                                                               \
	}                                                                                   \
	static inline bool lock_##op##bits(uint##bits##_t *p, uint##bits##_t bit)           \
	{                                                                                   \
		bool carry;                                                                 \
		asm volatile("lock " #op #s " %[bit], %[v]"                                 \
			     : [v] "+m"(*p), "=@ccc"(carry)                                 \
			     : [bit] "r"(bit)                                               \
			     : "memory");                                                   \
		return carry;                                                               \
	}
FOR_V(HOST_BIT_OP, bts)
FOR_V(HOST_BIT_OP, btr)
FOR_V(HOST_BIT_OP, btc)

/* Bytes from the operand to the word that holds the bit a register names. */
#define BIT_REACH(bits) (((int##bits##_t)get##bits(c, i->reg) >> BIT_SHIFT_##bits) * ((bits) / 8))
#define BIT_SHIFT_16	4
#define BIT_SHIFT_32	5
#define BIT_SHIFT_64	6

/* Linear address delta bytes from the operand; the common case is inline. */
static inline gva_t bit_ea(struct cpu *c, const struct insn *i, int64_t delta, unsigned size,
			   bool is_write)
{
	if (likely(i->ea == EA_FLAT))
		return ea(c, i, size, is_write) + (uint64_t)delta;
	return ea_plus(c, i, delta, size, is_write);
}

#define BT_REG(bits, bit)                                             \
	bool carry = get##bits(c, i->rm) >> ((bit) & (bits - 1)) & 1; \
	set_flags(c, carry, FLAG_CF);                                 \
	NEXT(c, i)

#define BT_MEM(bits, bit, reach)                                           \
	gva_t va = bit_ea(c, i, reach, bits / 8, false);                   \
	bool carry = mmu_load##bits(c, i, va) >> ((bit) & (bits - 1)) & 1; \
	set_flags(c, carry, FLAG_CF);                                      \
	NEXT(c, i)

#define BT_FORMS(bits, s)                                            \
	void x_bt_E_G_r##bits(struct cpu *c, const struct insn *i)   \
	{                                                            \
		BT_REG(bits, get##bits(c, i->reg));                  \
	}                                                            \
	void x_bt_E_G_m##bits(struct cpu *c, const struct insn *i)   \
	{                                                            \
		BT_MEM(bits, get##bits(c, i->reg), BIT_REACH(bits)); \
	}                                                            \
	void x_bt_E_I_r##bits(struct cpu *c, const struct insn *i)   \
	{                                                            \
		BT_REG(bits, i->imm);                                \
	}                                                            \
	void x_bt_E_I_m##bits(struct cpu *c, const struct insn *i)   \
	{                                                            \
		BT_MEM(bits, i->imm, 0);                             \
	}
FOR_V(BT_FORMS)

#define BIT_REG(bits, op, bit)                                                \
	uint##bits##_t v = get##bits(c, i->rm);                               \
	bool carry = host_##op##bits(&v, (uint##bits##_t)(bit) & (bits - 1)); \
	set##bits(c, i->rm, v);                                               \
	set_flags(c, carry, FLAG_CF);                                         \
	NEXT(c, i)

#define BIT_MEM(bits, op, number, reach)                                                       \
	gva_t va = bit_ea(c, i, reach, bits / 8, true);                                        \
	uint##bits##_t bit = (uint##bits##_t)(number) & (bits - 1);                            \
	uint##bits##_t *p = rmw_begin(c, i, va, bits / 8);                                     \
	bool carry = i->prefix & PFX_LOCK ? lock_##op##bits(p, bit) : host_##op##bits(p, bit); \
	rmw_end(c, i, va, bits / 8, p);                                                        \
	set_flags(c, carry, FLAG_CF);                                                          \
	NEXT(c, i)

#define BIT_FORMS(bits, s, op)                                            \
	void x_##op##_E_G_r##bits(struct cpu *c, const struct insn *i)    \
	{                                                                 \
		BIT_REG(bits, op, get##bits(c, i->reg));                  \
	}                                                                 \
	void x_##op##_E_G_m##bits(struct cpu *c, const struct insn *i)    \
	{                                                                 \
		BIT_MEM(bits, op, get##bits(c, i->reg), BIT_REACH(bits)); \
	}                                                                 \
	void x_##op##_E_I_r##bits(struct cpu *c, const struct insn *i)    \
	{                                                                 \
		BIT_REG(bits, op, i->imm);                                \
	}                                                                 \
	void x_##op##_E_I_m##bits(struct cpu *c, const struct insn *i)    \
	{                                                                 \
		BIT_MEM(bits, op, i->imm, 0);                             \
	}
FOR_V(BIT_FORMS, bts)
FOR_V(BIT_FORMS, btr)
FOR_V(BIT_FORMS, btc)

/*
 * Scans and counts run on the host with the old destination in place: BSF and BSR of zero leave it,
 * as CPUs do though manuals call it undefined. The asm works on the whole register, so that this
 * holds for its upper half too.
 */
#define HOST_SCAN(op, k, bits)                                                  \
	static inline void op##_from##bits(struct cpu *c, const struct insn *i, \
					   uint##bits##_t src)                  \
	{                                                                       \
		uint64_t dst = get64(c, i->reg), f;                             \
                                                                                \
		asm(#op " %" #k "[src], %" #k "[dst]" FLAGS_TO_F                \
		    : [dst] "+r"(dst), [f] "=r"(f)                              \
		    : [src] "r"(src)                                            \
		    : "cc");                                                    \
		set64(c, i->reg, dst);                                          \
		set_flags(c, f, FLAGS_STATUS);                                  \
	}
#define HOST_SCANS(op) HOST_SCAN(op, w, 16) HOST_SCAN(op, k, 32) HOST_SCAN(op, q, 64)
HOST_SCANS(bsf)
HOST_SCANS(bsr)
HOST_SCANS(tzcnt)
HOST_SCANS(lzcnt)
HOST_SCANS(popcnt)

#define SCAN_FORMS(bits, s, op)                                    \
	void x_##op##_r##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		op##_from##bits(c, i, get##bits(c, i->rm));        \
		NEXT(c, i);                                        \
	}                                                          \
	void x_##op##_m##bits(struct cpu *c, const struct insn *i) \
	{                                                          \
		op##_from##bits(c, i, LOAD(bits));                 \
		NEXT(c, i);                                        \
	}
FOR_V(SCAN_FORMS, bsf)
FOR_V(SCAN_FORMS, bsr)
FOR_V(SCAN_FORMS, tzcnt)
FOR_V(SCAN_FORMS, lzcnt)
FOR_V(SCAN_FORMS, popcnt)

/* The assembler's modifier for the destination that goes with a source width. */
#define CRC_REG_8  "k"
#define CRC_REG_16 "k"
#define CRC_REG_32 "k"
#define CRC_REG_64 "q"

/* The destination is 32 or 64 bits by REX.W; the upper half of the result is zero in both. */
#define CRC32_FORMS(bits, s)                                                                       \
	static inline void crc32_of##bits(struct cpu *c, const struct insn *i, uint##bits##_t src) \
	{                                                                                          \
		uint64_t crc = get32(c, i->reg);                                                   \
                                                                                                   \
		asm("crc32" #s " %[src], %" CRC_REG_##bits "[crc]"                                 \
		    : [crc] "+r"(crc)                                                              \
		    : [src] "r"(src));                                                             \
		set64(c, i->reg, crc);                                                             \
	}                                                                                          \
	void x_crc32_r##bits(struct cpu *c, const struct insn *i)                                  \
	{                                                                                          \
		crc32_of##bits(c, i, get##bits(c, i->rm));                                         \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	void x_crc32_m##bits(struct cpu *c, const struct insn *i)                                  \
	{                                                                                          \
		crc32_of##bits(c, i, LOAD(bits));                                                  \
		NEXT(c, i);                                                                        \
	}
FOR_BV(CRC32_FORMS)
