/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MOVS, STOS, LODS, SCAS and CMPS, alone and repeated (SDM vol. 2, REP). A repeated one works on
 * whole runs of host memory with the host's own repeated instruction, which gives overlapping
 * copies their meaning; where there is no such run (devices, page crossings, backward direction,
 * segments with limits) it goes element by element. Registers are right after every run, so that
 * faults and interrupts come between elements.
 */
#include "engine/soft/interp/int_impl.h"

/* Elements between two looks at the requests of other threads: some microseconds. */
#define RUN_MAX 4096

#define REP_MASK (PFX_REPE | PFX_REPNE)

/* ---- pointers and counter at the address size ---- */

static inline uint64_t index_get(const struct cpu *c, const struct insn *i, unsigned reg)
{
	return c->gpr[reg] & ea_mask(i);
}

static inline void index_set(struct cpu *c, const struct insn *i, unsigned reg, uint64_t value)
{
	if (i->ea & EA_ADDR16)
		set16(c, GPR(reg), (uint16_t)value);
	else
		c->gpr[reg] = value & ea_mask(i);
}

static inline void index_add(struct cpu *c, const struct insn *i, unsigned reg, int64_t delta)
{
	index_set(c, i, reg, c->gpr[reg] + (uint64_t)delta);
}

static inline int64_t step(const struct cpu *c, unsigned size)
{
	return c->rflags & FLAG_DF ? -(int64_t)size : (int64_t)size;
}

static inline gva_t source(struct cpu *c, const struct insn *i, unsigned size)
{
	return ea_at(c, i, c->gpr[RSI], size, false);
}

/* Always in ES, whatever segment prefix there is. */
static inline gva_t destination(struct cpu *c, const struct insn *i, unsigned size, bool is_write)
{
	uint64_t offset = index_get(c, i, RDI);

	return cpu_in_64bit(c) ? offset : seg_linear(c, i, SEG_ES, offset, size, is_write);
}

/*
 * Host memory for up to len bytes upwards from where reg points. Returns the number of bytes, 0
 * when the next element must go by itself.
 */
static unsigned run_at(struct cpu *c, const struct insn *i, unsigned reg, enum x86_seg seg,
		       unsigned len, bool is_write, void **host)
{
	uint64_t offset = index_get(c, i, reg), base = 0;

	if (cpu_in_64bit(c)) {
		if (seg == SEG_FS || seg == SEG_GS)
			base = c->seg[seg].base;
	} else if (!(c->mode & MODE_FLAT) || seg == SEG_FS || seg == SEG_GS) {
		return 0;
	}
	if (ea_mask(i) - offset < len - 1)
		return 0;
	return mmu_run(c, i, base + offset, len, is_write, host);
}

static unsigned run_source(struct cpu *c, const struct insn *i, unsigned len, void **host)
{
	return run_at(c, i, RSI, i->ea & EA_SEGMENTED ? EA_SEG(i->ea) : SEG_DS, len, false, host);
}

static unsigned run_destination(struct cpu *c, const struct insn *i, unsigned len, bool is_write,
				void **host)
{
	return run_at(c, i, RDI, SEG_ES, len, is_write, host);
}

/* ---- repetition ---- */

/* How many elements the next run may have. */
static unsigned run_limit(const struct cpu *c, uint64_t count)
{
	if (c->rflags & FLAG_DF || c->mode & MODE_STEP)
		return 0;
	return count < RUN_MAX ? (unsigned)count : RUN_MAX;
}

/*
 * With 32-bit addresses in 64-bit mode a repeated instruction clears the upper halves of its
 * registers first of all, even when it then does nothing or faults. LODS does so with RCX only.
 */
static void cut_registers(struct cpu *c, const struct insn *i, unsigned pointers)
{
	if (!(i->ea & EA_ADDR32))
		return;
	c->gpr[RCX] = (uint32_t)c->gpr[RCX];
	if (pointers & BIT(RSI))
		c->gpr[RSI] = (uint32_t)c->gpr[RSI];
	if (pointers & BIT(RDI))
		c->gpr[RDI] = (uint32_t)c->gpr[RDI];
}

/*
 * After an element by itself: what it did to devices is done for good. Returns whether it did
 * anything: the run loop then looks before the next element, which leaves for the device again.
 */
static bool element_done(struct cpu *c)
{
	bool has_left = c->mmio.nr;

	c->mmio.nr = c->mmio.next = 0;
	return has_left;
}

/* Whether a repeated instruction should let the run loop look; it is continued afterwards. */
static bool must_leave(const struct cpu *c, unsigned done)
{
	if (c->mode & MODE_STEP)
		return true;
	return done >= RUN_MAX && atomic_load_explicit(&c->requests, memory_order_relaxed);
}

/*
 * The shape of REP: run(c, i, n) does up to n elements at once and moves the pointers, 0 if it
 * cannot; one(c, i) does one. Returns whether the count has reached zero.
 */
#define REPEAT(pointers, run, one)                             \
	bool has_left = false;                                 \
	unsigned done = 0;                                     \
	uint64_t count;                                        \
                                                               \
	cut_registers(c, i, pointers);                         \
	while ((count = index_get(c, i, RCX)) != 0) {          \
		unsigned n = run_limit(c, count);              \
                                                               \
		if (has_left || (done && must_leave(c, done))) \
			return false;                          \
		if (n)                                         \
			n = run(c, i, n);                      \
		if (!n) {                                      \
			one(c, i);                             \
			has_left = element_done(c);            \
			n = 1;                                 \
		}                                              \
		index_set(c, i, RCX, count - n);               \
		done += n;                                     \
	}                                                      \
	return true

static inline unsigned no_run(struct cpu *c, const struct insn *i, unsigned n)
{
	return 0;
}

/* Leaves with rip at the instruction itself when it is not finished. */
#define X_REPEATED(name, bits)                                      \
	void x_##name##_##bits(struct cpu *c, const struct insn *i) \
	{                                                           \
		if (!(i->prefix & REP_MASK))                        \
			name##_one##bits(c, i);                     \
		else if (!name##_rep##bits(c, i))                   \
			BRANCH(c, ip_mask(c, insn_rip(c, i)));      \
		NEXT(c, i);                                         \
	}

#define MOVS_FORM(bits, s)                                                                        \
	static inline void movs_one##bits(struct cpu *c, const struct insn *i)                    \
	{                                                                                         \
		uint##bits##_t v = mmu_load##bits(c, i, source(c, i, bits / 8));                  \
                                                                                                  \
		mmu_store##bits(c, i, destination(c, i, bits / 8, true), v);                      \
		index_add(c, i, RSI, step(c, bits / 8));                                          \
		index_add(c, i, RDI, step(c, bits / 8));                                          \
	}                                                                                         \
	static unsigned movs_run##bits(struct cpu *c, const struct insn *i, unsigned n)           \
	{                                                                                         \
		void *src, *dst;                                                                  \
		uint64_t left;                                                                    \
                                                                                                  \
		n = run_source(c, i, n * (bits / 8), &src) / (bits / 8);                          \
		if (n)                                                                            \
			n = run_destination(c, i, n * (bits / 8), true, &dst) / (bits / 8);       \
		if (!n)                                                                           \
			return 0;                                                                 \
		left = n;                                                                         \
		asm volatile("rep movs" #s : "+S"(src), "+D"(dst), "+c"(left) : : "memory");      \
		index_add(c, i, RSI, n *(bits / 8));                                              \
		index_add(c, i, RDI, n *(bits / 8));                                              \
		return n;                                                                         \
	}                                                                                         \
	static bool __attribute__((noinline)) movs_rep##bits(struct cpu *c, const struct insn *i) \
	{                                                                                         \
		REPEAT(BIT(RSI) | BIT(RDI), movs_run##bits, movs_one##bits);                      \
	}                                                                                         \
	X_REPEATED(movs, bits)
FOR_BV(MOVS_FORM)

#define STOS_FORM(bits, s)                                                                         \
	static inline void stos_one##bits(struct cpu *c, const struct insn *i)                     \
	{                                                                                          \
		gva_t va = destination(c, i, bits / 8, true);                                      \
                                                                                                   \
		mmu_store##bits(c, i, va, get##bits(c, GPR(RAX)));                                 \
		index_add(c, i, RDI, step(c, bits / 8));                                           \
	}                                                                                          \
	static unsigned stos_run##bits(struct cpu *c, const struct insn *i, unsigned n)            \
	{                                                                                          \
		void *dst;                                                                         \
		uint64_t left;                                                                     \
                                                                                                   \
		n = run_destination(c, i, n * (bits / 8), true, &dst) / (bits / 8);                \
		if (!n)                                                                            \
			return 0;                                                                  \
		left = n;                                                                          \
		asm volatile("rep stos" #s : "+D"(dst), "+c"(left) : "a"(c->gpr[RAX]) : "memory"); \
		index_add(c, i, RDI, n *(bits / 8));                                               \
		return n;                                                                          \
	}                                                                                          \
	static bool __attribute__((noinline)) stos_rep##bits(struct cpu *c, const struct insn *i)  \
	{                                                                                          \
		REPEAT(BIT(RDI), stos_run##bits, stos_one##bits);                                  \
	}                                                                                          \
	X_REPEATED(stos, bits)
FOR_BV(STOS_FORM)

#define LODS_FORM(bits, s)                                                                        \
	static inline void lods_one##bits(struct cpu *c, const struct insn *i)                    \
	{                                                                                         \
		set##bits(c, GPR(RAX), mmu_load##bits(c, i, source(c, i, bits / 8)));             \
		index_add(c, i, RSI, step(c, bits / 8));                                          \
	}                                                                                         \
	static bool __attribute__((noinline)) lods_rep##bits(struct cpu *c, const struct insn *i) \
	{                                                                                         \
		REPEAT(0, no_run, lods_one##bits);                                                \
	}                                                                                         \
	X_REPEATED(lods, bits)
FOR_BV(LODS_FORM)

/* ---- comparisons ---- */

/*
 * SCAS and CMPS also end when ZF differs from what the prefix asks for. The flags are stored at
 * the end only: a fault in the middle leaves those from before the instruction, as Intel's CPUs do.
 * AMD's leave those of the last element that was compared.
 */
static inline bool is_decided(const struct insn *i, uint64_t f)
{
	return !(f & FLAG_ZF) == !!(i->prefix & PFX_REPE);
}

#define REPEAT_COMPARE(pointers, run, one)                     \
	bool has_left = false;                                 \
	unsigned done = 0;                                     \
	uint64_t count, f;                                     \
                                                               \
	cut_registers(c, i, pointers);                         \
	while ((count = index_get(c, i, RCX)) != 0) {          \
		unsigned n = run_limit(c, count);              \
                                                               \
		if (has_left || (done && must_leave(c, done))) \
			return false;                          \
		if (n)                                         \
			n = run(c, i, n, &f);                  \
		if (!n) {                                      \
			f = one(c, i);                         \
			has_left = element_done(c);            \
			n = 1;                                 \
		}                                              \
		index_set(c, i, RCX, count - n);               \
		done += n;                                     \
		if (is_decided(i, f) || count == n) {          \
			set_flags(c, f, FLAGS_STATUS);         \
			return true;                           \
		}                                              \
		if (cpu_has(c, FEAT_AMD))                      \
			set_flags(c, f, FLAGS_STATUS);         \
	}                                                      \
	return true

#define X_REPEATED_COMPARE(name, bits)                                      \
	void x_##name##_##bits(struct cpu *c, const struct insn *i)         \
	{                                                                   \
		if (!(i->prefix & REP_MASK))                                \
			set_flags(c, name##_one##bits(c, i), FLAGS_STATUS); \
		else if (!name##_rep##bits(c, i))                           \
			BRANCH(c, ip_mask(c, insn_rip(c, i)));              \
		NEXT(c, i);                                                 \
	}

#define HOST_CMP(bits, s)                                                         \
	static inline uint64_t host_cmp##bits(uint##bits##_t a, uint##bits##_t b) \
	{                                                                         \
		uint64_t f;                                                       \
		asm("cmp" #s " %[b], %[a]" FLAGS_TO_F                             \
		    : [f] "=r"(f)                                                 \
		    : [a] "r"(a), [b] "r"(b)                                      \
		    : "cc");                                                      \
		return f;                                                         \
	}
FOR_BV(HOST_CMP)

#define SCAS_FORM(bits, s)                                                                        \
	static inline uint64_t scas_one##bits(struct cpu *c, const struct insn *i)                \
	{                                                                                         \
		uint##bits##_t v = mmu_load##bits(c, i, destination(c, i, bits / 8, false));      \
                                                                                                  \
		index_add(c, i, RDI, step(c, bits / 8));                                          \
		return host_cmp##bits(get##bits(c, GPR(RAX)), v);                                 \
	}                                                                                         \
	static unsigned scas_run##bits(struct cpu *c, const struct insn *i, unsigned n,           \
				       uint64_t *flags)                                           \
	{                                                                                         \
		void *dst;                                                                        \
		uint64_t left, f;                                                                 \
                                                                                                  \
		n = run_destination(c, i, n * (bits / 8), false, &dst) / (bits / 8);              \
		if (!n)                                                                           \
			return 0;                                                                 \
		left = n;                                                                         \
		if (i->prefix & PFX_REPE)                                                         \
			asm volatile("repe scas" #s FLAGS_TO_F                                    \
				     : "+D"(dst), "+c"(left), [f] "=r"(f)                         \
				     : "a"(c->gpr[RAX])                                           \
				     : "cc", "memory");                                           \
		else                                                                              \
			asm volatile("repne scas" #s FLAGS_TO_F                                   \
				     : "+D"(dst), "+c"(left), [f] "=r"(f)                         \
				     : "a"(c->gpr[RAX])                                           \
				     : "cc", "memory");                                           \
		n -= (unsigned)left;                                                              \
		index_add(c, i, RDI, n *(bits / 8));                                              \
		*flags = f;                                                                       \
		return n;                                                                         \
	}                                                                                         \
	static bool __attribute__((noinline)) scas_rep##bits(struct cpu *c, const struct insn *i) \
	{                                                                                         \
		REPEAT_COMPARE(BIT(RDI), scas_run##bits, scas_one##bits);                         \
	}                                                                                         \
	X_REPEATED_COMPARE(scas, bits)
FOR_BV(SCAS_FORM)

/* Of two missing operands Intel's CPUs meet the destination, AMD's the source. */
#define CMPS_FORM(bits, s)                                                                        \
	static inline uint64_t cmps_one##bits(struct cpu *c, const struct insn *i)                \
	{                                                                                         \
		bool is_source_first = cpu_has(c, FEAT_AMD);                                      \
		uint##bits##_t a = 0, b;                                                          \
                                                                                                  \
		if (is_source_first)                                                              \
			a = mmu_load##bits(c, i, source(c, i, bits / 8));                         \
		b = mmu_load##bits(c, i, destination(c, i, bits / 8, false));                     \
		if (!is_source_first)                                                             \
			a = mmu_load##bits(c, i, source(c, i, bits / 8));                         \
                                                                                                  \
		index_add(c, i, RSI, step(c, bits / 8));                                          \
		index_add(c, i, RDI, step(c, bits / 8));                                          \
		return host_cmp##bits(a, b);                                                      \
	}                                                                                         \
	static unsigned cmps_run##bits(struct cpu *c, const struct insn *i, unsigned n,           \
				       uint64_t *flags)                                           \
	{                                                                                         \
		void *src, *dst;                                                                  \
		uint64_t left, f;                                                                 \
                                                                                                  \
		if (cpu_has(c, FEAT_AMD))                                                         \
			n = run_source(c, i, n * (bits / 8), &src) / (bits / 8);                  \
		if (n)                                                                            \
			n = run_destination(c, i, n * (bits / 8), false, &dst) / (bits / 8);      \
		if (n && !cpu_has(c, FEAT_AMD))                                                   \
			n = run_source(c, i, n * (bits / 8), &src) / (bits / 8);                  \
		if (!n)                                                                           \
			return 0;                                                                 \
		left = n;                                                                         \
		if (i->prefix & PFX_REPE)                                                         \
			asm volatile("repe cmps" #s FLAGS_TO_F                                    \
				     : "+S"(src), "+D"(dst), "+c"(left), [f] "=r"(f)              \
				     :                                                            \
				     : "cc", "memory");                                           \
		else                                                                              \
			asm volatile("repne cmps" #s FLAGS_TO_F                                   \
				     : "+S"(src), "+D"(dst), "+c"(left), [f] "=r"(f)              \
				     :                                                            \
				     : "cc", "memory");                                           \
		n -= (unsigned)left;                                                              \
		index_add(c, i, RSI, n *(bits / 8));                                              \
		index_add(c, i, RDI, n *(bits / 8));                                              \
		*flags = f;                                                                       \
		return n;                                                                         \
	}                                                                                         \
	static bool __attribute__((noinline)) cmps_rep##bits(struct cpu *c, const struct insn *i) \
	{                                                                                         \
		REPEAT_COMPARE(BIT(RSI) | BIT(RDI), cmps_run##bits, cmps_one##bits);              \
	}                                                                                         \
	X_REPEATED_COMPARE(cmps, bits)
FOR_BV(CMPS_FORM)
