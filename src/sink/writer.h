/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events to sinks that may wait: each has a thread of its own behind a bounded queue, so that one that is slow, hangs or
 * fails stops neither the tracer nor another. A sink whose queue is full misses events; they are counted. A sink that fails
 * is tried again.
 */
#ifndef SINK_WRITER_H
#define SINK_WRITER_H

#include <stdatomic.h>

#include "core/filter.h"
#include "sink/sink.h"

#define WRITER_SINKS_MAX 16

/* One sink in figures; any thread may read them, also when the sink hangs. */
struct writer_gauge {
	_Atomic uint64_t written; /* events, counted when they are safe */
	_Atomic uint64_t missed;  /* events that it will never have */
	_Atomic uint64_t queued;  /* bytes of events that wait */
	_Atomic bool failing;
};

struct writer_sink {
	const struct sink_ops *ops;
	struct sink_options options; /* options.arg: the sink's own, borrowed for open() */
	const char *name;            /* in messages; NULL: that of ops */
	const struct filter *filter; /* as long; what it does not match is not for this sink. NULL: all is */
	struct writer_gauge *gauge;  /* for ever: a sink that hangs is left behind. NULL: nobody looks */
};

enum writer_event {
	WRITER_FAILED,  /* story and remedy; events wait */
	WRITER_FULL,    /* no more of them can wait: they are missed */
	WRITER_WORKS,   /* again; missed: since it did not */
	WRITER_GAVE_UP, /* at the end; missed: with what still waited */
};

struct writer_news {
	enum writer_event event;
	const char *sink;
	const char *story, *remedy; /* never NULL */
	uint64_t missed;
};

struct writer;

/* sink_options.arg of sink_writer. */
struct writer_options {
	/*
	 * The losses of the first are told by the loop (sink_ops.lost), which then compares and tells again what is held. In
	 * any other, a `lost` event stands where events are missing, with the seq of the last of them.
	 */
	const struct writer_sink *sinks;
	size_t n;
	size_t queue_bytes; /* for each sink */
	bool held; /* the first sink writes up to a mark only, and keeps its place: see sink_ops.mark */
	void (*say)(void *arg,
		    const struct writer_news *news); /* on any thread, the loop's too; may be NULL */
	void *say_arg;
	void (*begin)(void *arg, const char *sink); /* first of all on each sink's thread; NULL: nothing */
	void *begin_arg;
	struct writer **handle; /* where to keep the writer while it is open; NULL: nowhere */
};

extern const struct sink_ops sink_writer;

/* Each sink opens its file anew, once it has written all that came before. NULL is fine. */
void writer_reopen(struct writer *w);

#endif
