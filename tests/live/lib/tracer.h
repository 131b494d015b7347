/* SPDX-License-Identifier: GPL-2.0-only */
/* A portlog that runs as our child, and the lines it tells. */
#ifndef LIVE_TRACER_H
#define LIVE_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "live/lib/json.h"

/* No answer for so long is a failure: emulated machines are slow, nothing else is. */
#define TRACER_TIMEOUT_MS 60000

/* One line of the stream, parsed. */
struct event {
	struct json_doc *doc;
	const struct json *root;
	char *line;       /* without its newline */
	uint64_t read_ns; /* boot clock when we had read it */
};

struct tracer {
	pid_t pid; /* 0: not running */
	int out;   /* its standard output, not blocking */
	int err;   /* its standard error, a memory file */
	char *buf;
	size_t at, len,
		size; /* of buf: the first byte not taken, the end of what was read, what there is room for */
	bool eof;
	uint64_t last_seq;
	char stream[32];
	char hooks[32]; /* from its start event */
	char *why;      /* what was wrong with the stream; NULL: nothing yet */
};

enum tracer_next { TRACER_EVENT, TRACER_TIMEOUT, TRACER_EOF, TRACER_BAD };

/* Run @path with @args (NULL-terminated, without argv[0]). 0 or negative errno. */
int tracer_start(struct tracer *t, const char *path, const char *const *args);

/* The same on one processor (-1: any), its output into the file @out_fd (-1: a pipe to us, as above). */
int tracer_start_on(struct tracer *t, const char *path, const char *const *args, int cpu, int out_fd);

/*
 * Read without parsing until @text comes by, or @deadline_ms; what was read waits for tracer_next(). true: it came.
 * For streams too fast to be parsed as they come.
 */
bool tracer_read_until(struct tracer *t, const char *text, uint64_t deadline_ms);

/* The lines as they are, for those who look at bytes alone: NULL at the deadline or the end. Valid until the next call. */
char *tracer_line(struct tracer *t, uint64_t deadline_ms, size_t *ret_len);

/*
 * The next event, waiting until @deadline_ms of the monotonic clock (0: only what is there). TRACER_BAD: not valid JSON,
 * or against what holds for every event (schema, stream, seq without gaps, sizes): t->why says what.
 */
enum tracer_next tracer_next(struct tracer *t, uint64_t deadline_ms, struct event *ret);
void event_done(struct event *e);

/*
 * Ask it to stop (SIGTERM) and wait. Lines not read yet are read and dropped. The wait status; -1: it had to be killed.
 */
int tracer_stop(struct tracer *t);
int tracer_wait(struct tracer *t);     /* the same for one that ends by itself */
char *tracer_stderr(struct tracer *t); /* what it said, to be freed; never NULL */
void tracer_done(struct tracer *t);    /* kill it if it still runs, forget all */

uint64_t now_ms(void); /* monotonic clock */
uint64_t now_boot_ns(void);

#endif
