/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/gsi.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"

struct gsi_router {
	pthread_mutex_t lock; /* guards high; held while PIC and IOAPIC are driven, so that they see
				 changes of one wire in order */
	struct irq_line pic[PIC_PINS], ioapic[NR_GSIS];
	unsigned nr_sources[NR_GSIS];
	uint32_t high[NR_GSIS]; /* which sources drive the wire */
};

struct gsi_router *gsi_router_new(void)
{
	struct gsi_router *r = mem_alloc_zero(sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void gsi_router_free(struct gsi_router *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void gsi_router_connect(struct gsi_router *r, struct pic *pic, struct ioapic *ioapic)
{
	for (unsigned gsi = 0; gsi < NR_GSIS; gsi++) {
		if (gsi < PIC_PINS && gsi != 2)
			r->pic[gsi] = pic_line(pic, gsi);
		if (gsi != 2)
			r->ioapic[gsi] = ioapic_line(ioapic, gsi ? gsi : 2);
	}
}

/* pin holds the GSI in bits 0-7 and the source above. */
static void set_source(void *ctx, unsigned pin, bool level)
{
	struct gsi_router *r = ctx;
	unsigned gsi = pin & 0xff;
	uint32_t source = BIT(pin >> 8);

	pthread_mutex_lock(&r->lock);
	uint32_t before = r->high[gsi];
	r->high[gsi] = level ? before | source : before & ~source;
	if (!before != !r->high[gsi]) {
		if (gsi < PIC_PINS)
			irq_set(&r->pic[gsi], level);
		irq_set(&r->ioapic[gsi], level);
	}
	pthread_mutex_unlock(&r->lock);
}

struct irq_line gsi_line(struct gsi_router *r, unsigned gsi)
{
	BUG_ON(gsi >= NR_GSIS || r->nr_sources[gsi] == GSI_SOURCES_MAX);
	unsigned source = r->nr_sources[gsi]++;

	return (struct irq_line){.set = set_source, .ctx = r, .pin = source << 8 | gsi};
}

void gsi_router_reset(struct gsi_router *r)
{
	pthread_mutex_lock(&r->lock);
	for (unsigned gsi = 0; gsi < NR_GSIS; gsi++) {
		if (!r->high[gsi])
			continue;
		r->high[gsi] = 0;
		if (gsi < PIC_PINS)
			irq_lower(&r->pic[gsi]);
		irq_lower(&r->ioapic[gsi]);
	}
	pthread_mutex_unlock(&r->lock);
}
