/* SPDX-License-Identifier: BSD-2-Clause */
/* Work that the guest's kernel does: system calls, page faults, mappings, processes, a pipe, a shell. */
#include "programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, FAULT_PAGES = 1024 };

uint64_t run_getppid(uint64_t count)
{
	const long parent = getppid();
	uint64_t same = 0;

	for (uint64_t round = 0; round < count * 1000; round++)
		same += syscall(SYS_getppid) == parent;
	return mix(same, count);
}

static uint8_t *map_pages(size_t pages)
{
	uint8_t *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);

	need(at != MAP_FAILED, "mmap");
	return at;
}

uint64_t run_fault(uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t round = 0; round < count; round++) {
		uint8_t *at = map_pages(FAULT_PAGES);

		/* With huge pages there would be two faults instead of a thousand. */
		need(madvise(at, FAULT_PAGES * PAGE, MADV_NOHUGEPAGE) == 0, "madvise");
		for (size_t page = 0; page < FAULT_PAGES; page++)
			at[page * PAGE] = (uint8_t)(page + round);
		for (size_t page = 0; page < FAULT_PAGES; page++)
			sum = mix(sum, at[page * PAGE]);
		need(munmap(at, FAULT_PAGES * PAGE) == 0, "munmap");
	}
	return sum;
}

uint64_t run_mmap(uint64_t count)
{
	enum { AREAS = 16, AREA_PAGES = 4 };
	uint64_t sum = 0;

	for (uint64_t round = 0; round < count; round++) {
		uint8_t *areas[AREAS];

		for (int i = 0; i < AREAS; i++) {
			areas[i] = map_pages(AREA_PAGES);
			areas[i][PAGE] = (uint8_t)(round + (uint64_t)i);
			need(mprotect(areas[i] + PAGE, PAGE, PROT_READ) == 0, "mprotect");
		}
		for (int i = 0; i < AREAS; i++) {
			sum = mix(sum, areas[i][PAGE]);
			need(munmap(areas[i], AREA_PAGES * PAGE) == 0, "munmap");
		}
	}
	return sum;
}

/* Waits for a child and returns its exit status. */
static uint64_t status_of(pid_t pid)
{
	int status;

	need(pid > 0, "fork");
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	need(WIFEXITED(status), "the end of a child");
	return (uint64_t)WEXITSTATUS(status);
}

uint64_t run_fork(uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t round = 0; round < count; round++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit((int)(round & 0x3f));
		sum = mix(sum, status_of(pid));
	}
	return sum;
}

uint64_t run_exec(uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t round = 0; round < count; round++) {
		char number[24];

		snprintf(number, sizeof(number), "%u", (unsigned)(round & 0x3f));
		pid_t pid = fork();
		if (pid == 0) {
			execl("/proc/self/exe", "programs", "exit", number, (char *)NULL);
			_exit(127);
		}
		sum = mix(sum, status_of(pid));
	}
	return sum;
}

uint64_t run_pipe(uint64_t count)
{
	int there[2], back[2];
	uint64_t sum = 0, word;

	need(pipe(there) == 0 && pipe(back) == 0, "pipe");
	pid_t pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		close(there[1]);
		while (read(there[0], &word, sizeof(word)) == sizeof(word)) {
			word = word * 3 + 1;
			if (write(back[1], &word, sizeof(word)) != sizeof(word))
				_exit(1);
		}
		_exit(0);
	}
	for (uint64_t round = 0; round < count; round++) {
		need(write(there[1], &round, sizeof(round)) == sizeof(round), "write to a pipe");
		need(read(back[0], &word, sizeof(word)) == sizeof(word), "read from a pipe");
		sum = mix(sum, word);
	}
	close(there[1]);
	need(status_of(pid) == 0, "the other end of the pipe");
	close(there[0]);
	close(back[0]);
	close(back[1]);
	return sum;
}

/* A round is a thousand additions and four forks, one of them with an exec. */
uint64_t run_shell(uint64_t count)
{
	static const char script[] = "r=0 s=0\n"
				     "while [ $r -lt %llu ]; do\n"
				     "	i=0\n"
				     "	while [ $i -lt 1000 ]; do s=$(((s * 31 + i) %% 1000003)); "
				     "i=$((i + 1)); done\n"
				     "	s=$(echo $s) t=$(echo $s | /bin/busybox cat)\n"
				     "	[ $s = $t ] || exit 1\n"
				     "	r=$((r + 1))\n"
				     "done\n"
				     "echo $s\n";
	char text[sizeof(script) + 24], answer[64] = "";
	int out[2];

	snprintf(text, sizeof(text), script, (unsigned long long)count);
	need(pipe(out) == 0, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		execl("/bin/busybox", "sh", "-c", text, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	need(read(out[0], answer, sizeof(answer) - 1) > 0, "the shell's answer");
	need(status_of(pid) == 0, "the shell");
	close(out[0]);
	return mix(strtoull(answer, NULL, 10), count);
}
