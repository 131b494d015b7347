/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a bind costs under `portlog run`: a loop of socket, bind and close, against the same loop bare, and against
 * strace of these calls where it is installed. The loop times itself, so that starting is no part of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/net.h"

#define N_PAIRS 15
#define TIMES 40000
#define STRACE_PAIRS 3
#define STRACE_TIMES 4000
#define LINE_SIZE 1024

static void die(const char *what)
{
	fprintf(stderr, "run: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Nanoseconds that the loop took with @before in front of it. */
static double loop(const char *before, unsigned times)
{
	const char *build = getenv("BUILD") ?: "build";
	char line[LINE_SIZE], *end = line;
	double ns;
	FILE *f;

	snprintf(line, sizeof(line), "%s taskset -c 0 '%s/tests/live/errand' loop %u", before, build, times);
	f = popen(line, "r");
	if (!f)
		die(line);
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	ns = strtod(line, &end);
	if (pclose(f) || end == line)
		die("the loop did not end well");
	return ns;
}

static bool measure(const char *name, const char *before, unsigned n, unsigned times, double bound)
{
	double ratios[N_PAIRS];

	for (unsigned i = 0; i < n; i++) {
		/* Every second pair the other way round: whatever the first one warms up. */
		double first = loop(i % 2 ? before : "", times), second = loop(i % 2 ? "" : before, times);

		ratios[i] = i % 2 ? first / second : second / first;
	}
	return bench_report(name, ratios, n, "times", bound);
}

int main(void)
{
	char before[LINE_SIZE];
	bool fine;

	if (net_new_namespace())
		die("a network namespace of our own");
	snprintf(before, sizeof(before), "'%s' run --", bench_portlog());
	fine = measure("bind and close under portlog run", before, N_PAIRS, TIMES, 1.6);
	snprintf(before, sizeof(before), "'%s' run -v --log /dev/null --", bench_portlog());
	measure("the same with -v, all of them written", before, N_PAIRS, TIMES, 0);
	if (!system("command -v strace > /dev/null"))
		measure("the same under strace -f -e trace=bind,listen",
			"strace -f -e trace=bind,listen -o /dev/null", STRACE_PAIRS, STRACE_TIMES, 0);
	return fine ? 0 : 1;
}
