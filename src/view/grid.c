/* SPDX-License-Identifier: GPL-2.0-only */
/* Lines of cells. */
#include "view/grid.h"

#include <errno.h>

#include "util/utf8.h"

#define GAP 2          /* between columns */
#define BELOW_COLUMN 1 /* what has no room goes below its line, and begins here */
#define WRAP_MIN 20    /* a narrower terminal is left to wrap by itself */
#define BAD "\x1b[1;31m"
#define BAD_END "\x1b[0m"

struct cell {
	uint32_t end; /* in text */
	bool bad;
};

void grid_column(struct grid *g, const char *header, unsigned min)
{
	if (g->n_columns < GRID_COLUMNS_MAX)
		g->columns[g->n_columns++] = (struct grid_column){ .header = header, .min = min };
}

static const struct cell *cell_at(const struct grid *g, size_t i)
{
	return (const struct cell *)(const void *)g->cells.data + i;
}

static size_t n_cells(const struct grid *g)
{
	return g->cells.len / sizeof(struct cell);
}

static void cell_end(struct grid *g, bool bad)
{
	struct grid_column *column = &g->columns[n_cells(g) % g->n_columns];
	uint32_t begin = n_cells(g) ? cell_at(g, n_cells(g) - 1)->end : 0;
	struct cell cell = { .end = (uint32_t)g->text.len, .bad = bad };
	unsigned width = cell.end > begin ? utf8_columns(g->text.data + begin, cell.end - begin) : 0;

	if (width > column->width)
		column->width = width;
	buf_put(&g->cells, &cell, sizeof(cell));
}

void grid_cell_end(struct grid *g)
{
	cell_end(g, false);
}

void grid_cell_bad(struct grid *g)
{
	cell_end(g, true);
}

void grid_line_end(struct grid *g)
{
	while (n_cells(g) < (g->n_lines + 1) * g->n_columns && !g->cells.error)
		grid_cell_end(g);
	g->n_lines++;
}

/* ---- putting it together: spaces are owed, so that none is left at the end of a line ---- */

struct cursor {
	struct buf *out;
	const struct grid_options *o;
	unsigned at; /* column reached */
	unsigned to; /* column that the next text begins at */
};

static void put_text(struct cursor *c, const char *text, size_t len, bool bad)
{
	if (!len)
		return;
	for (; c->at < c->to; c->at++)
		buf_putc(c->out, ' ');
	if (bad && c->o->color)
		buf_puts(c->out, BAD);
	buf_put(c->out, text, len);
	if (bad && c->o->color)
		buf_puts(c->out, BAD_END);
	c->at += utf8_columns(text, len);
}

/* In words, below column @indent. */
static void put_words(struct cursor *c, const char *text, size_t len, unsigned indent)
{
	bool wraps = c->o->limit >= indent + WRAP_MIN, fresh = true;

	if (c->at)
		buf_putc(c->out, '\n');
	c->at = 0;
	c->to = indent;
	while (len) {
		size_t word = 0, next;

		while (word < len && text[word] != ' ')
			word++;
		for (next = word; next < len && text[next] == ' ';)
			next++;
		if (!fresh && wraps && c->at + 1 + utf8_columns(text, word) > c->o->limit) {
			buf_putc(c->out, '\n');
			c->at = 0;
			c->to = indent;
		} else if (!fresh) {
			c->to = c->at + 1;
		}
		put_text(c, text, word, false);
		fresh = false;
		text += next;
		len -= next;
	}
}

static unsigned indent_of(const struct grid *g)
{
	unsigned at = 0;

	for (size_t i = 0; i < BELOW_COLUMN && i < g->n_columns; i++)
		at += g->columns[i].width + GAP;
	return at;
}

static void put_cell(struct cursor *c, const struct grid *g, size_t column, const char *text, size_t len,
		     bool bad)
{
	const struct grid_column *col = &g->columns[column];
	unsigned taken = len ? utf8_columns(text, len) : 0, begin = c->to;

	if (col->loose && c->o->limit && len && begin + taken > c->o->limit) {
		put_words(c, text, len, indent_of(g));
		return;
	}
	if (col->right && taken < col->width)
		c->to += col->width - taken;
	if (!col->loose && taken > col->width && col->width) {
		put_text(c, text, utf8_prefix(text, len, col->width - 1), bad);
		buf_puts(c->out, "…");
		c->at++;
	} else {
		put_text(c, text, len, bad);
	}
	c->to = begin + col->width + GAP;
}

static void put_header(const struct grid *g, const struct grid_options *o, struct buf *out)
{
	struct cursor c = { .out = out, .o = o };

	for (size_t i = 0; i < g->n_columns; i++)
		put_cell(&c, g, i, g->columns[i].header, strlen(g->columns[i].header), false);
	buf_putc(out, '\n');
}

static void put_line(const struct grid *g, const struct grid_options *o, size_t number, struct buf *out)
{
	struct cursor c = { .out = out, .o = o };
	size_t first = number * g->n_columns;
	uint32_t begin = first ? cell_at(g, first - 1)->end : 0;

	for (size_t i = 0; i < g->n_columns; i++) {
		const struct cell *cell = cell_at(g, first + i);

		put_cell(&c, g, i, g->text.data + begin, cell->end - begin, cell->bad);
		begin = cell->end;
	}
	buf_putc(out, '\n');
}

/* Cells are cut where the lines would be longer than the terminal: the widest that may be first. */
static void widths_fit(struct grid *g, unsigned limit)
{
	unsigned total = 0;

	for (size_t i = 0; i < g->n_columns; i++)
		if (g->columns[i].width && !g->columns[i].loose)
			total += g->columns[i].width + (i + 1 < g->n_columns ? GAP : 0);
	while (limit && total > limit) {
		struct grid_column *widest = NULL;

		for (size_t i = 0; i < g->n_columns; i++) {
			struct grid_column *col = &g->columns[i];

			if (col->min && col->width > col->min && (!widest || col->width > widest->width))
				widest = col;
		}
		if (!widest)
			return;
		widest->width--;
		total--;
	}
}

int grid_put(struct grid *g, const struct grid_options *o, struct buf *out)
{
	bool header = o->header && g->n_lines;

	if (g->text.error || g->cells.error)
		return -ENOMEM;
	for (size_t i = 0; header && i < g->n_columns; i++)
		if (g->columns[i].width < strlen(g->columns[i].header))
			g->columns[i].width = (unsigned)strlen(g->columns[i].header);
	widths_fit(g, o->limit);
	if (header)
		put_header(g, o, out);
	for (size_t i = 0; i < g->n_lines; i++)
		put_line(g, o, i, out);
	return out->error;
}

void grid_done(struct grid *g)
{
	buf_done(&g->text);
	buf_done(&g->cells);
}
