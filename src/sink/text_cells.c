/* SPDX-License-Identifier: GPL-2.0-only */
/* What stands in the cells of one line: a view in, a row of escaped text out. */
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>

#include "core/cells.h"
#include "sink/text.h"
#include "util/cleanup.h"

/* ---- EVENT ---- */

static const struct {
	const char *word;
	enum tone tone;
} words[N_ACTIONS] = {
	[ACTION_SNAPSHOT] = { "held", TONE_PLAIN },     [ACTION_BIND] = { "bind", TONE_PLAIN },
	[ACTION_LISTEN] = { "listen", TONE_GOOD },      [ACTION_RELEASE] = { "closed", TONE_QUIET },
	[ACTION_FREE] = { "free", TONE_QUIET },         [ACTION_HANDOFF] = { "handoff", TONE_WARN },
	[ACTION_AUTOBIND] = { "autobind", TONE_PLAIN }, [ACTION_LOST] = { "lost", TONE_BAD },
	[ACTION_RESYNC] = { "resync", TONE_WARN },      [ACTION_CLOCK] = { "clock", TONE_WARN },
};

static void put_event(struct buf *b, const struct view *v, const struct sink_options *o)
{
	const char *word = v->rec->action < N_ACTIONS ? words[v->rec->action].word : NULL;

	(void)o;
	buf_puts(b, v->rec->error ? "FAILED" : word ? word : action_name(v->rec->action));
}

static enum tone tone_of(const struct record *rec)
{
	if (rec->error)
		return TONE_BAD;
	return rec->action < N_ACTIONS ? words[rec->action].tone : TONE_PLAIN;
}

/* ---- cells that other renderings share ---- */

#define SHARED(name)                                                                              \
	static void put_##name(struct buf *b, const struct view *v, const struct sink_options *o) \
	{                                                                                         \
		(void)o;                                                                          \
		cell_##name(b, v);                                                                \
	}

SHARED(port)
SHARED(process)
SHARED(who)
SHARED(user_id)
SHARED(ppid)
SHARED(netns)
SHARED(options)

/* ---- -o wide ---- */

static void put_backlog(struct buf *b, const struct view *v, const struct sink_options *o)
{
	(void)o;
	if (v->rec->has_backlog)
		buf_i64(b, v->rec->backlog);
	else
		buf_putc(b, '-');
}

static void put_via(struct buf *b, const struct view *v, const struct sink_options *o)
{
	const char *name = v->rec->via ? via_name(v->rec->via) : NULL;

	(void)o;
	buf_puts(b, name ? name : "-");
}

static void put_field(struct buf *b, const char *name, const struct view *v, const struct sink_options *o)
{
	const struct field *f = field_find(name, strlen(name));

	if (f)
		field_write_text(b, f, v, &o->field);
	else
		buf_putc(b, '-');
}

static void put_exe(struct buf *b, const struct view *v, const struct sink_options *o)
{
	put_field(b, "exe", v, o);
}

/* By the table of fields, which masks secrets. */
static void put_args(struct buf *b, const struct view *v, const struct sink_options *o)
{
	put_field(b, "args", v, o);
}

const struct column text_columns[N_CELLS] = {
	[CELL_EVENT] = { "EVENT", 6, 6, 6, false, false, put_event },
	[CELL_PORT] = { "PORT", 19, 16, 48, false, false, put_port },
	[CELL_PROCESS] = { "PROCESS", 12, 11, 24, false, true, put_process },
	[CELL_WHO] = { "WHO", 19, 12, 32, false, true, put_who },
	[CELL_USER] = { "USER", 8, 8, 24, true, true, put_user_id },
	[CELL_PPID] = { "PPID", 5, 5, 10, true, false, put_ppid },
	[CELL_NETNS] = { "NETNS", 5, 5, 16, true, true, put_netns },
	[CELL_OPTIONS] = { "OPTIONS", 9, 9, 40, true, false, put_options },
	[CELL_BACKLOG] = { "BACKLOG", 7, 7, 10, true, false, put_backlog },
	[CELL_VIA] = { "VIA", 5, 5, 12, true, false, put_via },
	[CELL_NOTE] = { "", 10, 10, 52, false, false, text_put_note },
	[CELL_EXE] = { "EXE", 12, 12, 48, true, true, put_exe },
	[CELL_ARGS] = { "ARGS", 4, 4, 80, true, true, put_args },
	[CELL_MORE] = { "", 0, 0, 0, false, false, text_put_more },
};

static bool is_sentence(enum action a)
{
	return a == ACTION_LOST || a == ACTION_RESYNC || a == ACTION_CLOCK;
}

void row_render(struct row *row, const struct view *v, const struct sink_options *o)
{
	buf_reset(&row->text);
	row->time_ns = v->rec->time_ns;
	row->wall_ns = v->rec->wall_ns;
	row->tone = tone_of(v->rec);
	row->sentence = is_sentence(v->rec->action);
	for (size_t i = 0; i < N_CELLS; i++) {
		if ((o->wide || !text_columns[i].wide) &&
		    (!row->sentence || i == CELL_EVENT || i == CELL_NOTE))
			text_columns[i].put(&row->text, v, o);
		row->end[i] = (uint32_t)row->text.len;
	}
}

const char *row_cell(const struct row *row, enum cell cell, size_t *ret_len)
{
	size_t begin = cell ? row->end[cell - 1] : 0;

	*ret_len = row->end[cell] - begin;
	return *ret_len ? row->text.data + begin : "";
}

void row_done(struct row *row)
{
	buf_done(&row->text);
}
