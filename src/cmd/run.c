/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * run: run one command, and explain each bind or listen of it that fails.
 *
 *	portlog run -- CMD             as the caller: shows what the other half says, waits for CMD
 *	 |- CMD                        held until the hooks are there
 *	 `- sudo portlog run --follow  as root: traces CMD and all that comes from it
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/ring_opt.h"
#include "cmd/run_command.h"
#include "cmd/run_opts.h"
#include "cmd/run_show.h"
#include "cmd/run_tracing.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/loop.h"

#define NS_PER_MS 1000000ull
#define PATIENCE_NS (10000 * NS_PER_MS) /* with the tracing half, once the command has ended */
#define BRIEF_NS (1000 * NS_PER_MS)     /* the same when the command never began */

struct run {
	const struct run_opts *o;
	struct command command;
	struct tracing tracing;
	struct show show;
	int signal_fd;
	bool going;          /* the command was let go */
	bool ended;          /* it has ended, with status */
	bool explained;      /* and it is clear why: a signal, or it never began */
	bool interrupted;    /* somebody wanted it to end */
	bool unseen;         /* not all of it was traced: nothing can be said of what did not fail */
	int status;          /* as a shell gives it */
	uint64_t give_up_ns; /* when not to wait for the tracing half any longer; 0: it is not waited for */
};

/* ---- signals ---- */

/* Those that are passed on. Faults are portlog's own, SIGTTIN and SIGTTOU stop it as they stop the command. */
static void passed_signals(sigset_t *set)
{
	static const int own[] = { SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP, SIGSYS,
				   SIGABRT, SIGPIPE, SIGXFSZ, SIGXCPU, SIGTTIN, SIGTTOU };

	sigfillset(set);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		sigdelset(set, own[i]);
}

static int signals_take(struct run *r)
{
	sigset_t set;

	signal(SIGCHLD, SIG_DFL); /* ignored, there would be nobody to wait for */
	passed_signals(&set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return fail(-errno, "block signals");
	r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signal_fd < 0 ? fail(-errno, "take signals") : 0;
}

/* Stop as the command has: then the shell that waits for us takes the terminal back. */
static void stop_self(int number)
{
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &one, NULL); /* here it stops; SIGCONT goes on from here */
	if (number == SIGTSTP)
		sigprocmask(SIG_BLOCK, &one, NULL);
}

static bool is_job_control(int number)
{
	return number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

/*
 * What the terminal sends goes to the whole process group, the command too; an alarm that was set before portlog was
 * executed rings here alone. What the command itself sends to its group is not sent back to it.
 */
static void signal_pass(struct run *r, const struct signalfd_siginfo *info)
{
	int number = (int)info->ssi_signo;
	bool to_group = info->ssi_code == SI_KERNEL && number != SIGALRM;

	r->interrupted = r->interrupted || number == SIGINT || number == SIGQUIT || number == SIGTERM ||
			 number == SIGHUP;
	if (!to_group && r->command.pid > 0 && info->ssi_pid != (uint32_t)r->command.pid)
		kill(r->command.pid, number);
	if (number == SIGTSTP)
		stop_self(number);
}

/* ---- the command ---- */

static void command_ended(struct run *r, int status, bool explained)
{
	r->ended = true;
	r->status = status;
	r->explained = explained;
	r->command.pid = 0;
	r->show.over = true;
	r->give_up_ns = clock_boot_ns() + (r->going ? PATIENCE_NS : BRIEF_NS);
	tracing_end(&r->tracing);
}

static void command_reap(struct run *r)
{
	siginfo_t info = { 0 };

	if (r->command.pid <= 0 ||
	    waitid(P_PID, (id_t)r->command.pid, &info, WEXITED | WSTOPPED | WNOHANG) < 0 || !info.si_pid)
		return;
	if (info.si_code == CLD_STOPPED) {
		if (is_job_control(info.si_status))
			stop_self(info.si_status);
	} else if (info.si_code == CLD_EXITED) {
		command_ended(r, info.si_status, r->interrupted);
	} else {
		command_ended(r, STATUS_SIGNAL + info.si_status, true);
	}
}

static void command_begin(struct run *r)
{
	int status;

	r->going = true;
	status = command_go(&r->command);
	if (!status)
		return;
	(void)waitpid(r->command.pid, NULL, 0);
	command_ended(r, status, true);
}

/* ---- the loop ---- */

static void signals_read(struct run *r)
{
	struct signalfd_siginfo info;

	while (read(r->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		signal_pass(r, &info);
	}
	command_reap(r);
}

static int timeout_ms(const struct run *r)
{
	uint64_t now = clock_boot_ns(), when = UINT64_MAX;

	if (r->show.due_ns)
		when = r->show.due_ns;
	if (r->ended && r->give_up_ns < when)
		when = r->give_up_ns;
	if (when == UINT64_MAX)
		return -1;
	return when <= now ? 0 : (int)((when - now + NS_PER_MS - 1) / NS_PER_MS);
}

static int step(struct run *r)
{
	struct pollfd fds[] = { { .fd = r->signal_fd, .events = POLLIN },
				{ .fd = r->tracing.out_fd, .events = POLLIN } };

	if (poll(fds, ARRAY_SIZE(fds), timeout_ms(r)) < 0 && errno != EINTR)
		return fail(-errno, "wait for the command");
	/* What was told before the command ended is taken first. */
	tracing_read(&r->tracing, show_line, &r->show);
	signals_read(r);
	show_due(&r->show, clock_boot_ns());
	return 0;
}

static int not_traced(struct run *r)
{
	if (r->o->try_only) {
		show_say(&r->show, "the command runs untraced");
		r->unseen = true;
		command_begin(r);
		return 0;
	}
	fail_text(-EPERM, "the command was not started, for it cannot be traced");
	return fail_hint(-EPERM, "portlog run --try runs it all the same");
}

/* Until the hooks are there, or it is clear that they will not be. */
static int wait_ready(struct run *r)
{
	int e = 0;

	while (!e && !r->show.ready && !r->ended && r->tracing.out_fd >= 0)
		e = step(r);
	if (e || r->ended)
		return e;
	if (!r->show.ready)
		return not_traced(r);
	command_begin(r);
	return 0;
}

/* The half that traces has ended, or does not answer, and has not said that all is told. */
static void say_unseen(struct run *r)
{
	if (r->unseen || r->show.complete || !r->going)
		return;
	r->unseen = true;
	if (r->ended)
		show_say(&r->show, "tracing has ended early: something may be missing here");
	else
		show_say(&r->show, "tracing has ended early: what the command does from here on is not seen");
}

static int wait_end(struct run *r)
{
	int e = 0;

	while (!e && !(r->ended && (r->tracing.out_fd < 0 || clock_boot_ns() >= r->give_up_ns))) {
		e = step(r);
		if (r->tracing.out_fd < 0)
			say_unseen(r);
	}
	say_unseen(r);
	return e;
}

/* ---- the form ---- */

static void say_caller(struct show *s, const struct caller *caller)
{
	if (!s->quiet)
		show_say(s, "the command runs as %s (uid %u), in the environment that sudo has made",
			 caller->name ? caller->name : "SUDO_UID", caller->uid);
}

static int start(struct run *r, char **words)
{
	struct caller caller;
	bool other = command_caller(&caller);
	int e;

	r->command.argv = words;
	e = signals_take(r);
	if (!e)
		e = command_hold(&r->command, other ? &caller : NULL);
	if (e)
		return e;
	if (other)
		say_caller(&r->show, &caller);
	e = tracing_start(&r->tracing, r->o, r->command.pid);
	if (e < 0 && r->o->try_only) {
		show_say(&r->show, "%s", fail_story());
		fail_clear();
		tracing_done(&r->tracing);
		return 0;
	}
	return e < 0 ? fail_hint(e, "portlog run --try runs the command untraced") : 0;
}

static int show_open(struct show *s, const struct run_opts *o)
{
	*s = (struct show){ .fd = STDERR_FILENO, .json = o->json, .quiet = o->quiet };
	if (!o->log)
		return 0;
	s->fd = open(o->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	return s->fd < 0 ? fail(-errno, "open %s", o->log) : 0;
}

static void run_close(struct run *r)
{
	command_drop(&r->command);
	tracing_done(&r->tracing);
	show_done(&r->show);
	if (r->o->log && r->show.fd >= 0)
		close(r->show.fd);
	if (r->o->log && r->show.error) {
		r->show.fd = STDERR_FILENO;
		r->show.json = false;
		show_say(&r->show, "write %s: %s: not all is in it", r->o->log, strerror(r->show.error));
	}
	if (r->signal_fd >= 0)
		close(r->signal_fd);
}

static int run_words(const struct run_opts *o, char **words)
{
	static struct run run;
	struct run *r = &run;
	int e;

	*r = (struct run){ .o = o,
			   .command = { .hold_fd = -1, .error_fd = -1 },
			   .tracing = { .in_fd = -1, .out_fd = -1 },
			   .signal_fd = -1 };
	e = show_open(&r->show, o);
	if (!e)
		e = start(r, words);
	if (!e)
		e = wait_ready(r);
	if (!e)
		e = wait_end(r);
	if (!e)
		show_end(&r->show, r->status, r->explained || r->unseen);
	run_close(r);
	return e < 0 ? e : r->status;
}

static int run_run(const void *opts, int argc, char **argv)
{
	const struct run_opts *o = opts;
	int status;

	if (o->follow)
		return tracing_follow(o);
	if (!argc) {
		fail_text(-EINVAL, "there is no command to run");
		return fail_hint(-EINVAL, "portlog run -- COMMAND [WORD...]");
	}
	status = command_check(argv[0]);
	return status ? status : run_words(o, argv);
}

static int set_ring(void *opts, const char *text)
{
	return ring_parse(text, &((struct run_opts *)opts)->ring_bytes);
}

static void run_defaults(void *opts)
{
	*(struct run_opts *)opts = (struct run_opts){ .ring_bytes = RING_DEFAULT };
}

#define AT(member) offsetof(struct run_opts, member)

/* clang-format off */
const struct arg run_args[] = {
	{ 'v', "verbose", ARG_FLAG,   AT(verbose), NULL, "tell every bind and listen of the command" },
	{ 'j', "json",    ARG_FLAG,   AT(json), NULL, "events, one JSON object a line, no sentences" },
	{ 0,   "log",     ARG_STRING, AT(log), "FILE", "write to FILE instead of standard error" },
	{ 'q', "quiet",   ARG_FLAG,   AT(quiet), NULL, "failures only, no talk beside them" },
	{ 0,   "try",     ARG_FLAG,   AT(try_only), NULL, "run it untraced when it cannot be traced" },
	{ 0,   "sudo",    ARG_STRING, AT(sudo), "PROGRAM", "what gives root, sudo unless given" },
	{ 0,   "hooks",   ARG_CHOICE, AT(hooks), RUN_HOOKS, "which kernel hooks to use" },
	{ 0,   "args",    ARG_CHOICE, AT(args), RUN_ARGS, "command lines: mask secrets, or not" },
	{ 0,   "hints",   ARG_FLAG,   AT(hints), NULL, "reasons and remedies in JSON too" },
	{ 0,   "ring",    ARG_CALL,   0, "SIZE", RING_HELP, set_ring },
	{ 0,   "follow",  ARG_U32,    AT(follow), "PID", "be the tracing half", .hidden = true },
	{ 0 },
};

static const char examples[] =
	"  portlog run -- ./server --port 8080           why it does not start\n"
	"  portlog run -v -- ./server                    all its binds\n"
	"  portlog run -j --log events.json -- make test events into a file\n"
	"  portlog run -- systemctl start nginx          what failed meanwhile\n";
/* clang-format on */

const struct cmd cmd_run = {
	.name = "run",
	.synopsis = "[OPTIONS] -- COMMAND [WORD...]",
	.summary = "Run a command and explain each bind or listen of it that fails",
	.examples = examples,
	.status = "Status: the command's own; 128 and its signal; 126 not executable,\n"
		  "  127 not found; 2 usage, 3 it cannot be traced (--try: it runs all the same).\n",
	.takes_command = true,
	.args = run_args,
	.opts_size = sizeof(struct run_opts),
	.defaults = run_defaults,
	.run = run_run,
};
