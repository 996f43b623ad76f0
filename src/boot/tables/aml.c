/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/tables/aml.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	PREFIX_BYTE = 0x0a,
	PREFIX_WORD = 0x0b,
	PREFIX_DWORD = 0x0c,
	PREFIX_STRING = 0x0d,
	PREFIX_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_IF = 0xa0,
	OP_ELSE = 0xa1,
	PREFIX_EXT = 0x5b,
	OP_EXT_DEVICE = 0x82,
};

#define NAME_LEN 4

static void add_byte(struct buf *b, uint8_t byte)
{
	buf_append(b, &byte, 1);
}

static void add_number(struct buf *b, uint8_t prefix, uint64_t value, unsigned size)
{
	add_byte(b, prefix);
	buf_append(b, &value, size);
}

void aml_path(struct buf *b, const char *name)
{
	if (*name == '\\')
		add_byte(b, *name++);
	BUG_ON(strlen(name) != NAME_LEN);
	buf_append(b, name, NAME_LEN);
}

/*
 * The length of a package counts its own bytes. One byte holds up to 63; else the low four bits go
 * into the first byte and eight more into each of up to three others (20.2.4).
 */
static void add_package_length(struct buf *b, size_t content_len)
{
	if (content_len + 1 < 64) {
		add_byte(b, content_len + 1);
		return;
	}
	unsigned more = 1;
	while ((content_len + 1 + more) >> (4 + 8 * more))
		more++;
	BUG_ON(more > 3);

	size_t len = content_len + 1 + more;
	add_byte(b, more << 6 | (len & 0xf));
	for (unsigned i = 0; i < more; i++)
		add_byte(b, len >> (4 + 8 * i));
}

void aml_integer(struct buf *b, uint64_t value)
{
	if (value <= 1)
		add_byte(b, value ? OP_ONE : OP_ZERO);
	else if (value <= UINT8_MAX)
		add_number(b, PREFIX_BYTE, value, 1);
	else if (value <= UINT16_MAX)
		add_number(b, PREFIX_WORD, value, 2);
	else if (value <= UINT32_MAX)
		add_number(b, PREFIX_DWORD, value, 4);
	else
		add_number(b, PREFIX_QWORD, value, 8);
}

void aml_string(struct buf *b, const char *text)
{
	add_byte(b, PREFIX_STRING);
	buf_append(b, text, strlen(text) + 1);
}

/* Three letters of five bits and four hexadecimal digits, in big-endian order (19.3.4). */
void aml_eisa_id(struct buf *b, const char *id)
{
	BUG_ON(strlen(id) != 7);
	uint32_t value = (id[0] - '@') << 26 | (id[1] - '@') << 21 | (id[2] - '@') << 16 |
			 strtoul(id + 3, NULL, 16);

	add_number(b, PREFIX_DWORD, __builtin_bswap32(value), 4);
}

void aml_op(struct buf *b, unsigned op)
{
	add_byte(b, op);
}

void aml_name(struct buf *b, const char *name)
{
	add_byte(b, OP_NAME);
	aml_path(b, name);
}

static void add_named_body(struct buf *b, const char *name, const struct buf *body)
{
	add_package_length(b, NAME_LEN + (*name == '\\') + body->len);
	aml_path(b, name);
	buf_append(b, body->data, body->len);
}

void aml_scope(struct buf *b, const char *name, const struct buf *body)
{
	add_byte(b, OP_SCOPE);
	add_named_body(b, name, body);
}

void aml_device(struct buf *b, const char *name, const struct buf *body)
{
	add_byte(b, PREFIX_EXT);
	add_byte(b, OP_EXT_DEVICE);
	add_named_body(b, name, body);
}

void aml_method(struct buf *b, const char *name, unsigned nr_args, const struct buf *body)
{
	const uint8_t serialized = 0x08;

	BUG_ON(nr_args > 7);
	add_byte(b, OP_METHOD);
	add_package_length(b, NAME_LEN + 1 + body->len);
	aml_path(b, name);
	add_byte(b, nr_args | serialized);
	buf_append(b, body->data, body->len);
}

void aml_if(struct buf *b, const struct buf *predicate, const struct buf *body)
{
	add_byte(b, OP_IF);
	add_package_length(b, predicate->len + body->len);
	buf_append(b, predicate->data, predicate->len);
	buf_append(b, body->data, body->len);
}

void aml_else(struct buf *b, const struct buf *body)
{
	add_byte(b, OP_ELSE);
	add_package_length(b, body->len);
	buf_append(b, body->data, body->len);
}

void aml_package(struct buf *b, unsigned nr_elements, const struct buf *elements)
{
	BUG_ON(nr_elements > UINT8_MAX);
	add_byte(b, OP_PACKAGE);
	add_package_length(b, 1 + elements->len);
	add_byte(b, nr_elements);
	buf_append(b, elements->data, elements->len);
}

/* I/O port descriptor, 6.4.2.5. */
void aml_resource_io(struct buf *resources, uint16_t port, uint8_t nr_ports)
{
	const uint8_t decode_16bit = 1, alignment = 1;

	add_byte(resources, 0x47);
	add_byte(resources, decode_16bit);
	buf_append(resources, &port, 2);
	buf_append(resources, &port, 2);
	add_byte(resources, alignment);
	add_byte(resources, nr_ports);
}

/* IRQ descriptor without flags, 6.4.2.1. */
void aml_resource_irq(struct buf *resources, unsigned irq)
{
	BUG_ON(irq > 15);
	const uint16_t mask = BIT(irq);

	add_byte(resources, 0x22);
	buf_append(resources, &mask, 2);
}

/* Extended interrupt, 6.4.3.6. */
void aml_resource_interrupt(struct buf *resources, uint32_t gsi)
{
	const uint16_t descriptor_len = 6;
	const uint8_t consumer = 1, shared = 8;

	add_byte(resources, 0x89);
	buf_append(resources, &descriptor_len, 2);
	add_byte(resources, consumer | shared);
	add_byte(resources, 1); /* one interrupt */
	buf_append(resources, &gsi, 4);
}

/* 32-bit fixed memory range, 6.4.3.4. */
void aml_resource_memory(struct buf *resources, uint32_t base, uint32_t size)
{
	const uint16_t descriptor_len = 9;
	const uint8_t writable = 1;

	add_byte(resources, 0x86);
	buf_append(resources, &descriptor_len, 2);
	add_byte(resources, writable);
	buf_append(resources, &base, 4);
	buf_append(resources, &size, 4);
}

/* Address space descriptors, 6.4.3.5: a tag and a length, then these fields in 2, 4 or 8 bytes. */
enum { SPACE_MEMORY, SPACE_IO, SPACE_BUSES };

static void add_space(struct buf *resources, uint8_t tag, unsigned width, uint8_t space,
		      uint8_t flags, uint64_t first, uint64_t last)
{
	const uint8_t producer_with_fixed_ends = 0x0c;
	const uint64_t fields[] = {0 /* granularity */, first, last, 0 /* offset */,
				   last - first + 1};
	const uint16_t len = 3 + ARRAY_SIZE(fields) * width;

	add_byte(resources, tag);
	buf_append(resources, &len, 2);
	add_byte(resources, space);
	add_byte(resources, producer_with_fixed_ends);
	add_byte(resources, flags);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		buf_append(resources, &fields[i], width);
}

#define SPACE_ENTIRE_IO 0x03 /* not only ISA's or only others' addresses */
#define SPACE_WRITABLE	0x01 /* not cacheable */
#define SPACE_WORD_TAG	0x88
#define SPACE_DWORD_TAG 0x87
#define SPACE_QWORD_TAG 0x8a

void aml_resource_buses(struct buf *resources, uint8_t first, uint8_t last)
{
	add_space(resources, SPACE_WORD_TAG, 2, SPACE_BUSES, 0, first, last);
}

void aml_resource_ports(struct buf *resources, uint16_t first, uint16_t last)
{
	add_space(resources, SPACE_WORD_TAG, 2, SPACE_IO, SPACE_ENTIRE_IO, first, last);
}

void aml_resource_window(struct buf *resources, uint32_t first, uint32_t last)
{
	add_space(resources, SPACE_DWORD_TAG, 4, SPACE_MEMORY, SPACE_WRITABLE, first, last);
}

void aml_resource_high_window(struct buf *resources, uint64_t first, uint64_t last)
{
	add_space(resources, SPACE_QWORD_TAG, 8, SPACE_MEMORY, SPACE_WRITABLE, first, last);
}

static void add_buffer(struct buf *b, const void *data, size_t len, const void *tail,
		       size_t tail_len)
{
	struct buf size = {0};

	aml_integer(&size, len + tail_len);
	add_byte(b, OP_BUFFER);
	add_package_length(b, size.len + len + tail_len);
	buf_append(b, size.data, size.len);
	buf_append(b, data, len);
	buf_append(b, tail, tail_len);
	buf_free(&size);
}

void aml_buffer(struct buf *b, const void *data, size_t len)
{
	add_buffer(b, data, len, NULL, 0);
}

void aml_current_resources(struct buf *b, const struct buf *resources)
{
	static const uint8_t end_tag[2] = {0x79, 0}; /* a checksum of zero counts as right */

	aml_name(b, "_CRS");
	add_buffer(b, resources->data, resources->len, end_tag, sizeof(end_tag));
}
