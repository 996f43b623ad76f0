/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A software vCPU: the whole architectural state, in the layout interpreter and translator use,
 * and the few doors by which an instruction leaves. Everything here belongs to the vCPU's own
 * thread, except the fields marked "any thread".
 */
#ifndef ENGINE_SOFT_CPU_H
#define ENGINE_SOFT_CPU_H

#include <linux/kvm.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "engine/soft/insn.h"
#include "x86/cpuid.h"
#include "x86/regs.h"

struct soft_vm;
struct lapic;
struct block;
struct link;
struct record;
struct translation;

/* ---- software TLB (mmu.h) ---- */

#define RUNS_MAX	8   /* runs of accesses that a translation follows at once (emit.h) */
#define STREAMS_MAX	8   /* streams of accesses in a loop (emit.h) */
#define SITES_PER_CLASS 256 /* class: enum tlb_mode * 2 + 1 for stores */
#define NR_SITES	(SITES_PER_CLASS * NR_TLB_MODES * 2)
#define TLB_BITS	11
#define TLB_SIZE	(1u << TLB_BITS)
#define CHAIN_NEVER	1ull /* a tag with which no key is in the slot it is looked for in */
#define JUMP_CACHE_SIZE 16384u
#define JUMP_PAGES_BITS 15
#define JUMP_PAGES	(1u << JUMP_PAGES_BITS)
#define TLB_NONE	1ull /* a tag no page-aligned address equals */

/*
 * One translated page. An access of size bytes at va may use host memory at va + addend when
 * ((va + size - 1) & ~0xfff) equals the tag of its kind. tag_write is any thread: another vCPU may
 * put TLB_NONE there to make stores take the slow path (a page became code or is logged). It reads
 * addend as well, which only the owner writes, and before tag_write.
 */
struct tlb_entry {
	uint64_t tag_read;
	_Atomic uint64_t tag_write;
	uint64_t tag_fetch;
	uintptr_t addend;
};

/* A TLB with what its flushes need to know. */
struct tlb {
	struct tlb_entry entries[TLB_SIZE];
	uint8_t flags[TLB_SIZE]; /* TLB_GLOBAL, TLB_LARGE (mmu_impl.h) */
	atomic_bool is_used;	 /* has had entries since it was last emptied; any thread reads */
	bool has_local, has_global;
	uint64_t large; /* one bit for each gigabyte, modulo 64, that holds large pages */
};

/*
 * What is kept of an address space that CR4.PCIDE gives a number, while another one is current:
 * user translations, and under generation the entries of the jump cache.
 */
#define TLB_SPACES 6 /* as many numbers as Linux has in use */
struct tlb_space {
	bool is_valid;
	bool has_tlb; /* user has been emptied once: all zero is no empty TLB */
	uint16_t pcid;
	unsigned used_at;
	unsigned generation; /* of the user's jump cache keys */
	uint32_t mode;	     /* cpu->mode of the blocks under that generation */
	struct tlb user;
};

/* Which rights an access has: three separate TLBs, so that a hit needs no further check. */
enum tlb_mode {
	TLB_USER,      /* CPL 3 */
	TLB_KERNEL,    /* CPL 0-2, SMAP in force */
	TLB_KERNEL_AC, /* CPL 0-2, user pages allowed: no SMAP, or RFLAGS.AC */
	NR_TLB_MODES,
};

/* ---- mode of execution: the part of the state that decides what bytes mean ---- */

/* cpu->mode; the block cache keys on it. Recomputed by cpu_update_mode(). */
#define MODE_CODE_SIZE	 0x3u /* enum code_size */
#define MODE_STACK_SHIFT 2    /* bits 2-3: enum code_size of the stack (SS.B) */
#define MODE_FLAT \
	BIT(4) /* DS, ES, SS and CS have base 0, limit 4 GiB and all rights, or 64-bit mode */
#define MODE_REAL BIT(5) /* real mode */
#define MODE_VM86 BIT(6)
#define MODE_STEP BIT(7) /* blocks of one instruction: TF, guest debug or data breakpoints */
#define MODE_LONG BIT(8) /* EFER.LMA */
/*
 * In 64-bit mode, bits 9-10: enum tlb_mode of the rights that accesses have, or MODE_RIGHTS_SLOW
 * when each needs a look of its own. So translated code always runs with the same rights.
 */
#define MODE_RIGHTS_SHIFT 9
#define MODE_RIGHTS	  (3u << MODE_RIGHTS_SHIFT)
#define MODE_RIGHTS_SLOW  3u

/* ---- reasons to leave translated or interpreted code: any thread sets, the vCPU clears ---- */

#define REQ_INTERRUPT BIT(0) /* the LAPIC has something to deliver */
#define REQ_KICK      BIT(1) /* engine_vcpu_kick() */
#define REQ_NMI	      BIT(2)
#define REQ_INIT      BIT(3)
#define REQ_SIPI      BIT(4)
#define REQ_TLB_FLUSH BIT(5) /* drop all cached translations, global ones too */
#define REQ_SAFE      BIT(6) /* pass a safe point: another thread waits for it */
#define REQ_TIMER     BIT(7) /* the LAPIC timer's deadline has passed */
#define REQ_SMI	      BIT(8) /* never delivered: there is no SMM */

/* ---- memory-mapped accesses of the instruction in progress (mmio.c) ---- */

/*
 * An instruction that reaches a device leaves the engine in the middle (KVM_EXIT_MMIO) and is run
 * again from its start when entered anew; what it already did is answered from this log. A string
 * instruction empties the log after each element it completes.
 */
#define MMIO_LOG_MAX 128 /* an XSAVE of 1 KiB in pieces of 8 bytes */
struct mmio_log {
	unsigned nr;	 /* accesses completed */
	unsigned next;	 /* how many of them the current run has used */
	bool is_pending; /* access[nr] is with the caller (KVM_EXIT_MMIO) */
	struct {
		uint64_t gpa, data;
		uint8_t size;
		bool is_write;
	} access[MMIO_LOG_MAX];
};

/* ---- counters ---- (engine.h says what they mean) */

struct cpu_stats {
	uint64_t
		interpreted; /* blocks count whole when they begin, and less by what they leave out */
	uint64_t entries, left[NR_ENGINE_LEAVES];
	uint64_t slow_accesses, walks[NR_ENGINE_ACCESSES];
	uint64_t slow_singles;
};

/* A port read in progress (pio.h): the instruction is run again once the caller has the data. */
struct pio_state {
	enum { PIO_NONE, PIO_PENDING, PIO_READY } state;
	uint16_t port;
	uint8_t size;
	uint32_t count;
};

/* An event on its way to the guest (SDM vol. 3, chapter 6). */
struct cpu_event {
	bool is_pending;
	uint8_t vector;
	bool has_error;
	bool is_soft; /* INT n, INT3, INTO: privilege checks apply */
	uint32_t error;
	uint64_t payload; /* CR2 for #PF, DR6 bits for #DB */
};

/* The XSAVE area in standard form (SDM vol. 1, 13.4): legacy region, header, upper halves of YMM.
 */
struct xsave_area {
	uint16_t fcw, fsw;
	uint8_t ftw, reserved0; /* ftw abridged: one bit per register, 1 = not empty */
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16]; /* ST(0) first */
	uint8_t xmm[16][16];
	uint8_t reserved1[96];
	uint64_t xstate_bv, xcomp_bv;
	uint8_t reserved2[48];
	uint8_t ymm_high[16][16];
} __attribute__((aligned(64)));

struct cpu {
	/* General registers, then SLOT_ZERO and SLOT_RIP. First: decoded operands are offsets into
	 * it. */
	uint64_t gpr[NR_SLOTS];

	uint64_t rip;	 /* next instruction; between blocks only (inside one: SLOT_RIP + off) */
	uint64_t rflags; /* all of it, status flags included, always up to date */
	uint32_t mode;	 /* MODE_* */
	uint8_t cpl;
	bool in_shadow;	   /* STI, MOV SS or POP SS was the last instruction: no interrupt now */
	bool in_ss_shadow; /* of these MOV SS or POP SS: no NMI and no #DB trap either */
	bool is_halted;
	bool is_traced;	       /* each block is reported to vm->trace: none goes on to the next */
	struct tlb_entry *tlb; /* the one of tlbs[] for the current rights */

	_Atomic uint32_t requests; /* any thread: REQ_* */

	/* Where slow paths note the instruction they serve, so that it can be restarted. */
	const struct insn *insn;
	struct block *block;	    /* the block being run */
	struct block *alone_blocks; /* private: of one instruction, that no cache holds */
	bool has_split_lock;	    /* mmu_split_lock() */
	bool is_delivering;	    /* an event, left half done for a device access */
	jmp_buf unwind;		    /* cpu_unwind() goes here */
	uint64_t rmw_value;	    /* stands for a locked operand that no host address can give */
	uint64_t rmw_old;	    /* what that was in memory */

	struct segment seg[NR_SEGS];
	struct {
		uint64_t base;
		uint16_t limit;
	} gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4; /* CR8 is the LAPIC's TPR */
	uint64_t efer, xcr0;
	uint64_t dr[4], dr6, dr7;
	uint64_t debug_hits; /* DR6 bits of data and I/O breakpoints met since debug_take_hits() */

	/* MSRs that instructions use; the rest is in msr.c's table. */
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc_aux, tsc_adjust, pat, misc_enable, spec_ctrl, xss, mcg_status;
	uint64_t arch_capabilities;
	uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_var[16];
	uint64_t mce_banks[32 * 4];
	uint64_t tsc_offset; /* guest TSC = host TSC + this */

	struct cpu_event exception; /* being delivered or to be delivered next */
	struct cpu_event interrupt; /* external vector queued by engine_vcpu_interrupt() */
	uint8_t nmi_pending;	    /* NMIs to deliver: one, or two while none is in service */
	bool nmi_masked;
	_Atomic uint32_t nmi_queued; /* any thread: NMIs sent with REQ_NMI */
	_Atomic uint8_t sipi_vector; /* any thread: of the last SIPI, sent with REQ_SIPI */
	uint32_t mp_state;	     /* KVM_MP_STATE_* */

	struct xsave_area fpu;

	uint32_t features[NR_CPUID_WORDS]; /* quick tests of cpuid */
	struct cpuid_table cpuid;

	struct mmio_log mmio;
	struct pio_state pio;
	struct kvm_run *run;  /* the page shared with the caller */
	uint32_t guest_debug; /* KVM_GUESTDBG_* */
	uint64_t guest_debug_dr[8];

	struct soft_vm *vm;
	struct lapic *lapic;
	struct pvclock_vcpu *pvclock;
	unsigned id; /* APIC id */
	bool is_bsp;

	/*
	 * Any thread reads: grows at every safe point (block boundary outside which no guest
	 * access is half done). Odd while the vCPU is not executing guest code.
	 */
	_Atomic uint64_t epoch;

	/*
	 * Translated code (translate/). While it runs the stack pointer is the address of struct cpu,
	 * so that every field is at a constant distance; the stack grows down from there.
	 */
	struct {
		uint32_t
			flags; /* bits 8-15 SF ZF AF PF CF as LAHF gives them, bits 0-7 OF: 0 or 1 */
		uint32_t has_simd; /* 1 while vector registers and MXCSR are the guest's */
		uint32_t has_avx;  /* 1 while this includes their upper halves */
		uint32_t host_mxcsr;
		uint32_t fill; /* for GATE_FILL_*: site, and above 16 bits the length of the span */
		uint64_t tmp, tmp2, saved_rcx;
		uint64_t value; /* from memory, that the last comparison was with (struct recipe) */
		uintptr_t addends[RUNS_MAX];	/* of runs whose site is scattered */
		uintptr_t streams[STREAMS_MAX]; /* what host addresses of streams count from */
		uint32_t rounds;		/* of a loop that may be run without a check */
		uint64_t pace;	   /* what a register of the loop is when the check is due again */
		uint64_t host_rsp; /* of the thread's own stack */
		struct cpu *self;
		void *stack_token; /* sanitize_stack_begin() */
	} translated;

	/*
	 * Sites: places in translated code that access memory, each with the page it found last. An
	 * access of size bytes at va may use host memory at va + addend when va + minus_page, the
	 * offset in the page, is below limit, which is 4097 - size, or 0 while the site knows no page.
	 * Sites of different sizes, of different rights, and those that load and those that store, share none. What the
	 * TLB forgets they forget too (sites_flush()); another vCPU sets limits of stores to 0.
	 */
	_Atomic uint64_t site_limits[NR_SITES];
	struct site {
		uint64_t minus_page;
		uintptr_t addend;
	} sites[NR_SITES];
	uint32_t has_sites; /* since they were last flushed */
	/*
	 * How often each has learnt another page, counted in the upper 10 bits, and when the count last
	 * went through zero: one that does so all the time is better looked up in the TLB at once
	 * (code_scattered()).
	 */
	uint32_t site_misses[NR_SITES];
	uint64_t site_times[NR_SITES];
#define SITE_SPLITS BIT(31)
	uint32_t scattered_site; /* one that was found to be so, plus 1; or its runs cross pages */
				 /*
	 * Accesses of user code are looked up in the TLB until their block has run HOT_RUNS times between
	 * two flushes of sites; then it is translated again, with sites (code_hot()). Translations share
	 * the counters, which count down.
	 */
#define RUN_COUNTERS 512
#define HOT_RUNS     8192
	uint32_t runs_left[RUN_COUNTERS];
	/*
	 * Two pages that take the same entry of the TLB from each other: how often one was taken, and when
	 * the count was last a multiple of CONFLICTS_MANY. If that is not long ago, the access that did it
	 * last gets a site (code_conflict()).
	 */
#define CONFLICTS_MANY 64
	const struct tlb_entry *tlb_filled; /* last; set to NULL by who wants to know */
	uint32_t tlb_conflicts;
	uint64_t conflicts_time;
	const struct record *conflict; /* the access; valid until the next safe point */
	struct translation *hot;       /* one that has become so; valid until the next safe point */
	struct link *link; /* by which it went to the run loop; valid until the next safe point */
	struct block *failed_run; /* one whose run of accesses crosses pages; as link */
	bool interpret_once;	  /* the block at rip, whatever translation it has */
	struct insn single[2];	  /* the instruction it has the interpreter run */
	bool is_in_code;	  /* it is running, or has called the interpreter */
	struct cpu_stats stats;
	uint64_t *
		singles; /* instructions it had the interpreter run, by row: nr_insn_rows + 1 of them */

	unsigned pauses; /* PAUSE instructions until one lets other threads run */

	/* What no address of a page-table entry may have set: bits 51 to MAXPHYADDR (mmu.c). */
	uint64_t pte_reserved;

	/*
	 * tlb is tlb_slow, which stays empty, while every access needs a look of its own (alignment
	 * checks, watchpoints); the slow path then uses the one of tlbs[] that tlb_mode names.
	 */
	uint8_t tlb_mode;
	struct tlb *tlbs[NR_TLB_MODES]; /* the user's one is that of space */
	struct tlb kernel_tlbs[2];
	struct tlb_space spaces[TLB_SPACES], *space;
	unsigned space_clock; /* counts switches, for the oldest space */
	struct tlb_entry tlb_slow[TLB_SIZE];

	/* Linear address of an instruction: (rip + fetch_base) & fetch_mask. */
	uint64_t fetch_base, fetch_mask;

	/*
	 * Stores into watched pages that a host instruction or a string run makes after the slow
	 * path has looked: the run loop tells the block cache once more when they are done.
	 */
	struct {
		uint64_t gpa, len;
	} late_writes[4];
	unsigned nr_late_writes;

	/* Block found last at a linear address: see cache.h. */
	unsigned jump_generation; /* the newest of all */
	/*
	 * Of keys below CPL 3, which global pages keep valid when the address space changes, and the
	 * mode of their blocks. has_local: one of them is not in a global page.
	 */
	struct {
		unsigned generation;
		uint32_t mode;
		bool has_local;
	} kernel_jumps;
	unsigned cache_generation; /* of the block cache, when the jump cache was last emptied */
	uint64_t jump_tag; /* in bits 48-62 of every valid key: changes when mapping or rights do */
#define JUMP_RIGHTS_SHIFT 48 /* bits 48-49: rights as in mode */
	/* jump_tag while branches may run on into the next block by themselves, else CHAIN_NEVER.
	 */
	uint64_t chain_tag;
	bool is_chaining;
	/* One bit for each page, by a hash of its linear address, that valid keys may lie in. */
	uint64_t jump_pages[JUMP_PAGES / 64];
	struct jump_entry {
		uint64_t key; /* linear rip ^ jump_tag */
		struct block *block;
	} jump_cache[JUMP_CACHE_SIZE];
} __attribute__((aligned(64)));

static inline bool cpu_has(const struct cpu *c, enum cpuid_feature f)
{
	return c->features[f / 32] >> (f % 32) & 1;
}

static inline enum code_size cpu_code_size(const struct cpu *c)
{
	return (enum code_size)(c->mode & MODE_CODE_SIZE);
}

static inline bool cpu_in_64bit(const struct cpu *c)
{
	return (c->mode & MODE_CODE_SIZE) == CODE_64;
}

/* Real mode or virtual-8086 mode: segments are selector * 16. */
static inline bool cpu_is_real_or_vm86(const struct cpu *c)
{
	return c->mode & (MODE_REAL | MODE_VM86);
}

/* rip of the instruction being executed, and of the one after it. */
static inline uint64_t insn_rip(const struct cpu *c, const struct insn *i)
{
	return c->gpr[SLOT_RIP] + i->off;
}

static inline uint64_t insn_next_rip(const struct cpu *c, const struct insn *i)
{
	return c->gpr[SLOT_RIP] + i->off + i->len;
}

/*
 * ---- doors out of an instruction ----
 * They end in cpu_unwind(), which goes to c->unwind with one of these and forgets what the
 * instruction had locked. Whoever runs guest accesses outside a block sets c->unwind for a while.
 */
enum unwind {
	UNWIND_FAULT = 1, /* c->exception is to be delivered, at rip */
	UNWIND_EXIT,	  /* c->run is filled: back to the caller of the engine */
	UNWIND_ALONE,	  /* run the instruction at rip as a block of its own */
};

void cpu_unwind(struct cpu *c, enum unwind why) __attribute__((noreturn, cold));

/*
 * None returns. rip is set to the instruction i itself, which therefore must not have changed any
 * state yet; the fault is then delivered by the run loop.
 */

/* Raises an exception without, and with, an error code. */
void cpu_fault(struct cpu *c, const struct insn *i, unsigned vector)
	__attribute__((noreturn, cold));
void cpu_fault_code(struct cpu *c, const struct insn *i, unsigned vector, uint32_t error)
	__attribute__((noreturn, cold));
void cpu_page_fault(struct cpu *c, const struct insn *i, gva_t va, uint32_t error)
	__attribute__((noreturn, cold));

/* #DB with these DR6 bits; rip stays at the next instruction (a trap). */
void cpu_debug_trap(struct cpu *c, uint64_t next_rip, uint64_t dr6) __attribute__((noreturn, cold));

/* Runs the instruction again as a block of its own: it stores into the page it is running from. */
void cpu_restart_alone(struct cpu *c, const struct insn *i) __attribute__((noreturn, cold));

/* Leaves to the caller of the engine; c->run is filled. The instruction is run again at entry. */
void cpu_exit(struct cpu *c, const struct insn *i) __attribute__((noreturn, cold));

/*
 * ---- changes with consequences ---- each keeps mode, tlb pointer and caches right. They do not
 * check for faults: callers do that before.
 */

/* Recomputes mode and the tlb pointer from cr0, cr4, efer, rflags, cpl and segments. */
void cpu_update_mode(struct cpu *c);

/* RFLAGS as a whole, with bit 1 fixed; recomputes the mode when TF, VM or AC changed. */
void cpu_set_rflags(struct cpu *c, uint64_t rflags);

/* Power-on and INIT (SDM vol. 3, table 10-1). INIT keeps the FPU, the MSRs and the TSC. */
void cpu_reset(struct cpu *c, bool is_init);

/* The TSC the guest reads. */
uint64_t cpu_tsc(const struct cpu *c);

#endif
