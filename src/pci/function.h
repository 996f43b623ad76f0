/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PCI function (PCI Local Bus 3.0, chapter 6): 256 bytes of configuration space, BARs,
 * capabilities, INTx, MSI and MSI-X. A device embeds one, describes it with the functions of the first
 * group, in any order, puts it on a root (pci/root.h) and from then on serves its BARs and
 * interrupts.
 *
 * Threads. Set-up, reset, state and fini run on the main loop thread while all vCPUs stand still.
 * The guest's accesses come on vCPU threads, several at once. Interrupts may be signalled from any
 * thread. The function's lock guards its configuration space and MSI-X vectors; it is held while
 * a message is sent, an INTx line is driven, a BAR is moved on its bus and while ops->changed runs.
 * BAR accesses and capability hooks are made without it: whoever serves them locks itself.
 * Lock order: the device's own lock, this lock, then the root's, the bus's and those of interrupt
 * controllers.
 *
 * Left out: extended configuration space (it reads as zero), power management, bridges.
 */
#ifndef PCI_FUNCTION_H
#define PCI_FUNCTION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/bus.h"
#include "core/irq.h"
#include "core/state.h"
#include "pci/regs.h"

#define PCI_CONFIG_SIZE	     256
#define PCI_NR_BARS	     6
#define PCI_HOOKED_CAPS_MAX  4
#define PCI_MSIX_VECTORS_MAX 2048 /* an 11-bit field */
#define PCI_BAR_NOT_MAPPED   UINT64_MAX

struct pci_function;
struct pci_root;

struct pci_function_ops {
	/*
	 * The command register, the MSI-X control bits, a vector or the place of a BAR changed; called
	 * with the function's lock held, so it may only note that, or tell an engine. NULL: not of interest.
	 */
	void (*changed)(struct pci_function *f);

	/*
	 * Bus mastering was switched on or off: pci_is_bus_master() tells, and may have changed once
	 * more. Called without the function's lock, on a vCPU thread before the guest's write to
	 * the command register is done, or while vCPUs stand still. NULL: not of interest.
	 */
	void (*mastering_changed)(struct pci_function *f);
};

struct pci_function_params {
	const char *name; /* for traces and messages: "disk0"; the owner's, outlives f */
	uint16_t vendor, device;
	uint16_t subsystem_vendor, subsystem;
	uint32_t class; /* base class << 16 | subclass << 8 | interface */
	uint8_t revision;
	bool has_intx;			    /* uses INTA# */
	const struct pci_function_ops *ops; /* or NULL */
};

enum pci_bar_type { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64, PCI_BAR_UPPER };

/* The rest of a 64-bit BAR has the type PCI_BAR_UPPER. */
struct pci_bar {
	enum pci_bar_type type;
	bool is_mapped; /* region is on its bus */
	struct bus_region region;
};

/*
 * Called on vCPU threads without the function's lock, in place of its configuration space: offset
 * counts from the capability's start; size is 1, 2 or 4 and offset a multiple of it.
 */
struct pci_cap_ops {
	uint32_t (*read)(void *ctx, unsigned offset, unsigned size);
	void (*write)(void *ctx, unsigned offset, unsigned size, uint32_t value);
};

struct pci_msix_vector {
	uint64_t addr;
	uint32_t data;
	bool is_masked, is_pending;
};

/* Everything is private to pci/. */
struct pci_function {
	const char *name;
	const struct pci_function_ops *ops;
	struct pci_root *root;
	unsigned devfn; /* device << 3 | function */
	pthread_mutex_t lock;

	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t initial[PCI_CONFIG_SIZE];  /* after reset */
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits the guest can change */
	unsigned capabilities_end;	   /* where the next capability goes */
	uint8_t last_capability;
	struct pci_bar bars[PCI_NR_BARS];

	/* Capabilities whose accesses, from a byte of theirs on, are the owner's. */
	unsigned nr_hooks;
	struct pci_cap_hook {
		uint8_t cap, start, len; /* the capability, and the hooked bytes */
		const struct pci_cap_ops *ops;
		void *ctx;
	} hooks[PCI_HOOKED_CAPS_MAX];

	bool intx_level;     /* what the owner wants */
	bool intx_is_raised; /* what is seen outside */

	uint8_t msi_cap;     /* 0: none */
	bool msi_is_pending; /* also a bit of the capability */

	uint8_t msix_cap; /* 0: none */
	uint8_t msix_bar;
	unsigned nr_vectors;
	struct pci_msix_vector *vectors;
};

/* ---- description: before pci_root_add() ---- */

/* params is copied. */
void pci_function_init(struct pci_function *f, const struct pci_function_params *params);

/* Leaves the root if it is on one, and frees what f holds. */
void pci_function_fini(struct pci_function *f);

/*
 * Declares BAR index, which must be free (and for PCI_BAR_MEM64 the next as well). size: a power of
 * two, 16 .. 2^62 bytes for memory (below 2^32 for MEM32), 4 .. 256 for I/O. ops and dev as in
 * struct bus_region, offsets count from the BAR's start; accesses come while the BAR is mapped. dev
 * must stay until all vCPUs have stood still once after f has left its root.
 */
void pci_add_bar(struct pci_function *f, unsigned index, enum pci_bar_type type, uint64_t size,
		 const struct bus_ops *ops, void *dev);

/*
 * Appends a capability of len bytes (a multiple of 4): bytes holds all of it, with id and next
 * pointer in the first two, of which the latter is filled in here. writable marks the bits the
 * guest can change; NULL: none. Returns its offset in configuration space.
 */
unsigned pci_add_capability(struct pci_function *f, const void *bytes, const void *writable,
			    unsigned len);

/*
 * Accesses to bytes [start, start + len) of the capability at offset cap, all multiples of 4, go to
 * ops instead. At most PCI_HOOKED_CAPS_MAX times.
 */
void pci_hook_capability(struct pci_function *f, unsigned cap, unsigned start, unsigned len,
			 const struct pci_cap_ops *ops, void *ctx);

/* MSI with one vector: a message instead of INTx, at each rise, once the guest turned it on. */
void pci_add_msi(struct pci_function *f);

/*
 * MSI-X with nr_vectors, 1 .. PCI_MSIX_VECTORS_MAX: adds the capability, and 32-bit memory BAR bar
 * for table and pending bits, which this file serves.
 */
void pci_add_msix(struct pci_function *f, unsigned bar, unsigned nr_vectors);

/* ---- life: by the owner's device_ops ---- */

/*
 * To power-on state: BARs at 0 and not decoded, MSI-X off, INTx low. The root does this for all its
 * functions and gives them addresses; an owner needs it only for a reset of this one function.
 */
void pci_function_reset(struct pci_function *f);

/* Configuration space and vectors; BARs move to where they were, INTx is driven. */
void pci_function_state(struct pci_function *f, struct state *s);

/* ---- use: any thread ---- */

/* INTx: seen by the guest unless it disabled it or MSI-X is on. With MSI on a rise is a message. */
void pci_intx_set(struct pci_function *f, bool level);

/* True once the guest has enabled MSI-X: interrupts must then go to vectors. */
bool pci_msix_is_enabled(struct pci_function *f);

/*
 * Sends the vector's message, or makes it pending while it or the function is masked or the
 * function may not master the bus. Nothing happens with MSI-X off or a vector that is not there.
 */
void pci_msix_notify(struct pci_function *f, unsigned vector);

/*
 * In ops->changed: the message of a vector that pci_msix_notify() would send now. False when there is
 * none, or it would have to wait.
 */
bool pci_msix_message_locked(const struct pci_function *f, unsigned vector, uint64_t *addr,
			     uint32_t *data);

/* May the device access guest memory? */
bool pci_is_bus_master(struct pci_function *f);

/* Where a BAR is now, or PCI_BAR_NOT_MAPPED. In ops->changed use pci_bar_address_locked(). */
uint64_t pci_bar_address(struct pci_function *f, unsigned index);
uint64_t pci_bar_address_locked(const struct pci_function *f, unsigned index);

/* ---- configuration space, for roots: any offset that is a multiple of size 1, 2 or 4 ---- */

uint32_t pci_config_read(struct pci_function *f, unsigned offset, unsigned size);
void pci_config_write(struct pci_function *f, unsigned offset, unsigned size, uint32_t value);

#endif
