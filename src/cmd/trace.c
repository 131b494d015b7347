/* SPDX-License-Identifier: GPL-2.0-only */
/* trace: stream what happens to ports as it happens. */
#include <errno.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/trace_opts.h"
#include "pipeline/pipeline.h"
#include "util/buf.h"

static const enum hook_set hook_sets[] = {
	[TRACE_HOOKS_AUTO] = HOOKS_ANY,
	[TRACE_HOOKS_FEXIT] = HOOKS_FEXIT,
	[TRACE_HOOKS_TRACEPOINT] = HOOKS_TRACEPOINT,
};

static void filter_say(const struct trace_config *c)
{
	struct buf b = { 0 };
	char text[512];

	if (!c->verbose || c->quiet)
		return;
	filter_describe(c->filter, text, sizeof(text));
	buf_puts(&b, "portlog: filter: ");
	buf_visible(&b, text, strlen(text));
	buf_putc(&b, '\n');
	if (text[0])
		(void)buf_write(&b, STDERR_FILENO);
	buf_done(&b);
}

static int trace_run(const void *opts, int argc, char **argv)
{
	struct trace_config c = { 0 };
	struct pipeline_config config;
	int r;

	r = trace_options(opts, argc, argv, &c);
	if (r < 0) {
		trace_config_done(&c);
		return r;
	}
	filter_say(&c);
	config = (struct pipeline_config){
		.filter = c.filter,
		.kernel = c.kernel,
		.sink = c.sink,
		.sink_options = &c.sink_options,
		.hooks = hook_sets[c.hooks],
		.ring_bytes = c.ring_bytes,
		.count = c.count,
		.duration_ns = c.duration_ns,
		.snapshot = c.snapshot,
		.ephemeral = c.ephemeral,
		.autobind = c.autobind,
		.no_iterators = c.no_iterators,
		.verbose = c.verbose,
	};
	r = pipeline_run(&config);
	trace_config_done(&c);
	return r == PIPELINE_SHORT ? EXIT_NO : r;
}

const struct cmd cmd_trace = {
	.name = "trace",
	.synopsis = trace_synopsis,
	.summary = "Stream binds, listens and releases as they happen",
	.examples = trace_examples,
	.args = trace_args,
	.common = common_args,
	.opts_size = sizeof(struct trace_opts),
	.defaults = trace_defaults,
	.run = trace_run,
};
