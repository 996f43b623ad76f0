/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run in a guest with a directory on a share: what programs expect of a file system. Prints one line
 * per check that fails, and "done" at the end. A second argument "root" adds what needs root's rights,
 * "mmap" shared mappings; "seconds" forgives times that are set to whole seconds only.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHECK(x)                                                                     \
	do {                                                                         \
		errno = 0;                                                           \
		if (!(x))                                                            \
			printf("line %d: %s (%s)\n", __LINE__, #x, strerror(errno)); \
	} while (0)

/* Of the guest's 9p file system, when it sets times. */
static bool has_whole_seconds;

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static bool holds(const char *name, const char *text)
{
	char data[256] = "";
	int fd = open(name, O_RDONLY);
	ssize_t len = read(fd, data, sizeof(data) - 1);

	close(fd);
	return len >= 0 && !strcmp(data, text);
}

static void data_and_sizes(void)
{
	struct stat st;
	int fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0600);

	CHECK(fd >= 0);
	CHECK(open("data", O_RDWR | O_CREAT | O_EXCL, 0600) < 0 && errno == EEXIST);
	CHECK(pwrite(fd, "end", 3, 1 << 20) == 3);
	CHECK(!fstat(fd, &st) && st.st_size == (1 << 20) + 3);
	CHECK(!ftruncate(fd, 10) && !fstat(fd, &st) && st.st_size == 10);
	CHECK(!truncate("data", 5) && !stat("data", &st) && st.st_size == 5);
	CHECK(!fsync(fd));
	close(fd);
	put("append", "one ");
	fd = open("append", O_WRONLY | O_APPEND);
	CHECK(write(fd, "two", 3) == 3);
	close(fd);
	CHECK(holds("append", "one two"));
	struct timespec times[2] = {{1000000000, 5000}, {1100000000, 7000}};
	CHECK(!utimensat(AT_FDCWD, "append", times, 0) && !stat("append", &st));
	CHECK(st.st_mtim.tv_sec == 1100000000);
	CHECK(has_whole_seconds || st.st_mtim.tv_nsec == 7000);
	CHECK(!chmod("append", 0640) && !stat("append", &st) && (st.st_mode & 07777) == 0640);
}

static void names(void)
{
	struct stat a, b;
	char target[32] = "";

	put("first", "first");
	put("second", "second");
	CHECK(!link("first", "hard") && !stat("first", &a) && !stat("hard", &b));
	CHECK(a.st_ino == b.st_ino && b.st_nlink == 2);
	CHECK(!rename("second", "first") && holds("first", "second") && holds("hard", "first"));
	CHECK(renameat2(AT_FDCWD, "first", AT_FDCWD, "hard", RENAME_NOREPLACE) < 0);
	CHECK(!symlink("../../../etc/none", "sym") && readlink("sym", target, 31) == 17);
	CHECK(open("sym", O_RDONLY) < 0 && errno == ENOENT);
	CHECK(!mkdir("dir", 0755) && rmdir(".") < 0 && unlink("dir") < 0);
	put("dir/file", "x");
	CHECK(rmdir("dir") < 0 && errno == ENOTEMPTY);
	CHECK(!rename("dir", "dir2") && holds("dir2/file", "x"));
	CHECK(rename("dir2", "dir2/below") < 0 && errno == EINVAL);
	int fd = open("hard", O_RDWR);
	CHECK(!unlink("hard") && !fstat(fd, &a) && write(fd, "later", 5) == 5);
	CHECK(!fstat(fd, &a) && a.st_size == 5 && pread(fd, target, 5, 0) == 5);
	close(fd);
	CHECK(access("hard", F_OK) < 0 && errno == ENOENT);
}

static void many_entries(void)
{
	enum { NR = 1200 };
	static bool seen[NR];
	char name[32];
	unsigned nr = 0;
	int i;

	CHECK(!mkdir("many", 0755));
	for (i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "many/entry-%d", i);
		close(open(name, O_WRONLY | O_CREAT, 0644));
	}
	DIR *d = opendir("many");
	for (struct dirent *e; d && (e = readdir(d));) {
		if (sscanf(e->d_name, "entry-%d", &i) == 1 && i < NR && !seen[i]) {
			seen[i] = true;
			nr++;
		}
		/* Removing what was read must not make others disappear. */
		if (e->d_name[0] == 'e' && nr % 2)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
	CHECK(nr == NR);
}

static void locks(void)
{
	int fd = open("first", O_RDWR), status = -1;
	struct flock all = {.l_type = F_WRLCK}, part = {.l_type = F_WRLCK, .l_len = 1};

	CHECK(!fcntl(fd, F_SETLK, &all));
	if (!fork()) {
		int other = open("first", O_RDWR);

		if (fcntl(other, F_SETLK, &part) >= 0)
			_exit(1);
		/* Waits until the parent gives it up. */
		_exit(fcntl(other, F_SETLKW, &part) ? 2 : 0);
	}
	usleep(200000);
	all.l_type = F_UNLCK;
	CHECK(!fcntl(fd, F_SETLK, &all));
	wait(&status);
	CHECK(status == 0);
	int again = open("first", O_RDWR);
	CHECK(!flock(fd, LOCK_EX) && flock(again, LOCK_EX | LOCK_NB) < 0);
	CHECK(!flock(fd, LOCK_UN) && !flock(again, LOCK_EX | LOCK_NB));
	close(again);
	close(fd);
}

static void attributes(void)
{
	char value[16] = "";

	CHECK(!setxattr("first", "user.colour", "blue", 4, 0));
	CHECK(getxattr("first", "user.colour", value, sizeof(value)) == 4 &&
	      !strcmp(value, "blue"));
	CHECK(listxattr("first", value, sizeof(value)) == 12);
	CHECK(setxattr("first", "user.colour", "x", 1, XATTR_CREATE) < 0 && errno == EEXIST);
	CHECK(!removexattr("first", "user.colour"));
	CHECK(getxattr("first", "user.colour", value, sizeof(value)) < 0 && errno == ENODATA);
}

static void shared_mapping(void)
{
	int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0644);

	CHECK(!ftruncate(fd, 3 * 4096));
	char *at = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(at != MAP_FAILED);
	if (at == MAP_FAILED)
		return;
	strcpy(at + 4096, "through the mapping");
	CHECK(!msync(at, 3 * 4096, MS_SYNC));
	char data[32] = "";
	CHECK(pread(fd, data, 19, 4096) == 19 && !strcmp(data, "through the mapping"));
	munmap(at, 3 * 4096);
	close(fd);
}

static void as_root(void)
{
	struct stat st;

	put("owned", "x");
	CHECK(!stat("owned", &st) && st.st_uid == 0 && st.st_gid == 0);
	CHECK(!chown("owned", 33, 44) && !stat("owned", &st) && st.st_uid == 33 && st.st_gid == 44);
	CHECK(!chmod("owned", 04711) && !stat("owned", &st) && (st.st_mode & 07777) == 04711);
	CHECK(!mknod("device", S_IFCHR | 0600, makedev(1, 3)) && !stat("device", &st));
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	int fd = open("device", O_WRONLY);
	CHECK(fd >= 0 && write(fd, "x", 1) == 1);
	close(fd);
	CHECK(!mkfifo("pipe", 0600) && !stat("pipe", &st) && S_ISFIFO(st.st_mode));
	/* What its mode forbids everybody, root may. */
	put("closed", "x");
	CHECK(!chmod("closed", 0) && holds("closed", "x"));
	put("closed", "again");
	CHECK(!mkdir("shut", 0) && !mkdir("shut/below", 0755) && !rmdir("shut/below"));
	CHECK(!stat("shut", &st) && (st.st_mode & 07777) == 0);
	if (!fork()) {
		CHECK(!setgid(1000) && !setuid(1000));
		CHECK(open("closed", O_RDONLY) < 0 && errno == EACCES);
		_exit(0);
	}
	wait(NULL);
	CHECK(!mkdir("open", 01777) && !chmod("open", 01777));
	if (!fork()) {
		CHECK(!setgid(1000) && !setuid(1000));
		put("open/mine", "x");
		CHECK(!stat("open/mine", &st) && st.st_uid == 1000 && !chmod("open/mine", 0600));
		_exit(0);
	}
	wait(NULL);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc < 2 || mkdir(argv[1], 0755) || chdir(argv[1])) {
		perror(argc < 2 ? "directory" : argv[1]);
		return 1;
	}
	for (int i = 2; i < argc; i++)
		has_whole_seconds |= !strcmp(argv[i], "seconds");
	data_and_sizes();
	names();
	many_entries();
	locks();
	attributes();
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "mmap"))
			shared_mapping();
		else if (!strcmp(argv[i], "root"))
			as_root();
	}
	puts("done");
	return 0;
}
