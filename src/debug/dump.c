/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/dump.h"

#include <inttypes.h>

#include "debug/symbols.h"
#include "engine/soft/insn.h"
#include "x86/regs.h"

#define CODE_BYTES	 48 /* a few instructions from rip on */
#define CODE_INSNS	 6
#define SYMBOL_DEPTH_MAX 16 /* return addresses looked for on the stack */

static void print_segment(FILE *out, const char *name, const struct kvm_segment *s)
{
	fprintf(out,
		" %-4s %04x  base %016llx  limit %08x  type %x s %u dpl %u p %u l %u db %u g %u\n",
		name, s->selector, s->base, s->limit, s->type, s->s, s->dpl, s->present, s->l,
		s->db, s->g);
}

static void print_symbol(FILE *out, const struct symbols *symbols, const char *what,
			 uint64_t address)
{
	uint64_t offset;
	const char *name = symbols_find(symbols, address, &offset);

	if (name)
		fprintf(out, " %s %016" PRIx64 " %s+0x%" PRIx64 "\n", what, address, name, offset);
}

static void print_registers(FILE *out, const struct kvm_regs *r, const struct kvm_sregs *s)
{
	fprintf(out, "Registers:\n");
	fprintf(out, " rip %016llx  rsp %016llx  flags %08llx\n", r->rip, r->rsp, r->rflags);
	fprintf(out, " rax %016llx  rbx %016llx  rcx %016llx\n", r->rax, r->rbx, r->rcx);
	fprintf(out, " rdx %016llx  rsi %016llx  rdi %016llx\n", r->rdx, r->rsi, r->rdi);
	fprintf(out, " rbp %016llx  r8  %016llx  r9  %016llx\n", r->rbp, r->r8, r->r9);
	fprintf(out, " r10 %016llx  r11 %016llx  r12 %016llx\n", r->r10, r->r11, r->r12);
	fprintf(out, " r13 %016llx  r14 %016llx  r15 %016llx\n", r->r13, r->r14, r->r15);
	fprintf(out, " cr0 %016llx  cr2 %016llx  cr3 %016llx\n", s->cr0, s->cr2, s->cr3);
	fprintf(out, " cr4 %016llx  cr8 %016llx  efer %016llx\n", s->cr4, s->cr8, s->efer);
	fprintf(out, "Segments:\n");
	print_segment(out, "cs", &s->cs);
	print_segment(out, "ss", &s->ss);
	print_segment(out, "ds", &s->ds);
	print_segment(out, "es", &s->es);
	print_segment(out, "fs", &s->fs);
	print_segment(out, "gs", &s->gs);
	print_segment(out, "tr", &s->tr);
	print_segment(out, "ldt", &s->ldt);
	fprintf(out, " gdt  base %016llx  limit %04x\n idt  base %016llx  limit %04x\n",
		s->gdt.base, s->gdt.limit, s->idt.base, s->idt.limit);
	fprintf(out, " apic base %016llx\n", s->apic_base);
}

/* Reads len bytes of linear memory, page by page; returns how many could be read. */
static unsigned read_linear(struct engine_vcpu *v, struct mem *mem, uint64_t va, uint8_t *dst,
			    unsigned len)
{
	unsigned done = 0;

	while (done < len) {
		struct kvm_translation tr = {.linear_address = va + done};
		unsigned n = min(len - done, (unsigned)(GUEST_PAGE_SIZE -
							((va + done) & (GUEST_PAGE_SIZE - 1))));

		if (engine_vcpu_translate(v, &tr) || !tr.valid ||
		    mem_read(mem, tr.physical_address, dst + done, n))
			break;
		done += n;
	}
	return done;
}

static void print_code(FILE *out, struct engine_vcpu *v, struct mem *mem, const struct kvm_regs *r,
		       const struct kvm_sregs *s)
{
	enum code_size size = s->cs.l && (s->efer & EFER_LMA) ? CODE_64
			      : s->cs.db		      ? CODE_32
							      : CODE_16;
	uint64_t va = size == CODE_64 ? r->rip : (uint32_t)(s->cs.base + r->rip);
	uint8_t bytes[CODE_BYTES];
	unsigned n = read_linear(v, mem, va, bytes, sizeof(bytes));

	decode_init(); /* no software engine may have been opened yet */
	fprintf(out, "Code:\n");
	if (!n)
		fprintf(out, " %016" PRIx64 " is not readable\n", va);
	for (unsigned at = 0, i = 0; at < n && i < CODE_INSNS; i++) {
		char text[128];
		unsigned len =
			disassemble(bytes + at, n - at, size, r->rip + at, text, sizeof(text));

		if (!len)
			break;
		fprintf(out, " %016" PRIx64 " ", (uint64_t)r->rip + at);
		for (unsigned b = 0; b < len; b++)
			fprintf(out, " %02x", bytes[at + b]);
		fprintf(out, "%*s %s\n", len < 10 ? (int)(10 - len) * 3 : 1, "", text);
		at += len;
	}
}

/* Kernel text addresses among the topmost words of the stack: a rough call trace. */
static void print_stack_symbols(FILE *out, struct engine_vcpu *v, struct mem *mem,
				const struct kvm_regs *r, const struct symbols *symbols)
{
	uint64_t words[64];
	unsigned n =
		read_linear(v, mem, r->rsp, (uint8_t *)words, sizeof(words)) / sizeof(words[0]);

	for (unsigned i = 0, shown = 0; i < n && shown < SYMBOL_DEPTH_MAX; i++) {
		uint64_t offset;

		if (symbols_find(symbols, words[i], &offset)) {
			print_symbol(out, symbols, "stack", words[i]);
			shown++;
		}
	}
}

static void print_page_walk(FILE *out, struct mem *mem, const struct kvm_sregs *s, uint64_t va)
{
	bool is_long = s->efer & EFER_LMA, is_pae = s->cr4 & CR4_PAE;
	unsigned levels = is_long ? 4 : is_pae ? 3 : 2;
	unsigned index_bits = is_pae ? 9 : 10, entry_size = is_pae ? 8 : 4;
	uint64_t table = is_long || !is_pae ? s->cr3 & PTE_ADDR : s->cr3 & 0xffffffe0;

	fprintf(out, "Page tables for %016" PRIx64 ":\n", va);
	if (!(s->cr0 & CR0_PG)) {
		fprintf(out, " paging is off\n");
		return;
	}
	for (unsigned level = levels; level > 0; level--) {
		unsigned shift = 12 + (level - 1) * index_bits;
		uint64_t index = (va >> shift) & (BIT64(index_bits) - 1), entry = 0;
		gpa_t at = table + index * entry_size;

		if (mem_read(mem, at, &entry, entry_size)) {
			fprintf(out, " level %u at %016" PRIx64 " is no memory\n", level, at);
			return;
		}
		fprintf(out, " level %u at %016" PRIx64 ": %016" PRIx64 "%s%s%s%s\n", level, at,
			entry, entry & PTE_P ? " present" : " not-present",
			entry & PTE_W ? " write" : "", entry & PTE_U ? " user" : "",
			entry & PTE_NX ? " nx" : "");
		if (!(entry & PTE_P) || (level > 1 && (entry & PTE_PS)))
			return;
		table = entry & PTE_ADDR;
	}
}

void dump_vcpu(FILE *out, struct engine_vcpu *v, struct mem *mem, const struct symbols *symbols,
	       unsigned what)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	if (engine_vcpu_get_regs(v, &r) || engine_vcpu_get_sregs(v, &s)) {
		fprintf(out, "the engine does not give the registers\n");
		return;
	}
	if (what & DUMP_REGISTERS)
		print_registers(out, &r, &s);
	print_symbol(out, symbols, "rip", r.rip);
	if (what & DUMP_CODE)
		print_code(out, v, mem, &r, &s);
	if (what & DUMP_PAGE_WALK) {
		print_stack_symbols(out, v, mem, &r, symbols);
		print_page_walk(out, mem, &s,
				s.efer & EFER_LMA ? r.rip : (uint32_t)(s.cs.base + r.rip));
	}
	fflush(out);
}

const char *dump_exit_name(uint32_t reason)
{
	static const char *const names[] = {
		[KVM_EXIT_UNKNOWN] = "UNKNOWN",
		[KVM_EXIT_EXCEPTION] = "EXCEPTION",
		[KVM_EXIT_IO] = "IO",
		[KVM_EXIT_HYPERCALL] = "HYPERCALL",
		[KVM_EXIT_DEBUG] = "DEBUG",
		[KVM_EXIT_HLT] = "HLT",
		[KVM_EXIT_MMIO] = "MMIO",
		[KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
		[KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
		[KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
		[KVM_EXIT_INTR] = "INTR",
		[KVM_EXIT_SET_TPR] = "SET_TPR",
		[KVM_EXIT_TPR_ACCESS] = "TPR_ACCESS",
		[KVM_EXIT_NMI] = "NMI",
		[KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
		[KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
		[KVM_EXIT_IOAPIC_EOI] = "IOAPIC_EOI",
	};

	return reason < ARRAY_SIZE(names) && names[reason] ? names[reason] : "unknown";
}
