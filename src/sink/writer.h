/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one thread that writes to files: a bounded queue for each of its sinks, so that a slow disk stops neither the tracer
 * nor another sink. A sink whose queue is full misses events; they are counted. A sink that fails is tried again.
 */
#ifndef SINK_WRITER_H
#define SINK_WRITER_H

#include "sink/sink.h"

#define WRITER_SINKS_MAX 16

struct writer_sink {
	const struct sink_ops *ops;
	struct sink_options options; /* options.arg: the sink's own */
};

/* sink_options.arg of sink_writer. Its losses are those of the first sink. */
struct writer_options {
	const struct writer_sink *sinks;
	size_t n;
	size_t queue_bytes; /* for each sink */
	/* A sink has failed, or (story NULL) works again. On the writer's thread. */
	void (*say)(void *arg, const char *sink, const char *story, const char *remedy);
	void *say_arg;
	void (*begin)(void *arg); /* first of all on that thread; NULL: nothing */
	void *begin_arg;
};

extern const struct sink_ops sink_writer;

#endif
