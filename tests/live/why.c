/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `portlog why` on ports that are held for real: it names the kind and the process, its remedy is carried out, and then
 * the bind that failed works. What it calls free is bound.
 *
 *	why [--portlog PATH] [--tee FILE]
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

#include "live/lib/json.h"
#include "live/lib/net.h"
#include "live/lib/tap.h"
#include "util/cleanup.h"

#define OUTPUT_MAX (1 << 16)
#define PEER_PORT 1999
#define NOBODY 65534

static const char *portlog = "build/portlog";

/* ---- asking ---- */

struct reply {
	struct json_doc *doc;
	const struct json *root;
	int status;
	char text[OUTPUT_MAX];
};

static FILE *copy; /* every line told, for the schema */

/* The first line of "why -j --hints @words"; @as: uid to run as, 0 root. */
static void ask(struct reply *r, uid_t as, const char *words)
{
	const char *why = "no output";
	char command[512];
	size_t n;
	FILE *f;

	if (as)
		snprintf(command, sizeof(command),
			 "setpriv --clear-groups --reuid %u %s why -j --hints %s 2>/dev/null", as, portlog,
			 words);
	else
		snprintf(command, sizeof(command), "%s why -j --hints %s 2>/dev/null", portlog, words);
	f = popen(command, "re");
	n = f ? fread(r->text, 1, sizeof(r->text) - 1, f) : 0;
	r->text[n] = '\0';
	r->status = f ? WEXITSTATUS(pclose(f)) : -1;
	if (copy)
		fputs(r->text, copy);
	r->doc = json_parse(r->text, strcspn(r->text, "\n"), &why);
	r->root = r->doc ? json_root(r->doc) : NULL;
	if (!r->doc)
		tap_bail("%s: %s: %s", command, why, r->text);
}

static void reply_done(struct reply *r)
{
	r->doc = json_free(r->doc);
}

static bool says(const struct reply *r, const char *path, const char *text)
{
	return !strcmp(json_text_at(r->root, path), text);
}

static void report(bool ok, const struct reply *r, const char *name)
{
	tap_result(ok, "%s", name);
	if (!ok)
		tap_note_text(r->text);
}

/* ---- binding ---- */

#define REUSE 1
#define SHARE 2
#define LISTEN 4
#define UDP 8
#define SIX 16

static int opened(int how)
{
	int fd = socket(how & SIX ? AF_INET6 : AF_INET, how & UDP ? SOCK_DGRAM : SOCK_STREAM, 0), on = 1;

	if (fd < 0)
		tap_bail("socket: %s", strerror(errno));
	if (how & REUSE)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (how & SHARE)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	return fd;
}

/* 0 or errno of bind, or of listen. */
static int bound(int fd, const char *addr, uint16_t port, int how)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool is6 = how & SIX;
	int r;

	inet_pton(AF_INET, addr && !is6 ? addr : "0.0.0.0", &four.sin_addr);
	inet_pton(AF_INET6, addr && is6 ? addr : "::", &six.sin6_addr);
	r = is6 ? bind(fd, (struct sockaddr *)&six, sizeof(six))
		: bind(fd, (struct sockaddr *)&four, sizeof(four));
	if (!r && how & LISTEN)
		r = listen(fd, 8);
	return r ? errno : 0;
}

/* What the kernel says to such a bind; the socket is closed again. */
static int tried(const char *addr, uint16_t port, int how)
{
	int fd = opened(how), error = bound(fd, addr, port, how);

	close(fd);
	return error;
}

/* ---- holders: children that make a situation, say so, and wait ---- */

typedef void (*hold_fn)(uint16_t port);

static int ready_fd, wait_fd; /* in a child */

static void ready(void)
{
	char byte = 'r';

	if (write(ready_fd, &byte, 1) != 1)
		_exit(1);
	close(ready_fd);
}

static void await_word(void)
{
	char byte;

	while (read(wait_fd, &byte, 1) < 0 && errno == EINTR)
		;
}

struct child {
	pid_t pid;
	int word; /* writing to it wakes the child */
};

static struct child held_by(hold_fn fn, uint16_t port)
{
	struct child c;
	int up[2], down[2];
	char byte;

	if (pipe2(up, O_CLOEXEC) || pipe2(down, O_CLOEXEC))
		tap_bail("pipe: %s", strerror(errno));
	fflush(stdout);
	c.pid = fork();
	if (!c.pid) {
		ready_fd = up[1];
		wait_fd = down[0];
		close(up[0]);
		close(down[1]);
		fn(port);
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	if (read(up[0], &byte, 1) != 1)
		tap_bail("a holder of port %u did not get it", port);
	close(up[0]);
	c.word = down[1];
	return c;
}

static void child_wake(const struct child *c)
{
	if (write(c->word, "w", 1) != 1)
		tap_bail("wake a child: %s", strerror(errno));
}

static void child_end(struct child *c)
{
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	close(c->word);
}

static void must(bool ok)
{
	if (!ok)
		_exit(1);
}

static int bound_or_exit(const char *addr, uint16_t port, int how)
{
	int fd = opened(how);

	must(!bound(fd, addr, port, how));
	return fd;
}

static void hold_listener(uint16_t port)
{
	bound_or_exit(NULL, port, LISTEN | REUSE);
	ready();
	await_word();
}

static void hold_bound(uint16_t port)
{
	bound_or_exit(NULL, port, 0);
	ready();
	await_word();
}

static void hold_bound_reuse(uint16_t port)
{
	bound_or_exit(NULL, port, REUSE);
	ready();
	await_word();
}

static void hold_udp(uint16_t port)
{
	bound_or_exit("127.0.0.1", port, UDP);
	ready();
	await_word();
}

static void hold_six(uint16_t port)
{
	bound_or_exit(NULL, port, SIX | LISTEN);
	ready();
	await_word();
}

static void hold_shared(uint16_t port)
{
	bound_or_exit(NULL, port, SHARE | LISTEN);
	ready();
	await_word();
}

static void hold_shutdown(uint16_t port)
{
	shutdown(bound_or_exit(NULL, port, LISTEN), SHUT_RDWR);
	ready();
	await_word();
}

/* The one that bound it ends, its child goes on: nobody saw that, so it is a listener of the child's. */
static void hold_inherited(uint16_t port)
{
	bound_or_exit(NULL, port, LISTEN);
	if (fork())
		_exit(0);
	ready();
	await_word();
}

/* The port is held until both are gone. */
static void hold_forked(uint16_t port)
{
	pid_t pid;

	bound_or_exit(NULL, port, 0);
	pid = fork();
	must(pid >= 0);
	if (pid)
		ready();
	await_word();
}

/* Two processes with a socket each, both in the way of the wildcard. */
static void hold_apart(uint16_t port)
{
	int turn[2];
	char byte;
	pid_t pid;

	must(!pipe2(turn, O_CLOEXEC));
	pid = fork();
	must(pid >= 0);
	if (pid) {
		bound_or_exit("127.0.0.1", port, LISTEN);
		must(write(turn[1], "t", 1) == 1);
	} else {
		must(read(turn[0], &byte, 1) == 1);
		bound_or_exit("127.0.0.2", port, LISTEN);
		ready();
	}
	await_word();
}

/* The only descriptor is in a message; the word lets the receiver read it, which is closed then. */
static void hold_in_flight(uint16_t port)
{
	int fd = bound_or_exit(NULL, port, LISTEN), pair[2];
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && sendmsg(pair[0], &m, 0) == 1);
	close(fd);
	ready();
	await_word();
	close(pair[0]);
	close(pair[1]);
}

static int connected(uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(!connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	return fd;
}

static void connection(uint16_t port, int how, int *ret_client, int *ret_child)
{
	int listener = bound_or_exit("127.0.0.1", port, LISTEN | how);

	*ret_client = connected(port);
	*ret_child = accept(listener, NULL, NULL);
	must(*ret_child >= 0);
	close(listener);
}

/* What it has not read makes its end a reset, which leaves no TIME_WAIT behind. */
static void hold_accepted(uint16_t port)
{
	int client, child;

	connection(port, 0, &client, &child);
	must(write(client, "unread", 6) == 6);
	ready();
	await_word();
}

static void hold_accepted_reuse(uint16_t port)
{
	int client, child;

	connection(port, REUSE, &client, &child);
	ready();
	await_word();
}

static void hold_time_wait(uint16_t port)
{
	int client, child;
	char byte;

	connection(port, REUSE, &client, &child);
	close(child);
	while (read(client, &byte, 1) > 0)
		;
	close(client);
	ready();
	await_word();
}

static void range_set(unsigned low, unsigned high)
{
	int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && dprintf(fd, "%u %u\n", low, high) > 0);
	close(fd);
}

/* A client that the kernel gave this port; the other end lets go first, so that no TIME_WAIT stays here. */
static void hold_client(uint16_t port)
{
	int listener = bound_or_exit("127.0.0.1", PEER_PORT, LISTEN | REUSE), client, peer;
	char byte;

	range_set(port, port);
	client = connected(PEER_PORT);
	range_set(61000, 64999);
	peer = accept(listener, NULL, NULL);
	must(peer >= 0);
	close(peer);
	while (read(client, &byte, 1) > 0)
		;
	ready();
	await_word();
}

static void hold_elsewhere(uint16_t port)
{
	must(!net_new_namespace());
	hold_listener(port);
}

/* Under the name and with the arguments of a proxy. */
static void hold_proxy(uint16_t port)
{
	char text[8];

	bound_or_exit(NULL, port, LISTEN);
	snprintf(text, sizeof(text), "%u", port);
	fcntl(ready_fd, F_SETFD, 0);
	fcntl(wait_fd, F_SETFD, 0);
	setenv("WHY_READY", (char[]){ (char)('0' + ready_fd / 10), (char)('0' + ready_fd % 10), '\0' }, 1);
	setenv("WHY_WAIT", (char[]){ (char)('0' + wait_fd / 10), (char)('0' + wait_fd % 10), '\0' }, 1);
	execl("/tmp/portlog-why/docker-proxy", "docker-proxy", "-proto", "tcp", "-host-ip", "0.0.0.0",
	      "-host-port", text, "-container-ip", "172.31.255.9", "-container-port", "80", (char *)NULL);
}

/* ---- situations that a kill ends, as the hint says ---- */

static const struct situation {
	const char *name;
	uint16_t port;
	hold_fn hold;
	int how; /* the bind that must fail, and work afterwards */
	const char *kind;
	const char *words; /* beside the port */
} situations[] = {
	{ "a listener", 3000, hold_listener, REUSE, "listener", "3000/tcp" },
	{ "a bound socket", 3001, hold_bound, REUSE, "bound", "3001/tcp" },
	{ "a bound UDP socket", 3002, hold_udp, REUSE | UDP, "listener", "3002/udp" },
	{ "a listener that was shut down", 3003, hold_shutdown, REUSE, "shutdown", "3003/tcp" },
	{ "an inherited listener", 3004, hold_inherited, REUSE, "listener", "3004/tcp" },
	{ "accepted connections", 3005, hold_accepted, REUSE, "accepted", "3005/tcp" },
	{ "a client", 3006, hold_client, REUSE, "client", "3006/tcp" },
	{ "a socket of two processes", 3008, hold_forked, REUSE, "bound", "3008/tcp" },
	{ "two sockets of two processes", 3009, hold_apart, REUSE, "listener", "3009/tcp" },
	{ "[::] for 0.0.0.0", 3007, hold_six, REUSE, "listener", "-4 3007/tcp" },
};

#define KILLED_MAX 8

/* "... kill 123 124 ...": the processes to be ended; 0: the hint says something else. */
static size_t kill_of(const char *hint, pid_t ret[KILLED_MAX])
{
	const char *at = strstr(hint, "kill ");
	size_t n = 0;
	int pid, len;

	for (at = at ? at + strlen("kill") : ""; n < KILLED_MAX && sscanf(at, " %d%n", &pid, &len) == 1;
	     at += len)
		ret[n++] = pid;
	return n;
}

static void await_gone(pid_t pid)
{
	while (!kill(pid, 0) && waitpid(pid, NULL, WNOHANG) >= 0)
		;
	/* A process that is not ours: its sockets are closed before its pid goes. */
	while (!kill(pid, 0))
		;
}

static void situation_play(const struct situation *s)
{
	struct child c = held_by(s->hold, s->port);
	struct reply r;
	pid_t pids[KILLED_MAX];
	char name[128];
	size_t n;
	bool ok;

	ask(&r, 0, s->words);
	n = kill_of(json_text_at(r.root, "binds.0.hint"), pids);
	ok = says(&r, "binds.0.bind", "no") && says(&r, "binds.0.errno", "EADDRINUSE") && r.status == 0 &&
	     says(&r, "binds.0.reason_code", s->kind) && says(&r, "binds.0.holders.0.kind", s->kind) && n &&
	     pids[0] > 1 && json_number_at(r.root, "binds.0.holders.0.pid") == (uint64_t)pids[0] &&
	     tried(NULL, s->port, s->how) == EADDRINUSE;
	snprintf(name, sizeof(name), "%s: why names it, and bind fails", s->name);
	report(ok, &r, name);
	reply_done(&r);

	for (size_t i = 0; i < n; i++)
		if (pids[i] > 1)
			kill(pids[i], SIGKILL);
	for (size_t i = 0; i < n; i++)
		if (pids[i] > 1)
			await_gone(pids[i]);
	ask(&r, 0, s->words);
	snprintf(name, sizeof(name), "%s: its remedy is carried out, and bind works", s->name);
	report(n && says(&r, "binds.0.bind", "yes") && r.status == 1 &&
		       !tried(NULL, s->port, s->how | LISTEN * !(s->how & UDP)),
	       &r, name);
	reply_done(&r);
	child_end(&c);
}

/* ---- situations with remedies of their own ---- */

static void in_flight_play(void)
{
	struct child c = held_by(hold_in_flight, 3100);
	struct reply r;

	ask(&r, 0, "3100/tcp");
	report(says(&r, "binds.0.holders.0.kind", "in-flight") && says(&r, "binds.0.bind", "no") &&
		       strstr(json_text_at(r.root, "binds.0.hint"), "receiver") &&
		       tried(NULL, 3100, REUSE) == EADDRINUSE,
	       &r, "a descriptor in a message: why says so, and bind fails");
	reply_done(&r);
	child_wake(&c);
	waitpid(c.pid, NULL, 0);
	ask(&r, 0, "3100/tcp");
	report(says(&r, "binds.0.bind", "yes") && !tried(NULL, 3100, REUSE | LISTEN), &r,
	       "a descriptor in a message: the receiver closes, and bind works");
	reply_done(&r);
	close(c.word);
}

static void reuse_play(const char *name, const char *kind, hold_fn hold, uint16_t port)
{
	struct child c = held_by(hold, port);
	char words[32];
	struct reply r;

	snprintf(words, sizeof(words), "%u/tcp", port);
	ask(&r, 0, words);
	report(says(&r, "binds.0.holders.0.kind", kind) && says(&r, "binds.0.bind", "yes") &&
		       says(&r, "binds.0.without_reuseaddr.bind", "no") && r.status == 1 &&
		       strstr(json_text_at(r.root, "binds.0.hint"), "SO_REUSEADDR before bind") &&
		       tried(NULL, port, 0) == EADDRINUSE && !tried(NULL, port, REUSE | LISTEN),
	       &r, name);
	reply_done(&r);
	child_end(&c);
}

static void race_play(void)
{
	struct child c = held_by(hold_bound_reuse, 3101);
	struct reply r;

	ask(&r, 0, "3101/tcp");
	report(says(&r, "binds.0.bind", "yes") && says(&r, "binds.0.race", "true") &&
		       !tried(NULL, 3101, REUSE | LISTEN),
	       &r, "two sockets with SO_REUSEADDR: bind works, and why says that the second listen fails");
	reply_done(&r);
	child_end(&c);
}

static void shared_play(void)
{
	struct child c = held_by(hold_shared, 3102);
	struct reply r;

	ask(&r, 0, "3102/tcp");
	report(says(&r, "binds.0.bind", "no") && says(&r, "binds.0.with_reuseport.bind", "yes") &&
		       tried(NULL, 3102, REUSE) == EADDRINUSE && !tried(NULL, 3102, SHARE | LISTEN),
	       &r, "a group with SO_REUSEPORT: with it bind works");
	reply_done(&r);
	child_end(&c);
}

static void elsewhere_play(void)
{
	struct child c = held_by(hold_elsewhere, 3103);
	struct reply r;

	ask(&r, 0, "3103/tcp");
	report(says(&r, "binds.0.bind", "yes") &&
		       json_number_at(r.root, "elsewhere.0.pid") == (uint64_t)c.pid && r.status == 1 &&
		       !tried(NULL, 3103, LISTEN),
	       &r, "a holder in another namespace: no clash, and bind works");
	reply_done(&r);
	child_end(&c);
}

static void free_play(void)
{
	struct reply r;

	ask(&r, 0, "3104/tcp");
	report(says(&r, "binds.0.bind", "yes") && says(&r, "binds.1.bind", "yes") && r.status == 1 &&
		       !tried(NULL, 3104, LISTEN) && !tried(NULL, 3104, LISTEN | SIX),
	       &r, "a free port is bound");
	reply_done(&r);
}

static bool shell(const char *command)
{
	return system(command) == 0;
}

static void kernel_play(void)
{
	const char *name = "a socket of the kernel: why says so; without the tunnel bind works";
	struct reply r;
	bool ok;

	if (!shell("ip link add why0 type vxlan id 7 dev lo dstport 4789 2>/dev/null && ip link set why0 up")) {
		tap_skip(name, "no vxlan here");
		return;
	}
	ask(&r, 0, "4789/udp");
	ok = says(&r, "binds.0.holders.0.kind", "kernel") && says(&r, "binds.0.bind", "no") &&
	     strstr(json_text_at(r.root, "binds.0.hint"), "ip -d link") &&
	     tried(NULL, 4789, UDP) == EADDRINUSE;
	ok = ok && shell("ip link del why0") && !tried(NULL, 4789, UDP);
	report(ok, &r, name);
	reply_done(&r);
}

static int tried_as(uid_t uid, uint16_t port)
{
	int error;

	if (seteuid(uid))
		tap_bail("seteuid: %s", strerror(errno));
	error = tried(NULL, port, REUSE);
	if (seteuid(0))
		tap_bail("seteuid: %s", strerror(errno));
	return error;
}

/* Who gets around the first refusal meets the second. */
static void low_and_taken(void)
{
	int fd = opened(LISTEN);
	struct reply r;
	bool ok;

	must(!bound(fd, NULL, 88, LISTEN));
	ask(&r, 0, "--user 65534 88/tcp");
	ok = says(&r, "binds.0.errno", "EACCES") && says(&r, "binds.0.with_privilege.errno", "EADDRINUSE") &&
	     json_number_at(r.root, "binds.0.holders.0.pid") == (uint64_t)getpid() &&
	     tried_as(NOBODY, 88) == EACCES;
	must(shell("echo 88 > /proc/sys/net/ipv4/ip_unprivileged_port_start"));
	report(ok && tried_as(NOBODY, 88) == EADDRINUSE, &r, "a low port that is taken: both are said");
	reply_done(&r);
	close(fd);
	must(shell("echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start"));
	ask(&r, 0, "--user 65534 88/tcp");
	report(says(&r, "binds.0.errno", "EACCES") && says(&r, "binds.0.with_privilege.bind", "yes"), &r,
	       "a low port that is not taken: with the capability bind works");
	reply_done(&r);
}

static void low_and_time_wait(void)
{
	struct child c = held_by(hold_time_wait, 87);
	struct reply r;

	ask(&r, 0, "--user 65534 87/tcp");
	report(says(&r, "binds.0.errno", "EACCES") && says(&r, "binds.0.with_privilege.bind", "yes") &&
		       says(&r, "binds.0.holders.0.kind", "time-wait") && !tried(NULL, 87, REUSE) &&
		       tried(NULL, 87, 0) == EADDRINUSE,
	       &r, "a low port in TIME_WAIT: with the capability and SO_REUSEADDR bind works");
	reply_done(&r);
	child_end(&c);
}

static void low_port_play(void)
{
	struct reply r;

	ask(&r, 0, "--user 65534 88/tcp");
	report(says(&r, "binds.0.errno", "EACCES") && says(&r, "binds.0.reason_code", "low-port") &&
		       r.status == 0 &&
		       strstr(json_text_at(r.root, "binds.0.hint"), "ip_unprivileged_port_start=88") &&
		       tried_as(NOBODY, 88) == EACCES && !tried(NULL, 88, REUSE),
	       &r, "a low port: refused to a user, not to root");
	reply_done(&r);
	low_and_taken();
	low_and_time_wait();
	must(shell("echo 88 > /proc/sys/net/ipv4/ip_unprivileged_port_start"));
	ask(&r, 0, "--user 65534 88/tcp");
	report(says(&r, "binds.0.bind", "yes") && !tried_as(NOBODY, 88), &r,
	       "a low port: with the sysctl bind works");
	reply_done(&r);
}

/* The kernel asks the table of local addresses, whatever the rules say of the way there. */
static void rules_play(void)
{
	const char *name = "rules before the table local: what is an address here stays one";
	struct reply r;
	bool ok;

	if (!shell("ip addr add 10.5.0.1/32 dev lo && ip rule add pref 100 lookup local && ip rule del pref 0 && "
		   "ip rule add pref 5 to 10.5.0.0/24 prohibit 2>/dev/null")) {
		tap_skip(name, "no rules here");
		return;
	}
	ask(&r, 0, "10.5.0.1:3112/tcp");
	ok = says(&r, "binds.0.bind", "yes") && !tried("10.5.0.1", 3112, 0);
	reply_done(&r);
	ask(&r, 0, "127.9.9.9:3112/tcp");
	ok = ok && says(&r, "binds.0.bind", "yes") && !tried("127.9.9.9", 3112, 0);
	reply_done(&r);
	ask(&r, 0, "10.5.0.2:3112/tcp");
	report(ok && says(&r, "binds.0.errno", "EADDRNOTAVAIL") &&
		       tried("10.5.0.2", 3112, 0) == EADDRNOTAVAIL,
	       &r, name);
	reply_done(&r);
	must(shell("ip rule del pref 5 && ip rule add pref 0 lookup local && ip rule del pref 100"));
}

static void not_local_play(void)
{
	struct reply r;

	ask(&r, 0, "192.0.2.5:3105/tcp");
	report(says(&r, "binds.0.errno", "EADDRNOTAVAIL") && tried("192.0.2.5", 3105, 0) == EADDRNOTAVAIL &&
		       strstr(json_text_at(r.root, "binds.0.hint"), "net.ipv4.ip_nonlocal_bind=1"),
	       &r, "an address that is not there");
	reply_done(&r);
	must(shell("echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind"));
	ask(&r, 0, "192.0.2.5:3105/tcp");
	report(says(&r, "binds.0.bind", "yes") && !tried("192.0.2.5", 3105, 0), &r,
	       "an address that is not there: with the sysctl bind works");
	reply_done(&r);
}

/* What an address decides before any socket of the port is looked at: the verdict is the kernel's. */
static const struct {
	const char *words;
	int how;
	const char *addr;
	const char *error;  /* NULL: it is bound */
	const char *lifted; /* by which sysctl */
} early[] = {
	{ "0.0.0.1:3110/tcp", 0, "0.0.0.1", "EADDRNOTAVAIL", "ipv4" },
	{ "255.255.255.255:3110/udp", UDP, "255.255.255.255", NULL, "" },
	{ "224.0.0.9:3110/udp", UDP, "224.0.0.9", NULL, "" },
	{ "[ff01::9]:3110/udp", UDP | SIX, "ff01::9", "EINVAL", "" },
	{ "[ff02::9]:3110/udp", UDP | SIX, "ff02::9", "EINVAL", "" },
	{ "[ff05::9]:3110/udp", UDP | SIX, "ff05::9", NULL, "" },
	{ "[ff05::9]:3110/tcp", SIX, "ff05::9", "EINVAL", "" },
	{ "[fe80::9]:3110/tcp", SIX, "fe80::9", "EINVAL", "" },
	{ "[::ffff:192.0.2.5]:3110/tcp", SIX, "::ffff:192.0.2.5", "EADDRNOTAVAIL", "ipv4" },
	{ "[2001:db8::5]:3110/tcp", SIX, "2001:db8::5", "EADDRNOTAVAIL", "ipv6" },
};

static void sysctl_write(const char *name, const char *value)
{
	char command[128];

	snprintf(command, sizeof(command), "echo %s > /proc/sys/net/%s", value, name);
	must(shell(command));
}

static int errno_of(const char *name)
{
	return !strcmp(name, "EINVAL") ? EINVAL : EADDRNOTAVAIL;
}

static void early_play(const char *lifting)
{
	char name[128], sysctl[64];

	snprintf(sysctl, sizeof(sysctl), "%s/ip_nonlocal_bind", lifting);
	if (*lifting)
		sysctl_write(sysctl, "1");
	for (size_t i = 0; i < ARRAY_SIZE(early); i++) {
		bool lifted = *lifting && !strcmp(early[i].lifted, lifting);
		const char *error = lifted ? NULL : early[i].error;
		int found = tried(early[i].addr, 3110, early[i].how);
		struct reply r;

		ask(&r, 0, early[i].words);
		snprintf(name, sizeof(name), "%s%s%s: why says what bind does", early[i].words,
			 *lifting ? " with " : "", *lifting ? sysctl : "");
		report(error ? says(&r, "binds.0.errno", error) && found == errno_of(error)
			     : says(&r, "binds.0.bind", "yes") && !found,
		       &r, name);
		reply_done(&r);
	}
	if (*lifting)
		sysctl_write(sysctl, "0");
}

static void v6only_by_default_play(void)
{
	struct child c = held_by(hold_listener, 3111);
	struct reply r;

	sysctl_write("ipv6/bindv6only", "1");
	ask(&r, 0, "-6 3111/tcp");
	report(says(&r, "binds.0.bind", "yes") && !tried("::", 3111, SIX | REUSE | LISTEN), &r,
	       "bindv6only=1: [::] beside 0.0.0.0");
	reply_done(&r);
	ask(&r, 0, "[::ffff:127.0.0.1]:3112/tcp");
	report(says(&r, "binds.0.errno", "EINVAL") && tried("::ffff:127.0.0.1", 3112, SIX) == EINVAL, &r,
	       "bindv6only=1: no mapped address");
	reply_done(&r);
	sysctl_write("ipv6/bindv6only", "0");
	ask(&r, 0, "-6 3111/tcp");
	report(says(&r, "binds.0.errno", "EADDRINUSE") && tried("::", 3111, SIX | REUSE) == EADDRINUSE, &r,
	       "bindv6only=0: 0.0.0.0 is in the way of [::]");
	reply_done(&r);
	child_end(&c);
}

/* As root of a user namespace that does not own the network namespace. 77: there can be none. */
static int lesser_root(void)
{
	char command[512];
	int map;

	if (unshare(CLONE_NEWUSER))
		return 77;
	map = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	if (map < 0 || write(map, "0 0 1", 5) != 5)
		return 77;
	if (tried(NULL, 89, REUSE) != EACCES)
		return 1;
	snprintf(command, sizeof(command), "%s why 89/tcp | grep -q 'fails with EACCES'", portlog);
	return shell(command) ? 0 : 2;
}

static void lesser_root_play(void)
{
	const char *name = "a low port: refused to root of a user namespace that does not own the network";
	pid_t pid = fork();
	int status = 0;

	if (!pid)
		_exit(lesser_root());
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		tap_skip(name, "no user namespaces here");
	else
		tap_result(!status, "%s", name);
}

static void proxy_play(void)
{
	struct child c;
	struct reply r;

	must(shell("mkdir -p /tmp/portlog-why && cp /proc/$PPID/exe /tmp/portlog-why/docker-proxy"));
	c = held_by(hold_proxy, 3106);
	ask(&r, 0, "3106/tcp");
	report(says(&r, "binds.0.bind", "no") && says(&r, "binds.0.holders.0.comm", "docker-proxy") &&
		       says(&r, "bound_for.container", "172.31.255.9"),
	       &r, "docker-proxy: why names the container that it is for");
	reply_done(&r);
	child_end(&c);
	must(shell("rm -r /tmp/portlog-why"));
}

static void unprivileged_play(void)
{
	struct child c = held_by(hold_listener, 3107), b = held_by(hold_bound, 3108);
	struct reply r;

	ask(&r, NOBODY, "3107/tcp");
	report(says(&r, "binds.0.bind", "no") && says(&r, "sees_owners", "false") &&
		       !json_at(r.root, "binds.0.holders.0.pid") &&
		       says(&r, "binds.0.holders.0.socket_uid", "0"),
	       &r, "without root: a listener is in the way, its process hidden");
	reply_done(&r);
	ask(&r, NOBODY, "3108/tcp");
	report(says(&r, "binds.0.bind", "unknown") && r.status == 0 &&
		       json_text_at(r.root, "binds.0.missing")[0] &&
		       (says(&r, "binds.0.missing", "options") || says(&r, "binds.0.missing", "sockets")),
	       &r, "without root: what depends on a hidden option is unknown, and the fact is named");
	reply_done(&r);
	ask(&r, NOBODY, "--reuseaddr no 3107/tcp");
	report(says(&r, "binds.0.bind", "no"), &r, "without root: a plain bind fails whatever the options");
	reply_done(&r);
	child_end(&c);
	child_end(&b);
}

/* ---- */

/* As docker-proxy: the socket came along, the pipes are named in the environment. */
static int be_proxy(void)
{
	const char *up = getenv("WHY_READY"), *down = getenv("WHY_WAIT");

	if (!up || !down)
		return 1;
	ready_fd = atoi(up);
	wait_fd = atoi(down);
	ready();
	await_word();
	return 0;
}

int main(int argc, char **argv)
{
	int r;

	if (argc > 0 && !strcmp(argv[0], "docker-proxy"))
		return be_proxy();
	for (int i = 1; i + 1 < argc; i += 2)
		if (!strcmp(argv[i], "--portlog"))
			portlog = argv[i + 1];
		else if (!strcmp(argv[i], "--tee"))
			copy = fopen(argv[i + 1], "we");
	if (geteuid())
		return tap_skip_all("needs root");
	r = net_new_namespace();
	if (r)
		tap_bail("new network namespace: %s", strerror(-r));
	range_set(61000, 64999);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(situations); i++)
		situation_play(&situations[i]);
	in_flight_play();
	reuse_play("TIME_WAIT: with SO_REUSEADDR bind works, without it does not", "time-wait",
		   hold_time_wait, 3110);
	reuse_play("accepted connections with SO_REUSEADDR: with it bind works", "accepted",
		   hold_accepted_reuse, 3111);
	race_play();
	shared_play();
	elsewhere_play();
	free_play();
	kernel_play();
	lesser_root_play();
	low_port_play();
	early_play("");
	early_play("ipv4");
	early_play("ipv6");
	v6only_by_default_play();
	rules_play();
	not_local_play();
	proxy_play();
	unprivileged_play();
	if (copy)
		fclose(copy);
	return tap_end();
}
