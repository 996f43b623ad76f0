/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Architecture facts of x86-64: bits of registers, exception vectors, model-specific registers,
 * page-table entries (Intel SDM vol. 3 and vol. 4, AMD APM vol. 2). No policy.
 */
#ifndef X86_REGS_H
#define X86_REGS_H

#include <stdint.h>

#include "base/base.h"

typedef uint64_t gva_t; /* a guest linear address */

/* General registers by encoding. */
enum x86_gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Segment registers by encoding, then the two system ones. */
enum x86_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, NR_SEGS };

/* RFLAGS. */
#define FLAG_CF	   BIT(0)
#define FLAG_FIXED BIT(1) /* always one */
#define FLAG_PF	   BIT(2)
#define FLAG_AF	   BIT(4)
#define FLAG_ZF	   BIT(6)
#define FLAG_SF	   BIT(7)
#define FLAG_TF	   BIT(8)
#define FLAG_IF	   BIT(9)
#define FLAG_DF	   BIT(10)
#define FLAG_OF	   BIT(11)
#define FLAG_IOPL  (3u << 12)
#define FLAG_NT	   BIT(14)
#define FLAG_RF	   BIT(16)
#define FLAG_VM	   BIT(17)
#define FLAG_AC	   BIT(18)
#define FLAG_VIF   BIT(19)
#define FLAG_VIP   BIT(20)
#define FLAG_ID	   BIT(21)
/* The six status flags, all written by most arithmetic. */
#define FLAGS_STATUS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* CR0. */
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

/* CR3. */
#define CR3_PCID_MASK 0xfffull
#define CR3_NOFLUSH   BIT64(63)

/* CR4. */
#define CR4_VME	       BIT(0)
#define CR4_PVI	       BIT(1)
#define CR4_TSD	       BIT(2)
#define CR4_DE	       BIT(3)
#define CR4_PSE	       BIT(4)
#define CR4_PAE	       BIT(5)
#define CR4_MCE	       BIT(6)
#define CR4_PGE	       BIT(7)
#define CR4_PCE	       BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE	       BIT(22)

/* EFER. */
#define EFER_SCE   BIT(0)
#define EFER_LME   BIT(8)
#define EFER_LMA   BIT(10)
#define EFER_NXE   BIT(11)
#define EFER_SVME  BIT(12)
#define EFER_FFXSR BIT(14)

/* XCR0. */
#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)

/* Exception vectors. */
enum x86_vector {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_NMI = 2,
	VEC_BP = 3,
	VEC_OF = 4,
	VEC_BR = 5,
	VEC_UD = 6,
	VEC_NM = 7,
	VEC_DF = 8,
	VEC_TS = 10,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_MF = 16,
	VEC_AC = 17,
	VEC_MC = 18,
	VEC_XM = 19,
};

/* Error code of a page fault. */
#define PF_PRESENT BIT(0)
#define PF_WRITE   BIT(1)
#define PF_USER	   BIT(2)
#define PF_RSVD	   BIT(3)
#define PF_FETCH   BIT(4)

/* Page-table entries of every level. */
#define PTE_P	 BIT64(0)
#define PTE_W	 BIT64(1)
#define PTE_U	 BIT64(2)
#define PTE_PWT	 BIT64(3)
#define PTE_PCD	 BIT64(4)
#define PTE_A	 BIT64(5)
#define PTE_D	 BIT64(6)
#define PTE_PS	 BIT64(7)
#define PTE_G	 BIT64(8)
#define PTE_NX	 BIT64(63)
#define PTE_ADDR 0x000ffffffffff000ull

/* Segment descriptor attributes, as stored in struct segment.attr. */
#define SEG_ATTR_TYPE	  0x000fu
#define SEG_ATTR_S	  BIT(4) /* code or data, not system */
#define SEG_ATTR_DPL	  0x0060u
#define SEG_ATTR_P	  BIT(7)
#define SEG_ATTR_AVL	  BIT(12)
#define SEG_ATTR_L	  BIT(13)
#define SEG_ATTR_DB	  BIT(14)
#define SEG_ATTR_G	  BIT(15)
#define SEG_ATTR_UNUSABLE BIT(8) /* ours: a null selector was loaded */
#define SEG_TYPE_CODE	  BIT(3)
#define SEG_TYPE_CONFORM  BIT(2) /* code: conforming; data: expand down */
#define SEG_TYPE_RW	  BIT(1) /* code: readable; data: writable */
#define SEG_TYPE_ACCESSED BIT(0)

/* A segment register with its hidden part. */
struct segment {
	uint64_t base;
	uint32_t limit; /* in bytes, granularity already applied */
	uint16_t selector;
	uint16_t attr; /* SEG_ATTR_*: descriptor bits 40-47 at 0-7, bits 52-55 at 12-15 */
};

/* System descriptor types (SDM vol. 3, table 3-2); 16-bit ones lack bit 3. */
enum x86_system_type {
	SYS_TSS16_AVAIL = 1,
	SYS_LDT = 2,
	SYS_TSS16_BUSY = 3,
	SYS_CALL_GATE16 = 4,
	SYS_TASK_GATE = 5,
	SYS_INT_GATE16 = 6,
	SYS_TRAP_GATE16 = 7,
	SYS_TSS_AVAIL = 9,
	SYS_TSS_BUSY = 11,
	SYS_CALL_GATE = 12,
	SYS_INT_GATE = 14,
	SYS_TRAP_GATE = 15,
};

/* DR6: causes of a debug exception; bits 0-3 say which breakpoint. */
#define DR6_BD	   BIT(13) /* a debug register was touched under DR7.GD */
#define DR6_BS	   BIT(14) /* single step */
#define DR6_BT	   BIT(15) /* task switch with the T bit */
#define DR6_CAUSES (0xfu | DR6_BD | DR6_BS | DR6_BT)
#define DR6_FIXED  0xffff0ff0u /* read as one */

/* DR7. */
#define DR7_GD	     BIT(13)
#define DR7_FIXED    BIT(10) /* reads as one */
#define DR7_WRITABLE 0xffff23ffu

/*
 * IA32_ARCH_CAPABILITIES: what a CPU says it is free of. A kernel that reads all of ARCH_CAP_IMMUNE
 * chooses neither page-table isolation nor return thunks, only enhanced IBRS.
 */
#define ARCH_CAP_RDCL_NO	BIT64(0)
#define ARCH_CAP_IBRS_ALL	BIT64(1)
#define ARCH_CAP_SKIP_L1DFL	BIT64(3)
#define ARCH_CAP_SSB_NO		BIT64(4)
#define ARCH_CAP_MDS_NO		BIT64(5)
#define ARCH_CAP_PSCHANGE_MC_NO BIT64(6)
#define ARCH_CAP_TAA_NO		BIT64(8)
#define ARCH_CAP_SBDR_SSDP_NO	BIT64(13)
#define ARCH_CAP_FBSDP_NO	BIT64(14)
#define ARCH_CAP_PSDP_NO	BIT64(15)
#define ARCH_CAP_BHI_NO		BIT64(20)
#define ARCH_CAP_PBRSB_NO	BIT64(24)
#define ARCH_CAP_GDS_NO		BIT64(26)
#define ARCH_CAP_RFDS_NO	BIT64(27)
#define ARCH_CAP_ITS_NO		BIT64(62)
#define ARCH_CAP_IMMUNE                                                                        \
	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_SKIP_L1DFL | ARCH_CAP_SSB_NO |        \
	 ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | \
	 ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO |          \
	 ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO | ARCH_CAP_ITS_NO)

/* Model-specific registers. */
#define MSR_IA32_TSC		   0x10
#define MSR_IA32_PLATFORM_ID	   0x17
#define MSR_IA32_APICBASE	   0x1b
#define MSR_IA32_FEATURE_CONTROL   0x3a
#define MSR_IA32_TSC_ADJUST	   0x3b
#define MSR_IA32_SPEC_CTRL	   0x48
#define MSR_IA32_PRED_CMD	   0x49
#define MSR_IA32_BIOS_SIGN_ID	   0x8b
#define MSR_IA32_ARCH_CAPABILITIES 0x10a
#define MSR_IA32_FLUSH_CMD	   0x10b
#define MSR_IA32_MTRRCAP	   0xfe
#define MSR_IA32_SYSENTER_CS	   0x174
#define MSR_IA32_SYSENTER_ESP	   0x175
#define MSR_IA32_SYSENTER_EIP	   0x176
#define MSR_IA32_MCG_CAP	   0x179
#define MSR_IA32_MCG_STATUS	   0x17a
#define MSR_IA32_MISC_ENABLE	   0x1a0
#define MSR_IA32_MTRR_PHYSBASE0	   0x200
#define MSR_IA32_MTRR_FIX64K	   0x250
#define MSR_IA32_PAT		   0x277
#define MSR_IA32_MTRR_DEF_TYPE	   0x2ff
#define MSR_IA32_TSC_DEADLINE	   0x6e0
#define MSR_IA32_X2APIC_BASE	   0x800
#define MSR_IA32_MCG_CTL	   0x17b
#define MSR_IA32_DEBUGCTL	   0x1d9
#define MSR_IA32_MC0_CTL	   0x400
#define MSR_IA32_XSS		   0xda0
#define MSR_EFER		   0xc0000080
#define MSR_STAR		   0xc0000081
#define MSR_LSTAR		   0xc0000082
#define MSR_CSTAR		   0xc0000083
#define MSR_SFMASK		   0xc0000084
#define MSR_FS_BASE		   0xc0000100
#define MSR_GS_BASE		   0xc0000101
#define MSR_KERNEL_GS_BASE	   0xc0000102
#define MSR_TSC_AUX		   0xc0000103
#define MSR_KVM_WALL_CLOCK	   0x11
#define MSR_KVM_SYSTEM_TIME	   0x12
#define MSR_KVM_WALL_CLOCK_NEW	   0x4b564d00
#define MSR_KVM_SYSTEM_TIME_NEW	   0x4b564d01

#endif
