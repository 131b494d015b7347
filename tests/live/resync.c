/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * After a loss the ledger is made equal to the kernel, whatever it was that the hooks did not see: the return of a call,
 * the end of a socket that no file led to. Each case makes one such thing, then a full ring, and waits for the resync.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/lib/net.h"
#include "live/lib/tap.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define TRACKED_MAX 65536 /* of bpf/portlog.bpf.h */
#define N_CROWD 74000
#define CROWD_PARTS 4 /* processes: one may not have so many files */
#define OP_BIND 56    /* of include/uapi/linux/io_uring.h, 6.11 */
#define URING_PORT 24101
#define VXLAN_PORT 24102
#define PATIENCE_MS 20000
#define FLOOD_PORT 24100
#define FLOOD_BINDS 4000 /* two records each: more than the ring below holds */

struct seen {
	unsigned begun, corrected; /* bind or snapshot; a snapshot told by a resync */
	unsigned released;
	unsigned removed; /* a release told by a resync */
};

static struct seen seen[65536];
static uint64_t lost, resyncs;
static uint64_t map_lost, map_lines; /* where: map */

static void fold(const struct event *e)
{
	struct seen *s = &seen[json_number_at(e->root, "socket.port") & 0xffff];
	bool corrects = !strcmp(json_text_at(e->root, "correction"), "true");
	const char *action = json_text_at(e->root, "action");

	s->begun += !strcmp(action, "bind") || !strcmp(action, "snapshot");
	s->corrected += !strcmp(action, "snapshot") && corrects;
	s->released += !strcmp(action, "release");
	s->removed += !strcmp(action, "release") && corrects;
	resyncs += !strcmp(action, "resync");
	if (!strcmp(action, "lost"))
		lost += json_number_at(e->root, "count");
	if (strcmp(json_text_at(e->root, "where"), "map") != 0)
		return;
	map_lost += json_number_at(e->root, "count");
	map_lines++;
}

static bool resynced(void)
{
	return lost && resyncs;
}

static bool uring_ended(void)
{
	return seen[URING_PORT].released;
}

/* false: it did not come. */
static bool read_until(struct tracer *tracer, bool (*done)(void))
{
	uint64_t deadline = now_ms() + PATIENCE_MS;
	struct event e;

	while (!done()) {
		if (tracer_next(tracer, deadline, &e) != TRACER_EVENT)
			return false;
		fold(&e);
		event_done(&e);
	}
	return true;
}

static int socket_at(int type, unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return bind(fd, (struct sockaddr *)&to, sizeof(to)) ? -errno : fd;
}

/* More than the ring holds while nobody reads it; then the loss is told, and the resync. */
static bool lose_something(struct tracer *tracer)
{
	int status;

	lost = resyncs = 0;
	kill(tracer->pid, SIGSTOP);
	waitpid(tracer->pid, &status, WUNTRACED);
	for (unsigned i = 0; i < FLOOD_BINDS; i++)
		close(socket_at(SOCK_DGRAM, FLOOD_PORT));
	kill(tracer->pid, SIGCONT);
	return read_until(tracer, resynced);
}

/* ---- the return of a call ---- */

/* A bind by io_uring that asks for no completion: nothing says that it returned. True: it was done. */
static bool bind_unseen(int fd, unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct io_uring_params p = { 0 };
	int ring = (int)syscall(SYS_io_uring_setup, 8, &p);
	struct sockaddr_in has = { 0 };
	socklen_t len = sizeof(has);
	struct io_uring_sqe *sqes;
	char *sq;

	if (ring < 0)
		return false;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED,
		  ring, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, p.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		    IORING_OFF_SQES);
	if (sq == MAP_FAILED || sqes == MAP_FAILED)
		tap_bail("mmap of an io_uring: %s", strerror(errno));
	sqes[0] = (struct io_uring_sqe){ .opcode = OP_BIND,
					 .flags = IOSQE_CQE_SKIP_SUCCESS,
					 .fd = fd,
					 .addr = (uintptr_t)&to,
					 .addr2 = sizeof(to) };
	*(unsigned *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	(void)syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0);
	close(ring);
	return !getsockname(fd, (struct sockaddr *)&has, &len) && has.sin_port == to.sin_port;
}

static void case_return_unseen(struct tracer *tracer)
{
	static const char name[] =
		"a bind whose return was not seen is told by the resync, once, and its end";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!bind_unseen(fd, URING_PORT)) {
		tap_skip(name, "io_uring has no bind here");
		close(fd);
		return;
	}
	if (!lose_something(tracer))
		tap_note("no loss, or no resync, was told");
	close(fd);
	(void)read_until(tracer, uring_ended);
	tap_result(seen[URING_PORT].begun == 1 && seen[URING_PORT].released == 1, "%s", name);
	tap_note("begun %u (by a resync %u), released %u", seen[URING_PORT].begun, seen[URING_PORT].corrected,
		 seen[URING_PORT].released);
}

/* ---- the end of a socket ---- */

static bool vxlan_ended(void)
{
	return seen[VXLAN_PORT].released;
}

static bool vxlan_begun(void)
{
	return seen[VXLAN_PORT].begun;
}

/* Not every ip (busybox has one) can say which port. */
static bool kernel_has_udp(unsigned port)
{
	struct net_list list;
	bool found = false;

	if (!net_list(&list))
		for (size_t i = 0; i < list.n; i++)
			found = found || (list.rows[i].udp && list.rows[i].port == port);
	net_list_done(&list);
	return found;
}

/* A VXLAN device takes a UDP port by a socket of the kernel. With the tracepoint hooks its end is not seen. */
static void case_end_unseen(struct tracer *tracer)
{
	static const char name[] = "the end of a kernel's socket that was not seen is told by the resync";

	if (system("ip link add vx0 type vxlan id 7 dstport 24102 local 127.0.0.1 2> /dev/null && "
		   "ip link set vx0 up 2> /dev/null") ||
	    !kernel_has_udp(VXLAN_PORT)) {
		tap_skip(name, "ip makes no VXLAN device here");
		return;
	}
	(void)read_until(tracer, vxlan_begun);
	if (!lose_something(tracer) || seen[VXLAN_PORT].released)
		tap_note("released while it was there, or no resync was told");
	(void)!system("ip link del vx0");
	if (!vxlan_ended() && !lose_something(tracer))
		tap_note("no loss, or no resync, was told");
	(void)read_until(tracer, vxlan_ended);
	tap_result(seen[VXLAN_PORT].begun == 1 && seen[VXLAN_PORT].released == 1, "%s", name);
	tap_note("begun %u, released %u (by a resync %u)", seen[VXLAN_PORT].begun, seen[VXLAN_PORT].released,
		 seen[VXLAN_PORT].removed);
}

/* ---- a full map ---- */

/* Its sockets are open until the pipe ends. */
static void crowd_part(unsigned part, int until)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char byte;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + part);
	for (unsigned i = 0; i < N_CROWD / CROWD_PARTS; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		to.sin_port = htons((uint16_t)(1024 + i));
		if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)))
			_exit(1);
	}
	_exit(read(until, &byte, 1) != 0);
}

static bool all_counted(void)
{
	return map_lost >= N_CROWD - TRACKED_MAX;
}

static uint64_t expected;

static bool as_expected(void)
{
	return map_lost >= expected;
}

/* One more that finds no room, and the line that counts it: in turns, so that the reader is not busy elsewhere. */
static void drop_one(struct tracer *tracer)
{
	expected++;
	close(socket_at(SOCK_DGRAM, FLOOD_PORT));
	(void)read_until(tracer, as_expected);
}

static void case_map_full(struct tracer *tracer)
{
	static const char name[] = "a full map: every socket beyond it is counted, in few lines";
	struct rlimit files = { N_CROWD / CROWD_PARTS + 100, N_CROWD / CROWD_PARTS + 100 };
	uint64_t begin;
	int until[2];

	if (setrlimit(RLIMIT_NOFILE, &files) || pipe(until)) {
		tap_skip(name, "no right to open so many files");
		return;
	}
	for (unsigned i = 0; i < CROWD_PARTS; i++) {
		if (fork())
			continue;
		close(until[1]);
		crowd_part(i, until[0]);
	}
	(void)read_until(tracer, all_counted);
	tap_note("%ju counted of %u, in %ju lines", (uintmax_t)map_lost, N_CROWD - TRACKED_MAX,
		 (uintmax_t)map_lines);
	expected = map_lost;
	drop_one(tracer);
	map_lines = 0;
	begin = now_ms();
	while (now_ms() < begin + 2000)
		drop_one(tracer);
	tap_result(map_lost == expected && map_lines <= 25, "%s", name);
	tap_note("then %ju lines in 2 s", (uintmax_t)map_lines);
	close(until[1]);
	for (unsigned i = 0; i < CROWD_PARTS; i++)
		wait(NULL);
}

/* ---- the whole ---- */

static void start_portlog(struct tracer *tracer, const char *ring)
{
	char inode[16];
	const char *args[] = { "trace", "-j",  "--ring", ring, "--hooks", getenv("HOOKS") ?: "auto",
			       "netns", inode, NULL };
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

static void stop_portlog(struct tracer *tracer)
{
	if (tracer_stop(tracer))
		tap_note("portlog did not end with status 0");
	tracer_done(tracer);
}

int main(void)
{
	struct tracer tracer;

	if (geteuid())
		return tap_skip_all("needs root");
	if (net_new_namespace())
		tap_bail("a network namespace of our own: %s", strerror(errno));
	start_portlog(&tracer, "256K");
	case_return_unseen(&tracer);
	case_end_unseen(&tracer);
	stop_portlog(&tracer);
	start_portlog(&tracer, "8M");
	case_map_full(&tracer);
	stop_portlog(&tracer);
	return tap_end();
}
