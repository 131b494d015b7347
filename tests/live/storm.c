/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Binds by explicit port at full speed: what portlog told and what it said that it lost are what was made, and its
 * ledger is right again after the resync. STORM_BINDS says how many (default 1,000,000).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/net.h"
#include "live/lib/tap.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define BARRIER_PORT 20000
#define DEFAULT_RING "8M"
#define SMALL_RING "256K" /* too small for what comes: what is lost must be said */
#define BARRIERS 2
#define LISTEN_PORT 20001
#define FILLS_SMALL_RING 4000 /* binds */
#define FIELDS "action,errno,socket_id,port,count,lost_action,correction"

/* Counted by looking at bytes alone: a line is as long as it must be, and its order is the table's. */
struct told {
	uint64_t binds, releases; /* as they happened */
	uint64_t failed;          /* and were tried again: see bench_retries() */
	uint64_t retried;         /* by the makers' own count */
	uint64_t added, removed;  /* corrections */
	uint64_t lost_binds, lost_releases;
	uint64_t lost; /* of any kind */
	unsigned lost_since_resync;
	unsigned n_resyncs;
	uint64_t held[65536]; /* id of the socket on each port, by what was told */
	bool barrier_gone;
	char first_bad[256];
};

/* The number after @key; 0 when it is not there. */
static uint64_t number_after(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static bool is_action(const char *line, const char *action)
{
	const char *at = strstr(line, "\"action\":\"");

	return at && !strncmp(at + 10, action, strlen(action)) && at[10 + strlen(action)] == '"';
}

/* With nothing lost there is a bind before each release, and a release before the next bind. */
static void check_held(struct told *t, bool fine, const char *what, const char *line)
{
	if (!fine && !t->lost && !*t->first_bad)
		snprintf(t->first_bad, sizeof(t->first_bad), "%s: %s", what, line);
}

static uint64_t *held_by(struct told *t, const char *line)
{
	uint64_t port = number_after(line, "\"port\":");

	return &t->held[port < 65536 ? port : 0];
}

static void count_taken(struct told *t, const char *line)
{
	uint64_t *held = held_by(t, line);

	check_held(t, !*held, "taken, but it is held", line);
	*held = number_after(line, "\"id\":");
}

/* A release whose bind was lost is told all the same: it is of nobody that we know. */
static void count_gone(struct told *t, const char *line)
{
	uint64_t *held = held_by(t, line);
	bool known = *held && *held == number_after(line, "\"id\":");

	check_held(t, known, "released, but not held", line);
	if (known)
		*held = 0;
	if (held == &t->held[BARRIER_PORT])
		t->barrier_gone = true;
}

static void count_lost(struct told *t, const char *line)
{
	uint64_t n = number_after(line, "\"count\":");

	t->lost += n;
	if (strstr(line, "\"lost_action\":\"bind\""))
		t->lost_binds += n;
	if (strstr(line, "\"lost_action\":\"release\""))
		t->lost_releases += n;
	t->lost_since_resync++;
}

static void count_line(struct told *t, const char *line)
{
	bool correction = strstr(line, "\"correction\":true");

	if (strstr(line, "\"errno\":")) {
		t->failed++;
	} else if (is_action(line, "bind") || is_action(line, "snapshot")) {
		*(correction || is_action(line, "snapshot") ? &t->added : &t->binds) += 1;
		count_taken(t, line);
	} else if (is_action(line, "release")) {
		*(correction ? &t->removed : &t->releases) += 1;
		count_gone(t, line);
	} else if (is_action(line, "lost")) {
		count_lost(t, line);
	} else if (is_action(line, "resync")) {
		t->lost_since_resync = 0;
		t->n_resyncs++;
	}
}

static bool read_until_quiet(struct tracer *tracer, struct told *t)
{
	size_t len;
	char *line;

	while (!t->barrier_gone || t->lost_since_resync) {
		line = tracer_line(tracer, now_ms() + 3 * TRACER_TIMEOUT_MS, &len);
		if (!line)
			return false;
		count_line(t, line);
	}
	return true;
}

static void start_portlog(struct tracer *tracer, const char *ring, int cpu)
{
	char inode[16];
	const char *args[] = { "trace",  "-j", "-F",    FIELDS, "--hooks", getenv("HOOKS") ?: "auto",
			       "--ring", ring, "netns", inode,  NULL };
	auto_free char *said = NULL;
	int status;

	snprintf(inode, sizeof(inode), "%u", net_namespace_inode());
	if (tracer_start_on(tracer, bench_portlog(), args, cpu, -1))
		tap_bail("cannot start portlog");
	if (tracer_read_until(tracer, "\"action\":\"synced\"", now_ms() + TRACER_TIMEOUT_MS))
		return;
	status = tracer_wait(tracer);
	said = tracer_stderr(tracer);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3) {
		said[strcspn(said, "\n")] = '\0';
		printf("1..0 # SKIP needs BPF: %s\n", said);
		exit(0);
	}
	tap_bail("portlog did not get to synced: %s", said);
}

/* The makers, the barrier when they are done, and a few sockets left open before: all in a process of its own. */
static pid_t start_makers(unsigned n_makers, unsigned binds_each)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	bench_bind_from(n_makers, binds_each);
	bench_bind(BARRIER_PORT, 1, 1);
	_exit(0);
}

static bool ledger_is_right(const struct told *t)
{
	auto_free bool *in_kernel = calloc(65536, sizeof(*in_kernel));
	struct net_list kernel;
	bool right = true;

	if (!in_kernel || net_list(&kernel))
		return false;
	for (size_t i = 0; i < kernel.n; i++)
		in_kernel[kernel.rows[i].port] = true;
	for (unsigned port = 0; port < 65536 && right; port++) {
		right = !!t->held[port] == in_kernel[port];
		if (!right)
			tap_note("port %u: %s, but not %s", port,
				 in_kernel[port] ? "in the kernel's list" : "told",
				 in_kernel[port] ? "told" : "in the kernel's list");
	}
	net_list_done(&kernel);
	return right;
}

static void show(const struct told *t)
{
	tap_note(
		"binds %ju (%ju lost; %ju failed of %ju), releases %ju (%ju lost), all lost %ju, corrections +%ju -%ju, resyncs %u",
		(uintmax_t)t->binds, (uintmax_t)t->lost_binds, (uintmax_t)t->failed, (uintmax_t)t->retried,
		(uintmax_t)t->releases, (uintmax_t)t->lost_releases, (uintmax_t)t->lost, (uintmax_t)t->added,
		(uintmax_t)t->removed, t->n_resyncs);
}

/* @return what was told; the caller frees it. */
static struct told *run(unsigned n_makers, unsigned binds_each, const char *ring, int portlog_cpu)
{
	struct told *t = calloc(1, sizeof(*t));
	uint64_t before = bench_retries();
	struct tracer tracer;
	pid_t makers;

	if (!t)
		abort();
	start_portlog(&tracer, ring, portlog_cpu);
	makers = start_makers(n_makers, binds_each);
	if (!read_until_quiet(&tracer, t))
		tap_note("the end was not told");
	waitpid(makers, NULL, 0);
	/* A socket that was closed while the resync passed over the descriptors is let go when the pass is over. */
	t->barrier_gone = false;
	bench_bind(BARRIER_PORT, 1, 1);
	if (!read_until_quiet(&tracer, t))
		tap_note("what came after the resync was not told");
	t->retried = bench_retries() - before;
	tap_result(ledger_is_right(t) && !*t->first_bad, "%u makers: the ledger is right at the end",
		   n_makers);
	tap_note_text(t->first_bad);
	show(t);
	tracer_stop(&tracer);
	tracer_done(&tracer);
	return t;
}

static void storm(unsigned n, const char *ring)
{
	uint64_t made = n / 2 * 2 + BARRIERS;
	struct told *t = run(2, n / 2, ring, -1);

	tap_result(
		t->binds + t->failed + t->lost_binds == made + t->retried &&
			t->releases + t->lost_releases == made,
		"%u binds from both processors, a ring of %s: told and lost are what was made, kind by kind",
		n, ring);
	free(t);
}

static void one_producer(unsigned n)
{
	uint64_t made = n + BARRIERS;
	struct told *t = run(1, n, DEFAULT_RING, 1);

	tap_result(t->binds == made && t->releases == made && !t->lost && t->failed == t->retried,
		   "one producer: nothing is lost of %u binds", n);
	free(t);
}

/* Lines until @action on LISTEN_PORT comes by, which it leaves in @ret (an empty text: it did not). */
static void await_line(struct tracer *tracer, const char *action, char *ret, size_t size)
{
	size_t len;
	char *line;

	*ret = '\0';
	while ((line = tracer_line(tracer, now_ms() + TRACER_TIMEOUT_MS, &len))) {
		if (number_after(line, "\"port\":") != LISTEN_PORT || !is_action(line, action))
			continue;
		snprintf(ret, size, "%s", line);
		return;
	}
}

/* The reader stands still until the ring is full: so the listen, and nothing else that matters, finds no room. */
static void lost_listen(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(LISTEN_PORT),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char bound[512], listened[512];
	struct tracer tracer;

	start_portlog(&tracer, SMALL_RING, -1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		tap_bail("bind: %s", strerror(errno));
	await_line(&tracer, "bind", bound, sizeof(bound));
	kill(tracer.pid, SIGSTOP);
	bench_bind(2000, 1000, FILLS_SMALL_RING);
	if (listen(fd, 1))
		tap_bail("listen: %s", strerror(errno));
	kill(tracer.pid, SIGCONT);
	await_line(&tracer, "listen", listened, sizeof(listened));
	tap_result(*bound && strstr(listened, "\"correction\":true") &&
			   number_after(listened, "\"id\":") == number_after(bound, "\"id\":"),
		   "a listen that was lost is told by the resync");
	tap_note("%s", listened);
	tracer_stop(&tracer);
	tracer_done(&tracer);
	close(fd);
}

int main(void)
{
	unsigned n = (unsigned)atoi(getenv("STORM_BINDS") ?: "1000000");

	if (geteuid())
		return tap_skip_all("needs root");
	if (net_new_namespace())
		tap_bail("a network namespace of our own: %s", strerror(errno));
	storm(n, DEFAULT_RING);
	storm(n / 4, SMALL_RING);
	one_producer(n / 4);
	lost_listen();
	return tap_end();
}
