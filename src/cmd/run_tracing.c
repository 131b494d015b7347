/* SPDX-License-Identifier: GPL-2.0-only */
/* The half of `run` that traces: how it is started through sudo, how it is read, and what it does. */
#include "cmd/run_tracing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/pipeline.h"
#include "source/netns.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/inherit.h"

#define WORDS_MAX 16

static const enum hook_set hook_sets[] = { HOOKS_ANY, HOOKS_FEXIT, HOOKS_TRACEPOINT };
static const char *const hook_words[] = { "auto", "fexit", "tracepoint" };
static const char *const args_words[] = { "masked", "full", "none" };

/* ---- starting it ---- */

static bool in_path(const char *word)
{
	const char *path = getenv("PATH"), *end;
	char file[PATH_MAX];

	for (; path; path = *end ? end + 1 : NULL) {
		end = strchrnul(path, ':');
		if (end > path &&
		    snprintf(file, sizeof(file), "%.*s/%s", (int)(end - path), path, word) <
			    (int)sizeof(file) &&
		    !access(file, X_OK))
			return true;
	}
	return false;
}

/* The program that gives root: asked for, or the first there is; NULL: none is needed. */
static int root_giver(const struct run_opts *o, const char **ret)
{
	static const char *const known[] = { "sudo", "doas", "pkexec" };

	*ret = o->sudo;
	if (o->sudo || geteuid() == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(known) && !*ret; i++)
		if (in_path(known[i]))
			*ret = known[i];
	return *ret ? 0 : fail_text(-EPERM, "tracing needs root, and there is no sudo, doas or pkexec here");
}

/* The same program again, by a path that root can find too. */
static int own_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	if (n < 0 || (size_t)n == size - 1)
		return fail(n < 0 ? -errno : -ENAMETOOLONG, "find portlog's own program");
	path[n] = '\0';
	if (access(path, X_OK) < 0)
		return fail(-errno, "%s", path);
	return 0;
}

/* A new program: its signals as portlog found them, the pipes as its input and output. */
static _Noreturn void exec_half(char **argv, int in, int out)
{
	inherit_signals();
	inherit_files();
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "portlog: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/*
 * Pipes, not sockets: a sudo that makes a terminal of its own for what it runs leaves the user's alone when it finds
 * itself in a pipeline.
 */
static int half_fork(struct tracing *t, char **argv)
{
	auto_close int in = -1;
	auto_close int out = -1;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail(-errno, "make a pipe");
	in = fds[0];
	t->in_fd = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail(-errno, "make a pipe");
	t->out_fd = fds[0];
	out = fds[1];
	(void)fcntl(t->out_fd, F_SETFL, O_NONBLOCK);
	t->pid = fork();
	if (t->pid < 0) {
		t->pid = 0;
		return fail(-errno, "make a process");
	}
	if (!t->pid)
		exec_half(argv, in, out);
	return 0;
}

int tracing_start(struct tracing *t, const struct run_opts *o, pid_t followed)
{
	char path[PATH_MAX], pid[16], hook_set[32], args[32], ring[32];
	const char *words[WORDS_MAX], *giver;
	size_t n = 0;
	int r;

	r = root_giver(o, &giver);
	if (!r)
		r = own_path(path, sizeof(path));
	if (r < 0)
		return r;
	snprintf(pid, sizeof(pid), "%d", (int)followed);
	snprintf(hook_set, sizeof(hook_set), "--hooks=%s", hook_words[o->hooks]);
	snprintf(args, sizeof(args), "--args=%s", args_words[o->args]);
	snprintf(ring, sizeof(ring), "--ring=%llu", (unsigned long long)o->ring_bytes);
	if (giver)
		words[n++] = giver;
	words[n++] = path;
	words[n++] = "run";
	words[n++] = "--follow";
	words[n++] = pid;
	words[n++] = hook_set;
	words[n++] = args;
	words[n++] = ring;
	if (o->json)
		words[n++] = "--json";
	if (o->verbose)
		words[n++] = "--verbose";
	if (o->quiet)
		words[n++] = "--quiet";
	if (o->hints)
		words[n++] = "--hints";
	words[n] = NULL;
	return half_fork(t, (char **)words);
}

/* ---- reading it ---- */

static void lines_take(struct tracing *t, void (*line)(void *arg, const char *text, size_t len), void *arg)
{
	char *begin = t->text, *end;

	while ((end = memchr(begin, '\n', (size_t)(t->text + t->len - begin)))) {
		if (end > begin)
			line(arg, begin, (size_t)(end - begin));
		begin = end + 1;
	}
	t->len -= (size_t)(begin - t->text);
	memmove(t->text, begin, t->len);
	if (t->len == sizeof(t->text))
		t->len = 0; /* no line of ours is so long */
}

void tracing_read(struct tracing *t, void (*line)(void *arg, const char *text, size_t len), void *arg)
{
	ssize_t n;

	while (t->out_fd >= 0) {
		n = read(t->out_fd, t->text + t->len, sizeof(t->text) - t->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close(t->out_fd);
			t->out_fd = -1;
			return;
		}
		t->len += (size_t)n;
		lines_take(t, line, arg);
	}
}

void tracing_end(struct tracing *t)
{
	if (t->in_fd >= 0)
		close(t->in_fd);
	t->in_fd = -1;
}

void tracing_done(struct tracing *t)
{
	tracing_end(t);
	if (t->out_fd >= 0)
		close(t->out_fd);
	t->out_fd = -1;
}

/* ---- being it ---- */

/*
 * A signal at the terminal, or to the whole group, is for the command: this half goes on until its input ends, to tell
 * what the signal led to.
 */
static void signals_leave(void)
{
	static const int numbers[] = { SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGALRM };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		signal(numbers[i], SIG_IGN);
}

int tracing_follow(const struct run_opts *o)
{
	struct sink_options sink = {
		.fd = STDOUT_FILENO,
		.verbose = o->verbose,
		.quiet = o->quiet,
		.json = o->json,
		.own_netns = netns_self(),
		.line_buffered = true,
		.field = { .args = (enum args_mode)o->args, .hints = o->hints },
	};
	struct pipeline_config config = {
		.sink = &sink_report,
		.sink_options = &sink,
		.hooks = hook_sets[o->hooks],
		.ring_bytes = (uint32_t)o->ring_bytes,
		.tree = o->follow,
		.snapshot = true,
		.ephemeral = o->verbose || o->json,
	};
	struct filter_error error;
	struct filter *all;
	int r;

	signals_leave();
	r = filter_parse("", &all, &error);
	if (r < 0)
		return fail(r, "follow a command");
	config.filter = all;
	config.until_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	r = config.until_fd < 0 ? fail(-errno, "follow a command") : pipeline_run(&config);
	filter_free(all);
	return r;
}
