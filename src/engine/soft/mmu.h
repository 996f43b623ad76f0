/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory as instructions see it: linear addresses, paging, access rights (SDM vol. 3,
 * chapter 4). The fast path is a software TLB hit, inlined here; everything else is in mmu.c.
 * vCPU thread only. Every function may leave by a fault, an exit to a device or a restart; callers
 * change no register before the last of them.
 *
 * Addresses are linear: segment bases are already added (exec.h's ea()). A store is visible to
 * other vCPUs as one access whenever it would be on a real CPU (within a cache line).
 */
#ifndef ENGINE_SOFT_MMU_H
#define ENGINE_SOFT_MMU_H

#include <string.h>

#include "core/mem.h"
#include "engine/soft/cpu.h"
#include "engine/soft/keep.h"

#define PAGE_MASK_64 (~0xfffull)

static inline struct tlb_entry *tlb_slot(struct cpu *c, gva_t va)
{
	return &c->tlb[(va >> 12) & (TLB_SIZE - 1)];
}

/*
 * Slow paths: page walk, accessed and dirty bits, page crossing, devices, watched pages, alignment
 * checks (#AC). size 1, 2, 4 or 8.
 */
uint64_t mmu_load_slow(struct cpu *c, const struct insn *i, gva_t va, unsigned size);
void mmu_store_slow(struct cpu *c, const struct insn *i, gva_t va, unsigned size, uint64_t value);

#define MMU_DEFINE_ACCESS(bits, bytes)                                                          \
	static inline GUEST_RACES uint##bits##_t mmu_load##bits(struct cpu *c,                  \
								const struct insn *i, gva_t va) \
	{                                                                                       \
		struct tlb_entry *e = tlb_slot(c, va);                                          \
		if (likely(((va + bytes - 1) & PAGE_MASK_64) == e->tag_read)) {                 \
			uint##bits##_t v;                                                       \
			__builtin_memcpy(&v, (const void *)(va + e->addend), bytes);            \
			return v;                                                               \
		}                                                                               \
		return (uint##bits##_t)keep_call4(mmu_load_slow, c, i, va, bytes);              \
	}                                                                                       \
	static inline GUEST_RACES void mmu_store##bits(struct cpu *c, const struct insn *i,     \
						       gva_t va, uint##bits##_t v)              \
	{                                                                                       \
		struct tlb_entry *e = tlb_slot(c, va);                                          \
		if (likely(((va + bytes - 1) & PAGE_MASK_64) ==                                 \
			   atomic_load_explicit(&e->tag_write, memory_order_relaxed)))          \
			__builtin_memcpy((void *)(va + e->addend), &v, bytes);                  \
		else                                                                            \
			keep_call5(mmu_store_slow, c, i, va, bytes, v);                         \
	}
MMU_DEFINE_ACCESS(8, 1)
MMU_DEFINE_ACCESS(16, 2)
MMU_DEFINE_ACCESS(32, 4)
MMU_DEFINE_ACCESS(64, 8)

/*
 * For read-modify-write: the host address of size bytes (1-16) at va, writable, on which the caller
 * performs the operation with the host's own (locked) instruction. Faults as a write would. NULL
 * when the bytes cross a page or belong to a device: the caller then takes mmu_split_lock(), loads
 * (mmu_load_for_write), computes, stores and calls mmu_split_unlock(); a fault inside releases it.
 * mmu_store_split() is that store: it leaves to run the instruction again if memory is no longer what
 * was loaded, so no store of another vCPU to these bytes is undone. Others may see one page's part
 * before the other's.
 */
void *mmu_rmw(struct cpu *c, const struct insn *i, gva_t va, unsigned size);
void *mmu_rmw_slow(struct cpu *c, const struct insn *i, gva_t va, unsigned size);
uint64_t mmu_load_for_write(struct cpu *c, const struct insn *i, gva_t va, unsigned size);
void mmu_store_split(struct cpu *c, const struct insn *i, gva_t va, unsigned size, uint64_t old,
		     uint64_t value);
void mmu_split_lock(struct cpu *c);
void mmu_split_unlock(struct cpu *c);

static inline void *mmu_rmw_fast(struct cpu *c, const struct insn *i, gva_t va, unsigned size)
{
	struct tlb_entry *e = tlb_slot(c, va);

	if (likely(((va + size - 1) & PAGE_MASK_64) ==
		   atomic_load_explicit(&e->tag_write, memory_order_relaxed)))
		return (void *)(va + e->addend);
	return (void *)keep_call4(mmu_rmw_slow, c, i, va, size);
}

/*
 * Longer runs, page by page: SSE operands, FXSAVE, descriptor pairs. Nothing is stored unless every
 * byte is writable. len up to MMIO_LOG_MAX * 8.
 */
void mmu_load_bytes(struct cpu *c, const struct insn *i, gva_t va, void *dst, unsigned len);
void mmu_store_bytes(struct cpu *c, const struct insn *i, gva_t va, const void *src, unsigned len);

/* Faults as a store of len bytes would, and stores nothing: for instructions that store twice. */
void mmu_check_write(struct cpu *c, const struct insn *i, gva_t va, unsigned len);

/*
 * Host memory for string instructions: how many bytes from va on (at most len, within one page) can
 * be read or written directly at *host; 0 when the slow path must take the next element.
 */
unsigned mmu_run(struct cpu *c, const struct insn *i, gva_t va, unsigned len, bool is_write,
		 void **host);

/*
 * Accesses the CPU makes by itself with supervisor rights whatever the CPL: descriptor tables, TSS,
 * stacks of inner levels. Same faults (an implicit supervisor access).
 */
uint64_t mmu_load_system(struct cpu *c, const struct insn *i, gva_t va, unsigned size);
void mmu_store_system(struct cpu *c, const struct insn *i, gva_t va, unsigned size, uint64_t value);
void mmu_check_system_write(struct cpu *c, const struct insn *i, gva_t va, unsigned len);

/* As mmu_rmw() with these rights: accessed and busy bits of descriptors. NULL: load and store. */
void *mmu_rmw_system(struct cpu *c, const struct insn *i, gva_t va, unsigned size);

/* What sites of translated code know (cpu.h) is forgotten. */
void sites_flush(struct cpu *c);

/* Empties the TLBs of a new vCPU. */
void tlb_init(struct cpu *c);

/* After a change of CR0, CR4, EFER: what must be forgotten. */
void mmu_flush_all(struct cpu *c);		   /* everything, global pages too */
void mmu_flush_nonglobal(struct cpu *c);	   /* of every address space */
void mmu_flush_page(struct cpu *c, gva_t va);	   /* INVLPG */
void mmu_flush_pcid(struct cpu *c, unsigned pcid); /* INVPCID types 0 (with va: flush_page) and 1 */

/*
 * Loads CR3, without bit 63. keep: what is cached of the new address space stays valid (bit 63 was
 * set, with CR4.PCIDE).
 */
void mmu_load_cr3(struct cpu *c, uint64_t cr3, bool keep);

/*
 * Physical address of va by the current tables without faults, access rights or A/D updates.
 * Returns false when not mapped. For debuggers and dumps.
 */
bool mmu_translate(struct cpu *c, gva_t va, uint64_t *gpa);

/*
 * For the block cache: the physical address of the code page that holds linear address va, checked
 * for execution at the current CPL, and a host pointer to that page. NULL when it is no RAM or ROM
 * (*gpa is then set all the same). Faults with i NULL: rip is c->rip.
 */
const uint8_t *mmu_fetch_page(struct cpu *c, gva_t va, uint64_t *gpa);

/* 2-byte and 8-byte physical accesses by descriptor of the page tables are private to mmu.c. */

#endif
