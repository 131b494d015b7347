/* SPDX-License-Identifier: GPL-2.0-only */
/* UTF-8 as RFC 3629 allows it, and which characters may not reach a reader's screen as they are. */
#ifndef UTIL_UTF8_H
#define UTIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the character that @text (@len > 0) begins with, and the character; 0: no valid one. */
size_t utf8_next(const char *text, size_t len, uint32_t *ret_rune);

bool utf8_valid(const char *text, size_t len);

/*
 * Controls (also the C1 set, which terminals obey), and the marks that reorder or break lines of text: with these a
 * process name could move the cursor or show something else than it is.
 */
bool utf8_harmful(uint32_t rune);

/* Columns that valid text takes (a character is one), and the bytes of its first @width characters. */
unsigned utf8_columns(const char *text, size_t len);
size_t utf8_prefix(const char *text, size_t len, unsigned width);

#endif
