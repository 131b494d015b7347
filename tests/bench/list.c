/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `portlog list` beside the tools that people use for the same question, each a whole process from exec to exit, in
 * interleaved rounds: on a machine with 10,000 listening sockets and 110,000 descriptors in 500 processes, and with ten
 * times fewer. A tool that is not installed is left out, aloud.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/net.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define ROUNDS 9
#define FILES_EACH 200
#define SOCKETS_EACH 20

extern char **environ;

static const struct contestant {
	const char *name;
	const char *argv[6];
	double share; /* of its time that list may take at the large size; 0: no bound */
} contestants[] = {
	{ "portlog list", { NULL, "list" }, 0 },
	{ "portlog list, one port", { NULL, "list", "10005" }, 0 },
	{ "portlog list -j", { NULL, "list", "-j" }, 0 },
	{ "ss -tulnpH", { "ss", "-tulnpH" }, 0.2 },
	{ "netstat -tulnp", { "netstat", "-tulnp" }, 0 },
	{ "lsof -nP -i", { "lsof", "-nP", "-i" }, 0.1 },
};

#define N ARRAY_SIZE(contestants)

/* Milliseconds from exec to exit; negative: it could not be run. */
static double run(const struct contestant *c)
{
	posix_spawn_file_actions_t actions;
	char *argv[7] = { NULL };
	uint64_t begin;
	pid_t pid;
	int status, r;

	for (size_t i = 0; i < ARRAY_SIZE(c->argv); i++)
		argv[i] = (char *)c->argv[i];
	argv[0] = (char *)(c->argv[0] ?: bench_portlog());
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	begin = now_boot_ns();
	r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r || waitpid(pid, &status, 0) != pid || status)
		return -1;
	return (double)(now_boot_ns() - begin) / 1e6;
}

/* Of the same round, so that what else the machine does hits both. */
static bool compare(size_t tool, double times[N][ROUNDS], bool bound)
{
	double shares[ROUNDS];
	char name[96];

	for (size_t i = 0; i < ROUNDS; i++)
		shares[i] = times[0][i] / times[tool][i];
	snprintf(name, sizeof(name), "  portlog list, as a share of %s", contestants[tool].name);
	return bench_report(name, shares, ROUNDS, "", bound ? contestants[tool].share : 0);
}

static bool measure(unsigned processes, bool bound, double *ret_list_ms)
{
	double times[N][ROUNDS];
	bool missing[N] = { false }, fine = true;

	if (bench_populate(processes, FILES_EACH, SOCKETS_EACH)) {
		fprintf(stderr, "list: cannot make %u processes\n", processes);
		return false;
	}
	for (size_t round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < N; i++) {
			times[i][round] = missing[i] ? -1 : run(&contestants[i]);
			missing[i] = times[i][round] < 0;
		}
	}
	bench_depopulate();
	printf("%u processes, %u descriptors, %u listening sockets:\n", processes,
	       processes * (FILES_EACH + SOCKETS_EACH), processes * SOCKETS_EACH);
	for (size_t i = 3; i < N; i++) {
		if (missing[i])
			printf("  %s: not installed, or failed\n", contestants[i].name);
		else
			fine &= compare(i, times, bound);
	}
	for (size_t i = 0; i < N; i++) {
		if (!missing[i])
			bench_report(contestants[i].name, times[i], ROUNDS, "ms", bound && i == 1 ? 150 : 0);
	}
	*ret_list_ms = times[0][ROUNDS / 2];
	return fine && !missing[0] && !missing[1];
}

int main(void)
{
	double few_ms, many_ms;
	bool fine;

	if (net_new_namespace()) {
		fprintf(stderr, "list: a network namespace of our own: %s\n", strerror(errno));
		return 1;
	}
	fine = measure(50, false, &few_ms);
	fine &= measure(500, true, &many_ms);
	printf("ten times as much takes %.1f times as long\n", many_ms / few_ms);
	return fine ? 0 : 1;
}
