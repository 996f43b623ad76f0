/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's hypercalls (Documentation/virt/kvm/x86/hypercalls.rst): the number in RAX, arguments in
 * RBX, RCX, RDX and RSI, the result in RAX. Of them the multi-target IPI and the pairing of clocks are
 * there; what only spares exits is not.
 */
#include <linux/kvm_para.h>

#include "engine/soft/lapic.h"
#include "engine/soft/pvclock.h"
#include "engine/soft/soft.h"
#include "engine/soft/system.h"

static int64_t send_ipi(struct cpu *c)
{
	bool is_long = cpu_in_64bit(c);
	uint64_t mask = is_long ? UINT64_MAX : UINT32_MAX;
	uint64_t ids[2] = {c->gpr[RBX] & mask, c->gpr[RCX] & mask};
	uint32_t second = (uint32_t)c->gpr[RDX] + (is_long ? 64 : 32);
	uint32_t icr = (uint32_t)c->gpr[RSI];
	int first = lapic_bus_multi_ipi(c->vm->lapics, (uint32_t)c->gpr[RDX], ids[0], icr);
	int rest;

	if (first < 0)
		return -KVM_EINVAL;
	/* Past the last id there is nobody. */
	rest = second < (uint32_t)c->gpr[RDX]
		       ? 0
		       : lapic_bus_multi_ipi(c->vm->lapics, second, ids[1], icr);
	return first + rest;
}

uint64_t hypercall(struct cpu *c)
{
	bool is_long = cpu_in_64bit(c);
	uint32_t number = (uint32_t)c->gpr[RAX];
	int64_t result = -KVM_ENOSYS;

	if (c->cpl)
		result = -KVM_EPERM;
	else if (is_long && c->gpr[RAX] >> 32)
		result = -KVM_ENOSYS;
	else if (number == KVM_HC_SEND_IPI)
		result = send_ipi(c);
	else if (number == KVM_HC_CLOCK_PAIRING)
		result = pvclock_pair(c, c->gpr[RBX] & (is_long ? UINT64_MAX : UINT32_MAX),
				      (uint32_t)c->gpr[RCX]);
	return is_long ? (uint64_t)result : (uint32_t)result;
}
