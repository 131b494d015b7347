/* SPDX-License-Identifier: GPL-2.0-only */
/* What the one loop sleeps on. */
#include "util/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "util/fail.h"

#define EVENTS_MAX 32
#define NS_PER_S 1000000000ull

/* fd, function and argument of one descriptor; the index is the descriptor. */
struct watch {
	loop_fn *fn;
	void *arg;
};

struct loop {
	int epoll_fd;
	int signal_fd;
	struct watch *watches;
	int n_watches;
	struct watch signals;
};

uint64_t clock_boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

int64_t clock_boot_offset_ns(void)
{
	struct timespec wall;
	uint64_t before = clock_boot_ns(), after;

	clock_gettime(CLOCK_REALTIME, &wall);
	after = clock_boot_ns();
	return (int64_t)((uint64_t)wall.tv_sec * NS_PER_S + (uint64_t)wall.tv_nsec) -
	       (int64_t)(before + (after - before) / 2);
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	if (l->signal_fd >= 0)
		close(l->signal_fd);
	free(l->watches);
	free(l);
	return NULL;
}

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return fail(-ENOMEM, "make the loop");
	l->signal_fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		int error = -errno;

		loop_free(l);
		return fail(error, "make the loop");
	}
	*ret = l;
	return 0;
}

static int watches_grow(struct loop *l, int fd)
{
	int n = l->n_watches ? l->n_watches : 64;
	struct watch *more;

	if (fd < l->n_watches)
		return 0;
	while (n <= fd)
		n *= 2;
	more = reallocarray(l->watches, (size_t)n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	l->watches = more;
	l->n_watches = n;
	return 0;
}

int loop_watch(struct loop *l, int fd, loop_fn *fn, void *arg)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	int r = watches_grow(l, fd);

	if (r < 0)
		return r;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	l->watches[fd] = (struct watch){ .fn = fn, .arg = arg };
	return 0;
}

void loop_unwatch(struct loop *l, int fd)
{
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	if (fd < l->n_watches)
		l->watches[fd].fn = NULL;
}

static int signal_arrived(void *arg, int fd)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	return l->signals.fn(l->signals.arg, (int)info.ssi_signo);
}

int loop_signals(struct loop *l, const int *signals, loop_fn *fn, void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	for (; *signals; signals++)
		sigaddset(&set, *signals);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return fail(-errno, "block signals");
	l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->signal_fd < 0)
		return fail(-errno, "take signals");
	l->signals = (struct watch){ .fn = fn, .arg = arg };
	return loop_watch(l, l->signal_fd, signal_arrived, l);
}

static int events_take(struct loop *l)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, 0);

	for (int i = 0; i < n; i++) {
		int fd = events[i].data.fd;
		int r = l->watches[fd].fn ? l->watches[fd].fn(l->watches[fd].arg, fd) : 0;

		if (r)
			return r;
	}
	return 0;
}

static int wait_for(struct pollfd *fds, nfds_t n_fds, uint64_t timeout_ns)
{
	struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / NS_PER_S),
				    .tv_nsec = (long)(timeout_ns % NS_PER_S) };

	if (ppoll(fds, n_fds, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL) >= 0)
		return 0;
	fds[0].revents = 0;
	return errno == EINTR ? 0 : fail(-errno, "wait for events");
}

int loop_wait(struct loop *l, int fd, uint64_t timeout_ns)
{
	struct pollfd fds[] = { { .fd = l->epoll_fd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	int r = wait_for(fds, 2, timeout_ns);

	return r < 0 || !fds[0].revents ? r : events_take(l);
}

int loop_wait_writable(struct loop *l, int fd, uint64_t timeout_ns)
{
	struct pollfd fds[] = { { .fd = l->signal_fd, .events = POLLIN }, { .fd = fd, .events = POLLOUT } };
	int r = wait_for(fds, 2, timeout_ns);

	return r < 0 || !fds[0].revents ? r : signal_arrived(l, l->signal_fd);
}
