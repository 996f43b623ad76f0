/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The grammar of --disk: settings separated by commas. The first may be a bare path.
 *
 *     [file=]PATH[,ro][,direct][,format=F][,size=S][,serial=TEXT][,queues=N]
 *         [,backing=FILE][,backing-format=F][,aio=A]
 *
 * size counts gigabytes without a letter. With a size and no path, a file disk.img (for the first
 * --disk) or diskN.img in the current folder is meant.
 */
#ifndef CLI_OPTIONS_DISK_H
#define CLI_OPTIONS_DISK_H

#include "base/error.h"
#include "config/config.h"

/* Adds a disk behind those there are. Returns 0 or an enum exit_code with err. */
int disk_option_add(struct config *cfg, const char *text, struct error *err);

/* An image to boot from: becomes disk 0, before those there are. Likewise. */
int disk_option_prepend(struct config *cfg, const char *path, struct error *err);

/* Whether a file given without an option is a disk rather than a kernel: by its first bytes. */
bool disk_option_is_image(const char *path);

#endif
