/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SYSCALL and SYSRET from 64-bit code to 64-bit code, without a call into C: guest registers stay
 * where they are, vector registers stay loaded. What system/syscall.c and cpu_update_mode() would
 * do is done here for the case that RFLAGS.TF and AC are clear before and after, nothing is asked of
 * the vCPU, and the jump cache knows the block at the target. Everything else is left to
 * GATE_INTERPRET_END, with the guest's state as it was.
 */
#include "engine/soft/translate/emit_impl.h"

#define CPU(field) FRAME(offsetof(struct cpu, field))
#define CPU_GPR(n) FRAME(offsetof(struct cpu, gpr) + (n)*8)
#define SEG(s, field)                                                    \
	FRAME(offsetof(struct cpu, seg) + (s) * sizeof(struct segment) + \
	      offsetof(struct segment, field))

#define CC_E  4
#define CC_NE 5
#define OR    1
#define AND   4
#define SUB   5
#define CMP   7
#define SHL   4
#define SHR   5

#define SMAP_BIT 21

#define ATTR_FLAT (SEG_ATTR_P | SEG_ATTR_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED | SEG_ATTR_G)
#define ATTR_CODE (ATTR_FLAT | SEG_TYPE_CODE | SEG_ATTR_L)
#define ATTR_DATA (ATTR_FLAT | SEG_ATTR_DB)

/* What is used beside RAX and RCX, and kept in its place in struct cpu meanwhile. */
static const uint8_t used[] = {H_RDX, H_RSI, H_RDI};

/* Jumps to the interpreter, from where nothing has been changed. */
struct refusals {
	uint8_t *sites[12];
	unsigned nr;
};

static void refuse_if(struct asm_out *o, struct refusals *r, unsigned cc)
{
	BUG_ON(r->nr == ARRAY_SIZE(r->sites));
	r->sites[r->nr++] = asm_jcc(o, cc);
}

static void test_mem(struct asm_out *o, struct mem_ref m, uint32_t bits)
{
	asm_rm(o, 4, 0xf7, 0, m);
	asm32(o, bits);
}

static void use_registers(struct asm_out *o)
{
	for (unsigned n = 0; n < ARRAY_SIZE(used); n++)
		asm_store(o, 8, CPU_GPR(used[n]), used[n]);
}

static void give_back_registers(struct asm_out *o)
{
	for (unsigned n = 0; n < ARRAY_SIZE(used); n++)
		asm_load(o, 8, used[n], CPU_GPR(used[n]));
}

/* What both need. The record, in RAX, is kept. */
static void begin(struct asm_out *o, struct refusals *r)
{
	asm_store(o, 8, FRAME(FRAME_TMP), H_RAX);
	use_registers(o);
	asm_alu_mi(o, 4, CMP, CPU(requests), 0);
	refuse_if(o, r, CC_NE);
	test_mem(o, CPU(efer), EFER_SCE);
	refuse_if(o, r, CC_E);
}

/*
 * EDX: the generation of the other level's keys, ESI: the rights there, and ECX: the mode of these
 * keys, which has to be the present one. RDX becomes the tag.
 */
static void make_tag(struct asm_out *o, struct refusals *r)
{
	asm_load(o, 4, H_RAX, CPU(mode));
	asm_alu_ri(o, 4, AND, H_RAX, ~(int32_t)MODE_RIGHTS);
	asm_rr(o, 4, 0x39, H_RCX, H_RAX);
	refuse_if(o, r, CC_NE);
	asm_shift_ri(o, 8, SHL, H_RDX, 2);
	asm_rr(o, 8, 0x09, H_RSI, H_RDX);
	asm_shift_ri(o, 8, SHL, H_RDX, JUMP_RIGHTS_SHIFT);
}

/* The entry of the jump cache for rip RCX under tag RDX to RAX. */
static void look_up(struct asm_out *o, struct refusals *r)
{
	asm_mov_rr(o, 8, H_RAX, H_RCX);
	asm_shift_ri(o, 8, SHR, H_RAX, 14);
	asm_rr(o, 4, 0x31, H_RCX, H_RAX);
	asm_alu_ri(o, 4, AND, H_RAX, JUMP_CACHE_SIZE - 1);
	_Static_assert(sizeof(struct jump_entry) == 16, "4 bits of shift");
	asm_shift_ri(o, 4, SHL, H_RAX, 4);
	asm_rr(o, 8, 0x01, H_RSP, H_RAX);
	asm_mov_rr(o, 8, H_RDI, H_RCX);
	asm_rr(o, 8, 0x31, H_RDX, H_RDI);
	asm_rm(o, 8, 0x3b, H_RDI,
	       MEM_BASE(H_RAX,
			offsetof(struct cpu, jump_cache) + offsetof(struct jump_entry, key)));
	refuse_if(o, r, CC_NE);
}

static void set_byte(struct asm_out *o, struct mem_ref m, uint8_t value)
{
	asm_rm(o, 1, 0xc6, 0, m);
	asm8(o, value);
}

/* A flat segment; its selector is added by the caller. */
static void set_segment(struct asm_out *o, enum x86_seg s, uint16_t attr)
{
	asm_rm(o, 8, 0xc7, 0, SEG(s, base));
	asm32(o, 0);
	asm_rm(o, 4, 0xc7, 0, SEG(s, limit));
	asm32(o, UINT32_MAX);
	asm_rm(o, 2, 0xc7, 0, SEG(s, attr));
	asm_imm(o, 2, attr);
}

/* The level with tag RDX, rights ESI, code at RCX whose entry of the jump cache is at RAX. */
static void enter_level(struct asm_out *o, unsigned cpl)
{
	asm_store(o, 8, CPU(jump_tag), H_RDX);
	asm_alu_ri(o, 8, AND, H_RCX, -4096);
	asm_store(o, 8, FRAME(FRAME_PAGE), H_RCX);
	asm_load(o, 8, H_RAX,
		 MEM_BASE(H_RAX,
			  offsetof(struct cpu, jump_cache) + offsetof(struct jump_entry, block)));
	asm_store(o, 1, CPU(tlb_mode), H_RSI);
	_Static_assert(offsetof(struct tlb, entries) == 0, "a TLB begins with its entries");
	asm_load(o, 8, H_RCX,
		 (struct mem_ref){.base = H_RSP,
				  .index = H_RSI,
				  .scale = 3,
				  .disp = (int32_t)offsetof(struct cpu, tlbs)});
	asm_store(o, 8, CPU(tlb), H_RCX);
	asm_shift_ri(o, 4, SHL, H_RSI, MODE_RIGHTS_SHIFT);
	asm_alu_mi(o, 4, AND, CPU(mode), ~(int32_t)MODE_RIGHTS);
	asm_rm(o, 4, 0x09, H_RSI, CPU(mode));
	set_byte(o, CPU(cpl), (uint8_t)cpl);
	set_byte(o, CPU(in_shadow), 0);
	set_byte(o, CPU(in_ss_shadow), 0);
	set_segment(o, SEG_CS, (uint16_t)(ATTR_CODE | cpl << 5));
	set_segment(o, SEG_SS, (uint16_t)(ATTR_DATA | cpl << 5));
}

/* RFLAGS = EDX, its status flags to the frame. RCX and RSI are used. */
static void set_flags(struct asm_out *o)
{
	asm_store(o, 8, CPU(rflags), H_RDX);
	asm_mov_rr(o, 4, H_RCX, H_RDX);
	asm_shift_ri(o, 4, SHL, H_RCX, 8);
	asm_alu_ri(o, 4, AND, H_RCX, 0xff00);
	asm_shift_ri(o, 4, SHR, H_RDX, 11); /* OF is bit 11 */
	asm_alu_ri(o, 4, AND, H_RDX, 1);
	asm_rr(o, 4, 0x09, H_RDX, H_RCX);
	asm_store(o, 4, FRAME(FRAME_FLAGS), H_RCX);
}

/* To the block in RAX; the other way goes back to where it started. */
static void finish(struct asm_out *o, struct gates *g, const struct refusals *r)
{
	give_back_registers(o);
	asm_rm(o, 4, 0xff, 4, MEM_BASE(H_RAX, offsetof(struct block, code))); /* jmp */
	for (unsigned n = 0; n < r->nr; n++)
		asm_patch(r->sites[n], o->at);
	give_back_registers(o);
	asm_load(o, 8, H_RAX, FRAME(FRAME_TMP));
	asm_jmp_to(o, g->at[GATE_INTERPRET_END]);
}

/* R11 = RFLAGS as PUSHFQ would have it, which is without RF; EDX too. RCX is used. */
static void save_flags_to_r11(struct asm_out *o)
{
	asm_load(o, 4, H_RDX, FRAME(FRAME_FLAGS));
	asm_mov_rr(o, 4, H_RCX, H_RDX);
	asm_shift_ri(o, 4, SHR, H_RCX, 8);
	asm_alu_ri(o, 4, AND, H_RCX, FLAGS_STATUS & 0xff);
	asm_alu_ri(o, 4, AND, H_RDX, 1);
	asm_shift_ri(o, 4, SHL, H_RDX, 11);
	asm_rr(o, 4, 0x09, H_RDX, H_RCX);
	asm_load(o, 8, H_RDX, CPU(rflags));
	asm_alu_ri(o, 8, AND, H_RDX, ~(int32_t)(FLAGS_STATUS | FLAG_RF));
	asm_rr(o, 8, 0x09, H_RCX, H_RDX);
	asm_store(o, 8, FRAME(FRAME_R11), H_RDX);
}

void gate_write_syscall(struct asm_out *o, struct gates *g)
{
	struct refusals r = {.nr = 0};

	asm_store(o, 8, FRAME(FRAME_TMP2), H_RCX);
	begin(o, &r);
	test_mem(o, CPU(rflags), FLAG_AC);
	refuse_if(o, &r, CC_NE);
	_Static_assert(TLB_KERNEL_AC - 1 == TLB_KERNEL && CR4_SMAP == BIT(SMAP_BIT),
		       "SMAP's bit is the difference of the modes");
	asm_load(o, 4, H_RAX, CPU(cr4));
	asm_shift_ri(o, 4, SHR, H_RAX, SMAP_BIT);
	asm_alu_ri(o, 4, AND, H_RAX, 1);
	asm_mov_imm(o, H_RSI, TLB_KERNEL_AC);
	asm_rr(o, 4, 0x29, H_RAX, H_RSI);
	asm_load(o, 4, H_RDX, CPU(kernel_jumps.generation));
	asm_load(o, 4, H_RCX, CPU(kernel_jumps.mode));
	make_tag(o, &r);
	asm_load(o, 8, H_RCX, CPU(lstar));
	look_up(o, &r);

	enter_level(o, 0);
	asm_load(o, 8, H_RCX, CPU(star));
	asm_shift_ri(o, 8, SHR, H_RCX, 32);
	asm_alu_ri(o, 4, AND, H_RCX, ~3);
	asm_store(o, 2, SEG(SEG_CS, selector), H_RCX);
	asm_lea(o, 4, H_RCX, MEM_BASE(H_RCX, 8));
	asm_store(o, 2, SEG(SEG_SS, selector), H_RCX);
	asm_load(o, 8, guest_home[RCX], FRAME(FRAME_TMP2));
	save_flags_to_r11(o);
	asm_load(o, 8, H_RCX, CPU(sfmask));
	asm_rr(o, 8, 0xf7, 2, H_RCX); /* not */
	asm_rr(o, 8, 0x21, H_RCX, H_RDX);
	asm_alu_ri(o, 4, OR, H_RDX, FLAG_FIXED);
	set_flags(o);
	finish(o, g, &r);
}

void gate_write_sysret(struct asm_out *o, struct gates *g)
{
	const int32_t writable = 0x3c7fd7; /* all but RF and VM */
	struct refusals r = {.nr = 0};

	begin(o, &r);
	asm_alu_mi(o, 1, CMP, CPU(cpl), 0);
	refuse_if(o, &r, CC_NE);
	test_mem(o, FRAME(FRAME_R11), FLAG_TF | FLAG_AC);
	refuse_if(o, &r, CC_NE);
	_Static_assert(TLB_USER == 0, "cleared by XOR");
	asm_rr(o, 4, 0x31, H_RSI, H_RSI);
	asm_load(o, 8, H_RAX, CPU(space));
	asm_load(o, 4, H_RDX, MEM_BASE(H_RAX, offsetof(struct tlb_space, generation)));
	asm_load(o, 4, H_RCX, MEM_BASE(H_RAX, offsetof(struct tlb_space, mode)));
	make_tag(o, &r);
	/* An address that is not canonical is under no key of the jump cache. */
	asm_mov_rr(o, 8, H_RCX, guest_home[RCX]);
	look_up(o, &r);

	enter_level(o, 3);
	asm_load(o, 8, H_RCX, CPU(star));
	asm_shift_ri(o, 8, SHR, H_RCX, 48);
	asm_alu_ri(o, 4, OR, H_RCX, 3);
	asm_lea(o, 4, H_RCX, MEM_BASE(H_RCX, 8));
	asm_store(o, 2, SEG(SEG_SS, selector), H_RCX);
	asm_lea(o, 4, H_RCX, MEM_BASE(H_RCX, 8));
	asm_store(o, 2, SEG(SEG_CS, selector), H_RCX);
	asm_load(o, 4, H_RDX, FRAME(FRAME_R11));
	asm_alu_ri(o, 4, AND, H_RDX, writable);
	asm_alu_ri(o, 4, OR, H_RDX, FLAG_FIXED);
	set_flags(o);
	finish(o, g, &r);
}
