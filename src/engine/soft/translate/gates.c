/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways between C and translated code, written once per code cache. Coming from C, the guest's
 * registers are loaded from struct cpu and the frame is made; going to C, everything is stored, so
 * that C sees the vCPU as the interpreter leaves it and may unwind at any time.
 */
#include "engine/soft/interp/simd_impl.h"
#include "engine/soft/mmu.h"
#include "engine/soft/translate/emit_impl.h"

#define CPU(field)  FRAME(offsetof(struct cpu, field) + shift)
#define CPU_GPR(n)  FRAME(offsetof(struct cpu, gpr) + (n)*8 + shift)
#define XMM(n)	    FRAME(offsetof(struct cpu, fpu.xmm) + (n)*16 + shift)
#define YMM_HIGH(n) FRAME(offsetof(struct cpu, fpu.ymm_high) + (n)*16 + shift)

#define CC_E  4
#define CC_AE 3
#define CC_NE 5
#define CC_A  7
#define CC_GE 13
#define ADD   0
#define OR    1
#define AND   4
#define SUB   5
#define CMP   7

/* Ticks of the TSC that 1024 changes of page must take, or a look into the TLB each time is less. */
#define SCATTERED_TICKS (1024 * 3000)

/* And that so many runs across pages must take, or checks of each access are less. */
#define SPLITS_TICKS (1024 * 600)

#define RETURN_ADDRESS 8 /* in a gate that was called RSP is this far below the frame */

static const uint8_t callee_saved[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};

static void push(struct asm_out *o, unsigned reg)
{
	if (reg & 8)
		asm8(o, 0x41);
	asm8(o, 0x50 | (reg & 7));
}

static void pop(struct asm_out *o, unsigned reg)
{
	if (reg & 8)
		asm8(o, 0x41);
	asm8(o, 0x58 | (reg & 7));
}

/* ---- general registers and flags ---- */

/* RFLAGS to FRAME_FLAGS. RAX and RDX are used. */
static void load_flags(struct asm_out *o, unsigned shift)
{
	asm_load(o, 4, H_RAX, CPU(rflags));
	asm_mov_rr(o, 4, H_RDX, H_RAX);
	asm_shift_ri(o, 4, 5, H_RDX, 11); /* OF is bit 11 */
	asm_alu_ri(o, 4, AND, H_RDX, 1);
	asm_shift_ri(o, 4, 4, H_RAX, 8);
	asm_mov_rr(o, 1, H_RAX, H_RDX);
	asm_store(o, 4, FRAME(FRAME_FLAGS + shift), H_RAX);
}

/* From struct cpu to registers; host flags are the guest's afterwards. shift: RSP is that far below. */
static void load_state(struct asm_out *o, unsigned shift)
{
	load_flags(o, shift);
	for (unsigned n = 0; n < 16; n++)
		if (guest_home[n] != H_NONE)
			asm_load(o, 8, guest_home[n], CPU_GPR(n));
	flags_restore(o, shift);
}

/* And back; RAX stays. Flags come from the frame. */
static void store_state(struct asm_out *o, unsigned shift)
{
	for (unsigned n = 0; n < 16; n++)
		if (guest_home[n] != H_NONE)
			asm_store(o, 8, CPU_GPR(n), guest_home[n]);
	asm_load(o, 4, H_RDX, FRAME(FRAME_FLAGS + shift));
	asm_mov_rr(o, 4, H_RSI, H_RDX);
	asm_shift_ri(o, 4, 5, H_RSI, 8);
	asm_alu_ri(o, 4, AND, H_RSI, FLAGS_STATUS & 0xff);
	asm_alu_ri(o, 4, AND, H_RDX, 1);
	asm_shift_ri(o, 4, 4, H_RDX, 11);
	asm_rr(o, 4, 0x09, H_RDX, H_RSI); /* or esi, edx */
	asm_load(o, 8, H_RDX, CPU(rflags));
	asm_alu_ri(o, 8, AND, H_RDX, ~(int32_t)FLAGS_STATUS);
	asm_rr(o, 8, 0x09, H_RSI, H_RDX);
	asm_store(o, 8, CPU(rflags), H_RDX);
}

/* ---- vector registers ---- */

static void vector_move(struct asm_out *o, bool is_store, unsigned reg, struct mem_ref m)
{
	struct host_insn h = {.map = MAP_0F,
			      .prefix = P_NONE,
			      .opcode = is_store ? 0x11 : 0x10,
			      .reg = (uint8_t)reg,
			      .rm = H_NONE,
			      .mem = m};

	asm_insn(o, &h);
}

/* VINSERTF128 and VEXTRACTF128 of the upper half. */
static void high_move(struct asm_out *o, bool is_store, unsigned reg, struct mem_ref m)
{
	struct host_insn h = {.map = MAP_0F3A,
			      .prefix = P_66,
			      .opcode = is_store ? 0x19 : 0x18,
			      .is_vex = true,
			      .l = true,
			      .reg = (uint8_t)reg,
			      .vvvv = is_store ? 0 : (uint8_t)reg,
			      .rm = H_NONE,
			      .mem = m,
			      .has_imm8 = true,
			      .imm8 = 1};

	asm_insn(o, &h);
}

static void mxcsr_move(struct asm_out *o, bool is_store, struct mem_ref m)
{
	asm_rm(o, 4, 0x0fae, is_store ? 3 : 2, m);
}

/*
 * To the guest's MXCSR and back. Loading it is slow, so it is done only where it makes a difference:
 * C code does not mind exceptions that are flagged, as long as the control bits are its own. EAX, and
 * for the way back EDX, is used.
 */
static void load_mxcsr(struct asm_out *o, unsigned shift)
{
	uint8_t *same;

	mxcsr_move(o, true, FRAME(FRAME_MXCSR + shift));
	asm_load(o, 4, H_RAX, FRAME(FRAME_MXCSR + shift));
	asm_rm(o, 4, 0x3b, H_RAX, CPU(fpu.mxcsr));
	same = asm_jcc(o, CC_E);
	mxcsr_move(o, false, CPU(fpu.mxcsr));
	asm_patch(same, o->at);
}

static void store_mxcsr(struct asm_out *o, unsigned shift)
{
	uint8_t *same;

	mxcsr_move(o, true, CPU(fpu.mxcsr));
	asm_load(o, 4, H_RDX, CPU(fpu.mxcsr));
	asm_alu_ri(o, 4, AND, H_RDX, ~(int32_t)MXCSR_FLAGS);
	asm_alu_ri(o, 4, CMP, H_RDX, MXCSR_RESET);
	same = asm_jcc(o, CC_E);
	mxcsr_move(o, false, FRAME(FRAME_MXCSR + shift));
	asm_patch(same, o->at);
}

static void vzeroupper(struct asm_out *o)
{
	asm8(o, 0xc5);
	asm8(o, 0xf8);
	asm8(o, 0x77);
}

/*
 * The guest's registers to struct cpu, if they are loaded; they are not afterwards. RAX
 * and RCX stay, RDX is used.
 */
static void store_vectors(struct asm_out *o, unsigned shift, bool has_avx)
{
	uint8_t *none, *no_avx;

	asm_alu_mi(o, 4, CMP, FRAME(FRAME_SIMD + shift), 0);
	none = asm_jcc(o, CC_E);
	asm_alu_mi(o, 4, AND, FRAME(FRAME_SIMD + shift), 0);
	for (unsigned n = 0; n < 16; n++)
		vector_move(o, true, n, XMM(n));
	store_mxcsr(o, shift);
	if (has_avx) {
		asm_alu_mi(o, 4, CMP, FRAME(FRAME_AVX + shift), 0);
		no_avx = asm_jcc(o, CC_E);
		asm_alu_mi(o, 4, AND, FRAME(FRAME_AVX + shift), 0);
		for (unsigned n = 0; n < 16; n++)
			high_move(o, true, n, YMM_HIGH(n));
		vzeroupper(o);
		asm_patch(no_avx, o->at);
	}
	asm_patch(none, o->at);
}

/* EDX: 1 for the low halves, 3 for all, 0 for nothing. */
static void load_vectors(struct asm_out *o, unsigned shift, bool has_avx)
{
	uint8_t *none, *no_avx;

	asm_rr(o, 4, 0x85, H_RDX, H_RDX);
	none = asm_jcc(o, CC_E);
	load_mxcsr(o, shift);
	for (unsigned n = 0; n < 16; n++)
		vector_move(o, false, n, XMM(n));
	asm_mov_imm(o, H_RAX, 1);
	asm_store(o, 4, FRAME(FRAME_SIMD + shift), H_RAX);
	if (has_avx) {
		asm_shift_ri(o, 4, 5, H_RDX, 1);
		asm_store(o, 4, FRAME(FRAME_AVX + shift), H_RDX);
		asm_rr(o, 4, 0x85, H_RDX, H_RDX);
		no_avx = asm_jcc(o, CC_E);
		for (unsigned n = 0; n < 16; n++)
			high_move(o, false, n, YMM_HIGH(n));
		asm_patch(no_avx, o->at);
	}
	asm_patch(none, o->at);
}

/* ---- gates ---- */

static void leave_frame(struct asm_out *o)
{
	asm_load(o, 8, H_RSP, FRAME(offsetof(struct cpu, translated.host_rsp)));
	for (unsigned n = ARRAY_SIZE(callee_saved); n--;)
		pop(o, callee_saved[n]);
	asm8(o, 0xc3);
}

static void write_enter(struct asm_out *o, struct gates *g)
{
	const unsigned shift = 0;

	g->enter = o->at + o->exec_delta;
	for (unsigned n = 0; n < ARRAY_SIZE(callee_saved); n++)
		push(o, callee_saved[n]);
	asm_store(o, 8, MEM_BASE(H_RDI, offsetof(struct cpu, translated.host_rsp)), H_RSP);
	asm_mov_rr(o, 8, H_RSP, H_RDI);
	asm_store(o, 8, FRAME(FRAME_TMP), H_RSI);
	asm_alu_mi(o, 8, AND, FRAME(FRAME_PAGE), -4096);
	asm_rr(o, 4, 0x31, H_RAX, H_RAX);
	asm_store(o, 4, CPU(translated.has_simd), H_RAX);
	asm_store(o, 4, CPU(translated.has_avx), H_RAX);
	load_state(o, 0);
	asm_rm(o, 4, 0xff, 4, FRAME(FRAME_TMP)); /* jmp */
}

/* Calls fn(cpu, record) with the state stored; the record is in RAX. Its answer is in EAX. */
static void call_c(struct asm_out *o, unsigned shift, void *fn)
{
	asm_lea(o, 8, H_RDI, FRAME(shift));
	asm_mov_rr(o, 8, H_RSI, H_RAX);
	if (shift)
		asm_alu_ri(o, 8, SUB, H_RSP, 16 - RETURN_ADDRESS);
	asm_mov_imm(o, H_RAX, (uintptr_t)fn);
	asm8(o, 0xff); /* call rax */
	asm8(o, 0xd0);
	if (shift)
		asm_alu_ri(o, 8, ADD, H_RSP, 16 - RETURN_ADDRESS);
}

/* After call_c() in a called gate: to the run loop if it said so. */
static void leave_if_told(struct asm_out *o)
{
	uint8_t *stay;

	asm_rr(o, 4, 0x85, H_RAX, H_RAX);
	stay = asm_jcc(o, CC_E);
	asm_alu_ri(o, 8, ADD, H_RSP, RETURN_ADDRESS);
	leave_frame(o);
	asm_patch(stay, o->at);
}

static uint8_t *begin_gate(struct asm_out *o)
{
	asm_align(o, 0, 16);
	return o->at;
}

/* EDX = which vector registers are loaded, as load_vectors() takes it; kept over calls in RBX. */
static void note_vectors(struct asm_out *o, unsigned shift)
{
	asm_load(o, 4, H_RBX, FRAME(FRAME_AVX + shift));
	asm_lea(o, 4, H_RBX, (struct mem_ref){.base = H_NONE, .index = H_RBX, .scale = 1});
	asm_rm(o, 4, 0x0b, H_RBX, FRAME(FRAME_SIMD + shift)); /* or */
}

static void write_slow(struct asm_out *o, bool has_avx)
{
	store_state(o, RETURN_ADDRESS);
	note_vectors(o, RETURN_ADDRESS);
	store_vectors(o, RETURN_ADDRESS, has_avx);
	call_c(o, RETURN_ADDRESS, translated_slow);
	leave_if_told(o);
	asm_mov_rr(o, 4, H_RDX, H_RBX);
	load_vectors(o, RETURN_ADDRESS, has_avx);
	load_state(o, RETURN_ADDRESS);
	asm8(o, 0xc3);
}

static void write_interpret(struct asm_out *o, bool has_avx)
{
	store_state(o, RETURN_ADDRESS);
	store_vectors(o, RETURN_ADDRESS, has_avx);
	call_c(o, RETURN_ADDRESS, translated_interpret);
	leave_if_told(o);
	load_state(o, RETURN_ADDRESS);
	asm8(o, 0xc3);
}

/* Loads vector registers; fn finds out whether they may be used, and which there are. */
static void write_simd(struct asm_out *o, bool has_avx, void *fn)
{
	store_state(o, RETURN_ADDRESS);
	store_vectors(o, RETURN_ADDRESS, has_avx);
	call_c(o, RETURN_ADDRESS, fn);
	/* 1 or 3 to load, 0 to leave: as load_vectors() takes it, and the other way around. */
	asm_mov_rr(o, 4, H_RDX, H_RAX);
	asm_alu_ri(o, 4, CMP, H_RAX, 1);
	asm_rr(o, 4, 0x19, H_RAX, H_RAX); /* sbb: all ones if it was 0 */
	leave_if_told(o);
	load_vectors(o, RETURN_ADDRESS, has_avx);
	load_state(o, RETURN_ADDRESS);
	asm8(o, 0xc3);
}

/* One more way out of this kind. Flags are changed. */
static void count_leave(struct asm_out *o, enum engine_leave leave)
{
	const unsigned shift = 0;

	asm_rm(o, 8, 0xff, 0, CPU(stats.left[leave])); /* inc */
}

/* The jump cache is looked up as in emit_lookup(), for cpu->rip. */
#define JUMP_ENTRY(field) \
	MEM_BASE(H_RAX, offsetof(struct cpu, jump_cache) + offsetof(struct jump_entry, field))

static void write_interpret_end(struct asm_out *o, bool has_avx)
{
	const unsigned shift = 0;
	uint8_t *stay, *leave, *miss;

	store_state(o, 0);
	store_vectors(o, 0, has_avx);
	call_c(o, 0, translated_interpret_end);
	asm_rr(o, 4, 0x85, H_RAX, H_RAX);
	stay = asm_jcc(o, CC_E);
	leave = o->at;
	leave_frame(o);
	miss = o->at;
	count_leave(o, ENGINE_LEAVE_MISS);
	asm_jmp_to(o, leave);
	asm_patch(stay, o->at);
	asm_load(o, 8, H_RDX, CPU(rip));
	asm_mov_rr(o, 8, H_RAX, H_RDX);
	asm_shift_ri(o, 8, 5, H_RAX, 14);
	asm_rr(o, 4, 0x31, H_RDX, H_RAX);
	asm_alu_ri(o, 4, AND, H_RAX, JUMP_CACHE_SIZE - 1);
	asm_shift_ri(o, 4, 4, H_RAX, 4);
	asm_rr(o, 8, 0x01, H_RSP, H_RAX); /* add rax, rsp */
	asm_mov_rr(o, 8, H_RSI, H_RDX);
	asm_rm(o, 8, 0x33, H_RSI, CPU(jump_tag));
	asm_rm(o, 8, 0x3b, H_RSI, JUMP_ENTRY(key));
	asm_patch(asm_jcc(o, CC_NE), miss);
	asm_alu_ri(o, 8, AND, H_RDX, -4096);
	asm_store(o, 8, FRAME(FRAME_PAGE), H_RDX);
	asm_load(o, 8, H_RAX, JUMP_ENTRY(block));
	asm_store(o, 8, FRAME(FRAME_TMP), H_RAX);
	load_state(o, 0);
	asm_load(o, 8, H_RAX, FRAME(FRAME_TMP));
	asm_rm(o, 4, 0xff, 4, MEM_BASE(H_RAX, offsetof(struct block, code)));
}

/*
 * Counts that the site learnt another page, or that a run of it crosses pages: 1024 times in less than
 * ticks is told at a safe point. flag: 0, SITE_SPLITS.
 */
static void write_count(struct asm_out *o, unsigned shift, int32_t ticks, uint32_t flag)
{
	uint8_t *done[2];
	struct mem_ref of_site = {.base = H_RSP, .index = H_RSI, .disp = (int32_t)shift};

	asm_rm(o, 4, 0x0fb7, H_RSI, FRAME(FRAME_FILL + shift));
	of_site.scale = 2;
	asm_lea(o, 8, H_RDI, of_site);
	asm_alu_mi(o, 4, ADD, MEM_BASE(H_RDI, offsetof(struct cpu, site_misses)), 1 << 22);
	done[0] = asm_jcc(o, CC_AE); /* no carry */
	asm8(o, 0x0f);		     /* rdtsc */
	asm8(o, 0x31);
	asm_shift_ri(o, 8, 4, H_RDX, 32);
	asm_rr(o, 8, 0x09, H_RDX, H_RAX);
	of_site.scale = 3;
	asm_lea(o, 8, H_RDI, of_site);
	asm_mov_rr(o, 8, H_RDX, H_RAX);
	asm_rm(o, 8, 0x2b, H_RDX, MEM_BASE(H_RDI, offsetof(struct cpu, site_times)));
	asm_store(o, 8, MEM_BASE(H_RDI, offsetof(struct cpu, site_times)), H_RAX);
	asm_alu_ri(o, 8, CMP, H_RDX, ticks);
	done[1] = asm_jcc(o, CC_A);
	asm_alu_ri(o, 4, ADD, H_RSI, (int32_t)(flag + 1));
	asm_store(o, 4, CPU(scattered_site), H_RSI);
	asm8(o, 0xf0); /* lock or */
	asm_alu_mi(o, 4, OR, CPU(requests), REQ_SAFE);
	for (unsigned n = 0; n < ARRAY_SIZE(done); n++)
		asm_patch(done[n], o->at);
}

/*
 * The site that FRAME_FILL names learns the page that address RAX lies in, if the TLB has it and the
 * span, whose length is in FRAME_FILL too, ends in it. CF: only that it does not end there is in the
 * way. Keeps all registers but RAX.
 */
static void write_fill(struct asm_out *o, size_t tag)
{
	static const uint8_t used[] = {H_RCX, H_RDX, H_RSI, H_RDI};
	const unsigned shift = RETURN_ADDRESS + sizeof(used) * 8;
	uint8_t *fails[2], *crosses;

	for (unsigned n = 0; n < ARRAY_SIZE(used); n++)
		push(o, used[n]);
	asm_mov_rr(o, 4, H_RDX, H_RAX);
	_Static_assert(sizeof(struct tlb_entry) == 32, "5 bits of shift");
	asm_shift_ri(o, 4, 5, H_RDX, 12 - 5);
	asm_alu_ri(o, 4, AND, H_RDX, (TLB_SIZE - 1) << 5);
	asm_rm(o, 8, 0x03, H_RDX, CPU(tlb));
	/* RCX = offset in the page, if it is this page. TLB_NONE looks like page 0. */
	asm_load(o, 8, H_RCX, MEM_BASE(H_RDX, tag));
	asm_rr(o, 1, 0xf6, 0, H_RCX);
	asm8(o, TLB_NONE);
	fails[0] = asm_jcc(o, CC_NE);
	asm_rr(o, 8, 0x31, H_RAX, H_RCX);
	asm_alu_ri(o, 8, CMP, H_RCX, 4095);
	fails[1] = asm_jcc(o, CC_A);
	asm_rm(o, 4, 0x0fb7, H_RDI, FRAME(FRAME_FILL + shift + 2));
	asm_rr(o, 4, 0xf7, 3, H_RDI); /* neg */
	asm_alu_ri(o, 4, ADD, H_RDI, 4097);
	asm_rr(o, 4, 0x39, H_RDI, H_RCX);
	crosses = asm_jcc(o, CC_GE);
	asm_rr(o, 8, 0xf7, 3, H_RAX);
	asm_rr(o, 8, 0x01, H_RCX, H_RAX); /* offset - address */
	asm_load(o, 8, H_RDX, MEM_BASE(H_RDX, offsetof(struct tlb_entry, addend)));
	asm_rm(o, 4, 0x0fb7, H_RSI, FRAME(FRAME_FILL + shift));
	asm_store(o, 8,
		  (struct mem_ref){.base = H_RSP,
				   .index = H_RSI,
				   .scale = 3,
				   .disp = (int32_t)(offsetof(struct cpu, site_limits) + shift)},
		  H_RDI);
	asm_shift_ri(o, 4, 4, H_RSI, 4);
	asm_rr(o, 8, 0x01, H_RSP, H_RSI); /* add rsi, rsp */
	asm_store(o, 8, MEM_BASE(H_RSI, offsetof(struct cpu, sites) + shift), H_RAX);
	asm_store(o, 8, MEM_BASE(H_RSI, offsetof(struct cpu, sites) + shift + 8), H_RDX);
	asm_store(o, 4, CPU(has_sites), H_RDI);
	write_count(o, shift, SCATTERED_TICKS, 0);
	for (unsigned n = ARRAY_SIZE(used); n--;)
		pop(o, used[n]);
	asm_rr(o, 4, 0x39, H_RAX, H_RAX); /* ZF */
	asm8(o, 0xc3);
	asm_patch(crosses, o->at);
	write_count(o, shift, SPLITS_TICKS, SITE_SPLITS);
	for (unsigned n = ARRAY_SIZE(used); n--;)
		pop(o, used[n]);
	asm_rr(o, 8, 0x85, H_RSP, H_RSP); /* no ZF */
	asm8(o, 0xf9);			  /* stc */
	asm8(o, 0xc3);
	for (unsigned n = 0; n < ARRAY_SIZE(fails); n++)
		asm_patch(fails[n], o->at);
	for (unsigned n = ARRAY_SIZE(used); n--;)
		pop(o, used[n]);
	asm_rr(o, 8, 0x85, H_RSP, H_RSP); /* no ZF, no CF */
	asm8(o, 0xc3);
}

/* RCX: rip. */
static void write_leave_to(struct asm_out *o, enum engine_leave leave, uint8_t *join)
{
	const unsigned shift = 0;

	asm_store(o, 8, CPU(rip), H_RCX);
	count_leave(o, leave);
	asm_jmp_to(o, join);
}

static void write_leave(struct asm_out *o, struct gates *g, bool has_avx)
{
	const unsigned shift = 0;
	uint8_t *join;

	g->at[GATE_LEAVE_LINK] = begin_gate(o);
	asm_store(o, 8, CPU(link), H_RAX);
	asm_store(o, 8, CPU(rip), H_RCX);
	count_leave(o, ENGINE_LEAVE_LINK);
	join = o->at;
	store_state(o, 0);
	store_vectors(o, 0, has_avx);
	leave_frame(o);

	g->at[GATE_COLD] = begin_gate(o);
	asm_load(o, 4, H_RCX, MEM_BASE(H_RAX, offsetof(struct block, gpa)));
	asm_alu_ri(o, 4, AND, H_RCX, 4095);
	asm_rm(o, 8, 0x03, H_RCX, FRAME(FRAME_PAGE));
	write_leave_to(o, ENGINE_LEAVE_COLD, join);
	g->at[GATE_LEAVE] = begin_gate(o);
	write_leave_to(o, ENGINE_LEAVE_REQUEST, join);
	g->at[GATE_LEAVE_MISS] = begin_gate(o);
	write_leave_to(o, ENGINE_LEAVE_MISS, join);
	g->at[GATE_LEAVE_RUN] = begin_gate(o);
	write_leave_to(o, ENGINE_LEAVE_RUN, join);
}

void gates_write(struct asm_out *o, struct gates *g)
{
	bool has_avx = __builtin_cpu_supports("avx");

	write_enter(o, g);
	g->at[GATE_SLOW] = begin_gate(o);
	write_slow(o, has_avx);
	g->at[GATE_INTERPRET] = begin_gate(o);
	write_interpret(o, has_avx);
	g->at[GATE_SIMD] = begin_gate(o);
	write_simd(o, has_avx, translated_simd);
	g->at[GATE_AVX] = begin_gate(o);
	write_simd(o, has_avx, translated_avx);
	g->at[GATE_INTERPRET_END] = begin_gate(o);
	write_interpret_end(o, has_avx);
	g->at[GATE_FILL_READ] = begin_gate(o);
	write_fill(o, offsetof(struct tlb_entry, tag_read));
	g->at[GATE_FILL_WRITE] = begin_gate(o);
	write_fill(o, offsetof(struct tlb_entry, tag_write));
	write_leave(o, g, has_avx);
	g->at[GATE_SYSCALL] = begin_gate(o);
	gate_write_syscall(o, g);
	g->at[GATE_SYSRET] = begin_gate(o);
	gate_write_sysret(o, g);
	BUG_ON(o->is_full);
}
