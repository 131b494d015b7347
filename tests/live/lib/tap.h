/* SPDX-License-Identifier: GPL-2.0-only */
/* TAP, as tests/tap.awk reads it. */
#ifndef LIVE_TAP_H
#define LIVE_TAP_H

#include <stdbool.h>

void tap_result(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tap_skip(const char *name, const char *why);

/* "# ..." lines that belong to the result before them; bytes that a terminal should not see are shown as \xNN. */
void tap_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tap_note_text(const char *text); /* each line of it */

/* The plan, after the last result. The exit status for main. */
int tap_end(void);
int tap_skip_all(const char *why);

/* Out of order: nothing that follows could be right. */
void tap_bail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
