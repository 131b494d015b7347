/* SPDX-License-Identifier: GPL-2.0-only */
/* Start portlog, read its lines, check what holds for every one of them. */
#include "live/lib/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

#define LINE_MAX_BYTES 4096
#define ARGS_MAX 32
#define READ_SIZE (256 * 1024)
#define PIPE_SIZE (1024 * 1024)

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t now_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

uint64_t now_boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

static void __attribute__((noreturn))
become_tracer(const struct tracer *t, int out, int cpu, const char *path, const char *const *args)
{
	const char *argv[ARGS_MAX] = { path };
	cpu_set_t cpus;

	for (size_t i = 0; args[i] && i + 2 < ARGS_MAX; i++)
		argv[i + 1] = args[i];
	CPU_ZERO(&cpus);
	CPU_SET((size_t)(cpu < 0 ? 0 : cpu), &cpus);
	if (cpu >= 0)
		sched_setaffinity(0, sizeof(cpus), &cpus);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	dup2(out, STDOUT_FILENO);
	dup2(t->err, STDERR_FILENO);
	execv(path, (char *const *)argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", path, strerror(errno));
	_exit(127);
}

int tracer_start_on(struct tracer *t, const char *path, const char *const *args, int cpu, int out_fd)
{
	int fds[2];

	*t = (struct tracer){ .out = -1, .err = memfd_create("stderr", MFD_CLOEXEC) };
	if (t->err < 0 || pipe2(fds, O_CLOEXEC))
		return -errno;
	t->pid = fork();
	if (!t->pid)
		become_tracer(t, out_fd < 0 ? fds[1] : out_fd, cpu, path, args);
	close(fds[1]);
	t->out = fds[0];
	fcntl(t->out, F_SETFL, O_NONBLOCK);
	fcntl(t->out, F_SETPIPE_SZ, PIPE_SIZE);
	return t->pid < 0 ? -errno : 0;
}

int tracer_start(struct tracer *t, const char *path, const char *const *args)
{
	return tracer_start_on(t, path, args, -1, -1);
}

/* ---- what holds for every event ---- */

static bool has_stream_id(const char *text)
{
	return strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16;
}

/* "2026-11-22T08:14:08.601123456Z" */
static bool is_time(const char *text)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddddddddZ";

	if (strlen(text) != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; shape[i]; i++) {
		if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
			return false;
	}
	return true;
}

/* Absent means unknown: no null and, but for a process's arguments, no empty text. */
static bool has_nothing_empty(const struct json *v, bool may_be_empty)
{
	if (v->type == JSON_NULL || (v->type == JSON_STRING && !v->len && !may_be_empty))
		return false;
	for (const struct json *c = v->child; c; c = c->next) {
		if (!has_nothing_empty(c, may_be_empty || (c->key && !strcmp(c->key, "args"))))
			return false;
	}
	return true;
}

static const char *check_event(struct tracer *t, const struct event *e, size_t len)
{
	const char *stream = json_text_at(e->root, "stream");
	uint64_t seq = json_number_at(e->root, "seq");

	if (len > LINE_MAX_BYTES)
		return "longer than 4 KiB";
	if (json_root(e->doc)->type != JSON_OBJECT)
		return "no object";
	if (strcmp(json_text_at(e->root, "schema"), "portlog/1") != 0)
		return "schema is not portlog/1";
	if (!has_stream_id(stream) || (t->stream[0] && strcmp(stream, t->stream) != 0))
		return "not the stream that it was";
	if (seq != t->last_seq + 1) {
		t->last_seq = seq;
		return "seq is not the next one";
	}
	if (!is_time(json_text_at(e->root, "ts")))
		return "ts is no RFC 3339 time with nine digits";
	if (!has_nothing_empty(e->root, false))
		return "null or empty text";
	/* Every kernel that the tests know has them: a program of ours was refused. */
	if (!strcmp(json_text_at(e->root, "action"), "start") && strstr(e->line, "no BPF iterator"))
		return "it runs without iterators";
	snprintf(t->stream, sizeof(t->stream), "%s", stream);
	t->last_seq = seq;
	if (!strcmp(json_text_at(e->root, "action"), "start"))
		snprintf(t->hooks, sizeof(t->hooks), "%s", json_text_at(e->root, "hooks"));
	return NULL;
}

static enum tracer_next stream_is_bad(struct tracer *t, const char *why, const char *line)
{
	free(t->why);
	if (asprintf(&t->why, "%s: %s", why, line) < 0)
		t->why = NULL;
	return TRACER_BAD;
}

/* ---- lines ---- */

static void make_room(struct tracer *t)
{
	if (t->at) {
		memmove(t->buf, t->buf + t->at, t->len - t->at);
		t->len -= t->at;
		t->at = 0;
	}
	if (t->size - t->len < READ_SIZE) {
		t->size = 2 * t->size + READ_SIZE;
		t->buf = realloc(t->buf, t->size);
		if (!t->buf)
			abort();
	}
}

/* 1: something came; 0: not before the deadline, or nothing will (t->eof). */
static int read_more(struct tracer *t, uint64_t deadline_ms)
{
	struct pollfd p = { .fd = t->out, .events = POLLIN };
	uint64_t now = now_ms();
	ssize_t n;

	if (poll(&p, 1, deadline_ms > now ? (int)(deadline_ms - now) : 0) <= 0)
		return 0;
	make_room(t);
	n = read(t->out, t->buf + t->len, READ_SIZE);
	if (n <= 0) {
		t->eof = n == 0 || errno != EAGAIN;
		return 0;
	}
	t->len += (size_t)n;
	return 1;
}

/* The first line, its newline replaced; NULL: none is whole yet. */
static char *take_line(struct tracer *t, size_t *ret_len)
{
	char *line, *newline;

	if (t->len == t->at)
		return NULL;
	line = t->buf + t->at;
	newline = memchr(line, '\n', t->len - t->at);
	if (!newline)
		return NULL;
	*newline = '\0';
	*ret_len = (size_t)(newline - line);
	t->at += *ret_len + 1;
	return line;
}

char *tracer_line(struct tracer *t, uint64_t deadline_ms, size_t *ret_len)
{
	char *line;

	while (!(line = take_line(t, ret_len))) {
		if (!read_more(t, deadline_ms))
			return NULL;
	}
	return line;
}

bool tracer_read_until(struct tracer *t, const char *text, uint64_t deadline_ms)
{
	size_t len = strlen(text), looked = t->at;

	for (;;) {
		if (t->len >= looked + len && memmem(t->buf + looked, t->len - looked, text, len))
			return true;
		looked = t->len - t->at > len ? t->len - t->at - len
					      : 0; /* make_room() moves what is there to 0 */
		if (!read_more(t, deadline_ms))
			return false;
	}
}

enum tracer_next tracer_next(struct tracer *t, uint64_t deadline_ms, struct event *ret)
{
	const char *why;
	size_t len = 0;
	char *line = tracer_line(t, deadline_ms, &len);

	if (!line)
		return t->eof ? TRACER_EOF : TRACER_TIMEOUT;
	*ret = (struct event){ .line = strdup(line), .read_ns = now_boot_ns() };
	ret->doc = json_parse(line, len, &why);
	if (ret->doc) {
		ret->root = json_root(ret->doc);
		why = check_event(t, ret, len);
	}
	if (!why)
		return TRACER_EVENT;
	stream_is_bad(t, why, line);
	event_done(ret);
	return TRACER_BAD;
}

void event_done(struct event *e)
{
	json_free(e->doc);
	free(e->line);
	*e = (struct event){ 0 };
}

/* ---- the end ---- */

int tracer_wait(struct tracer *t)
{
	uint64_t deadline = now_ms() + TRACER_TIMEOUT_MS;
	int status = -1;

	while (!t->eof && now_ms() < deadline) {
		t->at = t->len = 0;
		(void)read_more(t, deadline);
	}
	if (!t->eof)
		kill(t->pid, SIGKILL);
	waitpid(t->pid, &status, 0);
	t->pid = 0;
	return t->eof ? status : -1;
}

int tracer_stop(struct tracer *t)
{
	kill(t->pid, SIGTERM);
	return tracer_wait(t);
}

char *tracer_stderr(struct tracer *t)
{
	off_t size = lseek(t->err, 0, SEEK_END);
	char *text = calloc(1, size > 0 ? (size_t)size + 1 : 1);

	if (!text)
		abort();
	if (size > 0 && pread(t->err, text, (size_t)size, 0) < 0)
		*text = '\0';
	return text;
}

void tracer_done(struct tracer *t)
{
	if (t->pid > 0) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
	}
	if (t->out >= 0)
		close(t->out);
	if (t->err >= 0)
		close(t->err);
	free(t->buf);
	free(t->why);
	*t = (struct tracer){ .out = -1, .err = -1 };
}
