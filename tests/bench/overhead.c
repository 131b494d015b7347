/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a traced bind costs: a loop of socket, bind and close while portlog writes each event to a file in memory,
 * against the same loop bare. Interleaved pairs, because a machine's speed drifts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/net.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define N_PAIRS 15
#define TIMES 40000

static void die(const char *what)
{
	fprintf(stderr, "overhead: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Wait for @text in the growing file @fd. */
static void await(int fd, const char *text)
{
	char buf[16384] = "";
	uint64_t deadline = now_ms() + TRACER_TIMEOUT_MS;

	do {
		if (now_ms() > deadline)
			die("portlog did not start");
		usleep(1000); /* a file has no other way to be waited for */
		(void)!pread(fd, buf, sizeof(buf) - 1, 0);
	} while (!strstr(buf, text));
}

static uint64_t run_bare(unsigned n)
{
	return bench_bind_from(n, TIMES);
}

/* With one producer portlog has the other processor to itself; with two it must share. */
static uint64_t run_traced(unsigned n)
{
	static const char *const args[] = { "trace", "-j", "--hooks", "tracepoint", "--no-snapshot", NULL };
	auto_close int fd = memfd_create("events", MFD_CLOEXEC);
	struct tracer tracer;
	uint64_t took;

	if (fd < 0 || tracer_start_on(&tracer, bench_portlog(), args, n == 1 ? 1 : -1, fd))
		die("start portlog");
	await(fd, "\"action\":\"start\"");
	took = bench_bind_from(n, TIMES);
	if (tracer_stop(&tracer))
		die("portlog did not end well");
	tracer_done(&tracer);
	return took;
}

static bool measure(const char *name, unsigned n, double bound)
{
	double ratios[N_PAIRS];

	for (unsigned i = 0; i < N_PAIRS; i++) {
		/* Every second pair the other way round: whatever the first one warms up. */
		uint64_t first = i % 2 ? run_traced(n) : run_bare(n),
			 second = i % 2 ? run_bare(n) : run_traced(n);

		ratios[i] = i % 2 ? (double)first / (double)second : (double)second / (double)first;
	}
	return bench_report(name, ratios, N_PAIRS, "times", bound);
}

int main(void)
{
	bool fine;

	if (net_new_namespace())
		die("a network namespace of our own");
	fine = measure("traced bind and close, one producer", 1, 1.5);
	measure("traced bind and close, two producers", 2, 0);
	return fine ? 0 : 1;
}
