/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System instructions that kernels execute often: interrupt flag, user access, segment bases,
 * control registers read, time, PAUSE, system calls. Wherever one would fault it is interpreted.
 */
#include "engine/soft/soft.h"
#include "engine/soft/translate/emit_int.h"
#include "engine/soft/translate/emitters.h"

#define ALU_ADD 0
#define ALU_OR	1
#define ALU_AND 4
#define ALU_SUB 5
#define ALU_XOR 6
#define ALU_CMP 7
#define SHL	4
#define SHR	5
#define SAR	7
#define IF_BIT	9

/* RCX = the vCPU; with a privilege level other than 0 the interpreter raises what is due. */
static void require_kernel(struct emitter *e, const struct insn *i, unsigned how)
{
	flags_clobber(e);
	load_cpu(e);
	asm_alu_mi(&e->o, 1, ALU_CMP, CPU_AT_RCX(cpl), 0);
	emit_slow(e, i, asm_jcc(&e->o, CC_NE), how);
}

/* To the interpreter if a bit of CR4 is set (CC_NE) or clear (CC_E). RCX: the vCPU. */
static void slow_if_cr4(struct emitter *e, const struct insn *i, unsigned cc, uint32_t bit)
{
	asm_rm(&e->o, 4, 0xf7, 0, CPU_AT_RCX(cr4));
	asm32(&e->o, bit);
	slow_if(e, i, cc);
}

/* ---- interrupt flag ---- */

bool e_cli(struct emitter *e, const struct insn *i)
{
	require_kernel(e, i, 0);
	asm_alu_mi(&e->o, 4, ALU_AND, CPU_AT_RCX(rflags), ~(int32_t)FLAG_IF);
	return true;
}

/*
 * Nothing waits for the flag: then no translated code runs. What comes from now on is met at the
 * next jump, or by the run loop, which has to know of the shadow.
 */
bool e_sti(struct emitter *e, const struct insn *i)
{
	require_kernel(e, i, MEM_END);
	asm_load(&e->o, 4, H_RAX, CPU_AT_RCX(rflags));
	asm_shift_ri(&e->o, 4, SHR, H_RAX, IF_BIT);
	asm_alu_ri(&e->o, 4, ALU_AND, H_RAX, 1);
	asm_alu_ri(&e->o, 4, ALU_XOR, H_RAX, 1);
	asm_store(&e->o, 1, CPU_AT_RCX(in_shadow), H_RAX);
	asm_alu_mi(&e->o, 4, ALU_OR, CPU_AT_RCX(rflags), FLAG_IF);
	emit_goto(e, i->off + i->len);
	return true;
}

/* ---- SMAP ---- */

static void use_tlb(struct emitter *e, enum tlb_mode mode)
{
	_Static_assert(offsetof(struct tlb, entries) == 0, "a TLB begins with its entries");
	asm_rm(&e->o, 1, 0xc6, 0, CPU_AT_RCX(tlb_mode));
	asm8(&e->o, mode);
	asm_load(&e->o, 8, H_RAX, CPU_AT_RCX(tlbs[mode]));
	asm_store(&e->o, 8, CPU_AT_RCX(tlb), H_RAX);
	/* Rights are part of the mode that blocks are found by, and of the jump cache's tag. */
	asm_alu_mi(&e->o, 4, ALU_AND, CPU_AT_RCX(mode), ~(int32_t)MODE_RIGHTS);
	asm_alu_mi(&e->o, 4, ALU_OR, CPU_AT_RCX(mode), (int32_t)mode << MODE_RIGHTS_SHIFT);
	asm_load(&e->o, 8, H_RAX, CPU_AT_RCX(jump_tag));
	/* Two bits: BTR or BTS each. */
	for (unsigned n = 0; n < 2; n++) {
		asm_rr(&e->o, 8, 0x0fba, mode >> n & 1 ? 5 : 6, H_RAX);
		asm8(&e->o, JUMP_RIGHTS_SHIFT + n);
	}
	asm_store(&e->o, 8, CPU_AT_RCX(jump_tag), H_RAX);
}

/* As cpu_update_mode() at privilege level 0, where alignment is not checked. */
bool e_stac(struct emitter *e, const struct insn *i)
{
	require_kernel(e, i, MEM_END);
	asm_alu_mi(&e->o, 4, ALU_OR, CPU_AT_RCX(rflags), FLAG_AC);
	use_tlb(e, TLB_KERNEL_AC);
	emit_goto(e, i->off + i->len);
	return true;
}

bool e_clac(struct emitter *e, const struct insn *i)
{
	require_kernel(e, i, MEM_END);
	asm_rm(&e->o, 4, 0xf7, 0, CPU_AT_RCX(cr4));
	asm32(&e->o, CR4_SMAP);
	emit_slow(e, i, asm_jcc(&e->o, CC_E), MEM_END);
	asm_alu_mi(&e->o, 4, ALU_AND, CPU_AT_RCX(rflags), ~(int32_t)FLAG_AC);
	use_tlb(e, TLB_KERNEL);
	emit_goto(e, i->off + i->len);
	return true;
}

/* ---- segments ---- */

static size_t base_of(enum x86_seg seg)
{
	return offsetof(struct cpu, seg) + seg * sizeof(struct segment) +
	       offsetof(struct segment, base);
}

bool e_swapgs(struct emitter *e, const struct insn *i)
{
	struct mem_ref gs = MEM_BASE(H_RCX, base_of(SEG_GS));

	require_kernel(e, i, 0);
	asm_load(&e->o, 8, H_RAX, gs);
	asm_store(&e->o, 8, FRAME(FRAME_TMP), H_RAX);
	asm_load(&e->o, 8, H_RAX, CPU_AT_RCX(kernel_gs_base));
	asm_store(&e->o, 8, gs, H_RAX);
	asm_load(&e->o, 8, H_RAX, FRAME(FRAME_TMP));
	asm_store(&e->o, 8, CPU_AT_RCX(kernel_gs_base), H_RAX);
	return true;
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE: digits 0 to 3. */
bool e_segment_base(struct emitter *e, const struct insn *i)
{
	unsigned size = i->prefix & PFX_W ? 8 : 4, digit = digit_of(i), reg;
	struct mem_ref base = MEM_BASE(H_RCX, base_of(digit & 1 ? SEG_GS : SEG_FS));

	flags_clobber(e);
	load_cpu(e);
	slow_if_cr4(e, i, CC_E, CR4_FSGSBASE);
	if (digit < 2) {
		reg = reg_dst(e, i->rm, H_RAX);
		asm_load(&e->o, size, reg, base);
		reg_put(e, i->rm, reg);
		return true;
	}
	asm_mov_rr(&e->o, size, H_RAX, reg_get(e, i->rm, H_RAX));
	if (size == 8) {
		/* Only a canonical one is loaded. */
		asm_store(&e->o, 8, FRAME(FRAME_TMP), H_RAX);
		asm_shift_ri(&e->o, 8, SHL, H_RAX, 16);
		asm_shift_ri(&e->o, 8, SAR, H_RAX, 16);
		asm_rm(&e->o, 8, 0x3b, H_RAX, FRAME(FRAME_TMP));
		slow_if(e, i, CC_NE);
	}
	asm_store(&e->o, 8, base, H_RAX);
	return true;
}

bool e_mov_from_segment(struct emitter *e, const struct insn *i)
{
	unsigned seg = i->reg / 8, size = size_of(i), reg;
	size_t selector = offsetof(struct cpu, seg) + seg * sizeof(struct segment) +
			  offsetof(struct segment, selector);

	if (seg > SEG_GS)
		return false;
	if (is_mem(i)) {
		struct mem_ref m = mem_access(e, i, 2, MEM_WRITE);

		asm_load(&e->o, 8, e->scratch, FRAME(FRAME_CPU));
		asm_rm(&e->o, 4, 0x0fb7, e->scratch, MEM_BASE(e->scratch, selector));
		asm_store(&e->o, 2, m, e->scratch);
		return true;
	}
	load_cpu(e);
	asm_rm(&e->o, 4, 0x0fb7, H_RCX, MEM_BASE(H_RCX, selector));
	reg = size == 2 ? reg_get(e, i->rm, H_RAX) : reg_dst(e, i->rm, H_RAX);
	asm_mov_rr(&e->o, size == 2 ? 2 : 4, reg, H_RCX);
	reg_put(e, i->rm, reg);
	return true;
}

/* ---- control registers ---- */

bool e_mov_from_control(struct emitter *e, const struct insn *i)
{
	static const uint32_t places[] = {
		[0] = offsetof(struct cpu, cr0),
		[2] = offsetof(struct cpu, cr2),
		[3] = offsetof(struct cpu, cr3),
		[4] = offsetof(struct cpu, cr4),
	};
	unsigned n = i->reg / 8, reg;

	if (n > 4 || !places[n])
		return false;
	require_kernel(e, i, 0);
	reg = reg_dst(e, i->rm, H_RAX);
	asm_load(&e->o, 8, reg, MEM_BASE(H_RCX, places[n]));
	reg_put(e, i->rm, reg);
	return true;
}

/* ---- time and identity ---- */

bool e_rdtsc(struct emitter *e, const struct insn *i)
{
	bool is_rdtscp = insn_rows[i->row].opcode == 0x01;

	if (!e->cpu->vm->has_host_tsc)
		return false;
	flags_clobber(e);
	load_cpu(e);
	slow_if_cr4(e, i, CC_NE, CR4_TSD);
	if (is_rdtscp) {
		asm8(&e->o, 0x0f); /* lfence: it waits for what is before it */
		asm8(&e->o, 0xae);
		asm8(&e->o, 0xe8);
	}
	asm8(&e->o, 0x0f); /* rdtsc */
	asm8(&e->o, 0x31);
	asm_shift_ri(&e->o, 8, SHL, H_RDX, 32);
	asm_rr(&e->o, 8, 0x09, H_RDX, H_RAX);
	asm_rm(&e->o, 8, 0x03, H_RAX, CPU_AT_RCX(tsc_offset));
	asm_mov_rr(&e->o, 4, GUEST_RAX, H_RAX);
	asm_shift_ri(&e->o, 8, SHR, H_RAX, 32);
	asm_mov_rr(&e->o, 4, H_RDX, H_RAX);
	if (is_rdtscp)
		asm_load(&e->o, 4, GUEST_RCX, CPU_AT_RCX(tsc_aux));
	return true;
}

bool e_rdpid(struct emitter *e, const struct insn *i)
{
	unsigned reg = reg_dst(e, i->rm, H_RAX);

	load_cpu(e);
	asm_load(&e->o, 4, reg, CPU_AT_RCX(tsc_aux));
	reg_put(e, i->rm, reg);
	return true;
}

/* Now and then by the interpreter, which lets other threads run. */
bool e_pause(struct emitter *e, const struct insn *i)
{
	flags_clobber(e);
	load_cpu(e);
	asm_alu_mi(&e->o, 4, ALU_CMP, CPU_AT_RCX(pauses), 0);
	emit_slow(e, i, asm_jcc(&e->o, CC_E), MEM_END);
	asm_alu_mi(&e->o, 4, ALU_SUB, CPU_AT_RCX(pauses), 1);
	asm8(&e->o, 0xf3);
	asm8(&e->o, 0x90);
	emit_goto(e, i->off + i->len);
	return true;
}

/* ---- system calls ---- */

/* Whoever is traced comes back to the run loop after each block. */
bool e_syscall(struct emitter *e, const struct insn *i)
{
	if (e->rights != TLB_USER || e->cpu->is_traced)
		return false;
	emit_system_call(e, i, GATE_SYSCALL);
	return true;
}

bool e_sysret(struct emitter *e, const struct insn *i)
{
	if (e->rights == TLB_USER || e->cpu->is_traced || !(i->prefix & PFX_W))
		return false;
	emit_system_call(e, i, GATE_SYSRET);
	return true;
}
