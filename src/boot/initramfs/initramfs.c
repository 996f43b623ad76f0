/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/initramfs/initramfs.h"

#include <stdarg.h>
#include <string.h>

#include "boot/initramfs/cpio.h"
#include "boot/initramfs/init_program.h"
#include "boot/initramfs/modules.h"
#include "boot/initramfs/protocol.h"

#define MODULE_FOLDER "modules"

void initramfs_record(struct buf *records, const char *first, ...)
{
	va_list ap;

	va_start(ap, first);
	for (const char *field = first; field; field = va_arg(ap, const char *))
		buf_append(records, field, strlen(field) + 1);
	va_end(ap);
	buf_append(records, "", 1);
}

static void add_modules(struct buf *out, const struct modules *modules, struct buf *config)
{
	const struct module *module;

	for (unsigned i = 0; (module = modules_at(modules, i)) != NULL; i++) {
		struct buf path = {0};

		buf_printf(&path, "/" MODULE_FOLDER "/%s", module->name);
		initramfs_record(config, "module", buf_text(&path), NULL);
		cpio_add_file(out, buf_text(&path) + 1, 0644, module->bytes.data,
			      module->bytes.len);
		buf_free(&path);
	}
}

void initramfs_build(struct buf *out, const struct modules *modules, const struct buf *records)
{
	struct buf config = {0};

	cpio_add_folder(out, "dev", 0755);
	cpio_add_folder(out, MODULE_FOLDER, 0755);
	cpio_add_char_device(out, "dev/console", 0600, 5,
			     1); /* opened for the init by the kernel */
	cpio_add_file(out, "init", 0755, init_program, init_program_size());
	if (modules)
		add_modules(out, modules, &config);
	buf_append(&config, records->data, records->len);
	cpio_add_file(out, &INIT_CONFIG[1], 0644, config.data, config.len);
	cpio_end(out);
	buf_free(&config);
}
