/* SPDX-License-Identifier: GPL-2.0-only */
/* Rows as lines: columns that widen with what has been seen, the time in one of four styles, colour. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "sink/text.h"
#include "util/cleanup.h"
#include "util/utf8.h"

#define NS_PER_S 1000000000L
#define NS_PER_MS 1000000L
#define DAY_NS (86400ULL * 1000000000ULL)
#define GAP 2         /* between columns */
#define TIME_WIDTH 12 /* "08:14:08.556" */
#define FIELD_WIDTH_MAX 40
#define NARROW 100
#define WRAP_MIN 20 /* a narrower terminal is left to wrap by itself */

static const char *const tones[] = {
	[TONE_PLAIN] = NULL,      [TONE_GOOD] = "\x1b[32m", [TONE_BAD] = "\x1b[1;31m",
	[TONE_QUIET] = "\x1b[2m", [TONE_WARN] = "\x1b[33m",
};

#define TONE_END "\x1b[0m"

/* ---- a line in the making: spaces are owed, not written, so that none is left at the end ---- */

struct line {
	struct buf *out;
	unsigned at;      /* column reached */
	unsigned to;      /* column the next text begins at */
	const char *tone; /* escape sequence around the next text; NULL: none */
};

static void line_text(struct line *line, const char *text, size_t len)
{
	if (!len)
		return;
	for (; line->at < line->to; line->at++)
		buf_putc(line->out, ' ');
	if (line->tone)
		buf_puts(line->out, line->tone);
	buf_put(line->out, text, len);
	if (line->tone)
		buf_puts(line->out, TONE_END);
	line->at += utf8_columns(text, len);
}

/* A cell @width wide; a longer one pushes those after it. */
static void line_cell(struct line *line, const char *text, size_t len, unsigned width)
{
	unsigned end = line->to + width;

	line_text(line, text, len);
	line->to = line->at < end + GAP ? end + GAP : line->at + 1;
}

static void line_end(struct line *line)
{
	buf_putc(line->out, '\n');
	line->at = line->to = 0;
}

/* Text in words, below @indent, never past @columns (0: no limit). The first line goes on where it is. */
static void line_words(struct line *line, const char *text, size_t len, unsigned indent, unsigned limit)
{
	bool fresh = true;

	while (len) {
		size_t word = 0, gap = 0;
		unsigned width;

		while (word < len && text[word] != ' ')
			word++;
		while (word + gap < len && text[word + gap] == ' ')
			gap++;
		width = utf8_columns(text, word);
		if (!fresh && limit && line->at + 1 + width > limit) {
			line_end(line);
			line->to = indent;
		} else if (!fresh) {
			line->to = line->at + 1;
		}
		line_text(line, text, word);
		fresh = false;
		text += word + gap;
		len -= word + gap;
	}
}

/* ---- TIME ---- */

static void put_wall_time(struct layout *l, struct buf *b, const struct row *row)
{
	bool old = l->now_ns > row->time_ns && l->now_ns - row->time_ns > DAY_NS;
	time_t s = (time_t)(row->wall_ns / NS_PER_S);
	bool utc = l->o->time == TIME_STYLE_UTC;
	char text[48];
	struct tm tm;

	if (!(utc ? gmtime_r(&s, &tm) : localtime_r(&s, &tm)) ||
	    !strftime(text, sizeof(text), old ? "%F %H:%M:%S" : "%H:%M:%S", &tm))
		return;
	buf_printf(b, "%s.%03d%s", text, (int)(row->wall_ns % NS_PER_S / NS_PER_MS), utc ? "Z" : "");
}

static void put_seconds(struct buf *b, uint64_t ns)
{
	buf_printf(b, "%" PRIu64 ".%06u", ns / NS_PER_S, (unsigned)(ns % NS_PER_S / 1000));
}

/* Held lines may come a little late: then the step is back. */
static void put_delta(struct layout *l, struct buf *b, const struct row *row)
{
	uint64_t last = l->last_ns ? l->last_ns : row->time_ns;

	buf_putc(b, row->time_ns < last ? '-' : '+');
	put_seconds(b, row->time_ns < last ? last - row->time_ns : row->time_ns - last);
	l->last_ns = row->time_ns;
}

static void put_time(struct layout *l, struct line *line, const struct row *row)
{
	struct buf *b = &l->scratch;

	buf_reset(b);
	if (l->o->time == TIME_STYLE_BOOT)
		put_seconds(b, row->time_ns);
	else if (l->o->time == TIME_STYLE_DELTA)
		put_delta(l, b, row);
	else
		put_wall_time(l, b, row);
	if (utf8_columns(b->data, b->len) > l->time_width)
		l->time_width = utf8_columns(b->data, b->len);
	line_cell(line, b->data, b->len, l->time_width);
}

/* ---- columns ---- */

static bool is_shown(const struct layout *l, enum cell cell)
{
	return cell != CELL_MORE && (l->o->wide || !text_columns[cell].wide);
}

static void put_header(struct layout *l, struct buf *out)
{
	struct line line = { .out = out };

	if (l->header_done || !l->o->header)
		return;
	l->header_done = true;
	line_cell(&line, "TIME", 4, l->time_width);
	for (int i = 0; i < N_CELLS; i++)
		if (is_shown(l, i))
			line_cell(&line, text_columns[i].header, strlen(text_columns[i].header),
				  l->widths[i]);
	line_end(&line);
}

static void widen(struct layout *l, enum cell cell, unsigned width)
{
	if (width > text_columns[cell].max)
		width = text_columns[cell].max;
	if (width > l->widths[cell])
		l->widths[cell] = width;
}

/* What is cut is the name: a process must not be able to hide its pid behind a long one. */
static void put_cut(struct layout *l, struct line *line, const char *text, size_t len, enum cell cell)
{
	unsigned max = text_columns[cell].max;
	size_t keep, end_len;
	const char *end;

	if (!l->o->tty || !text_columns[cell].cut || utf8_columns(text, len) <= max) {
		line_cell(line, text, len, l->widths[cell]);
		return;
	}
	end = cell == CELL_PROCESS ? memrchr(text, '[', len) : NULL;
	end_len = end ? len - (size_t)(end - text) : 0;
	keep = utf8_prefix(text, len, max - 1 - utf8_columns(end, end_len));
	buf_reset(&l->scratch);
	buf_put(&l->scratch, text, keep);
	buf_puts(&l->scratch, "…");
	if (end)
		buf_put(&l->scratch, end, end_len);
	line_cell(line, l->scratch.data, l->scratch.len, l->widths[cell]);
}

static void put_cell(struct layout *l, struct line *line, const struct row *row, enum cell cell,
		     const char *text, size_t len)
{
	widen(l, cell, utf8_columns(text, len));
	line->tone = cell == CELL_EVENT && l->o->color ? tones[row->tone] : NULL;
	put_cut(l, line, text, len, cell);
	line->tone = NULL;
}

/* The note with what @amend adds to it, in the scratch buffer. */
static void note_text(struct layout *l, const struct row *row, const struct amend *amend)
{
	const char *note;
	size_t len;

	note = row_cell(row, CELL_NOTE, &len);
	buf_reset(&l->scratch);
	if (!amend || !amend->bare)
		buf_put(&l->scratch, note, len);
	if (!amend || !amend->suffix)
		return;
	if (l->scratch.len)
		buf_putc(&l->scratch, ' ');
	buf_puts(&l->scratch, amend->suffix);
}

static unsigned limit_of(const struct layout *l, unsigned indent)
{
	return l->o->tty && l->o->columns >= indent + WRAP_MIN ? l->o->columns : 0;
}

/* Out of its column when that makes it fit. True: it did not and goes in front of the line below. */
static bool put_note(struct layout *l, struct line *line, const struct row *row, const struct amend *amend,
		     unsigned limit)
{
	unsigned width;

	note_text(l, row, amend);
	width = utf8_columns(l->scratch.data, l->scratch.len);
	if (!l->o->wide && width && limit && line->to + width > limit) {
		if (line->at + GAP + width > limit)
			return true;
		line->to = line->at + GAP;
	}
	widen(l, CELL_NOTE, width);
	line_cell(line, l->scratch.data, l->scratch.len, l->widths[CELL_NOTE]);
	return false;
}

/* What is below the line: the note if it had no room, and the reason with its remedy. */
static void put_below(struct layout *l, struct line *line, const struct row *row, const struct amend *amend,
		      bool note, unsigned indent)
{
	unsigned limit = limit_of(l, indent);
	const char *more;
	size_t len;

	more = row_cell(row, CELL_MORE, &len);
	if (amend && amend->alone)
		len = 0;
	line->to = indent;
	if (note) {
		note_text(l, row, amend);
		if (len)
			buf_puts(&l->scratch, ": ");
		buf_put(&l->scratch, more, len);
		line_words(line, l->scratch.data, l->scratch.len, indent, limit);
		line_end(line);
	} else if (len) {
		line_words(line, more, len, indent, limit);
		line_end(line);
	}
}

static void put_sentence(struct layout *l, struct line *line, const struct row *row)
{
	const char *text;
	size_t len;

	text = row_cell(row, CELL_EVENT, &len);
	put_cell(l, line, row, CELL_EVENT, text, len);
	text = row_cell(row, CELL_NOTE, &len);
	line_words(line, text, len, line->to, limit_of(l, line->to));
	line_end(line);
}

void layout_row(struct layout *l, struct buf *out, const struct row *row, const struct amend *amend)
{
	struct line line = { .out = out };
	bool note = false;
	unsigned indent = 0;

	put_header(l, out);
	put_time(l, &line, row);
	if (row->sentence) {
		put_sentence(l, &line, row);
		return;
	}
	for (int i = 0; i < N_CELLS; i++) {
		size_t len;
		const char *text = row_cell(row, i, &len);

		if (!is_shown(l, i))
			continue;
		if (i == CELL_PORT) {
			indent = line.to;
			text = amend && amend->port ? amend->port : text;
			len = amend && amend->port ? strlen(amend->port) : len;
		}
		if (i == CELL_NOTE)
			note = put_note(l, &line, row, amend, limit_of(l, indent));
		else
			put_cell(l, &line, row, i, text, len);
	}
	line_end(&line);
	put_below(l, &line, row, amend, note, indent);
}

/* ---- -F ---- */

static void put_fields_header(struct layout *l, struct buf *out)
{
	struct line line = { .out = out };

	if (l->header_done || !l->o->header)
		return;
	l->header_done = true;
	for (size_t i = 0; i < l->o->n_only; i++) {
		const char *name = l->o->only[i]->name;

		buf_reset(&l->scratch);
		for (const char *c = name; *c; c++)
			buf_putc(&l->scratch, (char)toupper((unsigned char)*c));
		line_cell(&line, l->scratch.data, l->scratch.len, l->only_widths[i]);
	}
	line_end(&line);
}

void layout_fields(struct layout *l, struct buf *out, const struct view *v)
{
	struct line line = { .out = out };

	put_fields_header(l, out);
	for (size_t i = 0; i < l->o->n_only; i++) {
		unsigned width;

		buf_reset(&l->scratch);
		field_write_text(&l->scratch, l->o->only[i], v, &l->o->field);
		width = utf8_columns(l->scratch.data, l->scratch.len);
		if (width > l->only_widths[i])
			l->only_widths[i] = width < FIELD_WIDTH_MAX ? width : FIELD_WIDTH_MAX;
		line_cell(&line, l->scratch.data, l->scratch.len, l->only_widths[i]);
	}
	line_end(&line);
}

/* A terminal of the old width: columns begin as small as they can, so that notes have room. */
static bool is_narrow(const struct sink_options *o)
{
	return o->tty && o->columns && o->columns < NARROW;
}

int layout_init(struct layout *l, const struct sink_options *o)
{
	*l = (struct layout){ .o = o, .time_width = TIME_WIDTH + (o->time == TIME_STYLE_UTC) };
	for (int i = 0; i < N_CELLS; i++)
		l->widths[i] = is_narrow(o) ? text_columns[i].narrow : text_columns[i].min;
	if (!o->n_only)
		return 0;
	l->only_widths = calloc(o->n_only, sizeof(*l->only_widths));
	if (!l->only_widths)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_only; i++)
		l->only_widths[i] = (unsigned)strlen(o->only[i]->name);
	return 0;
}

void layout_done(struct layout *l)
{
	free(l->only_widths);
	buf_done(&l->scratch);
}
