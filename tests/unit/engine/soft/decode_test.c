/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder: text and length of encodings from every corner of the format, the fields it hands to
 * the interpreter, and what is no instruction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/soft/exec.h"

#define RIP 0x1000

static uint32_t all_features[NR_CPUID_WORDS];

static int set_up(void **state)
{
	memset(all_features, 0xff, sizeof(all_features));
	all_features[CPUID_VENDOR] = BIT(FEAT_NOT_AMD % 32);
	decode_init();
	return 0;
}

/* Bytes in hex, without spaces. */
static unsigned bytes_of(const char *hex, uint8_t bytes[32])
{
	unsigned nr = 0, byte;

	for (; nr < 32 && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		bytes[nr++] = (uint8_t)byte;
	return nr;
}

struct sample {
	const char *hex, *text;
};

static void check_samples(enum code_size size, const struct sample *samples, unsigned nr)
{
	for (unsigned n = 0; n < nr; n++) {
		uint8_t bytes[32];
		unsigned avail = bytes_of(samples[n].hex, bytes);
		char text[128];

		/* One more byte must not become part of it. */
		bytes[avail] = 0x90;
		unsigned len = disassemble(bytes, avail + 1, size, RIP, text, sizeof(text));

		if (strcmp(text, samples[n].text) || len != avail)
			fail_msg("%s: \"%s\", %u bytes, not \"%s\", %u bytes", samples[n].hex, text,
				 len, samples[n].text, avail);
	}
}
#define CHECK(size, ...)                                          \
	check_samples(size, (const struct sample[]){__VA_ARGS__}, \
		      ARRAY_SIZE(((const struct sample[]){__VA_ARGS__})))

static struct insn decoded(enum code_size size, const char *hex, unsigned off)
{
	uint8_t bytes[32];
	unsigned avail = bytes_of(hex, bytes);
	struct insn i;

	memset(&i, 0xa5, sizeof(i));
	assert_int_equal(decode(bytes, avail, size, all_features, off, &i), avail);
	return i;
}

static void decode_names_registers_of_every_size(void **state)
{
	CHECK(CODE_64, {"00c8", "add al,cl"}, {"00ec", "add ah,ch"}, {"4000ec", "add spl,bpl"},
	      {"4500c1", "add r9b,r8b"}, {"6601d8", "add ax,bx"}, {"01d8", "add eax,ebx"},
	      {"4801d8", "add rax,rbx"}, {"4d01f8", "add r8,r15"}, {"664101d8", "add r8w,bx"},
	      /* REX.W wins over 66, and REX counts only before the opcode. */
	      {"664801d8", "add rax,rbx"}, {"486601d8", "add ax,bx"}, {"b0ff", "mov al,0xff"},
	      {"b401", "mov ah,0x1"}, {"41b401", "mov r12b,0x1"},
	      {"48b8efcdab8967452301", "mov rax,0x123456789abcdef"}, {"66b83412", "mov ax,0x1234"});
}

static void decode_finds_memory_operands(void **state)
{
	CHECK(CODE_64, {"8b00", "mov eax,DWORD PTR [rax]"},
	      {"8b4010", "mov eax,DWORD PTR [rax+0x10]"},
	      {"8b40f0", "mov eax,DWORD PTR [rax-0x10]"},
	      {"488b8000010000", "mov rax,QWORD PTR [rax+0x100]"},
	      {"8b0424", "mov eax,DWORD PTR [rsp]"}, {"418b0424", "mov eax,DWORD PTR [r12]"},
	      {"418b4500", "mov eax,DWORD PTR [r13+0x0]"},
	      {"8b0510000000", "mov eax,DWORD PTR [rip+0x10]"},
	      {"678b0510000000", "mov eax,DWORD PTR [eip+0x10]"},
	      {"8b042510000000", "mov eax,DWORD PTR ds:0x10"},
	      {"648b042528000000", "mov eax,DWORD PTR fs:0x28"},
	      {"8b048d00000000", "mov eax,DWORD PTR [rcx*4+0x0]"},
	      {"8b4488f0", "mov eax,DWORD PTR [rax+rcx*4-0x10]"},
	      {"468b04a0", "mov r8d,DWORD PTR [rax+r12*4]"},
	      {"678b4000", "mov eax,DWORD PTR [eax+0x0]"},
	      /* DS and friends mean nothing here. */
	      {"2e8b00", "mov eax,DWORD PTR [rax]"},
	      {"48a1efcdab8967452301", "mov rax,ds:0x123456789abcdef"},
	      {"67a078563412", "mov al,ds:0x12345678"});
	CHECK(CODE_32, {"8b00", "mov eax,DWORD PTR [eax]"},
	      {"8b0510000000", "mov eax,DWORD PTR ds:0x10"},
	      {"268b00", "mov eax,DWORD PTR es:[eax]"}, {"678b00", "mov eax,DWORD PTR [bx+si]"},
	      {"a110000000", "mov eax,ds:0x10"}, {"67a11000", "mov eax,ds:0x10"});
	CHECK(CODE_16, {"8b00", "mov ax,WORD PTR [bx+si]"}, {"8b4610", "mov ax,WORD PTR [bp+0x10]"},
	      {"8b1e3412", "mov bx,WORD PTR ds:0x1234"}, {"8b878000", "mov ax,WORD PTR [bx+0x80]"},
	      {"668b00", "mov eax,DWORD PTR [bx+si]"}, {"678b00", "mov ax,WORD PTR [eax]"},
	      {"67668b4010", "mov eax,DWORD PTR [eax+0x10]"});
}

static void decode_knows_default_sizes(void **state)
{
	CHECK(CODE_64, {"50", "push rax"}, {"6650", "push ax"}, {"4150", "push r8"},
	      {"6aff", "push 0xffffffffffffffff"}, {"68000000ff", "push 0xffffffffff000000"},
	      {"ffd0", "call rax"}, {"e800000000", "call 0x1005"}, {"ebfe", "jmp 0x1000"},
	      {"7402", "je 0x1004"}, {"0f84fa0f0000", "je 0x2000"}, {"c20800", "ret 0x8"},
	      {"83c080", "add eax,0xffffff80"}, {"4883e4f0", "and rsp,0xfffffffffffffff0"},
	      {"0fb6c1", "movzx eax,cl"}, {"480fb7c1", "movzx rax,cx"},
	      {"4863c1", "movsxd rax,ecx"});
	CHECK(CODE_32, {"50", "push eax"}, {"6650", "push ax"}, {"40", "inc eax"},
	      {"e800000000", "call 0x1005"}, {"66e80000", "call 0x1004"});
	CHECK(CODE_16, {"50", "push ax"}, {"6650", "push eax"}, {"e80000", "call 0x1003"},
	      {"b83412", "mov ax,0x1234"}, {"66b878563412", "mov eax,0x12345678"});
}

static void decode_shows_prefixes_that_count(void **state)
{
	CHECK(CODE_64, {"f04801d8", "(bad)"}, {"f0480118", "lock add QWORD PTR [rax],rbx"},
	      {"f3a4", "rep movs BYTE PTR es:[rdi],BYTE PTR ds:[rsi]"},
	      {"f348a5", "rep movs QWORD PTR es:[rdi],QWORD PTR ds:[rsi]"}, {"90", "nop"},
	      {"4190", "xchg r8d,eax"}, {"4890", "nop"}, {"4990", "xchg r8,rax"}, {"98", "cwde"},
	      {"4899", "cqo"});
}

static void decode_tells_mandatory_prefixes_apart(void **state)
{
	CHECK(CODE_64, {"0f58c1", "addps xmm0,xmm1"}, {"660f58c1", "addpd xmm0,xmm1"},
	      {"f30f58c1", "addss xmm0,xmm1"}, {"f20f58c1", "addsd xmm0,xmm1"},
	      /* F2 and F3 win over 66. */
	      {"66f20f58c1", "addsd xmm0,xmm1"}, {"f30f5800", "addss xmm0,DWORD PTR [rax]"},
	      {"f3480fb8c1", "popcnt rax,rcx"}, {"660f6ec0", "movd xmm0,eax"},
	      {"66480f6ec0", "movq xmm0,rax"}, {"660f6fc1", "movdqa xmm0,xmm1"},
	      {"0f6fc1", "movq mm0,mm1"}, {"440f58c1", "addps xmm8,xmm1"});
}

static void decode_reads_vex(void **state)
{
	CHECK(CODE_64, {"c5f058c2", "vaddps xmm0,xmm1,xmm2"}, {"c5f458c2", "vaddps ymm0,ymm1,ymm2"},
	      {"c4c17058c0", "vaddps xmm0,xmm1,xmm8"}, {"c4e278f2c1", "andn eax,eax,ecx"},
	      {"c4e2f8f2c1", "andn rax,rax,rcx"}, {"c5f877", "vzeroupper"},
	      {"c4e3714ac230", "vblendvps xmm0,xmm1,xmm2,xmm3"},
	      /* vvvv must be unused where nothing uses it; prefixes must not stand before VEX. */
	      {"c5f177", "(bad)"}, {"66c5f0", "(bad)"}, {"f0c5f0", "(bad)"}, {"40c5f0", "(bad)"});
	CHECK(CODE_32, {"c5f058c2", "vaddps xmm0,xmm1,xmm2"}, {"c400", "les eax,FWORD PTR [eax]"});
}

static void decode_gives_offsets_and_slots(void **state)
{
	struct insn i = decoded(CODE_64, "4a8b549910", 0); /* mov rdx, [rcx + r11*4 + 0x10] */

	assert_int_equal(i.reg, RDX * 8);
	assert_int_equal(i.base, RCX);
	assert_int_equal(i.index & 31, R11);
	assert_int_equal(i.index >> 6, 2);
	assert_int_equal(i.disp, 0x10);
	assert_int_equal(i.ea, EA_FLAT);
	assert_int_equal(PFX_SIZE(i.prefix), 8);
	assert_true(i.prefix & PFX_MEM);
	assert_int_equal(i.len, 5);

	i = decoded(CODE_64, "00e7", 0); /* add bh, ah */
	assert_int_equal(i.reg, RAX * 8 + 1);
	assert_int_equal(i.rm, RBX * 8 + 1);
	i = decoded(CODE_64, "4000e7", 0); /* add dil, spl */
	assert_int_equal(i.reg, RSP * 8);
	assert_int_equal(i.rm, RDI * 8);
	i = decoded(CODE_64, "8b00", 0);
	assert_int_equal(i.index & 31, SLOT_ZERO);
}

static void decode_counts_rip_from_the_block(void **state)
{
	struct insn i = decoded(CODE_64, "8b0510000000", 0x20);

	assert_int_equal(i.base, SLOT_RIP);
	assert_int_equal(i.disp, 0x10 + 0x20 + 6);
	assert_int_equal(i.off, 0x20);
	assert_int_equal(i.ea, EA_FLAT);

	i = decoded(CODE_64, "8b05ffffff7f", 0x20);
	assert_int_equal(i.disp, 0x7fffffff);
	assert_int_equal(i.ea, EA_FAR_DISP | SEG_DS);
	i = decoded(CODE_64, "658b05ffffff7f", 0x20);
	assert_int_equal(i.ea, EA_FAR_DISP | EA_SEGMENTED | SEG_GS);
}

static void decode_chooses_segments(void **state)
{
	assert_int_equal(decoded(CODE_64, "648b00", 0).ea, EA_SEGMENTED | SEG_FS);
	assert_int_equal(decoded(CODE_64, "268b00", 0).ea, EA_FLAT);
	assert_int_equal(decoded(CODE_64, "678b00", 0).ea, EA_ADDR32 | SEG_DS);
	assert_int_equal(decoded(CODE_32, "8b00", 0).ea, EA_SEGMENTED | EA_ADDR32 | SEG_DS);
	assert_int_equal(decoded(CODE_32, "8b4500", 0).ea, EA_SEGMENTED | EA_ADDR32 | SEG_SS);
	assert_int_equal(decoded(CODE_32, "8b0424", 0).ea, EA_SEGMENTED | EA_ADDR32 | SEG_SS);
	assert_int_equal(decoded(CODE_32, "268b0424", 0).ea, EA_SEGMENTED | EA_ADDR32 | SEG_ES);
	assert_int_equal(decoded(CODE_16, "8b02", 0).ea, EA_SEGMENTED | EA_ADDR16 | SEG_SS);
	assert_int_equal(decoded(CODE_16, "8b07", 0).ea, EA_SEGMENTED | EA_ADDR16 | SEG_DS);
	/* String instructions take the override for their source, and the address size. */
	assert_int_equal(decoded(CODE_32, "64a4", 0).ea, EA_SEGMENTED | EA_ADDR32 | SEG_FS);
	assert_int_equal(decoded(CODE_64, "67a4", 0).ea, EA_ADDR32 | SEG_DS);
}

static void decode_extends_immediates(void **state)
{
	assert_int_equal(decoded(CODE_64, "83c080", 0).imm, (uint64_t)-128);
	assert_int_equal(decoded(CODE_64, "05000000ff", 0).imm, (uint64_t)(int32_t)0xff000000);
	assert_int_equal(decoded(CODE_64, "ebfe", 0).imm, (uint64_t)-2);
	assert_int_equal(decoded(CODE_64, "c8341205", 0).imm, 0x051234);
	assert_int_equal(decoded(CODE_32, "ea785634123412", 0).imm, 0x123412345678);
	assert_int_equal(decoded(CODE_16, "ea78563412", 0).imm, 0x123400005678);
}

static void decode_refuses_what_is_no_instruction(void **state)
{
	static const char *const samples64[] = {
		"06",	    /* push es */
		"27",	    /* daa */
		"d6",	    /* salc */
		"62f17c48", /* EVEX */
		"0f0a",	    /* nothing */
		"f0c3",	    /* lock ret */
		"f090",	    /* lock nop */
		"8dc0",	    /* lea of a register */
		"fff8",	    /* group 5, /7 */
		"c5f0ff",   /* nothing */
	};
	struct insn i;

	for (unsigned n = 0; n < ARRAY_SIZE(samples64); n++) {
		uint8_t bytes[32] = {0};

		bytes_of(samples64[n], bytes);
		assert_true(decode(bytes, 15, CODE_64, all_features, 0, &i) > 0);
		if (i.exec != x_ud)
			fail_msg("%s is an instruction: %s", samples64[n], insn_rows[i.row].name);
	}
	assert_int_equal(insn_rows[nr_insn_rows].attr & A_END, A_END);
}

static void decode_wants_features(void **state)
{
	uint32_t none[NR_CPUID_WORDS] = {0};
	const uint8_t addps[15] = {0x0f, 0x58, 0xc1}, tzcnt[15] = {0xf3, 0x0f, 0xbc, 0xc1};
	struct insn i;

	decode(addps, 15, CODE_64, none, 0, &i);
	assert_ptr_equal(i.exec, x_ud);
	assert_int_equal(i.row, nr_insn_rows);
	/* Without BMI1, F3 means nothing to BSF. */
	assert_int_equal(decode(tzcnt, 15, CODE_64, none, 0, &i), 4);
	assert_string_equal(insn_rows[i.row].name, "bsf");
	assert_int_equal(decode(tzcnt, 15, CODE_64, all_features, 0, &i), 4);
	assert_string_equal(insn_rows[i.row].name, "tzcnt");
}

static void decode_follows_the_vendor(void **state)
{
	static const struct {
		const char *hex; /* 15 bytes of it are there */
		unsigned len, size, amd_len, amd_size;
	} samples[] = {
		{"6674001122334455667788990a0b0c", 3, 8, 3, 2}, /* jz */
		{"66e800112233445566778899aabbcc", 6, 8, 4, 2}, /* call */
		{"6648e9001122334455667788990a0b", 7, 8, 7, 8}, /* jmp, with REX.W */
		{"66c3001122334455667788990a0b0c", 2, 8, 2, 2}, /* ret */
		{"66ff242511223344556677889900aa", 8, 8, 8, 2}, /* jmp of memory */
		{"660f85001122334455667788990a0b", 7, 8, 5, 2}, /* jnz */
		{"0fff25112233445566778899aabbcc", 7, 4, 2, 4}, /* ud0 */
		{"e800112233445566778899aabbccdd", 5, 8, 5, 8}, /* call */
	};
	uint32_t amd[NR_CPUID_WORDS];
	struct insn i;

	memcpy(amd, all_features, sizeof(amd));
	amd[CPUID_VENDOR] = BIT(FEAT_AMD % 32);
	for (unsigned n = 0; n < ARRAY_SIZE(samples); n++) {
		uint8_t bytes[32];

		assert_int_equal(bytes_of(samples[n].hex, bytes), 15);
		assert_int_equal(decode(bytes, 15, CODE_64, all_features, 0, &i), samples[n].len);
		assert_int_equal(PFX_SIZE(i.prefix), samples[n].size);
		assert_int_equal(decode(bytes, 15, CODE_64, amd, 0, &i), samples[n].amd_len);
		assert_int_equal(PFX_SIZE(i.prefix), samples[n].amd_size);
	}
	/* 0F 0D of a register. */
	const uint8_t nop[15] = {0x0f, 0x0d, 0xc8};

	decode(nop, 15, CODE_64, all_features, 0, &i);
	assert_string_equal(insn_rows[i.row].name, "nop");
	decode(nop, 15, CODE_64, amd, 0, &i);
	assert_ptr_equal(i.exec, x_ud);
}

static void decode_waits_for_all_bytes(void **state)
{
	const uint8_t movabs[] = {0x64, 0x48, 0xc7, 0x84, 0x88, 1, 2, 3, 4, 5, 6, 7, 8};
	struct insn i;

	for (unsigned avail = 0; avail < sizeof(movabs); avail++)
		assert_int_equal(decode(movabs, avail, CODE_64, all_features, 0, &i), 0);
	assert_int_equal(decode(movabs, sizeof(movabs), CODE_64, all_features, 0, &i),
			 sizeof(movabs));
}

static void decode_refuses_more_than_15_bytes(void **state)
{
	uint8_t bytes[32];
	struct insn i;

	memset(bytes, 0x66, sizeof(bytes));
	bytes[14] = 0x90;
	assert_int_equal(decode(bytes, 16, CODE_64, all_features, 0, &i), 15);
	assert_ptr_not_equal(i.exec, x_gp);
	bytes[14] = 0x66;
	bytes[15] = 0x90;
	assert_int_equal(decode(bytes, 32, CODE_64, all_features, 0, &i), 15);
	assert_ptr_equal(i.exec, x_gp);
	assert_int_equal(decode(bytes, 14, CODE_64, all_features, 0, &i), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode_names_registers_of_every_size),
		cmocka_unit_test(decode_finds_memory_operands),
		cmocka_unit_test(decode_knows_default_sizes),
		cmocka_unit_test(decode_shows_prefixes_that_count),
		cmocka_unit_test(decode_tells_mandatory_prefixes_apart),
		cmocka_unit_test(decode_reads_vex),
		cmocka_unit_test(decode_gives_offsets_and_slots),
		cmocka_unit_test(decode_counts_rip_from_the_block),
		cmocka_unit_test(decode_chooses_segments),
		cmocka_unit_test(decode_extends_immediates),
		cmocka_unit_test(decode_refuses_what_is_no_instruction),
		cmocka_unit_test(decode_wants_features),
		cmocka_unit_test(decode_follows_the_vendor),
		cmocka_unit_test(decode_waits_for_all_bytes),
		cmocka_unit_test(decode_refuses_more_than_15_bytes),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
