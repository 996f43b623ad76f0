/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/device.h"

#include <stdio.h>
#include <string.h>

#define for_each_device(d, devices)    \
	list_for_each (_node, devices) \
		for (struct device *d = list_entry(_node, struct device, node); d; d = NULL)

void device_add(struct list *devices, struct device *d)
{
	d->index = 0;
	for_each_device(other, devices)
	{
		if (!strcmp(other->ops->type, d->ops->type))
			d->index++;
	}
	list_append(devices, &d->node);
}

void devices_reset(struct list *devices)
{
	for_each_device(d, devices)
	{
		if (d->ops->reset)
			d->ops->reset(d);
	}
}

void devices_pause(struct list *devices)
{
	for_each_device(d, devices)
	{
		if (d->ops->pause)
			d->ops->pause(d);
	}
}

void devices_resume(struct list *devices)
{
	for_each_device(d, devices)
	{
		if (d->ops->resume)
			d->ops->resume(d);
	}
}

void devices_free(struct list *devices)
{
	while (!list_is_empty(devices)) {
		struct device *d = list_entry(devices->prev, struct device, node);

		list_remove(&d->node);
		d->ops->free(d);
	}
}

void devices_state(struct list *devices, struct state *s)
{
	for_each_device(d, devices)
	{
		char name[32];

		if (!d->ops->state)
			continue;
		snprintf(name, sizeof(name), "%s.%u", d->ops->type, d->index);
		state_begin(s, name, 1);
		d->ops->state(d, s);
		state_end(s);
	}
}
