/* SPDX-License-Identifier: GPL-2.0-only */
/* history --at: the list of a moment that is gone. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/history.h"
#include "source/replay.h"
#include "util/fail.h"
#include "view/table.h"

struct moment {
	struct history *h;
	struct replay *replay;
	struct session session; /* of the run that saw it */
	int64_t at_ns;          /* the moment; in a gap the end of the run before it */
	int64_t id;             /* the newest record by then */
	bool found;
	struct record rec; /* of the entry that is shown */
};

static bool entry_view(void *arg, const struct entry *e, struct owner *owners, struct view *ret)
{
	struct moment *m = arg;

	replay_view(m->replay, e, m->at_ns, &m->rec, owners, ret);
	ret->session = &m->session;
	return filter_match(m->h->filter, ret);
}

static int session_note(void *arg, int64_t id, const struct view *v)
{
	struct moment *m = arg;

	(void)id;
	m->session = *v->session;
	m->session.schema = "portlog.list/1";
	m->session.version = m->session.hooks = NULL; /* these are the store's for this call */
	m->session.blind = NULL;
	return 0;
}

/* Was the recorder there at the moment? Else how it was when it was there last, and that it says so. */
static int stream_note(void *arg, const struct store_stream *st)
{
	struct moment *m = arg;
	char asked[32], end[32];
	int64_t last;

	if (m->id < st->first || m->id > st->last)
		return 0;
	m->found = true;
	if (m->id != st->last || m->at_ns <= st->end_ns)
		return 0;
	/* The run that goes on has no later record yet. */
	if (!st->stopped && !store_last_id(m->h->store, &last) && last == st->last)
		return 0;
	if (!m->h->opts->common.quiet)
		fprintf(stderr,
			"portlog: nothing was recorded at %s; this is how it was at %s, when the recorder %s\n",
			history_moment(m->h, m->at_ns, asked, sizeof(asked)),
			history_moment(m->h, st->end_ns, end, sizeof(end)),
			st->stopped ? "stopped" : "was killed or the machine went down");
	m->at_ns = st->end_ns;
	return 0;
}

static void table_options(struct moment *m, struct table_options *t)
{
	static const enum table_form forms[] = {
		[OUTPUT_TABLE] = TABLE_NARROW, [OUTPUT_WIDE] = TABLE_WIDE, [OUTPUT_JSON] = TABLE_JSON
	};
	const struct sink_options *sink = &m->h->sink;

	*t = (struct table_options){
		.form = forms[m->h->opts->common.output],
		.header = sink->header,
		.tty = sink->tty,
		.columns = sink->columns,
		.utc = sink->time == TIME_STYLE_UTC,
		.host_netns = m->session.host_netns,
		.field = sink->field,
		.only = sink->only,
		.n_only = sink->n_only,
		.view = entry_view,
		.arg = m,
	};
}

static int table_put(struct moment *m, struct buf *out)
{
	struct table_options o;
	size_t shown;
	int r;

	table_options(m, &o);
	r = table_render(replay_ledger(m->replay), &o, out, &shown);
	if (r < 0)
		return fail(r, "show what was held");
	if (!shown && !m->h->opts->common.quiet)
		fprintf(stderr, "portlog: no such port was held then\n");
	return 0;
}

static int moment_show(struct moment *m, struct buf *out)
{
	char at[32];
	int r = store_id_at(m->h->store, m->at_ns, &m->id);

	if (!r && m->id)
		r = store_streams(m->h->store, stream_note, m);
	if (r)
		return r;
	if (!m->found) {
		fprintf(stderr, "portlog: nothing was recorded yet at %s\n",
			history_moment(m->h, m->at_ns, at, sizeof(at)));
		return EXIT_NO;
	}
	r = store_record(m->h->store, m->id, session_note, m);
	if (!r)
		r = replay_at(m->replay, m->h->store, m->id, m->h->ports);
	return r ? r : table_put(m, out);
}

/* Retention goes on meanwhile: what the first question finds is to be there for the last. Not while somebody reads. */
static int moment_read(struct moment *m, struct buf *out)
{
	int r = store_freeze(m->h->store);

	if (r)
		return r;
	r = moment_show(m, out);
	store_thaw(m->h->store);
	return r;
}

int history_at(struct history *h)
{
	struct moment m = { .h = h, .at_ns = h->until, .replay = replay_new() };
	struct buf out = { 0 };
	int r = m.replay ? moment_read(&m, &out) : fail(-ENOMEM, "read the history");
	int error = r >= 0 && out.len ? buf_write(&out, STDOUT_FILENO) : 0;

	buf_done(&out);
	replay_free(m.replay);
	if (error < 0)
		return error == -EPIPE ? error : fail(error, "write to standard output");
	return r;
}
