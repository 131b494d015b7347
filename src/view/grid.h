/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lines of cells, in columns that are as wide as what is in them: every line is made before the first is put. Text that
 * is loose widens no column; where it has no room it goes below its line, in words.
 */
#ifndef VIEW_GRID_H
#define VIEW_GRID_H

#include "util/buf.h"

#define GRID_COLUMNS_MAX 64

struct grid_column {
	const char *header;
	unsigned min; /* shrunk no further when the terminal is narrow; 0: never */
	bool right;   /* numbers: at the right end of the column */
	bool loose;   /* the last one only */
	unsigned width;
};

struct grid {
	struct grid_column columns[GRID_COLUMNS_MAX];
	size_t n_columns;
	size_t n_lines;
	struct buf text; /* finished and escaped: cell after cell, line after line */
	struct buf cells;
};

void grid_column(struct grid *g, const char *header,
		 unsigned min); /* one more; those too many are left out */

/* A cell is what was appended to g->text since the last one. */
void grid_cell_end(struct grid *g);
void grid_cell_bad(struct grid *g); /* the same; red where there is colour */
/* The rest of a line is empty. */
void grid_line_end(struct grid *g);

struct grid_options {
	bool header;
	bool color;
	unsigned limit; /* columns that lines may take; 0: no limit */
};

/* All lines. 0 or negative errno. */
int grid_put(struct grid *g, const struct grid_options *o, struct buf *out);
void grid_done(struct grid *g);

#endif
