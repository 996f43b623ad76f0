/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/backend/fs/fuse_client.h"

#include "backend/fs/export_impl.h"

#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define ROOT FUSE_ROOT_ID

static const struct export_options plain = {.max_descriptors = 64};
static const struct export_options read_only = {.is_read_only = true, .max_descriptors = 64};
static const struct export_options mapped = {.map = EXPORT_MAP_MAPPED, .max_descriptors = 64};
static const struct export_options squash = {.map = EXPORT_MAP_SQUASH, .max_descriptors = 64};
static const struct export_options tiny = {.max_descriptors = 16};

static struct client c;

static int start_plain(void **state)
{
	client_init(&c, &plain, FUSE_CACHE_AUTO);
	return 0;
}

static int stop(void **state)
{
	client_fini(&c);
	return 0;
}

static void restart(const struct export_options *options, enum fuse_cache cache)
{
	client_fini(&c);
	client_init(&c, options, cache);
}

static uint64_t node_of(uint64_t dir, const char *name)
{
	struct fuse_entry_out e;

	assert_int_equal(client_lookup(&c, dir, name, &e), 0);
	return e.nodeid;
}

/* ---- the session ---- */

static void init_negotiates(void **state)
{
	struct fuse_init_in in = {.major = 7, .minor = 36, .max_readahead = 131072, .flags = ~0u};
	struct fuse_init_out out;

	client_begin(&c, FUSE_INIT, 0);
	client_add(&c, &in, sizeof(in));
	assert_int_equal(client_ask(&c, &out, sizeof(out)), 0);
	assert_int_equal(out.major, 7);
	assert_int_equal(out.max_pages, 256);
	assert_int_equal(out.max_write, 1 << 20);
	assert_int_equal(out.max_readahead, 131072);
	assert_true(out.flags & FUSE_PARALLEL_DIROPS);
	assert_false(out.flags & FUSE_WRITEBACK_CACHE);
}

static void init_refuses_old_versions_and_answers_newer_ones(void **state)
{
	struct fuse_init_in in = {.major = 7, .minor = 30};
	struct fuse_init_out out;

	client_begin(&c, FUSE_INIT, 0);
	client_add(&c, &in, sizeof(in));
	assert_int_equal(client_ask(&c, NULL, 0), -EPROTO);
	in.major = 8;
	client_begin(&c, FUSE_INIT, 0);
	client_add(&c, &in, sizeof(in));
	assert_int_equal(client_ask(&c, &out, sizeof(out)), 0);
	assert_int_equal(out.major, 7);
}

static void nothing_works_before_init(void **state)
{
	struct fuse_entry_out e;

	fuse_reset(c.f);
	assert_int_equal(client_lookup(&c, ROOT, "file", &e), -EIO);
}

static void unknown_operations_are_enosys(void **state)
{
	client_begin(&c, FUSE_IOCTL, ROOT);
	assert_int_equal(client_ask(&c, NULL, 0), -ENOSYS);
	client_begin(&c, 0xffffffff, ROOT);
	assert_int_equal(client_ask(&c, NULL, 0), -ENOSYS);
}

static void short_requests_are_refused(void **state)
{
	for (uint32_t opcode = 0; opcode < 64; opcode++) {
		if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET ||
		    opcode == FUSE_INTERRUPT)
			continue;
		client_begin(&c, opcode, ROOT);
		client_send(&c, sizeof(struct fuse_out_header));
		client_result(&c);
		if (opcode == FUSE_INIT || opcode == FUSE_DESTROY)
			restart(&plain, FUSE_CACHE_AUTO);
	}
	client_begin(&c, FUSE_GETATTR, ROOT);
	client_send(&c, 8);
	assert_true(c.is_done);
	assert_int_equal(c.request.written, 0);
}

/* ---- the tree ---- */

static void lookup_finds_and_stats(void **state)
{
	struct fuse_entry_out e;
	struct fuse_attr attr;

	assert_int_equal(client_lookup(&c, ROOT, "file", &e), 0);
	assert_int_equal(e.attr.size, 5);
	assert_true(S_ISREG(e.attr.mode));
	assert_int_equal(e.entry_valid, 1);
	assert_int_equal(client_attr(&c, e.nodeid, &attr), 0);
	assert_int_equal(attr.ino, e.attr.ino);
	assert_int_equal(client_lookup(&c, ROOT, "none", &e), -ENOENT);
}

static void names_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = {"..", ".", "", "a/b", "/", "../outside", "file/"};
	struct fuse_entry_out e;
	char overlong[300];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(client_lookup(&c, ROOT, bad[i], &e), -EINVAL);
	memset(overlong, 'x', sizeof(overlong));
	overlong[256] = 0;
	assert_int_equal(client_lookup(&c, ROOT, overlong, &e), -ENAMETOOLONG);
	/* No zero at the end. */
	client_begin(&c, FUSE_LOOKUP, ROOT);
	client_add(&c, "file", 4);
	assert_int_equal(client_ask(&c, NULL, 0), -EINVAL);
}

static void links_are_never_followed(void **state)
{
	uint64_t fh;
	char target[16] = "";

	assert_int_equal(symlink("../outside", tree_path(&c.tree, "top/link")), 0);
	assert_int_equal(symlink("/", tree_path(&c.tree, "top/abs")), 0);
	uint64_t link = node_of(ROOT, "link"), abs = node_of(ROOT, "abs");
	struct fuse_entry_out e;
	assert_int_equal(client_open(&c, link, O_RDONLY, &fh), -ELOOP);
	assert_int_equal(client_lookup(&c, abs, "etc", &e), -ENOTDIR);
	client_begin(&c, FUSE_READLINK, link);
	assert_int_equal(client_ask(&c, target, 10), 0);
	assert_string_equal(target, "../outside");
}

static void file_replaced_by_a_link_is_stale(void **state)
{
	uint64_t fh, file = node_of(ROOT, "file");
	struct fuse_attr attr;

	assert_int_equal(unlink(tree_path(&c.tree, "top/file")), 0);
	assert_int_equal(symlink("../outside", tree_path(&c.tree, "top/file")), 0);
	assert_int_equal(client_open(&c, file, O_RDONLY, &fh), -ESTALE);
	assert_int_equal(client_attr(&c, file, &attr), -ESTALE);
}

static void directory_replaced_by_a_link_is_stale(void **state)
{
	struct fuse_entry_out e;

	assert_int_equal(mkdir(tree_path(&c.tree, "top/dir"), 0755), 0);
	tree_file(&c.tree, "top/dir/outside", "inside");
	uint64_t dir = node_of(ROOT, "dir"), file;
	assert_int_equal(rename(tree_path(&c.tree, "top/dir"), tree_path(&c.tree, "top/moved")), 0);
	assert_int_equal(symlink("..", tree_path(&c.tree, "top/dir")), 0);
	assert_int_equal(client_lookup(&c, dir, "outside", &e), -ESTALE);
	/* Found again by its new name it is the same node. */
	assert_int_equal(node_of(ROOT, "moved"), dir);
	file = node_of(dir, "outside");
	struct fuse_attr attr;
	assert_int_equal(client_attr(&c, file, &attr), 0);
	assert_int_equal(attr.size, 6);
}

static void special_files_are_not_opened(void **state)
{
	uint64_t fh;

	assert_int_equal(mkfifo(tree_path(&c.tree, "top/pipe"), 0644), 0);
	assert_int_equal(client_open(&c, node_of(ROOT, "pipe"), O_RDONLY, &fh), -ENXIO);
	assert_int_equal(client_open(&c, node_of(ROOT, "pipe"), O_WRONLY, &fh), -ENXIO);
}

static void nodes_nobody_was_given_are_refused(void **state)
{
	struct fuse_attr attr;
	uint64_t file = node_of(ROOT, "file");

	assert_int_equal(client_attr(&c, 0, &attr), -ESTALE);
	assert_int_equal(client_attr(&c, 999, &attr), -ESTALE);
	assert_int_equal(client_attr(&c, UINT64_MAX, &attr), -ESTALE);
	struct fuse_forget_in in = {.nlookup = 1000};
	client_begin(&c, FUSE_FORGET, file);
	client_add(&c, &in, sizeof(in));
	client_send(&c, 0);
	assert_true(c.is_done);
	assert_int_equal(client_attr(&c, file, &attr), -ESTALE);
}

static void data_are_written_and_read_back(void **state)
{
	uint64_t node, fh;

	assert_int_equal(client_create(&c, ROOT, "new", 0640, &node, &fh), 0);
	assert_int_equal(client_write(&c, node, fh, 3, "abc"), 0);
	struct fuse_read_in in = {.fh = fh, .offset = 0, .size = 100};
	char data[8];
	client_begin(&c, FUSE_READ, node);
	client_add(&c, &in, sizeof(in));
	assert_int_equal(client_ask(&c, data, 6), 0);
	assert_int_equal(c.request.written, sizeof(struct fuse_out_header) + 6);
	assert_memory_equal(data, "\0\0\0abc", 6);
	in.offset = UINT64_MAX - 1;
	client_begin(&c, FUSE_READ, node);
	client_add(&c, &in, sizeof(in));
	assert_int_equal(client_ask(&c, NULL, 0), -EINVAL);
	assert_int_equal(client_release(&c, node, fh), 0);
	assert_int_equal(client_release(&c, node, fh), -EBADF);
	assert_int_equal(client_write(&c, node, fh, 0, "x"), -EBADF);
}

static void handles_belong_to_their_node(void **state)
{
	uint64_t node, fh;

	assert_int_equal(client_create(&c, ROOT, "new", 0600, &node, &fh), 0);
	assert_int_equal(client_write(&c, node_of(ROOT, "file"), fh, 0, "x"), -EBADF);
	assert_string_equal(tree_text(&c.tree, "top/file"), "hello");
}

static void read_only_exports_are(void **state)
{
	uint64_t node, fh;

	restart(&read_only, FUSE_CACHE_AUTO);
	uint64_t file = node_of(ROOT, "file");
	assert_int_equal(client_create(&c, ROOT, "new", 0600, &node, &fh), -EROFS);
	assert_int_equal(client_open(&c, file, O_RDWR, &fh), -EROFS);
	assert_int_equal(client_open(&c, file, O_RDONLY | O_TRUNC, &fh), -EROFS);
	assert_int_equal(client_named(&c, FUSE_UNLINK, ROOT, NULL, 0, "file"), -EROFS);
	struct fuse_mkdir_in dir = {.mode = 0755};
	assert_int_equal(client_named(&c, FUSE_MKDIR, ROOT, &dir, sizeof(dir), "d"), -EROFS);
	struct fuse_setattr_in set = {.valid = FATTR_SIZE};
	client_begin(&c, FUSE_SETATTR, file);
	client_add(&c, &set, sizeof(set));
	assert_int_equal(client_ask(&c, NULL, 0), -EROFS);
	struct fuse_rename_in ren = {.newdir = ROOT};
	client_begin(&c, FUSE_RENAME, ROOT);
	client_add(&c, &ren, sizeof(ren));
	client_add_text(&c, "file");
	client_add_text(&c, "other");
	assert_int_equal(client_ask(&c, NULL, 0), -EROFS);
	assert_int_equal(client_open(&c, file, O_RDONLY, &fh), 0);
	assert_int_equal(client_write(&c, file, fh, 0, "x"), -EROFS);
	assert_string_equal(tree_text(&c.tree, "top/file"), "hello");
}

static int rename2(uint64_t dir, const char *name, uint64_t to, const char *new_name,
		   uint32_t flags)
{
	struct fuse_rename2_in in = {.newdir = to, .flags = flags};

	client_begin(&c, FUSE_RENAME2, dir);
	client_add(&c, &in, sizeof(in));
	client_add_text(&c, name);
	client_add_text(&c, new_name);
	return client_ask(&c, NULL, 0);
}

static void renames_keep_nodes(void **state)
{
	struct fuse_mkdir_in mode = {.mode = 0755};
	struct fuse_attr attr;

	assert_int_equal(client_named(&c, FUSE_MKDIR, ROOT, &mode, sizeof(mode), "d"), 0);
	uint64_t d = node_of(ROOT, "d"), file = node_of(ROOT, "file");
	assert_int_equal(rename2(ROOT, "file", d, "moved", 0), 0);
	assert_string_equal(tree_text(&c.tree, "top/d/moved"), "hello");
	assert_int_equal(client_attr(&c, file, &attr), 0);
	assert_int_equal(node_of(d, "moved"), file);
	tree_file(&c.tree, "top/other", "other text");
	uint64_t other = node_of(ROOT, "other");
	assert_int_equal(rename2(ROOT, "other", d, "moved", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(rename2(ROOT, "other", d, "moved", RENAME_EXCHANGE), 0);
	assert_int_equal(node_of(d, "moved"), other);
	assert_int_equal(node_of(ROOT, "other"), file);
	assert_int_equal(rename2(ROOT, "other", d, "moved", 0x80), -EINVAL);
	/* A file that is replaced stays there for who has it. */
	assert_int_equal(rename2(ROOT, "other", d, "moved", 0), 0);
	assert_int_equal(client_attr(&c, other, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(rename2(ROOT, "d", d, "below", 0), -EINVAL);
}

static void unlinked_files_live_while_known(void **state)
{
	struct fuse_attr attr;
	uint64_t file = node_of(ROOT, "file"), fh;

	assert_int_equal(client_named(&c, FUSE_UNLINK, ROOT, NULL, 0, "file"), 0);
	assert_int_equal(client_attr(&c, file, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(client_open(&c, file, O_RDWR, &fh), 0);
	assert_int_equal(client_named(&c, FUSE_UNLINK, ROOT, NULL, 0, "file"), -ENOENT);
	assert_int_equal(client_named(&c, FUSE_RMDIR, ROOT, NULL, 0, ".."), -EINVAL);
}

static void hard_links_are_one_node(void **state)
{
	uint64_t file = node_of(ROOT, "file");
	struct fuse_link_in in = {.oldnodeid = file};

	assert_int_equal(client_named(&c, FUSE_LINK, ROOT, &in, sizeof(in), "second"), 0);
	assert_int_equal(node_of(ROOT, "second"), file);
	assert_int_equal(client_named(&c, FUSE_UNLINK, ROOT, NULL, 0, "file"), 0);
	assert_int_equal(node_of(ROOT, "second"), file);
}

static void many_nodes_need_few_descriptors(void **state)
{
	enum { NR = 200 };
	uint64_t nodes[NR];
	char name[32];

	restart(&tiny, FUSE_CACHE_AUTO);
	for (int i = 0; i < NR; i++) {
		struct fuse_mkdir_in mode = {.mode = 0755};
		snprintf(name, sizeof(name), "d%d", i);
		assert_int_equal(client_named(&c, FUSE_MKDIR, ROOT, &mode, sizeof(mode), name), 0);
		nodes[i] = node_of(ROOT, name);
		uint64_t node, fh;
		assert_int_equal(client_create(&c, nodes[i], "f", 0644, &node, &fh), 0);
		assert_int_equal(client_release(&c, node, fh), 0);
	}
	for (int i = 0; i < NR; i++) {
		struct fuse_attr attr;
		assert_int_equal(client_attr(&c, node_of(nodes[i], "f"), &attr), 0);
	}
	int fd = dup(0);
	close(fd);
	assert_true(fd < 60);
}

static void deep_trees_are_reached_and_left(void **state)
{
	uint64_t dir = ROOT, second = 0;
	struct fuse_attr attr;

	restart(&tiny, FUSE_CACHE_AUTO);
	for (int i = 0; i < 300; i++) {
		struct fuse_mkdir_in mode = {.mode = 0755};
		assert_int_equal(client_named(&c, FUSE_MKDIR, dir, &mode, sizeof(mode), "deeper"),
				 0);
		dir = node_of(dir, "deeper");
		second = second ? second : dir;
	}
	assert_int_equal(rename2(ROOT, "deeper", ROOT, "renamed", 0), 0);
	assert_int_equal(client_attr(&c, dir, &attr), 0);
	assert_int_equal(rename2(ROOT, "renamed", dir, "loop", 0), -EINVAL);
}

static void open_files_are_limited(void **state)
{
	uint64_t fh;
	int rc = 0, nr = 0;

	restart(&tiny, FUSE_CACHE_AUTO);
	uint64_t file = node_of(ROOT, "file");
	while (!rc && nr < 100) {
		rc = client_open(&c, file, O_RDONLY, &fh);
		nr += !rc;
	}
	assert_int_equal(rc, -EMFILE);
	assert_int_equal(nr, 16);
}

/* Lists a directory by requests of a small size; returns the number of entries, "." and ".." too. */
static int list(uint64_t dir, bool is_plus, uint32_t size)
{
	struct fuse_open_in open_in = {0};
	struct fuse_open_out opened;
	int nr = 0;

	client_begin(&c, FUSE_OPENDIR, dir);
	client_add(&c, &open_in, sizeof(open_in));
	assert_int_equal(client_ask(&c, &opened, sizeof(opened)), 0);
	struct fuse_read_in in = {.fh = opened.fh, .size = size};
	for (;;) {
		client_begin(&c, is_plus ? FUSE_READDIRPLUS : FUSE_READDIR, dir);
		client_add(&c, &in, sizeof(in));
		assert_int_equal(client_ask(&c, NULL, 0), 0);
		uint8_t *at = c.out + sizeof(struct fuse_out_header);
		uint8_t *end = c.out + c.request.written;
		assert_true((size_t)(end - at) <= size);
		if (at == end)
			break;
		while (at < end) {
			if (is_plus)
				at += sizeof(struct fuse_entry_out);
			struct fuse_dirent *d = (struct fuse_dirent *)at;
			in.offset = d->off;
			at += FUSE_DIRENT_SIZE(d);
			nr++;
		}
	}
	struct fuse_release_in rel = {.fh = opened.fh};
	client_begin(&c, FUSE_RELEASEDIR, dir);
	client_add(&c, &rel, sizeof(rel));
	assert_int_equal(client_ask(&c, NULL, 0), 0);
	return nr;
}

static void directories_are_listed_in_pieces(void **state)
{
	char name[64];

	for (int i = 0; i < 1500; i++) {
		snprintf(name, sizeof(name), "top/a-name-of-some-length-%d", i);
		tree_file(&c.tree, name, "");
	}
	assert_int_equal(list(ROOT, false, 300), 1503);
	assert_int_equal(list(ROOT, true, 4096), 1503);
	assert_int_equal(list(ROOT, true, 200), 0 + 1503);
}

/* More directories are read at once, in turn, than may have entries read ahead. */
static void many_listings_at_once_are_whole(void **state)
{
	static const struct export_options many = {.max_descriptors = 1024};
	static struct fuse_read_in in[AHEAD_MAX + 20];
	static unsigned found[ARRAY_SIZE(in)];
	unsigned nr_reading = ARRAY_SIZE(in);
	char name[64];

	client_fini(&c);
	client_init(&c, &many, FUSE_CACHE_AUTO);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "top/a-name-of-some-length-%d", i);
		tree_file(&c.tree, name, "");
	}
	for (unsigned i = 0; i < ARRAY_SIZE(in); i++) {
		struct fuse_open_in open_in = {0};
		struct fuse_open_out opened;

		client_begin(&c, FUSE_OPENDIR, ROOT);
		client_add(&c, &open_in, sizeof(open_in));
		assert_int_equal(client_ask(&c, &opened, sizeof(opened)), 0);
		in[i] = (struct fuse_read_in){.fh = opened.fh, .size = 150};
		found[i] = 0;
	}
	while (nr_reading) {
		nr_reading = 0;
		for (unsigned i = 0; i < ARRAY_SIZE(in); i++) {
			client_begin(&c, FUSE_READDIR, ROOT);
			client_add(&c, &in[i], sizeof(in[i]));
			assert_int_equal(client_ask(&c, NULL, 0), 0);
			uint8_t *at = c.out + sizeof(struct fuse_out_header);
			uint8_t *end = c.out + c.request.written;
			nr_reading += at < end;
			for (; at < end; found[i]++) {
				const struct fuse_dirent *d = (struct fuse_dirent *)at;

				in[i].offset = d->off;
				at += FUSE_DIRENT_SIZE(d);
			}
			assert_true(c.ex->nr_ahead <= AHEAD_MAX);
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(in); i++)
		assert_int_equal(found[i], 23);
}

static void the_parent_of_the_root_stays_hidden(void **state)
{
	struct fuse_open_in open_in = {0};
	struct fuse_open_out opened;
	struct fuse_attr attr;

	assert_int_equal(client_attr(&c, ROOT, &attr), 0);
	client_begin(&c, FUSE_OPENDIR, ROOT);
	client_add(&c, &open_in, sizeof(open_in));
	assert_int_equal(client_ask(&c, &opened, sizeof(opened)), 0);
	struct fuse_read_in in = {.fh = opened.fh, .size = 4096};
	client_begin(&c, FUSE_READDIR, ROOT);
	client_add(&c, &in, sizeof(in));
	assert_int_equal(client_ask(&c, NULL, 0), 0);
	uint8_t *at = c.out + sizeof(struct fuse_out_header);
	for (uint8_t *end = c.out + c.request.written; at < end;) {
		struct fuse_dirent *d = (struct fuse_dirent *)at;
		if (d->namelen == 2 && !memcmp(d->name, "..", 2))
			assert_int_equal(d->ino, attr.ino);
		at += FUSE_DIRENT_SIZE(d);
	}
}

/* ---- maps ---- */

static int set_attr(uint64_t node, const struct fuse_setattr_in *in, struct fuse_attr *attr)
{
	struct fuse_attr_out out;

	client_begin(&c, FUSE_SETATTR, node);
	client_add(&c, in, sizeof(*in));
	int rc = client_ask(&c, &out, sizeof(out));
	*attr = out.attr;
	return rc;
}

static void mapped_owners_and_set_id_bits_stay_off_the_host(void **state)
{
	struct fuse_attr attr;
	struct stat st;

	restart(&mapped, FUSE_CACHE_AUTO);
	uint64_t file = node_of(ROOT, "file");
	assert_int_equal(client_attr(&c, file, &attr), 0);
	assert_int_equal(attr.uid, 0);
	struct fuse_setattr_in own = {.valid = FATTR_UID | FATTR_GID, .uid = 33, .gid = 44};
	assert_int_equal(set_attr(file, &own, &attr), 0);
	assert_int_equal(attr.uid, 33);
	assert_int_equal(attr.gid, 44);
	struct fuse_setattr_in bits = {.valid = FATTR_MODE, .mode = 06755};
	assert_int_equal(set_attr(file, &bits, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 06755);
	assert_int_equal(stat(tree_path(&c.tree, "top/file"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0755);
	assert_int_equal(st.st_uid, geteuid());
	/* A new owner takes them away. */
	own.uid = 0;
	own.gid = 0;
	assert_int_equal(set_attr(file, &own, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0755);
	assert_true(getxattr(tree_path(&c.tree, "top/file"), "user.bantam.stat", NULL, 0) < 0);
}

static void mapped_devices_are_empty_files(void **state)
{
	struct fuse_mknod_in in = {.mode = S_IFCHR | 0660, .rdev = makedev(1, 3)};
	struct fuse_entry_out e;
	struct stat st;

	restart(&mapped, FUSE_CACHE_AUTO);
	c.uid = 1000;
	assert_int_equal(client_named(&c, FUSE_MKNOD, ROOT, &in, sizeof(in), "null"), 0);
	assert_int_equal(client_lookup(&c, ROOT, "null", &e), 0);
	assert_int_equal(e.attr.mode, S_IFCHR | 0660);
	assert_int_equal(e.attr.rdev, makedev(1, 3));
	assert_int_equal(e.attr.uid, 1000);
	assert_int_equal(stat(tree_path(&c.tree, "top/null"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_size, 0);
}

static int get_xattr(uint64_t node, const char *name, char *value, size_t len)
{
	struct fuse_getxattr_in in = {.size = 4096};

	client_begin(&c, FUSE_GETXATTR, node);
	client_add(&c, &in, sizeof(in));
	client_add_text(&c, name);
	return client_ask(&c, value, len);
}

static int set_xattr(uint64_t node, const char *name, const char *value)
{
	struct fuse_setxattr_in in = {.size = (uint32_t)strlen(value)};

	client_begin(&c, FUSE_SETXATTR, node);
	client_add(&c, &in, sizeof(in));
	client_add_text(&c, name);
	client_add(&c, value, strlen(value));
	return client_ask(&c, NULL, 0);
}

static void attributes_of_ours_are_out_of_reach(void **state)
{
	char value[16] = "";

	restart(&mapped, FUSE_CACHE_AUTO);
	uint64_t file = node_of(ROOT, "file");
	struct fuse_setattr_in own = {.valid = FATTR_UID, .uid = 33};
	struct fuse_attr attr;
	assert_int_equal(set_attr(file, &own, &attr), 0);
	assert_int_equal(get_xattr(file, "user.bantam.stat", value, 1), -ENODATA);
	assert_int_equal(set_xattr(file, "user.bantam.stat", "uid=0"), -EPERM);
	assert_int_equal(set_xattr(file, "user.mine", "one"), 0);
	assert_int_equal(set_xattr(file, "security.capability", "caps"), 0);
	assert_int_equal(get_xattr(file, "user.mine", value, 3), 0);
	assert_memory_equal(value, "one", 3);
	assert_int_equal(get_xattr(file, "security.capability", value, 4), 0);
	assert_memory_equal(value, "caps", 4);
	assert_int_equal(get_xattr(file, "security.selinux", value, 1), -ENODATA);
	assert_int_equal(set_xattr(file, "system.posix_acl_access", "x"), -EOPNOTSUPP);
	struct fuse_getxattr_in in = {.size = 4096};
	char names[64] = "";
	client_begin(&c, FUSE_LISTXATTR, file);
	client_add(&c, &in, sizeof(in));
	assert_int_equal(client_ask(&c, names, sizeof(names)), 0);
	size_t len = c.request.written - sizeof(struct fuse_out_header);
	assert_int_equal(len, strlen("user.mine") + 1 + strlen("security.capability") + 1);
	in.size = 5;
	client_begin(&c, FUSE_LISTXATTR, file);
	client_add(&c, &in, sizeof(in));
	assert_int_equal(client_ask(&c, NULL, 0), -ERANGE);
}

static void squash_gives_no_other_owner(void **state)
{
	struct fuse_attr attr;

	restart(&squash, FUSE_CACHE_AUTO);
	uint64_t file = node_of(ROOT, "file");
	struct fuse_setattr_in own = {.valid = FATTR_UID, .uid = 33};
	assert_int_equal(set_attr(file, &own, &attr), -EPERM);
	own.uid = 0;
	assert_int_equal(set_attr(file, &own, &attr), 0);
	struct fuse_setattr_in bits = {.valid = FATTR_MODE, .mode = 04755};
	assert_int_equal(set_attr(file, &bits, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0755);
}

/* ---- locks ---- */

static int lock(uint32_t opcode, uint64_t node, uint64_t fh, uint64_t owner, uint32_t type,
		uint32_t flags)
{
	struct fuse_lk_in in = {.fh = fh,
				.owner = owner,
				.lk = {.start = 0, .end = INT64_MAX, .type = type},
				.lk_flags = flags};

	client_begin(&c, opcode, node);
	client_add(&c, &in, sizeof(in));
	client_send(&c, sizeof(c.out));
	return c.is_done ? client_result(&c) : 1;
}

static void locks_exclude_other_owners_and_processes(void **state)
{
	uint64_t a, b, file = node_of(ROOT, "file");

	assert_int_equal(client_open(&c, file, O_RDWR, &a), 0);
	assert_int_equal(client_open(&c, file, O_RDWR, &b), 0);
	assert_int_equal(lock(FUSE_SETLK, file, a, 1, F_WRLCK, 0), 0);
	assert_int_equal(lock(FUSE_SETLK, file, b, 2, F_RDLCK, 0), -EAGAIN);
	assert_int_equal(lock(FUSE_SETLK, file, b, 1, F_WRLCK, 0), 0);
	int fd = open(tree_path(&c.tree, "top/file"), O_RDWR);
	struct flock host = {.l_type = F_WRLCK};
	assert_int_equal(fcntl(fd, F_SETLK, &host), -1);
	struct fuse_flush_in flush = {.fh = a, .lock_owner = 1};
	client_begin(&c, FUSE_FLUSH, file);
	client_add(&c, &flush, sizeof(flush));
	assert_int_equal(client_ask(&c, NULL, 0), 0);
	assert_int_equal(fcntl(fd, F_SETLK, &host), 0);
	assert_int_equal(lock(FUSE_SETLK, file, b, 2, F_RDLCK, 0), -EAGAIN);
	close(fd);
	assert_int_equal(lock(FUSE_SETLK, file, b, 2, 77, 0), -EINVAL);
}

static void waiting_for_a_lock_ends_when_it_is_free(void **state)
{
	uint64_t a, b, file = node_of(ROOT, "file");

	assert_int_equal(client_open(&c, file, O_RDWR, &a), 0);
	assert_int_equal(client_open(&c, file, O_RDWR, &b), 0);
	int fd = open(tree_path(&c.tree, "top/file"), O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(lock(FUSE_SETLKW, file, b, 2, F_WRLCK, FUSE_LK_FLOCK), 1);
	fuse_retry(c.f);
	assert_false(c.is_done);
	close(fd);
	fuse_retry(c.f);
	assert_true(c.is_done);
	assert_int_equal(client_result(&c), 0);
}

static void waiting_for_a_lock_can_be_interrupted(void **state)
{
	uint64_t a, b, file = node_of(ROOT, "file");
	struct client waiting;

	assert_int_equal(client_open(&c, file, O_RDWR, &a), 0);
	assert_int_equal(client_open(&c, file, O_RDWR, &b), 0);
	assert_int_equal(lock(FUSE_SETLK, file, a, 1, F_WRLCK, 0), 0);
	assert_int_equal(lock(FUSE_SETLKW, file, b, 2, F_WRLCK, 0), 1);
	/* The interrupt is a request of its own, from another buffer. */
	struct fuse_interrupt_in in = {.unique = c.unique};
	memset(&waiting, 0, sizeof(waiting));
	waiting.f = c.f;
	waiting.unique = 500;
	client_begin(&waiting, FUSE_INTERRUPT, 0);
	client_add(&waiting, &in, sizeof(in));
	client_send(&waiting, 0);
	assert_true(waiting.is_done);
	assert_true(c.is_done);
	assert_int_equal(client_result(&c), -EINTR);
	/* Closing the file ends it as well. */
	assert_int_equal(lock(FUSE_SETLKW, file, b, 2, F_WRLCK, 0), 1);
	fuse_reset(c.f);
	assert_int_equal(client_result(&c), -EINTR);
}

/* ---- caches ---- */

static void caches_say_how_long(void **state)
{
	struct fuse_entry_out e;

	restart(&plain, FUSE_CACHE_NONE);
	assert_int_equal(client_lookup(&c, ROOT, "file", &e), 0);
	assert_int_equal(e.entry_valid, 0);
	struct fuse_open_in in = {.flags = O_RDONLY};
	struct fuse_open_out out;
	client_begin(&c, FUSE_OPEN, e.nodeid);
	client_add(&c, &in, sizeof(in));
	assert_int_equal(client_ask(&c, &out, sizeof(out)), 0);
	assert_int_equal(out.open_flags, FOPEN_DIRECT_IO);
	restart(&plain, FUSE_CACHE_ALWAYS);
	assert_int_equal(client_lookup(&c, ROOT, "none", &e), 0);
	assert_int_equal(e.nodeid, 0);
	assert_true(e.entry_valid > 1000);
}

static uint32_t flags_of_open(uint64_t node)
{
	struct fuse_open_in in = {.flags = O_RDONLY};
	struct fuse_open_out out;

	client_begin(&c, FUSE_OPEN, node);
	client_add(&c, &in, sizeof(in));
	assert_int_equal(client_ask(&c, &out, sizeof(out)), 0);
	return out.open_flags;
}

static void data_are_kept_while_the_file_is_the_same(void **state)
{
	uint64_t file = node_of(ROOT, "file");

	usleep(100000);
	assert_int_equal(flags_of_open(file), 0);
	assert_int_equal(flags_of_open(file), FOPEN_KEEP_CACHE);
	tree_file(&c.tree, "top/file", "other");
	assert_int_equal(flags_of_open(file), 0);
	/* Changed a moment ago: its times could be the same after another change. */
	assert_int_equal(flags_of_open(file), 0);
	usleep(100000);
	assert_int_equal(flags_of_open(file), 0);
	assert_int_equal(flags_of_open(file), FOPEN_KEEP_CACHE);
}

/* ---- saved sessions ---- */

/* A second server of the same directory, as after a load elsewhere. */
static int load_elsewhere(const struct buf *saved)
{
	struct export *other = export_open(c.tree.top, &plain, NULL);
	struct fuse *f = fuse_new(other, FUSE_CACHE_AUTO, NULL);

	int rc = fuse_load(f, saved->data, saved->len);
	fuse_free(c.f);
	export_close(c.ex);
	c.f = f;
	c.ex = other;
	return rc;
}

static void sessions_go_on_after_a_load(void **state)
{
	struct fuse_mkdir_in mode = {.mode = 0755};
	struct fuse_attr attr;
	struct buf saved = {0};
	uint64_t node, fh, gone;

	assert_int_equal(client_named(&c, FUSE_MKDIR, ROOT, &mode, sizeof(mode), "d"), 0);
	uint64_t d = node_of(ROOT, "d"), file = node_of(ROOT, "file");
	assert_int_equal(client_create(&c, d, "kept", 0644, &node, &fh), 0);
	assert_int_equal(client_create(&c, d, "gone", 0644, &gone, &(uint64_t){0}), 0);
	assert_int_equal(client_write(&c, node, fh, 0, "before "), 0);
	fuse_save(c.f, &saved);
	assert_int_equal(unlink(tree_path(&c.tree, "top/d/gone")), 0);
	assert_int_equal(load_elsewhere(&saved), 0);
	assert_int_equal(client_write(&c, node, fh, 7, "after"), 0);
	assert_string_equal(tree_text(&c.tree, "top/d/kept"), "before after");
	assert_int_equal(client_attr(&c, file, &attr), 0);
	assert_int_equal(attr.size, 5);
	assert_int_equal(client_attr(&c, gone, &attr), -ESTALE);
	assert_int_equal(node_of(ROOT, "d"), d);
	assert_int_equal(node_of(d, "kept"), node);
	/* What is new has an id of its own. */
	tree_file(&c.tree, "top/new", "");
	uint64_t fresh = node_of(ROOT, "new");
	assert_true(fresh != d && fresh != file && fresh != node);
	/* The counts came along: as many as were given are taken back. */
	struct fuse_forget_in in = {.nlookup = 1};
	client_begin(&c, FUSE_FORGET, file);
	client_add(&c, &in, sizeof(in));
	client_send(&c, 0);
	assert_int_equal(client_attr(&c, file, &attr), -ESTALE);
	buf_free(&saved);
}

static void saved_sessions_are_not_trusted(void **state)
{
	struct buf saved = {0};
	uint64_t node, fh;

	node_of(ROOT, "file");
	assert_int_equal(client_create(&c, ROOT, "new", 0644, &node, &fh), 0);
	fuse_save(c.f, &saved);
	for (size_t len = 0; len < saved.len; len++)
		assert_int_equal(fuse_load(c.f, saved.data, len), -EINVAL);
	/* A name that leads out. */
	uint8_t *name = memmem(saved.data, saved.len, "new", 3);
	assert_non_null(name);
	memcpy(name, "../", 3);
	assert_int_equal(fuse_load(c.f, saved.data, saved.len), -EINVAL);
	for (size_t at = 0; at < saved.len; at++) {
		saved.data[at] ^= 0xff;
		fuse_load(c.f, saved.data, saved.len);
		saved.data[at] ^= 0xff;
	}
	buf_free(&saved);
}

/* So that the thread that serves the share is there for others, a pause among them. */
static void one_request_moves_a_megabyte_at_most(void **state)
{
	const uint32_t len = 3u << 20;
	uint8_t *bytes = calloc(1, len);
	struct {
		struct fuse_in_header h;
		union {
			struct fuse_write_in write;
			struct fuse_read_in read;
		};
	} ask;
	struct iovec in[] = {{&ask, sizeof(ask)}, {bytes, len}};
	struct iovec out[] = {{c.out, sizeof(struct fuse_out_header)}, {bytes, len}};
	uint64_t node, fh;

	assert_int_equal(client_create(&c, ROOT, "big", 0644, &node, &fh), 0);
	memset(&ask, 0, sizeof(ask));
	ask.h = (struct fuse_in_header){.len = (uint32_t)sizeof(ask) + len,
					.opcode = FUSE_WRITE,
					.unique = ++c.unique,
					.nodeid = node};
	ask.write = (struct fuse_write_in){.fh = fh, .size = len};
	c.request = (struct fs_request){
		.in = in, .nr_in = 2, .out = out, .nr_out = 2, .done = client_done};
	fuse_submit(c.f, &c.request);
	assert_int_equal(client_result(&c), -EINVAL);
	struct stat st;
	assert_int_equal(stat(tree_path(&c.tree, "top/big"), &st), 0);
	assert_int_equal(st.st_size, 0);

	assert_int_equal(truncate(tree_path(&c.tree, "top/big"), len), 0);
	ask.h.opcode = FUSE_READ;
	ask.h.unique = ++c.unique;
	ask.h.len = sizeof(ask.h) + sizeof(ask.read);
	ask.read = (struct fuse_read_in){.fh = fh, .size = len};
	c.request = (struct fs_request){
		.in = in, .nr_in = 1, .out = out, .nr_out = 2, .done = client_done};
	fuse_submit(c.f, &c.request);
	assert_int_equal(client_result(&c), 0);
	assert_int_equal(c.request.written, sizeof(struct fuse_out_header) + (1u << 20));
	free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_plain, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(init_negotiates),
		TEST(init_refuses_old_versions_and_answers_newer_ones),
		TEST(nothing_works_before_init),
		TEST(unknown_operations_are_enosys),
		TEST(short_requests_are_refused),
		TEST(lookup_finds_and_stats),
		TEST(names_that_are_none_are_refused),
		TEST(links_are_never_followed),
		TEST(file_replaced_by_a_link_is_stale),
		TEST(directory_replaced_by_a_link_is_stale),
		TEST(special_files_are_not_opened),
		TEST(nodes_nobody_was_given_are_refused),
		TEST(data_are_written_and_read_back),
		TEST(handles_belong_to_their_node),
		TEST(read_only_exports_are),
		TEST(renames_keep_nodes),
		TEST(unlinked_files_live_while_known),
		TEST(hard_links_are_one_node),
		TEST(many_nodes_need_few_descriptors),
		TEST(deep_trees_are_reached_and_left),
		TEST(open_files_are_limited),
		TEST(directories_are_listed_in_pieces),
		TEST(many_listings_at_once_are_whole),
		TEST(the_parent_of_the_root_stays_hidden),
		TEST(mapped_owners_and_set_id_bits_stay_off_the_host),
		TEST(mapped_devices_are_empty_files),
		TEST(attributes_of_ours_are_out_of_reach),
		TEST(squash_gives_no_other_owner),
		TEST(locks_exclude_other_owners_and_processes),
		TEST(waiting_for_a_lock_ends_when_it_is_free),
		TEST(waiting_for_a_lock_can_be_interrupted),
		TEST(caches_say_how_long),
		TEST(data_are_kept_while_the_file_is_the_same),
		TEST(sessions_go_on_after_a_load),
		TEST(saved_sessions_are_not_trusted),
		TEST(one_request_moves_a_megabyte_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
