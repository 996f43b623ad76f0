/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop of a software vCPU: what is asked of it, events on their way to the guest, sleeping
 * in HLT, and blocks of guest code in between. vCPU thread; cpu_request() any thread and signal
 * handlers.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/soft/mmio.h"
#include "engine/soft/mmu.h"
#include "engine/soft/system.h"
#include "engine/soft/translate/code.h"
#include "engine/soft/trace.h"
#include "engine/soft/vcpu.h"

/* What prepare() found: positive, so that it can be told from 0 (exit) and errors. */
#define GO 1

#define DR6_BS	  BIT(14)
#define DR6_FIXED 0xffff0ff0u

/* ---- asking a vCPU ---- */

void cpu_request(struct cpu *c, uint32_t requests)
{
	atomic_fetch_or(&c->requests, requests);
	/* Pairs with sleep_until_request(), which says that it sleeps before it looks. */
	if (atomic_load(&soft_vcpu_of(c)->is_sleeping))
		syscall(SYS_futex, &c->requests, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void enter_guest(struct cpu *c)
{
	atomic_fetch_add(&c->epoch, 1);
}

static void leave_guest(struct cpu *c)
{
	/* What they point to may be gone when the vCPU comes back. */
	c->conflict = NULL;
	c->hot = NULL;
	atomic_fetch_add(&c->epoch, 1);
}

/* Waits while no request is there, at most to the deadline of the LAPIC's timer. */
static void wait_once(struct cpu *c, uint64_t deadline_ns)
{
	struct timespec when = {.tv_sec = (time_t)(deadline_ns / NS_PER_SEC),
				.tv_nsec = (long)(deadline_ns % NS_PER_SEC)};
	long rc = syscall(SYS_futex, &c->requests, FUTEX_WAIT_BITSET_PRIVATE, 0,
			  deadline_ns ? &when : NULL, NULL, FUTEX_BITSET_MATCH_ANY);

	if (rc < 0 && errno == ETIMEDOUT)
		atomic_fetch_or(&c->requests, REQ_TIMER);
}

static void sleep_until_request(struct cpu *c)
{
	struct soft_vcpu *v = soft_vcpu_of(c);

	leave_guest(c);
	atomic_store(&v->is_sleeping, true);
	while (!atomic_load(&c->requests))
		wait_once(c, v->deadline_ns);
	atomic_store(&v->is_sleeping, false);
	enter_guest(c);
}

/* ---- requests ---- */

static void take_init(struct cpu *c)
{
	cpu_reset(c, true);
	lapic_reset(c->lapic, true);
	c->mp_state = c->is_bsp ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED;
}

static void take_sipi(struct cpu *c)
{
	uint8_t vector = atomic_load_explicit(&c->sipi_vector, memory_order_relaxed);

	if (c->mp_state != KVM_MP_STATE_INIT_RECEIVED)
		return;
	c->seg[SEG_CS].selector = (uint16_t)(vector << 8);
	c->seg[SEG_CS].base = (uint64_t)vector << 12;
	c->rip = 0;
	c->mp_state = KVM_MP_STATE_RUNNABLE;
	cpu_update_mode(c);
}

/*
 * Two NMIs that come before the first is delivered are both kept: the second as the one a CPU
 * remembers while the first is in service.
 */
static void take_nmis(struct cpu *c)
{
	uint32_t sent = atomic_exchange(&c->nmi_queued, 0);
	uint32_t limit = c->nmi_masked ? 1 : 2;

	c->nmi_pending = (uint8_t)min(c->nmi_pending + sent, limit);
}

static void take_signals(struct cpu *c, uint32_t requests)
{
	if (requests & REQ_INIT)
		take_init(c);
	if (requests & REQ_SIPI)
		take_sipi(c);
	if (requests & REQ_NMI)
		take_nmis(c);
}

void soft_vcpu_settle(struct cpu *c)
{
	const uint32_t signals = REQ_INIT | REQ_SIPI | REQ_NMI;

	if (atomic_load(&c->requests) & signals)
		take_signals(c, atomic_fetch_and(&c->requests, ~signals));
}

/* Everything but REQ_KICK, of which the caller is told. */
static bool take_requests(struct cpu *c)
{
	uint32_t requests = atomic_exchange(&c->requests, 0);

	if (requests & REQ_TLB_FLUSH)
		mmu_flush_all(c);
	if (requests & (REQ_SAFE | REQ_TLB_FLUSH)) {
		sites_flush(c);
		block_renew_found(c);
		block_cache_safe_point(c);
		atomic_fetch_add(&c->epoch, 2);
	}
	take_signals(c, requests);
	if (requests & REQ_TIMER && vcpu_timer_is_due(soft_vcpu_of(c)))
		lapic_timer_expired(c->lapic);
	return requests & REQ_KICK;
}

/* ---- events ---- */

static bool can_interrupt(const struct cpu *c)
{
	return c->rflags & FLAG_IF && !c->in_shadow;
}

bool soft_can_inject(struct cpu *c)
{
	return can_interrupt(c) && !c->interrupt.is_pending && !c->exception.is_pending &&
	       lapic_takes_extint(c->lapic);
}

static int exit_with(struct cpu *c, uint32_t reason)
{
	c->run->exit_reason = reason;
	return 0;
}

static int exit_debug(struct cpu *c, uint32_t exception, uint64_t dr6)
{
	c->run->debug.arch.exception = exception;
	c->run->debug.arch.pc = linear_rip(c);
	c->run->debug.arch.dr6 = DR6_FIXED | dr6;
	c->run->debug.arch.dr7 =
		c->guest_debug & KVM_GUESTDBG_USE_HW_BP ? c->guest_debug_dr[7] : c->dr7;
	return exit_with(c, KVM_EXIT_DEBUG);
}

static int triple_fault(struct cpu *c)
{
	c->exception.is_pending = false;
	return exit_with(c, KVM_EXIT_SHUTDOWN);
}

/* GO when the event is on its way, or has raised an exception that comes next. */
static int deliver_vector(struct cpu *c, unsigned vector)
{
	enum deliver_result result;

	c->is_halted = false;
	c->is_delivering = true;
	if (c->is_traced)
		trace_event(c, vector);
	result = deliver_interrupt(c, vector);
	c->is_delivering = false;
	mmio_forget(c);
	return result == DELIVER_TRIPLE ? triple_fault(c) : GO;
}

static int deliver_pending_exception(struct cpu *c)
{
	enum deliver_result result;

	/* The trap of a single-stepped HLT ends it. */
	c->is_halted = false;
	c->is_delivering = true;
	if (c->is_traced)
		trace_event(c, c->exception.vector);
	result = deliver_exception(c);
	c->is_delivering = false;
	mmio_forget(c);
	return result == DELIVER_TRIPLE ? triple_fault(c) : GO;
}

/* The LAPIC's vector, or what engine_vcpu_interrupt() queued, moves to c->interrupt and then on. */
static int deliver_external(struct cpu *c)
{
	struct cpu_event event = c->interrupt;

	c->interrupt.is_pending = false;
	return deliver_vector(c, event.vector);
}

/*
 * One step of bringing events to the guest, in the order of SDM vol. 3, table 6-2. Returns GO with
 * *again set when there may be more, or how to leave.
 */
static int deliver_events(struct cpu *c, bool *again)
{
	*again = true;
	if (c->exception.is_pending)
		return deliver_pending_exception(c);
	if (c->interrupt.is_pending)
		return deliver_external(c);
	if (c->nmi_pending && !c->nmi_masked && !c->in_shadow) {
		c->nmi_pending--;
		return deliver_vector(c, VEC_NMI);
	}
	if (can_interrupt(c)) {
		int vector = lapic_pending(c->lapic) < 0 ? -1 : lapic_accept(c->lapic);

		if (vector >= 0) {
			c->interrupt =
				(struct cpu_event){.is_pending = true, .vector = (uint8_t)vector};
			return deliver_external(c);
		}
		if (c->run->request_interrupt_window && soft_can_inject(c))
			return exit_with(c, KVM_EXIT_IRQ_WINDOW_OPEN);
	}
	*again = false;
	return GO;
}

/* Something waits for interrupts to be enabled, or for IRET to unmask NMIs. */
static bool has_waiting(struct cpu *c)
{
	return c->nmi_pending || lapic_pending(c->lapic) >= 0 ||
	       (c->run->request_interrupt_window && lapic_takes_extint(c->lapic));
}

static bool is_runnable(const struct cpu *c)
{
	return !c->is_halted && c->mp_state == KVM_MP_STATE_RUNNABLE;
}

/* Set by the caller before it entered, or by a kick, whose request orders it: relaxed will do. */
static bool is_told_to_leave(const struct cpu *c)
{
	return __atomic_load_n(&c->run->immediate_exit, __ATOMIC_RELAXED);
}

/* Does all there is to do before guest code runs. GO, 0 with an exit reason, or -EINTR. */
static int prepare(struct cpu *c)
{
	bool again = true;

	while (again || !is_runnable(c)) {
		int result, vector;

		if (atomic_load_explicit(&c->requests, memory_order_relaxed) && take_requests(c))
			return -EINTR;
		if (is_told_to_leave(c))
			return -EINTR;
		vector = lapic_take_eoi(c->lapic);
		if (vector >= 0) {
			c->run->eoi.vector = (uint8_t)vector;
			return exit_with(c, KVM_EXIT_IOAPIC_EOI);
		}
		again = false;
		if (c->mp_state == KVM_MP_STATE_RUNNABLE) {
			result = deliver_events(c, &again);
			if (result != GO)
				return result;
		}
		if (!again && !is_runnable(c))
			sleep_until_request(c);
	}
	return GO;
}

/* ---- guest code ---- */

static inline void run_block(struct cpu *c, struct block *b)
{
	if (unlikely(c->is_traced))
		trace_block(c, b);
	c->in_shadow = c->in_ss_shadow = false;
	c->block = b;
	c->gpr[SLOT_RIP] = c->rip;
	c->stats.interpreted += b->nr;
	/* Pairs with the release in code_translate(). */
	__atomic_load_n(&b->insns[0].exec, __ATOMIC_ACQUIRE)(c, b->insns);
}

/* Not inlined: beside a setjmp() the compiler would keep c in memory. */
static void run_blocks(struct cpu *c) __attribute__((noinline));
static void run_blocks(struct cpu *c)
{
	struct block *b;

	block_set_chaining(c, true);
	c->link = NULL;
	c->failed_run = NULL;
	while (likely(!atomic_load_explicit(&c->requests, memory_order_relaxed)) &&
	       likely(!c->is_halted)) {
		b = block_find(c);
		if (c->link || c->failed_run)
			block_left(c, b);
		run_block(c, b);
	}
}

/*
 * With something waiting for the interrupt flag, which any block may set. The shadow of STI lasts
 * one instruction, so that STI; NOP; CLI lets the interrupt in.
 */
static void run_blocks_waiting(struct cpu *c) __attribute__((noinline));
static void run_blocks_waiting(struct cpu *c)
{
	block_set_chaining(c, false);
	do
		run_block(c, c->in_shadow ? block_alone(c) : block_find(c));
	while (!atomic_load_explicit(&c->requests, memory_order_relaxed) && !c->is_halted &&
	       !can_interrupt(c) && !(c->nmi_pending && !c->nmi_masked));
}

/* Instruction breakpoints at rip: GO, or the exit to a debugger, or a fault in c->exception. */
static int check_breakpoints(struct cpu *c)
{
	uint64_t dr6;

	if (c->rflags & FLAG_RF || !debug_instruction_hit(c, linear_rip(c), &dr6))
		return GO;
	if (c->guest_debug & KVM_GUESTDBG_USE_HW_BP)
		return exit_debug(c, VEC_DB, dr6);
	/* Intel: the instruction after MOV SS or POP SS is not broken on. */
	if (c->in_ss_shadow && !cpu_is_amd(c))
		return GO;
	c->exception = (struct cpu_event){.is_pending = true, .vector = VEC_DB, .payload = dr6};
	return GO;
}

/* Whether the instruction just run, which found TF set, ends in a trap although it may have cleared
 * it. */
static bool traps_after(const struct cpu *c, const struct insn *i)
{
	const struct insn_row *row = &insn_rows[i->row];
	bool is_popf = row->map == MAP_1 && row->opcode == 0x9d;
	bool is_iret = row->map == MAP_1 && row->opcode == 0xcf;

	/* INT n, SYSCALL and task switches enter their handler with TF clear, and do not trap. */
	return c->rflags & FLAG_TF || is_popf || is_iret;
}

/* Runs a block of one instruction with everything debuggers of either side want to know. */
static int step(struct cpu *c, struct block *b)
{
	bool has_tf = c->rflags & FLAG_TF;
	uint64_t dr6, hits;

	c->rflags &= ~(uint64_t)FLAG_RF;
	run_block(c, b);
	c->block = NULL;
	dr6 = hits = debug_take_hits(c);
	if (has_tf && traps_after(c, &b->insns[0]))
		dr6 |= DR6_BS;
	if (c->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		return exit_debug(c, VEC_DB, DR6_BS | hits);
	if (hits && c->guest_debug & KVM_GUESTDBG_USE_HW_BP)
		return exit_debug(c, VEC_DB, hits);
	if (c->in_ss_shadow) {
		/* The trap of a breakpoint waits for the next instruction, a step's is lost. */
		c->debug_hits = hits;
		return GO;
	}
	if (dr6)
		c->exception =
			(struct cpu_event){.is_pending = true, .vector = VEC_DB, .payload = dr6};
	return GO;
}

static int run_step(struct cpu *c)
{
	int result = check_breakpoints(c);

	if (result != GO || c->exception.is_pending)
		return result;
	block_set_chaining(c, false);
	return step(c, block_find(c));
}

/* The instruction at rip by itself, with the log of what it has already done. */
static int run_alone(struct cpu *c)
{
	struct block *b = block_alone(c);
	int result = GO;

	block_set_chaining(c, false);
	if (c->mode & MODE_STEP)
		result = step(c, b);
	else
		run_block(c, b);
	c->block = NULL;
	mmio_forget(c);
	return result;
}

static void count_unwind(struct cpu *c, enum unwind why)
{
	static const enum engine_leave leave[] = {
		[UNWIND_FAULT] = ENGINE_LEAVE_FAULT,
		[UNWIND_EXIT] = ENGINE_LEAVE_EXIT,
		[UNWIND_ALONE] = ENGINE_LEAVE_ALONE,
	};

	if (why && c->is_in_code) {
		c->stats.left[leave[why]]++;
		code_unwound(c);
	}
	c->is_in_code = false;
}

/* Runs until something wants to leave. */
static int run_guest(struct cpu *c)
{
	enum unwind why = (enum unwind)setjmp(c->unwind);
	int result = GO;

	c->block = NULL;
	count_unwind(c, why);
	if (why == UNWIND_EXIT)
		return 0;
	/* By what revoke_writes() took back meanwhile nothing is written. */
	if (!why && atomic_load(&c->requests) & REQ_TLB_FLUSH)
		mmu_flush_all(c);
	/* An instruction in progress is finished before anything else happens to the guest. */
	if (why == UNWIND_ALONE || (!why && mmio_complete(c) && !c->is_delivering))
		result = run_alone(c);
	while (result == GO) {
		result = prepare(c);
		if (result != GO)
			break;
		if (c->mode & MODE_STEP)
			result = run_step(c);
		else if (has_waiting(c))
			run_blocks_waiting(c);
		else
			run_blocks(c);
		c->block = NULL;
	}
	return result;
}

int soft_vcpu_run(struct engine_vcpu *v)
{
	struct cpu *c = soft_cpu_of(v);
	struct kvm_run *run = c->run;
	int result;

	result = vcpu_timer_enter(soft_vcpu_of(c));
	if (result < 0)
		return result;
	run->exit_reason = KVM_EXIT_UNKNOWN;
	enter_guest(c);
	result = run_guest(c);
	leave_guest(c);
	vcpu_timer_leave(soft_vcpu_of(c));
	if (result == -EINTR) {
		run->exit_reason = KVM_EXIT_INTR;
		__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_RELAXED);
	}
	run->if_flag = !!(c->rflags & FLAG_IF);
	run->cr8 = lapic_cr8(c->lapic);
	run->apic_base = lapic_base(c->lapic);
	run->ready_for_interrupt_injection =
		result != 0 || (run->exit_reason != KVM_EXIT_MMIO && c->pio.state == PIO_NONE)
			? soft_can_inject(c)
			: 0;
	return result;
}
