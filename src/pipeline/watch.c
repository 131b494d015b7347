/* SPDX-License-Identifier: GPL-2.0-only */
/* A tracer in a process of its own. */
#include "pipeline/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipeline/pipeline.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define RING_BYTES (256 * 1024)

/* ---- in the child: a sink that tells the parent ---- */

struct teller {
	int fd;
	bool other; /* to be told when the ring is drained */
};

/* A parent that has not read the last ones will look anyway. */
static int tell(const struct teller *t, const struct news *news)
{
	if (send(t->fd, news, sizeof(*news), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		return -EPIPE;
	return 0;
}

static int teller_open(const struct sink_options *o, void **ret_state)
{
	*ret_state = o->arg;
	return 0;
}

static int teller_write(void *state, const struct view *view)
{
	const struct record *rec = view->rec;
	struct teller *t = state;
	struct news news = { .kind = NEWS_RECORD };

	if (rec->action == ACTION_START) {
		news.kind = NEWS_READY;
		return tell(t, &news);
	}
	if (rec->error || (rec->action != ACTION_BIND && rec->action != ACTION_LISTEN)) {
		t->other = true;
		return 0;
	}
	news.record = *rec;
	return tell(t, &news);
}

static int teller_flush(void *state)
{
	const struct news news = { .kind = NEWS_OTHER };
	struct teller *t = state;
	bool other = t->other;

	t->other = false;
	return other ? tell(t, &news) : 0;
}

static void teller_close(void *state)
{
	(void)state;
}

static const struct sink_ops sink_teller = {
	.name = "teller",
	.open = teller_open,
	.write = teller_write,
	.flush = teller_flush,
	.close = teller_close,
};

/* Standard output may be a pipe whose reader waits for its end. */
static void streams_leave(void)
{
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		(void)dup2(null, fd);
}

static void watch_run(int fd, const struct filter_kernel *filter)
{
	struct teller teller = { .fd = fd };
	const struct sink_options to = { .fd = -1, .talk_fd = -1, .arg = &teller };
	const struct pipeline_config config = {
		.kernel = filter,
		.sink = &sink_teller,
		.sink_options = &to,
		.hooks = HOOKS_ANY,
		.ring_bytes = RING_BYTES,
		.ephemeral = true,
	};
	struct news news = { .kind = NEWS_FAILED };
	int r;

	streams_leave();
	r = pipeline_run(&config);
	if (r >= 0 || r == -EPIPE)
		return;
	snprintf(news.story, sizeof(news.story), "%s", fail_story());
	(void)tell(&teller, &news);
}

/* ---- in the parent ---- */

int watch_start(const struct filter_kernel *filter, struct watch *ret)
{
	int fds[2];
	pid_t parent = getpid(), child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return fail(-errno, "start a tracer");
	(void)fflush(NULL); /* or both would write what is buffered */
	child = fork();
	if (child < 0) {
		close(fds[0]);
		close(fds[1]);
		return fail(-errno, "start a tracer");
	}
	if (child == 0) {
		close(fds[0]);
		if (!prctl(PR_SET_PDEATHSIG, SIGTERM) && getppid() == parent)
			watch_run(fds[1], filter);
		_exit(0);
	}
	close(fds[1]);
	*ret = (struct watch){ .pid = child, .fd = fds[0] };
	return 0;
}

int watch_read(struct watch *w, struct news *ret)
{
	ssize_t n;

	do
		n = recv(w->fd, ret, sizeof(*ret), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(*ret))
		return 1;
	if (n < 0 && errno == EAGAIN)
		return 0;
	*ret = (struct news){ .kind = NEWS_FAILED, .story = "the tracer has ended" };
	return 1;
}

void watch_stop(struct watch *w)
{
	if (w->pid > 0)
		(void)kill(w->pid, SIGTERM);
	if (w->fd >= 0)
		close(w->fd);
	*w = (struct watch){ .fd = -1 };
}
