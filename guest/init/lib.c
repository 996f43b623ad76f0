/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <time.h>

#include "sys.h"

void *memcpy(void *dst, const void *src, size_t len)
{
	void *to = dst;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(len) : : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t len)
{
	char *to = dst;
	const char *from = src;

	if (to <= from)
		return memcpy(dst, src, len);
	while (len--)
		to[len] = from[len];
	return dst;
}

void *memset(void *dst, int byte, size_t len)
{
	void *to = dst;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(byte) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const unsigned char *x = a, *y = b;

	for (; len; len--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	const char *end = s;

	while (*end)
		end++;
	return (size_t)(end - s);
}

bool same(const char *a, const char *b)
{
	size_t len = strlen(a);

	return len == strlen(b) && !memcmp(a, b, len);
}

unsigned long number(const char *text)
{
	unsigned long value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (unsigned long)(*text - '0');
	return *text ? 0 : value;
}

static size_t append(char *out, size_t room, size_t at, const char *text)
{
	for (; *text && at + 1 < room; text++)
		out[at++] = *text;
	return at;
}

static size_t append_list(char *out, size_t room, size_t at, const char *first, va_list ap)
{
	for (const char *s = first; s; s = va_arg(ap, const char *))
		at = append(out, room, at, s);
	return at;
}

char *join(char *out, size_t room, const char *first, ...)
{
	va_list ap;

	va_start(ap, first);
	out[append_list(out, room, 0, first, ap)] = '\0';
	va_end(ap);
	return out;
}

char *decimal(char out[24], unsigned long value)
{
	char *at = out + 23;

	*at = '\0';
	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	return memmove(out, at, strlen(at) + 1);
}

static const char *meaning(long code)
{
	switch (-code) {
	case EPERM:
		return "not permitted";
	case ENOENT:
		return "no such file or directory";
	case EACCES:
		return "permission denied";
	case ENODEV:
		return "the kernel does not know this file system or device";
	case EINVAL:
		return "invalid argument";
	case ENOTDIR:
		return "not a directory";
	case ENOMEM:
		return "out of memory";
	case ENOEXEC:
		return "not a program of this system";
	case E2BIG:
		return "arguments and environment are too long";
	case ELOOP:
		return "too many symbolic links";
	default:
		return NULL;
	}
}

void say(const char *first, ...)
{
	char line[1024];
	va_list ap;
	size_t at = append(line, sizeof(line) - 1, 0, "bantam: ");

	va_start(ap, first);
	at = append_list(line, sizeof(line) - 1, at, first, ap);
	va_end(ap);
	line[at++] = '\n';
	write_all(2, line, at);
}

void say_errno(long code, const char *first, ...)
{
	char text[1024], digits[24];
	va_list ap;

	va_start(ap, first);
	text[append_list(text, sizeof(text), 0, first, ap)] = '\0';
	va_end(ap);
	if (meaning(code))
		say(text, ": ", meaning(code), NULL);
	else
		say(text, ": error ", decimal(digits, (unsigned long)-code), NULL);
}

long write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		long n = sys(__NR_write, fd, at, len);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

long write_file(const char *path, const char *text)
{
	long fd = sys(__NR_open, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return fd;
	long rc = write_all((int)fd, text, strlen(text));
	sys(__NR_close, fd);
	return rc;
}

long read_file(const char *path, char *out, size_t room)
{
	long fd = sys(__NR_open, path, O_RDONLY | O_CLOEXEC), n;
	size_t at = 0;

	if (fd < 0)
		return fd;
	do {
		n = sys(__NR_read, fd, out + at, room - 1 - at);
		at += n > 0 ? (size_t)n : 0;
	} while (n > 0 && at < room - 1);
	sys(__NR_close, fd);
	out[at] = '\0';
	return n < 0 ? n : (long)at;
}

void *allocate(size_t len)
{
	long at =
		sys(__NR_mmap, 0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at < 0 && at > -4096) {
		say("the guest is out of memory", NULL);
		power_off();
	}
	return (void *)at;
}

long make_path(const char *path)
{
	char part[PATH_ROOM];
	long rc = 0;

	join(part, sizeof(part), path, NULL);
	for (char *at = part + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		sys(__NR_mkdir, part, 0755);
		*at = '/';
	}
	rc = sys(__NR_mkdir, part, 0755);
	return rc == -EEXIST ? 0 : rc;
}

struct linux_dirent64 {
	uint64_t ino;
	int64_t off;
	unsigned short len;
	unsigned char type;
	char name[];
};

void each_name(const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
	char block[2048] __attribute__((aligned(8)));
	long fd = sys(__NR_open, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n;
	bool go_on = fd >= 0;

	while (go_on && (n = sys(__NR_getdents64, fd, block, sizeof(block))) > 0) {
		for (long at = 0; go_on && at < n;) {
			struct linux_dirent64 *e = (struct linux_dirent64 *)(block + at);

			at += e->len;
			if (!same(e->name, ".") && !same(e->name, ".."))
				go_on = fn(ctx, e->name);
		}
	}
	if (fd >= 0)
		sys(__NR_close, fd);
}

uint64_t now_ms(void)
{
	struct timespec t = {0};

	sys(__NR_clock_gettime, CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void power_off(void)
{
	sys(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0);
	/* A kernel that cannot: the keyboard controller's reset ends a VM that may not reboot. */
	sys(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0);
	for (;;)
		sys(__NR_pause);
}
