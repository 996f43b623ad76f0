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

/* Displacements that want the record of insns[insn]. */
void record_use(struct emitter *e, const struct insn *i, uint8_t *site);

struct gates {
	uint8_t *at[NR_GATES]; /* writable aliases */
	uint8_t *enter;	       /* executable: void (*)(struct cpu *, const uint8_t *code) */
};

const struct gates *code_gates(const struct code_cache *cc);

/* Writes the gates. */
void gates_write(struct asm_out *o, struct gates *g);

/*
 * What gates call. They return 0 to go on in translated code, else 1: to the run loop, with
 * cpu->rip set.
 */
int translated_interpret(struct cpu *c, const struct record *r);
int translated_interpret_end(struct cpu *c, const struct record *r);
int translated_simd(struct cpu *c, const struct record *r);
int translated_avx(struct cpu *c, const struct record *r);

#endif
