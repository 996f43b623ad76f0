/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task-state segments (SDM vol. 3, chapter 8): the stacks of inner levels, the I/O permission and
 * interrupt redirection bitmaps, and hardware task switches between 16-bit and 32-bit TSSs. Up to
 * the point where TR changes a fault belongs to the old task and leaves it untouched; from there on
 * it belongs to the new one, as on hardware. Runs on the vCPU's thread.
 */
#include "engine/soft/system.h"

#include "engine/soft/mmu.h"

#define TSS_LIMIT_MIN	0x67
#define TSS16_LIMIT_MIN 0x2b
#define TSS_TRAP	BIT(0) /* of the word at 0x64 */

/* Bit 3 of the type tells 32-bit (and 64-bit) TSSs from 16-bit ones. */
static bool tss_is_16(const struct segment *tr)
{
	return !(tr->attr & BIT(3));
}

static uint64_t tss_load(struct cpu *c, const struct insn *i, const struct segment *tr,
			 unsigned off, unsigned size)
{
	uint64_t va = tr->base + off;

	return mmu_load_system(c, i, c->mode & MODE_LONG ? va : (uint32_t)va, size);
}

static void tss_store(struct cpu *c, const struct insn *i, const struct segment *tr, unsigned off,
		      unsigned size, uint64_t v)
{
	mmu_store_system(c, i, (uint32_t)(tr->base + off), size, v);
}

void tss_read_stack(struct cpu *c, const struct insn *i, unsigned cpl, unsigned ext, uint16_t *ss,
		    uint64_t *sp)
{
	const struct segment *tr = &c->seg[SEG_TR];
	unsigned size = tss_is_16(tr) ? 2 : 4;
	unsigned off = size + cpl * size * 2;

	if (off + size + 1 > tr->limit)
		cpu_fault_code(c, i, VEC_TS, (tr->selector & ~3u) | ext);
	*sp = tss_load(c, i, tr, off, size);
	*ss = (uint16_t)tss_load(c, i, tr, off + size, 2);
}

uint64_t tss_read_long_stack(struct cpu *c, const struct insn *i, unsigned cpl, unsigned ist,
			     unsigned ext)
{
	const struct segment *tr = &c->seg[SEG_TR];
	unsigned off = ist ? 0x1c + ist * 8 : 4 + cpl * 8;
	uint64_t sp;

	if (off + 7 > tr->limit)
		cpu_fault_code(c, i, VEC_TS, (tr->selector & ~3u) | ext);
	sp = tss_load(c, i, tr, off, 8);
	if (!is_canonical(sp))
		cpu_fault_code(c, i, VEC_SS, ext);
	return sp;
}

bool tss_allows_io(struct cpu *c, const struct insn *i, uint16_t port, unsigned size)
{
	const struct segment *tr = &c->seg[SEG_TR];
	unsigned iopl = (unsigned)(c->rflags & FLAG_IOPL) >> 12;
	unsigned off, bits;

	if (c->mode & MODE_REAL || (!(c->mode & MODE_VM86) && c->cpl <= iopl))
		return true;
	if (tr->attr & SEG_ATTR_UNUSABLE || tss_is_16(tr) || tr->limit < TSS_LIMIT_MIN)
		return false;
	off = (unsigned)tss_load(c, i, tr, 0x66, 2) + port / 8;
	/* Two bytes are always read: the bits of a wide port may cross. */
	if (off + 1 > tr->limit)
		return false;
	bits = (unsigned)tss_load(c, i, tr, off, 2) >> (port & 7);
	return !(bits & ((1u << size) - 1));
}

bool tss_redirects_to_idt(struct cpu *c, const struct insn *i, unsigned vector)
{
	const struct segment *tr = &c->seg[SEG_TR];
	unsigned off;

	if (tss_is_16(tr) || tr->limit < TSS_LIMIT_MIN)
		cpu_fault_code(c, i, VEC_GP, 0);
	off = (unsigned)tss_load(c, i, tr, 0x66, 2);
	if (off < 32 || off - 32 + vector / 8 > tr->limit)
		cpu_fault_code(c, i, VEC_GP, 0);
	return tss_load(c, i, tr, off - 32 + vector / 8, 1) >> (vector & 7) & 1;
}

/* What a TSS holds of a task, whatever its size. */
struct task_state {
	uint32_t cr3, eip, eflags;
	uint32_t gpr[8];
	uint16_t seg[6]; /* by enum x86_seg */
	uint16_t ldt;
	bool has_trap;
};

static void task_read(struct cpu *c, const struct insn *i, const struct segment *tr,
		      struct task_state *s)
{
	bool is_16 = tss_is_16(tr);
	unsigned size = is_16 ? 2 : 4;
	unsigned at = is_16 ? 0x0e : 0x20;

	s->cr3 = is_16 ? 0 : (uint32_t)tss_load(c, i, tr, 0x1c, 4);
	s->eip = (uint32_t)tss_load(c, i, tr, at, size);
	s->eflags = (uint32_t)tss_load(c, i, tr, at + size, size);
	for (unsigned k = 0; k < 8; k++)
		s->gpr[k] = (uint32_t)tss_load(c, i, tr, at + (2 + k) * size, size);
	at += 10 * size;
	for (unsigned k = 0; k < 6; k++)
		s->seg[k] =
			is_16 && k > SEG_DS ? 0 : (uint16_t)tss_load(c, i, tr, at + k * size, 2);
	s->ldt = (uint16_t)tss_load(c, i, tr, is_16 ? 0x2a : 0x60, 2);
	s->has_trap = !is_16 && tss_load(c, i, tr, 0x64, 2) & TSS_TRAP;
}

/* Saves the running task: only the fields the CPU changes (SDM vol. 3, 8.2.1). */
static void task_save(struct cpu *c, const struct insn *i, uint64_t rip, uint64_t eflags)
{
	const struct segment *tr = &c->seg[SEG_TR];
	bool is_16 = tss_is_16(tr);
	unsigned size = is_16 ? 2 : 4;
	unsigned at = is_16 ? 0x0e : 0x20;

	tss_store(c, i, tr, at, size, rip);
	tss_store(c, i, tr, at + size, size, eflags);
	for (unsigned k = 0; k < 8; k++)
		tss_store(c, i, tr, at + (2 + k) * size, size, c->gpr[k]);
	at += 10 * size;
	for (unsigned k = 0; k < (is_16 ? 4 : 6); k++)
		tss_store(c, i, tr, at + k * size, 2, c->seg[k].selector);
}

static void load_task_ldt(struct cpu *c, uint16_t selector)
{
	uint64_t d;

	c->seg[SEG_LDTR] = (struct segment){.selector = selector, .attr = SEG_ATTR_UNUSABLE};
	if (!(selector & ~3))
		return;
	if (selector & 4 || !descriptor_read(c, NULL, selector, &d) || descriptor_is_memory(d) ||
	    descriptor_type(d) != SYS_LDT || !descriptor_is_present(d))
		cpu_fault_code(c, NULL, VEC_TS, selector & ~3);
	segment_set(c, SEG_LDTR, selector, d);
}

static void load_task_code(struct cpu *c, uint16_t selector)
{
	uint16_t error = selector & ~3;
	unsigned rpl = selector & 3;
	uint64_t d;

	if (!error || !descriptor_read(c, NULL, selector, &d) || !descriptor_is_code(d))
		cpu_fault_code(c, NULL, VEC_TS, error);
	if (descriptor_is_conforming(d) ? descriptor_dpl(d) > rpl : descriptor_dpl(d) != rpl)
		cpu_fault_code(c, NULL, VEC_TS, error);
	if (!descriptor_is_present(d))
		cpu_fault_code(c, NULL, VEC_NP, error);
	descriptor_set_type_bits(c, NULL, selector, &d, SEG_TYPE_ACCESSED);
	segment_set(c, SEG_CS, selector, d);
}

static void load_task_data(struct cpu *c, enum x86_seg seg, uint16_t selector)
{
	uint16_t error = selector & ~3;
	uint64_t d;

	if (!error)
		return;
	if (!descriptor_read(c, NULL, selector, &d) || !descriptor_is_memory(d) ||
	    (descriptor_is_code(d) && !(descriptor_type(d) & SEG_TYPE_RW)))
		cpu_fault_code(c, NULL, VEC_TS, error);
	if (!descriptor_is_code(d) || !descriptor_is_conforming(d)) {
		if (descriptor_dpl(d) < c->cpl || descriptor_dpl(d) < (selector & 3))
			cpu_fault_code(c, NULL, VEC_TS, error);
	}
	if (!descriptor_is_present(d))
		cpu_fault_code(c, NULL, VEC_NP, error);
	descriptor_set_type_bits(c, NULL, selector, &d, SEG_TYPE_ACCESSED);
	segment_set(c, seg, selector, d);
}

/* The segments of the new task; faults happen in it, with all selectors already loaded. */
static void load_task_segments(struct cpu *c, const struct task_state *s)
{
	static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	uint64_t ss;

	for (unsigned k = 0; k < 6; k++)
		c->seg[k] = (struct segment){.selector = s->seg[k], .attr = SEG_ATTR_UNUSABLE};
	load_task_ldt(c, s->ldt);
	if (c->rflags & FLAG_VM) {
		for (unsigned k = 0; k < 6; k++)
			segment_load_real(c, k, s->seg[k]);
		return;
	}
	load_task_code(c, s->seg[SEG_CS]);
	ss = segment_check_stack(c, NULL, s->seg[SEG_SS], c->cpl, VEC_TS, 0);
	descriptor_set_type_bits(c, NULL, s->seg[SEG_SS], &ss, SEG_TYPE_ACCESSED);
	segment_set(c, SEG_SS, s->seg[SEG_SS], ss);
	for (unsigned k = 0; k < ARRAY_SIZE(data); k++)
		load_task_data(c, data[k], s->seg[data[k]]);
}

/* The descriptor of the new TSS, checked as its cause demands. */
static uint64_t check_tss(struct cpu *c, const struct insn *i, const struct task_switch *t)
{
	unsigned error = (t->selector & ~3u) | t->ext;
	bool is_iret = t->cause == TASK_IRET;
	unsigned vector = is_iret ? VEC_TS : VEC_GP;
	struct segment s;
	unsigned type;
	uint64_t d;

	if (!(t->selector & ~3) || t->selector & 4 || !descriptor_read(c, i, t->selector, &d) ||
	    descriptor_is_memory(d))
		cpu_fault_code(c, i, vector, error);
	type = descriptor_type(d) & ~8u;
	if (type != (is_iret ? SYS_TSS16_BUSY : SYS_TSS16_AVAIL))
		cpu_fault_code(c, i, vector, error);
	if (!descriptor_is_present(d))
		cpu_fault_code(c, i, VEC_NP, error);
	segment_from_descriptor(&s, d);
	if (s.limit < (tss_is_16(&s) ? TSS16_LIMIT_MIN : TSS_LIMIT_MIN))
		cpu_fault_code(c, i, VEC_TS, error);
	return d;
}

static void push_task_error(struct cpu *c, const struct task_switch *t)
{
	struct frame f;

	frame_current(c, &f);
	frame_push(c, NULL, &f, tss_is_16(&c->seg[SEG_TR]) ? 2 : 4, t->error);
	frame_commit(c, &f);
}

void task_switch(struct cpu *c, const struct insn *i, const struct task_switch *t)
{
	const uint32_t flags_mask = FLAGS_STATUS | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL |
				    FLAG_NT | FLAG_RF | FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP |
				    FLAG_ID;
	bool is_nested = t->cause == TASK_CALL || t->cause == TASK_EVENT;
	uint16_t old_selector = c->seg[SEG_TR].selector;
	uint64_t d = check_tss(c, i, t);
	uint64_t old_flags = c->rflags;
	struct task_state s;
	struct segment tr;

	segment_from_descriptor(&tr, d);
	tr.selector = t->selector;
	task_read(c, i, &tr, &s);
	if (t->cause == TASK_IRET)
		old_flags &= ~(uint64_t)FLAG_NT;
	mmu_check_system_write(c, i, (uint32_t)c->seg[SEG_TR].base, TSS16_LIMIT_MIN + 1);
	if (!tss_is_16(&c->seg[SEG_TR]))
		mmu_check_system_write(c, i, (uint32_t)c->seg[SEG_TR].base, TSS_LIMIT_MIN + 1);
	if (is_nested)
		mmu_check_system_write(c, i, (uint32_t)tr.base, 2);

	task_save(c, i, t->next_rip, old_flags);
	if (is_nested)
		tss_store(c, i, &tr, 0, 2, old_selector);
	if (!is_nested)
		descriptor_clear_type_bits(c, i, old_selector, 2);
	descriptor_set_type_bits(c, i, t->selector, &d, 2);

	tr.attr |= 2;
	c->seg[SEG_TR] = tr;
	c->cr0 |= CR0_TS;
	c->rip = s.eip;
	if (!(c->mode & MODE_STEP))
		s.eflags &= ~FLAG_RF;
	c->rflags = (s.eflags & flags_mask) | FLAG_FIXED | (is_nested ? FLAG_NT : 0);
	for (unsigned k = 0; k < 8; k++)
		c->gpr[k] = s.gpr[k];
	c->dr7 &= ~0x155ull;
	c->cpl = c->rflags & FLAG_VM ? 3 : s.seg[SEG_CS] & 3;
	if (c->cr0 & CR0_PG && !tss_is_16(&tr) && !cr3_write(c, s.cr3, false))
		cpu_fault_code(c, NULL, VEC_TS, t->selector & ~3);
	cpu_update_mode(c);
	load_task_segments(c, &s);
	cpu_update_mode(c);
	if (c->rip > c->seg[SEG_CS].limit)
		cpu_fault_code(c, NULL, VEC_GP, 0);
	if (t->has_error)
		push_task_error(c, t);
	if (s.has_trap)
		cpu_debug_trap(c, c->rip, DR6_BT);
}
