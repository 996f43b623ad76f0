/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/initramfs/modules.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "boot/initramfs/modinfo.h"
#include "boot/initramfs/unpack.h"

#define FILE_MAX	(256 * MIB) /* of a list or module; both are far smaller */
#define DEPTH_MAX	32 /* modules that need modules that need ...; real chains have 8 */
#define MODULE_NAME_MAX 64 /* MODULE_NAME_LEN of the kernel, 56, and room */

struct modules {
	char *folder;
	struct buf
		paths; /* lines "kernel/x/y.ko" or, of modules.dep, "kernel/x/y.ko: kernel/x/z.ko" */
	struct buf built_in;   /* lines "kernel/x/y.ko" */
	bool has_dependencies; /* paths is modules.dep */

	struct module *wanted; /* in load order */
	unsigned nr_wanted;
};

/* ---- files ---- */

static int read_whole(const char *path, struct buf *out)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MAX)
		rc = -EINVAL;
	while (!rc) {
		size_t used = out->len, room = 64 * KIB;

		if ((uint64_t)st.st_size > used)
			room = min((size_t)st.st_size - used + 1, (size_t)MIB);
		buf_append(out, NULL, room);
		n = read(fd, out->data + used, room);
		out->len = used + (n > 0 ? (size_t)n : 0);
		if (n < 0 && errno != EINTR)
			rc = -errno;
		if (!n)
			break;
		if (out->len > FILE_MAX)
			rc = -EINVAL;
	}
	close(fd);
	if (rc)
		buf_free(out);
	return rc;
}

static int read_below(const struct modules *m, const char *name, struct buf *out)
{
	struct buf path = {0};

	buf_printf(&path, "%s/%s", m->folder, name);
	int rc = read_whole(buf_text(&path), out);
	buf_free(&path);
	return rc;
}

struct modules *modules_open(const char *folder, struct error *err)
{
	struct modules *m = mem_alloc_zero(sizeof(*m));
	int rc;

	m->folder = mem_strdup(folder);
	rc = read_below(m, "modules.dep", &m->paths);
	m->has_dependencies = !rc;
	if (rc)
		rc = read_below(m, "modules.order", &m->paths);
	if (rc) {
		error_set(err, rc, "modules: %s has neither modules.dep nor modules.order", folder);
		modules_close(m);
		return NULL;
	}
	read_below(m, "modules.builtin", &m->built_in);
	return m;
}

void modules_close(struct modules *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->nr_wanted; i++) {
		free(m->wanted[i].name);
		buf_free(&m->wanted[i].bytes);
	}
	free(m->wanted);
	buf_free(&m->paths);
	buf_free(&m->built_in);
	free(m->folder);
	free(m);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

char *modules_find_folder(const char *kernel_path, const char *version)
{
	const char *slash = strrchr(kernel_path, '/');
	struct buf path = {0};

	if (!*version || strchr(version, '/') || version[0] == '.')
		return NULL;
	if (slash)
		buf_printf(&path, "%.*s/", (int)(slash - kernel_path), kernel_path);
	buf_printf(&path, "../lib/modules/%s", version);
	if (!is_folder(buf_text(&path))) {
		buf_drop_front(&path, path.len);
		buf_printf(&path, "/lib/modules/%s", version);
	}
	if (is_folder(buf_text(&path)))
		return buf_text(&path);
	buf_free(&path);
	return NULL;
}

/* ---- the lists ---- */

struct span {
	const char *at;
	size_t len;
};

static bool next_line(const struct buf *list, size_t *offset, struct span *line)
{
	if (*offset >= list->len)
		return false;
	line->at = (const char *)list->data + *offset;
	const char *end = memchr(line->at, '\n', list->len - *offset);
	line->len = end ? (size_t)(end - line->at) : list->len - *offset;
	*offset += line->len + 1;
	return true;
}

/* Cuts off what is before the first of the characters. */
static struct span take_until(struct span *rest, const char *stops)
{
	struct span word = {rest->at, 0};

	while (word.len < rest->len && !strchr(stops, word.at[word.len]))
		word.len++;
	size_t gone = min(word.len + 1, rest->len);
	*rest = (struct span){rest->at + gone, rest->len - gone};
	return word;
}

/* Whether the path's file is NAME.ko, packed or not. */
static bool is_module(struct span path, const char *name)
{
	const char *base = memrchr(path.at, '/', path.len);
	size_t len = strlen(name);

	if (base) {
		path.len -= (size_t)(base + 1 - path.at);
		path.at = base + 1;
	}
	if (path.len < len + 3 || memcmp(path.at + len, ".ko", 3))
		return false;
	for (size_t i = 0; i < len; i++) {
		char a = path.at[i] == '-' ? '_' : path.at[i], b = name[i] == '-' ? '_' : name[i];

		if (a != b)
			return false;
	}
	return true;
}

/* Finds the line of a module; *needs gets what follows the colon in modules.dep. */
static bool find(const struct buf *list, const char *name, struct span *path, struct span *needs)
{
	struct span line;

	for (size_t offset = 0; next_line(list, &offset, &line);) {
		*needs = line;
		*path = take_until(needs, ":");
		if (is_module(*path, name))
			return true;
	}
	return false;
}

enum module_place modules_look_up(const struct modules *m, const char *name)
{
	struct span path, needs;

	if (find(&m->built_in, name, &path, &needs))
		return MODULE_BUILT_IN;
	return find(&m->paths, name, &path, &needs) ? MODULE_FILE : MODULE_ABSENT;
}

/* ---- what is wanted ---- */

static bool is_wanted(const struct modules *m, const char *name)
{
	for (unsigned i = 0; i < m->nr_wanted; i++) {
		const char *file = m->wanted[i].name;

		if (is_module((struct span){file, strlen(file)}, name))
			return true;
	}
	return false;
}

/*
 * modules.order names packed modules without their ending. What only the guest's kernel can unpack
 * is taken as it is; its name says so to the init.
 */
static int load(const struct modules *m, struct span path, struct module *out, struct error *err)
{
	static const char *const endings[] = {"", ".xz", ".zst", ".gz"};
	struct buf file = {0}, name = {0};
	int rc = -ENOENT;

	for (unsigned i = 0; rc == -ENOENT && i < ARRAY_SIZE(endings); i++) {
		buf_drop_front(&name, name.len);
		buf_printf(&name, "%.*s%s", (int)path.len, path.at, endings[i]);
		rc = read_below(m, buf_text(&name), &file);
	}
	if (rc) {
		error_set_errno(err, rc, "module %s/%.*s", m->folder, (int)path.len, path.at);
		buf_free(&name);
		return rc;
	}
	char *base = strrchr(buf_text(&name), '/');
	base = base ? base + 1 : buf_text(&name);
	*out = (struct module){.name = mem_strdup(base)};
	rc = unpack(file.data, file.len, &out->bytes);
	if (!rc) {
		strstr(out->name, ".ko")[3] = '\0';
	} else if (rc == -ENOTSUP) {
		out->bytes = file;
		file = (struct buf){0};
		rc = 0;
	} else {
		error_set_errno(err, rc, "module %s/%s: unpacking", m->folder, buf_text(&name));
		free(out->name);
	}
	buf_free(&file);
	buf_free(&name);
	return rc;
}

/* A module whose needs are being looked after, and for whose sake. */
struct visit {
	const char *name;
	const struct visit *up;
	unsigned depth;
};

static int want(struct modules *m, const char *name, bool is_optional, const struct visit *up,
		struct error *err);

/* A word of a list of names or paths, which may be anything. */
static int want_word(struct modules *m, struct span word, const struct visit *up, struct error *err)
{
	const char *slash = memrchr(word.at, '/', word.len);
	char name[MODULE_NAME_MAX];

	if (slash)
		word = (struct span){slash + 1, word.len - (size_t)(slash + 1 - word.at)};
	const char *dot = memmem(word.at, word.len, ".ko", 3);
	if (dot)
		word.len = (size_t)(dot - word.at);
	if (!word.len)
		return 0;
	if (word.len >= sizeof(name))
		return error_set(err, -EINVAL, "a dependency with a name of %zu bytes", word.len);
	memcpy(name, word.at, word.len);
	name[word.len] = '\0';
	return want(m, name, false, up, err);
}

static int want_all(struct modules *m, struct span words, const char *stops, const struct visit *up,
		    struct error *err)
{
	int rc = 0;

	while (!rc && words.len)
		rc = want_word(m, take_until(&words, stops), up, err);
	return rc;
}

/* The value of a string "NAME=..." of the module, empty when there is none. */
static struct span info_of(const struct module *module, const char *name)
{
	const char *value = NULL;

	if (modinfo_find(module->bytes.data, module->bytes.len, name, &value))
		return (struct span){"", 0};
	return (struct span){value, strlen(value)};
}

/*
 * Soft dependencies ("pre: crc32c post: x") are what the module asks for by itself once it runs,
 * which works only where modprobe is; those of before are loaded if they are modules. An algorithm's
 * module is often named after it with _generic behind.
 */
static void want_soft(struct modules *m, const struct module *module, const struct visit *up)
{
	struct span words = info_of(module, "softdep");
	bool is_before = false;

	while (words.len) {
		struct span word = take_until(&words, " ");
		char name[MODULE_NAME_MAX];

		if (word.len && word.at[word.len - 1] == ':') {
			is_before = word.len == 4 && !memcmp(word.at, "pre:", 4);
			continue;
		}
		if (!is_before || !word.len || word.len + sizeof("_generic") > sizeof(name))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)word.len, word.at);
		want(m, name, true, up, NULL);
		snprintf(name, sizeof(name), "%.*s_generic", (int)word.len, word.at);
		want(m, name, true, up, NULL);
	}
}

static void keep(struct modules *m, struct module *module)
{
	m->wanted = realloc(m->wanted, (m->nr_wanted + 1) * sizeof(m->wanted[0]));
	BUG_ON(!m->wanted);
	m->wanted[m->nr_wanted++] = *module;
}

static bool is_visited(const struct visit *up, const char *name)
{
	for (; up; up = up->up)
		if (is_module((struct span){up->name, strlen(up->name)}, name))
			return true;
	return false;
}

static int want_needs(struct modules *m, const struct module *module, struct span needs,
		      const struct visit *visit, struct error *err)
{
	int rc = m->has_dependencies ? want_all(m, needs, " ", visit, err)
				     : want_all(m, info_of(module, "depends"), ",", visit, err);

	if (!rc)
		want_soft(m, module, visit);
	return rc;
}

static int want(struct modules *m, const char *name, bool is_optional, const struct visit *up,
		struct error *err)
{
	struct span path, needs;
	struct module module;

	if (is_wanted(m, name) || is_visited(up, name) || find(&m->built_in, name, &path, &needs))
		return 0;
	if (!find(&m->paths, name, &path, &needs))
		return is_optional
			       ? 0
			       : error_set(err, -ENOENT, "%s has no module %s", m->folder, name);
	if (up && up->depth == DEPTH_MAX)
		return error_set(err, -ELOOP, "%s: too many modules need each other at %s",
				 m->folder, name);
	int rc = load(m, path, &module, err);
	if (rc)
		return rc;
	const struct visit visit = {module.name, up, up ? up->depth + 1 : 1};
	rc = want_needs(m, &module, needs, &visit, err);
	if (rc) {
		free(module.name);
		buf_free(&module.bytes);
		return rc;
	}
	keep(m, &module);
	return 0;
}

int modules_want(struct modules *m, const char *name, bool is_optional, struct error *err)
{
	return want(m, name, is_optional, NULL, err);
}

const struct module *modules_at(const struct modules *m, unsigned i)
{
	return i < m->nr_wanted ? &m->wanted[i] : NULL;
}
