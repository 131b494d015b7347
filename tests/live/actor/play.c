/* SPDX-License-Identifier: GPL-2.0-only */
/* Small calls that say what they need of the kernel, for situations that read as a list of what happens. */
#include "live/actor/play.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/actor/board.h"
#include "util/cleanup.h"

struct board *board;
int player_line = -1;

void board_make(void)
{
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		abort();
}

void board_clear(void)
{
	memset(board, 0, sizeof(*board));
}

void give_up(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(board->story, sizeof(board->story), fmt, ap);
	va_end(ap);
	_exit(1);
}

void need(bool fine, const char *what)
{
	if (!fine)
		give_up("%s: %s", what, strerror(errno));
}

static struct note *find_note(const char *name)
{
	for (size_t i = 0; i < NOTES_MAX; i++) {
		if (!strcmp(board->notes[i].name, name))
			return &board->notes[i];
	}
	return NULL;
}

static struct note *claim_note(const char *name)
{
	struct note *n;

	while (__atomic_exchange_n(&board->lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	n = find_note(name) ?: find_note("");
	if (n)
		snprintf(n->name, sizeof(n->name), "%s", name);
	__atomic_store_n(&board->lock, 0, __ATOMIC_RELEASE);
	return n;
}

void note(const char *name, const char *fmt, ...)
{
	struct note *n = claim_note(name);
	va_list ap;

	if (!n)
		give_up("more than %d notes", NOTES_MAX);
	va_start(ap, fmt);
	vsnprintf(n->text, sizeof(n->text), fmt, ap);
	va_end(ap);
}

const char *noted(const char *name)
{
	const struct note *n = find_note(name);

	return n ? n->text : NULL;
}

/* ---- sockets ---- */

static int family_of(const char *addr)
{
	return strchr(addr, ':') ? AF_INET6 : AF_INET;
}

int new_socket(int family, int type, int proto)
{
	int fd = socket(family, type, proto);

	need(fd >= 0, "socket");
	return fd;
}

int tcp_socket(const char *addr)
{
	return new_socket(family_of(addr), SOCK_STREAM, 0);
}

int udp_socket(const char *addr)
{
	return new_socket(family_of(addr), SOCK_DGRAM, 0);
}

socklen_t make_addr(struct sockaddr_storage *ret, const char *addr, unsigned port)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = (sa_family_t)family_of(addr);
	if (ret->ss_family == AF_INET6) {
		v6->sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, addr, &v6->sin6_addr);
		return sizeof(*v6);
	}
	v4->sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, addr, &v4->sin_addr);
	return sizeof(*v4);
}

int try_bind(int fd, const char *addr, unsigned port)
{
	struct sockaddr_storage a;
	socklen_t len = make_addr(&a, addr, port);

	return bind(fd, (struct sockaddr *)&a, len) ? -errno : 0;
}

void bind_to(int fd, const char *addr, unsigned port)
{
	int r = try_bind(fd, addr, port);

	if (r)
		give_up("bind to %s port %u: %s", addr, port, strerror(-r));
}

void bind_fails(int fd, const char *addr, unsigned port, int error)
{
	int r = try_bind(fd, addr, port);

	if (r != -error)
		give_up("bind to %s port %u: got %s, needed %s", addr, port, strerrorname_np(-r),
			strerrorname_np(error));
}

void listen_on(int fd, int backlog)
{
	need(!listen(fd, backlog), "listen");
}

void listen_fails(int fd, int error)
{
	int r = listen(fd, 5) ? errno : 0;

	if (r != error)
		give_up("listen: got %s, needed %s", strerrorname_np(r), strerrorname_np(error));
}

int tcp_at(const char *addr, unsigned port)
{
	int fd = tcp_socket(addr);

	bind_to(fd, addr, port);
	return fd;
}

int udp_at(const char *addr, unsigned port)
{
	int fd = udp_socket(addr);

	bind_to(fd, addr, port);
	return fd;
}

int listener_at(const char *addr, unsigned port)
{
	int fd = tcp_at(addr, port);

	listen_on(fd, 5);
	return fd;
}

void connect_to(int fd, const char *addr, unsigned port)
{
	struct sockaddr_storage a;
	socklen_t len = make_addr(&a, addr, port);

	need(!connect(fd, (struct sockaddr *)&a, len), "connect");
}

void disconnect(int fd)
{
	struct sockaddr a = { .sa_family = AF_UNSPEC };

	need(!connect(fd, &a, sizeof(a)), "connect(AF_UNSPEC)");
}

int accept_one(int fd)
{
	int child = accept(fd, NULL, NULL);

	need(child >= 0, "accept");
	return child;
}

void set_option(int fd, int level, int option, int value)
{
	need(!setsockopt(fd, level, option, &value, sizeof(value)), "setsockopt");
}

unsigned port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	need(!getsockname(fd, (struct sockaddr *)&a, &len), "getsockname");
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
					     : ((struct sockaddr_in *)&a)->sin_port);
}

void note_cookie(const char *name, int fd)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	need(!getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), "SO_COOKIE");
	note(name, "%ju", (uintmax_t)cookie);
}

void reset_on_close(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	need(!setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), "SO_LINGER");
}

/* The raw calls: libc would change every thread, and only with its help. */
void become_user(unsigned uid)
{
	need(!syscall(SYS_setresgid, uid, uid, uid) && !syscall(SYS_setresuid, uid, uid, uid), "setresuid");
}

/* ---- what may be missing ---- */

bool kernel_says(bool (*try)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(try() ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && !status;
}

static bool binds_ipv6(void)
{
	return !try_bind(socket(AF_INET6, SOCK_STREAM, 0), "::1", 0);
}

const char *no_ipv6(void)
{
	return kernel_says(binds_ipv6) ? NULL : "no IPv6 here";
}

/* ---- processes ---- */

pid_t start_child(void (*play)(void *arg), void *arg)
{
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (pid)
		return pid;
	play(arg);
	_exit(0);
}

void end_child(pid_t pid)
{
	need(waitpid(pid, NULL, 0) == pid, "waitpid");
	if (board->story[0])
		_exit(1);
}

void become_role(const char *role, const char *const *args)
{
	const char *argv[16] = { "actor", "--role", role };

	for (size_t i = 0; args && args[i] && i + 4 < ARRAY_SIZE(argv); i++)
		argv[i + 3] = args[i];
	execv("/proc/self/exe", (char *const *)argv);
	give_up("exec: %s", strerror(errno));
}

/* Bind and be gone: nobody can look at /proc in time. */
static int role_bind(int argc, char **argv)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return argc < 1 || try_bind(fd, "127.0.0.1", (unsigned)atoi(argv[0]));
}

/* Bind, say so on one pipe, and stay until the other one says that it is enough. */
static int role_bind_and_wait(int argc, char **argv)
{
	char byte = 'x';
	int r;

	if (argc < 3)
		return 1;
	r = try_bind(socket(AF_INET, SOCK_STREAM, 0), "127.0.0.1", (unsigned)atoi(argv[0]));
	return r || write(atoi(argv[1]), &byte, 1) != 1 || read(atoi(argv[2]), &byte, 1) != 1;
}

/* Whatever was inherited is held for as long as this lives. */
static int role_hold(int argc, char **argv)
{
	(void)argv;
	return argc ? 1 : 0;
}

static const struct {
	const char *name;
	int (*play)(int argc, char **argv);
} roles[] = {
	{ "bind", role_bind },
	{ "bind-and-wait", role_bind_and_wait },
	{ "hold", role_hold },
};

int play_role(int argc, char **argv)
{
	for (size_t i = 0; argc && i < ARRAY_SIZE(roles); i++) {
		if (!strcmp(argv[0], roles[i].name))
			_exit(roles[i].play(argc - 1, argv + 1));
	}
	return 2;
}

/* ---- the tracer ---- */

static void command(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void command(const char *fmt, ...)
{
	char text[COMMAND_MAX], answer;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (send(player_line, text, strlen(text), MSG_NOSIGNAL) < 0 || recv(player_line, &answer, 1, 0) != 1)
		_exit(1); /* the actor knows why */
}

void sync_ledger(void)
{
	command("sync");
}

void await_event(const char *action)
{
	command("await %s", action);
}

void start_tracer(void)
{
	command("start");
}

void pause_tracer(void)
{
	command("pause");
}

void resume_tracer(void)
{
	command("resume");
}
