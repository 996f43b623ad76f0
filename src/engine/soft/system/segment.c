/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Segment registers and descriptor tables (SDM vol. 3, 3.4, 3.5 and 5): reading descriptors,
 * loading data segments, LDTR and TR with every check, null selectors, accessed and busy bits. Code
 * segments are loaded by control transfers (gate.c). Runs on the vCPU's thread.
 */
#include "engine/soft/system.h"

#include "engine/soft/mmu.h"

/* Outside long mode descriptor tables lie in 32 bits of linear space. */
static gva_t table_va(const struct cpu *c, gva_t va)
{
	return c->mode & MODE_LONG ? va : (uint32_t)va;
}

/* Where size bytes of the entry of a selector lie; false when outside the table. */
static bool descriptor_va(const struct cpu *c, uint16_t selector, unsigned size, gva_t *va)
{
	uint64_t base = c->gdtr.base;
	uint32_t limit = c->gdtr.limit;
	uint32_t off = selector & ~7u;

	if (selector & 4) {
		if (c->seg[SEG_LDTR].attr & SEG_ATTR_UNUSABLE)
			return false;
		base = c->seg[SEG_LDTR].base;
		limit = c->seg[SEG_LDTR].limit;
	}
	if (off + size - 1 > limit)
		return false;
	*va = table_va(c, base + off);
	return true;
}

bool descriptor_read(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t *d)
{
	gva_t va;

	if (!descriptor_va(c, selector, 8, &va))
		return false;
	*d = mmu_load_system(c, i, va, 8);
	return true;
}

bool descriptor_read_high(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t *high)
{
	gva_t va;

	if (!descriptor_va(c, selector, 16, &va))
		return false;
	*high = mmu_load_system(c, i, va + 8, 8);
	return true;
}

/* The type is the low half of byte 5. */
static void change_type(struct cpu *c, const struct insn *i, uint16_t selector, uint8_t set,
			uint8_t clear)
{
	_Atomic uint8_t *host;
	gva_t va;

	if (!descriptor_va(c, selector, 8, &va))
		return;
	va = table_va(c, va + 5);
	host = mmu_rmw_system(c, i, va, 1);
	if (!host) {
		uint8_t byte = (uint8_t)mmu_load_system(c, i, va, 1);

		mmu_store_system(c, i, va, 1, (byte | set) & ~clear);
	} else if (set) {
		atomic_fetch_or(host, set);
	} else {
		atomic_fetch_and(host, (uint8_t)~clear);
	}
}

void descriptor_set_type_bits(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t *d,
			      unsigned bits)
{
	if ((descriptor_type(*d) & bits) == bits)
		return;
	change_type(c, i, selector, (uint8_t)bits, 0);
	*d |= (uint64_t)bits << 40;
}

void descriptor_clear_type_bits(struct cpu *c, const struct insn *i, uint16_t selector,
				unsigned bits)
{
	change_type(c, i, selector, 0, (uint8_t)bits);
}

void segment_from_descriptor(struct segment *s, uint64_t descriptor)
{
	uint32_t limit = (uint32_t)(descriptor & 0xffff) | (uint32_t)(descriptor >> 32 & 0xf0000);

	s->attr = (uint16_t)(descriptor >> 40 & 0xf0ff);
	s->base = (descriptor >> 16 & 0xffffff) | (descriptor >> 32 & 0xff000000);
	s->limit = s->attr & SEG_ATTR_G ? limit << 12 | 0xfff : limit;
}

void segment_set(struct cpu *c, enum x86_seg seg, uint16_t selector, uint64_t d)
{
	segment_from_descriptor(&c->seg[seg], d);
	c->seg[seg].selector = selector;
}

/* AMD's bit NullSelectorClearsBase. */
static bool null_clears_base(const struct cpu *c)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(&c->cpuid, 0x80000021, 0);

	return e && e->eax & BIT(6);
}

void segment_set_null(struct cpu *c, enum x86_seg seg, uint16_t selector)
{
	struct segment *s = &c->seg[seg];

	/* AMD's older CPUs keep the base, and with it what FS and GS point at. */
	if (!(c->mode & MODE_LONG) || !cpu_is_amd(c) || null_clears_base(c))
		s->base = 0;
	s->limit = 0;
	s->attr = SEG_ATTR_UNUSABLE;
	s->selector = selector;
}

bool segment_covers(const struct segment *s, uint64_t offset, unsigned size)
{
	uint64_t last = offset + size - 1;

	if (s->attr & SEG_ATTR_UNUSABLE)
		return false;
	if ((s->attr & (SEG_ATTR_S | SEG_TYPE_CODE | SEG_TYPE_CONFORM)) ==
	    (SEG_ATTR_S | SEG_TYPE_CONFORM))
		return offset > s->limit && last <= (s->attr & SEG_ATTR_DB ? 0xffffffffu : 0xffffu);
	return last <= s->limit;
}

void segment_load_real(struct cpu *c, enum x86_seg seg, uint16_t selector)
{
	struct segment *s = &c->seg[seg];
	const uint16_t data = SEG_ATTR_P | SEG_ATTR_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED;

	s->selector = selector;
	s->base = (uint32_t)selector << 4;
	if (c->rflags & FLAG_VM) {
		s->limit = 0xffff;
		s->attr = data | SEG_ATTR_DPL;
		return;
	}
	/* Limit and size outlive the way back from protected mode: "unreal" mode. */
	if (s->attr & SEG_ATTR_UNUSABLE || !(s->attr & SEG_ATTR_P)) {
		s->limit = 0xffff;
		s->attr = 0;
	}
	s->attr = (s->attr & (SEG_ATTR_DB | SEG_ATTR_G)) | data;
}

static void load_stack_segment(struct cpu *c, const struct insn *i, uint16_t selector)
{
	uint64_t d;

	if (!(selector & ~3)) {
		if (!cpu_in_64bit(c) || c->cpl == 3 || (selector & 3) != c->cpl)
			cpu_fault_code(c, i, VEC_GP, 0);
		segment_set_null(c, SEG_SS, selector);
		return;
	}
	d = segment_check_stack(c, i, selector, c->cpl, VEC_GP, 0);
	descriptor_set_type_bits(c, i, selector, &d, SEG_TYPE_ACCESSED);
	segment_set(c, SEG_SS, selector, d);
}

static void load_data_segment(struct cpu *c, const struct insn *i, enum x86_seg seg,
			      uint16_t selector)
{
	uint16_t error = selector & ~3;
	uint64_t d;

	if (!error) {
		segment_set_null(c, seg, selector);
		return;
	}
	if (!descriptor_read(c, i, selector, &d) || !descriptor_is_memory(d))
		cpu_fault_code(c, i, VEC_GP, error);
	if (descriptor_is_code(d) && !(descriptor_type(d) & SEG_TYPE_RW))
		cpu_fault_code(c, i, VEC_GP, error);
	if (!descriptor_is_code(d) || !descriptor_is_conforming(d)) {
		if (descriptor_dpl(d) < c->cpl || descriptor_dpl(d) < (selector & 3))
			cpu_fault_code(c, i, VEC_GP, error);
	}
	if (!descriptor_is_present(d))
		cpu_fault_code(c, i, VEC_NP, error);
	descriptor_set_type_bits(c, i, selector, &d, SEG_TYPE_ACCESSED);
	segment_set(c, seg, selector, d);
}

void segment_load(struct cpu *c, const struct insn *i, enum x86_seg seg, uint16_t selector)
{
	if (cpu_is_real_or_vm86(c))
		segment_load_real(c, seg, selector);
	else if (seg == SEG_SS)
		load_stack_segment(c, i, selector);
	else
		load_data_segment(c, i, seg, selector);
	cpu_update_mode(c);
}

uint64_t segment_check_stack(struct cpu *c, const struct insn *i, uint16_t selector, unsigned cpl,
			     unsigned vector, unsigned ext)
{
	uint16_t error = selector & ~3;
	uint64_t d;

	if (!error)
		cpu_fault_code(c, i, vector, ext);
	if (!descriptor_read(c, i, selector, &d) || (selector & 3) != cpl ||
	    descriptor_dpl(d) != cpl || !descriptor_is_writable_data(d))
		cpu_fault_code(c, i, vector, error | ext);
	if (!descriptor_is_present(d))
		cpu_fault_code(c, i, VEC_SS, error | ext);
	return d;
}

/* In long mode LDT and TSS descriptors have 16 bytes: the base goes on in the upper half. */
static uint64_t system_base(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t d)
{
	struct segment s;
	uint64_t high;

	segment_from_descriptor(&s, d);
	if (!(c->mode & MODE_LONG))
		return s.base;
	if (!descriptor_read_high(c, i, selector, &high) || high >> 40 & 0x1f)
		cpu_fault_code(c, i, VEC_GP, selector & ~3);
	s.base |= high << 32;
	if (!is_canonical(s.base))
		cpu_fault_code(c, i, VEC_GP, selector & ~3);
	return s.base;
}

void segment_load_ldt(struct cpu *c, const struct insn *i, uint16_t selector)
{
	uint16_t error = selector & ~3;
	uint64_t d, base;

	if (!error) {
		c->seg[SEG_LDTR] =
			(struct segment){.selector = selector, .attr = SEG_ATTR_UNUSABLE};
		return;
	}
	if (selector & 4 || !descriptor_read(c, i, selector, &d) || descriptor_is_memory(d) ||
	    descriptor_type(d) != SYS_LDT)
		cpu_fault_code(c, i, VEC_GP, error);
	if (!descriptor_is_present(d))
		cpu_fault_code(c, i, VEC_NP, error);
	base = system_base(c, i, selector, d);
	segment_set(c, SEG_LDTR, selector, d);
	c->seg[SEG_LDTR].base = base;
}

void segment_load_tr(struct cpu *c, const struct insn *i, uint16_t selector)
{
	uint16_t error = selector & ~3;
	uint64_t d, base;
	bool is_tss;

	if (!error)
		cpu_fault_code(c, i, VEC_GP, 0);
	if (selector & 4 || !descriptor_read(c, i, selector, &d) || descriptor_is_memory(d))
		cpu_fault_code(c, i, VEC_GP, error);
	is_tss = descriptor_type(d) == SYS_TSS_AVAIL ||
		 (descriptor_type(d) == SYS_TSS16_AVAIL && !(c->mode & MODE_LONG));
	if (!is_tss)
		cpu_fault_code(c, i, VEC_GP, error);
	if (!descriptor_is_present(d))
		cpu_fault_code(c, i, VEC_NP, error);
	base = system_base(c, i, selector, d);
	descriptor_set_type_bits(c, i, selector, &d, 2);
	segment_set(c, SEG_TR, selector, d);
	c->seg[SEG_TR].base = base;
}

void segment_drop_inner(struct cpu *c)
{
	static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned k = 0; k < ARRAY_SIZE(data); k++) {
		struct segment *s = &c->seg[data[k]];
		const uint16_t conforming = SEG_TYPE_CODE | SEG_TYPE_CONFORM;

		if (s->attr & SEG_ATTR_UNUSABLE || (s->attr & conforming) == conforming)
			continue;
		/* Only the selector goes: FS and GS keep their bases. */
		if ((s->attr & SEG_ATTR_DPL) >> 5 < c->cpl) {
			s->attr = SEG_ATTR_UNUSABLE;
			s->selector = 0;
		}
	}
}
