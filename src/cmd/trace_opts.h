/* SPDX-License-Identifier: GPL-2.0-only */
/* The options of `trace`, and what follows from them. */
#ifndef CMD_TRACE_OPTS_H
#define CMD_TRACE_OPTS_H

#include "cmd/common_opts.h"

enum trace_hooks { TRACE_HOOKS_AUTO, TRACE_HOOKS_FEXIT, TRACE_HOOKS_TRACEPOINT };

struct trace_opts {
	struct common_opts common; /* first */
	bool failures;
	uint32_t count;       /* 0: not given */
	uint64_t duration_ns; /* 0: not given */
	bool no_snapshot;
	bool no_iterators;
	bool ephemeral;
	bool autobind;
	int hooks; /* enum trace_hooks */
	uint64_t ring_bytes;
};

extern const struct arg trace_args[]; /* .args; .common is common_args */
extern const char trace_synopsis[];
extern const char trace_examples[];
void trace_defaults(void *opts); /* .defaults */

/* What `trace` is to do. Owns filter, kernel and sink_options.only. */
struct trace_config {
	struct filter *filter;            /* never NULL, maybe empty */
	struct filter_kernel *kernel;     /* the kernel's part of it; borrows names from filter */
	struct sink_options sink_options; /* to standard output */
	const struct sink_ops *sink;
	enum trace_hooks hooks;
	uint32_t ring_bytes;  /* power of two, multiple of a page */
	uint64_t count;       /* stop after so many events; 0: no limit */
	uint64_t duration_ns; /* stop after so long; 0: no limit */
	bool snapshot, ephemeral, autobind, no_iterators;
	bool quiet;
	unsigned verbose;
};

/* Fill @ret from struct trace_opts and the operands. 0; -ENOMEM; -EINVAL with a story, a usage error. */
int trace_options(const void *opts, int argc, char **argv, struct trace_config *ret);
void trace_config_done(struct trace_config *c); /* fine on zeroes */

#endif
