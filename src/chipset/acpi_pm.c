/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI fixed hardware (specification 6.5, 4.8.3 and 4.8.4). Registers are served byte by byte, as
 * operating systems access them in every width. Left out: sleep states other than S5, the sleep
 * button, bus-master and global-lock handshakes with a BIOS that does not exist. Entered by vCPU
 * threads, the main loop, and whatever thread presses the button.
 */
#include "chipset/acpi_pm.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"

#define PM1_TIMER	 BIT(0)
#define PM1_POWER_BUTTON BIT(8)
#define PM1_STATUS_BITS	 (BIT(0) | BIT(4) | BIT(5) | BIT(8) | BIT(9) | BIT(10) | BIT(14) | BIT(15))
#define PM1_ENABLE_BITS	 (BIT(0) | BIT(5) | BIT(8) | BIT(9) | BIT(10) | BIT(14))

#define CNT_SCI_EN     BIT(0)
#define CNT_BM_RLD     BIT(1)
#define CNT_SLP_TYP(v) ((v) >> 10 & 7)
#define CNT_SLP_EN     BIT(13)
#define CNT_WRITABLE   (CNT_BM_RLD | 7u << 10)

struct acpi_pm {
	struct device dev;
	pthread_mutex_t lock; /* guards all; the SCI is driven under it */
	struct acpi_pm_params params;
	struct bus_region region;
	struct clock_timer timer; /* the counter's top bit changes while its interrupt is enabled */
	uint16_t status, enable, control;
	uint16_t gpe_status, gpe_enable;
	uint64_t half_turns; /* of the counter, up to which PM1_TIMER was raised */
};

/* ---- timer; lock held ---- */

static unsigned counter_bits(const struct acpi_pm *pm)
{
	return pm->params.is_32bit_timer ? 32 : 24;
}

static uint64_t pm_ticks(const struct acpi_pm *pm)
{
	return mul_div_u64(clock_now_ns(pm->params.clock), ACPI_PM_TIMER_HZ, NS_PER_SEC);
}

static uint32_t counter(const struct acpi_pm *pm)
{
	return (uint32_t)(pm_ticks(pm) & (BIT64(counter_bits(pm)) - 1));
}

/* How often the top bit has changed since the VM was made. */
static uint64_t half_turns(const struct acpi_pm *pm)
{
	return pm_ticks(pm) >> (counter_bits(pm) - 1);
}

static void update_timer(struct acpi_pm *pm)
{
	uint64_t next = (half_turns(pm) + 1) << (counter_bits(pm) - 1);

	if (pm->enable & PM1_TIMER && !(pm->status & PM1_TIMER))
		clock_timer_arm(&pm->timer, mul_div_u64(next, NS_PER_SEC, ACPI_PM_TIMER_HZ) + 1);
	else
		clock_timer_disarm(&pm->timer);
}

static void update(struct acpi_pm *pm)
{
	if (half_turns(pm) != pm->half_turns) {
		pm->half_turns = half_turns(pm);
		pm->status |= PM1_TIMER;
	}
	update_timer(pm);
	irq_set(&pm->params.sci, pm->status & pm->enable || pm->gpe_status & pm->gpe_enable);
}

static void expired(struct clock_timer *t)
{
	struct acpi_pm *pm = container_of(t, struct acpi_pm, timer);

	pthread_mutex_lock(&pm->lock);
	update(pm);
	pthread_mutex_unlock(&pm->lock);
}

/* ---- registers; lock held ---- */

static uint8_t byte_of(uint32_t value, unsigned offset)
{
	return (uint8_t)(value >> (8 * offset));
}

static uint8_t read_byte(const struct acpi_pm *pm, unsigned offset, uint32_t tmr)
{
	switch (offset & ~3u) {
	case ACPI_PM1_EVT_OFFSET:
		return byte_of(pm->status | (uint32_t)pm->enable << 16, offset & 3);
	case ACPI_PM1_CNT_OFFSET:
		return byte_of(pm->control, offset & 3);
	case ACPI_PM_TMR_OFFSET:
		return byte_of(tmr, offset & 3);
	case ACPI_GPE0_OFFSET:
		return byte_of(pm->gpe_status | (uint32_t)pm->gpe_enable << 16, offset & 3);
	default:
		return 0;
	}
}

/* Status bits are cleared by writing ones, enable bits simply stored. */
static void write_event(uint16_t *status, uint16_t *enable, unsigned offset, uint8_t value)
{
	unsigned shift = 8 * (offset & 1);

	if (offset < 2)
		*status &= ~(value << shift);
	else
		*enable = (*enable & ~(0xff << shift)) | value << shift;
}

/* Returns whether the guest asked for S5. */
static bool write_control(struct acpi_pm *pm, unsigned offset, uint8_t value)
{
	unsigned shift = 8 * offset;
	uint16_t word;

	if (offset > 1)
		return false;
	word = (pm->control & ~(0xff << shift)) | value << shift;
	pm->control = (word & CNT_WRITABLE) | CNT_SCI_EN;
	return word & CNT_SLP_EN && CNT_SLP_TYP(word) == ACPI_SLP_TYP_S5;
}

static bool write_byte(struct acpi_pm *pm, unsigned offset, uint8_t value)
{
	switch (offset & ~3u) {
	case ACPI_PM1_EVT_OFFSET:
		write_event(&pm->status, &pm->enable, offset & 3, value);
		pm->enable &= PM1_ENABLE_BITS;
		return false;
	case ACPI_PM1_CNT_OFFSET:
		return write_control(pm, offset & 3, value);
	case ACPI_GPE0_OFFSET:
		write_event(&pm->gpe_status, &pm->gpe_enable, offset & 3, value);
		return false;
	default:
		return false;
	}
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	struct acpi_pm *pm = dev;
	uint64_t value = 0;
	uint32_t tmr;

	pthread_mutex_lock(&pm->lock);
	update(pm);
	tmr = counter(pm);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)read_byte(pm, (unsigned)offset + i, tmr) << (8 * i);
	pthread_mutex_unlock(&pm->lock);
	return value;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct acpi_pm *pm = dev;
	bool powers_off = false;

	pthread_mutex_lock(&pm->lock);
	update(pm);
	for (unsigned i = 0; i < size; i++)
		powers_off |= write_byte(pm, (unsigned)offset + i, byte_of((uint32_t)value, i));
	update(pm);
	pthread_mutex_unlock(&pm->lock);
	if (powers_off && pm->params.power_off)
		pm->params.power_off(pm->params.ctx);
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write, .max_size = 4};

/* ---- events from outside ---- */

bool acpi_pm_power_button(struct acpi_pm *pm)
{
	bool is_enabled;

	pthread_mutex_lock(&pm->lock);
	pm->status |= PM1_POWER_BUTTON;
	is_enabled = pm->enable & PM1_POWER_BUTTON;
	update(pm);
	pthread_mutex_unlock(&pm->lock);
	return is_enabled;
}

void acpi_pm_raise_gpe(struct acpi_pm *pm, unsigned gpe)
{
	BUG_ON(gpe >= ACPI_NR_GPES);
	pthread_mutex_lock(&pm->lock);
	pm->gpe_status |= BIT(gpe);
	update(pm);
	pthread_mutex_unlock(&pm->lock);
}

/* ---- device ---- */

static void reset(struct device *d)
{
	struct acpi_pm *pm = container_of(d, struct acpi_pm, dev);

	pthread_mutex_lock(&pm->lock);
	pm->status = pm->enable = 0;
	pm->gpe_status = pm->gpe_enable = 0;
	pm->control = CNT_SCI_EN;
	pm->half_turns = half_turns(pm);
	update(pm);
	pthread_mutex_unlock(&pm->lock);
}

static void state(struct device *d, struct state *s)
{
	struct acpi_pm *pm = container_of(d, struct acpi_pm, dev);

	pthread_mutex_lock(&pm->lock);
	state_u16(s, &pm->status);
	state_u16(s, &pm->enable);
	state_u16(s, &pm->control);
	state_u16(s, &pm->gpe_status);
	state_u16(s, &pm->gpe_enable);
	state_u64(s, &pm->half_turns);
	if (state_is_loading(s)) {
		pm->status &= PM1_STATUS_BITS;
		pm->enable &= PM1_ENABLE_BITS;
		pm->control = (pm->control & CNT_WRITABLE) | CNT_SCI_EN;
		update(pm);
	}
	pthread_mutex_unlock(&pm->lock);
}

static void acpi_pm_free(struct device *d)
{
	struct acpi_pm *pm = container_of(d, struct acpi_pm, dev);

	clock_timer_disarm(&pm->timer);
	bus_remove(pm->params.pio, &pm->region);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

static const struct device_ops device_ops = {
	.type = "acpi_pm",
	.reset = reset,
	.state = state,
	.free = acpi_pm_free,
};

struct acpi_pm *acpi_pm_new(const struct acpi_pm_params *params, struct error *err)
{
	struct acpi_pm *pm = mem_alloc_zero(sizeof(*pm));

	pm->dev.ops = &device_ops;
	list_init(&pm->dev.node);
	pm->params = *params;
	pthread_mutex_init(&pm->lock, NULL);
	clock_timer_init(&pm->timer, params->clock, expired);
	pm->region = (struct bus_region){.name = "acpi",
					 .base = params->base ? params->base : ACPI_PM_BASE,
					 .size = ACPI_PM_SIZE,
					 .ops = &port_ops,
					 .dev = pm};
	if (bus_add(params->pio, &pm->region, err)) {
		acpi_pm_free(&pm->dev);
		return NULL;
	}
	reset(&pm->dev);
	return pm;
}

struct device *acpi_pm_device(struct acpi_pm *pm)
{
	return &pm->dev;
}
