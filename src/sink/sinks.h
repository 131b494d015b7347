/* SPDX-License-Identifier: GPL-2.0-only */
/* The sinks that `--sink 'KIND:ARGUMENT FILTER'` asks for: text to what the writer takes. */
#ifndef SINK_SINKS_H
#define SINK_SINKS_H

#include "core/filter.h"
#include "sink/writer.h"

/* One of them. */
struct sink_spec {
	const struct sink_kind *kind;
	char *name;     /* as typed, without the filter: "ndjson:/var/log/portlog.ndjson", "journald" */
	char *argument; /* NULL: none */
	struct filter *filter;
};

struct sinks {
	struct sink_spec list[WRITER_SINKS_MAX];
	size_t n;
};

/*
 * "ndjson:/var/log/x failed and port 80"; an argument with spaces is put in double quotes. 0; -ENOMEM; -EINVAL with a story
 * and a caret under what is wrong.
 */
int sinks_add(struct sinks *s, const char *text);
void sinks_done(struct sinks *s);

/* For the writer; borrows @spec. */
struct writer_sink sink_spec_writer(const struct sink_spec *spec);

#endif
