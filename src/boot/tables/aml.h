/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes ACPI Machine Language (ACPI 6.5, chapter 20): only the terms our tables need. Each
 * function appends one term to a buffer; what contains others takes them as a finished buffer,
 * because its length comes first. Names are four characters, "\\" before one makes it absolute.
 */
#ifndef BOOT_TABLES_AML_H
#define BOOT_TABLES_AML_H

#include "base/buf.h"

void aml_integer(struct buf *b, uint64_t value);
void aml_string(struct buf *b, const char *text);

/* The compressed form of a seven-character id: "PNP0501". */
void aml_eisa_id(struct buf *b, const char *id);

/* Name (name, ...): the object is the next term appended. */
void aml_name(struct buf *b, const char *name);

void aml_scope(struct buf *b, const char *name, const struct buf *body);
void aml_device(struct buf *b, const char *name, const struct buf *body);
void aml_package(struct buf *b, unsigned nr_elements, const struct buf *elements);

/* Resource descriptors (chapter 6.4), collected in a buffer of their own. */
void aml_resource_io(struct buf *resources, uint16_t port, uint8_t nr_ports);
void aml_resource_irq(struct buf *resources, unsigned irq);	  /* ISA: edge, active high */
void aml_resource_interrupt(struct buf *resources, uint32_t gsi); /* level, active high, shared */
void aml_resource_memory(struct buf *resources, uint32_t base, uint32_t size);

/* Name (_CRS, ResourceTemplate () {...}). */
void aml_current_resources(struct buf *b, const struct buf *resources);

#endif
