/* SPDX-License-Identifier: BSD-2-Clause */
#include "../pci/pci_machine.h"

#include <linux/virtio_pci.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "driver.h"
#include "virtio/queue.h"
#include "virtio/transport/pci.h"

#define SLOT		   6
#define NR_RINGS	   3
#define COMMON_QUEUE_RESET 58

/* A device that answers each byte with its successor. */
struct echo {
	struct virtio_device virtio;
	uint8_t config[8];
	unsigned nr_drained;
};

static void echo_process(struct virtio_device *d, unsigned queue)
{
	struct virtio_chain *c;

	while ((c = virtio_pop(d, queue))) {
		uint8_t byte = 0;

		virtio_read(c, &byte, 1);
		byte++;
		virtio_push(c, (uint32_t)virtio_write(c, &byte, 1));
	}
}

static void echo_drain(struct virtio_device *d, unsigned queue)
{
	container_of(d, struct echo, virtio)->nr_drained++;
}

static void echo_read_config(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	struct echo *e = container_of(d, struct echo, virtio);

	for (unsigned i = 0; i < len && offset + i < sizeof(e->config); i++)
		((uint8_t *)data)[i] = e->config[offset + i];
}

static void echo_write_config(struct virtio_device *d, unsigned offset, const void *data,
			      unsigned len)
{
	struct echo *e = container_of(d, struct echo, virtio);

	for (unsigned i = 0; i < len && offset + i < sizeof(e->config); i++)
		e->config[offset + i] = ((const uint8_t *)data)[i];
}

static void echo_free(struct virtio_device *d)
{
	virtio_fini(d);
	free(container_of(d, struct echo, virtio));
}

static const struct virtio_ops echo_ops = {
	.type = "echo",
	.device_id = 42,
	.pci_class = 0x00ff00,
	.read_config = echo_read_config,
	.write_config = echo_write_config,
	.process = echo_process,
	.drain = echo_drain,
	.free = echo_free,
};

/* Where the engine would answer doorbells. */
struct bells {
	uint64_t addr[NR_RINGS];
	int fd[NR_RINGS];
	unsigned nr, nr_unset;
};

static int set_bell(void *ctx, uint64_t addr, int eventfd, bool on)
{
	struct bells *b = ctx;

	if (!on) {
		b->nr_unset++;
		return 0;
	}
	b->addr[b->nr % NR_RINGS] = addr;
	b->fd[b->nr++ % NR_RINGS] = eventfd;
	return 0;
}

/* Where the engine would turn signals into messages. */
struct calls {
	bool refuses;
	int fd;
	bool is_on;
	uint64_t addr;
	uint32_t data;
	unsigned nr_set;
};

static int set_call(void *ctx, int eventfd, bool on, uint64_t addr, uint32_t data)
{
	struct calls *c = ctx;

	c->nr_set++;
	if (on && c->refuses)
		return -ENOSPC;
	c->fd = eventfd;
	c->is_on = on;
	c->addr = addr;
	c->data = data;
	return 0;
}

struct fixture {
	struct machine m;
	struct driver_host h;
	struct echo *echo;
	struct device *dev;
	struct bells bells;
	struct calls calls;
	struct loop_fd call;		      /* of queue 1, when it has one */
	uint64_t common, isr, device, notify; /* structures, for the guest */
	unsigned stride, window, msix;	      /* the latter: capabilities */
	uint64_t table;
};

static void find_structures(struct fixture *x)
{
	struct machine *m = &x->m;

	for (unsigned cap = config16(m, SLOT, PCI_CAPABILITIES) & 0xff; cap;
	     cap = config16(m, SLOT, cap) >> 8) {
		uint64_t bar = config32(m, SLOT, PCI_BARS) & ~0xfu;
		uint64_t at = bar + config32(m, SLOT, cap + VIRTIO_PCI_CAP_OFFSET);

		if ((config16(m, SLOT, cap) & 0xff) == PCI_CAP_ID_MSIX) {
			x->msix = cap;
			x->table = config32(m, SLOT, PCI_BARS + 4) & ~0xfu;
			continue;
		}
		assert_int_equal(config16(m, SLOT, cap + VIRTIO_PCI_CAP_BAR) & 0xff, 0);
		switch (config16(m, SLOT, cap + VIRTIO_PCI_CAP_LEN) >> 8) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			x->common = at;
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			x->isr = at;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			x->device = at;
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			x->notify = at;
			x->stride = config32(m, SLOT, cap + VIRTIO_PCI_NOTIFY_CAP_MULT);
			break;
		default:
			x->window = cap;
		}
	}
}

/* As a data plane in the host's kernel has it. */
static void called(struct loop_fd *w, uint32_t events)
{
	struct virtio_device *d = container_of(w, struct fixture, call)->h.device;
	uint64_t count;

	if (read(w->fd, &count, sizeof(count)) == sizeof(count))
		d->transport->ops->queue_interrupt(d->transport, 1);
}

static void add_call(struct fixture *x)
{
	x->call = (struct loop_fd){eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), called};
	assert_int_equal(loop_fd_add(x->h.device->loop, &x->call, EPOLLIN), 0);
	x->h.device->queues[1].call = &x->call;
}

static void set_up_engine(struct fixture *x, bool has_msix, const struct virtio_pci_engine *engine,
			  bool has_call)
{
	struct error err;

	*x = (struct fixture){0};
	machine_init(&x->m);
	driver_host_init(&x->h);
	x->echo = calloc(1, sizeof(*x->echo));
	virtio_init(&x->echo->virtio, &echo_ops,
		    &(struct virtio_params){.mem = x->h.mem,
					    .loop = io_thread_loop(x->h.io),
					    .nr_queues = NR_RINGS,
					    .config_size = 8});
	x->h.device = &x->echo->virtio;
	if (has_call)
		add_call(x);
	x->dev = virtio_pci_new(
		x->h.device,
		&(struct virtio_pci_params){
			.root = x->m.root, .device = SLOT, .has_msix = has_msix, .engine = *engine},
		&err);
	assert_non_null(x->dev);
	set_command(&x->m, SLOT, PCI_COMMAND_BUS_MASTER, 0);
	find_structures(x);
	assert_true(x->common && x->isr && x->device && x->notify && x->window);
	assert_int_equal(!!x->msix, has_msix);
}

static void set_up_with(struct fixture *x, bool has_msix, bool has_bells)
{
	const struct virtio_pci_engine engine = {.set_doorbell = has_bells ? set_bell : NULL,
						 .ctx = &x->bells};

	set_up_engine(x, has_msix, &engine, false);
}

static void set_up(struct fixture *x)
{
	set_up_with(x, true, false);
}

static void drop(struct fixture *x)
{
	x->dev->ops->free(x->dev);
	x->h.device = NULL;
	driver_host_fini(&x->h);
	machine_fini(&x->m);
}

/* ---- the driver ---- */

static void set_status(struct fixture *x, uint8_t bits)
{
	uint64_t reg = x->common + VIRTIO_PCI_COMMON_STATUS;

	out8(x->m.mmio, reg, bits ? in8(x->m.mmio, reg) | bits : 0);
}

static void negotiate(struct fixture *x)
{
	struct bus *b = x->m.mmio;

	set_status(x, 0);
	set_status(x, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	out32(b, x->common + VIRTIO_PCI_COMMON_DFSELECT, 1);
	assert_true(in32(b, x->common + VIRTIO_PCI_COMMON_DF) & 1); /* VERSION_1 */
	out32(b, x->common + VIRTIO_PCI_COMMON_GFSELECT, 1);
	out32(b, x->common + VIRTIO_PCI_COMMON_GF, 1);
	set_status(x, VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(in8(b, x->common + VIRTIO_PCI_COMMON_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
}

static void enable_queue(struct fixture *x, struct driver_queue *r, unsigned index)
{
	struct bus *b = x->m.mmio;

	*r = (struct driver_queue){.host = &x->h, .index = index, .size = 16};
	r->desc = driver_alloc(&x->h, 16 * 16);
	r->driver = driver_alloc(&x->h, 6 + 2 * 16);
	r->device = driver_alloc(&x->h, 6 + 8 * 16);
	out16(b, x->common + VIRTIO_PCI_COMMON_Q_SELECT, (uint16_t)index);
	assert_int_equal(in16(b, x->common + VIRTIO_PCI_COMMON_Q_SIZE), 256);
	out16(b, x->common + VIRTIO_PCI_COMMON_Q_SIZE, 16);
	out64(b, x->common + VIRTIO_PCI_COMMON_Q_DESCLO, r->desc);
	out64(b, x->common + VIRTIO_PCI_COMMON_Q_AVAILLO, r->driver);
	out64(b, x->common + VIRTIO_PCI_COMMON_Q_USEDLO, r->device);
	out16(b, x->common + VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	assert_int_equal(in16(b, x->common + VIRTIO_PCI_COMMON_Q_ENABLE), 1);
}

/* The driver is through with its set-up, and has one queue. */
static void start_driver(struct fixture *x, struct driver_queue *r)
{
	negotiate(x);
	enable_queue(x, r, 0);
	set_status(x, VIRTIO_CONFIG_S_DRIVER_OK);
}

static uint64_t doorbell(struct fixture *x, unsigned queue)
{
	out16(x->m.mmio, x->common + VIRTIO_PCI_COMMON_Q_SELECT, (uint16_t)queue);
	return x->notify + in16(x->m.mmio, x->common + VIRTIO_PCI_COMMON_Q_NOFF) * x->stride;
}

/* One request: returns the answer. */
static uint8_t ask(struct fixture *x, struct driver_queue *r, uint8_t byte)
{
	const struct driver_buffer buffers[] = {{driver_alloc(&x->h, 1), 1, false},
						{driver_alloc(&x->h, 1), 1, true}};
	uint16_t id;
	uint32_t len;

	*(uint8_t *)driver_ptr(&x->h, buffers[0].gpa, 1) = byte;
	driver_add(r, buffers, 2);
	out16(x->m.mmio, doorbell(x, r->index), (uint16_t)r->index);
	assert_true(driver_wait(r, &id, &len));
	assert_int_equal(len, 1);
	return *(uint8_t *)driver_ptr(&x->h, buffers[1].gpa, 1);
}

static void nothing(void *ctx)
{
}

/* What the device has begun is done, its interrupt included. */
static void settle(struct fixture *x)
{
	loop_call(x->h.device->loop, nothing, NULL);
}

static void set_vector(struct fixture *x, unsigned vector, uint32_t data)
{
	uint64_t entry = x->table + vector * PCI_MSIX_ENTRY_SIZE;

	out64(x->m.mmio, entry, 0xfee00000);
	out32(x->m.mmio, entry + 8, data);
	out32(x->m.mmio, entry + 12, 0);
}

/* ---- tests ---- */

static void function_tells_what_it_is(void **state)
{
	struct fixture x;

	set_up(&x);
	assert_int_equal(config32(&x.m, SLOT, 0), (0x1040 + 42) << 16 | 0x1af4);
	assert_int_equal(config32(&x.m, SLOT, PCI_REVISION_ID), 0x00ff0001);
	assert_int_equal(config16(&x.m, SLOT, PCI_SUBSYSTEM_ID), 0x40);
	assert_int_equal(in16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_NUMQ), NR_RINGS);
	out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_SELECT, NR_RINGS);
	assert_int_equal(in16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_SIZE), 0);
	drop(&x);
}

static void request_is_answered_with_its_queues_vector(void **state)
{
	struct fixture x;
	struct driver_queue r;

	set_up(&x);
	set_config16(&x.m, SLOT, x.msix + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE);
	set_vector(&x, 2, 0x4042);
	negotiate(&x);
	enable_queue(&x, &r, 1);
	out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_MSIX, 2);
	assert_int_equal(in16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_MSIX), 2);
	set_status(&x, VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(ask(&x, &r, 7), 8);
	settle(&x);
	assert_int_equal(x.m.sent.nr, 1);
	assert_int_equal(x.m.sent.data, 0x4042);
	assert_int_equal(in8(x.m.mmio, x.isr), 0);
	drop(&x);
}

static void queues_share_a_vector_or_go_without(void **state)
{
	struct fixture x;
	struct driver_queue r[2];

	set_up(&x);
	set_config16(&x.m, SLOT, x.msix + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE);
	set_vector(&x, 1, 0x4051);
	negotiate(&x);
	for (unsigned i = 0; i < 2; i++) {
		enable_queue(&x, &r[i], i);
		out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_MSIX, 1);
	}
	set_status(&x, VIRTIO_CONFIG_S_DRIVER_OK);
	ask(&x, &r[0], 1);
	ask(&x, &r[1], 1);
	settle(&x);
	assert_int_equal(x.m.sent.nr, 2);

	out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_MSIX, VIRTIO_MSI_NO_VECTOR);
	ask(&x, &r[1], 1);
	settle(&x);
	assert_int_equal(x.m.sent.nr, 2);
	drop(&x);
}

static void vector_that_is_not_there_is_refused(void **state)
{
	struct fixture x;

	set_up(&x);
	out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_MSIX, NR_RINGS + 1);
	assert_int_equal(in16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_MSIX), VIRTIO_MSI_NO_VECTOR);
	out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_MSIX, NR_RINGS);
	assert_int_equal(in16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_MSIX), NR_RINGS);
	drop(&x);
}

static void without_msix_the_wire_tells_and_isr_takes_it_back(void **state)
{
	struct fixture x;
	struct driver_queue r;
	struct fake_line *line;

	set_up_with(&x, false, false);
	line = &x.m.lines[SLOT % PCI_NR_INTX_LINES];
	start_driver(&x, &r);
	ask(&x, &r, 1);
	settle(&x);
	assert_true(line->level);
	assert_int_equal(in8(x.m.mmio, x.isr), 1);
	assert_false(line->level);
	assert_int_equal(in8(x.m.mmio, x.isr), 0);

	virtio_config_changed(x.h.device);
	assert_true(line->level);
	assert_int_equal(in8(x.m.mmio, x.isr), 2);
	assert_int_equal(in8(x.m.mmio, x.common + VIRTIO_PCI_COMMON_CFGGENERATION), 1);
	drop(&x);
}

static void device_configuration_is_read_and_written(void **state)
{
	struct fixture x;

	set_up(&x);
	out32(x.m.mmio, x.device + 4, 0x44332211);
	assert_int_equal(in16(x.m.mmio, x.device + 6), 0x4433);
	assert_int_equal(in32(x.m.mmio, x.device + 8), 0); /* past its end */
	drop(&x);
}

static void window_in_configuration_space_reaches_the_registers(void **state)
{
	struct fixture x;

	set_up(&x);
	uint32_t device = (uint32_t)(x.device - x.common);
	out16(x.m.mmio, x.device + 2, 0xbeef);
	set_config32(&x.m, SLOT, x.window + VIRTIO_PCI_CAP_OFFSET, device + 2);
	set_config32(&x.m, SLOT, x.window + VIRTIO_PCI_CAP_LENGTH, 2);
	assert_int_equal(config16(&x.m, SLOT, x.window + 16), 0xbeef);
	set_config16(&x.m, SLOT, x.window + 16, 0x1234);
	assert_int_equal(in16(x.m.mmio, x.device + 2), 0x1234);
	drop(&x);
}

static void window_leads_nowhere_else(void **state)
{
	static const struct {
		uint8_t bar;
		uint32_t offset, length;
	} bad[] = {{1, 0, 4}, {0, 0, 0},      {0, 0, 3},	  {0, 0, 8},
		   {0, 2, 4}, {0, 0x4000, 4}, {0, 0xfffffffc, 4}, {0, 0, 0xffffffff}};
	struct fixture x;

	set_up(&x);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		out8(x.m.mmio, ecam_address(SLOT, x.window + VIRTIO_PCI_CAP_BAR), bad[i].bar);
		set_config32(&x.m, SLOT, x.window + VIRTIO_PCI_CAP_OFFSET, bad[i].offset);
		set_config32(&x.m, SLOT, x.window + VIRTIO_PCI_CAP_LENGTH, bad[i].length);
		set_config32(&x.m, SLOT, x.window + 16, 0xffffffff);
		assert_int_equal(config32(&x.m, SLOT, x.window + 16), 0);
	}
	assert_int_equal(in32(x.m.mmio, x.common + VIRTIO_PCI_COMMON_DFSELECT), 0);
	drop(&x);
}

static void queue_reset_disables_and_allows_another_setup(void **state)
{
	struct fixture x;
	struct driver_queue r;

	set_up(&x);
	start_driver(&x, &r);
	ask(&x, &r, 1);
	out16(x.m.mmio, x.common + COMMON_QUEUE_RESET, 1);
	assert_int_equal(in16(x.m.mmio, x.common + COMMON_QUEUE_RESET), 0);
	assert_int_equal(in16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_ENABLE), 0);
	assert_true(x.echo->nr_drained > 0);
	enable_queue(&x, &r, 0);
	assert_int_equal(ask(&x, &r, 9), 10);
	drop(&x);
}

static void reset_of_the_device_forgets_vectors_and_interrupts(void **state)
{
	struct fixture x;
	struct driver_queue r;

	set_up(&x);
	negotiate(&x);
	enable_queue(&x, &r, 0);
	out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_MSIX, 1);
	set_status(&x, VIRTIO_CONFIG_S_DRIVER_OK);
	ask(&x, &r, 1);
	settle(&x);
	assert_true(x.m.lines[SLOT % PCI_NR_INTX_LINES].level); /* MSI-X is not on */
	set_status(&x, 0);
	assert_false(x.m.lines[SLOT % PCI_NR_INTX_LINES].level);
	assert_int_equal(in8(x.m.mmio, x.common + VIRTIO_PCI_COMMON_STATUS), 0);
	out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_SELECT, 0);
	assert_int_equal(in16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_MSIX), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(in16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_ENABLE), 0);
	drop(&x);
}

static void doorbells_follow_the_bar_and_the_engine(void **state)
{
	struct fixture x;
	struct driver_queue r;
	uint64_t one = 1;

	set_up_with(&x, true, true);
	assert_int_equal(x.bells.nr, NR_RINGS);
	assert_int_equal(x.bells.addr[1], doorbell(&x, 1));
	set_config32(&x.m, SLOT, PCI_BARS, 0xd0100000);
	assert_int_equal(x.bells.nr_unset, NR_RINGS);
	assert_int_equal(x.bells.nr, 2 * NR_RINGS);
	find_structures(&x);
	assert_int_equal(x.bells.addr[1], doorbell(&x, 1));
	virtio_pci_engine_changed(x.dev);
	assert_int_equal(x.bells.nr, 3 * NR_RINGS);
	assert_int_equal(x.bells.nr_unset, NR_RINGS);

	/* The bell of queue 1 is rung by the engine. */
	negotiate(&x);
	enable_queue(&x, &r, 1);
	set_status(&x, VIRTIO_CONFIG_S_DRIVER_OK);
	const struct driver_buffer buffer = {driver_alloc(&x.h, 1), 1, true};
	uint16_t id;
	uint32_t len;
	driver_add(&r, &buffer, 1);
	assert_int_equal(write(x.bells.fd[1], &one, sizeof(one)), sizeof(one));
	assert_true(driver_wait(&r, &id, &len));
	drop(&x);
}

static void signal_call(struct fixture *x)
{
	uint64_t one = 1;

	assert_int_equal(write(x->call.fd, &one, sizeof(one)), sizeof(one));
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	settle(x);
}

/* Queue 1 with vector 2, whose message the engine sends. */
static void start_with_call(struct fixture *x, struct driver_queue *r)
{
	const struct virtio_pci_engine engine = {.set_call = set_call, .ctx = &x->calls};

	set_up_engine(x, true, &engine, true);
	set_config16(&x->m, SLOT, x->msix + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE);
	set_vector(x, 2, 0x4042);
	negotiate(x);
	enable_queue(x, r, 1);
	assert_false(x->calls.is_on);
	out16(x->m.mmio, x->common + VIRTIO_PCI_COMMON_Q_MSIX, 2);
	set_status(x, VIRTIO_CONFIG_S_DRIVER_OK);
}

static void remove_call(void *ctx)
{
	struct fixture *x = ctx;

	loop_fd_remove(x->h.device->loop, &x->call);
}

static void drop_with_call(struct fixture *x)
{
	int fd = x->call.fd;

	loop_call(x->h.device->loop, remove_call, x);
	drop(x);
	close(fd);
	assert_false(x->calls.is_on);
}

static void call_is_the_engines_while_its_vector_can_be_sent(void **state)
{
	struct fixture x;
	struct driver_queue r;

	start_with_call(&x, &r);
	assert_true(x.calls.is_on);
	assert_int_equal(x.calls.fd, x.call.fd);
	assert_int_equal(x.calls.addr, 0xfee00000);
	assert_int_equal(x.calls.data, 0x4042);
	signal_call(&x);
	assert_int_equal(x.m.sent.nr, 0); /* this engine sends nothing, and nobody else did */
	out32(x.m.mmio, x.table + 2 * PCI_MSIX_ENTRY_SIZE + 8, 0x4043);
	assert_int_equal(x.calls.data, 0x4043);
	out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_MSIX, VIRTIO_MSI_NO_VECTOR);
	assert_false(x.calls.is_on);
	drop_with_call(&x);
}

/* What was signalled before the engine let go of it is not lost either. */
static void call_is_pending_while_its_vector_is_masked(void **state)
{
	struct fixture x;
	struct driver_queue r;

	start_with_call(&x, &r);
	uint64_t entry = x.table + 2 * PCI_MSIX_ENTRY_SIZE;
	uint64_t bits = x.table + (NR_RINGS + 1) * PCI_MSIX_ENTRY_SIZE;
	out32(x.m.mmio, entry + 12, 1);
	assert_false(x.calls.is_on);
	assert_int_equal(in32(x.m.mmio, bits), 0);
	signal_call(&x);
	assert_int_equal(in32(x.m.mmio, bits), BIT(2));
	assert_int_equal(x.m.sent.nr, 0);
	out32(x.m.mmio, entry + 12, 0);
	assert_int_equal(x.m.sent.nr, 1);
	assert_int_equal(x.m.sent.data, 0x4042);
	assert_int_equal(in32(x.m.mmio, bits), 0);
	assert_true(x.calls.is_on);

	set_command(&x.m, SLOT, 0, PCI_COMMAND_BUS_MASTER);
	assert_false(x.calls.is_on);
	signal_call(&x);
	assert_int_equal(x.m.sent.nr, 1);
	set_command(&x.m, SLOT, PCI_COMMAND_BUS_MASTER, 0);
	assert_int_equal(x.m.sent.nr, 2);
	assert_true(x.calls.is_on);

	set_config16(&x.m, SLOT, x.msix + PCI_MSIX_CONTROL,
		     PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASKED);
	assert_false(x.calls.is_on);
	set_config16(&x.m, SLOT, x.msix + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE);
	assert_true(x.calls.is_on);
	set_status(&x, 0);
	assert_false(x.calls.is_on);
	drop_with_call(&x);
}

static void call_that_the_engine_refuses_takes_the_usual_way(void **state)
{
	struct fixture x;
	struct driver_queue r;

	start_with_call(&x, &r);
	x.calls.refuses = true;
	out32(x.m.mmio, x.table + 2 * PCI_MSIX_ENTRY_SIZE + 8, 0x4043);
	assert_false(x.calls.is_on);
	signal_call(&x);
	assert_int_equal(x.m.sent.nr, 1);
	assert_int_equal(x.m.sent.data, 0x4043);
	drop_with_call(&x);
}

static void call_moves_to_another_engine(void **state)
{
	struct fixture x;
	struct driver_queue r;

	start_with_call(&x, &r);
	unsigned nr = x.calls.nr_set;
	x.calls.is_on = false;
	virtio_pci_engine_changed(x.dev);
	assert_true(x.calls.is_on);
	assert_int_equal(x.calls.nr_set, nr + 1);
	signal_call(&x);
	assert_int_equal(x.m.sent.nr, 0);
	drop_with_call(&x);
}

/* A chain of one byte each way, made available and notified of. */
static void post_request(struct fixture *x, struct driver_queue *r)
{
	const struct driver_buffer buffers[] = {{driver_alloc(&x->h, 1), 1, false},
						{driver_alloc(&x->h, 1), 1, true}};

	driver_add(r, buffers, 2);
	out16(x->m.mmio, doorbell(x, r->index), (uint16_t)r->index);
	settle(x);
}

static void without_mastering_requests_wait_until_it_is_on(void **state)
{
	struct fixture x;
	struct driver_queue r;
	uint16_t id;
	uint32_t len;

	set_up(&x);
	set_config16(&x.m, SLOT, x.msix + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE);
	set_vector(&x, 1, 0x4041);
	negotiate(&x);
	enable_queue(&x, &r, 2);
	out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_MSIX, 1);
	set_status(&x, VIRTIO_CONFIG_S_DRIVER_OK);
	ask(&x, &r, 1);
	settle(&x);
	assert_int_equal(x.m.sent.nr, 1);

	unsigned drained = x.echo->nr_drained;
	set_command(&x.m, SLOT, 0, PCI_COMMAND_BUS_MASTER);
	assert_true(x.echo->nr_drained > drained);
	post_request(&x, &r);
	assert_false(driver_used(&r, &id, &len));
	assert_int_equal(x.m.sent.nr, 1);

	set_command(&x.m, SLOT, PCI_COMMAND_BUS_MASTER, 0);
	settle(&x);
	assert_true(driver_used(&r, &id, &len));
	assert_int_equal(x.m.sent.nr, 2);
	drop(&x);
}

static void driver_may_turn_mastering_on_after_it_is_ready(void **state)
{
	struct fixture x;
	struct driver_queue r;
	uint16_t id;
	uint32_t len;

	set_up(&x);
	set_command(&x.m, SLOT, 0, PCI_COMMAND_BUS_MASTER);
	start_driver(&x, &r);
	post_request(&x, &r);
	assert_false(driver_used(&r, &id, &len));
	set_command(&x.m, SLOT, PCI_COMMAND_BUS_MASTER, 0);
	assert_true(driver_used(&r, &id, &len));
	drop(&x);
}

/* The stop by a pause and the one by mastering end independently. */
static void pause_and_mastering_stop_queues_each(void **state)
{
	struct fixture x;
	struct driver_queue r;
	uint16_t id;
	uint32_t len;

	set_up(&x);
	start_driver(&x, &r);
	set_command(&x.m, SLOT, 0, PCI_COMMAND_BUS_MASTER);
	x.dev->ops->pause(x.dev);
	post_request(&x, &r);
	x.dev->ops->resume(x.dev);
	assert_false(driver_used(&r, &id, &len));
	x.dev->ops->pause(x.dev);
	set_command(&x.m, SLOT, PCI_COMMAND_BUS_MASTER, 0);
	assert_false(driver_used(&r, &id, &len));
	x.dev->ops->resume(x.dev);
	assert_true(driver_used(&r, &id, &len));
	drop(&x);
}

/* What was saved with mastering off stands still once loaded, and the reset of a bus is one too. */
static void mastering_follows_state_and_reset(void **state)
{
	struct fixture x;
	struct driver_queue r;
	uint16_t id;
	uint32_t len;

	set_up(&x);
	start_driver(&x, &r);
	set_command(&x.m, SLOT, 0, PCI_COMMAND_BUS_MASTER);
	x.dev->ops->pause(x.dev);
	struct buf saved = {0};
	fake_save(x.dev, &saved);
	set_command(&x.m, SLOT, PCI_COMMAND_BUS_MASTER, 0);
	assert_true(fake_load(x.dev, &saved));
	buf_free(&saved);
	x.dev->ops->resume(x.dev);
	post_request(&x, &r);
	assert_false(driver_used(&r, &id, &len));
	set_command(&x.m, SLOT, PCI_COMMAND_BUS_MASTER, 0);
	assert_true(driver_used(&r, &id, &len));
	x.m.dev->ops->reset(x.m.dev);
	post_request(&x, &r);
	assert_false(driver_used(&r, &id, &len));
	drop(&x);
}

static void state_comes_back(void **state)
{
	struct fixture x;
	struct driver_queue r;

	set_up(&x);
	set_config16(&x.m, SLOT, x.msix + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE);
	set_vector(&x, 1, 0x4041);
	negotiate(&x);
	enable_queue(&x, &r, 2);
	out16(x.m.mmio, x.common + VIRTIO_PCI_COMMON_Q_MSIX, 1);
	set_status(&x, VIRTIO_CONFIG_S_DRIVER_OK);
	ask(&x, &r, 1);
	x.dev->ops->pause(x.dev);

	struct buf saved = {0};
	fake_save(x.dev, &saved);
	x.m.dev->ops->reset(x.m.dev);
	x.dev->ops->reset(x.dev);
	assert_int_equal(in8(x.m.mmio, x.common + VIRTIO_PCI_COMMON_STATUS), 0);
	assert_true(fake_load(x.dev, &saved));
	buf_free(&saved);
	x.dev->ops->resume(x.dev);

	unsigned before = x.m.sent.nr;
	assert_int_equal(ask(&x, &r, 0x20), 0x21);
	settle(&x);
	assert_int_equal(x.m.sent.nr, before + 1);
	assert_int_equal(x.m.sent.data, 0x4041);
	x.dev->ops->pause(x.dev);
	fake_hostile_load(x.dev);
	x.m.dev->ops->reset(x.m.dev);
	x.dev->ops->reset(x.dev);
	drop(&x);
}

static void taken_number_is_refused_and_frees_the_device(void **state)
{
	struct fixture x;
	struct error err = {0};

	set_up(&x);
	struct echo *second = calloc(1, sizeof(*second));
	virtio_init(&second->virtio, &echo_ops,
		    &(struct virtio_params){
			    .mem = x.h.mem, .loop = io_thread_loop(x.h.io), .nr_queues = 1});
	assert_null(virtio_pci_new(&second->virtio,
				   &(struct virtio_pci_params){.root = x.m.root, .device = SLOT},
				   &err));
	assert_string_equal(err.text, "echo and echo both want PCI device 6");
	drop(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(function_tells_what_it_is),
		cmocka_unit_test(request_is_answered_with_its_queues_vector),
		cmocka_unit_test(queues_share_a_vector_or_go_without),
		cmocka_unit_test(vector_that_is_not_there_is_refused),
		cmocka_unit_test(without_msix_the_wire_tells_and_isr_takes_it_back),
		cmocka_unit_test(device_configuration_is_read_and_written),
		cmocka_unit_test(window_in_configuration_space_reaches_the_registers),
		cmocka_unit_test(window_leads_nowhere_else),
		cmocka_unit_test(queue_reset_disables_and_allows_another_setup),
		cmocka_unit_test(reset_of_the_device_forgets_vectors_and_interrupts),
		cmocka_unit_test(doorbells_follow_the_bar_and_the_engine),
		cmocka_unit_test(call_is_the_engines_while_its_vector_can_be_sent),
		cmocka_unit_test(call_is_pending_while_its_vector_is_masked),
		cmocka_unit_test(call_that_the_engine_refuses_takes_the_usual_way),
		cmocka_unit_test(call_moves_to_another_engine),
		cmocka_unit_test(without_mastering_requests_wait_until_it_is_on),
		cmocka_unit_test(driver_may_turn_mastering_on_after_it_is_ready),
		cmocka_unit_test(pause_and_mastering_stop_queues_each),
		cmocka_unit_test(mastering_follows_state_and_reset),
		cmocka_unit_test(state_comes_back),
		cmocka_unit_test(taken_number_is_refused_and_frees_the_device),
	};

	return cmocka_run_group_tests_name("virtio/pci", tests, NULL, NULL);
}
