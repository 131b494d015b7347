/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the sink writes to. A reader that does not read is waited for: its pipe is full, then the ring, and what comes
 * after that is counted as lost. But portlog can be ended meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/state.h"

#define PATIENCE_NS (2 * NS_PER_S) /* with a reader that takes nothing, after a signal to end */

/* -ETIMEDOUT: it was told to end, and nobody reads. */
static int output_wait(void *arg, int fd)
{
	struct pipeline *p = arg;
	uint64_t begin = clock_boot_ns();
	int r;

	if (!p->asked_to_end)
		return loop_wait_writable(p->loop, fd, UINT64_MAX);
	r = p->asked_to_end > 1 ? -ETIMEDOUT : loop_wait_writable(p->loop, fd, PATIENCE_NS);
	if (!r && clock_boot_ns() - begin >= PATIENCE_NS)
		r = -ETIMEDOUT;
	p->output.unread = r == -ETIMEDOUT;
	return r;
}

/*
 * The same pipe or terminal, not blocking, for us alone: on the descriptor that we were given the flag would be one for
 * everybody who has it. What cannot be opened again is written to as it is.
 */
static int own_copy(int fd)
{
	struct stat st;
	char path[32];

	if (fd < 0 || fstat(fd, &st) || !(S_ISFIFO(st.st_mode) || isatty(fd)) ||
	    (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int output_open(struct pipeline *p)
{
	struct sink_options *o = &p->output.options;

	*o = *p->config->sink_options;
	p->output.fd = own_copy(o->fd);
	p->output.talk_fd = own_copy(o->talk_fd);
	if (p->output.fd >= 0)
		o->fd = p->output.fd;
	if (p->output.talk_fd >= 0)
		o->talk_fd = p->output.talk_fd;
	o->wait = output_wait;
	o->wait_arg = p;
	return p->config->sink->open(o, &p->sink);
}

void output_close(struct pipeline *p)
{
	if (p->sink)
		p->config->sink->close(p->sink);
	if (p->output.fd >= 0)
		close(p->output.fd);
	if (p->output.talk_fd >= 0)
		close(p->output.talk_fd);
}
