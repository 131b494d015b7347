/* SPDX-License-Identifier: GPL-2.0-only */
/* From the return of a lone bind to the line that tells it, each awaited before the next is made; failures too. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/net.h"
#include "live/lib/tracer.h"

#define N_BINDS 1000
#define FIRST_PORT 2000
#define HOLDER_PORT 10000

static void die(const char *what)
{
	fprintf(stderr, "latency: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int bind_at(uint16_t port, int *ret_error)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_error = bind(fd, (struct sockaddr *)&a, sizeof(a)) ? errno : 0;
	return fd;
}

static void await(struct tracer *t, const char *action, const char *result)
{
	size_t len;
	char *line;

	do {
		line = tracer_line(t, now_ms() + TRACER_TIMEOUT_MS, &len);
		if (!line)
			die("portlog did not tell");
	} while (!strstr(line, action) || !strstr(line, result));
}

static double one(struct tracer *t, uint16_t port, int error, const char *result)
{
	uint64_t returned;
	double took;
	int got, fd = bind_at(port, &got);

	returned = now_boot_ns();
	if (got != error)
		die("bind");
	await(t, "\"action\":\"bind\"", result);
	took = (double)(now_boot_ns() - returned) / 1e6;
	close(fd);
	if (!error)
		await(t, "\"action\":\"release\"", "");
	usleep(5000); /* lone: portlog has gone to sleep again */
	return took;
}

int main(void)
{
	char inode[16];
	const char *args[] = { "trace", "-j", "netns", inode, NULL };
	double works[N_BINDS], fails[N_BINDS];
	struct tracer t;
	bool fine;
	int error;

	if (net_new_namespace())
		die("a network namespace of our own");
	snprintf(inode, sizeof(inode), "%u", net_namespace_inode());
	if (tracer_start(&t, bench_portlog(), args))
		die("start portlog");
	await(&t, "\"action\":\"synced\"", "");
	for (unsigned i = 0; i < N_BINDS; i++)
		works[i] = one(&t, (uint16_t)(FIRST_PORT + i), 0, "\"result\":\"ok\"");
	(void)bind_at(HOLDER_PORT, &error);
	for (unsigned i = 0; i < N_BINDS; i++)
		fails[i] = one(&t, HOLDER_PORT, EADDRINUSE, "\"holder\":");
	tracer_stop(&t);
	tracer_done(&t);
	fine = bench_report("lone bind: from its return to the line", works, N_BINDS, "ms", 2);
	return bench_report("lone failure, with its holder: to the line", fails, N_BINDS, "ms", 2) && fine
		       ? 0
		       : 1;
}
