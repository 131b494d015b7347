/* SPDX-License-Identifier: GPL-2.0-only */
/* Errors with a caret under the place in a text that is wrong. */
#include "util/caret.h"

#include <errno.h>
#include <string.h>

#include "util/buf.h"
#include "util/fail.h"
#include "util/utf8.h"

#define CARET_COLUMNS 72 /* as much of a long text as a caret line shows */
#define CARET_BEFORE 40

/* The length of the character at @text, and whether it may be shown as it is. */
static size_t next_char(const char *text, size_t len, bool *ret_fine)
{
	uint32_t rune = 0;
	size_t n = utf8_next(text, len, &rune);

	*ret_fine = n && !utf8_harmful(rune);
	return n ? n : 1;
}

static size_t columns_before(const char *text, size_t at)
{
	size_t columns = 0, len = strlen(text);
	bool fine;

	for (size_t i = 0; i < at && i < len; columns++)
		i += next_char(text + i, len - i, &fine);
	return columns + (at > len ? at - len : 0);
}

int fail_caret(const char *text, size_t at, size_t len, const char *what, const char *suggestion)
{
	size_t column = columns_before(text, at), width = columns_before(text, at + len) - column,
	       n = strlen(text);
	size_t first = column > CARET_COLUMNS - CARET_BEFORE / 2 ? column - CARET_BEFORE : 0;
	struct buf b = { 0 };

	buf_puts(&b, first ? "  ..." : "  ");
	for (size_t i = 0, step, c = 0; i < n && c < first + CARET_COLUMNS; i += step, c++) {
		bool fine;

		step = next_char(text + i, n - i, &fine);
		if (c >= first)
			buf_put(&b, fine ? text + i : "?", fine ? step : 1);
	}
	buf_printf(&b, "\n%s%*s^", first ? "     " : "  ", (int)(column - first), "");
	for (size_t i = 1; i < width && column - first + i < CARET_COLUMNS; i++)
		buf_putc(&b, '~');
	fail_text(-EINVAL, "%s%s%s", what, suggestion[0] ? "; " : "", suggestion);
	fail_hint(-EINVAL, "%s", buf_str(&b));
	buf_done(&b);
	return -EINVAL;
}
