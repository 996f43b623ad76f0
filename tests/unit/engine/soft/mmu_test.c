/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software engine's memory: page walks of all formats, rights, accessed and dirty bits, what
 * flushes forget, accesses across pages. Each access is made directly, outside any block.
 */
#include "engine/soft/mmu.h"

#include "engine/soft/cache.h"
#include "engine/soft/vcpu.h"
#include "unit/engine/tiny_guest.h"

#define TABLE(n) (0x40000 + (n)*0x1000ull) /* page tables of the tests */
#define PAGE(n)	 (0x80000 + (n)*0x1000ull) /* what they map */
#define ROM_GPA	 0xfff00000

struct fixture {
	struct tiny t;
	struct cpu *c;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	tiny_open(&f->t, 1);
	f->c = soft_cpu_of(f->t.vcpu[0]);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	tiny_close(&f->t);
	free(f);
	return 0;
}

/* ---- states of the CPU ---- */

static void set_mode(struct cpu *c, uint64_t cr0, uint64_t cr4, uint64_t efer, uint64_t cr3)
{
	c->cr0 = CR0_PE | CR0_ET | cr0;
	c->cr4 = cr4;
	c->efer = efer;
	c->cr3 = cr3;
	c->cpl = 0;
	c->rflags = FLAG_FIXED;
	c->seg[SEG_CS].attr = SEG_ATTR_P | SEG_ATTR_S | SEG_TYPE_CODE | SEG_TYPE_RW |
			      (efer & EFER_LMA ? SEG_ATTR_L : SEG_ATTR_DB);
	cpu_update_mode(c);
	mmu_flush_all(c);
}

static void long_mode(struct cpu *c)
{
	set_mode(c, CR0_PG | CR0_WP, CR4_PAE | CR4_PGE, EFER_LME | EFER_LMA | EFER_NXE, TABLE(0));
}

static void set_cpl(struct cpu *c, unsigned cpl)
{
	c->cpl = (uint8_t)cpl;
	cpu_update_mode(c);
}

static void put(struct fixture *f, uint64_t gpa, uint64_t value)
{
	memcpy(f->t.ram + gpa, &value, 8);
}

static uint64_t get(struct fixture *f, uint64_t gpa)
{
	uint64_t value;

	memcpy(&value, f->t.ram + gpa, 8);
	return value;
}

static void put32(struct fixture *f, uint64_t gpa, uint32_t value)
{
	memcpy(f->t.ram + gpa, &value, 4);
}

static uint64_t index_of(uint64_t va, unsigned level)
{
	return (va >> (12 + 9 * (level - 1)) & 0x1ff) * 8;
}

/* Maps va by tables 0 to 3; upper levels have all rights. Returns where the last entry lies. */
static uint64_t map(struct fixture *f, uint64_t va, uint64_t entry, unsigned level)
{
	const uint64_t all = PTE_P | PTE_W | PTE_U;
	uint64_t table = TABLE(0);

	for (unsigned n = 4; n > level; n--) {
		put(f, table + index_of(va, n), TABLE(5 - n) | all);
		table = TABLE(5 - n);
	}
	put(f, table + index_of(va, level), entry);
	return table + index_of(va, level);
}

/* ---- accesses that may fault: the vector, or -1 ---- */

enum kind { LOAD, STORE, FETCH, RMW, SYSTEM_LOAD };

static int try_access(struct cpu *c, enum kind kind, uint64_t va, unsigned size)
{
	uint64_t gpa;

	c->exception.is_pending = false;
	if (setjmp(c->unwind))
		return c->exception.is_pending ? c->exception.vector : -2;
	switch (kind) {
	case LOAD:
		mmu_load_slow(c, NULL, va, size);
		break;
	case STORE:
		mmu_store_slow(c, NULL, va, size, 0x1122334455667788);
		break;
	case FETCH:
		mmu_fetch_page(c, va, &gpa);
		break;
	case RMW:
		mmu_rmw(c, NULL, va, size);
		break;
	case SYSTEM_LOAD:
		mmu_load_system(c, NULL, va, size);
		break;
	}
	return -1;
}

static void assert_fault(struct cpu *c, enum kind kind, uint64_t va, uint32_t error)
{
	assert_int_equal(try_access(c, kind, va, 1), VEC_PF);
	assert_int_equal(c->exception.error, error);
	assert_int_equal(c->exception.payload, va);
}

static void assert_allowed(struct cpu *c, enum kind kind, uint64_t va)
{
	assert_int_equal(try_access(c, kind, va, 1), -1);
}

/* ---- walks ---- */

static void four_levels_map_pages_of_three_sizes(void **state)
{
	struct fixture *f = *state;
	uint64_t gpa;

	long_mode(f->c);
	put(f, PAGE(3) + 0x123, 0xabcdef);
	map(f, 0x7fff12345000, PAGE(3) | PTE_P, 1);
	assert_true(mmu_translate(f->c, 0x7fff12345123, &gpa));
	assert_int_equal(gpa, PAGE(3) + 0x123);
	assert_int_equal(mmu_load64(f->c, NULL, 0x7fff12345123), 0xabcdef);
	mmu_flush_all(f->c);
	map(f, 0xffff800000200000, 0 | PTE_P | PTE_PS, 2);
	assert_int_equal(mmu_load64(f->c, NULL, 0xffff800000200000 + PAGE(3) + 0x123), 0xabcdef);
	mmu_flush_all(f->c);
	map(f, 0x40000000, 0 | PTE_P | PTE_PS, 3);
	assert_int_equal(mmu_load64(f->c, NULL, 0x40000000 + PAGE(3) + 0x123), 0xabcdef);
}

static void pae_maps_small_and_large_pages(void **state)
{
	struct fixture *f = *state;

	set_mode(f->c, CR0_PG | CR0_WP, CR4_PAE, EFER_NXE, TABLE(0) + 0x20);
	put(f, TABLE(0) + 0x20 + 3 * 8, TABLE(1) | PTE_P);
	put(f, TABLE(1) + 5 * 8, TABLE(2) | PTE_P | PTE_W);
	put(f, TABLE(2) + 7 * 8, PAGE(1) | PTE_P | PTE_NX);
	put(f, TABLE(1) + 6 * 8, 0 | PTE_P | PTE_W | PTE_PS);
	put(f, PAGE(1), 0x55);
	assert_int_equal(mmu_load64(f->c, NULL, 0xc0000000 + 5 * 0x200000 + 7 * 0x1000), 0x55);
	assert_int_equal(mmu_load64(f->c, NULL, 0xc0000000 + 6 * 0x200000 + PAGE(1)), 0x55);
	assert_fault(f->c, FETCH, 0xc0000000 + 5 * 0x200000 + 7 * 0x1000, PF_PRESENT | PF_FETCH);
	assert_fault(f->c, LOAD, 0x1000, 0);
	/* XD is reserved without NXE. */
	set_mode(f->c, CR0_PG, CR4_PAE, 0, TABLE(0) + 0x20);
	assert_fault(f->c, LOAD, 0xc0000000 + 5 * 0x200000 + 7 * 0x1000, PF_PRESENT | PF_RSVD);
}

static void two_levels_map_pages_of_4k_and_4m(void **state)
{
	struct fixture *f = *state;

	set_mode(f->c, CR0_PG, CR4_PSE, 0, TABLE(0));
	put32(f, TABLE(0) + 0x300 * 4, TABLE(1) | PTE_P | PTE_W);
	put32(f, TABLE(1) + 2 * 4, PAGE(2) | PTE_P | PTE_W);
	put32(f, TABLE(0) + 0x301 * 4, 0 | PTE_P | PTE_PS | PTE_W);
	put(f, PAGE(2), 0x66);
	assert_int_equal(mmu_load64(f->c, NULL, 0xc0002000), 0x66);
	assert_int_equal(mmu_load64(f->c, NULL, 0xc0400000 + PAGE(2)), 0x66);
	assert_int_equal(get(f, TABLE(1) + 8) & 0xffffffff, PAGE(2) | PTE_P | PTE_W | PTE_A);
	/* Bit 21 of a 4-MiB entry is reserved, and without CR4.PSE the size bit is ignored. */
	put32(f, TABLE(0) + 0x301 * 4, BIT(21) | PTE_P | PTE_PS);
	mmu_flush_all(f->c);
	assert_fault(f->c, LOAD, 0xc0400000, PF_PRESENT | PF_RSVD);
	set_mode(f->c, CR0_PG, 0, 0, TABLE(0));
	put32(f, TABLE(0) + 0x301 * 4, TABLE(1) | PTE_P | PTE_PS);
	assert_int_equal(mmu_load64(f->c, NULL, 0xc0402000), 0x66);
}

static void addresses_are_physical_without_paging(void **state)
{
	struct fixture *f = *state;

	set_mode(f->c, 0, 0, 0, 0xdead000);
	put(f, PAGE(0), 0x77);
	assert_int_equal(mmu_load64(f->c, NULL, PAGE(0)), 0x77);
	/* 32 bits of it. */
	assert_int_equal(mmu_load_slow(f->c, NULL, PAGE(0) | BIT64(32), 8), 0x77);
}

static void reserved_bits_fault(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;

	long_mode(f->c);
	map(f, va, PAGE(0) | PTE_P | BIT64(51), 1);
	assert_fault(f->c, LOAD, va, PF_PRESENT | PF_RSVD);
	map(f, va, 0x3000 | PTE_P | PTE_PS, 2);
	assert_fault(f->c, LOAD, va, PF_PRESENT | PF_RSVD);
	map(f, va, PTE_P | PTE_PS, 4);
	assert_fault(f->c, LOAD, va, PF_PRESENT | PF_RSVD);
	/* Bits 52-58 are the guest's. */
	map(f, va, PAGE(0) | PTE_P | BIT64(58), 1);
	assert_allowed(f->c, LOAD, va);
}

static void tables_outside_memory_are_absent(void **state)
{
	struct fixture *f = *state;

	long_mode(f->c);
	f->c->cr3 = 0xc0000000;
	assert_fault(f->c, LOAD, 0x1000, 0);
}

/* ---- rights ---- */

static void rights_of_a_supervisor(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;
	struct cpu *c = f->c;
	uint64_t pte;

	long_mode(c);
	map(f, va, PAGE(0) | PTE_P, 1);
	assert_allowed(c, LOAD, va);
	assert_allowed(c, FETCH, va);
	assert_fault(c, STORE, va, PF_PRESENT | PF_WRITE);
	assert_fault(c, RMW, va, PF_PRESENT | PF_WRITE);
	c->cr0 &= ~(uint64_t)CR0_WP;
	mmu_flush_all(c);
	assert_allowed(c, STORE, va);
	c->cr0 |= CR0_WP;

	/* SMEP and SMAP concern user pages. */
	pte = map(f, va, PAGE(0) | PTE_P | PTE_W | PTE_U, 1);
	mmu_flush_all(c);
	assert_allowed(c, FETCH, va);
	assert_allowed(c, STORE, va);
	c->cr4 |= CR4_SMEP | CR4_SMAP;
	cpu_update_mode(c);
	mmu_flush_all(c);
	assert_fault(c, FETCH, va, PF_PRESENT | PF_FETCH);
	assert_fault(c, LOAD, va, PF_PRESENT);
	assert_fault(c, STORE, va, PF_PRESENT | PF_WRITE);
	cpu_set_rflags(c, c->rflags | FLAG_AC);
	assert_allowed(c, LOAD, va);
	assert_allowed(c, STORE, va);
	/* What the CPU does by itself does not look at AC. */
	assert_fault(c, SYSTEM_LOAD, va, PF_PRESENT);

	put(f, pte, PAGE(0) | PTE_P | PTE_NX);
	mmu_flush_all(c);
	assert_fault(c, FETCH, va, PF_PRESENT | PF_FETCH);
	assert_allowed(c, LOAD, va);
}

static void rights_of_a_user(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;
	struct cpu *c = f->c;
	uint64_t pte;

	long_mode(c);
	pte = map(f, va, PAGE(0) | PTE_P | PTE_W, 1);
	set_cpl(c, 3);
	assert_fault(c, LOAD, va, PF_PRESENT | PF_USER);
	assert_fault(c, FETCH, va, PF_PRESENT | PF_USER | PF_FETCH);
	assert_allowed(c, SYSTEM_LOAD, va);
	/* A page the supervisor has just used is still not the user's. */
	assert_fault(c, LOAD, va, PF_PRESENT | PF_USER);
	put(f, pte, PAGE(0) | PTE_P | PTE_U);
	mmu_flush_all(c);
	assert_allowed(c, LOAD, va);
	assert_fault(c, STORE, va, PF_PRESENT | PF_WRITE | PF_USER);
	/* WP does not concern users. */
	c->cr0 &= ~(uint64_t)CR0_WP;
	mmu_flush_all(c);
	assert_fault(c, STORE, va, PF_PRESENT | PF_WRITE | PF_USER);
	assert_fault(c, LOAD, 0x999000, PF_USER);
}

static void rights_are_those_of_every_level(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;

	long_mode(f->c);
	map(f, va, PAGE(0) | PTE_P | PTE_W | PTE_U, 1);
	put(f, TABLE(1) + index_of(va, 3), TABLE(2) | PTE_P | PTE_U | PTE_NX);
	assert_fault(f->c, STORE, va, PF_PRESENT | PF_WRITE);
	assert_fault(f->c, FETCH, va, PF_PRESENT | PF_FETCH);
	put(f, TABLE(2) + index_of(va, 2), TABLE(3) | PTE_P | PTE_W);
	mmu_flush_all(f->c);
	set_cpl(f->c, 3);
	assert_fault(f->c, LOAD, va, PF_PRESENT | PF_USER);
}

/* ---- accessed and dirty ---- */

static void accesses_set_their_bits_in_the_tables(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;
	uint64_t pte;

	long_mode(f->c);
	pte = map(f, va, PAGE(0) | PTE_P | PTE_W, 1);
	assert_allowed(f->c, LOAD, va);
	assert_int_equal(get(f, pte), PAGE(0) | PTE_P | PTE_W | PTE_A);
	for (unsigned level = 2; level <= 4; level++) {
		uint64_t entry = get(f, TABLE(4 - level) + index_of(va, level));

		assert_int_equal(entry & (PTE_A | PTE_D), PTE_A);
	}
	assert_allowed(f->c, STORE, va);
	assert_int_equal(get(f, pte), PAGE(0) | PTE_P | PTE_W | PTE_A | PTE_D);
}

static void refused_access_sets_no_bits(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;
	uint64_t pte;

	long_mode(f->c);
	pte = map(f, va, PAGE(0) | PTE_P, 1);
	assert_fault(f->c, STORE, va, PF_PRESENT | PF_WRITE);
	assert_int_equal(get(f, pte), PAGE(0) | PTE_P);
}

static void first_store_after_a_load_sets_dirty(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;
	uint64_t pte;

	long_mode(f->c);
	pte = map(f, va, PAGE(0) | PTE_P | PTE_W, 1);
	mmu_load64(f->c, NULL, va);
	mmu_store64(f->c, NULL, va, 5);
	assert_true(get(f, pte) & PTE_D);
	/* Without a flush a cleared bit is not set again, as on silicon. */
	put(f, pte, PAGE(0) | PTE_P | PTE_W | PTE_A);
	mmu_flush_page(f->c, va);
	mmu_store64(f->c, NULL, va, 6);
	assert_true(get(f, pte) & PTE_D);
}

/* ---- flushes ---- */

static void flush_forgets_what_it_should(void **state)
{
	const uint64_t local = 0x345000, global = 0x346000;
	struct fixture *f = *state;
	struct cpu *c = f->c;
	uint64_t local_pte, global_pte;

	long_mode(c);
	put(f, PAGE(0), 100);
	put(f, PAGE(1), 101);
	local_pte = map(f, local, PAGE(0) | PTE_P, 1);
	global_pte = map(f, global, PAGE(0) | PTE_P | PTE_G, 1);
	mmu_load64(c, NULL, local);
	mmu_load64(c, NULL, global);
	put(f, local_pte, PAGE(1) | PTE_P);
	put(f, global_pte, PAGE(1) | PTE_P | PTE_G);
	assert_int_equal(mmu_load64(c, NULL, local), 100);

	mmu_flush_nonglobal(c);
	assert_int_equal(mmu_load64(c, NULL, local), 101);
	assert_int_equal(mmu_load64(c, NULL, global), 100);
	mmu_flush_page(c, global);
	assert_int_equal(mmu_load64(c, NULL, global), 101);
	put(f, global_pte, PAGE(0) | PTE_P | PTE_G);
	mmu_flush_all(c);
	assert_int_equal(mmu_load64(c, NULL, global), 100);
}

/* A user page at va in the tables of TABLE(0) or, with the other PCID, TABLE(8). */
static void map_in(struct fixture *f, uint64_t top, uint64_t va, uint64_t gpa)
{
	const uint64_t all = PTE_P | PTE_W | PTE_U;

	for (unsigned level = 4; level > 1; level--, top += 0x1000)
		put(f, top + index_of(va, level), (top + 0x1000) | all);
	put(f, top + index_of(va, 1), gpa | all);
}

static void address_spaces_keep_their_own_translations(void **state)
{
	const uint64_t va = 0x345000, first = TABLE(0) | 1, second = TABLE(8) | 2;
	struct fixture *f = *state;
	struct cpu *c = f->c;

	long_mode(c);
	c->cr4 |= CR4_PCIDE;
	mmu_flush_all(c);
	for (unsigned n = 0; n < 4; n++)
		put(f, PAGE(n), 100 + n);
	map_in(f, TABLE(0), va, PAGE(0));
	map_in(f, TABLE(8), va, PAGE(1));
	set_cpl(c, 3);
	mmu_load_cr3(c, first, false);
	assert_int_equal(mmu_load64(c, NULL, va), 100);
	mmu_load_cr3(c, second, false);
	assert_int_equal(mmu_load64(c, NULL, va), 101);
	/* Both have changed; what was kept is not looked at again, what was not is. */
	map_in(f, TABLE(0), va, PAGE(2));
	map_in(f, TABLE(8), va, PAGE(3));
	mmu_load_cr3(c, first, true);
	assert_int_equal(mmu_load64(c, NULL, va), 100);
	mmu_load_cr3(c, second, false);
	assert_int_equal(mmu_load64(c, NULL, va), 103);
	mmu_flush_pcid(c, 1);
	mmu_load_cr3(c, first, true);
	assert_int_equal(mmu_load64(c, NULL, va), 102);
	/* INVLPG is for the current space. */
	map_in(f, TABLE(0), va, PAGE(0));
	map_in(f, TABLE(8), va, PAGE(1));
	mmu_flush_page(c, va);
	assert_int_equal(mmu_load64(c, NULL, va), 100);
	mmu_load_cr3(c, second, true);
	assert_int_equal(mmu_load64(c, NULL, va), 103);
	mmu_flush_nonglobal(c);
	assert_int_equal(mmu_load64(c, NULL, va), 101);
}

static void kernel_access_to_user_pages_follows_the_address_space(void **state)
{
	const uint64_t va = 0x345000, first = TABLE(0) | 1, second = TABLE(8) | 2;
	struct fixture *f = *state;

	long_mode(f->c);
	f->c->cr4 |= CR4_PCIDE;
	mmu_flush_all(f->c);
	put(f, PAGE(0), 100);
	put(f, PAGE(1), 101);
	map_in(f, TABLE(0), va, PAGE(0));
	map_in(f, TABLE(8), va, PAGE(1));
	mmu_load_cr3(f->c, first, true);
	assert_int_equal(mmu_load64(f->c, NULL, va), 100);
	mmu_load_cr3(f->c, second, true);
	assert_int_equal(mmu_load64(f->c, NULL, va), 101);
	mmu_load_cr3(f->c, first, true);
	assert_int_equal(mmu_load64(f->c, NULL, va), 100);
}

static void more_address_spaces_than_are_kept_do_not_mix(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;

	long_mode(f->c);
	f->c->cr4 |= CR4_PCIDE;
	mmu_flush_all(f->c);
	set_cpl(f->c, 3);
	for (unsigned n = 0; n < 12; n++) {
		put(f, PAGE(n), 100 + n);
		map_in(f, TABLE(n * 4), va, PAGE(n));
	}
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned n = 0; n < 12; n++) {
			mmu_load_cr3(f->c, TABLE(n * 4) | (n + 1), true);
			assert_int_equal(mmu_load64(f->c, NULL, va), 100 + n);
		}
	}
}

static void flush_of_any_address_forgets_a_large_page(void **state)
{
	const uint64_t va = 0x600000;
	struct fixture *f = *state;
	uint64_t pde;

	long_mode(f->c);
	put(f, PAGE(5), 100);
	pde = map(f, va, 0 | PTE_P | PTE_PS, 2);
	assert_int_equal(mmu_load64(f->c, NULL, va + PAGE(5)), 100);
	put(f, pde, 0);
	mmu_flush_page(f->c, va + 0x3000);
	assert_fault(f->c, LOAD, va + PAGE(5), 0);
}

static void privileges_do_not_share_translations(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;

	long_mode(f->c);
	map(f, va, PAGE(0) | PTE_P | PTE_W, 1);
	mmu_load64(f->c, NULL, va);
	set_cpl(f->c, 3);
	assert_int_equal(try_access(f->c, LOAD, va, 8), VEC_PF);
	set_cpl(f->c, 0);
	assert_int_equal(try_access(f->c, LOAD, va, 8), -1);
}

/* ---- across pages ---- */

static void accesses_across_pages_take_both(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;
	struct cpu *c = f->c;

	long_mode(c);
	map(f, va, PAGE(7) | PTE_P | PTE_W, 1);
	map(f, va + 0x1000, PAGE(2) | PTE_P | PTE_W, 1);
	mmu_store64(c, NULL, va + 0xffd, 0x1122334455667788);
	assert_memory_equal(f->t.ram + PAGE(7) + 0xffd, "\x88\x77\x66", 3);
	assert_memory_equal(f->t.ram + PAGE(2), "\x55\x44\x33\x22\x11", 5);
	assert_int_equal(mmu_load64(c, NULL, va + 0xffd), 0x1122334455667788);
	assert_null(mmu_rmw(c, NULL, va + 0xffd, 8));
}

static void store_across_pages_is_all_or_nothing(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;
	uint8_t bytes[64] = {[0 ... 63] = 0xff};

	long_mode(f->c);
	map(f, va, PAGE(7) | PTE_P | PTE_W, 1);
	map(f, va + 0x1000, PAGE(2) | PTE_P, 1);
	assert_int_equal(try_access(f->c, STORE, va + 0xffd, 8), VEC_PF);
	assert_int_equal(f->c->exception.payload, va + 0x1000);
	assert_int_equal(get(f, PAGE(7) + 0xff8), 0);
	if (!setjmp(f->c->unwind)) {
		mmu_store_bytes(f->c, NULL, va + 0xfe0, bytes, sizeof(bytes));
		fail();
	}
	assert_int_equal(get(f, PAGE(7) + 0xff8), 0);
}

static void addresses_must_be_canonical(void **state)
{
	struct insn push = {.off = 0};
	struct fixture *f = *state;

	long_mode(f->c);
	assert_int_equal(try_access(f->c, LOAD, 0x800000000000, 8), VEC_GP);
	assert_int_equal(try_access(f->c, LOAD, 0x7ffffffffffc, 8), VEC_GP);
	assert_int_equal(try_access(f->c, LOAD, 0xffff7fffffffffff, 8), VEC_GP);
	assert_int_equal(try_access(f->c, LOAD, 0xffff800000000000, 8), VEC_PF);
	/* The stack has a vector of its own. */
	f->c->gpr[RSP] = 0x800000000008;
	if (!setjmp(f->c->unwind)) {
		mmu_store_slow(f->c, &push, 0x800000000000, 8, 0);
		fail();
	}
	assert_int_equal(f->c->exception.vector, VEC_SS);
}

/* ---- special memory ---- */

static void stores_to_rom_are_dropped(void **state)
{
	struct cpuid_table cpuid = {.nr = 0};
	struct error err = {.text = ""};
	struct engine *e = engine_open("soft", NULL, &err);
	struct mem *mem = mem_new();
	struct engine_vm *vm;
	struct engine_vcpu *v;
	struct cpu *c;

	assert_int_equal(mem_add_region(mem, 0, MIB, false, &err), 0);
	assert_int_equal(mem_add_region(mem, ROM_GPA, 0x10000, true, &err), 0);
	assert_int_equal(mem_load(mem, ROM_GPA, "\x11\x22\x33\x44\x55\x66\x77\x88", 8), 0);
	vm = engine_vm_new(e, mem, &err);
	v = engine_vcpu_new(vm, 0, &cpuid, &err);
	c = soft_cpu_of(v);
	set_mode(c, 0, 0, 0, 0);
	mmu_store64(c, NULL, ROM_GPA, 0);
	assert_int_equal(mmu_load64(c, NULL, ROM_GPA), 0x8877665544332211);
	assert_null(mmu_rmw(c, NULL, ROM_GPA, 4));
	engine_vcpu_free(v);
	engine_vm_free(vm);
	mem_free(mem);
	engine_close(e);
}

static void unaligned_user_access_is_checked_when_asked(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;
	struct cpu *c = f->c;

	long_mode(c);
	c->cr0 |= CR0_AM;
	map(f, va, PAGE(0) | PTE_P | PTE_W | PTE_U, 1);
	cpu_set_rflags(c, c->rflags | FLAG_AC);
	assert_int_equal(try_access(c, LOAD, va + 1, 8), -1);
	set_cpl(c, 3);
	assert_int_equal(try_access(c, LOAD, va + 1, 8), VEC_AC);
	assert_int_equal(try_access(c, LOAD, va + 8, 8), -1);
	assert_int_equal(try_access(c, LOAD, va + 1, 1), -1);
	assert_int_equal(try_access(c, STORE, va + 2, 4), VEC_AC);
	cpu_set_rflags(c, c->rflags & ~(uint64_t)FLAG_AC);
	assert_int_equal(try_access(c, LOAD, va + 1, 8), -1);
}

static void string_runs_end_at_the_page(void **state)
{
	const uint64_t va = 0x345000;
	struct fixture *f = *state;
	void *host;

	long_mode(f->c);
	map(f, va, PAGE(0) | PTE_P | PTE_W, 1);
	assert_int_equal(mmu_run(f->c, NULL, va + 0xf00, 0x1000, true, &host), 0x100);
	assert_ptr_equal(host, f->t.ram + PAGE(0) + 0xf00);
	assert_int_equal(mmu_run(f->c, NULL, va, 16, false, &host), 16);
	/* A device has no bytes. */
	map(f, va, 0xd0000000 | PTE_P | PTE_W, 1);
	mmu_flush_page(f->c, va);
	assert_int_equal(mmu_run(f->c, NULL, va, 16, true, &host), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(four_levels_map_pages_of_three_sizes),
		TEST(pae_maps_small_and_large_pages),
		TEST(two_levels_map_pages_of_4k_and_4m),
		TEST(addresses_are_physical_without_paging),
		TEST(reserved_bits_fault),
		TEST(tables_outside_memory_are_absent),
		TEST(rights_of_a_supervisor),
		TEST(rights_of_a_user),
		TEST(rights_are_those_of_every_level),
		TEST(accesses_set_their_bits_in_the_tables),
		TEST(refused_access_sets_no_bits),
		TEST(first_store_after_a_load_sets_dirty),
		TEST(flush_forgets_what_it_should),
		TEST(address_spaces_keep_their_own_translations),
		TEST(kernel_access_to_user_pages_follows_the_address_space),
		TEST(more_address_spaces_than_are_kept_do_not_mix),
		TEST(flush_of_any_address_forgets_a_large_page),
		TEST(privileges_do_not_share_translations),
		TEST(accesses_across_pages_take_both),
		TEST(store_across_pages_is_all_or_nothing),
		TEST(addresses_must_be_canonical),
		cmocka_unit_test(stores_to_rom_are_dropped),
		TEST(unaligned_user_access_is_checked_when_asked),
		TEST(string_runs_end_at_the_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
