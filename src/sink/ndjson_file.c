/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ndjson:FILE, one JSON object a line, for those who read files: appended by whole lines, never cut. A line of which an
 * error let only the half out is completed before another follows. A pipe that nobody reads is waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/sink.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"

#define WRITE_AT (64u << 10) /* bytes gathered before a write */
#define READER_MS 1000       /* for a reader to take something */

/*
 * The batch is what came since the last flush; after an error it comes again. Then the lines that are out must not:
 *
 *	events of the batch    1 2 3 4 5 6 7 8
 *	                       `-before-'|
 *	lines                            5 6 7 8
 *	                                 `sent'
 */
struct file {
	struct field_options field;
	char *path;
	int fd;
	dev_t dev; /* of the file that half a line is in */
	ino_t ino;
	struct buf lines;
	size_t sent;   /* bytes of them that are out */
	size_t before; /* events of the batch that are out */
	size_t skip;   /* events to come that need no line: they are out, or their line is here */
};

/* A name for what the service manager or a shell gave us. */
static bool is_stdout(const struct file *f)
{
	return !strcmp(f->path, "-");
}

/* Readable by its group, whatever a service's umask is. */
static int file_make(const char *path, int flags)
{
	int fd = open(path, flags | O_CREAT | O_EXCL, 0640);

	if (fd >= 0)
		(void)fchmod(fd, 0640);
	return fd < 0 && errno == EEXIST ? open(path, flags) : fd;
}

/*
 * A pipe is opened for reading too: so there always is a reader, opening waits for none, and what is in the pipe outlives
 * the one who reads. A description of our own must not block; where there can be none (a socket) each call says so.
 */
static int file_open_fd(const struct file *f)
{
	const int flags = O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct stat st;
	int fd;

	if (is_stdout(f)) {
		fd = open("/proc/self/fd/1", O_WRONLY | flags);
		return fd < 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : fd;
	}
	if (!stat(f->path, &st) && S_ISFIFO(st.st_mode))
		return open(f->path, O_RDWR | flags);
	return file_make(f->path, O_WRONLY | flags);
}

/* The half of a line belongs to the file that has its other half: in another one it begins anew. */
static int file_open(struct file *f)
{
	struct stat st;

	if (f->fd >= 0)
		return 0;
	f->fd = file_open_fd(f);
	if (f->fd < 0)
		return fail(-errno, "open");
	if (fstat(f->fd, &st))
		return fail(-errno, "look at the file");
	if (st.st_dev != f->dev || st.st_ino != f->ino)
		f->sent = 0;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	return 0;
}

static void file_let_go(struct file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static int wait_for_reader(void *arg, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int n = poll(&p, 1, READER_MS);

	(void)arg;
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n ? 0 : -EAGAIN;
}

/* Lines that are out are done with. */
static void file_settle(struct file *f)
{
	size_t begin = 0;

	for (size_t i = 0; i < f->sent; i++) {
		if (f->lines.data[i] != '\n')
			continue;
		begin = i + 1;
		f->before++;
	}
	f->lines.len -= begin;
	f->sent -= begin;
	if (f->lines.len)
		memmove(f->lines.data, f->lines.data + begin, f->lines.len);
}

/* A pipe that nobody reads is kept: what is in it would go with it. Another file may be mended, or be a new one. */
static int file_push(struct file *f)
{
	int r = f->sent < f->lines.len ? file_open(f) : 0;

	if (r)
		return r;
	r = buf_write_from(&f->lines, &f->sent, f->fd, wait_for_reader, NULL);
	file_settle(f);
	if (r == -EAGAIN)
		return fail_text(r, "nobody reads it");
	if (r)
		file_let_go(f);
	return r ? fail(r, "write") : 0;
}

static int file_flush(void *state)
{
	struct file *f = state;
	int r = file_push(f);

	if (!r)
		f->before = f->skip;
	return r;
}

/* The batch comes again, but for what is out. The line that is half out stays. */
static void file_undo(void *state)
{
	struct file *f = state;
	const char *end = f->sent ? memchr(f->lines.data, '\n', f->lines.len) : NULL;

	f->lines.len = end ? (size_t)(end - f->lines.data) + 1 : 0;
	f->skip = f->before + (end != NULL);
}

static int file_write(void *state, const struct view *view)
{
	struct file *f = state;
	size_t before = f->lines.len;

	if (f->skip) {
		f->skip--;
		return 0;
	}
	field_write_json(&f->lines, view, &f->field, NULL, 0);
	buf_putc(&f->lines, '\n');
	if (f->lines.error) {
		int r = f->lines.error;

		f->lines.len = before;
		f->lines.error = 0;
		return fail(r, "render an event");
	}
	return f->lines.len >= WRITE_AT ? file_push(f) : 0;
}

static int file_reopen(void *state)
{
	struct file *f = state;
	int old = f->fd, r;

	f->fd = -1;
	r = file_open(f);
	if (old >= 0) /* not before: a pipe keeps what is in it while somebody has it open */
		close(old);
	return r;
}

static void file_close(void *state)
{
	struct file *f = state;

	if (!f)
		return;
	file_let_go(f);
	buf_done(&f->lines);
	free(f->path);
	free(f);
}

/*
 * At boot a disk may be not there, read-only, full or ill at first: that is waited for, as for the history. What no time
 * heals is told at once.
 */
static bool may_pass(int r)
{
	return r == -ENOENT || r == -EROFS || r == -ENOSPC || r == -EDQUOT || r == -EIO || r == -ENXIO ||
	       r == -EMFILE || r == -ENFILE;
}

static int file_new(const struct sink_options *o, void **ret_state)
{
	struct file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return fail(-ENOMEM, "open the file of a sink");
	f->fd = -1;
	f->field = o->field;
	f->path = strdup(o->arg);
	r = f->path ? file_open(f) : fail(-ENOMEM, "open the file of a sink");
	if (may_pass(r)) { /* the first line says so */
		fail_clear();
		r = 0;
	}
	if (r < 0) {
		fail_add(r, "ndjson:%s", (const char *)o->arg);
		file_close(f);
		return r;
	}
	*ret_state = f;
	return 0;
}

const struct sink_ops sink_ndjson_file = {
	.name = "ndjson",
	.open = file_new,
	.write = file_write,
	.flush = file_flush,
	.undo = file_undo,
	.reopen = file_reopen,
	.close = file_close,
};

const struct sink_kind kind_ndjson = { .ops = &sink_ndjson_file, .argument = "FILE" };
