/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What executes guest code. The contract is the KVM API's (Documentation/virt/kvm/api.rst) in KVM's
 * own structs, with the split irqchip: the local APICs belong to the engine, PIC, IOAPIC and PIT do
 * not. So HLT, INIT/SIPI, LAPIC timers, IPIs, PAT, MTRR and KVM's paravirtual clock never reach the
 * caller. The same code in machine/ runs both engines.
 *
 * Threads: vm functions on any thread unless noted; vcpu functions on the vCPU's own thread (the
 * one that calls engine_vcpu_run()), or on any thread while it is not running, except
 * engine_vcpu_kick(), which may be called at any time from anywhere, signal handlers included.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/clock.h"
#include "core/mem.h"
#include "x86/cpuid.h"

struct engine; /* an accelerator that was found to work */
struct engine_vm;
struct engine_vcpu;

/* ---- accelerators ---- */

/* Strings are the caller's and outlive the engine. */
struct engine_options {
	const char *kvm_device;	   /* "/dev/kvm" */
	uint64_t block_cache_size; /* soft: bytes of decoded code to keep; 0 = default */
	bool is_interpreter;	   /* soft: without the translator */
	uint64_t code_cache_size;  /* soft: bytes of translated code to keep; 0 = default */
	unsigned heat;		   /* soft: runs of a block before its translation; 0 = default */
	bool has_sites_always;	   /* soft: all translated accesses remember their page at once */
	bool has_perf_map;	   /* soft: names translated code in /tmp/perf-PID.map */
	const char *code_listing;  /* soft: file that shows translated code; NULL: none */
	/*
	 * Soft, and KVM does not open with it: file that every block of guest code executed is written
	 * to, from the first one that holds the linear address on (0: all), up to so many bytes (0 =
	 * default). NULL: none.
	 */
	const char *trace_file;
	uint64_t trace_from, trace_limit;
};

/*
 * Opens the first usable accelerator of a colon-separated list: "kvm", "soft" and its other name
 * "tcg". KVM counts as usable when it runs guest code at hardware speed; when it is passed over and
 * another is taken, one line says why. A list of just "kvm" takes a slow KVM too.
 * Returns NULL with err filled: unknown name, or why the last of the list cannot be used.
 */
struct engine *engine_open(const char *list, const struct engine_options *opt, struct error *err);
void engine_close(struct engine *e); /* after its VMs; NULL is fine */

const char *engine_name(const struct engine *e); /* "kvm" or "soft" */
unsigned engine_max_vcpus(const struct engine *e);

/*
 * Whether the engine must hear of every write to guest memory (mem_set_write_hook()). Then nobody may
 * write there who does not report it, such as a data plane in the host's kernel.
 */
bool engine_must_hear_of_writes(const struct engine *e);

/* Fills what of the CPU model this engine can give: the model with unsupported bits cleared. */
int engine_filter_cpuid(struct engine *e, struct cpuid_table *table, struct error *err);

/* ---- virtual machines ---- */

/* mem: every region becomes a memory slot; regions must not change while the VM lives. */
struct engine_vm *engine_vm_new(struct engine *e, struct mem *mem, struct error *err);
void engine_vm_free(struct engine_vm *vm); /* after its vCPUs; NULL is fine */

/*
 * Delivers a message-signalled interrupt (address 0xFEExxxxx). Any thread.
 * Returns 0, or -EINVAL when nobody takes it.
 */
int engine_vm_signal_msi(struct engine_vm *vm, uint64_t addr, uint32_t data);

/*
 * Tells which messages the IOAPIC's pins would send, so that the end of a level-triggered
 * interrupt is reported by KVM_EXIT_IOAPIC_EOI (data bit 15 set; masked pins have data 0).
 */
#define IOAPIC_NR_PINS 24
struct engine_route {
	uint64_t addr;
	uint32_t data;
	bool is_masked;
};
int engine_vm_set_ioapic_routes(struct engine_vm *vm,
				const struct engine_route routes[IOAPIC_NR_PINS]);

/*
 * Guest writes of any size to a device's address signal an eventfd instead of leaving the engine
 * (KVM_IOEVENTFD), or do so no more. Any thread. Returns 0, or a negative errno, -ENOTSUP where an
 * engine cannot: then the writes are exits as ever.
 */
int engine_vm_set_doorbell(struct engine_vm *vm, gpa_t addr, int eventfd, bool on);

/*
 * Has the engine send the message each time the eventfd is signalled, without a thread of ours
 * (KVM_IRQFD); a signal nobody has read yet sends it at once. Called again, the message is another one
 * from then on. With NULL that ends: when this returns nothing more is sent, and signals stay in the
 * eventfd. Any thread. Returns 0, or a negative errno, -ENOTSUP where an engine cannot: then nothing
 * is sent.
 */
struct engine_message {
	uint64_t addr;
	uint32_t data;
};
int engine_vm_set_call(struct engine_vm *vm, int eventfd, const struct engine_message *message);

/* KVM_GET_CLOCK and KVM_SET_CLOCK: the paravirtual clock, in ns. */
int engine_vm_get_clock(struct engine_vm *vm, struct kvm_clock_data *clock);
int engine_vm_set_clock(struct engine_vm *vm, const struct kvm_clock_data *clock);

/*
 * Turns on or off the record of written pages for the region with this index in mem, and fetches
 * and clears it: one bit per page, rounded up to 64 bits (KVM_GET_DIRTY_LOG).
 */
int engine_vm_log_dirty(struct engine_vm *vm, unsigned region, bool on);
int engine_vm_get_dirty(struct engine_vm *vm, unsigned region, uint64_t *bitmap);

/*
 * Forgets what was kept of the guest's code, so that a guest that reboots all the time takes no
 * more memory than one boot does. For a reset of the machine, while no vCPU runs.
 */
void engine_vm_reset(struct engine_vm *vm);

/* ---- vCPUs ---- */

/*
 * id is the APIC id; vCPU 0 is the boot processor and starts RUNNABLE, the others UNINITIALIZED
 * (waiting for INIT/SIPI). Registers are at their values after reset (SDM vol. 3, table 10-1).
 * cpuid is copied; it must already carry this vCPU's topology and APIC id.
 */
struct engine_vcpu *engine_vcpu_new(struct engine_vm *vm, unsigned id,
				    const struct cpuid_table *cpuid, struct error *err);
void engine_vcpu_free(struct engine_vcpu *v); /* its thread has ended; NULL is fine */

/* Back to the state after engine_vcpu_new(). Not while running. */
int engine_vcpu_reset(struct engine_vcpu *v);

/*
 * The shared page: exit_reason and its union, request_interrupt_window,
 * ready_for_interrupt_injection, if_flag, immediate_exit. The PIO data of KVM_EXIT_IO lies at
 * io.data_offset from it. Constant for the life of v.
 */
struct kvm_run *engine_vcpu_shared(struct engine_vcpu *v);

/*
 * Runs the guest until something needs the caller.
 * Returns 0 with exit_reason set: IO, MMIO, IRQ_WINDOW_OPEN, IOAPIC_EOI (eoi.vector), SHUTDOWN
 * (triple fault), DEBUG, INTERNAL_ERROR, FAIL_ENTRY, SYSTEM_EVENT. An IO or MMIO access completes
 * when run is entered again (with immediate_exit set it completes and nothing else runs).
 * Returns -EINTR after a kick or with immediate_exit set, or another negative errno on failure.
 */
int engine_vcpu_run(struct engine_vcpu *v);

/*
 * Completes an access and takes what has come to a stopped vCPU (a timer that expired, an NMI, the
 * PIC's vector) into the state that can be read, as far as that goes without running guest code.
 * Returns -EINTR when that is done, 0 with exit_reason set when the caller must act first and call
 * again, or another negative errno. Ends request_interrupt_window; immediate_exit is undefined
 * after it. vCPU thread.
 */
int engine_vcpu_settle(struct engine_vcpu *v);

/*
 * Makes a running or halted vCPU leave engine_vcpu_run() with -EINTR, now or, if it is not inside,
 * at the next entry. immediate_exit is set by it and cleared when engine_vcpu_run() returns -EINTR.
 */
void engine_vcpu_kick(struct engine_vcpu *v);

/* Queues the vector the PIC gave; only when ready_for_interrupt_injection. KVM_INTERRUPT. */
int engine_vcpu_interrupt(struct engine_vcpu *v, unsigned vector);
int engine_vcpu_nmi(struct engine_vcpu *v); /* KVM_NMI; any thread */

/* State in KVM's structs. Each returns 0 or a negative errno: -EINVAL for values no CPU can hold.
 */
int engine_vcpu_get_regs(struct engine_vcpu *v, struct kvm_regs *regs);
int engine_vcpu_set_regs(struct engine_vcpu *v, const struct kvm_regs *regs);
int engine_vcpu_get_sregs(struct engine_vcpu *v, struct kvm_sregs *sregs);
int engine_vcpu_set_sregs(struct engine_vcpu *v, const struct kvm_sregs *sregs);
int engine_vcpu_get_xsave(struct engine_vcpu *v, struct kvm_xsave *xsave);
int engine_vcpu_set_xsave(struct engine_vcpu *v, const struct kvm_xsave *xsave);
int engine_vcpu_get_xcrs(struct engine_vcpu *v, struct kvm_xcrs *xcrs);
int engine_vcpu_set_xcrs(struct engine_vcpu *v, const struct kvm_xcrs *xcrs);
int engine_vcpu_get_debugregs(struct engine_vcpu *v, struct kvm_debugregs *dr);
int engine_vcpu_set_debugregs(struct engine_vcpu *v, const struct kvm_debugregs *dr);
int engine_vcpu_get_events(struct engine_vcpu *v, struct kvm_vcpu_events *ev);
int engine_vcpu_set_events(struct engine_vcpu *v, const struct kvm_vcpu_events *ev);
int engine_vcpu_get_lapic(struct engine_vcpu *v, struct kvm_lapic_state *lapic);
int engine_vcpu_set_lapic(struct engine_vcpu *v, const struct kvm_lapic_state *lapic);
int engine_vcpu_get_mp_state(struct engine_vcpu *v, struct kvm_mp_state *mp);
int engine_vcpu_set_mp_state(struct engine_vcpu *v, const struct kvm_mp_state *mp);

/* nr entries; returns how many were handled before the first unknown one, or a negative errno. */
int engine_vcpu_get_msrs(struct engine_vcpu *v, struct kvm_msr_entry *entries, unsigned nr);
int engine_vcpu_set_msrs(struct engine_vcpu *v, const struct kvm_msr_entry *entries, unsigned nr);

/* Breakpoints and single step for debuggers: exits with KVM_EXIT_DEBUG. KVM_SET_GUEST_DEBUG. */
int engine_vcpu_set_guest_debug(struct engine_vcpu *v, const struct kvm_guest_debug *dbg);

/* Linear to physical by the current tables, without side effects. KVM_TRANSLATE. */
int engine_vcpu_translate(struct engine_vcpu *v, struct kvm_translation *tr);

/* Guest TSC frequency in kHz. */
uint32_t engine_vcpu_tsc_khz(struct engine_vcpu *v);

/* ---- counters ---- since the VM or the vCPU was made; they only grow */

/* What the software engine did for all vCPUs together. */
struct engine_vm_stats {
	uint64_t blocks;      /* runs of guest instructions decoded */
	uint64_t block_parts; /* of the memory for them, dropped to be used again */

	uint64_t translations;
	uint64_t code_bytes; /* of all translations, with what belongs to them */
	uint64_t code_parts; /* of the memory for them, dropped to be used again */
	uint64_t links;	     /* jumps made to lead from translation to translation */

	/* Blocks dropped, and their translations with them. */
	uint64_t dropped_by_stores;  /* of guest code */
	uint64_t dropped_by_devices; /* and of whatever else writes to guest memory */
	uint64_t dropped_late;	     /* changed by a store that passed while their watch began */
	uint64_t dropped_for_room;   /* with block_parts */
};

/* How translated code was left for the run loop. */
enum engine_leave {
	ENGINE_LEAVE_LINK,    /* a jump within the page was not linked yet */
	ENGINE_LEAVE_MISS,    /* any other jump: its target was not in the jump cache */
	ENGINE_LEAVE_COLD,    /* it was, and has no translation */
	ENGINE_LEAVE_REQUEST, /* something was asked of the vCPU, or it is traced */
	ENGINE_LEAVE_STATE,   /* the same, a new mode or HLT, after an interpreted instruction */
	ENGINE_LEAVE_RUN,     /* accesses that were to be checked at once went to different pages */
	ENGINE_LEAVE_VECTOR,  /* vector instructions cannot run as things are */
	ENGINE_LEAVE_STALE,   /* the block was stored into */
	ENGINE_LEAVE_FAULT,   /* an exception */
	ENGINE_LEAVE_EXIT,    /* to the caller of the engine: a device */
	ENGINE_LEAVE_ALONE,   /* an instruction must be run by itself */
	NR_ENGINE_LEAVES,
};

enum engine_access { ENGINE_READ, ENGINE_WRITE, ENGINE_FETCH, NR_ENGINE_ACCESSES };

#define ENGINE_STATS_TOP 12

/* What the software engine did for one vCPU. */
struct engine_vcpu_stats {
	/*
	 * Guest instructions the interpreter began. Those of translated code are not counted, but for
	 * the ones it has the interpreter run.
	 */
	uint64_t interpreted;
	uint64_t entries;		 /* into translated code from the run loop */
	uint64_t left[NR_ENGINE_LEAVES]; /* their sum is entries, unless the vCPU is in there */

	/* Accesses that the inlined TLB check did not let through, and walks of page tables. */
	uint64_t slow_accesses, walks[NR_ENGINE_ACCESSES];

	/*
	 * Instructions that translated code had the interpreter run: in all, of these because of the
	 * access to memory they make, and by name, the most frequent first.
	 */
	uint64_t singles, slow_singles;
	unsigned nr_top;
	struct {
		const char *name;
		uint64_t count;
	} top[ENGINE_STATS_TOP];
};

/* 0, or -ENOTSUP by an engine that does not count. vm: any thread; vCPU: as all its functions. */
int engine_vm_stats(struct engine_vm *vm, struct engine_vm_stats *stats);
int engine_vcpu_stats(struct engine_vcpu *v, struct engine_vcpu_stats *stats);
const char *engine_leave_name(enum engine_leave leave);

#endif
