/* SPDX-License-Identifier: GPL-2.0-only */
/* The options of `trace`: their table, and what is to be done. */
#include "cmd/trace_opts.h"

#include <errno.h>
#include <stdlib.h>

#include "cmd/ring_opt.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/parse.h"

static int set_count(void *opts, const char *text)
{
	struct trace_opts *o = opts;

	if (parse_u32(text, &o->count) < 0 || o->count == 0)
		return fail_text(-EINVAL, "--count takes a number from 1, not '%s'", text);
	return 0;
}

static int set_duration(void *opts, const char *text)
{
	struct trace_opts *o = opts;
	int r;

	r = parse_duration(text, &o->duration_ns);
	if (r == -ERANGE)
		return fail_text(-EINVAL, "'%s' is too long for --duration", text);
	if (r < 0 || o->duration_ns == 0)
		return fail_text(-EINVAL, "--duration takes a time like 30s, 250ms or 5m, not '%s'", text);
	return 0;
}

static int set_ring(void *opts, const char *text)
{
	return ring_parse(text, &((struct trace_opts *)opts)->ring_bytes);
}

#define AT(member) offsetof(struct trace_opts, member)

/* clang-format off */
const struct arg trace_args[] = {
	{ 'x', "failed",      ARG_FLAG, AT(failures), NULL, "failures only: failed" },
	{ 'c', "count",       ARG_CALL, 0, "N", "stop after N events", set_count },
	{ 0,   "duration",    ARG_CALL, 0, "TIME", "stop after TIME; status 1: -c not reached",
	  set_duration },
	{ 0,   "no-snapshot", ARG_FLAG, AT(no_snapshot), NULL, "do not look for what is held already" },
	{ 0,   "no-iterators", ARG_FLAG, AT(no_iterators), NULL, "find what is held already in /proc", .hidden = true },
	{ 0,   "ephemeral",   ARG_FLAG, AT(ephemeral), NULL, "tell binds to port 0 too, and their releases" },
	{ 0,   "autobind",    ARG_FLAG, AT(autobind), NULL, "tell ports taken by connect or sendto too" },
	{ 0,   "hooks",       ARG_CHOICE, AT(hooks), "auto|fexit|tracepoint", "which kernel hooks to use" },
	{ 0,   "ring",        ARG_CALL, 0, "SIZE", RING_HELP, set_ring },
	{ 0 },
};
/* clang-format on */

const char trace_synopsis[] = "[OPTIONS] [FILTER]";

/* clang-format off */
const char trace_examples[] =
	"  sudo portlog                        every bind, listen and release\n"
	"  sudo portlog port 8080              who has it, takes it, lets it go\n"
	"  sudo portlog -x                     failures, with who is in the way\n"
	"  sudo portlog -j comm nginx          one JSON object a line\n"
	"  sudo portlog -c 1 --duration 30s -x wait for the first failure\n";
/* clang-format on */

void trace_defaults(void *opts)
{
	struct trace_opts *o = opts;

	*o = (struct trace_opts){ .ring_bytes = RING_DEFAULT };
}

void trace_config_done(struct trace_config *c)
{
	free((void *)c->sink_options.only);
	free(c->kernel);
	filter_free(c->filter);
	*c = (struct trace_config){ 0 };
}

static int fill(const struct trace_opts *opts, int argc, char **argv, struct trace_config *c)
{
	int r;

	r = common_filter(&opts->common, opts->failures, argc, argv, &c->filter);
	if (r < 0)
		return r;
	c->kernel = malloc(sizeof(*c->kernel));
	if (!c->kernel)
		return fail(-ENOMEM, "read the filter");
	filter_kernel(c->filter, c->kernel);
	r = common_sink(&opts->common, STDOUT_FILENO, &c->sink_options);
	if (r < 0)
		return r;
	c->sink_options.ephemeral = opts->ephemeral;
	c->sink_options.current_first = !filter_is_empty(c->filter);
	return 0;
}

int trace_options(const void *opts, int argc, char **argv, struct trace_config *ret)
{
	const struct trace_opts *o = opts;
	struct trace_config c = {
		.sink = o->common.output == OUTPUT_JSON ? &sink_ndjson : &sink_text,
		.hooks = (enum trace_hooks)o->hooks,
		.ring_bytes = (uint32_t)o->ring_bytes,
		.count = o->count,
		.duration_ns = o->duration_ns,
		.snapshot = !o->no_snapshot,
		.no_iterators = o->no_iterators,
		.ephemeral = o->ephemeral,
		.autobind = o->autobind,
		.quiet = o->common.quiet,
		.verbose = o->common.verbose,
	};
	int r;

	r = fill(o, argc, argv, &c);
	if (r < 0) {
		trace_config_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}
