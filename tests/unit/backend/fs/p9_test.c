/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/backend/fs/tree.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "backend/fs/p9.h"
#include "backend/fs/p9_impl.h"

#define MSIZE 8192

/* A message being built or an answer being read. */
struct message {
	uint8_t bytes[MSIZE];
	size_t len, at;
};

static struct {
	struct tree tree;
	struct export *ex;
	struct p9 *p;
	struct message ask, reply;
	struct fs_request request;
	bool is_done;
	struct iovec in_iov[2], out_iov[2];
} c;

static void add(const void *data, size_t len)
{
	memcpy(c.ask.bytes + c.ask.len, data, len);
	c.ask.len += len;
}

/*
 * Builds a message: b w d q are numbers of 1, 2, 4 and 8 bytes (int for the first two, uint32_t, uint64_t),
 * s is a string.
 */
static void build(uint8_t type, uint16_t tag, const char *fields, va_list ap)
{
	c.ask.len = 0;
	add(&(uint32_t){0}, 4);
	add(&type, 1);
	add(&tag, 2);
	for (; *fields; fields++) {
		if (*fields == 'b') {
			add(&(uint8_t){(uint8_t)va_arg(ap, int)}, 1);
		} else if (*fields == 'w') {
			add(&(uint16_t){(uint16_t)va_arg(ap, int)}, 2);
		} else if (*fields == 'd') {
			add(&(uint32_t){va_arg(ap, uint32_t)}, 4);
		} else if (*fields == 'q') {
			add(&(uint64_t){va_arg(ap, uint64_t)}, 8);
		} else {
			const char *text = va_arg(ap, const char *);
			add(&(uint16_t){(uint16_t)strlen(text)}, 2);
			add(text, strlen(text));
		}
	}
}

static void done(struct fs_request *r)
{
	c.is_done = true;
}

static void submit(size_t room)
{
	memcpy(c.ask.bytes, &(uint32_t){(uint32_t)c.ask.len}, 4);
	c.in_iov[0] = (struct iovec){c.ask.bytes, 5};
	c.in_iov[1] = (struct iovec){c.ask.bytes + 5, c.ask.len - 5};
	c.out_iov[0] = (struct iovec){c.reply.bytes, room / 2};
	c.out_iov[1] = (struct iovec){c.reply.bytes + room / 2, room - room / 2};
	c.request = (struct fs_request){
		.in = c.in_iov, .nr_in = 2, .out = c.out_iov, .nr_out = 2, .done = done};
	c.is_done = false;
	p9_submit(c.p, &c.request);
}

/* Reads little-endian numbers off the answer. */
static uint64_t take(size_t len)
{
	uint64_t v = 0;

	memcpy(&v, c.reply.bytes + c.reply.at, len);
	c.reply.at += len;
	return v;
}

/* The answer to the message of that type: 0, with its fields next for take(), or a negative errno. */
static int result(uint8_t type)
{
	assert_true(c.is_done);
	c.reply.at = 0;
	assert_int_equal(take(4), c.request.written);
	uint64_t got = take(1);
	take(2);
	if (got == P9_RLERROR)
		return -(int)take(4);
	assert_int_equal(got, type + 1);
	return 0;
}

static int ask(uint8_t type, const char *fields, ...)
{
	va_list ap;

	va_start(ap, fields);
	build(type, 1, fields, ap);
	va_end(ap);
	submit(MSIZE);
	return result(type);
}

static void session(const struct export_options *options)
{
	tree_init(&c.tree);
	c.ex = export_open(c.tree.top, options, NULL);
	assert_non_null(c.ex);
	c.p = p9_new(c.ex, NULL);
	assert_int_equal(ask(P9_TVERSION, "ds", MSIZE, "9P2000.L"), 0);
	assert_int_equal(ask(P9_TATTACH, "ddssd", 0, P9_NO_FID, "root", "", 0), 0);
}

static int start(void **state)
{
	memset(&c, 0, sizeof(c));
	session(&(struct export_options){.max_descriptors = 64});
	return 0;
}

static int stop(void **state)
{
	p9_free(c.p);
	export_close(c.ex);
	tree_fini(&c.tree);
	return 0;
}

static void restart(const struct export_options *options)
{
	stop(NULL);
	session(options);
}

static int walk1(uint32_t from, uint32_t to, const char *name)
{
	return ask(P9_TWALK, "ddws", from, to, 1, name);
}

/* ---- the session ---- */

static void version_is_negotiated(void **state)
{
	assert_int_equal(ask(P9_TVERSION, "ds", 65536, "9P2000.u"), 0);
	take(4);
	assert_int_equal(take(2), 7);
	assert_memory_equal(c.reply.bytes + c.reply.at, "unknown", 7);
	assert_int_equal(ask(P9_TATTACH, "ddssd", 0, P9_NO_FID, "", "", 0), -EPROTO);
	assert_int_equal(ask(P9_TVERSION, "ds", 100, "9P2000.L"), -EMSGSIZE);
	assert_int_equal(ask(P9_TVERSION, "ds", 1u << 30, "9P2000.L"), 0);
	assert_int_equal(take(4), 1u << 20);
	/* It ended the session before. */
	assert_int_equal(walk1(0, 1, "file"), -EBADF);
}

static void fids_in_use_are_refused(void **state)
{
	assert_int_equal(ask(P9_TATTACH, "ddssd", 0, P9_NO_FID, "", "", 0), -EINVAL);
	assert_int_equal(ask(P9_TATTACH, "ddssd", P9_NO_FID, P9_NO_FID, "", "", 0), -EINVAL);
	assert_int_equal(walk1(0, 1, "file"), 0);
	assert_int_equal(walk1(0, 1, "file"), -EINVAL);
	assert_int_equal(ask(P9_TCLUNK, "d", 1), 0);
	assert_int_equal(ask(P9_TCLUNK, "d", 1), -EBADF);
	assert_int_equal(ask(P9_TAUTH, "dssd", 7, "", "", 0), -EOPNOTSUPP);
	assert_int_equal(ask(200, ""), -EOPNOTSUPP);
}

static void short_messages_are_refused(void **state)
{
	for (unsigned type = 0; type < 256; type++) {
		if (ask((uint8_t)type, "") != 0)
			continue;
		assert_true(type == 255);
	}
	c.ask.len = 5;
	memcpy(c.ask.bytes, "\5\0\0\0\144", 5);
	submit(MSIZE);
	assert_true(c.is_done);
	assert_int_equal(c.request.written, 0);
	/* A message longer than was agreed on. */
	assert_int_equal(ask(P9_TVERSION, "ds", 4096, "9P2000.L"), 0);
	assert_int_equal(ask(P9_TATTACH, "ddssd", 0, P9_NO_FID, "root", "", 0), 0);
	for (unsigned nr = 0; nr < 2; nr++) {
		assert_int_equal(ask(P9_TGETATTR, "dq", 0, (uint64_t)0), 0);
		c.ask.len = nr ? 4097 : 4096;
		submit(MSIZE);
		assert_int_equal(result(P9_TGETATTR), nr ? -EMSGSIZE : 0);
	}
	/* A size beyond the bytes there are. */
	c.ask.len = 7;
	submit(MSIZE);
	memcpy(c.ask.bytes, "\377\377\377\377\144\0\0", 7);
	p9_submit(c.p, &c.request);
	assert_int_equal(c.request.written, 0);
}

/* ---- the tree ---- */

static void walks_stay_inside(void **state)
{
	assert_int_equal(symlink("..", tree_path(&c.tree, "top/up")), 0);
	assert_int_equal(walk1(0, 1, "../outside"), -EINVAL);
	assert_int_equal(walk1(0, 1, ""), -EINVAL);
	assert_int_equal(walk1(0, 1, "/etc"), -EINVAL);
	assert_int_equal(ask(P9_TWALK, "ddwss", 0, 1, 2, "..", "outside"), 0);
	assert_int_equal(take(2), 1); /* the root's parent is the root */
	assert_int_equal(ask(P9_TWALK, "ddwss", 0, 1, 2, "up", "outside"), 0);
	assert_int_equal(take(2), 1); /* a link is as far as it goes */
	assert_int_equal(ask(P9_TCLUNK, "d", 1), -EBADF);
	assert_int_equal(ask(P9_TWALK, "ddw", 0, 1, 17), -EINVAL);
	/* A zero byte in a name. */
	c.ask.len = 0;
	uint8_t zero[] = {0, 0, 0, 0, P9_TWALK, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2, 0, 'f', 0};
	add(zero, sizeof(zero));
	submit(MSIZE);
	assert_int_equal(result(P9_TWALK), -EINVAL);
}

static void walks_move_and_copy_fids(void **state)
{
	assert_int_equal(ask(P9_TMKDIR, "dsdd", 0, "d", 0755, 0), 0);
	assert_int_equal(ask(P9_TWALK, "ddw", 0, 1, 0), 0);
	assert_int_equal(walk1(1, 1, "d"), 0);
	assert_int_equal(take(2), 1);
	assert_int_equal(take(1), 0x80);
	assert_int_equal(walk1(1, 2, ".."), 0);
	assert_int_equal(walk1(2, 3, "file"), 0);
	assert_int_equal(ask(P9_TGETATTR, "dq", 3, (uint64_t)0x7ff), 0);
	c.reply.at += 8 + P9_QID_SIZE;
	assert_true(S_ISREG(take(4)));
}

static void data_and_attributes(void **state)
{
	assert_int_equal(ask(P9_TWALK, "ddw", 0, 1, 0), 0);
	assert_int_equal(ask(P9_TLCREATE, "dsddd", 1, "new", O_RDWR, 0644, 0), 0);
	assert_int_equal(ask(P9_TWRITE, "dqdd", 1, (uint64_t)2, 4, 0x64636261), 0);
	assert_int_equal(take(4), 4);
	assert_int_equal(ask(P9_TWRITE, "dqd", 1, (uint64_t)0, 100), -EINVAL);
	assert_int_equal(ask(P9_TREAD, "dqd", 1, (uint64_t)0, 100), 0);
	assert_int_equal(take(4), 6);
	assert_memory_equal(c.reply.bytes + c.reply.at, "\0\0abcd", 6);
	assert_int_equal(ask(P9_TREAD, "dqd", 1, UINT64_MAX, 100), -EINVAL);
	assert_int_equal(ask(P9_TSETATTR, "dddddqqqqq", 1, 9, 0600, 0, 0, (uint64_t)3, (uint64_t)0,
			     (uint64_t)0, (uint64_t)0, (uint64_t)0),
			 0);
	struct stat st;
	assert_int_equal(stat(tree_path(&c.tree, "top/new"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(ask(P9_TLOPEN, "dd", 1, O_RDONLY), -EBUSY);
	assert_int_equal(ask(P9_TREAD, "dqd", 0, (uint64_t)0, 100), -EBADF);
}

static void links_and_special_files_are_not_opened(void **state)
{
	assert_int_equal(symlink("../outside", tree_path(&c.tree, "top/link")), 0);
	assert_int_equal(mkfifo(tree_path(&c.tree, "top/pipe"), 0600), 0);
	assert_int_equal(walk1(0, 1, "link"), 0);
	assert_int_equal(ask(P9_TLOPEN, "dd", 1, O_RDWR), -ELOOP);
	assert_int_equal(walk1(0, 2, "pipe"), 0);
	assert_int_equal(ask(P9_TLOPEN, "dd", 2, O_RDONLY), -ENXIO);
	assert_int_equal(ask(P9_TREADLINK, "d", 1), 0);
	assert_int_equal(take(2), 10);
	/* Nor is what a name is exchanged for after it was walked to. */
	assert_int_equal(walk1(0, 3, "file"), 0);
	assert_int_equal(unlink(tree_path(&c.tree, "top/file")), 0);
	assert_int_equal(symlink("../outside", tree_path(&c.tree, "top/file")), 0);
	assert_int_equal(ask(P9_TLOPEN, "dd", 3, O_RDONLY), -ESTALE);
}

static void names_are_checked_everywhere(void **state)
{
	static const char *const bad[] = {"..", ".", "", "../x", "a/b"};

	assert_int_equal(walk1(0, 1, "file"), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *n = bad[i];

		assert_int_equal(ask(P9_TMKDIR, "dsdd", 0, n, 0755, 0), -EINVAL);
		assert_int_equal(ask(P9_TMKNOD, "dsdddd", 0, n, S_IFREG, 0, 0, 0), -EINVAL);
		assert_int_equal(ask(P9_TSYMLINK, "dssd", 0, n, "t", 0), -EINVAL);
		assert_int_equal(ask(P9_TLINK, "dds", 0, 1, n), -EINVAL);
		assert_int_equal(ask(P9_TUNLINKAT, "dsd", 0, n, 0), -EINVAL);
		assert_int_equal(ask(P9_TUNLINKAT, "dsd", 0, n, AT_REMOVEDIR), -EINVAL);
		assert_int_equal(ask(P9_TRENAMEAT, "dsds", 0, n, 0, "x"), -EINVAL);
		assert_int_equal(ask(P9_TRENAMEAT, "dsds", 0, "file", 0, n), -EINVAL);
		assert_int_equal(ask(P9_TRENAME, "dds", 1, 0, n), -EINVAL);
		assert_int_equal(ask(P9_TLCREATE, "dsddd", 0, n, O_RDWR, 0644, 0), -EINVAL);
	}
	assert_string_equal(tree_text(&c.tree, "top/file"), "hello");
}

static void fids_follow_their_files(void **state)
{
	assert_int_equal(walk1(0, 1, "file"), 0);
	assert_int_equal(ask(P9_TMKDIR, "dsdd", 0, "d", 0755, 0), 0);
	assert_int_equal(walk1(0, 2, "d"), 0);
	assert_int_equal(ask(P9_TRENAMEAT, "dsds", 0, "file", 2, "moved"), 0);
	assert_int_equal(ask(P9_TRENAME, "dds", 1, 0, "back"), 0);
	assert_string_equal(tree_text(&c.tree, "top/back"), "hello");
	assert_int_equal(ask(P9_TLINK, "dds", 2, 1, "second"), 0);
	assert_string_equal(tree_text(&c.tree, "top/d/second"), "hello");
	assert_int_equal(ask(P9_TREMOVE, "d", 0), -EBUSY); /* and the root's fid is gone */
	assert_int_equal(ask(P9_TREMOVE, "d", 1), 0);
	assert_int_equal(ask(P9_TCLUNK, "d", 1), -EBADF);
	assert_string_equal(tree_text(&c.tree, "top/back"), "(none)");
	assert_string_equal(tree_text(&c.tree, "top/d/second"), "hello");
}

static void read_only_exports_are(void **state)
{
	restart(&(struct export_options){.is_read_only = true, .max_descriptors = 64});
	assert_int_equal(walk1(0, 1, "file"), 0);
	assert_int_equal(ask(P9_TLOPEN, "dd", 1, O_RDWR), -EROFS);
	assert_int_equal(ask(P9_TLCREATE, "dsddd", 0, "n", O_RDWR, 0644, 0), -EROFS);
	assert_int_equal(ask(P9_TUNLINKAT, "dsd", 0, "file", 0), -EROFS);
	assert_int_equal(ask(P9_TRENAMEAT, "dsds", 0, "file", 0, "b"), -EROFS);
	assert_int_equal(ask(P9_TXATTRCREATE, "dsqd", 1, "user.a", (uint64_t)0, 0), 0);
	assert_int_equal(ask(P9_TCLUNK, "d", 1), -EROFS);
}

static void directories_are_listed_in_pieces(void **state)
{
	char name[64];
	unsigned nr = 0;
	uint64_t offset = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "top/entry-%d", i);
		tree_file(&c.tree, name, "");
	}
	assert_int_equal(ask(P9_TWALK, "ddw", 0, 1, 0), 0);
	assert_int_equal(ask(P9_TLOPEN, "dd", 1, O_RDONLY | O_DIRECTORY), 0);
	for (;;) {
		assert_int_equal(ask(P9_TREADDIR, "dqd", 1, offset, 200), 0);
		size_t end = take(4) + c.reply.at;
		if (end == c.reply.at)
			break;
		while (c.reply.at < end) {
			c.reply.at += P9_QID_SIZE;
			offset = take(8);
			take(1);
			c.reply.at += take(2);
			nr++;
		}
	}
	assert_int_equal(nr, 1003);
	assert_int_equal(ask(P9_TREADDIR, "dqd", 1, (uint64_t)0, 10), -EINVAL);
	assert_int_equal(ask(P9_TREAD, "dqd", 1, (uint64_t)0, 10), -EISDIR);
}

static void attributes_are_written_and_read(void **state)
{
	assert_int_equal(walk1(0, 1, "file"), 0);
	assert_int_equal(ask(P9_TXATTRCREATE, "dsqd", 1, "user.a", (uint64_t)4, 0), 0);
	assert_int_equal(ask(P9_TWRITE, "dqdd", 1, (uint64_t)0, 4, 0x64636261), 0);
	assert_int_equal(ask(P9_TWRITE, "dqdd", 1, (uint64_t)4, 4, 0x64636261), -EINVAL);
	assert_int_equal(ask(P9_TGETATTR, "dq", 1, (uint64_t)0), -EBADF);
	assert_int_equal(ask(P9_TCLUNK, "d", 1), 0);
	char value[8] = "";
	assert_int_equal(getxattr(tree_path(&c.tree, "top/file"), "user.a", value, 8), 4);
	assert_string_equal(value, "abcd");
	assert_int_equal(walk1(0, 1, "file"), 0);
	assert_int_equal(ask(P9_TXATTRWALK, "dds", 1, 2, "user.a"), 0);
	assert_int_equal(take(8), 4);
	assert_int_equal(ask(P9_TREAD, "dqd", 2, (uint64_t)1, 100), 0);
	assert_int_equal(take(4), 3);
	assert_int_equal(ask(P9_TREAD, "dqd", 2, UINT64_MAX, 100), 0);
	assert_int_equal(take(4), 0);
	assert_int_equal(ask(P9_TXATTRWALK, "dds", 1, 3, "user.none"), -ENODATA);
	assert_int_equal(ask(P9_TXATTRWALK, "dds", 1, 3, "user.bantam.stat"), -ENODATA);
	/* Too little written. */
	assert_int_equal(ask(P9_TXATTRCREATE, "dsqd", 1, "user.b", (uint64_t)4, 0), 0);
	assert_int_equal(ask(P9_TCLUNK, "d", 1), -EINVAL);
	assert_int_equal(walk1(0, 1, "file"), 0);
	assert_int_equal(ask(P9_TXATTRCREATE, "dsqd", 1, "user.a", (uint64_t)0, XATTR_REPLACE), 0);
	assert_int_equal(ask(P9_TCLUNK, "d", 1), 0);
	assert_true(getxattr(tree_path(&c.tree, "top/file"), "user.a", value, 8) < 0);
	assert_int_equal(ask(P9_TWALK, "ddw", 0, 1, 0), 0);
	assert_int_equal(ask(P9_TXATTRCREATE, "dsqd", 1, "user.a", (uint64_t)1 << 40, 0), -E2BIG);
}

static void attributes_being_written_are_bounded(void **state)
{
	uint32_t fid = 1;
	int rc;

	for (;; fid++) {
		assert_int_equal(walk1(0, fid, "file"), 0);
		rc = ask(P9_TXATTRCREATE, "dsqd", fid, "user.a", (uint64_t)XATTR_SIZE_MAX, 0);
		if (rc)
			break;
		assert_true(fid < 2 * P9_XATTRS_MAX / XATTR_SIZE_MAX);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(fid - 1, P9_XATTRS_MAX / XATTR_SIZE_MAX);
	assert_int_equal(setxattr(tree_path(&c.tree, "top/file"), "user.b", "value", 5, 0), 0);
	assert_int_equal(ask(P9_TXATTRWALK, "dds", fid, fid + 1, "user.b"), -ENOSPC);
	assert_int_equal(ask(P9_TCLUNK, "d", 1), -EINVAL); /* too little was written */
	assert_int_equal(ask(P9_TXATTRWALK, "dds", fid, fid + 1, "user.b"), 0);
}

static int lock(uint32_t fid, int type, uint32_t flags, uint32_t process)
{
	int rc = ask(P9_TLOCK, "dbdqqds", fid, type, flags, (uint64_t)0, (uint64_t)0, process,
		     "guest");

	return rc ? rc : (int)take(1);
}

static void locks_exclude(void **state)
{
	assert_int_equal(walk1(0, 1, "file"), 0);
	assert_int_equal(ask(P9_TLOPEN, "dd", 1, O_RDWR), 0);
	assert_int_equal(lock(1, 1, 0, 10), 0);
	assert_int_equal(lock(1, 1, 0, 11), 1);
	assert_int_equal(ask(P9_TGETLOCK, "dbqqds", 1, 0, (uint64_t)0, (uint64_t)0, 11, "guest"),
			 0);
	assert_int_equal(take(1), 1);
	assert_int_equal(lock(1, 2, 0, 10), 0);
	assert_int_equal(lock(1, 0, 0, 11), 0);
	assert_int_equal(ask(P9_TGETLOCK, "dbqqds", 1, 0, (uint64_t)0, (uint64_t)0, 10, "guest"),
			 0);
	assert_int_equal(take(1), 2);
	assert_int_equal(lock(1, 3, 0, 11), -EINVAL);
}

static void waiting_locks_are_flushed(void **state)
{
	int fd = open(tree_path(&c.tree, "top/file"), O_RDWR);
	struct flock host = {.l_type = F_WRLCK};

	assert_int_equal(fcntl(fd, F_SETLK, &host), 0);
	assert_int_equal(walk1(0, 1, "file"), 0);
	assert_int_equal(ask(P9_TLOPEN, "dd", 1, O_RDWR), 0);
	/* Tlock waits: it is not answered. */
	c.ask.len = 0;
	add("\0\0\0\0\64\5\0\1\0\0\0\1\1\0\0\0", 16);
	add(&(uint64_t[2]){0, 0}, 16);
	add("\1\0\0\0\0\0", 6);
	submit(MSIZE);
	assert_false(c.is_done);
	p9_retry(c.p);
	assert_false(c.is_done);
	close(fd);
	p9_retry(c.p);
	assert_true(c.is_done);
	assert_int_equal(result(P9_TLOCK), 0);
	assert_int_equal(take(1), 0);
}

static void made_nodes_have_the_callers_owner(void **state)
{
	struct stat st;

	restart(&(struct export_options){.map = EXPORT_MAP_MAPPED, .max_descriptors = 64});
	assert_int_equal(ask(P9_TATTACH, "ddssd", 5, P9_NO_FID, "", "", 1000), 0);
	assert_int_equal(ask(P9_TMKNOD, "dsdddd", 5, "dev", S_IFBLK | 0600, 8, 1, 1001), 0);
	assert_int_equal(ask(P9_TMKDIR, "dsdd", 5, "dir", 02775, 1001), 0);
	assert_int_equal(stat(tree_path(&c.tree, "top/dev"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(walk1(0, 1, "dev"), 0);
	assert_int_equal(ask(P9_TGETATTR, "dq", 1, (uint64_t)0), 0);
	c.reply.at += 8 + P9_QID_SIZE;
	assert_int_equal(take(4), S_IFBLK | 0600);
	assert_int_equal(take(4), 1000);
	assert_int_equal(take(4), 1001);
	take(8);
	assert_int_equal(take(8), makedev(8, 1));
	/* A directory with the set-group bit passes on its group. */
	assert_int_equal(walk1(0, 2, "dir"), 0);
	assert_int_equal(ask(P9_TMKDIR, "dsdd", 2, "sub", 0755, 0), 0);
	assert_int_equal(walk1(2, 3, "sub"), 0);
	assert_int_equal(ask(P9_TGETATTR, "dq", 3, (uint64_t)0), 0);
	c.reply.at += 8 + P9_QID_SIZE;
	assert_int_equal(take(4), S_IFDIR | 02755);
	assert_int_equal(take(4), 0);
	assert_int_equal(take(4), 1001);
}

static void sessions_go_on_after_a_load(void **state)
{
	struct buf saved = {0};

	assert_int_equal(ask(P9_TMKDIR, "dsdd", 0, "d", 0755, 0), 0);
	assert_int_equal(walk1(0, 1, "d"), 0);
	assert_int_equal(ask(P9_TWALK, "ddw", 1, 2, 0), 0);
	assert_int_equal(ask(P9_TLCREATE, "dsddd", 2, "new", O_RDWR, 0644, 0), 0);
	assert_int_equal(walk1(0, 3, "file"), 0);
	assert_int_equal(ask(P9_TXATTRCREATE, "dsqd", 3, "user.a", (uint64_t)8, 0), 0);
	assert_int_equal(ask(P9_TWRITE, "dqdd", 3, (uint64_t)0, 4, 0x64636261), 0);
	p9_save(c.p, &saved);
	for (size_t len = 0; len < saved.len; len++)
		assert_int_equal(p9_load(c.p, saved.data, len), -EINVAL);
	assert_int_equal(p9_load(c.p, saved.data, saved.len), 0);
	assert_int_equal(ask(P9_TWRITE, "dqdd", 2, (uint64_t)0, 4, 0x64636261), 0);
	assert_string_equal(tree_text(&c.tree, "top/d/new"), "abcd");
	assert_int_equal(walk1(1, 4, "new"), 0);
	assert_int_equal(ask(P9_TWRITE, "dqdd", 3, (uint64_t)4, 4, 0x64636261), 0);
	assert_int_equal(ask(P9_TCLUNK, "d", 3), 0);
	char value[9] = "";
	assert_int_equal(getxattr(tree_path(&c.tree, "top/file"), "user.a", value, 8), 8);
	assert_string_equal(value, "abcdabcd");
	for (size_t at = 0; at < saved.len; at++) {
		saved.data[at] ^= 0xff;
		p9_load(c.p, saved.data, saved.len);
		saved.data[at] ^= 0xff;
	}
	buf_free(&saved);
}

/*
 * Directories known only by what is below them. On the host they were moved below that: what the server
 * believed of their places was all that kept them.
 */
static void a_directory_found_below_itself_is_safe(void **state)
{
	assert_int_equal(mkdir(tree_path(&c.tree, "top/a"), 0755), 0);
	assert_int_equal(mkdir(tree_path(&c.tree, "top/a/b"), 0755), 0);
	assert_int_equal(ask(P9_TWALK, "ddwss", 0, 1, 2, "a", "b"), 0);
	assert_int_equal(ask(P9_TLOPEN, "dd", 1, O_RDONLY), 0);
	assert_int_equal(rename(tree_path(&c.tree, "top/a/b"), tree_path(&c.tree, "top/b")), 0);
	assert_int_equal(rename(tree_path(&c.tree, "top/a"), tree_path(&c.tree, "top/b/a")), 0);
	assert_int_equal(ask(P9_TUNLINKAT, "dsd", 1, "a", AT_REMOVEDIR), 0);
	assert_int_not_equal(access(tree_path(&c.tree, "top/b/a"), F_OK), 0);
	assert_int_equal(walk1(0, 2, "b"), 0);

	assert_int_equal(mkdir(tree_path(&c.tree, "top/a"), 0755), 0);
	assert_int_equal(mkdir(tree_path(&c.tree, "top/a/c"), 0755), 0);
	assert_int_equal(ask(P9_TWALK, "ddwss", 0, 3, 2, "a", "c"), 0);
	assert_int_equal(ask(P9_TLOPEN, "dd", 3, O_RDONLY), 0);
	assert_int_equal(rename(tree_path(&c.tree, "top/a/c"), tree_path(&c.tree, "top/c")), 0);
	assert_int_equal(rename(tree_path(&c.tree, "top/a"), tree_path(&c.tree, "top/c/a")), 0);
	assert_int_equal(ask(P9_TRENAMEAT, "dsds", 3, "a", 0, "a"), 0);
	assert_int_equal(access(tree_path(&c.tree, "top/a"), F_OK), 0);
}

/* The directory is known only by the file, which is then met at its other name. */
static void a_rename_to_another_name_of_the_file_is_none(void **state)
{
	assert_int_equal(mkdir(tree_path(&c.tree, "top/d"), 0755), 0);
	tree_file(&c.tree, "top/d/one", "text");
	assert_int_equal(link(tree_path(&c.tree, "top/d/one"), tree_path(&c.tree, "top/two")), 0);
	assert_int_equal(ask(P9_TWALK, "ddwss", 0, 1, 2, "d", "one"), 0);
	assert_int_equal(ask(P9_TRENAME, "dds", 1, 0, "two"), 0);
	assert_string_equal(tree_text(&c.tree, "top/d/one"), "text");
	assert_string_equal(tree_text(&c.tree, "top/two"), "text");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(version_is_negotiated),
		TEST(fids_in_use_are_refused),
		TEST(short_messages_are_refused),
		TEST(walks_stay_inside),
		TEST(walks_move_and_copy_fids),
		TEST(data_and_attributes),
		TEST(links_and_special_files_are_not_opened),
		TEST(names_are_checked_everywhere),
		TEST(fids_follow_their_files),
		TEST(read_only_exports_are),
		TEST(directories_are_listed_in_pieces),
		TEST(attributes_are_written_and_read),
		TEST(attributes_being_written_are_bounded),
		TEST(locks_exclude),
		TEST(waiting_locks_are_flushed),
		TEST(made_nodes_have_the_callers_owner),
		TEST(sessions_go_on_after_a_load),
		TEST(a_directory_found_below_itself_is_safe),
		TEST(a_rename_to_another_name_of_the_file_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
