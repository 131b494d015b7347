/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Secrets in command lines, hidden: a guess by name and shape that rather hides too much. What it cannot know stays
 * (-pX, positional passwords); --args none hides all of it.
 */
#ifndef CORE_MASK_H
#define CORE_MASK_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* What one argument says of the next; all zero before the first. */
struct mask {
	bool next_is_secret; /* "--password" "x" */
	bool next_is_login;  /* "-u" "user:x" */
};

/* Append @arg with its secrets as "***". */
void mask_arg(struct buf *b, struct mask *m, const char *arg, size_t len);

#endif
