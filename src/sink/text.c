/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lines for people. Data goes to the sink's descriptor, talk (what is watched, what it cannot see, the totals) to
 * another. text_cells.c and text_note.c say what is drawn, text_layout.c how, text_hold.c what waits or is folded.
 */
#include "sink/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/fail.h"
#include "util/human.h"

#define OPENING_NS 1000000000ULL /* the opening line waits that long for the end of the snapshot */
#define OUT_MAX (64 << 10)       /* written when there is more, also without a flush */

struct text {
	struct sink_options o;
	struct buf out;
	struct buf talk;
	struct layout layout;
	struct hold *hold;
	struct row row;      /* of bookkeeping records */
	uint64_t now_ns;     /* newest moment seen */
	uint64_t started_ns; /* 0: not yet */
	uint64_t open_at_ns; /* the opening line goes out then, whatever has come; 0: it need not */
	bool opened;         /* it is out */
	char hooks[16];      /* for it, from the start record */
	struct buf blind;
	uint64_t shown;
	uint64_t failures;
};

static int write_out(struct text *t)
{
	int r = t->out.len || t->out.error ? sink_put(&t->o, &t->out, t->o.fd) : 0;

	return r == 0 || r == -EPIPE ? r : fail(r, "write the output");
}

/* Talk that cannot be heard is no reason to stop. */
static int write_talk(struct text *t)
{
	int r = write_out(t);

	if (t->o.talk_fd > 0 && !t->o.quiet)
		(void)sink_put(&t->o, &t->talk, t->o.talk_fd);
	buf_reset(&t->talk);
	return r;
}

static void tell_row(void *arg, const struct row *row, const struct amend *amend, uint64_t count)
{
	struct text *t = arg;

	t->shown += count;
	layout_row(&t->layout, &t->out, row, amend);
}

static void talk_count(struct text *t, uint64_t n, const char *one, const char *many)
{
	char count[HUMAN_LEN];

	buf_printf(&t->talk, "%s %s", human_count(n, count), n == 1 ? one : many);
}

/* ---- bookkeeping kinds ---- */

/* The opening line waits for the end of the snapshot: what it says is kept until then. */
static int on_start(struct text *t, const struct view *v)
{
	const struct session *s = v->session;

	t->started_ns = v->rec->time_ns;
	t->open_at_ns = t->started_ns + OPENING_NS;
	snprintf(t->hooks, sizeof(t->hooks), "%s", s->hooks ? s->hooks : "no");
	buf_reset(&t->blind);
	for (size_t i = 0; s->blind && s->blind[i]; i++) {
		buf_puts(&t->blind, i ? "; " : "portlog: cannot see: ");
		buf_puts(&t->blind, s->blind[i]);
	}
	if (t->blind.len)
		buf_putc(&t->blind, '\n');
	return 0;
}

/* Without a filter they are not shown: say how to see them. */
static void talk_held(struct text *t, const struct record *synced)
{
	talk_count(t, synced->count, "port already held", "ports already held");
	if (!t->o.current_first)
		buf_puts(&t->talk, " (see: portlog action snapshot)");
	if (!synced->netns_cut)
		return;
	buf_puts(&t->talk, "; ");
	talk_count(t, synced->netns_cut, "namespace", "namespaces");
	buf_puts(&t->talk, " could not be looked into");
}

/* @synced NULL: the snapshot has not ended, or there is none. */
static int open_watch(struct text *t, const struct record *synced)
{
	buf_printf(&t->talk, "portlog: watching (%s hooks%s)", t->hooks[0] ? t->hooks : "no",
		   t->blind.len && !t->o.verbose ? "; their blind spots: -v" : "");
	if (synced) {
		buf_puts(&t->talk, "; ");
		talk_held(t, synced);
	}
	buf_puts(&t->talk, t->o.ephemeral ? ". Ctrl-C stops.\n"
					  : "; port-0 binds hidden (--ephemeral). Ctrl-C stops.\n");
	if (t->o.verbose)
		buf_put(&t->talk, t->blind.data, t->blind.len);
	t->opened = true;
	t->open_at_ns = 0;
	return write_talk(t);
}

static int on_synced(struct text *t, const struct view *v)
{
	if (!t->opened)
		return open_watch(t, v->rec);
	buf_puts(&t->talk, "portlog: ");
	talk_held(t, v->rec);
	buf_putc(&t->talk, '\n');
	return write_talk(t);
}

static int on_stop(struct text *t, const struct view *v)
{
	uint64_t end_ns = v->rec->time_ns;
	char span[HUMAN_LEN];

	hold_expire(t->hold, UINT64_MAX);
	buf_printf(&t->talk, "portlog: %s, ",
		   human_span(end_ns > t->started_ns ? end_ns - t->started_ns : 0, span));
	talk_count(t, t->shown, "event shown, ", "events shown, ");
	talk_count(t, t->failures, "failure, ", "failures, ");
	talk_count(t, v->rec->lost, "lost", "lost");
	if (!t->o.ephemeral) {
		buf_puts(&t->talk, ", ");
		talk_count(t, v->rec->hidden, "ephemeral bind hidden", "ephemeral binds hidden");
	}
	buf_putc(&t->talk, '\n');
	return write_talk(t);
}

/* What happened to the stream itself: at its place, with nothing held back from before it. */
static int on_sentence(struct text *t, const struct view *v)
{
	const char *text;
	size_t len;

	hold_expire(t->hold, UINT64_MAX);
	row_render(&t->row, v, &t->o);
	if (!t->o.n_only) {
		layout_row(&t->layout, &t->out, &t->row, NULL);
		return 0;
	}
	/* Columns that were asked for have no place for it. */
	text = row_cell(&t->row, CELL_NOTE, &len);
	buf_printf(&t->talk, "portlog: %s: %.*s\n", action_name(v->rec->action), (int)len, text);
	return write_talk(t);
}

static int on_event(struct text *t, const struct view *v)
{
	if (v->rec->action == ACTION_SNAPSHOT && !v->rec->correction && !t->o.current_first)
		return 0;
	t->failures += v->rec->error != 0;
	if (!t->o.n_only) {
		hold_event(t->hold, v);
		return 0;
	}
	t->shown++;
	layout_fields(&t->layout, &t->out, v);
	return 0;
}

static int (*const handlers[N_ACTIONS])(struct text *t, const struct view *v) = {
	[ACTION_START] = on_start,    [ACTION_SYNCED] = on_synced,   [ACTION_STOP] = on_stop,
	[ACTION_LOST] = on_sentence,  [ACTION_RESYNC] = on_sentence, [ACTION_CLOCK] = on_sentence,
	[ACTION_SNAPSHOT] = on_event, [ACTION_BIND] = on_event,      [ACTION_LISTEN] = on_event,
	[ACTION_RELEASE] = on_event,  [ACTION_FREE] = on_event,      [ACTION_HANDOFF] = on_event,
	[ACTION_AUTOBIND] = on_event,
};

static void advance(struct text *t, uint64_t now_ns)
{
	if (now_ns > t->now_ns)
		t->now_ns = now_ns;
	t->layout.now_ns = t->now_ns;
	hold_expire(t->hold, t->now_ns);
}

/* ---- the form ---- */

static void text_close(void *state)
{
	struct text *t = state;

	if (!t)
		return;
	hold_free(t->hold);
	layout_done(&t->layout);
	row_done(&t->row);
	buf_done(&t->blind);
	buf_done(&t->out);
	buf_done(&t->talk);
	free(t);
}

static int text_open(const struct sink_options *o, void **ret_state)
{
	struct text *t = calloc(1, sizeof(*t));

	if (!t)
		return fail(-ENOMEM, "open the text sink");
	t->o = *o;
	t->hold = hold_new(&t->o, tell_row, t);
	if (layout_init(&t->layout, &t->o) < 0 || !t->hold) {
		text_close(t);
		return fail(-ENOMEM, "open the text sink");
	}
	*ret_state = t;
	return 0;
}

static int text_write(void *state, const struct view *v)
{
	struct text *t = state;
	int r = 0;

	if (!t->started_ns)
		t->started_ns = v->rec->time_ns;
	advance(t, v->rec->time_ns);
	if (v->rec->action < N_ACTIONS && handlers[v->rec->action])
		r = handlers[v->rec->action](t, v);
	if (r == 0 && (t->o.line_buffered || t->out.len > OUT_MAX))
		r = write_out(t);
	return r;
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return !a_ns || (b_ns && b_ns < a_ns) ? b_ns : a_ns;
}

static int text_tick(void *state, uint64_t now_ns, uint64_t *ret_next_ns)
{
	struct text *t = state;
	int r = 0;

	if (now_ns == UINT64_MAX)
		hold_expire(t->hold, now_ns);
	else
		advance(t, now_ns);
	if (t->open_at_ns && now_ns >= t->open_at_ns)
		r = open_watch(t, NULL);
	*ret_next_ns = earlier(hold_next_ns(t->hold), t->open_at_ns);
	return r == 0 && t->o.line_buffered ? write_out(t) : r;
}

static int text_flush(void *state)
{
	return write_out(state);
}

const struct sink_ops sink_text = {
	.name = "text",
	.open = text_open,
	.write = text_write,
	.tick = text_tick,
	.flush = text_flush,
	.close = text_close,
};
