/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operands of translated instructions: guest registers, status flags, and memory through the TLB.
 */
#include "engine/soft/mmu.h"
#include "engine/soft/translate/emit_impl.h"

#define ALU_ADD 0
#define ALU_AND 4
#define CC_NE	5
#define CC_AE	3

/* ---- registers ---- */

const uint8_t guest_home[16] = {
	[RAX] = H_R14, [RCX] = H_R15, [RDX] = H_RDX,  [RBX] = H_RBX,  [RSP] = H_R11, [RBP] = H_RBP,
	[RSI] = H_RSI, [RDI] = H_RDI, [R8] = H_R8,    [R9] = H_R9,    [R10] = H_R10, [R11] = H_NONE,
	[R12] = H_R12, [R13] = H_R13, [R14] = H_NONE, [R15] = H_NONE,
};

struct mem_ref frame_slot(unsigned guest)
{
	return FRAME(guest == R11 ? FRAME_R11 : guest == R14 ? FRAME_R14 : FRAME_R15);
}

bool reg_is_in_frame(unsigned off)
{
	return guest_home[off / 8] == H_NONE;
}

unsigned reg_get(struct emitter *e, unsigned off, unsigned scratch)
{
	unsigned home = guest_home[off / 8];

	if (home != H_NONE)
		return home;
	asm_load(&e->o, 8, scratch, frame_slot(off / 8));
	return scratch;
}

unsigned reg_dst(struct emitter *e, unsigned off, unsigned scratch)
{
	unsigned home = guest_home[off / 8];

	return home != H_NONE ? home : scratch;
}

void reg_put(struct emitter *e, unsigned off, unsigned host)
{
	if (reg_is_in_frame(off))
		asm_store(&e->o, 8, frame_slot(off / 8), host);
}

/* ---- flags ---- */

void flags_save(struct asm_out *o)
{
	asm8(o, 0x9f); /* lahf */
	asm8(o, 0x0f); /* seto al */
	asm8(o, 0x90);
	asm8(o, 0xc0);
	asm_store(o, 4, FRAME(FRAME_FLAGS), H_RAX);
}

void flags_restore(struct asm_out *o, unsigned shift)
{
	asm_load(o, 4, H_RAX, FRAME(FRAME_FLAGS + shift));
	asm8(o, 0x04); /* add al, 127: sets OF if it was 1 */
	asm8(o, 0x7f);
	asm8(o, 0x9e); /* sahf */
}

/* The other operand is the value from memory that was kept. */
static void recipe_run_value(struct emitter *e, const struct recipe *r)
{
	bool is_test = r->kind == RECIPE_TEST;
	unsigned is_byte = r->size == 1;
	unsigned opcode = is_test ? 0x85 : r->is_value_first ? 0x39 : 0x3b;

	if (r->has_imm && is_test) {
		asm_rm(&e->o, r->size, 0xf7 - is_byte, 0, FRAME(FRAME_VALUE));
		asm_imm(&e->o, r->size, (uint32_t)r->imm);
	} else if (r->has_imm) {
		asm_alu_mi(&e->o, r->size, 7, FRAME(FRAME_VALUE), r->imm);
	} else {
		asm_rm(&e->o, r->size, opcode - is_byte, reg_get(e, r->dst, H_RAX),
		       FRAME(FRAME_VALUE));
	}
}

void recipe_run(struct emitter *e, const struct recipe *r)
{
	static const uint8_t opcodes[][2] = {
		/* with a register; /digit with an immediate */
		[RECIPE_COMPARE] = {0x39, 7},
		[RECIPE_ADD] = {0x01, 0},
		[RECIPE_SUB] = {0x29, 5},
	};
	struct asm_out *o = &e->o;
	unsigned is_byte = r->size == 1, dst, src;

	if (r->has_value) {
		recipe_run_value(e, r);
		return;
	}
	if (r->kind == RECIPE_LOGIC) {
		dst = reg_get(e, r->dst, H_RAX);
		asm_rr(o, r->size, 0x85 - is_byte, dst, dst);
		return;
	}
	if (r->kind == RECIPE_TEST && r->has_imm) {
		asm_rr(o, r->size, 0xf7 - is_byte, 0, reg_get(e, r->dst, H_RAX));
		asm_imm(o, r->size, (uint32_t)r->imm);
		return;
	}
	if (r->kind == RECIPE_TEST || r->kind == RECIPE_COMPARE) {
		dst = reg_get(e, r->dst, H_RAX);
		if (r->has_imm) {
			asm_alu_ri(o, r->size, 7, dst, r->imm);
			return;
		}
		src = r->src / 8 == r->dst / 8 ? dst : reg_get(e, r->src, H_RAX);
		asm_rr(o, r->size, (r->kind == RECIPE_TEST ? 0x85u : 0x39u) - is_byte, src, dst);
		return;
	}
	/* The sum, the other operand taken off or added, and once more as it was. */
	unsigned inverse = r->kind == RECIPE_ADD ? RECIPE_SUB : RECIPE_ADD;

	asm_mov_rr(o, 8, H_RAX, reg_get(e, r->dst, H_RAX));
	if (r->has_imm) {
		asm_alu_ri(o, r->size, opcodes[inverse][1], H_RAX, r->imm);
		asm_alu_ri(o, r->size, opcodes[r->kind][1], H_RAX, r->imm);
		return;
	}
	src = reg_get(e, r->src, H_NONE);
	asm_rr(o, r->size, opcodes[inverse][0] - is_byte, src, H_RAX);
	asm_rr(o, r->size, opcodes[r->kind][0] - is_byte, src, H_RAX);
}

void flags_clobber(struct emitter *e)
{
	if (e->flags_in_host && !e->flags_in_frame && !(e->recipe.is_valid && recipe_lasts(e))) {
		flags_save(&e->o);
		e->flags_in_frame = true;
	}
	e->flags_in_host = false;
}

void flags_need(struct emitter *e)
{
	if (!e->flags_in_host && e->recipe.is_valid)
		recipe_run(e, &e->recipe);
	else if (!e->flags_in_host)
		flags_restore(&e->o, 0);
	e->flags_in_host = true;
}

void flags_to_frame(struct emitter *e)
{
	if (e->flags_in_frame)
		return;
	if (!e->flags_in_host && e->recipe.is_valid)
		recipe_run(e, &e->recipe);
	if (e->flags_in_host || e->recipe.is_valid)
		flags_save(&e->o);
	e->flags_in_frame = true;
	e->flags_in_host = false;
}

/* ---- addresses ---- */

/* An operand in memory as mem_access() sees it. */
struct place {
	enum {
		PLACE_BASE, /* a base register and disp */
		PLACE_INSN, /* what ModRM says, to be computed in RCX */
		PLACE_TMP,  /* the linear address is in FRAME_TMP */
	} kind;
	const struct insn *insn;
	unsigned guest_base;
	int32_t disp;
};

static unsigned index_of(const struct insn *i)
{
	return i->index & 31;
}

bool mem_is_possible(const struct insn *i)
{
	return !(i->ea & (EA_FAR_DISP | EA_ADDR16)) && i->base <= SLOT_RIP;
}

static struct place place_of(const struct insn *i)
{
	struct place p = {.kind = PLACE_INSN, .insn = i, .disp = i->disp};

	if (i->ea == EA_FLAT && index_of(i) == SLOT_ZERO && i->disp <= INT32_MAX - 64 &&
	    i->base < 16) {
		p.kind = PLACE_BASE;
		p.guest_base = i->base;
	}
	return p;
}

/* The offset that ModRM gives, size bytes wide, to dst; RAX and RCX are used where they must be. */
static void load_offset(struct emitter *e, const struct insn *i, unsigned size, unsigned dst)
{
	unsigned index = index_of(i);
	struct mem_ref m = {.base = H_NONE, .index = H_NONE, .disp = i->disp};

	if (i->base == SLOT_RIP) {
		asm_load(&e->o, 8, H_RCX, FRAME(FRAME_PAGE));
		m.base = H_RCX;
	} else if (i->base != SLOT_ZERO) {
		m.base = (uint8_t)reg_get(e, i->base * 8, H_RCX);
	}
	if (index != SLOT_ZERO) {
		bool is_rcx_taken = m.base == H_RCX;

		m.index = (uint8_t)reg_get(e, index * 8, is_rcx_taken ? H_RAX : H_RCX);
		m.scale = i->index >> 6;
	}
	asm_lea(&e->o, size, dst, m);
}

void emit_address(struct emitter *e, const struct insn *i, unsigned size, unsigned dst)
{
	unsigned address_size = i->ea & EA_ADDR32 ? 4 : 8;

	load_offset(e, i, min(size, address_size), dst);
}

static void add_segment(struct emitter *e, const struct insn *i)
{
	if (!(i->ea & EA_SEGMENTED))
		return;
	asm_rm(&e->o, 8, 0x03, H_RCX,
	       FRAME(offsetof(struct cpu, seg) + EA_SEG(i->ea) * sizeof(struct segment) +
		     offsetof(struct segment, base)));
}

void emit_linear(struct emitter *e, const struct insn *i)
{
	load_offset(e, i, i->ea & EA_ADDR32 ? 4 : 8, H_RCX);
	add_segment(e, i);
}

/* Linear address to RCX. */
static void load_linear(struct emitter *e, const struct place *p)
{
	if (p->kind == PLACE_TMP)
		asm_load(&e->o, 8, H_RCX, FRAME(FRAME_TMP));
	else
		emit_linear(e, p->insn);
}

/* ---- the check ---- */

static void check_aligned(struct emitter *e, const struct insn *i, unsigned size, unsigned how)
{
	if (!(how & MEM_ALIGNED))
		return;
	asm_rr(&e->o, 1, 0xf6, 0, H_RCX); /* test cl, size - 1 */
	asm8(&e->o, size - 1);
	emit_slow(e, i, asm_jcc(&e->o, 5), how);
}

/* The instruction's accesses are looked up in the TLB each time. */
static bool is_looked_up(const struct emitter *e)
{
	uint64_t bit = insn_bit(e->at);

	return e->block->scattered & bit || (!e->has_sites && !(e->block->in_conflict & bit));
}

/*
 * The limit of a site is that of one length, so sites are for spans of one length, or a little less.
 * How many of each is by how often they are met.
 */
static const struct {
	uint16_t length, first, nr;
} site_groups[NR_SITE_GROUPS] = {
	{1, 0, 28},    {2, 28, 16},   {4, 44, 44},    {8, 88, 56},    {16, 144, 28},
	{32, 172, 32}, {64, 204, 20}, {128, 224, 16}, {512, 240, 16},
};
_Static_assert(SITES_PER_CLASS == 256, "the sum of nr");

static unsigned group_of(unsigned length)
{
	unsigned n = 0;

	while (site_groups[n].length < length)
		n++;
	return n;
}

static bool is_site_of_run(const struct emitter *e, unsigned site)
{
	for (unsigned n = 0; n < RUNS_MAX; n++)
		if (e->runs[n].is_valid && e->runs[n].addend == SITE_ADDEND(site))
			return true;
	return false;
}

/* A site for s, not one whose addend is still wanted. */
static unsigned site_take(struct emitter *e, const struct span *s, unsigned *length)
{
	unsigned class = e->rights * 2 + s->is_write, group = group_of((unsigned)(s->hi - s->lo));
	unsigned first = class * SITES_PER_CLASS + site_groups[group].first, site;

	_Static_assert(RUNS_MAX < 16, "the smallest group has one that is free");
	*length = site_groups[group].length;
	do
		site = first + e->next_site[group]++ % site_groups[group].nr;
	while (is_site_of_run(e, site));
	return site;
}

/*
 * Checks that span off host register base lies in the page its site knows. RAX is used; the addend is
 * in the frame at what is returned. delta: what the instruction adds to base.
 */
static size_t emit_site_check(struct emitter *e, unsigned base, const struct span *s, unsigned how,
			      int32_t delta)
{
	unsigned length, site = site_take(e, s, &length);
	struct asm_out *o = &e->o;
	struct out *out;

	e->owners[site] = (struct site_owner){.translation = e->translation, .insn = e->at};
	asm_load(o, 8, H_RAX, SITE_PAGE(site));
	asm_lea(o, 8, H_RAX,
		(struct mem_ref){.base = H_RAX, .index = (uint8_t)base, .disp = s->lo});
	asm_rm(o, 8, 0x3b, H_RAX, SITE_LIMIT(site));
	out = out_for_site(e, asm_jcc(o, CC_AE), how);
	out->has_site = true;
	out->site_number = site;
	out->site_length = length;
	out->base = (uint8_t)base;
	out->span = *s;
	out->delta = delta;
	out->retry = o->at;
	return SITE_ADDEND(site);
}

/*
 * The same by the TLB: RAX becomes the address of the entry, NE tells that it is another page's. RCX is
 * used, which base may be.
 */
static void emit_tlb_compare(struct emitter *e, unsigned base, const struct span *s)
{
	size_t tag = s->is_write ? offsetof(struct tlb_entry, tag_write)
				 : offsetof(struct tlb_entry, tag_read);
	struct asm_out *o = &e->o;

	asm_lea(o, 4, H_RAX, MEM_BASE(base, s->lo));
	_Static_assert(sizeof(struct tlb_entry) == 32, "5 bits of shift");
	asm_shift_ri(o, 4, 5, H_RAX, 12 - 5);
	asm_alu_ri(o, 4, ALU_AND, H_RAX, (TLB_SIZE - 1) << 5);
	asm_rm(o, 8, 0x03, H_RAX, FRAME(FRAME_TLB));
	if (base != H_RCX || s->hi != 1)
		asm_lea(o, 8, H_RCX, MEM_BASE(base, s->hi - 1));
	asm_alu_ri(o, 8, ALU_AND, H_RCX, -4096);
	asm_rm(o, 8, 0x3b, H_RCX, MEM_BASE(H_RAX, tag));
}

static void emit_tlb_check(struct emitter *e, const struct insn *i, unsigned base,
			   const struct span *s, unsigned how)
{
	emit_tlb_compare(e, base, s);
	emit_slow(e, i, asm_jcc(&e->o, CC_NE), how);
}

#define ENTRY_ADDEND MEM_BASE(H_RAX, offsetof(struct tlb_entry, addend))

/* The check of a stream, by the TLB. */
static size_t emit_stream_look_up(struct emitter *e, const struct span *s)
{
	struct asm_out *o = &e->o;

	asm_store(o, 8, FRAME(FRAME_SAVED_RCX), H_RCX);
	emit_tlb_compare(e, H_RCX, s);
	out_for_stream(e, asm_jcc(o, CC_NE));
	asm_load(o, 8, H_RCX, ENTRY_ADDEND);
	asm_store(o, 8, FRAME(FRAME_TMP), H_RCX);
	asm_load(o, 4, H_RAX, FRAME(FRAME_SAVED_RCX));
	asm_alu_ri(o, 4, ALU_AND, H_RAX, 4095);
	return FRAME_TMP;
}

size_t emit_stream_check(struct emitter *e, const struct span *s, unsigned *length)
{
	struct span at_rcx = {.hi = s->hi - s->lo, .is_write = s->is_write};
	struct asm_out *o = &e->o;
	uint8_t *start = o->at;
	struct out *out;
	unsigned site;

	if (is_looked_up(e)) {
		*length = (unsigned)at_rcx.hi;
		return emit_stream_look_up(e, &at_rcx);
	}
	site = site_take(e, &at_rcx, length);
	e->owners[site] = (struct site_owner){.translation = e->translation, .insn = e->at};
	asm_load(o, 8, H_RAX, SITE_PAGE(site));
	asm_rr(o, 8, 0x01, H_RCX, H_RAX);
	asm_rm(o, 8, 0x3b, H_RAX, SITE_LIMIT(site));
	out = out_for_stream(e, asm_jcc(o, CC_AE));
	out->has_site = true;
	out->site_number = site;
	out->site_length = *length;
	out->base = H_RCX;
	out->span = at_rcx;
	out->retry = start;
	return SITE_ADDEND(site);
}

/* The same for an access off base, which stays: RAX becomes the addend. */
static void emit_tlb_addend(struct emitter *e, const struct insn *i, unsigned base,
			    const struct span *s, unsigned how)
{
	if (base == H_RCX)
		asm_store(&e->o, 8, FRAME(FRAME_SAVED_RCX), H_RCX);
	emit_tlb_check(e, i, base, s, how);
	if (base == H_RCX)
		asm_load(&e->o, 8, H_RCX, FRAME(FRAME_SAVED_RCX));
	asm_load(&e->o, 8, H_RAX, ENTRY_ADDEND);
}

/* ---- runs ---- */

void runs_end(struct emitter *e)
{
	for (unsigned n = 0; n < RUNS_MAX; n++)
		e->runs[n].is_valid = false;
}

void runs_update(struct emitter *e, const struct insn *i)
{
	unsigned written = insn_regs_written(i);
	int32_t delta = 0;
	bool is_stack = insn_moves_rsp(i, &delta);

	for (unsigned n = 0; n < RUNS_MAX; n++) {
		struct run *r = &e->runs[n];

		if (is_stack && r->base == RSP)
			r->moved += delta;
		else if (written & 1u << r->base)
			r->is_valid = false;
	}
}

static struct run *run_find(struct emitter *e, unsigned base, int32_t disp, unsigned size,
			    unsigned how)
{
	for (unsigned n = 0; n < RUNS_MAX; n++) {
		struct run *r = &e->runs[n];

		if (r->is_valid && r->base == base && disp + r->moved >= r->span.lo &&
		    disp + r->moved + (int32_t)size <= r->span.hi &&
		    (r->span.is_write || !(how & MEM_WRITE)))
			return r;
	}
	return NULL;
}

static struct run *run_of_base(struct emitter *e, unsigned base)
{
	for (unsigned n = 0; n < RUNS_MAX; n++)
		if (e->runs[n].is_valid && e->runs[n].base == base)
			return &e->runs[n];
	return &e->runs[e->next_run++ % RUNS_MAX];
}

/* Begins a run: what one look at the page is good for. */
static size_t run_begin(struct emitter *e, const struct place *p, unsigned base, struct span s,
			unsigned how)
{
	struct run *r = run_of_base(e, p->guest_base);
	int32_t delta = 0;

	*r = (struct run){.is_valid = true, .base = p->guest_base, .span = s};
	if (is_looked_up(e)) {
		/* When the TLB does not have the page the rest of the block goes without it. */
		emit_tlb_addend(e, p->insn, base, &s, how | MEM_END);
		r->addend = FRAME_ADDENDS + (size_t)(r - e->runs) * 8;
		asm_store(&e->o, 8, FRAME(r->addend), H_RAX);
		return r->addend;
	}
	if (p->guest_base == RSP)
		insn_moves_rsp(p->insn, &delta);
	r->addend = emit_site_check(e, base, &s, how, delta);
	return r->addend;
}

/* Checks an access off base; RAX becomes the addend. */
static void check_base(struct emitter *e, const struct place *p, unsigned base, unsigned size,
		       unsigned how)
{
	struct run *r = run_find(e, p->guest_base, p->disp, size, how);
	size_t addend;
	struct span s;

	if (r) {
		asm_load(&e->o, 8, H_RAX, FRAME(r->addend));
		return;
	}
	s = span_find(e, p->guest_base, p->disp, size, how & MEM_WRITE);
	if (s.nr_more && !(how & MEM_END) && !e->block->has_no_runs) {
		addend = run_begin(e, p, base, s, how);
		if (is_looked_up(e))
			return;
	} else {
		s = (struct span){
			.lo = p->disp, .hi = p->disp + (int32_t)size, .is_write = how & MEM_WRITE};
		if (is_looked_up(e)) {
			emit_tlb_addend(e, p->insn, base, &s, how);
			return;
		}
		addend = emit_site_check(e, base, &s, how, 0);
	}
	asm_load(&e->o, 8, H_RAX, FRAME(addend));
}

/* A base register and a displacement. */
static struct mem_ref access_base(struct emitter *e, const struct place *p, unsigned size,
				  unsigned how)
{
	struct asm_out *o = &e->o;
	struct mem_ref m;
	unsigned base;

	if (how & MEM_ALIGNED || !run_find(e, p->guest_base, p->disp, size, how))
		flags_clobber(e);
	if (how & MEM_ALIGNED) {
		asm_lea(o, 4, H_RCX, MEM_BASE(reg_get(e, p->guest_base * 8, H_RCX), p->disp));
		check_aligned(e, p->insn, size, how);
	}
	base = reg_get(e, p->guest_base * 8, H_RCX);
	check_base(e, p, base, size, how);
	m = (struct mem_ref){.base = (uint8_t)base, .index = H_RAX, .disp = p->disp};
	e->scratch = H_RCX;
	if (base == H_RCX) {
		asm_lea(o, 8, H_RCX, m);
		m = MEM_BASE(H_RCX, 0);
		e->scratch = H_RAX;
	}
	return m;
}

/* Whether load_linear() leaves RAX alone. */
static bool can_load_again(const struct place *p)
{
	const struct insn *i = p->insn;
	unsigned index = index_of(i);

	if (p->kind == PLACE_TMP)
		return true;
	return index == SLOT_ZERO || !reg_is_in_frame(index * 8) ||
	       (i->base != SLOT_RIP && (i->base >= 16 || !reg_is_in_frame(i->base * 8u)));
}

static struct mem_ref access_linear(struct emitter *e, const struct place *p, unsigned size,
				    unsigned how)
{
	struct span s = {.hi = (int32_t)size, .is_write = how & MEM_WRITE};

	flags_clobber(e);
	load_linear(e, p);
	check_aligned(e, p->insn, size, how);
	if (is_looked_up(e) && can_load_again(p)) {
		emit_tlb_check(e, p->insn, H_RCX, &s, how);
		load_linear(e, p);
		asm_rm(&e->o, 8, 0x03, H_RCX, ENTRY_ADDEND);
	} else if (is_looked_up(e)) {
		emit_tlb_addend(e, p->insn, H_RCX, &s, how);
		asm_rr(&e->o, 8, 0x01, H_RAX, H_RCX);
	} else {
		asm_rm(&e->o, 8, 0x03, H_RCX, FRAME(emit_site_check(e, H_RCX, &s, how, 0)));
	}
	e->scratch = H_RAX;
	return MEM_BASE(H_RCX, 0);
}

/* Moves the address so that the register that is asked for becomes free. */
static struct mem_ref set_free(struct emitter *e, struct mem_ref m, unsigned how)
{
	unsigned want = how & (MEM_FREE_RAX | MEM_FLAGS) ? H_RAX
			: how & MEM_FREE_RCX		 ? H_RCX
							 : e->scratch;

	if (want != e->scratch) {
		asm_lea(&e->o, 8, e->scratch, m);
		m = MEM_BASE(e->scratch, 0);
		e->scratch = want;
	}
	if (how & MEM_FLAGS) {
		flags_need(e);
	}
	return m;
}

static struct mem_ref access_place(struct emitter *e, const struct place *p, unsigned size,
				   unsigned how)
{
	struct mem_ref m = p->kind == PLACE_BASE ? access_base(e, p, size, how)
						 : access_linear(e, p, size, how);

	return set_free(e, m, how);
}

struct mem_ref mem_access(struct emitter *e, const struct insn *i, unsigned size, unsigned how)
{
	const struct stream *t = stream_of_access(e, i, how);
	struct place p = place_of(i);

	if (t)
		return set_free(e, stream_access(e, i, t), how);
	return access_place(e, &p, size, how);
}

struct mem_ref mem_access_at(struct emitter *e, const struct insn *i, unsigned off, int32_t disp,
			     unsigned size, unsigned how)
{
	struct place p = {.kind = PLACE_BASE, .insn = i, .guest_base = off / 8, .disp = disp};

	return access_place(e, &p, size, how);
}

struct mem_ref mem_access_tmp(struct emitter *e, const struct insn *i, unsigned size, unsigned how)
{
	struct place p = {.kind = PLACE_TMP, .insn = i};

	return access_place(e, &p, size, how);
}
