/* SPDX-License-Identifier: BSD-2-Clause */
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <time.h>

#include "lib.h"
#include "sys.h"

#define MODULE_INIT_COMPRESSED_FILE 4 /* linux/module.h since 5.17 */

#define LOWER "/lower"
#define UPPER "/upper"
#define NEW   "/new"

static long mount_at(const char *what, const char *path, const char *type, unsigned long flags,
		     const char *options)
{
	return sys(__NR_mount, what, path, type, flags, options);
}

void system_mount_kernel(void)
{
	static const char *const folders[] = {"/proc", "/sys", "/dev", LOWER, UPPER, NEW};
	long fd;

	for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		sys(__NR_mkdir, folders[i], 0755);
	mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_at("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_at("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
	/* The kernel opened /dev/console for these, unless it has no console. */
	do {
		fd = sys(__NR_open, "/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		sys(__NR_close, fd);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && same(text + len - end_len, end);
}

void system_load_modules(const struct conf *c)
{
	const char *at = NULL;
	struct record r;

	while (conf_next(c, &at, "module", &r)) {
		const char *path = r.fields[1];
		long fd = sys(__NR_open, path, O_RDONLY | O_CLOEXEC), rc = fd;

		if (fd >= 0) {
			rc = sys(__NR_finit_module, fd, "",
				 ends_with(path, ".ko") ? 0 : MODULE_INIT_COMPRESSED_FILE);
			sys(__NR_close, fd);
			sys(__NR_unlink, path); /* gives its memory back */
		}
		if (rc < 0 && rc != -EEXIST && rc != -ENODEV && rc != -EOPNOTSUPP)
			say_errno(rc, "loading ", path, NULL);
	}
}

void system_set_clock(void)
{
	static const char name[] = "KVM virtual PTP";
	struct timespec now;
	char found[sizeof(name)];
	long fd = sys(__NR_open, "/sys/class/ptp/ptp0/clock_name", O_RDONLY | O_CLOEXEC), n = -1;

	if (fd >= 0) {
		n = sys(__NR_read, fd, found, sizeof(name) - 1);
		sys(__NR_close, fd);
	}
	if (n != sizeof(name) - 1)
		return;
	found[n] = '\0';
	fd = same(found, name) ? sys(__NR_open, "/dev/ptp0", O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	/* A clock that is a device goes by its descriptor (clock_getres(2)). */
	if (!sys(__NR_clock_gettime, (~fd << 3) | 3, &now))
		sys(__NR_clock_settime, CLOCK_REALTIME, &now);
	sys(__NR_close, fd);
}

/* ---- shares ---- */

#define P9_OPTIONS "trans=virtio,version=9p2000.L,msize=262144,cache=loose"

static long mount_share(const char *type, const char *tag, const char *path, bool is_read_only)
{
	long rc = mount_at(tag, path, type, is_read_only ? MS_RDONLY : 0,
			   same(type, "9p") ? P9_OPTIONS : NULL);

	if (rc)
		say_errno(rc, "mounting share '", tag, "' (", type, ") on ", path, NULL);
	return rc;
}

/* The folder of /proc names the layers: paths of ours, which need no escapes. */
static long mount_overlay(const struct record *upper)
{
	bool is_kept = !same(upper->fields[1], "memory");
	long rc = is_kept ? mount_share(upper->fields[1], upper->fields[2], UPPER, false)
			  : mount_at("upper", UPPER, "tmpfs", 0, "mode=755");

	if (rc)
		return rc;
	sys(__NR_mkdir, UPPER "/files", 0755);
	sys(__NR_mkdir, UPPER "/work", 0755);
	rc = mount_at("overlay", NEW, "overlay", 0,
		      is_kept ? "lowerdir=" LOWER ",upperdir=" UPPER "/files,workdir=" UPPER
				"/work,userxattr"
			      : "lowerdir=" LOWER ",upperdir=" UPPER "/files,workdir=" UPPER
				"/work");
	if (rc)
		say_errno(rc, "the overlay", NULL);
	return rc;
}

/* Where no overlay is, only folders that exist can be mounted on. */
static long mount_below_new(const char *what, const char *path, const char *type,
			    unsigned long flags, const char *options)
{
	char full[PATH_ROOM];

	make_path(join(full, sizeof(full), NEW, path, NULL));
	return mount_at(what, full, type, flags, options);
}

static long mount_shares(const struct conf *c)
{
	const char *at = NULL;
	struct record r;

	while (conf_next(c, &at, "mount", &r)) {
		char full[PATH_ROOM];

		make_path(join(full, sizeof(full), NEW, r.fields[3], NULL));
		long rc = mount_share(r.fields[1], r.fields[2], full, same(r.fields[4], "ro"));
		if (rc)
			return rc;
	}
	return 0;
}

static void link_device(const char *target, const char *name)
{
	sys(__NR_symlink, target, name);
}

/* Everything that is not on a share, as a running system has it. */
static void mount_system_folders(bool has_overlay)
{
	mount_below_new("/proc", "/proc", NULL, MS_MOVE, NULL);
	mount_below_new("/sys", "/sys", NULL, MS_MOVE, NULL);
	mount_below_new("/dev", "/dev", NULL, MS_MOVE, NULL);
	mount_below_new("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
	if (!has_overlay)
		mount_below_new("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_below_new("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
			"gid=5,mode=620,ptmxmode=666");
	mount_below_new("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	link_device("/proc/self/fd", NEW "/dev/fd");
	link_device("/proc/self/fd/0", NEW "/dev/stdin");
	link_device("/proc/self/fd/1", NEW "/dev/stdout");
	link_device("/proc/self/fd/2", NEW "/dev/stderr");
}

long system_enter(const struct conf *c)
{
	struct record root, upper;
	bool has_overlay = conf_find(c, "upper", &upper);
	long rc;

	if (!conf_find(c, "root", &root)) {
		say("no root is configured", NULL);
		return -EINVAL;
	}
	rc = mount_share(root.fields[1], root.fields[2], has_overlay ? LOWER : NEW,
			 !same(root.fields[3], "rw"));
	if (!rc && has_overlay)
		rc = mount_overlay(&upper);
	if (rc)
		return rc;
	mount_system_folders(has_overlay);
	rc = mount_shares(c);
	if (rc)
		return rc;
	sys(__NR_chdir, NEW);
	rc = mount_at(".", "/", NULL, MS_MOVE, NULL);
	if (!rc)
		rc = sys(__NR_chroot, ".");
	if (rc)
		say_errno(rc, "entering the new root", NULL);
	return rc;
}

void system_leave(void)
{
	sys(__NR_kill, -1, SIGKILL);
	while (sys(__NR_wait4, -1, NULL, 0, NULL) > 0)
		;
	sys(__NR_sync);
}
