/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * portlog list against sockets of every kind, made for real in namespaces of the test's own: each is there once, with
 * what it is and all who have it open; whoever comes and goes meanwhile does no harm.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/lib/json.h"
#include "live/lib/net.h"
#include "live/lib/tap.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define STATUS_CANNOT 3
#define NOBODY 65534
#define CROWD 60      /* namespaces */
#define FEW_FILES 300 /* of which portlog keeps 256 for itself */
#define CHURN_ROUNDS 15
#define MANY_SOCKETS 300 /* of one process: more than portlog is handed at a time */
#define MANY_FILES 1100  /* and more descriptors than it looks at in one go */
#define FAR_FD 3000

enum {
	PORT_SHARED = 21001,
	PORT_BOUND,
	PORT_SHUT,
	PORT_UDP,
	PORT_V6,
	PORT_MPTCP,
	PORT_FLIGHT,
	PORT_CLIENT,
	PORT_ELSEWHERE,
	PORT_WAITING,
	PORT_NOBODYS,
	PORT_ACCEPTED,
	PORT_ORPHAN,
	PORT_SERVED,
	PORT_CONNECTED,
	PORT_CHURN,
	PORT_FAR = 22001,
	PORT_THREADS,
	PORT_MANY, /* and those behind it */
};

static char portlog[256]; /* where everybody may run it */
static pid_t shared_owners[3];
static pid_t elsewhere, nobodys;
static uint32_t own_netns, elsewhere_netns;
static unsigned client_port; /* of a connection, given by the kernel */
static bool has_mptcp;

/* ---- running it ---- */

struct listing {
	struct json_doc **docs;
	size_t n, room;
	int status; /* wait status */
	char *err;
	const char *wrong; /* a line that is no JSON; NULL: none */
};

static void listing_done(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		json_free(l->docs[i]);
	free(l->docs);
	free(l->err);
	memset(l, 0, sizeof(*l));
}

#define auto_listing __attribute__((cleanup(listing_done))) struct listing

static void listing_add(struct listing *l, struct json_doc *doc)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 256;
		l->docs = reallocarray(l->docs, l->room, sizeof(struct json_doc *));
		if (!l->docs)
			tap_bail("no memory for what is listed");
	}
	l->docs[l->n++] = doc;
}

static void list_with(struct listing *ret, const char *const *args)
{
	struct tracer t;
	size_t len;
	char *line;

	memset(ret, 0, sizeof(*ret));
	if (tracer_start(&t, portlog, args))
		tap_bail("cannot start %s", portlog);
	while ((line = tracer_line(&t, now_ms() + TRACER_TIMEOUT_MS, &len))) {
		const char *why = NULL;
		struct json_doc *doc = json_parse(line, strcspn(line, "\n"), &why);

		if (doc)
			listing_add(ret, doc);
		else
			ret->wrong = why;
	}
	ret->status = tracer_wait(&t);
	ret->err = tracer_stderr(&t);
	tracer_done(&t);
}

#define list(ret, ...) list_with(ret, (const char *const[]){ "list", "-j", ##__VA_ARGS__, NULL })

/* In one of our namespaces: others on this machine may run the same test. */
static const struct json *row(const struct listing *l, unsigned port)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct json *r = json_root(l->docs[i]);
		uint64_t netns = json_number_at(r, "socket.netns.id");

		if (json_number_at(r, "socket.port") == port &&
		    (netns == own_netns || netns == elsewhere_netns))
			return r;
	}
	return NULL;
}

static bool row_is(const struct listing *l, unsigned port, const char *path, const char *want)
{
	const struct json *r = row(l, port);

	if (r && !strcmp(json_text_at(r, path), want))
		return true;
	tap_note("port %u: %s is '%s', not '%s'", port, path, r ? json_text_at(r, path) : "(no row)", want);
	return false;
}

static bool ended_well(const struct listing *l)
{
	if (l->status == 0 && !l->wrong)
		return true;
	tap_note("status %x, %s", (unsigned)l->status, l->wrong ? l->wrong : "valid JSON");
	tap_note_text(l->err);
	return false;
}

/* ---- sockets ---- */

static int socket_at(int family, int type, int proto, const char *addr, unsigned port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	struct sockaddr *sa = family == AF_INET ? (void *)&in : (void *)&in6;
	int fd = socket(family, type | SOCK_CLOEXEC, proto), one = 1;

	if (fd < 0)
		return -1;
	inet_pton(family, addr, family == AF_INET ? (void *)&in.sin_addr : (void *)&in6.sin6_addr);
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, sa, family == AF_INET ? sizeof(in) : sizeof(in6)))
		tap_bail("bind port %u: %s", port, strerror(errno));
	return fd;
}

static int tcp_at(unsigned port)
{
	return socket_at(AF_INET, SOCK_STREAM, 0, "127.0.0.1", port);
}

static int listener_at(unsigned port)
{
	int fd = tcp_at(port);

	if (listen(fd, 8))
		tap_bail("listen at port %u: %s", port, strerror(errno));
	return fd;
}

static int connected_to(int fd, unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		tap_bail("connect to port %u: %s", port, strerror(errno));
	return fd;
}

/* A child that does @make and stays; when this returns it has done it. */
static pid_t child_with(void (*make)(void))
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC))
		tap_bail("pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (make)
			make();
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		tap_bail("a child did not come up");
	close(ready[0]);
	return pid;
}

static void child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void in_another_namespace(void)
{
	if (net_new_namespace())
		_exit(1);
	(void)listener_at(PORT_ELSEWHERE);
}

static void as_nobody(void)
{
	if (setgid(NOBODY) || setuid(NOBODY))
		_exit(1);
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* forgotten with the ids */
	(void)listener_at(PORT_NOBODYS);
}

static void send_away(int fd)
{
	static int pair[2];
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || sendmsg(pair[0], &msg, 0) != 1)
		tap_bail("send a descriptor: %s", strerror(errno));
	close(fd);
}

/* Who closes first keeps the port for a minute. */
static void leave_time_wait(void)
{
	int listener = listener_at(PORT_WAITING);
	int client = connected_to(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), PORT_WAITING);
	int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char byte;

	close(server);
	if (read(client, &byte, 1) != 0)
		tap_bail("no end of a connection");
	close(client);
	close(listener);
}

/* A connection to @port, which keeps the port when the listener is gone; *ret_client: its other end. */
static int accepted_at(int listener, unsigned port, int *ret_client)
{
	int fd;

	*ret_client = connected_to(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		tap_bail("accept at port %u: %s", port, strerror(errno));
	return fd;
}

/* Their clients stay open, and so do two of three servers. */
static void connections_make(void)
{
	int client, fd;
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	fd = listener_at(PORT_ACCEPTED);
	for (int i = 0; i < 2; i++)
		(void)accepted_at(fd, PORT_ACCEPTED, &client);
	close(fd);
	if (getsockname(client, (struct sockaddr *)&a, &len))
		tap_bail("the port of a connection: %s", strerror(errno));
	client_port = ntohs(a.sin_port);
	fd = listener_at(PORT_ORPHAN);
	close(accepted_at(fd, PORT_ORPHAN, &client));
	close(fd);
	(void)accepted_at(listener_at(PORT_SERVED), PORT_SERVED, &client);
}

static void sockets_make(void)
{
	int fd;

	(void)listener_at(PORT_SHARED);
	shared_owners[0] = getpid();
	shared_owners[1] = child_with(NULL);
	shared_owners[2] = child_with(NULL);
	elsewhere = child_with(in_another_namespace);
	nobodys = child_with(as_nobody);
	(void)tcp_at(PORT_BOUND);
	fd = listener_at(PORT_SHUT);
	shutdown(fd, SHUT_RDWR);
	(void)socket_at(AF_INET, SOCK_DGRAM, 0, "0.0.0.0", PORT_UDP);
	(void)connected_to(socket_at(AF_INET, SOCK_DGRAM, 0, "127.0.0.1", PORT_CONNECTED), PORT_UDP);
	listen(socket_at(AF_INET6, SOCK_STREAM, 0, "::", PORT_V6), 1);
	fd = socket_at(AF_INET, SOCK_STREAM, IPPROTO_MPTCP, "127.0.0.1", PORT_MPTCP);
	has_mptcp = fd >= 0 && !listen(fd, 1);
	send_away(listener_at(PORT_FLIGHT));
	(void)connected_to(tcp_at(PORT_CLIENT), PORT_SHARED);
	leave_time_wait();
	connections_make();
}

static uint32_t netns_of(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return stat(path, &st) ? 0 : (uint32_t)st.st_ino;
}

/* ---- what it wrote ---- */

static bool file_line(const char *path, const char *part)
{
	auto_fclose FILE *f = fopen(path, "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, part))
			return true;
	return false;
}

static bool __attribute__((format(printf, 2, 3))) file_has(const char *path, const char *fmt, ...)
{
	char want[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	if (file_line(path, want))
		return true;
	tap_note("%s: no '%s'", path, want);
	return false;
}

/* ---- facts ---- */

static bool has_owner(const struct json *r, pid_t pid)
{
	const struct json *owners = json_at(r, "owners");

	for (const struct json *o = owners ? owners->child : NULL; o; o = o->next)
		if (json_number_at(o, "pid") == (uint64_t)pid)
			return true;
	return false;
}

static bool shared_is_right(const struct listing *l)
{
	const struct json *r = row(l, PORT_SHARED);

	/* Those that stay have inherited it: more children came later, and have it too. */
	return r && json_number_at(r, "process.pid") == (uint64_t)shared_owners[0] &&
	       has_owner(r, shared_owners[0]) && has_owner(r, shared_owners[1]) &&
	       has_owner(r, shared_owners[2]) && json_number_at(r, "owners_count") >= 3;
}

static void kinds_are_right(const struct listing *l)
{
	tap_result(row_is(l, PORT_SHARED, "kind", "listener") && shared_is_right(l),
		   "a shared listener is listed with all who have it open, who was there first in front");
	tap_result(row_is(l, PORT_BOUND, "kind", "bound"),
		   "a socket that is bound and does not listen is listed");
	tap_result(row_is(l, PORT_SHUT, "kind", "shutdown"), "a listener after shutdown is listed as such");
	tap_result(row_is(l, PORT_UDP, "socket.proto", "udp") && row_is(l, PORT_UDP, "kind", "listener"),
		   "a UDP socket is listed");
	tap_result(row_is(l, PORT_V6, "socket.addr", "::") && row_is(l, PORT_V6, "socket.v6only", "true") &&
			   row_is(l, PORT_SHARED, "socket.reuseaddr", "true"),
		   "options are listed");
	if (has_mptcp)
		tap_result(row_is(l, PORT_MPTCP, "socket.proto", "mptcp"),
			   "an MPTCP listener is listed as such");
	else
		tap_skip("an MPTCP listener is listed as such", "this kernel has no MPTCP");
	tap_result(row_is(l, PORT_FLIGHT, "kind", "in-flight") && !json_at(row(l, PORT_FLIGHT), "process"),
		   "a listener on its way in a message is listed, and nobody has it");
	tap_result(row_is(l, PORT_CLIENT, "kind", "client"),
		   "a connection from a port of its own choice is listed");
	tap_result(row(l, PORT_ELSEWHERE) &&
			   json_number_at(row(l, PORT_ELSEWHERE), "socket.netns.id") == elsewhere_netns &&
			   json_number_at(row(l, PORT_ELSEWHERE), "process.pid") == (uint64_t)elsewhere,
		   "a listener of another network namespace is listed with its process");
	tap_result(!row(l, PORT_WAITING), "TIME_WAIT is left out");
}

static unsigned rows(const struct listing *l, unsigned port, const char *kind)
{
	unsigned n = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct json *r = json_root(l->docs[i]);

		n += json_number_at(r, "socket.netns.id") == own_netns &&
		     json_number_at(r, "socket.port") == port && !strcmp(json_text_at(r, "kind"), kind);
	}
	return n;
}

static void what_nobody_serves_any_more_is_listed(const struct listing *l)
{
	tap_result(rows(l, PORT_ACCEPTED, "accepted") == 2 &&
			   json_number_at(row(l, PORT_ACCEPTED), "process.pid") == (uint64_t)getpid(),
		   "connections of a listener that is gone are listed with their process");
	tap_result(row_is(l, PORT_ORPHAN, "kind", "accepted") && !json_at(row(l, PORT_ORPHAN), "process"),
		   "a connection that is closed and not gone yet is listed, and nobody has it");
	tap_result(!rows(l, PORT_SERVED, "accepted") && rows(l, PORT_SERVED, "listener") == 1,
		   "connections of a listener that is there are left out");
	tap_result(!row(l, client_port), "clients are left out");
}

static void nothing_twice(const struct listing *l)
{
	bool fine = true;

	for (size_t i = 0; i < l->n; i++) {
		const struct json *a = json_root(l->docs[i]);
		uint64_t inode = json_number_at(a, "socket.inode");

		for (size_t j = i + 1; j < l->n && inode; j++)
			if (json_number_at(json_root(l->docs[j]), "socket.inode") == inode) {
				tap_note("inode %" PRIu64 " twice, port %s", inode,
					 json_text_at(a, "socket.port"));
				fine = false;
			}
	}
	tap_result(fine, "no socket is listed twice");
}

static void connections_are_listed_when_asked_for(void)
{
	auto_listing all, client;
	char port[16];

	list(&all, "--all");
	tap_result(ended_well(&all) && rows(&all, PORT_ACCEPTED, "accepted") == 2 &&
			   rows(&all, PORT_ORPHAN, "accepted") == 1 &&
			   rows(&all, PORT_SERVED, "accepted") == 1 && rows(&all, client_port, "client") == 1,
		   "--all lists connections of a listener that is there, and clients");
	nothing_twice(&all);
	snprintf(port, sizeof(port), "%u", client_port);
	list(&client, port);
	tap_result(ended_well(&client) && rows(&client, client_port, "client") == 1 &&
			   json_number_at(row(&client, client_port), "process.pid") == (uint64_t)getpid(),
		   "who asks for a client's port is told of it");
}

/* As a person sees it; the output of one port. */
static void notes_say_what_it_is(void)
{
	char out[300], command[700];

	snprintf(out, sizeof(out), "%s.out", portlog);
	snprintf(command, sizeof(command), "%s list port %u,%u,%u >%s", portlog, PORT_ACCEPTED, PORT_ORPHAN,
		 PORT_CONNECTED, out);
	tap_result(!system(command) && file_has(out, "accepted, listener gone: 2 connections") &&
			   file_has(out, "closing, listener gone: 1 connection"),
		   "connections of one process are one line");
	tap_result(file_has(out, "connected"), "a bound UDP socket that is connected is said to be");
	unlink(out);
}

/* What ss and the kernel's own list have of sockets that hold a port by themselves. */
static bool is_holder(const struct net_row *r)
{
	return r->udp || r->state == 10 || r->state == 7;
}

static void all_of_the_kernels(const struct listing *l)
{
	struct net_list all = { 0 };
	bool fine = net_list(&all) == 0;

	if (all.has_no_module) {
		tap_skip("every socket of the kernel's own list is listed", "no sock_diag module");
		return;
	}
	for (size_t i = 0; i < all.n; i++) {
		bool found = !is_holder(&all.rows[i]);

		for (size_t j = 0; j < l->n && !found; j++)
			found = json_number_at(json_root(l->docs[j]), "socket.inode") == all.rows[i].inode;
		if (!found)
			tap_note("not listed: %s port %u", all.rows[i].udp ? "udp" : "tcp", all.rows[i].port);
		fine = fine && found;
	}
	net_list_done(&all);
	tap_result(fine, "every socket of the kernel's own list is listed");
}

static void time_wait_is_listed_when_asked_for(void)
{
	auto_listing l;
	const struct json *r;

	list(&l, "--all");
	r = row(&l, PORT_WAITING);
	tap_result(ended_well(&l) && row_is(&l, PORT_WAITING, "kind", "time-wait") &&
			   json_text_at(r, "expires")[0] && !json_at(r, "process"),
		   "--all lists TIME_WAIT, and when it ends");
}

static void filters_pick(void)
{
	auto_listing one, none;
	char inode[16];

	snprintf(inode, sizeof(inode), "%u", own_netns);
	list(&one, "port", "21001", "netns", inode);
	tap_result(ended_well(&one) && one.n == 1 && row(&one, PORT_SHARED), "a filter picks one port");
	list(&none, "21099");
	tap_result(WIFEXITED(none.status) && WEXITSTATUS(none.status) == 1 && none.n == 0 &&
			   strstr(none.err, "nothing matches"),
		   "that nothing matches is said, and is status 1");
}

/* ---- with less ---- */

static void without_bpf(void)
{
	auto_listing l;

	list(&l, "--no-bpf");
	tap_result(ended_well(&l) && shared_is_right(&l) && row(&l, PORT_UDP) && row(&l, PORT_V6) &&
			   row(&l, PORT_FLIGHT) && row_is(&l, PORT_SHARED, "via", "netlink") &&
			   rows(&l, PORT_ACCEPTED, "accepted") == 2 &&
			   rows(&l, PORT_ORPHAN, "accepted") == 1 && !rows(&l, PORT_SERVED, "accepted") &&
			   !row(&l, client_port) && row(&l, PORT_ELSEWHERE) &&
			   json_number_at(row(&l, PORT_ELSEWHERE), "process.pid") == (uint64_t)elsewhere,
		   "without BPF, sock_diag and /proc know the listeners and their owners");
}

/* In a child that is nobody, with what @before makes of it: what list says then, by pipe. 0: it ended well. */
static int as_nobody_run(int (*before)(void), const char *out)
{
	pid_t pid = fork();
	int status, fd;

	if (!pid) {
		if (before && before())
			_exit(77);
		fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		if (fd < 0 || setgid(NOBODY) || setuid(NOBODY) || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
			_exit(78);
		execl(portlog, "portlog", "list", "-F", "port,pid,comm", NULL);
		_exit(79);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void unprivileged(const char *name, int (*before)(void))
{
	char out[300];
	int r;

	snprintf(out, sizeof(out), "%s.out", portlog);
	r = as_nobody_run(before, out);
	if (r == 77)
		tap_skip(name, "cannot be made here");
	else
		tap_result(r == 0 && file_has(out, "21005  -") && file_has(out, "21011  %d", nobodys) &&
				   file_has(out, "as root"),
			   "%s", name);
	unlink(out);
}

static int proc_hides(void)
{
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("proc", "/proc", "proc", 0, "hidepid=2");
}

static void alone_in_a_namespace(void)
{
	if (unshare(CLONE_NEWNET))
		_exit(1);
}

static void more_namespaces_than_files(void)
{
	struct rlimit before, few = { FEW_FILES, FEW_FILES };
	pid_t crowd[CROWD];
	auto_listing l;

	for (size_t i = 0; i < CROWD; i++)
		crowd[i] = child_with(alone_in_a_namespace);
	getrlimit(RLIMIT_NOFILE, &before);
	setrlimit(RLIMIT_NOFILE, &few);
	list(&l);
	few = before;
	setrlimit(RLIMIT_NOFILE, &few);
	tap_result(
		ended_well(&l) && strstr(l.err, "network namespaces") && shared_is_right(&l) &&
			row(&l, PORT_ELSEWHERE),
		"more namespaces than open files: what has an owner is listed, what is not looked at is said");
	for (size_t i = 0; i < CROWD; i++)
		child_end(crowd[i]);
}

/*
 * Cells are as wide as the widest of their column, so numbers are compared. Somebody else may run this test: his nobody
 * is one too. 1: there is no such row.
 */
static int nobodys_row(const char *path, bool *ret_fine)
{
	auto_fclose FILE *f = fopen(path, "re");
	char line[512], pid[16] = "";
	unsigned port, uid = 0;
	bool found = false;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%u %15s %u", &port, pid, &uid) < 2 || port != PORT_NOBODYS)
			continue;
		*ret_fine = !strcmp(pid, "-") || uid == NOBODY;
		if (!*ret_fine)
			tap_note("nobody's row: %s", line);
		found = true;
		if (!*ret_fine)
			break;
	}
	return found ? 0 : 1;
}

/* Whatever cannot be opened any more: a process is left out, or named with its own user. */
static void nobody_is_root_for_want_of_files(void)
{
	unsigned listed = 0;
	bool fine = true, is_right = false;
	char out[300];

	snprintf(out, sizeof(out), "%s.out", portlog);
	for (rlim_t n = 4; n <= FEW_FILES; n++) {
		pid_t pid = fork();

		if (!pid) {
			struct rlimit few = { n, n };
			int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644);

			if (dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || setrlimit(RLIMIT_NOFILE, &few))
				_exit(78);
			close(fd);
			execl(portlog, "portlog", "list", "--no-bpf", "-F", "port,pid,uid", NULL);
			_exit(79);
		}
		waitpid(pid, NULL, 0);
		if (nobodys_row(out, &is_right))
			continue;
		listed++;
		fine = fine && is_right;
	}
	tap_result(fine && listed, "with few files to open nobody is taken for root");
	unlink(out);
}

/* Processes, sockets and namespaces that come and go as fast as they can. */
/* A table of its own, which nobody else of its process has. */
static void *thread_apart(void *ready)
{
	if (unshare(CLONE_FILES))
		_exit(1);
	(void)listener_at(PORT_THREADS);
	if (write(*(int *)ready, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
	return NULL;
}

static void with_long_tables(void)
{
	struct rlimit limit;
	pthread_t thread;
	int ready[2], fd;
	char byte;

	if (getrlimit(RLIMIT_NOFILE, &limit) || pipe2(ready, O_CLOEXEC))
		_exit(1);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		_exit(1);
	for (int i = 0; i < MANY_SOCKETS; i++)
		(void)socket_at(AF_INET, SOCK_DGRAM, 0, "127.0.0.1", PORT_MANY + (unsigned)i);
	for (int i = 0; i < MANY_FILES; i++)
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			_exit(1);
	if (pthread_create(&thread, NULL, thread_apart, &ready[1]) || read(ready[0], &byte, 1) != 1)
		_exit(1);
	fd = listener_at(PORT_FAR);
	if (dup2(fd, FAR_FD) != FAR_FD)
		_exit(1);
	close(fd);
}

static void churn(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0;; i++) {
		pid_t pid = fork();

		if (!pid) {
			if (i % 4 == 0)
				alone_in_a_namespace();
			(void)listener_at(PORT_CHURN + 1 + i % 64);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void long_tables_are_listed_to_their_end(void)
{
	pid_t pid = child_with(with_long_tables);
	bool fine = true;
	char number[16];
	auto_listing l;

	snprintf(number, sizeof(number), "%d", pid);
	list(&l, "pid", number);
	for (unsigned i = 0; i < MANY_SOCKETS && fine; i++)
		fine = row_is(&l, PORT_MANY + i, "process.pid", number);
	tap_result(
		ended_well(&l) && fine && row_is(&l, PORT_FAR, "process.pid", number) &&
			row_is(&l, PORT_THREADS, "process.pid", number),
		"a process with more sockets and descriptors than are looked at in one go is listed to its end");
	nothing_twice(&l);
	child_end(pid);
}

static void nothing_wrong_while_others_come_and_go(void)
{
	pid_t pid = fork();
	bool fine = true;

	if (!pid)
		churn();
	for (unsigned i = 0; i < CHURN_ROUNDS && fine; i++) {
		auto_listing l;

		list(&l);
		fine = ended_well(&l) && row(&l, PORT_BOUND) && row(&l, PORT_ELSEWHERE) &&
		       row(&l, PORT_SHARED) &&
		       json_number_at(row(&l, PORT_SHARED), "process.pid") == (uint64_t)shared_owners[0] &&
		       json_number_at(row(&l, PORT_ELSEWHERE), "process.pid") == (uint64_t)elsewhere;
	}
	child_end(pid);
	tap_result(fine, "what stays is listed with its owner while others come and go");
}

/* ---- all of it ---- */

/* A copy that everybody may run. */
static void program_copy(const char *from)
{
	auto_close int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	struct stat st;

	snprintf(portlog, sizeof(portlog), "/tmp/portlog-list-%d", getpid());
	out = open(portlog, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (in < 0 || out < 0 || fstat(in, &st))
		tap_bail("copy %s: %s", from, strerror(errno));
	while (sendfile(out, in, NULL, (size_t)st.st_size) > 0)
		;
	fchmod(out, 0755);
}

static bool can_run_here(void)
{
	auto_listing l;

	list(&l);
	return !(WIFEXITED(l.status) && WEXITSTATUS(l.status) == STATUS_CANNOT) &&
	       !strstr(l.err, "load the BPF iterators");
}

int main(int argc, char **argv)
{
	bool must = argc > 2 && !strcmp(argv[2], "--must-start");
	auto_listing l;

	if (geteuid() != 0)
		return tap_skip_all("needs root");
	if (net_new_namespace())
		return tap_skip_all("a network namespace of our own cannot be had");
	own_netns = net_namespace_inode();
	program_copy(argc > 1 ? argv[1] : getenv("PORTLOG") ?: "build/portlog");
	if (!must && !can_run_here()) {
		unlink(portlog);
		return tap_skip_all("BPF iterators cannot be loaded here");
	}
	sockets_make();
	elsewhere_netns = netns_of(elsewhere);
	list(&l);
	tap_result(ended_well(&l), "list ends well, and every line is JSON");
	kinds_are_right(&l);
	what_nobody_serves_any_more_is_listed(&l);
	nothing_twice(&l);
	all_of_the_kernels(&l);
	time_wait_is_listed_when_asked_for();
	connections_are_listed_when_asked_for();
	notes_say_what_it_is();
	filters_pick();
	without_bpf();
	unprivileged("without root, own processes are named, and what root would add is said", NULL);
	unprivileged("the same where /proc hides processes", proc_hides);
	long_tables_are_listed_to_their_end();
	more_namespaces_than_files();
	nobody_is_root_for_want_of_files();
	nothing_wrong_while_others_come_and_go();
	unlink(portlog);
	return tap_end();
}
