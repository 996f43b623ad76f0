/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files of translate/ that are no emitters.
 */
#ifndef ENGINE_SOFT_TRANSLATE_EMIT_IMPL_H
#define ENGINE_SOFT_TRANSLATE_EMIT_IMPL_H

#include "engine/soft/translate/code.h"
#include "engine/soft/translate/emit.h"

/* Host register of each guest register, H_NONE: in the frame, at frame_slot(). */
extern const uint8_t guest_home[16];
struct mem_ref frame_slot(unsigned guest);

/* The host's flags to the frame, and back; shift: how far RSP is below the frame. RAX is used. */
void flags_save(struct asm_out *o);
void flags_restore(struct asm_out *o, unsigned shift);

/*
 * Writes the translation of e->block to e->o, which has room for CODE_MAX bytes. False when that
 * did not suffice, or the block is nothing for the translator.
 */
bool translate_block(struct emitter *e);
#define CODE_MAX (32 * KIB)

/* Writes what stands out of line, and the records, after the straight code. */
void emit_outs(struct emitter *e);
void emit_records(struct emitter *e);

/* ---- crossing.c ---- */

/*
 * Adds the instruction behind the block's own to e->insns, at i, if it goes on in the next page and
 * the TLB has that; and the check that stands before its code.
 */
static inline bool insn_crosses_page(const struct insn *i)
{
	return i->off + i->len > GUEST_PAGE_SIZE;
}

void crossing_decode(struct emitter *e, struct insn *i);
void emit_crossing(struct emitter *e, const struct insn *i);

/* To the run loop, at offset target of the page; site is the displacement of the jump. */
void emit_leave_unknown(struct emitter *e, uint8_t *site, int32_t target);

/* ---- streams.c ---- */

/* Finds the streams of the loop: e->streams. */
void streams_find(struct emitter *e);
/*
 * The check of all of them, and of how many rounds it is good for. This and the next ones use RAX and
 * RCX, and flags.
 */
void emit_streams(struct emitter *e);
/* A jump on equal if the check is due, on not equal if it is not: cc says which. */
uint8_t *emit_if_due(struct emitter *e, unsigned cc);
/* The check will be due after so many rounds. */
void emit_due_in(struct emitter *e, unsigned rounds);
/* Before the second copy: to the check at once, or when the loop has shown that it is no short one. */
void emit_first_rounds(struct emitter *e);
/* The stream of i's memory operand in the third copy of a loop, or NULL; and the operand. */
const struct stream *stream_of_access(const struct emitter *e, const struct insn *i, unsigned how);
struct mem_ref stream_access(struct emitter *e, const struct insn *i, const struct stream *t);
/*
 * Checks that s off RCX lies in a page, for a site of spans of *length bytes: RAX is then its place in
 * the page, and the addend is in the frame at what is returned.
 */
size_t emit_stream_check(struct emitter *e, const struct span *s, unsigned *length);
/* A jump to the loop's second copy, for a check that the caller describes in what is returned. */
struct out *out_for_stream(struct emitter *e, uint8_t *site);

/* ---- lookahead.c ---- */

#define ALL_REGS 0xffffu

/* Guest registers that i changes, one bit each; all of them when it is not known. */
unsigned insn_regs_written(const struct insn *i);
/* A constant is added to a register of 64 bits, and nothing else changes. */
bool insn_adds(const struct insn *i, unsigned *reg, int32_t *step);

/* A plain access of an instruction to memory: base and index are as in struct insn. */
struct access {
	unsigned base, index, size, align;
	int32_t disp;
	bool is_write;
};
/* False when i has none, or nothing is known of it. */
bool insn_access(const struct insn *i, struct access *a);

/* PUSH and POP of 8 bytes: by how much RSP moves. */
bool insn_moves_rsp(const struct insn *i, int32_t *delta);
/* Whether i leaves nothing of the status flags there were before. */
bool insn_writes_all_flags(const struct insn *i);
/* An instruction that neither faults nor touches memory, has an emitter and lies in the page. */
bool insn_is_plain(const struct insn *i);
/* Whether e->recipe serves from the current instruction to where flags are overwritten, or the end. */
bool recipe_lasts(const struct emitter *e);
/* The accesses off base from the current instruction on, which has the one that is given. */
struct span span_find(const struct emitter *e, unsigned base, int32_t disp, unsigned size,
		      bool is_write);

/* Works out flags by r. RAX is used. */
void recipe_run(struct emitter *e, const struct recipe *r);
/* Runs end: their addends may no longer hold. */
void runs_end(struct emitter *e);
/* After instruction i: what it changed. */
void runs_update(struct emitter *e, const struct insn *i);
/* The slow path for a check of a site, which the caller describes in what is returned. */
struct out *out_for_site(struct emitter *e, uint8_t *jump, unsigned how);

/*
 * A block that jumps to its own start is written again behind its straight code, from what
 * emit_loop_top() writes; before it, if emit_stream_top() finds that it can be, the body of the loop
 * without checks of its streams.
 */
bool emit_stream_top(struct emitter *e);
void emit_loop_top(struct emitter *e);

/* Displacements that want the record of insns[insn]. */
void record_use(struct emitter *e, const struct insn *i, uint8_t *site);

struct gates {
	uint8_t *at[NR_GATES]; /* writable aliases */
	uint8_t *enter;	       /* executable: void (*)(struct cpu *, const uint8_t *code) */
};

const struct gates *code_gates(const struct code_cache *cc);
/* What is added to a writable alias to have the executable one. */
ptrdiff_t code_exec_delta(const struct code_cache *cc);

/* Writes the gates. */
void gates_write(struct asm_out *o, struct gates *g);
/* Those of system calls, which jump to GATE_INTERPRET_END: gates_system.c. */
void gate_write_syscall(struct asm_out *o, struct gates *g);
void gate_write_sysret(struct asm_out *o, struct gates *g);

/*
 * What gates call. They return 0 to go on in translated code, else 1: to the run loop, with
 * cpu->rip set.
 */
int translated_slow(struct cpu *c, const struct record *r);
int translated_interpret(struct cpu *c, const struct record *r);
int translated_interpret_end(struct cpu *c, const struct record *r);
int translated_simd(struct cpu *c, const struct record *r);
int translated_avx(struct cpu *c, const struct record *r);

#endif
