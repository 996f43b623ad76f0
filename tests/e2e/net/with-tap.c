/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: with-tap INTERFACE COMMAND...
 * Makes the tap interface and becomes the command, which has it as descriptor 9: what a program with rights
 * does for one without. The interface lives as long as the descriptor.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd;

	if (argc < 3) {
		fputs("usage: with-tap INTERFACE COMMAND...\n", stderr);
		return 2;
	}
	snprintf(request.ifr_name, IFNAMSIZ, "%s", argv[1]);
	fd = open("/dev/net/tun", O_RDWR);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) || dup2(fd, 9) < 0) {
		perror(argv[1]);
		return 1;
	}
	if (fd != 9)
		close(fd);
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
