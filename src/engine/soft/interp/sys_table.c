/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions on descriptor tables and selectors: LGDT, LIDT, LLDT, LTR and the stores of them,
 * LAR, LSL, VERR, VERW, ARPL. VERW also stands for the buffer flush of the MDS mitigation, where
 * there is nothing to flush.
 */
#include "engine/soft/interp/exec_sys.h"

#include "engine/soft/interp/sys_impl.h"

void x_sldt(struct cpu *c, const struct insn *i)
{
	require_protected(c, i);
	check_umip(c, i);
	store_selector(c, i, c->seg[SEG_LDTR].selector);
	NEXT(c, i);
}

void x_str(struct cpu *c, const struct insn *i)
{
	require_protected(c, i);
	check_umip(c, i);
	store_selector(c, i, c->seg[SEG_TR].selector);
	NEXT(c, i);
}

void x_lldt(struct cpu *c, const struct insn *i)
{
	require_protected(c, i);
	require_cpl0(c, i);
	segment_load_ldt(c, i, load_selector(c, i));
	END(c, i);
}

void x_ltr(struct cpu *c, const struct insn *i)
{
	require_protected(c, i);
	require_cpl0(c, i);
	segment_load_tr(c, i, load_selector(c, i));
	END(c, i);
}

static void store_table(struct cpu *c, const struct insn *i, uint16_t limit, uint64_t base)
{
	unsigned size = 2 + native_size(c);
	uint8_t bytes[10];

	check_umip(c, i);
	memcpy(bytes, &limit, 2);
	memcpy(bytes + 2, &base, 8);
	mmu_store_bytes(c, i, ea(c, i, size, true), bytes, size);
}

void x_sgdt(struct cpu *c, const struct insn *i)
{
	store_table(c, i, c->gdtr.limit, c->gdtr.base);
	NEXT(c, i);
}

void x_sidt(struct cpu *c, const struct insn *i)
{
	store_table(c, i, c->idtr.limit, c->idtr.base);
	NEXT(c, i);
}

static void load_table(struct cpu *c, const struct insn *i, uint16_t *limit, uint64_t *base)
{
	unsigned size = 2 + native_size(c);
	uint8_t bytes[10] = {0};

	require_cpl0(c, i);
	mmu_load_bytes(c, i, ea(c, i, size, false), bytes, size);
	memcpy(limit, bytes, 2);
	memcpy(base, bytes + 2, 8);
	if (!cpu_in_64bit(c) && PFX_SIZE(i->prefix) == 2)
		*base &= 0xffffff;
	if (!is_canonical(*base))
		cpu_fault_code(c, i, VEC_GP, 0);
}

void x_lgdt(struct cpu *c, const struct insn *i)
{
	uint16_t limit;
	uint64_t base;

	load_table(c, i, &limit, &base);
	c->gdtr.limit = limit;
	c->gdtr.base = base;
	END(c, i);
}

void x_lidt(struct cpu *c, const struct insn *i)
{
	uint16_t limit;
	uint64_t base;

	load_table(c, i, &limit, &base);
	c->idtr.limit = limit;
	c->idtr.base = base;
	END(c, i);
}

/* ---- looking at descriptors ---- */

static void set_zero_flag(struct cpu *c, bool is_set)
{
	c->rflags = (c->rflags & ~(uint64_t)FLAG_ZF) | (is_set ? FLAG_ZF : 0);
}

/* Whether the current privilege may see the segment at all; conforming code everyone may. */
static bool is_visible(const struct cpu *c, uint16_t selector, uint64_t d)
{
	unsigned dpl = descriptor_dpl(d);

	if (descriptor_is_code(d) && descriptor_is_conforming(d))
		return true;
	return dpl >= c->cpl && dpl >= (selector & 3u);
}

/* System descriptor types LAR and LSL accept, as sets of bits (SDM vol. 2, LAR and LSL). */
#define LSL_TYPES      (BIT(SYS_TSS16_AVAIL) | BIT(SYS_LDT) | BIT(SYS_TSS16_BUSY) | LSL_LONG_TYPES)
#define LSL_LONG_TYPES (BIT(SYS_LDT) | BIT(SYS_TSS_AVAIL) | BIT(SYS_TSS_BUSY))
#define LAR_TYPES      (LSL_TYPES | BIT(SYS_CALL_GATE16) | BIT(SYS_TASK_GATE) | BIT(SYS_CALL_GATE))
#define LAR_LONG_TYPES (LSL_LONG_TYPES | BIT(SYS_CALL_GATE))

/* Reads a descriptor for LAR or LSL; false: the answer is ZF clear. */
static bool inspect(struct cpu *c, const struct insn *i, uint16_t selector, unsigned types,
		    uint64_t *d)
{
	if (!(selector & ~3) || !descriptor_read(c, i, selector, d))
		return false;
	if (!descriptor_is_memory(*d) && !(types & BIT(descriptor_type(*d))))
		return false;
	return is_visible(c, selector, *d);
}

static void __attribute__((noinline)) lar(struct cpu *c, const struct insn *i)
{
	unsigned types = c->mode & MODE_LONG ? LAR_LONG_TYPES : LAR_TYPES;
	uint64_t d;
	bool is_valid;

	require_protected(c, i);
	is_valid = inspect(c, i, load_selector(c, i), types, &d);
	if (is_valid)
		set_sized(c, i->reg, PFX_SIZE(i->prefix), d >> 32 & 0x00ffff00);
	set_zero_flag(c, is_valid);
}

void x_lar(struct cpu *c, const struct insn *i)
{
	lar(c, i);
	NEXT(c, i);
}

static void __attribute__((noinline)) lsl(struct cpu *c, const struct insn *i)
{
	unsigned types = c->mode & MODE_LONG ? LSL_LONG_TYPES : LSL_TYPES;
	uint64_t d;
	bool is_valid;

	require_protected(c, i);
	is_valid = inspect(c, i, load_selector(c, i), types, &d);
	if (is_valid) {
		struct segment s;

		segment_from_descriptor(&s, d);
		set_sized(c, i->reg, PFX_SIZE(i->prefix), s.limit);
	}
	set_zero_flag(c, is_valid);
}

void x_lsl(struct cpu *c, const struct insn *i)
{
	lsl(c, i);
	NEXT(c, i);
}

/* VERR, or VERW with is_write. */
static bool may_access(struct cpu *c, const struct insn *i, uint16_t selector, bool is_write)
{
	uint64_t d;

	if (!(selector & ~3) || !descriptor_read(c, i, selector, &d) || !descriptor_is_memory(d) ||
	    !is_visible(c, selector, d))
		return false;
	if (is_write)
		return descriptor_is_writable_data(d);
	return !descriptor_is_code(d) || descriptor_type(d) & SEG_TYPE_RW;
}

void x_verr(struct cpu *c, const struct insn *i)
{
	require_protected(c, i);
	set_zero_flag(c, may_access(c, i, load_selector(c, i), false));
	NEXT(c, i);
}

void x_verw(struct cpu *c, const struct insn *i)
{
	require_protected(c, i);
	set_zero_flag(c, may_access(c, i, load_selector(c, i), true));
	NEXT(c, i);
}

void x_arpl(struct cpu *c, const struct insn *i)
{
	uint16_t rpl = *reg16(c, i->reg) & 3;
	uint16_t selector;

	require_protected(c, i);
	if (i->prefix & PFX_MEM) {
		/* It has to be writable only if there is something to write. */
		selector = mmu_load16(c, i, ea(c, i, 2, false));
	} else {
		selector = *reg16(c, i->rm);
	}
	if ((selector & 3) >= rpl) {
		set_zero_flag(c, false);
		NEXT(c, i);
	}
	selector = (selector & ~3) | rpl;
	if (i->prefix & PFX_MEM)
		mmu_store16(c, i, ea(c, i, 2, true), selector);
	else
		*reg16(c, i->rm) = selector;
	set_zero_flag(c, true);
	NEXT(c, i);
}
