/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"

/*
 * Host alignment of a region, the size of a large page: with guest addresses aligned alike, KVM and
 * the host kernel can map 2 MiB at once.
 */
#define HOST_ALIGN (2 * MIB)

struct mem {
	unsigned nr;
	struct mem_region regions[MEM_REGIONS_MAX]; /* ascending gpa */
	struct {
		uint8_t *base; /* of the reservation, guard pages included */
		uint64_t size;
	} mapping[MEM_REGIONS_MAX]; /* same order as regions */
	void (*wrote)(void *ctx, gpa_t gpa, uint64_t len);
	void *wrote_ctx;
};

struct mem *mem_new(void)
{
	return mem_alloc_zero(sizeof(struct mem));
}

void mem_free(struct mem *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->nr; i++)
		munmap(m->mapping[i].base, m->mapping[i].size);
	free(m);
}

/*
 * Maps zeroed memory inside a larger inaccessible reservation. It is private and anonymous because hosts
 * give huge pages to that without being set up for it, and not to a memfd; a child must not get a copy.
 */
static int map_region(struct mem *m, unsigned slot, struct mem_region *r, struct error *err)
{
	uint64_t reserve;

	if (add_overflows(r->size, HOST_ALIGN + 2 * GUEST_PAGE_SIZE, &reserve))
		return error_set(err, -EINVAL, "guest memory of %llu bytes is too large",
				 (unsigned long long)r->size);
	uint8_t *base =
		mmap(NULL, reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return error_set_errno(err, -errno,
				       "reserving %llu MiB of address space for guest memory",
				       (unsigned long long)(r->size / MIB));
	uint64_t lead = (r->gpa - (uintptr_t)(base + GUEST_PAGE_SIZE)) & (HOST_ALIGN - 1);
	r->host = base + GUEST_PAGE_SIZE + lead;
	if (mprotect(r->host, r->size, PROT_READ | PROT_WRITE)) {
		int rc = error_set_errno(err, -errno, "guest memory of %llu MiB",
					 (unsigned long long)(r->size / MIB));

		munmap(base, reserve);
		return rc;
	}
	madvise(r->host, r->size, MADV_DONTDUMP);
	madvise(r->host, r->size, MADV_DONTFORK);
	madvise(r->host, r->size, MADV_HUGEPAGE);
	m->mapping[slot].base = base;
	m->mapping[slot].size = reserve;
	return 0;
}

int mem_add_region(struct mem *m, gpa_t gpa, uint64_t size, bool is_rom, struct error *err)
{
	struct mem_region r = {.gpa = gpa, .size = size, .is_rom = is_rom};
	uint64_t end;
	unsigned at = 0;

	if (!size || (gpa | size) % GUEST_PAGE_SIZE || add_overflows(gpa, size, &end))
		return error_set(err, -EINVAL,
				 "guest memory of %llu bytes at 0x%llx is not made of whole pages",
				 (unsigned long long)size, (unsigned long long)gpa);
	if (m->nr == MEM_REGIONS_MAX)
		return error_set(err, -ENOSPC, "more than %d regions of guest memory",
				 MEM_REGIONS_MAX);
	while (at < m->nr && m->regions[at].gpa < gpa)
		at++;
	if ((at && m->regions[at - 1].gpa + m->regions[at - 1].size > gpa) ||
	    (at < m->nr && m->regions[at].gpa < end))
		return error_set(err, -EINVAL, "guest memory at 0x%llx overlaps another region",
				 (unsigned long long)gpa);

	memmove(&m->regions[at + 1], &m->regions[at], (m->nr - at) * sizeof(m->regions[0]));
	memmove(&m->mapping[at + 1], &m->mapping[at], (m->nr - at) * sizeof(m->mapping[0]));
	int rc = map_region(m, at, &r, err);
	if (rc) {
		memmove(&m->regions[at], &m->regions[at + 1], (m->nr - at) * sizeof(m->regions[0]));
		memmove(&m->mapping[at], &m->mapping[at + 1], (m->nr - at) * sizeof(m->mapping[0]));
		return rc;
	}
	m->regions[at] = r;
	m->nr++;
	return 0;
}

unsigned mem_nr_regions(const struct mem *m)
{
	return m->nr;
}

const struct mem_region *mem_region_at(const struct mem *m, unsigned i)
{
	BUG_ON(i >= m->nr);
	return &m->regions[i];
}

void mem_set_write_hook(struct mem *m, void (*fn)(void *ctx, gpa_t gpa, uint64_t len), void *ctx)
{
	m->wrote = fn;
	m->wrote_ctx = ctx;
}

/* The region that holds gpa, or NULL. */
static const struct mem_region *region_of(const struct mem *m, gpa_t gpa)
{
	for (unsigned i = 0; i < m->nr; i++) {
		const struct mem_region *r = &m->regions[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return r;
	}
	return NULL;
}

void *mem_slice(struct mem *m, gpa_t gpa, uint64_t len, enum mem_access access)
{
	const struct mem_region *r = region_of(m, gpa);

	if (!r || (access == MEM_WRITE && r->is_rom) || !range_fits(gpa - r->gpa, len, r->size))
		return NULL;
	return r->host + (gpa - r->gpa);
}

void mem_wrote(struct mem *m, gpa_t gpa, uint64_t len)
{
	if (m->wrote && len)
		m->wrote(m->wrote_ctx, gpa, len);
}

enum copy_kind { COPY_OUT, COPY_IN, COPY_IN_ROM };

static int copy(struct mem *m, gpa_t gpa, void *bytes, size_t len, enum copy_kind kind)
{
	uint8_t *at = bytes;

	while (len) {
		const struct mem_region *r = region_of(m, gpa);

		if (!r || (kind == COPY_IN && r->is_rom))
			return -EFAULT;
		uint64_t off = gpa - r->gpa;
		size_t n = min((uint64_t)len, r->size - off);

		if (kind == COPY_OUT) {
			guest_copy(at, r->host + off, n);
		} else {
			guest_copy(r->host + off, at, n);
			mem_wrote(m, gpa, n);
		}
		at += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int mem_read(struct mem *m, gpa_t gpa, void *dst, size_t len)
{
	return copy(m, gpa, dst, len, COPY_OUT);
}

int mem_write(struct mem *m, gpa_t gpa, const void *src, size_t len)
{
	return copy(m, gpa, (void *)src, len, COPY_IN);
}

int mem_load(struct mem *m, gpa_t gpa, const void *src, size_t len)
{
	return copy(m, gpa, (void *)src, len, COPY_IN_ROM);
}

void mem_prepare(void *slice, uint64_t len)
{
	uintptr_t from = ALIGN_DOWN((uintptr_t)slice, (uintptr_t)GUEST_PAGE_SIZE);

	madvise((void *)from, (uintptr_t)slice + len - from, MADV_POPULATE_WRITE);
}

uint64_t mem_discard(struct mem *m, void *slice, uint64_t len)
{
	const uint8_t *first = slice;

	for (unsigned i = 0; i < m->nr; i++) {
		const struct mem_region *r = &m->regions[i];

		if (r->is_rom || first < r->host || first >= r->host + r->size)
			continue;
		uint64_t at = (uint64_t)(first - r->host);
		if (!range_fits(at, len, r->size))
			return 0;
		uint64_t from = ALIGN_UP(at, (uint64_t)GUEST_PAGE_SIZE);
		uint64_t to = ALIGN_DOWN(at + len, (uint64_t)GUEST_PAGE_SIZE);
		if (from >= to || madvise(r->host + from, to - from, MADV_DONTNEED))
			return 0;
		mem_wrote(m, r->gpa + from, to - from);
		return to - from;
	}
	return 0;
}

void mem_clear_ram(struct mem *m)
{
	for (unsigned i = 0; i < m->nr; i++) {
		const struct mem_region *r = &m->regions[i];

		if (r->is_rom)
			continue;
		if (madvise(r->host, r->size, MADV_DONTNEED))
			memset(r->host, 0, r->size);
		mem_wrote(m, r->gpa, r->size);
	}
}
