/* SPDX-License-Identifier: GPL-2.0-only */
/* record: the recorder, which keeps every event in a history on disk. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "enrich/boot_times.h"
#include "pipeline/pipeline.h"
#include "sink/history.h"
#include "sink/writer.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/parse.h"

#define RING_BYTES (8 << 20)
#define QUEUE_BYTES (10 << 20) /* events that wait for the disk: some ten thousand */
#define DAY_NS (86400 * 1000000000ull)

struct record_opts {
	const char *store;
	struct store_limits limits;
	int hooks;
	bool ephemeral;
	bool autobind;
	bool quiet;
	uint64_t duration_ns; /* 0: until a signal */
	uint64_t queue_bytes;
	const char *netns; /* NULL: all */
};

/* One of "30d" and "512M": a size ends in a letter that no time has. */
static int limit_add(struct store_limits *limits, const char *text)
{
	uint64_t n;

	if (!parse_duration(text, &n) && n && text[strspn(text, "0123456789")])
		limits->age_ns = n;
	else if (!parse_size(text, &n) && n)
		limits->bytes = n;
	else
		return fail_text(-EINVAL, "--retain takes an age and a size like 30d,512M, not '%s'", text);
	return 0;
}

static int set_retain(void *opts, const char *text)
{
	auto_free char *copy = strdup(text);
	struct record_opts *o = opts;
	char *at = copy, *word;
	int r = 0;

	if (!copy)
		return fail(-ENOMEM, "read --retain");
	o->limits = (struct store_limits){ 0 };
	while (!r && (word = strsep(&at, ",")))
		r = limit_add(&o->limits, word);
	return r;
}

#define AT(member) offsetof(struct record_opts, member)

/* clang-format off */
static const struct arg record_args[] = {
	{ 0,   "store",     ARG_STRING, AT(store), "FILE", "the history; " STORE_DEFAULT },
	{ 0,   "retain",    ARG_CALL,   0, "AGE,SIZE", "keep so much of it; 30d,512M", set_retain },
	{ 0,   "ephemeral", ARG_FLAG,   AT(ephemeral), NULL, "binds to port 0 too, and their releases" },
	{ 0,   "autobind",  ARG_FLAG,   AT(autobind), NULL, "ports taken by connect or sendto too" },
	{ 0,   "hooks",     ARG_CHOICE, AT(hooks), "auto|fexit|tracepoint", "which kernel hooks to use" },
	{ 'q', "quiet",     ARG_FLAG,   AT(quiet), NULL, "errors only" },
	{ 0,   "duration",  ARG_DURATION, AT(duration_ns), "TIME", "stop after TIME", .hidden = true },
	{ 'N', "netns",     ARG_STRING, AT(netns), "NETNS", "one namespace: host, a name or a number" },
	{ 0,   "queue",     ARG_SIZE,   AT(queue_bytes), "SIZE", "for tests", .hidden = true },
	{ 0 },
};
/* clang-format on */

static void record_defaults(void *opts)
{
	struct record_opts *o = opts;

	*o = (struct record_opts){
		.store = STORE_DEFAULT,
		.limits = { .age_ns = 30 * DAY_NS, .bytes = 512ull << 20 },
		.queue_bytes = QUEUE_BYTES,
	};
}

static void say_line(struct buf *b, const char *before, const char *text)
{
	buf_puts(b, before);
	buf_visible(b, text, strlen(text));
	buf_putc(b, '\n');
}

/* A sink has failed or works again. In one write: two threads share standard error. */
static void say(void *arg, const char *sink, const char *story, const char *remedy)
{
	struct buf b = { 0 };

	(void)arg;
	if (story) {
		buf_printf(&b, "portlog: %s: ", sink);
		say_line(&b, "", story);
		if (remedy[0])
			say_line(&b, "portlog: ", remedy);
		buf_printf(&b, "portlog: %s: events wait in memory; it is tried again every second\n", sink);
	} else {
		buf_printf(&b, "portlog: %s: works again\n", sink);
	}
	(void)buf_write(&b, STDERR_FILENO);
	buf_done(&b);
}

/* What time does not mend: better said now than in a log that nobody reads. */
static bool is_for_good(int r)
{
	return r == -EPROTO || r == -EBADMSG || r == -EISDIR || r == -EINVAL || r == -ENOTDIR || r == -ENOMEM;
}

/* A disk that is not there yet, or full, is waited for; the events wait in memory. */
static int store_try(const struct record_opts *o)
{
	struct store *s;
	int r = store_open(o->store, &s);

	if (!r) {
		store_close(s);
		return 0;
	}
	if (is_for_good(r))
		return r;
	say(NULL, "history", fail_story(), fail_remedy());
	fail_clear();
	return 0;
}

/* Only a namespace: a history with holes would tell wrong things of who holds what. */
static int filter_make(const struct record_opts *o, struct filter **ret_filter,
		       struct filter_kernel *ret_kernel)
{
	struct filter_error error;
	char text[128];
	int r;

	if (!o->netns)
		return 0;
	snprintf(text, sizeof(text), "netns \"%s\"", o->netns);
	r = strlen(o->netns) < 100 ? filter_parse(text, ret_filter, &error) : -EINVAL;
	if (r)
		return fail_text(-EINVAL, "--netns takes host, a name or a number, not '%.40s'", o->netns);
	filter_kernel(*ret_filter, ret_kernel);
	return 0;
}

static int record_run(const void *opts, int argc, char **argv)
{
	static const enum hook_set sets[] = { HOOKS_ANY, HOOKS_FEXIT, HOOKS_TRACEPOINT };
	const struct record_opts *o = opts;
	struct history_options history = { .path = o->store,
					   .limits = o->limits,
					   .boot_times = boot_times_ask };
	struct writer_sink sinks[] = { { .ops = &sink_history, .options = { .arg = &history } } };
	struct writer_options writer = { .sinks = sinks, .n = 1, .queue_bytes = o->queue_bytes, .say = say };
	struct sink_options sink = { .fd = -1, .talk_fd = -1, .arg = &writer };
	struct pipeline_config config = {
		.sink = &sink_writer,
		.sink_options = &sink,
		.hooks = sets[o->hooks],
		.ring_bytes = RING_BYTES,
		.duration_ns = o->duration_ns,
		.snapshot = true,
		.ephemeral = o->ephemeral,
		.autobind = o->autobind,
	};
	struct filter_kernel kernel;
	struct filter *filter = NULL;
	int r;

	if (argc)
		return fail_text(-EINVAL, "record takes no filter ('%.40s'): history does", argv[0]);
	r = filter_make(o, &filter, &kernel);
	if (!r)
		r = store_try(o);
	if (!r && !o->quiet)
		fprintf(stderr, "portlog: recording to %s. Ctrl-C stops; portlog history tells\n", o->store);
	config.filter = filter;
	config.kernel = filter ? &kernel : NULL;
	if (!r)
		r = pipeline_run(&config);
	filter_free(filter);
	return r == PIPELINE_SHORT ? 0 : r;
}

const struct cmd cmd_record = {
	.name = "record",
	.synopsis = "[OPTIONS]",
	.summary = "Keep every event in a history on disk",
	.examples = "  sudo portlog record                           until it is stopped\n"
		    "  sudo portlog record --retain 7d,100M          keep less\n"
		    "  sudo portlog record --store /srv/ports.db     elsewhere\n",
	.args = record_args,
	.opts_size = sizeof(struct record_opts),
	.defaults = record_defaults,
	.run = record_run,
};
