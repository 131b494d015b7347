/* SPDX-License-Identifier: GPL-2.0-only */
/* What this process was started with. */
#include "util/inherit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

static struct {
	sigset_t ignored;
	sigset_t blocked;
	bool closed[STDERR_FILENO + 1];
	struct rlimit files;
	bool raised; /* above files */
} noted;

static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void inherit_note(void)
{
	sigemptyset(&noted.ignored);
	for (int number = 1; number < NSIG; number++)
		if (is_ignored(number))
			sigaddset(&noted.ignored, number);
	sigprocmask(SIG_SETMASK, NULL, &noted.blocked);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		noted.closed[fd] = fcntl(fd, F_GETFD) < 0;
}

void inherit_signals(void)
{
	for (int number = 1; number < NSIG; number++) {
		bool before = sigismember(&noted.ignored, number) == 1;

		if (before != is_ignored(number))
			signal(number, before ? SIG_IGN : SIG_DFL);
	}
	sigprocmask(SIG_SETMASK, &noted.blocked, NULL);
}

void inherit_descriptors(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (noted.closed[fd])
			close(fd);
}

void inherit_files_raise(void)
{
	struct rlimit more;

	if (getrlimit(RLIMIT_NOFILE, &noted.files) || noted.files.rlim_cur >= noted.files.rlim_max)
		return;
	more = noted.files;
	more.rlim_cur = more.rlim_max;
	noted.raised = !setrlimit(RLIMIT_NOFILE, &more);
}

void inherit_files(void)
{
	if (noted.raised)
		(void)setrlimit(RLIMIT_NOFILE, &noted.files);
}
