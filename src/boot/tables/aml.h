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

void aml_buffer(struct buf *b, const void *data, size_t len);

/* A reference to a named object. */
void aml_path(struct buf *b, const char *name);

/* Terms that are an opcode with their operands, which are appended next, in order. */
enum aml_op {
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,	       /* and the next ones: AML_ARG0 + n */
	AML_STORE = 0x70,	       /* source, target */
	AML_AND = 0x7b,		       /* operand, operand, target */
	AML_OR = 0x7d,		       /* operand, operand, target */
	AML_CREATE_DWORD_FIELD = 0x8a, /* buffer, offset in bytes, name */
	AML_NOT = 0x92,		       /* logical; operand */
	AML_EQUAL = 0x93,	       /* operand, operand */
	AML_RETURN = 0xa4,	       /* value */
};
void aml_op(struct buf *b, unsigned op);

/* A method that runs for one caller at a time. */
void aml_method(struct buf *b, const char *name, unsigned nr_args, const struct buf *body);
void aml_if(struct buf *b, const struct buf *predicate, const struct buf *body);
void aml_else(struct buf *b, const struct buf *body);

void aml_scope(struct buf *b, const char *name, const struct buf *body);
void aml_device(struct buf *b, const char *name, const struct buf *body);
void aml_package(struct buf *b, unsigned nr_elements, const struct buf *elements);

/* Resource descriptors (chapter 6.4), collected in a buffer of their own. */
void aml_resource_io(struct buf *resources, uint16_t port, uint8_t nr_ports);
void aml_resource_irq(struct buf *resources, unsigned irq);	  /* ISA: edge, active high */
void aml_resource_interrupt(struct buf *resources, uint32_t gsi); /* level, active high, shared */
void aml_resource_memory(struct buf *resources, uint32_t base, uint32_t size);

/* What a bridge passes on: buses, ports, memory below and above 4 GiB. last is inclusive. */
void aml_resource_buses(struct buf *resources, uint8_t first, uint8_t last);
void aml_resource_ports(struct buf *resources, uint16_t first, uint16_t last);
void aml_resource_window(struct buf *resources, uint32_t first, uint32_t last);
void aml_resource_high_window(struct buf *resources, uint64_t first, uint64_t last);

/* Name (_CRS, ResourceTemplate () {...}). */
void aml_current_resources(struct buf *b, const struct buf *resources);

#endif
