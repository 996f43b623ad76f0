/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions of the soft engine: the table of forms, and one decoded instruction.
 *
 * insn.def is the one list of everything the engine can execute. Each row is one form of one
 * instruction; decoder, interpreter, disassembler, translator and the generated tests read it. The
 * file includes one .def per family, and each row is an initialiser of struct insn_row:
 *
 *   ROW(add, .opcode = 0x01, OPS(Ev, Gv), FLAGS(0, FLAGS_STATUS, 0), .attr = A_LOCK, EXEC_V(x_add_E_G))
 *
 * Fields left out mean "any". Operand names are those of the SDM's opcode map (vol. 2, appendix A).
 */
#ifndef ENGINE_SOFT_INSN_H
#define ENGINE_SOFT_INSN_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/cpuid.h"
#include "x86/regs.h"

struct cpu;
struct insn;

/*
 * Executes i and goes on to the next instruction of the block (see exec.h). Runs on the vCPU's
 * thread. May leave by cpu_unwind() as long as no architectural state has been changed yet.
 */
typedef void (*exec_fn)(struct cpu *c, const struct insn *i);

/* Translates i: translate/emit.h. */
struct emitter;
typedef bool (*emit_fn)(struct emitter *e, const struct insn *i);

enum insn_map { MAP_1, MAP_0F, MAP_0F38, MAP_0F3A };

/* Mandatory prefix. P_ANY: 66, F2 and F3 have their ordinary meaning or none. */
enum insn_prefix { P_ANY, P_NONE, P_66, P_F3, P_F2 };

/* Which ModRM forms a row takes. */
enum insn_mod { MOD_ANY, MOD_REG, MOD_MEM };

enum insn_mode { MODE_ANY, MODE_64, MODE_NOT64 };

enum insn_w { W_ANY, W_0, W_1 };

/*
 * VEX_NO: legacy encoding only. VEX_LIG: VEX.L may be 0 or 1; operands that end in x follow it. A
 * VEX row without an H or B operand takes no other vvvv than 1111b.
 */
enum insn_vex { VEX_NO, VEX_128, VEX_256, VEX_LIG };

/*
 * Operands, as the opcode map names them. First letter: E ModRM.rm register or memory, G ModRM.reg,
 * M memory only, R ModRM.rm register only, I immediate, J relative target, O moffs, A far pointer,
 * S segment register in reg, C/D control/debug register in reg, X/Y string source/destination,
 * Z register in the opcode's low bits, B VEX.vvvv as GPR, and for vectors V reg, W rm (xmm/ymm or
 * memory), U rm register only, H vvvv, P/Q/N the same for MMX, L register in imm8[7:4].
 * Second letter: b byte, w word, d dword, q qword, v 16/32/64 by operand size, z 16/32 by operand
 * size, y 32/64 by REX.W, p far pointer, x full vector, dq 128 bits, and so on.
 */
/* clang-format off */
enum insn_operand {
	O_none,
	/* integer */
	O_Eb, O_Ew, O_Ed, O_Eq, O_Ev, O_Ey, O_Gb, O_Gw, O_Gd, O_Gq, O_Gv, O_Gy, O_Gz,
	O_Mb, O_Mw, O_Md, O_Mq, O_Mv, O_My, O_Mdq, O_Ma, O_Mp, O_Ms, O_M,
	O_Rd, O_Rq, O_Rv, O_Ry, O_By,
	O_Edb, O_Edw, /* a dword register (never AH...), or a byte, a word in memory: PINSRB, PEXTRW */
	O_Ib, O_Iw, O_Iz, O_Iv, O_sIb, /* sIb: sign-extended to the operand size */
	O_Jb, O_Jz, O_Ap, O_Ob, O_Ov, O_Sw, O_Cd, O_Dd,
	O_Xb, O_Xv, O_Xz, O_Yb, O_Yv, O_Yz, O_Zb, O_Zv, O_Zq,
	O_AL, O_CL, O_DX, O_AX, O_rAX, O_eAX, O_1, O_3, O_Fv,
	O_ES, O_CS, O_SS, O_DS, O_FS, O_GS,
	/* x87 */
	O_ST0, O_STi, O_Mf32, O_Mf64, O_Mf80, O_Mi16, O_Mi32, O_Mi64, O_Mbcd, O_Menv, O_Mstate,
	/* vector: register size follows VEX.L, memory size is in the suffix */
	O_Vx, O_Wx, O_Ux, O_Hx, O_Lx, O_Mx,
	O_Vdq, O_Wdq, O_Udq, O_Hdq, O_Ldq, O_Vqq, O_Wqq,
	O_Hqq, O_Mqq,
	O_Wss, O_Wsd, O_Wd, O_Wq, O_Ww, O_Wb,
	O_Whx, O_Wqx, O_Wex, /* half, a quarter, an eighth of the vector */
	O_Pq, O_Qq, O_Nq, O_Qd, O_XMM0,
	O_VSd, O_VSq, /* gather: a SIB whose index (insn.index bits 0-3, 4 included) is a vector register */
	O_DSrDI,      /* implicit memory at DS:rDI, the segment may be overridden: MASKMOVDQU */
	NR_OPERANDS,
};
/* clang-format on */

/* Attributes of a row. */
#define A_LOCK	 BIT(0)	 /* LOCK is allowed with a memory destination */
#define A_END	 BIT(1)	 /* ends a block: may change rip, mode, interrupt state or mappings */
#define A_CPL0	 BIT(2)	 /* #GP(0) outside privilege level 0; checked by exec_checked() */
#define A_D64	 BIT(3)	 /* operand size defaults to 64 in 64-bit mode (push, pop, near branches) */
#define A_F64	 BIT(4)	 /* operand size is 64 in 64-bit mode whatever the prefix says */
#define A_REP	 BIT(5)	 /* REP/REPE/REPNE repeat it: string and port instructions */
#define A_PROT	 BIT(6)	 /* #UD in real and virtual-8086 mode */
#define A_FPU	 BIT(7)	 /* #NM when CR0.EM or CR0.TS: x87 */
#define A_MMX	 BIT(8)	 /* #UD when CR0.EM, #NM when CR0.TS, pending x87 fault */
#define A_SSE	 BIT(9)	 /* #UD when CR0.EM or no CR4.OSFXSR, #NM when CR0.TS */
#define A_AVX	 BIT(10) /* #UD when no CR4.OSXSAVE or XCR0 lacks SSE and AVX, #NM when CR0.TS */
#define A_ALIGN	 BIT(11) /* a memory operand of 16 bytes must be aligned, else #GP(0) */
#define A_COND	 BIT(12) /* with A_END: a conditional branch, the next instruction may follow */
#define A_NOTEST BIT(13) /* not comparable with the host CPU in user mode (time, system, random) */
#define A_FPEXC	 BIT(14) /* may raise #XM by MXCSR */
#define A_PLAIN	 BIT(15) /* with register operands it never faults (translator) */

/* One form of an instruction. */
struct insn_row {
	const char *name;
	uint8_t map;	  /* enum insn_map */
	uint8_t opcode;	  /* with Z operands: the first of eight */
	uint8_t prefix;	  /* enum insn_prefix */
	uint8_t digit;	  /* 0 any; DIGIT(n): ModRM.reg must be n */
	uint8_t rm;	  /* 0 any; DIGIT(n): ModRM.rm must be n (with MOD_REG) */
	uint8_t mod;	  /* enum insn_mod */
	uint8_t mode;	  /* enum insn_mode */
	uint8_t w;	  /* enum insn_w: REX.W or VEX.W */
	uint8_t vex;	  /* enum insn_vex */
	uint8_t op[4];	  /* enum insn_operand, in the SDM's order */
	uint16_t feature; /* enum cpuid_feature; #UD when the guest's CPUID lacks it */
	uint16_t attr;
	uint16_t flags_read, flags_written, flags_undef; /* status flags; DF counts as read */
	uint16_t host_opcode; /* free for the family (SIMD: none needed) */
	exec_fn exec[2][4];   /* [memory operand][log2 of operand size in bytes]; NULL: #UD */
	emit_fn emit;	      /* NULL: the translator leaves it to the interpreter */
};

#define DIGIT(n)			((n) + 1)
#define ROW(mnemonic, ...)		{.name = #mnemonic, __VA_ARGS__},
#define OPS1(a)				.op = {O_##a}
#define OPS2(a, b)			.op = {O_##a, O_##b}
#define OPS3(a, b, c)			.op = {O_##a, O_##b, O_##c}
#define OPS4(a, b, c, d)		.op = {O_##a, O_##b, O_##c, O_##d}
#define OPS_PICK(a, b, c, d, name, ...) name
#define OPS(...)			OPS_PICK(__VA_ARGS__, OPS4, OPS3, OPS2, OPS1)(__VA_ARGS__)
#define FLAGS(read, written, undef) \
	.flags_read = (read), .flags_written = (written), .flags_undef = (undef)

/* One function for every form and size. */
#define EXEC(f) .exec = {{f, f, f, f}, {f, f, f, f}}
/* Byte operands; f_r8 and f_m8. */
#define EXEC_B(f) .exec = {{f##_r8, 0, 0, 0}, {f##_m8, 0, 0, 0}}
/* Word, dword, qword operands; f_r16 ... f_m64. */
#define EXEC_V(f) .exec = {{0, f##_r16, f##_r32, f##_r64}, {0, f##_m16, f##_m32, f##_m64}}
/* Dword and qword operands; word, dword and qword operands in memory only. */
#define EXEC_Y(f) .exec = {{0, 0, f##_r32, f##_r64}, {0, 0, f##_m32, f##_m64}}
#define EXEC_M(f) .exec = {{0}, {0, f##_m16, f##_m32, f##_m64}}
/* Forms without a ModRM memory alternative: f_16 ... f_64, and f_8. */
#define EXEC_N(f)     .exec = {{0, f##_16, f##_32, f##_64}, {0, f##_16, f##_32, f##_64}}
#define EXEC_16_32(f) .exec = {{0, f##_16, f##_32}, {0, f##_16, f##_32}}
#define EXEC_N8(f)    .exec = {{f##_8, 0, 0, 0}, {f##_8, 0, 0, 0}}

/* Behind the last row stands one more, insn_rows[nr_insn_rows]: bytes that are no instruction. */
extern const struct insn_row insn_rows[];
extern const unsigned nr_insn_rows;

/* Slots of cpu->gpr beyond the sixteen registers, so that every address is base + index * scale + disp. */
#define SLOT_ZERO 16 /* always 0 */
#define SLOT_RIP  17 /* rip of the first instruction of the running block */
#define NR_SLOTS  18

/* insn.ea: 0 means flat 64-bit addressing, no segment base, no truncation: the fast case. */
#define EA_FLAT	     0
#define EA_SEG_SHIFT 0 /* bits 0-2: enum x86_seg, meaningful when ea is not EA_FLAT */
#define EA_SEG(ea)   ((ea)&7)
#define EA_SEGMENTED BIT(3) /* add the segment's base, and check its limit outside 64-bit mode */
#define EA_ADDR16    BIT(4) /* 16-bit address size */
#define EA_ADDR32    BIT(5) /* 32-bit address size */
#define EA_FAR_DISP  BIT(6) /* rip + disp does not fit disp: add off + len by hand */

/* insn.prefix */
#define PFX_LOCK       BIT(0)
#define PFX_REPE       BIT(1) /* F3 */
#define PFX_REPNE      BIT(2) /* F2 */
#define PFX_SIZE_SHIFT 3      /* bits 3-4: log2 of the operand size in bytes */
#define PFX_SIZE(p)    (1u << (((p) >> PFX_SIZE_SHIFT) & 3))
#define PFX_W	       BIT(5) /* REX.W or VEX.W */
#define PFX_MEM	       BIT(6) /* ModRM has a memory operand */
#define PFX_OPSIZE     BIT(7) /* a 66 prefix was present */

/*
 * One decoded instruction, ready to run: everything that can be worked out from the bytes and the
 * mode has been. 32 bytes.
 */
struct insn {
	exec_fn exec;
	uint64_t imm; /* immediate, sign-extended; J: displacement from the next instruction;
			    O: the address; A: offset in bits 0-31, selector in 32-47;
			    enter: size in 0-15, level in 16-23 */
	int32_t disp; /* of the address; with base SLOT_RIP it counts from the block's first byte */
	uint16_t row; /* index into insn_rows; nr_insn_rows: no instruction */
	uint16_t off; /* bytes from the start of the block */
	uint8_t len;  /* bytes, 1-15 */
	uint8_t reg;  /* byte offset in cpu->gpr of ModRM.reg or of the register in the opcode:
			    number * 8, plus 1 for AH, CH, DH, BH; for vector, segment, control and
			    debug registers number * 8 as well */
	uint8_t rm;   /* the same for ModRM.rm when it is a register; else the ModRM byte */
	uint8_t base; /* slot of the base register, SLOT_ZERO or SLOT_RIP */
	uint8_t index;	/* bits 0-4 slot of the index, bits 6-7 log2 of the scale */
	uint8_t ea;	/* EA_* */
	uint8_t prefix; /* PFX_* */
	uint8_t vex;	/* bits 0-3 vvvv as a number, bit 4 VEX.L, bit 5 VEX encoding present */
};
_Static_assert(sizeof(struct insn) == 32, "the block cache counts on 32 bytes");

#define INSN_VVVV(i) ((i)->vex & 15)
#define INSN_L(i)    (((i)->vex >> 4) & 1)
#define INSN_VEX     BIT(5)

enum code_size { CODE_16, CODE_32, CODE_64 };

/*
 * Decodes the instruction at bytes[0 .. avail). off is its distance from the start of its block.
 * *out is complete except for what the caller owns: nothing.
 * features: the guest's CPUID words; rows whose feature is missing decode as #UD.
 * Returns its length, or 0 when avail (below 15) ends before the instruction does. Bytes that are
 * no instruction give one whose exec raises #UD and whose row is nr_insn_rows; more than 15 bytes
 * one that raises #GP(0). Never reads past avail. Pure, any thread, after decode_init().
 */
unsigned decode(const uint8_t *bytes, unsigned avail, enum code_size size,
		const uint32_t features[NR_CPUID_WORDS], unsigned off, struct insn *out);

/* Builds the opcode index from the table; any number of calls, any thread. */
void decode_init(void);

/*
 * Text of one instruction in Intel syntax, for dumps and traces; rip is its address. Returns the
 * length of the instruction, 0 when avail ends too early.
 */
unsigned disassemble(const uint8_t *bytes, unsigned avail, enum code_size size, uint64_t rip,
		     char *text, unsigned text_len);

#endif
