/* SPDX-License-Identifier: GPL-2.0-only */
/* history: what happened, out of what `record` kept. */
#include "cmd/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/boots.h"
#include "cmd/cmd.h"
#include "util/cleanup.h"
#include "util/fail.h"
#include "util/loop.h"
#include "util/parse.h"
#include "util/when.h"

#define NS_PER_S 1000000000ll
#define FOLLOW_US 200000 /* between two looks for what is new */

static int set_lines(void *opts, const char *text)
{
	struct history_opts *o = opts;

	if (parse_u32(text, &o->lines) < 0 || !o->lines)
		return fail_text(-EINVAL, "--lines takes a number from 1, not '%s'", text);
	return 0;
}

#define AT(member) offsetof(struct history_opts, member)

/* clang-format off */
static const struct arg history_args[] = {
	{ 'S', "since",     ARG_STRING, AT(since), "TIME", "from then on: \"yesterday 03:12\", -2h" },
	{ 'U', "until",     ARG_STRING, AT(until), "TIME", "until then" },
	{ 'b', "boot",      ARG_STRING, AT(boot),  "BOOT", "of one boot: 0 the last, -1 before, or its id" },
	{ 'n', "lines",     ARG_CALL, 0, "N", "the last N", set_lines },
	{ 'f', "follow",    ARG_FLAG, AT(follow), NULL, "go on with what comes" },
	{ 'r', "reverse",   ARG_FLAG, AT(reverse), NULL, "the newest first" },
	{ 'x', "failed",    ARG_FLAG, AT(failures), NULL, "failures only: failed" },
	{ 0,   "at",        ARG_STRING, AT(at), "TIME", "what was held at that moment, as list shows it" },
	{ 0,   "intervals", ARG_FLAG, AT(intervals), NULL, "who held it, from when to when" },
	{ 0,   "store",     ARG_STRING, AT(store), "FILE", "the history; " STORE_DEFAULT },
	{ 0 },
};
/* clang-format on */

static void history_defaults(void *opts)
{
	struct history_opts *o = opts;

	*o = (struct history_opts){ .store = STORE_DEFAULT };
}

const char *history_moment(const struct history *h, int64_t wall_ns, char *out, size_t size)
{
	time_t s = (time_t)(wall_ns / NS_PER_S);
	struct tm tm;

	out[0] = '\0';
	if (h->sink.time == TIME_STYLE_UTC ? gmtime_r(&s, &tm) : localtime_r(&s, &tm))
		(void)strftime(out, size, "%F %H:%M:%S", &tm);
	return out;
}

/* ---- which part of it ---- */

static int moment_parse(const struct history *h, const char *option, const char *text, int64_t *ret_ns)
{
	int r = when_parse(text, h->now_ns, ret_ns);

	if (r == -ERANGE)
		return fail_text(-EINVAL, "--%s: '%.60s' is out of range", option, text);
	if (r) {
		fail_text(-EINVAL, "--%s: '%.60s' is no time", option, text);
		return fail_hint(-EINVAL,
				 "try \"yesterday 03:12\", -2h, 2026-11-22 03:12:07, today or @SECONDS");
	}
	return 0;
}

static int boot_unknown(struct history *h, const char *text)
{
	char boots[160];
	int r = boots_list(h->store, boots, sizeof(boots));

	if (r)
		return r;
	fail_text(-EINVAL, "--boot: nothing was recorded of boot '%.40s'", text);
	return fail_hint(-EINVAL, "recorded are: %s", boots);
}

static int boot_range(struct history *h, const char *text)
{
	struct boot_range range;
	int r = boots_find(h->store, text, &range);

	if (r == BOOTS_NONE)
		return boot_unknown(h, text);
	if (r)
		return r;
	h->after = range.first - 1;
	h->until = range.last;
	return 0;
}

static int range_find(struct history *h)
{
	const struct history_opts *o = h->opts;
	int64_t ns, id;
	int r = 0;

	h->until = INT64_MAX;
	if (o->boot)
		r = boot_range(h, o->boot);
	if (!r && o->since) {
		r = moment_parse(h, "since", o->since, &ns);
		if (!r)
			r = store_id_at(h->store, ns - 1, &id);
		if (!r && id > h->after)
			h->after = id;
	}
	if (!r && o->until) {
		r = moment_parse(h, "until", o->until, &ns);
		if (!r)
			r = store_id_at(h->store, ns, &id);
		if (!r && id < h->until)
			h->until = id;
	}
	return r;
}

/* ---- the stream of events ---- */

struct telling {
	struct history *h;
	const struct sink_ops *ops;
	void *sink;
	int day; /* of the last line: tm_year * 366 + tm_yday; -1: none */
	int64_t last;
	int64_t *ids; /* -n: the last that match, the newest first */
	uint32_t n;
};

static bool is_text(const struct telling *t)
{
	return t->ops == &sink_text && !t->h->sink.n_only;
}

static int put_heading(struct telling *t, const char *text)
{
	struct buf b = { 0 };
	uint64_t next;
	int r = t->ops->tick(t->sink, UINT64_MAX, &next);

	if (!r)
		r = t->ops->flush(t->sink);
	buf_printf(&b, "-- %s --\n", text);
	if (!r)
		r = buf_write(&b, STDOUT_FILENO);
	buf_done(&b);
	return r;
}

/* Lines of a stream have the time of day alone: say what day it is. */
static int day_tell(struct telling *t, int64_t wall_ns)
{
	time_t s = (time_t)(wall_ns / NS_PER_S);
	char text[64];
	struct tm tm;
	int day;

	if (t->h->sink.time != TIME_STYLE_LOCAL && t->h->sink.time != TIME_STYLE_UTC)
		return 0;
	if (!(t->h->sink.time == TIME_STYLE_UTC ? gmtime_r(&s, &tm) : localtime_r(&s, &tm)))
		return 0;
	day = tm.tm_year * 366 + tm.tm_yday;
	if (day == t->day)
		return 0;
	t->day = day;
	return strftime(text, sizeof(text), "%a %F", &tm) ? put_heading(t, text) : 0;
}

/* Where the recorder began and ended: what lies between two runs nobody saw. */
static int run_tell(struct telling *t, const struct view *v)
{
	char when[32], text[128];

	history_moment(t->h, v->rec->wall_ns, when, sizeof(when));
	if (v->rec->action == ACTION_START)
		snprintf(text, sizeof(text), "%s: the recorder starts, boot %.8s%s", when,
			 v->session->boot_id,
			 v->rec->pinned ? "; nothing is missing: its hooks were pinned" : "");
	else
		snprintf(text, sizeof(text), "%s: the recorder stops%s", when,
			 v->rec->pinned ? "; its hooks go on" : "");
	return put_heading(t, text);
}

static int event_tell(void *arg, int64_t id, const struct view *v)
{
	struct telling *t = arg;
	bool is_run = v->rec->action == ACTION_START || v->rec->action == ACTION_STOP;
	uint64_t next;
	int r = 0;

	t->last = id;
	if (!filter_match(t->h->filter, v))
		return 0;
	if (is_text(t) && v->rec->action != ACTION_SYNCED)
		r = is_run ? run_tell(t, v) : day_tell(t, v->rec->wall_ns);
	if (!r && !(is_run && is_text(t)))
		r = t->ops->write(t->sink, v);
	/* Backwards in time nothing can be joined or folded. */
	if (!r && t->h->opts->reverse)
		r = t->ops->tick(t->sink, UINT64_MAX, &next);
	return r;
}

static int id_note(void *arg, int64_t id, const struct view *v)
{
	struct telling *t = arg;

	if (!filter_match(t->h->filter, v))
		return 0;
	if (v->rec->action == ACTION_SNAPSHOT && !t->h->sink.current_first && is_text(t))
		return 0;
	t->ids[t->n++] = id;
	return t->n == t->h->opts->lines;
}

/* -n: the last that match are found from the end, then told. */
static int lines_tell(struct telling *t)
{
	struct history *h = t->h;
	struct store_query q = { .after = h->after, .until = h->until, .ports = h->ports, .reverse = true };
	int r;

	t->ids = calloc(h->opts->lines, sizeof(*t->ids));
	if (!t->ids)
		return fail(-ENOMEM, "read the history");
	r = store_each(h->store, &q, id_note, t);
	for (uint32_t i = 0; i < t->n && r >= 0; i++) {
		r = store_record(h->store, t->ids[h->opts->reverse ? i : t->n - 1 - i], event_tell, t);
		if (r == -ENOENT)
			r = 0; /* retention took it meanwhile */
	}
	free(t->ids);
	return r < 0 ? r : 0;
}

static int all_tell(struct telling *t)
{
	struct store_query q = { .after = t->h->after,
				 .until = t->h->until,
				 .ports = t->h->ports,
				 .reverse = t->h->opts->reverse };

	return store_each(t->h->store, &q, event_tell, t);
}

static int tell_end(struct telling *t, uint64_t now_ns)
{
	uint64_t next;
	int r = t->ops->tick(t->sink, now_ns, &next);

	return r ? r : t->ops->flush(t->sink);
}

struct following {
	struct telling *t;
	struct store_query q;
	int64_t version; /* when it was read last */
};

/* The recorder may have begun a new file: that has nothing of what was told. While there is none it is waited for. */
static int follow_file(struct following *f)
{
	struct store *next;
	int r = store_in_place(f->t->h->store);

	if (r == -ESTALE) {
		r = store_open_read(f->t->h->opts->store, &next);
		if (r == -ENOENT)
			r = 0;
		else if (!r) {
			store_close(f->t->h->store);
			f->t->h->store = next;
			f->q.after = 0;
			f->version = -1;
		}
		fail_clear();
	}
	return r;
}

static int follow_once(struct following *f)
{
	int64_t version;
	int r = store_version(f->t->h->store, &version);

	if (r || version == f->version)
		return r;
	f->version = version;
	f->t->last = f->q.after;
	r = store_each(f->t->h->store, &f->q, event_tell, f->t);
	f->q.after = f->t->last;
	return r;
}

/* -f: what others commit behind @after. */
static int follow(struct telling *t, int64_t after)
{
	struct following f = { .t = t,
			       .q = { .after = after, .until = INT64_MAX, .ports = t->h->ports },
			       .version = -1 };
	int r = 0;

	while (!r) {
		r = follow_once(&f);
		if (!r || store_in_place(t->h->store) == -ESTALE) /* then it may be anything that is read */
			r = follow_file(&f);
		if (!r)
			r = tell_end(t, clock_boot_ns());
		if (!r)
			(void)usleep(FOLLOW_US);
	}
	return r;
}

static int events_tell(struct history *h)
{
	struct telling t = { .h = h,
			     .day = -1,
			     .ops = h->opts->common.output == OUTPUT_JSON ? &sink_ndjson : &sink_text };
	int64_t newest = h->until;
	int r = t.ops->open(&h->sink, &t.sink);

	if (r)
		return r;
	if (h->opts->follow) /* what comes while these are told is followed */
		r = store_last_id(h->store, &newest);
	if (newest < h->until)
		h->until = newest;
	if (!r)
		r = h->opts->lines ? lines_tell(&t) : all_tell(&t);
	if (!r)
		r = tell_end(&t, h->opts->follow ? clock_boot_ns() : UINT64_MAX);
	if (!r && h->opts->follow)
		r = follow(&t, newest);
	t.ops->close(t.sink);
	return r;
}

/* ---- the form ---- */

/* What has no place in a row of two moments is refused, not left out. */
static int intervals_check(const struct history_opts *o)
{
	if (o->common.fields)
		return fail_text(-EINVAL, "--intervals has a form of its own: not with --fields");
	if (o->common.time == TIME_STYLE_BOOT || o->common.time == TIME_STYLE_DELTA)
		return fail_text(-EINVAL, "--intervals shows days and times: --time local or utc");
	return 0;
}

static int history_options(struct history *h, int argc, char **argv)
{
	const struct history_opts *o = h->opts;
	int r = common_filter(&o->common, o->failures, argc, argv, &h->filter);

	if (r < 0)
		return r;
	h->kernel = malloc(sizeof(*h->kernel));
	if (!h->kernel)
		return fail(-ENOMEM, "read the filter");
	filter_kernel(h->filter, h->kernel);
	h->ports = h->kernel->ports_valid ? h->kernel->ports : NULL;
	r = common_sink(&o->common, STDOUT_FILENO, &h->sink);
	if (r < 0)
		return r;
	/* Rows of chosen fields have no place for a loss; the other forms have it among the events. */
	h->sink.talk_fd = h->sink.n_only ? STDERR_FILENO : 0;
	h->sink.current_first = !filter_is_empty(h->filter);
	if (o->at && (o->since || o->until || o->boot || o->follow || o->lines || o->intervals))
		return fail_text(-EINVAL, "--at is a moment: it goes with a filter and forms of output only");
	if (o->follow && (o->reverse || o->until || o->intervals))
		return fail_text(-EINVAL, "--follow has no end: not with --reverse, --until or --intervals");
	return o->intervals ? intervals_check(o) : 0;
}

static int store_find(struct history *h)
{
	int r = store_open_read(h->opts->store, &h->store);

	if (r == -ENOENT) {
		fail_text(r, "there is no history in %s", h->opts->store);
		return fail_hint(r, "portlog record makes one; or say where it is: --store FILE");
	}
	return r;
}

static int history_show(struct history *h)
{
	int64_t at_ns = 0;
	int r = 0;

	/* Times are judged before the file: a typo is a usage error wherever it is typed. */
	if (h->opts->at)
		r = moment_parse(h, "at", h->opts->at, &at_ns);
	if (!r)
		r = store_find(h);
	if (r)
		return r;
	if (h->opts->at) {
		if (at_ns > h->now_ns && !h->opts->common.quiet)
			fprintf(stderr, "portlog: that moment has not come yet; this is how it was last\n");
		h->until = at_ns;
		return history_at(h);
	}
	r = range_find(h);
	if (r)
		return r;
	return h->opts->intervals ? history_intervals(h) : events_tell(h);
}

static int64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int history_run(const void *opts, int argc, char **argv)
{
	struct history h = { .opts = opts, .now_ns = wall_ns() };
	int r = history_options(&h, argc, argv);

	if (!r)
		r = history_show(&h);
	store_close(h.store);
	free((void *)h.sink.only);
	free(h.kernel);
	filter_free(h.filter);
	return r;
}

const struct cmd cmd_history = {
	.name = "history",
	.synopsis = "[OPTIONS] [FILTER]",
	.summary = "Show what happened, out of what record keeps",
	.examples = "  sudo portlog history -n 20                    the last 20 events\n"
		    "  sudo portlog history -x --since yesterday     who failed, and why\n"
		    "  sudo portlog history 8080 --at \"03:12\"        who held port 8080 then\n"
		    "  sudo portlog history 8080 --intervals         who had it from when to when\n"
		    "  sudo portlog history -fj unit nginx.service one JSON object a line\n",
	.args = history_args,
	.common = common_args,
	.opts_size = sizeof(struct history_opts),
	.defaults = history_defaults,
	.run = history_run,
};
