/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What emitters of instructions are written with. An emitter turns one decoded instruction of
 * 64-bit code into host instructions:
 *
 *   bool e_NAME(struct emitter *e, const struct insn *i)
 *
 * and returns false, with nothing written, for a form it leaves to the interpreter. Rows of the
 * instruction table name their emitter (.emit). Runs on a vCPU's thread with the block cache's lock
 * held.
 *
 * Registers while translated code runs. The guest's are in the host registers of the same name,
 * except
 *   guest RAX in R14, RCX in R15, RSP in R11; R11, R14, R15 in the frame (reg_get(), reg_put());
 *   host RSP points to the frame (FRAME_*), RAX and RCX are free for one instruction's work.
 * Vector registers are the guest's own once emit_need_simd() has been called in the block.
 *
 * Status flags are in the host's flags, or in the frame, or both; struct emitter knows which:
 *   flags_clobber()  before anything that changes host flags and is not the guest's instruction:
 *		      saves them if they are only there, or notes how to work them out again
 *		      (struct recipe). Uses RAX.
 *   flags_need()     before an instruction that reads guest flags, or writes only some. Uses RAX.
 *   flags_written()  after an instruction that has left all six in the host's flags.
 * A guest instruction that writes some flags needs flags_need() first, and flags_written() after.
 *
 * Memory: mem_access() checks the operand against the TLB and gives its host address; whatever the
 * TLB does not allow goes to a slow path that runs the whole instruction in the interpreter and
 * continues behind it. So nothing of the guest's state may have changed before the last
 * mem_access() of an instruction.
 */
#ifndef ENGINE_SOFT_TRANSLATE_EMIT_H
#define ENGINE_SOFT_TRANSLATE_EMIT_H

#include "engine/soft/cache.h"
#include "engine/soft/translate/asm.h"

struct code_cache;
struct listing;
struct translation;

/*
 * The frame is struct cpu itself: RSP points to it while translated code runs (see cpu.translated).
 */
#define FRAME_R11   (offsetof(struct cpu, gpr) + R11 * 8)
#define FRAME_R14   (offsetof(struct cpu, gpr) + R14 * 8)
#define FRAME_R15   (offsetof(struct cpu, gpr) + R15 * 8)
#define FRAME_FLAGS offsetof(struct cpu, translated.flags)
#define FRAME_PAGE \
	(offsetof(struct cpu, gpr) + SLOT_RIP * 8) /* linear address of the code's page */
#define FRAME_TLB	offsetof(struct cpu, tlb)
#define FRAME_CPU	offsetof(struct cpu, translated.self)
#define FRAME_TAG	offsetof(struct cpu, jump_tag)
#define FRAME_REQUESTS	offsetof(struct cpu, requests)
#define FRAME_SIMD	offsetof(struct cpu, translated.has_simd)
#define FRAME_AVX	offsetof(struct cpu, translated.has_avx)
#define FRAME_MXCSR	offsetof(struct cpu, translated.host_mxcsr)
#define FRAME_TMP	offsetof(struct cpu, translated.tmp) /* for one instruction */
#define FRAME_TMP2	offsetof(struct cpu, translated.tmp2)
#define FRAME_VALUE	offsetof(struct cpu, translated.value)
#define FRAME_FILL	offsetof(struct cpu, translated.fill)
#define SITE_LIMIT(n)	FRAME(offsetof(struct cpu, site_limits) + (n)*8)
#define SITE_PAGE(n)	FRAME(offsetof(struct cpu, sites) + (n)*16)
#define SITE_ADDEND(n)	(offsetof(struct cpu, sites) + (n)*16 + 8)
#define RUNS_LEFT(n)	FRAME(offsetof(struct cpu, runs_left) + (n)*4)
#define FRAME_STREAMS	offsetof(struct cpu, translated.streams)
#define FRAME_ROUNDS	offsetof(struct cpu, translated.rounds)
#define FRAME_PACE	offsetof(struct cpu, translated.pace)
#define FRAME_ADDENDS	offsetof(struct cpu, translated.addends)
#define FRAME_SAVED_RCX offsetof(struct cpu, translated.saved_rcx)
#define FRAME(offset)	MEM_BASE(H_RSP, offset)

#define NR_SITE_GROUPS 9 /* lengths of spans that share sites */

#define CROSSING_MAX 16	 /* bytes that are looked at of an instruction across pages */
#define OUTS_MAX     320 /* slow paths and side exits of a block */
#define RECORDS_MAX  (BLOCK_INSNS_MAX * 4)

/* An instruction of the block that may be run by the interpreter. Lies behind the block's code. */
struct record {
	struct insn insn; /* off counts from the start of the page */
	struct block *block;
	uint8_t at;	       /* which of the block's instructions it is */
	uint16_t site, length; /* that a slow access fills, for spans of length bytes; 0: none */
};

/*
 * How flags that are neither in the host's flags nor in the frame are had again: from the operands
 * of the instruction that made them, as long as these are unchanged.
 */
struct recipe {
	bool is_valid, has_imm;
	bool has_value, is_value_first; /* an operand is in FRAME_VALUE; it is the first */
	enum { RECIPE_COMPARE, RECIPE_TEST, RECIPE_LOGIC, RECIPE_ADD, RECIPE_SUB } kind;
	const struct insn *insn;
	uint8_t size, dst, src; /* registers by offset, as in struct insn */
	uint16_t regs;		/* that must not change, one bit each */
	int32_t imm;
};

/* Accesses off one base: which bytes, counted from the base. */
struct span {
	int32_t lo, hi;
	bool is_write;
	unsigned nr_more; /* accesses beside the first */
};

/* Which instruction of which translation a site belongs to. */
struct site_owner {
	struct translation *translation;
	unsigned insn; /* of the block */
};

/* A run: accesses off a base whose page has been checked, whose addend is in the frame. */
struct run {
	bool is_valid;
	size_t addend; /* its place in the frame */
	unsigned base; /* guest register */
	int32_t moved; /* what has been added to it since the check */
	struct span span;
};

/* Accesses of a loop that move by step bytes each round: streams.c. */
struct stream {
	uint8_t base, index; /* as in struct insn */
	bool has_base_step, has_index_step;
	uint8_t first; /* the first of the instructions */
	int32_t step;
	struct span span; /* of a round, counted from where base and index point at its start */
};

/* What stands out of line, written after the block's straight code. */
struct out {
	enum {
		OUT_SLOW,     /* interpret the instruction, go on at resume */
		OUT_SLOW_END, /* interpret it and leave the block */
		OUT_SIMD,     /* load the vector registers, go on at resume */
		OUT_AVX,      /* with upper halves */
		OUT_BRANCH,   /* side exit to target */
		OUT_MISS,     /* an address that is not in the jump cache: RCX ^ tag */
		OUT_LEAVE,    /* to the run loop, with rip in RCX */
		OUT_STREAM,   /* to the loop's second copy */
		OUT_UNKNOWN,  /* to the run loop at target, where no block is known */
		OUT_HOT,      /* the block has become hot: tell, go on at resume */
	} kind;
	uint8_t *site, *resume; /* displacement of the jump that leads here, and where it returns */
	unsigned record;
	int32_t target; /* OUT_BRANCH: counts from the start of the page */
	bool in_host, in_frame;
	struct recipe recipe;
	/*
	 * The way to the interpreter begins with a look into the TLB for the site, if there is one: on
	 * success it goes back to retry. base: host register that span counts from; delta: what the
	 * instruction adds to it. If there are more accesses in the span, the site is looked up again
	 * after the instruction.
	 */
	bool has_site;
	uint8_t base;
	unsigned site_number, site_length;
	unsigned counter; /* OUT_HOT */
	struct span span;
	int32_t delta;
	uint8_t *retry;
};

struct emitter {
	struct asm_out o;
	const struct code_cache *code;
	const struct cpu *cpu;
	struct listing *listing; /* NULL: nothing is listed */
	struct block *block;
	unsigned page_off; /* of the block's first byte */

	/* Where the guest's status flags are. */
	bool flags_in_host, flags_in_frame;
	struct recipe recipe;
	struct run runs[RUNS_MAX];
	unsigned next_run;
	unsigned rights;	   /* enum tlb_mode */
	bool has_sites;		   /* accesses have; else they are looked up in the TLB */
	unsigned *next_site;	   /* NR_SITE_GROUPS of them */
	unsigned *next_counter;	   /* of runs */
	struct site_owner *owners; /* of all sites */
	bool has_simd, has_avx;	   /* known to be loaded at this point of the block */
	unsigned scratch;	   /* H_RAX or H_RCX: what mem_access() left free */

	const struct insn *insns; /* of the block, off counts from the start of the page */
	unsigned nr, at;	  /* how many, and which one is being emitted */
	unsigned size;		  /* bytes of all of them */
	struct {
		unsigned avail; /* bytes in this page; 0: there is none */
		uint8_t code[CROSSING_MAX];
	} crossing; /* the last of them, if it goes on in the next page (crossing.c) */

	/*
	 * A block that jumps to its own start is written twice: the second time as the body of the
	 * loop, which is entered with what is known at the jump. If there are streams in it, a third
	 * copy comes before that.
	 */
	struct {
		bool is_possible;
		unsigned last; /* the jump, or one of them */
		unsigned pace; /* a register that moves by pace_step each round */
		int32_t pace_step;
		int32_t distance_step; /* by which what recipe compares comes closer; 0: unknown */
		uint8_t *top;	       /* NULL while the first is written */
		uint8_t *check;	       /* of streams, before the third copy; NULL: there is none */
		uint8_t *second;   /* the end of a round of the second copy, if there is a third */
		uint8_t *not_due;  /* displacement of the jump from there to top */
		uint8_t *rounds;   /* start of the third copy */
		uint8_t *sites[4]; /* jumps of the first */
		unsigned nr_sites;
		struct recipe recipe;
		bool has_simd, has_avx;
	} loop;
	struct stream streams[STREAMS_MAX];
	unsigned nr_streams;
	uint8_t stream_of[BLOCK_INSNS_MAX + 1]; /* of an instruction, plus 1 */
	bool in_streams;			/* the third copy is written */

	struct out outs[OUTS_MAX], spare_out;
	unsigned nr_outs;
	struct {
		unsigned insn, site, length;
		uint8_t *sites[4]; /* displacements that want its address */
		unsigned nr_sites;
	} records[RECORDS_MAX];
	unsigned nr_records;
	struct translation *translation;
	unsigned max_links;
	bool is_full;
	bool is_ended; /* the instruction just emitted leaves the block */
};

/* ---- registers: off is insn.reg or insn.rm ---- */

#define REG_IS_HIGH(off) ((off)&1) /* AH, CH, DH, BH */

/* The host register of guest register off / 8: its own, or scratch loaded from the frame. */
unsigned reg_get(struct emitter *e, unsigned off, unsigned scratch);
/* The same for a register that will be wholly written (32 or 64 bits): scratch is not loaded. */
unsigned reg_dst(struct emitter *e, unsigned off, unsigned scratch);
/* Stores scratch back if the register lives in the frame; flags stay. host: what get or dst gave. */
void reg_put(struct emitter *e, unsigned off, unsigned host);
bool reg_is_in_frame(unsigned off);

/* ---- flags ---- */

void flags_clobber(struct emitter *e);
void flags_need(struct emitter *e);
/* Puts them into the frame, before the block is left or C is called. Uses RAX. */
void flags_to_frame(struct emitter *e);
static inline void flags_written(struct emitter *e)
{
	e->flags_in_host = true;
	e->flags_in_frame = false;
	e->recipe.is_valid = false;
}
/* After flags_written(), by emitters of ALU instructions: i's flags may be worked out again. */
void recipe_set(struct emitter *e, const struct insn *i);
/* Whether a recipe whose registers (a bit each) must stay will be of use behind i. */
bool recipe_is_wanted(const struct emitter *e, unsigned regs);

/* ---- memory ---- */

#define MEM_READ     0
#define MEM_WRITE    BIT(0) /* also for read and write */
#define MEM_FREE_RAX BIT(1) /* RAX is left free */
#define MEM_FREE_RCX BIT(5) /* RCX is */
#define MEM_FLAGS    BIT(2) /* the guest's flags are in the host's afterwards; implies FREE_RAX */
#define MEM_END	     BIT(3) /* after the slow path the block is left, rip is where it led */
#define MEM_LEAVE    BIT(6) /* the same, of an instruction that could be followed by the next */
#define MEM_ALIGNED  BIT(4) /* anything but a multiple of size goes to the slow path */

/* Whether mem_access() can do this operand: most; not a RIP-relative one out of reach. */
bool mem_is_possible(const struct insn *i);

/*
 * The memory operand of i, of size bytes (1-32), ready to be accessed in one instruction.
 * Afterwards one of RAX and RCX holds part of the address, and the other one, e->scratch, is free.
 * Clobbers host flags.
 */
struct mem_ref mem_access(struct emitter *e, const struct insn *i, unsigned size, unsigned how);

/* The same for size bytes at guest register off / 8 plus disp: the stack, implicit operands. */
struct mem_ref mem_access_at(struct emitter *e, const struct insn *i, unsigned off, int32_t disp,
			     unsigned size, unsigned how);

/* The same for size bytes at the linear address in FRAME_TMP. */
struct mem_ref mem_access_tmp(struct emitter *e, const struct insn *i, unsigned size, unsigned how);

/* Linear address of the memory operand to RCX; RAX and host flags may be changed. */
void emit_linear(struct emitter *e, const struct insn *i);

/* Effective address (no segment, truncated as addressed) to dst, no flags changed: LEA. */
void emit_address(struct emitter *e, const struct insn *i, unsigned size, unsigned dst);

/* ---- vectors ---- */

/* Makes the vector registers the guest's from here on, or leaves to the interpreter. Flags stay. */
void emit_need_simd(struct emitter *e, bool with_avx);

/* ---- control ---- */

/* The whole instruction by the interpreter; then on, or (END) to where it led. */
void emit_interpret(struct emitter *e, const struct insn *i);
void emit_interpret_end(struct emitter *e, const struct insn *i);

/* At the start of a block without sites: counts its runs. Changes host flags. */
void emit_count(struct emitter *e);

/* Jumps to offset target of the page (any value); ends the straight code. */
void emit_goto(struct emitter *e, int32_t target);
/* A jump on condition cc to offset target of the page; the guest's flags are in the host's. */
void emit_branch(struct emitter *e, unsigned cc, int32_t target);
/*
 * Jumps to the address in RCX, flags saved (flags_clobber()) before. When the way there is not known
 * the instruction i is interpreted instead, if it is given; so commit() writes what changes the
 * guest's state, in between, with RCX and RAX in use.
 */
void emit_jump_rcx(struct emitter *e, const struct insn *i,
		   void (*commit)(struct emitter *e, const struct insn *i));

/* A jump, whose displacement is at site, to a slow path for i as in mem_access(). */
void emit_slow(struct emitter *e, const struct insn *i, uint8_t *site, unsigned how);

/* Displacement of a call or jump to one of the code cache's gates is written. */
enum gate {
	GATE_SLOW,	    /* RAX record: interpret, go on; returns */
	GATE_INTERPRET,	    /* the same, vector registers are not loaded afterwards; returns */
	GATE_INTERPRET_END, /* RAX record: interpret, then to where it led */
	GATE_SIMD,	    /* RAX record: load vector registers; returns */
	GATE_AVX,	    /* with upper halves */
	GATE_LEAVE,	    /* RCX rip: something is asked of the vCPU */
	GATE_LEAVE_MISS,    /* the same: no block is known there */
	GATE_LEAVE_RUN,	    /* the same: a run of accesses cannot go on */
	GATE_LEAVE_LINK,    /* RCX rip, RAX struct link */
	GATE_COLD,	    /* RAX block that has no code */
	GATE_FILL_READ,	    /* RAX start of a span, FRAME_FILL; returns with ZF if the TLB had it,
				 with CF if it goes on in the next page */
	GATE_FILL_WRITE,
	GATE_SYSCALL, /* RAX record, RCX next rip: user code to kernel code, or to the interpreter */
	GATE_SYSRET,  /* RAX record: kernel code to 64-bit user code, or to the interpreter */
	NR_GATES,
};
void emit_call_gate(struct emitter *e, enum gate gate);
void emit_jump_gate(struct emitter *e, enum gate gate);
/* Ends the block by one of the gates of system calls. */
void emit_system_call(struct emitter *e, const struct insn *i, enum gate gate);

#endif
