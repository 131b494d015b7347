/* SPDX-License-Identifier: GPL-2.0-only */
/* Who has the socket, when it is not the one who bound it (T11). */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/actor/play.h"

/* Two processes take turns through a pipe: one byte lets the other go on. */
struct turn {
	int fds[2];
};

static void turn_make(struct turn *t)
{
	need(!pipe(t->fds), "pipe");
}

static void turn_give(const struct turn *t)
{
	need(write(t->fds[1], "x", 1) == 1, "write to a pipe");
}

static void turn_wait(const struct turn *t)
{
	char byte;

	need(read(t->fds[0], &byte, 1) == 1, "read from a pipe");
}

struct shared {
	struct turn go;
	int fd;
	int line[2];
};

/* ---- the last reference ---- */

static void closes_last(void *arg)
{
	const struct shared *s = arg;

	turn_wait(&s->go);
	close(s->fd);
}

static void child_closes(void)
{
	struct shared s;
	pid_t child;

	turn_make(&s.go);
	s.fd = listener_at("127.0.0.1", 5501);
	child = start_child(closes_last, &s);
	note("child", "%d", child);
	close(s.fd);
	sync_ledger();
	turn_give(&s.go);
	end_child(child);
}

static void exits(void *arg)
{
	(void)arg;
	listener_at("127.0.0.1", 5502);
	udp_at("127.0.0.1", 5502);
}

static void exit_closes(void)
{
	pid_t child = start_child(exits, NULL);

	note("child", "%d", child);
	end_child(child);
}

static void waits_for_the_end(void *arg)
{
	struct shared *s = arg;

	listener_at("127.0.0.1", 5503);
	udp_at("127.0.0.1", 5503);
	turn_give(&s->go);
	for (;;)
		pause();
}

static void killed(void)
{
	struct shared s;
	pid_t child;

	turn_make(&s.go);
	child = start_child(waits_for_the_end, &s);
	note("child", "%d", child);
	turn_wait(&s.go);
	sync_ledger();
	kill(child, SIGKILL);
	end_child(child);
}

/* ---- exec ---- */

static void execs(void *arg)
{
	bool cloexec = arg;
	int fd = listener_at("127.0.0.1", cloexec ? 5504 : 5505);

	fcntl(fd, F_SETFD, cloexec ? FD_CLOEXEC : 0);
	become_role("hold", NULL);
}

static void exec_closes(void)
{
	pid_t child = start_child(execs, "close");

	note("child", "%d", child);
	end_child(child);
}

static void exec_keeps(void)
{
	pid_t child = start_child(execs, NULL);

	note("child", "%d", child);
	end_child(child);
}

/* The same program under another name: what is told of it must not be mixed with what it was before. */
static int program_copy(void)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = memfd_create("next-program", 0);
	struct stat st;

	need(from >= 0 && to >= 0 && !fstat(from, &st), "a copy of this program");
	need(sendfile(to, from, NULL, (size_t)st.st_size) == st.st_size, "sendfile");
	close(from);
	return to;
}

struct successor {
	struct turn bound, done;
};

static void execs_another(void *arg)
{
	const struct successor *s = arg;
	char program[32], bound[16], done[16];

	snprintf(program, sizeof(program), "/proc/self/fd/%d", program_copy());
	snprintf(bound, sizeof(bound), "%d", s->bound.fds[1]);
	snprintf(done, sizeof(done), "%d", s->done.fds[0]);
	(void)listener_at("127.0.0.1", 5510);
	execl(program, "actor", "--role", "bind-and-wait", "5511", bound, done, NULL);
	give_up("exec: %s", strerror(errno));
}

/* Who bound it was another program, which is all in one piece: name, executable. */
static void exec_clashes(void)
{
	struct successor s;
	pid_t child;
	int fd = tcp_socket("127.0.0.1");

	turn_make(&s.bound);
	turn_make(&s.done);
	child = start_child(execs_another, &s);
	note("child", "%d", child);
	note("next", "/memfd:next-program");
	turn_wait(&s.bound);
	bind_fails(fd, "127.0.0.1", 5510, EADDRINUSE);
	bind_fails(fd, "127.0.0.1", 5511, EADDRINUSE);
	sync_ledger();
	turn_give(&s.done);
	end_child(child);
}

/* ---- the first thread ends, the process does not ---- */

static char first_thread_state(void)
{
	char text[1024] = "", *at;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	need(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "read /proc/self/stat");
	close(fd);
	at = strrchr(text, ')');
	return at ? at[2] : '\0';
}

static void *binds_alone(void *arg)
{
	struct successor *s = arg;

	while (first_thread_state() != 'Z')
		sched_yield();
	(void)listener_at("127.0.0.1", 5512);
	turn_give(&s->bound);
	turn_wait(&s->done);
	_exit(0);
}

static void leads_and_leaves(void *arg)
{
	pthread_t thread;

	need(!pthread_create(&thread, NULL, binds_alone, arg), "pthread_create");
	pthread_exit(NULL);
}

static void leaderless(void)
{
	struct successor s;
	pid_t child;

	turn_make(&s.bound);
	turn_make(&s.done);
	child = start_child(leads_and_leaves, &s);
	note("child", "%d", child);
	turn_wait(&s.bound);
	bind_fails(tcp_socket("127.0.0.1"), "127.0.0.1", 5512, EADDRINUSE);
	sync_ledger();
	turn_give(&s.done);
	end_child(child);
}

/* ---- handoff: the binder goes, its child stays ---- */

static void stays(void *arg)
{
	const struct shared *s = arg;

	close(s->line[0]); /* the player's end: its end of file tells it that we are gone */
	turn_wait(&s->go);
}

static void daemonise(void *arg)
{
	struct shared *s = arg;

	s->fd = listener_at("127.0.0.1", 5506);
	note("daemon", "%d", start_child(stays, s));
}

static void handoff(void)
{
	struct shared s;
	pid_t binder;
	char byte;

	turn_make(&s.go);
	need(!pipe(s.line), "pipe");
	binder = start_child(daemonise, &s);
	note("binder", "%d", binder);
	end_child(binder);
	await_event("handoff");
	sync_ledger();
	bind_fails(tcp_socket("127.0.0.1"), "127.0.0.1", 5506, EADDRINUSE);
	close(s.line[1]);
	turn_give(&s.go);
	need(read(s.line[0], &byte, 1) == 0, "the daemon's end");
}

/* A forked child that lives on while its parent does: nothing is handed over, and nothing told. */
static void shared_with_child(void)
{
	struct shared s;
	pid_t child;

	turn_make(&s.go);
	s.fd = listener_at("127.0.0.1", 5507);
	child = start_child(closes_last, &s);
	turn_give(&s.go);
	end_child(child);
	sync_ledger();
	close(s.fd);
}

/* ---- descriptors in messages ---- */

static void send_descriptor(int line, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 'x';
	struct iovec io = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	need(sendmsg(line, &m, 0) == 1, "sendmsg with a descriptor");
}

static int receive_descriptor(int line)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec io = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	int fd;

	need(recvmsg(line, &m, 0) == 1, "recvmsg with a descriptor");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static void receives(void *arg)
{
	struct shared *s = arg;
	int fd;

	turn_wait(&s->go);
	fd = receive_descriptor(s->line[1]);
	listen_on(fd, 3);
	close(fd);
}

static void passed(void)
{
	struct shared s;
	pid_t receiver;

	turn_make(&s.go);
	need(!socketpair(AF_UNIX, SOCK_DGRAM, 0, s.line), "socketpair");
	receiver = start_child(receives, &s);
	note("receiver", "%d", receiver);
	s.fd = listener_at("127.0.0.1", 5508);
	send_descriptor(s.line[0], s.fd);
	close(s.fd);
	sync_ledger();
	turn_give(&s.go);
	end_child(receiver);
}

static void sends_and_exits(void *arg)
{
	struct shared *s = arg;

	send_descriptor(s->line[0], listener_at("127.0.0.1", 5509));
}

/* Nobody has it open: it lives in a message that nobody has read. */
static void in_flight(void)
{
	struct shared s;
	pid_t sender;

	need(!socketpair(AF_UNIX, SOCK_DGRAM, 0, s.line), "socketpair");
	sender = start_child(sends_and_exits, &s);
	note("sender", "%d", sender);
	end_child(sender);
	sync_ledger();
	bind_fails(tcp_socket("127.0.0.1"), "127.0.0.1", 5509, EADDRINUSE);
	sync_ledger(); /* it is looked for after the clash: who lets go at once would have been the holder */
	close(s.line[0]);
	close(s.line[1]);
}

/* clang-format off */
const struct situation owners_situations[] = {
	{ "a child drops the last reference: the owner is who bound it", NULL, child_closes,
	  { "bind tcp 127.0.0.1:5501",
	    "listen tcp 127.0.0.1:5501",
	    "release tcp 127.0.0.1:5501 pid=@self closer=@child free=true" } },
	{ "exit", NULL, exit_closes,
	  { "bind tcp 127.0.0.1:5502 pid=@child",
	    "listen tcp 127.0.0.1:5502 pid=@child",
	    "bind udp 127.0.0.1:5502 pid=@child",
	    "release tcp 127.0.0.1:5502 pid=@child free=true",
	    "release udp 127.0.0.1:5502 pid=@child free=true" },
	  .flags = ANY_ORDER },
	{ "SIGKILL", NULL, killed,
	  { "bind tcp 127.0.0.1:5503 pid=@child",
	    "listen tcp 127.0.0.1:5503 pid=@child",
	    "bind udp 127.0.0.1:5503 pid=@child",
	    "release tcp 127.0.0.1:5503 pid=@child free=true",
	    "release udp 127.0.0.1:5503 pid=@child free=true" },
	  .flags = ANY_ORDER },
	{ "exec with SOCK_CLOEXEC closes", NULL, exec_closes,
	  { "bind tcp 127.0.0.1:5504 pid=@child",
	    "listen tcp 127.0.0.1:5504 pid=@child",
	    "release tcp 127.0.0.1:5504 pid=@child free=true" } },
	{ "exec without SOCK_CLOEXEC keeps; the next program's end closes", NULL, exec_keeps,
	  { "bind tcp 127.0.0.1:5505 pid=@child",
	    "listen tcp 127.0.0.1:5505 pid=@child",
	    "release tcp 127.0.0.1:5505 pid=@child free=true" } },
	{ "exec without SOCK_CLOEXEC: a holder is the program that bound, not half the next one", NULL, exec_clashes,
	  { "bind tcp 127.0.0.1:5510 pid=@child exe=@exe",
	    "listen tcp 127.0.0.1:5510 pid=@child exe=@exe",
	    "bind tcp 127.0.0.1:5511 pid=@child exe=@next comm!=@comm",
	    "bind!EADDRINUSE tcp 127.0.0.1:5510 hpid=@child hcomm=@comm holder.exe=@exe",
	    "bind!EADDRINUSE tcp 127.0.0.1:5511 hpid=@child hcomm!=@comm holder.exe=@next",
	    "release tcp 127.0.0.1:5510 pid=@child exe=@exe free=true",
	    "release tcp 127.0.0.1:5511 pid=@child comm!=@comm exe=@next free=true" },
	  .flags = ANY_ORDER },
	{ "the first thread has ended, the process lives: it holds, nobody inherited", NULL, leaderless,
	  { "bind tcp 127.0.0.1:5512 pid=@child",
	    "listen tcp 127.0.0.1:5512 pid=@child",
	    "bind!EADDRINUSE tcp 127.0.0.1:5512 kind=listener code=listener hpid=@child",
	    "release tcp 127.0.0.1:5512 pid=@child free=true" } },
	{ "handoff: the binder is gone, its child holds; a clash says inherited", NULL, handoff,
	  { "bind tcp 127.0.0.1:5506 pid=@binder",
	    "listen tcp 127.0.0.1:5506 pid=@binder",
	    "handoff tcp 127.0.0.1:5506 pid=@binder|@daemon owners.0.pid=@daemon -owners.1",
	    "bind!EADDRINUSE tcp 127.0.0.1:5506 kind=inherited code=inherited hpid=@daemon",
	    "release tcp 127.0.0.1:5506 pid=@binder|@daemon free=true" } },
	{ "a socket shared with a child is not handed over", NULL, shared_with_child,
	  { "bind tcp 127.0.0.1:5507",
	    "listen tcp 127.0.0.1:5507",
	    "release tcp 127.0.0.1:5507 free=true" } },
	{ "SCM_RIGHTS: another process listens and closes", NULL, passed,
	  { "bind tcp 127.0.0.1:5508",
	    "listen tcp 127.0.0.1:5508",
	    "listen tcp 127.0.0.1:5508 pid=@receiver backlog=3",
	    "release tcp 127.0.0.1:5508 pid=@self|@receiver free=true" } },
	{ "holder: in flight in a message nobody has read", NULL, in_flight,
	  { "bind tcp 127.0.0.1:5509 pid=@sender",
	    "listen tcp 127.0.0.1:5509 pid=@sender",
	    "bind!EADDRINUSE tcp 127.0.0.1:5509 kind=in-flight|unknown code=in-flight|unknown",
	    "release tcp 127.0.0.1:5509 pid=@sender free=true" } },
};
/* clang-format on */
TABLE_SIZE(owners);
