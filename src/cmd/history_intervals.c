/* SPDX-License-Identifier: GPL-2.0-only */
/* history --intervals: who held a port, from when to when, how it ended, and who came next. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/history.h"
#include "core/cells.h"
#include "util/fail.h"
#include "util/human.h"
#include "util/json.h"

#define WRITE_AT (64u << 10)

struct showing {
	struct history *h;
	struct store_interval interval; /* the one under way */
	struct buf out;
	bool matches;
	struct buf who;   /* of opened: "tcp 0.0.0.0:80", process, unit */
	struct buf event; /* as JSON */
	struct buf next;  /* who came next */
	struct buf closed;
	int64_t since_ns, until_ns; /* wall clock; until 0: still held */
	uint8_t precision;
	uint64_t uptime_ns; /* of opened: two moments of one boot are compared by it */
	uint64_t held_ns;
	int64_t stop_id; /* the last record, if it is the recorder's end: what is open was so then */
};

static void pad(struct buf *b, size_t from, size_t width)
{
	do
		buf_putc(b, ' ');
	while (b->len - from < width);
}

/* The handoff is told of who had it; who has it now is its first owner. */
static void who_put(struct buf *b, const struct view *v)
{
	size_t from = b->len;

	if (v->rec->action == ACTION_HANDOFF && v->n_owners) {
		cell_put_process(b, v->owners[0].comm, v->owners[0].pid);
		if (v->n_owners > 1)
			cell_put_others(b, v->n_owners - 1);
	} else {
		cell_process(b, v);
	}
	pad(b, from, 20);
	cell_who(b, v);
}

static int opened_note(void *arg, int64_t id, const struct view *v)
{
	struct showing *s = arg;
	const struct record *rec = v->rec;
	size_t from = s->who.len;

	(void)id;
	s->matches = filter_match(s->h->filter, v);
	s->precision = rec->since_precision;
	s->uptime_ns = rec->since_ns && rec->action != ACTION_HANDOFF ? rec->since_ns : rec->time_ns;
	s->since_ns = (int64_t)((uint64_t)rec->wall_ns - (rec->time_ns - s->uptime_ns));
	cell_port(&s->who, v);
	pad(&s->who, from, 26);
	who_put(&s->who, v);
	field_write_json(&s->event, v, &s->h->sink.field, NULL, 0);
	return 0;
}

static int closed_note(void *arg, int64_t id, const struct view *v)
{
	struct showing *s = arg;

	(void)id;
	s->until_ns = v->rec->wall_ns;
	s->held_ns = v->rec->time_ns > s->uptime_ns ? v->rec->time_ns - s->uptime_ns : 0;
	field_write_json(&s->closed, v, &s->h->sink.field, NULL, 0);
	return 0;
}

static int next_note(void *arg, int64_t id, const struct view *v)
{
	struct showing *s = arg;

	(void)id;
	if (s->h->opts->common.output == OUTPUT_JSON)
		field_write_json(&s->next, v, &s->h->sink.field, NULL, 0);
	else
		cell_process(&s->next, v);
	return 0;
}

/* What retention took is not shown. */
static int record_note(struct showing *s, int64_t id, store_fn *fn)
{
	int r = id ? store_record(s->h->store, id, fn, s) : 0;

	return r == -ENOENT ? 0 : r;
}

/* A run that ended without a word: the last that it told is the last that is known. */
static int end_find(struct showing *s)
{
	struct store_interval *i = &s->interval;
	bool seen = i->ended == ENDED_RELEASE || i->ended == ENDED_HANDOFF;
	int64_t id = seen || !i->closed ? i->closed : i->closed - 1;

	if (i->ended == ENDED_NOT && s->stop_id) {
		i->ended = ENDED_STOPPED;
		id = s->stop_id;
	}
	return record_note(s, id, closed_note);
}

static int stop_note(void *arg, int64_t id, const struct view *v)
{
	struct showing *s = arg;

	s->stop_id = v->rec->action == ACTION_STOP ? id : 0;
	return 0;
}

static void text_put(struct showing *s)
{
	char moment[32], span[HUMAN_LEN];
	struct buf *b = &s->out;
	size_t from = b->len;

	buf_puts(b, s->precision == SINCE_NOT_BEFORE ? ">= " : s->precision == SINCE_NOT_AFTER ? "<= " : "");
	buf_puts(b, history_moment(s->h, s->since_ns, moment, sizeof(moment)));
	pad(b, from, 24);
	from = b->len;
	buf_puts(b, s->until_ns ? history_moment(s->h, s->until_ns, moment, sizeof(moment)) : "now");
	pad(b, from, 21);
	from = b->len;
	buf_puts(b, s->until_ns ? human_span(s->held_ns, span) : "-");
	pad(b, from, 10);
	from = b->len;
	buf_puts(b, ended_name(s->interval.ended));
	pad(b, from, 9);
	buf_put(b, s->who.data, s->who.len);
	if (s->next.len) {
		buf_puts(b, "  then ");
		buf_put(b, s->next.data, s->next.len);
	}
	buf_putc(b, '\n');
}

static void member_put(struct buf *b, const char *name, const struct buf *json)
{
	if (!json->len)
		return;
	buf_printf(b, ",\"%s\":", name);
	buf_put(b, json->data, json->len);
}

static void json_put(struct showing *s)
{
	struct buf *b = &s->out;

	buf_puts(b, "{\"schema\":\"portlog.interval/1\",\"since\":");
	json_time(b, s->since_ns);
	if (s->precision)
		buf_printf(b, ",\"since_precision\":\"%s\"", precision_name((enum precision)s->precision));
	if (s->until_ns) {
		buf_puts(b, ",\"until\":");
		json_time(b, s->until_ns);
		buf_puts(b, ",\"held_us\":");
		json_u64(b, s->held_ns / 1000);
	}
	buf_printf(b, ",\"ended\":\"%s\"", ended_name(s->interval.ended));
	member_put(b, "opened", &s->event);
	if (s->interval.ended == ENDED_RELEASE || s->interval.ended == ENDED_HANDOFF)
		member_put(b, "closed", &s->closed);
	member_put(b, "next", &s->next);
	buf_puts(b, "}\n");
}

static int interval_show(void *arg, const struct store_interval *i)
{
	struct showing *s = arg;
	int r;

	buf_reset(&s->who);
	buf_reset(&s->event);
	buf_reset(&s->closed);
	buf_reset(&s->next);
	s->interval = *i;
	s->matches = false;
	s->until_ns = 0;
	r = record_note(s, i->opened, opened_note);
	if (r || !s->matches)
		return r;
	r = end_find(s);
	if (!r)
		r = record_note(s, i->next, next_note);
	if (r)
		return r;
	if (s->h->opts->common.output == OUTPUT_JSON)
		json_put(s);
	else
		text_put(s);
	return s->out.len >= WRITE_AT || s->out.error ? buf_write(&s->out, STDOUT_FILENO) : 0;
}

/* -n: those that match, the last first. */
struct last {
	struct showing *s;
	struct store_interval *of;
	uint32_t n;
};

static int last_note(void *arg, const struct store_interval *i)
{
	struct last *last = arg;
	struct showing *s = last->s;
	int r;

	buf_reset(&s->who);
	buf_reset(&s->event);
	s->matches = false;
	r = record_note(s, i->opened, opened_note);
	if (r || !s->matches)
		return r;
	last->of[last->n++] = *i;
	return last->n == s->h->opts->lines;
}

static int last_show(struct showing *s, struct store_interval_query *q)
{
	bool reverse = q->reverse;
	struct last last = { .s = s };
	int r;

	last.of = calloc(s->h->opts->lines, sizeof(*last.of));
	if (!last.of)
		return fail(-ENOMEM, "read the history");
	q->reverse = true;
	r = store_intervals(s->h->store, q, last_note, &last);
	for (uint32_t i = 0; i < last.n && r >= 0; i++)
		r = interval_show(s, &last.of[reverse ? i : last.n - 1 - i]);
	free(last.of);
	return r < 0 ? r : 0;
}

int history_intervals(struct history *h)
{
	struct store_interval_query q = {
		.from = h->after, .to = h->until, .ports = h->ports, .next = true, .reverse = h->opts->reverse
	};
	struct showing s = { .h = h };
	int64_t last;
	int r = store_last_id(h->store, &last);

	if (!r)
		r = record_note(&s, last, stop_note);
	if (r)
		return r;

	if (h->sink.header && h->opts->common.output != OUTPUT_JSON)
		buf_printf(&s.out, "%-24s%-21s%-10s%-9s%-26s%-20s%s\n", "SINCE", "UNTIL", "HELD", "ENDED",
			   "PORT", "PROCESS", "WHO");
	r = h->opts->lines ? last_show(&s, &q) : store_intervals(h->store, &q, interval_show, &s);
	if (!r)
		r = buf_write(&s.out, STDOUT_FILENO);
	buf_done(&s.out);
	buf_done(&s.who);
	buf_done(&s.event);
	buf_done(&s.closed);
	buf_done(&s.next);
	return r < 0 && r != -EPIPE && !fail_story()[0] ? fail(r, "write to standard output") : r;
}
