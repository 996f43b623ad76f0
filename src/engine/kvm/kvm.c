/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The accelerator that is the Linux kernel's KVM: opening the device, virtual machines, memory
 * slots, messages. Split irqchip: local APICs in the kernel, everything else of the interrupt
 * hardware is the caller's.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/kvm/kvm_impl.h"
#include "x86/regs.h"

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

int kvm_ioctl_value(int fd, unsigned long request, unsigned long value)
{
	return kvm_ioctl(fd, request, (void *)value);
}

int kvm_check(int fd, unsigned cap)
{
	int ret = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, cap);

	return max(ret, 0);
}

int kvm_kick_signal(void)
{
	return SIGRTMIN;
}

static void do_nothing(int signal)
{
}

int kvm_install_kick_signal(void)
{
	/* Without SA_RESTART: KVM_RUN is to return. */
	struct sigaction action = {.sa_handler = do_nothing};

	return sigaction(kvm_kick_signal(), &action, NULL) ? -errno : 0;
}

/* ---- the device ---- */

/* What nothing works without. */
static const struct {
	unsigned cap;
	const char *name;
} needed[] = {
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
	{KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP"},
	{KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING"},
	{KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI"},
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
	{KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
	{KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR"},
	{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
	{KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
	{KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
	{KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
	{KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK"},
};

static int check_device(struct kvm_engine *e, const char *device, struct error *err)
{
	int version = kvm_ioctl_value(e->fd, KVM_GET_API_VERSION, 0);

	if (version < 0)
		return error_set(err, -ENODEV, "%s is not a KVM device", device);
	if (version != KVM_API_VERSION)
		return error_set(err, -ENODEV, "%s has API version %d; %d is needed", device,
				 version, KVM_API_VERSION);
	for (unsigned i = 0; i < ARRAY_SIZE(needed); i++)
		if (!kvm_check(e->fd, needed[i].cap))
			return error_set(err, -ENODEV, "%s lacks %s", device, needed[i].name);
	int size = kvm_ioctl_value(e->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return error_set(err, -ENODEV, "%s gives no shared page", device);
	e->run_size = size;
	return 0;
}

static void read_capabilities(struct kvm_engine *e)
{
	int max_vcpus = kvm_check(e->fd, KVM_CAP_MAX_VCPUS);
	int max_id = kvm_check(e->fd, KVM_CAP_MAX_VCPU_ID);

	if (!max_vcpus)
		max_vcpus = kvm_check(e->fd, KVM_CAP_NR_VCPUS);
	e->max_vcpus = max_vcpus ? max_vcpus : 4; /* as the API says for a kernel without both */
	e->max_vcpu_id = max_id ? (unsigned)max_id : e->max_vcpus;
	e->has_xcrs = kvm_check(e->fd, KVM_CAP_XCRS);
	e->has_read_only_memory = kvm_check(e->fd, KVM_CAP_READONLY_MEM);
	e->has_x2apic_api = kvm_check(e->fd, KVM_CAP_X2APIC_API) & KVM_X2APIC_API_USE_32BIT_IDS;
	e->has_debug = kvm_check(e->fd, KVM_CAP_SET_GUEST_DEBUG);
	e->has_payload = kvm_check(e->fd, KVM_CAP_EXCEPTION_PAYLOAD);
	e->has_doorbells = kvm_check(e->fd, KVM_CAP_IOEVENTFD);
	e->has_doorbells_of_any_size = kvm_check(e->fd, KVM_CAP_IOEVENTFD_ANY_LENGTH);
	e->has_calls = kvm_check(e->fd, KVM_CAP_IRQFD);
	e->clock_flags = kvm_check(e->fd, KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_REALTIME;
}

/*
 * The guest's TSC runs on through a reset, or the TSCs of several vCPUs would be set one after the
 * other and drift apart.
 */
static bool is_clock_msr(uint32_t index)
{
	return index == MSR_IA32_TSC || index == MSR_IA32_TSC_ADJUST;
}

static int read_msr_list(struct kvm_engine *e, struct error *err)
{
	struct kvm_msr_list *list =
		mem_alloc_zero(sizeof(*list) + KVM_MSRS_MAX * sizeof(list->indices[0]));

	list->nmsrs = KVM_MSRS_MAX;
	int ret = kvm_ioctl(e->fd, KVM_GET_MSR_INDEX_LIST, list);
	for (unsigned i = 0; !ret && i < list->nmsrs; i++)
		if (!is_clock_msr(list->indices[i]))
			e->msrs[e->nr_msrs++] = list->indices[i];
	free(list);
	return ret ? error_set_errno(err, ret, "KVM_GET_MSR_INDEX_LIST") : 0;
}

static void kvm_close(struct engine *base)
{
	struct kvm_engine *e = container_of(base, struct kvm_engine, base);

	if (e->fd >= 0)
		close(e->fd);
	free(e);
}

static struct engine *kvm_open(const struct engine_options *opt, bool is_forced, struct error *err)
{
	if (opt->trace_file) {
		error_set(err, -ENOTSUP, "it does not trace guest code");
		return NULL;
	}
	struct kvm_engine *e = mem_alloc_zero(sizeof(*e));
	const char *device = opt->kvm_device ? opt->kvm_device : "/dev/kvm";

	e->fd = open(device, O_RDWR | O_CLOEXEC);
	if (e->fd < 0) {
		error_set_errno(err, -errno, "%s", device);
		goto fail;
	}
	if (check_device(e, device, err))
		goto fail;
	int ret = kvm_install_kick_signal();
	if (ret) {
		error_set_errno(err, ret, "installing the signal that interrupts vCPUs");
		goto fail;
	}
	if (!is_forced && kvm_probe(e->fd, e->run_size, device, err))
		goto fail;
	read_capabilities(e);
	if (read_msr_list(e, err))
		goto fail;
	return &e->base;
fail:
	kvm_close(&e->base);
	return NULL;
}

static unsigned kvm_max_vcpus(const struct engine *e)
{
	return container_of(e, const struct kvm_engine, base)->max_vcpus;
}

/* ---- virtual machines ---- */

static int set_slot(struct kvm_vm *vm, unsigned i, uint32_t flags)
{
	const struct mem_region *r = mem_region_at(vm->mem, i);
	struct kvm_userspace_memory_region slot = {
		.slot = i,
		.flags = flags | (r->is_rom ? KVM_MEM_READONLY : 0),
		.guest_phys_addr = r->gpa,
		.memory_size = r->size,
		.userspace_addr = (uintptr_t)r->host,
	};

	if (r->is_rom && !vm->engine->has_read_only_memory)
		return -ENOTSUP;
	return kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot);
}

static int add_slots(struct kvm_vm *vm, struct error *err)
{
	for (unsigned i = 0; i < mem_nr_regions(vm->mem); i++) {
		int ret = set_slot(vm, i, 0);

		if (ret)
			return error_set_errno(err, ret, "guest memory at 0x%llx",
					       (unsigned long long)mem_region_at(vm->mem, i)->gpa);
	}
	return 0;
}

static int enable(struct kvm_vm *vm, unsigned cap, uint64_t arg)
{
	struct kvm_enable_cap enable = {.cap = cap, .args = {arg}};

	return kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &enable);
}

/* All of this must come before the first vCPU. */
static int set_up(struct kvm_vm *vm, struct error *err)
{
	uint64_t identity_map = KVM_IDENTITY_MAP_GPA;
	int ret = kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);

	if (ret)
		return error_set_errno(err, ret, "KVM_SET_IDENTITY_MAP_ADDR");
	ret = kvm_ioctl_value(vm->fd, KVM_SET_TSS_ADDR, KVM_TSS_GPA);
	if (ret)
		return error_set_errno(err, ret, "KVM_SET_TSS_ADDR");
	ret = enable(vm, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_NR_PINS);
	if (ret)
		return error_set_errno(err, ret, "KVM_CAP_SPLIT_IRQCHIP");
	if (vm->engine->has_x2apic_api)
		ret = enable(vm, KVM_CAP_X2APIC_API,
			     KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	if (ret)
		return error_set_errno(err, ret, "KVM_CAP_X2APIC_API");
	if (vm->engine->has_payload)
		ret = enable(vm, KVM_CAP_EXCEPTION_PAYLOAD, 1);
	if (ret)
		return error_set_errno(err, ret, "KVM_CAP_EXCEPTION_PAYLOAD");
	return add_slots(vm, err);
}

static void kvm_vm_free(struct engine_vm *base)
{
	struct kvm_vm *vm = kvm_vm_of(base);

	if (vm->fd >= 0)
		close(vm->fd);
	kvm_routes_fini(&vm->routes);
	free(vm);
}

static struct engine_vm *kvm_vm_new(struct engine *e, struct mem *mem, struct error *err)
{
	struct kvm_vm *vm = mem_alloc_zero(sizeof(*vm));

	vm->engine = container_of(e, struct kvm_engine, base);
	vm->mem = mem;
	kvm_routes_init(&vm->routes);
	vm->fd = kvm_ioctl_value(vm->engine->fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0) {
		error_set_errno(err, vm->fd, "KVM_CREATE_VM");
		goto fail;
	}
	if (set_up(vm, err))
		goto fail;
	return &vm->base;
fail:
	kvm_vm_free(&vm->base);
	return NULL;
}

/* ---- interrupts ---- */

static int kvm_vm_signal_msi(struct engine_vm *base, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = {.address_lo = (uint32_t)addr, .address_hi = addr >> 32, .data = data};

	/* A positive number means delivered, 0 that it was pending already. */
	return kvm_ioctl(kvm_vm_of(base)->fd, KVM_SIGNAL_MSI, &msi) < 0 ? -EINVAL : 0;
}

/* Where KVM must be told a size it is that of virtio's doorbells; other writes are exits. */
static int kvm_vm_set_doorbell(struct engine_vm *base, gpa_t addr, int eventfd, bool on)
{
	struct kvm_vm *vm = kvm_vm_of(base);
	struct kvm_ioeventfd bell = {
		.addr = addr,
		.len = vm->engine->has_doorbells_of_any_size ? 0 : 2,
		.fd = eventfd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return vm->engine->has_doorbells ? kvm_ioctl(vm->fd, KVM_IOEVENTFD, &bell) : -ENOTSUP;
}

/* ---- clock and dirty pages ---- */

static int kvm_vm_get_clock(struct engine_vm *vm, struct kvm_clock_data *clock)
{
	return kvm_ioctl(kvm_vm_of(vm)->fd, KVM_GET_CLOCK, clock);
}

static int kvm_vm_set_clock(struct engine_vm *base, const struct kvm_clock_data *clock)
{
	struct kvm_vm *vm = kvm_vm_of(base);
	struct kvm_clock_data copy = *clock;

	/* The other flags only describe what was read. */
	copy.flags &= vm->engine->clock_flags;
	return kvm_ioctl(vm->fd, KVM_SET_CLOCK, &copy);
}

static int kvm_vm_log_dirty(struct engine_vm *vm, unsigned region, bool on)
{
	if (region >= mem_nr_regions(kvm_vm_of(vm)->mem))
		return -EINVAL;
	return set_slot(kvm_vm_of(vm), region, on ? KVM_MEM_LOG_DIRTY_PAGES : 0);
}

static int kvm_vm_get_dirty(struct engine_vm *vm, unsigned region, uint64_t *bitmap)
{
	struct kvm_dirty_log log = {.slot = region, .dirty_bitmap = bitmap};

	if (region >= mem_nr_regions(kvm_vm_of(vm)->mem))
		return -EINVAL;
	return kvm_ioctl(kvm_vm_of(vm)->fd, KVM_GET_DIRTY_LOG, &log);
}

const struct engine_ops kvm_engine_ops = {
	.name = "kvm",
	.open = kvm_open,
	.close = kvm_close,
	.max_vcpus = kvm_max_vcpus,
	.filter_cpuid = kvm_filter_cpuid,
	.vm_new = kvm_vm_new,
	.vm_free = kvm_vm_free,
	.vm_signal_msi = kvm_vm_signal_msi,
	.vm_set_ioapic_routes = kvm_vm_set_ioapic_routes,
	.vm_set_doorbell = kvm_vm_set_doorbell,
	.vm_set_call = kvm_vm_set_call,
	.vm_get_clock = kvm_vm_get_clock,
	.vm_set_clock = kvm_vm_set_clock,
	.vm_log_dirty = kvm_vm_log_dirty,
	.vm_get_dirty = kvm_vm_get_dirty,
	.vcpu_new = kvm_vcpu_new,
	.vcpu_free = kvm_vcpu_free,
	.vcpu_reset = kvm_vcpu_reset,
	.vcpu_shared = kvm_vcpu_shared,
	.vcpu_run = kvm_vcpu_run,
	.vcpu_settle = kvm_vcpu_settle,
	.vcpu_kick = kvm_vcpu_kick,
	.vcpu_interrupt = kvm_vcpu_interrupt,
	.vcpu_nmi = kvm_vcpu_nmi,
	.vcpu_get_regs = kvm_vcpu_get_regs,
	.vcpu_set_regs = kvm_vcpu_set_regs,
	.vcpu_get_sregs = kvm_vcpu_get_sregs,
	.vcpu_set_sregs = kvm_vcpu_set_sregs,
	.vcpu_get_xsave = kvm_vcpu_get_xsave,
	.vcpu_set_xsave = kvm_vcpu_set_xsave,
	.vcpu_get_xcrs = kvm_vcpu_get_xcrs,
	.vcpu_set_xcrs = kvm_vcpu_set_xcrs,
	.vcpu_get_debugregs = kvm_vcpu_get_debugregs,
	.vcpu_set_debugregs = kvm_vcpu_set_debugregs,
	.vcpu_get_events = kvm_vcpu_get_events,
	.vcpu_set_events = kvm_vcpu_set_events,
	.vcpu_get_lapic = kvm_vcpu_get_lapic,
	.vcpu_set_lapic = kvm_vcpu_set_lapic,
	.vcpu_get_mp_state = kvm_vcpu_get_mp_state,
	.vcpu_set_mp_state = kvm_vcpu_set_mp_state,
	.vcpu_get_msrs = kvm_vcpu_get_msrs,
	.vcpu_set_msrs = kvm_vcpu_set_msrs,
	.vcpu_set_guest_debug = kvm_vcpu_set_guest_debug,
	.vcpu_translate = kvm_vcpu_translate,
	.vcpu_tsc_khz = kvm_vcpu_tsc_khz,
};
