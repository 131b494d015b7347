/* SPDX-License-Identifier: GPL-2.0-only */
/* A sink is where records go. It never fails the others: its error is its own, kept and told by sinks.c's caller. */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include "core/field.h"
#include "core/record.h"
#include "util/buf.h"

enum time_style { TIME_STYLE_LOCAL, TIME_STYLE_UTC, TIME_STYLE_BOOT, TIME_STYLE_DELTA };

struct sink_options {
	int fd;      /* where it writes */
	int talk_fd; /* text: opening line, blind spots, totals (stderr); 0 or less: nowhere */
	/* While one of them takes nothing: see buf_write_waiting(). NULL: wait for ever. */
	int (*wait)(void *arg, int fd);
	void *wait_arg;
	void *arg; /* what a sink needs beside these: see its header, or the command that brings it along */
	bool tty;  /* header and folding as for a person at a terminal */
	bool color;
	bool wide; /* -o wide */
	bool header;
	bool hints;
	bool quiet;
	bool ephemeral;     /* port-0 binds are told too: the opening line need not speak of them */
	bool current_first; /* text: show snapshot rows (a filter is given), not one line */
	bool verbose;       /* text: what the hooks cannot see, in full */
	bool json;          /* report: events as JSON instead of sentences */
	uint32_t own_netns; /* report: not named; 0: none is */
	bool line_buffered; /* write each line at once (terminal, pipe); else whenever the loop is idle */
	unsigned columns;   /* terminal width; 0: unknown */
	enum time_style time;
	struct field_options field;
	const struct field *const *only; /* -F */
	size_t n_only;
};

/* Of a source that outlives the program: @ring is its name, @position what was read of it, bytes since it was made. */
struct sink_place {
	uint64_t ring, position;
};

struct sink_ops {
	const char *name;
	/* 0 or negative errno with a story. */
	int (*open)(const struct sink_options *o, void **ret_state);
	/* 0; -EPIPE: the reader has gone, which ends the run quietly; other negative errno with a story. */
	int (*write)(void *state, const struct view *view);
	/* Let go of what was held back (folds, joins) and is due at @now_ns (boot clock); UINT64_MAX: all of it.
	 * *ret_next_ns: when to be called again, 0: nothing is held back. */
	int (*tick)(void *state, uint64_t now_ns, uint64_t *ret_next_ns);
	/* Write out what is buffered; called when the ring has been drained. */
	int (*flush)(void *state);
	/*
	 * Forget what was written since the last flush: it is written again. NULL: it cannot; then an event whose write
	 * failed is given again, and what a flush could not write the sink keeps for the next one.
	 */
	void (*undo)(void *state);
	/* SIGHUP: let go of the file and open what now has its name. 0 or negative errno with a story. NULL: nothing to do. */
	int (*reopen)(void *state);
	/*
	 * For a source that is read anew from where it was kept (a ring that outlives the program). mark: all events that
	 * come from what lies before @place have been told. kept: up to where all is on disk. full: no more, please.
	 * place: to be kept with what is flushed next. NULL: such a source cannot be kept.
	 */
	void (*mark)(void *state, struct sink_place place);
	struct sink_place (*kept)(void *state);
	bool (*full)(void *state);
	int (*place)(void *state, struct sink_place place);
	/* Events that found no room since it was opened, as far as they are to be told now. NULL: none ever. */
	uint64_t (*lost)(void *state);
	/* What could not be shown any more is dropped; frees @state. NULL is fine. */
	void (*close)(void *state);
};

/* What `record --sink KIND:ARGUMENT FILTER` can name. The argument is options.arg of its ops, a const char *. */
struct sink_kind {
	const struct sink_ops *ops;
	const char *argument; /* what help calls it; NULL: it takes none */
	bool optional;        /* it may be left out: then it is NULL */
	const char *filter;   /* where none is given; NULL: all events */
};

/* To add one: src/sink/x.c with a `const struct sink_kind kind_x`, and X(x) here. One that is not built in is NULL. */
#define SINKS(X) X(ndjson) X(journald)

#define SINK_DECLARE(x) extern const struct sink_kind kind_##x __attribute__((weak));
SINKS(SINK_DECLARE)
#undef SINK_DECLARE

/* To @fd, waiting for its reader as @o says. As buf_write(). */
static inline int sink_put(const struct sink_options *o, struct buf *b, int fd)
{
	return o->wait ? buf_write_waiting(b, fd, o->wait, o->wait_arg) : buf_write(b, fd);
}

extern const struct sink_ops sink_text;
extern const struct sink_ops sink_ndjson;
extern const struct sink_ops sink_ndjson_file; /* --sink ndjson:FILE */
extern const struct sink_ops sink_journald;
extern const struct sink_ops sink_report; /* for sink/report.h's reader */

#endif
