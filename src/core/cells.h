/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stands in a cell of a line, for every rendering in text: appended to a buf, escaped for a terminal. Of a view alone,
 * so that a stream and a table say the same of the same socket. Pure.
 */
#ifndef CORE_CELLS_H
#define CORE_CELLS_H

#include "core/record.h"

struct buf;

void cell_port(struct buf *b, const struct view *v);    /* "tcp [::]:80 (v6only)@blue" */
void cell_process(struct buf *b, const struct view *v); /* "nginx[53] +2", "kernel", "-" */
void cell_who(struct buf *b, const struct view *v);     /* unit, container or user */
void cell_user(struct buf *b, const struct view *v);    /* of the process, else of the socket */
void cell_user_id(struct buf *b, const struct view *v); /* "www-data(33)" */
void cell_ppid(struct buf *b, const struct view *v);
void cell_netns(struct buf *b, const struct view *v);
void cell_options(struct buf *b, const struct view *v); /* "reuseaddr,reuseport" */

void cell_put_process(struct buf *b, const char comm[16], uint32_t pid); /* "nginx[53]" */
void cell_put_others(struct buf *b, size_t n);                           /* " +2" for three */

#endif
