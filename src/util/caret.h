/* SPDX-License-Identifier: GPL-2.0-only */
/* Errors with a caret under the place in a text that is wrong. */
#ifndef UTIL_CARET_H
#define UTIL_CARET_H

#include <stddef.h>

/* The story of @what being wrong, and as the remedy the text with a caret under its @len bytes at @at. -EINVAL. */
int fail_caret(const char *text, size_t at, size_t len, const char *what, const char *suggestion);

#endif
