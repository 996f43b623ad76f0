/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All programs of the engine benchmark in one static binary.
 * usage: programs NAME COUNT
 * Prints "start NAME", runs the program, and prints "NAME SECONDS CHECKSUM". The name tsc-khz prints the
 * frequency of the TSC.
 *
 * As process 1 it is the guest's init: it mounts what programs need, runs those that bench=NAME:COUNT,...
 * on the kernel's command line names, each as a process of its own, says "bench over", and powers off.
 */
#include "programs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const struct program {
	const char *name;
	uint64_t (*run)(uint64_t count);
} programs[] = {
	{"sieve", run_sieve},	    {"fib", run_fib},	      {"crc", run_crc},
	{"bytecode", run_bytecode}, {"tree", run_tree},	      {"sort", run_sort},
	{"sha256", run_sha256},	    {"deflate", run_deflate}, {"scan", run_scan},
	{"chain", run_chain},	    {"copy", run_copy},	      {"nbody", run_nbody},
	{"matrix", run_matrix},	    {"getppid", run_getppid}, {"fault", run_fault},
	{"mmap", run_mmap},	    {"fork", run_fork},	      {"exec", run_exec},
	{"pipe", run_pipe},	    {"shell", run_shell},     {"lock", run_lock},
	{"pair", run_pair},
};

void need(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	_exit(1);
}

void fill_text(char *text, size_t size)
{
	static const char *const words[] = {
		"the", "guest", "kernel",    "page",  "of",	"memory", "reads", "a",	    "block",
		"and", "waits", "interrupt", "timer", "vector", "is",	  "not",   "ready", "yet"};
	enum { WORDS = sizeof(words) / sizeof(words[0]) };
	uint64_t seed = 20240229, number = 0;

	for (size_t at = 0; at < size; number++) {
		const char *word = words[next_random(&seed) % WORDS];
		for (; *word && at < size; at++)
			text[at] = *word++;
		if (at < size)
			text[at++] = number % 11 == 10 ? '\n' : ' ';
	}
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The frequency of the TSC, measured over a tenth of a second. */
static uint64_t tsc_khz(void)
{
	const double start_s = now_s();
	const uint64_t start = __builtin_ia32_rdtsc();
	double spent_s;

	do
		spent_s = now_s() - start_s;
	while (spent_s < 0.1);
	return (uint64_t)((double)(__builtin_ia32_rdtsc() - start) / spent_s / 1e3);
}

static int run(const char *name, uint64_t count)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (strcmp(programs[i].name, name) != 0)
			continue;
		/* The line is out when the clock starts: the reader compares its own clock with ours. */
		printf("start %s\n", name);
		fflush(stdout);
		tcdrain(STDOUT_FILENO);
		double start = now_s();
		uint64_t sum = programs[i].run(count);
		printf("%s %.6f %016llx\n", name, now_s() - start, (unsigned long long)sum);
		return 0;
	}
	fprintf(stderr, "there is no program %s\n", name);
	return 1;
}

static void run_all(char *list)
{
	char *rest;

	for (char *item = strtok_r(list, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
		char *count = strchr(item, ':');
		if (!count)
			continue;
		*count++ = 0;
		pid_t pid = fork();
		if (pid == 0) {
			execl("/init", "programs", item, count, (char *)NULL);
			_exit(127);
		}
		int status = 0;
		waitpid(pid, &status, 0);
		if (status)
			printf("%s ended with status %#x\n", item, (unsigned)status);
	}
}

static int init(void)
{
	static char line[4096];

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	setenv("PATH", "/bin", 1);

	int fd = open("/proc/cmdline", O_RDONLY);
	need(fd >= 0 && read(fd, line, sizeof(line) - 1) > 0, "/proc/cmdline");
	close(fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
	char *list = strstr(line, "bench=");
	if (list) {
		list += strlen("bench=");
		list[strcspn(list, " \n")] = 0;
		run_all(list);
	}
	printf("bench over\n");
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	return 1;
}

int main(int argc, char **argv)
{
	if (getpid() == 1)
		return init();
	if (argc != 3) {
		fprintf(stderr, "usage: programs NAME COUNT\n");
		return 1;
	}
	/* What run_exec() starts. */
	if (strcmp(argv[1], "exit") == 0)
		return atoi(argv[2]);
	if (strcmp(argv[1], "tsc-khz") == 0) {
		printf("%llu\n", (unsigned long long)tsc_khz());
		return 0;
	}
	return run(argv[1], strtoull(argv[2], NULL, 10));
}
