/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of the text sink, private to src/sink/text*.c:
 *
 *	view -> row (text_cells.c, text_note.c) -> held back or not (text_hold.c) -> line (text_layout.c)
 *
 * A row is finished text: a view is borrowed for one call, but what is held back is told later.
 */
#ifndef SINK_TEXT_H
#define SINK_TEXT_H

#include "sink/sink.h"
#include "util/buf.h"

/* The columns after TIME. */
enum cell {
	CELL_EVENT,
	CELL_PORT,
	CELL_PROCESS,
	CELL_WHO,
	CELL_USER,
	CELL_PPID,
	CELL_NETNS,
	CELL_OPTIONS,
	CELL_BACKLOG,
	CELL_VIA,
	CELL_NOTE,
	CELL_EXE,
	CELL_ARGS,
	CELL_MORE, /* no column: the line below */
	N_CELLS
};

struct column {
	const char *header;
	unsigned min;    /* width before anything has been seen */
	unsigned narrow; /* the same on a narrow terminal */
	unsigned max; /* never wider; longer values are cut on a terminal, else push the rest of the line */
	bool wide;    /* only with -o wide */
	bool cut;     /* may be cut */
	void (*put)(struct buf *b, const struct view *v, const struct sink_options *o);
};

extern const struct column text_columns[N_CELLS];

enum tone { TONE_PLAIN, TONE_GOOD, TONE_BAD, TONE_QUIET, TONE_WARN };

/* One line to be: escaped text, cell after cell. */
struct row {
	uint64_t time_ns;
	int64_t wall_ns;
	enum tone tone;
	bool sentence; /* no columns after EVENT: the note is a sentence */
	struct buf text;
	uint32_t end[N_CELLS]; /* of each cell in text */
};

void row_render(struct row *row, const struct view *v, const struct sink_options *o);
void row_done(struct row *row);
const char *row_cell(const struct row *row, enum cell cell, size_t *ret_len);

void text_put_note(struct buf *b, const struct view *v, const struct sink_options *o);
void text_put_more(struct buf *b, const struct view *v, const struct sink_options *o);

/* ---- lines ---- */

struct layout {
	const struct sink_options *o;
	unsigned time_width;
	unsigned widths[N_CELLS];
	unsigned *only_widths; /* -F: n_only of them */
	bool header_done;
	uint64_t last_ns; /* of the line before, for TIME_STYLE_DELTA; 0: none */
	uint64_t now_ns;  /* newest moment seen */
	struct buf scratch;
};

/* How a line that stands for several differs from its row. */
struct amend {
	const char *port;   /* instead of the PORT cell; NULL: as it is */
	const char *suffix; /* after the note; NULL: none */
	bool bare;          /* instead of the note */
	bool alone;         /* without the line below */
};

int layout_init(struct layout *l, const struct sink_options *o); /* 0 or -ENOMEM */
void layout_done(struct layout *l);
void layout_row(struct layout *l, struct buf *out, const struct row *row, const struct amend *amend);
void layout_fields(struct layout *l, struct buf *out, const struct view *v); /* -F */

/* ---- what is held back ---- */

struct hold;

/* A line is due; @count events stand behind it (1: an ordinary one). */
typedef void hold_tell(void *arg, const struct row *row, const struct amend *amend, uint64_t count);

struct hold *hold_new(const struct sink_options *o, hold_tell *tell, void *arg); /* NULL: out of memory */
struct hold *hold_free(struct hold *h); /* NULL is fine; drops, tells nothing */

/* Tell @v now, hold it back or fold it into what was told before. Without memory it is told now. */
void hold_event(struct hold *h, const struct view *v);
/* Tell what is due at @now_ns; UINT64_MAX: everything. */
void hold_expire(struct hold *h, uint64_t now_ns);
uint64_t hold_next_ns(const struct hold *h); /* 0: nothing is held back */

#endif
