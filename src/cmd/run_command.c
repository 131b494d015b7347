/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command that `run` runs. Its process exists before the tracing half, which has to know whom to follow, and waits
 * for a byte. All that it has of portlog's goes with the exec: two descriptors.
 */
#include "cmd/run_command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/inherit.h"
#include "util/parse.h"

#define GROUPS_MAX 1024
#define PARENTS_MAX 32
#define STATUS_TEXT_MAX 16384 /* of /proc/PID/status: its Groups line may be long */

/* ---- what can be told before ---- */

static int say(const char *word, const char *what, int status)
{
	struct buf b = { 0 };

	buf_puts(&b, "portlog: ");
	buf_visible(&b, word, strlen(word));
	buf_printf(&b, ": %s\n", what);
	(void)buf_write(&b, STDERR_FILENO);
	buf_done(&b);
	return status;
}

static int say_error(const char *word, int error)
{
	bool missing = error == ENOENT || error == ENOTDIR;

	if (error == ENOENT && !strchr(word, '/'))
		return say(word, "command not found", STATUS_NOT_FOUND);
	return say(word, strerror(error), missing ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
}

/* What exec will make of the file; 0: it may work. */
static int file_error(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return access(path, X_OK) < 0 ? errno : 0;
}

/* As a shell looks: the first file that can be run; one that cannot is remembered, a folder that cannot be read is not. */
static int search_error(const char *word)
{
	const char *path = getenv("PATH"), *end;
	int error = ENOENT;
	char file[PATH_MAX];
	struct stat st;

	if (!path)
		return 0; /* execvp has a path of its own */
	for (;; path = end + 1) {
		end = strchrnul(path, ':');
		if (snprintf(file, sizeof(file), "%.*s%s%s", (int)(end - path), path, end > path ? "/" : "",
			     word) < (int)sizeof(file)) {
			if (!file_error(file))
				return 0;
			if (!stat(file, &st) && S_ISREG(st.st_mode))
				error = EACCES;
		}
		if (!*end)
			return error;
	}
}

int command_check(const char *word)
{
	int error = !word[0] ? ENOENT : strchr(word, '/') ? file_error(word) : search_error(word);

	return error ? say_error(word, error) : 0;
}

/* ---- as whom it runs ---- */

bool command_caller(struct caller *ret)
{
	const char *uid = getenv("SUDO_UID"), *gid = getenv("SUDO_GID");
	uint32_t u, g;

	if (geteuid() != 0 || !uid || !gid || parse_u32(uid, &u) < 0 || parse_u32(gid, &g) < 0 || u == 0)
		return false;
	*ret = (struct caller){ .uid = u, .gid = g, .name = getenv("SUDO_USER") };
	return true;
}

static bool status_read(pid_t pid, char *text, size_t size)
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (n < 0)
		return false;
	text[n] = '\0';
	return true;
}

/* The numbers behind "\nName:" in a status file; at most @max. */
static size_t status_numbers(const char *text, const char *name, gid_t *ret, size_t max)
{
	const char *at = strstr(text, name);
	size_t n = 0;

	if (!at)
		return 0;
	at += strlen(name);
	while (n < max) {
		char *end;
		unsigned long v;

		at += strspn(at, " \t");
		v = strtoul(at, &end, 10);
		if (end == at)
			break;
		ret[n++] = (gid_t)v;
		at = end;
	}
	return n;
}

/*
 * The groups of @caller's session: those of the nearest process above that is its own (sudo's is in part). Never by the name service, which
 * may ask a server; without such a process the one group that sudo names.
 */
static size_t caller_groups(const struct caller *caller, gid_t *ret, size_t max)
{
	auto_free char *text = malloc(STATUS_TEXT_MAX);
	pid_t pid = getppid();

	for (int i = 0; text && i < PARENTS_MAX && pid > 1; i++) {
		gid_t uids[4], parent;

		if (!status_read(pid, text, STATUS_TEXT_MAX))
			break;
		if (status_numbers(text, "\nUid:", uids, 4) == 4 && uids[0] == caller->uid &&
		    uids[1] == caller->uid)
			return status_numbers(text, "\nGroups:", ret, max);
		if (!status_numbers(text, "\nPPid:", &parent, 1))
			break;
		pid = (pid_t)parent;
	}
	ret[0] = caller->gid;
	return 1;
}

/* For good: real, effective and saved. */
static int become(const struct caller *caller, const gid_t *groups, size_t n)
{
	if (setgroups(n, groups) < 0 || setresgid(caller->gid, caller->gid, caller->gid) < 0 ||
	    setresuid(caller->uid, caller->uid, caller->uid) < 0)
		return -errno;
	return 0;
}

/* ---- the child ---- */

static _Noreturn void child_fail(int fd, int error)
{
	(void)!write(fd, &error, sizeof(error));
	_exit(STATUS_NOT_FOUND);
}

static _Noreturn void child(const struct command *c, int hold_fd, int error_fd, const struct caller *caller)
{
	static gid_t groups[GROUPS_MAX];
	size_t n = caller ? caller_groups(caller, groups, GROUPS_MAX) : 0;
	ssize_t got;
	char go;

	inherit_signals();
	if (caller && become(caller, groups, n) < 0)
		child_fail(error_fd, errno);
	do
		got = read(hold_fd, &go, 1);
	while (got < 0 && errno == EINTR);
	if (got != 1)
		_exit(STATUS_NOT_FOUND); /* portlog has ended */
	inherit_descriptors();
	inherit_files();
	execvp(c->argv[0], c->argv);
	child_fail(error_fd, errno);
}

int command_hold(struct command *c, const struct caller *caller)
{
	auto_close int hold = -1;
	auto_close int error = -1;
	int fds[2], back[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail(-errno, "make a pipe");
	hold = fds[0];
	c->hold_fd = fds[1];
	if (pipe2(back, O_CLOEXEC) < 0)
		return fail(-errno, "make a pipe");
	c->error_fd = back[0];
	error = back[1];
	c->pid = fork();
	if (c->pid < 0) {
		c->pid = 0;
		return fail(-errno, "make a process");
	}
	if (!c->pid) {
		close(c->hold_fd);
		child(c, hold, error, caller);
	}
	return 0;
}

int command_go(struct command *c)
{
	int error = 0;
	ssize_t n;

	(void)!write(c->hold_fd, "g", 1);
	close(c->hold_fd);
	c->hold_fd = -1;
	do
		n = read(c->error_fd, &error, sizeof(error)); /* an exec that works closes the other end */
	while (n < 0 && errno == EINTR);
	close(c->error_fd);
	c->error_fd = -1;
	return n == (ssize_t)sizeof(error) ? say_error(c->argv[0], error) : 0;
}

void command_drop(struct command *c)
{
	if (c->hold_fd >= 0)
		close(c->hold_fd);
	if (c->error_fd >= 0)
		close(c->error_fd);
	c->hold_fd = c->error_fd = -1;
	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		(void)waitpid(c->pid, NULL, 0);
	}
	c->pid = 0;
}
