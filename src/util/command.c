/* SPDX-License-Identifier: GPL-2.0-only */
/* Run a program and read what it says: see command.h. */
#include "util/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int start(const char *const *argv, int out, pid_t *ret)
{
	static char *nothing[] = { "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	posix_spawn_file_actions_t actions;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	r = posix_spawn(ret, argv[0], &actions, NULL, (char *const *)argv, nothing);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* Until its end, @max bytes or the deadline. false: it was none of its end. */
static bool read_all(int fd, int64_t deadline_ms, char *text, size_t max, size_t *ret_len)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < max) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline_ms - now_ms();

		if (left <= 0 || poll(&p, 1, (int)left) != 1)
			return false;
		n = read(fd, text + len, max - len);
		if (n > 0)
			len += (size_t)n;
	}
	*ret_len = len;
	return n >= 0;
}

char *command_read(const char *const *argv, int timeout_ms, size_t max)
{
	auto_free char *text = malloc(max + 1);
	size_t len = 0;
	int fds[2], status;
	pid_t pid;
	bool whole;

	if (!text || pipe2(fds, O_CLOEXEC))
		return NULL;
	if (start(argv, fds[1], &pid)) {
		close(fds[0]);
		close(fds[1]);
		return NULL;
	}
	close(fds[1]);
	whole = read_all(fds[0], now_ms() + timeout_ms, text, max, &len);
	close(fds[0]);
	if (!whole || len == max)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!whole || (len < max && status))
		return NULL;
	text[len] = '\0';
	return take(text);
}
