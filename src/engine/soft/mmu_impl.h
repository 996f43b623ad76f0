/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What mmu.c and tlb.c share with the block cache and pvclock.c. Private to those.
 */
#ifndef ENGINE_SOFT_MMU_IMPL_H
#define ENGINE_SOFT_MMU_IMPL_H

#include "engine/soft/paging.h"

/* struct tlb, flags. The sizes say that INVLPG of any address in the large page concerns the entry.
 */
#define TLB_GLOBAL BIT(0)
#define TLB_2M	   BIT(1)
#define TLB_4M	   BIT(2)
#define TLB_1G	   BIT(3)
#define TLB_LARGE  (TLB_2M | TLB_4M | TLB_1G)
#define TLB_EMPTY  BIT(4) /* nothing to drop */

/*
 * No TLB of any vCPU of the VM lets stores into this page of host memory pass unseen any more. The
 * page's PAGE_WATCHED is set before. Any thread.
 */
struct soft_vm;
void mmu_protect_page(struct soft_vm *vm, const uint8_t *host);

/* After len bytes of one page of RAM were stored past the TLB: logs them, drops code made of them. */
void mmu_wrote(struct soft_vm *vm, struct soft_region *r, uint64_t gpa, unsigned len);

#endif
