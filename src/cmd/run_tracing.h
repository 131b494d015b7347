/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The half of `run` that traces: portlog once more, as root. It is told whom to follow by its command line, says its
 * lines (sink/report.h) on its standard output, and ends when its standard input does: sudo leaves it nothing else.
 */
#ifndef CMD_RUN_TRACING_H
#define CMD_RUN_TRACING_H

#include <sys/types.h>

#include "cmd/run_opts.h"

#define TRACING_LINE_MAX 8192 /* longer ones are not made: FIELD_LINE_MAX and what stands around it */

struct tracing {
	pid_t pid;  /* 0: none */
	int in_fd;  /* closing it ends the half, once all is told; -1: closed */
	int out_fd; /* its lines, not blocking; -1: it has ended */
	char text[2 * TRACING_LINE_MAX];
	size_t len;
};

/* Start it for @followed. 0 or negative errno with a story. */
int tracing_start(struct tracing *t, const struct run_opts *o, pid_t followed);

/* Hand on what it has said, line by line without newline; at the end out_fd is -1. */
void tracing_read(struct tracing *t, void (*line)(void *arg, const char *text, size_t len), void *arg);
void tracing_end(struct tracing *t); /* ask it to end */
void tracing_done(struct tracing *t);

/* The half itself: what `portlog run --follow PID` does. 0 or negative errno with a story. */
int tracing_follow(const struct run_opts *o);

#endif
