/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: smp NAME [--seconds N], where NAME is litmus, atomics or stress.
 * As process 1 it is the guest's init: it runs what smp=NAME:SECONDS,... on the kernel's command line
 * names, each as a process of its own, says "smp over", and powers off.
 */
#include "smp.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
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

static const struct {
	const char *name;
	void (*run)(unsigned milliseconds);
} programs[] = {
	{"litmus", run_litmus},
	{"atomics", run_atomics},
	{"stress", run_stress},
};

void need(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	_exit(2);
}

void broken(const char *format, ...)
{
	char text[512];
	va_list args;
	int len = snprintf(text, sizeof(text), "BROKEN: ");

	va_start(args, format);
	len += vsnprintf(text + len, sizeof(text) - 1 - (size_t)len, format, args);
	va_end(args);
	if (len > (int)sizeof(text) - 2)
		len = (int)sizeof(text) - 2;
	text[len++] = '\n';
	if (write(STDOUT_FILENO, text, (size_t)len) != len)
		_exit(3);
	_exit(1);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

unsigned count_cpus(void)
{
	return (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
}

void use_cpu(unsigned number)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(number % count_cpus(), &set);
	need(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

bool has_avx(void)
{
	return __builtin_cpu_supports("avx");
}

static int run(const char *name, unsigned seconds)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		if (strcmp(programs[i].name, name) != 0)
			continue;
		setvbuf(stdout, NULL, _IOLBF, 0);
		printf("%s: %u CPUs, %u s\n", name, count_cpus(), seconds);
		programs[i].run(seconds * 1000);
		printf("%s passed\n", name);
		return 0;
	}
	fprintf(stderr, "there is no %s\n", name);
	return 2;
}

static void run_all(char *list)
{
	char *rest;

	for (char *item = strtok_r(list, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
		char *seconds = strchr(item, ':');
		int status = 0;

		if (!seconds)
			continue;
		*seconds++ = 0;
		pid_t pid = fork();
		if (pid == 0) {
			execl("/init", "smp", item, "--seconds", seconds, (char *)NULL);
			_exit(127);
		}
		while (waitpid(pid, &status, 0) != pid)
			;
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

	int fd = open("/proc/cmdline", O_RDONLY);
	need(fd >= 0 && read(fd, line, sizeof(line) - 1) > 0, "/proc/cmdline");
	close(fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
	char *list = strstr(line, "smp=");
	if (list) {
		list += strlen("smp=");
		list[strcspn(list, " \n")] = 0;
		run_all(list);
	}
	printf("smp over\n");
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	return 1;
}

int main(int argc, char **argv)
{
	if (getpid() == 1)
		return init();
	if (argc == 3 && strcmp(argv[1], "spawned") == 0)
		return spawned(argv[2]);
	if (argc == 4 && strcmp(argv[2], "--seconds") == 0)
		return run(argv[1], (unsigned)atoi(argv[3]));
	if (argc == 2)
		return run(argv[1], 10);
	fprintf(stderr, "usage: smp litmus|atomics|stress [--seconds N]\n");
	return 2;
}
