/* SPDX-License-Identifier: GPL-2.0-only */
/* record: the recorder, which keeps every event in a history on disk. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/ring_opt.h"
#include "cmd/service.h"
#include "enrich/boot_times.h"
#include "pipeline/pipeline.h"
#include "sink/history.h"
#include "sink/metrics.h"
#include "sink/sinks.h"
#include "sink/writer.h"
#include "source/bpf.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/human.h"
#include "util/parse.h"
#include "util/privileges.h"

#define QUEUE_BYTES (8 << 20) /* events that wait for the disk: some five thousand */
#define PIN_DEFAULT "/sys/fs/bpf/portlog"
#define DAY_NS (86400 * 1000000000ull)

/*
 * What is needed once the hooks are on. The loop: /proc of other users' processes (whose descriptors want both of the
 * first); CAP_SYS_ADMIN to ask the kernel about sockets in other network namespaces, for which there is no other way than
 * to enter them, and for bpf(2) on maps before Linux 5.19. Sinks: files that are not root's.
 */
#define LOOP_KEEPS "cap_dac_read_search,cap_sys_ptrace,cap_sys_admin"
#define SINK_KEEPS "cap_dac_override,cap_chown"

struct record_opts {
	const char *store;
	struct store_limits limits;
	int hooks;
	bool ephemeral;
	bool autobind;
	bool quiet;
	bool verbose;
	uint64_t duration_ns; /* 0: until a signal */
	uint64_t queue_bytes;
	uint64_t ring_bytes;
	const char *netns; /* NULL: all */
	const char *sinks[WRITER_SINKS_MAX];
	size_t n_sinks;
	const char *metrics; /* NULL: none */
	const char *pin;     /* NULL: the hooks go with the process */
	const char *unpin;   /* not NULL: only that */
	uint32_t pin_salt;   /* for tests */
};

/* One of "30d" and "512M"; a bare number could be either. */
static int limit_add(struct store_limits *limits, const char *text)
{
	const char *unit = text + strspn(text, "0123456789");
	/* Both take either case: 512M is a size, 512m are minutes. */
	bool is_size = *unit < 'a' || *unit > 'z';
	uint64_t *limit = NULL, n = 0;

	if (*unit && is_size && !parse_size(text, &n))
		limit = &limits->bytes;
	else if (*unit && !parse_duration(text, &n))
		limit = &limits->age_ns;
	else if (*unit && !parse_size(text, &n))
		limit = &limits->bytes;
	if (!limit || !n || *limit)
		return fail_text(-EINVAL, "--retain takes an age and a size like 30d,512M, not '%s'", text);
	*limit = n;
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

static int set_sink(void *opts, const char *text)
{
	struct record_opts *o = opts;

	if (o->n_sinks == ARRAY_SIZE(o->sinks))
		return fail_text(-EINVAL, "--sink can be given %zu times", o->n_sinks);
	o->sinks[o->n_sinks++] = text;
	return 0;
}

static int set_ring(void *opts, const char *text)
{
	return ring_parse(text, &((struct record_opts *)opts)->ring_bytes);
}

#define AT(member) offsetof(struct record_opts, member)

/* clang-format off */
static const struct arg record_args[] = {
	{ 0,   "store",     ARG_STRING, AT(store), "FILE", "the history; " STORE_DEFAULT },
	{ 0,   "retain",    ARG_CALL,   0, "AGE,SIZE", "keep so much of it; 30d,512M", set_retain },
	{ 0,   "sink",      ARG_CALL,   0, "KIND:ARG FILTER", "to ndjson:FILE or journald too; repeatable", set_sink },
	{ 0,   "metrics-file", ARG_STRING, AT(metrics), "FILE", "figures for Prometheus, every 15 s", },
	{ 0,   "ephemeral", ARG_FLAG,   AT(ephemeral), NULL, "binds to port 0 too, and their releases" },
	{ 0,   "autobind",  ARG_FLAG,   AT(autobind), NULL, "ports taken by connect or sendto too" },
	{ 0,   "hooks",     ARG_CHOICE, AT(hooks), "auto|fexit|tracepoint", "which kernel hooks to use" },
	{ 'q', "quiet",     ARG_FLAG,   AT(quiet), NULL, "errors only" },
	{ 'v', "verbose",   ARG_FLAG,   AT(verbose), NULL, "privileges that are kept, totals at the end" },
	{ 0,   "duration",  ARG_DURATION, AT(duration_ns), "TIME", "stop after TIME", .hidden = true },
	{ 'N', "netns",     ARG_STRING, AT(netns), "NETNS", "one namespace: host, a name or a number" },
	{ 0,   "ring",      ARG_CALL,   0, "SIZE", RING_HELP, set_ring },
	{ 0,   "pin",       ARG_STRING, AT(pin), "=FOLDER", "hooks outlive it; " PIN_DEFAULT, .bare = PIN_DEFAULT },
	{ 0,   "unpin",     ARG_STRING, AT(unpin), "=FOLDER", "only take such hooks off", .bare = PIN_DEFAULT },
	{ 0,   "pin-salt",  ARG_U32,    AT(pin_salt), "N", "for tests", .hidden = true },
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
		.ring_bytes = RING_DEFAULT,
	};
}

struct recorder {
	const struct record_opts *opts;
	struct service service;
	struct history_options history;
	struct sinks sinks;
	struct writer_sink writer_sinks[WRITER_SINKS_MAX];
	size_t n;
	struct metrics_options metrics;
	struct filter *failures; /* what the metrics count */
	struct writer *writer;   /* while it is open */
};

/* Not the recorder's own: a sink that hangs at the end is left behind with it. */
static struct writer_gauge gauges[WRITER_SINKS_MAX];
static struct metrics_board board = { .lock = PTHREAD_MUTEX_INITIALIZER };

/*
 * To standard error in one write (threads share it), and done with @b. Where nobody reads it nothing is said, rather than
 * waited: a pipe that can be written takes PIPE_BUF bytes at once (pipe(7)).
 */
static void talk(struct buf *b)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&p, 1, 0) > 0 && p.revents & POLLOUT)
		(void)buf_write(b, STDERR_FILENO);
	buf_done(b);
}

static void say_text(struct buf *b, const char *before, const char *text)
{
	buf_puts_visible(b, before);
	buf_puts_visible(b, text);
}

static void say_line(struct buf *b, const char *before, const char *text)
{
	say_text(b, before, text);
	buf_putc(b, '\n');
}

static void buf_story(struct buf *b, const char *before, const char *story, const char *remedy)
{
	say_line(b, before, story);
	if (remedy[0])
		say_line(b, "portlog: ", remedy);
}

/* "works again; 1,204 events were missed", and other news of a sink. */
static void say(void *arg, const struct writer_news *news)
{
	struct recorder *rec = arg;
	char count[HUMAN_LEN], before[300];
	struct buf b = { 0 };

	human_count(news->missed, count);
	snprintf(before, sizeof(before), "portlog: %s: ", news->sink);
	if (news->event == WRITER_FAILED) {
		service_trouble(&rec->service, news->sink, news->story);
		buf_story(&b, before, news->story, news->remedy);
		say_line(&b, before, "events wait in memory; it is tried again every second");
	} else if (news->event == WRITER_FULL) {
		say_line(&b, before, "no more events can wait for it: they are missed, and counted");
	} else {
		bool works = news->event == WRITER_WORKS;

		if (works)
			service_trouble(&rec->service, news->sink, NULL);
		say_text(&b, before, works ? "works again" : "given up");
		if (news->missed)
			buf_printf(&b, "; %s event%s missed", count, news->missed == 1 ? " was" : "s were");
		buf_putc(&b, '\n');
	}
	talk(&b);
}

static void say_story(const char *sink)
{
	struct buf b = { 0 };
	char before[64];

	snprintf(before, sizeof(before), "portlog: %s: ", sink);
	buf_story(&b, before, fail_story(), fail_remedy());
	talk(&b);
}

/* What time does not mend: better said now than in a log that nobody reads. */
static bool is_for_good(int r)
{
	return r == -EPROTO || r == -EBADMSG || r == -EALREADY || r == -EISDIR || r == -EINVAL ||
	       r == -ENOTDIR || r == -ENOMEM;
}

/*
 * A disk that is not there yet, or full, or hangs, is the writer's to wait for: it opens the file when there is something
 * to write, and the events wait in memory. A damaged file does not keep the recorder from recording.
 */
static int store_try(const struct recorder *rec)
{
	int r = store_probe(rec->opts->store);

	if (r == -EBADMSG && !history_set_aside(rec->opts->store, false)) {
		say_story("history");
		r = 0;
	}
	if (is_for_good(r))
		return r;
	fail_clear();
	return 0;
}

/* ---- what is done beside the line of records ---- */

static void privileges_drop(const struct recorder *rec, const char *who, const char *keep)
{
	char text[512];

	if (privileges_keep(keep) < 0) {
		fprintf(stderr, "portlog: %s\n", fail_story());
		fail_clear();
	}
	if (rec->opts->verbose)
		fprintf(stderr, "portlog: privileges of the %s: %s\n", who,
			privileges_text(text, sizeof(text)));
}

static void sink_begins(void *arg, const char *sink)
{
	privileges_drop(arg, sink, SINK_KEEPS);
}

static void recorder_synced(void *arg, const struct pipeline_stats *s)
{
	struct recorder *rec = arg;

	privileges_drop(rec, "loop", LOOP_KEEPS);
	metrics_show(&board, s);
	service_synced(&rec->service, s);
}

static void recorder_look(void *arg, const struct pipeline_stats *s)
{
	struct recorder *rec = arg;

	metrics_show(&board, s);
	service_look(&rec->service, s);
}

/* How often that is wanted; 0: never. */
static uint64_t recorder_look_ns(const struct recorder *rec)
{
	uint64_t service = service_look_ns(&rec->service);

	return rec->opts->metrics && (!service || service > METRICS_NS) ? METRICS_NS : service;
}

static void recorder_reopen(void *arg)
{
	struct recorder *rec = arg;

	service_reloading(&rec->service);
	writer_reopen(rec->writer);
	service_reloaded(&rec->service);
}

/* For SIGUSR1. */
static void recorder_figures(void *arg)
{
	struct recorder *rec = arg;
	char written[HUMAN_LEN], missed[HUMAN_LEN];
	struct buf b = { 0 };

	for (size_t i = 0; i < rec->n; i++) {
		const struct writer_sink *s = &rec->writer_sinks[i];
		const char *name = s->name ? s->name : s->ops->name;

		say_text(&b, "portlog: ", name);
		buf_printf(&b, ": %s events written, %s missed, %llu KiB wait%s\n",
			   human_count(s->gauge->written, written), human_count(s->gauge->missed, missed),
			   (unsigned long long)(s->gauge->queued + 1023) / 1024,
			   s->gauge->failing ? "; it fails" : "");
	}
	talk(&b);
}

static void recorder_say(void *arg, const char *text)
{
	const struct recorder *rec = arg;

	if (!rec->opts->quiet)
		fprintf(stderr, "portlog: %s\n", text);
}

static void recorder_stopping(void *arg)
{
	struct recorder *rec = arg;

	service_stopping(&rec->service);
}

/* ---- the command ---- */

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

static void sink_add(struct recorder *rec, struct writer_sink sink)
{
	sink.gauge = &gauges[rec->n];
	rec->writer_sinks[rec->n++] = sink;
}

/* It shows all others, so it is the last. */
static int metrics_add(struct recorder *rec)
{
	struct filter_error error;

	if (!rec->opts->metrics)
		return 0;
	if (filter_parse("failed", &rec->failures, &error))
		return fail(-ENOMEM, "count failures");
	rec->metrics = (struct metrics_options){ .path = rec->opts->metrics,
						 .store = rec->opts->store,
						 .board = &board,
						 .sinks = rec->writer_sinks };
	sink_add(rec, (struct writer_sink){ .ops = &sink_metrics,
					    .options = { .arg = &rec->metrics },
					    .filter = rec->failures });
	rec->metrics.n = rec->n;
	return 0;
}

/* The history is the first: its losses are the loop's to tell. */
static int sinks_read(struct recorder *rec)
{
	const struct record_opts *o = rec->opts;
	int r = 0;

	rec->history = (struct history_options){ .path = o->store,
						 .limits = o->limits,
						 .boot_times = boot_times_ask };
	sink_add(rec, (struct writer_sink){ .ops = &sink_history, .options = { .arg = &rec->history } });
	for (size_t i = 0; !r && i < o->n_sinks; i++)
		r = sinks_add(&rec->sinks, o->sinks[i]);
	for (size_t i = 0; !r && i < rec->sinks.n; i++)
		sink_add(rec, sink_spec_writer(&rec->sinks.list[i]));
	return r ? r : metrics_add(rec);
}

/* The pipeline, with all that looks after it. */
static int recorder_run(struct recorder *rec, const struct filter *filter, const struct filter_kernel *kernel)
{
	static const enum hook_set sets[] = { HOOKS_ANY, HOOKS_FEXIT, HOOKS_TRACEPOINT };
	const struct record_opts *o = rec->opts;
	struct writer_options writer = { .sinks = rec->writer_sinks,
					 .n = rec->n,
					 .queue_bytes = o->queue_bytes,
					 .held = o->pin,
					 .say = say,
					 .say_arg = rec,
					 .begin = sink_begins,
					 .begin_arg = rec,
					 .handle = &rec->writer };
	struct sink_options sink = { .fd = -1, .talk_fd = -1, .arg = &writer };
	const struct pipeline_keeper keeper = {
		.synced = recorder_synced,
		.look = recorder_look,
		/* At a terminal SIGHUP says that it has gone, unless there are files to open anew. */
		.reopen = notify_wanted(&rec->service.notify) || rec->sinks.n ? recorder_reopen : NULL,
		.figures = recorder_figures,
		.stopping = recorder_stopping,
		.say = recorder_say,
		.arg = rec,
		.look_ns = recorder_look_ns(rec),
	};
	const struct pipeline_config config = {
		.filter = filter,
		.kernel = filter ? kernel : NULL,
		.sink = &sink_writer,
		.sink_options = &sink,
		.hooks = sets[o->hooks],
		.ring_bytes = (uint32_t)o->ring_bytes,
		.duration_ns = o->duration_ns,
		.keeper = &keeper,
		.pin = o->pin,
		.history = o->store,
		.pin_salt = o->pin_salt,
		.snapshot = true,
		.ephemeral = o->ephemeral,
		.autobind = o->autobind,
		.verbose = o->verbose,
	};

	return pipeline_run(&config);
}

static int unpin(const char *dir)
{
	int r = tracer_unpin(dir);

	if (r == -ENOENT) {
		fprintf(stderr, "portlog: nothing is pinned in %s\n", dir);
		return EXIT_NO;
	}
	if (!r)
		fprintf(stderr, "portlog: the hooks pinned in %s are taken off\n", dir);
	return r;
}

static int record_run(const void *opts, int argc, char **argv)
{
	static struct recorder rec; /* a sink that hangs at the end may look at it still */
	const struct record_opts *o = opts;
	struct filter_kernel kernel = { 0 };
	struct filter *filter = NULL;
	int r;

	if (argc)
		return fail_text(-EINVAL, "record takes no filter ('%.40s'): history does", argv[0]);
	if (o->unpin)
		return unpin(o->unpin);
	if (!*o->store || (o->metrics && !*o->metrics))
		return fail_text(-EINVAL, "--%s takes the name of a file",
				 *o->store ? "metrics-file" : "store");
	rec.opts = opts;
	r = service_open(&rec.service);
	if (!r)
		r = filter_make(o, &filter, &kernel);
	if (!r)
		r = sinks_read(&rec);
	if (!r)
		r = store_try(&rec);
	if (!r && !o->quiet)
		fprintf(stderr, "portlog: recording to %s. Ctrl-C stops; portlog history tells\n", o->store);
	if (!r && !o->pin && !o->quiet && !access(PIN_DEFAULT, F_OK))
		fprintf(stderr, "portlog: other hooks are pinned in " PIN_DEFAULT
				" and go on beside these; --pin goes on with them, --unpin takes them off\n");
	if (!r)
		r = recorder_run(&rec, filter, &kernel);
	if (r >= 0 && o->pin) /* also a service is to say what it leaves behind */
		fprintf(stderr,
			"portlog: the hooks stay in %s and go on; portlog record --unpin takes them off\n",
			o->pin);
	filter_free(filter);
	filter_free(rec.failures);
	sinks_done(&rec.sinks);
	service_close(&rec.service);
	return r == PIPELINE_SHORT ? 0 : r;
}

const struct cmd cmd_record = {
	.name = "record",
	.synopsis = "[OPTIONS]",
	.summary = "Keep every event in a history on disk",
	.examples = "  sudo portlog record                           until it is stopped\n"
		    "  sudo portlog record --retain 7d,100M          keep less\n"
		    "  sudo portlog record --store /srv/ports.db     elsewhere\n"
		    "  sudo portlog record --pin                     no gap when it starts again\n"
		    "  sudo portlog record --sink 'ndjson:/var/log/ports.json action listen'\n",
	.args = record_args,
	.opts_size = sizeof(struct record_opts),
	.defaults = record_defaults,
	.run = record_run,
};
