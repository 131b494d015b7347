// SPDX-License-Identifier: GPL-2.0-only
/* What "make run" shows: take a free port, then want it again from a second process. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_PORT = 8080, LAST_PORT = 8180 };

static int bind_port(int fd, int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr));
}

static int clash(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (!bind_port(fd, port))
		return 1;
	fprintf(stderr, "demo: process %d wants port %d too: %s\n", getpid(), port, strerror(errno));
	return 0;
}

int main(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int port = FIRST_PORT;
	int status = 1;

	while (bind_port(fd, port) && port < LAST_PORT)
		port++;
	if (listen(fd, 16)) {
		perror("demo: listen");
		return 1;
	}
	fprintf(stderr, "demo: process %d listens on port %d\n", getpid(), port);
	sleep(1);
	if (fork() == 0)
		_exit(clash(port));
	wait(&status);
	sleep(1);
	close(fd);
	fprintf(stderr, "demo: process %d lets port %d go\n", getpid(), port);
	return status != 0;
}
