/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A descriptor that becomes another one, or none, while a call on it is under way: what is told is of the socket that the
 * call is about. The call is stopped in the kernel: a third thread holds the socket's lock, because its setsockopt waits
 * for a page of its argument that we have not given it yet (userfaultfd).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "live/actor/play.h"
#include "util/cleanup.h"

#define FAULT_MS 5000

/* A socket whose lock is held. */
struct stall {
	int fd; /* of the socket */
	int faults;
	size_t page;
	char *memory; /* two pages: the second one is missing */
	pthread_t holder;
};

static int open_faults(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	return fd < 0 || ioctl(fd, UFFDIO_API, &api) ? -1 : fd;
}

static bool has_faults(void)
{
	return open_faults() >= 0;
}

static const char *no_faults(void)
{
	return kernel_says(has_faults) ? NULL : "no userfaultfd here";
}

/* The kernel copies the first int of the argument, takes the lock, and copies it whole. */
static void *hold_lock(void *arg)
{
	struct stall *s = arg;

	setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, s->memory + s->page - sizeof(long),
		   sizeof(struct sock_fprog));
	return NULL;
}

static void stall_begin(struct stall *s, int fd)
{
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct pollfd p = { .events = POLLIN };
	struct uffd_msg msg;

	s->fd = fd;
	s->page = (size_t)sysconf(_SC_PAGESIZE);
	s->memory = mmap(NULL, 2 * s->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(s->memory != MAP_FAILED, "mmap");
	memset(s->memory, 0, s->page);
	s->faults = p.fd = open_faults();
	need(s->faults >= 0, "userfaultfd");
	range.range.start = (__u64)(size_t)(s->memory + s->page);
	range.range.len = s->page;
	need(!ioctl(s->faults, UFFDIO_REGISTER, &range), "UFFDIO_REGISTER");
	need(!pthread_create(&s->holder, NULL, hold_lock, s), "a thread");
	need(poll(&p, 1, FAULT_MS) == 1 && read(s->faults, &msg, sizeof(msg)) == sizeof(msg),
	     "setsockopt holds the lock");
}

static void stall_end(struct stall *s)
{
	struct uffdio_zeropage zero = { .range = { .start = (__u64)(size_t)(s->memory + s->page),
						   .len = s->page } };

	need(!ioctl(s->faults, UFFDIO_ZEROPAGE, &zero), "UFFDIO_ZEROPAGE");
	pthread_join(s->holder, NULL);
	close(s->faults);
	munmap(s->memory, 2 * s->page);
}

/* A call on the socket, by a thread of its own. */
struct caller {
	int (*call)(int fd);
	int fd;
	pid_t tid;
	int result;
	pthread_t thread;
};

static void *make_call(void *arg)
{
	struct caller *c = arg;

	__atomic_store_n(&c->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	c->result = c->call(c->fd);
	return NULL;
}

/* Does the thread wait for the lock? Then its state is D. */
static bool is_blocked(pid_t tid)
{
	auto_close int fd = -1;
	char path[64], text[256] = "", *end;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return false;
	end = strrchr(text, ')');
	return end && end[1] && end[2] == 'D';
}

static void await_blocked(struct caller *c)
{
	while (!is_blocked(__atomic_load_n(&c->tid, __ATOMIC_ACQUIRE)))
		sched_yield();
}

/* Make @call on @fd, and put @other in its place meanwhile; -1: nothing. */
static void call_while(int (*call)(int fd), int fd, int other, int result)
{
	struct caller c = { .call = call, .fd = fd };
	struct stall s;

	stall_begin(&s, fd);
	need(!pthread_create(&c.thread, NULL, make_call, &c), "a thread");
	await_blocked(&c);
	if (other < 0)
		close(fd);
	else
		need(dup2(other, fd) == fd, "dup2");
	stall_end(&s);
	pthread_join(c.thread, NULL);
	if (c.result != result)
		give_up("the call gave %d (%s), not %d", c.result, strerror(-c.result), result);
}

static int bind_7001(int fd)
{
	return try_bind(fd, "127.0.0.1", 7001);
}

static int listen_5(int fd)
{
	return listen(fd, 5) ? -errno : 0;
}

static void bind_closed(void)
{
	int holder = listener_at("127.0.0.1", 7001);

	call_while(bind_7001, tcp_socket("127.0.0.1"), -1, -EADDRINUSE);
	close(holder);
}

static void bind_replaced(void)
{
	int holder = listener_at("127.0.0.1", 7001), other = udp_at("127.0.0.1", 7002);

	call_while(bind_7001, tcp_socket("127.0.0.1"), other, -EADDRINUSE);
	close(holder);
}

static void bind_works(void)
{
	int other = udp_at("127.0.0.1", 7002);

	call_while(bind_7001, tcp_socket("127.0.0.1"), other, 0);
}

static void listen_closed(void)
{
	call_while(listen_5, tcp_at("127.0.0.1", 7003), -1, 0);
}

static void listen_replaced(void)
{
	int other = listener_at("127.0.0.1", 7004);

	call_while(listen_5, tcp_at("127.0.0.1", 7003), other, 0);
}

/* clang-format off */
const struct situation race_situations[] = {
	{ "a failed bind of a descriptor that is closed meanwhile", no_faults, bind_closed,
	  { "bind tcp 127.0.0.1:7001",
	    "listen tcp 127.0.0.1:7001",
	    "bind!EADDRINUSE tcp 127.0.0.1:7001 kind=listener hpid=@self",
	    "release tcp 127.0.0.1:7001" } },
	{ "a failed bind of a descriptor that is another socket meanwhile", no_faults, bind_replaced,
	  { "bind tcp 127.0.0.1:7001",
	    "listen tcp 127.0.0.1:7001",
	    "bind udp 127.0.0.1:7002",
	    "bind!EADDRINUSE tcp 127.0.0.1:7001 kind=listener hpid=@self",
	    "release tcp 127.0.0.1:7001",
	    "release udp 127.0.0.1:7002" } },
	{ "a bind that works of a descriptor that is another socket meanwhile", no_faults, bind_works,
	  { "bind udp 127.0.0.1:7002",
	    "bind tcp 127.0.0.1:7001",
	    "release tcp 127.0.0.1:7001",
	    "release udp 127.0.0.1:7002" } },
	{ "a listen on a descriptor that is closed meanwhile", no_faults, listen_closed,
	  { "bind tcp 127.0.0.1:7003",
	    "listen tcp 127.0.0.1:7003 backlog=5",
	    "release tcp 127.0.0.1:7003" } },
	{ "a listen on a descriptor that is another listener meanwhile", no_faults, listen_replaced,
	  { "bind tcp 127.0.0.1:7004",
	    "listen tcp 127.0.0.1:7004",
	    "bind tcp 127.0.0.1:7003",
	    "listen tcp 127.0.0.1:7003 backlog=5",
	    "release tcp 127.0.0.1:7003",
	    "release tcp 127.0.0.1:7004" } },
};
/* clang-format on */
TABLE_SIZE(race);
