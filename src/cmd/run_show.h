/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is shown of the tracing half's lines, and when: a failure a moment after it happened, so that the command's own
 * message comes first and in one piece; what failed elsewhere at the end, if the command failed for no reason of its own.
 */
#ifndef CMD_RUN_SHOW_H
#define CMD_RUN_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"

struct show {
	int fd;          /* where to */
	int error;       /* of the first write that failed; 0: none has */
	bool json;       /* events alone, no sentence */
	bool quiet;      /* failures alone */
	bool ready;      /* the tracing half is */
	bool complete;   /* and has told all */
	bool own;        /* a bind or listen of the command has failed */
	bool over;       /* the command has ended: nothing has to wait any more */
	uint64_t due_ns; /* when held lines go out; 0: there are none */
	struct buf held;
	struct buf elsewhere;
	unsigned n_elsewhere; /* failures, kept or not */
};

void show_line(void *arg, const char *line, size_t len); /* one line of the half; @arg is a struct show */
void show_due(struct show *s, uint64_t now_ns);          /* write what has waited long enough */
void show_say(struct show *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* a note, at once */
/* The command has ended with @status, by itself or by a @signal: the last words. */
void show_end(struct show *s, int status, bool explained);
void show_done(struct show *s);

#endif
