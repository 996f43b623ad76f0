// SPDX-License-Identifier: BSD-2-Clause
/*
 * x87 instructions that compute: each runs as the host's own on the guest's state (thunk.h), with
 * the guest's control word. An unmasked exception becomes pending in FSW and is raised as #MF by
 * the next waiting instruction, before that touches the host's x87 (SDM vol. 1, 8.6 and 8.7). FDP
 * and FOP change at unmasked exceptions only, as on current CPUs. FCS and FDS read as zero. Left
 * out: reporting through FERR# when CR0.NE is clear; #MF is raised all the same.
 */
#include "engine/soft/interp/exec_simd.h"

#include "engine/soft/interp/simd_impl.h"
#include "engine/soft/interp/thunk.h"

#define X87_OPERAND_MAX 16 /* 10 bytes at most */

/* Bytes FXSAVE writes. */
#define FXSAVE_BYTES 416

_Static_assert(offsetof(struct cpu, fpu) % 16 == 0, "FXSAVE needs an aligned image");

/* Runs i on image, and keeps FIP, FDP and FOP as the guest's CPU would. */
static uint64_t run(struct cpu *c, const struct insn *i, const struct thunk *t, void *mem,
		    struct xsave_area *image)
{
	const struct insn_row *row = &insn_rows[i->row];
	uint64_t fdp = image->fdp;
	uint16_t fop = image->fop;
	uint64_t flags = t->run(mem, image, NULL, NULL, c, NULL);

	host_set_mxcsr(MXCSR_RESET); /* FXRSTOR has loaded the guest's */
	image->fip = insn_rip(c, i);
	if (image->fsw & FSW_ES) {
		bool is_mem = i->prefix & PFX_MEM;
		unsigned in_register = 0xc0 | (row->digit - 1) << 3 | (i->rm / 8 & 7);

		fop = (row->opcode & 7) << 8 | (is_mem ? i->rm : in_register);
		if (is_mem)
			fdp = ea_offset(c, i);
	}
	image->fdp = fdp;
	image->fop = fop;
	image->mxcsr_mask = MXCSR_MASK;
	return flags;
}

static inline void run_x87(struct cpu *c, const struct insn *i)
{
	uint8_t operand[X87_OPERAND_MAX];
	const struct thunk *t = thunk_find(i);

	x87_check(c, i, true);
	if (t->mem_size)
		mmu_load_bytes(c, i, ea(c, i, t->mem_size, false), operand, t->mem_size);

	uint64_t flags = run(c, i, t, operand, &c->fpu);

	if (t->flags)
		set_flags(c, flags, t->flags);
	simd_touch(c, XCR0_X87);
}

void x_x87(struct cpu *c, const struct insn *i)
{
	run_x87(c, i);
	NEXT(c, i);
}

/* 80 bits are two stores on Intel's CPUs, of which the first stays when the second faults. */
static void store_operand(struct cpu *c, const struct insn *i, gva_t va, const uint8_t *from,
			  unsigned size)
{
	if (size <= 8 || cpu_has(c, FEAT_AMD)) {
		mmu_store_bytes(c, i, va, from, size);
		return;
	}
	mmu_store_bytes(c, i, va, from, 8);
	mmu_store_bytes(c, i, va + 8, from + 8, size - 8);
}

/*
 * A store runs on a copy of the state, because it pops only once the memory is written. An unmasked
 * exception other than precision writes nothing; Intel's CPUs do not look at the address then.
 */
static void run_x87_store(struct cpu *c, const struct insn *i)
{
	uint8_t operand[X87_OPERAND_MAX];
	const struct thunk *t = thunk_find(i);
	struct xsave_area image;

	x87_check(c, i, true);

	memcpy(&image, &c->fpu, FXSAVE_BYTES);
	run(c, i, t, operand, &image);
	if (!(image.fsw & ~image.fcw & (FSW_EXCEPTIONS & ~FSW_PE)))
		store_operand(c, i, ea(c, i, t->mem_size, true), operand, t->mem_size);
	else if (cpu_has(c, FEAT_AMD))
		mmu_check_write(c, i, ea(c, i, t->mem_size, true), t->mem_size);
	memcpy(&c->fpu, &image, offsetof(struct xsave_area, xmm));
	simd_touch(c, XCR0_X87);
}

void x_x87_store(struct cpu *c, const struct insn *i)
{
	run_x87_store(c, i);
	NEXT(c, i);
}

/* FNENI, FNDISI, FNSETPM: of the 8087 and 80287; nothing since. */
void x_x87_nop(struct cpu *c, const struct insn *i)
{
	x87_check(c, i, false);
	NEXT(c, i);
}
