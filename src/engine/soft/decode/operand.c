/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of operand kinds: insn.h's names, spelt out.
 */
#include "engine/soft/decode/operand.h"

#define REG_GPR(w)                                                    \
	{                                                             \
		.place = AT_REG, .file = FILE_GPR, .width = WIDTH_##w \
	}
#define RM_GPR(w)                                                    \
	{                                                            \
		.place = AT_RM, .file = FILE_GPR, .width = WIDTH_##w \
	}
#define RM_GPR_ONLY(w)                                                               \
	{                                                                            \
		.place = AT_RM, .file = FILE_GPR, .width = WIDTH_##w, .mod = MOD_REG \
	}
#define RM_GPR_MEM(w, m)                                                                     \
	{                                                                                    \
		.place = AT_RM, .file = FILE_GPR, .width = WIDTH_##w, .mem_width = WIDTH_##m \
	}
#define MEM(w)                                                     \
	{                                                          \
		.place = AT_RM, .width = WIDTH_##w, .mod = MOD_MEM \
	}
#define VSIB(w)                                                                     \
	{                                                                           \
		.place = AT_RM, .width = WIDTH_##w, .mod = MOD_MEM, .is_vsib = true \
	}
#define OPCODE_GPR(w)                                                    \
	{                                                                \
		.place = AT_OPCODE, .file = FILE_GPR, .width = WIDTH_##w \
	}
#define IMM(w)                                      \
	{                                           \
		.place = AT_IMM, .width = WIDTH_##w \
	}
#define FIXED(f, n, w)                                                                 \
	{                                                                              \
		.place = AT_FIXED, .file = FILE_##f, .number = (n), .width = WIDTH_##w \
	}
#define REG_XMM(w)                                                    \
	{                                                             \
		.place = AT_REG, .file = FILE_XMM, .width = WIDTH_##w \
	}
#define RM_XMM(w, m)                                                                         \
	{                                                                                    \
		.place = AT_RM, .file = FILE_XMM, .width = WIDTH_##w, .mem_width = WIDTH_##m \
	}
#define RM_XMM_ONLY(w)                                                               \
	{                                                                            \
		.place = AT_RM, .file = FILE_XMM, .width = WIDTH_##w, .mod = MOD_REG \
	}
#define VVVV_XMM(w)                                                    \
	{                                                              \
		.place = AT_VVVV, .file = FILE_XMM, .width = WIDTH_##w \
	}
#define IS4_XMM(w)                                                    \
	{                                                             \
		.place = AT_IS4, .file = FILE_XMM, .width = WIDTH_##w \
	}

const struct operand_info operand_info[NR_OPERANDS] = {
	[O_Eb] = RM_GPR(8),
	[O_Ew] = RM_GPR(16),
	[O_Ed] = RM_GPR(32),
	[O_Eq] = RM_GPR(64),
	[O_Ev] = RM_GPR(v),
	[O_Ey] = RM_GPR(y),
	[O_Gb] = REG_GPR(8),
	[O_Gw] = REG_GPR(16),
	[O_Gd] = REG_GPR(32),
	[O_Gq] = REG_GPR(64),
	[O_Gv] = REG_GPR(v),
	[O_Gy] = REG_GPR(y),
	[O_Gz] = REG_GPR(z),
	[O_Mb] = MEM(8),
	[O_Mw] = MEM(16),
	[O_Md] = MEM(32),
	[O_Mq] = MEM(64),
	[O_Mv] = MEM(v),
	[O_My] = MEM(y),
	[O_Mdq] = MEM(128),
	[O_Ma] = MEM(pair),
	[O_Mp] = MEM(far),
	[O_Ms] = MEM(table),
	[O_M] = MEM(0),
	[O_Rd] = RM_GPR_ONLY(32),
	[O_Rq] = RM_GPR_ONLY(64),
	[O_Rv] = RM_GPR_ONLY(v),
	[O_Ry] = RM_GPR_ONLY(y),
	[O_Edb] = RM_GPR_MEM(32, 8),
	[O_Edw] = RM_GPR_MEM(32, 16),
	[O_By] = {.place = AT_VVVV, .file = FILE_GPR, .width = WIDTH_y},
	[O_Ib] = IMM(8),
	[O_Iw] = IMM(16),
	[O_Iz] = IMM(z),
	[O_Iv] = IMM(v),
	[O_sIb] = IMM(8),
	[O_Jb] = {.place = AT_REL, .width = WIDTH_8},
	[O_Jz] = {.place = AT_REL, .width = WIDTH_z},
	[O_Ap] = {.place = AT_FAR, .width = WIDTH_far},
	[O_Ob] = {.place = AT_MOFFS, .width = WIDTH_8},
	[O_Ov] = {.place = AT_MOFFS, .width = WIDTH_v},
	[O_Sw] = {.place = AT_REG, .file = FILE_SEG, .width = WIDTH_16},
	[O_Cd] = {.place = AT_REG, .file = FILE_CR, .width = WIDTH_addr},
	[O_Dd] = {.place = AT_REG, .file = FILE_DR, .width = WIDTH_addr},
	[O_Xb] = {.place = AT_SRC, .width = WIDTH_8},
	[O_Xv] = {.place = AT_SRC, .width = WIDTH_v},
	[O_Xz] = {.place = AT_SRC, .width = WIDTH_z},
	[O_Yb] = {.place = AT_DST, .width = WIDTH_8},
	[O_Yv] = {.place = AT_DST, .width = WIDTH_v},
	[O_Yz] = {.place = AT_DST, .width = WIDTH_z},
	[O_Zb] = OPCODE_GPR(8),
	[O_Zv] = OPCODE_GPR(v),
	[O_Zq] = OPCODE_GPR(64),
	[O_AL] = FIXED(GPR, RAX, 8),
	[O_CL] = FIXED(GPR, RCX, 8),
	[O_DX] = FIXED(GPR, RDX, 16),
	[O_AX] = FIXED(GPR, RAX, 16),
	[O_rAX] = FIXED(GPR, RAX, v),
	[O_eAX] = FIXED(GPR, RAX, z),
	[O_1] = FIXED(CONST, 1, 8),
	[O_3] = FIXED(CONST, 3, 8),
	[O_Fv] = FIXED(FLAGS, 0, v),
	[O_ES] = FIXED(SEG, SEG_ES, 16),
	[O_CS] = FIXED(SEG, SEG_CS, 16),
	[O_SS] = FIXED(SEG, SEG_SS, 16),
	[O_DS] = FIXED(SEG, SEG_DS, 16),
	[O_FS] = FIXED(SEG, SEG_FS, 16),
	[O_GS] = FIXED(SEG, SEG_GS, 16),
	[O_ST0] = FIXED(ST, 0, 80),
	[O_STi] = {.place = AT_RM, .file = FILE_ST, .width = WIDTH_80, .mod = MOD_REG},
	[O_Mf32] = MEM(32),
	[O_Mf64] = MEM(64),
	[O_Mf80] = MEM(80),
	[O_Mi16] = MEM(16),
	[O_Mi32] = MEM(32),
	[O_Mi64] = MEM(64),
	[O_Mbcd] = MEM(80),
	[O_Menv] = MEM(fenv),
	[O_Mstate] = MEM(fstate),
	[O_Vx] = REG_XMM(x),
	[O_Wx] = RM_XMM(x, x),
	[O_Ux] = RM_XMM_ONLY(x),
	[O_Hx] = VVVV_XMM(x),
	[O_Lx] = IS4_XMM(x),
	[O_Mx] = MEM(x),
	[O_Vdq] = REG_XMM(128),
	[O_Wdq] = RM_XMM(128, 128),
	[O_Udq] = RM_XMM_ONLY(128),
	[O_Hdq] = VVVV_XMM(128),
	[O_Ldq] = IS4_XMM(128),
	[O_Vqq] = REG_XMM(256),
	[O_Wqq] = RM_XMM(256, 256),
	[O_Hqq] = VVVV_XMM(256),
	[O_Mqq] = MEM(256),
	[O_Wss] = RM_XMM(128, 32),
	[O_Wsd] = RM_XMM(128, 64),
	[O_Wd] = RM_XMM(128, 32),
	[O_Wq] = RM_XMM(128, 64),
	[O_Ww] = RM_XMM(128, 16),
	[O_Wb] = RM_XMM(128, 8),
	[O_Whx] = RM_XMM(128, xhalf),
	[O_Wqx] = RM_XMM(128, xquarter),
	[O_Wex] = RM_XMM(128, xeighth),
	[O_VSd] = VSIB(32),
	[O_VSq] = VSIB(64),
	[O_DSrDI] = {.place = AT_SRC_DI, .width = WIDTH_128},
	[O_Pq] = {.place = AT_REG, .file = FILE_MMX, .width = WIDTH_64},
	[O_Qq] = {.place = AT_RM, .file = FILE_MMX, .width = WIDTH_64},
	[O_Nq] = {.place = AT_RM, .file = FILE_MMX, .width = WIDTH_64, .mod = MOD_REG},
	[O_Qd] = {.place = AT_RM, .file = FILE_MMX, .width = WIDTH_64, .mem_width = WIDTH_32},
	[O_XMM0] = FIXED(XMM, 0, 128),
};

unsigned width_bytes(enum operand_width width, unsigned op_log2, enum code_size size, bool is_256)
{
	unsigned vector = is_256 ? 32 : 16, v = 1u << op_log2;

	switch (width) {
	case WIDTH_8:
		return 1;
	case WIDTH_16:
		return 2;
	case WIDTH_32:
		return 4;
	case WIDTH_64:
		return 8;
	case WIDTH_80:
		return 10;
	case WIDTH_128:
		return 16;
	case WIDTH_256:
		return 32;
	case WIDTH_v:
	case WIDTH_y:
		return v;
	case WIDTH_z:
		return v > 4 ? 4 : v;
	case WIDTH_addr:
		return size == CODE_64 ? 8 : 4;
	case WIDTH_x:
		return vector;
	case WIDTH_xhalf:
		return vector / 2;
	case WIDTH_xquarter:
		return vector / 4;
	case WIDTH_xeighth:
		return vector / 8;
	case WIDTH_far:
		return v + 2;
	case WIDTH_pair:
		return 2 * v;
	case WIDTH_table:
		return size == CODE_64 ? 10 : 6;
	case WIDTH_fenv:
		return v == 2 ? 14 : 28;
	case WIDTH_fstate:
		return v == 2 ? 94 : 108;
	case WIDTH_0:
	case NR_WIDTHS:
		break;
	}
	return 0;
}

unsigned row_mem_bytes(const struct insn_row *row, unsigned op_log2, enum code_size size,
		       bool is_256)
{
	for (unsigned n = 0; n < ARRAY_SIZE(row->op); n++) {
		const struct operand_info *o = &operand_info[row->op[n]];

		if (o->place == AT_RM && o->mod != MOD_REG)
			return width_bytes(o->mem_width ? o->mem_width : o->width, op_log2, size,
					   is_256);
	}
	return 0;
}
