/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Far JMP, CALL and RET (SDM vol. 3, 5.8; vol. 2, the instructions' own pages): direct, through
 * call gates of 16, 32 and 64 bits, to TSSs and task gates, and back, to the same and to other
 * privilege levels. Nothing is changed before the last check and the last push. Runs on the vCPU's
 * thread.
 */
#include "engine/soft/system.h"

#include "engine/soft/mmu.h"

/* A code segment after its privilege checks, ready to be loaded. */
struct target {
	uint16_t selector;
	uint64_t desc;
	unsigned cpl; /* afterwards */
	uint64_t rip;
};

static uint64_t cut(uint64_t v, unsigned size)
{
	return size == 8 ? v : size == 4 ? (uint32_t)v : (uint16_t)v;
}

static bool is_long_target(const struct cpu *c, const struct target *t)
{
	return c->mode & MODE_LONG && descriptor_is_long_code(t->desc);
}

/*
 * What every code segment must fulfil once the privilege rules allow it. An offset of 64 bits is
 * cut where the target's code is not.
 */
static void check_code(struct cpu *c, const struct insn *i, struct target *t)
{
	struct segment s;

	if (is_long_target(c, t) && t->desc >> 54 & 1)
		cpu_fault_code(c, i, VEC_GP, t->selector & ~3);
	if (!descriptor_is_present(t->desc))
		cpu_fault_code(c, i, VEC_NP, t->selector & ~3);
	segment_from_descriptor(&s, t->desc);
	if (!is_long_target(c, t))
		t->rip = (uint32_t)t->rip;
	if (is_long_target(c, t) ? !is_canonical(t->rip) : t->rip > s.limit)
		cpu_fault_code(c, i, VEC_GP, 0);
}

static void load_code(struct cpu *c, const struct insn *i, struct target *t)
{
	descriptor_set_type_bits(c, i, t->selector, &t->desc, SEG_TYPE_ACCESSED);
	segment_set(c, SEG_CS, (uint16_t)((t->selector & ~3u) | t->cpl), t->desc);
	c->cpl = (uint8_t)t->cpl;
	c->rip = t->rip;
}

/* ---- direct transfers ---- */

static void jump_real(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t offset)
{
	if (offset > c->seg[SEG_CS].limit)
		cpu_fault_code(c, i, VEC_GP, 0);
	segment_load_real(c, SEG_CS, selector);
	c->rip = offset;
	cpu_update_mode(c);
}

/* JMP and CALL straight to a code segment stay at their privilege level. */
static void check_direct(struct cpu *c, const struct insn *i, struct target *t)
{
	unsigned dpl = descriptor_dpl(t->desc);

	t->cpl = c->cpl;
	if (descriptor_is_conforming(t->desc) ? dpl > c->cpl
					      : dpl != c->cpl || (t->selector & 3) > c->cpl)
		cpu_fault_code(c, i, VEC_GP, t->selector & ~3);
	check_code(c, i, t);
}

static void push_far_return(struct cpu *c, const struct insn *i, struct frame *f, unsigned size)
{
	frame_push(c, i, f, size, c->seg[SEG_CS].selector);
	frame_push(c, i, f, size, insn_next_rip(c, i));
}

static void call_same_level(struct cpu *c, const struct insn *i, struct target *t, unsigned size)
{
	struct frame f;

	frame_current(c, &f);
	if (is_long_target(c, t) && !f.is_64) {
		/* From compatibility mode the pushes are already those of 64-bit mode. */
		f.is_64 = size == 8;
		f.mask = f.is_64 ? ~0ull : f.mask;
	}
	push_far_return(c, i, &f, size);
	load_code(c, i, t);
	frame_commit(c, &f);
	cpu_update_mode(c);
}

/* ---- call gates ---- */

struct call_gate {
	uint16_t selector;
	uint64_t offset;
	unsigned size;	 /* of the pushes */
	unsigned params; /* copied to an inner stack */
};

static void read_call_gate(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t d,
			   struct call_gate *g)
{
	uint64_t high = 0;

	if (descriptor_dpl(d) < c->cpl || descriptor_dpl(d) < (selector & 3u))
		cpu_fault_code(c, i, VEC_GP, selector & ~3);
	if (c->mode & MODE_LONG &&
	    (!descriptor_read_high(c, i, selector, &high) || high >> 40 & 0x1f))
		cpu_fault_code(c, i, VEC_GP, selector & ~3);
	if (!descriptor_is_present(d))
		cpu_fault_code(c, i, VEC_NP, selector & ~3);
	g->selector = (uint16_t)(d >> 16);
	g->offset = (d & 0xffff) | (d >> 32 & 0xffff0000) | high << 32;
	g->params = d >> 32 & 31;
	g->size = c->mode & MODE_LONG ? 8 : descriptor_type(d) == SYS_CALL_GATE ? 4 : 2;
	g->offset = cut(g->offset, g->size);
	if (c->mode & MODE_LONG)
		g->params = 0;
}

/* The code segment behind a gate; only CALL may go inwards. */
static void check_gate_target(struct cpu *c, const struct insn *i, const struct call_gate *g,
			      bool is_call, struct target *t)
{
	uint16_t error = g->selector & ~3;
	unsigned dpl;

	if (!error)
		cpu_fault_code(c, i, VEC_GP, 0);
	t->selector = g->selector;
	t->rip = g->offset;
	if (!descriptor_read(c, i, g->selector, &t->desc) || !descriptor_is_code(t->desc))
		cpu_fault_code(c, i, VEC_GP, error);
	dpl = descriptor_dpl(t->desc);
	t->cpl = c->cpl;
	if (dpl > c->cpl)
		cpu_fault_code(c, i, VEC_GP, error);
	if (!descriptor_is_conforming(t->desc)) {
		if (!is_call && dpl != c->cpl)
			cpu_fault_code(c, i, VEC_GP, error);
		t->cpl = dpl;
	}
	if (c->mode & MODE_LONG && !descriptor_is_long_code(t->desc))
		cpu_fault_code(c, i, VEC_GP, error);
	check_code(c, i, t);
}

static void call_inner_long(struct cpu *c, const struct insn *i, struct target *t)
{
	struct frame f = {.mask = ~0ull, .is_64 = true, .is_system = true};

	f.sp = tss_read_long_stack(c, i, t->cpl, 0, 0);
	frame_push(c, i, &f, 8, c->seg[SEG_SS].selector);
	frame_push(c, i, &f, 8, c->gpr[RSP]);
	push_far_return(c, i, &f, 8);
	load_code(c, i, t);
	frame_commit(c, &f);
	segment_set_null(c, SEG_SS, (uint16_t)t->cpl);
	cpu_update_mode(c);
}

static void call_inner(struct cpu *c, const struct insn *i, const struct call_gate *g,
		       struct target *t)
{
	struct frame old, f = {.is_system = true};
	uint64_t params[31], ss_desc;
	uint16_t ss;

	tss_read_stack(c, i, t->cpl, 0, &ss, &f.sp);
	ss_desc = segment_check_stack(c, i, ss, t->cpl, VEC_TS, 0);
	segment_from_descriptor(&f.ss, ss_desc);
	f.mask = f.ss.attr & SEG_ATTR_DB ? 0xffffffffu : 0xffffu;
	f.ss_error = ss & ~3u;
	frame_current(c, &old);
	for (unsigned k = 0; k < g->params; k++)
		params[k] = frame_pop(c, i, &old, g->size);
	frame_push(c, i, &f, g->size, c->seg[SEG_SS].selector);
	frame_push(c, i, &f, g->size, c->gpr[RSP]);
	for (unsigned k = g->params; k > 0; k--)
		frame_push(c, i, &f, g->size, params[k - 1]);
	push_far_return(c, i, &f, g->size);
	descriptor_set_type_bits(c, i, ss, &ss_desc, SEG_TYPE_ACCESSED);
	load_code(c, i, t);
	frame_commit(c, &f);
	segment_set(c, SEG_SS, ss, ss_desc);
	cpu_update_mode(c);
}

static void through_call_gate(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t d,
			      bool is_call)
{
	struct call_gate g;
	struct target t;

	read_call_gate(c, i, selector, d, &g);
	check_gate_target(c, i, &g, is_call, &t);
	if (!is_call) {
		load_code(c, i, &t);
		cpu_update_mode(c);
	} else if (t.cpl == c->cpl) {
		call_same_level(c, i, &t, g.size);
	} else if (c->mode & MODE_LONG) {
		call_inner_long(c, i, &t);
	} else {
		call_inner(c, i, &g, &t);
	}
}

static void to_task(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t d,
		    bool is_call)
{
	struct task_switch t = {.cause = is_call ? TASK_CALL : TASK_JUMP,
				.selector = selector,
				.next_rip = insn_next_rip(c, i)};

	if (descriptor_dpl(d) < c->cpl || descriptor_dpl(d) < (selector & 3u))
		cpu_fault_code(c, i, VEC_GP, selector & ~3);
	if (descriptor_type(d) == SYS_TASK_GATE) {
		if (!descriptor_is_present(d))
			cpu_fault_code(c, i, VEC_NP, selector & ~3);
		t.selector = (uint16_t)(d >> 16);
	}
	task_switch(c, i, &t);
}

/* Far JMP or CALL to something that is no code segment. */
static void to_system(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t d,
		      bool is_call)
{
	bool is_long = c->mode & MODE_LONG;

	switch (descriptor_is_memory(d) ? 0 : descriptor_type(d)) {
	case SYS_CALL_GATE16:
		if (is_long)
			break;
		through_call_gate(c, i, selector, d, is_call);
		return;
	case SYS_CALL_GATE:
		through_call_gate(c, i, selector, d, is_call);
		return;
	case SYS_TASK_GATE:
	case SYS_TSS16_AVAIL:
	case SYS_TSS_AVAIL:
	case SYS_TSS16_BUSY:
	case SYS_TSS_BUSY:
		if (is_long)
			break;
		to_task(c, i, selector, d, is_call);
		return;
	}
	cpu_fault_code(c, i, VEC_GP, selector & ~3);
}

/* Reads what a far pointer names. */
static uint64_t read_target(struct cpu *c, const struct insn *i, uint16_t selector)
{
	uint64_t d;

	if (!(selector & ~3))
		cpu_fault_code(c, i, VEC_GP, 0);
	if (!descriptor_read(c, i, selector, &d))
		cpu_fault_code(c, i, VEC_GP, selector & ~3);
	return d;
}

void far_jump(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t offset,
	      unsigned size)
{
	struct target t = {.selector = selector, .rip = cut(offset, size)};

	if (cpu_is_real_or_vm86(c)) {
		jump_real(c, i, selector, t.rip);
		return;
	}
	t.desc = read_target(c, i, selector);
	if (!descriptor_is_code(t.desc)) {
		to_system(c, i, selector, t.desc, false);
		return;
	}
	check_direct(c, i, &t);
	load_code(c, i, &t);
	cpu_update_mode(c);
}

void far_call(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t offset,
	      unsigned size)
{
	struct target t = {.selector = selector, .rip = cut(offset, size)};

	if (cpu_is_real_or_vm86(c)) {
		struct frame f;

		frame_current(c, &f);
		push_far_return(c, i, &f, size);
		jump_real(c, i, selector, t.rip);
		frame_commit(c, &f);
		return;
	}
	t.desc = read_target(c, i, selector);
	if (!descriptor_is_code(t.desc)) {
		to_system(c, i, selector, t.desc, true);
		return;
	}
	check_direct(c, i, &t);
	call_same_level(c, i, &t, size);
}

/* ---- returns ---- */

void return_check_code(struct cpu *c, const struct insn *i, uint16_t selector, uint64_t *rip,
		       uint64_t *desc)
{
	struct target t = {.selector = selector, .rip = *rip, .cpl = selector & 3};
	uint16_t error = selector & ~3;
	unsigned dpl;

	t.desc = read_target(c, i, selector);
	dpl = descriptor_dpl(t.desc);
	if (!descriptor_is_code(t.desc) || t.cpl < c->cpl)
		cpu_fault_code(c, i, VEC_GP, error);
	if (descriptor_is_conforming(t.desc) ? dpl > t.cpl : dpl != t.cpl)
		cpu_fault_code(c, i, VEC_GP, error);
	check_code(c, i, &t);
	*desc = t.desc;
	*rip = t.rip;
}

uint64_t return_check_stack(struct cpu *c, const struct insn *i, uint16_t ss, uint64_t code,
			    unsigned cpl)
{
	bool is_long = c->mode & MODE_LONG && descriptor_is_long_code(code);

	if (!(ss & ~3)) {
		if (!is_long || cpl == 3 || (ss & 3) != cpl)
			cpu_fault_code(c, i, VEC_GP, 0);
		return 0;
	}
	return segment_check_stack(c, i, ss, cpl, VEC_GP, 0);
}

void return_commit(struct cpu *c, const struct insn *i, const struct far_return_state *r)
{
	struct target t = {.selector = r->cs, .desc = r->cs_desc, .cpl = r->cs & 3, .rip = r->rip};
	bool is_outer = t.cpl != c->cpl;
	uint64_t ss_desc = r->ss_desc;
	uint64_t mask = 0xffffffff;

	if (r->has_stack && ss_desc)
		descriptor_set_type_bits(c, i, r->ss, &ss_desc, SEG_TYPE_ACCESSED);
	load_code(c, i, &t);
	if (r->has_stack) {
		if (ss_desc)
			segment_set(c, SEG_SS, r->ss, ss_desc);
		else
			segment_set_null(c, SEG_SS, r->ss);
		if (is_long_target(c, &t))
			c->gpr[RSP] = r->sp;
		else if (c->seg[SEG_SS].attr & SEG_ATTR_DB)
			c->gpr[RSP] = r->sp & mask;
		else
			c->gpr[RSP] = (c->gpr[RSP] & ~0xffffull) | (r->sp & 0xffff);
	} else {
		c->gpr[RSP] = r->sp;
	}
	if (is_outer)
		segment_drop_inner(c);
	cpu_update_mode(c);
}

static void return_real(struct cpu *c, const struct insn *i, unsigned size, unsigned extra)
{
	uint64_t rip, cs;
	struct frame f;

	frame_current(c, &f);
	rip = frame_pop(c, i, &f, size);
	cs = frame_pop(c, i, &f, size);
	jump_real(c, i, (uint16_t)cs, rip);
	f.sp = (f.sp & ~f.mask) | ((f.sp + extra) & f.mask);
	frame_commit(c, &f);
}

/* The stack of an outer level, behind the parameters. */
static void pop_outer_stack(struct cpu *c, const struct insn *i, struct frame *f, unsigned size,
			    unsigned extra, struct far_return_state *r)
{
	r->has_stack = true;
	f->sp = r->sp;
	r->sp = frame_pop(c, i, f, size) + extra;
	r->ss = (uint16_t)frame_pop(c, i, f, size);
}

void far_return(struct cpu *c, const struct insn *i, unsigned size, unsigned extra)
{
	struct far_return_state r = {0};
	struct frame f;

	if (cpu_is_real_or_vm86(c)) {
		return_real(c, i, size, extra);
		return;
	}
	frame_current(c, &f);
	r.rip = frame_pop(c, i, &f, size);
	r.cs = (uint16_t)frame_pop(c, i, &f, size);
	r.sp = (f.sp & ~f.mask) | ((f.sp + extra) & f.mask);
	/* AMD's CPUs read all of the frame before they look at the segments (APM vol. 3, RETF). */
	if ((r.cs & 3) != c->cpl && cpu_is_amd(c))
		pop_outer_stack(c, i, &f, size, extra, &r);
	return_check_code(c, i, r.cs, &r.rip, &r.cs_desc);
	if ((r.cs & 3) != c->cpl) {
		if (!r.has_stack)
			pop_outer_stack(c, i, &f, size, extra, &r);
		r.ss_desc = return_check_stack(c, i, r.ss, r.cs_desc, r.cs & 3);
	}
	return_commit(c, i, &r);
}
