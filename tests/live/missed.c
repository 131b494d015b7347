/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel skips a program while another runs on that processor, or while somebody reads a map there
 * (bpf_disable_instrumentation() in kernel/bpf/syscall.c). Here the ends of bind and listen are skipped on purpose: what is
 * open is told all the same, once, and so is its end.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/lib/net.h"
#include "live/lib/tap.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define N_SOCKETS 100
#define UDP_PORT 24000
#define TCP_PORT 25000
#define HOG_BYTES (8u << 20)
#define PACE_NS 2000000 /* so that the hog is in the middle of something when we wake */
#define PATIENCE_MS 20000

/* One port of ours, by what was told of it. */
struct told {
	unsigned begun;    /* bind, or snapshot */
	unsigned listened; /* listen, or snapshot */
	unsigned released;
};

struct story {
	struct told ports[65536];
	uint64_t missed;
	bool bad;
};

/* ---- making them missed ---- */

static void one_processor(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		tap_bail("sched_setaffinity: %s", strerror(errno));
}

/* Reads a map with one big value, again and again: no program of a tracepoint runs here meanwhile. */
static void hog(void)
{
	union bpf_attr map = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = HOG_BYTES, .max_entries = 1
	};
	int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)), key = 0;
	union bpf_attr look = { .map_fd = (__u32)fd, .key = (uintptr_t)&key };

	look.value = (uintptr_t)malloc(HOG_BYTES);
	setpriority(PRIO_PROCESS, 0, 5);
	while (!syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &look, sizeof(look)))
		;
	_exit(1);
}

static int bind_one(int type, unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) || (type == SOCK_STREAM && listen(fd, 5)))
		tap_bail("bind, listen: %s", strerror(errno));
	return fd;
}

static void bind_all(int *fds)
{
	const struct itimerspec pace = { { .tv_nsec = PACE_NS }, { .tv_nsec = PACE_NS } };
	auto_close int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t turns;

	timerfd_settime(timer, 0, &pace, NULL);
	for (unsigned i = 0; i < N_SOCKETS; i++) {
		if (read(timer, &turns, sizeof(turns)) != sizeof(turns))
			tap_bail("a timer: %s", strerror(errno));
		fds[i] = bind_one(SOCK_DGRAM, UDP_PORT + i);
		fds[N_SOCKETS + i] = bind_one(SOCK_STREAM, TCP_PORT + i);
	}
}

/* False: this process may not push the hog off the processor. */
static bool bind_under_hog(int *fds)
{
	struct sched_param first = { .sched_priority = 1 }, none = { 0 };
	pid_t child;

	one_processor();
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		return false;
	child = fork();
	if (!child) {
		sched_setscheduler(0, SCHED_OTHER, &none);
		hog();
	}
	bind_all(fds);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	sched_setscheduler(0, SCHED_OTHER, &none);
	return true;
}

/* ---- what is told ---- */

static void fold(struct story *s, const struct event *e)
{
	struct told *t = &s->ports[json_number_at(e->root, "socket.port") & 0xffff];
	const char *action = json_text_at(e->root, "action");
	bool snapshot = !strcmp(action, "snapshot");

	if (!strcmp(action, "lost") && !strcmp(json_text_at(e->root, "where"), "hook"))
		s->missed += json_number_at(e->root, "count");
	t->begun += snapshot || !strcmp(action, "bind");
	t->listened += snapshot || !strcmp(action, "listen");
	t->released += !strcmp(action, "release");
}

static bool all_open(const struct story *s)
{
	for (unsigned i = 0; i < N_SOCKETS; i++)
		if (!s->ports[UDP_PORT + i].begun || !s->ports[TCP_PORT + i].listened)
			return false;
	return true;
}

static bool all_released(const struct story *s)
{
	for (unsigned i = 0; i < N_SOCKETS; i++)
		if (!s->ports[UDP_PORT + i].released || !s->ports[TCP_PORT + i].released)
			return false;
	return true;
}

static void read_until(struct tracer *tracer, struct story *s, bool (*done)(const struct story *s))
{
	uint64_t deadline = now_ms() + PATIENCE_MS;
	enum tracer_next next = TRACER_EVENT;
	struct event e;

	while (!done(s) && next == TRACER_EVENT) {
		next = tracer_next(tracer, deadline, &e);
		if (next != TRACER_EVENT)
			break;
		fold(s, &e);
		event_done(&e);
	}
	if (next == TRACER_BAD)
		tap_note("bad line: %s", tracer->why);
	s->bad = s->bad || next == TRACER_BAD || next == TRACER_EOF;
}

static unsigned count_untold(const struct story *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_SOCKETS; i++)
		n += !s->ports[UDP_PORT + i].begun + !s->ports[TCP_PORT + i].listened;
	return n;
}

static unsigned count_doubles(const struct story *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_SOCKETS; i++) {
		const struct told *udp = &s->ports[UDP_PORT + i], *tcp = &s->ports[TCP_PORT + i];

		n += udp->begun > 1 || udp->released > 1 || tcp->begun > 1 || tcp->released > 1;
	}
	return n;
}

static void start_portlog(struct tracer *tracer)
{
	char inode[16];
	const char *args[] = { "trace", "-j", "--hooks", getenv("HOOKS") ?: "auto", "netns", inode, NULL };
	auto_free char *said = NULL;

	snprintf(inode, sizeof(inode), "%u", net_namespace_inode());
	if (tracer_start(tracer, getenv("PORTLOG") ?: "build/portlog", args))
		tap_bail("cannot start portlog");
	if (tracer_read_until(tracer, "\"action\":\"synced\"", now_ms() + TRACER_TIMEOUT_MS))
		return;
	said = tracer_stderr(tracer);
	if (WEXITSTATUS(tracer_stop(tracer)) == 3) {
		said[strcspn(said, "\n")] = '\0';
		printf("1..0 # SKIP needs BPF: %s\n", said);
		exit(0);
	}
	tap_bail("portlog did not get to synced: %s", said);
}

int main(void)
{
	static const char open_told[] =
		"sockets whose bind or listen was not seen to return are told while they are open";
	static const char end_told[] = "and each of them once, and its end";
	static int fds[2 * N_SOCKETS];
	static struct story s;
	struct tracer tracer;

	if (geteuid())
		return tap_skip_all("needs root");
	if (net_new_namespace())
		tap_bail("a network namespace of our own: %s", strerror(errno));
	start_portlog(&tracer);
	if (!bind_under_hog(fds))
		return tap_skip_all("needs root that may use SCHED_FIFO");
	read_until(&tracer, &s, all_open);
	if (!s.missed && all_open(&s)) {
		tap_skip(open_told, "the kernel skipped nothing");
	} else {
		tap_result(all_open(&s), "%s", open_told);
		tap_note("%ju runs skipped; %u of %u calls never told", (uintmax_t)s.missed, count_untold(&s),
			 2 * N_SOCKETS);
	}
	for (unsigned i = 0; i < 2 * N_SOCKETS; i++)
		close(fds[i]);
	read_until(&tracer, &s, all_released);
	tap_result(all_released(&s) && !count_doubles(&s) && !s.bad, "%s", end_told);
	tap_note("%u told twice", count_doubles(&s));
	if (tracer_stop(&tracer))
		tap_note("portlog did not end with status 0");
	tracer_done(&tracer);
	return tap_end();
}
