/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What bantam and its init inside the guest say to each other. Both sides are of one build, so there
 * is no version; the init trusts bantam, and bantam trusts nothing of what comes back.
 *
 * The configuration (INIT_CONFIG in the initramfs) is a run of records. A record is a run of fields,
 * each ended by a zero byte, and ends with an empty field. The first field is what it is about:
 *   module PATH                 load it, in order
 *   hostname NAME
 *   root TYPE TAG MODE          9p or virtiofs: what the system is on; MODE is ro or rw
 *   upper memory                an overlay on it that is forgotten
 *   upper TYPE TAG              an overlay on it that is kept in this share
 *   mount TYPE TAG PATH MODE    another share
 *   dhcp                        every network card asks for an address
 *   console PATH                the device the shell talks to
 *   window ROWS COLUMNS         size of the terminal behind it
 *   env NAME=VALUE              for the shell
 *   run PATH                    what runs on the console instead of a shell
 *   boot PATH                   the system's own init, which takes over from this one
 *   channel NAME                a session: the command comes over the channel, nothing runs on the
 *                               console
 *
 * The channel is the virtio-console port CHANNEL_NAME or the device CHANNEL_TTY. It carries frames: a
 * struct frame, then its payload. All numbers are little-endian.
 */
#ifndef BOOT_INITRAMFS_PROTOCOL_H
#define BOOT_INITRAMFS_PROTOCOL_H

#include <stdint.h>

#define INIT_CONFIG  "/bantam.conf"
#define CHANNEL_NAME "bantam.session"
#define CHANNEL_TTY  "/dev/ttyS1"

#define FRAME_DATA_MAX	  32768	     /* payload of every frame but a request */
#define FRAME_REQUEST_MAX (8u << 20) /* above what execve() takes */
#define STDIN_WINDOW	  65536	     /* bytes of FRAME_STDIN that may be unacknowledged */

struct frame {
	uint32_t type; /* enum frame_type */
	uint32_t len;  /* of the payload */
};

enum frame_type {
	/* To the guest. */
	FRAME_REQUEST = 1, /* struct request with its strings: once, first */
	FRAME_STDIN,	   /* bytes for the command; none: its end */
	FRAME_WINDOW,	   /* struct window */
	FRAME_SIGNAL,	   /* uint32_t: to the command and what it has started */
	FRAME_CLOSE, /* uint32_t 1 or 2: nobody reads the command's stdout or stderr any more */
	/* From the guest. */
	FRAME_READY = 64, /* the init waits for the request */
	FRAME_STDOUT,
	FRAME_STDERR,
	FRAME_TAKEN,   /* uint32_t: so many bytes of stdin were taken */
	FRAME_EXIT,    /* uint32_t: status of the command, 128 + signal if one ended it; last */
	FRAME_FAILURE, /* text: the command could not be run */
};

/* Request flags. */
#define REQUEST_TERMINAL 1u /* stdin and stdout are one terminal, stderr too */

struct window {
	uint16_t rows, columns;
};

/* Strings follow, each ended by zero: the directory, then the arguments, then the environment. */
struct request {
	uint32_t flags;
	uint32_t uid, gid;
	uint32_t nr_args, nr_env;
	struct window window; /* with REQUEST_TERMINAL */
};

#endif
