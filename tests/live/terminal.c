/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `portlog run` at a terminal of its own: Ctrl-C, Ctrl-Z and fg, and a password that is asked for there. We are the
 * shell: portlog is a job in a process group of its own, in the foreground.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live/lib/bench.h"
#include "live/lib/tap.h"
#include "live/lib/tracer.h"

#define SAID_MAX 65536
#define LINE_MAX_ 4096

/* A shell at a terminal: its one job, and all that the terminal has shown. */
struct terminal {
	pid_t shell;
	int fd;
	char said[SAID_MAX];
	size_t len;
};

static char dir[] = "/tmp/portlog-terminal.XXXXXX";

/* ---- the shell's side: runs in the child ---- */

static void job_start(const char *command, pid_t *ret)
{
	pid_t pid = fork();

	if (!pid) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_DFL);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	setpgid(pid, pid);
	tcsetpgrp(STDIN_FILENO, pid);
	*ret = pid;
}

/* Say how the job stops and ends; "fg" at the terminal continues it. */
static _Noreturn void shell(const char *command)
{
	char line[64];
	pid_t pid;
	int status;

	signal(SIGTTOU, SIG_IGN);
	job_start(command, &pid);
	for (;;) {
		if (waitpid(pid, &status, WUNTRACED) < 0)
			_exit(1);
		tcsetpgrp(STDIN_FILENO, getpgrp());
		if (!WIFSTOPPED(status))
			break;
		printf("shell: stopped by %d\n", WSTOPSIG(status));
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			_exit(1);
		tcsetpgrp(STDIN_FILENO, pid);
		kill(-pid, SIGCONT);
	}
	if (WIFEXITED(status))
		printf("shell: status %d\n", WEXITSTATUS(status));
	else
		printf("shell: signal %d\n", WTERMSIG(status));
	fflush(stdout);
	_exit(0);
}

/* ---- ours ---- */

static void terminal_open(struct terminal *t, const char *command)
{
	memset(t, 0, sizeof(*t));
	t->shell = forkpty(&t->fd, NULL, NULL, NULL);
	if (t->shell < 0)
		tap_bail("forkpty: %s", strerror(errno));
	if (!t->shell)
		shell(command);
}

/* Until the terminal has shown @text. */
static bool terminal_await(struct terminal *t, const char *text)
{
	uint64_t deadline = now_ms() + TRACER_TIMEOUT_MS;

	while (!strstr(t->said, text)) {
		struct pollfd p = { .fd = t->fd, .events = POLLIN };
		uint64_t now = now_ms();
		ssize_t n;

		if (now >= deadline || poll(&p, 1, (int)(deadline - now)) <= 0)
			return false;
		n = read(t->fd, t->said + t->len, sizeof(t->said) - 1 - t->len);
		if (n <= 0)
			return strstr(t->said, text) != NULL;
		t->len += (size_t)n;
		t->said[t->len] = '\0';
	}
	return true;
}

static void terminal_type(struct terminal *t, const char *text)
{
	(void)!write(t->fd, text, strlen(text));
}

static void terminal_close(struct terminal *t, bool ok, const char *name)
{
	tap_result(ok, "%s", name);
	if (!ok)
		tap_note_text(t->said);
	kill(t->shell, SIGHUP);
	close(t->fd);
	kill(t->shell, SIGKILL);
	waitpid(t->shell, NULL, 0);
}

static size_t count_of(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static const char waits[] =
	"sh -c 'trap \"echo got-int\" INT; echo up; read -r line; echo line-$line; exit 3'";

static void control_c_is_the_commands(const char *run)
{
	struct terminal t;
	char command[LINE_MAX_];
	bool ok;

	snprintf(command, sizeof(command), "exec %s -- %s", run, waits);
	terminal_open(&t, command);
	ok = terminal_await(&t, "up");
	terminal_type(&t, "\003");
	ok = ok && terminal_await(&t, "got-int");
	terminal_type(&t, "x\n");
	ok = ok && terminal_await(&t, "shell: status 3") && count_of(t.said, "got-int") == 1;
	terminal_close(&t, ok, "Ctrl-C is the command's, once, and portlog waits for it");

	snprintf(command, sizeof(command), "exec %s -- sh -c 'echo up; exec sleep 60'", run);
	terminal_open(&t, command);
	ok = terminal_await(&t, "up");
	terminal_type(&t, "\003");
	ok = ok && terminal_await(&t, "shell: status 130");
	terminal_close(&t, ok, "a command that Ctrl-C ends gives status 130");
}

static void jobs_are_controlled(const char *run)
{
	struct terminal t;
	char command[LINE_MAX_];
	bool ok;

	snprintf(command, sizeof(command), "exec %s -- %s", run, waits);
	terminal_open(&t, command);
	ok = terminal_await(&t, "up");
	terminal_type(&t, "\032");
	ok = ok && terminal_await(&t, "shell: stopped by 20");
	terminal_type(&t, "fg\n");
	terminal_type(&t, "again\n");
	ok = ok && terminal_await(&t, "line-again") && terminal_await(&t, "shell: status 3");
	terminal_close(&t, ok, "Ctrl-Z stops portlog and the command, fg continues both");

	snprintf(command, sizeof(command), "exec %s -- sh -c 'echo up; kill -TSTP $$; echo on; exit 4'", run);
	terminal_open(&t, command);
	ok = terminal_await(&t, "shell: stopped by 20");
	terminal_type(&t, "fg\n");
	ok = ok && terminal_await(&t, "on") && terminal_await(&t, "shell: status 4");
	terminal_close(&t, ok, "a command that stops itself gives the terminal back");
}

static void a_password_is_asked_for_first(const char *run)
{
	struct terminal t;
	char command[LINE_MAX_];
	bool ok;

	snprintf(command, sizeof(command), "exec %s -- sh -c 'echo started; read -r line; echo line-$line'",
		 run);
	terminal_open(&t, command);
	ok = terminal_await(&t, "[sudo] password: ") && !strstr(t.said, "started");
	terminal_type(&t, "secret\n");
	ok = ok && terminal_await(&t, "started");
	terminal_type(&t, "typed\n");
	ok = ok && terminal_await(&t, "line-typed") && terminal_await(&t, "shell: status 0");
	terminal_close(&t, ok, "a password is asked for at the terminal before the command starts");

	terminal_open(&t, command);
	ok = terminal_await(&t, "[sudo] password: ");
	terminal_type(&t, "wrong\n");
	ok = ok && terminal_await(&t, "the command was not started") &&
	     terminal_await(&t, "shell: status 3") && !strstr(t.said, "started\r\nl");
	terminal_close(&t, ok, "a wrong password starts nothing");

	terminal_open(&t, command);
	ok = terminal_await(&t, "[sudo] password: ");
	terminal_type(&t, "\003");
	ok = ok && terminal_await(&t, "shell: status 130");
	terminal_close(&t, ok, "Ctrl-C at the password ends it");
}

static int copy(const char *from, const char *name, int mode)
{
	char command[2 * LINE_MAX_];

	snprintf(command, sizeof(command), "install -m %o '%s' '%s/%s'", (unsigned)mode, from, dir, name);
	return system(command);
}

int main(void)
{
	char run[LINE_MAX_], path[64];
	bool ready;

	if (geteuid() != 0)
		return tap_skip_all("needs root");
	snprintf(run, sizeof(run), "'%s' run -- true > /dev/null 2>&1", bench_portlog());
	if (WEXITSTATUS(system(run)) == 3)
		return tap_skip_all("portlog cannot trace here");
	snprintf(run, sizeof(run), "'%s' run", bench_portlog());
	control_c_is_the_commands(run);
	jobs_are_controlled(run);

	ready = mkdtemp(dir) && !chmod(dir, 0755) && !copy(bench_portlog(), "portlog", 0755);
	snprintf(run, sizeof(run), "%s/tests/live/errand", getenv("BUILD") ?: "build");
	ready = ready && !copy(run, "sudo", 04755);
	snprintf(path, sizeof(path), "%s/prompt", dir);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	if (ready) {
		snprintf(run, sizeof(run),
			 "setpriv --reuid=65534 --regid=65534 --clear-groups %s/portlog run --sudo %s/sudo",
			 dir, dir);
		a_password_is_asked_for_first(run);
	}
	snprintf(run, sizeof(run), "rm -rf '%s'", dir);
	(void)!system(run);
	return tap_end();
}
