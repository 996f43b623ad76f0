/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Delivery of exceptions, interrupts and software interrupts (SDM vol. 3, chapter 6) in real mode,
 * protected mode, virtual-8086 mode and long mode, and the rules by which a fault during delivery
 * becomes a double or a triple fault. Every check and every push comes before the first change of a
 * register. Leaves out: shadow stacks, FRED. Runs on the vCPU's thread.
 */
#include "engine/soft/system.h"

#include <string.h>

#include "engine/soft/cache.h"
#include "engine/soft/mmu.h"

/* One event being delivered. */
struct event {
	unsigned vector;
	enum event_kind kind;
	bool has_error;
	uint32_t error;
	unsigned ext;	     /* EXT bit of error codes of faults met on the way */
	uint64_t return_rip; /* pushed */
	uint64_t flags;	     /* pushed */
};

static void fault(struct cpu *c, const struct insn *i, unsigned vector, unsigned error)
	__attribute__((noreturn));
static void fault(struct cpu *c, const struct insn *i, unsigned vector, unsigned error)
{
	cpu_fault_code(c, i, vector, error);
}

/* The error code that names an IDT entry. */
static unsigned idt_error(const struct event *e)
{
	return e->vector * 8 + 2 + e->ext;
}

/* ---- real mode and vm86 redirection: the interrupt vector table ---- */

static void enter_ivt(struct cpu *c, const struct insn *i, const struct event *e, gva_t table)
{
	uint32_t entry = (uint32_t)mmu_load_system(c, i, table + e->vector * 4, 4);
	uint64_t cleared = FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF;
	struct frame f;

	frame_current(c, &f);
	frame_push(c, i, &f, 2, e->flags);
	frame_push(c, i, &f, 2, c->seg[SEG_CS].selector);
	frame_push(c, i, &f, 2, e->return_rip);
	frame_commit(c, &f);
	segment_load_real(c, SEG_CS, (uint16_t)(entry >> 16));
	c->rip = entry & 0xffff;
	if (c->rflags & FLAG_VM && (c->rflags & FLAG_IOPL) != FLAG_IOPL) {
		/* CR4.VME with IOPL below 3: the virtual interrupt flag stands for IF. */
		cleared = FLAG_VIF | FLAG_TF | FLAG_AC | FLAG_RF;
	}
	cpu_set_rflags(c, c->rflags & ~cleared);
	cpu_update_mode(c);
}

static void enter_real(struct cpu *c, const struct insn *i, const struct event *e)
{
	if (e->vector * 4 + 3 > c->idtr.limit)
		fault(c, i, VEC_GP, idt_error(e));
	enter_ivt(c, i, e, c->idtr.base);
}

/* ---- protected mode ---- */

/* A gate after the checks that concern only itself. */
struct gate {
	uint16_t selector;
	uint64_t offset;
	unsigned type; /* enum x86_system_type */
	unsigned ist;
};

static void read_gate(struct cpu *c, const struct insn *i, const struct event *e, struct gate *g)
{
	bool is_long = c->mode & MODE_LONG;
	unsigned size = is_long ? 16 : 8;
	uint64_t low, va = c->idtr.base + e->vector * size;
	bool is_valid;

	if (e->vector * size + size - 1 > c->idtr.limit)
		fault(c, i, VEC_GP, idt_error(e));
	low = mmu_load_system(c, i, is_long ? va : (uint32_t)va, 8);
	g->selector = (uint16_t)(low >> 16);
	g->type = descriptor_type(low);
	g->ist = low >> 32 & 7;
	g->offset = (low & 0xffff) | (low >> 32 & 0xffff0000);
	if (is_long)
		g->offset |= mmu_load_system(c, i, va + 8, 8) << 32;
	else if (!(g->type & 8))
		g->offset &= 0xffff;

	is_valid = g->type == SYS_INT_GATE || g->type == SYS_TRAP_GATE;
	if (!is_long)
		is_valid |= g->type >= SYS_TASK_GATE && g->type <= SYS_TRAP_GATE16;
	if (!is_valid || descriptor_is_memory(low))
		fault(c, i, VEC_GP, idt_error(e));
	if (e->kind == EVENT_SOFT && descriptor_dpl(low) < c->cpl)
		fault(c, i, VEC_GP, idt_error(e));
	if (!descriptor_is_present(low))
		fault(c, i, VEC_NP, idt_error(e));
}

/* The handler's code segment; its privilege level in *cpl. */
static uint64_t read_handler_code(struct cpu *c, const struct insn *i, const struct event *e,
				  uint16_t selector, unsigned *cpl)
{
	unsigned error = (selector & ~3u) | e->ext;
	uint64_t d;

	if (!(selector & ~3))
		fault(c, i, VEC_GP, e->ext);
	if (!descriptor_read(c, i, selector, &d) || !descriptor_is_code(d) ||
	    descriptor_dpl(d) > c->cpl)
		fault(c, i, VEC_GP, error);
	if (c->mode & MODE_LONG &&
	    (!descriptor_is_long_code(d) || d >> 54 & 1 /* D with L is reserved */))
		fault(c, i, VEC_GP, error);
	if (!descriptor_is_present(d))
		fault(c, i, VEC_NP, error);
	*cpl = descriptor_is_conforming(d) ? c->cpl : descriptor_dpl(d);
	if (c->rflags & FLAG_VM && *cpl != 0)
		fault(c, i, VEC_GP, error);
	return d;
}

static void load_handler_code(struct cpu *c, uint16_t selector, uint64_t d, unsigned cpl)
{
	segment_set(c, SEG_CS, (selector & ~3u) | cpl, d);
	c->cpl = (uint8_t)cpl;
}

/* Flags of the handler, and all that follows from new CS, SS and CPL. */
static void finish_entry(struct cpu *c, const struct gate *g)
{
	uint64_t flags = c->rflags & ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);

	if (!(g->type & 1))
		flags &= ~(uint64_t)FLAG_IF;
	c->rflags = flags;
	cpu_update_mode(c);
}

static void push_return(struct cpu *c, const struct insn *i, const struct event *e, struct frame *f,
			unsigned size)
{
	frame_push(c, i, f, size, e->flags);
	frame_push(c, i, f, size, c->seg[SEG_CS].selector);
	frame_push(c, i, f, size, e->return_rip);
	if (e->has_error)
		frame_push(c, i, f, size, e->error);
}

static void enter_protected(struct cpu *c, const struct insn *i, const struct event *e,
			    const struct gate *g)
{
	static const uint8_t vm86_data[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
	bool from_vm86 = c->rflags & FLAG_VM;
	unsigned size = g->type & 8 ? 4 : 2;
	struct segment code;
	uint16_t ss = 0;
	uint64_t ss_desc = 0;
	struct frame f;
	unsigned cpl;
	uint64_t d = read_handler_code(c, i, e, g->selector, &cpl);
	bool is_inner = cpl != c->cpl;

	if (is_inner) {
		uint64_t sp;

		tss_read_stack(c, i, cpl, e->ext, &ss, &sp);
		ss_desc = segment_check_stack(c, i, ss, cpl, VEC_TS, e->ext);
		f = (struct frame){.sp = sp, .is_system = true};
		segment_from_descriptor(&f.ss, ss_desc);
		f.mask = f.ss.attr & SEG_ATTR_DB ? 0xffffffffu : 0xffffu;
		f.ss_error = (ss & ~3u) | e->ext;
	} else {
		frame_current(c, &f);
		f.ss_error = e->ext;
	}
	segment_from_descriptor(&code, d);
	if (g->offset > code.limit)
		fault(c, i, VEC_GP, e->ext);
	if (from_vm86) {
		for (unsigned k = 0; k < ARRAY_SIZE(vm86_data); k++)
			frame_push(c, i, &f, size, c->seg[vm86_data[k]].selector);
	}
	if (is_inner) {
		frame_push(c, i, &f, size, c->seg[SEG_SS].selector);
		frame_push(c, i, &f, size, c->gpr[RSP]);
	}
	push_return(c, i, e, &f, size);
	descriptor_set_type_bits(c, i, g->selector, &d, SEG_TYPE_ACCESSED);
	if (is_inner)
		descriptor_set_type_bits(c, i, ss, &ss_desc, SEG_TYPE_ACCESSED);

	frame_commit(c, &f);
	if (from_vm86) {
		for (unsigned k = 0; k < ARRAY_SIZE(vm86_data); k++)
			segment_set_null(c, vm86_data[k], 0);
	}
	if (is_inner)
		segment_set(c, SEG_SS, ss, ss_desc);
	load_handler_code(c, g->selector, d, cpl);
	c->rip = g->offset;
	finish_entry(c, g);
}

static void enter_long(struct cpu *c, const struct insn *i, const struct event *e,
		       const struct gate *g)
{
	unsigned cpl;
	uint64_t d = read_handler_code(c, i, e, g->selector, &cpl);
	bool is_inner = cpl != c->cpl;
	struct frame f = {.mask = ~0ull, .is_64 = true, .ss_error = e->ext};

	if (is_inner || g->ist) {
		f.sp = tss_read_long_stack(c, i, cpl, g->ist, e->ext);
		f.is_system = is_inner;
	} else {
		f.sp = c->gpr[RSP];
	}
	f.sp &= ~15ull;
	if (!is_canonical(g->offset))
		fault(c, i, VEC_GP, e->ext);
	frame_push(c, i, &f, 8, c->seg[SEG_SS].selector);
	frame_push(c, i, &f, 8, c->gpr[RSP]);
	push_return(c, i, e, &f, 8);
	descriptor_set_type_bits(c, i, g->selector, &d, SEG_TYPE_ACCESSED);

	frame_commit(c, &f);
	if (is_inner)
		segment_set_null(c, SEG_SS, (uint16_t)cpl);
	load_handler_code(c, g->selector, d, cpl);
	c->rip = g->offset;
	finish_entry(c, g);
}

static void enter_task(struct cpu *c, const struct insn *i, const struct event *e,
		       const struct gate *g)
{
	struct task_switch t = {.cause = TASK_EVENT,
				.selector = g->selector,
				.next_rip = e->return_rip,
				.ext = e->ext,
				.has_error = e->has_error,
				.error = e->error};

	task_switch(c, i, &t);
}

static void enter_handler(struct cpu *c, const struct insn *i, const struct event *e)
{
	struct gate g;

	if (c->mode & MODE_REAL) {
		enter_real(c, i, e);
		return;
	}
	read_gate(c, i, e, &g);
	if (g.type == SYS_TASK_GATE)
		enter_task(c, i, e, &g);
	else if (c->mode & MODE_LONG)
		enter_long(c, i, e, &g);
	else
		enter_protected(c, i, e, &g);
}

/* ---- events between instructions ---- */

/* Faults push RF, so that an instruction breakpoint on the return address is not met again. */
static uint64_t pushed_flags(const struct cpu *c, const struct event *e)
{
	bool is_fault = e->kind == EVENT_FAULT && e->vector != VEC_DB && e->vector != VEC_BP &&
			e->vector != VEC_OF && e->vector != VEC_DF && e->vector != VEC_MC;

	return c->rflags | (is_fault ? FLAG_RF : 0);
}

/*
 * Delivers at an instruction boundary. Returns true when the handler runs; false when a fault is in
 * c->exception. A leave to a device in the middle calls undo and goes on to the outer door.
 */
static bool deliver_guarded(struct cpu *c, struct event *e,
			    void (*undo)(struct cpu *c, const struct cpu_event *saved),
			    const struct cpu_event *saved)
{
	jmp_buf outer;
	int reason;

	memcpy(outer, c->unwind, sizeof(outer));
	c->exception.is_pending = false;
	reason = setjmp(c->unwind);
	if (!reason) {
		e->return_rip = c->rip;
		e->flags = pushed_flags(c, e);
		enter_handler(c, NULL, e);
		memcpy(c->unwind, outer, sizeof(outer));
		block_cache_verify(c);
		return true;
	}
	memcpy(c->unwind, outer, sizeof(outer));
	if (c->exception.is_pending)
		return false;
	undo(c, saved);
	longjmp(c->unwind, reason);
}

static void undo_exception(struct cpu *c, const struct cpu_event *saved)
{
	c->exception = *saved;
}

static void undo_interrupt(struct cpu *c, const struct cpu_event *saved)
{
	if (saved->vector == VEC_NMI)
		c->nmi_pending++;
	else
		c->interrupt = *saved;
}

static bool is_contributory(unsigned vector)
{
	return vector == VEC_DE || (vector >= VEC_TS && vector <= VEC_GP);
}

/* SDM vol. 3, table 6-5: whether a second fault while delivering the first makes a double fault. */
static bool is_double_fault(unsigned first, unsigned second)
{
	if (first == VEC_PF)
		return second == VEC_PF || is_contributory(second);
	return is_contributory(first) && is_contributory(second);
}

/* What an exception changes besides entering its handler. */
static void note_exception(struct cpu *c, const struct cpu_event *x)
{
	if (x->vector == VEC_PF)
		c->cr2 = x->payload;
	if (x->vector == VEC_DB) {
		c->dr6 = (c->dr6 & ~0xfull) | (x->payload & DR6_CAUSES);
		c->dr7 &= ~(uint64_t)DR7_GD;
	}
}

enum deliver_result deliver_exception(struct cpu *c)
{
	struct cpu_event first = c->exception;
	struct event e = {.vector = first.vector,
			  .kind = first.is_soft ? EVENT_SOFT : EVENT_FAULT,
			  .has_error = first.has_error && !(c->mode & MODE_REAL),
			  .error = first.error,
			  .ext = !first.is_soft};

	note_exception(c, &first);
	if (deliver_guarded(c, &e, undo_exception, &first))
		return DELIVERED;
	if (first.vector == VEC_DF)
		return DELIVER_TRIPLE;
	if (is_double_fault(first.vector, c->exception.vector)) {
		note_exception(c, &c->exception);
		c->exception =
			(struct cpu_event){.is_pending = true, .vector = VEC_DF, .has_error = true};
	}
	return DELIVER_AGAIN;
}

enum deliver_result deliver_interrupt(struct cpu *c, unsigned vector)
{
	const struct cpu_event saved = {.is_pending = true, .vector = (uint8_t)vector};
	struct event e = {.vector = vector, .kind = EVENT_EXTERNAL, .ext = 1};

	if (!deliver_guarded(c, &e, undo_interrupt, &saved))
		return DELIVER_AGAIN;
	if (vector == VEC_NMI)
		c->nmi_masked = true;
	return DELIVERED;
}

/* ---- software interrupts ---- */

void deliver_soft(struct cpu *c, const struct insn *i, unsigned vector, enum event_kind kind,
		  bool is_int_n)
{
	struct event e = {.vector = vector,
			  .kind = kind,
			  .ext = kind == EVENT_PRIVILEGED,
			  .return_rip = insn_next_rip(c, i),
			  .flags = c->rflags};

	if (c->mode & MODE_VM86 && is_int_n) {
		bool has_iopl = (c->rflags & FLAG_IOPL) == FLAG_IOPL;

		if (c->cr4 & CR4_VME && !tss_redirects_to_idt(c, i, vector)) {
			if (!has_iopl) {
				e.flags |= FLAG_IOPL;
				e.flags &= ~(uint64_t)FLAG_IF;
				e.flags |= c->rflags & FLAG_VIF ? FLAG_IF : 0;
			}
			enter_ivt(c, i, &e, 0);
			return;
		}
		if (!has_iopl)
			cpu_fault_code(c, i, VEC_GP, 0);
	}
	enter_handler(c, i, &e);
}
