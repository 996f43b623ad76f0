/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory operands of a trial, for the generator's own files.
 */
#ifndef TESTS_CPU_ADDRESS_H
#define TESTS_CPU_ADDRESS_H

#include "cpu/generate_impl.h"

/* Whether size bytes there are in the writable data pages. */
bool is_rw(uint64_t address, unsigned size);

/* Data pages and what is around them, or no address at all: nothing else of this process. */
bool is_harmless(uint64_t address);

/* Bytes of the trial's memory at an address, or NULL when not all of them are writable data. */
uint8_t *data_at(struct trial *t, uint64_t address, unsigned size);

/* Writes them, or nothing when they are elsewhere. */
void put_data(struct trial *t, uint64_t address, const void *value, unsigned size);

/* An address for size bytes of data. Inside the writable pages but for one in a few. */
uint64_t data_target(struct rng *r, unsigned size);

/* Of the override, or 0. */
uint64_t segment_base(const struct generator *g, const struct trial *t, const struct parsed *p);

/* Makes a register hold an address; what lies above the address size is noise. */
void set_address(struct rng *r, struct trial *t, const struct parsed *p, unsigned number,
		 uint64_t value);

/* Bytes of the displacement in front of the immediate; writes it. */
unsigned disp_size(const struct parsed *p);
void set_disp(struct trial *t, struct parsed *p, int32_t disp);

/* Bytes of the immediate at the end of the instruction. */
unsigned imm_size(const struct parsed *p);

/* Where the ModRM memory operand is now. */
uint64_t operand_address(const struct generator *g, const struct trial *t, const struct parsed *p);

/*
 * Makes it lie at target, as far as its form allows. The indexes of a gather become small. Returns
 * where it is.
 */
uint64_t place_memory(const struct generator *g, struct rng *r, struct trial *t, struct parsed *p,
		      uint64_t target);

#endif
