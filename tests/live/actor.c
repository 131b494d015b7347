/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Play every situation of the table in a network namespace of our own, and compare what portlog tells of it with what
 * it must tell. TAP on standard output; docs in tests/live/README.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/actor/board.h"
#include "live/actor/expect.h"
#include "live/actor/play.h"
#include "live/lib/ledger.h"
#include "live/lib/net.h"
#include "live/lib/tap.h"
#include "live/lib/tracer.h"
#include "util/cleanup.h"

#define BARRIER_FIRST 20000
#define BARRIER_LAST 29999
#define ARGS_MAX 24
#define REPLAYS_MAX 3
#define STATUS_CANNOT_RUN 3

struct options {
	const char *portlog;
	const char *hooks;
	const char *only; /* a part of a name */
	const char *tee;  /* every line told is appended to this file */
	bool list, dry, slow, must_start;
};

/* One run of the table. */
struct actor {
	struct options options;
	uint32_t netns;
	bool lists_bound; /* the kernel lists TCP sockets that are bound and do not listen */
	struct tracer tracer;
	bool running; /* a tracer, with these options */
	char with[128];
	bool unfiltered;
	struct ledger ledger;
	FILE *tee;
	uint16_t barrier_port, forgotten_port;

	/* of the situation */
	struct event *events;
	size_t n_events, size_events;
	size_t n_awaited; /* events looked at by await */
	unsigned flags;
	bool lossy;        /* events were lost: portlog said so */
	bool overrun;      /* and not because the kernel skipped programs */
	uint64_t began_us; /* boot clock */
	FILE *story;       /* what went wrong; empty: nothing */
	pid_t player;
	int line; /* to the player */
};

static bool table_is(const char *action, const char *const *table)
{
	while (*table && strcmp(*table, action) != 0)
		table++;
	return *table;
}

static void complain(struct actor *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct actor *a, const char *fmt, ...)
{
	va_list ap;

	fputs("  ", a->story);
	va_start(ap, fmt);
	vfprintf(a->story, fmt, ap);
	va_end(ap);
	fputc('\n', a->story);
}

/* ---- the stream ---- */

/* The end of a socket that cannot be seen may be told much later, when the kernel uses its memory again. */
static bool is_late(const struct actor *a, const struct event *e)
{
	return a->forgotten_port && json_number_at(e->root, "socket.port") == a->forgotten_port &&
	       !strcmp(json_text_at(e->root, "action"), "release");
}

/* Events of other namespaces are not ours, unless a player made them: it notes that namespace as "other". */
static bool is_ours(const struct actor *a, const struct event *e)
{
	uint64_t netns = json_number_at(e->root, "socket.netns.id");
	const char *other = noted("other");

	if (is_late(a, e))
		return false;
	return !netns || netns == a->netns || (other && netns == strtoull(other, NULL, 10));
}

static bool is_barrier(const struct event *e)
{
	uint64_t port = json_number_at(e->root, "socket.port");

	return port >= BARRIER_FIRST && port <= BARRIER_LAST;
}

static void keep(struct actor *a, const struct event *e)
{
	if (a->n_events == a->size_events) {
		a->size_events = a->size_events ? a->size_events * 2 : 64;
		a->events = realloc(a->events, a->size_events * sizeof(*a->events));
		if (!a->events)
			abort();
	}
	a->events[a->n_events++] = *e;
}

/* What is told as happening happened in the situation, and before it was read: on the boot clock, suspend included. */
static void check_time(struct actor *a, const struct event *e)
{
	uint64_t us = json_number_at(e->root, "uptime_us");

	if (us < a->began_us || us > e->read_ns / 1000)
		complain(a, "uptime_us is not when it happened: %s", e->line);
}

static void forget_events(struct actor *a)
{
	for (size_t i = 0; i < a->n_events; i++)
		event_done(&a->events[i]);
	a->n_events = a->n_awaited = 0;
}

/* An event is either of the situation (kept), or looked at here and dropped. true: its action was @until. */
static bool take_event(struct actor *a, struct event *e, const char *until)
{
	static const char *const book[] = { "start", "stop", "synced", "clock", NULL };
	static const char *const loss[] = { "lost", "resync", NULL };
	const char *action = json_text_at(e->root, "action");
	bool found = until && !strcmp(action, until);

	if (a->tee)
		fprintf(a->tee, "%s\n", e->line);
	if (table_is(action, loss)) {
		complain(a, "events were lost: %s", e->line);
		a->lossy = true;
	}
	if (!strcmp(action, "lost") && strcmp(json_text_at(e->root, "where"), "hook") != 0)
		a->overrun = true;
	if (is_ours(a, e) && !ledger_apply(&a->ledger, e))
		complain(a, "%s: %s", a->ledger.why, e->line);
	if (table_is(action, book) || table_is(action, loss) || !is_ours(a, e) || is_barrier(e)) {
		event_done(e);
	} else {
		check_time(a, e);
		keep(a, e);
	}
	return found;
}

/* Read until an event of the kind @action, and, when @port is not 0, of that port. */
static bool read_until(struct actor *a, const char *action, uint16_t port)
{
	uint64_t deadline = now_ms() + TRACER_TIMEOUT_MS;
	struct event e;
	enum tracer_next next;

	while ((next = tracer_next(&a->tracer, deadline, &e)) == TRACER_EVENT || next == TRACER_BAD) {
		if (next == TRACER_BAD) {
			complain(a, "%s", a->tracer.why);
			continue;
		}
		if (port && json_number_at(e.root, "socket.port") != port)
			(void)take_event(a, &e, NULL);
		else if (take_event(a, &e, action))
			return true;
	}
	complain(a, "%s before it told \"%s\"", next == TRACER_EOF ? "portlog ended" : "time ran out",
		 action);
	return false;
}

/* Whatever has been told by now, so that the pipe never fills. */
static void read_what_is_there(struct actor *a)
{
	enum tracer_next next;
	struct event e;

	while ((next = tracer_next(&a->tracer, 0, &e)) == TRACER_EVENT || next == TRACER_BAD) {
		if (next == TRACER_BAD)
			complain(a, "%s", a->tracer.why);
		else
			(void)take_event(a, &e, NULL);
	}
}

/* All that happened before has been told when a bind of ours, and its end, have been. */
static bool barrier(struct actor *a)
{
	auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a->barrier_port = a->barrier_port == BARRIER_LAST ? BARRIER_FIRST : a->barrier_port + 1;
	if (try_bind(fd, "127.0.0.1", a->barrier_port)) {
		complain(a, "the barrier cannot be bound");
		return false;
	}
	close(take_fd(fd));
	return read_until(a, "release", a->barrier_port);
}

static void compare_ledger(struct actor *a)
{
	struct net_list kernel;
	int r = net_list(&kernel);

	if (r)
		complain(a, "the kernel's list: %s", strerror(-r));
	if (a->flags & STOPS_LISTENING)
		ledger_unlist(&a->ledger);
	if (!r && !kernel.has_no_module)
		(void)ledger_equals(&a->ledger, &kernel, a->lists_bound, a->story);
	net_list_done(&kernel);
}

/* ---- the tracer ---- */

static size_t split(char *text, const char **out, size_t max)
{
	char *save, *word;
	size_t n = 0;

	for (word = strtok_r(text, " ", &save); word && n < max; word = strtok_r(NULL, " ", &save))
		out[n++] = word;
	return n;
}

/* Start portlog with @extra options; its events up to synced belong to the situation. */
static bool start(struct actor *a, const char *extra, bool unfiltered)
{
	char words[128], inode[16];
	const char *args[ARGS_MAX] = { "trace", "-j", "--hooks", a->options.hooks };
	size_t n = 4;
	int r;

	snprintf(words, sizeof(words), "%s", extra);
	n += split(words, args + n, ARGS_MAX - n - 3);
	snprintf(inode, sizeof(inode), "%u", a->netns);
	if (!unfiltered) {
		args[n++] = "netns";
		args[n++] = inode;
	}
	r = tracer_start(&a->tracer, a->options.portlog, args);
	if (r)
		tap_bail("cannot start portlog: %s", strerror(-r));
	a->running = true;
	snprintf(a->with, sizeof(a->with), "%s", extra);
	a->unfiltered = unfiltered;
	return read_until(a, "synced", 0);
}

static void show_stderr(struct actor *a)
{
	auto_free char *text = tracer_stderr(&a->tracer);

	if (*text)
		complain(a, "portlog said: %s", text);
}

/* It must leave with a stop event that knows of no loss, and status 0. */
static void stop(struct actor *a)
{
	int status;

	if (!a->running)
		return;
	kill(a->tracer.pid, SIGTERM);
	if (!read_until(a, "stop", 0))
		show_stderr(a);
	status = tracer_wait(&a->tracer);
	if (status) {
		complain(a, "portlog's status is %d (signal %d), not 0", WEXITSTATUS(status),
			 WTERMSIG(status));
		show_stderr(a);
	}
	tracer_done(&a->tracer);
	ledger_done(&a->ledger);
	a->running = false;
}

static bool is_running_for(const struct actor *a, const struct situation *s)
{
	return a->running && !strcmp(a->with, s->options ?: "") && a->unfiltered == !!(s->flags & UNFILTERED);
}

/* ---- what a player asks for ---- */

static void do_sync(struct actor *a, const char *arg)
{
	(void)arg;
	if (barrier(a))
		compare_ledger(a);
}

static void do_await(struct actor *a, const char *action)
{
	while (a->n_awaited < a->n_events) {
		if (!strcmp(json_text_at(a->events[a->n_awaited++].root, "action"), action))
			return;
	}
	(void)read_until(a, action, 0);
	a->n_awaited = a->n_events;
}

static void do_start(struct actor *a, const char *options)
{
	if (!start(a, options, false))
		show_stderr(a);
}

static void do_pause(struct actor *a, const char *arg)
{
	(void)arg;
	kill(a->tracer.pid, SIGSTOP);
}

static void do_resume(struct actor *a, const char *arg)
{
	(void)arg;
	kill(a->tracer.pid, SIGCONT);
}

static const struct {
	const char *name;
	void (*run)(struct actor *a, const char *arg);
} commands[] = {
	{ "sync", do_sync },   { "await", do_await },   { "start", do_start },
	{ "pause", do_pause }, { "resume", do_resume },
};

/* false: the player and all its children have let go of the line. */
static bool obey(struct actor *a)
{
	char text[COMMAND_MAX + 1] = "", *arg = text, *name;
	ssize_t n = recv(a->line, text, COMMAND_MAX, 0);

	if (n <= 0)
		return false;
	name = strsep(&arg, " ");
	for (size_t i = 0; i < ARRAY_SIZE(commands) && !a->options.dry; i++) {
		if (!strcmp(name, commands[i].name))
			commands[i].run(a, arg ?: "");
	}
	(void)!send(a->line, "", 1, MSG_NOSIGNAL);
	return true;
}

/* ---- one situation ---- */

static void note_self(void)
{
	char path[256] = "", comm[17] = "";

	(void)!readlink("/proc/self/exe", path, sizeof(path) - 1);
	prctl(PR_GET_NAME, comm);
	note("self", "%d", getpid());
	note("comm", "%s", comm);
	note("exe", "%s", path);
}

static void send_player(struct actor *a, const struct situation *s)
{
	int line[2];

	board_clear();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, line))
		tap_bail("socketpair: %s", strerror(errno));
	fcntl(line[0], F_SETFD,
	      FD_CLOEXEC); /* the player's end is inherited: its end of file tells that all are gone */
	a->line = line[0];
	a->player = fork();
	if (a->player) {
		close(line[1]);
		setpgid(a->player, a->player);
		return;
	}
	close(line[0]);
	player_line = line[1];
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	note_self();
	s->play();
	_exit(0);
}

/* Until all of the player's processes are gone; those whose parents died are ours now. */
static void reap_players(struct actor *a)
{
	int status;

	while (waitpid(-a->player, &status, 0) > 0 || errno == EINTR) {
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
			complain(a, "a player died of signal %d", WTERMSIG(status));
	}
}

static void watch_player(struct actor *a)
{
	struct pollfd p[2] = { { .fd = a->line, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	uint64_t deadline = now_ms() + 4 * TRACER_TIMEOUT_MS;

	for (;;) {
		p[1].fd = a->running && !a->tracer.eof ? a->tracer.out : -1;
		if (poll(p, 2, 1000) > 0 && p[0].revents && !obey(a))
			break;
		if (p[1].fd >= 0)
			read_what_is_there(a);
		if (now_ms() > deadline) {
			complain(a, "the player did not end");
			kill(-a->player, SIGKILL);
			deadline = UINT64_MAX;
		}
	}
	close(a->line);
	reap_players(a);
	if (board->story[0])
		complain(a, "the situation could not be made: %s", board->story);
}

static void judge(struct actor *a, const struct situation *s)
{
	struct expect_facts facts = { .hooks = a->tracer.hooks, .netns = a->netns };

	if (a->options.dry || !barrier(a))
		return;
	if (s->forgotten_port && !strcmp(a->tracer.hooks, "tracepoint"))
		ledger_forget(&a->ledger, a->forgotten_port = s->forgotten_port);
	compare_ledger(a);
	if (!expect_check(s->expect, s->flags & ANY_ORDER, a->events, a->n_events, &facts, a->story))
		(void)barrier(a); /* that something was lost may be told a moment later */
}

static bool prepare(struct actor *a, const struct situation *s)
{
	if (a->options.dry || is_running_for(a, s))
		return true;
	stop(a);
	return s->flags & STARTS_TRACER || start(a, s->options ?: "", s->flags & UNFILTERED);
}

/* What is wrong with @s, to be freed; "" when nothing is. */
static char *play_once(struct actor *a, const struct situation *s)
{
	char *text = NULL;
	size_t len;

	a->story = open_memstream(&text, &len);
	a->flags = s->flags;
	a->lossy = a->overrun = false;
	if (prepare(a, s)) {
		forget_events(a);
		a->began_us = now_boot_ns() / 1000;
		send_player(a, s);
		watch_player(a);
		judge(a, s);
	} else {
		show_stderr(a);
	}
	if (s->flags & STARTS_TRACER)
		stop(a);
	fclose(a->story);
	forget_events(a);
	if (a->tracer.eof && a->running) {
		tracer_done(&a->tracer);
		ledger_done(&a->ledger);
		a->running = false;
	}
	return text;
}

/* A situation in which events were lost, and said to be, shows nothing: it is played again, with another tracer. */
static void play(struct actor *a, const struct situation *s)
{
	auto_free char *text = play_once(a, s);

	for (unsigned i = 0; a->lossy; i++) {
		tracer_done(&a->tracer);
		ledger_done(&a->ledger);
		a->running = false;
		if (i == REPLAYS_MAX)
			break;
		tap_note("%s: played again, because events were lost", s->name);
		tap_note_text(text);
		free(text);
		text = play_once(a, s);
	}
	if (a->lossy && !a->overrun)
		tap_skip(s->name, "the kernel skipped hooks that it had preempted, each time");
	else
		tap_result(!*text, "%s", s->name);
	tap_note_text(text);
}

/* ---- all of them ---- */

struct table {
	const struct situation *rows;
	const size_t *n;
};

#define TABLE_ROW(name) { name##_situations, &n_##name##_situations },
static const struct table tables[] = { TABLES(TABLE_ROW) };

static bool is_wanted(const struct actor *a, const struct situation *s)
{
	return !a->options.only || strstr(s->name, a->options.only);
}

static void consider(struct actor *a, const struct situation *s)
{
	const char *why = s->flags & SLOW && !a->options.slow ? "takes a minute (--slow)"
			  : s->missing                        ? s->missing()
							      : NULL;

	if (!is_wanted(a, s))
		return;
	if (a->options.list)
		puts(s->name);
	else if (why)
		tap_skip(s->name, why);
	else
		play(a, s);
}

/* Situations that share a tracer come together: the table's order, one pass for each set of options. */
static void consider_all(struct actor *a)
{
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (size_t i = 0; i < *tables[t].n; i++)
			consider(a, &tables[t].rows[i]);
	}
}

/* The last portlog leaves; how is a result of its own. */
static void finish(struct actor *a)
{
	auto_free char *text = NULL;
	size_t len;

	if (!a->running)
		return;
	a->story = open_memstream(&text, &len);
	stop(a);
	fclose(a->story);
	tap_result(!*text, "SIGTERM: a stop event, nothing lost, status 0");
	tap_note_text(text);
}

/* Why portlog cannot run here at all: its own words; NULL: it can. */
static char *cannot_run(struct actor *a)
{
	auto_free char *text = NULL;
	char *why = NULL;
	size_t len;
	int status;

	a->story = open_memstream(&text, &len);
	if (!start(a, "", false)) {
		status = tracer_wait(&a->tracer);
		why = tracer_stderr(&a->tracer);
		why[strcspn(why, "\n")] = '\0';
		if (WEXITSTATUS(status) != STATUS_CANNOT_RUN || a->options.must_start)
			tap_bail("portlog ended with status %d: %s", WEXITSTATUS(status), why);
		tracer_done(&a->tracer);
		a->running = false;
	} else {
		tap_note("hooks: %s", a->tracer.hooks);
	}
	fclose(a->story);
	return why;
}

/* That a machine refuses one set of hooks is no fault; that it takes none is worth knowing. */
static int skip_all(const struct actor *a, const char *reason)
{
	auto_free char *text = NULL;
	bool is_choice = !strcmp(a->options.hooks, "fexit");

	if (asprintf(&text, "%s: %s", is_choice ? "no fexit hooks here" : "needs BPF", reason) < 0)
		return 1;
	return tap_skip_all(text);
}

static int usage(void)
{
	fputs("usage: actor [--portlog PATH] [--hooks auto|tracepoint|fexit] [--only PART-OF-NAME] [--list] [--dry]\n"
	      "             [--slow] [--tee FILE] [--must-start]\n",
	      stderr);
	return 2;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "portlog", required_argument, NULL, 'p' },
		{ "hooks", required_argument, NULL, 'h' },
		{ "only", required_argument, NULL, 'o' },
		{ "tee", required_argument, NULL, 't' },
		{ "list", no_argument, NULL, 'l' },
		{ "dry", no_argument, NULL, 'd' },
		{ "slow", no_argument, NULL, 's' },
		{ "must-start", no_argument, NULL, 'm' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'p':
			o->portlog = optarg;
			break;
		case 'h':
			o->hooks = optarg;
			break;
		case 'o':
			o->only = optarg;
			break;
		case 't':
			o->tee = optarg;
			break;
		case 'l':
			o->list = true;
			break;
		case 'd':
			o->dry = true;
			break;
		case 's':
			o->slow = true;
			break;
		case 'm':
			o->must_start = true;
			break;
		default:
			return usage();
		}
	}
	return optind < argc ? usage() : 0;
}

/* What must be so before anything can be tried; NULL: it is. */
static const char *enter(struct actor *a)
{
	int r;

	if (geteuid())
		return "needs root";
	r = net_new_namespace();
	if (r)
		tap_bail("a network namespace of our own: %s", strerror(-r));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	a->netns = net_namespace_inode();
	a->lists_bound = net_lists_bound(BARRIER_FIRST);
	a->barrier_port = BARRIER_FIRST;
	a->tee = a->options.tee ? fopen(a->options.tee, "we") : NULL;
	board_make();
	return NULL;
}

int main(int argc, char **argv)
{
	struct actor a = { .options = { .portlog = "build/portlog", .hooks = "auto" } };
	auto_free char *reason = NULL;
	const char *why;

	if (argc > 2 && !strcmp(argv[1], "--role"))
		return play_role(argc - 2, argv + 2);
	if (parse_options(argc, argv, &a.options))
		return 2;
	if (!a.options.list) {
		why = enter(&a);
		if (why)
			return tap_skip_all(why);
		if (!a.options.dry)
			reason = cannot_run(&a);
		if (reason)
			return skip_all(&a, reason);
	}
	consider_all(&a);
	if (a.options.list)
		return 0;
	finish(&a);
	if (a.tee)
		fclose(a.tee);
	return tap_end();
}
