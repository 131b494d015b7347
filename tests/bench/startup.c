/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From exec to the first and to the complete word on a machine with 10,000 sockets and 110,000 descriptors in 500
 * processes; what portlog then takes of memory; and that it sleeps when nothing happens.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/net.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define N_STARTS 9
#define N_PROCESSES 500
#define FILES_EACH 200
#define SOCKETS_EACH 20
#define IDLE_SECONDS 10

static void die(const char *what)
{
	fprintf(stderr, "startup: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- numbers of a process ---- */

/* The sum of the lines of @path that begin with @key. */
static uint64_t sum_lines(const char *path, const char *key)
{
	auto_fclose FILE *f = fopen(path, "re");
	char line[512];
	uint64_t sum = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, strlen(key)))
			sum += strtoull(line + strlen(key), NULL, 10);
	}
	return sum;
}

/* Of all its threads. */
static double context_switches(pid_t pid)
{
	char path[300];
	struct dirent *d;
	uint64_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, d->d_name);
		n += sum_lines(path, "voluntary_ctxt_switches:") +
		     sum_lines(path, "nonvoluntary_ctxt_switches:");
	}
	if (dir)
		closedir(dir);
	return (double)n;
}

/* ---- the runs ---- */

static void start(struct tracer *t, const char *const *args)
{
	if (tracer_start(t, bench_portlog(), args))
		die("start portlog");
}

static void await(struct tracer *t, const char *text)
{
	if (!tracer_read_until(t, text, now_ms() + TRACER_TIMEOUT_MS))
		die("portlog did not tell in time");
}

static bool measure_starts(void)
{
	static const char *const args[] = { "trace", "-j", NULL };
	double to_start[N_STARTS], to_synced[N_STARTS], resident[N_STARTS];
	struct tracer t;
	bool fine;

	for (unsigned i = 0; i < N_STARTS; i++) {
		uint64_t begin = now_boot_ns();

		start(&t, args);
		await(&t, "\"action\":\"start\"");
		to_start[i] = (double)(now_boot_ns() - begin) / 1e6;
		await(&t, "\"action\":\"synced\"");
		to_synced[i] = (double)(now_boot_ns() - begin) / 1e6;
		resident[i] = bench_resident_mib(t.pid);
		tracer_stop(&t);
		tracer_done(&t);
	}
	fine = bench_report("exec to start", to_start, N_STARTS, "ms", 150);
	fine &= bench_report("exec to synced, 10,000 sockets", to_synced, N_STARTS, "ms", 300);
	return bench_report("resident then", resident, N_STARTS, "MiB", 24) && fine;
}

/* A namespace in which nothing happens is all that is watched. */
static bool measure_idle(void)
{
	char inode[16];
	const char *args[] = { "trace", "-j", "netns", inode, NULL };
	double before, switches;
	struct tracer t;

	if (net_new_namespace())
		die("a network namespace of our own");
	snprintf(inode, sizeof(inode), "%u", net_namespace_inode());
	start(&t, args);
	await(&t, "\"action\":\"synced\"");
	sleep(1); /* what is done once, after the start */
	before = context_switches(t.pid);
	sleep(IDLE_SECONDS);
	switches = context_switches(t.pid) - before;
	tracer_stop(&t);
	tracer_done(&t);
	printf("%-52s %9.0f\n", "context switches in 10 idle seconds (must be 0)", switches);
	return switches == 0;
}

int main(void)
{
	bool fine;

	if (net_new_namespace())
		die("a network namespace of our own");
	if (bench_populate(N_PROCESSES, FILES_EACH, SOCKETS_EACH))
		die("processes with sockets");
	fine = measure_starts();
	return measure_idle() && fine ? 0 : 1;
}
