/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * portlog wait with real sockets in a namespace of the test's own: as root, woken by the tracer, as root without it, and
 * as nobody. wait [PORTLOG [--must-start]].
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/net.h"
#include "live/lib/tap.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define NOBODY 65534
#define ARGS_MAX 16
#define STATUS_TIMEOUT 124
#define ROUNDS 60 /* of a bind right after a port was called free */
#define LATENCIES 15
#define LATENCY_MS 50.0 /* a few, where nothing else runs */
#define LATE_NS 3000000000ull

static char portlog[256]; /* where everybody may run it */
static uint16_t port = 21200;

/* ---- running it ---- */

enum privilege { ROOT, NO_BPF, UNPRIVILEGED };

static const char *const privilege_names[] = { "as root", "as root without BPF", "as nobody" };

struct waiter {
	pid_t pid;
	int out, err; /* pipes */
	char text[4096], said[4096];
	size_t text_len, said_len;
};

static void waiter_exec(enum privilege who, const char *const *args, int out, int err)
{
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(err, STDERR_FILENO);
	if (who == UNPRIVILEGED && (setgid(NOBODY) || setuid(NOBODY)))
		_exit(99);
	execv(portlog, (char *const *)args);
	_exit(98);
}

/* portlog wait -v WORDS */
static void waiter_start(struct waiter *w, enum privilege who, const char *words)
{
	const char *args[ARGS_MAX] = { "portlog", "wait", "-v" };
	char copy[256], *save, *word;
	size_t n = 3;
	int out[2], err[2];

	if (who == NO_BPF)
		args[n++] = "--no-bpf";
	snprintf(copy, sizeof(copy), "%s", words);
	for (word = strtok_r(copy, " ", &save); word && n < ARGS_MAX - 1; word = strtok_r(NULL, " ", &save))
		args[n++] = word;
	*w = (struct waiter){ 0 };
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		tap_bail("pipe: %s", strerror(errno));
	w->pid = fork();
	if (w->pid == 0)
		waiter_exec(who, args, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	w->out = out[0];
	w->err = err[0];
}

/* One read of either pipe. false: both are at their end, or time is up. */
static bool waiter_read(struct waiter *w)
{
	struct pollfd p[2] = { { .fd = w->out, .events = POLLIN }, { .fd = w->err, .events = POLLIN } };
	char *const text[2] = { w->text, w->said };
	size_t *const len[2] = { &w->text_len, &w->said_len };
	int *const fd[2] = { &w->out, &w->err };

	if ((w->out < 0 && w->err < 0) || poll(p, 2, TRACER_TIMEOUT_MS) <= 0)
		return false;
	for (int i = 0; i < 2; i++) {
		ssize_t n = p[i].revents ? read(*fd[i], text[i] + *len[i], sizeof(w->text) - 1 - *len[i]) : 1;

		if (n <= 0) {
			close(*fd[i]);
			*fd[i] = -1;
		} else if (p[i].revents) {
			*len[i] += (size_t)n;
		}
	}
	return true;
}

/* Until it says so: hooks are there, or a netlink socket is. */
static void waiter_is_ready(struct waiter *w, const char *how)
{
	char line[64];

	snprintf(line, sizeof(line), "waiting by %s\n", how);
	while (!strstr(w->said, line)) {
		if (!waiter_read(w))
			tap_bail("no '%s' in %s", line, w->said);
	}
}

/* The wait status; what it said is in text and said. */
static int waiter_end(struct waiter *w)
{
	int status = -1;

	while (waiter_read(w))
		;
	if (w->out >= 0 || w->err >= 0) {
		tap_note("it does not end: killed");
		kill(w->pid, SIGKILL);
	}
	(void)waitpid(w->pid, &status, 0);
	return status;
}

static bool waiter_runs(const struct waiter *w)
{
	return waitpid(w->pid, NULL, WNOHANG) == 0;
}

static bool ended_with(const struct waiter *w, int status, int want)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == want)
		return true;
	tap_note("status %x, not %d", (unsigned)status, want);
	tap_note_text(w->text);
	tap_note_text(w->said);
	return false;
}

static int waiter_run(struct waiter *w, enum privilege who, const char *words)
{
	waiter_start(w, who, words);
	return waiter_end(w);
}

__attribute__((format(printf, 1, 2))) static const char *words(const char *fmt, ...)
{
	static char text[4][256];
	static unsigned at;
	char *out = text[at++ % 4];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out, sizeof(text[0]), fmt, ap);
	va_end(ap);
	return out;
}

static bool contains(const char *text, const char *part)
{
	if (strstr(text, part))
		return true;
	tap_note("no '%s' in '%s'", part, text);
	return false;
}

/* ---- sockets ---- */

static int try_bind(int type, const char *addr, unsigned at)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)at) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, addr, &a.sin_addr);
	if (!bind(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	close(fd);
	return -1;
}

static int must_bind(int type, const char *addr, unsigned at)
{
	int fd = try_bind(type, addr, at);

	if (fd < 0)
		tap_bail("bind %s:%u: %s", addr, at, strerror(errno));
	return fd;
}

static int must_listen(const char *addr, unsigned at)
{
	int fd = must_bind(SOCK_STREAM, addr, at);

	if (listen(fd, 8))
		tap_bail("listen: %s", strerror(errno));
	return fd;
}

/* Both kinds of wildcard, as whoever starts a server does, without any option. */
static bool can_bind(int type, unsigned at)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)at) };
	auto_close int v6 = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
	auto_close int v4 = try_bind(type, "0.0.0.0", at);
	int error = errno;

	if (v4 < 0) {
		tap_note("bind of 0.0.0.0:%u right after: %s", at, strerror(error));
		return false;
	}
	close(take_fd(v4));
	if (v6 >= 0 && bind(v6, (struct sockaddr *)&a, sizeof(a))) {
		tap_note("bind of [::]:%u right after: %s", at, strerror(errno));
		return false;
	}
	return true;
}

struct pair {
	int listener, client, child;
};

static struct pair connection(unsigned at)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)at),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct pair p = { .listener = must_listen("0.0.0.0", at) };

	p.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(p.client, (struct sockaddr *)&a, sizeof(a)))
		tap_bail("connect: %s", strerror(errno));
	p.child = accept4(p.listener, NULL, NULL, SOCK_CLOEXEC);
	return p;
}

/* A reset takes the connection away at once, without TIME_WAIT. */
static void reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* ---- until listening ---- */

static void what_is_true_already(enum privilege who)
{
	struct waiter w;
	auto_close int tcp = must_listen("0.0.0.0", ++port);
	auto_close int udp = must_bind(SOCK_DGRAM, "127.0.0.1", port);
	int status = waiter_run(&w, who, words("%u %u/udp --timeout 0", port, port));
	bool ok = ended_with(&w, status, 0);

	ok &= contains(w.text, words("tcp 0.0.0.0:%u", port)) &&
	      contains(w.text, words("udp 127.0.0.1:%u", port));
	ok &= who == UNPRIVILEGED || contains(w.text, words("wait[%d]", getpid()));
	tap_result(ok, "%s: what is listened on already is told at once, with who", privilege_names[who]);
	(void)tcp;
	(void)udp;
}

static void nobody_listens(enum privilege who)
{
	struct waiter w;
	int status = waiter_run(&w, who, words("%u --timeout 0", ++port));
	bool ok = ended_with(&w, status, STATUS_TIMEOUT) && !w.text_len;

	ok &= contains(w.said, words("portlog: tcp %u: nobody has it\n", port));
	tap_result(ok, "%s: nobody listens: 124", privilege_names[who]);
}

static void bound_is_not_listening(enum privilege who)
{
	struct waiter w;
	auto_close int fd = must_bind(SOCK_STREAM, "127.0.0.1", ++port);
	int status = waiter_run(&w, who, words("%u --timeout 20ms", port));
	bool ok = ended_with(&w, status, STATUS_TIMEOUT) && !w.text_len;

	if (who == ROOT || net_lists_bound(++port))
		ok &= contains(w.said, "nobody listens there, but: tcp 127.0.0.1:");
	tap_result(ok, "%s: a socket that is bound does not listen", privilege_names[who]);
	(void)fd;
}

static void connected_is_not_serving(enum privilege who)
{
	struct waiter w;
	auto_close int fd = must_bind(SOCK_DGRAM, "127.0.0.1", ++port);
	struct sockaddr_in peer = { .sin_family = AF_INET,
				    .sin_port = htons(9),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	bool ok = !connect(fd, (struct sockaddr *)&peer, sizeof(peer));
	int status = waiter_run(&w, who, words("%u/udp --timeout 0", port));

	ok &= ended_with(&w, status, STATUS_TIMEOUT) && !w.text_len;
	ok &= contains(w.said, words("udp %u: nobody serves it there, but: udp 127.0.0.1:%u", port, port)) &&
	      contains(w.said, "  connected, hears its peer alone\n");
	tap_result(ok, "%s: a UDP socket that is connected does not serve its port", privilege_names[who]);
}

static const char *way_of(enum privilege who)
{
	return who == ROOT ? "events" : "poll";
}

static void a_listener_appears(enum privilege who)
{
	struct waiter w;
	auto_close int fd = -1;
	bool ok;
	int status;

	waiter_start(&w, who, words("%u", ++port));
	waiter_is_ready(&w, way_of(who));
	ok = waiter_runs(&w);
	fd = must_listen("127.0.0.1", port);
	status = waiter_end(&w);
	ok &= ended_with(&w, status, 0) && contains(w.text, words("tcp 127.0.0.1:%u", port));
	ok &= who == UNPRIVILEGED || contains(w.text, words("wait[%d]", getpid()));
	tap_result(ok, "%s: a listener that appears while it waits", privilege_names[who]);
}

static void a_udp_socket_appears(enum privilege who)
{
	struct waiter w;
	auto_close int fd = -1;
	int status;

	waiter_start(&w, who, words("%u/udp", ++port));
	waiter_is_ready(&w, way_of(who));
	fd = must_bind(SOCK_DGRAM, "0.0.0.0", port);
	status = waiter_end(&w);
	tap_result(ended_with(&w, status, 0) && contains(w.text, words("udp 0.0.0.0:%u", port)),
		   "%s: a UDP socket that appears while it waits", privilege_names[who]);
}

/* Started at the same moment, again and again: whatever the tracer's start-up does, the listener is seen. */
static void nothing_is_missed_while_it_starts(unsigned rounds)
{
	bool ok = true;

	for (unsigned i = 0; ok && i < rounds; i++) {
		struct timespec moment = { .tv_nsec = (long)i * 12000000 };
		struct waiter w;
		auto_close int fd = -1;
		int status;

		waiter_start(&w, ROOT, words("%u --timeout 20s", ++port));
		(void)nanosleep(&moment, NULL); /* another point of its start-up in each round */
		fd = must_listen("0.0.0.0", port);
		status = waiter_end(&w);
		ok &= ended_with(&w, status, 0);
	}
	tap_result(ok, "a listener is seen at whatever moment of the start it comes");
}

static void all_at_the_same_time(enum privilege who)
{
	unsigned first = ++port, second = ++port;
	struct waiter w, other;
	int one = must_listen("0.0.0.0", first), two, status;
	bool ok;

	waiter_start(&w, who, words("%u %u", first, second));
	waiter_is_ready(&w, way_of(who));
	ok = waiter_runs(&w);
	close(one);
	two = must_listen("0.0.0.0", second);
	/* Another one has seen it by now, so this one has had the time to. */
	status = waiter_run(&other, who, words("%u", second));
	ok &= ended_with(&other, status, 0) && waiter_runs(&w);
	one = must_listen("0.0.0.0", first);
	status = waiter_end(&w);
	ok &= ended_with(&w, status, 0) && contains(w.text, words(":%u", first)) &&
	      contains(w.text, words(":%u", second));
	tap_result(ok, "%s: all ports have to be listened on at the same time", privilege_names[who]);
	close(one);
	close(two);
}

static void an_address_is_meant(void)
{
	struct waiter w;
	auto_close int fd = must_listen("127.0.0.2", ++port);
	auto_close int wide = must_listen("0.0.0.0", ++port);
	bool ok;
	int status;

	status = waiter_run(&w, NO_BPF, words("127.0.0.1:%u --timeout 0", port - 1));
	ok = ended_with(&w, status, STATUS_TIMEOUT);
	status = waiter_run(&w, NO_BPF, words("127.0.0.2:%u 127.0.0.1:%u --timeout 0", port - 1, port));
	ok &= ended_with(&w, status, 0);
	status = waiter_run(&w, NO_BPF, words("[::1]:%u --timeout 0", port));
	ok &= ended_with(&w, status, STATUS_TIMEOUT);
	tap_result(ok, "an address is met by its own listener and by the wildcard of its family");
	(void)fd;
	(void)wide;
}

static void it_reacts_soon(void)
{
	double ms[LATENCIES];
	bool ok = true;

	for (unsigned i = 0; i < LATENCIES; i++) {
		struct waiter w;
		auto_close int fd = must_bind(SOCK_STREAM, "0.0.0.0", ++port);
		uint64_t begin;

		waiter_start(&w, ROOT, words("%u", port));
		waiter_is_ready(&w, "events");
		begin = now_boot_ns();
		(void)listen(fd, 8);
		ok &= ended_with(&w, waiter_end(&w), 0);
		ms[i] = (double)(now_boot_ns() - begin) / 1e6;
	}
	ok &= bench_report("from listen to the end of wait", ms, LATENCIES, "ms", LATENCY_MS);
	tap_result(ok, "as root it reacts within milliseconds");
}

/* ---- until free ---- */

/* Somebody holds the port when it starts; @let_go frees it. It has to end, not before, and bind works then. */
static bool freed(enum privilege who, int type, void (*let_go)(void *arg), void *arg, bool ready)
{
	struct waiter w;
	bool ok = true;
	uint64_t begin;
	int status;

	waiter_start(&w, who, words("%u%s --free", port, type == SOCK_DGRAM ? "/udp" : ""));
	if (ready)
		waiter_is_ready(&w, "destroy");
	ok = waiter_runs(&w);
	begin = now_boot_ns();
	let_go(arg);
	status = waiter_end(&w);
	ok &= can_bind(type, port);
	if (now_boot_ns() - begin > LATE_NS) {
		tap_note("%.1f s late", (double)(now_boot_ns() - begin) / 1e9);
		ok = false;
	}
	return ended_with(&w, status, 0) && ok && contains(w.text, words("%u  free", port));
}

static void close_one(void *arg)
{
	close(*(int *)arg);
}

static void reset_one(void *arg)
{
	reset(*(int *)arg);
}

static void a_free_port_is_free(enum privilege who)
{
	struct waiter w;
	int status;

	port++;
	status = waiter_run(&w, who, words("%u %u/udp --free --timeout 0", port, port));
	tap_result(ended_with(&w, status, 0) && can_bind(SOCK_STREAM, port) && can_bind(SOCK_DGRAM, port),
		   "%s: a free port is free at once", privilege_names[who]);
}

static void a_listener_closes(enum privilege who)
{
	bool ok = true;

	for (unsigned i = 0; ok && i < ROUNDS; i++) {
		int fd = must_listen("0.0.0.0", ++port);

		ok = freed(who, SOCK_STREAM, close_one, &fd, i % 2);
	}
	tap_result(ok, "%s: bind works right after a listener closed, %u times", privilege_names[who],
		   ROUNDS);
}

static void a_udp_socket_closes(enum privilege who)
{
	int fd = must_bind(SOCK_DGRAM, "127.0.0.1", ++port);

	tap_result(freed(who, SOCK_DGRAM, close_one, &fd, true),
		   "%s: bind works right after a UDP socket closed", privilege_names[who]);
}

/* What the kernel does not list only root sees: by the iterator, once everything else is gone. */
static void a_bound_socket_closes(enum privilege who)
{
	bool listed = net_lists_bound(++port);
	int fd;

	if (who != ROOT && !listed) {
		tap_skip("a socket that was only bound", "the kernel lists no bound sockets");
		return;
	}
	fd = must_bind(SOCK_STREAM, "127.0.0.1", ++port);
	tap_result(freed(who, SOCK_STREAM, close_one, &fd, true),
		   "%s: bind works right after a socket that was only bound closed", privilege_names[who]);
}

static void an_accepted_child_closes(enum privilege who)
{
	struct pair p = connection(++port);

	close(p.listener);
	tap_result(freed(who, SOCK_STREAM, reset_one, &p.child, true),
		   "%s: bind works right after the last accepted connection went", privilege_names[who]);
	close(p.client);
}

/* A half-closed orphan: nobody tells of its end, and its timer is the kernel's own. */
static void set_fin_timeout(const char *seconds)
{
	auto_close int fd = open("/proc/sys/net/ipv4/tcp_fin_timeout", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, seconds, strlen(seconds)) < 0)
		tap_bail("tcp_fin_timeout: %s", strerror(errno));
}

static void an_orphan_times_out(enum privilege who)
{
	struct pair p;
	struct waiter w;
	bool ok;
	int status;

	set_fin_timeout("1");
	p = connection(++port);
	close(p.listener);
	close(p.child); /* FIN_WAIT2, until the kernel gives it up */
	status = waiter_run(&w, who, words("%u --free --timeout 0", port));
	ok = ended_with(&w, status, STATUS_TIMEOUT);
	status = waiter_run(&w, who, words("%u --free --timeout 30s", port));
	ok &= ended_with(&w, status, 0) && can_bind(SOCK_STREAM, port);
	tap_result(ok, "%s: bind works when a half-closed connection has run out", privilege_names[who]);
	set_fin_timeout("60");
	close(p.client);
}

/* SOCK_DESTROY of the socket with local port @at and peer port @peer: also ends a TIME_WAIT. */
static int destroy(unsigned at, unsigned peer)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} q = {
		.head = { .nlmsg_len = sizeof(q),
			  .nlmsg_type = SOCK_DESTROY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.req = { .sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 0xffffffff },
	};
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	char answer[512] __attribute__((aligned(8)));

	q.req.id.idiag_sport = htons((uint16_t)at);
	q.req.id.idiag_dport = htons((uint16_t)peer);
	q.req.id.idiag_src[0] = q.req.id.idiag_dst[0] = htonl(INADDR_LOOPBACK);
	q.req.id.idiag_cookie[0] = q.req.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (send(fd, &q, sizeof(q), 0) < 0 || recv(fd, answer, sizeof(answer), 0) < 0)
		return -errno;
	return ((const struct nlmsgerr *)NLMSG_DATA(answer))->error;
}

static void a_time_wait_ends(enum privilege who)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	struct pair p = connection(++port);
	struct waiter w;
	int status, r;
	bool ok;

	(void)getsockname(p.client, (struct sockaddr *)&peer, &len);
	close(p.listener);
	close(p.child);
	close(p.client); /* now the server's side is in TIME_WAIT */
	waiter_start(&w, who, words("%u --free", port));
	waiter_is_ready(&w, "destroy");
	ok = waiter_runs(&w) && (try_bind(SOCK_STREAM, "127.0.0.1", port) < 0);
	r = destroy(port, ntohs(peer.sin_port));
	if (r) {
		kill(w.pid, SIGTERM);
		(void)waiter_end(&w);
		tap_skip("a TIME_WAIT that ends", "the kernel has no SOCK_DESTROY");
		return;
	}
	status = waiter_end(&w);
	tap_result(ok && ended_with(&w, status, 0) && can_bind(SOCK_STREAM, port),
		   "%s: bind works when TIME_WAIT has ended", privilege_names[who]);
}

static void what_is_in_the_way_is_told(enum privilege who)
{
	auto_close int fd = must_listen("0.0.0.0", ++port);
	struct waiter w;
	int status = waiter_run(&w, who, words("%u --free --timeout 10ms", port));
	bool ok = ended_with(&w, status, STATUS_TIMEOUT) && !w.text_len;

	ok &= contains(w.said, words("portlog: tcp %u: held by ", port));
	ok &= who == UNPRIVILEGED || contains(w.said, words("wait[%d], listening", getpid()));
	tap_result(ok, "%s: who is in the way is told after the time is up", privilege_names[who]);
	(void)fd;
}

static void another_address_is_not_in_the_way(void)
{
	auto_close int fd = must_listen("127.0.0.1", ++port), other = -1;
	struct waiter w;
	int status = waiter_run(&w, NO_BPF, words("127.0.0.2:%u --free --timeout 0", port));
	bool ok = ended_with(&w, status, 0);

	other = try_bind(SOCK_STREAM, "127.0.0.2", port);
	ok &= other >= 0;
	status = waiter_run(&w, NO_BPF, words("127.0.0.1:%u --free --timeout 0", port));
	ok &= ended_with(&w, status, STATUS_TIMEOUT) && (try_bind(SOCK_STREAM, "127.0.0.1", port) < 0);
	tap_result(ok, "only what shares the address is in the way");
	(void)fd;
}

/* A server that closes thousands of connections: none of them is ours, and none is waited for. */
static void a_busy_server_next_door(void)
{
	int fd = must_listen("0.0.0.0", ++port);
	struct waiter w;
	bool ok;
	int status;

	waiter_start(&w, NO_BPF, words("%u --free", port));
	waiter_is_ready(&w, "destroy");
	(void)kill(w.pid, SIGSTOP);
	(void)bench_bind(30000, 100, 5000);
	close(fd);
	(void)kill(w.pid, SIGCONT);
	status = waiter_end(&w);
	ok = ended_with(&w, status, 0) && can_bind(SOCK_STREAM, port);
	tap_result(ok, "5,000 closes that it could not read meanwhile do no harm");
}

/* ---- how it ends ---- */

static void signals_end_it(enum privilege who, bool is_free)
{
	static const int signals[] = { SIGTERM, SIGINT };
	auto_close int fd = must_listen("0.0.0.0", ++port);
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct waiter w;

		waiter_start(&w, who, is_free ? words("%u --free", port) : words("%u", port + 1));
		waiter_is_ready(&w, is_free ? "destroy" : way_of(who));
		kill(w.pid, signals[i]);
		ok &= ended_with(&w, waiter_end(&w), 128 + signals[i]) && !w.text_len;
	}
	port++;
	tap_result(ok, "%s: a signal ends it with 128 and its number%s", privilege_names[who],
		   is_free ? ", --free" : "");
	(void)fd;
}

static void json_is_one_object(enum privilege who)
{
	auto_close int fd = must_listen("0.0.0.0", ++port);
	bool ok = true;

	for (size_t i = 0; i < 2; i++) {
		struct waiter w;
		struct json_doc *doc;
		const char *why = NULL;
		int status = waiter_run(&w, who, words("%u -j --timeout 0%s", port, i ? " --free" : ""));

		ok &= ended_with(&w, status, i ? STATUS_TIMEOUT : 0);
		doc = json_parse(w.text, strcspn(w.text, "\n"), &why);
		ok &= doc && !strcmp(json_text_at(json_root(doc), "schema"), "portlog.wait/1") &&
		      !strcmp(json_text_at(json_root(doc), "result"), i ? "timeout" : "met");
		json_free(doc);
	}
	tap_result(ok, "%s: with -j there is one JSON object, however it ends", privilege_names[who]);
	(void)fd;
}

static void another_namespace(void)
{
	auto_close int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	auto_close int fd = -1;
	uint32_t there;
	struct waiter w;
	pid_t lodger;
	bool ok;

	if (net_new_namespace())
		tap_bail("a network namespace: %s", strerror(errno));
	there = net_namespace_inode();
	fd = must_listen("0.0.0.0", ++port);
	lodger = fork(); /* where nobody lives cannot be found */
	if (lodger == 0) {
		pause();
		_exit(0);
	}
	(void)setns(home, 0);
	ok = ended_with(&w, waiter_run(&w, ROOT, words("%u --timeout 0", port)), STATUS_TIMEOUT);
	ok &= ended_with(&w, waiter_run(&w, ROOT, words("%u --timeout 0 -N %u", port, there)), 0);
	ok &= ended_with(&w, waiter_run(&w, ROOT, words("%u --timeout 0 --free -N %u", port, there)),
			 STATUS_TIMEOUT);
	ok &= ended_with(&w, waiter_run(&w, ROOT, words("%u --timeout 0 -N no-such-name", port)), 2);
	kill(lodger, SIGKILL);
	(void)waitpid(lodger, NULL, 0);
	tap_result(ok, "-N waits in another network namespace");
}

/* The build may lie where nobody can go. */
static void copy_for_everybody(const char *from)
{
	auto_close int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	struct stat st;

	snprintf(portlog, sizeof(portlog), "/tmp/portlog-wait-%d", getpid());
	out = open(portlog, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (in < 0 || out < 0 || fstat(in, &st))
		tap_bail("copy %s: %s", from, strerror(errno));
	for (off_t at = 0; at < st.st_size;)
		if (sendfile(out, in, &at, (size_t)(st.st_size - at)) <= 0)
			tap_bail("copy %s: %s", from, strerror(errno));
	(void)fchmod(out, 0755);
}

static bool can_trace(void)
{
	struct waiter w;

	waiter_start(&w, ROOT, words("%u --timeout 60s", ++port));
	while (!strstr(w.said, "events\n") && !strstr(w.said, "poll: ") && waiter_read(&w))
		;
	kill(w.pid, SIGTERM);
	(void)waiter_end(&w);
	if (strstr(w.said, "events\n"))
		return true;
	tap_note_text(w.said);
	return false;
}

static void everything(enum privilege who)
{
	what_is_true_already(who);
	nobody_listens(who);
	bound_is_not_listening(who);
	connected_is_not_serving(who);
	a_listener_appears(who);
	a_udp_socket_appears(who);
	all_at_the_same_time(who);
	a_free_port_is_free(who);
	a_listener_closes(who);
	a_udp_socket_closes(who);
	a_bound_socket_closes(who);
	an_accepted_child_closes(who);
	an_orphan_times_out(who);
	a_time_wait_ends(who);
	what_is_in_the_way_is_told(who);
	signals_end_it(who, false);
	signals_end_it(who, true);
	json_is_one_object(who);
}

int main(int argc, char **argv)
{
	bool must_start = argc > 2 && !strcmp(argv[2], "--must-start");

	if (geteuid())
		return tap_skip_all("needs root");
	if (net_new_namespace())
		tap_bail("a network namespace of our own: %s", strerror(errno));
	copy_for_everybody(argc > 1 ? argv[1] : bench_portlog());
	if (can_trace()) {
		everything(ROOT);
		nothing_is_missed_while_it_starts(must_start ? 2
							     : 12); /* emulated machines take their time */
		if (!must_start)
			it_reacts_soon();
	} else if (must_start) {
		tap_result(false, "portlog can trace here");
	} else {
		tap_skip("everything as root, woken by the tracer", "needs BPF: portlog cannot trace here");
	}
	everything(NO_BPF);
	everything(UNPRIVILEGED);
	an_address_is_meant();
	another_address_is_not_in_the_way();
	a_busy_server_next_door();
	another_namespace();
	(void)unlink(portlog);
	return tap_end();
}
