/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests of engine.h's contract that hold for every engine: each guest is a few instructions, and
 * tells its results by port writes, memory or registers.
 */
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "engine/state.h"
#include "unit/engine/tiny_guest.h"

/* ---- ports ---- */

GUEST_CODE(port_guest, 16,
	   "mov $0x5a, %al\n"
	   "out %al, $0x80\n"
	   "mov $0x1234, %dx\n"
	   "in %dx, %ax\n"
	   "mov %ax, 0x500\n"
	   "inc %ax\n"
	   "out %ax, $0xf0\n"
	   "hlt\n");

static void real_mode_guest_reads_and_writes_ports(void **state)
{
	struct tiny t;
	uint16_t in = 0xbeef;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, port_guest);
	tiny_real_mode(&t);
	assert_int_equal(tiny_expect_out(&t, 0x80), 0x5a);
	tiny_expect(&t, KVM_EXIT_IO);
	assert_int_equal(t.run->io.direction, KVM_EXIT_IO_IN);
	assert_int_equal(t.run->io.port, 0x1234);
	assert_int_equal(t.run->io.size, 2);
	memcpy(tiny_io_data(&t), &in, 2);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 0xbef0);
	assert_int_equal(tiny_get64(&t, 0x500) & 0xffff, 0xbeef);
	tiny_close(&t);
}

static void port_read_completes_with_immediate_exit(void **state)
{
	struct tiny t;
	struct kvm_regs regs;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, port_guest);
	tiny_real_mode(&t);
	tiny_expect_out(&t, 0x80);
	tiny_expect(&t, KVM_EXIT_IO);
	memcpy(tiny_io_data(&t), "\x11\x22", 2);
	t.run->immediate_exit = 1;
	assert_int_equal(engine_vcpu_run(t.vcpu[0]), -EINTR);
	t.run->immediate_exit = 0;
	engine_vcpu_get_regs(t.vcpu[0], &regs);
	assert_int_equal(regs.rax & 0xffff, 0x2211);
	assert_int_equal(regs.rip, PHYS_CODE + 8);
	tiny_close(&t);
}

GUEST_CODE(string_guest, 16,
	   "cld\n"
	   "mov $0x600, %di\n"
	   "mov $3, %cx\n"
	   "mov $0x70, %dx\n"
	   "rep insb\n"
	   "mov $0x600, %si\n"
	   "mov $3, %cx\n"
	   "rep outsb\n"
	   "out %al, $0xf0\n");

static void repeated_port_strings_move_every_element(void **state)
{
	struct tiny t;
	uint8_t seen[8];
	unsigned nr_in = 0, nr_out = 0;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, string_guest);
	tiny_real_mode(&t);
	for (;;) {
		tiny_expect(&t, KVM_EXIT_IO);
		if (t.run->io.port == STOP_PORT)
			break;
		assert_int_equal(t.run->io.port, 0x70);
		for (unsigned n = 0; n < t.run->io.count; n++) {
			if (t.run->io.direction == KVM_EXIT_IO_IN)
				tiny_io_data(&t)[n] = (uint8_t)(0xa0 + nr_in++);
			else
				seen[nr_out++ % sizeof(seen)] = tiny_io_data(&t)[n];
		}
	}
	assert_int_equal(nr_in, 3);
	assert_int_equal(nr_out, 3);
	assert_memory_equal(seen, "\xa0\xa1\xa2", 3);
	tiny_close(&t);
}

/* ---- memory-mapped devices ---- */

GUEST_CODE(mmio_guest, 64,
	   "mov $0xd0000000, %ebx\n"
	   "mov 8(%rbx), %eax\n"
	   "mov %ax, 0x10(%rbx)\n"
	   "addl $3, 0x20(%rbx)\n"
	   "push 0x28(%rbx)\n"
	   "pop %rcx\n"
	   "mov %ecx, %eax\n"
	   "out %eax, $0xf0\n");

static void device_accesses_leave_and_complete(void **state)
{
	struct tiny t;
	uint64_t data = 0x1122334455667788;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, mmio_guest);
	tiny_long_mode(&t);

	tiny_expect(&t, KVM_EXIT_MMIO);
	assert_false(t.run->mmio.is_write);
	assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 8);
	assert_int_equal(t.run->mmio.len, 4);
	memcpy(t.run->mmio.data, "\x78\x56\x34\x12", 4);

	tiny_expect(&t, KVM_EXIT_MMIO);
	assert_true(t.run->mmio.is_write);
	assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 0x10);
	assert_int_equal(t.run->mmio.len, 2);
	assert_memory_equal(t.run->mmio.data, "\x78\x56", 2);

	tiny_expect(&t, KVM_EXIT_MMIO);
	assert_false(t.run->mmio.is_write);
	assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 0x20);
	memcpy(t.run->mmio.data, "\x0a\x00\x00\x00", 4);
	tiny_expect(&t, KVM_EXIT_MMIO);
	assert_true(t.run->mmio.is_write);
	assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 0x20);
	assert_memory_equal(t.run->mmio.data, "\x0d\x00\x00\x00", 4);

	tiny_expect(&t, KVM_EXIT_MMIO);
	assert_false(t.run->mmio.is_write);
	assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 0x28);
	assert_int_equal(t.run->mmio.len, 8);
	memcpy(t.run->mmio.data, &data, 8);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 0x55667788);
	tiny_close(&t);
}

GUEST_CODE(doorbell_guest, 64,
	   "mov $0xd0000000, %ebx\n"
	   "mov %ax, 0x10(%rbx)\n"
	   "mov %ax, 0x10(%rbx)\n"
	   "mov %ax, 0x14(%rbx)\n"
	   "mov %ax, 0x10(%rbx)\n");

/* Where an engine has no doorbells it says so, and their writes are exits like others. */
static void doorbell_signals_without_an_exit(void **state)
{
	struct tiny t;
	uint64_t count = 0;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, doorbell_guest);
	tiny_long_mode(&t);
	int ret = engine_vm_set_doorbell(t.vm, PHYS_MMIO + 0x10, fd, true);
	if (ret == -ENOTSUP) {
		tiny_expect(&t, KVM_EXIT_MMIO);
		assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 0x10);
	} else {
		assert_int_equal(ret, 0);
		tiny_expect(&t, KVM_EXIT_MMIO);
		assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 0x14);
		assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
		assert_int_equal(count, 2);
		assert_int_equal(engine_vm_set_doorbell(t.vm, PHYS_MMIO + 0x10, fd, false), 0);
		tiny_expect(&t, KVM_EXIT_MMIO);
		assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 0x10);
	}
	close(fd);
	tiny_close(&t);
}

GUEST_CODE(mmio_string_guest, 64,
	   "mov $0xd0000000, %esi\n"
	   "mov $0x10000, %edi\n"
	   "mov $3, %ecx\n"
	   "rep movsl\n"
	   "out %al, $0xf0\n");

static void string_move_from_a_device_reads_each_element_once(void **state)
{
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, mmio_string_guest);
	tiny_long_mode(&t);
	for (uint32_t n = 0; n < 3; n++) {
		uint32_t value = 0x100 + n;

		tiny_expect(&t, KVM_EXIT_MMIO);
		assert_int_equal(t.run->mmio.phys_addr, PHYS_MMIO + 4 * n);
		memcpy(t.run->mmio.data, &value, 4);
	}
	tiny_expect_out(&t, STOP_PORT);
	assert_int_equal(tiny_get64(&t, PHYS_DATA), 0x10100000100ull);
	assert_int_equal(tiny_get64(&t, PHYS_DATA + 8) & 0xffffffff, 0x102);
	tiny_close(&t);
}

static void device_read_completes_with_immediate_exit(void **state)
{
	struct tiny t;
	struct kvm_regs regs;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, mmio_guest);
	tiny_long_mode(&t);
	tiny_expect(&t, KVM_EXIT_MMIO);
	memcpy(t.run->mmio.data, "\x01\x02\x03\x04", 4);
	t.run->immediate_exit = 1;
	assert_int_equal(engine_vcpu_run(t.vcpu[0]), -EINTR);
	engine_vcpu_get_regs(t.vcpu[0], &regs);
	assert_int_equal(regs.rax, 0x04030201);
	assert_int_equal(regs.rip, PHYS_CODE + 8);
	tiny_close(&t);
}

GUEST_CODE(endless_store_guest, 64,
	   "mov $0xd0000000, %edi\n"
	   "mov $0x10000000, %ecx\n"
	   "rep stosb\n");

/* An engine may do some more elements first, but each one it is answered for is done. */
static void repeated_store_to_a_device_can_be_left(void **state)
{
	struct tiny t;
	struct kvm_regs regs;
	uint64_t done = 0;
	int rc = 0;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, endless_store_guest);
	tiny_long_mode(&t);
	tiny_expect(&t, KVM_EXIT_MMIO);
	while (!rc && done < 2000) {
		assert_int_equal(t.run->exit_reason, KVM_EXIT_MMIO);
		done++;
		t.run->immediate_exit = 1;
		rc = engine_vcpu_run(t.vcpu[0]);
	}
	assert_int_equal(rc, -EINTR);
	engine_vcpu_get_regs(t.vcpu[0], &regs);
	assert_int_equal(regs.rcx, 0x10000000 - done);
	assert_int_equal(regs.rip, PHYS_CODE + 10);
	tiny_close(&t);
}

/* ---- code that changes ---- */

GUEST_CODE(self_modifying_guest, 64,
	   "xor %eax, %eax\n"
	   "lea patched(%rip), %rbx\n"
	   "mov $100, %ecx\n"
	   "again:\n"
	   "mov %cl, 1(%rbx)\n"
	   "nop\n"
	   "patched: mov $0, %dl\n"
	   "movzx %dl, %edx\n"
	   "add %edx, %eax\n"
	   "dec %ecx\n"
	   "jnz again\n"
	   "out %eax, $0xf0\n");

static void store_into_the_running_code_takes_effect_at_once(void **state)
{
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, self_modifying_guest);
	tiny_long_mode(&t);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 5050);
	tiny_close(&t);
}

GUEST_CODE(patched_function_guest, 64,
	   "mov $0x10000, %ebx\n"
	   "movw $0x01b0, (%rbx)\n" /* mov $1, %al */
	   "movb $0xc3, 2(%rbx)\n"  /* ret */
	   "call *%rbx\n"
	   "out %al, $0xf0\n"
	   "movb $2, 1(%rbx)\n"
	   "call *%rbx\n"
	   "out %al, $0xf0\n"
	   "lock incb 1(%rbx)\n"
	   "call *%rbx\n"
	   "out %al, $0xf0\n"
	   "mov $0x04b0, %eax\n"
	   "lea 0(%rbx), %edi\n"
	   "mov $1, %ecx\n"
	   "rep stosw\n"
	   "call *%rbx\n"
	   "out %al, $0xf0\n"
	   "call *%rbx\n"
	   "out %al, $0xf0\n");

static void changed_functions_run_anew(void **state)
{
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, patched_function_guest);
	tiny_long_mode(&t);
	for (unsigned n = 1; n <= 4; n++)
		assert_int_equal(tiny_expect_out(&t, STOP_PORT), n);
	/* A device's write counts as well. */
	assert_int_equal(mem_write(t.mem, PHYS_DATA + 1, "\x77", 1), 0);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 0x77);
	tiny_close(&t);
}

/* One instruction on the border between two pages, changed in its second part. */
GUEST_CODE(crossing_guest, 64,
	   "mov $0x10ffe, %ebx\n"
	   "movl $0x111111b8, (%rbx)\n" /* mov $0x11111111, %eax */
	   "movw $0xc311, 4(%rbx)\n"
	   "call *%rbx\n"
	   "out %eax, $0xf0\n"
	   "movb $0x22, 4(%rbx)\n"
	   "call *%rbx\n"
	   "out %eax, $0xf0\n");

static void instruction_across_pages_sees_changes_in_both(void **state)
{
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, crossing_guest);
	tiny_long_mode(&t);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 0x11111111);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 0x22111111);
	tiny_close(&t);
}

/* ---- faults ---- */

GUEST_CODE(fault_guest, 64,
	   "mov $0x10000, %ebx\n"
	   "mov $7, %eax\n"
	   "mov %eax, (%rbx)\n"
	   "lea target(%rip), %rcx\n"
	   "movl $1, -0x3ffffedd\n"
	   "target: hlt\n");
GUEST_CODE(fault_handler, 64,
	   "pop %rax\n"
	   "out %eax, $0x80\n"
	   "mov %cr2, %rax\n"
	   "out %eax, $0x81\n"
	   "pop %rax\n"
	   "sub %rcx, %rax\n"
	   "out %eax, $0x82\n");

static void page_fault_tells_address_error_and_rip(void **state)
{
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, fault_guest);
	tiny_load(&t, PHYS_CODE + 0x100, fault_handler);
	tiny_long_mode(&t);
	tiny_gate64(&t, VEC_PF, PHYS_CODE + 0x100);
	/* 0xffffffffc0000123 has no entry in the top-level table; 0xc0000123 as signed disp32. */
	assert_int_equal(tiny_expect_out(&t, 0x80), PF_WRITE);
	assert_int_equal(tiny_expect_out(&t, 0x81), 0xc0000123);
	assert_int_equal((int32_t)tiny_expect_out(&t, 0x82), -11);
	tiny_close(&t);
}

GUEST_CODE(triple_guest, 64, "ud2\n");

static void fault_without_idt_is_a_shutdown(void **state)
{
	struct tiny t;
	struct kvm_sregs s;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, triple_guest);
	tiny_long_mode(&t);
	engine_vcpu_get_sregs(t.vcpu[0], &s);
	s.idt.limit = 0;
	engine_vcpu_set_sregs(t.vcpu[0], &s);
	tiny_expect(&t, KVM_EXIT_SHUTDOWN);
	tiny_close(&t);
}

/* ---- interrupts ---- */

GUEST_CODE(halt_guest, 64,
	   "mov $0x1b, %ecx\n"
	   "rdmsr\n"
	   "or $0xc00, %eax\n" /* x2APIC */
	   "wrmsr\n"
	   "mov $0x80f, %ecx\n"
	   "mov $0x1ff, %eax\n"
	   "xor %edx, %edx\n"
	   "wrmsr\n"
	   "sti\n"
	   "hlt\n"
	   "mov $0x33, %al\n"
	   "out %al, $0xf0\n");
GUEST_CODE(interrupt_handler, 64,
	   "mov $0x80b, %ecx\n"
	   "xor %eax, %eax\n"
	   "xor %edx, %edx\n"
	   "wrmsr\n"
	   "mov $0x44, %al\n"
	   "out %al, $0x80\n"
	   "iretq\n");

static void sleep_ms(long ms)
{
	const struct timespec time = {.tv_nsec = ms * 1000000};

	nanosleep(&time, NULL);
}

static void *send_msi(void *arg)
{
	struct tiny *t = arg;

	sleep_ms(30);
	engine_vm_signal_msi(t->vm, 0xfee00000, 0x60);
	return NULL;
}

/* A guest that halts and says which vector, 0x60, woke it. */
static void open_halted(struct tiny *t)
{
	tiny_open(t, 1);
	tiny_load(t, PHYS_CODE, halt_guest);
	tiny_load(t, PHYS_CODE + 0x100, interrupt_handler);
	tiny_long_mode(t);
	tiny_gate64(t, 0x60, PHYS_CODE + 0x100);
}

static void message_wakes_a_halted_vcpu(void **state)
{
	struct tiny t;
	pthread_t thread;

	open_halted(&t);
	pthread_create(&thread, NULL, send_msi, &t);
	assert_int_equal(tiny_expect_out(&t, 0x80), 0x44);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 0x33);
	pthread_join(thread, NULL);
	tiny_close(&t);
}

static void *signal_call(void *arg)
{
	const uint64_t one = 1;

	sleep_ms(30);
	assert_int_equal(write(*(int *)arg, &one, sizeof(one)), sizeof(one));
	return NULL;
}

/* Its message at the time counts. After the end, and where an engine has no calls, signals stay. */
static void call_is_a_message_to_a_halted_vcpu(void **state)
{
	const struct engine_message other = {0xfee00000, 0x61}, message = {0xfee00000, 0x60};
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t count = 1;
	struct tiny t;
	pthread_t thread;

	open_halted(&t);
	if (engine_vm_set_call(t.vm, fd, &other) == -ENOTSUP) {
		assert_true(engine_must_hear_of_writes(t.engine));
	} else {
		assert_false(engine_must_hear_of_writes(t.engine));
		assert_int_equal(engine_vm_set_call(t.vm, fd, &message), 0);
		pthread_create(&thread, NULL, signal_call, &fd);
		assert_int_equal(tiny_expect_out(&t, 0x80), 0x44);
		assert_int_equal(tiny_expect_out(&t, STOP_PORT), 0x33);
		pthread_join(thread, NULL);
	}
	assert_int_equal(engine_vm_set_call(t.vm, fd, NULL) & ~-ENOTSUP, 0);
	assert_int_equal(write(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	close(fd);
	tiny_close(&t);
}

GUEST_CODE(spin_guest, 64,
	   "sti\n"
	   "1: jmp 1b\n");
GUEST_CODE(out_handler, 64,
	   "mov $0x55, %al\n"
	   "out %al, $0xf0\n"
	   "iretq\n");

static void *kick_vcpu(void *arg)
{
	struct tiny *t = arg;

	sleep_ms(30);
	engine_vcpu_kick(t->vcpu[0]);
	return NULL;
}

static void kick_ends_a_running_vcpu(void **state)
{
	struct tiny t;
	pthread_t thread;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, spin_guest);
	tiny_long_mode(&t);
	pthread_create(&thread, NULL, kick_vcpu, &t);
	assert_int_equal(engine_vcpu_run(t.vcpu[0]), -EINTR);
	pthread_join(thread, NULL);
	tiny_close(&t);
}

static void kick_before_entry_is_not_lost(void **state)
{
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, spin_guest);
	tiny_long_mode(&t);
	engine_vcpu_kick(t.vcpu[0]);
	assert_int_equal(engine_vcpu_run(t.vcpu[0]), -EINTR);
	tiny_close(&t);
}

static void pic_vector_is_taken_through_the_window(void **state)
{
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, spin_guest);
	tiny_load(&t, PHYS_CODE + 0x100, out_handler);
	tiny_long_mode(&t);
	tiny_gate64(&t, 0x28, PHYS_CODE + 0x100);
	/* The local APIC as firmware leaves it passes the PIC's line: it is software disabled. */
	t.run->request_interrupt_window = 1;
	tiny_expect(&t, KVM_EXIT_IRQ_WINDOW_OPEN);
	assert_true(t.run->ready_for_interrupt_injection);
	t.run->request_interrupt_window = 0;
	assert_int_equal(engine_vcpu_interrupt(t.vcpu[0], 0x28), 0);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 0x55);
	assert_false(t.run->if_flag);
	tiny_close(&t);
}

static void settled_vcpu_tells_of_the_pics_vector(void **state)
{
	struct tiny t;
	struct kvm_vcpu_events ev;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, spin_guest);
	tiny_long_mode(&t);
	t.run->request_interrupt_window = 1;
	tiny_expect(&t, KVM_EXIT_IRQ_WINDOW_OPEN);
	assert_int_equal(engine_vcpu_interrupt(t.vcpu[0], 0x28), 0);
	engine_vcpu_kick(t.vcpu[0]);
	assert_int_equal(engine_vcpu_run(t.vcpu[0]), -EINTR);
	assert_int_equal(engine_vcpu_settle(t.vcpu[0]), -EINTR);
	assert_int_equal(engine_vcpu_get_events(t.vcpu[0], &ev), 0);
	assert_true(ev.interrupt.injected);
	assert_int_equal(ev.interrupt.nr, 0x28);
	tiny_close(&t);
}

static void settled_vcpu_tells_of_an_nmi(void **state)
{
	struct tiny t;
	struct kvm_vcpu_events ev;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, spin_guest);
	tiny_long_mode(&t);
	engine_vcpu_nmi(t.vcpu[0]);
	assert_int_equal(engine_vcpu_settle(t.vcpu[0]), -EINTR);
	assert_int_equal(engine_vcpu_get_events(t.vcpu[0], &ev), 0);
	assert_true(ev.nmi.pending || ev.nmi.injected);
	tiny_close(&t);
}

static void nmi_reaches_a_running_vcpu(void **state)
{
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, spin_guest);
	tiny_load(&t, PHYS_CODE + 0x100, out_handler);
	tiny_long_mode(&t);
	tiny_gate64(&t, VEC_NMI, PHYS_CODE + 0x100);
	assert_int_equal(engine_vcpu_nmi(t.vcpu[0]), 0);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 0x55);
	tiny_close(&t);
}

GUEST_CODE(timer_guest, 64,
	   "mov $0x1b, %ecx\n"
	   "rdmsr\n"
	   "or $0xc00, %eax\n"
	   "wrmsr\n"
	   "xor %edx, %edx\n"
	   "mov $0x80f, %ecx\n"
	   "mov $0x1ff, %eax\n"
	   "wrmsr\n"
	   "mov $0x832, %ecx\n" /* LVT timer: TSC deadline, vector 0x60 */
	   "mov $0x40060, %eax\n"
	   "wrmsr\n"
	   "mfence\n"
	   "rdtsc\n"
	   "add $20000000, %eax\n"
	   "adc $0, %edx\n"
	   "mov $0x6e0, %ecx\n"
	   "wrmsr\n"
	   "sti\n"
	   "1: jmp 1b\n");

static void deadline_interrupts_running_code(void **state)
{
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, timer_guest);
	tiny_load(&t, PHYS_CODE + 0x100, interrupt_handler);
	tiny_long_mode(&t);
	tiny_gate64(&t, 0x60, PHYS_CODE + 0x100);
	assert_int_equal(tiny_expect_out(&t, 0x80), 0x44);
	tiny_close(&t);
}

GUEST_CODE(one_shot_guest, 64,
	   "mov $0x1b, %ecx\n"
	   "rdmsr\n"
	   "or $0xc00, %eax\n"
	   "wrmsr\n"
	   "xor %edx, %edx\n"
	   "mov $0x80f, %ecx\n"
	   "mov $0x1ff, %eax\n"
	   "wrmsr\n"
	   "mov $0x832, %ecx\n" /* LVT timer: one shot, vector 0x60 */
	   "mov $0x60, %eax\n"
	   "wrmsr\n"
	   "mov $0x838, %ecx\n" /* 2 ms */
	   "mov $1000000, %eax\n"
	   "wrmsr\n"
	   "cli\n"
	   "out %al, $0xf0\n");

static void settled_vcpu_tells_of_an_expired_timer(void **state)
{
	const struct timespec pause = {.tv_nsec = 20 * NS_PER_MS};
	struct kvm_lapic_state lapic;
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, one_shot_guest);
	tiny_long_mode(&t);
	tiny_expect_out(&t, STOP_PORT);
	nanosleep(&pause, NULL);
	assert_int_equal(engine_vcpu_settle(t.vcpu[0]), -EINTR);
	assert_int_equal(engine_vcpu_get_lapic(t.vcpu[0], &lapic), 0);
	assert_int_equal(lapic.regs[0x230] & 1, 1); /* IRR, 0x60 */
	tiny_close(&t);
}

/* ---- a second processor ---- */

GUEST_CODE(bsp_guest, 64,
	   "mov $0xfee00000, %ebx\n"
	   "movl $0x1ff, 0xf0(%rbx)\n"
	   "movl $0x01000000, 0x310(%rbx)\n"
	   "movl $0x4500, 0x300(%rbx)\n" /* INIT */
	   "movl $0x01000000, 0x310(%rbx)\n"
	   "movl $0x4609, 0x300(%rbx)\n" /* start at 0x9000 */
	   "1: pause\n"
	   "mov 0x10000, %eax\n"
	   "test %eax, %eax\n"
	   "jz 1b\n"
	   "out %eax, $0xf0\n");
GUEST_CODE(ap_guest, 16,
	   "mov $0x1000, %ax\n"
	   "mov %ax, %ds\n"
	   "mov %cs, %ax\n"
	   "mov %ax, 0\n"
	   "cli\n"
	   "hlt\n");

static void *run_second(void *arg)
{
	struct tiny *t = arg;

	return (void *)(intptr_t)engine_vcpu_run(t->vcpu[1]);
}

static void second_vcpu_starts_where_it_is_told(void **state)
{
	struct tiny t;
	pthread_t thread;
	void *result;
	struct kvm_mp_state mp;

	tiny_open(&t, 2);
	tiny_load(&t, PHYS_CODE, bsp_guest);
	tiny_load(&t, 0x9000, ap_guest);
	tiny_long_mode(&t);
	engine_vcpu_get_mp_state(t.vcpu[1], &mp);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_UNINITIALIZED);
	pthread_create(&thread, NULL, run_second, &t);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 0x900);
	sleep_ms(20);
	engine_vcpu_kick(t.vcpu[1]);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -EINTR);
	engine_vcpu_get_mp_state(t.vcpu[1], &mp);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_HALTED);
	tiny_close(&t);
}

GUEST_CODE(patching_guest, 64,
	   "mov $0xfee00000, %ebx\n"
	   "movl $0x1ff, 0xf0(%rbx)\n"
	   "movl $0x01000000, 0x310(%rbx)\n"
	   "movl $0x4500, 0x300(%rbx)\n"
	   "movl $0x01000000, 0x310(%rbx)\n"
	   "movl $0x4609, 0x300(%rbx)\n"
	   "1: pause\n"
	   "cmpl $1000, 0x10000\n"
	   "jb 1b\n"
	   "movb $0x01, 0x9100\n" /* the AP's ADD becomes one of CX... */
	   "movl $0, 0x10004\n"
	   "2: pause\n"
	   "cmpl $0, 0x10004\n"
	   "je 2b\n"
	   "mov 0x10004, %eax\n"
	   "out %eax, $0xf0\n");
/* Counts at 0x10000; the byte at 0x9100 is the constant it also stores at 0x10004. */
GUEST_CODE(counting_guest, 16,
	   "mov $0x1000, %ax\n"
	   "mov %ax, %ds\n"
	   "jmp 1f\n"
	   ".fill 0xff - (. - counting_guest), 1, 0x90\n"
	   "1: mov $0, %al\n"
	   "movzx %al, %eax\n"
	   "incl 0\n"
	   "test %eax, %eax\n"
	   "jz 1b\n"
	   "mov %eax, 4\n"
	   "2: hlt\n"
	   "jmp 2b\n");

static void other_vcpu_sees_patched_code(void **state)
{
	struct tiny t;
	pthread_t thread;

	tiny_open(&t, 2);
	tiny_load(&t, PHYS_CODE, patching_guest);
	tiny_load(&t, 0x9000, counting_guest);
	tiny_long_mode(&t);
	pthread_create(&thread, NULL, run_second, &t);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 1);
	engine_vcpu_kick(t.vcpu[1]);
	pthread_join(thread, NULL);
	tiny_close(&t);
}

/* ---- state ---- */

static void registers_survive_a_round_trip(void **state)
{
	struct kvm_regs regs, regs2;
	struct kvm_sregs sregs, sregs2;
	struct kvm_debugregs dr, dr2;
	struct tiny t;

	tiny_open(&t, 1);
	tiny_long_mode(&t);
	engine_vcpu_get_regs(t.vcpu[0], &regs);
	for (unsigned n = 0; n < 16; n++)
		((uint64_t *)&regs)[n] = 0x0101010101010101ull * (n + 1);
	regs.rflags = 0x246;
	assert_int_equal(engine_vcpu_set_regs(t.vcpu[0], &regs), 0);
	engine_vcpu_get_regs(t.vcpu[0], &regs2);
	assert_memory_equal(&regs, &regs2, sizeof(regs));

	engine_vcpu_get_sregs(t.vcpu[0], &sregs);
	sregs.cr2 = 0x123456789;
	sregs.cr8 = 5;
	sregs.fs.base = 0x7f0012345678;
	assert_int_equal(engine_vcpu_set_sregs(t.vcpu[0], &sregs), 0);
	engine_vcpu_get_sregs(t.vcpu[0], &sregs2);
	assert_memory_equal(&sregs, &sregs2, sizeof(sregs));

	memset(&dr, 0, sizeof(dr));
	dr.db[2] = 0x1000;
	dr.dr6 = 0xffff0ff0;
	dr.dr7 = 0x420;
	assert_int_equal(engine_vcpu_set_debugregs(t.vcpu[0], &dr), 0);
	engine_vcpu_get_debugregs(t.vcpu[0], &dr2);
	assert_memory_equal(&dr, &dr2, sizeof(dr));
	tiny_close(&t);
}

static void impossible_system_registers_are_refused(void **state)
{
	struct kvm_sregs sregs, bad;
	struct tiny t;

	tiny_open(&t, 1);
	tiny_long_mode(&t);
	engine_vcpu_get_sregs(t.vcpu[0], &sregs);
	bad = sregs;
	bad.efer &= ~(uint64_t)EFER_LMA;
	assert_int_equal(engine_vcpu_set_sregs(t.vcpu[0], &bad), -EINVAL);
	bad = sregs;
	bad.cr4 &= ~(uint64_t)CR4_PAE;
	assert_int_equal(engine_vcpu_set_sregs(t.vcpu[0], &bad), -EINVAL);
	bad = sregs;
	bad.cr4 |= BIT64(40);
	assert_int_equal(engine_vcpu_set_sregs(t.vcpu[0], &bad), -EINVAL);
	/* One that is refused changes nothing. */
	bad = sregs;
	bad.cr0 |= CR0_AM;
	bad.apic_base |= 1;
	assert_int_equal(engine_vcpu_set_sregs(t.vcpu[0], &bad), -EINVAL);
	engine_vcpu_get_sregs(t.vcpu[0], &bad);
	assert_int_equal(bad.cr0, sregs.cr0);
	tiny_close(&t);
}

static void msrs_survive_a_round_trip(void **state)
{
	struct kvm_msr_entry set[] = {{.index = MSR_LSTAR, .data = 0xffffffff81000000},
				      {.index = MSR_KERNEL_GS_BASE, .data = 0xffff888000000000},
				      {.index = MSR_IA32_SYSENTER_ESP, .data = 0x1234}};
	struct kvm_msr_entry get[] = {{.index = MSR_LSTAR},
				      {.index = MSR_KERNEL_GS_BASE},
				      {.index = MSR_IA32_SYSENTER_ESP}};
	struct kvm_msr_entry unknown[] = {{.index = MSR_LSTAR}, {.index = 0x7fffffff}};
	struct tiny t;

	tiny_open(&t, 1);
	assert_int_equal(engine_vcpu_set_msrs(t.vcpu[0], set, 3), 3);
	assert_int_equal(engine_vcpu_get_msrs(t.vcpu[0], get, 3), 3);
	for (unsigned n = 0; n < 3; n++)
		assert_int_equal(get[n].data, set[n].data);
	assert_int_equal(engine_vcpu_get_msrs(t.vcpu[0], unknown, 2), 1);
	tiny_close(&t);
}

static uint64_t tsc_of(struct engine_vcpu *v)
{
	struct kvm_msr_entry tsc = {.index = MSR_IA32_TSC};

	assert_int_equal(engine_vcpu_get_msrs(v, &tsc, 1), 1);
	return tsc.data;
}

/*
 * Half a second after the guest began, which a KVM may take for 0. Where the TSC cannot be set it is
 * later than that.
 */
static void young_tsc_goes_on_in_a_fresh_vcpu(void **state)
{
	struct vcpu_state *s = calloc(1, sizeof(*s));
	struct error err = {.text = ""};
	struct tiny from, to;

	tiny_open(&from, 1);
	tiny_open(&to, 1);
	uint64_t start = engine_vcpu_tsc_khz(from.vcpu[0]) * 500ull;
	struct kvm_msr_entry tsc = {.index = MSR_IA32_TSC, .data = start};
	assert_int_equal(engine_vcpu_set_msrs(from.vcpu[0], &tsc, 1), 1);
	uint64_t before = tsc_of(from.vcpu[0]);
	assert_true(before >= start);
	assert_int_equal(vcpu_state_get(from.vcpu[0], s, &err), 0);
	assert_int_equal(vcpu_state_set(to.vcpu[0], s, &err), 0);
	assert_in_range(tsc_of(to.vcpu[0]), before, before + start * 100);
	tiny_close(&to);
	tiny_close(&from);
	free(s);
}

static void reset_brings_back_the_reset_vector(void **state)
{
	struct tiny t;
	struct kvm_regs regs;
	struct kvm_sregs s;

	tiny_open(&t, 1);
	tiny_long_mode(&t);
	assert_int_equal(engine_vcpu_reset(t.vcpu[0]), 0);
	engine_vcpu_get_regs(t.vcpu[0], &regs);
	engine_vcpu_get_sregs(t.vcpu[0], &s);
	assert_int_equal(regs.rip, 0xfff0);
	assert_int_equal(regs.rflags, 2);
	assert_int_equal(s.cs.base, 0xffff0000);
	assert_int_equal(s.cs.selector, 0xf000);
	assert_int_equal(s.cr0, CR0_CD | CR0_NW | CR0_ET);
	assert_int_equal(s.efer, 0);
	tiny_close(&t);
}

static void linear_addresses_translate(void **state)
{
	struct kvm_translation tr = {.linear_address = 0x345678};
	struct tiny t;

	tiny_open(&t, 1);
	tiny_long_mode(&t);
	assert_int_equal(engine_vcpu_translate(t.vcpu[0], &tr), 0);
	assert_true(tr.valid);
	assert_int_equal(tr.physical_address, 0x345678);
	tr.linear_address = 0xffff800000000000;
	assert_int_equal(engine_vcpu_translate(t.vcpu[0], &tr), 0);
	assert_false(tr.valid);
	tiny_close(&t);
}

/* ---- debuggers ---- */

GUEST_CODE(step_guest, 64,
	   "nop\n"
	   "mov $1, %eax\n"
	   "inc %eax\n"
	   "out %eax, $0xf0\n");

static void debugger_steps_one_instruction_at_a_time(void **state)
{
	struct kvm_guest_debug dbg = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	const uint64_t at[] = {PHYS_CODE + 1, PHYS_CODE + 6, PHYS_CODE + 8};
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, step_guest);
	tiny_long_mode(&t);
	assert_int_equal(engine_vcpu_set_guest_debug(t.vcpu[0], &dbg), 0);
	for (unsigned n = 0; n < ARRAY_SIZE(at); n++) {
		tiny_expect(&t, KVM_EXIT_DEBUG);
		assert_int_equal(t.run->debug.arch.pc, at[n]);
		assert_int_equal(t.run->debug.arch.exception, VEC_DB);
	}
	dbg.control = 0;
	engine_vcpu_set_guest_debug(t.vcpu[0], &dbg);
	assert_int_equal(tiny_expect_out(&t, STOP_PORT), 2);
	tiny_close(&t);
}

static void debugger_breakpoint_stops_before_its_instruction(void **state)
{
	struct kvm_guest_debug dbg = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP};
	struct tiny t;

	dbg.arch.debugreg[0] = PHYS_CODE + 6;
	dbg.arch.debugreg[7] = 0x401;
	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, step_guest);
	tiny_long_mode(&t);
	assert_int_equal(engine_vcpu_set_guest_debug(t.vcpu[0], &dbg), 0);
	tiny_expect(&t, KVM_EXIT_DEBUG);
	assert_int_equal(t.run->debug.arch.pc, PHYS_CODE + 6);
	assert_int_equal(t.run->debug.arch.dr6 & 15, 1);
	tiny_close(&t);
}

GUEST_CODE(watched_guest, 64,
	   "mov $0x10000, %ebx\n"
	   "mov (%rbx), %eax\n"
	   "movb $1, 3(%rbx)\n"
	   "nop\n"
	   "out %al, $0xf0\n");

static void debugger_watchpoint_stops_after_the_store(void **state)
{
	struct kvm_guest_debug dbg = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP};
	struct tiny t;

	tiny_needs_silicon("data breakpoints");
	dbg.arch.debugreg[1] = PHYS_DATA;
	dbg.arch.debugreg[7] = 0x404 | 0xdu << 20; /* 4 bytes, stores */
	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, watched_guest);
	tiny_long_mode(&t);
	assert_int_equal(engine_vcpu_set_guest_debug(t.vcpu[0], &dbg), 0);
	tiny_expect(&t, KVM_EXIT_DEBUG);
	assert_int_equal(t.run->debug.arch.pc, PHYS_CODE + 11);
	assert_int_equal(t.run->debug.arch.dr6 & 15, 2);
	tiny_expect_out(&t, STOP_PORT);
	tiny_close(&t);
}

GUEST_CODE(trap_flag_guest, 64,
	   "pushfq\n"
	   "orl $0x100, (%rsp)\n"
	   "popfq\n"
	   "nop\n"
	   "nop\n"
	   "hlt\n");
GUEST_CODE(trap_handler, 64,
	   "mov (%rsp), %rax\n"
	   "out %eax, $0x80\n"
	   "mov %dr6, %rax\n"
	   "out %eax, $0x81\n"
	   "iretq\n");

static void trap_flag_traps_after_each_instruction(void **state)
{
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, trap_flag_guest);
	tiny_load(&t, PHYS_CODE + 0x100, trap_handler);
	tiny_long_mode(&t);
	tiny_gate64(&t, VEC_DB, PHYS_CODE + 0x100);
	assert_int_equal(tiny_expect_out(&t, 0x80), PHYS_CODE + 10);
	assert_int_equal(tiny_expect_out(&t, 0x81) & 0x4000, 0x4000);
	assert_int_equal(tiny_expect_out(&t, 0x80), PHYS_CODE + 11);
	tiny_close(&t);
}

/* ---- log of written pages ---- */

GUEST_CODE(writing_guest, 64,
	   "mov $0x10000, %ebx\n"
	   "1: movb $1, (%rbx)\n"
	   "movb $1, 0x3000(%rbx)\n"
	   "out %al, $0xf0\n"
	   "jmp 1b\n");

/* Processors write accessed bits into page tables, and some log every walk as a write. */
#define TABLE_PAGES ((BIT64(6) - 1) << (PHYS_TABLES >> 12))

static void log_names_the_pages_written(void **state)
{
	uint64_t bitmap[RAM_SIZE / 4096 / 64];
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, writing_guest);
	tiny_long_mode(&t);
	tiny_expect_out(&t, STOP_PORT);
	assert_int_equal(engine_vm_log_dirty(t.vm, 0, true), 0);
	for (unsigned n = 0; n < 2; n++) {
		tiny_expect_out(&t, STOP_PORT);
		assert_int_equal(engine_vm_get_dirty(t.vm, 0, bitmap), 0);
		bitmap[0] &= ~TABLE_PAGES;
		assert_int_equal(bitmap[0] & ~(BIT64(PHYS_TABLES >> 12) - 1), 0);
		assert_int_equal(bitmap[0] & (BIT64(0x10) | BIT64(0x13)),
				 BIT64(0x10) | BIT64(0x13));
		assert_int_equal(bitmap[1], 0);
	}
	assert_int_equal(engine_vm_get_dirty(t.vm, 0, bitmap), 0);
	assert_int_equal(bitmap[0], 0);
	assert_int_equal(engine_vm_log_dirty(t.vm, 0, false), 0);
	tiny_close(&t);
}

GUEST_CODE(device_to_memory_guest, 64,
	   "mov $0xd0000000, %esi\n"
	   "mov $0x10000, %edi\n"
	   "movb $1, (%rdi)\n"
	   "movsl\n"
	   "out %al, $0xf0\n");

static void log_names_the_page_of_an_access_in_progress(void **state)
{
	uint64_t bitmap[RAM_SIZE / 4096 / 64];
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, device_to_memory_guest);
	tiny_long_mode(&t);
	tiny_expect(&t, KVM_EXIT_MMIO);
	assert_int_equal(engine_vm_log_dirty(t.vm, 0, true), 0);
	memcpy(t.run->mmio.data, "\x01\x02\x03\x04", 4);
	tiny_expect_out(&t, STOP_PORT);
	assert_int_equal(tiny_get64(&t, PHYS_DATA), 0x04030201);
	assert_int_equal(engine_vm_get_dirty(t.vm, 0, bitmap), 0);
	assert_true(bitmap[0] & BIT64(PHYS_DATA >> 12));
	assert_int_equal(engine_vm_log_dirty(t.vm, 0, false), 0);
	tiny_close(&t);
}

GUEST_CODE(reading_guest, 64,
	   "mov 0x10000, %al\n"
	   "mov 0x400000, %al\n"
	   "out %al, $0xf0\n");

/* The first two of the tables are walked for code already; the directory's entries are not. */
static void log_names_the_tables_accessed_bits_go_to(void **state)
{
	const uint64_t first_entries = PHYS_TABLES + 0x2000;
	uint64_t bitmap[RAM_SIZE / 4096 / 64];
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, reading_guest);
	tiny_long_mode(&t);
	/* 4 MiB is a second address of the memory at 0. */
	tiny_put64(&t, first_entries + 16, PTE_P | PTE_W | PTE_PS);
	assert_int_equal(engine_vm_log_dirty(t.vm, 0, true), 0);
	tiny_expect_out(&t, STOP_PORT);
	assert_true(tiny_get64(&t, first_entries + 16) & PTE_A);
	assert_int_equal(engine_vm_get_dirty(t.vm, 0, bitmap), 0);
	assert_true(bitmap[0] & BIT64(first_entries >> 12));
	assert_int_equal(engine_vm_log_dirty(t.vm, 0, false), 0);
	tiny_close(&t);
}

/* ---- time ---- */

GUEST_CODE(clock_guest, 64,
	   "mov $0x4b564d01, %ecx\n"
	   "mov $0x10001, %eax\n"
	   "xor %edx, %edx\n"
	   "wrmsr\n"
	   "out %al, $0xf0\n");

static void guest_clock_page_has_a_scale(void **state)
{
	struct kvm_clock_data clock;
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, clock_guest);
	tiny_long_mode(&t);
	tiny_expect_out(&t, STOP_PORT);
	assert_int_equal(tiny_get64(&t, PHYS_DATA) & 1, 0); /* version is even */
	assert_true(tiny_get64(&t, PHYS_DATA + 24) & 0xffffffff);
	assert_int_equal(engine_vm_get_clock(t.vm, &clock), 0);
	assert_in_range(clock.clock, 1, 10 * NS_PER_SEC);
	clock.clock = 1000 * NS_PER_SEC;
	clock.flags = 0;
	assert_int_equal(engine_vm_set_clock(t.vm, &clock), 0);
	assert_int_equal(engine_vm_get_clock(t.vm, &clock), 0);
	assert_in_range(clock.clock, 1000 * NS_PER_SEC, 1010 * NS_PER_SEC);
	assert_in_range(engine_vcpu_tsc_khz(t.vcpu[0]), 100000, 10000000);
	tiny_close(&t);
}

static void log_names_the_page_of_the_guests_clock(void **state)
{
	uint64_t bitmap[RAM_SIZE / 4096 / 64];
	struct tiny t;

	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, clock_guest);
	tiny_long_mode(&t);
	assert_int_equal(engine_vm_log_dirty(t.vm, 0, true), 0);
	tiny_expect_out(&t, STOP_PORT);
	assert_int_equal(engine_vm_get_dirty(t.vm, 0, bitmap), 0);
	assert_true(bitmap[0] & BIT64(PHYS_DATA >> 12));
	assert_int_equal(engine_vm_log_dirty(t.vm, 0, false), 0);
	tiny_close(&t);
}

/* Rewrites the call to the hypervisor as AMD has it, on such a host: KVM would do that, or cannot. */
static void fit_hypercalls(struct tiny *t)
{
	for (unsigned i = PHYS_CODE; __builtin_cpu_is("amd") && i < PHYS_CODE + 0x200; i++) {
		if (!memcmp(t->ram + i, "\x0f\x01\xc1", 3))
			t->ram[i + 2] = 0xd9;
	}
}

/* Answers at 0x10100: the pair, another clock than the calendar's, no memory. The pair lies at 0x10000. */
GUEST_CODE(pairing_guest, 64,
	   "mov $0x10100, %edi\n"
	   "rdtsc\n"
	   "mov %eax, 0x10120\n"
	   "mov %edx, 0x10124\n"
	   "mov $9, %eax\n"
	   "mov $0x10000, %ebx\n"
	   "xor %ecx, %ecx\n"
	   "vmcall\n"
	   "stosq\n"
	   "rdtsc\n"
	   "mov %eax, 0x10128\n"
	   "mov %edx, 0x1012c\n"
	   "mov $9, %eax\n"
	   "mov $1, %ecx\n"
	   "vmcall\n"
	   "stosq\n"
	   "mov $9, %eax\n"
	   "mov $0xd0000000, %ebx\n"
	   "xor %ecx, %ecx\n"
	   "vmcall\n"
	   "stosq\n"
	   "out %al, $0xf0\n");

/* KVM has it where the host's clock is the TSC. */
static void guest_is_told_the_hosts_calendar_time(void **state)
{
	const int64_t before = time(NULL);
	struct tiny t;

	tiny_needs_silicon("hypercalls");
	tiny_open(&t, 1);
	tiny_load(&t, PHYS_CODE, pairing_guest);
	fit_hypercalls(&t);
	tiny_long_mode(&t);
	tiny_expect_out(&t, STOP_PORT);
	int64_t rc = (int64_t)tiny_get64(&t, PHYS_DATA + 0x100);
	if (rc && strcmp(tiny_accel(), "soft")) {
		tiny_close(&t);
		print_message("SKIP: this KVM does not pair clocks\n");
		skip();
	}
	assert_int_equal(rc, 0);
	assert_in_range(tiny_get64(&t, PHYS_DATA), before, time(NULL));
	assert_in_range(tiny_get64(&t, PHYS_DATA + 8), 0, NS_PER_SEC - 1);
	assert_in_range(tiny_get64(&t, PHYS_DATA + 16), tiny_get64(&t, PHYS_DATA + 0x120),
			tiny_get64(&t, PHYS_DATA + 0x128));
	assert_int_equal(tiny_get64(&t, PHYS_DATA + 0x108), -EOPNOTSUPP);
	assert_int_equal(tiny_get64(&t, PHYS_DATA + 0x110), -EFAULT);
	tiny_close(&t);
}

static void unknown_accelerators_are_named(void **state)
{
	struct error err = {.text = ""};

	assert_null(engine_open("warp", NULL, &err));
	assert_non_null(strstr(err.text, "warp"));
	assert_null(engine_open("soft:", NULL, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_accelerators_are_named),
		cmocka_unit_test(real_mode_guest_reads_and_writes_ports),
		cmocka_unit_test(port_read_completes_with_immediate_exit),
		cmocka_unit_test(repeated_port_strings_move_every_element),
		cmocka_unit_test(device_accesses_leave_and_complete),
		cmocka_unit_test(doorbell_signals_without_an_exit),
		cmocka_unit_test(string_move_from_a_device_reads_each_element_once),
		cmocka_unit_test(device_read_completes_with_immediate_exit),
		cmocka_unit_test(repeated_store_to_a_device_can_be_left),
		cmocka_unit_test(store_into_the_running_code_takes_effect_at_once),
		cmocka_unit_test(changed_functions_run_anew),
		cmocka_unit_test(instruction_across_pages_sees_changes_in_both),
		cmocka_unit_test(page_fault_tells_address_error_and_rip),
		cmocka_unit_test(fault_without_idt_is_a_shutdown),
		cmocka_unit_test(message_wakes_a_halted_vcpu),
		cmocka_unit_test(call_is_a_message_to_a_halted_vcpu),
		cmocka_unit_test(kick_ends_a_running_vcpu),
		cmocka_unit_test(kick_before_entry_is_not_lost),
		cmocka_unit_test(pic_vector_is_taken_through_the_window),
		cmocka_unit_test(settled_vcpu_tells_of_the_pics_vector),
		cmocka_unit_test(settled_vcpu_tells_of_an_nmi),
		cmocka_unit_test(nmi_reaches_a_running_vcpu),
		cmocka_unit_test(deadline_interrupts_running_code),
		cmocka_unit_test(settled_vcpu_tells_of_an_expired_timer),
		cmocka_unit_test(second_vcpu_starts_where_it_is_told),
		cmocka_unit_test(other_vcpu_sees_patched_code),
		cmocka_unit_test(registers_survive_a_round_trip),
		cmocka_unit_test(impossible_system_registers_are_refused),
		cmocka_unit_test(msrs_survive_a_round_trip),
		cmocka_unit_test(young_tsc_goes_on_in_a_fresh_vcpu),
		cmocka_unit_test(reset_brings_back_the_reset_vector),
		cmocka_unit_test(linear_addresses_translate),
		cmocka_unit_test(debugger_steps_one_instruction_at_a_time),
		cmocka_unit_test(debugger_breakpoint_stops_before_its_instruction),
		cmocka_unit_test(debugger_watchpoint_stops_after_the_store),
		cmocka_unit_test(trap_flag_traps_after_each_instruction),
		cmocka_unit_test(log_names_the_pages_written),
		cmocka_unit_test(log_names_the_page_of_an_access_in_progress),
		cmocka_unit_test(log_names_the_tables_accessed_bits_go_to),
		cmocka_unit_test(guest_clock_page_has_a_scale),
		cmocka_unit_test(log_names_the_page_of_the_guests_clock),
		cmocka_unit_test(guest_is_told_the_hosts_calendar_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
