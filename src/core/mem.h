/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest physical memory: the only way from a guest address to host bytes. Regions are added before
 * the first vCPU runs and stay. All functions may be called from any thread. Bytes may change
 * under the caller at any time: copy first, then decide.
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

typedef uint64_t gpa_t; /* a guest physical address */

/*
 * Marks functions that do nothing but touch guest memory on a vCPU's behalf, as its own loads and
 * stores do. Guests race on their memory by design, as on any multiprocessor; what they see is what
 * the host's accesses of that size give. ThreadSanitizer leaves such functions out. All of
 * engine/soft/interp is compiled without it for the same reason (Makefile).
 */
#define GUEST_RACES __attribute__((no_sanitize("thread")))

/* memcpy() for these functions: ThreadSanitizer's runtime would look at that one by itself. */
static inline void guest_copy(void *dst, const void *src, size_t len)
{
#ifdef __SANITIZE_THREAD__
	asm volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(len) : : "memory");
#else
	memcpy(dst, src, len);
#endif
}

#define GUEST_PAGE_SHIFT 12
#define GUEST_PAGE_SIZE	 4096u

#define MEM_REGIONS_MAX 8

/* One run of RAM or ROM. */
struct mem_region {
	gpa_t gpa;     /* first byte, page aligned */
	uint64_t size; /* bytes, a multiple of the page size */
	uint8_t *host; /* the same bytes in this process; guard pages lie on both sides */
	bool is_rom;   /* guest stores are ignored */
};

enum mem_access { MEM_READ, MEM_WRITE };

struct mem;

struct mem *mem_new(void);
void mem_free(struct mem *m); /* unmaps every region; NULL is fine */

/*
 * Adds size bytes of zeroed memory at gpa, of huge pages where the host has them, sparse until touched,
 * with an inaccessible guard page on either side, and left out of core dumps and children.
 * Returns 0, -EINVAL (unaligned, empty or overlapping), -ENOSPC (MEM_REGIONS_MAX), or what the host
 * said.
 */
int mem_add_region(struct mem *m, gpa_t gpa, uint64_t size, bool is_rom, struct error *err);

/* The regions, in ascending order of gpa. Constant while vCPUs run. */
unsigned mem_nr_regions(const struct mem *m);
const struct mem_region *mem_region_at(const struct mem *m, unsigned i);

/*
 * Called with every change the monitor itself makes to guest memory (device DMA, loading), after
 * the bytes are written: the software engine drops decoded code there. fn may be called on any
 * thread.
 */
void mem_set_write_hook(struct mem *m, void (*fn)(void *ctx, gpa_t gpa, uint64_t len), void *ctx);

/*
 * Copies len bytes between guest memory and the caller. gpa need not be aligned and may span
 * adjacent regions. Returns 0, or -EFAULT when part of [gpa, gpa + len) is no RAM (for a write: or
 * is ROM); the destination is then unspecified.
 */
int mem_read(struct mem *m, gpa_t gpa, void *dst, size_t len);
int mem_write(struct mem *m, gpa_t gpa, const void *src, size_t len);

/* Fills ROM as well as RAM: for loaders only. As mem_write() otherwise. */
int mem_load(struct mem *m, gpa_t gpa, const void *src, size_t len);

/*
 * Borrows a host pointer to [gpa, gpa + len), valid as long as m. NULL when the range is not inside
 * one region, or for MEM_WRITE when it is ROM. Whoever writes through it calls mem_wrote() after.
 */
void *mem_slice(struct mem *m, gpa_t gpa, uint64_t len, enum mem_access access);
void mem_wrote(struct mem *m, gpa_t gpa, uint64_t len);

/*
 * Has the host provide the pages of a borrowed slice that is about to be written as a whole: one call
 * instead of a fault for each. A host that cannot (before Linux 5.14) provides them one by one, later.
 */
void mem_prepare(void *slice, uint64_t len);

/*
 * Gives the host pages inside a borrowed slice of RAM back to the host: they read as zeroes from now on
 * and take up memory again when they are touched. Bytes of a page that is only partly inside stay.
 * Returns how many bytes were given back: 0 when the host cannot, or for ROM.
 */
uint64_t mem_discard(struct mem *m, void *slice, uint64_t len);

/* Zeroes all RAM (not ROM) and gives its host pages back: what a reset does before booting anew. */
void mem_clear_ram(struct mem *m);

#endif
