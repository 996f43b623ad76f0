/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owners, modes and device numbers between host and guest (enum export_map). The attribute
 * user.bantam.stat holds words such as "uid=33 gid=33 bits=4000 type=c rdev=1:3", each only when it
 * differs from what the file itself says. Only this process's own files have it read or written.
 */
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "backend/fs/export_impl.h"

#define STAT_NAME "user.bantam.stat"

static const struct {
	char letter;
	uint32_t type;
} types[] = {{'c', S_IFCHR}, {'b', S_IFBLK}, {'p', S_IFIFO}, {'s', S_IFSOCK}};

static uint32_t type_of(char letter)
{
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		if (types[i].letter == letter)
			return types[i].type;
	}
	return 0;
}

static char letter_of(uint32_t type)
{
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		if (types[i].type == type)
			return types[i].letter;
	}
	return '-';
}

/* One word; what is not understood is left out. */
static void parse_word(const char *word, struct mapped_stat *m)
{
	unsigned a, b;
	char letter;

	if (sscanf(word, "uid=%u", &a) == 1) {
		m->has_uid = true;
		m->uid = a;
	} else if (sscanf(word, "gid=%u", &a) == 1) {
		m->has_gid = true;
		m->gid = a;
	} else if (sscanf(word, "bits=%o", &a) == 1) {
		m->bits = a & (S_ISUID | S_ISGID);
	} else if (sscanf(word, "type=%c", &letter) == 1) {
		m->type = type_of(letter);
	} else if (sscanf(word, "rdev=%u:%u", &a, &b) == 2) {
		m->major = a;
		m->minor = b;
	}
}

void mapped_read(struct export *ex, const struct place *p, struct node *n, struct mapped_stat *m)
{
	char text[128], *rest = text, *word;
	struct grant g = {.nodes = {n}};
	int rc;

	*m = (struct mapped_stat){0};
	do
		rc = (int)place_getxattr(p, STAT_NAME, text, sizeof(text) - 1);
	while (!*p->name && grant_retry(ex, &g, rc));
	if (rc == -EACCES && *p->name) {
		int fd = node_fd(ex, n);

		if (fd >= 0)
			mapped_read(ex, &(struct place){fd, ""}, n, m);
		return;
	}
	if (rc < 0)
		return;
	text[rc] = 0;
	while ((word = strsep(&rest, " ")) != NULL)
		parse_word(word, m);
}

int mapped_write(struct export *ex, struct node *n, int fd, const struct mapped_stat *m)
{
	char path[PLACE_PATH_MAX], text[128] = "";
	size_t len = 0;
	int rc;

	place_path(&(struct place){fd, ""}, path);
	if (m->has_uid)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " uid=%u", m->uid);
	if (m->has_gid)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " gid=%u", m->gid);
	if (m->bits)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " bits=%o", m->bits);
	if (m->type)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " type=%c rdev=%u:%u",
					letter_of(m->type), m->major, m->minor);
	struct grant g = {.nodes = {n}};
	do
		rc = len ? sys(setxattr(path, STAT_NAME, text + 1, len - 1, 0))
			 : sys(removexattr(path, STAT_NAME));
	while (grant_retry(ex, &g, rc));
	return rc == -ENODATA || (rc == -EOPNOTSUPP && !len) ? 0 : rc;
}

void map_attr(struct export *ex, const struct place *p, struct node *n, struct statx *stx)
{
	bool is_ours = stx->stx_uid == ex->uid;
	struct mapped_stat m = {0};

	stx->stx_ino = export_ino(ex, stx_dev(stx), stx->stx_ino);
	if (ex->options.map == EXPORT_MAP_NONE)
		return;
	if (ex->options.map == EXPORT_MAP_MAPPED && is_ours &&
	    (S_ISREG(stx->stx_mode) || S_ISDIR(stx->stx_mode)))
		mapped_read(ex, p, n, &m);
	if (is_ours)
		stx->stx_uid = m.has_uid ? m.uid : 0;
	if (m.has_gid)
		stx->stx_gid = m.gid;
	else if (stx->stx_gid == ex->gid)
		stx->stx_gid = 0;
	stx->stx_mode |= (uint16_t)m.bits;
	if (m.type && S_ISREG(stx->stx_mode)) {
		stx->stx_mode = (uint16_t)(m.type | (stx->stx_mode & 07777));
		stx->stx_rdev_major = m.major;
		stx->stx_rdev_minor = m.minor;
	}
}

void map_new_owner(struct export *ex, struct node *dir, const struct fs_caller *caller,
		   struct new_owner *owner)
{
	struct statx stx;

	*owner = (struct new_owner){.uid = caller->uid, .gid = caller->gid};
	if (ex->options.map == EXPORT_MAP_SQUASH ||
	    (ex->options.map == EXPORT_MAP_NONE && (ex->uid || (!caller->uid && !caller->gid))))
		return;
	if (!node_stat(ex, dir, &stx) && stx.stx_mode & S_ISGID) {
		owner->is_setgid = true;
		owner->gid = stx.stx_gid;
	}
}
